//! What others wrote that a version of ours was written over (Google and Azure cannot refuse that), brought back in.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::Run;
use super::secret_side::{self, variables};
use crate::config::Config;
use crate::document::Document;
use crate::error::{Failure, Kind};
use crate::reference::{Pin, Reference};
use crate::secret::{Key, Secret};
use crate::store::{History, Ids, Known, Overtaken, Place, STALE, Snapshot, Version};

impl Run<'_> {
    /// Masks what others wrote that ours was written over: a value of theirs may be in no version that counts.
    pub(super) fn mask_overtaken(&mut self, which: &Reference, overtaken: &[Overtaken]) {
        for Overtaken { theirs, .. } in overtaken {
            if let Ok(document) = secret_side::document(self.config, which, Some(theirs)) {
                self.ci.mask(&variables(&document));
            }
        }
    }
}

/// What this run put into the secret under a name.
pub(super) struct Put {
    /// What was there before.
    pub(super) was: Option<Secret>,
    /// The text of the document that held it, in which it has a place and a type.
    pub(super) from: Rc<Secret>,
    /// What it put there, as it reads there; `None` removed it.
    pub(super) put: Option<Secret>,
    /// Where the version stands that first held it; `None` while it is about to be written.
    pub(super) place: Option<Place>,
}

/// What becomes of the names that this run means to change, where others changed them too.
pub(super) enum Own<'a> {
    /// They are left to the plan of this run (push).
    Stands(&'a BTreeSet<Key>),
    /// What others wrote before takes the place of what this run put there, so that a merge sees it (sync).
    Yields(&'a BTreeMap<Key, Put>),
}

/// What [`Rescue::bring_back`] did.
#[derive(Default)]
pub(super) struct Rescued {
    /// Whether there was anything to put back.
    pub(super) changed: bool,
    /// Names of this run that others changed, and that stay as this run has them.
    pub(super) overruled: BTreeSet<Key>,
    /// Names of this run that others put something else under, and the versions in which they did.
    pub(super) rivals: Rivals,
    /// Names under which what others wrote took the place of what this run had written, and which version that is from.
    pub(super) yielded: Vec<(String, Version)>,
}

/// By name and in the order that is the same to all runs: what others put under names of this run.
pub(super) type Rivals = BTreeMap<Key, BTreeMap<Place, Rc<Snapshot>>>;

type Members = HashMap<String, Secret>;

/// One secret in one run, from round to round.
pub(super) struct Rescue<'a> {
    config: &'a Config,
    which: &'a Reference,
    /// What this run itself put back.
    put_back: Members,
    /// What of others has had its place in the secret already, whatever came of it.
    handed_over: HashSet<(String, String)>,
    /// The older versions that were looked at, by id.
    older: HashMap<String, Members>,
    /// Names under which somebody else's version held an earlier value, and that version.
    outdated: BTreeMap<String, Version>,
}

impl<'a> Rescue<'a> {
    pub(super) fn new(config: &'a Config, which: &'a Reference) -> Self {
        let (put_back, older, outdated) = (HashMap::new(), HashMap::new(), BTreeMap::new());
        Self { config, which, put_back, handed_over: HashSet::new(), older, outdated }
    }

    /// What [`Rescued::yielded`] told was written: it is not brought back a second time, because whoever wrote it may have
    /// taken it back since.
    pub(super) fn hand_over(&mut self, yielded: Vec<(String, Version)>) {
        self.handed_over.extend(yielded.into_iter().map(|(name, version)| (name, version.0)));
    }

    /// Puts back into `document` what others had added or changed in versions that ours was written over. Of several that
    /// changed one name the newest counts. What is absent there is no removal: that writer may have started from an older
    /// version. `None`: it takes more of the past, which `history` was asked for.
    pub(super) fn bring_back(
        &mut self,
        document: &mut Document,
        overtaken: &[Overtaken],
        own: &Own<'_>,
        history: &mut History,
    ) -> Result<Option<Rescued>, Failure> {
        let now = members(document);
        let mut decided = HashSet::new();
        let mut done = Rescued::default();
        for Overtaken { base, before, theirs: read, place, is_later, .. } in overtaken.iter().rev() {
            // What came after ours counted, and whoever wrote the next one saw it: a sync may have taken it back.
            let is_seen = *is_later && matches!(own, Own::Yields(_));
            let base = members(&secret_side::document(self.config, self.which, base.as_ref())?);
            let version = &read.version;
            let pinned = Reference { pin: Pin::Version(version.0.clone()), ..self.which.clone() };
            let theirs = secret_side::document(self.config, &pinned, Some(read))?;
            for (name, value) in theirs.members() {
                let key = Key::new(&name);
                let mine = match (&key, own) {
                    (Some(key), Own::Yields(puts)) => puts.get_key_value(key),
                    _ => None,
                };
                // A newer one that changed this name has been looked at, unless the first one counts.
                if base.get(&name) == Some(&value) || (mine.is_none() && (is_seen || decided.contains(&name))) {
                    continue;
                }
                let here = now.get(&name);
                let stands = key.as_ref().filter(|key| matches!(own, Own::Stands(mine) if mine.contains(*key)));
                // Both did the same: whatever it was before, nothing is to be done or told.
                if stands.is_some() && here == Some(&value) {
                    continue;
                }
                // That writer may have started from an older version, and what it did not change would look like a
                // change back.
                if let Some(was) = base.get(&name) {
                    match self.is_older(&name, &value, was, before, history) {
                        Some(true) => {
                            if mine.is_none() {
                                self.outdated.entry(name).or_insert_with(|| version.clone());
                            }
                            continue;
                        }
                        Some(false) => {}
                        None => {
                            history.want(before.iter().flatten());
                            return Ok(None);
                        }
                    }
                }
                if let Some(key) = stands {
                    done.overruled.insert(key.clone());
                    continue;
                }
                match mine {
                    // Copied from ours, or the same by chance.
                    Some((_, own)) if own.put.as_ref() == Some(&value) => continue,
                    Some((key, _)) => {
                        done.rivals.entry(key.clone()).or_default().insert(place.clone(), Rc::clone(read));
                    }
                    None => {}
                }
                // Ours is there again all the same: what came first in the order is for this run to bring back.
                let is_first = mine.is_some_and(|(_, own)| Some(place) < own.place.as_ref());
                if (is_seen && !is_first)
                    || !decided.insert(name.clone())
                    || self.handed_over.contains(&(name.clone(), version.0.clone()))
                {
                    continue;
                }
                let yields = mine.is_some_and(|(_, own)| own.put.as_ref() == here);
                let was_put_back = here.is_some() && here == self.put_back.get(&name);
                let untouched = here == base.get(&name) || was_put_back || yields;
                if untouched && here != Some(&value) {
                    document.graft(&name, &theirs).map_err(|fault| {
                        let secret = self.which;
                        let what = format!("the secret `{secret}` cannot take what another run wrote into it: {fault}");
                        Failure::new(Kind::Partial, what).help(fault.help(&secret.id))
                    })?;
                    if yields {
                        done.yielded.push((name.clone(), version.clone()));
                    }
                    self.put_back.insert(name, value);
                    done.changed = true;
                }
            }
        }
        Ok(Some(done))
    }

    /// What the user has to know: a value that another run had not changed cannot be told from one that it changed back.
    pub(super) fn remark(&self) -> Option<String> {
        let names: Vec<String> = self
            .outdated
            .iter()
            .map(|(name, version)| format!("`{}` (version {version})", name.escape_default()))
            .collect();
        (!names.is_empty()).then(|| {
            let names = names.join(", ");
            format!("another run's version held an earlier value, and the later one stays: {names}; if it was changed back there, change it back again")
        })
    }

    /// Whether the secret held `value` under this name before it held `was`, by the versions before; `None` where more of
    /// them have to be read. Nobody of this moment started from a version before the last [`STALE`] ones: a value that none
    /// of them held is new. While many write at once a value may come and go, so that only its first appearance counts: it
    /// is looked for until so many versions agree that none of this moment can be older.
    fn is_older(&mut self, name: &str, value: &Secret, was: &Secret, before: &Ids, history: &History) -> Option<bool> {
        let (mut value_at, mut was_at) = (None, None);
        let (mut last, mut looked_at, mut agree, mut gone) = (None, 0, 0, 0);
        for (at, version) in before.iter().enumerate().flat_map(|(at, group)| group.iter().map(move |id| (at, id))) {
            match history.of(version) {
                Known::Unread => return None,
                Known::Gone => gone += 1,
                Known::Held(snapshot) => {
                    (gone, looked_at) = (0, looked_at + 1);
                    let held = self.members_of(snapshot).get(name).cloned();
                    if held.as_ref() == Some(value) {
                        value_at = Some(at);
                    }
                    if held.as_ref() == Some(was) {
                        was_at = Some(at);
                    }
                    agree = if last.as_ref() == Some(&held) { agree + 1 } else { 1 };
                    last = Some(held);
                }
            }
            let is_new = value_at.is_none() && looked_at >= STALE;
            if is_new || agree >= STALE || gone >= STALE {
                break;
            }
        }
        Some(value_at > was_at)
    }

    /// What an older version holds; nothing where it is no document.
    fn members_of(&mut self, snapshot: &Snapshot) -> &Members {
        let (config, which) = (self.config, self.which);
        self.older.entry(snapshot.version.0.clone()).or_insert_with(|| {
            secret_side::document(config, which, Some(snapshot)).map(|document| members(&document)).unwrap_or_default()
        })
    }
}

fn members(document: &Document) -> Members {
    document.members().into_iter().collect()
}

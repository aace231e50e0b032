//! What others wrote that a version of ours was written over (Google and Azure cannot refuse that), brought back in.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::rc::Rc;

use super::Run;
use super::secret_side::{self, variables};
use crate::config::Config;
use crate::document::{Document, Fault};
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
    /// Where the version stands that first held it; `None` while it is about to be written, or where it was written over
    /// nobody's.
    pub(super) place: Option<Place>,
    /// Which write of this run put it there first, counted from one; zero for what is not of this go at the store.
    pub(super) write: usize,
    /// Whether another run has put the same there before this one: then it is not this one's to take back.
    pub(super) is_shared: bool,
}

/// What becomes of the names that this run means to change, where others changed them too.
pub(super) enum Own<'a> {
    /// They are left to the plan of this run (push).
    Stands(&'a BTreeSet<Key>),
    /// What others wrote before takes the place of what this run put there, so that a merge sees it (sync).
    Yields(&'a BTreeMap<Key, Put>),
}

impl<'a> Own<'a> {
    fn whose(&self, name: &str) -> Whose<'a> {
        let Some(key) = Key::new(name) else { return Whose::Others };
        match self {
            Self::Stands(mine) => mine.get(&key).map_or(Whose::Others, Whose::Stands),
            Self::Yields(puts) => puts.get_key_value(&key).map_or(Whose::Others, |(key, put)| Whose::Yields(key, put)),
        }
    }
}

/// Whose a name is that somebody else changed.
enum Whose<'a> {
    /// This run changes nothing there.
    Others,
    /// It is among [`Own::Stands`].
    Stands(&'a Key),
    /// It is among [`Own::Yields`].
    Yields(&'a Key, &'a Put),
}

/// What somebody else made of one name, in a version that ours was written over.
struct TheirChange<'c> {
    by: &'c Overtaken,
    name: &'c str,
    /// What our write started from.
    was: Option<&'c Secret>,
    /// What they put there.
    value: &'c Secret,
    /// What is there now.
    here: Option<&'c Secret>,
    whose: Whose<'c>,
    /// It counted after ours, and whoever wrote the next one saw it: a sync may have taken it back.
    is_seen: bool,
}

impl TheirChange<'_> {
    fn is_none(&self) -> bool {
        self.was == Some(self.value)
    }

    /// Whether nothing is to be done or told, whatever was there before.
    fn is_needless(&self, decided: &HashSet<String>) -> bool {
        match self.whose {
            // A newer one that changed this name has been looked at.
            Whose::Others => self.is_seen || decided.contains(self.name),
            // Both did the same.
            Whose::Stands(_) => self.here == Some(self.value),
            // Where it stands is to be told in any case.
            Whose::Yields(..) => false,
        }
    }

    /// Whether what is there now is what this run put there.
    fn is_over_ours(&self) -> bool {
        matches!(self.whose, Whose::Yields(_, put) if put.put.as_ref() == self.here)
    }
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
    /// Names of this run under which others had put the same before it, and where the first of them stands.
    pub(super) shared: BTreeMap<Key, Place>,
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
    /// All that this run itself put back, or was about to: a plan may be asked again before it is written.
    put_back: HashMap<String, Vec<Secret>>,
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
    pub(super) fn note_yielded(&mut self, yielded: Vec<(String, Version)>) {
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
        for by in overtaken.iter().rev() {
            let is_seen = by.counted && matches!(own, Own::Yields(_));
            let base = members(&secret_side::document(self.config, self.which, by.base.as_ref())?);
            let pinned = Reference { pin: Pin::Version(by.theirs.version.0.clone()), ..self.which.clone() };
            let theirs = secret_side::document(self.config, &pinned, Some(&by.theirs))?;
            for (name, value) in &theirs.members() {
                let (was, here, whose) = (base.get(name), now.get(name), own.whose(name));
                let change = TheirChange { by, name, was, value, here, whose, is_seen };
                if change.is_none() || change.is_needless(&decided) {
                    continue;
                }
                match self.is_outdated(&change, history) {
                    Some(false) => {}
                    Some(true) => continue,
                    None => {
                        history.want(by.before.iter().flatten());
                        return Ok(None);
                    }
                }
                if self.counts(&change, &mut decided, &mut done) && self.has_room(&change) {
                    document.graft(name, &theirs).map_err(|fault| self.unusable(&fault))?;
                    if change.is_over_ours() {
                        done.yielded.push((name.clone(), by.theirs.version.clone()));
                    }
                    self.put_back.entry(name.clone()).or_default().push(value.clone());
                    done.changed = true;
                }
            }
        }
        Ok(Some(done))
    }

    /// Whether that writer did not change the value: it may have started from an older version, and what it left alone would
    /// look like a change back. `None` where more of the past has to be read.
    fn is_outdated(&mut self, change: &TheirChange<'_>, history: &History) -> Option<bool> {
        let Some(was) = change.was else { return Some(false) };
        let is_outdated = self.is_older(change.name, change.value, was, &change.by.before, history)?;
        if is_outdated && !matches!(change.whose, Whose::Yields(..)) {
            self.outdated.entry(change.name.to_owned()).or_insert_with(|| change.by.theirs.version.clone());
        }
        Some(is_outdated)
    }

    /// Whether it is this change that decides the name, of all that others made to it. `done` gets what is to be told of it.
    fn counts(&self, change: &TheirChange<'_>, decided: &mut HashSet<String>, done: &mut Rescued) -> bool {
        match change.whose {
            Whose::Others => decided.insert(change.name.to_owned()),
            Whose::Stands(key) => {
                done.overruled.insert(key.clone());
                false
            }
            // Copied from ours, or the same by chance: what stands before ours is no copy, nor what our first write was
            // written over.
            Whose::Yields(key, put) if put.put.as_ref() == Some(change.value) => {
                let place = &change.by.place;
                let over_theirs = change.by.write == put.write && !change.by.counted;
                if Some(place) < put.place.as_ref() || over_theirs {
                    let first = done.shared.entry(key.clone()).or_insert_with(|| place.clone());
                    *first = place.min(first).clone();
                }
                false
            }
            Whose::Yields(key, put) => {
                let place = &change.by.place;
                done.rivals.entry(key.clone()).or_default().insert(place.clone(), Rc::clone(&change.by.theirs));
                // Ours is there again all the same: what came first in the order is for this run to bring back.
                let is_first = Some(place) < put.place.as_ref();
                let version = &change.by.theirs.version;
                (is_first || !change.is_seen)
                    && decided.insert(change.name.to_owned())
                    && !self.handed_over.contains(&(change.name.to_owned(), version.0.clone()))
            }
        }
    }

    /// Whether nobody else has put anything there since.
    fn has_room(&self, change: &TheirChange<'_>) -> bool {
        let TheirChange { name, was, value, here, .. } = *change;
        let was_put_back = here.is_some_and(|here| self.put_back.get(name).is_some_and(|put| put.contains(here)));
        (here == was || was_put_back || change.is_over_ours()) && here != Some(value)
    }

    fn unusable(&self, fault: &Fault) -> Failure {
        let secret = self.which;
        let what = format!("the secret `{secret}` cannot take what another run wrote into it: {fault}");
        Failure::new(Kind::Partial, what).help(fault.help(&secret.id))
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

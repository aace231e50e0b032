//! One merge at the store: what each look at the secret leads to, until it holds or is given up.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::document;
use crate::dotenv::Document;
use crate::error::Failure;
use crate::file::{Snapshot as OnDisk, Target};
use crate::plan::{self, Change, Plan, Side, Step, Terms};
use crate::reference::Reference;
use crate::run::rescue::{Own, Put, Rescue, Rivals};
use crate::run::secret_side;
use crate::run::{Run, file_side, refused, require};
use crate::secret::{Key, Secret, Variables};
use crate::store::{History, Payload, Place, Planned, Raced, Snapshot, Version};

/// How long another run is waited for that is about to mend what it has written over, or to take back what it wrote: counted
/// from when this run first saw the version that was written last.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long that may take in all, while others write what has nothing to do with it.
const AT_MOST: Duration = Duration::from_secs(30);
/// What is left then to write all the same.
const REST: Duration = Duration::from_secs(1);

/// One file and one secret, being merged, in one go at the store.
pub(super) struct Merge<'a> {
    pub(super) which: &'a Reference,
    pub(super) target: &'a Target,
    pub(super) before: Option<&'a OnDisk>,
    pub(super) required: &'a [Key],
    pub(super) base: Option<Variables>,
    /// The version that the base is from, where it is from one.
    pub(super) since: Option<Version>,
    pub(super) file: Variables,
    /// What this run has put into the secret, and what it is about to put there.
    pub(super) own: BTreeMap<Key, Put>,
    pub(super) pending: Pending,
    /// What others have put under the same names.
    pub(super) rivals: Rivals,
    pub(super) rescue: Rescue<'a>,
    /// How many versions of its own this run had written when it last looked.
    pub(super) writes: usize,
    /// Whether a value of another stood in place of this run's, and was waited for to be taken back.
    pub(super) contested: bool,
    /// The version that was there last, and until when its like is waited for.
    pub(super) patience: Option<(Version, Instant)>,
    /// Since when others are waited for.
    pub(super) waits_since: Option<Instant>,
    /// What the versions that were written have changed.
    pub(super) committed: Plan,
    pub(super) last: Last,
}

/// What the write that was planned last will have done.
#[derive(Default)]
pub(super) struct Pending {
    puts: BTreeMap<Key, Put>,
    plan: Plan,
}

/// What the last look at both sides gave.
#[derive(Default)]
pub(super) struct Last {
    pub(super) plan: Plan,
    /// The file as it shall be, without its base line.
    pub(super) document: Option<Document>,
    /// Whether this run takes back what it wrote.
    pub(super) takes_back: bool,
    /// Others' values stand for now in place of this run's own, which came first: whoever wrote them is about to take them
    /// back. Which, as far as it was this run that put them there.
    pub(super) hands_over: Option<Vec<(String, Version)>>,
    /// The text of the secret without what was taken back.
    pub(super) left: Option<Secret>,
}

impl Merge<'_> {
    /// Whether what was written last needs no more looks, as far as this run is in no conflict or has taken back what it
    /// wrote. Where it is contested, others are about to write.
    pub(super) fn is_settled(&self) -> bool {
        !self.contested || self.last.takes_back
    }

    /// Before another go at the store, which counts what it writes from nothing: all so far has been looked at, but for what
    /// was written last, over nobody's.
    pub(super) fn starts_over(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        self.absorb(pending, None);
        self.own.values_mut().for_each(|own| own.write = 0);
        self.last.hands_over = None;
        self.writes = 0;
    }

    /// What was to be written was written; `place`: where that stands.
    fn absorb(&mut self, pending: Pending, place: Option<&Place>) {
        for (key, put) in pending.puts {
            let put = Put { place: place.cloned(), write: self.writes, ..put };
            self.own.entry(key).and_modify(|own| own.put.clone_from(&put.put)).or_insert(put);
        }
        self.committed.absorb(&pending.plan);
    }

    /// Merges with what the secret holds now.
    pub(super) fn look(
        &mut self,
        run: &mut Run<'_>,
        now: Option<&Snapshot>,
        raced: &Raced,
        history: &mut History,
    ) -> Result<Planned, Failure> {
        let config = run.config;
        let (pending, hands_over) = (std::mem::take(&mut self.pending), self.last.hands_over.take());
        if raced.written.len() > self.writes {
            // What was to be written then was written.
            run.mask_overtaken(self.which, &raced.overtaken);
            self.writes = raced.written.len();
            self.absorb(pending, raced.written.last());
            self.rescue.note_yielded(hands_over.unwrap_or_default());
        }
        let mut document = secret_side::document(config, self.which, now)?;
        let current = secret_side::variables(&document);
        run.ci.mask(&current);
        let own = Own::Yields(&self.own);
        let Some(rescued) = self.rescue.bring_back(&mut document, &raced.overtaken, &own, history)? else {
            return Ok(Planned::LookBack);
        };
        for (key, versions) in &rescued.rivals {
            self.rivals.entry(key.clone()).or_default().extend(versions.clone());
        }
        for (key, place) in &rescued.shared {
            if let Some(own) = self.own.get_mut(key) {
                own.place = own.place.take().min(Some(place.clone()));
                own.is_shared = true;
            }
        }
        run.tell_no_variables(self.which, &document);
        let mut secret = secret_side::variables(&document);
        run.ci.mask(&secret);
        document::align(&mut secret, &self.file);
        if let Some(base) = &mut self.base {
            document::align(base, &self.file);
            document::align(base, &secret);
        }
        let terms = Terms {
            scope: &config.scope,
            delete: config.delete,
            max_deletes: config.max_deletes,
            prefer: config.prefer,
        };
        let plan = plan::three_way(self.base.as_ref(), &self.file, &secret, &terms)
            .map_err(|why| refused(&why, config.max_deletes))?;
        if plan.count(Change::Conflict) > 0 {
            let planned = self.give_way(run, now, &current, document, &plan, rescued)?;
            self.last.plan = plan;
            return Ok(planned);
        }
        match self.is_as_in_the_base(run, now, &plan, &secret, history) {
            None => return Ok(Planned::LookBack),
            Some(false) if self.waits(run, now) => return Ok(Planned::Wait),
            Some(_) => {}
        }
        // Ours is there again: taken back by the other one, or written once more by a third run that mends that in a moment.
        let is_done = !rescued.changed && !plan.on(Side::Secret).has_changes();
        if self.contested && is_done && self.waits(run, now) {
            return Ok(Planned::Wait);
        }
        let to_file = plan.on(Side::File);
        let after = plan::applied(&to_file, &secret, &self.file);
        require(self.required, &after, "the outcome")?;
        let mut text = run.parse(self.target.relative(), self.before.map_or(&[][..], OnDisk::bytes))?;
        file_side::apply(&to_file, &secret, &mut text)?;
        run.ci.mask_document(&text);
        run.reads_back(self.target, &text.print(), &after)?;
        let to_secret = plan.on(Side::Secret);
        let from = to_secret.has_changes().then(|| Rc::new(document.print()));
        let changed = secret_side::changed(config, self.which, now, document, &to_secret, &self.file, rescued.changed)?;
        if let (Some(changed), Some(from)) = (&changed, from) {
            for step in &to_secret.steps {
                let (was, put) = (secret.get(&step.key).cloned(), changed.reads_as.get(&step.key).cloned());
                self.pending.puts.insert(
                    step.key.clone(),
                    Put { was, from: Rc::clone(&from), put, place: None, write: 0, is_shared: false },
                );
            }
            self.pending.plan = to_secret;
        }
        self.last = Last { plan, document: Some(text), ..Last::default() };
        Ok(changed.map(|changed| changed.payload).filter(|payload| is_news(payload, now)).into())
    }

    /// Whether the secret holds under the names that this run is about to write what it held all the time since the base.
    /// Where others changed it in between, and what is there now is the base's again, somebody may have written over them, and
    /// be about to bring that back: then it is a conflict. `None`: it takes more of the past.
    fn is_as_in_the_base(
        &self,
        run: &Run<'_>,
        now: Option<&Snapshot>,
        plan: &Plan,
        secret: &Variables,
        history: &mut History,
    ) -> Option<bool> {
        let (Some(base), Some(since), Some(now)) = (&self.base, &self.since, now) else { return Some(true) };
        let to_secret = plan.on(Side::Secret);
        let as_in_the_base = |step: &&Step| secret.get(&step.key) == base.get(&step.key);
        let keys: Vec<&Key> = to_secret.steps.iter().filter(as_in_the_base).map(|step| &step.key).collect();
        if !self.own.is_empty() || keys.is_empty() || run.config.dry_run {
            return Some(true);
        }
        let held = history.between(since, &now.version)?.into_iter();
        let mut documents = held.filter_map(|held| secret_side::document(run.config, self.which, Some(held)).ok());
        Some(documents.all(|document| {
            let mut held = secret_side::variables(&document);
            document::align(&mut held, base);
            keys.iter().all(|key| held.get(*key) == base.get(*key))
        }))
    }

    /// Whether others still have time for what they are about to do. Each version that somebody writes gives them more.
    pub(super) fn waits(&mut self, run: &Run<'_>, now: Option<&Snapshot>) -> bool {
        let Some(now) = now else { return false };
        if self.patience.as_ref().is_none_or(|(version, _)| *version != now.version) {
            self.patience = Some((now.version.clone(), Instant::now() + PATIENCE));
        }
        let most = *self.waits_since.get_or_insert_with(Instant::now) + AT_MOST;
        let until = |(_, until): &(Version, Instant)| Instant::now() < (*until).min(most).min(run.deadline - REST);
        self.patience.as_ref().is_some_and(until)
    }
}

pub(super) fn is_news(payload: &Payload, now: Option<&Snapshot>) -> bool {
    now.is_none_or(|now| now.payload.text != payload.text)
}

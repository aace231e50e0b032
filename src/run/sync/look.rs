//! One merge at the store: what each look at the secret leads to, until it holds or is given up.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use crate::document;
use crate::dotenv::Document;
use crate::error::Failure;
use crate::file::{Snapshot as OnDisk, Target};
use crate::plan::{self, Change, Plan, Side, Terms};
use crate::reference::Reference;
use crate::run::rescue::{Own, Put, Rescue, Rivals};
use crate::run::secret_side;
use crate::run::{Run, file_side, refused, require};
use crate::secret::{Key, Secret, Variables};
use crate::store::{History, Overtaken, Payload, Planned, Snapshot, Version};

/// How long another run is waited for that is about to mend what it has written over, or to take back what it wrote: counted
/// from the last version that anybody wrote.
const PATIENCE: Duration = Duration::from_secs(5);
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
    pub(super) pending: BTreeMap<Key, Put>,
    /// What others have put under the same names.
    pub(super) rivals: Rivals,
    pub(super) rescue: Rescue<'a>,
    /// How many versions were written over when this was last looked at.
    pub(super) overtaken: usize,
    /// The version that was there last, and until when its like is waited for.
    pub(super) patience: Option<(Version, Instant)>,
    /// What the versions that were written have changed.
    pub(super) committed: Plan,
    pub(super) last: Last,
}

/// What the last look at both sides gave.
#[derive(Default)]
pub(super) struct Last {
    pub(super) plan: Plan,
    /// The file as it shall be, without its base line.
    pub(super) document: Option<Document>,
    /// Whether this run takes back what it wrote.
    pub(super) takes_back: bool,
    /// What others wrote and this run lets stand for now, in place of its own: whoever came later is about to take it back.
    pub(super) hands_over: Option<Vec<(String, Version)>>,
    /// The text of the secret without what was taken back.
    pub(super) left: Option<Secret>,
}

impl Merge<'_> {
    /// Looks at what is there anew: what was written over so far has been looked at.
    pub(super) fn starts_over(&mut self) {
        self.last.hands_over = None;
        self.overtaken = 0;
    }

    /// Merges with what the secret holds now.
    pub(super) fn look(
        &mut self,
        run: &mut Run<'_>,
        now: Option<&Snapshot>,
        overtaken: &[Overtaken],
        history: &mut History,
    ) -> Result<Planned, Failure> {
        let config = run.config;
        run.mask_overtaken(self.which, overtaken.get(self.overtaken..).unwrap_or_default());
        if overtaken.len() > self.overtaken {
            // What was to be written then was written.
            let place = overtaken.last().map(|last| last.ours.clone());
            for (key, put) in std::mem::take(&mut self.pending) {
                let put = Put { place: place.clone(), ..put };
                self.own.entry(key).and_modify(|own| own.put.clone_from(&put.put)).or_insert(put);
            }
            self.rescue.hand_over(self.last.hands_over.take().unwrap_or_default());
            self.committed.absorb(&self.last.plan.on(Side::Secret));
            self.overtaken = overtaken.len();
        }
        self.pending.clear();
        self.last.hands_over = None;
        let mut document = secret_side::document(config, self.which, now)?;
        let current = secret_side::variables(&document);
        run.ci.mask(&current);
        let own = Own::Yields(&self.own);
        let Some(rescued) = self.rescue.bring_back(&mut document, overtaken, &own, history)? else {
            return Ok(Planned::LookBack);
        };
        for (key, versions) in &rescued.rivals {
            self.rivals.entry(key.clone()).or_default().extend(versions.clone());
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
        match self.is_settled(run, now, &plan, &secret, history) {
            None => return Ok(Planned::LookBack),
            Some(false) if self.waits(run, now) => return Ok(Planned::Look),
            Some(_) => {}
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
                self.pending.insert(step.key.clone(), Put { was, from: Rc::clone(&from), put, place: None });
            }
        }
        self.last = Last { plan, document: Some(text), ..Last::default() };
        Ok(changed.map(|changed| changed.payload).filter(|payload| is_news(payload, now)).into())
    }

    /// Whether the secret holds under the names that this run is about to write what it held all the time since the base.
    /// Where others changed it in between, and what is there now is the base's again, somebody may have written over them, and
    /// be about to bring that back: then it is a conflict. `None`: it takes more of the past.
    fn is_settled(
        &self,
        run: &Run<'_>,
        now: Option<&Snapshot>,
        plan: &Plan,
        secret: &Variables,
        history: &mut History,
    ) -> Option<bool> {
        let (Some(base), Some(since), Some(now)) = (&self.base, &self.since, now) else { return Some(true) };
        let to_secret = plan.on(Side::Secret);
        if !self.own.is_empty() || *since == now.version || !to_secret.has_changes() || run.config.dry_run {
            return Some(true);
        }
        let held = history.between(since, &now.version)?;
        let documents =
            held.into_iter().filter_map(|held| secret_side::document(run.config, self.which, Some(held)).ok());
        Some(documents.into_iter().all(|document| {
            let mut held = secret_side::variables(&document);
            document::align(&mut held, base);
            let mut as_in_the_base = to_secret.steps.iter().filter(|step| secret.get(&step.key) == base.get(&step.key));
            as_in_the_base.all(|step| held.get(&step.key) == base.get(&step.key))
        }))
    }

    /// Whether others still have time for what they are about to do. Each version that somebody writes gives them more.
    pub(super) fn waits(&mut self, run: &Run<'_>, now: Option<&Snapshot>) -> bool {
        let Some(now) = now else { return false };
        if self.patience.as_ref().is_none_or(|(version, _)| *version != now.version) {
            self.patience = Some((now.version.clone(), Instant::now() + PATIENCE));
        }
        let until = |(_, until): &(Version, Instant)| Instant::now() < *until && *until < run.deadline;
        self.patience.as_ref().is_some_and(until)
    }
}

pub(super) fn is_news(payload: &Payload, now: Option<&Snapshot>) -> bool {
    now.is_none_or(|now| now.payload.text != payload.text)
}

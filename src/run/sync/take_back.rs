//! A conflict that comes up when this run has written already, because its store cannot refuse a write: the one of two runs
//! that comes later takes back what it wrote, and looks after that.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::look::{Merge, is_news};
use crate::document;
use crate::error::{Failure, Kind};
use crate::plan::{Change, Plan};
use crate::run::Run;
use crate::run::rescue::{Own, Put, Rescue, Rescued};
use crate::run::secret_side;
use crate::secret::{Key, Secret, Variables};
use crate::store::{self, History, Payload, Planned, Raced, Snapshot, Version, WAIT};

/// How long what was taken back is looked after, counted from the last version that anybody wrote: a third run that had read
/// it writes it again, and knows nothing of a conflict. Its longest pause takes 3 s.
const WATCH: Duration = Duration::from_secs(4);
/// How often it is taken back again, so that runs that take back each other's come to an end.
const AGAIN: usize = 16;
/// How often the same takes its place.
const TRIES: usize = 4;

impl Merge<'_> {
    /// A conflict that nobody decides. Before anything was written, that is the end. Where a version of ours was written
    /// over others' (Google and Azure cannot refuse that), the later one gives way, in an order that is the same to both: it
    /// takes back what it changed. The other one lets the later value stand so long, because it may be a push's, which
    /// gives no way.
    pub(super) fn give_way(
        &mut self,
        run: &Run<'_>,
        now: Option<&Snapshot>,
        current: &Variables,
        mut document: document::Document,
        plan: &Plan,
        rescued: Rescued,
    ) -> Result<Planned, Failure> {
        if self.own.is_empty() {
            return Ok(Planned::Keep);
        }
        let form = now.map_or(store::Form::Text, |now| now.payload.form);
        let is_later = |key: &Key| {
            let first = rescued.rivals.get(key).and_then(|rivals| rivals.keys().next());
            first.is_some_and(|first| self.own.get(key).is_some_and(|own| Some(first) < own.place.as_ref()))
        };
        if !self.last.takes_back && !plan.with(Change::Conflict).any(is_later) {
            let payload = Payload { text: document.print(), form };
            self.contested = true;
            if rescued.changed && is_news(&payload, now) {
                self.last.hands_over = Some(rescued.yielded);
                return Ok(Planned::Write(payload));
            }
            let overwritten = |key: &Key| self.own.get(key).is_some_and(|own| own.put.as_ref() != current.get(key));
            if plan.with(Change::Conflict).any(overwritten) && self.waits(run, now) {
                return Ok(Planned::Wait);
            }
        }
        self.last.takes_back = true;
        let there = secret_side::variables(&document);
        // One for each write, which are few, while the names may be many.
        let mut before: Vec<(&Rc<Secret>, document::Document)> = Vec::new();
        for (key, own) in &self.own {
            if there.get(key) == own.put.as_ref() && own.put != own.was && !own.is_shared {
                match &own.was {
                    Some(_) => {
                        if !before.iter().any(|(text, _)| Rc::ptr_eq(text, &own.from)) {
                            before.push((&own.from, secret_side::parse(run.config, self.which, &own.from)?));
                        }
                        let from = before.iter().find(|(text, _)| Rc::ptr_eq(text, &own.from));
                        from.map_or(Ok(()), |(_, from)| document.graft(key.as_str(), from))
                            .map_err(|fault| self.unusable(&fault))?;
                    }
                    None => document.remove(key),
                }
            }
        }
        let payload = Payload { text: document.print(), form };
        self.last.left = Some(payload.text.clone());
        Ok(Some(payload).filter(|payload| is_news(payload, now)).into())
    }

    /// Looks after what was taken back: a third run that had written over it, and knows nothing of a conflict, may bring
    /// it back in with a repair of its own. Gives the version that counts then.
    pub(super) async fn watch(&self, run: &mut Run<'_>) -> Result<Option<Version>, Failure> {
        let (mut until, mut again, mut version) = (Instant::now() + WATCH, 0, None);
        let unsettled = loop {
            if Instant::now() + WAIT >= until {
                return Ok(version);
            }
            if again == AGAIN {
                break format!("it came back {AGAIN} times");
            }
            if Instant::now() + WAIT >= run.deadline {
                break "the time was up".to_owned();
            }
            sleep(WAIT).await;
            let mut rescue = Rescue::new(run.config, self.which);
            let (store, deadline, effects) = (run.store, run.deadline, run.effects);
            let mut plan = |now: Option<&Snapshot>, raced: &Raced, history: &mut History| {
                self.keep_out(run, &mut rescue, now, raced, history, again / TRIES)
            };
            let looked = store::update(store, self.which, deadline, effects, None, &mut plan).await;
            match looked {
                Ok(written) => {
                    for remark in written.remarks.iter().chain(&rescue.remark()) {
                        run.ci.warning_once(remark);
                    }
                    again += usize::from(written.changed);
                    if version != written.version {
                        until = Instant::now() + WATCH;
                    }
                    version = written.version;
                }
                Err(failure) if failure.kind == Kind::Partial => return Err(failure),
                Err(failure) => break failure.to_string(),
            }
        };
        let what = format!("`{}` was not looked after until nobody wrote it any more: {unsettled}", self.which);
        run.ci.warning(&what, Some("look whether what this run took back is in it again"));
        Ok(version)
    }

    /// The secret without what this run took back. `step`: how far back to go among what others put in its place.
    fn keep_out(
        &self,
        run: &mut Run<'_>,
        rescue: &mut Rescue<'_>,
        now: Option<&Snapshot>,
        raced: &Raced,
        history: &mut History,
        step: usize,
    ) -> Result<Planned, Failure> {
        let (Some(now), Some(left)) = (now, &self.last.left) else { return Ok(Planned::Keep) };
        run.mask_overtaken(self.which, &raced.overtaken);
        let mut document = secret_side::document(run.config, self.which, Some(now))?;
        run.ci.mask(&secret_side::variables(&document));
        let none = BTreeMap::new();
        let Some(rescued) = rescue.bring_back(&mut document, &raced.overtaken, &Own::Yields(&none), history)? else {
            return Ok(Planned::LookBack);
        };
        let left = secret_side::parse(run.config, self.which, left)?;
        let (there, then) = (secret_side::variables(&document), secret_side::variables(&left));
        let is_back = |key: &Key, own: &Put| there.get(key) == own.put.as_ref() && there.get(key) != then.get(key);
        let back: Vec<&Key> = self.own.iter().filter(|(key, own)| is_back(key, own)).map(|(key, _)| key).collect();
        if back.is_empty() && !rescued.changed {
            return Ok(Planned::Keep);
        }
        for key in back {
            let rival = self.rival(run, key, then.get(key), step)?;
            if rival.is_some() || then.contains_key(key) {
                let from = rival.as_ref().unwrap_or(&left);
                document.graft(key.as_str(), from).map_err(|fault| self.unusable(&fault))?;
            } else {
                document.remove(key);
            }
        }
        let payload = Payload { text: document.print(), form: now.payload.form };
        Ok(Some(payload).filter(|payload| is_news(payload, Some(now))).into())
    }

    /// A version with what another run put under this name so many steps before `left`. Each of several syncs takes back what
    /// it wrote itself: what is left for the next one to take back has to give way to what came before it, down to the first
    /// one, which stands. `None`: `left` is it.
    fn rival(
        &self,
        run: &Run<'_>,
        key: &Key,
        left: Option<&Secret>,
        step: usize,
    ) -> Result<Option<document::Document>, Failure> {
        let mut values: Vec<(Secret, document::Document)> = Vec::new();
        for version in self.rivals.get(key).into_iter().flat_map(BTreeMap::values) {
            let document = secret_side::document(run.config, self.which, Some(version))?;
            let value = secret_side::variables(&document).get(key).cloned();
            if let Some(value) = value.filter(|value| !values.iter().any(|(known, _)| known == value)) {
                values.push((value, document));
            }
        }
        let at = values.iter().position(|(value, _)| Some(value) == left).unwrap_or(values.len());
        let at = at.saturating_sub(step);
        Ok((step > 0 && at < values.len()).then(|| values.swap_remove(at).1))
    }

    fn unusable(&self, fault: &document::Fault) -> Failure {
        Failure::new(Kind::Partial, format!("couldn't take back what was written into `{}`: {fault}", self.which))
            .help(fault.help(&self.which.id))
    }
}

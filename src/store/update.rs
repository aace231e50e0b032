//! The write loop: what a store does not promise, that no update of another writer is lost, it makes of fetch and commit.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::history::{History, Ids};
use super::{Commit, Payload, Place, Race, Snapshot, Store, Version, fetch_one};
use crate::effects::Effects;
use crate::error::{Failure, Kind, Problem};
use crate::reference::{Pin, Reference};

/// The pause between two looks where somebody else is expected to write.
pub const WAIT: Duration = Duration::from_millis(200);

/// What a write came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// The version that counts now, ours or the one that needed no change; `None` where there is still no secret.
    pub version: Option<Version>,
    /// Whether that version is a new one of ours.
    pub changed: bool,
    /// What the user has to know.
    pub remarks: Vec<String>,
}

impl Written {
    /// What this and a later write of the same run came to.
    pub fn follow(&mut self, later: Self) {
        self.version = later.version;
        self.changed |= later.changed;
        self.remarks.extend(later.remarks);
    }
}

/// What a run has met so far of others that write.
#[derive(Default)]
pub struct Raced {
    /// What its versions were written over, as far as that can be read.
    pub overtaken: Vec<Overtaken>,
    /// Where those versions of its own stand, in the order of the writes.
    pub written: Vec<Place>,
}

/// A version of somebody else that one of ours was written over.
pub struct Overtaken {
    /// What our write started from; `None` where there was no secret.
    pub base: Option<Snapshot>,
    /// The versions before that one: the other may have started from one of them.
    pub before: Ids,
    /// What the other wrote.
    pub theirs: Rc<Snapshot>,
    /// Where that stands in the order that is the same to all runs.
    pub place: Place,
    /// Which write of ours was written over it, counted from one.
    pub write: usize,
    /// Theirs was what counted right after both were written: whoever wrote it has ours to look at, and not the other way.
    pub counted: bool,
}

/// What a look at the secret leads to.
pub enum Planned {
    /// Nothing is to be written.
    Keep,
    /// This is to be its content.
    Write(Payload),
    /// Somebody else is expected to write: nothing is written, and it is looked at again after a pause.
    Wait,
    /// It takes the older versions that the history was asked for: they are read, and the plan is asked anew.
    LookBack,
}

impl From<Option<Payload>> for Planned {
    fn from(payload: Option<Payload>) -> Self {
        payload.map_or(Self::Keep, Self::Write)
    }
}

/// What the secret shall hold, by what it holds, what this run has met of others, and other versions. No type parameter: the
/// loop is in the binary once.
pub(super) type Plan<'a> = dyn FnMut(Option<&Snapshot>, &Raced, &mut History) -> Result<Planned, Failure> + 'a;

/// Fetch, plan, commit, and again from the start when somebody else was faster, until it holds or `deadline` is near.
/// `plan` gets what the secret holds, what this run has met of others and what was read of other versions, and gives what the
/// secret shall hold; it is asked anew after every lost race. `first`: what the secret held a moment ago, where it was read
/// already.
///
/// # Errors
/// What `plan` or the store answered; [`Kind::Refused`] where the race was lost until the time was up, and
/// [`Kind::Partial`] where a version of ours may hide another's by then.
pub async fn update(
    store: &dyn Store,
    which: &Reference,
    deadline: Instant,
    effects: &Effects,
    mut first: Option<Option<Snapshot>>,
    plan: &mut Plan<'_>,
) -> Result<Written, Failure> {
    let effects = effects.on(&which.id);
    let mut written = Written { version: None, changed: false, remarks: Vec::new() };
    let mut raced = Raced::default();
    let mut history = History::new(store.may_hide());
    let mut backoff = Backoff::default();
    loop {
        let snapshot = match first.take() {
            Some(snapshot) => snapshot,
            None => fetch_one(store, which).await.map_err(|failure| half_done(failure, which, &raced))?,
        };
        if let Some(remark) = snapshot.as_ref().and_then(|snapshot| snapshot.remark.clone())
            && !written.remarks.contains(&remark)
        {
            written.remarks.push(remark);
        }
        let version = snapshot.as_ref().map(|s| s.version.clone());
        let planned = ask(plan, store, which, snapshot.as_ref(), &raced, &mut history).await;
        let planned = planned.map_err(|failure| half_done(failure, which, &raced))?;
        let is_wait = matches!(planned, Planned::Wait);
        let outcome = match planned {
            Planned::Keep => {
                effects.may_hide(None);
                return Ok(Written { version, ..written });
            }
            Planned::Write(payload) => store.commit(which, version.as_ref(), &payload).await,
            Planned::Wait | Planned::LookBack => Ok(Commit::Conflict),
        };
        match outcome.map_err(|failure| half_done(failure, which, &raced))? {
            Commit::Done { version, race, remark } => {
                written.remarks.extend(remark);
                written.changed = true;
                let Some(Race { overtook, ours, before, counts }) = race else {
                    effects.may_hide(None);
                    return Ok(Written { version: Some(version), ..written });
                };
                let ids: Vec<String> = overtook.iter().map(|(id, _)| id.to_string()).collect();
                effects.may_hide(Some(format!("it may hide what others wrote as version {}", ids.join(", "))));
                raced.written.push(ours);
                let read = fetch_versions(store, which, overtook.iter().map(|(id, _)| id)).await?;
                for ((id, place), theirs) in overtook.into_iter().zip(read) {
                    match theirs {
                        Some(theirs) => {
                            let counted = counts.as_ref() == Some(&id);
                            let (base, before) = (snapshot.clone(), Rc::clone(&before));
                            let theirs = Rc::new(theirs);
                            let write = raced.written.len();
                            raced.overtaken.push(Overtaken { base, before, theirs, place, write, counted });
                        }
                        None => written.remarks.push(format!(
                            "version {id} of `{which}`, written by somebody else at the same time, cannot be read any more"
                        )),
                    }
                }
            }
            Commit::Rehearsed => return Ok(Written { version, ..written }),
            Commit::Conflict => {}
        }
        let wait = if is_wait { WAIT } else { backoff.pause() };
        if Instant::now() + wait >= deadline {
            let what = format!("others kept writing `{which}` until the time was up");
            let failure = Failure::new(Kind::Refused, what).help("run it again, or raise `timeout_seconds`");
            return Err(half_done(failure, which, &raced));
        }
        tokio::time::sleep(wait).await;
    }
}

/// Asks the plan until it needs no more of the past.
async fn ask(
    plan: &mut Plan<'_>,
    store: &dyn Store,
    which: &Reference,
    now: Option<&Snapshot>,
    raced: &Raced,
    history: &mut History,
) -> Result<Planned, Failure> {
    loop {
        match plan(now, raced, history)? {
            Planned::LookBack => history.look_back(store, which).await?,
            planned => return Ok(planned),
        }
    }
}

/// A failure after a version of ours was written over others says which ones to look at.
fn half_done(failure: Failure, which: &Reference, raced: &Raced) -> Failure {
    if raced.overtaken.is_empty() {
        return failure;
    }
    let versions: Vec<String> = raced.overtaken.iter().map(|o| format!("`{}`", o.theirs.version)).collect();
    let what =
        format!("a version of ours may hide what others wrote into `{which}` as version {}", versions.join(", "));
    let mut problems = failure.problems;
    problems.push(Problem::new(what, "run it again, and compare those versions with the current one"));
    Failure { kind: Kind::Partial, problems }
}

/// `None` for a version that is gone again, or was disabled.
async fn fetch_versions(
    store: &dyn Store,
    which: &Reference,
    versions: impl Iterator<Item = &Version>,
) -> Result<Vec<Option<Snapshot>>, Failure> {
    let references: Vec<Reference> =
        versions.map(|version| Reference { pin: Pin::Version(version.0.clone()), ..which.clone() }).collect();
    let mut found = Vec::new();
    for (reference, answer) in references.iter().zip(store.fetch(&references).await) {
        let hidden = |failure: Failure| {
            let what = format!("our version may hide `{reference}`, which could not be read: {failure}");
            Failure::new(Kind::Partial, what).help("compare that version with the current one")
        };
        match answer {
            Ok(found_or_gone) => found.push(found_or_gone),
            Err(failure) if failure.kind == Kind::NotFound => found.push(None),
            Err(failure) => return Err(hidden(failure)),
        }
    }
    Ok(found)
}

/// Full jitter whose ceiling doubles from 50 ms to 3 s: a lost race means that somebody else got on, and on AWS every
/// lost try leaves a version behind.
pub struct Backoff {
    ceiling: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { ceiling: Duration::from_millis(50) }
    }
}

impl Backoff {
    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let wait = self.ceiling.mul_f64(fastrand::f64());
        self.ceiling = (self.ceiling * 2).min(Duration::from_secs(3));
        wait
    }
}

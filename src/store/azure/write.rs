//! One write, done once although Key Vault does not know one request from its repetition.

use std::time::{Duration, Instant};

use super::trouble::{Conflict, Trouble};
use super::vault::{Carried, Deleted, Found, Vault, Versions};
use super::{SETTLING, is_deleted, partial, readable, unsettled};
use crate::effects::Effects;
use crate::error::{Failure, Kind};
use crate::reference::Reference;
use crate::store::{Payload, told};

/// How often a version is written that was not there when its answer was lost.
const WRITES: u32 = 4;
/// Before each look for a write whose answer was lost, in milliseconds: the vault may still be at it.
const LOST: [u64; 3] = [100, 400, 1000];
/// The same for one that was not answered in time.
const LATE: [u64; 5] = [100, 400, 1000, 3000, 5000];
const PAUSE: Duration = Duration::from_secs(1);

/// What is written, with what was there before.
pub(super) struct Write<'a> {
    pub(super) vault: &'a Vault,
    pub(super) name: &'a str,
    pub(super) which: &'a Reference,
    pub(super) payload: &'a Payload,
    pub(super) carried: &'a Carried,
    /// The version that was planned on.
    pub(super) expected: Option<&'a str>,
    /// What there was before; `None` where it is not looked at.
    pub(super) before: Option<Versions>,
    /// A deleted secret is recovered when it is read again.
    pub(super) recover: bool,
    /// That of this secret.
    pub(super) effects: &'a Effects,
}

impl Write<'_> {
    /// Writes, and gives the version's id. `None`: something else was at it, and nothing was written.
    pub(super) async fn run(&self) -> Result<Option<String>, Failure> {
        let Self { vault, name, which, .. } = *self;
        let begun = Instant::now();
        let mut tried = 0;
        loop {
            self.effects.may(format!("the secret `{}` may have been written", which.id));
            let trouble = match vault.set(name, &self.payload.text, self.carried).await {
                Ok(version) => return Ok(Some(self.done(version))),
                Err(trouble) => trouble,
            };
            if !trouble.is_ambiguous() {
                self.effects.did_not();
            }
            match trouble.conflict() {
                Some(Conflict::BeingRecovered) if begun.elapsed() >= SETTLING => return Err(unsettled(which)),
                Some(Conflict::BeingRecovered) => match self.expected {
                    // What there is was read already, and what comes in between is found by its id.
                    Some(_) => tokio::time::sleep(PAUSE).await,
                    None => return readable(vault, name, which).await.map(|_| None),
                },
                Some(Conflict::BeingDeleted) => {
                    tokio::time::sleep(PAUSE).await;
                    return Ok(None);
                }
                Some(Conflict::Contention) => return Ok(None),
                Some(Conflict::Deleted | Conflict::Untold) if self.recover => return Ok(None),
                Some(conflict) => return self.deleted(conflict).await,
                None if trouble.is_ambiguous() => {
                    let pauses = if trouble.is_pending() { LATE.as_slice() } else { LOST.as_slice() };
                    if let Some(version) = self.look_for(pauses).await.map_err(|failure| unknown(failure, which))? {
                        return Ok(Some(self.done(version)));
                    }
                    // What is still under way may arrive at any later moment, and a second one would not undo it: the
                    // doubt stays.
                    if trouble.is_pending() {
                        return Err(trouble.failure());
                    }
                    self.effects.did_not();
                    tried += 1;
                    if tried == WRITES {
                        return Err(trouble.failure());
                    }
                }
                None => return Err(trouble.failure()),
            }
        }
    }

    fn done(&self, version: String) -> String {
        self.effects.wrote(told(self.which, &version).0);
        version
    }

    /// A conflict that is, or may be, a deletion.
    async fn deleted(&self, conflict: Conflict) -> Result<Option<String>, Failure> {
        match self.vault.deleted(self.name).await {
            Ok(Some(deleted)) => Err(is_deleted(self.vault, self.name, self.which, &deleted)),
            _ if conflict == Conflict::Deleted => {
                let untold = Deleted { since: None, until: None };
                Err(is_deleted(self.vault, self.name, self.which, &untold))
            }
            _ => Ok(None),
        }
    }

    /// Looks after each of these pauses.
    async fn look_for(&self, pauses: &[u64]) -> Result<Option<String>, Failure> {
        for pause in pauses {
            tokio::time::sleep(Duration::from_millis(*pause)).await;
            if let Some(version) = self.look().await? {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// Whether the answer was lost and not the write: a version that was not there before holds what was to be written.
    async fn look(&self) -> Result<Option<String>, Failure> {
        let Some(before) = &self.before else {
            return match self.vault.get(self.name, None).await {
                Ok(found) => Ok(self.is_ours(&found).then_some(found.version)),
                Err(trouble) if trouble.is_missing() => Ok(None),
                Err(trouble) => Err(trouble.failure()),
            };
        };
        let now = self.vault.versions(self.name).await.map_err(Trouble::failure)?;
        for version in now.keys().filter(|version| !before.contains_key(*version)) {
            match self.vault.get(self.name, Some(version)).await.map_err(Trouble::failure) {
                Ok(found) if self.is_ours(&found) => return Ok(Some(found.version)),
                // One that is gone again, or was disabled, is another's.
                Err(failure) if failure.kind != Kind::NotFound => return Err(failure),
                _ => {}
            }
        }
        Ok(None)
    }

    fn is_ours(&self, found: &Found) -> bool {
        found.value == self.payload.text && Some(found.version.as_str()) != self.expected
    }
}

/// The answer to a write was lost, and so was the look for it.
fn unknown(failure: Failure, which: &Reference) -> Failure {
    let what = format!("the answer to a write of `{which}` was lost: it is not known whether it was written");
    partial(failure, what, "run it again: it writes only what is not there")
}

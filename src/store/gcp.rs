//! Google Secret Manager: detect and repair.
//!
//! Adding a version has no precondition: [etags](https://cloud.google.com/secret-manager/docs/etags) exist for all other
//! writes only. But versions are numbered without a gap, and a read by number is strongly consistent
//! ([consistency](https://cloud.google.com/secret-manager/docs/reference/consistency)). A write that was planned on
//! version N and becomes N+1 has hidden nothing; one that becomes more has been written over what lies between, and the
//! loop above brings that back in.

mod adding;
mod listing;
mod name;
mod reading;
mod transport;
mod trouble;

use std::cell::RefCell;
use std::collections::HashMap;

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _};
use google_cloud_gax::error::Error;
use google_cloud_secretmanager_v1::client::SecretManagerService;

use super::{Allowed, Commit, Listed, Payload, Place, RECENT, Race, Snapshot, Store, Version, is_empty};
use crate::auth::Means;
use crate::auth::gcp::Login;
use crate::config;
use crate::effects::Effects;
use crate::error::{Failure, Kind};
use crate::reference::{Entry, Reference, gcp};
use name::Name;
use transport::Transport;
use trouble::{Operation, Trouble};

/// [Quotas](https://cloud.google.com/secret-manager/quotas).
const MAX_BYTES: usize = 65_536;
/// How many secrets are read at once: each takes a connection.
const PARALLEL: usize = 16;
/// How many versions are looked back at, at the most.
const LOOK_BACK: usize = 4096;
/// How many versions one page of a list brings. Newest first, so that the first page is nearly always enough.
const PAGE: i32 = 250;

/// Secrets of the projects that the entries name.
pub struct Gcp {
    client: SecretManagerService,
    login: Login,
    project: Option<String>,
    locations: Vec<String>,
    allowed: Allowed,
    effects: Effects,
    /// By the entry's id.
    seen: RefCell<HashMap<String, Seen>>,
}

/// What this run knows of a secret's numbers.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// Our last write. `latest` may lag behind it.
    written: u64,
    /// The newest version when an older one was read in its place.
    newest: u64,
}

impl Gcp {
    /// Logs in and prepares the client. What is changed later is told to `effects`.
    ///
    /// # Errors
    /// As [`Login::new`]; also [`Kind::Input`] for a short name without a project.
    pub async fn new(
        settings: &config::Gcp,
        entries: &[Entry],
        means: Means,
        allowed: Allowed,
        effects: Effects,
    ) -> Result<Self, Failure> {
        let login = Login::new(settings, &means).await?;
        let project = settings.project.clone().or_else(|| login.project().map(str::to_owned));
        let universe = settings.login.universe.clone();
        let transport = Transport::new(means.http, login.clone(), settings.endpoint.clone(), universe);
        let client = SecretManagerService::from_stub::<Transport>(transport);
        let locations = settings.locations.clone();
        let gcp = Self { client, login, project, locations, allowed, effects, seen: RefCell::default() };
        for entry in entries {
            gcp.name(&entry.reference)?;
        }
        Ok(gcp)
    }

    fn name(&self, which: &Reference) -> Result<Name, Failure> {
        let parsed =
            gcp::Name::parse(&which.id).map_err(|why| Failure::new(Kind::Input, format!("`{}` {why}", which.id)))?;
        let project = parsed.project.or_else(|| self.project.clone()).ok_or_else(|| {
            Failure::new(
                Kind::Input,
                format!("the secret `{}` is named without its project, and none is given", which.id),
            )
            .help(format!("give `gcp_project`, or write `projects/PROJECT/secrets/{}`", parsed.secret))
        })?;
        Ok(Name { project, location: parsed.location, secret: parsed.secret })
    }

    fn trouble(&self, operation: Operation, name: &Name, version: Option<&str>, error: &Error) -> Trouble {
        Trouble::new(operation, name, version, error).of(self.login.member())
    }

    fn seen(&self, which: &Reference) -> Seen {
        self.seen.borrow().get(&which.id).copied().unwrap_or_default()
    }

    fn note(&self, which: &Reference, change: impl FnOnce(&mut Seen)) {
        change(self.seen.borrow_mut().entry(which.id.clone()).or_default());
    }
}

#[async_trait(?Send)]
impl Store for Gcp {
    async fn fetch(&self, which: &[Reference]) -> Vec<Result<Option<Snapshot>, Failure>> {
        let read = |which| async move {
            let answer = self.get(which).await;
            self.effects.step();
            answer
        };
        stream::iter(which.iter().map(read)).buffered(PARALLEL).collect().await
    }

    async fn commit(
        &self,
        which: &Reference,
        expected: Option<&Version>,
        payload: &Payload,
    ) -> Result<Commit, Failure> {
        let name = self.name(which)?;
        if self.allowed.rehearse {
            if expected.is_none() {
                self.rehearse_first(which, &name).await?;
            }
            return Ok(Commit::Rehearsed);
        }
        let (base, number) = match expected {
            Some(version) => {
                let foreign = || Failure::new(Kind::Internal, format!("`{version}` is no version of Google's"));
                let base = version.0.parse::<u64>().map_err(|_| foreign())?.max(self.seen(which).newest);
                (base, self.add(which, &name, base, payload).await?)
            }
            None => (0, self.first(which, &name, payload).await?),
        };
        // The secret went, or came, between our read and now.
        let Some(number) = number else { return Ok(Commit::Conflict) };
        self.note(which, |seen| seen.written = number);
        // A number that is not greater belongs to a secret that was deleted and made anew.
        let from = if number > base { base + 1 } else { 1 };
        let between = if self.allowed.unsafe_write { number..number } else { from..number };
        let version = |number: u64| Version(number.to_string());
        let placed = |number: u64| Place(number.cast_signed(), String::new());
        let overtook: Vec<_> = between.map(|number| (version(number), placed(number))).collect();
        let race = (!overtook.is_empty()).then(|| {
            let before =
                (1..from.saturating_sub(1)).rev().take(LOOK_BACK).map(|number| vec![version(number)]).collect();
            Race { overtook, ours: placed(number), before, counts: None }
        });
        Ok(Commit::Done { version: version(number), race, remark: None })
    }

    fn may_hide(&self) -> bool {
        !self.allowed.unsafe_write
    }

    async fn between(&self, _: &Reference, older: &Version, newer: &Version) -> Result<Vec<Version>, Failure> {
        let (Ok(older), Ok(newer)) = (older.0.parse::<u64>(), newer.0.parse::<u64>()) else { return Ok(Vec::new()) };
        let between = (older.saturating_add(1)..newer).rev();
        Ok(between.take(RECENT).map(|number| Version(number.to_string())).collect())
    }

    async fn list(&self, which: &Reference) -> Result<Vec<Listed>, Failure> {
        self.find(which).await
    }

    fn identity(&self, which: &Reference) -> Result<String, Failure> {
        Ok(self.name(which)?.to_string())
    }
}

/// Whether the service holds a payload of this size.
///
/// # Errors
/// [`Kind::Input`] for one that is empty or too large.
pub(super) fn check_size(which: &Reference, payload: &Payload) -> Result<(), Failure> {
    let bytes = payload.text.expose().len();
    if bytes == 0 {
        return Err(is_empty(which, "Google Secret Manager"));
    }
    if bytes > MAX_BYTES {
        let what =
            format!("the secret `{}` would have {bytes} bytes; Google Secret Manager holds {MAX_BYTES}", which.id);
        return Err(Failure::new(Kind::Input, what)
            .help("split it into several secrets, or leave variables out with `exclude`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Pin;
    use crate::store::Form;

    #[test]
    fn sizes_are_bounded_on_both_sides() {
        let which = Reference { id: "app".into(), pin: Pin::Current, region: None, variable: None };
        let payload = |bytes: usize| Payload { text: "x".repeat(bytes).into(), form: Form::Text };
        assert_eq!(check_size(&which, &payload(1)), Ok(()));
        assert_eq!(check_size(&which, &payload(MAX_BYTES)), Ok(()));
        for bytes in [0, MAX_BYTES + 1] {
            assert_eq!(check_size(&which, &payload(bytes)).unwrap_err().kind, Kind::Input);
        }
    }
}

//! Azure Key Vault: no condition of any kind on a write, so a write is one over what others wrote meanwhile, found by the
//! ids of the versions before and after, and mended by the loop in [`super::update`].
//!
//! Times have a grain of one second and a list has no order, so only the ids tell what is new; what another writer may have
//! started from, and which of two older values came first, is all that the times tell
//! ([SET](https://learn.microsoft.com/rest/api/keyvault/secrets/set-secret/set-secret) knows no `If-Match`). A version that
//! is disabled, expired or not yet valid is an error of [`Kind::NotFound`], like the missing secret that it stands for.

mod race;
mod trouble;
mod vault;
mod write;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use azure_core::time::OffsetDateTime;
use futures_util::StreamExt as _;
use futures_util::stream::iter;

use super::{Allowed, Commit, Form, Listed, Payload, Snapshot, Store, Version, not_found};
use crate::auth::{self, Means};
use crate::config;
use crate::effects::Effects;
use crate::error::{Failure, Kind, Problem};
use crate::reference::azure::Name;
use crate::reference::{Entry, Pattern, Pin, Provider, Reference, mapped};
use race::{between, is_old, race};
use trouble::Trouble;
use vault::{Carried, Deleted, Found, Vault, Versions, is_version};
use write::Write;

/// [Limits](https://learn.microsoft.com/azure/key-vault/secrets/about-secrets): 25 KB.
const MAX_BYTES: usize = 25_600;
/// Each is a connection.
const AT_ONCE: usize = 16;
/// How long a deletion or a recovery that is under way is waited for.
const SETTLING: Duration = Duration::from_secs(60);

/// Clients for the vaults that the entries name.
pub struct Azure {
    vaults: BTreeMap<String, Vault>,
    default_vault: Option<String>,
    allowed: Allowed,
    effects: Effects,
    /// The ids of versions that were read, and that nobody mends any more.
    old: RefCell<HashSet<String>>,
}

impl Azure {
    /// Logs in, and prepares a client a vault. What is changed later is told to `effects`. A vault outside the domains of
    /// Microsoft's clouds has to be asked first which resource it is of: there the login happens with the first call.
    ///
    /// # Errors
    /// [`Kind::Input`] for a tenant, a vault's URL or a version that can be none, [`Kind::Login`] for a refused login.
    pub async fn new(
        settings: &config::Azure,
        entries: &[Entry],
        means: Means,
        allowed: Allowed,
        effects: Effects,
    ) -> Result<Self, Failure> {
        let credential = auth::azure::credential(settings, &means)?;
        let (vaults, default_vault, old) = (BTreeMap::new(), settings.vault.clone(), RefCell::default());
        let mut azure = Self { vaults, default_vault, allowed, effects, old };
        for entry in entries {
            pin(&entry.reference)?;
            let (url, _) = azure.parts(&entry.reference)?;
            // Opening costs nothing, and a second one of the same vault changes nothing.
            let vault = Vault::open(&url, &credential, &means.http)?;
            azure.vaults.insert(url, vault);
        }
        let resources: BTreeSet<&str> = azure.vaults.values().filter_map(Vault::resource).collect();
        for resource in resources {
            auth::azure::log_in(credential.as_ref(), resource).await?;
        }
        Ok(azure)
    }

    /// The vault's URL and the secret's short name.
    fn parts(&self, which: &Reference) -> Result<(String, String), Failure> {
        let wrong = |why| Failure::new(Kind::Input, format!("the secret `{which}` {why}"));
        let name = Name::parse(&which.id).map_err(|why| wrong(why).help("check the entry"))?;
        let url = name.vault.or_else(|| self.default_vault.clone()).ok_or_else(|| {
            wrong("is named without its vault".to_owned()).help("set `azure_vault`, or name it by its https identifier")
        })?;
        Ok((url.to_ascii_lowercase(), name.secret))
    }

    fn place(&self, which: &Reference) -> Result<(&Vault, String), Failure> {
        let (url, name) = self.parts(which)?;
        let missing = || Failure::new(Kind::Internal, format!("no client was made for the vault of `{which}`"));
        Ok((self.vaults.get(&url).ok_or_else(missing)?, name))
    }

    async fn get(&self, which: &Reference) -> Result<Option<Snapshot>, Failure> {
        let (vault, name) = self.place(which)?;
        match vault.get(&name, pin(which)?).await {
            Ok(found) => {
                is_its_own(&found, which)?;
                if found.created.is_some_and(|created| is_old(created, OffsetDateTime::now_utc())) {
                    self.old.borrow_mut().insert(found.version.clone());
                }
                snapshot(found, which, None).map(Some)
            }
            Err(trouble) if trouble.is_missing() => self.get_deleted(vault, &name, which).await,
            Err(trouble) => Err(trouble.failure()),
        }
    }

    /// A secret that is not to be found may be soft-deleted.
    async fn get_deleted(&self, vault: &Vault, name: &str, which: &Reference) -> Result<Option<Snapshot>, Failure> {
        match vault.deleted(name).await {
            Ok(Some(deleted)) if self.allowed.recover && self.allowed.rehearse => {
                let help = "the run will recover it: without `dry_run`, because what it holds is not known before";
                Err(is_deleted(vault, name, which, &deleted).help(help))
            }
            Ok(Some(_)) if self.allowed.recover => {
                let remark = format!("the secret `{}` was recovered from deletion", which.id);
                let found = self.recovered(vault, name, which, &remark).await?;
                snapshot(found, which, Some(remark)).map(Some)
            }
            Ok(Some(deleted)) => Err(is_deleted(vault, name, which, &deleted)),
            Ok(None) => Ok(None),
            // Without the permission to look it is as it was said to be; a write would be refused.
            Err(trouble) if trouble.is_denied() && !self.allowed.recover => Ok(None),
            Err(trouble) => Err(trouble.failure()),
        }
    }

    /// Recovers a soft-deleted secret, and waits for it.
    async fn recovered(&self, vault: &Vault, name: &str, which: &Reference, done: &str) -> Result<Found, Failure> {
        self.effects.on(&which.id).may(format!("the secret `{}` may have been recovered from deletion", which.id));
        match vault.recover(name).await {
            Ok(()) => self.effects.on(&which.id).did(done),
            // It is under way already, by somebody else or by a request of ours whose answer was lost.
            Err(trouble) if trouble.conflict().is_some() || trouble.is_missing() => {
                let found = readable(vault, name, which).await?;
                self.effects.on(&which.id).did(done);
                return Ok(found);
            }
            Err(trouble) => {
                if !trouble.is_ambiguous() {
                    self.effects.on(&which.id).did_not();
                }
                return Err(trouble.failure());
            }
        }
        readable(vault, name, which).await
    }
}

#[async_trait(?Send)]
impl Store for Azure {
    async fn fetch(&self, which: &[Reference]) -> Vec<Result<Option<Snapshot>, Failure>> {
        let read = |which| async move {
            let answer = self.get(which).await;
            self.effects.step();
            answer
        };
        iter(which.iter().map(read)).buffered(AT_ONCE).collect().await
    }

    async fn commit(
        &self,
        which: &Reference,
        expected: Option<&Version>,
        payload: &Payload,
    ) -> Result<Commit, Failure> {
        let (vault, name) = self.place(which)?;
        let expected = expected.map(|version| version.0.as_str());
        let safe = !self.allowed.unsafe_write;
        if expected.is_none() && !self.allowed.create {
            let place = if which.id.contains('/') { String::new() } else { format!(" in {}", vault.host()) };
            return Err(not_found(which, &place, "create it, or set `create` to `true`"));
        }
        // Before the value is read: what is written after that is then either read here, or new to the list below.
        let before = match expected {
            Some(_) if safe => Some(vault.versions(&name).await.map_err(Trouble::failure)?),
            _ => safe.then(Versions::new),
        };
        let carried = match expected {
            None => Carried::first(which.variable.as_ref()),
            Some(expected) => match vault.get(&name, None).await {
                Ok(found) if safe && found.version != expected => return Ok(Commit::Conflict),
                Ok(found) if found.managed => return Err(is_managed(which)),
                Ok(found) => found.carried,
                Err(trouble) if trouble.is_missing() => return Ok(Commit::Conflict),
                Err(trouble) => return Err(trouble.failure()),
            },
        };
        if self.allowed.rehearse {
            return Ok(Commit::Rehearsed);
        }
        let (recover, effects) = (self.allowed.recover, &self.effects.on(&which.id));
        let write = Write { vault, name: &name, which, payload, carried: &carried, expected, before, recover, effects };
        let Some(ours) = write.run().await? else { return Ok(Commit::Conflict) };
        let race = match &write.before {
            None => None,
            Some(before) => {
                let after = vault.versions(&name).await.map_err(|trouble| unseen(trouble.failure(), which, &ours))?;
                let mut race = race(before, &after, expected, &ours);
                if let Some(race) = &mut race {
                    // Times and ids do not tell which one came last. Only a look does, and only at once.
                    race.counts = vault.get(&name, None).await.ok().map(|found| Version(found.version));
                }
                race
            }
        };
        Ok(Commit::Done { version: Version(ours), race, remark: None })
    }

    fn may_hide(&self) -> bool {
        !self.allowed.unsafe_write
    }

    async fn between(&self, which: &Reference, older: &Version, newer: &Version) -> Result<Vec<Version>, Failure> {
        if self.old.borrow().contains(&newer.0) {
            return Ok(Vec::new());
        }
        let (vault, name) = self.place(which)?;
        let listed = vault.versions(&name).await.map_err(Trouble::failure)?;
        Ok(between(&listed, &older.0, &newer.0))
    }

    async fn list(&self, which: &Reference) -> Result<Vec<Listed>, Failure> {
        let internal = || Failure::new(Kind::Internal, format!("`{which}` is no pattern"));
        let pattern = Pattern::new(Provider::Azure, which).ok_or_else(internal)?;
        let (vault, _) = self.place(which)?;
        let mut listed = BTreeMap::new();
        for item in vault.secrets(&which.id).await.map_err(Trouble::failure)? {
            let Some(star) = pattern.star(&item.name) else { continue };
            let name = item.key.unwrap_or_else(|| star.to_owned());
            let one = Listed { which: pattern.reference(&item.name), name, unusable: item.unusable };
            listed.insert(item.name.to_ascii_lowercase(), one);
        }
        let mut listed: Vec<Listed> = listed.into_values().collect();
        listed.sort_by(|a, b| a.which.id.cmp(&b.which.id));
        Ok(listed)
    }

    fn identity(&self, which: &Reference) -> Result<String, Failure> {
        let (vault, name) = self.parts(which)?;
        Ok(format!("{}/secrets/{}", vault.trim_end_matches('/'), name.to_ascii_lowercase()))
    }
}

/// The version that a reference asks for.
fn pin(which: &Reference) -> Result<Option<&str>, Failure> {
    match &which.pin {
        Pin::Current => Ok(None),
        Pin::Version(version) if is_version(version) => Ok(Some(version)),
        Pin::Version(_) | Pin::Stage(_) => {
            let what = format!("the secret `{which}` is asked for in what is no version of Key Vault");
            Err(Failure::new(Kind::Input, what).help("a version has 32 hexadecimal digits: copy it from the portal"))
        }
    }
}

/// A secret that stands for another variable is not this one's, although `_` and `-`, or the case, make one name of both.
fn is_its_own(found: &Found, which: &Reference) -> Result<(), Failure> {
    match (found.carried.key(), &which.variable) {
        (Some(other), Some(variable)) if mapped(other) != variable.as_str() => {
            let what = format!("`{variable}` and `{}` would both be the secret `{}`", mapped(other), which.id);
            Err(Failure::new(Kind::Input, what).help("give one of them another name, or leave it out with `exclude`"))
        }
        _ => Ok(()),
    }
}

fn snapshot(found: Found, which: &Reference, remark: Option<String>) -> Result<Snapshot, Failure> {
    if let Some(why) = found.carried.unusable(OffsetDateTime::now_utc()) {
        let what = format!("version {} of the secret `{}` {why}", found.version, which.id);
        return Err(Failure::new(Kind::NotFound, what).help(
            "change its dates with `az keyvault secret set-attributes`, or read another version by `?version=`",
        ));
    }
    let payload = Payload { text: found.value, form: Form::Text };
    Ok(Snapshot { payload, version: Version(found.version), remark })
}

/// Waits until a secret that comes back can be read.
async fn readable(vault: &Vault, name: &str, which: &Reference) -> Result<Found, Failure> {
    let begun = Instant::now();
    let mut pause = Duration::from_millis(100);
    loop {
        match vault.get(name, None).await {
            Err(trouble) if trouble.is_missing() => {}
            found => return found.map_err(Trouble::failure),
        }
        if begun.elapsed() >= SETTLING {
            return Err(unsettled(which));
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

fn unsettled(which: &Reference) -> Failure {
    Failure::new(Kind::Unavailable, format!("the secret `{which}` is being recovered, and it takes too long"))
        .help("run it again in a few minutes")
}

fn is_deleted(vault: &Vault, name: &str, which: &Reference, deleted: &Deleted) -> Failure {
    let since = deleted.since.as_ref().map_or_else(String::new, |at| format!(" since {at}"));
    let until = deleted.until.as_ref().map_or_else(String::new, |at| format!(", and is purged on {at}"));
    let vault = vault.name();
    Failure::new(Kind::NotFound, format!("the secret `{which}` is deleted{since}{until}")).help(format!(
        "push or sync with `recover_deleted: true`, or recover it with `az keyvault secret recover --vault-name {vault} --name {name}`"
    ))
}

fn is_managed(which: &Reference) -> Failure {
    let what = format!("the secret `{which}` belongs to a certificate of the vault, and is not written");
    Failure::new(Kind::Refused, what).help("push to a secret of your own")
}

/// A version was written, and what it may hide could not be looked for.
fn unseen(failure: Failure, which: &Reference, ours: &str) -> Failure {
    let what = format!("version {ours} of `{which}` was written, and may hide what others wrote at the same moment");
    partial(failure, what, "compare it with the versions before it, which `az keyvault secret list-versions` lists")
}

fn partial(failure: Failure, what: String, help: &str) -> Failure {
    let mut problems = vec![Problem::new(what, help)];
    problems.extend(failure.problems);
    Failure { kind: Kind::Partial, problems }
}

/// Whether the vault holds a payload of this size.
///
/// # Errors
/// [`Kind::Input`], naming the limit.
pub(super) fn check_size(which: &Reference, payload: &Payload) -> Result<(), Failure> {
    let bytes = payload.text.expose().len();
    if bytes > MAX_BYTES {
        let what = format!("the secret `{which}` would have {bytes} bytes; Azure Key Vault holds {MAX_BYTES}");
        return Err(Failure::new(Kind::Input, what)
            .help("split it into several secrets, or leave variables out with `exclude`"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_counts_bytes() {
        let which = Reference { id: "app".into(), pin: Pin::Current, region: None, variable: None };
        let payload = |text: String| Payload { text: text.into(), form: Form::Text };
        assert_eq!(check_size(&which, &payload("é".repeat(12_800))), Ok(()));
        let failure = check_size(&which, &payload("é".repeat(12_801))).unwrap_err();
        assert_eq!(failure.kind, Kind::Input);
        assert!(failure.to_string().contains("25602 bytes"), "{failure}");
    }

    #[test]
    fn only_an_id_goes_into_the_path() {
        let which = |version: &str| Reference {
            id: "app".into(),
            pin: Pin::Version(version.into()),
            region: None,
            variable: None,
        };
        assert!(pin(&which("0123456789abcdef0123456789ABCDEF")).is_ok());
        for bad in ["1", "../keys/app", "0123456789abcdef0123456789abcdef/", "0123456789abcdef0123456789abcde?"] {
            assert_eq!(pin(&which(bad)).unwrap_err().kind, Kind::Input, "{bad}");
        }
    }
}

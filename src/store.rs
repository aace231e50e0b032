//! The port to a store; [`update()`] is the loop that writes through it without losing an update of another writer.

mod ahead;
pub mod aws;
pub mod azure;
pub mod gcp;
mod history;
pub mod local;
mod update;

pub use history::{History, Ids, Known, Place, RECENT, STALE};
pub use update::{Backoff, Overtaken, Planned, Raced, WAIT, Written, update};

use std::collections::HashSet;
use std::fmt;

use async_trait::async_trait;

use crate::auth::Means;
use crate::config::{Config, Mode, Store as Settings};
use crate::effects::Effects;
use crate::error::{Failure, Kind};
use crate::http::warm::warm;
use crate::reference::{Pin, Reference};
use crate::secret::Secret;

/// The id of one version, in the store's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version(pub String);

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How a payload lies in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Text.
    Text,
    /// Bytes that are UTF-8 text; written back as bytes.
    Bytes,
    /// Bytes that are no text; the payload is their base64.
    Base64,
}

/// What a version holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The text, or the base64 of what is no text.
    pub text: Secret,
    /// How it lies in the store.
    pub form: Form,
}

impl Payload {
    /// Recognises bytes.
    #[must_use]
    pub fn from_bytes(bytes: Vec<u8>, text_form: Form) -> Self {
        use base64::Engine as _;
        match String::from_utf8(bytes) {
            Ok(text) => Self { text: text.into(), form: text_form },
            Err(error) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(error.as_bytes());
                Self { text: encoded.into(), form: Form::Base64 }
            }
        }
    }
}

/// One version of a secret, as it was read.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What it holds.
    pub payload: Payload,
    /// Which one it is.
    pub version: Version,
    /// Something done on the way that the user has to know, such as a recovery.
    pub remark: Option<String>,
}

/// The outcome of a conditional write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// The new version counts now.
    Done {
        /// Its id.
        version: Version,
        /// What ours was written over.
        race: Option<Race>,
        /// Something that the user has to know.
        remark: Option<String>,
    },
    /// Somebody else wrote first; nothing was written.
    Conflict,
    /// A dry run: everything was looked at that a write looks at, and nothing was written.
    Rehearsed,
}

/// A write over what others had written since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Race {
    /// Versions that others wrote since the one that was expected, and that ours may now hide; one at least.
    pub overtook: Vec<(Version, Place)>,
    /// Where ours stands among them.
    pub ours: Place,
    /// The versions before the one that was expected, as far as a writer of this moment may have read them.
    pub before: Ids,
    /// What counted right after ours was written, where the order of the writes is not that of the places.
    pub counts: Option<Version>,
}

/// A secret that a pattern matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The secret, without a variable yet.
    pub which: Reference,
    /// The name of its variable, before shaping; it may be none that a variable can have.
    pub name: String,
    /// Why it is not to be read, such as "is disabled".
    pub unusable: Option<String>,
}

/// A secret store.
#[async_trait(?Send)]
pub trait Store {
    /// Reads several secrets, each in the version that its reference asks for; `None` is a secret that does not exist.
    /// The answers are in the order of the references.
    async fn fetch(&self, which: &[Reference]) -> Vec<Result<Option<Snapshot>, Failure>>;

    /// Writes a new version, but only while `expected` is still the current one; `None` means that there must be none.
    async fn commit(&self, which: &Reference, expected: Option<&Version>, payload: &Payload)
    -> Result<Commit, Failure>;

    /// Whether a write may hide what others wrote since: it is then for this run to mend ([`Commit::Done`]).
    fn may_hide(&self) -> bool {
        false
    }

    /// The versions between two others, the newest first, [`RECENT`] at the most, as far as whoever has hidden one may still
    /// be about to mend that. None where [`Store::may_hide`] says no.
    async fn between(&self, _which: &Reference, _older: &Version, _newer: &Version) -> Result<Vec<Version>, Failure> {
        Ok(Vec::new())
    }

    /// The secrets that `which`, a reference with a `*`, matches now, by name; none of them twice.
    async fn list(&self, which: &Reference) -> Result<Vec<Listed>, Failure>;

    /// The whole name of a secret, such that two runs that give the same one mean the same secret, as far as names tell.
    ///
    /// # Errors
    /// [`Kind::Input`] where the place of the secret is not known.
    fn identity(&self, which: &Reference) -> Result<String, Failure>;
}

/// The page tokens that a list gave so far. One that comes again would never end.
#[derive(Default)]
pub(crate) struct Pages(HashSet<String>);

impl Pages {
    /// Whether this token was given before.
    pub(crate) fn repeats(&mut self, token: &str) -> bool {
        !self.0.insert(token.to_owned())
    }

    /// The failure for one that was. `what`: of which the list is.
    pub(crate) fn endless(what: &str) -> Failure {
        Failure::new(
            Kind::Unavailable,
            format!("the list of {what} never ends: a page leads to one that was there before"),
        )
        .help("run it again later; if it stays so, look at what answers at the endpoint")
    }
}

/// What a store may do beside reading and adding a version.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Create a secret.
    pub create: bool,
    /// Recover one that is scheduled for deletion; not while rehearsing.
    pub recover: bool,
    /// Write without the protection against lost updates.
    pub unsafe_write: bool,
    /// Stop before the first write, after all that is looked at before it.
    pub rehearse: bool,
}

/// Opens the store of the configuration and logs in. What is written is told to `effects`.
///
/// # Errors
/// [`Failure`] where there is no login.
pub async fn connect(config: &Config, means: Means, effects: &Effects) -> Result<Box<dyn Store>, Failure> {
    let allowed = Allowed {
        create: config.create,
        recover: config.recover_deleted && matches!(config.mode, Mode::Push | Mode::Sync),
        unsafe_write: !config.safe,
        rehearse: config.dry_run,
    };
    warm(&means.http, ahead::urls(config));
    let (entries, effects) = (&config.entries, effects.clone());
    Ok(match &config.store {
        Settings::Local { directory } => Box::new(local::Local::new(&means.workspace, directory, allowed, effects)),
        Settings::Aws(settings) => Box::new(aws::Aws::new(settings, entries, means, allowed, effects).await?),
        Settings::Gcp(settings) => Box::new(gcp::Gcp::new(settings, entries, means, allowed, effects).await?),
        Settings::Azure(settings) => Box::new(azure::Azure::new(settings, entries, means, allowed, effects).await?),
    })
}

/// Whether the store holds a payload of this size: looked at before the first write, also in a dry run.
///
/// # Errors
/// [`Kind::Input`], naming the limit.
pub fn check_size(config: &Config, which: &Reference, payload: &Payload) -> Result<(), Failure> {
    match &config.store {
        Settings::Aws(_) => aws::check_size(which, payload),
        Settings::Gcp(_) => gcp::check_size(which, payload),
        Settings::Azure(_) => azure::check_size(which, payload),
        Settings::Local { .. } => Ok(()),
    }
}

/// The failure for an empty payload that a store does not hold.
fn is_empty(which: &Reference, store: &str) -> Failure {
    let secret = &which.id;
    match &which.variable {
        Some(variable) => Failure::new(
            Kind::Input,
            format!("`{variable}` is empty, and the secret `{secret}` would be, which {store} does not hold"),
        )
        .help("give it a value, leave it out with `exclude`, or push to one document in place of a pattern"),
        None => Failure::new(Kind::Input, format!("the secret `{secret}` would be empty, which {store} does not hold"))
            .help("push at least one variable"),
    }
}

/// The sentence for what a write has done, and for what it may have done while nothing was heard of it.
#[must_use]
pub fn told(which: &Reference, version: &str) -> (String, String) {
    let secret = format!("the secret `{}`", which.id);
    (format!("{secret} was written (version {version})"), format!("{secret} may have been written (version {version})"))
}

/// The failure for a secret that does not exist, or lacks the version that was asked for. `place`: where it was looked
/// for, as in " in eu-central-1".
#[must_use]
pub fn not_found(which: &Reference, place: &str, help: impl Into<String>) -> Failure {
    let what = match which.pin {
        Pin::Current => format!("the secret `{which}` does not exist{place}"),
        _ => format!("the secret `{}` does not exist{place}, or has nothing under `{which}`", which.id),
    };
    Failure::new(Kind::NotFound, what).help(help)
}

/// Reads one secret.
///
/// # Errors
/// What the store answered.
pub async fn fetch_one(store: &dyn Store, which: &Reference) -> Result<Option<Snapshot>, Failure> {
    let missing = || Failure::new(Kind::Internal, format!("the store gave no answer for `{which}`"));
    store.fetch(std::slice::from_ref(which)).await.pop().ok_or_else(missing)?
}

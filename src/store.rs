//! The port to a store, and the loop that writes through it without losing an update of another writer.

pub mod aws;
pub mod local;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::config::{Config, Mode, Store as Settings};
use crate::error::{Failure, Kind};
use crate::reference::Reference;
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
        /// Something that the user has to know.
        remark: Option<String>,
    },
    /// Somebody else wrote first; nothing was written.
    Conflict,
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
}

/// What a store may do beside reading and adding a version.
#[derive(Clone, Copy, Debug)]
pub struct Allowed {
    /// Create a secret.
    pub create: bool,
    /// Recover one that is scheduled for deletion. Never in a dry run.
    pub recover: bool,
    /// Write without the protection against lost updates.
    pub unsafe_write: bool,
}

/// Opens the store of the configuration. Nothing is sent yet. `ca` is the content of `ca_file` with its path.
///
/// # Errors
/// [`Failure`] where the HTTP client cannot be made.
pub fn connect(config: &Config, workspace: &Path, ca: Option<(&str, &[u8])>) -> Result<Box<dyn Store>, Failure> {
    let allowed = Allowed {
        create: config.create,
        recover: config.recover_deleted && config.mode == Mode::Push && !config.dry_run,
        unsafe_write: !config.safe,
    };
    match &config.store {
        Settings::Local { directory } => Ok(Box::new(local::Local::new(workspace.join(directory), allowed))),
        Settings::Aws(settings) => {
            let client = crate::http::client(ca)?;
            Ok(Box::new(aws::Aws::new(settings, &config.entries, &client, allowed)))
        }
    }
}

/// Whether the store holds a payload of this size: looked at before the first write, also in a dry run.
///
/// # Errors
/// [`Kind::Input`], naming the limit.
pub fn check_size(config: &Config, which: &Reference, payload: &Payload) -> Result<(), Failure> {
    match &config.store {
        Settings::Aws(_) => aws::check_size(which, payload),
        Settings::Local { .. } => Ok(()),
    }
}

/// The failure for a secret that does not exist.
#[must_use]
pub fn not_found(which: &Reference, help: impl Into<String>) -> Failure {
    Failure::new(Kind::NotFound, format!("the secret `{which}` does not exist")).help(help)
}

/// Reads one secret.
///
/// # Errors
/// What the store answered.
pub async fn fetch_one(store: &dyn Store, which: &Reference) -> Result<Option<Snapshot>, Failure> {
    let missing = || Failure::new(Kind::Internal, format!("the store gave no answer for `{which}`"));
    store.fetch(std::slice::from_ref(which)).await.pop().ok_or_else(missing)?
}

/// What a write came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// The version that counts now, ours or the one that needed no change; `None` where there is still no secret.
    pub version: Option<Version>,
    /// Whether that version is a new one of ours.
    pub changed: bool,
    /// What the user has to know.
    pub remarks: Vec<String>,
}

/// Fetch, plan, commit, and again from the start when somebody else was faster, until it holds or `deadline` is near.
/// `plan` gets what the secret holds and gives what it shall hold, or `None` where nothing is to be done; it is asked
/// anew after every lost race.
///
/// # Errors
/// What `plan` or the store answered; [`Kind::Refused`] where the race was lost until the time was up.
pub async fn update(
    store: &dyn Store,
    which: &Reference,
    deadline: Instant,
    mut plan: impl FnMut(Option<&Snapshot>) -> Result<Option<Payload>, Failure>,
) -> Result<Written, Failure> {
    let mut remarks = Vec::new();
    let mut pause = Backoff::new();
    loop {
        let snapshot = fetch_one(store, which).await?;
        remarks.extend(snapshot.as_ref().and_then(|snapshot| snapshot.remark.clone()));
        let version = snapshot.as_ref().map(|s| s.version.clone());
        let Some(payload) = plan(snapshot.as_ref())? else {
            return Ok(Written { version, changed: false, remarks });
        };
        match store.commit(which, version.as_ref(), &payload).await? {
            Commit::Done { version, remark } => {
                remarks.extend(remark);
                return Ok(Written { version: Some(version), changed: true, remarks });
            }
            Commit::Conflict => {
                let wait = pause.next();
                if Instant::now() + wait >= deadline {
                    let what = format!("others kept writing `{which}` until the time was up");
                    return Err(Failure::new(Kind::Refused, what).help("run it again, or raise `timeout_seconds`"));
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// Full jitter whose ceiling doubles from 50 ms to 3 s: a lost race means that somebody else got on, and on AWS every
/// lost try leaves a version behind.
struct Backoff {
    ceiling: Duration,
}

impl Backoff {
    fn new() -> Self {
        Self { ceiling: Duration::from_millis(50) }
    }

    fn next(&mut self) -> Duration {
        let wait = self.ceiling.mul_f64(fastrand::f64());
        self.ceiling = (self.ceiling * 2).min(Duration::from_secs(3));
        wait
    }
}

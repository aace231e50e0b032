//! Secrets, their versions, and where they are between being there and being gone: the rules that hold whoever writes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};
use uuid::Uuid;

/// How long a deleted secret can be recovered, and with it when it will be purged.
pub const RECOVERABLE_DAYS: u64 = 90;

/// How long something takes that the service does behind its answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lag {
    /// It is done at once.
    #[default]
    None,
    /// This many looks at it find it unfinished, whatever the clock says: the same in a slow test and in a fast one.
    Looks(usize),
    /// It takes this long.
    Time(Duration),
}

/// A [`Lag`] that has begun.
#[derive(Clone, Copy, Debug)]
pub enum Pending {
    Looks(usize),
    Until(Instant),
}

impl Pending {
    pub fn begin(lag: Lag) -> Self {
        match lag {
            Lag::None => Self::Looks(0),
            Lag::Looks(looks) => Self::Looks(looks),
            Lag::Time(time) => Self::Until(Instant::now() + time),
        }
    }

    /// Whether it is unfinished.
    pub fn is_on(&self) -> bool {
        match self {
            Self::Looks(left) => *left > 0,
            Self::Until(end) => Instant::now() < *end,
        }
    }

    /// The same, and a look is used up.
    pub fn look(&mut self) -> bool {
        let on = self.is_on();
        if let Self::Looks(left) = self {
            *left = left.saturating_sub(1);
        }
        on
    }
}

/// One version. Its value never changes, the rest can.
#[derive(Clone, Debug)]
pub struct Version {
    pub id: String,
    pub value: String,
    pub content_type: Option<String>,
    pub tags: Option<Map<String, Value>>,
    pub enabled: bool,
    pub not_before: Option<u64>,
    pub expires: Option<u64>,
    pub created: u64,
    pub updated: u64,
}

impl Version {
    fn new(value: &str, now: u64) -> Self {
        Self {
            id: Uuid::new_v4().simple().to_string(),
            value: value.to_owned(),
            content_type: None,
            tags: None,
            enabled: true,
            not_before: None,
            expires: None,
            created: now,
            updated: now,
        }
    }
}

/// Where a secret is.
pub enum Phase {
    /// There. Right after a recovery it may be unreadable or unwritable for a while.
    Live { unreadable: Pending, unwritable: Pending },
    /// Soft-deleted. Right after the deletion the deleted secret may not be seen for a while.
    Deleted { unseen: Pending, at: u64 },
}

impl Phase {
    fn live() -> Self {
        Self::Live { unreadable: Pending::Looks(0), unwritable: Pending::Looks(0) }
    }
}

/// One secret.
pub struct Secret {
    /// As written first; any other case finds it too.
    pub name: String,
    pub phase: Phase,
    /// In the order in which they were written: the last one is current, whatever the clock says.
    pub versions: Vec<Version>,
    /// Until then another write meets a conflict.
    pub busy: Option<Instant>,
}

impl Secret {
    /// One version by id, the current one by an empty id.
    pub fn version(&self, id: &str) -> Option<&Version> {
        if id.is_empty() { self.versions.last() } else { self.versions.iter().find(|v| v.id.eq_ignore_ascii_case(id)) }
    }

    /// As [`Secret::version`].
    pub fn version_mut(&mut self, id: &str) -> Option<&mut Version> {
        if id.is_empty() {
            self.versions.last_mut()
        } else {
            self.versions.iter_mut().find(|v| v.id.eq_ignore_ascii_case(id))
        }
    }

    pub fn is_deleted(&self) -> bool {
        matches!(self.phase, Phase::Deleted { .. })
    }
}

/// Everything that the vault knows.
pub struct State {
    secrets: BTreeMap<String, Secret>,
    frozen: Option<u64>,
    /// The most items of one page; Key Vault's own maximum is 25.
    pub page: usize,
    /// Where the links to further pages lead, in place of this vault.
    pub links: Option<String>,
    /// Whether the second page of every list leads to itself.
    pub endless: bool,
    pub deletion: Lag,
    pub recovery: (Lag, Lag),
    /// How long a caller's write keeps the secret busy.
    pub write_takes: Duration,
    pub purge_allowed: bool,
    /// Whether the versions of a secret that is not there are an error, not an empty list.
    pub missing_versions_are_404: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            secrets: BTreeMap::new(),
            frozen: None,
            page: 25,
            endless: false,
            links: None,
            deletion: Lag::None,
            recovery: (Lag::None, Lag::None),
            write_takes: Duration::ZERO,
            purge_allowed: false,
            missing_versions_are_404: false,
        }
    }
}

impl State {
    /// Whole seconds since 1970: Key Vault knows no finer time.
    pub fn now(&self) -> u64 {
        self.frozen.unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()))
    }

    pub fn freeze(&mut self, at: Option<u64>) {
        self.frozen = at;
    }

    /// A secret in whatever phase.
    pub fn find(&self, name: &str) -> Option<&Secret> {
        self.secrets.get(&name.to_ascii_lowercase())
    }

    /// As [`State::find`].
    pub fn find_mut(&mut self, name: &str) -> Option<&mut Secret> {
        self.secrets.get_mut(&name.to_ascii_lowercase())
    }

    /// All secrets by name, deleted ones too.
    pub fn all(&self) -> impl Iterator<Item = &Secret> {
        self.secrets.values()
    }

    /// Writes a new current version, in a secret that is made where it is missing.
    pub fn write(&mut self, name: &str, value: &str) -> &mut Version {
        let now = self.now();
        let secret = self.secrets.entry(name.to_ascii_lowercase()).or_insert_with(|| Secret {
            name: name.to_owned(),
            phase: Phase::live(),
            versions: Vec::new(),
            busy: None,
        });
        secret.versions.push(Version::new(value, now));
        let last = secret.versions.len() - 1;
        &mut secret.versions[last]
    }

    /// Soft-deletes a secret.
    pub fn delete(&mut self, name: &str) {
        let phase = Phase::Deleted { unseen: Pending::begin(self.deletion), at: self.now() };
        if let Some(secret) = self.find_mut(name) {
            secret.phase = phase;
        }
    }

    /// Brings a deleted secret back, with all of its versions.
    pub fn recover(&mut self, name: &str) {
        let (unreadable, unwritable) = self.recovery;
        let phase = Phase::Live { unreadable: Pending::begin(unreadable), unwritable: Pending::begin(unwritable) };
        if let Some(secret) = self.find_mut(name) {
            secret.phase = phase;
        }
    }

    /// Ends a secret at once.
    pub fn purge(&mut self, name: &str) {
        self.secrets.remove(&name.to_ascii_lowercase());
    }
}

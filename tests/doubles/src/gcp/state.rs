//! Projects, secrets and versions: what holds whoever writes.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::exchange::Logins;
use super::refusal::Refusal;
use super::route::{Call, parent};
use super::{NUMBER, PROJECT};

pub const SERVICE: &str = "secretmanager.googleapis.com";

/// What can be done with a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionState {
    /// It can be read.
    Enabled,
    /// It cannot be read until it is enabled again.
    Disabled,
    /// Its payload is gone for good.
    Destroyed,
}

impl VersionState {
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "ENABLED",
            Self::Disabled => "DISABLED",
            Self::Destroyed => "DESTROYED",
        }
    }
}

/// One version. Its number is its place in the secret; the first is 1, and none is ever used twice.
pub struct Version {
    pub number: u64,
    pub data: Vec<u8>,
    /// Whether the writer sent a checksum.
    pub checked: bool,
    pub state: VersionState,
    pub created: SystemTime,
    pub destroyed: Option<SystemTime>,
    pub etag: String,
}

/// One secret.
pub struct Secret {
    /// The project's number.
    pub project: String,
    pub location: Option<String>,
    pub id: String,
    /// Absent for a regional secret.
    pub replication: Option<Value>,
    pub labels: Map<String, Value>,
    pub annotations: Map<String, Value>,
    pub aliases: BTreeMap<String, u64>,
    pub created: SystemTime,
    pub etag: String,
    /// In the order of their numbers.
    pub versions: Vec<Version>,
    /// How many of the newest versions everything but an access by number does not see yet.
    pub behind: usize,
    /// How long a new version stays unseen so.
    pub delay: Duration,
}

impl Secret {
    /// The name as the service writes it: with the project's number, whatever was asked with.
    pub fn name(&self) -> String {
        format!("{}/secrets/{}", parent(&self.project, self.location.as_deref()), self.id)
    }

    /// Makes a version, and gives its number.
    pub fn add(&mut self, data: Vec<u8>, checked: bool) -> u64 {
        let number = self.versions.last().map_or(1, |last| last.number + 1);
        self.versions.push(Version {
            number,
            data,
            checked,
            state: VersionState::Enabled,
            created: SystemTime::now(),
            destroyed: None,
            etag: new_etag(),
        });
        number
    }

    /// The versions that are seen by now other than by number: all, unless the secret lags behind; the first one always.
    /// <https://cloud.google.com/secret-manager/docs/reference/consistency>
    pub fn seen(&self) -> &[Version] {
        let young = |v: &&Version| v.created.elapsed().is_ok_and(|age| age < self.delay);
        let hidden = self.versions.iter().rev().take_while(young).count().max(self.behind);
        let seen = self.versions.len().saturating_sub(hidden).max(1).min(self.versions.len());
        &self.versions[..seen]
    }

    /// The number that a version in a request means: a number, `latest`, or an alias.
    pub fn number(&self, given: &str) -> Result<u64, Refusal> {
        let absent = || Refusal::not_found(format!("Secret Version [{}/versions/{given}] not found.", self.name()));
        match given {
            // The one that was created last, whatever state it is in.
            "latest" => self.seen().last().map(|v| v.number).ok_or_else(|| no_versions(&self.name())),
            number if number.bytes().all(|b| b.is_ascii_digit()) => {
                let number = number.parse().map_err(|_| absent())?;
                self.version(number).map(|v| v.number).ok_or_else(absent)
            }
            alias if is_alias(alias) => self.aliases.get(alias).copied().ok_or_else(absent),
            _ => Err(invalid_id(&format!("{}/versions/{given}", self.name()))),
        }
    }

    pub fn version(&self, number: u64) -> Option<&Version> {
        self.versions.iter().find(|v| v.number == number)
    }

    pub fn version_mut(&mut self, number: u64) -> Option<&mut Version> {
        self.versions.iter_mut().find(|v| v.number == number)
    }
}

impl Version {
    /// Moves the version to a state; the etag changes even where the state does not.
    pub fn set_state(&mut self, state: VersionState) {
        self.state = state;
        self.etag = new_etag();
        if state == VersionState::Destroyed {
            self.data.clear();
            self.destroyed = Some(SystemTime::now());
        }
    }
}

/// Everything that the service knows.
pub struct State {
    /// Ids and their numbers.
    pub projects: Vec<(String, String)>,
    /// In the order in which they were made.
    pub secrets: Vec<Secret>,
    /// Whether the API is turned on.
    pub enabled: bool,
    /// The most items of one page.
    pub page: usize,
    /// Who may log in.
    pub logins: Logins,
    /// Whether the second page of every list leads to itself.
    pub endless: bool,
}

impl Default for State {
    fn default() -> Self {
        Self {
            projects: vec![(PROJECT.to_owned(), NUMBER.to_owned())],
            secrets: Vec::new(),
            enabled: true,
            page: 25_000,
            logins: Logins::default(),
            endless: false,
        }
    }
}

impl State {
    /// The number of a project that is given by id or number.
    pub fn project(&self, given: &str) -> Option<&str> {
        self.projects.iter().find(|(id, number)| id == given || number == given).map(|(_, number)| number.as_str())
    }

    /// Where a secret of these parts would be named.
    pub fn find(&self, project: &str, location: Option<&str>, id: &str) -> Option<&Secret> {
        let project = self.project(project)?;
        self.secrets.iter().find(|s| s.project == project && s.location.as_deref() == location && s.id == id)
    }

    /// As [`State::find`].
    pub fn find_mut(&mut self, project: &str, location: Option<&str>, id: &str) -> Option<&mut Secret> {
        let project = self.project(project)?.to_owned();
        self.secrets.iter_mut().find(|s| s.project == project && s.location.as_deref() == location && s.id == id)
    }

    /// A new secret without a version.
    pub fn create(&mut self, project: &str, location: Option<&str>, id: &str) -> &mut Secret {
        self.secrets.push(Secret {
            project: self.project(project).unwrap_or(project).to_owned(),
            location: location.map(str::to_owned),
            id: id.to_owned(),
            replication: location.is_none().then(|| json!({ "automatic": {} })),
            labels: Map::new(),
            annotations: Map::new(),
            aliases: BTreeMap::new(),
            created: SystemTime::now(),
            etag: new_etag(),
            versions: Vec::new(),
            behind: 0,
            delay: Duration::ZERO,
        });
        let last = self.secrets.len() - 1;
        &mut self.secrets[last]
    }

    /// The secret of a call.
    pub fn known(&self, call: &Call) -> Result<&Secret, Refusal> {
        let found = self.find(&call.project, call.location.as_deref(), &call.secret);
        found.ok_or_else(|| self.missing(call))
    }

    /// As [`State::known`].
    pub fn known_mut(&mut self, call: &Call) -> Result<&mut Secret, Refusal> {
        let missing = self.missing(call);
        self.find_mut(&call.project, call.location.as_deref(), &call.secret).ok_or(missing)
    }

    fn missing(&self, call: &Call) -> Refusal {
        let project = self.project(&call.project).unwrap_or(&call.project);
        let name = format!("{}/secrets/{}", parent(project, call.location.as_deref()), call.secret);
        if !is_id(&call.secret) {
            return invalid_id(&name);
        }
        // What is asked of versions does not tell a missing secret from an empty one.
        if call.operation.ends_with("SecretVersion") && call.operation != "AddSecretVersion" {
            return no_versions(&name);
        }
        Refusal::not_found(format!("Secret [{name}] not found."))
    }
}

fn no_versions(name: &str) -> Refusal {
    Refusal::not_found(format!("Secret [{name}] not found or has no versions."))
}

pub fn invalid_id(name: &str) -> Refusal {
    Refusal::invalid(format!("Resource ID [{name}] is not in a valid format."))
}

/// Letters, digits, `-` and `_`, at most 255.
pub fn is_id(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// As an id, at most 63 characters, a letter first, and neither of the two names that mean something else.
pub fn is_alias(text: &str) -> bool {
    is_id(text)
        && text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !["latest", "NEW"].contains(&text)
}

/// An etag includes its quotes. <https://cloud.google.com/secret-manager/docs/etags>
pub fn new_etag() -> String {
    format!("\"{}\"", &Uuid::new_v4().simple().to_string()[..14])
}

/// RFC 3339 in UTC with microseconds, as Google's APIs write it.
pub fn timestamp(time: SystemTime) -> String {
    let time = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (time.as_secs() / 86_400, time.as_secs() % 86_400);
    // Days to a date of the Gregorian calendar, in years that begin in March, so that a leap day ends one.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:06}Z", time.subsec_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_written_in_utc() {
        let at = |seconds: u64, micros: u64| {
            timestamp(UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_micros(micros))
        };
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_400, 5), "2000-02-29T00:00:00.000005Z");
        assert_eq!(at(1_772_323_199, 0), "2026-02-28T23:59:59.000000Z");
        assert_eq!(at(1_772_323_200, 0), "2026-03-01T00:00:00.000000Z");
    }
}

//! The vault's operations on one secret.

use std::time::Instant;

use serde_json::{Map, Value, json};

use super::answers::{Refusal, base};
use super::listing::{listed, listed_deleted, listed_versions};
use super::route::Route;
use super::state::{Phase, RECOVERABLE_DAYS, Secret, State, Version};
use crate::http::Request;

/// The most bytes of a value, and of a content type (characters there).
/// <https://learn.microsoft.com/azure/key-vault/secrets/about-secrets>
const MAX_VALUE: usize = 25_600;
const MAX_CONTENT_TYPE: usize = 255;
/// The most tags, and the most characters of a tag's name and value.
/// <https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#secret-tags>
const MAX_TAGS: usize = 15;
const MAX_TAG: usize = 256;

pub(super) type Answer = Result<(u16, Value), Refusal>;

impl State {
    /// One operation. The caller is known and may do everything.
    pub fn call(&mut self, route: &Route, request: &Request) -> Answer {
        route.check(request)?;
        let base = base(request);
        match route {
            Route::Set(name) => self.set(&base, name, &body(request)?),
            Route::Get(name, version) => self.get(&base, name, version),
            Route::Update(name, version) => self.update(&base, name, version, &body(request)?),
            Route::Delete(name) => self.delete_secret(&base, name),
            Route::GetDeleted(name) => self.get_deleted(&base, name),
            Route::Recover(name) => self.recover_secret(&base, name),
            Route::Purge(name) => self.purge_secret(name),
            Route::List => Ok((200, listed(self, &base, request)?)),
            Route::Versions(name) => Ok((200, listed_versions(self, &base, name, request)?)),
            Route::ListDeleted => Ok((200, listed_deleted(self, &base, request)?)),
            Route::Token(_)
            | Route::OpenId(_)
            | Route::Instance
            | Route::AppIdentity
            | Route::MachineIdentity
            | Route::Unknown => Err(Refusal::new(404, "NotFound", "there is no such operation")),
        }
    }

    fn set(&mut self, base: &str, name: &str, body: &Value) -> Answer {
        let change = Change::of(body)?;
        let value = body["value"].as_str().filter(|v| v.len() <= MAX_VALUE).ok_or_else(Refusal::property)?;
        if let Some(secret) = self.find_mut(name) {
            writable(secret)?;
            if secret.busy.is_some_and(|until| Instant::now() < until) {
                return Err(Refusal::contention());
            }
        }
        let now = self.now();
        let version = self.write(name, value);
        change.apply(version, now);
        let id = version.id.clone();
        let takes = self.write_takes;
        if let Some(secret) = self.find_mut(name) {
            secret.busy = (!takes.is_zero()).then(|| Instant::now() + takes);
        }
        Ok((200, bundle(base, self.found(name, &id)?, true)))
    }

    fn get(&mut self, base: &str, name: &str, version: &str) -> Answer {
        if let Some(secret) = self.find_mut(name)
            && let Phase::Live { unreadable, .. } = &mut secret.phase
            && unreadable.look()
        {
            return Err(Refusal::not_found(name));
        }
        let (secret, version) = self.found(name, version)?;
        if !version.enabled {
            return Err(Refusal::disabled());
        }
        // Expired and not yet valid ones are given: the two times are for the reader to mind.
        // <https://learn.microsoft.com/azure/key-vault/secrets/about-secrets#date-time-controlled-operations>
        Ok((200, bundle(base, (secret, version), true)))
    }

    fn update(&mut self, base: &str, name: &str, version: &str, body: &Value) -> Answer {
        let change = Change::of(body)?;
        let now = self.now();
        let id = self.found(name, version)?.1.id.clone();
        let secret = self.find_mut(name).ok_or_else(|| Refusal::not_found(name))?;
        writable(secret)?;
        if let Some(version) = secret.version_mut(&id) {
            change.apply(version, now);
        }
        Ok((200, bundle(base, self.found(name, &id)?, false)))
    }

    fn delete_secret(&mut self, base: &str, name: &str) -> Answer {
        self.found(name, "")?;
        self.delete(name);
        let secret = self.find(name).ok_or_else(|| Refusal::not_found(name))?;
        Ok((200, deleted(base, secret)))
    }

    fn get_deleted(&mut self, base: &str, name: &str) -> Answer {
        let secret = self.find_mut(name).ok_or_else(|| Refusal::deleted_not_found(name))?;
        if let Phase::Deleted { unseen, .. } = &mut secret.phase
            && !unseen.look()
        {
            return Ok((200, deleted(base, secret)));
        }
        Err(Refusal::deleted_not_found(name))
    }

    fn recover_secret(&mut self, base: &str, name: &str) -> Answer {
        let secret = self.find(name).ok_or_else(|| Refusal::deleted_not_found(name))?;
        match &secret.phase {
            Phase::Deleted { unseen, .. } if unseen.is_on() => return Err(Refusal::deleting(name)),
            Phase::Deleted { .. } => {}
            Phase::Live { unreadable, unwritable } if unreadable.is_on() || unwritable.is_on() => {
                return Err(Refusal::recovering(name));
            }
            Phase::Live { .. } => return Err(Refusal::deleted_not_found(name)),
        }
        self.recover(name);
        Ok((200, bundle(base, self.found(name, "")?, false)))
    }

    fn purge_secret(&mut self, name: &str) -> Answer {
        let secret = self.find(name).filter(|s| s.is_deleted()).ok_or_else(|| Refusal::deleted_not_found(name))?;
        if let Phase::Deleted { unseen, .. } = &secret.phase
            && unseen.is_on()
        {
            return Err(Refusal::deleting(name));
        }
        if !self.purge_allowed {
            return Err(Refusal::purge());
        }
        self.purge(name);
        Ok((204, Value::Null))
    }

    fn found(&self, name: &str, version: &str) -> Result<(&Secret, &Version), Refusal> {
        let missing = || {
            let id = if version.is_empty() { name.to_owned() } else { format!("{name}/{version}") };
            Refusal::not_found(&id)
        };
        let secret = self.find(name).filter(|s| !s.is_deleted()).ok_or_else(missing)?;
        Ok((secret, secret.version(version).ok_or_else(missing)?))
    }
}

/// Refuses a write to a secret that is deleted, or not yet quite back.
fn writable(secret: &mut Secret) -> Result<(), Refusal> {
    let refusal = match &mut secret.phase {
        // A write is a look too: who only tries again gets through in the end.
        Phase::Deleted { unseen, .. } => {
            if unseen.look() {
                Refusal::deleting
            } else {
                Refusal::deleted
            }
        }
        Phase::Live { unreadable, unwritable } => {
            if !unreadable.look() && !unwritable.look() {
                return Ok(());
            }
            Refusal::recovering
        }
    };
    Err(refusal(&secret.name))
}

fn body(request: &Request) -> Result<Value, Refusal> {
    serde_json::from_str(&request.body).map_err(|_| Refusal::parameter("the request's body is no JSON"))
}

/// What a caller sets besides the value; `None` leaves it.
struct Change {
    content_type: Option<String>,
    tags: Option<Map<String, Value>>,
    enabled: Option<bool>,
    not_before: Option<u64>,
    expires: Option<u64>,
}

impl Change {
    fn of(body: &Value) -> Result<Self, Refusal> {
        let attributes = &body["attributes"];
        let change = Self {
            content_type: field(&body["contentType"], |v| v.as_str().map(str::to_owned))?,
            tags: field(&body["tags"], |v| v.as_object().cloned())?,
            enabled: field(&attributes["enabled"], Value::as_bool)?,
            not_before: field(&attributes["nbf"], Value::as_u64)?,
            expires: field(&attributes["exp"], Value::as_u64)?,
        };
        let fits = |text: &str, most: usize| text.chars().count() <= most;
        let tag =
            |(key, value): (&String, &Value)| fits(key, MAX_TAG) && value.as_str().is_some_and(|v| fits(v, MAX_TAG));
        let tags = change.tags.as_ref().is_none_or(|tags| tags.len() <= MAX_TAGS && tags.iter().all(tag));
        let content_type = change.content_type.as_deref().is_none_or(|text| fits(text, MAX_CONTENT_TYPE));
        let times = !matches!((change.not_before, change.expires), (Some(from), Some(to)) if from > to);
        if tags && content_type && times { Ok(change) } else { Err(Refusal::property()) }
    }

    fn apply(self, version: &mut Version, now: u64) {
        version.content_type = self.content_type.or(version.content_type.take());
        version.tags = self.tags.or(version.tags.take());
        version.enabled = self.enabled.unwrap_or(version.enabled);
        version.not_before = self.not_before.or(version.not_before);
        version.expires = self.expires.or(version.expires);
        version.updated = now;
    }
}

fn field<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>, Refusal> {
    if value.is_null() { Ok(None) } else { read(value).map(Some).ok_or_else(Refusal::property) }
}

/// A version as every answer shows it, with its value or without.
fn bundle(base: &str, (secret, version): (&Secret, &Version), with_value: bool) -> Value {
    let mut shown = item(version, format!("{base}/secrets/{}/{}", secret.name, version.id));
    if with_value {
        shown["value"] = json!(version.value);
    }
    shown
}

/// What a list shows of a version: all but its value.
pub(super) fn item(version: &Version, id: String) -> Value {
    let mut attributes = json!({
        "enabled": version.enabled,
        "created": version.created,
        "updated": version.updated,
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": RECOVERABLE_DAYS,
    });
    for (name, time) in [("nbf", version.not_before), ("exp", version.expires)] {
        if let Some(time) = time {
            attributes[name] = json!(time);
        }
    }
    let mut shown = json!({ "id": id, "attributes": attributes });
    if let Some(text) = &version.content_type {
        shown["contentType"] = json!(text);
    }
    if let Some(tags) = &version.tags {
        shown["tags"] = json!(tags);
    }
    shown
}

/// A deleted secret, as the deletion and the looks at it show it: never with a value.
pub(super) fn deleted(base: &str, secret: &Secret) -> Value {
    let (Phase::Deleted { at, .. }, Some(current)) = (&secret.phase, secret.versions.last()) else {
        return Value::Null;
    };
    let mut shown = item(current, format!("{base}/secrets/{}/{}", secret.name, current.id));
    shown["recoveryId"] = json!(format!("{base}/deletedsecrets/{}", secret.name));
    shown["deletedDate"] = json!(at);
    shown["scheduledPurgeDate"] = json!(at + RECOVERABLE_DAYS * 86_400);
    shown
}

//! The operations on secrets.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::fields::{camel, etag, field, int64, known, object, texts};
use super::refusal::Refusal;
use super::route::{Call, parent};
use super::state::{Secret, State, invalid_id, is_alias, is_id, new_etag, timestamp};

pub(super) type Answer = Result<Value, Refusal>;

/// The fields of a secret, those that the double does not act on too.
const FIELDS: [&str; 16] = [
    "name",
    "replication",
    "createTime",
    "labels",
    "topics",
    "expireTime",
    "ttl",
    "etag",
    "rotation",
    "versionAliases",
    "annotations",
    "versionDestroyTtl",
    "customerManagedEncryption",
    "tags",
    "secretType",
    "policyMember",
];
/// Most labels of a secret.
const MAX_LABELS: usize = 64;
/// Most aliases of a secret.
const MAX_ALIASES: usize = 50;

impl State {
    /// One operation.
    pub fn call(&mut self, call: &Call, body: &str) -> Answer {
        if self.project(&call.project).is_none() {
            return Err(Refusal::unknown_project(&call.project));
        }
        if !self.enabled {
            return Err(Refusal::disabled(self.project(&call.project).unwrap_or_default()));
        }
        match call.operation {
            "CreateSecret" => self.create_secret(call, body),
            "ListSecrets" => self.list_secrets(call),
            "GetSecret" => Ok(described(self.known(call)?)),
            "UpdateSecret" => self.update(call, body),
            "DeleteSecret" => self.delete(call),
            "AddSecretVersion" => self.add_version(call, body),
            "ListSecretVersions" => self.list_versions(call),
            "GetSecretVersion" => self.get_version(call),
            "AccessSecretVersion" => self.access(call),
            _ => self.change_version(call, body),
        }
    }

    fn create_secret(&mut self, call: &Call, body: &str) -> Answer {
        let body = object(body, &FIELDS)?;
        let id = call.query("secretId").unwrap_or_default();
        let location = call.location.as_deref();
        let name = format!("{}/secrets/{id}", parent(self.project(&call.project).unwrap_or_default(), location));
        if !is_id(id) {
            return Err(invalid_id(&name));
        }
        let replication = replication(&body, location)?;
        let labels = labels(&body)?;
        let annotations = texts(field(&body, "annotations"), "secret.annotations")?;
        if self.find(&call.project, location, id).is_some() {
            return Err(Refusal::exists(format!("Secret [{name}] already exists.")));
        }
        let secret = self.create(&call.project, location, id);
        (secret.replication, secret.labels, secret.annotations) = (replication, labels, annotations);
        Ok(described(secret))
    }

    fn update(&mut self, call: &Call, body: &str) -> Answer {
        let body = object(body, &FIELDS)?;
        let mask = call.query("updateMask").ok_or_else(|| Refusal::invalid("The update mask must not be empty."))?;
        let secret = self.known_mut(call)?;
        check_etag(&secret.name(), &secret.etag, etag(&body))?;
        for path in mask.split(',') {
            match camel(path.trim()).as_str() {
                "labels" => secret.labels = labels(&body)?,
                "annotations" => secret.annotations = texts(field(&body, "annotations"), "secret.annotations")?,
                "versionAliases" => secret.aliases = aliases(secret, &body)?,
                _ => return Err(Refusal::invalid(format!("the double does not update the field {path}"))),
            }
        }
        secret.etag = new_etag();
        Ok(described(secret))
    }

    fn delete(&mut self, call: &Call) -> Answer {
        let secret = self.known(call)?;
        let name = secret.name();
        check_etag(&name, &secret.etag, call.query("etag"))?;
        self.secrets.retain(|s| s.name() != name);
        Ok(json!({}))
    }
}

/// A secret as every operation gives it; what is empty is left out, as protocol buffers do.
pub(super) fn described(secret: &Secret) -> Value {
    let mut value = json!({ "name": secret.name(), "createTime": timestamp(secret.created), "etag": secret.etag });
    if let Some(replication) = &secret.replication {
        value["replication"] = replication.clone();
    }
    if !secret.labels.is_empty() {
        value["labels"] = json!(secret.labels);
    }
    if !secret.annotations.is_empty() {
        value["annotations"] = json!(secret.annotations);
    }
    if !secret.aliases.is_empty() {
        let texts = secret.aliases.iter().map(|(alias, number)| (alias.clone(), json!(number.to_string())));
        value["versionAliases"] = Value::Object(texts.collect());
    }
    value
}

/// Refuses an etag that is not the current one; none at all is no precondition.
pub(super) fn check_etag(name: &str, current: &str, given: Option<&str>) -> Result<(), Refusal> {
    match given {
        Some(given) if given != current => {
            Err(Refusal::precondition(format!("The etag {given} does not match the current etag of [{name}].")))
        }
        _ => Ok(()),
    }
}

/// Where the payloads lie: chosen when the secret is made, and never for a regional one, whose place is in its name.
fn replication(body: &Map<String, Value>, location: Option<&str>) -> Result<Option<Value>, Refusal> {
    let given = field(body, "replication").and_then(Value::as_object);
    let given = match (given, location) {
        (None, Some(_)) => return Ok(None),
        (Some(_), Some(_)) => return Err(Refusal::invalid("A regional secret must not have a replication.")),
        (None, None) => return Err(Refusal::invalid("A secret must have a replication.")),
        (Some(given), None) => given,
    };
    known(given, "secret.replication", &["automatic", "userManaged"])?;
    match (field(given, "automatic"), field(given, "userManaged")) {
        (Some(automatic), None) => Ok(Some(json!({ "automatic": automatic }))),
        (None, Some(managed)) => {
            let replicas = managed["replicas"].as_array().map(Vec::as_slice).unwrap_or_default();
            let named = |r: &Value| r["location"].as_str().is_some_and(|l| l.contains('-') && is_id(l));
            if replicas.is_empty() || !replicas.iter().all(named) {
                return Err(Refusal::invalid(
                    "User-managed replication must have at least one replica, each with a location.",
                ));
            }
            Ok(Some(json!({ "userManaged": managed })))
        }
        _ => Err(Refusal::invalid("A replication is either automatic or user-managed.")),
    }
}

fn labels(body: &Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let labels = texts(field(body, "labels"), "secret.labels")?;
    if labels.len() > MAX_LABELS {
        return Err(Refusal::invalid(format!("A secret has at most {MAX_LABELS} labels.")));
    }
    Ok(labels)
}

fn aliases(secret: &Secret, body: &Map<String, Value>) -> Result<BTreeMap<String, u64>, Refusal> {
    let wrong = |what: &str| Refusal::invalid(format!("Invalid value at 'secret.version_aliases': {what}"));
    let Some(given) = field(body, "versionAliases") else { return Ok(BTreeMap::new()) };
    let given = given.as_object().ok_or_else(|| wrong("no map"))?;
    if given.len() > MAX_ALIASES {
        return Err(wrong("at most 50"));
    }
    let one = |(alias, number): (&String, &Value)| {
        let number = int64(number).and_then(|n| u64::try_from(n).ok()).ok_or_else(|| wrong("no number"))?;
        if !is_alias(alias) || secret.version(number).is_none() {
            return Err(wrong("an alias is a name for a version that exists"));
        }
        Ok((alias.clone(), number))
    };
    given.iter().map(one).collect()
}

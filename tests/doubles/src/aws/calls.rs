//! The operations on one secret. Texts of errors are those of AWS where they are known; a client decides by the code.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::ACCOUNT;
use super::fields::{invalid, label, payload, secret_id, stages, text, token};
use super::state::{Caller, MAX_LABELS, Payload, Refusal, Secret, State, Version, now};

pub(super) type Answer = Result<Value, Refusal>;

const MARKED: &str = "You can't perform this operation on the secret because it was marked for deletion.";

impl State {
    /// One operation, by its name.
    pub fn call(&mut self, operation: &str, caller: &Caller, body: &Value) -> Answer {
        let region = caller.region.as_str();
        match operation {
            "GetSecretValue" => self.get(region, body),
            "PutSecretValue" => self.put(region, body),
            "CreateSecret" => self.create_secret(region, body),
            "UpdateSecretVersionStage" => self.move_stage(region, body),
            "DescribeSecret" => Ok(described(self.known(region, body)?, "VersionIdsToStages")),
            "RestoreSecret" => self.restore(region, body),
            "DeleteSecret" => self.delete(region, body),
            "ListSecrets" => self.list(region, body),
            "ListSecretVersionIds" => self.version_ids(region, body),
            "BatchGetSecretValue" => self.batch(region, body),
            _ => Err(Refusal::new("UnknownOperationException", "")),
        }
    }

    pub(super) fn known(&self, region: &str, body: &Value) -> Result<&Secret, Refusal> {
        self.find(region, secret_id(body)?).ok_or_else(Refusal::not_found)
    }

    fn known_mut(&mut self, region: &str, body: &Value) -> Result<&mut Secret, Refusal> {
        self.find_mut(region, secret_id(body)?).ok_or_else(Refusal::not_found)
    }

    fn get(&self, region: &str, body: &Value) -> Answer {
        let secret = self.known(region, body)?;
        self.readable(secret)?;
        value_of(secret, text(body, "VersionId")?, text(body, "VersionStage")?)
    }

    /// Refuses the value of a secret that nobody may read.
    pub(super) fn readable(&self, secret: &Secret) -> Result<(), Refusal> {
        if !self.denied.contains(&secret.name) {
            return Ok(());
        }
        let message = format!(
            "User: arn:aws:iam::{ACCOUNT}:user/pipeline is not authorized to perform: secretsmanager:GetSecretValue on \
             resource: {} because no identity-based policy allows the secretsmanager:GetSecretValue action",
            secret.arn
        );
        Err(Refusal::new("AccessDeniedException", message))
    }

    fn put(&mut self, region: &str, body: &Value) -> Answer {
        let (token, payload) = (token(body)?, payload(body)?);
        let payload =
            payload.ok_or_else(|| Refusal::request("You must provide either SecretString or SecretBinary."))?;
        let stages = stages(body)?;
        let secret = self.known_mut(region, body)?;
        unmarked(secret)?;
        if secret.owner.is_some() {
            let message = "The secret is managed by another service, and you must use that service to update it.";
            return Err(Refusal::request(message));
        }
        if let Some(there) = secret.version(token) {
            if there.payload != payload {
                return Err(in_use(token, &secret.arn));
            }
        } else {
            let new = stages.iter().filter(|s| secret.labelled(s).is_none()).count();
            check_labels(secret, new)?;
            secret.add(token, payload, &stages);
        }
        let labels = secret.version(token).map(|v| v.stages.clone());
        Ok(json!({ "ARN": secret.arn, "Name": secret.name, "VersionId": token, "VersionStages": labels }))
    }

    fn create_secret(&mut self, region: &str, body: &Value) -> Answer {
        let name = text(body, "Name")?.ok_or_else(|| invalid("name", "Member must not be null"))?;
        let good = |c: char| c.is_ascii_alphanumeric() || "/_+=.@-".contains(c);
        if name.is_empty() || name.len() > 512 || !name.chars().all(good) {
            let message = "Invalid name. Must be a valid name containing alphanumeric characters, or any of the \
                           following: -/_+=.@!";
            return Err(Refusal::new("ValidationException", message));
        }
        let (token, payload) = (token(body)?, payload(body)?);
        if let Some(secret) = self.find(region, name) {
            if secret.deleted.is_some() {
                let message = "You can't create this secret because a secret with this name is already scheduled for \
                               deletion.";
                return Err(Refusal::request(message));
            }
            // A repeated call with one token is one call.
            return match (secret.version(token), payload) {
                (Some(version), Some(payload)) if version.payload == payload => Ok(created(secret)),
                _ => {
                    let message = format!("The operation failed because the secret {name} already exists.");
                    Err(Refusal::new("ResourceExistsException", message))
                }
            };
        }
        let description = text(body, "Description")?.map(str::to_owned);
        let secret = self.create(region, name);
        secret.description = description;
        secret.tags = body["Tags"].clone();
        if let Some(payload) = payload {
            secret.add(token, payload, &["AWSCURRENT".to_owned()]);
        }
        Ok(created(secret))
    }

    fn move_stage(&mut self, region: &str, body: &Value) -> Answer {
        let stage = text(body, "VersionStage")?.ok_or_else(|| invalid("versionStage", "Member must not be null"))?;
        label(stage)?;
        let (to, from) = (text(body, "MoveToVersionId")?, text(body, "RemoveFromVersionId")?);
        let secret = self.known_mut(region, body)?;
        unmarked(secret)?;
        for id in [to, from].into_iter().flatten() {
            if secret.version(id).is_none() {
                let message = format!("Secrets Manager can't find the specified secret version: {id}.");
                return Err(Refusal::new("ResourceNotFoundException", message));
            }
        }
        let holder = secret.labelled(stage).map(|v| v.id.clone());
        let holder = holder.as_deref();
        match (to, from) {
            (None, None) => {
                return Err(Refusal::parameter("You must specify MoveToVersionId or RemoveFromVersionId."));
            }
            (None, Some(_)) if stage == "AWSCURRENT" => {
                let message = "You can only move staging label AWSCURRENT to a different secret version. It can't be \
                               completely removed.";
                return Err(Refusal::parameter(message));
            }
            (_, Some(from)) if holder != Some(from) => {
                return Err(Refusal::parameter(format!(
                    "When you move staging label {stage}, if you specify RemoveFromVersionId, it must be set to the \
                     version that currently has the staging label."
                )));
            }
            (Some(to), None) if holder.is_some_and(|holder| holder != to) => {
                let holder = holder.unwrap_or_default();
                return Err(Refusal::parameter(format!(
                    "The parameter RemoveFromVersionId can't be empty. Staging label {stage} is currently attached to \
                     version {holder}, so you must explicitly reference that version in RemoveFromVersionId."
                )));
            }
            _ => {}
        }
        match to {
            Some(to) => {
                check_labels(secret, usize::from(holder.is_none()))?;
                secret.attach(stage, to);
            }
            None => drop(secret.detach(stage)),
        }
        secret.changed = now();
        Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
    }

    fn restore(&mut self, region: &str, body: &Value) -> Answer {
        let secret = self.known_mut(region, body)?;
        secret.deleted = None;
        Ok(json!({ "ARN": secret.arn, "Name": secret.name }))
    }

    fn delete(&mut self, region: &str, body: &Value) -> Answer {
        let force = body["ForceDeleteWithoutRecovery"].as_bool().unwrap_or(false);
        let window = body["RecoveryWindowInDays"].as_u64();
        if force && window.is_some() {
            let message = "You can't use ForceDeleteWithoutRecovery in conjunction with RecoveryWindowInDays.";
            return Err(Refusal::parameter(message));
        }
        let days = window.unwrap_or(30);
        if !(7..=30).contains(&days) {
            let message = "The RecoveryWindowInDays value must be between 7 and 30 days (inclusive).";
            return Err(Refusal::parameter(message));
        }
        let secret = self.known_mut(region, body)?;
        let (arn, name) = (secret.arn.clone(), secret.name.clone());
        if force {
            self.purge(region, &name);
            return Ok(json!({ "ARN": arn, "Name": name, "DeletionDate": now() }));
        }
        unmarked(secret)?;
        let date = now() + f64::from(u32::try_from(days).unwrap_or(30)) * 86_400.0;
        secret.deleted = Some(date);
        Ok(json!({ "ARN": arn, "Name": name, "DeletionDate": date }))
    }
}

/// One version as `GetSecretValue` and `BatchGetSecretValue` give it; the default label is AWSCURRENT.
pub(super) fn value_of(secret: &Secret, id: Option<&str>, stage: Option<&str>) -> Answer {
    unmarked(secret)?;
    let missing = |what: String| {
        let message = format!("Secrets Manager can't find the specified secret value for {what}");
        Refusal::new("ResourceNotFoundException", message)
    };
    let version = match (id, stage) {
        (Some(id), stage) => {
            let version = secret.version(id).ok_or_else(|| missing(format!("VersionId: {id}")))?;
            if stage.is_some_and(|stage| !version.stages.iter().any(|s| s == stage)) {
                let message = "You provided a VersionStage that is not associated to the provided VersionId.";
                return Err(Refusal::request(message));
            }
            version
        }
        (None, stage) => {
            let stage = stage.unwrap_or("AWSCURRENT");
            secret.labelled(stage).ok_or_else(|| missing(format!("staging label: {stage}")))?
        }
    };
    let Version { id, payload, stages, created } = version;
    let mut value = json!({ "ARN": secret.arn, "Name": secret.name, "VersionId": id, "CreatedDate": created });
    value["VersionStages"] = json!(stages);
    match payload {
        Payload::Text(text) => value["SecretString"] = json!(text),
        Payload::Binary(bytes) => value["SecretBinary"] = json!(STANDARD.encode(bytes)),
    }
    Ok(value)
}

/// A secret without its values, as `DescribeSecret` and `ListSecrets` give it; they name the labels differently.
pub(super) fn described(secret: &Secret, labels: &str) -> Value {
    let mut value = Map::new();
    let mut set = |name: &str, field: Value| {
        if !field.is_null() {
            value.insert(name.to_owned(), field);
        }
    };
    set("ARN", json!(secret.arn));
    set("Name", json!(secret.name));
    set("Description", json!(secret.description));
    set("CreatedDate", json!(secret.created));
    set("LastChangedDate", json!(secret.changed));
    set("DeletedDate", json!(secret.deleted));
    set("OwningService", json!(secret.owner));
    set("Tags", secret.tags.clone());
    // AWS leaves the field out until rotation was configured once.
    set("RotationEnabled", if secret.rotation { json!(true) } else { Value::Null });
    let labelled = secret.versions.iter().filter(|v| !v.stages.is_empty());
    let map: Map<String, Value> = labelled.map(|v| (v.id.clone(), json!(v.stages))).collect();
    set(labels, if map.is_empty() { Value::Null } else { Value::Object(map) });
    Value::Object(value)
}

fn created(secret: &Secret) -> Value {
    let mut value = json!({ "ARN": secret.arn, "Name": secret.name });
    if let Some(first) = secret.versions.first() {
        value["VersionId"] = json!(first.id);
    }
    value
}

fn unmarked(secret: &Secret) -> Result<(), Refusal> {
    if secret.deleted.is_some() { Err(Refusal::request(MARKED)) } else { Ok(()) }
}

fn in_use(token: &str, arn: &str) -> Refusal {
    let message = format!(
        "You can't use ClientRequestToken {token} because that value is already in use for a version of secret {arn}."
    );
    Refusal::new("ResourceExistsException", message)
}

fn check_labels(secret: &Secret, new: usize) -> Result<(), Refusal> {
    if secret.label_count() + new > MAX_LABELS {
        let message = format!("A secret has at most {MAX_LABELS} staging labels.");
        return Err(Refusal::new("LimitExceededException", message));
    }
    Ok(())
}

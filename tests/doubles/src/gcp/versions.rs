//! The operations on versions.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::fields::{crc32c, etag, object, payload};
use super::refusal::Refusal;
use super::route::Call;
use super::secrets::{Answer, check_etag};
use super::state::{Secret, State, Version, VersionState, timestamp};

impl State {
    /// Adding has neither a precondition nor an id of the request: every call that is accepted makes a version.
    pub(super) fn add_version(&mut self, call: &Call, body: &str) -> Answer {
        let body = object(body, &["parent", "payload"])?;
        let (data, checked) = payload(&body)?;
        let secret = self.known_mut(call)?;
        let number = secret.add(data, checked);
        Ok(secret.version(number).map_or(Value::Null, |version| described(secret, version)))
    }

    pub(super) fn get_version(&self, call: &Call) -> Answer {
        let (secret, version) = self.version(call)?;
        Ok(described(secret, version))
    }

    pub(super) fn access(&self, call: &Call) -> Answer {
        let (secret, version) = self.version(call)?;
        if version.state != VersionState::Enabled {
            return Err(in_state(secret, version));
        }
        // A checksum is always there, also where the writer sent none, and is a string as every 64-bit number is.
        let payload =
            json!({ "data": STANDARD.encode(&version.data), "dataCrc32c": crc32c(&version.data).to_string() });
        Ok(json!({ "name": name(secret, version), "payload": payload }))
    }

    /// Enable, disable, destroy. What is destroyed stays so.
    pub(super) fn change_version(&mut self, call: &Call, body: &str) -> Answer {
        let body = object(body, &["name", "etag"])?;
        let (secret, version) = self.version(call)?;
        check_etag(&name(secret, version), &version.etag, etag(&body))?;
        let state = match call.operation {
            "EnableSecretVersion" => VersionState::Enabled,
            "DisableSecretVersion" => VersionState::Disabled,
            _ => VersionState::Destroyed,
        };
        if version.state == VersionState::Destroyed {
            return Err(in_state(secret, version));
        }
        let number = version.number;
        let secret = self.known_mut(call)?;
        if let Some(version) = secret.version_mut(number) {
            version.set_state(state);
        }
        Ok(secret.version(number).map_or(Value::Null, |version| described(secret, version)))
    }

    fn version(&self, call: &Call) -> Result<(&Secret, &Version), Refusal> {
        let secret = self.known(call)?;
        let number = secret.number(&call.version)?;
        let absent = || Refusal::not_found(format!("Secret Version [{}/versions/{number}] not found.", secret.name()));
        Ok((secret, secret.version(number).ok_or_else(absent)?))
    }
}

fn in_state(secret: &Secret, version: &Version) -> Refusal {
    Refusal::precondition(format!("Secret Version [{}] is in {} state.", name(secret, version), version.state.name()))
}

fn name(secret: &Secret, version: &Version) -> String {
    format!("{}/versions/{}", secret.name(), version.number)
}

/// A version without its payload.
pub(super) fn described(secret: &Secret, version: &Version) -> Value {
    let mut value = json!({
        "name": name(secret, version),
        "createTime": timestamp(version.created),
        "state": version.state.name(),
        "etag": version.etag,
    });
    if let Some(replication) = &secret.replication {
        // The same shape as of the replication, with what became of each place in its stead.
        value["replicationStatus"] = replication.clone();
    }
    if version.checked {
        value["clientSpecifiedPayloadChecksum"] = json!(true);
    }
    if let Some(time) = version.destroyed {
        value["destroyTime"] = json!(timestamp(time));
    }
    value
}

//! The fields of a request, and the rules that AWS checks before it looks at any secret.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::state::{MAX_LABELS, Payload, Refusal};

/// Most bytes of a secret's value; the least is 1.
const MAX_VALUE: usize = 65_536;
/// Most characters of a label.
const MAX_LABEL: usize = 256;

pub(super) fn invalid(field: &str, rule: &str) -> Refusal {
    // AWS does not repeat the value of a sensitive field here, and neither does this for any other.
    let message = format!("1 validation error detected: Value at '{field}' failed to satisfy constraint: {rule}");
    Refusal::new("ValidationException", message)
}

/// A field that is a string or absent.
pub(super) fn text<'a>(body: &'a Value, name: &str) -> Result<Option<&'a str>, Refusal> {
    match &body[name] {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(Refusal::new("SerializationException", format!("{name} is no string"))),
    }
}

pub(super) fn secret_id(body: &Value) -> Result<&str, Refusal> {
    let id = text(body, "SecretId")?.ok_or_else(|| invalid("secretId", "Member must not be null"))?;
    if id.is_empty() || id.len() > 2048 {
        return Err(invalid("secretId", "Member must have length between 1 and 2048"));
    }
    Ok(id)
}

pub(super) fn token(body: &Value) -> Result<&str, Refusal> {
    let message = "You must provide a ClientRequestToken value. We recommend a UUID-type value.";
    let token = text(body, "ClientRequestToken")?.ok_or_else(|| Refusal::parameter(message))?;
    if !(32..=64).contains(&token.len()) {
        return Err(invalid("clientRequestToken", "Member must have length between 32 and 64"));
    }
    Ok(token)
}

pub(super) fn label(stage: &str) -> Result<(), Refusal> {
    if stage.is_empty() || stage.len() > MAX_LABEL {
        return Err(invalid("versionStage", "Member must have length between 1 and 256"));
    }
    Ok(())
}

pub(super) fn stages(body: &Value) -> Result<Vec<String>, Refusal> {
    let Some(list) = body["VersionStages"].as_array() else { return Ok(vec!["AWSCURRENT".to_owned()]) };
    if list.is_empty() || list.len() > MAX_LABELS {
        return Err(invalid("versionStages", "Member must have length between 1 and 20"));
    }
    let stages: Vec<String> = list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    stages.iter().try_for_each(|stage| label(stage))?;
    Ok(stages)
}

pub(super) fn payload(body: &Value) -> Result<Option<Payload>, Refusal> {
    let (field, payload) = match (text(body, "SecretString")?, text(body, "SecretBinary")?) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => {
            let message = "You can't specify both a binary secret value and a string secret value in the same secret.";
            return Err(Refusal::parameter(message));
        }
        (Some(text), None) => ("secretString", Payload::Text(text.to_owned())),
        (None, Some(coded)) => {
            let bytes = STANDARD.decode(coded);
            let bytes = bytes.map_err(|_| Refusal::new("SerializationException", "SecretBinary is no base64"))?;
            ("secretBinary", Payload::Binary(bytes))
        }
    };
    let size = match &payload {
        Payload::Text(text) => text.len(),
        Payload::Binary(bytes) => bytes.len(),
    };
    if size == 0 {
        return Err(invalid(field, "Member must have length greater than or equal to 1"));
    }
    if size > MAX_VALUE {
        return Err(invalid(field, "Member must have length less than or equal to 65536"));
    }
    Ok(Some(payload))
}

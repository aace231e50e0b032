//! The fields of a request's body, in the JSON form of protocol buffers: each name in camelCase or as in the definition,
//! 64-bit numbers as strings or numbers, bytes in either alphabet of base64.
//! <https://protobuf.dev/programming-guides/json/>

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Map, Value};

use super::refusal::Refusal;

/// Most bytes of a payload. <https://cloud.google.com/secret-manager/quotas>
const MAX_PAYLOAD: usize = 65_536;

/// A body that is an object with no other names than these; none at all is an empty one.
pub fn object(text: &str, names: &[&str]) -> Result<Map<String, Value>, Refusal> {
    if text.is_empty() {
        return Ok(Map::new());
    }
    let body = serde_json::from_str(text);
    let body: Map<String, Value> = body.map_err(|e| {
        Refusal::invalid(format!("Invalid JSON payload received. The body is no object: line {}", e.line()))
    })?;
    known(&body, "", names)?;
    Ok(body)
}

/// Refuses a name that the message does not have, as the service does.
pub fn known(body: &Map<String, Value>, at: &str, names: &[&str]) -> Result<(), Refusal> {
    let Some(name) = body.keys().find(|name| !names.contains(&camel(name).as_str())) else { return Ok(()) };
    let place = if at.is_empty() { String::new() } else { format!(" at '{at}'") };
    Err(Refusal::invalid(format!("Invalid JSON payload received. Unknown name \"{name}\"{place}: Cannot find field.")))
}

/// A field by its camelCase name; null is absent.
pub fn field<'a>(body: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    body.iter().find(|(key, value)| camel(key) == name && !value.is_null()).map(|(_, value)| value)
}

/// `data_crc32c` → `dataCrc32c`.
pub fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |name, word| {
        let (head, tail) = word.split_at(word.chars().next().map_or(0, char::len_utf8));
        name + &head.to_ascii_uppercase() + tail
    })
}

/// The precondition of a call, where it has one that is not empty.
pub fn etag(body: &Map<String, Value>) -> Option<&str> {
    field(body, "etag").and_then(Value::as_str).filter(|etag| !etag.is_empty())
}

/// Text to text, such as labels.
pub fn texts(value: Option<&Value>, name: &str) -> Result<Map<String, Value>, Refusal> {
    match value {
        None => Ok(Map::new()),
        Some(Value::Object(map)) if map.values().all(Value::is_string) => Ok(map.clone()),
        Some(_) => Err(Refusal::invalid(format!("Invalid value at '{name}'"))),
    }
}

/// A 64-bit number.
pub fn int64(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// The payload of a new version, and whether a checksum came with it that fits.
pub fn payload(body: &Map<String, Value>) -> Result<(Vec<u8>, bool), Refusal> {
    let empty = || Refusal::invalid("Secret Payload cannot be empty.");
    let payload = field(body, "payload").and_then(Value::as_object).ok_or_else(empty)?;
    known(payload, "payload", &["data", "dataCrc32c"])?;
    let coded = field(payload, "data").and_then(Value::as_str).ok_or_else(empty)?;
    let data = STANDARD.decode(coded).or_else(|_| URL_SAFE.decode(coded));
    let data =
        data.map_err(|_| Refusal::invalid("Invalid value at 'payload.data' (TYPE_BYTES), Base64 decoding failed"))?;
    if data.is_empty() {
        return Err(empty());
    }
    if data.len() > MAX_PAYLOAD {
        let message = format!("Secret Payload is {} bytes, and must be at most {MAX_PAYLOAD}.", data.len());
        return Err(Refusal::invalid(message));
    }
    let Some(sent) = field(payload, "dataCrc32c") else { return Ok((data, false)) };
    if int64(sent) != Some(i64::from(crc32c(&data))) {
        return Err(Refusal::invalid(
            "The checksum in payload.data_crc32c does not match the checksum of payload.data.",
        ));
    }
    Ok((data, true))
}

/// CRC-32C (Castagnoli), bit by bit: written down here, so that the product's own is not its own judge.
/// <https://www.rfc-editor.org/rfc/rfc3720#appendix-B.4>
pub fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc32c_of_known_data() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(b""), 0);
    }

    #[test]
    fn names_come_in_two_forms() {
        for name in ["data_crc32c", "dataCrc32c"] {
            assert_eq!(camel(name), "dataCrc32c");
        }
        assert_eq!((camel("etag"), camel("a__b"), camel("")), ("etag".into(), "aB".into(), String::new()));
    }
}

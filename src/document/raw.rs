//! JSON that stays text: what a value is, what an object holds, without changing a byte of it.
//!
//! `serde_json` judges the grammar; its raw values keep the text, so that `1e400`, `1.10` and 20-digit integers survive.
//! Its `arbitrary_precision` would do so for numbers too, but Cargo unifies features, and the SDKs would get other numbers
//! than they were built for.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Fault;

/// The most objects and arrays within each other, the limit that `serde_json` sets itself for a parse that recurses.
pub(super) const MAX_DEPTH: usize = 128;

/// What a JSON value is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    Bool,
    Null,
    Array,
    Object,
}

impl Kind {
    /// The kind of a valid JSON text without white space around it.
    pub(super) fn of(raw: &str) -> Self {
        match raw.as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::Text,
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }
}

/// One member of an object: its decoded name, and the raw texts of the name and of the value.
pub(super) struct Entry<'a> {
    pub(super) name: String,
    pub(super) key: &'a str,
    pub(super) value: &'a str,
}

/// The members of one object, without looking into their values.
pub(super) fn entries<'a>(raw: &'a str, trail: &[Arc<str>]) -> Result<Vec<Entry<'a>>, Fault> {
    let Pairs(pairs) = serde_json::from_str(raw).map_err(|e| Fault::broken(&e))?;
    let (mut entries, mut seen) = (Vec::with_capacity(pairs.len()), HashSet::with_capacity(pairs.len()));
    for (key, value) in pairs {
        let name = decoded(key.get()).ok_or_else(|| Fault::Undecodable { path: shown(trail) })?;
        if !seen.insert(name.clone()) {
            let mut trail = trail.to_vec();
            trail.push(name.into());
            return Err(Fault::Duplicate { path: shown(&trail) });
        }
        entries.push(Entry { name, key: key.get(), value: value.get() });
    }
    Ok(entries)
}

/// The elements of one array, as raw texts.
pub(super) fn elements(raw: &str) -> Result<Vec<&str>, Fault> {
    let elements: Vec<&RawValue> = serde_json::from_str(raw).map_err(|e| Fault::broken(&e))?;
    Ok(elements.into_iter().map(RawValue::get).collect())
}

/// The one JSON value that a text holds, without the white space around it; refused where it nests too deep.
pub(super) fn whole(text: &str) -> Result<&str, Fault> {
    let raw = serde_json::from_str::<&RawValue>(text).map_err(|e| Fault::broken(&e))?.get();
    if depth(raw) > MAX_DEPTH { Err(Fault::Depth) } else { Ok(raw) }
}

/// A JSON value as the text of a variable: strings decoded, numbers and booleans verbatim, null as the empty text,
/// arrays and objects as JSON without white space.
pub(super) fn text(raw: &str, trail: &[Arc<str>]) -> Result<String, Fault> {
    match Kind::of(raw) {
        Kind::Text => decoded(raw).ok_or_else(|| Fault::Undecodable { path: shown(trail) }),
        Kind::Number | Kind::Bool => Ok(raw.to_owned()),
        Kind::Null => Ok(String::new()),
        Kind::Array | Kind::Object => Ok(compact(raw)),
    }
}

/// Where a member lies, for messages: `a.b`, and names that a path could not show plainly as JSON strings.
pub(super) fn shown<S: AsRef<str>>(path: &[S]) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    let part = |name: &str| {
        if !name.is_empty() && name.chars().all(plain) { name.to_owned() } else { quoted(name) }
    };
    let parts: Vec<String> = path.iter().map(|name| part(name.as_ref())).collect();
    if parts.is_empty() { "the top level".to_owned() } else { parts.join(".") }
}

/// A text without the byte order mark that some editors put first.
pub(super) fn unmarked(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// What JSON calls white space, which is less than what Rust does.
pub(super) fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// A text as a JSON string.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The text of a JSON string, `None` for an escape that stands for no character (half a surrogate pair).
pub(super) fn decoded(raw: &str) -> Option<String> {
    serde_json::from_str(raw).ok()
}

/// Whether a text is one JSON value, without white space around it.
pub(super) fn is_json(text: &str) -> bool {
    serde_json::from_str::<&RawValue>(text).is_ok_and(|raw| raw.get().len() == text.len())
}

/// How deep objects and arrays nest in a valid JSON text; 1 for `[]`.
pub(super) fn depth(raw: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for (c, _) in characters(raw).filter(|(_, inside)| !inside) {
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// A valid JSON text without the white space between its parts.
pub(super) fn compact(raw: &str) -> String {
    characters(raw).filter(|(c, inside)| *inside || !is_blank(*c)).map(|(c, _)| c).collect()
}

/// The characters of a valid JSON text, each with whether it belongs to a string.
fn characters(raw: &str) -> impl Iterator<Item = (char, bool)> {
    raw.chars().scan((false, false), |(inside, escaped), c| {
        let belongs = *inside || c == '"';
        match c {
            _ if *escaped => *escaped = false,
            '\\' if *inside => *escaped = true,
            '"' => *inside = !*inside,
            _ => {}
        }
        Some((c, belongs))
    })
}

/// The members of one object as raw texts, in their order, duplicates too, which a map type would swallow.
struct Pairs<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collector;

        impl<'de> Visitor<'de> for Collector {
            type Value = Pairs<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(Collector)
    }
}

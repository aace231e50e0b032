//! The payload of a secret as variables: one JSON object, flattened, or dotenv text. Pure; no store, no file.
//!
//! Both kinds are lossless: what is not set keeps its bytes, its order and its nesting, and a document that nobody
//! touched prints exactly what was read.

mod fault;
mod member;
mod raw;
mod tree;

pub use self::fault::Fault;
pub use self::member::member_at;
use self::raw::{is_blank, unmarked};
use self::tree::Tree;
use crate::dotenv::{self, Dialect};
use crate::secret::{Key, Secret, Variables};

/// How a payload is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)).
    Json,
    /// Dotenv text in the portable dialect.
    Dotenv,
}

/// A payload that holds variables.
///
/// In a JSON object a nested member's name is its path, joined by a separator (`A_B`). Strings are decoded, numbers and
/// booleans are their text verbatim, null is the empty text, an array is its JSON text without white space. An empty
/// nested object holds no variable and is kept.
pub struct Document(Body);

enum Body {
    Json(Tree),
    Dotenv(dotenv::Document),
}

impl Document {
    /// Recognises and reads a payload; `separator` joins the names of nested JSON objects. A byte order mark is tolerated.
    /// With `last_wins` the last one counts of members that yield one variable (`on_collision: last`): setting the
    /// variable sets that member, and removing it removes them all, or an earlier one would come to light. Duplicate
    /// members of one object are an error all the same.
    ///
    /// # Errors
    /// A [`Fault`] where the payload is neither of the two formats, is broken, or yields a variable twice.
    pub fn parse(payload: &Secret, separator: &str, last_wins: bool) -> Result<Self, Fault> {
        let text = bare(payload);
        match text.chars().next() {
            None => return Err(Fault::Empty),
            Some('{') => return Ok(Self(Body::Json(Tree::parse(payload, separator, last_wins)?))),
            Some(first) if raw::whole(text).is_ok() => return Err(Fault::NotObject { array: first == '[' }),
            Some(_) => {}
        }
        if trap(text).is_some() {
            return Err(Fault::Neither { line: 1 });
        }
        let document = dotenv_text(payload.expose().as_bytes().to_vec())?;
        let variables = document.variables();
        if let Some(line) = wrapped_piece(text, &variables) {
            return Err(Fault::Neither { line });
        }
        if variables.is_empty() { Err(Fault::Empty) } else { Ok(Self(Body::Dotenv(document))) }
    }

    /// A document without variables. JSON is then written without white space.
    #[must_use]
    pub fn empty(format: Format) -> Self {
        Self(match format {
            Format::Json => Body::Json(Tree::empty()),
            Format::Dotenv => Body::Dotenv(dotenv::Document::empty()),
        })
    }

    /// Which of the two it is.
    #[must_use]
    pub fn format(&self) -> Format {
        match self.0 {
            Body::Json(_) => Format::Json,
            Body::Dotenv(_) => Format::Dotenv,
        }
    }

    /// The flattened names with their values, in the order of the document. A name is as the payload has it: it may be no
    /// valid variable name, and a value may hold NUL.
    #[must_use]
    pub fn members(&self) -> Vec<(String, Secret)> {
        match &self.0 {
            Body::Json(tree) => tree.members(),
            Body::Dotenv(text) => text.variables().into_iter().map(|(k, v)| (k.as_str().to_owned(), v)).collect(),
        }
    }

    /// Sets a variable. An existing member keeps its place, and its type where the new text is of that type (number,
    /// boolean, array); null stays null for an empty text. A new one is a string at the end. A value that is there
    /// already changes no byte.
    ///
    /// # Errors
    /// [`Fault::Shadowed`] where an object has the name; [`Fault::Unwritable`] where dotenv text cannot carry the value.
    pub fn set(&mut self, key: &Key, value: &Secret) -> Result<(), Fault> {
        match &mut self.0 {
            Body::Json(tree) => tree.set(key.as_str(), value),
            Body::Dotenv(text) => {
                text.set(key, value).map_err(|e| Fault::Unwritable { key: e.key, what: e.what, help: e.help })
            }
        }
    }

    /// Takes one member over from another document, between two JSON documents with its JSON text. One that the other
    /// does not have stays as it is here.
    ///
    /// # Errors
    /// As [`Document::set`].
    pub fn graft(&mut self, name: &str, from: &Self) -> Result<(), Fault> {
        if let (Body::Json(tree), Body::Json(other)) = (&mut self.0, &from.0) {
            return tree.graft(name, other);
        }
        let value = from.members().into_iter().find(|(other, _)| other == name);
        match (Key::new(name), value) {
            (Some(key), Some((_, value))) => self.set(&key, &value),
            (None, Some(_)) => Err(Fault::BadName { name: name.to_owned() }),
            (_, None) => Ok(()),
        }
    }

    /// Removes a variable; one that is not there is no error. The object that held it stays, also when it is empty then.
    pub fn remove(&mut self, key: &Key) {
        match &mut self.0 {
            Body::Json(tree) => tree.remove(key.as_str()),
            Body::Dotenv(text) => text.remove(key),
        }
    }

    /// The payload.
    #[must_use]
    pub fn print(&self) -> Secret {
        match &self.0 {
            Body::Json(tree) => tree.print(),
            Body::Dotenv(text) => {
                // A payload is UTF-8 from the start, and so is every value.
                let text = String::from_utf8(text.print())
                    .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned());
                recognisable(&text).unwrap_or(text).into()
            }
        }
    }

    /// The same variables in one of the two formats: flat and in their order, or unchanged where it has the format.
    ///
    /// # Errors
    /// [`Fault::BadName`] and [`Fault::Unwritable`] where dotenv text cannot carry a member.
    pub fn converted(&self, format: Format) -> Result<Self, Fault> {
        match (&self.0, format) {
            (Body::Json(tree), Format::Json) => return Ok(Self(Body::Json(tree.clone()))),
            (Body::Dotenv(text), Format::Dotenv) => return Ok(Self(Body::Dotenv(dotenv_text(text.print())?))),
            (Body::Json(_), Format::Dotenv) | (Body::Dotenv(_), Format::Json) => {}
        }
        let mut other = Self::empty(format);
        for (name, value) in self.members() {
            let key = Key::new(&name).ok_or(Fault::BadName { name })?;
            other.set(&key, &value)?;
        }
        Ok(other)
    }
}

fn dotenv_text(bytes: Vec<u8>) -> Result<dotenv::Document, Fault> {
    let first = |all: Vec<dotenv::Fault>| Fault::Neither { line: all.iter().map(|f| f.line).min().unwrap_or(1) };
    dotenv::Document::parse(bytes, &[Dialect::Portable]).map_err(first)
}

/// Gives an array of the giving side the white space that it has on the receiving side, where they are one array: members
/// show `[1,2]` for `[1, 2]`, and that alone is no difference between two sides.
pub fn align(giver: &mut Variables, receiver: &Variables) {
    for (key, value) in giver.iter_mut().filter(|(_, value)| value.expose().starts_with('[')) {
        if let Some(there) = receiver.get(key)
            && there != value
            && there.expose().starts_with('[')
            && raw::is_json(value.expose())
            && raw::is_json(there.expose())
            && raw::compact(value.expose()) == raw::compact(there.expose())
        {
            *value = there.clone();
        }
    }
}

/// The line, from 1, that is more likely the last one of a value in wrapped base64 (`aGVsbG9zZWNyZXQ=`) than a variable
/// without a value: taking it for one would show a piece of a secret as a name. Its length is a multiple of four, and its
/// name has letters of both cases and digits, but no `_`.
#[must_use]
pub fn wrapped_piece(text: &str, variables: &Variables) -> Option<usize> {
    let piece = |(key, value): &(&Key, &Secret)| {
        let (name, value) = (key.as_str(), value.expose());
        let has = |class: fn(&u8) -> bool| name.as_bytes().iter().any(class);
        matches!(value, "" | "=")
            && name.len() >= 12
            && (name.len() + 1 + value.len()).is_multiple_of(4)
            && has(u8::is_ascii_uppercase)
            && has(u8::is_ascii_lowercase)
            && has(u8::is_ascii_digit)
            && !name.contains('_')
    };
    variables.iter().filter(piece).find_map(|(key, value)| {
        // In quotes it is meant for a value.
        let bare = format!("{key}={}", value.expose());
        text.lines().position(|line| line.trim() == bare).map(|line| line + 1)
    })
}

/// Dotenv text with its value in quotes, where we would not recognise it otherwise (see [`trap`]).
fn recognisable(text: &str) -> Option<String> {
    let value = trap(unmarked(text).trim_matches(is_blank))?;
    let (name, rest) = text.split_once('=')?;
    let tail = rest.trim_start_matches(is_blank).strip_prefix(value)?;
    // A value that is empty took the line end with the blanks before it.
    let tail = if value.is_empty() { rest } else { tail };
    Some(format!("{name}=\"{value}\"{tail}"))
}

/// The payload without a byte order mark and white space around it.
fn bare(payload: &Secret) -> &str {
    unmarked(payload.expose()).trim_matches(is_blank)
}

/// The part after the `=` of a single line where it is empty or all `=`. Such a line is more likely a plain secret in
/// base64 (`c2VjcmV0=`) than a variable without a value, and taking it for one would show the secret as a name.
fn trap(text: &str) -> Option<&str> {
    let (_, value) = text.split_once('=').filter(|_| !text.contains(['\n', '\r']))?;
    let value = value.trim_matches(is_blank);
    value.bytes().all(|b| b == b'=').then_some(value)
}

#[cfg(test)]
mod tests;

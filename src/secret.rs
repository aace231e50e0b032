//! The three words the whole program is made of: a secret value, a variable's name, and an ordered map of both.
//!
//! Nothing in here can be printed by accident: [`Secret`] has no `Display` and its `Debug` is redacted; its memory is
//! wiped when it is dropped. Buffers of libraries (JSON, HTTP, TLS) are not wiped, so this is best effort.

use std::fmt;
use std::sync::Arc;

use indexmap::IndexMap;
use secrecy::{ExposeSecret, SecretString};

/// A value that must never be shown. UTF-8 text of any length, also empty.
#[derive(Clone)]
pub struct Secret(SecretString);

impl Secret {
    /// The text itself, for the few places that hand it on (a file, a store, a mask command).
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// To be told every secret that comes into being during a run, such as a token, before anything else is done with it.
#[derive(Clone)]
pub struct Masker(Arc<dyn Fn(&Secret) + Send + Sync>);

impl Masker {
    /// What hides a secret.
    pub fn new(mask: impl Fn(&Secret) + Send + Sync + 'static) -> Self {
        Self(Arc::new(mask))
    }

    /// Hides it from now on.
    pub fn mask(&self, secret: &Secret) {
        (self.0)(secret);
    }
}

impl fmt::Debug for Masker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masker")
    }
}

/// The name of a variable: `[A-Za-z_][A-Za-z0-9_]*`, what every shell accepts
/// ([POSIX, 3.235](https://pubs.opengroup.org/onlinepubs/9699919799/basedefs/V1_chap03.html#tag_03_235)). Names are no
/// secrets and are shown in logs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(Box<str>);

impl Key {
    /// The name, or `None` where the text is no valid one.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let mut bytes = name.bytes();
        let first = bytes.next()?;
        let valid =
            (first.is_ascii_alphabetic() || first == b'_') && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        valid.then(|| Self(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Variables in the order of their source; one value a name.
pub type Variables = IndexMap<Key, Secret>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_what_every_shell_accepts() {
        for good in ["A", "_", "a1", "_A_9", "Z"] {
            assert_eq!(Key::new(good).as_ref().map(Key::as_str), Some(good));
        }
        for bad in ["", "1A", "A-B", "A.B", "A B", "A=B", "Ä", "A\n", "A\0"] {
            assert_eq!(Key::new(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn debug_shows_no_value() {
        let shown = format!("{:?}", Secret::from("hunter2-fake"));
        assert_eq!(shown, "Secret(***)");
    }
}

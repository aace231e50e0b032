//! Temporary credentials: the Security Token Service issues them, and what trusts it asks for them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::state::now;

/// What every temporary access key id begins with, so that a test knows what must not show before it is there.
pub const KEY: &str = "ASIAFAKETEMPORARY";
/// What every secret of one begins with.
pub const SECRET: &str = "fake-temporary-secret";
/// What every session token begins with.
pub const TOKEN: &str = "fake-temporary-session-token";

/// Temporary credentials as they were issued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Access key id.
    pub key: String,
    /// Its secret.
    pub secret: String,
    /// The session token.
    pub token: String,
    /// `arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`.
    pub arn: String,
    /// The role that was assumed.
    pub role: String,
    /// In seconds since 1970.
    pub expires: i64,
}

/// Why credentials are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Never issued, or not with this token.
    Unknown,
    /// They were good.
    Expired,
}

/// All that were issued; clones are one book.
#[derive(Clone, Default)]
pub struct Sessions(Arc<Mutex<Vec<Session>>>);

impl Sessions {
    fn book(&self) -> MutexGuard<'_, Vec<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Issues credentials for this role that last this long, in seconds.
    pub fn issue(&self, role: &str, arn: &str, seconds: i64) -> Session {
        let mut book = self.book();
        let n = book.len() + 1;
        #[allow(clippy::cast_possible_truncation, reason = "times of this century fit")]
        let expires = now() as i64 + seconds;
        let session = Session {
            key: format!("{KEY}{n:03}"),
            secret: format!("{SECRET}-{n:03}"),
            token: format!("{TOKEN}-{n:03}=="),
            arn: arn.to_owned(),
            role: role.to_owned(),
            expires,
        };
        book.push(session.clone());
        session
    }

    /// Who this is.
    ///
    /// # Errors
    /// Where these are no credentials of this book, or no longer.
    #[allow(clippy::cast_possible_truncation, reason = "times of this century fit")]
    pub fn check(&self, key: &str, token: Option<&str>) -> Result<Session, Invalid> {
        let book = self.book();
        let found = book.iter().find(|s| s.key == key && token == Some(s.token.as_str())).ok_or(Invalid::Unknown)?;
        if found.expires <= now() as i64 {
            return Err(Invalid::Expired);
        }
        Ok(found.clone())
    }

    /// All, in the order in which they were issued.
    #[must_use]
    pub fn issued(&self) -> Vec<Session> {
        self.book().clone()
    }
}

//! Logging in: [`way`] says as plain data how it can be done, [`choice`] chooses purely between what is given, [`oidc`]
//! brings the job's identity token, and one room a cloud exchanges it.

pub mod aws;
pub mod azure;
pub mod choice;
pub mod claims;
pub mod gcp;
pub mod oidc;
pub mod way;

use std::path::PathBuf;

use crate::secret::{Masker, Secret};

/// What an exchange needs beside its settings, the same for every cloud.
#[derive(Clone)]
pub struct Means {
    /// The one client.
    pub http: reqwest::Client,
    /// To be told every token and temporary credential the moment it exists.
    pub mask: Masker,
    /// Where relative paths of credential files start.
    pub workspace: PathBuf,
}

/// The private key in a credentials file, for masking: the rest of such a file names people and projects.
#[must_use]
pub fn private_key(json: &str) -> Option<Secret> {
    #[derive(serde::Deserialize)]
    struct Key {
        private_key: String,
    }
    serde_json::from_str::<Key>(json).ok().map(|key| key.private_key.into())
}

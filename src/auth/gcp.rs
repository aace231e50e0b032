//! Google's credentials as the headers of a request: an access token as it is, or a service account key, with which a
//! token is signed here and without a round trip ([self-signed JWT](https://google.aip.dev/auth/4111)).

use std::fmt;
use std::path::{Path, PathBuf};

use google_cloud_auth::credentials::service_account::Builder;
use google_cloud_auth::credentials::{CacheableResource, Credentials};
use google_cloud_auth::errors::CredentialsError;
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use serde_json::Value;

use super::GcpWay;
use crate::error::{Failure, Kind};
use crate::file;
use crate::secret::Secret;

/// A login that is ready to be used.
#[derive(Clone)]
pub struct Login {
    source: Source,
    project: Option<String>,
    private_key: Option<Secret>,
}

#[derive(Clone)]
enum Source {
    Token(HeaderValue),
    Key(Credentials),
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
    }
}

impl Login {
    /// Makes the login; nothing is sent. A relative path of a file is one in the workspace. Must run inside a tokio
    /// runtime, where the SDK renews the token of a key.
    ///
    /// # Errors
    /// [`Kind::Input`] for credentials that cannot be read or used; their content is never part of the text.
    pub async fn new(way: &GcpWay, workspace: &Path) -> Result<Self, Failure> {
        match way {
            GcpWay::Token(token) => {
                let wrong = |_| {
                    Failure::new(Kind::Input, "the Google access token holds characters that no token has")
                        .help("give the token alone, such as what `gcloud auth print-access-token` prints")
                };
                let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(wrong)?;
                value.set_sensitive(true);
                Ok(Self { source: Source::Token(value), project: None, private_key: None })
            }
            GcpWay::Json(json) => {
                Self::from_json(json.expose(), "the Google credentials of `gcp_credentials_json`").await
            }
            GcpWay::File(path) => {
                let (path, text) = read(path, workspace)?;
                let name = format!("the Google credentials file `{}`", path.display());
                Self::from_json(text.expose(), &name).await
            }
        }
    }

    async fn from_json(text: &str, name: &str) -> Result<Self, Failure> {
        let key_file = "give the key file of a service account as Google made it, from its first `{` to its last `}`";
        let wrong = |what: &str| Failure::new(Kind::Input, format!("{name} {what}"));
        if text.trim().is_empty() {
            return Err(wrong("are empty").help(key_file));
        }
        let json: Value = serde_json::from_str(text).map_err(|_| wrong("are no JSON").help(key_file))?;
        match json.get("type").and_then(Value::as_str) {
            Some("service_account") => {}
            Some(other) => {
                let other: String = other.chars().take(40).flat_map(char::escape_default).collect();
                return Err(wrong(&format!("are of the type `{other}`, with which this version cannot log in")).help(
                    "give the key of a service account (`\"type\": \"service_account\"`), or an access token in `gcp_access_token`",
                ));
            }
            None => return Err(wrong("have no `type`").help(key_file)),
        }
        let project = json.get("project_id").and_then(Value::as_str).map(str::to_owned);
        let private_key = json.get("private_key").and_then(Value::as_str).map(Secret::from);
        for field in ["client_email", "private_key_id", "private_key", "project_id"] {
            if json.get(field).and_then(Value::as_str).is_none_or(|text| text.trim().is_empty()) {
                return Err(wrong(&format!("have no `{field}`")).help(key_file));
            }
        }
        // The errors of the SDK may quote what they read.
        let unusable = || wrong("hold a private key that cannot be used").help(key_file);
        let credentials = Builder::new(json).build().map_err(|_| unusable())?;
        let login = Self { source: Source::Key(credentials), project, private_key };
        // A first token tells now whether the key is one, and not in the middle of a run.
        login.headers().await.map_err(|_| unusable())?;
        Ok(login)
    }

    /// The project that the key belongs to.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// What has to be masked: the private key of a key file. An access token is given by the caller, who knows it.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        self.private_key.iter().cloned().collect()
    }

    /// The headers that a request needs.
    ///
    /// # Errors
    /// [`CredentialsError`] where no token can be made; not to be shown.
    pub async fn headers(&self) -> Result<HeaderMap, CredentialsError> {
        match &self.source {
            Source::Token(value) => Ok(HeaderMap::from_iter([(AUTHORIZATION, value.clone())])),
            Source::Key(credentials) => match credentials.headers(http::Extensions::new()).await? {
                CacheableResource::New { data, .. } => Ok(data),
                // Only an answer to a request that names what it has already, which ours does not.
                CacheableResource::NotModified => Ok(HeaderMap::new()),
            },
        }
    }
}

/// Reads a credentials file. A path that is not there is looked for in the workspace by its last part: another action
/// writes the file into the workspace and leaves the path that the host knows it by, which a container does not have.
fn read(path: &str, workspace: &Path) -> Result<(PathBuf, Secret), Failure> {
    let given = workspace.join(path);
    let moved = given.file_name().map(|name| workspace.join(name));
    let mut found = file::read_any(&given).map(|snapshot| (given, snapshot));
    if let (Err(failure), Some(moved)) = (&found, moved)
        && failure.kind == Kind::NotFound
    {
        found = file::read_any(&moved).map(|snapshot| (moved, snapshot)).or(found);
    }
    let unreadable = |why: String| {
        Failure::new(Kind::Input, format!("the file of GOOGLE_APPLICATION_CREDENTIALS cannot be used: {why}"))
            .help("mount the file, or give its content in `gcp_credentials_json`")
    };
    let (path, snapshot) = found.map_err(|failure| unreadable(failure.to_string()))?;
    let text = String::from_utf8(snapshot.bytes().to_vec())
        .map_err(|_| unreadable(format!("`{}` is no text in UTF-8", path.display())))?;
    Ok((path, text.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(json: &str) -> Result<Login, Failure> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(Login::new(&GcpWay::Json(json.into()), Path::new("")))
    }

    #[test]
    fn credentials_that_cannot_be_used_say_why_and_show_nothing() {
        let key =
            r#""type":"service_account","client_email":"fake@fake.iam.gserviceaccount.com","private_key_id":"f4ke""#;
        let rows = [
            (" \n".to_owned(), "are empty"),
            ("hunter2-fake".to_owned(), "are no JSON"),
            ("ey-fake-base64".to_owned(), "are no JSON"),
            (r#"{"web":{"client_secret":"hunter2-fake"}}"#.to_owned(), "have no `type`"),
            (r#"["hunter2-fake"]"#.to_owned(), "have no `type`"),
            (r#"{"type":"external_account","x":"hunter2-fake"}"#.to_owned(), "of the type `external_account`"),
            (
                r#"{"type":"authorized_user","refresh_token":"hunter2-fake"}"#.to_owned(),
                "of the type `authorized_user`",
            ),
            (format!(r#"{{{key},"project_id":"fake"}}"#), "have no `private_key`"),
            (format!(r#"{{{key},"private_key":"hunter2-fake"}}"#), "have no `project_id`"),
            (
                format!(r#"{{{key},"project_id":"fake","private_key":"hunter2-fake"}}"#),
                "private key that cannot be used",
            ),
            (
                format!(
                    r#"{{{key},"project_id":"fake","private_key":"-----BEGIN PRIVATE KEY-----\naHVudGVyMi1mYWtl\n-----END PRIVATE KEY-----\n"}}"#
                ),
                "private key that cannot be used",
            ),
        ];
        for (json, why) in rows {
            let failure = login(&json).unwrap_err();
            assert_eq!(failure.kind, Kind::Input, "{json}");
            let said = format!("{failure:?}");
            assert!(said.contains(why), "{json}: {said}");
            assert!(!said.contains("hunter2") && !said.contains("aHVud"), "{said}");
        }
    }

    #[test]
    fn the_private_key_is_given_to_be_masked() {
        // Opens nothing. It lies without its PEM frame, so that no scanner takes it for a leak.
        let body = include_str!("../../tests/data/rsa-2048.pkcs8.base64");
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n");
        let key = serde_json::json!({"type": "service_account", "project_id": "fake", "private_key_id": "f4ke",
            "private_key": pem, "client_email": "fake@fake.iam.gserviceaccount.com"});
        let login = login(&key.to_string()).unwrap();
        assert_eq!(login.secrets(), [Secret::from(pem)]);
        assert!(!format!("{login:?}").contains(body.lines().next().unwrap()));
    }

    #[test]
    fn a_token_is_a_bearer_that_debug_does_not_show() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let login = runtime.block_on(Login::new(&GcpWay::Token("ya29.fake-token".into()), Path::new(""))).unwrap();
        let headers = runtime.block_on(login.headers()).unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer ya29.fake-token");
        assert!(!format!("{headers:?}{login:?}").contains("fake-token"));
        let broken = runtime.block_on(Login::new(&GcpWay::Token("fake\ntoken".into()), Path::new("")));
        assert_eq!(broken.unwrap_err().kind, Kind::Input);
    }
}

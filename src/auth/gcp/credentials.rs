//! Credentials files, by their `type` ([AIP-4110](https://google.aip.dev/auth/4110)); read, never written.

use std::path::{Path, PathBuf};

use google_cloud_auth::credentials::service_account::Builder;
use serde_json::Value;

use super::super::Means;
use super::super::claims::shown;
use super::endpoints::Endpoints;
use super::impersonation::Target;
use super::{Base, external};
use crate::error::{Failure, Kind};
use crate::file;
use crate::secret::Secret;

/// What a file holds: the first login, the accounts to act as after it, and what is known of both.
pub(super) struct Held {
    pub(super) base: Base,
    pub(super) targets: Vec<Target>,
    pub(super) project: Option<String>,
    /// The account of a key.
    pub(super) account: Option<String>,
}

const KEY_FILE: &str = "give the key file of a service account as Google made it, from its first `{` to its last `}`";

/// Understands a file; nothing is sent.
///
/// # Errors
/// [`Kind::Input`], beginning with `name`; its content is never part of the text.
pub(super) fn parse(text: &str, name: &str, endpoints: &Endpoints, means: &Means) -> Result<Held, Failure> {
    let wrong = |what: &str, help: &str| Failure::new(Kind::Input, format!("{name} {what}")).help(help);
    if text.trim().is_empty() {
        return Err(wrong("are empty", KEY_FILE));
    }
    let json: Value = serde_json::from_str(text).map_err(|_| wrong("are no JSON", KEY_FILE))?;
    held(json, endpoints, means, true).map_err(|(what, help)| wrong(&what, &help))
}

fn held(json: Value, endpoints: &Endpoints, means: &Means, outer: bool) -> Result<Held, (String, String)> {
    let owned = |(what, help): (String, &str)| (what, help.to_owned());
    match json.get("type").and_then(Value::as_str) {
        Some("service_account") => key(json, means).map_err(owned),
        Some("external_account") => {
            let (federation, target) = external::parse(&json, endpoints, means).map_err(owned)?;
            let base = Base::Federation(Box::new(federation));
            Ok(Held { base, targets: target.into_iter().collect(), project: None, account: None })
        }
        Some("impersonated_service_account") if outer => {
            let target = external::target(&json, endpoints).map_err(owned)?;
            let target = target.ok_or_else(|| {
                ("have no `service_account_impersonation_url`".to_owned(), "write the file again".to_owned())
            })?;
            let mut source = json;
            let source = source.get_mut("source_credentials").map(Value::take).unwrap_or_default();
            let mut held = held(source, endpoints, means, false)
                .map_err(|(what, help)| (format!("have `source_credentials` that {what}"), help))?;
            held.targets.push(target);
            Ok(held)
        }
        Some("authorized_user") => Err((
            "are the login of a person (`authorized_user`), which is none for a pipeline".to_owned(),
            "log in by the job's own token with `gcp_workload_identity_provider`; to try something by hand, give what `gcloud \
             auth print-access-token` prints as `gcp_access_token`"
                .to_owned(),
        )),
        Some(other) => Err((
            format!("are of the type `{}`, with which this version cannot log in", shown(other)),
            "give `service_account`, `external_account` or `impersonated_service_account`, or an access token in \
             `gcp_access_token`"
                .to_owned(),
        )),
        None => Err(("have no `type`".to_owned(), KEY_FILE.to_owned())),
    }
}

fn key(json: Value, means: &Means) -> Result<Held, (String, &'static str)> {
    let text = |field: &str| json.get(field).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    if let Some(key) = text("private_key") {
        means.mask.mask(&Secret::from(key));
    }
    for field in ["client_email", "private_key_id", "private_key", "project_id"] {
        if text(field).is_none() {
            return Err((format!("have no `{field}`"), KEY_FILE));
        }
    }
    let (project, account) = (text("project_id").map(str::to_owned), text("client_email").map(str::to_owned));
    // The errors of the SDK may quote what they read.
    let credentials =
        Builder::new(json).build().map_err(|_| ("hold a private key that cannot be used".to_owned(), KEY_FILE))?;
    Ok(Held { base: Base::Key(credentials), targets: Vec::new(), project, account })
}

/// Reads a file; `what` is it. A path that is not there is looked for in the workspace by its last part: another action
/// writes the file into the workspace and leaves the path that the host knows it by, which a container does not have.
///
/// # Errors
/// [`Kind::Input`] where it cannot be read.
pub(super) fn read(path: &str, workspace: &Path, what: &str) -> Result<(PathBuf, Secret), Failure> {
    let given = workspace.join(path);
    let moved = given.file_name().map(|name| workspace.join(name));
    let mut found = file::read_any(&given).map(|snapshot| (given, snapshot));
    if let (Err(failure), Some(moved)) = (&found, moved)
        && failure.kind == Kind::NotFound
    {
        found = file::read_any(&moved).map(|snapshot| (moved, snapshot)).or(found);
    }
    let unreadable = |why: String| {
        Failure::new(Kind::Input, format!("{what} cannot be used: {why}"))
            .help(
                "after google-github-actions/auth: run it behind actions/checkout, which removes the file from the workspace; else mount \
                 the file into the container, or give its content in `gcp_credentials_json`",
            )
    };
    let (path, snapshot) = found.map_err(|failure| unreadable(failure.to_string()))?;
    let text = String::from_utf8(snapshot.bytes().to_vec())
        .map_err(|_| unreadable(format!("`{}` is no text in UTF-8", path.display())))?;
    Ok((path, text.into()))
}

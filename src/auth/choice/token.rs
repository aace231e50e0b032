//! Where the job's identity token comes from, and what to do where there is none.

use super::{Given, input, login, one_word};
use crate::auth::way::IdToken;
use crate::error::Failure;

const URL: &str = "ACTIONS_ID_TOKEN_REQUEST_URL";
const BEARER: &str = "ACTIONS_ID_TOKEN_REQUEST_TOKEN";

/// What gives a job an identity token, by platform, for a message.
pub(super) const JOBS: &str = "GitHub: `permissions: id-token: write`; GitLab: `id_tokens`";

/// A token that can be had.
pub(super) struct Found {
    pub(super) token: IdToken,
    /// For the log: `OIDC from …`.
    pub(super) via: String,
    /// Given for this very purpose, by an input or a variable that is named after the cloud. A platform's token may be
    /// there for something else.
    pub(super) meant: bool,
}

/// What was found.
pub(super) enum Source {
    Found(Found),
    /// One of GitHub's two variables.
    Half,
    Nothing,
}

/// Looks in order: the inputs, the endpoint of GitHub or Forgejo, the cloud's variables that GitLab's users know, the one
/// that is there for every cloud; last the `file` that a variable of a pod names, where it may be used.
pub(super) fn find(given: &Given<'_>, own: &[&str], file: Option<&str>) -> Result<Source, Failure> {
    let found = |token, via: String, meant| Ok(Source::Found(Found { token, via, meant }));
    let carried = |text: &str, shown: String, meant| {
        let jwt = one_word(&shown, text)?;
        let name = shown.trim_matches('`').to_owned();
        found(IdToken::Given { jwt, name }, format!("OIDC with {shown}"), meant)
    };
    let from_file = |path: &str, shown: String| {
        let token = IdToken::File { path: path.to_owned(), name: shown.trim_matches('`').to_owned() };
        found(token, format!("OIDC with the file of {shown}"), true)
    };
    if let (Some(_), Some(_)) = (given.input("oidc_token"), given.input("oidc_token_file")) {
        let (token, file) = (given.shown("oidc_token"), given.shown("oidc_token_file"));
        return Err(input(format!("two identity tokens are given at once: {token} and {file}"), "give one of them"));
    }
    if let Some(text) = given.input("oidc_token") {
        return carried(text, given.shown("oidc_token"), true);
    }
    if let Some(path) = given.input("oidc_token_file") {
        return from_file(path, given.shown("oidc_token_file"));
    }
    let pair = (given.variable(URL), given.variable(BEARER));
    if let (Some(url), Some(bearer)) = pair {
        let bearer = one_word(&format!("`{BEARER}`"), bearer)?;
        let platform = if is_forgejo(given) { "Forgejo" } else { "GitHub" };
        return found(IdToken::GitHub { url: url.to_owned(), bearer }, format!("OIDC from {platform}"), false);
    }
    for (names, meant) in [(own, true), (&["GITLAB_OIDC_TOKEN"][..], false)] {
        if let Some((name, text)) = names.iter().find_map(|name| Some((*name, given.variable(name)?))) {
            return carried(text, format!("`{name}`"), meant);
        }
    }
    if let Some((name, path)) = file.and_then(|name| Some((name, given.variable(name)?))) {
        return from_file(path, format!("`{name}`"));
    }
    Ok(if pair == (None, None) { Source::Nothing } else { Source::Half })
}

/// Whether a token was given by an input, and by which.
pub(super) fn explicit(given: &Given<'_>) -> Option<String> {
    ["oidc_token", "oidc_token_file"].into_iter().find(|name| given.input(name).is_some()).map(|name| given.shown(name))
}

/// `what` names the role, provider or application that cannot be used. `variable` and `audience` are what GitLab needs;
/// `or` are other fixes, each beginning with a word like "give".
pub(super) fn missing(
    given: &Given<'_>,
    half: bool,
    what: &str,
    (variable, audience): (&str, &str),
    or: &str,
) -> Failure {
    if half {
        let (has, lacks) = if given.variable(URL).is_some() { (URL, BEARER) } else { (BEARER, URL) };
        return input(
            format!("{what}, and of the two variables for it only `{has}` is set: `{lacks}` is missing"),
            "hand both to envsync as the job has them",
        );
    }
    let help = if is_forgejo(given) {
        "add `enable-openid-connect: true` to the workflow; pull requests from forks get no token".to_owned()
    } else if given.variable("GITHUB_ACTIONS") == Some("true") {
        let event = given.variable("GITHUB_EVENT_NAME").unwrap_or_default();
        let none = if event.starts_with("pull_request") && event != "pull_request_target" {
            "this is a pull request: one from a fork or of Dependabot gets no token, whatever it asks for"
        } else {
            "pull requests from forks and of Dependabot get none"
        };
        format!(
            "give the job `permissions: id-token: write`, and where it is in a called reusable workflow, give it to the caller's job too; {none}"
        )
    } else if given.variable("GITLAB_CI").is_some() {
        return login(
            format!("{what}, and the job has no identity token"),
            format!(
                "{or}, or hand over a token that the job has under another name in {}, or add these lines to the job\n\
                 id_tokens:\n  {variable}:\n    aud: {audience}",
                given.shown("oidc_token")
            ),
        );
    } else {
        format!("give a token in {}, or its file in {}", given.shown("oidc_token"), given.shown("oidc_token_file"))
    };
    login(format!("{what}, and the job has no identity token"), format!("{help}; or {or}"))
}

fn is_forgejo(given: &Given<'_>) -> bool {
    ["FORGEJO_ACTIONS", "GITEA_ACTIONS"].iter().any(|name| given.variable(name).is_some())
}

//! Which Google login it is.

use super::token::{self, Found, JOBS, Source};
use super::{Given, Named, and, escaped, input, login, one_word, settle, twice};
use crate::auth::way::{GOOGLE_UNIVERSE, GcpLogin, GcpWay, Impersonation};
use crate::error::{Failure, Problem};

const PROVIDER: &str = "gcp_workload_identity_provider";
const FILE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const EXAMPLE: &str = "`projects/123456789012/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`";
/// What GitLab's integration with Google sets: project number, pool and provider
/// ([variables](https://docs.gitlab.com/integration/google_cloud_iam/)).
const GITLAB: [&str; 3] =
    ["GCP_PROJECT_NUMBER", "GCP_WORKLOAD_IDENTITY_FEDERATION_POOL_ID", "GCP_WORKLOAD_IDENTITY_FEDERATION_PROVIDER_ID"];

/// Chooses a login to Google.
///
/// # Errors
/// [`Kind::Input`](crate::error::Kind) for what cannot be right, for a way that is given in part, and for two at once;
/// [`Kind::Login`](crate::error::Kind) where no way is given, or a provider without an identity token to show it.
pub fn choose_gcp(given: &Given<'_>) -> Result<GcpLogin, Failure> {
    let mut problems = Vec::new();
    let universe = given.first("gcp_universe_domain", &["GOOGLE_CLOUD_UNIVERSE_DOMAIN"]);
    if let Some(universe) = &universe
        && !is_domain(universe.text)
    {
        let what = format!("{} is `{}`, which is no domain", universe.name, escaped(universe.text));
        problems.push(Problem::new(what, format!("write it as in `{GOOGLE_UNIVERSE}`, without `https://`")));
    }
    let universe = universe.map_or(GOOGLE_UNIVERSE, |universe| universe.text);
    let provider = provider(given, universe, &mut problems);
    let impersonation = impersonation(given, &mut problems);
    let (way, what, reason) = settle(problems, way(given, &provider))?;
    let acting = impersonation.as_ref().map_or_else(String::new, |to| {
        to.delegates.iter().chain([&to.account]).map(|account| format!(" → service account {account}")).collect()
    });
    let because = format!("{what}{acting}, because {reason}");
    Ok(GcpLogin { way, because, impersonation, universe: universe.to_owned() })
}

/// A way, what it is in words, and why it is the one.
type Chosen = (GcpWay, String, String);

/// A provider's resource name, and how far it was given.
enum Provider {
    /// Perhaps a wrong one, of which the problem is known.
    Whole {
        path: String,
        name: String,
        input: bool,
    },
    /// Of GitLab's three variables these are missing.
    Part(Vec<String>),
    None,
}

fn way(given: &Given<'_>, provider: &Provider) -> Result<Chosen, Failure> {
    let names = ["gcp_access_token", "gcp_credentials_json", PROVIDER];
    let own: Vec<String> =
        names.iter().filter(|name| given.input(name).is_some()).map(|name| given.shown(name)).collect();
    if own.len() > 1 {
        return twice("Google", &own, "");
    }
    if let Some(token) = given.input("gcp_access_token") {
        let token = one_word(&given.shown("gcp_access_token"), token)?;
        return Ok((GcpWay::Token(token), "access token of the inputs".to_owned(), "it is given".to_owned()));
    }
    if let Some(json) = given.input("gcp_credentials_json") {
        return Ok((GcpWay::Json(json.into()), "credentials of the inputs".to_owned(), "they are given".to_owned()));
    }
    let left = given.variable(FILE);
    let source = token::find(given, &["GCP_ID_TOKEN"], None)?;
    let half = matches!(source, Source::Half);
    let mut aside = String::new();
    let instead = "give a service account key in ";
    match (provider, source) {
        (Provider::Whole { path, name, input }, Source::Found(Found { token, via, .. })) => {
            let unused = if left.is_none() { String::new() } else { format!("; the file of `{FILE}` is not used") };
            let given_or_set = if *input { "is given" } else { "is set and the job has an identity token" };
            let way = GcpWay::Federation { provider: path.clone(), token, audience: audience(given, path) };
            return Ok((way, format!("{via} → {path}"), format!("{name} {given_or_set}{unused}")));
        }
        (Provider::Whole { path, name, input: true }, _) => {
            let or = if left.is_none() {
                format!("{instead}{}", given.shown("gcp_credentials_json"))
            } else {
                format!("take {name} out to use the file of `{FILE}`")
            };
            return Err(no_token(given, half, path, name, &or));
        }
        (Provider::Whole { name, .. }, _) => {
            aside = format!("; the provider of {name} is not used, because the job has no identity token");
        }
        (Provider::None, Source::Found(found)) if found.meant && left.is_none() && !given.ambient => {
            let name = found.via.trim_start_matches("OIDC with ");
            return Err(input(
                format!("the Google login is incomplete: there is {name}, and no provider to show it to"),
                format!("set {}", given.shown(PROVIDER)),
            ));
        }
        _ => {}
    }
    if let Some(path) = left {
        let whose = if given.variable("GOOGLE_GHA_CREDS_PATH").is_some() {
            ", which google-github-actions/auth left"
        } else {
            ""
        };
        let reason = format!("it is in the environment and no input names another login{aside}");
        return Ok((GcpWay::File(path.to_owned()), format!("the file of {FILE}{whose}"), reason));
    }
    if given.ambient {
        let host = given.variable("GCE_METADATA_HOST").unwrap_or("metadata.google.internal");
        if host.parse::<http::uri::Authority>().is_err() {
            return Err(input(
                "`GCE_METADATA_HOST` is no host",
                "write it as in `metadata.google.internal`, without `http://`",
            ));
        }
        let way = GcpWay::Metadata { endpoint: format!("http://{host}") };
        return Ok((
            way,
            "the machine's own service account".to_owned(),
            format!("{} is `ambient`", given.shown("auth")),
        ));
    }
    Err(match provider {
        Provider::Whole { path, name, .. } => {
            no_token(given, half, path, name, &format!("{instead}{}", given.shown("gcp_credentials_json")))
        }
        Provider::Part(missing) => input(
            format!("the provider of GitLab's variables for Google is incomplete: {} is not set", and(missing)),
            format!("set {}, or give the whole provider in {}", and(missing), given.shown(PROVIDER)),
        ),
        Provider::None => nothing(given),
    })
}

fn no_token(given: &Given<'_>, half: bool, path: &str, name: &str, or: &str) -> Failure {
    let what = format!("the provider of {name} takes only an identity token");
    token::missing(given, half, &what, ("GCP_ID_TOKEN", &audience(given, path)), or)
}

fn nothing(given: &Given<'_>) -> Failure {
    let [provider, json, token, auth] =
        [PROVIDER, "gcp_credentials_json", "gcp_access_token", "auth"].map(|name| given.shown(name));
    login(
        format!("there is no Google login: there is nothing in {provider}, {json} or {token}, and no file in `{FILE}`"),
        format!(
            "give {provider} in a job that has an identity token ({JOBS}), or {json}, or {token}, or run \
             google-github-actions/auth in an earlier step; {auth} set to `ambient` takes the machine's own service account"
        ),
    )
}

/// What a token is asked to be for, if the provider names no audiences of its own
/// ([allowed audiences](https://cloud.google.com/iam/docs/reference/rest/v1/projects.locations.workloadIdentityPools.providers#oidc)).
fn audience(given: &Given<'_>, provider: &str) -> String {
    given.input("gcp_audience").map_or_else(|| format!("https://iam.googleapis.com/{provider}"), str::to_owned)
}

fn provider(given: &Given<'_>, universe: &str, problems: &mut Vec<Problem>) -> Provider {
    if let Some(text) = given.input(PROVIDER) {
        let named = Named { text, name: given.shown(PROVIDER), input: true };
        let path = path(&named, universe, problems);
        return Provider::Whole { path, name: named.name, input: true };
    }
    let parts = GITLAB.map(|name| given.variable(name));
    match parts {
        [Some(project), Some(pool), Some(provider)] => {
            let text = format!("projects/{project}/locations/global/workloadIdentityPools/{pool}/providers/{provider}");
            let named = Named { text: &text, name: format!("`{}`", GITLAB[2]), input: false };
            let path = path(&named, universe, problems);
            Provider::Whole { path, name: named.name, input: false }
        }
        // The number alone is there for other purposes too.
        [_, None, None] => Provider::None,
        _ => {
            let missing = GITLAB.iter().zip(parts).filter(|(_, part)| part.is_none());
            Provider::Part(missing.map(|(name, _)| format!("`{name}`")).collect())
        }
    }
}

/// The provider's resource name without a host before it.
fn path(named: &Named<'_>, universe: &str, problems: &mut Vec<Problem>) -> String {
    let text = named.text;
    let bare = ["https://iam.", "//iam."].iter().find_map(|start| text.strip_prefix(start)).and_then(|rest| {
        let (host, path) = rest.split_once('/')?;
        (host == GOOGLE_UNIVERSE || host == universe).then_some(path)
    });
    let bare = bare.unwrap_or(text);
    let mut wrong = |why: &str, help: String| problems.push(Problem::new(format!("{} {why}", named.name), help));
    let whole = || format!("write it as in {EXAMPLE}");
    match bare.split('/').collect::<Vec<_>>()[..] {
        ["locations", _, "workforcePools", ..] => {
            wrong("names a workforce pool, with which people log in and no job", whole());
        }
        ["projects", _, "locations", _, "workloadIdentityPools", _] => {
            wrong("names a pool, and not a provider in it", format!("append `/providers/PROVIDER`: {}", whole()));
        }
        ["projects", project, "locations", location, "workloadIdentityPools", pool, "providers", provider] => {
            if project.is_empty() || !project.bytes().all(|b| b.is_ascii_digit()) {
                let project = escaped(project);
                let why = format!("names its project `{project}` by its id, and a provider wants the number");
                wrong(
                    &why,
                    format!("write what `gcloud projects describe {project} --format 'value(projectNumber)'` prints"),
                );
            }
            if location != "global" {
                let why = format!("names the location `{}`, where no provider is", escaped(location));
                wrong(&why, whole());
            }
            if !is_id(pool) || !is_id(provider) {
                let why = format!(
                    "names the pool `{}` and the provider `{}`, which cannot be",
                    escaped(pool),
                    escaped(provider)
                );
                wrong(&why, "an id has small letters, digits and `-`".to_owned());
            }
        }
        _ => wrong(&format!("is `{}`, which is no provider", escaped(text)), whole()),
    }
    bare.to_owned()
}

fn is_id(text: &str) -> bool {
    (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    text.contains('.') && text.len() <= 253 && text.split('.').all(label)
}

fn is_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(user, domain)| {
        !user.is_empty() && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)) && is_domain(domain)
    })
}

/// A token lasts up to an hour, and up to twelve where the organisation allows it
/// ([lifetime](https://cloud.google.com/iam/docs/create-short-lived-credentials-direct#sa-credentials-oauth)).
fn impersonation(given: &Given<'_>, problems: &mut Vec<Problem>) -> Option<Impersonation> {
    let delegates = given.list("gcp_delegates");
    let account = given.input("gcp_service_account");
    let all = account.iter().map(|text| ("gcp_service_account", *text));
    for (name, text) in all.chain(delegates.iter().map(|text| ("gcp_delegates", *text))) {
        if !is_email(text) {
            let what = format!(
                "{} holds `{}`, which is no service account's e-mail address",
                given.shown(name),
                escaped(text)
            );
            problems.push(Problem::new(what, "write it as in `deploy@my-project.iam.gserviceaccount.com`"));
        }
    }
    let lifetime_seconds = given.number("gcp_token_lifetime", 600, 300..=43_200, problems);
    let Some(account) = account else {
        for name in ["gcp_delegates", "gcp_token_lifetime"] {
            if given.input(name).is_some() {
                let what = format!("{} is given, and no service account to act as", given.shown(name));
                let help = format!("set {}, or take it out", given.shown("gcp_service_account"));
                problems.push(Problem::new(what, help));
            }
        }
        return None;
    };
    let delegates = delegates.into_iter().map(str::to_owned).collect();
    Some(Impersonation { account: account.to_owned(), delegates, lifetime_seconds })
}

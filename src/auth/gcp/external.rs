//! `external_account` files: workload identity federation as `google-github-actions/auth` and
//! `gcloud iam workload-identity-pools create-cred-config` write it ([AIP-4117](https://google.aip.dev/auth/4117)).
//!
//! Such a file may come with a checkout, so it must not decide who gets the token: Google's hosts only, as the older
//! versions of Google's own libraries demanded; the newer ones leave that to their caller
//! ([validation](https://cloud.google.com/docs/authentication/external/externally-sourced-credentials)).

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;

use super::super::Means;
use super::super::claims::{Claims, shown};
use super::super::oidc::Jwt;
use super::call::{Hop, Request, host};
use super::credentials::read;
use super::endpoints::Endpoints;
use super::federation::{Federation, Subject};
use super::impersonation::Target;
use super::refusal::Provider;
use crate::error::{Failure, Kind};
use crate::secret::Secret;

const HOP: Hop =
    Hop { name: "the source of identity tokens", check: "the `credential_source` of the credentials file" };
/// What the files of Google's tools leave out; Google's own default is an hour.
const LIFETIME: u32 = 600;

/// Where a file says that identity tokens are.
pub(super) enum Source {
    /// An endpoint, such as GitHub's.
    Url { url: String, headers: HeaderMap, field: Option<String> },
    /// A file, read anew each time.
    File { path: String, field: Option<String> },
}

impl Source {
    /// A token, masked.
    pub(super) async fn token(&self, means: &Means) -> Result<Jwt, Failure> {
        let (text, field, place) = match self {
            Self::Url { url, headers, field } => {
                // Without TLS it is on this machine: no proxy shall see what the headers hold.
                let direct = if url.starts_with("https:") { None } else { Some(crate::http::direct()?) };
                let http = direct.as_ref().unwrap_or(&means.http);
                let reply = HOP.ask(http, Request { url, headers: headers.clone(), json: None }).await?;
                let place = format!("`{}`", host(url));
                if reply.0.status != 200 {
                    let what =
                        format!("{place} refused an identity token for the login with HTTP status {}", reply.0.status);
                    return Err(Failure::new(Kind::Login, what).help(
                        "the credentials file may be from another job, or its request token be over: run the action that \
                         writes it in this job, or give `gcp_workload_identity_provider` without it",
                    ));
                }
                (Secret::from(String::from_utf8_lossy(&reply.0.body).as_ref()), field, place)
            }
            Self::File { path, field } => {
                let (path, text) = read(path, &means.workspace, "the file of identity tokens")?;
                (text, field, format!("`{}`", path.display()))
            }
        };
        let token = match field {
            None => Some(text.expose().trim().to_owned()),
            Some(field) => serde_json::from_str::<Value>(text.expose())
                .ok()
                .and_then(|json| json.get(field).and_then(Value::as_str).map(|token| token.trim().to_owned())),
        };
        let token = Secret::from(token.unwrap_or_default());
        means.mask.mask(&token);
        let Some(claims) = Claims::peek(token.expose()) else {
            let field = field.as_ref().map_or_else(String::new, |field| format!(" in its member `{}`", shown(field)));
            let what = format!("{place} holds no identity token{field}");
            return Err(Failure::new(Kind::Login, what).help(
                "compare the `credential_source` of the credentials file with what is there; the token must be a JWT",
            ));
        };
        Ok(Jwt { token, claims })
    }
}

/// What an `external_account` file means: how to get a first token, and the account to act as with it.
///
/// # Errors
/// What is wrong with it, and the fix.
pub(super) fn parse(
    json: &Value,
    endpoints: &Endpoints,
    means: &Means,
) -> Result<(Federation, Option<Target>), (String, &'static str)> {
    const AGAIN: &str = "write the file again with google-github-actions/auth or `gcloud iam workload-identity-pools \
                         create-cred-config`, or give `gcp_workload_identity_provider`";
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    let missing = |name: &str| (format!("have no `{name}`"), AGAIN);
    let universe = text("universe_domain").unwrap_or(&endpoints.universe);
    if universe != endpoints.universe {
        return Err((
            format!("are for the universe `{}`", shown(universe)),
            "set `gcp_universe_domain` to it, if it is yours",
        ));
    }
    let audience = text("audience").ok_or_else(|| missing("audience"))?;
    let prefix = format!("//iam.{universe}/");
    let provider = audience.strip_prefix(&prefix).and_then(|path| Provider::parse(path, universe));
    let provider = provider.ok_or_else(|| {
        let form = "the audience must be `//iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/\
                    providers/PROVIDER`";
        (format!("have the `audience` `{}`, which is no workload identity provider", shown(audience)), form)
    })?;
    let token_type = text("subject_token_type").ok_or_else(|| missing("subject_token_type"))?;
    if !["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"].contains(&token_type) {
        let what = format!("name the `subject_token_type` `{}`", shown(token_type));
        return Err((what, "this version exchanges JSON Web Tokens only (`urn:ietf:params:oauth:token-type:jwt`)"));
    }
    let token_url = text("token_url").ok_or_else(|| missing("token_url"))?;
    let (base, path) = endpoints.split(token_url, "sts").ok_or_else(|| foreign("token_url", token_url))?;
    if path != "/v1/token" {
        return Err(foreign("token_url", token_url));
    }
    let target = target(json, endpoints)?;
    let subject = Subject::File(source(&json["credential_source"], means)?);
    let federation = Federation { url: format!("{base}{path}"), provider, subject, token_type: token_type.to_owned() };
    Ok((federation, target))
}

fn foreign(name: &str, url: &str) -> (String, &'static str) {
    let what = format!("send to `{}` by `{name}`, which is no such service of Google", shown(&host(url)));
    (what, "give the host as `gcp_sts_endpoint` or `gcp_iam_endpoint` if it is yours; else do not use this file")
}

/// The account of `service_account_impersonation_url`.
pub(super) fn target(json: &Value, endpoints: &Endpoints) -> Result<Option<Target>, (String, &'static str)> {
    const NAME: &str = "service_account_impersonation_url";
    let Some(url) = json.get(NAME).and_then(Value::as_str).filter(|url| !url.is_empty()) else { return Ok(None) };
    let (base, path) = endpoints.split(url, "iamcredentials").ok_or_else(|| foreign(NAME, url))?;
    let account = path.strip_prefix("/v1/projects/-/serviceAccounts/");
    let account = account.and_then(|rest| rest.strip_suffix(":generateAccessToken")).filter(|name| is_account(name));
    let account = account.ok_or_else(|| foreign(NAME, url))?;
    let lifetime = json["service_account_impersonation"]["token_lifetime_seconds"].as_u64();
    let lifetime = lifetime.map_or(LIFETIME, |seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
    let delegates = json["delegates"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let delegates: Vec<String> = delegates.map(str::to_owned).collect();
    Ok(Some(Target::new(&base, account, &delegates, lifetime)))
}

/// An e-mail address or a unique id, with nothing that could leave its place in a path.
fn is_account(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@.-_:".contains(&byte))
}

fn source(json: &Value, means: &Means) -> Result<Source, (String, &'static str)> {
    let text = |name: &str| json.get(name).and_then(Value::as_str);
    if json.get("executable").is_some() {
        let help = "let the program write its token to a file and name that in `oidc_token_file`, with \
                    `gcp_workload_identity_provider`";
        return Err(("take their token from a program, and no program is ever run".to_owned(), help));
    }
    if text("environment_id").is_some_and(|id| id.starts_with("aws")) {
        let help = "they use the AWS identity of the machine; log in by the job's own token with \
                    `gcp_workload_identity_provider`, or give `gcp_access_token`";
        return Err(("take their token from AWS, which this version does not do".to_owned(), help));
    }
    if json.get("certificate").is_some() {
        let help = "log in by the job's own token with `gcp_workload_identity_provider`";
        return Err(("take their token by an X.509 certificate, which this version does not do".to_owned(), help));
    }
    let format = &json["format"];
    let field = match format.get("type").and_then(Value::as_str) {
        None | Some("text") => None,
        Some("json") => {
            let field = format.get("subject_token_field_name").and_then(Value::as_str);
            let help = "name the member that holds the token in `subject_token_field_name`";
            Some(field.ok_or_else(|| ("have no `subject_token_field_name`".to_owned(), help))?.to_owned())
        }
        Some(other) => {
            let what = format!("have a `credential_source` of the format `{}`", shown(other));
            return Err((what, "Google knows `text` and `json`"));
        }
    };
    if let Some(path) = text("file") {
        return Ok(Source::File { path: path.to_owned(), field });
    }
    let missing = || ("have no `url` and no `file` in `credential_source`".to_owned(), "write the file again");
    let url = text("url").ok_or_else(missing)?;
    if !is_trusted(url) {
        let what = format!("take their token from `{}` without TLS", shown(&host(url)));
        return Err((what, "an https URL is needed; the identity of the machine is taken with `auth: ambient` only"));
    }
    let mut headers = HeaderMap::new();
    for (name, value) in json["headers"].as_object().into_iter().flatten() {
        let value = value.as_str().unwrap_or_default();
        let pair = (HeaderName::try_from(name.as_str()), HeaderValue::try_from(value));
        let (Ok(name), Ok(mut header)) = pair else {
            return Err(("have a header in `credential_source` that can be none".to_owned(), "write the file again"));
        };
        if name == AUTHORIZATION
            && let Some(token) = value.split_whitespace().last()
        {
            means.mask.mask(&Secret::from(token));
        }
        header.set_sensitive(true);
        headers.insert(name, header);
    }
    Ok(Source::Url { url: url.to_owned(), headers, field })
}

/// TLS, or this very machine: the headers hold what tokens are got with.
fn is_trusted(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    let Some(authority) = uri.authority() else { return false };
    let here = ["127.0.0.1", "localhost", "[::1]"].contains(&authority.host());
    !authority.as_str().contains('@')
        && (uri.scheme_str() == Some("https") || (here && uri.scheme_str() == Some("http")))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::*;
    use crate::secret::Masker;

    fn means() -> (Means, Arc<Mutex<Vec<Secret>>>) {
        let masked = Arc::new(Mutex::new(Vec::new()));
        let mask = Masker::new({
            let masked = Arc::clone(&masked);
            move |secret| masked.lock().unwrap().push(secret.clone())
        });
        (Means { http: crate::http::client(None).unwrap(), mask, workspace: "/nowhere".into() }, masked)
    }

    /// As google-github-actions/auth writes it.
    fn file() -> Value {
        json!({
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/github/providers/app",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/app@fake.iam.gserviceaccount.com:generateAccessToken",
            "service_account_impersonation": {"token_lifetime_seconds": 900},
            "credential_source": {
                "url": "https://run-actions-1.example/token?api-version=2.0&audience=x",
                "headers": {"Authorization": "Bearer fake-request-token"},
                "format": {"type": "json", "subject_token_field_name": "value"},
            },
        })
    }

    fn with(path: &str, value: Value) -> Value {
        let mut file = file();
        *file.pointer_mut(path).unwrap() = value;
        file
    }

    #[test]
    fn the_file_of_the_action_is_understood_and_its_request_token_masked() {
        let (means, masked) = means();
        let (federation, target) = parse(&file(), &Endpoints::of("googleapis.com", None, None), &means).unwrap();
        assert_eq!(federation.url, "https://sts.googleapis.com/v1/token");
        let target = target.unwrap();
        assert_eq!((target.account.as_str(), target.lifetime_seconds), ("app@fake.iam.gserviceaccount.com", 900));
        assert_eq!(*masked.lock().unwrap(), [Secret::from("fake-request-token")]);
    }

    #[test]
    fn a_host_that_is_not_googles_gets_nothing_unless_it_is_given() {
        let (means, _) = means();
        let elsewhere = "https://evil.example/v1/token";
        let google = Endpoints::of("googleapis.com", None, None);
        for (path, value) in [
            ("/token_url", elsewhere),
            ("/token_url", "http://sts.googleapis.com/v1/token"),
            ("/token_url", "https://sts.googleapis.com.evil.example/v1/token"),
            ("/token_url", "https://sts.googleapis.com@evil.example/v1/token"),
            ("/token_url", "https://sts.googleapis.com:444/v1/token"),
            ("/token_url", "https://sts.googleapis.com/v1/other"),
            ("/token_url", "https://storage.googleapis.com/v1/token"),
            (
                "/service_account_impersonation_url",
                "https://evil.example/v1/projects/-/serviceAccounts/a@b:generateAccessToken",
            ),
            (
                "/service_account_impersonation_url",
                "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a/../b:generateAccessToken",
            ),
        ] {
            let (what, help) = parse(&with(path, json!(value)), &google, &means).map(drop).unwrap_err();
            assert!(
                what.contains("no such service of Google") && help.contains("do not use this file"),
                "{value}: {what}"
            );
        }
        let ours = Endpoints::of("googleapis.com", Some("https://evil.example"), None);
        let (federation, _) = parse(&with("/token_url", json!(elsewhere)), &ours, &means).unwrap();
        assert_eq!(federation.url, elsewhere);
        // An endpoint that is given is where Google's own is meant.
        assert_eq!(parse(&file(), &ours, &means).unwrap().0.url, elsewhere);
        for host in ["sts.europe-west3.rep.googleapis.com", "europe-west3-sts.googleapis.com", "sts-x.p.googleapis.com"]
        {
            let url = format!("https://{host}/v1/token");
            assert_eq!(parse(&with("/token_url", json!(url)), &google, &means).unwrap().0.url, url);
        }
    }

    #[test]
    fn what_cannot_be_done_says_so() {
        let (means, _) = means();
        let rows = [
            (
                "/audience",
                json!("//iam.googleapis.com/locations/global/workforcePools/p/providers/x"),
                "no workload identity",
            ),
            (
                "/audience",
                json!("//iam.evil.example/projects/1/locations/global/workloadIdentityPools/p/providers/x"),
                "no workload identity",
            ),
            ("/subject_token_type", json!("urn:ietf:params:oauth:token-type:saml2"), "saml2"),
            ("/credential_source", json!({"executable": {"command": "fake"}}), "no program is ever run"),
            ("/credential_source", json!({"environment_id": "aws1"}), "from AWS"),
            ("/credential_source", json!({"certificate": {}}), "X.509"),
            ("/credential_source", json!({}), "no `url` and no `file`"),
            ("/credential_source/format", json!({"type": "xml"}), "of the format `xml`"),
            ("/credential_source/format", json!({"type": "json"}), "subject_token_field_name"),
            ("/credential_source/url", json!("http://169.254.169.254/token"), "without TLS"),
            ("/credential_source/headers", json!({"bad name": "x"}), "a header"),
        ];
        for (path, value, words) in rows {
            let (what, _) =
                parse(&with(path, value), &Endpoints::of("googleapis.com", None, None), &means).map(drop).unwrap_err();
            assert!(what.contains(words), "{path}: {what}");
        }
        let (what, _) = parse(&file(), &Endpoints::of("other.example", None, None), &means).map(drop).unwrap_err();
        assert!(what.contains("no workload identity"), "{what}");
    }
}

//! The managed identity of the machine: App Service, Functions and Container Apps
//! ([protocol](https://learn.microsoft.com/azure/app-service/overview-managed-identity#rest-endpoint-reference)), and virtual
//! machines with what runs on them
//! ([protocol](https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token)).

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::time::Duration;

use azure_core::credentials::{AccessToken, TokenCredential, TokenRequestOptions};
use azure_core::http::headers::HeaderName;
use azure_core::http::{HttpClient as _, Method, Request, Url};
use azure_core::time::OffsetDateTime;
use serde_json::Value;
use tokio::sync::Mutex;

use super::super::way::ManagedEndpoint;
use super::refusal;
use crate::error::{Failure, Kind};
use crate::http::azure::{AzureHttp, Refused, Unreached, find};
use crate::secret::Secret;

/// How long it may take to find out that there is none. Where there is one, it is on this machine.
const PRESENCE: Duration = Duration::from_secs(3);
/// A token that ends sooner is asked for again.
const RENEWAL: Duration = Duration::from_secs(300);
const METADATA_HEADER: HeaderName = HeaderName::from_static("metadata");
const IDENTITY_HEADER: HeaderName = HeaderName::from_static("x-identity-header");

/// The machine's identity, with the tokens it gave for each resource.
pub(super) struct Managed {
    http: AzureHttp,
    client: reqwest::Client,
    /// With the version of the protocol, and nothing of the resource.
    url: Url,
    /// Of App Service.
    header: Option<Secret>,
    /// Of a user-assigned one.
    id: Option<String>,
    /// By resource; the first one shows that somebody is there.
    tokens: Mutex<HashMap<String, AccessToken>>,
}

impl fmt::Debug for Managed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Managed")
    }
}

impl Managed {
    /// # Errors
    /// [`Kind::Input`] for an address that is no URL.
    pub(super) fn new(id: Option<&str>, endpoint: &ManagedEndpoint, client: &reqwest::Client) -> Result<Self, Failure> {
        let (address, version, header) = match endpoint {
            ManagedEndpoint::AppService { url, header } => (url.clone(), "2019-08-01", Some(header.clone())),
            ManagedEndpoint::Instance { endpoint } => {
                let base = endpoint.trim_end_matches('/');
                (format!("{base}/metadata/identity/oauth2/token"), "2018-02-01", None)
            }
        };
        let mut url: Url = address.parse().map_err(|_| {
            let what = "the address of the machine's managed identity is no URL";
            Failure::new(Kind::Input, what).help("look at the variable `IDENTITY_ENDPOINT`")
        })?;
        url.query_pairs_mut().append_pair("api-version", version);
        // On this machine, where no proxy could reach it, and none shall see the token.
        let client = if url.scheme() == "http" { crate::http::direct()? } else { client.clone() };
        let http = AzureHttp::new(client.clone(), None);
        let id = id.map(str::to_owned);
        Ok(Self { http, client, url, header, id, tokens: Mutex::default() })
    }

    fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Asks without the header that the service demands: it refuses that at once, whatever it would have to do for a token.
    async fn is_there(&self) -> Result<(), Failure> {
        let answer = self.client.get(self.url.clone()).timeout(PRESENCE).send().await;
        answer.map(drop).map_err(|_| self.none("nobody answers"))
    }

    async fn ask(&self, resource: &str) -> Result<AccessToken, Failure> {
        let mut url = self.url.clone();
        url.query_pairs_mut().append_pair("resource", resource);
        if let Some(id) = &self.id {
            url.query_pairs_mut().append_pair("client_id", id);
        }
        let mut request = Request::new(url, Method::Get);
        match &self.header {
            Some(header) => request.insert_header(IDENTITY_HEADER, header.expose().to_owned()),
            None => request.insert_header(METADATA_HEADER, "true"),
        }
        let answer = self.http.execute_request(&request).await.map_err(|error| self.failure(&error))?;
        let (status, _, body) = answer.deconstruct();
        let body = body.collect().await.map_err(|_| self.unreadable())?;
        if u16::from(status) != 200 {
            return Err(self.none(&format!("HTTP status {}", u16::from(status))));
        }
        token(&serde_json::from_slice(&body).unwrap_or_default()).ok_or_else(|| self.unreadable())
    }

    fn failure(&self, error: &(dyn Error + 'static)) -> Failure {
        if let Some(Unreached { cause, .. }) = find(error) {
            let what = format!("couldn't reach the managed identity at {}: {cause}", self.host());
            return Failure::new(Kind::Unavailable, what).help("run it again");
        }
        find(error).map_or_else(|| self.unreadable(), |refused: &Refused| self.refused(refused.status, &refused.json()))
    }

    fn refused(&self, status: u16, body: &Value) -> Failure {
        let host = self.host();
        if status >= 500 || matches!(status, 408 | 410 | 429) {
            // 410: the service is being renewed, for at most 70 s.
            let what = format!("the managed identity at {host} failed with HTTP status {status}");
            return Failure::new(Kind::Unavailable, what).help("run it again in a minute");
        }
        // Entra's code, where it was Entra that refused; not its words, which may repeat what was sent.
        let description = body["error_description"].as_str().or(body["message"].as_str()).unwrap_or_default();
        let code = description.split_once("AADSTS").map_or("", |(_, code)| code);
        let code: String = code.chars().take_while(char::is_ascii_digit).take(9).collect();
        let code = if code.is_empty() { String::new() } else { format!(", AADSTS{code}") };
        if !(body["error"].is_string() || body["statusCode"].is_number()) {
            return self.none(&format!("HTTP status {status}, and no error of a managed identity"));
        }
        let (who, help) = match &self.id {
            Some(id) => {
                (format!("`{id}`"), "assign this user-assigned identity to the machine, or check `azure_client_id`")
            }
            None => (
                "of the system".to_owned(),
                "turn the system-assigned identity of the machine on, or name a user-assigned one by `azure_client_id`",
            ),
        };
        let what = format!("the machine's managed identity {who} was refused at {host} (HTTP status {status}{code})");
        Failure::new(Kind::Login, what).help(help)
    }

    fn none(&self, why: &str) -> Failure {
        let what = format!("this machine has no managed identity of Azure: {} gave none ({why})", self.host());
        let help = match self.header {
            Some(_) => "turn the identity of the app on; the variable `IDENTITY_ENDPOINT` names the address",
            None => "leave `auth: ambient` out and give another login",
        };
        Failure::new(Kind::Login, what).help(help)
    }

    fn unreadable(&self) -> Failure {
        let what = format!("what answers at {} in place of the managed identity gave no token", self.host());
        Failure::new(Kind::Unavailable, what)
            .help("check the variables `IDENTITY_ENDPOINT` and `AZURE_POD_IDENTITY_AUTHORITY_HOST`")
    }
}

#[async_trait::async_trait]
impl TokenCredential for Managed {
    async fn get_token(&self, scopes: &[&str], _: Option<TokenRequestOptions<'_>>) -> azure_core::Result<AccessToken> {
        let scope = scopes.first().copied().unwrap_or_default();
        let resource = scope.strip_suffix("/.default").unwrap_or(scope);
        // Held while one is asked for: several calls at the same time take one token.
        let mut tokens = self.tokens.lock().await;
        if let Some(token) = tokens.get(resource).filter(|token| token.expires_on > OffsetDateTime::now_utc() + RENEWAL)
        {
            return Ok(token.clone());
        }
        if tokens.is_empty() {
            self.is_there().await.map_err(refusal)?;
        }
        let token = self.ask(resource).await.map_err(refusal)?;
        tokens.insert(resource.to_owned(), token.clone());
        Ok(token)
    }
}

/// The token with its end, which both services give in seconds since 1970, as a number or as text.
fn token(body: &Value) -> Option<AccessToken> {
    let token = body["access_token"].as_str().filter(|token| super::is_token(token))?;
    let number = |value: &Value| value.as_i64().or_else(|| value.as_str()?.parse().ok());
    let end = number(&body["expires_on"]).and_then(|end| OffsetDateTime::from_unix_timestamp(end).ok())?;
    Some(AccessToken::new(token.to_owned(), end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn managed(id: Option<&str>) -> Managed {
        let endpoint = ManagedEndpoint::Instance { endpoint: "http://127.0.0.1:1/".into() };
        Managed::new(id, &endpoint, &crate::http::client(None).unwrap()).unwrap()
    }

    #[test]
    fn the_end_of_a_token_is_a_number_or_text() {
        for end in [json!(2_000_000_000), json!("2000000000")] {
            let token = token(&json!({ "access_token": "fake-token", "expires_on": end })).unwrap();
            assert_eq!(token.expires_on.unix_timestamp(), 2_000_000_000);
        }
        for body in [
            json!({}),
            json!({ "access_token": "", "expires_on": 1 }),
            json!({ "access_token": "fake\r\ntoken", "expires_on": 1 }),
            json!({ "access_token": "fake-token" }),
            json!({ "access_token": "fake-token", "expires_on": "soon" }),
            Value::Null,
        ] {
            assert!(token(&body).is_none(), "{body}");
        }
    }

    #[test]
    fn a_refusal_says_which_identity_is_missing() {
        let missing = json!({ "error": "invalid_request", "error_description": "Identity not found" });
        let app = json!({ "statusCode": 400, "message": "No User Assigned or Delegated Managed Identity found: fake" });
        let entra = json!({ "error": "invalid_resource", "error_description": "AADSTS500011: The resource fake" });
        let rows = [
            (None, 400, &missing, Kind::Login, "of the system was refused", "turn the system-assigned"),
            (Some("an-id"), 400, &missing, Kind::Login, "`an-id`", "azure_client_id"),
            (Some("an-id"), 400, &app, Kind::Login, "(HTTP status 400)", "azure_client_id"),
            (None, 400, &entra, Kind::Login, "(HTTP status 400, AADSTS500011)", "turn"),
            (None, 404, &Value::Null, Kind::Login, "has no managed identity", "another login"),
            (None, 410, &Value::Null, Kind::Unavailable, "410", "in a minute"),
            (None, 500, &missing, Kind::Unavailable, "500", "in a minute"),
        ];
        for (id, status, body, kind, what, help) in rows {
            let failure = managed(id).refused(status, body);
            let found = failure.problems[0].help.clone().unwrap();
            assert_eq!(failure.kind, kind, "{failure}");
            assert!(failure.to_string().contains(what) && found.contains(help), "{failure}: {found}");
            assert!(!failure.to_string().contains("fake"), "{failure}");
        }
    }
}

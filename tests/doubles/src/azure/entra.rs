//! Entra's token endpoint (OAuth 2.0 client credentials), and what clients ask an authority before they use it.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>; the texts of errors are those
//! that users report. Each ends with lines after `\r\n`, which JSON escapes: a trap for parsers that borrow.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::route::{Route, form};
use super::{ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, DENIED, DENIED_CLIENT_ID, EXPIRED, RESOURCE, TENANT};
use crate::double::Fault;
use crate::http::{Request, Response};

/// How long a token says that it is good for, in seconds. None of them ever ends by itself here.
const LIFETIME: u64 = 3599;

/// An error of the authority.
pub struct Problem {
    status: u16,
    error: &'static str,
    code: u32,
    text: String,
}

impl Problem {
    fn new(status: u16, error: &'static str, code: u32, text: impl Into<String>) -> Self {
        Self { status, error, code, text: text.into() }
    }

    fn missing(parameter: &str) -> Self {
        let text = format!("The request body must contain the following parameter: '{parameter}'.");
        Self::new(400, "invalid_request", 900_144, text)
    }

    fn tenant(error: &'static str, tenant: &str) -> Self {
        let text = format!(
            "Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct \
             cloud. Check with your subscription administrator, this may happen if there are no active subscriptions for \
             the tenant."
        );
        Self::new(400, error, 90_002, text)
    }

    fn response(&self) -> Response {
        problem(self.status, self.error, self.code, &self.text)
    }
}

fn problem(status: u16, error: &str, code: u32, text: &str) -> Response {
    let (trace, correlation, time) = (Uuid::new_v4(), Uuid::new_v4(), "2026-01-01 00:00:00Z");
    let tail = format!("Trace ID: {trace}\r\nCorrelation ID: {correlation}\r\nTimestamp: {time}");
    let body = json!({
        "error": error,
        "error_description": format!("AADSTS{code}: {text}\r\n{tail}"),
        "error_codes": [code],
        "timestamp": time,
        "trace_id": trace.to_string(),
        "correlation_id": correlation.to_string(),
        "error_uri": format!("https://login.microsoftonline.com/error?code={code}"),
    });
    respond(status, &body)
}

fn respond(status: u16, body: &Value) -> Response {
    Response::new(status, "application/json; charset=utf-8", body.to_string())
        .with("Cache-Control", "no-store, no-cache")
}

/// An error in the authority's shape, such as 400 `invalid_grant` with 700024, for [`crate::Handle::fail`] of `Token`.
#[must_use]
pub fn entra_error(status: u16, error: &str, aadsts: u32, text: &str) -> Fault {
    Fault::Answer(problem(status, error, aadsts, text))
}

/// How an application shows who it is. A trusted issuer of client assertions will be a second way.
enum Credential {
    Secret(String),
}

/// What a known token lets its bearer do.
pub struct Grant {
    /// The resource that it was asked for.
    audience: String,
}

/// Why the vault does not let a caller in.
pub enum Stranger {
    /// With Key Vault's text for it.
    BadToken(&'static str),
    /// Known, and without any role.
    Denied,
}

/// The tenants with their applications, and the tokens given to them.
pub struct Entra {
    applications: HashMap<(String, String), Vec<Credential>>,
    tokens: HashMap<String, Grant>,
}

impl Default for Entra {
    fn default() -> Self {
        let mut entra = Self { applications: HashMap::new(), tokens: HashMap::new() };
        for client in [CLIENT_ID, DENIED_CLIENT_ID] {
            entra.register(TENANT, client, CLIENT_SECRET);
        }
        entra.tokens.insert(ACCESS_TOKEN.to_owned(), Grant { audience: RESOURCE.to_owned() });
        entra
    }
}

impl Entra {
    /// Gives an application one more secret, making both it and its tenant where they are missing.
    pub fn register(&mut self, tenant: &str, client: &str, secret: &str) {
        let key = (tenant.to_ascii_lowercase(), client.to_ascii_lowercase());
        self.applications.entry(key).or_default().push(Credential::Secret(secret.to_owned()));
    }

    /// A token for the vault, as the endpoint would give it.
    pub fn issue(&mut self, client: &str, audience: &str) -> String {
        let prefix = if client.eq_ignore_ascii_case(DENIED_CLIENT_ID) { DENIED } else { "fake-token" };
        let token = format!("{prefix}-{}", Uuid::new_v4().simple());
        self.tokens.insert(token.clone(), Grant { audience: audience.to_owned() });
        token
    }

    /// Ends all tokens given so far.
    pub fn revoke(&mut self) {
        self.tokens.clear();
    }

    /// Whether the vault lets the bearer of this token in.
    pub fn admit(&self, token: &str) -> Result<(), Stranger> {
        if token.starts_with(EXPIRED) {
            return Err(Stranger::BadToken("[TokenExpired] Error validating token: 'S2S12086'."));
        }
        if token.starts_with(DENIED) {
            return Err(Stranger::Denied);
        }
        match self.tokens.get(token) {
            None => Err(Stranger::BadToken("[BearerReadAccessTokenFailed] Error validating token: 'S2S17000'.")),
            Some(grant) if grant.audience != RESOURCE => Err(Stranger::BadToken(
                "AKV10022: Invalid audience. Expected https://vault.azure.net, found: another resource.",
            )),
            Some(_) => Ok(()),
        }
    }

    /// One request to the authority.
    pub fn answer(&mut self, base: &str, route: &Route, request: &Request) -> Response {
        let answer = match route {
            Route::Token(tenant) => self.token(tenant, request),
            Route::OpenId(tenant) if !self.has_tenant(tenant) => Err(Problem::tenant("invalid_tenant", tenant)),
            Route::OpenId(tenant) => Ok(json!({
                "issuer": format!("{base}/{tenant}/v2.0"),
                "authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/authorize"),
                "token_endpoint": format!("{base}/{tenant}/oauth2/v2.0/token"),
                "device_authorization_endpoint": format!("{base}/{tenant}/oauth2/v2.0/devicecode"),
                "jwks_uri": format!("{base}/{tenant}/discovery/v2.0/keys"),
                "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            })),
            _ => {
                let host = base.trim_start_matches("https://");
                Ok(json!({
                    "tenant_discovery_endpoint": format!("{base}/{TENANT}/v2.0/.well-known/openid-configuration"),
                    "api-version": "1.1",
                    "metadata": [{ "preferred_network": host, "preferred_cache": host, "aliases": [host] }],
                }))
            }
        };
        match answer {
            Ok(body) => respond(200, &body),
            Err(problem) => problem.response(),
        }
    }

    fn has_tenant(&self, tenant: &str) -> bool {
        self.applications.keys().any(|(known, _)| known.eq_ignore_ascii_case(tenant))
    }

    fn token(&mut self, tenant: &str, request: &Request) -> Result<Value, Problem> {
        let fields: HashMap<String, String> = form(&request.body).collect();
        let field = |name: &str| fields.get(name).filter(|v| !v.is_empty()).ok_or_else(|| Problem::missing(name));
        if !self.has_tenant(tenant) {
            return Err(Problem::tenant("invalid_request", tenant));
        }
        let grant = field("grant_type")?;
        if grant != "client_credentials" {
            let text = format!("The app requested an unsupported grant type '{grant}'.");
            return Err(Problem::new(400, "unsupported_grant_type", 70_003, text));
        }
        let client = field("client_id")?;
        let key = (tenant.to_ascii_lowercase(), client.to_ascii_lowercase());
        let Some(credentials) = self.applications.get(&key) else {
            let text = format!(
                "Application with identifier '{client}' was not found in the directory '{tenant}'. This can happen if the \
                 application has not been installed by the administrator of the tenant or consented to by any user in the \
                 tenant. You may have sent your authentication request to the wrong tenant."
            );
            return Err(Problem::new(400, "unauthorized_client", 700_016, text));
        };
        let Some(secret) = fields.get("client_secret") else {
            let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
            return Err(Problem::new(401, "invalid_client", 7_000_218, text));
        };
        if !credentials.iter().any(|Credential::Secret(known)| known == secret) {
            let text = format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not \
                 the client secret ID, for a secret added to app '{client}'."
            );
            return Err(Problem::new(401, "invalid_client", 7_000_215, text));
        }
        let scope = field("scope")?;
        // Clients may ask for the scopes of a user beside it.
        let Some(audience) = scope.split(' ').find_map(|s| s.strip_suffix("/.default")) else {
            let text = format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with \
                 /.default suffixed to the resource identifier (application ID URI)."
            );
            return Err(Problem::new(400, "invalid_scope", 1_002_012, text));
        };
        let token = self.issue(client, audience);
        Ok(json!({
            "token_type": "Bearer", "expires_in": LIFETIME, "ext_expires_in": LIFETIME, "access_token": token,
        }))
    }
}

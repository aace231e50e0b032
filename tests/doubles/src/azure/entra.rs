//! Entra's token endpoint (OAuth 2.0 client credentials, with a secret or with the token of a trusted issuer), and what
//! clients ask an authority before they use it.
//!
//! <https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow>,
//! <https://learn.microsoft.com/entra/workload-id/workload-identity-federation>; the texts of errors are those
//! that users report. Each ends with lines after `\r\n`, which JSON escapes: a trap for parsers that borrow.

use std::collections::HashMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::route::{Route, form};
use super::{ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, DENIED, DENIED_CLIENT_ID, EXPIRED, RESOURCE, TENANT};
use crate::double::Fault;
use crate::http::{Request, Response};
use crate::issuer::{Issuer, Why, peek};

/// How long a token says that it is good for, in seconds. None of them ever ends by itself here.
const LIFETIME: u64 = 3599;
const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

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

/// How an application shows who it is.
enum Credential {
    Secret(String),
    /// A federated credential: the tokens of this issuer with exactly this subject and audience.
    Federated {
        issuer: Issuer,
        subject: String,
        audience: String,
    },
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
    /// What tokens say of their end, in seconds from now.
    pub lifetime: u64,
    /// The next tokens, where a test wants to know them.
    pub fixed: Option<String>,
}

impl Default for Entra {
    fn default() -> Self {
        let mut entra = Self { applications: HashMap::new(), tokens: HashMap::new(), lifetime: LIFETIME, fixed: None };
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

    /// Gives an application of [`TENANT`] one more federated credential, making it where it is missing.
    pub fn trust(&mut self, client: &str, issuer: &Issuer, subject: &str, audience: &str) {
        let key = (TENANT.to_owned(), client.to_ascii_lowercase());
        let (issuer, subject, audience) = (issuer.clone(), subject.to_owned(), audience.to_owned());
        let credential = Credential::Federated { issuer, subject, audience };
        self.applications.entry(key).or_default().push(credential);
    }

    /// A token for the vault, as the endpoint would give it.
    pub fn issue(&mut self, client: &str, audience: &str) -> String {
        let prefix = if client.eq_ignore_ascii_case(DENIED_CLIENT_ID) { DENIED } else { "fake-token" };
        let made = || format!("{prefix}-{}", Uuid::new_v4().simple());
        let token = self.fixed.clone().unwrap_or_else(made);
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
        match (fields.get("client_secret"), fields.get("client_assertion")) {
            (Some(secret), _) => by_secret(credentials, secret, client)?,
            (None, Some(assertion)) => {
                let kind = field("client_assertion_type")?;
                if kind != ASSERTION_TYPE {
                    let text = "The 'client_assertion_type' is not supported.";
                    return Err(Problem::new(400, "invalid_request", 50_192, text));
                }
                by_assertion(credentials, assertion, client)?;
            }
            (None, None) => {
                let text =
                    "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
                return Err(Problem::new(401, "invalid_client", 7_000_218, text));
            }
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
            "token_type": "Bearer", "expires_in": self.lifetime, "ext_expires_in": self.lifetime, "access_token": token,
        }))
    }
}

fn by_secret(credentials: &[Credential], secret: &str, client: &str) -> Result<(), Problem> {
    if credentials.iter().any(|known| matches!(known, Credential::Secret(known) if known == secret)) {
        return Ok(());
    }
    let text = format!(
        "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the \
         client secret ID, for a secret added to app '{client}'."
    );
    Err(Problem::new(401, "invalid_client", 7_000_215, text))
}

const CHECK: &str = "Check your federated identity credential Subject, Audience and Issuer against the presented assertion. \
                     https://learn.microsoft.com/entra/workload-id/workload-identity-federation";

/// Looks for a federated credential with the issuer, then the subject, then the audience of the assertion, each compared
/// letter for letter, and then whether the assertion is what it says. In which order Entra looks is not documented.
fn by_assertion(credentials: &[Credential], jwt: &str, client: &str) -> Result<(), Problem> {
    let refused = |code, text: String| Err(Problem::new(401, "invalid_client", code, text));
    let Some(claims) = peek(jwt) else {
        return Err(Problem::new(400, "invalid_request", 50_027, "JWT token is invalid or malformed."));
    };
    let federated: Vec<_> = credentials
        .iter()
        .filter_map(|credential| match credential {
            Credential::Federated { issuer, subject, audience } => Some((issuer, subject, audience)),
            Credential::Secret(_) => None,
        })
        .collect();
    let (issuer, subject) = (claims.issuer(), claims.subject());
    if federated.is_empty() {
        let text = format!("The client '{client}' has no configured federated identity credentials.");
        return refused(70_025, text);
    }
    let of_issuer: Vec<_> = federated.into_iter().filter(|(known, ..)| known.issuer() == issuer).collect();
    if of_issuer.is_empty() {
        let what = format!("No matching federated identity record found for presented assertion issuer '{issuer}'.");
        return refused(700_211, format!("{what} {CHECK}"));
    }
    let of_subject: Vec<_> = of_issuer.iter().filter(|(_, known, _)| *known == subject).collect();
    if of_subject.is_empty() {
        let what = format!("No matching federated identity record found for presented assertion subject '{subject}'.");
        if of_issuer.iter().any(|(_, known, _)| known.eq_ignore_ascii_case(subject)) {
            let how = "The subject matches with case-insensitive comparison, but not with case-sensitive comparison.";
            return refused(7_002_138, format!("{what} {how} {CHECK}"));
        }
        return refused(700_213, format!("{what} {CHECK}"));
    }
    let audiences = claims.audiences();
    let found = of_subject.into_iter().find(|(.., known)| audiences.as_slice() == std::slice::from_ref(*known));
    let Some((issuer, ..)) = found else {
        let audience = audiences.join(", ");
        let what =
            format!("No matching federated identity record found for presented assertion audience '{audience}'.");
        return refused(700_212, format!("{what} {CHECK}"));
    };
    match issuer.verify(jwt, &[]) {
        Ok(_) => Ok(()),
        Err(Why::Expired(_) | Why::NotYet(_)) => {
            let text = format!(
                "Client assertion is not within its valid time range. Current time: 2026-01-01T00:00:00.0000000Z, assertion \
                 expiry time: {}. Review the documentation at https://learn.microsoft.com/entra/identity-platform/certificate-credentials .",
                claims.expires()
            );
            refused(700_024, text)
        }
        Err(Why::Malformed) => {
            Err(Problem::new(400, "invalid_request", 50_027, "JWT token is invalid or malformed."))
        }
        Err(_) => refused(700_027, "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found.]".to_owned()),
    }
}

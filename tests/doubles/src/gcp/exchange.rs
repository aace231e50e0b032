//! How a token comes into being: the Security Token Service of workload identity federation, the IAM Credentials API, and
//! the metadata server. They answer at the same address as Secret Manager, which then takes what they gave out.
//!
//! <https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token>,
//! <https://cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts/generateAccessToken>,
//! <https://cloud.google.com/compute/docs/metadata/querying-metadata>; the texts of errors are those that users report.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::fields::field;
use super::refusal::Refusal;
use super::state::timestamp;
use super::{JSON, NUMBER, PROJECT, SecretManager, response};
use crate::azure::route::form;
use crate::double::Handle;
use crate::http::{Request, Response};
use crate::issuer::{Issuer, Why};

/// The service account of the machine that the metadata server speaks for.
pub const MACHINE: &str = "machine@fake-project.iam.gserviceaccount.com";

const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
/// What Google's libraries ask for where they act as a service account with the token.
const IAM_SCOPE: &str = "https://www.googleapis.com/auth/iam";
/// Google takes a token for so long, however long it is good for itself.
const LONGEST: Duration = Duration::from_secs(3600);

/// A workload identity provider: whom it trusts, and for what.
#[derive(Clone)]
pub struct Provider {
    /// The pool's id.
    pub pool: String,
    /// Its own id.
    pub id: String,
    /// Who signs.
    pub issuer: Issuer,
    /// Allowed audiences; none is the provider's own URL.
    pub audiences: Vec<String>,
    /// The attribute condition: these claims must have these values.
    pub condition: Vec<(String, String)>,
    /// The claim that becomes `google.subject`.
    pub subject: String,
    /// Neither it nor its pool is disabled.
    pub enabled: bool,
}

impl Provider {
    /// `app` in the pool `github`, for any token of this issuer.
    #[must_use]
    pub fn new(issuer: &Issuer) -> Self {
        Self {
            pool: "github".to_owned(),
            id: "app".to_owned(),
            issuer: issuer.clone(),
            audiences: Vec::new(),
            condition: Vec::new(),
            subject: "sub".to_owned(),
            enabled: true,
        }
    }

    /// `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}/providers/{}", self.pool_name(), self.id)
    }

    /// The identity of a subject.
    #[must_use]
    pub fn principal(&self, subject: &str) -> String {
        format!("principal://iam.googleapis.com/{}/subject/{subject}", self.pool_name())
    }

    fn pool_name(&self) -> String {
        format!("projects/{NUMBER}/locations/global/workloadIdentityPools/{}", self.pool)
    }
}

/// A service account, and who may make tokens of it.
struct Account {
    email: String,
    members: Vec<String>,
    /// Its tokens may live for twelve hours.
    extended: bool,
}

/// A token that was given out.
struct Grant {
    member: String,
    end: SystemTime,
}

type Listener = dyn Fn(&str) + Send + Sync;

/// Who may log in, and what was given out.
pub struct Logins {
    providers: Vec<Provider>,
    accounts: Vec<Account>,
    tokens: HashMap<String, Grant>,
    /// Who may use the secrets.
    readers: HashSet<String>,
    /// Only tokens that were given out here are good.
    strict: bool,
    lifetime: Duration,
    iam_enabled: bool,
    machine: bool,
    tell: Option<Arc<Listener>>,
}

impl Default for Logins {
    fn default() -> Self {
        Self {
            providers: Vec::new(),
            accounts: Vec::new(),
            tokens: HashMap::new(),
            readers: HashSet::new(),
            strict: false,
            lifetime: LONGEST,
            iam_enabled: true,
            machine: false,
            tell: None,
        }
    }
}

/// The operations are `ExchangeToken`, `GenerateAccessToken`, `MachineToken` and `MachineProject`.
impl Handle<SecretManager> {
    /// Makes a provider, or takes the place of the one of this name. From now on only tokens that were given out here are
    /// good, and only for who was let in.
    pub fn trust(&self, provider: &Provider) {
        let logins = &mut self.service().0.logins;
        logins.strict = true;
        logins.providers.retain(|one| one.name() != provider.name());
        logins.providers.push(provider.clone());
    }

    /// Lets an identity use the secrets (`principal://…`, `serviceAccount:…`).
    pub fn let_in(&self, member: &str) {
        self.service().0.logins.readers.insert(member.to_owned());
    }

    /// Makes a service account that these may make tokens of.
    pub fn account(&self, email: &str, members: &[&str]) {
        let members = members.iter().map(|member| (*member).to_owned()).collect();
        self.service().0.logins.accounts.push(Account { email: email.to_owned(), members, extended: false });
    }

    /// Lets tokens of this account live for twelve hours.
    pub fn extend(&self, email: &str) {
        self.service().0.logins.accounts.iter_mut().filter(|a| a.email == email).for_each(|a| a.extended = true);
    }

    /// Federated tokens and those of the machine live for so long from now on.
    pub fn tokens_live(&self, time: Duration) {
        self.service().0.logins.lifetime = time;
    }

    /// Turns the IAM Credentials API of the project on or off.
    pub fn enable_iam(&self, on: bool) {
        self.service().0.logins.iam_enabled = on;
    }

    /// From now on this is a machine of Google Cloud too.
    pub fn be_machine(&self) {
        self.service().0.logins.machine = true;
    }

    /// Is told each token before it is given out.
    pub fn tell(&self, tell: impl Fn(&str) + Send + Sync + 'static) {
        self.service().0.logins.tell = Some(Arc::new(tell));
    }

    /// A token of this identity, as if it had been given out.
    #[must_use]
    pub fn issue(&self, member: &str) -> String {
        self.service().0.logins.issue(member, LONGEST)
    }
}

/// The operation of a login that a request means.
pub fn operation(request: &Request) -> Option<&'static str> {
    let path = request.target.split('?').next().unwrap_or_default();
    match (request.method.as_str(), path) {
        ("POST", "/v1/token") => Some("ExchangeToken"),
        ("POST", path) if account_in(path).is_some() => Some("GenerateAccessToken"),
        ("GET", "/computeMetadata/v1/instance/service-accounts/default/token") => Some("MachineToken"),
        ("GET", "/computeMetadata/v1/project/project-id") => Some("MachineProject"),
        _ => None,
    }
}

fn account_in(path: &str) -> Option<&str> {
    path.strip_prefix("/v1/projects/-/serviceAccounts/")?.strip_suffix(":generateAccessToken")
}

/// An error of OAuth, as the Security Token Service writes it.
struct Oauth(&'static str, String);

impl Logins {
    /// Answers an [`operation`].
    pub fn answer(&mut self, operation: &str, request: &Request) -> Response {
        match operation {
            "ExchangeToken" => match self.exchange(request) {
                Ok(body) => response(200, &body),
                Err(Oauth(error, text)) => response(400, &json!({"error": error, "error_description": text})),
            },
            "GenerateAccessToken" => match self.generate(request) {
                Ok(body) => response(200, &body),
                Err(refusal) => super::refused(&refusal),
            },
            _ => self.machine(operation, request),
        }
    }

    /// Who bears a token: `None` where this is not looked at, because nobody asked for it.
    pub fn bearer(&self, token: &str) -> Result<Option<&str>, ()> {
        match self.tokens.get(token) {
            Some(grant) if grant.end > SystemTime::now() => Ok(Some(&grant.member)),
            Some(_) => Err(()),
            None if self.strict => Err(()),
            None => Ok(None),
        }
    }

    /// Whether an identity may use the secrets.
    pub fn may_read(&self, member: &str) -> bool {
        self.readers.contains(member)
    }

    fn issue(&mut self, member: &str, lifetime: Duration) -> String {
        let token = format!("ya29.d.fake-{}", Uuid::new_v4().simple());
        if let Some(tell) = &self.tell {
            tell(&token);
        }
        self.tokens.insert(token.clone(), Grant { member: member.to_owned(), end: SystemTime::now() + lifetime });
        token
    }

    fn exchange(&mut self, request: &Request) -> Result<Value, Oauth> {
        let fields = parameters(request);
        let value = |name: &str| field(&fields, name).and_then(Value::as_str).unwrap_or_default();
        let invalid = |name: &str| Oauth("invalid_request", format!("Invalid value for \"{name}\"."));
        for (name, expected) in
            [("grantType", &[GRANT][..]), ("requestedTokenType", &[ACCESS_TOKEN]), ("scope", &[SCOPE, IAM_SCOPE])]
        {
            if !expected.contains(&value(name)) {
                return Err(invalid(name));
            }
        }
        if !["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"]
            .contains(&value("subjectTokenType"))
        {
            return Err(invalid("subject_token_type"));
        }
        let name = value("audience").strip_prefix("//iam.googleapis.com/").ok_or_else(|| invalid("audience"))?;
        if !name.contains("/providers/") {
            return Err(invalid("audience"));
        }
        let found = self.providers.iter().find(|provider| provider.name() == name && provider.enabled).cloned();
        let provider = found.ok_or_else(|| {
            let text = "The target service indicated by the \"audience\" parameters is invalid. This might either be \
                        because the pool or provider is disabled or deleted or because it doesn't exist.";
            Oauth("invalid_target", text.to_owned())
        })?;
        let claims = verify(&provider, value("subjectToken"))?;
        let subject = claims[&provider.subject].as_str().unwrap_or_default().to_owned();
        if subject.len() > 127 {
            let text = "The size of mapped attribute google.subject exceeds the 127 bytes limit. Either modify your \
                        attribute mapping or the incoming assertion to produce a mapped attribute that is less than 127 \
                        bytes.";
            return Err(Oauth("invalid_grant", text.to_owned()));
        }
        if provider.condition.iter().any(|(claim, wanted)| claims[claim] != *wanted) {
            let text = "The given credential is rejected by the attribute condition.";
            return Err(Oauth("unauthorized_client", text.to_owned()));
        }
        let token = self.issue(&provider.principal(&subject), self.lifetime);
        Ok(json!({
            "access_token": token, "issued_token_type": ACCESS_TOKEN, "token_type": "Bearer",
            "expires_in": self.lifetime.as_secs(),
        }))
    }

    fn generate(&mut self, request: &Request) -> Result<Value, Refusal> {
        let invalid = |text: &str| Refusal::invalid(text.to_owned());
        let header = request.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
        let token = header.ok_or_else(|| {
            Refusal::unauthenticated("Request is missing required authentication credential.", "CREDENTIALS_MISSING")
        })?;
        let mut caller = match (super::login::signer(token), self.bearer(token)) {
            (Some(email), _) => format!("serviceAccount:{email}"),
            (None, Ok(Some(member))) => member.to_owned(),
            (None, Ok(None)) => "user:somebody@fake.example".to_owned(),
            (None, Err(())) => {
                let text = "Request had invalid authentication credentials.";
                return Err(Refusal::unauthenticated(text, "ACCESS_TOKEN_EXPIRED"));
            }
        };
        if !self.iam_enabled {
            return Err(Refusal::disabled_service(
                PROJECT,
                "iamcredentials.googleapis.com",
                "IAM Service Account Credentials API",
            ));
        }
        let body: Map<String, Value> =
            serde_json::from_str(&request.body).map_err(|_| invalid("Invalid JSON payload received."))?;
        super::fields::known(&body, "", &["scope", "lifetime", "delegates"])?;
        if !body.get("scope").and_then(Value::as_array).is_some_and(|scopes| scopes.iter().any(|one| one == SCOPE)) {
            return Err(invalid("Scope required."));
        }
        let lifetime = match body.get("lifetime").and_then(Value::as_str) {
            None => 3600,
            Some(text) => text
                .strip_suffix('s')
                .and_then(|seconds| seconds.parse::<u64>().ok())
                .ok_or_else(|| invalid("Invalid value at 'lifetime' (type.googleapis.com/google.protobuf.Duration)"))?,
        };
        let path = request.target.split('?').next().unwrap_or_default();
        let email = account_in(path).unwrap_or_default().replace("%40", "@");
        let delegates = body.get("delegates").and_then(Value::as_array).cloned().unwrap_or_default();
        let mut chain = Vec::new();
        for delegate in &delegates {
            let name = delegate.as_str().and_then(|name| name.strip_prefix("projects/-/serviceAccounts/"));
            chain.push(name.ok_or_else(|| invalid("Invalid value at 'delegates'"))?.to_owned());
        }
        chain.push(email.clone());
        for email in &chain {
            let account = self
                .accounts
                .iter()
                .find(|account| account.email == *email)
                .ok_or_else(|| Refusal::not_found(format!("Not found; Gaia id not found for email {email}")))?;
            if !account.members.contains(&caller) {
                return Err(Refusal::denied(
                    "iam.serviceAccounts.getAccessToken",
                    &format!("projects/-/serviceAccounts/{email}"),
                ));
            }
            let most = if account.extended { 43_200 } else { 3600 };
            if lifetime == 0 || lifetime > most {
                let text = format!("The access token lifetime cannot exceed {most} seconds.");
                return Err(invalid(&text));
            }
            caller = format!("serviceAccount:{email}");
        }
        let lifetime = Duration::from_secs(lifetime).min(self.lifetime);
        let token = self.issue(&caller, lifetime);
        // In whole seconds; Google's library takes nothing else.
        let end = timestamp(SystemTime::now() + lifetime);
        let end = end.get(..19).unwrap_or_default();
        Ok(json!({"accessToken": token, "expireTime": format!("{end}Z")}))
    }

    fn machine(&mut self, operation: &str, request: &Request) -> Response {
        let page = |status| Response::new(status, "text/html", "<html>Error</html>");
        if !self.machine {
            return page(404);
        }
        if request.header("metadata-flavor") != Some("Google") {
            return page(403).with("Metadata-Flavor", "Google");
        }
        let answer = match operation {
            "MachineProject" => Response::new(200, "application/text", PROJECT),
            _ => {
                let token = self.issue(&format!("serviceAccount:{MACHINE}"), self.lifetime);
                let body =
                    json!({"access_token": token, "expires_in": self.lifetime.as_secs(), "token_type": "Bearer"});
                Response::new(200, JSON, body.to_string())
            }
        };
        answer.with("Metadata-Flavor", "Google")
    }
}

/// The fields of the exchange: Google's libraries send a form, `google-github-actions/auth` sends JSON.
fn parameters(request: &Request) -> Map<String, Value> {
    let kind = request.header("content-type").unwrap_or_default();
    if kind.starts_with("application/json") {
        return serde_json::from_str(&request.body).unwrap_or_default();
    }
    form(&request.body).map(|(name, value)| (name, Value::String(value))).collect()
}

fn verify(provider: &Provider, jwt: &str) -> Result<Value, Oauth> {
    let own = format!("https://iam.googleapis.com/{}", provider.name());
    let audiences: Vec<&str> = match provider.audiences.as_slice() {
        [] => vec![own.as_str()],
        several => several.iter().map(String::as_str).collect(),
    };
    let claims = provider.issuer.verify(jwt, &audiences).map_err(|why| {
        let text = match why {
            Why::Audience(seen) => format!(
                "The audience in ID Token [{}] does not match the expected audience {}.",
                seen.join(", "),
                audiences.join(", ")
            ),
            Why::Issuer(seen) => format!(
                "The issuer in ID Token {seen} does not match the expected ones: [{}].",
                provider.issuer.issuer()
            ),
            Why::Expired(time) | Why::NotYet(time) => format!("ID Token issued at {time} is stale to sign-in."),
            Why::Signature | Why::Key => "Invalid signature of the ID Token.".to_owned(),
            Why::Malformed => "The ID Token is not a valid JWT.".to_owned(),
        };
        Oauth("invalid_grant", text)
    })?;
    Ok(claims.0)
}

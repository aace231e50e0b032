//! AWS Secrets Manager as its documentation describes it (JSON 1.1 over POST), with what moto and ministack lack: sizes,
//! label limits, scheduled deletion, the exact rules of staging labels, idempotent tokens, and faults on demand.
//!
//! <https://docs.aws.amazon.com/secretsmanager/latest/apireference/>

pub mod agent;
mod calls;
mod fields;
mod listing;
pub mod sessions;
mod state;
pub mod sts;

use serde_json::{Value, json};
use uuid::Uuid;

use self::sessions::{Invalid, Sessions};
pub use self::state::Payload;
use self::state::{Caller, Refusal, Secret, State};
use crate::double::{Double, Handle, Service};
use crate::http::{Request, Response};

/// Where seeded secrets lie; a caller reaches another region by signing for it, as on AWS.
pub const REGION: &str = "eu-central-1";
/// The account that owns every secret.
pub const ACCOUNT: &str = "123456789012";
/// An access key that starts so exists, and may do nothing.
pub const DENIED_KEY: &str = "AKIADENIED";
/// An access key that starts so does not exist.
pub const UNKNOWN_KEY: &str = "AKIAUNKNOWN";
/// A session token that starts so is over.
pub const EXPIRED_TOKEN: &str = "EXPIRED";

const JSON: &str = "application/x-amz-json-1.1";

/// The service: the state behind a [`Double`].
pub struct SecretsManager {
    state: State,
    /// Where only these are let in.
    sessions: Option<Sessions>,
    identities: Vec<String>,
}

impl SecretsManager {
    /// Starts an empty Secrets Manager on a free loopback port.
    ///
    /// # Panics
    /// Where no port can be had.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a test without a loopback port can only stop, here and now")]
    pub fn start() -> Double<Self> {
        Double::start(Self { state: State::default(), sessions: None, identities: Vec::new() })
            .expect("a free loopback port")
    }
}

impl Handle<SecretsManager> {
    /// Writes a text as the new current version, as a foreign writer would; creates the secret where it is missing.
    /// Gives the version's id.
    pub fn put(&self, name: &str, text: &str) -> String {
        self.put_in(REGION, name, text)
    }

    /// As [`Handle::put`], in another region.
    pub fn put_in(&self, region: &str, name: &str, text: &str) -> String {
        self.service().state.seed(region, name, Payload::Text(text.to_owned()))
    }

    /// As [`Handle::put`], with a binary secret.
    pub fn put_binary(&self, name: &str, bytes: &[u8]) -> String {
        self.service().state.seed(REGION, name, Payload::Binary(bytes.to_vec()))
    }

    /// A secret that has no version yet, as `CreateSecret` without a value leaves it.
    pub fn create_without_value(&self, name: &str) {
        self.service().state.create(REGION, name);
    }

    /// Turns rotation on or off.
    pub fn set_rotation(&self, name: &str, on: bool) {
        self.edit(name, |secret| secret.rotation = on);
    }

    /// Makes a secret one that another service manages, such as `rds`.
    pub fn set_owner(&self, name: &str, service: &str) {
        self.edit(name, |secret| secret.owner = Some(service.to_owned()));
    }

    /// Schedules the deletion, in 30 days.
    pub fn schedule_deletion(&self, name: &str) {
        self.edit(name, |secret| secret.deleted = Some(state::now() + 30.0 * 86_400.0));
    }

    /// Ends a secret at once, without a trace.
    pub fn purge(&self, name: &str) {
        self.service().state.purge(REGION, name);
    }

    /// Puts a staging label on a version, taking it off wherever it was.
    pub fn label(&self, name: &str, label: &str, version: &str) {
        self.edit(name, |secret| secret.attach(label, version));
    }

    /// The text of the version with AWSCURRENT; `None` for a missing secret, one without a value, and a binary one.
    /// A name or an ARN, as everywhere here.
    #[must_use]
    pub fn current(&self, name: &str) -> Option<String> {
        let service = self.service();
        match &service.state.find(REGION, name)?.labelled("AWSCURRENT")?.payload {
            Payload::Text(text) => Some(text.clone()),
            Payload::Binary(_) => None,
        }
    }

    /// The payload of one version.
    #[must_use]
    pub fn payload(&self, name: &str, version: &str) -> Option<Payload> {
        let service = self.service();
        let found = service.state.find(REGION, name)?.version(version)?;
        Some(found.payload.clone())
    }

    /// The ids of all versions in the order in which they were made, unlabelled ones too.
    #[must_use]
    pub fn versions(&self, name: &str) -> Vec<String> {
        let service = self.service();
        let secret = service.state.find(REGION, name);
        secret.map_or_else(Vec::new, |secret| secret.versions.iter().map(|v| v.id.clone()).collect())
    }

    /// Every staging label and the version it is on, in the order of the versions.
    #[must_use]
    pub fn labels(&self, name: &str) -> Vec<(String, String)> {
        let service = self.service();
        let Some(secret) = service.state.find(REGION, name) else { return Vec::new() };
        let of_version = |v: &state::Version| -> Vec<(String, String)> {
            v.stages.iter().map(|stage| (stage.clone(), v.id.clone())).collect()
        };
        secret.versions.iter().flat_map(of_version).collect()
    }

    /// The full ARN of a secret.
    #[must_use]
    pub fn arn(&self, name: &str) -> Option<String> {
        Some(self.service().state.find(REGION, name)?.arn.clone())
    }

    /// Whether a secret is scheduled for deletion.
    #[must_use]
    pub fn is_deleted(&self, name: &str) -> bool {
        self.service().state.find(REGION, name).is_some_and(|secret| secret.deleted.is_some())
    }

    /// Lets nobody read the value of a secret any more, alone or in a batch.
    pub fn deny(&self, name: &str) {
        self.service().state.denied.insert(name.to_owned());
    }

    /// Lets the second page of every list lead to itself.
    pub fn never_end_lists(&self) {
        self.service().state.endless = true;
    }

    /// The most items that a list call returns at once, to see whether every page is read.
    pub fn page_size(&self, items: usize) {
        self.service().state.page = items.max(1);
    }

    /// Lets in nobody from now on who does not bring temporary credentials of this book that are not over.
    pub fn demand(&self, sessions: &Sessions) {
        self.service().sessions = Some(sessions.clone());
    }

    /// The roles of those who were let in, one a call.
    #[must_use]
    pub fn identities(&self) -> Vec<String> {
        self.service().identities.clone()
    }

    fn edit(&self, name: &str, change: impl FnOnce(&mut Secret)) {
        if let Some(secret) = self.service().state.find_mut(REGION, name) {
            change(secret);
        }
    }
}

impl SecretsManager {
    fn admit(&mut self, caller: &Caller, request: &Request) -> Result<(), Refusal> {
        let Some(sessions) = &self.sessions else { return Ok(()) };
        match sessions.check(&caller.key, request.header("x-amz-security-token")) {
            Ok(session) => {
                self.identities.push(session.role);
                Ok(())
            }
            Err(Invalid::Unknown) => {
                let message = "The security token included in the request is invalid.";
                Err(Refusal::new("UnrecognizedClientException", message))
            }
            Err(Invalid::Expired) => {
                let message = "The security token included in the request is expired";
                Err(Refusal::new("ExpiredTokenException", message))
            }
        }
    }
}

impl Service for SecretsManager {
    fn operation(&self, request: &Request) -> String {
        let target = request.header("x-amz-target").unwrap_or_default();
        target.strip_prefix("secretsmanager.").unwrap_or(target).to_owned()
    }

    fn answer(&mut self, operation: &str, request: &Request) -> Response {
        let answer = caller(operation, request).and_then(|caller| {
            self.admit(&caller, request)?;
            let body: Value = serde_json::from_str(&request.body)
                .map_err(|_| Refusal::new("SerializationException", "the request's body is no JSON"))?;
            self.state.call(operation, &caller, &body)
        });
        match answer {
            Ok(value) => response(200, &value),
            Err(refusal) => self.error(400, refusal.code, &refusal.message),
        }
    }

    fn error(&self, status: u16, code: &str, message: &str) -> Response {
        response(status, &json!({ "__type": code, "message": message }))
    }

    fn throttled(&self) -> Response {
        self.error(400, "ThrottlingException", "Rate exceeded")
    }

    fn access_denied(&self, operation: &str, request: &Request) -> Response {
        let refusal = denied(operation, request);
        self.error(400, refusal.code, &refusal.message)
    }

    fn key_denied(&self) -> Response {
        self.error(400, "AccessDeniedException", "Access to KMS is not allowed")
    }
}

fn response(status: u16, body: &Value) -> Response {
    Response::new(status, JSON, body.to_string()).with("x-amzn-RequestId", Uuid::new_v4().to_string())
}

/// AWS names the whole ARN where the secret exists and the name as given where it does not; so does this, always as given.
fn denied(operation: &str, request: &Request) -> Refusal {
    let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
    let id = ["SecretId", "Name"].iter().find_map(|field| body[*field].as_str()).unwrap_or("*");
    let message = format!(
        "User: arn:aws:iam::{ACCOUNT}:user/pipeline is not authorized to perform: secretsmanager:{operation} on resource: \
         {id} because no identity-based policy allows the secretsmanager:{operation} action"
    );
    Refusal::new("AccessDeniedException", message)
}

/// Who calls, by the `Authorization` header of Signature Version 4. The signature itself is not recomputed: the SDKs
/// under test all sign with code of their own vendor.
fn caller(operation: &str, request: &Request) -> Result<Caller, Refusal> {
    if request.method != "POST" || request.target != "/" {
        return Err(Refusal::new("UnknownOperationException", ""));
    }
    if !request.header("content-type").is_some_and(|v| v.starts_with(JSON)) {
        return Err(Refusal::new("UnknownOperationException", "the content type is not that of JSON 1.1"));
    }
    let missing = || Refusal::new("MissingAuthenticationTokenException", "Missing Authentication Token");
    let header = request.header("authorization").ok_or_else(missing)?;
    let incomplete = || {
        Refusal::new(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters",
        )
    };
    let fields = header.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(missing)?;
    let field = |name: &str| fields.split(',').find_map(|f| f.trim().strip_prefix(name)).ok_or_else(incomplete);
    let (credential, _, _) = (field("Credential=")?, field("SignedHeaders=")?, field("Signature=")?);
    let scope: Vec<&str> = credential.split('/').collect();
    let &[key, _date, region, service, "aws4_request"] = scope.as_slice() else { return Err(incomplete()) };
    if service != "secretsmanager" {
        let message = "Credential should be scoped to correct service: 'secretsmanager'.";
        return Err(Refusal::new("InvalidSignatureException", message));
    }
    let token = request.header("x-amz-security-token");
    // A key of a session (ASIA…) means nothing without its token.
    if key.starts_with(UNKNOWN_KEY) || (key.starts_with("ASIA") && token.is_none()) {
        let message = "The security token included in the request is invalid.";
        return Err(Refusal::new("UnrecognizedClientException", message));
    }
    if token.is_some_and(|t| t.starts_with(EXPIRED_TOKEN)) {
        let message = "The security token included in the request is expired";
        return Err(Refusal::new("ExpiredTokenException", message));
    }
    if key.starts_with(DENIED_KEY) {
        return Err(denied(operation, request));
    }
    Ok(Caller { key: key.to_owned(), region: region.to_owned() })
}

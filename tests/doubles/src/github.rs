//! GitHub's endpoint for identity tokens, as a runner names it to a job that may ask (`permissions: id-token: write`).
//!
//! <https://docs.github.com/actions/reference/security/oidc>; answers as `@actions/core` reads them, errors as users report
//! them.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::azure::route::form;
use crate::double::{Double, Handle, Service};
use crate::http::{Request, Response};
use crate::issuer::{Issuer, SUBJECT};

/// The token that proves to the endpoint which job asks (`ACTIONS_ID_TOKEN_REQUEST_TOKEN`).
pub const REQUEST_TOKEN: &str = "fake-request-token-of-the-job";

const PATH: &str = "/fake/_apis/distributedtask/hubs/Actions/plans/fake-plan/jobs/fake-job/idtoken";

type Maker = dyn Fn(&Issuer, &str) -> String + Send + Sync;
type Listener = dyn Fn(&str) + Send + Sync;

/// The service: what it needs to make tokens, and those that it has made.
pub struct TokenEndpoint {
    issuer: Issuer,
    make: Arc<Maker>,
    tell: Option<Arc<Listener>>,
    expired: bool,
    refused: Vec<String>,
    given: Vec<String>,
}

impl TokenEndpoint {
    /// Starts one that gives tokens of this issuer, for the subject [`SUBJECT`] and the audience that is asked for.
    ///
    /// # Panics
    /// Where no port can be had.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a test without a loopback port can only stop, here and now")]
    pub fn start(issuer: &Issuer) -> Double<Self> {
        let service = Self {
            issuer: issuer.clone(),
            make: Arc::new(|issuer, audience| issuer.token(SUBJECT, audience).sign()),
            tell: None,
            expired: false,
            refused: Vec::new(),
            given: Vec::new(),
        };
        Double::start(service).expect("a free loopback port")
    }
}

impl Double<TokenEndpoint> {
    /// What the runner sets as `ACTIONS_ID_TOKEN_REQUEST_URL`: it has a query already.
    #[must_use]
    pub fn request_url(&self) -> String {
        format!("{}{PATH}?api-version=2.0", self.url())
    }
}

/// The one operation is `IdToken`.
impl Handle<TokenEndpoint> {
    /// Makes the tokens from now on, awkward ones too; gets the issuer and the audience that was asked for.
    pub fn make(&self, make: impl Fn(&Issuer, &str) -> String + Send + Sync + 'static) {
        self.service().make = Arc::new(make);
    }

    /// Is told each token before it is given out, so that a test knows what must not show anywhere.
    pub fn tell(&self, tell: impl Fn(&str) + Send + Sync + 'static) {
        self.service().tell = Some(Arc::new(tell));
    }

    /// The request token is not good any more: from now on every answer is a 401.
    pub fn expire(&self) {
        self.service().expired = true;
    }

    /// Gives no token for this audience: a 403.
    pub fn refuse(&self, audience: &str) {
        self.service().refused.push(audience.to_owned());
    }

    /// The tokens that were given out, in order.
    #[must_use]
    pub fn given(&self) -> Vec<String> {
        self.service().given.clone()
    }
}

impl Service for TokenEndpoint {
    fn operation(&self, request: &Request) -> String {
        let path = request.target.split('?').next().unwrap_or_default();
        if path == PATH { "IdToken" } else { "Unknown" }.to_owned()
    }

    fn answer(&mut self, operation: &str, request: &Request) -> Response {
        if operation != "IdToken" || request.method != "GET" {
            return self.error(404, "NotFoundException", "The resource was not found.");
        }
        let bearer = request.header("authorization").and_then(|header| header.strip_prefix("Bearer "));
        if self.expired || bearer != Some(REQUEST_TOKEN) {
            return self.error(401, "UnauthorizedRequestException", "The request token is not valid.");
        }
        let query: Vec<(String, String)> =
            form(request.target.split_once('?').map_or("", |(_, query)| query)).collect();
        let field = |name: &str| query.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
        if field("api-version") != Some("2.0") {
            return self.error(400, "VssVersionNotSpecifiedException", "No api-version was supplied.");
        }
        // As GitHub's default: who the repository belongs to.
        let audience = field("audience").unwrap_or("https://github.com/octo");
        if self.refused.iter().any(|refused| refused == audience) {
            return self.error(
                403,
                "AccessDeniedException",
                &format!("Can't issue ID_TOKEN for audience '{audience}'."),
            );
        }
        let token = (self.make)(&self.issuer, audience);
        if let Some(tell) = &self.tell {
            tell(&token);
        }
        self.given.push(token.clone());
        respond(200, &json!({"count": token.len(), "value": token}))
    }

    fn error(&self, status: u16, code: &str, message: &str) -> Response {
        let body = json!({
            "$id": "1", "innerException": null, "message": message, "typeName": code, "typeKey": code,
            "errorCode": 0, "eventId": 3000,
        });
        respond(status, &body)
    }

    fn throttled(&self) -> Response {
        self.error(429, "RequestBlockedException", "Request was blocked due to exceeding usage.")
    }

    fn access_denied(&self, _: &str, _: &Request) -> Response {
        self.error(403, "AccessDeniedException", "Can't issue ID_TOKEN.")
    }

    fn key_denied(&self) -> Response {
        self.error(403, "AccessDeniedException", "Can't issue ID_TOKEN.")
    }
}

fn respond(status: u16, body: &Value) -> Response {
    Response::new(status, "application/json; charset=utf-8; api-version=2.0", body.to_string())
}

//! The Security Token Service as its documentation describes it (Query protocol, answers in XML), with the OIDC providers
//! and roles of IAM that it looks at: signature, issuer, audience, time and trust conditions are really checked.
//!
//! <https://docs.aws.amazon.com/STS/latest/APIReference/>. Signatures of signed calls are not recomputed, as in the rest of
//! this crate. The texts of errors are those that users report from the real service.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::sessions::{Invalid, Session, Sessions};
use super::{ACCOUNT, UNKNOWN_KEY};
use crate::azure::route::form;
use crate::double::{Double, Handle, Service};
use crate::http::{Request, Response};
use crate::issuer::{Issuer, Why};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Whom a role trusts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Tokens of an issuer with this subject and this audience.
    Token {
        /// `iss`, with its scheme.
        issuer: String,
        /// `aud`.
        audience: String,
        /// `sub`, letter by letter.
        subject: String,
    },
    /// Another identity of AWS.
    Identity {
        /// A role, a user, or `arn:aws:iam::ACCOUNT:root` for all of an account.
        principal: String,
        /// `sts:ExternalId`, where it is demanded.
        external_id: Option<String>,
    },
}

struct Role {
    arn: String,
    trust: Trust,
    longest: i64,
}

struct Provider {
    account: String,
    issuer: Issuer,
    audiences: Vec<String>,
}

/// The service: what it trusts, and what it has issued.
pub struct Sts {
    providers: Vec<Provider>,
    roles: Vec<Role>,
    sessions: Sessions,
    lasting: Option<i64>,
}

impl Sts {
    /// Starts one that trusts nobody on a free loopback port.
    ///
    /// # Panics
    /// Where no port can be had.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a test without a loopback port can only stop, here and now")]
    pub fn start() -> Double<Self> {
        let service = Self { providers: Vec::new(), roles: Vec::new(), sessions: Sessions::default(), lasting: None };
        Double::start(service).expect("a free loopback port")
    }
}

impl Handle<Sts> {
    /// `CreateOpenIDConnectProvider` in the account that owns everything here.
    pub fn provider(&self, issuer: &Issuer, audiences: &[&str]) {
        let audiences = audiences.iter().map(|&audience| audience.to_owned()).collect();
        self.service().providers.push(Provider { account: ACCOUNT.to_owned(), issuer: issuer.clone(), audiences });
    }

    /// `CreateRole`, with sessions of an hour at most.
    pub fn role(&self, arn: &str, trust: Trust) {
        self.service().roles.push(Role { arn: arn.to_owned(), trust, longest: 3600 });
    }

    /// What is issued lasts only so long from now on, in seconds, whatever is asked for.
    pub fn lasting(&self, seconds: i64) {
        self.service().lasting = Some(seconds);
    }

    /// The book of what was issued.
    #[must_use]
    pub fn sessions(&self) -> Sessions {
        self.service().sessions.clone()
    }
}

struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
}

fn refuse<T>(status: u16, code: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { status, code, message: message.into() })
}

type Fields = BTreeMap<String, String>;

fn fields(request: &Request) -> Fields {
    let query = request.target.split_once('?').map_or("", |(_, query)| query);
    form(query).chain(form(&request.body)).collect()
}

/// Who makes a signed call.
struct Caller {
    arn: String,
    /// The role, for those that have assumed one.
    role: Option<String>,
}

impl Sts {
    fn caller(&self, request: &Request) -> Result<Caller, Refusal> {
        let key = request.header("authorization").and_then(|header| header.split_once("Credential="));
        let Some((key, scope)) = key.and_then(|(_, rest)| rest.split_once('/')) else {
            return refuse(403, "MissingAuthenticationToken", "Request is missing Authentication Token");
        };
        if !scope.contains("/sts/aws4_request") {
            let message = "Credential should be scoped to correct service: 'sts'.";
            return refuse(403, "SignatureDoesNotMatch", message);
        }
        let invalid = || refuse(403, "InvalidClientTokenId", "The security token included in the request is invalid.");
        if !key.starts_with("ASIA") {
            if key.starts_with(UNKNOWN_KEY) {
                return invalid();
            }
            return Ok(Caller { arn: format!("arn:aws:iam::{ACCOUNT}:user/pipeline"), role: None });
        }
        match self.sessions.check(key, request.header("x-amz-security-token")) {
            Ok(Session { arn, role, .. }) => Ok(Caller { arn, role: Some(role) }),
            Err(Invalid::Expired) => {
                refuse(403, "ExpiredToken", "The security token included in the request is expired")
            }
            Err(Invalid::Unknown) => invalid(),
        }
    }

    fn call(&self, operation: &str, request: &Request) -> Result<String, Refusal> {
        let fields = fields(request);
        if fields.get("Version").map(String::as_str) != Some("2011-06-15") {
            return refuse(400, "InvalidAction", "Could not find operation for the given version");
        }
        match operation {
            "AssumeRoleWithWebIdentity" => self.by_token(&fields),
            "AssumeRole" => self.by_identity(&fields, &self.caller(request)?),
            "GetCallerIdentity" => {
                let caller = self.caller(request)?;
                let account = caller.arn.split(':').nth(4).unwrap_or_default();
                Ok(format!("<Arn>{}</Arn><UserId>AIDAFAKE</UserId><Account>{account}</Account>", escaped(&caller.arn)))
            }
            _ => refuse(400, "InvalidAction", format!("Could not find operation {operation}")),
        }
    }

    fn by_token(&self, fields: &Fields) -> Result<String, Refusal> {
        let (arn, name, seconds) = asked(fields)?;
        let token = fields.get("WebIdentityToken").map_or("", String::as_str);
        if !(4..=20_000).contains(&token.len()) {
            return invalid("webIdentityToken", "Member must have length between 4 and 20000");
        }
        let malformed =
            "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)";
        let account = arn.split(':').nth(4).unwrap_or_default();
        // The provider is the one whose signature, issuer and time hold; else what the first one says tells why not.
        let mut why = None;
        let mut found = None;
        for provider in self.providers.iter().filter(|provider| provider.account == account) {
            match provider.issuer.verify(token, &[]) {
                Ok(claims) => found = Some((provider, claims)),
                // Another issuer is what most providers say, and tells nothing where one knows the token.
                Err(Why::Issuer(issuer)) => why = why.or(Some(Why::Issuer(issuer))),
                Err(other) => why = Some(other),
            }
        }
        let Some((provider, claims)) = found else {
            return match why {
                Some(Why::Expired(end)) => refuse(
                    400,
                    "ExpiredTokenException",
                    format!("Token expired: current date/time must be before the expiration date/time {end}"),
                ),
                Some(Why::Issuer(issuer)) => {
                    let message = format!("No OpenIDConnect provider found in your account for {issuer}");
                    refuse(400, "InvalidIdentityToken", message)
                }
                None => refuse(400, "InvalidIdentityToken", "No OpenIDConnect provider found in your account"),
                Some(Why::Malformed) => refuse(400, "InvalidIdentityToken", malformed),
                Some(_) => refuse(400, "InvalidIdentityToken", "Token signature could not be verified"),
            };
        };
        if !claims.audiences().iter().any(|audience| provider.audiences.contains(audience)) {
            return refuse(400, "InvalidIdentityToken", "Incorrect token audience");
        }
        let trusts = |trust: &Trust| match trust {
            Trust::Token { issuer, audience, subject } => {
                issuer == claims.issuer() && claims.audiences().contains(audience) && subject == claims.subject()
            }
            Trust::Identity { .. } => false,
        };
        let Some(role) = self.roles.iter().find(|role| role.arn == arn && trusts(&role.trust)) else {
            return refuse(403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity");
        };
        let more = format!(
            "<SubjectFromWebIdentityToken>{}</SubjectFromWebIdentityToken><Audience>{}</Audience><Provider>{}</Provider>",
            escaped(claims.subject()),
            escaped(&claims.audiences().join(",")),
            escaped(claims.issuer())
        );
        Ok(self.issue(role, name, seconds)? + &more)
    }

    fn by_identity(&self, fields: &Fields, caller: &Caller) -> Result<String, Refusal> {
        let (arn, name, seconds) = asked(fields)?;
        let given = fields.get("ExternalId");
        let owner = caller.arn.split(':').nth(4).unwrap_or_default();
        let trusts = |trust: &Trust| match trust {
            Trust::Identity { principal, external_id } => {
                let named = principal == &caller.arn
                    || caller.role.as_ref() == Some(principal)
                    || *principal == format!("arn:aws:iam::{owner}:root");
                named && external_id.as_ref().is_none_or(|demanded| given == Some(demanded))
            }
            Trust::Token { .. } => false,
        };
        let Some(role) = self.roles.iter().find(|role| role.arn == arn && trusts(&role.trust)) else {
            let message =
                format!("User: {} is not authorized to perform: sts:AssumeRole on resource: {arn}", caller.arn);
            return refuse(403, "AccessDenied", message);
        };
        if caller.role.is_some() && seconds > 3600 {
            let message =
                "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining";
            return refuse(400, "ValidationError", message);
        }
        self.issue(role, name, seconds)
    }

    fn issue(&self, role: &Role, name: &str, seconds: i64) -> Result<String, Refusal> {
        if seconds > role.longest {
            let message = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.";
            return refuse(400, "ValidationError", message);
        }
        let (account, short) = (role.arn.split(':').nth(4).unwrap_or_default(), role.arn.rsplit('/').next());
        let arn = format!("arn:aws:sts::{account}:assumed-role/{}/{name}", short.unwrap_or_default());
        let session = self.sessions.issue(&role.arn, &arn, self.lasting.unwrap_or(seconds));
        Ok(format!(
            "<AssumedRoleUser><Arn>{}</Arn><AssumedRoleId>AROAFAKE:{name}</AssumedRoleId></AssumedRoleUser><Credentials>\
             <AccessKeyId>{}</AccessKeyId><SecretAccessKey>{}</SecretAccessKey><SessionToken>{}</SessionToken>\
             <Expiration>{}</Expiration></Credentials>",
            escaped(&session.arn),
            session.key,
            session.secret,
            session.token,
            date(session.expires)
        ))
    }
}

/// Role, session name and duration, each within its bounds.
fn asked(fields: &Fields) -> Result<(&str, &str, i64), Refusal> {
    let text = |name: &str| fields.get(name).map_or("", String::as_str);
    let (arn, name) = (text("RoleArn"), text("RoleSessionName"));
    if !(20..=2048).contains(&arn.len()) {
        return invalid("roleArn", "Member must have length between 20 and 2048");
    }
    if !arn.starts_with("arn:aws:iam::") {
        return refuse(400, "ValidationError", "Request ARN is invalid");
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte);
    if !(2..=64).contains(&name.len()) || !name.bytes().all(fits) {
        return invalid("roleSessionName", "Member must satisfy regular expression pattern: [\\w+=,.@-]*");
    }
    let seconds = fields.get("DurationSeconds").map_or(Ok(3600), |text| text.parse());
    match seconds {
        Ok(seconds @ 900..=43_200) => Ok((arn, name, seconds)),
        _ => invalid("durationSeconds", "Member must have value between 900 and 43200"),
    }
}

fn invalid<T>(field: &str, rule: &str) -> Result<T, Refusal> {
    let message = format!("1 validation error detected: Value at '{field}' failed to satisfy constraint: {rule}");
    refuse(400, "ValidationError", message)
}

impl Service for Sts {
    fn operation(&self, request: &Request) -> String {
        fields(request).remove("Action").unwrap_or_else(|| "Unknown".to_owned())
    }

    fn answer(&mut self, operation: &str, request: &Request) -> Response {
        match self.call(operation, request) {
            Ok(result) => xml(
                200,
                &format!(
                    "<{operation}Response xmlns=\"{NAMESPACE}\"><{operation}Result>{result}</{operation}Result>\
                     <ResponseMetadata><RequestId>{}</RequestId></ResponseMetadata></{operation}Response>",
                    Uuid::new_v4()
                ),
            ),
            Err(Refusal { status, code, message }) => self.error(status, code, &message),
        }
    }

    fn error(&self, status: u16, code: &str, message: &str) -> Response {
        let kind = if status < 500 { "Sender" } else { "Receiver" };
        let message = escaped(message);
        xml(
            status,
            &format!(
                "<ErrorResponse xmlns=\"{NAMESPACE}\"><Error><Type>{kind}</Type><Code>{code}</Code><Message>{message}</Message>\
                 </Error><RequestId>{}</RequestId></ErrorResponse>",
                Uuid::new_v4()
            ),
        )
    }

    fn throttled(&self) -> Response {
        self.error(400, "Throttling", "Rate exceeded")
    }

    fn access_denied(&self, operation: &str, _: &Request) -> Response {
        self.error(403, "AccessDenied", &format!("Not authorized to perform sts:{operation}"))
    }

    fn key_denied(&self) -> Response {
        self.error(403, "AccessDenied", "Access to KMS is not allowed")
    }
}

fn xml(status: u16, body: &str) -> Response {
    Response::new(status, "text/xml", body.as_bytes()).with("x-amzn-RequestId", Uuid::new_v4().to_string())
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A time as AWS writes it, in UTC.
/// <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
pub(super) fn date(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400) + 719_468, seconds.rem_euclid(86_400));
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

//! What Google answered, as something that a user can act on. Nothing of an answer's own text is ever shown, because it
//! may quote what was sent; codes, reasons and our own words have to do.

use std::error::Error as _;

use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::{Code, StatusDetails};

use super::name::Name;
use crate::auth::claims::shown;
use crate::auth::gcp::quoted;
use crate::error::{Failure, Kind};
use crate::http::causes;

/// The calls, by the names that Google gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// Reading a version.
    Access,
    /// Writing a version.
    Add,
    /// Making a secret.
    Create,
    /// Looking which versions there are.
    List,
    /// Looking which secrets there are.
    ListSecrets,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Access => "AccessSecretVersion",
            Self::Add => "AddSecretVersion",
            Self::Create => "CreateSecret",
            Self::List => "ListSecretVersions",
            Self::ListSecrets => "ListSecrets",
        }
    }

    /// What IAM calls it, and the smallest role that holds it
    /// ([roles](https://cloud.google.com/secret-manager/docs/access-control#secretmanager.roles)).
    fn permission(self) -> (&'static str, &'static str) {
        match self {
            Self::Access => ("secretmanager.versions.access", "roles/secretmanager.secretAccessor"),
            Self::Add => ("secretmanager.versions.add", "roles/secretmanager.secretVersionAdder"),
            Self::Create => ("secretmanager.secrets.create", "roles/secretmanager.admin"),
            Self::List => ("secretmanager.versions.list", "roles/secretmanager.viewer"),
            Self::ListSecrets => ("secretmanager.secrets.list", "roles/secretmanager.viewer"),
        }
    }
}

/// What a version that cannot be read is, as far as Google says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It can be enabled again.
    Disabled,
    /// Its payload is gone.
    Destroyed,
}

/// A call that failed.
pub(super) struct Trouble {
    operation: Operation,
    name: Name,
    /// The version that was asked for, where it was one.
    version: Option<String>,
    cause: Cause,
    /// Who asked, as IAM names it.
    member: Option<String>,
}

enum Cause {
    /// The request did not arrive, for the reason given.
    NotSent(String),
    /// The answer was waited for in vain: it may have been done, or be done later.
    Late,
    /// No answer, or none that can be read: it may have been done.
    Silence(String),
    /// The token is over, and there is no new one.
    Login(Option<Failure>),
    /// An answer that is none of Google's APIs.
    Foreign(u16),
    /// An error of the service.
    Service { code: Code, status: u16, reason: String, state: Option<State> },
}

impl Trouble {
    /// Takes out of an error what may be shown.
    pub(super) fn new(operation: Operation, name: &Name, version: Option<&str>, error: &Error) -> Self {
        let transport = || error.source().map_or_else(String::new, causes);
        let status = error.http_status_code().unwrap_or_default();
        let cause = if let Some(service) = error.status() {
            let reason = service.details.iter().find_map(|detail| match detail {
                StatusDetails::ErrorInfo(info) if is_word(&info.reason) => Some(info.reason.clone()),
                _ => None,
            });
            // The message names the version and its state, and nothing else says which one it is.
            let state = [("DESTROYED", State::Destroyed), ("DISABLED", State::Disabled)];
            let state = state.into_iter().find(|(word, _)| service.message.contains(&format!("is in {word} state")));
            let state = state.filter(|_| service.code == Code::FailedPrecondition).map(|(_, state)| state);
            Cause::Service { code: service.code, status, reason: reason.unwrap_or_default(), state }
        } else if error.is_connect() {
            Cause::NotSent(transport())
        } else if error.is_timeout() {
            Cause::Late
        } else if error.is_io() {
            Cause::Silence(transport())
        } else if error.is_authentication() {
            Cause::Login(find(error))
        } else if status != 0 {
            Cause::Foreign(status)
        } else {
            // The causes of an answer that cannot be read may quote it.
            Cause::Silence("its answer is truncated or is not that of Google Secret Manager".to_owned())
        };
        Self { operation, name: name.clone(), version: version.map(str::to_owned), cause, member: None }
    }

    /// Whom a role has to be granted to.
    pub(super) fn of(self, member: Option<String>) -> Self {
        Self { member, ..self }
    }

    /// Whether Google answered with this code.
    pub(super) fn is(&self, expected: Code) -> bool {
        matches!(&self.cause, Cause::Service { code, .. } if *code == expected)
    }

    /// Whether the server may have acted although no good answer came.
    pub(super) fn is_ambiguous(&self) -> bool {
        match &self.cause {
            Cause::Late | Cause::Silence(_) => true,
            Cause::Foreign(status) | Cause::Service { status, .. } => {
                *status == 408 || (*status >= 500 && *status != 501)
            }
            Cause::NotSent(_) | Cause::Login(_) => false,
        }
    }

    /// Whether the request may still be under way: looking at what it has done is then no proof.
    pub(super) fn is_pending(&self) -> bool {
        matches!(self.cause, Cause::Late)
    }

    /// As a failure of the run.
    pub(super) fn failure(&self) -> Failure {
        let operation = self.operation.name();
        let name = &self.name;
        let unreached = |why: &str| {
            let what = format!("couldn't reach Google Secret Manager for {operation} on `{name}`: {why}");
            Failure::new(Kind::Unavailable, what).help(
                "check `gcp_endpoint`, the location of a regional secret, the proxy variables, and that the host can be \
                 reached from here",
            )
        };
        match &self.cause {
            Cause::Late => unreached("no answer in time"),
            Cause::NotSent(why) | Cause::Silence(why) => unreached(why),
            Cause::Login(Some(failure)) => failure.clone(),
            Cause::Login(None) => Failure::new(Kind::Login, "no token can be made with the Google credentials")
                .help("give the key file of a service account, or an access token"),
            Cause::Foreign(status) => Failure::new(
                Kind::Unavailable,
                format!(
                    "what answered {operation} on `{name}` with HTTP status {status} is not Google Secret Manager, or failed"
                ),
            )
            .help("check `gcp_endpoint` and the proxy variables, or run it again later"),
            Cause::Service { code, status, reason, state } => self.refused(code, *status, reason, *state),
        }
    }

    fn refused(&self, code: &Code, status: u16, reason: &str, state: Option<State>) -> Failure {
        let (name, operation) = (&self.name, self.operation.name());
        // The name of the code, with Google's reason where there is one.
        let told = if reason.is_empty() { code.name().to_owned() } else { format!("{}, {reason}", code.name()) };
        match code {
            Code::Unauthenticated => {
                Failure::new(Kind::Login, format!("Google refused the login ({told}, on {operation})")).help(
                    "an access token lives an hour at most, and needs the scope `cloud-platform`; the key of a service \
                     account may have been deleted or disabled, or the clock of this machine may be wrong",
                )
            }
            Code::PermissionDenied => self.denied(reason),
            Code::NotFound => self.missing(),
            Code::ResourceExhausted => {
                Failure::new(Kind::Unavailable, format!("Google throttled {operation} on `{name}` until we gave up"))
                    .help(
                        "a secret bears two writes a second, and a project its own quota; run it again later, or run \
                           fewer jobs at the same time",
                    )
            }
            Code::FailedPrecondition => self.state(state, &told),
            Code::InvalidArgument | Code::OutOfRange => {
                let place = if self.operation == Operation::Create { ", and `gcp_locations`" } else { "" };
                Failure::new(Kind::Input, format!("Google refused {operation} on `{name}` ({told})"))
                    .help(format!("check the name of the secret, its project and its version{place}"))
            }
            _ => Failure::new(
                Kind::Unavailable,
                format!("Google Secret Manager failed {operation} on `{name}` with HTTP status {status} ({told})"),
            )
            .help("run it again later; if it stays so, look at the health of the service and at `gcp_endpoint`"),
        }
    }

    /// Reasons: [ErrorReason](https://cloud.google.com/apis/enums#google.api.ErrorReason).
    fn denied(&self, reason: &str) -> Failure {
        let (name, project) = (&self.name, &self.name.project);
        let denied = |what: String, help: String| Failure::new(Kind::Denied, what).help(help);
        match reason {
            "SERVICE_DISABLED" => denied(
                format!("the Secret Manager API is not enabled in the project `{project}`"),
                format!(
                    "run `gcloud services enable secretmanager.googleapis.com --project={project}`, and wait a few minutes"
                ),
            ),
            "CONSUMER_INVALID" | "CONSUMER_SUSPENDED" => denied(
                format!("the project `{project}` does not exist or cannot be used ({reason})"),
                "check the project: its id or its number, not its display name".to_owned(),
            ),
            "BILLING_DISABLED" => denied(
                format!("billing is not enabled for the project `{project}`"),
                "link a billing account to it".to_owned(),
            ),
            "ACCESS_TOKEN_SCOPE_INSUFFICIENT" => denied(
                format!("the access token lacks the scope for `{name}`"),
                "get a token with the scope `https://www.googleapis.com/auth/cloud-platform`".to_owned(),
            ),
            "SECURITY_POLICY_VIOLATED" => denied(
                format!("a service perimeter (VPC Service Controls) keeps this run from `{name}`"),
                "let the perimeter's ingress rules take the identity and the network of this run".to_owned(),
            ),
            _ => {
                let (permission, role) = self.operation.permission();
                let who = match &self.member {
                    Some(member) => format!("the identity of this run (`--member={}`)", quoted(&shown(member))),
                    None => "the identity of this run".to_owned(),
                };
                let grant = format!("grant `{role}` on it to {who}");
                let help = match self.operation {
                    Operation::Access | Operation::Add => format!("{grant}; check also the name and the project"),
                    Operation::Create => format!(
                        "create it once by hand (`gcloud secrets create {} --project={project}`), or grant `{role}` on the \
                         project to {who}",
                        name.secret
                    ),
                    Operation::ListSecrets => {
                        format!(
                            "a pattern lists the secrets of a project: grant `{role}` on the project to the identity of this run"
                        )
                    }
                    Operation::List => format!(
                        "its newest version is disabled or destroyed, so an older one is looked for: {grant}, or name a \
                         version"
                    ),
                };
                // Google says the same of a secret that is not there to somebody who may not know that.
                denied(format!("access denied: {permission} on `{name}` (or it does not exist)"), help)
            }
        }
    }

    fn missing(&self) -> Failure {
        let name = &self.name;
        let what = match (&self.version, self.operation) {
            (Some(version), _) => format!("the secret `{name}` does not exist, or has no version `{version}`"),
            (None, Operation::Create | Operation::ListSecrets) => format!("the project of `{name}` does not exist"),
            (None, _) => format!("the secret `{name}` does not exist"),
        };
        Failure::new(Kind::NotFound, what).help("check its name, the project, and the location of a regional secret")
    }

    fn state(&self, state: Option<State>, told: &str) -> Failure {
        let (name, operation) = (&self.name, self.operation.name());
        let version = self.version.as_deref().unwrap_or("latest");
        let gone = |what: &str, help: String| {
            Failure::new(Kind::NotFound, format!("version `{version}` of the secret `{name}` is {what}")).help(help)
        };
        match state {
            Some(State::Disabled) => {
                gone("disabled", format!("enable it, or name another version: {}", name.enable(version)))
            }
            Some(State::Destroyed) => {
                gone("destroyed", "name another version; a destroyed one never comes back".to_owned())
            }
            None => {
                Failure::new(Kind::Refused, format!("Google refused {operation} on `{name}` in its state ({told})"))
                    .help(match self.operation {
                        Operation::Create => {
                            "a policy of the organization may allow other locations only: see `gcp_locations`"
                        }
                        _ => "a key of its own (Cloud KMS) may be disabled or closed to Secret Manager",
                    })
            }
        }
    }
}

/// What a renewal of the login failed with.
fn find(error: &Error) -> Option<Failure> {
    let mut next = error.source();
    while let Some(cause) = next {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return Some(failure.clone());
        }
        next = cause.source();
    }
    None
}

/// Reasons are words in capitals; anything else is none of them.
fn is_word(text: &str) -> bool {
    (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

#[cfg(test)]
mod tests {
    use google_cloud_gax::error::rpc::Status;
    use google_cloud_secretmanager_v1::model::SecretPayload;

    use super::*;

    fn name() -> Name {
        Name { project: "fake-project".into(), location: None, secret: "app".into() }
    }

    fn trouble(operation: Operation, status: u16, body: &str) -> Trouble {
        // Gives the type of buffer that the SDK takes.
        let body = SecretPayload::new().set_data(body.to_owned()).data;
        let error = match Status::try_from(&body) {
            Ok(error) => Error::service_with_http_metadata(error, Some(status), None),
            Err(_) => Error::http(status, http::HeaderMap::new(), body),
        };
        Trouble::new(operation, &name(), Some("latest"), &error)
    }

    fn body(code: u16, status: &str, reason: &str) -> String {
        format!(
            r#"{{"error":{{"code":{code},"message":"hunter2-fake was sent","status":"{status}","details":[
                {{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"{reason}","domain":"googleapis.com"}}]}}}}"#
        )
    }

    #[test]
    fn what_google_answers_becomes_a_kind_and_a_fix() {
        let rows = [
            (Operation::Access, 401, "UNAUTHENTICATED", "ACCESS_TOKEN_EXPIRED", Kind::Login, "an hour"),
            (
                Operation::Access,
                403,
                "PERMISSION_DENIED",
                "IAM_PERMISSION_DENIED",
                Kind::Denied,
                "roles/secretmanager.secretAccessor",
            ),
            (
                Operation::Add,
                403,
                "PERMISSION_DENIED",
                "IAM_PERMISSION_DENIED",
                Kind::Denied,
                "roles/secretmanager.secretVersionAdder",
            ),
            (
                Operation::Create,
                403,
                "PERMISSION_DENIED",
                "",
                Kind::Denied,
                "gcloud secrets create app --project=fake-project",
            ),
            (Operation::List, 403, "PERMISSION_DENIED", "", Kind::Denied, "roles/secretmanager.viewer"),
            (Operation::ListSecrets, 403, "PERMISSION_DENIED", "", Kind::Denied, "on the project"),
            (Operation::Access, 403, "PERMISSION_DENIED", "SERVICE_DISABLED", Kind::Denied, "gcloud services enable"),
            (Operation::Access, 403, "PERMISSION_DENIED", "CONSUMER_INVALID", Kind::Denied, "display name"),
            (
                Operation::Access,
                403,
                "PERMISSION_DENIED",
                "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
                Kind::Denied,
                "cloud-platform",
            ),
            (Operation::Access, 403, "PERMISSION_DENIED", "SECURITY_POLICY_VIOLATED", Kind::Denied, "perimeter"),
            (Operation::Access, 404, "NOT_FOUND", "", Kind::NotFound, "project"),
            (
                Operation::Add,
                429,
                "RESOURCE_EXHAUSTED",
                "RATE_LIMIT_EXCEEDED",
                Kind::Unavailable,
                "two writes a second",
            ),
            (Operation::Add, 400, "INVALID_ARGUMENT", "", Kind::Input, "name of the secret"),
            (Operation::Create, 400, "INVALID_ARGUMENT", "", Kind::Input, "gcp_locations"),
            (Operation::Access, 400, "FAILED_PRECONDITION", "", Kind::Refused, "KMS"),
            (Operation::Add, 503, "UNAVAILABLE", "", Kind::Unavailable, "later"),
            (Operation::Access, 500, "INTERNAL", "hunter2-fake", Kind::Unavailable, "later"),
        ];
        for (operation, status, code, reason, kind, help) in rows {
            let failure = trouble(operation, status, &body(status, code, reason)).failure();
            assert_eq!(failure.kind, kind, "{operation:?} {code} {reason}");
            let said = format!("{failure:?}");
            assert!(said.contains(help), "{code} {reason}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn an_answer_of_another_server_is_no_missing_secret() {
        for status in [302, 401, 403, 404, 502] {
            let trouble = trouble(Operation::Access, status, "<html>hunter2-fake</html>");
            assert!(!trouble.is(Code::NotFound));
            assert_eq!(trouble.is_ambiguous(), status == 502, "{status}");
            let failure = trouble.failure();
            assert_eq!(failure.kind, Kind::Unavailable, "{status}");
            assert!(!format!("{failure:?}").contains("hunter2"));
        }
    }

    #[test]
    fn a_version_that_cannot_be_read_says_which_state_it_is_in() {
        for (word, told) in [("DISABLED", "is disabled"), ("DESTROYED", "is destroyed")] {
            let message = format!("Secret Version [projects/1/secrets/app/versions/3] is in {word} state.");
            let text = format!(r#"{{"error":{{"code":400,"message":"{message}","status":"FAILED_PRECONDITION"}}}}"#);
            let failure = trouble(Operation::Access, 400, &text).failure();
            assert_eq!(failure.kind, Kind::NotFound);
            assert!(failure.to_string().contains(told), "{failure}");
        }
    }

    #[test]
    fn only_what_may_have_been_done_is_ambiguous() {
        let of = |error: &Error| Trouble::new(Operation::Add, &name(), None, error).is_ambiguous();
        assert!(of(&Error::timeout("late")) && of(&Error::io("reset")) && of(&Error::deser("no JSON")));
        assert!(!of(&Error::connect("refused")));
        for (status, code, expected) in [
            (400, "INVALID_ARGUMENT", false),
            (429, "RESOURCE_EXHAUSTED", false),
            (500, "INTERNAL", true),
            (503, "UNAVAILABLE", true),
        ] {
            assert_eq!(trouble(Operation::Add, status, &body(status, code, "")).is_ambiguous(), expected, "{code}");
        }
    }
}

//! What AWS answered, as something that a user can act on. `SdkError` itself displays only "service error", and its
//! `Debug` holds the body: neither is ever printed.

use std::error::Error;

use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use crate::error::{Failure, Kind};
use crate::http::aws::{self, TIMEOUT, UNREADABLE, transport_help};

/// A call that failed.
pub(super) struct Trouble {
    operation: &'static str,
    id: String,
    region: String,
    code: Option<String>,
    message: Option<String>,
    status: Option<u16>,
    transport: Option<String>,
    login: Option<Failure>,
}

/// An SDK error that can be told.
pub(super) trait Told<E> {
    fn told(&self, operation: &'static str, id: &str, region: &str) -> Trouble;
}

impl<E: ProvideErrorMetadata + Error + 'static> Told<E> for SdkError<E, HttpResponse> {
    fn told(&self, operation: &'static str, id: &str, region: &str) -> Trouble {
        let aws::Told { code, message, status, transport, login } = aws::Told::of(self);
        Trouble { operation, id: id.to_owned(), region: region.to_owned(), code, message, status, transport, login }
    }
}

impl Trouble {
    /// Whether AWS answered with this code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether the permission is missing, and not that to use a key.
    pub(super) fn is_denied(&self) -> bool {
        self.is("AccessDeniedException") || self.is("AccessDenied") || self.is("NotAuthorized")
    }

    /// Whether the answer is about the secrets that were asked for, and not about who asks, or how often.
    pub(super) fn is_about_its_object(&self) -> bool {
        let codes = [
            "ResourceNotFoundException",
            "InvalidRequestException",
            "InvalidParameterException",
            "ValidationException",
            "DecryptionFailure",
        ];
        codes.iter().any(|code| self.is(code))
    }

    /// Whether the server may have acted although no good answer came.
    pub(super) fn is_ambiguous(&self) -> bool {
        let sent = self.transport.is_some() && self.login.is_none();
        sent || self.status.is_some_and(|status| status >= 500)
    }

    /// Whether the request may still be under way: looking at what it has done is then no proof.
    pub(super) fn is_pending(&self) -> bool {
        self.transport.as_deref() == Some(TIMEOUT)
    }

    /// As a failure of the run.
    pub(super) fn failure(&self) -> Failure {
        let Self { operation, id, region, .. } = self;
        // The credentials ended in the middle of the run, and there were no new ones.
        if let Some(login) = &self.login {
            return login.clone();
        }
        if let Some(transport) = &self.transport {
            let what = if transport == UNREADABLE {
                format!("AWS Secrets Manager in {region} was asked for {operation} on `{id}`, and {transport}")
            } else {
                format!("couldn't reach AWS Secrets Manager in {region} for {operation} on `{id}`: {transport}")
            };
            return Failure::new(Kind::Unavailable, what).help(transport_help(transport, "aws_endpoint_url"));
        }
        let code = self.code.as_deref().unwrap_or_default();
        // Codes of the service, and those common to all AWS APIs:
        // https://docs.aws.amazon.com/secretsmanager/latest/apireference/CommonErrors.html
        match code {
            "AccessDeniedException" | "AccessDenied" | "NotAuthorized" => self.denied(),
            "DecryptionFailure" | "EncryptionFailure" => self.denied_key(),
            "ResourceNotFoundException" => {
                Failure::new(Kind::NotFound, format!("the secret `{id}` does not exist in {region}"))
                    .help("check its name and the region")
            }
            "UnrecognizedClientException" | "InvalidClientTokenId" => self.login(
                "does not know this access key",
                "check the access key id; a key of another partition is unknown too",
            ),
            "ExpiredTokenException" | "ExpiredToken" | "RequestExpired" => {
                self.login("says that the credentials have expired", "get new ones right before this step")
            }
            "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "RequestTimeTooSkewed"
            | "IncompleteSignature"
            | "IncompleteSignatureException" => {
                self.login("refused the signature", "check the secret access key, and the clock of this machine")
            }
            "MissingAuthenticationToken" | "MissingAuthenticationTokenException" | "OptInRequired" => {
                self.login("refused the login", "check the credentials, and that the account may use this region")
            }
            "LimitExceededException" => Failure::new(
                Kind::Unavailable,
                format!("{operation} on `{id}`: a limit of the account or of the secret is reached"),
            )
            .help("a secret bears about 100 new versions a day; wait, or push less often"),
            "ThrottlingException" | "Throttling" | "TooManyRequestsException" | "RequestLimitExceeded" => {
                self.throttled()
            }
            "InvalidRequestException" => {
                Failure::new(Kind::Refused, format!("AWS refused {operation} on `{id}`{}", self.words()))
                    .help("look at the state of the secret with `aws secretsmanager describe-secret`")
            }
            // The message of these may quote what was sent.
            "InvalidParameterException" | "ValidationException" | "InvalidParameterValue" => {
                Failure::new(Kind::Input, format!("AWS refused {operation} on `{id}` ({code})"))
                    .help("check the name of the secret, its version and its stage")
            }
            _ if self.status == Some(429) => self.throttled(),
            _ => {
                let status = self.status.map_or_else(String::new, |status| format!(" with HTTP status {status}"));
                let code = if code.is_empty() { String::new() } else { format!(" ({code})") };
                Failure::new(
                    Kind::Unavailable,
                    format!("AWS Secrets Manager in {region} failed {operation} on `{id}`{status}{code}"),
                )
                .help(if self.status.is_some_and(|status| status < 500) {
                    "look at `aws_endpoint_url`: what answers there is not AWS Secrets Manager"
                } else {
                    "run it again later; if it stays so, look at the region, the health of the service and `aws_endpoint_url`"
                })
            }
        }
    }

    fn throttled(&self) -> Failure {
        let Self { operation, id, .. } = self;
        Failure::new(Kind::Unavailable, format!("AWS throttled {operation} on `{id}` until we gave up"))
            .help("run it again later, or run fewer jobs at the same time")
    }

    fn login(&self, what: &str, help: &str) -> Failure {
        let Self { operation, region, .. } = self;
        let code = self.code.as_deref().unwrap_or_default();
        Failure::new(Kind::Login, format!("AWS in {region} {what} ({code}, on {operation})")).help(help)
    }

    fn denied(&self) -> Failure {
        let Self { operation, id, .. } = self;
        let words = self.message.as_deref().unwrap_or_default().to_ascii_lowercase();
        if words.contains("kms") && !words.contains("secretsmanager:") {
            return self.denied_key();
        }
        let failure =
            Failure::new(Kind::Denied, format!("access denied: secretsmanager:{operation} on `{id}`{}", self.words()));
        // No policy can narrow a list to some secrets.
        let on = if *operation == "ListSecrets" { "the resource `*`" } else { "this secret" };
        let grant = format!("allow `secretsmanager:{operation}` on {on} to the identity of this run");
        match *operation {
            "UpdateSecretVersionStage" | "DescribeSecret" => failure.help(format!(
                "{grant}, or set `concurrency: none` for one plain write without protection against lost updates"
            )),
            _ => failure.help(grant),
        }
    }

    fn denied_key(&self) -> Failure {
        let Self { operation, id, .. } = self;
        let action = if *operation == "GetSecretValue" { "kms:Decrypt" } else { "kms:GenerateDataKey and kms:Decrypt" };
        Failure::new(Kind::Denied, format!("access denied: the KMS key of `{id}` may not be used{}", self.words()))
            .help(format!("allow {action} on the secret's key to the identity of this run"))
    }

    /// The service's own words, for answers that speak of identities and states only. What refuses a payload may repeat it.
    fn words(&self) -> String {
        let carries_payload = matches!(self.operation, "PutSecretValue" | "CreateSecret");
        match self.message.as_deref().map(str::trim).filter(|_| !carries_payload) {
            Some(message) if !message.is_empty() => format!(": {}", harmless(message)),
            _ => String::new(),
        }
    }
}

/// The words of a message, at most 400 characters of them. What is as long as a key or a token, and no ARN, is left out: a
/// server that is not AWS could repeat the credentials that it was sent.
fn harmless(message: &str) -> String {
    let words = message.split_whitespace().map(|word| {
        let longest = word.split([':', '/', '"', '\'', ',', '(', ')']).map(str::len).max().unwrap_or_default();
        if longest < 32 || (word.contains("arn:aws") && longest <= 128) { word } else { "…" }
    });
    words.collect::<Vec<_>>().join(" ").chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn what_may_be_a_credential_is_left_out_of_a_message() {
        let aws = "User: arn:aws:sts::123456789012:assumed-role/deploy/envsync-1234567890 is not authorized to perform: \
                   secretsmanager:GetSecretValue on resource: prod/app because no identity-based policy allows it";
        assert_eq!(harmless(aws), aws.split_whitespace().collect::<Vec<_>>().join(" "));
        let key = "fake0secret0key0of0forty0characters0long";
        let token = "fake0session0token".repeat(20);
        for credential in [key, &token, &format!("({token})"), &format!("key:{key}")] {
            let said = harmless(&format!("no entry for {credential} in the book"));
            assert_eq!(said, "no entry for … in the book");
        }
    }
}

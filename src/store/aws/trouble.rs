//! What AWS answered, as something that a user can act on. `SdkError` itself displays only "service error", and its
//! `Debug` holds the body: neither is ever printed.

use aws_sdk_secretsmanager::config::http::HttpResponse;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};

use crate::error::{Failure, Kind};
use crate::http::causes;

const UNREADABLE: &str = "its answer is truncated or is not that of AWS Secrets Manager";

const TIMEOUT: &str = "no answer in time";

/// A call that failed.
pub(super) struct Trouble {
    operation: &'static str,
    id: String,
    region: String,
    code: Option<String>,
    message: Option<String>,
    status: Option<u16>,
    transport: Option<String>,
}

/// An SDK error that can be told.
pub(super) trait Told<E> {
    fn told(&self, operation: &'static str, id: &str, region: &str) -> Trouble;
}

impl<E: ProvideErrorMetadata + std::error::Error + 'static> Told<E> for SdkError<E, HttpResponse> {
    fn told(&self, operation: &'static str, id: &str, region: &str) -> Trouble {
        let service = self.as_service_error();
        // The causes of a service error or of an unreadable answer may quote the answer; those of the transport do not.
        let transport = match self {
            // The SDK takes what it cannot parse for an error of the service, whatever the status says.
            Self::ServiceError(error) if error.raw().status().is_success() => Some(UNREADABLE.to_owned()),
            Self::ServiceError(_) => None,
            Self::TimeoutError(_) => Some(TIMEOUT.to_owned()),
            Self::DispatchFailure(failure) if failure.is_timeout() => Some(TIMEOUT.to_owned()),
            Self::DispatchFailure(failure) => {
                Some(failure.as_connector_error().map_or_else(String::new, |e| causes(e)))
            }
            Self::ResponseError(_) => Some(UNREADABLE.to_owned()),
            _ => Some("the request could not be built".to_owned()),
        };
        Trouble {
            operation,
            id: id.to_owned(),
            region: region.to_owned(),
            code: service.and_then(|error| error.code()).map(str::to_owned),
            message: service.and_then(|error| error.message()).map(str::to_owned),
            status: self.raw_response().map(|response| response.status().as_u16()),
            transport,
        }
    }
}

impl Trouble {
    /// Whether AWS answered with this code.
    pub(super) fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// Whether the server may have acted although no good answer came.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.transport.is_some() || self.status.is_some_and(|status| status >= 500)
    }

    /// Whether the request may still be under way: looking at what it has done is then no proof.
    pub(super) fn is_pending(&self) -> bool {
        self.transport.as_deref() == Some(TIMEOUT)
    }

    /// As a failure of the run.
    pub(super) fn failure(&self) -> Failure {
        let Self { operation, id, region, .. } = self;
        if let Some(transport) = &self.transport {
            let what = if transport == UNREADABLE {
                format!("AWS Secrets Manager in {region} was asked for {operation} on `{id}`, and {transport}")
            } else {
                format!("couldn't reach AWS Secrets Manager in {region} for {operation} on `{id}`: {transport}")
            };
            return Failure::new(Kind::Unavailable, what).help(transport_help(transport));
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
        let grant = format!("allow `secretsmanager:{operation}` on this secret to the identity of this run");
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
            Some(message) if !message.is_empty() => format!(": {}", message.chars().take(400).collect::<String>()),
            _ => String::new(),
        }
    }
}

/// The causes are those of hyper and rustls, in their words.
fn transport_help(causes: &str) -> &'static str {
    if causes.contains("certificate") {
        "check what answers there; a private authority, or that of a proxy which opens TLS, goes into `ca_file`"
    } else if causes.contains("tunnel error") {
        "check the proxy in HTTPS_PROXY and its credentials, or name the host in NO_PROXY"
    } else {
        "check the region, `aws_endpoint_url`, the proxy variables, and that the host can be reached from here"
    }
}

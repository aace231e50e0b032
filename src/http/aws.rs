//! What the clients of all services of AWS share: the adapter of the one HTTP client, what is tried again, and what became
//! of a call.

use std::error::Error;
use std::time::{Duration, SystemTime};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};
use aws_smithy_runtime_api::client::retries::classifiers::{ClassifyRetry, RetryAction};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_smithy_types::retry::{ErrorKind, RetryConfig};
use aws_smithy_types::timeout::TimeoutConfig;

use super::retry::retry_after;
use super::{ATTEMPT_TIMEOUT, CONNECT_TIMEOUT, body, causes};
use crate::error::Failure;

/// What an answer is said to be that is none of the service.
pub const UNREADABLE: &str = "its answer is truncated or is not that of the service";

/// What a call is said to be of which nothing was heard.
pub const TIMEOUT: &str = "no answer in time";

/// Five attempts with growing pauses.
#[must_use]
pub fn retry() -> RetryConfig {
    RetryConfig::standard()
        .with_max_attempts(5)
        .with_initial_backoff(Duration::from_millis(300))
        .with_max_backoff(Duration::from_secs(8))
}

/// The bounds of one attempt.
#[must_use]
pub fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build()
}

/// Adds what the SDK does not try again by itself: it knows throttling by a code of AWS, which what stands between us and
/// AWS does not give, and reads no `Retry-After` but AWS's own.
#[derive(Debug)]
pub struct Passing;

impl ClassifyRetry for Passing {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let Some(response) = context.response() else { return RetryAction::NoActionIndicated };
        let kind = match response.status().as_u16() {
            429 => ErrorKind::ThrottlingError,
            408 => ErrorKind::TransientError,
            503 => ErrorKind::ServerError,
            _ => return RetryAction::NoActionIndicated,
        };
        if response.headers().contains_key("x-amz-retry-after") {
            return RetryAction::NoActionIndicated;
        }
        let asked = response.headers().get("retry-after");
        match asked.and_then(|value| retry_after(value, SystemTime::now())) {
            Some(wait) => RetryAction::retryable_error_with_explicit_delay(kind, wait),
            None => RetryAction::retryable_error(kind),
        }
    }

    fn name(&self) -> &'static str {
        "what passes"
    }
}

/// A call that failed, without anything that may hold a value: neither the SDK's error nor the answer's body.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The service's code, such as `AccessDenied`; `None` for what has not the form of one, and may be what was sent.
    pub code: Option<String>,
    /// The service's words, which may repeat what was sent.
    pub message: Option<String>,
    /// The HTTP status.
    pub status: Option<u16>,
    /// What kept an answer from arriving or from being read: [`TIMEOUT`], [`UNREADABLE`], or the transport's words.
    pub transport: Option<String>,
    /// What the login said that the call needed first; the call was then not sent.
    pub login: Option<Failure>,
}

impl Told {
    /// Takes the error apart.
    #[must_use]
    pub fn of<E>(error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let service = error.as_service_error();
        // The causes of a service error or of an unreadable answer may quote the answer; those of the transport do not.
        let transport = match error {
            // The SDK takes what it cannot parse for an error of the service, whatever the status says.
            SdkError::ServiceError(error) if error.raw().status().is_success() => Some(UNREADABLE.to_owned()),
            SdkError::ServiceError(_) => None,
            SdkError::TimeoutError(_) => Some(TIMEOUT.to_owned()),
            SdkError::DispatchFailure(failure) if failure.is_timeout() => Some(TIMEOUT.to_owned()),
            SdkError::DispatchFailure(failure) => {
                Some(failure.as_connector_error().map_or_else(String::new, |e| causes(e)))
            }
            SdkError::ResponseError(_) => Some(UNREADABLE.to_owned()),
            _ => Some("the request could not be built".to_owned()),
        };
        Self {
            code: service.and_then(|error| error.code()).filter(|code| is_code(code)).map(str::to_owned),
            message: service.and_then(|error| error.message()).map(str::to_owned),
            status: error.raw_response().map(|response| response.status().as_u16()),
            transport,
            login: failure_within(error),
        }
    }

    /// Whether the service answered with this code.
    #[must_use]
    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }
}

/// Codes are written in letters alone, which hardly any piece of a token is.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'.')
}

/// The causes are those of hyper and rustls, in their words; `endpoint` is the input that names the host.
#[must_use]
pub fn transport_help(causes: &str, endpoint: &str) -> String {
    if causes.contains("certificate") {
        "check what answers there; a private authority, or that of a proxy which opens TLS, goes into `ca_file`"
            .to_owned()
    } else if causes.contains("tunnel error") {
        "check the proxy in HTTPS_PROXY and its credentials, or name the host in NO_PROXY".to_owned()
    } else {
        format!("check the region, `{endpoint}`, the proxy variables, and that the host can be reached from here")
    }
}

fn failure_within(error: &(dyn Error + 'static)) -> Option<Failure> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(failure) = error.downcast_ref::<Failure>() {
            return Some(failure.clone());
        }
        next = error.source();
    }
    None
}

/// The client as the AWS SDK wants it.
#[derive(Clone, Debug)]
pub struct AwsHttp(reqwest::Client);

impl AwsHttp {
    /// Shares the connections of the client.
    #[must_use]
    pub fn new(client: reqwest::Client) -> Self {
        Self(client)
    }
}

impl HttpClient for AwsHttp {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for AwsHttp {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let (parts, sent) = request.into_parts();
            let Some(bytes) = sent.bytes().map(<[u8]>::to_vec) else {
                return Err(ConnectorError::user("a streaming body cannot be sent".into()));
            };
            let sent = client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(bytes).send();
            let answer = sent.await.map_err(failed)?;
            let mut response = http::Response::builder().status(answer.status());
            if let Some(headers) = response.headers_mut() {
                headers.clone_from(answer.headers());
            }
            let body = body(answer).await.map_err(failed)?;
            let response = response.body(SdkBody::from(body)).map_err(|error| ConnectorError::user(error.into()))?;
            HttpResponse::try_from(response).map_err(|error| ConnectorError::user(error.into()))
        })
    }
}

/// Tells the SDK what it may try again: everything but a request that could not be built. The URL is left out, because
/// the caller names the object better.
fn failed(error: reqwest::Error) -> ConnectorError {
    let error = error.without_url();
    if error.is_builder() {
        ConnectorError::user(error.into())
    } else if error.is_timeout() {
        ConnectorError::timeout(error.into())
    } else {
        ConnectorError::io(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_no_place_for_a_token() {
        for good in ["AccessDenied", "KMSAccessDeniedException", "IDPRejectedClaim", "AWS.Fake.Code"] {
            assert!(is_code(good), "{good}");
        }
        let long = "a".repeat(65);
        for bad in
            ["", "eyJhbGciOiJSUzI1NiJ9.e30.ZmFrZQ", "ZmFrZS10b2tlbg==", "A\n::error::x", "fake-token", "%41%42", &long]
        {
            assert!(!is_code(bad), "{bad}");
        }
    }
}

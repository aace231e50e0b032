//! The one client as the Azure SDK wants it. Answers that are no success leave here as errors of our own, because the SDK
//! loses status and code of a body with a JSON escape; and what may be sent again is decided here, because the SDK sends
//! everything again, also a write that may have been done.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant};

use azure_core::Bytes;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{AUTHORIZATION, Headers, RETRY_AFTER, WWW_AUTHENTICATE};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Method, Request, StatusCode};

use super::{ATTEMPT_TIMEOUT, causes};

const ATTEMPTS: u32 = 4;
/// Doubles from attempt to attempt.
const FIRST_DELAY: Duration = Duration::from_millis(200);
/// A server that asks for more is not waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// No new attempt to connect after this: a vault whose name is wrong is told within 10 s.
const CONNECTING: Duration = Duration::from_secs(4);

/// The client for one host.
#[derive(Clone, Debug)]
pub struct AzureHttp {
    client: reqwest::Client,
    challenge: Option<String>,
}

impl AzureHttp {
    /// Shares the connections of the client. The SDK sends its first request to a vault without a token, to be told for
    /// which resource to get one; where `resource` is given, that answer is made here, and nothing is sent.
    #[must_use]
    pub fn new(client: reqwest::Client, resource: Option<&str>) -> Self {
        // The SDK reads the resource alone.
        let challenge =
            |resource| format!(r#"Bearer authorization="https://login.microsoftonline.com", resource="{resource}""#);
        Self { client, challenge: resource.map(challenge) }
    }

    async fn attempt(&self, request: &Request) -> Result<Answer, Unreached> {
        let method = request.method().as_ref().parse().map_err(|_| Unreached::unfit(request))?;
        let mut builder = self.client.request(method, request.url().clone()).timeout(ATTEMPT_TIMEOUT);
        for (name, value) in request.headers().iter() {
            let mut value =
                reqwest::header::HeaderValue::from_str(value.as_str()).map_err(|_| Unreached::unfit(request))?;
            value.set_sensitive(*name == AUTHORIZATION);
            builder = builder.header(name.as_str(), value);
        }
        if let Body::Bytes(bytes) = request.body() {
            builder = builder.body(bytes.clone());
        }
        let sent = async {
            let answer = builder.send().await?;
            let status = answer.status().as_u16();
            let mut headers = Headers::new();
            for (name, value) in answer.headers() {
                if let Ok(value) = value.to_str() {
                    headers.insert(name.as_str().to_owned(), value.to_owned());
                }
            }
            // Whole, so that an answer that breaks off can be asked for again.
            Ok(Answer { status, headers, body: super::body(answer).await? })
        };
        sent.await.map_err(|error| Unreached::new(request, error))
    }
}

#[async_trait::async_trait]
impl HttpClient for AzureHttp {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        let bare = request.headers().get_optional_str(&AUTHORIZATION).is_none();
        if let Some(challenge) = self.challenge.as_ref().filter(|_| bare) {
            let mut headers = Headers::new();
            headers.insert(WWW_AUTHENTICATE, challenge.clone());
            return Ok(AsyncRawResponse::from_bytes(StatusCode::Unauthorized, headers, Bytes::new()));
        }
        let write = request.method() == Method::Put;
        let begun = Instant::now();
        let mut tried = 0;
        let mut delay = FIRST_DELAY;
        loop {
            tried += 1;
            let outcome = self.attempt(request).await;
            let wait = match &outcome {
                Ok(answer) => answer.wait(write),
                Err(unreached) => unreached.wait(write, begun.elapsed()),
            };
            if let Some(wait) = wait.filter(|_| tried < ATTEMPTS) {
                tokio::time::sleep(wait.max(delay.mul_f64(0.75 + fastrand::f64() / 2.0))).await;
                delay *= 2;
                continue;
            }
            let answer = outcome.map_err(|unreached| azure_core::Error::new(ErrorKind::Other, unreached))?;
            let challenge =
                bare && answer.status == 401 && answer.headers.get_optional_str(&WWW_AUTHENTICATE).is_some();
            if challenge || (200..300).contains(&answer.status) {
                return Ok(AsyncRawResponse::from_bytes(answer.status.into(), answer.headers, answer.body));
            }
            return Err(azure_core::Error::new(ErrorKind::Other, Refused { status: answer.status, body: answer.body }));
        }
    }
}

struct Answer {
    status: u16,
    headers: Headers,
    body: Bytes,
}

impl Answer {
    /// How long to wait before the request is sent again; `None` where it is not. A write is repeated only where the server
    /// says that it did nothing.
    fn wait(&self, write: bool) -> Option<Duration> {
        match self.status {
            429 => {}
            408 | 500 | 502 | 503 | 504 if !write => {}
            _ => return None,
        }
        let asked = self.headers.get_optional_str(&RETRY_AFTER).and_then(|seconds| seconds.parse().ok());
        let asked = asked.map_or(Duration::ZERO, Duration::from_secs);
        (asked <= LONGEST_WAIT).then_some(asked)
    }
}

/// An answer that is no success. What it says is shown by nobody but who knows its parts.
pub struct Refused {
    /// HTTP status.
    pub status: u16,
    body: Bytes,
}

impl Refused {
    /// For tests of what is made of an answer.
    #[cfg(test)]
    pub(crate) fn new(status: u16, body: &str) -> Self {
        Self { status, body: Bytes::from(body.to_owned()) }
    }

    /// The body; null where it is no JSON.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Refused").field("status", &self.status).finish_non_exhaustive()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP status {}", self.status)
    }
}

impl Error for Refused {}

/// No answer, or not a whole one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreached {
    /// Of the URL.
    pub host: String,
    /// What the transport says, on one line.
    pub cause: String,
    /// There is no such host, as far as the resolver knows.
    pub unknown_host: bool,
    /// The server may have got the request, and acted.
    pub sent: bool,
    /// It was given up after a while, and may still be under way.
    pub pending: bool,
}

impl Unreached {
    fn new(request: &Request, error: reqwest::Error) -> Self {
        let error = error.without_url();
        let connecting = error.is_connect() || error.is_builder();
        let late = error.is_timeout();
        let cause = if late { "no answer in time".to_owned() } else { causes(&error) };
        let unknown_host = connecting && cause.contains("dns error");
        Self { host: host(request), cause, unknown_host, sent: !connecting, pending: late && !connecting }
    }

    fn unfit(request: &Request) -> Self {
        let cause = "the request holds a character that no header can carry".to_owned();
        Self { host: host(request), cause, unknown_host: false, sent: false, pending: false }
    }

    fn wait(&self, write: bool, since: Duration) -> Option<Duration> {
        let again = if self.sent { !write } else { since < CONNECTING };
        again.then_some(Duration::ZERO)
    }
}

fn host(request: &Request) -> String {
    request.url().host_str().unwrap_or_default().to_owned()
}

impl fmt::Display for Unreached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl Error for Unreached {}

/// The first error of this type in the chain.
#[must_use]
pub fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&str>) -> Answer {
        let mut headers = Headers::new();
        if let Some(value) = retry_after {
            headers.insert(RETRY_AFTER, value.to_owned());
        }
        Answer { status, headers, body: Bytes::new() }
    }

    #[test]
    fn a_write_is_sent_again_only_where_nothing_was_done() {
        let seconds = |n| Some(Duration::from_secs(n));
        let rows = [
            // status, Retry-After, then the wait of a reading and of a writing request
            (429, None, seconds(0), seconds(0)),
            (429, Some("2"), seconds(2), seconds(2)),
            (429, Some("3600"), None, None),
            (500, None, seconds(0), None),
            (503, Some("1"), seconds(1), None),
            (401, None, None, None),
            (403, None, None, None),
            (409, None, None, None),
            (302, None, None, None),
        ];
        for (status, retry_after, reading, writing) in rows {
            let answer = answer(status, retry_after);
            assert_eq!((answer.wait(false), answer.wait(true)), (reading, writing), "{status} {retry_after:?}");
        }
        let lost = |sent| Unreached { host: "h".into(), cause: "c".into(), unknown_host: false, sent, pending: false };
        assert_eq!(lost(true).wait(true, Duration::ZERO), None);
        assert_eq!(lost(true).wait(false, Duration::from_secs(15)), seconds(0));
        assert_eq!(lost(false).wait(true, Duration::ZERO), seconds(0));
        assert_eq!(lost(false).wait(false, CONNECTING), None);
    }

    #[tokio::test]
    async fn the_first_request_to_a_known_vault_is_answered_without_being_sent() {
        // Nobody listens on port 1: a request that is sent fails.
        let http = AzureHttp::new(super::super::client(None).unwrap(), Some("https://vault.azure.net"));
        let mut request = Request::new("https://127.0.0.1:1/secrets/app/".parse().unwrap(), Method::Get);
        let challenge = http.execute_request(&request).await.unwrap();
        assert_eq!(challenge.status(), StatusCode::Unauthorized);
        let header = challenge.headers().get_str(&WWW_AUTHENTICATE).unwrap();
        assert!(header.contains(r#"resource="https://vault.azure.net""#), "{header}");
        request.insert_header(AUTHORIZATION, "Bearer fake-token");
        let error = http.execute_request(&request).await.unwrap_err();
        let unreached = find::<Unreached>(&error).unwrap();
        assert_eq!((unreached.host.as_str(), unreached.sent), ("127.0.0.1", false));
    }

    #[test]
    fn a_refusal_does_not_show_its_body() {
        let refused = Refused::new(400, r#"{"error":{"message":"fake-value"}}"#);
        let error = azure_core::Error::new(ErrorKind::Other, refused);
        assert!(!format!("{error} {error:?}").contains("fake-value"));
        assert_eq!(find::<Refused>(&error).map(|refused| refused.status), Some(400));
    }
}

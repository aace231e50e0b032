//! The one client as the Azure SDK wants it. Answers that are no success leave here as errors of our own, because the SDK
//! loses status and code of a body with a JSON escape; and what may be sent again is decided here, because the SDK sends
//! everything again, also a write that may have been done.

use std::error::Error;
use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use azure_core::Bytes;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{AUTHORIZATION, Headers, RETRY_AFTER, WWW_AUTHENTICATE};
use azure_core::http::{AsyncRawResponse, Body, HttpClient, Method, Request, StatusCode};

use super::ATTEMPT_TIMEOUT;
use super::retry::{Pace, Pauses, Policy, Retry, Throttled, retry_after};
pub use super::send::Unreached;

/// Throttling has the pauses that a vault asks for, because it counts its calls in windows of 10 s
/// ([guidance](https://learn.microsoft.com/azure/key-vault/general/overview-throttling)).
const POLICY: Policy = Policy {
    attempts: 4,
    pauses: Pauses {
        first: Duration::from_millis(200),
        longest: Duration::from_millis(800),
        share: (0.75, 1.25),
        least: Duration::ZERO,
        asked: LONGEST_WAIT,
    },
    budget: Duration::MAX,
    connecting: Duration::MAX,
    throttled: Some(Throttled {
        pauses: Pauses {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(16),
            share: (0.5, 1.0),
            least: Duration::ZERO,
            asked: LONGEST_WAIT,
        },
        budget: Duration::from_secs(60),
    }),
};
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
        let method = request.method().as_ref().parse().map_err(|_| unfit(request))?;
        let mut builder = self.client.request(method, request.url().clone()).timeout(ATTEMPT_TIMEOUT);
        for (name, value) in request.headers().iter() {
            let mut value = reqwest::header::HeaderValue::from_str(value.as_str()).map_err(|_| unfit(request))?;
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
        sent.await.map_err(|error| Unreached::new(&host(request), error))
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
        // When it was last known that the host is there, or hoped.
        let mut heard = begun;
        let mut pace = Pace::new(POLICY);
        loop {
            let outcome = self.attempt(request).await;
            let again = match &outcome {
                Ok(answer) => {
                    heard = Instant::now();
                    answer.again(write)
                }
                Err(unreached) => again(unreached, write, heard.elapsed()),
            };
            let pause = again.and_then(|(why, asked)| pace.pause(why, asked, begun.elapsed(), fastrand::f64()));
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
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

/// Why a request is sent again, with the time that the server asks for.
type Again = (Retry, Option<Duration>);

struct Answer {
    status: u16,
    headers: Headers,
    body: Bytes,
}

impl Answer {
    /// Whether the request may be sent again. A write is repeated only where the server says that it did nothing.
    fn again(&self, write: bool) -> Option<Again> {
        let why = match self.status {
            429 => Retry::Throttled,
            408 | 500 | 502 | 503 | 504 if !write => Retry::Unknown,
            _ => return None,
        };
        let asked = self.headers.get_optional_str(&RETRY_AFTER);
        let asked = asked.and_then(|value| retry_after(value, SystemTime::now()));
        asked.is_none_or(|asked| asked <= LONGEST_WAIT).then_some((why, asked))
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

fn unfit(request: &Request) -> Unreached {
    let cause = "the request holds a character that no header can carry".to_owned();
    Unreached { host: host(request), cause, unknown_host: false, sent: false, pending: false }
}

/// Whether the request may be sent again, `since` the host was last heard of.
fn again(unreached: &Unreached, write: bool, since: Duration) -> Option<Again> {
    let (again, why) = if unreached.sent { (!write, Retry::Unknown) } else { (since < CONNECTING, Retry::NotSent) };
    again.then_some((why, None))
}

fn host(request: &Request) -> String {
    request.url().host_str().unwrap_or_default().to_owned()
}

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
        let throttled = |n: Option<u64>| Some((Retry::Throttled, n.map(Duration::from_secs)));
        let fault = |n: Option<u64>| Some((Retry::Unknown, n.map(Duration::from_secs)));
        let rows = [
            // status, Retry-After, then whether a reading and a writing request are sent again
            (429, None, throttled(None), throttled(None)),
            (429, Some("2"), throttled(Some(2)), throttled(Some(2))),
            (429, Some("3600"), None, None),
            (500, None, fault(None), None),
            (503, Some("1"), fault(Some(1)), None),
            (401, None, None, None),
            (403, None, None, None),
            (409, None, None, None),
            (302, None, None, None),
        ];
        for (status, retry_after, reading, writing) in rows {
            let answer = answer(status, retry_after);
            assert_eq!((answer.again(false), answer.again(true)), (reading, writing), "{status} {retry_after:?}");
        }
        let lost = |sent| Unreached { host: "h".into(), cause: "c".into(), unknown_host: false, sent, pending: false };
        assert_eq!(again(&lost(true), true, Duration::ZERO), None);
        assert_eq!(again(&lost(true), false, Duration::from_secs(15)), fault(None));
        assert_eq!(again(&lost(false), true, Duration::ZERO), Some((Retry::NotSent, None)));
        assert_eq!(again(&lost(false), false, CONNECTING), None);
    }

    /// The pauses, in milliseconds, of a request that fails the same way each time and at once.
    fn pauses((why, asked): Again, chance: f64) -> Vec<u128> {
        let (mut pace, mut since, mut pauses) = (Pace::new(POLICY), Duration::ZERO, Vec::new());
        while let Some(pause) = pace.pause(why, asked, since, chance) {
            since += pause;
            pauses.push(pause.as_millis());
        }
        pauses
    }

    #[test]
    fn throttling_is_sat_out_for_a_minute_and_other_faults_for_four_attempts() {
        let throttled = |seconds| (Retry::Throttled, Some(Duration::from_secs(seconds)));
        let fault = |seconds| (Retry::Unknown, Some(Duration::from_secs(seconds)));
        let rows: [(Again, f64, &[u128]); 8] = [
            (throttled(0), 1.0, &[1000, 2000, 4000, 8000, 16_000, 16_000]),
            (throttled(0), 0.0, &[500, 1000, 2000, 4000, 8000, 8000, 8000, 8000, 8000, 8000]),
            (throttled(10), 0.0, &[10_000; 6]),
            (throttled(10), 1.0, &[12_500, 12_500, 12_500, 12_500]),
            (throttled(30), 0.0, &[30_000, 30_000]),
            (throttled(30), 1.0, &[37_500]),
            (fault(0), 0.5, &[200, 400, 800]),
            (fault(1), 0.5, &[1000, 1000, 1000]),
        ];
        for (again, chance, expected) in rows {
            assert_eq!(pauses(again, chance), expected, "{again:?} {chance}");
        }
    }

    #[test]
    fn throttling_in_between_takes_no_attempt_from_other_faults() {
        let mut pace = Pace::new(POLICY);
        let mut pause = |why| pace.pause(why, None, Duration::from_secs(20), 0.5).is_some();
        let (throttled, fault) = (Retry::Throttled, Retry::Unknown);
        let failed = [throttled, throttled, throttled, throttled, fault, fault, throttled, fault, fault];
        assert_eq!(failed.map(&mut pause), [true, true, true, true, true, true, true, true, false]);
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

//! Secret Manager's REST API on the one HTTP client: the SDK's own client can be given neither certificate authorities
//! nor a bound for connecting, so it gets a transport of ours, which also knows what may be tried again.
//!
//! Paths and fields are those of the [REST reference](https://cloud.google.com/secret-manager/docs/reference/rest).

use std::fmt;
use std::time::Duration;

use google_cloud_gax::Result;
use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::{Code, Status};
use google_cloud_gax::options::RequestOptions;
use google_cloud_gax::response::Response;
use google_cloud_secretmanager_v1::model::{
    AccessSecretVersionRequest, AccessSecretVersionResponse, AddSecretVersionRequest, CreateSecretRequest,
    ListSecretVersionsRequest, ListSecretVersionsResponse, Secret, SecretVersion,
};
use google_cloud_secretmanager_v1::stub::SecretManagerService;
use http::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::auth::gcp::Login;
use crate::http::ATTEMPT_TIMEOUT;

/// A host that cannot be reached is given up once this much time has been spent on it.
const CONNECT_BUDGET: Duration = Duration::from_secs(8);
/// Calls that nobody answers are given up once this much time has been spent on them.
const BUDGET: Duration = Duration::from_secs(30);
/// How often a call is made that fails for a while.
const ATTEMPTS: u32 = 5;
/// Calls that come too often are given up where the next one would be later than this: two writes a second are allowed
/// for one secret ([quotas](https://cloud.google.com/secret-manager/quotas)), and others write it too, so that it takes
/// time and not a number of attempts until it is our turn.
const THROTTLED_BUDGET: Duration = Duration::from_secs(60);
/// The most that a service may ask to be left alone for.
const ASKED: Duration = Duration::from_secs(10);
/// The same where it throttles.
const THROTTLED_ASKED: Duration = Duration::from_secs(30);
/// The least pause where it throttles, whatever it asks for and chance gives.
const THROTTLED_PAUSE: Duration = Duration::from_millis(100);
/// A pause is any up to this ([full jitter](https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/)),
/// which doubles from failure to failure.
const FIRST_CEILING: Duration = Duration::from_millis(300);
/// What it grows to at most.
const LAST_CEILING: Duration = Duration::from_secs(8);

/// The transport of the SDK's client.
pub(super) struct Transport {
    http: reqwest::Client,
    login: Login,
    endpoint: Option<String>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Transport")
    }
}

/// What a call needs beside the name of what it is about.
struct Call<'a> {
    method: Method,
    /// The resource that the path begins with; it decides which host is asked.
    name: &'a str,
    /// What follows it in the path, with the query.
    tail: String,
    body: Option<Vec<u8>>,
    /// Whether it may be made again when nobody knows what became of it.
    repeatable: bool,
}

impl Transport {
    /// Sends to `endpoint`, or to Google's own hosts.
    pub(super) fn new(http: reqwest::Client, login: Login, endpoint: Option<String>) -> Self {
        Self { http, login, endpoint }
    }

    fn url(&self, call: &Call<'_>) -> String {
        let host = match (&self.endpoint, location(call.name)) {
            (Some(endpoint), _) => endpoint.trim_end_matches('/').to_owned(),
            // https://cloud.google.com/secret-manager/regional-secrets/data-residency
            (None, Some(location)) => format!("https://secretmanager.{location}.rep.googleapis.com"),
            (None, None) => "https://secretmanager.googleapis.com".to_owned(),
        };
        format!("{host}/v1/{}{}", call.name, call.tail)
    }

    async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Response<T>> {
        let url = self.url(&call);
        let start = Instant::now();
        let mut patience = Patience::default();
        loop {
            let error = match self.attempt(&call, &url).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let retry = retry(&error).of(call.repeatable);
            match patience.pause(retry, start.elapsed(), retry_after(&error), fastrand::f64()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn attempt<T: DeserializeOwned>(&self, call: &Call<'_>, url: &str) -> Result<Response<T>> {
        let headers = self.login.headers().await.map_err(Error::authentication)?;
        let mut request = self.http.request(call.method.clone(), url).headers(headers).timeout(ATTEMPT_TIMEOUT);
        if let Some(body) = &call.body {
            request = request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(body.clone());
        }
        let answer = request.send().await.map_err(failed)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = crate::http::body(answer).await.map_err(failed)?;
        if status.is_success() {
            return serde_json::from_slice(&body).map(Response::from).map_err(Error::deser);
        }
        Err(match Status::try_from(&body) {
            Ok(error) => {
                // An older answer has no name of its error, only the HTTP status.
                let error = if error.code == Code::Unknown { error.set_code(code(status.as_u16())) } else { error };
                Error::service_with_http_metadata(error, Some(status.as_u16()), Some(headers))
            }
            Err(_) => Error::http(status.as_u16(), headers, body),
        })
    }

    async fn post<T: DeserializeOwned>(
        &self,
        (name, tail): (&str, String),
        body: &impl Serialize,
        repeatable: bool,
    ) -> Result<Response<T>> {
        let body = Some(serde_json::to_vec(body).map_err(Error::ser)?);
        self.call(Call { method: Method::POST, name, tail, body, repeatable }).await
    }

    async fn get<T: DeserializeOwned>(&self, name: &str, tail: String) -> Result<Response<T>> {
        self.call(Call { method: Method::GET, name, tail, body: None, repeatable: true }).await
    }
}

impl SecretManagerService for Transport {
    async fn access_secret_version(
        &self,
        request: AccessSecretVersionRequest,
        _: RequestOptions,
    ) -> Result<Response<AccessSecretVersionResponse>> {
        self.get(&request.name, ":access".to_owned()).await
    }

    async fn list_secret_versions(
        &self,
        request: ListSecretVersionsRequest,
        _: RequestOptions,
    ) -> Result<Response<ListSecretVersionsResponse>> {
        let mut tail = format!("/versions?pageSize={}", request.page_size);
        if !request.page_token.is_empty() {
            tail.push_str("&pageToken=");
            tail.push_str(&escaped(&request.page_token));
        }
        self.get(&request.parent, tail).await
    }

    /// Never made again where nobody knows what became of it: the caller has to know that it may be ours which is found
    /// to exist.
    async fn create_secret(&self, request: CreateSecretRequest, _: RequestOptions) -> Result<Response<Secret>> {
        let tail = format!("/secrets?secretId={}", escaped(&request.secret_id));
        self.post((&request.parent, tail), &request.secret.unwrap_or_default(), false).await
    }

    /// Never made again where nobody knows what became of it: each call that arrives makes a version.
    async fn add_secret_version(
        &self,
        mut request: AddSecretVersionRequest,
        _: RequestOptions,
    ) -> Result<Response<SecretVersion>> {
        let parent = std::mem::take(&mut request.parent);
        self.post((&parent, ":addVersion".to_owned()), &request, false).await
    }
}

/// The location in a resource name, for a regional secret.
fn location(name: &str) -> Option<&str> {
    let (_, rest) = name.split_once("/locations/")?;
    rest.split('/').next()
}

/// What a query may hold ([RFC 3986, 2.3](https://www.rfc-editor.org/rfc/rfc3986#section-2.3)); the rest as `%XX`.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn failed(error: reqwest::Error) -> Error {
    // The URL is left out, because the caller names the object better.
    let error = error.without_url();
    if error.is_connect() {
        Error::connect(error)
    } else if error.is_timeout() {
        Error::timeout(error)
    } else {
        Error::io(error)
    }
}

/// [google.rpc.Code](https://cloud.google.com/apis/design/errors#handling_errors) for a status.
fn code(status: u16) -> Code {
    match status {
        400 => Code::InvalidArgument,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::NotFound,
        409 => Code::Aborted,
        429 => Code::ResourceExhausted,
        500 => Code::Internal,
        503 => Code::Unavailable,
        504 => Code::DeadlineExceeded,
        _ => Code::Unknown,
    }
}

/// What a failed call allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Retry {
    /// It will fail again.
    Never,
    /// It came too early; nothing was done.
    Throttled,
    /// It did not arrive; nothing was done.
    NotSent,
    /// It may go well the next time, and may have been done.
    Unknown,
}

impl Retry {
    /// The same for a call that may be `repeatable` when nobody knows what became of it.
    fn of(self, repeatable: bool) -> Self {
        if self == Self::Unknown && !repeatable { Self::Never } else { self }
    }
}

/// How often one call has failed so far, and when it is given up.
#[derive(Default)]
struct Patience {
    throttles: u32,
    /// The failures that were no throttling.
    faults: u32,
    /// The time that throttling took; other failures are given none the less for it.
    throttled: Duration,
}

impl Patience {
    /// How long to wait before the next attempt; `None` where there shall be none. `elapsed` is the time since the first
    /// attempt, `asked` what the service wants, `chance` lies between 0 and 1.
    fn pause(&mut self, retry: Retry, elapsed: Duration, asked: Option<Duration>, chance: f64) -> Option<Duration> {
        let grown = |times: u32| FIRST_CEILING.saturating_mul(1 << times.min(16)).min(LAST_CEILING).mul_f64(chance);
        if retry == Retry::Throttled {
            // On top of what is asked for: others were told the same, and would all come back at once.
            let pause = asked.unwrap_or_default().min(THROTTLED_ASKED) + grown(self.throttles).max(THROTTLED_PAUSE);
            self.throttles += 1;
            self.throttled += pause;
            return (elapsed + pause <= THROTTLED_BUDGET).then_some(pause);
        }
        let budget = match retry {
            Retry::NotSent => CONNECT_BUDGET,
            Retry::Unknown => BUDGET,
            Retry::Never | Retry::Throttled => return None,
        };
        let pause = asked.map_or_else(|| grown(self.faults), |asked| asked.min(ASKED));
        self.faults += 1;
        (self.faults < ATTEMPTS && elapsed.saturating_sub(self.throttled) < budget).then_some(pause)
    }
}

fn retry(error: &Error) -> Retry {
    match error.http_status_code() {
        _ if error.is_connect() => Retry::NotSent,
        _ if error.is_timeout() || error.is_io() => Retry::Unknown,
        Some(429) => Retry::Throttled,
        Some(408 | 500 | 502 | 503 | 504) => Retry::Unknown,
        _ => Retry::Never,
    }
}

/// The wait that the service asks for, in whole seconds.
fn retry_after(error: &Error) -> Option<Duration> {
    let seconds = error.http_headers()?.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn transport(endpoint: Option<&str>) -> Transport {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let way = crate::auth::GcpWay::Token("fake-token".into());
        let login = runtime.block_on(Login::new(&way, std::path::Path::new(""))).unwrap();
        Transport::new(crate::http::client(None).unwrap(), login, endpoint.map(str::to_owned))
    }

    #[test]
    fn a_regional_secret_is_asked_for_in_its_region() {
        let regional = "projects/p/locations/europe-west3/secrets/app";
        for (endpoint, name, url) in [
            (None, "projects/p/secrets/app", "https://secretmanager.googleapis.com/v1/projects/p/secrets/app:x"),
            (
                None,
                regional,
                "https://secretmanager.europe-west3.rep.googleapis.com/v1/projects/p/locations/europe-west3/secrets/app:x",
            ),
            (Some("http://localhost:1/"), "projects/p", "http://localhost:1/v1/projects/p:x"),
            (
                Some("http://localhost:1"),
                regional,
                "http://localhost:1/v1/projects/p/locations/europe-west3/secrets/app:x",
            ),
        ] {
            let call = Call { method: Method::GET, name, tail: ":x".to_owned(), body: None, repeatable: true };
            assert_eq!(transport(endpoint).url(&call), url);
        }
    }

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(escaped("aZ0-._~"), "aZ0-._~");
        assert_eq!(escaped("a=b&c/+ü"), "a%3Db%26c%2F%2B%C3%BC");
    }

    #[test]
    fn only_what_was_not_done_may_be_made_again_in_any_case() {
        let http = |status: u16| Error::http(status, HeaderMap::new(), Default::default());
        for (status, expected) in [
            (400, Retry::Never),
            (401, Retry::Never),
            (403, Retry::Never),
            (404, Retry::Never),
            (409, Retry::Never),
            (302, Retry::Never),
            (429, Retry::Throttled),
            (408, Retry::Unknown),
            (500, Retry::Unknown),
            (502, Retry::Unknown),
            (503, Retry::Unknown),
            (504, Retry::Unknown),
        ] {
            assert_eq!(retry(&http(status)), expected, "{status}");
        }
        assert_eq!(retry(&Error::connect("refused")), Retry::NotSent);
        assert_eq!(retry(&Error::timeout("late")), Retry::Unknown);
        assert_eq!(retry(&Error::io("reset")), Retry::Unknown);
        assert_eq!(retry(&Error::deser("no JSON")), Retry::Never);
    }

    #[test]
    fn the_wait_that_is_asked_for_is_heard() {
        let error = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
            Error::http(429, headers, Default::default())
        };
        assert_eq!(retry_after(&error("2")), Some(Duration::from_secs(2)));
        assert_eq!(retry_after(&error("Wed, 21 Oct 2026 07:28:00 GMT")), None);
    }

    /// The pauses until a call is given up that fails at once each time.
    fn pauses(retry: Retry, asked: Option<u64>, chance: f64) -> Vec<Duration> {
        let mut patience = Patience::default();
        let mut all: Vec<Duration> = Vec::new();
        while let Some(pause) = patience.pause(retry, all.iter().sum(), asked.map(Duration::from_secs), chance) {
            all.push(pause);
        }
        all
    }

    #[test]
    fn throttling_is_borne_for_a_minute_whatever_it_asks_for() {
        for asked in [None, Some(0), Some(1), Some(7), Some(u64::MAX)] {
            for chance in [0.0, 0.5, 0.999] {
                let pauses = pauses(Retry::Throttled, asked, chance);
                let all: Duration = pauses.iter().sum();
                assert!(all <= Duration::from_secs(60), "{asked:?} {chance}: {all:?}");
                assert!(all >= Duration::from_secs(30), "{asked:?} {chance}: {all:?}");
                assert!(pauses.iter().all(|pause| *pause >= Duration::from_millis(100)), "{asked:?} {chance}");
                assert!(pauses.iter().all(|pause| *pause <= Duration::from_secs(38)), "{asked:?} {chance}");
            }
        }
        assert!(pauses(Retry::Throttled, Some(7), 0.0).iter().all(|pause| *pause >= Duration::from_secs(7)));
    }

    #[test]
    fn other_failures_have_five_attempts_also_after_throttling() {
        assert_eq!(pauses(Retry::Unknown, None, 0.5).len(), 4);
        assert_eq!(pauses(Retry::Unknown, Some(3600), 0.5), [Duration::from_secs(10); 3]);
        assert_eq!(pauses(Retry::NotSent, None, 0.5).len(), 4);
        assert!(pauses(Retry::Never, None, 0.5).is_empty());
        assert!(pauses(Retry::Unknown.of(false), None, 0.5).is_empty());

        let mut patience = Patience::default();
        let mut elapsed = Duration::ZERO;
        while let Some(pause) = patience.pause(Retry::Throttled, elapsed, None, 0.5) {
            elapsed += pause;
        }
        assert!(patience.pause(Retry::Unknown, elapsed, None, 0.5).is_some());
    }
}

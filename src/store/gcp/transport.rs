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
/// How often a call is made that comes too often: two writes a second are allowed for one secret
/// ([quotas](https://cloud.google.com/secret-manager/quotas)), and others write it too.
const THROTTLED_ATTEMPTS: u32 = 8;

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
        let mut ceiling = Duration::from_millis(300);
        for attempt in 1.. {
            let error = match self.attempt(&call, &url).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let again = match retry(&error) {
                Retry::Never => false,
                Retry::Throttled => attempt < THROTTLED_ATTEMPTS,
                Retry::NotSent => attempt < ATTEMPTS && start.elapsed() < CONNECT_BUDGET,
                Retry::Unknown => call.repeatable && attempt < ATTEMPTS && start.elapsed() < BUDGET,
            };
            if !again {
                return Err(error);
            }
            let wait = retry_after(&error).unwrap_or_else(|| ceiling.mul_f64(fastrand::f64()));
            tokio::time::sleep(wait).await;
            ceiling = (ceiling * 2).min(Duration::from_secs(8));
        }
        Err(Error::exhausted("no attempt is left"))
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

    /// Made again also where nobody knows what became of it: the worst answer is that the secret exists by now.
    async fn create_secret(&self, request: CreateSecretRequest, _: RequestOptions) -> Result<Response<Secret>> {
        let tail = format!("/secrets?secretId={}", escaped(&request.secret_id));
        self.post((&request.parent, tail), &request.secret.unwrap_or_default(), true).await
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
#[derive(Debug, PartialEq, Eq)]
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

fn retry(error: &Error) -> Retry {
    match error.http_status_code() {
        _ if error.is_connect() => Retry::NotSent,
        _ if error.is_timeout() || error.is_io() => Retry::Unknown,
        Some(429) => Retry::Throttled,
        Some(408 | 500 | 502 | 503 | 504) => Retry::Unknown,
        _ => Retry::Never,
    }
}

/// The wait that the service asks for, up to 10 seconds, in whole seconds.
fn retry_after(error: &Error) -> Option<Duration> {
    let seconds = error.http_headers()?.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds.min(10)))
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
    fn the_wait_that_is_asked_for_is_bounded() {
        let error = |value: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_str(value).unwrap())]);
            Error::http(429, headers, Default::default())
        };
        assert_eq!(retry_after(&error("2")), Some(Duration::from_secs(2)));
        assert_eq!(retry_after(&error("3600")), Some(Duration::from_secs(10)));
        assert_eq!(retry_after(&error("Wed, 21 Oct 2026 07:28:00 GMT")), None);
    }
}

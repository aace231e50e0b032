//! Secret Manager's REST API on the one HTTP client: the SDK's own client can be given neither certificate authorities
//! nor a bound for connecting, so it gets a transport of ours, which also knows what may be tried again.
//!
//! Paths and fields are those of the [REST reference](https://cloud.google.com/secret-manager/docs/reference/rest).

use std::fmt;
use std::time::{Duration, SystemTime};

use google_cloud_gax::Result;
use google_cloud_gax::error::rpc::{Code, Status};
use google_cloud_gax::error::{CredentialsError, Error};
use google_cloud_gax::options::RequestOptions;
use google_cloud_gax::response::Response;
use google_cloud_secretmanager_v1::model::{
    AccessSecretVersionRequest, AccessSecretVersionResponse, AddSecretVersionRequest, CreateSecretRequest,
    ListSecretVersionsRequest, ListSecretVersionsResponse, ListSecretsRequest, ListSecretsResponse, Secret,
    SecretVersion,
};
use google_cloud_secretmanager_v1::stub::SecretManagerService;
use http::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use crate::auth::gcp::Login;
use crate::http::ATTEMPT_TIMEOUT;
use crate::http::retry::{Pace, Pauses, Policy, Retry, Throttled, retry_after};

/// Throttling is borne longer: two writes a second are allowed for one secret
/// ([quotas](https://cloud.google.com/secret-manager/quotas)), and others write it too, so that it takes time and not a
/// number of attempts until it is our turn.
const POLICY: Policy = Policy {
    attempts: 5,
    pauses: PAUSES,
    budget: Duration::from_secs(30),
    connecting: Duration::from_secs(8),
    throttled: Some(Throttled {
        pauses: Pauses { least: Duration::from_millis(100), asked: Duration::from_secs(30), ..PAUSES },
        budget: Duration::from_secs(60),
    }),
};
const PAUSES: Pauses = Pauses {
    first: Duration::from_millis(300),
    longest: Duration::from_secs(8),
    share: (0.0, 1.0),
    least: Duration::ZERO,
    asked: Duration::from_secs(10),
};

/// The transport of the SDK's client.
pub(super) struct Transport {
    http: reqwest::Client,
    login: Login,
    endpoint: Option<String>,
    universe: String,
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
    pub(super) fn new(http: reqwest::Client, login: Login, endpoint: Option<String>, universe: String) -> Self {
        Self { http, login, endpoint, universe }
    }

    fn url(&self, call: &Call<'_>) -> String {
        let host = match (&self.endpoint, location(call.name)) {
            (Some(endpoint), _) => endpoint.trim_end_matches('/').to_owned(),
            // https://cloud.google.com/secret-manager/regional-secrets/data-residency
            (None, Some(location)) => format!("https://secretmanager.{location}.rep.{}", self.universe),
            (None, None) => format!("https://secretmanager.{}", self.universe),
        };
        format!("{host}/v1/{}{}", call.name, call.tail)
    }

    async fn call<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<Response<T>> {
        let url = self.url(&call);
        let start = Instant::now();
        let mut pace = Pace::new(POLICY);
        loop {
            let error = match self.attempt(&call, &url).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            let retry = match retry(&error) {
                Retry::Unknown if !call.repeatable => Retry::Never,
                retry => retry,
            };
            match pace.pause(retry, asked(&error), start.elapsed(), fastrand::f64()) {
                Some(pause) => tokio::time::sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    async fn attempt<T: DeserializeOwned>(&self, call: &Call<'_>, url: &str) -> Result<Response<T>> {
        let headers = self.login.headers().await;
        let headers =
            headers.map_err(|failure| Error::authentication(CredentialsError::from_source(false, failure)))?;
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
        let tail = format!("/versions{}", page(request.page_size, &request.page_token, ""));
        self.get(&request.parent, tail).await
    }

    async fn list_secrets(
        &self,
        request: ListSecretsRequest,
        _: RequestOptions,
    ) -> Result<Response<ListSecretsResponse>> {
        let tail = format!("/secrets{}", page(request.page_size, &request.page_token, &request.filter));
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

/// The query for one page of a list.
fn page(size: i32, token: &str, filter: &str) -> String {
    let mut query = format!("?pageSize={size}");
    for (name, value) in [("pageToken", token), ("filter", filter)] {
        if !value.is_empty() {
            query.push_str(&format!("&{name}={}", escaped(value)));
        }
    }
    query
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

fn retry(error: &Error) -> Retry {
    match error.http_status_code() {
        _ if error.is_connect() => Retry::NotSent,
        _ if error.is_timeout() || error.is_io() => Retry::Unknown,
        Some(429) => Retry::Throttled,
        Some(408 | 500 | 502 | 503 | 504) => Retry::Unknown,
        _ => Retry::Never,
    }
}

/// The wait that the service asks for.
fn asked(error: &Error) -> Option<Duration> {
    retry_after(error.http_headers()?.get(RETRY_AFTER)?.to_str().ok()?, SystemTime::now())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;

    fn transport(endpoint: Option<&str>, universe: &str) -> Transport {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let http = crate::http::client(None).unwrap();
        let (mask, workspace) = (crate::secret::Masker::new(|_| ()), "".into());
        let means = crate::auth::Means { http: http.clone(), mask, workspace };
        let login = crate::auth::way::GcpLogin {
            way: crate::auth::way::GcpWay::Token("fake-token".into()),
            because: String::new(),
            impersonation: None,
            universe: universe.to_owned(),
        };
        let (project, endpoint) = (None, endpoint.map(str::to_owned));
        let (sts_endpoint, iam_endpoint) = (None, None);
        let settings =
            crate::config::Gcp { project, locations: Vec::new(), endpoint, sts_endpoint, iam_endpoint, login };
        let login = runtime.block_on(Login::new(&settings, &means)).unwrap();
        Transport::new(http, login, settings.endpoint, universe.to_owned())
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
            assert_eq!(transport(endpoint, "googleapis.com").url(&call), url);
        }
        for (name, url) in [
            ("projects/p", "https://secretmanager.fake.example/v1/projects/p:x"),
            (
                "projects/p/locations/eu/secrets/a",
                "https://secretmanager.eu.rep.fake.example/v1/projects/p/locations/eu/secrets/a:x",
            ),
        ] {
            let call = Call { method: Method::GET, name, tail: ":x".to_owned(), body: None, repeatable: true };
            assert_eq!(transport(None, "fake.example").url(&call), url);
        }
    }

    #[test]
    fn a_query_is_escaped() {
        assert_eq!(page(250, "", ""), "?pageSize=250");
        assert_eq!(page(1, "a b", "name:app-"), "?pageSize=1&pageToken=a%20b&filter=name%3Aapp-");
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
        assert_eq!(asked(&error("2")), Some(Duration::from_secs(2)));
        assert_eq!(asked(&error("Wed, 21 Oct 2015 07:28:00 GMT")), None);
    }

    /// The pauses until a call is given up that fails at once each time.
    fn pauses(retry: Retry, asked: Option<u64>, chance: f64) -> Vec<Duration> {
        let mut pace = Pace::new(POLICY);
        let mut all: Vec<Duration> = Vec::new();
        while let Some(pause) = pace.pause(retry, asked.map(Duration::from_secs), all.iter().sum(), chance) {
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

        let mut pace = Pace::new(POLICY);
        let mut elapsed = Duration::ZERO;
        while let Some(pause) = pace.pause(Retry::Throttled, None, elapsed, 0.5) {
            elapsed += pause;
        }
        assert!(pace.pause(Retry::Unknown, None, elapsed, 0.5).is_some());
    }
}

//! Google's credentials as the headers of a request: an access token as it is; a service account key, with which a token is
//! signed here and without a round trip ([self-signed JWT](https://google.aip.dev/auth/4111)); an identity token of the job
//! that is exchanged at a workload identity pool; or the metadata server. Then, with any of them, the accounts to act as.

mod call;
mod credentials;
mod endpoints;
mod external;
mod federation;
mod impersonation;
mod metadata;
mod refusal;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use google_cloud_auth::credentials::{CacheableResource, Credentials};
use http::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use tokio::sync::Mutex;
use tokio::time::Instant;

use self::credentials::Held;
use self::endpoints::Endpoints;
use self::federation::{Federation, Subject};
use self::impersonation::Target;
use self::metadata::Metadata;
pub(crate) use self::refusal::quoted;
use self::refusal::{Caller, Provider};
use super::Means;
use super::claims::Claims;
use super::way::GcpWay;
use crate::config;
use crate::error::{Failure, Kind};
use crate::secret::Secret;

/// The scope that Secret Manager and the IAM Credentials API take.
const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// A token is renewed this long before its end, or when a quarter of its time is left, whichever is later.
const AHEAD: Duration = Duration::from_secs(60);

/// A login that is ready to be used; cheap to clone.
#[derive(Clone)]
pub struct Login(Arc<Inner>);

struct Inner {
    base: Base,
    /// One after another.
    targets: Vec<Target>,
    project: Option<String>,
    /// The account of a key.
    account: Option<String>,
    means: Means,
    kept: Mutex<Option<Access>>,
    /// The pool and the subject that the first token was got with.
    principal: std::sync::Mutex<Option<String>>,
}

/// The first credentials.
enum Base {
    Token(HeaderValue),
    Key(Credentials),
    Federation(Box<Federation>),
    Metadata(Metadata),
}

/// A token that Google takes.
struct Access {
    bearer: HeaderValue,
    /// When it is renewed, and when it ends; `None` where nobody knows.
    times: Option<(Instant, Instant)>,
}

impl Access {
    /// From a token that was just made; `None` for what can be none. Masked before anything else.
    fn masked(token: &str, lifetime: Option<Duration>, means: &Means) -> Option<Self> {
        means.mask.mask(&Secret::from(token));
        let graphic = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let mut bearer = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| graphic)?;
        bearer.set_sensitive(true);
        let times = lifetime.map(|lifetime| {
            // More than a day is none of Google's.
            let lifetime = lifetime.min(Duration::from_secs(86_400));
            let now = Instant::now();
            (now + (lifetime - AHEAD.min(lifetime / 4)), now + lifetime)
        });
        Some(Self { bearer, times })
    }

    fn is_fresh(&self) -> bool {
        self.times.is_none_or(|(renewal, _)| Instant::now() < renewal)
    }

    fn is_good(&self) -> bool {
        self.times.is_none_or(|(_, end)| Instant::now() < end)
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Login(***)")
    }
}

impl Login {
    /// Logs in. A relative path of a file is one in the workspace. Must run inside a tokio runtime, where the SDK renews the
    /// token of a key.
    ///
    /// # Errors
    /// [`Kind::Input`] for credentials that cannot be read or used; [`Kind::Login`] where a service of Google refuses them,
    /// [`Kind::Unavailable`] where it cannot be reached. No credential is ever part of the text.
    pub async fn new(settings: &config::Gcp, means: &Means) -> Result<Self, Failure> {
        let login = &settings.login;
        let endpoints =
            Endpoints::of(&login.universe, settings.sts_endpoint.as_deref(), settings.iam_endpoint.as_deref());
        let mut held = held(&login.way, &endpoints, means)?;
        if let (Base::Metadata(server), None) = (&held.base, &settings.project) {
            held.project = Some(server.project().await?);
        }
        if let Some(wanted) = &login.impersonation {
            let iam = endpoints.iam();
            held.targets.push(Target::new(&iam, &wanted.account, &wanted.delegates, wanted.lifetime_seconds));
        }
        let Held { base, targets, project, account } = held;
        let (kept, principal) = (Mutex::default(), std::sync::Mutex::default());
        let inner = Inner { base, targets, project, account, means: means.clone(), kept, principal };
        let login = Self(Arc::new(inner));
        // A first token tells now whether the login is one, and not in the middle of a run.
        login.headers().await?;
        Ok(login)
    }

    /// The project that the key, or the machine, belongs to.
    #[must_use]
    pub fn project(&self) -> Option<&str> {
        self.0.project.as_deref()
    }

    /// Who we are, as IAM names it (`serviceAccount:…`, `principal://…`), where that is known.
    #[must_use]
    pub fn member(&self) -> Option<String> {
        match self.0.targets.last() {
            Some(target) => Some(format!("serviceAccount:{}", target.account)),
            None => self.0.caller(),
        }
    }

    /// The headers that a request needs. A token that is about to end is renewed; where that fails, it is used to its end.
    ///
    /// # Errors
    /// As [`Login::new`].
    pub async fn headers(&self) -> Result<HeaderMap, Failure> {
        let mut kept = self.0.kept.lock().await;
        let bearer = match &*kept {
            Some(access) if access.is_fresh() => access.bearer.clone(),
            old => match (self.0.token().await, old) {
                (Ok(access), _) => kept.insert(access).bearer.clone(),
                (Err(_), Some(old)) if old.is_good() => old.bearer.clone(),
                (Err(failure), _) => return Err(failure),
            },
        };
        Ok(HeaderMap::from_iter([(AUTHORIZATION, bearer)]))
    }
}

impl Inner {
    /// A new token, through all that lies before it.
    async fn token(&self) -> Result<Access, Failure> {
        let (mut access, claims) = self.first().await?;
        if let (Base::Federation(federation), Some(subject)) =
            (&self.base, claims.as_ref().and_then(|claims| claims.subject.as_deref()))
            && let Ok(mut principal) = self.principal.lock()
        {
            *principal = Some(federation.provider.principal(subject));
        }
        let mut member = self.caller();
        for target in &self.targets {
            let caller = Caller { member: member.as_deref(), claims: claims.as_ref() };
            access = target.token(access.bearer, &caller, &self.means).await?;
            member = Some(format!("serviceAccount:{}", target.account));
        }
        Ok(access)
    }

    async fn first(&self) -> Result<(Access, Option<Claims>), Failure> {
        let access = match &self.base {
            Base::Token(bearer) => Access { bearer: bearer.clone(), times: None },
            Base::Key(credentials) => signed(credentials, &self.means).await?,
            Base::Metadata(server) => server.token(&self.means).await?,
            Base::Federation(federation) => {
                let (access, claims) = federation.token(&self.means).await?;
                return Ok((access, Some(claims)));
            }
        };
        Ok((access, None))
    }

    /// The identity of the first credentials.
    fn caller(&self) -> Option<String> {
        let account = self.account.as_ref().map(|account| format!("serviceAccount:{account}"));
        account.or_else(|| self.principal.lock().ok()?.clone())
    }
}

/// A token that a key's owner signs for itself. The SDK keeps and renews it: it is asked each time.
async fn signed(credentials: &Credentials, means: &Means) -> Result<Access, Failure> {
    // The errors of the SDK may quote what they read.
    let unusable = || {
        Failure::new(Kind::Input, "the Google credentials hold a private key that cannot be used")
            .help("give the key file of a service account as Google made it, from its first `{` to its last `}`")
    };
    let headers = match credentials.headers(http::Extensions::new()).await.map_err(|_| unusable())? {
        CacheableResource::New { data, .. } => data,
        // Only an answer to a request that names what it has already, which ours does not.
        CacheableResource::NotModified => HeaderMap::new(),
    };
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = bearer.and_then(|bearer| bearer.strip_prefix("Bearer ")).ok_or_else(unusable)?;
    Access::masked(token, Some(Duration::ZERO), means).ok_or_else(unusable)
}

fn held(way: &GcpWay, endpoints: &Endpoints, means: &Means) -> Result<Held, Failure> {
    let only = |base| Held { base, targets: Vec::new(), project: None, account: None };
    match way {
        GcpWay::Token(token) => {
            let wrong = || {
                Failure::new(Kind::Input, "the Google access token holds characters that no token has")
                    .help("give the token alone, such as what `gcloud auth print-access-token` prints")
            };
            Ok(only(Base::Token(Access::masked(token.expose(), None, means).ok_or_else(wrong)?.bearer)))
        }
        GcpWay::Json(json) => {
            let name = "the Google credentials of `gcp_credentials_json`";
            credentials::parse(json.expose(), name, endpoints, means)
        }
        GcpWay::File(path) => {
            let (path, text) = credentials::read(path, &means.workspace, "the file of GOOGLE_APPLICATION_CREDENTIALS")?;
            let name = format!("the Google credentials in the file `{}`", path.display());
            credentials::parse(text.expose(), &name, endpoints, means)
        }
        GcpWay::Federation { provider, token, audience } => {
            let parsed = Provider::parse(provider, &endpoints.universe).ok_or_else(|| {
                let what = format!("`{}` is no workload identity provider", super::claims::shown(provider));
                Failure::new(Kind::Input, what).help(
                    "write `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER`, with the \
                     project's number, in `gcp_workload_identity_provider`",
                )
            })?;
            Ok(only(Base::Federation(Box::new(Federation {
                url: format!("{}/v1/token", endpoints.sts()),
                provider: parsed,
                subject: Subject::Platform(token.clone(), audience.clone()),
                token_type: "urn:ietf:params:oauth:token-type:jwt".to_owned(),
            }))))
        }
        GcpWay::Metadata { endpoint } => Ok(only(Base::Metadata(Metadata(endpoint.clone())))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn try_login(way: GcpWay) -> (Result<Login, Failure>, Vec<Secret>) {
        let masked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mask = crate::secret::Masker::new({
            let masked = Arc::clone(&masked);
            move |secret| masked.lock().unwrap().push(secret.clone())
        });
        let means = Means { http: crate::http::client(None).unwrap(), mask, workspace: "".into() };
        let universe = super::super::way::GOOGLE_UNIVERSE.to_owned();
        let login = super::super::way::GcpLogin { way, because: String::new(), impersonation: None, universe };
        let (project, locations, endpoint) = (None, Vec::new(), None);
        let settings = config::Gcp { project, locations, endpoint, sts_endpoint: None, iam_endpoint: None, login };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let login = runtime.block_on(Login::new(&settings, &means));
        let masked = masked.lock().unwrap().clone();
        (login, masked)
    }

    fn login(json: &str) -> Result<Login, Failure> {
        try_login(GcpWay::Json(json.into())).0
    }

    #[test]
    fn credentials_that_cannot_be_used_say_why_and_show_nothing() {
        let key =
            r#""type":"service_account","client_email":"fake@fake.iam.gserviceaccount.com","private_key_id":"f4ke""#;
        let rows = [
            (" \n".to_owned(), "are empty"),
            ("hunter2-fake".to_owned(), "are no JSON"),
            ("ey-fake-base64".to_owned(), "are no JSON"),
            (r#"{"web":{"client_secret":"hunter2-fake"}}"#.to_owned(), "have no `type`"),
            (r#"["hunter2-fake"]"#.to_owned(), "have no `type`"),
            (r#"{"type":"external_account","x":"hunter2-fake"}"#.to_owned(), "have no `audience`"),
            (r#"{"type":"gdch_service_account","x":"hunter2-fake"}"#.to_owned(), "of the type `gdch_service_account`"),
            (r#"{"type":"authorized_user","refresh_token":"hunter2-fake"}"#.to_owned(), "the login of a person"),
            (
                r#"{"type":"impersonated_service_account","source_credentials":{"x":"hunter2-fake"}}"#.to_owned(),
                "have no `service_account_impersonation_url`",
            ),
            (format!(r#"{{{key},"project_id":"fake"}}"#), "have no `private_key`"),
            (format!(r#"{{{key},"private_key":"hunter2-fake"}}"#), "have no `project_id`"),
            (
                format!(r#"{{{key},"project_id":"fake","private_key":"hunter2-fake"}}"#),
                "private key that cannot be used",
            ),
            (
                format!(
                    r#"{{{key},"project_id":"fake","private_key":"-----BEGIN PRIVATE KEY-----\naHVudGVyMi1mYWtl\n-----END PRIVATE KEY-----\n"}}"#
                ),
                "private key that cannot be used",
            ),
        ];
        for (json, why) in rows {
            let failure = login(&json).unwrap_err();
            assert_eq!(failure.kind, Kind::Input, "{json}");
            let said = format!("{failure:?}");
            assert!(said.contains(why), "{json}: {said}");
            assert!(!said.contains("hunter2") && !said.contains("aHVud"), "{said}");
        }
    }

    #[test]
    fn the_private_key_is_given_to_be_masked() {
        // Opens nothing. It lies without its PEM frame, so that no scanner takes it for a leak.
        let body = include_str!("../../tests/data/rsa-2048.pkcs8.base64");
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n");
        let key = serde_json::json!({"type": "service_account", "project_id": "fake", "private_key_id": "f4ke",
            "private_key": pem, "client_email": "fake@fake.iam.gserviceaccount.com"});
        let (login, masked) = try_login(GcpWay::Json(key.to_string().as_str().into()));
        let login = login.unwrap();
        assert_eq!(masked[0], Secret::from(pem.as_str()));
        assert_eq!(login.member().as_deref(), Some("serviceAccount:fake@fake.iam.gserviceaccount.com"));
        assert!(!format!("{login:?}").contains(body.lines().next().unwrap()));
    }

    #[test]
    fn a_token_is_a_bearer_that_debug_does_not_show() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let login = try_login(GcpWay::Token("ya29.fake-token".into())).0.unwrap();
        let headers = runtime.block_on(login.headers()).unwrap();
        assert_eq!(headers[AUTHORIZATION], "Bearer ya29.fake-token");
        assert!(!format!("{headers:?}{login:?}").contains("fake-token"));
        assert_eq!(try_login(GcpWay::Token("fake\ntoken".into())).0.unwrap_err().kind, Kind::Input);
    }
}

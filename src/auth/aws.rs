//! AWS credentials: those that are given, or temporary ones for which the job's identity token, the machine's role or the
//! role before is exchanged at the Security Token Service (STS). They are made when they are first needed, and again when
//! they are about to end.

mod machine;
mod refusal;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider, future};
use aws_sdk_sts::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_sts::types::Credentials as Issued;
use aws_sdk_sts::{Client, config};
use tokio::sync::Mutex;

use super::way::{AwsLogin, AwsWay, IdToken};
use super::{Means, oidc};
use crate::config::Aws as Settings;
use crate::error::{Failure, Kind};
use crate::http::aws::{self, AwsHttp};
use crate::secret::Secret;
use refusal::{Hop, Refused};

/// The most that STS gives to a role that was assumed with a role's credentials, in seconds
/// ([role chaining](https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles.html#iam-term-role-chaining)).
const CHAINED: u32 = 3600;
/// Credentials that last less than this are replaced before they are handed out.
const LEFT: Duration = Duration::from_secs(60);

/// Logs in, and gives what keeps the login alive for all clients together. `region` is that of STS.
///
/// # Errors
/// [`Kind::Login`] where a step is refused or the account is not an allowed one, [`Kind::Unavailable`] where STS cannot be
/// reached.
pub async fn log_in(settings: &Settings, region: &str, means: &Means) -> Result<SharedCredentialsProvider, Failure> {
    let mut sts = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .http_client(AwsHttp::new(means.http.clone()))
        .retry_config(aws::retry())
        .timeout_config(aws::timeouts())
        .retry_classifier(aws::Passing)
        // As in the store: the bound of an attempt is the one above.
        .stalled_stream_protection(config::StalledStreamProtectionConfig::disabled())
        .use_fips(settings.fips)
        .use_dual_stack(settings.dual_stack);
    sts.set_endpoint_url(settings.sts_endpoint.clone());
    let exchange = Exchange { login: settings.login.clone(), sts, region: region.to_owned(), means: means.clone() };
    let provider = Provider { exchange: Arc::new(exchange), made: Arc::default() };
    // So that a login that is refused is said before anything else.
    provider.credentials().await?;
    Ok(SharedCredentialsProvider::new(provider))
}

/// What the SDK asks for credentials. Its own cache is one a client; this one is for all of them.
#[derive(Clone)]
struct Provider {
    exchange: Arc<Exchange>,
    made: Arc<Mutex<Option<Credentials>>>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

impl ProvideCredentials for Provider {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.credentials().await.map_err(CredentialsError::provider_error) })
    }
}

impl Provider {
    async fn credentials(&self) -> Result<Credentials, Failure> {
        let mut made = self.made.lock().await;
        if let Some(credentials) = made.as_ref()
            && credentials.expiry().is_none_or(|end| end > SystemTime::now() + LEFT)
        {
            return Ok(credentials.clone());
        }
        let fresh = self.exchange.run().await?;
        *made = Some(fresh.clone());
        Ok(fresh)
    }
}

/// Credentials, and what is known of whom they stand for.
struct Session {
    credentials: Credentials,
    /// As STS names it, such as `arn:aws:sts::123456789012:assumed-role/NAME/SESSION`.
    arn: Option<String>,
    /// The role that was assumed, as it is named in policies.
    role: Option<String>,
}

struct Exchange {
    login: AwsLogin,
    sts: Builder,
    region: String,
    means: Means,
}

impl Exchange {
    /// All hops, from the first credentials to the account that is checked.
    async fn run(&self) -> Result<Credentials, Failure> {
        let mut session = match &self.login.way {
            AwsWay::Keys { id, secret, token } => {
                let token = token.as_ref().map(|token| token.expose().to_owned());
                let credentials = Credentials::new(id.expose(), secret.expose(), token, None, "envsync");
                Session { credentials, arn: None, role: None }
            }
            AwsWay::WebIdentity { role, token, audience } => self.by_token(role, token, audience).await?,
            AwsWay::Container { url, authorization, authorization_file } => {
                let issued =
                    machine::container(url, authorization.as_ref(), authorization_file.as_deref(), &self.means);
                Session { credentials: issued.await?, arn: None, role: None }
            }
            AwsWay::Instance { endpoint } => {
                Session { credentials: machine::instance(endpoint, &self.means).await?, arn: None, role: None }
            }
        };
        for (n, role) in self.login.chain.iter().enumerate() {
            session = self.by_role(n + 1, role, &session).await?;
        }
        self.check_account(&session).await?;
        Ok(session.credentials)
    }

    fn client(&self, credentials: Option<&Credentials>) -> Client {
        let mut conf = self.sts.clone();
        conf.set_credentials_provider(credentials.map(|known| SharedCredentialsProvider::new(known.clone())));
        Client::from_conf(conf.build())
    }

    async fn by_token(&self, role: &str, source: &IdToken, audience: &str) -> Result<Session, Failure> {
        let client = self.client(None);
        let mut again = Again::new();
        loop {
            // A fresh one for each try, where there is more than one.
            let jwt = oidc::fetch(source, audience, &self.means).await?;
            let request = client
                .assume_role_with_web_identity()
                .role_arn(role)
                .role_session_name(&self.login.session_name)
                .web_identity_token(jwt.token.expose())
                .duration_seconds(seconds(self.login.duration_seconds));
            let hop = Hop::Token { role, claims: &jwt.claims };
            match request.send().await {
                Ok(answer) => {
                    let arn = answer.assumed_role_user.map(|user| user.arn);
                    return self.session(answer.credentials, arn, role, &hop);
                }
                Err(error) => {
                    let told = aws::Told::of(&error);
                    if again.is_due(&told).await {
                        continue;
                    }
                    return Err(self.refused(&hop, &told));
                }
            }
        }
    }

    /// The `n`th role of the chain, counted from 1.
    async fn by_role(&self, n: usize, role: &str, before: &Session) -> Result<Session, Failure> {
        let client = self.client(Some(&before.credentials));
        let hop = Hop::Role {
            role,
            place: format!("role {n} of {} in `aws_role_chain`", self.login.chain.len()),
            before: before.role.as_deref(),
            external_id: self.login.external_id.is_some(),
        };
        let mut again = Again::new();
        loop {
            let request = client
                .assume_role()
                .role_arn(role)
                .role_session_name(&self.login.session_name)
                .set_external_id(self.login.external_id.clone())
                .duration_seconds(seconds(self.login.duration_seconds.min(CHAINED)));
            match request.send().await {
                Ok(answer) => {
                    let arn = answer.assumed_role_user.map(|user| user.arn);
                    return self.session(answer.credentials, arn, role, &hop);
                }
                Err(error) => {
                    let told = aws::Told::of(&error);
                    if again.is_due(&told).await {
                        continue;
                    }
                    return Err(self.refused(&hop, &told));
                }
            }
        }
    }

    fn refused(&self, hop: &Hop<'_>, told: &aws::Told) -> Failure {
        Refused { hop, told, region: &self.region }.failure()
    }

    fn session(
        &self,
        issued: Option<Issued>,
        arn: Option<String>,
        role: &str,
        hop: &Hop<'_>,
    ) -> Result<Session, Failure> {
        let credentials = issued.and_then(|issued| {
            let end = SystemTime::try_from(issued.expiration).ok();
            temporary(&self.means, &issued.access_key_id, &issued.secret_access_key, &issued.session_token, end)
        });
        let Some(credentials) = credentials else {
            let told = aws::Told { transport: Some(aws::UNREADABLE.to_owned()), ..aws::Told::default() };
            return Err(self.refused(hop, &told));
        };
        Ok(Session { credentials, arn, role: Some(role.to_owned()) })
    }

    /// Asks STS who we are only where no answer before has told.
    async fn check_account(&self, session: &Session) -> Result<(), Failure> {
        let allowed = &self.login.allowed_accounts;
        if allowed.is_empty() {
            return Ok(());
        }
        let arn = match &session.arn {
            Some(arn) => arn.clone(),
            None => {
                let answer = self.client(Some(&session.credentials)).get_caller_identity().send().await;
                let answer = answer.map_err(|error| self.refused(&Hop::Identity, &aws::Told::of(&error)))?;
                answer.arn.unwrap_or_default()
            }
        };
        let arn = refusal::identity(&arn);
        let account = arn.and_then(refusal::account);
        if account.is_some_and(|account| allowed.iter().any(|allowed| allowed == account)) {
            return Ok(());
        }
        let ended = match account.zip(arn) {
            Some((account, arn)) => format!("account `{account}` (as `{arn}`)"),
            None => "an account that STS does not name".to_owned(),
        };
        let what = format!(
            "the AWS login ended in {ended}, and only {} may be used",
            allowed.iter().map(|account| format!("`{account}`")).collect::<Vec<_>>().join(", ")
        );
        Err(Failure::new(Kind::Login, what)
            .help("check which role or key is given, or add the account to `aws_allowed_account_ids`"))
    }
}

/// Masks temporary credentials before anything else is done with them. `None` for what can be none: the SDK panics over a
/// key that no header can hold.
fn temporary(means: &Means, id: &str, secret: &str, token: &str, end: Option<SystemTime>) -> Option<Credentials> {
    for part in [id, secret, token] {
        means.mask.mask(&Secret::from(part));
    }
    let good = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_graphic());
    [id, secret, token]
        .into_iter()
        .all(good)
        .then(|| Credentials::new(id, secret, Some(token.to_owned()), end, "envsync"))
}

/// STS refuses now and then what it allows a moment later: a policy that has just been made, keys of an issuer that it
/// could not get. One more try, and no more: it may be refused for good.
struct Again(bool);

impl Again {
    fn new() -> Self {
        Self(true)
    }

    async fn is_due(&mut self, told: &aws::Told) -> bool {
        let keys = told.is("InvalidIdentityToken") && refusal::says(told, "verification key");
        let due = std::mem::take(&mut self.0) && (told.is("AccessDenied") || keys);
        if due {
            tokio::time::sleep(Duration::from_millis(fastrand::u64(500..1500))).await;
        }
        due
    }
}

/// The SDK counts with a sign.
fn seconds(count: u32) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

//! AWS Secrets Manager: a true compare-and-swap, made of a version under a label of ours and the move of `AWSCURRENT`.
//!
//! `UpdateSecretVersionStage` fails where `RemoveFromVersionId` no longer carries the label
//! ([API](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html)), and that is
//! the lost race. A new version is therefore put under [`PENDING`] first, which does not move `AWSCURRENT`.

mod trouble;

use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::retry::RetryConfig;
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Builder, Credentials, Region};
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_sdk_secretsmanager::primitives::{Blob, DateTime, DateTimeFormat};
use futures_util::future::join_all;

use super::{Allowed, Commit, Form, Payload, Snapshot, Store, Version, not_found};
use crate::config;
use crate::error::{Failure, Kind};
use crate::http::{ATTEMPT_TIMEOUT, AwsHttp, CONNECT_TIMEOUT};
use crate::reference::{Entry, Pin, Reference};
use crate::secret::Secret;
use trouble::Trouble;

const CURRENT: &str = "AWSCURRENT";
/// One fixed label, because a secret bears about 20 in all. `AWSPENDING` belongs to rotation and is never touched.
const PENDING: &str = "ENVSYNC_PENDING";
/// [Quotas](https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html).
const MAX_BYTES: usize = 65_536;

/// Clients for the regions that the entries name.
pub struct Aws {
    clients: BTreeMap<String, Client>,
    default_region: String,
    allowed: Allowed,
}

impl Aws {
    /// Prepares a client a region; nothing is sent.
    #[must_use]
    pub fn new(settings: &config::Aws, entries: &[Entry], http: &reqwest::Client, allowed: Allowed) -> Self {
        let default_region = settings.region.clone().unwrap_or_default();
        let mut clients = BTreeMap::new();
        for entry in entries {
            let region = entry.reference.region.as_ref().unwrap_or(&default_region);
            clients.entry(region.clone()).or_insert_with(|| Client::from_conf(conf(settings, region, http)));
        }
        Self { clients, default_region, allowed }
    }

    fn region<'a>(&'a self, which: &'a Reference) -> &'a str {
        which.region.as_deref().unwrap_or(&self.default_region)
    }

    fn client(&self, which: &Reference) -> Result<&Client, Failure> {
        let missing = || Failure::new(Kind::Internal, format!("no client was made for the region of `{which}`"));
        self.clients.get(self.region(which)).ok_or_else(missing)
    }

    fn trouble<E, R>(&self, operation: &'static str, which: &Reference, error: &R) -> Trouble
    where
        R: trouble::Told<E>,
    {
        error.told(operation, &which.id, self.region(which))
    }

    async fn get(&self, which: &Reference) -> Result<Option<Snapshot>, Failure> {
        match self.get_value(which).await? {
            Ok(found) => snapshot(found, which, None).map(Some),
            Err(trouble) if trouble.is("ResourceNotFoundException") => Ok(None),
            Err(trouble) if trouble.is("InvalidRequestException") => self.get_deleted(which, trouble).await,
            Err(trouble) => Err(trouble.failure()),
        }
    }

    async fn get_value(&self, which: &Reference) -> Result<Result<GetSecretValueOutput, Trouble>, Failure> {
        let request = self.client(which)?.get_secret_value().secret_id(&which.id);
        let request = match &which.pin {
            // Always with the stage: which version answers without one is the server's choice.
            Pin::Current => request.version_stage(CURRENT),
            Pin::Version(version) => request.version_id(version),
            Pin::Stage(stage) => request.version_stage(stage),
        };
        Ok(request.send().await.map_err(|error| self.trouble("GetSecretValue", which, &error)))
    }

    /// The secret could not be read because of its state: scheduled for deletion, as a rule.
    async fn get_deleted(&self, which: &Reference, trouble: Trouble) -> Result<Option<Snapshot>, Failure> {
        // Without the permission to look, the service's own words have to do.
        let Ok(Some(described)) = self.describe(which).await else { return Err(trouble.failure()) };
        let Some(date) = described.deleted_date() else { return Err(trouble.failure()) };
        if !self.allowed.recover {
            return Err(deleted(which, date));
        }
        let restored = self.client(which)?.restore_secret().secret_id(&which.id).send().await;
        restored.map_err(|error| self.trouble("RestoreSecret", which, &error).failure())?;
        match self.get_value(which).await? {
            Ok(found) => {
                snapshot(found, which, Some(format!("the secret `{}` was recovered from deletion", which.id))).map(Some)
            }
            Err(trouble) => Err(trouble.failure()),
        }
    }

    async fn describe(&self, which: &Reference) -> Result<Option<DescribeSecretOutput>, Failure> {
        match self.client(which)?.describe_secret().secret_id(&which.id).send().await {
            Ok(described) => Ok(Some(described)),
            Err(error) => match self.trouble("DescribeSecret", which, &error) {
                trouble if trouble.is("ResourceNotFoundException") => Ok(None),
                trouble => Err(trouble.failure()),
            },
        }
    }

    async fn create(&self, which: &Reference, payload: &Payload) -> Result<Commit, Failure> {
        if !self.allowed.create {
            return Err(not_found(which, "create it, or set `create` to `true`"));
        }
        if which.id.starts_with("arn:") {
            return Err(not_found(which, "a new secret is created by its name; give the name in place of the ARN"));
        }
        let (text, bytes) = body(payload);
        let request = self.client(which)?.create_secret().name(&which.id).client_request_token(token());
        match request.set_secret_string(text).set_secret_binary(bytes).send().await {
            Ok(created) => Ok(done(created.version_id)),
            Err(error) => match self.trouble("CreateSecret", which, &error) {
                trouble if trouble.is("ResourceExistsException") => Ok(Commit::Conflict),
                trouble => Err(trouble.failure()),
            },
        }
    }

    /// Puts a version that does not count yet. Gives its id.
    async fn put(&self, which: &Reference, payload: &Payload, stage: Option<&str>) -> Result<String, Failure> {
        let (text, bytes) = body(payload);
        let token = token();
        let request = self.client(which)?.put_secret_value().secret_id(&which.id).client_request_token(&token);
        let request = request.set_secret_string(text).set_secret_binary(bytes);
        let request = request.set_version_stages(stage.map(|stage| vec![stage.to_owned()]));
        let put = request.send().await.map_err(|error| self.trouble("PutSecretValue", which, &error).failure())?;
        Ok(put.version_id.unwrap_or(token))
    }

    /// Moves `AWSCURRENT` from the expected version to ours, which is where a race is lost.
    async fn swap(&self, which: &Reference, expected: Option<&Version>, ours: &str) -> Result<bool, Failure> {
        let request = self.client(which)?.update_secret_version_stage().secret_id(&which.id).version_stage(CURRENT);
        let request = request.move_to_version_id(ours);
        let request = request.set_remove_from_version_id(expected.map(|version| version.0.clone()));
        let Err(error) = request.send().await else { return Ok(true) };
        let trouble = self.trouble("UpdateSecretVersionStage", which, &error);
        if !trouble.is("InvalidParameterException") && !trouble.is_ambiguous() {
            return Err(trouble.failure());
        }
        // The code alone does not tell a lost race from a retry of a move that had succeeded: who is current now does.
        for pause in [0_u64, 200, 800] {
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            let Ok(Some(described)) = self.describe(which).await else { continue };
            match current(&described) {
                Some(id) if id == ours => return Ok(true),
                now if now != expected.map(|version| version.0.as_str()) => return Ok(false),
                _ => {}
            }
        }
        Err(trouble.failure())
    }

    /// Takes our label off again: a version that keeps one is never garbage-collected.
    async fn unlabel(&self, which: &Reference, ours: &str) -> Option<String> {
        let request =
            self.client(which).ok()?.update_secret_version_stage().secret_id(&which.id).version_stage(PENDING);
        let error = request.remove_from_version_id(ours).send().await.err()?;
        let trouble = self.trouble("UpdateSecretVersionStage", which, &error);
        // Another writer has moved the label to its own version meanwhile: it will take it off there.
        let moved = trouble.is("InvalidParameterException") || trouble.is("ResourceNotFoundException");
        (!moved)
            .then(|| format!("the label {PENDING} stays on version {ours} of `{}`; the next push moves it", which.id))
    }

    async fn put_plainly(
        &self,
        which: &Reference,
        expected: Option<&Version>,
        payload: &Payload,
    ) -> Result<Commit, Failure> {
        if expected.is_none()
            && let Commit::Done { version, remark } = self.create(which, payload).await?
        {
            return Ok(Commit::Done { version, remark });
        }
        Ok(done(Some(self.put(which, payload, None).await?)))
    }
}

#[async_trait(?Send)]
impl Store for Aws {
    async fn fetch(&self, which: &[Reference]) -> Vec<Result<Option<Snapshot>, Failure>> {
        join_all(which.iter().map(|which| self.get(which))).await
    }

    async fn commit(
        &self,
        which: &Reference,
        expected: Option<&Version>,
        payload: &Payload,
    ) -> Result<Commit, Failure> {
        let described = match self.describe(which).await {
            // The guard against rotated secrets falls away with the permission to look.
            Err(failure) if failure.kind == Kind::Denied && self.allowed.unsafe_write => {
                return self.put_plainly(which, expected, payload).await;
            }
            described => described?,
        };
        let Some(described) = described else {
            return match expected {
                Some(_) => Ok(Commit::Conflict),
                None => self.create(which, payload).await,
            };
        };
        guard(which, &described)?;
        if self.allowed.unsafe_write {
            return Ok(done(Some(self.put(which, payload, None).await?)));
        }
        if current(&described) != expected.map(|version| version.0.as_str()) {
            return Ok(Commit::Conflict);
        }
        let ours = self.put(which, payload, Some(PENDING)).await?;
        let won = self.swap(which, expected, &ours).await;
        let left = self.unlabel(which, &ours).await;
        match won {
            Ok(true) => Ok(Commit::Done { version: Version(ours), remark: left }),
            Ok(false) => Ok(Commit::Conflict),
            Err(failure) => Err(failure),
        }
    }
}

fn conf(settings: &config::Aws, region: &str, http: &reqwest::Client) -> aws_sdk_secretsmanager::Config {
    let login = &settings.login;
    let token = login.token.as_ref().map(|token| token.expose().to_owned());
    let credentials = Credentials::new(login.id.expose(), login.secret.expose(), token, None, "envsync");
    let retry = RetryConfig::standard()
        .with_max_attempts(5)
        .with_initial_backoff(std::time::Duration::from_millis(300))
        .with_max_backoff(std::time::Duration::from_secs(8));
    let timeouts =
        TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_attempt_timeout(ATTEMPT_TIMEOUT).build();
    let mut builder = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(credentials)
        .http_client(AwsHttp::new(http.clone()))
        .retry_config(retry)
        .timeout_config(timeouts)
        .use_fips(settings.fips)
        .use_dual_stack(settings.dual_stack);
    builder.set_endpoint_url(settings.endpoint.clone());
    builder.build()
}

fn token() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn done(version: Option<String>) -> Commit {
    Commit::Done { version: Version(version.unwrap_or_default()), remark: None }
}

fn body(payload: &Payload) -> (Option<String>, Option<Blob>) {
    let text = payload.text.expose();
    match payload.form {
        Form::Text | Form::Base64 => (Some(text.to_owned()), None),
        Form::Bytes => (None, Some(Blob::new(text.as_bytes()))),
    }
}

fn snapshot(found: GetSecretValueOutput, which: &Reference, remark: Option<String>) -> Result<Snapshot, Failure> {
    let truncated = || {
        Failure::new(Kind::Unavailable, format!("the answer for the secret `{which}` holds no value or no version"))
            .help("try again; if it stays so, look at what answers at the endpoint")
    };
    let payload = match (found.secret_string, found.secret_binary) {
        (Some(text), _) => Payload { text: Secret::from(text), form: Form::Text },
        (None, Some(bytes)) => Payload::from_bytes(bytes.into_inner(), Form::Bytes),
        (None, None) => return Err(truncated()),
    };
    let version = found.version_id.map(Version).ok_or_else(truncated)?;
    Ok(Snapshot { payload, version, remark })
}

/// The version that carries `AWSCURRENT`.
fn current(described: &DescribeSecretOutput) -> Option<&str> {
    let versions = described.version_ids_to_stages()?;
    let mut carrying = versions.iter().filter(|(_, stages)| stages.iter().any(|stage| stage == CURRENT));
    carrying.next().map(|(id, _)| id.as_str())
}

fn deleted(which: &Reference, date: &DateTime) -> Failure {
    let since = date.fmt(DateTimeFormat::DateTime).unwrap_or_default();
    Failure::new(Kind::NotFound, format!("the secret `{}` is scheduled for deletion (deleted {since})", which.id))
        .help("push with `recover_deleted: true`, or restore it with `aws secretsmanager restore-secret`")
}

/// Secrets that others look after are not ours to write.
fn guard(which: &Reference, described: &DescribeSecretOutput) -> Result<(), Failure> {
    if let Some(date) = described.deleted_date() {
        return Err(deleted(which, date));
    }
    if let Some(service) = described.owning_service() {
        let what = format!("the secret `{}` is managed by `{service}`, and is not written", which.id);
        return Err(Failure::new(Kind::Refused, what).help("push to a secret of your own"));
    }
    if described.rotation_enabled() == Some(true) {
        let what = format!("the secret `{}` has rotation on, and is not written", which.id);
        return Err(Failure::new(Kind::Refused, what).help("push to a secret of your own, or switch rotation off"));
    }
    Ok(())
}

/// Whether the service holds a payload of this size.
///
/// # Errors
/// [`Kind::Input`] for one that is empty or too large.
pub(super) fn check_size(which: &Reference, payload: &Payload) -> Result<(), Failure> {
    let bytes = payload.text.expose().len();
    if bytes == 0 {
        let what = format!("the secret `{}` would be empty, which AWS Secrets Manager does not hold", which.id);
        return Err(Failure::new(Kind::Input, what).help("push at least one variable"));
    }
    if bytes > MAX_BYTES {
        let what = format!("the secret `{}` would have {bytes} bytes; AWS Secrets Manager holds {MAX_BYTES}", which.id);
        return Err(Failure::new(Kind::Input, what)
            .help("split it into several secrets, or leave variables out with `exclude`"));
    }
    Ok(())
}

//! AWS Secrets Manager: a true compare-and-swap, made of a version under a label of ours and the move of `AWSCURRENT`.
//!
//! `UpdateSecretVersionStage` fails where `RemoveFromVersionId` no longer carries the label
//! ([API](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html)), and that is
//! the lost race. A new version is therefore put under [`PENDING`] first, which does not move `AWSCURRENT`.

mod trouble;

use std::cell::Cell;
use std::collections::BTreeMap;

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{
    BehaviorVersion, Builder, Region, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_sdk_secretsmanager::primitives::{Blob, DateTime, DateTimeFormat};
use futures_util::stream::{self, StreamExt as _};

use super::{Allowed, Commit, Form, Payload, Snapshot, Store, Version, not_found, told};
use crate::auth::{self, Means};
use crate::config;
use crate::effects::Effects;
use crate::error::{Failure, Kind, Problem};
use crate::http::{AwsHttp, aws};
use crate::reference::{Entry, Pin, Reference};
use crate::secret::Secret;
use trouble::Trouble;

const CURRENT: &str = "AWSCURRENT";
/// One fixed label, because a secret bears about 20 in all. `AWSPENDING` belongs to rotation and is never touched.
const PENDING: &str = "ENVSYNC_PENDING";
/// How many lost races are believed in without a sign of the winner.
const UNSEEN: u32 = 3;
/// How many requests are under way at once.
const AT_ONCE: usize = 16;
/// [Quotas](https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html).
const MAX_BYTES: usize = 65_536;

/// Clients for the regions that the entries name.
pub struct Aws {
    clients: BTreeMap<String, Client>,
    default_region: String,
    allowed: Allowed,
    effects: Effects,
    /// How often a race was lost to a writer that nothing shows.
    unseen: Cell<u32>,
}

impl Aws {
    /// Logs in, and prepares a client a region.
    ///
    /// # Errors
    /// What the login says.
    pub async fn new(
        settings: &config::Aws,
        entries: &[Entry],
        means: Means,
        allowed: Allowed,
        effects: Effects,
    ) -> Result<Self, Failure> {
        let default_region = settings.region.clone().unwrap_or_default();
        // A configuration without a region names all secrets by their ARNs.
        let first = entries.first().and_then(|entry| entry.reference.region.as_ref());
        let login_region = settings.region.as_ref().or(first).unwrap_or(&default_region);
        let credentials = auth::aws::log_in(settings, login_region, &means).await?;
        let mut clients = BTreeMap::new();
        for entry in entries {
            let region = entry.reference.region.as_ref().unwrap_or(&default_region);
            let conf = || conf(settings, region, &means.http, credentials.clone());
            clients.entry(region.clone()).or_insert_with(|| Client::from_conf(conf()));
        }
        Ok(Self { clients, default_region, allowed, effects, unseen: Cell::new(0) })
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
        let described = match self.describe(which).await {
            Ok(Some(described)) => described,
            // Without the permission to look: for a read this answer means a deleted secret, as a rule.
            _ => return Err(deleted(which, None)),
        };
        let Some(date) = described.deleted_date() else { return Err(trouble.failure()) };
        if self.allowed.recover && self.allowed.rehearse {
            let help = "the push will recover it: without `dry_run`, because what it holds is not known before";
            return Err(deleted(which, Some(date)).help(help));
        }
        if !self.allowed.recover {
            return Err(deleted(which, Some(date)));
        }
        self.effects.may(format!("the secret `{}` may have been recovered from deletion", which.id));
        if let Err(error) = self.client(which)?.restore_secret().secret_id(&which.id).send().await {
            let trouble = self.trouble("RestoreSecret", which, &error);
            if !trouble.is_ambiguous() {
                self.effects.did_not();
            }
            return Err(trouble.failure());
        }
        let recovered = format!("the secret `{}` was recovered from deletion", which.id);
        self.effects.did(recovered.clone());
        match self.get_value(which).await? {
            Ok(found) => snapshot(found, which, Some(recovered)).map(Some),
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
        let place = format!(" in {}", self.region(which));
        if !self.allowed.create {
            return Err(not_found(which, &place, "create it, or set `create` to `true`"));
        }
        if which.id.starts_with("arn:") {
            return Err(not_found(
                which,
                &place,
                "a new secret is created by its name; give the name in place of the ARN",
            ));
        }
        if self.allowed.rehearse {
            return Ok(Commit::Rehearsed);
        }
        let (text, bytes) = body(payload);
        let token = token();
        let request = self.client(which)?.create_secret().name(&which.id).client_request_token(&token);
        let (wrote, may_have) = told(which, &token);
        self.effects.may(may_have);
        match request.set_secret_string(text).set_secret_binary(bytes).send().await {
            Ok(_) => {
                self.effects.did(wrote);
                Ok(done(token, None))
            }
            Err(error) => match self.trouble("CreateSecret", which, &error) {
                trouble if trouble.is("ResourceExistsException") => {
                    self.effects.did_not();
                    Ok(Commit::Conflict)
                }
                trouble => self.decided(which, &token, &trouble).await.map(|()| done(token, None)),
            },
        }
    }

    /// After a call that makes `ours` the current version and that failed: whether it did so all the same. An answer that
    /// was lost is no proof that the server has not acted.
    async fn decided(&self, which: &Reference, ours: &str, trouble: &Trouble) -> Result<(), Failure> {
        if !trouble.is_ambiguous() {
            self.effects.did_not();
            return Err(self.refused(which, trouble).await);
        }
        match self.describe(which).await {
            Ok(Some(described)) if current(&described) == Some(ours) => {
                self.effects.did(told(which, ours).0);
                Ok(())
            }
            Ok(_) if !trouble.is_pending() => {
                self.effects.did_not();
                Err(trouble.failure())
            }
            _ => Err(trouble.failure()),
        }
    }

    /// A state that forbids the call is most often a deletion, which only a look tells.
    async fn refused(&self, which: &Reference, trouble: &Trouble) -> Failure {
        if trouble.is("InvalidRequestException")
            && let Ok(Some(described)) = self.describe(which).await
            && let Some(date) = described.deleted_date()
        {
            return deleted(which, Some(date));
        }
        trouble.failure()
    }

    /// Puts a version, under a label of ours or as the current one. Gives its id, which is that of the request.
    async fn put(&self, which: &Reference, payload: &Payload, stage: Option<&str>) -> Result<String, Failure> {
        let (text, bytes) = body(payload);
        // It becomes the id of the version; the SDK's own tries repeat it, and so make no second version.
        let token = token();
        let (wrote, may_have) = told(which, &token);
        if stage.is_none() {
            self.effects.may(may_have);
        }
        let request = self.client(which)?.put_secret_value().secret_id(&which.id).client_request_token(&token);
        let request = request.set_secret_string(text).set_secret_binary(bytes);
        let request = request.set_version_stages(stage.map(|stage| vec![stage.to_owned()]));
        match request.send().await {
            Ok(put) => {
                if stage.is_none() {
                    self.effects.did(wrote);
                }
                Ok(put.version_id.unwrap_or(token))
            }
            Err(error) => {
                let trouble = self.trouble("PutSecretValue", which, &error);
                match stage {
                    Some(_) => Err(self.refused(which, &trouble).await),
                    None => self.decided(which, &token, &trouble).await.map(|()| token),
                }
            }
        }
    }

    /// Moves `AWSCURRENT` from the expected version to ours, which is where a race is lost.
    async fn swap(&self, which: &Reference, expected: Option<&Version>, ours: &str) -> Result<bool, Failure> {
        let request = self.client(which)?.update_secret_version_stage().secret_id(&which.id).version_stage(CURRENT);
        let request = request.move_to_version_id(ours);
        let request = request.set_remove_from_version_id(expected.map(|version| version.0.clone()));
        let (wrote, may_have) = told(which, ours);
        self.effects.may(may_have);
        let trouble = match request.send().await {
            Ok(_) => None,
            Err(error) => Some(self.trouble("UpdateSecretVersionStage", which, &error)),
        };
        let won = match trouble {
            None => true,
            Some(trouble) if trouble.is("InvalidParameterException") || trouble.is_ambiguous() => {
                self.look_who_won(which, expected, ours, &trouble).await?
            }
            Some(trouble) => {
                self.effects.did_not();
                return Err(self.refused(which, &trouble).await);
            }
        };
        if won {
            self.effects.did(wrote);
        } else {
            self.effects.did_not();
        }
        Ok(won)
    }

    /// The code alone does not tell a lost race from a repeated move that had succeeded the first time: who is current now
    /// does.
    async fn look_who_won(
        &self,
        which: &Reference,
        expected: Option<&Version>,
        ours: &str,
        trouble: &Trouble,
    ) -> Result<bool, Failure> {
        let mut unmoved = false;
        for pause in [0_u64, 200, 800] {
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            let Ok(Some(described)) = self.describe(which).await else { continue };
            match current(&described) {
                Some(id) if id == ours => return Ok(true),
                now if now != expected.map(|version| version.0.as_str()) => return Ok(false),
                _ => unmoved = true,
            }
        }
        // What we see may be some time old; our parameters were valid, so somebody else was faster. When that is never to
        // be seen it is something else, and every try leaves a version behind.
        if trouble.is("InvalidParameterException") && self.unseen.get() < UNSEEN {
            self.unseen.set(self.unseen.get() + 1);
            return Ok(false);
        }
        if unmoved && !trouble.is_pending() {
            self.effects.did_not();
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
        if self.allowed.rehearse {
            return Ok(Commit::Rehearsed);
        }
        if expected.is_none()
            && let done @ Commit::Done { .. } = self.create(which, payload).await?
        {
            return Ok(done);
        }
        Ok(done(self.put(which, payload, None).await?, None))
    }
}

#[async_trait(?Send)]
impl Store for Aws {
    async fn fetch(&self, which: &[Reference]) -> Vec<Result<Option<Snapshot>, Failure>> {
        stream::iter(which).map(|which| self.get(which)).buffered(AT_ONCE).collect().await
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
        if self.allowed.rehearse {
            return Ok(Commit::Rehearsed);
        }
        if self.allowed.unsafe_write {
            return Ok(done(self.put(which, payload, None).await?, None));
        }
        if current(&described) != expected.map(|version| version.0.as_str()) {
            return Ok(Commit::Conflict);
        }
        let ours = self.put(which, payload, Some(PENDING)).await?;
        let won = self.swap(which, expected, &ours).await;
        let left = self.unlabel(which, &ours).await;
        match won {
            Ok(true) => Ok(done(ours, left)),
            Ok(false) => Ok(Commit::Conflict),
            Err(mut failure) => {
                failure.problems.extend(left.map(|what| Problem { what, help: None }));
                Err(failure)
            }
        }
    }
}

fn conf(
    settings: &config::Aws,
    region: &str,
    http: &reqwest::Client,
    credentials: SharedCredentialsProvider,
) -> aws_sdk_secretsmanager::Config {
    let mut builder = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(credentials)
        .http_client(AwsHttp::new(http.clone()))
        .retry_config(aws::retry())
        .timeout_config(aws::timeouts())
        .retry_classifier(aws::Passing)
        // It looks at streams, and would take an answer that the adapter is still waiting for as a stalled one after 5 s;
        // the bound of an attempt is the one above.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .use_fips(settings.fips)
        .use_dual_stack(settings.dual_stack);
    builder.set_endpoint_url(settings.endpoint.clone());
    builder.build()
}

fn token() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn done(version: String, remark: Option<String>) -> Commit {
    Commit::Done { version: Version(version), overtook: Vec::new(), remark }
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

fn deleted(which: &Reference, date: Option<&DateTime>) -> Failure {
    let since = date.and_then(|date| date.fmt(DateTimeFormat::DateTime).ok());
    let since = since.map_or_else(String::new, |since| format!(" (its DeletedDate is {since})"));
    Failure::new(Kind::NotFound, format!("the secret `{}` is scheduled for deletion{since}", which.id))
        .help("push with `recover_deleted: true`, or restore it with `aws secretsmanager restore-secret`")
}

/// Secrets that others look after are not ours to write.
fn guard(which: &Reference, described: &DescribeSecretOutput) -> Result<(), Failure> {
    if let Some(date) = described.deleted_date() {
        return Err(deleted(which, Some(date)));
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

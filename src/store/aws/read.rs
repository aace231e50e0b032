//! Reading one secret, and what can be known of one that cannot be read.

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueOutput;
use aws_sdk_secretsmanager::primitives::{Blob, DateTime, DateTimeFormat};

use super::trouble::Trouble;
use super::{Aws, CURRENT};
use crate::error::{Failure, Kind};
use crate::reference::{Pin, Reference};
use crate::secret::Secret;
use crate::store::{Form, Payload, Snapshot, Version};

impl Aws {
    pub(super) async fn get(&self, which: &Reference) -> Result<Option<Snapshot>, Failure> {
        match self.get_value(which).await? {
            Ok(found) => snapshot(which, parts(found), None).map(Some),
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
            let help = "the run will recover it: without `dry_run`, because what it holds is not known before";
            return Err(deleted(which, Some(date)).help(help));
        }
        if !self.allowed.recover {
            return Err(deleted(which, Some(date)));
        }
        self.effects.on(&which.id).may(format!("the secret `{}` may have been recovered from deletion", which.id));
        if let Err(error) = self.client(which)?.restore_secret().secret_id(&which.id).send().await {
            let trouble = self.trouble("RestoreSecret", which, &error);
            if !trouble.is_ambiguous() {
                self.effects.on(&which.id).did_not();
            }
            return Err(trouble.failure());
        }
        let recovered = format!("the secret `{}` was recovered from deletion", which.id);
        self.effects.on(&which.id).did(recovered.clone());
        match self.get_value(which).await? {
            Ok(found) => snapshot(which, parts(found), Some(recovered)).map(Some),
            Err(trouble) => Err(trouble.failure()),
        }
    }

    pub(super) async fn describe(&self, which: &Reference) -> Result<Option<DescribeSecretOutput>, Failure> {
        match self.client(which)?.describe_secret().secret_id(&which.id).send().await {
            Ok(described) => Ok(Some(described)),
            Err(error) => match self.trouble("DescribeSecret", which, &error) {
                trouble if trouble.is("ResourceNotFoundException") => Ok(None),
                trouble => Err(trouble.failure()),
            },
        }
    }
}

/// What a version holds, by the parts of an answer.
pub(super) fn snapshot(
    which: &Reference,
    (text, bytes, version): (Option<String>, Option<Blob>, Option<String>),
    remark: Option<String>,
) -> Result<Snapshot, Failure> {
    let truncated = || {
        Failure::new(Kind::Unavailable, format!("the answer for the secret `{which}` holds no value or no version"))
            .help("try again; if it stays so, look at what answers at the endpoint")
    };
    let payload = match (text, bytes) {
        (Some(text), _) => Payload { text: Secret::from(text), form: Form::Text },
        (None, Some(bytes)) => Payload::from_bytes(bytes.into_inner(), Form::Bytes),
        (None, None) => return Err(truncated()),
    };
    let version = version.map(Version).ok_or_else(truncated)?;
    Ok(Snapshot { payload, version, remark })
}

/// The version that carries `AWSCURRENT`.
pub(super) fn current(described: &DescribeSecretOutput) -> Option<&str> {
    let versions = described.version_ids_to_stages()?;
    let mut carrying = versions.iter().filter(|(_, stages)| stages.iter().any(|stage| stage == CURRENT));
    carrying.next().map(|(id, _)| id.as_str())
}

pub(super) fn deleted(which: &Reference, date: Option<&DateTime>) -> Failure {
    let since = date.and_then(|date| date.fmt(DateTimeFormat::DateTime).ok());
    let since = since.map_or_else(String::new, |since| format!(" (its DeletedDate is {since})"));
    Failure::new(Kind::NotFound, format!("the secret `{}` is scheduled for deletion{since}", which.id))
        .help("push or sync with `recover_deleted: true`, or restore it with `aws secretsmanager restore-secret`")
}

fn parts(found: GetSecretValueOutput) -> (Option<String>, Option<Blob>, Option<String>) {
    (found.secret_string, found.secret_binary, found.version_id)
}

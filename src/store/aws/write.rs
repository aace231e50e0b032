//! Writing: a version under a label of ours, the move of `AWSCURRENT`, and what became of a call that was not heard of again.

use aws_sdk_secretsmanager::operation::describe_secret::DescribeSecretOutput;
use aws_sdk_secretsmanager::primitives::Blob;

use super::read::{current, deleted};
use super::trouble::Trouble;
use super::{Aws, CURRENT, PENDING};
use crate::error::{Failure, Kind, Problem};
use crate::reference::Reference;
use crate::store::{Commit, Form, Payload, Version, not_found, told};

/// How many lost races for one secret are believed in without a sign of the winner.
const UNSEEN: u32 = 3;

impl Aws {
    /// Writes a version while `expected` is still the current one.
    pub(super) async fn write(
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
        self.effects.on(&which.id).may(may_have);
        match request.set_secret_string(text).set_secret_binary(bytes).send().await {
            Ok(created) => {
                self.effects.on(&which.id).wrote(wrote);
                // AWS takes the token for the id; who emulates it may not, and a sync has to find the version again.
                Ok(done(created.version_id.unwrap_or(token), None))
            }
            Err(error) => match self.trouble("CreateSecret", which, &error) {
                trouble if trouble.is("ResourceExistsException") => {
                    self.effects.on(&which.id).did_not();
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
            self.effects.on(&which.id).did_not();
            return Err(self.refused(which, trouble).await);
        }
        match self.describe(which).await {
            Ok(Some(described)) if current(&described) == Some(ours) => {
                self.effects.on(&which.id).wrote(told(which, ours).0);
                Ok(())
            }
            Ok(_) if !trouble.is_pending() => {
                self.effects.on(&which.id).did_not();
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
            self.effects.on(&which.id).may(may_have);
        }
        let request = self.client(which)?.put_secret_value().secret_id(&which.id).client_request_token(&token);
        let request = request.set_secret_string(text).set_secret_binary(bytes);
        let request = request.set_version_stages(stage.map(|stage| vec![stage.to_owned()]));
        match request.send().await {
            Ok(put) => {
                if stage.is_none() {
                    self.effects.on(&which.id).wrote(wrote);
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
        self.effects.on(&which.id).may(may_have);
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
                self.effects.on(&which.id).did_not();
                return Err(self.refused(which, &trouble).await);
            }
        };
        if won {
            self.effects.on(&which.id).wrote(wrote);
        } else {
            self.effects.on(&which.id).did_not();
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
        if trouble.is("InvalidParameterException") && self.unseen(which) < UNSEEN {
            *self.unseen.borrow_mut().entry(which.id.clone()).or_default() += 1;
            return Ok(false);
        }
        if unmoved && !trouble.is_pending() {
            self.effects.on(&which.id).did_not();
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

fn token() -> String {
    uuid::Uuid::new_v4().to_string()
}

fn done(version: String, remark: Option<String>) -> Commit {
    Commit::Done { version: Version(version), race: None, remark }
}

fn body(payload: &Payload) -> (Option<String>, Option<Blob>) {
    let text = payload.text.expose();
    match payload.form {
        Form::Text | Form::Base64 => (Some(text.to_owned()), None),
        Form::Bytes => (None, Some(Blob::new(text.as_bytes()))),
    }
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

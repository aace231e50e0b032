//! Adding a version exactly once, though the call has no id of its own that would tell a repetition.

use std::time::Duration;

use google_cloud_gax::error::Error;
use google_cloud_gax::error::rpc::Code;
use google_cloud_secretmanager_v1::model::{Replication, Secret, SecretPayload, replication};

use super::Gcp;
use super::name::{Name, number};
use super::reading::Unread;
use super::trouble::{Operation, Trouble};
use crate::error::{Failure, Kind, Problem};
use crate::reference::Reference;
use crate::store::{Payload, not_found, told};

/// How often a version is added anew when nobody knows what became of it, and it is not there.
const ADD_TRIES: usize = 3;
/// The pauses, in milliseconds, after which a secret is created anew when nobody knows what became of it.
const CREATE_PAUSES: [u64; 3] = [300, 1000, 3000];

impl Gcp {
    /// Makes the secret; `false` where it exists by now. An answer that got lost leaves it open who made it.
    async fn create(&self, which: &Reference, name: &Name) -> Result<bool, Failure> {
        let secret = match (&name.location, self.locations.as_slice()) {
            // A regional secret lies where its name says.
            (Some(_), _) => Secret::new(),
            (None, []) => {
                Secret::new().set_replication(Replication::new().set_automatic(replication::Automatic::new()))
            }
            (None, locations) => {
                let replicas = locations.iter().map(|l| replication::user_managed::Replica::new().set_location(l));
                let managed = replication::UserManaged::new().set_replicas(replicas);
                Secret::new().set_replication(Replication::new().set_user_managed(managed))
            }
        };
        let request = self.client.create_secret().set_parent(name.parent()).set_secret_id(&name.secret);
        let request = request.set_secret(secret);
        let doubt = format!("the secret `{}` may have been created", which.id);
        self.effects.on(&which.id).may(&doubt);
        let mut pauses = CREATE_PAUSES.iter();
        let mut ambiguous = false;
        loop {
            let Err(error) = request.clone().send().await else {
                self.effects.on(&which.id).did(format!("the secret `{}` was created", which.id));
                return Ok(true);
            };
            let trouble = self.trouble(Operation::Create, name, None, &error);
            if trouble.is_ambiguous() {
                ambiguous = true;
                if let Some(pause) = pauses.next() {
                    tokio::time::sleep(Duration::from_millis(*pause)).await;
                    continue;
                }
            }
            if ambiguous {
                // For good: what is added next has doubts of its own, which take the place of this one.
                self.effects.on(&which.id).did(doubt);
            } else {
                self.effects.on(&which.id).did_not();
            }
            return if trouble.is(Code::AlreadyExists) { Ok(false) } else { Err(trouble.failure()) };
        }
    }

    /// Adds one version, and gives its number; `None` where there is no such secret. `base` is the newest version that was
    /// there before, as far as is known.
    pub(super) async fn add(
        &self,
        which: &Reference,
        name: &Name,
        base: u64,
        payload: &Payload,
    ) -> Result<Option<u64>, Failure> {
        self.effects.on(&which.id).may(format!("the secret `{}` may have been written", which.id));
        for tries in 1.. {
            let trouble = match self.add_once(name, payload).await {
                Ok(number) => return Ok(Some(self.added(which, number))),
                Err(trouble) if trouble.is_ambiguous() => trouble,
                Err(trouble) => {
                    self.effects.on(&which.id).did_not();
                    return if trouble.is(Code::NotFound) { Ok(None) } else { Err(trouble.failure()) };
                }
            };
            if let Some(number) = self.look_for(name, base, payload, &trouble).await? {
                return Ok(Some(self.added(which, number)));
            }
            // What is still under way may be done at any later moment: the doubt stays.
            if trouble.is_pending() {
                return Err(trouble.failure());
            }
            if tries == ADD_TRIES {
                self.effects.on(&which.id).did_not();
                return Err(trouble.failure());
            }
        }
        Ok(None)
    }

    fn added(&self, which: &Reference, number: u64) -> u64 {
        self.effects.on(&which.id).wrote(told(which, &number.to_string()).0);
        number
    }

    async fn add_once(&self, name: &Name, payload: &Payload) -> Result<u64, Trouble> {
        let bytes = payload.text.expose().as_bytes();
        let checksum = i64::from(crc32c::crc32c(bytes));
        let payload = SecretPayload::new().set_data(bytes.to_vec()).set_data_crc32c(checksum);
        let sent = self.client.add_secret_version().set_parent(name.to_string()).set_payload(payload).send().await;
        let number = sent.and_then(|version| number(&version.name).ok_or_else(|| Error::deser("no version is named")));
        number.map_err(|error| self.trouble(Operation::Add, name, None, &error))
    }

    /// Looks whether a version that nobody answered for was made: the call has no id of its own to ask for, but the
    /// numbers behind `base` are few, and a read by number misses nothing. A foreign version with the same payload does
    /// just as well, but ours may come after it: the last one is taken, so that whatever lies before it is looked at.
    async fn look_for(
        &self,
        name: &Name,
        base: u64,
        payload: &Payload,
        trouble: &Trouble,
    ) -> Result<Option<u64>, Failure> {
        let (mut next, mut found) = (base + 1, None);
        // The service may still be at it.
        let pauses: &[u64] = if trouble.is_pending() { &[100, 400, 1000, 3000, 5000] } else { &[100, 400, 1000] };
        for pause in pauses {
            tokio::time::sleep(Duration::from_millis(*pause)).await;
            loop {
                match self.access(name, &next.to_string()).await {
                    Ok(read) if read.payload.text == payload.text => found = Some(next),
                    Ok(_) | Err(Unread::Blocked(_)) => {}
                    Err(Unread::Missing) => break,
                    Err(Unread::Failure(failure)) => {
                        let mut problems = trouble.failure().problems;
                        problems.extend(failure.problems);
                        let what = format!("nobody knows whether version {next} of `{name}` is ours");
                        problems.push(Problem::new(what, "look at the newest version, and run it again"));
                        return Err(Failure { kind: Kind::Partial, problems });
                    }
                }
                next += 1;
            }
            if found.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// A first version: into a secret that has none yet, or into one that is made for it.
    pub(super) async fn first(
        &self,
        which: &Reference,
        name: &Name,
        payload: &Payload,
    ) -> Result<Option<u64>, Failure> {
        // Adding comes first: whoever may not create secrets may still fill one that was prepared.
        if let Some(number) = self.add(which, name, 0, payload).await? {
            return Ok(Some(number));
        }
        if !self.allowed.create {
            return Err(not_found(which, "", "create it, or set `create` to `true`"));
        }
        if !self.create(which, name).await? {
            return Ok(None);
        }
        // Only reads and writes of versions by number are promised to see at once what was made.
        for pause in [0, 300, 1000, 3000] {
            tokio::time::sleep(Duration::from_millis(pause)).await;
            if let Some(number) = self.add(which, name, 0, payload).await? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    /// What a dry run says of a secret that has no version: whether a real run could give it its first one.
    pub(super) async fn rehearse_first(&self, which: &Reference, name: &Name) -> Result<(), Failure> {
        if self.allowed.create {
            return Ok(());
        }
        match self.client.list_secret_versions().set_parent(name.to_string()).set_page_size(1).send().await {
            Err(error) if self.trouble(Operation::List, name, None, &error).is(Code::NotFound) => {
                Err(not_found(which, "", "create it, or set `create` to `true`"))
            }
            // It is there, or whoever may add may not look: then only a real run can tell.
            _ => Ok(()),
        }
    }
}

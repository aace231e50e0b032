//! Reading a version: by its number, or the one that counts.

use google_cloud_gax::error::rpc::Code;
use google_cloud_secretmanager_v1::model::{AccessSecretVersionResponse, ListSecretVersionsResponse, secret_version};

use super::name::{Name, check_version, number};
use super::trouble::{Operation, Trouble};
use super::{Gcp, PAGE, Seen};
use crate::error::{Failure, Kind};
use crate::reference::{Pin, Reference};
use crate::store::{Form, Pages, Payload, Snapshot, Version, not_found};

/// A version that was read.
pub(super) struct Read {
    pub(super) number: u64,
    pub(super) payload: Payload,
}

/// Why a version was not read: a failure of the run, or an answer that says something of the secret.
pub(super) enum Unread {
    Failure(Failure),
    /// There is no such version, or no secret.
    Missing,
    /// It is not in a state to be read.
    Blocked(Trouble),
}

impl Gcp {
    pub(super) async fn get(&self, which: &Reference) -> Result<Option<Snapshot>, Failure> {
        let name = self.name(which)?;
        let read = match &which.pin {
            Pin::Version(version) if version != "latest" => {
                check_version(which, version)?;
                self.access(&name, version).await
            }
            // The notation refuses stages for this store.
            Pin::Current | Pin::Version(_) | Pin::Stage(_) => return self.current(which, &name).await,
        };
        match read {
            Ok(read) => Ok(Some(snapshot(read, None))),
            Err(Unread::Missing) => Ok(None),
            Err(Unread::Blocked(trouble)) => Err(trouble.failure()),
            Err(Unread::Failure(failure)) => Err(failure),
        }
    }

    /// The version that counts: `latest`, but never an older one than ours, and where `latest` cannot be read, ours or else
    /// the newest that can be.
    async fn current(&self, which: &Reference, name: &Name) -> Result<Option<Snapshot>, Failure> {
        let Seen { written, .. } = self.seen(which);
        self.note(which, |seen| seen.newest = 0);
        let mut read = self.access(name, "latest").await;
        let behind = match &read {
            Ok(read) => read.number < written,
            // What cannot be read says no number: it may be one from before ours, as may all that a list brings.
            Err(Unread::Missing | Unread::Blocked(_)) => written > 0,
            Err(Unread::Failure(_)) => false,
        };
        if behind {
            let ours = self.access(name, &written.to_string()).await;
            // Ours is gone as well, or another secret took its place: what `latest` said stands.
            if !matches!((&read, &ours), (Err(Unread::Blocked(_)), Err(Unread::Missing))) {
                read = ours;
            }
        }
        match read {
            Ok(read) => Ok(Some(snapshot(read, None))),
            Err(Unread::Missing) => Ok(None),
            Err(Unread::Blocked(trouble)) => self.newest_enabled(which, name, &trouble).await.map(Some),
            Err(Unread::Failure(failure)) => Err(failure),
        }
    }

    pub(super) async fn access(&self, name: &Name, version: &str) -> Result<Read, Unread> {
        match self.client.access_secret_version().set_name(name.version(version)).send().await {
            Ok(answer) => read(answer, name, version).map_err(Unread::Failure),
            Err(error) => Err(match self.trouble(Operation::Access, name, Some(version), &error) {
                trouble if trouble.is(Code::NotFound) => Unread::Missing,
                trouble if trouble.is(Code::FailedPrecondition) => Unread::Blocked(trouble),
                trouble => Unread::Failure(trouble.failure()),
            }),
        }
    }

    /// `latest` is the version that was created last, whatever became of it: where it cannot be read, the newest one that
    /// is enabled counts.
    async fn newest_enabled(&self, which: &Reference, name: &Name, trouble: &Trouble) -> Result<Snapshot, Failure> {
        let listed = |error| self.trouble(Operation::List, name, None, &error).failure();
        let mut newest = 0;
        let (mut pages, mut token) = (Pages::default(), String::new());
        let enabled = loop {
            let request = self.client.list_secret_versions().set_parent(name.to_string()).set_page_size(PAGE);
            let page = request.set_page_token(token).send().await.map_err(listed)?;
            let found = numbers(&page);
            newest = found.iter().map(|(number, _)| *number).fold(newest, u64::max);
            let enabled = found.iter().filter(|(_, enabled)| *enabled).map(|(number, _)| *number).max();
            token = page.next_page_token;
            if enabled.is_some() || token.is_empty() {
                break enabled;
            }
            if pages.repeats(&token) {
                return Err(Pages::endless(&format!("versions of `{name}`")));
            }
        };
        let Some(number) = enabled else {
            let what = format!("the secret `{name}` has no version that is enabled");
            let help = match newest {
                0 => "add a version, or enable one".to_owned(),
                newest => format!("enable one, such as with {}, or add a version", name.enable(&newest.to_string())),
            };
            return Err(Failure::new(Kind::NotFound, what).help(help));
        };
        if number == newest {
            // It was enabled meanwhile, or its state is not what is wrong with it.
            return match self.access(name, &number.to_string()).await {
                Ok(read) => Ok(snapshot(read, None)),
                Err(Unread::Failure(failure)) => Err(failure),
                Err(Unread::Missing | Unread::Blocked(_)) => Err(trouble.failure()),
            };
        }
        let read = match self.access(name, &number.to_string()).await {
            Ok(read) => read,
            Err(Unread::Failure(failure)) => return Err(failure),
            Err(Unread::Blocked(trouble)) => return Err(trouble.failure()),
            Err(Unread::Missing) => {
                return Err(not_found(which, "", "run it again: somebody else is changing its versions"));
            }
        };
        self.note(which, |seen| seen.newest = newest);
        let remark =
            format!("version {newest} of the secret `{name}`, its latest, is not enabled; version {number} was read");
        Ok(snapshot(read, Some(remark)))
    }
}

fn snapshot(read: Read, remark: Option<String>) -> Snapshot {
    Snapshot { payload: read.payload, version: Version(read.number.to_string()), remark }
}

/// The versions of a page that have a number, and whether they can be read.
fn numbers(page: &ListSecretVersionsResponse) -> Vec<(u64, bool)> {
    let enabled = secret_version::State::Enabled;
    page.versions.iter().filter_map(|v| Some((number(&v.name)?, v.state == enabled))).collect()
}

fn unreadable(name: &Name) -> Failure {
    Failure::new(Kind::Unavailable, format!("the answer for the secret `{name}` holds no value or no version"))
        .help("try again; if it stays so, look at what answers at the endpoint")
}

/// The checksum is not looked at by the SDK.
fn read(answer: AccessSecretVersionResponse, name: &Name, version: &str) -> Result<Read, Failure> {
    let number = number(&answer.name).ok_or_else(|| unreadable(name))?;
    let payload = answer.payload.ok_or_else(|| unreadable(name))?;
    if payload.data_crc32c.is_some_and(|sent| sent != i64::from(crc32c::crc32c(&payload.data))) {
        let what =
            format!("version `{version}` of the secret `{name}` was damaged on its way: its checksum does not fit");
        return Err(
            Failure::new(Kind::Unavailable, what).help("run it again; if it stays so, look at the proxy between")
        );
    }
    Ok(Read { number, payload: Payload::from_bytes(payload.data.to_vec(), Form::Text) })
}

//! What a secret held before a race: read only where a race cannot be judged without it, and each version once.

use std::collections::HashMap;
use std::rc::Rc;

use super::{Snapshot, Store, Version};
use crate::error::{Failure, Kind};
use crate::reference::{Pin, Reference};

/// The ids of older versions, the newest first. What stands in one group came in an order that nobody knows.
pub type Ids = Rc<[Vec<Version>]>;

/// How many versions are read at once, and how many that agree are looked back at: as many as may come about between the
/// read and the write of one writer. Google takes 120 a minute of one secret
/// ([quotas](https://cloud.google.com/secret-manager/quotas)).
pub const STALE: usize = 256;

/// The versions that were read.
#[derive(Default)]
pub struct History {
    /// `None`: it is gone, or was disabled.
    read: HashMap<String, Option<Snapshot>>,
    /// Those that somebody asked for in vain.
    wanted: Vec<Version>,
}

/// What is known of one version.
pub enum Known<'a> {
    /// What it holds.
    Held(&'a Snapshot),
    /// It cannot be read.
    Gone,
    /// It was not read yet.
    Unread,
}

impl History {
    /// What is known of this version.
    #[must_use]
    pub fn of(&self, version: &Version) -> Known<'_> {
        match self.read.get(&version.0) {
            Some(Some(snapshot)) => Known::Held(snapshot),
            Some(None) => Known::Gone,
            None => Known::Unread,
        }
    }

    /// Asks for the next of these that are unread; the answers are there when the plan is asked anew.
    pub fn want<'a>(&mut self, versions: impl Iterator<Item = &'a Version>) {
        let unread = versions.filter(|version| !self.read.contains_key(&version.0));
        self.wanted.extend(unread.take(STALE).cloned());
    }

    /// Reads what was asked for.
    pub(super) async fn look_back(&mut self, store: &dyn Store, which: &Reference) -> Result<(), Failure> {
        let wanted = std::mem::take(&mut self.wanted);
        let pinned = |version: &Version| Reference { pin: Pin::Version(version.0.clone()), ..which.clone() };
        let references: Vec<Reference> = wanted.iter().map(pinned).collect();
        for (version, answer) in wanted.into_iter().zip(store.fetch(&references).await) {
            let found = match answer {
                Err(failure) if failure.kind == Kind::NotFound => None,
                answer => answer?,
            };
            self.read.insert(version.0, found);
        }
        Ok(())
    }
}

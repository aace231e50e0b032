//! What a secret held before a race: read only where a race cannot be judged without it, and each version once. It is
//! compared, and neither written nor shown, so that nobody has to mask it.

use std::collections::HashMap;
use std::rc::Rc;

use super::{Snapshot, Store, Version};
use crate::error::{Failure, Kind};
use crate::reference::{Pin, Reference};

/// The ids of older versions, the newest first. What stands in one group came in an order that nobody knows.
pub type Ids = Rc<[Vec<Version>]>;

/// Where a version stands in an order that is the same to all runs: its number, or its second and then its id, which is not
/// always the order of the writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub i64, pub String);

/// How many versions may come about between the read and the write of one writer: so many are read at once. Google takes 120
/// a minute of one secret ([quotas](https://cloud.google.com/secret-manager/quotas)).
pub const STALE: usize = 256;

/// The versions that were read.
#[derive(Default)]
pub struct History {
    /// `None`: it is gone, or was disabled, or its key was.
    read: HashMap<String, Option<Snapshot>>,
    /// Those that somebody asked for in vain.
    wanted: Vec<Version>,
    /// Two versions, and those between them.
    span: Option<(Version, Version, Vec<Version>)>,
    /// The two that somebody asked for in vain.
    wanted_span: Option<(Version, Version)>,
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

    /// What was written between two versions, the newest first and as far as it can be read; `None` asks for it, and it is
    /// there when the plan is asked anew.
    pub fn between(&mut self, older: &Version, newer: &Version) -> Option<Vec<&Snapshot>> {
        let known = self.span.take().filter(|(from, to, _)| (from, to) == (older, newer));
        let Some((from, to, versions)) = known else {
            self.wanted_span = Some((older.clone(), newer.clone()));
            return None;
        };
        self.want(versions.iter());
        let (_, _, versions) = self.span.insert((from, to, versions));
        if !self.wanted.is_empty() {
            return None;
        }
        Some(versions.iter().filter_map(|version| self.read.get(&version.0)?.as_ref()).collect())
    }

    /// Reads what was asked for.
    pub(super) async fn look_back(&mut self, store: &dyn Store, which: &Reference) -> Result<(), Failure> {
        if let Some((older, newer)) = self.wanted_span.take() {
            let versions = store.between(which, &older, &newer).await?;
            self.want(versions.iter());
            self.span = Some((older, newer, versions));
        }
        let wanted = std::mem::take(&mut self.wanted);
        let pinned = |version: &Version| Reference { pin: Pin::Version(version.0.clone()), ..which.clone() };
        let references: Vec<Reference> = wanted.iter().map(pinned).collect();
        for (version, answer) in wanted.into_iter().zip(store.fetch(&references).await) {
            let found = match answer {
                Err(failure) if matches!(failure.kind, Kind::NotFound | Kind::Refused) => None,
                answer => answer?,
            };
            self.read.insert(version.0, found);
        }
        Ok(())
    }
}

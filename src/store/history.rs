//! What a secret held before a race, or since the base of a sync: read only where it is needed, and each version once. It is
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

/// How many versions others may add while a run mends what it has written over.
pub const RECENT: usize = 64;

/// The versions that were read.
pub struct History {
    may_hide: bool,
    /// `None`: it is gone, or was disabled, or its key was.
    read: HashMap<String, Option<Snapshot>>,
    /// Those that somebody asked for in vain.
    wanted: Vec<Version>,
    span: Option<Span>,
    /// Those that were read for a span: of one that is closed to this run nothing is known, which is enough there.
    spanned: HashMap<String, Option<Snapshot>>,
}

/// What lies between two versions.
struct Span {
    older: Version,
    newer: Version,
    /// `None`: it was asked for.
    between: Option<Vec<Version>>,
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
    /// Nothing yet. `may_hide`: what [`Store::may_hide`] says.
    pub(super) fn new(may_hide: bool) -> Self {
        let (read, wanted, span, spanned) = (HashMap::new(), Vec::new(), None, HashMap::new());
        Self { may_hide, read, wanted, span, spanned }
    }

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

    /// What was written between two versions, the newest first and as far as it can be read; nothing where nothing can have
    /// been hidden there. `None` asks for it, and it is there when the plan is asked anew.
    pub fn between(&mut self, older: &Version, newer: &Version) -> Option<Vec<&Snapshot>> {
        if !self.may_hide || older == newer {
            return Some(Vec::new());
        }
        let known = self.span.as_ref().filter(|span| (&span.older, &span.newer) == (older, newer));
        let Some(between) = known.and_then(|span| span.between.as_ref()) else {
            self.span = Some(Span { older: older.clone(), newer: newer.clone(), between: None });
            return None;
        };
        Some(between.iter().filter_map(|version| self.spanned.get(&version.0)?.as_ref()).collect())
    }

    /// Reads what was asked for.
    pub(super) async fn look_back(&mut self, store: &dyn Store, which: &Reference) -> Result<(), Failure> {
        let pinned = |version: &Version| Reference { pin: Pin::Version(version.0.clone()), ..which.clone() };
        if let Some(span) = self.span.as_mut().filter(|span| span.between.is_none()) {
            let between = store.between(which, &span.older, &span.newer).await?;
            let unread: Vec<&Version> = between.iter().filter(|id| !self.spanned.contains_key(&id.0)).collect();
            let references: Vec<Reference> = unread.iter().copied().map(pinned).collect();
            for (version, answer) in unread.into_iter().zip(store.fetch(&references).await) {
                let found = match answer {
                    Err(failure) if matches!(failure.kind, Kind::Unavailable | Kind::Login) => return Err(failure),
                    answer => answer.unwrap_or_default(),
                };
                self.spanned.insert(version.0.clone(), found);
            }
            span.between = Some(between);
        }
        let wanted = std::mem::take(&mut self.wanted);
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

//! The three-way merge of a two-way sync, variable by variable. Pure, and by name only in what it gives.

use super::{Change, Plan, Refused, Scope, Step};
use crate::secret::{Key, Secret, Variables};

/// One of the two places that hold the variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The `.env` file.
    File,
    /// The secret in its store.
    Secret,
}

impl Side {
    fn other(self) -> Self {
        match self {
            Self::File => Self::Secret,
            Self::Secret => Self::File,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Secret => "secret",
        }
    }
}

/// What decides a conflict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefer {
    /// Nobody: nothing is written on either side.
    #[default]
    Fail,
    /// What the file has.
    File,
    /// What the secret has.
    Secret,
}

/// What became of a variable on one side since the base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The base does not have it, this side does.
    Added,
    /// It has another value than the base.
    Changed,
    /// The base has it, this side does not.
    Deleted,
    /// There is no base to compare with.
    Unknown,
}

impl Event {
    fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Deleted => "deleted",
            Self::Unknown => "present",
        }
    }
}

/// What a plan of two receiving sides says beside the change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Nothing: one side receives, or nothing changes.
    #[default]
    None,
    /// The side that changes.
    On(Side),
    /// The side from which the variable was deleted, and to which it comes back, because nothing may be deleted.
    Restored(Side),
    /// The side that changes because the other one is preferred in a conflict.
    Yields(Side),
    /// What happened on each side of a conflict that nobody decides.
    Conflict {
        /// In the file.
        file: Event,
        /// In the secret.
        secret: Event,
    },
}

impl Detail {
    /// The side that changes.
    #[must_use]
    pub fn side(self) -> Option<Side> {
        match self {
            Self::On(side) | Self::Restored(side) | Self::Yields(side) => Some(side),
            Self::None | Self::Conflict { .. } => None,
        }
    }

    /// The words behind those of the change, such as " in the file"; empty where there are none.
    pub(super) fn words(self, change: Change) -> String {
        let place = |side: Side| {
            let preposition = match change {
                Change::Add => "to",
                Change::Remove => "from",
                Change::Update | Change::Unchanged | Change::Conflict => "in",
            };
            format!(" {preposition} the {}", side.word())
        };
        match self {
            Self::None => String::new(),
            Self::On(side) => place(side),
            Self::Restored(side) => format!("{} again, where it was deleted", place(side)),
            Self::Yields(side) => format!("{}, in conflict: the {} is preferred", place(side), side.other().word()),
            Self::Conflict { file: Event::Unknown, .. } => ", different on both sides, without a base".to_owned(),
            Self::Conflict { file, secret } => {
                format!(", {} in the file, {} in the secret", file.word(), secret.word())
            }
        }
    }
}

/// What a merge may do.
#[derive(Clone, Debug)]
pub struct Terms<'a> {
    /// The names that may be looked at.
    pub scope: &'a Scope,
    /// Whether a deletion on one side travels to the other; else the variable comes back.
    pub delete: bool,
    /// The most variables that one run removes, on both sides together.
    pub max_deletes: usize,
    /// What decides a conflict.
    pub prefer: Prefer,
}

/// Merges what became of the base in the file and in the secret; without a base, both are united and every difference is a
/// conflict. The steps are in the order of the file, then of what only the secret has.
///
/// # Errors
/// [`Refused`] where a deletion would travel and a guard stops it.
pub fn three_way(
    base: Option<&Variables>,
    file: &Variables,
    secret: &Variables,
    terms: &Terms<'_>,
) -> Result<Plan, Refused> {
    let only_there = secret.keys().filter(|key| !file.contains_key(*key));
    let keys = file.keys().chain(only_there).filter(|key| terms.scope.holds(key.as_str()));
    let steps = keys.map(|key| {
        let was = base.map(|base| base.get(key));
        let (change, detail) = settle(was, file.get(key), secret.get(key), terms);
        Step { key: key.clone(), change, detail }
    });
    let plan = Plan { steps: steps.collect() };
    // Nothing will be written, so there is nothing to guard.
    if plan.count(Change::Conflict) > 0 {
        return Ok(plan);
    }
    let removed = |side| plan.steps.iter().any(|s| s.change == Change::Remove && s.detail.side() == Some(side));
    let none = |side: &Variables| !side.keys().any(|key| terms.scope.holds(key.as_str()));
    if removed(Side::Secret) && none(file) || removed(Side::File) && none(secret) {
        return Err(Refused::GiverEmpty);
    }
    match plan.count(Change::Remove) {
        wanted if wanted > terms.max_deletes => Err(Refused::TooMany { wanted }),
        _ => Ok(plan),
    }
}

/// One variable. `base`: `None` without a base, `Some(None)` where the base does not have it.
fn settle(
    base: Option<Option<&Secret>>,
    file: Option<&Secret>,
    secret: Option<&Secret>,
    terms: &Terms<'_>,
) -> (Change, Detail) {
    let to = |side: Side| {
        let (giver, receiver) = match side {
            Side::File => (secret, file),
            Side::Secret => (file, secret),
        };
        match (giver, receiver) {
            (None, _) => Change::Remove,
            (Some(_), None) => Change::Add,
            (Some(_), Some(_)) => Change::Update,
        }
    };
    let was = base.flatten();
    if file == secret {
        return (Change::Unchanged, Detail::None);
    }
    if was.is_some() && !terms.delete {
        // A deletion is no change then.
        if file.is_none() {
            return (Change::Add, Detail::Restored(Side::File));
        }
        if secret.is_none() {
            return (Change::Add, Detail::Restored(Side::Secret));
        }
    }
    if file == was {
        return (to(Side::File), Detail::On(Side::File));
    }
    if secret == was {
        return (to(Side::Secret), Detail::On(Side::Secret));
    }
    match terms.prefer {
        Prefer::File => (to(Side::Secret), Detail::Yields(Side::Secret)),
        Prefer::Secret => (to(Side::File), Detail::Yields(Side::File)),
        Prefer::Fail => {
            let event = |now: Option<&Secret>| match (base, was, now) {
                (None, ..) => Event::Unknown,
                (_, _, None) => Event::Deleted,
                (_, None, _) => Event::Added,
                _ => Event::Changed,
            };
            (Change::Conflict, Detail::Conflict { file: event(file), secret: event(secret) })
        }
    }
}

impl Plan {
    /// Only what changes on one side, and nothing of the other.
    #[must_use]
    pub fn on(&self, side: Side) -> Self {
        let steps = self.steps.iter().filter(|step| step.detail.side() == Some(side));
        Self { steps: steps.cloned().collect() }
    }

    /// The plan where its conflicts keep everything from being written: all the rest stays as it is.
    #[must_use]
    pub fn refused(&self) -> Self {
        let steps = self.steps.iter().map(|step| match step.change {
            Change::Conflict => step.clone(),
            _ => Step { key: step.key.clone(), change: Change::Unchanged, detail: Detail::None },
        });
        Self { steps: steps.collect() }
    }

    /// Adds what a later plan of the same run changes: of two changes to one variable the later one counts.
    pub fn absorb(&mut self, later: &Self) {
        let mut at: std::collections::HashMap<Key, usize> =
            self.steps.iter().enumerate().map(|(n, step)| (step.key.clone(), n)).collect();
        for step in &later.steps {
            match at.get(&step.key).and_then(|n| self.steps.get_mut(*n)) {
                Some(there) if step.change != Change::Unchanged => *there = step.clone(),
                Some(_) => {}
                None => {
                    at.insert(step.key.clone(), self.steps.len());
                    self.steps.push(step.clone());
                }
            }
        }
    }

    /// The names that were deleted on one side and come back from the other.
    pub fn restored(&self) -> impl Iterator<Item = &Key> {
        self.steps.iter().filter(|s| matches!(s.detail, Detail::Restored(_))).map(|s| &s.key)
    }
}

#[cfg(test)]
mod tests;

//! What would change, and whether it may: a pure comparison of two sides, by name only.
//!
//! Every mode builds one [`Plan`] and then applies it or not. A plan holds no values, so that it can be shown anywhere.

mod merge;

use std::collections::BTreeSet;

use globset::GlobSet;

use crate::secret::{Key, Variables};
pub use merge::{Detail, Event, Prefer, Side, Terms, three_way};

/// What happens to one variable on the side that receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Only the giving side has it.
    Add,
    /// Both have it, with different values.
    Update,
    /// Only the receiving side has it, and it goes.
    Remove,
    /// Both have it with one value, or only the receiving side has it and it stays.
    Unchanged,
    /// Both sides changed it to different values (two-way sync).
    Conflict,
}

impl Change {
    /// One word or a few, as logs and summaries show it.
    #[must_use]
    pub fn word(self, told: Told) -> &'static str {
        match (self, told) {
            (Self::Add, Told::AsPlan) => "add",
            (Self::Update, Told::AsPlan) => "update",
            (Self::Remove, Told::AsPlan) => "remove",
            (Self::Unchanged, Told::AsPlan) => "unchanged",
            (Self::Conflict, _) => "conflict",
            (Self::Add, Told::AsDone) => "added",
            (Self::Update, Told::AsDone) => "updated",
            (Self::Remove, Told::AsDone) => "removed",
            (Self::Unchanged, Told::AsDone) => "unchanged",
            (Self::Add, Told::AsDifference) => "only in the secret",
            (Self::Update, Told::AsDifference) => "different",
            (Self::Remove, Told::AsDifference) => "only in the file",
            (Self::Unchanged, Told::AsDifference) => "the same",
        }
    }
}

/// How a plan is told: as what is to be done, as what was done, or (by `check`) as how two sides differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// What is done, or would be in a dry run.
    AsPlan,
    /// What was done.
    AsDone,
    /// How the secret and the file differ.
    AsDifference,
}

/// One variable of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The variable.
    pub key: Key,
    /// What happens to it.
    pub change: Change,
    /// Where and why, in a plan of two receiving sides (two-way sync).
    pub detail: Detail,
}

impl Step {
    fn plain(key: &Key, change: Change) -> Self {
        Self { key: key.clone(), change, detail: Detail::None }
    }

    /// What happens to the variable, in a few words.
    #[must_use]
    pub fn words(&self, told: Told) -> String {
        format!("{}{}", self.change.word(told), self.detail.words(self.change))
    }
}

/// The whole comparison: the giving side's variables in its order, then those that only the receiver has, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// One step a variable.
    pub steps: Vec<Step>,
}

impl Plan {
    /// The names with one change, in the order of the plan.
    pub fn with(&self, change: Change) -> impl Iterator<Item = &Key> {
        self.steps.iter().filter(move |s| s.change == change).map(|s| &s.key)
    }

    /// How many variables have one change.
    #[must_use]
    pub fn count(&self, change: Change) -> usize {
        self.with(change).count()
    }

    /// Whether anything at all is to be done or to be decided.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        self.steps.iter().any(|s| s.change != Change::Unchanged)
    }

    /// The names that applying the plan touches: what a writer that lost a race may write again, and nothing else.
    #[must_use]
    pub fn touched(&self) -> BTreeSet<Key> {
        let touched = self.steps.iter().filter(|s| s.change != Change::Unchanged);
        touched.map(|s| s.key.clone()).collect()
    }

    /// "2 to add, 1 to update, 40 unchanged" or "1 only in the file, 40 the same", for a log line.
    #[must_use]
    pub fn counts(&self, told: Told) -> String {
        let all = [Change::Add, Change::Update, Change::Remove, Change::Conflict, Change::Unchanged];
        let parts: Vec<String> = all
            .into_iter()
            .map(|change| (self.count(change), change))
            .filter(|(n, _)| *n > 0)
            .map(|(n, change)| match (change, told) {
                (Change::Add | Change::Update | Change::Remove, Told::AsPlan) => {
                    format!("{n} to {}", change.word(told))
                }
                _ => format!("{n} {}", change.word(told)),
            })
            .collect();
        if parts.is_empty() { "no variables".to_owned() } else { parts.join(", ") }
    }
}

/// Which names a run may look at and touch; everything else is neither written nor removed.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Globs of names; `None` is all.
    pub include: Option<GlobSet>,
    /// Globs of names that are left out, stronger than `include`.
    pub exclude: GlobSet,
}

impl Scope {
    /// Whether a name is in bounds.
    #[must_use]
    pub fn holds(&self, name: &str) -> bool {
        self.include.as_ref().is_none_or(|g| g.is_match(name)) && !self.exclude.is_match(name)
    }
}

/// What a two-way comparison is allowed to do.
#[derive(Clone, Debug)]
pub struct Policy<'a> {
    /// The names that may be looked at.
    pub scope: &'a Scope,
    /// Whether what only the receiver has is removed.
    pub delete: bool,
    /// The most variables that one run removes.
    pub max_deletes: usize,
    /// Set after a lost race: only these names may change, because the first plan meant no other.
    pub only: Option<&'a BTreeSet<Key>>,
}

/// Why a plan is refused as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Deletion was asked for, and the giving side holds no variable at all.
    GiverEmpty,
    /// More variables would go than `max_deletes`.
    TooMany {
        /// How many would go.
        wanted: usize,
    },
}

/// Compares what the giving side has with what the receiving side has.
///
/// # Errors
/// [`Refused`] where deletion was asked for and a guard stops it.
pub fn two_way(giver: &Variables, receiver: &Variables, policy: &Policy<'_>) -> Result<Plan, Refused> {
    let may = |key: &Key| policy.only.is_none_or(|only| only.contains(key));
    let mut steps = Vec::with_capacity(giver.len().max(receiver.len()));
    for (key, value) in giver.iter().filter(|(key, _)| policy.scope.holds(key.as_str())) {
        let change = match receiver.get(key) {
            Some(there) if there == value => Change::Unchanged,
            _ if !may(key) => Change::Unchanged,
            Some(_) => Change::Update,
            None => Change::Add,
        };
        steps.push(Step::plain(key, change));
    }
    let given = steps.len();
    for key in receiver.keys().filter(|key| policy.scope.holds(key.as_str()) && !giver.contains_key(*key)) {
        let change = if policy.delete && may(key) { Change::Remove } else { Change::Unchanged };
        steps.push(Step::plain(key, change));
    }
    let plan = Plan { steps };
    let wanted = plan.count(Change::Remove);
    if wanted > 0 && given == 0 {
        return Err(Refused::GiverEmpty);
    }
    if wanted > policy.max_deletes {
        return Err(Refused::TooMany { wanted });
    }
    Ok(plan)
}

/// Compares both sides for `check`: a variable on one side only is a difference too. `Add` is only in the secret,
/// `Remove` only in the file, as a pull that deletes would see it; no guard applies, because nothing is written.
#[must_use]
pub fn drift(secret: &Variables, file: &Variables, scope: &Scope) -> Plan {
    let policy = Policy { scope, delete: true, max_deletes: usize::MAX, only: None };
    match two_way(secret, file, &policy) {
        Ok(plan) => plan,
        // An empty secret: everything that the file has is a difference.
        Err(_) => {
            let names = file.keys().filter(|key| scope.holds(key.as_str()));
            Plan { steps: names.map(|key| Step::plain(key, Change::Remove)).collect() }
        }
    }
}

/// The receiving side after the plan: what [`two_way`] promises, as values. Only for tests and for reading back.
#[must_use]
pub fn applied(plan: &Plan, giver: &Variables, receiver: &Variables) -> Variables {
    let mut after = receiver.clone();
    for step in &plan.steps {
        match step.change {
            Change::Add | Change::Update => {
                if let Some(value) = giver.get(&step.key) {
                    after.insert(step.key.clone(), value.clone());
                }
            }
            Change::Remove => {
                after.shift_remove(&step.key);
            }
            Change::Unchanged | Change::Conflict => {}
        }
    }
    after
}

#[cfg(test)]
mod tests {
    use globset::{Glob, GlobSetBuilder};
    use proptest::prelude::*;

    use super::*;
    use crate::secret::Secret;

    fn variables(text: &str) -> Variables {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        pairs.filter_map(|(k, v)| Some((Key::new(k)?, Secret::from(v)))).collect()
    }

    fn globs(patterns: &[&str]) -> GlobSet {
        let mut set = GlobSetBuilder::new();
        for pattern in patterns {
            set.add(Glob::new(pattern).unwrap());
        }
        set.build().unwrap()
    }

    fn shown(plan: &Plan) -> String {
        let words: Vec<String> =
            plan.steps.iter().map(|s| format!("{}:{}", s.key, s.change.word(Told::AsPlan))).collect();
        words.join(" ")
    }

    #[test]
    fn two_way_table() {
        let rows = [
            // giver, receiver, delete, expected
            ("", "", false, ""),
            ("A=1", "", false, "A:add"),
            ("A=1", "A=1", false, "A:unchanged"),
            ("A=1", "A=2", false, "A:update"),
            ("", "A=1", false, "A:unchanged"),
            ("A=1", "A=1 B=2", false, "A:unchanged B:unchanged"),
            ("A=1", "A=1 B=2", true, "A:unchanged B:remove"),
            ("B=1 A=1", "A=0 C=3", true, "B:add A:update C:remove"),
        ];
        for (giver, receiver, delete, expected) in rows {
            let scope = Scope::default();
            let policy = Policy { scope: &scope, delete, max_deletes: 10, only: None };
            let plan = two_way(&variables(giver), &variables(receiver), &policy).unwrap();
            assert_eq!(shown(&plan), expected, "{giver} -> {receiver}");
        }
    }

    #[test]
    fn scope_bounds_deletion_too() {
        let scope = Scope { include: Some(globs(&["APP_*"])), exclude: globs(&["APP_LOCAL*"]) };
        let policy = Policy { scope: &scope, delete: true, max_deletes: 10, only: None };
        let receiver = variables("APP_B=1 APP_LOCAL=1 OTHER=1");
        let plan = two_way(&variables("APP_A=1 OTHER=2"), &receiver, &policy).unwrap();
        assert_eq!(shown(&plan), "APP_A:add APP_B:remove");
    }

    #[test]
    fn deletion_is_guarded() {
        let scope = Scope::default();
        let policy = Policy { scope: &scope, delete: true, max_deletes: 1, only: None };
        let refused = |giver, receiver| two_way(&variables(giver), &variables(receiver), &policy).err();
        assert_eq!(refused("", "A=1"), Some(Refused::GiverEmpty));
        assert_eq!(refused("C=1", "A=1 B=1"), Some(Refused::TooMany { wanted: 2 }));
        assert_eq!(refused("C=1", "A=1"), None);
        assert_eq!(refused("", ""), None);
    }

    #[test]
    fn after_a_lost_race_only_the_intended_names_change() {
        let scope = Scope::default();
        let only: BTreeSet<Key> = Key::new("B").into_iter().collect();
        let policy = Policy { scope: &scope, delete: true, max_deletes: 10, only: Some(&only) };
        // Somebody else set A to 9 and added C meanwhile: both stay.
        let plan = two_way(&variables("A=1 B=1"), &variables("A=9 B=0 C=3"), &policy).unwrap();
        assert_eq!(shown(&plan), "A:unchanged B:update C:unchanged");
    }

    #[test]
    fn check_sees_both_directions() {
        let scope = Scope::default();
        let plan = drift(&variables("A=1 B=2"), &variables("B=3 C=1"), &scope);
        assert_eq!(shown(&plan), "A:add B:update C:remove");
        let plan = drift(&variables(""), &variables("C=1"), &scope);
        assert_eq!(shown(&plan), "C:remove");
    }

    fn any_variables() -> impl Strategy<Value = Variables> {
        proptest::collection::vec(("[A-E]", "[0-2]"), 0..6).prop_map(|pairs| {
            pairs.iter().filter_map(|(k, v)| Some((Key::new(k)?, Secret::from(v.as_str())))).collect()
        })
    }

    proptest! {
        #[test]
        fn applying_a_plan_and_planning_again_gives_nothing(giver in any_variables(), receiver in any_variables(), delete: bool) {
            let scope = Scope::default();
            let policy = Policy { scope: &scope, delete, max_deletes: usize::MAX, only: None };
            if let Ok(plan) = two_way(&giver, &receiver, &policy) {
                let after = applied(&plan, &giver, &receiver);
                let again = two_way(&giver, &after, &policy).unwrap();
                prop_assert!(!again.has_changes());
                prop_assert!(giver.iter().all(|(k, v)| after.get(k) == Some(v)));
                if delete {
                    prop_assert_eq!(after.len(), giver.len());
                } else {
                    prop_assert!(receiver.keys().all(|k| after.contains_key(k)));
                }
            }
        }
    }
}

//! What a run has changed so far, for the first line of an error, and how far it is. Shared between the modes, the stores
//! that write, and `main`, which may cut a run off at any moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many writes are told in full; of more only the names.
const IN_FULL: usize = 3;

/// A handle; clones speak of the same run. Several writes may be under way at the same time: each is about an object of its
/// own, whose handle [`Effects::on`] gives.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    state: Arc<Mutex<State>>,
    /// What this handle is about; empty for what happens only once at a time.
    about: Arc<str>,
}

#[derive(Debug, Default)]
struct State {
    done: Vec<Done>,
    /// By object.
    doubts: BTreeMap<Arc<str>, String>,
    hidden: BTreeMap<Arc<str>, String>,
    /// The secrets that this run means to write, where they are several.
    intended: Vec<Arc<str>>,
    steps: usize,
    undone: Option<String>,
}

#[derive(Debug)]
struct Done {
    about: Arc<str>,
    what: String,
    written: bool,
}

impl Effects {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a list of sentences: a thread that died while it held the lock has not broken it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handle for one secret, by its id.
    #[must_use]
    pub fn on(&self, id: &str) -> Self {
        Self { state: Arc::clone(&self.state), about: id.into() }
    }

    /// To be called right before a call that changes something: what may be true from now on, whatever is heard of it.
    pub fn may(&self, what: impl Into<String>) {
        self.state().doubts.insert(Arc::clone(&self.about), what.into());
    }

    /// The call changed nothing after all.
    pub fn did_not(&self) {
        self.state().doubts.remove(&self.about);
    }

    /// The call, or something that needed no announcement, changed this.
    pub fn did(&self, what: impl Into<String>) {
        self.add(what.into(), false);
    }

    /// As [`Effects::did`], for a write of the secret that this handle is about.
    pub fn wrote(&self, what: impl Into<String>) {
        self.add(what.into(), true);
    }

    fn add(&self, what: String, written: bool) {
        let mut state = self.state();
        state.doubts.remove(&self.about);
        state.done.push(Done { about: Arc::clone(&self.about), what, written });
    }

    /// What a write of ours may hide until it is mended; `None` when it is.
    pub fn may_hide(&self, what: Option<String>) {
        let mut state = self.state();
        match what {
            Some(what) => drop(state.hidden.insert(Arc::clone(&self.about), what)),
            None => drop(state.hidden.remove(&self.about)),
        }
    }

    /// The secrets that are to be written, so that those can be named that were not.
    pub fn intends<'a>(&self, ids: impl Iterator<Item = &'a str>) {
        self.state().intended = ids.map(Arc::from).collect();
    }

    /// This one need not be written any more.
    pub fn needless(&self) {
        self.state().intended.retain(|id| *id != self.about);
    }

    /// One more secret was read or brought up to date.
    pub fn step(&self) {
        self.state().steps += 1;
    }

    /// How many there were, for who shows progress.
    #[must_use]
    pub fn steps(&self) -> usize {
        self.state().steps
    }

    /// Everything that was changed so far stands no more: the run took it back, as this sentence tells.
    pub fn took_back(&self, what: impl Into<String>) {
        let mut state = self.state();
        state.done.clear();
        state.doubts.clear();
        state.undone = Some(what.into());
    }

    /// "nothing was changed", or what was, what may have been, and what was to be and was not.
    #[must_use]
    pub fn sentence(&self) -> String {
        let state = self.state();
        let written: BTreeSet<&str> = state.done.iter().filter(|d| d.written).map(|d| &*d.about).collect();
        let mut parts: Vec<String> = Vec::new();
        if written.len() <= IN_FULL {
            parts.extend(state.done.iter().map(|d| d.what.clone()));
        } else {
            let other = state.done.iter().filter(|d| !d.written && !written.contains(&*d.about));
            parts.extend(other.map(|d| d.what.clone()));
            parts.push(format!("{} secrets were written: {}", written.len(), names(written.iter().copied())));
        }
        parts.extend(state.doubts.values().chain(state.hidden.values()).cloned());
        if parts.is_empty() {
            return match &state.undone {
                Some(undone) => format!("nothing was changed in the end: {undone}"),
                None => "nothing was changed".to_owned(),
            };
        }
        let left = state.intended.iter().filter(|id| !written.contains(&***id) && !state.doubts.contains_key(&***id));
        let left = names(left.map(|id| &**id));
        if !left.is_empty() {
            parts.push(format!("not written: {left}"));
        }
        parts.join(", ")
    }

    /// Whether anything was changed, or may have been.
    #[must_use]
    pub fn any(&self) -> bool {
        let state = self.state();
        !state.done.is_empty() || !state.doubts.is_empty()
    }
}

fn names<'a>(ids: impl Iterator<Item = &'a str>) -> String {
    ids.map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_doubt_is_said() {
        let effects = Effects::default();
        assert_eq!((effects.any(), effects.sentence().as_str()), (false, "nothing was changed"));
        effects.may("the secret `a` may have been written");
        assert_eq!((effects.any(), effects.sentence().as_str()), (true, "the secret `a` may have been written"));
        effects.did_not();
        assert!(!effects.any());
        effects.may("the secret `a` may have been written");
        effects.did("the secret `a` was written");
        effects.may("the file may have been written");
        assert_eq!(effects.sentence(), "the secret `a` was written, the file may have been written");
        effects.took_back("the secret `a` was written and taken back");
        let sentence = "nothing was changed in the end: the secret `a` was written and taken back";
        assert_eq!((effects.any(), effects.sentence().as_str()), (false, sentence));
    }

    #[test]
    fn several_writes_under_way_do_not_settle_each_other() {
        let effects = Effects::default();
        effects.intends(["a", "b", "c"].into_iter());
        assert_eq!(effects.sentence(), "nothing was changed");
        let (a, b) = (effects.on("a"), effects.on("b"));
        a.may("`a` may have been written");
        b.may("`b` may have been written");
        a.wrote("`a` was written");
        assert_eq!(effects.sentence(), "`a` was written, `b` may have been written, not written: `c`");
        b.did_not();
        assert_eq!(effects.sentence(), "`a` was written, not written: `b`, `c`");
    }

    #[test]
    fn of_many_writes_the_names_are_said() {
        let effects = Effects::default();
        for id in ["a", "b", "c", "d"] {
            effects.on(id).did(format!("`{id}` was created"));
            effects.on(id).wrote(format!("`{id}` was written (version 1)"));
        }
        effects.on("e").did("`e` was created");
        assert_eq!(effects.sentence(), "`e` was created, 4 secrets were written: `a`, `b`, `c`, `d`");
    }
}

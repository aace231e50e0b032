//! What a run has changed so far, for the first line of an error. Shared between the modes, the stores that write, and
//! `main`, which may cut a run off at any moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A handle; clones speak of the same run.
#[derive(Clone, Debug, Default)]
pub struct Effects(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    done: Vec<String>,
    doubt: Option<String>,
    hidden: Option<String>,
}

impl Effects {
    fn state(&self) -> MutexGuard<'_, State> {
        // The state is a list of sentences: a thread that died while it held the lock has not broken it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called right before a call that changes something: what may be true from now on, whatever is heard of it.
    pub fn may(&self, what: impl Into<String>) {
        self.state().doubt = Some(what.into());
    }

    /// The call changed nothing after all.
    pub fn did_not(&self) {
        self.state().doubt = None;
    }

    /// The call, or something that needed no announcement, changed this.
    pub fn did(&self, what: impl Into<String>) {
        let mut state = self.state();
        state.doubt = None;
        state.done.push(what.into());
    }

    /// What a write of ours may hide until it is mended; `None` when it is.
    pub fn may_hide(&self, what: Option<String>) {
        self.state().hidden = what;
    }

    /// "nothing was changed", or what was and what may have been.
    #[must_use]
    pub fn sentence(&self) -> String {
        let state = self.state();
        let all: Vec<&str> = state.done.iter().chain(&state.doubt).chain(&state.hidden).map(String::as_str).collect();
        if all.is_empty() { "nothing was changed".to_owned() } else { all.join(", ") }
    }

    /// Whether anything was changed, or may have been.
    #[must_use]
    pub fn any(&self) -> bool {
        let state = self.state();
        !state.done.is_empty() || state.doubt.is_some()
    }
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
    }
}

//! Where the places differ, as one small trait; `ci.rs` knows none of them by name after it has chosen one.

use super::{Meta, plain};
use crate::error::{Failure, Kind, Problem};
use crate::secret::Variables;

/// What differs between places. All text that it returns is whole lines; what is not said here is as in a shell.
pub(super) trait Host: Send + Sync {
    /// The command that hides a line; `None` where nobody would obey it.
    fn mask(&self, _line: &str) -> Option<String> {
        None
    }

    fn warning(&self, what: &str, help: Option<&str>) -> String {
        plain::lines("warning: ", what, help)
    }

    /// The problem of this number, from 0.
    fn error(&self, _kind: Kind, problem: &Problem, _number: usize) -> String {
        plain::lines("error: ", &problem.what, problem.help.as_deref())
    }

    fn group(&self, title: &str) -> String {
        plain::lines("", title, None)
    }

    fn end_group(&self) -> String {
        String::new()
    }

    /// Something about this place that endangers values.
    fn caution(&self) -> Option<Problem> {
        None
    }

    fn ready(&self, outputs: bool, export_env: bool) -> Result<(), Failure>;

    fn hand_over(&self, _variables: &Variables, outputs: bool, export_env: bool) -> Result<(), Failure> {
        self.ready(outputs, export_env)
    }

    /// Sets the outputs without values, or returns the text for `outputs_file`.
    fn meta(&self, meta: &Meta) -> Result<Option<String>, Failure> {
        Ok(Some(meta.as_report()))
    }

    /// Whether that text is more than the place accepts.
    fn too_large(&self, _meta: &Meta, _report: &str) -> Option<Problem> {
        None
    }

    /// Tells a later stage of this same step a file to remove, or that there is none; `false` where there is no such stage.
    fn leave(&self, _file: Option<&str>) -> Result<bool, Failure> {
        Ok(false)
    }

    fn summary(&self, _page: &dyn Fn() -> String) -> Result<(), Failure> {
        Ok(())
    }
}

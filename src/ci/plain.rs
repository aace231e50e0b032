//! A shell, a container, or a pipeline that we do not know: lines on stderr, and nothing that any runner would obey.

use super::host::Host;
use super::text::clean;
use crate::error::{Failure, Kind, Problem};

/// Nowhere in particular.
pub(super) struct Plain;

impl Host for Plain {
    fn ready(&self, outputs: bool, export_env: bool) -> Result<(), Failure> {
        only_on_github(outputs, export_env, "read the file in the same shell: `set -a; . ./.env; set +a`")
    }
}

/// What happened in one line, and how to mend it.
pub(super) fn lines(before: &str, what: &str, help: Option<&str>) -> String {
    let mut text = format!("{before}{}\n", clean(what));
    if let Some(help) = help {
        text.push_str(&format!("help: {}\n", fix(help)));
    }
    text
}

/// A fix, and under it the lines to paste, set off so that none is taken for anything else.
pub(super) fn fix(help: &str) -> String {
    help.split('\n').map(clean).collect::<Vec<_>>().join("\n  ")
}

/// Elsewhere nobody would receive what these two hand over, and a secret must not be left where nobody looks for it.
pub(super) fn only_on_github(outputs: bool, export_env: bool, instead: &str) -> Result<(), Failure> {
    let mut problems = Vec::new();
    if outputs {
        problems.push(Problem::new(
            "`outputs` works only on GitHub",
            format!("{instead}; the outputs that hold no values go to `outputs_file`"),
        ));
    }
    if export_env {
        problems.push(Problem::new("`export_env` works only on GitHub", instead));
    }
    Failure::all(Kind::Input, problems).map_or(Ok(()), Err)
}

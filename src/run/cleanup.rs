//! The end of the job: a file that a step created is removed again, so that no later job on the same machine finds it. GitHub
//! starts the image once more for this, as `envsync-cleanup`, and gives it what the step left as its state.

use super::Run;
use crate::ci::Ci;
use crate::config::{Environment, Mode, variable};
use crate::error::Failure;
use crate::file::{self, Target};

/// The name under which the program is started for this stage.
pub const PROGRAM: &str = "envsync-cleanup";

/// Leaves word of the file that this run is about to create, if it is one to be removed.
pub(super) fn announce(run: &mut Run<'_>) -> Result<Option<Target>, Failure> {
    let config = run.config;
    // Only these write the file, and one that is there already is not ours to remove.
    let writes = matches!(config.mode, Mode::Pull | Mode::Sync) && !config.dry_run && config.cleanup;
    let Some(path) = config.env_file.as_deref().filter(|_| writes) else { return Ok(None) };
    let target = run.target(path)?;
    if target.exists() || !run.ci.leave(Some(target.relative()))? {
        return Ok(None);
    }
    Ok(Some(target))
}

/// Takes the word back where the run has not made the file after all: a later step may make one of its own.
pub(super) fn settle(run: &mut Run<'_>, left: Option<&Target>) -> Result<(), Failure> {
    match left {
        Some(target) if !target.exists() => run.ci.leave(None).map(drop),
        _ => Ok(()),
    }
}

/// Removes what the step of this state created.
///
/// # Errors
/// A path that is no longer one in the workspace, or a directory that does not let the file go.
pub fn clean_up(env: &Environment, ci: &mut Ci) -> Result<(), Failure> {
    let Some(path) = variable(env, "STATE_envsync_file") else { return Ok(()) };
    let roots: Vec<_> = variable(env, "RUNNER_TEMP").map(Into::into).into_iter().collect();
    let target = file::target(ci.workspace(), &roots, path)?;
    let gone = if file::remove(&target)? { "removed" } else { "gone already" };
    ci.info(&format!("cleanup: `{}`, which this step created, is {gone}", target.relative()));
    Ok(())
}

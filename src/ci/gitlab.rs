//! GitLab CI, and `gitlab-ci-local`. A mask command would print the value here: by default no runner obeys one, and a job
//! cannot see whether its own does ([`proxy_exec`](https://docs.gitlab.com/runner/configuration/proxy/)).
//!
//! No collapsible sections: they need a clock, and a plan is short.

use super::host::Host;
use super::{Meta, plain};
use crate::config::{Environment, variable};
use crate::error::{Failure, Problem};

/// GitLab refuses a dotenv report of this many bytes or more (`dotenv_size`, the default).
const REPORT: usize = 5120;

/// A job.
pub(super) struct GitLab {
    trace: bool,
}

impl GitLab {
    pub(super) fn new(env: &Environment) -> Self {
        Self { trace: variable(env, "CI_DEBUG_TRACE").is_some_and(|value| value.eq_ignore_ascii_case("true")) }
    }
}

impl Host for GitLab {
    fn caution(&self) -> Option<Problem> {
        self.trace.then(|| {
            Problem::new(
                "`CI_DEBUG_TRACE` is on: the job's shell prints every command, and with `. ./.env` every value",
                "turn it off in jobs that use secrets",
            )
        })
    }

    fn ready(&self, outputs: bool, export_env: bool) -> Result<(), Failure> {
        let instead = "read the file in the `script` of the same job: `set -a; . ./.env; set +a`";
        plain::only_on_github(outputs, export_env, instead)
    }

    fn too_large(&self, meta: &Meta, report: &str) -> Option<Problem> {
        (meta.report && report.len() >= REPORT).then(|| {
            Problem::new(
                format!(
                    "`outputs_file` is {} bytes, and GitLab takes a report of less than {REPORT} by default",
                    report.len()
                ),
                "do not use it as `artifacts: reports: dotenv`, or narrow the names with `include`",
            )
        })
    }
}

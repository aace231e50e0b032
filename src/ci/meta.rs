//! The outputs that hold no values. Pure text.

use super::text::clean;
use crate::config::Config;
use crate::plan::{Change, Plan};
use crate::secret::Key;

/// The output that may hold several lines.
const VERSION: &str = "secret-version";

/// What a run tells later steps and jobs: names, versions and the file, never a value.
pub struct Meta {
    /// Whether somebody wants these outputs as a file.
    pub(super) report: bool,
    pub(super) versions: Vec<String>,
    /// Empty where there is none.
    pub(super) env_file: String,
    /// In the order of the contract (README, "Outputs").
    pub(super) outputs: [(&'static str, String); 10],
}

impl Meta {
    /// `versions`: what was read or written, one a secret. `env_file`: relative to the workspace. `check`: a difference is
    /// drift, and no change; in the other modes it is the other way round. A conflict that nobody decided
    /// is no change. `all-keys` are all names of the plan.
    #[must_use]
    pub fn new(plan: &Plan, versions: Vec<String>, env_file: Option<String>, check: bool, config: &Config) -> Self {
        let keys = |change| names(plan.with(change));
        let differs = plan.has_changes();
        let env_file = env_file.unwrap_or_default();
        Self {
            report: config.outputs_file.is_some(),
            outputs: [
                ("has-changes", (is_written(plan) && !check).to_string()),
                ("has-drift", (differs && check).to_string()),
                ("added-keys", keys(Change::Add)),
                ("updated-keys", keys(Change::Update)),
                ("removed-keys", keys(Change::Remove)),
                ("unchanged-keys", keys(Change::Unchanged)),
                ("conflict-keys", keys(Change::Conflict)),
                ("all-keys", names(plan.steps.iter().map(|step| &step.key))),
                (VERSION, versions.join("\n")),
                ("env-file", env_file.clone()),
            ],
            versions,
            env_file,
        }
    }

    /// The form of GitLab's dotenv report: `KEY=VALUE` lines without quotes, blanks or empty lines
    /// ([parser](https://gitlab.com/gitlab-org/gitlab/-/blob/master/app/services/ci/parse_dotenv_artifact_service.rb)).
    pub(super) fn as_report(&self) -> String {
        let line = |(name, value): &(&str, String)| {
            let upper = name.to_ascii_uppercase().replace('-', "_");
            // GitLab sets the report's variables in later jobs, where this one is an input.
            let upper = if upper == "ENV_FILE" { "ENV_FILE_PATH".to_owned() } else { upper };
            let value = if *name == VERSION { &self.versions.join(",") } else { value };
            format!("ENVSYNC_{upper}={}\n", clean(value))
        };
        self.outputs.iter().map(line).collect()
    }
}

/// A JSON array without blanks. Names need no escapes.
fn names<'a>(keys: impl Iterator<Item = &'a Key>) -> String {
    let quoted: Vec<String> = keys.map(|key| format!("\"{key}\"")).collect();
    format!("[{}]", quoted.join(","))
}

/// Whether a plan changes more than nothing: beside conflicts only what was written before they were met.
pub(super) fn is_written(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| !matches!(step.change, Change::Unchanged | Change::Conflict))
}

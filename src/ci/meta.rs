//! The outputs that hold no values, and the job summary. Pure text.

use super::text::{clean, markdown};
use crate::config::{Config, Mode};
use crate::plan::{Change, Plan, Told};
use crate::secret::Key;

/// The budget of a summary in bytes: one of more than 1,048,576 is dropped as a whole by the runner.
const SUMMARY: usize = 1_000_000;
/// The output that may hold several lines.
const VERSION: &str = "secret-version";

/// What a run tells later steps and jobs: names, versions and the file, never a value.
pub struct Meta {
    mode: Mode,
    dry_run: bool,
    /// Whether somebody wants these outputs as a file.
    pub(super) report: bool,
    versions: Vec<String>,
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
        Self {
            mode: config.mode,
            dry_run: config.dry_run,
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
                ("env-file", env_file.unwrap_or_default()),
            ],
            versions,
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

    fn env_file(&self) -> &str {
        self.outputs.last().map_or("", |(_, file)| file)
    }
}

/// A JSON array without blanks. Names need no escapes.
fn names<'a>(keys: impl Iterator<Item = &'a Key>) -> String {
    let quoted: Vec<String> = keys.map(|key| format!("\"{key}\"")).collect();
    format!("[{}]", quoted.join(","))
}

/// What the page of a run shows.
pub struct Summary<'a> {
    /// By name and change.
    pub plan: &'a Plan,
    /// The outputs of the same run.
    pub meta: &'a Meta,
    /// Variables that some readers of the dialect will not read as they are, and those readers.
    pub misread: &'a [(Key, Vec<&'static str>)],
    /// The secrets, as the configuration names them.
    pub secrets: &'a str,
}

impl Summary<'_> {
    /// As Markdown, small enough to be shown.
    pub(super) fn markdown(&self) -> String {
        let (mode, secrets, file) =
            (mode(self.meta.mode), markdown(&self.secrets.replace('`', "")), markdown(self.meta.env_file()));
        let sides = match (self.meta.mode, file.is_empty()) {
            (_, true) => secrets,
            (Mode::Pull, _) => format!("{secrets} → {file}"),
            (Mode::Push, _) => format!("{file} → {secrets}"),
            (Mode::Check, _) => format!("{secrets} and {file}"),
            (Mode::Sync, _) => format!("{file} ↔ {secrets}"),
        };
        let dry =
            if self.meta.dry_run && self.meta.mode != Mode::Check { " Dry run: nothing was written." } else { "" };
        let told = if self.meta.mode == Mode::Check { Told::AsDifference } else { Told::AsPlan };
        let conflicts = self.plan.count(Change::Conflict) > 0;
        let stopped = if conflicts && !is_written(self.plan) { " Neither side was written." } else { "" };
        let mut page = format!("### envsync {mode}\n\n{sides}: {}.{stopped}{dry}\n", self.plan.counts(told));
        let (changed, same): (Vec<_>, Vec<_>) =
            self.plan.steps.iter().partition(|step| step.change != Change::Unchanged);
        let rows = changed.iter().chain(&same).map(|step| format!("| `{}` | {} |\n", step.key, step.words(told)));
        table(&mut page, "\n| variable | change |\n| --- | --- |\n", rows, SUMMARY / 2);
        if !self.misread.is_empty() {
            page.push_str("\nSome readers of the file take these variables for something else (input `dialect`):\n");
            let rows =
                self.misread.iter().map(|(key, readers)| format!("| `{key}` | {} |\n", markdown(&readers.join(", "))));
            table(&mut page, "\n| variable | misread by |\n| --- | --- |\n", rows, SUMMARY - 1000);
        }
        page.push('\n');
        page
    }
}

/// Whether a plan changes more than nothing: beside conflicts only what was written before they were met.
fn is_written(plan: &Plan) -> bool {
    plan.steps.iter().any(|step| !matches!(step.change, Change::Unchanged | Change::Conflict))
}

fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Pull => "pull",
        Mode::Push => "push",
        Mode::Check => "check",
        Mode::Sync => "sync",
    }
}

fn table(page: &mut String, head: &str, rows: impl Iterator<Item = String>, limit: usize) {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return;
    }
    page.push_str(head);
    while let Some(row) = rows.next() {
        if page.len() + row.len() > limit {
            page.push_str(&format!("\n… and {} more\n", 1 + rows.count()));
            return;
        }
        page.push_str(&row);
    }
}

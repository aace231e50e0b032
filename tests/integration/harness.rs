//! Starts the binary with a cleared environment in a workspace of its own, the way one of three places starts it, and
//! judges what it left. After every run, whatever the test asks for, [`Run::expect`] also asserts that
//! - no known value shows in any stream, except as the data of a mask command on GitHub;
//! - off GitHub nothing looks like a command, and on GitHub only harmless ones are given, on stdout, and all are understood;
//! - the file that was written reads back to one map by `dotenvy` and by the crate's own reader, and prints as it was read;
//! - the outputs without values are there after a success, and no temporary file is left.

mod judge;
mod room;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use envsync::dotenv::Dialect;

pub use room::Room;
pub use rows::{each, nothing_was_changed};

use super::runner::files::{Effects, Raw};
use super::runner::mask::Masker;
use super::runner::{self, Annotation, Order, Step};

/// The outputs that every run sets on GitHub.
pub const META: [&str; 10] = [
    "has-changes",
    "has-drift",
    "added-keys",
    "updated-keys",
    "removed-keys",
    "unchanged-keys",
    "conflict-keys",
    "all-keys",
    "secret-version",
    "env-file",
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    GitHub,
    GitLab,
    Plain,
}

/// One start of the binary, being described.
#[must_use]
pub struct Run {
    room: Arc<Room>,
    place: Place,
    inputs: BTreeMap<String, String>,
    env: Vec<(String, String)>,
    post: bool,
}

impl Room {
    /// A run in this workspace; see [`Run::github`] and its kin.
    pub fn run(self: &Arc<Self>) -> Run {
        let inputs = [("provider", "local"), ("local_store", "store"), ("secret", "app")];
        Run {
            room: Arc::clone(self),
            place: Place::Plain,
            inputs: inputs.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            env: Vec::new(),
            post: false,
        }
    }
}

impl Run {
    /// A run in a workspace of its own, on the local store, of the secret `app`.
    pub fn new() -> Self {
        Room::new().run()
    }

    /// As a container step of a GitHub job: inputs are `INPUT_*`.
    pub fn github(mut self) -> Self {
        self.place = Place::GitHub;
        self
    }

    /// As the post step of a container step that left this state: the same inputs, under the other name of the program.
    pub fn post(mut self, state: &BTreeMap<String, String>) -> Self {
        self.post = true;
        self.env.extend(state.iter().map(|(name, value)| (format!("STATE_{name}"), value.clone())));
        self.github()
    }

    /// In a GitLab job: inputs are `ENVSYNC_*`.
    pub fn gitlab(mut self) -> Self {
        self.place = Place::GitLab;
        self
    }

    /// In a shell, in the workspace: inputs are `ENVSYNC_*`.
    pub fn plain(mut self) -> Self {
        self.place = Place::Plain;
        self
    }

    /// An input by its name; blank takes a preset one away.
    pub fn input(mut self, name: &str, value: &str) -> Self {
        self.inputs.insert(name.to_owned(), value.to_owned());
        self
    }

    /// A variable of the environment, stronger than what the place sets.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// As [`Room::file`].
    pub fn file(self, name: &str, text: impl AsRef<[u8]>) -> Self {
        self.room.file(name, text);
        self
    }

    /// As [`Room::seed`].
    pub fn seed(self, secret: &str, payload: &str) -> Self {
        self.room.seed(secret, payload);
        self
    }

    /// As [`Room::secret_value`].
    pub fn secret_value(self, value: &str) -> Self {
        self.room.secret_value(value);
        self
    }

    /// The process, not yet started, and the directory of its command files.
    pub fn command(&self) -> (Command, PathBuf) {
        let (root, workspace) = (self.room.root.path(), self.room.path(""));
        let workspace = workspace.to_str().unwrap().trim_end_matches('/').to_owned();
        let files = root.join("commands").join(uuid::Uuid::new_v4().to_string());
        fs::create_dir(&files).unwrap();
        // tests/container/run gives a program that starts the image as the runner does, under either name.
        let mut command = match std::env::var("ENVSYNC_TEST_STARTER") {
            Ok(starter) => {
                let mut command = Command::new(starter);
                command.arg(if self.post { "envsync-cleanup" } else { "envsync" });
                command
            }
            Err(_) => Command::new(env!("CARGO_BIN_EXE_envsync")),
        };
        if self.post {
            command.arg0("/usr/local/bin/envsync-cleanup");
        }
        command.env_clear().current_dir(&workspace).stdin(Stdio::null()).env("HOME", root.join("home"));
        match self.place {
            Place::GitHub => {
                for (name, value) in declared_inputs() {
                    command.env(runner::input_variable(&name), value);
                }
                for name in FILES {
                    fs::write(files.join(name), "").unwrap();
                    command.env(name, files.join(name));
                }
                command.envs([("GITHUB_ACTIONS", "true"), ("CI", "true"), ("GITHUB_WORKSPACE", &workspace)]);
                command.envs([("GITHUB_REPOSITORY", "octo/app"), ("RUNNER_OS", "Linux")]);
                command.env("RUNNER_TEMP", root.join("temp"));
            }
            Place::GitLab => {
                command.envs([("GITLAB_CI", "true"), ("CI", "true"), ("CI_PROJECT_DIR", &workspace)]);
                // Elsewhere than in the workspace: the variable decides, not the directory of the process.
                command.current_dir(root.join("home"));
            }
            Place::Plain => {}
        }
        for (name, value) in &self.inputs {
            let variable = match self.place {
                Place::GitHub => runner::input_variable(name),
                Place::GitLab | Place::Plain => format!("ENVSYNC_{}", name.to_uppercase()),
            };
            command.env(variable, value);
        }
        command.envs(self.env.iter().map(|(k, v)| (k, v)));
        (command, files)
    }

    /// Runs it, asserts the exit code and everything that holds for every run.
    #[track_caller]
    pub fn expect(self, code: i32) -> Done {
        self.expect_one_of(&[code])
    }

    /// As [`Run::expect`], where more than one exit code keeps the contract.
    #[track_caller]
    pub fn expect_one_of(self, codes: &[i32]) -> Done {
        let named = self.inputs.get("dialect").map(|names| names.split([',', '\n']));
        let named = named.into_iter().flatten().filter_map(|name| Dialect::named(&name.trim().to_ascii_lowercase()));
        let dialects: Vec<Dialect> = named.collect();
        let env_file = self.inputs.get("env_file").map_or(".env", |given| given.trim()).to_owned();
        let file_before = fs::read(self.room.path(&env_file)).ok();
        let aside_before = self.room.aside();
        let (mut command, files) = self.command();
        let output = command.output().unwrap();
        let raw = Raw {
            output: fs::read(files.join("GITHUB_OUTPUT")).unwrap_or_default(),
            env: fs::read(files.join("GITHUB_ENV")).unwrap_or_default(),
            state: fs::read(files.join("GITHUB_STATE")).unwrap_or_default(),
            path: fs::read(files.join("GITHUB_PATH")).unwrap_or_default(),
            summary: fs::read(files.join("GITHUB_STEP_SUMMARY")).unwrap_or_default(),
        };
        let step = Step::replay(&output.stdout, &output.stderr, Order::StderrFirst, Masker::default());
        let effects = Effects::read(&raw);
        let (job_outputs, dropped) = runner::job_outputs(&effects.outputs, &step.masker);
        let done = Done {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
            outputs: effects.outputs.clone(),
            env: effects.env.clone(),
            state: effects.state.clone(),
            summary: effects.summary.clone().unwrap_or_default(),
            masks: step.masker.values.clone(),
            log: step.log.join("\n"),
            annotations: step.annotations.clone(),
            job_outputs,
            dropped,
            raw,
            room: self.room,
        };
        let expected = done.code.is_some_and(|code| codes.contains(&code));
        assert!(expected, "exit code {:?} in place of {codes:?}\n{}", done.code, done.transcript());
        done.assert_silent(self.place);
        done.assert_understood(self.place, &step, &effects);
        if self.place == Place::GitHub && !self.post && done.code == Some(0) {
            done.assert_outputs();
        }
        done.assert_reads_back(&env_file, file_before.as_deref(), &dialects);
        let left: Vec<_> = done.room.aside().difference(&aside_before).cloned().collect();
        assert!(left.is_empty(), "left aside: {left:?}");
        done
    }
}

const FILES: [&str; 5] = ["GITHUB_OUTPUT", "GITHUB_ENV", "GITHUB_STATE", "GITHUB_PATH", "GITHUB_STEP_SUMMARY"];

/// Every input of `action.yml` with its default: the runner sets all of them, most of them to nothing.
fn declared_inputs() -> Vec<(String, String)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("action.yml")).unwrap_or_default();
    let mut inputs: Vec<(String, String)> = Vec::new();
    let lines = text.lines().skip_while(|line| *line != "inputs:").skip(1);
    for line in lines.take_while(|line| line.is_empty() || line.starts_with([' ', '#'])) {
        if let Some(name) =
            line.strip_prefix("  ").and_then(|rest| rest.strip_suffix(':')).filter(|n| !n.starts_with(' '))
        {
            inputs.push((name.to_owned(), String::new()));
        } else if let (Some(default), Some(input)) = (line.strip_prefix("    default: "), inputs.last_mut()) {
            input.1 = default.trim_matches(['"', '\'']).to_owned();
        }
    }
    inputs
}

/// What a run left.
pub struct Done {
    /// `None` where a signal ended it.
    pub code: Option<i32>,
    /// Unmasked.
    pub stdout: String,
    /// Unmasked.
    pub stderr: String,
    /// Step outputs on GitHub, unmasked.
    pub outputs: BTreeMap<String, String>,
    /// What later steps find in their environment.
    pub env: BTreeMap<String, String>,
    /// What the post step finds as `STATE_*`.
    pub state: BTreeMap<String, String>,
    /// The job summary, empty where there is none.
    pub summary: String,
    /// What `::add-mask::` registered.
    pub masks: BTreeSet<String>,
    /// What a user reads on the run's page.
    pub log: String,
    /// Errors, warnings and notices on GitHub.
    pub annotations: Vec<Annotation>,
    /// The outputs that another job would get.
    pub job_outputs: BTreeMap<String, String>,
    /// What the runner says of those it does not hand on.
    pub dropped: Vec<String>,
    /// The command files as they were left.
    pub raw: Raw,
    /// For the next run.
    pub room: Arc<Room>,
}

impl Done {
    /// Everything a user can read, of both streams.
    pub fn text(&self) -> String {
        let titles: Vec<&str> = self.annotations.iter().map(Annotation::title).collect();
        format!("{}\n{}", self.log, titles.join("\n"))
    }

    /// Asserts that a user is told all of this.
    #[track_caller]
    pub fn says(&self, parts: &[&str]) -> &Self {
        for part in parts {
            assert!(self.text().contains(part), "`{part}` is not said\n{}", self.transcript());
        }
        self
    }

    /// The names in one of the `*-keys` outputs.
    #[track_caller]
    pub fn keys(&self, output: &str) -> Vec<String> {
        let text = self.outputs.get(output).unwrap_or_else(|| panic!("no output `{output}`\n{}", self.transcript()));
        assert!(!text.contains(' '), "`{output}` has a space: {text}");
        serde_json::from_str(text).unwrap_or_else(|e| panic!("`{output}` is no JSON array: {e}: {text}"))
    }

    /// Asserts an output on GitHub.
    #[track_caller]
    pub fn output(&self, name: &str, value: &str) -> &Self {
        assert_eq!(self.outputs.get(name).map(String::as_str), Some(value), "`{name}`\n{}", self.transcript());
        self
    }

    /// The annotations of one level.
    pub fn annotations_of(&self, level: &str) -> Vec<&Annotation> {
        self.annotations.iter().filter(|a| a.level == level).collect()
    }

    fn transcript(&self) -> String {
        format!("--- stdout\n{}\n--- stderr\n{}\n---", self.stdout, self.stderr)
    }
}

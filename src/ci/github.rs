//! GitHub Actions, and what behaves like it: workflow commands on one stream, and command files
//! ([workflow commands](https://docs.github.com/actions/reference/workflow-commands-for-github-actions)).

use std::path::PathBuf;

use uuid::Uuid;

use super::host::Host;
use super::summary::word;
use super::text::{clean, data, property, shortened};
use super::{Meta, plain};
use crate::config::{Environment, variable};
use crate::error::{Failure, Kind, Problem};
use crate::file;
use crate::secret::Variables;

/// More annotations of one level than this are only in the log.
const ANNOTATIONS: usize = 10;
/// The state that the post step finds as `STATE_envsync_file`.
const LEFT: &str = "envsync_file";
/// An annotation is cut at 4,096 UTF-16 units; what failed and how to mend it share them.
const WHAT: usize = 3000;
const HELP: usize = 1000;

/// The command files of this step.
pub(super) struct GitHub {
    output: Option<PathBuf>,
    env: Option<PathBuf>,
    summary: Option<PathBuf>,
    state: Option<PathBuf>,
}

impl GitHub {
    pub(super) fn new(env: &Environment) -> Self {
        let file = |name| variable(env, name).map(PathBuf::from);
        Self {
            output: file("GITHUB_OUTPUT"),
            env: file("GITHUB_ENV"),
            summary: file("GITHUB_STEP_SUMMARY"),
            state: file("GITHUB_STATE"),
        }
    }
}

impl Host for GitHub {
    fn mask(&self, line: &str) -> Option<String> {
        Some(format!("::add-mask::{}\n", data(line)))
    }

    fn warning(&self, what: &str, help: Option<&str>) -> String {
        annotation("warning", "envsync", what, help)
    }

    fn error(&self, kind: Kind, problem: &Problem, number: usize) -> String {
        if number < ANNOTATIONS {
            annotation("error", &format!("envsync: {}", word(kind)), &problem.what, problem.help.as_deref())
        } else {
            plain::lines("error: ", &problem.what, problem.help.as_deref())
        }
    }

    fn group(&self, title: &str) -> String {
        format!("::group::{}\n", data(&clean(title)))
    }

    fn end_group(&self) -> String {
        "::endgroup::\n".to_owned()
    }

    fn ready(&self, _outputs: bool, export_env: bool) -> Result<(), Failure> {
        // The outputs without values are always set.
        let needed = [("GITHUB_OUTPUT", &self.output, true), ("GITHUB_ENV", &self.env, export_env)];
        let mut problems = Vec::new();
        for (name, path, _) in needed.iter().filter(|(.., needed)| *needed) {
            match path {
                // Nothing is added, and yet the file must be there and open for it.
                Some(path) => file::append(path, b"")?,
                None => problems.push(Problem::new(
                    format!("`{name}` is not set, although `GITHUB_ACTIONS` is `true`"),
                    "the runner sets it for every step; where there is no runner, leave `GITHUB_ACTIONS` unset",
                )),
            }
        }
        Failure::all(Kind::Input, problems).map_or(Ok(()), Err)
    }

    fn hand_over(&self, variables: &Variables, outputs: bool, export_env: bool) -> Result<(), Failure> {
        let entries = variables.iter().map(|(key, value)| (key.as_str(), value.expose()));
        if outputs {
            append(self.output.as_ref(), &commands(entries.clone()))?;
        }
        if export_env {
            append(self.env.as_ref(), &commands(entries))?;
        }
        Ok(())
    }

    fn meta(&self, meta: &Meta) -> Result<Option<String>, Failure> {
        let entries = meta.outputs.iter().map(|(name, value)| (*name, value.as_str()));
        append(self.output.as_ref(), &commands(entries))?;
        Ok(None)
    }

    fn leave(&self, file: Option<&str>) -> Result<bool, Failure> {
        if self.state.is_none() {
            return Ok(false);
        }
        append(self.state.as_ref(), &commands([(LEFT, file.unwrap_or_default())].into_iter()))?;
        Ok(true)
    }

    fn summary(&self, page: &dyn Fn() -> String) -> Result<(), Failure> {
        // Old runners have none.
        if self.summary.is_some() { append(self.summary.as_ref(), &page()) } else { Ok(()) }
    }
}

fn append(path: Option<&PathBuf>, text: &str) -> Result<(), Failure> {
    let missing = || Failure::new(Kind::Internal, "a command file of the runner is gone");
    if text.is_empty() {
        return Ok(());
    }
    file::append(path.ok_or_else(missing)?, text.as_bytes())
}

/// Entries of a command file, always in the form that carries any value. Only a line that equals the delimiter ends a value,
/// and nobody can know the delimiter beforehand.
fn commands<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut text = String::new();
    for (name, value) in entries {
        let delimiter = loop {
            let delimiter = format!("ghadelimiter_{}", Uuid::new_v4());
            if !name.contains(&delimiter) && !value.contains(&delimiter) {
                break delimiter;
            }
        };
        for part in [name, "<<", &delimiter, "\n", value, "\n", &delimiter, "\n"] {
            text.push_str(part);
        }
    }
    text
}

fn annotation(level: &str, title: &str, what: &str, help: Option<&str>) -> String {
    let mut message = shortened(&clean(what), WHAT);
    if let Some(help) = help {
        message.push_str("\nhelp: ");
        message.push_str(&shortened(&plain::fix(help), HELP));
    }
    format!("::{level} title={}::{}\n", property(title), data(&message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_files_are_written_as_the_toolkit_writes_them() {
        let text = commands([("k", "l1\n\nl3\n"), ("e", "")].into_iter());
        let delimiters: Vec<&str> = text.lines().filter_map(|line| line.split_once("<<")).map(|(_, d)| d).collect();
        let [first, second] = delimiters[..] else { panic!("two entries") };
        assert_ne!(first, second);
        assert_eq!(text, format!("k<<{first}\nl1\n\nl3\n\n{first}\ne<<{second}\n\n{second}\n"));
        assert!(first.strip_prefix("ghadelimiter_").is_some_and(|uuid| Uuid::parse_str(uuid).is_ok()));
    }

    #[test]
    fn annotations_are_one_line_within_the_limit() {
        let line = annotation("error", "envsync: a, b", "first\n::set-env name=x::y 100%", Some("do ##[this]"));
        assert_eq!(line, "::error title=envsync%3A a%2C b::first\\n::set-env name=x::y 100%25%0Ahelp: do ## [this]\n");
        let pasted = annotation("error", "envsync", "x", Some("add\na:\n  b: 1\n::set-env name=x::y"));
        assert_eq!(pasted, "::error title=envsync::x%0Ahelp: add%0A  a:%0A    b: 1%0A  : :set-env name=x::y\n");
        let long = annotation("error", "envsync", &"x".repeat(9000), Some(&"y".repeat(9000)));
        let (_, message) = long.trim_end().rsplit_once("::").unwrap();
        assert!(message.replace("%0A", "\n").encode_utf16().count() <= 4096);
        assert!(message.contains("help: yyy"), "a long error leaves room for its fix");
    }
}

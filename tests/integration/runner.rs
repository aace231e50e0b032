//! A GitHub runner without the runner: what `actions/runner` (2.336) does with a container step before it starts and with
//! what it printed and wrote, as plain data and pure functions. The rules are those of `src/Runner.Worker` there; where
//! its own behaviour leaves room (the two streams race), the simulator offers the worst case.

pub mod command;
pub mod files;
pub mod mask;

use std::collections::BTreeMap;

use command::Command;
use mask::Masker;

/// At most so many annotations of one level are uploaded for one step; later ones are only in the log.
pub const ANNOTATIONS_A_LEVEL: usize = 10;
/// An annotation's message is cut at so many characters (UTF-16 units).
pub const ANNOTATION_LENGTH: usize = 4096;

/// The variable in which a container step finds an input: only blanks are replaced, dashes and dots stay
/// (`Handler.cs`, `AddInputsToEnvironment`).
pub fn input_variable(name: &str) -> String {
    format!("INPUT_{}", name.replace(' ', "_").to_uppercase())
}

/// A host path as the container sees it: only where the whole value is a mounted path or lies below one, and then by the
/// first mount that fits (`ContainerInfo.TranslateToContainerPath`).
pub fn container_path(mounts: &[(&str, &str)], value: &str) -> String {
    for (host, container) in mounts {
        match value.strip_prefix(host) {
            Some("") => return (*container).to_owned(),
            Some(rest) if rest.starts_with('/') => return format!("{container}{rest}"),
            _ => {}
        }
    }
    value.to_owned()
}

/// The lines of a stream as .NET's `ReadLine` cuts them: LF, CRLF and a lone CR end a line; invalid UTF-8 is replaced.
pub fn lines(stream: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stream);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    if lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// In which order the lines of one batch reach the runner. It empties stderr before stdout, and docker's two streams race.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// What the runner does with a batch; the adversary for a program that masks on stdout and talks on stderr.
    StderrFirst,
    /// The other outcome of the race.
    StdoutFirst,
}

/// `::error::`, `::warning::` or `::notice::`, as the run's page would show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// `error`, `warning` or `notice`.
    pub level: String,
    /// Masked, and cut at [`ANNOTATION_LENGTH`].
    pub message: String,
    /// `title`, `file`, `line`, `col`, `endLine`, `endColumn`, after the runner's own corrections.
    pub properties: BTreeMap<String, String>,
    /// Whether it is among the first [`ANNOTATIONS_A_LEVEL`] of its level.
    pub uploaded: bool,
}

impl Annotation {
    /// The title, or nothing.
    pub fn title(&self) -> &str {
        self.properties.get("title").map_or("", String::as_str)
    }
}

/// What the runner knows after a step has printed all that it prints.
#[derive(Debug, Default)]
pub struct Step {
    /// The log that users read: masked, commands gone.
    pub log: Vec<String>,
    /// Every command that the runner obeyed, in order, masks included.
    pub commands: Vec<Command>,
    /// All annotations, also those that are not uploaded.
    pub annotations: Vec<Annotation>,
    /// Outputs by the old `::set-output::`.
    pub outputs: Vec<(String, String)>,
    /// State by the old `::save-state::`.
    pub state: Vec<(String, String)>,
    /// What fails the step or puts a warning of the runner's own into the log.
    pub complaints: Vec<String>,
    /// The masks of the job from here on.
    pub masker: Masker,
    stopped: Option<String>,
    echo: bool,
}

impl Step {
    /// Reads both streams of a finished step; `masker` holds what earlier steps have masked.
    pub fn replay(stdout: &[u8], stderr: &[u8], order: Order, masker: Masker) -> Self {
        let mut step = Self { masker, ..Self::default() };
        let (first, second) = match order {
            Order::StderrFirst => (stderr, stdout),
            Order::StdoutFirst => (stdout, stderr),
        };
        for line in lines(first).iter().chain(&lines(second)) {
            step.line(line);
        }
        step
    }

    fn line(&mut self, line: &str) {
        match command::parse(line, self.stopped.as_deref()) {
            Some(command) if self.obey(line, &command) => self.commands.push(command),
            _ => self.show(line),
        }
    }

    fn show(&mut self, line: &str) {
        let masked = self.masker.mask(line);
        self.log.push(masked);
    }

    fn complain(&mut self, text: &str) {
        let masked = self.masker.mask(text);
        self.complaints.push(masked);
    }

    /// Whether the line was taken as a command; `false` puts it into the log as it stands.
    fn obey(&mut self, line: &str, command: &Command) -> bool {
        if let Some(token) = &self.stopped {
            if !token.eq_ignore_ascii_case(&command.name) {
                return false;
            }
            self.stopped = None;
            self.show(line);
            return true;
        }
        let name = command.name.to_ascii_lowercase();
        let omits_echo = ["add-mask", "error", "warning", "notice", "debug"].contains(&name.as_str());
        if self.echo && !omits_echo {
            self.show(line);
        }
        match name.as_str() {
            "add-mask" => {
                if self.echo {
                    self.show("::add-mask::***");
                }
                if !self.masker.add_command(&command.data) {
                    self.complain("can't add secret mask for empty string");
                }
            }
            "error" | "warning" | "notice" => self.annotate(name, command),
            "group" => self.show(&format!("##[group]{}", command.data)),
            "endgroup" => self.show("##[endgroup]"),
            "stop-commands" => {
                let bad = command.data.is_empty()
                    || command.data.eq_ignore_ascii_case("pause-logging")
                    || command::is_registered(&command.data);
                if bad {
                    self.complain("invalid stop-commands token");
                } else {
                    self.stopped = Some(command.data.clone());
                }
            }
            "set-env" | "add-path" => self.complain(&format!("the `{name}` command is disabled")),
            "set-output" | "save-state" => self.keep(&name, command),
            "echo" => match command.data.trim().to_ascii_uppercase().as_str() {
                "ON" => self.echo = true,
                "OFF" => self.echo = false,
                _ => self.complain("invalid echo command value"),
            },
            _ => {} // debug and the problem matchers change nothing that is judged here
        }
        true
    }

    fn keep(&mut self, name: &str, command: &Command) {
        let Some(key) = command.properties.get("name").cloned() else {
            self.complain(&format!("required field 'name' is missing in `{name}`"));
            return;
        };
        let pair = (key, command.data.clone());
        if name == "set-output" { self.outputs.push(pair) } else { self.state.push(pair) }
    }

    fn annotate(&mut self, level: String, command: &Command) {
        let masked = self.masker.mask(&command.data);
        let units: Vec<u16> = masked.encode_utf16().take(ANNOTATION_LENGTH).collect();
        let so_far = self.annotations.iter().filter(|a| a.level == level).count();
        self.show(&format!("##[{level}]{}", command.data));
        let mut properties = command.properties.clone();
        for value in properties.values_mut() {
            *value = self.masker.mask(value);
        }
        correct_position(&mut properties);
        self.annotations.push(Annotation {
            level,
            message: String::from_utf16_lossy(&units),
            properties,
            uploaded: so_far < ANNOTATIONS_A_LEVEL,
        });
    }
}

/// `ValidateLinesAndColumns`: an end without a start becomes the start, columns need one line, nothing ends before it starts.
fn correct_position(properties: &mut BTreeMap<String, String>) {
    let number = |p: &BTreeMap<String, String>, key: &str| p.get(key).and_then(|v| v.parse::<i32>().ok());
    for (end, start) in [("endline", "line"), ("endcolumn", "col")] {
        if number(properties, end).is_some() && number(properties, start).is_none() {
            let value = properties[end].clone();
            properties.insert(start.to_owned(), value);
        }
    }
    let drop = |p: &mut BTreeMap<String, String>, keys: [&str; 2]| {
        for key in keys {
            p.remove(key);
        }
    };
    let (line, end) = (number(properties, "line"), number(properties, "endline"));
    let (col, end_col) = (number(properties, "col"), number(properties, "endcolumn"));
    if line.is_none() || (end.is_some() && end != line) {
        drop(properties, ["col", "endcolumn"]);
    }
    if matches!((line, end), (Some(line), Some(end)) if end < line) {
        drop(properties, ["line", "endline"]);
    }
    if matches!((col, end_col), (Some(col), Some(end)) if end < col) {
        drop(properties, ["col", "endcolumn"]);
    }
}

/// What other jobs get of a step's outputs that the job hands on, and what the runner says about those it drops
/// (`JobExtension.cs`: an output that the masker would change is left out, whenever the mask was added).
pub fn job_outputs(outputs: &BTreeMap<String, String>, masker: &Masker) -> (BTreeMap<String, String>, Vec<String>) {
    let mut kept = BTreeMap::new();
    let mut dropped = Vec::new();
    for (name, value) in outputs {
        if masker.mask(value) == *value {
            kept.insert(name.clone(), value.clone());
        } else {
            dropped.push(format!("Skip output '{name}' since it may contain secret."));
        }
    }
    (kept, dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(stdout: &str, stderr: &str) -> Step {
        Step::replay(stdout.as_bytes(), stderr.as_bytes(), Order::StderrFirst, Masker::default())
    }

    #[test]
    fn inputs_keep_dashes_and_dots() {
        assert_eq!(input_variable("aws-region"), "INPUT_AWS-REGION");
        assert_eq!(input_variable("my input.x"), "INPUT_MY_INPUT.X");
    }

    #[test]
    fn only_whole_paths_are_translated() {
        let mounts = [("/home/runner/app/app", "/github/workspace"), ("/home/runner/_temp", "/github/runner_temp")];
        let rows = [
            ("/home/runner/app/app", "/github/workspace"),
            ("/home/runner/app/app/.env", "/github/workspace/.env"),
            ("/home/runner/app/app2", "/home/runner/app/app2"),
            ("/home/runner/_temp/a", "/github/runner_temp/a"),
            ("file:///home/runner/app/app", "file:///home/runner/app/app"),
            ("/home/runner/app/app/a:/home/runner/app/app/b", "/github/workspace/a:/home/runner/app/app/b"),
        ];
        for (host, container) in rows {
            assert_eq!(container_path(&mounts, host), container);
        }
    }

    #[test]
    fn a_lone_cr_ends_a_line() {
        assert_eq!(lines(b"a\rb\r\nc\n\nd"), ["a", "b", "c", "", "d"]);
        assert_eq!(lines(b""), [""; 0]);
        assert_eq!(lines(b"a\n"), ["a"]);
    }

    #[test]
    fn a_mask_on_stdout_comes_too_late_for_stderr() {
        let step = replay("::add-mask::fake-value\nout fake-value\n", "err fake-value\n");
        assert_eq!(step.log, ["err fake-value", "out ***"]);
        let other =
            Step::replay(b"::add-mask::fake-value\n", b"err fake-value\n", Order::StdoutFirst, Masker::default());
        assert_eq!(other.log, ["err ***"]);
    }

    #[test]
    fn stopped_commands_are_text_until_the_token() {
        let step = replay("::stop-commands::tok\n::add-mask::fake\nfake\n::tok::\n::add-mask::fake\nfake\n", "");
        assert_eq!(step.log, ["::add-mask::fake", "fake", "::tok::", "***"]);
    }

    #[test]
    fn the_dangerous_commands_are_refused_and_said() {
        let step = replay("::set-env name=A::b\nx ##[add-path]/p\n", "");
        assert_eq!(step.complaints.len(), 2);
    }

    #[test]
    fn old_outputs_still_count() {
        let step = replay("::set-output name=a::b%0Ac\n::save-state name=s::t\n::set-output::x\n", "");
        assert_eq!(step.outputs, [("a".to_owned(), "b\nc".to_owned())]);
        assert_eq!(step.state, [("s".to_owned(), "t".to_owned())]);
        assert_eq!(step.complaints.len(), 1);
    }

    #[test]
    fn annotations_are_counted_cut_and_corrected() {
        let mut text = "::add-mask::fake-value\n".to_owned();
        for _ in 0..11 {
            text.push_str("::error title=T,endLine=3,col=1::fake-value\n");
        }
        text.push_str(&format!("::warning::{}\n", "x".repeat(5000)));
        let step = replay(&text, "");
        assert_eq!(step.annotations.iter().filter(|a| a.uploaded).count(), 11);
        assert_eq!(step.annotations[0].message, "***");
        assert_eq!(step.annotations[0].title(), "T");
        assert_eq!(step.annotations[0].properties["line"], "3");
        assert_eq!(step.annotations[11].message.len(), ANNOTATION_LENGTH);
        let odd = replay("::error line=9,endLine=3,col=4::x\n", "");
        assert_eq!(odd.annotations[0].properties, BTreeMap::new());
    }

    #[test]
    fn job_outputs_with_a_mask_in_them_are_dropped() {
        let mut masker = Masker::default();
        masker.add("true");
        let outputs = BTreeMap::from([("a".to_owned(), "true".to_owned()), ("b".to_owned(), "1".to_owned())]);
        let (kept, dropped) = job_outputs(&outputs, &masker);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(dropped, ["Skip output 'a' since it may contain secret."]);
    }
}

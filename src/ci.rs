//! The pipeline we run in, and the only code that prints: masks, log lines, annotations, outputs, the summary.
//!
//! On GitHub everything goes to stdout: the runner empties stderr before stdout, so that on two streams a line could
//! overtake the mask that hides it. Elsewhere log lines go to stderr, and a mask command is never printed, because there it
//! would show the value.

#![allow(clippy::disallowed_methods, reason = "this is the room that prints")]

mod github;
mod gitlab;
mod host;
mod mask;
mod meta;
mod names;
mod plain;
mod summary;
mod text;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use globset::GlobSet;

use crate::config::{Environment, variable};
use crate::dotenv::Document;
use crate::error::{Failure, Kind};
use crate::plan::{Change, Plan, Told};
use crate::secret::{Key, Masker, Secret, Variables};
use host::Host;
use mask::Masks;
pub use meta::Meta;
pub use summary::Summary;
use text::list;

/// A warning names so many variables at most.
const NAMED: usize = 50;

/// A line on stderr from a process that ends while its run still holds the other stream. Where nobody reads stderr
/// either, nobody is waited for.
pub fn last_words(line: &str) {
    let (done, heard) = std::sync::mpsc::channel();
    let text = line.to_owned();
    let writer = std::thread::Builder::new().spawn(move || {
        let _ = done.send(std::io::stderr().write_all(text.as_bytes()).is_ok());
    });
    match writer {
        Ok(_) => drop(heard.recv_timeout(std::time::Duration::from_millis(100)).ok()),
        Err(_) => drop(std::io::stderr().write_all(line.as_bytes())),
    }
}

/// The pipeline.
pub struct Ci {
    host: Arc<dyn Host>,
    log: Arc<Mutex<Log>>,
    workspace: PathBuf,
    said: BTreeSet<String>,
    /// The page of the run is there.
    summed_up: bool,
}

/// What is printed and what is hidden in it; shared with whoever makes a secret while the run goes on.
struct Log {
    out: Box<dyn Write + Send>,
    masks: Masks,
    /// A mask could not be printed, so that nothing may be handed over.
    unmasked: bool,
}

impl Log {
    /// Prints whole lines at once, so that nothing comes between, and at once, so that nothing overtakes them.
    fn print(&mut self, lines: &str) -> bool {
        lines.is_empty() || self.out.write_all(lines.as_bytes()).and_then(|()| self.out.flush()).is_ok()
    }

    fn hide(&mut self, host: &dyn Host, masks: &[Secret]) {
        let lines: String = masks.iter().filter_map(|mask| host.mask(mask.expose())).collect();
        self.unmasked |= !self.print(&lines);
    }

    fn hide_configuration(&mut self, host: &dyn Host, secret: &Secret) {
        if host.mask("").is_some() {
            let new = self.masks.configuration(secret);
            self.hide(host, &new);
        }
    }
}

impl Ci {
    /// GitHub where `GITHUB_ACTIONS` is `true`; GitLab where `GITLAB_CI` is set to anything (`gitlab-ci-local` sets it to
    /// `false`) and there is a `CI_PROJECT_DIR`; else a shell. Nothing is printed.
    #[must_use]
    pub fn detect(env: &Environment, cwd: &Path) -> Self {
        if variable(env, "GITHUB_ACTIONS") == Some("true") {
            Self::on(env, cwd, Box::new(std::io::stdout()))
        } else {
            Self::on(env, cwd, Box::new(std::io::stderr()))
        }
    }

    fn on(env: &Environment, cwd: &Path, out: Box<dyn Write + Send>) -> Self {
        let project = variable(env, "CI_PROJECT_DIR").filter(|_| variable(env, "GITLAB_CI").is_some());
        let (host, workspace): (Arc<dyn Host>, _) = if variable(env, "GITHUB_ACTIONS") == Some("true") {
            (Arc::new(github::GitHub::new(env)), variable(env, "GITHUB_WORKSPACE"))
        } else if project.is_some() {
            (Arc::new(gitlab::GitLab::new(env)), project)
        } else {
            (Arc::new(plain::Plain), None)
        };
        let workspace = workspace.map_or_else(|| cwd.to_owned(), PathBuf::from);
        let log = Log { out, masks: Masks::new(), unmasked: false };
        Self { host, log: Arc::new(Mutex::new(log)), workspace, said: BTreeSet::new(), summed_up: false }
    }

    /// `GITHUB_WORKSPACE`, `CI_PROJECT_DIR`, or the current directory.
    #[must_use]
    pub fn workspace(&self) -> &Path {
        &self.workspace
    }

    /// The configuration's rules, for everything that is masked from now on: the shortest mask in characters, and the names
    /// that are no secrets.
    pub fn set_masking(&mut self, min_length: usize, unmasked: GlobSet) {
        self.log().masks.configure(min_length, unmasked);
    }

    /// Masks a key, a token or inline content; to be called before anything else is printed.
    pub fn mask_configuration(&mut self, secret: &Secret) {
        self.log().hide_configuration(self.host.as_ref(), secret);
    }

    /// Hides what comes into being while the run goes on, in the same way.
    #[must_use]
    pub fn masker(&self) -> Masker {
        let (host, log) = (Arc::clone(&self.host), Arc::clone(&self.log));
        Masker::new(move |secret| {
            log.lock().unwrap_or_else(PoisonError::into_inner).hide_configuration(host.as_ref(), secret);
        })
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        // A thread that died while it held the lock has left whole lines.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Masks every value; to be called the moment they arrive. What cannot be masked is said with the plan.
    pub fn mask(&mut self, variables: &Variables) {
        if !self.masks() {
            return;
        }
        let (mut all, mut cut) = (Vec::new(), Vec::new());
        for (key, value) in variables {
            let (new, some_left) = self.log().masks.variable(key, value);
            all.extend(new);
            cut.extend(some_left.then_some(key));
        }
        self.hide(&all);
        if !cut.is_empty() {
            let names = list(cut.into_iter().map(Key::as_str), NAMED);
            let help = "keep such values in files, and out of logs";
            self.warn_once(&format!("values with very many lines are masked only in part: {names}"), Some(help));
        }
    }

    /// Masks every value that a file holds, and its token where that shows the value in another form.
    pub fn mask_document(&mut self, document: &Document) {
        if !self.masks() {
            return;
        }
        let variables = document.variables();
        self.mask(&variables);
        for key in variables.keys() {
            for token in document.tokens(key).into_iter().flatten() {
                self.mask_token(key, &token);
            }
        }
    }

    fn mask_token(&mut self, key: &Key, token: &Secret) {
        let new = self.log().masks.written(key, token);
        self.hide(&new);
    }

    /// Text for a user who asked for it, such as `--help`: on stdout, as it is.
    pub fn text(&mut self, text: &str) {
        let mut out = std::io::stdout();
        // Where nobody listens there is nobody to tell.
        let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    }

    /// A line of the log.
    pub fn info(&mut self, text: &str) {
        let line = plain::lines("", text, None);
        self.print(&line);
    }

    /// Something odd that does no harm, and what to do about it.
    pub fn warning(&mut self, text: &str, help: Option<&str>) {
        let lines = self.host.warning(text, help);
        self.print(&lines);
    }

    /// A warning that is not repeated where the same work is done again.
    pub fn warning_once(&mut self, text: &str) {
        self.warn_once(text, None);
    }

    fn warn_once(&mut self, text: &str, help: Option<&str>) {
        if self.said.insert(text.to_owned()) {
            self.warning(text, help);
        }
    }

    /// Opens a part of the log that can be folded. They do not nest.
    pub fn group(&mut self, title: &str) {
        let line = self.host.group(title);
        self.print(&line);
    }

    /// Ends it.
    pub fn end_group(&mut self) {
        let line = self.host.end_group();
        self.print(&line);
    }

    /// Shows what changes, by name; before it, what is to be known about the values: which are not masked, and what about
    /// this place endangers them.
    pub fn plan(&mut self, title: &str, plan: &Plan, told: Told, dry_run: bool) {
        self.tell_bare();
        if let Some(caution) = self.host.caution() {
            self.warn_once(&caution.what, caution.help.as_deref());
        }
        let head = format!("{title}: {}{}", plan.counts(told), if dry_run { "; nothing is written" } else { "" });
        if !plan.has_changes() {
            return self.info(&head);
        }
        self.group(&head);
        let steps = plan.steps.iter().filter(|step| step.change != Change::Unchanged);
        let lines: String = steps.map(|step| format!("  {}: {}\n", step.words(told), step.key)).collect();
        self.print(&lines);
        self.end_group();
    }

    fn tell_bare(&mut self) {
        let bare = self.log().masks.take_bare();
        if !bare.is_empty() {
            let names = list(bare.iter().map(Key::as_str), NAMED);
            let what = format!("not masked, because the values are too short or plain words: {names}");
            let help = "give them longer values, lower `min_mask_length`, or list them in `unmasked_keys` if they are no secrets";
            self.warning(&what, Some(help));
        }
    }

    /// Shows that a signal ended the run. `changed` as in [`Ci::failure`].
    pub fn ended(&mut self, signal: &str, changed: &str) {
        let lines = plain::lines("envsync: ", &format!("ended by {signal}: {changed}"), None);
        self.print(&lines);
    }

    /// Shows why a run did not do what was asked. `changed` says what was changed nevertheless, or that nothing was.
    pub fn failure(&mut self, changed: &str, failure: &Failure) {
        let mut lines = plain::lines("envsync: ", changed, None);
        for (number, problem) in failure.problems.iter().enumerate() {
            lines.push_str(&self.host.error(failure.kind, problem, number));
        }
        self.print(&lines);
        if !self.summed_up {
            // An extra, and nothing that can be said beside the failure itself.
            let _ = self.host.summary(&|| summary::of_failure(changed, failure));
        }
    }

    /// Whether this place can hand over what is asked; to be called before anything is done.
    ///
    /// # Errors
    /// [`Kind::Input`] where it cannot, and the way that works instead; [`Kind::Unavailable`] for a command file that cannot
    /// be written.
    pub fn ready(&self, outputs: bool, export_env: bool) -> Result<(), Failure> {
        self.host.ready(outputs, export_env)
    }

    /// Whether these variables may be handed over; to be called before anything is written.
    ///
    /// # Errors
    /// [`Kind::Input`] with every variable that may not: a name that would take over later steps or equals another one, a
    /// value that no environment holds.
    pub fn check_names(
        &self,
        variables: &Variables,
        outputs: bool,
        export_env: bool,
        last_wins: bool,
    ) -> Result<(), Failure> {
        self.ready(outputs, export_env)?;
        self.masked(outputs || export_env)?;
        let mut problems = Vec::new();
        if export_env {
            problems.extend(names::not_for_the_environment(variables));
        }
        if outputs {
            problems.extend(names::not_for_outputs(variables, last_wins));
        }
        if outputs || export_env {
            problems.extend(names::not_for_steps(variables));
        }
        Failure::all(Kind::Input, problems).map_or(Ok(()), Err)
    }

    /// Gives every variable to later steps: as outputs, in their environment, or both. Masked and checked before.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] where a command file cannot be written, or a mask could not be given.
    pub fn hand_over(&mut self, variables: &Variables, outputs: bool, export_env: bool) -> Result<(), Failure> {
        self.masked(outputs || export_env)?;
        self.host.hand_over(variables, outputs, export_env)
    }

    /// Sets the outputs that hold no values; elsewhere than on GitHub, returns the bytes for `outputs_file`.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] where the command file cannot be written.
    pub fn meta(&mut self, meta: &Meta) -> Result<Option<Vec<u8>>, Failure> {
        let report = self.host.meta(meta)?;
        if let Some(report) = report {
            if let Some(problem) = self.host.too_large(meta, &report) {
                self.warning(&problem.what, problem.help.as_deref());
            }
            return Ok(Some(report.into_bytes()));
        }
        if meta.report {
            self.warn_once("`outputs_file` is not written on GitHub: the step's outputs say the same", None);
        }
        let hidden = {
            let log = self.log();
            list(meta.outputs.iter().filter(|(_, value)| log.masks.hides(value)).map(|(name, _)| *name), NAMED)
        };
        if !hidden.is_empty() {
            let what = format!(
                "outputs that hold the text of a masked value, so that GitHub keeps them from other jobs: {hidden}"
            );
            let help = "list the variable with that value in `unmasked_keys` if it is no secret; later steps of this job are not \
                        affected";
            self.warning(&what, Some(help));
        }
        Ok(None)
    }

    /// Has a file removed at the end of the job, where there is a stage for that; `None` takes it back.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] where the command file cannot be written.
    pub fn leave(&mut self, file: Option<&str>) -> Result<bool, Failure> {
        self.host.leave(file)
    }

    /// Shows the plan on the page of the run, on GitHub.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] where the command file cannot be written.
    pub fn summary(&mut self, summary: &Summary<'_>) -> Result<(), Failure> {
        self.summed_up = true;
        self.host.summary(&|| summary.markdown())
    }

    /// Whether what is handed over is masked, as far as is known.
    fn masked(&self, handed_over: bool) -> Result<(), Failure> {
        if self.log().unmasked && handed_over {
            return Err(Failure::new(
                Kind::Unavailable,
                "couldn't print the masks, so nothing is handed to later steps",
            )
            .help("let the runner read the standard output of envsync"));
        }
        Ok(())
    }

    fn masks(&self) -> bool {
        self.host.mask("").is_some()
    }

    fn hide(&mut self, masks: &[Secret]) {
        self.log().hide(self.host.as_ref(), masks);
    }

    fn print(&mut self, lines: &str) {
        self.log().print(lines);
    }
}

#[cfg(test)]
mod tests;

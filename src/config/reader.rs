//! Reads single inputs: where each one is given, how its user wrote it, and what kind of value it is. Problems are collected.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::Environment;
use super::registry::INPUTS;
use crate::error::Problem;
use crate::secret::Key;

pub(super) struct Given<'a> {
    pub(super) value: &'a str,
    pub(super) shown: String,
}

pub(super) struct Reader<'a> {
    pub(super) env: &'a Environment,
    pub(super) given: BTreeMap<&'static str, Given<'a>>,
    with: bool,
    pub(super) problems: Vec<Problem>,
}

/// `ENVSYNC_ENV-FILE` and `INPUT_env file` are `env_file`.
fn normalised(name: &str) -> String {
    name.to_ascii_lowercase().replace(['-', ' '], "_")
}

impl<'a> Reader<'a> {
    pub(super) fn new(env: &'a Environment, garbled: &[String]) -> Self {
        let mut reader = Self { env, given: BTreeMap::new(), with: false, problems: Vec::new() };
        // Taking them for unset would push another file, or everything that was to be left out.
        for name in garbled.iter().filter(|name| ["INPUT_", "ENVSYNC_", "AWS_"].iter().any(|p| name.starts_with(p))) {
            reader.problems.push(Problem::new(format!("`{name}` is no UTF-8 text"), "give it as UTF-8, or unset it"));
        }
        // INPUT_ comes first: what a step says wins over what its job says.
        for prefix in ["INPUT_", "ENVSYNC_"] {
            let mut here: BTreeMap<&'static str, Given<'a>> = BTreeMap::new();
            for (variable, value) in env {
                let Some(name) = variable.strip_prefix(prefix).map(normalised) else { continue };
                let Some(input) = INPUTS.iter().find(|input| input.name == name) else { continue };
                reader.with |= prefix == "INPUT_";
                let value = value.trim();
                if value.is_empty() {
                    continue;
                }
                let shown = if prefix == "INPUT_" { format!("with: {name}") } else { variable.clone() };
                if here.get(input.name).is_some_and(|other| other.value != value) {
                    reader.problems.push(Problem::new(
                        format!("`{shown}` is given twice in two spellings, with different values"),
                        "give it once",
                    ));
                }
                here.insert(input.name, Given { value, shown });
            }
            for (name, given) in here {
                reader.given.entry(name).or_insert(given);
            }
        }
        reader
    }

    /// The input as its user wrote it, or would write it.
    pub(super) fn shown(&self, name: &str) -> String {
        match self.given.get(name) {
            Some(given) => given.shown.clone(),
            None if self.with => format!("with: {name}"),
            None => format!("ENVSYNC_{}", name.to_ascii_uppercase()),
        }
    }

    pub(super) fn problem(&mut self, name: &str, what: &str, help: impl Into<String>) {
        let what = format!("`{}` {what}", self.shown(name));
        self.problems.push(Problem::new(what, help));
    }

    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &str,
        text: Option<&str>,
        words: &[(&str, T)],
        default: Option<T>,
    ) -> Option<T> {
        let allowed = || words.iter().map(|(word, _)| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        match text {
            None if default.is_some() => default,
            None => {
                self.problem(name, "is missing", format!("give one of {}", allowed()));
                None
            }
            Some(text) => {
                let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text)).map(|(_, value)| *value);
                if found.is_none() {
                    let what = format!("is `{}`, which is not known", text.escape_default());
                    self.problem(name, &what, format!("give one of {}", allowed()));
                }
                found
            }
        }
    }

    pub(super) fn flag(&mut self, name: &str, text: Option<&str>, default: bool) -> bool {
        self.choice(name, text, &[("true", true), ("false", false)], Some(default)).unwrap_or(default)
    }

    pub(super) fn number(&mut self, name: &str, text: Option<&str>, default: u32, range: RangeInclusive<u32>) -> u32 {
        let Some(text) = text else { return default };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let what = format!("is `{}`, which is no number in its range", text.escape_default());
                self.problem(name, &what, format!("give a number from {} to {}", range.start(), range.end()));
                default
            }
        }
    }

    pub(super) fn globs(&mut self, name: &str, text: Option<&str>) -> GlobSet {
        let mut set = GlobSetBuilder::new();
        for pattern in list(text) {
            // No name is that long, and the nesting of a longer one could exhaust the stack of whoever parses it.
            if pattern.len() > 1000 {
                self.problem(name, "holds a glob of more than 1,000 characters", "write shorter ones, one a line");
                continue;
            }
            match Glob::new(pattern) {
                Ok(glob) => {
                    set.add(glob);
                }
                Err(error) => {
                    let what = format!("holds `{}`, which is no glob: {}", pattern.escape_default(), error.kind());
                    self.problem(
                        name,
                        &what,
                        "write names with `*`, `?`, `[a-z]` or `{one,other}` on lines of their own",
                    );
                }
            }
        }
        match set.build() {
            Ok(set) => set,
            Err(error) => {
                self.problem(name, &format!("cannot be used: {}", error.kind()), "write fewer or shorter globs");
                GlobSet::empty()
            }
        }
    }

    pub(super) fn keys(&mut self, name: &str, text: Option<&str>) -> Vec<Key> {
        let mut keys = Vec::new();
        for item in list(text) {
            match Key::new(item) {
                Some(key) => keys.push(key),
                None => {
                    let what = format!("holds `{}`, which is no name of a variable", item.escape_default());
                    self.problem(name, &what, "a name has letters, digits and `_`, and no digit at its start");
                }
            }
        }
        keys
    }
}

/// Items on lines or between commas, without blank ones.
pub(super) fn list(text: Option<&str>) -> impl Iterator<Item = &str> {
    let items = text.unwrap_or_default().split(['\n', ',']);
    items.map(str::trim).filter(|item| !item.is_empty())
}

/// What an earlier run's `outputs_file` may have set, in a GitLab job that loads it as a dotenv report.
const REPORTED: [&str; 10] = [
    "has_changes",
    "has_drift",
    "added_keys",
    "updated_keys",
    "removed_keys",
    "unchanged_keys",
    "conflict_keys",
    "all_keys",
    "secret_version",
    "env_file_path",
];

/// `ENVSYNC_*` variables that are no input, with the input that was probably meant.
pub(super) fn unknown_inputs(env: &Environment) -> Vec<Problem> {
    let unknown = env.keys().filter_map(|variable| {
        let name = normalised(variable.strip_prefix("ENVSYNC_")?);
        if INPUTS.iter().any(|input| input.name == name) || REPORTED.contains(&name.as_str()) {
            return None;
        }
        let near = INPUTS.iter().map(|input| (strsim::jaro_winkler(input.name, &name), input.name));
        let best = near.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.8);
        let help = match best {
            Some((_, name)) => format!("did you mean ENVSYNC_{}?", name.to_ascii_uppercase()),
            None => "`envsync --help` lists all inputs".to_owned(),
        };
        Some(Problem::new(format!("`{variable}` is no input and has no effect"), help))
    });
    unknown.collect()
}

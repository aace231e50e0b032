//! Raw inputs become a [`Config`], or every problem that they have.

use std::time::Duration;

use super::reader::{Reader, list};
use super::registry::Raw;
use super::{Bounds, Config, Mode, Shape, Store};
use crate::document::Format;
use crate::dotenv::Dialect;
use crate::error::{Failure, Kind};
use crate::plan::{Prefer, Scope};
use crate::reference::{self, Entry, Provider};
use crate::secret::{Key, Secret};

impl Reader<'_> {
    fn entries(&mut self, provider: Provider, text: Option<&str>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for line in reference::lines(text.unwrap_or("envsync-secrets")) {
            match reference::parse(provider, line) {
                Ok(entry) => entries.push(entry),
                Err(why) => {
                    let what = format!("holds `{}`, which {why}", line.escape_default());
                    self.problem(
                        "secret",
                        &what,
                        "write one entry a line: `[NAME =] ID[?version=V | ?stage=S][#json.path]`",
                    );
                }
            }
        }
        if entries.is_empty() && self.problems.is_empty() {
            self.problem(
                "secret",
                "names no secret",
                "write one entry a line; what follows a blank and a `#` is a comment",
            );
        }
        entries
    }

    /// Who will read the file, each once; the first one is whose form it has.
    fn dialects(&mut self, text: Option<&str>) -> Vec<Dialect> {
        let words: Vec<_> = Dialect::ALL.iter().map(|dialect| (dialect.name(), *dialect)).collect();
        let mut dialects = Vec::new();
        for word in list(text.or(Some(Dialect::Portable.name()))) {
            let dialect = self.choice("dialect", Some(word), &words, None);
            dialects.extend(dialect.filter(|dialect| !dialects.contains(dialect)));
        }
        if dialects.is_empty() && self.problems.is_empty() {
            self.problem("dialect", "names no dialect", "give one or several, in lines or commas");
        }
        dialects
    }

    /// An input that only some modes have.
    fn only(&mut self, name: &str, given: bool, mode: Option<Mode>, modes: &[Mode], words: &str) {
        if let Some(mode) = mode
            && given
            && !modes.contains(&mode)
        {
            self.problem(name, &format!("is given, which works with {words} only"), "take it out, or change the mode");
        }
    }

    pub(super) fn config(mut self, raw: &Raw) -> Result<Config, Failure> {
        let modes = [("pull", Mode::Pull), ("push", Mode::Push), ("check", Mode::Check), ("sync", Mode::Sync)];
        let mode = self.choice("mode", raw.mode.as_deref(), &modes, Some(Mode::Pull));
        let providers =
            [("aws", Provider::Aws), ("gcp", Provider::Gcp), ("azure", Provider::Azure), ("local", Provider::Local)];
        let provider = self.choice("provider", raw.provider.as_deref(), &providers, None);
        let entries = match provider {
            Some(provider) => self.entries(provider, raw.secret.as_deref()),
            None => Vec::new(),
        };
        let env_file = raw.env_file.as_deref().unwrap_or(".env");
        let env_file = (!env_file.eq_ignore_ascii_case("false")).then(|| env_file.to_owned());
        let upper = self.choice("case", raw.case.as_deref(), &[("keep", false), ("upper", true)], Some(false));
        let formats = [("json", Some(Format::Json)), ("dotenv", Some(Format::Dotenv))];
        let format = self.choice("format", raw.format.as_deref(), &formats, Some(None));
        let last =
            self.choice("on_collision", raw.on_collision.as_deref(), &[("error", false), ("last", true)], Some(false));
        let safe =
            self.choice("concurrency", raw.concurrency.as_deref(), &[("safe", true), ("none", false)], Some(true));
        let dialects = self.dialects(raw.dialect.as_deref());
        let include = raw.include.as_deref().map(|text| self.globs("include", Some(text)));
        let scope = Scope { include, exclude: self.globs("exclude", raw.exclude.as_deref()) };
        let texts = |text: Option<&str>| list(text).map(str::to_owned).collect::<Vec<_>>();
        let bounds = Bounds {
            include: raw.include.as_deref().map(|text| texts(Some(text))),
            exclude: texts(raw.exclude.as_deref()),
        };
        let shape = Shape {
            strip_prefix: raw.strip_prefix.clone().unwrap_or_default(),
            add_prefix: raw.add_prefix.clone().unwrap_or_default(),
            upper: upper.unwrap_or_default(),
        };
        if raw.add_prefix.as_deref().is_some_and(|prefix| Key::new(prefix).is_none()) {
            let help = "it has letters, digits and `_`, and no digit at its start";
            self.problem("add_prefix", "is nothing that a variable's name can begin with", help);
        }
        let required = self.keys("required_keys", raw.required_keys.as_deref());
        let delete = self.flag("delete", raw.delete.as_deref(), false);
        let max_deletes = self.number("max_deletes", raw.max_deletes.as_deref(), 10, 0..=1_000_000);
        let prefers = [("fail", Prefer::Fail), ("file", Prefer::File), ("secret", Prefer::Secret)];
        let prefer = self.choice("prefer", raw.prefer.as_deref(), &prefers, Some(Prefer::Fail)).unwrap_or_default();
        let dry_run = self.flag("dry_run", raw.dry_run.as_deref(), false);
        let create = self.flag("create", raw.create.as_deref(), true);
        let recover_deleted = self.flag("recover_deleted", raw.recover_deleted.as_deref(), false);
        let fail_on_drift = self.flag("fail_on_drift", raw.fail_on_drift.as_deref(), true);
        let outputs = self.flag("outputs", raw.outputs.as_deref(), false);
        let export_env = self.flag("export_env", raw.export_env.as_deref(), false);
        let cleanup = self.flag("cleanup", raw.cleanup.as_deref(), true);
        let unmasked = self.globs("unmasked_keys", raw.unmasked_keys.as_deref());
        let min_mask_length = self.number("min_mask_length", raw.min_mask_length.as_deref(), 4, 1..=1024);
        let timeout = self.number("timeout_seconds", raw.timeout_seconds.as_deref(), 120, 1..=86_400);

        for (name, given) in [("strip_prefix", &raw.strip_prefix), ("add_prefix", &raw.add_prefix)] {
            self.only(name, given.is_some(), mode, &[Mode::Pull, Mode::Check], "`pull` and `check`");
        }
        self.only("case", shape.upper, mode, &[Mode::Pull, Mode::Check], "`pull` and `check`");
        self.only("prefer", prefer != Prefer::Fail, mode, &[Mode::Sync], "`sync`");
        self.only("content", raw.content.is_some(), mode, &[Mode::Push], "`push`");
        self.only("outputs", outputs, mode, &[Mode::Pull], "`pull`");
        self.only("export_env", export_env, mode, &[Mode::Pull], "`pull`");
        if env_file.is_none() && mode.is_some_and(|mode| mode != Mode::Pull) {
            self.problem("env_file", "is `false`, which works with `pull` only", "name the file, or change the mode");
        }
        if mode == Some(Mode::Pull) && env_file.is_none() && !outputs && !export_env {
            self.problem(
                "env_file",
                "is `false`, and nothing else is to be handed over",
                "set `outputs` or `export_env` to `true`",
            );
        }
        if raw.content.is_some() && raw.env_file.is_some() && mode == Some(Mode::Push) {
            let what = format!("and `{}` are both given", self.shown("env_file"));
            self.problem("content", &what, "give the one that is to be pushed");
        }
        if let Some(mode @ (Mode::Push | Mode::Sync)) = mode {
            self.one_receiver(&entries, mode);
        }
        if mode == Some(Mode::Push) && delete && entries.iter().any(Entry::is_pattern) {
            let what = "is on, and a push to a pattern never deletes a secret";
            self.problem("delete", what, "take it out, and delete secrets by the means of the store");
        }
        if provider.is_some_and(|provider| provider != Provider::Local) {
            self.proxies();
        }
        let mut missing_login = None;
        let store = match provider {
            Some(Provider::Local) => {
                Some(Store::Local { directory: raw.local_store.clone().unwrap_or_else(|| ".envsync".to_owned()) })
            }
            Some(Provider::Aws) => self.aws(raw, &entries, &mut missing_login).map(Store::Aws),
            Some(Provider::Gcp) => self.gcp(raw, &entries, &mut missing_login).map(Store::Gcp),
            Some(Provider::Azure) => self.azure(raw, &entries, &mut missing_login).map(Store::Azure),
            None => None,
        };
        if self.problems.is_empty()
            && let Some(failure) = missing_login
        {
            return Err(failure);
        }
        self.problems.extend(missing_login.into_iter().flat_map(|failure| failure.problems));
        if let Some(failure) = Failure::all(Kind::Input, self.problems) {
            return Err(failure);
        }
        let (Some(mode), Some(store)) = (mode, store) else {
            return Err(Failure::new(Kind::Internal, "the configuration is incomplete and no problem was found in it"));
        };
        Ok(Config {
            mode,
            entries,
            store,
            env_file,
            content: raw.content.as_deref().map(Secret::from),
            scope,
            bounds,
            shape,
            separator: raw.flatten_separator.clone().unwrap_or_else(|| "_".to_owned()),
            required,
            template: raw.template.clone(),
            format: format.flatten(),
            delete,
            max_deletes: max_deletes as usize,
            prefer,
            dry_run,
            last_wins: last.unwrap_or_default(),
            create,
            recover_deleted,
            safe: safe.unwrap_or(true),
            fail_on_drift,
            outputs,
            export_env,
            dialects,
            cleanup,
            unmasked,
            min_mask_length: min_mask_length as usize,
            outputs_file: raw.outputs_file.clone(),
            timeout: Duration::from_secs(timeout.into()),
            ca_file: raw.ca_file.clone(),
        })
    }

    /// What is written is one whole document; a push also writes all that one pattern stands for.
    fn one_receiver(&mut self, entries: &[Entry], mode: Mode) {
        let word = if mode == Mode::Push { "push" } else { "sync" };
        if entries.len() > 1 {
            let what = format!("names several secrets, and a {word} writes one");
            self.problem("secret", &what, format!("{word} each in a step of its own"));
        }
        if mode == Mode::Sync && entries.iter().any(Entry::is_pattern) {
            let what = "holds a pattern, and a sync is of one document, whose versions it can go back to";
            self.problem("secret", what, "pull or push the pattern, or keep the variables in one secret");
        } else if let Some(entry) = entries.iter().find(|entry| !entry.is_document() && !entry.is_pattern()) {
            let what = format!("holds `{entry}`, and a {word} writes a whole document in its current version");
            let help = format!("write `{}`, without a name, a version, a stage or a path", entry.reference.id);
            self.problem("secret", &what, help);
        }
    }
}

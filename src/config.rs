//! From the environment to a validated [`Config`]: every problem is found and reported together, each naming the variable
//! as its user wrote it (`with: secret` on GitHub, `ENVSYNC_SECRET` elsewhere).

mod clouds;
mod proxy;
mod reader;
pub mod registry;

pub use clouds::{Aws, Azure, AzureCloud, Gcp};

use std::collections::BTreeMap;
use std::time::Duration;

use globset::GlobSet;

use crate::auth;
use crate::document::Format;
use crate::dotenv::Dialect;
use crate::error::{Failure, Kind, Problem};
use crate::plan::{Prefer, Scope};
use crate::reference::{self, Entry, Provider, Reference};
use crate::secret::{Key, Secret};
use reader::{Reader, list, unknown_inputs};
use registry::{INPUTS, Raw};

/// The process environment, as `main` found it. Blank means unset.
pub type Environment = BTreeMap<String, String>;

/// A variable that is set to something else than blanks.
#[must_use]
pub fn variable<'a>(env: &'a Environment, name: &str) -> Option<&'a str> {
    env.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The file receives.
    Pull,
    /// The secret receives.
    Push,
    /// Nothing is written; any difference is drift.
    Check,
    /// Both receive what the other one changed since they were last in step.
    Sync,
}

/// How names of the secret become names of the file (`pull`, `check`).
#[derive(Clone, Debug, Default)]
pub struct Shape {
    strip_prefix: String,
    add_prefix: String,
    upper: bool,
}

impl Shape {
    /// The name that the file has for a name of the secret.
    #[must_use]
    pub fn apply(&self, name: &str) -> String {
        let stripped = name.strip_prefix(self.strip_prefix.as_str()).unwrap_or(name);
        let shaped = format!("{}{stripped}", self.add_prefix);
        if self.upper { shaped.to_uppercase() } else { shaped }
    }

    /// Whether names stay as they are.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.strip_prefix.is_empty() && self.add_prefix.is_empty() && !self.upper
    }
}

/// The globs of `include` and `exclude` as they were given: what a base line keeps of [`Scope`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// `None` is all.
    pub include: Option<Vec<String>>,
    /// What is left out of it.
    pub exclude: Vec<String>,
}

/// How to reach the store.
pub enum Store {
    /// The embedded store.
    Local {
        /// Its directory, relative to the workspace.
        directory: String,
    },
    /// AWS Secrets Manager.
    Aws(Aws),
    /// Google Secret Manager.
    Gcp(Gcp),
    /// Azure Key Vault.
    Azure(Azure),
}

impl Store {
    /// Which login was chosen, and why; `None` where there is none.
    #[must_use]
    pub fn because(&self) -> Option<&str> {
        match self {
            Self::Local { .. } => None,
            Self::Aws(aws) => Some(&aws.login.because),
            Self::Gcp(gcp) => Some(&gcp.login.because),
            Self::Azure(azure) => Some(&azure.login.because),
        }
    }

    /// Which store it is.
    #[must_use]
    pub fn provider(&self) -> Provider {
        match self {
            Self::Local { .. } => Provider::Local,
            Self::Aws(_) => Provider::Aws,
            Self::Gcp(_) => Provider::Gcp,
            Self::Azure(_) => Provider::Azure,
        }
    }

    /// Where the secrets of a pattern were looked for, to be put behind it; empty where its own name says it.
    #[must_use]
    pub fn where_listed(&self, which: &Reference) -> String {
        match self {
            Self::Aws(aws) => aws.region.as_ref().map_or_else(String::new, |region| format!(" in {region}")),
            Self::Gcp(gcp) if !which.id.contains('/') => {
                gcp.project.as_ref().map_or_else(String::new, |project| format!(" in the project {project}"))
            }
            _ => self.place(which),
        }
    }

    /// Where a secret was looked for, to be put behind "does not exist"; empty where its own name says it.
    #[must_use]
    pub fn place(&self, which: &Reference) -> String {
        match self {
            Self::Local { .. } => String::new(),
            Self::Aws(aws) => which
                .region
                .as_ref()
                .or(aws.region.as_ref())
                .map_or_else(String::new, |r| format!(" in {r}, or has no value yet")),
            Self::Gcp(gcp) if !which.id.contains('/') => {
                gcp.project.as_ref().map_or_else(String::new, |p| format!(" in the project {p}, or has no value yet"))
            }
            Self::Azure(azure) if !which.id.contains('/') => {
                azure.vault.as_ref().map_or_else(String::new, |vault| format!(" in {vault}"))
            }
            Self::Gcp(_) | Self::Azure(_) => String::new(),
        }
    }
}

/// Everything that a run needs to know, validated.
pub struct Config {
    /// What to do.
    pub mode: Mode,
    /// Which secrets, at least one; exactly one document for `push` and `sync`, or one pattern for `push`.
    pub entries: Vec<Entry>,
    /// How to reach them.
    pub store: Store,
    /// The file relative to the workspace; `None` for `env_file: false`.
    pub env_file: Option<String>,
    /// `push`: given in place of the file.
    pub content: Option<Secret>,
    /// Which names take part.
    pub scope: Scope,
    /// The same as text.
    pub bounds: Bounds,
    /// How names are shaped.
    pub shape: Shape,
    /// What joins nested names.
    pub separator: String,
    /// Names that must be there.
    pub required: Vec<Key>,
    /// A file whose names must be there.
    pub template: Option<String>,
    /// How a document is written, where it was said.
    pub format: Option<Format>,
    /// Remove what the giving side does not have.
    pub delete: bool,
    /// The most that `delete` removes.
    pub max_deletes: usize,
    /// `sync`: what decides a conflict.
    pub prefer: Prefer,
    /// Do everything except writing.
    pub dry_run: bool,
    /// Of two equal names the last one counts.
    pub last_wins: bool,
    /// Create a missing secret.
    pub create: bool,
    /// Recover a secret scheduled for deletion.
    pub recover_deleted: bool,
    /// Lose no update of another writer.
    pub safe: bool,
    /// `check` ends with exit code 6 on any difference.
    pub fail_on_drift: bool,
    /// Step outputs.
    pub outputs: bool,
    /// Environment of later steps.
    pub export_env: bool,
    /// Who reads the file.
    pub dialects: Vec<Dialect>,
    /// Names that are no secrets.
    pub unmasked: GlobSet,
    /// The shortest value that is masked, in characters.
    pub min_mask_length: usize,
    /// Have a file that this run creates removed at the end of the job.
    pub cleanup: bool,
    /// Where the outputs without values go, elsewhere than on GitHub.
    pub outputs_file: Option<String>,
    /// The bound of the whole run.
    pub timeout: Duration,
    /// Certificate authorities to add.
    pub ca_file: Option<String>,
}

/// What reading the environment gives, even where the configuration is wrong.
pub struct Reading {
    /// The configuration, or everything that is wrong with it.
    pub config: Result<Config, Failure>,
    /// What must be masked before anything is printed.
    pub secrets: Vec<Secret>,
    /// What is odd and does no harm.
    pub warnings: Vec<Problem>,
}

/// The variables of other tools that hold credentials.
const FOREIGN_SECRETS: [&str; 12] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "ACTIONS_ID_TOKEN_REQUEST_TOKEN",
    "AWS_ID_TOKEN",
    "GCP_ID_TOKEN",
    "AZURE_ID_TOKEN",
    "AZURE_JWT",
    "GITLAB_OIDC_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "IDENTITY_HEADER",
];

/// Reads and validates all inputs. `garbled`: variables whose values are no UTF-8 text.
#[must_use]
pub fn read(env: &Environment, garbled: &[String]) -> Reading {
    let reader = Reader::new(env, garbled);
    let mut secrets: Vec<Secret> = FOREIGN_SECRETS.iter().filter_map(|n| variable(env, n)).map(Secret::from).collect();
    for input in INPUTS.iter().filter(|input| input.secret) {
        secrets.extend(reader.given.get(input.name).map(|given| Secret::from(given.value)));
    }
    // What a key file holds beside the key names people and projects, which logs may show.
    secrets.extend(reader.given.get("gcp_credentials_json").and_then(|given| auth::private_key(given.value)));
    let warnings = unknown_inputs(env);
    let pairs = reader.given.iter().map(|(name, given)| ((*name).to_owned(), given.value.to_owned()));
    let config = match envy::from_iter::<_, Raw>(pairs.collect::<Vec<_>>()) {
        Ok(raw) => reader.config(&raw),
        // All fields are optional text, so this cannot happen; if it does, it is a defect and not the user's.
        Err(error) => Err(Failure::new(Kind::Internal, format!("couldn't read the inputs: {error}"))),
    };
    Reading { config, secrets, warnings }
}

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

    fn config(mut self, raw: &Raw) -> Result<Config, Failure> {
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

#[cfg(test)]
mod tests;

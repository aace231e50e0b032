//! From the environment to a validated [`Config`]: every problem is found and reported together, each naming the variable
//! as its user wrote it (`with: secret` on GitHub, `ENVSYNC_SECRET` elsewhere).

mod clouds;
mod proxy;
mod reader;
pub mod registry;
mod validate;

pub use clouds::{Aws, Azure, AzureCloud, Gcp};

use std::collections::BTreeMap;
use std::time::Duration;

use globset::GlobSet;

use crate::auth;
use crate::document::Format;
use crate::dotenv::Dialect;
use crate::error::{Failure, Kind, Problem};
use crate::plan::{Prefer, Scope};
use crate::reference::{Entry, Provider, Reference};
use crate::secret::{Key, Secret};
use reader::{Reader, unknown_inputs};
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

#[cfg(test)]
mod tests;

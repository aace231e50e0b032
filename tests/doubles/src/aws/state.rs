//! Secrets, their versions, and the staging labels on them: the rules that hold whoever writes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::ACCOUNT;

/// The most labels that all versions of one secret hold together.
/// <https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html>
pub const MAX_LABELS: usize = 20;

/// Seconds since 1970, as AWS writes every time.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |t| t.as_secs_f64())
}

/// Who calls, as far as it matters here.
pub struct Caller {
    /// The access key id.
    pub key: String,
    /// The region that the request is signed for.
    pub region: String,
}

/// An error of the service. All of them are HTTP 400 (JSON 1.1).
pub struct Refusal {
    pub code: &'static str,
    pub message: String,
}

impl Refusal {
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub fn not_found() -> Self {
        Self::new("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
    }

    pub fn parameter(message: impl Into<String>) -> Self {
        Self::new("InvalidParameterException", message)
    }

    pub fn request(message: impl Into<String>) -> Self {
        Self::new("InvalidRequestException", message)
    }
}

/// What one version holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// `SecretString`.
    Text(String),
    /// `SecretBinary`.
    Binary(Vec<u8>),
}

/// One version: immutable, but for its labels.
pub struct Version {
    pub id: String,
    pub payload: Payload,
    pub stages: Vec<String>,
    pub created: f64,
}

/// One secret.
pub struct Secret {
    pub name: String,
    pub arn: String,
    pub region: String,
    pub description: Option<String>,
    pub tags: serde_json::Value,
    pub created: f64,
    pub changed: f64,
    /// When it will be gone, where its deletion is scheduled.
    pub deleted: Option<f64>,
    pub rotation: bool,
    pub owner: Option<String>,
    /// In the order in which they were made. AWS drops unlabelled ones only beyond 100 and after 24 hours, so never here.
    pub versions: Vec<Version>,
}

impl Secret {
    pub fn version(&self, id: &str) -> Option<&Version> {
        self.versions.iter().find(|v| v.id == id)
    }

    /// The version that a label is on.
    pub fn labelled(&self, stage: &str) -> Option<&Version> {
        self.versions.iter().find(|v| v.stages.iter().any(|s| s == stage))
    }

    /// Takes a label off whatever version it is on, and gives that version's id.
    pub fn detach(&mut self, stage: &str) -> Option<String> {
        let holder = self.versions.iter_mut().find(|v| v.stages.iter().any(|s| s == stage))?;
        holder.stages.retain(|s| s != stage);
        Some(holder.id.clone())
    }

    /// Puts a label on a version; a label is on one version only, and where AWSCURRENT leaves one, AWSPREVIOUS follows.
    pub fn attach(&mut self, stage: &str, id: &str) {
        let from = self.detach(stage);
        if let Some(version) = self.versions.iter_mut().find(|v| v.id == id) {
            version.stages.push(stage.to_owned());
        }
        if let (true, Some(from)) = (stage == "AWSCURRENT", from)
            && from != id
        {
            self.attach("AWSPREVIOUS", &from);
        }
    }

    /// How many labels there are in all.
    pub fn label_count(&self) -> usize {
        self.versions.iter().map(|v| v.stages.len()).sum()
    }

    /// Adds a version with these labels. The first one of a secret gets AWSCURRENT, whatever was asked.
    pub fn add(&mut self, id: &str, payload: Payload, stages: &[String]) {
        let first = self.versions.is_empty();
        self.versions.push(Version { id: id.to_owned(), payload, stages: Vec::new(), created: now() });
        for stage in stages {
            self.attach(stage, id);
        }
        if first {
            self.attach("AWSCURRENT", id);
        }
        self.changed = now();
    }
}

/// Everything that the service knows.
pub struct State {
    secrets: BTreeMap<(String, String), Secret>,
    /// The most items of one page.
    pub page: usize,
    /// Whether the second page of every list leads to itself.
    pub endless: bool,
    /// The names of secrets whose values nobody may read.
    pub denied: BTreeSet<String>,
}

impl Default for State {
    fn default() -> Self {
        Self { secrets: BTreeMap::new(), page: 100, endless: false, denied: BTreeSet::new() }
    }
}

impl State {
    /// A secret by name, by ARN, or by ARN without the six characters at its end, in one region. An ARN of another region
    /// is not found there.
    pub fn find(&self, region: &str, id: &str) -> Option<&Secret> {
        let (region, name) = self.key(region, id)?;
        self.secrets.get(&(region, name))
    }

    /// As [`State::find`].
    pub fn find_mut(&mut self, region: &str, id: &str) -> Option<&mut Secret> {
        let (region, name) = self.key(region, id)?;
        self.secrets.get_mut(&(region, name))
    }

    fn key(&self, region: &str, id: &str) -> Option<(String, String)> {
        let in_region = || self.secrets.values().filter(|s| s.region == region);
        let partial = |s: &&Secret| s.arn.rsplit_once('-').is_some_and(|(start, _)| start == id);
        let found = if id.starts_with("arn:") {
            in_region().find(|s| s.arn == id).or_else(|| in_region().find(partial))?
        } else {
            self.secrets.get(&(region.to_owned(), id.to_owned()))?
        };
        Some((found.region.clone(), found.name.clone()))
    }

    /// All secrets of a region by name.
    pub fn all(&self, region: &str) -> impl Iterator<Item = &Secret> {
        self.secrets.values().filter(move |s| s.region == region)
    }

    /// An empty secret, replacing nothing: one of that name stays as it is.
    pub fn create(&mut self, region: &str, name: &str) -> &mut Secret {
        self.secrets.entry((region.to_owned(), name.to_owned())).or_insert_with(|| {
            let partition = match region {
                r if r.starts_with("cn-") => "aws-cn",
                r if r.starts_with("us-gov-") => "aws-us-gov",
                _ => "aws",
            };
            let random = Uuid::new_v4().simple().to_string();
            Secret {
                name: name.to_owned(),
                arn: format!("arn:{partition}:secretsmanager:{region}:{ACCOUNT}:secret:{name}-{}", &random[..6]),
                region: region.to_owned(),
                description: None,
                tags: serde_json::Value::Null,
                created: now(),
                changed: now(),
                deleted: None,
                rotation: false,
                owner: None,
                versions: Vec::new(),
            }
        })
    }

    /// A new current version, in a secret that is made where it is missing.
    pub fn seed(&mut self, region: &str, name: &str, payload: Payload) -> String {
        let id = Uuid::new_v4().to_string();
        self.create(region, name).add(&id, payload, &["AWSCURRENT".to_owned()]);
        id
    }

    /// Ends a secret at once.
    pub fn purge(&mut self, region: &str, id: &str) {
        if let Some(key) = self.key(region, id) {
            self.secrets.remove(&key);
        }
    }
}

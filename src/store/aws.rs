//! AWS Secrets Manager: a true compare-and-swap, made of a version under a label of ours and the move of `AWSCURRENT`.
//!
//! `UpdateSecretVersionStage` fails where `RemoveFromVersionId` no longer carries the label
//! ([API](https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_UpdateSecretVersionStage.html)), and that is
//! the lost race. A new version is therefore put under [`PENDING`] first, which does not move `AWSCURRENT`.

mod batch;
mod read;
mod trouble;
mod write;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::{
    BehaviorVersion, Builder, Region, SharedCredentialsProvider, StalledStreamProtectionConfig,
};

use super::{Allowed, Commit, Listed, Payload, Snapshot, Store, Version, is_empty};
use crate::auth::{self, Means};
use crate::config;
use crate::effects::Effects;
use crate::error::{Failure, Kind};
use crate::http::aws::{self, AwsHttp};
use crate::reference::{Entry, Reference};
use trouble::Trouble;

const CURRENT: &str = "AWSCURRENT";
/// One fixed label, because a secret bears about 20 in all. `AWSPENDING` belongs to rotation and is never touched.
const PENDING: &str = "ENVSYNC_PENDING";
/// How many requests are under way at once.
const AT_ONCE: usize = 16;
/// [Quotas](https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html).
const MAX_BYTES: usize = 65_536;

/// Clients for the regions that the entries name.
pub struct Aws {
    clients: BTreeMap<String, Client>,
    default_region: String,
    allowed: Allowed,
    effects: Effects,
    /// How often a race was lost to a writer that nothing shows.
    unseen: RefCell<HashMap<String, u32>>,
    /// `BatchGetSecretValue` was refused once: it will be again.
    no_batch: Cell<bool>,
}

impl Aws {
    /// Logs in, and prepares a client a region.
    ///
    /// # Errors
    /// What the login says.
    pub async fn new(
        settings: &config::Aws,
        entries: &[Entry],
        means: Means,
        allowed: Allowed,
        effects: Effects,
    ) -> Result<Self, Failure> {
        let default_region = settings.region.clone().unwrap_or_default();
        // A configuration without a region names all secrets by their ARNs.
        let first = entries.first().and_then(|entry| entry.reference.region.as_ref());
        let login_region = settings.region.as_ref().or(first).unwrap_or(&default_region);
        let credentials = auth::aws::log_in(settings, login_region, &means).await?;
        let mut clients = BTreeMap::new();
        for entry in entries {
            let region = entry.reference.region.as_ref().unwrap_or(&default_region);
            let conf = || conf(settings, region, &means.http, credentials.clone());
            clients.entry(region.clone()).or_insert_with(|| Client::from_conf(conf()));
        }
        Ok(Self { clients, default_region, allowed, effects, unseen: RefCell::default(), no_batch: Cell::new(false) })
    }

    fn region<'a>(&'a self, which: &'a Reference) -> &'a str {
        which.region.as_deref().unwrap_or(&self.default_region)
    }

    fn client(&self, which: &Reference) -> Result<&Client, Failure> {
        let missing = || Failure::new(Kind::Internal, format!("no client was made for the region of `{which}`"));
        self.clients.get(self.region(which)).ok_or_else(missing)
    }

    fn trouble<E, R>(&self, operation: &'static str, which: &Reference, error: &R) -> Trouble
    where
        R: trouble::Told<E>,
    {
        error.told(operation, &which.id, self.region(which))
    }

    /// How often a race for this secret was lost to a writer that nothing shows.
    fn unseen(&self, which: &Reference) -> u32 {
        self.unseen.borrow().get(&which.id).copied().unwrap_or_default()
    }
}

#[async_trait(?Send)]
impl Store for Aws {
    async fn fetch(&self, which: &[Reference]) -> Vec<Result<Option<Snapshot>, Failure>> {
        self.read(which).await
    }

    async fn commit(
        &self,
        which: &Reference,
        expected: Option<&Version>,
        payload: &Payload,
    ) -> Result<Commit, Failure> {
        self.write(which, expected, payload).await
    }

    async fn list(&self, which: &Reference) -> Result<Vec<Listed>, Failure> {
        self.find(which).await
    }

    fn identity(&self, which: &Reference) -> Result<String, Failure> {
        Ok(if which.region.is_some() { which.id.clone() } else { format!("{}:{}", self.region(which), which.id) })
    }
}

fn conf(
    settings: &config::Aws,
    region: &str,
    http: &reqwest::Client,
    credentials: SharedCredentialsProvider,
) -> aws_sdk_secretsmanager::Config {
    let mut builder = Builder::new()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(credentials)
        .http_client(AwsHttp::new(http.clone()))
        .retry_config(aws::retry())
        .timeout_config(aws::timeouts())
        .retry_classifier(aws::Passing)
        // It looks at streams, and would take an answer that the adapter is still waiting for as a stalled one after 5 s;
        // the bound of an attempt is the one above.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .use_fips(settings.fips)
        .use_dual_stack(settings.dual_stack);
    builder.set_endpoint_url(settings.endpoint.clone());
    builder.build()
}

/// Whether the service holds a payload of this size.
///
/// # Errors
/// [`Kind::Input`] for one that is empty or too large.
pub(super) fn check_size(which: &Reference, payload: &Payload) -> Result<(), Failure> {
    let bytes = payload.text.expose().len();
    if bytes == 0 {
        return Err(is_empty(which, "AWS Secrets Manager"));
    }
    if bytes > MAX_BYTES {
        let what = format!("the secret `{}` would have {bytes} bytes; AWS Secrets Manager holds {MAX_BYTES}", which.id);
        return Err(Failure::new(Kind::Input, what)
            .help("split it into several secrets, or leave variables out with `exclude`"));
    }
    Ok(())
}

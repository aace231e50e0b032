//! The modes, to be read from top to bottom: both sides become variables, a plan compares them, and it is applied or not.

mod base;
pub mod cleanup;
mod file_side;
mod gather;
mod giver;
mod progress;
mod push_many;
mod report;
mod rescue;
mod secret_side;
mod sync;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use tokio::time::Instant;

use crate::auth::Means;
use crate::ci::Ci;
use crate::config::{Config, Environment, Mode, variable};
use crate::document;
use crate::dotenv::Document;
use crate::effects::Effects;
use crate::error::{Failure, Kind};
use crate::file::{self, Target};
use crate::http;
use crate::plan::{self, Plan, Policy, Refused, Told};
use crate::reference::{Entry, Reference};
use crate::secret::{Key, Variables};
use crate::store::{self, Planned, Store};
use gather::Gathered;
use rescue::{Own, Rescue};

/// Everything that the modes share.
struct Run<'a> {
    config: &'a Config,
    ci: &'a mut Ci,
    effects: &'a Effects,
    store: &'a dyn Store,
    /// Directories outside the workspace in which files may lie.
    roots: Vec<PathBuf>,
    deadline: Instant,
}

/// Does what the configuration says. Everything that is printed goes through `ci`; `effects` says what was changed, also
/// when the run is cut off.
///
/// # Errors
/// Everything that keeps the run from doing all that was asked, drift included.
pub async fn run(
    config: &Config,
    env: &Environment,
    ci: &mut Ci,
    effects: &Effects,
    deadline: Instant,
) -> Result<(), Failure> {
    ci.ready(config.outputs, config.export_env)?;
    let workspace = ci.workspace().to_owned();
    let ca = match &config.ca_file {
        Some(path) => Some((path.as_str(), file::read_any(&workspace.join(path))?)),
        None => None,
    };
    let ca = ca.as_ref().map(|(path, content)| (*path, content.bytes()));
    if let Some(because) = config.store.because() {
        ci.info(&format!("auth: {because}"));
    }
    let means = Means { http: http::client(ca)?, mask: ci.masker(), workspace };
    let store = store::connect(config, means, effects).await?;
    let roots = variable(env, "RUNNER_TEMP").map(PathBuf::from).into_iter().collect();
    let mut run = Run { config, ci, effects, store: store.as_ref(), roots, deadline };
    // Whatever is wrong with a path is wrong before anything is written.
    let outputs_file = config.outputs_file.as_deref().map(|path| run.outputs_file(path)).transpose()?;
    // Said before the file is there, so that a run that is cut off has said it too.
    let left = cleanup::announce(&mut run)?;
    let outcome = match config.mode {
        Mode::Pull => run.pull().await,
        Mode::Push => run.push().await,
        Mode::Check => run.check().await,
        Mode::Sync => run.sync().await,
    };
    cleanup::settle(&mut run, left.as_ref())?;
    let outcome = outcome?;
    run.report(&outcome, outputs_file.as_ref()).await?;
    match config.mode {
        Mode::Pull | Mode::Push => Ok(()),
        Mode::Check => run.drift(&outcome.plan),
        Mode::Sync => run.conflict(&outcome.plan),
    }
}

/// What a mode found and did.
#[derive(Default)]
struct Outcome {
    plan: Plan,
    /// What was read or written, one a secret.
    versions: Vec<String>,
    target: Option<Target>,
    /// The file as it stands after the run, where it received.
    document: Option<Document>,
    /// The secret that gave each variable, where several were read.
    sources: HashMap<Key, String>,
}

impl Run<'_> {
    async fn pull(&mut self) -> Result<Outcome, Failure> {
        let config = self.config;
        let target = config.env_file.as_deref().map(|path| self.target(path)).transpose()?;
        let required = self.required()?;
        let Gathered { variables: mut giver, versions, sources, .. } = self.gather(&required).await?;
        if giver.is_empty() {
            if config.delete {
                return Err(refused(&Refused::GiverEmpty, config.max_deletes));
            }
            return Err(Failure::new(
                Kind::Input,
                format!("there is nothing to pull: {} gives no variable", self.names()),
            )
            .help("push variables to it, or look at `include` and `exclude`"));
        }
        self.ci.check_names(&giver, config.outputs, config.export_env, config.last_wins)?;
        let (plan, document) = match &target {
            Some(target) => {
                let version = versions.first().filter(|_| versions.len() == 1).map(String::as_str);
                let (plan, document) = self.receive(target, &mut giver, version).await?;
                (plan, Some(document))
            }
            // Without a file every variable is new to the steps that receive it.
            None => (self.plan(&giver, &Variables::new(), None)?, None),
        };
        self.ci.plan(&format!("pull {}", self.names()), &plan, Told::AsPlan, config.dry_run);
        if !config.dry_run && (config.outputs || config.export_env) {
            self.effects.may("variables may have been handed to later steps");
            if let Err(failure) = self.ci.hand_over(&giver, config.outputs, config.export_env) {
                // Each file takes all or nothing, so what failed as the only one has handed nothing over.
                if !(config.outputs && config.export_env) {
                    self.effects.did_not();
                }
                return Err(failure);
            }
            self.effects.did(format!("{} variables were handed to later steps", giver.len()));
        }
        Ok(Outcome { plan, versions, target, document, sources })
    }

    async fn push(&mut self) -> Result<Outcome, Failure> {
        let config = self.config;
        let required = self.required()?;
        let (mut giver, target) = self.giver()?;
        giver.retain(|key, _| config.scope.holds(key.as_str()));
        self.ci.mask(&giver);
        require(&required, &giver, "the giving side")?;
        let which = which(config)?;
        self.tell_unsafe();
        if config.entries.iter().any(Entry::is_pattern) {
            let (plan, versions) = self.push_many(which, &mut giver).await?;
            self.ci.plan(&format!("push to {}", self.names()), &plan, Told::AsPlan, config.dry_run);
            return Ok(Outcome { plan, versions, target, ..Outcome::default() });
        }
        let mut first: Option<Plan> = None;
        let mut last = Plan::default();
        let (mut at_first, mut after) = (Variables::new(), Variables::new());
        let mut mine: BTreeSet<Key> = BTreeSet::new();
        let mut overruled: BTreeSet<Key> = BTreeSet::new();
        let mut rescue = Rescue::new(config, which);
        let written =
            store::update(self.store, which, self.deadline, self.effects, None, &mut |snapshot, raced, history| {
                let mut document = secret_side::document(config, which, snapshot)?;
                self.mask_overtaken(which, &raced.overtaken);
                let own = Own::Stands(&mine);
                let Some(rescued) = rescue.bring_back(&mut document, &raced.overtaken, &own, history)? else {
                    return Ok(Planned::LookBack);
                };
                overruled.extend(rescued.overruled);
                let receiver = secret_side::variables(&document);
                self.ci.mask(&receiver);
                document::align(&mut giver, &receiver);
                let plan = self.plan(&giver, &receiver, first.is_some().then_some(&mine))?;
                after = plan::applied(&plan, &giver, &receiver);
                let changed = secret_side::changed(config, which, snapshot, document, &plan, &giver, rescued.changed)?;
                // After a lost race the first plan is what was meant, and only its names may still change.
                if first.is_none() {
                    mine = plan.touched();
                    at_first = receiver;
                    first = Some(plan.clone());
                } else {
                    let others = plan.touched().into_iter().filter(|key| receiver.get(key) != at_first.get(key));
                    overruled.extend(others);
                }
                last = plan;
                Ok(changed.map(|changed| changed.payload).into())
            })
            .await?;
        let version = written.version.map(|version| version.to_string());
        for remark in written.remarks.iter().chain(&rescue.remark()) {
            self.ci.warning(remark, None);
        }
        if !overruled.is_empty() {
            let names: Vec<String> = overruled.iter().map(|key| format!("`{key}`")).collect();
            let names = names.join(", ");
            self.ci.warning(&format!("somebody else changed what this push has written over: {names}"), None);
        }
        if let (Some(target), Some(version), false) = (&target, &version, config.dry_run) {
            self.move_on_after_push(target, &after, version).await;
        }
        // Where another run has done the same in the meantime, nothing was left to do.
        let plan = if written.changed || config.dry_run { first.unwrap_or_default() } else { last };
        self.ci.plan(&format!("push to {}", self.names()), &plan, Told::AsPlan, config.dry_run);
        Ok(Outcome { plan, versions: version.into_iter().collect(), target, ..Outcome::default() })
    }

    async fn check(&mut self) -> Result<Outcome, Failure> {
        let target = self.env_file()?;
        file::sweep(&target);
        let required = self.required()?;
        let file = self.existing(&target, "create it, or name another one with `env_file`")?;
        let Gathered { variables: mut secret, versions, sources, .. } = self.gather(&required).await?;
        document::align(&mut secret, &file);
        let plan = plan::drift(&secret, &file, &self.config.scope);
        let title = format!("check {} against `{}`", self.names(), target.relative());
        self.ci.plan(&title, &plan, Told::AsDifference, true);
        Ok(Outcome { plan, versions, target: Some(target), sources, ..Outcome::default() })
    }

    /// Any difference fails a check, unless it is asked not to.
    fn drift(&self, plan: &Plan) -> Result<(), Failure> {
        if !plan.has_changes() || !self.config.fail_on_drift {
            return Ok(());
        }
        let what = format!("the secret and the file differ: {}", plan.counts(Told::AsDifference));
        Err(Failure::new(Kind::Refused, what).help("pull or push, or set `fail_on_drift` to `false`"))
    }

    /// The variables of the secrets, masked and complete, and what else is known of them.
    async fn gather(&mut self, required: &[Key]) -> Result<Gathered, Failure> {
        let gathered = gather::gather(self.config, self.store, self.effects, self.ci).await?;
        self.ci.mask(&gathered.variables);
        self.tell_remarks(&gathered.remarks);
        require(required, &gathered.variables, "the secret")?;
        Ok(gathered)
    }

    /// `required_keys` and the names of `template`.
    fn required(&mut self) -> Result<Vec<Key>, Failure> {
        let mut required = self.config.required.clone();
        if let Some(path) = &self.config.template {
            let target = self.target(path)?;
            required.extend(self.names_in(&target, "correct `template`, or create the file")?);
        }
        Ok(required)
    }

    fn tell_unsafe(&mut self) {
        if !self.config.safe {
            self.ci.info("concurrency: none, so what others write into the secret at the same time may be lost");
        }
    }

    fn plan(&self, giver: &Variables, receiver: &Variables, only: Option<&BTreeSet<Key>>) -> Result<Plan, Failure> {
        let Config { scope, delete, max_deletes, .. } = self.config;
        let policy = Policy { scope, delete: *delete, max_deletes: *max_deletes, only };
        plan::two_way(giver, receiver, &policy).map_err(|why| refused(&why, *max_deletes))
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.config.entries.iter().map(|entry| format!("`{entry}`")).collect();
        names.join(", ")
    }
}

/// The one secret that is written.
fn which(config: &Config) -> Result<&Reference, Failure> {
    let none = || Failure::new(Kind::Internal, "nothing is named that could be written");
    config.entries.first().map(|entry| &entry.reference).ok_or_else(none)
}

fn refused(why: &Refused, max_deletes: usize) -> Failure {
    match why {
        Refused::GiverEmpty => {
            Failure::new(Kind::Refused, "`delete` is on, and the giving side holds no variable at all")
                .help("look at the giving side; to empty the other one, remove its variables by hand")
        }
        Refused::TooMany { wanted } => {
            let what = format!("{wanted} variables would be removed, and `max_deletes` is {max_deletes}");
            Failure::new(Kind::Refused, what)
                .help("look at what both sides hold with `mode: check`, then raise `max_deletes`")
        }
    }
}

fn require(required: &[Key], variables: &Variables, side: &str) -> Result<(), Failure> {
    let missing: Vec<String> =
        required.iter().filter(|key| !variables.contains_key(*key)).map(|key| format!("`{key}`")).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Kind::NotFound, format!("{side} lacks required variables: {}", missing.join(", ")))
        .help("add them, or take them out of `required_keys` and the template"))
}

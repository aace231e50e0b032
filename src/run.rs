//! The modes, to be read from top to bottom: both sides become variables, a plan compares them, and it is applied or not.

mod gather;

use std::collections::BTreeSet;
use std::path::PathBuf;

use tokio::time::Instant;

use crate::ci::{Ci, Meta, Summary};
use crate::config::{Config, Environment, Mode, Store as Settings, variable};
use crate::document::{self, Document as Payload, Format};
use crate::dotenv::Document as Dotenv;
use crate::error::{Failure, Kind, Problem};
use crate::file::{self, Target, Written};
use crate::plan::{self, Change, Plan, Policy, Refused};
use crate::reference::Reference;
use crate::secret::{Key, Secret, Variables};
use crate::store::{self, Form, Snapshot, Store};

/// What a run has changed so far, in sentences, for the first line of an error.
#[derive(Default)]
pub struct Effects {
    done: Vec<String>,
}

impl Effects {
    /// "nothing was changed", or what was.
    #[must_use]
    pub fn sentence(&self) -> String {
        if self.done.is_empty() { "nothing was changed".to_owned() } else { self.done.join(", ") }
    }

    /// Whether anything was changed.
    #[must_use]
    pub fn any(&self) -> bool {
        !self.done.is_empty()
    }

    fn add(&mut self, what: String) {
        self.done.push(what);
    }
}

/// Everything that the modes share.
struct Run<'a> {
    config: &'a Config,
    ci: &'a mut Ci,
    effects: &'a mut Effects,
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
    effects: &mut Effects,
    deadline: Instant,
) -> Result<(), Failure> {
    ci.ready(config.outputs, config.export_env)?;
    let workspace = ci.workspace().to_owned();
    let ca = match &config.ca_file {
        Some(path) => Some((path.as_str(), file::read_any(&workspace.join(path))?)),
        None => None,
    };
    let store = store::connect(config, &workspace, ca.as_ref().map(|(path, content)| (*path, content.bytes())))?;
    if let Settings::Aws(aws) = &config.store {
        ci.info(&format!("auth: {}", aws.login.because));
    }
    let roots = variable(env, "RUNNER_TEMP").map(PathBuf::from).into_iter().collect();
    let mut run = Run { config, ci, effects, store: store.as_ref(), roots, deadline };
    match config.mode {
        Mode::Pull => run.pull().await,
        Mode::Push => run.push().await,
        Mode::Check => run.check().await,
    }
}

impl Run<'_> {
    async fn pull(&mut self) -> Result<(), Failure> {
        let config = self.config;
        let target = config.env_file.as_deref().map(|path| self.target(path)).transpose()?;
        let required = self.required()?;
        let mut gathered = gather::gather(config, self.store).await?;
        self.ci.mask(&gathered.variables);
        self.remark(&gathered.remarks);
        require(&required, &gathered.variables, "the secret")?;
        self.ci.check_names(&gathered.variables, config.outputs, config.export_env, config.last_wins)?;

        let (plan, document) = match &target {
            Some(target) => self.receive(target, &mut gathered.variables).await?,
            // Without a file every variable is new to the steps that receive it.
            None => (self.plan(&gathered.variables, &Variables::new(), None)?, None),
        };
        self.ci.plan(&format!("pull {}", self.names()), &plan, config.dry_run);
        if !config.dry_run {
            self.ci.hand_over(&gathered.variables, config.outputs, config.export_env)?;
            if config.outputs || config.export_env {
                self.effects.add(format!("{} variables were handed to later steps", gathered.variables.len()));
            }
        }
        self.report(&plan, gathered.versions, target.as_ref(), document.as_ref(), false)
    }

    /// Brings the file up to the giver's values, and again from the start when somebody else changed it meanwhile.
    async fn receive(&mut self, target: &Target, giver: &mut Variables) -> Result<(Plan, Option<Dotenv>), Failure> {
        file::sweep(target);
        loop {
            let before = file::read(target)?;
            let mut document = self.document(target.relative(), before.as_ref().map_or(&[][..], |s| s.bytes()))?;
            let receiver = document.variables();
            document::align(giver, &receiver);
            let plan = self.plan(giver, &receiver, None)?;
            apply(&plan, giver, &mut document)?;
            self.ci.mask_written(&document, giver);
            if self.config.dry_run || !plan.has_changes() {
                return Ok((plan, Some(document)));
            }
            let bytes = document.print();
            let expected = plan::applied(&plan, giver, &receiver);
            self.reads_back(target, &bytes, &expected)?;
            match file::replace(target, before.as_ref(), &bytes)? {
                Written::Done { note } => {
                    self.effects.add(format!("the file `{}` was written", target.relative()));
                    self.remark(&note.map(|what| Problem { what, help: None }).into_iter().collect::<Vec<_>>());
                    return Ok((plan, Some(document)));
                }
                Written::ChangedMeanwhile | Written::Busy => {
                    if Instant::now() >= self.deadline {
                        let what = format!("others kept writing `{}` until the time was up", target.relative());
                        return Err(Failure::new(Kind::Refused, what).help("run it again when nobody else writes the file"));
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(fastrand::u64(1..20))).await;
                }
            }
        }
    }

    /// What is about to be written must read as what it stands for: a defect here would lose values.
    fn reads_back(&self, target: &Target, bytes: &[u8], expected: &Variables) -> Result<(), Failure> {
        let read = Dotenv::parse(bytes.to_vec(), &self.config.dialects).map(|document| document.variables());
        if read.is_ok_and(|read| read.len() == expected.len() && expected.iter().all(|(key, value)| read.get(key) == Some(value))) {
            return Ok(());
        }
        Err(Failure::new(Kind::Internal, format!("`{}` would not read back as it is meant, and was not written", target.relative()))
            .help("this is a defect of envsync: please report it, without the values"))
    }

    async fn push(&mut self) -> Result<(), Failure> {
        let config = self.config;
        let required = self.required()?;
        let (mut giver, target) = self.giver()?;
        self.ci.mask(&giver);
        require(&required, &giver, "the file")?;
        let Some(entry) = config.entries.first() else {
            return Err(Failure::new(Kind::Internal, "a push without a secret"));
        };
        let which = &entry.reference;
        let store = self.store;
        let mut shown: Option<Plan> = None;
        let mut intended: Option<BTreeSet<Key>> = None;
        let written = store::update(store, which, self.deadline, |snapshot| {
            if let Some(remark) = snapshot.and_then(|s| s.remark.clone()) {
                self.effects.add(remark);
            }
            let mut document = self.payload(which, snapshot)?;
            let receiver = self.receiver(&document);
            self.ci.mask(&receiver);
            document::align(&mut giver, &receiver);
            let plan = self.plan(&giver, &receiver, intended.as_ref())?;
            let payload = self.changed(which, snapshot, &mut document, &plan, &giver)?;
            // After a lost race the first plan is what was done, and only its names may still change.
            intended.get_or_insert_with(|| plan.touched());
            shown.get_or_insert(plan);
            Ok(payload.filter(|_| !config.dry_run))
        })
        .await?;
        if written.changed {
            let version = written.version.as_ref().map(ToString::to_string).unwrap_or_default();
            self.effects.add(format!("the secret `{which}` was written (version {version})"));
        }
        let plan = shown.unwrap_or_default();
        self.remark(&written.remarks.into_iter().map(|what| Problem { what, help: None }).collect::<Vec<_>>());
        self.ci.plan(&format!("push to {}", self.names()), &plan, config.dry_run);
        let versions = written.version.iter().map(ToString::to_string).collect();
        self.report(&plan, versions, target.as_ref(), None, false)
    }

    /// The variables to push: of the file, or of `content`.
    fn giver(&mut self) -> Result<(Variables, Option<Target>), Failure> {
        let config = self.config;
        if let Some(content) = &config.content {
            return Ok((self.content(content)?, None));
        }
        let target = self.target(config.env_file.as_deref().unwrap_or(".env"))?;
        let variables = self.existing(&target)?;
        Ok((variables, Some(target)))
    }

    fn content(&mut self, content: &Secret) -> Result<Variables, Failure> {
        let json = content.expose().trim_start().starts_with('{');
        let members = if json {
            let parsed = Payload::parse(content, &self.config.separator);
            parsed.map(|document| document.members()).map_err(|fault| {
                Failure::new(Kind::Input, format!("`content` cannot be used: {fault}")).help(fault.help("content"))
            })?
        } else {
            let document = self.document("content", content.expose().as_bytes())?;
            document.variables().into_iter().map(|(key, value)| (key.as_str().to_owned(), value)).collect()
        };
        let mut variables = Variables::new();
        let mut problems = Vec::new();
        for (name, value) in members {
            // The token of the job is in `toJSON(secrets)` without having been put there by anybody.
            let own_token = json && name.eq_ignore_ascii_case("github_token");
            if own_token || !self.config.scope.holds(&name) {
                continue;
            }
            match Key::new(&name) {
                Some(_) if value.expose().contains('\0') => problems.push(Problem::new(
                    format!("the value of `{name}` in `content` holds a NUL, which no environment can carry"),
                    "leave it out with `exclude`",
                )),
                Some(key) => {
                    variables.insert(key, value);
                }
                None => problems.push(Problem::new(
                    format!("`{name}` in `content` is no valid name of a variable"),
                    "leave it out with `exclude`",
                )),
            }
        }
        Failure::all(Kind::Input, problems).map_or(Ok(variables), Err)
    }

    /// The payload as a document; an absent or empty secret is an empty one.
    fn payload(&self, which: &Reference, snapshot: Option<&Snapshot>) -> Result<Payload, Failure> {
        let fresh = || Payload::empty(self.config.format.unwrap_or(Format::Json));
        let Some(snapshot) = snapshot else {
            let refused = self.config.dry_run && !self.config.create;
            let help = "create it, or set `create` to `true`";
            return if refused { Err(store::not_found(which, help)) } else { Ok(fresh()) };
        };
        if snapshot.payload.form == Form::Base64 {
            return Err(Failure::new(Kind::Input, format!("the secret `{which}` is binary and no document"))
                .help("push to another secret"));
        }
        match Payload::parse(&snapshot.payload.text, &self.config.separator) {
            Ok(document) => Ok(document),
            Err(document::Fault::Empty) => Ok(fresh()),
            Err(fault) => Err(Failure::new(Kind::Input, format!("the secret `{which}` is no document: {fault}"))
                .help("push to another secret, or bring this one in order by hand")),
        }
    }

    /// What of a document takes part: names that are none of a variable stay as they are.
    fn receiver(&self, document: &Payload) -> Variables {
        let members = document.members().into_iter();
        members.filter_map(|(name, value)| Some((Key::new(&name)?, value))).collect()
    }

    /// The payload after the plan, read back and within the store's limit; `None` where nothing changes.
    fn changed(
        &self,
        which: &Reference,
        snapshot: Option<&Snapshot>,
        document: &mut Payload,
        plan: &Plan,
        giver: &Variables,
    ) -> Result<Option<store::Payload>, Failure> {
        if !plan.has_changes() {
            return Ok(None);
        }
        let before = self.receiver(document);
        let unusable = |fault: document::Fault| {
            Failure::new(Kind::Input, format!("the secret `{which}` cannot take this: {fault}")).help(fault.help(&which.id))
        };
        if let Some(format) = self.config.format
            && format != document.format()
        {
            *document = document.converted(format).map_err(unusable)?;
        }
        for step in &plan.steps {
            match step.change {
                Change::Add | Change::Update => {
                    if let Some(value) = giver.get(&step.key) {
                        document.set(&step.key, value).map_err(unusable)?;
                    }
                }
                Change::Remove => document.remove(&step.key),
                Change::Unchanged | Change::Conflict => {}
            }
        }
        let text = document.print();
        let mut expected = plan::applied(plan, giver, &before);
        let read = Payload::parse(&text, &self.config.separator).map(|document| self.receiver(&document)).unwrap_or_default();
        document::align(&mut expected, &read);
        if read.len() != expected.len() || expected.iter().any(|(key, value)| read.get(key) != Some(value)) {
            return Err(Failure::new(Kind::Internal, format!("`{which}` would not read back as it is meant, and was not written"))
                .help("this is a defect of envsync: please report it, without the values"));
        }
        let form = snapshot.map_or(Form::Text, |snapshot| snapshot.payload.form);
        let payload = store::Payload { text, form };
        store::check_size(self.config, which, &payload)?;
        Ok(Some(payload))
    }

    async fn check(&mut self) -> Result<(), Failure> {
        let config = self.config;
        let target = self.target(config.env_file.as_deref().unwrap_or(".env"))?;
        let required = self.required()?;
        let file = self.existing(&target)?;
        self.ci.mask(&file);
        let mut gathered = gather::gather(config, self.store).await?;
        self.ci.mask(&gathered.variables);
        self.remark(&gathered.remarks);
        require(&required, &gathered.variables, "the secret")?;
        document::align(&mut gathered.variables, &file);
        let plan = plan::drift(&gathered.variables, &file, &config.scope);
        self.ci.plan(&format!("check {} against `{}`", self.names(), target.relative()), &plan, true);
        self.report(&plan, gathered.versions, Some(&target), None, true)?;
        if plan.has_changes() && config.fail_on_drift {
            let what = format!("`{}` and {} differ: {}", target.relative(), self.names(), plan.counts());
            return Err(Failure::new(Kind::Refused, what).help("pull or push, or set `fail_on_drift` to `false`"));
        }
        Ok(())
    }

    /// The variables of a file that must exist.
    fn existing(&mut self, target: &Target) -> Result<Variables, Failure> {
        let Some(snapshot) = file::read(target)? else {
            return Err(Failure::new(Kind::NotFound, format!("there is no file `{}`", target.relative()))
                .help("create it, or name another one with `env_file`"));
        };
        Ok(self.document(target.relative(), snapshot.bytes())?.variables())
    }

    /// Reads dotenv text and says what other readers would take differently.
    fn document(&mut self, name: &str, bytes: &[u8]) -> Result<Dotenv, Failure> {
        let document = self.parse(name, bytes).map_err(|problems| Failure { kind: Kind::Input, problems })?;
        for remark in document.remarks() {
            self.ci.warning_once(&format!("`{name}` line {}: {}", remark.line, remark.text));
        }
        Ok(document)
    }

    fn parse(&self, name: &str, bytes: &[u8]) -> Result<Dotenv, Vec<Problem>> {
        let faults = match Dotenv::parse(bytes.to_vec(), &self.config.dialects) {
            Ok(document) => return Ok(document),
            Err(faults) => faults,
        };
        Err(faults.into_iter().map(|fault| Problem { what: format!("`{name}` {}", fault.what), help: fault.help }).collect())
    }

    fn target(&self, path: &str) -> Result<Target, Failure> {
        file::target(self.ci.workspace(), &self.roots, path)
    }

    /// `required_keys` and the names of `template`.
    fn required(&mut self) -> Result<Vec<Key>, Failure> {
        let mut required = self.config.required.clone();
        if let Some(path) = &self.config.template {
            let target = self.target(path)?;
            required.extend(self.existing(&target)?.into_keys());
        }
        Ok(required)
    }

    fn plan(&self, giver: &Variables, receiver: &Variables, only: Option<&BTreeSet<Key>>) -> Result<Plan, Failure> {
        let Config { scope, delete, max_deletes, .. } = self.config;
        let policy = Policy { scope, delete: *delete, max_deletes: *max_deletes, only };
        plan::two_way(giver, receiver, &policy).map_err(|refused| match refused {
            Refused::GiverEmpty => Failure::new(Kind::Refused, "`delete` is on, and the giving side holds no variable at all")
                .help("look at the giving side; to empty the other one, remove its variables by hand"),
            Refused::TooMany { wanted } => {
                Failure::new(Kind::Refused, format!("{wanted} variables would be removed, and `max_deletes` is {max_deletes}"))
                    .help("look at the plan with `dry_run: true` and `delete: false`, then raise `max_deletes`")
            }
        })
    }

    fn names(&self) -> String {
        let names: Vec<String> = self.config.entries.iter().map(|entry| format!("`{entry}`")).collect();
        names.join(", ")
    }

    fn remark(&mut self, remarks: &[Problem]) {
        for remark in remarks {
            self.ci.warning(&remark.what, remark.help.as_deref());
        }
    }

    /// The outputs without values, and the summary.
    fn report(
        &mut self,
        plan: &Plan,
        versions: Vec<String>,
        target: Option<&Target>,
        document: Option<&Dotenv>,
        check: bool,
    ) -> Result<(), Failure> {
        let config = self.config;
        let misread = document.map(Dotenv::misread).unwrap_or_default();
        let env_file = target.map(|target| target.relative().to_owned());
        let meta = Meta::new(plan, versions, env_file, check, config);
        let outputs_file = config.outputs_file.as_deref().map(|path| self.target(path)).transpose()?;
        if let Some(bytes) = self.ci.meta(&meta)?
            && let Some(target) = outputs_file
        {
            let before = file::read(&target)?;
            file::replace(&target, before.as_ref(), &bytes)?;
        }
        self.ci.summary(&Summary { plan, meta: &meta, misread: &misread, secrets: &self.names() })
    }
}

fn apply(plan: &Plan, giver: &Variables, document: &mut Dotenv) -> Result<(), Failure> {
    let mut problems = Vec::new();
    for step in &plan.steps {
        match step.change {
            Change::Add | Change::Update => {
                if let Some(value) = giver.get(&step.key)
                    && let Err(refused) = document.set(&step.key, value)
                {
                    problems.push(Problem::new(refused.what, refused.help));
                }
            }
            Change::Remove => document.remove(&step.key),
            Change::Unchanged | Change::Conflict => {}
        }
    }
    Failure::all(Kind::Input, problems).map_or(Ok(()), Err)
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

//! A push to a pattern: each variable goes into a secret of its own, and only what changed is written.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};

use futures_util::stream::{self, StreamExt as _};
use indexmap::IndexMap;

use super::Run;
use super::progress::watch;
use crate::document;
use crate::error::{Failure, Kind, Problem};
use crate::plan::{Change, Plan};
use crate::reference::{Pattern, Reference, mapped};
use crate::secret::{Key, Secret, Variables};
use crate::store::{self, Form, Listed, Payload, Planned, Snapshot, Written};

/// How many secrets are written at once.
const AT_ONCE: usize = 16;

/// One secret that is to be written.
struct Pending {
    key: Key,
    which: Reference,
    /// What it held; `None` where it does not exist yet.
    before: Option<Snapshot>,
    value: Secret,
}

impl Run<'_> {
    /// Gives the plan, and the versions that were read or written in its order.
    pub(super) async fn push_many(
        &mut self,
        which: &Reference,
        giver: &mut Variables,
    ) -> Result<(Plan, Vec<String>), Failure> {
        let (config, effects, from) = (self.config, self.effects, self.store);
        let internal = || Failure::new(Kind::Internal, format!("`{which}` is no pattern"));
        let pattern = Pattern::new(config.store.provider(), which).ok_or_else(internal)?;
        let listed = from.list(which).await?;
        let Targets { mut secrets, others, unlisted } = self.targets(&pattern, listed, giver)?;
        let asked: Vec<Reference> = secrets.values().cloned().collect();
        let answers = watch(self.ci, effects, "read", asked.len(), from.fetch(&asked)).await;
        let mut snapshots: HashMap<Key, Snapshot> = HashMap::new();
        let mut failures = Vec::new();
        for (key, answer) in secrets.keys().zip(answers) {
            match answer {
                Ok(found) => snapshots.extend(found.map(|found| (key.clone(), found))),
                Err(failure) => failures.push(failure),
            }
        }
        Failure::merged(failures).map_or(Ok(()), Err)?;
        let found = || secrets.keys().filter_map(|key| Some((key, snapshots.get(key)?)));
        let mut receiver: Variables = found().map(|(key, found)| (key.clone(), found.payload.text.clone())).collect();
        self.ci.mask(&receiver);
        let remarks = found().filter_map(|(_, found)| found.remark.clone());
        self.tell_remarks(&remarks.map(|what| Problem { what, help: None }).collect::<Vec<_>>());
        document::align(giver, &receiver);
        // They stay whatever they hold, so that nobody has to read them.
        receiver.extend(others.into_iter().map(|key| (key, Secret::from(""))));
        let mut plan = self.plan(giver, &receiver, None)?;
        let mut versions: HashMap<Key, String> =
            snapshots.iter().map(|(key, found)| (key.clone(), found.version.to_string())).collect();
        let mut pending = Vec::new();
        for step in plan.steps.iter().filter(|step| step.change != Change::Unchanged) {
            if let (Some(value), Some(which)) = (giver.get(&step.key), secrets.shift_remove(&step.key)) {
                let (key, before) = (step.key.clone(), snapshots.remove(&step.key));
                pending.push(Pending { key, which, before, value: value.clone() });
            }
        }
        let unfit = pending.iter().filter_map(|one| {
            // One that is listed and holds nothing yet is no new one.
            if !config.create && one.before.is_none() && unlisted.contains(&one.key) {
                let place = config.store.where_listed(&one.which);
                return Some(store::not_found(&one.which, &place, "create it, or set `create` to `true`"));
            }
            let payload = one.payload(one.before.as_ref());
            payload.and_then(|payload| store::check_size(config, &one.which, &payload)).err()
        });
        Failure::merged(unfit.collect()).map_or(Ok(()), Err)?;
        let written = self.write_all(pending).await?;
        let remarks = written.iter().flat_map(|(_, written)| written.remarks.iter().cloned());
        self.tell_remarks(&remarks.map(|what| Problem { what, help: None }).collect::<Vec<_>>());
        for (key, written) in written {
            if !written.changed && !config.dry_run {
                // Another run has written the same in the meantime.
                plan.steps.iter_mut().filter(|step| step.key == key).for_each(|step| step.change = Change::Unchanged);
            }
            versions.extend(written.version.map(|version| (key, version.to_string())));
        }
        let versions = plan.steps.iter().filter_map(|step| versions.remove(&step.key)).collect();
        Ok((plan, versions))
    }

    /// Where each variable of the giving side goes: into the secret that a pull would take it from, or into a new one.
    fn targets(&self, pattern: &Pattern, listed: Vec<Listed>, giver: &Variables) -> Result<Targets, Failure> {
        let mut known: IndexMap<Key, Reference> = IndexMap::new();
        let mut taken: HashMap<String, String> = HashMap::new();
        let mut problems = Vec::new();
        for Listed { which, name, .. } in listed {
            let name = mapped(&name);
            taken.insert(pattern.identity(&which.id), name.clone());
            // What is no variable's name stays as it is, like such a member of a document.
            let Some(key) = Key::new(&name).filter(|key| self.config.scope.holds(key.as_str())) else { continue };
            let which = Reference { variable: Some(key.clone()), ..which };
            if let Some(other) = known.insert(key.clone(), which.clone())
                && !self.config.last_wins
            {
                let what = format!("the secrets `{other}` and `{which}` both yield `{key}`");
                let help = "remove one of them, leave the name out with `exclude`, or set `on_collision: last`";
                problems.push(Problem::new(what, help));
            }
        }
        let mut secrets = IndexMap::new();
        let mut unlisted = HashSet::new();
        for key in giver.keys() {
            if let Some(which) = known.shift_remove(key) {
                secrets.insert(key.clone(), which);
                continue;
            }
            let which = match pattern.secret_of(key) {
                Ok(which) => which,
                Err(why) => {
                    let what = format!("`{key}` cannot be a secret of its own: the secret's name {why}");
                    problems.push(Problem::new(what, "give the variable another name, or leave it out with `exclude`"));
                    continue;
                }
            };
            if let Some(other) = taken.insert(pattern.identity(&which.id), key.as_str().to_owned()) {
                let what = format!("`{key}` and `{other}` would both be the secret `{which}`");
                problems.push(Problem::new(what, "give one of them another name, or leave it out with `exclude`"));
            }
            unlisted.insert(key.clone());
            secrets.insert(key.clone(), which);
        }
        let others = known.into_keys().collect();
        Failure::all(Kind::Input, problems).map_or(Ok(Targets { secrets, others, unlisted }), Err)
    }

    /// Writes all of them, or says which failed; what is under way when one fails is brought to its end.
    async fn write_all(&mut self, pending: Vec<Pending>) -> Result<Vec<(Key, Written)>, Failure> {
        let (from, effects, deadline) = (self.store, self.effects, self.deadline);
        let total = pending.len();
        if !self.config.dry_run && total > 1 {
            effects.intends(pending.iter().map(|one| one.which.id.as_str()));
        }
        // What others wrote in the meantime.
        let foreign = RefCell::new(Variables::new());
        // Where the store itself fails, every further write would wait for the same failure.
        let stop = Cell::new(false);
        let write = async |one: Pending| {
            if stop.get() {
                return None;
            }
            let mut plan = |found: Option<&Snapshot>, _: &store::Raced, _: &mut store::History| {
                if let Some(found) = found {
                    foreign.borrow_mut().insert(one.key.clone(), found.payload.text.clone());
                }
                match found {
                    Some(found) if found.payload.text == one.value => Ok(Planned::Keep),
                    found => one.payload(found).map(Planned::Write),
                }
            };
            let written = store::update(from, &one.which, deadline, effects, Some(one.before.clone()), &mut plan).await;
            match &written {
                Ok(written) if !written.changed => effects.on(&one.which.id).needless(),
                Err(failure) if matches!(failure.kind, Kind::Unavailable | Kind::Login) => stop.set(true),
                _ => {}
            }
            if written.is_ok() {
                effects.step();
            }
            Some((one.key, written))
        };
        let work = stream::iter(pending).map(write).buffer_unordered(AT_ONCE).collect::<Vec<_>>();
        let doing = if self.config.dry_run { "looked at" } else { "wrote" };
        let outcomes = watch(self.ci, effects, doing, total, work).await;
        self.ci.mask(&foreign.into_inner());
        let (mut done, mut failures) = (Vec::new(), Vec::new());
        for (key, outcome) in outcomes.into_iter().flatten() {
            match outcome {
                Ok(written) => done.push((key, written)),
                Err(failure) => failures.push(failure),
            }
        }
        Failure::merged(failures).map_or(Ok(done), Err)
    }
}

struct Targets {
    /// By the giving side's variables, in its order.
    secrets: IndexMap<Key, Reference>,
    /// The variables that only the receiving side has.
    others: Vec<Key>,
    /// Those of the giving side whose secret the list does not show.
    unlisted: HashSet<Key>,
}

impl Pending {
    /// What is written over a version, or as the first one.
    fn payload(&self, found: Option<&Snapshot>) -> Result<Payload, Failure> {
        let form = found.map_or(Form::Text, |found| found.payload.form);
        if form == Form::Base64 {
            let what = format!("the secret `{}` is binary, and `{}` is text", self.which, self.key);
            return Err(Failure::new(Kind::Input, what).help("leave it out with `exclude`"));
        }
        Ok(Payload { text: self.value.clone(), form })
    }
}

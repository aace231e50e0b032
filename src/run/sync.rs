//! The mode `sync`: base, file and secret are merged; the secret is written first, then the file with its new base line.
//!
//! Killed between the two, the base is still the old one, the secret holds the merge, and the file what it held: whatever
//! the file had changed is the same on both sides then, and the next sync takes the rest from the secret.

mod look;
mod take_back;

use std::collections::BTreeMap;

use super::base::Missing;
use super::rescue::Rescue;
use super::{Outcome, Run, which};
use crate::document;
use crate::dotenv::{Document, Found};
use crate::error::{Failure, Kind};
use crate::file::{self, Snapshot as OnDisk, Target};
use crate::plan::{Change, Plan, Side, Told};
use crate::reference::Reference;
use crate::secret::{Key, Variables};
use crate::store::{self, Backoff, History, Raced, Snapshot, Version, Written};
use look::{Last, Merge, Pending};

impl Run<'_> {
    pub(super) async fn sync(&mut self) -> Result<Outcome, Failure> {
        let config = self.config;
        let target = self.env_file()?;
        let required = self.required()?;
        let which = which(config)?;
        self.tell_unsafe();
        if !config.dry_run {
            file::sweep(&target);
            file::check_writable(&target)?;
        }
        let title = format!("sync `{}` with {}", target.relative(), self.names());
        let mut told = Plan::default();
        // What the secret has had from the file already, and the base line that stood in it.
        let mut given: Option<(Found, Variables)> = None;
        let mut backoff = Backoff::default();
        loop {
            let before = file::read(&target)?;
            let document = self.parse(target.relative(), before.as_ref().map_or(&[][..], OnDisk::bytes))?;
            let line = document.base();
            let secret = store::fetch_one(self.store, which).await?;
            if before.is_none() && secret.is_none() {
                let what = format!("there is neither a file `{}` nor a secret {}", target.relative(), self.names());
                return Err(Failure::new(Kind::NotFound, what).help("correct the names, or create one of the two"));
            }
            let ancestor = self.ancestor(which, &line, secret).await?;
            let since = match &line {
                Found::One(line) => Some(Version(line.version.clone())).filter(|_| ancestor.base.is_some()),
                Found::None | Found::Broken => None,
            };
            // Whoever moved the line on has synced the file too, and is right about its base.
            given = given.filter(|(then, _)| *then == line);
            let base = match &given {
                // Somebody edited the file after we had merged it: that is what changed since.
                Some((_, file)) => Some(file.clone()),
                None => {
                    self.tell_missing(ancestor.why.as_ref());
                    ancestor.base
                }
            };
            let mut merge = Merge {
                which,
                target: &target,
                before: before.as_ref(),
                required: &required,
                base,
                // What the file was last given is no version.
                since: since.filter(|_| given.is_none()),
                file: document.variables(),
                own: BTreeMap::new(),
                pending: Pending::default(),
                rivals: BTreeMap::new(),
                rescue: Rescue::new(config, which),
                writes: 0,
                contested: false,
                waits_since: None,
                patience: None,
                committed: Plan::default(),
                last: Last::default(),
            };
            let (store, deadline, effects) = (self.store, self.deadline, self.effects);
            let (mut written, mut first) = (Written::default(), Some(ancestor.secret));
            loop {
                let mut plan = |now: Option<&Snapshot>, raced: &Raced, history: &mut History| {
                    merge.look(self, now, raced, history)
                };
                let again = store::update(store, which, deadline, effects, first.take(), &mut plan).await?;
                let is_settled = !again.changed || merge.is_settled();
                written.follow(again);
                if is_settled {
                    break;
                }
                merge.starts_over();
            }
            for remark in written.remarks.iter().chain(&merge.rescue.remark()) {
                self.ci.warning(remark, None);
            }
            let mut version = written.version;
            let takes_back = merge.last.takes_back && written.changed;
            // What was written before the file was found to be another one stands.
            let tell = |run: &Self| {
                if takes_back && !told.has_changes() {
                    let what = format!("what this run had written into {} was taken back", run.names());
                    run.effects.took_back(what);
                }
            };
            // A signal may end it any time.
            tell(self);
            if takes_back {
                let watched = merge.watch(self).await;
                if watched.is_err() {
                    self.ci.plan(&title, &merge.last.plan.refused(), Told::AsPlan, config.dry_run);
                }
                version = watched?.or(version);
            }
            let Merge { file, committed, last: Last { plan, document, .. }, .. } = merge;
            let versions: Vec<String> = version.iter().map(ToString::to_string).collect();
            let mut outcome = Outcome { versions, ..Outcome::default() };
            if plan.count(Change::Conflict) > 0 {
                tell(self);
                told.absorb(&plan.refused());
                outcome.plan = told;
            } else {
                told.absorb(&committed);
                let mut document = document.unwrap_or_else(Document::empty);
                if !config.dry_run && !self.settle(which, &target, before.as_ref(), &mut document, &outcome.versions)? {
                    told.absorb(&plan.on(Side::Secret));
                    if written.changed {
                        given = Some((line, file));
                    }
                    // Each time costs a version, while somebody else may be writing the file all the time.
                    self.breathe_for(backoff.pause(), &target).await?;
                    continue;
                }
                told.absorb(&plan);
                outcome.plan = told;
                outcome.document = Some(document);
            }
            self.ci.plan(&title, &outcome.plan, Told::AsPlan, config.dry_run);
            self.tell_restored(&outcome.plan);
            return Ok(Outcome { target: Some(target), ..outcome });
        }
    }

    /// Writes the file with its base line, where that changes it; `false` where somebody else was faster.
    fn settle(
        &mut self,
        which: &Reference,
        target: &Target,
        before: Option<&OnDisk>,
        document: &mut Document,
        versions: &[String],
    ) -> Result<bool, Failure> {
        if let Some(version) = versions.first() {
            let line = self.base_line(which, version)?;
            if document.base() != Found::One(line.clone()) {
                document.set_base(&line);
            }
        }
        let bytes = document.print();
        if bytes == before.map_or(&[][..], OnDisk::bytes) {
            return Ok(true);
        }
        self.put(target, before, &bytes)
    }

    fn tell_missing(&mut self, why: Option<&Missing>) {
        let then = "both sides are united, nothing is deleted, and every difference is a conflict";
        match why {
            None => {}
            Some(Missing::First) => self.ci.info(&format!("no base yet: {then}")),
            Some(Missing::Gone(why)) => self.ci.warning(&format!("no base: {why}; {then}"), None),
        }
    }

    fn tell_no_variables(&mut self, which: &Reference, document: &document::Document) {
        let held = document.members().into_iter().map(|(name, _)| name).filter(|name| self.config.scope.holds(name));
        let names: Vec<String> =
            held.filter(|name| Key::new(name).is_none()).map(|name| format!("`{}`", name.escape_default())).collect();
        if !names.is_empty() {
            let what = format!("members of `{which}` stay as they are, because their names are none of variables");
            self.ci.warning_once(&format!("{what}: {}", names.join(", ")));
        }
    }

    fn tell_restored(&mut self, plan: &Plan) {
        let names: Vec<String> = plan.restored().map(|key| format!("`{key}`")).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            self.ci.info(&format!("deleted on one side and back from the other, because `delete` is off: {names}"));
        }
    }

    /// A conflict that nobody decides fails a sync.
    pub(super) fn conflict(&self, plan: &Plan) -> Result<(), Failure> {
        let conflicts: Vec<String> = plan
            .steps
            .iter()
            .filter(|step| step.change == Change::Conflict)
            .map(|step| {
                let words = step.words(Told::AsPlan);
                format!("`{}` ({})", step.key, words.strip_prefix("conflict, ").unwrap_or(&words))
            })
            .collect();
        if conflicts.is_empty() {
            return Ok(());
        }
        let all = match conflicts.get(..NAMED) {
            Some(some) if conflicts.len() > NAMED => {
                format!("{} and {} more", some.join(", "), conflicts.len() - NAMED)
            }
            _ => conflicts.join(", "),
        };
        let what = format!("the file and the secret are in conflict: {all}");
        Err(Failure::new(Kind::Refused, what)
            .help("make them equal by hand, or set `prefer` to `file` or `secret` for this run"))
    }
}

/// A failure names so many conflicts at most; the plan names all.
const NAMED: usize = 50;

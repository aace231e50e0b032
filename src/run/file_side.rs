//! The side of the file: where it lies, what it holds, and how it receives.

use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use crate::config::Store;
use crate::document;
use crate::dotenv::{Dialect, Document, Fault};
use crate::error::{Failure, Kind, Problem};
use crate::file::{self, Snapshot, Target, Written};
use crate::plan::{self, Change, Plan};
use crate::secret::{Key, Variables};

impl Run<'_> {
    pub(super) fn target(&self, path: &str) -> Result<Target, Failure> {
        let target = file::target(self.ci.workspace(), &self.roots, path)?;
        if let Store::Local { directory } = &self.config.store
            && file::is_within(&self.ci.workspace().join(directory), &target)
        {
            let what = format!("`{path}` lies in the local store, whose files are its versions");
            return Err(Failure::new(Kind::Input, what).help("give a file outside of `local_store`"));
        }
        Ok(target)
    }

    /// The file of `env_file`.
    pub(super) fn env_file(&self) -> Result<Target, Failure> {
        self.target(self.config.env_file.as_deref().unwrap_or(".env"))
    }

    /// The variables of a file that must exist.
    pub(super) fn existing(&mut self, target: &Target, help: &str) -> Result<Variables, Failure> {
        let snapshot = must_exist(target, help)?;
        Ok(self.parse(target.relative(), snapshot.bytes())?.variables())
    }

    /// The names in a file that nobody takes values from.
    pub(super) fn names_in(&self, target: &Target, help: &str) -> Result<Vec<Key>, Failure> {
        let snapshot = must_exist(target, help)?;
        let document = read(target.relative(), snapshot.bytes(), &self.config.dialects)?;
        Ok(document.variables().into_keys().collect())
    }

    /// Reads dotenv text, masks what it holds, and says what other readers would take differently.
    pub(super) fn parse(&mut self, name: &str, bytes: &[u8]) -> Result<Document, Failure> {
        let document = read(name, bytes, &self.config.dialects)?;
        if let Some(line) = document::wrapped_piece(&String::from_utf8_lossy(bytes), &document.variables()) {
            let what = format!("`{name}` line {line} looks like the end of a value that is wrapped over several lines");
            return Err(Failure::new(Kind::Input, what)
                .help("put the whole value into quotes; or is it a variable? Then write `NAME=\"\"`"));
        }
        self.ci.mask_document(&document);
        let remarks = document.remarks();
        if !remarks.is_empty() {
            let mut lines: Vec<String> = remarks.iter().take(REMARKS).map(|remark| remark.text.clone()).collect();
            if let Some(more) = remarks.len().checked_sub(REMARKS).filter(|more| *more > 0) {
                lines.push(format!("and {more} more like these"));
            }
            self.ci.warning_once(&format!("not every reader reads `{name}` in the same way: {}", lines.join("; ")));
        }
        Ok(document)
    }

    /// Brings the file up to the giver's values, and again from the start when somebody else changed it meanwhile.
    /// `version`: of the one secret that they are from.
    pub(super) async fn receive(
        &mut self,
        target: &Target,
        giver: &mut Variables,
        version: Option<&str>,
    ) -> Result<(Plan, Document), Failure> {
        if !self.config.dry_run {
            file::sweep(target);
        }
        loop {
            let before = file::read(target)?;
            let mut document = self.parse(target.relative(), before.as_ref().map_or(&[][..], Snapshot::bytes))?;
            let receiver = document.variables();
            document::align(giver, &receiver);
            let plan = self.plan(giver, &receiver, None)?;
            apply(&plan, giver, &mut document)?;
            self.ci.mask_document(&document);
            let moved = match version {
                Some(version) => self.move_on(&mut document, giver, version)?,
                None => false,
            };
            if self.config.dry_run || !(plan.has_changes() || moved) {
                return Ok((plan, document));
            }
            let bytes = document.print();
            self.reads_back(target, &bytes, &plan::applied(&plan, giver, &receiver))?;
            if self.put(target, before.as_ref(), &bytes)? {
                return Ok((plan, document));
            }
            self.breathe(target).await?;
        }
    }

    /// Writes the report, which is no effect of the run: it only tells of one.
    pub(super) async fn overwrite(&mut self, target: &Target, bytes: &[u8]) -> Result<(), Failure> {
        file::sweep(target);
        loop {
            let before = file::read(target)?;
            let holds = before.as_ref().is_some_and(|before| before.bytes() == bytes);
            if holds || matches!(file::replace(target, before.as_ref(), bytes)?, Written::Done { .. }) {
                return Ok(());
            }
            self.breathe(target).await?;
        }
    }

    /// `false` where somebody else was faster and nothing was written.
    pub(super) fn put(&mut self, target: &Target, before: Option<&Snapshot>, bytes: &[u8]) -> Result<bool, Failure> {
        self.effects.may(format!("the file `{}` may have been written", target.relative()));
        let outcome = file::replace(target, before, bytes);
        match &outcome {
            Ok(Written::Done { .. }) => self.effects.did(format!("the file `{}` was written", target.relative())),
            // It has its name already, and what failed came after that.
            Err(failure) if failure.kind == Kind::Partial => {}
            _ => self.effects.did_not(),
        }
        let Written::Done { note } = outcome? else { return Ok(false) };
        if let Some(note) = note {
            self.ci.warning(&note, None);
        }
        Ok(true)
    }

    /// A pause after a lost race for a file.
    pub(super) async fn breathe(&self, target: &Target) -> Result<(), Failure> {
        self.breathe_for(Duration::from_millis(fastrand::u64(1..20)), target).await
    }

    pub(super) async fn breathe_for(&self, wait: Duration, target: &Target) -> Result<(), Failure> {
        if Instant::now() + wait >= self.deadline {
            let what = format!("others kept writing `{}` until the time was up", target.relative());
            return Err(Failure::new(Kind::Refused, what).help("run it again when nobody else writes the file"));
        }
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// What is about to be written must read as what it stands for: a defect here would lose values.
    pub(super) fn reads_back(&self, target: &Target, bytes: &[u8], expected: &Variables) -> Result<(), Failure> {
        let read = Document::parse(bytes.to_vec(), &self.config.dialects).map(|document| document.variables());
        if read.is_ok_and(|read| read == *expected) {
            return Ok(());
        }
        let what = format!("`{}` would not read back as it is meant, and was not written", target.relative());
        Err(Failure::new(Kind::Internal, what)
            .help("this is a defect of envsync: please report it, without the values"))
    }
}

/// How many of a file's lines are named in a warning.
const REMARKS: usize = 5;

fn must_exist(target: &Target, help: &str) -> Result<Snapshot, Failure> {
    let missing = || Failure::new(Kind::NotFound, format!("there is no file `{}`", target.relative())).help(help);
    file::read(target)?.ok_or_else(missing)
}

fn read(name: &str, bytes: &[u8], dialects: &[Dialect]) -> Result<Document, Failure> {
    let problem = |fault: Fault| Problem { what: format!("`{name}` cannot be read: {}", fault.what), help: fault.help };
    Document::parse(bytes.to_vec(), dialects)
        .map_err(|faults| Failure { kind: Kind::Input, problems: faults.into_iter().map(problem).collect() })
}

pub(super) fn apply(plan: &Plan, giver: &Variables, document: &mut Document) -> Result<(), Failure> {
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

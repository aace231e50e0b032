//! What a run leaves for later steps beside the variables: the outputs without values, and the summary.

use super::{Outcome, Run};
use crate::ci::{Meta, Summary};
use crate::config::{Config, Mode};
use crate::dotenv::Document;
use crate::error::{Failure, Kind, Problem};
use crate::file::{self, Target};

/// So many remarks on single secrets are warnings; GitHub shows ten of a step, and others have to have a place among them.
const ANNOTATED: usize = 5;

impl Run<'_> {
    /// What is to be known about single secrets: the first are warnings, the rest lines of the log.
    pub(super) fn tell_remarks(&mut self, remarks: &[Problem]) {
        for Problem { what, help } in remarks.iter().take(ANNOTATED) {
            self.ci.warning(what, help.as_deref());
        }
        for Problem { what, .. } in remarks.iter().skip(ANNOTATED) {
            self.ci.info(&format!("warning: {what}"));
        }
    }

    /// The file for the outputs without values. It is replaced as a whole, so it must be an earlier one or none.
    pub(super) fn outputs_file(&self, path: &str) -> Result<Target, Failure> {
        let target = self.target(path)?;
        let Config { env_file, template, ca_file, .. } = self.config;
        for (name, other) in [("env_file", env_file), ("template", template), ("ca_file", ca_file)] {
            if let Some(other) = other
                && file::is_same(&self.ci.workspace().join(other), &target)
            {
                let what = format!("`outputs_file` and `{name}` are the same file, `{}`", target.relative());
                return Err(Failure::new(Kind::Input, what).help("give the outputs a file of their own"));
            }
        }
        if let Some(there) = file::read(&target)? {
            let ours =
                there.bytes().split(|byte| *byte == b'\n').all(|line| line.is_empty() || line.starts_with(b"ENVSYNC_"));
            if !ours {
                let what = format!("`outputs_file` is `{}`, which holds something else", target.relative());
                return Err(Failure::new(Kind::Input, what).help("give the outputs a file of their own"));
            }
        }
        file::check_writable(&target)?;
        Ok(target)
    }

    /// The outputs without values, and the summary.
    pub(super) async fn report(&mut self, outcome: &Outcome, outputs_file: Option<&Target>) -> Result<(), Failure> {
        let Outcome { plan, versions, target, document, sources } = outcome;
        let misread = document.as_ref().map(Document::misread).unwrap_or_default();
        let env_file = target.as_ref().map(|target| target.relative().to_owned());
        let meta = Meta::new(plan, versions.clone(), env_file, self.config.mode == Mode::Check, self.config);
        if let (Some(bytes), Some(target)) = (self.ci.meta(&meta)?, outputs_file) {
            self.overwrite(target, &bytes).await?;
        }
        // The page is an extra: what it tells is in the log and the outputs too.
        if let Err(failure) =
            self.ci.summary(&Summary { config: self.config, plan, meta: &meta, misread: &misread, sources })
        {
            for Problem { what, help } in &failure.problems {
                self.ci.warning(what, help.as_deref());
            }
        }
        Ok(())
    }
}

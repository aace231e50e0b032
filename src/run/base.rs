//! The base of a two-way sync: what the file was last in step with, by the line in the file; and the line that moves on.

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::{Run, secret_side};
use crate::config::Bounds;
use crate::document;
use crate::dotenv::{Base, Document, Found};
use crate::error::{Failure, Kind, Problem};
use crate::file::{self, Target};
use crate::plan::Scope;
use crate::reference::{Pin, Reference};
use crate::secret::Variables;
use crate::store::{self, Snapshot};

/// What a sync starts from.
pub(super) struct Ancestor {
    /// What the file was in step with; `None` without a base.
    pub(super) base: Option<Variables>,
    /// What the secret holds.
    pub(super) secret: Option<Snapshot>,
    /// Why there is no base.
    pub(super) why: Option<Missing>,
}

/// Why there is no base.
pub(super) enum Missing {
    /// The file never had one.
    First,
    /// It cannot be had any more.
    Gone(String),
}

impl Run<'_> {
    /// The base that the file names, read by its version. `secret`: what counts now.
    pub(super) async fn ancestor(
        &mut self,
        which: &Reference,
        found: &Found,
        secret: Option<Snapshot>,
    ) -> Result<Ancestor, Failure> {
        let gone = |secret, why: String| Ok(Ancestor { base: None, secret, why: Some(Missing::Gone(why)) });
        let line = match found {
            Found::None => return Ok(Ancestor { base: None, secret, why: Some(Missing::First) }),
            Found::Broken => return gone(secret, "the base line of the file cannot be read".to_owned()),
            Found::One(line) => line,
        };
        if !self.is_of(line, which)? {
            let why =
                format!("the base line of the file names another secret, `{}` of `{}`", line.secret, line.provider);
            return gone(secret, why);
        }
        let Some(scope) = scope(line) else {
            return gone(secret, "the base line of the file has bounds that cannot be read".to_owned());
        };
        let is_base = |snapshot: &Snapshot| snapshot.version.0 == line.version;
        let (base, secret) = match secret {
            Some(secret) if is_base(&secret) => (secret.clone(), Some(secret)),
            secret => {
                let pinned = Reference { pin: Pin::Version(line.version.clone()), ..which.clone() };
                let base = match store::fetch_one(self.store, &pinned).await {
                    Ok(base) => base.filter(is_base),
                    // Destroyed, disabled, or nothing that this store ever gave out.
                    Err(failure) if matches!(failure.kind, Kind::NotFound | Kind::Input) => None,
                    Err(failure) => return Err(failure),
                };
                let Some(base) = base else {
                    return gone(
                        secret,
                        format!("version {} of the secret, the base, cannot be read any more", line.version),
                    );
                };
                // Where versions are numbers, an answer with an older one than the file was in step with is one that lags.
                let lags = secret.as_ref().is_none_or(|secret| number(&base) > number(secret));
                let secret = if lags { Some(base.clone()) } else { secret };
                (base, secret)
            }
        };
        let Ok(document) = secret_side::document(self.config, which, Some(&base)) else {
            return gone(secret, format!("version {} of the secret, the base, is no document", line.version));
        };
        let mut base = secret_side::variables(&document);
        self.ci.mask(&base);
        base.retain(|key, _| scope.holds(key.as_str()));
        Ok(Ancestor { base: Some(base), secret, why: None })
    }

    /// The line of a file that is in step with this version.
    pub(super) fn base_line(&self, which: &Reference, version: &str) -> Result<Base, Failure> {
        let Bounds { include, exclude } = self.config.bounds.clone();
        let (provider, secret) = (self.config.store.provider().word().to_owned(), self.store.identity(which)?);
        Ok(Base { provider, secret, version: version.to_owned(), include, exclude })
    }

    fn is_of(&self, line: &Base, which: &Reference) -> Result<bool, Failure> {
        Ok(line.provider == self.config.store.provider().word() && line.secret == self.store.identity(which)?)
    }

    /// Moves a line that is there on to this version, where the file now holds just what the secret holds: what a pull
    /// and a push do. A line of other bounds stays, because this run did not look at all that it stands for. Gives
    /// whether it moved.
    pub(super) fn move_on(&self, document: &mut Document, secret: &Variables, version: &str) -> Result<bool, Failure> {
        let (Some(entry), Found::One(line)) = (self.config.entries.first(), document.base()) else { return Ok(false) };
        let config = self.config;
        if !(config.entries.len() == 1 && entry.is_document() && config.shape.is_plain()) {
            return Ok(false);
        }
        let next = self.base_line(&entry.reference, version)?;
        if next == line || next != (Base { version: next.version.clone(), ..line }) {
            return Ok(false);
        }
        let within = |variables: &Variables| {
            let held = variables.iter().filter(|(key, _)| config.scope.holds(key.as_str()));
            held.map(|(key, value)| (key.clone(), value.clone())).collect::<Variables>()
        };
        let (file, mut secret) = (within(&document.variables()), within(secret));
        document::align(&mut secret, &file);
        if file != secret {
            return Ok(false);
        }
        document.set_base(&next);
        Ok(true)
    }

    /// After a push: moves the line of the file on. The push is done by then, so that what goes wrong here is a warning.
    pub(super) async fn move_on_after_push(&mut self, target: &Target, secret: &Variables, version: &str) {
        if let Err(failure) = self.try_to_move_on(target, secret, version).await {
            for Problem { what, .. } in &failure.problems {
                let help = "the next sync starts from the version before, and finds the same";
                self.ci.warning(&format!("couldn't move the base line on: {what}"), Some(help));
            }
        }
    }

    async fn try_to_move_on(&mut self, target: &Target, secret: &Variables, version: &str) -> Result<(), Failure> {
        loop {
            let Some(before) = file::read(target)? else { return Ok(()) };
            let mut document = self.parse(target.relative(), before.bytes())?;
            if !self.move_on(&mut document, secret, version)? {
                return Ok(());
            }
            file::sweep(target);
            if self.put(target, Some(&before), &document.print())? {
                return Ok(());
            }
            self.breathe(target).await?;
        }
    }
}

fn number(snapshot: &Snapshot) -> Option<u64> {
    snapshot.version.0.parse().ok()
}

/// For which names a line speaks; `None` where its globs are none.
fn scope(line: &Base) -> Option<Scope> {
    let set = |globs: &[String]| -> Option<GlobSet> {
        let mut set = GlobSetBuilder::new();
        for glob in globs {
            set.add(Glob::new(glob).ok()?);
        }
        set.build().ok()
    };
    let include = match &line.include {
        Some(globs) => Some(set(globs)?),
        None => None,
    };
    Some(Scope { include, exclude: set(&line.exclude)? })
}

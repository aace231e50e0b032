//! From the entries of `secret` to variables: fetch, take a member, flatten, shape the names, settle collisions.

use std::collections::HashMap;

use crate::config::Config;
use crate::document::{self, Document, Fault};
use crate::error::{Failure, Kind, Problem};
use crate::reference::{Entry, Reference};
use crate::secret::{Key, Secret, Variables};
use crate::store::{Form, Snapshot, Store, not_found};

/// What the secrets hold, as the file would have it.
pub(super) struct Gathered {
    /// In the order of the entries and of their documents, in scope only.
    pub(super) variables: Variables,
    /// The versions that were read, one a secret.
    pub(super) versions: Vec<String>,
    /// What the user has to know.
    pub(super) remarks: Vec<Problem>,
}

/// Fetches every entry. All that is wrong is reported together; the first problem decides the kind.
///
/// # Errors
/// What the store answered; [`Kind::NotFound`] for a secret that does not exist; [`Kind::Input`] for a payload that cannot
/// be used.
pub(super) async fn gather(config: &Config, store: &dyn Store) -> Result<Gathered, Failure> {
    // One secret that several entries take from is read once, in one version.
    let mut references: Vec<Reference> = Vec::new();
    for Entry { reference, .. } in &config.entries {
        if !references.contains(reference) {
            references.push(reference.clone());
        }
    }
    let mut all =
        Collector { config, values: Variables::new(), origins: HashMap::new(), taken: 0, failures: Vec::new() };
    let mut gathered = Gathered { variables: Variables::new(), versions: Vec::new(), remarks: Vec::new() };
    let mut snapshots: Vec<(Reference, Snapshot)> = Vec::new();
    for (reference, answer) in references.iter().zip(store.fetch(&references).await) {
        match answer {
            Ok(Some(snapshot)) => {
                gathered.versions.push(snapshot.version.to_string());
                gathered.remarks.extend(snapshot.remark.clone().map(|text| Problem { what: text, help: None }));
                snapshots.push((reference.clone(), snapshot));
            }
            Ok(None) => all.failures.push(not_found(
                reference,
                &config.store.place(reference),
                "check its name and where it lies, or push it first",
            )),
            Err(failure) => all.failures.push(failure),
        }
    }
    for entry in &config.entries {
        let Some((_, snapshot)) = snapshots.iter().find(|(reference, _)| *reference == entry.reference) else {
            continue;
        };
        let before = all.taken;
        all.take(entry, snapshot);
        if all.taken == before && all.failures.is_empty() && config.entries.len() > 1 {
            let what = format!("the secret `{entry}` gives no variable");
            gathered.remarks.push(Problem::new(what, "look at it, and at `include` and `exclude`"));
        }
    }
    match all.failures.first().map(|first| first.kind) {
        Some(kind) => Err(Failure { kind, problems: all.failures.into_iter().flat_map(|f| f.problems).collect() }),
        None => Ok(Gathered { variables: all.values, ..gathered }),
    }
}

struct Collector<'a> {
    config: &'a Config,
    values: Variables,
    /// Where each name comes from, for the message about a second one.
    origins: HashMap<Key, String>,
    /// How many variables the entries gave so far, also where a later one took the place of an earlier one.
    taken: usize,
    failures: Vec<Failure>,
}

impl Collector<'_> {
    fn take(&mut self, entry: &Entry, snapshot: &Snapshot) {
        let whole = &snapshot.payload.text;
        let member = entry.path.as_ref().map(|path| document::member_at(whole, path)).transpose();
        let payload = match member {
            Ok(member) => member.unwrap_or_else(|| whole.clone()),
            Err(fault) => return self.failures.push(unusable(entry, &fault)),
        };
        if let Some(name) = &entry.name {
            return self.add(name.as_str(), payload, &format!("the entry `{entry}`"));
        }
        if snapshot.payload.form == Form::Base64 {
            let what = format!("the secret `{entry}` is binary and no text");
            return self
                .failures
                .push(Failure::new(Kind::Input, what).help(named(entry, "its base64 becomes the value")));
        }
        match Document::parse(&payload, &self.config.separator, self.config.last_wins) {
            Ok(document) => {
                for (name, value) in document.members() {
                    let shaped = self.config.shape.apply(&name);
                    let origin = match shaped == name {
                        true => format!("`{name}` of `{entry}`"),
                        false => format!("`{name}` of `{entry}` (`{shaped}` after its prefix and case)"),
                    };
                    self.add(&shaped, value, &origin);
                }
            }
            Err(fault) => self.failures.push(unusable(entry, &fault)),
        }
    }

    fn add(&mut self, name: &str, value: Secret, origin: &str) {
        if !self.config.scope.holds(name) {
            return;
        }
        let Some(key) = Key::new(name) else {
            let what = format!("{origin} is no valid name of a variable");
            let help = "leave it out with `exclude`, or take it alone with an entry `NAME = ID#member`";
            return self.failures.push(Failure::new(Kind::Input, what).help(help));
        };
        if value.expose().contains('\0') {
            let what = format!("the value of {origin} holds a NUL, which no environment can carry");
            return self.failures.push(Failure::new(Kind::Input, what).help("leave it out with `exclude`"));
        }
        match self.origins.insert(key.clone(), origin.to_owned()) {
            Some(first) if !self.config.last_wins => {
                let what = format!("{first} and {origin} both yield `{key}`");
                let help = "give one of them another name, leave it out, or set `on_collision: last`";
                self.failures.push(Failure::new(Kind::Input, what).help(help));
            }
            _ => {
                self.taken += 1;
                self.values.insert(key, value);
            }
        }
    }
}

fn unusable(entry: &Entry, fault: &Fault) -> Failure {
    let kind = if matches!(fault, Fault::NoMember { .. }) { Kind::NotFound } else { Kind::Input };
    Failure::new(kind, format!("the secret `{entry}` cannot be used: {fault}")).help(fault.help(&entry.to_string()))
}

fn named(entry: &Entry, then: &str) -> String {
    format!("give it a name: `NAME = {entry}`; {then}")
}

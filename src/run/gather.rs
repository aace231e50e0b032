//! From the entries of `secret` to variables: fetch, take a member, flatten, shape the names, settle collisions.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use indexmap::IndexMap;

use super::progress::watch;
use crate::ci::Ci;
use crate::config::Config;
use crate::document::{self, Document, Fault};
use crate::effects::Effects;
use crate::error::{Failure, Kind, Problem};
use crate::reference::{Entry, Reference, mapped};
use crate::secret::{Key, Secret, Variables};
use crate::store::{Form, Listed, Snapshot, Store, not_found};

/// What the secrets hold, as the file would have it.
pub(super) struct Gathered {
    /// In the order of the entries and of their documents, in scope only.
    pub(super) variables: Variables,
    /// The versions that were read, one a secret.
    pub(super) versions: Vec<String>,
    /// What the user has to know.
    pub(super) remarks: Vec<Problem>,
    /// The secret that gave each variable, where several were read.
    pub(super) sources: HashMap<Key, String>,
}

/// Fetches every entry. All that is wrong is reported together; the first problem decides the kind.
///
/// # Errors
/// What the store answered; [`Kind::NotFound`] for a secret that does not exist, and for a pattern that none matches;
/// [`Kind::Input`] for a payload that cannot be used.
pub(super) async fn gather(
    config: &Config,
    store: &dyn Store,
    effects: &Effects,
    ci: &mut Ci,
) -> Result<Gathered, Failure> {
    let mut all = Collector {
        config,
        values: Variables::new(),
        origins: HashMap::new(),
        sources: HashMap::new(),
        taken: 0,
        remarks: Vec::new(),
        failures: Vec::new(),
    };
    let patterns = config.entries.iter().filter(|entry| entry.is_pattern());
    let mut lists = join_all(patterns.map(|entry| store.list(&entry.reference))).await.into_iter();
    let mut wanted: Vec<Wanted<'_>> = Vec::new();
    for entry in &config.entries {
        match entry.is_pattern().then(|| lists.next()).flatten() {
            Some(listed) => all.expand(entry, listed, &mut wanted),
            None => wanted.push(Wanted { entry, reference: entry.reference.clone(), name: None }),
        }
    }
    // One secret that several entries take from is read once, in one version.
    let mut snapshots: IndexMap<&Reference, Option<Snapshot>> =
        wanted.iter().map(|one| (&one.reference, None)).collect();
    let by_name: HashSet<&Reference> =
        wanted.iter().filter(|one| one.name.is_none()).map(|one| &one.reference).collect();
    let references: Vec<Reference> = snapshots.keys().map(|reference| (*reference).clone()).collect();
    let answers = watch(ci, effects, "read", references.len(), store.fetch(&references)).await;
    for ((reference, place), answer) in snapshots.iter_mut().zip(answers) {
        let help = "check its name and where it lies, or push it first";
        let missing = || not_found(reference, &config.store.place(reference), help);
        match answer.and_then(|found| found.ok_or_else(missing)) {
            Ok(snapshot) => {
                all.remarks.extend(snapshot.remark.clone().map(|text| Problem { what: text, help: None }));
                *place = Some(snapshot);
            }
            // It went after it was listed, or is in no state to be read: then it gives no variable.
            Err(failure) if failure.kind == Kind::NotFound && !by_name.contains(reference) => {
                all.remarks.extend(failure.problems.iter().map(|problem| left_out(&problem.what)));
            }
            Err(failure) => all.failures.push(failure),
        }
    }
    let mut rest = wanted.iter().peekable();
    for entry in &config.entries {
        let (before, mut asked, mut read) = (all.taken, 0, 0);
        while let Some(one) = rest.next_if(|one| std::ptr::eq(one.entry, entry)) {
            asked += 1;
            let Some(Some(snapshot)) = snapshots.get(&one.reference) else { continue };
            read += 1;
            match &one.name {
                Some(name) => all.take_whole(name, &one.reference, snapshot),
                None => all.take(entry, snapshot),
            }
        }
        if entry.is_pattern() && asked > 0 && read == 0 && all.failures.is_empty() {
            all.failures.push(unreadable(entry, &all.remarks));
        }
        if all.taken == before && all.failures.is_empty() && config.entries.len() > 1 {
            let what = format!("the secret `{entry}` gives no variable");
            all.remarks.push(Problem::new(what, "look at it, and at `include` and `exclude`"));
        }
    }
    let versions = snapshots.values().flatten().map(|snapshot| snapshot.version.to_string()).collect();
    let several = config.entries.len() > 1 || config.entries.iter().any(Entry::is_pattern);
    let sources = if several { all.sources } else { HashMap::new() };
    match Failure::merged(all.failures) {
        Some(failure) => Err(failure),
        None => Ok(Gathered { variables: all.values, versions, remarks: all.remarks, sources }),
    }
}

/// One secret that is to be read.
struct Wanted<'a> {
    entry: &'a Entry,
    reference: Reference,
    /// Its variable, where a pattern matched it.
    name: Option<String>,
}

struct Collector<'a> {
    config: &'a Config,
    values: Variables,
    /// Where each name comes from, for the message about a second one.
    origins: HashMap<Key, String>,
    /// The secret that gave each variable, and the member of it that an entry names.
    sources: HashMap<Key, String>,
    /// How many variables the entries gave so far, also where a later one took the place of an earlier one.
    taken: usize,
    /// What the user has to know.
    remarks: Vec<Problem>,
    failures: Vec<Failure>,
}

impl Collector<'_> {
    /// The secrets of a pattern, by their variables. What no variable can be called is told before anything is read.
    fn expand<'a>(&mut self, entry: &'a Entry, listed: Result<Vec<Listed>, Failure>, wanted: &mut Vec<Wanted<'a>>) {
        let listed = match listed {
            Ok(listed) => listed,
            Err(failure) => return self.failures.push(failure),
        };
        if listed.is_empty() {
            let what = format!("no secret matches `{entry}`{}", self.config.store.where_listed(&entry.reference));
            let help = "check the pattern and where the secrets lie, or push to it first";
            return self.failures.push(Failure::new(Kind::NotFound, what).help(help));
        }
        let (mut left, before) = (0, wanted.len());
        for Listed { which, name, unusable } in listed {
            let name = self.config.shape.apply(&mapped(&name));
            if !self.config.scope.holds(&name) {
                continue;
            }
            if let Some(why) = unusable {
                left += 1;
                self.remarks.push(left_out(&format!("the secret `{which}` {why}")));
                continue;
            }
            if Key::new(&name).is_none() {
                let what = format!("the secret `{which}` gives `{name}`, which is no valid name of a variable");
                let help = "leave it out with `exclude`, or take it alone with an entry `NAME = ID`";
                self.failures.push(Failure::new(Kind::Input, what).help(help));
                continue;
            }
            wanted.push(Wanted { entry, reference: which, name: Some(name) });
        }
        if left > 0 && wanted.len() == before && self.failures.is_empty() {
            self.failures.push(unreadable(entry, &self.remarks));
        }
    }

    /// A secret that is one variable as a whole. Its base64 is the value where it is no text.
    fn take_whole(&mut self, name: &str, which: &Reference, snapshot: &Snapshot) {
        self.add(name, snapshot.payload.text.clone(), &which.to_string(), &format!("the secret `{which}`"));
    }

    fn take(&mut self, entry: &Entry, snapshot: &Snapshot) {
        let whole = &snapshot.payload.text;
        let member = entry.path.as_ref().map(|path| document::member_at(whole, path)).transpose();
        let source = Entry { name: None, ..entry.clone() }.to_string();
        let payload = match member {
            Ok(member) => member.unwrap_or_else(|| whole.clone()),
            Err(fault) => return self.failures.push(unusable(entry, &fault)),
        };
        if let Some(name) = &entry.name {
            return self.add(name.as_str(), payload, &source, &format!("the entry `{entry}`"));
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
                    self.add(&shaped, value, &source, &origin);
                }
            }
            Err(fault) => self.failures.push(unusable(entry, &fault)),
        }
    }

    fn add(&mut self, name: &str, value: Secret, source: &str, origin: &str) {
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
                self.sources.insert(key.clone(), source.to_owned());
                self.values.insert(key, value);
            }
        }
    }
}

fn left_out(what: &str) -> Problem {
    let help =
        "nothing to do where that is meant; else list the name in `required_keys`, so that a run without it fails";
    Problem::new(format!("{what}: it is left out"), help)
}

fn unreadable(entry: &Entry, remarks: &[Problem]) -> Failure {
    let mut failure = Failure::new(Kind::NotFound, format!("none of the secrets that match `{entry}` can be read"))
        .help("look at the states of the secrets");
    failure.problems.extend(remarks.iter().map(|remark| Problem { what: remark.what.clone(), help: None }));
    failure
}

fn unusable(entry: &Entry, fault: &Fault) -> Failure {
    let kind = if matches!(fault, Fault::NoMember { .. }) { Kind::NotFound } else { Kind::Input };
    // A help that gives an entry to write starts from the secret where this one has a name or a wrong path already.
    let whole = entry.name.is_some() || matches!(fault, Fault::NoMember { .. } | Fault::NotJson);
    let id = if whole { entry.reference.to_string() } else { entry.to_string() };
    Failure::new(kind, format!("the secret `{entry}` cannot be used: {fault}")).help(fault.help(&id))
}

fn named(entry: &Entry, then: &str) -> String {
    format!("give it a name: `NAME = {entry}`; {then}")
}

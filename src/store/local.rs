//! The embedded store: a directory, one sub-directory a secret, one immutable file a version (`1.json`, `2.json`, …) that
//! holds the payload as it is.
//!
//! A version is written aside and then hard-linked to its name, so that it is whole or absent, and the file system itself
//! decides which of two writers made version N+1. No daemon, no lock that outlives its run.

#![allow(clippy::disallowed_methods, reason = "a store that is a directory")]

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Component, Path, PathBuf};

use async_trait::async_trait;

use super::{Allowed, Commit, Form, Listed, Payload, Snapshot, Store, Version, not_found, told};
use crate::effects::Effects;
use crate::error::{Failure, Kind};
use crate::file::{self, Aside, Directory};
use crate::reference::{Pattern, Pin, Provider, Reference};

/// One name for the temporary files of all versions, so that every run clears what a killed one left.
const ASIDE: &str = "version";
/// The longest name that Linux file systems take, in bytes.
const MAX_NAME: usize = 255;

/// A store in one directory.
pub struct Local {
    root: PathBuf,
    name: String,
    allowed: Allowed,
    effects: Effects,
}

impl Local {
    /// A store in the directory `name` of the workspace, which the first write makes.
    #[must_use]
    pub fn new(workspace: &Path, name: &str, allowed: Allowed, effects: Effects) -> Self {
        Self { root: workspace.join(name), name: plain(workspace, name), allowed, effects }
    }

    fn directory(&self, which: &Reference) -> Result<PathBuf, Failure> {
        let name = directory_name(&which.id);
        if name.len() > MAX_NAME {
            let what = format!("the secret `{}` has a name that is too long for the local store", which.id);
            return Err(
                Failure::new(Kind::Input, what).help("give it a name of at most 255 letters, digits, `_` and `-`")
            );
        }
        Ok(self.root.join(name))
    }

    fn get(&self, which: &Reference) -> Result<Option<Snapshot>, Failure> {
        let directory = self.directory(which)?;
        if directory.is_dir() {
            file::sweep_dir(&Directory::open(&directory)?, &OsString::from(ASIDE));
        }
        let Some(newest) = newest(&directory)? else { return Ok(None) };
        let number = match &which.pin {
            Pin::Current => newest,
            Pin::Version(version) => match version.parse::<u64>() {
                Ok(number) if number > 0 => number,
                _ => {
                    let what = format!("`{which}` asks for a version that the local store cannot have");
                    return Err(Failure::new(Kind::Input, what).help("its versions are the numbers from 1 on"));
                }
            },
            // The notation refuses stages for this store.
            Pin::Stage(_) => return Ok(None),
        };
        let path = directory.join(file_name(number));
        let bytes = match file::read_any(&path) {
            Ok(snapshot) => snapshot.bytes().to_vec(),
            Err(failure) if failure.kind == Kind::NotFound => {
                let what = format!("the secret `{}` has no version {number}", which.id);
                return Err(Failure::new(Kind::NotFound, what).help(format!("its newest version is {newest}")));
            }
            Err(failure) => return Err(failure),
        };
        let payload = Payload::from_bytes(bytes, Form::Text);
        Ok(Some(Snapshot { payload, version: Version(number.to_string()), remark: None }))
    }

    fn put(&self, which: &Reference, expected: Option<&Version>, payload: &Payload) -> Result<Commit, Failure> {
        let path = self.directory(which)?;
        let number = match expected {
            Some(version) => version.0.parse::<u64>().map_or(1, |number| number.saturating_add(1)),
            None if !self.allowed.create && !path.exists() => {
                return Err(not_found(which, "", "create it, or set `create` to `true`"));
            }
            None => 1,
        };
        if self.allowed.rehearse {
            return Ok(Commit::Rehearsed);
        }
        let mut remark = file::make_dir(&self.root)?;
        remark = file::make_dir(&path)?.or(remark);
        let directory = Directory::open(&path)?;
        let temporary = OsString::from(ASIDE);
        file::sweep_dir(&directory, &temporary);
        let aside = Aside::create(&directory, &temporary)?;
        aside.write_synced(payload.text.expose().as_bytes())?;
        remark = aside.note().map(str::to_owned).or(remark);
        // Without the protection a writer that is late takes the next number that is free.
        let number = if self.allowed.unsafe_write {
            newest(&path)?.map_or(1, |newest| newest.saturating_add(1))
        } else {
            number
        };
        if newest(&path)?.is_some_and(|newest| newest >= number) {
            return Ok(Commit::Conflict);
        }
        let (wrote, may_have) = told(which, &number.to_string());
        self.effects.on(&which.id).may(may_have);
        match aside.link_to(&OsString::from(file_name(number))) {
            Ok(true) => self.effects.on(&which.id).wrote(wrote),
            Ok(false) => {
                self.effects.on(&which.id).did_not();
                return Ok(Commit::Conflict);
            }
            Err(failure) => {
                if failure.kind != Kind::Partial {
                    self.effects.on(&which.id).did_not();
                }
                return Err(failure);
            }
        }
        Ok(Commit::Done { version: Version(number.to_string()), race: None, remark })
    }
}

#[async_trait(?Send)]
impl Store for Local {
    async fn fetch(&self, which: &[Reference]) -> Vec<Result<Option<Snapshot>, Failure>> {
        let read = |which| {
            self.effects.step();
            self.get(which)
        };
        which.iter().map(read).collect()
    }

    async fn commit(
        &self,
        which: &Reference,
        expected: Option<&Version>,
        payload: &Payload,
    ) -> Result<Commit, Failure> {
        self.put(which, expected, payload)
    }

    async fn list(&self, which: &Reference) -> Result<Vec<Listed>, Failure> {
        let Some(pattern) = Pattern::new(Provider::Local, which) else {
            return Err(Failure::new(Kind::Internal, format!("`{which}` is no pattern")));
        };
        let refused = |error: std::io::Error| file::fail("read the directory", &self.root, error);
        let entries = match std::fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(refused(error)),
        };
        let mut listed = Vec::new();
        for entry in entries {
            let name = entry.map_err(refused)?.file_name();
            let Some(id) = name.to_str().and_then(id_of) else { continue };
            let Some(star) = pattern.star(&id) else { continue };
            // A directory without a version is what a killed first write left.
            if newest(&self.root.join(&name))?.is_some() {
                listed.push(Listed { which: pattern.reference(&id), name: star.to_owned(), unusable: None });
            }
        }
        listed.sort_by(|a, b| a.which.id.cmp(&b.which.id));
        Ok(listed)
    }

    fn identity(&self, which: &Reference) -> Result<String, Failure> {
        Ok(format!("{}/{}", self.name, which.id))
    }
}

/// One name for a directory, however it is written: `store`, `./store/` and its absolute path are the same.
fn plain(workspace: &Path, name: &str) -> String {
    let path = Path::new(name);
    let within = path.strip_prefix(workspace).unwrap_or(path);
    let parts = within.components().filter(|part| *part != Component::CurDir);
    match parts.collect::<PathBuf>().to_string_lossy() {
        plain if plain.is_empty() => ".".to_owned(),
        plain => plain.into_owned(),
    }
}

fn file_name(number: u64) -> String {
    format!("{number}.json")
}

/// One directory a secret, for every id: what a file name should not hold becomes `%XX`, so that no two ids meet.
fn directory_name(id: &str) -> String {
    let mut name = String::with_capacity(id.len());
    for byte in id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'+' | b'=' | b'@' => name.push(char::from(byte)),
            // `.` and `..` are directories that exist already.
            b'.' if !name.is_empty() => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    name
}

/// The id of a secret by its directory. What no id gives is none of ours.
fn id_of(directory: &str) -> Option<String> {
    let mut parts = directory.split('%');
    let mut id = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (hex, rest) = part.split_at_checked(2)?;
        id.push(u8::from_str_radix(hex, 16).ok()?);
        id.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(id).ok().filter(|id| directory_name(id) == directory)
}

/// The number of a version's file. What only looks like one (`007.json`, `+7.json`) is none of ours.
fn number_of(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".json")?.parse::<u64>().ok()?;
    (number < u64::MAX && file_name(number) == name).then_some(number)
}

/// The highest number that a version has; `None` where there is no version.
fn newest(directory: &Path) -> Result<Option<u64>, Failure> {
    let refused = |error: std::io::Error| file::fail("read the directory", directory, error);
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refused(error)),
    };
    let mut newest = None;
    for entry in entries {
        let name = entry.map_err(refused)?.file_name();
        let number = name.to_str().and_then(number_of);
        newest = newest.max(number);
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_name() {
        let rows = [
            ("store", "store"),
            ("./store/", "store"),
            ("a//b/./c", "a/b/c"),
            ("/fake/workspace/store", "store"),
            ("/fake/other/", "/fake/other"),
            ("../store", "../store"),
            (".", "."),
            ("/fake/workspace", "."),
        ];
        for (name, expected) in rows {
            assert_eq!(plain(Path::new("/fake/workspace"), name), expected, "{name}");
        }
    }

    #[test]
    fn no_two_ids_share_a_directory() {
        assert_eq!(directory_name("envsync-secrets"), "envsync-secrets");
        assert_eq!(directory_name("prod/app"), "prod%2Fapp");
        assert_eq!(directory_name("prod%2Fapp"), "prod%252Fapp");
        assert_eq!(directory_name(".."), "%2E.");
        assert_eq!(directory_name("."), "%2E");
        assert_eq!(directory_name("a.b"), "a.b");
    }

    #[test]
    fn a_directory_tells_its_secret() {
        for id in ["envsync-secrets", "prod/app/DB_URL", "prod%2Fapp", "..", ".", "a.b", "a!b"] {
            assert_eq!(id_of(&directory_name(id)).as_deref(), Some(id));
        }
        for foreign in ["%", "%2", "%2f", "%41", "a b", "%+1", "lost+found/x", "é"] {
            assert_eq!(id_of(foreign), None, "{foreign}");
        }
    }
}

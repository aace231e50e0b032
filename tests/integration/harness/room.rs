//! The workspace of a test: its files, its local store, and the values that must never show.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use envsync::dotenv::{Dialect, Document};
use tempfile::TempDir;

/// A workspace with a local store in it (`store`), for one test or several runs of one.
pub struct Room {
    pub(super) root: TempDir,
    pub(super) known: Mutex<BTreeSet<String>>,
}

impl Room {
    /// An empty one.
    pub fn new() -> Arc<Self> {
        let root = TempDir::new().unwrap();
        for name in ["workspace", "home", "temp", "commands"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        Arc::new(Self { root, known: Mutex::default() })
    }

    /// A path in the workspace.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.path().join("workspace").join(name)
    }

    /// A path beside the workspace.
    pub fn outside(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file of the workspace; the values of one that reads as dotenv become known.
    pub fn file(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        fs::write(self.path(name), text.as_ref()).unwrap();
        if let Ok(document) = Document::parse(text.as_ref().to_vec(), &[Dialect::Portable]) {
            document.variables().values().for_each(|value| self.long_value(value.expose()));
        }
        self
    }

    /// A file of the workspace, or `None` where there is none.
    pub fn read(&self, name: &str) -> Option<String> {
        fs::read(self.path(name)).ok().map(|bytes| String::from_utf8(bytes).unwrap())
    }

    /// The variables of a file of the workspace, read by the crate's own reader.
    pub fn variables(&self, name: &str) -> BTreeMap<String, String> {
        let bytes = fs::read(self.path(name)).unwrap_or_else(|e| panic!("couldn't read `{name}`: {e}"));
        own_reading(&bytes, &[])
    }

    /// Puts a payload into the local store as the next version; its values become known.
    pub fn seed(&self, secret: &str, payload: &str) -> &Self {
        let directory = self.path("store").join(percent_encoded(secret));
        fs::create_dir_all(&directory).unwrap();
        let next = self.versions(secret).len() + 1;
        fs::write(directory.join(format!("{next}.json")), payload).unwrap();
        self.secret_values(payload)
    }

    /// The payloads of a secret of the local store, oldest first. A gap in the numbers is a failure.
    pub fn versions(&self, secret: &str) -> Vec<String> {
        let directory = self.path("store").join(percent_encoded(secret));
        let count = fs::read_dir(&directory).map_or(0, |entries| {
            entries.filter(|e| e.as_ref().unwrap().path().extension().is_some_and(|e| e == "json")).count()
        });
        (1..=count).map(|n| fs::read_to_string(directory.join(format!("{n}.json"))).unwrap()).collect()
    }

    /// The newest payload of a secret of the local store, which must be JSON.
    pub fn json(&self, secret: &str) -> serde_json::Value {
        serde_json::from_str(self.versions(secret).last().unwrap_or_else(|| panic!("no version of `{secret}`")))
            .unwrap()
    }

    /// From now on no run may show this.
    pub fn secret_value(&self, value: &str) -> &Self {
        self.known.lock().unwrap().insert(value.to_owned());
        self
    }

    /// From now on no run may show a value of this payload.
    pub fn secret_values(&self, payload: &str) -> &Self {
        match serde_json::from_str::<serde_json::Value>(payload) {
            Ok(json) => self.leaves(&json),
            Err(_) => match Document::parse(payload.as_bytes().to_vec(), &[Dialect::Portable]) {
                Ok(document) => document.variables().values().for_each(|value| self.long_value(value.expose())),
                Err(_) => self.long_value(payload),
            },
        }
        self
    }

    fn leaves(&self, json: &serde_json::Value) {
        match json {
            serde_json::Value::Object(members) => members.values().for_each(|member| self.leaves(member)),
            serde_json::Value::String(text) => self.long_value(text),
            serde_json::Value::Array(_) => self.long_value(&json.to_string()),
            _ => {}
        }
    }

    /// Values found in a file or a payload: only those that cannot be an ordinary word of the log.
    fn long_value(&self, value: &str) {
        if value.chars().count() >= 8 {
            self.secret_value(value);
        }
    }

    /// Everything in the workspace that looks like a file put aside.
    pub(super) fn aside(&self) -> BTreeSet<PathBuf> {
        let mut found = BTreeSet::new();
        let mut directories = vec![self.path("")];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).into_iter().flatten() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if path.is_dir() && !path.is_symlink() {
                    directories.push(path);
                } else if name.contains(".envsync-") || name.ends_with(".tmp") {
                    found.insert(path);
                }
            }
        }
        found
    }
}

/// The name of a secret's directory in the local store.
pub fn percent_encoded(name: &str) -> String {
    let mut encoded = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// What the crate's own reader makes of a file, which must print as it was read.
pub fn own_reading(bytes: &[u8], dialects: &[Dialect]) -> BTreeMap<String, String> {
    let document = Document::parse(bytes.to_vec(), dialects).unwrap_or_else(|_| panic!("a broken file"));
    assert!(document.print() == bytes, "the file does not print as it was read");
    document.variables().iter().map(|(k, v)| (k.to_string(), v.expose().to_owned())).collect()
}

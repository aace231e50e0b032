//! What holds after every run, whatever its test asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use envsync::dotenv::Dialect;

use super::room::own_reading;
use super::{Done, META, Place};
use crate::integration::runner::files::Effects;
use crate::integration::runner::{self, Step, command};

/// Shorter values are part of too many words to look for.
const SHORTEST_LOOKED_FOR: usize = 4;

impl Done {
    #[track_caller]
    pub(super) fn assert_silent(&self, place: Place) {
        let is_mask = |line: &str| {
            place == Place::GitHub
                && command::parse(line, None).is_some_and(|c| c.name.eq_ignore_ascii_case("add-mask"))
                && line.starts_with("::")
        };
        let lines = runner::lines(self.stdout.as_bytes());
        let shown: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !is_mask(line)).collect();
        let shown = format!("{}\n{}\n{}", shown.join("\n"), self.stderr, self.summary);
        for value in self.room.known.lock().unwrap().iter() {
            for form in forms(value) {
                assert!(!shown.contains(&form), "the value `{form}` shows\n{}", self.transcript());
            }
        }
    }

    #[track_caller]
    pub(super) fn assert_understood(&self, place: Place, step: &Step, effects: &Effects) {
        for line in step.log.iter().map(|line| command::without_ignorable(line)) {
            let is_ours = line.starts_with("##[") && place == Place::GitHub;
            assert!(is_ours || command::parse(&line, None).is_none(), "`{line}` could be read as a command");
        }
        if place != Place::GitHub {
            for line in runner::lines(format!("{}\n{}", self.stdout, self.stderr).as_bytes()) {
                assert!(!line.trim_start().starts_with("::") && !line.contains("##["), "a command off GitHub: {line}");
            }
            return;
        }
        let harmless = ["add-mask", "error", "warning", "notice", "debug", "group", "endgroup"];
        for given in &step.commands {
            assert!(harmless.contains(&given.name.as_str()), "the command `{}`\n{}", given.name, self.transcript());
        }
        assert_eq!(self.stderr, "", "two streams race on GitHub\n{}", self.transcript());
        assert_eq!((&step.complaints, &effects.errors), (&vec![], &vec![]), "{}", self.transcript());
        assert_eq!(effects.path, [""; 0], "nothing of ours belongs into the PATH of later steps");
    }

    /// The outputs without values, which every step sets that succeeds.
    #[track_caller]
    pub(super) fn assert_outputs(&self) {
        for name in META {
            assert!(self.outputs.contains_key(name), "the output `{name}` is missing\n{}", self.transcript());
        }
    }

    #[track_caller]
    pub(super) fn assert_reads_back(&self, env_file: &str, before: Option<&[u8]>, dialects: &[Dialect]) {
        let Ok(bytes) = fs::read(self.room.path(env_file)) else { return };
        if before == Some(&bytes) {
            return;
        }
        let own = own_reading(&bytes, dialects);
        if !dialects.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&bytes);
        // What was there before may be written in ways that `dotenvy` reads differently; it also expands `$`.
        let foreign = before.is_some() && text.contains(['\\', '`', '\r', '\u{feff}']);
        if text.contains('$') || foreign {
            return;
        }
        let other: Result<BTreeMap<String, String>, _> = dotenvy::from_read_iter(bytes.as_slice()).collect();
        assert_eq!(other.ok().as_ref(), Some(&own), "dotenvy reads `{env_file}` differently");
    }
}

/// The ways in which a value could show: as it is, its lines, encoded, and escaped as files and commands escape.
fn forms(value: &str) -> BTreeSet<String> {
    let mut forms: BTreeSet<String> = value.split(['\r', '\n']).map(|line| line.trim().to_owned()).collect();
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"");
    forms.insert(value.to_owned());
    forms.insert(escaped.replace('\n', "\\n").replace('\r', "\\r"));
    forms.insert(escaped);
    forms.insert(value.escape_default().to_string());
    forms.insert(value.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A"));
    forms.insert(STANDARD_NO_PAD.encode(value));
    forms.insert(URL_SAFE_NO_PAD.encode(value));
    forms.retain(|form| form.chars().count() >= SHORTEST_LOOKED_FOR);
    forms
}

#[test]
fn the_harness_looks_for_every_form() {
    let forms = forms("fake one\nfake \"two\"");
    for form in
        ["fake one", "fake \"two\"", "fake one\\nfake \\\"two\\\"", "fake one%0Afake", "ZmFrZSBvbmUKZmFrZSAidHdvIg"]
    {
        assert!(forms.iter().any(|f| f.contains(form)), "{form}");
    }
}

//! Which strings a runner has to hide so that a value shows in no log. Pure: what is printed is decided by `ci.rs`.
//!
//! The runner hides a mask wherever it occurs, and derives from each mask its base64 (at three offsets) and the escapes of
//! JSON, URLs, XML and PowerShell (`ValueEncoders.cs`). It has no minimum length and splits a value at line ends, so that
//! the `}` of a pretty-printed value would hide every brace and drop every job output that has one. Therefore we split
//! ourselves, one mask a line, and leave out what is too short or too common.

use std::collections::HashSet;
use std::hash::{Hash, Hasher};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use globset::GlobSet;
use serde_json::value::RawValue;

use crate::secret::{Key, Secret};

/// The most masks of one value: each costs the runner a dozen searches in every line of the log.
const MOST: usize = 1000;
/// How deep a JSON value is searched; `serde_json` itself refuses deeper ones.
const DEPTH: usize = 128;
/// The shortest value that is masked before the configuration says otherwise, in characters.
const MIN_LENGTH: usize = 4;

/// Words that are no secret and stand everywhere: a mask on them would shred logs and drop job outputs.
const TRIVIAL: [&str; 13] =
    ["true", "false", "null", "nil", "none", "yes", "no", "on", "off", "undefined", "nan", "enabled", "disabled"];

/// What a value gives.
pub(super) struct Derived {
    /// Single lines, trimmed; some may be equal.
    pub(super) masks: Vec<Secret>,
    /// The value is not blank, and yet nothing of it can be masked.
    pub(super) bare: bool,
    /// There were more than the runner can bear; the rest is left out.
    pub(super) cut: bool,
}

/// The masks of one value. `nested`: also the strings in a value that is JSON.
pub(super) fn derive(value: &str, min_length: usize, nested: bool) -> Derived {
    let mut found = Derived { masks: Vec::new(), bare: false, cut: false };
    found.lines(value, min_length);
    if !found.masks.is_empty() {
        found.encoded(value);
    }
    if nested {
        for leaf in leaves(value) {
            found.lines(&leaf, min_length);
        }
    }
    found.bare = found.masks.is_empty() && !value.trim().is_empty();
    found
}

impl Derived {
    fn add(&mut self, line: &str) {
        if self.masks.len() < MOST {
            self.masks.push(line.into());
        } else {
            self.cut = true;
        }
    }

    fn lines(&mut self, value: &str, min_length: usize) {
        let several = value.trim().contains(['\r', '\n']);
        let worth =
            |line: &str| line.chars().count() >= min_length && !TRIVIAL.iter().any(|t| t.eq_ignore_ascii_case(line));
        for line in value.split(['\r', '\n']).map(str::trim).filter(|line| !line.is_empty()) {
            // Whatever the minimum: the skeleton of pretty-printed JSON is in every other JSON text too.
            if several && line.chars().all(|c| "{}[](),:;\" ".contains(c)) {
                continue;
            }
            if worth(line) {
                self.add(line);
            }
            for password in passwords(line).iter().flat_map(|password| password.split(['\r', '\n'])).map(str::trim) {
                if !password.is_empty() && worth(password) {
                    self.add(password);
                }
            }
        }
    }

    /// Base64 where the runner does not derive it: of a value that is not its own only line, without padding, and in the
    /// alphabet of URLs.
    fn encoded(&mut self, value: &str) {
        let own_line = value.trim() == value && !value.contains(['\r', '\n']);
        let (standard, url) = (STANDARD_NO_PAD.encode(value), URL_SAFE_NO_PAD.encode(value));
        if url != standard {
            self.masks.push(url.into());
        }
        // A multiple of three bytes has no padding: then this is what the runner derives.
        if !own_line || !value.len().is_multiple_of(3) {
            self.masks.push(standard.into());
        }
    }
}

/// The password of a URL (`scheme://user:password@host`), as written and decoded.
fn passwords(line: &str) -> Vec<String> {
    let Some((_, rest)) = line.split_once("://") else { return Vec::new() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((_, password)) = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')) else {
        return Vec::new();
    };
    let mut found = vec![password.to_owned()];
    found.extend(percent_decoded(password).filter(|decoded| decoded != password));
    found
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let hex = after.get(..2).filter(|_| *first == b'%').and_then(|hex| std::str::from_utf8(hex).ok());
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

/// The strings in a JSON object or array. Numbers are passed over unread: `1e400` is valid JSON that no number type holds.
fn leaves(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let parsed = value.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str::<&RawValue>(value).ok());
    let mut open: Vec<(&RawValue, usize)> = parsed.flatten().map(|whole| (whole, 0)).into_iter().collect();
    while let Some((raw, depth)) = open.pop() {
        if depth > DEPTH || found.len() > MOST {
            continue;
        }
        let text = raw.get();
        match text.as_bytes().first() {
            Some(b'"') => found.extend(serde_json::from_str::<String>(text).ok()),
            Some(b'[') => {
                let items: Vec<&RawValue> = serde_json::from_str(text).unwrap_or_default();
                open.extend(items.into_iter().rev().map(|item| (item, depth + 1)));
            }
            Some(b'{') => {
                let members: indexmap::IndexMap<String, &RawValue> = serde_json::from_str(text).unwrap_or_default();
                open.extend(members.into_values().rev().map(|member| (member, depth + 1)));
            }
            _ => {}
        }
    }
    found
}

/// A value in a set, wiped when it is dropped.
#[derive(PartialEq, Eq)]
struct Held(Secret);

impl Hash for Held {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.expose().hash(state);
    }
}

/// What is masked so far.
pub(super) struct Masks {
    min_length: usize,
    unmasked: GlobSet,
    known: HashSet<Held>,
    bare: Vec<Key>,
    told: HashSet<Key>,
}

impl Masks {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        let (known, told) = (HashSet::new(), HashSet::new());
        Self { min_length: MIN_LENGTH, unmasked: GlobSet::empty(), known, bare: Vec::new(), told }
    }

    /// The rules of the configuration, for everything that comes from now on.
    pub(super) fn configure(&mut self, min_length: usize, unmasked: GlobSet) {
        self.min_length = min_length;
        self.unmasked = unmasked;
    }

    /// The new masks of a secret of the configuration. Not the strings inside of JSON: what `content` holds is masked as
    /// variables once it is read, and only then is it known which of them are no secrets.
    pub(super) fn configuration(&mut self, secret: &Secret) -> Vec<Secret> {
        let derived = derive(secret.expose(), self.min_length, false);
        self.fresh(derived.masks)
    }

    /// The new masks of a variable, and whether some had to be left out.
    pub(super) fn variable(&mut self, key: &Key, value: &Secret) -> (Vec<Secret>, bool) {
        if self.unmasked.is_match(key.as_str()) {
            return (Vec::new(), false);
        }
        let derived = derive(value.expose(), self.min_length, true);
        if derived.bare && self.told.insert(key.clone()) {
            self.bare.push(key.clone());
        }
        (self.fresh(derived.masks), derived.cut)
    }

    /// The new masks of the text of a value as it stands in the file, without the quotes around it.
    pub(super) fn written(&mut self, key: &Key, token: &Secret) -> Vec<Secret> {
        if self.unmasked.is_match(key.as_str()) {
            return Vec::new();
        }
        let mut derived = Derived { masks: Vec::new(), bare: false, cut: false };
        derived.lines(token.expose(), self.min_length);
        self.fresh(derived.masks)
    }

    /// The variables that nothing is masked of, in the order of their arrival; each is named once.
    pub(super) fn take_bare(&mut self) -> Vec<Key> {
        std::mem::take(&mut self.bare)
    }

    /// Whether a mask is part of the text, so that the runner would not let it leave the job.
    pub(super) fn hides(&self, text: &str) -> bool {
        let mut has = [false; 256];
        text.bytes().for_each(|byte| has[usize::from(byte)] = true);
        // Thousands of masks against long lists of names: nearly all fall at their first odd character.
        let could = |mask: &str| mask.len() <= text.len() && mask.bytes().all(|byte| has[usize::from(byte)]);
        self.known.iter().map(|held| held.0.expose()).any(|mask| could(mask) && text.contains(mask))
    }

    fn fresh(&mut self, masks: Vec<Secret>) -> Vec<Secret> {
        masks.into_iter().filter(|mask| self.known.insert(Held(mask.clone()))).collect()
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;
    use globset::{Glob, GlobSetBuilder};

    use super::*;

    fn masks(value: &str) -> Vec<String> {
        derive(value, 4, true).masks.iter().map(|mask| mask.expose().to_owned()).collect()
    }

    #[test]
    fn lines_table() {
        let rows: [(&str, &[&str]); 12] = [
            ("fake-value-x", &["fake-value-x"]),
            ("", &[]),
            (" \n\t", &[]),
            ("abc", &[]),
            ("äöü", &[]),
            ("äöüß+1", &["äöüß+1", "w6TDtsO8w58rMQ"]),
            ("FALSE", &[]),
            ("Undefined", &[]),
            ("::add-mask", &["::add-mask", "OjphZGQtbWFzaw"]),
            ("{[()]}", &["{[()]}"]),
            ("fake%0Aline", &["fake%0Aline", "ZmFrZSUwQWxpbmU"]),
            // Longer than what the runner derives: a value that ends in a line break.
            ("fake-12\n", &["fake-12", "ZmFrZS0xMgo"]),
        ];
        for (value, expected) in rows {
            assert_eq!(masks(value), expected, "{value:?}");
        }
    }

    #[test]
    fn a_value_of_several_lines_gives_a_mask_a_line() {
        let value = "{\r\n  \"a\": \"fake\",\n  },\n]}]}]}\nab\rfake-last";
        let found = masks(value);
        assert_eq!(found[..2], ["\"a\": \"fake\",", "fake-last"]);
        assert_eq!(found[2..], [STANDARD_NO_PAD.encode(value)]);
        assert!(STANDARD.encode(value).contains(&found[2]));
    }

    #[test]
    fn base64_of_urls_is_masked_where_it_differs() {
        let value = "fake>>>???";
        let found = masks(value);
        assert_eq!(found, [value, "ZmFrZT4-Pj8_Pw", "ZmFrZT4+Pj8/Pw"]);
    }

    #[test]
    fn strings_in_json_are_masked() {
        let value = r#"{"u":"ab","p":"fake\"inner","n":[1e400,{"k":"fake-1\nfake-2"}],"t":true,"l":"true"}"#;
        let found = masks(value);
        assert!(found.contains(&value.to_owned()));
        for leaf in ["fake\"inner", "fake-1", "fake-2"] {
            assert!(found.contains(&leaf.to_owned()), "{leaf}");
        }
        for none in ["ab", "true", "1e400", "u", "fake-1\nfake-2"] {
            assert!(!found.contains(&none.to_owned()), "{none}");
        }
        assert_eq!(masks("[\"fake-broken\"").len(), 2, "what is no JSON is only text");
    }

    #[test]
    fn deep_json_neither_overflows_nor_hangs() {
        let deep = format!("{}\"fake-deep\"{}", "[".repeat(20_000), "]".repeat(20_000));
        assert!(!masks(&deep).contains(&"fake-deep".to_owned()));
        let shallow = format!("{}\"fake-deep\"{}", "[".repeat(100), "]".repeat(100));
        assert!(masks(&shallow).contains(&"fake-deep".to_owned()));
    }

    #[test]
    fn passwords_of_urls_are_masked_as_written_and_decoded() {
        let rows: [(&str, &[&str]); 9] = [
            ("postgres://user:fake%2Fpass@db/x", &["fake%2Fpass", "fake/pass"]),
            ("redis://:fake-pass@h:1", &["fake-pass"]),
            ("https://u:p@ss:word@host", &["p@ss:word"]),
            ("https://host/a:b@c", &[]),
            ("https://user@host", &[]),
            ("user:pass@host", &[]),
            ("x://u:100%@h", &["100%"]),
            ("x://u:%ff%fe@h", &["%ff%fe"]),
            ("x://u:%é@h", &["%é"]),
        ];
        for (url, expected) in rows {
            assert_eq!(passwords(url), expected, "{url}");
        }
        assert!(masks("DB=postgres://u:fake-pass@h\nfake-second").contains(&"fake-pass".to_owned()));
        assert!(!masks("postgres://u:abc@host").contains(&"abc".to_owned()), "too short");
    }

    #[test]
    fn the_number_of_masks_is_bounded() {
        let many: String = (0..3000).map(|i| format!("fake-line-{i}\n")).collect();
        let derived = derive(&many, 4, true);
        assert!(derived.cut && derived.masks.len() <= MOST + 2);
        let json = format!("[{}\"x\"]", "\"fake-leaf\",".repeat(3000));
        assert!(derive(&json, 4, true).cut);
        assert!(!derive("fake-value", 4, true).cut);
    }

    fn key(name: &str) -> Key {
        Key::new(name).unwrap()
    }

    fn configured(pattern: &str) -> Masks {
        let mut masks = Masks::new();
        masks.configure(6, GlobSetBuilder::new().add(Glob::new(pattern).unwrap()).build().unwrap());
        masks
    }

    #[test]
    fn each_mask_is_given_once_and_unmasked_names_none() {
        let mut masks = configured("LOG_*");
        assert_eq!(masks.variable(&key("A"), &"fake-value-x".into()).0.len(), 1);
        assert_eq!(masks.variable(&key("B"), &"fake-value-x".into()).0.len(), 0);
        assert_eq!(masks.variable(&key("LOG_LEVEL"), &"fake-verbose".into()).0.len(), 0);
        assert_eq!(masks.written(&key("LOG_LEVEL"), &"fake\\-verbose".into()).len(), 0);
        assert!(masks.take_bare().is_empty());
    }

    #[test]
    fn what_cannot_be_masked_is_named_once() {
        let mut masks = configured("LOG_*");
        for (name, value) in
            [("PIN", "12345"), ("FLAG", "Disabled"), ("EMPTY", " "), ("LOG_LEVEL", "info"), ("PIN", "1")]
        {
            masks.variable(&key(name), &value.into());
        }
        assert_eq!(masks.take_bare(), [key("PIN"), key("FLAG")]);
        masks.variable(&key("PIN"), &"12345".into());
        assert!(masks.take_bare().is_empty());
    }

    #[test]
    fn a_token_is_masked_where_it_shows_the_value_in_another_form() {
        let mut masks = configured("LOG_*");
        masks.variable(&key("A"), &"fake 'a' value".into());
        assert!(masks.written(&key("A"), &"fake 'a' value".into()).is_empty(), "as it is");
        let new = masks.written(&key("A"), &"fake '\"'\"'a'\"'\"' value".into());
        assert_eq!(new.iter().map(Secret::expose).collect::<Vec<_>>(), ["fake '\"'\"'a'\"'\"' value"]);
    }

    #[test]
    fn it_knows_which_texts_the_runner_will_hide() {
        let mut masks = configured("LOG_*");
        masks.variable(&key("A"), &"API_KEY".into());
        assert!(masks.hides(r#"["API_KEY","B"]"#));
        assert!(!masks.hides(r#"["API","KEY"]"#) && !masks.hides(""));
    }

    #[test]
    fn content_is_masked_by_the_line_before_it_is_read() {
        let mut masks = configured("LOG_*");
        let new = masks.configuration(&"A=fake-one\nLOG_LEVEL=debug\n".into());
        assert!(new.iter().any(|mask| mask.expose() == "A=fake-one"));
        let new = masks.configuration(&r#"{"LOG_LEVEL":"verbose"}"#.into());
        assert!(new.iter().all(|mask| mask.expose() != "verbose"), "it may be no secret");
    }
}

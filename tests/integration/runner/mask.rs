//! Masks: what `::add-mask::` registers and what the log hides, as `ActionCommandManager.cs`, `ValueEncoders.cs` and
//! `SecretMasker.cs` do it.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// The masks of one job. Nothing ever leaves it.
#[derive(Clone, Debug, Default)]
pub struct Masker {
    /// What was asked to be masked, line by line.
    pub values: BTreeSet<String>,
    all: BTreeSet<String>,
}

impl Masker {
    /// The data of one `::add-mask::`: as a whole, and each of its lines, trimmed. `false` where it is blank, which the
    /// runner answers with a warning.
    pub fn add_command(&mut self, data: &str) -> bool {
        if data.trim().is_empty() {
            return false;
        }
        self.add(data);
        for piece in data.split(['\r', '\n']).map(str::trim).filter(|piece| !piece.is_empty()) {
            self.add(piece);
        }
        true
    }

    /// One value with everything that the runner derives from it. No minimum length: a single character is a mask.
    pub fn add(&mut self, value: &str) {
        if value.is_empty() || !self.values.insert(value.to_owned()) {
            return;
        }
        self.all.insert(value.to_owned());
        self.all.extend(encodings(value).into_iter().filter(|variation| !variation.is_empty()));
    }

    /// The text with every mask replaced by `***`: ordinal, with case; ranges that overlap or touch become one.
    pub fn mask(&self, text: &str) -> String {
        let mut ranges: Vec<(usize, usize)> = Vec::new();
        for mask in &self.all {
            let mut from = 0;
            while let Some(at) = text.get(from..).and_then(|rest| rest.find(mask.as_str())) {
                let start = from + at;
                ranges.push((start, start + mask.len()));
                from = start + text[start..].chars().next().map_or(1, char::len_utf8);
            }
        }
        ranges.sort_unstable();
        let mut masked = String::new();
        let mut done = 0;
        let mut ranges = ranges.into_iter().peekable();
        while let Some((start, mut end)) = ranges.next() {
            while let Some((_, next)) = ranges.next_if(|(start, _)| *start <= end) {
                end = end.max(next);
            }
            masked.push_str(&text[done..start]);
            masked.push_str("***");
            done = end;
        }
        masked.push_str(&text[done..]);
        masked
    }
}

/// The eleven encoders of `HostContext.cs`, in its order; empty where one does not apply.
pub fn encodings(value: &str) -> [String; 11] {
    let bytes = value.as_bytes();
    let shifted = |n: usize| STANDARD.encode(if bytes.len() > n { &bytes[n..] } else { bytes });
    [
        STANDARD.encode(bytes),
        shifted(1),
        shifted(2),
        value.replace('"', "\\\""),
        value.replace('\'', "''"),
        json_escaped(value),
        uri_escaped(value),
        xml_escaped(value),
        trimmed_quotes(value),
        before_ampersand(value),
        after_ampersand(value),
    ]
}

/// Newtonsoft's `JsonConvert.ToString` without its quotes: `/` and non-ASCII stay, NEL, LS and PS do not.
fn json_escaped(value: &str) -> String {
    let mut escaped = String::new();
    for c in value.chars() {
        match c {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\t' => escaped.push_str("\\t"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{c}' => escaped.push_str("\\f"),
            '\0'..='\u{1f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                escaped.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => escaped.push(c),
        }
    }
    escaped
}

/// `Uri.EscapeDataString`: RFC 3986's unreserved characters stay, the rest is `%XX` in upper case.
fn uri_escaped(value: &str) -> String {
    let mut escaped = String::new();
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

fn xml_escaped(value: &str) -> String {
    value.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&apos;")
}

fn trimmed_quotes(value: &str) -> String {
    let long = value.encode_utf16().count() > 8;
    let inner = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    inner.filter(|_| long).unwrap_or_default().to_owned()
}

/// PowerShell colours the character after `&+` and prints what stands before and after an ampersand on its own; parts
/// below six characters are not masked.
fn before_ampersand(value: &str) -> String {
    let end = value.find("&+").map(|at| at + 2).or_else(|| value.rfind('&').map(|at| at + 1));
    long_part(end.map_or("", |end| &value[..end]))
}

fn after_ampersand(value: &str) -> String {
    let part = match value.find("&+") {
        Some(at) => {
            let mut rest = value[at + 2..].chars();
            rest.next();
            rest.as_str()
        }
        None => value.rfind('&').map_or("", |at| &value[at + 1..]),
    };
    long_part(part)
}

fn long_part(part: &str) -> String {
    if part.encode_utf16().count() >= 6 { part.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masker(values: &[&str]) -> Masker {
        let mut masker = Masker::default();
        for value in values {
            masker.add_command(value);
        }
        masker
    }

    #[test]
    fn ranges_that_overlap_or_touch_are_one() {
        let masker = masker(&["abc", "cde", "fgh"]);
        assert_eq!(masker.mask("xabcdefghx abc ABC"), "x***x *** ABC");
    }

    #[test]
    fn occurrences_of_one_mask_may_overlap() {
        assert_eq!(masker(&["aa"]).mask("baaab"), "b***b");
    }

    #[test]
    fn a_multi_line_mask_masks_its_lines_however_short() {
        let masker = masker(&["{\n  \"a\": 1\r\n}"]);
        assert_eq!(masker.mask("{}"), "***");
        assert_eq!(masker.mask("x \"a\": 1"), "x ***");
    }

    #[test]
    fn blank_data_is_refused() {
        let mut masker = Masker::default();
        assert!(!masker.add_command(" \n"));
        assert!(masker.values.is_empty());
    }

    #[test]
    fn encoders_table() {
        let rows: [(&str, usize, &str); 19] = [
            ("fake", 0, "ZmFrZQ=="),
            ("fake", 1, "YWtl"),
            ("fake", 2, "a2U="),
            ("f", 2, "Zg=="),
            ("a\"b", 3, "a\\\"b"),
            ("a'b", 4, "a''b"),
            ("a\"\\/\n\u{1}\u{2028}ä", 5, "a\\\"\\\\/\\n\\u0001\\u2028ä"),
            ("a b/ä~'", 6, "a%20b%2F%C3%A4~%27"),
            ("<a&'\">", 7, "&lt;a&amp;&apos;&quot;&gt;"),
            ("\"1234567\"", 8, "1234567"),
            ("\"123456\"", 8, ""),
            ("abcdef&ghijkl", 9, "abcdef&"),
            ("abc&def&ghi", 9, "abc&def&"),
            ("ab&ghijkl", 9, ""),
            ("abcdef&+ghijkl", 9, "abcdef&+"),
            ("abc&ghijkl", 10, "ghijkl"),
            ("abc&+ghijklm", 10, "hijklm"),
            ("abcdef&", 10, ""),
            ("abcdef&+", 10, ""),
        ];
        for (value, encoder, expected) in rows {
            assert_eq!(encodings(value)[encoder], expected, "{value} by encoder {encoder}");
        }
    }

    #[test]
    fn derived_forms_are_hidden_and_others_are_not() {
        let masker = masker(&["fake-value?"]);
        assert_eq!(masker.mask("x ZmFrZS12YWx1ZT8= y"), "x *** y");
        assert_eq!(masker.mask("fake-value%3F"), "***");
        assert_eq!(masker.mask("66616b65"), "66616b65");
        assert_eq!(masker.mask("ZmFrZS12YWx1ZT8"), "ZmFrZS12YWx1ZT8", "without its padding it is another text");
    }
}

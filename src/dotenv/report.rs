//! What other programs make of a document.

use indexmap::IndexMap;

use super::dialect::{self, Style};
use super::readers::{self, Look, Readers, Shape};
use super::scan::Entry;
use super::{Document, Remark};
use crate::secret::Key;

impl Document {
    /// What others read differently in the file as it was parsed: lines that npm dotenv, docker compose or a shell take
    /// in another way, names that are set twice, a byte order mark, CRLF line ends. In the order of lines.
    #[must_use]
    pub fn remarks(&self) -> Vec<Remark> {
        let remark = |line: u32, text: String| Remark { line: line as usize, text: format!("line {line}: {text}") };
        let mut remarks = Vec::new();
        if self.scan.bom {
            remarks.push(remark(1, format!("a byte order mark, which {} cannot read", listed(readers::NO_BOM))));
        }
        if self.scan.crlf > 0 {
            let who = listed(readers::SHELLS);
            remarks
                .push(remark(1, format!("the file has CRLF line ends: {who} keep the carriage return in the value")));
        }
        for entry in &self.scan.entries {
            let (key, token) = (self.text(entry.key()), self.text(entry.token()));
            let shape = Shape { crlf: false, ..self.shape(entry, token) };
            let readers = self.misreaders(key, token, shape);
            if readers.meets(readers::WATCHED) {
                let who = listed(readers.without(readers::RAW));
                remarks.push(remark(entry.line, format!("{key} is read differently by {who}")));
            }
        }
        for pair in self.index().windows(2) {
            let at = |i: usize| pair.get(i).and_then(|at| self.scan.entries.get(*at as usize));
            let (Some(first), Some(again)) = (at(0), at(1)) else { continue };
            let key = self.text(again.key());
            if self.text(first.key()) == key {
                let who = listed(readers::FIRST_WINS);
                let text = format!(
                    "{key} is set again (line {} sets it too): the last one counts, but {who} take the first",
                    first.line
                );
                remarks.push(remark(again.line, text));
            }
        }
        remarks.sort_by_key(|remark| remark.line);
        remarks
    }

    /// Which readers get another value, or none, for which variables, by the prediction table and as the document stands
    /// now: because of the token, or of what surrounds it on its line. A byte order mark is left out here.
    #[must_use]
    pub fn misread(&self) -> Vec<(Key, Vec<&'static str>)> {
        let mut all: IndexMap<&str, Readers> = IndexMap::new();
        for line in self.live() {
            let shape = match line.entry {
                Some((_, entry)) => self.shape(entry, line.token),
                None => Shape { crlf: self.line_end() == b"\r\n", ..Shape::default() },
            };
            let mut readers = self.misreaders(line.key, line.token, shape);
            if let Some(earlier) = all.get(line.key) {
                readers = readers.and(*earlier).and(readers::FIRST_WINS);
            }
            all.insert(line.key, readers);
        }
        let known = all.into_iter().filter(|(_, readers)| !readers.is_empty());
        known.filter_map(|(key, readers)| Some((Key::new(key)?, readers.names()))).collect()
    }

    fn misreaders(&self, key: &str, token: &str, shape: Shape) -> Readers {
        let value = self.decode(token);
        let style = Style::of(token);
        let size = key.len() + 1 + value.len();
        let look = Look { style, raw: dialect::inner(token), value: &value, size };
        readers::misreaders(&look).and(readers::line_misreaders(shape, style, token.is_empty()))
    }

    /// The surroundings of a token that stands in the place of an entry's own.
    fn shape(&self, entry: &Entry, token: &str) -> Shape {
        let part = |range| self.bytes().get(range).unwrap_or_default();
        let blank = |b: Option<&u8>| b.is_some_and(|b| b" \t".contains(b));
        let (line, key, place) = (entry.line(), entry.key(), entry.token());
        let indent = part(line.start..key.start);
        let equals = part(key.end..place.start);
        let after = part(place.end..line.end);
        let comment = after.contains(&b'#');
        // Around an empty token the blanks after the `=` are blanks at the end.
        let before = blank(equals.last());
        Shape {
            export: indent.iter().any(|b| !blank(Some(b))),
            indented: blank(indent.first()),
            spaced: blank(equals.first()) || before && !token.is_empty(),
            comment,
            quoting_comment: comment && after.iter().any(|b| b"'\"\\".contains(b)),
            tight: after.starts_with(b"#"),
            trailing_blank: !comment && (blank(after.first()) || before && token.is_empty()),
            // A last line without an end gets one when something is appended.
            crlf: after.ends_with(b"\r\n")
                || !after.ends_with(b"\n") && !self.appended.is_empty() && self.line_end() == b"\r\n",
        }
    }
}

/// "a, b and c".
pub(super) fn listed(readers: Readers) -> String {
    match readers.names().split_last() {
        None => String::new(),
        Some((only, [])) => (*only).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
    }
}

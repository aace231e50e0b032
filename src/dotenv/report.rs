//! What other programs make of a document.

use indexmap::IndexMap;

use super::dialect::{self, Style, Table};
use super::readers::{self, Look, Readers, Shape};
use super::scan::Entry;
use super::{Dialect, Document, Remark};
use crate::secret::Key;

impl Document {
    /// What others read differently in the file as it was parsed: lines that npm dotenv, docker compose or a shell take
    /// in another way, names that are set twice, a byte order mark, CRLF line ends. In the order of lines.
    #[must_use]
    pub fn remarks(&self) -> Vec<Remark> {
        let remark = |line: u32, text: String| Remark { line: line as usize, text: format!("line {line}: {text}") };
        let mut remarks = Vec::new();
        let audience = self.audience();
        let unmarked = readers::NO_BOM.only(audience.and(self.bystanders()));
        if self.scan.bom && !unmarked.is_empty() {
            remarks.push(remark(1, format!("a byte order mark, which {} cannot read", listed(unmarked))));
        }
        let shells = readers::SHELLS.only(audience);
        if self.scan.crlf > 0 && !shells.is_empty() {
            let who = listed(shells);
            remarks
                .push(remark(1, format!("the file has CRLF line ends: {who} keep the carriage return in the value")));
        }
        let watched = self.tables().fold(Readers::NONE, |all, table| all.and(table.watched));
        for entry in &self.scan.entries {
            let (key, token) = (self.text(entry.key()), self.text(entry.token()));
            let shape = Shape { crlf: false, ..self.shape(entry, token) };
            let readers = self.misreaders(key, token, shape);
            if readers.meets(watched) {
                let who = listed(readers.only(audience));
                remarks.push(remark(entry.line, format!("{key} is read differently by {who}")));
            }
        }
        for pair in self.index().windows(2) {
            let at = |i: usize| pair.get(i).and_then(|at| self.scan.entries.get(*at as usize));
            let (Some(first), Some(again)) = (at(0), at(1)) else { continue };
            let key = self.text(again.key());
            if self.text(first.key()) == key {
                let others = readers::FIRST_WINS.only(audience);
                let but = match others.count() {
                    0 => String::new(),
                    1 => format!(", but {} takes the first", listed(others)),
                    _ => format!(", but {} take the first", listed(others)),
                };
                let text = format!("{key} is set again (line {} sets it too): the last one counts{but}", first.line);
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
                readers = readers.and(*earlier).and(readers::FIRST_WINS.only(self.audience()));
            }
            all.insert(line.key, readers);
        }
        let known = all.into_iter().filter(|(_, readers)| !readers.is_empty());
        known.filter_map(|(key, readers)| Some((Key::new(key)?, readers.names()))).collect()
    }

    fn tables(&self) -> impl Iterator<Item = &'static Table> {
        self.dialects.iter().map(|dialect| dialect.table())
    }

    /// Whom the document is for.
    fn audience(&self) -> Readers {
        self.tables().fold(Readers::NONE, |all, table| all.and(table.readers))
    }

    /// Who reads files of the portable dialect too, as far as a value stands there without quotes.
    fn bystanders(&self) -> Readers {
        if self.dialects.contains(&Dialect::Portable) { readers::RAW } else { Readers::NONE }
    }

    fn misreaders(&self, key: &str, token: &str, shape: Shape) -> Readers {
        let value = self.decode(token);
        let style = if self.table().line.raw { Style::Bare } else { Style::of(token) };
        let shaped = readers::line_misreaders(shape, style, token.is_empty());
        let mut all = shaped.only(self.audience().and(self.bystanders()));
        for table in self.tables() {
            all = all.and((table.nameless)(key)).and(match table.reads(token) {
                Some(read) if read == value => (table.missed)(token, &value),
                _ => table.readers,
            });
        }
        if self.dialects.contains(&Dialect::Portable) {
            let size = key.len() + 1 + value.len();
            let look = Look { style, raw: dialect::inner(token), value: &value, size };
            all = all.and(readers::misreaders(&look)).and(readers::nameless(key));
        }
        all
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
        let tab_before = equals.rsplit(|b| *b == b'=').next().is_some_and(|b| b.contains(&b'\t'));
        Shape {
            export: indent.iter().any(|b| !blank(Some(b))),
            indented: blank(indent.first()),
            spaced: blank(equals.first()) || before && !token.is_empty(),
            comment,
            quoting_comment: comment && after.iter().any(|b| b"'\"\\".contains(b)),
            tight: after.starts_with(b"#"),
            trailing_blank: !comment && (blank(after.first()) || before && token.is_empty()),
            tabbed: after.iter().take_while(|b| blank(Some(b))).any(|b| *b == b'\t') || tab_before && token.is_empty(),
            tab_before: tab_before && !token.is_empty(),
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

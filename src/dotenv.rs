//! A `.env` file as a document that loses nothing: every byte that is not part of a changed value stays as it was.
//! Nothing is expanded, and nothing is looked up anywhere. No input or output happens here.
//!
//! The grammar: an optional byte order mark; lines that end in LF or CRLF; blank lines and `#` comments, which may hold any
//! bytes; `[export ]KEY[ ]=[ ]VALUE[ # comment]`, where `VALUE` is bare or quoted and quoted values may span lines. A CRLF
//! within quotes reads as LF, as most readers have it. A line that is neither is a fault: nothing is skipped. That is the
//! portable dialect; the others take from it, or add, what their readers do, and `dialect` says what.

mod advice;
mod base;
mod dialect;
mod fault;
mod readers;
mod report;
mod scan;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use indexmap::IndexMap;
use secrecy::{ExposeSecret, SecretBox};

pub use base::{Base, Found};
pub use dialect::Dialect;
use dialect::{Place, Table};
use scan::Entry;

use crate::secret::{Key, Secret, Variables};

/// A line that cannot be read. It never shows the text of the line, which may be a part of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Counted from 1.
    pub line: usize,
    /// One line; names the line, and the variable where it is known.
    pub what: String,
    /// The fix. One line.
    pub help: Option<String>,
}

/// A line that is read, but not by everybody in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// Counted from 1.
    pub line: usize,
    /// One line; names the variable and the readers.
    pub text: String,
}

/// A value that cannot be put into the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritable {
    /// The variable.
    pub key: Key,
    /// Names the variable and the readers that would get another value.
    pub what: String,
    /// What can be done about it. One line.
    pub help: String,
}

/// The token that took the place of the one in the source, or that its line is gone.
enum Edit {
    Token(Secret),
    Removed,
}

/// A `.env` file. Its bytes are wiped when it is dropped; what [`Document::print`] returns is the caller's.
pub struct Document {
    source: SecretBox<Vec<u8>>,
    scan: scan::Scan,
    /// The first one reads; a token must suit them all. Never empty.
    dialects: Vec<Dialect>,
    /// By position in `scan.entries`.
    edits: BTreeMap<u32, Edit>,
    /// Tokens of new variables, for the end of the file.
    appended: IndexMap<Key, Secret>,
    /// The base line that was set.
    base: Option<String>,
    /// Positions in `scan.entries`, sorted by name and then by line; made when it is first asked for.
    index: OnceLock<Vec<u32>>,
}

/// A line that holds a value now: from the source (with its position), or to be appended.
struct Live<'a> {
    entry: Option<(u32, &'a Entry)>,
    key: &'a str,
    token: &'a str,
}

impl Document {
    /// A file without content, for the portable dialect. For others, parse an empty file.
    #[must_use]
    pub fn empty() -> Self {
        Self::new(Vec::new(), scan::Scan::default(), &[])
    }

    fn new(source: Vec<u8>, scan: scan::Scan, dialects: &[Dialect]) -> Self {
        Self {
            source: SecretBox::new(Box::new(source)),
            scan,
            dialects: if dialects.is_empty() { vec![Dialect::Portable] } else { dialects.to_vec() },
            edits: BTreeMap::new(),
            appended: IndexMap::new(),
            base: None,
            index: OnceLock::new(),
        }
    }

    /// Reads a file. The first dialect reads; what is written later suits all of them. No dialect is `portable`.
    ///
    /// # Errors
    /// Every broken line, up to a thousand. After a quote that is never closed nothing more is looked at.
    pub fn parse(bytes: Vec<u8>, dialects: &[Dialect]) -> Result<Self, Vec<Fault>> {
        let mut document = Self::new(bytes, scan::Scan::default(), dialects);
        let table = document.table();
        document.scan =
            scan::scan(document.bytes(), table).map_err(|faults| advice::others(faults, document.bytes(), table))?;
        Ok(document)
    }

    fn bytes(&self) -> &[u8] {
        self.source.expose_secret()
    }

    fn table(&self) -> &'static Table {
        self.dialects.first().copied().unwrap_or(Dialect::Portable).table()
    }

    fn text(&self, range: std::ops::Range<usize>) -> &str {
        let bytes = self.bytes().get(range).unwrap_or_default();
        // Names and tokens were checked when they were found.
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    fn decode<'a>(&self, token: &'a str) -> Cow<'a, str> {
        (self.table().decode)(token)
    }

    /// The line at a position of `scan.entries`, unless it was removed.
    fn line(&self, at: u32) -> Option<Live<'_>> {
        let entry = self.scan.entries.get(at as usize)?;
        let token = match self.edits.get(&at) {
            None => self.text(entry.token()),
            Some(Edit::Token(token)) => token.expose(),
            Some(Edit::Removed) => return None,
        };
        Some(Live { entry: Some((at, entry)), key: self.text(entry.key()), token })
    }

    fn live(&self) -> impl Iterator<Item = Live<'_>> {
        let read = (0..self.scan.entries.len() as u32).filter_map(|at| self.line(at));
        let new =
            self.appended.iter().map(|(key, token)| Live { entry: None, key: key.as_str(), token: token.expose() });
        read.chain(new)
    }

    /// The lines that set a key, in the order of the file.
    fn lines_of(&self, key: &Key) -> Vec<Live<'_>> {
        let index = self.index();
        let name = |at: u32| self.scan.entries.get(at as usize).map(|e| self.bytes().get(e.key()).unwrap_or_default());
        let wanted = Some(key.as_str().as_bytes());
        let from = index.partition_point(|at| name(*at) < wanted);
        let same = index.iter().skip(from).take_while(|at| name(**at) == wanted);
        let mut lines: Vec<Live<'_>> = same.filter_map(|at| self.line(*at)).collect();
        let new = self.appended.get_key_value(key);
        lines.extend(new.map(|(key, token)| Live { entry: None, key: key.as_str(), token: token.expose() }));
        lines
    }

    fn index(&self) -> &[u32] {
        self.index.get_or_init(|| {
            let name = |at: u32| self.scan.entries.get(at as usize).and_then(|e| self.bytes().get(e.key()));
            let mut index: Vec<u32> = (0..self.scan.entries.len() as u32).collect();
            index.sort_by_key(|at| (name(*at), *at));
            index
        })
    }

    /// What the file sets, decoded. Of several lines for one name the last one counts, at the place of the first.
    #[must_use]
    pub fn variables(&self) -> Variables {
        let mut variables = Variables::with_capacity(self.scan.entries.len());
        for line in self.live() {
            if let Some(key) = Key::new(line.key) {
                variables.insert(key, Secret::from(self.decode(line.token).into_owned()));
            }
        }
        variables
    }

    /// The value of one variable.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<Secret> {
        let lines = self.lines_of(key);
        lines.last().map(|line| Secret::from(self.decode(line.token).into_owned()))
    }

    /// The text of a variable's value as it stands in the file, without the quotes around it: where it holds escapes it
    /// differs from the value, and is just as secret. One for each line that sets the variable.
    #[must_use]
    pub fn tokens(&self, key: &Key) -> Option<Vec<Secret>> {
        let lines = self.lines_of(key);
        let raw = self.table().line.raw;
        let text = |token| if raw { token } else { dialect::inner(token) };
        let tokens: Vec<Secret> = lines.iter().map(|line| Secret::from(text(line.token))).collect();
        (!tokens.is_empty()).then_some(tokens)
    }

    /// Gives a variable a value. Only the bytes of the value's token change, on every line that sets the variable; its
    /// quoting stays where the value fits it and nobody reads it worse. A new variable gets a line at the end. A value
    /// that the variable already has changes nothing. A line break is written as LF in a file with CRLF line ends too: a
    /// CRLF would read back as LF.
    ///
    /// # Errors
    /// Where the readers of the document's dialects would get another value; then nothing has changed.
    pub fn set(&mut self, key: &Key, value: &Secret) -> Result<(), Unwritable> {
        for (at, token) in self.plan(key, value)? {
            match at {
                Some(at) => drop(self.edits.insert(at, Edit::Token(token))),
                None => drop(self.appended.insert(key.clone(), token)),
            }
        }
        Ok(())
    }

    /// Whether [`Document::set`] would succeed.
    ///
    /// # Errors
    /// Those of [`Document::set`].
    pub fn check(&self, key: &Key, value: &Secret) -> Result<(), Unwritable> {
        self.plan(key, value).map(drop)
    }

    /// The tokens that give a variable a value: by position of the line, or `None` for a new line.
    fn plan(&self, key: &Key, value: &Secret) -> Result<Vec<(Option<u32>, Secret)>, Unwritable> {
        let lines = self.lines_of(key);
        let value = value.expose();
        if lines.last().is_some_and(|line| self.decode(line.token) == value) {
            return Ok(Vec::new());
        }
        let unwritable = |what| Unwritable { key: key.clone(), what, help: advice::alternatives(key, value) };
        for table in self.dialects.iter().map(|dialect| dialect.table()) {
            if key.as_str().len() + 1 + value.len() > table.line.longest {
                return Err(unwritable(fault::too_long(key.as_str(), table)));
            }
            let nameless = (table.nameless)(key.as_str());
            if !nameless.is_empty() {
                let what = format!("{key} is a name that {} keep to themselves", report::listed(nameless));
                return Err(unwritable(what));
            }
        }
        let token = |place: &Place<'_>| {
            let chosen = dialect::choose(&self.dialects, value, place);
            chosen.map(Secret::from).map_err(|refusal| unwritable(advice::refused(key, &refusal)))
        };
        if lines.iter().all(|line| line.entry.is_none()) {
            return Ok(vec![(None, token(&Place::default())?)]);
        }
        let differ = lines.iter().filter(|line| self.decode(line.token) != value);
        let placed = differ.map(|line| {
            let place = line.entry.map(|(_, entry)| Place { now: Some(line.token), ..self.place(entry) });
            Ok((line.entry.map(|(at, _)| at), token(&place.unwrap_or_default())?))
        });
        placed.collect()
    }

    fn place(&self, entry: &Entry) -> Place<'_> {
        let token = entry.token();
        let before = self.bytes().get(..token.start).and_then(|b| b.last());
        let after = self.bytes().get(token.end..entry.line().end).unwrap_or_default();
        let after = after.strip_suffix(b"\n").map_or(after, |a| a.strip_suffix(b"\r").unwrap_or(a));
        Place { spaced: before != Some(&b'='), after, now: None }
    }

    /// Takes a variable out: every line that sets it, with its line end. Comments above it stay.
    pub fn remove(&mut self, key: &Key) {
        let lines: Vec<u32> = self.lines_of(key).iter().filter_map(|line| line.entry.map(|(at, _)| at)).collect();
        self.edits.extend(lines.into_iter().map(|at| (at, Edit::Removed)));
        self.appended.shift_remove(key);
    }

    /// The file's bytes. Without a change they are those that were read.
    #[must_use]
    pub fn print(&self) -> Vec<u8> {
        let source = self.bytes();
        let grown = self.edits.values().map(|edit| if let Edit::Token(t) = edit { t.expose().len() } else { 0 });
        let new = self.appended.iter().map(|(key, token)| key.as_str().len() + token.expose().len() + 3);
        let mut out = Vec::with_capacity(source.len() + grown.sum::<usize>() + new.sum::<usize>() + 2);
        let mut done = 0;
        let mut splice = |gone: std::ops::Range<usize>, instead: &[u8]| {
            out.extend_from_slice(source.get(done..gone.start).unwrap_or_default());
            out.extend_from_slice(instead);
            done = gone.end;
        };
        let mut base = self.base_splices().into_iter().peekable();
        for (at, edit) in &self.edits {
            let Some(entry) = self.scan.entries.get(*at as usize) else { continue };
            let (gone, instead) = match edit {
                Edit::Token(token) => (entry.token(), token.expose()),
                Edit::Removed => (entry.line(), ""),
            };
            while let Some((range, line)) = base.next_if(|(range, _)| range.start <= gone.start) {
                splice(range, &line);
            }
            splice(gone, instead.as_bytes());
        }
        for (range, line) in base {
            splice(range, &line);
        }
        out.extend_from_slice(source.get(done..).unwrap_or_default());
        let line_end = self.line_end();
        let bare_start = if self.scan.bom { 3 } else { 0 };
        if !self.appended.is_empty() && out.len() > bare_start && out.last() != Some(&b'\n') {
            out.extend_from_slice(line_end);
        }
        for (key, token) in &self.appended {
            for part in [key.as_str().as_bytes(), b"=", token.expose().as_bytes(), line_end] {
                out.extend_from_slice(part);
            }
        }
        out
    }

    /// What most lines end with.
    fn line_end(&self) -> &'static [u8] {
        if self.scan.crlf > self.scan.lf && self.table().line.windows { b"\r\n" } else { b"\n" }
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({} lines set a variable)", self.scan.entries.len())
    }
}

#[cfg(test)]
mod tests;

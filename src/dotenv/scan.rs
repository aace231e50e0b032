//! Finds the assignments of a `.env` file, as offsets into it. What no assignment covers is kept because it is never
//! touched: blank lines, comments, the byte order mark.

use std::ops::Range;

use super::Fault;
use super::dialect::{Extent, Style, Table};
use super::fault::{Break, fault};

/// The most bytes of `KEY=VALUE` that Linux passes to a program
/// ([execve(2)](https://man7.org/linux/man-pages/man2/execve.2.html): 32 pages for one string, its NUL included).
pub(super) const LONGEST: usize = 131_071;

/// A broken file can have a fault on every line; nobody reads more of them.
const MOST_FAULTS: usize = 1_000;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// One assignment: offsets into the source, which therefore holds less than 4 GiB, and its line, counted from 1.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    /// The start of the line; after the byte order mark on line 1.
    pub start: u32,
    key: u32,
    key_end: u32,
    token: u32,
    token_end: u32,
    /// After the line end.
    pub end: u32,
    pub line: u32,
}

impl Entry {
    pub(super) fn key(&self) -> Range<usize> {
        self.key as usize..self.key_end as usize
    }

    pub(super) fn token(&self) -> Range<usize> {
        self.token as usize..self.token_end as usize
    }

    pub(super) fn line(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// What a file consists of.
#[derive(Default)]
pub(super) struct Scan {
    pub entries: Vec<Entry>,
    pub bom: bool,
    /// Line ends outside of values.
    pub lf: usize,
    pub crlf: usize,
}

/// Why a line is no assignment that can be read, whose value it was to be, and from where reading can go on.
struct Broken {
    why: Break,
    key: Option<Range<usize>>,
    resume: usize,
}

struct Scanner<'a> {
    source: &'a [u8],
    table: &'a Table,
    at: usize,
    line: usize,
    found: Scan,
    faults: Vec<Fault>,
}

/// Reads a whole file in the grammar of one dialect.
pub(super) fn scan(source: &[u8], table: &Table) -> Result<Scan, Vec<Fault>> {
    let (found, faults) = scan_all(source, table);
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

/// What can be read of a file, and what cannot.
pub(super) fn scan_all(source: &[u8], table: &Table) -> (Scan, Vec<Fault>) {
    let whole =
        |what: &str, help: &str| (Scan::default(), vec![Fault { line: 1, what: what.into(), help: Some(help.into()) }]);
    if source.len() >= u32::MAX as usize {
        return whole("the file is larger than 4 GiB", "split the file");
    }
    if source.starts_with(b"\xff\xfe") || source.starts_with(b"\xfe\xff") {
        return whole("the file is UTF-16", "save the file as UTF-8");
    }
    let bom = source.starts_with(BOM);
    if bom && !table.line.windows {
        return whole("the file starts with a byte order mark, which no shell can read", "save the file without it");
    }
    let at = if bom { BOM.len() } else { 0 };
    let found = Scan { bom, ..Scan::default() };
    let mut scanner = Scanner { source, table, at, line: 1, found, faults: Vec::new() };
    while scanner.at < source.len() && scanner.faults.len() < MOST_FAULTS {
        scanner.next_line();
    }
    (scanner.found, scanner.faults)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

impl Scanner<'_> {
    fn next_line(&mut self) {
        let start = self.at;
        let first = self.skip(start, is_blank);
        let resume = match self.source.get(first) {
            None | Some(b'\n' | b'\r' | b'#') => {
                self.check_cr(first);
                if !self.table.line.windows && self.source.get(first..).is_some_and(|rest| rest.starts_with(b"\r\n")) {
                    self.fault(&Broken { why: Break::LoneCr, key: None, resume: first });
                }
                first
            }
            Some(_) => match self.assignment(start, first) {
                Ok(entry) => {
                    self.found.entries.push(entry);
                    let rest = entry.end as usize;
                    self.check_cr(rest);
                    rest
                }
                Err(broken) => {
                    self.fault(&broken);
                    broken.resume
                }
            },
        };
        let (content, next) = self.line_end(resume);
        match next - content {
            0 => {}
            1 => self.found.lf += 1,
            _ => self.found.crlf += 1,
        }
        if let Some(entry) = self.found.entries.last_mut().filter(|entry| entry.start as usize == start) {
            entry.end = next as u32;
        }
        self.line += self.source[start..next].iter().filter(|b| **b == b'\n').count();
        self.at = next;
    }

    /// The first offset at or after `from` whose byte is of another kind.
    fn skip(&self, from: usize, kind: fn(u8) -> bool) -> usize {
        from + self.source.iter().skip(from).take_while(|b| kind(**b)).count()
    }

    /// Where the content of the line ends that `from` lies in, and where the next line starts.
    fn line_end(&self, from: usize) -> (usize, usize) {
        match self.source.iter().skip(from).position(|b| *b == b'\n') {
            None => (self.source.len(), self.source.len()),
            Some(0) => (from, from + 1),
            Some(n) if self.source.get(from + n - 1) == Some(&b'\r') => (from + n - 1, from + n + 1),
            Some(n) => (from + n, from + n + 1),
        }
    }

    /// A carriage return that ends no line, in what is left of a line: 17 of 33 readers start a new line there, and what
    /// we take for a comment would hide an assignment.
    fn check_cr(&mut self, from: usize) {
        let (content, _) = self.line_end(from);
        if self.source.get(from..content).is_some_and(|rest| rest.contains(&b'\r')) {
            self.fault(&Broken { why: Break::LoneCr, key: None, resume: from });
        }
    }

    /// `[export ]KEY[ ]=[ ]VALUE` up to the comment or the line end, which is where the entry ends for now.
    fn assignment(&self, start: usize, first: usize) -> Result<Entry, Broken> {
        let broken = |why, key, resume| Broken { why, key, resume };
        let mut key = first..self.skip(first, is_name);
        let mut exported = false;
        if self.source.get(key.clone()) == Some(b"export") {
            let next = self.skip(key.end, is_blank);
            let end = self.skip(next, is_name);
            exported = next > key.end && end > next;
            if exported {
                key = next..end;
            }
        }
        let line = &self.table.line;
        let equals = self.skip(key.end, is_blank);
        let valid = self.source.get(key.start).is_some_and(|b| !b.is_ascii_digit()) && !key.is_empty();
        if !valid || self.source.get(equals) != Some(&b'=') {
            let (content, _) = self.line_end(first);
            let line = self.source.get(first..content).unwrap_or_default();
            let why = match () {
                () if line.contains(&b'\r') => Break::LoneCr,
                () if line.contains(&b'=') => Break::Name,
                () if exported && equals == content => Break::Export,
                () => Break::NoAssignment,
            };
            return Err(broken(why, None, first));
        }
        if exported && !line.export {
            return Err(broken(Break::Exported, Some(key), first));
        }
        if equals != key.end && !line.spaced {
            return Err(broken(Break::Spaced, Some(key), first));
        }
        let Extent { token, rest } = (self.table.extent)(self.source, equals + 1)
            .map_err(|open| broken(Break::Unterminated { open }, Some(key.clone()), self.source.len()))?;
        let (bytes, name) = (&self.source[token.clone()], &self.source[key.clone()]);
        match self.source.get(rest) {
            None | Some(b'#' | b'\n') => {}
            Some(b'\r') if self.source.get(rest + 1) == Some(&b'\n') => {
                // To a shell it is a word of its own, and so a command, where a blank stands before it.
                if !self.table.line.windows {
                    let why = "holds a carriage return outside of quotes";
                    return Err(broken(Break::Unreadable { why }, Some(key), rest));
                }
            }
            Some(b'\r') => return Err(broken(Break::LoneCr, None, rest)),
            Some(_) => {
                let line = self.line + bytes.iter().filter(|b| **b == b'\n').count();
                let after_backslash = bytes.starts_with(b"'") && bytes.ends_with(b"\\'");
                if bytes.is_empty() || Style::of(&String::from_utf8_lossy(bytes)) == Style::Bare {
                    return Err(broken(Break::Unreadable { why: "is followed by a command" }, Some(key), rest));
                }
                return Err(broken(Break::Trailing { line, after_backslash }, Some(key), rest));
            }
        }
        let quoted = bytes.first().is_some_and(|b| b"'\"`".contains(b));
        if !quoted && !line.raw && bytes.contains(&b'\r') {
            return Err(broken(Break::LoneCr, None, rest));
        }
        if bytes.contains(&0) {
            return Err(broken(Break::Nul, Some(key), rest));
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return Err(broken(Break::NotUtf8, Some(key), rest)) };
        if let Some(why) = (self.table.unreadable)(text) {
            return Err(broken(Break::Unreadable { why }, Some(key), rest));
        }
        if std::str::from_utf8(name).is_ok_and(|name| !(self.table.nameless)(name).is_empty()) {
            return Err(broken(Break::Kept, Some(key), rest));
        }
        // Decoding never makes a value longer.
        let room = line.longest.saturating_sub(key.len() + 1);
        if text.len() > room && (self.table.decode)(text).len() > room {
            return Err(broken(Break::TooLong, Some(key), rest));
        }
        Ok(Entry {
            start: start as u32,
            key: key.start as u32,
            key_end: key.end as u32,
            token: token.start as u32,
            token_end: token.end as u32,
            end: rest as u32,
            line: self.line as u32,
        })
    }

    fn fault(&mut self, broken: &Broken) {
        let name = broken.key.clone().and_then(|key| self.source.get(key)).unwrap_or_default();
        self.faults.push(fault(self.line, &String::from_utf8_lossy(name), &broken.why, self.table));
    }
}

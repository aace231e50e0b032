//! How values are written and read: one table per dialect, the same table for both directions, so that a file that we
//! wrote never differs from its secret.

mod compose;
mod docker;
mod node;
mod portable;
mod python;
mod shell;
mod token;

use std::borrow::Cow;
use std::ops::Range;

use super::readers::{self, Readers};
use super::scan::LONGEST;
use crate::secret::Key;

/// Who will read the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Every reader that understands quotes: dotenv libraries, systemd, shells. Bare, else `"verbatim"`, else
    /// `'verbatim'`; an escape is never written.
    Portable,
    /// `--env-file` of docker and podman, `kubectl --from-env-file`: the rest of the line, never quoted.
    Docker,
    /// Shells that source the file, and systemd: bare or `'…'`, with a `'` as `'"'"'`.
    Shell,
    /// docker compose: bare or `"…"` with `\\ \" \$ \n \r`.
    Compose,
    /// python-dotenv and what is built on it: bare or `'…'` with `\\ \'`.
    Python,
    /// npm dotenv, `node --env-file`, deno: bare, else the first of `'`, backtick and `"` that the value lacks.
    Node,
    /// Next, Vite, dotenv-expand: as [`Dialect::Node`], with `$` as `\$`.
    Next,
}

impl Dialect {
    /// Every dialect there is.
    pub const ALL: &'static [Self] =
        &[Self::Portable, Self::Docker, Self::Shell, Self::Compose, Self::Python, Self::Node, Self::Next];

    /// The dialect with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|dialect| dialect.name() == name)
    }

    /// The name as the configuration has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.table().name
    }

    pub(super) fn table(self) -> &'static Table {
        match self {
            Self::Portable => &portable::TABLE,
            Self::Docker => &docker::TABLE,
            Self::Shell => &shell::TABLE,
            Self::Compose => &compose::TABLE,
            Self::Python => &python::TABLE,
            Self::Node => &node::TABLE,
            Self::Next => &node::NEXT,
        }
    }
}

/// How a token is quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    Bare,
    Single,
    Double,
    Backtick,
}

impl Style {
    pub(super) fn of(token: &str) -> Self {
        match token.bytes().next() {
            Some(b'\'') => Self::Single,
            Some(b'"') => Self::Double,
            Some(b'`') => Self::Backtick,
            _ => Self::Bare,
        }
    }

    fn around(self, value: &str) -> String {
        match self {
            Self::Bare => value.to_owned(),
            Self::Single => format!("'{value}'"),
            Self::Double => format!("\"{value}\""),
            Self::Backtick => format!("`{value}`"),
        }
    }
}

/// Where a value stands in its line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extent {
    /// The token with its quotes. An empty one lies directly after the `=`, so that what is put there later does not
    /// touch a comment.
    pub token: Range<usize>,
    /// Where the comment or the line end starts.
    pub rest: usize,
}

/// A quote that is never closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub quote: char,
    /// Whether the value starts with it.
    pub first: bool,
}

/// What may stand around a token.
pub(super) struct Line {
    /// `export ` before the name, and blanks around the `=`.
    pub export: bool,
    pub spaced: bool,
    /// A byte order mark, and CRLF line ends.
    pub windows: bool,
    /// Quotes are data, and so is a carriage return within a value.
    pub raw: bool,
    /// The most bytes of `KEY=VALUE`.
    pub longest: usize,
}

/// What most readers take.
const USUAL: Line = Line { export: true, spaced: true, windows: true, raw: false, longest: LONGEST };

/// What a dialect is. Adding a dialect is adding one of these.
pub(super) struct Table {
    pub name: &'static str,
    /// Whom its tokens are for.
    pub readers: Readers,
    /// Those of them whose different reading of a line is worth a warning.
    pub watched: Readers,
    pub line: Line,
    /// The forms it writes, the best first.
    writes: &'static [Style],
    /// Finds the value that starts at an offset (directly after the `=`).
    pub extent: fn(&[u8], usize) -> Result<Extent, Open>,
    /// Why the readers do more with a token than to decode it, as the end of "the value …".
    pub unreadable: fn(&str) -> Option<&'static str>,
    /// The value of a token.
    pub decode: fn(&str) -> Cow<'_, str>,
    /// A value in one form, whether or not that carries it.
    quote: fn(Style, &str) -> String,
    /// The best token of a value, for the start of an otherwise empty line.
    encode: fn(&str) -> Result<String, Refusal>,
    /// The readers that may not get this value from this token, which decodes to it; other lines of the file may hold
    /// anything.
    pub missed: fn(&str, &str) -> Readers,
    /// The readers that cannot have a variable of this name.
    pub nameless: fn(&str) -> Readers,
}

impl Table {
    /// The value of a whole token; `None` where the readers take it for something else.
    pub(super) fn reads<'a>(&self, token: &'a str) -> Option<Cow<'a, str>> {
        let line = format!("={token}");
        let Extent { token: found, rest } = (self.extent)(line.as_bytes(), 1).ok()?;
        let broken = !self.line.raw && Style::of(token) == Style::Bare && token.contains('\r');
        let whole = found == (1..line.len()) && rest == line.len() && !broken;
        (whole && (self.unreadable)(token).is_none()).then(|| (self.decode)(token))
    }

    /// Whether nobody among its readers gets another value from this token.
    fn carries(&self, token: &str, value: &str) -> bool {
        self.missing(token, value).is_empty()
    }

    /// The readers that may get another value from this token, as [`Table::missed`], and all where it is no token.
    pub(super) fn missing(&self, token: &str, value: &str) -> Readers {
        if self.reads(token).is_some_and(|read| read == value) { (self.missed)(token, value) } else { self.readers }
    }

    /// The first form that carries a value: bare where nobody at all minds, quoted, or bare after all.
    fn first(&self, value: &str) -> Option<String> {
        if token::plain(value) && self.carries(value, value) {
            return Some(value.to_owned());
        }
        let quoted = self.writes.iter().filter(|style| **style != Style::Bare);
        let mut forms = quoted.chain(&[Style::Bare]).map(|style| (self.quote)(*style, value));
        forms.find(|token| self.carries(token, value))
    }
}

/// Why a dialect cannot carry a value.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// What is in the way, as the object of "it holds".
    pub holds: &'static str,
    /// Who would misread the value in the form that most others read. Empty: nobody can be given such a value.
    pub readers: Readers,
}

/// The line around a token that is to be written.
#[derive(Default)]
pub(super) struct Place<'a> {
    /// Whether a blank stands between the `=` and the token.
    pub spaced: bool,
    /// What follows on the line, without its end.
    pub after: &'a [u8],
    /// The token that stands there now.
    pub now: Option<&'a str>,
}

/// The token for a value: the quoting that stands there where that is no worse, else the first dialect's own choice, else
/// any form that all dialects read exactly and the line lets stand.
pub(super) fn choose(dialects: &[Dialect], value: &str, place: &Place<'_>) -> Result<String, Refusal> {
    let tables = || dialects.iter().map(|dialect| dialect.table());
    let first = dialects.first().copied().unwrap_or(Dialect::Portable).table();
    let now = place.now.filter(|_| !first.line.raw).map(Style::of);
    let mut candidates = Vec::new();
    let stays = now.filter(|style| first.name != portable::TABLE.name || first.writes.contains(style));
    candidates.extend(stays.map(|style| (first.quote)(style, value)));
    for table in tables() {
        candidates.push((table.encode)(value)?);
    }
    for table in tables() {
        candidates.extend(table.writes.iter().map(|style| (table.quote)(*style, value)));
    }
    let verbatim = [Style::Bare, Style::Single, Style::Double, Style::Backtick].map(|style| style.around(value));
    candidates.extend(verbatim.into_iter().filter(|_| dialects.len() > 1));
    let good = |token: &&String| fits(first, token, value, place) && tables().all(|t| accepts(t, token, value, now));
    if let Some(token) = candidates.iter().find(good) {
        return Ok(token.clone());
    }
    let missing = |token: &String| tables().fold(Readers::NONE, |all, t| all.and(t.missing(token, value)));
    let readers = candidates.iter().map(missing).filter(|readers| !readers.is_empty()).min_by_key(|r| r.count());
    Err(Refusal {
        holds: "characters that no one form carries to the readers of all chosen dialects",
        readers: readers.unwrap_or(first.readers),
    })
}

/// Whether a token serves the readers of a dialect as well as the dialect's own choice does. Who cannot read the quotes
/// that stand there now is no reader of this variable, and does not count when they stay.
fn accepts(table: &Table, token: &str, value: &str, now: Option<Style>) -> bool {
    if table.reads(token).is_none_or(|read| read != value) {
        return false;
    }
    let lost = match now {
        Some(style) if table.name == portable::TABLE.name && style == Style::of(token) => readers::strangers(style),
        _ => Readers::NONE,
    };
    let missed = (table.missed)(token, value).without(lost);
    missed.is_empty()
        || (table.encode)(value).is_ok_and(|own| own == token || missed.within((table.missed)(&own, value)))
}

/// Whether the line, with this token in it, gives this value back.
fn fits(table: &Table, token: &str, value: &str, place: &Place<'_>) -> bool {
    // godotenv and compose read the comment as the value.
    if token.is_empty() && place.after.contains(&b'#') {
        return false;
    }
    let mut line = Vec::with_capacity(token.len() + place.after.len() + 2);
    line.extend(if place.spaced { b"= ".as_slice() } else { b"=" });
    line.extend(token.as_bytes());
    line.extend(place.after);
    let Ok(Extent { token, rest }) = (table.extent)(&line, 1) else { return false };
    let read = line.get(token).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let followed = line.get(rest).is_none_or(|b| *b == b'#');
    followed && read.is_some_and(|token| (table.decode)(token) == value)
}

/// The dialects that carry a variable.
pub(super) fn carriers(key: &Key, value: &str) -> Vec<&'static str> {
    let carries = |table: &&Table| {
        (table.nameless)(key.as_str()).is_empty()
            && key.as_str().len() + 1 + value.len() <= table.line.longest
            && (table.encode)(value).is_ok()
    };
    Dialect::ALL.iter().map(|dialect| dialect.table()).filter(carries).map(|table| table.name).collect()
}

/// The text between the quotes.
pub(super) fn inner(token: &str) -> &str {
    match Style::of(token) {
        Style::Bare => token,
        _ => token.get(1..token.len().saturating_sub(1)).unwrap_or_default(),
    }
}

/// What every dialect refuses, and what no form of this one carries.
fn refusal(value: &str, holds: &'static str, readers: Readers) -> Refusal {
    match value.contains('\0') {
        true => Refusal { holds: "a NUL byte, which no environment variable can hold", readers: Readers::NONE },
        false => Refusal { holds, readers },
    }
}

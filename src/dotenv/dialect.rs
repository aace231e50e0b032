//! How values are written and read: one table per dialect, the same table for both directions, so that a file that we
//! wrote never differs from its secret.

use std::borrow::Cow;
use std::ops::Range;

use super::readers::{self, Look, QUOTING, Readers};

/// Who will read the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Every reader that understands quotes: dotenv libraries, systemd, shells. Bare, else `"verbatim"`, else
    /// `'verbatim'`; an escape is never written.
    Portable,
}

impl Dialect {
    /// Every dialect there is.
    pub const ALL: &'static [Self] = &[Self::Portable];

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
            Self::Portable => &PORTABLE,
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

/// What a dialect is. Adding a dialect is adding one of these.
pub(super) struct Table {
    pub name: &'static str,
    /// Whom its tokens are for.
    readers: Readers,
    /// The forms it writes, the best first.
    writes: &'static [Style],
    /// Finds the value that starts at an offset (directly after the `=`); `None` where its quote is never closed.
    pub extent: fn(&[u8], usize) -> Option<Extent>,
    /// The value of a token.
    pub decode: fn(&str) -> Cow<'_, str>,
    /// The best token of a value, for the start of an otherwise empty line.
    encode: fn(&str) -> Result<String, Refusal>,
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
    let first = dialects.first().copied().unwrap_or(Dialect::Portable).table();
    let mut candidates = Vec::new();
    let now = place.now.map(Style::of);
    candidates.extend(now.filter(|style| first.writes.contains(style)).map(|style| style.around(value)));
    let mut forms: Vec<Style> = Vec::new();
    for table in dialects.iter().map(|dialect| dialect.table()) {
        candidates.push((table.encode)(value)?);
        forms.extend(table.writes);
    }
    candidates.extend(forms.iter().map(|style| style.around(value)));
    let good = |token: &String| {
        fits(first, token, value, place) && dialects.iter().all(|d| accepts(d.table(), token, value, now))
    };
    candidates.into_iter().find(good).ok_or(Refusal {
        holds: "characters that no one form carries to the readers of all chosen dialects",
        readers: dialects.iter().fold(Readers::NONE, |all, d| all.and(d.table().readers)),
    })
}

/// Whether a token serves the readers of a dialect as well as the dialect's own choice does. Who cannot read the quotes
/// that stand there now is no reader of this variable, and does not count when they stay.
fn accepts(table: &Table, token: &str, value: &str, now: Option<Style>) -> bool {
    if (table.decode)(token) != value {
        return false;
    }
    let style = Style::of(token);
    let missed = |token: &str| {
        let look = Look { style: Style::of(token), raw: inner(token), value, size: 0 };
        readers::misreaders(&look).only(table.readers)
    };
    let lost = match now {
        Some(now) if now == style => readers::misreaders(&Look { style, raw: "", value: "", size: 0 }),
        _ => Readers::NONE,
    };
    (table.encode)(value).is_ok_and(|own| own == token || missed(token).without(lost).within(missed(&own)))
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
    let Some(Extent { token, rest }) = (table.extent)(&line, 1) else { return false };
    let read = line.get(token).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let followed = line.get(rest).is_none_or(|b| *b == b'#');
    followed && read.is_some_and(|token| (table.decode)(token) == value)
}

/// The dialects that carry a value.
pub(super) fn carriers(value: &str) -> Vec<&'static str> {
    Dialect::ALL.iter().filter(|d| (d.table().encode)(value).is_ok()).map(|d| d.name()).collect()
}

/// The text between the quotes.
pub(super) fn inner(token: &str) -> &str {
    match Style::of(token) {
        Style::Bare => token,
        _ => token.get(1..token.len().saturating_sub(1)).unwrap_or_default(),
    }
}

static PORTABLE: Table = Table {
    name: "portable",
    readers: QUOTING,
    writes: &[Style::Bare, Style::Double, Style::Single],
    extent: portable::extent,
    decode: portable::decode,
    encode: portable::encode,
};

mod portable {
    use super::*;

    fn is_blank(byte: &u8) -> bool {
        matches!(byte, b' ' | b'\t')
    }

    /// Bare to the end of the line or a ` #`, trimmed; or quoted, over as many lines as it takes.
    pub(super) fn extent(source: &[u8], after_equals: usize) -> Option<Extent> {
        let blanks = |from: usize| source.iter().skip(from).take_while(|b| is_blank(b)).count();
        let start = after_equals + blanks(after_equals);
        let quote = match source.get(start) {
            Some(quote @ (b'\'' | b'"' | b'`')) => *quote,
            _ => return Some(bare(source, after_equals, start)),
        };
        let mut body = source.iter().enumerate().skip(start + 1);
        let close = loop {
            match body.next()? {
                (_, b'\\') if quote == b'"' => body.next().map(|_| ())?,
                (i, byte) if *byte == quote => break i,
                _ => {}
            }
        };
        Some(Extent { token: start..close + 1, rest: close + 1 + blanks(close + 1) })
    }

    fn bare(source: &[u8], after_equals: usize, start: usize) -> Extent {
        let line = source.get(start..).unwrap_or_default();
        let mut blank_before = start > after_equals;
        let mut length = 0;
        let mut rest = line.len();
        for (i, byte) in line.iter().enumerate() {
            let ends = match byte {
                b'\n' => true,
                b'\r' => line.get(i + 1) == Some(&b'\n'),
                b'#' => blank_before,
                _ => false,
            };
            if ends {
                rest = i;
                break;
            }
            blank_before = is_blank(byte);
            if !blank_before {
                length = i + 1;
            }
        }
        let token = if length == 0 { after_equals..after_equals } else { start..start + length };
        Extent { token, rest: start + rest }
    }

    /// `'…'` and backticks verbatim; in `"…"` the escapes `\n \r \t \\ \" \$`, any other backslash stays. A CRLF inside
    /// quotes reads as LF, as 18 of 33 readers have it.
    pub(super) fn decode(token: &str) -> Cow<'_, str> {
        let raw = inner(token);
        match Style::of(token) {
            Style::Bare => Cow::Borrowed(token),
            Style::Double if raw.contains('\\') => Cow::Owned(unescape(raw)),
            _ if raw.contains("\r\n") => Cow::Owned(raw.replace("\r\n", "\n")),
            _ => Cow::Borrowed(raw),
        }
    }

    fn unescape(raw: &str) -> String {
        let mut value = String::with_capacity(raw.len());
        let mut chars = raw.chars().peekable();
        while let Some(c) = chars.next() {
            let escaped = match (c, chars.peek()) {
                ('\\', Some('n')) => '\n',
                ('\\', Some('r')) => '\r',
                ('\\', Some('t')) => '\t',
                ('\\', Some(same @ ('\\' | '"' | '$'))) => *same,
                ('\r', Some('\n')) => continue,
                _ => {
                    value.push(c);
                    continue;
                }
            };
            value.push(escaped);
            chars.next();
        }
        value
    }

    /// Bare, else `"verbatim"`, else `'verbatim'`: of 23 forms, none is read exactly by more readers.
    pub(super) fn encode(value: &str) -> Result<String, Refusal> {
        if value.contains('\0') {
            return Err(Refusal {
                holds: "a NUL byte, which no environment variable can hold",
                readers: Readers::NONE,
            });
        }
        if bare_ok(value) {
            return Ok(value.to_owned());
        }
        let refuse = |holds, token: String| {
            let look = Look { style: Style::of(&token), raw: inner(&token), value, size: 0 };
            Err(Refusal { holds, readers: readers::misreaders(&look).only(QUOTING) })
        };
        if value.contains('\r') {
            return refuse("a carriage return", escaped(value));
        }
        if !value.contains(['"', '\\', '$', '`']) {
            return Ok(Style::Double.around(value));
        }
        if value.contains('\'') {
            return refuse("a `'` together with `\"`, `\\`, `$` or a backtick", escaped(value));
        }
        if value.ends_with('\\') {
            return refuse("a backslash at its end", Style::Single.around(value));
        }
        Ok(Style::Single.around(value))
    }

    fn escaped(value: &str) -> String {
        let mut token = String::from("\"");
        for c in value.chars() {
            match c {
                '\r' => token.push_str("\\r"),
                '"' | '\\' | '$' => token.extend(['\\', c]),
                _ => token.push(c),
            }
        }
        token.push('"');
        token
    }

    /// What all 33 readers take as it stands, the raw ones and the shells too.
    fn bare_ok(value: &str) -> bool {
        let plain = |c: char| match c {
            'A'..='Z' | 'a'..='z' | '0'..='9' => true,
            '\0'..='\x7f' => "_./:@%+,=-!*?[]{}^~".contains(c),
            _ => !(c.is_control() || c.is_whitespace() || c == '\u{feff}' || readers::is_noncharacter(c)),
        };
        value.chars().all(plain) && !readers::shell_expands(value)
    }
}

//! What every reader with quotes takes: the common ground of dotenv libraries, systemd and shells.

use std::borrow::Cow;

use super::token::{self, Quoting, after_blank};
use super::{Extent, Open, Refusal, Style, Table, USUAL, inner, refusal};
use crate::dotenv::readers::{self, Look, QUOTING, Readers, WATCHED};

const FORM: Quoting = Quoting { quotes: b"'\"`", escaping: b"\"", comment: after_blank };

pub(super) static TABLE: Table = Table {
    name: "portable",
    readers: QUOTING,
    watched: WATCHED,
    line: USUAL,
    writes: &[Style::Bare, Style::Double, Style::Single],
    extent: |source, after_equals| -> Result<Extent, Open> { token::extent(source, after_equals, &FORM) },
    unreadable: |_| None,
    decode,
    quote: |style, value| style.around(value),
    encode,
    missed,
    // It is for readers that keep names to themselves too, and the report tells which.
    nameless: |_| Readers::NONE,
};

fn missed(token: &str, value: &str) -> Readers {
    let look = Look { style: Style::of(token), raw: inner(token), value, size: 0 };
    readers::misreaders(&look).only(QUOTING)
}

/// `'…'` and backticks verbatim; in `"…"` the escapes `\n \r \t \\ \" \$`, any other backslash stays. A CRLF inside
/// quotes reads as LF, as 18 of 33 readers have it.
fn decode(token: &str) -> Cow<'_, str> {
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
fn encode(value: &str) -> Result<String, Refusal> {
    if value.contains('\0') {
        return Err(refusal(value, "", Readers::NONE));
    }
    if token::plain(value) {
        return Ok(value.to_owned());
    }
    let refuse = |holds, token: String| Err(refusal(value, holds, missed(&token, value)));
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

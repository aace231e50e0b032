//! What bash, dash, zsh and busybox source, and what systemd takes for `EnvironmentFile=`: quoted parts, joined.

use std::borrow::Cow;

use super::token::{self, blanks, close};
use super::{Extent, Line, Open, Refusal, Style, Table, USUAL, inner, refusal};
use crate::dotenv::readers::{self, Readers, SHELLS, SYSTEMD};

const READERS: Readers = SHELLS.and(SYSTEMD);

pub(super) static TABLE: Table = Table {
    name: "shell",
    readers: READERS,
    watched: READERS,
    line: Line { spaced: false, windows: false, ..USUAL },
    writes: &[Style::Bare, Style::Single],
    extent,
    unreadable,
    decode,
    quote,
    encode,
    missed,
    nameless: |name| readers::nameless(name).only(READERS),
};

/// To the first blank outside of quotes.
fn extent(source: &[u8], after_equals: usize) -> Result<Extent, Open> {
    let mut end = after_equals;
    loop {
        end = match source.get(end) {
            None | Some(b'\n' | b' ' | b'\t') => break,
            Some(quote @ (b'\'' | b'"')) => {
                let open = Open { quote: char::from(*quote), first: end == after_equals };
                close(source, end + 1, *quote, *quote == b'"').ok_or(open)? + 1
            }
            Some(b'\\') => source.len().min(end + 2),
            Some(_) => end + 1,
        }
    }
    Ok(Extent { token: after_equals..end, rest: end + blanks(source, end) })
}

/// A piece of a token: how it is quoted, and the text between its quotes.
struct Part<'a> {
    style: Style,
    raw: &'a str,
}

/// The parts of a whole token.
fn parts(token: &str) -> impl Iterator<Item = Part<'_>> {
    let mut left = token;
    std::iter::from_fn(move || {
        let style = Style::of(left);
        let bytes = left.as_bytes();
        let end = match style {
            _ if left.is_empty() => return None,
            Style::Single | Style::Double => {
                let quote = if style == Style::Single { b'\'' } else { b'"' };
                close(bytes, 1, quote, style == Style::Double).map_or(left.len(), |close| close + 1)
            }
            Style::Bare | Style::Backtick => {
                let mut end = 0;
                while let Some(byte) = bytes.get(end).filter(|b| !matches!(b, b'\'' | b'"')) {
                    end += if *byte == b'\\' { 2 } else { 1 };
                }
                end.min(left.len())
            }
        };
        // A backslash before a character of several bytes.
        let end = (end..=left.len()).find(|end| left.is_char_boundary(*end))?;
        let (part, rest) = left.split_at(end);
        left = rest;
        match style {
            Style::Single | Style::Double => Some(Part { style, raw: inner(part) }),
            Style::Bare | Style::Backtick => Some(Part { style: Style::Bare, raw: part }),
        }
    })
}

/// Without what a backslash takes the meaning from.
fn unquoted(raw: &str) -> String {
    let mut bare = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            _ => bare.push(c),
        }
    }
    bare
}

fn unreadable(token: &str) -> Option<&'static str> {
    let found = parts(token).filter(|part| part.style != Style::Single).find_map(|part| {
        let active = unquoted(part.raw);
        let bare = part.style == Style::Bare;
        match () {
            () if active.contains('`') || active.contains("$(") => Some("holds a command, which a shell would run"),
            () if active.contains('$') => Some("holds a `$` outside of single quotes, which a shell would replace"),
            () if bare && active.contains([';', '&', '|', '<', '>', '(', ')']) => {
                Some("holds a character outside of quotes that ends a shell's word, such as `;`, `&` or `(`")
            }
            () if bare && active.contains('\r') => Some("holds a carriage return outside of quotes"),
            () => None,
        }
    });
    let tilde = token.starts_with('~') || parts(token).any(|p| p.style == Style::Bare && p.raw.contains(":~"));
    found
        .or(tilde.then_some("holds a `~` outside of quotes, which a shell would replace"))
        .or(joins(token).then_some("ends with a backslash, which joins to it whatever comes next in the file"))
}

/// Whether the last character, or the line break behind it, is one that a backslash outside of quotes stands before.
fn joins(token: &str) -> bool {
    let last = parts(token).last().filter(|part| part.style == Style::Bare);
    last.is_some_and(|part| {
        let raw = part.raw.strip_suffix('\n').unwrap_or(part.raw);
        raw.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
    })
}

fn decode(token: &str) -> Cow<'_, str> {
    if !token.contains(['\'', '"', '\\']) {
        return Cow::Borrowed(token);
    }
    let mut value = String::with_capacity(token.len());
    for Part { style, raw } in parts(token) {
        let mut chars = raw.chars();
        while let Some(c) = chars.next() {
            let next = if c == '\\' && style != Style::Single { chars.next() } else { None };
            match next {
                None => value.push(c),
                Some('\n') => {}
                Some(next) if style == Style::Double && !matches!(next, '\\' | '"' | '$' | '`') => {
                    value.extend([c, next]);
                }
                Some(next) => value.push(next),
            }
        }
    }
    Cow::Owned(value)
}

fn quote(style: Style, value: &str) -> String {
    match style {
        Style::Bare | Style::Backtick => value.to_owned(),
        // Not `'\''`, which systemd does not read.
        Style::Single => Style::Single.around(&value.replace('\'', r#"'"'"'"#)),
        Style::Double => token::escaped(value, '"', &['\\', '"', '$', '`'], &[]),
    }
}

fn missed(token: &str, value: &str) -> Readers {
    if value.contains(readers::is_noncharacter) {
        return SYSTEMD;
    }
    let escapes = |raw: &str| {
        let mut chars = raw.chars();
        std::iter::from_fn(move || chars.find(|c| *c == '\\').map(|_| chars.next()))
            .all(|c| c.is_some_and(|c| matches!(c, '\\' | '"' | '$' | '`')))
    };
    // systemd takes quotes for data after a bare part.
    let quoted = parts(token).all(|p| p.style == Style::Single || p.style == Style::Double && escapes(p.raw));
    if value.contains('\0') || !quoted && !token::plain(token) { READERS } else { Readers::NONE }
}

fn encode(value: &str) -> Result<String, Refusal> {
    let refuse = || refusal(value, "a code point that is no character", missed(&quote(Style::Single, value), value));
    TABLE.first(value).ok_or_else(refuse)
}

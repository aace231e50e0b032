//! What docker compose reads: the `dotenv` package of [compose-go](https://pkg.go.dev/github.com/compose-spec/compose-go/v2/dotenv).

use std::borrow::Cow;

use super::token::{self, Quoting, escaped, frayed, unescaped};
use super::{Extent, Open, Refusal, Style, Table, USUAL, inner, refusal};
use crate::dotenv::readers::{COMPOSE, Readers};

const QUOTING: Quoting = Quoting {
    quotes: b"'\"",
    escaping: b"'\"",
    // A tab does not count, and neither does a comment in the place of the value.
    comment: |before, first| before == Some(b' ') && !first,
};

const SAME: &[char] = &['\\', '"', '$'];
const NAMED: &[(char, char)] =
    &[('\n', 'n'), ('\r', 'r'), ('\t', 't'), ('\x07', 'a'), ('\x08', 'b'), ('\x0c', 'f'), ('\x0b', 'v')];

pub(super) static TABLE: Table = Table {
    name: "compose",
    readers: COMPOSE,
    watched: COMPOSE,
    line: USUAL,
    writes: &[Style::Bare, Style::Double],
    extent: |source, after_equals| -> Result<Extent, Open> { token::extent(source, after_equals, &QUOTING) },
    unreadable,
    decode,
    quote,
    encode,
    missed,
    nameless: |_| Readers::NONE,
};

/// What follows each `$` that starts something: in double quotes one with a backslash does not, and two are one.
fn dollars(token: &str) -> impl Iterator<Item = Option<char>> {
    let escapes = Style::of(token) == Style::Double;
    let mut chars = inner_of(token).chars().peekable();
    std::iter::from_fn(move || {
        loop {
            match chars.next()? {
                '\\' if escapes => drop(chars.next()),
                '$' if chars.next_if_eq(&'$').is_none() => return Some(chars.peek().copied()),
                _ => {}
            }
        }
    })
}

/// A backtick is no quote here.
fn inner_of(token: &str) -> &str {
    if Style::of(token) == Style::Backtick { token } else { inner(token) }
}

fn unreadable(token: &str) -> Option<&'static str> {
    let single = Style::of(token) == Style::Single;
    let starts = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '{' | '\\');
    if !single && dollars(token).flatten().any(starts) {
        return Some("refers to another variable, which compose would put in its place");
    }
    // Octal escapes, in which compose counts a byte for a character.
    let mut chars = inner_of(token).chars();
    let mut escapes = std::iter::from_fn(|| chars.find(|c| *c == '\\').map(|_| chars.next()));
    let octal = Style::of(token) == Style::Double && escapes.any(|next| next == Some('0'));
    octal.then_some("holds the escape `\\0`")
}

fn decode(token: &str) -> Cow<'_, str> {
    let raw = inner_of(token);
    match Style::of(token) {
        Style::Single if raw.contains('\\') => Cow::Owned(unescaped_single(raw)),
        Style::Double if raw.contains(['\\', '$']) => {
            // What is doubled stands for itself, as an escape does.
            let halved = halved(raw);
            Cow::Owned(unescaped(&halved, SAME, NAMED))
        }
        Style::Bare | Style::Backtick if raw.contains("$$") => Cow::Owned(raw.replace("$$", "$")),
        _ => Cow::Borrowed(raw),
    }
}

/// `$$` as `\$`, where no backslash stands before.
fn halved(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        out.push(c);
        match c {
            '\\' => out.extend(chars.next()),
            '$' => drop(chars.next_if_eq(&'$')),
            _ => {}
        }
    }
    out
}

/// In single quotes only the quote has an escape: two backslashes stay two.
fn unescaped_single(raw: &str) -> String {
    let mut value = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match (c, if c == '\\' { chars.next() } else { None }) {
            ('\\', Some('\'')) => value.push('\''),
            (c, next) => {
                value.push(c);
                value.extend(next);
            }
        }
    }
    value
}

fn quote(style: Style, value: &str) -> String {
    match style {
        Style::Double => escaped(value, '"', SAME, NAMED.get(..2).unwrap_or_default()),
        Style::Single => Style::Single.around(value),
        Style::Bare | Style::Backtick => value.to_owned(),
    }
}

fn missed(token: &str, value: &str) -> Readers {
    let sure = match Style::of(token) {
        Style::Bare => !frayed(token) && !token.contains(" #") && !token.contains('$'),
        Style::Single => !inner(token).contains('\\'),
        Style::Double => dollars(token).next().is_none() && !inner(token).contains("$$"),
        Style::Backtick => false,
    };
    if sure && !value.contains('\0') { Readers::NONE } else { COMPOSE }
}

fn encode(value: &str) -> Result<String, Refusal> {
    TABLE.first(value).ok_or_else(|| refusal(value, "what compose has no form for", COMPOSE))
}

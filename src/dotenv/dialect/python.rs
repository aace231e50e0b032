//! What [python-dotenv](https://pypi.org/project/python-dotenv/) reads, and with it pydantic-settings and environs.

use std::borrow::Cow;

use super::token::{self, Quoting, after_blank, escaped, frayed, unescaped};
use super::{Extent, Open, Refusal, Style, Table, USUAL, inner, refusal};
use crate::dotenv::readers::{PYTHON, Readers};

const QUOTING: Quoting = Quoting { quotes: b"'\"", escaping: b"'\"", comment: after_blank };

const SINGLE: &[char] = &['\\', '\''];
const DOUBLE: &[char] = &['\\', '\'', '"'];
const NAMED: &[(char, char)] =
    &[('\r', 'r'), ('\n', 'n'), ('\t', 't'), ('\x07', 'a'), ('\x08', 'b'), ('\x0c', 'f'), ('\x0b', 'v')];

pub(super) static TABLE: Table = Table {
    name: "python",
    readers: PYTHON,
    watched: PYTHON,
    line: USUAL,
    writes: &[Style::Bare, Style::Single, Style::Double],
    extent: |source, after_equals| -> Result<Extent, Open> { token::extent(source, after_equals, &QUOTING) },
    unreadable: |token| {
        refers(&decode(token)).then_some("refers to another variable with `${…}`, which python-dotenv would replace")
    },
    decode,
    quote,
    encode,
    missed,
    nameless: |_| Readers::NONE,
};

/// It has no escape for this, in no quotes: [issue 422](https://github.com/theskumar/python-dotenv/issues/422).
fn refers(value: &str) -> bool {
    value.split_once("${").is_some_and(|(_, rest)| rest.contains('}'))
}

fn decode(token: &str) -> Cow<'_, str> {
    let raw = match Style::of(token) {
        Style::Bare | Style::Backtick => return Cow::Borrowed(token),
        Style::Single | Style::Double => inner(token),
    };
    // The file is read as text, with line ends of all kinds as LF.
    let raw = match raw.contains('\r') {
        true => Cow::Owned(raw.replace("\r\n", "\n").replace('\r', "\n")),
        false => Cow::Borrowed(raw),
    };
    match Style::of(token) {
        _ if !raw.contains('\\') => raw,
        Style::Single => Cow::Owned(unescaped(&raw, SINGLE, &[])),
        _ => Cow::Owned(unescaped(&raw, DOUBLE, NAMED)),
    }
}

fn quote(style: Style, value: &str) -> String {
    match style {
        Style::Single => escaped(value, '\'', SINGLE, &[]),
        Style::Double => escaped(value, '"', &['\\', '"'], NAMED.get(..1).unwrap_or_default()),
        Style::Bare | Style::Backtick => value.to_owned(),
    }
}

fn missed(token: &str, value: &str) -> Readers {
    let raw = inner(token);
    let sure = match Style::of(token) {
        Style::Bare => {
            let mut before = token.split('#').rev().skip(1);
            !frayed(token) && !before.any(|part| crate::dotenv::readers::is_trimmed(part.chars().next_back()))
        }
        // Before 1.2.4 the second of two backslashes could escape the closing quote.
        Style::Single | Style::Double => !raw.ends_with('\\') && !raw.contains('\r'),
        Style::Backtick => false,
    };
    if sure && !refers(value) && !value.contains('\0') { Readers::NONE } else { PYTHON }
}

fn encode(value: &str) -> Result<String, Refusal> {
    let holds = || match refers(value) {
        true => "`${…}`",
        false => "a backslash at its end, after what needs quotes",
    };
    TABLE.first(value).ok_or_else(|| refusal(value, holds(), PYTHON))
}

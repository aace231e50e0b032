//! What [npm dotenv](https://www.npmjs.com/package/dotenv), `node --env-file` and deno read, and, after them,
//! [dotenv-expand](https://www.npmjs.com/package/dotenv-expand), Next and Vite. No escape is common to them all but the
//! `\$` of the latter.

use std::borrow::Cow;

use super::token::{self, Quoting, frayed};
use super::{Extent, Open, Refusal, Style, Table, USUAL, inner, refusal};
use crate::dotenv::readers::{EXPANDING, NODE, Readers, nameless};

/// Any `#` starts a comment.
const QUOTING: Quoting = Quoting { quotes: b"'\"`", escaping: b"", comment: |_, _| true };

pub(super) static TABLE: Table = Table {
    name: "node",
    readers: NODE,
    watched: NODE,
    line: USUAL,
    writes: &[Style::Bare, Style::Single, Style::Backtick, Style::Double],
    extent,
    unreadable: |_| None,
    decode,
    quote: |style, value| style.around(value),
    encode: |value| TABLE.first(value).ok_or_else(|| refuse(value, NODE)),
    missed: |token, value| if sure(token) && !value.contains('\0') { Readers::NONE } else { NODE },
    nameless: |name| nameless(name).only(NODE),
};

pub(super) static NEXT: Table = Table {
    name: "next",
    readers: EXPANDING,
    watched: EXPANDING,
    line: USUAL,
    writes: TABLE.writes,
    extent,
    unreadable,
    decode: |token| match decode(token) {
        read if read.contains("\\$") => Cow::Owned(read.replace("\\$", "$")),
        read => read,
    },
    quote: |style, value| style.around(&value.replace('$', "\\$")),
    encode: |value| NEXT.first(value).ok_or_else(|| refuse(value, EXPANDING)),
    missed: |token, value| {
        let runs = value.contains("$(");
        if sure(token) && !runs && !value.contains('\0') { Readers::NONE } else { EXPANDING }
    },
    nameless: |name| nameless(name).only(EXPANDING),
};

fn extent(source: &[u8], after_equals: usize) -> Result<Extent, Open> {
    token::extent(source, after_equals, &QUOTING)
}

fn decode(token: &str) -> Cow<'_, str> {
    let raw = match Style::of(token) {
        Style::Bare => return Cow::Borrowed(token),
        Style::Single | Style::Double | Style::Backtick => inner(token),
    };
    let double = Style::of(token) == Style::Double && (raw.contains("\\n") || raw.contains("\\r"));
    match (double, raw.contains('\r')) {
        (false, false) => Cow::Borrowed(raw),
        (double, _) => {
            let lines = raw.replace("\r\n", "\n").replace('\r', "\n");
            // In this order, and without a look at what stands before the backslash.
            Cow::Owned(if double { lines.replace("\\n", "\n").replace("\\r", "\r") } else { lines })
        }
    }
}

/// Whether all of them read a token as we do.
fn sure(token: &str) -> bool {
    let raw = inner(token);
    let style = Style::of(token);
    match style {
        // A line separator counts as a line end for their regular expressions, and ends of quotes are looked for there.
        Style::Bare => !frayed(token) && !token.contains(['#', '\u{2028}', '\u{2029}']),
        // A backslash before the closing quote takes it with it, if another quote follows anywhere in the file.
        _ if raw.ends_with('\\') || raw.contains('\r') => false,
        Style::Double => !raw.contains("\\n") && !raw.contains("\\r"),
        Style::Single | Style::Backtick => true,
    }
}

/// dotenv-expand 1000 runs `$(…)` in every quoting and after a backslash too.
fn unreadable(token: &str) -> Option<&'static str> {
    let read = decode(token);
    if read.contains("$(") {
        return Some("holds `$(`, which dotenv-expand would run");
    }
    let starts = |(at, _): (usize, &str)| {
        let before = read.get(..at).is_some_and(|text| text.ends_with('\\'));
        let next = read.get(at + 1..).and_then(|text| text.chars().next());
        !before && next.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '{' | '$' | '\\'))
    };
    let refers = read.match_indices('$').any(starts);
    refers.then_some("refers to another variable with `$`, which dotenv-expand would replace; `\\$` is a dollar sign")
}

fn refuse(value: &str, readers: Readers) -> Refusal {
    let quotes = ['\'', '"', '`'];
    let holds = match () {
        () if readers == EXPANDING && value.contains("$(") => "`$(`",
        () if value.contains('\r') => "a carriage return",
        () if value.ends_with('\\') => "a backslash at its end, after what needs quotes",
        () if quotes.iter().all(|quote| value.contains(*quote)) => "all three kinds of quotes",
        () => "quotes together with `\\n` or `\\r`",
    };
    refusal(value, holds, readers)
}

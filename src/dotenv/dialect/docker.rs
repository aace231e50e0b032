//! The rest of the line, verbatim, as docker's
//! [kvfile](https://pkg.go.dev/github.com/docker/cli/pkg/kvfile) has it.

use std::borrow::Cow;

use super::{Extent, Line, Open, Refusal, Style, Table, refusal};
use crate::dotenv::readers::{DOCKER, Readers};

pub(super) static TABLE: Table = Table {
    name: "docker",
    readers: DOCKER,
    watched: DOCKER,
    // The line buffer of Go's bufio.Scanner.
    line: Line { export: false, spaced: false, windows: true, raw: true, longest: 65_535 },
    writes: &[Style::Bare],
    extent,
    unreadable: |_| None,
    decode: |token| Cow::Borrowed(token),
    quote: |_, value| value.to_owned(),
    encode,
    missed: |_, value| if holds(value).is_some() { DOCKER } else { Readers::NONE },
    nameless: |_| Readers::NONE,
};

fn extent(source: &[u8], after_equals: usize) -> Result<Extent, Open> {
    let line = source.iter().skip(after_equals);
    let length = line.take_while(|b| **b != b'\n').count();
    let end = after_equals + length;
    let cut = source.get(after_equals..end).is_some_and(|token| token.ends_with(b"\r")) as usize;
    Ok(Extent { token: after_equals..end - cut, rest: end - cut })
}

fn holds(value: &str) -> Option<&'static str> {
    match () {
        () if value.contains('\n') => Some("a line break"),
        () if value.ends_with('\r') => Some("a carriage return at its end"),
        () if value.contains('\0') => Some("a NUL byte"),
        () => None,
    }
}

fn encode(value: &str) -> Result<String, Refusal> {
    match holds(value) {
        None => Ok(value.to_owned()),
        Some(holds) => Err(refusal(value, holds, DOCKER)),
    }
}

//! Why a line cannot be read, in words. Never the text of the line, which may be a part of a value.

use super::dialect::{Open, Table};
use super::scan::LONGEST;
use super::{Fault, report};

/// Why a line is no assignment that can be read.
pub(super) enum Break {
    NoAssignment,
    Export,
    Name,
    LoneCr,
    Unterminated { open: Open },
    Unreadable { why: &'static str },
    Spaced,
    Exported,
    Kept,
    Trailing { line: usize, after_backslash: bool },
    Nul,
    NotUtf8,
    TooLong,
}

/// Says of a variable that it is too long for the readers of a dialect.
pub(super) fn too_long(variable: &str, table: &Table) -> String {
    match table.line.longest {
        LONGEST => format!("{variable} takes more than the {LONGEST} bytes that an environment variable can have"),
        most => {
            format!("{variable} takes more than the {most} bytes of a line that {} read", report::listed(table.readers))
        }
    }
}

/// The fault of line `n`, where the variable `key` was to be set.
pub(super) fn fault(n: usize, key: &str, why: &Break, table: &Table) -> Fault {
    let kept = (table.nameless)(key);
    let (what, help) = match *why {
        Break::NoAssignment => (
            format!("line {n} is no assignment"),
            "write NAME=VALUE, or start the line with `#`; a value of several lines needs quotes around it".to_owned(),
        ),
        Break::Export => (
            format!("line {n} exports a name without a value"),
            "write `export NAME=VALUE`, or remove the line".to_owned(),
        ),
        Break::Name => (
            format!("line {n} sets something that is no name of a variable"),
            "a name is made of letters, digits and `_`, and does not start with a digit; a value of several lines \
                 needs quotes around it"
                .to_owned(),
        ),
        Break::LoneCr => (
            format!("line {n} holds a carriage return that ends no line"),
            "save the file with LF or CRLF line ends; within a value, write `\\r` in double quotes".to_owned(),
        ),
        Break::Unterminated { open: Open { quote, first } } => (
            format!(
                "the value of {key} on line {n} {} {quote} and is never closed",
                if first { "starts with" } else { "opens" }
            ),
            format!("close it with {quote}; nothing after line {n} was looked at, because all of it is in the value"),
        ),
        Break::Unreadable { why } => (
            format!("the value of {key} on line {n} {why}"),
            "nothing is run or replaced here: write the value itself, in quotes where it needs them".to_owned(),
        ),
        Break::Spaced => (
            format!("line {n} has a blank between {key} and the `=`"),
            format!("write {key}=VALUE: {} cannot read the blank", report::listed(table.readers)),
        ),
        Break::Exported => (
            format!("line {n} exports {key}"),
            format!("write {key}=VALUE: {} cannot read `export`", report::listed(table.readers)),
        ),
        Break::Kept => (
            format!("line {n} sets {key}, a name that {} keep to themselves", report::listed(kept)),
            "give the variable another name".to_owned(),
        ),
        Break::Trailing { after_backslash: true, .. } => (
            format!("the value of {key} on line {n} goes on after its closing quote"),
            "`\\'` ends a value in single quotes: only python-dotenv, compose and dotenvx read it as a quote; put \
                 the value in double quotes"
                .to_owned(),
        ),
        Break::Trailing { line, .. } => {
            let place = if line == n { String::new() } else { format!(", which stands on line {line}") };
            (
                format!("the value of {key} on line {n} goes on after its closing quote{place}"),
                "only a comment may follow; quote the whole value once, with quotes that it does not hold".to_owned(),
            )
        }
        Break::Nul => (
            format!("the value of {key} on line {n} holds a NUL byte"),
            "no environment variable can hold one; remove it, or encode the value as base64".to_owned(),
        ),
        Break::NotUtf8 => (
            format!("the value of {key} on line {n} is not UTF-8"),
            "save the file as UTF-8, or encode the value as base64".to_owned(),
        ),
        Break::TooLong => (
            too_long(&format!("{key} on line {n}"), table),
            "shorten the value, or keep it as a secret of its own".to_owned(),
        ),
    };
    Fault { line: n, what, help: Some(help) }
}

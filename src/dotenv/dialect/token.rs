//! What the dialects with quotes have in common.

use super::{Extent, Open};
use crate::dotenv::readers;

/// How a reader finds the end of a value.
pub(super) struct Quoting {
    /// What a quoted value can start with.
    pub quotes: &'static [u8],
    /// The quotes in which a backslash takes the next byte with it.
    pub escaping: &'static [u8],
    /// Whether a `#` in a bare value starts a comment: by the byte before it (`None` directly after the `=`), and by
    /// whether the value has not begun yet.
    pub comment: fn(Option<u8>, bool) -> bool,
}

/// A comment after a blank.
pub(super) fn after_blank(before: Option<u8>, _: bool) -> bool {
    before.is_some_and(|b| is_blank(&b))
}

pub(super) fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

pub(super) fn blanks(source: &[u8], from: usize) -> usize {
    source.iter().skip(from).take_while(|b| is_blank(b)).count()
}

/// Bare to the end of the line or a comment, trimmed; or quoted, over as many lines as it takes.
pub(super) fn extent(source: &[u8], after_equals: usize, quoting: &Quoting) -> Result<Extent, Open> {
    let start = after_equals + blanks(source, after_equals);
    match source.get(start) {
        Some(quote) if quoting.quotes.contains(quote) => {
            let open = Open { quote: char::from(*quote), first: true };
            let close = close(source, start + 1, *quote, quoting.escaping.contains(quote)).ok_or(open)?;
            Ok(Extent { token: start..close + 1, rest: close + 1 + blanks(source, close + 1) })
        }
        _ => Ok(bare(source, after_equals, start, quoting.comment)),
    }
}

/// Where the quote closes that was opened before `from`.
pub(super) fn close(source: &[u8], from: usize, quote: u8, escapes: bool) -> Option<usize> {
    let mut body = source.iter().enumerate().skip(from);
    loop {
        match body.next()? {
            (_, b'\\') if escapes => body.next().map(|_| ())?,
            (i, byte) if *byte == quote => return Some(i),
            _ => {}
        }
    }
}

fn bare(source: &[u8], after_equals: usize, start: usize, comment: fn(Option<u8>, bool) -> bool) -> Extent {
    let line = source.get(start..).unwrap_or_default();
    let mut before = source.get(after_equals..start).unwrap_or_default().last().copied();
    let mut length = 0;
    let mut rest = line.len();
    for (i, byte) in line.iter().enumerate() {
        let ends = match byte {
            b'\n' => true,
            b'\r' => line.get(i + 1) == Some(&b'\n'),
            b'#' => comment(before, i == 0),
            _ => false,
        };
        if ends {
            rest = i;
            break;
        }
        before = Some(*byte);
        if !is_blank(byte) {
            length = i + 1;
        }
    }
    let token = if length == 0 { after_equals..after_equals } else { start..start + length };
    Extent { token, rest: start + rest }
}

/// What all 33 readers take as it stands, the raw ones and the shells too.
pub(super) fn plain(value: &str) -> bool {
    let plain = |c: char| match c {
        'A'..='Z' | 'a'..='z' | '0'..='9' => true,
        '\0'..='\x7f' => "_./:@%+,=-!*?[]{}^~".contains(c),
        _ => !(c.is_control() || c.is_whitespace() || c == '\u{feff}' || readers::is_noncharacter(c)),
    };
    value.chars().all(plain) && !readers::shell_expands(value)
}

/// Whether a reader may trim or cut a value that is not quoted: what any of them takes for white space at an end, a
/// quote or a `#` at the start, a line end within.
pub(super) fn frayed(value: &str) -> bool {
    let (first, last) = (value.chars().next(), value.chars().next_back());
    value.starts_with(['\'', '"', '`', '#'])
        || readers::is_trimmed(first)
        || readers::is_trimmed(last)
        || value.contains(['\n', '\r', '\0'])
}

/// Puts a backslash before each of these characters, and gives others the escape that is named for them.
pub(super) fn escaped(value: &str, quote: char, same: &[char], named: &[(char, char)]) -> String {
    let mut token = String::with_capacity(value.len() + 2);
    token.push(quote);
    for c in value.chars() {
        match named.iter().find(|(raw, _)| *raw == c) {
            Some((_, name)) => token.extend(['\\', *name]),
            None if same.contains(&c) => token.extend(['\\', c]),
            None => token.push(c),
        }
    }
    token.push(quote);
    token
}

/// Takes off the backslash of each of these characters, and decodes the escapes that are named; every other backslash
/// stays, and so does the character after it.
pub(super) fn unescaped(raw: &str, same: &[char], named: &[(char, char)]) -> String {
    let mut value = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        let next = if c == '\\' { chars.next() } else { None };
        match next {
            None => value.push(c),
            Some(next) if same.contains(&next) => value.push(next),
            Some(next) => match named.iter().find(|(_, name)| *name == next) {
                Some((meant, _)) => value.push(*meant),
                None => value.extend([c, next]),
            },
        }
    }
    value
}

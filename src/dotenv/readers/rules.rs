//! The prediction for a token: what in it makes which readers get another value than we do.

use super::Reader::*;
use super::{DJANGO, EXPANDERS, JAVA, JAVASCRIPT, PYTHON, QUOTING, RAW, RUST, Readers, SHELLS, SYSTEMD};
use crate::dotenv::dialect::Style;

/// A token as its reader sees it.
pub(in crate::dotenv) struct Look<'a> {
    /// How it is quoted.
    pub style: Style,
    /// The text between the quotes, as written.
    pub raw: &'a str,
    /// What it means.
    pub value: &'a str,
    /// Bytes of `KEY=VALUE`.
    pub size: usize,
}

/// One byte of a token; in double quotes a backslash and the byte after it are one unit.
struct Unit {
    escaped: bool,
    byte: u8,
    next: Option<u8>,
}

impl Look<'_> {
    fn is(&self, style: Style) -> bool {
        self.style == style
    }

    fn quoted(&self) -> bool {
        self.style != Style::Bare
    }

    fn has(&self, bytes: &[u8]) -> bool {
        self.raw.bytes().any(|b| bytes.contains(&b))
    }

    fn units(&self) -> impl Iterator<Item = Unit> {
        let raw = self.raw.as_bytes();
        let escapes = self.is(Style::Double);
        let mut at = 0;
        std::iter::from_fn(move || {
            let first = *raw.get(at)?;
            let escaped = escapes && first == b'\\' && at + 1 < raw.len();
            let last = at + usize::from(escaped);
            at = last + 1;
            Some(Unit { escaped, byte: *raw.get(last)?, next: raw.get(at).copied() })
        })
    }

    fn escaped(&self, wanted: fn(u8) -> bool) -> bool {
        self.is(Style::Double) && self.units().any(|u| u.escaped && wanted(u.byte))
    }

    /// An escape that is followed by one of these bytes.
    fn escaped_before(&self, byte: u8, next: &[u8]) -> bool {
        let hit = |u: Unit| u.escaped && u.byte == byte && u.next.is_some_and(|n| next.contains(&n));
        self.is(Style::Double) && self.units().any(hit)
    }

    /// A dollar sign that our own reading leaves bare, before such a byte.
    fn dollar(&self, next: fn(u8) -> bool) -> bool {
        self.units().any(|u| !u.escaped && u.byte == b'$' && u.next.is_some_and(next))
    }

    /// Where shells, and what models itself on them, look into a value.
    fn open(&self) -> bool {
        matches!(self.style, Style::Bare | Style::Double)
    }
}

fn starts_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'{' | b'$')
}

/// U+FFFE, U+FFFF of each plane and U+FDD0..U+FDEF.
pub(in crate::dotenv) fn is_noncharacter(c: char) -> bool {
    let code = u32::from(c);
    code & 0xFFFE == 0xFFFE || (0xFDD0..=0xFDEF).contains(&code)
}

/// What Python's `splitlines` takes for a line end, besides LF and CR.
fn splits_lines(c: char) -> bool {
    matches!(c, '\u{b}' | '\u{c}' | '\u{1c}'..='\u{1e}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What some reader takes for white space at the ends of a bare value.
pub(in crate::dotenv) fn is_trimmed(c: Option<char>) -> bool {
    c.is_some_and(|c| c.is_whitespace() || c == '\u{feff}' || ('\u{1c}'..='\u{1f}').contains(&c))
}

struct Rule {
    when: fn(&Look<'_>) -> bool,
    misread: Readers,
}

/// The prediction table for a token. The rows on `'…'` and `"verbatim"`, which are all that the portable dialect writes,
/// come first.
static RULES: &[Rule] = &[
    Rule { when: |l| l.quoted(), misread: RAW },
    Rule { when: |l| l.is(Style::Single), misread: JAVA },
    Rule { when: |l| l.quoted() && l.has(b"\n"), misread: Readers::of(&[Direnv, DjangoEnviron, DotenvJava]) },
    Rule {
        when: |l| l.is(Style::Single) && (l.has(b"\n") || l.raw.contains("=\"")),
        misread: Readers::of(&[Phpdotenv]),
    },
    Rule { when: |l| l.is(Style::Single) && l.raw.contains("\\\\"), misread: PYTHON },
    Rule {
        when: |l| {
            let expands = |b: u8| starts_name(b) || b.is_ascii_digit() || b == b'(';
            l.is(Style::Single) && (l.raw.contains("\\$") || l.dollar(expands))
        },
        misread: EXPANDERS,
    },
    Rule { when: |l| l.value.contains("${") && l.dollar(|b| b == b'{') && l.raw.contains('}'), misread: PYTHON },
    Rule { when: |l| l.value.starts_with('$'), misread: DJANGO },
    Rule { when: |l| l.value.len() > 1 && l.value.starts_with('"') && l.value.ends_with('"'), misread: DJANGO },
    Rule { when: |l| l.value.contains(splits_lines), misread: DJANGO },
    Rule { when: |l| l.value.contains(is_noncharacter), misread: SYSTEMD },
    // The line buffer of Go's bufio.Scanner.
    Rule { when: |l| l.size > 65_535, misread: Readers::of(&[Docker, Podman, Kubectl]) },
    // From here on: what stands in files that others wrote.
    Rule { when: |l| l.is(Style::Single) && l.raw.ends_with('\\'), misread: PYTHON.and(RUST).and(BACKSLASH_END) },
    Rule { when: |l| l.is(Style::Backtick), misread: QUOTING.without(JAVASCRIPT) },
    Rule { when: |l| l.is(Style::Backtick) && l.dollar(starts_name), misread: EXPANDERS.and(Readers::of(&[Dotenvx])) },
    Rule { when: |l| l.is(Style::Backtick) && l.dollar(|b| b == b'('), misread: Readers::of(&[DotenvExpand, Dotenvx]) },
    Rule { when: |l| l.is(Style::Backtick) && l.dollar(|b| b.is_ascii_digit()), misread: Readers::of(&[Next, Bun]) },
    Rule { when: |l| l.is(Style::Backtick) && l.raw.ends_with('\\'), misread: Readers::of(&[Bun]) },
    Rule {
        when: |l| l.quoted() && l.raw.replace("\r\n", "\n").contains('\r'),
        misread: PYTHON
            .and(DJANGO)
            .and(JAVASCRIPT)
            .and(JAVA)
            .and(Readers::of(&[Direnv, RubyDotenv, Phpdotenv, Symfony])),
    },
    Rule {
        when: |l| l.quoted() && l.raw.contains("\r\n"),
        misread: DJANGO.and(RUST).and(SYSTEMD).and(SHELLS).and(Readers::of(&[Compose, Direnv])),
    },
    Rule {
        when: |l| l.open() && l.dollar(starts_name),
        misread: EXPANDERS
            .and(RUST)
            .and(SHELLS)
            .and(Readers::of(&[Dotenvx, Deno, Godotenv, Compose, Direnv, RubyDotenv, Symfony])),
    },
    Rule {
        when: |l| l.open() && l.dollar(|b| b == b'('),
        misread: RUST.and(SHELLS).and(Readers::of(&[DotenvExpand, Dotenvx, Deno, Direnv, RubyDotenv, Symfony])),
    },
    Rule {
        when: |l| l.open() && l.dollar(|b| b.is_ascii_digit()),
        misread: RUST.and(SHELLS).and(Readers::of(&[Next, Bun, Deno, Godotenv, Direnv, RubyDotenv, Symfony])),
    },
    Rule {
        when: |l| l.open() && l.units().any(|u| !u.escaped && u.byte == b'$'),
        misread: RUST.and(Readers::of(&[Deno])),
    },
    Rule { when: |l| l.open() && l.has(b"`"), misread: SHELLS },
    Rule { when: |l| l.escaped(|b| b == b'`' || b == b'\n' || b == b'\r'), misread: SHELLS.and(SYSTEMD) },
    Rule {
        when: |l| l.escaped(|b| b == b'n'),
        misread: DJANGO.and(JAVA).and(SYSTEMD).and(SHELLS).and(Readers::of(&[RubyDotenv])),
    },
    Rule {
        when: |l| l.escaped(|b| b == b'r'),
        misread: DJANGO.and(RUST).and(JAVA).and(SYSTEMD).and(SHELLS).and(Readers::of(&[Vite, Node, Deno, RubyDotenv])),
    },
    Rule {
        when: |l| l.escaped(|b| b == b't'),
        misread: QUOTING.without(PYTHON).without(Readers::of(&[Dotenvx, Compose, Phpdotenv])),
    },
    Rule { when: |l| l.escaped(|b| b == b'\\'), misread: JAVASCRIPT.and(JAVA) },
    Rule { when: |l| l.escaped_before(b'\\', b"nrt"), misread: Readers::of(&[Direnv, Symfony]) },
    Rule {
        when: |l| l.escaped_before(b'\\', b"$"),
        misread: RUST.and(SHELLS).and(Readers::of(&[Godotenv, Compose, Direnv, RubyDotenv, Symfony])),
    },
    Rule { when: |l| l.is(Style::Double) && l.raw.ends_with('\\'), misread: Readers::of(&[Godotenv]) },
    Rule { when: |l| l.escaped(|b| b == b'"'), misread: JAVASCRIPT.and(JAVA).and(Readers::of(&[Godotenv])) },
    Rule { when: |l| l.escaped(|b| b == b'"') && l.raw.contains("\\\\"), misread: Readers::of(&[Symfony]) },
    Rule { when: |l| l.escaped(|b| b == b'"') && l.has(b"\n"), misread: Readers::of(&[Direnv]) },
    Rule { when: |l| l.escaped(|b| b == b'$'), misread: PYTHON.and(JAVA).and(Readers::of(&[NpmDotenv, Node, Direnv])) },
    Rule { when: |l| l.escaped_before(b'$', b"("), misread: Readers::of(&[DotenvExpand, Dotenvx]) },
    // A backslash that is no escape to us stays; these drop it, or reject the file.
    Rule {
        when: |l| l.escaped(|b| !b"nrt\\\"$".contains(&b)),
        misread: PYTHON.and(DJANGO).and(RUST).and(Readers::of(&[Godotenv, Compose, Direnv, RubyDotenv, Phpdotenv])),
    },
    Rule {
        when: |l| l.is(Style::Bare) && l.has(b" \t"),
        misread: RUST.and(SHELLS).and(Readers::of(&[Direnv, Phpdotenv, Symfony])),
    },
    Rule { when: |l| l.is(Style::Bare) && l.has(b"\x0b\x0c"), misread: Readers::of(&[Direnv, Phpdotenv, Symfony]) },
    Rule {
        when: |l| l.is(Style::Bare) && l.has(b"#"),
        misread: JAVASCRIPT.and(JAVA).and(Readers::of(&[Direnv, RubyDotenv, Phpdotenv])),
    },
    // To them any white space starts a comment, not only the ASCII blanks.
    Rule {
        when: |l| l.is(Style::Bare) && l.raw.split('#').rev().skip(1).any(|part| is_trimmed(part.chars().next_back())),
        misread: PYTHON.and(RUST).and(Readers::of(&[Godotenv, Compose])),
    },
    Rule { when: |l| l.is(Style::Bare) && l.raw.starts_with('#'), misread: RUST.and(Readers::of(&[Symfony])) },
    Rule { when: |l| l.is(Style::Bare) && l.has(b"'\""), misread: RUST.and(SHELLS).and(Readers::of(&[Symfony])) },
    Rule {
        when: |l| l.is(Style::Bare) && (l.has(b"\"") || l.raw.bytes().any(|b| b.is_ascii_control() && b != b'\t')),
        misread: JAVA,
    },
    Rule {
        when: |l| l.is(Style::Bare) && l.has(b"\\"),
        misread: RUST.and(SYSTEMD).and(SHELLS).and(Readers::of(&[RubyDotenv])),
    },
    Rule {
        when: |l| l.is(Style::Bare) && ["\\\\", "\\'", "\\\"", "\\$"].iter().any(|pair| l.raw.contains(pair)),
        misread: Readers::of(&[Symfony]),
    },
    Rule { when: |l| l.is(Style::Bare) && l.has(b"&;|<>()"), misread: SHELLS },
    Rule { when: |l| l.is(Style::Bare) && shell_expands(l.raw), misread: SHELLS },
    Rule {
        when: |l| l.is(Style::Bare) && (is_trimmed(l.raw.chars().next()) || is_trimmed(l.raw.chars().next_back())),
        misread: PYTHON.and(RUST).and(Readers::of(&[NpmDotenv, DotenvExpand, Next, Dotenvx, Godotenv, Compose])),
    },
];

const BACKSLASH_END: Readers = Readers::of(&[Bun, Godotenv, Compose]);

/// `=cmd` of zsh and the tilde of all shells, at the start and inside of a bare word.
pub(in crate::dotenv) fn shell_expands(word: &str) -> bool {
    let bytes = word.as_bytes();
    let before = |i: usize| if i == 0 { None } else { bytes.get(i - 1) };
    bytes.iter().enumerate().any(|(i, b)| match b {
        b'=' => matches!(before(i), None | Some(b':')),
        b'~' => matches!(before(i), None | Some(b':' | b'=')),
        _ => false,
    })
}

/// The readers that get another value from this token than we do.
pub(in crate::dotenv) fn misreaders(look: &Look<'_>) -> Readers {
    RULES.iter().filter(|rule| (rule.when)(look)).fold(Readers::NONE, |all, rule| all.and(rule.misread))
}

/// Those that do not know quotes of a kind at all.
pub(in crate::dotenv) fn strangers(style: Style) -> Readers {
    misreaders(&Look { style, raw: "", value: "", size: 0 })
}

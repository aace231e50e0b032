//! Who misreads what: the measured behaviour of the programs that read `.env` files, as data.
//!
//! Every row was measured with the real parsers: 116 values in 23 forms with 33 readers, and 3,500 random values for the
//! rows on quoted tokens. A row may name a reader too many, never one too few.

mod names;
mod rules;

pub(super) use rules::{Look, is_noncharacter, is_trimmed, misreaders, shell_expands, strangers};

use super::dialect::Style;

/// A program or library that reads `.env` files. The order is the one in which reports name them.
#[derive(Clone, Copy)]
enum Reader {
    PythonDotenv,
    PydanticSettings,
    Environs,
    DjangoEnviron,
    NpmDotenv,
    DotenvExpand,
    Next,
    Vite,
    Dotenvx,
    Node,
    Bun,
    Deno,
    Godotenv,
    Compose,
    Direnv,
    RubyDotenv,
    Phpdotenv,
    Symfony,
    Dotenvy,
    Just,
    Uv,
    DotenvJava,
    Systemd,
    Bash,
    Dash,
    Zsh,
    BusyboxAsh,
    Docker,
    Podman,
    Kubectl,
    Gitlab,
}

/// The names as users know them, in the order of [`Reader`].
const NAMES: [&str; 31] = [
    "python-dotenv",
    "pydantic-settings",
    "environs",
    "django-environ",
    "npm dotenv",
    "dotenv-expand",
    "Next",
    "Vite",
    "dotenvx",
    "node",
    "bun",
    "deno",
    "godotenv",
    "compose",
    "direnv",
    "ruby dotenv",
    "phpdotenv",
    "symfony",
    "dotenvy",
    "just",
    "uv",
    "dotenv-java",
    "systemd",
    "bash",
    "dash",
    "zsh",
    "busybox ash",
    "docker",
    "podman",
    "kubectl",
    "GitLab",
];

/// A set of readers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Readers(u32);

impl Readers {
    pub(super) const NONE: Self = Self(0);

    const fn of(list: &[Reader]) -> Self {
        let mut bits = 0;
        let mut i = 0;
        while i < list.len() {
            bits |= 1 << list[i] as u32;
            i += 1;
        }
        Self(bits)
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) const fn only(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(super) const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) const fn within(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub(super) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) const fn count(self) -> u32 {
        self.0.count_ones()
    }

    pub(super) fn names(self) -> Vec<&'static str> {
        NAMES.iter().enumerate().filter(|(i, _)| self.0 >> i & 1 == 1).map(|(_, name)| *name).collect()
    }
}

use Reader::*;

/// Those that keep quotes as data and know no comment after a value.
pub(super) const RAW: Readers = Readers::of(&[Docker, Podman, Kubectl, Gitlab]);
/// Every reader that understands quotes: the audience of the portable dialect.
pub(super) const QUOTING: Readers = Readers((1 << NAMES.len()) - 1).without(RAW);
/// Those whose different reading of a line is worth a warning: the three families that most users feed their files to.
pub(super) const WATCHED: Readers = Readers::of(&[NpmDotenv, Compose]).and(SHELLS);
/// Those that take the first of two lines with one name.
pub(super) const FIRST_WINS: Readers = Readers::of(&[Deno, Uv]);
/// Those that leave the carriage return of a CRLF line in the value.
pub(super) const SHELLS: Readers = Readers::of(&[Bash, Dash, Zsh, BusyboxAsh]);
/// Those that reject a file with a byte order mark, or lose its first line (python-dotenv: before 1.2).
pub(super) const NO_BOM: Readers =
    Readers::of(&[DjangoEnviron, Vite, Node, Deno, Godotenv, Direnv, Symfony, DotenvJava, Systemd, Podman])
        .and(PYTHON)
        .and(RUST)
        .and(SHELLS);

/// Who reads the dialects `docker`, `compose`, `python`, `node` and `next`; `shell` is for shells and systemd.
pub(super) const DOCKER: Readers = Readers::of(&[Docker, Podman, Kubectl]);
pub(super) const COMPOSE: Readers = Readers::of(&[Compose]);
pub(super) const PYTHON: Readers = Readers::of(&[PythonDotenv, PydanticSettings, Environs]);
pub(super) const NODE: Readers = Readers::of(&[NpmDotenv, Node, Deno]);
pub(super) const EXPANDING: Readers = Readers::of(&[DotenvExpand, Next, Vite]);
const DJANGO: Readers = Readers::of(&[DjangoEnviron]);
const JAVA: Readers = Readers::of(&[DotenvJava]);
pub(super) const SYSTEMD: Readers = Readers::of(&[Systemd]);
const RUST: Readers = Readers::of(&[Dotenvy, Just, Uv]);
const EXPANDERS: Readers = Readers::of(&[DotenvExpand, Next, Vite, Bun]);
const JAVASCRIPT: Readers = EXPANDERS.and(Readers::of(&[NpmDotenv, Dotenvx, Node, Deno]));

/// The readers that cannot have a variable of this name.
pub(super) fn nameless(name: &str) -> Readers {
    match name {
        // The variables are properties of an object, whose own this is.
        "__proto__" => JAVASCRIPT,
        _ if names::is_kept_by_shells(name) => SHELLS,
        _ => Readers::NONE,
    }
}

/// What surrounds a token on its line.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Shape {
    pub export: bool,
    pub indented: bool,
    /// A blank before or after the `=`.
    pub spaced: bool,
    pub comment: bool,
    /// A comment that holds a quote or a backslash.
    pub quoting_comment: bool,
    /// A comment that follows the closing quote without a blank.
    pub tight: bool,
    pub trailing_blank: bool,
    /// A tab among the blanks after the token; around an empty one, before it too.
    pub tabbed: bool,
    /// A tab between the `=` and the token.
    pub tab_before: bool,
    pub crlf: bool,
}

/// The readers that take this line differently whatever its value is.
pub(super) fn line_misreaders(shape: Shape, style: Style, empty: bool) -> Readers {
    let spaced = DJANGO.and(SHELLS).and(Readers::of(&[Symfony, Docker, Podman, Kubectl]));
    let rows = [
        (shape.export, JAVA.and(SYSTEMD).and(RAW)),
        (shape.indented, DJANGO),
        (shape.spaced, spaced),
        (shape.comment, DJANGO.and(SYSTEMD).and(RAW)),
        // python-dotenv before 1.2.
        (shape.comment && style == Style::Bare && empty, PYTHON.and(Readers::of(&[Godotenv, Compose]))),
        (shape.tabbed && style == Style::Bare, Readers::of(&[Node])),
        // It trims spaces only, and then takes quotes for data too.
        (shape.tab_before, Readers::of(&[Node])),
        // dotenvy loses track of the comment where two blanks precede it.
        (shape.quoting_comment, RUST.and(Readers::of(&[Direnv]))),
        (shape.tight, RUST.and(SHELLS)),
        (shape.trailing_blank, DJANGO.and(RAW)),
        (shape.crlf, SHELLS),
    ];
    rows.iter().filter(|(applies, _)| *applies).fold(Readers::NONE, |all, (_, readers)| all.and(*readers))
}

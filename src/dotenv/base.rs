//! The base line of a two-way sync: one comment of the file that names the version of the secret with which the file was
//! last in step, such as `# envsync:base aws eu-central-1:prod/app 0a1b2c include=APP_*`.
//!
//! It names the provider, the secret, the version, and the bounds of the run that wrote it, because the file was in step
//! for names in these bounds only. Never a value, and never a hash of one: a short value can be guessed from its hash. What
//! could be taken for a separator or end the line is written as `%XX`.

use std::ops::Range;

use super::Document;

const MARK: &str = "# envsync:base";
/// A longer line, in bytes, is taken for one that cannot be read: the bounds of a run come from an environment string, which
/// [holds no more](https://man7.org/linux/man-pages/man2/execve.2.html), and compiling so many globs would take minutes.
const MAX_LINE: usize = 128 * 1024;

/// Which version of which secret a file was last in step with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// `aws`, `gcp`, `azure` or `local`.
    pub provider: String,
    /// The whole name of the secret.
    pub secret: String,
    /// The version's id.
    pub version: String,
    /// The globs of names that took part; `None` is all.
    pub include: Option<Vec<String>>,
    /// The globs of names that did not.
    pub exclude: Vec<String>,
}

/// What a file says of its base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    None,
    /// One line that can be read.
    One(Base),
    /// A line that cannot be read, or several.
    Broken,
}

impl Base {
    /// Reads a whole line without its line end; `None` where it is no base line that this version understands.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        if line.len() > MAX_LINE {
            return None;
        }
        let mut fields = line.trim().strip_prefix(MARK)?.strip_prefix([' ', '\t'])?.split_ascii_whitespace();
        let mut word = || fields.next().and_then(decoded).filter(|word| !word.is_empty());
        let (provider, secret, version) = (word()?, word()?, word()?);
        let mut base = Self { provider, secret, version, include: None, exclude: Vec::new() };
        for field in fields {
            let globs = |list: &str| list.split(',').map(decoded).collect::<Option<Vec<_>>>();
            match field.split_once('=')? {
                ("include", list) if base.include.is_none() => base.include = Some(globs(list)?),
                ("exclude", list) if base.exclude.is_empty() => base.exclude = globs(list)?,
                // What bounds it in a way that is not known here would be misunderstood.
                _ => return None,
            }
        }
        Some(base)
    }

    /// The line without its line end, in printable ASCII.
    #[must_use]
    pub fn print(&self) -> String {
        let globs = |list: &[String]| list.iter().map(|glob| encoded(glob, true)).collect::<Vec<_>>().join(",");
        let word = |text: &str| encoded(text, false);
        let mut line = format!("{MARK} {} {} {}", word(&self.provider), word(&self.secret), word(&self.version));
        if let Some(include) = &self.include {
            line.push_str(&format!(" include={}", globs(include)));
        }
        if !self.exclude.is_empty() {
            line.push_str(&format!(" exclude={}", globs(&self.exclude)));
        }
        line
    }
}

impl Document {
    /// What the file says of its base, as it was read. A comment within a value is none.
    #[must_use]
    pub fn base(&self) -> Found {
        let mut lines = self.base_lines();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return if self.base_lines().next().is_some() { Found::Broken } else { Found::None };
        };
        let text = self.bytes().get(line).and_then(|line| std::str::from_utf8(line).ok());
        text.and_then(Base::parse).map_or(Found::Broken, Found::One)
    }

    /// Puts the base line: in the place of the one that is there, else before the first line. Nothing else changes.
    pub fn set_base(&mut self, base: &Base) {
        self.base = Some(base.print());
    }

    /// What of the source gives way to the base line that was set: sorted, with the bytes that take the place.
    pub(super) fn base_splices(&self) -> Vec<(Range<usize>, Vec<u8>)> {
        let Some(line) = &self.base else { return Vec::new() };
        let mut there = self.base_lines();
        let Some(first) = there.next() else {
            let start = self.content_start();
            return vec![(start..start, [line.as_bytes(), self.line_end()].concat())];
        };
        let mut splices = vec![(first, line.as_bytes().to_vec())];
        let after = |end: usize| self.bytes().get(end..).unwrap_or_default();
        splices.extend(there.map(|line| {
            let line_end = after(line.end).iter().position(|b| *b == b'\n').map_or(0, |n| n + 1);
            (line.start..line.end + line_end, Vec::new())
        }));
        splices
    }

    /// The lines between assignments that bear the mark, without their line ends.
    fn base_lines(&self) -> impl Iterator<Item = Range<usize>> {
        let entries = self.scan.entries.iter().map(|entry| entry.line());
        let ends = std::iter::once(self.content_start()).chain(entries.clone().map(|line| line.end));
        let starts = entries.map(|line| line.start).chain([self.bytes().len()]);
        ends.zip(starts).flat_map(|(from, to)| self.marked(from..to))
    }

    fn marked(&self, gap: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        let text = self.bytes().get(gap.clone()).unwrap_or_default();
        text.split_inclusive(|b| *b == b'\n')
            .scan(gap.start, |at, line| {
                let content = line.strip_suffix(b"\n").unwrap_or(line);
                let content = content.strip_suffix(b"\r").unwrap_or(content);
                let range = *at..*at + content.len();
                *at += line.len();
                let rest = content.trim_ascii_start().strip_prefix(MARK.as_bytes());
                Some(rest.is_some_and(|rest| rest.first().is_none_or(u8::is_ascii_whitespace)).then_some(range))
            })
            .flatten()
    }

    /// After the byte order mark.
    fn content_start(&self) -> usize {
        if self.scan.bom { 3 } else { 0 }
    }
}

/// Printable ASCII that separates nothing stays; of globs a comma separates.
fn encoded(text: &str, glob: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'%' && !(glob && byte == b',') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dotenv::Dialect;
    use crate::secret::{Key, Secret};

    fn base(version: &str) -> Base {
        let (provider, secret, version) = ("aws".into(), "eu-central-1:prod/app".into(), version.into());
        Base { provider, secret, version, include: None, exclude: Vec::new() }
    }

    fn read(text: &str) -> Document {
        Document::parse(text.as_bytes().to_vec(), &[Dialect::Portable]).unwrap()
    }

    fn moved(text: &str) -> String {
        let mut document = read(text);
        document.set_base(&base("v2"));
        String::from_utf8(document.print()).unwrap()
    }

    const V1: &str = "# envsync:base aws eu-central-1:prod/app v1";
    const V2: &str = "# envsync:base aws eu-central-1:prod/app v2";

    #[test]
    fn a_line_is_read_as_it_was_printed() {
        let globs = |list: &[&str]| list.iter().map(|glob| (*glob).to_owned()).collect::<Vec<_>>();
        let rows = [
            base("v1"),
            Base { include: Some(globs(&["APP_*", "{A,B}_?", "[a-z]*"])), ..base("v1") },
            Base { exclude: globs(&["X", "with blank", "100%"]), ..base("7") },
            Base { include: Some(globs(&["é"])), exclude: globs(&["\u{1b}[31m"]), ..base("7") },
            Base { secret: "my store/app\r\n#1".into(), provider: "local".into(), ..base("1") },
        ];
        for row in rows {
            let line = row.print();
            assert_eq!(Base::parse(&line), Some(row), "{line}");
            assert!(line.bytes().all(|b| b == b' ' || b.is_ascii_graphic()), "{line}");
        }
        assert_eq!(base("v1").print(), V1);
    }

    #[test]
    fn what_is_not_understood_is_no_base() {
        let endless = format!("{V1} include={}B", "A*,".repeat(50_000));
        for line in [
            endless.as_str(),
            "# envsync:base",
            "# envsync:base aws app",
            "# envsync:base aws app v1 more",
            "# envsync:base aws app v1 since=yesterday",
            "# envsync:base aws app v1 include=A include=B",
            "# envsync:base aws app %zz",
            "# envsync:base aws app %",
        ] {
            assert_eq!(Base::parse(line), None, "{line}");
            assert_eq!(read(&format!("A=1\n{line}\n")).base(), Found::Broken, "{line}");
        }
        assert_eq!(read(&format!("{V1}\nA=1\n{V1}\n")).base(), Found::Broken, "two lines contradict each other");
    }

    #[test]
    fn only_a_comment_of_the_file_is_a_base_line() {
        let one = Found::One(base("v1"));
        let rows = [
            ("", Found::None),
            ("# a comment\nA=1\n", Found::None),
            (V1, one.clone()),
            (&format!("\u{feff}{V1}\r\nA=1\r\n"), one.clone()),
            (&format!("A=1\n\n  {V1}\nB=2\n"), one.clone()),
            (&format!("A=1\n{V1}"), one),
            (&format!("A='text\n{V1}\n'\n"), Found::None),
            ("A=1 # envsync:base aws app v1\n", Found::None),
            ("# envsync:bases aws app v1\n", Found::None),
        ];
        for (text, expected) in rows {
            assert_eq!(read(text).base(), expected, "{text}");
        }
    }

    #[test]
    fn the_line_moves_on_and_nothing_else_does() {
        let rows = [
            ("", format!("{V2}\n")),
            ("A=1\n", format!("{V2}\nA=1\n")),
            ("A=1\r\nB=2\r\n", format!("{V2}\r\nA=1\r\nB=2\r\n")),
            ("\u{feff}A=1", format!("\u{feff}{V2}\nA=1")),
            (&format!("# head\n{V1}\nA=1\n"), format!("# head\n{V2}\nA=1\n")),
            (&format!("A=1\r\n  {V1}\r\nB=2"), format!("A=1\r\n{V2}\r\nB=2")),
            (&format!("{V1}\nA=1\n# envsync:base broken\nB=2\n{V1}"), format!("{V2}\nA=1\nB=2\n")),
            (&format!("A='x\n{V1}\n'\n"), format!("{V2}\nA='x\n{V1}\n'\n")),
        ];
        for (text, expected) in rows {
            assert_eq!(moved(text), expected, "{text}");
            assert_eq!(moved(&expected), expected, "moving it again changes nothing");
            assert_eq!(read(&expected).base(), Found::One(base("v2")));
        }
    }

    #[test]
    fn values_change_beside_it() {
        let key = |name| Key::new(name).unwrap();
        let mut document = read("A=1\nB=2\n");
        document.set_base(&base("v2"));
        document.remove(&key("A"));
        document.set(&key("B"), &Secret::from("3")).unwrap();
        document.set(&key("C"), &Secret::from("4")).unwrap();
        assert_eq!(document.print(), format!("{V2}\nB=3\nC=4\n").into_bytes());
        let mut document = read(&format!("A=1\n{V1}\nB=2"));
        document.remove(&key("B"));
        document.set_base(&base("v2"));
        document.set(&key("C"), &Secret::from("4")).unwrap();
        assert_eq!(document.print(), format!("A=1\n{V2}\nC=4\n").into_bytes());
    }
}

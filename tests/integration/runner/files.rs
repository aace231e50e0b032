//! The files that a step appends to (`GITHUB_OUTPUT` and its kin), read as `FileCommandManager.cs` reads them on Linux:
//! only LF ends a line, a CR stays part of a name, a value or a delimiter.

use std::collections::BTreeMap;

/// A summary above this many bytes is dropped as a whole.
pub const SUMMARY_LIMIT: usize = 1024 * 1024;

/// The five files of one step, as they were left.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    /// `GITHUB_OUTPUT`.
    pub output: Vec<u8>,
    /// `GITHUB_ENV`.
    pub env: Vec<u8>,
    /// `GITHUB_STATE`.
    pub state: Vec<u8>,
    /// `GITHUB_PATH`.
    pub path: Vec<u8>,
    /// `GITHUB_STEP_SUMMARY`.
    pub summary: Vec<u8>,
}

/// What the runner makes of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effects {
    /// Step outputs, by the spelling that came first: names are compared without case, the last value wins.
    pub outputs: BTreeMap<String, String>,
    /// Variables of later steps.
    pub env: BTreeMap<String, String>,
    /// State for the post step, where it is `STATE_<name>`.
    pub state: BTreeMap<String, String>,
    /// Directories put in front of `PATH`.
    pub path: Vec<String>,
    /// The job summary, unmasked; `None` where it is empty or dropped.
    pub summary: Option<String>,
    /// Every error that the runner reports; those of a pair file fail the step.
    pub errors: Vec<String>,
}

impl Effects {
    /// Reads all five.
    pub fn read(raw: &Raw) -> Self {
        let mut effects = Self::default();
        effects.read_pairs("output", &raw.output);
        effects.read_pairs("env", &raw.env);
        effects.read_pairs("state", &raw.state);
        let lines = super::lines(&raw.path);
        effects.path = lines.into_iter().filter(|line| !line.is_empty()).collect();
        if raw.summary.len() > SUMMARY_LIMIT {
            let (limit, size) = (SUMMARY_LIMIT / 1024, raw.summary.len() / 1024);
            let text = format!("$GITHUB_STEP_SUMMARY upload aborted, supports content up to {limit}k, got {size}k");
            effects.errors.push(text);
        } else if !raw.summary.is_empty() {
            effects.summary = Some(text(&raw.summary));
        }
        effects
    }

    fn read_pairs(&mut self, context: &str, bytes: &[u8]) {
        let (pairs, error) = pairs(&text(bytes));
        for (name, value) in pairs {
            match context {
                "env" if name.eq_ignore_ascii_case("NODE_OPTIONS") => {
                    self.errors.push("can't store NODE_OPTIONS output parameter using '$GITHUB_ENV'".to_owned());
                }
                "env" => {
                    self.env.insert(name, value);
                }
                _ if name.is_empty() => {
                    self.errors.push(format!("unable to process file command '{context}': the name is empty"));
                    return;
                }
                "output" => set_without_case(&mut self.outputs, name, value),
                _ => set_without_case(&mut self.state, name, value),
            }
        }
        if let Some(error) = error {
            self.errors.push(format!("unable to process file command '{context}': {error}"));
        }
    }
}

fn set_without_case(map: &mut BTreeMap<String, String>, name: String, value: String) {
    let known = map.keys().find(|known| known.to_uppercase() == name.to_uppercase()).cloned();
    map.insert(known.unwrap_or(name), value);
}

/// `File.ReadAllText`: UTF-8, a BOM is dropped, invalid bytes become U+FFFD.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned()
}

/// The pairs of a file in order, and the error at which reading stopped: what stands before it counts.
pub fn pairs(text: &str) -> (Vec<(String, String)>, Option<String>) {
    let mut pairs = Vec::new();
    let mut at = 0;
    while let Some((line, _)) = next_line(text, &mut at) {
        if line.is_empty() {
            continue;
        }
        match (line.find('='), line.find("<<")) {
            (Some(equals), heredoc) if heredoc.is_none_or(|heredoc| equals < heredoc) => {
                pairs.push((line[..equals].to_owned(), line[equals + 1..].to_owned()));
            }
            (_, Some(heredoc)) => match heredoc_value(text, &mut at, line, heredoc) {
                Ok(pair) => pairs.push(pair),
                Err(error) => return (pairs, Some(error)),
            },
            _ => return (pairs, Some(format!("Invalid format '{line}'"))),
        }
    }
    (pairs, None)
}

fn heredoc_value(text: &str, at: &mut usize, line: &str, heredoc: usize) -> Result<(String, String), String> {
    let (name, delimiter) = (&line[..heredoc], &line[heredoc + 2..]);
    if name.is_empty() || delimiter.is_empty() {
        return Err(format!("Invalid format '{line}'. Name must not be empty and delimiter must not be empty"));
    }
    let start = *at;
    let mut end = start;
    loop {
        match next_line(text, at) {
            None => return Err(format!("Invalid value. Matching delimiter not found '{delimiter}'")),
            Some((line, _)) if line == delimiter => break,
            Some((_, false)) => return Err("Invalid value. EOF marker missing new line".to_owned()),
            Some((_, true)) => end = *at - 1,
        }
    }
    // An empty value and no value at all are one line apart in the file and the same to the runner.
    Ok((name.to_owned(), text[start..end.max(start)].to_owned()))
}

/// The next line and whether a LF ended it.
fn next_line<'a>(text: &'a str, at: &mut usize) -> Option<(&'a str, bool)> {
    let rest = text.get(*at..).filter(|rest| !rest.is_empty())?;
    if let Some(end) = rest.find('\n') {
        *at += end + 1;
        Some((&rest[..end], true))
    } else {
        *at = text.len();
        Some((rest, false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let (pairs, error) = pairs(text);
        let mut parts: Vec<String> = pairs.iter().map(|(k, v)| format!("{k}=[{v}]")).collect();
        parts.extend(error.map(|e| format!("! {e}")));
        parts.join(" ")
    }

    #[test]
    fn pair_files_table() {
        let rows = [
            ("", ""),
            ("A=1\nB=2", "A=[1] B=[2]"),
            ("\n\nA=1=2\n", "A=[1=2]"),
            ("A=1<<2\n", "A=[1<<2]"),
            ("=v\n", "=[v]"),
            ("A<<D\nx\nD\n", "A=[x]"),
            ("A<<D\nx\nD", "A=[x]"),
            ("A<<D\nD\n", "A=[]"),
            ("A<<D\n\nD\n", "A=[]"),
            ("A<<D\nl1\n\nl3\n\nD\n", "A=[l1\n\nl3\n]"),
            ("A<<D\nx\r\nD\n", "A=[x\r]"),
            ("A<<D\nx\n D\nD\n", "A=[x\n D]"),
            ("A<<B<<C\nx\nB<<C\n", "A=[x]"),
            ("A<<D=E\nx\nD=E\n", "A=[x]"),
            ("B=1\nA<<D\nx\nD\r\n", "B=[1] ! Invalid value. Matching delimiter not found 'D'"),
            ("A<<D\nx\n", "! Invalid value. Matching delimiter not found 'D'"),
            ("A<<D\nx", "! Invalid value. EOF marker missing new line"),
            ("A<<\nx\n", "! Invalid format 'A<<'. Name must not be empty and delimiter must not be empty"),
            ("<<D\nx\nD\n", "! Invalid format '<<D'. Name must not be empty and delimiter must not be empty"),
            ("A=1\nnothing\nB=2\n", "A=[1] ! Invalid format 'nothing'"),
        ];
        for (text, expected) in rows {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn outputs_are_compared_without_case() {
        let raw = Raw { output: b"Version=1\nVERSION=2\n".to_vec(), ..Raw::default() };
        let effects = Effects::read(&raw);
        assert_eq!(effects.outputs, BTreeMap::from([("Version".to_owned(), "2".to_owned())]));
    }

    #[test]
    fn node_options_is_blocked_and_the_rest_goes_on() {
        let raw = Raw { env: b"A=1\nnode_options=--x\nPATH=/p\n".to_vec(), ..Raw::default() };
        let effects = Effects::read(&raw);
        assert_eq!(effects.env.keys().collect::<Vec<_>>(), ["A", "PATH"]);
        assert_eq!(effects.errors.len(), 1);
    }

    #[test]
    fn an_output_without_a_name_fails_the_step() {
        let raw = Raw { output: b"A=1\n=2\nB=3\n".to_vec(), ..Raw::default() };
        let effects = Effects::read(&raw);
        assert_eq!(effects.outputs.len(), 1);
        assert_eq!(effects.errors.len(), 1);
    }

    #[test]
    fn a_bom_is_dropped_and_invalid_bytes_are_replaced() {
        let raw = Raw { output: b"\xef\xbb\xbfA=\xff\n".to_vec(), ..Raw::default() };
        assert_eq!(Effects::read(&raw).outputs["A"], "\u{fffd}");
    }

    #[test]
    fn a_summary_of_more_than_a_mebibyte_is_dropped() {
        let of = |size: usize| Effects::read(&Raw { summary: vec![b'x'; size], ..Raw::default() });
        assert_eq!(of(SUMMARY_LIMIT).summary.map(|s| s.len()), Some(SUMMARY_LIMIT));
        assert_eq!((of(SUMMARY_LIMIT + 1).summary, of(SUMMARY_LIMIT + 1).errors.len()), (None, 1));
        assert_eq!(of(0).summary, None);
    }

    #[test]
    fn path_is_one_directory_a_line() {
        let raw = Raw { path: b"/a\n\n/b\n".to_vec(), ..Raw::default() };
        assert_eq!(Effects::read(&raw).path, ["/a", "/b"]);
    }
}

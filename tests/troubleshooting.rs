//! `docs/troubleshooting.md` against the sources: what a heading quotes is a text that the program has.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by a panic, and has to read files itself"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Says less than this, and the part of a heading would be found anywhere.
const TELLING: usize = 8;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The program's own source files, without their tests and comments, with each string literal on one line.
fn sources() -> Vec<String> {
    let (mut folders, mut files) = (vec![root().join("src")], Vec::<PathBuf>::new());
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("src") {
            let path = entry.expect("entry").path();
            match path.file_stem().and_then(|stem| stem.to_str()) {
                Some("tests") => {}
                _ if path.is_dir() => folders.push(path),
                _ if path.extension().is_some_and(|extension| extension == "rs") => files.push(path),
                _ => {}
            }
        }
    }
    files.iter().map(|path| one_line_literals(&read(path))).collect()
}

/// A literal goes on in the next line behind a `\`, without the blanks there.
fn one_line_literals(source: &str) -> String {
    let program = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut text = String::new();
    for line in program.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
        match line.strip_suffix('\\') {
            Some(start) => text.push_str(start),
            None => text.extend([line, "\n"]),
        }
    }
    text.replace("\\\"", "\"")
}

/// What the headings of the third level quote, with `…` for what varies.
fn quoted(page: &str) -> Vec<&str> {
    let headings = page.lines().filter_map(|line| line.strip_prefix("### "));
    headings
        .map(|heading| {
            let text = heading.trim().strip_prefix("``").and_then(|text| text.strip_suffix("``"));
            text.unwrap_or_else(|| panic!("the heading quotes no text between double backticks: {heading}")).trim()
        })
        .collect()
}

/// Whether one file has all the fixed parts; what is only punctuation between two gaps is no part.
fn is_said(text: &str, sources: &[String]) -> bool {
    let parts: Vec<&str> = text.split('…').map(str::trim).filter(|part| part.contains(char::is_alphabetic)).collect();
    sources.iter().any(|source| parts.iter().all(|part| source.contains(part)))
}

#[test]
fn what_the_headings_quote_is_said_by_the_program() {
    let sources = sources();
    let page = read(&root().join("docs/troubleshooting.md"));
    let quoted = quoted(&page);
    assert!(quoted.len() > 50, "only {} headings were found", quoted.len());
    let telling = |text: &&&str| text.split('…').any(|part| part.trim().len() >= TELLING);
    let vague: Vec<&str> = quoted.iter().filter(|text| !telling(text)).copied().collect();
    assert!(vague.is_empty(), "headings that fit everything:\n{}", vague.join("\n"));
    let stale: Vec<&str> = quoted.iter().filter(|text| !is_said(text, &sources)).copied().collect();
    assert!(stale.is_empty(), "headings of docs/troubleshooting.md that nothing in src says:\n{}", stale.join("\n"));
    let different: BTreeSet<_> = quoted.iter().collect();
    assert_eq!(different.len(), quoted.len(), "a text has two headings");
}

#[test]
fn a_heading_that_nobody_says_is_found() {
    let source = "// a comment says so\nformat!(\n    \"the secret `{id}` is \\\n     made of {what}\"\n);\n#[cfg(test)]\nmod tests { \"cheese\" }";
    let sources = [one_line_literals(source)];
    assert!(is_said("the secret `…` is made of …", &sources));
    for text in ["the secret … is made of cheese", "a comment says so", "the file `…` is made of …"] {
        assert!(!is_said(text, &sources), "{text}");
    }
}

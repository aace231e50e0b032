//! `action.yml`, the README and the pages of `docs/` against the registry of inputs and against each other.
//!
//! `UPDATE=1 cargo test --test registry` writes the generated parts anew: the inputs of `action.yml`, and the tables of
//! the README between `<!-- inputs -->` and `<!-- outputs -->` marks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test fails by a panic, and has to read and write files itself"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use envsync::config::registry::{INPUTS, Input, help};
use envsync::error::Kind;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The pages that a user reads.
fn pages() -> Vec<(String, String)> {
    let mut names: Vec<PathBuf> =
        ["README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"].map(PathBuf::from).to_vec();
    let docs = std::fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("entry").file_name());
    names.extend(
        docs.map(|name| Path::new("docs").join(name)).filter(|name| name.extension().is_some_and(|e| e == "md")),
    );
    names.sort();
    names.iter().map(|name| name.to_string_lossy().into_owned()).map(|name| (name.clone(), read(&name))).collect()
}

fn described(input: &Input) -> String {
    match input.default {
        "" => input.help.to_owned(),
        default => format!("{} Default: `{default}`.", input.help),
    }
}

/// The runner evaluates `${{ }}` in descriptions too, and then refuses the whole action.
fn without_expressions(text: &str) -> String {
    text.replace("${{ ", "").replace(" }}", "")
}

fn action_inputs() -> String {
    let mut text = String::new();
    for input in INPUTS {
        text.push_str(&format!(
            "  {}:\n    description: >-\n      {}\n",
            input.name,
            without_expressions(&described(input))
        ));
        if input.name == "provider" {
            text.push_str("    required: true\n");
        }
    }
    text
}

fn inputs_table() -> String {
    let mut text = String::from("| input | default | what |\n|---|---|---|\n");
    for input in INPUTS {
        let default = if input.default.is_empty() { "–".to_owned() } else { format!("`{}`", input.default) };
        text.push_str(&format!("| `{}` | {default} | {} |\n", input.name, input.help.replace('|', "\\|")));
    }
    text
}

fn outputs_table(action: &str) -> String {
    let mut text = String::from("| output | elsewhere, in `outputs_file` | what |\n|---|---|---|\n");
    for (name, what) in outputs(action) {
        let variable = format!("ENVSYNC_{}", elsewhere(&name).to_ascii_uppercase());
        text.push_str(&format!("| `{name}` | `{variable}` | {what} |\n"));
    }
    text
}

/// An output's name in `outputs_file`. In a later job of GitLab's it must not be the input of that name.
fn elsewhere(output: &str) -> String {
    let name = output.replace('-', "_");
    if INPUTS.iter().any(|input| input.name == name) { format!("{name}_path") } else { name }
}

/// Names and texts of the outputs, by the layout that `action.yml` keeps: two blanks a name, six a text.
fn outputs(action: &str) -> Vec<(String, String)> {
    let block = between(action, "\noutputs:\n", "\nruns:\n").expect("outputs of action.yml");
    let mut outputs: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        if let Some(text) = line.strip_prefix("      ") {
            outputs.last_mut().expect("a name before its text").1.push_str(text);
        } else if line.starts_with("  ") && !line.starts_with("   ") {
            outputs.push((line.trim().trim_end_matches(':').to_owned(), String::new()));
        }
    }
    outputs
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let from = text.find(start)? + start.len();
    Some(&text[from..from + text[from..].find(end)?])
}

/// Compares a generated part with what stands in the file, or writes it with `UPDATE=1`.
fn holds(name: &str, start: &str, end: &str, expected: &str) {
    let text = read(name);
    let found = between(&text, start, end).unwrap_or_else(|| panic!("{name} has no part between {start} and {end}"));
    if found == expected {
        return;
    }
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        let whole = text.replacen(&format!("{start}{found}{end}"), &format!("{start}{expected}{end}"), 1);
        return std::fs::write(root().join(name), whole).expect("write");
    }
    let (found, expected): (Vec<_>, Vec<_>) = (found.lines().collect(), expected.lines().collect());
    let missing = expected.iter().filter(|line| !found.contains(line)).map(|line| format!("+ {line}"));
    let surplus = found.iter().filter(|line| !expected.contains(line)).map(|line| format!("- {line}"));
    let mut lines: Vec<_> = surplus.chain(missing).collect();
    if lines.is_empty() {
        lines.push("the lines stand in another order".to_owned());
    }
    panic!(
        "{name} differs from what it documents; UPDATE=1 cargo test --test registry mends it:\n{}",
        lines.join("\n")
    );
}

#[test]
fn the_generated_parts_say_what_the_program_says() {
    holds("action.yml", "\ninputs:\n", "\noutputs:\n", &action_inputs());
    holds("README.md", "<!-- inputs -->\n", "<!-- /inputs -->", &inputs_table());
    holds("README.md", "<!-- outputs -->\n", "<!-- /outputs -->", &outputs_table(&read("action.yml")));
}

#[test]
fn the_action_declares_the_outputs_of_the_contract() {
    let names: Vec<String> = outputs(&read("action.yml")).into_iter().map(|(name, _)| name).collect();
    let contract = [
        "has-changes",
        "has-drift",
        "added-keys",
        "updated-keys",
        "removed-keys",
        "unchanged-keys",
        "conflict-keys",
        "all-keys",
        "secret-version",
        "env-file",
    ];
    assert_eq!(names, contract);
}

/// The Marketplace takes no description of 125 characters or more.
#[test]
fn the_description_of_the_action_is_short_and_has_every_mode() {
    let action = read("action.yml");
    let description = between(&action, "\ndescription: ", "\n").expect("a description");
    assert!(description.chars().count() < 125, "{} characters", description.chars().count());
    for mode in ["pull", "push", "sync", "check"] {
        assert!(description.to_lowercase().contains(mode), "no word of `{mode}`");
    }
}

#[test]
fn the_action_holds_nothing_that_the_runner_would_refuse_or_send_unasked() {
    let action = read("action.yml");
    assert!(!action.contains("${{"), "an expression in a description makes the runner refuse the action");
    assert!(
        !action.lines().any(|line| line.trim_start().starts_with("default:")),
        "a default could not be told from a choice"
    );
    assert!(!action.lines().any(|line| line.trim_start().starts_with("args:")), "args reach the post step too");
    assert!(action.contains("\n  using: docker\n  image: Dockerfile\n  entrypoint: /usr/local/bin/envsync\n"));
    let docker = read("Dockerfile");
    let last = docker.rsplit("\nFROM ").next().expect("a stage");
    for word in ["ENTRYPOINT", "USER", "WORKDIR"] {
        assert!(!last.lines().any(|line| line.starts_with(word)), "{word} in the final stage");
    }
    assert!(last.trim_end().ends_with("CMD [\"envsync\"]"));
}

#[test]
fn help_lists_every_input_in_order_with_its_text() {
    let help = help();
    let mut rest = help.as_str();
    for input in INPUTS {
        let entry = format!("  ENVSYNC_{}\n      {}\n", input.name.to_ascii_uppercase(), described(input));
        let at = rest.find(&entry).unwrap_or_else(|| panic!("--help lacks, or has out of order:\n{entry}"));
        rest = &rest[at + entry.len()..];
    }
}

#[test]
fn the_readme_and_help_list_every_exit_code() {
    let readme = read("README.md");
    let section = between(&readme, "\n## Exit codes\n", "\n## ").expect("exit codes in the README");
    let listed: BTreeSet<u8> = section
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.trim_matches('`').parse().ok())
        .collect();
    let kinds = [
        Kind::Internal,
        Kind::Input,
        Kind::Login,
        Kind::Denied,
        Kind::NotFound,
        Kind::Refused,
        Kind::Unavailable,
        Kind::Partial,
    ];
    // 0 is success; 130 and 143 are what a shell gives for SIGINT and SIGTERM.
    let expected: BTreeSet<u8> = kinds.iter().map(|kind| kind.exit_code()).chain([0, 130, 143]).collect();
    assert_eq!(listed, expected);
    let help = help();
    let sentence = help.split("Exit codes:").nth(1).expect("exit codes in --help");
    let numbers: BTreeSet<u8> =
        sentence.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
    assert_eq!(numbers, expected);
}

/// `ENVSYNC_…` words that are no input: a placeholder, our staging label, and what scripts of this repository read.
const OTHER: [&str; 5] =
    ["ENVSYNC_NAME", "ENVSYNC_PENDING", "ENVSYNC_BIN", "ENVSYNC_DOUBLES", "ENVSYNC_SKIP_CONTAINER"];

#[test]
fn no_page_names_an_input_or_an_output_that_does_not_exist() {
    let outputs = outputs(&read("action.yml"));
    let mut known: BTreeSet<String> = INPUTS.iter().map(|input| input.name.to_owned()).collect();
    known.extend(outputs.iter().map(|(name, _)| elsewhere(name)));
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        // Terraform's own names of things on AWS look like inputs.
        let text: String = text.split("```").filter(|part| !part.starts_with("hcl\n")).collect();
        for word in text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
            let name = match word.strip_prefix("ENVSYNC_") {
                Some("") => continue,
                Some(_) if OTHER.contains(&word) => continue,
                Some(name) => name.to_ascii_lowercase(),
                None if ["aws_", "gcp_", "azure_"].iter().any(|prefix| word.starts_with(prefix)) => word.to_owned(),
                None => continue,
            };
            if !known.contains(&name) {
                wrong.push(format!("{page}: {word}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_workflows_to_paste_use_inputs_that_exist() {
    let mut seen = 0;
    let mut wrong = Vec::new();
    for (page, text) in pages() {
        let mut ours = false;
        let mut depth = None;
        for line in text.lines() {
            let indent = line.len() - line.trim_start().len();
            let word = line.trim_start();
            if word.starts_with("```") || word.starts_with("- ") {
                (ours, depth) = (false, None);
            }
            if word.contains("uses: YOUR-ORG/envsync@") {
                ours = true;
            } else if ours && word == "with:" {
                depth = Some(indent + 2);
            } else if let (Some(depth), Some((name, _))) = (depth, word.split_once(':'))
                && indent == depth
            {
                seen += 1;
                if !INPUTS.iter().any(|input| input.name == name) {
                    wrong.push(format!("{page}: {name}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 0, "no workflow was looked at");
}

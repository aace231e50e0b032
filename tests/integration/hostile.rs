//! Values and names that try to become something else: each is carried exactly or refused by name, and nothing is injected.
//! That no command, no output and no variable is injected is asserted by the harness after every run.

use serde_json::json;

use super::harness::{Done, META, Run};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Carried,
    Refused,
    /// The contract leaves it open which of the two.
    Either,
}
use Fate::{Carried, Either, Refused};

/// A value, what a `.env` file does with it, and what outputs and the environment do.
fn values() -> Vec<(&'static str, String, Fate, Fate)> {
    let row = |what, value: &str, file, handed| (what, value.to_owned(), file, handed);
    vec![
        row("newline", "fake line one\nfake line two", Carried, Carried),
        row("newlines around", "\n\nfake between\n\n", Carried, Carried),
        row("lone CR", "fake-before\rfake-after", Refused, Carried),
        row("CRLF", "fake-line1\r\nfake-line2\r\n", Refused, Carried),
        row("command", "::set-env name=INJECTED::fake-y", Carried, Carried),
        row("command on a line", "fake-a\n::add-path::/fake/evil\nfake-b", Carried, Carried),
        row("command after CR", "fake-a\r::set-output name=INJECTED::fake-b", Refused, Carried),
        row("old command", "##[add-path]/fake/evil", Carried, Carried),
        row("old command inside", "fake ##[set-env name=INJECTED]fake", Carried, Carried),
        row("stop-commands", "fake\n::stop-commands::faketoken\nfake", Carried, Carried),
        row("mask that ends a mask", "fake::add-mask::fake", Carried, Carried),
        row("heredoc start", "INJECTED<<EOF\nfake-injected\nEOF", Carried, Carried),
        row("delimiter", "fake\nghadelimiter_00000000-0000-4000-8000-000000000000\nINJECTED=fake", Carried, Carried),
        row("pair", "fake\nINJECTED=fake-injected\n", Carried, Carried),
        row("escapes", "fake%0Afake%0Dfake%25fake%3A", Carried, Carried),
        row("backslashes", r"fake\n\t\\fake\$fake", Carried, Carried),
        row("double quotes", "fake \"quoted\" fake", Carried, Carried),
        row("single quotes", "fake 'quoted' fake", Carried, Carried),
        row("both quotes", "fake \"double\" and 'single'", Refused, Carried),
        row("backticks", "`touch fake-pwned`", Carried, Carried),
        row("substitution", "$(touch fake-pwned)", Either, Carried),
        row("expansion", "${HOME}/fake and $PATH", Carried, Carried),
        row("ends in a backslash", "fake-ends-in\\", Refused, Carried),
        row("blanks around", "  fake with blanks  ", Carried, Carried),
        row("comment", "fake # no comment", Carried, Carried),
        row("looks like export", "export FAKE=fake", Carried, Carried),
        row("terminal escape", "\u{1b}[31mfake-red\u{1b}[0m", Either, Carried),
        row("right-to-left", "fake\u{202e}desrever", Either, Carried),
        row("byte order mark", "\u{feff}fake-with-a-mark", Either, Carried),
        row("not ASCII", "fäke-šecret-🔑-值", Carried, Carried),
        row("line separators", "fake\u{2028}fake\u{85}fake", Either, Carried),
        row("empty", "", Carried, Carried),
        row("NUL", "fake\0nul", Refused, Refused),
        row("200 KB", &"fake-200".repeat(25_600), Refused, Refused),
        row("100 KB", &"fake-100".repeat(12_800), Carried, Carried),
    ]
}

fn seeded(value: &str) -> Run {
    Run::new().github().seed("app", &json!({"HOSTILE": value}).to_string()).secret_value(value)
}

#[track_caller]
fn assert_refused(done: &Done, what: &str) {
    assert_eq!(done.code, Some(2), "{what}");
    assert!(done.text().contains("HOSTILE"), "{what}: the variable is not named");
    assert_eq!(done.room.read(".env"), None, "{what}: a file was written");
    assert!(done.env.is_empty(), "{what}: the environment got {:?}", done.env);
    assert!(done.outputs.keys().all(|name| META.contains(&name.as_str())), "{what}: outputs were set");
}

fn runs(run: Run, fate: Fate) -> Vec<Done> {
    match fate {
        Carried => vec![run.expect(0)],
        Refused => vec![run.expect(2)],
        Either => vec![run.expect_one_of(&[0, 2])],
    }
}

#[test]
fn values_reach_the_file_exactly_or_not_at_all() {
    for (what, value, fate, _) in values() {
        for done in runs(seeded(&value), fate) {
            if done.code == Some(0) {
                assert_eq!(done.room.variables(".env").get("HOSTILE"), Some(&value), "{what}");
                assert_eq!(done.room.variables(".env").len(), 1, "{what}");
            } else {
                assert_refused(&done, what);
            }
        }
    }
}

#[test]
fn values_reach_outputs_and_environment_exactly_or_not_at_all() {
    for (what, value, _, fate) in values() {
        let run = seeded(&value).input("env_file", "false").input("outputs", "true").input("export_env", "true");
        for done in runs(run, fate) {
            if done.code == Some(0) {
                assert_eq!(done.outputs.get("HOSTILE"), Some(&value), "{what}");
                assert_eq!(done.env.get("HOSTILE"), Some(&value), "{what}");
                assert_eq!((done.outputs.len(), done.env.len()), (META.len() + 1, 1), "{what}");
            } else {
                assert_refused(&done, what);
            }
        }
    }
}

#[test]
fn values_of_a_file_reach_the_secret_exactly() {
    for (what, value, fate, _) in values() {
        if fate == Carried {
            let done = seeded(&value).expect(0);
            let pushed = done.room.run().github().input("mode", "push").input("secret", "copy").expect(0);
            assert_eq!(pushed.room.json("copy"), json!({"HOSTILE": value}), "{what}");
        }
    }
}

#[test]
fn values_show_nowhere_off_github() {
    for (_, value, fate, _) in values() {
        runs(seeded(&value).gitlab(), fate);
        runs(seeded(&value).plain(), fate);
    }
}

#[test]
fn names_that_hijack_later_steps_are_not_exported() {
    let names = [
        "PATH",
        "LD_PRELOAD",
        "LD_LIBRARY_PATH",
        "DYLD_INSERT_LIBRARIES",
        "NODE_OPTIONS",
        "NODE_PATH",
        "BASH_ENV",
        "ENV",
        "IFS",
        "PS4",
        "PROMPT_COMMAND",
        "SHELLOPTS",
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "PERL5OPT",
        "RUBYOPT",
        "JAVA_TOOL_OPTIONS",
        "_JAVA_OPTIONS",
        "GIT_SSH_COMMAND",
        "GIT_CONFIG_COUNT",
        "HOME",
        "SHELL",
        "TMPDIR",
        "GITHUB_TOKEN",
        "GITHUB_ENV",
        "RUNNER_TEMP",
        "ACTIONS_RUNTIME_TOKEN",
        "INPUT_SECRET",
        "STATE_fake",
        "CI",
        "HTTP_PROXY",
        "https_proxy",
    ];
    let members: serde_json::Map<_, _> = names.iter().map(|n| ((*n).to_owned(), json!("fake-hijack"))).collect();
    let payload = serde_json::Value::from(members).to_string();
    let seeded = || Run::new().github().seed("app", &payload);
    let done = seeded().input("export_env", "true").expect(2);
    done.says(&names);
    assert_eq!(done.room.read(".env"), None, "nothing is written");
    assert!(done.env.is_empty());
    assert_eq!(seeded().expect(0).room.variables(".env").len(), names.len(), "a file may hold them");
    let with_one_more = payload.replacen('{', r#"{"GOOD":"fake-good-value","#, 1);
    let run = Run::new().github().seed("app", &with_one_more).input("export_env", "true");
    let done = run.input("exclude", &names.join("\n")).input("include", "*").expect(0);
    assert_eq!(done.env.keys().collect::<Vec<_>>(), ["GOOD"], "what is excluded is not exported");
}

#[test]
fn names_that_are_no_variables_are_refused_and_shown_harmlessly() {
    let names = [
        "A=B",
        "A\nB",
        "A\rB",
        "A<<EOF",
        "A\n::add-path::/fake",
        "##[add-path]/fake",
        "::set-env name=x::y",
        "\u{1b}[31mred",
        "\u{200b}::debug::x",
        "#\u{200b}#[debug]x",
        "with-dash",
        "with.dot",
        "with blank",
        "1DIGIT",
        "",
        "ä",
        "A\0B",
        "A%0AB",
    ];
    for name in names {
        let payload = json!({"GOOD": "fake-good-value", name: "fake-hostile-value"}).to_string();
        let inputs = |run: Run| run.seed("app", &payload).input("outputs", "true").input("export_env", "true");
        let done = inputs(Run::new().github()).expect(2);
        let plain: String = name.chars().take_while(char::is_ascii_alphanumeric).collect();
        assert!(done.text().contains(&plain), "`{}` is not named", name.escape_default());
        assert!(done.text().contains("nothing was changed"));
        assert_eq!(done.room.read(".env"), None, "`{}`: a file was written", name.escape_default());
        assert!(done.env.is_empty() && !done.outputs.contains_key("GOOD"), "`{}`", name.escape_default());
        Run::new().gitlab().seed("app", &payload).expect(2);
    }
}

#[test]
fn a_name_that_is_no_variable_can_be_left_out() {
    let payload = r#"{"GOOD":"fake-good-value","with-dash":"fake-other-value"}"#;
    let done = Run::new().plain().seed("app", payload).input("exclude", "*-*").expect(0);
    assert_eq!(done.room.variables(".env").into_keys().collect::<Vec<_>>(), ["GOOD"]);
}

#[test]
fn names_of_secrets_are_shown_harmlessly() {
    for secret in ["##[add-path]/fake", "::add-mask::fake", "nowhere ##[error]fake", "a/../b", "../outside", "."] {
        for run in [Run::new().github(), Run::new().gitlab()] {
            run.input("secret", secret).expect_one_of(&[2, 5]);
        }
    }
}

#[test]
fn inputs_are_shown_harmlessly() {
    let bad = "nonsense\n::set-env name=x::y\r##[add-path]/fake\u{1b}[0m";
    for input in ["mode", "provider", "include", "required_keys", "env_file", "max_deletes", "template", "case"] {
        for run in [Run::new().github(), Run::new().plain()] {
            run.seed("app", r#"{"A":"fake-value-a"}"#).input(input, bad).expect_one_of(&[0, 2, 5]);
        }
    }
}

#[test]
fn a_nul_in_a_file_is_refused_with_its_line() {
    let run = Run::new().plain().file(".env", "A=fake-value-a\nB=fake\0nul\n").input("mode", "push");
    let done = run.expect(2);
    assert!(done.text().contains("line 2") || done.text().contains(":2"), "{}", done.text());
    assert!(done.room.versions("app").is_empty());
}

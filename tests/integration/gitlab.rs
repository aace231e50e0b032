//! GitLab jobs and plain shells: no commands, no masks, and a file in the form of GitLab's dotenv report.

use std::collections::BTreeMap;

use super::harness::{Done, Room, Run};

const APP: &str = r#"{"API_KEY":"fake-api-key","DB_PASSWORD":"fake db password"}"#;

/// GitLab's own reader of a dotenv report (`parse_dotenv_artifact_service.rb`): every line is `KEY=VALUE`, no quotes, no
/// comments, no empty lines, less than 5 KiB; `$` would be expanded in the job that inherits the variable.
fn report(done: &Done, name: &str) -> BTreeMap<String, String> {
    let text = done.room.read(name).unwrap_or_else(|| panic!("`{name}` was not written"));
    assert!(text.len() < 5120, "too large for GitLab");
    let pairs = text.lines().map(|line| {
        let (key, value) = line.split_once('=').unwrap_or_else(|| panic!("`{line}` is no pair"));
        assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "`{key}` is no name for GitLab");
        assert!(!value.contains([' ', '$', '\r']), "GitLab would change `{value}`");
        (key.to_owned(), value.to_owned())
    });
    pairs.collect()
}

#[test]
fn the_workspace_is_the_projects_directory() {
    for value in ["true", "false"] {
        // gitlab-ci-local says `false`; the variable's presence decides.
        let done = Run::new().gitlab().env("GITLAB_CI", value).seed("app", APP).expect(0);
        assert_eq!(done.room.variables(".env")["API_KEY"], "fake-api-key", "GITLAB_CI={value}");
    }
}

#[test]
fn nothing_is_printed_on_stdout_and_names_are_on_stderr() {
    for run in [Run::new().gitlab(), Run::new().plain()] {
        let done = run.seed("app", APP).expect(0);
        assert_eq!(done.stdout, "");
        done.says(&["API_KEY", "DB_PASSWORD"]);
    }
}

#[test]
fn the_report_holds_the_outputs_and_no_values() {
    let done = Run::new().gitlab().seed("app", APP).input("outputs_file", "envsync.env").expect(0);
    let report = report(&done, "envsync.env");
    let expected = [
        ("ENVSYNC_HAS_CHANGES", "true"),
        ("ENVSYNC_ADDED_KEYS", r#"["API_KEY","DB_PASSWORD"]"#),
        ("ENVSYNC_UPDATED_KEYS", "[]"),
        ("ENVSYNC_REMOVED_KEYS", "[]"),
        ("ENVSYNC_UNCHANGED_KEYS", "[]"),
        ("ENVSYNC_CONFLICT_KEYS", "[]"),
        ("ENVSYNC_ALL_KEYS", r#"["API_KEY","DB_PASSWORD"]"#),
        ("ENVSYNC_SECRET_VERSION", "1"),
        ("ENVSYNC_ENV_FILE_PATH", ".env"), // not ENVSYNC_ENV_FILE, which would be an input of later jobs
    ];
    for (name, value) in expected {
        assert_eq!(report.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert!(report.contains_key("ENVSYNC_HAS_DRIFT"));
    assert_eq!(report.len(), expected.len() + 1, "nothing else, and no value");
}

#[test]
fn the_report_is_written_where_drift_fails_the_job() {
    let run = Run::new().gitlab().seed("app", APP).file(".env", "API_KEY=fake-other-key\n");
    let done = run.input("mode", "check").input("outputs_file", "envsync.env").expect(6);
    assert_eq!(report(&done, "envsync.env")["ENVSYNC_HAS_DRIFT"], "true");
}

#[test]
fn the_report_keeps_several_versions_on_one_line() {
    let run = Run::new().gitlab().seed("one", r#"{"A":"fake-one"}"#).seed("two", r#"{"B":"fake-two"}"#);
    let done = run.input("secret", "one\ntwo").input("outputs_file", "envsync.env").expect(0);
    assert_eq!(report(&done, "envsync.env")["ENVSYNC_SECRET_VERSION"], "1,1");
}

#[test]
fn handing_over_to_later_steps_is_refused_with_the_way_that_works() {
    for input in ["outputs", "export_env"] {
        let name = format!("ENVSYNC_{}", input.to_uppercase());
        for run in [Run::new().gitlab(), Run::new().plain()] {
            let done = run.seed("app", APP).input(input, "true").expect(2);
            let names_it = [name.as_str(), input].iter().any(|n| done.text().contains(n));
            assert!(names_it, "`{input}` is not named:\n{}", done.text());
            assert_eq!(done.room.read(".env"), None, "nothing is written");
        }
    }
}

#[test]
fn inputs_are_named_as_the_environment_writes_them() {
    let done = Run::new().gitlab().input("provider", "").input("mode", "nonsense").expect(2);
    done.says(&["ENVSYNC_PROVIDER", "ENVSYNC_MODE", "nothing was changed", "help: "]);
}

#[test]
fn an_unknown_variable_is_a_warning_with_a_guess() {
    let done = Run::new().plain().seed("app", APP).env("ENVSYNC_ENV_FIEL", "other.env").expect(0);
    done.says(&["ENVSYNC_ENV_FIEL", "ENVSYNC_ENV_FILE"]);
}

#[test]
fn github_inputs_win_over_the_jobs_own() {
    let run = Run::new().github().seed("app", APP).env("ENVSYNC_ENV_FILE", "job.env").env("ENVSYNC_CASE", "upper");
    let done = run.input("env_file", "step.env").expect(0);
    assert!(done.room.read("step.env").is_some() && done.room.read("job.env").is_none());
}

#[test]
fn blank_is_unset_everywhere() {
    let room = Room::new();
    room.seed("app", APP);
    let run = room.run().plain().input("mode", "  ").input("env_file", "").input("include", "\n");
    let done = run.env("AWS_ACCESS_KEY_ID", "").env("GITHUB_ACTIONS", " ").env("GITLAB_CI", "").expect(0);
    assert_eq!(done.room.variables(".env").len(), 2);
}

#[test]
fn values_are_trimmed() {
    let done = Run::new().plain().seed("app", APP).input("secret", "  app \n").input("env_file", " out.env ").expect(0);
    assert_eq!(done.room.variables("out.env").len(), 2);
}

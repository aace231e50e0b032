//! What later steps and other jobs of a GitHub workflow get from a step, and what the run's page shows.

use serde_json::json;

use super::harness::{META, Room, Run};
use super::runner::{self, command};

const PEM: &str = "-----BEGIN FAKE KEY-----\nfakeline1AAAAAAAA\nfakeline2BBBBBBBB\n}\n-----END FAKE KEY-----\n";

fn app() -> String {
    json!({"API_KEY": "fake-api-key", "DB": {"PASSWORD": "fake-db-password"}, "TLS_KEY": PEM, "PORT": 5432}).to_string()
}

#[test]
fn a_pull_hands_the_variables_to_file_outputs_and_environment() {
    let done = Run::new().github().seed("app", &app()).input("outputs", "true").input("export_env", "true").expect(0);
    let expected =
        [("API_KEY", "fake-api-key"), ("DB_PASSWORD", "fake-db-password"), ("TLS_KEY", PEM), ("PORT", "5432")];
    for (name, value) in expected {
        done.output(name, value);
        assert_eq!(done.env.get(name).map(String::as_str), Some(value), "{name} in the environment");
        assert_eq!(done.room.variables(".env").get(name).map(String::as_str), Some(value), "{name} in the file");
    }
    assert_eq!(done.env.len(), expected.len(), "nothing else is exported");
    assert_eq!(done.outputs.len(), expected.len() + META.len());
}

#[test]
fn values_are_handed_over_only_on_request() {
    let done = Run::new().github().seed("app", &app()).expect(0);
    assert_eq!(done.outputs.len(), META.len());
    assert!(done.env.is_empty());
    assert_eq!(done.state.into_iter().collect::<Vec<_>>(), [("envsync_file".to_owned(), ".env".to_owned())]);
}

#[test]
fn the_outputs_without_values_say_what_happened() {
    let room = Room::new();
    room.seed("app", r#"{"B_KEY":"fake-value-b","A_KEY":"fake-value-a"}"#);
    let first = room.run().github().expect(0);
    first.output("has-changes", "true").output("secret-version", "1").output("env-file", ".env");
    first.output("added-keys", r#"["B_KEY","A_KEY"]"#).output("all-keys", r#"["B_KEY","A_KEY"]"#);
    for none in ["updated-keys", "removed-keys", "unchanged-keys", "conflict-keys"] {
        first.output(none, "[]");
    }
    room.seed("app", r#"{"B_KEY":"fake-value-b2","C_KEY":"fake-value-c"}"#);
    let second = room.run().github().expect(0);
    second.output("has-changes", "true").output("secret-version", "2");
    second.output("added-keys", r#"["C_KEY"]"#).output("updated-keys", r#"["B_KEY"]"#);
    second.output("unchanged-keys", r#"["A_KEY"]"#).output("removed-keys", "[]");
    let third = room.run().github().expect(0);
    third.output("has-changes", "false").output("added-keys", "[]").output("updated-keys", "[]");
    assert_eq!(third.keys("unchanged-keys").len(), 3);
}

#[test]
fn the_env_file_output_is_relative_to_the_workspace() {
    let room = Room::new();
    std::fs::create_dir(room.path("deploy")).unwrap();
    room.seed("app", &app());
    let absolute = room.path("deploy/app.env");
    let asked = ["deploy/app.env", "./deploy/../deploy/app.env", absolute.to_str().unwrap()];
    for asked in asked {
        room.run().github().input("env_file", asked).expect(0).output("env-file", "deploy/app.env");
    }
    let done = room.run().github().input("env_file", "false").input("outputs", "true").expect(0);
    done.output("env-file", "").output("API_KEY", "fake-api-key");
}

#[test]
fn several_secrets_give_a_version_a_line() {
    let run = Run::new().github().seed("one", r#"{"A":"fake-one"}"#).seed("two", r#"{"B":"fake-two"}"#);
    let done = run.seed("two", r#"{"B":"fake-two-2"}"#).input("secret", "one\ntwo\n").expect(0);
    done.output("secret-version", "1\n2").output("all-keys", r#"["A","B"]"#);
}

#[test]
fn masks_come_before_anything_else() {
    let done = Run::new().github().seed("app", &app()).input("outputs", "true").expect(0);
    let lines = runner::lines(done.stdout.as_bytes());
    let is_mask = |line: &String| command::parse(line, None).is_some_and(|c| c.name == "add-mask");
    let last_mask = lines.iter().rposition(is_mask).expect("masks are given");
    let first_name = lines.iter().position(|line| line.contains("API_KEY")).expect("the plan is shown");
    assert!(last_mask < first_name, "a mask comes after the plan:\n{}", done.stdout);
}

#[test]
fn every_line_of_a_value_is_a_mask_and_short_ones_are_not() {
    let done = Run::new().github().seed("app", &app()).expect(0);
    for line in ["fake-api-key", "fake-db-password", "fakeline1AAAAAAAA", "fakeline2BBBBBBBB", "-----END FAKE KEY-----"]
    {
        assert!(done.masks.contains(line), "no mask for `{line}`");
    }
    assert!(done.masks.iter().all(|mask| mask.chars().count() >= 4), "a short mask shreds the log: {:?}", done.masks);
    assert!(done.masks.iter().all(|mask| !mask.contains(['\n', '\r'])), "a mask is one line");
}

#[test]
fn encoded_and_nested_forms_are_masked_too() {
    let inner = r#"{"user":"u","password":"fake-inner-password"}"#;
    let url = "postgres://user:fake%2Durl%2Dpassword@db/x";
    let payload = json!({"CONFIG": inner, "URL": url, "TLS_KEY": PEM}).to_string();
    let done = Run::new().github().seed("app", &payload).expect(0);
    for mask in ["fake-inner-password", "fake%2Durl%2Dpassword", "fake-url-password"] {
        assert!(done.masks.contains(mask), "no mask for `{mask}`");
    }
    let mut masker = runner::mask::Masker::default();
    done.masks.iter().for_each(|mask| masker.add(mask));
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, PEM);
    assert!(masker.mask(&base64).starts_with("***"), "the whole file in base64 is not masked");
}

#[test]
fn short_and_trivial_values_are_not_masked_and_a_warning_names_them() {
    let payload =
        json!({"PIN": "123", "FLAG": "TRUE", "NOTHING": "null", "EMPTY": "", "API_KEY": "fake-api-key"}).to_string();
    let done = Run::new().github().seed("app", &payload).expect(0);
    assert_eq!(done.masks.iter().collect::<Vec<_>>(), ["fake-api-key"]);
    let warnings = done.annotations_of("warning");
    let about: Vec<_> = warnings.iter().filter(|w| w.message.contains("PIN")).collect();
    assert_eq!(about.len(), 1, "one warning for all of them");
    assert!(about[0].message.contains("FLAG") && about[0].message.contains("NOTHING"));
    assert!(!about[0].message.contains("API_KEY") && !about[0].message.contains("EMPTY"));
}

#[test]
fn min_mask_length_moves_the_border() {
    let run = |length: &str| Run::new().github().seed("app", r#"{"PIN":"12345"}"#).input("min_mask_length", length);
    assert!(run("5").expect(0).masks.contains("12345"));
    let done = run("6").expect(0);
    assert!(done.masks.is_empty());
    assert!(done.annotations_of("warning").iter().any(|w| w.message.contains("PIN")));
}

#[test]
fn unmasked_keys_are_left_alone() {
    let payload = json!({"LOG_LEVEL": "debug-verbose", "HTTP_PORT": "18080", "API_KEY": "fake-api-key"}).to_string();
    let done = Run::new().github().seed("app", &payload).input("unmasked_keys", "LOG_LEVEL, *_PORT").expect(0);
    assert_eq!(done.masks.iter().collect::<Vec<_>>(), ["fake-api-key"]);
    assert!(done.annotations_of("warning").is_empty(), "what is meant needs no warning");
}

#[test]
fn job_outputs_survive_and_values_do_not_leave_the_job() {
    let payload = json!({"FLAG": "true", "ONE": "1", "LIST": "[]", "API_KEY": "fake-api-key"}).to_string();
    let done = Run::new().github().seed("app", &payload).input("outputs", "true").expect(0);
    for name in META {
        assert!(done.job_outputs.contains_key(name), "the job output `{name}` is dropped: {:?}", done.dropped);
    }
    assert!(!done.job_outputs.contains_key("API_KEY"));
}

#[test]
fn a_value_that_hides_an_output_is_warned_of() {
    let done = Run::new().github().seed("app", r#"{"FILE_NAME":".env"}"#).expect(0);
    assert!(!done.job_outputs.contains_key("env-file"), "the runner drops it: it is the value");
    assert!(done.annotations_of("warning").iter().any(|w| w.message.contains("env-file")), "{}", done.log);
}

#[test]
fn the_summary_shows_names_and_changes_and_no_value() {
    let done = Run::new().github().seed("app", &app()).expect(0);
    for part in ["API_KEY", "DB_PASSWORD", "add"] {
        assert!(done.summary.contains(part), "`{part}` is not in the summary:\n{}", done.summary);
    }
}

#[test]
fn of_several_secrets_the_summary_says_which_gave_what() {
    let run = Run::new().github().seed("app", &app()).seed("stripe", r#"{"live":{"key":"fake-stripe-key"}}"#);
    let run = run.seed("prod/app/TOKEN_A", "fake-token-value").file(".env", "OWN=fake-own-value\n");
    let done = run.input("secret", "app\nSTRIPE_KEY = stripe#live.key\nprod/app/*").expect(0);
    for row in [
        "| `API_KEY` | added | `app` |",
        "| `STRIPE_KEY` | added | `stripe#live.key` |",
        "| `TOKEN_A` | added | `prod/app/TOKEN_A` |",
        "| `OWN` | unchanged | – |",
    ] {
        assert!(done.summary.contains(row), "`{row}` is not in the summary:\n{}", done.summary);
    }
}

#[test]
fn a_failed_run_has_a_page_too() {
    let done = Run::new().github().input("secret", "nowhere").expect(5);
    let expected =
        "### envsync failed: not found\n\nNothing was changed.\n\n- the secret `nowhere` does not exist\n\n  help: ";
    assert!(done.summary.starts_with(expected), "{}", done.summary);
    let done = Run::new().github().input("mode", "nonsense").expect(2);
    assert!(done.summary.contains("`with: mode` is `nonsense`"), "{}", done.summary);
    // Where the plan is there already, it says more.
    let room = Room::new();
    room.seed("app", r#"{"A":"fake-value-a"}"#).file(".env", "A=fake-value-b\n");
    let done = room.run().github().input("mode", "check").expect(6);
    assert_eq!(done.summary.matches("### ").count(), 1, "{}", done.summary);
    assert!(done.summary.contains("| `A` | different |"), "{}", done.summary);
}

#[test]
fn inline_content_is_masked_before_anything_is_printed() {
    let content = "API_KEY=fake-inline-value\nOTHER=fake-other-value\n";
    let run = Run::new().github().input("mode", "push").input("content", content);
    let done = run.secret_value("fake-inline-value").secret_value("fake-other-value").expect(0);
    let first = runner::lines(done.stdout.as_bytes()).into_iter().next().unwrap();
    assert!(first.starts_with("::add-mask::"), "the first line is `{first}`");
    assert!(done.masks.contains("fake-inline-value") && done.masks.contains("fake-other-value"));
}

#[test]
fn credentials_in_the_environment_are_masked_whatever_the_provider() {
    let run = Run::new().github().seed("app", &app()).env("AWS_SECRET_ACCESS_KEY", "fake-aws-secret-key");
    let done = run.secret_value("fake-aws-secret-key").expect(0);
    assert!(done.masks.contains("fake-aws-secret-key"));
}

#[test]
fn an_error_is_an_annotation_with_a_help_line() {
    let done = Run::new().github().input("secret", "nowhere").expect(5);
    let errors = done.annotations_of("error");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].message.contains("nowhere"), "the object is named: {}", errors[0].message);
    assert!(errors[0].message.contains("help: "), "the fix is named: {}", errors[0].message);
    done.says(&["nothing was changed"]);
    assert_eq!(done.room.read(".env"), None);
}

#[test]
fn drift_is_an_output_even_where_it_fails_the_step() {
    let room = Room::new();
    room.seed("app", r#"{"A":"fake-value-a"}"#).file(".env", "A=fake-value-b\n");
    let done = room.run().github().input("mode", "check").expect(6);
    done.output("has-drift", "true").output("updated-keys", r#"["A"]"#).output("has-changes", "false");
    let done = room.run().github().input("mode", "check").input("fail_on_drift", "false").expect(0);
    done.output("has-drift", "true");
}

#[test]
fn a_variable_named_like_an_output_hides_none() {
    let payload = r#"{"HAS_CHANGES":"fake-value-1","VERSION":"fake-value-2","SECRET_VERSION":"fake-value-3"}"#;
    let done = Run::new().github().seed("app", payload).input("outputs", "true").expect(0);
    done.output("has-changes", "true").output("secret-version", "1").output("SECRET_VERSION", "fake-value-3");
}

#[test]
fn names_that_differ_only_in_case_cannot_both_be_outputs() {
    let seeded = || Run::new().github().seed("app", r#"{"Token":"fake-value-1","TOKEN":"fake-value-2"}"#);
    let done = seeded().input("outputs", "true").expect(2);
    done.says(&["Token", "TOKEN"]);
    assert_eq!(done.room.read(".env"), None, "nothing is written");
    assert!(done.env.is_empty() && !done.outputs.contains_key("Token"));
    assert_eq!(seeded().expect(0).room.variables(".env").len(), 2, "a file may hold both");
}

#[test]
fn a_missing_command_file_is_found_before_anything_is_written() {
    let run = Run::new().github().seed("app", &app()).input("outputs", "true").env("GITHUB_OUTPUT", "");
    let done = run.expect(2);
    done.says(&["GITHUB_OUTPUT"]);
    assert_eq!(done.room.read(".env"), None);
}

#[test]
fn inputs_are_named_as_the_workflow_writes_them() {
    let done =
        Run::new().github().input("provider", "").input("mode", "nonsense").input("max_deletes", "many").expect(2);
    done.says(&["with: provider", "with: mode", "with: max_deletes"]);
}

#[test]
fn inputs_with_a_dash_are_accepted() {
    let run = Run::new().github().seed("app", &app()).input("env-file", "other.env");
    run.expect(0).output("env-file", "other.env");
}

/// The page is an extra: what was written stays written, and the job goes on.
#[test]
fn a_summary_that_cannot_be_written_is_a_warning() {
    let room = Room::new();
    room.seed("app", r#"{"API_KEY":"fake-api-key"}"#);
    let done = room.run().github().env("GITHUB_STEP_SUMMARY", "/dev/full").expect(0);
    done.says(&["/dev/full"]);
    assert_eq!(room.variables(".env")["API_KEY"], "fake-api-key");
}

//! The modes `pull`, `push` and `check` on the local store, and their guards.

use std::collections::BTreeMap;

use serde_json::json;

use super::harness::Room;

const APP: &str = r#"{"API_KEY":"fake-api-key","DB_PASSWORD":"fake-db-password"}"#;

fn names(map: &BTreeMap<String, String>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

fn many(prefix: &str, count: usize) -> String {
    (0..count).map(|n| format!("{prefix}{n}=fake-value-{n}\n")).collect()
}

#[test]
fn a_first_push_creates_the_secret_and_a_pull_brings_it_back() {
    let room = Room::new();
    room.file(".env", "# a comment\nAPI_KEY=fake-api-key\nTEXT=\"fake two\nlines\"\n");
    room.run().plain().input("mode", "push").expect(0).says(&["API_KEY", "TEXT"]);
    assert_eq!(room.json("app"), json!({"API_KEY": "fake-api-key", "TEXT": "fake two\nlines"}));
    room.run().plain().input("env_file", "back.env").expect(0);
    assert_eq!(room.variables("back.env"), room.variables(".env"));
}

#[test]
fn the_default_store_is_a_directory_of_the_workspace() {
    let room = Room::new();
    room.file(".env", "API_KEY=fake-api-key\n");
    room.run().plain().input("mode", "push").input("local_store", "").input("secret", "").expect(0);
    assert!(room.read(".envsync/envsync-secrets/1.json").is_some_and(|text| text.contains("fake-api-key")));
}

#[test]
fn a_push_without_a_change_makes_no_version() {
    let room = Room::new();
    let push = |text: &str| {
        room.file(".env", text);
        room.run().github().input("mode", "push").expect(0)
    };
    push("A=fake-value-a\nB=fake-value-b\n").output("secret-version", "1").output("has-changes", "true");
    push("B=fake-value-b\nA='fake-value-a' # moved\n").output("secret-version", "1").output("has-changes", "false");
    assert_eq!(room.versions("app").len(), 1);
    push("A=fake-value-2\nB=fake-value-b\n").output("secret-version", "2").output("updated-keys", r#"["A"]"#);
    assert_eq!(room.versions("app").len(), 2);
}

#[test]
fn a_pull_without_a_change_does_not_touch_the_file() {
    let room = Room::new();
    room.seed("app", APP);
    room.run().plain().expect(0);
    let stamp = || std::fs::metadata(room.path(".env")).unwrap();
    let (before, text) = (stamp(), room.read(".env"));
    room.run().plain().expect(0);
    use std::os::unix::fs::MetadataExt as _;
    assert_eq!((before.ino(), before.modified().unwrap()), (stamp().ino(), stamp().modified().unwrap()));
    assert_eq!(room.read(".env"), text);
}

#[test]
fn what_only_the_receiver_has_stays() {
    let room = Room::new();
    room.seed("app", APP).file(".env", "MINE=fake-my-own\nAPI_KEY=fake-old-key\n");
    room.run().plain().expect(0);
    assert_eq!(names(&room.variables(".env")), ["API_KEY", "DB_PASSWORD", "MINE"]);
    room.file(".env", "EXTRA=fake-extra-value\n");
    room.run().plain().input("mode", "push").expect(0);
    assert_eq!(room.json("app")["API_KEY"], "fake-api-key");
    assert_eq!(room.json("app")["EXTRA"], "fake-extra-value");
}

#[test]
fn untouched_members_of_a_document_keep_their_bytes() {
    let room = Room::new();
    let payload = "{\n  \"N\": 1.10, \"BIG\": 12345678901234567890,\n  \"E\":1e400,\"IN\": { \"B\" : true },\n  \"S\": \"fake-value-s\"\n}\n";
    room.seed("app", payload).file(".env", "S=fake-value-2\nN=1.20\nIN_B=false\nNEW=fake-value-new\n");
    room.run().plain().input("mode", "push").expect(0);
    let now = room.versions("app").pop().unwrap();
    for kept in ["\"BIG\": 12345678901234567890,\n", "\"E\":1e400,", "\"N\": 1.20,", "{ \"B\" : false }"] {
        assert!(now.contains(kept), "`{kept}` is not in {now}");
    }
    let position = |text: &str| now.find(text).unwrap_or_else(|| panic!("no `{text}` in {now}"));
    assert!(position("NEW") > position("fake-value-2"), "a new member comes last");
}

#[test]
fn check_finds_drift_in_both_directions_and_writes_nothing() {
    let room = Room::new();
    room.seed("app", APP).file(".env", "API_KEY=fake-api-key\nMINE=fake-my-own\n");
    let before = room.read(".env");
    let check = || room.run().github().input("mode", "check");
    let done = check().expect(6);
    done.output("has-drift", "true").output("unchanged-keys", r#"["API_KEY"]"#).says(&["DB_PASSWORD", "MINE"]);
    check().input("fail_on_drift", "false").expect(0).output("has-drift", "true");
    check().input("exclude", "DB_*,MINE").expect(0).output("has-drift", "false");
    assert_eq!((room.read(".env"), room.versions("app").len()), (before, 1));
    room.file(".env", "DB_PASSWORD='fake-db-password'\nexport API_KEY=\"fake-api-key\"\n");
    check().expect(0).output("has-drift", "false").output("has-changes", "false");
}

#[test]
fn a_dry_run_says_what_would_happen_and_writes_nothing() {
    let room = Room::new();
    room.seed("app", APP);
    let dry = |mode: &str| room.run().github().input("mode", mode).input("dry_run", "true");
    let done = dry("pull").input("outputs", "true").input("export_env", "true").expect(0);
    done.output("added-keys", r#"["API_KEY","DB_PASSWORD"]"#);
    assert_eq!(room.read(".env"), None);
    assert!(done.env.is_empty() && !done.outputs.contains_key("API_KEY"), "handing over is writing too");
    room.file(".env", "NEW=fake-new-value\n");
    dry("push").expect(0).output("added-keys", r#"["NEW"]"#);
    dry("push").input("secret", "other").expect(0);
    assert_eq!((room.versions("app").len(), room.versions("other").len()), (1, 0));
}

#[test]
fn deletion_is_asked_for_and_guarded() {
    let room = Room::new();
    room.seed("app", APP).file(".env", format!("{}API_KEY=fake-api-key\n", many("OLD_", 11)));
    let delete = || room.run().github().input("delete", "true");
    let before = room.read(".env");
    delete().expect(6).says(&["max_deletes", "11"]);
    assert_eq!(room.read(".env"), before, "a refused deletion writes nothing at all");
    let done = delete().input("max_deletes", "11").expect(0);
    assert_eq!(done.keys("removed-keys").len(), 11);
    assert_eq!(names(&room.variables(".env")), ["API_KEY", "DB_PASSWORD"]);
}

#[test]
fn an_empty_giver_deletes_nothing() {
    let room = Room::new();
    room.seed("app", "{}").file(".env", "A=fake-value-a\n");
    room.run().plain().input("delete", "true").expect(6);
    assert_eq!(room.variables(".env").len(), 1);
    room.seed("full", APP).file("empty.env", "# nothing\n");
    let push = room.run().plain().input("mode", "push").input("secret", "full").input("env_file", "empty.env");
    push.input("delete", "true").expect(6);
    assert_eq!(room.versions("full").len(), 1);
}

#[test]
fn a_push_deletes_members_only_on_request_and_in_bounds() {
    let room = Room::new();
    room.seed("app", r#"{"A":"fake-value-a","B":"fake-value-b","C":"fake-value-c"}"#).file(".env", "A=fake-value-a\n");
    let push = |delete: &str| room.run().plain().input("mode", "push").input("delete", delete).input("exclude", "C");
    push("false").expect(0);
    assert_eq!(room.versions("app").len(), 1);
    push("true").expect(0);
    assert_eq!(room.json("app"), json!({"A": "fake-value-a", "C": "fake-value-c"}));
}

#[test]
fn what_is_not_there_is_named() {
    let room = Room::new();
    for mode in ["push", "check"] {
        room.seed("app", APP);
        room.run().plain().input("mode", mode).input("env_file", "gone.env").expect(5).says(&["gone.env"]);
    }
    room.file(".env", "A=fake-value-a\n");
    for mode in ["pull", "check"] {
        room.run().plain().input("mode", mode).input("secret", "gone").expect(5).says(&["gone", "help: "]);
    }
    let uncreated = room.run().plain().input("mode", "push").input("secret", "gone").input("create", "false");
    uncreated.expect(5).says(&["gone"]);
    assert!(room.versions("gone").is_empty());
}

#[test]
fn a_broken_line_is_named_by_number_and_not_shown() {
    let room = Room::new();
    room.seed("app", APP).file(".env", "A=fake-value-a\n");
    std::fs::write(room.path(".env"), "A=fake-value-a\nfake-broken-line\nB='fake-open\n").unwrap();
    room.secret_value("fake-broken-line").secret_value("fake-open");
    for mode in ["pull", "push", "check"] {
        room.run().plain().input("mode", mode).expect(2).says(&[".env", "2"]);
    }
    assert_eq!(room.read(".env").unwrap(), "A=fake-value-a\nfake-broken-line\nB='fake-open\n");
    assert_eq!(room.versions("app").len(), 1);
}

#[test]
fn pushes_at_the_same_time_lose_nothing() {
    let room = Room::new();
    room.seed("app", r#"{"SHARED":"fake-shared"}"#);
    let runs: Vec<_> = (0..8)
        .map(|n| {
            room.file(&format!("{n}.env"), format!("KEY_{n}=fake-value-{n}\n"));
            // Not by `expect`: what it asserts of the workspace does not hold while others write.
            let (mut command, _) =
                room.run().plain().input("mode", "push").input("env_file", &format!("{n}.env")).command();
            std::thread::spawn(move || command.output().unwrap())
        })
        .collect();
    for run in runs {
        let output = run.join().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(room.json("app").as_object().unwrap().len(), 9);
    assert_eq!(room.versions("app").len(), 9);
}

#[test]
fn pulls_into_one_file_at_the_same_time_lose_nothing() {
    let room = Room::new();
    room.file(".env", "MINE=fake-my-own\n");
    let runs: Vec<_> = (0..8)
        .map(|n| {
            let secret = format!("app{n}");
            room.seed(&secret, &format!(r#"{{"KEY_{n}":"fake-value-{n}"}}"#));
            // Not by `expect`: what it asserts of the workspace does not hold while others write.
            let (mut command, _) = room.run().plain().input("secret", &secret).command();
            std::thread::spawn(move || command.output().unwrap())
        })
        .collect();
    for run in runs {
        let output = run.join().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(room.variables(".env").len(), 9);
}

#[test]
fn a_pull_of_nothing_is_an_error_and_no_file() {
    let room = Room::new();
    room.seed("app", "{}");
    room.run().plain().expect(2).says(&["nothing to pull"]);
    room.seed("other", APP);
    room.run().plain().input("secret", "other").input("include", "NOTHING_*").expect(2);
    assert_eq!(room.read(".env"), None);
}

#[test]
fn without_the_protection_the_log_says_so() {
    let room = Room::new();
    room.file(".env", "API_KEY=fake-api-key\n");
    room.run().plain().input("mode", "push").input("concurrency", "none").expect(0).says(&["concurrency: none"]);
    assert_eq!(room.versions("app").len(), 1);
}

#[test]
fn of_members_that_meet_the_last_one_counts_on_request() {
    let room = Room::new();
    let meeting = r#"{"A":{"B":"fake-first"},"A_B":"fake-second"}"#;
    room.seed("app", meeting).file(".env", "A_B=fake-third-one\nNEW=fake-new-one\n");
    room.run().plain().input("mode", "push").expect(2).says(&["A_B"]);
    room.run().plain().input("mode", "push").input("on_collision", "last").expect(0);
    assert_eq!(room.json("app")["A_B"], "fake-third-one");
    room.run().plain().input("env_file", "back.env").input("on_collision", "last").expect(0);
    assert_eq!(room.variables("back.env"), room.variables(".env"));
    let content = r#"{"A":{"B":"fake-first"},"A_B":"fake-fourth"}"#;
    let push = || room.run().plain().input("mode", "push").input("secret", "two").input("content", content);
    push().expect(2);
    push().input("on_collision", "last").expect(0);
    assert_eq!(room.json("two")["A_B"], "fake-fourth");
}

#[test]
fn a_dry_run_refuses_what_the_push_would_refuse() {
    let room = Room::new();
    room.file(".env", "API_KEY=fake-api-key\n");
    for dry in ["true", "false"] {
        let push = room.run().plain().input("mode", "push").input("create", "false").input("dry_run", dry);
        push.expect(5).says(&["does not exist"]);
    }
    assert_eq!(room.read("store/app/1.json"), None);
}

#[test]
fn a_name_that_no_directory_can_have_is_refused_by_its_name() {
    let room = Room::new();
    let long = "a/".repeat(100);
    room.file(".env", "API_KEY=fake-api-key\n");
    room.run().plain().input("mode", "push").input("secret", &long).expect(2).says(&["too long", "a/a/a/"]);
}

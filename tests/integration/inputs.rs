//! The inputs that say what is moved: entries, names, globs, inline content, the form of a document.

use std::collections::BTreeMap;

use serde_json::json;

use super::harness::{Room, Run};

const APP: &str = r#"{"API_KEY":"fake-api-key","DB_PASSWORD":"fake-db-password"}"#;

fn names(map: &BTreeMap<String, String>) -> Vec<&str> {
    map.keys().map(String::as_str).collect()
}

#[test]
fn include_and_exclude_bound_everything() {
    let room = Room::new();
    room.seed("app", r#"{"APP_A":"fake-a-value","APP_B":"fake-b-value","OTHER":"fake-o-value"}"#);
    let done =
        room.run().github().input("include", "APP_*\n").input("exclude", "*_B").input("outputs", "true").expect(0);
    assert_eq!(names(&room.variables(".env")), ["APP_A"]);
    done.output("all-keys", r#"["APP_A"]"#);
    assert!(!done.outputs.contains_key("OTHER") && !done.outputs.contains_key("APP_B"));
    room.file(".env", "APP_A=fake-a-value-2\nOTHER=fake-o-value-2\n");
    room.run().plain().input("mode", "push").input("include", "APP_*").expect(0);
    assert_eq!(room.json("app")["APP_A"], "fake-a-value-2");
    assert_eq!(room.json("app")["OTHER"], "fake-o-value");
}

#[test]
fn names_are_shaped_on_pull_and_check() {
    let room = Room::new();
    room.seed("app", r#"{"prod_api_key":"fake-api-key","region":"fake-region-1"}"#);
    let shaped = |mode: &str| {
        let run = room.run().plain().input("mode", mode).input("strip_prefix", "prod_");
        run.input("add_prefix", "my_").input("case", "upper")
    };
    shaped("pull").expect(0);
    assert_eq!(names(&room.variables(".env")), ["MY_API_KEY", "MY_REGION"]);
    shaped("check").expect(0);
    shaped("push").expect(2).says(&["ENVSYNC_STRIP_PREFIX", "ENVSYNC_ADD_PREFIX", "ENVSYNC_CASE"]);
    let included = room.run().plain().input("strip_prefix", "prod_").input("include", "api_key");
    included.input("env_file", "shaped.env").expect(0);
    assert_eq!(names(&room.variables("shaped.env")), ["api_key"], "globs see the name as the file has it");
}

#[test]
fn missing_required_names_fail_before_anything_is_written() {
    let room = Room::new();
    room.seed("app", APP).file(".env.example", "API_KEY=\nFROM_TEMPLATE=\n");
    let run = || room.run().github().input("outputs", "true");
    let done = run().input("required_keys", "API_KEY, GONE\nAWAY").expect(5);
    done.says(&["GONE", "AWAY"]);
    assert!(!done.outputs.contains_key("API_KEY"));
    run().input("template", ".env.example").expect(5).says(&["FROM_TEMPLATE"]);
    assert_eq!(room.read(".env"), None);
    run().input("required_keys", "API_KEY,DB_PASSWORD").expect(0);
}

#[test]
fn collisions_are_refused_with_both_names() {
    let room = Room::new();
    room.seed("one", r#"{"A":"fake-one-a"}"#).seed("two", r#"{"A":"fake-two-a","B":"fake-two-b"}"#);
    let run = || room.run().plain().input("secret", "one\ntwo");
    run().expect(2).says(&["one", "two", "`A`"]);
    assert_eq!(room.read(".env"), None);
    run().input("on_collision", "last").expect(0);
    assert_eq!(room.variables(".env")["A"], "fake-two-a");
    room.seed("nested", r#"{"A":{"B":"fake-inner"},"A_B":"fake-outer"}"#);
    room.run().plain().input("secret", "nested").expect(2).says(&["A_B"]);
    room.run().plain().input("secret", "nested").input("flatten_separator", "__").expect(0);
    assert_eq!(room.variables(".env")["A__B"], "fake-inner");
}

#[test]
fn content_is_pushed_in_place_of_a_file() {
    let room = Room::new();
    let push = |secret: &str, content: &str| {
        let run = room.run().github().input("mode", "push").input("secret", secret);
        run.input("content", content).secret_value("fake-content-a").expect(0)
    };
    push("text", "A=fake-content-a\n# comment\nB='fake content b'\n");
    assert_eq!(room.json("text"), json!({"A": "fake-content-a", "B": "fake content b"}));
    push("json", r#"{"A":"fake-content-a","github_token":"fake-github-token"}"#);
    assert_eq!(room.json("json"), json!({"A": "fake-content-a"}), "the job's own token is left out");
    assert_eq!(room.read(".env"), None);
}

#[test]
fn content_is_for_push_only() {
    let done = Run::new().plain().seed("app", APP).input("content", "A=fake-content-a").expect(2);
    done.says(&["ENVSYNC_CONTENT"]);
}

#[test]
fn a_document_can_be_dotenv_text() {
    let room = Room::new();
    room.file(".env", "A=fake-value-a\nB=\"fake two\nlines\"\n");
    room.run().plain().input("mode", "push").input("format", "dotenv").expect(0);
    let text = room.versions("app").pop().unwrap();
    assert!(text.starts_with("A=fake-value-a\n"), "{text}");
    room.run().plain().input("env_file", "back.env").expect(0);
    assert_eq!(room.variables("back.env"), room.variables(".env"));
    room.file(".env", "A=fake-value-2\n");
    room.run().plain().input("mode", "push").expect(0);
    assert!(room.versions("app").pop().unwrap().starts_with("A=fake-value-2\n"), "it stays what it was");
}

#[test]
fn env_file_false_is_for_a_pull_that_hands_something_over() {
    let room = Room::new();
    room.seed("app", APP);
    let run = || room.run().github().input("env_file", "false");
    run().expect(2).says(&["with: env_file"]);
    run().input("outputs", "true").expect(0).output("API_KEY", "fake-api-key");
    run().input("export_env", "true").expect(0);
    run().input("mode", "push").expect(2);
    run().input("mode", "check").expect(2);
    assert!(room.read(".env").is_none() && room.read("false").is_none());
}

#[test]
fn entries_name_pick_and_pin() {
    let room = Room::new();
    room.seed("plain", "fake-plain-value\n").seed("doc", r#"{"a":{"b":"fake-member-old"}}"#);
    room.seed("doc", r#"{"a":{"b":"fake-member-new"},"list":["fake-first","fake-second"],"n":1.10}"#);
    let entries = "PLAIN = plain\nNEW = doc#a.b\nOLD=doc?version=1#a.b\nNUMBER = doc#n\nLIST = doc#list\n# comment\n";
    let done = room.run().github().input("secret", entries).expect(0);
    let file = room.variables(".env");
    assert_eq!(file["NEW"], "fake-member-new");
    assert_eq!(file["OLD"], "fake-member-old");
    assert_eq!(file["NUMBER"], "1.10");
    assert_eq!(file["LIST"], r#"["fake-first","fake-second"]"#);
    assert!(file["PLAIN"].starts_with("fake-plain-value"));
    done.output("secret-version", "1\n2\n1"); // one a secret: plain, doc, and doc in its version 1
    let missing = room.run().plain().input("secret", "X = doc#a.gone").expect(5);
    missing.says(&["a.gone", "the member names of `doc`"]);
    room.run().plain().input("secret", "X = plain#a").expect(2).says(&["of it: `NAME = plain`"]);
    room.run().plain().input("secret", "doc?version=9").expect(5).says(&["9"]);
}

#[test]
fn a_secret_that_is_no_document_needs_a_name() {
    let room = Room::new();
    room.seed("plain", "fake plain value without form");
    room.run().plain().input("secret", "plain").expect(2).says(&["plain", "NAME = plain"]);
    for payload in ["[1,2]", "\"fake-json-text\"", "{\"A\":", "{\"A\":\"fake-1\",\"A\":\"fake-2\"}"] {
        room.seed("broken", payload);
        room.run().plain().input("secret", "broken").expect(2).says(&["broken"]);
    }
    assert_eq!(room.read(".env"), None);
}

#[test]
fn only_a_whole_document_can_be_pushed() {
    let room = Room::new();
    room.seed("app", APP).seed("two", APP).file(".env", "A=fake-value-a\n");
    for entries in ["X = app", "app#API_KEY", "app?version=1", "app\ntwo"] {
        room.run().plain().input("mode", "push").input("secret", entries).expect(2).says(&["ENVSYNC_SECRET"]);
    }
    assert_eq!(room.versions("app").len(), 1);
}

#[test]
fn nothing_touches_the_versions_of_the_local_store() {
    let room = Room::new();
    room.seed("app", r#"{"API_KEY":"fake-api-key"}"#).file("ca.pem", "fake\n");
    let version = "store/app/1.json";
    for (input, mode) in
        [("outputs_file", "check"), ("outputs_file", "push"), ("env_file", "pull"), ("template", "pull")]
    {
        room.file(".env", "API_KEY=fake-api-new\n");
        room.run().plain().input("mode", mode).input(input, version).expect(2).says(&["local store"]);
    }
    room.run().plain().input("outputs_file", "ca.pem").expect(2).says(&["ca.pem", "something else"]);
    assert_eq!(room.json("app"), serde_json::json!({"API_KEY": "fake-api-key"}));
    assert_eq!(room.versions("app").len(), 1);
}

#[test]
fn credentials_and_endpoints_are_never_shown_and_never_a_panic() {
    let rows = [
        ("AWS_ACCESS_KEY_ID", "AKIA\nFAKE"),
        ("AWS_ACCESS_KEY_ID", "AKIA\u{1}FAKE"),
        ("AWS_SESSION_TOKEN", "fake-token\nfake-line"),
        ("AWS_SECRET_ACCESS_KEY", "fake secret"),
        ("AWS_ENDPOINT_URL", "https://u:fake-endpoint-pw@h/?q"),
        ("AWS_ENDPOINT_URL", "http://u:fake-endpoint-pw@127.0.0.1:1"),
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:99999"),
        ("AWS_REGION", "-"),
    ];
    for (name, value) in rows {
        let run = Run::new().plain().input("provider", "aws").env("AWS_REGION", "eu-central-1");
        let run = run.env("AWS_ACCESS_KEY_ID", "AKIAFAKE").env("AWS_SECRET_ACCESS_KEY", "fake-secret-key");
        let done = run.env(name, value).expect(2);
        done.says(&[name]);
        assert!(!done.text().contains("fake-endpoint-pw") && !done.text().contains("fake-line"), "{}", done.text());
    }
}

#[test]
fn a_bomb_of_a_glob_is_refused() {
    let bomb = format!("{}a{}", "{".repeat(20_000), "}".repeat(20_000));
    Run::new().plain().seed("app", r#"{"A":"fake-value-a"}"#).input("include", &bomb).expect(2).says(&["1,000"]);
}

#[test]
fn the_end_of_a_wrapped_value_is_not_shown_as_a_name() {
    let room = Room::new();
    room.file(".env", "KEY=aGVsbG8gd29ybGQ\naGVsbG9zZWNyZXQ=\n");
    let done = room.run().plain().input("mode", "push").expect(2);
    done.says(&["line 2"]);
    assert!(!done.text().contains("aGVsbG9zZWNyZXQ"), "{}", done.text());
    assert_eq!(room.read("store/app/1.json"), None);
}

#[test]
fn a_ca_file_that_is_broken_is_named() {
    let broken = "-----BEGIN CERTIFICATE-----\nZmFrZQ==\n-----END CERTIFICATE-----\n";
    for text in [broken, "no certificate at all\n"] {
        let run = Run::new().plain().file("bad.pem", text).input("ca_file", "bad.pem").input("provider", "aws");
        let run = run.env("AWS_REGION", "eu-central-1").env("AWS_ACCESS_KEY_ID", "AKIAFAKE");
        run.env("AWS_SECRET_ACCESS_KEY", "fake-secret-key").expect(2).says(&["bad.pem", "certificate"]);
    }
}

#[test]
fn a_proxy_that_cannot_be_used_is_named_and_not_passed_over() {
    let aws = || {
        let run = Run::new().input("provider", "aws").input("aws_region", "eu-central-1");
        run.env("AWS_ACCESS_KEY_ID", "AKIAFAKEFAKEFAKEFAKE").env("AWS_SECRET_ACCESS_KEY", "fake-secret-access-key")
    };
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "ALL_PROXY"] {
        for value in ["socks5://user:hunter2-fake@proxy:1080", "http://user:hunter2-fake#1@proxy:3128", "http:// proxy"]
        {
            let done = aws().env(name, value).expect(2);
            done.says(&[&format!("`{name}` is no URL of a proxy that can be used")]);
            let all = format!("{}{}", done.stdout, done.stderr);
            assert!(!all.contains("hunter2") && !all.contains("user:"), "{all}");
        }
    }
    // Nothing is sent there, so nothing is wrong with it.
    Run::new().seed("app", r#"{"A":"fake-value"}"#).env("HTTPS_PROXY", "socks5://proxy:1080").expect(0);
}

//! Azure Key Vault through the real binary, against the in-process double: what a run asks, what it leaves, and what it
//! says. Faults, lost races, deletion and refusals have rooms of their own.

mod deletion;
mod faults;
mod federated;
mod login;
mod managed;
mod races;
mod refusals;

use std::sync::Arc;

use envsync_doubles::azure::{ACCESS_TOKEN, CLIENT_SECRET, KeyVault, Properties};
use envsync_doubles::{Double, Fault, When};
use serde_json::{Value, json};

use super::harness::{Room, Run, each, nothing_was_changed};

const ONE: &str = r#"{"A":"fake-one-old","B":"fake-two-old"}"#;
/// What a push with a change asks; the first request to a vault of unknown domain is its challenge.
const PUSH: [&str; 6] = ["Challenge", "GetSecret", "ListVersions", "GetSecret", "SetSecret", "ListVersions"];

/// A vault of its own and a workspace; the secret is `app`.
struct Cloud {
    room: Arc<Room>,
    double: Double<KeyVault>,
}

impl Cloud {
    fn empty() -> Self {
        let cloud = Self { room: Room::new(), double: KeyVault::start() };
        cloud.room.secret_value(ACCESS_TOKEN).secret_value(CLIENT_SECRET);
        std::fs::write(cloud.room.path("ca.pem"), cloud.double.ca_pem()).unwrap();
        cloud
    }

    fn holding(payload: &str) -> Self {
        let cloud = Self::empty();
        cloud.seed(payload);
        cloud
    }

    /// A new current version of `app`; no run may show its values.
    fn seed(&self, payload: &str) -> String {
        self.room.secret_values(payload);
        self.double.put("app", payload)
    }

    /// A run without a login.
    fn stranger(&self, mode: &str) -> Run {
        let url = self.double.url();
        let given = [
            ("mode", mode),
            ("provider", "azure"),
            ("local_store", ""),
            ("azure_vault", &url),
            ("azure_authority_host", &url),
            ("ca_file", "ca.pem"),
            ("timeout_seconds", "60"),
        ];
        given.into_iter().fold(self.room.run().plain(), |run, (name, value)| run.input(name, value))
    }

    fn run(&self, mode: &str) -> Run {
        self.stranger(mode).input("azure_access_token", ACCESS_TOKEN)
    }

    /// A push of these lines.
    fn push(&self, lines: &str) -> Run {
        self.room.file(".env", lines);
        self.run("push")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.double.current("app").unwrap_or_default()).unwrap_or_default()
    }

    fn versions(&self) -> usize {
        self.double.versions("app").len()
    }

    fn newest(&self) -> String {
        self.double.current_id("app").unwrap()
    }
}

#[test]
fn a_pull_is_one_call() {
    let cloud = Cloud::holding(ONE);
    let done = cloud.run("pull").github().input("outputs", "true").expect(0);
    done.output("A", "fake-one-old").output("secret-version", &cloud.newest());
    assert_eq!(cloud.double.calls(), ["Challenge", "GetSecret"]);
    assert_eq!(cloud.room.read(".env").as_deref(), Some("A=fake-one-old\nB=fake-two-old\n"));
}

#[test]
fn several_entries_are_one_call_a_version() {
    let cloud = Cloud::holding(ONE);
    cloud.double.put("plain", "fake-plain-text");
    cloud.room.secret_value("fake-plain-text");
    let old = cloud.newest();
    cloud.seed(r#"{"A":"fake-one-newer","B":"fake-two-old"}"#);
    let url = cloud.double.url();
    let entries = format!("PLAIN = {url}/secrets/PLAIN\nB = app#B\nA = {url}/secrets/app/{old}#A\nNOW = app#A");
    cloud.run("pull").input("secret", &entries).expect(0);
    let wanted = "PLAIN=fake-plain-text\nB=fake-two-old\nA=fake-one-old\nNOW=fake-one-newer\n";
    assert_eq!(cloud.room.read(".env").as_deref(), Some(wanted));
    assert_eq!(cloud.double.count("GetSecret"), 3);
}

#[test]
fn a_vault_is_taken_from_the_identifier_too() {
    let cloud = Cloud::holding(ONE);
    let id = format!("{}/secrets/app", cloud.double.url());
    cloud.run("pull").input("azure_vault", "").input("secret", &id).expect(0);
    assert_eq!(cloud.room.read(".env").as_deref(), Some("A=fake-one-old\nB=fake-two-old\n"));
}

#[test]
fn a_check_is_one_call_and_never_a_write() {
    let cloud = Cloud::holding(ONE);
    cloud.room.file(".env", "A=fake-one-old\nB=fake-two-new\n");
    cloud.run("check").github().expect(6).output("has-drift", "true").says(&["B"]);
    assert_eq!(cloud.double.calls(), ["Challenge", "GetSecret"]);
    assert_eq!(cloud.versions(), 1);
}

#[test]
fn a_push_without_a_change_is_one_call() {
    let cloud = Cloud::holding(ONE);
    cloud.push("B='fake-two-old' # moved\n").github().expect(0).output("secret-version", &cloud.newest());
    assert_eq!(cloud.double.calls(), ["Challenge", "GetSecret"]);
    assert_eq!(cloud.versions(), 1);
}

#[test]
fn a_dry_run_looks_at_all_that_a_push_looks_at_and_writes_nothing() {
    let cloud = Cloud::holding(ONE);
    cloud.push("B=fake-two-new\n").input("dry_run", "true").expect(0).says(&["B"]);
    assert_eq!(cloud.double.calls(), PUSH[..4]);
    assert_eq!(cloud.versions(), 1);
    nothing_was_changed(
        &cloud.run("push").input("dry_run", "true").input("secret", "new").input("create", "false").expect(5),
    );
    cloud.run("push").input("dry_run", "true").input("secret", "new").expect(0);
    assert_eq!(cloud.double.current("new"), None);
    cloud.double.fail("ListVersions", When::Always, Fault::AccessDenied);
    cloud.run("push").input("dry_run", "true").expect(4);
}

#[test]
fn a_push_with_a_change_is_five_calls() {
    let cloud = Cloud::holding(ONE);
    let done = cloud.push("A=fake-one-new\n").github().expect(0);
    assert_eq!(cloud.double.calls(), PUSH);
    done.output("secret-version", &cloud.newest()).output("updated-keys", r#"["A"]"#);
    assert_eq!(cloud.double.current("app").unwrap(), r#"{"A":"fake-one-new","B":"fake-two-old"}"#);
    assert_eq!(cloud.versions(), 2);
}

#[test]
fn every_page_of_versions_is_read() {
    let cloud = Cloud::holding(ONE);
    for _ in 0..60 {
        cloud.seed(ONE);
    }
    cloud.push("A=fake-one-new\n").expect(0);
    assert_eq!((cloud.double.count("ListVersions"), cloud.double.count("SetSecret")), (6, 1));
}

#[test]
fn a_missing_secret_is_made_by_push_alone() {
    for lists_are_404 in [false, true] {
        let cloud = Cloud::empty();
        if lists_are_404 {
            cloud.double.missing_versions_are_404();
        }
        for mode in ["pull", "check"] {
            cloud.room.file(".env", "A=fake-one-new\n");
            cloud.run(mode).expect(5).says(&["app", "does not exist", "help: "]);
        }
        nothing_was_changed(&cloud.push("A=fake-one-new\n").input("create", "false").expect(5));
        cloud.run("push").input("dry_run", "true").expect(0);
        assert_eq!(cloud.double.count("SetSecret"), 0);
        let before = cloud.double.calls().len();
        cloud.run("push").expect(0);
        let asked = ["Challenge", "GetSecret", "GetDeletedSecret", "SetSecret", "ListVersions"];
        assert_eq!(cloud.double.calls()[before..], asked);
        assert_eq!((cloud.json(), cloud.versions()), (json!({"A": "fake-one-new"}), 1));
    }
}

#[test]
fn what_lives_with_a_version_is_carried_over() {
    let cloud = Cloud::empty();
    cloud.room.secret_values(ONE);
    let full = Properties {
        value: ONE.to_owned(),
        content_type: Some("application/json".to_owned()),
        tags: (0..15).map(|n| (format!("tag-{n:02}"), format!("of team {n}"))).collect(),
        enabled: true,
        not_before: Some(1_700_000_000),
        expires: Some(4_000_000_000),
    };
    cloud.double.put_with("app", &full);
    for (concurrency, value) in [("safe", "fake-one-new"), ("none", "fake-one-newer")] {
        cloud.push(&format!("A={value}\n")).input("concurrency", concurrency).expect(0);
        let wanted = Properties { value: format!(r#"{{"A":"{value}","B":"fake-two-old"}}"#), ..full.clone() };
        assert_eq!(cloud.double.version("app", ""), Some(wanted), "{concurrency}");
    }
    assert_eq!(cloud.double.version("app", &cloud.double.versions("app")[0]), Some(full), "the old one is as it was");
}

#[test]
fn a_version_that_is_not_to_be_used_is_an_error_that_says_so() {
    type Change = fn(&mut Properties);
    let rows: [(Change, &str); 3] = [
        (|version| version.enabled = false, "disabled"),
        (|version| version.expires = Some(1_600_000_000), "expired on 2020-09-13"),
        (|version| version.not_before = Some(4_000_000_000), "not valid before 2096-10-02"),
    ];
    each(rows.to_vec(), |(change, why)| {
        let cloud = Cloud::holding(ONE);
        let good = cloud.newest();
        cloud.seed(r#"{"A":"fake-one-new","B":"fake-two-old"}"#);
        cloud.double.edit("app", "", change);
        cloud.room.file(".env", "A=fake-one-mine\n");
        for mode in ["pull", "push", "check"] {
            nothing_was_changed(cloud.run(mode).expect(5).says(&["app", why, "az keyvault secret set-attributes"]));
        }
        let pinned = |version: &str| cloud.run("pull").input("secret", &format!("app?version={version}"));
        pinned(&cloud.newest()).expect(5).says(&[why]);
        pinned(&good).expect(0);
        assert_eq!(cloud.double.count("SetSecret"), 0);
    });
}

#[test]
fn the_size_is_looked_at_before_any_write() {
    let cloud = Cloud::holding(r#"{"A":"fake"}"#);
    // What remains for the value: `{"A":""}` has 8 bytes.
    let line = |bytes: usize| format!("A={}\n", "x".repeat(bytes - 8));
    for (secret, dry) in [("app", "true"), ("app", "false"), ("new", "true"), ("new", "false")] {
        let done = cloud.push(&line(25_601)).input("secret", secret).input("dry_run", dry).expect(2);
        nothing_was_changed(done.says(&["25600", "25601"]));
    }
    assert_eq!(cloud.double.count("SetSecret"), 0);
    cloud.push(&line(25_600)).expect(0);
    assert_eq!(cloud.double.current("app").unwrap().len(), 25_600);
}

#[test]
fn without_the_protection_a_push_is_one_plain_write_and_lists_nothing() {
    let cloud = Cloud::holding(ONE);
    cloud.double.fail("ListVersions", When::Always, Fault::AccessDenied);
    let done = cloud.push("A=fake-one-new\n").input("concurrency", "none").expect(0);
    done.says(&["concurrency: none"]);
    assert_eq!(cloud.double.calls(), ["Challenge", "GetSecret", "GetSecret", "SetSecret"]);
    assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-old"}));
    cloud.push("A=fake-one-new\n").input("concurrency", "none").input("secret", "new").expect(0);
    assert!(cloud.double.current("new").is_some());
    let denied = cloud.push("A=fake-one-newer\n").expect(4);
    nothing_was_changed(denied.says(&["readMetadata", "concurrency: none"]));
}

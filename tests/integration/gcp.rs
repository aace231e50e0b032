//! Google Secret Manager by the double: modes and their calls, names, versions, creation, credentials.

mod login;
mod races;
mod trouble;

use std::process::Stdio;
use std::sync::Arc;

use envsync_doubles::gcp::{NUMBER, PROJECT, SecretManager, VersionState};
use envsync_doubles::{Double, When};
use serde_json::{Value, json};

use super::harness::{Room, Run};

const TOKEN: &str = "ya29.fake-access-token";
const APP: &str = r#"{"A":"fake-value-a","B":"fake-value-b"}"#;
const ACCESS: &str = "AccessSecretVersion";
const ADD: &str = "AddSecretVersion";
const CREATE: &str = "CreateSecret";
const LIST: &str = "ListSecretVersions";

/// A Secret Manager, and a workspace to use it from.
struct Cloud {
    double: Double<SecretManager>,
    room: Arc<Room>,
}

impl Cloud {
    fn new() -> Self {
        let room = Room::new();
        room.secret_value(TOKEN);
        Self { double: SecretManager::start(), room }
    }

    /// One with the secret `app` in these versions.
    fn with(versions: &[&str]) -> Self {
        let cloud = Self::new();
        for text in versions {
            cloud.room.secret_values(text);
            cloud.double.put("app", text);
        }
        cloud
    }

    fn run(&self) -> Run {
        let run = self.room.run().github().input("provider", "gcp").input("local_store", "");
        let run = run.input("gcp_endpoint", &self.double.url());
        run.input("gcp_project", PROJECT).input("gcp_access_token", TOKEN)
    }

    fn push(&self, text: &str) -> Run {
        self.room.file(".env", text);
        self.run().input("mode", "push")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.double.current("app").expect("a text")).expect("JSON")
    }

    #[track_caller]
    fn calls(&self, expected: &[&str]) {
        assert_eq!(self.double.calls(), expected);
    }
}

#[test]
fn a_pull_is_one_call() {
    let cloud = Cloud::with(&["{}", APP]);
    cloud.run().expect(0).output("secret-version", "2");
    assert_eq!(cloud.room.variables(".env").len(), 2);
    cloud.calls(&[ACCESS]);
}

#[test]
fn a_push_without_a_change_is_one_call_and_makes_no_version() {
    let cloud = Cloud::with(&[APP]);
    cloud
        .push("B=fake-value-b\nA=fake-value-a\n")
        .expect(0)
        .output("secret-version", "1")
        .output("has-changes", "false");
    cloud.calls(&[ACCESS]);
    assert_eq!(cloud.double.versions("app"), ["1"]);
}

#[test]
fn a_push_with_a_change_is_two_calls_and_sends_a_checksum() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.set_label("app", "team", "blue");
    cloud.push("A=fake-new-a\n").expect(0).output("secret-version", "2").output("updated-keys", r#"["A"]"#);
    cloud.calls(&[ACCESS, ADD]);
    assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-value-b"}));
    assert!(cloud.double.sent_checksum("app", "2"));
    assert_eq!(cloud.double.labels("app"), [("team".to_owned(), "blue".to_owned())]);
}

#[test]
fn check_dry_run_and_delete_do_what_they_say() {
    let cloud = Cloud::with(&[APP]);
    cloud.room.file(".env", "A=fake-value-a\n");
    cloud.run().input("mode", "check").expect(6).output("has-drift", "true");
    cloud.push("A=fake-new-a\n").input("dry_run", "true").expect(0).output("updated-keys", r#"["A"]"#);
    cloud.push(&"A=fake-value-a\nX=fake-value-x\n".repeat(3000)).input("dry_run", "true").expect(0);
    cloud.calls(&[ACCESS, ACCESS, ACCESS]);
    cloud.push("A=fake-value-a\n").input("delete", "true").expect(0).output("removed-keys", r#"["B"]"#);
    assert_eq!(cloud.json(), json!({"A": "fake-value-a"}));
    cloud.run().input("mode", "check").expect(0).output("has-drift", "false");
}

#[test]
fn a_missing_secret_is_created_once_and_where_it_is_told() {
    let cloud = Cloud::new();
    cloud.run().expect(5).says(&["app"]);
    cloud.push("A=fake-value-a\n").input("create", "false").expect(5);
    cloud.push("A=fake-value-a\n").input("create", "false").input("dry_run", "true").expect(5);
    assert_eq!(cloud.double.count(CREATE), 0);
    cloud.push("A=fake-value-a\n").expect(0).output("secret-version", "1");
    assert_eq!((cloud.double.count(CREATE), cloud.double.versions("app")), (1, vec!["1".to_owned()]));
    assert_eq!(cloud.double.locations("app"), Some(Vec::new()));

    let run = cloud.push("A=fake-value-a\n").input("secret", "placed");
    run.input("gcp_locations", "europe-west3, europe-west4").expect(0);
    let places = ["europe-west3", "europe-west4"].map(str::to_owned);
    assert_eq!(cloud.double.locations("placed"), Some(places.to_vec()));

    let regional = format!("projects/{PROJECT}/locations/europe-west9/secrets/app");
    cloud.push("A=fake-value-a\n").input("secret", &regional).expect(0);
    assert_eq!(cloud.double.locations(&regional), Some(vec!["europe-west9".to_owned()]));
}

#[test]
fn a_secret_that_was_prepared_without_a_value_takes_its_first_version() {
    let cloud = Cloud::new();
    cloud.double.create_without_value("app");
    cloud.run().expect(5);
    cloud.push("A=fake-value-a\n").input("create", "false").input("dry_run", "true").expect(0);
    assert_eq!(cloud.double.count(ADD), 0);
    cloud.push("A=fake-value-a\n").input("create", "false").expect(0).output("secret-version", "1");
    assert_eq!(cloud.double.count(CREATE), 0);
}

#[test]
fn a_secret_is_found_by_every_name_that_it_has() {
    let cloud = Cloud::with(&[r#"{"A":"fake-value-1"}"#, r#"{"A":"fake-value-2"}"#]);
    cloud.double.set_alias("app", "stable", "1");
    let regional = format!("projects/{PROJECT}/locations/europe-west9/secrets/app");
    cloud.double.put(&regional, r#"{"A":"fake-value-r"}"#);
    for (secret, value, version) in [
        ("app".to_owned(), "fake-value-2", "2"),
        (format!("projects/{PROJECT}/secrets/app"), "fake-value-2", "2"),
        (format!("projects/{NUMBER}/secrets/app"), "fake-value-2", "2"),
        (format!("projects/{PROJECT}/secrets/app/versions/latest"), "fake-value-2", "2"),
        (format!("projects/{PROJECT}/secrets/app/versions/1"), "fake-value-1", "1"),
        ("app?version=1".to_owned(), "fake-value-1", "1"),
        ("app?version=latest".to_owned(), "fake-value-2", "2"),
        ("app?version=stable".to_owned(), "fake-value-1", "1"),
        (regional, "fake-value-r", "1"),
    ] {
        let done = cloud.run().input("secret", &secret).expect(0);
        done.output("secret-version", version);
        assert_eq!(cloud.room.variables(".env")["A"], value, "{secret}");
    }
    cloud.run().input("secret", "app?version=9").expect(5);
    cloud.run().input("secret", "app?version=1/../2").expect(2);
}

#[test]
fn several_secrets_are_read_in_one_run() {
    let cloud = Cloud::new();
    let names: Vec<String> = (0..40).map(|n| format!("plain-{n}")).collect();
    let entries: Vec<String> = names.iter().enumerate().map(|(n, name)| format!("KEY_{n} = {name}")).collect();
    names.iter().enumerate().for_each(|(n, name)| drop(cloud.double.put(name, &format!("fake-value-{n}"))));
    cloud.double.put_binary("raw", b"\xff\x00\xfe");
    cloud.run().input("secret", &format!("{}\nRAW = raw", entries.join("\n"))).expect(0);
    let variables = cloud.room.variables(".env");
    assert_eq!(variables.len(), 41);
    assert!((0..40).all(|n| variables[&format!("KEY_{n}")] == format!("fake-value-{n}")));
    assert_eq!(variables["RAW"], "/wD+");
    cloud.run().input("secret", "raw").expect(2);
}

#[test]
fn a_latest_version_that_cannot_be_read_gives_way_to_the_newest_that_can() {
    for state in [VersionState::Disabled, VersionState::Destroyed] {
        let cloud = Cloud::with(&[r#"{"A":"fake-old-a"}"#, APP, "{}", "{}"]);
        ["3", "4"].iter().for_each(|version| cloud.double.set_state("app", version, state));
        let done = cloud.run().expect(0);
        done.output("secret-version", "2").says(&["version 4", "version 2"]);
        assert_eq!(done.annotations_of("warning").len(), 1);
        cloud.calls(&[ACCESS, LIST, ACCESS]);

        cloud.push("A=fake-new-a\n").expect(0).output("secret-version", "5");
        assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-value-b"}));
        assert_eq!(cloud.double.calls()[3..], [ACCESS, LIST, ACCESS, ADD]);
    }
}

#[test]
fn without_a_version_that_can_be_read_there_is_nothing_to_pull() {
    let cloud = Cloud::with(&[APP, APP]);
    ["1", "2"].iter().for_each(|version| cloud.double.set_state("app", version, VersionState::Disabled));
    cloud.run().expect(5).says(&["no version that is enabled", "gcloud secrets versions enable 2 --secret=app"]);
    cloud.run().input("secret", "app?version=1").expect(5).says(&["is disabled"]);
    cloud.double.set_state("app", "1", VersionState::Destroyed);
    cloud.run().input("secret", "app?version=1").expect(5).says(&["is destroyed"]);
}

#[test]
fn an_enabled_version_is_found_on_a_later_page() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.page_size(3);
    for _ in 0..7 {
        let version = cloud.double.put("app", "{}");
        cloud.double.set_state("app", &version, VersionState::Destroyed);
    }
    cloud.run().expect(0).output("secret-version", "1").says(&["version 8"]);
    assert_eq!(cloud.double.count(LIST), 3);
}

#[test]
fn what_google_cannot_hold_is_refused_before_anything_is_written() {
    let cloud = Cloud::with(&[APP]);
    let large: String = (0..7).map(|n| format!("KEY_{n}={}\n", "fake".repeat(2500))).collect();
    for dry_run in ["true", "false"] {
        cloud.push(&large).input("dry_run", dry_run).expect(2).says(&["65536"]);
    }
    assert_eq!(cloud.double.versions("app"), ["1"]);
}

/// A key file whose key was made for these tests and opens nothing. It lies without its PEM frame, so that no scanner
/// takes it for a leak.
fn key_file() -> String {
    let body = include_str!("../data/rsa-2048.pkcs8.base64");
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n");
    let (email, id) = (format!("fake@{PROJECT}.iam.gserviceaccount.com"), "f4ke0000f4ke0000");
    let key = json!({"type": "service_account", "project_id": PROJECT, "private_key_id": id, "private_key": pem,
        "client_email": email, "client_id": "1", "token_uri": "https://oauth2.googleapis.com/token"});
    key.to_string()
}

#[test]
fn a_service_account_key_signs_its_own_token_and_brings_its_project() {
    let cloud = Cloud::with(&[APP]);
    cloud.room.secret_value(include_str!("../data/rsa-2048.pkcs8.base64").lines().next().unwrap());
    let run = || cloud.run().input("gcp_access_token", "").input("gcp_project", "");
    run().input("gcp_credentials_json", &key_file()).expect(0).says(&["auth: credentials of the inputs"]);

    let elsewhere = cloud.room.outside("temp").join("key.json");
    std::fs::write(&elsewhere, key_file()).unwrap();
    let variable = "GOOGLE_APPLICATION_CREDENTIALS";
    run().env(variable, elsewhere.to_str().unwrap()).expect(0).says(&[variable]);
    // As another action leaves it: in the workspace, by the path that it has outside of the container.
    std::fs::write(cloud.room.path("gha-creds-f4ke.json"), key_file()).unwrap();
    run().env(variable, "/__w/app/app/gha-creds-f4ke.json").expect(0);
    run().env(variable, "gha-creds-f4ke.json").expect(0);
    // The key of the file is masked, line by line, like one that is given.
    let done = run().github().env(variable, elsewhere.to_str().unwrap()).expect(0);
    let line = include_str!("../data/rsa-2048.pkcs8.base64").lines().next().unwrap();
    assert!(done.masks.contains(line), "{:?}", done.masks);

    cloud.calls(&[ACCESS; 5]);
    for request in cloud.double.seen() {
        let header = request.header("authorization").unwrap_or_default();
        assert_eq!(header.split('.').count(), 3, "no signed token");
    }
}

#[test]
fn credentials_that_cannot_be_used_are_refused_before_anything_is_sent() {
    let cloud = Cloud::with(&[APP]);
    let run = || cloud.run().input("gcp_access_token", "");
    let variable = "GOOGLE_APPLICATION_CREDENTIALS";
    run().expect(3).says(&["gcp_credentials_json"]);
    run().env(variable, " ").expect(3);
    run().env(variable, "no-such-file.json").expect(2).says(&["no-such-file.json"]);
    run().env(variable, ".").expect(2);
    let config = r#"{"type":"external_account","audience":"fake"}"#;
    run().input("gcp_credentials_json", config).expect(2).says(&["`fake`", "no workload identity provider"]);
    let config = r#"{"type":"gdch_service_account"}"#;
    run().input("gcp_credentials_json", config).expect(2).says(&["gdch_service_account", "external_account"]);
    run().input("gcp_credentials_json", "{\"type\":").expect(2).says(&["no JSON"]);
    cloud.run().input("gcp_credentials_json", &key_file()).expect(2).says(&["two Google logins"]);
    cloud.run().input("gcp_project", "").expect(2).says(&["gcp_project", "projects/PROJECT/secrets/app"]);
    cloud.calls(&[]);
}

#[test]
fn a_private_authority_is_trusted_by_ca_file() {
    let room = Room::new();
    room.secret_value(TOKEN);
    let (double, ca) = SecretManager::start_tls();
    double.put("app", APP);
    let cloud = Cloud { double, room };
    cloud.run().expect(7).says(&["couldn't reach Google Secret Manager"]);
    cloud.calls(&[]);
    std::fs::write(cloud.room.path("ca.pem"), ca).unwrap();
    cloud.run().input("ca_file", "ca.pem").expect(0).output("secret-version", "1");
}

#[test]
fn sixteen_processes_at_once_lose_nothing() {
    let cloud = Cloud::with(&["{}"]);
    let mut children = Vec::new();
    for n in 0..16 {
        let name = format!("file-{n}.env");
        cloud.room.file(&name, format!("KEY_{n}=fake-value-{n}\n"));
        let (mut command, _) = cloud.run().input("mode", "push").input("env_file", &name).command();
        children.push(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    }
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let json = cloud.json();
    assert!((0..16).all(|n| json[format!("KEY_{n}")] == format!("fake-value-{n}")), "{json}");
    // Whoever starts later finds them all there.
    cloud.room.file(".env", "KEY_0=fake-value-0\n");
    cloud.run().input("mode", "push").expect(0).output("has-changes", "false");
}

#[test]
fn a_throttled_call_is_made_again() {
    let cloud = Cloud::with(&[APP]);
    let zero = Some(std::time::Duration::ZERO);
    cloud.double.fail(ACCESS, When::Next(2), envsync_doubles::Fault::Throttle(zero));
    cloud.double.fail(ADD, When::Next(4), envsync_doubles::Fault::Throttle(zero));
    cloud.push("A=fake-new-a\n").expect(0).output("secret-version", "2");
    assert_eq!((cloud.double.count(ACCESS), cloud.double.count(ADD)), (3, 5));
}

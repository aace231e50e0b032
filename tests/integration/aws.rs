//! AWS Secrets Manager through the real binary, against the in-process double: what a run asks, what it leaves, and what it
//! says. The faults, the lost races and the refusals have rooms of their own.

mod faults;
mod login;
mod payloads;
mod races;
mod refusals;
mod truth;

use std::sync::Arc;

use envsync_doubles::aws::{REGION, SecretsManager};
use envsync_doubles::{Double, Fault, When};
use serde_json::{Value, json};

use super::harness::{Done, Room, Run, each, nothing_was_changed};

const KEY_ID: &str = "AKIAFAKEFAKEFAKEFAKE";
const ONE: &str = r#"{"A":"fake-one-old","B":"fake-two-old"}"#;
const PUSH: [&str; 5] =
    ["GetSecretValue", "DescribeSecret", "PutSecretValue", "UpdateSecretVersionStage", "UpdateSecretVersionStage"];

/// A Secrets Manager of its own and a workspace; the secret is `app`.
struct Cloud {
    room: Arc<Room>,
    double: Double<SecretsManager>,
}

impl Cloud {
    fn empty() -> Self {
        let cloud = Self { room: Room::new(), double: SecretsManager::start() };
        cloud.room.secret_value("fake-secret-access-key");
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

    fn run(&self, mode: &str) -> Run {
        let given = [
            ("mode", mode),
            ("provider", "aws"),
            ("local_store", ""),
            ("aws_region", REGION),
            ("aws_access_key_id", KEY_ID),
            ("aws_secret_access_key", "fake-secret-access-key"),
            ("aws_endpoint_url", &self.double.url()),
            ("timeout_seconds", "60"),
        ];
        given.into_iter().fold(self.room.run().plain(), |run, (name, value)| run.input(name, value))
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

    /// `AWSCURRENT` is on one version, and no label is left but those of AWS.
    #[track_caller]
    fn assert_labels_clean(&self) {
        let labels = self.double.labels("app");
        let current = labels.iter().filter(|(label, _)| label == "AWSCURRENT").count();
        assert_eq!(current, 1, "{labels:?}");
        let ours = |label: &str| !["AWSCURRENT", "AWSPREVIOUS"].contains(&label);
        assert!(!labels.iter().any(|(label, _)| ours(label)), "a label is left: {labels:?}");
    }
}

#[test]
fn a_pull_is_one_call() {
    let cloud = Cloud::holding(ONE);
    cloud.run("pull").github().input("outputs", "true").expect(0).output("A", "fake-one-old");
    assert_eq!(cloud.double.calls(), ["GetSecretValue"]);
    assert_eq!(cloud.room.read(".env").as_deref(), Some("A=fake-one-old\nB=fake-two-old\n"));
    let request: Value = serde_json::from_str(&cloud.double.requests()[0]).unwrap();
    assert_eq!(request["VersionStage"], "AWSCURRENT", "never without the stage");
}

#[test]
fn every_secret_is_one_call_in_the_region_that_it_names() {
    let cloud = Cloud::holding(ONE);
    let text = r#"{"C":"fake-three-far"}"#;
    cloud.room.secret_values(text);
    cloud.double.put_in("us-east-1", "far", text);
    let entries = "app\nPLAIN=app#A\narn:aws:secretsmanager:us-east-1:123456789012:secret:far-AbCdEf";
    cloud.run("pull").input("secret", entries).expect(5).says(&["us-east-1"]);
    let signed = |region: &str| {
        let scope = format!("/{region}/secretsmanager/");
        cloud.double.seen().iter().filter(|r| r.header("authorization").unwrap().contains(&scope)).count()
    };
    assert_eq!((signed(REGION), signed("us-east-1")), (1, 1), "two entries of one secret are one call");
    cloud.run("pull").input("secret", "far").input("aws_region", "us-east-1").expect(0);
    assert_eq!(cloud.room.read(".env").as_deref(), Some("C=fake-three-far\n"));
}

#[test]
fn a_check_is_one_call_and_never_a_write() {
    let cloud = Cloud::holding(ONE);
    cloud.room.file(".env", "A=fake-one-old\nB=fake-two-new\n");
    cloud.run("check").github().expect(6).output("has-drift", "true").says(&["B"]);
    assert_eq!(cloud.double.calls(), ["GetSecretValue"]);
    assert_eq!(cloud.versions(), 1);
}

#[test]
fn a_push_without_a_change_is_one_call() {
    let cloud = Cloud::holding(ONE);
    let version = cloud.double.versions("app").pop().unwrap();
    cloud.push("B='fake-two-old' # moved\n").github().expect(0).output("secret-version", &version);
    assert_eq!(cloud.double.calls(), ["GetSecretValue"]);
    assert_eq!(cloud.versions(), 1);
}

#[test]
fn a_dry_push_only_reads() {
    let cloud = Cloud::holding(ONE);
    cloud.push("B=fake-two-new\n").input("dry_run", "true").github().expect(0).output("updated-keys", r#"["B"]"#);
    cloud.run("push").input("dry_run", "true").input("secret", "new").input("concurrency", "none").expect(0);
    let reads = ["GetSecretValue", "DescribeSecret"];
    assert!(cloud.double.calls().iter().all(|call| reads.contains(&call.as_str())), "{:?}", cloud.double.calls());
    assert_eq!((cloud.double.current("app").as_deref(), cloud.double.arn("new")), (Some(ONE), None));
}

#[test]
fn a_push_with_a_change_is_five_calls() {
    let cloud = Cloud::holding(ONE);
    let old = cloud.double.versions("app").pop().unwrap();
    let done = cloud.push("A=fake-one-new\n").github().expect(0);
    assert_eq!(cloud.double.calls(), PUSH);
    let versions = cloud.double.versions("app");
    done.output("secret-version", &versions[1]).output("updated-keys", r#"["A"]"#);
    assert_eq!(cloud.double.current("app").unwrap(), r#"{"A":"fake-one-new","B":"fake-two-old"}"#);
    cloud.assert_labels_clean();
    assert!(cloud.double.labels("app").contains(&("AWSPREVIOUS".to_owned(), old)), "the old one can be had back");
}

#[test]
fn a_missing_secret_is_made_by_push_alone() {
    let cloud = Cloud::empty();
    cloud.run("pull").expect(5).says(&["app", "help: "]);
    nothing_was_changed(&cloud.push("A=fake-one-new\n").input("create", "false").expect(5));
    cloud.run("push").input("dry_run", "true").expect(0);
    assert_eq!((cloud.double.count("CreateSecret"), cloud.double.arn("app")), (0, None));
    let before = cloud.double.calls().len();
    cloud.run("push").expect(0);
    assert_eq!(cloud.double.calls()[before..], ["GetSecretValue", "DescribeSecret", "CreateSecret"]);
    assert_eq!((cloud.json(), cloud.versions()), (json!({"A": "fake-one-new"}), 1));
    cloud.assert_labels_clean();
}

#[test]
fn a_secret_without_a_value_takes_its_first_one() {
    for create in ["true", "false"] {
        let cloud = Cloud::empty();
        cloud.double.create_without_value("app");
        cloud.run("pull").expect(5).says(&["app", "help: "]);
        // It is there: `create` is about secrets that are not.
        cloud.push("A=fake-one-new\n").input("create", create).expect(0);
        assert_eq!((cloud.json(), cloud.versions()), (json!({"A": "fake-one-new"}), 1));
        cloud.assert_labels_clean();
    }
}

#[test]
fn what_is_scheduled_for_deletion_is_recovered_only_on_request() {
    let cloud = Cloud::holding(ONE);
    cloud.double.schedule_deletion("app");
    cloud.room.file(".env", "A=fake-one-new\n");
    let has_date = |done: &Done| {
        let text = done.text();
        let words = text.split(|c: char| c.is_whitespace() || c == ')');
        assert!(
            words.into_iter().any(|w| w.starts_with("20") && w.contains("-") && w.contains('T')),
            "no date: {text}"
        );
    };
    for mode in ["pull", "push", "check"] {
        let done = cloud.run(mode).expect(5);
        has_date(done.says(&["app", "recover_deleted"]));
        nothing_was_changed(&done);
    }
    for (mode, dry) in [("push", "true"), ("pull", "false"), ("check", "false")] {
        cloud.run(mode).input("recover_deleted", "true").input("dry_run", dry).expect_one_of(&[2, 5]);
    }
    assert!(cloud.double.is_deleted("app") && cloud.double.count("RestoreSecret") == 0);
    cloud.run("push").input("recover_deleted", "true").expect(0).says(&["recovered"]);
    assert!(!cloud.double.is_deleted("app"));
    assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-old"}));
    cloud.assert_labels_clean();
}

#[test]
fn a_secret_that_others_look_after_is_not_written() {
    let rotated = Cloud::holding(ONE);
    rotated.double.set_rotation("app", true);
    let owned = Cloud::holding(ONE);
    owned.double.set_owner("app", "rds");
    for (cloud, why) in [(rotated, "rotation"), (owned, "rds")] {
        for concurrency in ["safe", "none"] {
            let done = cloud.push("A=fake-one-new\n").input("concurrency", concurrency).expect(6);
            nothing_was_changed(done.says(&["app", why]));
        }
        assert_eq!((cloud.versions(), cloud.double.count("PutSecretValue")), (1, 0));
        cloud.run("pull").expect(0);
    }
}

#[test]
fn without_the_protection_a_push_is_one_plain_put_and_says_so() {
    let cloud = Cloud::holding(ONE);
    let done = cloud.push("A=fake-one-new\n").input("concurrency", "none").expect(0);
    assert_eq!(cloud.double.calls(), PUSH[..3]);
    assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-old"}));
    cloud.assert_labels_clean();
    done.says(&["concurrency"]);
}

#[test]
fn without_the_protection_fewer_permissions_do() {
    let cloud = Cloud::holding(ONE);
    for operation in ["DescribeSecret", "UpdateSecretVersionStage"] {
        cloud.double.fail(operation, When::Always, Fault::AccessDenied);
    }
    cloud.push("A=fake-one-new\n").input("concurrency", "none").expect(0);
    assert_eq!(cloud.json()["A"], "fake-one-new");
    cloud.push("A=fake-one-new\n").input("concurrency", "none").input("secret", "new").expect(0);
    assert!(cloud.double.current("new").is_some());
}

//! What a sync does on each store: calls, versions, what others do in between, and a run that is killed between the secret
//! and the file.

use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant};

use envsync_doubles::aws::{REGION, SecretsManager};
use envsync_doubles::azure::{ACCESS_TOKEN, KeyVault};
use envsync_doubles::gcp::{PROJECT, SecretManager, VersionState};
use envsync_doubles::{Double, Fault, When};
use serde_json::{Value, json};

use crate::integration::harness::{Room, Run};

const OLD: &str = r#"{"K":"fake-value-old","OTHER":"fake-other-one"}"#;

/// One of the four stores with a workspace; the secret is `app`.
pub(super) struct Cloud {
    pub(super) name: &'static str,
    pub(super) room: Arc<Room>,
    double: Store,
}

enum Store {
    Local,
    Aws(Double<SecretsManager>),
    Gcp(Double<SecretManager>),
    Azure(Double<KeyVault>),
}

/// An empty one of each.
pub(super) fn all() -> Vec<Cloud> {
    ["local", "aws", "gcp", "azure"].map(Cloud::new).into()
}

impl Cloud {
    pub(super) fn new(name: &'static str) -> Self {
        let room = Room::new();
        let double = match name {
            "aws" => Store::Aws(SecretsManager::start()),
            "gcp" => Store::Gcp(SecretManager::start()),
            "azure" => Store::Azure(KeyVault::start()),
            _ => Store::Local,
        };
        if let Store::Azure(vault) = &double {
            std::fs::write(room.path("ca.pem"), vault.ca_pem()).unwrap();
        }
        Self { name, room, double }
    }

    /// Another one of the same kind.
    pub(super) fn again(&self) -> Self {
        Self::new(self.name)
    }

    pub(super) fn run(&self, mode: &str) -> Run {
        let given = |given: &[(&str, &str)]| {
            given.iter().fold(self.room.run().plain().input("mode", mode), |run, (name, value)| run.input(name, value))
        };
        match &self.double {
            Store::Local => given(&[]),
            Store::Aws(double) => given(&[
                ("provider", "aws"),
                ("local_store", ""),
                ("aws_region", REGION),
                ("aws_access_key_id", "AKIAFAKEFAKEFAKEFAKE"),
                ("aws_secret_access_key", "fake-secret-access-key"),
                ("aws_endpoint_url", &double.url()),
            ]),
            Store::Gcp(double) => given(&[
                ("provider", "gcp"),
                ("local_store", ""),
                ("gcp_project", PROJECT),
                ("gcp_access_token", "ya29.fake-access-token"),
                ("gcp_endpoint", &double.url()),
            ]),
            Store::Azure(double) => given(&[
                ("provider", "azure"),
                ("local_store", ""),
                ("azure_vault", &double.url()),
                ("ca_file", "ca.pem"),
                ("azure_access_token", ACCESS_TOKEN),
            ]),
        }
    }

    /// A new current version, by somebody else.
    pub(super) fn put(&self, payload: &str) -> String {
        match &self.double {
            Store::Local => {
                self.room.seed("app", payload);
                self.versions().to_string()
            }
            Store::Aws(double) => double.put("app", payload),
            Store::Gcp(double) => double.put("app", payload),
            Store::Azure(double) => double.put("app", payload),
        }
    }

    pub(super) fn json(&self) -> Value {
        let current = match &self.double {
            Store::Local => return self.room.json("app"),
            Store::Aws(double) => double.current("app"),
            Store::Gcp(double) => double.current("app"),
            Store::Azure(double) => double.current("app"),
        };
        serde_json::from_str(&current.unwrap_or_default()).unwrap_or_default()
    }

    pub(super) fn versions(&self) -> usize {
        match &self.double {
            Store::Local => self.room.versions("app").len(),
            Store::Aws(double) => double.versions("app").len(),
            Store::Gcp(double) => double.versions("app").len(),
            Store::Azure(double) => double.versions("app").len(),
        }
    }

    pub(super) fn calls(&self) -> Vec<String> {
        match &self.double {
            Store::Local => Vec::new(),
            Store::Aws(double) => double.calls(),
            Store::Gcp(double) => double.calls(),
            Store::Azure(double) => double.calls().into_iter().filter(|call| call != "Challenge").collect(),
        }
    }

    /// Runs the closure before a call is answered.
    pub(super) fn on(&self, operation: &str, when: impl Into<When>, hook: impl Fn() + Send + Sync + 'static) {
        match &self.double {
            Store::Local => {}
            Store::Aws(double) => double.on(operation, when, move |_| hook()),
            Store::Gcp(double) => double.on(operation, when, move |_| hook()),
            Store::Azure(double) => double.on(operation, when, move |_| hook()),
        }
    }

    fn fail(&self, operation: &str, when: impl Into<When>, fault: Fault) {
        match &self.double {
            Store::Local => {}
            Store::Aws(double) => double.fail(operation, when, fault),
            Store::Gcp(double) => double.fail(operation, when, fault),
            Store::Azure(double) => double.fail(operation, when, fault),
        }
    }

    /// The file and the secret in step.
    pub(super) fn in_step(self, payload: &str) -> Self {
        self.put(payload);
        self.run("sync").expect(0);
        self
    }

    /// Edits the file as its owner would.
    pub(super) fn edit(&self, from: &str, to: &str) {
        let text = self.room.read(".env").unwrap();
        assert!(text.contains(from), "no `{from}` in the file");
        self.room.file(".env", text.replace(from, to));
    }

    #[track_caller]
    fn both_are(&self, wanted: &Value) {
        assert_eq!((&self.json(), &json!(self.room.variables(".env"))), (wanted, wanted), "{}", self.name);
    }
}

/// A call of a sync that writes, after which the secret holds what was merged, and before which the file does not. `moved`:
/// somebody else has written since the base, and what that was is listed first.
fn last_call(name: &str, moved: bool) -> Option<(&'static str, usize)> {
    match name {
        "aws" => Some(("UpdateSecretVersionStage", 2)),
        "azure" => Some(("ListVersions", 2 + usize::from(moved))),
        _ => None,
    }
}

pub(super) fn clouds() -> impl Iterator<Item = Cloud> {
    all().into_iter().filter(|cloud| cloud.name != "local")
}

#[test]
fn both_ways_and_then_nothing_on_every_store() {
    for cloud in all() {
        let cloud = cloud.in_step(OLD);
        cloud.edit("fake-other-one", "fake-other-file");
        let version = cloud.put(r#"{"K":"fake-value-new","OTHER":"fake-other-one","NEW":"fake-new-value"}"#);
        let done = cloud.run("sync").github().expect(0);
        assert_ne!(done.outputs["secret-version"], version);
        cloud.both_are(&json!({"K": "fake-value-new", "OTHER": "fake-other-file", "NEW": "fake-new-value"}));
        let text = cloud.room.read(".env").unwrap();
        let line = text.lines().next().unwrap();
        assert!(line.starts_with(&format!("# envsync:base {} ", cloud.name)), "{line}");
        assert!(line.ends_with(&format!(" {}", done.outputs["secret-version"])), "{line}");
        let (versions, calls) = (cloud.versions(), cloud.calls().len());
        cloud.run("sync").github().expect(0).output("has-changes", "false");
        assert_eq!(cloud.versions(), versions, "{}", cloud.name);
        assert!(cloud.calls().len() <= calls + 1, "a sync without a change is one call: {:?}", &cloud.calls()[calls..]);
        cloud.edit("NEW=fake-new-value\n", "");
        cloud.run("sync").github().input("delete", "true").expect(0).output("removed-keys", r#"["NEW"]"#);
        cloud.both_are(&json!({"K": "fake-value-new", "OTHER": "fake-other-file"}));
    }
}

#[test]
fn a_missing_secret_is_created_and_a_conflict_writes_nothing_on_every_store() {
    for cloud in all() {
        cloud.room.file(".env", "K=fake-value-old\n");
        cloud.run("sync").expect(0);
        cloud.both_are(&json!({"K": "fake-value-old"}));
        cloud.edit("fake-value-old", "fake-value-file");
        cloud.put(r#"{"K":"fake-value-secret"}"#);
        let (versions, text) = (cloud.versions(), cloud.room.read(".env"));
        cloud.run("sync").github().expect(6).output("conflict-keys", r#"["K"]"#);
        assert_eq!((cloud.versions(), cloud.room.read(".env")), (versions, text), "{}", cloud.name);
        cloud.run("sync").input("prefer", "secret").expect(0);
        cloud.both_are(&json!({"K": "fake-value-secret"}));
    }
}

#[test]
fn what_others_write_in_the_gap_is_merged() {
    let rows = [
        ("aws", ["DescribeSecret", "PutSecretValue", "UpdateSecretVersionStage"].map(|call| (call, 1)).to_vec()),
        ("gcp", vec![("AddSecretVersion", 1)]),
        ("azure", vec![("ListVersions", 1), ("GetSecret", 3), ("SetSecret", 1), ("ListVersions", 2)]),
    ];
    let moments = rows.iter().flat_map(|(name, calls)| calls.iter().map(|(call, nth)| (*name, *call, *nth)));
    for (name, call, nth) in moments {
        let start = |theirs: &'static str| {
            let cloud = Arc::new(Cloud::new(name));
            cloud.put(OLD);
            cloud.run("sync").expect(0);
            // What was counted of the first sync is not meant.
            let done = cloud.calls().iter().filter(|done| *done == call).count();
            let nth = if name == "azure" && call == "GetSecret" { nth } else { nth + done };
            cloud.edit("fake-value-old", "fake-value-file");
            let weak = Arc::downgrade(&cloud);
            cloud.on(call, nth, move || {
                if let Some(cloud) = weak.upgrade() {
                    cloud.put(theirs);
                }
            });
            cloud
        };
        // Another variable, nested: it comes back where it was.
        let cloud = start(r#"{"K":"fake-value-old","OTHER":"fake-other-two","db":{"port":5432}}"#);
        let done = cloud.run("sync").github().expect(0);
        let wanted = json!({"K": "fake-value-file", "OTHER": "fake-other-two", "db": {"port": 5432}});
        assert_eq!(cloud.json(), wanted, "{name} {call}");
        assert_eq!(cloud.room.variables(".env")["db_port"], "5432", "{name} {call}");
        assert_eq!(cloud.room.variables(".env")["OTHER"], "fake-other-two", "{name} {call}");
        done.output("updated-keys", r#"["K","OTHER"]"#).output("added-keys", r#"["db_port"]"#);
        cloud.run("sync").github().expect(0).output("has-changes", "false");
        // The same variable: the conflict is seen, and what they wrote stands.
        let theirs = r#"{"K":"fake-value-theirs","OTHER":"fake-other-two"}"#;
        let cloud = start(theirs);
        let before = cloud.room.read(".env");
        let done = cloud.run("sync").github().expect(6);
        done.output("conflict-keys", r#"["K"]"#).says(&["nothing was changed"]);
        assert_eq!(cloud.json(), serde_json::from_str::<Value>(theirs).unwrap(), "{name} {call}");
        assert_eq!(cloud.room.read(".env"), before);
        for (prefer, value) in [("file", "fake-value-file"), ("secret", "fake-value-theirs")] {
            let cloud = start(theirs);
            cloud.run("sync").input("prefer", prefer).expect(0);
            cloud.both_are(&json!({"K": value, "OTHER": "fake-other-two"}));
        }
    }
}

#[test]
fn a_push_says_what_of_others_it_has_written_over() {
    for (name, call) in [("aws", "UpdateSecretVersionStage"), ("gcp", "AddSecretVersion"), ("azure", "SetSecret")] {
        let cloud = Arc::new(Cloud::new(name));
        cloud.put(OLD);
        cloud.room.file(".env", "K=fake-value-file\nOTHER=fake-other-one\n");
        let weak = Arc::downgrade(&cloud);
        let theirs = r#"{"K":"fake-value-theirs","OTHER":"fake-other-two"}"#;
        cloud.on(call, 1, move || drop(weak.upgrade().map(|cloud| cloud.put(theirs))));
        let done = cloud.run("push").expect(0);
        done.says(&["somebody else changed what this push has written over: `K`\n"]);
        assert_eq!(cloud.json(), json!({"K": "fake-value-file", "OTHER": "fake-other-two"}), "{name}");
        let done = cloud.run("push").expect(0);
        assert!(!done.text().contains("somebody else"), "{name}: {}", done.text());
    }
}

#[test]
fn a_file_that_somebody_edits_meanwhile_is_merged_again() {
    for cloud in clouds() {
        let Some((call, nth)) = last_call(cloud.name, true) else { continue };
        let cloud = Arc::new(cloud.in_step(OLD));
        cloud.edit("fake-value-old", "fake-value-file");
        cloud.put(r#"{"K":"fake-value-old","OTHER":"fake-other-two"}"#);
        let done = cloud.calls().iter().filter(|done| *done == call).count();
        let weak = Arc::downgrade(&cloud);
        cloud.on(call, done + nth, move || {
            // Once more the variable that was just written, and a new one.
            if let Some(cloud) = weak.upgrade() {
                cloud.edit("fake-value-file", "fake-value-later");
                cloud.edit("K=", "NEW=fake-new-value\nK=");
            }
        });
        let done = cloud.run("sync").github().expect(0);
        done.output("updated-keys", r#"["K","OTHER"]"#).output("added-keys", r#"["NEW"]"#);
        cloud.both_are(&json!({"K": "fake-value-later", "OTHER": "fake-other-two", "NEW": "fake-new-value"}));
        cloud.run("sync").github().expect(0).output("has-changes", "false");
    }
}

#[test]
fn a_file_that_somebody_edits_all_the_time_fills_no_history() {
    let cloud = Arc::new(Cloud::new("gcp").in_step(OLD));
    cloud.edit("fake-value-old", "fake-value-0");
    let (weak, edits) = (Arc::downgrade(&cloud), AtomicUsize::new(0));
    cloud.on("AddSecretVersion", When::Always, move || {
        if let Some(cloud) = weak.upgrade() {
            let n = edits.fetch_add(1, Ordering::SeqCst);
            cloud.edit(&format!("fake-value-{n}\n"), &format!("fake-value-{}\n", n + 1));
        }
    });
    let done = cloud.run("sync").input("timeout_seconds", "4").expect(8);
    done.says(&["others kept writing `.env` until the time was up"]);
    assert!(cloud.versions() < 40, "{} versions", cloud.versions());
}

#[test]
fn a_conflict_after_the_secret_was_written_says_so() {
    let cloud = Arc::new(Cloud::new("aws").in_step(OLD));
    cloud.edit("fake-value-old", "fake-value-file");
    cloud.edit("K=", "NEW=fake-new-value\nK=");
    let weak = Arc::downgrade(&cloud);
    // The secret is written, the file not yet: both get another value for the same variable.
    cloud.on("UpdateSecretVersionStage", 2, move || {
        if let Some(cloud) = weak.upgrade() {
            cloud.edit("fake-value-file", "fake-value-later");
            cloud.put(r#"{"K":"fake-value-theirs","OTHER":"fake-other-one","NEW":"fake-new-value"}"#);
        }
    });
    let done = cloud.run("sync").github().expect(8);
    done.says(&["the secret `app` was written", "`K` (changed in the file, changed in the secret)"]);
    done.output("conflict-keys", r#"["K"]"#).output("added-keys", r#"["NEW"]"#).output("has-changes", "true");
    assert!(!done.summary.contains("Neither side"), "{}", done.summary);
    assert_eq!(cloud.json()["K"], "fake-value-theirs");
}

#[test]
fn a_write_over_a_version_that_is_disabled_by_then_is_told() {
    let cloud = Arc::new(Cloud::new("gcp").in_step(OLD));
    cloud.edit("fake-value-old", "fake-value-file");
    let weak = Arc::downgrade(&cloud);
    cloud.on("AddSecretVersion", 1, move || {
        let Some(cloud) = weak.upgrade() else { return };
        let version = cloud.put(r#"{"K":"fake-value-old","OTHER":"fake-other-two"}"#);
        if let Store::Gcp(double) = &cloud.double {
            double.set_state("app", &version, VersionState::Disabled);
        }
    });
    let done = cloud.run("sync").github().expect(0);
    assert_eq!(cloud.json()["K"], "fake-value-file");
    done.output("updated-keys", r#"["K"]"#).output("has-changes", "true");
}

#[test]
fn a_plain_write_lists_nothing() {
    let cloud = Cloud::new("azure").in_step(OLD);
    cloud.edit("fake-value-old", "fake-value-file");
    cloud.put(r#"{"K":"fake-value-old","OTHER":"fake-other-two"}"#);
    cloud.fail("ListVersions", When::Always, Fault::AccessDenied);
    cloud.run("sync").input("concurrency", "none").expect(0);
    cloud.both_are(&json!({"K": "fake-value-file", "OTHER": "fake-other-two"}));
}

#[test]
fn a_version_since_the_base_that_is_closed_to_the_run_ends_no_sync() {
    let cloud = Cloud::new("gcp").in_step(OLD);
    cloud.edit("fake-value-old", "fake-value-file");
    cloud.put(r#"{"K":"fake-value-old","OTHER":"fake-other-two"}"#);
    cloud.put(r#"{"K":"fake-value-old","OTHER":"fake-other-three"}"#);
    let done = cloud.calls().iter().filter(|done| *done == "AccessSecretVersion").count();
    // The newest, the base, and the one between.
    cloud.fail("AccessSecretVersion", done + 3, Fault::AccessDenied);
    cloud.run("sync").expect(0);
    assert_eq!(cloud.calls().iter().filter(|call| *call == "AccessSecretVersion").count(), done + 3);
    cloud.both_are(&json!({"K": "fake-value-file", "OTHER": "fake-other-three"}));
}

#[test]
fn what_was_written_over_is_masked_too() {
    for (name, call) in [("gcp", "AddSecretVersion"), ("azure", "SetSecret")] {
        for mode in ["sync", "push"] {
            let cloud = Arc::new(Cloud::new(name).in_step(OLD));
            cloud.edit("fake-value-old", "fake-value-file");
            let weak = Arc::downgrade(&cloud);
            let done = cloud.calls().iter().filter(|done| *done == call).count();
            cloud.on(call, done + 1, move || {
                if let Some(cloud) = weak.upgrade() {
                    cloud.put(r#"{"K":"fake-value-theirs","OTHER":"fake-other-one"}"#);
                }
            });
            let run = cloud.run(mode).github();
            let done = if mode == "sync" { run.expect(6) } else { run.expect(0) };
            assert!(done.masks.iter().any(|mask| mask == "fake-value-theirs"), "{name} {mode}: {}", done.text());
        }
    }
}

#[test]
fn a_failure_after_the_secret_was_written_says_so() {
    for cloud in clouds() {
        let Some((call, nth)) = last_call(cloud.name, false) else { continue };
        let cloud = cloud.in_step(OLD);
        cloud.edit("fake-value-old", "fake-value-file");
        let done = cloud.calls().iter().filter(|done| *done == call).count();
        let path = cloud.room.path(".env");
        cloud.on(call, done + nth, move || {
            std::fs::remove_file(&path).unwrap();
            std::fs::create_dir(&path).unwrap();
        });
        cloud.run("sync").expect(8).says(&["the secret `app` was written", ".env"]);
        assert_eq!(cloud.json()["K"], "fake-value-file", "{}", cloud.name);
    }
}

#[test]
fn the_base_may_be_gone_in_the_ways_of_each_cloud() {
    let gone = |cloud: &Cloud| {
        cloud.put(r#"{"K":"fake-value-old"}"#);
        let done = cloud.run("sync").github().input("delete", "true").expect(0);
        done.says(&["no base", "cannot be read any more"]).output("added-keys", r#"["OTHER"]"#);
        cloud.both_are(&serde_json::from_str(OLD).unwrap());
    };
    for state in [VersionState::Disabled, VersionState::Destroyed] {
        let cloud = Cloud::new("gcp").in_step(OLD);
        if let Store::Gcp(double) = &cloud.double {
            double.put("app", "{}");
            double.set_state("app", "1", state);
        }
        gone(&cloud);
    }
    let cloud = Cloud::new("azure").in_step(OLD);
    if let Store::Azure(double) = &cloud.double {
        let id = double.current_id("app").unwrap();
        double.put("app", "{}");
        double.edit("app", &id, |version| version.enabled = false);
    }
    gone(&cloud);
    let cloud = Cloud::new("aws").in_step(OLD);
    if let Store::Aws(double) = &cloud.double {
        double.purge("app");
    }
    gone(&cloud);
}

#[test]
fn a_base_that_may_not_be_read_is_an_error() {
    for (name, call) in [("aws", "GetSecretValue"), ("gcp", "AccessSecretVersion"), ("azure", "GetSecret")] {
        let cloud = Cloud::new(name).in_step(OLD);
        cloud.put("{}");
        let done = cloud.calls().iter().filter(|done| *done == call).count();
        cloud.fail(call, done + 2, Fault::AccessDenied);
        cloud.run("sync").input("delete", "true").expect(4).says(&["nothing was changed"]);
    }
}

#[test]
fn an_answer_of_google_that_lags_behind_the_base_undoes_nothing() {
    let cloud = Cloud::new("gcp").in_step(OLD);
    cloud.edit("fake-value-old", "fake-value-new");
    cloud.run("sync").expect(0);
    if let Store::Gcp(double) = &cloud.double {
        double.lag("app", 1);
    }
    cloud.run("sync").github().expect(0).output("has-changes", "false").output("secret-version", "2");
    cloud.edit("fake-other-one", "fake-other-new");
    cloud.run("sync").github().expect(0).output("updated-keys", r#"["OTHER"]"#).output("secret-version", "3");
    cloud.both_are(&json!({"K": "fake-value-new", "OTHER": "fake-other-new"}));
}

#[test]
fn a_project_or_a_vault_of_its_own_is_another_secret() {
    let cloud = Cloud::new("gcp").in_step(OLD);
    if let Store::Gcp(double) = &cloud.double {
        double.add_project("second", "987654321098");
        double.put("projects/second/secrets/app", r#"{"K":"fake-value-old"}"#);
    }
    let done = cloud.run("sync").input("gcp_project", "second").input("delete", "true").expect(0);
    done.says(&["names another secret"]);
    cloud.both_are(&serde_json::from_str(OLD).unwrap());
}

/// Kills the run when the secret is written and the file is not, and waits for its end.
fn kill_between(cloud: &Cloud, run: &Run) {
    let before = cloud.versions();
    let child: Arc<Mutex<Option<Child>>> = Arc::default();
    if let Some((call, nth)) = last_call(cloud.name, true) {
        let done = cloud.calls().iter().filter(|done| *done == call).count();
        let child = Arc::clone(&child);
        cloud.on(call, done + nth, move || {
            let mut child = child.lock().unwrap();
            child.as_mut().unwrap().kill().unwrap();
        });
    } else {
        // It is done, and the answer takes its time.
        let done = cloud.calls().iter().filter(|done| *done == "AddSecretVersion").count();
        cloud.fail("AddSecretVersion", done + 1, Fault::Slow(Duration::from_secs(600)));
    }
    let mut command = run.command().0;
    // Held until the child is there: the hook waits for it.
    let mut slot = child.lock().unwrap();
    *slot = Some(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    drop(slot);
    let given_up = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < given_up, "{}: it was not killed", cloud.name);
        let mut slot = child.lock().unwrap();
        let child = slot.as_mut().unwrap();
        if last_call(cloud.name, true).is_none() && cloud.versions() > before {
            child.kill().unwrap();
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert_eq!(status.code(), None, "{}: it should have been killed", cloud.name);
            return;
        }
        drop(slot);
        sleep(Duration::from_millis(2));
    }
}

#[test]
fn killed_between_the_secret_and_the_file_the_next_sync_ends_with_both_equal() {
    // What the owner of the file does to it before, what somebody else does to the secret, and to the secret after the kill.
    let file = "K=fake-value-file\nBOTH=fake-both-new\nADDED=fake-added-value\n";
    let secret = r#"{"K":"fake-value-old","OTHER":"fake-other-new","BOTH":"fake-both-new","OWN":"fake-own-value"}"#;
    let start = r#"{"K":"fake-value-old","OTHER":"fake-other-one","BOTH":"fake-both-old","GONE":"fake-gone-value"}"#;
    for delete in ["true", "false"] {
        for cloud in clouds() {
            let cloud = cloud.in_step(start);
            let text = cloud.room.read(".env").unwrap();
            let line = text.lines().next().unwrap();
            let text = format!("{line}\n{file}OTHER=fake-other-one\n");
            cloud.room.file(".env", &text);
            cloud.put(secret);
            let run = cloud.run("sync").input("delete", delete);
            kill_between(&cloud, &run);
            assert_eq!(cloud.room.read(".env").unwrap(), text, "{}", cloud.name);
            let versions = cloud.versions();
            let mut wanted = json!({
                "K": "fake-value-file", "OTHER": "fake-other-new", "BOTH": "fake-both-new",
                "OWN": "fake-own-value", "ADDED": "fake-added-value",
            });
            assert_eq!(cloud.json(), wanted, "{}", cloud.name);
            // In between, somebody goes on.
            wanted["OWN"] = json!("fake-own-later");
            cloud.put(&wanted.to_string());
            cloud.run("sync").input("delete", delete).expect(0);
            cloud.both_are(&wanted);
            assert_eq!(cloud.versions(), versions + 1, "{}: nothing was left to tell the secret", cloud.name);
            cloud.run("sync").github().expect(0).output("has-changes", "false");
        }
    }
}

#[test]
fn on_local_every_moment_of_a_kill_ends_well() {
    let room = Room::new();
    let run = || room.run().plain().input("mode", "sync").input("delete", "true");
    let many = |generation: usize| (0..60).map(|n| format!("KEY_{n}=fake-{generation}-{n}\n")).collect::<String>();
    room.file(".env", many(0));
    run().expect(0);
    for nth in 1..25 {
        let text = room.read(".env").unwrap();
        let edited = text.replace(&format!("fake-{}-", nth - 1), &format!("fake-{nth}-"));
        room.file(".env", edited);
        let mut child = run().command().0.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let known = room.versions("app").len();
        let given_up = Instant::now() + Duration::from_millis(u64::try_from(nth).unwrap() % 20);
        while room.versions("app").len() == known && Instant::now() < given_up {}
        child.kill().unwrap();
        child.wait().unwrap();
        let done = run().expect(0);
        assert!(!done.text().contains("conflict"), "{}", done.text());
        assert_eq!(room.json("app"), json!(room.variables(".env")));
        assert_eq!(room.variables(".env")["KEY_59"], format!("fake-{nth}-59"));
    }
}

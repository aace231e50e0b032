//! One secret a variable, by a pattern: the same on all four stores, and what each cloud has for itself.

mod aws;
mod azure;
mod faults;
mod gcp;

use std::sync::Arc;

use envsync_doubles::aws::{REGION, SecretsManager};
use envsync_doubles::azure::{ACCESS_TOKEN, KeyVault};
use envsync_doubles::gcp::{PROJECT, SecretManager};
use envsync_doubles::{Double, Fault, When};

use super::harness::{Room, Run};

/// A store of its own and a workspace; the pattern is `app-*`.
struct Cloud {
    room: Arc<Room>,
    store: Store,
}

enum Store {
    Local,
    Aws(Double<SecretsManager>),
    Gcp(Double<SecretManager>),
    Azure(Double<KeyVault>),
}

/// On every one of the doubles.
macro_rules! on_double {
    ($cloud:expr, $double:ident => $what:expr, $local:expr) => {
        match &$cloud.store {
            Store::Local => $local,
            Store::Aws($double) => $what,
            Store::Gcp($double) => $what,
            Store::Azure($double) => $what,
        }
    };
}
use on_double;

impl Cloud {
    fn new(store: Store) -> Self {
        let room = Room::new();
        if let Store::Azure(double) = &store {
            std::fs::write(room.path("ca.pem"), double.ca_pem()).unwrap();
        }
        Self { room, store }
    }

    fn clouds() -> [Self; 3] {
        [Store::Aws(SecretsManager::start()), Store::Gcp(SecretManager::start()), Store::Azure(KeyVault::start())]
            .map(Self::new)
    }

    fn all() -> Vec<Self> {
        let mut all = vec![Self::new(Store::Local)];
        all.extend(Self::clouds());
        all
    }

    fn name(&self) -> &'static str {
        match &self.store {
            Store::Local => "local",
            Store::Aws(_) => "aws",
            Store::Gcp(_) => "gcp",
            Store::Azure(_) => "azure",
        }
    }

    fn run(&self, mode: &str) -> Run {
        let run = self.room.run().github().input("mode", mode).input("secret", "app-*").input("timeout_seconds", "60");
        let inputs: Vec<(&str, String)> = match &self.store {
            Store::Local => Vec::new(),
            Store::Aws(double) => vec![
                ("aws_region", REGION.to_owned()),
                ("aws_access_key_id", "AKIAFAKEFAKEFAKEFAKE".to_owned()),
                ("aws_secret_access_key", "fake-secret-access-key".to_owned()),
                ("aws_endpoint_url", double.url()),
            ],
            Store::Gcp(double) => vec![
                ("gcp_project", PROJECT.to_owned()),
                ("gcp_access_token", "ya29.fake-access-token".to_owned()),
                ("gcp_endpoint", double.url()),
            ],
            Store::Azure(double) => vec![
                ("azure_vault", double.url()),
                ("azure_access_token", ACCESS_TOKEN.to_owned()),
                ("ca_file", "ca.pem".to_owned()),
            ],
        };
        let run = run.input("provider", self.name());
        inputs.iter().fold(run, |run, (name, value)| run.input(name, value))
    }

    /// A push of these lines.
    fn push(&self, lines: &str) -> Run {
        self.room.file(".env", lines);
        self.run("push")
    }

    /// The secret that a variable goes into.
    fn secret(&self, variable: &str) -> String {
        let star = if matches!(self.store, Store::Azure(_)) { variable.replace('_', "-") } else { variable.to_owned() };
        format!("app-{star}")
    }

    /// A new version of a secret, by its whole name.
    fn put(&self, secret: &str, value: &str) {
        self.room.secret_value(value);
        on_double!(self, double => drop(double.put(secret, value)), drop(self.room.seed(secret, value)));
    }

    fn seed(&self, pairs: &[(&str, &str)]) {
        pairs.iter().for_each(|(variable, value)| self.put(&self.secret(variable), value));
    }

    /// So many secrets, `N000` with the value `fake-value-000` and so on.
    fn seed_many(&self, count: usize) {
        for n in 0..count {
            self.put(&self.secret(&format!("N{n:03}")), &format!("fake-value-{n:03}"));
        }
    }

    fn get(&self, variable: &str) -> Option<String> {
        let secret = self.secret(variable);
        on_double!(self, double => double.current(&secret), self.room.versions(&secret).pop())
    }

    fn versions(&self, variable: &str) -> usize {
        let secret = self.secret(variable);
        on_double!(self, double => double.versions(&secret).len(), self.room.versions(&secret).len())
    }

    fn fail_for(&self, operation: &str, part: &str, when: When, fault: Fault) {
        on_double!(self, double => double.fail_for(operation, part, when, fault), panic!("no double"));
    }

    fn count(&self, operation: &str) -> usize {
        on_double!(self, double => double.count(operation), panic!("no double"))
    }

    /// The call that reads a value.
    fn reading(&self) -> &'static str {
        match &self.store {
            Store::Local => panic!("no calls"),
            Store::Aws(_) => "BatchGetSecretValue",
            Store::Gcp(_) => "AccessSecretVersion",
            Store::Azure(_) => "GetSecret",
        }
    }

    /// The call that makes a version of a secret that exists.
    fn writing(&self) -> &'static str {
        match &self.store {
            Store::Local => panic!("no calls"),
            Store::Aws(_) => "PutSecretValue",
            Store::Gcp(_) => "AddSecretVersion",
            Store::Azure(_) => "SetSecret",
        }
    }
}

fn lines(count: usize) -> String {
    (0..count).map(|n| format!("N{n:03}=fake-value-{n:03}\n")).collect()
}

const THREE: &str = "DB_URL=fake-db-url\nport=fake-5432\nX9=\"fake line one\nfake line two\"\n";

#[test]
fn what_is_pushed_is_pulled() {
    for cloud in Cloud::all() {
        cloud.push(THREE).expect(0).output("added-keys", r#"["DB_URL","port","X9"]"#).output("has-changes", "true");
        assert_eq!(cloud.get("DB_URL").as_deref(), Some("fake-db-url"), "{}", cloud.name());
        assert_eq!(cloud.get("X9").as_deref(), Some("fake line one\nfake line two"));
        cloud.run("check").expect(0).output("has-drift", "false");
        cloud.run("pull").input("env_file", "new.env").expect(0);
        assert_eq!(cloud.room.variables("new.env"), cloud.room.variables(".env"), "{}", cloud.name());
    }
}

#[test]
fn only_what_changed_is_written() {
    for cloud in Cloud::all() {
        cloud.push(THREE).expect(0);
        let done = cloud.push("DB_URL=fake-db-url\nport=fake-5433\nNEW_ONE=fake-new\n").expect(0);
        done.output("updated-keys", r#"["port"]"#).output("added-keys", r#"["NEW_ONE"]"#);
        done.output("unchanged-keys", r#"["DB_URL","X9"]"#);
        let counts = ["DB_URL", "port", "X9", "NEW_ONE"].map(|variable| cloud.versions(variable));
        assert_eq!(counts, [1, 2, 1, 1], "{}", cloud.name());
        assert_eq!(cloud.get("port").as_deref(), Some("fake-5433"));
        cloud.run("push").expect(0).output("has-changes", "false");
        assert_eq!(cloud.versions("port"), 2, "a push without a change makes no version");
    }
}

#[test]
fn the_versions_are_in_the_order_of_the_names() {
    for cloud in [Cloud::new(Store::Local), Cloud::new(Store::Gcp(SecretManager::start()))] {
        cloud.seed(&[("A", "fake-a1"), ("A", "fake-a2"), ("B", "fake-b1")]);
        cloud.run("pull").expect(0).output("all-keys", r#"["A","B"]"#).output("secret-version", "2\n1");
        cloud
            .push("B=fake-b2\nA=fake-a2\nC=fake-c1\n")
            .expect(0)
            .output("all-keys", r#"["B","A","C"]"#)
            .output("secret-version", "2\n2\n1");
    }
}

#[test]
fn a_dry_push_writes_nothing_and_shows_the_same_plan() {
    for cloud in Cloud::all() {
        cloud.seed(&[("A", "fake-old-a")]);
        let dry = cloud.push("A=fake-new-a\nB=fake-new-b\n").input("dry_run", "true").expect(0);
        assert_eq!((cloud.get("A").as_deref(), cloud.get("B")), (Some("fake-old-a"), None), "{}", cloud.name());
        let real = cloud.run("push").expect(0);
        for output in ["added-keys", "updated-keys", "unchanged-keys"] {
            assert_eq!(dry.keys(output), real.keys(output), "{}", cloud.name());
        }
    }
}

#[test]
fn a_check_sees_both_directions_and_include_and_exclude_bound_it() {
    for cloud in Cloud::all() {
        cloud.seed(&[("A", "fake-a"), ("B", "fake-b"), ("LOCAL_X", "fake-x")]);
        cloud.room.file(".env", "A=fake-other\nC=fake-c\n");
        let done = cloud.run("check").input("exclude", "LOCAL_*").expect(6);
        done.output("updated-keys", r#"["A"]"#).output("added-keys", r#"["B"]"#).output("removed-keys", r#"["C"]"#);
        cloud.run("pull").input("include", "B").input("env_file", "b.env").expect(0);
        assert_eq!(cloud.room.variables("b.env").len(), 1, "{}", cloud.name());
        cloud.run("push").input("include", "C").expect(0).output("all-keys", r#"["C"]"#);
        assert_eq!(cloud.get("A").as_deref(), Some("fake-a"));
    }
}

#[test]
fn names_are_those_of_variables() {
    for cloud in Cloud::all() {
        cloud.seed(&[("GOOD", "fake-good")]);
        cloud.put("app-db-url", "fake-url");
        cloud.put("app-1st", "fake-first");
        let done = cloud.run("pull").expect(2);
        done.says(&["app-1st", "nothing was changed", "exclude"]);
        assert_eq!(cloud.room.read(".env"), None);
        cloud.run("pull").input("exclude", "1*").expect(0).output("all-keys", r#"["GOOD","db_url"]"#);
        // What a pull takes from a secret goes back into the same one.
        cloud.push("db_url=fake-url-new\n").expect(0);
        assert_eq!(
            on_double!(cloud, d => d.current("app-db-url"), cloud.room.versions("app-db-url").pop()).as_deref(),
            Some("fake-url-new"),
            "{}",
            cloud.name()
        );
        cloud.run("pull").input("add_prefix", "P_").input("case", "upper").input("env_file", "p.env").expect(0);
        assert_eq!(cloud.room.variables("p.env").keys().cloned().collect::<Vec<_>>(), ["P_1ST", "P_DB_URL", "P_GOOD"]);
    }
}

#[test]
fn two_secrets_of_one_name_collide() {
    for cloud in Cloud::all().into_iter().filter(|cloud| cloud.name() != "azure") {
        cloud.put("app-a-b", "fake-minus");
        cloud.put("app-a_b", "fake-under");
        for mode in ["pull", "push"] {
            cloud.room.file(".env", "a_b=fake-file\n");
            let done = cloud.run(mode).expect(2);
            done.says(&["app-a-b", "app-a_b", "`a_b`", "nothing was changed"]);
            assert_eq!((cloud.versions("a_b"), cloud.room.read(".env").as_deref()), (1, Some("a_b=fake-file\n")));
        }
        cloud.run("pull").input("on_collision", "last").expect(0);
        assert_eq!(cloud.room.variables(".env")["a_b"], "fake-under", "{}", cloud.name());
    }
}

#[test]
fn without_a_match_there_is_nothing() {
    for cloud in Cloud::all() {
        cloud.put("other-A", "fake-other");
        cloud.put("Xapp-A", "fake-other");
        cloud.room.file(".env", "A=fake-a\n");
        for mode in ["pull", "check"] {
            cloud.run(mode).expect(5).says(&["app-*", "nothing was changed", "help: "]);
        }
        let done = cloud.run("push").input("create", "false").expect(5);
        done.says(&["app-A", "nothing was changed"]);
        cloud.run("push").input("delete", "true").expect(2).says(&["never deletes a secret"]);
        assert_eq!(cloud.get("A"), None, "{}", cloud.name());
    }
}

#[test]
fn a_secret_that_may_not_be_created_is_told_before_the_first_write() {
    for cloud in Cloud::all() {
        cloud.seed(&[("A", "fake-old-a"), ("B", "fake-old-b")]);
        let done = cloud.push("A=fake-new-a\nNEW_ONE=fake-new\nB=fake-new-b\n").input("create", "false").expect(5);
        done.says(&[&cloud.secret("NEW_ONE"), "nothing was changed", "`create`"]);
        let now = ["A", "B", "NEW_ONE"].map(|variable| cloud.get(variable));
        assert_eq!(now, [Some("fake-old-a".into()), Some("fake-old-b".into()), None], "{}", cloud.name());
    }
}

#[test]
fn what_a_store_cannot_hold_is_refused_before_the_first_write() {
    for cloud in Cloud::all() {
        let holds_empty = ["local", "azure"].contains(&cloud.name());
        let run = cloud.push("A=fake-a\nEMPTY=\n");
        if holds_empty {
            run.expect(0);
            assert_eq!(cloud.get("EMPTY").as_deref(), Some(""));
            cloud.run("pull").input("env_file", "p.env").expect(0);
            assert_eq!(cloud.room.variables("p.env")["EMPTY"], "");
        } else {
            run.expect(2).says(&["`EMPTY` is empty", "nothing was changed", "exclude"]);
            assert_eq!(cloud.get("A"), None, "{}", cloud.name());
        }
        if cloud.name() != "local" {
            let large = "x".repeat(70_000);
            let done = cloud.push(&format!("B=fake-b\nLARGE={large}\n")).expect(2);
            done.says(&[cloud.secret("LARGE").as_str(), "bytes", "nothing was changed"]);
            assert_eq!(cloud.get("B"), None, "{}", cloud.name());
        }
    }
}

#[test]
fn a_pattern_and_other_entries_keep_their_order() {
    for cloud in Cloud::all() {
        cloud.seed(&[("Z", "fake-z"), ("A", "fake-a")]);
        cloud.put("doc", r#"{"M":"fake-m"}"#);
        cloud.put("plain", "fake-plain");
        let entries = "P = plain\napp-*\ndoc\nQ = doc#M";
        let done = cloud.run("pull").input("secret", entries).expect(0);
        done.output("all-keys", r#"["P","A","Z","M","Q"]"#);
        let collide = cloud.run("pull").input("secret", "app-*\nA = plain").input("env_file", "c.env").expect(2);
        collide.says(&[cloud.secret("A").as_str(), "A = plain", "`A`"]);
        cloud.run("pull").input("secret", "app-*\nA = plain").input("on_collision", "last").expect(0);
        assert_eq!(cloud.room.variables(".env")["A"], "fake-plain", "{}", cloud.name());
    }
}

//! Others write the same secret while we do: nothing that anybody wrote is lost, and no version is made twice.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use envsync_doubles::gcp::{SecretManager, VersionState};
use envsync_doubles::{Fault, Handle, When};
use serde_json::{Value, json};

use super::{ACCESS, ADD, APP, CREATE, Cloud, LIST};

/// What another writer does that reads, changes one member, and writes.
fn set(double: &Handle<SecretManager>, key: &str, value: &str) {
    let mut json: Value = serde_json::from_str(&double.current("app").expect("a text")).expect("JSON");
    json[key] = json!(value);
    double.put("app", &json.to_string());
}

#[test]
fn foreign_versions_at_any_two_steps_stay() {
    let mut met = 0;
    // Without a repair a push is two calls; with one, what lay between is read, the newest is read again, and written.
    for (first, second) in (1..=5).flat_map(|first| (first + 1..=8).map(move |second| (first, second))) {
        let cloud = Cloud::with(&[APP]);
        let mut fired = Vec::new();
        for (step, key) in [(first, "FIRST"), (second, "SECOND")] {
            let count = Arc::new(AtomicUsize::new(0));
            fired.push((key, Arc::clone(&count)));
            cloud.double.on("*", step, move |double| {
                count.fetch_add(1, Ordering::SeqCst);
                set(double, key, "fake-foreign");
            });
        }
        cloud.push("A=fake-new-a\n").expect(0);
        let mut expected = json!({"A": "fake-new-a", "B": "fake-value-b"});
        for (key, count) in &fired {
            if count.load(Ordering::SeqCst) > 0 {
                expected[key] = json!("fake-foreign");
                met += 1;
            }
        }
        assert_eq!(cloud.json(), expected, "steps {first} and {second}: {:?}", cloud.double.calls());
    }
    assert!(met >= 12, "only {met} versions came in between");
}

/// What is put back is planned anew once the past was read.
#[test]
fn what_changed_again_while_it_was_put_back_is_not_lost() {
    let cloud = Cloud::with(&[r#"{"B":"fake-value-b"}"#]);
    cloud.double.on(ADD, 1, |double| {
        double.put("app", r#"{"A":"fake-a-one","B":"fake-value-b"}"#);
    });
    cloud.double.on(ADD, 2, |double| {
        double.put("app", r#"{"A":"fake-a-two","B":"fake-b-two"}"#);
    });
    cloud.push("E=fake-new-e\n").expect(0);
    assert_eq!(cloud.json(), json!({"A": "fake-a-two", "B": "fake-b-two", "E": "fake-new-e"}));
}

#[test]
fn two_foreign_versions_before_our_write_are_both_brought_in() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.on(ADD, 1, |double| {
        // Neither knows of the other: each started from the first version.
        double.put("app", r#"{"A":"fake-value-a","B":"fake-value-b","C":"fake-value-c"}"#);
        double.put("app", r#"{"A":"fake-value-a","B":"fake-foreign-b"}"#);
    });
    let done = cloud.push("A=fake-new-a\n").expect(0);
    done.output("secret-version", "5").output("updated-keys", r#"["A"]"#);
    assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-foreign-b", "C": "fake-value-c"}));
    assert_eq!(cloud.double.calls(), [ACCESS, ADD, ACCESS, ACCESS, ACCESS, ADD]);
}

#[test]
fn of_two_writers_of_one_variable_one_wins_and_the_rest_stays() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.on(ADD, 1, |double| {
        double.put("app", r#"{"A":"fake-foreign-a","B":"fake-value-b","C":"fake-value-c"}"#);
    });
    cloud.push("A=fake-new-a\n").expect(0);
    assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-value-b", "C": "fake-value-c"}));
}

/// What a writer did that started from the first version and has seen nothing of what came after it.
fn from_the_first_version(cloud: &Cloud) {
    cloud.double.on(ADD, 1, |double| {
        double.put("app", r#"{"A":"fake-value-a","B":"fake-foreign-b"}"#);
    });
}

#[test]
fn what_a_writer_from_an_older_version_did_not_change_is_no_change_back() {
    for versions_between in [0, 30, 100] {
        let cloud = Cloud::with(&[APP]);
        set(&cloud.double, "A", "fake-new-a");
        for n in 0..versions_between {
            set(&cloud.double, "C", &format!("fake-value-{n}"));
        }
        from_the_first_version(&cloud);
        let theirs = versions_between + 3;
        cloud.push("E=fake-new-e\n").expect(0).says(&[&format!("the later one stays: `A` (version {theirs})")]);
        let json = cloud.json();
        let held = ["A", "B", "E"].map(|key| json[key].as_str().unwrap_or_default().to_owned());
        assert_eq!(held, ["fake-new-a", "fake-foreign-b", "fake-new-e"], "{versions_between} versions between");
    }
}

/// A crowd writes over each other's changes and brings them back in again and again: what matters came first.
#[test]
fn a_value_that_comes_and_goes_in_a_crowd_is_told_from_the_one_before_it_however_long_that_lasts() {
    for versions_between in [40, 300, 701] {
        let cloud = Cloud::with(&[APP]);
        for n in 0..versions_between {
            set(&cloud.double, "A", if n % 2 == 0 { "fake-new-a" } else { "fake-value-a" });
        }
        set(&cloud.double, "A", "fake-new-a");
        from_the_first_version(&cloud);
        cloud.push("E=fake-new-e\n").expect(0);
        let wanted = json!({"A": "fake-new-a", "B": "fake-foreign-b", "E": "fake-new-e"});
        assert_eq!(cloud.json(), wanted, "{versions_between} versions between");
    }
}

#[test]
fn where_the_past_cannot_be_read_it_is_said_what_may_be_hidden() {
    let faults = [(Fault::AccessDenied, "secretmanager.versions.access"), (Fault::Html(500), "HTTP status 500")];
    for (fault, why) in faults {
        let cloud = Cloud::with(&[APP]);
        set(&cloud.double, "A", "fake-new-a");
        from_the_first_version(&cloud);
        // The version that was read, theirs, the newest; then the past.
        for nth in 4..12 {
            cloud.double.fail(ACCESS, nth, fault.clone());
        }
        let done = cloud.push("E=fake-new-e\n").expect(8);
        done.says(&[
            "the secret `app` was written (version 4)",
            "may hide what others wrote into `app` as version `3`",
        ]);
        done.says(&[why]);
    }
    // A version that is disabled or destroyed says nothing, and holds nobody up.
    let cloud = Cloud::with(&[APP, APP]);
    set(&cloud.double, "A", "fake-new-a");
    cloud.double.set_state("app", "2", VersionState::Disabled);
    from_the_first_version(&cloud);
    cloud.push("E=fake-new-e\n").expect(0);
    assert_eq!(cloud.json()["A"], "fake-new-a");
}

#[test]
fn only_a_race_for_what_was_there_is_looked_back_for_and_not_over_the_whole_past() {
    let cloud = Cloud::with(&[APP]);
    for n in 0..600 {
        set(&cloud.double, "C", &format!("fake-value-{n}"));
    }
    // What another one adds is there or not.
    cloud.double.on(ADD, 1, |double| set(double, "D", "fake-new-d"));
    cloud.push("E=fake-new-e\n").expect(0);
    assert_eq!(cloud.double.count(ACCESS), 3, "the read, their version, and the newest once more");
    cloud.double.on(ADD, 3, |double| set(double, "B", "fake-foreign-b"));
    cloud.push("F=fake-new-f\n").expect(0);
    let reads = cloud.double.count(ACCESS) - 3;
    assert!((250..=260).contains(&reads), "{reads} reads");
    assert_eq!(cloud.json()["B"], "fake-foreign-b");
}

/// A version number or a time of the last deployment, say.
#[test]
fn a_variable_that_every_version_changed_is_not_looked_back_for_any_farther() {
    let cloud = Cloud::with(&[APP]);
    for n in 0..600 {
        set(&cloud.double, "C", &format!("fake-value-{n}"));
    }
    cloud.double.on(ADD, 1, |double| set(double, "C", "fake-foreign-c"));
    cloud.push("E=fake-new-e\n").expect(0);
    let reads = cloud.double.count(ACCESS);
    assert!((250..=260).contains(&reads), "{reads} reads");
    assert_eq!(cloud.json()["C"], "fake-foreign-c");
}

#[test]
fn an_older_version_whose_key_is_gone_keeps_no_race_from_being_mended() {
    let cloud = Cloud::with(&[APP]);
    set(&cloud.double, "C", "fake-value-c");
    set(&cloud.double, "A", "fake-new-a");
    from_the_first_version(&cloud);
    // After the read, theirs, and the newest.
    cloud.double.fail(ACCESS, 4, Fault::Kms);
    cloud.push("E=fake-new-e\n").expect(0);
    let held = ["A", "B", "C", "E"].map(|key| cloud.json()[key].clone());
    assert_eq!(held, ["fake-new-a", "fake-foreign-b", "fake-value-c", "fake-new-e"]);
    assert_eq!(cloud.double.count(ACCESS), 5, "both versions before were asked for");
}

#[test]
fn where_another_run_pushes_the_same_nothing_is_looked_back_for() {
    let cloud = Cloud::with(&[APP]);
    for n in 0..10 {
        set(&cloud.double, "C", &format!("fake-value-{n}"));
    }
    cloud.double.on(ADD, 1, |double| set(double, "A", "fake-new-a"));
    let done = cloud.push("A=fake-new-a\n").expect(0);
    assert!(!done.text().contains("somebody else changed"), "{}", done.text());
    assert_eq!(
        cloud.double.calls(),
        [ACCESS, ADD, ACCESS, ACCESS],
        "the read, the write, their version, and the newest"
    );
    assert_eq!(cloud.json()["A"], "fake-new-a");
}

#[test]
fn what_a_foreign_version_lacks_is_no_removal() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.on(ADD, 1, |double| {
        double.put("app", r#"{"A":"fake-value-a"}"#);
    });
    cloud.push("A=fake-new-a\n").expect(0);
    assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-value-b"}));
}

#[test]
fn a_foreign_version_that_was_disabled_is_not_brought_in() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.on(ADD, 1, |double| {
        let version = double.put("app", r#"{"A":"fake-value-a","BAD":"fake-bad"}"#);
        double.set_state("app", &version, VersionState::Disabled);
    });
    cloud.push("A=fake-new-a\n").expect(0).output("secret-version", "3");
    assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-value-b"}));
}

#[test]
fn a_foreign_version_that_cannot_be_read_is_named() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.on(ADD, 1, |double| {
        double.put("app", r#"{"C":"fake-value-c"}"#);
    });
    cloud.double.fail(ACCESS, 2, Fault::AccessDenied);
    cloud.push("A=fake-new-a\n").expect(8).says(&["app?version=2"]);
}

#[test]
fn without_protection_it_is_one_plain_write() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.on(ADD, 1, |double| {
        double.put("app", r#"{"C":"fake-value-c"}"#);
    });
    cloud.push("A=fake-new-a\n").input("concurrency", "none").expect(0).output("secret-version", "3");
    cloud.calls(&[ACCESS, ADD]);
    assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-value-b"}));
}

#[test]
fn a_secret_that_others_create_at_the_same_moment_takes_both() {
    for (operation, nth) in [(ADD, 1), (CREATE, 1), (ADD, 2)] {
        let cloud = Cloud::new();
        cloud.double.on(operation, nth, |double| {
            double.put("app", r#"{"C":"fake-value-c"}"#);
        });
        cloud.push("A=fake-new-a\n").expect(0);
        assert_eq!(cloud.json(), json!({"A": "fake-new-a", "C": "fake-value-c"}), "{operation} {nth}");
    }
}

#[test]
fn a_secret_that_is_deleted_and_made_anew_keeps_what_it_holds_by_then() {
    let cloud = Cloud::with(&[APP, APP, APP]);
    cloud.double.on(ADD, 1, |double| {
        double.purge("app");
        double.put("app", r#"{"C":"fake-value-c"}"#);
    });
    cloud.push("A=fake-new-a\n").expect(0);
    assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-value-b", "C": "fake-value-c"}));
}

#[test]
fn a_latest_that_lags_hides_nothing() {
    let cloud = Cloud::with(&[APP, r#"{"A":"fake-value-a","B":"fake-foreign-b","C":"fake-value-c"}"#]);
    cloud.double.lag("app", 1);
    let done = cloud.push("A=fake-new-a\n").expect(0);
    assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-foreign-b", "C": "fake-value-c"}));
    // The first write, and the one that brought the unseen version in.
    done.output("secret-version", "4");
    assert_eq!(cloud.double.versions("app").len(), 4);
}

#[test]
fn a_write_that_nobody_answered_for_is_not_made_twice() {
    for fault in [Fault::ResetAfter, Fault::Truncate] {
        let cloud = Cloud::with(&[APP]);
        cloud.double.fail(ADD, 1, fault.clone());
        cloud.push("A=fake-new-a\n").expect(0).output("secret-version", "2");
        assert_eq!(cloud.double.versions("app"), ["1", "2"], "{fault:?}");
        assert_eq!(cloud.double.count(ADD), 1);
    }
    // A first version, and the creation before it.
    for (operation, nth) in [(ADD, 2), (CREATE, 1)] {
        let cloud = Cloud::new();
        cloud.double.fail(operation, nth, Fault::ResetAfter);
        cloud.push("A=fake-new-a\n").expect(0).output("secret-version", "1");
        assert_eq!(cloud.double.versions("app"), ["1"], "{operation}");
    }
}

#[test]
fn a_write_that_nobody_answered_for_is_found_behind_a_foreign_one() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.on(ADD, 1, |double| set(double, "C", "fake-value-c"));
    cloud.double.fail(ADD, 1, Fault::ResetAfter);
    cloud.push("A=fake-new-a\n").expect(0).output("secret-version", "4");
    assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-value-b", "C": "fake-value-c"}));
}

#[test]
fn a_foreign_version_that_equals_ours_hides_no_other_one() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.on(ADD, 1, |double| {
        double.put("app", r#"{"A":"fake-new-a","B":"fake-value-b"}"#);
        set(double, "C", "fake-value-c");
    });
    cloud.double.fail(ADD, 1, Fault::ResetAfter);
    cloud.push("A=fake-new-a\n").expect(0).output("secret-version", "5");
    assert_eq!(cloud.double.payload("app", "4"), cloud.double.payload("app", "2"));
    assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-value-b", "C": "fake-value-c"}));
}

#[test]
fn our_own_version_counts_where_a_latest_that_lags_cannot_be_read() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.on(ADD, 1, |double| {
        double.put("app", r#"{"A":"fake-value-a","C":"fake-value-c"}"#);
        let version = double.put("app", "{}");
        double.set_state("app", &version, VersionState::Disabled);
        double.lag("app", 1);
    });
    cloud.push("A=fake-new-a\n").expect(0).output("secret-version", "5");
    assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-value-b", "C": "fake-value-c"}));
    assert_eq!(cloud.double.count(LIST), 0);
}

#[test]
fn a_creation_of_unknown_fate_is_said_to_be_one() {
    // It was made by the call that nobody answered; what follows is refused.
    let cloud = Cloud::new();
    cloud.double.fail(CREATE, 1, Fault::ResetAfter);
    cloud.double.fail(ADD, 2, Fault::AccessDenied);
    let done = cloud.push("A=fake-new-a\n").expect(8);
    done.says(&["the secret `app` may have been created", "secretmanager.versions.add"]);
    assert_eq!(cloud.double.count(CREATE), 2);
    // The same, and the second creation is refused.
    let cloud = Cloud::new();
    cloud.double.fail(CREATE, 1, Fault::ResetAfter);
    cloud.double.fail(CREATE, 2, Fault::AccessDenied);
    cloud.push("A=fake-new-a\n").expect(8).says(&["the secret `app` may have been created"]);
}

#[test]
fn a_write_that_did_not_arrive_is_made_again() {
    for fault in [Fault::ResetBefore, Fault::Garbage, Fault::Html(502), Fault::status(503, "UNAVAILABLE", "fake")] {
        let cloud = Cloud::with(&[APP]);
        cloud.double.fail(ADD, When::Next(1), fault.clone());
        cloud.push("A=fake-new-a\n").expect(0).output("secret-version", "2");
        assert_eq!((cloud.double.count(ADD), cloud.double.versions("app").len()), (2, 2), "{fault:?}");
    }
}

#[test]
fn a_write_that_is_answered_too_late_is_not_made_twice() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.fail(ADD, 1, Fault::Slow(Duration::from_secs(30)));
    cloud.push("A=fake-new-a\n").expect(0).output("secret-version", "2");
    assert_eq!((cloud.double.count(ADD), cloud.double.versions("app").len()), (1, 2));
}

#[test]
fn a_write_of_unknown_fate_is_said_to_be_one() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.fail(ADD, 1, Fault::ResetAfter);
    for nth in 2..30 {
        cloud.double.fail(ACCESS, nth, Fault::AccessDenied);
    }
    let done = cloud.push("A=fake-new-a\n").expect(8);
    done.says(&["the secret `app` may have been written", "nobody knows whether version 2"]);
    assert_eq!(cloud.double.versions("app").len(), 2);
    // Cut off while nobody answers.
    let cloud = Cloud::with(&[APP]);
    cloud.double.fail(ADD, 1, Fault::Hang);
    let done = cloud.push("A=fake-new-a\n").input("timeout_seconds", "2").expect(8);
    done.says(&["the secret `app` may have been written"]);
}

#[test]
fn what_was_done_before_a_failure_is_said() {
    let cloud = Cloud::new();
    // The first call finds no secret; the ones after its creation are refused.
    cloud.double.fail(ADD, 2, Fault::AccessDenied);
    cloud.push("A=fake-new-a\n").expect(8).says(&["the secret `app` was created", "secretmanager.versions.add"]);
}

/// Whatever order they are found in: the value that was written last is the one that everybody read.
#[test]
fn of_several_foreign_values_of_one_variable_the_newest_stays() {
    let with_b = |value: &str| format!(r#"{{"A":"fake-value-a","B":"{value}"}}"#);
    let cloud = Cloud::with(&[APP]);
    let (first, second) = (with_b("fake-foreign-1"), with_b("fake-foreign-2"));
    cloud.double.on(ADD, 1, move |double| {
        double.put("app", &first);
        double.put("app", &second);
    });
    let third = with_b("fake-foreign-3");
    // The second write is the repair: here somebody is in between once more.
    cloud.double.on(ADD, 2, move |double| {
        double.put("app", &third);
    });
    cloud.push("A=fake-new-a\n").expect(0);
    assert_eq!(cloud.json(), json!({"A": "fake-new-a", "B": "fake-foreign-3"}));
}

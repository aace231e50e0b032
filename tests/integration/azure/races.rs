//! Somebody else writes between any two of our calls, by the second and within one: both end up in the secret, and no key
//! that we did not mean.

use std::time::Duration;

use envsync_doubles::azure::KeyVault;
use envsync_doubles::{Handle, When};
use serde_json::json;

use super::{Cloud, ONE, each};

/// Before which call the other one writes.
const MOMENTS: [(&str, usize); 4] = [("ListVersions", 1), ("GetSecret", 2), ("SetSecret", 1), ("ListVersions", 2)];

/// With and without a clock that tells one write from the next.
fn moments() -> Vec<((&'static str, usize), bool)> {
    MOMENTS.iter().flat_map(|moment| [(*moment, false), (*moment, true)]).collect()
}

fn holding(payload: &str, frozen: bool) -> Cloud {
    let cloud = Cloud::empty();
    cloud.double.freeze_clock(frozen.then_some(1_800_000_000));
    cloud.seed(payload);
    cloud
}

/// A foreign version with these members, by a writer who started from what was there before us.
fn meanwhile(cloud: &Cloud, (operation, nth): (&str, usize), payload: &'static str) {
    cloud.room.secret_values(payload);
    cloud.double.on(operation, nth, move |vault: &Handle<KeyVault>| drop(vault.put("app", payload)));
}

#[test]
fn another_key_is_kept() {
    each(moments(), |(moment, frozen)| {
        let cloud = holding(ONE, frozen);
        meanwhile(&cloud, moment, r#"{"A":"fake-one-old","B":"fake-two-old","C":"fake-three-foreign"}"#);
        let done = cloud.push("A=fake-one-new\n").github().expect(0);
        let wanted = json!({"A": "fake-one-new", "B": "fake-two-old", "C": "fake-three-foreign"});
        assert_eq!(cloud.json(), wanted, "{moment:?} {frozen}");
        done.output("updated-keys", r#"["A"]"#).output("secret-version", &cloud.newest());
    });
}

#[test]
fn a_changed_key_of_another_is_kept_and_the_same_key_is_ours_in_the_end() {
    each(moments(), |(moment, frozen)| {
        let cloud = holding(ONE, frozen);
        meanwhile(&cloud, moment, r#"{"A":"fake-one-foreign","B":"fake-two-foreign"}"#);
        // The file holds B as it was: it is no change of ours.
        cloud.push("A=fake-one-new\nB=fake-two-old\n").expect(0);
        assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-foreign"}), "{moment:?} {frozen}");
    });
}

#[test]
fn what_a_writer_from_an_older_version_did_not_change_is_no_change_back() {
    let cloud = holding(ONE, true);
    cloud.double.freeze_clock(Some(1_800_000_001));
    cloud.seed(r#"{"A":"fake-one-new","B":"fake-two-old"}"#);
    // It started from the first version, and has seen nothing of what came after it.
    meanwhile(&cloud, ("SetSecret", 1), r#"{"A":"fake-one-old","B":"fake-two-foreign"}"#);
    cloud.push("E=fake-e\n").expect(0);
    assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-foreign", "E": "fake-e"}));
}

#[test]
fn what_is_changed_back_long_after_it_was_changed_is_a_change_and_nothing_older_is_read() {
    let cloud = holding(ONE, true);
    cloud.double.freeze_clock(Some(1_800_000_001));
    cloud.seed(r#"{"A":"fake-one-new","B":"fake-two-old"}"#);
    // An hour later nobody is left who could have read the first version.
    cloud.double.freeze_clock(Some(1_800_003_600));
    meanwhile(&cloud, ("SetSecret", 1), ONE);
    cloud.push("E=fake-e\n").expect(0);
    assert_eq!(cloud.json(), json!({"A": "fake-one-old", "B": "fake-two-old", "E": "fake-e"}));
    let reads = cloud.double.count("GetSecret");
    assert_eq!(reads, 6, "two before each of the two writes, theirs, and which of the two counts");
}

#[test]
fn a_foreign_key_is_not_deleted_with_ours() {
    each(moments(), |(moment, frozen)| {
        let cloud = holding(ONE, frozen);
        meanwhile(&cloud, moment, r#"{"A":"fake-one-old","B":"fake-two-old","C":"fake-three-foreign"}"#);
        cloud.push("A=fake-one-old\n").input("delete", "true").expect(0);
        assert_eq!(cloud.json(), json!({"A": "fake-one-old", "C": "fake-three-foreign"}), "{moment:?} {frozen}");
    });
}

#[test]
fn several_writers_in_one_gap_are_all_kept() {
    each(moments(), |((operation, nth), frozen)| {
        let cloud = holding(ONE, frozen);
        cloud.double.on(operation, nth, |vault| {
            for n in 0..3 {
                vault.put("app", &format!(r#"{{"A":"fake-one-old","B":"fake-two-old","KEY_{n}":"fake-foreign-{n}"}}"#));
            }
        });
        cloud.push("A=fake-one-new\n").expect(0);
        let found = cloud.json();
        // Those before our reading were written over by the last of them, as plain writers do to each other.
        let seen = if operation == "SetSecret" || nth == 2 && operation == "ListVersions" { 0..3 } else { 2..3 };
        for n in seen {
            assert_eq!(found[format!("KEY_{n}")], format!("fake-foreign-{n}"), "{operation} {nth} {frozen}: {found}");
        }
        assert_eq!(found["A"], "fake-one-new");
    });
}

#[test]
fn what_the_other_one_did_already_is_not_done_again() {
    each(vec![("ListVersions", 1), ("GetSecret", 2)], |moment| {
        let cloud = holding(ONE, false);
        meanwhile(&cloud, moment, r#"{"A":"fake-one-new","B":"fake-two-old"}"#);
        cloud.push("A=fake-one-new\n").expect(0);
        assert_eq!((cloud.versions(), cloud.double.count("SetSecret")), (2, 0), "{moment:?}");
    });
}

#[test]
fn two_that_create_at_once_end_in_one_secret() {
    each(vec![(("SetSecret", 1), false), (("SetSecret", 1), true), (("ListVersions", 1), true)], |(moment, frozen)| {
        let cloud = Cloud::empty();
        cloud.double.freeze_clock(frozen.then_some(1_800_000_000));
        meanwhile(&cloud, moment, r#"{"A":"fake-one-foreign","C":"fake-three-foreign"}"#);
        cloud.push("A=fake-one-new\nB=fake-two-new\n").expect(0);
        let wanted = json!({"A": "fake-one-new", "B": "fake-two-new", "C": "fake-three-foreign"});
        assert_eq!(cloud.json(), wanted, "{moment:?} {frozen}");
    });
}

#[test]
fn a_foreign_version_that_is_disabled_at_once_holds_nothing_back() {
    let cloud = Cloud::holding(ONE);
    cloud.double.on("SetSecret", 1, |vault| {
        let id = vault.put("app", r#"{"C":"fake-three-foreign"}"#);
        vault.edit("app", &id, |version| version.enabled = false);
    });
    cloud.push("A=fake-one-new\n").expect(0);
    assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-old"}));
}

#[test]
fn a_secret_that_vanishes_is_made_again_or_named() {
    each(vec![("ListVersions", 1), ("GetSecret", 2)], |(operation, nth)| {
        let cloud = Cloud::holding(ONE);
        cloud.double.on(operation, nth, |vault| vault.purge("app"));
        cloud.push("A=fake-one-new\nB=fake-two-old\n").expect(0);
        // Only what was meant to change is written: B was taken away by whoever ended the secret.
        assert_eq!(cloud.json(), json!({"A": "fake-one-new"}), "{operation}");
        let cloud = Cloud::holding(ONE);
        cloud.double.on(operation, nth, |vault| vault.purge("app"));
        cloud.push("A=fake-one-new\n").input("create", "false").expect(5).says(&["app", "nothing was changed"]);
        assert_eq!(cloud.double.current("app"), None);
    });
}

#[test]
fn races_lost_until_the_time_is_up_say_what_to_look_at() {
    let foreign = |vault: &Handle<KeyVault>| {
        let turn = vault.versions("app").len();
        drop(vault.put("app", &format!(r#"{{"A":"fake-one-{turn}","B":"fake-two-old"}}"#)));
    };
    let cloud = Cloud::holding(ONE);
    cloud.double.on("ListVersions", When::Always, foreign);
    let done = cloud.push("A=fake-one-new\n").input("timeout_seconds", "3").expect(6);
    done.says(&["nothing was changed", "`app`", "timeout_seconds"]);
    assert!(cloud.double.count("GetSecret") > 2, "it tries again");
    let cloud = Cloud::holding(ONE);
    cloud.double.on("ListVersions", When::Always, move |vault| {
        if vault.calls().iter().rev().nth(1).is_some_and(|before| before == "SetSecret") {
            foreign(vault);
        }
    });
    let done = cloud.push("A=fake-one-new\n").input("timeout_seconds", "3").expect(8);
    done.says(&["may hide", &cloud.double.versions("app")[2]]);
}

#[test]
fn pushes_at_the_same_time_lose_nothing() {
    let rows = [(false, Duration::ZERO), (true, Duration::ZERO), (true, Duration::from_millis(30))];
    for (exists, writes_take) in rows {
        let cloud = Cloud::empty();
        cloud.double.freeze_clock(Some(1_800_000_000));
        cloud.double.writes_take(writes_take);
        if exists {
            cloud.seed(ONE);
        }
        std::thread::scope(|scope| {
            for n in 0..16 {
                let cloud = &cloud;
                scope.spawn(move || {
                    let file = format!("{n}.env");
                    cloud.room.file(&file, format!("KEY_{n}=fake-value-{n}\n"));
                    // Not by `expect`: what it asserts of the workspace does not hold while others write.
                    let output = cloud.run("push").input("env_file", &file).command().0.output().unwrap();
                    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                });
            }
        });
        let found = cloud.json();
        for n in 0..16 {
            assert_eq!(found[format!("KEY_{n}")], format!("fake-value-{n}"), "{exists} {writes_take:?}: {found}");
        }
        assert_eq!(found.as_object().unwrap().len(), if exists { 18 } else { 16 });
    }
}

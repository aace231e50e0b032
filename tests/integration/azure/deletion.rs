//! Soft deletion: said, or undone on request, and waited for.

use std::time::Duration;

use envsync_doubles::azure::{Lag, conflict, contention};
use envsync_doubles::{Fault, When};
use serde_json::json;

use super::{Cloud, ONE, each, nothing_was_changed};

fn deleted() -> Cloud {
    let cloud = Cloud::holding(ONE);
    cloud.double.delete("app");
    cloud.room.file(".env", "A=fake-one-new\n");
    cloud
}

#[test]
fn what_is_deleted_is_recovered_only_on_request() {
    let cloud = deleted();
    for mode in ["pull", "push", "check"] {
        let done = cloud.run(mode).expect(5);
        nothing_was_changed(done.says(&[
            "app",
            "is deleted",
            "recover_deleted",
            "az keyvault secret recover",
            "purged on 20",
        ]));
    }
    // A dry run recovers nothing, and in the other modes the input means nothing.
    for (mode, dry) in [("push", "true"), ("pull", "false"), ("check", "false")] {
        nothing_was_changed(&cloud.run(mode).input("recover_deleted", "true").input("dry_run", dry).expect(5));
    }
    assert!(cloud.double.is_deleted("app") && cloud.double.count("RecoverDeletedSecret") == 0);
    cloud.run("push").input("recover_deleted", "true").expect(0).says(&["recovered"]);
    assert!(!cloud.double.is_deleted("app"));
    assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-old"}));
    assert_eq!(cloud.versions(), 2);
}

#[test]
fn a_recovery_is_waited_for() {
    let lags = [
        (Lag::Looks(3), Lag::None),
        (Lag::None, Lag::Looks(2)),
        (Lag::Looks(2), Lag::Looks(2)),
        (Lag::Time(Duration::from_millis(700)), Lag::Time(Duration::from_millis(900))),
    ];
    each(lags.to_vec(), |(unreadable, unwritable)| {
        let cloud = deleted();
        cloud.double.recovery_takes(unreadable, unwritable);
        cloud.run("push").input("recover_deleted", "true").expect(0);
        assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-old"}));
        assert_eq!(cloud.versions(), 2);
    });
}

#[test]
fn another_ones_recovery_is_waited_for_and_planned_on() {
    let cloud = deleted();
    cloud.double.recovery_takes(Lag::Looks(3), Lag::Looks(1));
    cloud.double.recover("app");
    cloud.run("push").expect(0);
    assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-old"}));
    assert_eq!(cloud.versions(), 2);
}

#[test]
fn a_deletion_under_way_is_told_as_one() {
    let cloud = Cloud::holding(ONE);
    cloud.double.deletion_takes(Lag::Time(Duration::from_millis(1500)));
    cloud.double.delete("app");
    nothing_was_changed(cloud.push("A=fake-one-new\n").expect(5).says(&["is deleted"]));
    cloud.double.recover("app");
    cloud.double.delete("app");
    cloud.run("push").input("recover_deleted", "true").expect(0);
    assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-old"}));
}

#[test]
fn a_deletion_in_between_is_not_written_over() {
    each(vec!["ListVersions", "SetSecret"], |moment| {
        let cloud = Cloud::holding(ONE);
        cloud.double.on(moment, 1, |vault| vault.delete("app"));
        nothing_was_changed(cloud.push("A=fake-one-new\n").expect(5).says(&["app", "is deleted", "recover_deleted"]));
        assert!(cloud.double.is_deleted("app"));
        assert_eq!(cloud.versions(), 1, "{moment}");
        let cloud = Cloud::holding(ONE);
        cloud.double.on(moment, 1, |vault| vault.delete("app"));
        cloud.push("A=fake-one-new\n").input("recover_deleted", "true").expect(0).says(&["recovered"]);
        assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-old"}), "{moment}");
    });
}

#[test]
fn a_conflict_without_an_inner_code_is_looked_into() {
    let cloud = Cloud::holding(ONE);
    cloud.double.on("SetSecret", 1, |vault| vault.delete("app"));
    cloud.double.fail("SetSecret", 1, contention());
    cloud.push("A=fake-one-new\n").expect(5).says(&["is deleted"]);
    // Not deleted: it is another write, and a matter of trying again.
    let cloud = Cloud::holding(ONE);
    cloud.double.fail("SetSecret", When::Next(3), contention());
    cloud.double.fail("SetSecret", When::Next(2), conflict("SomethingThatNobodyKnows"));
    cloud.push("A=fake-one-new\n").expect(0);
    assert_eq!((cloud.json()["A"].as_str(), cloud.versions()), (Some("fake-one-new"), 2));
}

#[test]
fn without_the_permission_to_look_a_missing_secret_is_missing() {
    let cloud = Cloud::empty();
    cloud.double.fail("GetDeletedSecret", When::Always, Fault::AccessDenied);
    cloud.run("pull").expect(5).says(&["does not exist"]);
    cloud.push("A=fake-one-new\n").input("recover_deleted", "true").expect(4).says(&["readMetadata"]);
    cloud.push("A=fake-one-new\n").expect(0);
    assert_eq!(cloud.versions(), 1);
    cloud.double.delete("app");
    cloud.push("A=fake-one-newer\n").expect(5).says(&["is deleted"]);
    assert_eq!(cloud.versions(), 1);
}

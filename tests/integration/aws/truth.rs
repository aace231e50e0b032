//! What a run that failed says of what it changed is true: where a write may have counted, it does not say that nothing did.

use std::time::Duration;

use envsync_doubles::{Fault, When};

use super::{Cloud, ONE, each};
use crate::integration::harness::Done;

const NEW: &str = "A=fake-one-new\n";

/// The secret was written although the run could not learn of it.
#[track_caller]
fn admits_the_write(cloud: &Cloud, done: &Done) {
    assert_eq!(cloud.json()["A"], "fake-one-new", "the double did act");
    assert!(!done.text().contains("nothing was changed"), "it was\n{}", done.text());
    done.says(&["app"]);
}

#[test]
fn the_answer_to_what_counts_never_arrives() {
    let lost = [Fault::ResetAfter, Fault::Truncate, Fault::Slow(Duration::from_secs(30))];
    let rows = lost.into_iter().flat_map(|fault| {
        [("CreateSecret", "safe"), ("PutSecretValue", "none"), ("UpdateSecretVersionStage", "safe")]
            .map(|(operation, concurrency)| (operation, concurrency, fault.clone()))
    });
    each(rows.collect(), |(operation, concurrency, fault)| {
        let cloud = if operation == "CreateSecret" { Cloud::empty() } else { Cloud::holding(ONE) };
        cloud.double.fail(operation, When::Always, fault.clone());
        let time = if matches!(fault, Fault::Slow(_)) { "2" } else { "60" };
        let run = cloud.push(NEW).input("concurrency", concurrency).input("timeout_seconds", time);
        admits_the_write(&cloud, &run.expect_one_of(&[0, 7, 8]));
    });
}

#[test]
fn a_label_that_stays_is_no_failure_of_the_push() {
    let faults = [
        Fault::Hang,
        Fault::Slow(Duration::from_secs(30)),
        Fault::AccessDenied,
        Fault::status(500, "InternalServiceError", "fake"),
    ];
    each(faults.to_vec(), |fault| {
        let cloud = Cloud::holding(ONE);
        // From the second move on: the first one is what counts.
        let after = fault.clone();
        for nth in 2..12 {
            cloud.double.fail("UpdateSecretVersionStage", nth, after.clone());
        }
        let slow = matches!(fault, Fault::Hang | Fault::Slow(_));
        let run = cloud.push(NEW).input("timeout_seconds", if slow { "3" } else { "60" });
        let done = if slow { run.expect_one_of(&[0, 8]) } else { run.expect(0) };
        admits_the_write(&cloud, &done);
        if done.code == Some(0) {
            done.says(&["ENVSYNC_PENDING"]);
        }
    });
}

#[test]
fn a_recovery_is_admitted_whatever_comes_after_it() {
    for operation in ["GetSecretValue", "PutSecretValue"] {
        let cloud = Cloud::holding(ONE);
        cloud.double.schedule_deletion("app");
        // The first read is what finds the secret deleted.
        let nth = if operation == "GetSecretValue" { 2 } else { 1 };
        cloud.double.fail(operation, nth, Fault::AccessDenied);
        let done = cloud.push(NEW).input("recover_deleted", "true").expect_one_of(&[4, 8]);
        assert!(!cloud.double.is_deleted("app"));
        done.says(&["recovered"]);
        assert!(!done.text().contains("nothing was changed"), "it was recovered\n{}", done.text());
    }
}

//! Every way to fail, on every call: what passes is sat out, what stays ends in exit code 7 with nothing half done.

use std::time::Duration;

use envsync_doubles::{Fault, When};
use serde_json::json;

use super::{Cloud, ONE, PUSH, each, nothing_was_changed};

/// What a second or third try gets over.
fn passing() -> Vec<Fault> {
    vec![
        Fault::Throttle(None),
        Fault::Throttle(Some(Duration::from_millis(300))),
        Fault::status(429, "TooManyRequestsException", "fake"),
        Fault::status(500, "InternalServiceError", "fake"),
        Fault::status(503, "ServiceUnavailable", "fake"),
        Fault::Html(429),
        Fault::Html(502),
        Fault::Html(503),
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::Slow(Duration::from_millis(700)),
        Fault::Truncate,
    ]
}

/// Whether the server did what it was asked although no good answer came.
fn acted(fault: &Fault) -> bool {
    matches!(fault, Fault::ResetAfter | Fault::Truncate | Fault::Slow(_))
}

fn writing() -> Vec<&'static str> {
    PUSH[..4].to_vec()
}

#[test]
fn a_pull_sits_out_what_passes() {
    each(passing(), |fault| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail("*", When::Next(2), fault.clone());
        cloud.run("pull").expect(0);
        let expected = if matches!(fault, Fault::Slow(_)) { 1 } else { 3 };
        assert_eq!(cloud.double.count("GetSecretValue"), expected, "{fault:?}");
    });
}

#[test]
fn a_pull_gives_up_on_what_stays() {
    let mut faults = passing();
    faults.retain(|fault| !matches!(fault, Fault::Slow(_)));
    faults.extend([Fault::Garbage, Fault::Html(200), Fault::Html(404), Fault::Html(429)]);
    each(faults, |fault| {
        let cloud = Cloud::holding(ONE);
        cloud.room.file(".env", "A=fake-one-mine\n");
        cloud.double.fail("*", When::Always, fault.clone());
        let done = cloud.run("pull").expect(7);
        nothing_was_changed(done.says(&["GetSecretValue", "`app`"]));
        assert!(!done.text().contains("took longer"), "the tries end before the run's time does: {fault:?}");
        assert!(cloud.double.calls().len() <= 10, "{fault:?}");
        assert_eq!(cloud.room.read(".env").as_deref(), Some("A=fake-one-mine\n"));
    });
}

#[test]
fn a_push_sits_out_what_passes() {
    let rows = passing().into_iter().flat_map(|fault| writing().into_iter().map(move |op| (op, fault.clone())));
    each(rows.collect(), |(operation, fault)| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail(operation, When::Next(2), fault.clone());
        cloud.push("A=fake-one-new\n").expect(0);
        assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-old"}), "{operation}: {fault:?}");
        assert_eq!(cloud.versions(), 2, "one new version and no more: {operation}: {fault:?}");
        cloud.assert_labels_clean();
    });
}

#[test]
fn a_secret_is_made_once_whatever_passes() {
    each(passing(), |fault| {
        let cloud = Cloud::empty();
        cloud.double.fail("CreateSecret", When::Next(2), fault.clone());
        cloud.push("A=fake-one-new\n").expect(0);
        assert_eq!((cloud.json(), cloud.versions()), (json!({"A": "fake-one-new"}), 1), "{fault:?}");
        cloud.assert_labels_clean();
    });
}

#[test]
fn a_plain_put_is_done_once_whatever_passes() {
    each(passing(), |fault| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail("PutSecretValue", When::Next(2), fault.clone());
        cloud.push("A=fake-one-new\n").input("concurrency", "none").expect(0);
        assert_eq!((cloud.json()["A"].as_str(), cloud.versions()), (Some("fake-one-new"), 2), "{fault:?}");
    });
}

#[test]
fn a_push_gives_up_on_what_stays() {
    let mut faults = passing();
    faults.retain(|fault| !matches!(fault, Fault::Slow(_)));
    faults.extend([Fault::Garbage, Fault::Html(200)]);
    let rows = faults.into_iter().flat_map(|fault| writing().into_iter().map(move |op| (op, fault.clone())));
    each(rows.collect(), |(operation, fault)| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail(operation, When::Always, fault.clone());
        let run = cloud.push("A=fake-one-new\n");
        if operation == "UpdateSecretVersionStage" && acted(&fault) {
            // Looking at who is current tells that the move was made.
            run.expect(0);
            assert_eq!(cloud.json()["A"], "fake-one-new", "{fault:?}");
            cloud.assert_labels_clean();
        } else {
            let unheard = operation == "UpdateSecretVersionStage";
            let done = run.expect_one_of(if unheard { &[7, 8] } else { &[7] });
            done.says(&[operation, "`app`"]);
            if done.code == Some(8) {
                // A move of which nothing was heard may still arrive.
                done.says(&["may have been written"]);
            } else {
                nothing_was_changed(&done);
            }
            assert!(!done.text().contains("took longer"), "{operation}: {fault:?}");
            assert_eq!(cloud.double.current("app").as_deref(), Some(ONE), "{operation}: {fault:?}");
        }
        assert!(cloud.versions() <= 2, "nothing doubled: {operation}: {fault:?}");
        assert!(cloud.double.calls().len() <= 40, "{operation}: {fault:?}");
    });
}

#[test]
fn after_a_push_that_gave_up_the_next_one_leaves_nothing_of_it() {
    let cloud = Cloud::holding(ONE);
    cloud.double.fail("UpdateSecretVersionStage", When::Next(10), Fault::status(500, "InternalServiceError", ""));
    cloud.push("A=fake-one-new\n").expect(7);
    assert!(cloud.double.labels("app").iter().any(|(label, _)| label == "ENVSYNC_PENDING"));
    cloud.push("A=fake-one-new\n").expect(0);
    assert_eq!(cloud.json()["A"], "fake-one-new");
    cloud.assert_labels_clean();
}

#[test]
fn the_answer_is_lost_and_the_work_is_done_once() {
    let rows: Vec<(&str, usize)> =
        vec![("PutSecretValue", 1), ("UpdateSecretVersionStage", 1), ("UpdateSecretVersionStage", 2)];
    each(rows, |(operation, nth)| {
        for fault in [Fault::ResetAfter, Fault::Truncate] {
            let cloud = Cloud::holding(ONE);
            cloud.double.fail(operation, nth, fault);
            let done = cloud.push("A=fake-one-new\n").github().expect(0);
            let versions = cloud.double.versions("app");
            assert_eq!(versions.len(), 2, "{operation} {nth}");
            done.output("secret-version", &versions[1]);
            cloud.assert_labels_clean();
            assert!(done.annotations_of("warning").is_empty(), "nothing is to be worried about: {}", done.text());
        }
    });
}

#[test]
fn what_never_answers_is_bounded_by_the_time_of_the_run() {
    let rows = ["GetSecretValue", "DescribeSecret", "PutSecretValue", "UpdateSecretVersionStage"];
    each(rows.to_vec(), |operation| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail(operation, When::Always, Fault::Hang);
        let counts = operation == "UpdateSecretVersionStage";
        let done = cloud.push("A=fake-one-new\n").input("timeout_seconds", "2").expect(if counts { 8 } else { 7 });
        done.says(&[if counts { "may have been written" } else { "nothing was changed" }]);
        done.says(&["2 s", "timeout_seconds"]);
        assert_eq!(cloud.double.current("app").as_deref(), Some(ONE));
    });
    let cloud = Cloud::holding(ONE);
    cloud.double.fail("*", When::Always, Fault::Hang);
    nothing_was_changed(&cloud.run("pull").input("timeout_seconds", "1").expect(7));
    assert_eq!(cloud.room.read(".env"), None);
}

/// The SDK has a bound of its own for streams that stand still, which is shorter than that of an attempt.
#[test]
fn an_answer_that_takes_its_time_is_waited_for() {
    let cloud = Cloud::holding(ONE);
    cloud.double.fail("GetSecretValue", When::Always, Fault::Slow(Duration::from_secs(8)));
    cloud.run("pull").expect(0);
    assert_eq!(cloud.double.calls(), ["GetSecretValue"]);
}

/// Every try leaves a version behind, and a secret bears about a hundred new ones a day.
#[test]
fn a_move_that_is_refused_for_ever_is_no_race_that_is_run_for_ever() {
    let cloud = Cloud::holding(ONE);
    cloud.double.fail(
        "UpdateSecretVersionStage",
        When::Always,
        Fault::status(400, "InvalidParameterException", "fake"),
    );
    let done = cloud.push("B=fake-two-new\n").expect(2);
    done.says(&["nothing was changed", "UpdateSecretVersionStage", "InvalidParameterException"]);
    assert!(cloud.double.count("PutSecretValue") <= 4, "{:?}", cloud.double.calls());
}

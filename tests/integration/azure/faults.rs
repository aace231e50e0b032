//! Every way to fail, on every call: what passes is sat out, what stays ends with nothing doubled and nothing hidden.

use std::time::Duration;

use envsync_doubles::{Fault, When};
use serde_json::json;

use super::{Cloud, ONE, each, nothing_was_changed};

/// What a second or third try gets over.
fn passing() -> Vec<Fault> {
    vec![
        Fault::Throttle(None),
        Fault::Throttle(Some(Duration::from_secs(1))),
        Fault::status(429, "Throttled", "fake"),
        Fault::status(500, "InternalServerError", "fake"),
        Fault::status(503, "ServiceUnavailable", "fake"),
        Fault::Html(502),
        Fault::ResetBefore,
        Fault::ResetAfter,
        Fault::Slow(Duration::from_millis(700)),
        Fault::Truncate,
    ]
}

/// Of throttling only the one that is not waited for: the others are sat out for a minute, which is too long for a test.
fn staying() -> Vec<Fault> {
    let mut faults = passing();
    faults.retain(|fault| !matches!(fault, Fault::Slow(_) | Fault::Throttle(_) | Fault::Status(429, ..)));
    faults.extend([Fault::Garbage, Fault::Html(200), Fault::Throttle(Some(Duration::from_secs(3600)))]);
    faults
}

/// Whether the vault did what it was asked although no good answer came.
fn acted(fault: &Fault) -> bool {
    matches!(fault, Fault::ResetAfter | Fault::Truncate)
}

#[test]
fn a_pull_sits_out_what_passes() {
    each(passing(), |fault| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail("*", When::Next(2), fault.clone());
        cloud.run("pull").expect(0);
        assert_eq!(cloud.room.read(".env").as_deref(), Some("A=fake-one-old\nB=fake-two-old\n"), "{fault:?}");
        assert!(cloud.double.calls().len() <= 4, "{fault:?}");
    });
}

#[test]
fn a_pull_gives_up_on_what_stays() {
    let mut faults = staying();
    faults.extend([Fault::Html(404), Fault::Html(302)]);
    each(faults, |fault| {
        let cloud = Cloud::holding(ONE);
        cloud.room.file(".env", "A=fake-one-mine\n");
        cloud.double.fail("GetSecret", When::Always, fault.clone());
        let done = cloud.run("pull").expect(7);
        nothing_was_changed(done.says(&["Get Secret", "`app`"]));
        assert!(!done.text().contains("took longer"), "the tries end before the run's time does: {fault:?}");
        assert!(cloud.double.calls().len() <= 10, "{fault:?}");
        assert_eq!(cloud.room.read(".env").as_deref(), Some("A=fake-one-mine\n"));
    });
}

#[test]
fn a_push_sits_out_what_passes() {
    let operations = ["GetSecret", "ListVersions", "SetSecret"];
    let rows = passing().into_iter().flat_map(|fault| operations.map(|op| (op, fault.clone())));
    each(rows.collect(), |(operation, fault)| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail(operation, When::Next(2), fault.clone());
        let done = cloud.push("A=fake-one-new\n").github().expect(0);
        assert_eq!(cloud.json(), json!({"A": "fake-one-new", "B": "fake-two-old"}), "{operation}: {fault:?}");
        assert_eq!(cloud.versions(), 2, "one new version and no more: {operation}: {fault:?}");
        done.output("secret-version", &cloud.newest());
        assert!(done.annotations_of("warning").is_empty(), "nothing is to be worried about: {}", done.text());
    });
}

#[test]
fn a_window_of_throttling_is_sat_out() {
    each(vec!["GetSecret", "SetSecret"], |operation| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail(operation, When::Next(5), Fault::Throttle(None));
        cloud.push("A=fake-one-new\n").expect(0);
        assert_eq!((cloud.json()["A"].as_str(), cloud.versions()), (Some("fake-one-new"), 2), "{operation}");
    });
}

#[test]
fn a_write_that_is_not_answered_in_time_is_looked_for_and_not_made_twice() {
    const LATER: Fault = Fault::Slow(Duration::from_secs(30));
    // Done at once and answered late; done between the first look and the second; never done.
    let rows = [
        ("safe", LATER, None, 0),
        ("none", LATER, None, 0),
        ("safe", Fault::Hang, Some(("ListVersions", 3)), 0),
        ("none", Fault::Hang, Some(("GetSecret", 4)), 0),
        ("safe", Fault::Hang, None, 8),
        ("none", Fault::Hang, None, 8),
    ];
    each(rows.to_vec(), |(concurrency, fault, arrives, code)| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail("SetSecret", 1, fault);
        if let Some((look, nth)) = arrives {
            cloud.double.on(look, nth, |vault| drop(vault.put("app", r#"{"A":"fake-one-new","B":"fake-two-old"}"#)));
        }
        let done = cloud.push("A=fake-one-new\n").input("concurrency", concurrency).github().expect(code);
        let row = format!("{concurrency} {arrives:?} {code}");
        assert_eq!(cloud.double.count("SetSecret"), 1, "{row}");
        if code == 0 {
            done.output("secret-version", &cloud.newest());
            assert_eq!((cloud.json()["A"].as_str(), cloud.versions()), (Some("fake-one-new"), 2), "{row}");
        } else {
            done.says(&["the secret `app` may have been written", "no answer in time", "help: "]);
            assert_eq!(cloud.versions(), 1, "{row}");
        }
    });
}

#[test]
fn a_secret_is_made_once_whatever_passes() {
    each(passing(), |fault| {
        for concurrency in ["safe", "none"] {
            let cloud = Cloud::empty();
            cloud.double.fail("SetSecret", When::Next(2), fault.clone());
            cloud.push("A=fake-one-new\n").input("concurrency", concurrency).expect(0);
            assert_eq!((cloud.json(), cloud.versions()), (json!({"A": "fake-one-new"}), 1), "{concurrency} {fault:?}");
        }
    });
}

#[test]
fn a_plain_write_is_done_once_whatever_passes() {
    each(passing(), |fault| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail("SetSecret", When::Next(2), fault.clone());
        cloud.push("A=fake-one-new\n").input("concurrency", "none").expect(0);
        assert_eq!((cloud.json()["A"].as_str(), cloud.versions()), (Some("fake-one-new"), 2), "{fault:?}");
    });
}

#[test]
fn a_push_gives_up_on_what_stays() {
    each(staying(), |fault| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail("SetSecret", When::Always, fault.clone());
        let run = cloud.push("A=fake-one-new\n");
        if acted(&fault) {
            // Looking for the version tells that it was written.
            run.expect(0);
            assert_eq!((cloud.json()["A"].as_str(), cloud.versions()), (Some("fake-one-new"), 2), "{fault:?}");
            return;
        }
        let done = run.expect(7);
        nothing_was_changed(done.says(&["Set Secret", "`app`"]));
        assert!(!done.text().contains("took longer"), "{fault:?}");
        assert_eq!(cloud.double.current("app").as_deref(), Some(ONE), "{fault:?}");
    });
}

#[test]
fn a_look_that_stays_out_is_told_for_what_it_leaves_open() {
    each(staying(), |fault| {
        // The first list comes before anything is written, the second after.
        let cloud = Cloud::holding(ONE);
        cloud.double.fail("ListVersions", When::Always, fault.clone());
        nothing_was_changed(cloud.push("A=fake-one-new\n").expect(7).says(&["Get Secret Versions", "`app`"]));
        assert_eq!(cloud.versions(), 1, "{fault:?}");

        let cloud = Cloud::holding(ONE);
        let late = fault.clone();
        cloud.double.on("SetSecret", 1, move |vault| vault.fail("ListVersions", When::Always, late.clone()));
        let done = cloud.push("A=fake-one-new\n").expect(8);
        done.says(&["was written, and may hide", &cloud.newest(), "list-versions"]);
        assert_eq!(cloud.json()["A"], "fake-one-new", "{fault:?}");
    });
    let cloud = Cloud::holding(ONE);
    cloud.double.fail("SetSecret", 1, Fault::ResetAfter);
    cloud.double.on("SetSecret", 1, |vault| vault.fail("ListVersions", When::Always, Fault::Html(503)));
    cloud.push("A=fake-one-new\n").expect(8).says(&["not known whether it was written", "run it again"]);
}

#[test]
fn what_never_answers_is_bounded_by_the_time_of_the_run() {
    each(vec!["GetSecret", "ListVersions", "SetSecret"], |operation| {
        let cloud = Cloud::holding(ONE);
        cloud.double.fail(operation, When::Always, Fault::Hang);
        let code = if operation == "SetSecret" { 8 } else { 7 };
        let done = cloud.push("A=fake-one-new\n").input("timeout_seconds", "2").expect(code);
        done.says(&["2 s", "timeout_seconds", if code == 8 { "may have been written" } else { "nothing was changed" }]);
        assert_eq!(cloud.double.current("app").as_deref(), Some(ONE));
    });
}

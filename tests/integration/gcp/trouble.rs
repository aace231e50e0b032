//! What goes wrong at Google: each fault at each call, with its exit code and the words that help.

use std::time::Duration;

use envsync_doubles::gcp::{DENIED_TOKEN, EXPIRED_TOKEN, NUMBER, PROJECT, UNKNOWN_TOKEN, VersionState};
use envsync_doubles::{Fault, When};

use super::{ACCESS, ADD, APP, CREATE, Cloud, LIST};

/// Words of a server that must not be repeated: they could be what we sent.
const ECHO: &str = "hunter2-fake-echo";

#[test]
fn every_fault_at_every_call_is_told() {
    let told = |status, code| Fault::status(status, code, ECHO);
    let rows: [(Fault, i32, &str); 8] = [
        (told(401, "UNAUTHENTICATED"), 3, "refused the login"),
        (Fault::AccessDenied, 4, "secretmanager."),
        (told(400, "INVALID_ARGUMENT"), 2, "INVALID_ARGUMENT"),
        (told(400, "FAILED_PRECONDITION"), 6, "FAILED_PRECONDITION"),
        (told(409, "ABORTED"), 7, "ABORTED"),
        (told(501, "UNIMPLEMENTED"), 7, "UNIMPLEMENTED"),
        (Fault::Html(404), 7, "is not Google Secret Manager"),
        (Fault::Html(403), 7, "is not Google Secret Manager"),
    ];
    for operation in [ACCESS, ADD, CREATE, LIST] {
        for (fault, code, words) in &rows {
            let cloud = if operation == CREATE { Cloud::new() } else { Cloud::with(&[APP, APP]) };
            cloud.room.secret_value(ECHO);
            if operation == LIST {
                cloud.double.set_state("app", "2", VersionState::Disabled);
            }
            cloud.double.fail(operation, When::Always, fault.clone());
            cloud.push("A=fake-new-a\n").expect(*code).says(&[words, "nothing was changed"]);
            let versions = cloud.double.versions("app").len();
            assert_eq!(versions, if operation == CREATE { 0 } else { 2 }, "{operation} {fault:?}");
        }
    }
}

#[test]
fn throttling_without_an_end_is_given_up() {
    // Of two such pauses only one fits into the time that there is for it. At once, because each waits that long.
    let long = Some(Duration::from_secs(3600));
    std::thread::scope(|scope| {
        for operation in [ACCESS, ADD, CREATE, LIST] {
            scope.spawn(move || {
                let cloud = if operation == CREATE { Cloud::new() } else { Cloud::with(&[APP, APP]) };
                if operation == LIST {
                    cloud.double.set_state("app", "2", VersionState::Disabled);
                }
                cloud.double.fail(operation, When::Always, Fault::Throttle(long));
                cloud.push("A=fake-new-a\n").expect(7).says(&["throttled", "nothing was changed"]);
                let versions = cloud.double.versions("app").len();
                assert_eq!(versions, if operation == CREATE { 0 } else { 2 }, "{operation}");
                assert_eq!(cloud.double.count(operation), 2);
            });
        }
    });
}

#[test]
fn what_lasts_is_given_up() {
    let rows = [
        (ACCESS, Fault::status(503, "UNAVAILABLE", ECHO)),
        (ACCESS, Fault::ResetBefore),
        (ADD, Fault::status(500, "INTERNAL", ECHO)),
        (ADD, Fault::ResetBefore),
        (ACCESS, Fault::Garbage),
        (ADD, Fault::Garbage),
        (ACCESS, Fault::Truncate),
    ];
    // At once, because each waits some seconds between its attempts.
    std::thread::scope(|scope| {
        for (operation, fault) in rows {
            scope.spawn(move || {
                let cloud = Cloud::with(&[APP]);
                cloud.room.secret_value(ECHO);
                cloud.double.fail(operation, When::Always, fault.clone());
                cloud.push("A=fake-new-a\n").expect(7).says(&["nothing was changed"]);
                assert_eq!(cloud.double.versions("app").len(), 1, "{operation} {fault:?}");
            });
        }
    });
}

#[test]
fn what_passes_is_no_matter() {
    for fault in [Fault::ResetBefore, Fault::Truncate, Fault::Html(503), Fault::status(500, "INTERNAL", ECHO)] {
        let cloud = Cloud::with(&[APP]);
        cloud.double.fail(ACCESS, When::Next(1), fault.clone());
        cloud.run().expect(0);
        assert_eq!(cloud.double.count(ACCESS), 2, "{fault:?}");
    }
}

#[test]
fn a_payload_that_does_not_fit_its_checksum_is_not_used() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.fail(ACCESS, When::Always, Fault::Checksum);
    cloud.run().expect(7).says(&["checksum"]);
    assert_eq!(cloud.room.read(".env"), None);
    cloud.push("A=fake-new-a\n").expect(7).says(&["checksum"]);
    assert_eq!(cloud.double.versions("app").len(), 1);
}

#[test]
fn a_token_that_is_no_good_is_a_matter_of_the_login() {
    let cloud = Cloud::with(&[APP]);
    let with = |token: &str| cloud.run().input("gcp_access_token", &format!("{token}-fake"));
    with(EXPIRED_TOKEN).expect(3).says(&["an hour at most"]);
    with(UNKNOWN_TOKEN).expect(3);
    let denied = with(DENIED_TOKEN).expect(4);
    denied.says(&["secretmanager.versions.access", "roles/secretmanager.secretAccessor"]);
}

#[test]
fn a_denied_call_names_the_permission_and_the_role() {
    for (operation, words) in [
        (ADD, ["secretmanager.versions.add", "roles/secretmanager.secretVersionAdder"]),
        (CREATE, ["secretmanager.secrets.create", "gcloud secrets create app"]),
        (LIST, ["secretmanager.versions.list", "roles/secretmanager.viewer"]),
    ] {
        let cloud = if operation == CREATE { Cloud::new() } else { Cloud::with(&[APP]) };
        if operation == LIST {
            cloud.double.set_state("app", "1", VersionState::Disabled);
        }
        cloud.double.fail(operation, When::Always, Fault::AccessDenied);
        cloud.push("A=fake-new-a\n").expect(4).says(&words);
    }
}

#[test]
fn an_api_that_is_off_comes_with_the_command_that_turns_it_on() {
    let cloud = Cloud::with(&[APP]);
    cloud.double.enable_api(false);
    let command = format!("gcloud services enable secretmanager.googleapis.com --project={PROJECT}");
    cloud.run().expect(4).says(&[&command]);
    cloud.run().input("gcp_project", "no-such-project").expect(4).says(&["no-such-project"]);
}

#[test]
fn a_project_may_be_given_by_its_number() {
    let cloud = Cloud::with(&[APP]);
    cloud.run().input("gcp_project", NUMBER).expect(0);
    cloud.run().input("gcp_project", "").env("GOOGLE_CLOUD_PROJECT", PROJECT).expect(0);
}

#[test]
fn a_host_that_refuses_is_given_up_soon() {
    let cloud = Cloud::with(&[APP]);
    // Bound and closed again: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let endpoint = format!("http://127.0.0.1:{port}");
    let run = cloud.push("A=fake-new-a\n").input("gcp_endpoint", &endpoint).input("timeout_seconds", "12");
    run.expect(7).says(&["couldn't reach Google Secret Manager", "gcp_endpoint"]);
}

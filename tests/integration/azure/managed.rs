//! The machine's own identity, which is used only with `auth: ambient`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use envsync_doubles::azure::{IDENTITY_HEADER, MANAGED_CLIENT_ID};
use envsync_doubles::http::{Outcome, Response, Server};
use envsync_doubles::{Fault, When};
use serde_json::json;

use super::super::harness::Run;
use super::{Cloud, ONE, each, nothing_was_changed};

const ACCESS: &str = "fake-token-of-the-machine";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    App,
    Machine,
}

const PLACES: [Place; 2] = [Place::App, Place::Machine];

fn cloud() -> Cloud {
    let cloud = Cloud::holding(ONE);
    cloud.double.tokens_are(ACCESS);
    cloud.room.secret_value(ACCESS).secret_value(IDENTITY_HEADER);
    cloud
}

fn ambient(cloud: &Cloud, place: Place, mode: &str) -> Run {
    let (run, url) = (cloud.stranger(mode).input("auth", "ambient"), cloud.double.url());
    match place {
        Place::App => run.env("IDENTITY_ENDPOINT", &format!("{url}/msi/token")).env("IDENTITY_HEADER", IDENTITY_HEADER),
        Place::Machine => run.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", &url),
    }
}

#[test]
fn the_machines_identity_is_taken_in_both_directions() {
    for place in PLACES {
        let cloud = cloud();
        ambient(&cloud, place, "pull").expect(0);
        ambient(&cloud, place, "pull").input("azure_client_id", MANAGED_CLIENT_ID).expect(0);
        // The first request of a login finds out whether anybody is there.
        assert_eq!((cloud.double.count("ManagedIdentity"), cloud.double.count("Token")), (4, 0));
        let bare = &cloud.double.seen()[1];
        assert_eq!((bare.header("x-identity-header"), bare.header("metadata")), (None, None));
        cloud.room.file(".env", "A=fake-one-new\n");
        let done = ambient(&cloud, place, "push").github().input("ca_file", "ca.pem").expect(0);
        assert_eq!(cloud.json()["A"], "fake-one-new");
        assert!(done.masks.contains(ACCESS));
    }
}

#[test]
fn an_identity_that_the_machine_does_not_have_is_named() {
    for place in PLACES {
        let cloud = cloud();
        let other = "88888888-8888-4888-8888-888888888888";
        let done = ambient(&cloud, place, "pull").input("azure_client_id", other).expect(3);
        nothing_was_changed(done.says(&[other, "was refused", "assign this user-assigned identity"]));
        cloud.double.without_identity();
        nothing_was_changed(
            ambient(&cloud, place, "pull").expect(3).says(&["of the system", "system-assigned identity"]),
        );
        assert_eq!(cloud.double.count("GetSecret"), 0);
    }
}

#[test]
fn a_wrong_header_of_app_service_is_a_login_error() {
    let cloud = cloud();
    cloud.room.secret_value("fake-wrong-header");
    let run = ambient(&cloud, Place::App, "pull").env("IDENTITY_HEADER", "fake-wrong-header");
    nothing_was_changed(run.expect(3).says(&["HTTP status 401"]));
}

#[test]
fn a_machine_without_an_identity_is_told_soon() {
    let cloud = cloud();
    let run = |url: &str| {
        let run = cloud.stranger("pull").input("auth", "ambient");
        run.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", url)
    };
    // Nobody listens on port 1.
    nothing_was_changed(run("http://127.0.0.1:1").expect(3).says(&["no managed identity of Azure", "auth: ambient"]));
    // Somebody who never answers: given up long before the run's own time is up.
    cloud.double.fail("ManagedIdentity", When::Always, Fault::Hang);
    let done = run(&cloud.double.url()).input("timeout_seconds", "15").expect(3);
    nothing_was_changed(done.says(&["nobody answers"]));
    // The metadata service of another cloud.
    let cloud = self::cloud();
    for fault in [Fault::Html(404), Fault::status(404, "NotFound", "")] {
        cloud.double.fail("ManagedIdentity", When::Next(2), fault);
        nothing_was_changed(ambient(&cloud, Place::Machine, "pull").expect(3).says(&["no managed identity", "404"]));
    }
}

#[test]
fn what_passes_is_sat_out() {
    let faults = [
        (Fault::ResetBefore, 7),
        (Fault::Truncate, 7),
        (Fault::Html(503), 7),
        (Fault::status(500, "", ""), 7),
        (Fault::Garbage, 7),
    ];
    each(faults.to_vec(), |(fault, code)| {
        for place in PLACES {
            let cloud = cloud();
            // The first call is the look whether anybody is there.
            let first = if fault == Fault::Garbage { 0 } else { 2 };
            for nth in 2..2 + first {
                cloud.double.fail("ManagedIdentity", nth, fault.clone());
            }
            ambient(&cloud, place, "pull").expect(0);
            let again = cloud.double.count("ManagedIdentity") + 2;
            for nth in again..again + 10 {
                cloud.double.fail("ManagedIdentity", nth, fault.clone());
            }
            let done = ambient(&cloud, place, "pull").expect(code);
            nothing_was_changed(done.says(&["managed identity", "help: "]));
        }
    });
}

#[test]
fn nothing_of_the_machine_is_asked_without_ambient() {
    let cloud = cloud();
    let url = cloud.double.url();
    let run = cloud.stranger("pull").env("IDENTITY_ENDPOINT", &format!("{url}/msi/token"));
    run.env("IDENTITY_HEADER", IDENTITY_HEADER).env("AZURE_POD_IDENTITY_AUTHORITY_HOST", &url).expect(3);
    assert!(cloud.double.calls().is_empty());
}

#[test]
fn the_machine_is_asked_past_every_proxy() {
    for place in PLACES {
        let cloud = cloud();
        let token = cloud.double.issue_token();
        cloud.room.secret_value(&token);
        let asked = Arc::new(AtomicUsize::new(0));
        let machine = Server::start({
            let asked = Arc::clone(&asked);
            move |request| {
                asked.fetch_add(1, Ordering::SeqCst);
                let known = request.header("metadata").or(request.header("x-identity-header")).is_some();
                let (status, body) = if known {
                    (200, json!({"access_token": token, "expires_on": 4_000_000_000_i64}))
                } else {
                    (400, json!({"error": "invalid_request"}))
                };
                Outcome::Answer(Response::new(status, "application/json", body.to_string()))
            }
        })
        .unwrap();
        // Nobody listens on port 1: what goes by the proxy fails.
        let run = cloud.stranger("pull").input("auth", "ambient");
        let run = run.env("HTTP_PROXY", "http://127.0.0.1:1").env("NO_PROXY", "");
        let run = match place {
            Place::App => run.env("IDENTITY_ENDPOINT", &machine.url()).env("IDENTITY_HEADER", IDENTITY_HEADER),
            Place::Machine => run.env("AZURE_POD_IDENTITY_AUTHORITY_HOST", &machine.url()),
        };
        run.expect(0);
        assert_eq!(asked.load(Ordering::SeqCst), 2, "the look whether anybody is there, and the token");
    }
}

//! What AWS refuses for good, and hosts that are none: the right exit code, the object, the fix, and never a value, whatever
//! the answer says.

use std::net::TcpListener;

use envsync_doubles::aws::{DENIED_KEY, EXPIRED_TOKEN, UNKNOWN_KEY};
use envsync_doubles::{Fault, When};

use super::super::harness::Run;
use super::{Cloud, ONE, each, nothing_was_changed};

const NEW: &str = "A=fake-one-new\n";

/// A cloud in which this operation is one of a run's calls, and that run.
fn reaching(operation: &str) -> (Cloud, Run) {
    let cloud = if operation == "CreateSecret" { Cloud::empty() } else { Cloud::holding(ONE) };
    if operation == "RestoreSecret" {
        cloud.double.schedule_deletion("app");
    }
    let run = cloud.push(NEW).input("recover_deleted", "true");
    (cloud, run)
}

const OPERATIONS: [&str; 6] =
    ["GetSecretValue", "DescribeSecret", "PutSecretValue", "UpdateSecretVersionStage", "CreateSecret", "RestoreSecret"];

#[test]
fn a_missing_permission_is_named_on_each_call() {
    each(OPERATIONS.to_vec(), |operation| {
        let (cloud, run) = reaching(operation);
        let before = cloud.double.current("app");
        cloud.double.fail(operation, When::Always, Fault::AccessDenied);
        let done = run.expect(4);
        nothing_was_changed(done.says(&[&format!("secretsmanager:{operation}"), "`app`"]));
        if ["DescribeSecret", "UpdateSecretVersionStage"].contains(&operation) {
            done.says(&["concurrency: none"]);
        }
        assert_eq!(cloud.double.current("app"), before, "{operation}");
        assert_eq!(cloud.double.count(operation), if operation == "UpdateSecretVersionStage" { 2 } else { 1 });
    });
    let cloud = Cloud::holding(ONE);
    cloud.run("pull").input("aws_access_key_id", &format!("{DENIED_KEY}FAKE")).expect(4);
    assert_eq!(cloud.room.read(".env"), None);
}

#[test]
fn the_key_of_a_secret_is_another_permission() {
    let rows = ["GetSecretValue", "PutSecretValue", "CreateSecret"].iter().flat_map(|operation| {
        let told = [
            Fault::Kms,
            Fault::status(400, "DecryptionFailure", "fake words"),
            Fault::status(400, "EncryptionFailure", "fake words"),
        ];
        told.into_iter().map(move |fault| (*operation, fault))
    });
    each(rows.collect(), |(operation, fault)| {
        let (cloud, run) = reaching(operation);
        cloud.double.fail(operation, When::Always, fault);
        let action = if operation == "GetSecretValue" { "kms:Decrypt" } else { "kms:GenerateDataKey" };
        nothing_was_changed(run.expect(4).says(&[action, "`app`", "KMS"]));
    });
}

#[test]
fn a_login_that_is_refused_is_no_missing_permission() {
    let signature = ["InvalidSignatureException", "SignatureDoesNotMatch", "RequestTimeTooSkewed"];
    let mut rows: Vec<(&str, Option<Fault>, &str, &str)> = vec![
        ("aws_access_key_id", None, UNKNOWN_KEY, "access key"),
        ("aws_session_token", None, EXPIRED_TOKEN, "expired"),
        ("aws_session_token", Some(Fault::status(400, "RequestExpired", "fake")), "fake", "expired"),
    ];
    for code in signature {
        let words = "Signature not yet current: 20991122T000000Z is still later than 20251122T000500Z";
        rows.push(("aws_session_token", Some(Fault::status(403, code, words)), "fake", "clock"));
    }
    each(rows, |(input, fault, value, word)| {
        for mode in ["pull", "push"] {
            let cloud = Cloud::holding(ONE);
            cloud.room.file(".env", NEW);
            let value = format!("{value}-FAKE-{mode}");
            // A key id is no secret, but nobody needs it in a log either; a token is one.
            cloud.room.secret_value(&value);
            if let Some(fault) = fault.clone() {
                cloud.double.fail("*", When::Always, fault);
            }
            let done = cloud.run(mode).input(input, &value).expect(3);
            nothing_was_changed(done.says(&[word]));
            assert_eq!(cloud.double.calls().len(), 1, "trying again does not help");
            assert_eq!(cloud.room.read(".env").as_deref(), Some(NEW));
        }
    });
}

#[test]
fn a_host_that_is_none_is_named_within_its_tries() {
    let refused = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = refused.local_addr().unwrap();
    drop(refused);
    each(vec![format!("http://{address}"), "http://envsync.invalid".to_owned()], |url| {
        let cloud = Cloud::empty();
        for run in [cloud.run("pull"), cloud.push(NEW)] {
            let done = run.input("aws_endpoint_url", &url).input("timeout_seconds", "40").expect(7);
            nothing_was_changed(done.says(&["couldn't reach", "aws_endpoint_url"]));
            assert!(!done.text().contains("took longer"), "{}", done.text());
        }
    });
}

#[test]
fn the_wrong_region_is_named() {
    let cloud = Cloud::holding(ONE);
    cloud.room.file(".env", NEW);
    for (mode, create) in [("pull", "true"), ("check", "true"), ("push", "false")] {
        let run = cloud.run(mode).input("aws_region", "us-east-1").input("create", create);
        nothing_was_changed(run.expect(5).says(&["app", "us-east-1"]));
    }
}

#[test]
fn a_version_or_a_stage_that_is_not_there_is_named() {
    let cloud = Cloud::holding(ONE);
    for pin in ["stage=NONE", "version=00000000-0000-4000-8000-000000000000"] {
        nothing_was_changed(cloud.run("pull").input("secret", &format!("app?{pin}")).expect(5).says(&[pin]));
    }
}

/// Codes of the service and of all AWS APIs, with their HTTP status, and some that are none.
const CODES: [(u16, &str); 16] = [
    (400, "AccessDeniedException"),
    (400, "InvalidRequestException"),
    (400, "InvalidParameterException"),
    (400, "ValidationException"),
    (400, "ResourceNotFoundException"),
    (400, "LimitExceededException"),
    (400, "DecryptionFailure"),
    (400, "EncryptionFailure"),
    (400, "MalformedPolicyDocumentException"),
    (400, "PreconditionNotMetException"),
    (400, "UnrecognizedClientException"),
    (400, "InvalidSignatureException"),
    (400, "SerializationException"),
    (418, "FakeUnheardOfException"),
    (403, ""),
    (500, "InternalServiceError"),
];

#[test]
fn an_answer_that_repeats_the_request_shows_no_value() {
    // These are the requests that carry a payload.
    let rows = ["PutSecretValue", "CreateSecret"].into_iter();
    let rows = rows.flat_map(|operation| CODES.map(|(status, code)| (operation, status, code)));
    each(rows.collect(), |(operation, status, code)| {
        for place in [Run::github, Run::gitlab, Run::plain] {
            let (cloud, run) = reaching(operation);
            let echo = r#"User: kms {"SecretString":"{\"A\":\"fake-one-new\",\"B\":\"fake-two-old\"}"} fake-one-new"#;
            cloud.double.fail(operation, When::Always, Fault::status(status, code, echo));
            // Whatever fits the code, but neither success nor a defect.
            place(run).expect_one_of(&[2, 3, 4, 5, 6, 7, 8]);
        }
    });
}

#[test]
fn a_code_that_is_no_code_gives_no_command() {
    each(vec![Run::github, Run::gitlab, Run::plain], |place| {
        let cloud = Cloud::holding(ONE);
        let code = "x\n::set-output name=a::b\r\n##[error]fake";
        let fault = Fault::status(400, code, "::error::fake\r\n::stop-commands::x");
        cloud.double.fail("UpdateSecretVersionStage", When::Always, fault);
        nothing_was_changed(&place(cloud.push(NEW)).expect(7));
    });
}

//! The double itself, over plain sockets: the documented semantics that its users rely on, and its faults. That the
//! vendor's own client accepts it is shown by `tests/conformance/aws`.

#![allow(clippy::unwrap_used, reason = "in a helper of a test a failure is the test's failure")]

mod wire;

use std::io::{BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use envsync_doubles::aws::{Payload, REGION, SecretsManager};
use envsync_doubles::{Double, Fault, When};
use serde_json::{Value, json};
use wire::{Reply, head};

const PENDING: &str = "ENVSYNC_PENDING";
const CURRENT: &str = "AWSCURRENT";

struct Client {
    address: String,
    key: &'static str,
    region: &'static str,
    token: Option<&'static str>,
    service: &'static str,
}

impl Client {
    fn new(double: &Double<SecretsManager>) -> Self {
        let address = double.url().trim_start_matches("http://").to_owned();
        Self { address, key: "AKIAFAKEFAKEFAKEFAKE", region: REGION, token: None, service: "secretsmanager" }
    }

    fn connect(&self) -> TcpStream {
        TcpStream::connect(&self.address).unwrap()
    }

    fn send(&self, stream: &mut TcpStream, operation: &str, body: &str) {
        let Self { key, region, service, .. } = self;
        let token = self.token.map_or(String::new(), |t| format!("X-Amz-Security-Token: {t}\r\n"));
        let head = format!(
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-amz-json-1.1\r\nX-Amz-Target: secretsmanager.{operation}\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={key}/20260101/{region}/{service}/aws4_request, SignedHeaders=host, Signature=0\r\n\
             {token}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).unwrap();
    }

    fn raw(&self, operation: &str, body: &Value) -> Reply {
        let mut stream = self.connect();
        self.send(&mut stream, operation, &body.to_string());
        receive(&stream)
    }

    fn call(&self, operation: &str, body: &Value) -> (u16, Value) {
        let (status, _, body) = self.raw(operation, body).unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn ok(&self, operation: &str, body: &Value) -> Value {
        let (status, answer) = self.call(operation, body);
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// The error's code and message.
    fn error(&self, operation: &str, body: &Value) -> (String, String) {
        let (status, answer) = self.call(operation, body);
        assert_eq!(status, 400, "{operation}: {answer}");
        (answer["__type"].as_str().unwrap().to_owned(), answer["message"].as_str().unwrap().to_owned())
    }

    fn code(&self, operation: &str, body: &Value) -> String {
        self.error(operation, body).0
    }

    fn put(&self, name: &str, token: &str, text: &str, stages: &[&str]) -> Value {
        let mut body = json!({ "SecretId": name, "ClientRequestToken": token, "SecretString": text });
        if !stages.is_empty() {
            body["VersionStages"] = json!(stages);
        }
        self.ok("PutSecretValue", &body)
    }
}

fn receive(stream: &TcpStream) -> Reply {
    let mut reader = BufReader::new(stream);
    let (status, headers, length) = head(&mut reader)?;
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body).ok()?;
    Some((status, headers, body))
}

/// A version id that is 32 characters long.
fn id(letter: char) -> String {
    String::from(letter).repeat(32)
}

fn stages(double: &Double<SecretsManager>, name: &str, version: &str) -> Vec<String> {
    let labels = double.labels(name).into_iter();
    let mut stages: Vec<String> = labels.filter(|(_, v)| v == version).map(|(label, _)| label).collect();
    stages.sort();
    stages
}

fn started() -> (Double<SecretsManager>, Client) {
    let double = SecretsManager::start();
    let client = Client::new(&double);
    (double, client)
}

#[test]
fn a_put_moves_current_and_previous_follows() {
    let (double, client) = started();
    let first = double.put("app", "one");
    let answer = client.put("app", &id('b'), "two", &[]);
    assert_eq!(answer["VersionStages"], json!([CURRENT]));
    assert_eq!(stages(&double, "app", &first), ["AWSPREVIOUS"]);
    client.put("app", &id('c'), "three", &[]);
    assert_eq!(double.versions("app"), [first.clone(), id('b'), id('c')]);
    assert_eq!(stages(&double, "app", &first), [""; 0]);
    assert_eq!(stages(&double, "app", &id('b')), ["AWSPREVIOUS"]);
    let get = |body: Value| client.ok("GetSecretValue", &body)["SecretString"].clone();
    assert_eq!(get(json!({ "SecretId": "app" })), "three");
    assert_eq!(get(json!({ "SecretId": "app", "VersionStage": "AWSPREVIOUS" })), "two");
    assert_eq!(get(json!({ "SecretId": "app", "VersionId": first })), "one");
}

#[test]
fn a_pending_put_leaves_current_and_takes_the_label_from_its_old_version() {
    let (double, client) = started();
    let first = double.put("app", "one");
    assert_eq!(client.put("app", &id('b'), "two", &[PENDING])["VersionStages"], json!([PENDING]));
    assert_eq!(double.current("app").unwrap(), "one");
    client.put("app", &id('c'), "three", &[PENDING]);
    assert_eq!(stages(&double, "app", &id('b')), [""; 0]);
    assert_eq!(stages(&double, "app", &id('c')), [PENDING]);
    assert_eq!(stages(&double, "app", &first), [CURRENT]);
    // An unlabelled version is hidden from the list, and is still there.
    let listed = client.ok("ListSecretVersionIds", &json!({ "SecretId": "app" }));
    assert_eq!(listed["Versions"].as_array().unwrap().len(), 2);
    let listed = client.ok("ListSecretVersionIds", &json!({ "SecretId": "app", "IncludeDeprecated": true }));
    assert_eq!(listed["Versions"].as_array().unwrap().len(), 3);
}

#[test]
fn the_first_version_becomes_current_whatever_was_asked() {
    let (double, client) = started();
    double.create_without_value("app");
    let (code, message) = client.error("GetSecretValue", &json!({ "SecretId": "app", "VersionStage": CURRENT }));
    assert_eq!(code, "ResourceNotFoundException");
    assert_eq!(message, "Secrets Manager can't find the specified secret value for staging label: AWSCURRENT");
    assert!(client.ok("DescribeSecret", &json!({ "SecretId": "app" }))["VersionIdsToStages"].is_null());
    client.put("app", &id('a'), "one", &[PENDING]);
    assert_eq!(stages(&double, "app", &id('a')), [CURRENT, PENDING]);
}

#[test]
fn a_token_names_one_payload() {
    let (double, client) = started();
    double.put("app", "one");
    client.put("app", &id('b'), "two", &[PENDING]);
    // Again the same: nothing happens, AWSCURRENT does not move either.
    assert_eq!(client.put("app", &id('b'), "two", &[])["VersionStages"], json!([PENDING]));
    assert_eq!(double.current("app").unwrap(), "one");
    let other = json!({ "SecretId": "app", "ClientRequestToken": id('b'), "SecretString": "other" });
    assert_eq!(client.code("PutSecretValue", &other), "ResourceExistsException");
    assert_eq!(double.versions("app").len(), 2);
}

#[test]
fn current_moves_only_away_from_where_it_is() {
    let (double, client) = started();
    let first = double.put("app", "one");
    client.put("app", &id('b'), "two", &[PENDING]);
    let move_to = |to: &str, from: Option<&str>| {
        let mut body = json!({ "SecretId": "app", "VersionStage": CURRENT, "MoveToVersionId": to });
        if let Some(from) = from {
            body["RemoveFromVersionId"] = json!(from);
        }
        client.call("UpdateSecretVersionStage", &body)
    };
    let refused = |(status, answer): (u16, Value)| {
        assert_eq!((status, answer["__type"].as_str()), (400, Some("InvalidParameterException")), "{answer}");
    };
    refused(move_to(&id('b'), None));
    refused(move_to(&id('b'), Some(&id('b'))));
    assert_eq!(stages(&double, "app", &first), [CURRENT]);
    assert_eq!(move_to(&id('b'), Some(&first)).0, 200);
    assert_eq!(stages(&double, "app", &id('b')), [CURRENT, PENDING]);
    assert_eq!(stages(&double, "app", &first), ["AWSPREVIOUS"]);
    // The same call again, as after a lost answer: AWSCURRENT is no longer where it was.
    refused(move_to(&id('b'), Some(&first)));
    assert_eq!(move_to(&id('z'), Some(&id('b'))).1["__type"], "ResourceNotFoundException");
    // Back again: AWSPREVIOUS changes places.
    assert_eq!(move_to(&first, Some(&id('b'))).0, 200);
    assert_eq!(stages(&double, "app", &id('b')), ["AWSPREVIOUS", PENDING]);
}

#[test]
fn a_label_can_be_taken_off_but_not_current() {
    let (double, client) = started();
    let first = double.put("app", "one");
    double.label("app", PENDING, &first);
    let off =
        |stage: &str, from: &str| json!({ "SecretId": "app", "VersionStage": stage, "RemoveFromVersionId": from });
    assert_eq!(client.code("UpdateSecretVersionStage", &off(CURRENT, &first)), "InvalidParameterException");
    client.ok("UpdateSecretVersionStage", &off(PENDING, &first));
    assert_eq!(stages(&double, "app", &first), [CURRENT]);
    assert_eq!(client.code("UpdateSecretVersionStage", &off(PENDING, &first)), "InvalidParameterException");
    let nothing = json!({ "SecretId": "app", "VersionStage": PENDING });
    assert_eq!(client.code("UpdateSecretVersionStage", &nothing), "InvalidParameterException");
}

#[test]
fn a_secret_is_found_by_name_arn_and_partial_arn_in_its_region_only() {
    let (double, mut client) = started();
    double.put("team/app", "here");
    double.put_in("us-east-1", "team/app", "there");
    let arn = double.arn("team/app").unwrap();
    let partial = arn.rsplit_once('-').unwrap().0.to_owned();
    for id in ["team/app", &arn, &partial] {
        assert_eq!(client.ok("GetSecretValue", &json!({ "SecretId": id }))["SecretString"], "here", "{id}");
    }
    client.region = "us-east-1";
    assert_eq!(client.ok("GetSecretValue", &json!({ "SecretId": "team/app" }))["SecretString"], "there");
    assert_eq!(client.code("GetSecretValue", &json!({ "SecretId": arn })), "ResourceNotFoundException");
    client.region = "cn-north-1";
    let created = client.ok("CreateSecret", &json!({ "Name": "x", "ClientRequestToken": id('a') }));
    assert!(created["ARN"].as_str().unwrap().starts_with("arn:aws-cn:secretsmanager:cn-north-1:"));
}

#[test]
fn creating() {
    let (double, client) = started();
    let body =
        |token: char, text: &str| json!({ "Name": "app", "ClientRequestToken": id(token), "SecretString": text });
    assert_eq!(client.ok("CreateSecret", &body('a', "one"))["VersionId"], id('a'));
    assert_eq!(client.ok("CreateSecret", &body('a', "one"))["VersionId"], id('a'));
    assert_eq!(client.code("CreateSecret", &body('a', "two")), "ResourceExistsException");
    assert_eq!(client.code("CreateSecret", &body('b', "one")), "ResourceExistsException");
    assert_eq!(double.current("app").unwrap(), "one");
    double.schedule_deletion("app");
    let (code, message) = client.error("CreateSecret", &body('a', "one"));
    assert_eq!(code, "InvalidRequestException");
    assert!(message.contains("already scheduled for deletion"), "{message}");
    let bad = json!({ "Name": "a b", "ClientRequestToken": id('a'), "SecretString": "x" });
    assert_eq!(client.code("CreateSecret", &bad), "ValidationException");
    let empty = json!({ "Name": "empty", "ClientRequestToken": id('a') });
    assert!(client.ok("CreateSecret", &empty)["VersionId"].is_null());
}

#[test]
fn deletion_is_scheduled_and_can_be_taken_back() {
    let (double, client) = started();
    double.put("app", "one");
    let app = json!({ "SecretId": "app" });
    assert!(client.ok("DescribeSecret", &app)["DeletedDate"].is_null());
    client.ok("DeleteSecret", &app);
    assert!(double.is_deleted("app"));
    assert_eq!(client.code("GetSecretValue", &app), "InvalidRequestException");
    let put = json!({ "SecretId": "app", "ClientRequestToken": id('b'), "SecretString": "x" });
    assert_eq!(client.code("PutSecretValue", &put), "InvalidRequestException");
    assert!(client.ok("DescribeSecret", &app)["DeletedDate"].as_f64().unwrap() > 1e9);
    client.ok("RestoreSecret", &app);
    assert_eq!(client.ok("GetSecretValue", &app)["SecretString"], "one");
    client.ok("DeleteSecret", &json!({ "SecretId": "app", "ForceDeleteWithoutRecovery": true }));
    assert_eq!(client.code("DescribeSecret", &app), "ResourceNotFoundException");
}

#[test]
fn limits() {
    let (double, client) = started();
    double.put("app", "one");
    let sized = |n: usize| json!({ "SecretId": "app", "ClientRequestToken": id('b'), "SecretString": "é".repeat(n / 2), "VersionStages": [PENDING] });
    assert_eq!(client.code("PutSecretValue", &sized(65_538)), "ValidationException");
    assert_eq!(client.code("PutSecretValue", &sized(0)), "ValidationException");
    client.ok("PutSecretValue", &sized(65_536));
    // AWSCURRENT and the pending label, and 18 more.
    let labels: Vec<String> = (0..19).map(|n| format!("L{n}")).collect();
    let put = |labels: &[String]| json!({ "SecretId": "app", "ClientRequestToken": id('c'), "SecretString": "x", "VersionStages": labels });
    assert_eq!(client.code("PutSecretValue", &put(&labels)), "LimitExceededException");
    client.ok("PutSecretValue", &put(&labels[..18]));
    let attach = json!({ "SecretId": "app", "VersionStage": "L18", "MoveToVersionId": id('c') });
    assert_eq!(client.code("UpdateSecretVersionStage", &attach), "LimitExceededException");
    let short = json!({ "SecretId": "app", "ClientRequestToken": "short", "SecretString": "x" });
    assert_eq!(client.code("PutSecretValue", &short), "ValidationException");
}

#[test]
fn binary_secrets() {
    let (double, client) = started();
    double.put_binary("app", b"\x00\xff");
    let value = client.ok("GetSecretValue", &json!({ "SecretId": "app" }));
    assert_eq!((value["SecretBinary"].as_str(), value["SecretString"].is_null()), (Some("AP8="), true));
    let put = json!({ "SecretId": "app", "ClientRequestToken": id('b'), "SecretBinary": "AQI=" });
    client.ok("PutSecretValue", &put);
    assert_eq!(double.payload("app", &id('b')), Some(Payload::Binary(vec![1, 2])));
    assert_eq!(double.current("app"), None);
}

#[test]
fn rotation_and_owner_show_and_an_owned_secret_is_not_written() {
    let (double, client) = started();
    double.put("app", "one");
    double.set_rotation("app", true);
    double.set_owner("app", "rds");
    let described = client.ok("DescribeSecret", &json!({ "SecretId": "app" }));
    assert_eq!((&described["RotationEnabled"], &described["OwningService"]), (&json!(true), &json!("rds")));
    let put = json!({ "SecretId": "app", "ClientRequestToken": id('b'), "SecretString": "x" });
    assert_eq!(client.code("PutSecretValue", &put), "InvalidRequestException");
}

#[test]
fn lists_come_page_by_page_and_a_batch_names_what_it_could_not_read() {
    let (double, client) = started();
    for n in 0..25 {
        double.put(&format!("app/{n:02}"), &format!("value-{n}"));
    }
    double.put("other", "x");
    double.schedule_deletion("app/03");
    double.page_size(10);
    let (mut names, mut token) = (Vec::new(), Value::Null);
    loop {
        let filter = json!({ "Filters": [{ "Key": "name", "Values": ["app/"] }], "NextToken": token });
        let page = client.ok("ListSecrets", &filter);
        let list = page["SecretList"].as_array().unwrap();
        assert!(list.len() <= 10);
        names.extend(list.iter().map(|s| s["Name"].as_str().unwrap().to_owned()));
        token = page["NextToken"].clone();
        if token.is_null() {
            break;
        }
    }
    assert_eq!(names.len(), 24);
    assert_eq!(double.count("ListSecrets"), 3);
    double.page_size(100);
    let batch = client.ok("BatchGetSecretValue", &json!({ "SecretIdList": ["app/01", "app/03", "none"] }));
    assert_eq!(batch["SecretValues"][0]["SecretString"], "value-1");
    let codes: Vec<&str> = batch["Errors"].as_array().unwrap().iter().filter_map(|e| e["ErrorCode"].as_str()).collect();
    assert_eq!(codes, ["InvalidRequestException", "ResourceNotFoundException"]);
    let many: Vec<String> = (0..21).map(|n| format!("app/{n:02}")).collect();
    assert_eq!(client.code("BatchGetSecretValue", &json!({ "SecretIdList": many })), "ValidationException");
}

#[test]
fn who_calls_is_judged() {
    let (double, mut client) = started();
    double.put("app", "one");
    let app = json!({ "SecretId": "app" });
    client.key = "AKIADENIEDFAKEFAKE00";
    let (code, message) = client.error("GetSecretValue", &app);
    assert_eq!(code, "AccessDeniedException");
    let expected = "is not authorized to perform: secretsmanager:GetSecretValue on resource: app";
    assert!(message.contains(expected), "{message}");
    client.key = "AKIAUNKNOWNFAKEFAKE0";
    assert_eq!(client.code("GetSecretValue", &app), "UnrecognizedClientException");
    client.key = "ASIAFAKEFAKEFAKEFAKE";
    assert_eq!(client.code("GetSecretValue", &app), "UnrecognizedClientException");
    client.token = Some("EXPIRED-fake");
    assert_eq!(client.code("GetSecretValue", &app), "ExpiredTokenException");
    client.token = Some("fake");
    client.ok("GetSecretValue", &app);
    client.service = "sts";
    assert_eq!(client.code("GetSecretValue", &app), "InvalidSignatureException");
}

#[test]
fn faults_that_answer() {
    let (double, client) = started();
    double.put("app", "one");
    let app = json!({ "SecretId": "app" });
    let get = || client.raw("GetSecretValue", &app).unwrap();
    double.fail("GetSecretValue", 1, Fault::status(503, "ServiceUnavailable", "later"));
    double.fail("GetSecretValue", 2, Fault::Throttle(Some(Duration::from_millis(1500))));
    double.fail("GetSecretValue", 3, Fault::Html(502));
    double.fail("GetSecretValue", 4, Fault::Garbage);
    double.fail("GetSecretValue", 5, Fault::AccessDenied);
    double.fail("GetSecretValue", 6, Fault::Kms);
    double.fail("GetSecretValue", 7, Fault::Slow(Duration::from_millis(1)));
    double.fail("GetSecretValue", 8, Fault::Truncate);
    let (status, _, body) = get();
    assert_eq!((status, body), (503, br#"{"__type":"ServiceUnavailable","message":"later"}"#.to_vec()));
    let (status, headers, body) = get();
    assert_eq!(status, 400);
    assert!(headers.contains("Retry-After: 2\r\n") && headers.contains("x-amz-retry-after: 1500\r\n"), "{headers}");
    assert!(String::from_utf8(body).unwrap().contains("ThrottlingException"));
    let (status, headers, body) = get();
    assert!(status == 502 && headers.contains("text/html") && body.starts_with(b"<!DOCTYPE"));
    let (status, headers, body) = get();
    assert!(status == 200 && headers.contains("application/x-amz-json-1.1"));
    assert!(serde_json::from_slice::<Value>(&body).is_err());
    assert!(String::from_utf8(get().2).unwrap().contains("perform: secretsmanager:GetSecretValue on resource: app"));
    assert!(String::from_utf8(get().2).unwrap().contains("Access to KMS is not allowed"));
    assert!(String::from_utf8(get().2).unwrap().contains("\"one\""));
    let (status, headers, body) = get();
    let length: usize = headers.lines().find_map(|l| l.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    assert!(status == 200 && body.len() == length / 2, "{} of {length}", body.len());
    // All of that is over: the ninth call is like any other.
    assert_eq!(client.ok("GetSecretValue", &app)["SecretString"], "one");
    assert_eq!(double.count("GetSecretValue"), 9);
}

#[test]
fn a_connection_ends_before_or_after_the_deed() {
    let (double, client) = started();
    double.put("app", "one");
    let put = |letter: char| json!({ "SecretId": "app", "ClientRequestToken": id(letter), "SecretString": "new" });
    double.fail("PutSecretValue", When::Next(1), Fault::ResetBefore);
    assert_eq!(client.raw("PutSecretValue", &put('b')), None);
    assert_eq!(double.current("app").unwrap(), "one");
    double.fail("*", When::Next(1), Fault::ResetAfter);
    assert_eq!(client.raw("PutSecretValue", &put('c')), None);
    assert_eq!(double.current("app").unwrap(), "new");
    assert_eq!(double.calls(), ["PutSecretValue", "PutSecretValue"]);
    assert!(double.requests()[1].contains(&id('c')));
}

#[test]
fn a_hanging_call_ends_with_the_double() {
    let (double, client) = started();
    let (reached, seen) = mpsc::channel();
    double.fail("*", When::Always, Fault::Hang);
    double.on("*", 1, move |_| reached.send(()).unwrap());
    let mut stream = client.connect();
    client.send(&mut stream, "GetSecretValue", "{}");
    seen.recv().unwrap();
    drop(double);
    assert_eq!(receive(&stream), None);
}

#[test]
fn a_foreign_writer_comes_in_between() {
    let (double, client) = started();
    let first = double.put("app", "one");
    double.on("UpdateSecretVersionStage", 1, |double| drop(double.put("app", "foreign")));
    client.put("app", &id('b'), "ours", &[PENDING]);
    let body =
        json!({ "SecretId": "app", "VersionStage": CURRENT, "MoveToVersionId": id('b'), "RemoveFromVersionId": first });
    assert_eq!(client.code("UpdateSecretVersionStage", &body), "InvalidParameterException");
    assert_eq!(double.current("app").unwrap(), "foreign");
}

#[test]
fn one_connection_carries_many_calls_and_clients_do_not_wait_for_each_other() {
    let (double, client) = started();
    double.put("app", "one");
    let mut stream = client.connect();
    for _ in 0..3 {
        client.send(&mut stream, "GetSecretValue", r#"{"SecretId":"app"}"#);
        assert_eq!(receive(&stream).unwrap().0, 200);
    }
    double.fail("DescribeSecret", When::Always, Fault::Hang);
    client.send(&mut stream, "DescribeSecret", r#"{"SecretId":"app"}"#);
    assert_eq!(client.ok("GetSecretValue", &json!({ "SecretId": "app" }))["SecretString"], "one");
    stream.shutdown(Shutdown::Both).unwrap();
}

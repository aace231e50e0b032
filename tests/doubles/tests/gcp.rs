//! The double of Google Secret Manager over plain sockets: the documented semantics that its users rely on, what a test can
//! arrange, and its faults. That the vendor's own client accepts it is shown by `tests/conformance/gcp`.

#![allow(clippy::unwrap_used, reason = "in a helper of a test a failure is the test's failure")]

mod wire;

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use envsync_doubles::gcp::{NUMBER, PROJECT, SecretManager, VersionState};
use envsync_doubles::{Double, Fault, When};
use serde_json::{Value, json};
use wire::{Reply, head};

struct Client {
    address: String,
    /// The whole header; empty for none.
    authorization: String,
}

impl Client {
    fn new(double: &Double<SecretManager>) -> Self {
        let address = double.url().trim_start_matches("http://").to_owned();
        Self { address, authorization: "Bearer fake-token".to_owned() }
    }

    fn with(&self, token: &str) -> Self {
        Self { address: self.address.clone(), authorization: format!("Bearer {token}") }
    }

    fn raw(&self, method: &str, path: &str, body: &str) -> Reply {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let authorization = match self.authorization.as_str() {
            "" => String::new(),
            header => format!("Authorization: {header}\r\n"),
        };
        let head = format!(
            "{method} /v1/{path} HTTP/1.1\r\nHost: x\r\n{authorization}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        receive(&stream)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, _, body) = self.raw(method, path, &body).unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn ok(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    fn get(&self, path: &str) -> Value {
        self.ok("GET", path, &Value::Null)
    }

    /// The error's status, code and message.
    fn error(&self, method: &str, path: &str, body: &Value) -> (u16, String, String) {
        let (status, answer) = self.call(method, path, body);
        let error = &answer["error"];
        assert_eq!(error["code"], status, "{method} {path}: {answer}");
        (status, error["status"].as_str().unwrap().to_owned(), error["message"].as_str().unwrap().to_owned())
    }

    fn refused(&self, path: &str) -> (u16, String, String) {
        self.error("GET", path, &Value::Null)
    }

    fn read(&self, version: &str) -> String {
        let answer = self.get(&format!("projects/{PROJECT}/secrets/app/versions/{version}:access"));
        String::from_utf8(STANDARD.decode(answer["payload"]["data"].as_str().unwrap()).unwrap()).unwrap()
    }

    fn add(&self, text: &str) -> Value {
        self.ok("POST", &app(":addVersion"), &json!({ "payload": { "data": STANDARD.encode(text) } }))
    }
}

fn receive(stream: &TcpStream) -> Reply {
    let mut reader = BufReader::new(stream);
    let (status, headers, length) = head(&mut reader)?;
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body).ok()?;
    Some((status, headers, body))
}

/// The path of the secret `app` and what follows it.
fn app(rest: &str) -> String {
    format!("projects/{PROJECT}/secrets/app{rest}")
}

fn started() -> (Double<SecretManager>, Client) {
    let double = SecretManager::start();
    let client = Client::new(&double);
    (double, client)
}

#[test]
fn versions_count_up_and_names_carry_the_number_of_the_project() {
    let (double, client) = started();
    assert_eq!(double.put("app", "one"), "1");
    assert_eq!(client.add("two")["name"], format!("projects/{NUMBER}/secrets/app/versions/2"));
    for project in [PROJECT, NUMBER] {
        let answer = client.get(&format!("projects/{project}/secrets/app/versions/latest:access"));
        assert_eq!(answer["name"], format!("projects/{NUMBER}/secrets/app/versions/2"));
    }
    assert_eq!((client.read("1"), client.read("latest")), ("one".into(), "two".into()));
    assert_eq!(double.versions("app"), ["1", "2"]);
    assert_eq!(double.current("app").unwrap(), "two");
    assert_eq!(
        double.calls(),
        [
            "AddSecretVersion",
            "AccessSecretVersion",
            "AccessSecretVersion",
            "AccessSecretVersion",
            "AccessSecretVersion"
        ]
    );
}

#[test]
fn latest_is_the_last_one_made_whatever_its_state() {
    let (double, client) = started();
    double.put("app", "one");
    double.put("app", "two");
    for (state, word) in [(VersionState::Disabled, "DISABLED"), (VersionState::Destroyed, "DESTROYED")] {
        double.set_state("app", "2", state);
        let (status, code, message) = client.refused(&app("/versions/latest:access"));
        assert_eq!((status, code.as_str()), (400, "FAILED_PRECONDITION"));
        assert_eq!(message, format!("Secret Version [projects/{NUMBER}/secrets/app/versions/2] is in {word} state."));
    }
    assert_eq!(client.get(&app("/versions/latest"))["state"], "DESTROYED");
    assert_eq!(client.read("1"), "one");
    assert_eq!(client.refused(&app("/versions/3:access")).0, 404);
    assert_eq!(client.refused(&app("/versions/2:access")).0, 400);
    // What is destroyed stays so, and its number is not used again.
    assert_eq!(client.error("POST", &app("/versions/2:enable"), &json!({})).1, "FAILED_PRECONDITION");
    assert_eq!(double.payload("app", "2").unwrap(), b"");
    assert_eq!(double.put("app", "three"), "3");
}

#[test]
fn a_missing_secret_and_an_empty_one_read_alike() {
    let (double, client) = started();
    let missing = client.refused(&app("/versions/latest:access"));
    assert_eq!(
        missing,
        (404, "NOT_FOUND".into(), format!("Secret [projects/{NUMBER}/secrets/app] not found or has no versions."))
    );
    double.create_without_value("app");
    assert_eq!(client.refused(&app("/versions/latest:access")), missing);
    assert_eq!(client.get(&app("/versions")), json!({}));
    double.purge("app");
    assert_eq!(client.refused(&app("")).2, format!("Secret [projects/{NUMBER}/secrets/app] not found."));
    assert_eq!(client.error("POST", &app(":addVersion"), &json!({ "payload": { "data": "eA==" } })).0, 404);
}

#[test]
fn latest_may_lag_and_a_read_by_number_never_does() {
    let (double, client) = started();
    for text in ["one", "two", "three"] {
        double.put("app", text);
    }
    double.lag("app", 1);
    assert_eq!((client.read("latest"), client.read("3")), ("two".into(), "three".into()));
    assert_eq!(client.add("four")["name"], format!("projects/{NUMBER}/secrets/app/versions/4"));
    assert_eq!((client.read("latest"), client.read("4")), ("three".into(), "four".into()));
    assert_eq!(client.get(&app("/versions"))["totalSize"], 3);
    double.lag("app", 9);
    assert_eq!(client.read("latest"), "one");
    double.lag("app", 0);
    assert_eq!(client.read("latest"), "four");
    double.lag_for("app", Duration::from_secs(3_600));
    assert_eq!(client.read("latest"), "one");
    assert_eq!(double.current("app").unwrap(), "four");
}

#[test]
fn checksums_are_compared_and_given_back() {
    let (double, client) = started();
    double.create_without_value("app");
    let add = |crc: Value| {
        client.call("POST", &app(":addVersion"), &json!({ "payload": { "data": "MTIzNDU2Nzg5", "dataCrc32c": crc } }))
    };
    for (crc, status) in
        [(json!("3808858755"), 200), (json!(3_808_858_755_u32), 200), (json!("3808858756"), 400), (json!("x"), 400)]
    {
        assert_eq!(add(crc.clone()).0, status, "{crc}");
    }
    assert_eq!(double.versions("app"), ["1", "2"]);
    assert!(double.sent_checksum("app", "2"));
    assert!(!double.sent_checksum("app", &double.put("app", "other")));
    let answer = client.get(&app("/versions/1:access"));
    assert_eq!(answer["payload"], json!({ "data": "MTIzNDU2Nzg5", "dataCrc32c": "3808858755" }));
    double.fail("AccessSecretVersion", When::Next(1), Fault::Checksum);
    let spoilt = client.get(&app("/versions/1:access"));
    assert_eq!(spoilt["payload"]["data"], "MTIzNDU2Nzg5");
    assert_ne!(spoilt["payload"]["dataCrc32c"], "3808858755");
}

#[test]
fn a_payload_is_between_1_and_65536_bytes() {
    let (double, client) = started();
    double.create_without_value("app");
    for (bytes, status) in [(0, 400), (65_536, 200), (65_537, 400)] {
        let body = json!({ "payload": { "data": STANDARD.encode(vec![b'x'; bytes]) } });
        assert_eq!(client.call("POST", &app(":addVersion"), &body).0, status, "{bytes}");
    }
    assert_eq!(double.versions("app").len(), 1);
}

#[test]
fn creating_needs_a_good_name_and_a_replication_where_it_is_not_regional() {
    let (double, client) = started();
    let create = |place: &str, id: &str, body: Value| {
        client.call("POST", &format!("projects/{PROJECT}{place}/secrets?secretId={id}"), &body)
    };
    let automatic = json!({ "replication": { "automatic": {} }, "labels": { "env": "test" } });
    let (status, made) = create("", "app", automatic.clone());
    assert_eq!((status, &made["name"]), (200, &json!(format!("projects/{NUMBER}/secrets/app"))));
    assert_eq!(create("", "app", automatic.clone()).1["error"]["status"], "ALREADY_EXISTS");
    for (id, body) in
        [("a%2Fb", automatic.clone()), ("", automatic.clone()), ("x", json!({})), ("x", json!({ "replication": {} }))]
    {
        assert_eq!(create("", id, body).0, 400, "{id}");
    }
    let managed = json!({ "replication": { "userManaged": { "replicas": [{ "location": "europe-west3" }, { "location": "europe-west4" }] } } });
    assert_eq!(create("", "managed", managed).0, 200);
    assert_eq!(double.locations("managed").unwrap(), ["europe-west3", "europe-west4"]);
    assert_eq!(double.locations("app").unwrap(), [""; 0]);
    assert_eq!(double.labels("app"), [("env".into(), "test".into())]);
    // The same id in a region is another secret.
    let regional = format!("projects/{PROJECT}/locations/europe-west3/secrets/app");
    assert_eq!(create("/locations/europe-west3", "app", automatic).0, 400);
    assert_eq!(create("/locations/europe-west3", "app", json!({})).0, 200);
    double.put(&regional, "here");
    let there = client.get(&format!("{regional}/versions/latest:access"));
    assert_eq!(there["name"], format!("projects/{NUMBER}/locations/europe-west3/secrets/app/versions/1"));
    assert_eq!(double.versions("app"), [""; 0]);
    assert_eq!(client.get(&format!("projects/{PROJECT}/secrets"))["totalSize"], 2);
}

#[test]
fn an_etag_that_is_given_must_be_the_current_one() {
    let (double, client) = started();
    double.put("app", "one");
    let tag = client.get(&app("/versions/1"))["etag"].clone();
    client.ok("POST", &app("/versions/1:disable"), &json!({ "etag": tag }));
    assert_eq!(client.error("POST", &app("/versions/1:enable"), &json!({ "etag": tag })).1, "FAILED_PRECONDITION");
    assert_eq!(double.state("app", "1"), Some(VersionState::Disabled));
    // Adding a version changes nothing of the secret.
    let before = client.get(&app(""))["etag"].clone();
    client.add("two");
    assert_eq!(client.get(&app(""))["etag"], before);
    let patch = json!({ "etag": before, "labels": { "a": "b" } });
    let after = client.ok("PATCH", &app("?updateMask=labels"), &patch);
    assert_eq!(after["labels"], json!({ "a": "b" }));
    assert_eq!(client.error("PATCH", &app("?updateMask=labels"), &patch).0, 400);
    assert_eq!(client.error("DELETE", &app("?etag=%22old%22"), &Value::Null).0, 400);
    assert_eq!(client.ok("DELETE", &app(""), &Value::Null), json!({}));
    assert_eq!(double.name("app"), None);
}

#[test]
fn an_alias_names_a_version() {
    let (double, client) = started();
    double.put("app", "one");
    double.put("app", "two");
    let set = |aliases: Value| {
        client.call("PATCH", &app("?updateMask=version_aliases"), &json!({ "versionAliases": aliases })).0
    };
    assert_eq!(set(json!({ "live": "1" })), 200);
    assert_eq!(client.read("live"), "one");
    for wrong in [json!({ "latest": "1" }), json!({ "1st": "1" }), json!({ "live": "9" })] {
        assert_eq!(set(wrong.clone()), 400, "{wrong}");
    }
    double.set_alias("app", "live", "2");
    assert_eq!(client.read("live"), "two");
    assert_eq!(client.refused(&app("/versions/none:access")).0, 404);
    assert_eq!(client.refused(&app("/versions/0-1:access")).1, "INVALID_ARGUMENT");
}

#[test]
fn lists_come_in_pages_newest_first() {
    let (double, client) = started();
    for n in 1..=5 {
        double.put(&format!("many-{n}"), "x");
        double.put("app", "x");
    }
    double.set_label("many-2", "env", "prod");
    double.set_state("app", "4", VersionState::Disabled);
    let names = |path: &str, field: &str| -> Vec<String> {
        let (mut found, mut token) = (Vec::new(), String::new());
        loop {
            let page = client.get(&format!("{path}&pageToken={token}"));
            let items = page[field].as_array().cloned().unwrap_or_default();
            found.extend(items.iter().map(|i| i["name"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()));
            match page["nextPageToken"].as_str() {
                Some(next) => token = next.to_owned(),
                None => return found,
            }
        }
    };
    assert_eq!(names(&app("/versions?pageSize=2"), "versions"), ["5", "4", "3", "2", "1"]);
    assert_eq!(names(&app("/versions?filter=state:ENABLED"), "versions"), ["5", "3", "2", "1"]);
    let list = format!("projects/{PROJECT}/secrets");
    double.page_size(2);
    assert_eq!(
        names(&format!("{list}?filter=name:many"), "secrets"),
        ["many-5", "many-4", "many-3", "many-2", "many-1"]
    );
    assert_eq!(double.count("ListSecrets"), 3);
    assert_eq!(names(&format!("{list}?filter=labels.env%3Dprod"), "secrets"), ["many-2"]);
    for wrong in ["filter=nonsense", "pageSize=-1", "pageSize=x", "pageToken=x"] {
        assert_eq!(client.refused(&format!("{list}?{wrong}")).1, "INVALID_ARGUMENT", "{wrong}");
    }
}

#[test]
fn states_are_numbers_for_who_asks_so() {
    let (double, client) = started();
    double.put("app", "one");
    assert_eq!(client.get(&app("/versions/1"))["state"], "ENABLED");
    assert_eq!(client.get(&app("/versions/1?$alt=json;enum-encoding=int"))["state"], 1);
    assert_eq!(client.get(&app("/versions?%24alt=json%3Benum-encoding%3Dint"))["versions"][0]["state"], 1);
}

#[test]
fn callers_are_judged() {
    let (double, client) = started();
    double.put("app", "one");
    let path = app("/versions/latest:access");
    let reason = |client: &Client| {
        let (status, answer) = client.call("GET", &path, &Value::Null);
        (
            status,
            answer["error"]["status"].as_str().unwrap_or_default().to_owned(),
            answer["error"]["details"][0]["reason"].clone(),
        )
    };
    for (authorization, why) in [
        ("", "CREDENTIALS_MISSING"),
        ("Basic eA==", "CREDENTIALS_MISSING"),
        ("Bearer EXPIRED-fake", "ACCESS_TOKEN_EXPIRED"),
    ] {
        let caller = Client { address: client.address.clone(), authorization: authorization.to_owned() };
        assert_eq!(reason(&caller), (401, "UNAUTHENTICATED".into(), json!(why)), "{authorization}");
        assert!(caller.raw("GET", &path, "").unwrap().1.contains("WWW-Authenticate: Bearer"));
    }
    let denied = client.with("DENIED-fake");
    assert_eq!(reason(&denied), (403, "PERMISSION_DENIED".into(), json!("IAM_PERMISSION_DENIED")));
    assert_eq!(
        denied.refused(&path).2,
        format!("Permission 'secretmanager.versions.access' denied for resource '{path}' (or it may not exist).")
            .replace(":access", "")
    );
    assert_eq!(client.refused("projects/other/secrets/app").2, "Permission denied on resource project other.");
    double.enable_api(false);
    assert_eq!(reason(&client), (403, "PERMISSION_DENIED".into(), json!("SERVICE_DISABLED")));
    assert!(
        client
            .refused(&path)
            .2
            .starts_with("Secret Manager API has not been used in project 123456789012 before or it is disabled.")
    );
}

#[test]
fn a_service_account_may_sign_its_own_token() {
    let (double, client) = started();
    double.put("app", "one");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let good = json!({
        "iss": "robot@fake-project.iam.gserviceaccount.com", "sub": "robot@fake-project.iam.gserviceaccount.com",
        "aud": "https://secretmanager.googleapis.com/", "iat": now, "exp": now + 3_600,
    });
    let status = |claims: &Value| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!("{}.{}.c2ln", part(&json!({ "alg": "RS256", "typ": "JWT" })), part(claims));
        client.with(&token).raw("GET", &app("/versions/1:access"), "").unwrap().0
    };
    assert_eq!(status(&good), 200);
    let changed = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        status(&claims)
    };
    assert_eq!(changed("scope", json!("https://www.googleapis.com/auth/cloud-platform")), 200);
    for (name, value) in [
        ("aud", json!("https://elsewhere.example/")),
        ("aud", Value::Null),
        ("iss", Value::Null),
        ("sub", json!("other@fake-project.iam.gserviceaccount.com")),
        ("exp", json!(now - 1)),
        ("exp", json!(now + 86_400)),
        ("iat", json!(now + 600)),
    ] {
        assert_eq!(changed(name, value), 401, "{name}");
    }
    // An opaque token has dots too.
    assert_eq!(client.with("ya29.c.fake").get(&app("/versions/1"))["state"], "ENABLED");
}

#[test]
fn faults_answer_in_the_services_own_shape() {
    let (double, client) = started();
    double.put("app", "one");
    let path = app("/versions/latest:access");
    let next = |fault: Fault| {
        double.fail("AccessSecretVersion", When::Next(1), fault);
        client.raw("GET", &path, "")
    };
    for (status, code) in
        [(401, "UNAUTHENTICATED"), (404, "NOT_FOUND"), (409, "ABORTED"), (500, "INTERNAL"), (503, "UNAVAILABLE")]
    {
        let (got, _, body) = next(Fault::status(status, code, "fake trouble")).unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            (got, body),
            (status, json!({ "error": { "code": status, "message": "fake trouble", "status": code } }))
        );
    }
    let (status, headers, body) = next(Fault::Throttle(Some(Duration::from_secs(2)))).unwrap();
    assert_eq!(status, 429);
    assert!(headers.contains("Retry-After: 2\r\n") && String::from_utf8(body).unwrap().contains("RESOURCE_EXHAUSTED"));
    let (status, _, body) = next(Fault::AccessDenied).unwrap();
    assert_eq!(status, 403);
    assert!(String::from_utf8(body).unwrap().contains("secretmanager.versions.access"));
    let (status, headers, _) = next(Fault::Html(503)).unwrap();
    assert!(status == 503 && headers.contains("text/html"));
    let whole = next(Fault::Slow(Duration::from_millis(1))).unwrap().2;
    assert!(next(Fault::Truncate).unwrap().2.len() < whole.len());
    assert_eq!(next(Fault::ResetBefore), None);
}

#[test]
fn a_reset_after_acting_leaves_a_version() {
    let (double, client) = started();
    double.put("app", "one");
    let body = json!({ "payload": { "data": STANDARD.encode("two") } }).to_string();
    double.fail("AddSecretVersion", 1, Fault::ResetBefore);
    double.fail("AddSecretVersion", 2, Fault::ResetAfter);
    assert_eq!(client.raw("POST", &app(":addVersion"), &body), None);
    assert_eq!(double.versions("app"), ["1"]);
    assert_eq!(client.raw("POST", &app(":addVersion"), &body), None);
    assert_eq!(double.current("app").unwrap(), "two");
    assert_eq!(double.versions("app"), ["1", "2"]);
}

#[test]
fn another_writer_may_come_in_between() {
    let (double, client) = started();
    double.put("app", "one");
    double.on("AddSecretVersion", 1, |double| {
        double.put("app", "foreign");
    });
    assert_eq!(client.add("ours")["name"], format!("projects/{NUMBER}/secrets/app/versions/3"));
    assert_eq!((client.read("2"), client.read("latest")), ("foreign".into(), "ours".into()));
}

#[test]
fn what_is_no_operation_is_a_page_and_what_is_no_message_an_error() {
    let (double, client) = started();
    double.put("app", "one");
    let (status, headers, _) = client.raw("GET", "nonsense", "").unwrap();
    assert!(status == 404 && headers.contains("text/html"));
    assert_eq!(client.raw("POST", &app(":addVersion"), "{").unwrap().0, 400);
    assert_eq!(client.raw("POST", &app(":addVersion"), "").unwrap().0, 400);
    let (_, _, message) = client.error("POST", &app(":addVersion"), &json!({ "payload": { "text": "x" } }));
    assert_eq!(message, "Invalid JSON payload received. Unknown name \"text\" at 'payload': Cannot find field.");
    assert_eq!(double.versions("app"), ["1"]);
}

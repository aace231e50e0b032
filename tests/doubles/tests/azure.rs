//! The double itself, over TLS and plain requests: the documented semantics that its users rely on, and its faults. That
//! the vendor's own client accepts it is shown by `tests/conformance/azure`.

#![allow(clippy::unwrap_used, reason = "in a helper of a test a failure is the test's failure")]

mod wire;

use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use envsync_doubles::azure::{
    ACCESS_TOKEN, AUDIENCE, CLIENT_ID, CLIENT_SECRET, DENIED_CLIENT_ID, KeyVault, Lag, Properties, TENANT, conflict,
    contention, entra_error, forbidden_by_firewall, forbidden_by_policy, forbidden_by_rbac, forbidden_with_escapes,
};
use envsync_doubles::issuer::{GITHUB, IMMUTABLE_SUBJECT, Issuer, SUBJECT};
use envsync_doubles::{Double, Fault, When};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use serde_json::{Value, json};
use wire::{Reply, head};

type Tls = StreamOwned<ClientConnection, TcpStream>;

struct Client {
    address: String,
    tls: Arc<ClientConfig>,
    token: Option<String>,
}

impl Client {
    fn new(double: &Double<KeyVault>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(double.ca_pem().as_bytes()).unwrap()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let tls = Arc::new(builder.with_root_certificates(roots).with_no_client_auth());
        let address = double.url().strip_prefix("https://").unwrap().to_owned();
        Self { address, tls, token: Some(ACCESS_TOKEN.to_owned()) }
    }

    fn raw(&self, method: &str, target: &str, body: &str) -> Reply {
        let name = ServerName::try_from("127.0.0.1").unwrap();
        let connection = ClientConnection::new(Arc::clone(&self.tls), name).unwrap();
        let mut stream = StreamOwned::new(connection, TcpStream::connect(&self.address).unwrap());
        let token = self.token.as_ref().map_or(String::new(), |t| format!("Authorization: Bearer {t}\r\n"));
        let host = &self.address;
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{token}Content-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + body).as_bytes()).unwrap();
        receive(stream)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let mark = if path.contains('?') { '&' } else { '?' };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let (status, _, body) = self.raw(method, &format!("{path}{mark}api-version=2025-07-01"), &body).unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_default())
    }

    fn ok(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    fn set(&self, name: &str, value: &str) -> Value {
        self.ok("PUT", &format!("/secrets/{name}"), &json!({ "value": value }))
    }

    fn get(&self, name: &str) -> Value {
        self.ok("GET", &format!("/secrets/{name}/"), &Value::Null)
    }

    /// Status and code, with the inner one after a slash.
    fn refusal(&self, method: &str, path: &str, body: &Value) -> (u16, String) {
        let (status, answer) = self.call(method, path, body);
        let error = &answer["error"];
        let inner = error["innererror"]["code"].as_str().map_or(String::new(), |inner| format!("/{inner}"));
        (status, error["code"].as_str().unwrap_or_default().to_owned() + &inner)
    }

    fn login(&self, tenant: &str, client: &str, secret: &str) -> (u16, Value) {
        let form = format!(
            "grant_type=client_credentials&client_id={client}&client_secret={secret}&scope=https%3A%2F%2Fvault.azure.net%2F.default"
        );
        let (status, _, body) = self.raw("POST", &format!("/{tenant}/oauth2/v2.0/token"), &form).unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }
}

fn receive(stream: Tls) -> Reply {
    let mut reader = BufReader::new(stream);
    let (status, headers, length) = head(&mut reader)?;
    // A connection that ends early ends without TLS saying so, which is an error of the read; what came before it counts.
    let mut body = Vec::new();
    drop(reader.take(length).read_to_end(&mut body));
    Some((status, headers, body))
}

fn started() -> (Double<KeyVault>, Client) {
    let double = KeyVault::start();
    let client = Client::new(&double);
    (double, client)
}

/// The last part of an identifier.
fn version(answer: &Value) -> String {
    answer["id"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}

const NONE: Value = Value::Null;

#[test]
fn the_last_write_is_current_also_within_one_second() {
    let (double, client) = started();
    double.freeze_clock(Some(1_800_000_000));
    let ids: Vec<String> = (0..20).map(|n| version(&client.set("app", &format!("fake-{n}")))).collect();
    let current = client.get("APP");
    assert_eq!((current["value"].as_str(), version(&current)), (Some("fake-19"), ids[19].clone()));
    assert_eq!(double.versions("app"), ids);
    let listed = client.ok("GET", "/secrets/app/versions", &NONE);
    let mut times: Vec<u64> =
        listed["value"].as_array().unwrap().iter().map(|v| v["attributes"]["created"].as_u64().unwrap()).collect();
    times.dedup();
    assert_eq!(times, [1_800_000_000]);
    let mut sorted = ids.clone();
    sorted.sort();
    let order: Vec<String> = listed["value"].as_array().unwrap().iter().map(version).collect();
    assert_eq!(order, sorted, "the order of a list says nothing about time");
    let old = client.ok("GET", &format!("/secrets/app/{}", ids[3]), &NONE);
    assert_eq!(old["value"], "fake-3");
}

#[test]
fn what_a_version_has_lives_with_it_and_a_plain_write_drops_it() {
    let (double, client) = started();
    let all = json!({
        "value": "fake-one", "contentType": "application/json", "tags": { "team": "a" },
        "attributes": { "enabled": true, "nbf": 1_700_000_000, "exp": 4_000_000_000_u64 },
    });
    client.ok("PUT", "/secrets/app", &all);
    let read = client.get("app");
    assert_eq!((&read["contentType"], &read["tags"]["team"]), (&json!("application/json"), &json!("a")));
    assert_eq!(
        (&read["attributes"]["nbf"], &read["attributes"]["exp"]),
        (&json!(1_700_000_000), &json!(4_000_000_000_u64))
    );
    client.set("app", "fake-two");
    let plain = Properties { value: "fake-two".into(), enabled: true, ..Properties::default() };
    assert_eq!(double.version("app", ""), Some(plain));
    client.ok("PATCH", "/secrets/app", &json!({ "tags": { "b": "c" }, "attributes": { "enabled": false } }));
    let patched = double.version("app", "").unwrap();
    assert_eq!((patched.enabled, patched.tags), (false, vec![("b".to_owned(), "c".to_owned())]));
    assert_eq!(client.refusal("GET", "/secrets/app", &NONE), (403, "Forbidden/SecretDisabled".into()));
    double.edit("app", "", |v| (v.enabled, v.expires, v.not_before) = (true, Some(1), None));
    assert_eq!(client.get("app")["value"], "fake-two", "expired ones are given");
}

#[test]
fn names_sizes_and_api_versions() {
    let (_double, client) = started();
    let bad = (400, "BadParameter".to_owned());
    let put = |name: &str, body: &Value| client.refusal("PUT", &format!("/secrets/{name}"), body);
    let value = json!({ "value": "fake" });
    for name in ["a_b", "a.b", "a%20b", "%C3%A9", &"x".repeat(128)] {
        assert_eq!(put(name, &value), bad, "{name}");
    }
    client.set(&"x".repeat(127), "fake");
    client.set("empty", "");
    let sized = |n: usize| json!({ "value": "é".repeat(n / 2) });
    assert_eq!(put("app", &sized(25_602)), bad);
    client.ok("PUT", "/secrets/app", &sized(25_600));
    let tagged = |n: usize| json!({ "value": "", "tags": (0..n).map(|n| (n.to_string(), json!("x"))).collect::<serde_json::Map<_, _>>() });
    assert_eq!(put("app", &tagged(16)), bad);
    client.ok("PUT", "/secrets/app", &tagged(15));
    assert_eq!(put("app", &json!({ "value": 1 })), bad);
    assert_eq!(client.raw("GET", "/secrets/app", "").unwrap().0, 400);
    assert_eq!(client.raw("GET", "/secrets/app?api-version=1.0", "").unwrap().0, 400);
    assert_eq!(client.refusal("GET", "/secrets/none", &NONE), (404, "SecretNotFound".into()));
    assert_eq!(client.refusal("GET", "/secrets/app/0123", &NONE), (404, "SecretNotFound".into()));
}

#[test]
fn deletion_and_recovery_take_their_while() {
    let (double, client) = started();
    double.put("app", "fake-one");
    double.put("app", "fake-two");
    double.deletion_takes(Lag::Looks(2));
    let gone = client.ok("DELETE", "/secrets/app", &NONE);
    assert!(gone["value"].is_null() && gone["recoveryId"].as_str().unwrap().ends_with("/deletedsecrets/app"));
    let put = || client.refusal("PUT", "/secrets/app", &json!({ "value": "fake" }));
    let deleted = || client.refusal("GET", "/deletedsecrets/app", &NONE);
    assert_eq!(put(), (409, "Conflict/ObjectIsBeingDeleted".into()));
    assert_eq!(client.refusal("GET", "/secrets/app", &NONE), (404, "SecretNotFound".into()));
    assert_eq!(deleted(), (404, "SecretNotFound".into()));
    assert_eq!(deleted().0, 200);
    assert_eq!(put(), (409, "Conflict/ObjectIsDeletedButRecoverable".into()));
    assert_eq!(client.ok("GET", "/secrets/app/versions", &NONE)["value"], json!([]));

    double.recovery_takes(Lag::Looks(2), Lag::Looks(1));
    client.ok("POST", "/deletedsecrets/app/recover", &NONE);
    assert_eq!(put(), (409, "Conflict/ObjectIsBeingRecovered".into()));
    assert_eq!(client.refusal("GET", "/secrets/app", &NONE), (404, "SecretNotFound".into()));
    assert_eq!(client.get("app")["value"], "fake-two");
    assert_eq!(put(), (409, "Conflict/ObjectIsBeingRecovered".into()), "readable is not yet writable");
    assert_eq!(put().0, 200);
    assert_eq!(double.versions("app").len(), 3);

    double.deletion_takes(Lag::None);
    double.delete("app");
    assert_eq!(client.refusal("DELETE", "/deletedsecrets/app", &NONE), (403, "Forbidden".into()));
    double.allow_purge();
    assert_eq!(client.call("DELETE", "/deletedsecrets/app", &NONE).0, 204);
    assert!(!double.is_deleted("app"));
}

#[test]
fn who_comes_without_a_token_is_told_where_to_get_one() {
    let (double, mut client) = started();
    double.put("app", "fake-one");
    client.token = None;
    let (status, headers, _) = client.raw("GET", "/secrets/app?api-version=7.4", "").unwrap();
    let challenge = format!("authorization=\"{}/{TENANT}\", resource=\"https://vault.azure.net\"", double.url());
    assert!(status == 401 && headers.contains(&challenge), "{headers}");
    let (status, answer) = client.login(TENANT, CLIENT_ID, CLIENT_SECRET);
    assert_eq!((status, &answer["token_type"]), (200, &json!("Bearer")));
    client.token = Some(answer["access_token"].as_str().unwrap().to_owned());
    assert_eq!(client.get("app")["value"], "fake-one");
    assert_eq!(double.calls(), ["Challenge", "Token", "GetSecret"]);
    double.revoke_tokens();
    assert_eq!(client.refusal("GET", "/secrets/app", &NONE), (401, "Unauthorized".into()));
    let denied = client.login(TENANT, DENIED_CLIENT_ID, CLIENT_SECRET).1;
    client.token = Some(denied["access_token"].as_str().unwrap().to_owned());
    assert_eq!(client.refusal("GET", "/secrets/app", &NONE), (403, "Forbidden/ForbiddenByRbac".into()));
    client.token = Some(double.issue_token());
    assert_eq!(client.get("app")["value"], "fake-one");
}

#[test]
fn the_authority_refuses_by_tenant_by_application_and_by_secret() {
    let (double, client) = started();
    let refused = |tenant: &str, app: &str, secret: &str| {
        let (status, answer) = client.login(tenant, app, secret);
        let text = answer["error_description"].as_str().unwrap();
        assert!(text.contains("\r\nTrace ID: "), "{text}");
        (status, answer["error"].as_str().unwrap().to_owned(), answer["error_codes"][0].as_u64().unwrap())
    };
    assert_eq!(refused(TENANT, CLIENT_ID, "wrong"), (401, "invalid_client".into(), 7_000_215));
    assert_eq!(refused(TENANT, "nobody", CLIENT_SECRET), (400, "unauthorized_client".into(), 700_016));
    assert_eq!(refused("nowhere", CLIENT_ID, CLIENT_SECRET), (400, "invalid_request".into(), 90_002));
    double.register("nowhere", "nobody", "fake-other");
    assert_eq!(client.login("nowhere", "nobody", "fake-other").0, 200);
    double.fail("Token", When::Next(1), entra_error(400, "invalid_grant", 700_024, "the assertion is over"));
    assert_eq!(refused(TENANT, CLIENT_ID, CLIENT_SECRET), (400, "invalid_grant".into(), 700_024));
}

#[test]
fn an_application_is_who_brings_a_token_that_it_trusts() {
    let (double, client) = started();
    let issuer = Issuer::named(GITHUB);
    double.trust(CLIENT_ID, &issuer, SUBJECT, AUDIENCE);
    let login = |kind: &str, jwt: &str| {
        let form = format!(
            "grant_type=client_credentials&client_id={CLIENT_ID}&client_assertion_type={kind}&client_assertion={jwt}&\
             scope=https%3A%2F%2Fvault.azure.net%2F.default"
        );
        let (status, _, body) = client.raw("POST", &format!("/{TENANT}/oauth2/v2.0/token"), &form).unwrap();
        (status, serde_json::from_slice::<Value>(&body).unwrap()["error_codes"][0].as_u64().unwrap_or_default())
    };
    let bearer = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    let token = |subject, audience| issuer.token(subject, audience);
    let upper_case = SUBJECT.to_uppercase();
    let rows = [
        (token(SUBJECT, AUDIENCE).sign(), (200, 0)),
        (token(SUBJECT, AUDIENCE).issuer("https://other.example.test").sign(), (401, 700_211)),
        (token(SUBJECT, AUDIENCE).issuer(&format!("{GITHUB}/")).sign(), (401, 700_211)),
        (token(IMMUTABLE_SUBJECT, AUDIENCE).sign(), (401, 700_213)),
        (token(&upper_case, AUDIENCE).sign(), (401, 7_002_138)),
        (token(SUBJECT, "api://other").sign(), (401, 700_212)),
        (token(SUBJECT, AUDIENCE).claim("aud", json!([AUDIENCE, "api://other"])).sign(), (401, 700_212)),
        (token(SUBJECT, AUDIENCE).forged().sign(), (401, 700_027)),
        (token(SUBJECT, AUDIENCE).expired(1).sign(), (401, 700_024)),
        (token(SUBJECT, AUDIENCE).aged(-3600).sign(), (401, 700_024)),
        ("fake.jwt".to_owned(), (400, 50_027)),
    ];
    for (jwt, expected) in rows {
        assert_eq!(login(bearer, &jwt), expected, "{jwt}");
    }
    assert_eq!(login("jwt", &token(SUBJECT, AUDIENCE).sign()), (400, 50_192));
    // A secret is still one.
    assert_eq!(client.login(TENANT, CLIENT_ID, CLIENT_SECRET).0, 200);
}

#[test]
fn a_machine_gives_tokens_of_the_identities_that_it_has() {
    let (double, mut client) = started();
    client.token = None;
    let ask = |target: &str| {
        let (status, _, body) = client.raw("GET", target, "").unwrap();
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let path = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net";
    // Without its header neither tells anything.
    let (status, answer) = ask(path);
    assert_eq!((status, answer["error"].as_str()), (400, Some("invalid_request")));
    let (status, answer) = ask("/msi/token?api-version=2019-08-01&resource=https%3A%2F%2Fvault.azure.net");
    assert_eq!((status, answer["statusCode"].as_u64()), (401, Some(401)));
    assert_eq!(double.calls(), ["ManagedIdentity", "ManagedIdentity"]);
}

#[test]
fn lists_come_page_by_page() {
    let (double, client) = started();
    for n in 0..30 {
        double.put(&format!("app-{n:02}"), "fake");
    }
    double.delete("app-07");
    double.set_enabled("app-08", false);
    let (mut names, mut next) = (Vec::new(), format!("{}/secrets?maxresults=10", double.url()));
    loop {
        let target = next.strip_prefix(&double.url()).unwrap().replace("?api-version=2025-07-01&", "?");
        let page = client.ok("GET", &target, &NONE);
        names.extend(page["value"].as_array().unwrap().iter().map(version));
        let Some(link) = page["nextLink"].as_str() else { break };
        next = link.to_owned();
    }
    assert_eq!(names.len(), 29);
    assert!(names.contains(&"app-08".to_owned()) && !names.contains(&"app-07".to_owned()));
    assert_eq!(double.count("ListSecrets"), 3);
    assert_eq!(client.refusal("GET", "/secrets?maxresults=26", &NONE), (400, "BadParameter".into()));
    let gone = client.ok("GET", "/deletedsecrets", &NONE);
    assert_eq!(gone["value"].as_array().unwrap().iter().map(version).collect::<Vec<_>>(), ["app-07"]);
}

#[test]
fn conflicts_and_refusals_on_demand() {
    let (double, client) = started();
    let faults = [
        (contention(), "Conflict"),
        (conflict("ObjectIsBeingRecovered"), "Conflict/ObjectIsBeingRecovered"),
        (forbidden_by_firewall(), "Forbidden/ForbiddenByFirewall"),
        (forbidden_by_policy("set"), "Forbidden/ForbiddenByPolicy"),
        (forbidden_by_rbac("some/action", "app"), "Forbidden/ForbiddenByRbac"),
        (forbidden_with_escapes(), "Forbidden"),
        (Fault::AccessDenied, "Forbidden/ForbiddenByRbac"),
        (Fault::Kms, "Forbidden/ForbiddenByPolicy"),
        (Fault::status(503, "ServiceUnavailable", "later"), "ServiceUnavailable"),
    ];
    let put = json!({ "value": "fake" });
    for (fault, code) in faults {
        double.fail("SetSecret", When::Next(1), fault);
        assert_eq!(client.refusal("PUT", "/secrets/app", &put).1, code);
    }
    assert_eq!(double.current("app"), None);
    double.fail("SetSecret", When::Next(1), Fault::Throttle(Some(Duration::from_secs(2))));
    let (status, headers, _) = client.raw("PUT", "/secrets/app?api-version=7.6", &put.to_string()).unwrap();
    assert!(status == 429 && headers.contains("Retry-After: 2\r\n"), "{headers}");
    double.writes_take(Duration::from_secs(3600));
    client.set("app", "fake-one");
    assert_eq!(client.refusal("PUT", "/secrets/app", &put), (409, "Conflict".into()));
    client.set("other", "fake");
    assert_eq!(double.current("app").unwrap(), "fake-one");
}

#[test]
fn a_connection_ends_before_in_or_after_the_deed() {
    let (double, client) = started();
    let put = || client.raw("PUT", "/secrets/app?api-version=7.6", r#"{"value":"fake-one"}"#);
    double.fail("SetSecret", 1, Fault::ResetBefore);
    double.fail("SetSecret", 2, Fault::ResetAfter);
    double.fail("SetSecret", 3, Fault::Truncate);
    assert_eq!((put(), double.versions("app").len()), (None, 0));
    assert_eq!((put(), double.versions("app").len()), (None, 1));
    let (status, headers, body) = put().unwrap();
    let length: usize = headers.lines().find_map(|l| l.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    assert_eq!((status, body.len()), (200, length / 2));
    assert_eq!((put().unwrap().0, double.versions("app").len()), (200, 3));
}

#[test]
fn a_foreign_writer_comes_in_between() {
    let (double, client) = started();
    double.put("app", "fake-one");
    double.on("SetSecret", 1, |double| drop(double.put("app", "fake-foreign")));
    client.set("app", "fake-ours");
    let values: Vec<String> =
        double.versions("app").iter().map(|id| double.version("app", id).unwrap().value).collect();
    assert_eq!(values, ["fake-one", "fake-foreign", "fake-ours"]);
}

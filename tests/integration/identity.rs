//! The identity token of the job, from where its platform has put it, against an issuer and GitHub's endpoint.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use envsync::auth::Means;
use envsync::auth::oidc::{self, Jwt};
use envsync::auth::way::IdToken;
use envsync::error::{Failure, Kind};
use envsync::http;
use envsync::secret::Masker;
use envsync_doubles::github::{REQUEST_TOKEN, TokenEndpoint};
use envsync_doubles::http::Response;
use envsync_doubles::issuer::{GITHUB, IMMUTABLE_SUBJECT, Issuer, SUBJECT};
use envsync_doubles::{Double, Fault, When};

const AUDIENCE: &str = "api://AzureADTokenExchange";

/// What was masked, in order, and what a fetch came to.
pub struct Fetched {
    masks: Vec<String>,
    pub outcome: Result<Jwt, Failure>,
}

impl Fetched {
    /// The failure, of which neither text nor `Debug` shows a token.
    #[track_caller]
    fn failure(self, hidden: &[String]) -> (Kind, String) {
        let failure = self.outcome.unwrap_err();
        let help = failure.problems[0].help.clone().unwrap();
        let said = format!("{failure}\n{help}\n{failure:?}");
        for secret in hidden.iter().map(String::as_str).chain([REQUEST_TOKEN]) {
            let signature = secret.rsplit('.').next().unwrap();
            assert!(!said.contains(secret) && !said.contains(signature), "{said}");
        }
        (failure.kind, format!("{failure}\n{help}"))
    }
}

pub fn fetch(source: &IdToken, audience: &str, workspace: &Path) -> Fetched {
    let masks = Arc::new(Mutex::new(Vec::new()));
    let mask = Masker::new({
        let masks = Arc::clone(&masks);
        move |secret| masks.lock().unwrap().push(secret.expose().to_owned())
    });
    let means = Means { http: http::client(None).unwrap(), mask, workspace: workspace.to_owned() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let outcome = runtime.block_on(oidc::fetch(source, audience, &means));
    let masks = masks.lock().unwrap().clone();
    Fetched { masks, outcome }
}

fn source(endpoint: &Double<TokenEndpoint>) -> IdToken {
    IdToken::GitHub { url: endpoint.request_url(), bearer: REQUEST_TOKEN.into() }
}

fn ask(endpoint: &Double<TokenEndpoint>) -> Fetched {
    fetch(&source(endpoint), AUDIENCE, Path::new(""))
}

#[test]
fn github_gives_a_fresh_token_for_the_audience_each_time() {
    let issuer = Issuer::named(GITHUB);
    let endpoint = TokenEndpoint::start(&issuer);
    endpoint.make(|issuer, audience| issuer.token(IMMUTABLE_SUBJECT, audience).sign());
    for n in 0..2 {
        let fetched = ask(&endpoint);
        let jwt = fetched.outcome.unwrap();
        assert_eq!(jwt.token.expose(), endpoint.given()[n]);
        assert_eq!(fetched.masks, [endpoint.given()[n].as_str()]);
        let claims = issuer.verify(jwt.token.expose(), &[AUDIENCE]).unwrap();
        assert_eq!(jwt.claims.subject.as_deref(), Some(IMMUTABLE_SUBJECT));
        assert_eq!(jwt.claims.issuer.as_deref(), Some(GITHUB));
        assert_eq!(jwt.claims.audience, [AUDIENCE]);
        assert_eq!(jwt.claims.expires, Some(claims.expires()));
        assert!(!format!("{jwt:?}").contains(jwt.token.expose()));
    }
    assert_ne!(endpoint.given()[0], endpoint.given()[1]);
}

#[test]
fn what_may_pass_is_tried_again() {
    let faults = [
        (2, Fault::status(503, "ServiceUnavailable", "")),
        (1, Fault::status(500, "InternalServerError", "")),
        (1, Fault::status(408, "Timeout", "")),
        (1, Fault::Throttle(Some(Duration::from_secs(1)))),
        (1, Fault::Html(502)),
        (1, Fault::ResetBefore),
        (1, Fault::ResetAfter),
        (1, Fault::Truncate),
        (4, Fault::status(504, "GatewayTimeout", "")),
    ];
    for (times, fault) in faults {
        let endpoint = TokenEndpoint::start(&Issuer::named(GITHUB));
        endpoint.fail("IdToken", When::Next(times), fault.clone());
        assert!(ask(&endpoint).outcome.is_ok(), "{fault:?}");
        assert_eq!(endpoint.count("IdToken"), times + 1, "{fault:?}");
    }
}

#[test]
fn an_endpoint_that_does_not_answer_is_asked_again() {
    let endpoint = TokenEndpoint::start(&Issuer::named(GITHUB));
    endpoint.fail("IdToken", 1, Fault::Hang);
    assert!(ask(&endpoint).outcome.is_ok());
    assert_eq!(endpoint.count("IdToken"), 2);
}

#[test]
fn what_stays_is_told_after_five_tries() {
    let endpoint = TokenEndpoint::start(&Issuer::named(GITHUB));
    endpoint.fail("IdToken", When::Always, Fault::status(503, "ServiceUnavailable", REQUEST_TOKEN));
    let (kind, said) = ask(&endpoint).failure(&[]);
    assert_eq!(kind, Kind::Unavailable);
    assert!(said.contains("HTTP status 503 from 127.0.0.1"), "{said}");
    assert_eq!(endpoint.count("IdToken"), 5);

    let gone = source(&endpoint);
    drop(endpoint);
    let (kind, said) = fetch(&gone, AUDIENCE, Path::new("")).failure(&[]);
    assert_eq!(kind, Kind::Unavailable);
    assert!(said.contains("couldn't reach GitHub's endpoint for identity tokens at 127.0.0.1"), "{said}");
}

#[test]
fn a_refusal_is_final_and_says_what_to_do() {
    let rows = [
        (400, "`permissions` hold `id-token: write`"),
        (401, "the job's request token is not good any more"),
        (403, "`permissions` hold `id-token: write`"),
        (404, "ACTIONS_ID_TOKEN_REQUEST_URL"),
    ];
    for (status, expected) in rows {
        let endpoint = TokenEndpoint::start(&Issuer::named(GITHUB));
        endpoint.fail("IdToken", When::Always, Fault::status(status, "Fake", REQUEST_TOKEN));
        let (kind, said) = ask(&endpoint).failure(&[]);
        assert_eq!((kind, endpoint.count("IdToken")), (Kind::Login, 1), "{said}");
        assert!(said.contains(&format!("HTTP status {status}")) && said.contains(expected), "{said}");
        assert!(said.contains(AUDIENCE), "{said}");
    }
    let endpoint = TokenEndpoint::start(&Issuer::named(GITHUB));
    endpoint.expire();
    assert_eq!(ask(&endpoint).failure(&[]).0, Kind::Login);
    let endpoint = TokenEndpoint::start(&Issuer::named(GITHUB));
    endpoint.refuse(AUDIENCE);
    assert_eq!(ask(&endpoint).failure(&[]).0, Kind::Login);
    assert_eq!(endpoint.count("IdToken"), 1);
}

#[test]
fn an_answer_that_is_no_token_is_told_once_and_not_shown() {
    let json = |text: &str| Fault::Answer(Response::new(200, "application/json", text));
    for fault in [
        Fault::Html(200),
        Fault::Garbage,
        json("{}"),
        json(r#"{"value":null}"#),
        json(r#"{"value":""}"#),
        json(r#"{"value":"hunter2-fake"}"#),
        json(&format!(r#"{{"value":"e30.{}.e30"}}"#, "a".repeat(100_000))),
    ] {
        let endpoint = TokenEndpoint::start(&Issuer::named(GITHUB));
        endpoint.fail("IdToken", When::Always, fault.clone());
        let (kind, said) = ask(&endpoint).failure(&["hunter2-fake".to_owned()]);
        assert_eq!((kind, endpoint.count("IdToken")), (Kind::Unavailable, 1), "{fault:?}");
        assert!(said.contains("127.0.0.1 gave something else than an identity token"), "{said}");
    }
}

#[test]
fn a_request_that_cannot_be_made_names_the_variable() {
    let nowhere = IdToken::GitHub { url: "idtoken?api-version=2.0".to_owned(), bearer: REQUEST_TOKEN.into() };
    let (kind, said) = fetch(&nowhere, AUDIENCE, Path::new("")).failure(&[]);
    assert!(kind == Kind::Input && said.contains("ACTIONS_ID_TOKEN_REQUEST_URL"), "{said}");
    let broken = IdToken::GitHub { url: "http://127.0.0.1:1/".to_owned(), bearer: "fake\ntoken".into() };
    let (kind, said) = fetch(&broken, AUDIENCE, Path::new("")).failure(&["fake\ntoken".to_owned()]);
    assert!(kind == Kind::Input && said.contains("ACTIONS_ID_TOKEN_REQUEST_TOKEN"), "{said}");
}

#[test]
fn a_given_token_is_taken_as_it_is() {
    let issuer = Issuer::start();
    // Over by our clock, but no more than a clock may be wrong: the cloud judges.
    let tokens = [
        issuer.token(SUBJECT, AUDIENCE).sign(),
        issuer.token(SUBJECT, AUDIENCE).expired(60).sign(),
        issuer.token(SUBJECT, AUDIENCE).claim("exp", serde_json::Value::Null).sign(),
    ];
    let room = tempfile::tempdir().unwrap();
    for token in tokens {
        let given = IdToken::Given { jwt: token.as_str().into(), name: "AWS_ID_TOKEN".to_owned() };
        let fetched = fetch(&given, AUDIENCE, room.path());
        assert_eq!(fetched.outcome.unwrap().token.expose(), token);
        assert_eq!(fetched.masks, [token.as_str()]);

        // As the kubelet lays it: a link to a link to the file in a directory that it swaps.
        std::fs::create_dir_all(room.path().join("..2026")).unwrap();
        std::fs::write(room.path().join("..2026/token"), format!("{token}\n")).unwrap();
        let _ = symlink("..2026", room.path().join("..data"));
        let _ = symlink("..data/token", room.path().join("token"));
        let file = IdToken::File { path: "token".to_owned(), name: "AWS_WEB_IDENTITY_TOKEN_FILE".to_owned() };
        let fetched = fetch(&file, AUDIENCE, room.path());
        assert_eq!(fetched.outcome.unwrap().token.expose(), token);
        assert_eq!(fetched.masks, [token.as_str()]);
    }
}

#[test]
fn a_given_token_that_is_over_is_said_before_it_is_sent() {
    let room = tempfile::tempdir().unwrap();
    let token =
        Issuer::start().token("project_path:g/p:ref_type:branch:ref:main\n::debug::x", AUDIENCE).expired(600).sign();
    std::fs::write(room.path().join("token"), &token).unwrap();
    let given = IdToken::Given { jwt: token.as_str().into(), name: "AWS_ID_TOKEN".to_owned() };
    let file = IdToken::File { path: "token".to_owned(), name: "oidc_token_file".to_owned() };
    for (source, parts) in [(given, ["`AWS_ID_TOKEN`", "`timeout`"]), (file, ["`oidc_token_file`", "renewed"])] {
        let (kind, said) = fetch(&source, AUDIENCE, room.path()).failure(std::slice::from_ref(&token));
        assert_eq!(kind, Kind::Login);
        let subject = r"sub project_path:g/p:ref_type:branch:ref:main\u{a}::debug::x, ";
        for part in parts.into_iter().chain(["expired 60", "exp 20", subject, "aud api://AzureADTokenExchange"]) {
            assert!(said.contains(part), "`{part}`: {said}");
        }
    }
}

#[test]
fn what_is_no_token_is_said_without_showing_it() {
    let room = tempfile::tempdir().unwrap();
    let long = "a".repeat(70_000);
    for text in ["hunter2-fake", "$FAKE_TOKEN", "hunter2.fake", "hunter2.fake.\u{e4}", &format!("e30.e30.{long}")] {
        let given = IdToken::Given { jwt: text.into(), name: "oidc_token".to_owned() };
        let (kind, said) = fetch(&given, AUDIENCE, room.path()).failure(&[text.to_owned()]);
        assert_eq!(kind, Kind::Input);
        assert!(said.contains("`oidc_token` is no signed JSON Web Token"), "{said}");
    }
    for (content, expected) in [
        (Some(&b"hunter2-fake"[..]), "is no signed JSON Web Token"),
        (Some(b" \n"), "it is empty"),
        (Some(b"\xff\xfe"), "it holds no token"),
        (Some(long.as_bytes()), "it holds no token"),
        (None, "there is no file"),
    ] {
        let _ = std::fs::remove_file(room.path().join("token"));
        if let Some(content) = content {
            std::fs::write(room.path().join("token"), content).unwrap();
        }
        let file = IdToken::File { path: "token".to_owned(), name: "oidc_token_file".to_owned() };
        let (kind, said) = fetch(&file, AUDIENCE, room.path()).failure(&["hunter2-fake".to_owned()]);
        assert_eq!(kind, Kind::Input, "{said}");
        assert!(said.contains(expected) && said.contains("`oidc_token_file`"), "{said}");
    }
}

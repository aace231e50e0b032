//! The issuer makes tokens that hold, and awkward ones that fail for the reason they were made for.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by a panic")]

use envsync_doubles::issuer::{GITHUB, IMMUTABLE_SUBJECT, Issuer, SUBJECT, Why};
use serde_json::{Value, json};

const AUDIENCE: &str = "sts.amazonaws.com";

#[test]
fn a_token_holds_and_says_what_it_was_made_with() {
    let issuer = Issuer::named(GITHUB);
    let jwt = issuer.token(IMMUTABLE_SUBJECT, AUDIENCE).claim("repository", "octo/app").sign();
    let claims = issuer.verify(&jwt, &["api://other", AUDIENCE]).unwrap();
    assert_eq!((claims.issuer(), claims.subject()), (GITHUB, IMMUTABLE_SUBJECT));
    assert_eq!(claims.audiences(), [AUDIENCE]);
    assert_eq!(claims.0["repository"], "octo/app");
    for name in ["exp", "iat", "nbf"] {
        assert!(claims.0[name].is_i64(), "{name}");
    }
    let several = issuer.token(SUBJECT, AUDIENCE).claim("aud", json!(["a", "b"])).sign();
    assert_eq!(issuer.verify(&several, &["b"]).unwrap().audiences(), ["a", "b"]);
    assert!(issuer.clone().verify(&jwt, &[]).is_ok());
}

#[test]
fn an_awkward_token_fails_for_its_reason() {
    let issuer = Issuer::start();
    let token = || issuer.token(SUBJECT, AUDIENCE);
    let check = |jwt: &str| issuer.verify(jwt, &[AUDIENCE]).unwrap_err();
    assert_eq!(check(&token().forged().sign()), Why::Signature);
    assert_eq!(check(&token().issuer(GITHUB).sign()), Why::Issuer(GITHUB.to_owned()));
    assert_eq!(check(&issuer.token(SUBJECT, "other").sign()), Why::Audience(vec!["other".to_owned()]));
    assert!(matches!(check(&token().expired(5).sign()), Why::Expired(_)));
    assert!(matches!(check(&token().lasting(-1).sign()), Why::Expired(_)));
    assert!(matches!(check(&token().aged(-3600).sign()), Why::NotYet(_)));
    assert_eq!(check(&token().claim("exp", Value::Null).sign()), Why::Malformed);
    for broken in ["", "hunter2-fake", "a.b", "a.b.c", "e30.e30.", "e30.W10.AA"] {
        assert!(matches!(check(broken), Why::Malformed | Why::Key), "{broken}");
    }
    let (head, tail) = {
        let jwt = token().sign();
        (jwt.split('.').next().unwrap().to_owned(), jwt)
    };
    let claims = issuer.token("repo:evil/app:ref:refs/heads/main", AUDIENCE).sign();
    let mixed = format!("{head}.{}.{}", claims.split('.').nth(1).unwrap(), tail.rsplit('.').next().unwrap());
    assert_eq!(check(&mixed), Why::Signature);
}

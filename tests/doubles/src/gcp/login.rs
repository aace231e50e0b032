//! Who calls: a bearer token, opaque or the JSON Web Token that a service account signs for itself.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use super::exchange::Logins;
use super::refusal::Refusal;
use super::route::Call;
use super::state::SERVICE;
use super::{DENIED_TOKEN, EXPIRED_TOKEN, UNKNOWN_TOKEN};
use crate::http::Request;

const INVALID: &str = "Request had invalid authentication credentials.";

/// Refuses a caller without a token, with one that is no good, or with one that may do nothing.
pub fn check(request: &Request, call: &Call, logins: &Logins) -> Result<(), Refusal> {
    let missing =
        || Refusal::unauthenticated("Request is missing required authentication credential.", "CREDENTIALS_MISSING");
    let header = request.header("authorization").ok_or_else(missing)?;
    let token = header.strip_prefix("Bearer ").map(str::trim).filter(|t| !t.is_empty()).ok_or_else(missing)?;
    if token.starts_with(EXPIRED_TOKEN) {
        return Err(Refusal::unauthenticated(INVALID, "ACCESS_TOKEN_EXPIRED"));
    }
    if token.starts_with(UNKNOWN_TOKEN) || (is_signed(token) && !claims_hold(token)) {
        return Err(Refusal::unauthenticated(INVALID, "ACCESS_TOKEN_TYPE_UNSUPPORTED"));
    }
    if token.starts_with(DENIED_TOKEN) {
        return Err(Refusal::denied(call.permission(), &call.resource()));
    }
    match logins.bearer(token) {
        _ if is_signed(token) => Ok(()),
        Ok(None) => Ok(()),
        Ok(Some(member)) if logins.may_read(member) => Ok(()),
        Ok(Some(_)) => Err(Refusal::denied(call.permission(), &call.resource())),
        Err(()) => Err(Refusal::unauthenticated(INVALID, "ACCESS_TOKEN_EXPIRED")),
    }
}

/// The service account that signed a token for itself.
pub fn signer(token: &str) -> Option<String> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&claims).ok()?;
    (is_signed(token) && claims_hold(token)).then(|| claims["iss"].as_str().map(str::to_owned))?
}

/// Three parts of which the first is the base64 of a JSON object; an opaque token (`ya29.c.…`) may have dots too.
fn is_signed(token: &str) -> bool {
    token.starts_with("eyJ") && token.split('.').count() == 3
}

/// What a service account's own token must say: who it is, for which service or scope, and from when to when, an hour at
/// most. The signature is not recomputed: both clients under test sign with code of their own vendor.
/// <https://google.aip.dev/auth/4111>
fn claims_hold(token: &str) -> bool {
    let part = |n: usize| -> Option<Value> {
        let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(n)?.trim_end_matches('=')).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    let (Some(header), Some(claims)) = (part(0), part(1)) else { return false };
    let text = |name: &str| claims[name].as_str().unwrap_or_default();
    let (Some(from), Some(to)) = (claims["iat"].as_u64(), claims["exp"].as_u64()) else { return false };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs());
    let place = text("aud").contains(SERVICE) || text("scope").contains("cloud-platform");
    // Clocks may differ by some seconds, and both clients start their token a little in the past.
    header["alg"] == "RS256"
        && text("iss").contains('@')
        && text("sub") == text("iss")
        && place
        && from <= now + 30
        && now < to
        && to <= from + 3_600 + 60
}

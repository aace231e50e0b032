//! An issuer of identity tokens (OpenID Connect) as a pipeline platform is one: it signs JSON Web Tokens with RS256, shows
//! its key where relying parties look for it, and lets the doubles of the clouds check a token as their services do.
//!
//! <https://openid.net/specs/openid-connect-discovery-1_0.html>, <https://www.rfc-editor.org/rfc/rfc7519>

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::double::{Double, Service};
use crate::http::{Request, Response};

/// The issuer of GitHub's tokens.
pub const GITHUB: &str = "https://token.actions.githubusercontent.com";
/// The issuer of gitlab.com's tokens.
pub const GITLAB: &str = "https://gitlab.com";
/// The subject of a job on a branch, in the form that repositories made before 2026-07-15 have.
pub const SUBJECT: &str = "repo:octo/app:ref:refs/heads/main";
/// The same job in the form with immutable ids
/// ([reference](https://docs.github.com/actions/reference/security/oidc)).
pub const IMMUTABLE_SUBJECT: &str = "repo:octo@1001/app@2002:ref:refs/heads/main";

/// How long a token of GitHub is good for, in seconds.
const LIFETIME: i64 = 300;
/// How far GitHub dates `nbf` back, in seconds.
const BACKDATED: i64 = 600;
const KEY_ID: &str = "envsync-test-key";

/// Opens nothing. The keys lie without their PEM frame, so that no scanner takes them for a leak.
const KEY: &str = include_str!("../../data/rsa-2048.pkcs8.base64");
const OTHER_KEY: &str = include_str!("../../data/rsa-2048-other.pkcs8.base64");

/// A running issuer; cheap to clone, so that the doubles of the clouds can trust it. It stops with the last clone.
#[derive(Clone)]
pub struct Issuer(Arc<Inner>);

struct Inner {
    name: String,
    key: RsaKeyPair,
    other: RsaKeyPair,
    server: Double<Documents>,
}

impl Issuer {
    /// Starts one that is its own address, which is where its documents lie.
    ///
    /// # Panics
    /// Where no port can be had.
    #[must_use]
    pub fn start() -> Self {
        Self::open(None)
    }

    /// Starts one whose tokens say that they are from `issuer`, such as [`GITHUB`]: its documents lie elsewhere than
    /// `issuer` says, so only who holds this [`Issuer`] can check a token.
    ///
    /// # Panics
    /// Where no port can be had.
    #[must_use]
    pub fn named(issuer: &str) -> Self {
        Self::open(Some(issuer))
    }

    #[allow(clippy::expect_used, reason = "a test without a loopback port can only stop, here and now")]
    fn open(issuer: Option<&str>) -> Self {
        let key = key(KEY).expect("the key of tests/data");
        let server =
            Double::start(Documents { issuer: String::new(), jwks: jwks(&key) }).expect("a free loopback port");
        let name = issuer.map_or_else(|| server.url(), str::to_owned);
        server.service().issuer.clone_from(&name);
        let other = self::key(OTHER_KEY).expect("the other key of tests/data");
        Self(Arc::new(Inner { name, key, other, server }))
    }

    /// What its tokens carry as `iss`.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.name
    }

    /// Where its documents lie, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.0.server.url()
    }

    /// Its own desk: who looked for its documents, and what goes wrong with them (`Configuration`, `Keys`).
    #[must_use]
    pub fn documents(&self) -> &Double<Documents> {
        &self.0.server
    }

    /// A token for this subject and audience as GitHub makes them, to be signed as it is or made awkward first.
    pub fn token(&self, subject: &str, audience: &str) -> Token<'_> {
        let now = now();
        let claims = json!({
            "iss": self.0.name, "sub": subject, "aud": audience, "jti": Uuid::new_v4().to_string(),
            "iat": now, "nbf": now - BACKDATED, "exp": now + LIFETIME,
        });
        let Value::Object(claims) = claims else { return Token { issuer: self, claims: Map::new(), forged: false } };
        Token { issuer: self, claims, forged: false }
    }

    /// Checks a token as a relying party does that trusts this issuer and any of these audiences (none: any audience).
    /// The subject is for the caller to look at.
    ///
    /// # Errors
    /// The first thing that does not hold, in this order: form, signature, issuer, audience, time.
    pub fn verify(&self, jwt: &str, audiences: &[&str]) -> Result<Claims, Why> {
        let (signed, signature) = jwt.rsplit_once('.').ok_or(Why::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(Why::Malformed)?;
        let header: Value = part(header).ok_or(Why::Malformed)?;
        let claims = Claims(part(claims).ok_or(Why::Malformed)?);
        let signature = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Why::Malformed)?;
        if header["alg"] != "RS256" || header["kid"] != KEY_ID {
            return Err(Why::Key);
        }
        let public = PublicKeyComponents::<Vec<u8>>::from(self.0.key.public());
        let good = public.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature);
        good.map_err(|_| Why::Signature)?;
        if claims.issuer() != self.0.name {
            return Err(Why::Issuer(claims.issuer().to_owned()));
        }
        let seen = claims.audiences();
        if !audiences.is_empty() && !seen.iter().any(|one| audiences.contains(&one.as_str())) {
            return Err(Why::Audience(seen));
        }
        let now = now();
        match (claims.0["nbf"].as_i64(), claims.0["exp"].as_i64()) {
            (_, None) => Err(Why::Malformed),
            (_, Some(expired)) if expired <= now => Err(Why::Expired(expired)),
            (Some(from), _) if from > now => Err(Why::NotYet(from)),
            _ => Ok(claims),
        }
    }
}

/// A token that is being made.
#[must_use]
pub struct Token<'a> {
    issuer: &'a Issuer,
    claims: Map<String, Value>,
    forged: bool,
}

impl Token<'_> {
    /// Sets a claim, one of the usual ones too; null takes it away.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        match value.into() {
            Value::Null => drop(self.claims.remove(name)),
            value => drop(self.claims.insert(name.to_owned(), value)),
        }
        self
    }

    /// Says that it is from somebody else, signed by this issuer all the same.
    pub fn issuer(self, issuer: &str) -> Self {
        self.claim("iss", issuer)
    }

    /// Made this long ago, in seconds; negative for a clock that is ahead.
    pub fn aged(mut self, seconds: i64) -> Self {
        for name in ["iat", "nbf", "exp"] {
            if let Some(time) = self.claims.get(name).and_then(Value::as_i64) {
                self.claims.insert(name.to_owned(), (time - seconds).into());
            }
        }
        self
    }

    /// Over for this long, in seconds.
    pub fn expired(self, seconds: i64) -> Self {
        self.aged(LIFETIME + seconds)
    }

    /// Good for this long from now on, in seconds.
    pub fn lasting(self, seconds: i64) -> Self {
        self.claim("exp", now() + seconds)
    }

    /// Signed with a key that is not the issuer's.
    pub fn forged(mut self) -> Self {
        self.forged = true;
        self
    }

    /// The token.
    ///
    /// # Panics
    /// Where ring does not sign.
    #[must_use]
    #[allow(clippy::expect_used, reason = "a test without a token can only stop, here and now")]
    pub fn sign(self) -> String {
        let header = json!({"typ": "JWT", "alg": "RS256", "kid": KEY_ID});
        let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encoded(&header), encoded(&Value::Object(self.claims)));
        let key = if self.forged { &self.issuer.0.other } else { &self.issuer.0.key };
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("a signature");
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What a token says that held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims(pub Value);

impl Claims {
    /// `iss`, empty where there is none.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.0["iss"].as_str().unwrap_or_default()
    }

    /// `sub`, empty where there is none.
    #[must_use]
    pub fn subject(&self) -> &str {
        self.0["sub"].as_str().unwrap_or_default()
    }

    /// `aud`, one or several.
    #[must_use]
    pub fn audiences(&self) -> Vec<String> {
        match &self.0["aud"] {
            Value::String(one) => vec![one.clone()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => Vec::new(),
        }
    }

    /// `exp`, in seconds since 1970.
    #[must_use]
    pub fn expires(&self) -> i64 {
        self.0["exp"].as_i64().unwrap_or_default()
    }
}

/// What a token says, whoever signed it; `None` where it is no JSON Web Token.
#[must_use]
pub fn peek(jwt: &str) -> Option<Claims> {
    let mut parts = jwt.split('.');
    let (header, claims) = (parts.next()?, parts.next()?);
    let whole = parts.next().is_some() && parts.next().is_none();
    part(header).filter(|_| whole)?;
    part(claims).map(Claims)
}

/// Why a token does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// It is no JSON Web Token, or lacks `exp`.
    Malformed,
    /// It names another algorithm or key.
    Key,
    /// Its signature is another's.
    Signature,
    /// It is from another issuer.
    Issuer(String),
    /// It is for other audiences.
    Audience(Vec<String>),
    /// It was good until then.
    Expired(i64),
    /// It is good from then on.
    NotYet(i64),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("the token is malformed"),
            Self::Key => f.write_str("the token names an unknown key"),
            Self::Signature => f.write_str("the token's signature is invalid"),
            Self::Issuer(issuer) => write!(f, "the token is from the issuer {issuer}"),
            Self::Audience(audiences) => write!(f, "the token is for the audience {}", audiences.join(", ")),
            Self::Expired(time) => write!(f, "the token expired at {time}"),
            Self::NotYet(time) => write!(f, "the token is not valid before {time}"),
        }
    }
}

/// The documents of an issuer: its configuration and its keys.
pub struct Documents {
    issuer: String,
    jwks: Value,
}

impl Service for Documents {
    fn operation(&self, request: &Request) -> String {
        match request.target.split('?').next().unwrap_or_default() {
            "/.well-known/openid-configuration" => "Configuration",
            "/.well-known/jwks" => "Keys",
            _ => "Unknown",
        }
        .to_owned()
    }

    fn answer(&mut self, operation: &str, request: &Request) -> Response {
        let host = request.header("host").unwrap_or_default();
        match operation {
            _ if request.method != "GET" => self.error(405, "method_not_allowed", ""),
            "Configuration" => document(&json!({
                "issuer": self.issuer,
                "jwks_uri": format!("http://{host}/.well-known/jwks"),
                "subject_types_supported": ["public", "pairwise"],
                "response_types_supported": ["id_token"],
                "claims_supported": ["sub", "aud", "exp", "iat", "iss", "jti", "nbf"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "scopes_supported": ["openid"],
            })),
            "Keys" => document(&self.jwks),
            _ => self.error(404, "not_found", ""),
        }
    }

    fn error(&self, status: u16, code: &str, message: &str) -> Response {
        let body = json!({"error": code, "message": message});
        Response { status, ..document(&body) }
    }

    fn throttled(&self) -> Response {
        self.error(429, "too_many_requests", "")
    }

    fn access_denied(&self, _: &str, _: &Request) -> Response {
        self.error(403, "forbidden", "")
    }

    fn key_denied(&self) -> Response {
        self.error(403, "forbidden", "")
    }
}

fn document(body: &Value) -> Response {
    Response::new(200, "application/json; charset=utf-8", body.to_string())
}

/// The public half as a JSON Web Key Set (RFC 7517).
fn jwks(key: &RsaKeyPair) -> Value {
    let public = PublicKeyComponents::<Vec<u8>>::from(key.public());
    let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let (n, e) = (encoded(&public.n), encoded(&public.e));
    json!({"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": n, "e": e}]})
}

fn key(base64: &str) -> Option<RsaKeyPair> {
    let text: String = base64.split_whitespace().collect();
    RsaKeyPair::from_pkcs8(&STANDARD.decode(text).ok()?).ok()
}

fn part(base64: &str) -> Option<Value> {
    let bytes = URL_SAFE_NO_PAD.decode(base64).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}

/// In seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or_default()
}

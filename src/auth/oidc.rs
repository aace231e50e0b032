//! The identity token of the job: a JWT that GitHub's endpoint gives, or that the platform has left in a variable or a file.

use std::path::Path;

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use serde::Deserialize;

use super::Means;
pub use super::claims::Claims;
use super::claims::{now, shown};
use super::way::IdToken;
use crate::error::{Failure, Kind};
use crate::file;
use crate::http::send::{Answer, LOGIN, Unreached, send};
use crate::secret::Secret;

/// How long a token may be over by our clock and is sent all the same, in seconds. The cloud judges by its own clock, and
/// the clock of a runner may be ahead; beyond this, what the clouds themselves allow for, a token of a platform that makes
/// no second one is surely over.
const CLOCK_SKEW: i64 = 300;
/// The longest token, in bytes: those of the platforms have some thousand, and AWS takes 20,000.
const LONGEST: usize = 64 * 1024;

/// An identity token, masked already.
#[derive(Clone, Debug)]
pub struct Jwt {
    /// The token itself.
    pub token: Secret,
    /// What it says, for diagnostics only: the signature is for the cloud to look at.
    pub claims: Claims,
}

/// Brings a token for one exchange. It is masked the moment it exists. One that cannot be fetched anew and has been over
/// for more than five minutes is an error before it is sent.
///
/// # Errors
/// [`Kind::Login`] where the platform gives none, or it is over; [`Kind::Unavailable`] where its endpoint cannot be reached;
/// [`Kind::Input`] for a token that can be none, and a file that cannot be read.
pub async fn fetch(source: &IdToken, audience: &str, means: &Means) -> Result<Jwt, Failure> {
    match source {
        IdToken::GitHub { url, bearer } => {
            let token = ask(url, bearer, audience, means).await?;
            means.mask.mask(&token);
            let claims = Claims::peek(token.expose()).ok_or_else(|| strange(url))?;
            Ok(Jwt { token, claims })
        }
        IdToken::Given { jwt, name } => {
            means.mask.mask(jwt);
            let help = "it cannot be fetched anew: run envsync earlier in the job, or give the job more time (a token of \
                        GitLab's `id_tokens` is made when the job begins, and lasts as long as the job's `timeout`)";
            given(jwt.clone(), &format!("the identity token in `{name}`"), help)
        }
        IdToken::File { path, name } => {
            let token = read(&means.workspace.join(path), name)?;
            means.mask.mask(&token);
            let help = "see that the file is renewed, and that envsync gets the renewed one";
            given(token, &format!("the identity token in the file of `{name}`"), help)
        }
    }
}

/// A token that there is no second one of; `what` is it, `renew` the advice where it is over.
fn given(token: Secret, what: &str, renew: &str) -> Result<Jwt, Failure> {
    let Some(claims) = Claims::peek(token.expose()).filter(|_| token.expose().len() <= LONGEST) else {
        return Err(Failure::new(Kind::Input, format!("{what} is no signed JSON Web Token (`HEADER.CLAIMS.SIGNATURE`)"))
            .help(
                "give the token alone and whole, such as `$AWS_ID_TOKEN` of GitLab's `id_tokens`, and see that the variable is not left unexpanded",
            ));
    };
    match claims.over_since(now()) {
        Some(since) if since > CLOCK_SKEW => {
            let seen = claims.shown();
            Err(Failure::new(Kind::Login, format!("{what} expired {since} s ago by the clock of this machine: {seen}"))
                .help(renew))
        }
        _ => Ok(Jwt { token, claims }),
    }
}

/// Links are followed: the kubelet swaps projected tokens by one.
fn read(path: &Path, name: &str) -> Result<Secret, Failure> {
    let what = |why: &str| format!("the identity token cannot be read from the file of `{name}`: {why}");
    let help = "name the file that holds the token, by a path that is there inside the container";
    let snapshot = file::read_any(path).map_err(|failure| {
        let kind = if failure.kind == Kind::NotFound { Kind::Input } else { failure.kind };
        Failure::new(kind, what(&failure.to_string())).help(help)
    })?;
    let text = std::str::from_utf8(snapshot.bytes()).map(str::trim).ok().filter(|text| text.len() <= LONGEST);
    match text {
        Some("") => Err(Failure::new(Kind::Input, what("it is empty")).help(help)),
        Some(text) => Ok(text.into()),
        None => Err(Failure::new(Kind::Input, what("it holds no token")).help(help)),
    }
}

/// Asks GitHub's endpoint ([reference](https://docs.github.com/actions/reference/security/oidc), and what `@actions/core`
/// sends).
async fn ask(url: &str, bearer: &Secret, audience: &str, means: &Means) -> Result<Secret, Failure> {
    let unusable = |name: &str, what: &str| {
        Failure::new(Kind::Input, format!("`{name}` {what}")).help("leave it as the runner sets it")
    };
    let url = with_audience(url, audience).ok_or_else(|| unusable("ACTIONS_ID_TOKEN_REQUEST_URL", "is no URL"))?;
    let header = HeaderValue::try_from(format!("Bearer {}", bearer.expose()));
    let mut header =
        header.map_err(|_| unusable("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "holds characters that no token has"))?;
    header.set_sensitive(true);
    let request = means.http.get(url.clone()).header(AUTHORIZATION, header).header(ACCEPT, "application/json").build();
    let request = request.map_err(|_| unusable("ACTIONS_ID_TOKEN_REQUEST_URL", "is no URL that can be asked"))?;
    let answer = send(&means.http, &request, LOGIN).await.map_err(|unreached| unreachable(&unreached))?;
    if answer.status != 200 {
        return Err(refused(answer.status, url.host_str().unwrap_or_default(), audience));
    }
    value(&answer).ok_or_else(|| strange(url.as_str()))
}

/// The URL with the audience behind what it has already, in the encoding of `encodeURIComponent`.
fn with_audience(url: &str, audience: &str) -> Option<reqwest::Url> {
    let mut url: reqwest::Url = url.parse().ok()?;
    if !matches!(url.scheme(), "https" | "http") {
        return None;
    }
    let mut query = match url.query() {
        None | Some("") => "audience=".to_owned(),
        Some(query) => format!("{query}&audience="),
    };
    for byte in audience.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte) {
            query.push(char::from(byte));
        } else {
            query.push_str(&format!("%{byte:02X}"));
        }
    }
    url.set_query(Some(&query));
    Some(url)
}

fn value(answer: &Answer) -> Option<Secret> {
    #[derive(Deserialize)]
    struct Given {
        value: String,
    }
    let given: Given = serde_json::from_slice(&answer.body).ok()?;
    (given.value.len() <= LONGEST).then(|| given.value.into())
}

fn refused(status: u16, host: &str, audience: &str) -> Failure {
    let audience = shown(audience);
    let what = format!("GitHub gave no identity token for the audience `{audience}`: HTTP status {status}");
    match status {
        401 => Failure::new(Kind::Login, format!("{what}, the job's request token is not good any more"))
            .help("it ends with its job: run envsync earlier, and in the job whose `permissions` hold `id-token: write`"),
        400 | 403 => Failure::new(Kind::Login, what).help(
            "check the audience input, that the job's `permissions` hold `id-token: write`, and what the organisation allows",
        ),
        404 => Failure::new(Kind::Login, what)
            .help("leave `ACTIONS_ID_TOKEN_REQUEST_URL` as the runner sets it, and run envsync in the job it was made for"),
        _ => Failure::new(Kind::Unavailable, format!("{what} from {host}"))
            .help("run it again later; if it stays so, look at the proxy variables and https://www.githubstatus.com"),
    }
}

fn unreachable(unreached: &Unreached) -> Failure {
    let Unreached { host, cause, .. } = unreached;
    Failure::new(Kind::Unavailable, format!("couldn't reach GitHub's endpoint for identity tokens at {host}: {cause}"))
        .help("check the proxy variables, and that this host can be reached from here")
}

/// 200, and something else than a token.
fn strange(url: &str) -> Failure {
    let host = url.parse::<reqwest::Url>().ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    Failure::new(Kind::Unavailable, format!("what answers at {host} gave something else than an identity token"))
        .help("check the proxy variables: a gateway or a login page may be in between")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audience_goes_behind_what_the_url_has() {
        let rows = [
            ("https://h/t?api-version=2.0", "a", Some("https://h/t?api-version=2.0&audience=a")),
            (
                "https://h/t?placeholder=true",
                "sts.amazonaws.com",
                Some("https://h/t?placeholder=true&audience=sts.amazonaws.com"),
            ),
            ("https://h/t", "a", Some("https://h/t?audience=a")),
            ("https://h/t?", "a", Some("https://h/t?audience=a")),
            ("https://h", "api://A b&c=d+e%ü'", Some("https://h/?audience=api%3A%2F%2FA%20b%26c%3Dd%2Be%25%C3%BC%27")),
            ("https://h/t?a=b%20c&d#e", "x", Some("https://h/t?a=b%20c&d&audience=x#e")),
            ("/t?api-version=2.0", "a", None),
            ("file:///etc/passwd", "a", None),
            ("", "a", None),
        ];
        for (url, audience, expected) in rows {
            assert_eq!(with_audience(url, audience).as_ref().map(reqwest::Url::as_str), expected, "{url}");
        }
    }
}

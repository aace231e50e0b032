//! The role of the machine: credentials that an agent in the container, or the metadata service of an instance, hands out.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::SystemTime;

use aws_sdk_sts::config::Credentials;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Method, Request, Url};
use serde::Deserialize;

use super::super::Means;
use super::temporary;
use crate::error::{Failure, Kind};
use crate::http::send::{Answer, LOGIN, Unreached, send, send_if_there};
use crate::secret::Secret;
use crate::{file, http};

/// How long a session of the metadata service lasts, in seconds: enough for one login.
const SESSION_SECONDS: HeaderValue = HeaderValue::from_static("60");

/// Credentials from an endpoint that the environment names
/// ([protocol](https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html)).
pub(super) async fn container(
    url: &str,
    authorization: Option<&Secret>,
    authorization_file: Option<&str>,
    means: &Means,
) -> Result<Credentials, Failure> {
    let parsed = Url::parse(url).ok().filter(|url| url.host_str().is_some());
    let Some(parsed) = parsed else {
        return Err(Failure::new(Kind::Input, "the address of the container's credentials is no URL")
            .help("check AWS_CONTAINER_CREDENTIALS_FULL_URI and AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"));
    };
    // Without its path, which on ECS is as good as a password.
    let place = format!("the credentials endpoint of the container at `{}`", parsed.origin().ascii_serialization());
    let secure = parsed.scheme() == "https";
    if !secure && !is_near(&parsed) {
        return Err(Failure::new(
            Kind::Input,
            format!("{place} is neither https nor an address of the machine itself"),
        )
        .help("credentials travel by http only to loopback, 169.254.170.2, 169.254.170.23 and fd00:ec2::23"));
    }
    let mut request = Request::new(Method::GET, parsed);
    if let Some(token) = authorization_of(authorization, authorization_file, means)? {
        request.headers_mut().insert(AUTHORIZATION, token);
    }
    let client = if secure { means.http.clone() } else { http::direct()? };
    let answer = first(&client, &request, &place).await?;
    credentials(&answer, &place, means)
}

/// The role of an instance, by IMDSv2 alone
/// ([protocol](https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html)).
pub(super) async fn instance(endpoint: &str, means: &Means) -> Result<Credentials, Failure> {
    let endpoint = endpoint.trim_end_matches('/');
    let place = format!("the metadata service of the instance `{}`", endpoint.escape_default());
    let url = |path: &str| {
        Url::parse(&format!("{endpoint}/latest/{path}")).map_err(|_| {
            Failure::new(Kind::Input, format!("{place} is no URL"))
                .help("check AWS_EC2_METADATA_SERVICE_ENDPOINT; as a rule it is not set")
        })
    };
    let client = http::direct()?;
    let mut request = Request::new(Method::PUT, url("api/token")?);
    request.headers_mut().insert("x-aws-ec2-metadata-token-ttl-seconds", SESSION_SECONDS);
    // A service that hands nothing out without a session is what IMDSv2 is; one that knows no sessions is not asked.
    let session = good(first(&client, &request, &place).await?, &place, "a session of IMDSv2")?;
    let garbled = || unreadable(&place);
    let session = Secret::from(text(&session).ok_or_else(garbled)?);
    means.mask.mask(&session);
    let mut session = HeaderValue::try_from(session.expose()).map_err(|_| garbled())?;
    session.set_sensitive(true);
    let roles = "meta-data/iam/security-credentials/";
    let get = async |path: &str, what: &str| {
        let mut request = Request::new(Method::GET, url(path)?);
        request.headers_mut().insert("x-aws-ec2-metadata-token", session.clone());
        good(next(&client, &request, &place).await?, &place, what)
    };
    let listed = get(roles, "the name of a role").await?;
    let role = text(&listed).and_then(|text| text.lines().next()).ok_or_else(|| {
        Failure::new(Kind::Login, format!("{place} names no role"))
            .help("attach an instance profile, or log in otherwise than by `auth: ambient`")
    })?;
    let answer = get(&format!("{roles}{role}"), "credentials of the role").await?;
    credentials(&answer, &place, means)
}

/// Whether credentials may travel there without TLS: the addresses that AWS's own SDKs allow.
fn is_near(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let ecs = Ipv4Addr::new(169, 254, 170, 2);
    let eks = (Ipv4Addr::new(169, 254, 170, 23), Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23));
    match host.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(address)) => address.is_loopback() || [ecs, eks.0].contains(&address),
        Ok(IpAddr::V6(address)) => address.is_loopback() || address == eks.1,
        Err(_) => url.scheme() == "http" && host == "localhost",
    }
}

fn authorization_of(given: Option<&Secret>, path: Option<&str>, means: &Means) -> Result<Option<HeaderValue>, Failure> {
    let token = match path {
        Some(path) => {
            let read = file::read_any(&means.workspace.join(path)).map_err(|failure| {
                // Not `NotFound`, which is for what is to be moved.
                let what = format!("the token of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE cannot be read: {failure}");
                Failure::new(Kind::Input, what).help("mount the file, by the path that it has inside the container")
            })?;
            let text = std::str::from_utf8(read.bytes()).unwrap_or_default().trim();
            let token = Secret::from(text);
            means.mask.mask(&token);
            Some(token)
        }
        None => given.cloned(),
    };
    let Some(token) = token else { return Ok(None) };
    let wrong = |_| {
        let name =
            if path.is_some() { "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE" } else { "AWS_CONTAINER_AUTHORIZATION_TOKEN" };
        Failure::new(Kind::Input, format!("what {name} gives is no token")).help("it is set by the platform; leave it")
    };
    let mut value = HeaderValue::try_from(token.expose()).map_err(wrong)?;
    value.set_sensitive(true);
    Ok(Some(value))
}

/// The first request, which finds out whether there is anybody.
async fn first(client: &reqwest::Client, request: &Request, place: &str) -> Result<Answer, Failure> {
    let cause = match send_if_there(client, request).await {
        Ok(outcome) => return outcome.map_err(|unreached| lost(&unreached, place)),
        Err(cause) => cause,
    };
    Err(Failure::new(Kind::Login, format!("`auth: ambient` found no AWS credentials: {place} was tried, and {cause}"))
        .help(
            "run this on a machine with a role, or log in otherwise; in a container on EC2 the hop limit of the metadata \
             service must be 2",
        ))
}

async fn next(client: &reqwest::Client, request: &Request, place: &str) -> Result<Answer, Failure> {
    send(client, request, LOGIN).await.map_err(|unreached| lost(&unreached, place))
}

fn lost(unreached: &Unreached, place: &str) -> Failure {
    Failure::new(Kind::Unavailable, format!("couldn't reach {place}: {unreached}"))
        .help("run it again; if it stays so, look at the machine's agent")
}

fn good(answer: Answer, place: &str, what: &str) -> Result<Answer, Failure> {
    let (kind, help) = match answer.status {
        200 => return Ok(answer),
        404 => (Kind::Login, "attach a role to the machine, or log in otherwise than by `auth: ambient`"),
        400..=499 => (Kind::Login, "check that the machine's role may be used from here, and that IMDSv2 is on"),
        _ => (Kind::Unavailable, "run it again; if it stays so, look at the machine's agent"),
    };
    Err(Failure::new(kind, format!("{place} gave no {what}: HTTP status {}", answer.status)).help(help))
}

fn text(answer: &Answer) -> Option<&str> {
    std::str::from_utf8(&answer.body).ok().map(str::trim).filter(|text| !text.is_empty())
}

fn unreadable(place: &str) -> Failure {
    Failure::new(Kind::Unavailable, format!("the answer of {place} is truncated or is not that of the service"))
        .help("look at what answers there")
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Issued {
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: Option<String>,
}

fn credentials(answer: &Answer, place: &str, means: &Means) -> Result<Credentials, Failure> {
    if answer.status != 200 {
        let help = "check that the task or the pod has a role, and that its trust policy names the right service";
        let kind = if answer.status < 500 { Kind::Login } else { Kind::Unavailable };
        return Err(
            Failure::new(kind, format!("{place} gave no credentials: HTTP status {}", answer.status)).help(help)
        );
    }
    // Its error would quote the answer.
    let issued: Issued = serde_json::from_slice(&answer.body).map_err(|_| unreadable(place))?;
    let end = issued.expiration.and_then(|end| DateTime::from_str(&end, Format::DateTime).ok());
    let end = end.and_then(|end| SystemTime::try_from(end).ok());
    temporary(means, &issued.access_key_id, &issued.secret_access_key, &issued.token, end)
        .ok_or_else(|| unreadable(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_reaches_the_machine_itself_and_nothing_else() {
        let near = [
            "http://127.0.0.1:51679/creds",
            "http://127.9.9.9/",
            "http://localhost:80/",
            "http://[::1]/",
            "http://169.254.170.2/v2/credentials/fake",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
        ];
        let far = [
            "http://169.254.169.254/",
            "http://169.254.170.22/",
            "http://[fd00:ec2::24]/",
            "http://localhost.example.com/",
            "http://127.0.0.1.example.com/",
            "http://example.com/169.254.170.2",
            "http://169.254.170.2@example.com/",
        ];
        for (urls, expected) in [(&near[..], true), (&far[..], false)] {
            for url in urls {
                assert_eq!(is_near(&Url::parse(url).unwrap()), expected, "{url}");
            }
        }
    }
}

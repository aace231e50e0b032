//! `envsync-doubles CLOUD`: prints where a double listens and serves until standard input ends, for tests in other languages
//! (the vendor's own client), for measuring, and for trying things by hand. A line on standard input is answered by the
//! number of calls so far.

#![allow(clippy::disallowed_methods, reason = "a program for tests that prints what it is asked for")]

use std::fs::File;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;
use std::time::Duration;

use envsync_doubles::aws::SecretsManager;
use envsync_doubles::aws::sts::{Sts, Trust};
use envsync_doubles::azure::{
    AUDIENCE, CLIENT_ID, DENIED_CLIENT_ID, KeyVault, Lag, MANAGED_CLIENT_ID, SYSTEM_CLIENT_ID,
};
use envsync_doubles::gcp::{Provider, SecretManager};
use envsync_doubles::github::{REQUEST_TOKEN, TokenEndpoint};
use envsync_doubles::issuer::{GITHUB, GITLAB, IMMUTABLE_SUBJECT, Issuer, SUBJECT};
use envsync_doubles::{Fault, Handle, Service, When};

const USAGE: &str = "usage: envsync-doubles aws | aws-login | gcp [DELAY_MILLISECONDS] | gcp-login | azure CA_FILE [BUSY_MILLISECONDS [purge]] | github";

fn main() -> io::Result<ExitCode> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match wanted.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["aws"] => {
            let double = SecretsManager::start();
            serve(&[double.url()], || calls(&double))
        }
        ["aws-login"] => aws_login(),
        ["gcp"] => gcp("0"),
        ["gcp", delay] => gcp(delay),
        ["gcp-login"] => gcp_login(),
        ["azure", ca_file] => azure(ca_file, "0", false),
        ["azure", ca_file, busy] => azure(ca_file, busy, false),
        ["azure", ca_file, busy, "purge"] => azure(ca_file, busy, true),
        ["github"] => github(),
        _ => {
            writeln!(io::stderr(), "{USAGE}")?;
            Ok(ExitCode::from(2))
        }
    }
}

/// Says the addresses of a Secrets Manager that wants temporary credentials and of the STS that issues them; a role that a
/// token may assume, and one that this role may assume with an external id; then a good token, one for another audience,
/// one of another subject, one that is over, and one that somebody else signed; then GitHub's request URL with its token.
fn aws_login() -> io::Result<ExitCode> {
    let (double, sts, issuer) = (SecretsManager::start(), Sts::start(), Issuer::named(GITHUB));
    let (audience, subject, external_id) = ("sts.amazonaws.com", SUBJECT, "fake-external-id");
    let (role, next) = ("arn:aws:iam::123456789012:role/deploy", "arn:aws:iam::123456789012:role/next");
    sts.provider(&issuer, &[audience]);
    let trust = Trust::Token { issuer: GITHUB.to_owned(), audience: audience.to_owned(), subject: subject.to_owned() };
    sts.role(role, trust);
    let trust = Trust::Identity { principal: role.to_owned(), external_id: Some(external_id.to_owned()) };
    sts.role(next, trust);
    double.demand(&sts.sessions());
    let tokens = [
        issuer.token(subject, audience),
        issuer.token(subject, "fake-audience"),
        issuer.token("repo:octo/other:ref:refs/heads/main", audience),
        issuer.token(subject, audience).expired(60),
        issuer.token(subject, audience).forged(),
    ];
    let mut lines = vec![double.url(), sts.url(), role.to_owned(), next.to_owned()];
    // Long enough for all tests that one double serves.
    let [good, others @ ..] = tokens;
    lines.push(good.lasting(3600).sign());
    lines.extend(others.map(envsync_doubles::issuer::Token::sign));
    let endpoint = TokenEndpoint::start(&issuer);
    lines.extend([endpoint.request_url(), REQUEST_TOKEN.to_owned()]);
    serve(&lines, || calls(&double) + calls(&sts) + calls(&endpoint))
}

/// Says the service's address. A delay of every answer makes writers overlap more.
fn gcp(delay_milliseconds: &str) -> io::Result<ExitCode> {
    let delay = delay_milliseconds.parse().map(Duration::from_millis).map_err(io::Error::other)?;
    let double = SecretManager::start();
    if !delay.is_zero() {
        double.fail("*", When::Always, Fault::Slow(delay));
    }
    serve(&[double.url()], || calls(&double))
}

/// Says the service's address, GitHub's request URL with its token, the provider's name, and the one service account.
/// There both the job itself and the account may use the secrets, and the job may act as the account.
fn gcp_login() -> io::Result<ExitCode> {
    let issuer = Issuer::named(GITHUB);
    let endpoint = TokenEndpoint::start(&issuer);
    let double = SecretManager::start();
    let provider = Provider::new(&issuer);
    let (job, account) = (provider.principal(SUBJECT), "app@fake-project.iam.gserviceaccount.com");
    double.trust(&provider);
    double.account(account, &[&job]);
    double.let_in(&job);
    double.let_in(&format!("serviceAccount:{account}"));
    let lines = [double.url(), endpoint.request_url(), REQUEST_TOKEN.to_owned(), provider.name(), account.to_owned()];
    serve(&lines, || calls(&double) + calls(&endpoint))
}

/// Says the vault's address, the authority's, the file that then holds the certificate to trust, and the address and the
/// bearer of an endpoint for identity tokens, which the authority trusts as [`AUDIENCE`] and [`SUBJECT`] say. Without `purge`
/// the vault has purge protection.
fn azure(ca_file: &str, busy_milliseconds: &str, purge: bool) -> io::Result<ExitCode> {
    let busy = busy_milliseconds.parse().map(Duration::from_millis).map_err(io::Error::other)?;
    let double = KeyVault::start();
    // As the service: a client that does not wait finds a deletion, and a recovery, unfinished.
    double.deletion_takes(Lag::Looks(1));
    double.recovery_takes(Lag::Looks(1), Lag::Looks(1));
    double.writes_take(busy);
    if purge {
        double.allow_purge();
    }
    File::create(ca_file)?.write_all(double.ca_pem().as_bytes())?;
    let issuer = Issuer::named(GITHUB);
    let tokens = TokenEndpoint::start(&issuer);
    double.trust(CLIENT_ID, &issuer, SUBJECT, AUDIENCE);
    // Each nearly right in another way.
    double.trust(DENIED_CLIENT_ID, &issuer, IMMUTABLE_SUBJECT, AUDIENCE);
    double.trust(MANAGED_CLIENT_ID, &issuer, &SUBJECT.to_uppercase(), AUDIENCE);
    double.trust(SYSTEM_CLIENT_ID, &Issuer::named(GITLAB), SUBJECT, AUDIENCE);
    let lines = [double.url(), double.url(), ca_file.to_owned(), tokens.request_url(), REQUEST_TOKEN.to_owned()];
    serve(&lines, || calls(&double) + calls(&tokens))
}

/// Says the two variables that a runner sets, and the issuer.
fn github() -> io::Result<ExitCode> {
    let issuer = Issuer::start();
    let endpoint = TokenEndpoint::start(&issuer);
    serve(&[endpoint.request_url(), REQUEST_TOKEN.to_owned(), issuer.issuer().to_owned()], || calls(&endpoint))
}

fn calls<S: Service>(double: &Handle<S>) -> usize {
    double.calls().len()
}

/// Says what a client must know, one a line, and then the number of calls for each line that comes, until nobody needs the
/// double any more.
fn serve(lines: &[String], calls: impl Fn() -> usize) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    for line in io::stdin().lock().lines() {
        line?;
        writeln!(out, "{}", calls())?;
        out.flush()?;
    }
    Ok(ExitCode::SUCCESS)
}

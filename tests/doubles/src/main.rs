//! `envsync-doubles CLOUD`: prints where a double listens and serves until standard input ends, for tests in other languages
//! (the vendor's own client) and for trying things by hand.

#![allow(clippy::disallowed_methods, reason = "a program for tests that prints what it is asked for")]

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use envsync_doubles::aws::SecretsManager;
use envsync_doubles::azure::{KeyVault, Lag};
use envsync_doubles::gcp::SecretManager;
use envsync_doubles::{Fault, When};

const USAGE: &str = "usage: envsync-doubles aws | gcp [DELAY_MILLISECONDS] | azure CA_FILE [BUSY_MILLISECONDS]";

fn main() -> io::Result<ExitCode> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match wanted.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["aws"] => {
            let double = SecretsManager::start();
            serve(&[double.url()])
        }
        ["gcp"] => gcp("0"),
        ["gcp", delay] => gcp(delay),
        ["azure", ca_file] => azure(ca_file, "0"),
        ["azure", ca_file, busy] => azure(ca_file, busy),
        _ => {
            writeln!(io::stderr(), "{USAGE}")?;
            Ok(ExitCode::from(2))
        }
    }
}

/// Says the service's address. A delay of every answer makes writers overlap more.
fn gcp(delay_milliseconds: &str) -> io::Result<ExitCode> {
    let delay = delay_milliseconds.parse().map(Duration::from_millis).map_err(io::Error::other)?;
    let double = SecretManager::start();
    if !delay.is_zero() {
        double.fail("*", When::Always, Fault::Slow(delay));
    }
    serve(&[double.url()])
}

/// Says the vault's address, the authority's, and the file that then holds the certificate to trust.
fn azure(ca_file: &str, busy_milliseconds: &str) -> io::Result<ExitCode> {
    let busy = busy_milliseconds.parse().map(Duration::from_millis).map_err(io::Error::other)?;
    let double = KeyVault::start();
    // As the service: a client that does not wait finds a deletion, and a recovery, unfinished.
    double.deletion_takes(Lag::Looks(1));
    double.recovery_takes(Lag::Looks(1), Lag::Looks(1));
    double.writes_take(busy);
    File::create(ca_file)?.write_all(double.ca_pem().as_bytes())?;
    serve(&[double.url(), double.url(), ca_file.to_owned()])
}

/// Says what a client must know, one a line, and waits until nobody needs the double any more.
fn serve(lines: &[String]) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    for line in lines {
        writeln!(out, "{line}")?;
    }
    out.flush()?;
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(ExitCode::SUCCESS)
}

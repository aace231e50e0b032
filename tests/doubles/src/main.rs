//! `envsync-doubles aws`: prints the address of a double and serves until standard input ends, for tests in other
//! languages (the vendor's own client) and for trying things by hand.

#![allow(clippy::disallowed_methods, reason = "a program for tests that prints what it is asked for")]

use std::io::{self, Write};
use std::process::ExitCode;

use envsync_doubles::aws::SecretsManager;

fn main() -> io::Result<ExitCode> {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match wanted.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["aws"] => {
            let double = SecretsManager::start();
            let mut out = io::stdout().lock();
            writeln!(out, "{}", double.url())?;
            out.flush()?;
            io::copy(&mut io::stdin().lock(), &mut io::sink())?;
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            writeln!(io::stderr(), "usage: envsync-doubles aws")?;
            Ok(ExitCode::from(2))
        }
    }
}

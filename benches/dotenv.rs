//! Parses and prints a made-up `.env` of 10 MB: milliseconds (median and least of 15), and the peak memory.
//! Prints `name value` lines, which `benches/run` reads.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement prints its figures, and reads its memory from /proc"
)]

use std::hint::black_box;
use std::time::Instant;

use envsync::dotenv::{Dialect, Document};

const BYTES: usize = 10_000_000;
const ROUNDS: usize = 15;

fn main() -> Result<(), String> {
    let text = made_up();
    let broken = |_| "the made-up file does not parse".to_owned();

    // First, while the process has held nothing else: one file, parsed and printed.
    let document = Document::parse(text, &[Dialect::Portable]).map_err(broken)?;
    let printed = document.print();
    if let Some(peak) = peak() {
        println!("peak_kib {peak}");
    }
    println!("bytes {}", printed.len());
    println!("variables {}", document.variables().len());

    let (mut parse, mut print) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let copy = printed.clone();
        let start = Instant::now();
        let document = Document::parse(copy, &[Dialect::Portable]).map_err(broken)?;
        parse.push(start.elapsed());
        let start = Instant::now();
        let again = document.print();
        print.push(start.elapsed());
        if again != printed {
            return Err("what was printed is not what was parsed".to_owned());
        }
        black_box(again);
    }
    for (name, mut times) in [("parse", parse), ("print", print)] {
        times.sort();
        println!("{name} {:.2}", times[ROUNDS / 2].as_secs_f64() * 1e3);
        println!("{name}_least {:.2}", times[0].as_secs_f64() * 1e3);
    }
    Ok(())
}

/// Bare and quoted values, comments and blank lines, about 70 bytes a variable.
fn made_up() -> Vec<u8> {
    let mut text = String::with_capacity(BYTES + 200);
    let mut number = 0;
    while text.len() < BYTES {
        number += 1;
        match number % 4 {
            0 => text.push_str(&format!(
                "SERVICE_{number}_URL=https://service-{number}.example.com/path?page={number}&size=20\n"
            )),
            1 => text.push_str(&format!(
                "SERVICE_{number}_NAME=\"the name of service {number}, with blanks and a # sign\"\n"
            )),
            2 => text.push_str(&format!(
                "export SERVICE_{number}_TOKEN='made-up-{number}-0123456789abcdefghijklmnopqrstuvwxyz'\n"
            )),
            _ => {
                text.push_str(&format!(
                    "# service {number}\nSERVICE_{number}_PORT={} # a comment\n\n",
                    number % 65_536
                ));
            }
        }
    }
    text.into_bytes()
}

/// The most memory that this process has held, in KiB.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().split(' ').next()?.parse().ok()
}

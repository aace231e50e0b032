//! `envsync`: from the environment to the exit code. Everything else is in the rooms that `lib.rs` lists.

use std::process::ExitCode;
use std::time::Duration;

use envsync::ci::Ci;
use envsync::config::{self, Environment, registry};
use envsync::error::{Failure, Kind};
use envsync::run::{self, Effects};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

fn main() -> ExitCode {
    // The only place that reads the process environment. What is not UTF-8 cannot be an input.
    #[allow(clippy::disallowed_methods, reason = "main takes the one snapshot that everything else works on")]
    let env: Environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let mut ci = Ci::detect(&env, &std::env::current_dir().unwrap_or_default());
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    match arguments.iter().map(|argument| argument.to_str()).collect::<Vec<_>>().as_slice() {
        [] => {}
        [Some("--help" | "-h")] => {
            ci.text(&registry::help());
            return ExitCode::SUCCESS;
        }
        [Some("--version" | "-V")] => {
            ci.text(concat!("envsync ", env!("CARGO_PKG_VERSION"), "\n"));
            return ExitCode::SUCCESS;
        }
        // Not shown: somebody may have put a secret there.
        _ => {
            let failure = Failure::new(Kind::Input, "envsync takes no arguments but `--help` and `--version`")
                .help("give the inputs as environment variables; `envsync --help` lists them");
            return finish(&mut ci, &Effects::default(), Err(failure));
        }
    }
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(start(&env, &mut ci)),
        Err(error) => {
            let failure = Failure::new(Kind::Internal, format!("couldn't start the runtime: {error}"));
            finish(&mut ci, &Effects::default(), Err(failure))
        }
    }
}

async fn start(env: &Environment, ci: &mut Ci) -> ExitCode {
    let mut effects = Effects::default();
    let reading = config::read(env);
    for secret in &reading.secrets {
        ci.mask_configuration(secret);
    }
    for warning in &reading.warnings {
        ci.warning(&warning.what, warning.help.as_deref());
    }
    let config = match reading.config {
        Ok(config) => config,
        Err(failure) => return finish(ci, &effects, Err(failure)),
    };
    ci.set_masking(config.min_mask_length, config.unmasked.clone());
    // As process 1 of a container there is no default action for these: without handlers they would have no effect.
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return finish(ci, &effects, Err(Failure::new(Kind::Internal, "couldn't listen for signals")));
    };
    let deadline = Instant::now() + config.timeout;
    // A loop that runs out of time ends a little earlier, because it can say what kept it.
    let give_up = deadline - (config.timeout / 10).min(Duration::from_secs(1));
    // Whatever ends first, the others are dropped, and with them every temporary file.
    let outcome = tokio::select! {
        biased;
        _ = interrupt.recv() => Err(Ended::Signal("SIGINT", 130)),
        _ = terminate.recv() => Err(Ended::Signal("SIGTERM", 143)),
        () = tokio::time::sleep_until(deadline) => Err(Ended::Late(config.timeout)),
        outcome = run::run(&config, env, ci, &mut effects, give_up) => Ok(outcome),
    };
    match outcome {
        Ok(outcome) => finish(ci, &effects, outcome),
        Err(Ended::Signal(name, code)) => {
            ci.failure(&effects.sentence(), &Failure::new(Kind::Internal, format!("ended by {name}")));
            ExitCode::from(code)
        }
        Err(Ended::Late(timeout)) => {
            let what = format!("the run took longer than {} s", timeout.as_secs());
            let help = "raise `timeout_seconds`, or look at what answers so slowly";
            finish(ci, &effects, Err(Failure::new(Kind::Unavailable, what).help(help)))
        }
    }
}

/// Why a run was cut off.
enum Ended {
    Signal(&'static str, u8),
    Late(Duration),
}

fn finish(ci: &mut Ci, effects: &Effects, outcome: Result<(), Failure>) -> ExitCode {
    let Err(mut failure) = outcome else { return ExitCode::SUCCESS };
    if effects.any() {
        failure.kind = Kind::Partial;
    }
    ci.failure(&effects.sentence(), &failure);
    ExitCode::from(failure.kind.exit_code())
}

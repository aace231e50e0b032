//! `envsync`: from the environment to the exit code. Everything else is in the rooms that `lib.rs` lists.
//!
//! The run has a thread of its own, so that a signal and the bound of time end the process also while the run is held up
//! by something that cannot be interrupted: name resolution, a disk, a log that nobody reads.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use envsync::ci::{self, Ci};
use envsync::config::{self, Config, Environment, registry};
use envsync::effects::Effects;
use envsync::error::{Failure, Kind};
use envsync::file;
use envsync::run::{self, cleanup};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What a run has to end itself when it is cut off, before the process ends without it.
const GRACE: Duration = Duration::from_millis(500);

fn main() -> ExitCode {
    let (env, garbled) = environment();
    let mut ci = Ci::detect(&env, &std::env::current_dir().unwrap_or_default());
    let effects = Effects::default();
    last_words_of_a_panic(effects.clone());
    let mut arguments = std::env::args_os();
    let program = arguments.next().map(PathBuf::from);
    if program.as_deref().and_then(Path::file_name).is_some_and(|name| name == cleanup::PROGRAM) {
        let outcome = cleanup::clean_up(&env, &mut ci);
        return ExitCode::from(finish(&mut ci, &effects, outcome));
    }
    let arguments: Vec<_> = arguments.collect();
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
            return ExitCode::from(finish(&mut ci, &effects, Err(failure)));
        }
    }
    let reading = config::read(&env, &garbled);
    for secret in &reading.secrets {
        ci.mask_configuration(secret);
    }
    for warning in &reading.warnings {
        ci.warning(&warning.what, warning.help.as_deref());
    }
    let config = match reading.config {
        Ok(config) => config,
        Err(failure) => return ExitCode::from(finish(&mut ci, &effects, Err(failure))),
    };
    ci.set_masking(config.min_mask_length, config.unmasked.clone());
    match runtime() {
        Ok(runtime) => ExitCode::from(runtime.block_on(supervise(config, env, ci, effects))),
        Err(failure) => ExitCode::from(finish(&mut ci, &effects, Err(failure))),
    }
}

/// A panic is a defect, of ours or of a library's. What it says is not shown, because it may quote what it stumbled over.
#[allow(clippy::exit, clippy::disallowed_methods, reason = "a panic would abort, with an exit code that means nothing")]
fn last_words_of_a_panic(effects: Effects) {
    std::panic::set_hook(Box::new(move |panic| {
        file::abandon();
        let place = panic.location().map_or_else(String::new, |place| format!(" at {}:{}", place.file(), place.line()));
        ci::last_words(&format!(
            "envsync: {}\nerror: a defect of EnvSync ended the run{place}\n  help: report it with this line; no value is in it\n",
            effects.sentence()
        ));
        std::process::exit(i32::from(Kind::Internal.exit_code()));
    }));
}

/// The one snapshot of the process environment, and the names whose values are no UTF-8 text.
#[allow(clippy::disallowed_methods, reason = "main takes the snapshot that everything else works on")]
fn environment() -> (Environment, Vec<String>) {
    let mut env = Environment::new();
    let mut garbled = Vec::new();
    for (name, value) in std::env::vars_os() {
        match (name.into_string(), value.into_string()) {
            (Ok(name), Ok(value)) => drop(env.insert(name, value)),
            (Ok(name), Err(_)) => garbled.push(name),
            (Err(_), _) => {}
        }
    }
    (env, garbled)
}

/// Why a run was cut off.
#[derive(Clone, Copy)]
enum End {
    Signal(&'static str, u8),
    Late(Duration),
}

/// Starts the run and waits for it, for a signal, or for the time to be up.
async fn supervise(config: Config, env: Environment, mut ci: Ci, effects: Effects) -> u8 {
    // As process 1 of a container there is no default action for these: without handlers they would have no effect.
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return finish(&mut ci, &effects, Err(Failure::new(Kind::Internal, "couldn't listen for signals")));
    };
    let timeout = config.timeout;
    let (cut, cut_off) = oneshot::channel();
    let (done, mut finished) = oneshot::channel();
    let seen = effects.clone();
    let started = std::thread::Builder::new().name("run".to_owned()).spawn(move || {
        // Where the other end is gone the process ends without this thread.
        let _ = done.send(work(&config, &env, ci, &effects, cut_off));
    });
    if let Err(error) = started {
        ci::last_words(&format!("envsync: nothing was changed\nerror: couldn't start a thread: {error}\n"));
        return Kind::Unavailable.exit_code();
    }
    let end = tokio::select! {
        biased;
        // A thread that is gone without a word has panicked.
        code = &mut finished => return code.unwrap_or(Kind::Internal.exit_code()),
        _ = interrupt.recv() => End::Signal("SIGINT", 130),
        _ = terminate.recv() => End::Signal("SIGTERM", 143),
        () = tokio::time::sleep(timeout) => End::Late(timeout),
    };
    let heard = cut.send(end).is_ok();
    if let (true, Ok(Ok(code))) = (heard, tokio::time::timeout(GRACE, &mut finished).await) {
        return code;
    }
    // It is held up: what it would clean up is cleaned up here.
    file::abandon();
    let (why, code) = match end {
        End::Signal(name, code) => (format!("ended by {name}"), code),
        End::Late(_) if seen.any() => ("the time was up".to_owned(), Kind::Partial.exit_code()),
        End::Late(_) => ("the time was up".to_owned(), Kind::Unavailable.exit_code()),
    };
    ci::last_words(&format!("envsync: {why} while the run could not be interrupted: {}\n", seen.sentence()));
    code
}

/// The run itself, on its own thread, to its exit code.
fn work(config: &Config, env: &Environment, mut ci: Ci, effects: &Effects, cut_off: oneshot::Receiver<End>) -> u8 {
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(failure) => return finish(&mut ci, effects, Err(failure)),
    };
    // A loop that runs out of time ends a little earlier than the whole, because it can say what kept it.
    let give_up = Instant::now() + config.timeout - (config.timeout / 10).min(Duration::from_secs(1));
    // Whatever ends first, the other is dropped, and with it every temporary file.
    let outcome = runtime.block_on(async {
        tokio::select! {
            biased;
            Ok(end) = cut_off => Err(end),
            outcome = run::run(config, env, &mut ci, effects, give_up) => Ok(outcome),
        }
    });
    // Not waiting for a name that is still being resolved.
    runtime.shutdown_background();
    match outcome {
        Ok(outcome) => finish(&mut ci, effects, outcome),
        Err(End::Signal(name, code)) => {
            ci.ended(name, &effects.sentence());
            code
        }
        Err(End::Late(timeout)) => {
            let what = format!("the run took longer than {} s", timeout.as_secs());
            let help = "raise `timeout_seconds`, or look at what answers so slowly";
            finish(&mut ci, effects, Err(Failure::new(Kind::Unavailable, what).help(help)))
        }
    }
}

fn runtime() -> Result<Runtime, Failure> {
    let made = Builder::new_current_thread().enable_all().build();
    made.map_err(|error| Failure::new(Kind::Internal, format!("couldn't start the runtime: {error}")))
}

fn finish(ci: &mut Ci, effects: &Effects, outcome: Result<(), Failure>) -> u8 {
    let Err(mut failure) = outcome else { return 0 };
    if effects.any() {
        failure.kind = Kind::Partial;
    }
    ci.failure(&effects.sentence(), &failure);
    failure.kind.exit_code()
}

//! Runs that end in the middle, and runs beside them: what is there is the old or the new, and nothing is left aside.

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use envsync_doubles::aws::{REGION, SecretsManager};
use envsync_doubles::{Double, Fault, When};
use rustix::process::{Pid, Signal, kill_process};

use super::harness::{Room, Run};

const KILLS: u32 = 200;
const KEYS: usize = 2_000;

/// Lines or members of every key, with values of one generation.
fn every_key(line: impl Fn(usize) -> String, between: &str) -> String {
    (0..KEYS).map(line).collect::<Vec<_>>().join(between)
}

fn payload(generation: usize) -> String {
    format!("{{{}}}", every_key(|n| format!("\"KEY_{n}\":\"fake-{generation}-{n}\""), ","))
}

fn file(generation: usize) -> String {
    let line = |n| format!("# about key {n}\nexport KEY_{n}='fake-{generation}-{n}' # why {n}\n");
    format!("# head\nMINE=fake-my-own\n{}", every_key(line, "\n"))
}

fn start(run: &Run) -> Child {
    let mut command: Command = run.command().0;
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// How long a run takes here and now, from its start to its end, and a little more.
fn measured(run: impl Fn() -> Run, before: impl Fn()) -> Duration {
    let times = (0..5).map(|_| {
        before();
        let start_of_run = Instant::now();
        assert!(start(&run()).wait().unwrap().success());
        start_of_run.elapsed()
    });
    let mut times: Vec<_> = times.collect();
    times.sort();
    times[times.len() / 2].mul_f64(1.2)
}

/// Kills a run again and again, first at instants spread over its time, each moved a little, and then in the short while
/// in which its temporary file is there.
#[track_caller]
fn kill_many(room: &Room, directory: &str, run: impl Fn() -> Run, before: impl Fn(), after: impl Fn()) {
    let time = measured(&run, &before);
    let mut cut = 0;
    for nth in 0..KILLS {
        before();
        let mut child = start(&run());
        sleep(time.mul_f64((f64::from(nth) + f64::from(nth * 7 % 10) / 10.0) / f64::from(KILLS)));
        child.kill().unwrap();
        cut += usize::from(child.wait().unwrap().signal() == Some(9));
        after();
    }
    assert!(cut > 20, "only {cut} runs were cut off");
    let mut left = 0;
    for nth in 0..KILLS {
        before();
        let already = set_aside(room, directory);
        let mut child = start(&run());
        while set_aside(room, directory) == already && child.try_wait().unwrap().is_none() {}
        sleep(Duration::from_micros(u64::from(nth) * 37 % 500));
        child.kill().unwrap();
        child.wait().unwrap();
        after();
        left += usize::from(set_aside(room, directory) > 0);
        if left >= 10 {
            return;
        }
    }
    assert!(left > 0, "no run was caught with its temporary file");
}

fn set_aside(room: &Room, directory: &str) -> usize {
    let entries = std::fs::read_dir(room.path(directory)).unwrap();
    entries.filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().contains(".envsync-")).count()
}

#[test]
fn a_killed_pull_leaves_the_old_file_or_the_new_one() {
    let room = Room::new();
    room.seed("app", &payload(2));
    let (old, new) = (file(1), file(2));
    let before = || std::fs::write(room.path(".env"), &old).unwrap();
    let after = || {
        let now = room.read(".env").unwrap();
        assert!(now == old || now == new, "the file is torn: {} bytes", now.len());
    };
    kill_many(&room, "", || room.run().plain(), before, after);
    before();
    room.run().plain().expect(0);
    assert!(room.read(".env").unwrap() == new);
    assert_eq!(set_aside(&room, ""), 0, "a later run clears what killed ones left");
}

#[test]
fn a_killed_push_leaves_no_half_version() {
    let room = Room::new();
    room.file("1.env", file(1)).file("2.env", file(2)).seed("app", &payload(2));
    // Every run changes all the values, from whatever the one before it left.
    let flip = AtomicBool::new(false);
    let name = || if flip.load(Ordering::SeqCst) { "1.env" } else { "2.env" };
    let run = || room.run().plain().input("mode", "push").input("env_file", name());
    let before = || {
        flip.fetch_xor(true, Ordering::SeqCst);
    };
    let whole = |text: &str| {
        let members: serde_json::Map<String, serde_json::Value> = serde_json::from_str(text).unwrap();
        let first = members["KEY_0"].as_str().unwrap().as_bytes()[5];
        let same =
            members.iter().filter(|(key, _)| *key != "MINE").all(|(_, v)| v.as_str().unwrap().as_bytes()[5] == first);
        assert!(same && members.len() >= KEYS, "a version is a mixture");
    };
    let looked_at = std::cell::Cell::new(0);
    let after = || {
        // `versions` fails on a gap in their numbers.
        let versions = room.versions("app");
        versions[looked_at.get()..].iter().for_each(|text| whole(text));
        looked_at.set(versions.len());
    };
    kill_many(&room, "store/app", run, before, after);
    room.file("last.env", "LAST=fake-last-value\n");
    room.run().plain().input("mode", "push").input("env_file", "last.env").expect(0);
    assert_eq!(set_aside(&room, "store/app"), 0, "a later run clears what killed ones left");
    assert_eq!(room.json("app")["LAST"], "fake-last-value");
}

#[test]
fn runs_that_die_do_not_disturb_those_beside_them() {
    let room = Room::new();
    room.file(".env", file(1)).file("push.env", "PUSHED=fake-0\n").file("1.env", "DYING=fake-dying-value\n");
    room.seed("app", &payload(1)).seed("other", r#"{"OTHER":"fake-other-value"}"#).seed("pushed", "{}");
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Dies again and again, in the same file and in the same secret.
        scope.spawn(|| {
            for nth in 0_u64.. {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let push =
                    room.run().plain().input("mode", "push").input("secret", "pushed").input("env_file", "1.env");
                let run = if nth % 2 == 0 { room.run().plain().input("secret", "other") } else { push };
                let mut child = start(&run);
                sleep(Duration::from_millis(nth * 13 % 60));
                child.kill().unwrap();
                child.wait().unwrap();
            }
        });
        for generation in 2..12 {
            room.seed("app", &payload(generation));
            room.file("push.env", format!("PUSHED=fake-{generation}\n"));
            let pull = room.run().plain().command().0.output().unwrap();
            let push = room.run().plain().input("mode", "push").input("secret", "pushed").input("env_file", "push.env");
            let push = push.command().0.output().unwrap();
            for output in [pull, push] {
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            }
            let variables = room.variables(".env");
            let last = format!("fake-{generation}-{}", KEYS - 1);
            assert_eq!(variables.get(&format!("KEY_{}", KEYS - 1)), Some(&last));
            assert_eq!(room.json("pushed")["PUSHED"], format!("fake-{generation}"));
        }
        over.store(true, Ordering::SeqCst);
    });
    room.run().plain().expect(0);
    room.file("push.env", "PUSHED=fake-at-last\n");
    room.run().plain().input("mode", "push").input("secret", "pushed").input("env_file", "push.env").expect(0);
    assert_eq!((set_aside(&room, ""), set_aside(&room, "store/pushed")), (0, 0));
}

/// A run on AWS that hangs in this call.
fn hanging(mode: &str, operation: &str) -> (Arc<Room>, Double<SecretsManager>, Run) {
    let (room, double) = (Room::new(), SecretsManager::start());
    double.put("app", r#"{"A":"fake-one-old"}"#);
    double.fail(operation, When::Always, Fault::Hang);
    room.file(".env", "A=fake-one-new\n");
    let url = double.url();
    let given = [
        ("mode", mode),
        ("provider", "aws"),
        ("local_store", ""),
        ("aws_region", REGION),
        ("aws_access_key_id", "AKIAFAKEFAKEFAKEFAKE"),
        ("aws_secret_access_key", "fake-secret-access-key"),
        ("aws_endpoint_url", &url),
    ];
    let run = given.into_iter().fold(room.run().plain(), |run, (name, value)| run.input(name, value));
    (room, double, run)
}

#[test]
fn a_signal_ends_a_run_that_hangs() {
    let rows = [("pull", "GetSecretValue"), ("push", "PutSecretValue"), ("push", "UpdateSecretVersionStage")];
    for (mode, operation) in rows {
        for (signal, code, name) in [(Signal::TERM, 143, "SIGTERM"), (Signal::INT, 130, "SIGINT")] {
            let (room, double, run) = hanging(mode, operation);
            let mut command = run.command().0;
            let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            while double.count(operation) == 0 {
                assert_eq!(child.try_wait().unwrap(), None, "it should hang in {operation}");
                sleep(Duration::from_millis(5));
            }
            kill_process(Pid::from_child(&child), signal).unwrap();
            // Far from the 120 s after which it would end by itself, and from the 15 s of one try.
            let given_up = Instant::now() + Duration::from_secs(8);
            while child.try_wait().unwrap().is_none() {
                if Instant::now() > given_up {
                    child.kill().unwrap();
                }
                sleep(Duration::from_millis(5));
            }
            let output = child.wait_with_output().unwrap();
            let text = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(code), "{mode} in {operation}\n{text}");
            assert!(text.contains(name) && !text.contains("fake-one"), "{text}");
            assert_eq!(room.read(".env").as_deref(), Some("A=fake-one-new\n"));
            assert_eq!((set_aside(&room, ""), double.current("app").is_some()), (0, true));
        }
    }
}

/// Nobody reads the log of this run: it is held up in the middle of its masks, where nothing can be interrupted.
#[test]
fn a_run_that_nobody_listens_to_ends_all_the_same() {
    let room = Room::new();
    let many: Vec<String> = (0..5_000).map(|n| format!(r#""KEY_{n}":"fake-value-of-{n}-and-more""#)).collect();
    room.seed("app", &format!("{{{}}}", many.join(",")));
    let rows = [(Some(Signal::TERM), "120", 143), (Some(Signal::INT), "120", 130), (None, "1", 7)];
    for (signal, timeout, code) in rows {
        let run = room.run().github().input("timeout_seconds", timeout);
        let mut command = run.command().0;
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        sleep(Duration::from_millis(700));
        assert_eq!(child.try_wait().unwrap(), None, "it should be held up by its log");
        if let Some(signal) = signal {
            kill_process(Pid::from_child(&child), signal).unwrap();
        }
        // Far from the 120 s after which it would end by itself.
        let given_up = Instant::now() + Duration::from_secs(20);
        let ended = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if Instant::now() > given_up => break None,
                None => sleep(Duration::from_millis(5)),
            }
        };
        drop(child.kill());
        assert_eq!(ended.and_then(|status| status.code()), Some(code));
        assert_eq!((room.read(".env"), set_aside(&room, "")), (None, 0));
    }
}

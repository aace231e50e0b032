//! Many runs on one secret at once: nothing is lost, and of two values for one variable one is a conflict.

use std::collections::BTreeMap;
use std::process::Output;
use std::sync::Arc;
use std::thread::{sleep, spawn};
use std::time::Duration;

use envsync_doubles::When;
use serde_json::{Value, json};

use super::clouds::{Cloud, all};
use crate::integration::harness::{Room, Run};

const CROWD: usize = 24;
const ROUNDS: usize = 8;

/// Starts all of them at once. Not by `expect`: what it asserts of the workspace does not hold while others write.
fn at_once(runs: Vec<Run>) -> Vec<Output> {
    let runs: Vec<_> = runs
        .into_iter()
        .map(|run| {
            let mut command = run.command().0;
            spawn(move || command.output().unwrap())
        })
        .collect();
    runs.into_iter().map(|run| run.join().unwrap()).collect()
}

#[track_caller]
fn all_succeed(outputs: &[Output], name: &str) {
    for output in outputs {
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_crowd_that_syncs_and_pushes_loses_nothing() {
    for cloud in all() {
        cloud.put(r#"{"BASE":"fake-base-value"}"#);
        let runs = (0..CROWD).map(|n| {
            let file = format!("{n}.env");
            cloud.room.file(&file, format!("KEY_{n}=fake-value-{n}\n"));
            let mode = if n % 3 == 0 { "push" } else { "sync" };
            cloud.run(mode).input("env_file", &file).input("timeout_seconds", "110")
        });
        all_succeed(&at_once(runs.collect()), cloud.name);
        let mut wanted = json!({"BASE": "fake-base-value"});
        for n in 0..CROWD {
            wanted[format!("KEY_{n}")] = json!(format!("fake-value-{n}"));
        }
        assert_eq!(cloud.json(), wanted, "{}", cloud.name);
        // Each file gets the rest with its next sync, and nobody has anything more to say to the secret.
        let versions = cloud.versions();
        for n in [1, 2, CROWD - 1] {
            let file = format!("{n}.env");
            cloud.run("sync").input("env_file", &file).input("delete", "true").expect(0);
            assert_eq!(json!(cloud.room.variables(&file)), wanted, "{}", cloud.name);
        }
        assert_eq!(cloud.versions(), versions, "{}", cloud.name);
    }
}

/// Keys that are there already: what a writer from an older version did not change must not look like a change back.
#[test]
fn a_crowd_that_changes_what_is_there_loses_nothing() {
    for cloud in all() {
        let of = |what: &str| -> Value {
            json!((0..CROWD).map(|n| (format!("KEY_{n}"), format!("fake-{what}-{n}"))).collect::<BTreeMap<_, _>>())
        };
        cloud.put(&of("old").to_string());
        // Azure's times tell what came first by the second.
        sleep(Duration::from_millis(1100));
        // As far as a network is: a write may arrive long after the read that it is from, and after others.
        cloud.on("*", When::Always, || sleep(Duration::from_micros(fastrand::u64(..30_000))));
        let runs = (0..CROWD).map(|n| {
            let file = format!("{n}.env");
            let mine = format!("KEY_{n}=fake-new-{n}\n");
            let mode = if n % 3 == 0 { "push" } else { "sync" };
            if mode == "sync" {
                cloud.run("sync").input("env_file", &file).expect(0);
                let line = format!("KEY_{n}=fake-old-{n}\n");
                let text = cloud.room.read(&file).unwrap().replace(&line, &mine);
                cloud.room.file(&file, text);
            } else {
                cloud.room.file(&file, mine);
            }
            cloud.run(mode).input("env_file", &file).input("timeout_seconds", "110")
        });
        all_succeed(&at_once(runs.collect()), cloud.name);
        assert_eq!(cloud.json(), of("new"), "{} after {} versions", cloud.name, cloud.versions());
    }
}

/// A workspace of its own for each file, in step with the secret.
fn pair(cloud: &Cloud) {
    cloud.put(r#"{"K":"fake-value-old","OTHER":"fake-other-one"}"#);
    for file in ["1.env", "2.env"] {
        cloud.run("sync").input("env_file", file).expect(0);
    }
}

fn edited(room: &Arc<Room>, file: &str, value: &str) {
    let text = room.read(file).unwrap().replace("fake-value-old", value);
    room.file(file, format!("{text}OF_{}={value}\n", &file[..1]));
}

#[test]
fn two_that_change_one_variable_at_once_are_one_conflict() {
    for cloud in all() {
        for round in 0..ROUNDS {
            let cloud = cloud.again();
            pair(&cloud);
            let values = ["fake-value-one", "fake-value-two"];
            edited(&cloud.room, "1.env", values[0]);
            edited(&cloud.room, "2.env", values[1]);
            let before = [cloud.room.read("1.env"), cloud.room.read("2.env")];
            let runs = ["1.env", "2.env"].map(|file| cloud.run("sync").input("env_file", file));
            let outputs = at_once(runs.into());
            let codes: Vec<_> = outputs.iter().map(|output| output.status.code()).collect();
            let said: Vec<_> = outputs.iter().map(|output| String::from_utf8_lossy(&output.stderr)).collect();
            let losers: Vec<usize> = (0..2).filter(|n| codes[*n] == Some(6)).collect();
            for loser in &losers {
                assert!(said[*loser].contains("`K` (changed in the file, changed in the secret)"), "{}", said[*loser]);
                assert!(said[*loser].contains("nothing was changed"), "{}", said[*loser]);
                assert_eq!(cloud.room.read(&format!("{}.env", loser + 1)), before[*loser], "{}", cloud.name);
            }
            assert_eq!(losers.len(), 1, "{} {round}: {said:?}", cloud.name);
            let (loser, winner) = (losers[0], 1 - losers[0]);
            assert_eq!(codes[winner], Some(0), "{} {round}: {said:?}", cloud.name);
            let mut wanted = json!({"K": values[winner], "OTHER": "fake-other-one"});
            wanted[format!("OF_{}", winner + 1)] = json!(values[winner]);
            assert_eq!(cloud.json(), wanted, "{} {round}: {said:?}", cloud.name);
            // The loser says how it shall be, and both are in step again.
            let file = |n: usize| format!("{}.env", n + 1);
            cloud.run("sync").input("env_file", &file(loser)).input("prefer", "file").expect(0);
            cloud.run("sync").input("env_file", &file(winner)).expect(0);
            assert_eq!(cloud.json()["K"], Value::from(values[loser]), "{}", cloud.name);
            assert_eq!(cloud.room.variables("1.env"), cloud.room.variables("2.env"));
        }
    }
}

/// Others that write over them, and mend it, know nothing of the conflict.
#[test]
fn of_those_that_change_one_variable_amid_a_crowd_one_wins() {
    for cloud in all() {
        for syncs in [2, 4] {
            let cloud = cloud.again();
            let mut secret = json!({"K": "fake-value-old", "OTHER": "fake-other-one"});
            for n in syncs..CROWD {
                secret[format!("KEY_{n}")] = json!(format!("fake-old-{n}"));
            }
            cloud.put(&secret.to_string());
            let files: Vec<String> = (0..syncs).map(|n| format!("{n}.env")).collect();
            for (n, file) in files.iter().enumerate() {
                cloud.run("sync").input("env_file", file).expect(0);
                edited(&cloud.room, file, &format!("fake-value-{n}"));
            }
            let before: Vec<_> = files.iter().map(|file| cloud.room.read(file)).collect();
            // What was there before is not of this second.
            sleep(Duration::from_millis(1100));
            cloud.on("*", When::Always, || sleep(Duration::from_micros(fastrand::u64(..60_000))));
            let runs = files.iter().map(|file| cloud.run("sync").input("env_file", file));
            let pushes = (syncs..CROWD).map(|n| {
                let file = format!("push-{n}.env");
                cloud.room.file(&file, format!("KEY_{n}=fake-new-{n}\n"));
                cloud.run("push").input("env_file", &file)
            });
            let outputs = at_once(runs.chain(pushes).map(|run| run.input("timeout_seconds", "110")).collect());
            all_succeed(&outputs[syncs..], cloud.name);
            let said: Vec<_> = outputs[..syncs].iter().map(|output| String::from_utf8_lossy(&output.stderr)).collect();
            let codes: Vec<_> = outputs[..syncs].iter().map(|output| output.status.code()).collect();
            let winners: Vec<usize> = (0..syncs).filter(|n| codes[*n] == Some(0)).collect();
            assert_eq!(winners.len(), 1, "{} {codes:?}: {said:?}", cloud.name);
            for loser in (0..syncs).filter(|n| *n != winners[0]) {
                assert_eq!(codes[loser], Some(6), "{}: {}", cloud.name, said[loser]);
                assert!(said[loser].contains("nothing was changed"), "{}", said[loser]);
                assert_eq!(cloud.room.read(&files[loser]), before[loser], "{}", cloud.name);
            }
            let value = json!(format!("fake-value-{}", winners[0]));
            secret[format!("OF_{}", winners[0])] = value.clone();
            secret["K"] = value;
            for n in syncs..CROWD {
                secret[format!("KEY_{n}")] = json!(format!("fake-new-{n}"));
            }
            assert_eq!(cloud.json(), secret, "{} {syncs}: {said:?}", cloud.name);
        }
    }
}

#[test]
fn syncs_of_one_file_at_once_lose_nothing() {
    for cloud in all() {
        cloud.put(r#"{"K":"fake-value-old"}"#);
        cloud.run("sync").expect(0);
        let text = cloud.room.read(".env").unwrap();
        cloud.room.file(".env", format!("{text}NEW=fake-new-value\n"));
        cloud.put(r#"{"K":"fake-value-old","OWN":"fake-own-value"}"#);
        all_succeed(&at_once((0..6).map(|_| cloud.run("sync")).collect()), cloud.name);
        let wanted = json!({"K": "fake-value-old", "OWN": "fake-own-value", "NEW": "fake-new-value"});
        assert_eq!((cloud.json(), json!(cloud.room.variables(".env"))), (wanted.clone(), wanted), "{}", cloud.name);
        cloud.run("sync").github().expect(0).output("has-changes", "false");
    }
}

//! A variable that two change to different values, while a third one writes: one conflict, and the value of the one that came
//! first.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread::sleep;
use std::time::Duration;

use envsync_doubles::When;
use serde_json::{Value, json};

use super::clouds::{Cloud, clouds};

const DETECTING: [&str; 2] = ["gcp", "azure"];

fn write(cloud: &Cloud) -> &'static str {
    if cloud.name == "azure" { "SetSecret" } else { "AddSecretVersion" }
}

fn writes(cloud: &Cloud) -> usize {
    cloud.calls().iter().filter(|call| *call == write(cloud)).count()
}

/// Others write just before the run's write of this number. On Azure the second of a version tells which of two came first,
/// so that it takes its time: later than the run's first version, and earlier than the one that is about to be written.
fn before_write<const N: usize>(cloud: &Arc<Cloud>, number: usize, theirs: [&'static str; N]) {
    let weak = Arc::downgrade(cloud);
    cloud.on(write(cloud), number, move || {
        let Some(cloud) = weak.upgrade() else { return };
        for payload in theirs {
            let pause = if cloud.name == "azure" { Duration::from_millis(1100) } else { Duration::ZERO };
            sleep(pause);
            cloud.put(payload);
            sleep(pause);
        }
    });
}

/// Others write when the run reads for these times after so many writes of its own.
fn at_read<const N: usize>(cloud: &Arc<Cloud>, after: usize, theirs: [(usize, &'static str); N]) {
    let (weak, reads): (Weak<Cloud>, _) = (Arc::downgrade(cloud), AtomicUsize::new(0));
    let read = if cloud.name == "azure" { "GetSecret" } else { "AccessSecretVersion" };
    cloud.on(read, When::Always, move || {
        let Some(cloud) = weak.upgrade().filter(|cloud| writes(cloud) == after) else { return };
        let count = reads.fetch_add(1, Ordering::SeqCst) + 1;
        for (_, payload) in theirs.iter().filter(|(nth, _)| *nth == count) {
            cloud.put(payload);
        }
    });
}

/// A store with the file in step, which then has another value for `K`, and a variable more.
fn edited(name: &'static str) -> Arc<Cloud> {
    let cloud = Arc::new(Cloud::new(name).in_step(r#"{"K":"fake-value-old"}"#));
    cloud.edit("K=fake-value-old\n", "K=fake-value-file\nMINE=fake-mine\n");
    cloud
}

const CONFLICT: &str = "`K` (changed in the file, changed in the secret)";

#[test]
fn what_was_taken_back_is_all_that_this_run_wrote() {
    let cloud = Arc::new(Cloud::new("gcp").in_step(
        r#"{"K":"fake-value-old","GONE":"fake-gone-value","N":1.10,"IN":{"GONE":"fake-inner-value","T":7,"Z":null}}"#,
    ));
    cloud.edit("fake-value-old", "fake-value-file");
    cloud.edit("N=1.10\n", "N=2.5\nADDED=fake-added-value\n");
    cloud.edit("GONE=fake-gone-value\n", "");
    // As it was means in its object and of its type, too.
    cloud.edit("IN_GONE=fake-inner-value\nIN_T=7\nIN_Z=\n", "IN_T=fake-text\nIN_Z=fake-text\n");
    let theirs = r#"{"K":"fake-value-theirs","GONE":"fake-gone-value","N":1.10,"IN":{"GONE":"fake-inner-value","T":7,"Z":null},"NEW":true}"#;
    before_write(&cloud, 1, [theirs]);
    let done = cloud.run("sync").input("delete", "true").expect(6);
    done.says(&["nothing was changed in the end", "taken back", CONFLICT]);
    assert_eq!(cloud.json(), serde_json::from_str::<Value>(theirs).unwrap());
    assert_eq!(cloud.versions(), 4);
}

/// The secret shows an array without the white space that it has in the file.
#[test]
fn a_conflict_over_an_array_is_seen_in_a_race_too() {
    for (name, call) in [("aws", "PutSecretValue"), ("gcp", "AddSecretVersion"), ("azure", "SetSecret")] {
        let cloud = Arc::new(Cloud::new(name).in_step(r#"{"K":[1111],"OTHER":"fake-other-one"}"#));
        cloud.edit("K=[1111]", "K='[1111, 2222]'");
        cloud.edit("fake-other-one", "fake-other-file");
        let theirs = r#"{"K":[1111,3333],"OTHER":"fake-other-one"}"#;
        let before = cloud.room.read(".env");
        let weak = Arc::downgrade(&cloud);
        cloud.on(call, 1, move || drop(weak.upgrade().map(|cloud| cloud.put(theirs))));
        let done = cloud.run("sync").github().expect(6);
        done.output("conflict-keys", r#"["K"]"#).says(&["nothing was changed"]);
        assert_eq!(cloud.json(), serde_json::from_str::<Value>(theirs).unwrap(), "{name}");
        assert_eq!(cloud.room.read(".env"), before, "{name}");
    }
}

/// A JSON document takes an array without its white space: what was put there reads otherwise than what the file holds.
#[test]
fn an_array_that_two_change_is_a_conflict_however_it_is_written() {
    for cloud in clouds() {
        let cloud = Arc::new(cloud.in_step(r#"{"L":["fake-value-old"]}"#));
        cloud.edit(r#"["fake-value-old"]"#, r#"["fake-value-file", 1]"#);
        let theirs = r#"{"L":["fake-value-theirs",2]}"#;
        if cloud.name == "aws" {
            cloud.put(theirs);
        } else {
            before_write(&cloud, 1, [theirs]);
        }
        let done = cloud.run("sync").expect(6);
        done.says(&["nothing was changed", "`L` (changed in the file, changed in the secret)"]);
        assert_eq!(cloud.json(), serde_json::from_str::<Value>(theirs).unwrap(), "{}", cloud.name);
    }
}

/// A third run that had written over both has seen nothing of the conflict, and repairs its own write.
#[test]
fn what_was_taken_back_and_comes_back_is_taken_back_again() {
    for name in DETECTING {
        let cloud = edited(name);
        let before = cloud.room.read(".env");
        before_write(&cloud, 1, [r#"{"K":"fake-value-theirs"}"#]);
        // The write, and the one that takes it back.
        at_read(&cloud, 2, [(2, r#"{"K":"fake-value-file","MINE":"fake-mine","THIRD":"fake-third"}"#)]);
        let done = cloud.run("sync").expect(6);
        done.says(&["nothing was changed in the end", "taken back", CONFLICT]);
        assert_eq!(cloud.json(), json!({"K": "fake-value-theirs", "THIRD": "fake-third"}), "{name}");
        assert_eq!(cloud.room.read(".env"), before, "{name}");
    }
}

/// Writers that had read it before write it again, while it is taken back.
#[test]
fn what_is_taken_back_stays_so_whoever_writes_meanwhile() {
    for name in DETECTING {
        let cloud = edited(name);
        before_write(&cloud, 1, [r#"{"K":"fake-value-theirs"}"#]);
        before_write(&cloud, 2, [r#"{"K":"fake-value-file","MINE":"fake-mine","THIRD":"fake-third"}"#]);
        before_write(&cloud, 3, [r#"{"K":"fake-value-file","MINE":"fake-mine","FOURTH":"fake-fourth"}"#]);
        cloud.run("sync").expect(6).says(&["nothing was changed in the end", "taken back", CONFLICT]);
        let wanted = json!({"K": "fake-value-theirs", "THIRD": "fake-third", "FOURTH": "fake-fourth"});
        assert_eq!(cloud.json(), wanted, "{name}");
    }
}

/// The run wrote first, and has to mend that it wrote over a third one; in between another sync comes, which finds that it
/// has written over this one.
#[test]
fn whoever_came_first_lets_the_later_one_take_its_value_back() {
    for name in DETECTING {
        let cloud = edited(name);
        before_write(&cloud, 1, [r#"{"K":"fake-value-old","THIRD":"fake-third"}"#]);
        before_write(&cloud, 2, [r#"{"K":"fake-value-theirs","THEIRS":"fake-theirs"}"#]);
        at_read(&cloud, 3, [(3, r#"{"K":"fake-value-file","MINE":"fake-mine","THIRD":"fake-third"}"#)]);
        cloud.run("sync").expect(0);
        let wanted = json!({"K": "fake-value-file", "MINE": "fake-mine", "THIRD": "fake-third"});
        assert_eq!((cloud.json(), json!(cloud.room.variables(".env"))), (wanted.clone(), wanted), "{name}");
    }
}

/// A third run had read what this one wrote first, writes it over the later value, and mends that in a moment.
#[test]
fn a_value_that_comes_back_for_a_moment_only_has_not_won() {
    for name in DETECTING {
        let cloud = edited(name);
        before_write(&cloud, 1, [r#"{"K":"fake-value-old","THIRD":"fake-third"}"#]);
        before_write(&cloud, 2, [r#"{"K":"fake-value-theirs"}"#]);
        let back = r#"{"K":"fake-value-file","MINE":"fake-mine","THIRD":"fake-other"}"#;
        let mended = r#"{"K":"fake-value-theirs","MINE":"fake-mine","THIRD":"fake-other"}"#;
        at_read(&cloud, 3, [(3, back), (6, mended)]);
        cloud.run("sync").expect(6).says(&["nothing was changed in the end", "taken back", CONFLICT]);
        assert_eq!(cloud.json(), json!({"K": "fake-value-theirs", "THIRD": "fake-other"}), "{name}");
    }
}

/// The other one, or a third one, means the same.
#[test]
fn what_another_run_had_written_too_is_not_taken_back() {
    for name in DETECTING {
        let cloud = Arc::new(Cloud::new(name).in_step(r#"{"K":"fake-value-old","BOTH":"fake-both-old"}"#));
        cloud.edit("K=fake-value-old\n", "K=fake-value-file\nMINE=fake-mine\n");
        cloud.edit("fake-both-old", "fake-both-new");
        before_write(&cloud, 1, [r#"{"K":"fake-value-theirs","BOTH":"fake-both-new"}"#]);
        cloud.run("sync").expect(6).says(&["nothing was changed in the end", "taken back", CONFLICT]);
        assert_eq!(cloud.json(), json!({"K": "fake-value-theirs", "BOTH": "fake-both-new"}), "{name}");
    }
}

/// Of three the first and the last one mean the same, and the one between them is the one that gives way.
#[test]
fn whoever_means_the_same_as_the_first_gives_no_way() {
    for name in DETECTING {
        let cloud = Arc::new(Cloud::new(name).in_step(r#"{"K":"fake-value-old"}"#));
        cloud.edit("K=fake-value-old\n", "K=fake-value-file\n");
        before_write(&cloud, 1, [r#"{"K":"fake-value-file","FIRST":"fake-first"}"#, r#"{"K":"fake-value-theirs"}"#]);
        // The one between finds that it came after the first one.
        at_read(&cloud, 2, [(2, r#"{"K":"fake-value-file","FIRST":"fake-first"}"#)]);
        cloud.run("sync").expect(0);
        assert_eq!(cloud.json(), json!({"K": "fake-value-file", "FIRST": "fake-first"}), "{name}");
    }
}

#[test]
fn a_later_push_of_the_same_variable_stands() {
    for name in DETECTING {
        let cloud = edited(name);
        let before = cloud.room.read(".env");
        before_write(&cloud, 1, [r#"{"K":"fake-value-old","THIRD":"fake-third"}"#]);
        before_write(&cloud, 2, [r#"{"K":"fake-value-theirs"}"#]);
        cloud.run("sync").expect(6).says(&["nothing was changed in the end", "taken back", CONFLICT]);
        assert_eq!(cloud.json(), json!({"K": "fake-value-theirs", "THIRD": "fake-third"}), "{name}");
        assert_eq!(cloud.room.read(".env"), before, "{name}");
    }
}

/// The secret holds the base's value just because a third run has written over the other one's, and not mended that yet.
#[test]
fn a_value_that_a_third_run_hides_for_now_is_a_conflict_too() {
    for name in DETECTING {
        let cloud = edited(name);
        cloud.put(r#"{"K":"fake-value-theirs"}"#);
        cloud.put(r#"{"K":"fake-value-old","THIRD":"fake-third"}"#);
        at_read(&cloud, 0, [(6, r#"{"K":"fake-value-theirs","THIRD":"fake-third"}"#)]);
        cloud.run("sync").expect(6).says(&["nothing was changed", CONFLICT]);
        assert_eq!(writes(&cloud), 0, "{name}");
        assert_eq!(cloud.json(), json!({"K": "fake-value-theirs", "THIRD": "fake-third"}), "{name}");
    }
}

#[test]
fn a_value_that_was_changed_back_since_the_base_is_no_conflict() {
    for name in DETECTING {
        let cloud = edited(name);
        cloud.put(r#"{"K":"fake-value-theirs"}"#);
        cloud.put(r#"{"K":"fake-value-old","THIRD":"fake-third"}"#);
        // Also where there is no time for the whole wait.
        let time = if name == "gcp" { "4" } else { "60" };
        cloud.run("sync").input("timeout_seconds", time).expect(0);
        let wanted = json!({"K": "fake-value-file", "MINE": "fake-mine", "THIRD": "fake-third"});
        assert_eq!(cloud.json(), wanted, "{name}");
    }
}

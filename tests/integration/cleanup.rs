//! The end of a GitHub job: what a step created is removed, and nothing else.

use std::collections::BTreeMap;
use std::fs;

use super::harness::{Room, Run};

const ONE: &str = r#"{"API_KEY":"fake-api-key"}"#;

#[test]
fn a_file_that_the_step_created_is_removed_at_the_end_of_the_job() {
    let room = Room::new();
    fs::create_dir(room.path("deploy")).unwrap();
    for path in [".env", "deploy/app.env"] {
        room.seed("app", ONE);
        let done = room.run().github().input("env_file", path).expect(0);
        assert_eq!(done.state.get("envsync_file").map(String::as_str), Some(path));
        let post = room.run().post(&done.state).input("env_file", path).expect(0);
        post.says(&["cleanup: ", path, "is removed"]);
        assert_eq!(room.read(path), None);
        room.run().post(&done.state).input("env_file", path).expect(0).says(&["is gone already"]);
    }
}

#[test]
fn a_file_that_was_there_before_stays() {
    let room = Room::new();
    room.seed("app", ONE).file(".env", "MINE=fake-own-value\n");
    let done = room.run().github().expect(0);
    assert!(done.state.is_empty(), "{:?}", done.state);
    room.run().post(&done.state).expect(0);
    assert_eq!(room.variables(".env").len(), 2);
}

#[test]
fn of_two_steps_the_one_that_created_the_file_removes_it() {
    let room = Room::new();
    room.seed("app", ONE).seed("more", r#"{"OTHER":"fake-other-value"}"#);
    let first = room.run().github().expect(0);
    let second = room.run().github().input("secret", "more").expect(0);
    // Post steps run in the opposite order.
    room.run().post(&second.state).expect(0);
    assert_eq!(room.variables(".env").len(), 2);
    room.run().post(&first.state).expect(0);
    assert_eq!(room.read(".env"), None);
}

#[test]
fn it_is_left_where_nobody_wants_it_removed_or_nothing_was_created() {
    let rows: [(&str, &str, i32); 4] =
        [("cleanup", "false", 0), ("dry_run", "true", 0), ("mode", "check", 5), ("required_keys", "MISSING", 5)];
    for (input, value, code) in rows {
        let room = Room::new();
        room.seed("app", ONE);
        let done = room.run().github().input(input, value).expect(code);
        // Of several entries of one name the last one counts.
        assert_eq!(done.state.get("envsync_file").map_or("", String::as_str), "", "{input}");
        // Whoever makes the file later keeps it.
        room.file(".env", "LATER=fake-later-value\n");
        room.run().post(&done.state).expect(0);
        assert!(room.read(".env").is_some(), "{input}");
    }
}

#[test]
fn elsewhere_than_on_github_nothing_is_removed() {
    let room = Room::new();
    room.seed("app", ONE);
    for run in [room.run().gitlab(), room.run().plain()] {
        assert!(run.expect(0).state.is_empty());
        fs::remove_file(room.path(".env")).unwrap();
    }
}

#[test]
fn a_path_that_leads_out_of_the_workspace_by_now_is_refused() {
    let room = Room::new();
    fs::write(room.outside("home/.env"), "X=fake-home-value\n").unwrap();
    let state = |path: &str| BTreeMap::from([("envsync_file".to_owned(), path.to_owned())]);
    std::os::unix::fs::symlink(room.outside("home"), room.path("deploy")).unwrap();
    for path in ["deploy/.env", "../home/.env"] {
        room.run().post(&state(path)).expect(2);
        assert!(room.outside("home/.env").exists());
    }
    Run::new().post(&BTreeMap::new()).expect(0);
}

//! The mode `sync` on the local store: what travels, what conflicts, what the base line says. What only the clouds do, and
//! runs beside each other, have rooms of their own.

mod clouds;
mod conflicts;
mod crowds;

use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use serde_json::json;

use super::harness::{Room, Run};

const LINE_1: &str = "# envsync:base local store/app 1\n";
const LINE_2: &str = "# envsync:base local store/app 2\n";
const A_B: &str = r#"{"A":"fake-value-a","B":"fake-value-b"}"#;
const A_B_FILE: &str = "A=fake-value-a\nB=fake-value-b\n";

fn sync(room: &Arc<Room>) -> Run {
    room.run().github().input("mode", "sync")
}

/// A room whose two sides are in step: A and B, base version 1.
fn in_step() -> Arc<Room> {
    let room = Room::new();
    room.seed("app", A_B).file(".env", A_B_FILE);
    sync(&room).expect(0);
    assert_eq!(room.read(".env").unwrap(), format!("{LINE_1}{A_B_FILE}"));
    room
}

fn lines(room: &Room) -> String {
    let text = room.read(".env").unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_first_sync_unites_both_sides_and_a_second_writes_nothing() {
    let room = Room::new();
    room.seed("app", r#"{"A":"fake-value-a","C":"fake-value-c"}"#)
        .file(".env", "# mine\nA=fake-value-a\nB='fake-value-b'\n");
    let done = sync(&room).expect(0);
    done.output("added-keys", r#"["B","C"]"#).output("unchanged-keys", r#"["A"]"#).output("secret-version", "2");
    done.output("has-changes", "true").output("env-file", ".env").says(&["no base yet"]);
    done.says(&["add to the secret: B", "add to the file: C"]);
    assert!(done.summary.contains("| `C` | added to the file |"), "{}", done.summary);
    assert_eq!(room.versions("app")[1], r#"{"A":"fake-value-a","C":"fake-value-c","B":"fake-value-b"}"#);
    let text = room.read(".env").unwrap();
    assert_eq!(text, format!("{LINE_2}# mine\nA=fake-value-a\nB='fake-value-b'\nC=fake-value-c\n"));
    let stamp = || std::fs::metadata(room.path(".env")).map(|m| (m.ino(), m.mtime_nsec())).unwrap();
    let before = stamp();
    sync(&room).expect(0).output("has-changes", "false").output("secret-version", "2");
    assert_eq!((room.versions("app").len(), stamp()), (2, before));
}

#[test]
fn a_missing_side_is_an_empty_one_and_two_missing_sides_are_an_error() {
    let room = Room::new();
    sync(&room).expect(5).says(&[".env", "`app`", "nothing was changed"]);
    room.file(".env", A_B_FILE);
    sync(&room).input("create", "false").expect(5).says(&["create"]);
    assert_eq!(room.read(".env").unwrap(), A_B_FILE);
    sync(&room).expect(0);
    assert_eq!((room.versions("app").len(), room.versions("app")[0].as_str()), (1, A_B));
    assert_eq!(room.read(".env").unwrap(), format!("{LINE_1}{A_B_FILE}"));
    let other = Room::new();
    other.seed("app", A_B);
    sync(&other).expect(0).output("added-keys", r#"["A","B"]"#);
    assert_eq!((other.read(".env").unwrap(), other.versions("app").len()), (format!("{LINE_1}{A_B_FILE}"), 1));
}

#[test]
fn what_one_side_changed_the_other_gets() {
    let room = in_step();
    room.file(".env", format!("{LINE_1}A=fake-from-file\nB=fake-value-b\nNEW=fake-new-file\n"));
    room.seed("app", r#"{"A":"fake-value-a","B":"fake-from-secret","OWN":"fake-own-secret"}"#);
    let done = sync(&room).expect(0);
    done.output("added-keys", r#"["NEW","OWN"]"#).output("updated-keys", r#"["A","B"]"#).output("conflict-keys", "[]");
    let all = json!({"A": "fake-from-file", "B": "fake-from-secret", "OWN": "fake-own-secret", "NEW": "fake-new-file"});
    assert_eq!(room.json("app"), all);
    assert_eq!(json!(room.variables(".env")), all);
    assert!(room.read(".env").unwrap().starts_with("# envsync:base local store/app 3\n"));
    // The same change on both sides is none; the line moves on, or undoing it on one side would be lost later.
    room.seed("app", &room.versions("app")[2].replace("fake-own-secret", "fake-own-later"));
    let text = room.read(".env").unwrap().replace("fake-own-secret", "fake-own-later");
    room.file(".env", text);
    sync(&room).expect(0).output("has-changes", "false").output("secret-version", "4");
    let text = room.read(".env").unwrap();
    assert!(text.starts_with("# envsync:base local store/app 4\n"), "{text}");
    room.file(".env", text.replace("fake-own-later", "fake-own-secret"));
    sync(&room).expect(0);
    assert_eq!(room.json("app"), all);
}

#[test]
fn a_conflict_writes_nothing_and_names_what_happened() {
    let room = in_step();
    let text = format!("{LINE_1}A=fake-from-file\nB=fake-other-b\nC=fake-file-c\nD=fake-new-d\n");
    room.file(".env", &text);
    room.seed("app", r#"{"A":"fake-from-secret","B":"fake-value-b","C":"fake-secret-c"}"#);
    for dry_run in ["true", "false"] {
        let done = sync(&room).input("dry_run", dry_run).expect(6);
        done.output("conflict-keys", r#"["A","C"]"#).output("has-changes", "false").output("has-drift", "false");
        done.output("added-keys", "[]").output("updated-keys", "[]").output("unchanged-keys", r#"["B","D"]"#);
        done.says(&["nothing was changed", "`A` (changed in the file, changed in the secret)", "`prefer`"]);
        done.says(&["`C` (added in the file, added in the secret)"]);
        assert!(done.summary.contains("Neither side was written"), "{}", done.summary);
        assert_eq!((room.read(".env").unwrap(), room.versions("app").len()), (text.clone(), 2));
    }
    let prefer = |side: &str| {
        let room = in_step();
        room.file(".env", &text).seed("app", r#"{"A":"fake-from-secret","B":"fake-value-b","C":"fake-secret-c"}"#);
        let done = sync(&room).input("prefer", side).expect(0);
        done.output("conflict-keys", "[]").says(&["in conflict"]);
        assert_eq!(json!(room.variables(".env")), room.json("app"));
        room.json("app")
    };
    let by_file = json!({"A": "fake-from-file", "B": "fake-other-b", "C": "fake-file-c", "D": "fake-new-d"});
    assert_eq!(prefer("file"), by_file);
    let by_secret = json!({"A": "fake-from-secret", "B": "fake-other-b", "C": "fake-secret-c", "D": "fake-new-d"});
    assert_eq!(prefer("secret"), by_secret);
}

#[test]
fn a_deletion_travels_only_on_request() {
    let deleted_in_file = || {
        let room = in_step();
        room.file(".env", format!("{LINE_1}A=fake-value-a\n"));
        room
    };
    let deleted_in_secret = || {
        let room = in_step();
        room.seed("app", r#"{"A":"fake-value-a"}"#);
        room
    };
    for room in [deleted_in_file(), deleted_in_secret()] {
        let done = sync(&room).expect(0);
        done.output("added-keys", r#"["B"]"#).says(&["because `delete` is off: `B`"]);
        assert_eq!((lines(&room).as_str(), room.json("app")), (A_B_FILE, serde_json::from_str(A_B).unwrap()));
    }
    for room in [deleted_in_file(), deleted_in_secret()] {
        sync(&room).input("delete", "true").expect(0).output("removed-keys", r#"["B"]"#);
        assert_eq!((lines(&room).as_str(), room.json("app")), ("A=fake-value-a\n", json!({"A": "fake-value-a"})));
        sync(&room).input("delete", "true").expect(0).output("has-changes", "false");
    }
    let changed_there = || {
        let room = deleted_in_file();
        room.seed("app", r#"{"A":"fake-value-a","B":"fake-other-b"}"#);
        room
    };
    let room = changed_there();
    let done = sync(&room).input("delete", "true").expect(6);
    done.output("conflict-keys", r#"["B"]"#).says(&["`B` (deleted in the file, changed in the secret)"]);
    sync(&room).expect(0).says(&["because `delete` is off: `B`"]);
    assert_eq!(lines(&room), "A=fake-value-a\nB=fake-other-b\n");
    let room = changed_there();
    sync(&room).input("delete", "true").input("prefer", "file").expect(0).output("removed-keys", r#"["B"]"#);
    assert_eq!(room.json("app"), json!({"A": "fake-value-a"}));
}

#[test]
fn deletion_is_guarded_on_both_sides() {
    let room = in_step();
    room.file(".env", LINE_1);
    let before = (room.read(".env"), room.versions("app"));
    sync(&room).input("delete", "true").expect(6).says(&["holds no variable at all", "nothing was changed"]);
    assert_eq!((room.read(".env"), room.versions("app")), before);
    let room = in_step();
    room.seed("app", "{}");
    sync(&room).input("delete", "true").expect(6).says(&["holds no variable at all"]);
    assert_eq!(lines(&room), A_B_FILE);
    let room = in_step();
    room.seed("app", r#"{"A":"fake-value-a","NEW":"fake-new-value"}"#)
        .file(".env", format!("{LINE_1}B=fake-value-b\n"));
    let many = || sync(&room).input("delete", "true");
    many().input("max_deletes", "1").expect(6).says(&["2 variables", "max_deletes"]);
    assert_eq!((lines(&room).as_str(), room.versions("app").len()), ("B=fake-value-b\n", 2));
    many().input("max_deletes", "2").expect(0).output("removed-keys", r#"["B","A"]"#);
    assert_eq!(json!(room.variables(".env")), json!({"NEW": "fake-new-value"}));
}

#[test]
fn without_its_base_nothing_is_deleted_and_every_difference_is_a_conflict() {
    let rows = [
        ("# envsync:base local store/app 9\n", "cannot be read any more"),
        ("# envsync:base local store/other 1\n", "names another secret"),
        ("# envsync:base local elsewhere/app 1\n", "names another secret"),
        ("# envsync:base aws store/app 1\n", "names another secret"),
        ("# envsync:base local store/app\n", "cannot be read"),
        ("# envsync:base local store/app latest\n", "cannot be read any more"),
        ("# envsync:base local store/app 1 include=[\n", "bounds"),
        ("# envsync:base local store/app 1\n# envsync:base local store/app 1\n", "cannot be read"),
    ];
    for (line, why) in rows {
        let room = Room::new();
        room.seed("app", A_B).file(".env", format!("{line}A=fake-value-a\nC=fake-value-c\n"));
        let done = sync(&room).input("delete", "true").expect(0);
        done.says(&[why, "nothing is deleted"]).output("added-keys", r#"["C","B"]"#);
        assert_eq!(done.annotations_of("warning").len(), 1, "{}", done.text());
        let text = room.read(".env").unwrap();
        assert_eq!(text, format!("{LINE_2}A=fake-value-a\nC=fake-value-c\nB=fake-value-b\n"), "{line}");
        room.file(".env", format!("{line}A=fake-other-a\n"));
        let done = sync(&room).expect(6);
        done.says(&["`A` (different on both sides, without a base)"]).output("conflict-keys", r#"["A"]"#);
    }
}

#[test]
fn the_store_may_be_named_in_another_way() {
    let room = in_step();
    room.file(".env", format!("{LINE_1}A=fake-value-a\n"));
    let absolute = room.path("store");
    for name in ["./store", "store/", absolute.to_str().unwrap()] {
        let done = sync(&room).input("local_store", name).input("delete", "true").input("dry_run", "true").expect(0);
        done.output("removed-keys", r#"["B"]"#);
        assert!(done.annotations_of("warning").is_empty(), "{}", done.text());
    }
}

#[test]
fn a_base_that_was_destroyed_is_said() {
    let room = in_step();
    room.seed("app", r#"{"A":"fake-value-a"}"#);
    std::fs::remove_file(room.path("store/app/1.json")).unwrap();
    let done = sync(&room).input("delete", "true").expect(0);
    done.says(&["version 1", "cannot be read any more"]).output("added-keys", r#"["B"]"#);
    assert_eq!(lines(&room), A_B_FILE);
    let room = in_step();
    room.seed("app", A_B).file(".env", format!("{LINE_1}A=fake-value-a\n"));
    std::fs::write(room.path("store/app/1.json"), "fake no document").unwrap();
    sync(&room).input("delete", "true").expect(0).says(&["version 1", "no document"]);
    assert_eq!(lines(&room), A_B_FILE);
}

#[test]
fn what_is_out_of_bounds_takes_no_part_now_nor_later() {
    let room = Room::new();
    let (secret, file) =
        (r#"{"A":"fake-value-a","X":"fake-secret-x","Y":"fake-secret-y"}"#, "A=fake-value-a\nX=fake-file-x\n");
    room.seed("app", secret).file(".env", file);
    let done = sync(&room).input("exclude", "X,Y").input("delete", "true").expect(0);
    done.output("all-keys", r#"["A"]"#).output("has-changes", "false");
    let line = "# envsync:base local store/app 1 exclude=X,Y\n";
    assert_eq!((room.read(".env").unwrap(), room.versions("app").len()), (format!("{line}{file}"), 1));
    // The line says nothing of X and Y: with wider bounds Y was not deleted here, and X not changed here alone.
    let done = sync(&room).input("delete", "true").expect(6);
    done.output("conflict-keys", r#"["X"]"#).output("removed-keys", "[]");
    let done = sync(&room).input("delete", "true").input("prefer", "secret").expect(0);
    done.output("added-keys", r#"["Y"]"#).output("updated-keys", r#"["X"]"#);
    assert_eq!(room.read(".env").unwrap(), format!("{LINE_1}A=fake-value-a\nX=fake-secret-x\nY=fake-secret-y\n"));
    room.file(".env", format!("{LINE_1}A=fake-new-a\nX=fake-new-x\n"));
    sync(&room).input("include", "A").input("delete", "true").expect(0).output("all-keys", r#"["A"]"#);
    assert_eq!(room.json("app"), json!({"A": "fake-new-a", "X": "fake-secret-x", "Y": "fake-secret-y"}));
}

#[test]
fn a_pull_or_a_push_that_leaves_both_equal_moves_the_line_on() {
    let room = in_step();
    let run = |mode: &str| room.run().plain().input("mode", mode);
    room.seed("app", r#"{"A":"fake-other-a","B":"fake-value-b"}"#);
    run("pull").input("dry_run", "true").expect(0);
    run("pull").expect(0);
    assert_eq!(room.read(".env").unwrap(), format!("{LINE_2}A=fake-other-a\nB=fake-value-b\n"));
    room.file(".env", format!("# mine\r\n{LINE_2}A=fake-third-a\r\nB=fake-value-b\r\n"));
    run("push").expect(0);
    let moved = "# mine\r\n# envsync:base local store/app 3\nA=fake-third-a\r\nB=fake-value-b\r\n";
    assert_eq!(room.read(".env").unwrap(), moved);
    // Not where the sides differ afterwards, nor where the run looked at less than the line stands for.
    room.seed("app", r#"{"A":"fake-third-a","B":"fake-value-b","C":"fake-value-c"}"#);
    run("push").expect(0);
    run("pull").input("include", "A,B").expect(0);
    run("pull").input("secret", "app?version=4").input("exclude", "C").expect(0);
    assert_eq!(room.read(".env").unwrap(), moved);
    run("pull").expect(0);
    assert!(room.read(".env").unwrap().contains("\n# envsync:base local store/app 4\n"));
    // No other mode writes a first one, and a check none at all.
    for mode in ["pull", "push", "check"] {
        room.file("plain.env", "A=fake-third-a\nB=fake-value-b\nC=fake-value-c\n");
        run(mode).input("env_file", "plain.env").expect(0);
        assert!(!room.read("plain.env").unwrap().contains("envsync:base"));
    }
}

#[test]
fn a_push_whose_line_cannot_be_moved_is_a_push_all_the_same() {
    let room = in_step();
    room.file(".env", format!("{LINE_1}A=fake-other-a\nB=fake-value-b\n"));
    let held = std::fs::File::open(room.path(".env")).unwrap();
    held.lock().unwrap();
    let done = room.run().github().input("mode", "push").input("timeout_seconds", "3").expect(0);
    done.output("secret-version", "2").says(&["base line", "time was up"]);
    assert!(room.read(".env").unwrap().starts_with(LINE_1));
}

#[test]
fn a_dry_run_writes_nothing() {
    let room = Room::new();
    room.seed("app", A_B).file(".env", "A=fake-value-a\nC=fake-value-c\n");
    let done = sync(&room).input("dry_run", "true").expect(0);
    done.output("added-keys", r#"["C","B"]"#).output("has-changes", "true").says(&["nothing is written"]);
    assert_eq!(
        (room.read(".env").unwrap().as_str(), room.versions("app").len()),
        ("A=fake-value-a\nC=fake-value-c\n", 1)
    );
}

#[test]
fn a_missing_required_key_or_a_value_that_no_file_carries_writes_nothing() {
    let room = in_step();
    room.file(".env", format!("{LINE_1}A=fake-other-a\nB=fake-value-b\n"));
    sync(&room).input("required_keys", "A,MISSING").expect(5).says(&["MISSING", "nothing was changed"]);
    room.file("example.env", "A=\nB=\n");
    room.seed("app", r#"{"A":"fake-value-a","B":"fake-value-b","BAD":"fake 'one' and \"two\""}"#);
    let done = sync(&room).input("template", "example.env").expect(2);
    done.says(&["BAD", "nothing was changed"]);
    assert_eq!((lines(&room).as_str(), room.versions("app").len()), ("A=fake-other-a\nB=fake-value-b\n", 2));
    sync(&room).input("exclude", "BAD").input("required_keys", "A").expect(0);
    assert_eq!(room.json("app")["A"], "fake-other-a");
}

#[test]
fn what_did_not_change_keeps_its_bytes_on_both_sides() {
    let room = Room::new();
    let payload = "{ \"N\": 1.10, \"LIST\": [1,  2],\n  \"db\": { \"host\" : \"fake-host-one\" }, \"odd-name\": 1 }";
    room.seed("app", payload).file(".env", "\u{feff}# head\r\nexport N = 1.10 # why\r\nLIST='[1, 2]'\r\n\r\n");
    sync(&room).input("exclude", "odd-name").input("dry_run", "true").expect(0);
    let done = sync(&room).expect(0);
    done.says(&["`odd-name`", "stay as they are"]);
    done.output("added-keys", r#"["db_host"]"#).output("unchanged-keys", r#"["N","LIST"]"#);
    assert_eq!(room.versions("app"), [payload]);
    let text = format!(
        "\u{feff}{}\r\n# head\r\nexport N = 1.10 # why\r\nLIST='[1, 2]'\r\n\r\ndb_host=fake-host-one\r\n",
        LINE_1.trim_end()
    );
    assert_eq!(room.read(".env").unwrap(), text);
    room.file(".env", text.replace("fake-host-one", "fake-host-two").replace("1.10 #", "2.50 #"));
    sync(&room).expect(0);
    assert_eq!(room.versions("app")[1], payload.replace("fake-host-one", "fake-host-two").replace("1.10", "2.50"));
}

#[test]
fn a_dotenv_payload_is_synced_too() {
    let room = Room::new();
    room.seed("app", "# head\nA=fake-value-a # why\n").file(".env", "B=fake-value-b\n");
    sync(&room).expect(0);
    assert_eq!(room.versions("app")[1], "# head\nA=fake-value-a # why\nB=fake-value-b\n");
    assert_eq!(room.read(".env").unwrap(), format!("{LINE_2}B=fake-value-b\nA=fake-value-a\n"));
}

#[test]
fn a_broken_file_or_secret_is_an_error_and_nothing_is_written() {
    let room = Room::new();
    room.seed("app", A_B).file(".env", "A=fake-value-a\nfake-broken-line\n");
    sync(&room).expect(2).says(&[".env", "line 2", "nothing was changed"]);
    room.file(".env", A_B_FILE).seed("plain", "fake-plain text");
    sync(&room).input("secret", "plain").expect(2).says(&["plain", "nothing was changed"]);
    assert_eq!(room.read(".env").unwrap(), A_B_FILE);
}

//! The file on disk: what survives an edit, who may read it, where it may lie, and what killed runs leave.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;

use super::harness::{Room, Run};

const APP: &str = r#"{"API_KEY":"fake-api-key","DB_PASSWORD":"fake-db-password"}"#;

fn mode(room: &Room, name: &str) -> u32 {
    fs::metadata(room.path(name)).unwrap().permissions().mode() & 0o7777
}

fn temporary_files(room: &Room) -> usize {
    let names = fs::read_dir(room.path("")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".tmp")).count()
}

#[test]
fn comments_order_and_quotes_of_what_did_not_change_survive() {
    let room = Room::new();
    let before = "# top\n\n  export  MINE = 'fake mine'   # keep\nDB_PASSWORD=\"fake-old\" # trailing\n\n#API_KEY=commented\nAPI_KEY='fake-api-key'\n";
    room.seed("app", APP).file(".env", before);
    room.run().plain().expect(0);
    assert_eq!(room.read(".env").unwrap(), before.replace("fake-old", "fake-db-password"));
}

#[test]
fn crlf_and_byte_order_mark_survive() {
    let room = Room::new();
    room.seed("app", APP).file(".env", "\u{feff}API_KEY=fake-old-key\r\n# c\r\nMINE=fake-mine-value\r\n");
    room.run().plain().expect(0);
    let expected = "\u{feff}API_KEY=fake-api-key\r\n# c\r\nMINE=fake-mine-value\r\nDB_PASSWORD=fake-db-password\r\n";
    assert_eq!(room.read(".env").unwrap(), expected);
}

#[test]
fn a_missing_final_newline_is_added_before_new_lines() {
    let room = Room::new();
    room.seed("app", APP).file(".env", "API_KEY=fake-api-key");
    room.run().plain().expect(0);
    assert_eq!(room.read(".env").unwrap(), "API_KEY=fake-api-key\nDB_PASSWORD=fake-db-password\n");
}

#[test]
fn every_duplicate_of_a_name_is_set_and_a_warning_names_it() {
    let room = Room::new();
    room.seed("app", APP).file(".env", "API_KEY=fake-old-1\nDB_PASSWORD=fake-db-password\nAPI_KEY=fake-old-2\n");
    room.run().plain().expect(0).says(&["API_KEY"]);
    let expected = "API_KEY=fake-api-key\nDB_PASSWORD=fake-db-password\nAPI_KEY=fake-api-key\n";
    assert_eq!(room.read(".env").unwrap(), expected);
}

#[test]
fn removing_a_variable_takes_its_line_and_leaves_the_rest() {
    let room = Room::new();
    room.seed("app", APP);
    room.file(
        ".env",
        "# one\nAPI_KEY=fake-api-key\n# two\nGONE=\"fake two\nlines\"\n# three\nDB_PASSWORD=fake-db-password\n",
    );
    room.run().plain().input("delete", "true").expect(0);
    let expected = "# one\nAPI_KEY=fake-api-key\n# two\n# three\nDB_PASSWORD=fake-db-password\n";
    assert_eq!(room.read(".env").unwrap(), expected);
}

#[test]
fn a_new_file_is_private_whatever_the_umask() {
    let done = Run::new().plain().seed("app", APP).expect(0);
    assert_eq!(mode(&done.room, ".env"), 0o600);
    done.room.file("push.env", "A=fake-value-a\n");
    done.room.run().plain().input("mode", "push").input("secret", "new").input("env_file", "push.env").expect(0);
    assert_eq!((mode(&done.room, "store/new"), mode(&done.room, "store/new/1.json")), (0o700, 0o600));
}

#[test]
fn an_existing_file_keeps_its_mode() {
    for kept in [0o644, 0o640, 0o600] {
        let room = Room::new();
        room.seed("app", APP).file(".env", "API_KEY=fake-old-key\n");
        fs::set_permissions(room.path(".env"), Permissions::from_mode(kept)).unwrap();
        room.run().plain().expect(0);
        assert_eq!(mode(&room, ".env"), kept);
    }
}

#[test]
fn as_root_the_file_belongs_to_the_owner_of_its_directory() {
    let room = Room::new();
    if fs::metadata(room.path("")).unwrap().uid() != 0 {
        eprintln!("skipped: only root can give files away");
        return;
    }
    fs::create_dir(room.path("owned")).unwrap();
    std::os::unix::fs::chown(room.path("owned"), Some(1001), Some(1002)).unwrap();
    room.seed("app", APP);
    let pull = || room.run().plain().input("env_file", "owned/.env");
    let owner = || fs::metadata(room.path("owned/.env")).map(|m| (m.uid(), m.gid())).unwrap();
    pull().expect(0);
    assert_eq!(owner(), (1001, 1002));
    std::os::unix::fs::chown(room.path("owned/.env"), Some(1003), Some(1004)).unwrap();
    room.seed("app", r#"{"API_KEY":"fake-new-key"}"#);
    pull().expect(0);
    assert_eq!(owner(), (1003, 1004), "an existing file keeps its owner");
}

#[test]
fn paths_out_of_the_workspace_are_refused() {
    let room = Room::new();
    room.seed("app", APP);
    fs::create_dir(room.outside("elsewhere")).unwrap();
    symlink(room.outside("elsewhere"), room.path("link")).unwrap();
    symlink(room.outside("elsewhere/.env"), room.path("dangling.env")).unwrap();
    fs::write(room.outside("elsewhere/there.env"), "A=fake-there-value\n").unwrap();
    symlink(room.outside("elsewhere/there.env"), room.path("there.env")).unwrap();
    symlink("loop.env", room.path("loop.env")).unwrap();
    let absolute = room.outside("elsewhere/.env");
    let asked = [
        "../outside.env",
        "a/../../outside.env",
        absolute.to_str().unwrap(),
        "link/.env",
        "dangling.env",
        "there.env",
        "loop.env",
        "~/.env",
        ".",
        "store",
    ];
    for asked in asked {
        for mode in ["pull", "push", "check"] {
            let done = room.run().github().input("mode", mode).input("env_file", asked).expect(2);
            done.says(&["nothing was changed", "help: "]);
        }
    }
    assert_eq!(fs::read_to_string(room.outside("elsewhere/there.env")).unwrap(), "A=fake-there-value\n");
    assert!(!room.outside("outside.env").exists() && !absolute.exists());
    room.run().github().input("template", "../outside.env").expect(2);
    let done = room.run().gitlab().input("outputs_file", "../outside.env").expect(2);
    done.says(&["nothing was changed"]);
    assert!(!room.outside("outside.env").exists() && room.read(".env").is_none());
}

#[test]
fn a_link_that_stays_inside_is_followed_and_kept() {
    let room = Room::new();
    fs::create_dir(room.path("real")).unwrap();
    room.seed("app", APP).file("real/app.env", "MINE=fake-my-own\n");
    symlink("real/app.env", room.path(".env")).unwrap();
    room.run().plain().expect(0);
    assert!(fs::symlink_metadata(room.path(".env")).unwrap().is_symlink());
    assert_eq!(room.variables("real/app.env").len(), 3);
}

#[test]
fn a_missing_directory_is_named_and_not_made() {
    let room = Room::new();
    room.seed("app", APP);
    room.run().plain().input("env_file", "gone/deep/.env").expect(2).says(&["gone"]);
    assert!(!room.path("gone").exists());
}

#[test]
fn a_directory_that_cannot_be_written_is_exit_7() {
    let room = Room::new();
    room.seed("app", APP);
    fs::create_dir(room.path("locked")).unwrap();
    fs::set_permissions(room.path("locked"), Permissions::from_mode(0o555)).unwrap();
    let (mut command, _) = room.run().plain().input("env_file", "locked/.env").command();
    if fs::metadata(room.path("")).unwrap().uid() == 0 {
        // Root is not bound by modes, so somebody else runs it.
        fs::set_permissions(room.outside(""), Permissions::from_mode(0o755)).unwrap();
        command.uid(65534).gid(65534);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains("locked") && said.contains("nothing was changed") && said.contains("help: "), "{said}");
    assert!(!said.contains("fake-api-key"));
    fs::set_permissions(room.path("locked"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read_dir(room.path("locked")).unwrap().count(), 0);
}

#[test]
fn a_full_disk_is_exit_7_and_leaves_nothing() {
    // The only disk that is always full and always there takes no files, so a limit on the file size stands in for it.
    let room = Room::new();
    let payload = format!(r#"{{"BIG":"{}"}}"#, "fake-big".repeat(8_000));
    room.seed("app", &payload).file(".env", "MINE=fake-my-own\n");
    let (command, _) = room.run().plain().command();
    // dash and bash count in blocks of 512 bytes here or in KiB; 16 is far below 64,000 bytes in both.
    let script = "trap '' XFSZ; ulimit -f 16; exec \"$0\"";
    let mut limited = std::process::Command::new("sh");
    limited.args(["-c", script]).arg(command.get_program()).env_clear().current_dir(room.path(""));
    limited.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = limited.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert!(said.contains(".env") && said.contains("nothing was changed"), "{said}");
    assert_eq!(room.read(".env").unwrap(), "MINE=fake-my-own\n");
    assert_eq!(temporary_files(&room), 0);
}

#[test]
fn what_a_killed_run_left_is_removed_and_what_a_living_one_holds_is_not() {
    let room = Room::new();
    room.seed("app", APP);
    let dead = room.path("..env.envsync-dead00DEAD.tmp");
    let living = room.path("..env.envsync-live00LIVE.tmp");
    let foreign = [room.path(".other.envsync-dead00DEAD.tmp"), room.path("..env.envsync-mine.bak")];
    for path in foreign.iter().chain([&dead, &living]) {
        fs::write(path, "API_KEY=fake-torn").unwrap();
    }
    let held = File::open(&living).unwrap();
    held.lock().unwrap();
    room.run().plain().expect(0);
    assert!(!dead.exists(), "a killed run's file is removed");
    assert!(living.exists(), "a living run's file is not disturbed");
    assert!(foreign.iter().all(|path| path.exists()), "what is not ours stays");
    drop(held);
    room.seed("app", r#"{"API_KEY":"fake-next-key"}"#);
    room.run().plain().expect(0);
    assert!(!living.exists(), "when its run is gone, it goes too");
}

#[test]
fn a_killed_pull_leaves_the_old_file_or_the_new_one() {
    let room = Room::new();
    let text = |generation: u32| (0..2000).map(|n| format!("KEY_{n}=fake-{generation}-{n}\n")).collect::<String>();
    let (old, new) = (text(1), text(2));
    let members: serde_json::Map<_, _> =
        (0..2000).map(|n| (format!("KEY_{n}"), format!("fake-2-{n}").into())).collect();
    room.seed("app", &serde_json::Value::from(members).to_string());
    let (mut seen_old, mut seen_new) = (0, 0);
    for instant in 0..30_u64 {
        fs::write(room.path(".env"), &old).unwrap();
        let (mut command, _) = room.run().plain().command();
        command.stderr(std::process::Stdio::null());
        let mut child = command.spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_micros(instant * instant * 150));
        child.kill().unwrap();
        child.wait().unwrap();
        let now = room.read(".env").unwrap();
        assert!(now == old || now == new, "the file is torn after {instant}");
        if now == old { seen_old += 1 } else { seen_new += 1 }
    }
    fs::write(room.path(".env"), &old).unwrap();
    room.run().plain().expect(0);
    assert_eq!(room.read(".env").unwrap(), new);
    assert_eq!(temporary_files(&room), 0, "a later run removes what killed ones left");
    println!("killed before the rename: {seen_old}, after: {seen_new}");
}

/// A run that cannot get on: somebody holds the lock that runs of this program take on the file, and does not let go.
fn blocked(room: &std::sync::Arc<Room>) -> (File, Run) {
    room.seed("app", APP).file(".env", "MINE=fake-my-own\n");
    let held = File::open(room.path(".env")).unwrap();
    held.lock().unwrap();
    (held, room.run().plain())
}

#[test]
fn a_signal_ends_a_run_and_leaves_nothing() {
    use rustix::process::{Pid, Signal, kill_process};
    for (signal, code) in [(Signal::TERM, 143), (Signal::INT, 130)] {
        let room = Room::new();
        let (_held, run) = blocked(&room);
        let mut child = run.command().0.stderr(std::process::Stdio::piped()).spawn().unwrap();
        // Its file put aside shows that it has come as far as it can.
        while temporary_files(&room) == 0 {
            assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        kill_process(Pid::from_child(&child), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains("nothing was changed") && !said.contains("fake-"), "{said}");
        assert_eq!((room.read(".env").unwrap().as_str(), temporary_files(&room)), ("MINE=fake-my-own\n", 0));
    }
}

#[test]
fn the_time_bounds_a_run_that_cannot_get_on() {
    let room = Room::new();
    let (_held, run) = blocked(&room);
    run.input("timeout_seconds", "1").expect(6).says(&["nothing was changed", ".env"]);
    assert_eq!(room.read(".env").unwrap(), "MINE=fake-my-own\n");
}

#[test]
fn the_outputs_file_is_none_of_the_others() {
    let room = Room::new();
    room.seed("app", r#"{"API_KEY":"fake-api-key"}"#)
        .file(".env", "API_KEY=fake-api-old\n")
        .file("t.env", "API_KEY=\n");
    for (mode, outputs) in [("pull", ".env"), ("push", "./.env"), ("check", ".env"), ("pull", "t.env")] {
        let run = room.run().plain().input("mode", mode).input("template", "t.env").input("outputs_file", outputs);
        run.expect(2).says(&["same file"]);
    }
    assert_eq!(room.read(".env").as_deref(), Some("API_KEY=fake-api-old\n"));
    assert_eq!(room.versions("app").len(), 1);
}

#[test]
fn many_odd_lines_are_one_warning() {
    let room = Room::new();
    let odd: String = (0..300).map(|n| format!("export KEY_{n}='fake \\\\ value {n}'\n")).collect();
    room.seed("app", r#"{"API_KEY":"fake-api-key"}"#).file(".env", &odd);
    let done = room.run().github().expect(0);
    assert!(done.annotations.len() <= 2, "{} annotations", done.annotations.len());
}

//! The room as its callers see it: on real directories, with the guard, races, locks, owners and a full disk.

#![allow(clippy::disallowed_methods, reason = "the tests look at the disk past the room that they test")]

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{CWD, mkfifoat};
use tempfile::TempDir;

use super::*;

/// A workspace and a place outside of it.
struct Bench {
    dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["ws", "outside", "temp"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    fn ws(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("ws")
    }

    fn outside(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("outside")
    }

    fn try_target(&self, asked: &str) -> Result<Target, Failure> {
        target(&self.ws(), &[self.dir.path().join("temp"), self.dir.path().join("no-such-root")], asked)
    }

    fn target(&self, asked: &str) -> Target {
        self.try_target(asked).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.ws()).unwrap();
        let mut names: Vec<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn done() -> Written {
    Written::Done { note: None }
}

fn content(target: &Target) -> Vec<u8> {
    read(target).unwrap().unwrap().bytes().to_vec()
}

#[test]
fn the_guard_lets_through_what_stays_inside() {
    let bench = Bench::new();
    let ws = bench.ws();
    fs::create_dir_all(ws.join("app/conf")).unwrap();
    fs::write(ws.join("app/conf/real.env"), "A=1\n").unwrap();
    symlink("conf", ws.join("app/current")).unwrap();
    symlink("app/current/real.env", ws.join("link.env")).unwrap();
    symlink(ws.join("link.env"), ws.join("absolute-link.env")).unwrap();
    symlink("app/new.env", ws.join("dangling.env")).unwrap();
    let absolute = ws.join("app/.env").to_str().unwrap().to_owned();
    let in_temp = bench.dir.path().canonicalize().unwrap().join("temp/.env").to_str().unwrap().to_owned();
    let rows = [
        // asked, relative form, the file itself
        (".env", ".env", ".env"),
        ("./app//.env", "app/.env", "app/.env"),
        ("app/../.env", ".env", ".env"),
        ("../ws/.env", ".env", ".env"),
        ("./~x", "~x", "~x"),
        (absolute.as_str(), "app/.env", "app/.env"),
        ("app/current/real.env", "app/conf/real.env", "app/conf/real.env"),
        ("link.env", "link.env", "app/conf/real.env"),
        ("absolute-link.env", "absolute-link.env", "app/conf/real.env"),
        ("dangling.env", "dangling.env", "app/new.env"),
        (in_temp.as_str(), in_temp.as_str(), in_temp.as_str()),
    ];
    for (asked, relative, real) in rows {
        let target = bench.target(asked);
        assert_eq!((target.relative(), target.path()), (relative, ws.join(real).as_path()), "{asked}");
        assert_eq!(target.exists(), real.ends_with("real.env"), "{asked}");
    }
}

#[test]
fn the_guard_refuses_what_leads_out_or_is_no_file() {
    let bench = Bench::new();
    let (ws, outside) = (bench.ws(), bench.outside());
    fs::write(outside.join("theirs"), "X=1\n").unwrap();
    fs::create_dir(ws.join("dir")).unwrap();
    fs::write(ws.join("file"), "").unwrap();
    symlink("../outside/theirs", ws.join("out.env")).unwrap();
    symlink(outside.join("not-yet"), ws.join("out-dangling.env")).unwrap();
    symlink("out.env", ws.join("out-twice.env")).unwrap();
    symlink(&outside, ws.join("out-dir")).unwrap();
    symlink("b.env", ws.join("a.env")).unwrap();
    symlink("a.env", ws.join("b.env")).unwrap();
    symlink("loop", ws.join("loop")).unwrap();
    symlink("gone/x\n::set-env", ws.join("evil.env")).unwrap();
    symlink("dir", ws.join("to-dir")).unwrap();
    mkfifoat(CWD, ws.join("pipe"), Mode::from_raw_mode(0o600)).unwrap();
    let _socket = UnixListener::bind(ws.join("socket")).unwrap();
    let rows = [
        ("../outside/theirs", "outside the workspace"),
        ("../.env", "outside the workspace"),
        ("/etc/passwd", "`/etc/passwd` is outside the workspace"),
        ("/dev/null", "outside the workspace"),
        ("out.env", "outside the workspace"),
        ("out-dangling.env", "outside the workspace"),
        ("out-twice.env", "outside the workspace"),
        ("out-dir/new.env", "outside the workspace"),
        ("out-dir", "outside the workspace"),
        ("a.env", "too many symbolic links"),
        ("loop/.env", "in a circle"),
        ("evil.env", "that does not exist"),
        ("gone/.env", "that does not exist"),
        ("file/.env", "that is no directory"),
        ("dir", "is a directory"),
        ("to-dir", "is a directory"),
        ("dir/", "names no file"),
        ("..", "names no file"),
        ("", "names no file"),
        ("~/.env", "only a shell expands"),
        ("~root/.env", "only a shell expands"),
        ("a\0b", "zero byte"),
        ("pipe", "is a named pipe"),
        ("socket", "is a socket"),
    ];
    for (asked, expected) in rows {
        let failure = bench.try_target(asked).map(|t| t.path().to_owned()).unwrap_err();
        assert_eq!(failure.kind, Kind::Input, "{asked}: {failure}");
        assert!(failure.to_string().contains(expected), "{asked}: {failure}");
        assert!(!failure.to_string().contains('\n'), "{asked}: {failure}");
        assert!(failure.problems[0].help.is_some(), "{asked}");
    }
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn a_link_or_directory_swapped_in_after_the_guard_is_not_followed() {
    let bench = Bench::new();
    let (ws, outside) = (bench.ws(), bench.outside());
    fs::write(outside.join(".env"), "THEIRS=1\n").unwrap();
    fs::create_dir(ws.join("app")).unwrap();
    let in_app = bench.target("app/.env");
    fs::rename(ws.join("app"), ws.join("moved")).unwrap();
    symlink(&outside, ws.join("app")).unwrap();
    assert_eq!(replace(&in_app, None, b"A=1\n"), Ok(done()));
    assert_eq!(fs::read(ws.join("moved/.env")).unwrap(), b"A=1\n");

    let plain = bench.target("plain.env");
    symlink(outside.join(".env"), ws.join("plain.env")).unwrap();
    assert_eq!(read(&plain).unwrap_err().kind, Kind::Unavailable);
    assert_eq!(replace(&plain, None, b"A=1\n"), Ok(Written::ChangedMeanwhile));
    assert_eq!(fs::read(outside.join(".env")).unwrap(), b"THEIRS=1\n");
}

#[test]
fn a_new_file_is_private_and_an_existing_one_keeps_its_mode() {
    let bench = Bench::new();
    let target = bench.target(".env");
    assert!(read(&target).unwrap().is_none());
    assert_eq!(replace(&target, None, b"A=1\n"), Ok(done()));
    assert_eq!(fs::metadata(target.path()).unwrap().mode() & 0o7777, 0o600);
    fs::set_permissions(target.path(), fs::Permissions::from_mode(0o644)).unwrap();
    let before = read(&target).unwrap();
    assert_eq!(replace(&target, before.as_ref(), b"A=2\n"), Ok(done()));
    assert_eq!(content(&target), b"A=2\n");
    assert_eq!(fs::metadata(target.path()).unwrap().mode() & 0o7777, 0o644);
    assert_eq!(bench.names(), [".env"]);
}

#[test]
fn a_link_stays_and_its_target_is_replaced() {
    let bench = Bench::new();
    fs::create_dir(bench.ws().join("shared")).unwrap();
    symlink("shared/real.env", bench.ws().join(".env")).unwrap();
    let target = bench.target(".env");
    assert_eq!(replace(&target, None, b"A=1\n"), Ok(done()));
    assert!(fs::symlink_metadata(bench.ws().join(".env")).unwrap().is_symlink());
    assert_eq!(fs::read(bench.ws().join("shared/real.env")).unwrap(), b"A=1\n");
    assert_eq!(bench.names(), [".env", "shared"]);
}

#[test]
fn what_others_do_meanwhile_is_seen_and_stays() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 6] = [
        ("written in place, same size", |path| fs::write(path, "A=9\n").unwrap()),
        ("grown", |path| fs::write(path, "A=1\nB=2\n").unwrap()),
        ("emptied", |path| fs::write(path, "").unwrap()),
        ("removed", |path| fs::remove_file(path).unwrap()),
        ("another file", |path| {
            fs::write(path.with_extension("new"), "A=7\n").unwrap();
            fs::rename(path.with_extension("new"), path).unwrap();
        }),
        ("a directory", |path| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
    ];
    for (what, change) in changes {
        let bench = Bench::new();
        fs::write(bench.ws().join(".env"), "A=1\n").unwrap();
        let target = bench.target(".env");
        let before = read(&target).unwrap();
        change(target.path());
        let (theirs, names) = (fs::read(target.path()).ok(), bench.names());
        match replace(&target, before.as_ref(), b"OURS=1\n") {
            Ok(written) => assert_eq!(written, Written::ChangedMeanwhile, "{what}"),
            Err(failure) => assert_eq!((failure.kind, what), (Kind::Input, "a directory")),
        }
        assert_eq!((fs::read(target.path()).ok(), bench.names()), (theirs, names), "{what}");
    }
    let bench = Bench::new();
    let target = bench.target(".env");
    fs::write(target.path(), "THEIRS=1\n").unwrap();
    assert_eq!(replace(&target, None, b"OURS=1\n"), Ok(Written::ChangedMeanwhile));
    assert_eq!(content(&target), b"THEIRS=1\n");
}

#[test]
fn the_same_bytes_in_another_file_are_no_change() {
    let bench = Bench::new();
    let target = bench.target(".env");
    fs::write(target.path(), "A=1\n").unwrap();
    let before = read(&target).unwrap();
    fs::write(bench.ws().join("copy"), "A=1\n").unwrap();
    fs::rename(bench.ws().join("copy"), target.path()).unwrap();
    fs::set_permissions(target.path(), fs::Permissions::from_mode(0o640)).unwrap();
    assert_eq!(replace(&target, before.as_ref(), b"A=2\n"), Ok(done()));
    assert_eq!(fs::metadata(target.path()).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn a_file_that_somebody_locks_is_busy_and_free_afterwards() {
    let bench = Bench::new();
    let target = bench.target(".env");
    fs::write(target.path(), "A=1\n").unwrap();
    let before = read(&target).unwrap();
    let theirs = File::open(target.path()).unwrap();
    theirs.lock().unwrap();
    assert_eq!(replace(&target, before.as_ref(), b"A=2\n"), Ok(Written::Busy));
    assert_eq!((content(&target).as_slice(), bench.names().len()), (b"A=1\n".as_slice(), 1));
    drop(theirs);
    assert_eq!(replace(&target, before.as_ref(), b"A=2\n"), Ok(done()));
}

#[test]
fn what_happens_between_the_lock_and_the_look_is_seen() {
    let bench = Bench::new();
    let target = bench.target(".env");
    fs::write(target.path(), "A=1\n").unwrap();
    let (before, seen) = (read(&target).unwrap().unwrap(), target.stat().unwrap().unwrap());
    let current = open_regular(&target).unwrap().unwrap();
    let still = || is_still(&target, &current, &seen, &before);
    assert_eq!(still(), Ok(true));
    fs::set_permissions(target.path(), fs::Permissions::from_mode(0o400)).unwrap();
    assert_eq!(still(), Ok(false), "another mode");
    fs::set_permissions(target.path(), fs::Permissions::from_mode(seen.st_mode)).unwrap();
    assert_eq!(still(), Ok(true));
    fs::rename(target.path(), bench.ws().join("old")).unwrap();
    assert_eq!(still(), Ok(false), "gone");
    // The writer that held the lock before us: the inode that we lock is no longer the file.
    fs::write(target.path(), "A=1\n").unwrap();
    fs::set_permissions(target.path(), fs::Permissions::from_mode(seen.st_mode)).unwrap();
    assert_eq!(still(), Ok(false), "another file of that name");
}

#[test]
fn racing_writers_lose_nothing() {
    const LINES: usize = 50;
    let bench = Bench::new();
    let writer = |name: char| {
        let target = bench.target(".env");
        for n in 0..LINES {
            loop {
                sweep(&target);
                let before = read(&target).unwrap();
                let mut bytes = before.as_ref().map(|b| b.bytes().to_vec()).unwrap_or_default();
                bytes.extend_from_slice(format!("{name}{n}=1\n").as_bytes());
                match replace(&target, before.as_ref(), &bytes).unwrap() {
                    Written::Done { .. } => break,
                    Written::ChangedMeanwhile | Written::Busy => std::thread::yield_now(),
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for name in ['A', 'B', 'C'] {
            scope.spawn(move || writer(name));
        }
    });
    let text = String::from_utf8(content(&bench.target(".env"))).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3 * LINES);
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), 3 * LINES);
    assert_eq!(bench.names(), [".env"]);
}

#[test]
fn sweeping_takes_the_dead_and_leaves_the_living_and_the_foreign() {
    let bench = Bench::new();
    let (target, ws) = (bench.target(".env"), bench.ws());
    let dead = "..env.envsync-0123456789.tmp";
    let living = "..env.envsync-abcdefghij.tmp";
    let mut foreign = vec![
        "..env.envsync-short.tmp",
        "..env.envsync-01234-6789.tmp",
        "..env.envsync-0123456789.tmp.bak",
        "..env.local.envsync-0123456789.tmp",
        ".env.envsync-0123456789.tmp",
        ".env",
    ];
    for name in foreign.iter().chain([&dead, &living]) {
        fs::write(ws.join(name), "A=1\n").unwrap();
    }
    let link = "..env.envsync-linklinkli.tmp";
    symlink(ws.join(".env"), ws.join(link)).unwrap();
    let lock = File::open(ws.join(living)).unwrap();
    lock.lock().unwrap();
    sweep(&target);
    foreign.extend([living, link]);
    foreign.sort_unstable();
    assert_eq!(bench.names(), foreign);
    drop(lock);
    sweep(&target);
    assert!(!ws.join(living).exists());
}

#[test]
fn a_file_being_written_aside_is_private_locked_and_gone_with_its_writer() {
    let bench = Bench::new();
    let directory = Directory::open(&bench.ws()).unwrap();
    let aside = Aside::create(&directory, "1.json".as_ref()).unwrap();
    aside.write_synced(b"{}").unwrap();
    sweep_dir(&directory, "1.json".as_ref());
    let names = bench.names();
    assert!(matches!(names.as_slice(), [name] if name.starts_with(".1.json.envsync-") && name.ends_with(".tmp")));
    assert_eq!(fs::metadata(bench.ws().join(&names[0])).unwrap().mode() & 0o7777, 0o600);
    drop(aside);
    assert!(bench.names().is_empty());
}

#[test]
fn a_link_is_made_once() {
    let bench = Bench::new();
    let directory = Directory::open(&bench.ws()).unwrap();
    let place = |bytes: &[u8]| {
        let aside = Aside::create(&directory, "1.json".as_ref()).unwrap();
        aside.write_synced(bytes).unwrap();
        aside.link_to("1.json".as_ref())
    };
    assert_eq!(place(b"first"), Ok(true));
    assert_eq!(place(b"second"), Ok(false));
    assert_eq!(fs::read(bench.ws().join("1.json")).unwrap(), b"first");
    assert_eq!(bench.names(), ["1.json"]);
}

#[test]
fn new_directories_are_private() {
    let bench = Bench::new();
    let path = bench.ws().join("store/prod/app");
    for _ in 0..2 {
        assert_eq!(make_dir(&path), Ok(None));
    }
    for path in [path.as_path(), path.parent().unwrap()] {
        assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, 0o700);
    }
    fs::write(bench.ws().join("file"), "").unwrap();
    for bad in ["file", "file/below"] {
        assert_eq!(make_dir(&bench.ws().join(bad)).unwrap_err().kind, Kind::Unavailable, "{bad}");
    }
}

#[test]
fn run_as_root_the_owner_is_the_directorys_and_an_existing_files_stays() {
    if !is_root() {
        return;
    }
    let bench = Bench::new();
    chown(bench.ws(), Some(1001), Some(1002)).unwrap();
    let owner = |path: &Path| {
        let metadata = fs::metadata(path).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o777)
    };
    let target = bench.target(".env");
    assert_eq!(replace(&target, None, b"A=1\n"), Ok(done()));
    assert_eq!(owner(target.path()), (1001, 1002, 0o600));
    chown(target.path(), Some(1003), Some(1004)).unwrap();
    fs::set_permissions(target.path(), fs::Permissions::from_mode(0o640)).unwrap();
    let before = read(&target).unwrap();
    assert_eq!(replace(&target, before.as_ref(), b"A=2\n"), Ok(done()));
    assert_eq!(owner(target.path()), (1003, 1004, 0o640));
    let store = bench.ws().join("store/app");
    assert_eq!(make_dir(&store), Ok(None));
    assert_eq!((owner(&store), owner(store.parent().unwrap())), ((1001, 1002, 0o700), (1001, 1002, 0o700)));
}

#[test]
fn a_read_only_directory_is_named_with_a_fix() {
    if is_root() {
        // Root may write anywhere; the full disk below shows the same way out.
        return;
    }
    let bench = Bench::new();
    let target = bench.target(".env");
    fs::set_permissions(bench.ws(), fs::Permissions::from_mode(0o555)).unwrap();
    let failure = replace(&target, None, b"A=1\n").unwrap_err();
    fs::set_permissions(bench.ws(), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(failure.kind, Kind::Unavailable);
    assert!(failure.to_string().ends_with("ws/.env`: permission denied"), "{failure}");
}

/// A small file system of its own, unmounted with this value; `None` where the process may not mount.
struct Tiny<'a>(&'a Path);

impl<'a> Tiny<'a> {
    fn mount(path: &'a Path) -> Option<Self> {
        let run = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(path).output();
        run.is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Tiny<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[test]
fn a_full_or_read_only_disk_leaves_the_old_file_and_no_other() {
    let bench = Bench::new();
    let ws = bench.ws();
    let Some(tiny) = Tiny::mount(&ws) else {
        eprintln!("skipped: this process may not mount a small file system");
        return;
    };
    let target = bench.target(".env");
    assert_eq!(replace(&target, None, b"A=1\n"), Ok(done()));
    let before = read(&target).unwrap();
    let failure = replace(&target, before.as_ref(), &vec![b'x'; 256 * 1024]).unwrap_err();
    assert_eq!(failure.kind, Kind::Unavailable);
    assert!(failure.to_string().ends_with("ws/.env`: the disk is full"), "{failure}");
    assert_eq!((content(&target).as_slice(), bench.names()), (b"A=1\n".as_slice(), vec![".env".to_owned()]));

    fs::write(ws.join("output"), "a=1\n").unwrap();
    let failure = append(&ws.join("output"), &vec![b'x'; 256 * 1024]).unwrap_err();
    assert!(failure.to_string().ends_with("ws/output`: the disk is full"), "{failure}");
    assert_eq!(fs::read(ws.join("output")).unwrap(), b"a=1\n");

    let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&ws).status();
    assert!(remount.is_ok_and(|status| status.success()));
    let failure = replace(&target, before.as_ref(), b"A=2\n").unwrap_err();
    assert!(failure.to_string().ends_with("ws/.env`: the file system is read-only"), "{failure}");
    assert_eq!(content(&target), b"A=1\n");
    drop(tiny);
}

#[test]
fn appending_keeps_what_is_there_and_creates_nothing() {
    let bench = Bench::new();
    let path = bench.ws().join("output");
    let failure = append(&path, b"a=1\n").unwrap_err();
    assert_eq!((failure.kind, path.exists()), (Kind::Unavailable, false));
    fs::write(&path, "a=1\n").unwrap();
    append(&path, b"b=2\n").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"a=1\nb=2\n");
    let full = append(Path::new("/dev/full"), b"a=1\n").unwrap_err();
    assert_eq!(full.to_string(), "cannot append to `/dev/full`: the disk is full");
}

#[test]
fn reading_is_bounded_and_wants_a_file() {
    let bench = Bench::new();
    let target = bench.target("big");
    File::create(target.path()).unwrap().set_len(MAX_BYTES + 1).unwrap();
    for failure in [read(&target).unwrap_err(), read_any(target.path()).unwrap_err()] {
        assert_eq!(failure.kind, Kind::Input);
        assert!(failure.to_string().ends_with("ws/big` is larger than 64 MiB"), "{failure}");
    }
    mkfifoat(CWD, bench.ws().join("pipe"), Mode::from_raw_mode(0o600)).unwrap();
    let rows = [("pipe", Kind::Input), (".", Kind::Input), ("gone", Kind::NotFound), ("big/x", Kind::Unavailable)];
    for (name, kind) in rows {
        assert_eq!(read_any(&bench.ws().join(name)).unwrap_err().kind, kind, "{name}");
    }
    fs::write(bench.outside().join("ca.pem"), "fake\n").unwrap();
    symlink(bench.outside().join("ca.pem"), bench.ws().join("ca.pem")).unwrap();
    let snapshot = read_any(&bench.ws().join("ca.pem")).unwrap();
    assert_eq!((snapshot.bytes(), format!("{snapshot:?}").as_str()), (b"fake\n".as_slice(), "Snapshot(***)"));
}

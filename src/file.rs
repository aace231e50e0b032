//! The `.env` file on disk, and what else the program reads and writes there: a guarded path, a bounded read, an atomic
//! write that keeps owner and mode and sees when somebody else was faster.
//!
//! Only this room and the `local` store touch the disk; the store takes [`Aside`] and [`make_dir`] from here.

#![allow(clippy::disallowed_methods, reason = "this is the room that touches the disk")]

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, Stat, openat};
use rustix::io::Errno;
use secrecy::zeroize::Zeroizing;

use crate::error::{Failure, Kind};

mod aside;
mod guard;
#[cfg(test)]
mod tests;

pub use aside::{Aside, Directory, abandon, make_dir, sweep_dir};
pub use guard::{Target, target};

/// The largest file that is read, in bytes: far above any real `.env`, far below what a pipeline's machine holds.
pub const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// What a file held when it was read; wiped when dropped, and never shown.
pub struct Snapshot {
    bytes: Zeroizing<Vec<u8>>,
}

impl Snapshot {
    /// The whole content, at most [`MAX_BYTES`].
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Snapshot(***)")
    }
}

/// How a [`replace`] ended.
#[must_use = "two of the three mean that nothing was written"]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// The file holds the new content, on the disk.
    Done {
        /// A warning: what of the owner or the mode could not be kept.
        note: Option<String>,
    },
    /// Nothing was written: the file is no longer what the caller read. Read it and plan again.
    ChangedMeanwhile,
    /// Nothing was written: somebody holds a lock on the file, another run for microseconds. Wait a little, read it and
    /// plan again; a lock that stays is somebody's who wants the file alone.
    Busy,
}

/// Reads the file; `None` where there is none.
///
/// # Errors
/// `Input` for a file above [`MAX_BYTES`] or one that is no regular file; `Unavailable` where it cannot be read.
pub fn read(target: &Target) -> Result<Option<Snapshot>, Failure> {
    let Some(file) = open_regular(target)? else { return Ok(None) };
    Ok(Some(Snapshot { bytes: slurp(&file, target.path())? }))
}

/// Reads any other file that an input names (`ca_file`): no guard, links are followed, the same limit.
///
/// # Errors
/// `NotFound` where there is none; else as [`read`].
pub fn read_any(path: &Path) -> Result<Snapshot, Failure> {
    // Without O_NONBLOCK opening a named pipe would wait for its writer, beyond every deadline.
    let file = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path).map_err(
        |error| match error.kind() {
            io::ErrorKind::NotFound => Failure::new(Kind::NotFound, format!("there is no file `{}`", shown(path)))
                .help("correct the path, or create the file before this step"),
            _ => fail("read", path, error),
        },
    )?;
    must_be_regular(file.metadata().map_err(|e| fail("read", path, e))?.mode(), path)?;
    Ok(Snapshot { bytes: slurp(&file, path)? })
}

/// Puts `bytes` in the file's place as one step, if it still holds what `before` says (`None`: does not exist).
///
/// The content is written aside, with fsync and read back, before anything happens to the file; killed at any moment the
/// file is the old one or the new one. An existing file keeps its mode and, as far as the process may, its owner; a new
/// one is 0600 and, where the process is root, belongs to the owner of its directory.
///
/// # Errors
/// `Unavailable` where the disk refuses (full, read-only, no permission); the file is then as it was, unless the text says
/// that only the directory could not be synced.
pub fn replace(target: &Target, before: Option<&Snapshot>, bytes: &[u8]) -> Result<Written, Failure> {
    let seen = target.stat()?;
    if seen.is_some() != before.is_some() {
        return Ok(Written::ChangedMeanwhile);
    }
    let aside = Aside::create_like(target.directory(), target.name(), seen.as_ref())?;
    aside.write_synced(bytes)?;
    let note = aside.note().map(str::to_owned);
    let (Some(seen), Some(before)) = (seen, before) else {
        let placed = aside.place_new(target.name())?;
        return Ok(if placed { Written::Done { note } } else { Written::ChangedMeanwhile });
    };
    let Some(current) = open_regular(target)? else { return Ok(Written::ChangedMeanwhile) };
    // Runs of this program go one by one from here: each locks the inode that the name stands for and then looks whether
    // it still does. The lock leaves nothing behind. A file system without locks (some NFS) goes without.
    if matches!(current.try_lock(), Err(TryLockError::WouldBlock)) {
        return Ok(Written::Busy);
    }
    if !is_still(target, &current, &seen, before)? {
        return Ok(Written::ChangedMeanwhile);
    }
    // A program that ignores locks can still write between the look above and this rename; POSIX has no rename that
    // compares, so these microseconds stay open.
    aside.rename_to(target.name())?;
    Ok(Written::Done { note })
}

/// Whether the file could be replaced, as far as can be told without doing it.
///
/// # Errors
/// As [`replace`].
pub fn check_writable(target: &Target) -> Result<(), Failure> {
    Aside::create_like(target.directory(), target.name(), target.stat()?.as_ref()).map(drop)
}

/// Removes the file, which need not be there.
///
/// # Errors
/// `Unavailable` where the directory does not let it go.
pub fn remove(target: &Target) -> Result<bool, Failure> {
    match rustix::fs::unlinkat(target.directory().fd(), target.name(), rustix::fs::AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::NOENT) => Ok(false),
        Err(error) => Err(fail("remove", target.path(), error)),
    }
}

/// Whether a path leads to this file, however it is written, also where there is none yet.
#[must_use]
pub fn is_same(path: &Path, target: &Target) -> bool {
    let named = || Some(path.parent()?.canonicalize().ok()?.join(path.file_name()?));
    path.canonicalize().ok().or_else(named).is_some_and(|path| path == target.path())
}

/// Whether the file lies in a directory, however both are written. A directory that does not exist holds nothing.
#[must_use]
pub fn is_within(directory: &Path, target: &Target) -> bool {
    directory.canonicalize().is_ok_and(|directory| target.path().starts_with(directory))
}

/// Removes what killed runs left beside the file, and nothing that a living run still writes. Failing is no error: the
/// next run tries again.
pub fn sweep(target: &Target) {
    sweep_dir(target.directory(), target.name());
}

/// Appends to a file of the runner (`GITHUB_OUTPUT` and its kin), which must exist. All of it or, where the disk lets us
/// take back what was written, nothing: half an entry would break the ones before it.
///
/// # Errors
/// `Unavailable`, naming the path.
pub fn append(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let refused = |error| fail("append to", path, error);
    let mut file = OpenOptions::new().append(true).open(path).map_err(refused)?;
    let length = file.metadata().map_err(refused)?.len();
    file.write_all(bytes).map_err(|error| {
        // Not a regular file, or a disk that refuses this too: the error below is the one that counts.
        let _ = file.set_len(length);
        refused(error)
    })
}

/// The text of a failure of the disk: what was tried, on which path, why, and what to do.
#[must_use]
pub fn fail(doing: &str, path: &Path, error: impl Into<io::Error>) -> Failure {
    let error = error.into();
    let user = rustix::process::geteuid().as_raw();
    let text;
    let (why, help) = match Errno::from_io_error(&error) {
        Some(Errno::NOSPC) => ("the disk is full", "free some space on the disk that holds it".to_owned()),
        Some(Errno::DQUOT) => {
            ("the disk quota is used up", format!("free some space, or raise the quota of user {user}"))
        }
        Some(Errno::ROFS) => {
            ("the file system is read-only", "mount it writable, or give a path on another".to_owned())
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            ("permission denied", format!("let user {user} read and write it, and write in its directory"))
        }
        Some(Errno::NOENT) => ("it does not exist", "create it before this step, or correct the path".to_owned()),
        Some(Errno::ISDIR) => ("it is a directory", "give the path of a file".to_owned()),
        Some(Errno::NOTDIR) => ("a part of the path is no directory", "correct the path".to_owned()),
        Some(Errno::NAMETOOLONG) => ("the name is too long", "give a shorter path".to_owned()),
        Some(Errno::LOOP) => ("a symbolic link in it cannot be followed", "remove the link, or correct it".to_owned()),
        Some(Errno::EXIST) => ("something else has that name", "remove it, or give another path".to_owned()),
        Some(Errno::IO) => ("the disk reports an error", "look at the disk, then run again".to_owned()),
        _ => {
            text = error.to_string().to_lowercase();
            (text.as_str(), "look at the disk and its mount, then run again".to_owned())
        }
    };
    Failure::new(Kind::Unavailable, format!("cannot {doing} `{}`: {why}", shown(path))).help(help)
}

/// A path for a message: one line whatever a repository's links hold, so that none is taken for a command of the runner.
fn shown(path: &Path) -> String {
    path.to_string_lossy()
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
        .collect()
}

/// Opens the file behind a target for reading; `None` where there is none. A link put there since the guard looked is not
/// followed, a pipe not waited for.
fn open_regular(target: &Target) -> Result<Option<File>, Failure> {
    let refused = |error: Errno| fail("read", target.path(), error);
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(target.directory().fd(), target.name(), flags, Mode::empty()) {
        Ok(fd) => {
            must_be_regular(rustix::fs::fstat(&fd).map_err(refused)?.st_mode, target.path())?;
            Ok(Some(fd.into()))
        }
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(refused(error)),
    }
}

/// Refuses everything that is no plain file.
fn must_be_regular(mode: u32, path: &Path) -> Result<(), Failure> {
    let what = match FileType::from_raw_mode(mode) {
        FileType::RegularFile => return Ok(()),
        FileType::Directory => "a directory",
        FileType::Fifo => "a named pipe",
        FileType::Socket => "a socket",
        _ => "no regular file",
    };
    Err(Failure::new(Kind::Input, format!("`{}` is {what}", shown(path))).help("give the path of a regular file"))
}

/// The content of an open file, within the limit.
fn slurp(file: &File, path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let refused = |error| fail("read", path, error);
    let too_large = || {
        let limit = MAX_BYTES / (1024 * 1024);
        Failure::new(Kind::Input, format!("`{}` is larger than {limit} MiB", shown(path))).help("give a smaller file")
    };
    let length = file.metadata().map_err(refused)?.len();
    if length > MAX_BYTES {
        return Err(too_large());
    }
    // Room for all of it at once: a buffer that grows leaves copies of secrets that nobody wipes.
    let room = usize::try_from(length).map_err(|_| too_large())?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room.saturating_add(1)));
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(refused)?;
    if u64::try_from(bytes.len()).is_ok_and(|n| n <= MAX_BYTES) { Ok(bytes) } else { Err(too_large()) }
}

/// Whether the name still stands for the locked file, and that for what the caller read. The bytes decide: two writes
/// within one tick of the file system's clock have one time stamp.
fn is_still(target: &Target, current: &File, seen: &Stat, before: &Snapshot) -> Result<bool, Failure> {
    let Some(named) = target.stat()? else { return Ok(false) };
    let refused = |error| fail("read", target.path(), error);
    let locked = current.metadata().map_err(refused)?;
    let same_file = (named.st_dev, named.st_ino) == (locked.dev(), locked.ino());
    let same_looks = (named.st_mode, named.st_uid, named.st_gid) == (seen.st_mode, seen.st_uid, seen.st_gid);
    Ok(same_file && same_looks && holds(current, &before.bytes).map_err(refused)?)
}

/// Whether a file holds exactly these bytes.
fn holds(file: &File, bytes: &[u8]) -> io::Result<bool> {
    if usize::try_from(file.metadata()?.len()).ok() != Some(bytes.len()) {
        return Ok(false);
    }
    let mut buffer = Zeroizing::new(vec![0; 64 * 1024]);
    let mut offset = 0;
    for expected in bytes.chunks(buffer.len()) {
        let part = buffer.get_mut(..expected.len()).unwrap_or_default();
        match file.read_exact_at(part, offset) {
            Ok(()) if part == expected => offset += u64::try_from(part.len()).unwrap_or_default(),
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

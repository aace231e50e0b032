//! Files that are written aside and put in place as one step, the directories they lie in, and what killed runs left.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Stat, linkat, open, openat, statat, unlinkat};
use rustix::io::Errno;

use super::{fail, holds};
use crate::error::{Failure, Kind};

/// The mode of every new file that holds secrets.
const PRIVATE: u32 = 0o600;
/// How many letters and digits tell two temporary files apart.
const RANDOM: usize = 10;
/// The longest part of a file's name that its temporary file repeats, in bytes: a name may have 255 in all.
const STEM: usize = 200;

/// A directory that is held open: what happens to its path does not matter any more.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens a directory; links in its path are followed.
    ///
    /// # Errors
    /// `Unavailable`, naming the path, also where there is none.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = open(path, flags, Mode::empty()).map_err(|error| fail("open the directory", path, error))?;
        Ok(Self::held(fd, path.to_owned()))
    }

    pub(super) fn held(fd: OwnedFd, path: PathBuf) -> Self {
        Self { fd, path }
    }

    /// The path under which it was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// One entry, a link itself and not what it leads to; `None` where there is none.
    pub(super) fn stat(&self, name: &OsStr) -> Result<Option<Stat>, Errno> {
        match statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The directory opened for more than passing through it.
    fn readable(&self) -> Result<OwnedFd, Errno> {
        openat(&self.fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    }

    /// Makes renames and links in it last.
    fn sync(&self) -> Result<(), Failure> {
        match self.readable().and_then(rustix::fs::fsync) {
            // A directory that may be written and not read cannot be opened for this, and some file systems (FUSE,
            // 9p, SMB) have no sync of directories: their renames are as lasting as they make them.
            Ok(()) | Err(Errno::ACCESS | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(fail("sync the directory (the file in it is written)", &self.path, error)),
        }
    }
}

/// The temporary files of this process, for [`abandon`].
static LIVING: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

fn living() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    LIVING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the temporary files of a run that cannot do it itself any more, because it is held up and the process ends.
pub fn abandon() {
    for path in &*living() {
        // Gone already, or in use under its final name: both are as they should be.
        let _ = std::fs::remove_file(path);
    }
}

/// A temporary file beside a final name, locked as long as this value lives and removed with it, on every way out.
#[derive(Debug)]
pub struct Aside<'d> {
    directory: &'d Directory,
    name: OsString,
    file: File,
    /// Where it shall go, for messages.
    goal: PathBuf,
    note: Option<String>,
}

impl<'d> Aside<'d> {
    /// A new empty one: mode 0600, and the owner of the directory where the process is root.
    ///
    /// # Errors
    /// `Unavailable` where the directory does not take a file.
    pub fn create(directory: &'d Directory, goal: &OsStr) -> Result<Self, Failure> {
        Self::create_like(directory, goal, None)
    }

    /// The same with the owner and the mode of an existing file.
    pub(super) fn create_like(directory: &'d Directory, goal: &OsStr, like: Option<&Stat>) -> Result<Self, Failure> {
        let mut aside = Self::create_locked(directory, goal)?;
        aside.dress(like).map_err(|error| fail("write", &aside.goal, error))?;
        Ok(aside)
    }

    fn create_locked(directory: &'d Directory, goal: &OsStr) -> Result<Self, Failure> {
        let path = directory.path.join(goal);
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // A few tries: the name may be taken, and a run that cleans up may see the file before it is locked.
        for _ in 0..16 {
            let random: String = std::iter::repeat_with(fastrand::alphanumeric).take(RANDOM).collect();
            let mut name = stem(goal);
            name.push(random + ".tmp");
            let file: File = match openat(directory.fd(), &name, flags, Mode::from_raw_mode(PRIVATE)) {
                Ok(fd) => fd.into(),
                Err(Errno::EXIST) => continue,
                Err(error) => return Err(fail("write", &path, error)),
            };
            living().insert(directory.path.join(&name));
            let aside = Self { directory, name, file, goal: path.clone(), note: None };
            // On a file system without locks nobody can take this file for a dead one either.
            let locked = !matches!(aside.file.try_lock(), Err(TryLockError::WouldBlock));
            if locked && aside.is_named() {
                return Ok(aside);
            }
        }
        Err(Failure::new(
            Kind::Unavailable,
            format!("cannot write `{}`: its temporary file vanishes", super::shown(&path)),
        )
        .help("look for another program that cleans up in the same directory"))
    }

    /// Whether the name still stands for our file.
    fn is_named(&self) -> bool {
        is_named(self.directory, &self.name, &self.file)
    }

    /// Sets owner and mode. What the process may not set is a note and no error: rootless containers and network file
    /// systems refuse owners, and a file that later steps cannot read is better explained than missing.
    fn dress(&mut self, like: Option<&Stat>) -> io::Result<()> {
        let ours = self.file.metadata()?;
        let root = rustix::process::geteuid().is_root();
        let (uid, gid, mut mode) = match like {
            Some(stat) => (stat.st_uid, stat.st_gid, stat.st_mode & 0o777),
            None if root => {
                let parent = rustix::fs::fstat(&self.directory.fd)?;
                (parent.st_uid, parent.st_gid, PRIVATE)
            }
            None => (ours.uid(), ours.gid(), PRIVATE),
        };
        if (uid, gid) != (ours.uid(), ours.gid()) && fchown(&self.file, Some(uid), Some(gid)).is_err() {
            let group_kept = gid == ours.gid() || fchown(&self.file, None, Some(gid)).is_ok();
            if !group_kept {
                // The rights of one group are not those of another.
                mode &= 0o707;
            }
            let now = self.file.metadata()?;
            self.note = Some(format!(
                "`{}` belongs to {}:{} instead of {uid}:{gid} (user:group), which could not be set",
                super::shown(&self.goal),
                now.uid(),
                now.gid()
            ));
        }
        if self.file.set_permissions(Permissions::from_mode(mode)).is_err() {
            let note = format!("the mode {mode:03o} could not be set on `{}`", super::shown(&self.goal));
            self.note.get_or_insert(note);
        }
        Ok(())
    }

    /// What of the owner or the mode could not be set, as a warning.
    #[must_use]
    pub fn note(&self) -> Option<&str> {
        self.note.as_deref()
    }

    /// Writes the content, makes it last, and reads it back.
    ///
    /// # Errors
    /// `Unavailable` where the disk refuses, or returns other bytes than it was given.
    pub fn write_synced(&self, bytes: &[u8]) -> Result<(), Failure> {
        let refused = |error| fail("write", &self.goal, error);
        (&self.file).write_all(bytes).map_err(refused)?;
        self.file.sync_all().map_err(refused)?;
        if holds(&self.file, bytes).map_err(refused)? {
            return Ok(());
        }
        Err(Failure::new(
            Kind::Unavailable,
            format!("`{}` does not read back as it was written", super::shown(&self.goal)),
        )
        .help("look at the disk, then run again"))
    }

    /// Gives the content its final name if that is free; `false` where it is taken, and nothing happened. The file system
    /// decides between two writers.
    ///
    /// # Errors
    /// `Unavailable`, also on a file system that can do neither a hard link nor a rename that does not replace.
    pub fn link_to(self, goal: &OsStr) -> Result<bool, Failure> {
        match self.place_exclusive(goal) {
            Ok(()) => self.settle().map(|()| true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) => Err(fail("write", &self.goal, error)),
        }
    }

    /// Like [`Aside::link_to`], but on a file system that has no exclusive way (shared folders of virtual machines, object
    /// stores) it looks and then renames.
    pub(super) fn place_new(self, goal: &OsStr) -> Result<bool, Failure> {
        match self.place_exclusive(goal) {
            Ok(()) => self.settle().map(|()| true),
            Err(Errno::EXIST) => Ok(false),
            Err(error) if is_unsupported(error) => {
                if self.directory.stat(goal).map_err(|error| fail("write", &self.goal, error))?.is_some() {
                    return Ok(false);
                }
                self.rename_to(goal).map(|()| true)
            }
            Err(error) => Err(fail("write", &self.goal, error)),
        }
    }

    fn place_exclusive(&self, goal: &OsStr) -> Result<(), Errno> {
        let fd = &self.directory.fd;
        match linkat(fd, &self.name, fd, goal, AtFlags::empty()) {
            Err(error) if is_unsupported(error) => {
                rustix::fs::renameat_with(fd, &self.name, fd, goal, RenameFlags::NOREPLACE)
            }
            other => other,
        }
    }

    /// Gives the content its final name, in place of what has it now.
    ///
    /// # Errors
    /// `Unavailable`.
    pub fn rename_to(self, goal: &OsStr) -> Result<(), Failure> {
        let fd = &self.directory.fd;
        rustix::fs::renameat(fd, &self.name, fd, goal).map_err(|error| fail("write", &self.goal, error))?;
        self.settle()
    }

    /// Takes the temporary name away, then makes both changes of the directory last.
    fn settle(self) -> Result<(), Failure> {
        let directory = self.directory;
        drop(self);
        // The file has its name already: what is in doubt is only whether a power cut would undo it.
        directory.sync().map_err(|failure| Failure { kind: Kind::Partial, ..failure })
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        // Gone already after a rename. Where it fails, a later run cleans up.
        let _ = unlinkat(&self.directory.fd, &self.name, AtFlags::empty());
        living().remove(&self.directory.path.join(&self.name));
    }
}

/// The answers of file systems that lack an operation; a hard link is `EPERM` there
/// ([link(2)](https://man7.org/linux/man-pages/man2/link.2.html)), a rename flag `EINVAL`.
fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)
}

/// What the temporary files of one final name start with.
fn stem(goal: &OsStr) -> OsString {
    let goal = goal.to_string_lossy();
    let short = goal.get(..goal.floor_char_boundary(STEM)).unwrap_or_default();
    format!(".{short}.envsync-").into()
}

/// Removes the temporary files that killed runs left for one final name: those that nobody holds a lock on.
pub fn sweep_dir(directory: &Directory, goal: &OsStr) {
    let stem = stem(goal);
    let Ok(entries) = directory.readable().and_then(rustix::fs::Dir::new) else { return };
    for entry in entries.flatten() {
        let name = OsStr::from_bytes(entry.file_name().to_bytes());
        let middle = name.as_bytes().strip_prefix(stem.as_bytes()).and_then(|rest| rest.strip_suffix(b".tmp"));
        if middle.is_some_and(|m| m.len() == RANDOM && m.iter().all(u8::is_ascii_alphanumeric)) {
            // A file that goes away under our eyes, or is not ours to remove, is none of our business.
            let _ = remove_dead(directory, name);
        }
    }
}

fn remove_dead(directory: &Directory, name: &OsStr) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file: File = openat(&directory.fd, name, flags, Mode::empty())?.into();
    let metadata = file.metadata()?;
    let local = metadata.is_file() && metadata.dev() == rustix::fs::fstat(&directory.fd)?.st_dev;
    // The lock first: until then the file may be a living run's, and may even have become the real one.
    if local && file.try_lock().is_ok() && is_named(directory, name, &file) {
        unlinkat(&directory.fd, name, AtFlags::empty())?;
    }
    Ok(())
}

/// Whether a name stands for this open file.
fn is_named(directory: &Directory, name: &OsStr, file: &File) -> bool {
    match (directory.stat(name), file.metadata()) {
        (Ok(Some(named)), Ok(open)) => (named.st_dev, named.st_ino) == (open.dev(), open.ino()),
        _ => false,
    }
}

/// Creates a directory for secrets where there is none, and those above it: mode 0700, and the owner of the directory
/// above where the process is root. Returns a warning where that owner could not be set.
///
/// # Errors
/// `Unavailable`, naming the path; also where it exists and is no directory.
pub fn make_dir(path: &Path) -> Result<Option<String>, Failure> {
    let missing = path.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists());
    let mut note = None;
    for directory in missing.collect::<Vec<_>>().into_iter().rev() {
        match DirBuilder::new().mode(0o700).create(directory) {
            Ok(()) => note = own(directory)?.or(note),
            // Another run made it at the same time.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => {}
            Err(error) => return Err(fail("create the directory", directory, error)),
        }
    }
    if path.is_dir() { Ok(note) } else { Err(fail("create the directory", path, Errno::EXIST)) }
}

/// Hands a new directory to the owner of the one above, where the process is root, and makes it last.
fn own(path: &Path) -> Result<Option<String>, Failure> {
    let refused = |error: Errno| fail("create the directory", path, error);
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let above = Directory::open(parent)?;
    above.sync()?;
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let new = open(path, flags, Mode::empty()).map_err(refused)?;
    let (wanted, is) = (rustix::fs::fstat(&above.fd).map_err(refused)?, rustix::fs::fstat(&new).map_err(refused)?);
    let same = (wanted.st_uid, wanted.st_gid) == (is.st_uid, is.st_gid);
    if same || fchown(&new, Some(wanted.st_uid), Some(wanted.st_gid)).is_ok() {
        return Ok(None);
    }
    Ok(Some(format!(
        "`{}` belongs to {}:{} instead of {}:{} (user:group), which could not be set",
        super::shown(path),
        is.st_uid,
        is.st_gid,
        wanted.st_uid,
        wanted.st_gid
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temporary_name_of_a_long_name_fits() {
        for name in ["ä".repeat(127), "e".repeat(255), ".env".to_owned()] {
            let stem = stem(OsStr::new(&name));
            assert!(stem.len() + RANDOM + ".tmp".len() <= 255, "{name}");
        }
        assert_eq!(stem(OsStr::new(".env")), "..env.envsync-");
    }
}

//! The path guard: which file a configured path stands for, and whether it may be touched.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, Stat, open, openat, readlinkat};
use rustix::io::Errno;

use super::{Directory, fail, must_be_regular, shown};
use crate::error::{Failure, Kind};

/// How many links one path may lead through, as in Linux
/// ([path_resolution(7)](https://man7.org/linux/man-pages/man7/path_resolution.7.html)).
const MAX_LINKS: usize = 40;

/// A checked path: a regular file or nothing yet, in a directory that lies in the workspace and is held open, so that
/// nothing that happens to the path later leads elsewhere.
#[derive(Debug)]
pub struct Target {
    directory: Directory,
    name: OsString,
    path: PathBuf,
    relative: String,
}

impl Target {
    /// The path for outputs: relative to the workspace, as a later step sees it (the host's path of the workspace is
    /// another one than the container's). Absolute for a file in one of the other roots. A link is named, not its target.
    #[must_use]
    pub fn relative(&self) -> &str {
        &self.relative
    }

    /// The absolute path of the file itself, free of links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is a file at this moment.
    #[must_use]
    pub fn exists(&self) -> bool {
        matches!(self.directory.stat(&self.name), Ok(Some(_)))
    }

    pub(super) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(super) fn name(&self) -> &OsStr {
        &self.name
    }

    pub(super) fn stat(&self) -> Result<Option<Stat>, Failure> {
        self.directory.stat(&self.name).map_err(|error| fail("read", &self.path, error))
    }
}

/// Checks a configured path: relative to the workspace, or absolute, and inside the workspace or one of the other roots
/// (the runner's temporary directory) after all symbolic links are followed. Roots that do not exist are passed over.
///
/// # Errors
/// `Input` for a path that leads outside, into a missing directory, round in a circle, or to something that is no file;
/// `Unavailable` where the file system does not let us look.
pub fn target(workspace: &Path, roots: &[PathBuf], asked: &str) -> Result<Target, Failure> {
    check_text(asked)?;
    let home = workspace.canonicalize().map_err(|error| fail("open the workspace", workspace, error))?;
    let others = roots.iter().filter_map(|root| root.canonicalize().ok());
    let roots: Vec<PathBuf> = std::iter::once(home.clone()).chain(others).collect();
    let mut path = home.join(asked);
    let mut relative = None;
    for _ in 0..=MAX_LINKS {
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(refuse(asked, "names no file", "give the path of a file, such as `.env`"));
        };
        let parent = real_directory(asked, parent)?;
        let path_now = parent.join(name);
        let Some(root) = roots.iter().find(|root| parent.starts_with(root)) else {
            return Err(outside(asked, &path_now, &home));
        };
        let directory = Directory::held(walk(root, &parent)?, parent);
        let found = directory.stat(name).map_err(|error| fail("read", &path_now, error))?;
        let inside = path_now.strip_prefix(&home).unwrap_or(&path_now).to_string_lossy().into_owned();
        let relative = relative.get_or_insert(inside);
        if let Some(stat) = found {
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                let link =
                    readlinkat(directory.fd(), name, Vec::new()).map_err(|error| fail("read", &path_now, error))?;
                path = directory.path().join(OsString::from_vec(link.into_bytes()));
                continue;
            }
            must_be_regular(stat.st_mode, &path_now)?;
        }
        return Ok(Target { directory, name: name.to_owned(), path: path_now, relative: std::mem::take(relative) });
    }
    Err(refuse(asked, "leads through too many symbolic links", "remove the link that leads back to itself"))
}

/// What is wrong with the text of a path before the disk is asked.
fn check_text(asked: &str) -> Result<(), Failure> {
    if asked.contains('\0') {
        return Err(refuse(asked, "holds a zero byte, which no path can", "correct the path"));
    }
    if asked.is_empty() || asked.ends_with('/') || asked.ends_with("/.") || asked == "." {
        return Err(refuse(asked, "names no file", "give the path of a file, such as `.env`"));
    }
    if asked.starts_with('~') {
        let help = "give a path relative to the workspace (`./~name` for a file whose name starts so)";
        return Err(refuse(asked, "starts with `~`, which only a shell expands", help));
    }
    Ok(())
}

fn refuse(asked: &str, why: &str, help: &str) -> Failure {
    Failure::new(Kind::Input, format!("`{}` {why}", shown(Path::new(asked)))).help(help)
}

fn outside(asked: &str, found: &Path, workspace: &Path) -> Failure {
    let why = if found == Path::new(asked) {
        format!("is outside the workspace `{}`", shown(workspace))
    } else {
        format!("leads to `{}`, outside the workspace `{}`", shown(found), shown(workspace))
    };
    refuse(asked, &why, "give a path inside the workspace; a symbolic link may not lead out of it")
}

/// The directory without links. We create none: a wrong path would otherwise leave directories behind.
fn real_directory(asked: &str, parent: &Path) -> Result<PathBuf, Failure> {
    let found = parent.canonicalize().and_then(|real| match real.is_dir() {
        true => Ok(real),
        false => Err(io::ErrorKind::NotADirectory.into()),
    });
    found.map_err(|error| {
        let (why, help) = match (error.kind(), Errno::from_io_error(&error)) {
            (io::ErrorKind::NotFound, _) => ("that does not exist", "create the directory first, or correct the path"),
            (io::ErrorKind::NotADirectory, _) => ("that is no directory", "correct the path"),
            (_, Some(Errno::LOOP)) => ("whose symbolic links lead in a circle", "remove the link, or correct it"),
            _ => return fail("open the directory", parent, error),
        };
        refuse(asked, &format!("lies in `{}`, {why}", shown(parent)), help)
    })
}

/// Opens a directory below a root part by part without following any link, so that one that is put there between our
/// look and this moment leads nowhere.
fn walk(root: &Path, directory: &Path) -> Result<OwnedFd, Failure> {
    // O_PATH: a directory that may be passed but not listed is fine.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let refused = |error: Errno| fail("open the directory", directory, error);
    let mut fd = open(root, flags, Mode::empty()).map_err(refused)?;
    for part in directory.strip_prefix(root).unwrap_or(Path::new("")) {
        fd = openat(&fd, part, flags, Mode::empty()).map_err(refused)?;
    }
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_directory_that_turns_into_a_link_is_not_walked_through() {
        let dir = tempfile::TempDir::new().unwrap();
        let root = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("real/below")).unwrap();
        symlink("real", root.join("link")).unwrap();
        assert!(walk(&root, &root.join("real/below")).is_ok());
        for path in ["link", "link/below"] {
            assert_eq!(walk(&root, &root.join(path)).unwrap_err().kind, Kind::Unavailable, "{path}");
        }
    }
}

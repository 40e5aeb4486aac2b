//! The files of one journal in a real directory, which one broker at a time may have.
//!
//! The directory is 0700 and its files 0600. All names are taken relative to the directory that was opened and locked,
//! so that it may be moved meanwhile. What does not belong to the broker's user, what others may write, and what is no
//! plain file is refused: following a symbolic link, the broker would overwrite what somebody else chose.
//!
//! The lock is `flock`: the machine lets go of it when the broker ends, however it ends. The file `lock` stays.

use super::file::{Append, File, disk_error};
use super::holder::{Holder, LockFile};
use super::preparing::Preparation;
use fanwire_core::journal::disk::{Disk, DiskError};
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::fmt;
use std::fs::DirBuilder;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

const LOCK: &str = "lock";
/// The data directory, and a journal's own in it.
const LEVELS_OF_OURS: usize = 2;
const OTHERS_MAY_WRITE: u32 = 0o022;

/// Why a directory can't be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DirectoryError {
    /// Another process has it, in words for people.
    Locked(String),
    /// The disk did not do what it was asked to, or the directory is not to be trusted.
    Disk(DiskError),
}

impl fmt::Display for DirectoryError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DirectoryError::Locked(words) => formatter.write_str(words),
            DirectoryError::Disk(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for DirectoryError {}

impl From<DiskError> for DirectoryError {
    fn from(error: DiskError) -> Self {
        DirectoryError::Disk(error)
    }
}

impl From<DirectoryError> for DiskError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Locked(words) => DiskError::Failed(words),
            DirectoryError::Disk(error) => error,
        }
    }
}

/// The directory of one journal. Clones are the same directory, and it is locked until the last of them is gone.
#[derive(Clone)]
pub struct Directory {
    shared: Arc<Shared>,
}

struct Shared {
    path: PathBuf,
    directory: OwnedFd,
    append: Append,
    /// None if it was opened to be looked at.
    lock: Option<std::fs::File>,
    /// The first failure to sync the names, which is final.
    names_failure: OnceLock<DiskError>,
}

impl Directory {
    /// Opens a directory for a broker, and makes it if it is not there. Fails if another process has it.
    pub fn open(path: &Path, append: Append) -> Result<Directory, DirectoryError> {
        make(path).map_err(|error| disk_error("make the directory", &path.display().to_string(), &error))?;
        let mut opened = Directory::inspect(path)?;
        let stat = rustix::fs::fstat(&opened.shared.directory).map_err(|error| opened.failed("look at", "", error))?;
        opened.refuse_strange("", &stat)?;
        let shared = Arc::get_mut(&mut opened.shared).expect("just made");
        shared.append = append;
        shared.lock = Some(lock(&shared.directory, &path.join(LOCK))?);
        Ok(opened)
    }

    /// Opens a directory to look at what is there, whoever else has it. Its files can't be written.
    pub fn inspect(path: &Path) -> Result<Directory, DiskError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|error| disk_error("open the directory", &path.display().to_string(), &error.into()))?;
        let (append, names_failure) = (Append::Write, OnceLock::new());
        let shared = Shared { path: path.to_owned(), directory, append, lock: None, names_failure };
        Ok(Directory { shared: Arc::new(shared) })
    }

    /// The process that has it locked, as far as the machine tells. Asking takes no lock, so that nobody is kept out.
    pub fn holder(&self) -> Option<Holder> {
        let stat = rustix::fs::statat(&self.shared.directory, LOCK, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let file = LockFile { device: stat.st_dev, inode: stat.st_ino };
        Holder::of(&file, &std::fs::read_to_string("/proc/locks").ok()?)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Begins to make a file, which is then filled step by step.
    pub(super) fn prepare(&mut self, name: &str, bytes: u64) -> Result<Preparation, DiskError> {
        self.assert_locked();
        assert_plain(name);
        if let Err(error) = self.remove(name)
            && error != DiskError::Missing
        {
            return Err(error);
        }
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.shared.directory, name, flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| self.failed("make", name, error))?;
        Preparation::begin(self.clone(), name, file.into(), bytes)
    }

    /// The file that was made.
    pub(super) fn file(&self, name: &str, file: std::fs::File, bytes: u64) -> File {
        File::new(file, self.shared.path.join(name).display().to_string(), bytes, self.shared.append, false)
    }

    pub(super) fn failed(&self, tried: &str, name: &str, error: impl Into<io::Error>) -> DiskError {
        disk_error(tried, &self.shared.path.join(name).display().to_string(), &error.into())
    }

    /// Refuses what another user owns or may write to.
    fn refuse_strange(&self, name: &str, stat: &Stat) -> Result<(), DiskError> {
        let own = rustix::process::geteuid().as_raw();
        let complaint = if stat.st_uid != own {
            format!("it belongs to user {}, and this process runs as user {own}", stat.st_uid)
        } else if stat.st_mode & OTHERS_MAY_WRITE != 0 {
            format!("others may write to it (mode {:o}): chmod go-w it", stat.st_mode & 0o7777)
        } else {
            return Ok(());
        };
        Err(self.failed("trust", name, io::Error::other(complaint)))
    }

    fn assert_locked(&self) {
        assert!(self.shared.lock.is_some(), "{} was opened to be looked at", self.shared.path.display());
    }
}

impl Disk for Directory {
    type File = File;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        let entries = Dir::read_from(&self.shared.directory).map_err(|error| self.failed("list", "", error))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| self.failed("list", "", error))?;
            let name = entry.file_name().to_str().unwrap_or(".");
            if ![".", "..", LOCK].contains(&name) {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    fn create(&mut self, name: &str, bytes: u64) -> Result<File, DiskError> {
        self.prepare(name, bytes)?.finish()
    }

    fn open(&mut self, name: &str) -> Result<File, DiskError> {
        assert_plain(name);
        let is_locked = self.shared.lock.is_some();
        let access = if is_locked { OFlags::RDWR } else { OFlags::RDONLY };
        // A pipe of this name must not make the broker wait for somebody at its other end.
        let flags = access | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.shared.directory, name, flags, Mode::empty())
            .map_err(|error| self.failed("open", name, error))?;
        let stat = rustix::fs::fstat(&file).map_err(|error| self.failed("look at", name, error))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(self.failed("open", name, io::Error::other("it is no plain file")));
        }
        if is_locked {
            self.refuse_strange(name, &stat)?;
        }
        Ok(self.file(name, file.into(), u64::try_from(stat.st_size).unwrap_or(0)))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.assert_locked();
        assert_plain(from);
        assert_plain(to);
        let directory = &self.shared.directory;
        rustix::fs::renameat(directory, from, directory, to).map_err(|error| self.failed("rename", from, error))
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.assert_locked();
        assert_plain(name);
        rustix::fs::unlinkat(&self.shared.directory, name, AtFlags::empty())
            .map_err(|error| self.failed("remove", name, error))
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        // The machine tells a failure to one caller only; the next one would believe that the names are durable.
        if let Some(failure) = self.shared.names_failure.get() {
            return Err(failure.clone());
        }
        rustix::fs::fsync(&self.shared.directory).map_err(|error| {
            let failure = DiskError::NamesUnsynced(self.failed("sync the names of", "", error).to_string());
            self.shared.names_failure.get_or_init(|| failure).clone()
        })
    }

    fn forget(&mut self, names: &[String]) -> Result<(), DiskError> {
        self.assert_locked();
        self.forget_all(names)
    }
}

/// Makes the directory, and what is missing above it, and their names durable. What was there may be as young: its last
/// maker may have ended before it came to that.
fn make(path: &Path) -> io::Result<()> {
    let missing = path.ancestors().take_while(|ancestor| !ancestor.exists()).count();
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for above in path.ancestors().skip(1).take(missing.max(LEVELS_OF_OURS)) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match std::fs::File::open(above) {
            Ok(above) => above.sync_all()?,
            // Whose names we may not even see is not ours.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Takes the lock, and writes this process's id into it for whoever comes second.
fn lock(directory: &OwnedFd, path: &Path) -> Result<std::fs::File, DirectoryError> {
    let failed =
        |tried: &str, error: io::Error| DirectoryError::Disk(disk_error(tried, &path.display().to_string(), &error));
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::openat(directory, LOCK, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|error| failed("open", error.into()))?;
    let mut file = std::fs::File::from(file);
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => {
            let mut holder = String::new();
            let known = file.read_to_string(&mut holder).ok().and_then(|_| holder.trim().parse::<u32>().ok());
            let holder = known.map_or_else(|| "another process".to_owned(), |id| format!("process {id}"));
            let path = path.display();
            return Err(DirectoryError::Locked(format!(
                "can't lock {path}: {holder} has it; one broker at a time may use this directory"
            )));
        }
        Err(error) => return Err(failed("lock", error.into())),
    }
    // For people only: a full disk must not keep a broker from starting.
    let _ = file.set_len(0).and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()));
    Ok(file)
}

/// Names are the journal's own; none of them is a path.
fn assert_plain(name: &str) {
    let is_plain = !name.is_empty() && !name.contains(['/', '\0']) && ![".", "..", LOCK].contains(&name);
    assert!(is_plain, "{name:?} is no name for a file");
}

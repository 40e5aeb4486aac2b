//! One file of a journal, on a disk or in memory. Its size never changes.
//!
//! Bytes get into it in one of two ways: by one system call a batch, or by stores into the mapped file. The call is the
//! default. Seen on ext4 of Linux 6.18, one batch at a time, in microseconds; medians of five runs each, by turns, on 2
//! cores that others used too. "Syncs" are one after the other, "writes" are 500 MB/s into another file beside them:
//!
//! | batch, every | meanwhile | call: p50, p99, p99.9 | map: p50, p99, p99.9 |
//! |---|---|---|---|
//! | 64 B, 20 us | nothing | 0.9, 3.7, 22 | 0.04, 0.6, 25 |
//! | | a sync each 100 ms | 1.0, 3.8, 23 | 0.04, 0.6, 19 |
//! | | syncs | 1.0, 8.4, 71 | 0.04, 7.7, 41 |
//! | | syncs and writes | 1.0, 8.9, 71 | 0.04, 7.2, 29 |
//! | 4 KiB, 50 us | nothing | 1.8, 14, 32 | 0.4, 12, 30 |
//! | | a sync each 100 ms | 1.4, 16, 51 | 0.4, 15, 55 |
//! | | syncs | 2.1, 38, 81 | 0.4, 58, 128 |
//! | | syncs and writes | 2.2, 51, 148 | 0.4, 55, 151 |
//! | 64 KiB, 1 ms | nothing | 19, 33, 66 | 26, 47, 244 |
//! | | a sync each 100 ms | 17, 66, 134 | 27, 72, 229 |
//! | | syncs | 18, 89, 112 | 26, 263, 359 |
//! | | syncs and writes | 19, 90, 5 265 | 27, 251, 2 927 |
//!
//! A store saves about one microsecond of a small batch. A large batch, and the work that a journal is measured by is
//! made of large batches, is faster by the call: a store faults once for every page that a sync has cleaned or that was
//! never touched. The slowest one in ten thousand took milliseconds in either way. So speed does not decide.
//!
//! What decides is what happens when something breaks:
//!
//! | | call | map |
//! |---|---|---|
//! | somebody truncates the file | goes on; the next sync tells | the broker is killed (SIGBUS) |
//! | a reserved file on a full disk | goes on | goes on |
//! | the file system turns read-only, or dies | an error at once | goes on as if nothing were; the next sync tells |
//!
//! With the map a journal would acknowledge as `journaled` what no disk will ever take, until the next sync.

use super::mapped::Mapped;
use fanwire_core::journal::disk::{DiskError, DiskFile};
use rustix::io::Errno;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

/// How bytes get into a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Append {
    /// One system call a write: whatever is wrong is an error.
    #[default]
    Write,
    /// Stores into the mapped file: cheaper for small batches, and blind to what is wrong.
    Map,
}

/// A file of a [`Directory`](super::Directory) or of a [`Memory`](super::Memory). Clones are the same file.
#[derive(Clone)]
pub struct File {
    shared: Arc<Shared>,
}

struct Shared {
    file: std::fs::File,
    /// What it was called when it was opened; files are renamed while they are open.
    name: String,
    bytes: u64,
    append: Append,
    is_memory: bool,
    /// Made with the first write that needs it: most files are read only.
    mapped: OnceLock<Mapped>,
}

impl File {
    /// A file of exactly so many bytes. One in memory has nothing to sync.
    pub(super) fn new(file: std::fs::File, name: String, bytes: u64, append: Append, is_memory: bool) -> File {
        File { shared: Arc::new(Shared { file, name, bytes, append, is_memory, mapped: OnceLock::new() }) }
    }

    pub(super) fn descriptor(&self) -> &std::fs::File {
        &self.shared.file
    }

    pub(super) fn failed(&self, tried: &str, error: &io::Error) -> DiskError {
        let current = std::fs::read_link(format!("/proc/self/fd/{}", self.shared.file.as_raw_fd()));
        let current = current.map(|path| path.display().to_string());
        let name = if self.shared.is_memory { &self.shared.name } else { &current.unwrap_or(self.shared.name.clone()) };
        disk_error(tried, name, error)
    }

    fn store(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mapped = match self.shared.mapped.get() {
            Some(mapped) => mapped,
            None => {
                let mapped = Mapped::new(&self.shared.file, self.shared.bytes)?;
                self.shared.mapped.get_or_init(|| mapped)
            }
        };
        mapped.store(offset, bytes);
        Ok(())
    }

    fn assert_within(&self, offset: u64, length: usize) {
        let is_within = offset.checked_add(length as u64).is_some_and(|end| end <= self.shared.bytes);
        assert!(is_within, "{length} bytes at {offset} of {}, which has {}", self.shared.name, self.shared.bytes);
    }
}

impl DiskFile for File {
    fn bytes(&self) -> u64 {
        self.shared.bytes
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.assert_within(offset, buffer.len());
        self.shared.file.read_exact_at(buffer, offset).map_err(|error| self.failed("read", &error))
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.assert_within(offset, bytes.len());
        let written = match self.shared.append {
            Append::Write => self.shared.file.write_all_at(bytes, offset),
            // Nothing can't be mapped.
            Append::Map if bytes.is_empty() => Ok(()),
            Append::Map => self.store(offset, bytes),
        };
        written.map_err(|error| self.failed("write to", &error))
    }

    fn sync(&self) -> Result<(), DiskError> {
        if self.shared.is_memory {
            return Ok(());
        }
        self.shared.file.sync_data().map_err(|error| self.failed("sync", &error))?;
        // Its status is not asked for: after that the machine notes the exact time of the next write, and a file system
        // without a journal of its own writes that with each sync. Seen on ext4: 412 us a sync instead of 260.
        let bytes = (&self.shared.file).seek(SeekFrom::End(0)).map_err(|error| self.failed("look at", &error))?;
        if bytes == self.shared.bytes {
            return Ok(());
        }
        let meddled = format!("it has {bytes} bytes and had {}: somebody else has changed it", self.shared.bytes);
        Err(self.failed("rely on", &io::Error::other(meddled)))
    }
}

/// What a failure means to the journal. `tried` and `name` are for people.
pub(super) fn disk_error(tried: &str, name: &str, error: &io::Error) -> DiskError {
    match Errno::from_io_error(error) {
        Some(Errno::NOSPC | Errno::DQUOT) => DiskError::Full,
        Some(Errno::NOENT) => DiskError::Missing,
        Some(Errno::LOOP) => DiskError::Failed(format!("can't {tried} {name}: it is a symbolic link")),
        _ if error.kind() == io::ErrorKind::UnexpectedEof => {
            DiskError::Failed(format!("can't {tried} {name}: it ends too early: somebody else has truncated it"))
        }
        _ => DiskError::Failed(format!("can't {tried} {name}: {error}")),
    }
}

//! What the journal asks of a medium: files of a fixed size, written once from front to back, in one directory.
//!
//! The journal itself knows no file system. A real directory, files in memory, and the simulated disk that forgets what
//! was not synced are all made of these calls, so that recovery is tested against every one of them.
//!
//! What the journal assumes of a medium, and nothing beyond it:
//! - bytes that were written and synced stay; bytes that were written and not synced may be there, or not, each sector
//!   for itself, in any order;
//! - what a process wrote before it ended is there for who looks on the same boot, and of the write in whose midst it
//!   ended its first bytes up to some byte and no others: stores into a mapped file do not promise that;
//! - what a file has never been written holds zeros once the file was made;
//! - a name is durable after `sync_names`, and a file's length and zeros after its own `sync`;
//! - after a failed `sync` nothing can be said of what was written before it: it is never tried again, and reads may
//!   show what the medium does not hold, until it is told to `forget`.

use std::fmt;

/// Why a medium did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiskError {
    /// There is no room. Nothing is harmed; it may work later.
    Full,
    /// There is no file of this name.
    Missing,
    /// The medium failed, in words for people: what was tried on which file, and what the machine said.
    Failed(String),
    /// The same of a sync of the names. It is final, as that of a file is, and whoever has the directory is told so by
    /// each sync of the names from then on: most of them may have waited for somebody else's names, too.
    NamesUnsynced(String),
}

impl fmt::Display for DiskError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskError::Full => formatter.write_str("the disk is full"),
            DiskError::Missing => formatter.write_str("the file is missing"),
            DiskError::Failed(what) | DiskError::NamesUnsynced(what) => formatter.write_str(what),
        }
    }
}

impl std::error::Error for DiskError {}

/// The directory of one journal. Names are plain file names, chosen by the journal. Clones are the same directory, for
/// threads that prepare, seal and sync.
pub trait Disk: Clone + Send + 'static {
    /// A file of it. Clones are the same file, for other threads to read and sync.
    type File: DiskFile;

    /// The names of all files, in any order.
    fn list(&mut self) -> Result<Vec<String>, DiskError>;

    /// Makes a file of exactly so many bytes, all zero and all really there: what is written within them later does
    /// not fail for want of room, as far as the medium can promise that. A file of the name is replaced.
    fn create(&mut self, name: &str, bytes: u64) -> Result<Self::File, DiskError>;

    /// Opens a file that is there, for reading and writing.
    fn open(&mut self, name: &str) -> Result<Self::File, DiskError>;

    /// Gives a file another name, replacing who had it.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file. Who still holds it can go on reading.
    fn remove(&mut self, name: &str) -> Result<(), DiskError>;

    /// Makes the names as they are now durable. A failure is final, and says so by [`DiskError::NamesUnsynced`].
    fn sync_names(&mut self) -> Result<(), DiskError>;

    /// Makes sure that what is read of these files from now on is what the medium holds, whatever memory held of them.
    /// Nobody has them open. An error says why that is not sure; nothing is read then.
    fn forget(&mut self, names: &[String]) -> Result<(), DiskError> {
        let _ = names;
        Err(DiskError::Failed("nothing can be read around what memory holds here".to_owned()))
    }
}

/// One file. Its size never changes.
pub trait DiskFile: Clone + Send + Sync + 'static {
    /// Its size in bytes.
    fn bytes(&self) -> u64;

    /// Fills the buffer from an offset on; the whole of it must lie within the file.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError>;

    /// Writes bytes at an offset; all of them must lie within the file. After an error any part of them may be there.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError>;

    /// Makes everything durable that was written before the call. A failure is final: nothing written since the last
    /// success can be relied on.
    fn sync(&self) -> Result<(), DiskError>;
}

//! A directory in memory whose room ends, and whose writes and syncs fail, when a run wants it.
#![expect(clippy::disallowed_types, reason = "a file's clones are shared between threads, as the trait asks")]

use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// What goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Faults {
    /// No file can be made.
    pub(crate) is_full: bool,
    /// So many writes find no room, the next ones.
    pub(crate) full_writes: u32,
    /// The next write fails.
    pub(crate) fails_write: bool,
    /// The next sync fails.
    pub(crate) fails_sync: bool,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Medium {
    names: Arc<Mutex<BTreeMap<String, MediumFile>>>,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Debug, Clone)]
pub(crate) struct MediumFile {
    bytes: Arc<Mutex<Vec<u8>>>,
    faults: Arc<Mutex<Faults>>,
}

impl Medium {
    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().expect("nobody panics with it")
    }

    fn names(&self) -> MutexGuard<'_, BTreeMap<String, MediumFile>> {
        self.names.lock().expect("nobody panics with it")
    }
}

impl Disk for Medium {
    type File = MediumFile;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        Ok(self.names().keys().cloned().collect())
    }

    fn create(&mut self, name: &str, bytes: u64) -> Result<MediumFile, DiskError> {
        if self.faults().is_full {
            return Err(DiskError::Full);
        }
        let file = MediumFile { bytes: Arc::new(Mutex::new(vec![0; bytes as usize])), faults: self.faults.clone() };
        self.names().insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn open(&mut self, name: &str) -> Result<MediumFile, DiskError> {
        self.names().get(name).cloned().ok_or(DiskError::Missing)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut names = self.names();
        let file = names.remove(from).ok_or(DiskError::Missing)?;
        names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.names().remove(name).map(drop).ok_or(DiskError::Missing)
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}

impl MediumFile {
    fn bytes(&self) -> MutexGuard<'_, Vec<u8>> {
        self.bytes.lock().expect("nobody panics with it")
    }
}

impl DiskFile for MediumFile {
    fn bytes(&self) -> u64 {
        MediumFile::bytes(self).len() as u64
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        let begin = offset as usize;
        buffer.copy_from_slice(&MediumFile::bytes(self)[begin..begin + buffer.len()]);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        let mut faults = self.faults.lock().expect("nobody panics with it");
        let begin = offset as usize;
        let (done, outcome) = if faults.fails_write {
            faults.fails_write = false;
            (bytes.len() / 2, Err(DiskError::Failed("an I/O error, as planned".to_owned())))
        } else if faults.full_writes > 0 {
            faults.full_writes -= 1;
            (bytes.len() / 2, Err(DiskError::Full))
        } else {
            (bytes.len(), Ok(()))
        };
        MediumFile::bytes(self)[begin..begin + done].copy_from_slice(&bytes[..done]);
        outcome
    }

    fn sync(&self) -> Result<(), DiskError> {
        let mut faults = self.faults.lock().expect("nobody panics with it");
        if std::mem::take(&mut faults.fails_sync) {
            return Err(DiskError::Failed("an I/O error, as planned".to_owned()));
        }
        Ok(())
    }
}

//! The files of one journal in memory: what it holds is gone with the broker.
//!
//! They are files all the same, without a name anywhere: readers and the journal use them as they use real ones, and
//! the memory of a removed one returns to the machine when its last reader lets it go. Memory is taken as it is
//! written, not when a file is made: an idle journal costs next to nothing.

use super::file::{Append, File, disk_error};
use fanwire_core::journal::disk::{Disk, DiskError};
use rustix::fs::{MemfdFlags, memfd_create};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The files of one journal in memory. Clones are the same files.
#[derive(Clone)]
pub struct Memory {
    files: Arc<Mutex<BTreeMap<String, File>>>,
    append: Append,
}

impl Memory {
    /// No files yet; those to come are appended to in this way.
    pub fn new(append: Append) -> Memory {
        Memory { files: Arc::default(), append }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for Memory {
    type File = File;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        Ok(self.files().keys().cloned().collect())
    }

    fn create(&mut self, name: &str, bytes: u64) -> Result<File, DiskError> {
        let file = anonymous(name, bytes).map_err(|error| disk_error("get the memory for", name, &error))?;
        let file = File::new(file, format!("{name} (in memory)"), bytes, self.append, true);
        self.files().insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn open(&mut self, name: &str) -> Result<File, DiskError> {
        self.files().get(name).cloned().ok_or(DiskError::Missing)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let mut files = self.files();
        let file = files.remove(from).ok_or(DiskError::Missing)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.files().remove(name).map(drop).ok_or(DiskError::Missing)
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        Ok(())
    }
}

fn anonymous(name: &str, bytes: u64) -> io::Result<std::fs::File> {
    let file = std::fs::File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
    file.set_len(bytes)?;
    Ok(file)
}

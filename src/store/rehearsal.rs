//! A directory to try something out on: what is written stays in memory, and the files are as they were.
//!
//! ```text
//!  read  --> what was written here since, over what the file holds
//!  write --> memory                     names: changed here, and nowhere else
//! ```
//!
//! So it can be told what a start would do with a journal, by the very code that does it, though it may be refused, or
//! would cut something, and though the files may be nobody's to write to. It takes as much memory as is written.

use super::directory::Directory;
use super::file::File;
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The directory. Clones are the same one.
#[derive(Clone)]
pub struct Rehearsal {
    directory: Directory,
    /// Files that were looked at, made or renamed; none: removed.
    files: Arc<Mutex<BTreeMap<String, Option<RehearsedFile>>>>,
}

/// A file of it. Clones are the same file.
#[derive(Clone)]
pub struct RehearsedFile {
    bytes: u64,
    /// None: it was made here.
    below: Option<File>,
    written: Arc<Mutex<Vec<Patch>>>,
}

struct Patch {
    offset: u64,
    bytes: Vec<u8>,
}

impl Rehearsal {
    /// Of the files as they are now.
    pub fn of(directory: Directory) -> Rehearsal {
        Rehearsal { directory, files: Arc::default() }
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, Option<RehearsedFile>>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for Rehearsal {
    type File = RehearsedFile;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        let mut names = self.directory.list()?;
        let files = self.files();
        names.retain(|name| !files.contains_key(name));
        names.extend(files.iter().filter(|(_, file)| file.is_some()).map(|(name, _)| name.clone()));
        Ok(names)
    }

    fn create(&mut self, name: &str, bytes: u64) -> Result<RehearsedFile, DiskError> {
        let file = RehearsedFile { bytes, below: None, written: Arc::default() };
        self.files().insert(name.to_owned(), Some(file.clone()));
        Ok(file)
    }

    fn open(&mut self, name: &str) -> Result<RehearsedFile, DiskError> {
        if let Some(file) = self.files().get(name) {
            return file.clone().ok_or(DiskError::Missing);
        }
        let below = self.directory.open(name)?;
        let file = RehearsedFile { bytes: below.bytes(), below: Some(below), written: Arc::default() };
        self.files().insert(name.to_owned(), Some(file.clone()));
        Ok(file)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let file = self.open(from)?;
        let mut files = self.files();
        files.insert(from.to_owned(), None);
        files.insert(to.to_owned(), Some(file));
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.open(name)?;
        self.files().insert(name.to_owned(), None);
        Ok(())
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        Ok(())
    }

    /// What memory holds of them is looked at as it is.
    fn forget(&mut self, _: &[String]) -> Result<(), DiskError> {
        Ok(())
    }
}

impl RehearsedFile {
    fn written(&self) -> MutexGuard<'_, Vec<Patch>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl DiskFile for RehearsedFile {
    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        match &self.below {
            Some(below) => below.read(offset, buffer)?,
            None => buffer.fill(0),
        }
        let end = offset + buffer.len() as u64;
        for patch in self.written().iter() {
            let (from, to) = (patch.offset.max(offset), (patch.offset + patch.bytes.len() as u64).min(end));
            if from < to {
                let length = (to - from) as usize;
                let (at, source) = ((from - offset) as usize, (from - patch.offset) as usize);
                buffer[at..at + length].copy_from_slice(&patch.bytes[source..source + length]);
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.written().push(Patch { offset, bytes: bytes.to_owned() });
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        Ok(())
    }
}

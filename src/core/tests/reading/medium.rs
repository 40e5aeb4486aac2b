//! A directory in memory. It counts what is read, can be killed at any operation, and can forget what was not synced.
#![expect(clippy::disallowed_types, reason = "a file's clones are shared between threads, as the trait asks")]

use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Debug, Clone, Default)]
pub(crate) struct Medium {
    state: Arc<Mutex<State>>,
    counts: Arc<Counts>,
}

#[derive(Debug, Default)]
struct State {
    names: BTreeMap<String, MediumFile>,
    durable_names: BTreeMap<String, MediumFile>,
}

#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) reads: AtomicU64,
    pub(crate) bytes_read: AtomicU64,
    /// Operations that change something.
    pub(crate) changes: AtomicU64,
    /// Changes that are still carried out; the rest fails. 0: no bound.
    pub(crate) changes_max: AtomicU64,
}

#[derive(Debug, Clone)]
pub(crate) struct MediumFile {
    bytes: Arc<Mutex<Vec<u8>>>,
    durable: Arc<Mutex<Vec<u8>>>,
    counts: Arc<Counts>,
}

impl Counts {
    fn change(&self) -> Result<(), DiskError> {
        let done = self.changes.fetch_add(1, Ordering::Relaxed) + 1;
        let max = self.changes_max.load(Ordering::Relaxed);
        if max != 0 && done > max { Err(DiskError::Failed("killed".to_owned())) } else { Ok(()) }
    }
}

impl Medium {
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Reads and bytes read since the last call.
    pub(crate) fn take_reads(&self) -> (u64, u64) {
        (self.counts.reads.swap(0, Ordering::Relaxed), self.counts.bytes_read.swap(0, Ordering::Relaxed))
    }

    /// A copy of its own, with all that was changed or, if `forgets`, with only what was synced.
    pub(crate) fn copy(&self, forgets: bool) -> Medium {
        let copy = Medium::default();
        let state = self.state.lock().unwrap();
        let names = if forgets { &state.durable_names } else { &state.names };
        for (name, file) in names {
            let bytes = if forgets { &file.durable } else { &file.bytes };
            copy.put(name, &bytes.lock().unwrap());
        }
        copy
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let file = self.file_of(bytes.to_vec(), bytes.to_vec());
        let mut state = self.state.lock().unwrap();
        state.names.insert(name.to_owned(), file.clone());
        state.durable_names.insert(name.to_owned(), file);
    }

    pub(crate) fn get(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.state.lock().unwrap();
        state.names.get(name).map(|file| file.bytes.lock().unwrap().clone())
    }

    fn file_of(&self, bytes: Vec<u8>, durable: Vec<u8>) -> MediumFile {
        let counts = self.counts.clone();
        MediumFile { bytes: Arc::new(Mutex::new(bytes)), durable: Arc::new(Mutex::new(durable)), counts }
    }
}

impl Disk for Medium {
    type File = MediumFile;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        Ok(self.state.lock().unwrap().names.keys().cloned().collect())
    }

    fn create(&mut self, name: &str, bytes: u64) -> Result<MediumFile, DiskError> {
        self.counts.change()?;
        let file = self.file_of(vec![0; bytes as usize], vec![0; bytes as usize]);
        self.state.lock().unwrap().names.insert(name.to_owned(), file.clone());
        Ok(file)
    }

    fn open(&mut self, name: &str) -> Result<MediumFile, DiskError> {
        self.state.lock().unwrap().names.get(name).cloned().ok_or(DiskError::Missing)
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.counts.change()?;
        let names = &mut self.state.lock().unwrap().names;
        let file = names.remove(from).ok_or(DiskError::Missing)?;
        names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.counts.change()?;
        self.state.lock().unwrap().names.remove(name).map(drop).ok_or(DiskError::Missing)
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        self.counts.change()?;
        let mut state = self.state.lock().unwrap();
        state.durable_names = state.names.clone();
        Ok(())
    }
}

impl DiskFile for MediumFile {
    fn bytes(&self) -> u64 {
        self.bytes.lock().unwrap().len() as u64
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<(), DiskError> {
        self.counts.reads.fetch_add(1, Ordering::Relaxed);
        self.counts.bytes_read.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        let begin = offset as usize;
        buffer.copy_from_slice(&self.bytes.lock().unwrap()[begin..begin + buffer.len()]);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<(), DiskError> {
        self.counts.change()?;
        let begin = offset as usize;
        self.bytes.lock().unwrap()[begin..begin + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn sync(&self) -> Result<(), DiskError> {
        self.counts.change()?;
        *self.durable.lock().unwrap() = self.bytes.lock().unwrap().clone();
        Ok(())
    }
}

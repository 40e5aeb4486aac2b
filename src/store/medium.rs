//! Either of the media: a journal is the same code on both.

use super::directory::Directory;
use super::file::File;
use super::memory::Memory;
use fanwire_core::journal::disk::{Disk, DiskError};

/// What one journal's files are kept in.
#[derive(Clone)]
pub enum Medium {
    /// A real directory.
    Directory(Directory),
    /// Memory.
    Memory(Memory),
}

impl Disk for Medium {
    type File = File;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        match self {
            Medium::Directory(directory) => directory.list(),
            Medium::Memory(memory) => memory.list(),
        }
    }

    fn create(&mut self, name: &str, bytes: u64) -> Result<File, DiskError> {
        match self {
            Medium::Directory(directory) => directory.create(name, bytes),
            Medium::Memory(memory) => memory.create(name, bytes),
        }
    }

    fn open(&mut self, name: &str) -> Result<File, DiskError> {
        match self {
            Medium::Directory(directory) => directory.open(name),
            Medium::Memory(memory) => memory.open(name),
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        match self {
            Medium::Directory(directory) => directory.rename(from, to),
            Medium::Memory(memory) => memory.rename(from, to),
        }
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        match self {
            Medium::Directory(directory) => directory.remove(name),
            Medium::Memory(memory) => memory.remove(name),
        }
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        match self {
            Medium::Directory(directory) => directory.sync_names(),
            Medium::Memory(memory) => memory.sync_names(),
        }
    }

    fn forget(&mut self, names: &[String]) -> Result<(), DiskError> {
        match self {
            Medium::Directory(directory) => directory.forget(names),
            Medium::Memory(memory) => memory.forget(names),
        }
    }
}

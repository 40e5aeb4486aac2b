//! A file's bytes as shared memory, to store into.
//!
//! Nobody ever gets a reference into it: it is written by copying bytes in, and read by the file's own reads. So it
//! does not matter to the language that the machine, or another process, changes the file. It does matter to the
//! process: a store beyond the end of a file that somebody has truncated, or one that the disk has no room for, ends
//! the process with SIGBUS. Files are really reserved before they are mapped; nothing helps against truncation.

use memmap2::{MmapOptions, MmapRaw};
use std::io;
use std::sync::{Mutex, PoisonError};

pub(super) struct Mapped {
    memory: MmapRaw,
    /// Held while bytes are copied in: two that copy to one place would race.
    copying: Mutex<()>,
}

impl Mapped {
    /// Maps the first bytes of a file.
    pub(super) fn new(file: &std::fs::File, bytes: u64) -> io::Result<Mapped> {
        let length = usize::try_from(bytes).map_err(io::Error::other)?;
        let memory = MmapOptions::new().len(length).map_raw(file)?;
        Ok(Mapped { memory, copying: Mutex::new(()) })
    }

    /// Copies bytes to an offset; all of them must lie within the mapping.
    pub(super) fn store(&self, offset: u64, bytes: &[u8]) {
        let offset = usize::try_from(offset).expect("within the mapping, whose length is one");
        let is_within = offset.checked_add(bytes.len()).is_some_and(|end| end <= self.memory.len());
        assert!(is_within, "{} bytes at {offset} of a mapping of {}", bytes.len(), self.memory.len());
        let _copying = self.copying.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the target lies within the mapping, which lives as long as `self` and is mapped for writing. Within
        // this process it is touched by this function only, one call at a time, and never lent, so the source can't
        // overlap it. Others who change the file change bytes that nobody here reads through the mapping.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.memory.as_mut_ptr().add(offset), bytes.len()) }
    }
}

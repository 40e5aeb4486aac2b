//! A file in memory, for the floors that store through a map.

use memmap2::MmapMut;
use std::fs::File;
use std::io;

/// A file and its bytes.
#[derive(Debug)]
pub(super) struct Mapped {
    map: MmapMut,
    file: File,
}

impl Mapped {
    /// Maps the whole file, whose space must be there already.
    pub(super) fn new(file: File) -> io::Result<Mapped> {
        // SAFETY: the file is one of `Ground::zeroed`: this process has just made it, under a new name in a directory
        // that only its own user may enter, and nobody else writes to it or truncates it while the value lives. Its
        // space is allocated and written, so that no store can fail for want of it.
        let map = unsafe { MmapMut::map_mut(&file)? };
        Ok(Mapped { map, file })
    }

    /// Its bytes.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.map
    }

    /// Waits until what was stored is on the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Forgets the pages and maps them anew: the next store to each is a fault again, as in a segment that was not
    /// touched yet.
    pub(super) fn again(self) -> io::Result<Mapped> {
        let Mapped { map, file } = self;
        drop(map);
        Mapped::new(file)
    }
}

//! Dropping what memory holds of files, so that what is read of them is what the disk has.
//!
//! ```text
//!  each file: sync --> drop its pages --> is one of them still there?   none: what is read now, the disk has
//!               ^                            | one is                   some, every time: refused
//!               `----------------------------'
//! ```
//!
//! When the machine can't write a page of a file it tells so once, to who syncs, and then takes the page for written:
//! whoever reads gets from memory what no disk ever took, and the next sync succeeds. Such a page is clean, so it can
//! be dropped like any other. Asking for that is not enough: the machine keeps pages that somebody has mapped, and says
//! nothing. So each page is asked for: a map of the file that nobody reads through tells which are in memory.
//!
//! The sync before it is for pages that were written since, and wait for the disk: those can't be dropped. Whether it
//! succeeds does not matter: if it does not, they are dropped, too, and what the disk has is read.
//!
//! This is about the bytes of files. Their names and sizes are the file system's own, and one that can't write those
//! stops, as long as it keeps a log.

use super::directory::Directory;
use super::file::File;
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::Advice;
use std::io;
use std::thread;
use std::time::Duration;

/// How often a file is tried: somebody may be reading it for a backup at that moment.
const ATTEMPTS: usize = 5;
/// How long whoever that is gets before the next attempt. Only a start waits for it.
const PAUSE: Duration = Duration::from_millis(50);
/// Bytes that are asked for at once; a multiple of every page's size.
const STRETCH_BYTES: usize = 1 << 30;

impl Directory {
    /// Drops what memory holds of these files. An error names one of which something is still held.
    pub(super) fn forget_all(&mut self, names: &[String]) -> Result<(), DiskError> {
        names.iter().try_for_each(|name| forget(&self.open(name)?))
    }
}

fn forget(file: &File) -> Result<(), DiskError> {
    let failed = |error: io::Error| file.failed("drop from memory", &error);
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            thread::sleep(PAUSE);
        }
        let _ = file.sync();
        rustix::fs::fadvise(file.descriptor(), 0, None, Advice::DontNeed).map_err(|error| failed(error.into()))?;
        if held_pages(file).map_err(failed)? == 0 {
            return Ok(());
        }
    }
    Err(failed(io::Error::other("the machine keeps it there; somebody else may be using it")))
}

/// How many pages of a file are in memory.
pub(super) fn held_pages(file: &File) -> io::Result<usize> {
    let length = usize::try_from(file.bytes()).map_err(io::Error::other)?;
    // Nothing can't be mapped.
    if length == 0 {
        return Ok(0);
    }
    let map = MmapOptions::new().len(length).map_raw_read_only(file.descriptor())?;
    let page_bytes = rustix::param::page_size();
    let mut held = vec![0_u8; length.min(STRETCH_BYTES).div_ceil(page_bytes)];
    let mut count = 0;
    for begin in (0..length).step_by(STRETCH_BYTES) {
        let pages = &mut held[..(length - begin).min(STRETCH_BYTES).div_ceil(page_bytes)];
        ask(&map, begin, (length - begin).min(STRETCH_BYTES), pages)?;
        // The other bits are the machine's to use.
        count += pages.iter().filter(|page| **page & 1 != 0).count();
    }
    Ok(count)
}

/// Fills in, for each page of a stretch of a map, whether it is in memory.
fn ask(map: &MmapRaw, begin: usize, bytes: usize, pages: &mut [u8]) -> io::Result<()> {
    assert!(begin + bytes <= map.len() && pages.len() >= bytes.div_ceil(rustix::param::page_size()));
    // SAFETY: the call reads nothing of the stretch, which lies within a map that lives as long as the call and begins
    // at a page, as stretches are whole pages. It writes one byte for each of its pages, and there are as many.
    let outcome = unsafe { libc::mincore(map.as_mut_ptr().add(begin).cast(), bytes, pages.as_mut_ptr()) };
    if outcome == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

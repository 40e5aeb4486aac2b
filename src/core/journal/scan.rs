//! One stretch of a segment, item after item, through a bounded buffer.
//!
//! ```text
//!  file   ...|item|item|item|ite|m|item|...
//!            '--- read ahead ----'                 an item that is cut is read again, whole
//!  next ---> (offset, item), every one with its checksum verified
//! ```
//!
//! Bytes come by [`DiskFile::read`] and never through a mapping: a place that can't be read is an error and no signal.
//! Within the stretch that the caller names everything was written once, so zeros there are damage like any other.

use super::disk::{DiskError, DiskFile};
use super::format::{Found, HEADER_BYTES, HeaderFault, Item, SegmentHeader, read_item};
use std::fmt;

/// Bytes that are read at once, at the most, unless one item is larger.
const READ_BYTES: usize = 128 * 1024;

/// Why a stretch of a file can't be read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where in the file.
    pub offset: u64,
    /// What is the matter.
    pub kind: FaultKind,
}

/// What is the matter with a stretch of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FaultKind {
    /// The bytes are not what was written.
    Damaged(&'static str),
    /// It was written by a newer release, in this version of the format.
    Newer(u16),
    /// The medium did not give the bytes.
    Disk(DiskError),
}

impl Fault {
    /// Bytes that are not what was written, and what is wrong with them.
    pub fn damaged(offset: u64, what: &'static str) -> Fault {
        Fault { offset, kind: FaultKind::Damaged(what) }
    }

    /// A medium that did not do as it was asked to.
    pub fn disk(offset: u64, error: DiskError) -> Fault {
        Fault { offset, kind: FaultKind::Disk(error) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            FaultKind::Damaged(what) => write!(formatter, "damaged at offset {}: {what}", self.offset),
            FaultKind::Newer(version) => {
                write!(formatter, "written by a newer release, in version {version} of the format")
            }
            FaultKind::Disk(error) => write!(formatter, "unreadable at offset {}: {error}", self.offset),
        }
    }
}

impl std::error::Error for Fault {}

/// Reads the header of a segment.
pub fn read_header(file: &impl DiskFile) -> Result<SegmentHeader, Fault> {
    let mut bytes = [0; HEADER_BYTES as usize];
    if file.bytes() < u64::from(HEADER_BYTES) {
        return Err(Fault::damaged(0, "too short for a segment's header"));
    }
    file.read(0, &mut bytes).map_err(|error| Fault::disk(0, error))?;
    let header = SegmentHeader::decode(&bytes).map_err(|fault| match fault {
        HeaderFault::Foreign => Fault::damaged(0, "not a segment"),
        HeaderFault::Newer(version) => Fault { offset: 0, kind: FaultKind::Newer(version) },
        HeaderFault::Damaged => Fault::damaged(0, "the segment's header does not fit its checksum"),
    })?;
    if header.bytes != file.bytes() {
        return Err(Fault::damaged(0, "the file is not as long as its header says"));
    }
    Ok(header)
}

/// An item and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed<'a> {
    /// Where it begins.
    pub offset: u32,
    /// How long it is.
    pub bytes: u32,
    /// Its checksum.
    pub checksum: u32,
    /// The item.
    pub item: Item<'a>,
}

/// A scan in progress.
#[derive(Debug)]
pub struct Scan<'a, F> {
    file: &'a F,
    salt: u32,
    /// Where the next item stands.
    offset: u32,
    /// Where the stretch ends.
    end: u32,
    buffer: Vec<u8>,
    /// Where in the buffer the next item stands.
    at: usize,
}

impl<'a, F: DiskFile> Scan<'a, F> {
    /// Scans from an item's offset to behind the last one. Both must lie within the file.
    pub fn new(file: &'a F, salt: u32, offset: u32, end: u32) -> Scan<'a, F> {
        Scan { file, salt, offset, end, buffer: Vec::new(), at: 0 }
    }

    /// Where the next item stands.
    pub fn offset(&self) -> u32 {
        self.offset
    }

    /// Whether nothing was written from here on: the stretch ends here, or the next item's length is zero.
    pub fn at_zeros(&mut self) -> Result<bool, Fault> {
        if self.end.saturating_sub(self.offset) < 4 {
            return Ok(true);
        }
        if self.buffer.len() - self.at < 4 {
            self.read(READ_BYTES.min((self.end - self.offset) as usize))?;
        }
        Ok(length_at(&self.buffer[self.at..]) == 0)
    }

    /// The next item; none at the end of the stretch.
    pub fn next_item(&mut self) -> Result<Option<Placed<'_>>, Fault> {
        if self.offset >= self.end {
            return Ok(None);
        }
        let length = self.fill()?;
        let (offset, at) = (self.offset, self.at);
        let Found::Item { item, bytes, checksum } = read_item(&self.buffer[at..at + length], self.salt) else {
            return Err(Fault::damaged(u64::from(offset), NO_ITEM));
        };
        self.offset += bytes;
        self.at += length;
        Ok(Some(Placed { offset, bytes, checksum, item }))
    }

    /// Gets the whole of the next item into the buffer, and its length.
    fn fill(&mut self) -> Result<usize, Fault> {
        let left = (self.end - self.offset) as usize;
        if left < 4 {
            return Err(Fault::damaged(u64::from(self.offset), TOO_LONG));
        }
        if self.buffer.len() - self.at < 4 {
            self.read(READ_BYTES.min(left))?;
        }
        let length = length_at(&self.buffer[self.at..]);
        if length > left {
            return Err(Fault::damaged(u64::from(self.offset), TOO_LONG));
        }
        if length > self.buffer.len() - self.at {
            self.read(length.max(READ_BYTES).min(left))?;
        }
        Ok(length)
    }

    fn read(&mut self, bytes: usize) -> Result<(), Fault> {
        self.buffer.resize(bytes, 0);
        self.at = 0;
        self.file
            .read(u64::from(self.offset), &mut self.buffer)
            .map_err(|error| Fault::disk(u64::from(self.offset), error))
    }
}

/// What is wrong with bytes that are no item.
pub(super) const NO_ITEM: &str = "no item of this segment stands there, or its checksum does not fit";

/// What is wrong with an item that is longer than what was written.
pub(super) const TOO_LONG: &str = "an item goes on behind the end of all items";

fn length_at(bytes: &[u8]) -> usize {
    u32::from_le_bytes(*bytes.first_chunk().expect("four bytes are there")) as usize
}

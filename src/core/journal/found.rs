//! What a journal's directory holds when it is opened: its files by their names, and the headers of its segments.
//!
//! ```text
//!  names --> segments, snapshots, what was not finished
//!              '--> each header: whose, where it begins; each index: where it ends
//! ```
//!
//! What is another journal's, or a newer release's, is refused here. What is damaged is found, and judged by recovery.

use super::catalog::SegmentEnd;
use super::disk::{Disk, DiskError, DiskFile};
use super::format::{HEADER_BYTES, HeaderFault, SegmentHeader};
use super::names::{self, Kind};
use super::open_error::{Fault, OpenError};
use super::replay::written_end;
use super::state::State;
use super::tasks::{Indexing, snapshot_bases};

/// A segment as it was found.
pub(super) struct FoundSegment<F> {
    pub(super) base: u64,
    pub(super) file: F,
    /// None: zeros stand where it belongs, or damage.
    pub(super) header: Option<SegmentHeader>,
    /// What is wrong with it.
    pub(super) fault: Option<Fault>,
    /// Where it ends, as far as that is known.
    pub(super) end: Option<SegmentEnd>,
    /// Whether it has a sound index: then it was synced.
    pub(super) is_indexed: bool,
}

/// What files there are.
pub(super) struct Directory {
    pub(super) segments: Vec<u64>,
    pub(super) snapshots: Vec<u64>,
    pub(super) making: Vec<String>,
}

impl Directory {
    pub(super) fn list<D: Disk>(disk: &mut D) -> Result<Directory, OpenError> {
        let names = disk.list().map_err(|error| OpenError::disk("the directory", error))?;
        let segment = |name: &String| match names::kind(name) {
            Kind::Segment(base) => Some(base),
            _ => None,
        };
        let mut segments: Vec<u64> = names.iter().filter_map(segment).collect();
        segments.sort_unstable();
        let snapshots = snapshot_bases(&names);
        let making = names.into_iter().filter(|name| names::kind(name) == Kind::Making).collect();
        Ok(Directory { segments, snapshots, making })
    }

    /// Whether there is more than an empty first segment, which is all while the journal is still being made.
    pub(super) fn is_touched<D: Disk>(&self, disk: &mut D) -> Result<bool, OpenError> {
        for base in &self.segments {
            let name = names::segment(*base);
            let file = disk.open(&name).map_err(|error| OpenError::disk(&name, error))?;
            let written = written_end(&file, HEADER_BYTES).map_err(|error| OpenError::disk(&name, error))?;
            if *base != 1 || written > HEADER_BYTES {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether there are segments, not just one, and all whose header can be read are this journal's.
    fn is_of_one<D: Disk>(&self, disk: &mut D, journal: [u8; 16]) -> Result<bool, OpenError> {
        let mut is_of_one = self.segments.len() > 1;
        for base in &self.segments {
            let name = names::segment(*base);
            let header = disk.open(&name).and_then(|file| header_of(&file));
            let header = header.map_err(|error| OpenError::disk(&name, error))?;
            is_of_one &= header.is_err() || header.is_ok_and(|header| header.journal == journal);
        }
        Ok(is_of_one)
    }

    /// What can be known without a state file, or the fault that it has.
    pub(super) fn state_of_headers<D: Disk>(&self, disk: &mut D, fault: Fault) -> Result<State, OpenError> {
        for base in self.segments.iter().rev() {
            let name = names::segment(*base);
            let file = disk.open(&name).map_err(|error| OpenError::disk(&name, error))?;
            if let Ok(Ok(header)) = header_of(&file) {
                let mut state = State::unknown(header.journal);
                state.epoch = header.epoch;
                return Ok(state);
            }
        }
        Err(OpenError::new(names::STATE, fault))
    }
}

fn header_of<F: DiskFile>(file: &F) -> Result<Result<SegmentHeader, HeaderFault>, DiskError> {
    let mut bytes = [0; HEADER_BYTES as usize];
    if file.bytes() < u64::from(HEADER_BYTES) {
        return Ok(Err(HeaderFault::Damaged));
    }
    file.read(0, &mut bytes)?;
    Ok(SegmentHeader::decode(&bytes))
}

pub(super) fn found_segments<D: Disk>(
    disk: &mut D,
    directory: &Directory,
    indexing: &Indexing<D>,
    state: &State,
) -> Result<Vec<FoundSegment<D::File>>, OpenError> {
    let mut segments = Vec::new();
    for base in &directory.segments {
        let name = names::segment(*base);
        let on_disk = |error| OpenError::disk(&name, error);
        let file = disk.open(&name).map_err(on_disk)?;
        let (header, fault) = match header_of(&file).map_err(on_disk)? {
            Ok(header) if header.journal != state.journal => {
                return Err(match directory.is_of_one(disk, header.journal)? {
                    true => OpenError::new(names::STATE, Fault::StateForeign),
                    false => OpenError::new(&name, Fault::Foreign),
                });
            }
            Ok(header) if header.base != *base || *base == 0 => {
                return Err(OpenError::new(&name, Fault::Misnamed { base: header.base }));
            }
            Ok(header) if header.bytes != file.bytes() || header.bytes > u64::from(u32::MAX) => {
                (None, Some(Fault::Size { bytes: file.bytes(), expected: header.bytes }))
            }
            Ok(header) => (Some(header), None),
            Err(HeaderFault::Newer(version)) => return Err(OpenError::new(&name, Fault::Newer { version })),
            Err(_) if file.bytes() < u64::from(HEADER_BYTES) => {
                (None, Some(Fault::Size { bytes: file.bytes(), expected: HEADER_BYTES.into() }))
            }
            Err(fault) => {
                let mut bytes = [0; HEADER_BYTES as usize];
                file.read(0, &mut bytes).map_err(on_disk)?;
                let is_blank = bytes.iter().all(|byte| *byte == 0);
                let fault = if fault == HeaderFault::Foreign { Fault::NoSegment } else { Fault::HeaderDamaged };
                (None, (!is_blank).then_some(fault))
            }
        };
        let end = match &header {
            Some(header) => {
                (indexing.end)(disk, header).map_err(|error| OpenError::disk(&names::index(*base), error))?
            }
            None => None,
        };
        let is_indexed = end.is_some();
        segments.push(FoundSegment { base: *base, file, header, fault, end, is_indexed });
    }
    Ok(segments)
}

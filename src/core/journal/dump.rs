//! All records of a journal's directory, offline, in their order.

use super::disk::{Disk, DiskError};
use super::format::{HEADER_BYTES, Item, Record};
use super::scan::{Fault, Scan, read_header};
use super::verify::segments_of;
use std::fmt;
use std::ops::ControlFlow;

/// Why not all records could be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DumpError {
    /// The directory can't be read.
    Disk(DiskError),
    /// A segment can't be read on.
    Fault {
        /// Its base.
        base: u64,
        /// Where and what.
        fault: Fault,
    },
}

impl fmt::Display for DumpError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DumpError::Disk(error) => write!(formatter, "{error}"),
            DumpError::Fault { base, fault } => write!(formatter, "{base:020}.segment: {fault}"),
        }
    }
}

impl std::error::Error for DumpError {}

/// One record with what it is part of.
#[derive(Debug, Clone, Copy)]
pub struct Dumped<'a> {
    /// The segment's base.
    pub base: u64,
    /// Where in the segment it stands.
    pub offset: u32,
    /// Its epoch.
    pub epoch: u64,
    /// The topic's name.
    pub topic: &'a [u8],
    /// The record.
    pub record: Record<'a>,
}

/// Shows every record from a position on, until told to stop or the last one.
///
/// # Errors
/// When the directory can't be read, or where an item is damaged: what comes behind that in its segment can't be told.
/// At the end of the last segment that may be a write that was never finished.
pub fn dump<D: Disk>(
    disk: &mut D,
    position: u64,
    mut visit: impl FnMut(&Dumped<'_>) -> ControlFlow<()>,
) -> Result<(), DumpError> {
    let segments = segments_of(disk).map_err(DumpError::Disk)?;
    let begin = segments.partition_point(|(base, _)| *base <= position).saturating_sub(1);
    for (base, file) in &segments[begin..] {
        let at = |fault| DumpError::Fault { base: *base, fault };
        let header = read_header(file).map_err(at)?;
        let end = u32::try_from(header.bytes).unwrap_or(u32::MAX);
        let mut scan = Scan::new(file, header.salt(), HEADER_BYTES, end);
        let mut names: Vec<Vec<u8>> = Vec::new();
        while !scan.at_zeros().map_err(at)? {
            let Some(placed) = scan.next_item().map_err(at)? else { break };
            match placed.item {
                Item::Batch(_) => {}
                Item::Topic(topic) => names.push(topic.name.to_vec()),
                Item::Record(record) => {
                    let nameless =
                        || at(Fault::damaged(u64::from(placed.offset), "a record of a topic without a name"));
                    let topic = names.get(record.topic as usize).ok_or_else(nameless)?;
                    let (base, offset, epoch) = (*base, placed.offset, header.epoch);
                    let dumped = Dumped { base, offset, epoch, topic, record };
                    if record.position >= position && visit(&dumped).is_break() {
                        return Ok(());
                    }
                }
            }
        }
    }
    Ok(())
}

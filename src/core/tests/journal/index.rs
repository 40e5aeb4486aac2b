//! The least that an index of a sealed segment can be: where the segment ends.

use crate::disk::{SimulatedDisk, SimulatedFile};
use fanwire_core::journal::Indexing;
use fanwire_core::journal::catalog::{Segment, SegmentEnd};
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use fanwire_core::journal::format::SegmentHeader;
use fanwire_core::journal::names;

const BYTES: usize = 24;

pub(crate) const PLAIN: Indexing<SimulatedDisk> = Indexing { build, end };

fn build(disk: &mut SimulatedDisk, segment: &Segment<SimulatedFile>) -> Result<(), DiskError> {
    let end = segment.end.expect("a segment that is sealed has an end");
    let mut bytes = [0; BYTES];
    bytes[..4].copy_from_slice(&end.offset.to_le_bytes());
    bytes[4..12].copy_from_slice(&end.position.to_le_bytes());
    bytes[12..20].copy_from_slice(&end.time_us.to_le_bytes());
    let checksum = crc32c::crc32c_append(segment.salt, &bytes[..20]);
    bytes[20..].copy_from_slice(&checksum.to_le_bytes());
    let name = names::index(segment.base);
    let making = names::making(&name);
    let file = disk.create(&making, BYTES as u64)?;
    file.write(0, &bytes)?;
    file.sync()?;
    disk.rename(&making, &name)
}

fn end(disk: &mut SimulatedDisk, header: &SegmentHeader) -> Result<Option<SegmentEnd>, DiskError> {
    let file = match disk.open(&names::index(header.base)) {
        Ok(file) if file.bytes() == BYTES as u64 => file,
        Ok(_) | Err(DiskError::Missing) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = [0; BYTES];
    file.read(0, &mut bytes)?;
    let checksum = crc32c::crc32c_append(header.salt(), &bytes[..20]);
    let end = SegmentEnd {
        offset: u32::from_le_bytes(bytes[..4].try_into().expect("four bytes")),
        position: u64::from_le_bytes(bytes[4..12].try_into().expect("eight bytes")),
        time_us: u64::from_le_bytes(bytes[12..20].try_into().expect("eight bytes")),
    };
    Ok((bytes[20..] == checksum.to_le_bytes()).then_some(end))
}

//! The snapshot of what was known just before a segment: what a start needs besides the segments from there on.
//!
//! ```text
//!  header 64 | topic: sequence, base, offset, name | ... | producer: id, position, (number, sequence) * n | ...
//! ```
//!
//! One checksum covers all of it. A snapshot is written by whoever seals the segment before its base, from the snapshot
//! before that and the segment: the log's own thread never stops for it.

use super::disk::{Disk, DiskError, DiskFile};
use super::names;
use super::producers::{WINDOW, Window};
use super::standing::Standing;
use super::state::store_whole;
use std::collections::VecDeque;

const MAGIC: [u8; 8] = *b"FWSNAP\r\n";
const VERSION: u16 = 1;
const HEADER_BYTES: usize = 64;

/// Why a file is no snapshot that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SnapshotFault {
    /// A newer release wrote it, in this version.
    Newer(u16),
    /// It is none of this journal and base, or damaged.
    Damaged,
    /// It can't be read.
    Disk(DiskError),
}

/// The bytes of a snapshot.
pub(super) fn encode(standing: &Standing, journal: [u8; 16], base: u64) -> Vec<u8> {
    let mut out = vec![0; HEADER_BYTES];
    let mut topics = 0_u32;
    for (name, end) in standing.topics.iter() {
        out.extend_from_slice(&end.sequence.to_le_bytes());
        out.extend_from_slice(&end.base.to_le_bytes());
        out.extend_from_slice(&end.offset.to_le_bytes());
        out.extend_from_slice(&u16::try_from(name.len()).expect("names are short").to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        topics += 1;
    }
    let producers = standing.producers.sorted();
    for (id, window) in &producers {
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&window.position.to_le_bytes());
        out.extend_from_slice(&(window.accepted.len() as u32).to_le_bytes());
        for (number, sequence) in &window.accepted {
            out.extend_from_slice(&number.to_le_bytes());
            out.extend_from_slice(&sequence.to_le_bytes());
        }
    }
    out[..8].copy_from_slice(&MAGIC);
    out[8..10].copy_from_slice(&VERSION.to_le_bytes());
    out[10..12].copy_from_slice(&u16::from(standing.is_partial).to_le_bytes());
    out[16..32].copy_from_slice(&journal);
    out[32..40].copy_from_slice(&base.to_le_bytes());
    out[40..48].copy_from_slice(&standing.position.to_le_bytes());
    out[48..56].copy_from_slice(&standing.time_us.to_le_bytes());
    out[56..60].copy_from_slice(&topics.to_le_bytes());
    out[60..64].copy_from_slice(&(producers.len() as u32).to_le_bytes());
    let checksum = crc32c::crc32c(&out);
    out[12..16].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// What was known, of a snapshot's bytes.
pub(super) fn decode(bytes: &[u8], journal: [u8; 16], base: u64, seed: u64) -> Result<Standing, SnapshotFault> {
    let header = bytes.first_chunk::<HEADER_BYTES>().ok_or(SnapshotFault::Damaged)?;
    if header[..8] != MAGIC {
        return Err(SnapshotFault::Damaged);
    }
    let version = u16::from_le_bytes([header[8], header[9]]);
    if version > VERSION {
        return Err(SnapshotFault::Newer(version));
    }
    let checksum = u32::from_le_bytes(header[12..16].try_into().expect("four bytes"));
    let mut blank = *header;
    blank[12..16].fill(0);
    if crc32c::crc32c_append(crc32c::crc32c(&blank), &bytes[HEADER_BYTES..]) != checksum {
        return Err(SnapshotFault::Damaged);
    }
    let mut rest = Rest(&header[16..]);
    if rest.take(16) != Some(&journal) || rest.eight() != Some(base) {
        return Err(SnapshotFault::Damaged);
    }
    let standing = body(&mut rest, &bytes[HEADER_BYTES..], header[10] != 0, seed);
    standing.filter(|standing| standing.position.checked_add(1) == Some(base)).ok_or(SnapshotFault::Damaged)
}

fn body(header: &mut Rest<'_>, body: &[u8], is_partial: bool, seed: u64) -> Option<Standing> {
    let mut standing = Standing::new(seed);
    standing.is_partial = is_partial;
    standing.position = header.eight()?;
    standing.time_us = header.eight()?;
    let (topics, producers) = (header.four()?, header.four()?);
    let mut rest = Rest(body);
    for _ in 0..topics {
        let (sequence, base, offset) = (rest.eight()?, rest.eight()?, rest.four()?);
        let name_bytes = rest.two()?;
        let name = str::from_utf8(rest.take(name_bytes.into())?).ok()?;
        if standing.topics.find(name).is_some() || !standing.topics.has_room_for(name) || sequence == 0 {
            return None;
        }
        let key = standing.topics.insert(name);
        let topic = standing.topics.get_mut(key);
        (topic.sequence, topic.base, topic.offset) = (sequence, base, offset);
    }
    for _ in 0..producers {
        let (id, position, count) = (rest.eight()?, rest.eight()?, rest.four()?);
        let mut accepted = VecDeque::new();
        for _ in 0..count {
            let (number, sequence) = (rest.eight()?, rest.eight()?);
            if accepted.back().is_some_and(|(newest, _)| *newest >= number) || accepted.len() == WINDOW {
                return None;
            }
            accepted.push_back((number, sequence));
        }
        standing.producers.restore(id, Window { position, accepted });
    }
    rest.0.is_empty().then_some(standing)
}

/// Bytes that are still to be read.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn two(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_le_bytes(bytes.try_into().expect("two bytes")))
    }

    fn four(&mut self) -> Option<u32> {
        self.take(4).map(|bytes| u32::from_le_bytes(bytes.try_into().expect("four bytes")))
    }

    fn eight(&mut self) -> Option<u64> {
        self.take(8).map(|bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")))
    }
}

/// Writes the snapshot of a base; it is durable afterwards.
pub(super) fn store<D: Disk>(disk: &mut D, standing: &Standing, journal: [u8; 16], base: u64) -> Result<(), DiskError> {
    store_whole(disk, &names::snapshot(base), &encode(standing, journal, base))
}

/// Reads the snapshot of a base.
pub(super) fn load<D: Disk>(disk: &mut D, journal: [u8; 16], base: u64, seed: u64) -> Result<Standing, SnapshotFault> {
    let file = disk.open(&names::snapshot(base)).map_err(SnapshotFault::Disk)?;
    let mut bytes = vec![0; usize::try_from(file.bytes()).map_err(|_| SnapshotFault::Damaged)?];
    file.read(0, &mut bytes).map_err(SnapshotFault::Disk)?;
    decode(&bytes, journal, base, seed)
}

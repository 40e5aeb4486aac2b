//! The bytes of a segment, as protocol.md says of journal files: a header, then items to the end, then zeros.
//!
//! ```text
//!  segment  | header 64 | batch | topic 0 "a/b" | record of 0 | record of 0 | batch | record of 0 | 0 0 0 0 ...
//!  item     | length u32 | checksum u32 | kind u8 | ...
//!                                        '---- checksum covers from here to the item's end, and the segment's header
//! ```
//!
//! An item's checksum begins with that of its segment's header, so that an item of another segment, or of an earlier
//! life of the same space, is no item here. A batch also names the checksum of the item before it: what was lost in
//! between shows. A topic's name stands once in a segment, before its first record there, with where its records go on
//! in earlier segments; a record names the one before it in the segment: so the way back through a topic is a list.
//!
//! Numbers are little-endian. Reading trusts nothing: whatever bytes come, the answer is an item, its damage, or the
//! end.

pub use fanwire_wire::frame::Producer;

/// Bytes of a segment's header; the first item stands behind it.
pub const HEADER_BYTES: u32 = 64;
/// The version of the format that is written. Version 1 is read, too: its batches do not tell their rest.
pub const VERSION: u16 = 2;
/// Bytes of an item before what is its kind's own: length, checksum, kind, flags, two more of its kind.
const ITEM_BYTES_MIN: usize = 12;
/// Bytes of a batch item.
pub const BATCH_BYTES: u32 = 48;
/// Bytes of a topic item besides the name.
pub const TOPIC_BYTES: u32 = 40;
/// Bytes of a record item besides producer, headers and payload.
pub const RECORD_BYTES: u32 = 56;
/// Bytes that a producer adds to a record.
pub const PRODUCER_BYTES: u32 = 16;
/// What no base is.
pub const NO_BASE: u64 = u64::MAX;

const MAGIC: [u8; 8] = *b"FWJRNL\r\n";
/// Stands in every batch, so that batches behind a damaged place are found again.
pub const BATCH_MARK: [u8; 8] = [0xF5, b'F', b'W', b'B', b'A', b'T', b'C', b'H'];

/// What three bytes hold.
const REST_MAX: u32 = (1 << 24) - 1;

const BATCH: u8 = 1;
const TOPIC: u8 = 2;
const RECORD: u8 = 3;
const HAS_PRODUCER: u8 = 0x01;

/// A segment's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The version of the format that it was written in.
    pub version: u16,
    /// Names the journal, so that another one's segment is known as foreign.
    pub journal: [u8; 16],
    /// Its records have this position or a later one.
    pub base: u64,
    /// The epoch that all its records were written in.
    pub epoch: u64,
    /// When it was made, in microseconds since 1970-01-01 UTC.
    pub created_us: u64,
    /// The file's size.
    pub bytes: u64,
    /// Whether records were left out since it was written, so that positions and sequences may skip.
    pub is_compacted: bool,
}

/// Why bytes are no header of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderFault {
    /// It does not begin as one.
    Foreign,
    /// It was written by a newer release, in this version of the format.
    Newer(u16),
    /// Its checksum does not fit, or a field can't be.
    Damaged,
}

impl SegmentHeader {
    /// Its bytes.
    pub fn encode(&self) -> [u8; HEADER_BYTES as usize] {
        let mut out = [0; HEADER_BYTES as usize];
        out[..8].copy_from_slice(&MAGIC);
        out[8..10].copy_from_slice(&self.version.to_le_bytes());
        out[10..12].copy_from_slice(&u16::from(self.is_compacted).to_le_bytes());
        out[16..32].copy_from_slice(&self.journal);
        out[32..40].copy_from_slice(&self.base.to_le_bytes());
        out[40..48].copy_from_slice(&self.epoch.to_le_bytes());
        out[48..56].copy_from_slice(&self.created_us.to_le_bytes());
        out[56..64].copy_from_slice(&self.bytes.to_le_bytes());
        let checksum = crc32c::crc32c(&out);
        out[12..16].copy_from_slice(&checksum.to_le_bytes());
        out
    }

    /// The header of these bytes.
    pub fn decode(bytes: &[u8; HEADER_BYTES as usize]) -> Result<SegmentHeader, HeaderFault> {
        if bytes[..8] != MAGIC {
            return Err(HeaderFault::Foreign);
        }
        let version = u16_at(bytes, 8);
        if version > VERSION {
            return Err(HeaderFault::Newer(version));
        }
        let mut blank = *bytes;
        blank[12..16].fill(0);
        let is_sound = version > 0 && u16_at(bytes, 10) <= 1 && crc32c::crc32c(&blank) == u32_at(bytes, 12);
        if !is_sound {
            return Err(HeaderFault::Damaged);
        }
        let mut journal = [0; 16];
        journal.copy_from_slice(&bytes[16..32]);
        Ok(SegmentHeader {
            version,
            journal,
            base: u64_at(bytes, 32),
            epoch: u64_at(bytes, 40),
            created_us: u64_at(bytes, 48),
            bytes: u64_at(bytes, 56),
            is_compacted: u16_at(bytes, 10) == 1,
        })
    }

    /// What the checksums of its items begin with.
    pub fn salt(&self) -> u32 {
        u32_at(&self.encode(), 12)
    }
}

/// What stands at the front of what was written with one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// Records in it.
    pub count: u32,
    /// Bytes of it, this item and the topics included.
    pub bytes: u32,
    /// The checksum of the item before it in the segment; the header's for the first.
    pub checksum_before: u32,
    /// The last position that was known to be synced when it was written.
    pub durable: u64,
    /// When it was written, in microseconds since 1970-01-01 UTC.
    pub time_us: u64,
    /// One more than the bytes behind its last byte with two bits or more; 0: not told. No single flipped bit makes
    /// that byte zero: where zeros begin before it, the batch was never whole.
    pub rest: u32,
}

impl Batch {
    /// The rest of a batch of these bytes.
    pub fn rest_of(bytes: &[u8]) -> u32 {
        let behind = bytes.iter().rev().position(|byte| byte.count_ones() > 1);
        behind.and_then(|behind| u32::try_from(behind + 1).ok()).filter(|rest| *rest <= REST_MAX).unwrap_or(0)
    }
}

/// A topic's name, and where its records go on in earlier segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicItem<'a> {
    /// What the segment's records call it; topics are numbered from 0 in their order.
    pub number: u32,
    /// The topic's last sequence before this segment; 0: none.
    pub sequence_before: u64,
    /// The base of the segment with that record; [`NO_BASE`]: none.
    pub base_before: u64,
    /// Where in that segment it stands.
    pub offset_before: u32,
    /// Where in this segment the topic item before it stands; 0: none.
    pub previous: u32,
    /// The name.
    pub name: &'a [u8],
}

/// One record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// The segment's number of the topic.
    pub topic: u32,
    /// Its number in the journal, from 1.
    pub position: u64,
    /// Its number in the topic, from 1.
    pub sequence: u64,
    /// When it was ordered, in microseconds since 1970-01-01 UTC; never less than before it.
    pub time_us: u64,
    /// Names the session that published it, as long as the broker ran.
    pub publisher: u64,
    /// Where in the segment the topic's record before it stands; 0: none.
    pub previous: u32,
    /// What makes it idempotent, if it is.
    pub producer: Option<Producer>,
    /// The headers block as the publisher sent it.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

impl Record<'_> {
    /// Bytes that it takes.
    pub const fn bytes(&self) -> usize {
        let producer = if self.producer.is_some() { PRODUCER_BYTES } else { 0 };
        (RECORD_BYTES + producer) as usize + self.headers.len() + self.payload.len()
    }
}

/// One item of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// A batch begins.
    Batch(Batch),
    /// A topic gets its number.
    Topic(TopicItem<'a>),
    /// A record.
    Record(Record<'a>),
}

/// What stands at a place in a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'a> {
    /// An item that is whole.
    Item {
        /// The item.
        item: Item<'a>,
        /// Its length.
        bytes: u32,
        /// Its checksum.
        checksum: u32,
    },
    /// Nothing was written here: the length is zero.
    End,
    /// The item goes on behind the bytes that were given.
    Cut {
        /// Its length, if it is one.
        bytes: u32,
    },
    /// No item of this segment.
    Damage,
}

/// Reads what stands at the front of `bytes`, in a segment with this salt.
pub fn read_item(bytes: &[u8], salt: u32) -> Found<'_> {
    let Some(length) = bytes.first_chunk::<4>() else {
        return Found::Cut { bytes: 4 };
    };
    let length = u32::from_le_bytes(*length);
    if length == 0 {
        return Found::End;
    }
    if (length as usize) < ITEM_BYTES_MIN {
        return Found::Damage;
    }
    let Some(item) = bytes.get(..length as usize) else {
        return Found::Cut { bytes: length };
    };
    let checksum = u32_at(item, 4);
    if crc32c::crc32c_append(salt, &item[8..]) != checksum {
        return Found::Damage;
    }
    parse_item(item).map_or(Found::Damage, |item| Found::Item { item, bytes: length, checksum })
}

/// The batch item that these bytes look like. It is for a segment whose header is lost, and its salt and version with
/// that: no checksum tells whether it is one.
pub(super) fn unproven_batch(item: &[u8]) -> Option<Batch> {
    match parse_item(item)? {
        Item::Batch(batch) if u32_at(item, 0) == BATCH_BYTES => Some(batch),
        _ => None,
    }
}

fn parse_item(item: &[u8]) -> Option<Item<'_>> {
    match item[8] {
        BATCH => parse_batch(item),
        TOPIC => parse_topic(item),
        RECORD => parse_record(item),
        _ => None,
    }
}

fn parse_batch(item: &[u8]) -> Option<Item<'_>> {
    let is_one = item.len() == BATCH_BYTES as usize && item[16..24] == BATCH_MARK;
    is_one.then(|| {
        Item::Batch(Batch {
            count: u32_at(item, 12),
            durable: u64_at(item, 24),
            bytes: u32_at(item, 32),
            checksum_before: u32_at(item, 36),
            time_us: u64_at(item, 40),
            rest: u32_at(item, 8) >> 8,
        })
    })
}

fn parse_topic(item: &[u8]) -> Option<Item<'_>> {
    let name = item.get(TOPIC_BYTES as usize..)?;
    let is_one = item[9] == 0 && usize::from(u16_at(item, 10)) == name.len();
    is_one.then(|| {
        Item::Topic(TopicItem {
            number: u32_at(item, 12),
            sequence_before: u64_at(item, 16),
            base_before: u64_at(item, 24),
            offset_before: u32_at(item, 32),
            previous: u32_at(item, 36),
            name,
        })
    })
}

fn parse_record(item: &[u8]) -> Option<Item<'_>> {
    let fixed = item.get(..RECORD_BYTES as usize)?;
    if fixed[9] & !HAS_PRODUCER != 0 || fixed[10..12] != [0; 2] {
        return None;
    }
    let mut rest = &item[RECORD_BYTES as usize..];
    let mut producer = None;
    if fixed[9] & HAS_PRODUCER != 0 {
        let (own, behind) = rest.split_at_checked(PRODUCER_BYTES as usize)?;
        producer = Some(Producer { id: u64_at(own, 0), number: u64_at(own, 8) });
        rest = behind;
    }
    let (headers, payload) = rest.split_at_checked(u32_at(fixed, 48) as usize)?;
    Some(Item::Record(Record {
        topic: u32_at(fixed, 12),
        position: u64_at(fixed, 16),
        sequence: u64_at(fixed, 24),
        time_us: u64_at(fixed, 32),
        publisher: u64_at(fixed, 40),
        previous: u32_at(fixed, 52),
        producer,
        headers,
        payload,
    }))
}

/// Appends an item and returns its checksum.
pub fn write_item(item: &Item<'_>, salt: u32, out: &mut Vec<u8>) -> u32 {
    let begin = out.len();
    if let Item::Batch(batch) = item {
        out.extend_from_slice(&[0; BATCH_BYTES as usize]);
        fill_batch(batch, salt, &mut out[begin..]);
        return u32_at(out, begin + 4);
    }
    out.extend_from_slice(&[0; 8]);
    match item {
        Item::Batch(_) => {}
        Item::Topic(topic) => write_topic(topic, out),
        Item::Record(record) => write_record(record, out),
    }
    seal(&mut out[begin..], salt)
}

/// Puts length and checksum into an item that is otherwise complete.
fn seal(item: &mut [u8], salt: u32) -> u32 {
    let length = u32::try_from(item.len()).expect("an item is smaller than a segment");
    let checksum = crc32c::crc32c_append(salt, &item[8..]);
    item[..4].copy_from_slice(&length.to_le_bytes());
    item[4..8].copy_from_slice(&checksum.to_le_bytes());
    checksum
}

fn write_topic(topic: &TopicItem<'_>, out: &mut Vec<u8>) {
    let name_bytes = u16::try_from(topic.name.len()).expect("a topic's name has at most 65535 bytes");
    out.extend_from_slice(&[TOPIC, 0]);
    out.extend_from_slice(&name_bytes.to_le_bytes());
    out.extend_from_slice(&topic.number.to_le_bytes());
    out.extend_from_slice(&topic.sequence_before.to_le_bytes());
    out.extend_from_slice(&topic.base_before.to_le_bytes());
    out.extend_from_slice(&topic.offset_before.to_le_bytes());
    out.extend_from_slice(&topic.previous.to_le_bytes());
    out.extend_from_slice(topic.name);
}

fn write_record(record: &Record<'_>, out: &mut Vec<u8>) {
    let headers_bytes = u32::try_from(record.headers.len()).expect("headers are smaller than a segment");
    // Behind length and checksum. In one piece, since this is written for every record.
    let mut fixed = [0; RECORD_BYTES as usize - 8];
    fixed[0] = RECORD;
    fixed[1] = if record.producer.is_some() { HAS_PRODUCER } else { 0 };
    fixed[4..8].copy_from_slice(&record.topic.to_le_bytes());
    fixed[8..16].copy_from_slice(&record.position.to_le_bytes());
    fixed[16..24].copy_from_slice(&record.sequence.to_le_bytes());
    fixed[24..32].copy_from_slice(&record.time_us.to_le_bytes());
    fixed[32..40].copy_from_slice(&record.publisher.to_le_bytes());
    fixed[40..44].copy_from_slice(&headers_bytes.to_le_bytes());
    fixed[44..48].copy_from_slice(&record.previous.to_le_bytes());
    out.extend_from_slice(&fixed);
    if let Some(Producer { id, number }) = record.producer {
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&number.to_le_bytes());
    }
    if !record.headers.is_empty() {
        out.extend_from_slice(record.headers);
    }
    out.extend_from_slice(record.payload);
}

/// Fills in a batch item that was left blank at the front of its batch.
///
/// # Panics
/// When `out` does not begin with [`BATCH_BYTES`] that were kept for it.
pub fn fill_batch(batch: &Batch, salt: u32, out: &mut [u8]) {
    let item = &mut out[..BATCH_BYTES as usize];
    item[8..12].copy_from_slice(&(batch.rest << 8 | u32::from(BATCH)).to_le_bytes());
    item[12..16].copy_from_slice(&batch.count.to_le_bytes());
    item[16..24].copy_from_slice(&BATCH_MARK);
    item[24..32].copy_from_slice(&batch.durable.to_le_bytes());
    item[32..36].copy_from_slice(&batch.bytes.to_le_bytes());
    item[36..40].copy_from_slice(&batch.checksum_before.to_le_bytes());
    item[40..48].copy_from_slice(&batch.time_us.to_le_bytes());
    seal(item, salt);
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(bytes[at..at + 2].try_into().expect("two bytes"))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record<'a>(payload: &'a [u8]) -> Record<'a> {
        let producer = Some(Producer { id: 7, number: 9 });
        Record {
            topic: 3,
            position: 5,
            sequence: 2,
            time_us: 1,
            publisher: 4,
            previous: 64,
            producer,
            headers: b"h",
            payload,
        }
    }

    #[test]
    fn items_are_read_as_they_were_written_and_by_nobody_else() {
        let batch = Batch { count: 1, bytes: 200, checksum_before: 5, durable: 4, time_us: 8, rest: 0x01_0203 };
        let topic = TopicItem {
            number: 3,
            sequence_before: 1,
            base_before: NO_BASE,
            offset_before: 0,
            previous: 64,
            name: b"a/b",
        };
        for item in [Item::Batch(batch), Item::Topic(topic), Item::Record(record(b"payload"))] {
            let mut out = Vec::new();
            let checksum = write_item(&item, 17, &mut out);
            assert_eq!(read_item(&out, 17), Found::Item { item, bytes: out.len() as u32, checksum });
            assert_eq!(read_item(&out, 18), Found::Damage);
            for cut in 4..out.len() {
                assert_eq!(read_item(&out[..cut], 17), Found::Cut { bytes: out.len() as u32 });
            }
            for bit in 32..out.len() * 8 {
                let mut flipped = out.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(read_item(&flipped, 17), Found::Damage, "bit {bit}");
            }
        }
        assert_eq!(read_item(&[0; 16], 17), Found::End);
    }

    #[test]
    fn the_rest_of_a_batch_is_what_a_flipped_bit_may_turn_to_zeros() {
        assert_eq!(Batch::rest_of(&[7, 3]), 1);
        assert_eq!(Batch::rest_of(&[3, 0x40, 0, 1, 0]), 5);
        assert_eq!(Batch::rest_of(&[0, 0x40, 0]), 0);
        let mut long = vec![0; REST_MAX as usize];
        long[0] = 3;
        assert_eq!(Batch::rest_of(&long), REST_MAX);
        long.push(0);
        assert_eq!(Batch::rest_of(&long), 0, "it can't be told");
    }

    #[test]
    fn a_record_knows_how_many_bytes_it_takes() {
        let record = record(b"payload");
        let mut out = Vec::new();
        write_item(&Item::Record(record), 0, &mut out);
        assert_eq!(out.len(), record.bytes());
    }

    #[test]
    fn a_header_is_read_as_it_was_written_and_every_flipped_bit_shows() {
        for version in 1..=VERSION {
            let (base, epoch, created_us, bytes) = (1, 2, 3, 4);
            let header =
                SegmentHeader { version, journal: [3; 16], base, epoch, created_us, bytes, is_compacted: true };
            let bytes = header.encode();
            assert_eq!(SegmentHeader::decode(&bytes), Ok(header));
            for bit in 0..bytes.len() * 8 {
                let mut flipped = bytes;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(SegmentHeader::decode(&flipped).is_err(), "bit {bit}");
            }
        }
    }
}

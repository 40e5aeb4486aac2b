//! Sealed segments written anew with nothing but the newest record of each topic.
//!
//! ```text
//!  [ 1 sealed ][ 40 311 sealed ][ 80 702 sealed ]          is_newest(topic, sequence)?  tombstone old enough?
//!        '---------' read twice: what stays and how much it is, then the writing
//!  1.segment.making     written, synced
//!  1.index.making       written, synced
//!  1.index, 1.segment   by renaming, in this order, names synced        <- from here on the new ones count
//!  40311.segment, ...   removed with their indexes, names synced
//! ```
//!
//! Killed at any step, the directory is sound. Until the segment gets its name, what was there before counts, at most
//! with an index that does not fit its salt and so counts as missing. From then on the new segment counts, and one
//! behind it is a rest that a start has to remove if the new one covers its base: if its index says so, or, where the
//! machine lost that, if its last record is not before that base. (A rest that this does not show holds nothing that
//! stays.)
//!
//! Positions, sequences and times stay as they were; a compacted segment covers the positions of all it was made of.
//! Offsets change: those that other segments and the journal's state hold into it are only hints from then on.
//!
//! A tombstone, the empty newest record of a topic, goes when it is old enough and no earlier segment has the topic
//! any more: what it deletes must never come back.

use super::catalog::{Catalog, Segment, SegmentEnd};
use super::disk::{Disk, DiskError, DiskFile};
use super::format::{
    BATCH_BYTES, Batch, HEADER_BYTES, Item, NO_BASE, Record, SegmentHeader, TopicItem, VERSION, fill_batch, write_item,
};
use super::index::{Index, build_covering};
use super::names;
use super::scan::{Fault, Scan, read_header};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

/// Bytes of a batch, more or less.
const BATCH_BYTES_MAX: usize = 256 * 1024;
/// A compacted file's size is a multiple of it, with zeros at the end.
const ROUND_BYTES: u64 = 4096;
/// So many segments are worth to become one even if nothing of them is dead.
const RUN_SEGMENTS: usize = 16;

/// How old a record with an empty payload has to be before it goes, so that whoever resumes after a day off still sees
/// that its topic was removed; in microseconds.
pub const TOMBSTONE_AGE_US_MIN: u64 = 24 * 3600 * 1_000_000;

/// How much of a segment would stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Share {
    /// Records in it.
    pub records: u64,
    /// Those that are the newest of their topic.
    pub newest: u64,
}

/// What a compaction did.
#[derive(Debug, Clone)]
pub struct Compacted<F> {
    /// What stands in the catalog for the segments it was made of.
    pub segment: Segment<F>,
    /// Their bases.
    pub replaced: Vec<u64>,
    /// Bytes of their files.
    pub bytes_before: u64,
    /// Bytes of its file.
    pub bytes_after: u64,
    /// Records in them.
    pub records_before: u64,
    /// Records in it.
    pub records_after: u64,
}

/// Why a compaction was given up. Nothing is lost: what was there before is still there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CompactionError {
    /// A segment can't be read.
    Fault {
        /// Its base.
        base: u64,
        /// Where and what.
        fault: Fault,
    },
    /// The new files could not be made.
    Disk(DiskError),
}

impl fmt::Display for CompactionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CompactionError::Fault { base, fault } => write!(formatter, "{base:020}.segment: {fault}"),
            CompactionError::Disk(error) => write!(formatter, "no room for a compacted segment, or no disk: {error}"),
        }
    }
}

impl std::error::Error for CompactionError {}

impl From<DiskError> for CompactionError {
    fn from(error: DiskError) -> CompactionError {
        CompactionError::Disk(error)
    }
}

/// Asks a segment's index how much of it would stay.
pub fn assess<F: DiskFile>(index: &Index<F>, mut is_newest: impl FnMut(&str, u64) -> bool) -> Result<Share, Fault> {
    let mut share = Share { records: u64::from(index.summary().records), newest: 0 };
    index.each_topic(|entry, name| {
        let last = (entry.first_sequence + u64::from(entry.count)).saturating_sub(1);
        let is_live = std::str::from_utf8(name).is_ok_and(|name| is_newest(name, last));
        share.newest += u64::from(is_live);
    })?;
    Ok(share)
}

/// The same of a segment by its index file; none if that can't tell.
pub fn assess_segment<D: Disk>(
    disk: &mut D,
    segment: &Segment<D::File>,
    is_newest: impl FnMut(&str, u64) -> bool,
) -> Option<Share> {
    let index = Index::open(disk.open(&names::index(segment.base)).ok()?).ok()?;
    let is_its_own = index.summary().salt == segment.salt;
    is_its_own.then(|| assess(&index, is_newest).ok()).flatten()
}

/// The last sequence of each topic in the sealed segments, for whoever can't ask the log: a topic that has records in
/// the open one has a newer one still.
pub struct SealedEnds<F> {
    /// Newest first.
    indexes: Vec<Index<F>>,
    known: HashMap<String, Option<u64>>,
}

impl<F: DiskFile> SealedEnds<F> {
    /// Those of a catalog; none if some index can't tell.
    pub fn open<D: Disk<File = F>>(disk: &mut D, catalog: &Catalog<F>) -> Option<SealedEnds<F>> {
        let sealed = catalog.segments.iter().rev().filter(|segment| segment.is_sealed);
        let open = |segment: &Segment<F>| {
            let index = Index::open(disk.open(&names::index(segment.base)).ok()?).ok()?;
            (index.summary().salt == segment.salt).then_some(index)
        };
        let indexes = sealed.map(open).collect::<Option<_>>()?;
        Some(SealedEnds { indexes, known: HashMap::new() })
    }

    /// Whether no sealed segment has a later record of the topic, as far as they can be read.
    pub fn is_newest(&mut self, name: &str, sequence: u64) -> bool {
        let SealedEnds { indexes, known } = self;
        let find = || {
            let entry = indexes.iter().find_map(|index| index.find(name.as_bytes()).transpose())?;
            entry.ok().map(|entry| (entry.first_sequence + u64::from(entry.count)).saturating_sub(1))
        };
        let last = match known.get(name) {
            Some(last) => *last,
            None => *known.entry(name.to_owned()).or_insert_with(find),
        };
        last.is_none_or(|last| last <= sequence)
    }
}

/// Segments that are worth to be compacted into one, by their places in the catalog: at least half of their bytes would
/// go, or they are many small ones. `share` is asked for every sealed segment; none leaves it alone.
pub fn choose<F: DiskFile>(
    catalog: &Catalog<F>,
    segment_bytes: u64,
    mut share: impl FnMut(&Segment<F>) -> Option<Share>,
) -> Option<Range<usize>> {
    let mut run = Run::default();
    for (place, segment) in catalog.segments.iter().enumerate() {
        let end = segment.end.filter(|_| segment.is_sealed && place + 1 < catalog.segments.len());
        let live = end.and_then(|end| {
            let Share { records, newest } = share(segment)?;
            Some(u64::from(end.offset) * newest / records.max(1) + u64::from(HEADER_BYTES))
        });
        let Some(live) = live else {
            if run.is_worth_it() {
                return Some(run.places);
            }
            run = Run::default();
            continue;
        };
        if run.epoch != segment.epoch || run.live_bytes + live > segment_bytes {
            if run.is_worth_it() {
                return Some(run.places);
            }
            run = Run { places: place..place, epoch: segment.epoch, live_bytes: 0, bytes: 0 };
        }
        run.places.end = place + 1;
        run.live_bytes += live;
        run.bytes += segment.file.bytes();
    }
    run.is_worth_it().then_some(run.places)
}

/// Segments that follow each other and would fit one.
#[derive(Default)]
struct Run {
    places: Range<usize>,
    epoch: u64,
    live_bytes: u64,
    bytes: u64,
}

impl Run {
    fn is_worth_it(&self) -> bool {
        let is_mostly_dead = self.bytes > ROUND_BYTES * self.places.len() as u64 && self.live_bytes * 2 <= self.bytes;
        is_mostly_dead || self.places.len() >= RUN_SEGMENTS
    }
}

/// When tombstones go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tombstones {
    /// The time, in microseconds since 1970-01-01 UTC.
    pub now_us: u64,
    /// How old they have to be, in microseconds.
    pub age_us_min: u64,
}

/// Replaces sealed segments of one epoch, which follow each other, by one that holds only their records for which
/// `is_newest` (topic, sequence) holds.
///
/// # Panics
/// When the places are none, are not sealed, are not of one epoch, or include the open segment.
pub fn compact<D: Disk>(
    disk: &mut D,
    catalog: &Catalog<D::File>,
    places: Range<usize>,
    tombstones: Tombstones,
    is_newest: impl FnMut(&str, u64) -> bool,
) -> Result<Compacted<D::File>, CompactionError> {
    let sources = &catalog.segments[places.clone()];
    assert!(!sources.is_empty() && places.end < catalog.segments.len(), "full segments are compacted");
    let is_one_kind = sources.iter().all(|source| source.is_sealed && source.epoch == sources[0].epoch);
    assert!(is_one_kind, "sealed segments of one epoch are compacted");

    let mut choice = Choice::default();
    let earlier = Earlier::open(disk, &catalog.segments[..places.start]);
    choose_records(sources, &earlier, tombstones, is_newest, &mut choice)?;
    let last = &sources[sources.len() - 1];
    let covered = (catalog.segments[places.end].base - 1, last.end.map_or(0, |end| end.time_us));
    let written = write_files::<D>(disk, sources, &choice, covered, tombstones.now_us);
    let segment = match written {
        Ok(segment) => segment,
        Err(error) => {
            // They are of no use to anybody; if even this fails, the next start removes them.
            let _ = disk.remove(&format!("{:020}.segment.making", sources[0].base));
            let _ = disk.remove(&format!("{:020}.index.making", sources[0].base));
            return Err(error);
        }
    };
    put_in_place(disk, sources)?;
    Ok(Compacted {
        replaced: sources.iter().map(|source| source.base).collect(),
        bytes_before: sources.iter().map(|source| source.file.bytes()).sum(),
        bytes_after: segment.file.bytes(),
        segment,
        records_before: choice.records,
        records_after: choice.kept.iter().map(|kept| kept.len() as u64).sum(),
    })
}

/// What stays.
#[derive(Debug, Default)]
struct Choice {
    /// The offsets of the records that stay, for each source.
    kept: Vec<Vec<u32>>,
    records: u64,
    /// Where each topic's records went on before all sources.
    before: HashMap<Vec<u8>, (u64, u64, u32)>,
    /// Where the written items end.
    end: u32,
}

/// The indexes of the segments before.
struct Earlier<F> {
    indexes: Vec<Option<Index<F>>>,
}

impl<F: DiskFile> Earlier<F> {
    fn open<D: Disk<File = F>>(disk: &mut D, segments: &[Segment<F>]) -> Earlier<F> {
        let mut open = |segment: &Segment<F>| {
            let file = disk.open(&format!("{:020}.index", segment.base)).ok()?;
            Index::open(file).ok().filter(|index| index.summary().salt == segment.salt)
        };
        Earlier { indexes: segments.iter().map(&mut open).collect() }
    }

    /// Whether the topic may have records there: what can't be asked may have them.
    fn may_have(&self, name: &[u8]) -> bool {
        self.indexes
            .iter()
            .rev()
            .any(|index| index.as_ref().is_none_or(|index| index.find(name).map_or(true, |found| found.is_some())))
    }
}

fn choose_records<F: DiskFile>(
    sources: &[Segment<F>],
    earlier: &Earlier<F>,
    tombstones: Tombstones,
    mut is_newest: impl FnMut(&str, u64) -> bool,
    choice: &mut Choice,
) -> Result<(), CompactionError> {
    let mut writer = Writer::new(None::<F>, 0);
    for source in sources {
        let at = |fault| CompactionError::Fault { base: source.base, fault };
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut kept = Vec::new();
        let mut scan = scan_of(source).map_err(at)?;
        while let Some(placed) = scan.next_item().map_err(at)? {
            match placed.item {
                Item::Batch(_) => {}
                Item::Topic(topic) => {
                    names.push(topic.name.to_vec());
                    let before = (topic.sequence_before, topic.base_before, topic.offset_before);
                    choice.before.entry(topic.name.to_vec()).or_insert(before);
                }
                Item::Record(record) => {
                    choice.records += 1;
                    let damaged = || at(Fault::damaged(u64::from(placed.offset), "a record of a topic without a name"));
                    let name = names.get(record.topic as usize).ok_or_else(damaged)?;
                    let is_old = record.time_us.saturating_add(tombstones.age_us_min) <= tombstones.now_us;
                    let is_tombstone = record.payload.is_empty() && is_old;
                    let is_kept = std::str::from_utf8(name).is_ok_and(|name| is_newest(name, record.sequence));
                    let has_no_past = || choice.before[name].1 == NO_BASE || !earlier.may_have(name);
                    if is_kept && !(is_tombstone && has_no_past()) {
                        kept.push(placed.offset);
                        writer.put(name, choice.before[name], &record)?;
                    }
                }
            }
        }
        choice.kept.push(kept);
    }
    choice.end = writer.finish()?;
    Ok(())
}

fn scan_of<F: DiskFile>(source: &Segment<F>) -> Result<Scan<'_, F>, Fault> {
    let end = source.end.expect("a sealed segment has an end").offset;
    Ok(Scan::new(&source.file, source.salt, HEADER_BYTES, end))
}

/// Writes segment and index under names that nobody asks for, and syncs both.
fn write_files<D: Disk>(
    disk: &mut D,
    sources: &[Segment<D::File>],
    choice: &Choice,
    covered: (u64, u64),
    now_us: u64,
) -> Result<Segment<D::File>, CompactionError> {
    let first = &sources[0];
    let header = read_header(&first.file).map_err(|fault| CompactionError::Fault { base: first.base, fault })?;
    let bytes = (u64::from(choice.end) + 4).next_multiple_of(ROUND_BYTES);
    let header = SegmentHeader { version: VERSION, created_us: now_us, bytes, is_compacted: true, ..header };
    let file = disk.create(&format!("{:020}.segment.making", first.base), bytes)?;
    file.write(0, &header.encode())?;
    let mut writer = Writer::new(Some(file.clone()), header.salt());
    for (source, kept) in sources.iter().zip(&choice.kept) {
        copy_records(source, kept, choice, &mut writer)?;
    }
    let end = writer.finish()?;
    assert_eq!(end, choice.end, "a compacted segment is as long as was reckoned");
    file.sync()?;
    let index = build_covering(&file, &header, end, Some(covered))
        .map_err(|fault| CompactionError::Fault { base: first.base, fault })?;
    let index_file = disk.create(&format!("{:020}.index.making", first.base), index.len() as u64)?;
    index_file.write(0, &index)?;
    index_file.sync()?;
    let end = SegmentEnd { offset: end, position: covered.0, time_us: covered.1 };
    Ok(Segment { base: header.base, epoch: header.epoch, file, salt: header.salt(), end: Some(end), is_sealed: true })
}

fn copy_records<F: DiskFile>(
    source: &Segment<F>,
    kept: &[u32],
    choice: &Choice,
    writer: &mut Writer<F>,
) -> Result<(), CompactionError> {
    let at = |fault| CompactionError::Fault { base: source.base, fault };
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut kept = kept.iter().copied().peekable();
    let mut scan = scan_of(source).map_err(at)?;
    while kept.peek().is_some() {
        let Some(placed) = scan.next_item().map_err(at)? else { break };
        match placed.item {
            Item::Batch(_) => {}
            Item::Topic(topic) => names.push(topic.name.to_vec()),
            Item::Record(record) => {
                if kept.next_if_eq(&placed.offset).is_some() {
                    let name = &names[record.topic as usize];
                    writer.put(name, choice.before[name], &record)?;
                }
            }
        }
    }
    Ok(())
}

/// Renames the new files over the first source's, then removes the others.
fn put_in_place<D: Disk>(disk: &mut D, sources: &[Segment<D::File>]) -> Result<(), CompactionError> {
    let base = sources[0].base;
    disk.rename(&format!("{base:020}.index.making"), &format!("{base:020}.index"))?;
    disk.rename(&format!("{base:020}.segment.making"), &format!("{base:020}.segment"))?;
    disk.sync_names()?;
    for source in &sources[1..] {
        for kind in ["segment", "index"] {
            match disk.remove(&format!("{:020}.{kind}", source.base)) {
                Ok(()) | Err(DiskError::Missing) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    if sources.len() > 1 {
        disk.sync_names()?;
    }
    Ok(())
}

/// Writes items in batches, or without a file only reckons how long they get.
struct Writer<F> {
    file: Option<F>,
    salt: u32,
    /// The batch in the making.
    batch: Vec<u8>,
    count: u32,
    position: u64,
    time_us: u64,
    checksum: u32,
    checksum_before: u32,
    /// Where the batch in the making begins.
    offset: u32,
    numbers: HashMap<Vec<u8>, u32>,
    topic_last: u32,
}

impl<F: DiskFile> Writer<F> {
    fn new(file: Option<F>, salt: u32) -> Writer<F> {
        Writer {
            file,
            salt,
            batch: Vec::new(),
            count: 0,
            position: 0,
            time_us: 0,
            checksum: salt,
            checksum_before: salt,
            offset: HEADER_BYTES,
            numbers: HashMap::new(),
            topic_last: 0,
        }
    }

    fn put(&mut self, name: &[u8], before: (u64, u64, u32), record: &Record<'_>) -> Result<(), CompactionError> {
        if self.batch.is_empty() {
            self.batch.resize(BATCH_BYTES as usize, 0);
            self.time_us = record.time_us;
        }
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => {
                let number = self.numbers.len() as u32;
                let (sequence_before, base_before, offset_before) = before;
                let previous = self.topic_last;
                let topic = TopicItem { number, sequence_before, base_before, offset_before, previous, name };
                self.topic_last = self.offset + self.batch.len() as u32;
                self.numbers.insert(name.to_vec(), number);
                self.checksum = write_item(&Item::Topic(topic), self.salt, &mut self.batch);
                number
            }
        };
        let record = Record { topic: number, previous: 0, ..*record };
        self.checksum = write_item(&Item::Record(record), self.salt, &mut self.batch);
        self.position = record.position;
        self.count += 1;
        if self.batch.len() >= BATCH_BYTES_MAX { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), CompactionError> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let batch = Batch {
            count: self.count,
            bytes: self.batch.len() as u32,
            checksum_before: self.checksum_before,
            durable: self.position,
            time_us: self.time_us,
            // It is synced before it gets its name.
            rest: 0,
        };
        fill_batch(&batch, self.salt, &mut self.batch);
        if let Some(file) = &self.file {
            file.write(u64::from(self.offset), &self.batch)?;
        }
        self.offset += self.batch.len() as u32;
        self.checksum_before = self.checksum;
        self.batch.clear();
        self.count = 0;
        Ok(())
    }

    /// Writes what is left and returns where the items end.
    fn finish(&mut self) -> Result<u32, CompactionError> {
        self.flush()?;
        Ok(self.offset)
    }
}

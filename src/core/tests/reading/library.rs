//! A journal as its format says, written without a log, and beside it a plain list of its records.

use crate::medium::{Medium, MediumFile};
use fanwire_core::journal::catalog::{Catalog, Segment, SegmentEnd, Tail, TopicEnd};
use fanwire_core::journal::compaction::{Compacted, CompactionError, Tombstones, compact};
use fanwire_core::journal::disk::{Disk, DiskFile};
use fanwire_core::journal::format::{
    BATCH_BYTES, Batch, HEADER_BYTES, Item, NO_BASE, Record, SegmentHeader, TopicItem, VERSION, fill_batch, write_item,
};
use fanwire_core::journal::history::History;
use fanwire_core::journal::index;
use fanwire_core::journal::reader::{CursorId, OpenRequest, Opened, ReadOutcome, Reader};
use fanwire_wire::frame::Start;
use fanwire_wire::{Limits, TopicFilter, TopicName};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

pub(crate) const ID: CursorId = CursorId { shard: 1, key: 2, serial: 3 };
pub(crate) const JOURNAL: [u8; 16] = [7; 16];

/// What was written, and what a history has to say of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) topic: String,
    pub(crate) sequence: u64,
    pub(crate) position: u64,
    pub(crate) time_us: u64,
    pub(crate) headers: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

pub(crate) struct Library {
    pub(crate) medium: Medium,
    segment_bytes: u32,
    pub(crate) epoch: u64,
    pub(crate) position: u64,
    pub(crate) time_us: u64,
    /// All records that are still there.
    pub(crate) written: Vec<Written>,
    /// The epoch of every position that ever was.
    pub(crate) epochs: BTreeMap<u64, u64>,
    pub(crate) ends: BTreeMap<String, TopicEnd>,
    pub(crate) segments: Vec<Segment<MediumFile>>,
    open: Open,
}

/// The open segment.
#[derive(Default)]
struct Open {
    base: u64,
    salt: u32,
    offset: u32,
    checksum: u32,
    newest_topic: u32,
    /// Number and last offset of its topics.
    topics: HashMap<String, (u32, u32)>,
    /// Of each topic before it.
    time_us: u64,
}

impl Library {
    pub(crate) fn new(segment_bytes: u32) -> Library {
        let mut library = Library {
            medium: Medium::default(),
            segment_bytes,
            epoch: 10,
            position: 0,
            time_us: 1_000,
            written: Vec::new(),
            epochs: BTreeMap::new(),
            ends: BTreeMap::new(),
            segments: Vec::new(),
            open: Open::default(),
        };
        library.begin_segment();
        library
    }

    fn begin_segment(&mut self) {
        let base = self.position + 1;
        let header = SegmentHeader {
            version: VERSION,
            journal: JOURNAL,
            base,
            epoch: self.epoch,
            created_us: self.time_us,
            bytes: u64::from(self.segment_bytes),
            is_compacted: false,
        };
        let file = self.medium.create(&format!("{base:020}.segment"), header.bytes).unwrap();
        file.write(0, &header.encode()).unwrap();
        file.sync().unwrap();
        self.medium.sync_names().unwrap();
        let salt = header.salt();
        self.segments.push(Segment { base, epoch: self.epoch, file, salt, end: None, is_sealed: false });
        self.open = Open { base, salt, offset: HEADER_BYTES, checksum: salt, ..Open::default() };
    }

    /// Closes the open segment and begins another one, if there is a record in it.
    pub(crate) fn roll(&mut self, is_sealed: bool) {
        if self.position < self.open.base {
            return;
        }
        let end = SegmentEnd { offset: self.open.offset, position: self.position, time_us: self.open.time_us };
        let last = self.segments.last_mut().unwrap();
        last.end = Some(end);
        last.file.sync().unwrap();
        self.begin_segment();
        if is_sealed {
            self.seal(self.segments.len() - 2);
        }
    }

    pub(crate) fn seal(&mut self, place: usize) {
        let segment = &mut self.segments[place];
        let header = fanwire_core::journal::scan::read_header(&segment.file).unwrap();
        let bytes = index::build(&segment.file, &header, segment.end.unwrap().offset).unwrap();
        self.medium.put(&format!("{:020}.index", segment.base), &bytes);
        segment.is_sealed = true;
    }

    /// Appends some records in one batch, rolling before it if they do not fit.
    pub(crate) fn append(&mut self, records: &[(&str, &[u8])]) {
        let bytes: usize = records.iter().map(|(topic, payload)| topic.len() + payload.len() + 120).sum();
        if bytes + BATCH_BYTES as usize > (self.segment_bytes - self.open.offset) as usize {
            self.roll(true);
        }
        let open = &mut self.open;
        let mut out = vec![0; BATCH_BYTES as usize];
        let checksum_before = open.checksum;
        for (topic, payload) in records {
            let known = open.topics.get(*topic).copied();
            let end = self.ends.get(*topic).copied().unwrap_or(TopicEnd { sequence: 0, base: NO_BASE, offset: 0 });
            let (number, previous) = known.unwrap_or((open.topics.len() as u32, 0));
            if known.is_none() {
                let item = TopicItem {
                    number,
                    sequence_before: end.sequence,
                    base_before: end.base,
                    offset_before: end.offset,
                    previous: open.newest_topic,
                    name: topic.as_bytes(),
                };
                open.newest_topic = open.offset + out.len() as u32;
                open.checksum = write_item(&Item::Topic(item), open.salt, &mut out);
            }
            self.position += 1;
            let offset = open.offset + out.len() as u32;
            let headers: &[u8] = if self.position.is_multiple_of(3) { b"header" } else { b"" };
            let record = Record {
                topic: number,
                position: self.position,
                sequence: end.sequence + 1,
                time_us: self.time_us,
                publisher: 5,
                previous,
                producer: None,
                headers,
                payload,
            };
            open.checksum = write_item(&Item::Record(record), open.salt, &mut out);
            open.time_us = self.time_us;
            open.topics.insert((*topic).to_owned(), (number, offset));
            self.ends.insert((*topic).to_owned(), TopicEnd { sequence: end.sequence + 1, base: open.base, offset });
            self.epochs.insert(self.position, self.epoch);
            self.written.push(Written {
                topic: (*topic).to_owned(),
                sequence: end.sequence + 1,
                position: self.position,
                time_us: self.time_us,
                headers: headers.to_vec(),
                payload: payload.to_vec(),
            });
        }
        let count = records.len() as u32;
        let bytes = out.len() as u32;
        let batch = Batch { count, bytes, checksum_before, durable: 0, time_us: self.time_us, rest: 0 };
        fill_batch(&batch, open.salt, &mut out);
        self.segments.last().unwrap().file.write(u64::from(open.offset), &out).unwrap();
        open.offset += bytes;
    }

    /// A later epoch, from a new segment on.
    pub(crate) fn begin_epoch(&mut self) {
        if self.position >= self.open.base {
            self.epoch += 5;
            self.roll(true);
        }
    }

    /// Takes the oldest segments away.
    pub(crate) fn retire(&mut self, count: usize) {
        for segment in self.segments.drain(..count) {
            self.medium.remove(&format!("{:020}.segment", segment.base)).unwrap();
            let _ = self.medium.remove(&format!("{:020}.index", segment.base));
        }
        let first = self.segments[0].base;
        self.written.retain(|record| record.position >= first);
    }

    /// Compacts segments into one, and takes what goes from the list too.
    pub(crate) fn compact(&mut self, places: Range<usize>, age_us_min: u64) -> Compacted<MediumFile> {
        let compacted = self.try_compact(places.clone(), age_us_min).unwrap();
        let begin = self.segments[places.start].base;
        let end = self.segments[places.end].base;
        let has_earlier = |topic: &str| self.written.iter().any(|old| old.topic == topic && old.position < begin);
        let goes = |record: &Written| {
            let is_newest = self.ends[&record.topic].sequence == record.sequence;
            let is_old = record.time_us + age_us_min <= self.time_us;
            let is_dropped = record.payload.is_empty() && is_old && !has_earlier(&record.topic);
            (begin..end).contains(&record.position) && (!is_newest || is_dropped)
        };
        self.written = self.written.iter().filter(|record| !goes(record)).cloned().collect();
        self.segments.splice(places, [compacted.segment.clone()]);
        compacted
    }

    pub(crate) fn try_compact(
        &self,
        places: Range<usize>,
        age_us_min: u64,
    ) -> Result<Compacted<MediumFile>, CompactionError> {
        let catalog = Catalog { segments: self.segments.clone() };
        let tombstones = Tombstones { now_us: self.time_us, age_us_min };
        let is_newest = |topic: &str, sequence| self.ends[topic].sequence == sequence;
        compact(&mut self.medium.clone(), &catalog, places, tombstones, is_newest)
    }

    pub(crate) fn catalog(&self) -> Arc<Catalog<MediumFile>> {
        Arc::new(Catalog { segments: self.segments.clone() })
    }

    pub(crate) fn tail(&self) -> Tail {
        let Open { base, offset, newest_topic, .. } = self.open;
        Tail { base, offset, position: self.position, newest_topic }
    }

    pub(crate) fn reader(&self) -> Reader<Medium> {
        Reader::new(self.medium.clone())
    }

    pub(crate) fn request(&self, filter: &str, start: Start) -> OpenRequest<MediumFile> {
        let topics = self.ends.iter().filter(|(name, _)| matches(filter, name));
        OpenRequest {
            catalog: self.catalog(),
            tail: self.tail(),
            epoch: self.epoch,
            filter: filter.to_owned(),
            start,
            topic: self.ends.get(filter).copied(),
            topics: Arc::new(topics.map(|(name, end)| (name.clone(), *end)).collect()),
        }
    }

    pub(crate) fn open(&self, reader: &mut Reader<Medium>, filter: &str, start: Start) -> Opened {
        reader.open(ID, &self.request(filter, start))
    }

    /// Reads once and appends to what was read.
    pub(crate) fn read(
        &self,
        reader: &mut Reader<Medium>,
        filter: &str,
        bytes_max: usize,
        found: &mut Vec<Written>,
    ) -> ReadOutcome {
        let mut history = History::default();
        let topic = self.ends.get(filter).copied();
        let outcome = reader.read(ID, &self.catalog(), self.tail(), topic, bytes_max, &mut history);
        found.extend(history.iter().map(|record| Written {
            topic: record.topic.to_owned(),
            sequence: record.sequence,
            position: record.position,
            time_us: record.time_us,
            headers: record.headers.to_vec(),
            payload: record.payload.to_vec(),
        }));
        outcome
    }

    /// Reads to the tail, or to what ends it before.
    pub(crate) fn read_all(&self, reader: &mut Reader<Medium>, filter: &str) -> (Vec<Written>, ReadOutcome) {
        let mut found = Vec::new();
        for _ in 0..1_000_000 {
            let outcome = self.read(reader, filter, 16 * 1024, &mut found);
            if outcome != ReadOutcome::More {
                return (found, outcome);
            }
        }
        panic!("a cursor does not come to the tail");
    }

    /// What is there of a filter.
    pub(crate) fn matching(&self, filter: &str) -> Vec<Written> {
        self.written.iter().filter(|record| matches(filter, &record.topic)).cloned().collect()
    }
}

pub(crate) fn matches(filter: &str, name: &str) -> bool {
    let limits = Limits::default();
    let name = TopicName::new(name.as_bytes(), &limits).unwrap();
    TopicFilter::new(filter.as_bytes(), &limits).unwrap().matches(name)
}

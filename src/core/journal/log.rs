//! One journal's log: orders publications, appends them, says what is committed, durable, sealed.
//!
//! ```text
//!  admit: topic, producer, expected sequence -> record in the batch      nothing is released yet
//!  commit: one write of the batch            -> released: acks, live records, readers see the tail
//!  roll: the segment is full, the prepared one becomes the open one
//!  tasks: prepare, sync, seal; run elsewhere, and told when done
//! ```
//!
//! A publication is checked, numbered and encoded when it is admitted, and counts when its batch is committed. A batch
//! that finds no room on the disk is taken back as if it had never been admitted: the batch itself holds all that is
//! needed for that. A write or sync that fails is the end of the log: from then on it refuses, whatever the disk says
//! later.
//!
//! Invariants: positions and sequences are contiguous; times never go back; all records of a segment have its epoch;
//! the catalog's last segment is the one that is appended to; a segment gets its name only after that of the one before
//! it is durable.

use super::catalog::{Catalog, Segment, SegmentEnd, SharedCatalog, Tail, TopicEnd};
use super::disk::{Disk, DiskError, DiskFile};
use super::format::{
    BATCH_BYTES, Batch, Found, HEADER_BYTES, Item, PRODUCER_BYTES, RECORD_BYTES, Record, SegmentHeader, TOPIC_BYTES,
    TopicItem, VERSION, fill_batch, read_item, write_item,
};
use super::names;
use super::open_error::OpenError;
use super::producers::{Accepted, Known};
use super::publication::{Admission, CommitError, Committed, Ordered, Publication, Refusal, TopicRef};
use super::recovery::{Opening, Recovered, Recovery};
use super::replay::Replayed;
use super::standing::Standing;
use super::state::State;
use super::tasks::{Indexing, Prepared};
use super::topics::TopicKey;
use std::collections::VecDeque;
use std::sync::Arc;

/// A batch is committed when it has so many bytes; a single record may have more.
const BATCH_BYTES_MAX: usize = 1 << 20;

/// What a log is set to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogSettings {
    /// The size of each segment's file.
    pub segment_bytes: u32,
    /// Topics that it may have.
    pub topics_max: u32,
    /// Whether it is volatile: nothing is synced, and nothing is there at the start.
    pub is_volatile: bool,
    /// What topic names are hashed with.
    pub seed: u64,
}

/// The segment that is appended to.
pub(super) struct OpenSegment<F> {
    pub(super) base: u64,
    pub(super) file: F,
    pub(super) salt: u32,
    /// The file's size.
    pub(super) bytes: u32,
    /// Behind the last item that is committed.
    pub(super) offset: u32,
    /// The last committed item's checksum.
    pub(super) checksum: u32,
    /// The time of its last committed record; 0: it has none.
    pub(super) time_us: u64,
    /// Its topics by number, those of the batch included.
    pub(super) numbers: Vec<TopicKey>,
    /// Where the newest topic item stands, the batch's included; 0: none.
    pub(super) newest_topic: u32,
    /// Whether it takes nothing more, because it is of an earlier epoch, or of an earlier version.
    pub(super) is_closed: bool,
    /// Up to here something may stand behind the offset that was never released.
    pub(super) dirty_end: u32,
}

/// What is admitted and not committed.
pub(super) struct Pending {
    /// The batch, with room for its own item at the front.
    bytes: Vec<u8>,
    pub(super) count: u32,
    /// The checksum of its last item.
    checksum: u32,
    /// The journal's time before it.
    time_us_before: u64,
    /// The open segment's newest topic item before it.
    newest_topic_before: u32,
    /// What producers' windows have taken in, in order.
    accepted: Vec<Accepted>,
}

/// How far names are synced.
#[derive(Default)]
pub(super) struct Names {
    pub(super) renames: u64,
    pub(super) synced: u64,
}

/// One journal's log.
pub struct Log<D: Disk> {
    pub(super) disk: D,
    pub(super) settings: LogSettings,
    pub(super) indexing: Indexing<D>,
    pub(super) state: State,
    pub(super) standing: Standing,
    pub(super) catalog: SharedCatalog<D::File>,
    pub(super) open: OpenSegment<D::File>,
    pub(super) pending: Pending,
    pub(super) prepared: Option<Prepared<D::File>>,
    /// Whether something waits for the next segment, however empty the open one is.
    pub(super) is_segment_wanted: bool,
    pub(super) is_preparing: bool,
    /// Why the next segment could not be prepared, as long as it is not.
    pub(super) shortage: Option<DiskError>,
    /// The last position that is durable.
    pub(super) durable: u64,
    pub(super) names: Names,
    /// Full segments that were not synced since they are full, the oldest first: they are not sealed before.
    pub(super) unsynced: Vec<(u64, D::File)>,
    pub(super) unsealed: VecDeque<u64>,
    pub(super) is_sealing: bool,
    /// Whether it is still to be written down that the journal runs: nothing is appended before.
    pub(super) is_unsettled: bool,
    pub(super) failure: Option<String>,
    /// A failed sync of names of which the state file does not know yet.
    pub(super) unwritten_failure: Option<DiskError>,
}

impl<D: Disk> Log<D> {
    /// Opens the journal of a directory, or makes one there if it is empty.
    ///
    /// # Errors
    /// Which file is not as it should be, and what to do. Nothing was changed then, unless the disk itself failed.
    pub fn open(
        disk: D,
        settings: LogSettings,
        indexing: Indexing<D>,
        opening: &Opening,
    ) -> Result<(Log<D>, Recovery), OpenError> {
        let (recovered, recovery) = super::recovery::recover(disk, &settings, &indexing, opening)?;
        Ok((Log::new(recovered, settings, indexing), recovery))
    }

    fn new(recovered: Recovered<D>, settings: LogSettings, indexing: Indexing<D>) -> Log<D> {
        let Recovered { disk, state, standing, segments, open, is_unsettled } = recovered;
        let unsealed = segments.iter().filter(|segment| segment.end.is_some() && !segment.is_sealed);
        let pending = Pending {
            bytes: vec![0; BATCH_BYTES as usize],
            count: 0,
            checksum: open.checksum,
            time_us_before: standing.time_us,
            newest_topic_before: open.newest_topic,
            accepted: Vec::new(),
        };
        Log {
            unsealed: unsealed.map(|segment| segment.base).collect(),
            catalog: Arc::new(Catalog { segments }),
            durable: if settings.is_volatile { 0 } else { standing.position },
            disk,
            settings,
            indexing,
            state,
            standing,
            open,
            pending,
            prepared: None,
            is_segment_wanted: false,
            is_preparing: false,
            shortage: is_unsettled.then_some(DiskError::Full),
            names: Names::default(),
            // What was not sealed, recovery has synced, or the end of the last life.
            unsynced: Vec::new(),
            is_sealing: false,
            is_unsettled,
            failure: None,
            unwritten_failure: None,
        }
    }

    /// The key of a topic that the log knows; it stays as long as the log is open.
    pub fn find(&self, name: &str) -> Option<TopicKey> {
        self.standing.topics.find(name)
    }

    /// Orders a publication and puts it into the batch, if nothing stands against it.
    pub fn admit(&mut self, publication: &Publication<'_>, now_us: u64) -> Admission {
        match (&self.failure, self.is_unsettled) {
            (Some(_), _) => return Admission::Refused(Refusal::Failed),
            (None, true) => return Admission::Refused(Refusal::Full),
            (None, false) => {}
        }
        let key = match publication.topic {
            TopicRef::Key(key) => Some(key),
            TopicRef::Name(name) => self.standing.topics.find(name),
        };
        if let Some(producer) = publication.producer {
            match self.standing.producers.ask(producer) {
                Known::New => {}
                Known::Accepted(sequence) => return Admission::Duplicate { sequence },
                Known::TooOld => return Admission::Refused(Refusal::ProducerTooOld),
            }
        }
        if let Some(expected) = publication.expect {
            let actual = key.map_or(0, |key| self.standing.topics.get(key).sequence);
            if actual != expected {
                return Admission::Refused(Refusal::Conflict { actual });
            }
        }
        if let Some(obstacle) = self.obstacle(publication, key) {
            self.is_segment_wanted |= obstacle == Admission::NeedsSegment;
            return obstacle;
        }
        let key = key.unwrap_or_else(|| {
            let TopicRef::Name(name) = publication.topic else { unreachable!("a key was found as it is") };
            self.standing.topics.insert(name)
        });
        Admission::Ordered(self.append(key, publication, now_us))
    }

    /// Why there is no room for a publication now, or never.
    fn obstacle(&self, publication: &Publication<'_>, key: Option<TopicKey>) -> Option<Admission> {
        let topics = &self.standing.topics;
        let producer_bytes = if publication.producer.is_some() { PRODUCER_BYTES } else { 0 } as usize;
        let record_bytes =
            RECORD_BYTES as usize + producer_bytes + publication.headers.len() + publication.payload.len();
        let is_here = key.is_some_and(|key| topics.get(key).base == self.open.base);
        let name_bytes = match publication.topic {
            _ if is_here => 0,
            TopicRef::Key(key) => topics.name(key).len(),
            TopicRef::Name(name) => name.len(),
        };
        let bytes = if is_here { record_bytes } else { record_bytes + TOPIC_BYTES as usize + name_bytes };
        let batch_bytes = self.pending.bytes.len() + bytes;
        let has_room = self.open.offset as usize + batch_bytes <= self.open.bytes as usize && !self.open.is_closed;
        if has_room && (batch_bytes <= BATCH_BYTES_MAX || self.pending.count == 0) && key.is_some() {
            return None;
        }
        self.obstacle_in_detail(publication, key, record_bytes, has_room)
    }

    #[cold]
    fn obstacle_in_detail(
        &self,
        publication: &Publication<'_>,
        key: Option<TopicKey>,
        record_bytes: usize,
        has_room: bool,
    ) -> Option<Admission> {
        let topics = &self.standing.topics;
        let name = match publication.topic {
            TopicRef::Key(key) => topics.name(key),
            TopicRef::Name(name) => name,
        };
        let alone_bytes = (HEADER_BYTES + BATCH_BYTES + TOPIC_BYTES) as usize + name.len() + record_bytes;
        if alone_bytes > self.settings.segment_bytes as usize {
            return Some(Admission::Refused(Refusal::TooLarge));
        }
        let is_too_many = topics.count() >= self.settings.topics_max as usize || !topics.has_room_for(name);
        if key.is_none() && is_too_many {
            return Some(Admission::Refused(Refusal::TooManyTopics));
        }
        if self.pending.count > 0 {
            let bytes = self.pending.bytes.len() + TOPIC_BYTES as usize + name.len() + record_bytes;
            return (!has_room || bytes > BATCH_BYTES_MAX).then_some(Admission::NeedsCommit);
        }
        match (has_room, self.prepared.is_some(), &self.shortage) {
            (true, _, _) => None,
            (false, true, _) => Some(Admission::NeedsRoll),
            (false, false, Some(DiskError::Full)) => Some(Admission::Refused(Refusal::Full)),
            (false, false, Some(_)) => Some(Admission::Refused(Refusal::Unavailable)),
            (false, false, None) => Some(Admission::NeedsSegment),
        }
    }

    fn append(&mut self, key: TopicKey, publication: &Publication<'_>, now_us: u64) -> Ordered {
        let Log { standing, pending, open, .. } = self;
        let topic = standing.topics.get_mut(key);
        let mut previous = topic.offset;
        if topic.base != open.base {
            previous = 0;
            topic.number = u32::try_from(open.numbers.len()).expect("topics are bounded far below");
            let item = TopicItem {
                number: topic.number,
                sequence_before: topic.sequence,
                base_before: topic.base,
                offset_before: topic.offset,
                previous: open.newest_topic,
                name: &[],
            };
            open.numbers.push(key);
            open.newest_topic = open.offset + pending.bytes.len() as u32;
            topic.base = open.base;
            let name = standing.topics.name(key).as_bytes();
            write_item(&Item::Topic(TopicItem { name, ..item }), open.salt, &mut pending.bytes);
        }
        let topic = standing.topics.get_mut(key);
        topic.sequence += 1;
        topic.offset = open.offset + pending.bytes.len() as u32;
        standing.position += 1;
        standing.time_us = standing.time_us.max(now_us);
        let record = Record {
            topic: topic.number,
            position: standing.position,
            sequence: topic.sequence,
            time_us: standing.time_us,
            publisher: publication.publisher,
            previous,
            producer: publication.producer,
            headers: publication.headers,
            payload: publication.payload,
        };
        pending.checksum = write_item(&Item::Record(record), open.salt, &mut pending.bytes);
        pending.count += 1;
        if let Some(producer) = publication.producer {
            pending.accepted.push(standing.producers.accept(producer, record.sequence, record.position));
        }
        Ordered { sequence: record.sequence, position: record.position, time_us: record.time_us, topic: key }
    }

    /// Writes the batch. Afterwards it survives the process, and readers may see it.
    ///
    /// # Errors
    /// [`CommitError::Full`]: nothing of the batch has happened, and its sequences and positions will be given again.
    pub fn commit(&mut self) -> Result<Committed, CommitError> {
        if let Some(failure) = self.failure.clone() {
            self.take_back_batch();
            return Err(CommitError::Failed(failure));
        }
        let count = self.pending.count;
        let first = self.standing.position + 1 - u64::from(count);
        if count > 0 {
            self.write_batch()?;
        }
        Ok(Committed { count, first, tail: self.tail() })
    }

    fn write_batch(&mut self) -> Result<(), CommitError> {
        if !self.clean_tail() {
            self.take_back_batch();
            return Err(CommitError::Full);
        }
        let Log { pending, open, standing, .. } = self;
        let bytes = pending.bytes.len() as u32;
        let batch = Batch {
            count: pending.count,
            bytes,
            checksum_before: open.checksum,
            durable: self.durable,
            time_us: standing.time_us,
            rest: Batch::rest_of(&pending.bytes[BATCH_BYTES as usize..]),
        };
        fill_batch(&batch, open.salt, &mut pending.bytes);
        if let Err(error) = open.file.write(open.offset.into(), &pending.bytes) {
            return Err(self.give_up_batch(&error));
        }
        open.offset += bytes;
        open.checksum = pending.checksum;
        open.time_us = standing.time_us;
        standing.producers.trim();
        pending.begin(standing.time_us, open.newest_topic);
        Ok(())
    }

    /// The batch could not be written: it is taken back. That is all if there was just no room; otherwise it is the
    /// end, and what is committed can still be read.
    fn give_up_batch(&mut self, error: &DiskError) -> CommitError {
        if *error != DiskError::Full {
            self.take_back_batch();
            return self.fail(format!("appending to {} failed: {error}", names::segment(self.open.base)));
        }
        self.open.dirty_end = self.open.dirty_end.max(self.open.offset + self.pending.bytes.len() as u32);
        self.clean_tail();
        self.take_back_batch();
        CommitError::Full
    }

    /// Part of a batch that found no room may stand behind the end, or all of it: a start must not find what was never
    /// released. If there is no room for zeros either, nothing is appended before there is. Says whether all is clean.
    pub(super) fn clean_tail(&mut self) -> bool {
        let open = &mut self.open;
        if open.dirty_end > open.offset {
            let blank = vec![0; (open.dirty_end - open.offset) as usize];
            if open.file.write(open.offset.into(), &blank).is_err() {
                return false;
            }
        }
        open.dirty_end = 0;
        true
    }

    /// Undoes what was admitted since the last commit, the last first. The batch itself says what that was.
    fn take_back_batch(&mut self) {
        let Log { pending, open, standing, .. } = self;
        let mut items = Vec::new();
        let mut rest = &pending.bytes[BATCH_BYTES as usize..];
        while let Found::Item { item, bytes, .. } = read_item(rest, open.salt) {
            items.push(item);
            rest = &rest[bytes as usize..];
        }
        for item in items.iter().rev() {
            match item {
                Item::Record(record) => {
                    standing.take_back_record(open.numbers[record.topic as usize], record);
                    standing.position -= 1;
                }
                Item::Topic(topic) => {
                    let key = open.numbers.pop().expect("a topic of the batch has a number");
                    standing.take_back_topic(key, topic);
                }
                Item::Batch(_) => unreachable!("a batch has its own item at its front alone"),
            }
        }
        for accepted in pending.accepted.iter().rev() {
            standing.producers.take_back(accepted);
        }
        standing.time_us = pending.time_us_before;
        open.newest_topic = pending.newest_topic_before;
        pending.begin(standing.time_us, open.newest_topic);
    }

    /// Ends the log.
    pub(super) fn fail(&mut self, what: String) -> CommitError {
        self.failure.get_or_insert_with(|| what.clone());
        CommitError::Failed(what)
    }

    /// Goes on in the prepared segment. Everything has to be committed.
    ///
    /// # Errors
    /// [`CommitError::Full`]: the old segment stays the open one, and the prepared one stays prepared.
    ///
    /// # Panics
    /// When something is not committed, or nothing is prepared.
    pub fn roll(&mut self, now_us: u64) -> Result<(), CommitError> {
        assert!(self.pending.count == 0, "a roll follows a commit");
        if let Some(failure) = &self.failure {
            return Err(CommitError::Failed(failure.clone()));
        }
        if !self.clean_tail() {
            return Err(CommitError::Full);
        }
        let prepared = self.prepared.as_mut().expect("a roll needs a prepared segment");
        let header = SegmentHeader {
            version: VERSION,
            journal: self.state.journal,
            base: self.standing.position + 1,
            epoch: self.state.epoch,
            created_us: self.standing.time_us.max(now_us),
            bytes: prepared.file.bytes(),
            is_compacted: false,
        };
        let name = names::segment(header.base);
        let written = prepared.file.write(0, &header.encode()).and_then(|()| self.disk.rename(&prepared.name, &name));
        match written {
            Ok(()) => self.names.renames += 1,
            Err(DiskError::Full) => return Err(CommitError::Full),
            Err(error) => return Err(self.fail(format!("beginning {name} failed: {error}"))),
        }
        let file = self.prepared.take().expect("it was there").file;
        self.enter(&header, file);
        Ok(())
    }

    /// Makes a new segment the open one.
    fn enter(&mut self, header: &SegmentHeader, file: D::File) {
        let mut segments = self.catalog.segments.clone();
        let old = segments.last_mut().expect("a catalog has a segment");
        if old.base == header.base {
            segments.pop();
        } else {
            let position = self.standing.position;
            old.end = Some(SegmentEnd { offset: self.open.offset, position, time_us: self.open.time_us });
            self.unsealed.push_back(old.base);
            if !self.settings.is_volatile {
                self.unsynced.push((old.base, old.file.clone()));
            }
        }
        let (base, epoch, salt) = (header.base, header.epoch, header.salt());
        segments.push(Segment { base, epoch, file: file.clone(), salt, end: None, is_sealed: false });
        self.catalog = Arc::new(Catalog { segments });
        self.open = OpenSegment::new(header, file, Replayed::none(header), false);
        self.pending.begin(self.standing.time_us, 0);
    }

    /// The segments as they are now.
    pub fn shared_catalog(&self) -> SharedCatalog<D::File> {
        self.catalog.clone()
    }

    /// Where the log ends, as far as it is committed.
    pub fn tail(&self) -> Tail {
        let newest_topic = self.pending.newest_topic_before;
        Tail { base: self.open.base, offset: self.open.offset, position: self.committed(), newest_topic }
    }

    /// The position of the last record that is committed.
    pub(super) fn committed(&self) -> u64 {
        self.standing.position - u64::from(self.pending.count)
    }

    /// The last position that is durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// The epoch that records are written in.
    pub fn epoch(&self) -> u64 {
        self.state.epoch
    }

    /// What names the journal.
    pub fn journal(&self) -> [u8; 16] {
        self.state.journal
    }

    /// The time of the newest record, in microseconds since 1970-01-01 UTC; 0: there never was one.
    pub fn time_us(&self) -> u64 {
        self.standing.time_us
    }

    /// Why it takes nothing more, if it has failed.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Why there is no next segment, if one could not be made: publications are refused once the open one is full.
    pub fn shortage(&self) -> Option<&DiskError> {
        self.shortage.as_ref()
    }

    /// Where a topic ends, records that are not committed included; none if it never had one.
    pub fn topic_end(&self, name: &str) -> Option<TopicEnd> {
        self.find(name).map(|key| self.topic_end_of(key)).filter(|end| end.sequence > 0)
    }

    /// The same by key; the sequence is 0 if it never had a record.
    pub fn topic_end_of(&self, key: TopicKey) -> TopicEnd {
        self.standing.topics.get(key).end()
    }

    /// Topics that it knows.
    pub fn topics_count(&self) -> usize {
        self.standing.topics.count()
    }

    /// A topic's name.
    pub fn topic_name(&self, key: TopicKey) -> &str {
        self.standing.topics.name(key)
    }

    /// The topic that records of the open segment call so.
    pub fn topic_in_open(&self, number: u32) -> Option<TopicKey> {
        self.open.numbers.get(number as usize).copied()
    }

    /// All topics that have had a record, and where they end.
    pub fn topics(&self) -> impl Iterator<Item = (&str, TopicEnd)> {
        self.standing.topics.iter()
    }

    /// Bytes of memory that topics take.
    pub fn topics_bytes(&self) -> usize {
        self.standing.topics.bytes_held() + self.open.numbers.capacity() * size_of::<TopicKey>()
    }
}

impl<F: DiskFile> OpenSegment<F> {
    pub(super) fn new(header: &SegmentHeader, file: F, replayed: Replayed, is_closed: bool) -> OpenSegment<F> {
        OpenSegment {
            base: header.base,
            salt: header.salt(),
            bytes: u32::try_from(file.bytes()).expect("segments are made of a size in 32 bits"),
            file,
            offset: replayed.end.offset,
            checksum: replayed.checksum,
            time_us: replayed.end.time_us,
            numbers: replayed.numbers,
            newest_topic: replayed.newest_topic,
            is_closed,
            dirty_end: 0,
        }
    }
}

impl Pending {
    fn begin(&mut self, time_us: u64, newest_topic: u32) {
        self.bytes.truncate(BATCH_BYTES as usize);
        self.count = 0;
        self.time_us_before = time_us;
        self.newest_topic_before = newest_topic;
        self.accepted.clear();
    }
}

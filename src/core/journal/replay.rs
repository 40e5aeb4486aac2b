//! Reading a segment from front to back, batch by batch, as recovery and the making of snapshots do.
//!
//! ```text
//!  offset 64 --> batch: mark, chain, size --> its items: checksums, numbers, positions --> applied as one
//!                  | zeros: the end             | anything else: damage, at the batch's begin
//! ```
//!
//! A batch was written with one call and released after it; so it counts as a whole or not at all, and nothing of it is
//! applied before all of it was looked at. Bytes are trusted in nothing: whatever stands there, the answer is where the
//! sound batches end, and why.

use super::catalog::SegmentEnd;
use super::disk::{DiskError, DiskFile};
use super::format::{
    BATCH_BYTES, BATCH_MARK, Batch, Found, HEADER_BYTES, Item, Record, SegmentHeader, TopicItem, read_item,
    unproven_batch,
};
use super::standing::Standing;
use super::topics::TopicKey;
use hashbrown::HashMap;

/// Bytes that are read at once.
const READ_BYTES: usize = 1 << 20;
/// Where in a batch item its mark stands.
const MARK_AT: usize = 16;

/// Why the sound batches end where they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// Zeros follow, or nothing.
    End,
    /// What follows is no batch, or not a whole one.
    Damage,
}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Replayed {
    /// Where its sound batches end.
    pub(super) end: SegmentEnd,
    pub(super) stop: Stop,
    /// The checksum of its last item; the header's, if it has none.
    pub(super) checksum: u32,
    /// Its topics, by their number in it.
    pub(super) numbers: Vec<TopicKey>,
    /// Where its newest topic item stands; 0: none.
    pub(super) newest_topic: u32,
    pub(super) records: u64,
}

impl Replayed {
    /// What a segment without an item holds.
    pub(super) fn none(header: &SegmentHeader) -> Replayed {
        let end = SegmentEnd { offset: HEADER_BYTES, position: header.base - 1, time_us: 0 };
        let checksum = header.salt();
        Replayed { end, stop: Stop::End, checksum, numbers: Vec::new(), newest_topic: 0, records: 0 }
    }
}

/// A batch that is found behind a damaged place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) offset: u32,
    /// The position that was known to be synced when it was written.
    pub(super) durable: u64,
}

/// Reads a segment and applies what it holds.
pub(super) fn replay<F: DiskFile>(
    file: &F,
    header: &SegmentHeader,
    standing: &mut Standing,
) -> Result<Replayed, DiskError> {
    let salt = header.salt();
    let replayed = Replayed::none(header);
    let window = Window::new(file);
    standing.is_partial |= header.is_compacted;
    let mut replay = Replay { header, salt, standing, replayed, window, expected: HashMap::default() };
    loop {
        match replay.batch()? {
            Step::Applied => {}
            Step::Stopped(stop) => {
                replay.replayed.stop = stop;
                return Ok(replay.replayed);
            }
        }
    }
}

enum Step {
    Applied,
    Stopped(Stop),
}

struct Replay<'a, F> {
    header: &'a SegmentHeader,
    salt: u32,
    standing: &'a mut Standing,
    replayed: Replayed,
    window: Window<'a, F>,
    /// Where the topics of the batch end, by their number, while it is looked at.
    expected: HashMap<u32, Expected, foldhash::fast::FixedState>,
}

/// What a topic's next record has to go on from.
#[derive(Clone, Copy)]
struct Expected {
    sequence: u64,
    previous: u32,
}

impl<F: DiskFile> Replay<'_, F> {
    fn batch(&mut self) -> Result<Step, DiskError> {
        let begin = self.replayed.end.offset;
        let head = self.window.get(begin, BATCH_BYTES)?;
        let batch = match read_item(head, self.salt) {
            Found::End => return Ok(Step::Stopped(Stop::End)),
            Found::Cut { .. } if head.iter().all(|byte| *byte == 0) => return Ok(Step::Stopped(Stop::End)),
            Found::Item { item: Item::Batch(batch), .. } if batch.checksum_before == self.replayed.checksum => batch,
            _ => return Ok(Step::Stopped(Stop::Damage)),
        };
        let bytes = self.window.get(begin, batch.bytes)?;
        if bytes.len() != batch.bytes as usize {
            return Ok(Step::Stopped(Stop::Damage));
        }
        let Some(items) = items_of(bytes, self.salt, begin) else {
            return Ok(Step::Stopped(Stop::Damage));
        };
        let look = Look { header: self.header, standing: self.standing, replayed: &self.replayed };
        self.expected.clear();
        if !look.is_sound(&batch, &items.places, &mut self.expected) {
            return Ok(Step::Stopped(Stop::Damage));
        }
        apply(self.standing, &mut self.replayed, self.header.base, &items.places);
        self.replayed.end.offset = begin + batch.bytes;
        self.replayed.checksum = items.checksum;
        Ok(Step::Applied)
    }
}

struct Items<'a> {
    /// Those behind the batch's own, with where they stand.
    places: Vec<(u32, Item<'a>)>,
    /// The checksum of the last one.
    checksum: u32,
}

/// The items of a batch, if their lengths and checksums fit.
fn items_of(bytes: &[u8], salt: u32, begin: u32) -> Option<Items<'_>> {
    let mut items = Items { places: Vec::new(), checksum: 0 };
    let mut at = 0;
    while at < bytes.len() {
        let Found::Item { item, bytes, checksum } = read_item(&bytes[at..], salt) else {
            return None;
        };
        if at > 0 {
            items.places.push((begin + at as u32, item));
        }
        items.checksum = checksum;
        at += bytes as usize;
    }
    Some(items)
}

/// What is looked at before a batch is applied.
struct Look<'a> {
    header: &'a SegmentHeader,
    standing: &'a Standing,
    replayed: &'a Replayed,
}

impl Look<'_> {
    fn is_sound(
        &self,
        batch: &Batch,
        items: &[(u32, Item<'_>)],
        expected: &mut HashMap<u32, Expected, foldhash::fast::FixedState>,
    ) -> bool {
        let mut numbers = self.replayed.numbers.len() as u32;
        let mut newest_topic = self.replayed.newest_topic;
        let mut position = self.replayed.end.position;
        let mut time_us = self.replayed.end.time_us;
        let mut records = 0;
        for (offset, item) in items {
            match item {
                Item::Batch(_) => return false,
                Item::Topic(topic) => {
                    if topic.number != numbers || topic.previous != newest_topic || !self.is_topic_sound(topic) {
                        return false;
                    }
                    expected.insert(numbers, Expected { sequence: topic.sequence_before, previous: 0 });
                    numbers += 1;
                    newest_topic = *offset;
                }
                Item::Record(record) => {
                    let is_next = record.position == position + 1
                        || (self.header.is_compacted && record.position > position && record.position < u64::MAX);
                    if !is_next || record.time_us < time_us || record.topic >= numbers {
                        return false;
                    }
                    let topic = expected.entry(record.topic).or_insert_with(|| self.expected(record.topic));
                    if !self.is_record_sound(record, *topic) {
                        return false;
                    }
                    *topic = Expected { sequence: record.sequence, previous: *offset };
                    position = record.position;
                    time_us = record.time_us;
                    records += 1;
                }
            }
        }
        records == batch.count
    }

    /// Where a topic of the segment ends before the batch.
    fn expected(&self, number: u32) -> Expected {
        let topic = self.standing.topics.get(self.replayed.numbers[number as usize]);
        let previous = if topic.base == self.header.base { topic.offset } else { 0 };
        Expected { sequence: topic.sequence, previous }
    }

    fn is_topic_sound(&self, item: &TopicItem<'_>) -> bool {
        let Ok(name) = str::from_utf8(item.name) else {
            return false;
        };
        let known = self.standing.topics.find(name).map(|key| self.standing.topics.get(key));
        let is_here = known.is_some_and(|topic| topic.base == self.header.base);
        let sequence = known.map_or(0, |topic| topic.sequence);
        let is_next = sequence == item.sequence_before || self.standing.is_partial;
        !name.is_empty() && !is_here && is_next && self.standing.topics.has_room_for(name)
    }

    fn is_record_sound(&self, record: &Record<'_>, topic: Expected) -> bool {
        if self.header.is_compacted {
            return record.sequence > topic.sequence && record.sequence < u64::MAX;
        }
        topic.sequence.checked_add(1) == Some(record.sequence) && record.previous == topic.previous
    }
}

/// Applies a batch that was found sound.
fn apply(standing: &mut Standing, replayed: &mut Replayed, base: u64, items: &[(u32, Item<'_>)]) {
    for (offset, item) in items {
        match item {
            Item::Batch(_) => unreachable!("a sound batch has no other in it"),
            Item::Topic(topic) => {
                let name = str::from_utf8(topic.name).expect("a sound topic has a name");
                replayed.numbers.push(standing.apply_topic(topic, name));
                replayed.newest_topic = *offset;
            }
            Item::Record(record) => {
                standing.apply_record(replayed.numbers[record.topic as usize], record, base, *offset);
                replayed.end.position = record.position;
                replayed.end.time_us = record.time_us;
                replayed.records += 1;
            }
        }
    }
    standing.producers.trim();
}

/// The batches of a segment that stand behind an offset, whatever lies between them. `visit` says whether to go on.
pub(super) fn marks_behind<F: DiskFile>(
    file: &F,
    salt: u32,
    from: u32,
    mut visit: impl FnMut(Mark),
) -> Result<(), DiskError> {
    let mut window = Window::new(file);
    let mut at = from;
    loop {
        let bytes = window.get(at, READ_BYTES as u32)?;
        if bytes.len() < BATCH_BYTES as usize {
            return Ok(());
        }
        for place in memchr_marks(bytes) {
            let Some(begin) = place.checked_sub(MARK_AT) else { continue };
            let Some(item) = bytes.get(begin..begin + BATCH_BYTES as usize) else { continue };
            if let Found::Item { item: Item::Batch(batch), .. } = read_item(item, salt) {
                visit(Mark { offset: at + begin as u32, durable: batch.durable });
            }
        }
        at += bytes.len() as u32 - (BATCH_BYTES - 1);
    }
}

/// What batches say was durable whose segment's header is lost, so that no checksum tells whether they are any.
pub(super) fn raw_marks<F: DiskFile>(file: &F, mut visit: impl FnMut(u64)) -> Result<(), DiskError> {
    let mut window = Window::new(file);
    let mut at = 0;
    loop {
        let bytes = window.get(at, READ_BYTES as u32)?;
        if bytes.len() < BATCH_BYTES as usize {
            return Ok(());
        }
        for place in memchr_marks(bytes) {
            let Some(begin) = place.checked_sub(MARK_AT) else { continue };
            let Some(item) = bytes.get(begin..begin + BATCH_BYTES as usize) else { continue };
            if let Some(batch) = unproven_batch(item) {
                visit(batch.durable);
            }
        }
        at += bytes.len() as u32 - (BATCH_BYTES - 1);
    }
}

/// Where marks stand in some bytes.
fn memchr_marks(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let last = bytes.len().saturating_sub(BATCH_MARK.len() - 1);
    (0..last).filter(|at| bytes[*at] == BATCH_MARK[0] && bytes[*at..].starts_with(&BATCH_MARK))
}

/// The offset behind the last byte that is not zero, at or behind an offset; that offset, if all are.
pub(super) fn written_end<F: DiskFile>(file: &F, from: u32) -> Result<u32, DiskError> {
    let mut window = Window::new(file);
    let mut at = from;
    let mut end = from;
    loop {
        let bytes = window.get(at, READ_BYTES as u32)?;
        if bytes.is_empty() {
            return Ok(end);
        }
        if let Some(last) = bytes.iter().rposition(|byte| *byte != 0) {
            end = at + last as u32 + 1;
        }
        at += bytes.len() as u32;
    }
}

/// A stretch of a file in memory.
struct Window<'a, F> {
    file: &'a F,
    bytes: Vec<u8>,
    begin: u32,
}

impl<'a, F: DiskFile> Window<'a, F> {
    fn new(file: &'a F) -> Window<'a, F> {
        Window { file, bytes: Vec::new(), begin: 0 }
    }

    /// So many bytes from an offset on; fewer where the file ends.
    fn get(&mut self, offset: u32, count: u32) -> Result<&[u8], DiskError> {
        let file_bytes = self.file.bytes().min(u64::from(u32::MAX)) as u32;
        let end = offset.saturating_add(count).min(file_bytes);
        let offset = offset.min(end);
        let held_end = self.begin + self.bytes.len() as u32;
        if offset < self.begin || end > held_end {
            let read_bytes = (end - offset).max(READ_BYTES as u32).min(file_bytes - offset);
            self.bytes.resize(read_bytes as usize, 0);
            self.begin = offset;
            self.file.read(u64::from(offset), &mut self.bytes)?;
        }
        Ok(&self.bytes[(offset - self.begin) as usize..(end - self.begin) as usize])
    }
}

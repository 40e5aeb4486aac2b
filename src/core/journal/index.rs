//! The index of a sealed segment: which topics occur, where their records stand, and which time is where.
//!
//! ```text
//!  page 4096   | 4092 bytes of content | checksum of them, the page's number and the segment's salt |
//!  content     | header 112 | topics by number, 24 each | directory by hash, 8 each | names | offsets, 4 each
//!              | marks, 24 each | zeros to the end of the page
//!
//!  name -hash-> directory -number-> topic -begins at-> offsets of its records, oldest first -> segment
//! ```
//!
//! Every page carries its own checksum, so that a look-up that reads two pages of a large file trusts only what it has
//! verified: whatever bit of an index is not as it was written, it shows where it matters, and the segment is scanned
//! instead. The salt of the segment's header is in every checksum: an index fits one segment, and no later life of it.
//!
//! The header alone is enough to start a journal: where the segment ends, its last position and its last time. An index
//! is made after its segment was synced, so that a sound one says the segment is durable.

use super::catalog::SegmentEnd;
use super::disk::DiskFile;
use super::format::{HEADER_BYTES, Item, SegmentHeader};
use super::scan::{Fault, FaultKind, Placed, Scan};

/// Bytes of a page.
pub const PAGE_BYTES: usize = 4096;
const CONTENT_BYTES: usize = PAGE_BYTES - 4;
const INDEX_HEADER_BYTES: usize = 112;
const TOPIC_BYTES: usize = 24;
const SLOT_BYTES: usize = 8;
const OFFSET_BYTES: usize = 4;
const MARK_BYTES: usize = 24;
/// How far apart the marks are, in bytes of the segment.
pub const MARK_EVERY_BYTES: u32 = 64 * 1024;
/// Guesses by the hash before the directory is halved instead.
const GUESSES_MAX: u32 = 4;
const MAGIC: [u8; 8] = *b"FWINDX\r\n";
const VERSION: u16 = 1;

/// What an index says of its segment as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// The journal's id.
    pub journal: [u8; 16],
    /// The segment's base.
    pub base: u64,
    /// The segment's epoch.
    pub epoch: u64,
    /// What the checksums of the segment's items begin with.
    pub salt: u32,
    /// How the segment ends. Of a compacted one, the position is the last that it covers, whether kept or not.
    pub end: SegmentEnd,
    /// The time of its first record; 0 if it has none.
    pub first_time_us: u64,
    /// Records in it.
    pub records: u32,
    /// Topics in it.
    pub topics: u32,
    /// The length of all names.
    pub names_bytes: u32,
    /// Marks of the time index.
    pub marks: u32,
}

/// What an index says of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicEntry {
    /// The segment's number of it.
    pub number: u32,
    /// Where in the segment its topic item stands.
    pub item: u32,
    /// The sequence of its first record there.
    pub first_sequence: u64,
    /// Its records there.
    pub count: u32,
    /// The place of the first of its offsets among all offsets.
    pub begin: u32,
    /// Where its name ends among all names.
    name_end: u32,
}

/// A record every 64 KiB or so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Its position.
    pub position: u64,
    /// Its time, in microseconds since 1970-01-01 UTC.
    pub time_us: u64,
    /// Where it stands in the segment.
    pub offset: u32,
}

/// An index, opened.
#[derive(Debug, Clone)]
pub struct Index<F> {
    file: F,
    summary: Summary,
}

impl Summary {
    const fn topics_at(&self) -> usize {
        INDEX_HEADER_BYTES
    }

    const fn directory_at(&self) -> usize {
        self.topics_at() + self.topics as usize * TOPIC_BYTES
    }

    const fn names_at(&self) -> usize {
        self.directory_at() + self.topics as usize * SLOT_BYTES
    }

    const fn offsets_at(&self) -> usize {
        self.names_at() + self.names_bytes as usize
    }

    const fn marks_at(&self) -> usize {
        self.offsets_at() + self.records as usize * OFFSET_BYTES
    }

    const fn content_bytes(&self) -> usize {
        self.marks_at() + self.marks as usize * MARK_BYTES
    }

    /// The size of the index file.
    pub const fn file_bytes(&self) -> u64 {
        (self.content_bytes().div_ceil(CONTENT_BYTES) * PAGE_BYTES) as u64
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&[0; 2]);
        out.extend_from_slice(&self.salt.to_le_bytes());
        out.extend_from_slice(&self.journal);
        for field in [self.base, self.epoch, self.end.position, self.end.time_us, self.first_time_us] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for field in [self.end.offset, self.records, self.topics, self.names_bytes, self.marks] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.resize(INDEX_HEADER_BYTES, 0);
    }

    fn read(content: &[u8]) -> Summary {
        let mut journal = [0; 16];
        journal.copy_from_slice(&content[16..32]);
        Summary {
            journal,
            base: u64_at(content, 32),
            epoch: u64_at(content, 40),
            salt: u32_at(content, 12),
            end: SegmentEnd {
                position: u64_at(content, 48),
                time_us: u64_at(content, 56),
                offset: u32_at(content, 72),
            },
            first_time_us: u64_at(content, 64),
            records: u32_at(content, 76),
            topics: u32_at(content, 80),
            names_bytes: u32_at(content, 84),
            marks: u32_at(content, 88),
        }
    }
}

/// Reads a segment once and makes the bytes of its index file. `end` is the offset behind its last item.
///
/// Whatever is not as the journal writes it is a fault: a segment that can't be indexed is damaged.
pub fn build(file: &impl DiskFile, header: &SegmentHeader, end: u32) -> Result<Vec<u8>, Fault> {
    build_covering(file, header, end, None)
}

/// The same of a compacted segment, which covers positions and times up to these whether it has their records or not.
pub(super) fn build_covering(
    file: &impl DiskFile,
    header: &SegmentHeader,
    end: u32,
    covered: Option<(u64, u64)>,
) -> Result<Vec<u8>, Fault> {
    let salt = header.salt();
    let mut draft = Draft::new(header.base);
    let mut scan = Scan::new(file, salt, HEADER_BYTES, end);
    while let Some(placed) = scan.next_item()? {
        draft.take(&placed)?;
    }
    let (position, time_us) = covered.unwrap_or((draft.position_last, draft.time_last_us));
    let summary = Summary {
        journal: header.journal,
        base: header.base,
        epoch: header.epoch,
        salt,
        end: SegmentEnd { offset: end, position, time_us },
        first_time_us: draft.first_time_us,
        records: draft.records.len() as u32,
        topics: draft.topics.len() as u32,
        names_bytes: draft.names.len() as u32,
        marks: draft.marks.len() as u32,
    };
    Ok(paginate(&draft.content(&summary), salt))
}

/// What has been seen of a segment.
struct Draft {
    position_last: u64,
    time_last_us: u64,
    first_time_us: u64,
    topics: Vec<TopicEntry>,
    sequences: Vec<u64>,
    names: Vec<u8>,
    /// Topic and offset of every record.
    records: Vec<(u32, u32)>,
    marks: Vec<Mark>,
}

impl Draft {
    fn new(base: u64) -> Draft {
        Draft {
            position_last: base.saturating_sub(1),
            time_last_us: 0,
            first_time_us: 0,
            topics: Vec::new(),
            sequences: Vec::new(),
            names: Vec::new(),
            records: Vec::new(),
            marks: Vec::new(),
        }
    }

    fn take(&mut self, placed: &Placed<'_>) -> Result<(), Fault> {
        let offset = placed.offset;
        let fault = |what| Fault::damaged(u64::from(offset), what);
        match placed.item {
            Item::Batch(_) => {}
            Item::Topic(topic) => {
                if topic.number as usize != self.topics.len() {
                    return Err(fault("a topic's number is not the next one"));
                }
                self.names.extend_from_slice(topic.name);
                let name_end = self.names.len() as u32;
                let number = topic.number;
                self.topics.push(TopicEntry { number, item: offset, first_sequence: 0, count: 0, begin: 0, name_end });
                self.sequences.push(topic.sequence_before);
            }
            Item::Record(record) => {
                let Some(topic) = self.topics.get_mut(record.topic as usize) else {
                    return Err(fault("a record of a topic that has no name"));
                };
                let sequence_last = &mut self.sequences[record.topic as usize];
                if record.position <= self.position_last || record.sequence <= *sequence_last {
                    return Err(fault("a record's position or sequence is not behind the one before it"));
                }
                if topic.count == 0 {
                    topic.first_sequence = record.sequence;
                }
                topic.count += 1;
                *sequence_last = record.sequence;
                self.position_last = record.position;
                self.time_last_us = record.time_us;
                if self.records.is_empty() {
                    self.first_time_us = record.time_us;
                }
                self.records.push((record.topic, offset));
                if self.marks.last().is_none_or(|mark| offset - mark.offset >= MARK_EVERY_BYTES) {
                    self.marks.push(Mark { position: record.position, time_us: record.time_us, offset });
                }
            }
        }
        Ok(())
    }

    fn content(mut self, summary: &Summary) -> Vec<u8> {
        let mut out = Vec::with_capacity(summary.content_bytes());
        summary.write(&mut out);
        let offsets = self.sort_offsets();
        for topic in &self.topics {
            out.extend_from_slice(&topic.first_sequence.to_le_bytes());
            for field in [topic.item, topic.count, topic.begin, topic.name_end] {
                out.extend_from_slice(&field.to_le_bytes());
            }
        }
        for (hash, number) in self.directory() {
            out.extend_from_slice(&hash.to_le_bytes());
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.names);
        for offset in offsets {
            out.extend_from_slice(&offset.to_le_bytes());
        }
        for mark in &self.marks {
            out.extend_from_slice(&mark.position.to_le_bytes());
            out.extend_from_slice(&mark.time_us.to_le_bytes());
            out.extend_from_slice(&mark.offset.to_le_bytes());
            out.extend_from_slice(&[0; 4]);
        }
        debug_assert_eq!(out.len(), summary.content_bytes());
        out
    }

    /// All offsets by topic, and within a topic oldest first.
    fn sort_offsets(&mut self) -> Vec<u32> {
        let mut begin = 0;
        for topic in &mut self.topics {
            topic.begin = begin;
            begin += topic.count;
        }
        let mut next: Vec<u32> = self.topics.iter().map(|topic| topic.begin).collect();
        let mut offsets = vec![0; self.records.len()];
        for (topic, offset) in &self.records {
            let place = &mut next[*topic as usize];
            offsets[*place as usize] = *offset;
            *place += 1;
        }
        offsets
    }

    fn directory(&self) -> Vec<(u32, u32)> {
        let mut begin = 0;
        let mut directory: Vec<(u32, u32)> = Vec::with_capacity(self.topics.len());
        for topic in &self.topics {
            let end = topic.name_end as usize;
            directory.push((crc32c::crc32c(&self.names[begin..end]), topic.number));
            begin = end;
        }
        directory.sort_unstable();
        directory
    }
}

/// Cuts content into pages and puts a checksum into each.
fn paginate(content: &[u8], salt: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len().div_ceil(CONTENT_BYTES) * PAGE_BYTES);
    for (number, part) in content.chunks(CONTENT_BYTES).enumerate() {
        let begin = out.len();
        out.extend_from_slice(part);
        out.resize(begin + CONTENT_BYTES, 0);
        let checksum = page_checksum(&out[begin..], number, salt);
        out.extend_from_slice(&checksum.to_le_bytes());
    }
    out
}

fn page_checksum(content: &[u8], number: usize, salt: u32) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(salt, &(number as u64).to_le_bytes()), content)
}

impl<F: DiskFile> Index<F> {
    /// Reads and verifies the first page, and no more.
    pub fn open(file: F) -> Result<Index<F>, Fault> {
        let mut page = [0; PAGE_BYTES];
        if file.bytes() < PAGE_BYTES as u64 {
            return Err(Fault::damaged(0, "too short for an index"));
        }
        file.read(0, &mut page).map_err(|error| Fault::disk(0, error))?;
        if page[..8] != MAGIC {
            return Err(Fault::damaged(0, "not an index"));
        }
        let version = u16::from_le_bytes([page[8], page[9]]);
        if version > VERSION {
            return Err(Fault { offset: 0, kind: FaultKind::Newer(version) });
        }
        let summary = Summary::read(&page);
        verify_page(&page, 0, summary.salt)?;
        if version != VERSION || summary.file_bytes() != file.bytes() {
            return Err(Fault::damaged(0, "the file is not as long as its header says"));
        }
        Ok(Index { file, summary })
    }

    /// Whether this is the index of the segment with this header.
    pub fn fits(&self, header: &SegmentHeader) -> bool {
        let Summary { journal, base, epoch, salt, .. } = self.summary;
        (journal, base, epoch, salt) == (header.journal, header.base, header.epoch, header.salt())
    }

    /// What it says of the segment as a whole.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// What it says of the topic with this name; none if that does not occur. Reads a few pages.
    pub fn find(&self, name: &[u8]) -> Result<Option<TopicEntry>, Fault> {
        let hash = crc32c::crc32c(name);
        let mut place = self.first_slot(hash)?;
        while place < self.summary.topics {
            let (found, number) = self.slot(place)?;
            if found != hash {
                break;
            }
            let (topic, found) = self.topic(number)?;
            if found == name {
                return Ok(Some(topic));
            }
            place += 1;
        }
        Ok(None)
    }

    /// The place of the first slot with this hash or a higher one. Hashes are spread evenly, so the first guesses
    /// land close by.
    fn first_slot(&self, hash: u32) -> Result<u32, Fault> {
        let (mut low, mut high) = (0, self.summary.topics);
        let (mut hash_low, mut hash_high) = (0, u64::from(u32::MAX) + 1);
        let mut guesses = 0;
        while low < high {
            let span = u64::from(high - low);
            let share = span * (u64::from(hash) - hash_low) / (hash_high - hash_low).max(1);
            let guess = if guesses < GUESSES_MAX { share.min(span - 1) } else { span / 2 };
            guesses += 1;
            let middle = low + guess as u32;
            let (found, _) = self.slot(middle)?;
            if found < hash {
                (low, hash_low) = (middle + 1, u64::from(found));
            } else {
                (high, hash_high) = (middle, u64::from(found) + 1);
            }
        }
        Ok(low)
    }

    fn slot(&self, place: u32) -> Result<(u32, u32), Fault> {
        let mut slot = [0; SLOT_BYTES];
        self.content(self.summary.directory_at() + place as usize * SLOT_BYTES, &mut slot)?;
        Ok((u32_at(&slot, 0), u32_at(&slot, 4)))
    }

    /// What it says of the topic with this number, and the name. Reads one or two pages.
    pub fn topic(&self, number: u32) -> Result<(TopicEntry, Vec<u8>), Fault> {
        let at = self.summary.topics_at() + number as usize * TOPIC_BYTES;
        if number >= self.summary.topics {
            return Err(Fault::damaged(0, "the index knows no topic of this number"));
        }
        let before = usize::from(number > 0);
        let mut bytes = [0; 2 * TOPIC_BYTES];
        let wanted = &mut bytes[..(1 + before) * TOPIC_BYTES];
        self.content(at - before * TOPIC_BYTES, wanted)?;
        let name_begin = if before == 1 { u32_at(wanted, TOPIC_BYTES - 4) } else { 0 };
        let topic = read_topic(number, &wanted[before * TOPIC_BYTES..]);
        if name_begin > topic.name_end || topic.name_end > self.summary.names_bytes {
            return Err(Fault::damaged(0, "the index's names do not follow each other"));
        }
        let mut name = vec![0; (topic.name_end - name_begin) as usize];
        self.content(self.summary.names_at() + name_begin as usize, &mut name)?;
        Ok((topic, name))
    }

    /// Reads all topics in the order of their numbers, with their names.
    pub fn each_topic(&self, mut visit: impl FnMut(&TopicEntry, &[u8])) -> Result<(), Fault> {
        let mut topics = vec![0; self.summary.topics as usize * TOPIC_BYTES];
        self.content(self.summary.topics_at(), &mut topics)?;
        let mut names = vec![0; self.summary.names_bytes as usize];
        self.content(self.summary.names_at(), &mut names)?;
        let mut begin = 0;
        for (number, bytes) in topics.chunks_exact(TOPIC_BYTES).enumerate() {
            let topic = read_topic(number as u32, bytes);
            let Some(name) = names.get(begin..topic.name_end as usize) else {
                return Err(Fault::damaged(0, "the index's names do not follow each other"));
            };
            visit(&topic, name);
            begin = topic.name_end as usize;
        }
        Ok(())
    }

    /// Appends the offsets of a topic's records, `count` of them from the `first` on, oldest first.
    ///
    /// # Panics
    /// When the topic has fewer.
    pub fn offsets(&self, topic: &TopicEntry, first: u32, count: u32, out: &mut Vec<u32>) -> Result<(), Fault> {
        assert!(first <= topic.count && count <= topic.count - first, "a topic is asked for more records than it has");
        let end = u64::from(topic.begin) + u64::from(topic.count);
        if end > u64::from(self.summary.records) {
            return Err(Fault::damaged(0, "the index's offsets end before a topic's do"));
        }
        let mut bytes = vec![0; count as usize * OFFSET_BYTES];
        self.content(self.summary.offsets_at() + (topic.begin + first) as usize * OFFSET_BYTES, &mut bytes)?;
        out.extend(bytes.chunks_exact(OFFSET_BYTES).map(|bytes| u32_at(bytes, 0)));
        Ok(())
    }

    /// The last mark that is not behind a position; none if the first record is behind it.
    pub fn mark_of_position(&self, position: u64) -> Result<Option<Mark>, Fault> {
        self.last_mark(|mark| mark.position <= position)
    }

    /// The last mark that is older than a time; none if not even the first record is.
    pub fn mark_before_time(&self, time_us: u64) -> Result<Option<Mark>, Fault> {
        self.last_mark(|mark| mark.time_us < time_us)
    }

    fn last_mark(&self, is_before: impl Fn(&Mark) -> bool) -> Result<Option<Mark>, Fault> {
        let (mut low, mut high) = (0, self.summary.marks);
        let mut last = None;
        while low < high {
            let middle = low + (high - low) / 2;
            let mark = self.mark(middle)?;
            if is_before(&mark) {
                (low, last) = (middle + 1, Some(mark));
            } else {
                high = middle;
            }
        }
        Ok(last)
    }

    fn mark(&self, place: u32) -> Result<Mark, Fault> {
        let mut bytes = [0; MARK_BYTES];
        self.content(self.summary.marks_at() + place as usize * MARK_BYTES, &mut bytes)?;
        Ok(Mark { position: u64_at(&bytes, 0), time_us: u64_at(&bytes, 8), offset: u32_at(&bytes, 16) })
    }

    /// Fills a buffer with content, verifying every page it comes from.
    fn content(&self, at: usize, out: &mut [u8]) -> Result<(), Fault> {
        let mut page = [0; PAGE_BYTES];
        let mut done = 0;
        while done < out.len() {
            let (number, begin) = ((at + done) / CONTENT_BYTES, (at + done) % CONTENT_BYTES);
            let offset = (number * PAGE_BYTES) as u64;
            if offset + PAGE_BYTES as u64 > self.file.bytes() {
                return Err(Fault::damaged(offset, "the index ends before its content does"));
            }
            self.file.read(offset, &mut page).map_err(|error| Fault::disk(offset, error))?;
            verify_page(&page, number, self.summary.salt)?;
            let part = (CONTENT_BYTES - begin).min(out.len() - done);
            out[done..done + part].copy_from_slice(&page[begin..begin + part]);
            done += part;
        }
        Ok(())
    }

    /// Verifies every page.
    pub fn verify_pages(&self) -> Result<(), Fault> {
        let mut page = [0; PAGE_BYTES];
        for number in 0..(self.file.bytes() / PAGE_BYTES as u64) as usize {
            let offset = (number * PAGE_BYTES) as u64;
            self.file.read(offset, &mut page).map_err(|error| Fault::disk(offset, error))?;
            verify_page(&page, number, self.summary.salt)?;
        }
        Ok(())
    }
}

fn verify_page(page: &[u8; PAGE_BYTES], number: usize, salt: u32) -> Result<(), Fault> {
    let (content, checksum) = page.split_at(CONTENT_BYTES);
    if page_checksum(content, number, salt) == u32_at(checksum, 0) {
        return Ok(());
    }
    Err(Fault::damaged((number * PAGE_BYTES) as u64, "a page of the index does not fit its checksum"))
}

fn read_topic(number: u32, bytes: &[u8]) -> TopicEntry {
    TopicEntry {
        number,
        first_sequence: u64_at(bytes, 0),
        item: u32_at(bytes, 8),
        count: u32_at(bytes, 12),
        begin: u32_at(bytes, 16),
        name_end: u32_at(bytes, 20),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

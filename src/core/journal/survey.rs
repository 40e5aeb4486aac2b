//! What lies in a journal's directory, looked at from outside: beside a broker that goes on writing, or without one.
//!
//! ```text
//!  names --> segments by base --header--> index, if it fits: what it says     --> Surveyed, one a segment
//!                                `------> none: every item, to the first that is none
//! ```
//!
//! Nothing is written and nothing is locked. So what a broker has written only in part may be seen: a batch counts when
//! all of it is there, as recovery counts it, and what follows the last whole one is told and not judged. Retention and
//! compaction may take a file's name away meanwhile, or give it to another one: what is read later is read from the
//! files that were looked at. What a compacted segment stands for and is still there is left out, as recovery does.

use super::catalog::SegmentEnd;
use super::disk::{Disk, DiskError, DiskFile};
use super::format::{HEADER_BYTES, Item, Record, SegmentHeader};
use super::index::Index;
use super::names::{self, Kind};
use super::scan::{Fault, Scan, read_header};
use super::state::{State, StateFault};
use std::ops::ControlFlow;

/// How often a directory is looked at whose files change meanwhile.
pub(super) const LOOKS: u32 = 20;

/// A journal's directory.
#[derive(Debug)]
pub struct Survey<F> {
    /// What its state file says.
    pub state: Result<State, StateFault>,
    /// Its segments, oldest first.
    pub segments: Vec<Surveyed<F>>,
    /// Files that are called segments and can't be read as one, oldest first.
    pub unreadable: Vec<(String, Fault)>,
    /// Files with bytes that a recovery kept aside.
    pub cuts: Vec<String>,
    /// Whether a segment went away meanwhile.
    is_outrun: bool,
}

/// One segment.
#[derive(Debug, Clone)]
pub struct Surveyed<F> {
    /// What its file is called.
    pub name: String,
    /// Its header.
    pub header: SegmentHeader,
    /// Whether it has an index that fits: then it is sealed and synced.
    pub is_sealed: bool,
    /// What it holds.
    pub content: Content,
    /// The file that was looked at: its name may be another one's by now.
    file: F,
}

/// What a segment holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Records.
    pub records: u64,
    /// Topics.
    pub topics: u64,
    /// The time of its first record; 0 if it has none.
    pub first_time_us: u64,
    /// How it ends.
    pub end: SegmentEnd,
    /// What stands behind the last whole batch, if it is neither zeros nor nothing.
    pub trouble: Option<Fault>,
}

impl<F: DiskFile> Survey<F> {
    /// Looks at every segment. `visit` is told of each file that is read as a whole, and its bytes.
    pub fn of<D: Disk<File = F>>(disk: &mut D, visit: &mut dyn FnMut(&str, u64)) -> Result<Survey<F>, DiskError> {
        let mut looks = 0;
        loop {
            looks += 1;
            let survey = Survey::look(disk, visit)?;
            // A segment that went away may have become part of one that was opened before that.
            if !survey.is_outrun || looks == LOOKS {
                return Ok(survey);
            }
        }
    }

    fn look<D: Disk<File = F>>(disk: &mut D, visit: &mut dyn FnMut(&str, u64)) -> Result<Survey<F>, DiskError> {
        let mut files = disk.list()?;
        files.sort();
        let state = State::load(disk);
        let mut survey =
            Survey { state, segments: Vec::new(), unreadable: Vec::new(), cuts: Vec::new(), is_outrun: false };
        for name in files {
            match names::kind(&name) {
                Kind::Segment(base) => survey.add(disk, name, base, visit)?,
                Kind::Cut => survey.cuts.push(name),
                _ => {}
            }
        }
        Ok(survey)
    }

    fn add<D: Disk<File = F>>(
        &mut self,
        disk: &mut D,
        name: String,
        base: u64,
        visit: &mut dyn FnMut(&str, u64),
    ) -> Result<(), DiskError> {
        if self.segments.last().is_some_and(|before| before.covers(base)) {
            return Ok(());
        }
        let file = match disk.open(&name) {
            // Retention was quicker, or compaction.
            Err(DiskError::Missing) => {
                self.is_outrun = true;
                return Ok(());
            }
            opened => opened?,
        };
        let header = match read_header(&file) {
            Ok(header) if header.base == base => header,
            Ok(_) => {
                self.unreadable.push((name, Fault::damaged(0, "its header names another base than its name does")));
                return Ok(());
            }
            Err(fault) => {
                self.unreadable.push((name, fault));
                return Ok(());
            }
        };
        let index = open_index(disk, &header);
        let content = match &index {
            Some(index) => indexed(index),
            None => {
                visit(&name, file.bytes());
                scanned(&file, &header)
            }
        };
        self.segments.push(Surveyed { name, header, is_sealed: index.is_some(), content, file });
        Ok(())
    }

    /// Bytes of all segments' files.
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.header.bytes).sum()
    }

    /// Records in all segments.
    pub fn records(&self) -> u64 {
        self.segments.iter().map(|segment| segment.content.records).sum()
    }

    /// The times of the first and of the last record; none if there is none.
    pub fn times_us(&self) -> Option<(u64, u64)> {
        let mut filled = self.segments.iter().filter(|segment| segment.content.records > 0);
        let first = filled.next()?;
        let last = filled.next_back().unwrap_or(first);
        Some((first.content.first_time_us, last.content.end.time_us))
    }
}

impl<F: DiskFile> Surveyed<F> {
    /// Whether it was compacted from the segment with this base, among others, which is there to be removed.
    fn covers(&self, base: u64) -> bool {
        self.header.is_compacted && base <= self.content.end.position
    }

    /// Visits the names of its topics, in the order of their numbers.
    pub fn each_name<D: Disk<File = F>>(&self, disk: &mut D, mut visit: impl FnMut(&[u8])) -> Result<(), Fault> {
        if self.is_sealed
            && let Some(index) = open_index(disk, &self.header)
        {
            return index.each_topic(|_, name| visit(name));
        }
        let mut scan = Scan::new(&self.file, self.header.salt(), HEADER_BYTES, self.end_offset());
        while let Some(placed) = scan.next_item()? {
            if let Item::Topic(topic) = placed.item {
                visit(topic.name);
            }
        }
        Ok(())
    }
}

/// Where to begin in a segment: no record that is wanted stands before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// With its first record.
    Front,
    /// With the record of a position.
    Position(u64),
    /// With the first record that is not older than this, in microseconds since 1970-01-01 UTC.
    Time(u64),
}

impl<F: DiskFile> Surveyed<F> {
    /// Visits its records from a place on, perhaps with some from before it, each with its topic's name, until `visit`
    /// breaks off. What was written since the survey is left out.
    pub fn each_record<D: Disk<File = F>>(
        &self,
        disk: &mut D,
        begin: Begin,
        visit: &mut dyn FnMut(&[u8], &Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), Fault> {
        let Entry { offset, mut names } = self.entry(disk, begin)?;
        let mut scan = Scan::new(&self.file, self.header.salt(), offset, self.end_offset());
        while let Some(placed) = scan.next_item()? {
            let offset = u64::from(placed.offset);
            match placed.item {
                Item::Batch(_) => {}
                Item::Topic(topic) if topic.number as usize == names.len() => names.push(topic.name.into()),
                // Those before a place in the middle are known from the index.
                Item::Topic(topic) if names.get(topic.number as usize).is_some_and(|name| **name == *topic.name) => {}
                Item::Topic(_) => return Err(Fault::damaged(offset, "a topic's number is not the next one")),
                Item::Record(record) => {
                    let Some(name) = names.get(record.topic as usize) else {
                        return Err(Fault::damaged(offset, "a record of a topic that has no name"));
                    };
                    if visit(name, &record).is_break() {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// Where its items end, within the file whatever its index says.
    fn end_offset(&self) -> u32 {
        self.content.end.offset.min(u32::try_from(self.file.bytes()).unwrap_or(u32::MAX))
    }

    fn entry<D: Disk>(&self, disk: &mut D, begin: Begin) -> Result<Entry, Fault> {
        let front = Entry { offset: HEADER_BYTES, names: Vec::new() };
        let Some(index) = open_index(disk, &self.header).filter(|_| self.is_sealed) else {
            return Ok(front);
        };
        let mark = match begin {
            Begin::Front => None,
            Begin::Position(position) => index.mark_of_position(position)?,
            Begin::Time(time_us) => index.mark_before_time(time_us)?,
        };
        let Some(mark) = mark else { return Ok(front) };
        let mut names: Vec<Box<[u8]>> = Vec::new();
        index.each_topic(|_, name| names.push(name.into()))?;
        Ok(Entry { offset: mark.offset, names })
    }
}

/// Where to begin in a segment.
struct Entry {
    offset: u32,
    /// Topics whose items may stand before it, by their numbers.
    names: Vec<Box<[u8]>>,
}

/// The index of a segment, if there is one that fits.
pub fn open_index<D: Disk>(disk: &mut D, header: &SegmentHeader) -> Option<Index<D::File>> {
    let file = disk.open(&names::index(header.base)).ok()?;
    Index::open(file).ok().filter(|index| index.fits(header))
}

/// What an index says of its segment.
fn indexed<F: DiskFile>(index: &Index<F>) -> Content {
    let summary = index.summary();
    Content {
        records: summary.records.into(),
        topics: summary.topics.into(),
        first_time_us: summary.first_time_us,
        end: summary.end,
        trouble: None,
    }
}

/// What a segment holds, item by item.
fn scanned<F: DiskFile>(file: &F, header: &SegmentHeader) -> Content {
    let end = SegmentEnd { offset: HEADER_BYTES, position: header.base.saturating_sub(1), time_us: 0 };
    let empty = Content { records: 0, topics: 0, first_time_us: 0, end, trouble: None };
    let file_end = u32::try_from(file.bytes()).unwrap_or(u32::MAX);
    let mut scan = Scan::new(file, header.salt(), HEADER_BYTES, file_end);
    let (mut whole, mut seen, mut batch_end) = (empty.clone(), empty, HEADER_BYTES);
    let fault = loop {
        let placed = match scan.next_item() {
            Ok(Some(placed)) => placed,
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        };
        if let Item::Batch(batch) = placed.item {
            batch_end = placed.offset.saturating_add(batch.bytes);
        }
        let end_offset = placed.offset + placed.bytes;
        if end_offset > batch_end {
            break Some(Fault::damaged(placed.offset.into(), "an item stands outside of its batch"));
        }
        seen.take(&placed.item, end_offset);
        if end_offset == batch_end {
            whole = seen.clone();
        }
    };
    whole.trouble = fault.filter(|_| !is_blank(file, whole.end.offset));
    whole
}

impl Content {
    fn take(&mut self, item: &Item<'_>, end_offset: u32) {
        self.end.offset = end_offset;
        match item {
            Item::Batch(_) => {}
            Item::Topic(_) => self.topics += 1,
            Item::Record(record) => {
                if self.records == 0 {
                    self.first_time_us = record.time_us;
                }
                self.records += 1;
                (self.end.position, self.end.time_us) = (record.position, record.time_us);
            }
        }
    }
}

/// Whether nothing was written at a place: a length of zero, or no room for one.
fn is_blank(file: &impl DiskFile, offset: u32) -> bool {
    let mut length = [0; 4];
    let has_room = u64::from(offset) + 4 <= file.bytes();
    !has_room || (file.read(offset.into(), &mut length).is_ok() && length == [0; 4])
}

//! What is known of a segment while cursors read it: its index if it has one, else what reading it has shown.
//!
//! ```text
//!  sealed    index --> names, marks, where each topic's records stand
//!  open      | topic 0 | ... | topic 1 | ...|            |   names and marks as far as somebody has read: learned
//!                                           '- learned_to
//! ```
//!
//! Names are learned from front to back only, so that number `n` is the n-th topic item. An index that shows any damage
//! is never asked again: the segment is read as if it had none.

use crate::journal::catalog::Segment;
use crate::journal::disk::{Disk, DiskFile};
use crate::journal::format::{HEADER_BYTES, Item, SegmentHeader, TopicItem};
use crate::journal::index::{Index, MARK_EVERY_BYTES, Mark, TopicEntry};
use crate::journal::scan::{Fault, Scan, read_header};
use fanwire_wire::limits::{FILTER_PLUS_CEILING, TOPIC_BYTES_CEILING, TOPIC_LEVELS_CEILING};
use fanwire_wire::{Limits, TopicName};

/// Segments that something is remembered of; of each, its file is held open, and its index.
pub const VIEWS_MAX: usize = 8;

/// What a name or a filter in a journal may have at the most, whatever the broker's limits are by now.
pub(super) fn widest() -> Limits {
    Limits {
        topic_bytes_max: TOPIC_BYTES_CEILING,
        topic_levels_max: TOPIC_LEVELS_CEILING,
        filter_plus_max: FILTER_PLUS_CEILING,
        ..Limits::default()
    }
}

/// The views of a journal's segments.
#[derive(Debug)]
pub(super) struct Views<D: Disk> {
    disk: D,
    /// The last one was used last.
    views: Vec<View<D::File>>,
}

/// What is known of one segment.
#[derive(Debug)]
pub(super) struct View<F> {
    pub(super) file: F,
    pub(super) header: SegmentHeader,
    pub(super) salt: u32,
    index: Option<Index<F>>,
    /// Whether an index was looked for that should be there.
    is_index_settled: bool,
    names: Names,
    /// Where the topic items stand, by number, as far as they were learned by reading.
    items: Vec<u32>,
    learned_to: u32,
    marks: Vec<Mark>,
}

/// Names by number.
#[derive(Debug, Default)]
struct Names {
    text: String,
    ends: Vec<u32>,
}

impl Names {
    fn get(&self, number: u32) -> Option<&str> {
        let end = *self.ends.get(number as usize)?;
        let begin = if number == 0 { 0 } else { self.ends[number as usize - 1] };
        Some(&self.text[begin as usize..end as usize])
    }

    fn push(&mut self, name: &[u8]) -> bool {
        let Ok(name) = TopicName::new(name, &widest()) else { return false };
        self.text.push_str(name.as_str());
        self.ends.push(self.text.len() as u32);
        true
    }
}

impl<D: Disk> Views<D> {
    pub(super) fn new(disk: D) -> Views<D> {
        Views { disk, views: Vec::new() }
    }

    /// The view of a segment. Who sees it as it was before it was sealed has another one than who sees it now: the
    /// index knows more than the former may see.
    pub(super) fn of(&mut self, segment: &Segment<D::File>) -> Result<&mut View<D::File>, Fault> {
        let is_it = |view: &View<D::File>| {
            (view.header.base, view.salt, view.is_index_settled) == (segment.base, segment.salt, segment.is_sealed)
        };
        let mut view = match self.views.iter().position(is_it) {
            Some(place) => self.views.remove(place),
            None => View::new(segment)?,
        };
        if segment.is_sealed && !view.is_index_settled {
            view.is_index_settled = true;
            view.index = self.open_index(&view.header);
        }
        if self.views.len() == VIEWS_MAX {
            self.views.remove(0);
        }
        self.views.push(view);
        Ok(self.views.last_mut().expect("it was pushed"))
    }

    /// The index of the segment with this header; none if it is missing, damaged or another one's.
    fn open_index(&mut self, header: &SegmentHeader) -> Option<Index<D::File>> {
        let file = self.disk.open(&format!("{:020}.index", header.base)).ok()?;
        Index::open(file).ok().filter(|index| index.fits(header))
    }
}

impl<F: DiskFile> View<F> {
    fn new(segment: &Segment<F>) -> Result<View<F>, Fault> {
        let header = read_header(&segment.file)?;
        if (header.base, header.salt()) != (segment.base, segment.salt) {
            return Err(Fault::damaged(0, "it is not the segment that was there before"));
        }
        Ok(View {
            file: segment.file.clone(),
            header,
            salt: segment.salt,
            index: None,
            is_index_settled: false,
            names: Names::default(),
            items: Vec::new(),
            learned_to: HEADER_BYTES,
            marks: Vec::new(),
        })
    }

    /// Whether the segment has an index that is sound so far.
    pub(super) fn has_index(&self) -> bool {
        self.index.is_some()
    }

    /// Asks the index; none if there is none, or if it turns out to be damaged.
    pub(super) fn ask<T>(&mut self, question: impl FnOnce(&Index<F>) -> Result<T, Fault>) -> Option<T> {
        let answer = question(self.index.as_ref()?).ok();
        if answer.is_none() {
            self.index = None;
            self.forget();
        }
        answer
    }

    fn forget(&mut self) {
        self.names = Names::default();
        self.items.clear();
        self.learned_to = HEADER_BYTES;
        self.marks.clear();
    }

    /// Makes sure that the names of all topics up to an item's offset are known. What has been forgotten since the
    /// offset was come by is read once more.
    pub(super) fn name_to(&mut self, offset: u32) -> Result<(), Fault> {
        if self.named_by_index().is_none() && offset > self.learned_to {
            self.learn(offset, None)?;
        }
        Ok(())
    }

    fn named_by_index(&mut self) -> Option<()> {
        let topics = self.index.as_ref()?.summary().topics as usize;
        if self.names.ends.len() < topics { self.visit_topics(|_, _| {}) } else { Some(()) }
    }

    /// Shows every topic of the index with its name, in the order of their numbers; none if there is no index or it
    /// turns out to be damaged. All names are known then.
    pub(super) fn visit_topics(&mut self, mut visit: impl FnMut(&TopicEntry, &str)) -> Option<()> {
        let mut names = Names::default();
        self.ask(|index| {
            let mut are_sound = true;
            index.each_topic(|entry, name| {
                are_sound &= names.push(name);
                visit(entry, names.get(entry.number).unwrap_or_default());
            })?;
            if are_sound { Ok(()) } else { Err(Fault::damaged(0, BAD_NAME)) }
        })?;
        self.names = names;
        Some(())
    }

    /// The name of a topic, if it is known.
    pub(super) fn name(&self, number: u32) -> Option<&str> {
        self.names.get(number)
    }

    /// The number of a name among those that are known.
    pub(super) fn number_of(&self, name: &str) -> Option<u32> {
        (0..self.names.ends.len() as u32).find(|number| self.name(*number) == Some(name))
    }

    /// Where a topic's item stands, if that was learned.
    pub(super) fn item(&self, number: u32) -> Option<u32> {
        self.items.get(number as usize).copied()
    }

    /// Takes note of a topic item that somebody came by.
    pub(super) fn learn_topic(&mut self, offset: u32, topic: &TopicItem<'_>) -> Result<(), Fault> {
        if offset < self.learned_to || self.index.is_some() {
            return Ok(());
        }
        if topic.number as usize != self.items.len() {
            return Err(Fault::damaged(u64::from(offset), "a topic's number is not the next one"));
        }
        if !self.names.push(topic.name) {
            return Err(Fault::damaged(u64::from(offset), BAD_NAME));
        }
        self.items.push(offset);
        Ok(())
    }

    /// Takes note of where a record stands that somebody came by, if none close before it is known.
    pub(super) fn learn_record(&mut self, mark: Mark) {
        if self.marks.last().is_none_or(|last| mark.offset >= last.offset.saturating_add(MARK_EVERY_BYTES)) {
            self.marks.push(mark);
        }
    }

    /// Whether what is read from here on can be learned.
    pub(super) fn can_learn_at(&self, offset: u32) -> bool {
        self.index.is_none() && offset <= self.learned_to
    }

    /// Everything up to here has been read.
    pub(super) fn learned(&mut self, to: u32) {
        self.learned_to = self.learned_to.max(to);
    }

    /// Reads on to an offset, or until the item of a topic has been seen.
    pub(super) fn learn(&mut self, end: u32, until_topic: Option<u32>) -> Result<(), Fault> {
        let file = self.file.clone();
        let mut scan = Scan::new(&file, self.salt, self.learned_to, end);
        while until_topic.is_none_or(|number| self.item(number).is_none()) {
            let Some(placed) = scan.next_item()? else { break };
            let (offset, end) = (placed.offset, placed.offset + placed.bytes);
            match placed.item {
                Item::Topic(topic) => self.learn_topic(offset, &topic)?,
                Item::Record(record) => {
                    self.learn_record(Mark { position: record.position, time_us: record.time_us, offset });
                }
                Item::Batch(_) => {}
            }
            self.learned(end);
        }
        Ok(())
    }

    /// A place to begin at for what is at this position or behind it, and not older than this time: everything that
    /// matters stands there or behind, and the names of what stands before are known.
    pub(super) fn begin(&mut self, position: u64, time_us: u64) -> u32 {
        if position <= self.header.base && time_us == 0 {
            return HEADER_BYTES;
        }
        let mark = self.ask(|index| Ok([index.mark_of_position(position)?, index.mark_before_time(time_us)?]));
        let marks = mark.unwrap_or_else(|| {
            let by_position = self.marks.partition_point(|mark| mark.position <= position).checked_sub(1);
            let by_time = self.marks.partition_point(|mark| mark.time_us < time_us).checked_sub(1);
            [by_position, by_time].map(|place| place.map(|place| self.marks[place]))
        });
        marks.into_iter().flatten().map(|mark| mark.offset).max().unwrap_or(HEADER_BYTES)
    }
}

const BAD_NAME: &str = "a topic's name breaks the grammar";

//! The way back through one topic: which segments its records stand in, and how to find them there.
//!
//! ```text
//!  segments    [ 1 ]      [ 40 311 ]      [ 80 702 ]      [ 121 000 open ]
//!               ^                ^                               |
//!               |                '--base_before, offset_before---+-- topic item <--previous-- record <--previous-- end
//!               '--base_before-- topic item <-- index                                   (or: by the segment's index)
//! ```
//!
//! Segments without the topic are never touched, so that the way costs what the topic holds. Offsets that lead into a
//! segment are good as long as it was not compacted; a compacted one is asked by its index, and if it has lost that, by
//! reading it. Compaction may have taken a topic out of a segment that others name: then the ones before are asked.

use super::gather::Block;
use super::sweep::NAMELESS;
use super::view::{View, Views};
use super::{Failure, Floor, limit, locate};
use crate::journal::catalog::{Catalog, Segment, Tail, TopicEnd};
use crate::journal::disk::{Disk, DiskFile};
use crate::journal::format::{Item, NO_BASE, TOPIC_BYTES, TopicItem};
use crate::journal::index::TopicEntry;
use crate::journal::scan::{Fault, Scan};

/// Below so many records a topic is not dense, however small the segment.
const SPARSE_RECORDS: u64 = 16;
/// Steps back through a chain at the most: more cost as much as reading a whole segment from the front.
const CHAIN_RECORDS_MAX: u64 = 8_192;
/// A topic with more than this share of a segment's records is read by reading all of them.
const DENSE_SHARE: u64 = 16;

/// Whether so many records of all of them are better found by reading all.
pub(super) fn are_dense(records: u64, all: u64) -> bool {
    records > SPARSE_RECORDS && records > all / DENSE_SHARE
}

/// How far back to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Goal {
    /// As far as there is anything.
    All,
    /// To this sequence.
    Sequence(u64),
    /// To so many records.
    Count(u64),
    /// To where this position is.
    Position(u64),
    /// To where this time is.
    Time(u64),
}

/// A segment with records of the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leg {
    pub(super) base: u64,
    /// Where the topic's last record stands there; 0: to be looked for.
    pub(super) offset: u32,
    /// The sequence of that record; 0: not known.
    pub(super) sequence: u64,
    /// So many of its oldest records there are not wanted.
    pub(super) skip: u64,
}

/// How the way back ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// At the goal.
    Reached,
    /// At the topic's first record, as far as compaction has left it.
    Beginning,
    /// Where retention has removed what was before.
    Retired,
}

/// The way back.
#[derive(Debug)]
pub(super) struct Trail {
    /// Newest first.
    pub(super) legs: Vec<Leg>,
    pub(super) halt: Halt,
    /// No record of the topic that is left out has this sequence or a later one.
    pub(super) first_sequence: u64,
    /// The epoch of the oldest leg's segment, or of the one that its records were said to be in before compaction.
    pub(super) epoch: u64,
}

/// What one segment says of the topic.
struct Stay {
    /// Records there, as far as they were counted.
    count: u64,
    /// The lowest sequence there, as far as it was looked for.
    first_sequence: u64,
    /// What was before the segment; none if the goal was reached within it.
    before: Option<Before>,
}

struct Before {
    sequence: u64,
    base: u64,
    offset: u32,
}

/// Goes back through a topic's segments.
pub(super) fn walk_back<D: Disk>(
    views: &mut Views<D>,
    block: &mut Block,
    catalog: &Catalog<D::File>,
    tail: Tail,
    name: &str,
    topic: TopicEnd,
    goal: Goal,
) -> Result<Trail, Failure> {
    let mut trail = Trail { legs: Vec::new(), halt: Halt::Beginning, first_sequence: topic.sequence + 1, epoch: 0 };
    if topic.sequence == 0 || is_reached_without(goal, topic.sequence) {
        trail.halt = if topic.sequence == 0 { Halt::Beginning } else { Halt::Reached };
        return Ok(trail);
    }
    let mut hop = Leg { base: topic.base, offset: topic.offset, sequence: topic.sequence, skip: 0 };
    let (mut counted, mut named) = (0, None);
    trail.halt = loop {
        let Some(place) = locate(catalog, hop.base) else { break Halt::Retired };
        let segment = &catalog.segments[place];
        if lies_behind(segment, tail, goal) {
            break Halt::Reached;
        }
        if segment.base != hop.base {
            hop = Leg { base: segment.base, offset: 0, ..hop };
        }
        let wanted =
            Wanted { name, end: limit(catalog, tail, place), records: records_of(segment, tail), goal, counted };
        let stay = views.of(segment).and_then(|view| stay(view, block, &hop, &wanted));
        let mut next = None;
        if let Some(stay) = stay.map_err(|fault| Failure::of(segment.base, &fault))? {
            counted += stay.count;
            let skip = if let Goal::Count(count) = goal { counted.saturating_sub(count) } else { 0 };
            trail.legs.push(Leg { skip, ..hop });
            trail.first_sequence = stay.first_sequence;
            trail.epoch = named.take().unwrap_or(segment.epoch);
            let Some(before) = stay.before else { break Halt::Reached };
            if before.sequence == 0 || before.base == NO_BASE {
                break Halt::Beginning;
            }
            let Before { sequence, base, offset } = before;
            next = (base < segment.base).then_some(Leg { base, offset, sequence, skip: 0 });
        }
        // Compaction has taken the topic out of the segment that was named, or out of one that this one was made of.
        let before =
            || Some(Leg { base: catalog.segments[place.checked_sub(1)?].base, offset: 0, sequence: 0, skip: 0 });
        if next.is_none() {
            named.get_or_insert(segment.epoch);
        }
        match next.or_else(before) {
            Some(next) => hop = next,
            None if segment.base > 1 => break Halt::Retired,
            None => break Halt::Beginning,
        }
    };
    Ok(trail)
}

fn is_reached_without(goal: Goal, sequence: u64) -> bool {
    match goal {
        Goal::Sequence(wanted) => wanted > sequence,
        Goal::Count(count) => count == 0,
        _ => false,
    }
}

/// Whether everything in a segment is before what is wanted.
fn lies_behind<F>(segment: &Segment<F>, tail: Tail, goal: Goal) -> bool {
    match goal {
        Goal::Position(position) => segment.end.map_or(tail.position, |end| end.position) < position,
        Goal::Time(time_us) => segment.end.is_some_and(|end| end.time_us < time_us),
        _ => false,
    }
}

/// Records in a segment, or in its released part, at the most.
pub(super) fn records_of<F>(segment: &Segment<F>, tail: Tail) -> u64 {
    let last = if segment.base == tail.base { tail.position } else { segment.end.map_or(0, |end| end.position) };
    (last + 1).saturating_sub(segment.base)
}

/// What is asked of each segment.
struct Wanted<'a> {
    name: &'a str,
    /// Behind its last released item.
    end: u32,
    records: u64,
    goal: Goal,
    /// Records on the way so far.
    counted: u64,
}

impl Wanted<'_> {
    fn is_reached(&self, first_sequence: u64, count: u64) -> bool {
        match self.goal {
            Goal::Sequence(sequence) => first_sequence <= sequence,
            Goal::Count(wanted) => self.counted + count >= wanted,
            _ => false,
        }
    }
}

fn stay<F: DiskFile>(
    view: &mut View<F>,
    block: &mut Block,
    leg: &Leg,
    wanted: &Wanted<'_>,
) -> Result<Option<Stay>, Fault> {
    if let Some(found) = view.ask(|index| index.find(wanted.name.as_bytes())) {
        return found.map(|entry| stay_by_index(view, block, &entry, wanted)).transpose();
    }
    if leg.offset != 0 && !view.header.is_compacted {
        return stay_by_chain(view, block, leg, wanted).map(Some);
    }
    stay_by_reading(view, block, wanted)
}

fn stay_by_index<F: DiskFile>(
    view: &View<F>,
    block: &mut Block,
    entry: &TopicEntry,
    wanted: &Wanted<'_>,
) -> Result<Stay, Fault> {
    let count = u64::from(entry.count);
    let is_reached = wanted.is_reached(entry.first_sequence, count);
    if is_reached {
        return Ok(Stay { count, first_sequence: entry.first_sequence, before: None });
    }
    let before = before(view, block, entry.item, entry.number, wanted)?;
    Ok(stay_of(before, count, wanted))
}

fn stay_of(before: Before, count: u64, wanted: &Wanted<'_>) -> Stay {
    let first_sequence = before.sequence + 1;
    let is_reached = wanted.is_reached(first_sequence, count);
    Stay { count, first_sequence, before: (!is_reached).then_some(before) }
}

fn stay_by_chain<F: DiskFile>(
    view: &mut View<F>,
    block: &mut Block,
    leg: &Leg,
    wanted: &Wanted<'_>,
) -> Result<Stay, Fault> {
    let until = if let Goal::Sequence(sequence) = wanted.goal { sequence } else { 0 };
    let count_max = if let Goal::Count(count) = wanted.goal { count - wanted.counted } else { u64::MAX };
    let chain = Chain::walk(view, block, leg, wanted.end, steps_max(wanted.records).min(count_max), until)?;
    let count = chain.offsets.len() as u64;
    if wanted.is_reached(chain.sequence, count) {
        return Ok(Stay { count, first_sequence: chain.sequence, before: None });
    }
    let item = match topic_item_before(view, block, &chain, wanted) {
        Some(item) => item,
        None => topic_item_by_reading(view, chain.number, wanted.end)?,
    };
    let before = before(view, block, item, chain.number, wanted)?;
    let count = leg.sequence.saturating_sub(before.sequence);
    Ok(stay_of(before, count, wanted))
}

/// Steps back through a chain before reading the whole segment is better.
fn steps_max(records: u64) -> u64 {
    (records / DENSE_SHARE).clamp(SPARSE_RECORDS, CHAIN_RECORDS_MAX)
}

/// Where the topic's item stands, if it is directly before the topic's first record, as it is when a topic begins.
fn topic_item_before<F: DiskFile>(
    view: &View<F>,
    block: &mut Block,
    chain: &Chain,
    wanted: &Wanted<'_>,
) -> Option<u32> {
    let first = *chain.offsets.last().filter(|_| chain.is_whole)?;
    let offset = first.checked_sub(TOPIC_BYTES + wanted.name.len() as u32)?;
    let placed = block.item(view, offset, wanted.end, offset..first).ok()?;
    let is_it = matches!(placed.item, Item::Topic(topic) if topic.number == chain.number);
    is_it.then_some(offset)
}

fn topic_item_by_reading<F: DiskFile>(view: &mut View<F>, number: u32, end: u32) -> Result<u32, Fault> {
    if !view.has_index() {
        view.learn(end, Some(number))?;
    }
    view.item(number).ok_or(Fault::damaged(u64::from(end), NAMELESS))
}

/// What a topic item says of what was before its segment.
fn before<F: DiskFile>(
    view: &View<F>,
    block: &mut Block,
    offset: u32,
    number: u32,
    wanted: &Wanted<'_>,
) -> Result<Before, Fault> {
    let window = offset..offset.saturating_add(TOPIC_BYTES + wanted.name.len() as u32);
    match block.item(view, offset, wanted.end, window)?.item {
        Item::Topic(TopicItem { number: found, name, sequence_before, base_before, offset_before, .. })
            if found == number && name == wanted.name.as_bytes() =>
        {
            Ok(Before { sequence: sequence_before, base: base_before, offset: offset_before })
        }
        _ => Err(Fault::damaged(u64::from(offset), "the topic's item does not stand where it is named")),
    }
}

/// The dear way, for a compacted segment that has lost its index.
fn stay_by_reading<F: DiskFile>(
    view: &mut View<F>,
    block: &mut Block,
    wanted: &Wanted<'_>,
) -> Result<Option<Stay>, Fault> {
    view.learn(wanted.end, None)?;
    let Some(number) = view.number_of(wanted.name) else {
        return Ok(None);
    };
    let item = topic_item_by_reading(view, number, wanted.end)?;
    let mut count = 0;
    let mut scan = Scan::new(&view.file, view.salt, item, wanted.end);
    while let Some(placed) = scan.next_item()? {
        count += u64::from(matches!(placed.item, Item::Record(record) if record.topic == number));
    }
    let before = before(view, block, item, number, wanted)?;
    Ok(Some(stay_of(before, count, wanted)))
}

/// A topic's records in one segment, from one of them backwards.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) number: u32,
    /// Newest first.
    pub(super) offsets: Vec<u32>,
    /// The lowest sequence among them.
    sequence: u64,
    /// Whether it ends with the topic's first record in the segment.
    is_whole: bool,
}

impl Chain {
    /// Goes back until a sequence, or so many steps, or the segment's front.
    fn walk<F: DiskFile>(
        view: &View<F>,
        block: &mut Block,
        leg: &Leg,
        end: u32,
        steps_max: u64,
        until_sequence: u64,
    ) -> Result<Chain, Fault> {
        let mut chain = Chain { number: 0, offsets: Vec::new(), sequence: leg.sequence, is_whole: false };
        let mut offset = leg.offset;
        loop {
            let record = block.record_before(view, offset, end)?;
            let is_first = chain.offsets.is_empty();
            if is_first {
                chain.number = record.topic;
            }
            let sequence = leg.sequence - chain.offsets.len() as u64;
            if record.topic != chain.number || record.sequence != sequence {
                return Err(Fault::damaged(u64::from(offset), "the chain of a topic's records leads to another one"));
            }
            chain.offsets.push(offset);
            chain.sequence = sequence;
            chain.is_whole = record.previous == 0;
            let is_over = sequence <= until_sequence.max(1) || chain.offsets.len() as u64 >= steps_max;
            if chain.is_whole || is_over {
                return Ok(chain);
            }
            if record.previous >= offset {
                return Err(Fault::damaged(u64::from(offset), "the chain of a topic's records does not lead back"));
            }
            offset = record.previous;
        }
    }

    /// The offsets of a leg's records from a sequence on, oldest first; none if they are too many to be followed.
    pub(super) fn follow<F: DiskFile>(
        view: &View<F>,
        block: &mut Block,
        leg: &Leg,
        end: u32,
        records: u64,
        floor: &Floor,
    ) -> Result<Option<Chain>, Fault> {
        let mut chain = Chain::walk(view, block, leg, end, steps_max(records), floor.sequence)?;
        if !chain.is_whole && chain.sequence > floor.sequence {
            return Ok(None);
        }
        chain.offsets.reverse();
        Ok(Some(chain))
    }
}

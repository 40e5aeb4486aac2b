//! A cursor over one topic: from leg to leg of the way back, oldest first, each read as suits it.

use super::gather::{Block, gather};
use super::sweep::{Filling, Wanted, sweep};
use super::trail::{Chain, Goal, Halt, Leg, Trail, are_dense, records_of, walk_back};
use super::view::{View, Views};
use super::{Failure, Floor, Moment, OpenRequest, Progress, limit, locate};
use crate::journal::catalog::{Catalog, Segment, TopicEnd};
use crate::journal::disk::{Disk, DiskFile};
use crate::journal::index::TopicEntry;
use crate::journal::scan::Fault;
use fanwire_wire::frame::{Outcome, Start};

/// Offsets that are fetched from an index at once.
const OFFSETS_MAX: u32 = 1_024;
/// What it costs to find a topic in a segment, in bytes of work.
const LEG_WORK_BYTES: usize = 16 * 1024;

/// A cursor with an exact filter.
#[derive(Debug)]
pub(super) struct TopicCursor<F> {
    /// What is still to be read, newest first.
    legs: Vec<Leg>,
    current: Option<Current<F>>,
    /// `sequence` is the next one.
    floor: Floor,
    /// The legs lead up to this sequence.
    planned: u64,
}

/// The segment that it is in, which it can read to its end, retired or not.
#[derive(Debug)]
struct Current<F> {
    segment: Segment<F>,
    end: u32,
    leg: Leg,
    way: Way,
    wanted: Wanted,
}

/// How the topic's records are found in a segment.
#[derive(Debug)]
enum Way {
    /// By the index: what was fetched of it, and how many were fetched before.
    Entries { entry: TopicEntry, next: u32, offsets: Vec<u32>, at: usize },
    /// Found by following the chain.
    Offsets { offsets: Vec<u32>, at: usize },
    /// By reading everything from here on.
    Sweep { offset: u32 },
}

impl<F: DiskFile> TopicCursor<F> {
    /// Sets one up, and says how it begins.
    pub(super) fn open<D: Disk<File = F>>(
        views: &mut Views<D>,
        block: &mut Block,
        request: &OpenRequest<F>,
    ) -> Result<(TopicCursor<F>, Outcome, u64), Failure> {
        let nothing = TopicEnd { sequence: 0, base: 1, offset: 0 };
        let topic = request.topic.unwrap_or(nothing);
        let (goal, verdict) = aim(request, topic);
        let mut walk = |goal| walk_back(views, block, &request.catalog, request.tail, &request.filter, topic, goal);
        let mut trail = walk(goal)?;
        let outcome = match verdict {
            Verdict::Settled(outcome) => outcome,
            Verdict::IfReached => judge_sequence(&trail),
            Verdict::Resume { epoch, last } => judge_resume(&trail, epoch, last, topic, request),
        };
        let is_reset = matches!(outcome, Outcome::ResetEpoch | Outcome::ResetRetention | Outcome::ResetBeyond);
        if is_reset && goal != Goal::All {
            trail = walk(Goal::All)?;
        }
        let mut floor = Floor::of_topic(trail.first_sequence);
        if !is_reset {
            match request.start {
                Start::Sequence { sequence } => floor.sequence = floor.sequence.max(sequence),
                Start::Resume { last, .. } => floor.sequence = floor.sequence.max(last + 1),
                Start::Position { position } => floor.position = position,
                Start::Time { time_us } => floor.time_us = time_us,
                _ => {}
            }
        }
        let base = trail.legs.last().map_or(request.tail.position + 1, |leg| leg.base);
        let position = base.max(floor.position);
        Ok((TopicCursor { legs: trail.legs, current: None, floor, planned: topic.sequence }, outcome, position))
    }

    /// Reads on.
    pub(super) fn read<D: Disk<File = F>>(
        &mut self,
        views: &mut Views<D>,
        moment: &Moment<'_, F>,
        topic: Option<TopicEnd>,
        filling: &mut Filling<'_>,
    ) -> Result<Progress, Failure> {
        while !filling.is_over() {
            if let Some(current) = &mut self.current {
                let base = current.segment.base;
                let is_done =
                    views.of(&current.segment).and_then(|view| current.advance(view, &mut self.floor, filling));
                if is_done.map_err(|fault| Failure::of(base, &fault))? {
                    self.floor.sequence = self.floor.sequence.max(current.leg.sequence + 1);
                    self.current = None;
                }
            } else if let Some(leg) = self.legs.last().copied() {
                let Some(place) = locate(moment.catalog, leg.base) else {
                    return Ok(Progress::Overtaken);
                };
                self.legs.pop();
                let segment = &moment.catalog.segments[place];
                let current = views
                    .of(segment)
                    .and_then(|view| settle(view, segment, leg, moment, place, &mut self.floor, filling));
                self.current = current.map_err(|fault| Failure::of(segment.base, &fault))?;
            } else {
                self.floor.sequence = self.floor.sequence.max(self.planned + 1);
                let Some(topic) = topic.filter(|topic| topic.sequence >= self.floor.sequence) else {
                    return Ok(Progress::AtTail { sequence: self.floor.sequence - 1 });
                };
                let goal = Goal::Sequence(self.floor.sequence);
                let (catalog, tail) = (moment.catalog, moment.tail);
                let trail = walk_back(views, filling.block, catalog, tail, filling.filter, topic, goal)?;
                if trail.halt == Halt::Retired {
                    return Ok(Progress::Overtaken);
                }
                (self.legs, self.planned) = (trail.legs, topic.sequence);
            }
        }
        Ok(Progress::More)
    }
}

/// What says how a subscription begins.
enum Verdict {
    Settled(Outcome),
    /// History if the goal can be reached.
    IfReached,
    Resume {
        epoch: u64,
        last: u64,
    },
}

/// How far back a start has to look, and what that will say.
fn aim<F>(request: &OpenRequest<F>, topic: TopicEnd) -> (Goal, Verdict) {
    let history = Verdict::Settled(Outcome::History);
    let beyond = (Goal::All, Verdict::Settled(Outcome::ResetBeyond));
    let next_position = request.tail.position + 1;
    match request.start {
        Start::Live => (Goal::Count(0), Verdict::Settled(Outcome::Live)),
        Start::First => (Goal::All, history),
        Start::LastValue => (Goal::Count(1), history),
        Start::Last { count } => (Goal::Count(u64::from(count)), history),
        Start::Sequence { sequence } if sequence > topic.sequence + 1 => beyond,
        Start::Sequence { sequence } => (Goal::Sequence(sequence.max(1)), Verdict::IfReached),
        Start::Position { position } if position > next_position => beyond,
        Start::Position { position } if position.max(1) < request.first_base() => {
            (Goal::All, Verdict::Settled(Outcome::ResetRetention))
        }
        Start::Position { position } => (Goal::Position(position), history),
        Start::Time { time_us } => (Goal::Time(time_us), history),
        Start::Resume { epoch, .. } if epoch > request.epoch => (Goal::All, Verdict::Settled(Outcome::ResetEpoch)),
        Start::Resume { last, .. } if last > topic.sequence => beyond,
        Start::Resume { epoch, last: 0 } => (Goal::All, Verdict::Resume { epoch, last: 0 }),
        Start::Resume { epoch, last } => (Goal::Sequence(last), Verdict::Resume { epoch, last }),
    }
}

fn judge_sequence(trail: &Trail) -> Outcome {
    if trail.halt == Halt::Retired { Outcome::ResetRetention } else { Outcome::History }
}

/// Whether the last record received is the one that is there. If retention has just removed it and nothing behind it,
/// the epoch of what follows tells: it is the same one or a later one.
fn judge_resume<F>(trail: &Trail, epoch: u64, last: u64, topic: TopicEnd, request: &OpenRequest<F>) -> Outcome {
    match trail.halt {
        Halt::Retired if last == 0 || trail.first_sequence != last + 1 => Outcome::ResetRetention,
        _ if topic.sequence == 0 || last == 0 => Outcome::Resumed,
        _ => {
            let written = if trail.legs.is_empty() { epoch_of(&request.catalog, topic.base) } else { trail.epoch };
            if written <= epoch { Outcome::Resumed } else { Outcome::ResetEpoch }
        }
    }
}

/// The epoch of what was written in a segment, or a later one if retention has removed it.
fn epoch_of<F>(catalog: &Catalog<F>, base: u64) -> u64 {
    let place = locate(catalog, base).unwrap_or(0);
    catalog.segments.get(place).map_or(0, |segment| segment.epoch)
}

/// Decides how to read a leg; none if there is nothing to read in it any more.
fn settle<F: DiskFile>(
    view: &mut View<F>,
    segment: &Segment<F>,
    leg: Leg,
    moment: &Moment<'_, F>,
    place: usize,
    floor: &mut Floor,
    filling: &mut Filling<'_>,
) -> Result<Option<Current<F>>, Fault> {
    filling.work.did(LEG_WORK_BYTES);
    floor.seen = 0;
    if leg.sequence != 0 && leg.sequence < floor.sequence {
        return Ok(None);
    }
    let end = limit(moment.catalog, moment.tail, place);
    let name = filling.filter;
    let current = |way, number, skip| {
        let mut wanted = Wanted::one(number);
        wanted.skip = skip;
        Some(Current { segment: segment.clone(), end, leg, way, wanted })
    };
    if let Some(found) = view.ask(|index| index.find(name.as_bytes())) {
        let Some(entry) = found else { return Ok(None) };
        if let Some(way) = way_by_index(view, &entry, leg.skip, floor) {
            let skip = if matches!(way, Way::Sweep { .. }) && view.header.is_compacted { leg.skip } else { 0 };
            return Ok(current(way, entry.number, skip));
        }
    }
    let is_same = leg.offset != 0 && leg.base == segment.base && !view.header.is_compacted;
    if is_same {
        let records = records_of(segment, moment.tail);
        if let Some(chain) = Chain::follow(view, filling.block, &leg, end, records, floor)? {
            let at = (leg.skip as usize).min(chain.offsets.len());
            return Ok(current(Way::Offsets { offsets: chain.offsets, at }, chain.number, 0));
        }
        let number = filling.block.record_before(view, leg.offset, end)?.topic;
        let offset = view.begin(floor.position, floor.time_us);
        return Ok(current(Way::Sweep { offset }, number, leg.skip));
    }
    view.learn(end, None)?;
    let Some(number) = view.number_of(name) else { return Ok(None) };
    let offset = view.item(number).ok_or(Fault::damaged(u64::from(end), super::sweep::NAMELESS))?;
    Ok(current(Way::Sweep { offset }, number, leg.skip))
}

/// None if the index turns out to be damaged.
fn way_by_index<F: DiskFile>(view: &mut View<F>, entry: &TopicEntry, skip: u64, floor: &Floor) -> Option<Way> {
    let known = if view.header.is_compacted { 0 } else { floor.sequence.saturating_sub(entry.first_sequence) };
    let next = known.max(skip).min(u64::from(entry.count)) as u32;
    let left = entry.count - next;
    let begin = view.begin(floor.position, floor.time_us);
    let is_dense = view.ask(|index| Ok(are_dense(u64::from(left), u64::from(index.summary().records))))?;
    if !is_dense {
        return Some(Way::Entries { entry: *entry, next, offsets: Vec::new(), at: 0 });
    }
    let mut first = Vec::new();
    view.ask(|index| index.offsets(entry, next, 1, &mut first))?;
    Some(Way::Sweep { offset: begin.max(first[0]) })
}

impl<F: DiskFile> Current<F> {
    /// Reads on in the segment; whether it is done with it.
    fn advance(&mut self, view: &mut View<F>, floor: &mut Floor, filling: &mut Filling<'_>) -> Result<bool, Fault> {
        match &mut self.way {
            Way::Sweep { offset } => {
                sweep(view, offset, self.end, &mut self.wanted, floor, filling)?;
                Ok(*offset >= self.end)
            }
            Way::Offsets { offsets, at } => {
                gather(view, offsets, at, self.end, &mut self.wanted, floor, filling)?;
                Ok(*at == offsets.len())
            }
            Way::Entries { entry, next, offsets, at } => {
                if *at == offsets.len() {
                    let count = (entry.count - *next).min(OFFSETS_MAX);
                    offsets.clear();
                    *at = 0;
                    if view.ask(|index| index.offsets(entry, *next, count, offsets)).is_none() {
                        // The floor knows what was delivered; the wanted number stays the same.
                        floor.seen = 0;
                        self.way = Way::Sweep { offset: view.begin(0, 0) };
                        return Ok(false);
                    }
                    *next += count;
                }
                gather(view, offsets, at, self.end, &mut self.wanted, floor, filling)?;
                Ok(*at == offsets.len() && *next == entry.count)
            }
        }
    }
}

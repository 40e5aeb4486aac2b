//! A cursor over all topics that match a filter with wildcards: segment by segment, in the order of positions.
//!
//! ```text
//!  last N       count back  <--|<--|<--|   then walk from there, passing over what is too much
//!  last value   the newest record of each topic, by place; then walk from the tail that the cursor began with
//!  walk         |-->|-->|-->|  each segment swept, or, where its index says that little matches, gathered
//! ```

use super::TopicList;
use super::gather::gather;
use super::sweep::{Filling, Match, Wanted, matches_name, sweep};
use super::trail::{are_dense, records_of};
use super::view::{View, Views};
use super::{Failure, Floor, Moment, OpenRequest, Progress, limit, locate};
use crate::journal::catalog::{Segment, SharedCatalog, Tail, TopicEnd};
use crate::journal::disk::{Disk, DiskFile};
use crate::journal::history::History;
use crate::journal::scan::Fault;
use fanwire_wire::frame::{Outcome, Start};
use std::sync::Arc;

/// What it costs to ask for one topic, in bytes of work.
const TOPIC_WORK_BYTES: usize = 64;

/// A cursor with wildcards in its filter.
#[derive(Debug)]
pub(super) struct WildCursor<F> {
    stage: Stage<F>,
    /// The next position that was not looked at.
    next_position: u64,
    floor: Floor,
}

#[derive(Debug)]
enum Stage<F> {
    Count(Count<F>),
    Values(Values<F>),
    Walk(Option<Current<F>>),
}

/// Goes back until enough records match.
#[derive(Debug)]
struct Count<F> {
    catalog: SharedCatalog<F>,
    tail: Tail,
    /// The segment to look at, from the newest on.
    place: usize,
    /// Records that are still to be found.
    left: u64,
    /// Where the counting of a segment without index goes on, and what it found.
    sweep: Option<Sweep>,
}

#[derive(Debug)]
struct Sweep {
    offset: u32,
    wanted: Wanted,
    floor: Floor,
    count: u64,
}

/// The newest records of topics, by place.
#[derive(Debug)]
struct Values<F> {
    catalog: SharedCatalog<F>,
    tail: Tail,
    topics: Arc<TopicList>,
    /// Those of them that have a record left, in the order of their places.
    order: Vec<u32>,
    at: usize,
}

/// The segment that it is in.
#[derive(Debug)]
struct Current<F> {
    segment: Segment<F>,
    /// The last position that it covers, once another one follows.
    position_last: Option<u64>,
    wanted: Wanted,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Sweep { offset: u32 },
    Gather { offsets: Vec<u32>, at: usize },
}

impl<F: DiskFile> WildCursor<F> {
    /// Sets one up, and says how it begins.
    pub(super) fn open(request: &OpenRequest<F>) -> (WildCursor<F>, Outcome, u64) {
        let (outcome, position) = judge(request);
        let mut floor = Floor::of_position(position);
        if let Start::Time { time_us } = request.start {
            floor.time_us = time_us;
        }
        let stage = match request.start {
            Start::Last { count } if count > 0 && !request.catalog.segments.is_empty() => Stage::Count(Count {
                catalog: request.catalog.clone(),
                tail: request.tail,
                place: request.catalog.segments.len() - 1,
                left: u64::from(count),
                sweep: None,
            }),
            Start::LastValue => Stage::Values(Values::new(request)),
            _ => Stage::Walk(None),
        };
        let is_from_behind = matches!(request.start, Start::Last { .. } | Start::LastValue);
        let told = if is_from_behind { request.first_base() } else { position };
        (WildCursor { stage, next_position: position, floor }, outcome, told)
    }

    /// Reads on.
    pub(super) fn read<D: Disk<File = F>>(
        &mut self,
        views: &mut Views<D>,
        moment: &Moment<'_, F>,
        filling: &mut Filling<'_>,
    ) -> Result<Progress, Failure> {
        while !filling.is_over() {
            match &mut self.stage {
                Stage::Count(count) => {
                    if let Some(current) = count.advance(views, filling)? {
                        self.next_position = current.segment.base;
                        self.floor = Floor::of_position(self.next_position);
                        self.stage = Stage::Walk(Some(current));
                    }
                }
                Stage::Values(values) => {
                    if values.advance(views, filling)? {
                        self.stage = Stage::Walk(None);
                    }
                }
                Stage::Walk(_) => {
                    if let Some(progress) = self.walk(views, moment, filling)? {
                        return Ok(progress);
                    }
                }
            }
        }
        Ok(Progress::More)
    }

    /// Reads on in the segment that it is in, or goes to the next one; none as long as there is more to do.
    fn walk<D: Disk<File = F>>(
        &mut self,
        views: &mut Views<D>,
        moment: &Moment<'_, F>,
        filling: &mut Filling<'_>,
    ) -> Result<Option<Progress>, Failure> {
        let Stage::Walk(stage) = &mut self.stage else { return Ok(None) };
        let Some(current) = stage else {
            if self.next_position > moment.tail.position {
                return Ok(Some(Progress::AtTail { sequence: 0 }));
            }
            let Some(place) = locate(moment.catalog, self.next_position) else {
                return Ok(Some(Progress::Overtaken));
            };
            self.floor.position = self.floor.position.max(self.next_position);
            let segment = &moment.catalog.segments[place];
            *stage = Some(enter(views, segment, &mut self.floor, filling)?);
            return Ok(None);
        };
        let Some(end) = current.renew(moment) else {
            return Ok(Some(Progress::Overtaken));
        };
        let base = current.segment.base;
        let is_done = views.of(&current.segment).and_then(|view| current.advance(view, end, &mut self.floor, filling));
        self.floor.position = self.floor.position.max(self.floor.seen + 1);
        if !is_done.map_err(|fault| Failure::of(base, &fault))? {
            return Ok(None);
        }
        match current.position_last.filter(|_| base != moment.tail.base) {
            Some(last) => {
                self.next_position = last + 1;
                *stage = None;
                Ok(None)
            }
            None => Ok(Some(Progress::AtTail { sequence: 0 })),
        }
    }
}

/// How a subscription begins, and the position that the cursor begins with.
fn judge<F>(request: &OpenRequest<F>) -> (Outcome, u64) {
    let (first, next) = (request.first_base(), request.tail.position + 1);
    let segments = &request.catalog.segments;
    match request.start {
        Start::Live => (Outcome::Live, next),
        Start::First | Start::Sequence { .. } => (Outcome::History, first),
        Start::Last { .. } | Start::LastValue => (Outcome::History, next),
        Start::Position { position } if position > next => (Outcome::ResetBeyond, first),
        Start::Position { position } if position.max(1) < first => (Outcome::ResetRetention, first),
        Start::Position { position } => (Outcome::History, position.max(1)),
        Start::Time { time_us } => {
            let found = segments.iter().find(|segment| segment.end.is_none_or(|end| end.time_us >= time_us));
            (Outcome::History, found.map_or(next, |segment| segment.base))
        }
        Start::Resume { epoch, .. } if epoch > request.epoch => (Outcome::ResetEpoch, first),
        Start::Resume { last, .. } if last >= next => (Outcome::ResetBeyond, first),
        Start::Resume { last, .. } if last + 1 < first => (Outcome::ResetRetention, first),
        Start::Resume { last: 0, .. } => (Outcome::Resumed, first),
        Start::Resume { epoch, last } => {
            // If retention has just removed it and nothing behind it, it is of the first segment's epoch or earlier.
            let place = locate(&request.catalog, last).unwrap_or(0);
            let is_past = segments.get(place).is_some_and(|segment| segment.epoch <= epoch);
            if is_past { (Outcome::Resumed, last + 1) } else { (Outcome::ResetEpoch, first) }
        }
    }
}

/// Decides how to read a segment.
fn enter<D: Disk>(
    views: &mut Views<D>,
    segment: &Segment<D::File>,
    floor: &mut Floor,
    filling: &mut Filling<'_>,
) -> Result<Current<D::File>, Failure> {
    floor.seen = 0;
    let view = views.of(segment).map_err(|fault| Failure::of(segment.base, &fault))?;
    let begin = view.begin(floor.position, floor.time_us);
    filling.work.did(TOPIC_WORK_BYTES * TOPIC_WORK_BYTES);
    let (wanted, way) = select(view, filling, begin).unwrap_or_else(|| {
        // Where there is no index, what is known is known from the front.
        (Wanted::matching(filling.filter), Way::Sweep { offset: view.begin(floor.position, floor.time_us) })
    });
    Ok(Current { segment: segment.clone(), position_last: None, wanted, way })
}

/// What an index says of the topics that match; none without one.
fn select<F: DiskFile>(view: &mut View<F>, filling: &mut Filling<'_>, begin: u32) -> Option<(Wanted, Way)> {
    let filter = filling.filter;
    if filter == "#" {
        return None;
    }
    let (mut matches, mut entries) = (Vec::new(), Vec::new());
    view.visit_topics(|entry, name| {
        let is_wanted = matches_name(filter, name);
        matches.push(if is_wanted { Match::Yes } else { Match::No });
        if is_wanted {
            entries.push(*entry);
        }
    })?;
    filling.work.did(matches.len() * TOPIC_WORK_BYTES);
    let count = entries.iter().map(|entry| u64::from(entry.count)).sum();
    let is_dense = view.ask(|index| Ok(are_dense(count, u64::from(index.summary().records))))?;
    if is_dense {
        return Some((Wanted::of(matches), Way::Sweep { offset: begin }));
    }
    let mut offsets = Vec::with_capacity(count as usize);
    for entry in &entries {
        view.ask(|index| index.offsets(entry, 0, entry.count, &mut offsets))?;
    }
    offsets.sort_unstable();
    let at = offsets.partition_point(|offset| *offset < begin);
    Some((Wanted::of(matches), Way::Gather { offsets, at }))
}

impl<F: DiskFile> Current<F> {
    /// Looks how the segment stands by now, and returns where its released items end; none if retention has removed it
    /// before that was known.
    fn renew(&mut self, moment: &Moment<'_, F>) -> Option<u32> {
        let segments = &moment.catalog.segments;
        let place = moment.catalog.index_of(self.segment.base);
        match place.filter(|place| segments[*place].salt == self.segment.salt) {
            Some(place) => {
                self.segment = segments[place].clone();
                self.position_last = segments.get(place + 1).map(|next| next.base - 1);
                Some(limit(moment.catalog, moment.tail, place))
            }
            None => self.position_last.and(self.segment.end).map(|end| end.offset),
        }
    }

    /// Reads on in the segment; whether it has come to its end.
    fn advance(
        &mut self,
        view: &mut View<F>,
        end: u32,
        floor: &mut Floor,
        filling: &mut Filling<'_>,
    ) -> Result<bool, Fault> {
        match &mut self.way {
            Way::Sweep { offset } => {
                view.name_to(*offset)?;
                sweep(view, offset, end, &mut self.wanted, floor, filling)?;
                Ok(*offset >= end)
            }
            Way::Gather { offsets, at } => {
                view.name_to(end)?;
                gather(view, offsets, at, end, &mut self.wanted, floor, filling)?;
                Ok(*at == offsets.len())
            }
        }
    }
}

impl<F: DiskFile> Count<F> {
    /// Counts one segment, or a part of it. At the end: where to begin, with how much to be passed over.
    fn advance<D: Disk<File = F>>(
        &mut self,
        views: &mut Views<D>,
        filling: &mut Filling<'_>,
    ) -> Result<Option<Current<F>>, Failure> {
        let segment = &self.catalog.segments[self.place];
        let end = limit(&self.catalog, self.tail, self.place);
        let view = views.of(segment);
        let count = view.and_then(|view| count_in(view, segment, self.tail, end, &mut self.sweep, filling));
        let Some(count) = count.map_err(|fault| Failure::of(segment.base, &fault))? else {
            return Ok(None);
        };
        self.sweep = None;
        if count >= self.left || self.place == 0 {
            let skip = count.saturating_sub(self.left);
            let mut floor = Floor::of_position(segment.base);
            let mut current = enter(views, segment, &mut floor, filling)?;
            current.wanted.skip = skip;
            current.position_last = self.catalog.segments.get(self.place + 1).map(|next| next.base - 1);
            return Ok(Some(current));
        }
        self.left -= count;
        self.place -= 1;
        Ok(None)
    }
}

/// Records in a segment that match; none as long as it is being read for that.
fn count_in<F: DiskFile>(
    view: &mut View<F>,
    segment: &Segment<F>,
    tail: Tail,
    end: u32,
    progress: &mut Option<Sweep>,
    filling: &mut Filling<'_>,
) -> Result<Option<u64>, Fault> {
    let filter = filling.filter;
    if filter == "#" && !view.header.is_compacted {
        return Ok(Some(records_of(segment, tail)));
    }
    let (mut count, mut topics) = (0, 0);
    let counted = view.visit_topics(|entry, name| {
        count += if matches_name(filter, name) { u64::from(entry.count) } else { 0 };
        topics += 1;
    });
    if counted.is_some() {
        filling.work.did((topics + 1) * TOPIC_WORK_BYTES);
        return Ok(Some(count));
    }
    let begin =
        Sweep { offset: view.begin(0, 0), wanted: Wanted::matching(filter), floor: Floor::of_position(0), count: 0 };
    let sweep_on = progress.get_or_insert(begin);
    view.name_to(sweep_on.offset)?;
    let mut counted = History::default();
    let Filling { number, work, block, .. } = filling;
    let out = &mut counted;
    let mut counting = Filling { number: *number, filter, bytes_max: usize::MAX, work, out, filled: 0, block };
    sweep(view, &mut sweep_on.offset, end, &mut sweep_on.wanted, &mut sweep_on.floor, &mut counting)?;
    sweep_on.count += counted.records.len() as u64;
    Ok((sweep_on.offset >= end).then_some(sweep_on.count))
}

impl<F: DiskFile> Values<F> {
    fn new(request: &OpenRequest<F>) -> Values<F> {
        let topics = Arc::clone(&request.topics);
        let is_left = |(_, end): &(String, TopicEnd)| end.sequence > 0 && locate(&request.catalog, end.base).is_some();
        let left = topics.iter().enumerate().filter(|(_, topic)| is_left(topic));
        let mut order: Vec<u32> = left.map(|(index, _)| index as u32).collect();
        order.sort_unstable_by_key(|index| (topics[*index as usize].1.base, topics[*index as usize].1.offset));
        Values { catalog: request.catalog.clone(), tail: request.tail, topics, order, at: 0 }
    }

    /// Reads some of them; whether these were all.
    fn advance<D: Disk<File = F>>(&mut self, views: &mut Views<D>, filling: &mut Filling<'_>) -> Result<bool, Failure> {
        while let Some(index) = self.order.get(self.at) {
            let (name, end) = &self.topics[*index as usize];
            if filling.is_over() {
                return Ok(false);
            }
            let place = locate(&self.catalog, end.base).expect("topics that are not there any more were left out");
            let segment = &self.catalog.segments[place];
            let stop = limit(&self.catalog, self.tail, place);
            let view = views.of(segment);
            let is_taken = view.and_then(|view| take_value(view, name, *end, stop, filling));
            if !is_taken.map_err(|fault| Failure::of(segment.base, &fault))? {
                return Ok(false);
            }
            self.at += 1;
        }
        Ok(true)
    }
}

/// Adds a topic's newest record; whether there was room for it.
fn take_value<F: DiskFile>(
    view: &mut View<F>,
    name: &str,
    end: TopicEnd,
    stop: u32,
    filling: &mut Filling<'_>,
) -> Result<bool, Fault> {
    let mut offset = end.offset;
    if view.header.is_compacted {
        let mut offsets = Vec::new();
        let found = view.ask(|index| {
            let Some(entry) = index.find(name.as_bytes())? else { return Ok(()) };
            index.offsets(&entry, entry.count.saturating_sub(1), 1, &mut offsets)
        });
        found.ok_or(Fault::damaged(0, "its index is missing or damaged; a start of the broker makes a new one"))?;
        let Some(found) = offsets.first() else { return Ok(true) };
        offset = *found;
    }
    let number = filling.block.record_before(view, offset, stop)?.topic;
    let records = filling.out.records.len();
    let mut floor = Floor::of_topic(end.sequence);
    let (mut at, mut wanted) = (0, Wanted::one(number));
    let named = &mut Filling {
        number: filling.number,
        filter: name,
        bytes_max: filling.bytes_max,
        work: filling.work,
        out: filling.out,
        filled: filling.filled,
        block: filling.block,
    };
    gather(view, &[offset], &mut at, stop, &mut wanted, &mut floor, named)?;
    filling.filled = named.filled;
    let has_taken = filling.out.records.len() > records;
    if at == 1 && !has_taken && !view.header.is_compacted {
        return Err(Fault::damaged(u64::from(offset), "the topic's last record does not stand where it should"));
    }
    if at == 0 {
        filling.finish();
    }
    Ok(at == 1)
}

//! Cursors: histories on their way to subscriptions, read in bounded pieces.
//!
//! ```text
//!  open  (filter, start) ---> where to begin, and what SUBSCRIBED says of it
//!  read  ---> exact filter:    trail back through the topic's segments -> leg by leg: gather, or sweep if it is dense
//!             wildcards:       segment by segment: sweep, or gather if the index says that little matches
//!        ---> History, More ... AtTail: the journal takes over
//! ```
//!
//! Nothing here runs on its own: a cursor reads when it is told to, at most about as many bytes as it is told to, and
//! looks at [`WORK_BYTES_MAX`] at the most, so that cursors take turns. Catalog and tail come with every call; a cursor
//! keeps only the segment that it is in, and can finish that when retention has removed it.
//!
//! Invariants: records come in the order of their positions, each once, none that matches is left out; what can't be
//! verified is an answer in words, and never a record.

mod gather;
mod sweep;
mod topic;
mod trail;
mod view;
mod wild;

use super::catalog::{Catalog, Place, SharedCatalog, Tail, TopicEnd};
use super::disk::{Disk, DiskFile};
use super::format::{HEADER_BYTES, Record};
use super::history::History;
use super::scan::{Fault, FaultKind};
use fanwire_wire::frame::{Outcome, Start};
use gather::Block;
use std::collections::HashMap;
use std::sync::Arc;
use sweep::Filling;
use topic::TopicCursor;
pub use view::VIEWS_MAX;
use view::Views;
use wild::WildCursor;

/// Bytes of segments that one reading looks at, at the most, unless one record is larger.
pub const WORK_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Names a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CursorId {
    /// The shard whose subscription it serves.
    pub shard: u8,
    /// The shard's own key of the subscription.
    pub key: u32,
    /// Tells it from an earlier one with the same key.
    pub serial: u64,
}

/// What a cursor begins with. Everything in it was taken at the same moment.
#[derive(Debug, Clone)]
pub struct OpenRequest<F> {
    /// The journal's segments.
    pub catalog: SharedCatalog<F>,
    /// How far they are released.
    pub tail: Tail,
    /// The journal's epoch.
    pub epoch: u64,
    /// A filter that lies inside the journal.
    pub filter: String,
    /// Where to begin. `Live` begins at the tail; `Sequence` needs an exact filter, with a wildcard it is `First`.
    pub start: Start,
    /// For an exact filter: what the journal knows of the topic; none if it never had a record.
    pub topic: Option<TopicEnd>,
    /// For `LastValue` with wildcards: every topic that matches.
    pub topics: Arc<TopicList>,
}

/// Topics by name, and where each ends. Shared, so that whoever has made one knows whether it is still in use.
pub type TopicList = Vec<(String, TopicEnd)>;

/// What becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What SUBSCRIBED says.
    pub outcome: Outcome,
    /// No record before this position will be delivered.
    pub position: u64,
}

/// How far a reading got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadOutcome {
    /// There may be more; maybe nothing matched yet in what was looked at.
    More,
    /// Everything that is released has been delivered or does not match.
    AtTail {
        /// The next item that was not read.
        place: Place,
        /// Everything up to this position has been delivered or does not match.
        position: u64,
        /// For exact filters, the last sequence delivered or passed over; 0: none.
        sequence: u64,
    },
    /// Retention has removed what was still to be read.
    Overtaken,
    /// It can't be read, in words for people: which file, where, and what to do.
    Failed(String),
}

/// All cursors of one journal.
#[derive(Debug)]
pub struct Reader<D: Disk> {
    views: Views<D>,
    cursors: HashMap<CursorId, Cursor<D::File>>,
    block: Block,
    /// Histories filled so far.
    fillings: u64,
}

#[derive(Debug)]
struct Cursor<F> {
    filter: String,
    kind: Kind<F>,
}

#[derive(Debug)]
enum Kind<F> {
    Topic(TopicCursor<F>),
    Wild(WildCursor<F>),
    Failed(Failure),
}

/// What a reading found, before it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    More,
    AtTail { sequence: u64 },
    Overtaken,
}

/// The journal as it is during one call.
struct Moment<'a, F> {
    catalog: &'a Catalog<F>,
    tail: Tail,
}

impl<D: Disk> Reader<D> {
    /// Reads the journal in this directory: its segments come with the requests, their indexes from here.
    pub fn new(disk: D) -> Reader<D> {
        Reader { views: Views::new(disk), cursors: HashMap::new(), block: Block::default(), fillings: 0 }
    }

    /// Sets up a cursor. For an exact filter that looks back through the topic's segments as far as the start needs it.
    /// What can't be read is told by the first [`Reader::read`].
    ///
    /// # Panics
    /// When the filter breaks the grammar.
    pub fn open(&mut self, id: CursorId, request: &OpenRequest<D::File>) -> Opened {
        let is_exact = !request.filter.contains(['+', '#']);
        let opened = if is_exact {
            let opened = TopicCursor::open(&mut self.views, &mut self.block, request);
            opened.map(|(cursor, outcome, position)| (Kind::Topic(cursor), outcome, position))
        } else {
            let (cursor, outcome, position) = WildCursor::open(request);
            Ok((Kind::Wild(cursor), outcome, position))
        };
        let (kind, outcome, position) =
            opened.unwrap_or_else(|failure| (Kind::Failed(failure), Outcome::History, request.tail.position + 1));
        self.cursors.insert(id, Cursor { filter: request.filter.clone(), kind });
        Opened { outcome, position }
    }

    /// Replaces what is in `out` by the cursor's next records: about `bytes_max` bytes of them, at least one record if
    /// there is one close by. `out` is best used again as it is, uncleared. Catalog, tail and the topic's end (which is
    /// for exact filters) are those of the same moment, and never older than those of the call before.
    ///
    /// # Panics
    /// When there is no such cursor.
    pub fn read(
        &mut self,
        id: CursorId,
        catalog: &SharedCatalog<D::File>,
        tail: Tail,
        topic: Option<TopicEnd>,
        bytes_max: usize,
        out: &mut History,
    ) -> ReadOutcome {
        let Reader { views, cursors, block, fillings } = self;
        let Cursor { filter, kind } = cursors.get_mut(&id).expect("a cursor is read between its opening and its end");
        *fillings += 1;
        out.text.clear();
        out.names.clear();
        out.records.clear();
        let mut work = Work { left: WORK_BYTES_MAX };
        let filling = &mut Filling { number: *fillings, filter, bytes_max, work: &mut work, out, filled: 0, block };
        let moment = Moment { catalog, tail };
        let progress = match kind {
            Kind::Topic(cursor) => cursor.read(views, &moment, topic, filling),
            Kind::Wild(cursor) => cursor.read(views, &moment, filling),
            Kind::Failed(failure) => Err(failure.clone()),
        };
        let filled = filling.filled;
        out.bytes.truncate(filled);
        // What was read before it failed or was overtaken is sound: it is told first.
        let has_some = !out.records.is_empty();
        match progress {
            Ok(Progress::AtTail { sequence }) => {
                let place = Place { base: tail.base, offset: tail.offset };
                ReadOutcome::AtTail { place, position: tail.position, sequence }
            }
            Err(failure) => {
                let text = failure.0.clone();
                *kind = Kind::Failed(failure);
                if has_some { ReadOutcome::More } else { ReadOutcome::Failed(text) }
            }
            Ok(Progress::Overtaken) if !has_some => ReadOutcome::Overtaken,
            Ok(Progress::More | Progress::Overtaken) => ReadOutcome::More,
        }
    }

    /// Ends a cursor; nothing happens if there is none.
    pub fn close(&mut self, id: CursorId) {
        self.cursors.remove(&id);
    }

    /// Cursors that are open.
    pub fn cursors(&self) -> usize {
        self.cursors.len()
    }
}

/// Why a cursor can't go on, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Failure(String);

impl Failure {
    fn of(base: u64, fault: &Fault) -> Failure {
        let advice = match fault.kind {
            FaultKind::Damaged(_) => "run `fanwire journal verify` on the directory, and restore the file from a copy",
            FaultKind::Newer(_) => "read it with that release",
            FaultKind::Disk(_) => "look after the disk, then subscribe again",
        };
        Failure(format!("{base:020}.segment: {fault}; {advice}"))
    }
}

/// What is left to do in one call.
#[derive(Debug)]
struct Work {
    left: usize,
}

impl Work {
    fn did(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes);
    }

    fn is_done(&self) -> bool {
        self.left == 0
    }
}

/// What a record must be at least, to be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Floor {
    /// For one topic: the next sequence.
    sequence: u64,
    is_one_topic: bool,
    position: u64,
    time_us: u64,
    /// The position seen last.
    seen: u64,
}

impl Floor {
    fn of_topic(sequence: u64) -> Floor {
        Floor { sequence, is_one_topic: true, position: 0, time_us: 0, seen: 0 }
    }

    fn of_position(position: u64) -> Floor {
        Floor { sequence: 0, is_one_topic: false, position, time_us: 0, seen: 0 }
    }

    /// Checks that a record is behind the one before it.
    fn see(&mut self, record: &Record<'_>) -> Result<(), &'static str> {
        if record.position <= self.seen {
            return Err("a record's position is not behind the one before it");
        }
        self.seen = record.position;
        Ok(())
    }

    /// Whether a record of a topic that is wanted is to be delivered.
    fn pass(&mut self, record: &Record<'_>) -> bool {
        if record.position < self.position || record.time_us < self.time_us || record.sequence < self.sequence {
            return false;
        }
        if self.is_one_topic {
            self.sequence = record.sequence + 1;
        }
        true
    }
}

impl<F> OpenRequest<F> {
    /// The first position that there can be a record of.
    fn first_base(&self) -> u64 {
        self.catalog.segments.first().map_or(1, |segment| segment.base)
    }
}

/// Where in the catalog the segment is that holds this base's records by now; none if retention has removed them.
fn locate<F>(catalog: &Catalog<F>, base: u64) -> Option<usize> {
    catalog.find(base)
}

/// Behind the last released item of a segment.
///
/// # Panics
/// When a segment before the open one has no end.
fn limit<F: DiskFile>(catalog: &Catalog<F>, tail: Tail, place: usize) -> u32 {
    let segment = &catalog.segments[place];
    match segment.base.cmp(&tail.base) {
        std::cmp::Ordering::Less => segment.end.expect("a segment before the open one has an end").offset,
        std::cmp::Ordering::Equal => tail.offset,
        std::cmp::Ordering::Greater => HEADER_BYTES,
    }
}

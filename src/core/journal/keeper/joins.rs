//! Joins: where history and live meet.
//!
//! ```text
//!  cursor has read up to here           released up to here, by now
//!   ... [rec][rec] | [rec of others][rec][rec] |  what comes next is live
//!                    `--- comes with Joined --'
//! ```
//!
//! What was released since the cursor's last read is read here, and goes along with the answer, which stands among the
//! releases: so nobody else's release comes between. It is little, or the cursor is told to read on. The bytes are
//! those that were written last, so they are in memory.
//!
//! Who wants no history joins where its question stands among the shards' mail. What is released before that may lack
//! some of what it wants, since only others had asked for it; for all that comes later, its interest is found.

use super::kept::Kept;
use super::{Keeper, ReadRequest};
use crate::journal::catalog::Tail;
use crate::journal::disk::Disk;
use crate::journal::format::Item;
use crate::journal::history::{History, Reached};
use crate::journal::plan::{self, JournalId};
use crate::journal::scan::Scan;
use crate::releases::Note;
use crate::submissions::CursorId;

/// Bytes of the journal that a join reads at the most.
const JOIN_BYTES_MAX: u32 = 256 * 1024;

/// A cursor that wants to be live.
pub(super) struct Join {
    pub(super) shard: u8,
    pub(super) cursor: CursorId,
    pub(super) journal: JournalId,
    /// How far it has read; none if it wants no history.
    pub(super) reached: Option<Reached>,
    /// It stands for a whole shard.
    pub(super) is_relay: bool,
    pub(super) filter: Box<str>,
}

impl Join {
    /// One that begins with what is released from here on.
    pub(super) fn live(shard: u8, cursor: CursorId, journal: JournalId) -> Join {
        Join { shard, cursor, journal, reached: None, is_relay: false, filter: Box::default() }
    }
}

impl<D: Disk> Keeper<D> {
    /// Lets a cursor join that wants no history: here, or with its shard, if that reads by itself now.
    pub(super) fn begin(&mut self, join: Join) {
        let lane = &mut self.lanes[usize::from(join.shard)];
        if lane.is_relayed(join.journal) {
            self.joins.push(join);
        } else {
            lane.releases.push_note(Note::Joined { cursor: join.cursor, history: History::default() });
        }
    }

    /// Lets cursors join that have come to the end. Everything that was admitted is written and released.
    pub(super) fn answer_joins(&mut self) {
        let mut joins = std::mem::take(&mut self.joins);
        // Others of a shard wait for its relay's, and nothing need happen after this turn.
        joins.sort_by_key(|join| !join.is_relay);
        joins.retain(|join| !self.answer_join(join));
        self.joins = joins;
    }

    /// Returns false if the cursor has to wait until its shard reads releases again.
    fn answer_join(&mut self, join: &Join) -> bool {
        let lane = &mut self.lanes[usize::from(join.shard)];
        if lane.is_relayed(join.journal) && !join.is_relay {
            return false;
        }
        let kept = &self.logs[usize::from(join.journal.0)];
        let note = match kept.history_since(join) {
            Some(history) => {
                if join.is_relay {
                    lane.end_relay(join.journal);
                }
                if join.reached.is_some() {
                    // The reader has nothing more to do for it.
                    let cursor = join.cursor.for_reader(join.shard);
                    self.reads.push(ReadRequest::Close { journal: join.journal, cursor });
                }
                Note::Joined { cursor: join.cursor, history }
            }
            None => Note::Behind { cursor: join.cursor },
        };
        lane.releases.push_note(note);
        true
    }
}

impl<D: Disk> Kept<D> {
    /// What a cursor has not read yet of what is released; none if that is too much, or can't be read here.
    fn history_since(&self, join: &Join) -> Option<History> {
        let mut history = History::default();
        let Some(Reached { place, sequence, .. }) = join.reached else { return Some(history) };
        let Tail { base, offset: end, .. } = self.released;
        if place.base == base && place.offset == end {
            return Some(history);
        }
        let is_exact = crate::filters::is_exact(&join.filter);
        if is_exact && self.topic_end(&join.filter).is_none_or(|topic| topic.sequence == sequence) {
            return Some(history);
        }
        if place.base != base || self.log.tail().base != base || end - place.offset > JOIN_BYTES_MAX {
            return None;
        }
        let catalog = self.log.shared_catalog();
        let segment = &catalog.segments[catalog.index_of(base)?];
        let mut scan = Scan::new(&segment.file, segment.salt, place.offset, end);
        let mut latest = None;
        // What can't be read here, the reader will say why.
        while let Some(placed) = scan.next_item().ok()? {
            let Item::Record(record) = placed.item else { continue };
            let key = self.log.topic_in_open(record.topic)?;
            let name = self.log.topic_name(key);
            if !plan::matches(&join.filter, name) {
                continue;
            }
            let number = match latest {
                Some((known, number)) if known == key => number,
                _ => history.add_name(name),
            };
            latest = Some((key, number));
            history.push(number, &record);
        }
        Some(history)
    }
}

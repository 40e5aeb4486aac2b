//! The keeper: owns all logs of a broker; shards' mail in, shards' mail out, and work for other threads.
//!
//! ```text
//!  submissions of each shard --receive--> admit --> the journal's batch     staged: records, for each shard that may
//!                                                       |                           have somebody who wants them
//!                              finish_turn: commit, one write a journal
//!                                                       |-- done: records, then acks, are released to the shards
//!                                                       `-- no room, or failed: unstaged, every publish refused
//!  cursors: open and read go to the reader; join is answered here, among the releases
//!  tasks: prepare, sync, seal, retire go to other threads; what has become of them comes back
//! ```
//!
//! Nobody is told of a record that is not written. Acknowledgements stand behind the records of their batch; those for
//! `durable` wait for the sync that covers them, and so does everything of a journal that releases what is durable.
//!
//! The keeper never waits for a shard. One whose lane is full is told so once: from there on it reads that journal
//! through a cursor of its own, as a subscription does, and joins again when it has caught up (`relay`). Nor does it
//! wait for a disk to have room: it refuses. It does wait, with the rest of a shard's mail unread, for a segment that
//! is being prepared.
//!
//! Invariants: between turns nothing is admitted and uncommitted; of each shard and journal, what was released was
//! released in the order of positions, and all of it that was wanted.

mod joins;
mod kept;
mod lanes;
mod questions;

use super::catalog::Tail;
use super::disk::{Disk, DiskError};
use super::log::Log;
use super::plan::JournalId;
use super::publication::{Admission, CommitError, Ordered, Publication, Refusal, TopicRef};
use super::reader::TopicList;
use super::reader::{CursorId as ReaderCursor, OpenRequest};
use super::tasks::{PrepareTask, Prepared, SealTask, SyncTask};
use super::topics::TopicKey;
use crate::encoding::Numbers;
use crate::filters::FirstLevel;
use crate::interest::{Seat, Spot};
use crate::mail::Publisher;
use crate::releases::Releases;
use crate::submissions::{Head, Submission, Submissions};
use fanwire_wire::Code;
use foldhash::quality::FixedState;
use joins::Join;
use kept::{Answer, Kept, Verdict, Waiting, verdict_of};
use lanes::{Lane, Numbering, Staged};
use questions::Question;
use std::collections::VecDeque;
use std::hash::BuildHasher;
use std::sync::Weak;

/// Bytes that a journal which releases what is durable may hold back, before it takes nothing more.
const HELD_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A journal that has been idle for so long after a sync writes down how far it is synced, in microseconds. That takes
/// the thread that syncs: whoever publishes one record at a time must not meet it.
const IDLE_US: u64 = 1_000_000;

/// When a journal's records are synced, and released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncMode {
    /// Synced when somebody asks for `durable`; released once they are written.
    Demand,
    /// Synced also once they are so old, in microseconds.
    Every(u64),
    /// Synced at once, and released after that.
    Release,
}

/// Something that people should hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A journal's disk is full: it refuses.
    Full(JournalId),
    /// A journal can't make its next segment, and why: it refuses, and it is tried again.
    Stuck(JournalId, String),
    /// There is room again.
    Resumed(JournalId),
    /// A journal has failed for good, and why.
    Failed(JournalId, String),
}

/// What the reader is asked.
#[derive(Debug)]
pub enum ReadRequest<D: Disk> {
    /// Find a cursor's beginning, and read.
    Open {
        /// Which journal.
        journal: JournalId,
        /// The cursor.
        cursor: ReaderCursor,
        /// Where it begins.
        request: OpenRequest<D::File>,
        /// About how much to read.
        bytes_max: usize,
    },
    /// Read on.
    Read {
        /// Which journal.
        journal: JournalId,
        /// The cursor.
        cursor: ReaderCursor,
        /// The journal's segments.
        catalog: super::catalog::SharedCatalog<D::File>,
        /// Where they end.
        tail: Tail,
        /// For exact filters, what is known of the topic.
        topic: Option<super::catalog::TopicEnd>,
        /// About how much to read.
        bytes_max: usize,
    },
    /// Forget it.
    Close {
        /// Which journal.
        journal: JournalId,
        /// The cursor.
        cursor: ReaderCursor,
    },
}

/// A topic as the submissions of one shard know it by number.
#[derive(Clone, Copy)]
struct Heard {
    spot: Spot,
    key: Option<TopicKey>,
}

/// All journals of a broker.
pub struct Keeper<D: Disk> {
    logs: Vec<Kept<D>>,
    lanes: Vec<Lane>,
    lane_bytes_max: u64,
    interest: Seat,
    hasher: FixedState,
    heard: Vec<Vec<Heard>>,
    numbering: Numbering,
    joins: Vec<Join>,
    questions: Vec<Question>,
    /// Those that wait until fewer lists of topics are in use, and the lists that are.
    delayed: VecDeque<Question>,
    lists: Vec<Weak<TopicList>>,
    reads: Vec<ReadRequest<D>>,
    notices: Vec<Notice>,
    now_us: u64,
}

impl<D: Disk> Keeper<D> {
    /// A keeper of these logs, in the order of the plan, for all shards of a row, whose seed and bounds are `settings`.
    pub fn new(logs: Vec<(Log<D>, SyncMode)>, seat: &Seat, settings: &crate::Settings) -> Self {
        let shards = seat.count();
        Keeper {
            logs: logs.into_iter().map(|(log, sync)| Kept::new(log, sync)).collect(),
            lanes: (0..shards).map(|_| Lane::default()).collect(),
            lane_bytes_max: settings.mailbox_bytes_max,
            interest: seat.clone(),
            hasher: FixedState::with_seed(settings.seed),
            heard: (0..shards).map(|_| Vec::new()).collect(),
            numbering: Numbering::default(),
            joins: Vec::new(),
            questions: Vec::new(),
            delayed: VecDeque::new(),
            lists: Vec::new(),
            reads: Vec::new(),
            notices: Vec::new(),
            now_us: 0,
        }
    }

    /// Begins a turn; `now_us` is the wall clock in microseconds since 1970-01-01 UTC. It may go backwards.
    pub fn begin_turn(&mut self, now_us: u64) {
        self.now_us = now_us;
        self.lanes.iter_mut().for_each(|lane| lane.left = lane.releases.entries());
    }

    /// Acts on a shard's mail. Returns whether all of it is done; if not, a segment is being prepared, and the mail is
    /// to be given again once that is supplied, before any other of that shard.
    pub fn receive(&mut self, from: usize, submissions: &mut Submissions) -> bool {
        while let Some(submission) = submissions.peek() {
            if !self.take(from, submission) {
                return false;
            }
            submissions.advance();
        }
        true
    }

    fn take(&mut self, from: usize, submission: Submission<'_>) -> bool {
        let shard = from as u8;
        match submission {
            Submission::Topic { number, name } => self.hear(from, number as usize, name),
            Submission::Publish { topic, name, head, index, headers, payload } => {
                return self.publish(from, topic as usize, name, &head, index, headers, payload);
            }
            Submission::Open { cursor, journal, start, bytes_max, filter } => {
                let cursor = cursor.for_reader(shard);
                self.questions.push(Question::Open { cursor, journal, start, bytes_max, filter: filter.into() });
            }
            Submission::Read { cursor, journal, bytes_max, filter } => {
                let cursor = cursor.for_reader(shard);
                self.questions.push(Question::Read { cursor, journal, bytes_max, filter: filter.into() });
            }
            Submission::Join { cursor, journal, reached, is_relay, filter } => {
                let reached = Some(reached);
                self.joins.push(Join { shard, cursor, journal, reached, is_relay, filter: filter.into() });
            }
            Submission::Begin { cursor, journal } => self.begin(Join::live(shard, cursor, journal)),
            Submission::Close { cursor, journal } => {
                self.joins.retain(|join| (join.shard, join.cursor) != (shard, cursor));
                self.questions.push(Question::Close { cursor: cursor.for_reader(shard), journal });
            }
        }
        true
    }

    fn hear(&mut self, from: usize, number: usize, name: &str) {
        let hash = self.hasher.hash_one(name.as_bytes()) as u32;
        let spot = Spot { hash, first_level: FirstLevel::of(name.as_bytes(), &self.hasher) };
        let heard = &mut self.heard[from];
        let new = Heard { spot, key: None };
        if heard.len() <= number {
            heard.resize(number + 1, new);
        }
        heard[number] = new;
    }

    /// Orders one publish. Returns false if it has to wait for a segment.
    #[expect(clippy::too_many_arguments, reason = "they are the parts of one publish")]
    fn publish(
        &mut self,
        from: usize,
        topic: usize,
        name: &str,
        head: &Head,
        index: u32,
        headers: &[u8],
        payload: &[u8],
    ) -> bool {
        let Heard { spot, key } = self.heard[from][topic];
        let publisher = Publisher { shard: from as u8, session: head.session };
        let publication = Publication {
            topic: key.map_or(TopicRef::Name(name), TopicRef::Key),
            publisher: publisher.identity(),
            expect: head.conditions.expect,
            producer: head.conditions.producer,
            headers,
            payload,
        };
        let verdict = match self.admit(head.journal, &publication) {
            Admitted::Ordered(ordered) => {
                self.heard[from][topic].key = Some(ordered.topic);
                self.stage(head.journal, spot, name, publisher, &ordered, headers, payload);
                let topic = (head.journal, ordered.topic);
                Verdict::Ordered { topic, sequence: ordered.sequence, position: ordered.position }
            }
            Admitted::Verdict(verdict) => verdict,
            Admitted::Waits => return false,
        };
        let number = if head.first == 0 { 0 } else { head.first + u64::from(index) };
        let answer = Answer { shard: from as u8, session: head.session, number, ack: head.ack, verdict };
        self.logs[usize::from(head.journal.0)].answers.push(answer);
        true
    }

    fn admit(&mut self, journal: JournalId, publication: &Publication<'_>) -> Admitted {
        let index = usize::from(journal.0);
        loop {
            let kept = &mut self.logs[index];
            if kept.held_bytes >= HELD_BYTES_MAX {
                return Admitted::Waits;
            }
            let end = kept.end_before(publication.topic);
            match kept.log.admit(publication, self.now_us) {
                Admission::Ordered(ordered) => {
                    kept.note_ordered(ordered.topic, end);
                    return Admitted::Ordered(ordered);
                }
                Admission::Duplicate { sequence } => {
                    let topic = kept.key_of(publication.topic).map(|topic| (journal, topic));
                    return Admitted::Verdict(Verdict::Duplicate { topic, sequence });
                }
                Admission::Refused(refusal) => return Admitted::Verdict(verdict_of(refusal)),
                Admission::NeedsCommit => self.commit(journal),
                Admission::NeedsRoll => {
                    let rolled = kept.log.roll(self.now_us);
                    if rolled == Err(CommitError::Full) {
                        return Admitted::Verdict(verdict_of(Refusal::Full));
                    }
                    kept.see_tail();
                }
                Admission::NeedsSegment => {
                    kept.is_waiting = true;
                    return Admitted::Waits;
                }
            }
        }
    }

    /// Puts a record where it is released from, for every shard that may have somebody who wants it.
    #[expect(clippy::too_many_arguments, reason = "they are the parts of one record")]
    fn stage(
        &mut self,
        journal: JournalId,
        spot: Spot,
        name: &str,
        publisher: Publisher,
        ordered: &Ordered,
        headers: &[u8],
        payload: &[u8],
    ) {
        let Keeper { logs, lanes, interest, numbering, lane_bytes_max, .. } = self;
        let kept = &mut logs[usize::from(journal.0)];
        let numbers = Numbers { sequence: ordered.sequence, position: ordered.position };
        if kept.sync == SyncMode::Release {
            // Who wants it is asked when it is released: whoever joins before that gets it from there.
            kept.staged.push(spot, name, publisher, numbers, headers, payload);
            return;
        }
        let mut mask = interest.interested(spot);
        if mask == 0 {
            return;
        }
        let number = numbering.number_of(journal, ordered.topic);
        while mask != 0 {
            let shard = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            let lane = &mut lanes[shard];
            if lane.takes(journal, numbers.position, *lane_bytes_max) {
                if numbering.must_tell(number, shard) {
                    lane.releases.push_topic(number, name);
                }
                lane.releases.push_record(number, publisher, numbers, headers, payload);
            }
        }
    }

    /// Ends a turn: writes what was admitted, tells what has become of it, and lets cursors join. After it, the mail
    /// of each shard is complete.
    pub fn finish_turn(&mut self) {
        for index in 0..self.logs.len() {
            let journal = JournalId(index as u8);
            self.commit(journal);
            self.tell_state(journal);
        }
        self.put_questions();
        self.answer_joins();
        self.numbering.clear();
    }

    /// Writes a journal's batch, and answers everybody in it.
    fn commit(&mut self, journal: JournalId) {
        let Keeper { logs, lanes, now_us, .. } = self;
        let kept = &mut logs[usize::from(journal.0)];
        if kept.answers.is_empty() {
            return;
        }
        let before = kept.log.tail();
        let mut answers = std::mem::take(&mut kept.answers);
        match kept.log.commit() {
            Ok(committed) => {
                if committed.count > 0 {
                    kept.unsynced_since_us.get_or_insert(*now_us);
                    kept.hold_back(committed.tail);
                }
                kept.see_tail();
                for answer in answers.drain(..) {
                    kept.answer(&answer, committed.tail.position, lanes);
                }
            }
            Err(error) => {
                let code = if error == CommitError::Full { Code::JournalFull } else { Code::JournalFailed };
                self.unstage(journal, before.position);
                for answer in answers.drain(..) {
                    let verdict = Verdict::Refused { code, actual: None };
                    let kept = &mut self.logs[usize::from(journal.0)];
                    kept.answer(&Answer { verdict, ..answer }, before.position, &mut self.lanes);
                }
            }
        }
        let kept = &mut self.logs[usize::from(journal.0)];
        kept.answers = answers;
        let end = kept.log.tail().position;
        self.lanes.iter_mut().for_each(|lane| lane.tell_relay(journal, end));
    }

    /// Takes back the records of a batch that was not written.
    fn unstage(&mut self, journal: JournalId, committed: u64) {
        let Keeper { logs, lanes, numbering, .. } = self;
        let kept = &mut logs[usize::from(journal.0)];
        kept.staged = Staged::default();
        kept.touched.clear();
        for lane in lanes {
            lane.releases.drop_records(lane.left, |number, numbers| {
                numbering.journal_of(number) == Some(journal) && numbers.position > committed
            });
        }
    }

    /// What somebody should hear of, once.
    fn tell_state(&mut self, journal: JournalId) {
        let kept = &mut self.logs[usize::from(journal.0)];
        let shortage = kept.log.shortage();
        if shortage != kept.told_shortage.as_ref() {
            self.notices.push(match shortage {
                Some(DiskError::Full) => Notice::Full(journal),
                Some(error) => Notice::Stuck(journal, error.to_string()),
                None => Notice::Resumed(journal),
            });
            kept.told_shortage = shortage.cloned();
        }
        if let Some(failure) = kept.log.failure().filter(|_| !kept.has_told_failure) {
            self.notices.push(Notice::Failed(journal, failure.to_owned()));
            kept.has_told_failure = true;
            kept.refuse_waiting(&mut self.lanes);
        }
    }

    /// What was gathered for a shard. The shell puts an empty envelope in its place, or leaves it where it is if the
    /// mailbox is full.
    pub fn releases_to(&mut self, shard: usize) -> &mut Releases {
        &mut self.lanes[shard].releases
    }

    /// Tells how many bytes of the releases to a shard were taken from here and not read there yet.
    pub fn note_transit(&mut self, shard: usize, bytes: u64) {
        self.lanes[shard].transit_bytes = bytes;
    }

    /// Moves what the reader is asked to `requests`, in order.
    pub fn take_reads(&mut self, requests: &mut Vec<ReadRequest<D>>) {
        requests.append(&mut self.reads);
    }

    /// Moves what people should hear of to `notices`.
    pub fn take_notices(&mut self, notices: &mut Vec<Notice>) {
        notices.append(&mut self.notices);
    }

    /// How many journals there are.
    pub fn count(&self) -> usize {
        self.logs.len()
    }

    /// A journal's log, to look at.
    pub fn log(&self, journal: JournalId) -> &Log<D> {
        &self.logs[usize::from(journal.0)].log
    }

    /// The same, to retire and replace segments.
    pub fn log_mut(&mut self, journal: JournalId) -> &mut Log<D> {
        &mut self.logs[usize::from(journal.0)].log
    }

    /// A journal's next sync, if one is due. It may be asked for while another one runs.
    pub fn take_sync(&mut self, journal: JournalId) -> Option<SyncTask<D>> {
        let now_us = self.now_us;
        let kept = &mut self.logs[usize::from(journal.0)];
        if let Some(task) = kept.log.failure_task() {
            return Some(task);
        }
        let is_full = kept.is_full_unrequested();
        if !kept.is_sync_due(now_us) && !is_full {
            return kept.take_note(now_us);
        }
        // It is idle no more: when the next sync has ended that begins anew.
        kept.idle_since_us = None;
        let task = kept.log.sync_task().filter(|task| task.position() > kept.sync_requested || is_full)?;
        kept.sync_requested = task.position();
        kept.sync_requested_base = task.open_base();
        kept.unsynced_since_us = None;
        Some(task)
    }

    /// Whether somebody waits until something of a journal is durable.
    pub fn is_sync_awaited(&self, journal: JournalId) -> bool {
        let kept = &self.logs[usize::from(journal.0)];
        !kept.waiting.is_empty() || !kept.held.is_empty()
    }

    /// When [`Keeper::take_sync`] has something next for some journal, by the wall clock.
    pub fn next_sync_us(&self) -> Option<u64> {
        let sync = |kept: &Kept<D>| match kept.sync {
            SyncMode::Every(period_us) => Some(kept.unsynced_since_us? + period_us),
            _ => None,
        };
        let due = |kept: &Kept<D>| [sync(kept), kept.idle_since_us.map(|since_us| since_us + IDLE_US)];
        self.logs.iter().flat_map(due).flatten().min()
    }

    /// A sync has ended.
    pub fn note_synced(&mut self, journal: JournalId, task: &SyncTask<D>, outcome: &Result<(), DiskError>) {
        let kept = &mut self.logs[usize::from(journal.0)];
        match outcome {
            Ok(()) => {
                kept.log.note_synced(task);
                kept.idle_since_us = kept.log.is_note_due().then_some(self.now_us);
                self.release_durable(journal);
            }
            Err(error) => kept.log.note_sync_failed(error),
        }
        self.tell_state(journal);
    }

    /// Releases and acknowledges what has become durable.
    fn release_durable(&mut self, journal: JournalId) {
        let Keeper { logs, lanes, lane_bytes_max, interest, .. } = self;
        let kept = &mut logs[usize::from(journal.0)];
        let durable = kept.log.durable();
        while let Some(held) = kept.held.pop_front_if(|held| held.tail.position <= durable) {
            kept.held_bytes -= held.bytes;
            kept.released = held.tail;
            kept.note_released(&held.ends);
            held.staged.release(journal, interest, lanes, *lane_bytes_max);
            lanes.iter_mut().for_each(|lane| lane.tell_relay(journal, held.tail.position));
        }
        while let Some(Waiting { shard, acked, .. }) = kept.waiting.pop_front_if(|waiting| waiting.position <= durable)
        {
            lanes[usize::from(shard)].releases.push_ack(acked);
        }
        kept.see_tail();
    }

    /// The next segment of a journal, if it is time to prepare it.
    pub fn take_preparation(&mut self, journal: JournalId) -> Option<PrepareTask<D>> {
        self.logs[usize::from(journal.0)].log.prepare_task()
    }

    /// Whether publishes of a journal wait for its next segment.
    pub fn is_waiting(&self, journal: JournalId) -> bool {
        self.logs[usize::from(journal.0)].is_waiting
    }

    /// A segment was prepared, or could not be.
    pub fn note_prepared(&mut self, journal: JournalId, outcome: Result<Prepared<D::File>, DiskError>) {
        let kept = &mut self.logs[usize::from(journal.0)];
        kept.is_waiting = false;
        match outcome {
            Ok(prepared) => kept.log.supply(prepared),
            Err(error) => kept.log.note_not_prepared(&error),
        }
        self.tell_state(journal);
    }

    /// The next segment of a journal that is full and not sealed.
    pub fn take_sealing(&mut self, journal: JournalId) -> Option<SealTask<D>> {
        self.logs[usize::from(journal.0)].log.seal_task()
    }

    /// A sealing has ended.
    pub fn note_sealed(&mut self, journal: JournalId, task: &SealTask<D>, outcome: &Result<(), DiskError>) {
        let kept = &mut self.logs[usize::from(journal.0)];
        match outcome {
            Ok(()) => kept.log.note_sealed(task),
            Err(error) => kept.log.note_not_sealed(error),
        }
        self.tell_state(journal);
    }

    /// Whether everything that was received is as durable as it will be, and told.
    pub fn is_settled(&self) -> bool {
        let is_told = |kept: &Kept<D>| kept.answers.is_empty() && kept.waiting.is_empty() && kept.held.is_empty();
        self.logs.iter().all(is_told) && self.lanes.iter().all(|lane| lane.releases.is_empty())
    }

    /// All logs, for the end: each is to be closed.
    pub fn into_logs(self) -> Vec<Log<D>> {
        self.logs.into_iter().map(|kept| kept.log).collect()
    }
}

/// What became of a publication.
enum Admitted {
    Ordered(Ordered),
    Verdict(Verdict),
    Waits,
}

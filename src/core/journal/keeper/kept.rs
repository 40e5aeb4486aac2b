//! One log, and what is under way of it: who is to be answered, and what waits until it is durable.

use super::lanes::{Lane, Staged};
use super::{IDLE_US, SyncMode};
use crate::journal::catalog::{Catalog, SharedCatalog, Tail, TopicEnd};
use crate::journal::disk::{Disk, DiskError};
use crate::journal::log::Log;
use crate::journal::plan::JournalId;
use crate::journal::publication::{Refusal, TopicRef};
use crate::journal::tasks::SyncTask;
use crate::journal::topics::TopicKey;
use crate::releases::{Acked, Note};
use crate::session::SessionId;
use fanwire_wire::Code;
use fanwire_wire::frame::AckLevel;
use foldhash::quality::FixedState;
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// A log, and what is under way of it.
pub(super) struct Kept<D: Disk> {
    pub(super) log: Log<D>,
    pub(super) sync: SyncMode,
    /// As far as readers may see.
    pub(super) released: Tail,
    /// Who is to be answered about the batch, in its order.
    pub(super) answers: Vec<Answer>,
    /// Acknowledgements that wait for a position to be durable.
    pub(super) waiting: VecDeque<Waiting>,
    /// The last position that some sync will cover.
    pub(super) sync_requested: u64,
    /// Every segment before this one is full, and some sync will cover all of it.
    pub(super) sync_requested_base: u64,
    /// Publishes wait for the next segment.
    pub(super) is_waiting: bool,
    /// When what is not synced was first seen.
    pub(super) unsynced_since_us: Option<u64>,
    /// Since when there is nothing to do but to write down how far it is synced; 0: that is overdue.
    pub(super) idle_since_us: Option<u64>,
    /// Records of the batch, where they are held back until they are durable.
    pub(super) staged: Staged,
    pub(super) held: VecDeque<Held>,
    /// Where topics end whose newest records are held back or not written yet, as far as those are released.
    ends: HashMap<TopicKey, TopicEnd, FixedState>,
    /// Topics of the batch, where they are held back.
    pub(super) touched: Vec<TopicKey>,
    pub(super) held_bytes: usize,
    /// What was told of why there is no next segment.
    pub(super) told_shortage: Option<DiskError>,
    pub(super) has_told_failure: bool,
}

/// A batch that is held back.
pub(super) struct Held {
    pub(super) tail: Tail,
    pub(super) staged: Staged,
    pub(super) bytes: usize,
    /// Where its topics end with it.
    pub(super) ends: Vec<(TopicKey, TopicEnd)>,
}

/// Who published, and what is to be said.
#[derive(Clone, Copy)]
pub(super) struct Answer {
    pub(super) shard: u8,
    pub(super) session: SessionId,
    /// The publish number; 0: only a refusal is told.
    pub(super) number: u64,
    pub(super) ack: AckLevel,
    pub(super) verdict: Verdict,
}

#[derive(Clone, Copy)]
pub(super) enum Verdict {
    Ordered { topic: (JournalId, TopicKey), sequence: u64, position: u64 },
    Duplicate { topic: Option<(JournalId, TopicKey)>, sequence: u64 },
    Refused { code: Code, actual: Option<u64> },
}

pub(super) struct Waiting {
    pub(super) position: u64,
    pub(super) shard: u8,
    pub(super) acked: Acked,
}

impl<D: Disk> Kept<D> {
    pub(super) fn new(log: Log<D>, sync: SyncMode) -> Self {
        Kept {
            released: log.tail(),
            idle_since_us: log.is_note_due().then_some(0),
            log,
            sync,
            answers: Vec::new(),
            waiting: VecDeque::new(),
            sync_requested: 0,
            sync_requested_base: 0,
            is_waiting: false,
            unsynced_since_us: None,
            staged: Staged::default(),
            held: VecDeque::new(),
            ends: HashMap::default(),
            touched: Vec::new(),
            held_bytes: 0,
            told_shortage: None,
            has_told_failure: false,
        }
    }

    /// What is written may be seen, unless it has to be durable first.
    pub(super) fn see_tail(&mut self) {
        if self.sync != SyncMode::Release {
            self.released = self.log.tail();
        }
    }

    /// What was written up to here is released once it is durable, where the journal is kept so.
    pub(super) fn hold_back(&mut self, tail: Tail) {
        if self.sync != SyncMode::Release {
            return;
        }
        let staged = std::mem::take(&mut self.staged);
        let bytes = staged.bytes();
        self.held_bytes += bytes;
        let ends = self.touched.drain(..).map(|topic| (topic, self.log.topic_end_of(topic))).collect();
        self.held.push_back(Held { tail, staged, bytes, ends });
    }

    /// Where a topic ends before a record is added to it, where that record is held back.
    pub(super) fn end_before(&self, topic: TopicRef<'_>) -> Option<TopicEnd> {
        if self.sync != SyncMode::Release {
            return None;
        }
        let nothing = TopicEnd { sequence: 0, base: 0, offset: 0 };
        Some(self.key_of(topic).map_or(nothing, |topic| self.log.topic_end_of(topic)))
    }

    /// What the log calls a topic, if it knows it.
    pub(super) fn key_of(&self, topic: TopicRef<'_>) -> Option<TopicKey> {
        match topic {
            TopicRef::Key(topic) => Some(topic),
            TopicRef::Name(name) => self.log.find(name),
        }
    }

    /// A record was added to a topic that ended there before.
    pub(super) fn note_ordered(&mut self, topic: TopicKey, end: Option<TopicEnd>) {
        if let Some(end) = end {
            self.ends.entry(topic).or_insert(end);
            self.touched.push(topic);
        }
    }

    /// A batch was released.
    pub(super) fn note_released(&mut self, ends: &[(TopicKey, TopicEnd)]) {
        for (topic, end) in ends {
            if self.log.topic_end_of(*topic) == *end {
                self.ends.remove(topic);
            } else {
                self.ends.insert(*topic, *end);
            }
        }
    }

    /// Where a topic ends as far as it is released; none if nothing of it is.
    pub(super) fn topic_end(&self, name: &str) -> Option<TopicEnd> {
        let topic = self.log.find(name)?;
        let end = self.ends.get(&topic).copied().unwrap_or_else(|| self.log.topic_end_of(topic));
        (end.sequence > 0).then_some(end)
    }

    /// The segments as far as readers may see them: the one with the tail is open to them, though the log may have left
    /// it, and sealed it.
    pub(super) fn visible_catalog(&self) -> SharedCatalog<D::File> {
        let catalog = self.log.shared_catalog();
        match catalog.index_of(self.released.base) {
            Some(place) if place + 1 < catalog.segments.len() => {
                let mut segments = catalog.segments[..=place].to_vec();
                let open = &mut segments[place];
                (open.end, open.is_sealed) = (None, false);
                Arc::new(Catalog { segments })
            }
            _ => catalog,
        }
    }

    /// Tells a publisher what has become of its publish, now or when it is durable. `end` is the last position that is
    /// written.
    pub(super) fn answer(&mut self, answer: &Answer, end: u64, lanes: &mut [Lane]) {
        let Answer { shard, session, number, ack, verdict } = *answer;
        let lane = &mut lanes[usize::from(shard)];
        let (topic, first_sequence, position, is_duplicate) = match verdict {
            Verdict::Refused { code, actual } => {
                return lane.releases.push_note(Note::Refused { session, number, code, actual });
            }
            Verdict::Ordered { topic, sequence, position } => (Some(topic), sequence, position, false),
            // The record that it repeats may be as new as any.
            Verdict::Duplicate { topic, sequence } => (topic, sequence, end, true),
        };
        if number == 0 {
            return;
        }
        let acked = Acked { session, topic, first: number, count: 1, level: ack, first_sequence, is_duplicate };
        let must_be_durable = ack == AckLevel::Durable || (ack == AckLevel::Routed && self.sync == SyncMode::Release);
        if must_be_durable && position > self.log.durable() {
            self.wait(Waiting { position, shard, acked });
        } else {
            lane.releases.push_ack(acked);
        }
    }

    fn wait(&mut self, new: Waiting) {
        match self.waiting.back_mut() {
            Some(last) if last.shard == new.shard && last.acked.is_followed_by(&new.acked) => {
                last.acked.count += new.acked.count;
                last.position = last.position.max(new.position);
            }
            _ => self.waiting.push_back(new),
        }
    }

    /// Nothing more becomes durable: whoever waits for that hears so.
    pub(super) fn refuse_waiting(&mut self, lanes: &mut [Lane]) {
        for Waiting { shard, acked, .. } in self.waiting.drain(..) {
            let Acked { session, first, count, .. } = acked;
            for number in first..first + u64::from(count) {
                let code = Code::JournalFailed;
                lanes[usize::from(shard)].releases.push_note(Note::Refused { session, number, code, actual: None });
            }
        }
        self.held.clear();
        self.held_bytes = 0;
        // Nor is any sync due any more.
        self.unsynced_since_us = None;
    }

    /// What is to be written down, once the log was idle for long enough.
    pub(super) fn take_note(&mut self, now_us: u64) -> Option<SyncTask<D>> {
        let since_us = self.idle_since_us?;
        // A clock that went backwards must not put it off.
        if now_us >= since_us && now_us - since_us < IDLE_US {
            return None;
        }
        self.idle_since_us = None;
        self.log.note_task()
    }

    /// Whether a segment is full that no sync will cover as it is now. It can't be sealed before, so it is synced
    /// whether or not somebody waits for that.
    pub(super) fn is_full_unrequested(&self) -> bool {
        self.log.newest_unsynced().is_some_and(|base| base >= self.sync_requested_base)
    }

    pub(super) fn is_sync_due(&self, now_us: u64) -> bool {
        let Some(since_us) = self.unsynced_since_us else {
            return !self.waiting.is_empty();
        };
        match self.sync {
            _ if !self.waiting.is_empty() => true,
            SyncMode::Demand => false,
            // A clock that went backwards must not put it off.
            SyncMode::Every(period_us) => now_us < since_us || now_us - since_us >= period_us,
            SyncMode::Release => true,
        }
    }
}

/// What a refusal is called.
pub(super) const fn verdict_of(refusal: Refusal) -> Verdict {
    let (code, actual) = match refusal {
        Refusal::Full => (Code::JournalFull, None),
        Refusal::Unavailable => (Code::JournalUnavailable, None),
        Refusal::Failed => (Code::JournalFailed, None),
        Refusal::Conflict { actual } => (Code::Conflict, Some(actual)),
        Refusal::ProducerTooOld => (Code::ProducerTooOld, None),
        Refusal::TooManyTopics => (Code::TooManyTopics, None),
        Refusal::TooLarge => (Code::RecordTooLarge, None),
    };
    Verdict::Refused { code, actual }
}

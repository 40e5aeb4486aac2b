//! Falling back: a `catch-up` subscription whose session does not keep up becomes a cursor, and loses nothing.
//!
//! ```text
//!  queue   [ 4 7 | stretch 8 ][ 5 6 | stretch 8 ][ 9 12 | stretch 9 ][ 10 11 | stretch 9 ]   arrives: no room
//!            partly sent, perhaps: kept            `--- CURSOR at 9 --- dropped ---------'
//! ```
//!
//! Chunks are sent whole or not, each topic's apart, so what is sent need not be all up to some position. A *stretch*
//! is what the journal has released between two moments at which everything open was fanned out and somebody may have
//! been sent something, or begun to listen. Positions of a later stretch are greater than all of an earlier one. So
//! whatever the queue holds of its first stretch is kept, because more of that may be sent already; everything behind
//! goes, and the cursor begins with the first position of the first stretch that goes. What came in this turn was not
//! sent yet.
//!
//! All `catch-up` subscriptions of the session in that journal fall back together: they share deliveries. CURSOR stands
//! where the first message is dropped, so that a client hands to nobody twice what other subscriptions still get.
//!
//! Where a stricter subscription of the session governs what a `catch-up` one gets too, it neither drops nor conflates
//! it before that one has fallen back: then the journal has it. Such deliveries are marked in the queue (*shared*).
//! What of them may be partly sent at the fall is *kept*, to the last.

use crate::arena::{ChunkKey, EntryKey, Key, SessionKey, SubscriptionKey, TopicKey};
use crate::chunk::Origin;
use crate::encoding::Event;
use crate::journal::plan::JournalId;
use crate::outbox::Content;
use crate::settings::ENTRY_BYTES;
use crate::shard::Shard;
use crate::subscription::Subscription;
use fanwire_wire::frame::{Policy, Start};
use smallvec::SmallVec;

impl Shard {
    /// A message of a journal has no room under a `catch-up` subscription: all of the session's there fall back.
    pub(crate) fn fall_back(&mut self, session: SessionKey, arriving: Origin) {
        let first = self.first_to_go(session, arriving.journal);
        let stretch = first.map_or(arriving.stretch, |(_, origin)| origin.stretch);
        self.fall_back_to(session, arriving.journal, stretch, Some(arriving.floor));
        self.sessions[session].meeting.catches_up = false;
    }

    /// Something that is shared is to be dropped from the queue. Returns whether who shares it has fallen back; if not,
    /// it has to stay.
    pub(crate) fn fall_back_behind(&mut self, session: SessionKey, shared: EntryKey) -> bool {
        let origin = self.chunks.get(self.entries[shared].chunk).origin.expect("only records are shared");
        if self.sent_stretch(session, origin.journal).is_some_and(|sent| origin.stretch <= sent) {
            return false;
        }
        let (_, first) = self.first_to_go(session, origin.journal).expect("this one can go");
        self.fall_back_to(session, origin.journal, first.stretch, None);
        true
    }

    /// All `catch-up` subscriptions in a journal fall back to a stretch, or to where they began to listen; what arrives
    /// has this floor. Those stay for whom nothing is queued, if nothing arrives.
    fn fall_back_to(&mut self, session: SessionKey, journal: JournalId, stretch: u64, arriving_floor: Option<u64>) {
        let subscriptions = self.catch_up_subscriptions(session, journal);
        // One that began to listen later has nothing to drop of what came before.
        let begins = subscriptions.iter().map(|key| stretch.max(self.listening_since(session, *key)));
        let begins: SmallVec<[u64; 4]> = begins.collect();
        let mut falls: SmallVec<[(SubscriptionKey, u64, u64); 4]> = SmallVec::new();
        for (subscription, begin) in subscriptions.iter().zip(begins) {
            let first = self.first_of_stretch(session, journal, begin);
            let Some(position) = first.map(|(_, origin)| origin.floor).or(arriving_floor) else { continue };
            let event = Event::Cursor { subscription: self.subscriptions[*subscription].number, position };
            match first {
                Some((entry, _)) => self.insert_event(session, entry, &event),
                None => self.enqueue_event(session, &event),
            }
            falls.push((*subscription, begin, position));
        }
        self.end_sharing(session, journal, stretch);
        for (subscription, begin, position) in falls {
            self.drop_stretches(subscription, begin);
            self.counters.fallen_back += 1;
            self.open_cursor(subscription, Start::Position { position }, true);
        }
    }

    /// A `catch-up` subscription begins to hear a journal's releases: it will not fall back behind this stretch.
    pub(crate) fn note_listening(&mut self, key: SubscriptionKey) {
        let Subscription { session, policy, .. } = self.subscriptions[key];
        if policy == Policy::CatchUp {
            self.forget_listening(key);
            let since = self.journaling.stretch;
            self.sessions[session].more_mut().listening.push((key, since));
        }
    }

    /// A `catch-up` subscription is about to end: what it shares with others must not be dropped any more, be it when
    /// those fall back.
    pub(crate) fn end_listening(&mut self, key: SubscriptionKey) {
        let Subscription { session, journal, policy, is_replaying, .. } = self.subscriptions[key];
        if policy == Policy::CatchUp && !is_replaying {
            self.begin_listening();
            self.end_sharing(session, journal, u64::MAX);
            for other in self.catch_up_subscriptions(session, journal) {
                self.note_listening(other);
            }
        }
        self.forget_listening(key);
    }

    fn forget_listening(&mut self, key: SubscriptionKey) {
        let Subscription { session, policy, .. } = self.subscriptions[key];
        if policy == Policy::CatchUp
            && let Some(more) = self.sessions[session].existing_more_mut()
        {
            more.listening.retain(|(known, _)| *known != key);
        }
    }

    fn listening_since(&self, session: SessionKey, key: SubscriptionKey) -> u64 {
        let listening = self.sessions[session].more().map_or(&[][..], |more| &more.listening);
        listening.iter().find(|(known, _)| *known == key).map_or(0, |(_, since)| *since)
    }

    /// A conflating subscription governs: whether it gets all of a chunk nevertheless, because a `catch-up` one shares
    /// it. That one falls back where the other would hold something back, but for a little: its newest values need
    /// room, which the queue must not have given to older ones.
    pub(crate) fn is_for_catch_up(&mut self, session: SessionKey, topic: TopicKey, chunk: ChunkKey) -> bool {
        let Some(origin) = self.shared_origin(session, chunk) else { return false };
        if !self.has_room_for_shared(session, chunk) {
            self.fall_back(session, origin);
            return false;
        }
        if self.sessions[session].has_held {
            self.release_waiting(session);
            self.end_held_of(session, topic);
        }
        true
    }

    fn has_room_for_shared(&self, session: SessionKey, chunk: ChunkKey) -> bool {
        let parts_bytes = self.chunks.get(chunk).span_count() * ENTRY_BYTES;
        let bytes = self.chunks.get(chunk).length().saturating_add(parts_bytes);
        if self.is_holding_back(session) {
            return self.sessions[session].queue.charged_bytes.saturating_add(bytes) <= self.history_bytes_max();
        }
        self.has_room(session, bytes)
    }

    /// Where a chunk comes from that is being delivered to a session, if some `catch-up` subscription there gets it.
    pub(crate) fn shared_origin(&self, session: SessionKey, chunk: ChunkKey) -> Option<Origin> {
        // A value that was held back is nobody's but its own subscription's, and has no origin.
        self.chunks.get(chunk).origin.filter(|_| self.sessions[session].meeting.catches_up)
    }

    /// Whether what is queued under a subscription may be dropped from there for what arrives.
    pub(crate) fn may_be_dropped(&self, subscription: SubscriptionKey) -> bool {
        matches!(self.subscriptions[subscription].policy, Policy::DropOldest | Policy::Conflate)
    }

    /// Nobody has to be heard any more before what is shared is dropped from a stretch on. What stands before it stays.
    fn end_sharing(&mut self, session: SessionKey, journal: JournalId, stretch: u64) {
        let mut entry = self.sessions[session].queue.front();
        while entry.is_some() {
            let item = &mut self.entries[entry];
            let origin = self.chunks.get(item.chunk).origin.filter(|origin| origin.journal == journal);
            if let Some(origin) = origin.filter(|_| item.content == Content::Shared) {
                item.content = if origin.stretch >= stretch { Content::Messages } else { Content::Kept };
            }
            entry = item.next;
        }
    }

    /// The first records of a journal in the queue of whose stretch nothing can have been sent.
    fn first_to_go(&self, session: SessionKey, journal: JournalId) -> Option<(EntryKey, Origin)> {
        let sent = self.sent_stretch(session, journal)?;
        self.first_of_stretch(session, journal, sent + 1)
    }

    /// The last stretch of a journal of which something may have been sent, as far as the queue tells.
    fn sent_stretch(&self, session: SessionKey, journal: JournalId) -> Option<u64> {
        let (_, first) = self.first_of_stretch(session, journal, 0)?;
        let is_of_this_turn = first.stretch >= self.journaling.turn_stretch;
        Some(if is_of_this_turn { first.stretch - 1 } else { first.stretch })
    }

    /// The first entry of a queue with records of a journal, of this stretch or a later one.
    fn first_of_stretch(&self, session: SessionKey, journal: JournalId, stretch: u64) -> Option<(EntryKey, Origin)> {
        let mut entry = self.sessions[session].queue.front();
        while entry.is_some() {
            let item = &self.entries[entry];
            let origin = self.chunks.get(item.chunk).origin;
            if let Some(origin) = origin.filter(|origin| origin.journal == journal && origin.stretch >= stretch) {
                return Some((entry, origin));
            }
            entry = item.next;
        }
        None
    }

    fn catch_up_subscriptions(&self, session: SessionKey, journal: JournalId) -> Vec<SubscriptionKey> {
        let state = &self.sessions[session];
        let all = (0..state.subscription_count()).map(|index| state.subscription_at(index));
        let is_one = |key: &SubscriptionKey| {
            let subscription = &self.subscriptions[*key];
            subscription.policy == Policy::CatchUp && subscription.journal == journal && !subscription.is_replaying
        };
        all.filter(is_one).collect()
    }

    /// Drops what waits under a subscription from a stretch on.
    fn drop_stretches(&mut self, subscription: SubscriptionKey, stretch: u64) {
        let is_kept = |shard: &Shard, entry: EntryKey| {
            let origin = shard.chunks.get(shard.entries[entry].chunk).origin;
            origin.is_none_or(|origin| origin.stretch < stretch)
        };
        let mut last_kept = EntryKey::NONE;
        let mut entry = self.subscriptions[subscription].queued_first;
        while entry.is_some() && is_kept(self, entry) {
            last_kept = entry;
            entry = self.entries[entry].next_in_chain();
        }
        self.cut_chain(subscription, last_kept, entry);
    }
}

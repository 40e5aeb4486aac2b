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

use crate::arena::{EntryKey, Key, SessionKey, SubscriptionKey};
use crate::chunk::Origin;
use crate::encoding::Event;
use crate::journal::plan::JournalId;
use crate::shard::Shard;
use crate::subscription::Subscription;
use fanwire_wire::frame::{Policy, Start};
use smallvec::SmallVec;

impl Shard {
    /// A message of a journal has no room under a `catch-up` subscription: all of the session's there fall back.
    pub(crate) fn fall_back(&mut self, session: SessionKey, arriving: Origin) {
        let journal = arriving.journal;
        let stretch = self.first_to_go(session, journal).unwrap_or(arriving.stretch);
        let subscriptions = self.catch_up_subscriptions(session, journal);
        // One that began to listen later has nothing to drop of what came before.
        let begins = subscriptions.iter().map(|key| stretch.max(self.listening_since(session, *key)));
        let begins: SmallVec<[u64; 4]> = begins.collect();
        let mut positions: SmallVec<[u64; 4]> = SmallVec::new();
        for (subscription, begin) in subscriptions.iter().zip(&begins) {
            let first = self.first_of_stretch(session, journal, *begin);
            let position = first.map_or(arriving.floor, |(_, origin)| origin.floor);
            let event = Event::Cursor { subscription: self.subscriptions[*subscription].number, position };
            match first {
                Some((entry, _)) => self.insert_event(session, entry, &event),
                None => self.enqueue_event(session, &event),
            }
            positions.push(position);
        }
        for ((subscription, begin), position) in subscriptions.into_iter().zip(begins).zip(positions) {
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

    /// A `catch-up` subscription is about to end: what it shares with others must not be dropped when those fall back.
    pub(crate) fn end_listening(&mut self, key: SubscriptionKey) {
        let Subscription { session, journal, policy, .. } = self.subscriptions[key];
        if policy == Policy::CatchUp {
            self.begin_listening();
            for other in self.catch_up_subscriptions(session, journal) {
                self.note_listening(other);
            }
            self.forget_listening(key);
        }
    }

    fn forget_listening(&mut self, key: SubscriptionKey) {
        let Subscription { session, policy, .. } = self.subscriptions[key];
        if policy == Policy::CatchUp {
            self.sessions[session].more_mut().listening.retain(|(known, _)| *known != key);
        }
    }

    fn listening_since(&self, session: SessionKey, key: SubscriptionKey) -> u64 {
        let listening = self.sessions[session].more().map_or(&[][..], |more| &more.listening);
        listening.iter().find(|(known, _)| *known == key).map_or(0, |(_, since)| *since)
    }

    /// The first stretch of a journal in the queue of which nothing can have been sent.
    fn first_to_go(&self, session: SessionKey, journal: JournalId) -> Option<u64> {
        let turn_stretch = self.journaling.turn_stretch;
        let (_, kept) = self.first_of_stretch(session, journal, 0)?;
        let is_of_this_turn = kept.stretch >= turn_stretch;
        let begin = if is_of_this_turn { kept.stretch } else { kept.stretch + 1 };
        self.first_of_stretch(session, journal, begin).map(|(_, origin)| origin.stretch)
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

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
use fanwire_wire::frame::{Policy, Start};

impl Shard {
    /// A message of a journal has no room under a `catch-up` subscription: all of the session's there fall back.
    pub(crate) fn fall_back(&mut self, session: SessionKey, arriving: Origin) {
        let Origin { journal, .. } = arriving;
        let first = self.first_to_go(session, journal);
        let position = first.map_or(arriving.floor, |(_, origin)| origin.floor);
        for subscription in self.catch_up_subscriptions(session, journal) {
            let event = Event::Cursor { subscription: self.subscriptions[subscription].number, position };
            match first {
                Some((entry, origin)) => {
                    self.insert_event(session, entry, &event);
                    self.drop_stretches(subscription, origin.stretch);
                }
                None => self.enqueue_event(session, &event),
            }
            self.counters.fallen_back += 1;
            self.open_cursor(subscription, Start::Position { position }, true);
        }
    }

    /// Where in the queue the first stretch of a journal begins of which nothing can have been sent.
    fn first_to_go(&self, session: SessionKey, journal: JournalId) -> Option<(EntryKey, Origin)> {
        let mut kept = None;
        let mut entry = self.sessions[session].queue.front();
        while entry.is_some() {
            let item = &self.entries[entry];
            if let Some(origin) = self.chunks.get(item.chunk).origin
                && origin.journal == journal
            {
                let is_of_this_turn = origin.stretch >= self.journaling.turn_stretch;
                if is_of_this_turn || *kept.get_or_insert(origin.stretch) != origin.stretch {
                    return Some((entry, origin));
                }
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

//! Newest values: what a `conflate` subscription keeps while its socket is full or its rate is used up.
//!
//! ```text
//!   arrives --> socket takes bytes, rate allows? --yes--> queue (shared chunk)      and, with a rate, pacing begins
//!                        | no
//!                        v
//!                  held (session, topic): newest value only, a copy of its own
//!                        |--- paced: its timer fires ------+
//!                        |--- waiting: the queue is empty --+--> GAP of what was replaced, then the value
//! ```
//!
//! A queue holds what is about to be sent; values that may still be replaced stay outside of it, so replacing one
//! never searches a queue. Charged like queued bytes, and for being there: to keep the rate of a million topics takes
//! memory too, and where a queue has no room for it, their messages are dropped.
//!
//! What waits goes in the order in which it came, the newest last: so who conflates without a rate sees a journal in
//! the order of its positions, and can resume behind any of them. That holds for what one such subscription governs:
//! a value whose pace has ended, and what comes under another policy, may be let through before what waits.
//!
//! A value leaves early when it would otherwise come too late: before a message that another subscription lets through
//! at once; when its subscription ends; when its session forgets the topic's id that it was rendered with; before some
//! subscription's history ends, which may have held it too; and before more of a history, so that who reads slowly
//! does not hear all of that first.
//!
//! Invariants: at most one held value for a session and topic; a paced one has a timer, a waiting one has none and
//! belongs to a session that is blocked or has not yet emptied its queue.

use crate::arena::{ChunkKey, HeldKey, Key, SessionKey, SubscriptionKey, TopicKey};
use crate::chunk::Range;
use crate::held::{Held, List};
use crate::journal::plan::JournalId;
use crate::settings::HELD_BYTES;
use crate::shard::{Shard, Timer};
use std::time::Duration;

/// What it costs a turn to look at a subscription or a value that is held, in bytes.
const LOOK_COST: usize = 16;

impl Shard {
    /// A conflating subscription meets a chunk: all of it when nothing stands against it, else the newest message.
    pub(crate) fn offer_newest(
        &mut self,
        session: SessionKey,
        subscription: SubscriptionKey,
        topic: TopicKey,
        chunk: ChunkKey,
        except: Option<u32>,
    ) {
        let Some(newest) = self.chunks.get(chunk).newest(except) else {
            return;
        };
        let replaced = u64::from(self.chunks.get(chunk).count_without(except)) - 1;
        let is_paced = self.subscriptions[subscription].max_rate_hz > 0;
        let must_wait = self.is_holding_back(session) || (!is_paced && self.is_full_for(session, chunk));
        if !is_paced {
            self.yield_held(session, subscription, topic);
        }
        if let Some(held) = self.held.find(session, topic) {
            self.inherit_held(session, held, subscription);
            self.replace_held(session, held, chunk, newest, replaced);
        } else if !must_wait && !is_paced {
            self.enqueue_all(session, subscription, chunk, except);
        } else if must_wait && self.make_room(session, subscription, newest.bytes() + HELD_BYTES) {
            let key = self.insert_held(session, subscription, topic);
            self.begin_waiting(session, key);
            self.replace_held(session, key, chunk, newest, replaced);
        } else if must_wait || !self.has_room(session, newest.bytes() + HELD_BYTES) {
            self.note_loss_at_back(subscription, replaced + 1, 0);
        } else {
            let key = self.insert_held(session, subscription, topic);
            self.set_pace(key);
            if replaced > 0 {
                self.note_loss_at_back(subscription, 0, replaced);
            }
            self.enqueue_bounded(session, subscription, chunk, newest);
        }
    }

    /// What is newest is worth more than what waits in the queue: that goes first.
    fn make_room(&mut self, session: SessionKey, subscription: SubscriptionKey, bytes: u32) -> bool {
        while !self.has_room(session, bytes) {
            if !self.drop_oldest(subscription) {
                return false;
            }
        }
        true
    }

    /// Whether what arrives has to wait, whatever its rate: the socket takes nothing, or other values wait, which it
    /// must not overtake.
    pub(crate) fn is_holding_back(&self, session: SessionKey) -> bool {
        let state = &self.sessions[session];
        state.is_blocked || (state.has_held && state.held().waiting.is_some())
    }

    /// Whether the queue has no room for a chunk, but would have if it were empty.
    fn is_full_for(&self, session: SessionKey, chunk: ChunkKey) -> bool {
        !self.sessions[session].queue.is_empty() && !self.has_room(session, self.chunks.get(chunk).length())
    }

    /// Begins to hold what comes of a topic, or its rate.
    fn insert_held(&mut self, session: SessionKey, subscription: SubscriptionKey, topic: TopicKey) -> HeldKey {
        self.topics.hold(topic);
        self.charge(session, HELD_BYTES);
        let key = self.held.insert(Held::new(session, subscription, topic));
        let state = &mut self.sessions[session];
        state.has_held = true;
        state.more_mut().held.count += 1;
        self.held.link(List::Siblings, &mut self.subscriptions[subscription].held, key);
        key
    }

    fn forget_held(&mut self, key: HeldKey) {
        let Held { session, subscription, .. } = self.held[key];
        self.held.unlink(List::Siblings, &mut self.subscriptions[subscription].held, key);
        let state = &mut self.sessions[session];
        let list = &mut state.more_mut().held;
        list.count -= 1;
        state.has_held = list.count > 0;
        self.uncharge(session, HELD_BYTES);
        let held = self.held.remove(key);
        self.topics.unhold(held.topic);
    }

    /// Another subscription governs a held value's topic: the value is one of those that are replaced now, which the
    /// old one has to tell, and the interval that runs goes on.
    fn inherit_held(&mut self, session: SessionKey, key: HeldKey, heir: SubscriptionKey) {
        let old = self.held[key].subscription;
        if old == heir {
            return;
        }
        self.held.unlink(List::Siblings, &mut self.subscriptions[old].held, key);
        self.held.link(List::Siblings, &mut self.subscriptions[heir].held, key);
        self.held[key].subscription = heir;
        let had_value = self.drop_held_value(session, key);
        let conflated = std::mem::take(&mut self.held[key].conflated) + u64::from(had_value);
        if conflated > 0 {
            self.note_loss_at_back(old, 0, conflated);
        }
    }

    fn replace_held(&mut self, session: SessionKey, key: HeldKey, source: ChunkKey, newest: Range, replaced: u64) {
        let had_value = self.drop_held_value(session, key);
        let subscription = self.held[key].subscription;
        let lost = replaced + u64::from(had_value);
        if !self.make_room(session, subscription, newest.bytes()) {
            let conflated = std::mem::take(&mut self.held[key].conflated);
            self.note_loss_at_back(subscription, lost + 1, conflated);
            return;
        }
        let chunk = self.newest_copy_of(source, newest);
        self.charge(session, Self::charge_of(newest.bytes()));
        let held = &mut self.held[key];
        held.chunk = chunk;
        held.conflated += lost;
        self.place_newest(session, key);
    }

    /// A value has come: it stands behind those that came before.
    fn place_newest(&mut self, session: SessionKey, key: HeldKey) {
        let Held { subscription, timer, .. } = self.held[key];
        let siblings = &mut self.subscriptions[subscription].held;
        if *siblings != key {
            self.held.unlink(List::Siblings, siblings, key);
            self.held.link(List::Siblings, siblings, key);
        }
        if timer.is_none() && self.sessions[session].held().waiting != key {
            self.end_waiting(session, key);
            self.begin_waiting(session, key);
        }
    }

    /// Starts the interval in which no further value of the topic is sent.
    fn set_pace(&mut self, key: HeldKey) {
        let rate_hz = self.subscriptions[self.held[key].subscription].max_rate_hz;
        let interval = Duration::from_micros(1_000_000 / u64::from(rate_hz));
        self.held[key].timer = Some(self.wheel.insert(self.now + interval, Timer::Pace(key)));
    }

    /// The interval is over: send what has come meanwhile, or forget the topic.
    pub(crate) fn end_pace(&mut self, key: HeldKey) {
        let session = self.held[key].session;
        self.held[key].timer = None;
        if !self.held[key].chunk.is_some() {
            self.forget_held(key);
        } else if self.sessions[session].is_blocked {
            self.begin_waiting(session, key);
        } else {
            self.send_held(session, key);
            self.set_pace(key);
        }
    }

    /// The socket takes bytes again: values that waited for it go into the queue, until it is full.
    pub(crate) fn release_waiting(&mut self, session: SessionKey) {
        let mut oldest = self.held.oldest(List::Waiting, self.sessions[session].held().waiting);
        while oldest.is_some() {
            let key = oldest;
            oldest = self.held.next_newer(List::Waiting, key);
            self.end_waiting(session, key);
            if self.held[key].chunk.is_some() {
                self.send_held(session, key);
            }
            if self.subscriptions[self.held[key].subscription].max_rate_hz > 0 {
                self.set_pace(key);
            } else {
                self.forget_held(key);
            }
        }
    }

    /// A message of a topic is about to be delivered at once under `governing`: it must not overtake a value that is
    /// held under another subscription.
    pub(crate) fn yield_held(&mut self, session: SessionKey, governing: SubscriptionKey, topic: TopicKey) {
        if !self.sessions[session].has_held || !topic.is_some() {
            return;
        }
        if let Some(key) = self.held.find(session, topic)
            && self.held[key].subscription != governing
        {
            self.end_held(session, key, true);
        }
    }

    /// A subscription ends: what is held under it is sent before that is told, or dropped with its session.
    pub(crate) fn end_held_under(&mut self, session: SessionKey, subscription: SubscriptionKey, send: bool) {
        let mut oldest = self.held.oldest(List::Siblings, self.subscriptions[subscription].held);
        while oldest.is_some() {
            let key = oldest;
            oldest = self.held.next_newer(List::Siblings, key);
            self.end_held(session, key, send);
        }
    }

    /// A session is about to forget what a topic's id means: a value that was rendered with it goes first.
    pub(crate) fn end_held_of(&mut self, session: SessionKey, topic: TopicKey) {
        if let Some(key) = self.held.find(session, topic) {
            self.end_held(session, key, true);
        }
    }

    /// A subscription in a journal is about to begin, or its history to end: what is held of that journal came before,
    /// and must not come behind that. Of every journal, where the subscription lies in none.
    pub(crate) fn yield_held_in(&mut self, session: SessionKey, journal: JournalId) {
        if !self.sessions[session].has_held || self.journaling.plan.count() == 0 {
            return;
        }
        let looked_at = self.sessions[session].subscription_count() + self.sessions[session].held().count as usize;
        self.spend(looked_at * LOOK_COST);
        self.yield_list(session, List::Waiting, self.sessions[session].held().waiting, journal);
        for index in 0..self.sessions[session].subscription_count() {
            let subscription = self.sessions[session].subscription_at(index);
            self.yield_list(session, List::Siblings, self.subscriptions[subscription].held, journal);
        }
    }

    fn yield_list(&mut self, session: SessionKey, list: List, head: HeldKey, journal: JournalId) {
        let mut oldest = self.held.oldest(list, head);
        while oldest.is_some() {
            let key = oldest;
            oldest = self.held.next_newer(list, key);
            let found = self.topics.get(self.held[key].topic).journal;
            if found.is_some() && (found == journal || !journal.is_some()) {
                self.end_held(session, key, true);
            }
        }
    }

    /// A session goes without what it still waits for.
    pub(crate) fn discard_held(&mut self, session: SessionKey) {
        for index in 0..self.sessions[session].subscription_count() {
            let subscription = self.sessions[session].subscription_at(index);
            self.end_held_under(session, subscription, false);
        }
    }

    fn end_held(&mut self, session: SessionKey, key: HeldKey, send: bool) {
        match self.held[key].timer.take() {
            Some(timer) => {
                self.wheel.cancel(timer);
            }
            None => self.end_waiting(session, key),
        }
        if send && self.held[key].chunk.is_some() {
            self.send_held(session, key);
        }
        self.drop_held_value(session, key);
        self.forget_held(key);
    }

    fn begin_waiting(&mut self, session: SessionKey, key: HeldKey) {
        self.held.link(List::Waiting, &mut self.sessions[session].more_mut().held.waiting, key);
    }

    fn end_waiting(&mut self, session: SessionKey, key: HeldKey) {
        self.held.unlink(List::Waiting, &mut self.sessions[session].more_mut().held.waiting, key);
    }

    fn send_held(&mut self, session: SessionKey, key: HeldKey) {
        let held = &mut self.held[key];
        let subscription = held.subscription;
        let chunk = std::mem::replace(&mut held.chunk, ChunkKey::NONE);
        let conflated = std::mem::take(&mut held.conflated);
        let range = Range { begin: 0, end: self.chunks.get(chunk).length(), count: 1 };
        self.uncharge(session, Self::charge_of(range.bytes()));
        if conflated > 0 {
            self.note_loss_at_back(subscription, 0, conflated);
        }
        self.enqueue_bounded(session, subscription, chunk, range);
        self.chunks.release(chunk);
    }

    fn drop_held_value(&mut self, session: SessionKey, key: HeldKey) -> bool {
        let chunk = std::mem::replace(&mut self.held[key].chunk, ChunkKey::NONE);
        if !chunk.is_some() {
            return false;
        }
        let bytes = self.chunks.get(chunk).length();
        self.uncharge(session, Self::charge_of(bytes));
        self.chunks.release(chunk);
        true
    }

    /// The newest message as a chunk of its own, shared by all who hold it: a held value must not keep a whole
    /// turn's chunk alive.
    fn newest_copy_of(&mut self, source: ChunkKey, newest: Range) -> ChunkKey {
        if let Some((known_source, known_range, copy)) = self.newest_copy
            && known_source == source
            && known_range == newest
        {
            self.chunks.retain(copy);
            return copy;
        }
        self.drop_newest_copy();
        let copy = self.chunks.copy_of(source, newest);
        self.chunks.retain(copy);
        self.newest_copy = Some((source, newest, copy));
        copy
    }

    /// Ends the sharing: the source's key may come to mean another chunk.
    pub(crate) fn drop_newest_copy(&mut self) {
        if let Some((_, _, copy)) = self.newest_copy.take() {
            self.chunks.release(copy);
        }
    }
}

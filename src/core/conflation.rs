//! Newest values: what a `conflate` subscription keeps while its socket is full or its rate is used up.
//!
//! ```text
//!   arrives --> socket takes bytes, rate allows? --yes--> queue (shared chunk)      and, with a rate, pacing begins
//!                        | no
//!                        v
//!                  held (subscription, topic): newest value only, a copy of its own
//!                        |--- paced: its timer fires ------+
//!                        |--- waiting: the queue is empty --+--> GAP of what was replaced, then the value
//! ```
//!
//! A queue holds what is about to be sent; values that may still be replaced stay outside of it, so replacing one
//! never searches a queue. Charged like queued bytes.
//!
//! Invariants: at most one held value for a subscription and topic; a paced one has a timer, a waiting one has none
//! and belongs to a session that is blocked or has not yet emptied its queue.

use crate::arena::{Arena, ChunkKey, HeldKey, Key, SessionKey, SubscriptionKey, TopicKey};
use crate::chunk::Range;
use crate::shard::{Shard, Timer};
use crate::wheel::TimerKey;
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::time::Duration;

/// A session's held values.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HeldList {
    waiting: HeldKey,
    paced: HeldKey,
}

impl HeldList {
    pub(crate) const EMPTY: HeldList = HeldList { waiting: HeldKey::NONE, paced: HeldKey::NONE };
}

pub(crate) struct Held {
    pub(crate) subscription: SubscriptionKey,
    pub(crate) topic: TopicKey,
    /// The value; `NONE` while only the rate is kept.
    pub(crate) chunk: ChunkKey,
    conflated: u64,
    /// Set while paced.
    timer: Option<TimerKey>,
    previous: HeldKey,
    next: HeldKey,
}

pub(crate) struct HeldValues {
    values: Arena<HeldKey, Held>,
    by_topic: HashTable<HeldKey>,
    hasher: FixedState,
}

impl HeldValues {
    pub(crate) fn new(seed: u64) -> Self {
        HeldValues { values: Arena::new(), by_topic: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    fn find(&self, subscription: SubscriptionKey, topic: TopicKey) -> Option<HeldKey> {
        let same = |key: &HeldKey| {
            let held = &self.values[*key];
            held.subscription == subscription && held.topic == topic
        };
        self.by_topic.find(self.hasher.hash_one((subscription, topic)), same).copied()
    }

    fn insert(&mut self, held: Held) -> HeldKey {
        let hash = self.hasher.hash_one((held.subscription, held.topic));
        let key = self.values.insert(held);
        let HeldValues { values, by_topic, hasher } = self;
        by_topic.insert_unique(hash, key, |key| {
            let held = &values[*key];
            hasher.hash_one((held.subscription, held.topic))
        });
        key
    }

    fn remove(&mut self, key: HeldKey) -> Held {
        let held = self.values.remove(key);
        let hash = self.hasher.hash_one((held.subscription, held.topic));
        let found = self.by_topic.find_entry(hash, |known| *known == key);
        found.expect("every held value is found by its topic").remove();
        held
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (HeldKey, &Held)> {
        self.values.iter()
    }
}

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
        let is_blocked = self.sessions[session].is_blocked;
        let is_paced = self.subscriptions[subscription].max_rate_hz > 0;
        if let Some(held) = self.held.find(subscription, topic) {
            self.replace_held(session, held, chunk, newest, replaced);
        } else if is_blocked {
            self.hold(session, subscription, topic, chunk, newest, replaced);
        } else if is_paced {
            if replaced > 0 {
                self.note_loss_at_back(subscription, 0, replaced);
            }
            self.enqueue_bounded(session, subscription, chunk, newest);
            self.begin_pace(session, subscription, topic);
        } else {
            self.enqueue_all(session, subscription, chunk, except);
        }
    }

    /// Keeps a value that can't be sent now.
    fn hold(
        &mut self,
        session: SessionKey,
        subscription: SubscriptionKey,
        topic: TopicKey,
        source: ChunkKey,
        newest: Range,
        replaced: u64,
    ) {
        if !self.has_room(session, newest.bytes()) {
            self.note_loss_at_back(subscription, replaced + 1, 0);
            return;
        }
        let chunk = self.newest_copy_of(source, newest);
        self.charge(session, Self::charge_of(newest.bytes()));
        self.topics.hold(topic);
        let key = self.held.insert(Held {
            subscription,
            topic,
            chunk,
            conflated: replaced,
            timer: None,
            previous: HeldKey::NONE,
            next: HeldKey::NONE,
        });
        self.link_held(session, key);
    }

    fn replace_held(&mut self, session: SessionKey, key: HeldKey, source: ChunkKey, newest: Range, replaced: u64) {
        let had_value = self.drop_held_value(session, key);
        let subscription = self.held.values[key].subscription;
        let lost = replaced + u64::from(had_value);
        if !self.has_room(session, newest.bytes()) {
            let conflated = std::mem::take(&mut self.held.values[key].conflated);
            self.note_loss_at_back(subscription, lost + 1, conflated);
            return;
        }
        let chunk = self.newest_copy_of(source, newest);
        self.charge(session, Self::charge_of(newest.bytes()));
        let held = &mut self.held.values[key];
        held.chunk = chunk;
        held.conflated += lost;
    }

    /// Starts the interval in which no further value of the topic is sent.
    fn begin_pace(&mut self, session: SessionKey, subscription: SubscriptionKey, topic: TopicKey) {
        self.topics.hold(topic);
        let key = self.held.insert(Held {
            subscription,
            topic,
            chunk: ChunkKey::NONE,
            conflated: 0,
            timer: None,
            previous: HeldKey::NONE,
            next: HeldKey::NONE,
        });
        self.set_pace(key);
        self.link_held(session, key);
    }

    fn set_pace(&mut self, key: HeldKey) {
        let rate_hz = self.subscriptions[self.held.values[key].subscription].max_rate_hz;
        let interval = Duration::from_micros(1_000_000 / u64::from(rate_hz));
        self.held.values[key].timer = Some(self.wheel.insert(self.now + interval, Timer::Pace(key)));
    }

    /// The interval is over: send what has come meanwhile, or forget the topic.
    pub(crate) fn end_pace(&mut self, key: HeldKey) {
        let session = self.session_of_held(key);
        self.unlink_held(session, key);
        self.held.values[key].timer = None;
        if !self.held.values[key].chunk.is_some() {
            self.forget_held(key);
        } else if self.sessions[session].is_blocked {
            self.link_held(session, key);
        } else {
            self.send_held(session, key);
            self.set_pace(key);
            self.link_held(session, key);
        }
    }

    /// The socket takes bytes again: values that waited for it go into the queue, until it is full.
    pub(crate) fn release_waiting(&mut self, session: SessionKey) {
        loop {
            let key = self.sessions[session].held.waiting;
            if !key.is_some() {
                return;
            }
            self.unlink_held(session, key);
            if self.held.values[key].chunk.is_some() {
                self.send_held(session, key);
            }
            if self.subscriptions[self.held.values[key].subscription].max_rate_hz > 0 {
                self.set_pace(key);
                self.link_held(session, key);
            } else {
                self.forget_held(key);
            }
        }
    }

    /// A subscription ends: what is held under it is sent before that is told, or dropped with its session.
    pub(crate) fn end_held(&mut self, session: SessionKey, subscription: SubscriptionKey, send: bool) {
        for head in [self.sessions[session].held.waiting, self.sessions[session].held.paced] {
            let mut key = head;
            while key.is_some() {
                let next = self.held.values[key].next;
                if self.held.values[key].subscription == subscription {
                    self.unlink_held(session, key);
                    if let Some(timer) = self.held.values[key].timer.take() {
                        self.wheel.cancel(timer);
                    }
                    if send && self.held.values[key].chunk.is_some() {
                        self.send_held(session, key);
                    }
                    self.drop_held_value(session, key);
                    self.forget_held(key);
                }
                key = next;
            }
        }
    }

    fn send_held(&mut self, session: SessionKey, key: HeldKey) {
        let held = &mut self.held.values[key];
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
        let chunk = std::mem::replace(&mut self.held.values[key].chunk, ChunkKey::NONE);
        if !chunk.is_some() {
            return false;
        }
        let bytes = self.chunks.get(chunk).length();
        self.uncharge(session, Self::charge_of(bytes));
        self.chunks.release(chunk);
        true
    }

    fn forget_held(&mut self, key: HeldKey) {
        let held = self.held.remove(key);
        self.topics.unhold(held.topic);
    }

    fn session_of_held(&self, key: HeldKey) -> SessionKey {
        self.subscriptions[self.held.values[key].subscription].session
    }

    fn list_of_held(&mut self, session: SessionKey, key: HeldKey) -> &mut HeldKey {
        let list = &mut self.sessions[session].held;
        if self.held.values[key].timer.is_some() { &mut list.paced } else { &mut list.waiting }
    }

    fn link_held(&mut self, session: SessionKey, key: HeldKey) {
        let head = std::mem::replace(self.list_of_held(session, key), key);
        let held = &mut self.held.values[key];
        held.previous = HeldKey::NONE;
        held.next = head;
        if head.is_some() {
            self.held.values[head].previous = key;
        }
    }

    fn unlink_held(&mut self, session: SessionKey, key: HeldKey) {
        let Held { previous, next, .. } = self.held.values[key];
        if previous.is_some() {
            self.held.values[previous].next = next;
        } else {
            *self.list_of_held(session, key) = next;
        }
        if next.is_some() {
            self.held.values[next].previous = previous;
        }
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

//! Values that are held back, and the topics whose rate is used up: found by session and topic, listed by session
//! while they wait for its socket, and by subscription always.
//!
//! Lists have the newest value first: in that order they were put there, or again when a newer one replaced them.
//!
//! So whoever asks finds them without a search: the message that replaces one, the socket that takes bytes again, and
//! the subscription that ends.

use crate::arena::{Arena, ChunkKey, HeldKey, Key, SessionKey, SubscriptionKey, TopicKey};
use crate::wheel::TimerKey;
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::ops::{Index, IndexMut};

/// What a session knows of its held values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HeldList {
    /// The newest of those that wait for its socket.
    pub(crate) waiting: HeldKey,
    /// All of them, those with a timer too.
    pub(crate) count: u32,
}

impl HeldList {
    pub(crate) const EMPTY: HeldList = HeldList { waiting: HeldKey::NONE, count: 0 };
}

impl Default for HeldList {
    fn default() -> Self {
        HeldList::EMPTY
    }
}

pub(crate) struct Held {
    pub(crate) session: SessionKey,
    /// The one that governed when it came.
    pub(crate) subscription: SubscriptionKey,
    pub(crate) topic: TopicKey,
    /// The value; `NONE` while only the rate is kept.
    pub(crate) chunk: ChunkKey,
    pub(crate) conflated: u64,
    /// Set while paced.
    pub(crate) timer: Option<TimerKey>,
    waiting: Links,
    siblings: Links,
}

#[derive(Clone, Copy)]
struct Links {
    previous: HeldKey,
    next: HeldKey,
}

/// A list that held values stand in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum List {
    /// Of a session: those that wait for its socket.
    Waiting,
    /// Of a subscription: all that are held under it.
    Siblings,
}

impl Held {
    /// Nothing yet, in no list.
    pub(crate) const fn new(session: SessionKey, subscription: SubscriptionKey, topic: TopicKey) -> Self {
        let alone = Links { previous: HeldKey::NONE, next: HeldKey::NONE };
        let chunk = ChunkKey::NONE;
        Held { session, subscription, topic, chunk, conflated: 0, timer: None, waiting: alone, siblings: alone }
    }

    const fn links(&self, list: List) -> Links {
        match list {
            List::Waiting => self.waiting,
            List::Siblings => self.siblings,
        }
    }

    fn links_mut(&mut self, list: List) -> &mut Links {
        match list {
            List::Waiting => &mut self.waiting,
            List::Siblings => &mut self.siblings,
        }
    }
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

    pub(crate) fn find(&self, session: SessionKey, topic: TopicKey) -> Option<HeldKey> {
        let same = |key: &HeldKey| {
            let held = &self.values[*key];
            held.session == session && held.topic == topic
        };
        self.by_topic.find(self.hasher.hash_one((session, topic)), same).copied()
    }

    pub(crate) fn insert(&mut self, held: Held) -> HeldKey {
        let hash = self.hasher.hash_one((held.session, held.topic));
        let key = self.values.insert(held);
        let HeldValues { values, by_topic, hasher } = self;
        by_topic.insert_unique(hash, key, |key| {
            let held = &values[*key];
            hasher.hash_one((held.session, held.topic))
        });
        key
    }

    pub(crate) fn remove(&mut self, key: HeldKey) -> Held {
        let held = self.values.remove(key);
        let hash = self.hasher.hash_one((held.session, held.topic));
        let found = self.by_topic.find_entry(hash, |known| *known == key);
        found.expect("every held value is found by its topic").remove();
        if self.by_topic.is_empty() && self.by_topic.capacity() > 1_024 {
            self.by_topic = HashTable::new();
        }
        held
    }

    /// Puts a value first in a list that begins at `head`.
    pub(crate) fn link(&mut self, list: List, head: &mut HeldKey, key: HeldKey) {
        let next = std::mem::replace(head, key);
        *self.values[key].links_mut(list) = Links { previous: HeldKey::NONE, next };
        if next.is_some() {
            self.values[next].links_mut(list).previous = key;
        }
    }

    /// The last one of a list that begins at `head`.
    pub(crate) fn oldest(&self, list: List, head: HeldKey) -> HeldKey {
        let mut oldest = head;
        while oldest.is_some() && self.values[oldest].links(list).next.is_some() {
            oldest = self.values[oldest].links(list).next;
        }
        oldest
    }

    /// The one that came next.
    pub(crate) fn next_newer(&self, list: List, key: HeldKey) -> HeldKey {
        self.values[key].links(list).previous
    }

    /// Takes a value out of a list that begins at `head`.
    pub(crate) fn unlink(&mut self, list: List, head: &mut HeldKey, key: HeldKey) {
        let Links { previous, next } = *self.values[key].links_mut(list);
        if previous.is_some() {
            self.values[previous].links_mut(list).next = next;
        } else {
            assert!(*head == key, "who has nobody before it is the first");
            *head = next;
        }
        if next.is_some() {
            self.values[next].links_mut(list).previous = previous;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (HeldKey, &Held)> {
        self.values.iter()
    }
}

impl Index<HeldKey> for HeldValues {
    type Output = Held;

    fn index(&self, key: HeldKey) -> &Held {
        &self.values[key]
    }
}

impl IndexMut<HeldKey> for HeldValues {
    fn index_mut(&mut self, key: HeldKey) -> &mut Held {
        &mut self.values[key]
    }
}

//! Slabs with typed keys: a topic's key can't be used to look up a subscription.
//!
//! Keys are 32 bits, so that lists of them are half as long as lists of pointers, and `NONE` stands for "no such
//! thing" without making the key larger. Vacant slots are chained by keys too, so a slot is no larger than an item that
//! has a spare value.

use std::ops::{Index, IndexMut};

/// Below so many items doubling leaves no more than a page or two unused.
const MANY: usize = 64;
/// Bytes that such an arena grows by at the least.
const GROWTH_BYTES_MIN: usize = 256 * 1024;

/// Slots that an empty arena keeps, so that one that is emptied every turn allocates nothing.
const KEPT_SLOTS_MAX: usize = 1_024;

/// A key of an [`Arena`].
pub(crate) trait Key: Copy + Eq {
    /// The key of nothing.
    const NONE: Self;
    fn from_index(index: usize) -> Self;
    fn index(self) -> usize;

    fn is_some(self) -> bool {
        self != Self::NONE
    }
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) struct $name(u32);

        impl Key for $name {
            const NONE: Self = $name(u32::MAX);

            fn from_index(index: usize) -> Self {
                assert!(index < u32::MAX as usize, "an arena holds less than 2^32 - 1 items");
                $name(index as u32)
            }

            fn index(self) -> usize {
                self.0 as usize
            }
        }
    )+};
}

keys! {
    /// A session's slot.
    SessionKey;
    /// A subscription of a local session.
    SubscriptionKey;
    /// A topic that is known here: subscribed, registered, or cached.
    TopicKey;
    /// A set of wildcard matches, shared by all topics that have the same.
    MatchKey;
    /// A level of the filter tree.
    NodeKey;
    /// A group of subscriptions that share their messages.
    GroupKey;
    /// A group's member, where the group lives.
    MemberKey;
    /// The same, where its session is.
    MembershipKey;
    /// Rendered bytes.
    ChunkKey;
    /// A place in some session's queue.
    EntryKey;
    /// A value that waits for its rate or for room.
    HeldKey;
    /// A request that a session waits for.
    RequestKey;
    /// A call that a session owes an answer to.
    CallKey;
    /// A subscription's place in a journal, while it is served from there.
    CursorKey;
}

/// A slab of `T` with keys of type `K`.
pub(crate) struct Arena<K, T> {
    slots: Vec<Slot<K, T>>,
    /// The vacant slot that is taken next.
    vacant: K,
    count: usize,
}

/// As large as a `T` that has a spare value, and aligned like it: keys name the next vacant slot.
enum Slot<K, T> {
    Occupied(T),
    Vacant { next: K },
}

impl<K: Key, T> Arena<K, T> {
    pub(crate) const fn new() -> Self {
        Arena { slots: Vec::new(), vacant: K::NONE, count: 0 }
    }

    pub(crate) fn insert(&mut self, value: T) -> K {
        self.count += 1;
        let key = self.next_key();
        if self.vacant.is_some() {
            let slot = &mut self.slots[key.index()];
            let Slot::Vacant { next } = *slot else {
                panic!("a vacant slot holds nothing");
            };
            self.vacant = next;
            *slot = Slot::Occupied(value);
        } else {
            self.grow();
            self.slots.push(Slot::Occupied(value));
        }
        key
    }

    /// Makes room for one more. An arena of many grows by no less than what the allocator takes straight from the
    /// system: that can grow on without being copied, so nothing is left behind where it was, and pages that no item
    /// has reached yet take no memory.
    fn grow(&mut self) {
        let length = self.slots.len();
        if length == self.slots.capacity() && length >= MANY {
            self.slots.reserve_exact(length.max(GROWTH_BYTES_MIN / size_of::<Slot<K, T>>()));
        }
    }

    /// The key that the next insert will give.
    pub(crate) fn next_key(&self) -> K {
        if self.vacant.is_some() { self.vacant } else { K::from_index(self.slots.len()) }
    }

    pub(crate) fn remove(&mut self, key: K) -> T {
        let slot = &mut self.slots[key.index()];
        let Slot::Occupied(value) = std::mem::replace(slot, Slot::Vacant { next: self.vacant }) else {
            panic!("what is removed is there");
        };
        self.vacant = key;
        self.count -= 1;
        // Once it is empty nothing has to stay where it is, so the memory may go.
        if self.count == 0 && self.slots.len() > KEPT_SLOTS_MAX {
            *self = Arena::new();
        }
        value
    }

    pub(crate) fn get(&self, key: K) -> Option<&T> {
        match self.slots.get(key.index()) {
            Some(Slot::Occupied(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        match self.slots.get_mut(key.index()) {
            Some(Slot::Occupied(value)) => Some(value),
            _ => None,
        }
    }

    pub(crate) const fn len(&self) -> usize {
        self.count
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.slots.iter().enumerate().filter_map(|(index, slot)| match slot {
            Slot::Occupied(value) => Some((K::from_index(index), value)),
            Slot::Vacant { .. } => None,
        })
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.slots.iter_mut().filter_map(|slot| match slot {
            Slot::Occupied(value) => Some(value),
            Slot::Vacant { .. } => None,
        })
    }
}

impl<K: Key, T> Index<K> for Arena<K, T> {
    type Output = T;

    fn index(&self, key: K) -> &T {
        match &self.slots[key.index()] {
            Slot::Occupied(value) => value,
            Slot::Vacant { .. } => panic!("what a key names is there"),
        }
    }
}

impl<K: Key, T> IndexMut<K> for Arena<K, T> {
    fn index_mut(&mut self, key: K) -> &mut T {
        match &mut self.slots[key.index()] {
            Slot::Occupied(value) => value,
            Slot::Vacant { .. } => panic!("what a key names is there"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_freed_slot_is_taken_again_and_each_key_is_told_before() {
        let mut arena: Arena<TopicKey, String> = Arena::new();
        let keys: Vec<TopicKey> = (0..300).map(|number| arena.insert(number.to_string())).collect();
        for gone in [7, 200, 8] {
            assert_eq!(arena.remove(keys[gone]), gone.to_string());
            assert!(arena.get(keys[gone]).is_none());
        }
        for again in [8, 200, 7] {
            assert_eq!(arena.next_key(), keys[again]);
            assert_eq!(arena.insert("new".to_owned()), keys[again]);
        }
        assert_eq!((arena.len(), arena.iter().count()), (300, 300));
        assert_eq!(arena.next_key(), TopicKey::from_index(300));
    }

    #[test]
    fn an_empty_arena_gives_its_memory_back() {
        let mut arena: Arena<TopicKey, [u8; 64]> = Arena::new();
        let keys: Vec<TopicKey> = (0..10_000).map(|_| arena.insert([0; 64])).collect();
        for key in keys {
            arena.remove(key);
        }
        assert_eq!((arena.slots.capacity(), arena.next_key()), (0, TopicKey::from_index(0)));
    }
}

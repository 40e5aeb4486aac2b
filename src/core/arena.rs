//! Slabs with typed keys: a topic's key can't be used to look up a subscription.
//!
//! Keys are 32 bits, so that lists of them are half as long as lists of pointers, and `NONE` stands for "no such
//! thing" without making the key larger.

use slab::Slab;
use std::marker::PhantomData;
use std::ops::{Index, IndexMut};

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
}

/// A slab of `T` with keys of type `K`.
pub(crate) struct Arena<K, T> {
    slab: Slab<T>,
    key: PhantomData<K>,
}

impl<K: Key, T> Arena<K, T> {
    pub(crate) const fn new() -> Self {
        Arena { slab: Slab::new(), key: PhantomData }
    }

    pub(crate) fn insert(&mut self, value: T) -> K {
        K::from_index(self.slab.insert(value))
    }

    /// The key that the next insert will give.
    pub(crate) fn next_key(&self) -> K {
        K::from_index(self.slab.vacant_key())
    }

    pub(crate) fn remove(&mut self, key: K) -> T {
        let value = self.slab.remove(key.index());
        // A slab never gives memory back by itself; once it is empty nothing can move, so it may.
        if self.slab.is_empty() && self.slab.capacity() > 1_024 {
            self.slab = Slab::new();
        }
        value
    }

    pub(crate) fn get(&self, key: K) -> Option<&T> {
        self.slab.get(key.index())
    }

    pub(crate) fn get_mut(&mut self, key: K) -> Option<&mut T> {
        self.slab.get_mut(key.index())
    }

    pub(crate) fn len(&self) -> usize {
        self.slab.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, &T)> {
        self.slab.iter().map(|(index, value)| (K::from_index(index), value))
    }
}

impl<K: Key, T> Index<K> for Arena<K, T> {
    type Output = T;

    fn index(&self, key: K) -> &T {
        &self.slab[key.index()]
    }
}

impl<K: Key, T> IndexMut<K> for Arena<K, T> {
    fn index_mut(&mut self, key: K) -> &mut T {
        &mut self.slab[key.index()]
    }
}

//! A bounded ring with one producer and one consumer.
//!
//! ```text
//!          head: written by the consumer      tail: written by the producer
//!            v                                  v
//!  [ . . . . x x x x x x x x x x x x x x x x x x . . . ]      slot = index & (capacity - 1)
//! ```
//!
//! Both indices count up for ever and wrap as integers do; `tail - head` items lie in the ring. Each side knows its own
//! index and remembers what it last saw of the other's. The other's can only have moved in favour: there is never less
//! room than the producer believes, nor fewer items than the consumer believes. So each side looks again only when the
//! ring seems full or empty, and in between the two touch no line of each other's but the slots.
//!
//! Orderings: an index is stored with `Release` after the slot was filled or emptied, and loaded with `Acquire` before
//! the slot is emptied or filled. Thus each access to a slot happens before the next one by the other side. A side's
//! own index is its plain field.
//!
//! Invariants: `0 <= tail - head <= capacity`; the slots from `head` to `tail` are filled and the consumer's, the
//! others are empty and the producer's.

use super::sync::{Arc, AtomicUsize, Ordering, UnsafeCell};
use std::mem::MaybeUninit;

/// Keeps apart what different threads write: a line that two cores write in turn costs each a miss. Lines are 64 bytes
/// on most machines, but are prefetched in pairs on x86-64, and are 128 bytes on some others.
#[repr(align(128))]
pub(crate) struct Line<T>(pub(crate) T);

/// A ring for `capacity` items, which is a power of two.
pub(crate) fn ring<T>(capacity: usize) -> (Producer<T>, Consumer<T>) {
    assert!(capacity.is_power_of_two(), "a ring of {capacity} items: indices are masked, it must be a power of two");
    let slots = (0..capacity).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let shared = Arc::new(Shared { head: Line(AtomicUsize::new(0)), tail: Line(AtomicUsize::new(0)), slots });
    let producer = Producer { shared: Arc::clone(&shared), tail: 0, head_seen: 0 };
    (producer, Consumer { shared, head: 0, tail_seen: 0 })
}

/// The end that fills.
pub(crate) struct Producer<T> {
    shared: Arc<Shared<T>>,
    /// How many were pushed.
    tail: usize,
    /// How many the consumer had popped when it was last asked.
    head_seen: usize,
}

impl<T> Producer<T> {
    /// Appends an item, or returns it when the ring is full.
    pub(crate) fn push(&mut self, item: T) -> Result<(), T> {
        if self.is_full() {
            return Err(item);
        }
        self.shared.slot(self.tail).with_mut(|slot| {
            // SAFETY: the ring is not full, so the slot at `tail` is the producer's alone: the consumer emptied it, or
            // it was never filled. Its emptying happens before this, as `is_full` acquired a `head` stored after it.
            // There is one producer, and it is borrowed for writing.
            unsafe { (*slot).write(item) };
        });
        self.tail = self.tail.wrapping_add(1);
        // Release: who sees the new tail sees the filled slot.
        self.shared.tail.0.store(self.tail, Ordering::Release);
        Ok(())
    }

    /// Whether no item fits at this moment.
    pub(crate) fn is_full(&mut self) -> bool {
        let capacity = self.shared.slots.len();
        if self.tail.wrapping_sub(self.head_seen) == capacity {
            // Acquire: the slots before this head were emptied before they are filled again.
            self.head_seen = self.shared.head.0.load(Ordering::Acquire);
        }
        self.tail.wrapping_sub(self.head_seen) == capacity
    }
}

/// The end that empties.
pub(crate) struct Consumer<T> {
    shared: Arc<Shared<T>>,
    /// How many were popped.
    head: usize,
    /// How many the producer had pushed when it was last asked.
    tail_seen: usize,
}

impl<T> Consumer<T> {
    /// Takes the oldest item out.
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.is_empty() {
            return None;
        }
        let item = self.shared.slot(self.head).with_mut(|slot| {
            // SAFETY: the ring is not empty, so the slot at `head` is filled and the consumer's alone. Its filling
            // happens before this, as `is_empty` acquired a `tail` stored after it. It is read once: `head` moves on,
            // and the slot counts as empty. There is one consumer, and it is borrowed for writing.
            unsafe { (*slot).assume_init_read() }
        });
        self.head = self.head.wrapping_add(1);
        // Release: who sees the new head may fill the slot, as the item has been moved out.
        self.shared.head.0.store(self.head, Ordering::Release);
        Some(item)
    }

    /// Whether no item is there at this moment.
    pub(crate) fn is_empty(&mut self) -> bool {
        if self.head == self.tail_seen {
            // Acquire: the slots before this tail were filled before they are emptied.
            self.tail_seen = self.shared.tail.0.load(Ordering::Acquire);
        }
        self.head == self.tail_seen
    }
}

struct Shared<T> {
    head: Line<AtomicUsize>,
    tail: Line<AtomicUsize>,
    slots: Box<[UnsafeCell<MaybeUninit<T>>]>,
}

impl<T> Shared<T> {
    fn slot(&self, index: usize) -> &UnsafeCell<MaybeUninit<T>> {
        &self.slots[index & (self.slots.len() - 1)]
    }
}

// SAFETY: items move from the producer's thread to the consumer's, or to the one that drops the ring, hence `T: Send`;
// no two threads ever have a reference to the same item, so it need not be `Sync`. Who may access which slot is settled
// by the indices, see above, and both ends need `&mut` for it and can't be cloned.
unsafe impl<T: Send> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Sync for Shared<T> {}

impl<T> Drop for Shared<T> {
    /// Drops what was pushed and never popped.
    fn drop(&mut self) {
        // Relaxed: both ends are gone, and letting go of the last reference came after all they did.
        let tail = self.tail.0.load(Ordering::Relaxed);
        let mut index = self.head.0.load(Ordering::Relaxed);
        while index != tail {
            self.slot(index).with_mut(|slot| {
                // SAFETY: the slots from `head` to `tail` are filled; nobody else is left, and each is dropped once.
                unsafe { (*slot).assume_init_drop() };
            });
            index = index.wrapping_add(1);
        }
    }
}

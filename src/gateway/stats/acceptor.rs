//! What the acceptor counts: who came to the door.

use std::sync::atomic::{AtomicU64, Ordering};

/// Totals since the start. Only the acceptor's thread counts.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct Entries {
    accepted: AtomicU64,
    refused: AtomicU64,
}

impl Entries {
    /// A connection was taken in.
    pub fn note_accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection was turned away, or dropped without a word.
    pub fn note_refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

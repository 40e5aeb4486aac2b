//! The bell of a reactor: whether it sleeps, so that it is woken only if it does, and by one only.
//!
//! ```text
//!  sleeper: asleep = true   ; fence ; look at all mailboxes ; poll
//!  poster:  mailbox = mail  ; fence ; asleep? -> exchange it for false: who did rings
//! ```
//!
//! Each writes one thing and reads the other. Without fences both reads could come before both writes: the sleeper
//! sees no mail, the poster nobody asleep, and the mail lies there for ever. Two `SeqCst` fences have one order: if the
//! sleeper's is first, the poster reads `true` or what was written later; if the poster's is first, the sleeper sees
//! the mail. `Release` and `Acquire` can't give this: they order no write before a read.
//!
//! What was written later is the sleeper's own `false`, and then it is up and looks before it sleeps again, or another
//! poster's `false`, and then that one rings. All other accesses are `Relaxed`: the bell hands over no data, the
//! mailboxes do that themselves. A bell that is rung while its owner rises by itself costs one poll that finds nothing.
//!
//! Invariant: of all who post during one sleep, at most one is told to ring.

use super::ring::Line;
use super::sync::{AtomicBool, Ordering, fence};

/// One reactor's, shared with all who post to it. It has a line of its own: the others read it once a turn, and only a
/// reactor that really falls asleep writes it.
pub(crate) struct Bell {
    is_asleep: Line<AtomicBool>,
}

impl Bell {
    /// The bell of somebody who is up.
    pub(crate) fn new() -> Self {
        Bell { is_asleep: Line(AtomicBool::new(false)) }
    }

    /// The owner is about to sleep. It must look at all its mailboxes once more after this, and get up if there is
    /// anything to do.
    pub(crate) fn lie_down(&self) {
        self.is_asleep.0.store(true, Ordering::Relaxed);
        // Before the owner's last look, pairs with the fence in `must_ring`.
        fence(Ordering::SeqCst);
    }

    /// The owner has woken, or does not sleep after all.
    pub(crate) fn get_up(&self) {
        self.is_asleep.0.store(false, Ordering::Relaxed);
    }

    /// Asked after posting, or after giving back to one who waits: whether the owner sleeps and it falls to the one who
    /// asks to wake it. Once per destination and turn is enough, after the last post.
    pub(crate) fn must_ring(&self) -> bool {
        // After what was posted, pairs with the fence in `lie_down`.
        fence(Ordering::SeqCst);
        // The load keeps the line shared among the posters while its owner is up. The exchange writes for the one
        // that rings, and for nobody else.
        self.is_asleep.0.load(Ordering::Relaxed)
            && self.is_asleep.0.compare_exchange(true, false, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

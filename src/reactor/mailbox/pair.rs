//! The mailbox of one ordered pair of reactors.
//!
//! ```text
//!            post              take               give_back
//!  mail  ------------> forth --------> receiver ------------> back ---> the next post leaves it in its place
//!         in transit from here ----------------> to here: counted as handled
//! ```
//!
//! A sender that finds no room, or too many bytes in transit, may wait for the mailbox to move. `want_room` and
//! `give_back` are the two sides of it, with the same store, fence, load on both as the bell has:
//!
//! ```text
//!  want_room: waits = true    ; fence ; handled, does it differ from the last look?  yes: do not wait
//!  give_back: handled = more  ; fence ; waits?                                       yes: waits = false, tell it
//! ```
//!
//! The fences have one order. If `give_back`'s is first, `want_room` sees that the mailbox moved. If `want_room`'s is
//! first, `give_back` reads that the sender waits, and says so to its caller, who asks the sender's bell.
//!
//! A sender that is told while it is still up is not rung. Hence it asks `want_room` again after `lie_down`, as its
//! last look: either that finds the mailbox moved, or `give_back` finds the wish, and its caller the owner asleep.
//!
//! `give_back` may clear a wish that came between its load and its store, and still none is lost: it says `true`, and
//! its caller's `must_ring` has a fence after that store. If that fence is before `lie_down`'s, the last look's wish is
//! written after the store and stands; if it is after, `must_ring` finds the owner asleep.
//!
//! Handled bytes are stored with `Release`, after `take` has moved the ring on, and loaded with `Acquire`: who sees
//! that the mailbox moved finds the room. Else it could try in vain, see nothing new, and wait for what is long past.
//!
//! Invariants: handled bytes never exceed the posted ones, and differ by what is in transit; every mail counts, so
//! that handling any of them shows.

use super::ring::{Consumer, Line, Producer, ring};
use super::sync::{Arc, AtomicBool, AtomicU64, Ordering, fence};
use std::mem;

/// A mailbox for `mails_max` mails on their way and `spares_max` emptied ones on theirs back, both powers of two.
///
/// Emptied mails beyond `spares_max` are dropped by the receiver, so that memory returns after a burst.
pub(crate) fn mailbox<M: Default>(mails_max: usize, spares_max: usize) -> (Sender<M>, Receiver<M>) {
    let (forth, arrivals) = ring(mails_max);
    let (back, spares) = ring(spares_max);
    let progress =
        Arc::new(Progress { bytes_handled: Line(AtomicU64::new(0)), is_awaited: Line(AtomicBool::new(false)) });
    let sender = Sender { forth, spares, progress: Arc::clone(&progress), bytes_posted: 0, bytes_handled_seen: 0 };
    (sender, Receiver { arrivals, back, progress, bytes_handled: 0, bytes_in_hand: None })
}

/// What the two say to each other beside the mail.
struct Progress {
    /// Written by the receiver only, and only ever grows.
    bytes_handled: Line<AtomicU64>,
    /// Set by the sender, cleared by the receiver.
    is_awaited: Line<AtomicBool>,
}

/// A mail on its way.
struct Letter<M> {
    mail: M,
    bytes: u64,
}

/// The end of the reactor that posts. Aligned, so that it shares no line with what another thread writes.
#[repr(align(128))]
pub(crate) struct Sender<M> {
    forth: Producer<Letter<M>>,
    spares: Consumer<M>,
    progress: Arc<Progress>,
    bytes_posted: u64,
    /// As of the last `want_room`.
    bytes_handled_seen: u64,
}

impl<M: Default> Sender<M> {
    /// Posts a mail that weighs so many bytes, and leaves an emptied one in its place. Without room nothing changes and
    /// it says `false`. A mail without weight counts as one byte.
    pub(crate) fn post(&mut self, mail: &mut M, bytes: u64) -> bool {
        if self.forth.is_full() {
            return false;
        }
        let bytes = bytes.max(1);
        let mail = mem::replace(mail, self.spares.pop().unwrap_or_default());
        let pushed = self.forth.push(Letter { mail, bytes });
        assert!(pushed.is_ok(), "a ring that had room a moment ago has none, though nobody else fills it");
        self.bytes_posted += bytes;
        true
    }

    /// Bytes that were posted and have not been handled.
    pub(crate) fn bytes_in_transit(&self) -> u64 {
        // Relaxed: the number alone is of interest. It may be late, which shows more than there is.
        self.bytes_posted - self.progress.bytes_handled.0.load(Ordering::Relaxed)
    }

    /// Says that the sender waits for the mailbox to move, and whether it has to: `false` if a mail has been handled
    /// since this was last asked, and then the sender tries again. After `true` the receiver tells at least once.
    ///
    /// What makes the sender wait it must have seen since this was last asked. It may be asked any number of times; a
    /// wish that is no longer needed costs at most one ring.
    pub(crate) fn want_room(&mut self) -> bool {
        self.progress.is_awaited.0.store(true, Ordering::Relaxed);
        // Pairs with the fence in `give_back`.
        fence(Ordering::SeqCst);
        // Acquire: the room that was made with it is there at the next try.
        let handled = self.progress.bytes_handled.0.load(Ordering::Acquire);
        mem::replace(&mut self.bytes_handled_seen, handled) == handled
    }

    /// Drops the emptied mails that came back, for a sender that has been quiet for a while.
    pub(crate) fn forget_spares(&mut self) {
        while self.spares.pop().is_some() {}
    }
}

/// The end of the reactor that handles the mail. Aligned like its peer.
#[repr(align(128))]
pub(crate) struct Receiver<M> {
    arrivals: Consumer<Letter<M>>,
    back: Producer<M>,
    progress: Arc<Progress>,
    bytes_handled: u64,
    /// What the mail weighs that was taken and not yet given back.
    bytes_in_hand: Option<u64>,
}

impl<M> Receiver<M> {
    /// Takes the oldest mail, which is to be given back before the next one is taken.
    pub(crate) fn take(&mut self) -> Option<M> {
        assert!(self.bytes_in_hand.is_none(), "a mail is taken while another one has not been given back");
        let Letter { mail, bytes } = self.arrivals.pop()?;
        self.bytes_in_hand = Some(bytes);
        Some(mail)
    }

    /// Returns the mail that was taken, handled and emptied. Says whether its sender waits and is to be told: then the
    /// caller asks the sender's bell.
    pub(crate) fn give_back(&mut self, emptied: M) -> bool {
        let bytes = self.bytes_in_hand.take().expect("only a mail that was taken is given back");
        // One that does not fit is one too many.
        drop(self.back.push(emptied));
        self.bytes_handled += bytes;
        // Release: who sees this sees the room that `take` made.
        self.progress.bytes_handled.0.store(self.bytes_handled, Ordering::Release);
        // Pairs with the fence in `want_room`.
        fence(Ordering::SeqCst);
        let is_awaited = self.progress.is_awaited.0.load(Ordering::Relaxed);
        if is_awaited {
            self.progress.is_awaited.0.store(false, Ordering::Relaxed);
        }
        is_awaited
    }

    /// Whether no mail is there at this moment.
    pub(crate) fn is_empty(&mut self) -> bool {
        self.arrivals.is_empty()
    }
}

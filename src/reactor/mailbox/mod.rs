//! Mailboxes: how reactors hand batches to each other, without a lock and mostly without a system call.
//!
//! ```text
//!   reactor A                                                                 reactor B
//!   Sender --post-->  [ mail | mail | mail ]  ring forth, bounded  --take-->  Receiver
//!          <--------  [ emptied | emptied ]   ring back, bounded   <--give_back--
//!          <--------  bytes handled in all, and whether A waits for room
//!   Bell of B <--must_ring?--                            --must_ring?--> Bell of A
//! ```
//!
//! One mailbox joins one ordered pair, so every ring has one writer and one reader. A mail is what one reactor gathered
//! for another in a turn: it is moved, never shared, and its emptied buffers come back to be filled again. Mail is
//! first-in first-out per pair; nothing else is promised.
//!
//! Who sleeps in its poll and who waits for room is said by flags, so that a busy reactor is never woken: at most one
//! ring is due per sleep, whoever posts. Two things can wake a sleeper, mail for it and room for its own mail, and so
//! its way into sleep is:
//!
//! ```text
//!  bell.lie_down() --> any receiver not empty?    --yes--> bell.get_up(), go on
//!                      any sender that waits:
//!                      want_room() says false?    --yes--> bell.get_up(), go on
//!                  --> poll --> bell.get_up()
//! ```
//!
//! and whoever has posted, or was told `true` by `give_back`, asks `must_ring` of the other's bell before its own turn
//! ends, and if so wakes the other's poll. Both sides write, fence, then read what the other writes: at least one of
//! the two sees the other (the argument stands in `bell` and `pair`). Looking before `lie_down` proves nothing.
//!
//! Invariants:
//! - nothing that was posted is lost or comes twice; a mail that does not fit stays with its sender;
//! - nobody sleeps over mail or room, unless somebody was told to ring;
//! - memory is bounded by the two capacities: what comes back beyond them is dropped by the receiver.
//!
//! The atomics come from `sync`, so that the very same files are checked by loom: `tests/mailbox.rs`.

mod bell;
mod pair;
mod ring;
mod sync;

pub(super) use bell::Bell;
pub(super) use pair::{Receiver, Sender, mailbox};

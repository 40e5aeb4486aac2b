//! The mailbox as the broker has it.

#[path = "../../src/reactor/mailbox/bell.rs"]
pub(crate) mod bell;
#[path = "../../src/reactor/mailbox/pair.rs"]
pub(crate) mod pair;
#[path = "../../src/reactor/mailbox/ring.rs"]
pub(crate) mod ring;
#[path = "../../src/reactor/mailbox/sync.rs"]
mod sync;

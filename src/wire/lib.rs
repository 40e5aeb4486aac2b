//! Fanwire's native protocol, version 1: bytes to frames and frames to bytes.
//!
//! ```text
//!  bytes --Inbox--> frame bytes --decode--> Frame --encode--> bytes
//!            |                      |
//!            +----- Violation ------+      (the peer's fault: a Code, no strings)
//! ```
//!
//! `protocol.md` is the normative text; this crate is its executable form, and a test reads that file and holds
//! the two together. Everything here is data in, data out: no socket, no clock, no allocation beyond the caller's
//! buffers and one buffer for a frame that arrives in pieces.
//!
//! Invariants:
//! - one canonical encoding: whatever decodes, encodes back to the very same bytes;
//! - short input is not an error (`None`), wrong input is a [`Violation`], and no input panics;
//! - encoding cannot fail: a value that exists can be written.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

extern crate alloc;

#[cfg(test)]
extern crate std;

pub mod code;
mod codec;
pub mod extension;
pub mod frame;
pub mod headers;
pub mod inbox;
pub mod limits;
pub mod preface;
pub mod topic;

pub use code::{Code, Retry, Violation};
pub use extension::{Extension, Extensions};
pub use frame::{Decoded, Direction, Frame, decode};
pub use headers::Headers;
pub use inbox::Inbox;
pub use limits::Limits;
pub use preface::{ClientPreface, MAGIC, ServerPreface, VERSION_MAX, VERSION_MIN};
pub use topic::{TopicFilter, TopicName};

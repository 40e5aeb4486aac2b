//! The broker's state machine. One [`Shard`] runs in each reactor; the simulation runs many in one thread.
//!
//! ```text
//!  Command --handle--> admit --> route --> append (render once a topic and encoding)        dirty sessions
//!                        |          |         |                                                 ^
//!                     session    topics     open chunks --seal--> fan out --> outbox entries ---+--> front / advance
//!                                filters                             |
//!                                groups                          overflow policy, conflation, GAP
//! ```
//!
//! A shard takes input, a time and gives output; it knows no socket, file, clock or protocol. What a connection reads
//! is bytes made by an [`Encoding`], which a gateway implements; what is rendered for one subscriber is rendered for
//! all that share the encoding, once a turn.
//!
//! Who owns what:
//! - [`Shard`] owns everything below; nothing is shared, nothing is locked;
//! - `topics` and `filters` know subscriptions by key, never a session's queue;
//! - `chunks` own bytes, `outbox` entries refer to ranges of them, and only what a socket refused or conflation holds
//!   back outlives its turn.
//!
//! Invariants, swept by [`Shard::check_invariants`]: a chunk's references are its outbox entries, held values and
//! open slots; a queue's bytes are the sum of its entries; every subscription stands exactly where its filter says.
#![forbid(unsafe_code)]

mod arena;
mod catch_up;
mod chunk;
pub mod command;
mod conflation;
pub mod counters;
mod cursors;
pub mod encoding;
mod exchange;
mod fanout;
mod filters;
mod groups;
mod held;
pub mod interest;
mod invariants;
pub mod journal;
mod journaling;
mod mail;
mod memberships;
mod outbox;
mod overtaken;
mod publish;
mod releases;
mod requests;
mod session;
pub mod settings;
mod shard;
#[cfg(test)]
mod stand_in;
mod submissions;
mod subscribe;
mod subscription;
pub mod tally;
pub mod time;
mod topics;
pub mod wheel;

pub use command::{Command, Target};
pub use counters::Counters;
pub use cursors::HistoryMail;
pub use encoding::{Address, Delivery, Encoding, EncodingId, Event, HistoryOf, Numbers, render_one_by_one};
pub use interest::{SHARDS_MAX, Seat};
pub use mail::Envelope;
pub use releases::Releases;
pub use session::{SessionId, Slices};
pub use settings::Settings;
pub use shard::{Closure, Handled, Shard};
pub use submissions::{Conditions, CursorId, Submissions};
pub use time::Time;

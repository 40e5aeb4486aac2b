//! The journal: topics whose messages are kept, in one total order each, and can be had again.
//!
//! ```text
//!  publication --order--> sequence in its topic, position in the journal --append--> batch --commit--> segment on disk
//!                            names, producers                                                            |
//!                                                       released to shards: acks, records  <------------'
//!  history  <--scan, follow-- sealed segments with an index | the open segment as far as it is released
//! ```
//!
//! Everything here is a state machine over a [`disk::Disk`]: no clock, no thread, no file system. Time is an argument,
//! what a disk does is an answer.

pub mod catalog;
pub mod compaction;
mod damage;
pub mod disk;
pub mod dump;
pub mod format;
mod found;
pub mod history;
pub mod index;
mod indexing;
pub mod keeper;
mod leftovers;
pub mod log;
pub mod names;
mod open_error;
pub mod plan;
mod producers;
mod publication;
pub mod reader;
mod recovery;
mod replay;
pub mod retention;
pub mod scan;
mod snapshot;
mod standing;
pub mod state;
pub mod survey;
mod tasks;
mod tear;
mod topics;
mod upkeep;
pub mod verify;

pub use indexing::indexing;
pub use log::{Log, LogSettings};
pub use open_error::{Fault, OpenError};
pub use producers::{PRODUCERS_KEPT, WINDOW};
pub use publication::{Admission, CommitError, Committed, Ordered, Publication, Refusal, TopicRef};
pub use recovery::{Cut, EpochChange, Opening, Recovery, Start};
pub use tasks::{Indexing, PrepareTask, Prepared, SealTask, SyncTask};
pub use topics::TopicKey;

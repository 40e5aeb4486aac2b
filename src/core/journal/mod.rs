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
pub mod disk;
pub mod format;
pub mod history;

//! The journal's threads: they drive what `fanwire_core::journal` decides, over files of `store`.
//!
//! ```text
//!  reactors --submissions--> clerk: orders, appends, releases ----releases--> reactors
//!                              |  requests        |  tasks
//!                              v                  v
//!                            reader            of each journal: maker, steward, sync thread
//!                              `--history--> reactors       `----- what has become of them: events -----'--> clerk
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `opening` | journals of the configuration, opened, before any thread runs |
//! | `clerk` | the journal thread |
//! | `ledger` | what it counts, published |
//! | `reading` | the reader thread |
//! | `upkeep` | retention and compaction |
//! | `vigil` | whether the journal thread stays awake for a sync |
//!
//! No reactor waits for any of these, and none of these for a reactor: whoever is full is rung for later.

mod clerk;
mod ledger;
mod opening;
mod reading;
mod upkeep;
mod vigil;

pub use clerk::{Clerk, Handle};
pub use opening::{Journals, OpenFailure, OpenFiles};
pub use reading::Reading;

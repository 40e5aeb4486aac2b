//! A journal's log on a disk that forgets what was not synced, fills up, fails, and stops at any operation.
//!
//! Every run is checked against a model that remembers what was admitted, committed, and told to be durable.

#[path = "journal/basics.rs"]
mod basics;
#[path = "journal/chance.rs"]
mod chance;
#[path = "journal/compacted.rs"]
mod compacted;
#[path = "journal/crashes.rs"]
mod crashes;
#[path = "journal/damage.rs"]
mod damage;
#[path = "journal/disk.rs"]
mod disk;
#[path = "journal/document.rs"]
mod document;
#[path = "journal/faults.rs"]
mod faults;
#[path = "journal/index.rs"]
mod index;
#[path = "journal/old.rs"]
mod old;
#[path = "journal/orders.rs"]
mod orders;
#[path = "journal/run.rs"]
mod run;
#[path = "journal/tears.rs"]
mod tears;

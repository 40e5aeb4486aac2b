//! Every system call on a file: what the journal writes to and reads from.
//!
//! ```text
//!  journal thread --write, one call a batch--> file <--read-- reader thread
//!                 --request--> sync thread  --sync-->  |
//!                 --orders-> maker thread   --make--> directory
//!                 --jobs---> steward thread --seal, rename, remove--> directory
//! ```
//!
//! | module | what it is |
//! |---|---|
//! | `directory` | the files of one journal in a real directory, which one broker at a time may have |
//! | `holder` | who has such a directory |
//! | `memory` | the same in memory, for journals that need not outlive the broker |
//! | `medium` | either of them |
//! | `file` | a file of either, and how it is appended to |
//! | `forgetting` | dropping what memory holds of files, so that the disk is read |
//! | `mapped` | a file's bytes as memory: the other way to append |
//! | `preparing` | a file in the making, step by step |
//! | `maker` | the thread that makes the next files |
//! | `steward` | the thread that does what takes long |
//! | `syncing` | the thread that does nothing but sync |
//! | `rehearsal` | a directory to try something out on |
//! | `identity` | the machine's boot and time, and random names |
//!
//! Nothing here knows what the bytes mean. Reactors touch none of this: any call may sleep for as long as the disk
//! likes.

mod directory;
mod file;
mod forgetting;
mod holder;
mod identity;
mod maker;
mod mapped;
mod medium;
mod memory;
mod preparing;
mod rehearsal;
mod steward;
mod syncing;

pub use directory::{Directory, DirectoryError};
pub use file::{Append, File};
pub use holder::Holder;
pub use identity::{boot_id, now_us, opening, random_id};
pub use maker::{Made, Maker};
pub use medium::Medium;
pub use memory::Memory;
pub use rehearsal::{Rehearsal, RehearsedFile};
pub use steward::{Job, Steward};
pub use syncing::{SyncTask, Syncer};

#[cfg(test)]
mod tests;

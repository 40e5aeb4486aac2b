//! Reading a journal: histories against a naive model, what they cost, and what damage does to them.
//!
//! ```text
//!  library   writes segments by the format alone, and keeps a plain list of what it wrote
//!  medium    a directory in memory that counts, and can be killed at any operation
//! ```

#[path = "reading/compacting.rs"]
mod compacting;
#[path = "reading/cost.rs"]
mod cost;
#[path = "reading/damage.rs"]
mod damage;
#[path = "reading/library.rs"]
mod library;
#[path = "reading/medium.rs"]
mod medium;
#[path = "reading/overtaking.rs"]
mod overtaking;
#[path = "reading/starts.rs"]
mod starts;

//! A shard under the hands of a shell that does just what a test says: who talks, whose socket is full, what time it
//! is. What a session is sent is read as text, one line a frame.
//!
//! Every turn ends with a sweep of the invariants.

#[path = "shard/back_pressure.rs"]
mod back_pressure;
#[path = "shard/conflation.rs"]
mod conflation;
#[path = "shard/exchange.rs"]
mod exchange;
#[path = "shard/fan_out.rs"]
mod fan_out;
#[path = "shard/governing.rs"]
mod governing;
#[path = "shard/groups.rs"]
mod groups;
#[path = "shard/memory.rs"]
mod memory;
#[path = "shard/overflow.rs"]
mod overflow;
#[path = "shard/plain_text.rs"]
mod plain_text;
#[path = "shard/refused_journals.rs"]
mod refused_journals;
#[path = "shard/remote_groups.rs"]
mod remote_groups;
#[path = "shard/remote_requests.rs"]
mod remote_requests;
#[path = "shard/row.rs"]
mod row;
#[path = "shard/runs.rs"]
mod runs;
#[path = "shard/shell.rs"]
mod shell;

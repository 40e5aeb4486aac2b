//! What the fuzz targets do with their bytes. Each function takes any bytes, and panics if something is wrong with the
//! code that they were put through, never because something is wrong with them.
//!
//! `fuzz/targets` hands them to libFuzzer; `tests/fuzz_corpora.rs` includes this file and replays the corpora.

mod bytes;
mod frame_decode;
mod http_body;
mod http_head;
mod inbox_chunking;
mod journal_items;
mod journal_recovery;
mod json_command;
mod native_handshake;
mod shard_two_connections;
mod topic_matching;
mod websocket_reader;

pub use frame_decode::frame_decode;
pub use http_body::http_body;
pub use http_head::http_head;
pub use inbox_chunking::inbox_chunking;
pub use journal_items::journal_items;
pub use journal_recovery::journal_recovery;
pub use json_command::json_command;
pub use native_handshake::native_handshake;
pub use shard_two_connections::shard_two_connections;
pub use topic_matching::topic_matching;
pub use websocket_reader::websocket_reader;

//! JSON: the commands and events of the native protocol as text, for whoever has no codec (protocol.md appendix D).
//!
//! ```text
//!  {"type":"publish","topic":"a/b","payload":"hi"}  --parse-->  Input  --command-->  what the shard handles
//!                                                     |
//!                                                  Scratch: what does not stand in the text as it is
//!
//!  what the shard tells  --deliver, history, event, welcome, ...-->  {"type":"message","topic":"a/b","payload":"hi"}
//! ```
//!
//! One object a text, in both directions, without any framing: WebSocket messages, lines of an event stream and
//! answers of HTTP are put around it by others.
//!
//! | module | what it holds |
//! |---|---|
//! | `command` | a text taken apart: what a client wants |
//! | `fields` | the forms of its fields, as serde reads them |
//! | `malformed` | what is wrong with a text, and in which field |
//! | `message` | deliveries and history: the hot way out, so written by hand |
//! | `connection` | what becomes of them: the subprotocol's machine |
//! | `event` | everything else that a session is told |
//! | `content` | payload and headers, which are any bytes, as JSON and back |
//! | `object` | an object being written: names, texts, numbers |
//!
//! Invariants: a rendered object is one line, whatever stands in names, headers and payloads, and it is valid JSON in
//! valid UTF-8. Rendering allocates nothing but room in the output. Reading hostile text takes time and memory in
//! proportion to its length, and never more of the stack than a field's form has levels.

mod command;
mod connection;
mod content;
mod event;
mod fields;
mod malformed;
mod message;
mod object;

pub use command::{Hello, Input, Publish, Scratch, parse};
pub use connection::Json;
pub use event::{error, event, goaway, ping, pong, welcome};
pub use malformed::Malformed;
pub use message::{begin_message, deliver, end_message, history};

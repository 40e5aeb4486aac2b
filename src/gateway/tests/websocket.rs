//! The reader of WebSocket streams against RFC 6455: its examples, the classes of cases that servers are commonly held
//! against, and any stream however it is cut.
//!
//! ```text
//!  client: frames --> stream --cut--> Reader --> told: items, then perhaps a breach
//!  cases:   what each stream tells, whole, in bytes and in odd pieces
//!  text:    UTF-8, and where it ends to be
//!  cutting: random streams tell the same whole and in pieces
//! ```

#[path = "websocket/cases.rs"]
mod cases;
#[path = "websocket/client.rs"]
mod client;
#[path = "websocket/cutting.rs"]
mod cutting;
#[path = "websocket/text.rs"]
mod text;

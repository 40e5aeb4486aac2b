//! The protocols, a file each: what they put on the wire and nothing else.

pub(super) mod fanwire;
pub(super) mod floor;
mod http;
pub(super) mod mqtt;
pub(super) mod nats;
pub(super) mod redis;
pub(super) mod sse;
pub(super) mod websocket;

use std::fmt::Arguments;
use std::io::Write;

/// Appends text, for the protocols that are made of it.
fn write(out: &mut Vec<u8>, text: Arguments<'_>) {
    out.write_fmt(text).expect("a vector takes everything");
}

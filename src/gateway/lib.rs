//! Gateways: each turns one protocol's bytes into commands for the shard, and the shard's events into that
//! protocol's bytes. They are leaves: the core knows none of them, and they know no socket and no clock.
//!
//! ```text
//!  shell                     gateway                        core
//!   bytes read  --receive--> frames -> Command --handle-->  Shard
//!   time        --expire---> keep-alive, deadlines            |
//!   bytes to write <---------------- render <---------------- Encoding (implemented here)
//! ```
//!
//! The shell owns sockets and buffers and lends everything a gateway needs with each call, the shard included
//! ([`Context`]); what has to happen to the socket comes back as [`Progress`].
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing))]

pub mod credentials;
mod gateway;
pub mod http;
pub mod json;
pub mod native;
mod native_encoding;
mod pages;
pub mod poll;
mod run;
pub mod settings;
pub mod sniff;
pub mod sse;
pub mod stats;
pub mod websocket;

pub use credentials::Credentials;
pub use gateway::Gateway;
pub use native::{Native, Phase};
pub use native_encoding::NativeEncoding;
pub use poll::Polls;
pub use settings::Settings;
pub use sniff::{Protocol, sniff};

use fanwire_core::{Encoding, EncodingId, Shard, Time};
use fanwire_wire::Code;
use fanwire_wire::preface::PREFACE_BYTES;
use sse::EventStream;
use std::net::IpAddr;
use websocket::{DeflatedJsonMessages, DeflatedNativeMessages, JsonMessages, NativeMessages};

/// The native encoding's place in [`encodings`].
pub const NATIVE: EncodingId = EncodingId(0);

/// Native frames as messages of a WebSocket.
pub const WEBSOCKET: EncodingId = EncodingId(1);
/// JSON objects as messages of a WebSocket.
pub const WEBSOCKET_JSON: EncodingId = EncodingId(2);
/// Server-sent events.
pub const EVENT_STREAM: EncodingId = EncodingId(3);

/// Native frames as messages of a WebSocket, made smaller.
pub const WEBSOCKET_DEFLATED: EncodingId = EncodingId(4);
/// JSON objects as messages of a WebSocket, made smaller.
pub const WEBSOCKET_JSON_DEFLATED: EncodingId = EncodingId(5);

/// Every encoding, in the order of their ids: what a shard has to be made with.
pub fn encodings() -> Vec<Box<dyn Encoding>> {
    vec![
        Box::new(NativeEncoding),
        Box::new(NativeMessages),
        Box::new(JsonMessages),
        Box::new(EventStream),
        Box::<DeflatedNativeMessages>::default(),
        Box::<DeflatedJsonMessages>::default(),
    ]
}

/// What a gateway is lent with each call.
pub struct Context<'a> {
    /// The shard of the connection's reactor.
    pub shard: &'a mut Shard,
    /// The long polls of the same reactor.
    pub polls: &'a mut Polls,
    /// What holds for all connections.
    pub settings: &'a Settings,
    /// The turn's time.
    pub now: Time,
    /// The wall clock, in microseconds since 1970-01-01 UTC.
    pub wall_us: u64,
    /// Names the connection in logs and in WELCOME.
    pub connection_id: u64,
    /// The peer's address.
    pub peer: IpAddr,
    /// Whether the broker is going down.
    pub is_draining: bool,
}

/// What the shell has to do after a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Nothing is left: wait for more bytes.
    Idle,
    /// A budget ended the work: call again next turn, with or without new bytes.
    More,
    /// The next command has to wait for other shards: call again once its session is resumed
    /// ([`Shard::take_resumed`]), and read nothing for it until then.
    Postponed,
    /// The connection goes on at the reactor of this number: flush its session, then hand it over. Read nothing more.
    Move(u8),
    /// The peer and the gateway are done with each other: flush its session, then close. There is nothing to log.
    Leave,
    /// The connection has to go: flush its session, then close so that the peer can read the last frame.
    Close(Closing),
}

/// Why a connection goes, and what is still to be written to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closing {
    /// What the peer is told.
    pub code: Code,
    /// Bytes for a peer that has no session yet; with a session, everything stands in its queue.
    pub parting: Option<[u8; PREFACE_BYTES]>,
}

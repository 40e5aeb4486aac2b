//! The native protocol from the client's side, without a socket: bytes in, events out; commands in, bytes out.
//!
//! ```text
//!            begin            preface             WELCOME               leave
//!   Idle ------------> Preface ------> Greeting ----------> Ready ----------------> Leaving
//!    ^                    |               |                   |                        |
//!    +--------------------+---------------+------- end -------+------------------------+
//! ```
//!
//! What outlives a connection: subscriptions, registrations, the numbering of acked publishes. What ends with it, and
//! is told one by one at the end: acked publishes not settled, requests not answered. Nothing is ever sent twice.
//!
//! `hearing.rs` handles what the broker sends, `commands.rs` what the caller wants.

mod commands;
mod hearing;
#[cfg(test)]
mod tests;

use crate::error::{Error, Refusal};
use crate::event::{Event, SubscriptionId};
use crate::outgoing::Outgoing;
use crate::publishes::Publishes;
use crate::requests::Requests;
use crate::subscriptions::Subscriptions;
use fanwire_wire::frame::{AckLevel, Hello, Start};
use fanwire_wire::limits::{AGENT_BYTES_MAX, CREDENTIALS_BYTES_MAX, DELIVERY_BYTES_EXTRA, HELLO_BYTES_MAX};
use fanwire_wire::preface::PREFACE_BYTES;
use fanwire_wire::{ClientPreface, Code, Decoded, Direction, Frame, Inbox, Limits, ServerPreface, Violation, decode};
use std::fmt;
use std::time::Duration;

/// Who the client says it is.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    /// What the client is; up to 64 bytes.
    pub client_name: String,
    /// The client's own version; up to 64 bytes.
    pub client_version: String,
    /// A token; empty for an open broker.
    pub credentials: Vec<u8>,
    /// After how much silence to ask for a sign of life; `None`: never.
    pub keep_alive: Option<Duration>,
}

/// Never shows the credentials.
impl fmt::Debug for Identity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Identity({} {})", self.client_name, self.client_version)
    }
}

/// What the broker said when it accepted the client.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Welcome {
    /// The protocol version spoken.
    pub version: u8,
    /// Whether the broker asks nobody for credentials.
    pub open: bool,
    /// Whether the broker is going down already.
    pub draining: bool,
    /// Names the connection in the broker's logs.
    pub connection_id: u64,
    /// The broker's clock then, in microseconds since 1970-01-01 UTC.
    pub server_time_us: u64,
    /// The keep-alive granted.
    pub keep_alive: Option<Duration>,
    /// What this connection may do.
    pub limits: Limits,
    /// The broker's name and version.
    pub server_name: String,
}

/// Before the first welcome: the protocol's defaults.
impl Default for Welcome {
    fn default() -> Self {
        Welcome {
            version: fanwire_wire::VERSION_MAX,
            open: false,
            draining: false,
            connection_id: 0,
            server_time_us: 0,
            keep_alive: None,
            limits: Limits::default(),
            server_name: String::new(),
        }
    }
}

/// The broker asked this client to move; the window counts from the frame's arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Moving {
    /// Why.
    pub refusal: Refusal,
    /// The start of the window.
    pub reconnect_min: Duration,
    /// Its end.
    pub reconnect_max: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Idle,
    Preface,
    Greeting,
    Ready,
    Leaving,
}

/// A topic with a short id: its index.
#[derive(Debug)]
struct Registration {
    topic: Box<str>,
    /// Whether this connection's broker was told and did not refuse it; else publishing goes by name.
    in_force: bool,
}

/// One client's side of the protocol, over any number of connections, one at a time.
#[derive(Debug)]
pub struct Session {
    identity: Identity,
    buffer_bytes_max: usize,
    stage: Stage,
    /// Connections begun so far; tells the handles of one from those of another.
    connection: u64,
    welcomed_before: bool,
    welcome: Welcome,
    inbox: Inbox,
    preface: [u8; PREFACE_BYTES],
    preface_len: usize,
    outgoing: Outgoing,
    subscriptions: Subscriptions,
    publishes: Publishes,
    requests: Requests,
    registrations: Vec<Registration>,
    moving: Option<Moving>,
    /// Pings of the caller so far; their tokens are 1 to this.
    pings: u64,
    /// Calls of this connection that nobody has answered yet.
    calls_open: u64,
}

/// The way of a connection.
impl Session {
    /// A session without a connection. `buffer_bytes_max` bounds publishes, requests and answers that wait in
    /// [`Session::outgoing`].
    pub fn new(identity: Identity, buffer_bytes_max: usize) -> Result<Session, Error> {
        for (what, given, max) in [
            ("client name length", identity.client_name.len(), AGENT_BYTES_MAX),
            ("client version length", identity.client_version.len(), AGENT_BYTES_MAX),
            ("credentials length", identity.credentials.len(), CREDENTIALS_BYTES_MAX),
        ] {
            if given > max {
                return Err(Error::Limit { what, given: given as u64, max: max as u64 });
            }
        }
        Ok(Session {
            identity,
            buffer_bytes_max,
            stage: Stage::Idle,
            connection: 0,
            welcomed_before: false,
            welcome: Welcome::default(),
            inbox: Inbox::default(),
            preface: [0; PREFACE_BYTES],
            preface_len: 0,
            outgoing: Outgoing::default(),
            subscriptions: Subscriptions::default(),
            publishes: Publishes::default(),
            requests: Requests::default(),
            registrations: Vec::new(),
            moving: None,
            pings: 0,
            calls_open: 0,
        })
    }

    /// A connection was made: puts preface and HELLO into [`Session::outgoing`].
    ///
    /// # Panics
    /// When the connection before was not ended.
    pub fn begin(&mut self) {
        assert!(self.stage == Stage::Idle, "a session has one connection at a time");
        self.stage = Stage::Preface;
        self.connection += 1;
        self.preface_len = 0;
        self.outgoing.begin(&ClientPreface::OURS.encode());
        let keep_alive_ms =
            self.identity.keep_alive.map_or(0, |interval| interval.as_millis().clamp(1, u32::MAX.into()));
        self.outgoing.push(&Frame::from(Hello {
            keep_alive_ms: u32::try_from(keep_alive_ms).unwrap_or(u32::MAX),
            client_name: &self.identity.client_name,
            client_version: &self.identity.client_version,
            credentials: &self.identity.credentials,
        }));
    }

    /// Takes at most one frame off the front of `input` and tells what it means. `false` when the input ended before
    /// the frame did; what is there of it is kept. After an error the connection is to be ended with it.
    pub fn receive(&mut self, input: &mut &[u8], on_event: &mut dyn FnMut(Event<'_>)) -> Result<bool, Error> {
        assert!(self.stage != Stage::Idle, "nothing is received without a connection");
        if self.stage == Stage::Preface && !self.receive_preface(input)? {
            return Ok(false);
        }
        // The frame borrows from the inbox while the rest of the session acts on it.
        let mut inbox = std::mem::take(&mut self.inbox);
        let heard = match inbox.next_frame(input, self.incoming_bytes_max()) {
            Ok(None) => Ok(false),
            Ok(Some(bytes)) => self.hear_bytes(bytes, on_event).map(|()| true),
            Err(violation) => Err(Error::Violation(violation)),
        };
        self.inbox = inbox;
        heard
    }

    fn receive_preface(&mut self, input: &mut &[u8]) -> Result<bool, Error> {
        let wanted = PREFACE_BYTES - self.preface_len;
        let (front, rest) = input.split_at(wanted.min(input.len()));
        self.preface[self.preface_len..][..front.len()].copy_from_slice(front);
        self.preface_len += front.len();
        *input = rest;
        let Some(server) = ServerPreface::decode(&self.preface[..self.preface_len])? else {
            return Ok(false);
        };
        let ours = ClientPreface::OURS;
        let apart = server.version_min > ours.version_max || server.version_max < ours.version_min;
        if server.code == Code::UnsupportedVersion.number() || apart {
            return Err(Error::Version { server_min: server.version_min, server_max: server.version_max });
        }
        if server.code != 0 {
            return Err(Error::Handshake(Refusal::from_number(server.code)));
        }
        self.stage = Stage::Greeting;
        Ok(true)
    }

    fn incoming_bytes_max(&self) -> u32 {
        if self.stage == Stage::Greeting {
            return HELLO_BYTES_MAX;
        }
        // A length prefix bounds the sum by itself.
        self.welcome.limits.frame_bytes_max.saturating_add(DELIVERY_BYTES_EXTRA)
    }

    fn hear_bytes(&mut self, bytes: &[u8], on_event: &mut dyn FnMut(Event<'_>)) -> Result<(), Error> {
        let Decoded { frame, extensions } = decode(bytes, Direction::ToClient)?;
        self.hear(frame, extensions, on_event)
    }

    /// Bytes for the broker.
    pub fn outgoing(&self) -> &[u8] {
        self.outgoing.pending()
    }

    /// The first `count` bytes of [`Session::outgoing`] are on their way.
    ///
    /// # Panics
    /// When there are not that many.
    pub fn advance(&mut self, count: usize) {
        self.outgoing.advance(count);
    }

    /// No command is accepted from here on: the client half-closes and waits for the broker to close.
    pub fn leave(&mut self) {
        if self.stage == Stage::Ready {
            self.stage = Stage::Leaving;
        }
    }

    /// The connection ended, or an attempt to make one failed: tells that, and what became of all that was in flight.
    pub fn end(&mut self, error: Error, reconnect_in: Option<Duration>, on_event: &mut dyn FnMut(Event<'_>)) {
        let welcomed = matches!(self.stage, Stage::Ready | Stage::Leaving);
        self.stage = Stage::Idle;
        self.inbox = Inbox::default();
        self.moving = None;
        self.calls_open = 0;
        let unsent = Unsent::count(&self.outgoing);
        self.outgoing.clear();
        on_event(if welcomed {
            Event::Disconnected { error, publishes_unsent: unsent.publishes, reconnect_in }
        } else {
            Event::ReconnectFailed { error, reconnect_in }
        });
        for subscription in self.subscriptions.disconnect() {
            on_event(Event::Unsubscribed { subscription, refusal: None });
        }
        self.publishes.end(unsent.acked, on_event);
        for request in self.requests.end_all() {
            let left = unsent.requests.binary_search(&request.0).is_err();
            let error = if left { Error::Unknown } else { Error::Disconnected };
            on_event(Event::Response { request, outcome: Err(error) });
        }
    }
}

/// What can be asked.
impl Session {
    /// Whether commands are accepted: connected, welcomed, and not leaving.
    pub const fn is_ready(&self) -> bool {
        matches!(self.stage, Stage::Ready)
    }

    /// Which connection this is, counted from 1.
    pub const fn connection(&self) -> u64 {
        self.connection
    }

    /// What the broker said in its latest welcome.
    pub const fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// The place behind which a subscription would go on, as [`Start::Resume`].
    pub fn place(&self, subscription: SubscriptionId) -> Option<Start> {
        self.subscriptions.place(subscription)
    }

    /// Whether the connection could end without leaving anything open: nothing to send, no publish without its ack, no
    /// request or call without its answer.
    pub fn is_settled(&self) -> bool {
        let waits = self.has_publishes_in_flight() || self.requests.in_flight() || self.calls_open > 0;
        self.outgoing().is_empty() && !waits
    }

    /// Whether publishes wait for their ack.
    pub fn has_publishes_in_flight(&self) -> bool {
        self.publishes.in_flight()
    }

    /// The GOAWAY that came since the last call.
    pub const fn take_moving(&mut self) -> Option<Moving> {
        self.moving.take()
    }
}

/// What certainly did not reach the broker.
#[derive(Default)]
struct Unsent {
    publishes: u64,
    acked: u64,
    /// Correlation ids, sorted.
    requests: Vec<u32>,
}

impl Unsent {
    fn count(outgoing: &Outgoing) -> Unsent {
        let mut unsent = Unsent::default();
        for bytes in outgoing.unsent_frames() {
            let decoded = decode(bytes, Direction::ToBroker).expect("the session's own frames decode");
            match decoded.frame {
                Frame::Publish(publish) => unsent.add_publish(publish.ack),
                Frame::PublishShort(publish) => unsent.add_publish(publish.ack),
                Frame::Request(request) => unsent.requests.push(request.correlation),
                _ => {}
            }
        }
        unsent.requests.sort_unstable();
        unsent
    }

    fn add_publish(&mut self, ack: AckLevel) {
        self.publishes += 1;
        self.acked += u64::from(ack != AckLevel::None);
    }
}

const UNEXPECTED: Error = Error::Violation(Violation(Code::UnexpectedFrame));

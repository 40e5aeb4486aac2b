//! What a connection speaks, whatever that is: one face for the shell.
//!
//! ```text
//!  first byte --F5--> Native        --A..Z--> Http --upgrade--> WebSocket
//!               other, too: it tells what it is not
//! ```
//!
//! A WebSocket of native frames is kept as what a native connection is, so that an idle one weighs no more.
//!
//! A connection has one session that its socket is written from ([`Gateway::session`]). An HTTP exchange that asks
//! something of the shard has another one for that, whose queue its gateway reads itself ([`Gateway::inner`]): the
//! shell calls [`Gateway::hear`] when there is something in it. A long poll's request is lent the poll's session for
//! it, which outlives the connection; where that session is another reactor's, the connection moves there
//! ([`Gateway::pack`]).

use crate::http::{Http, Luggage, Outcome};
use crate::json::Json;
use crate::native::goaway;
use crate::stats::Kind;
use crate::websocket::{Machine, WebSocket};
use crate::{Closing, Context, Native, Phase, Progress, Protocol, sniff};
use fanwire_core::{SessionId, Time};
use fanwire_wire::Code;

/// A connection's gateway. Most are many and idle: what only few have is in a box.
#[derive(Debug)]
pub enum Gateway {
    /// Fanwire's own protocol, as it is or in messages of a WebSocket, or nothing yet.
    Native(Native),
    /// HTTP, until it becomes something else.
    Http(Box<Http>),
    /// Objects of JSON in messages of a WebSocket.
    Json(Box<Json>),
    /// HTTP on its way to another reactor, where it goes on with the next bytes, be it none.
    Moving(Box<Moving>),
}

/// A connection between two reactors.
#[derive(Debug)]
pub struct Moving(Luggage);

impl Gateway {
    /// A connection that was accepted now.
    pub fn new(now: Time) -> Self {
        Gateway::Native(Native::new(now))
    }

    /// Takes bytes that were read. All of `input` is used or kept; what stands there afterwards means nothing.
    pub fn receive(&mut self, input: &mut [u8], context: &mut Context<'_>) -> Progress {
        if let Gateway::Native(native) = self
            && native.is_untouched()
            && begins_http(input)
        {
            *self = Gateway::Http(Box::new(Http::new(native.begun(), context)));
        }
        if let Gateway::Moving(moving) = self {
            let mut held = std::mem::take(&mut moving.0.held);
            held.extend_from_slice(input);
            *self = Gateway::Http(Box::new(Http::unpack(&moving.0, context)));
            return self.receive(&mut held, context);
        }
        match self {
            Gateway::Moving(_) => Progress::Idle,
            Gateway::Native(native) if native.is_in_messages() => WebSocket::of_native(native).receive(input, context),
            Gateway::Native(native) => native.receive(input, context),
            Gateway::Json(json) => WebSocket::of_json(json).receive(input, context),
            Gateway::Http(http) => match http.receive(input, context) {
                Outcome::Progress(progress) => progress,
                Outcome::Upgraded(machine, mut behind) => {
                    *self = match machine {
                        Machine::Native(native) => Gateway::Native(native),
                        Machine::Json(json) => Gateway::Json(Box::new(json)),
                    };
                    self.receive(&mut behind, context)
                }
            },
        }
    }

    /// The inner session has been sent something.
    pub fn hear(&mut self, context: &mut Context<'_>) -> Progress {
        match self {
            Gateway::Http(http) => http.hear(context),
            _ => Progress::Idle,
        }
    }

    /// Another request waits for the inner session in place of the one that did.
    pub fn give_way(&mut self, context: &mut Context<'_>) -> Progress {
        match self {
            Gateway::Http(http) => http.give_way(context),
            _ => Progress::Idle,
        }
    }

    /// Gives back what was lent to the connection and outlives it. Nothing more is done with it.
    pub fn let_go(&mut self, context: &mut Context<'_>) {
        if let Gateway::Http(http) = self {
            http.let_go(context);
        }
    }

    /// The reactor that it is to move to, once its session is flushed.
    pub const fn destination(&self) -> Option<u8> {
        match self {
            Gateway::Http(http) => http.destination(),
            _ => None,
        }
    }

    /// Makes a connection that has a destination one that has no session and can move.
    pub fn pack(&mut self, context: &mut Context<'_>) {
        if let Gateway::Http(http) = self {
            *self = Gateway::Moving(Box::new(Moving(http.pack(context))));
        }
    }

    /// Whether it has moved and was not received where it came to.
    pub const fn is_moving(&self) -> bool {
        matches!(self, Gateway::Moving(_))
    }

    /// When [`Gateway::expire`] has something to do, if nothing comes before.
    pub fn next_deadline(&self, settings: &crate::Settings) -> Option<Time> {
        match self {
            Gateway::Native(native) => native.next_deadline(settings),
            Gateway::Http(http) => http.next_deadline(settings),
            Gateway::Json(json) => json.next_deadline(settings),
            Gateway::Moving(_) => None,
        }
    }

    /// Acts on a deadline that has come; harmless when none has.
    pub fn expire(&mut self, context: &mut Context<'_>) -> Progress {
        match self {
            Gateway::Native(native) if native.is_in_messages() => WebSocket::of_native(native).expire(context),
            Gateway::Native(native) => native.expire(context),
            Gateway::Http(http) => http.expire(context),
            Gateway::Json(json) => WebSocket::of_json(json).expire(context),
            Gateway::Moving(_) => Progress::Idle,
        }
    }

    /// Ends the connection with a code: its session ends, and the code is the last thing the peer is told.
    pub fn close(&mut self, code: Code, context: &mut Context<'_>) -> Closing {
        match self {
            Gateway::Native(native) if native.is_in_messages() => WebSocket::of_native(native).close(code, context),
            Gateway::Native(native) => native.close(code, context),
            Gateway::Http(http) => http.close(code, context),
            Gateway::Json(json) => WebSocket::of_json(json).close(code, context),
            Gateway::Moving(_) => Closing { code, parting: None },
        }
    }

    /// The peer has ended its side. Returns whether it is still owed an answer, after which the gateway leaves by
    /// itself; if not, it departs now.
    pub fn end_input(&mut self) -> bool {
        match self {
            Gateway::Http(http) => http.end_input(),
            _ => false,
        }
    }

    /// The peer has ended its side: its session ends, and what was queued is still flushed. Returns whether it left
    /// in the middle of a frame.
    pub fn depart(&mut self, context: &mut Context<'_>) -> bool {
        match self {
            Gateway::Native(native) if native.is_in_messages() => WebSocket::of_native(native).depart(context),
            Gateway::Native(native) => native.depart(context),
            Gateway::Http(http) => http.depart(context),
            Gateway::Json(json) => WebSocket::of_json(json).depart(context),
            Gateway::Moving(_) => false,
        }
    }

    /// The broker goes down, and has told so: its session ends, with whatever its protocol ends with.
    pub fn say_farewell(&mut self, context: &mut Context<'_>) {
        match self {
            Gateway::Native(native) if native.is_in_messages() => {
                WebSocket::of_native(native).close(Code::Draining, context);
            }
            Gateway::Native(native) => drop(native.depart(context)),
            Gateway::Http(http) => drop(http.close(Code::Draining, context)),
            Gateway::Json(json) => drop(WebSocket::of_json(json).close(Code::Draining, context)),
            Gateway::Moving(_) => {}
        }
    }

    /// Tells a welcomed peer that the broker goes down, and when to come back.
    pub fn go_away(&mut self, reconnect_ms: (u32, u32), context: &mut Context<'_>) -> Progress {
        match self {
            Gateway::Native(native) => native.go_away(reconnect_ms, context),
            Gateway::Json(json) => json.go_away(&goaway(reconnect_ms), context),
            Gateway::Http(http) => return http.go_away(reconnect_ms, context),
            Gateway::Moving(_) => {}
        }
        Progress::Idle
    }

    /// The session that the socket is written from, once there is one.
    pub const fn session(&self) -> Option<SessionId> {
        match self {
            Gateway::Native(native) => native.session(),
            Gateway::Http(http) => Some(http.session()),
            Gateway::Json(json) => Some(json.session()),
            Gateway::Moving(_) => None,
        }
    }

    /// The session whose queue the gateway reads itself, if it has one.
    pub const fn inner(&self) -> Option<SessionId> {
        match self {
            Gateway::Http(http) => http.inner(),
            _ => None,
        }
    }

    /// Whether the peer was let in.
    pub fn is_open(&self) -> bool {
        match self {
            Gateway::Native(native) => native.phase() == Phase::Open,
            Gateway::Http(http) => http.is_open(),
            Gateway::Json(json) => json.is_open(),
            Gateway::Moving(_) => false,
        }
    }

    /// Whether what it holds waits for an answer that its peer was too early to go on behind: for nobody else's room.
    pub const fn is_ahead(&self) -> bool {
        match self {
            Gateway::Http(http) => http.is_ahead(),
            _ => false,
        }
    }

    /// Whether it goes on when all that is queued for its socket is written.
    pub const fn is_paused(&self) -> bool {
        match self {
            Gateway::Http(http) => http.is_paused(),
            _ => false,
        }
    }

    /// What it is, for those who count connections.
    pub const fn kind(&self) -> Kind {
        match self {
            Gateway::Native(native) if native.is_untouched() => Kind::Opening,
            Gateway::Native(native) if native.is_in_messages() => Kind::WebSocket,
            Gateway::Native(_) => Kind::Native,
            Gateway::Http(http) => http.kind(),
            Gateway::Json(_) => Kind::WebSocketJson,
            Gateway::Moving(_) => Kind::Poll,
        }
    }

    /// Bytes of what is not complete, or waits for the next turn.
    pub fn held_bytes(&self) -> usize {
        match self {
            Gateway::Native(native) => native.held_bytes(),
            Gateway::Http(http) => http.held_bytes(),
            Gateway::Json(json) => json.held_bytes(),
            Gateway::Moving(moving) => moving.0.held.len(),
        }
    }

    /// The first bytes of a peer that did not get beyond them, to guess what it speaks.
    pub fn first_bytes(&self) -> &[u8] {
        match self {
            Gateway::Native(native) => native.first_bytes(),
            _ => &[],
        }
    }
}

/// Whether a connection's first bytes are a method's. A lone `P` is taken for one: the PROXY protocol's line, which
/// begins so too, is not taken anyhow.
fn begins_http(input: &[u8]) -> bool {
    input.first().is_some_and(u8::is_ascii_uppercase) && sniff(input) != Some(Protocol::Proxy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Polls;
    use fanwire_core::Shard;

    #[test]
    fn a_request_whose_first_byte_comes_alone_is_one_and_a_proxy_line_is_none() {
        for (first_bytes, is_http) in
            [(&b"P"[..], true), (b"G", true), (b"PROXY TCP4 192.0.2.1", false), (b"\x16", false)]
        {
            let mut shard = Shard::new(fanwire_core::Settings::default(), crate::encodings(), Time::default());
            let settings = crate::Settings::default();
            let peer = std::net::Ipv4Addr::LOCALHOST.into();
            let (shard, settings, now) = (&mut shard, &settings, Time::default());
            let polls = &mut Polls::default();
            let mut context =
                Context { shard, polls, settings, now, wall_us: 0, connection_id: 1, peer, is_draining: false };
            let mut gateway = Gateway::new(now);
            gateway.receive(&mut first_bytes.to_vec(), &mut context);
            assert_eq!(matches!(gateway, Gateway::Http(_)), is_http, "{first_bytes:?}");
        }
    }

    #[test]
    fn what_every_idle_connection_pays_for_its_gateway_is_half_a_cache_line() {
        assert_eq!(size_of::<Gateway>(), 32);
        assert!(size_of::<Json>() <= 40, "and a WebSocket of JSON has little beside it");
    }
}

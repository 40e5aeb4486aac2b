//! What clients say, as values: encoded for the broker, and kept beside the bytes for the oracle, who is told of each
//! as the broker takes it in.

use fanwire_wire::frame::{
    AckLevel, Frame, Hello, Ping, Pong, Publish, PublishShort, Register, Reply, Request, Start, Subscribe, Unsubscribe,
};
use fanwire_wire::{ClientPreface, Code, Extension, Extensions};
use std::fmt;

/// The token of brokers that ask for one.
pub(crate) const TOKEN: &str = "s3cret";

/// A connection, in the order in which they were opened. Also the author that a payload names.
pub(crate) type Uid = u32;

/// One thing that a client says.
#[derive(Clone)]
pub(crate) enum Said {
    Preface,
    Hello {
        keep_alive_ms: u32,
        knows_token: bool,
    },
    Register {
        short_id: u16,
        topic: Vec<u8>,
    },
    Publish {
        to: Target,
        ack: AckLevel,
        body: Body,
    },
    Subscribe(Wish),
    Unsubscribe {
        subscription: u32,
    },
    Request {
        correlation: u32,
        deadline_ms: u32,
        topic: Vec<u8>,
        body: Body,
    },
    Reply {
        handle: u64,
        body: Body,
    },
    Ping {
        time: u64,
    },
    Pong {
        time: u64,
    },
    /// Bytes that break the protocol, and the code that says how.
    Breach {
        bytes: Vec<u8>,
        code: Code,
    },
}

#[derive(Clone)]
pub(crate) enum Target {
    Name(Vec<u8>),
    Short(u16),
}

#[derive(Clone)]
pub(crate) struct Wish {
    pub(crate) subscription: u32,
    pub(crate) filter: Vec<u8>,
    pub(crate) group: Vec<u8>,
    pub(crate) policy: fanwire_wire::frame::Policy,
    pub(crate) no_echo: bool,
    pub(crate) responder: bool,
    pub(crate) max_rate_hz: u16,
    pub(crate) start: Start,
}

/// Headers and payload that name their author and can be told from any other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) author: Uid,
    /// Counts what the author has written.
    pub(crate) serial: u32,
    pub(crate) headers_bytes: u32,
    pub(crate) payload_bytes: u32,
}

/// Bytes of a payload that names its author.
pub(crate) const PAYLOAD_BYTES_MIN: u32 = 8;

impl Body {
    pub(crate) fn headers(&self) -> Vec<u8> {
        vec![!(self.serial as u8); self.headers_bytes as usize]
    }

    pub(crate) fn payload(&self) -> Vec<u8> {
        let mut payload = Vec::with_capacity(self.payload_bytes as usize);
        payload.extend_from_slice(&self.author.to_le_bytes());
        payload.extend_from_slice(&self.serial.to_le_bytes());
        payload.resize(self.payload_bytes.max(PAYLOAD_BYTES_MIN) as usize, self.serial as u8 ^ self.author as u8);
        payload
    }

    /// Who wrote a payload, and which one of theirs it is.
    pub(crate) fn identity(payload: &[u8]) -> (Uid, u32) {
        let (author, rest) = payload.split_first_chunk::<4>().expect("every payload of a run names its author");
        let (serial, _) = rest.split_first_chunk::<4>().expect("every payload of a run has a number");
        (u32::from_le_bytes(*author), u32::from_le_bytes(*serial))
    }
}

impl Said {
    /// The bytes on the wire; with an extension that means nothing where `private` says so.
    pub(crate) fn encode(&self, private: Option<u8>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut area = Vec::new();
        if let Some(number) = private {
            Extensions::write(&mut area, &[Extension { number, critical: false, value: b"private" }]);
        }
        let extensions = Extensions::from_area(&area);
        match self {
            Said::Preface => out.extend_from_slice(&ClientPreface::OURS.encode()),
            Said::Breach { bytes, .. } => out.extend_from_slice(bytes),
            Said::Hello { keep_alive_ms, knows_token } => {
                let credentials = if *knows_token { TOKEN.as_bytes() } else { b"guess" };
                let keep_alive_ms = *keep_alive_ms;
                Frame::from(Hello { keep_alive_ms, client_name: "script", client_version: "1", credentials })
                    .encode_with(extensions, &mut out);
            }
            Said::Register { short_id, topic } => {
                Frame::from(Register { short_id: *short_id, topic }).encode_with(extensions, &mut out);
            }
            Said::Publish { to, ack, body } => {
                let (ack, headers, payload) = (*ack, &body.headers()[..], &body.payload()[..]);
                let frame: Frame<'_> = match to {
                    Target::Name(topic) => Publish { ack, topic, headers, payload }.into(),
                    Target::Short(short_id) => PublishShort { ack, short_id: *short_id, headers, payload }.into(),
                };
                frame.encode_with(extensions, &mut out);
            }
            Said::Subscribe(wish) => wish.frame().encode_with(extensions, &mut out),
            Said::Unsubscribe { subscription } => {
                Frame::from(Unsubscribe { subscription: *subscription }).encode_with(extensions, &mut out);
            }
            Said::Request { correlation, deadline_ms, topic, body } => {
                let (headers, payload) = (&body.headers()[..], &body.payload()[..]);
                let (correlation, deadline_ms) = (*correlation, *deadline_ms);
                Frame::from(Request { correlation, deadline_ms, topic, headers, payload })
                    .encode_with(extensions, &mut out);
            }
            Said::Reply { handle, body } => {
                let (headers, payload) = (&body.headers()[..], &body.payload()[..]);
                Frame::from(Reply { handle: *handle, headers, payload }).encode_with(extensions, &mut out);
            }
            Said::Ping { time } => Frame::from(Ping { time: *time }).encode_with(extensions, &mut out),
            Said::Pong { time } => {
                Frame::from(Pong { time: *time, clock_us: 0 }).encode_with(extensions, &mut out);
            }
        }
        out
    }
}

/// One line of a trace.
impl fmt::Debug for Said {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Preface => write!(out, "preface"),
            Said::Hello { keep_alive_ms, knows_token } => write!(out, "HELLO {keep_alive_ms} ms, token {knows_token}"),
            Said::Register { short_id, topic } => write!(out, "REGISTER {short_id} = \"{}\"", topic.escape_ascii()),
            Said::Publish { to: Target::Name(topic), ack, body } => {
                write!(out, "PUBLISH {body:?} to \"{}\", ack {ack:?}", topic.escape_ascii())
            }
            Said::Publish { to: Target::Short(short_id), ack, body } => {
                write!(out, "PUBLISH {body:?} to {short_id}, ack {ack:?}")
            }
            Said::Subscribe(wish) => write!(out, "SUBSCRIBE {wish:?}"),
            Said::Unsubscribe { subscription } => write!(out, "UNSUBSCRIBE {subscription}"),
            Said::Request { correlation, deadline_ms, topic, body } => {
                let topic = topic.escape_ascii();
                write!(out, "REQUEST {correlation} on \"{topic}\" within {deadline_ms} ms, {body:?}")
            }
            Said::Reply { handle, body } => write!(out, "REPLY {handle}, {body:?}"),
            Said::Ping { time } => write!(out, "PING {time}"),
            Said::Pong { time } => write!(out, "PONG {time}"),
            Said::Breach { bytes, code } => write!(out, "{bytes:02x?}, which is {code}"),
        }
    }
}

impl fmt::Debug for Wish {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (filter, group) = (self.filter.escape_ascii(), self.group.escape_ascii());
        write!(out, "{} \"{filter}\" in \"{group}\", {:?}", self.subscription, self.policy)?;
        let Wish { no_echo, responder, max_rate_hz, start, .. } = self;
        write!(out, ", no_echo {no_echo}, responder {responder}, {max_rate_hz} Hz, {start:?}")
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Body { author, serial, headers_bytes, payload_bytes } = self;
        write!(out, "{author}.{serial} ({headers_bytes}+{payload_bytes} bytes)")
    }
}

impl Wish {
    fn frame(&self) -> Frame<'_> {
        Subscribe {
            subscription: self.subscription,
            policy: self.policy,
            no_echo: self.no_echo,
            responder: self.responder,
            max_rate_hz: self.max_rate_hz,
            start: self.start,
            filter: &self.filter,
            group: &self.group,
        }
        .into()
    }
}

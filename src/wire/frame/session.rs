//! HELLO, WELCOME and ERROR: how a connection opens and how things are refused (protocol.md section 5.1).

use super::Body;
use crate::code::{Code, Retry, Violation};
use crate::codec::{Reader, Sink};
use crate::limits::{AGENT_BYTES_MAX, CREDENTIALS_BYTES_MAX, Limits, TEXT_BYTES_MAX};

/// The client introduces itself; the first frame, and only once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Hello<'a> {
    /// Milliseconds of silence after which the broker should ping; 0: never.
    pub keep_alive_ms: u32,
    /// What the client is, up to 64 bytes.
    pub client_name: &'a str,
    /// The client's own version, up to 64 bytes.
    pub client_version: &'a str,
    /// A token, up to 4 096 bytes; empty when the broker is open.
    pub credentials: &'a [u8],
}

/// Credentials never reach a log, not even through `{:?}`.
impl core::fmt::Debug for Hello<'_> {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter
            .debug_struct("Hello")
            .field("keep_alive_ms", &self.keep_alive_ms)
            .field("client_name", &self.client_name)
            .field("client_version", &self.client_version)
            .field("credentials", &format_args!("({} bytes)", self.credentials.len()))
            .finish()
    }
}

impl<'a> Body<'a> for Hello<'a> {
    fn read(reader: &mut Reader<'a>, _headers: &'a [u8]) -> Result<Self, Violation> {
        let hello = Hello {
            keep_alive_ms: reader.u32()?,
            client_name: reader.text(AGENT_BYTES_MAX)?,
            client_version: reader.text(AGENT_BYTES_MAX)?,
            credentials: reader.blob()?,
        };
        if hello.credentials.len() > CREDENTIALS_BYTES_MAX {
            return Err(Violation(Code::MalformedFrame));
        }
        Ok(hello)
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.keep_alive_ms);
        sink.blob(self.client_name.as_bytes());
        sink.blob(self.client_version.as_bytes());
        sink.blob(self.credentials);
    }
}

/// The broker accepts the client and tells it everything it may need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Welcome<'a> {
    /// The version spoken from here on.
    pub version: u8,
    /// Whether the broker asks nobody for credentials.
    pub open: bool,
    /// Whether the broker is going down already; GOAWAY follows.
    pub draining: bool,
    /// Names this connection in the broker's logs.
    pub connection_id: u64,
    /// The broker's clock, in microseconds since 1970-01-01 UTC.
    pub server_time_us: u64,
    /// The keep-alive granted, in milliseconds; 0: none.
    pub keep_alive_ms: u32,
    /// What this connection may do.
    pub limits: Limits,
    /// The broker's name and version, up to 64 bytes.
    pub server_name: &'a str,
}

const WELCOME_OPEN: u8 = 0x01;
const WELCOME_DRAINING: u8 = 0x02;

impl<'a> Body<'a> for Welcome<'a> {
    fn read(reader: &mut Reader<'a>, _headers: &'a [u8]) -> Result<Self, Violation> {
        let version = reader.u8()?;
        let flags = reader.u8()?;
        if flags & !(WELCOME_OPEN | WELCOME_DRAINING) != 0 {
            return Err(Violation(Code::ReservedBits));
        }
        Ok(Welcome {
            version,
            open: flags & WELCOME_OPEN != 0,
            draining: flags & WELCOME_DRAINING != 0,
            connection_id: reader.u64()?,
            server_time_us: reader.u64()?,
            keep_alive_ms: reader.u32()?,
            limits: read_limits(reader)?,
            server_name: reader.text(AGENT_BYTES_MAX)?,
        })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u8(self.version);
        sink.u8((u8::from(self.open) * WELCOME_OPEN) | (u8::from(self.draining) * WELCOME_DRAINING));
        sink.u64(self.connection_id);
        sink.u64(self.server_time_us);
        sink.u32(self.keep_alive_ms);
        write_limits(&self.limits, sink);
        sink.blob(self.server_name.as_bytes());
    }
}

fn read_limits(reader: &mut Reader<'_>) -> Result<Limits, Violation> {
    Ok(Limits {
        frame_bytes_max: reader.u32()?,
        headers_bytes_max: reader.u32()?,
        queue_bytes_max: reader.u32()?,
        subscriptions_max: reader.u32()?,
        requests_max: reader.u32()?,
        deadline_ms_max: reader.u32()?,
        short_ids_max: reader.u16()?,
        topic_bytes_max: reader.u16()?,
        topic_levels_max: reader.u8()?,
        filter_plus_max: reader.u8()?,
    })
}

fn write_limits(limits: &Limits, sink: &mut impl Sink) {
    sink.u32(limits.frame_bytes_max);
    sink.u32(limits.headers_bytes_max);
    sink.u32(limits.queue_bytes_max);
    sink.u32(limits.subscriptions_max);
    sink.u32(limits.requests_max);
    sink.u32(limits.deadline_ms_max);
    sink.u16(limits.short_ids_max);
    sink.u16(limits.topic_bytes_max);
    sink.u8(limits.topic_levels_max);
    sink.u8(limits.filter_plus_max);
}

/// What an ERROR is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Scope {
    /// The connection, which ends with this frame; the reference is 0.
    Connection = 0,
    /// A publish that asked for an ack; the reference is its publish number.
    Publish = 1,
    /// A publish that asked for none; the reference is 0.
    UnackedPublish = 2,
    /// A REGISTER; the reference is the short id.
    Register = 3,
    /// A SUBSCRIBE or UNSUBSCRIBE; the reference is the subscription id.
    Subscription = 4,
    /// A REPLY; the reference is the reply handle.
    Reply = 5,
}

impl Scope {
    const ALL: [Scope; 6] =
        [Scope::Connection, Scope::Publish, Scope::UnackedPublish, Scope::Register, Scope::Subscription, Scope::Reply];
}

/// ERROR: something was refused. Only with [`Scope::Connection`] does the connection end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal<'a> {
    /// What was refused.
    pub scope: Scope,
    /// The number of a [`Code`]; a later broker may send one this build does not know.
    pub code: u16,
    /// 0 never, 1 now, 2 after `retry_after_ms`; what to do even when the code is not known.
    pub retry_class: u8,
    /// Milliseconds to wait; 0 unless the class is 2.
    pub retry_after_ms: u32,
    /// Which one was refused; see [`Scope`].
    pub reference: u64,
    /// For people, up to 512 bytes; programs never parse it.
    pub text: &'a str,
}

impl<'a> Refusal<'a> {
    /// A refusal with the registry's retry class.
    pub const fn new(scope: Scope, code: Code, reference: u64, text: &'a str) -> Self {
        let retry = code.retry();
        Refusal {
            scope,
            code: code.number(),
            retry_class: retry.class(),
            retry_after_ms: retry.after_ms(),
            reference,
            text,
        }
    }

    /// The retry class as a value.
    pub const fn retry(&self) -> Retry {
        match self.retry_class {
            0 => Retry::Never,
            1 => Retry::Now,
            _ => Retry::After(self.retry_after_ms),
        }
    }
}

impl<'a> Body<'a> for Refusal<'a> {
    fn read(reader: &mut Reader<'a>, _headers: &'a [u8]) -> Result<Self, Violation> {
        let scope = reader.u8()?;
        let refusal = Refusal {
            scope: Scope::ALL.get(usize::from(scope)).copied().ok_or(Violation(Code::MalformedFrame))?,
            code: reader.u16()?,
            retry_class: reader.u8()?,
            retry_after_ms: reader.u32()?,
            reference: reader.u64()?,
            text: reader.text(TEXT_BYTES_MAX)?,
        };
        if refusal.retry_class > 2 || (refusal.retry_class != 2 && refusal.retry_after_ms != 0) {
            return Err(Violation(Code::MalformedFrame));
        }
        Ok(refusal)
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u8(self.scope as u8);
        sink.u16(self.code);
        sink.u8(self.retry_class);
        sink.u32(self.retry_after_ms);
        sink.u64(self.reference);
        sink.blob(self.text.as_bytes());
    }
}

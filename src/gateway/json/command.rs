//! A text taken apart: what a client wants.
//!
//! Parsing has two steps, since a text's fields may stand in any order: its type, which nearly always stands first and
//! is then only looked at, and the fields that this type has.

use super::content::read_base64;
use super::fields::{self, Block, Kind, Object, Text};
use super::malformed::Malformed;
use fanwire_core::{Command, Conditions, Target, command};
use fanwire_wire::frame::{self, AckLevel, Start};
use fanwire_wire::limits::{AGENT_BYTES_MAX, CREDENTIALS_BYTES_MAX};
use serde::Deserialize;
use std::borrow::Cow;
use std::fmt;

/// What a client has said. Whether it may say so at this moment is for the connection to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input<'a> {
    /// It introduces itself.
    Hello(Hello<'a>),
    /// It asks for a pong.
    Ping(frame::Ping),
    /// It lives.
    Pong,
    /// It publishes.
    Publish(Publish<'a>),
    /// Any other command.
    Command(Command<'a>),
}

impl Input<'_> {
    /// What the shard is to handle, if that is what it is.
    pub fn command(&self) -> Option<Command<'_>> {
        match self {
            Input::Publish(publish) => Some(publish.command()),
            Input::Command(command) => Some(*command),
            Input::Hello(_) | Input::Ping(_) | Input::Pong => None,
        }
    }
}

/// The first thing a client says.
#[derive(Clone, PartialEq, Eq)]
pub struct Hello<'a> {
    /// Empty without one.
    pub token: Cow<'a, str>,
    /// What the client is.
    pub client_name: Cow<'a, str>,
    /// Its own version.
    pub client_version: Cow<'a, str>,
    /// Milliseconds of silence after which the broker should ping; 0: never.
    pub keep_alive_ms: u32,
}

impl Hello<'_> {
    /// The same, as the native protocol has it.
    pub fn frame(&self) -> frame::Hello<'_> {
        frame::Hello {
            keep_alive_ms: self.keep_alive_ms,
            client_name: &self.client_name,
            client_version: &self.client_version,
            credentials: self.token.as_bytes(),
        }
    }
}

/// As the frame's: credentials never reach a log.
impl fmt::Debug for Hello<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frame().fmt(formatter)
    }
}

/// One message to be published, with the conditions that only a journal can check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// A topic name, not yet checked.
    pub topic: &'a [u8],
    /// The acknowledgement asked for.
    pub ack: AckLevel,
    /// The conditions.
    pub conditions: Conditions,
    /// The headers block; empty for none.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

impl Publish<'_> {
    /// What the shard is to handle.
    pub fn command(&self) -> Command<'_> {
        let Publish { topic, ack, conditions, headers, ref payload } = *self;
        let target = Target::Name(topic);
        if conditions.are_none() {
            return Command::Publish { target, ack, headers, payloads: std::slice::from_ref(payload) };
        }
        Command::PublishIf { target, ack, conditions, headers, payload }
    }
}

/// Holds what does not stand in a text as it is, for as long as what the text says is used: headers, base64, texts
/// with escapes. The caller lends it again and again.
#[derive(Debug, Default)]
pub struct Scratch {
    name: Vec<u8>,
    group: Vec<u8>,
    headers: Vec<u8>,
    payload: Vec<u8>,
}

/// Takes one text apart. Its length is for the caller to bound.
pub fn parse<'a>(text: &'a str, scratch: &'a mut Scratch) -> Result<Input<'a>, Malformed> {
    match kind_at_front(text) {
        Some(kind) => parse_as(kind, text, scratch),
        None => {
            let Kind { kind } = read(text)?;
            parse_as(&kind.0, text, scratch)
        }
    }
}

/// The type, if it stands first and has no escapes, as all types.
fn kind_at_front(text: &str) -> Option<&str> {
    let object = text.trim_ascii_start().strip_prefix('{')?;
    let value = object.trim_ascii_start().strip_prefix("\"type\"")?.trim_ascii_start().strip_prefix(':')?;
    let (kind, _) = value.trim_ascii_start().strip_prefix('"')?.split_once('"')?;
    (!kind.contains('\\')).then_some(kind)
}

fn parse_as<'a>(kind: &str, text: &'a str, scratch: &'a mut Scratch) -> Result<Input<'a>, Malformed> {
    match kind {
        "publish" => publish(read(text)?, scratch),
        "subscribe" => subscribe(read(text)?, scratch),
        "unsubscribe" => {
            let fields::Unsubscribe { subscription, .. } = read(text)?;
            Ok(Input::Command(Command::Unsubscribe { subscription }))
        }
        "request" => request(read(text)?, scratch),
        "reply" => reply(read(text)?, scratch),
        "hello" => hello(read(text)?),
        "ping" => {
            let fields::Ping { time, .. } = read(text)?;
            Ok(Input::Ping(frame::Ping { time: time.unwrap_or_default().0 }))
        }
        "pong" => read(text).map(|_: fields::Pong| Input::Pong),
        _ => Err(Malformed::new("type", "is none that a client may send")),
    }
}

fn read<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, Malformed> {
    let Object(fields) = serde_json::from_str(text).map_err(|error| Malformed::of(&error, text))?;
    Ok(fields)
}

fn hello<'a>(fields: fields::Hello<'a>) -> Result<Input<'a>, Malformed> {
    let bounded = |field, text: Option<Text<'a>>, bytes_max| {
        let text = text.map(|Text(text)| text).unwrap_or_default();
        if text.len() > bytes_max { Err(Malformed::new(field, "is too long")) } else { Ok(text) }
    };
    Ok(Input::Hello(Hello {
        token: bounded("token", fields.token, CREDENTIALS_BYTES_MAX)?,
        client_name: bounded("client_name", fields.client_name, AGENT_BYTES_MAX)?,
        client_version: bounded("client_version", fields.client_version, AGENT_BYTES_MAX)?,
        keep_alive_ms: fields.keep_alive_ms.unwrap_or(0),
    }))
}

fn publish<'a>(fields: fields::Publish<'a>, scratch: &'a mut Scratch) -> Result<Input<'a>, Malformed> {
    let Scratch { name, headers, payload, .. } = scratch;
    let conditions = fields::conditions(fields.expect, fields.producer);
    Ok(Input::Publish(Publish {
        topic: kept(fields.topic, name),
        ack: fields.ack.map_or(AckLevel::None, AckLevel::from),
        conditions: conditions.ok_or(Malformed::new("producer", "has a zero"))?,
        headers: headers_of(fields.headers, fields.headers_base64, headers)?,
        payload: payload_of(fields.payload, fields.payload_base64, payload)?,
    }))
}

fn subscribe<'a>(fields: fields::Subscribe<'a>, scratch: &'a mut Scratch) -> Result<Input<'a>, Malformed> {
    let Scratch { name, group, .. } = scratch;
    let start = fields.start.map_or(Some(Start::Live), fields::StartForm::start);
    Ok(Input::Command(Command::Subscribe(command::Subscribe {
        subscription: fields.subscription,
        filter: kept(fields.filter, name),
        group: fields.group.map_or(&[], |text| kept(text, group)),
        policy: fields.policy.map_or(frame::Policy::Disconnect, frame::Policy::from),
        no_echo: fields.no_echo.unwrap_or(false),
        responder: fields.responder.unwrap_or(false),
        max_rate_hz: fields.max_rate_hz.unwrap_or(0),
        start: start.ok_or(Malformed::new("start", "resumes behind a sequence or a position, one of them"))?,
    })))
}

fn request<'a>(fields: fields::Request<'a>, scratch: &'a mut Scratch) -> Result<Input<'a>, Malformed> {
    let Scratch { name, headers, payload, .. } = scratch;
    Ok(Input::Command(Command::Request {
        correlation: fields.correlation,
        deadline_ms: fields.deadline_ms,
        topic: kept(fields.topic, name),
        headers: headers_of(fields.headers, fields.headers_base64, headers)?,
        payload: payload_of(fields.payload, fields.payload_base64, payload)?,
    }))
}

fn reply<'a>(fields: fields::Reply<'a>, scratch: &'a mut Scratch) -> Result<Input<'a>, Malformed> {
    let Scratch { headers, payload, .. } = scratch;
    Ok(Input::Command(Command::Reply {
        handle: fields.handle.0,
        headers: headers_of(fields.headers, fields.headers_base64, headers)?,
        payload: payload_of(fields.payload, fields.payload_base64, payload)?,
    }))
}

/// The bytes of a text, where they stand or in the place that is lent.
fn kept<'a>(Text(text): Text<'a>, place: &'a mut Vec<u8>) -> &'a [u8] {
    match text {
        Cow::Borrowed(text) => text.as_bytes(),
        Cow::Owned(text) => {
            *place = text.into_bytes();
            place
        }
    }
}

fn payload_of<'a>(
    text: Option<Text<'a>>,
    base64: Option<Text<'a>>,
    place: &'a mut Vec<u8>,
) -> Result<&'a [u8], Malformed> {
    match (text, base64) {
        (Some(_), Some(_)) => Err(Malformed::new("payload_base64", "stands beside payload")),
        (None, Some(Text(base64))) => decoded("payload_base64", &base64, place),
        (Some(text), None) => Ok(kept(text, place)),
        (None, None) => Ok(&[]),
    }
}

fn headers_of<'a>(
    block: Option<Block>,
    base64: Option<Text<'a>>,
    place: &'a mut Vec<u8>,
) -> Result<&'a [u8], Malformed> {
    match (block, base64) {
        (Some(_), Some(_)) => Err(Malformed::new("headers_base64", "stands beside headers")),
        (None, Some(Text(base64))) => decoded("headers_base64", &base64, place),
        (Some(Block(block)), None) => {
            *place = block;
            Ok(place)
        }
        (None, None) => Ok(&[]),
    }
}

fn decoded<'a>(field: &'static str, base64: &str, place: &'a mut Vec<u8>) -> Result<&'a [u8], Malformed> {
    read_base64(base64, place).ok_or(Malformed::new(field, "is not base64"))?;
    Ok(place)
}

//! The forms of the fields, as serde reads them.
//!
//! Texts are borrowed from the input where they stand in it without escapes. Each form refuses what protocol.md does
//! not show, and a field that stands twice; fields that it does not know are passed over.

use super::content::PAIRS_MAX;
use fanwire_core::Conditions;
use fanwire_wire::Headers;
use fanwire_wire::frame::{AckLevel, Policy, Producer, Start};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer};

use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// The largest number that every reader of JSON keeps exactly.
pub(super) const NUMBER_MAX: u64 = (1 << 53) - 1;

/// A text.
#[derive(Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A whole number that every reader of JSON keeps exactly.
#[derive(Clone, Copy, Default)]
pub(super) struct Number(pub(super) u64);

/// By hand, since an error that a derived conversion gives comes too late to know its place.
impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_u64(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number below 2^53")
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Number, E> {
        if value <= NUMBER_MAX {
            Ok(Number(value))
        } else {
            Err(Error::invalid_value(Unexpected::Unsigned(value), &self))
        }
    }
}

/// An object; what serde derives would take an array of the fields' values as well.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData)).map(Object)
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

/// A headers block, from an object of texts.
pub(super) struct Block(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(BlockVisitor).map(Block)
    }
}

struct BlockVisitor;

impl<'de> Visitor<'de> for BlockVisitor {
    type Value = Vec<u8>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<u8>, A::Error> {
        let mut block = Vec::new();
        let mut names: SmallVec<[Cow<'de, str>; 8]> = SmallVec::new();
        while let Some((Text(name), Text(value))) = map.next_entry()? {
            if names.len() == PAIRS_MAX || names.contains(&name) {
                return Err(Error::custom("too many headers, or one twice"));
            }
            Headers::push(&mut block, &name, value.as_bytes());
            names.push(name);
        }
        Ok(block)
    }
}

/// The first look: what the text is.
#[derive(Deserialize)]
pub(super) struct Kind<'a> {
    #[serde(borrow, rename = "type")]
    pub(super) kind: Text<'a>,
}

#[derive(Deserialize)]
pub(super) struct Hello<'a> {
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    #[serde(borrow)]
    pub(super) token: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) client_name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) client_version: Option<Text<'a>>,
    pub(super) keep_alive_ms: Option<u32>,
}

#[derive(Deserialize)]
pub(super) struct Publish<'a> {
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    #[serde(borrow)]
    pub(super) topic: Text<'a>,
    pub(super) ack: Option<Level>,
    pub(super) expect: Option<Number>,
    pub(super) producer: Option<Object<ProducerFields>>,
    pub(super) headers: Option<Block>,
    #[serde(borrow)]
    pub(super) headers_base64: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) payload: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) payload_base64: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Subscribe<'a> {
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    pub(super) subscription: u32,
    #[serde(borrow)]
    pub(super) filter: Text<'a>,
    #[serde(borrow)]
    pub(super) group: Option<Text<'a>>,
    pub(super) policy: Option<PolicyName>,
    pub(super) no_echo: Option<bool>,
    pub(super) responder: Option<bool>,
    pub(super) max_rate_hz: Option<u16>,
    pub(super) start: Option<StartForm>,
}

#[derive(Deserialize)]
pub(super) struct Unsubscribe {
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    pub(super) subscription: u32,
}

#[derive(Deserialize)]
pub(super) struct Request<'a> {
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    pub(super) correlation: u32,
    pub(super) deadline_ms: u32,
    #[serde(borrow)]
    pub(super) topic: Text<'a>,
    pub(super) headers: Option<Block>,
    #[serde(borrow)]
    pub(super) headers_base64: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) payload: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) payload_base64: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Reply<'a> {
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    pub(super) handle: Number,
    pub(super) headers: Option<Block>,
    #[serde(borrow)]
    pub(super) headers_base64: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) payload: Option<Text<'a>>,
    #[serde(borrow)]
    pub(super) payload_base64: Option<Text<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Ping {
    #[serde(rename = "type")]
    _kind: IgnoredAny,
    pub(super) time: Option<Number>,
}

#[derive(Deserialize)]
pub(super) struct Pong {
    #[serde(rename = "type")]
    _kind: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    None,
    Routed,
    Journaled,
    Durable,
}

impl From<Level> for AckLevel {
    fn from(level: Level) -> AckLevel {
        match level {
            Level::None => AckLevel::None,
            Level::Routed => AckLevel::Routed,
            Level::Journaled => AckLevel::Journaled,
            Level::Durable => AckLevel::Durable,
        }
    }
}

#[derive(Deserialize)]
pub(super) struct ProducerFields {
    id: Number,
    sequence: Number,
}

/// What a publish asks of a journal; `None` for a producer that has a zero, which means nobody.
pub(super) fn conditions(expect: Option<Number>, producer: Option<Object<ProducerFields>>) -> Option<Conditions> {
    let producer = producer.map(|Object(fields)| Producer { id: fields.id.0, number: fields.sequence.0 });
    let is_named = producer.is_none_or(|producer| producer.id > 0 && producer.number > 0);
    is_named.then_some(Conditions { expect: expect.map(|Number(sequence)| sequence), producer })
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PolicyName {
    Disconnect,
    DropOldest,
    DropNewest,
    Conflate,
    CatchUp,
}

impl From<PolicyName> for Policy {
    fn from(policy: PolicyName) -> Policy {
        match policy {
            PolicyName::Disconnect => Policy::Disconnect,
            PolicyName::DropOldest => Policy::DropOldest,
            PolicyName::DropNewest => Policy::DropNewest,
            PolicyName::Conflate => Policy::Conflate,
            PolicyName::CatchUp => Policy::CatchUp,
        }
    }
}

/// Where a subscription starts: a word, or an object of one field.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum StartForm {
    Live,
    LastValue,
    First,
    Last(u32),
    Sequence(Number),
    Position(Number),
    #[serde(rename = "time_us")]
    Time(Number),
    Resume(Object<ResumeFields>),
}

#[derive(Deserialize)]
pub(super) struct ResumeFields {
    epoch: Number,
    sequence: Option<Number>,
    position: Option<Number>,
}

impl StartForm {
    /// `None` where it is not said behind what to resume, or said twice.
    pub(super) fn start(self) -> Option<Start> {
        Some(match self {
            StartForm::Live => Start::Live,
            StartForm::LastValue => Start::LastValue,
            StartForm::First => Start::First,
            StartForm::Last(count) => Start::Last { count },
            StartForm::Sequence(Number(sequence)) => Start::Sequence { sequence },
            StartForm::Position(Number(position)) => Start::Position { position },
            StartForm::Time(Number(time_us)) => Start::Time { time_us },
            StartForm::Resume(Object(ResumeFields { epoch, sequence, position })) => {
                let last = match (sequence, position) {
                    (Some(last), None) | (None, Some(last)) => last,
                    _ => return None,
                };
                Start::Resume { epoch: epoch.0, last: last.0 }
            }
        })
    }
}

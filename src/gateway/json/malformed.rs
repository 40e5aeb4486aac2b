//! What is wrong with a text, and in which field.
//!
//! Nothing of the text itself is repeated, neither a value nor a name that we don't have: it may be a token, or a
//! megabyte. The field is found by reading the names of the text up to where reading failed, once it has.

use super::fields::Text;
use fanwire_wire::{Code, Violation};
use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;
use std::fmt;

/// A text that is no object of a client's. It is the client's fault, and ends its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// Where it is, if it is in one place.
    pub field: Option<&'static str>,
    /// What it is.
    pub fault: &'static str,
}

/// Every field that an object of a client's may have.
const FIELDS: &[&str] = &[
    "type",
    "token",
    "client_name",
    "client_version",
    "keep_alive_ms",
    "topic",
    "payload",
    "payload_base64",
    "headers",
    "headers_base64",
    "ack",
    "expect",
    "producer",
    "subscription",
    "filter",
    "group",
    "policy",
    "no_echo",
    "responder",
    "max_rate_hz",
    "start",
    "correlation",
    "deadline_ms",
    "handle",
    "time",
];

impl Malformed {
    pub(super) const fn new(field: &'static str, fault: &'static str) -> Self {
        Malformed { field: Some(field), fault }
    }

    /// Why serde did not read the text.
    pub(super) fn of(error: &serde_json::Error, text: &str) -> Self {
        let field = field_at(place_of(error, text), text);
        let told = error.to_string();
        let named = |prefix: &str| told.strip_prefix(prefix)?.split('`').next();
        if let Some(missing) = named("missing field `") {
            return match field {
                Some(_) => Malformed { field, fault: "lacks a field of its own" },
                None => Malformed { field: known(missing), fault: "is missing" },
            };
        }
        if named("duplicate field `").is_some() {
            return Malformed { field, fault: "stands twice, or a field in it" };
        }
        match error.classify() {
            Category::Data => Malformed { field, fault: "has not the type, or the range, that it must have" },
            Category::Syntax | Category::Eof | Category::Io => Malformed { field, fault: "is not JSON" },
        }
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(formatter, "the field {field} {}", self.fault),
            None => write!(formatter, "the text {}", self.fault),
        }
    }
}

impl std::error::Error for Malformed {}

impl From<Malformed> for Violation {
    fn from(_: Malformed) -> Violation {
        Violation(Code::MalformedFrame)
    }
}

/// How many bytes of the text were read when the error came up.
fn place_of(error: &serde_json::Error, text: &str) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    text.floor_char_boundary(lines.map(str::len).sum::<usize>() + error.column())
}

/// The field of the outermost object in which a place lies; `None` in no field, or in one that we don't have.
fn field_at(place: usize, text: &str) -> Option<&'static str> {
    let mut field = None;
    let mut front = serde_json::Deserializer::from_str(text.get(..place)?);
    // What is wrong is known; that the front of a text is no whole text does not matter.
    let _ = front.deserialize_map(Names { last: &mut field });
    field
}

fn known(name: &str) -> Option<&'static str> {
    FIELDS.iter().find(|field| **field == name).copied()
}

/// Keeps the name that was read last, as long as the object is open.
struct Names<'f> {
    last: &'f mut Option<&'static str>,
}

impl<'de> Visitor<'de> for Names<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Text(name)) = map.next_key()? {
            *self.last = known(&name);
            map.next_value::<IgnoredAny>()?;
        }
        *self.last = None;
        Ok(())
    }
}

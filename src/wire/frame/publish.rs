//! REGISTER, PUBLISH, PUBLISH_SHORT and ACK (protocol.md section 5.3).

use super::{Body, Coded};
use crate::code::{Code, Violation};
use crate::codec::{Reader, Sink};

/// What an acknowledgement means: what the message has survived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum AckLevel {
    /// No acknowledgement; a refusal is told by an asynchronous ERROR.
    None = 0,
    /// Placed in the out-queue of every subscriber.
    Routed = 1,
    /// In the journal's page cache: survives the broker's process.
    Journaled = 2,
    /// Synced: survives the machine.
    Durable = 3,
}

impl AckLevel {
    /// All of them, the weakest first.
    pub const ALL: [AckLevel; 4] = [AckLevel::None, AckLevel::Routed, AckLevel::Journaled, AckLevel::Durable];

    /// The word for it, in every text.
    pub const fn name(self) -> &'static str {
        match self {
            AckLevel::None => "none",
            AckLevel::Routed => "routed",
            AckLevel::Journaled => "journaled",
            AckLevel::Durable => "durable",
        }
    }

    const fn from_bits(bits: u8) -> Result<AckLevel, Violation> {
        match bits {
            0 => Ok(AckLevel::None),
            1 => Ok(AckLevel::Routed),
            2 => Ok(AckLevel::Journaled),
            3 => Ok(AckLevel::Durable),
            _ => Err(Violation(Code::ReservedBits)),
        }
    }
}

/// Gives a topic a short id on this connection; a second REGISTER of the same id replaces the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Register<'a> {
    /// Below `short_ids_max`.
    pub short_id: u16,
    /// A topic name.
    pub topic: &'a [u8],
}

impl<'a> Body<'a> for Register<'a> {
    fn read(reader: &mut Reader<'a>, _headers: &'a [u8]) -> Result<Self, Violation> {
        Ok(Register { short_id: reader.u16()?, topic: reader.blob()? })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u16(self.short_id);
        sink.blob(self.topic);
    }
}

/// Publishes by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The acknowledgement asked for.
    pub ack: AckLevel,
    /// A topic name.
    pub topic: &'a [u8],
    /// The headers block; empty for none.
    pub headers: &'a [u8],
    /// The rest of the frame.
    pub payload: &'a [u8],
}

impl<'a> Body<'a> for Publish<'a> {
    fn read(reader: &mut Reader<'a>, headers: &'a [u8]) -> Result<Self, Violation> {
        Ok(Publish { ack: AckLevel::from_bits(reader.u8()?)?, topic: reader.blob()?, headers, payload: reader.rest() })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u8(self.ack as u8);
        sink.blob(self.topic);
        sink.bytes(self.payload);
    }

    fn headers(&self) -> &'a [u8] {
        self.headers
    }
}

/// Publishes by a registered short id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublishShort<'a> {
    /// The acknowledgement asked for.
    pub ack: AckLevel,
    /// An id this connection has registered.
    pub short_id: u16,
    /// The headers block; empty for none.
    pub headers: &'a [u8],
    /// The rest of the frame.
    pub payload: &'a [u8],
}

impl<'a> PublishShort<'a> {
    /// The frame of these bytes where they are this one at its barest, without headers and extensions: what brokers
    /// read most. `None` says nothing about them; `decode` finds out.
    #[inline]
    pub fn peek(frame: &'a [u8]) -> Option<Self> {
        let [Self::CODE, ack, low, high, payload @ ..] = frame else {
            return None;
        };
        let ack = AckLevel::from_bits(*ack).ok()?;
        Some(PublishShort { ack, short_id: u16::from_le_bytes([*low, *high]), headers: &[], payload })
    }
}

impl<'a> Body<'a> for PublishShort<'a> {
    fn read(reader: &mut Reader<'a>, headers: &'a [u8]) -> Result<Self, Violation> {
        Ok(PublishShort {
            ack: AckLevel::from_bits(reader.u8()?)?,
            short_id: reader.u16()?,
            headers,
            payload: reader.rest(),
        })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u8(self.ack as u8);
        sink.u16(self.short_id);
        sink.bytes(self.payload);
    }

    fn headers(&self) -> &'a [u8] {
        self.headers
    }
}

/// Acknowledges a range of publishes. Numbers count the publishes of this connection that asked for an ack, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// The number of the first publish of the range.
    pub first: u64,
    /// Publishes in the range, from 1.
    pub count: u32,
    /// What they have survived; never `None`.
    pub level: AckLevel,
    /// The sequence that the first got in its topic's journal; 0 without a journal.
    pub first_sequence: u64,
}

impl Body<'_> for Ack {
    fn read(reader: &mut Reader<'_>, _headers: &[u8]) -> Result<Self, Violation> {
        let ack = Ack {
            first: reader.u64()?,
            count: reader.u32()?,
            level: AckLevel::from_bits(reader.u8()?)?,
            first_sequence: reader.u64()?,
        };
        let range_fits = ack.first > 0 && ack.count > 0 && ack.first.checked_add(u64::from(ack.count)).is_some();
        if ack.level == AckLevel::None || !range_fits {
            return Err(Violation(Code::MalformedFrame));
        }
        Ok(ack)
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u64(self.first);
        sink.u32(self.count);
        sink.u8(self.level as u8);
        sink.u64(self.first_sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Decoded, Direction, Frame, decode};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_peek_sees_what_decoding_finds(
            kind in prop_oneof![Just(PublishShort::CODE), any::<u8>()],
            rest in proptest::collection::vec(any::<u8>(), 0..12),
        ) {
            let mut frame = std::vec![kind];
            frame.extend(rest);
            let decoded = decode(&frame, Direction::ToBroker);
            match PublishShort::peek(&frame) {
                Some(publish) => {
                    let extensions = Default::default();
                    prop_assert_eq!(decoded, Ok(Decoded { frame: Frame::from(publish), extensions }));
                }
                None => prop_assert!(kind != PublishShort::CODE || decoded.is_err()),
            }
        }
    }
}

//! The extensions of version 1: what each adds, and to which frames (protocol.md section 4.3).
//!
//! ```text
//!  PUBLISH, PUBLISH_SHORT   EXPECT     only behind this sequence          critical: who does not know it must refuse
//!                           PRODUCER   once for this producer and number  critical
//!  ERROR                    ACTUAL     the sequence that stands there
//!  ACK                      DUPLICATE  accepted before
//! ```
//!
//! Decoding checks them, so that what a frame brings along can be read without a second look: a length or a value
//! that the registry does not have is a malformed frame. On any other frame the same number is one that nobody knows.

use super::{Ack, Coded, Publish, PublishShort, Refusal};
use crate::code::{Code, Violation};
use crate::codec::{Reader, Sink};
use crate::extension::{CRITICAL, Extension, Extensions};

/// An extension's row in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExtensionKind {
    /// 1 to 95.
    pub number: u8,
    /// The name, as protocol.md spells it.
    pub name: &'static str,
    /// The kinds of the frames that it may stand in.
    pub frames: &'static [u8],
    /// Whether a receiver that does not know it must refuse the frame.
    pub critical: bool,
    /// Bytes of its value.
    pub value_bytes: usize,
}

/// The number of EXPECT: the value is the topic's last sequence that the publisher knows of, 0 for an empty topic.
pub const EXPECT: u8 = 1;
/// The number of PRODUCER: the value is the producer's id, then its number of this publish; neither is 0.
pub const PRODUCER: u8 = 2;
/// The number of ACTUAL: the value is the topic's last sequence, which was not the expected one.
pub const ACTUAL: u8 = 3;
/// The number of DUPLICATE: no value; the journal had accepted these publishes before.
pub const DUPLICATE: u8 = 4;

const PUBLISHES: &[u8] = &[Publish::CODE, PublishShort::CODE];

/// The extensions that version 1 knows, in the order of their numbers.
pub const EXTENSIONS: &[ExtensionKind] = &[
    ExtensionKind { number: EXPECT, name: "EXPECT", frames: PUBLISHES, critical: true, value_bytes: 8 },
    ExtensionKind { number: PRODUCER, name: "PRODUCER", frames: PUBLISHES, critical: true, value_bytes: 16 },
    ExtensionKind { number: ACTUAL, name: "ACTUAL", frames: &[Refusal::CODE], critical: false, value_bytes: 8 },
    ExtensionKind { number: DUPLICATE, name: "DUPLICATE", frames: &[Ack::CODE], critical: false, value_bytes: 0 },
];

/// Who publishes, however often it connects, and which publish of its own this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Producer {
    /// Chosen by the publisher once and for all; never 0.
    pub id: u64,
    /// From 1, one more with each new publish, the same when it is sent again; never 0.
    pub number: u64,
}

/// What a PUBLISH or PUBLISH_SHORT may ask of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PublishExtensions {
    /// Accept it only if this is the topic's last sequence; 0: only if the topic has no record yet.
    pub expect: Option<u64>,
    /// Accept it only once.
    pub producer: Option<Producer>,
}

impl PublishExtensions {
    /// Whether nothing is asked.
    pub const fn is_empty(&self) -> bool {
        self.expect.is_none() && self.producer.is_none()
    }

    /// The area that asks it.
    pub fn area(&self) -> Area {
        let mut area = Area::default();
        if let Some(expect) = self.expect {
            area.begin(EXPECT | CRITICAL, 8);
            area.u64(expect);
        }
        if let Some(producer) = self.producer {
            area.begin(PRODUCER | CRITICAL, 16);
            area.u64(producer.id);
            area.u64(producer.number);
        }
        area
    }
}

impl Extensions<'static> {
    /// The area of an ACK of duplicates.
    pub const OF_DUPLICATES: Extensions<'static> = Extensions::from_area(&[DUPLICATE, 0]);
}

/// What decoding has checked. Each is for the frames that the registry names with it.
impl Extensions<'_> {
    /// What a publish asks of a journal.
    pub fn publish(self) -> PublishExtensions {
        PublishExtensions { expect: self.value(EXPECT).and_then(number_of), producer: self.producer() }
    }

    /// The topic's last sequence, in the ERROR of a publish that expected another one.
    pub fn actual(self) -> Option<u64> {
        self.value(ACTUAL).and_then(number_of)
    }

    /// Whether an ACK is one of duplicates.
    pub fn is_duplicate(self) -> bool {
        self.value(DUPLICATE).is_some()
    }

    fn producer(self) -> Option<Producer> {
        let mut reader = Reader::new(self.value(PRODUCER)?);
        Some(Producer { id: reader.u64().ok()?, number: reader.u64().ok()? })
    }
}

fn number_of(value: &[u8]) -> Option<u64> {
    Reader::new(value).u64().ok()
}

/// Refuses what a frame of this kind can't carry: a known extension in another form, a critical one that is unknown.
pub(super) fn check(frame: u8, extensions: Extensions<'_>) -> Result<(), Violation> {
    for extension in extensions.iter() {
        let known = EXTENSIONS.iter().find(|kind| kind.number == extension.number && kind.frames.contains(&frame));
        match known {
            Some(kind) if !has_form_of(&extension, kind) => return Err(Violation(Code::MalformedFrame)),
            None if extension.critical => return Err(Violation(Code::UnknownCriticalExtension)),
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn has_form_of(extension: &Extension<'_>, kind: &ExtensionKind) -> bool {
    let is_zero = |half: &[u8]| half.iter().all(|byte| *byte == 0);
    extension.critical == kind.critical
        && extension.value.len() == kind.value_bytes
        && (kind.number != PRODUCER || !extension.value.chunks(8).any(is_zero))
}

/// Bytes of the largest area that version 1 knows: EXPECT and PRODUCER.
const AREA_BYTES_MAX: usize = 28;

/// An extension area of version 1, without a buffer of its own.
#[derive(Debug, Clone, Copy, Default)]
pub struct Area {
    bytes: [u8; AREA_BYTES_MAX],
    length: usize,
}

impl Area {
    /// The area of an ERROR that tells the topic's last sequence.
    pub fn of_actual(sequence: u64) -> Area {
        let mut area = Area::default();
        area.begin(ACTUAL, 8);
        area.u64(sequence);
        area
    }

    /// As frames take it.
    pub fn extensions(&self) -> Extensions<'_> {
        Extensions::from_area(self.bytes.get(..self.length).unwrap_or_default())
    }

    fn begin(&mut self, kind: u8, value_bytes: u8) {
        self.u8(kind);
        self.u8(value_bytes);
    }
}

impl Sink for Area {
    fn bytes(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        let room = self.bytes.get_mut(self.length..end);
        room.into_iter().for_each(|room| room.copy_from_slice(bytes));
        self.length = end;
        assert!(end <= AREA_BYTES_MAX, "the area is as large as all that can stand in it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{AckLevel, Direction, Frame, Ping, Scope, decode};
    use proptest::prelude::*;
    use std::vec::Vec;

    fn read(frame: Frame<'_>, extensions: Extensions<'_>, towards: Direction) -> PublishExtensions {
        let mut bytes = Vec::new();
        frame.encode_with(extensions, &mut bytes);
        decode(&bytes[1..], towards).unwrap().extensions.publish()
    }

    proptest! {
        #[test]
        fn what_a_publish_asks_comes_across(
            expect in proptest::option::of(any::<u64>()),
            producer in proptest::option::of((1..=u64::MAX, 1..=u64::MAX)),
        ) {
            let producer = producer.map(|(id, number)| Producer { id, number });
            let asked = PublishExtensions { expect, producer };
            let publish = PublishShort { ack: AckLevel::None, short_id: 7, headers: &[], payload: b"x" };
            prop_assert_eq!(read(publish.into(), asked.area().extensions(), Direction::ToBroker), asked);
            prop_assert_eq!(asked.is_empty(), asked.area().extensions().is_empty());
        }
    }

    #[test]
    fn what_the_broker_tells_comes_across() {
        let mut bytes = Vec::new();
        let refusal = Refusal::new(Scope::Publish, Code::Conflict, 3, "");
        refusal.encode_with(Area::of_actual(41).extensions(), &mut bytes);
        assert_eq!(decode(&bytes[1..], Direction::ToClient).unwrap().extensions.actual(), Some(41));
        bytes.clear();
        let ack = Ack { first: 1, count: 1, level: AckLevel::Durable, first_sequence: 9 };
        ack.encode_with(Extensions::OF_DUPLICATES, &mut bytes);
        assert!(decode(&bytes[1..], Direction::ToClient).unwrap().extensions.is_duplicate());
    }

    #[test]
    fn a_known_extension_has_one_form_and_is_unknown_elsewhere() {
        let told = |frame: Frame<'_>, number, critical, value: &[u8]| {
            let (mut area, mut bytes) = (Vec::new(), Vec::new());
            Extensions::write(&mut area, &[Extension { number, critical, value }]);
            frame.encode_with(Extensions::from_area(&area), &mut bytes);
            decode(&bytes[1..], Direction::ToBroker).map(|decoded| decoded.extensions.publish())
        };
        let publish: Frame<'_> = Publish { ack: AckLevel::None, topic: b"a", headers: &[], payload: b"" }.into();
        let malformed = Err(Violation(Code::MalformedFrame));
        for value in [&[0; 7][..], &[0; 9], &[]] {
            assert_eq!(told(publish, EXPECT, true, value), malformed);
        }
        assert_eq!(told(publish, EXPECT, false, &[0; 8]), malformed, "nobody may skip it");
        let halves = [[[1; 8], [0; 8]], [[0; 8], [1; 8]]];
        halves.iter().for_each(|halves| assert_eq!(told(publish, PRODUCER, true, &halves.concat()), malformed));
        let ping = Ping { time: 1 }.into();
        let unknown = Err(Violation(Code::UnknownCriticalExtension));
        assert_eq!(told(ping, EXPECT, true, &[0; 8]), unknown);
        assert!(told(ping, EXPECT, false, &[0; 3]).is_ok(), "a number that means nothing there");
        assert_eq!(told(publish, DUPLICATE, true, &[]), unknown);
    }

    #[test]
    fn numbers_rise_from_one() {
        for (index, kind) in EXTENSIONS.iter().enumerate() {
            assert_eq!(usize::from(kind.number), index + 1);
        }
    }
}

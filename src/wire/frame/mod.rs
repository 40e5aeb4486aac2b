//! Frames: what stands between two length prefixes (protocol.md sections 4 and 5).
//!
//! ```text
//!  length varint | kind u8 | body ... | [extensions]
//!                  |||
//!                  ||+-- bits 0-5: the kind, a row of KINDS
//!                  |+--- bit 6: an extension area ends the frame
//!                  +---- bit 7: a headers block stands before the payload (only kinds that carry a message)
//! ```
//!
//! One file a family; each frame is a struct with `read` (may refuse) and `write` (cannot). A `&'a [u8]` called
//! `topic`, `filter` or `group` is as it came: the grammar of names is checked by who acts on them, since the
//! commonest names are known already and need no second look.

mod extended;
mod liveness;
mod message;
mod publish;
mod request;
mod session;
mod subscribe;

pub use extended::{ACTUAL, Area, DUPLICATE, EXPECT, EXTENSIONS, ExtensionKind, PRODUCER, Producer, PublishExtensions};
pub use liveness::{Goaway, Ping, Pong};
pub use message::{History, Message, MessageGroup, MessageNamed, Record, RecordNamed};
pub use publish::{Ack, AckLevel, Publish, PublishShort, Register};
pub use request::{Call, Reply, Request, Response};
pub use session::{Hello, Refusal, Scope, Welcome};
pub use subscribe::{CaughtUp, Cursor, Gap, Outcome, Policy, Start, Subscribe, Subscribed, Unsubscribe, Unsubscribed};

use crate::code::{Code, Violation};
use crate::codec::{Counter, Reader, Sink, split_varint};
use crate::extension::Extensions;
use alloc::vec::Vec;

const KIND_MASK: u8 = 0x3F;
const EXTENDED: u8 = 0x40;
const HEADED: u8 = 0x80;

/// Which way a frame travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client to the broker.
    ToBroker,
    /// From the broker to the client.
    ToClient,
    /// Either way.
    Both,
}

/// A row of the table of kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameKind {
    /// Bits 0 to 5 of the kind byte.
    pub code: u8,
    /// The name, as protocol.md spells it.
    pub name: &'static str,
    /// Who may send it.
    pub direction: Direction,
    /// Whether bit 7 may announce a headers block.
    pub carries_headers: bool,
}

/// One frame's layout.
trait Body<'a>: Sized {
    fn read(reader: &mut Reader<'a>, headers: &'a [u8]) -> Result<Self, Violation>;
    fn write(&self, sink: &mut impl Sink);
    /// The headers block, for the kinds that carry one.
    fn headers(&self) -> &'a [u8] {
        &[]
    }
}

/// A frame's place in the table of kinds.
trait Coded {
    const CODE: u8;
}

macro_rules! frames {
    ($($code:literal $variant:ident $name:literal $direction:ident $headers:literal: $body:ty;)+) => {
        /// The kinds of version 1, in the order of their codes.
        pub const KINDS: &[FrameKind] = &[$(FrameKind {
            code: $code,
            name: $name,
            direction: Direction::$direction,
            carries_headers: $headers,
        }),+];

        /// Any frame.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "each variant is the struct of the same name")]
        pub enum Frame<'a> {
            $($variant($body),)+
        }

        impl<'a> Frame<'a> {
            /// The row of [`KINDS`] this frame belongs to.
            pub fn kind(&self) -> FrameKind {
                let code = self.code();
                // Codes are dense from 1; a test holds that.
                KINDS.iter().copied().find(|kind| kind.code == code).unwrap_or(FrameKind {
                    code,
                    name: "?",
                    direction: Direction::Both,
                    carries_headers: false,
                })
            }

            const fn code(&self) -> u8 {
                match self {
                    $(Frame::$variant(_) => $code,)+
                }
            }

            /// Appends the frame with its length prefix and an extension area.
            ///
            /// # Panics
            /// When the frame passes 2^28 - 1 bytes: whoever made it had a limit to keep.
            pub fn encode_with(&self, extensions: Extensions<'_>, out: &mut Vec<u8>) {
                match self {
                    $(Frame::$variant(body) => encode(body, extensions, out),)+
                }
            }

            /// The value of the length prefix with an extension area: bytes after it.
            pub fn length_with(&self, extensions: Extensions<'_>) -> usize {
                match self {
                    $(Frame::$variant(body) => length_of(body, extensions),)+
                }
            }

            fn read_body(code: u8, reader: &mut Reader<'a>, headers: &'a [u8]) -> Result<Self, Violation> {
                match code {
                    $($code => Ok(Frame::$variant(<$body>::read(reader, headers)?)),)+
                    _ => Err(Violation(Code::UnknownFrame)),
                }
            }
        }

        $(impl<'a> From<$body> for Frame<'a> {
            fn from(body: $body) -> Self {
                Frame::$variant(body)
            }
        }

        impl<'a> Coded for $body {
            const CODE: u8 = $code;
        }

        impl<'a> $body {
            /// Appends the frame with its length prefix.
            ///
            /// # Panics
            /// When the frame passes 2^28 - 1 bytes: whoever made it had a limit to keep.
            #[inline]
            pub fn encode(&self, out: &mut Vec<u8>) {
                encode(self, Extensions::default(), out);
            }

            /// Appends the frame with its length prefix and an extension area.
            ///
            /// # Panics
            /// As [`Self::encode`].
            pub fn encode_with(&self, extensions: Extensions<'_>, out: &mut Vec<u8>) {
                encode(self, extensions, out);
            }
        })+
    };
}

frames! {
    0x01 Hello "HELLO" ToBroker false: Hello<'a>;
    0x02 Welcome "WELCOME" ToClient false: Welcome<'a>;
    0x03 Ping "PING" Both false: Ping;
    0x04 Pong "PONG" Both false: Pong;
    0x05 Error "ERROR" ToClient false: Refusal<'a>;
    0x06 Goaway "GOAWAY" ToClient false: Goaway<'a>;
    0x07 Register "REGISTER" ToBroker false: Register<'a>;
    0x08 Publish "PUBLISH" ToBroker true: Publish<'a>;
    0x09 PublishShort "PUBLISH_SHORT" ToBroker true: PublishShort<'a>;
    0x0A Ack "ACK" ToClient false: Ack;
    0x0B Subscribe "SUBSCRIBE" ToBroker false: Subscribe<'a>;
    0x0C Subscribed "SUBSCRIBED" ToClient false: Subscribed;
    0x0D Unsubscribe "UNSUBSCRIBE" ToBroker false: Unsubscribe;
    0x0E Unsubscribed "UNSUBSCRIBED" ToClient false: Unsubscribed;
    0x0F CaughtUp "CAUGHT_UP" ToClient false: CaughtUp;
    0x10 Cursor "CURSOR" ToClient false: Cursor;
    0x11 Gap "GAP" ToClient false: Gap;
    0x12 Message "MESSAGE" ToClient true: Message<'a>;
    0x13 MessageNamed "MESSAGE_NAMED" ToClient true: MessageNamed<'a>;
    0x14 MessageGroup "MESSAGE_GROUP" ToClient true: MessageGroup<'a>;
    0x15 Record "RECORD" ToClient true: Record<'a>;
    0x16 RecordNamed "RECORD_NAMED" ToClient true: RecordNamed<'a>;
    0x17 History "HISTORY" ToClient true: History<'a>;
    0x18 Request "REQUEST" ToBroker true: Request<'a>;
    0x19 Call "CALL" ToClient true: Call<'a>;
    0x1A Reply "REPLY" ToBroker true: Reply<'a>;
    0x1B Response "RESPONSE" ToClient true: Response<'a>;
}

/// A frame and the extensions it came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decoded<'a> {
    /// The frame.
    pub frame: Frame<'a>,
    /// Its extensions: the critical ones are known, and the known ones have the form that the registry says.
    pub extensions: Extensions<'a>,
}

/// Decodes what stands behind a length prefix: kind, body, extensions. `towards` is the way the bytes travelled.
pub fn decode(bytes: &[u8], towards: Direction) -> Result<Decoded<'_>, Violation> {
    let (&kind_byte, body) = bytes.split_first().ok_or(Violation(Code::EmptyFrame))?;
    let code = kind_byte & KIND_MASK;
    let kind =
        usize::from(code).checked_sub(1).and_then(|index| KINDS.get(index)).ok_or(Violation(Code::UnknownFrame))?;
    if kind.direction != Direction::Both && kind.direction != towards {
        return Err(Violation(Code::UnexpectedFrame));
    }
    if kind_byte & HEADED != 0 && !kind.carries_headers {
        return Err(Violation(Code::ReservedBits));
    }
    let (body, extensions) =
        if kind_byte & EXTENDED == 0 { (body, Extensions::default()) } else { Extensions::split(body)? };
    let mut reader = Reader::new(body);
    let headers = if kind_byte & HEADED == 0 { &[][..] } else { read_headers(&mut reader)? };
    let frame = Frame::read_body(code, &mut reader, headers)?;
    reader.finish()?;
    if !extensions.is_empty() {
        extended::check(code, extensions)?;
    }
    Ok(Decoded { frame, extensions })
}

/// "A frame whose headers block is empty does not set the bit."
fn read_headers<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Violation> {
    let headers = reader.blob()?;
    if headers.is_empty() { Err(Violation(Code::MalformedFrame)) } else { Ok(headers) }
}

impl Frame<'_> {
    /// Appends the frame with its length prefix.
    ///
    /// # Panics
    /// When the frame passes 2^28 - 1 bytes: whoever made it had a limit to keep.
    pub fn encode(&self, out: &mut Vec<u8>) {
        self.encode_with(Extensions::default(), out);
    }

    /// The value of the length prefix: bytes after it.
    pub fn length(&self) -> usize {
        self.length_with(Extensions::default())
    }
}

/// Appends a frame with its length prefix.
#[inline]
fn encode<'a>(body: &(impl Body<'a> + Coded), extensions: Extensions<'_>, out: &mut Vec<u8>) {
    let length = length_of(body, extensions);
    out.reserve(length + 4);
    out.varint(u32::try_from(length).unwrap_or(u32::MAX));
    write(body, extensions, out);
}

#[inline]
fn length_of<'a>(body: &(impl Body<'a> + Coded), extensions: Extensions<'_>) -> usize {
    let mut counter = Counter::default();
    write(body, extensions, &mut counter);
    counter.0
}

#[inline]
fn write<'a, B: Body<'a> + Coded>(body: &B, extensions: Extensions<'_>, sink: &mut impl Sink) {
    let headers = body.headers();
    let mut kind_byte = B::CODE;
    if !headers.is_empty() {
        kind_byte |= HEADED;
    }
    if !extensions.is_empty() {
        kind_byte |= EXTENDED;
    }
    sink.u8(kind_byte);
    if !headers.is_empty() {
        sink.blob(headers);
    }
    body.write(sink);
    extensions.encode(sink);
}

/// The first frame of `bytes`: the bytes behind its length prefix, and how many bytes both take together. `None`
/// when more bytes are needed. Bounds are checked before anything is waited for.
pub fn split_frame(bytes: &[u8], frame_bytes_max: u32) -> Result<Option<(&[u8], usize)>, Violation> {
    let Some((length, prefix)) = split_varint(bytes)? else {
        return Ok(None);
    };
    if length == 0 {
        return Err(Violation(Code::EmptyFrame));
    }
    if length > frame_bytes_max {
        return Err(Violation(Code::FrameTooLarge));
    }
    let end = prefix + length as usize;
    Ok(bytes.get(prefix..end).map(|frame| (frame, end)))
}

/// Bytes of the length prefix of a frame of this length.
pub(crate) fn prefix_size(length: usize) -> usize {
    let mut counter = Counter::default();
    counter.varint(u32::try_from(length).unwrap_or(u32::MAX));
    counter.0
}

/// Bytes that a first frame takes, prefix included, once its prefix is there; for whoever has to gather it.
pub(crate) fn first_frame_size(bytes: &[u8]) -> Option<usize> {
    let (length, prefix) = split_varint(bytes).ok()??;
    Some(prefix + length as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_dense_from_one_and_named_once() {
        for (index, kind) in KINDS.iter().enumerate() {
            assert_eq!(usize::from(kind.code), index + 1);
            assert!(kind.code <= KIND_MASK);
            assert_eq!(KINDS.iter().filter(|other| other.name == kind.name).count(), 1, "{}", kind.name);
        }
    }

    #[test]
    fn a_live_message_by_id_costs_six_bytes_and_a_record_fourteen() {
        let payload = [0; 64];
        let mut out = Vec::new();
        Frame::from(Message { topic_id: u32::MAX, headers: &[], payload: &payload }).encode(&mut out);
        assert_eq!(out.len(), 64 + 6);
        out.clear();
        Frame::from(Record { topic_id: u32::MAX, sequence: u64::MAX, headers: &[], payload: &payload })
            .encode(&mut out);
        assert_eq!(out.len(), 64 + 14);
    }

    #[test]
    fn a_frame_that_travels_the_wrong_way_is_unexpected() {
        let mut out = Vec::new();
        Frame::from(Ping { time: 7 }).encode(&mut out);
        assert!(decode(&out[1..], Direction::ToBroker).is_ok());
        assert!(decode(&out[1..], Direction::ToClient).is_ok());
        out.clear();
        Frame::from(Unsubscribe { subscription: 1 }).encode(&mut out);
        assert_eq!(decode(&out[1..], Direction::ToClient), Err(Violation(Code::UnexpectedFrame)));
    }

    #[test]
    fn an_oversize_length_is_refused_before_its_bytes_arrive() {
        assert_eq!(split_frame(&[0xFF, 0xFF, 0xFF, 0x7F], 1024), Err(Violation(Code::FrameTooLarge)));
        assert_eq!(split_frame(&[0], 1024), Err(Violation(Code::EmptyFrame)));
        assert_eq!(split_frame(&[5, 1, 2], 1024), Ok(None));
        assert_eq!(split_frame(&[2, 3, 4, 9], 1024), Ok(Some((&[3, 4][..], 3))));
    }
}

//! How a WebSocket ends: close codes, what a client did wrong, and the close frame (RFC 6455 section 7).
//!
//! ```text
//!  Code (why the broker parts) --.
//!                                 >-- Farewell --> close frame: 1013, "SLOW_CONSUMER 17"
//!  Breach (of RFC 6455 itself) --'
//!  close frame of the peer ---------------------> the same code back
//! ```
//!
//! Close codes are coarse: a program reads the name and number in the reason.

use super::frame::{CONTROL_BYTES_MAX, Opcode, encode_control};
use fanwire_wire::Code;

/// A code that may stand in a close frame (RFC 6455 section 7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CloseCode(u16);

impl CloseCode {
    /// Everything is said (RFC 6455 section 7.4.1).
    pub const NORMAL: CloseCode = CloseCode(1000);
    /// The server goes down, or the page is left (RFC 6455 section 7.4.1).
    pub const GOING_AWAY: CloseCode = CloseCode(1001);
    /// The peer broke the protocol (RFC 6455 section 7.4.1).
    pub const PROTOCOL_ERROR: CloseCode = CloseCode(1002);
    /// A kind of message that is not taken here (RFC 6455 section 7.4.1).
    pub const UNACCEPTABLE_KIND: CloseCode = CloseCode(1003);
    /// A message is not what it says it is (RFC 6455 section 7.4.1).
    pub const INVALID_DATA: CloseCode = CloseCode(1007);
    /// What the peer wants, or does, is not allowed (RFC 6455 section 7.4.1).
    pub const POLICY: CloseCode = CloseCode(1008);
    /// A message is too big (RFC 6455 section 7.4.1).
    pub const TOO_LARGE: CloseCode = CloseCode(1009);
    /// The server can't do what it should (RFC 6455 section 7.4.1).
    pub const INTERNAL_ERROR: CloseCode = CloseCode(1011);
    /// Too much at the moment: come again later (registered as RFC 6455 section 11.7 says).
    pub const TRY_AGAIN_LATER: CloseCode = CloseCode(1013);

    /// The code with this number, if it may be sent: those that are defined and not only for reports, those that
    /// libraries register, and private ones (RFC 6455 sections 7.4.1, 7.4.2).
    pub const fn from_number(number: u16) -> Option<CloseCode> {
        match number {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Some(CloseCode(number)),
            _ => None,
        }
    }

    /// The number on the wire (RFC 6455 section 7.4).
    pub const fn number(self) -> u16 {
        self.0
    }

    /// What a WebSocket is closed with when the broker parts for this reason (RFC 6455 section 7.4.1).
    pub const fn of(code: Code) -> CloseCode {
        match code {
            // What a message holds can't be understood.
            Code::BadMagic
            | Code::MalformedFrame
            | Code::NonCanonicalVarint
            | Code::EmptyFrame
            | Code::UnknownFrame
            | Code::ReservedBits
            | Code::UnknownCriticalExtension
            | Code::InvalidTopic
            | Code::InvalidFilter
            | Code::InvalidGroup => CloseCode::INVALID_DATA,
            // It can be understood, and must not come here.
            Code::UnsupportedVersion
            | Code::UnexpectedFrame
            | Code::UnknownShortId
            | Code::UnknownReplyHandle
            | Code::DuplicateCorrelation
            | Code::DuplicateSubscription
            | Code::UnknownSubscription
            | Code::ShortIdOutOfRange
            | Code::DeadlineOutOfRange => CloseCode::PROTOCOL_ERROR,
            Code::FrameTooLarge | Code::HeadersTooLarge | Code::RecordTooLarge => CloseCode::TOO_LARGE,
            Code::HandshakeTimeout
            | Code::FrameTimeout
            | Code::KeepAliveTimeout
            | Code::BadCredentials
            | Code::ReservedTopic
            | Code::AckLevelUnavailable
            | Code::Conflict
            | Code::ProducerTooOld
            | Code::StartUnavailable
            | Code::PolicyUnavailable
            | Code::RateUnavailable => CloseCode::POLICY,
            Code::TooManyConnections
            | Code::TooManyFromAddress
            | Code::SlowConsumer
            | Code::QueueOverflow
            | Code::PartialFrameOverflow
            | Code::JournalFull
            | Code::TooManyTopics
            | Code::TooManySubscriptions
            | Code::RetentionOvertaken
            | Code::NoResponders
            | Code::DeadlineExceeded
            | Code::ResponderGone
            | Code::TooManyRequests
            | Code::RespondersBusy => CloseCode::TRY_AGAIN_LATER,
            Code::Draining => CloseCode::GOING_AWAY,
            Code::JournalFailed | Code::JournalUnavailable | Code::HistoryFailed => CloseCode::INTERNAL_ERROR,
        }
    }
}

/// How a client broke RFC 6455. The connection fails with it (RFC 6455 section 7.1.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breach {
    /// A frame is not masked (RFC 6455 section 5.1).
    Unmasked,
    /// A bit is set that only an extension could use (RFC 6455 section 5.2).
    ReservedBits,
    /// No frame has this opcode (RFC 6455 section 5.2).
    ReservedOpcode,
    /// A length does not stand in its shortest form, or is 2^63 or more (RFC 6455 section 5.2).
    LengthNotMinimal,
    /// A control frame says that more of it follows (RFC 6455 section 5.5).
    FragmentedControl,
    /// A control frame is longer than 125 bytes (RFC 6455 section 5.5).
    LongControl,
    /// A continuation of no message (RFC 6455 section 5.4).
    NothingToContinue,
    /// A message begins while another one is not complete (RFC 6455 section 5.4).
    MessageInMessage,
    /// A close frame with half a code (RFC 6455 section 5.5.1).
    CloseOfOneByte,
    /// A close code that must not be sent (RFC 6455 section 7.4).
    IllegalCloseCode,
    /// Text that is not UTF-8 (RFC 6455 section 8.1).
    InvalidText,
    /// The reason in a close frame is not UTF-8 (RFC 6455 sections 5.5.1, 8.1).
    InvalidReason,
    /// A message that was made smaller does not come out of it (RFC 7692 section 7.2.2).
    InvalidDeflate,
    /// A message is longer than the broker takes (RFC 6455 section 10.4).
    MessageTooLarge,
}

impl Breach {
    /// What the WebSocket is closed with (RFC 6455 section 7.4.1).
    pub const fn close_code(self) -> CloseCode {
        match self {
            Breach::InvalidText | Breach::InvalidReason | Breach::InvalidDeflate => CloseCode::INVALID_DATA,
            Breach::MessageTooLarge => CloseCode::TOO_LARGE,
            _ => CloseCode::PROTOCOL_ERROR,
        }
    }

    /// The broker's own code for it: what logs, counters and the close frame's reason name (RFC 6455 section 7.1.6).
    pub const fn code(self) -> Code {
        match self {
            Breach::ReservedBits => Code::ReservedBits,
            Breach::ReservedOpcode => Code::UnknownFrame,
            Breach::NothingToContinue | Breach::MessageInMessage => Code::UnexpectedFrame,
            Breach::MessageTooLarge => Code::FrameTooLarge,
            Breach::Unmasked
            | Breach::LengthNotMinimal
            | Breach::FragmentedControl
            | Breach::LongControl
            | Breach::CloseOfOneByte
            | Breach::IllegalCloseCode
            | Breach::InvalidText
            | Breach::InvalidReason
            | Breach::InvalidDeflate => Code::MalformedFrame,
        }
    }
}

/// The last that a peer is told (RFC 6455 section 7.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Farewell {
    /// The close frame's code.
    pub close_code: CloseCode,
    /// Named in the close frame's reason.
    pub code: Code,
}

impl Farewell {
    /// Appends the close frame (RFC 6455 section 5.5.1).
    pub fn encode(self, out: &mut Vec<u8>) {
        encode_close(self.close_code, &format!("{} {}", self.code.name(), self.code.number()), out);
    }
}

impl From<Code> for Farewell {
    fn from(code: Code) -> Self {
        Farewell { close_code: CloseCode::of(code), code }
    }
}

impl From<Breach> for Farewell {
    fn from(breach: Breach) -> Self {
        Farewell { close_code: breach.close_code(), code: breach.code() }
    }
}

/// Appends the answer to a peer's close frame: the same code, or as little as it said (RFC 6455 section 5.5.1).
pub fn encode_close_answer(code: Option<CloseCode>, out: &mut Vec<u8>) {
    match code {
        Some(code) => encode_close(code, "", out),
        None => encode_control(Opcode::Close, &[], out),
    }
}

/// Appends a close frame (RFC 6455 section 5.5.1).
///
/// # Panics
///
/// If the reason is longer than 123 bytes.
pub fn encode_close(code: CloseCode, reason: &str, out: &mut Vec<u8>) {
    assert!(reason.len() <= CONTROL_BYTES_MAX - 2, "a reason of {} bytes", reason.len());
    let payload = [&code.number().to_be_bytes(), reason.as_bytes()].concat();
    encode_control(Opcode::Close, &payload, out);
}

/// What a close frame says (RFC 6455 sections 5.5.1, 7.1.5, 7.1.6).
pub(super) fn decode_close(payload: &[u8]) -> Result<(Option<CloseCode>, &str), Breach> {
    let Some((number, reason)) = payload.split_first_chunk() else {
        return if payload.is_empty() { Ok((None, "")) } else { Err(Breach::CloseOfOneByte) };
    };
    let code = CloseCode::from_number(u16::from_be_bytes(*number)).ok_or(Breach::IllegalCloseCode)?;
    let reason = str::from_utf8(reason).map_err(|_| Breach::InvalidReason)?;
    Ok((Some(code), reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame_of(farewell: impl Into<Farewell>) -> Vec<u8> {
        let mut out = Vec::new();
        farewell.into().encode(&mut out);
        out
    }

    #[test]
    fn the_close_frame_names_the_code() {
        assert_eq!(frame_of(Code::SlowConsumer), b"\x88\x12\x03\xF5SLOW_CONSUMER 17");
        assert_eq!(frame_of(Breach::InvalidText), b"\x88\x13\x03\xEFMALFORMED_FRAME 3");
    }

    #[test]
    fn every_code_fits_a_close_frame_that_may_be_sent() {
        for code in Code::ALL {
            let frame = frame_of(*code);
            let (close_code, reason) = decode_close(&frame[2..]).unwrap();
            assert_eq!(close_code, Some(CloseCode::of(*code)));
            assert_eq!(reason, format!("{} {}", code.name(), code.number()));
        }
    }

    #[test]
    fn the_reasons_of_a_parting_have_the_close_codes_that_programs_expect() {
        let close_code = |code| CloseCode::of(code).number();
        assert_eq!(close_code(Code::UnexpectedFrame), 1002);
        assert_eq!(close_code(Code::MalformedFrame), 1007);
        assert_eq!(close_code(Code::FrameTooLarge), 1009);
        assert_eq!(close_code(Code::Draining), 1001);
        for overload in [Code::SlowConsumer, Code::QueueOverflow, Code::PartialFrameOverflow, Code::TooManyConnections]
        {
            assert_eq!(close_code(overload), 1013, "{overload}");
        }
        for policy in [Code::BadCredentials, Code::HandshakeTimeout, Code::KeepAliveTimeout] {
            assert_eq!(close_code(policy), 1008, "{policy}");
        }
    }

    #[test]
    fn an_answer_says_as_much_as_the_peer_did() {
        let mut out = Vec::new();
        encode_close_answer(Some(CloseCode::NORMAL), &mut out);
        encode_close_answer(None, &mut out);
        assert_eq!(out, b"\x88\x02\x03\xE8\x88\x00");
    }

    #[test]
    fn only_codes_that_may_be_sent_are_codes() {
        let legal: Vec<u16> = (0..=u16::MAX).filter(|number| CloseCode::from_number(*number).is_some()).collect();
        let expected: Vec<u16> = (1000..=1003).chain(1007..=1014).chain(3000..=4999).collect();
        assert_eq!(legal, expected);
    }
}

//! Bytes that break the protocol, each with the code that says how (protocol.md section 4.4).

use crate::random::Random;
use crate::said::Said;
use fanwire_wire::Code;

/// Something that is wrong whatever the connection's state, once it is open.
pub(crate) fn wrong_bytes(random: &mut Random) -> Said {
    let wrong: [(&[u8], Code); 12] = [
        (&[0x00], Code::EmptyFrame),
        (&[0x89, 0x00], Code::NonCanonicalVarint),
        (&[0x80, 0x80, 0x80, 0x80], Code::NonCanonicalVarint),
        (&[0x81, 0x40], Code::FrameTooLarge),
        (&[0x01, 0x00], Code::UnknownFrame),
        (&[0x01, 0x1C], Code::UnknownFrame),
        // MESSAGE from a client, PING with headers, PING that is too short, PING with an empty extension area.
        (&[0x05, 0x12, 9, 0, 0, 0], Code::UnexpectedFrame),
        (&[0x09, 0x83, 7, 0, 0, 0, 0, 0, 0, 0], Code::ReservedBits),
        (&[0x02, 0x03, 7], Code::MalformedFrame),
        (&[0x0B, 0x43, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0], Code::MalformedFrame),
        (&[0x0D, 0x43, 7, 0, 0, 0, 0, 0, 0, 0, 0xE0, 0, 2, 0], Code::UnknownCriticalExtension),
        // PUBLISH with a reserved bit in its ack level.
        (&[0x05, 0x08, 0x04, 1, b'a', b'x'], Code::ReservedBits),
    ];
    breach(*random.pick(&wrong))
}

/// A first word that is not a preface of this protocol.
pub(crate) fn wrong_preface(random: &mut Random) -> Said {
    let wrong: [(&[u8], Code); 5] = [
        (b"GET / HTTP/1.1\r\n\r\n", Code::BadMagic),
        (b"\xF5FWX", Code::BadMagic),
        (b"\xF5FWR\x02\x09\0\0", Code::UnsupportedVersion),
        (b"\xF5FWR\x00\x01\0\0", Code::UnsupportedVersion),
        (b"\xF5FWR\x01\x01\0\x01", Code::ReservedBits),
    ];
    breach(*random.pick(&wrong))
}

fn breach((bytes, code): (&[u8], Code)) -> Said {
    Said::Breach { bytes: bytes.to_vec(), code }
}

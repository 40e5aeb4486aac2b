//! Frames of a WebSocket: the header that stands before each payload, and the mask over it (RFC 6455 section 5).
//!
//! ```text
//!  | FIN RSV RSV RSV opcode(4) | MASK length(7) | length 16 or 64, big-endian | key(4) | payload ... |
//!    1   0   0   0               1 in, 0 out      behind 126        behind 127  in only
//! ```
//!
//! Out: headers of 2, 4 or 10 bytes, of whole messages only, since what is rendered is complete. A payload whose length
//! is not known is rendered behind the room that a guess needs; only a wrong guess moves it, by 2 to 8 bytes.
//!
//! In: a header is judged byte by byte, in order, so that the same stream fails in the same way however it is cut.

use super::closing::Breach;

/// Bytes of the longest header that a client can send (RFC 6455 section 5.2).
pub const CLIENT_HEADER_BYTES_MAX: usize = 14;
/// Bytes of the longest header that a server can send (RFC 6455 section 5.2).
pub const SERVER_HEADER_BYTES_MAX: usize = 10;
/// Bytes of a control frame's payload (RFC 6455 section 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;

/// The bit of the first byte that says: the last fragment of its message.
const FINAL: u8 = 0x80;
/// The bits of the first byte that only extensions use.
const RESERVED: u8 = 0x70;
/// The one of them that says: this message was made smaller (RFC 7692 section 6).
const DEFLATED: u8 = 0x40;
/// The bit of the second byte that says: masked.
const MASKED: u8 = 0x80;
/// What stands in the second byte when the length follows in two bytes, or in eight.
const LENGTH_OF_16_BITS: u8 = 126;
const LENGTH_OF_64_BITS: u8 = 127;

/// What a frame is (RFC 6455 sections 5.2, 11.8).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// More of the message that an earlier frame began.
    Continuation = 0x0,
    /// A message of UTF-8, or its beginning.
    Text = 0x1,
    /// A message of bytes, or its beginning.
    Binary = 0x2,
    /// The last frame of its sender.
    Close = 0x8,
    /// Asks for a pong.
    Ping = 0x9,
    /// Answers a ping, or is a sign of life that nobody asked for.
    Pong = 0xA,
}

impl Opcode {
    /// The opcode with this number; the others are reserved (RFC 6455 section 5.2).
    pub const fn from_number(number: u8) -> Option<Opcode> {
        Some(match number {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return None,
        })
    }

    /// The number on the wire (RFC 6455 section 5.2).
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Whether it is about the connection and may stand between fragments (RFC 6455 section 5.5).
    pub const fn is_control(self) -> bool {
        self.number() & 0x8 != 0
    }
}

/// Appends the header of a whole message whose payload has this length and follows (RFC 6455 section 5.2).
#[inline]
pub fn encode_header(opcode: Opcode, payload_bytes: usize, out: &mut Vec<u8>) {
    encode_header_of(FINAL | opcode.number(), payload_bytes, out);
}

/// The same of a message that was made smaller (RFC 7692 section 6).
pub fn encode_deflated_header(opcode: Opcode, payload_bytes: usize, out: &mut Vec<u8>) {
    encode_header_of(FINAL | DEFLATED | opcode.number(), payload_bytes, out);
}

#[inline]
fn encode_header_of(first: u8, payload_bytes: usize, out: &mut Vec<u8>) {
    if let Ok(length) = u8::try_from(payload_bytes)
        && length < LENGTH_OF_16_BITS
    {
        out.extend_from_slice(&[first, length]);
    } else if let Ok(length) = u16::try_from(payload_bytes) {
        let [high, low] = length.to_be_bytes();
        out.extend_from_slice(&[first, LENGTH_OF_16_BITS, high, low]);
    } else {
        out.extend_from_slice(&long_header(first, payload_bytes));
    }
}

/// Appends a whole message around what `render` appends (RFC 6455 section 5.2). The guess of its length costs nothing
/// when its header is as long as that of the real length, which a guess of the right magnitude is: below 126 bytes,
/// below 64 KiB, beyond.
///
/// # Panics
///
/// If `render` takes away what stood in `out` before it.
#[inline]
pub fn encode_message(opcode: Opcode, guess_bytes: usize, out: &mut Vec<u8>, render: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    encode_header(opcode, guess_bytes, out);
    let guessed = out.len() - begin;
    render(out);
    assert!(out.len() >= begin + guessed, "rendering appends");
    let payload_bytes = out.len() - begin - guessed;
    if header_bytes(payload_bytes) != guessed {
        move_payload(begin + guessed, begin + header_bytes(payload_bytes), out);
    }
    write_length(payload_bytes, out.get_mut(begin..).unwrap_or_default());
}

/// The payload of the message that [`encode_message`] made at the front of these bytes, and what stands behind it.
pub fn split_message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let ([_, kind], rest) = bytes.split_first_chunk()?;
    let (payload_bytes, rest) = match *kind {
        LENGTH_OF_16_BITS => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from(u16::from_be_bytes(*length)), rest)
        }
        LENGTH_OF_64_BITS => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*length), rest)
        }
        short => (u64::from(short), rest),
    };
    rest.split_at_checked(usize::try_from(payload_bytes).ok()?)
}

/// Appends a control frame (RFC 6455 section 5.5).
///
/// # Panics
///
/// If the payload is longer than [`CONTROL_BYTES_MAX`].
pub fn encode_control(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    assert!(opcode.is_control() && payload.len() <= CONTROL_BYTES_MAX, "{opcode:?} of {} bytes", payload.len());
    encode_header(opcode, payload.len(), out);
    out.extend_from_slice(payload);
}

/// How long the header of a server's frame is (RFC 6455 section 5.2).
#[inline]
pub const fn header_bytes(payload_bytes: usize) -> usize {
    match payload_bytes {
        0..=125 => 2,
        126..=0xFFFF => 4,
        _ => SERVER_HEADER_BYTES_MAX,
    }
}

fn long_header(first: u8, payload_bytes: usize) -> [u8; SERVER_HEADER_BYTES_MAX] {
    let [a, b, c, d, e, f, g, h] = (payload_bytes as u64).to_be_bytes();
    [first, LENGTH_OF_64_BITS, a, b, c, d, e, f, g, h]
}

/// Makes the payload at the end begin elsewhere, because its header turned out longer or shorter than guessed.
#[cold]
fn move_payload(from: usize, to: usize, out: &mut Vec<u8>) {
    let end = out.len();
    if to > from {
        out.resize(end + (to - from), 0);
    }
    out.copy_within(from..end, to);
    out.truncate(to + (end - from));
}

/// Writes the length into a header that has the room for it; its first byte stands already.
#[inline]
fn write_length(payload_bytes: usize, frame: &mut [u8]) {
    match header_bytes(payload_bytes) {
        2 => {
            if let Some([_, length]) = frame.first_chunk_mut() {
                *length = payload_bytes as u8;
            }
        }
        4 => {
            if let Some([_, kind, high, low]) = frame.first_chunk_mut() {
                *kind = LENGTH_OF_16_BITS;
                [*high, *low] = (payload_bytes as u16).to_be_bytes();
            }
        }
        _ => {
            if let Some(header) = frame.first_chunk_mut() {
                *header = long_header(header[0], payload_bytes);
            }
        }
    }
}

/// The header of a client's frame (RFC 6455 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Whether its message ends with it.
    pub is_final: bool,
    /// What it is.
    pub opcode: Opcode,
    /// Whether it begins a message that was made smaller (RFC 7692 section 6).
    pub is_deflated: bool,
    /// How long its payload is: below 2^63.
    pub payload_bytes: u64,
    /// What lies over the payload.
    pub mask: Mask,
}

impl Header {
    /// Reads a header off the front: itself, and the bytes it took; `None` when more are needed (RFC 6455 sections 5.1,
    /// 5.2, 5.5).
    #[inline]
    pub fn decode(bytes: &[u8]) -> Result<Option<(Header, usize)>, Breach> {
        Header::decode_with(false, bytes)
    }

    /// The same where messages may have been made smaller (RFC 7692 section 6).
    #[inline]
    pub fn decode_with(takes_deflated: bool, bytes: &[u8]) -> Result<Option<(Header, usize)>, Breach> {
        let Some((first, rest)) = bytes.split_first() else { return Ok(None) };
        let (is_final, is_deflated, opcode) = decode_first(takes_deflated, *first)?;
        let Some((second, rest)) = rest.split_first() else { return Ok(None) };
        if second & MASKED == 0 {
            return Err(Breach::Unmasked);
        }
        let length = second & !MASKED;
        if opcode.is_control() && usize::from(length) > CONTROL_BYTES_MAX {
            return Err(Breach::LongControl);
        }
        let Some((payload_bytes, rest)) = decode_length(length, rest)? else { return Ok(None) };
        let Some((key, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let header = Header { is_final, opcode, is_deflated, payload_bytes, mask: Mask::new(*key) };
        Ok(Some((header, bytes.len() - rest.len())))
    }
}

#[inline]
fn decode_first(takes_deflated: bool, first: u8) -> Result<(bool, bool, Opcode), Breach> {
    let is_deflated = first & RESERVED != 0;
    if is_deflated && !(takes_deflated && begins_deflated(first)) {
        return Err(Breach::ReservedBits);
    }
    let opcode = Opcode::from_number(first & 0x0F).ok_or(Breach::ReservedOpcode)?;
    let is_final = first & FINAL != 0;
    if opcode.is_control() && !is_final {
        return Err(Breach::FragmentedControl);
    }
    Ok((is_final, is_deflated, opcode))
}

/// Whether the reserved bits say that the message was made smaller which this byte begins; of control frames and
/// continuations none says so (RFC 7692 section 6).
fn begins_deflated(first: u8) -> bool {
    let begins_message = matches!(Opcode::from_number(first & 0x0F), Some(Opcode::Text | Opcode::Binary));
    begins_message && first & RESERVED == DEFLATED
}

/// The length and what follows it; `None` when more bytes are needed. It must stand in the shortest form.
#[inline]
fn decode_length(length: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Breach> {
    let (value, least, rest) = match length {
        LENGTH_OF_16_BITS => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from(u16::from_be_bytes(*bytes)), u64::from(LENGTH_OF_16_BITS), rest)
        }
        LENGTH_OF_64_BITS => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            (u64::from_be_bytes(*bytes), 1 << 16, rest)
        }
        _ => (u64::from(length), 0, rest),
    };
    if value < least || value > i64::MAX as u64 {
        return Err(Breach::LengthNotMinimal);
    }
    Ok(Some((value, rest)))
}

/// The mask over a payload, from the byte on that comes next (RFC 6455 section 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask([u8; 4]);

impl Mask {
    /// The mask of a frame with this key, from its first byte on (RFC 6455 section 5.3).
    pub const fn new(key: [u8; 4]) -> Self {
        Mask(key)
    }

    /// Takes the mask off the payload's next bytes, or lays it on: it is the same (RFC 6455 section 5.3).
    #[inline]
    pub fn apply(&mut self, bytes: &mut [u8]) {
        let Mask(key) = *self;
        let [a, b, c, d] = key;
        let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let (words, rest) = bytes.as_chunks_mut();
        for word in words {
            *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
        }
        let (half, rest) = rest.as_chunks_mut();
        for half in half {
            *half = (u32::from_ne_bytes(*half) ^ u32::from_ne_bytes(key)).to_ne_bytes();
        }
        for (byte, mask) in rest.iter_mut().zip(key) {
            *byte ^= mask;
        }
        self.0.rotate_left(bytes.len() % 4);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTHS: [usize; 11] = [0, 1, 2, 124, 125, 126, 127, 0xFFFE, 0xFFFF, 0x1_0000, 0x1_0001];

    fn header_of(payload_bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        encode_header(Opcode::Binary, payload_bytes, &mut out);
        out
    }

    /// RFC 6455 section 5.7: the examples that a server sends, as far as they are not fragments.
    #[test]
    fn the_headers_of_the_rfc_s_examples() {
        let mut out = Vec::new();
        encode_message(Opcode::Text, 0, &mut out, |out| out.extend_from_slice(b"Hello"));
        encode_control(Opcode::Ping, b"Hello", &mut out);
        assert_eq!(out, b"\x81\x05Hello\x89\x05Hello");
        assert_eq!(header_of(256), [0x82, 0x7E, 0x01, 0x00]);
        assert_eq!(header_of(65_536), [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_message_is_the_same_whatever_its_length_was_guessed_to_be() {
        for payload_bytes in LENGTHS {
            let payload: Vec<u8> = (0..payload_bytes).map(|place| place as u8).collect();
            let expected = [&b"before"[..], &header_of(payload_bytes), &payload].concat();
            for guess_bytes in LENGTHS {
                let mut out = b"before".to_vec();
                encode_message(Opcode::Binary, guess_bytes, &mut out, |out| out.extend_from_slice(&payload));
                assert!(out == expected, "{payload_bytes} bytes, guessed {guess_bytes}");
            }
        }
    }

    #[test]
    fn a_client_s_header_is_read_when_its_last_byte_is_there() {
        for payload_bytes in LENGTHS {
            let mut bytes = header_of(payload_bytes);
            bytes[1] |= MASKED;
            bytes.extend_from_slice(&[1, 2, 3, 4]);
            for cut in 0..bytes.len() {
                assert_eq!(Header::decode(&bytes[..cut]), Ok(None));
            }
            let size = bytes.len();
            bytes.extend_from_slice(b"payload");
            let mask = Mask::new([1, 2, 3, 4]);
            let (opcode, payload_bytes) = (Opcode::Binary, payload_bytes as u64);
            let header = Header { is_final: true, opcode, is_deflated: false, payload_bytes, mask };
            assert_eq!(Header::decode(&bytes), Ok(Some((header, size))));
            assert!(size <= CLIENT_HEADER_BYTES_MAX);
        }
    }

    #[test]
    fn a_header_is_refused_at_its_first_wrong_byte() {
        let refused = |bytes: &[u8]| {
            let breach = Header::decode(bytes).unwrap_err();
            assert_eq!(Header::decode(&bytes[..bytes.len() - 1]), Ok(None), "{breach:?} is told by the last byte");
            breach
        };
        for first in [0xC1, 0xA1, 0x91, 0xF1] {
            assert_eq!(refused(&[first]), Breach::ReservedBits);
        }
        for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
            assert_eq!(refused(&[FINAL | opcode]), Breach::ReservedOpcode);
        }
        assert_eq!(refused(&[0x09]), Breach::FragmentedControl);
        assert_eq!(refused(&[0x81, 5]), Breach::Unmasked);
        assert_eq!(refused(&[0x89, MASKED | 126]), Breach::LongControl);
        assert_eq!(refused(&[0x81, MASKED | 126, 0, 125]), Breach::LengthNotMinimal);
        assert_eq!(refused(&[0x81, MASKED | 127, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF]), Breach::LengthNotMinimal);
        assert_eq!(refused(&[0x81, MASKED | 127, 0x80, 0, 0, 0, 0, 0, 0, 0]), Breach::LengthNotMinimal);
    }

    #[test]
    fn a_mask_goes_on_where_it_stopped() {
        let key = [0x37, 0xFA, 0x21, 0x3D];
        let payload: Vec<u8> = (0..100).collect();
        let masked: Vec<u8> = payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key).collect();
        for first in 0..payload.len() {
            for second in [0, 1, 2, 3, 4, 7, 8, 9] {
                let mut bytes = masked.clone();
                let mut mask = Mask::new(key);
                let (front, rest) = bytes.split_at_mut(first);
                let (middle, back) = rest.split_at_mut(second.min(rest.len()));
                [front, middle, back].into_iter().for_each(|part| mask.apply(part));
                assert_eq!(bytes, payload, "cut at {first} and {second} on");
            }
        }
    }
}

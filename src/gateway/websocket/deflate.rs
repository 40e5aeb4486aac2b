//! Messages made smaller (RFC 7692 section 7.2): each for itself, so that nothing is kept between two.
//!
//! ```text
//!  message --DEFLATE, sync flush--> ... 00 00 FF FF      the last four bytes are left out on the way
//! ```
//!
//! What comes is never inflated to more than a message may have: room grows as bytes really come out, and a byte
//! beyond the limit ends it. What goes is made smaller once for all receivers, by a [`Deflater`] that each encoding has
//! one of.

use super::closing::Breach;
use super::extension::WINDOW_BITS;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

/// Shorter messages are not worth it.
pub const DEFLATED_BYTES_MIN: usize = 256;
/// What ends a flush, and is left out (RFC 7692 section 7.2.1).
const TAIL: [u8; 4] = [0x00, 0x00, 0xFF, 0xFF];
/// Room that inflating begins with at the least.
const ROOM_BYTES_MIN: usize = 512;
/// Bytes beside the data that a flush may need.
const FLUSH_BYTES_MAX: usize = 64;

/// Makes messages smaller. Empty until the first one.
#[derive(Debug, Default)]
pub struct Deflater(Option<Box<Compress>>);

impl Deflater {
    /// Appends the message made smaller (RFC 7692 section 7.2.1). False if it would not be: then nothing is appended.
    pub fn deflate(&mut self, message: &[u8], out: &mut Vec<u8>) -> bool {
        let new = || Box::new(Compress::new_with_window_bits(Compression::fast(), false, WINDOW_BITS));
        let compress = self.0.get_or_insert_with(new);
        compress.reset();
        let begin = out.len();
        // Enough for the worst message, so that one call does it.
        out.reserve(message.len() + message.len() / 8 + FLUSH_BYTES_MAX);
        let outcome = compress.compress_vec(message, out, FlushCompress::Sync);
        let is_whole = outcome.is_ok() && compress.total_in() == message.len() as u64 && out.ends_with(&TAIL);
        let deflated_bytes = (out.len() - begin).saturating_sub(TAIL.len());
        let is_smaller = is_whole && deflated_bytes < message.len();
        out.truncate(begin + if is_smaller { deflated_bytes } else { 0 });
        is_smaller
    }
}

/// The message that was made smaller, if it has no more bytes than that (RFC 7692 section 7.2.2).
pub fn inflate(deflated: &[u8], message_bytes_max: usize) -> Result<Vec<u8>, Breach> {
    let mut decompress = Decompress::new(false);
    let mut message = Vec::new();
    for mut part in [deflated, &TAIL] {
        loop {
            if message.len() == message.capacity() {
                let wanted = message.len().max(4 * deflated.len()).max(ROOM_BYTES_MIN);
                // One byte more than there may be shows that there are too many.
                message.reserve_exact(wanted.min(message_bytes_max + 1 - message.len()));
            }
            let (before, room) = (decompress.total_in(), message.capacity() - message.len());
            let outcome = decompress.decompress_vec(part, &mut message, FlushDecompress::Sync);
            let status = outcome.map_err(|_| Breach::InvalidDeflate)?;
            let used = usize::try_from(decompress.total_in() - before).unwrap_or(part.len());
            part = part.get(used..).unwrap_or_default();
            if message.len() > message_bytes_max {
                return Err(Breach::MessageTooLarge);
            }
            let is_room_left = message.len() < message.capacity();
            match status {
                // A block that says that it is the last (RFC 7692 section 7.2.3.4): nothing behind it counts.
                Status::StreamEnd => return Ok(message),
                _ if part.is_empty() && is_room_left => break,
                _ if used == 0 && is_room_left && room > 0 => return Err(Breach::InvalidDeflate),
                _ => {}
            }
        }
    }
    Ok(message)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Bytes that don't become fewer.
    pub(in super::super) fn noise(count: usize) -> Vec<u8> {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..count).map(|_| next()).collect()
    }

    /// RFC 7692 section 7.2.3.
    #[test]
    fn the_rfc_s_examples() {
        for deflated in [
            // 7.2.3.1, one block.
            &b"\xf2\x48\xcd\xc9\xc9\x07\x00"[..],
            // 7.2.3.3, a block without compression.
            b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00",
            // 7.2.3.4, a block that says that it is the last.
            b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
            // 7.2.3.5, two blocks.
            b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00",
        ] {
            assert_eq!(inflate(deflated, 5), Ok(b"Hello".to_vec()), "{deflated:?}");
            assert_eq!(inflate(deflated, 4), Err(Breach::MessageTooLarge), "{deflated:?}");
        }
        // 7.2.3.2, the second message of a context that is kept, which is not agreed on here.
        assert_eq!(inflate(b"\xf2\x00\x11\x00\x00", 5), Err(Breach::InvalidDeflate));
        // 7.2.3.6, an empty message.
        assert_eq!(inflate(b"\x00", 0), Ok(Vec::new()));
    }

    #[test]
    fn what_is_made_smaller_comes_back_whole_each_for_itself() {
        let mut deflater = Deflater::default();
        let mut out = b"before".to_vec();
        let numbers: String = (0..20_000).map(|number| format!("{number},")).collect();
        for message in ["a".repeat(300), numbers, "ä".repeat(1 << 16)] {
            out.truncate(6);
            assert!(deflater.deflate(message.as_bytes(), &mut out));
            assert!(out.len() < message.len() && out.starts_with(b"before"));
            let first = out.clone();
            assert_eq!(inflate(&first[6..], message.len()), Ok(message.clone().into_bytes()));
            out.truncate(6);
            assert!(deflater.deflate(message.as_bytes(), &mut out));
            assert_eq!(out, first, "nothing of one is left in the next");
        }
    }

    #[test]
    fn what_would_not_be_smaller_is_left_as_it_is() {
        let message = noise(100_000);
        let mut out = b"before".to_vec();
        assert!(!Deflater::default().deflate(&message, &mut out));
        assert_eq!(out, b"before");
    }

    #[test]
    fn a_bomb_takes_no_more_than_the_limit() {
        let mut bomb = Vec::new();
        assert!(Deflater::default().deflate(&vec![0; 16 << 20], &mut bomb));
        assert!(bomb.len() < 1 << 20);
        for limit in [0, 1, 1_000, 1 << 20, (16 << 20) - 1] {
            assert_eq!(inflate(&bomb, limit), Err(Breach::MessageTooLarge));
        }
        assert_eq!(inflate(&bomb, 16 << 20).map(|message| message.len()), Ok(16 << 20));
    }

    #[test]
    fn what_is_no_deflate_is_told_as_that() {
        for wrong in [&b"\x07"[..], b"\xff\xff\xff\xff", b"\x00\x05\x00\x00\x00Hello"] {
            assert_eq!(inflate(wrong, 1_000), Err(Breach::InvalidDeflate), "{wrong:?}");
        }
    }
}

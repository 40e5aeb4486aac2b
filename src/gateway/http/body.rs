//! Request bodies: their bytes without the framing (RFC 9112 sections 6 and 7).
//!
//! ```text
//!  chunked:  size [; extension] CRLF  data CRLF  ...  0 CRLF  [trailer CRLF ...]  CRLF
//! ```
//!
//! One state and one counter; whatever the pieces, what comes out is the same. A chunk's size is digits and nothing
//! else: no sign, no space, no line end but CR LF, since every leniency here has been somebody's way to smuggle a
//! request. Extensions and trailers are checked for their form, bounded over the whole body, and dropped (RFC 9112
//! sections 7.1.1 and 7.1.2 allow both).
//!
//! Memory is taken for what has come, never for what was announced. Every refusal ends the connection.

use super::header_value::is_token_byte;
use super::percent::hex_digit;
use super::{BodyKind, Reason, Refusal};

/// Bytes of all chunk extensions of one body.
const EXTENSION_BYTES_MAX: u32 = 1_024;
/// Bytes of all trailers of one body.
const TRAILER_BYTES_MAX: u32 = 4_096;
/// Digits of a chunk's size; more can't be below any limit, unless they begin with zeros that nobody writes.
const SIZE_DIGITS_MAX: u8 = 16;

/// What one call did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Received {
    /// Bytes of the input that belong to the body; what is behind them does not.
    pub used: usize,
    /// Whether the body is complete.
    pub is_complete: bool,
}

/// Takes the framing off one body.
#[derive(Debug, Clone)]
pub struct BodyReader {
    state: State,
    /// Bytes that may still come: of all the data.
    room: u64,
    extension_bytes: u32,
    trailer_bytes: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// So many bytes, and it is over.
    Sized(u64),
    ChunkSize {
        size: u64,
        digits: u8,
    },
    Extension {
        size: u64,
    },
    /// The line feed behind a chunk's size.
    SizeEnd {
        size: u64,
    },
    Data(u64),
    /// The carriage return behind a chunk's data.
    DataReturn,
    /// The line feed behind a chunk's data.
    DataEnd,
    /// The first byte of a trailer, or of the end.
    TrailerBegin,
    TrailerName,
    TrailerValue,
    TrailerEnd,
    /// The very last line feed.
    LastEnd,
    Complete,
}

impl BodyReader {
    /// For a body of this kind and at most so many bytes. A length that is too much is refused before anything comes.
    pub fn new(kind: BodyKind, body_bytes_max: u64) -> Result<Self, Refusal> {
        let state = match kind {
            BodyKind::None | BodyKind::Sized(0) => State::Complete,
            BodyKind::Sized(length) if length > body_bytes_max => return Err(too_large(body_bytes_max)),
            BodyKind::Sized(length) => State::Sized(length),
            BodyKind::Chunked => State::ChunkSize { size: 0, digits: 0 },
        };
        Ok(BodyReader { state, room: body_bytes_max, extension_bytes: 0, trailer_bytes: 0 })
    }

    /// Whether everything has come.
    pub const fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete)
    }

    /// Appends what the input brings to the body.
    pub fn read(&mut self, input: &[u8], body: &mut Vec<u8>) -> Result<Received, Refusal> {
        let mut rest = input;
        while let [byte, behind @ ..] = rest {
            rest = match &mut self.state {
                State::Complete => break,
                State::Sized(left) => {
                    let taken = take(left, rest, body);
                    if *left == 0 {
                        self.state = State::Complete;
                    }
                    taken
                }
                State::Data(left) => {
                    let taken = take(left, rest, body);
                    if *left == 0 {
                        self.state = State::DataReturn;
                    }
                    taken
                }
                _ => {
                    self.state = self.step(*byte)?;
                    behind
                }
            };
        }
        Ok(Received { used: input.len() - rest.len(), is_complete: self.is_complete() })
    }

    /// One byte of the framing.
    fn step(&mut self, byte: u8) -> Result<State, Refusal> {
        Ok(match (self.state, byte) {
            (State::ChunkSize { size, digits }, _) => self.step_size(size, digits, byte)?,
            (State::Extension { size }, b'\r') => State::SizeEnd { size },
            (State::Extension { size }, b'\t' | b' '..=b'~') => {
                self.extension_bytes += 1;
                if self.extension_bytes > EXTENSION_BYTES_MAX {
                    return Err(bad("its chunk extensions are too long"));
                }
                State::Extension { size }
            }
            (State::SizeEnd { size: 0 }, b'\n') => State::TrailerBegin,
            (State::SizeEnd { size }, b'\n') => State::Data(size),
            (State::DataReturn, b'\r') => State::DataEnd,
            (State::DataEnd, b'\n') => State::ChunkSize { size: 0, digits: 0 },
            (State::TrailerBegin, b'\r') => State::LastEnd,
            (State::TrailerBegin | State::TrailerName, _) if is_token_byte(byte) => {
                self.count_trailer()?;
                State::TrailerName
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerEnd,
            (State::TrailerValue, b'\t' | b' '..=b'~' | 0x80..) => {
                self.count_trailer()?;
                State::TrailerValue
            }
            (State::TrailerEnd, b'\n') => State::TrailerBegin,
            (State::LastEnd, b'\n') => State::Complete,
            (State::Extension { .. } | State::SizeEnd { .. }, _) => return Err(bad("a chunk's first line is wrong")),
            (State::DataReturn | State::DataEnd, _) => return Err(bad("a chunk is longer than its size")),
            _ => return Err(bad("a trailer is wrong")),
        })
    }

    fn step_size(&mut self, size: u64, digits: u8, byte: u8) -> Result<State, Refusal> {
        if let Some(digit) = hex_digit(byte) {
            if digits == SIZE_DIGITS_MAX {
                return Err(bad("a chunk's size has too many digits"));
            }
            return Ok(State::ChunkSize { size: size << 4 | u64::from(digit), digits: digits + 1 });
        }
        if digits == 0 || !b"\r;".contains(&byte) {
            return Err(bad("a chunk's size is no number"));
        }
        self.room = self.room.checked_sub(size).ok_or(Reason::BodyTooLarge)?;
        Ok(if byte == b';' { State::Extension { size } } else { State::SizeEnd { size } })
    }

    fn count_trailer(&mut self) -> Result<(), Refusal> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > TRAILER_BYTES_MAX { Err(bad("its trailers are too long")) } else { Ok(()) }
    }
}

/// Moves what is there of the data, and returns what is behind it.
fn take<'i>(left: &mut u64, input: &'i [u8], body: &mut Vec<u8>) -> &'i [u8] {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    let (data, behind) = input.split_at_checked(count).unwrap_or((input, &[]));
    body.extend_from_slice(data);
    *left -= data.len() as u64;
    behind
}

fn too_large(body_bytes_max: u64) -> Refusal {
    Refusal::from(Reason::BodyTooLarge).because(format!("at most {body_bytes_max} bytes are taken"))
}

fn bad(detail: &'static str) -> Refusal {
    Refusal::from(Reason::BadBody).because(detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Cause;
    use proptest::prelude::*;

    /// The body, how much of the input it took, and whether it is complete; in pieces of so many bytes.
    fn read(kind: BodyKind, limit: u64, input: &[u8], piece_bytes: usize) -> Result<(Vec<u8>, usize, bool), Cause> {
        let mut reader = BodyReader::new(kind, limit).map_err(|refusal| refusal.cause)?;
        let (mut body, mut used) = (Vec::new(), 0);
        for piece in input.chunks(piece_bytes) {
            let received = reader.read(piece, &mut body).map_err(|refusal| refusal.cause)?;
            used += received.used;
            assert_eq!(received.is_complete, reader.is_complete());
            if received.is_complete {
                break;
            }
            assert_eq!(received.used, piece.len(), "all is used until it is complete");
        }
        Ok((body, used, reader.is_complete()))
    }

    fn chunked(input: &str, piece_bytes: usize) -> Result<(Vec<u8>, usize, bool), Cause> {
        read(BodyKind::Chunked, 20, input.as_bytes(), piece_bytes)
    }

    #[test]
    fn chunks_come_out_whole_however_they_are_cut_and_what_is_behind_stays() {
        for (input, body) in [
            ("0\r\n\r\n", ""),
            ("000\r\n\r\n", ""),
            ("5\r\nhello\r\n0\r\n\r\n", "hello"),
            ("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!"),
            ("A;name=value;quoted=\"a; b\"\r\n0123456789\r\na\r\n9876543210\r\n0;last\r\n\r\n", "01234567899876543210"),
            ("2\r\n\r\n\r\n0\r\nX-Sum: 1\r\nX-Empty:\r\n\r\n", "\r\n"),
            ("0000000000000005\r\nhello\r\n0\r\n\r\n", "hello"),
        ] {
            let behind = format!("{input}GET /");
            for piece_bytes in 1..=behind.len() {
                let expected = Ok((body.as_bytes().to_vec(), input.len(), true));
                assert_eq!(chunked(&behind, piece_bytes), expected, "{input:?} by {piece_bytes}");
            }
            let cut = &input[..input.len() - 1];
            assert!(!chunked(cut, cut.len()).unwrap().2, "{cut:?}");
        }
    }

    #[test]
    fn framing_that_others_might_read_otherwise_is_refused() {
        for input in [
            "\r\n",
            " 5\r\n",
            "5 \r\n",
            "+5\r\n",
            "-5\r\n",
            "0x5\r\n",
            "5\n",
            "5\r5",
            "g\r\n",
            ";a\r\n",
            "5\0\r\n",
            "5,\r\n",
            "5\t;a\r\n",
            "5;a\nhello",
            "5;a\0\r\n",
            "5;\u{e4}\r\n",
            "5;a\rb",
            "1_0\r\n",
            "00000000000000005\r\n",
            "5\r\nhello0\r\n\r\n",
            "5\r\nhello\n",
            "5\r\nhello\r5",
            "5\r\nhell\r\n0\r\n\r\n",
            "5\r\nhello\r\n\r\n",
            "0\r\n\n",
            "0\r\n X: a\r\n",
            "0\r\nX : a\r\n",
            "0\r\nX\r\n",
            "0\r\n: a\r\n",
            "0\r\nX: a\n",
            "0\r\nX: \0\r\n",
            "0\r\nX: a\r\n b\r\n",
            "0\r\nX: a\rb",
            "0\r\n\rX",
        ] {
            for piece_bytes in 1..=input.len() {
                assert_eq!(chunked(input, piece_bytes), Err(Cause::Reason(Reason::BadBody)), "{input:?}");
            }
        }
    }

    #[test]
    fn no_body_is_longer_than_its_limit_and_no_size_overflows() {
        let too_large = Err(Cause::Reason(Reason::BodyTooLarge));
        assert_eq!(read(BodyKind::Sized(21), 20, b"", 1), too_large);
        assert_eq!(read(BodyKind::Sized(u64::MAX), 20, b"", 1), too_large);
        assert_eq!(read(BodyKind::Sized(5), 20, b"hello, you", 3), Ok((b"hello".to_vec(), 5, true)));
        for input in ["15\r\n", "a\r\n0123456789\r\nb\r\n", "ffffffffffffffff\r\n", "15;a\r\n"] {
            assert_eq!(chunked(input, 1), too_large, "{input:?}");
        }
        assert!(chunked("14\r\n", 1).is_ok());
        assert_eq!(read(BodyKind::None, 20, b"GET /", 5), Ok((Vec::new(), 0, true)));
    }

    #[test]
    fn a_body_can_not_be_all_extensions_and_trailers() {
        let extensions = "1;0123456789\r\na\r\n".repeat(1_000);
        let bad = Err(Cause::Reason(Reason::BadBody));
        assert_eq!(read(BodyKind::Chunked, 1 << 20, extensions.as_bytes(), 100), bad);
        let trailers = format!("0\r\n{}", "X: 0123456789\r\n".repeat(1_000));
        assert_eq!(read(BodyKind::Chunked, 1 << 20, trailers.as_bytes(), 100), bad);
    }

    proptest! {
        #[test]
        fn any_bytes_in_any_pieces_end_the_same(
            input in "[05a;\r\n: X]{0,40}",
            piece_bytes in 1_usize..10,
        ) {
            prop_assert_eq!(chunked(&input, piece_bytes), chunked(&input, input.len().max(1)));
        }

        #[test]
        fn what_is_chunked_comes_out(pieces in proptest::collection::vec("[a-z\r\n]{1,20}", 0..8), by in 1_usize..9) {
            let mut input = String::new();
            for piece in &pieces {
                input.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
            }
            input.push_str("0\r\n\r\n");
            let expected = Ok((pieces.concat().into_bytes(), input.len(), true));
            prop_assert_eq!(read(BodyKind::Chunked, 1_000, input.as_bytes(), by), expected);
        }
    }
}

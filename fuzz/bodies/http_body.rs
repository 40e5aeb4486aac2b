//! Request bodies of HTTP, whole and in pieces: what comes out is what a reader without any leniency finds in the same
//! bytes, and never more than was allowed.

use super::bytes::Bytes;
use fanwire_gateway::http::{BodyKind, BodyReader, Refusal};

/// Bytes of a body that are taken.
const BODY_BYTES_MAX: u64 = 300;

/// What a body came to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    body: Vec<u8>,
    used: usize,
    is_complete: bool,
}

/// The first byte chooses how the body is cut, the second its kind, the third its length if that is told before.
pub fn http_body(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let piece_bytes = usize::from(bytes.byte()) + 1;
    let is_chunked = bytes.byte() % 2 == 1;
    let length = u64::from(bytes.byte());
    let kind = if is_chunked { BodyKind::Chunked } else { BodyKind::Sized(length) };
    let input = bytes.rest();
    let whole = read(kind, input, input.len().max(1));
    assert_eq!(whole, read(kind, input, piece_bytes), "pieces of {piece_bytes}");
    let Ok(outcome) = whole else { return assert!(is_chunked, "a length that is allowed can't be wrong") };
    assert!(outcome.body.len() as u64 <= BODY_BYTES_MAX);
    if !is_chunked {
        let expected = &input[..input.len().min(length as usize)];
        assert_eq!((&*outcome.body, outcome.used), (expected, expected.len()));
        assert_eq!(outcome.is_complete, expected.len() as u64 == length);
    } else if outcome.is_complete {
        assert_eq!(strict(&input[..outcome.used]), outcome.body);
    } else {
        assert_eq!(outcome.used, input.len());
    }
}

fn read(kind: BodyKind, input: &[u8], piece_bytes: usize) -> Result<Outcome, Refusal> {
    let mut reader = BodyReader::new(kind, BODY_BYTES_MAX)?;
    let mut outcome = Outcome { body: Vec::new(), used: 0, is_complete: reader.is_complete() };
    for piece in input.chunks(piece_bytes) {
        let received = reader.read(piece, &mut outcome.body)?;
        outcome.used += received.used;
        outcome.is_complete = received.is_complete;
    }
    Ok(outcome)
}

/// The data of a chunked body, line by line.
fn strict(mut input: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let size = line(&mut input).split(|byte| *byte == b';').next().expect("a split has a first part");
        assert!(!size.is_empty() && size.iter().all(u8::is_ascii_hexdigit), "{size:?}");
        let size = std::str::from_utf8(size).ok().and_then(|size| usize::from_str_radix(size, 16).ok());
        let size = size.expect("a size is a number");
        if size == 0 {
            break;
        }
        body.extend_from_slice(&input[..size]);
        input = &input[size..];
        assert_eq!(line(&mut input), b"", "a chunk ends where its size says");
    }
    loop {
        let trailer = line(&mut input);
        if trailer.is_empty() {
            assert!(input.is_empty(), "nothing behind the end is taken");
            return body;
        }
        let name = trailer.split(|byte| *byte == b':').next().expect("a split has a first part");
        assert!(name.len() < trailer.len() && !name.is_empty() && name.iter().all(u8::is_ascii_graphic), "{trailer:?}");
    }
}

/// Takes a line off the front; only CR LF ends it, and neither of the two stands in it.
fn line<'a>(input: &mut &'a [u8]) -> &'a [u8] {
    let end = input.windows(2).position(|pair| pair == b"\r\n").expect("a line ends");
    let (line, rest) = input.split_at(end);
    assert!(!line.contains(&b'\n') && !line.contains(&b'\r'), "{line:?}");
    *input = &rest[2..];
    line
}

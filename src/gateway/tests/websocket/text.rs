//! Class 6: text is UTF-8, whole and in fragments, and a stream fails with the first byte that can't be right.

use crate::client::*;
use fanwire_gateway::websocket::{Breach, Reader};

/// Boundaries of what is a character, joined ones, and those that mean nothing but are characters.
const VALID: &[&[u8]] = &[
    b"",
    b"Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!",
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
    b"\x00",
    b"\x7f",
    b"\xc2\x80",
    b"\xdf\xbf",
    b"\xe0\xa0\x80",
    b"\xed\x9f\xbf",
    b"\xee\x80\x80",
    b"\xef\xbf\xbd",
    b"\xef\xbf\xbe",
    b"\xef\xbf\xbf",
    b"\xf0\x90\x80\x80",
    b"\xf0\x9f\xbf\xbe",
    b"\xf4\x8f\xbf\xbf",
];

/// What is none, and how many bytes of it can still become something.
const INVALID: &[(&[u8], usize)] = &[
    // Continuations of nothing, and bytes that never occur.
    (b"\x80", 0),
    (b"\xbf", 0),
    (b"a\x80\xbf", 1),
    (b"\xc0\x80", 0),
    (b"\xc1\xbf", 0),
    (b"\xf5\x80\x80\x80", 0),
    (b"\xf8\x88\x80\x80\x80", 0),
    (b"\xfc\x84\x80\x80\x80\x80", 0),
    (b"\xfe", 0),
    (b"\xff", 0),
    // Longer forms than needed.
    (b"\xe0\x80\x80", 1),
    (b"\xe0\x9f\xbf", 1),
    (b"\xf0\x80\x80\x80", 1),
    (b"\xf0\x8f\xbf\xbf", 1),
    // Halves of pairs, alone and together.
    (b"\xed\xa0\x80", 1),
    (b"\xed\xbf\xbf", 1),
    (b"\xed\xa0\x80\xed\xb0\x80", 1),
    // Beyond the last character.
    (b"\xf4\x90\x80\x80", 1),
    (b"\xf7\xbf\xbf\xbf", 0),
    (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited", 12),
    (b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", 12),
    // Something else before the end of a character.
    (b"\xc2 ", 1),
    (b"\xdf\xdf", 1),
    (b"\xe0\xa0 ", 2),
    (b"\xef\xbf\xef", 2),
    (b"\xf0\x90\x80 ", 3),
    (b"\xf4\x8f\xbf\xf4", 3),
];

/// The beginnings of characters that do not end.
const INCOMPLETE: &[&[u8]] =
    &[b"\xc2", b"\xdf", b"\xe0", b"\xe0\xa0", b"\xef\xbf", b"\xf0", b"\xf0\x90", b"\xf0\x90\x80", b"abc\xf4\x8f\xbf"];

const FAILED: [Told; 1] = [Told::Failed(Breach::InvalidText)];

/// The text in one frame, and in fragments of every size, with a ping between any two; and another text behind it.
fn told_in_all_ways(payload: &[u8]) -> Vec<Vec<Told>> {
    let without_pings = |mut stream: Vec<u8>| {
        stream.extend(frame(TEXT, "behind"));
        let mut told = told_by_stream(&stream, 1_000);
        told.retain(|told| !matches!(told, Told::Ping(_)));
        told
    };
    let mut all = vec![without_pings(frame(TEXT, payload))];
    for fragment_bytes in 1..=payload.len() {
        let mut stream = frame(TEXT_BEGINS, "");
        for part in payload.chunks(fragment_bytes) {
            stream.extend(frame(GOES_ON, part));
            stream.extend(frame(PING, ""));
        }
        stream.extend(frame(ENDS, ""));
        all.push(without_pings(stream));
    }
    all
}

#[test]
fn characters_may_lie_across_fragments() {
    for text in VALID.iter().copied() {
        let expected = [text, &b"behind"[..]].map(|text| Told::Text(String::from_utf8(text.to_vec()).unwrap()));
        for told in told_in_all_ways(text) {
            assert_eq!(told, expected);
        }
    }
}

#[test]
fn what_is_not_utf_8_fails_in_fragments_too() {
    for text in INVALID.iter().map(|(text, _)| text).chain(INCOMPLETE) {
        for told in told_in_all_ways(text) {
            assert_eq!(told, FAILED, "{text:02x?}");
        }
    }
}

#[test]
fn bytes_are_not_held_against_utf_8() {
    for (bytes, _) in INVALID {
        assert_eq!(told_by_stream(&frame(BINARY, bytes), 1_000), [Told::Binary(bytes.to_vec())]);
        let fragments = [frame(BINARY_BEGINS, bytes), frame(ENDS, bytes)].concat();
        assert_eq!(told_by_stream(&fragments, 1_000), [Told::Binary([*bytes, bytes].concat())]);
    }
}

/// The frame promises more text, which never comes.
#[test]
fn the_first_byte_that_can_t_be_right_fails_at_once() {
    for (text, right_bytes) in INVALID {
        let stream = frame(TEXT, [text, &[b'x'; 300][..]].concat());
        let header_bytes = 8;
        let mut reader = Reader::default();
        let failed_at = stream.iter().position(|byte| reader.next_item(&mut &mut [*byte][..], 1_000).is_err());
        assert_eq!(failed_at, Some(header_bytes + right_bytes), "{text:02x?}");
    }
}

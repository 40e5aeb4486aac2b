//! Payload and headers: any bytes, as JSON and back.
//!
//! ```text
//!  UTF-8                                    "payload":"..."        else  "payload_base64":"..."
//!  pairs of UTF-8, each name once, few      "headers":{"n":"v"}    else  "headers_base64":"..."
//! ```

use super::object::push_text;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use fanwire_wire::Headers;
use smallvec::SmallVec;

/// Pairs of a headers block that has the form of an object. Each is compared with all before it, whoever sent it.
pub(super) const PAIRS_MAX: usize = 64;

/// Appends a payload as a field.
#[inline]
pub(super) fn push_payload(payload: &[u8], out: &mut Vec<u8>) {
    match str::from_utf8(payload) {
        Ok(text) => {
            out.extend_from_slice(b",\"payload\":");
            push_text(text, out);
        }
        Err(_) => {
            out.extend_from_slice(b",\"payload_base64\":");
            push_base64(payload, out);
        }
    }
}

/// Appends a headers block as a field, if there is one.
#[inline]
pub(super) fn push_headers(block: &[u8], out: &mut Vec<u8>) {
    if !block.is_empty() {
        push_block(block, out);
    }
}

fn push_block(block: &[u8], out: &mut Vec<u8>) {
    let Some(pairs) = pairs_of(block) else {
        out.extend_from_slice(b",\"headers_base64\":");
        return push_base64(block, out);
    };
    out.extend_from_slice(b",\"headers\":{");
    for (index, (name, value)) in pairs.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push_text(name, out);
        out.push(b':');
        push_text(value, out);
    }
    out.push(b'}');
}

/// The pairs of a block that can be an object.
fn pairs_of(block: &[u8]) -> Option<SmallVec<[(&str, &str); PAIRS_MAX]>> {
    if !Headers(block).is_whole() {
        return None;
    }
    let mut pairs: SmallVec<[(&str, &str); PAIRS_MAX]> = SmallVec::new();
    for (name, value) in Headers(block).iter() {
        if pairs.len() == PAIRS_MAX || pairs.iter().any(|(other, _)| *other == name) {
            return None;
        }
        pairs.push((name, str::from_utf8(value).ok()?));
    }
    Some(pairs)
}

fn push_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    let begin = out.len();
    let length = bytes.len().div_ceil(3) * 4;
    out.resize(begin + length, 0);
    let written = out.get_mut(begin..).map(|room| STANDARD.encode_slice(bytes, room));
    assert_eq!(written, Some(Ok(length)), "the room is what padded base64 takes");
    out.push(b'"');
}

/// Puts the bytes that base64 stands for into `bytes`; `None` when it is not in the one form that they have.
pub(super) fn read_base64(text: &str, bytes: &mut Vec<u8>) -> Option<()> {
    bytes.clear();
    STANDARD.decode_vec(text, bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(block: &[u8]) -> String {
        let mut out = Vec::new();
        push_headers(block, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn headers_are_an_object_only_where_nothing_is_lost_by_it() {
        assert_eq!(rendered(b""), "");
        assert_eq!(rendered(b"\x01a\x01b\x00\x00"), r#","headers":{"a":"b","":""}"#);
        let not_objects: [&[u8]; 5] =
            [b"\x01a\x01b\x01a\x01c", b"\x01a\x01\xff", b"\x01\xff\x01a", b"\x01a\x01b\x00", b"\x81\x00a\x01b"];
        for block in not_objects {
            assert!(rendered(block).starts_with(r#","headers_base64":"#), "{block:02x?}");
        }
    }

    #[test]
    fn a_block_of_more_pairs_than_are_compared_is_no_object() {
        let mut block = Vec::new();
        for pair in 0..=PAIRS_MAX {
            assert!(pair == 0 || rendered(&block).starts_with(r#","headers":{"#), "{pair} pairs");
            Headers::push(&mut block, &pair.to_string(), b"");
        }
        assert!(rendered(&block).starts_with(r#","headers_base64":"#));
    }

    #[test]
    fn base64_has_one_form() {
        let mut bytes = Vec::new();
        assert_eq!(read_base64("AAH+/w==", &mut bytes), Some(()));
        assert_eq!(bytes, [0, 1, 0xFE, 0xFF]);
        for wrong in ["AAH+/w", "AAH+/w=", "AAH+/x==", "AAH-_w==", "AAH+/w==\n", " AAH+/w==", "A", "===="] {
            assert_eq!(read_base64(wrong, &mut bytes), None, "{wrong:?}");
        }
    }
}

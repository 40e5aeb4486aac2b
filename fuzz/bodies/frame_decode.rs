//! Any bytes as one frame, in both directions: whatever decodes, encodes to the very same bytes.

use super::bytes::Bytes;
use fanwire_wire::frame::split_frame;
use fanwire_wire::topic::check_group;
use fanwire_wire::{ClientPreface, Direction, Headers, Limits, ServerPreface, TopicFilter, TopicName, decode};

/// The first byte chooses the direction, the others are what stands behind a frame's length.
pub fn frame_decode(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let towards = bytes.pick(&[Direction::ToBroker, Direction::ToClient]);
    let body = bytes.rest();
    check_frame(body, towards);
    // A frame that lost its end may be another one, but has one form as well.
    for cut in body.len().saturating_sub(12)..body.len() {
        check_frame(&body[..cut], towards);
    }
    check_prefaces(body);
    check_names(body);
}

fn check_frame(body: &[u8], towards: Direction) {
    let decoded = match decode(body, towards) {
        Ok(decoded) => decoded,
        Err(violation) => return assert!(violation.0.number() < 100, "{violation} is a refusal"),
    };
    let mut encoded = Vec::new();
    decoded.frame.encode_with(decoded.extensions, &mut encoded);
    let (again, size) = split_frame(&encoded, u32::MAX).expect("own frames have a length").expect("and are whole");
    assert_eq!(again, body, "one form only");
    assert_eq!(size, encoded.len());
    assert_eq!(decode(again, towards), Ok(decoded));
    assert_eq!(decoded.frame.length_with(decoded.extensions), body.len());
}

fn check_prefaces(bytes: &[u8]) {
    if let Ok(Some(preface)) = ClientPreface::decode(bytes) {
        assert_eq!(preface.encode(), bytes[..8]);
        assert!(preface.choose().is_ok(), "a preface without a common version is refused");
    }
    if let Ok(Some(preface)) = ServerPreface::decode(bytes) {
        assert_eq!(preface.encode(), bytes[..8]);
    }
}

fn check_names(bytes: &[u8]) {
    let limits = Limits::default();
    if let Ok(name) = TopicName::new(bytes, &limits) {
        let filter = TopicFilter::new(bytes, &limits).expect("a name is a filter");
        assert!(filter.is_exact() && filter.matches(name));
        assert_eq!(TopicName::publishable(bytes, &limits).is_ok(), !name.is_reserved());
        let everything = TopicFilter::new(b"#", &limits).expect("# is a filter");
        assert_eq!(everything.matches(name), !name.is_reserved());
    }
    if let Ok(group) = check_group(bytes) {
        assert!(!group.is_empty() && group.len() <= 64);
    }
    let pairs: usize = Headers(bytes).iter().map(|(name, value)| 2 + name.len() + value.len()).sum();
    assert!(pairs <= bytes.len(), "headers come out of the block");
}

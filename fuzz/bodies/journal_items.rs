//! Any bytes as an item of a journal's segment: an item is written back as it was read, and nothing else is one.

use super::bytes::Bytes;
use fanwire_core::journal::format::{Found, HEADER_BYTES, SegmentHeader, read_item, write_item};

/// The first four bytes are the segment's salt.
pub fn journal_items(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let salt = bytes.take(4).iter().fold(0, |salt, byte| salt << 8 | u32::from(*byte));
    let rest = bytes.rest();
    match read_item(rest, salt) {
        Found::Item { item, bytes, checksum } => {
            let mut out = Vec::new();
            assert_eq!(write_item(&item, salt, &mut out), checksum);
            assert_eq!(out, rest[..bytes as usize], "an item has one encoding");
        }
        Found::Cut { bytes } => assert!(bytes as usize > rest.len(), "what is there is not cut"),
        Found::End | Found::Damage => {}
    }
    if let Some(header) = rest.first_chunk::<{ HEADER_BYTES as usize }>()
        && let Ok(read) = SegmentHeader::decode(header)
    {
        assert_eq!(read.encode(), *header, "a header has one encoding");
    }
}

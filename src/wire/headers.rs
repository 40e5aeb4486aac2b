//! The headers block: pairs of name and value that travel with a message (protocol.md section 5.4).
//!
//! The broker carries the block as it came and never looks inside; this module is the form that clients agree on.

use crate::codec::{Reader, Sink};
use alloc::vec::Vec;

/// A headers block: `name (varint length, UTF-8), value (varint length, bytes)`, one after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Headers<'a>(pub &'a [u8]);

impl<'a> Headers<'a> {
    /// Appends one pair to a block under construction.
    ///
    /// # Panics
    /// When name or value pass 2^28 - 1 bytes, which no frame could carry.
    pub fn push(block: &mut Vec<u8>, name: &str, value: &[u8]) {
        block.blob(name.as_bytes());
        block.blob(value);
    }

    /// The pairs in order. Ends early where the block is not in the agreed form: it is the publisher's.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        let mut reader = Reader::new(self.0);
        core::iter::from_fn(move || {
            let name = core::str::from_utf8(reader.blob().ok()?).ok()?;
            let value = reader.blob().ok()?;
            Some((name, value))
        })
    }

    /// The value of the first header called `name`.
    pub fn get(self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| *found == name).map(|(_, value)| value)
    }

    /// Whether the block is in the agreed form up to its end, so that its pairs are all of it.
    pub fn is_whole(self) -> bool {
        let mut reader = Reader::new(self.0);
        while reader.finish().is_err() {
            let (Ok(name), Ok(_)) = (reader.blob(), reader.blob()) else {
                return false;
            };
            if core::str::from_utf8(name).is_err() {
                return false;
            }
        }
        true
    }

    /// Whether there is no header at all.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_gives_back_its_pairs_and_stops_at_foreign_bytes() {
        let mut block = Vec::new();
        Headers::push(&mut block, "content-type", b"text/plain");
        Headers::push(&mut block, "traceparent", b"00-1");
        assert_eq!(Headers(&block).get("traceparent"), Some(&b"00-1"[..]));
        assert_eq!(Headers(&block).iter().count(), 2);
        assert!(Headers(&block).is_whole() && Headers(b"").is_whole());
        block.push(0xFF);
        assert_eq!(Headers(&block).iter().count(), 2);
        assert!(!Headers(&block).is_whole());
        assert!(!Headers(b"\x01\xff\x00").is_whole(), "a name is text");
        assert!(!Headers(b"\x01a").is_whole(), "a name has a value");
    }
}

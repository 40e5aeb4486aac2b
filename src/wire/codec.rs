//! The two directions of every field: [`Reader`] takes bytes apart, [`Sink`] puts them together.
//!
//! A frame's layout is written once, against `Sink`; run over [`Counter`] it gives the length that stands in front,
//! run over a `Vec` it gives the bytes, so the two cannot disagree.

use crate::code::{Code, Violation};
use alloc::vec::Vec;

/// The largest value of a four-byte varint.
pub(crate) const VARINT_MAX: u32 = (1 << 28) - 1;

/// A canonical varint at the front of `bytes`: its value and its size, `None` when more bytes are needed.
#[inline]
pub(crate) fn split_varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, Violation> {
    match bytes.first() {
        // Most lengths are short.
        Some(byte @ ..0x80) => Ok(Some((u32::from(*byte), 1))),
        _ => split_long_varint(bytes),
    }
}

fn split_long_varint(bytes: &[u8]) -> Result<Option<(u32, usize)>, Violation> {
    let mut value = 0u32;
    for (index, &byte) in bytes.iter().take(4).enumerate() {
        value |= u32::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            // A last byte of zero adds nothing: the same value has a shorter form, and only that one is canonical.
            if byte == 0 && index > 0 {
                return Err(Violation(Code::NonCanonicalVarint));
            }
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() >= 4 { Err(Violation(Code::NonCanonicalVarint)) } else { Ok(None) }
}

/// Takes fields off the front of a frame's body; whatever does not fit is a violation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes }
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Violation> {
        let (front, rest) = self.rest.split_at_checked(count).ok_or(Violation(Code::MalformedFrame))?;
        self.rest = rest;
        Ok(front)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let (front, rest) = self.rest.split_first_chunk::<N>().ok_or(Violation(Code::MalformedFrame))?;
        self.rest = rest;
        Ok(*front)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Violation> {
        Ok(u8::from_le_bytes(self.array()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Violation> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Violation> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Violation> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A varint length and that many bytes.
    pub(crate) fn blob(&mut self) -> Result<&'a [u8], Violation> {
        let (length, size) = split_varint(self.rest)?.ok_or(Violation(Code::MalformedFrame))?;
        self.take(size)?;
        self.take(length as usize)
    }

    /// A blob of at most `bytes_max` bytes of UTF-8.
    pub(crate) fn text(&mut self, bytes_max: usize) -> Result<&'a str, Violation> {
        let bytes = self.blob()?;
        if bytes.len() > bytes_max {
            return Err(Violation(Code::MalformedFrame));
        }
        core::str::from_utf8(bytes).map_err(|_| Violation(Code::MalformedFrame))
    }

    /// All that is left.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    /// "A frame ends where its last field ends": anything left over is a violation.
    pub(crate) const fn finish(&self) -> Result<(), Violation> {
        if self.rest.is_empty() { Ok(()) } else { Err(Violation(Code::MalformedFrame)) }
    }
}

/// Where a frame's fields go.
pub(crate) trait Sink {
    fn bytes(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.bytes(&value.to_le_bytes());
    }

    fn u16(&mut self, value: u16) {
        self.bytes(&value.to_le_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.bytes(&value.to_le_bytes());
    }

    fn u64(&mut self, value: u64) {
        self.bytes(&value.to_le_bytes());
    }

    fn varint(&mut self, value: u32) {
        assert!(value <= VARINT_MAX, "a length of {value} does not fit a frame: the caller must bound it");
        let mut rest = value;
        while rest >= 0x80 {
            self.u8((rest & 0x7F) as u8 | 0x80);
            rest >>= 7;
        }
        self.u8(rest as u8);
    }

    fn blob(&mut self, bytes: &[u8]) {
        self.varint(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.bytes(bytes);
    }
}

impl Sink for Vec<u8> {
    fn bytes(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts what would be written.
#[derive(Default)]
pub(crate) struct Counter(pub(crate) usize);

impl Sink for Counter {
    fn bytes(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_have_one_form_each() {
        for value in [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, VARINT_MAX] {
            let mut bytes = Vec::new();
            bytes.varint(value);
            assert_eq!(split_varint(&bytes), Ok(Some((value, bytes.len()))));
            for cut in 0..bytes.len() {
                assert_eq!(split_varint(&bytes[..cut]), Ok(None), "{value} cut at {cut}");
            }
        }
        for wrong in [&[0x80, 0x00][..], &[0xFF, 0x80, 0x00], &[0x80, 0x80, 0x80, 0x80], &[0xFF; 5]] {
            assert_eq!(split_varint(wrong), Err(Violation(Code::NonCanonicalVarint)), "{wrong:02x?}");
        }
    }
}

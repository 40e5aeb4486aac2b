//! Frame extensions: a trailing area of type, length, value (protocol.md section 4.3).
//!
//! ```text
//!  | kind with bit 6 set | body ... | TLV TLV ... | area bytes u16 |
//! ```
//!
//! The length stands last, because bodies end in a payload that has no length of its own. Types rise strictly, so
//! that an area has one form only. Bit 7 of the type says critical: who does not know it must refuse the frame. Which
//! numbers are known, and on which frames, is said in `frame`.

use crate::code::{Code, Violation};
use crate::codec::{Reader, Sink};
use alloc::vec::Vec;

/// The bit of a type byte that says "refuse the frame if you do not know me".
pub const CRITICAL: u8 = 0x80;

/// One extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// 1 to 127, registered in protocol.md.
    pub number: u8,
    /// Whether a receiver that does not know the number must refuse the frame.
    pub critical: bool,
    /// Up to 2^14 bytes in practice: the whole area is below 2^16.
    pub value: &'a [u8],
}

/// A frame's extension area, checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Extensions<'a>(&'a [u8]);

impl<'a> Extensions<'a> {
    /// Splits the area off the end of a frame's body: `(body, extensions)`.
    pub(crate) fn split(bytes: &'a [u8]) -> Result<(&'a [u8], Extensions<'a>), Violation> {
        let malformed = Violation(Code::MalformedFrame);
        let (front, length) = bytes.split_last_chunk::<2>().ok_or(malformed)?;
        let length = usize::from(u16::from_le_bytes(*length));
        let body_len = front.len().checked_sub(length).ok_or(malformed)?;
        let (body, area) = front.split_at_checked(body_len).ok_or(malformed)?;
        // "A frame without extensions does not set the bit": an empty area would be a second form of the same frame.
        if area.is_empty() {
            return Err(malformed);
        }
        let mut reader = Reader::new(area);
        let mut previous = 0;
        while reader.finish().is_err() {
            let kind = reader.u8()?;
            reader.blob()?;
            if kind & !CRITICAL <= previous {
                return Err(malformed);
            }
            previous = kind & !CRITICAL;
        }
        Ok((body, Extensions(area)))
    }

    /// Builds an area from extensions.
    ///
    /// # Panics
    /// When numbers do not rise from 1 to 127 or the area passes 65 535 bytes: the caller's mistake.
    pub fn write(area: &mut Vec<u8>, extensions: &[Extension<'_>]) {
        let mut previous = 0;
        for extension in extensions {
            assert!(extension.number > previous && extension.number < CRITICAL, "extension numbers rise from 1 to 127");
            previous = extension.number;
            area.u8(extension.number | if extension.critical { CRITICAL } else { 0 });
            area.blob(extension.value);
        }
        assert!(area.len() <= usize::from(u16::MAX), "an extension area is at most 65535 bytes");
    }

    /// An area that was built by [`Extensions::write`].
    pub const fn from_area(area: &'a [u8]) -> Self {
        Extensions(area)
    }

    /// The extensions in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Extension<'a>> {
        let mut reader = Reader::new(self.0);
        core::iter::from_fn(move || {
            let kind = reader.u8().ok()?;
            let value = reader.blob().ok()?;
            Some(Extension { number: kind & !CRITICAL, critical: kind & CRITICAL != 0, value })
        })
    }

    /// The value of the extension with this number.
    pub(crate) fn value(self, number: u8) -> Option<&'a [u8]> {
        self.iter().find(|extension| extension.number == number).map(|extension| extension.value)
    }

    /// Whether the frame carries none.
    pub const fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn encode(self, sink: &mut impl Sink) {
        if !self.is_empty() {
            sink.bytes(self.0);
            sink.u16(u16::try_from(self.0.len()).unwrap_or(u16::MAX));
        }
    }
}

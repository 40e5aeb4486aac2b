//! Bytes on their way to the broker, and the knowledge which frames have left completely.
//!
//! ```text
//!  [ frames the socket has taken ][ begun | rest ][ frame ][ frame ]
//!                                 ^ boundary  ^ written
//! ```
//!
//! A frame of which even one byte was not taken by the socket cannot have been acted upon, so at a disconnect
//! everything from `boundary` on is known not to have happened; of everything before it, nothing is known.
//!
//! Invariants: `written <= bytes.len()`; `boundary` is the begin of a frame, or the end of the preface.

use fanwire_wire::frame::split_frame;
use fanwire_wire::limits::FRAME_BYTES_CEILING;
use fanwire_wire::{Extensions, Frame};
use std::fmt;

/// What was taken is dropped from the front when it passes this much and half of everything.
const DROP_BYTES_MIN: usize = 64 * 1024;

#[derive(Default)]
pub(crate) struct Outgoing {
    bytes: Vec<u8>,
    written: usize,
    boundary: usize,
}

/// HELLO carries credentials, so the bytes themselves are never shown.
impl fmt::Debug for Outgoing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Outgoing({} bytes pending)", self.pending().len())
    }
}

impl Outgoing {
    /// Starts a new connection's stream with a preface, which is no frame.
    pub(crate) fn begin(&mut self, preface: &[u8]) {
        self.bytes.clear();
        self.bytes.extend_from_slice(preface);
        self.written = 0;
        self.boundary = preface.len();
    }

    pub(crate) fn push(&mut self, frame: &Frame<'_>) {
        frame.encode(&mut self.bytes);
    }

    pub(crate) fn push_with(&mut self, frame: &Frame<'_>, extensions: Extensions<'_>) {
        frame.encode_with(extensions, &mut self.bytes);
    }

    /// What the socket has not taken yet.
    pub(crate) fn pending(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    /// The socket took `count` of the pending bytes.
    pub(crate) fn advance(&mut self, count: usize) {
        assert!(count <= self.pending().len(), "the socket takes no more than is pending");
        self.written += count;
        if self.written == self.bytes.len() {
            self.clear();
            return;
        }
        while let Some(size) = self.frame_size_at(self.boundary)
            && self.boundary + size <= self.written
        {
            self.boundary += size;
        }
        let settled = self.boundary.min(self.written);
        if settled >= DROP_BYTES_MIN && settled > self.bytes.len() / 2 {
            self.bytes.drain(..settled);
            self.written -= settled;
            self.boundary -= settled;
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.written = 0;
        self.boundary = 0;
    }

    /// The frames that have not left completely, without their length prefixes.
    pub(crate) fn unsent_frames(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.get(self.boundary..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (frame, size) = split_frame(rest, FRAME_BYTES_CEILING).ok()??;
            rest = &rest[size..];
            Some(frame)
        })
    }

    fn frame_size_at(&self, begin: usize) -> Option<usize> {
        let (_, size) = split_frame(self.bytes.get(begin..)?, FRAME_BYTES_CEILING).ok()??;
        Some(size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanwire_wire::frame::Ping;

    #[test]
    fn a_frame_counts_as_unsent_until_its_last_byte_left() {
        let mut outgoing = Outgoing::default();
        outgoing.begin(b"prefaced");
        for time in 0..3 {
            outgoing.push(&Frame::from(Ping { time }));
        }
        let size = (outgoing.pending().len() - 8) / 3;
        for (taken, unsent) in [(3, 3), (5, 3), (size - 1, 3), (1, 2), (size + 1, 1), (size - 1, 0)] {
            outgoing.advance(taken);
            assert_eq!(outgoing.unsent_frames().count(), unsent);
        }
        assert!(outgoing.pending().is_empty());
    }

    #[test]
    fn a_stream_that_is_never_all_taken_keeps_no_old_bytes() {
        let mut outgoing = Outgoing::default();
        outgoing.begin(b"prefaced");
        outgoing.push(&Frame::from(Ping { time: 0 }));
        for time in 1..200_000 {
            outgoing.push(&Frame::from(Ping { time }));
            outgoing.advance(10);
            assert_eq!(outgoing.unsent_frames().count(), 2, "{time}");
        }
        assert!(outgoing.bytes.capacity() < 8 * DROP_BYTES_MIN);
    }
}

//! From bytes as they arrive to whole frames, however the stream is cut.
//!
//! ```text
//!  read buffer (lent by the caller, shared by everybody)
//!    | whole frames are taken straight out of it, without a copy
//!    v
//!  [ rest of a frame begun earlier ][ frame ][ frame ][ begin of ... ]
//!                                                        | kept in `partial`, the only memory a connection owns
//! ```
//!
//! A connection that is idle at a frame's end owns no memory. A frame in pieces grows with the bytes that really
//! came, never with the length they announce; each byte is copied once.
//!
//! Invariant, checked after every call: `consumed <= partial.len()`.

use crate::code::{Code, Violation};
use crate::frame::{first_frame_size, prefix_size, split_frame};
use alloc::vec::Vec;

/// Bytes of a length prefix at the most.
const PREFIX_BYTES_MAX: usize = 4;
/// Unused memory that is not worth giving back.
const SLACK_BYTES: usize = 64;

/// Gathers frames from a stream that may be cut anywhere.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Bytes of earlier reads that are not handed out yet.
    partial: Vec<u8>,
    /// How many of them are handed out.
    consumed: usize,
}

impl Inbox {
    /// The next whole frame without its length prefix, or `None` when `input` is used up: what is left of it is
    /// kept. Takes from the front of `input` just what it needs, so the caller may stop after any frame.
    pub fn next_frame<'frame, 'input: 'frame>(
        &'frame mut self,
        input: &mut &'input [u8],
        frame_bytes_max: u32,
    ) -> Result<Option<&'frame [u8]>, Violation> {
        self.release();
        if self.partial.is_empty() {
            if let Some((frame, size)) = split_frame(input, frame_bytes_max)? {
                *input = input.get(size..).unwrap_or_default();
                return Ok(Some(frame));
            }
            self.keep(input);
            return Ok(None);
        }
        if !self.complete(input, frame_bytes_max)? {
            return Ok(None);
        }
        let begin = self.consumed;
        let Some((_, size)) = split_frame(self.partial.get(begin..).unwrap_or_default(), frame_bytes_max)? else {
            return Ok(None);
        };
        self.consumed = begin + size;
        self.check();
        match split_frame(self.partial.get(begin..self.consumed).unwrap_or_default(), frame_bytes_max)? {
            Some((frame, _)) => Ok(Some(frame)),
            None => Err(Violation(Code::MalformedFrame)),
        }
    }

    /// Takes back the frame that was handed out last: it will be the next one again. `input` is as it was left by
    /// [`Inbox::next_frame`], `before` as it was given to it.
    pub fn take_back<'input>(&mut self, frame_bytes: usize, input: &mut &'input [u8], before: &'input [u8]) {
        if self.partial.is_empty() {
            *input = before;
        } else {
            self.consumed -= prefix_size(frame_bytes) + frame_bytes;
            self.check();
        }
    }

    /// Keeps input for a later turn: the caller's budget ended before it did.
    pub fn keep(&mut self, input: &mut &[u8]) {
        self.partial.extend_from_slice(core::mem::take(input));
        self.check();
    }

    /// Bytes held for this connection.
    pub const fn held_bytes(&self) -> usize {
        self.partial.len() - self.consumed
    }

    /// Gives memory back that the held bytes do not need; for a connection that has gone quiet. A frame that grows
    /// has less than twice its bytes, so this never moves what will grow on; what a large frame left behind goes.
    pub fn shrink(&mut self) {
        if self.held_bytes() == 0 {
            self.partial = Vec::new();
            self.consumed = 0;
        } else if self.partial.capacity() > 2 * self.held_bytes() + SLACK_BYTES {
            self.partial.drain(..self.consumed);
            self.consumed = 0;
            self.partial.shrink_to_fit();
        }
    }

    /// Drops what was handed out. The bytes behind it move to the front only when the handed-out part is the larger
    /// one, so that many small frames in one kept buffer do not cost a move each.
    fn release(&mut self) {
        if self.consumed == self.partial.len() {
            self.partial.clear();
            self.consumed = 0;
        } else if self.consumed > self.partial.len() / 2 {
            self.partial.drain(..self.consumed);
            self.consumed = 0;
        }
    }

    /// Tops the begun frame up from `input`, first its prefix, then as many bytes as the prefix says.
    fn complete(&mut self, input: &mut &[u8], frame_bytes_max: u32) -> Result<bool, Violation> {
        loop {
            let held = self.partial.get(self.consumed..).unwrap_or_default();
            if split_frame(held, frame_bytes_max)?.is_some() {
                return Ok(true);
            }
            // Bytes up to the frame's end once its prefix is known, one more byte of the prefix until then.
            let wanted = first_frame_size(held).map_or(1, |size| size - held.len());
            debug_assert!(held.len() < PREFIX_BYTES_MAX || first_frame_size(held).is_some());
            let Some((front, rest)) = input.split_at_checked(wanted.min(input.len())) else {
                return Ok(false);
            };
            if front.is_empty() {
                return Ok(false);
            }
            self.partial.extend_from_slice(front);
            *input = rest;
        }
    }

    fn check(&self) {
        assert!(self.consumed <= self.partial.len(), "consumed <= partial.len()");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Frame, Ping};
    use proptest::prelude::*;

    fn frames_of(chunks: &[&[u8]], frame_bytes_max: u32) -> Result<Vec<Vec<u8>>, Violation> {
        let mut inbox = Inbox::default();
        let mut frames = Vec::new();
        for chunk in chunks {
            let mut input = *chunk;
            while let Some(frame) = inbox.next_frame(&mut input, frame_bytes_max)? {
                frames.push(frame.to_vec());
            }
            assert!(input.is_empty());
        }
        Ok(frames)
    }

    #[test]
    fn one_byte_at_a_time_gives_the_same_frames() {
        let mut stream = Vec::new();
        for time in 0..5 {
            Frame::from(Ping { time }).encode(&mut stream);
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        let frames = frames_of(&bytes, 1024).unwrap();
        assert_eq!(frames.len(), 5);
        assert_eq!(frames, frames_of(&[&stream], 1024).unwrap());
    }

    #[test]
    fn a_claimed_length_takes_no_memory_before_its_bytes_come() {
        let mut inbox = Inbox::default();
        let mut input = &[0xFF, 0xFF, 0x7F, 1, 2, 3][..];
        assert_eq!(inbox.next_frame(&mut input, u32::MAX), Ok(None));
        assert_eq!(inbox.held_bytes(), 6);
        assert!(inbox.partial.capacity() < 64);
    }

    #[test]
    fn a_quiet_connection_owns_nothing() {
        let mut inbox = Inbox::default();
        let mut stream = Vec::new();
        Frame::from(Ping { time: 1 }).encode(&mut stream);
        for byte in stream.chunks(1) {
            let mut input = byte;
            let _ = inbox.next_frame(&mut input, 64).unwrap();
        }
        assert_eq!(inbox.held_bytes(), 0);
        inbox.shrink();
        assert_eq!(inbox.partial.capacity(), 0);
    }

    #[test]
    fn the_beginning_of_a_small_frame_does_not_keep_the_memory_of_a_large_one() {
        let mut inbox = Inbox::default();
        let mut stream = Vec::new();
        Frame::from(crate::frame::MessageNamed { topic: b"a", headers: &[], payload: &[7; 100_000] })
            .encode(&mut stream);
        Frame::from(Ping { time: 1 }).encode(&mut stream);
        let (front, back) = stream.split_at(50_000);
        let mut input = front;
        assert_eq!(inbox.next_frame(&mut input, 1 << 20), Ok(None));
        let mut input = &back[..back.len() - 1];
        assert!(matches!(inbox.next_frame(&mut input, 1 << 20), Ok(Some(_))));
        assert_eq!(inbox.next_frame(&mut input, 1 << 20), Ok(None));
        assert!(inbox.partial.capacity() >= 100_000);
        inbox.shrink();
        assert!(inbox.partial.capacity() < 100);
        let mut input = &back[back.len() - 1..];
        assert!(matches!(inbox.next_frame(&mut input, 1 << 20), Ok(Some(frame)) if frame.len() == 9));
    }

    #[test]
    fn a_frame_that_was_taken_back_comes_again_however_the_stream_is_cut() {
        let mut stream = Vec::new();
        for size in [0, 1, 100, 130, 7, 200] {
            let message = crate::frame::MessageNamed { topic: b"a", headers: &[], payload: &std::vec![7; size] };
            Frame::from(message).encode(&mut stream);
        }
        let whole = frames_of(&[&stream], 1_024).unwrap();
        for cut in 1..=stream.len() {
            let mut inbox = Inbox::default();
            let mut frames = Vec::new();
            for chunk in stream.chunks(cut) {
                let mut input = chunk;
                let mut is_second_time = false;
                loop {
                    let before = input;
                    let Some(frame) = inbox.next_frame(&mut input, 1_024).unwrap().map(<[u8]>::to_vec) else { break };
                    if is_second_time {
                        frames.push(frame);
                    } else {
                        inbox.take_back(frame.len(), &mut input, before);
                        // Every other time the rest waits for a later turn.
                        if frames.len() % 2 == 0 {
                            inbox.keep(&mut input);
                        }
                    }
                    is_second_time = !is_second_time;
                }
            }
            assert_eq!((frames, inbox.held_bytes()), (whole.clone(), 0), "cut every {cut} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_split_of_the_bytes_decodes_like_the_whole(
            sizes in proptest::collection::vec(1usize..300, 0..12),
            cuts in proptest::collection::vec(1usize..97, 1..40),
            junk in proptest::collection::vec(any::<u8>(), 0..6),
        ) {
            let mut stream = Vec::new();
            for (index, size) in sizes.iter().enumerate() {
                let payload = std::vec![index as u8; *size];
                let message = crate::frame::MessageNamed { topic: b"a", headers: &[], payload: &payload };
                Frame::from(message).encode(&mut stream);
            }
            stream.extend_from_slice(&junk);
            let whole = frames_of(&[&stream], 256);
            let mut pieces = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() { break; }
                let (front, back) = rest.split_at((*cut).min(rest.len()));
                pieces.push(front);
                rest = back;
            }
            prop_assert_eq!(frames_of(&pieces, 256), whole);
        }
    }
}

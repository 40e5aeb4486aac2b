//! What stands at the front of every payload: who sent it, where to, its number, and when it should have left.
//!
//! ```text
//!  publisher u32 | topic u32 | sequence u64 | intended u64 (nanoseconds of the generator's clock) | filling ...
//! ```
//!
//! The time is the intended one: a message that leaves late because an earlier one was held up still counts from when
//! it was due, or a stalled broker would be measured on the few messages it did not delay.

/// Bytes of a stamp: payloads are no smaller.
pub const STAMP_BYTES: usize = 24;

/// The front of a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// The publisher's number, from 0; unique among the publishers of a topic.
    pub publisher: u32,
    /// The topic's number.
    pub topic: u32,
    /// Counts up from 0 in each stream.
    pub sequence: u64,
    /// When the message was due.
    pub intended_ns: u64,
}

impl Stamp {
    /// Writes the stamp over the front of a payload.
    ///
    /// # Panics
    /// When the payload is shorter than a stamp.
    pub fn write(self, payload: &mut [u8]) {
        payload[0..4].copy_from_slice(&self.publisher.to_le_bytes());
        payload[4..8].copy_from_slice(&self.topic.to_le_bytes());
        payload[8..16].copy_from_slice(&self.sequence.to_le_bytes());
        payload[16..24].copy_from_slice(&self.intended_ns.to_le_bytes());
    }

    /// Reads the stamp of a payload; `None` when it is too short to have one.
    pub fn read(payload: &[u8]) -> Option<Stamp> {
        let bytes: &[u8; STAMP_BYTES] = payload.first_chunk()?;
        let word = |from: usize| u32::from_le_bytes([bytes[from], bytes[from + 1], bytes[from + 2], bytes[from + 3]]);
        let long = |from: usize| u64::from(word(from)) | u64::from(word(from + 4)) << 32;
        Some(Stamp { publisher: word(0), topic: word(4), sequence: long(8), intended_ns: long(16) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_less_is_nothing() {
        let stamp = Stamp { publisher: 7, topic: 0x0102_0304, sequence: u64::MAX - 3, intended_ns: 1 << 40 };
        let mut payload = [0xAA; 30];
        stamp.write(&mut payload);
        assert_eq!(Stamp::read(&payload), Some(stamp));
        assert_eq!(payload[24..], [0xAA; 6]);
        assert_eq!(payload[4..8], [4, 3, 2, 1]);
        assert_eq!(Stamp::read(&payload[..23]), None);
    }
}

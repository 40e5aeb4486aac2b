//! Runs: publishes by one short id that follow each other, taken together.
//!
//! ```text
//!  input  [ SHORT 3 ][ SHORT 3 ][ SHORT 3 ][ SHORT 5 ] ...
//!         |<------- a run: one command --->|
//! ```
//!
//! Whoever publishes much publishes to the same topic again and again, and what finds the topic, its audience and its
//! chunk costs more than to copy a small message. A run does all that once. Frames that carry more than a payload are
//! no part of one, and whatever is wrong ends it: the way for single frames finds out what.
//!
//! Runs are short, since they are admitted and postponed as a whole: bounds may be passed by one. Only what was just
//! read is taken in runs; what a budget or a postponement left over comes frame by frame.

use fanwire_core::settings::{RUN_BYTES_MAX, RUN_MESSAGES_MAX};
use fanwire_wire::frame::{PublishShort, split_frame};
use smallvec::SmallVec;

/// The payloads of a run.
pub(crate) type Payloads<'a> = SmallVec<[&'a [u8]; RUN_MESSAGES_MAX]>;

/// Gathers the run at the front of `input`: its first frame, and the input behind it. `None` if there is none.
/// `messages_max` tells how many messages by a short id it may have.
pub(crate) fn gather<'a>(
    input: &'a [u8],
    frame_bytes_max: u32,
    payloads: &mut Payloads<'a>,
    messages_max: impl FnOnce(u16) -> usize,
) -> Option<(PublishShort<'a>, &'a [u8])> {
    payloads.clear();
    let (first, mut rest) = split_publish(input, frame_bytes_max)?;
    payloads.push(first.payload);
    let mut bytes = first.payload.len();
    let messages_max = messages_max(first.short_id);
    while payloads.len() < messages_max
        && let Some((next, behind)) = split_publish(rest, frame_bytes_max)
        && (next.short_id, next.ack) == (first.short_id, first.ack)
    {
        bytes += next.payload.len();
        if bytes > RUN_BYTES_MAX {
            break;
        }
        payloads.push(next.payload);
        rest = behind;
    }
    Some((first, rest))
}

#[inline]
fn split_publish(input: &[u8], frame_bytes_max: u32) -> Option<(PublishShort<'_>, &[u8])> {
    let (frame, size) = split_frame(input, frame_bytes_max).ok()??;
    Some((PublishShort::peek(frame)?, input.get(size..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanwire_wire::frame::{AckLevel, Frame, Ping};

    fn publish(short_id: u16, ack: AckLevel, headers: &[u8], payload: &[u8], out: &mut Vec<u8>) {
        PublishShort { ack, short_id, headers, payload }.encode(out);
    }

    /// The messages of the run at the front, and how much of the input it takes.
    fn gathered(input: &[u8]) -> Option<(usize, usize)> {
        let mut payloads = Payloads::new();
        let (_, rest) = gather(input, 1 << 20, &mut payloads, |_| RUN_MESSAGES_MAX)?;
        Some((payloads.len(), input.len() - rest.len()))
    }

    #[test]
    fn a_run_ends_where_anything_but_the_payload_changes() {
        let mut alike = Vec::new();
        (0..3).for_each(|number: u8| publish(3, AckLevel::None, b"", &[number; 9], &mut alike));
        let mut others = [const { Vec::new() }; 5];
        publish(4, AckLevel::None, b"", b"another topic", &mut others[0]);
        publish(3, AckLevel::Routed, b"", b"wants an answer", &mut others[1]);
        publish(3, AckLevel::None, b"h", b"has headers", &mut others[2]);
        Frame::from(Ping { time: 1 }).encode(&mut others[3]);
        others[4].push(200);
        for other in others {
            let input = [alike.clone(), other].concat();
            assert_eq!(gathered(&input), Some((3, alike.len())));
        }
        assert_eq!(gathered(&[0, 0]), None, "a violation is no run");
        assert_eq!(gathered(&alike[..5]), None, "nor is half a frame");
    }

    #[test]
    fn a_run_is_short_unless_it_is_one_message() {
        let mut input = Vec::new();
        (0..1_000).for_each(|_| publish(3, AckLevel::None, b"", b"", &mut input));
        assert_eq!(gathered(&input).map(|(messages, _)| messages), Some(RUN_MESSAGES_MAX));
        input.clear();
        (0..10).for_each(|_| publish(3, AckLevel::None, b"", &[0; 3_000], &mut input));
        assert_eq!(gathered(&input).map(|(messages, _)| messages), Some(2));
        input.clear();
        (0..2).for_each(|_| publish(3, AckLevel::None, b"", &[0; 100_000], &mut input));
        assert_eq!(gathered(&input).map(|(messages, _)| messages), Some(1));
    }
}

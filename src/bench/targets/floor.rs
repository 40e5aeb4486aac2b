//! The relay of the bench itself: a length and a topic number before each payload, which makes its messages as long as
//! Fanwire's.
//!
//! ```text
//!  opening:  role u8 (P publishes, S hears topics, A hears everything, B both) | first topic u16 | end u16
//!  answer:   'k'
//!  message:  bytes behind the head u32 | topic u16 | payload
//! ```

use crate::bench::adapter::{Adapter, Ear, Fault, Interest, Opening, Part, Progress, Topics};

/// The adapter.
pub(in crate::bench) struct Floor;

/// Bytes of an opening.
pub(in crate::bench) const OPENING_BYTES: usize = 5;
/// What the relay says once a connection stands.
pub(in crate::bench) const ANSWER: u8 = b'k';
/// Bytes before a payload.
pub(in crate::bench) const HEAD_BYTES: usize = 6;
/// Topics that requests go to and answers come from, where the relay plays at requests.
const ASK: u16 = 0;
const ANSWERS: u16 = 1;

impl Adapter for Floor {
    fn open(opening: &Opening<'_>, out: &mut Vec<u8>) -> u32 {
        let publishes = !opening.publishes.is_empty();
        let (role, begin, end) = match (&opening.part, &opening.interest) {
            (Part::Requester, _) => (b'B', ANSWERS, ANSWERS + 1),
            (Part::Responder, _) => (b'B', ASK, ASK + 1),
            (Part::Member | Part::Appender, Interest::Nothing) => (b'P', 0, 0),
            (Part::Member | Part::Appender, Interest::All) => (b'A', 0, 0),
            (Part::Member | Part::Appender, Interest::Topics(range)) => {
                (if publishes { b'B' } else { b'S' }, wrapped(range.start), wrapped(range.end))
            }
        };
        out.push(role);
        out.extend_from_slice(&begin.to_le_bytes());
        out.extend_from_slice(&end.to_le_bytes());
        1
    }

    fn publish(_topics: &Topics, topic: u32, payload: &[u8], out: &mut Vec<u8>) {
        append(wrapped(topic), payload, out);
    }

    fn request(_topics: &Topics, _sequence: u64, payload: &[u8], out: &mut Vec<u8>) {
        append(ASK, payload, out);
    }

    fn reply(_topics: &Topics, _handle: &[u8], payload: &[u8], out: &mut Vec<u8>) {
        append(ANSWERS, payload, out);
    }

    fn hear<E: Ear>(progress: &mut Progress, bytes: &[u8], ear: &mut E) -> Result<usize, Fault> {
        let mut used = 0;
        if !progress.greeted {
            match bytes.first() {
                Some(&ANSWER) => used = 1,
                Some(_) => return Err(Fault::Unknown("the floor relay")),
                None => return Ok(0),
            }
            progress.greeted = true;
            ear.confirmed();
        }
        while let Some((_, size)) = message_at(&bytes[used..]) {
            ear.delivered(&bytes[used + HEAD_BYTES..used + size]);
            used += size;
        }
        Ok(used)
    }
}

/// The topic of the first message and its size with its head; `None` when it is not whole.
#[inline]
pub(in crate::bench) fn message_at(bytes: &[u8]) -> Option<(u16, usize)> {
    let &[a, b, c, d, low, high] = bytes.first_chunk::<HEAD_BYTES>()?;
    let size = HEAD_BYTES + u32::from_le_bytes([a, b, c, d]) as usize;
    (bytes.len() >= size).then_some((u16::from_le_bytes([low, high]), size))
}

fn append(topic: u16, payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("payloads are shorter than 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&topic.to_le_bytes());
    out.extend_from_slice(payload);
}

/// The relay knows 65 535 topics; more wrap around, which only those who hear everything may rely on.
fn wrapped(topic: u32) -> u16 {
    u16::try_from(topic % u32::from(u16::MAX)).expect("a remainder below 65 535")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::adapter::listening::{hear_in_pieces, opened};

    #[test]
    fn it_opens_in_five_bytes() {
        let topics = Topics::new(9, '/');
        assert_eq!(opened::<Floor>(Part::Member, Interest::Topics(3..5), &topics).0, [b'S', 3, 0, 5, 0]);
        assert_eq!(opened::<Floor>(Part::Member, Interest::Nothing, &topics).0, [b'P', 0, 0, 0, 0]);
        assert_eq!(opened::<Floor>(Part::Member, Interest::All, &topics).0, [b'A', 0, 0, 0, 0]);
    }

    #[test]
    fn it_hears_however_the_stream_is_cut() {
        let mut bytes = vec![ANSWER];
        Floor::publish(&Topics::new(1, '/'), 0x0201, b"ab", &mut bytes);
        assert_eq!(bytes, [ANSWER, 2, 0, 0, 0, 1, 2, b'a', b'b']);
        Floor::publish(&Topics::new(1, '/'), 1, b"", &mut bytes);
        assert_eq!(hear_in_pieces::<Floor>(&bytes).unwrap(), ["confirmed", "delivered ab", "delivered "]);
        assert!(matches!(hear_in_pieces::<Floor>(b"+OK\r\n"), Err(Fault::Unknown(_))));
    }
}

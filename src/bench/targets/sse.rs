//! Fanwire's server-sent events (protocol.md section E.4): who hears has a stream of them, everybody else is a native
//! connection, since nothing can be said on a stream.
//!
//! ```text
//!  data: {"type":"message","topic":"bench/topic/0","payload":"aaaaaaaahaaa...pp......"}
//!        `---------- the same for each ----------------------'`- stamp -'`- filling    two letters a byte
//! ```
//!
//! A payload is text, as that of who hears with `EventSource` is: its stamp stands in letters. An event has no length
//! in front; where its end and its payload lie is looked for once, and then only whether the next is of the same shape.

use super::fanwire::Fanwire;
use super::{http, write};
use crate::bench::adapter::{Adapter, Ear, Fault, Interest, Opening, Part, Progress, Shape, Topics};
use crate::bench::stamp::STAMP_BYTES;

/// The adapter.
pub(in crate::bench) struct Sse;

/// The status of who agrees.
const OK: &str = "200";
/// The first letter of HTTP: a native answer begins otherwise.
const HTTP: u8 = b'H';
/// What stands around an event's payload.
const BEFORE: &[u8] = b"\"payload\":\"";
const BEHIND: &[u8] = b"\"}\n\n";
/// Ends an event.
const END: &[u8] = b"\n\n";
/// The letters of a half-byte: this one for 0, and so on.
const ZERO: u8 = b'a';
const LETTERS: usize = 2 * STAMP_BYTES;
const FILLING: u8 = b'.';

impl Adapter for Sse {
    fn open(opening: &Opening<'_>, out: &mut Vec<u8>) -> u32 {
        let filters = match (&opening.part, &opening.interest) {
            (Part::Member, Interest::Topics(range)) => range.clone().map(|topic| opening.topics.name(topic)).collect(),
            (Part::Member, Interest::All) => vec!["%23"],
            _ => return Fanwire::open(opening, out),
        };
        let policy = if opening.droppable { "drop-oldest" } else { "disconnect" };
        write(out, format_args!("GET /v1/sse?policy={policy}"));
        filters.iter().for_each(|filter| write(out, format_args!("&topic={filter}")));
        write(out, format_args!(" HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"));
        u32::try_from(filters.len()).expect("no more than there are topics")
    }

    fn publish(topics: &Topics, topic: u32, payload: &[u8], out: &mut Vec<u8>) {
        let stamp = payload.first_chunk().expect("a payload begins with a stamp");
        let short = [FILLING; LETTERS];
        let payload = if payload.len() < LETTERS { &short } else { payload };
        Fanwire::publish(topics, topic, payload, out);
        // A publication ends with its payload.
        let begin = out.len() - payload.len();
        spell(stamp, &mut out[begin..]);
    }

    fn request(_topics: &Topics, _sequence: u64, _payload: &[u8], _out: &mut Vec<u8>) {
        unreachable!("nobody asks over a stream of events");
    }

    fn reply(_topics: &Topics, _handle: &[u8], _payload: &[u8], _out: &mut Vec<u8>) {
        unreachable!("nobody answers over a stream of events");
    }

    fn hear<E: Ear>(progress: &mut Progress, bytes: &[u8], ear: &mut E) -> Result<usize, Fault> {
        if let Some(shape) = &mut progress.stream {
            return hear_events(shape, bytes, ear);
        }
        if progress.greeted || bytes.first() != Some(&HTTP) {
            return Fanwire::hear(progress, bytes, ear);
        }
        let Some(head_bytes) = http::head_bytes(bytes, OK)? else { return Ok(0) };
        progress.greeted = true;
        let shape = progress.stream.insert(Shape { bytes: 0, payload: 0 });
        Ok(head_bytes + hear_events(shape, &bytes[head_bytes..], ear)?)
    }
}

fn hear_events(shape: &mut Shape, bytes: &[u8], ear: &mut impl Ear) -> Result<usize, Fault> {
    let mut used = 0;
    loop {
        let rest = &bytes[used..];
        let payload = match shape.payload_of(rest) {
            Some(payload) => payload,
            None => match event_at(rest)? {
                None => return Ok(used),
                Some((event_bytes, Said::Message(payload))) => {
                    *shape = Shape { bytes: event_bytes, payload };
                    shape.payload_of(rest).ok_or(UNKNOWN)?
                }
                Some((event_bytes, said)) => {
                    if let Said::Subscribed = said {
                        ear.confirmed();
                    }
                    used += event_bytes;
                    continue;
                }
            },
        };
        used += shape.bytes;
        match stamp_of(payload) {
            Some(stamp) => ear.delivered(&stamp),
            None => ear.delivered(payload),
        }
    }
}

const UNKNOWN: Fault = Fault::Unknown("Fanwire's streams of events");

/// What an event is.
enum Said {
    /// A message, whose payload begins there.
    Message(usize),
    Subscribed,
    /// What shows elsewhere, or does not matter: gaps show in the numbers.
    Aside,
}

/// The event at the front, and its bytes; `None` when it is not whole.
fn event_at(bytes: &[u8]) -> Result<Option<(usize, Said)>, Fault> {
    let Some(end) = bytes.windows(END.len()).position(|window| window == END) else { return Ok(None) };
    let event = &bytes[..end];
    let begins = |front: &str| event.starts_with(front.as_bytes());
    let said = if begins("data: {\"type\":\"message\"") {
        let mark = event.windows(BEFORE.len()).position(|window| window == BEFORE);
        Said::Message(mark.ok_or(UNKNOWN)? + BEFORE.len())
    } else if begins("event: subscribed\n") {
        Said::Subscribed
    } else if begins("event: error\n") {
        return Err(Fault::Refused(event.escape_ascii().to_string()));
    } else if begins(":") || begins("event: ") || begins("retry: ") {
        Said::Aside
    } else {
        return Err(UNKNOWN);
    };
    Ok(Some((end + END.len(), said)))
}

impl Shape {
    /// The payload of the event at the front, if that has this shape.
    #[inline]
    fn payload_of(self, bytes: &[u8]) -> Option<&[u8]> {
        let before = bytes.get(self.payload.checked_sub(BEFORE.len())?..self.payload)?;
        let behind = bytes.get(self.bytes - BEHIND.len()..self.bytes)?;
        (before == BEFORE && behind == BEHIND).then(|| &bytes[self.payload..self.bytes - BEHIND.len()])
    }
}

/// Writes a stamp in letters.
fn spell(stamp: &[u8; STAMP_BYTES], out: &mut [u8]) {
    for (letters, byte) in out.chunks_mut(2).zip(stamp) {
        letters.copy_from_slice(&[ZERO + (byte >> 4), ZERO + (byte & 0x0F)]);
    }
}

/// The stamp that a payload begins with, if that is in letters.
#[inline]
fn stamp_of(payload: &[u8]) -> Option<[u8; STAMP_BYTES]> {
    let letters: &[u8; LETTERS] = payload.first_chunk()?;
    let mut stamp = [0; STAMP_BYTES];
    let mut beyond = 0;
    for (byte, [high, low]) in stamp.iter_mut().zip(letters.as_chunks::<2>().0) {
        let (high, low) = (high.wrapping_sub(ZERO), low.wrapping_sub(ZERO));
        beyond |= (high | low) & 0xF0;
        *byte = high << 4 | low & 0x0F;
    }
    (beyond == 0).then_some(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::adapter::listening::{hear_in_pieces, opened};
    use crate::bench::stamp::Stamp;
    use fanwire_wire::{Direction, Frame, decode, frame::split_frame};

    const BEGUN: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\nretry: 1000\n\n";

    fn published(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Sse::publish(&Topics::new(1, '/'), 0, payload, &mut out);
        let (frame, _) = split_frame(&out, 1_000).unwrap().expect("a whole frame");
        let Frame::PublishShort(publish) = decode(frame, Direction::ToBroker).unwrap().frame else {
            panic!("it publishes by short id")
        };
        publish.payload.to_vec()
    }

    #[test]
    fn who_hears_opens_a_stream_and_who_publishes_a_native_connection() {
        let topics = Topics::new(2, '/');
        let (bytes, confirmations) = opened::<Sse>(Part::Member, Interest::Topics(0..2), &topics);
        let text = String::from_utf8(bytes).unwrap();
        let line = "GET /v1/sse?policy=disconnect&topic=bench/topic/0&topic=bench/topic/1 HTTP/1.1\r\n";
        assert!(text.starts_with(line) && text.ends_with("\r\n\r\n") && confirmations == 2, "{text}");
        let native = opened::<Fanwire>(Part::Member, Interest::Nothing, &topics);
        assert_eq!(opened::<Sse>(Part::Member, Interest::Nothing, &topics), native);
    }

    #[test]
    fn a_stamp_is_text_on_its_way_and_a_stamp_again() {
        let stamp = Stamp { publisher: 7, topic: 1, sequence: u64::MAX - 3, intended_ns: 1 << 63 };
        for payload_bytes in [STAMP_BYTES, LETTERS, 64] {
            let mut payload = vec![FILLING; payload_bytes];
            stamp.write(&mut payload);
            let text = published(&payload);
            assert_eq!(text.len(), payload_bytes.max(LETTERS));
            assert!(text.iter().all(|byte| byte.is_ascii_lowercase() || *byte == FILLING));
            assert_eq!(Stamp::read(&stamp_of(&text).expect("it is in letters")), Some(stamp));
        }
        assert_eq!(stamp_of(&[b'q'; LETTERS]), None);
    }

    #[test]
    fn it_hears_however_the_stream_is_cut() {
        let message = |topic: &str, payload: &str| {
            format!("data: {{\"type\":\"message\",\"topic\":\"{topic}\",\"payload\":\"{payload}\"}}\n\n")
        };
        let letters = "bf".repeat(STAMP_BYTES);
        let bytes = [
            BEGUN,
            "event: subscribed\ndata: {\"type\":\"subscribed\",\"subscription\":1}\n\n",
            &message("a", &letters),
            &message("a", &letters),
            ":\n\n",
            &message("a/b", &letters),
            &message("a", "from a stranger"),
            "event: gap\ndata: {\"type\":\"gap\"}\n\n",
        ]
        .concat();
        let heard = hear_in_pieces::<Sse>(bytes.as_bytes()).unwrap();
        let delivered = format!("delivered {}", "\\x15".repeat(STAMP_BYTES));
        assert_eq!(heard, ["confirmed", &delivered, &delivered, &delivered, "delivered from a stranger"]);
    }

    #[test]
    fn a_refusal_ends_it_and_so_does_another_protocol() {
        let ended = format!("{BEGUN}event: error\ndata: {{\"type\":\"error\",\"name\":\"DRAINING\"}}\n\n");
        let refused = hear_in_pieces::<Sse>(ended.as_bytes()).unwrap_err();
        assert!(refused.to_string().contains("DRAINING"), "{refused}");
        let refused = hear_in_pieces::<Sse>(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap_err();
        assert!(refused.to_string().contains("404"), "{refused}");
        assert!(matches!(hear_in_pieces::<Sse>(b"INFO {}\r\n"), Err(Fault::Unknown(_))));
        assert_eq!(hear_in_pieces::<Sse>(format!("{BEGUN}hm\n\n").as_bytes()), Err(UNKNOWN));
    }
}

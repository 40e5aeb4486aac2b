//! Fanwire over WebSocket, as services and pages with a codec speak it: native frames in binary messages, one a message
//! (protocol.md section E.3), and all that opens a conversation in one.

use super::fanwire::{self, Fanwire};
use super::http;
use crate::bench::adapter::{Adapter, Ear, Fault, Level, Opening, Progress, Topics};
use std::ops::Range;

/// The adapter.
pub(in crate::bench) struct WebSocket;

const UPGRADE: &[u8] = b"GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ZmFud2lyZSBiZW5jaCAhIQ==\r\n\
    Sec-WebSocket-Protocol: fanwire.v1\r\n\r\n";
/// The status of who agrees.
const SWITCHING: &str = "101";
/// First bytes of frames that are messages of their own (RFC 6455 section 5.2).
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
/// The bit that says: masked, as all that a client sends.
const MASKED: u8 = 0x80;
/// What masks: any four bytes cost the broker the same, as long as there are some.
const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];
/// Bytes of a control frame's payload at the most.
const CONTROL_BYTES_MAX: usize = 125;
const UNKNOWN: Fault = Fault::Unknown("WebSocket with Fanwire's frames in it");

impl Adapter for WebSocket {
    fn open(opening: &Opening<'_>, out: &mut Vec<u8>) -> u32 {
        out.extend_from_slice(UPGRADE);
        let mut confirmations = 0;
        in_message(out, |out| confirmations = fanwire::open_frames(opening, out));
        confirmations
    }

    fn publish(topics: &Topics, topic: u32, payload: &[u8], out: &mut Vec<u8>) {
        in_message(out, |out| Fanwire::publish(topics, topic, payload, out));
    }

    fn append(topics: &Topics, topic: u32, level: Level, payload: &[u8], out: &mut Vec<u8>) {
        in_message(out, |out| Fanwire::append(topics, topic, level, payload, out));
    }

    fn request(topics: &Topics, sequence: u64, payload: &[u8], out: &mut Vec<u8>) {
        in_message(out, |out| Fanwire::request(topics, sequence, payload, out));
    }

    fn reply(topics: &Topics, handle: &[u8], payload: &[u8], out: &mut Vec<u8>) {
        in_message(out, |out| Fanwire::reply(topics, handle, payload, out));
    }

    fn hear<E: Ear>(progress: &mut Progress, bytes: &[u8], ear: &mut E) -> Result<usize, Fault> {
        let mut used = 0;
        if !progress.greeted {
            match http::head_bytes(bytes, SWITCHING)? {
                Some(head_bytes) => used = head_bytes,
                None => return Ok(0),
            }
            progress.greeted = true;
        }
        while let Some((first, payload)) = frame_at(&bytes[used..])? {
            let begin = used;
            used += payload.end;
            let payload = &bytes[begin..][payload];
            match first {
                BINARY if fanwire::hear_frames(payload, ear)? == payload.len() => {}
                PING if payload.len() <= CONTROL_BYTES_MAX => owe_pong(payload, ear),
                PONG => {}
                CLOSE => return Err(Fault::Refused(told_in_close(payload))),
                _ => return Err(UNKNOWN),
            }
        }
        Ok(used)
    }
}

/// The first byte of the frame at the front, and where its payload lies; `None` when it is not whole.
#[inline]
fn frame_at(bytes: &[u8]) -> Result<Option<(u8, Range<usize>)>, Fault> {
    let Some(&[first, length]) = bytes.first_chunk() else { return Ok(None) };
    let (head, payload) = match length {
        0..=125 => (2, usize::from(length)),
        126 => match bytes.get(2..4) {
            Some(length) => (4, usize::from(u16::from_be_bytes([length[0], length[1]]))),
            None => return Ok(None),
        },
        127 => match bytes[2..].first_chunk() {
            Some(length) => (10, usize::try_from(u64::from_be_bytes(*length)).map_err(|_| UNKNOWN)?),
            None => return Ok(None),
        },
        // Masked, which a server does not do.
        _ => return Err(UNKNOWN),
    };
    let end = head + payload;
    Ok((bytes.len() >= end).then_some((first, head..end)))
}

fn owe_pong(payload: &[u8], ear: &mut impl Ear) {
    // A key of zeros leaves the payload as it is.
    let mut pong = [0; 6 + CONTROL_BYTES_MAX];
    (pong[0], pong[1]) = (PONG, MASKED | u8::try_from(payload.len()).expect("a control frame's"));
    pong[6..6 + payload.len()].copy_from_slice(payload);
    ear.owes(&pong[..6 + payload.len()]);
}

fn told_in_close(payload: &[u8]) -> String {
    match payload.split_first_chunk() {
        Some((status, reason)) => format!("{} (status {})", reason.escape_ascii(), u16::from_be_bytes(*status)),
        None => "it closed without a reason".to_owned(),
    }
}

/// Appends a binary message with what `render` appends in it.
fn in_message(out: &mut Vec<u8>, render: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    render(out);
    let payload_bytes = out.len() - begin;
    let mut head = [0; 14];
    head[0] = BINARY;
    let length_end = match u16::try_from(payload_bytes) {
        Ok(length @ 0..126) => {
            head[1] = MASKED | length.to_le_bytes()[0];
            2
        }
        Ok(length) => {
            head[1] = MASKED | 126;
            head[2..4].copy_from_slice(&length.to_be_bytes());
            4
        }
        Err(_) => {
            head[1] = MASKED | 127;
            head[2..10].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
            10
        }
    };
    let head_bytes = length_end + KEY.len();
    head[length_end..head_bytes].copy_from_slice(&KEY);
    let end = out.len();
    out.extend_from_slice(&head[..head_bytes]);
    out.copy_within(begin..end, begin + head_bytes);
    out[begin..begin + head_bytes].copy_from_slice(&head[..head_bytes]);
    for four in out[begin + head_bytes..].chunks_mut(KEY.len()) {
        four.iter_mut().zip(KEY).for_each(|(byte, key)| *byte ^= key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::adapter::listening::{hear_in_pieces, opened};
    use crate::bench::adapter::{Interest, Part};
    use fanwire_wire::frame::{Frame, Message, Outcome, Subscribed, split_frame};

    const AGREED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";

    /// What a client's message says.
    fn unmasked(message: &[u8]) -> Vec<u8> {
        assert_eq!(message[0], BINARY);
        let head = match message[1] & !MASKED {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        let key = &message[head..head + 4];
        let payload = message[head + 4..].iter().zip(key.iter().cycle());
        payload.map(|(byte, key)| byte ^ key).collect()
    }

    fn server(first: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[first, length][..], payload].concat()
    }

    fn encoded(frame: impl Into<Frame<'static>>) -> Vec<u8> {
        let mut out = Vec::new();
        frame.into().encode(&mut out);
        out
    }

    #[test]
    fn it_opens_pipelined_and_publishes_a_message_each() {
        let topics = Topics::new(2, '/');
        let (bytes, confirmations) = opened::<WebSocket>(Part::Member, Interest::Topics(0..2), &topics);
        assert_eq!(confirmations, 3);
        let frames = unmasked(bytes.strip_prefix(UPGRADE).expect("it asks for an upgrade"));
        let (mut rest, mut count) = (&frames[..], 0);
        while let Some((_, size)) = split_frame(rest, 1_000).unwrap() {
            (rest, count) = (&rest[size..], count + 1);
        }
        assert_eq!((rest.len(), count), (0, 3), "HELLO and two of SUBSCRIBE");
        for payload_bytes in [24, 118, 119, 65_000, 70_000] {
            let payload = vec![b'p'; payload_bytes];
            let (mut message, mut frame) = (Vec::new(), Vec::new());
            WebSocket::publish(&topics, 1, &payload, &mut message);
            Fanwire::publish(&topics, 1, &payload, &mut frame);
            assert_eq!(unmasked(&message), frame, "{payload_bytes}");
        }
    }

    #[test]
    fn it_hears_however_the_stream_is_cut() {
        let one = encoded(Message { topic_id: 9, headers: &[], payload: b"one" });
        let long = encoded(Message { topic_id: 9, headers: &[], payload: &[b'l'; 200] });
        let mut bytes = AGREED.to_vec();
        let subscribed = Subscribed { subscription: 1, topic_id: 9, outcome: Outcome::Live, epoch: 0 };
        bytes.extend(server(BINARY, &encoded(subscribed)));
        bytes.extend(server(BINARY, &[&one[..], &one].concat()));
        bytes.extend(server(PING, b"hm"));
        bytes.extend([BINARY, 126, 0, u8::try_from(long.len()).unwrap()]);
        bytes.extend(long);
        let heard = hear_in_pieces::<WebSocket>(&bytes).unwrap();
        let pong = "owes \\x8a\\x82\\x00\\x00\\x00\\x00hm";
        assert_eq!(heard[..4], ["confirmed", "delivered one", "delivered one", pong]);
        assert_eq!(heard[4].len(), "delivered ".len() + 200);
    }

    #[test]
    fn a_refusal_ends_it_and_so_does_what_is_no_whole_frame() {
        let refused = hear_in_pieces::<WebSocket>(b"HTTP/1.1 421 Misdirected Request\r\n\r\n").unwrap_err();
        assert!(refused.to_string().contains("421"), "{refused}");
        let closed = [AGREED, &server(CLOSE, b"\x03\xF5SLOW_CONSUMER 17")].concat();
        let refused = hear_in_pieces::<WebSocket>(&closed).unwrap_err();
        assert!(refused.to_string().contains("SLOW_CONSUMER 17 (status 1013)"), "{refused}");
        for strange in [server(BINARY, b"\x05abc"), server(0x81, b"{}"), vec![BINARY, 0x80, 0, 0, 0, 0]] {
            let heard = hear_in_pieces::<WebSocket>(&[AGREED, &strange].concat());
            assert_eq!(heard, Err(UNKNOWN), "{strange:?}");
        }
    }
}

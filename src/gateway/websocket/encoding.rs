//! Deliveries and events as messages of a WebSocket, whole each, so that all subscribers are sent the same bytes.
//!
//! Deliveries that are long enough are made smaller for those who have agreed on that: once for all of them. What goes
//! to one session alone, history and events, is not: it would cost as much for each.

use super::deflate::{DEFLATED_BYTES_MIN, Deflater};
use super::frame::{Opcode, encode_deflated_header, encode_header, encode_message};
use crate::NativeEncoding;
use crate::json;
use fanwire_core::journal::history::HistoryRecord;
use fanwire_core::{Delivery, Encoding, Event, HistoryOf};
use std::cell::RefCell;

/// Bytes of room that is kept between two messages.
const ROOM_BYTES_MAX: usize = 64 * 1024;

/// What a message has besides its payload, headers and topic, about: the length of a message is guessed with it.
const AROUND_BYTES: usize = 16;
/// The same, of an object.
const AROUND_OBJECT_BYTES: usize = 64;

/// Native frames, a binary message each.
#[derive(Debug, Clone, Copy)]
pub struct NativeMessages;

/// JSON objects, a text message each.
#[derive(Debug, Clone, Copy)]
pub struct JsonMessages;

impl Encoding for NativeMessages {
    fn render_message(&self, delivery: &Delivery<'_>, out: &mut Vec<u8>) {
        let guess_bytes = AROUND_BYTES + delivery.headers.len() + delivery.payload.len();
        encode_message(Opcode::Binary, guess_bytes, out, |out| NativeEncoding.render_message(delivery, out));
    }

    fn render_history(&self, of: &HistoryOf, record: &HistoryRecord<'_>, out: &mut Vec<u8>) {
        let guess_bytes = 2 * AROUND_BYTES + record.topic.len() + record.headers.len() + record.payload.len();
        encode_message(Opcode::Binary, guess_bytes, out, |out| NativeEncoding.render_history(of, record, out));
    }

    fn render_event(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        encode_message(Opcode::Binary, 0, out, |out| NativeEncoding.render_event(event, out));
    }
}

impl Encoding for JsonMessages {
    fn needs_name(&self) -> bool {
        true
    }

    fn render_message(&self, delivery: &Delivery<'_>, out: &mut Vec<u8>) {
        let guess_bytes = AROUND_OBJECT_BYTES + delivery.topic.len() + delivery.payload.len();
        encode_message(Opcode::Text, guess_bytes, out, |out| json::deliver(delivery, out));
    }

    fn render_history(&self, of: &HistoryOf, record: &HistoryRecord<'_>, out: &mut Vec<u8>) {
        let guess_bytes = 2 * AROUND_OBJECT_BYTES + record.topic.len() + record.payload.len();
        encode_message(Opcode::Text, guess_bytes, out, |out| json::history(of.subscription, record, out));
    }

    fn render_event(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        encode_message(Opcode::Text, AROUND_OBJECT_BYTES, out, |out| json::event(event, out));
    }
}

/// The same as [`NativeMessages`], made smaller.
#[derive(Debug, Default)]
pub struct DeflatedNativeMessages(RefCell<Room>);

/// The same as [`JsonMessages`], made smaller.
#[derive(Debug, Default)]
pub struct DeflatedJsonMessages(RefCell<Room>);

impl Encoding for DeflatedNativeMessages {
    fn render_message(&self, delivery: &Delivery<'_>, out: &mut Vec<u8>) {
        let render = |out: &mut Vec<u8>| NativeEncoding.render_message(delivery, out);
        self.0.borrow_mut().encode(Opcode::Binary, out, render);
    }

    fn render_history(&self, of: &HistoryOf, record: &HistoryRecord<'_>, out: &mut Vec<u8>) {
        NativeMessages.render_history(of, record, out);
    }

    fn render_event(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        NativeMessages.render_event(event, out);
    }
}

impl Encoding for DeflatedJsonMessages {
    fn needs_name(&self) -> bool {
        true
    }

    fn render_message(&self, delivery: &Delivery<'_>, out: &mut Vec<u8>) {
        self.0.borrow_mut().encode(Opcode::Text, out, |out| json::deliver(delivery, out));
    }

    fn render_history(&self, of: &HistoryOf, record: &HistoryRecord<'_>, out: &mut Vec<u8>) {
        JsonMessages.render_history(of, record, out);
    }

    fn render_event(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        JsonMessages.render_event(event, out);
    }
}

/// What making messages smaller takes, for one after the other.
#[derive(Debug, Default)]
struct Room {
    deflater: Deflater,
    message: Vec<u8>,
    deflated: Vec<u8>,
}

impl Room {
    /// Appends a message: smaller, if it is long enough for that and becomes so.
    fn encode(&mut self, opcode: Opcode, out: &mut Vec<u8>, render: impl FnOnce(&mut Vec<u8>)) {
        let Room { deflater, message, deflated } = self;
        message.clear();
        deflated.clear();
        render(message);
        if message.len() >= DEFLATED_BYTES_MIN && deflater.deflate(message, deflated) {
            encode_deflated_header(opcode, deflated.len(), out);
            out.extend_from_slice(deflated);
        } else {
            encode_header(opcode, message.len(), out);
            out.extend_from_slice(message);
        }
        message.shrink_to(ROOM_BYTES_MAX);
        deflated.shrink_to(ROOM_BYTES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::super::deflate::inflate;
    use super::super::deflate::tests::noise;
    use super::*;
    use fanwire_core::Address;

    /// The first byte and the payload of the one message that it renders.
    fn rendered(encoding: &impl Encoding, payload: &[u8]) -> (u8, Vec<u8>) {
        let address = Address::Id(7);
        let delivery = Delivery { address, topic: "a/b", numbers: None, epoch: 0, headers: &[], payload };
        let mut out = Vec::new();
        encoding.render_message(&delivery, &mut out);
        let head = if out[1] == 126 { 4 } else { 2 };
        (out[0], out[head..].to_vec())
    }

    #[test]
    fn a_long_delivery_is_made_smaller_and_is_the_same_behind_it() {
        let (native, json) = (DeflatedNativeMessages::default(), DeflatedJsonMessages::default());
        let long = "all work and no play ".repeat(100);
        for _ in 0..2 {
            let (first, deflated) = rendered(&native, long.as_bytes());
            assert_eq!((first, deflated.len() < 200), (0xC2, true));
            assert_eq!(inflate(&deflated, 4_096).unwrap(), rendered(&NativeMessages, long.as_bytes()).1);
            let (first, deflated) = rendered(&json, long.as_bytes());
            assert_eq!((first, deflated.len() < 200), (0xC1, true));
            assert_eq!(inflate(&deflated, 4_096).unwrap(), rendered(&JsonMessages, long.as_bytes()).1);
        }
    }

    #[test]
    fn a_short_delivery_and_one_that_does_not_become_smaller_stay_as_they_are() {
        for payload in [&b"short"[..], &noise(2_000)] {
            let encoding = DeflatedNativeMessages::default();
            assert_eq!(rendered(&encoding, payload), rendered(&NativeMessages, payload));
        }
    }
}

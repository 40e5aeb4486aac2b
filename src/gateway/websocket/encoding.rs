//! Deliveries and events as messages of a WebSocket, whole each, so that all subscribers are sent the same bytes.

use super::frame::{Opcode, encode_message};
use crate::NativeEncoding;
use crate::json;
use fanwire_core::journal::history::HistoryRecord;
use fanwire_core::{Delivery, Encoding, Event, HistoryOf};

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

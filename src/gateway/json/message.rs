//! Deliveries: each is rendered once for all its receivers, and most of what a broker writes is one.
//!
//! ```text
//!  {"type":"message","topic":"rooms/lobby","headers":{...}   ,"sequence":7,"position":9,"payload":"hello"}
//!  `------------------ begin_message -------------------'   `---------------- end_message -------------'
//!    the same for messages of one topic and headers            differs
//! ```

use super::content::{push_headers, push_payload};
use super::object::{Object, push_number, push_text};
use fanwire_core::journal::history::HistoryRecord;
use fanwire_core::{Delivery, Numbers};

/// Appends a delivery.
#[inline]
pub fn deliver(delivery: &Delivery<'_>, out: &mut Vec<u8>) {
    begin_message(delivery.topic, delivery.headers, out);
    end_message(delivery.numbers, delivery.payload, out);
}

/// Appends the first part of a delivery: what messages that differ in payload and numbers alone have in common, so
/// that it can be copied for each instead.
#[inline]
pub fn begin_message(topic: &str, headers: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"message\",\"topic\":");
    push_text(topic, out);
    push_headers(headers, out);
}

/// Appends the second part of a delivery.
#[inline]
pub fn end_message(numbers: Option<Numbers>, payload: &[u8], out: &mut Vec<u8>) {
    if let Some(Numbers { sequence, position }) = numbers {
        out.extend_from_slice(b",\"sequence\":");
        push_number(sequence, out);
        out.extend_from_slice(b",\"position\":");
        push_number(position, out);
    }
    push_payload(payload, out);
    out.push(b'}');
}

/// Appends one record of a subscription's history.
pub fn history(subscription: u32, record: &HistoryRecord<'_>, out: &mut Vec<u8>) {
    Object::begin("history", out)
        .number("subscription", subscription)
        .text("topic", record.topic)
        .number("sequence", record.sequence)
        .number("position", record.position)
        .number("time_us", record.time_us)
        .with(|out| push_headers(record.headers, out))
        .with(|out| push_payload(record.payload, out))
        .end();
}

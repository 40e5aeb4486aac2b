//! Server-sent events: deliveries and events as the lines that `EventSource` reads (HTML standard, section 9.2).
//!
//! ```text
//!  id: 3-17                                    epoch, and the number that a resumed start begins behind
//!  data: {"type":"message","topic":"a/b", ...} the object of `fanwire.json.v1`; it has no raw line end
//!  (empty line)
//!
//!  event: gap                                  whatever is no message
//!  data: {"type":"gap", ...}
//!  (empty line)
//! ```
//!
//! The id is what comes back as `Last-Event-ID`: the sequence for an exact filter, the position for one with
//! wildcards, as a resumed start takes them. Live topics have none.

use crate::json;
use fanwire_core::journal::history::HistoryRecord;
use fanwire_core::{Address, Delivery, Encoding, Event, HistoryOf, Numbers};
use fanwire_wire::Code;
use fanwire_wire::frame::{Goaway, Refusal, Scope};
use std::io::Write;

/// A comment, which every `EventSource` drops: it keeps proxies from closing a stream that is silent.
pub const HEARTBEAT: &[u8] = b":\n\n";

/// Events as lines.
#[derive(Debug, Clone, Copy)]
pub struct EventStream;

/// Appends the last event of a stream that the broker ends.
pub fn write_closing(code: Code, out: &mut Vec<u8>) {
    let refusal = Refusal::new(Scope::Connection, code, 0, code.meaning());
    out.extend_from_slice(b"event: error\n");
    write_data(out, |out| json::error(&refusal, None, out));
}

/// Appends that the broker goes down, and when to come back: to `EventSource`, which knows no window, how long to wait.
pub fn write_goaway(goaway: &Goaway<'_>, connection_id: u64, out: &mut Vec<u8>) {
    // Writing to a vector can't fail.
    let _ = write!(out, "event: goaway\nretry: {}\n", spread(goaway, connection_id));
    write_data(out, |out| json::goaway(goaway, out));
}

/// A connection's own moment of a window. Numbers one after the other are spread evenly by the golden ratio.
fn spread(goaway: &Goaway<'_>, connection_id: u64) -> u64 {
    let window_ms = u64::from(goaway.reconnect_max_ms.saturating_sub(goaway.reconnect_min_ms));
    let share = connection_id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    u64::from(goaway.reconnect_min_ms) + ((share * (window_ms + 1)) >> 32)
}

/// Where a stream that broke goes on: `EPOCH-NUMBER`, as in an event's id.
pub fn parse_id(id: &str) -> Option<(u64, u64)> {
    let (epoch, last) = id.split_once('-')?;
    let number = |text: &str| {
        let is_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        is_digits.then(|| text.parse().ok()).flatten()
    };
    Some((number(epoch)?, number(last)?))
}

impl Encoding for EventStream {
    fn needs_name(&self) -> bool {
        true
    }

    fn render_message(&self, delivery: &Delivery<'_>, out: &mut Vec<u8>) {
        if let Some(numbers) = delivery.numbers {
            write_id(delivery.epoch, number_for(delivery.address, numbers), out);
        }
        write_data(out, |out| json::deliver(delivery, out));
    }

    fn render_history(&self, of: &HistoryOf, record: &HistoryRecord<'_>, out: &mut Vec<u8>) {
        let numbers = Numbers { sequence: record.sequence, position: record.position };
        write_id(of.epoch, number_for(of.address, numbers), out);
        // To who reads, a record is a message, whenever it was published.
        write_data(out, |out| json::history(of.subscription, record, out));
    }

    fn render_event(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name_of(event).as_bytes());
        out.push(b'\n');
        write_data(out, |out| json::event(event, out));
    }
}

/// What `addEventListener` is told.
const fn name_of(event: &Event<'_>) -> &'static str {
    match event {
        Event::Subscribed { .. } => "subscribed",
        Event::Unsubscribed { .. } => "unsubscribed",
        Event::CaughtUp { .. } => "caught_up",
        Event::Cursor { .. } => "cursor",
        Event::Acked { .. } => "ack",
        Event::Refused { .. } => "error",
        Event::Gap { .. } => "gap",
        // To who reads, it is a message.
        Event::GroupMessage { .. } => "message",
        Event::Call { .. } => "call",
        Event::Response { .. } => "response",
    }
}

const fn number_for(address: Address, numbers: Numbers) -> u64 {
    match address {
        Address::Id(_) => numbers.sequence,
        Address::Name => numbers.position,
    }
}

fn write_id(epoch: u64, number: u64, out: &mut Vec<u8>) {
    // Writing to a vector can't fail.
    let _ = writeln!(out, "id: {epoch}-{number}");
}

fn write_data(out: &mut Vec<u8>, render: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"data: ");
    render(out);
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery(payload: &[u8]) -> Delivery<'_> {
        let address = Address::Id(1);
        Delivery { address, topic: "a/b", numbers: None, epoch: 0, headers: &[], payload }
    }

    fn text(render: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        render(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_payload_with_line_ends_is_one_event() {
        let event = text(|out| EventStream.render_message(&delivery(b"one\ntwo\r\n\r\n:three"), out));
        assert!(event.starts_with("data: {") && event.ends_with("}\n\n"), "{event:?}");
        assert_eq!((event.matches('\n').count(), event.matches('\r').count()), (2, 0));
    }

    #[test]
    fn an_exact_filter_resumes_by_sequence_and_a_wildcard_by_position() {
        let numbers = Some(Numbers { sequence: 4, position: 9 });
        let exact = Delivery { numbers, epoch: 3, ..delivery(b"x") };
        let named = Delivery { address: Address::Name, ..exact };
        assert!(text(|out| EventStream.render_message(&exact, out)).starts_with("id: 3-4\ndata: "));
        assert!(text(|out| EventStream.render_message(&named, out)).starts_with("id: 3-9\ndata: "));
    }

    #[test]
    fn who_is_asked_to_leave_is_told_a_moment_of_its_own_in_the_window() {
        let goaway = crate::native::goaway((100, 5_000));
        let told: Vec<u64> = (1..=100).map(|connection_id| spread(&goaway, connection_id)).collect();
        assert!(told.iter().all(|moment| (100..=5_000).contains(moment)), "{told:?}");
        for tenth in 0..10 {
            let among = (100 + tenth * 490)..(590 + tenth * 490);
            let count = told.iter().filter(|moment| among.contains(*moment)).count();
            assert!((5..=15).contains(&count), "{tenth}: {count}");
        }
        assert_eq!(spread(&crate::native::goaway((7, 7)), u64::MAX), 7);
        assert_eq!(spread(&crate::native::goaway((0, u32::MAX)), u64::MAX) >> 32, 0);
    }

    #[test]
    fn an_id_comes_back_as_it_went() {
        assert_eq!(parse_id("3-17"), Some((3, 17)));
        for id in ["", "3", "-", "3-", "-3", "3-17-1", "+3-1", "3 - 1", "99999999999999999999-1"] {
            assert_eq!(parse_id(id), None, "{id:?}");
        }
    }
}

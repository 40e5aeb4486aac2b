//! An encoding for the oracle: a line a frame, with all numbers in it.

use fanwire_core::journal::history::HistoryRecord;
use fanwire_core::{Address, Delivery, Encoding, Event, HistoryOf, Numbers};
use fanwire_wire::Code;
use fanwire_wire::frame::Outcome;

pub(crate) struct Lines;

/// A frame as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Message { address: Named, sequence: u64, position: u64, publish: u64 },
    History { subscription: u32, topic: String, sequence: u64, position: u64, publish: u64 },
    Subscribed { subscription: u32, topic_id: u32, outcome: u8 },
    Unsubscribed { subscription: u32, code: u64 },
    CaughtUp { subscription: u32, position: u64 },
    Cursor { subscription: u32, position: u64 },
    Gap { subscription: u32, dropped: u64, conflated: u64 },
    Acked { first: u64, count: u64, level: u8, first_sequence: u64, is_duplicate: bool },
    Refused { scope: u8, reference: u64, code: u64, actual: Option<u64> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Named {
    Id(u32),
    Name(String),
}

impl Encoding for Lines {
    fn render_message(&self, message: &Delivery<'_>, out: &mut Vec<u8>) {
        let Numbers { sequence, position } = message.numbers.unwrap_or(Numbers { sequence: 0, position: 0 });
        let (id, name) = match message.address {
            Address::Id(id) => (id, "-"),
            Address::Name => (0, message.topic),
        };
        line(out, &format!("m {id} {name} {sequence} {position} {}", text(message.payload)));
    }

    fn render_history(&self, of: &HistoryOf, record: &HistoryRecord<'_>, out: &mut Vec<u8>) {
        let HistoryRecord { topic, sequence, position, payload, .. } = *record;
        let subscription = of.subscription;
        line(out, &format!("h {subscription} {topic} {sequence} {position} {}", text(payload)));
    }

    fn render_event(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        let number = |code: Option<Code>| code.map_or(0, |code| u64::from(code as u16));
        let text = match *event {
            Event::Subscribed { subscription, topic_id, outcome, .. } => {
                format!("s {subscription} {topic_id} {}", outcome as u8)
            }
            Event::Unsubscribed { subscription, code } => format!("u {subscription} {}", number(code)),
            Event::CaughtUp { subscription, position } => format!("c {subscription} {position}"),
            Event::Cursor { subscription, position } => format!("b {subscription} {position}"),
            Event::Gap { subscription, dropped, conflated } => {
                format!("g {subscription} {dropped:020} {conflated:020}")
            }
            Event::Acked { first, count, level, first_sequence, is_duplicate } => {
                format!("a {first} {count} {} {first_sequence} {}", level as u8, u8::from(is_duplicate))
            }
            Event::Refused { scope, code, reference, actual } => {
                let actual = actual.map_or(0, |actual| actual + 1);
                format!("r {reference} {} {actual} {}", number(Some(code)), scope as u8)
            }
            _ => unreachable!("nobody here asks, and nobody is in a group"),
        };
        line(out, &text);
    }
}

/// The next whole frame of what was received, and how many bytes it takes.
pub(crate) fn read(bytes: &[u8]) -> Option<(Frame, usize)> {
    let length = bytes.iter().position(|byte| *byte == b'\n')?;
    let words: Vec<&str> = text(&bytes[..length]).split(' ').collect();
    let number = |index: usize| words[index].parse::<u64>().unwrap_or_else(|_| panic!("a torn frame: {words:?}"));
    let publish = |index: usize| words[index].trim_end_matches('.').parse().expect("payloads begin with a number");
    let subscription = number(1) as u32;
    let frame = match words[0] {
        "m" => {
            let address = if number(1) > 0 { Named::Id(number(1) as u32) } else { Named::Name(words[2].to_owned()) };
            Frame::Message { address, sequence: number(3), position: number(4), publish: publish(5) }
        }
        "h" => Frame::History {
            subscription,
            topic: words[2].to_owned(),
            sequence: number(3),
            position: number(4),
            publish: publish(5),
        },
        "s" => Frame::Subscribed { subscription, topic_id: number(2) as u32, outcome: number(3) as u8 },
        "u" => Frame::Unsubscribed { subscription, code: number(2) },
        "c" => Frame::CaughtUp { subscription, position: number(2) },
        "b" => Frame::Cursor { subscription, position: number(2) },
        "g" => Frame::Gap { subscription, dropped: number(2), conflated: number(3) },
        "a" => Frame::Acked {
            first: number(1),
            count: number(2),
            level: number(3) as u8,
            first_sequence: number(4),
            is_duplicate: number(5) == 1,
        },
        "r" => Frame::Refused {
            reference: number(1),
            code: number(2),
            actual: number(3).checked_sub(1),
            scope: number(4) as u8,
        },
        _ => panic!("a torn frame: {words:?}"),
    };
    Some((frame, length + 1))
}

pub(crate) const LIVE: u8 = Outcome::Live as u8;

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the model sends text")
}

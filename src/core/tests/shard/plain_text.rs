//! An encoding for eyes: a line a frame, counts padded so that all GAPs have one length.

use fanwire_core::journal::history::HistoryRecord;
use fanwire_core::{Address, Delivery, Encoding, Event, HistoryOf};

pub(crate) struct PlainText;

impl Encoding for PlainText {
    fn render_message(&self, message: &Delivery<'_>, out: &mut Vec<u8>) {
        let topic = match message.address {
            Address::Id(_) => "id".to_owned(),
            Address::Name => message.topic.to_owned(),
        };
        line(out, &format!("{topic}: {}", text(message.payload)));
    }

    fn render_history(&self, of: &HistoryOf, record: &HistoryRecord<'_>, out: &mut Vec<u8>) {
        let HistoryRecord { topic, sequence, payload, .. } = *record;
        line(out, &format!("history {} {topic} {sequence}: {}", of.subscription, text(payload)));
    }

    fn render_event(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        let text = match *event {
            Event::Subscribed { subscription, .. } => format!("subscribed {subscription}"),
            Event::Unsubscribed { subscription, code: None } => format!("unsubscribed {subscription}"),
            Event::Unsubscribed { subscription, code: Some(code) } => format!("ended {subscription} {}", code.name()),
            Event::CaughtUp { subscription, position } => format!("caught up {subscription} at {position}"),
            Event::Cursor { subscription, position } => format!("cursor {subscription} at {position}"),
            Event::Acked { first, count, .. } => format!("acked {first} count {count}"),
            Event::Refused { code, reference, .. } => format!("refused {reference} {}", code.name()),
            Event::Gap { subscription, dropped, conflated } => {
                format!("gap {subscription} dropped {dropped:09} conflated {conflated:09}")
            }
            Event::GroupMessage { subscription, payload, .. } => format!("picked {subscription}: {}", text(payload)),
            Event::Call { handle, payload, .. } => format!("call {handle}: {}", text(payload)),
            Event::Response { correlation, code: None, payload, .. } => {
                format!("reply {correlation}: {}", text(payload))
            }
            Event::Response { correlation, code: Some(code), .. } => format!("no reply {correlation} {}", code.name()),
        };
        line(out, &text);
    }
}

/// The lines of what was sent. A long payload is told by its first word, and counts by their digits.
pub(crate) fn lines(bytes: &[u8]) -> Vec<String> {
    let shorten = |word: &str| match word.trim_start_matches('0') {
        "" => "0".to_owned(),
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => number.to_owned(),
        _ => word.trim_end_matches('.').to_owned(),
    };
    text(bytes).lines().map(|line| line.split(' ').map(shorten).collect::<Vec<_>>().join(" ")).collect()
}

fn line(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
    out.push(b'\n');
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("the tests send text")
}

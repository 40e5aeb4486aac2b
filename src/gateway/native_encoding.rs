//! The native protocol's bytes of deliveries and events (protocol.md section 5).

use fanwire_core::journal::history::HistoryRecord;
use fanwire_core::{Address, Delivery, Encoding, Event, HistoryOf, Numbers, render_one_by_one};
use fanwire_wire::frame::{
    Ack, Area, Call, CaughtUp, Cursor, Frame, Gap, History, Message, MessageGroup, MessageNamed, Record, RecordNamed,
    Refusal, Response, Subscribed, Unsubscribed,
};
use fanwire_wire::{Code, Extensions};

/// Renders native frames.
#[derive(Debug, Clone, Copy)]
pub struct NativeEncoding;

impl Encoding for NativeEncoding {
    #[inline(always)]
    fn render_message(&self, message: &Delivery<'_>, out: &mut Vec<u8>) {
        let Delivery { address, topic, numbers, headers, payload, .. } = *message;
        match (address, numbers) {
            (Address::Id(topic_id), None) => Message { topic_id, headers, payload }.encode(out),
            (Address::Name, None) => MessageNamed { topic: topic.as_bytes(), headers, payload }.encode(out),
            (Address::Id(topic_id), Some(Numbers { sequence, .. })) => {
                Record { topic_id, sequence, headers, payload }.encode(out);
            }
            (Address::Name, Some(Numbers { sequence, position })) => {
                RecordNamed { sequence, position, topic: topic.as_bytes(), headers, payload }.encode(out);
            }
        }
    }

    /// Live messages by id are most of what there is.
    fn render_messages(&self, like: &Delivery<'_>, payloads: &[&[u8]], out: &mut Vec<u8>) -> usize {
        let (Address::Id(topic_id), None) = (like.address, like.numbers) else {
            return render_one_by_one(self, like, payloads, out);
        };
        let mut last = out.len();
        for payload in payloads {
            last = out.len();
            Message { topic_id, headers: like.headers, payload }.encode(out);
        }
        last
    }

    fn render_history(&self, of: &HistoryOf, record: &HistoryRecord<'_>, out: &mut Vec<u8>) {
        let HistoryRecord { topic, sequence, position, time_us, headers, payload, .. } = *record;
        let subscription = of.subscription;
        History { subscription, sequence, position, time_us, topic: topic.as_bytes(), headers, payload }.encode(out);
    }

    fn render_event(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        let frame: Frame<'_> = match *event {
            Event::Subscribed { subscription, topic_id, outcome, epoch } => {
                Subscribed { subscription, topic_id, outcome, epoch }.into()
            }
            Event::Unsubscribed { subscription, code } => {
                Unsubscribed { subscription, code: code.map_or(0, Code::number) }.into()
            }
            Event::CaughtUp { subscription, position } => CaughtUp { subscription, position }.into(),
            Event::Cursor { subscription, position } => Cursor { subscription, position }.into(),
            Event::Acked { first, count, level, first_sequence, is_duplicate } => {
                let ack = Ack { first, count, level, first_sequence };
                if is_duplicate {
                    return ack.encode_with(Extensions::OF_DUPLICATES, out);
                }
                ack.into()
            }
            Event::Refused { scope, code, reference, actual } => {
                let refusal = Refusal::new(scope, code, reference, "");
                if let Some(sequence) = actual {
                    return refusal.encode_with(Area::of_actual(sequence).extensions(), out);
                }
                refusal.into()
            }
            Event::Gap { subscription, dropped, conflated } => Gap { subscription, dropped, conflated }.into(),
            Event::GroupMessage { subscription, topic, headers, payload } => {
                MessageGroup { subscription, topic: topic.as_bytes(), headers, payload }.into()
            }
            Event::Call { subscription, handle, deadline_ms, topic, headers, payload } => {
                Call { subscription, handle, deadline_ms, topic: topic.as_bytes(), headers, payload }.into()
            }
            Event::Response { correlation, code, headers, payload } => {
                Response { correlation, code: code.map_or(0, Code::number), headers, payload }.into()
            }
        };
        frame.encode(out);
    }
}

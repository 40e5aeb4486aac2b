//! The native protocol's bytes of deliveries and events (protocol.md section 5).

use fanwire_core::{Address, Delivery, Encoding, Event};
use fanwire_wire::frame::{
    Ack, Call, Frame, Gap, Message, MessageGroup, MessageNamed, Outcome, Refusal, Response, Subscribed, Unsubscribed,
};

/// Renders native frames.
#[derive(Debug, Clone, Copy)]
pub struct NativeEncoding;

impl Encoding for NativeEncoding {
    #[inline(always)]
    fn render_message(&self, message: &Delivery<'_>, out: &mut Vec<u8>) {
        let Delivery { address, topic, headers, payload } = *message;
        match address {
            Address::Id(topic_id) => Message { topic_id, headers, payload }.encode(out),
            Address::Name => MessageNamed { topic: topic.as_bytes(), headers, payload }.encode(out),
        }
    }

    fn render_event(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        let frame: Frame<'_> = match *event {
            Event::Subscribed { subscription, topic_id } => {
                Subscribed { subscription, topic_id, outcome: Outcome::Live, epoch: 0 }.into()
            }
            Event::Unsubscribed { subscription } => Unsubscribed { subscription, code: 0 }.into(),
            Event::Acked { first, count, level } => Ack { first, count, level, first_sequence: 0 }.into(),
            Event::Refused { scope, code, reference } => Refusal::new(scope, code, reference, "").into(),
            Event::Gap { subscription, dropped, conflated } => Gap { subscription, dropped, conflated }.into(),
            Event::GroupMessage { subscription, topic, headers, payload } => {
                MessageGroup { subscription, topic: topic.as_bytes(), headers, payload }.into()
            }
            Event::Call { subscription, handle, deadline_ms, topic, headers, payload } => {
                Call { subscription, handle, deadline_ms, topic: topic.as_bytes(), headers, payload }.into()
            }
            Event::Response { correlation, code, headers, payload } => {
                Response { correlation, code: code.map_or(0, fanwire_wire::Code::number), headers, payload }.into()
            }
        };
        frame.encode(out);
    }
}

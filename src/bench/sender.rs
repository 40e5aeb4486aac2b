//! One publisher: which topic comes next, which number, and the bytes of a batch.

use super::adapter::Part;
use super::ledger::Ledger;
use super::scenario::{Order, Publishing, Scenario};
use super::stamp::Stamp;

/// What fills a payload behind its stamp.
const FILLING: u8 = b'.';

/// A publisher at work.
#[derive(Debug)]
pub(super) struct Sender {
    /// Its connection.
    pub(super) link: usize,
    /// Messages so far.
    pub(super) sent: u64,
    number: u32,
    order: Order,
    topics: u32,
    /// The next number: of each topic, or of all together.
    next: Vec<u64>,
    payload: Vec<u8>,
}

impl Sender {
    pub(super) fn new(link: usize, publishing: &Publishing, scenario: &Scenario, numbered_by_topic: bool) -> Sender {
        let topics = scenario.topics.count();
        let is_one_stream = !numbered_by_topic || matches!(publishing.order, Order::Fixed(_));
        Sender {
            link,
            sent: 0,
            number: publishing.number,
            order: publishing.order.clone(),
            topics,
            next: vec![0; if is_one_stream { 1 } else { topics as usize }],
            payload: vec![FILLING; scenario.payload_bytes],
        }
    }

    /// Appends the next messages, all due at the same time.
    pub(super) fn append(
        &mut self,
        scenario: &Scenario,
        part: Part,
        batch: u32,
        intended_ns: u64,
        ledger: &mut Ledger,
        out: &mut Vec<u8>,
    ) {
        for _ in 0..batch {
            let topic = self.next_topic();
            let stream = if self.next.len() == 1 { 0 } else { topic as usize };
            let sequence = self.next[stream];
            self.next[stream] += 1;
            Stamp { publisher: self.number, topic, sequence, intended_ns }.write(&mut self.payload);
            match part {
                Part::Requester => scenario.target.request(&scenario.topics, sequence, &self.payload, out),
                Part::Member | Part::Responder | Part::Appender => {
                    scenario.target.publish(&scenario.topics, topic, &self.payload, out);
                }
            }
            ledger.send(topic);
            self.sent += 1;
        }
    }

    fn next_topic(&self) -> u32 {
        match &self.order {
            Order::Fixed(topic) => *topic,
            Order::Cycle => u32::try_from(self.sent % u64::from(self.topics)).expect("a remainder of a u32"),
            Order::Shuffled(order) => order[usize::try_from(self.sent).expect("64 bits") % order.len()],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::adapter::{Target, Topics};
    use super::super::scenario::Member;
    use super::*;

    fn scenario(topics: u32) -> Scenario {
        Scenario {
            target: Target::Floor,
            address: ([127, 0, 0, 1], 1).into(),
            process: None,
            topics: Topics::new(topics, '/'),
            publishers_a_topic: 1,
            payload_bytes: 24,
            members: vec![Member::hearing(0)],
        }
    }

    /// Topic and number of each message, out of the floor's bytes.
    fn sent(order: Order, numbered_by_topic: bool) -> Vec<(u32, u64)> {
        let scenario = scenario(3);
        let mut ledger = Ledger::new(3, &scenario.members);
        let mut sender = Sender::new(0, &Publishing { number: 5, order }, &scenario, numbered_by_topic);
        let mut out = Vec::new();
        sender.append(&scenario, Part::Member, 5, 77, &mut ledger, &mut out);
        let stamps = out.chunks(30).map(|message| Stamp::read(&message[6..]).unwrap());
        stamps
            .map(|stamp| {
                assert_eq!((stamp.publisher, stamp.intended_ns), (5, 77));
                (stamp.topic, stamp.sequence)
            })
            .collect()
    }

    #[test]
    fn topics_come_in_their_order_each_with_its_own_numbers() {
        assert_eq!(sent(Order::Cycle, true), [(0, 0), (1, 0), (2, 0), (0, 1), (1, 1)]);
        assert_eq!(sent(Order::Fixed(2), true), [(2, 0), (2, 1), (2, 2), (2, 3), (2, 4)]);
        let order = Order::Shuffled([2, 0].into());
        assert_eq!(sent(order.clone(), true), [(2, 0), (0, 0), (2, 1), (0, 1), (2, 2)]);
        assert_eq!(sent(order, false), [(2, 0), (0, 1), (2, 2), (0, 3), (2, 4)]);
    }
}

//! Fan-out at size: two hundred connections, fifty topics, exact filters and wildcards that overlap, groups and
//! no-echo. Every delivery is predicted, and no other may come.

use super::broker::Broker;
use super::peer::{Peer, publish, subscribe};
use fanwire_wire::frame::{AckLevel, Frame, Ping, PublishShort, Register, Subscribe};
use fanwire_wire::{Limits, TopicFilter, TopicName};
use std::collections::{BTreeMap, HashMap};

const CONNECTIONS: u32 = 200;
const TOPICS: u32 = 50;
/// Messages of each connection, over three topics.
const MESSAGES: u32 = 12;

/// Who published, to which topic, and which of its messages.
type Label = (u32, u32, u32);

/// One subscription of the plan.
struct Wish {
    filter: String,
    group: String,
    no_echo: bool,
}

/// What each connection subscribes to.
fn wishes(connection: u32) -> Vec<Wish> {
    let wish = |filter: &str, no_echo| Wish { filter: filter.to_owned(), group: String::new(), no_echo };
    let mut wishes = vec![wish(&topic(connection % TOPICS), connection.is_multiple_of(7))];
    if connection.is_multiple_of(3) {
        wishes.push(wish("room/+/state", connection.is_multiple_of(2)));
    }
    if connection.is_multiple_of(5) {
        wishes.push(wish("room/#", connection.is_multiple_of(2)));
    }
    if connection.is_multiple_of(4) {
        let group = format!("workers-{}", connection % 3);
        wishes.push(Wish { group, ..wish("room/+/state", false) });
    }
    if connection.is_multiple_of(11) {
        wishes.push(wish("elsewhere/#", false));
        // Exact and in a group: the group's share comes apart.
        wishes.push(Wish { group: "exact".to_owned(), ..wish(&topic(7), false) });
    }
    wishes
}

fn topic(number: u32) -> String {
    format!("room/{number}/state")
}

/// What each connection publishes, in order.
fn labels(connection: u32) -> impl Iterator<Item = Label> {
    (0..MESSAGES).map(move |index| (connection, (connection * 7 + index % 3 * 13) % TOPICS, index))
}

fn payload_of((publisher, topic, index): Label) -> Vec<u8> {
    [publisher, topic, index].iter().flat_map(|part| part.to_le_bytes()).collect()
}

fn label_of(payload: &[u8]) -> Label {
    let part = |at: usize| u32::from_le_bytes(payload[at..at + 4].try_into().expect("four bytes"));
    assert_eq!(payload.len(), 12);
    (part(0), part(4), part(8))
}

fn matches(filter: &str, topic: &str) -> bool {
    let limits = Limits::default();
    let filter = TopicFilter::new(filter.as_bytes(), &limits).expect("a filter");
    filter.matches(TopicName::new(topic.as_bytes(), &limits).expect("a topic"))
}

/// A connection and what it was delivered.
struct Member {
    number: u32,
    peer: Peer,
    topic_ids: HashMap<u32, u32>,
    merged: Vec<Label>,
    /// By group's filter and name.
    shared: BTreeMap<(String, String), Vec<Label>>,
}

impl Member {
    fn join(broker: &Broker, number: u32) -> Member {
        let mut peer = Peer::welcomed(broker.address());
        let mut topic_ids = HashMap::new();
        for (subscription, wish) in (0..).zip(wishes(number)) {
            let group = wish.group.as_bytes();
            let wish = Subscribe { group, no_echo: wish.no_echo, ..subscribe(subscription, &wish.filter) };
            let topic_id = peer.subscribe(wish);
            if topic_id != 0 {
                topic_ids.insert(topic_id, number % TOPICS);
            }
        }
        Member { number, peer, topic_ids, merged: Vec::new(), shared: BTreeMap::new() }
    }

    /// Publishes by name and by short id in turns; the last message asks for an ack.
    fn publish(&mut self) {
        for short_id in 0..3 {
            let name = topic((self.number * 7 + u32::from(short_id) * 13) % TOPICS);
            self.peer.send(Register { short_id, topic: name.as_bytes() });
        }
        for label in labels(self.number) {
            let (_, number, index) = label;
            let ack = if index + 1 == MESSAGES { AckLevel::Routed } else { AckLevel::None };
            let payload = payload_of(label);
            if (index / 3).is_multiple_of(2) {
                self.peer.send(publish(&topic(number), ack, &payload));
            } else {
                let short_id = u16::try_from(index % 3).expect("small");
                self.peer.send(PublishShort { ack, short_id, headers: b"", payload: &payload });
            }
        }
    }

    /// Hears deliveries until an answer comes.
    fn hear(&mut self) {
        let all = wishes(self.number);
        loop {
            match self.peer.frame() {
                Frame::Message(message) => {
                    let label = label_of(message.payload);
                    assert_eq!(self.topic_ids.get(&message.topic_id), Some(&label.1), "an id means its topic");
                    self.merged.push(label);
                }
                Frame::MessageNamed(message) => {
                    let label = label_of(message.payload);
                    assert_eq!(message.topic, topic(label.1).as_bytes());
                    assert!(self.number % TOPICS != label.1, "who has subscribed by name is told by id");
                    self.merged.push(label);
                }
                Frame::MessageGroup(message) => {
                    let label = label_of(message.payload);
                    assert_eq!(message.topic, topic(label.1).as_bytes());
                    let wish = &all[message.subscription as usize];
                    self.shared.entry((wish.filter.clone(), wish.group.clone())).or_default().push(label);
                }
                Frame::Ack(_) | Frame::Pong(_) => return,
                other => panic!("{other:?}"),
            }
        }
    }

    /// What it should be delivered outside of groups.
    fn expected(&self) -> Vec<Label> {
        let wishes: Vec<Wish> = wishes(self.number).into_iter().filter(|wish| wish.group.is_empty()).collect();
        let wants = |topic: &str, is_own: bool| {
            wishes.iter().any(|wish| matches(&wish.filter, topic) && !(is_own && wish.no_echo))
        };
        let wanted: Vec<(bool, bool)> =
            (0..TOPICS).map(topic).map(|name| (wants(&name, false), wants(&name, true))).collect();
        let is_wanted = |label: &Label| {
            let (from_others, own) = wanted[label.1 as usize];
            if label.0 == self.number { own } else { from_others }
        };
        (0..CONNECTIONS).flat_map(labels).filter(is_wanted).collect()
    }
}

#[track_caller]
fn expect_order(labels: &[Label]) {
    let mut last: HashMap<(u32, u32), u32> = HashMap::new();
    for (publisher, topic, index) in labels {
        if let Some(before) = last.insert((*publisher, *topic), *index) {
            assert!(before < *index, "{publisher}'s messages to {topic} came out of order");
        }
    }
}

#[test]
fn two_hundred_connections_get_exactly_what_they_asked_for_in_order() {
    let broker = Broker::start("");
    let mut members: Vec<Member> = (0..CONNECTIONS).map(|number| Member::join(&broker, number)).collect();
    members.iter_mut().for_each(Member::publish);
    // With its last message acknowledged, everything of a publisher stands in the queues.
    members.iter_mut().for_each(Member::hear);
    for member in &mut members {
        member.peer.send(Ping { time: 0 });
        member.hear();
    }
    let mut shares: BTreeMap<(String, String), Vec<Label>> = BTreeMap::new();
    for member in &mut members {
        expect_order(&member.merged);
        let mut merged = std::mem::take(&mut member.merged);
        merged.sort_unstable();
        let mut expected = member.expected();
        expected.sort_unstable();
        assert_eq!(merged, expected, "connection {}", member.number);
        for (group, labels) in std::mem::take(&mut member.shared) {
            expect_order(&labels);
            shares.entry(group).or_default().extend(labels);
        }
    }
    assert_eq!(shares.len(), 4);
    for ((filter, group), mut shared) in shares {
        let published = (0..CONNECTIONS).flat_map(labels);
        let mut expected: Vec<Label> = published.filter(|label| matches(&filter, &topic(label.1))).collect();
        expected.sort_unstable();
        shared.sort_unstable();
        assert_eq!(shared, expected, "each message to one member of {group} on {filter}");
    }
}

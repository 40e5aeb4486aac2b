//! A throng: four reactors, two hundred connections that all publish and subscribe, fifty topics, exact filters,
//! wildcards and groups. Every delivery is predicted by rules of its own and checked as it comes, so there may be any
//! number of messages: `FANWIRE_MESSAGES` says how many.
//!
//! Publishers go on wave by wave, the next one when everybody has everything of the last.

use super::broker::Broker;
use super::peer::{Peer, publish, subscribe};
use super::process::eventually;
use super::reactors::{Ear, Outgoing, amount, broker_of_several, peers, running_time};
use fanwire_wire::frame::{AckLevel, Frame, Subscribe};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

const CONNECTIONS: u32 = 200;
const ROOMS: u32 = 10;
const SORTS: u32 = 5;
const TOPICS: u32 = ROOMS * SORTS;
/// Messages of each connection in a wave.
const WAVE: u32 = 20;

/// What somebody wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Want {
    Topic(u32),
    Room(u32),
    Sort(u32),
    Everything,
}

impl Want {
    fn filter(self) -> String {
        match self {
            Want::Topic(topic) => name_of(topic),
            Want::Room(room) => format!("room-{room}/#"),
            Want::Sort(sort) => format!("+/sort-{sort}"),
            Want::Everything => "#".to_owned(),
        }
    }

    fn has(self, topic: u32) -> bool {
        match self {
            Want::Topic(wanted) => wanted == topic,
            Want::Room(room) => topic / SORTS == room,
            Want::Sort(sort) => topic % SORTS == sort,
            Want::Everything => true,
        }
    }
}

fn name_of(topic: u32) -> String {
    format!("room-{}/sort-{}", topic / SORTS, topic % SORTS)
}

/// What the groups want; each has a member on every fifteenth connection, and so on every reactor.
const GROUPS: [Want; 4] = [Want::Topic(7), Want::Room(3), Want::Sort(2), Want::Everything];

/// What a connection wants for itself alone.
fn wants_of(connection: u32) -> Vec<Want> {
    let mut wants = vec![Want::Topic(connection % TOPICS)];
    if connection.is_multiple_of(9) {
        wants.push(Want::Room(connection % ROOMS));
    }
    if connection.is_multiple_of(31) {
        wants.push(Want::Sort(connection % SORTS));
    }
    if connection.is_multiple_of(67) {
        wants.push(Want::Everything);
    }
    wants
}

fn group_of(connection: u32) -> Option<usize> {
    let group = (connection % 15) as usize;
    (group < GROUPS.len()).then_some(group)
}

/// Where a publisher's message goes, by its number.
const fn topic_of(publisher: u32, number: u32) -> u32 {
    (publisher * 7 + number) % TOPICS
}

fn payload_of(publisher: u32, number: u32) -> [u8; 8] {
    (u64::from(number) << 32 | u64::from(publisher)).to_le_bytes()
}

fn numbers_of(payload: &[u8]) -> (u32, u32) {
    let whole = u64::from_le_bytes(payload.try_into().expect("eight bytes"));
    (whole as u32, (whole >> 32) as u32)
}

/// What all threads look at.
struct Tally {
    /// Messages of each publisher.
    messages: u32,
    deliveries: AtomicU64,
    acks: AtomicU64,
    /// By group, publisher and message: whether some member had it.
    shared: Vec<Vec<AtomicBool>>,
}

impl Tally {
    fn new(messages: u32) -> Tally {
        let flags = || (0..CONNECTIONS * messages).map(|_| AtomicBool::new(false)).collect();
        let shared = GROUPS.iter().map(|_| flags()).collect();
        Tally { messages, deliveries: AtomicU64::new(0), acks: AtomicU64::new(0), shared }
    }

    /// Every message that a group wants was taken, and no other.
    fn expect_shares(&self) {
        for (group, flags) in GROUPS.iter().zip(&self.shared) {
            for publisher in 0..CONNECTIONS {
                for number in 0..self.messages {
                    let is_taken = flags[(publisher * self.messages + number) as usize].load(Ordering::Relaxed);
                    let is_wanted = group.has(topic_of(publisher, number));
                    assert_eq!(is_taken, is_wanted, "message {number} of {publisher} in the group on {group:?}");
                }
            }
        }
    }
}

/// A connection's deliveries, in its thread.
struct Listener<'a> {
    number: u32,
    topic_id: u32,
    tally: &'a Tally,
    /// By publisher and topic: the number of the next message.
    next: HashMap<(u32, u32), u32>,
    /// The same of a group's share: nothing comes before that.
    shared_next: HashMap<(u32, u32), u32>,
}

impl Listener<'_> {
    fn run(mut self, mut ear: Ear) {
        loop {
            let (mut deliveries, mut acks) = (0, 0);
            let goes_on = ear.hear(|frame| match frame {
                Frame::Ack(ack) => acks += u64::from(ack.count),
                other => {
                    self.take(&other);
                    deliveries += 1;
                }
            });
            self.tally.deliveries.fetch_add(deliveries, Ordering::Release);
            self.tally.acks.fetch_add(acks, Ordering::Release);
            if !goes_on {
                return self.expect_everything();
            }
        }
    }

    fn take(&mut self, frame: &Frame<'_>) {
        match frame {
            Frame::Message(message) => {
                assert_eq!(message.topic_id, self.topic_id);
                self.take_own(self.number % TOPICS, message.payload);
            }
            Frame::MessageNamed(message) => {
                let (publisher, number) = numbers_of(message.payload);
                let topic = topic_of(publisher, number);
                assert_eq!(message.topic, name_of(topic).as_bytes());
                assert!(topic != self.number % TOPICS, "who wants a topic by its name is told its id");
                self.take_own(topic, message.payload);
            }
            Frame::MessageGroup(message) => self.take_shared(message.payload),
            other => panic!("{other:?}"),
        }
    }

    /// The next message of its publisher to this topic, and no other.
    fn take_own(&mut self, topic: u32, payload: &[u8]) {
        let (publisher, number) = numbers_of(payload);
        assert_eq!(topic_of(publisher, number), topic);
        let first = (topic + publisher * (TOPICS - 7)) % TOPICS;
        let next = self.next.entry((publisher, topic)).or_insert(first);
        assert_eq!(number, *next, "{publisher}'s messages to topic {topic} at {}", self.number);
        *next += TOPICS;
    }

    /// Somebody else's message of the group may be missing here, but nothing comes twice or too late.
    fn take_shared(&mut self, payload: &[u8]) {
        let (publisher, number) = numbers_of(payload);
        let group = group_of(self.number).expect("who gets a group's messages is a member");
        let next = self.shared_next.entry((publisher, topic_of(publisher, number))).or_insert(0);
        assert!(*next <= number, "{publisher}'s messages to the group came out of order");
        *next = number + 1;
        let flag = &self.tally.shared[group][(publisher * self.tally.messages + number) as usize];
        assert!(!flag.swap(true, Ordering::Relaxed), "message {number} of {publisher} came to two members");
    }

    /// At the end: all of what it wants, and nothing else.
    fn expect_everything(self) {
        let wants = wants_of(self.number);
        for publisher in 0..CONNECTIONS {
            for number in 0..TOPICS.min(self.tally.messages) {
                let topic = topic_of(publisher, number);
                let is_wanted = wants.iter().any(|want| want.has(topic));
                let count = (self.tally.messages - number).div_ceil(TOPICS);
                let expected = is_wanted.then_some(number + count * TOPICS);
                let found = self.next.get(&(publisher, topic)).copied();
                assert_eq!(found, expected, "{publisher}'s messages to topic {topic} at {}", self.number);
            }
        }
    }
}

fn subscribe_all(peer: &mut Peer, number: u32) -> u32 {
    let mut topic_id = 0;
    for (subscription, want) in (0..).zip(wants_of(number)) {
        topic_id = topic_id.max(peer.subscribe(subscribe(subscription, &want.filter())));
    }
    if let Some(group) = group_of(number) {
        peer.subscribe(Subscribe { group: b"workers", ..subscribe(100, &GROUPS[group].filter()) });
    }
    topic_id
}

/// Deliveries of each publisher's message of this number, over all publishers.
fn deliveries_of(number: u32) -> u64 {
    let wanted = |topic: u32| {
        let subscribers =
            (0..CONNECTIONS).filter(|connection| wants_of(*connection).iter().any(|want| want.has(topic)));
        (subscribers.count() + GROUPS.iter().filter(|group| group.has(topic)).count()) as u64
    };
    (0..CONNECTIONS).map(|publisher| wanted(topic_of(publisher, number))).sum()
}

/// Every publisher's next messages, the last of which asks for an ack.
fn publish_wave(peers: &[Peer], numbers: std::ops::Range<u32>) {
    let mut outgoing = Outgoing::default();
    for (publisher, peer) in (0..).zip(peers) {
        for number in numbers.clone() {
            let ack = if number + 1 == numbers.end { AckLevel::Routed } else { AckLevel::None };
            outgoing.add(publish(&name_of(topic_of(publisher, number)), ack, &payload_of(publisher, number)));
        }
        outgoing.write_to(peer.stream());
    }
}

/// Publishes everything; returns the number of deliveries.
fn publish_all(peers: &[Peer], tally: &Tally) -> u64 {
    let (mut published, mut expected, mut waves) = (0, 0, 0);
    let by_number: Vec<u64> = (0..TOPICS).map(deliveries_of).collect();
    while published < tally.messages {
        let wave = published..tally.messages.min(published + WAVE);
        waves += 1;
        expected += wave.clone().map(|number| by_number[(number % TOPICS) as usize]).sum::<u64>();
        published = wave.end;
        publish_wave(peers, wave);
        let is_done = || {
            (tally.deliveries.load(Ordering::Acquire) >= expected
                && tally.acks.load(Ordering::Acquire) == waves * u64::from(CONNECTIONS))
            .then_some(())
        };
        eventually("every delivery of a wave", is_done);
    }
    expected
}

fn run_throng(broker: &Broker, messages: u32) {
    let mut peers = peers(broker, CONNECTIONS as usize);
    let topic_ids: Vec<u32> = (0..).zip(&mut peers).map(|(number, peer)| subscribe_all(peer, number)).collect();
    let tally = Tally::new(messages / CONNECTIONS);
    std::thread::scope(|scope| {
        for (number, (peer, topic_id)) in (0..).zip(peers.iter().zip(topic_ids)) {
            let (next, shared_next) = (HashMap::new(), HashMap::new());
            let (ear, listener) = (Ear::of(peer), Listener { number, topic_id, tally: &tally, next, shared_next });
            scope.spawn(move || listener.run(ear));
        }
        let (begin, before) = (Instant::now(), running_time(broker));
        let deliveries = publish_all(&peers, &tally);
        let each_ns = (running_time(broker) - before).as_nanos() / u128::from(deliveries);
        let seconds = begin.elapsed().as_secs_f64();
        println!("{messages} messages, {deliveries} deliveries in {seconds:.1} s, {each_ns} ns of the broker's each");
        peers.iter().for_each(Peer::end_output);
    });
    tally.expect_shares();
}

#[test]
fn everybody_gets_exactly_its_messages_over_four_reactors() {
    let broker = broker_of_several("");
    run_throng(&broker, amount("FANWIRE_MESSAGES", 20_000) as u32);
}

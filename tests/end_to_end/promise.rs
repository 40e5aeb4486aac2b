//! The promise: anyone who has seen SUBSCRIBED and publishes, on any reactor, reaches that subscriber.
//!
//! ```text
//!  subscriber on reactor r            channel             publisher on another reactor
//!   SUBSCRIBE, SUBSCRIBED  --------- "it stands" -------->  PUBLISH at once
//!   MESSAGE                <-----------------------------------'
//!   UNSUBSCRIBE (its interest is gone), and again
//! ```
//!
//! Each pair of a subscription and a topic goes round by itself; many pairs share a connection, so that thousands of
//! rounds a second are made. Two pairs share a place in the broker's table of interest only by chance, so nearly every
//! round raises a bit and lowers it again. `FANWIRE_PROMISES` says how many rounds are made.

use super::broker::Broker;
use super::peer::{Peer, publish, subscribe};
use super::process::{Process, fanwire};
use super::reactors::{Ear, Outgoing, REACTORS, amount, broker_of_several, peers, writer_of};
use fanwire_wire::frame::{AckLevel, Frame, Subscribe, Unsubscribe};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Instant;

/// Pairs of a reactor's subscriber.
const PAIRS: u32 = 48;

/// How a pair's subscription is made.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Exact,
    Wildcard,
    Leading,
    LeadingGroup,
    ExactGroup,
    WildcardGroup,
}

/// A subscription that comes and goes, and the topic that reaches it.
#[derive(Debug, Clone)]
struct Pair {
    filter: String,
    group: &'static str,
    topic: String,
    /// Who is told that the subscription stands.
    publisher: usize,
}

impl Pair {
    fn new(kind: Kind, reactor: usize, number: u32) -> Pair {
        let name = format!("{reactor}-{number}");
        let (filter, group, topic) = match kind {
            Kind::Exact => (format!("exact-{name}/a"), "", format!("exact-{name}/a")),
            Kind::Wildcard => (format!("wild-{name}/+"), "", format!("wild-{name}/a")),
            Kind::Leading => (format!("+/lead-{name}"), "", format!("a/lead-{name}")),
            Kind::LeadingGroup => (format!("+/led-{name}"), "workers", format!("a/led-{name}")),
            Kind::ExactGroup => (format!("group-{name}"), "workers", format!("group-{name}")),
            Kind::WildcardGroup => (format!("groups-{name}/#"), "workers", format!("groups-{name}/a")),
        };
        let others = REACTORS - 1;
        let publisher = (reactor + 1 + number as usize % others) % REACTORS;
        Pair { filter, group, topic, publisher }
    }
}

/// What is told from one to the other: the topic, and what to publish there.
struct Told {
    topic: String,
    payload: [u8; 8],
}

/// A reactor's subscriber, in its thread.
struct Subscriber {
    peer: Peer,
    pairs: Vec<Pair>,
    /// Of each pair.
    rounds: Vec<u32>,
    rounds_max: u32,
    channels: Vec<Sender<Told>>,
    outgoing: Outgoing,
}

impl Subscriber {
    /// Goes round with all pairs until each has made its rounds.
    fn run(mut self) {
        let mut ear = Ear::of(&self.peer);
        let writer = writer_of(&self.peer);
        (0..self.pairs.len()).for_each(|pair| self.subscribe(pair));
        let mut open = self.pairs.len();
        while open > 0 {
            self.outgoing.write_to(&writer);
            let is_there = ear.hear(|frame| match frame {
                Frame::Subscribed(subscribed) => self.tell(subscribed.subscription as usize),
                Frame::Message(message) => open -= usize::from(self.finish_round(message.payload)),
                Frame::MessageNamed(message) => open -= usize::from(self.finish_round(message.payload)),
                Frame::MessageGroup(message) => open -= usize::from(self.finish_round(message.payload)),
                Frame::Unsubscribed(unsubscribed) => self.begin_late_round(unsubscribed.subscription as usize),
                other => panic!("{other:?}"),
            });
            assert!(is_there, "the broker has ended the connection");
        }
    }

    fn subscribe(&mut self, pair: usize) {
        let Pair { filter, group, .. } = &self.pairs[pair];
        self.outgoing.add(Subscribe { group: group.as_bytes(), ..subscribe(pair as u32, filter) });
    }

    /// The subscription stands: from here on nothing may be missed.
    fn tell(&self, pair: usize) {
        let Pair { topic, publisher, .. } = &self.pairs[pair];
        let payload = payload_of(pair as u32, self.rounds[pair]);
        self.channels[*publisher].send(Told { topic: topic.clone(), payload }).expect("the publisher listens");
    }

    /// Returns whether the pair has made its last round.
    fn finish_round(&mut self, payload: &[u8]) -> bool {
        let pair = u32::from_le_bytes(*payload.first_chunk().expect("eight bytes")) as usize;
        assert_eq!(payload, payload_of(pair as u32, self.rounds[pair]), "each message belongs to the round that runs");
        self.rounds[pair] += 1;
        self.outgoing.add(Unsubscribe { subscription: pair as u32 });
        let is_last = self.rounds[pair] == self.rounds_max;
        if !is_last && !self.is_late(pair) {
            self.subscribe(pair);
        }
        is_last
    }

    /// Every other round begins when the last one's subscription is known to be gone, and not at once behind it.
    fn is_late(&self, pair: usize) -> bool {
        !self.rounds[pair].is_multiple_of(2)
    }

    fn begin_late_round(&mut self, pair: usize) {
        if self.is_late(pair) && self.rounds[pair] < self.rounds_max {
            self.subscribe(pair);
        }
    }
}

fn payload_of(pair: u32, round: u32) -> [u8; 8] {
    (u64::from(round) << 32 | u64::from(pair)).to_le_bytes()
}

/// Publishes whatever it is told to, at once.
fn publish_when_told(peer: &Peer, told: &Receiver<Told>) {
    let writer = writer_of(peer);
    let mut outgoing = Outgoing::default();
    while let Ok(first) = told.recv() {
        for Told { topic, payload } in [first].into_iter().chain(told.try_iter()) {
            outgoing.add(publish(&topic, AckLevel::None, &payload));
        }
        outgoing.write_to(&writer);
    }
}

/// So many pairs on each reactor make so many rounds each, with filters of these kinds in turn.
fn keep_promises(broker: &Broker, kinds: &[Kind], pairs: u32, rounds_max: u32) {
    let begin = Instant::now();
    let (subscribers, publishers) = (peers(broker, REACTORS), peers(broker, REACTORS));
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..REACTORS).map(|_| channel()).unzip();
    std::thread::scope(|scope| {
        for (peer, told) in publishers.into_iter().zip(receivers) {
            scope.spawn(move || publish_when_told(&peer, &told));
        }
        for (reactor, peer) in subscribers.into_iter().enumerate() {
            let kind = |number: u32| kinds[number as usize / (REACTORS - 1) % kinds.len()];
            let pairs: Vec<Pair> = (0..pairs).map(|number| Pair::new(kind(number), reactor, number)).collect();
            let (rounds, channels) = (vec![0; pairs.len()], senders.clone());
            let subscriber = Subscriber { peer, pairs, rounds, rounds_max, channels, outgoing: Outgoing::default() };
            scope.spawn(move || subscriber.run());
        }
        drop(senders);
    });
    let count = f64::from(REACTORS as u32 * pairs * rounds_max);
    let seconds = begin.elapsed().as_secs_f64();
    println!("{count} promises kept in {seconds:.1} s, {:.0} a second: {kinds:?}", count / seconds);
}

#[test]
fn who_has_seen_subscribed_is_reached_from_every_reactor() {
    let broker = broker_of_several("");
    let kinds = [Kind::Exact, Kind::Wildcard, Kind::ExactGroup, Kind::WildcardGroup];
    let rounds = amount("FANWIRE_PROMISES", 100_000).div_ceil(u64::from(REACTORS as u32 * PAIRS));
    keep_promises(&broker, &kinds, PAIRS, rounds as u32);
}

/// There is one bit a reactor for all of these, so one pair a reactor is what moves it.
#[test]
fn who_has_seen_subscribed_to_a_leading_wildcard_is_reached_from_every_reactor() {
    let broker = broker_of_several("");
    let rounds = amount("FANWIRE_PROMISES", 100_000) / 20 / REACTORS as u64;
    keep_promises(&broker, &[Kind::Leading], 1, rounds as u32);
    keep_promises(&broker, &[Kind::Leading, Kind::LeadingGroup], 6, rounds as u32 / 3);
}

/// The other one is another process, and learns of it through a pipe.
#[test]
fn another_process_that_is_told_of_a_subscription_reaches_it() {
    const ROUNDS: usize = 1_000;
    let broker = broker_of_several("");
    let mut subscriber = Peer::welcomed(broker.address());
    let topics: Vec<String> = (1..REACTORS).map(|number| format!("told/{number}")).collect();
    // On the other reactors, in whatever order they come.
    let start = |topic: &String| {
        let mut command = fanwire(&["pub", topic, "--lines"]);
        command.env("FANWIRE_SERVER", broker.url());
        Process::start(command)
    };
    let mut processes: Vec<Process> = topics.iter().map(start).collect();
    for round in 0..ROUNDS {
        let (group, pair) = (if round.is_multiple_of(3) { &b"g"[..] } else { b"" }, round % topics.len());
        subscriber.subscribe(Subscribe { group, ..subscribe(1, &topics[pair]) });
        processes[pair].write(format!("{round}\n").as_bytes());
        let payload = match subscriber.frame() {
            Frame::Message(message) => message.payload,
            Frame::MessageGroup(message) => message.payload,
            other => panic!("{other:?}"),
        };
        assert_eq!(payload, round.to_string().as_bytes());
        subscriber.send(Unsubscribe { subscription: 1 });
        assert!(matches!(subscriber.frame(), Frame::Unsubscribed(_)));
    }
}

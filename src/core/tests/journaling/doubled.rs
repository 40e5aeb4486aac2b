//! A client that wants the newest of every topic, and every record too, and does not read as fast as others publish.

use crate::chance::Chance;
use crate::client::{Client, Publish, Seen, State, Sub};
use crate::node::Node;
use crate::office::Office;
use crate::swarm::Swarm;
use fanwire_core::journal::keeper::SyncMode;
use fanwire_core::{Command, EncodingId, Seat, SessionId, Slices, Target, command};
use fanwire_wire::frame::{AckLevel, Policy, Start};
use std::collections::BTreeMap;

const TOPICS: [&str; 5] = ["a/0", "a/1", "a/2", "a/x/0", "a/x/1"];
const PAYLOAD_BYTES: usize = 2_000;
const NEWEST: usize = 0;
const EVERY: usize = 1;

struct Scene {
    swarm: Swarm,
    chance: Chance,
    office: Office,
    node: Node,
    publisher: SessionId,
    reader: Client,
    publishes: Vec<Publish>,
    step: u64,
}

impl Scene {
    fn new() -> Scene {
        let mut chance = Chance(1);
        let mut swarm = Swarm::new(&mut chance);
        swarm.syncs = vec![SyncMode::Demand];
        // Several pieces of history find room there.
        swarm.settings.limits.queue_bytes_max = 2 * 1024 * 1024;
        let seat = Seat::row_with_journals(1).remove(0);
        let office = Office::new(&swarm, &seat);
        let mut node = Node::new(&swarm, seat, office.plan.clone());
        let publisher = node.shard.open_session(EncodingId(0));
        let reader = Client::new(0, node.shard.open_session(EncodingId(0)), true, false);
        let mut scene = Scene { swarm, chance, office, node, publisher, reader, publishes: Vec::new(), step: 0 };
        for (number, policy) in [(1, Policy::Conflate), (2, Policy::CatchUp)] {
            scene.subscribe(number, policy);
        }
        scene.rest(usize::MAX);
        scene
    }

    fn subscribe(&mut self, number: u32, policy: Policy) {
        let wish = command::Subscribe {
            subscription: number,
            filter: b"a/#",
            group: b"",
            policy,
            no_echo: false,
            responder: false,
            max_rate_hz: 0,
            start: Start::Live,
        };
        let session = self.reader.session.expect("it is open");
        self.node.shard.handle(session, &Command::Subscribe(wish)).expect("it breaks no protocol");
        self.reader.subs.push(Sub {
            number,
            filter: "a/#",
            policy,
            no_echo: false,
            max_rate_hz: 0,
            start: Start::Live,
            journal: Some(0),
            state: State::Asked,
            is_ending: false,
            asked: None,
            told: None,
            seen: Vec::new(),
            code: None,
        });
    }

    fn publish(&mut self, topic: &'static str) {
        let number = self.publishes.len();
        let payload = format!("{number:.<PAYLOAD_BYTES$}");
        let (expect, producer, taken, answers) = (None, None, None, Vec::new());
        self.publishes.push(Publish { topic, client: 1, ack: AckLevel::None, expect, producer, taken, answers });
        let (target, payloads) = (Target::Name(topic.as_bytes()), &[payload.as_bytes()][..]);
        let publish = Command::Publish { target, ack: AckLevel::None, headers: b"", payloads };
        self.node.shard.handle(self.publisher, &publish).expect("it breaks no protocol");
    }

    /// Everybody has a turn; the reader's socket takes so many bytes.
    fn turn(&mut self, socket_bytes: usize) {
        self.step += 1;
        self.node.shard.finish_turn();
        self.office.inbox[0].push_back(std::mem::take(self.node.shard.submissions()));
        self.office.turn(&mut self.chance, true);
        while self.office.help(&mut self.chance) {}
        self.node.releases.push_back(std::mem::take(self.office.releases_to(0)));
        while let Some(mail) = self.office.read_for(0) {
            self.node.history.push_back(mail);
        }
        self.flush(socket_bytes);
        self.node.shard.begin_turn(self.node.now);
        self.node.read();
    }

    fn flush(&mut self, mut socket_bytes: usize) {
        let session = self.reader.session.expect("it is open");
        if socket_bytes > 0 {
            self.node.shard.mark_writable(session);
        }
        let mark = self.office.mark(self.step, &self.swarm);
        self.node.shard.take_dirty(&mut Vec::new());
        loop {
            let mut slices = Slices::new();
            self.node.shard.front(session, &mut slices);
            let mut bytes = slices.concat();
            drop(slices);
            if bytes.is_empty() {
                return;
            }
            let is_blocked = bytes.len() > socket_bytes;
            bytes.truncate(socket_bytes);
            socket_bytes -= bytes.len();
            self.node.shard.advance(session, bytes.len(), is_blocked);
            self.reader.take(&bytes, &mark, &self.swarm, &mut self.publishes);
            if is_blocked {
                return;
            }
        }
    }

    /// Turns until nothing moves.
    fn rest(&mut self, socket_bytes: usize) {
        (0..500).for_each(|_| self.turn(socket_bytes));
        self.node.shard.check_invariants();
    }

    fn positions(&self, sub: usize) -> Vec<u64> {
        let position = |seen: &Seen| if let Seen::Record { position, .. } = seen { Some(*position) } else { None };
        self.reader.subs[sub].seen.iter().filter_map(position).collect()
    }

    fn last_of_each(&self) -> BTreeMap<&'static str, u64> {
        (1..).zip(&self.publishes).map(|(position, publish)| (publish.topic, position)).collect()
    }

    fn dropped(&self) -> u64 {
        let of = |seen: &Seen| if let Seen::Gap { dropped, .. } = seen { *dropped } else { 0 };
        self.reader.subs[NEWEST].seen.iter().map(of).sum()
    }
}

#[test]
fn who_conflates_beside_a_catch_up_one_gets_the_last_of_every_topic_and_the_other_all() {
    let mut scene = Scene::new();
    for number in 0..2_000 {
        // One topic is quiet from some moment on.
        scene.publish(TOPICS[if number > 30 { 1 + number % 4 } else { number % 5 }]);
        if number % 10 == 9 {
            scene.turn(0);
        }
    }
    scene.rest(usize::MAX);
    assert_eq!(scene.dropped(), 0, "nothing has to be dropped: the newest of all topics are little");
    let newest = scene.positions(NEWEST);
    assert!(newest.is_sorted(), "the journal's order: {newest:?}");
    for (topic, position) in scene.last_of_each() {
        assert!(newest.contains(&position), "{position}, the last of {topic}, never came: {newest:?}");
    }
    assert!(newest.len() < 1_000, "it was conflated");
    assert_eq!(scene.positions(EVERY), (1..=2_000).collect::<Vec<_>>());
}

#[test]
fn what_is_newest_does_not_wait_for_the_end_of_a_history_that_is_read_slowly() {
    let mut scene = Scene::new();
    for number in 0..8_000 {
        scene.publish(TOPICS[number % 5]);
        if number % 10 == 9 {
            // A fifth of what comes.
            scene.turn(if number < 1_000 { 0 } else { 2 * PAYLOAD_BYTES });
        }
    }
    let (newest, every) = (scene.positions(NEWEST), scene.positions(EVERY));
    let [newest, every] = [newest, every].map(|heard| heard.last().copied().unwrap_or(0));
    assert!(
        newest > 5_000 && every < 2_000,
        "{newest} is the newest that was heard, in the middle of history: {every}"
    );
    scene.rest(usize::MAX);
    assert_eq!(scene.positions(EVERY), (1..=8_000).collect::<Vec<_>>());
}

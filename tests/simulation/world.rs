//! The world: nodes, clients and a clock, moved step by step from one seed.
//!
//! ```text
//!  step:  time passes --> clients say things --> networks let some through --> a turn of each node --> clients read
//!  run:   steps, rest, steps, rest, steps, rest, everybody leaves
//! ```
//!
//! A client belongs to a node and stays there. Nodes share nothing but the clock: what shards have for each other is
//! to be carried between the turns of a step.

use crate::client::Client;
use crate::node::{Lent, Node};
use crate::oracle::{Oracle, Totals};
use crate::random::Random;
use crate::said::{Body, Uid};
use crate::swarm::Swarm;
use crate::trace::Trace;
use fanwire_core::{Counters, Time};
use fanwire_wire::frame::{Frame, split_frame};
use fanwire_wire::limits::DELIVERY_BYTES_EXTRA;
use fanwire_wire::preface::PREFACE_BYTES;
use fanwire_wire::{Direction, ServerPreface, decode};
use std::fmt;
use std::time::Duration;

/// How often a run comes to rest.
const RESTS: u64 = 3;
/// Turns in which a run has to come to rest; each carries every connection as far as it goes.
const RESTING_TURNS_MAX: u32 = 50_000;

pub(crate) struct World<'a> {
    random: Random,
    swarm: Swarm,
    now: Time,
    nodes: Vec<Node>,
    clients: Vec<Client>,
    oracle: Oracle,
    trace: &'a mut Trace,
}

/// Runs one seed to its end.
pub(crate) fn run(seed: u64, steps: u64, trace: &mut Trace) -> Totals {
    let mut world = World::new(seed, trace);
    for _ in 0..RESTS {
        for _ in 0..steps / RESTS {
            world.step();
        }
        world.rest();
    }
    world.part();
    world.oracle.totals
}

impl<'a> World<'a> {
    fn new(seed: u64, trace: &'a mut Trace) -> Self {
        let mut random = Random::new(seed);
        let swarm = Swarm::draw(&mut random);
        let now = Time::from_micros(random.below(1 << 40));
        trace.note(format_args!("seed {seed}: {:?} {:?}", swarm.core, swarm.weights()));
        let nodes = (0..swarm.nodes).map(|_| Node::new(&swarm, now)).collect();
        let clients = (0..swarm.clients).map(|index| {
            let home = (index % swarm.nodes) as usize;
            Client::new(home, Random::new(random.next()))
        });
        let clients = clients.collect();
        let oracle = Oracle::new(swarm.core.limits, swarm.gateway.credentials.is_open(), swarm.is_total_tight);
        World { random, swarm, now, nodes, clients, oracle, trace }
    }

    fn step(&mut self) {
        self.pass_time();
        for index in 0..self.clients.len() {
            self.act(index);
        }
        self.turn(false);
    }

    fn pass_time(&mut self) {
        let mut passed = Duration::from_micros(self.random.size(self.swarm.step_us_max));
        if self.random.chance(20) {
            passed += Duration::from_micros(self.random.below(3_000_000));
        }
        let next = self.nodes.iter().filter_map(|node| node.shard.next_deadline()).min();
        self.now = match next {
            Some(deadline) if self.random.chance(100) => deadline.max(self.now),
            _ => self.now + passed,
        };
    }

    fn act(&mut self, index: usize) {
        let World { clients, nodes, oracle, swarm, trace, now, .. } = self;
        let client = &mut clients[index];
        let node = &mut nodes[client.home];
        let Some(visit) = &mut client.visit else {
            if *now >= client.away_until {
                let uid = oracle.open();
                trace.note(format_args!("{} client {index} opens connection {uid}", now.as_micros()));
                let ways = client.connect(uid, swarm);
                node.accept(uid, ways, *now);
            }
            return;
        };
        let link = node.links.get_mut(&visit.uid).expect("a visit has its link");
        visit.act(&mut link.up, &mut client.random, swarm, *now);
        if link.up.has_reset {
            self.go_away(index);
        }
    }

    fn go_away(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.visit = None;
        client.away_until = self.now + Duration::from_micros(client.random.size(self.swarm.step_us_max * 10));
    }

    /// A turn of every node, then everybody reads.
    fn turn(&mut self, is_resting: bool) {
        if is_resting {
            let links = self.nodes.iter_mut().flat_map(|node| node.links.values_mut());
            links.for_each(|link| link.up.release(u64::MAX >> 1));
        }
        self.oracle.now = self.now;
        self.oracle.turn += 1;
        for node in &mut self.nodes {
            node.turn(&mut Lent {
                now: self.now,
                random: &mut self.random,
                swarm: &self.swarm,
                oracle: &mut self.oracle,
                trace: self.trace,
                is_resting,
            });
        }
        for index in 0..self.clients.len() {
            self.read(index);
        }
    }

    fn read(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let Some(visit) = &mut client.visit else { return };
        let link = self.nodes[client.home].links.get_mut(&visit.uid).expect("a visit has its link");
        if let Some(bytes_max) = visit.reads(self.now) {
            let bytes = link.down.read(&mut client.random, bytes_max);
            self.trace.note_bytes(&bytes);
            visit.received.extend_from_slice(&bytes);
            self.take_frames(index);
        }
        self.notice_end(index);
    }

    fn take_frames(&mut self, index: usize) {
        let Client { visit, home, random, .. } = &mut self.clients[index];
        let visit = visit.as_mut().expect("only who visits reads");
        let link = self.nodes[*home].links.get_mut(&visit.uid).expect("a visit has its link");
        let uid = visit.uid;
        let received = std::mem::take(&mut visit.received);
        let mut rest = &received[..];
        if !visit.has_preface {
            match ServerPreface::decode(rest).expect("the broker's preface is one") {
                Some(preface) => take_preface(preface, uid, &mut self.oracle),
                None => return visit.received = received,
            }
            visit.has_preface = true;
            visit.received_offset += PREFACE_BYTES as u64;
            rest = &rest[PREFACE_BYTES..];
        }
        let frame_bytes_max = self.swarm.core.limits.frame_bytes_max + DELIVERY_BYTES_EXTRA;
        while let Some((bytes, size)) = split_frame(rest, frame_bytes_max).expect("the broker frames rightly") {
            visit.received_offset += size as u64;
            let decoded = decode(bytes, Direction::ToClient);
            let frame = decoded.unwrap_or_else(|wrong| panic!("connection {uid}: {wrong} in {bytes:02x?}")).frame;
            self.trace.note(format_args!("connection {uid} got {}", Got(&frame)));
            self.oracle.observe(uid, &frame, link.down.written_at(visit.received_offset));
            visit.hear(&frame, &mut link.up, random, &self.swarm);
            rest = &rest[size..];
        }
        visit.received = rest.to_vec();
    }

    fn notice_end(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let visit = client.visit.as_ref().expect("only who visits reads");
        let (uid, links) = (visit.uid, &mut self.nodes[client.home].links);
        if links[&uid].down.is_closed && links[&uid].down.is_drained() {
            assert!(visit.received.is_empty(), "connection {uid}: ended in the middle of a frame");
            self.oracle.observe_end(uid);
            links.remove(&uid);
            self.go_away(index);
        }
    }

    /// Everybody stops talking and reads all there is, and timers fire, until nothing is left to happen.
    fn rest(&mut self) {
        self.trace.note(format_args!("{} rest", self.now.as_micros()));
        for client in &mut self.clients {
            if let Some(visit) = &mut client.visit {
                visit.hurry();
                let link = self.nodes[client.home].links.get_mut(&visit.uid).expect("a visit has its link");
                link.down.widen();
            }
        }
        for _ in 0..RESTING_TURNS_MAX {
            self.turn(true);
            if self.nodes.iter().all(Node::is_quiet) {
                match self.nodes.iter().filter_map(|node| node.shard.next_deadline()).min() {
                    Some(deadline) => self.now = deadline.max(self.now),
                    None => return self.settle(),
                }
            }
            self.now = self.now + Duration::from_micros(10);
        }
        panic!("the run does not come to rest");
    }

    fn settle(&mut self) {
        self.oracle.settle();
        for node in &self.nodes {
            assert!(node.shard.is_at_rest(), "nobody waits for anything, but the shard does");
            assert_eq!(node.shard.queue_bytes_total(), 0);
        }
        let sum = |of: fn(&Counters) -> u64| self.nodes.iter().map(|node| of(node.shard.counters())).sum::<u64>();
        let Totals { published, refused, .. } = self.oracle.totals;
        assert_eq!(sum(|counters| counters.messages_in), published, "what was admitted is what was fine");
        assert_eq!(sum(|counters| counters.refused), refused, "every refusal is counted");
    }

    /// Everybody leaves, each in a way of their own, and nothing may remain.
    fn part(&mut self) {
        self.trace.note(format_args!("{} everybody leaves", self.now.as_micros()));
        for index in 0..self.clients.len() {
            let client = &mut self.clients[index];
            if let Some(visit) = &mut client.visit {
                let link = self.nodes[client.home].links.get_mut(&visit.uid).expect("a visit has its link");
                link.up.has_reset = client.random.chance(500);
                link.up.finish(false);
                visit.is_leaving = true;
                if link.up.has_reset {
                    self.go_away(index);
                }
            }
        }
        for _ in 0..RESTING_TURNS_MAX {
            self.turn(true);
            if self.nodes.iter().all(|node| node.links.is_empty()) {
                break;
            }
        }
        // What was let go last is only counted at the end of a turn.
        self.turn(true);
        for node in &self.nodes {
            assert_eq!(node.shard.session_count(), 0, "nobody is left");
            assert!(node.shard.is_at_rest(), "nobody is left to wait for anything");
            assert!(node.shard.topic_count() <= self.swarm.core.topics_cached_max as usize, "topics are remembered");
            node.shard.check_invariants();
        }
    }
}

/// One line of a trace.
struct Got<'a>(&'a Frame<'a>);

impl fmt::Display for Got<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (topic, payload) = match self.0 {
            Frame::Message(message) => (format!("id {}", message.topic_id), message.payload),
            Frame::MessageNamed(message) => (format!("\"{}\"", message.topic.escape_ascii()), message.payload),
            Frame::MessageGroup(message) => (format!("group member {}", message.subscription), message.payload),
            Frame::Call(call) => (format!("handle {}", call.handle), call.payload),
            Frame::Response(response) if response.code == 0 => {
                (format!("correlation {}", response.correlation), response.payload)
            }
            frame => return write!(out, "{frame:?}"),
        };
        let (author, serial) = Body::identity(payload);
        write!(out, "{} {topic} {author}.{serial}", self.0.kind().name)
    }
}

fn take_preface(preface: ServerPreface, uid: Uid, oracle: &mut Oracle) {
    let connection = oracle.connection(uid);
    connection.has_preface = true;
    connection.last_word = fanwire_wire::Code::from_number(preface.code);
    assert_eq!(connection.last_word.is_some(), preface.code != 0, "a code of the registry, or none");
}

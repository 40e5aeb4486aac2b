//! The world: nodes, clients and a clock, moved step by step from one seed.
//!
//! ```text
//!  step:  time passes --> clients say things --> networks let some through --> turns of nodes --> clients read
//!  run:   steps, rest, steps, rest, steps, rest, everybody leaves
//! ```
//!
//! A client belongs to a node and stays there. Nodes share the clock, the table of who wants what, and mailboxes. Where
//! there are several, they take their turns in any order, some more often than others, and one may stand still for
//! long.

use crate::client::Client;
use crate::node::{Lent, Node};
use crate::oracle::{Oracle, Totals};
use crate::post::Post;
use crate::random::Random;
use crate::said::{Body, Uid};
use crate::swarm::Swarm;
use crate::trace::Trace;
use crate::witness::Witnesses;
use fanwire_core::{Counters, Seat, Time};
use fanwire_wire::frame::{Frame, split_frame};
use fanwire_wire::limits::DELIVERY_BYTES_EXTRA;
use fanwire_wire::preface::PREFACE_BYTES;
use fanwire_wire::{Direction, Limits, ServerPreface, decode};
use std::fmt;
use std::time::Duration;

/// How often a run comes to rest.
const RESTS: u64 = 3;
/// Turns in which a run has to come to rest; each carries every connection as far as it goes.
const RESTING_TURNS_MAX: u32 = 50_000;
/// What a note between nodes takes besides the message in it.
const NOTE_BYTES_MAX: u64 = 512;

pub(crate) struct World<'a> {
    pub(crate) random: Random,
    pub(crate) swarm: Swarm,
    pub(crate) now: Time,
    pub(crate) nodes: Vec<Node>,
    post: Post,
    /// The node that takes no turns.
    pub(crate) stands_still: Option<usize>,
    pub(crate) clients: Vec<Client>,
    pub(crate) witnesses: Witnesses,
    pub(crate) oracle: Oracle,
    pub(crate) trace: &'a mut Trace,
}

/// Runs one seed to its end.
pub(crate) fn run(seed: u64, steps: u64, trace: &mut Trace) -> Totals {
    let mut world = World::new(seed, trace);
    for _ in 0..RESTS {
        for _ in 0..steps / RESTS {
            world.step();
        }
        world.check_beside();
        world.stands_still = None;
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
        let seats = Seat::row(swarm.nodes as usize);
        let nodes: Vec<Node> = seats.into_iter().map(|seat| Node::new(&swarm, seat, now)).collect();
        let clients = (0..swarm.clients).map(|index| {
            let home = (index % swarm.nodes) as usize;
            Client::new(home, false, Random::new(random.next()))
        });
        let mut clients: Vec<Client> = clients.collect();
        let mut witnesses = Witnesses::default();
        for home in (0..nodes.len()).filter(|_| nodes.len() > 1) {
            witnesses.clients.push(clients.len());
            clients.push(Client::new(home, true, Random::new(random.next())));
        }
        let post = Post::draw(&mut random, nodes.len());
        let is_open = swarm.gateway.credentials.is_open();
        let oracle = Oracle::new(swarm.core.limits, is_open, swarm.is_total_tight, nodes.len());
        World { random, swarm, now, nodes, post, stands_still: None, clients, witnesses, oracle, trace }
    }

    fn step(&mut self) {
        self.pass_time();
        for index in 0..self.clients.len() {
            self.act(index);
        }
        if self.nodes.len() > 1 {
            self.call_witnesses();
            self.draw_standstill();
            if self.random.chance(20) {
                let steps = self.random.size(100);
                self.post.hold_one(&mut self.random, steps);
            }
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
                let uid = oracle.open(client.home);
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

    /// Turns of the nodes, then everybody reads.
    pub(crate) fn turn(&mut self, is_resting: bool) {
        if is_resting {
            let links = self.nodes.iter_mut().flat_map(|node| node.links.values_mut());
            links.for_each(|link| link.up.release(u64::MAX >> 1));
        }
        self.oracle.now = self.now;
        self.oracle.turn += 1;
        self.post.step += 1;
        for node in self.draw_turns(is_resting) {
            let mut lent = Lent {
                now: self.now,
                random: &mut self.random,
                swarm: &self.swarm,
                oracle: &mut self.oracle,
                trace: self.trace,
                is_resting,
            };
            self.nodes[node].turn(&mut self.post, &mut lent);
        }
        self.check_mail_bytes();
        for index in 0..self.clients.len() {
            self.read(index);
        }
    }

    /// Who takes a turn, in which order. One alone takes one; of several, some take none and some take many.
    fn draw_turns(&mut self, is_resting: bool) -> Vec<usize> {
        let mut turns = Vec::new();
        let several = [0, 1, 1, 1, 2, 4];
        for node in (0..self.nodes.len()).filter(|node| Some(*node) != self.stands_still) {
            let count = if is_resting || self.nodes.len() == 1 { 1 } else { *self.random.pick(&several) };
            turns.extend(std::iter::repeat_n(node, count));
        }
        if self.nodes.len() > 1 {
            self.random.shuffle(&mut turns);
        }
        turns
    }

    /// What is under way between nodes is bounded, whoever stands still: what is taken from clients on each way, once
    /// as it is and once for each group that it may have been for; and notes without a message, a few for each of a
    /// client's subscriptions and requests.
    fn check_mail_bytes(&mut self) {
        let count = self.nodes.len();
        let mut bytes: u64 = self.nodes.iter_mut().map(Node::mail_bytes).sum();
        for (from, to) in (0..count * count).map(|pair| (pair / count, pair % count)) {
            bytes += self.post.bytes(from, to);
        }
        let Limits { frame_bytes_max, subscriptions_max, requests_max, .. } = self.swarm.core.limits;
        let ways = (count * (count - 1)) as u64;
        let on_one_way = self.swarm.core.mailbox_bytes_max + u64::from(frame_bytes_max) + NOTE_BYTES_MAX;
        let notes = self.oracle.connections.len() as u64 * u64::from(subscriptions_max + requests_max) * 2;
        let bound = ways * on_one_way * (1 + self.oracle.group_count()) + notes * NOTE_BYTES_MAX;
        assert!(bytes <= bound, "{bytes} bytes are under way between nodes, allowed are {bound}");
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
        let mut heard = Vec::new();
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
            if visit.is_witness {
                heard.push(frame);
            }
        }
        visit.received = rest.to_vec();
        for frame in heard {
            self.testify(uid, &frame);
        }
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
        let mut quiet_turns = 0;
        for _ in 0..RESTING_TURNS_MAX {
            let posted = self.post.posted();
            self.turn(true);
            let is_posting = self.post.posted() > posted || !self.post.is_empty();
            let is_quiet = !is_posting && self.nodes.iter().all(Node::is_quiet);
            quiet_turns = if is_quiet { quiet_turns + 1 } else { 0 };
            // That the last letter was read is noted in the turn after, and may be what others waited for.
            if quiet_turns == 2 {
                quiet_turns = 0;
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
        self.settle_witnesses();
        for node in &self.nodes {
            let (full, has_resumed) = (node.shard.awaited_lanes(), node.shard.has_resumed());
            let queued = node.shard.queue_bytes_total();
            let is_at_rest = node.shard.is_at_rest() && queued == 0;
            assert!(
                is_at_rest,
                "nobody waits for anything, but node {} does: {full:b}, {has_resumed}, {queued}",
                node.number
            );
        }
        let sum = |of: fn(&Counters) -> u64| self.nodes.iter().map(|node| of(node.shard.counters())).sum::<u64>();
        let Totals { published, refused, .. } = self.oracle.totals;
        assert_eq!(sum(|counters| counters.messages_in), published, "what was admitted is what was fine");
        assert_eq!(sum(|counters| counters.refused), refused, "every refusal is counted");
        let mailed = sum(|counters| counters.mailed_in);
        assert_eq!(mailed, sum(|counters| counters.mailed_out), "what was mailed came in");
        let totals = &mut self.oracle.totals;
        totals.mailed = mailed;
        totals.postponed = sum(|counters| counters.postponed);
        totals.jams = sum(|counters| counters.jams);
        totals.returned = sum(|counters| counters.returned);
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
            let is_gone = |node: &Node| node.links.is_empty() && !node.has_mail();
            if self.nodes.iter().all(is_gone) && self.post.is_empty() {
                break;
            }
        }
        // What was let go last is only counted at the end of a turn, and what was read last is only noted in the next.
        self.turn(true);
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

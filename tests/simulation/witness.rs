//! Witnesses: the promise that routing between nodes stands on, looked at by itself.
//!
//! ```text
//!  witness on node 0 --SUBSCRIBE--> ... --SUBSCRIBED--> tells --> witness on node 1 --PUBLISH at once--> ... --> it
//! ```
//!
//! Whoever has seen SUBSCRIBED and publishes, on any node, reaches that subscriber. Each testimony has a topic of its
//! own, so whether its message came needs no oracle. Witnesses read at once and hold the strictest policy, so nothing
//! but the end of a connection excuses one that did not come.
//!
//! While a node stands still, they show that the others go on without it.

use crate::said::{Body, PAYLOAD_BYTES_MIN, Said, Target, Uid, Wish};
use crate::world::World;
use fanwire_wire::frame::{AckLevel, Frame, Policy, Start};
use std::time::Duration;

/// Subscriptions of one witness at a time.
const OPEN_MAX: usize = 2;
/// Turns of each node in which a message has to come while some other node stands still.
const TURNS_BESIDE_MAX: u32 = 600;

/// One subscription, and what became of telling somebody.
struct Testimony {
    /// Both as nodes and connections.
    subscriber: (usize, Uid),
    publisher: (usize, Uid),
    subscription: u32,
    topic: String,
    /// Once SUBSCRIBED came.
    published: Option<(Uid, u32)>,
}

/// The witnesses of a run: one client a node.
#[derive(Default)]
pub(crate) struct Witnesses {
    /// Their clients, by node.
    pub(crate) clients: Vec<usize>,
    open: Vec<Testimony>,
    asked: u32,
}

impl Witnesses {
    /// Takes notice of what a witness gets: the testimonies that go on, or end.
    fn hear(&mut self, uid: Uid, frame: &Frame<'_>) -> Heard {
        let payload = match frame {
            Frame::Subscribed(told) => {
                let is_meant = |found: &Testimony| found.subscriber.1 == uid && found.subscription == told.subscription;
                let found = self.open.iter().position(is_meant);
                return found.map_or(Heard::Nothing, Heard::Standing);
            }
            Frame::Message(message) => message.payload,
            Frame::MessageNamed(message) => message.payload,
            Frame::MessageGroup(message) => message.payload,
            _ => return Heard::Nothing,
        };
        let identity = Body::identity(payload);
        let is_meant = |found: &Testimony| found.subscriber.1 == uid && found.published == Some(identity);
        self.open.iter().position(is_meant).map_or(Heard::Nothing, Heard::Message)
    }
}

/// What a frame means to a testimony.
enum Heard {
    Nothing,
    Standing(usize),
    Message(usize),
}

impl World<'_> {
    /// Now and then a witness subscribes to something new.
    pub(crate) fn call_witnesses(&mut self) {
        for node in 0..self.witnesses.clients.len() {
            if self.random.chance(300) {
                self.call_witness(node);
            }
        }
    }

    fn call_witness(&mut self, node: usize) {
        let count = self.witnesses.clients.len() as u64;
        let other = (node as u64 + self.random.between(1, count - 1)) % count;
        // Who has once told something to a node that stands still may have to wait for it.
        if self.swarm.stands_still && [node as u64, other].contains(&self.swarm.still_node) {
            return;
        }
        let (Some(uid), Some(publisher)) = (self.witness_on(node), self.witness_on(other as usize)) else { return };
        let open = self.witnesses.open.iter().filter(|found| found.subscriber.1 == uid).count();
        if open >= OPEN_MAX {
            return;
        }
        self.witnesses.asked += 1;
        let number = self.witnesses.asked;
        let level = format!("w{}", self.random.below(3));
        // A filter that reaches everything, or a group that lives anywhere, makes others wait for who stands still.
        let kinds = if self.swarm.stands_still { 3 } else { 5 };
        let (filter, topic, group) = match self.random.below(kinds) {
            0 => (format!("{level}/{number}"), format!("{level}/{number}"), ""),
            1 => (format!("{level}/{number}/+"), format!("{level}/{number}/x"), ""),
            2 => (format!("{level}/{number}/#"), format!("{level}/{number}"), ""),
            3 => (format!("+/{number}/#"), format!("{level}/{number}/y"), ""),
            _ => (format!("{level}/{number}/+"), format!("{level}/{number}/z"), "workers"),
        };
        self.witnesses.open.push(Testimony {
            subscriber: (node, uid),
            publisher: (other as usize, publisher),
            subscription: number,
            topic,
            published: None,
        });
        let wish = Wish {
            subscription: number,
            filter: filter.into_bytes(),
            group: group.as_bytes().to_vec(),
            policy: Policy::Disconnect,
            no_echo: false,
            responder: false,
            max_rate_hz: 0,
            start: Start::Live,
        };
        self.say_as_witness(node, Said::Subscribe(wish));
    }

    /// The connection of a node's witness, if it has one that is not about to end.
    fn witness_on(&self, node: usize) -> Option<Uid> {
        let visit = self.clients[self.witnesses.clients[node]].visit.as_ref()?;
        (!visit.is_leaving).then_some(visit.uid)
    }

    fn say_as_witness(&mut self, node: usize, said: Said) {
        let visit = self.clients[self.witnesses.clients[node]].visit.as_ref().expect("it was asked for above");
        let link = self.nodes[node].links.get_mut(&visit.uid).expect("a visit has its link");
        let bytes = said.encode(None);
        link.up.say(said, &bytes);
        link.up.release(u64::MAX >> 1);
    }

    /// A witness has got a frame.
    pub(crate) fn testify(&mut self, uid: Uid, frame: &Frame<'_>) {
        match self.witnesses.hear(uid, frame) {
            Heard::Nothing => {}
            Heard::Standing(index) => {
                let (node, publisher) = self.witnesses.open[index].publisher;
                if self.witness_on(node) != Some(publisher) {
                    return self.dismiss(index);
                }
                let client = &mut self.clients[self.witnesses.clients[node]];
                let visit = client.visit.as_mut().expect("it was asked for above");
                let body = visit.body_of(PAYLOAD_BYTES_MIN);
                let testimony = &mut self.witnesses.open[index];
                testimony.published = Some((body.author, body.serial));
                let to = Target::Name(testimony.topic.clone().into_bytes());
                self.say_as_witness(node, Said::Publish { to, ack: AckLevel::Routed, body });
            }
            Heard::Message(index) => {
                self.oracle.totals.witnessed += 1;
                self.oracle.totals.witnessed_beside += u64::from(self.stands_still.is_some());
                self.dismiss(index);
            }
        }
    }

    /// A testimony is over: it was given, or cannot be any more.
    fn dismiss(&mut self, index: usize) {
        let Testimony { subscriber: (node, uid), subscription, .. } = self.witnesses.open.swap_remove(index);
        if self.witness_on(node) == Some(uid) {
            self.say_as_witness(node, Said::Unsubscribe { subscription });
        }
    }

    /// What depended on a connection that has ended is over.
    fn dismiss_testimonies(&mut self) {
        for index in (0..self.witnesses.open.len()).rev() {
            let Testimony { subscriber, publisher, .. } = self.witnesses.open[index];
            let is_there = |(_, uid): (usize, Uid)| self.oracle.connections[uid as usize].end.is_none();
            if !is_there(subscriber) || !is_there(publisher) {
                self.dismiss(index);
            }
        }
    }

    /// At rest every testimony has been given.
    pub(crate) fn settle_witnesses(&mut self) {
        self.dismiss_testimonies();
        let open = self.witnesses.open.first();
        let text = open.map(|found| (found.subscriber, found.publisher, found.topic.clone(), found.published));
        assert!(text.is_none(), "a message that was published after SUBSCRIBED was seen did not come: {text:?}");
    }

    /// A node stands still: what the others have to do with each other goes on.
    pub(crate) fn check_beside(&mut self) {
        let Some(still) = self.stands_still else { return };
        for _ in 0..OPEN_MAX {
            (0..self.nodes.len()).for_each(|node| self.call_witness(node));
        }
        for _ in 0..TURNS_BESIDE_MAX {
            self.turn(true);
            self.now = self.now + Duration::from_micros(10);
            self.dismiss_testimonies();
            if self.witnesses.open.is_empty() {
                self.oracle.totals.stood_still += 1;
                return;
            }
        }
        self.oracle.totals.held_up += 1;
        for found in &self.witnesses.open {
            // Two names may share a place in the tables of who wants what and of what cannot be passed on.
            let is_held_up = |(node, uid): (usize, Uid)| self.nodes[node].links[&uid].is_postponed;
            assert!(
                is_held_up(found.publisher) || is_held_up(found.subscriber),
                "node {still} stands still, and {} from {:?} does not come to {:?}",
                found.topic,
                found.publisher,
                found.subscriber,
            );
        }
    }

    /// A node begins to stand still, until the run rests.
    pub(crate) fn draw_standstill(&mut self) {
        if self.swarm.stands_still && self.stands_still.is_none() && self.random.chance(30) {
            let node = self.swarm.still_node as usize;
            self.trace.note(format_args!("{} node {node} stands still", self.now.as_micros()));
            self.stands_still = Some(node);
        }
    }
}

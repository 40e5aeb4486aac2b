//! A run: who does something next is chance, and so is how late everything is.

use crate::chance::Chance;
use crate::client::{Ask, Client, Publish, State, Sub};
use crate::node::Node;
use crate::office::Office;
use crate::oracle;
use crate::swarm::{FILTERS, Swarm, TOPICS, journal_of, matches};
use crate::totals::Totals;
use fanwire_core::journal::format::Producer;
use fanwire_core::journal::plan::JournalId;
use fanwire_core::{Closure, Command, Conditions, EncodingId, Handled, Seat, SessionId, Slices, Target, command};
use fanwire_wire::Code;
use fanwire_wire::frame::{AckLevel, Policy, Start};
use std::time::Duration;

/// Rounds after which whatever still moves goes round in a circle.
const ROUNDS_MAX: usize = 5_000;

pub(crate) struct World {
    pub(crate) swarm: Swarm,
    pub(crate) chance: Chance,
    pub(crate) nodes: Vec<Node>,
    pub(crate) office: Office,
    pub(crate) clients: Vec<Client>,
    pub(crate) publishes: Vec<Publish>,
    pub(crate) step: u64,
    pub(crate) totals: Totals,
    is_resting: bool,
    is_traced: bool,
}

pub(crate) fn run(seed: u64, is_traced: bool) -> Totals {
    let mut chance = Chance(seed.wrapping_mul(0x1000_0001));
    let swarm = Swarm::new(&mut chance);
    if is_traced {
        println!("{swarm:?}");
    }
    let seats = Seat::row_with_journals(swarm.shards);
    let office = Office::new(&swarm, &seats[0]);
    let nodes = seats.into_iter().map(|seat| Node::new(&swarm, seat, office.plan.clone())).collect();
    let mut world = World {
        swarm,
        chance,
        nodes,
        office,
        clients: Vec::new(),
        publishes: Vec::new(),
        step: 0,
        totals: Totals::default(),
        is_resting: false,
        is_traced,
    };
    for node in world.nodes.iter_mut() {
        node.shard.begin_turn(node.now);
        node.shard.finish_turn();
    }
    for _ in 0..world.swarm.clients {
        world.open_client();
    }
    for _ in 0..world.swarm.steps {
        world.step();
    }
    world.settle();
    world.finish()
}

impl World {
    fn open_client(&mut self) {
        let node = self.chance.below(self.nodes.len() as u64) as usize;
        let session = self.nodes[node].shard.open_session(EncodingId(0));
        let is_slow = self.swarm.slow_clients > 0 && self.chance.one_in(self.swarm.slow_clients);
        self.clients.push(Client::new(node, session, is_slow, self.is_traced));
    }

    fn step(&mut self) {
        self.step += 1;
        match self.chance.below(32) {
            0..=13 => {
                let node = self.chance.below(self.nodes.len() as u64) as usize;
                self.node_turn(node);
            }
            14..=21 => self.office_turn(),
            22..=24 => {
                let shard = self.chance.below(self.nodes.len() as u64) as usize;
                self.read_for(shard);
            }
            25..=27 => {
                self.office.help(&mut self.chance);
            }
            28 => {
                let index = self.chance.below(self.clients.len() as u64) as usize;
                let client = &mut self.clients[index];
                // Who stops does so for long: a queue takes much.
                let is_over = client.is_stopped && self.chance.one_in(if self.swarm.is_crowded { 1 } else { 6 });
                client.is_stopped = client.is_slow && !is_over;
            }
            29 => self.pass(),
            30 => self.office.meddle(&mut self.chance, &self.swarm),
            _ => self.upheave(),
        }
    }

    fn pass(&mut self) {
        let time_us = self.chance.below(20_000);
        self.office.now_us += time_us;
        self.nodes.iter_mut().for_each(|node| node.now = node.now + Duration::from_micros(time_us));
    }

    fn upheave(&mut self) {
        self.office.wake();
        if self.swarm.has_retention {
            let index = self.chance.below(self.swarm.syncs.len() as u64) as usize;
            self.office.retire(index);
        }
        let index = self.chance.below(self.clients.len() as u64) as usize;
        if self.chance.one_in(4) && self.clients[index].session.is_some() {
            self.close(index);
            self.open_client();
        }
    }

    fn close(&mut self, index: usize) {
        let Client { node, session, .. } = &mut self.clients[index];
        let session = session.take().expect("it is open");
        // The shell removes sessions between turns, or in them.
        let node = &mut self.nodes[*node];
        node.shard.begin_turn(node.now);
        node.shard.remove_session(session);
        node.shard.finish_turn();
    }

    fn office_turn(&mut self) {
        self.office.turn(&mut self.chance, self.is_resting);
        while self.swarm.late_tasks != 1 && !(self.swarm.late_tasks > 1 && self.chance.one_in(self.swarm.late_tasks)) {
            if !self.office.help(&mut self.chance) {
                break;
            }
        }
        for shard in 0..self.nodes.len() {
            self.post_releases(shard);
        }
    }

    fn post_releases(&mut self, shard: usize) {
        let boxed = &mut self.nodes[shard].releases;
        let releases = self.office.releases_to(shard);
        if !releases.is_empty() && boxed.len() < self.swarm.letters_max {
            boxed.push_back(std::mem::take(releases));
        }
        let bytes = boxed.iter().map(|releases| releases.bytes() as u64).sum();
        self.office.keeper.note_transit(shard, bytes);
    }

    fn read_for(&mut self, shard: usize) -> bool {
        if self.nodes[shard].history.len() >= self.swarm.letters_max {
            return false;
        }
        let Some(answer) = self.office.read_for(shard) else { return false };
        self.nodes[shard].history.push_back(answer);
        true
    }

    fn node_turn(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.shard.begin_turn(node.now);
        node.read();
        self.tell_transits(index);
        if !self.nodes[index].shard.wants_flush() {
            self.command(index);
        }
        self.nodes[index].shard.finish_turn();
        self.post(index);
        self.flush(index);
        self.close_slow(index);
        self.post(index);
        if self.nodes[index].shard.counters().messages_in.is_multiple_of(4) {
            self.nodes[index].shard.check_invariants();
        }
    }

    /// Everybody hears how much of what was sent to it is unread.
    fn tell_transits(&mut self, to: usize) {
        for from in 0..self.nodes.len() {
            let bytes = self.nodes[to].mail[from].iter().map(|envelope| envelope.bytes() as u64).sum();
            if from != to {
                self.nodes[from].shard.note_transit(to, bytes);
            }
        }
        let bytes = self.office.inbox[to].iter().map(|submissions| submissions.bytes() as u64).sum();
        self.nodes[to].shard.note_journal_transit(bytes);
    }

    fn post(&mut self, from: usize) {
        for to in (0..self.nodes.len()).filter(|to| *to != from) {
            if self.nodes[from].shard.has_mail(to) && self.nodes[to].mail[from].len() < self.swarm.letters_max {
                let envelope = std::mem::take(self.nodes[from].shard.mail_to(to));
                self.nodes[to].mail[from].push_back(envelope);
                let bytes = self.nodes[to].mail[from].iter().map(|envelope| envelope.bytes() as u64).sum();
                self.nodes[from].shard.note_transit(to, bytes);
            }
        }
        let Node { shard, .. } = &mut self.nodes[from];
        if shard.has_submissions() && self.office.inbox[from].len() < self.swarm.letters_max {
            self.office.inbox[from].push_back(std::mem::take(shard.submissions()));
        }
        let bytes = self.office.inbox[from].iter().map(|submissions| submissions.bytes() as u64).sum();
        shard.note_journal_transit(bytes);
    }

    /// Sockets take what they take.
    fn flush(&mut self, index: usize) {
        let mark = self.office.mark(self.step, &self.swarm);
        for client in self.clients.iter_mut().filter(|client| client.node == index && client.is_blocked) {
            if let Some(session) = client.session.filter(|_| !client.is_stopped) {
                client.is_blocked = false;
                self.nodes[index].shard.mark_writable(session);
            }
        }
        let mut dirty = Vec::new();
        self.nodes[index].shard.take_dirty(&mut dirty);
        for session in dirty {
            let client = self.clients.iter_mut().find(|client| client.node == index && client.session == Some(session));
            let client = client.expect("who is dirty is there");
            loop {
                let shard = &mut self.nodes[index].shard;
                let mut slices = Slices::new();
                shard.front(session, &mut slices);
                let mut bytes = slices.concat();
                drop(slices);
                if bytes.is_empty() {
                    break;
                }
                let whole = bytes.len();
                if client.is_stopped {
                    bytes.clear();
                } else if client.is_slow && self.swarm.has_small_sockets && !self.is_resting {
                    bytes.truncate(self.chance.below(whole as u64 * 2) as usize);
                }
                client.is_blocked = bytes.len() < whole;
                shard.advance(session, bytes.len(), client.is_blocked);
                self.totals.frames += client.take(&bytes, &mark, &self.swarm, &mut self.publishes);
                if client.is_blocked {
                    break;
                }
            }
        }
    }

    fn close_slow(&mut self, index: usize) {
        let mut closures = Vec::new();
        self.nodes[index].shard.take_closures(&mut closures);
        for Closure { session, code } in closures {
            let client =
                self.clients.iter_mut().position(|client| client.node == index && client.session == Some(session));
            let Some(client) = client else { continue };
            assert!(self.clients[client].is_slow, "{code:?} to a client that reads everything");
            let has_strict = self.clients[client].subs.iter().any(|sub| sub.policy == Policy::Disconnect);
            assert!(code != Code::SlowConsumer || has_strict, "nobody there asked for that");
            self.totals.slow_closed += 1;
            let node = &mut self.nodes[index];
            self.clients[client].session = None;
            node.shard.end_session(session);
            node.shard.remove_session(session);
        }
    }

    /// Clients of a node say something, or say again what had to wait.
    fn command(&mut self, node: usize) {
        let mut resumed = Vec::new();
        self.nodes[node].shard.take_resumed(&mut resumed);
        for index in 0..self.clients.len() {
            let Client { node: home, session: Some(session), .. } = self.clients[index] else { continue };
            if home != node || self.nodes[node].shard.wants_flush() {
                // Who is not heard now has its turn later.
                if let Some(place) = resumed.iter().position(|resumed| home == node && *resumed == session) {
                    resumed.remove(place);
                    self.try_pending(index, session);
                }
                continue;
            }
            if self.clients[index].pending.is_some() {
                if resumed.contains(&session) {
                    self.try_pending(index, session);
                }
                continue;
            }
            for _ in 0..if self.is_resting { 0 } else { self.chance.below(4) } {
                let ask = self.think(index);
                if self.clients[index].pending.is_none()
                    && let Some(ask) = ask
                {
                    self.clients[index].pending = Some(ask);
                    self.try_pending(index, session);
                }
            }
        }
    }

    /// What a client wants next.
    fn think(&mut self, index: usize) -> Option<Ask> {
        let standing = self.clients[index].standing();
        match self.chance.below(16) {
            0..=1 if standing.len() < 6 => Some(self.think_of_subscribing(index)),
            2 if !standing.is_empty() && self.chance.one_in(2) => {
                Some(Ask::Unsubscribe { index: self.chance.pick(&standing) })
            }
            3..=15 => Some(self.think_of_publishing(index)),
            _ => None,
        }
    }

    fn think_of_subscribing(&mut self, index: usize) -> Ask {
        let chance = &mut self.chance;
        let filter = chance.pick(&FILTERS);
        let journal = (0..self.swarm.syncs.len()).find(|index| filter.starts_with(["a/", "b/"][*index]));
        let policies: &[Policy] = match (journal, self.swarm.is_lossless) {
            (Some(_), _) if self.swarm.is_doubled => &[Policy::CatchUp, Policy::CatchUp, Policy::Conflate],
            (None, _) if self.swarm.is_doubled => &[Policy::Conflate],
            (Some(_), true) => &[Policy::CatchUp, Policy::CatchUp, Policy::Disconnect],
            (Some(_), false) => {
                &[Policy::CatchUp, Policy::Disconnect, Policy::DropOldest, Policy::DropNewest, Policy::Conflate]
            }
            (None, true) => &[Policy::Disconnect],
            (None, false) => &[Policy::Disconnect, Policy::DropOldest, Policy::DropNewest, Policy::Conflate],
        };
        let mut policy = chance.pick(policies);
        // What is disconnected at once tells little.
        if policy == Policy::Disconnect && self.clients[index].is_slow && journal.is_some() && chance.below(4) > 0 {
            policy = Policy::CatchUp;
        }
        if policy == Policy::Disconnect && self.swarm.is_crowded {
            policy = if journal.is_some() { Policy::CatchUp } else { Policy::DropOldest };
        }
        let start = match journal {
            Some(journal) if chance.below(3) > 0 => self.think_of_start(journal, filter),
            _ => Start::Live,
        };
        let max_rate_hz = if policy == Policy::Conflate && self.chance.one_in(2) { 100 } else { 0 };
        let client = &mut self.clients[index];
        client.subs.push(Sub {
            number: client.free_number(),
            filter,
            policy,
            no_echo: self.chance.one_in(4),
            max_rate_hz,
            start,
            journal,
            state: State::Asked,
            is_ending: false,
            asked: None,
            told: None,
            seen: Vec::new(),
            code: None,
        });
        Ask::Subscribe { index: client.subs.len() - 1 }
    }

    fn think_of_start(&mut self, journal: usize, filter: &str) -> Start {
        let log = self.office.keeper.log(JournalId(journal as u8));
        let (position, epoch, time_us) = (log.tail().position, log.epoch(), log.time_us());
        let is_exact = !filter.contains(['+', '#']);
        let end = if is_exact { log.topic_end(filter).map_or(0, |end| end.sequence) } else { position };
        let chance = &mut self.chance;
        match chance.below(7) {
            0 => Start::LastValue,
            1 => Start::Last { count: chance.pick(&[0, 1, 10, 1_000]) },
            2 if is_exact => Start::Sequence { sequence: chance.below(end + 4) },
            3 => Start::Position { position: chance.below(position + 4) },
            4 => Start::Time { time_us: chance.below(time_us + 1) },
            5 => Start::Resume { epoch: epoch + chance.pick(&[0, 0, 0, 1]), last: chance.below(end + 2) },
            _ => Start::First,
        }
    }

    fn think_of_publishing(&mut self, index: usize) -> Ask {
        let chance = &mut self.chance;
        let topic = chance.pick(&TOPICS);
        let journal = journal_of(topic, self.swarm.syncs.len());
        let ack = match (journal, chance.below(5)) {
            (_, 0..=1) => AckLevel::None,
            (Some(_), 2) => AckLevel::Journaled,
            (Some(_), 3) => AckLevel::Durable,
            _ => AckLevel::Routed,
        };
        let bytes = match chance.below(8) {
            0..=2 if self.swarm.is_crowded => 20_000,
            0..=2 => 10,
            3..=6 => 10 + chance.below(self.swarm.payload_bytes),
            _ => 10 + chance.below(12_000),
        };
        let mut publish =
            Publish { topic, client: index, ack, expect: None, producer: None, taken: None, answers: Vec::new() };
        if let Some(journal) = journal {
            let log = self.office.keeper.log(JournalId(journal as u8));
            let sequence = log.topic_end(topic).map_or(0, |end| end.sequence);
            if chance.one_in(12) {
                publish.expect = Some(sequence + chance.pick(&[0, 0, 1]));
            }
            if chance.one_in(6) {
                let client = &mut self.clients[index];
                if client.producer_numbers == 0 || chance.below(3) > 0 {
                    client.producer_numbers += 1;
                }
                let number = client.producer_numbers.saturating_sub(chance.below(2)).max(1);
                publish.producer = Some(Producer { id: index as u64 + 1, number });
            }
        }
        let is_alone = publish.expect.is_some() || publish.producer.is_some();
        // What comes in one command is little, or large and alone.
        let count = if is_alone || self.swarm.is_crowded { 1 } else { chance.pick(&[1, 1, 1, 2, 8]) };
        let first = self.publishes.len();
        self.publishes.extend((0..count).map(|_| publish.clone()));
        Ask::Publish { publishes: (first..first + count).collect(), bytes: bytes as usize }
    }

    fn try_pending(&mut self, index: usize, session: SessionId) {
        let ask = self.clients[index].pending.take().expect("it has something to say");
        let mark = self.office.mark(self.step, &self.swarm);
        let shard = &mut self.nodes[self.clients[index].node].shard;
        let handled = match &ask {
            Ask::Publish { publishes, bytes } => {
                let publish = &self.publishes[publishes[0]];
                let payloads: Vec<String> = publishes.iter().map(|id| format!("{id:.<bytes$}")).collect();
                let payloads: Vec<&[u8]> = payloads.iter().map(String::as_bytes).collect();
                let (target, ack, headers) = (Target::Name(publish.topic.as_bytes()), publish.ack, &b""[..]);
                let conditions = Conditions { expect: publish.expect, producer: publish.producer };
                let command = if conditions.are_none() {
                    Command::Publish { target, ack, headers, payloads: &payloads }
                } else {
                    Command::PublishIf { target, ack, conditions, headers, payload: payloads[0] }
                };
                shard.handle(session, &command)
            }
            Ask::Subscribe { index: sub } => {
                let sub = &self.clients[index].subs[*sub];
                shard.handle(
                    session,
                    &Command::Subscribe(command::Subscribe {
                        subscription: sub.number,
                        filter: sub.filter.as_bytes(),
                        group: b"",
                        policy: sub.policy,
                        no_echo: sub.no_echo,
                        responder: false,
                        max_rate_hz: sub.max_rate_hz,
                        start: sub.start,
                    }),
                )
            }
            Ask::Unsubscribe { index: sub } => {
                let sub = &mut self.clients[index].subs[*sub];
                sub.is_ending = true;
                shard.handle(session, &Command::Unsubscribe { subscription: sub.number })
            }
        };
        if handled.expect("the model breaks no protocol") == Handled::Postponed {
            self.totals.postponed += 1;
            self.clients[index].pending = Some(ask);
            return;
        }
        let client = &mut self.clients[index];
        if client.is_traced {
            client.trace.push(format!("{}: {ask:?} {:?}", self.step, mark.released));
        }
        match ask {
            Ask::Publish { publishes, .. } => {
                for publish in publishes {
                    self.totals.published += 1;
                    self.publishes[publish].taken = Some(self.step);
                    if self.publishes[publish].ack != AckLevel::None {
                        client.numbered.push(publish);
                    }
                }
            }
            Ask::Subscribe { index } => client.subs[index].asked = Some(mark),
            Ask::Unsubscribe { .. } => {}
        }
    }

    /// Nobody wants anything new, everybody reads: all comes to rest, though nobody does more than it is stirred to.
    fn settle(&mut self) {
        self.is_resting = true;
        self.office.end_trouble();
        self.clients.iter_mut().for_each(|client| client.is_stopped = false);
        for _ in 0..ROUNDS_MAX {
            self.step += 1;
            // Mail may wait for a disk that is left alone for a while.
            if self.step.is_multiple_of(16) {
                self.office.wake();
            }
            if !self.stir() {
                if self.office.wake() {
                    self.office_turn();
                    continue;
                }
                let due = self.office.keeper.next_sync_us();
                let pace = self.nodes.iter().filter_map(|node| node.shard.next_deadline()).min();
                match (due, pace) {
                    (Some(due), _) => self.office.now_us = self.office.now_us.max(due),
                    (None, Some(pace)) => {
                        for index in 0..self.nodes.len() {
                            self.nodes[index].now = self.nodes[index].now.max(pace);
                            self.node_turn(index);
                        }
                    }
                    (None, None) => return,
                }
            }
        }
        let counters = self.nodes.iter().map(|node| format!("{:?}", node.shard.counters()));
        let inbox: Vec<usize> = self.office.inbox.iter().map(std::collections::VecDeque::len).collect();
        panic!("it does not come to rest: inboxes {inbox:?}, {:?}", counters.collect::<Vec<_>>());
    }

    /// Everybody who has something to do does it. Returns whether anybody had.
    fn stir(&mut self) -> bool {
        let mut was_stirred = false;
        for index in 0..self.nodes.len() {
            let client_waits = |client: &Client| client.node == index && client.session.is_some() && client.is_blocked;
            let is_writable = self.clients.iter().any(client_waits);
            let node = &self.nodes[index];
            let has_mail = (0..self.nodes.len()).any(|to| to != index && node.shard.has_mail(to));
            let awaits = node.shard.awaits_journal() || node.shard.awaited_lanes() != 0;
            let is_stirred = node.is_stirred() || is_writable || has_mail || node.shard.has_submissions();
            if is_stirred || node.shard.has_dirty() || awaits {
                was_stirred = true;
                self.node_turn(index);
            }
            while self.read_for(index) {
                was_stirred = true;
            }
        }
        let has_releases = (0..self.nodes.len()).any(|shard| !self.office.releases_to(shard).is_empty());
        if self.office.is_stirred() || has_releases {
            was_stirred = true;
            self.office_turn();
        }
        while self.office.help(&mut self.chance) {
            was_stirred = true;
        }
        was_stirred
    }

    /// All is at rest: what everybody has seen is what there is.
    fn finish(mut self) -> Totals {
        // What was read meanwhile is told with a turn.
        (0..self.nodes.len()).for_each(|index| self.node_turn(index));
        for node in &mut self.nodes {
            let counters = node.shard.counters();
            self.totals.fallen_back += counters.fallen_back;
            self.totals.relays += counters.relays;
            node.shard.check_invariants();
            assert!(node.shard.is_at_rest(), "a shard is not at rest");
        }
        assert!(self.office.keeper.is_settled(), "the keeper is not at rest");
        oracle::check(&mut self);
        for index in 0..self.clients.len() {
            if self.clients[index].session.is_some() {
                self.close(index);
            }
        }
        while self.stir() {}
        assert_eq!(self.office.cursors(), 0, "readers keep cursors for nobody");
        self.totals
    }
}

/// Whether two filters match some topic both.
pub(crate) fn do_overlap(one: &str, other: &str) -> bool {
    TOPICS.iter().any(|topic| matches(one, topic) && matches(other, topic))
}

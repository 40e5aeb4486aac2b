//! A reactor: one thread with its own poll, its sockets and its shard.
//!
//! ```text
//!  poll --> mail, read, frame, execute --> deadlines --> arrivals --> finish the turn --> post --> flush
//!            |             |                   |            |               |             |        |
//!        mailboxes  one read a connection    wheel        door       shard fans out   one letter   one write
//!                                                                                    a reactor    a connection
//!           `-------- a turn: every stage bounded, what is left stands in the ready list --------'
//! ```
//!
//! Connections come from the acceptor's thread, and from other reactors that hand them over; no thread waits for
//! another one, and nothing is shared but counts.
//!
//! Sockets are registered once, edge-triggered, for reading and writing. What an edge told is kept in the connection
//! until the socket says otherwise: a read that fills its buffer leaves the connection ready, a short one means it is
//! drained, unless the peer has closed, whose end is read for. So no byte is stranded and no call is made in vain.
//!
//! Invariants:
//! - a connection that can make progress without a further event stands in the ready list;
//! - a session that has bytes to send and a socket that takes them is dirty at the end of its turn;
//! - nobody misses a deadline by bytes that wait to be read: deadlines come after reading, and spare who is not done;
//! - who lies down to sleep has seen all mailboxes empty after it said so;
//! - whoever closes a socket has read what the peer sent or waited its time, so that no reset eats the last frame.

mod acceptor;
mod admission;
mod arrivals;
mod balance;
mod calls;
mod census;
mod clock;
mod closing;
mod connection;
mod control;
mod deadlines;
mod door;
mod drain;
mod flush;
mod handover;
mod journal_mail;
mod journalist;
mod listener;
mod mailbox;
mod moves;
mod poll;
mod porches;
mod post;
mod socket;
mod team;
#[cfg(test)]
mod tests;
mod usage;

pub use acceptor::Acceptor;
pub use control::Handle;
pub use journal_mail::{Counter, Desk, Sleeper};
pub use listener::Listener;
pub use team::{JournalSeat, Premises, Team};

use crate::config::{Config, Limits};
use calls::Calls;
use clock::Clock;
use connection::{Connection, Work};
use control::Control;
use door::{Door, Entrance};
use drain::Draining;
use fanwire_core::wheel::Wheel;
use fanwire_core::{Closure, SessionId, Shard, Time};
use fanwire_gateway::stats::Stats;
use fanwire_gateway::{Context, Credentials, Gateway, Polls, Progress};
use handover::Leaving;
use journalist::Journalist;
use mio::{Events, Poll, Token};
use post::Post;
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Duration;
use team::Seat;
use usage::Usage;

/// Bytes of one read: one connection's share of a turn.
const READ_BYTES: usize = 64 * 1024;
/// Bytes read in one turn before the rest has to wait for the next one.
const TURN_READ_BYTES_MAX: usize = 1024 * 1024;
/// Events taken from one poll.
const EVENTS_PER_TURN_MAX: usize = 1_024;
const CONTROL: Token = Token(usize::MAX);
/// No connection's index.
const NOBODY: u32 = u32::MAX;

/// One thread's share of the broker.
pub struct Reactor {
    /// Its number.
    index: usize,
    poll: Poll,
    control: Arc<Control>,
    entrance: Entrance,
    /// Of all reactors, by number.
    doors: Arc<[Door]>,
    /// Where it is told whose connections went, if anybody counts them.
    departures: Option<Sender<IpAddr>>,
    /// Connections that are handed over and were not taken yet.
    leaving: VecDeque<Leaving>,
    settings: fanwire_gateway::Settings,
    /// The same for those who came to the address for operators.
    operator_settings: fanwire_gateway::Settings,
    bounds: Bounds,
    clock: Clock,
    /// When the last poll began: whatever had come by then is known.
    looked: Time,
    shard: Shard,
    /// Sessions that outlive their connections.
    polls: Polls,
    connections: Slab<Connection>,
    /// By session slot: the connection that a session is attached to, or [`NOBODY`].
    attached: Vec<u32>,
    /// Connections that can make progress without a further event, and some that could and are gone.
    ready: VecDeque<usize>,
    /// When a connection's gateway or closing has a deadline.
    alarms: Wheel<usize>,
    draining: Option<Draining>,
    post: Post,
    /// Whether mail came before sockets in this turn.
    is_mails_turn: bool,
    journalist: Journalist,
    calls: Calls,
    usage: Usage,
    /// Bytes that all connections hold and whose frames are not complete: their peers are to go on.
    partial_bytes: usize,
    /// Bytes that they hold because a budget ended, or a command is postponed: we are to go on.
    backlog_bytes: usize,
    buffers: Buffers,
}

/// The reactor's own bounds, from the configuration.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    /// Of incomplete frames, past which the largest goes; and of the backlog, past which nothing is read.
    partial_bytes_max: usize,
    linger_time_max: Duration,
    socket: crate::config::Socket,
    drain: crate::config::Drain,
}

/// What a call into a gateway needs, from different corners of the reactor.
struct Lent<'a> {
    gateway: &'a mut Gateway,
    context: Context<'a>,
    /// The read buffer.
    read: &'a mut [u8],
}

/// Memory that is lent to whoever has its turn.
struct Buffers {
    read: Box<[u8]>,
    write: Vec<u8>,
    sessions: Vec<SessionId>,
    closures: Vec<Closure>,
    alarms: Vec<usize>,
}

impl Reactor {
    /// A reactor in its seat, with its share of what the configuration allows.
    fn new(seat: Seat, config: &Config) -> Reactor {
        let Seat { index, poll, control, entrance, doors, departures, post, shard, clock, seed, plan, stats } = seat;
        let limits = config.limits_of_one_reactor();
        let settings = gateway_settings(config, stats);
        Reactor {
            index,
            poll,
            control,
            entrance,
            doors,
            departures,
            leaving: VecDeque::new(),
            operator_settings: for_operators(&settings),
            settings,
            bounds: Bounds {
                partial_bytes_max: usize::try_from(limits.partial_bytes_total_max).unwrap_or(usize::MAX),
                linger_time_max: limits.linger_time_max,
                socket: config.socket,
                drain: config.drain,
            },
            alarms: Wheel::new(clock.now()),
            looked: clock.now(),
            clock,
            shard: Shard::seated(
                shard_settings(&limits, config.reactor_count(), seed),
                fanwire_gateway::encodings(),
                shard,
                clock.now(),
            )
            .with_journals(plan),
            polls: moves::polls(index, config, clock.now()),
            connections: Slab::new(),
            attached: Vec::new(),
            ready: VecDeque::new(),
            draining: None,
            post,
            is_mails_turn: false,
            journalist: Journalist::new(),
            calls: Calls::default(),
            usage: Usage::default(),
            partial_bytes: 0,
            backlog_bytes: 0,
            buffers: Buffers {
                read: vec![0; READ_BYTES].into(),
                write: Vec::with_capacity(flush::COPIED_BYTES_MAX),
                sessions: Vec::new(),
                closures: Vec::new(),
                alarms: Vec::new(),
            },
        }
    }

    /// How others end it.
    pub fn handle(&self) -> Handle {
        Handle::new(&self.control)
    }

    /// Turns until the broker is drained.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN_MAX);
        while !self.is_over() {
            self.turn(&mut events)?;
        }
        self.calls.tell(self.index);
        Ok(())
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        self.calls.turns += 1;
        let has_slept = self.wait(events)?;
        self.clock.tick();
        if has_slept {
            self.usage.get_up(self.clock.now());
        }
        self.shard.begin_turn(self.clock.now());
        self.note_events(events);
        self.check_control();
        self.resume_postponed();
        self.take_input()?;
        self.sound_alarms();
        self.take_arrivals();
        self.expire_polls();
        self.see_off()?;
        self.shard.finish_turn();
        self.begin_closures();
        self.send_mail()?;
        self.keep_partial_bound();
        self.freshen_sockets();
        self.flush_dirty();
        self.advance_drain();
        self.journalist.tell_suppressed(self.clock.since_start());
        self.publish_figures();
        Ok(())
    }

    /// Returns whether it may have slept.
    fn wait(&mut self, events: &mut Events) -> io::Result<bool> {
        let may_sleep = !self.has_work_left() && self.post.lie_down(&self.shard);
        if may_sleep {
            self.clock.glance();
            self.usage.lie_down(self.clock.now());
        }
        let timeout = if may_sleep { self.time_to_next_deadline() } else { Some(Duration::ZERO) };
        self.looked = self.clock.now();
        self.calls.polls += 1;
        let outcome = poll::wait(&mut self.poll, events, timeout);
        self.post.get_up();
        outcome.map(|()| may_sleep)
    }

    fn has_work_left(&self) -> bool {
        self.may_serve_somebody()
            || self.shard.has_dirty()
            || self.shard.has_closures()
            || self.shard.has_resumed()
            || self.entrance.has_waiting()
            || self.post.has_work_left(&self.shard)
            || self.have_all_hushed()
    }

    fn time_to_next_deadline(&self) -> Option<Duration> {
        let drain = self.draining.as_ref().map(Draining::next_deadline);
        let retry = (!self.leaving.is_empty()).then(|| self.now() + handover::RETRY);
        let polls = self.polls.next_deadline();
        let deadlines = [self.shard.next_deadline(), self.alarms.next_deadline(), polls, drain, retry];
        let next = deadlines.into_iter().flatten().min()?;
        Some(next.since(self.clock.now()))
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn note_events(&mut self, events: &Events) {
        for event in events {
            match event.token() {
                CONTROL => self.usage.wakes += 1,
                Token(index) => self.note_readiness(index, event),
            }
        }
    }

    fn note_readiness(&mut self, index: usize, event: &mio::event::Event) {
        // An event may outlive its connection by the rest of the turn.
        let Some(connection) = self.connections.get_mut(index) else {
            return;
        };
        connection.note_event(event);
        if connection.is_ready() {
            self.make_ready(index);
        }
        if event.is_writable() {
            self.note_writable(index);
        }
    }

    fn make_ready(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if !connection.is_listed {
            connection.is_listed = true;
            self.ready.push_back(index);
        }
    }

    /// Whether sockets may be read: not beyond what may be held back, nor once all others rely on our being done.
    fn may_read(&self) -> bool {
        self.backlog_bytes < self.bounds.partial_bytes_max && !self.is_hushed()
    }

    /// Whether a ready connection may be served: while sockets are not read, only one that lessens the backlog.
    fn may_serve(&self, connection: &Connection) -> bool {
        self.may_read() || (connection.has_work_left() && !self.is_hushed())
    }

    fn may_serve_somebody(&self) -> bool {
        if self.may_read() {
            return !self.ready.is_empty();
        }
        let listed = self.ready.iter().filter_map(|index| self.connections.get(*index));
        listed.filter(|connection| connection.is_ready()).any(|connection| self.may_serve(connection))
    }

    fn serve_ready(&mut self, is_enough: impl Fn(&Shard) -> bool) {
        let mut read_bytes = 0;
        for _ in 0..self.ready.len() {
            if is_enough(&self.shard) || read_bytes >= TURN_READ_BYTES_MAX || self.is_hushed() {
                return;
            }
            let Some(index) = self.ready.pop_front() else {
                return;
            };
            // One that went while it stood here may have been replaced by another, which is not listed.
            let connection = self.connections.get(index).filter(|connection| connection.is_listed);
            let Some(connection) = connection else { continue };
            if !self.may_serve(connection) {
                self.ready.push_back(index);
                continue;
            }
            self.connections[index].is_listed = false;
            read_bytes += self.serve(index);
            if self.connections.get(index).is_some_and(Connection::is_ready) {
                self.make_ready(index);
            }
        }
    }

    /// One connection's share of a turn: what it left last time, or one read. Returns the bytes read.
    fn serve(&mut self, index: usize) -> usize {
        let connection = &mut self.connections[index];
        if !connection.is_live() {
            return self.discard(index);
        }
        if connection.has_work_left() {
            self.execute(index, 0);
            return 0;
        }
        match connection.read(&mut self.buffers.read, &mut self.calls) {
            Ok(Some(0)) => {
                self.end_of_input(index);
                0
            }
            Ok(Some(count)) => {
                self.usage.received_bytes += count as u64;
                self.execute(index, count);
                count
            }
            Ok(None) => 0,
            Err(error) => {
                self.lose(index, &error);
                0
            }
        }
    }

    /// A connection's gateway, and what it is lent with each call.
    fn lend(&mut self, index: usize) -> Lent<'_> {
        let connection = &mut self.connections[index];
        let context = Context {
            shard: &mut self.shard,
            polls: &mut self.polls,
            settings: if connection.is_operator { &self.operator_settings } else { &self.settings },
            now: self.clock.now(),
            wall_us: self.clock.wall_us(),
            connection_id: connection.id,
            peer: connection.address().ip(),
            is_draining: self.draining.is_some(),
        };
        Lent { gateway: &mut connection.gateway, context, read: &mut self.buffers.read }
    }

    /// Lets the gateway work on the first `count` bytes of the read buffer.
    fn execute(&mut self, index: usize, count: usize) {
        let Lent { gateway, mut context, read } = self.lend(index);
        let was_open = gateway.is_open();
        let progress = gateway.receive(&mut read[..count], &mut context);
        self.note_worked(index, progress, was_open);
    }

    /// A connection's inner session has been sent something, which its gateway reads.
    fn hear(&mut self, index: usize) {
        if !self.connections[index].is_live() {
            return;
        }
        let Lent { gateway, mut context, .. } = self.lend(index);
        let progress = gateway.hear(&mut context);
        if progress == Progress::Idle {
            // What it still has to do is whatever it was.
            self.note_partial(index);
            self.set_alarm(index);
        } else {
            self.note_progressed(index, progress);
        }
    }

    /// A gateway has gone on without being read for.
    fn note_progressed(&mut self, index: usize, progress: Progress) {
        self.note_worked(index, progress, true);
        if self.connections.get(index).is_some_and(Connection::is_ready) {
            self.make_ready(index);
        }
    }

    fn note_worked(&mut self, index: usize, progress: Progress, was_open: bool) {
        let connection = &mut self.connections[index];
        connection.work = match progress {
            Progress::More => Work::Left,
            Progress::Postponed | Progress::Move(_) => Work::Postponed,
            Progress::Idle | Progress::Leave | Progress::Close(_) => Work::Done,
        };
        if let Some(code) = self.shard.take_refusal() {
            self.journalist.refused(self.clock.since_start(), connection.id, connection.address(), code);
        }
        self.note_kind(index);
        self.note_partial(index);
        self.supersede_waits(index);
        if !was_open && self.connections[index].gateway.is_open() {
            // The handshake's deadline is no more.
            self.clear_alarm(index);
        }
        if !was_open || self.connections[index].gateway.inner().is_some() {
            self.attach(index);
        }
        match progress {
            Progress::Idle | Progress::More | Progress::Postponed => self.set_alarm(index),
            Progress::Leave => self.part(index),
            Progress::Move(_) => return self.move_if_flushed(index),
            Progress::Close(closing) => self.begin_close(index, closing),
        }
        if self.draining.is_some() && !was_open {
            self.say_go_away(index);
        }
    }

    /// The connection that a session is attached to, if both are still there.
    fn connection_of(&self, session: SessionId) -> Option<usize> {
        let index = self.owner_of(session)?;
        (self.connections[index].gateway.session() == Some(session)).then_some(index)
    }

    /// The same, also where the session is one that the connection's gateway reads itself.
    fn owner_of(&self, session: SessionId) -> Option<usize> {
        let index = *self.attached.get(session.slot())? as usize;
        let gateway = &self.connections.get(index)?.gateway;
        [gateway.session(), gateway.inner()].contains(&Some(session)).then_some(index)
    }

    /// Notes which connection a session belongs to, as soon as it has one.
    fn attach(&mut self, index: usize) {
        let gateway = &self.connections[index].gateway;
        let sessions = [gateway.session(), gateway.inner()];
        for session in sessions.into_iter().flatten() {
            if self.attached.len() <= session.slot() {
                self.attached.resize(session.slot() + 1, NOBODY);
            }
            self.attached[session.slot()] = u32::try_from(index).expect("descriptors have 31 bits");
        }
    }
}

/// Who came to the address for operators is shown everything.
fn for_operators(settings: &fanwire_gateway::Settings) -> fanwire_gateway::Settings {
    let mut settings = settings.clone();
    settings.http.shows_all = true;
    settings
}

fn gateway_settings(config: &Config, stats: Arc<Stats>) -> fanwire_gateway::Settings {
    fanwire_gateway::Settings {
        limits: config.limits.wire,
        credentials: Credentials::tokens(config.tokens.secrets().map(|secret| secret.as_bytes().to_vec())),
        handshake_time_max: config.limits.handshake_time_max,
        frame_time_max: config.limits.frame_time_max,
        http: fanwire_gateway::http::Settings {
            origins: config.http.origin_rules(config.listen).expect("the configuration was checked"),
            idle_time_max: config.http.idle_time_max,
            heartbeat_period: config.http.heartbeat_period,
            deflates: config.http.compression,
            ..fanwire_gateway::http::Settings::default()
        },
        stats,
        ..fanwire_gateway::Settings::default()
    }
}

fn shard_settings(limits: &Limits, reactors: u32, seed: u64) -> fanwire_core::Settings {
    fanwire_core::Settings {
        limits: limits.wire,
        queue_bytes_total_max: limits.queue_bytes_total_max,
        subscriptions_total_max: limits.subscriptions_total_max,
        topics_cached_max: limits.topics_cached_max,
        mailbox_bytes_max: post::mailbox_bytes_max(limits.mailbox_bytes_total_max, reactors as usize),
        seed,
    }
}

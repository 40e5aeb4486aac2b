//! A reactor: one thread with its own poll, its sockets and its shard.
//!
//! ```text
//!  poll --> accept --> read, frame, execute --> deadlines --> finish the turn --> flush --> close
//!             |                |                    |               |               |
//!          acceptor    one read a connection      wheel       shard fans out    one write a connection
//!             `--------- a turn: every stage bounded, what is left stands in the ready list ---------'
//! ```
//!
//! Sockets are registered once, edge-triggered, for reading and writing. What an edge told is kept in the connection
//! until the socket says otherwise: a read that fills its buffer leaves the connection ready, a short one means it is
//! drained, unless the peer has closed, whose end is read for. So no byte is stranded and no call is made in vain.
//!
//! Invariants:
//! - a connection that can make progress without a further event stands in the ready list;
//! - a session that has bytes to send and a socket that takes them is dirty at the end of its turn;
//! - nobody misses a deadline by bytes that wait to be read: deadlines come after reading, and spare who is not done;
//! - whoever closes a socket has read what the peer sent or waited its time, so that no reset eats the last frame.

mod acceptor;
mod arrivals;
mod census;
mod clock;
mod closing;
mod connection;
mod control;
mod deadlines;
mod drain;
mod flush;
mod journalist;
mod socket;

pub use acceptor::Acceptor;
pub use control::{Control, Handle};

use crate::config::Config;
use census::Census;
use clock::Clock;
use connection::{Connection, Phase};
use drain::Draining;
use fanwire_core::wheel::Wheel;
use fanwire_core::{Closure, SessionId, Shard, Time};
use fanwire_gateway::{Context, Credentials, Native, Progress};
use journalist::Journalist;
use mio::{Events, Poll, Token};
use slab::Slab;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of one read: one connection's share of a turn.
const READ_BYTES: usize = 64 * 1024;
/// Bytes read in one turn before the rest has to wait for the next one.
const TURN_READ_BYTES_MAX: usize = 1024 * 1024;
/// Events taken from one poll.
const EVENTS_PER_TURN_MAX: usize = 1_024;
const LISTENER: Token = Token(usize::MAX);
const CONTROL: Token = Token(usize::MAX - 1);

/// What a timer of the reactor is for.
#[derive(Debug, Clone, Copy)]
enum Alarm {
    /// A connection's gateway or closing has a deadline.
    Connection(usize),
    /// The acceptor paused for want of descriptors.
    Accept,
}

/// One thread's share of the broker.
pub struct Reactor {
    poll: Poll,
    control: Arc<Control>,
    acceptor: Option<Acceptor>,
    settings: fanwire_gateway::Settings,
    bounds: Bounds,
    clock: Clock,
    /// When the last poll began: whatever had come by then is known.
    looked: Time,
    shard: Shard,
    connections: Slab<Connection>,
    /// By session slot: the connection that a session is attached to.
    attached: Vec<usize>,
    /// Connections that can make progress without a further event, and some that could and are gone.
    ready: VecDeque<usize>,
    alarms: Wheel<Alarm>,
    draining: Option<Draining>,
    journalist: Journalist,
    census: Census,
    /// Connections that were refused as they came and are about to go: they take nobody's place.
    turned_away: usize,
    /// Bytes of incomplete frames of all connections.
    partial_bytes: usize,
    next_connection_id: u64,
    buffers: Buffers,
}

/// The reactor's own bounds, from the configuration.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    connections_max: usize,
    partial_bytes_max: usize,
    linger_time_max: Duration,
    socket: crate::config::Socket,
    drain: crate::config::Drain,
}

/// What a call into a gateway needs, from different corners of the reactor.
struct Lent<'a> {
    native: &'a mut Native,
    context: Context<'a>,
    /// The read buffer.
    read: &'a [u8],
}

/// Memory that is lent to whoever has its turn.
struct Buffers {
    read: Box<[u8]>,
    write: Vec<u8>,
    sessions: Vec<SessionId>,
    closures: Vec<Closure>,
    alarms: Vec<Alarm>,
}

impl Reactor {
    /// A reactor that accepts from `acceptor`, and the handle by which others reach it.
    pub fn new(config: &Config, acceptor: Acceptor, connections_max: usize) -> io::Result<(Reactor, Handle)> {
        let poll = Poll::new()?;
        let mut acceptor = acceptor;
        acceptor.register(poll.registry(), LISTENER)?;
        let control = Arc::new(Control::new(mio::Waker::new(poll.registry(), CONTROL)?));
        let clock = Clock::start();
        let settings = gateway_settings(config);
        let shard = Shard::new(shard_settings(config), fanwire_gateway::encodings(), clock.now());
        let reactor = Reactor {
            poll,
            control: Arc::clone(&control),
            acceptor: Some(acceptor),
            settings,
            bounds: Bounds {
                connections_max,
                partial_bytes_max: usize::try_from(config.limits.partial_bytes_total_max).unwrap_or(usize::MAX),
                linger_time_max: config.limits.linger_time_max,
                socket: config.socket,
                drain: config.drain,
            },
            alarms: Wheel::new(clock.now()),
            looked: clock.now(),
            clock,
            shard,
            connections: Slab::new(),
            attached: Vec::new(),
            ready: VecDeque::new(),
            draining: None,
            journalist: Journalist::new(),
            census: Census::new(config.limits.connections_per_address_max),
            turned_away: 0,
            partial_bytes: 0,
            next_connection_id: 1,
            buffers: Buffers {
                read: vec![0; READ_BYTES].into(),
                write: Vec::with_capacity(flush::COPIED_BYTES_MAX),
                sessions: Vec::new(),
                closures: Vec::new(),
                alarms: Vec::new(),
            },
        };
        Ok((reactor, Handle::new(control)))
    }

    /// Turns until the broker is drained.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_TURN_MAX);
        while !self.is_over() {
            self.turn(&mut events)?;
        }
        Ok(())
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        self.wait(events)?;
        self.clock.tick();
        self.shard.begin_turn(self.clock.now());
        self.note_events(events);
        self.check_control();
        self.accept();
        self.serve_ready();
        self.sound_alarms();
        self.shard.finish_turn();
        self.begin_closures();
        self.keep_partial_bound();
        self.freshen_sockets();
        self.flush_dirty();
        self.journalist.tell_suppressed(self.clock.since_start());
        Ok(())
    }

    fn wait(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = if self.has_work_left() { Some(Duration::ZERO) } else { self.time_to_next_deadline() };
        self.looked = self.clock.now();
        match self.poll.poll(events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                events.clear();
                Ok(())
            }
            other => other,
        }
    }

    fn has_work_left(&self) -> bool {
        !self.ready.is_empty()
            || self.shard.has_dirty()
            || self.shard.has_closures()
            || self.acceptor.as_ref().is_some_and(Acceptor::is_ready)
    }

    fn time_to_next_deadline(&mut self) -> Option<Duration> {
        let drain = self.draining.as_ref().map(Draining::next_deadline);
        let deadlines = [self.shard.next_deadline(), self.alarms.next_deadline(), drain];
        let next = deadlines.into_iter().flatten().min()?;
        self.clock.tick();
        Some(next.since(self.clock.now()))
    }

    fn now(&self) -> Time {
        self.clock.now()
    }

    fn note_events(&mut self, events: &Events) {
        for event in events {
            match event.token() {
                LISTENER => self.acceptor.iter_mut().for_each(Acceptor::note_ready),
                CONTROL => {}
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

    fn serve_ready(&mut self) {
        let mut read_bytes = 0;
        for _ in 0..self.ready.len() {
            if self.shard.wants_flush() || read_bytes >= TURN_READ_BYTES_MAX {
                return;
            }
            let Some(index) = self.ready.pop_front() else {
                return;
            };
            // One that went while it stood here may have been replaced by another, which is not listed.
            let connection = self.connections.get_mut(index).filter(|connection| connection.is_listed);
            let Some(connection) = connection else { continue };
            connection.is_listed = false;
            read_bytes += self.serve(index);
            if self.connections.get(index).is_some_and(Connection::is_ready) {
                self.make_ready(index);
            }
        }
    }

    /// One connection's share of a turn: what it left last time, or one read. Returns the bytes read.
    fn serve(&mut self, index: usize) -> usize {
        let connection = &mut self.connections[index];
        if connection.phase != Phase::Live {
            return self.discard(index);
        }
        if connection.has_work_left {
            self.execute(index, 0);
            return 0;
        }
        match connection.read(&mut self.buffers.read) {
            Ok(Some(0)) => {
                self.end_of_input(index);
                0
            }
            Ok(Some(count)) => {
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
            settings: &self.settings,
            now: self.clock.now(),
            wall_us: self.clock.wall_us(),
            connection_id: connection.id,
            is_draining: self.draining.is_some(),
        };
        Lent { native: &mut connection.native, context, read: &self.buffers.read }
    }

    /// Lets the gateway work on the first `count` bytes of the read buffer.
    fn execute(&mut self, index: usize, count: usize) {
        let Lent { native, mut context, read } = self.lend(index);
        let was_open = native.phase() == fanwire_gateway::Phase::Open;
        let progress = native.receive(&read[..count], &mut context);
        let connection = &mut self.connections[index];
        connection.has_work_left = progress == Progress::More;
        if let Some(code) = self.shard.take_refusal() {
            self.journalist.refused(self.clock.since_start(), connection.id, connection.address, code);
        }
        self.note_partial(index);
        self.attach(index);
        match progress {
            Progress::Idle | Progress::More => self.set_alarm(index),
            Progress::Close(closing) => self.begin_close(index, closing),
        }
        if self.draining.is_some() && !was_open {
            self.say_go_away(index);
        }
    }

    /// The connection that a session is attached to, if both are still there.
    fn connection_of(&self, session: SessionId) -> Option<usize> {
        let index = *self.attached.get(session.slot())?;
        let connection = self.connections.get(index)?;
        (connection.native.session() == Some(session)).then_some(index)
    }

    /// Notes which connection a session belongs to, as soon as it has one.
    fn attach(&mut self, index: usize) {
        let Some(session) = self.connections[index].native.session() else {
            return;
        };
        if self.attached.len() <= session.slot() {
            self.attached.resize(session.slot() + 1, usize::MAX);
        }
        self.attached[session.slot()] = index;
    }
}

fn gateway_settings(config: &Config) -> fanwire_gateway::Settings {
    fanwire_gateway::Settings {
        limits: config.limits.wire,
        credentials: Credentials::tokens(config.tokens.secrets().map(|secret| secret.as_bytes().to_vec())),
        handshake_time_max: config.limits.handshake_time_max,
        frame_time_max: config.limits.frame_time_max,
        ..fanwire_gateway::Settings::default()
    }
}

fn shard_settings(config: &Config) -> fanwire_core::Settings {
    fanwire_core::Settings {
        limits: config.limits.wire,
        queue_bytes_total_max: config.limits.queue_bytes_total_max,
        subscriptions_total_max: config.limits.subscriptions_total_max,
        topics_cached_max: config.limits.topics_cached_max,
        seed: socket::random_seed(),
    }
}

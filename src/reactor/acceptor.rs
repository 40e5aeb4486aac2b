//! The acceptor: a thread that owns the listeners and all admission, and hands each connection to a reactor.
//!
//! ```text
//!  poll --> accept, judge, place ... --> wake each reactor that got something, once
//!    ^        a batch, bounded |
//!    `---- pause: no descriptors, or a door that is full
//! ```
//!
//! A pause has its time, whatever the listener tells meanwhile: a waiting connection is an edge, not a descriptor.
//! In a storm connections gather for a moment before they are accepted together, since waking two threads for each of
//! them costs more than the moment: 1.62 times the floor's processor time without it, 1.32 with it (medians of four
//! interleaved runs of `bench conns`). One that comes alone is accepted at once.
//!
//! While a connection finds no open door, it is kept, and no other one is accepted: who waits, waits in the kernel's
//! backlog.

use super::admission::{Admission, Verdict};
use super::balance::Balance;
use super::clock::Clock;
use super::control::{Control, Handle};
use super::door::{Arrival, Door};
use super::journalist::Journalist;
use super::listener::Attempt;
use super::poll;
use super::porches::Porches;
use fanwire_core::Time;
use fanwire_gateway::Gateway;
use fanwire_gateway::stats::Stats;
use mio::net::TcpStream;
use mio::{Events, Poll, Token};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Connections accepted in one batch.
const BATCH_MAX: usize = 64;
/// How long accepting pauses without descriptors.
const PAUSE: Duration = Duration::from_millis(100);
/// How long it pauses when a connection finds no open door: about as long as a reactor's turn at the worst.
const PAUSE_AT_FULL_DOOR: Duration = Duration::from_millis(1);
/// What lies between two batches at the least: what a connection may wait longer in a storm, in which it waits for
/// milliseconds anyway.
const GATHERING: Duration = Duration::from_micros(200);
/// The listeners and the waker.
const EVENTS_MAX: usize = 8;
/// The listeners have the numbers from 0 on.
const CONTROL: Token = Token(usize::MAX);

/// The thread that accepts.
pub struct Acceptor {
    poll: Poll,
    control: Arc<Control>,
    porches: Porches,
    paused_until: Option<Time>,
    /// When accepting began last.
    last_batch: Time,
    admission: Admission,
    balance: Balance,
    /// Accepted and admitted, and no reactor has taken it yet.
    kept: Option<Arrival>,
    connection_count: u64,
    clock: Clock,
    journalist: Journalist,
    stats: Arc<Stats>,
}

impl Acceptor {
    /// An acceptor that hands connections in at these doors.
    pub(super) fn new(
        mut porches: Porches,
        admission: Admission,
        doors: Arc<[Door]>,
        clock: Clock,
        stats: Arc<Stats>,
    ) -> io::Result<Acceptor> {
        let poll = Poll::new()?;
        porches.register(poll.registry())?;
        Ok(Acceptor {
            control: Control::new(poll.registry(), CONTROL)?,
            poll,
            porches,
            paused_until: None,
            last_batch: Time::default(),
            admission,
            balance: Balance::new(doors),
            kept: None,
            connection_count: 0,
            clock,
            journalist: Journalist::new(),
            stats,
        })
    }

    /// How others end it.
    pub fn handle(&self) -> Handle {
        Handle::new(&self.control)
    }

    /// Accepts until it is told to drain; then the listener is closed. Who still waits to be accepted or placed is
    /// reset, and finds nobody there when it tries again.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.control.is_drain_wanted() {
            self.turn(&mut events)?;
        }
        Ok(())
    }

    fn turn(&mut self, events: &mut Events) -> io::Result<()> {
        let timeout = self.time_to_wait();
        poll::wait(&mut self.poll, events, timeout)?;
        self.clock.tick();
        self.porches.note_events(events);
        if !self.is_paused() {
            if self.porches.is_ready() {
                self.gather();
            }
            self.accept_batch();
            self.balance.wake()?;
        }
        self.journalist.tell_suppressed(self.clock.since_start());
        Ok(())
    }

    fn time_to_wait(&mut self) -> Option<Duration> {
        match self.paused_until {
            Some(until) => {
                self.clock.tick();
                Some(until.since(self.clock.now()))
            }
            None => self.porches.is_ready().then_some(Duration::ZERO),
        }
    }

    /// Whether a pause goes on; ends one whose time is over.
    fn is_paused(&mut self) -> bool {
        self.paused_until = self.paused_until.filter(|until| *until > self.clock.now());
        self.paused_until.is_some()
    }

    fn pause(&mut self, time: Duration) {
        self.paused_until = Some(self.clock.now() + time);
    }

    /// Lets a storm's connections come together.
    fn gather(&mut self) {
        if let Some(rest) = GATHERING.checked_sub(self.clock.now().since(self.last_batch)) {
            thread::sleep(rest);
            self.clock.tick();
        }
        self.last_batch = self.clock.now();
    }

    fn accept_batch(&mut self) {
        self.balance.survey();
        self.admission.hear_departures();
        if let Some(kept) = self.kept.take() {
            self.place(kept);
        }
        for _ in 0..BATCH_MAX {
            if !self.porches.is_ready() || self.paused_until.is_some() {
                return;
            }
            let (attempt, is_operator) = self.porches.accept();
            match attempt {
                Attempt::Accepted(stream, address) => self.welcome(stream, address, is_operator),
                Attempt::Nobody | Attempt::Failed => {}
                Attempt::Shed => {
                    self.stats.entries.note_refused();
                    self.journalist.out_of_descriptors(self.clock.since_start());
                    self.pause(PAUSE);
                }
            }
        }
    }

    /// Takes a new connection in, or turns it away with the code that says why.
    fn welcome(&mut self, stream: TcpStream, address: SocketAddr, is_operator: bool) {
        let refusal = match self.admission.judge(address.ip(), &mut self.balance) {
            Verdict::Stays => {
                self.admission.add(address.ip());
                self.stats.entries.note_accepted();
                None
            }
            Verdict::TurnedAway(code) => {
                self.stats.entries.note_refused();
                Some(code)
            }
            Verdict::Dropped => return self.stats.entries.note_refused(),
        };
        self.connection_count += 1;
        let gateway = Gateway::new(self.clock.now());
        let connection_id = self.connection_count;
        self.place(Arrival { stream, address, connection_id, is_operator, refusal, gateway, input: Vec::new() });
    }

    fn place(&mut self, arrival: Arrival) {
        self.kept = self.balance.place(arrival, self.clock.now());
        if self.kept.is_some() {
            self.pause(PAUSE_AT_FULL_DOOR);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::reactor::{Listener, Premises, Team};
    use fanwire_core::journal::plan::Plan;
    use std::net::TcpStream as Peer;

    /// A team of one reactor whose threads are not started.
    fn team(connections_max: usize) -> (Team, SocketAddr) {
        let config = Config::default();
        let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &config.socket).unwrap();
        let address = listener.local_address().unwrap();
        (Team::assemble(&config, Premises::new(&config, listener, connections_max), &Plan::default()).unwrap(), address)
    }

    #[test]
    fn a_pause_has_its_time_whatever_the_listener_tells_and_needs_no_edge_to_end() {
        let (Team { mut acceptor, reactors, .. }, address) = team(10);
        let mut events = Events::with_capacity(EVENTS_MAX);
        acceptor.clock.tick();
        acceptor.pause(Duration::from_secs(3_600));
        let mut peers = Vec::new();
        for _ in 0..3 {
            peers.push(Peer::connect(address).unwrap());
            // The edge ends the poll, and nothing else.
            acceptor.turn(&mut events).unwrap();
            assert!(acceptor.porches.is_ready() && acceptor.is_paused());
        }
        assert!(!reactors[0].entrance.has_waiting());
        acceptor.paused_until = Some(acceptor.clock.now());
        acceptor.turn(&mut events).unwrap();
        assert_eq!(acceptor.balance.total().connections, 3);
        assert!(!acceptor.porches.is_ready() && acceptor.time_to_wait().is_none(), "it sleeps until somebody comes");
    }

    #[test]
    fn when_no_door_takes_a_connection_it_is_kept_and_the_others_wait_outside() {
        const CROWD: usize = 300;
        let (Team { mut acceptor, mut reactors, .. }, address) = team(CROWD);
        let mut events = Events::with_capacity(EVENTS_MAX);
        let _peers: Vec<Peer> = (0..CROWD).map(|_| Peer::connect(address).unwrap()).collect();
        while acceptor.kept.is_none() {
            acceptor.turn(&mut events).unwrap();
        }
        let accepted = acceptor.connection_count as usize;
        assert!(acceptor.paused_until.is_some() && accepted < CROWD);
        // The reactor does nothing: no further connection is accepted, and none is lost.
        for _ in 0..3 {
            acceptor.turn(&mut events).unwrap();
            assert_eq!((acceptor.connection_count as usize, acceptor.kept.is_some()), (accepted, true));
        }
        let reactor = &mut reactors[0];
        while reactor.connections.len() < CROWD {
            // Neither sleeps: nobody would wake it.
            if acceptor.time_to_wait().is_some() {
                acceptor.turn(&mut events).unwrap();
            }
            if reactor.entrance.has_waiting() {
                reactor.turn(&mut events).unwrap();
            }
        }
        let mut ids: Vec<u64> = reactor.connections.iter().map(|(_, connection)| connection.id).collect();
        ids.sort_unstable();
        assert!(ids.into_iter().eq(1..=CROWD as u64));
    }
}

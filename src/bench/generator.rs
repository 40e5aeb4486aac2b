//! The load: every connection of a run in one thread and one loop, the same for every target.
//!
//! ```text
//!  turn:  dial (those on their way) -> publish (what the window or the clock allows) -> poll -> read, hear, write
//!
//!  gather: turns until everybody stands      run: warm up, measure, drain      part, call: many leave and come back
//! ```
//!
//! Fair by construction: batch, window, read size and pacing are the loop's, and a protocol's adapter is only asked for
//! bytes. At saturation the loop blocks in its poll when there is nothing to do; paced, it spins while the next message
//! is nearer than two milliseconds, so that the clock and not a timer's slack says when a message leaves and when it
//! was heard. What it waits is counted, which tells whether the generator itself was the bottleneck.

mod accounting;
mod gathering;
mod publishing;

use super::adapter::{Interest, Part};
use super::calls::{Calls, Counter};
use super::error::BenchError;
use super::histogram::Latencies;
use super::ledger::Ledger;
use super::link::{Link, READ_BYTES, Stage, links_a_source};
use super::listener::Listener;
use super::machine::read;
use super::measured::Measured;
use super::scenario::{Load, Member, Scenario};
use super::schedule::Schedule;
use super::sender::Sender;
use super::sequence::Checker;
use super::usage::Usage;
use accounting::Totals;
use mio::{Events, Poll, Token};
use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

/// The ports that the kernel lends to connections.
const PORTS: &str = "/proc/sys/net/ipv4/ip_local_port_range";
/// Connections on their way at one time.
const DIALS_MAX: usize = 128;
/// How long nothing may happen while something has to.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing may arrive before what is missing counts as lost.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);
/// How long what was due may take to be sent, and what was sent to arrive, before the rate was too high to measure
/// anything.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// How long a poll blocks at the most.
const POLL_MAX: Duration = Duration::from_millis(100);
/// How long system calls are counted.
const COUNTED: Duration = Duration::from_millis(300);
const EVENTS_A_TURN: usize = 1_024;

/// The load on one broker.
pub struct Generator {
    scenario: Scenario,
    poll: Poll,
    /// Taken while they are gone through.
    events: Option<Events>,
    links: Vec<Link>,
    links_a_source: usize,
    hearing: Vec<Hearing>,
    /// Who is connected one day is not yet: the next of them.
    to_dial: Vec<usize>,
    on_their_way: usize,
    /// Those who hear what is published, and read.
    watched: Vec<usize>,
    senders: Vec<Sender>,
    next_sender: usize,
    /// Which sender a connection is.
    sender_of: Vec<Option<usize>>,
    /// Room for [`Ledger::ahead`].
    worst: Vec<u64>,
    ledger: Ledger,
    begin: Instant,
    buffer: Vec<u8>,
    replies: Vec<u8>,
    latencies: Latencies,
    /// When messages have to be due for their latency to count, in nanoseconds from the begin.
    measured: Range<u64>,
    totals: Totals,
    /// At most so many dials a second.
    ramp: Option<f64>,
    dials_max: usize,
    called_ns: u64,
    /// When the last of those who were called stood.
    gathered_ns: u64,
}

/// What one connection has heard.
struct Hearing {
    checker: Option<Checker>,
    heard: u64,
}

impl Generator {
    /// Prepares the connections; none is made yet.
    pub fn new(scenario: Scenario) -> Result<Generator, BenchError> {
        let streams = scenario.publishers_a_topic;
        let hearing = scenario.members.iter().map(|member| Hearing { checker: checker(member, streams), heard: 0 });
        let hearing = hearing.collect();
        let numbered_by_topic = !scenario.members.iter().any(|member| member.interest == Interest::All);
        let publishers = scenario.members.iter().enumerate().filter(|(_, member)| member.publishing.is_some());
        let senders = publishers.map(|(link, member)| {
            Sender::new(link, member.publishing.as_ref().expect("filtered"), &scenario, numbered_by_topic)
        });
        let senders: Vec<Sender> = senders.collect();
        let mut sender_of = vec![None; scenario.members.len()];
        senders.iter().enumerate().for_each(|(number, sender)| sender_of[sender.link] = Some(number));
        Ok(Generator {
            poll: Poll::new()?,
            events: Some(Events::with_capacity(EVENTS_A_TURN)),
            links: scenario.members.iter().map(|_| Link::new()).collect(),
            links_a_source: links_a_source(&read(PORTS)),
            hearing,
            to_dial: Vec::new(),
            on_their_way: 0,
            watched: Vec::new(),
            senders,
            next_sender: 0,
            sender_of,
            worst: Vec::new(),
            ledger: Ledger::new(scenario.topics.count(), &scenario.members),
            begin: Instant::now(),
            buffer: vec![0; READ_BYTES],
            replies: Vec::new(),
            latencies: Latencies::default(),
            measured: 0..0,
            totals: Totals::default(),
            ramp: None,
            dials_max: DIALS_MAX,
            called_ns: 0,
            gathered_ns: 0,
            scenario,
        })
    }

    /// Sends and measures: warm-up, measurement, sending what was due and draining what is under way.
    pub fn run(&mut self, load: &Load) -> Result<Measured, BenchError> {
        self.run_with(load, |_| Ok(()))
    }

    /// The same, and then once more for a short time, untimed, with the broker's system calls counted where that can be
    /// done.
    pub fn run_counted(&mut self, load: &Load) -> Result<Measured, BenchError> {
        let mut measured = self.run(load)?;
        if let Some(counter) = self.scenario.process.and_then(Counter::attach) {
            let heard = self.totals.heard;
            self.run(&Load { warm_up: Duration::ZERO, duration: COUNTED.min(load.duration), ..load.clone() })?;
            let calls = counter.finish();
            measured.calls = calls.map(|calls| Calls { deliveries: self.totals.heard - heard, ..calls });
        }
        Ok(measured)
    }

    /// The same as [`Generator::run`], with something done at the begin of the measurement.
    pub fn run_with(
        &mut self,
        load: &Load,
        at_begin: impl FnOnce(&mut Generator) -> Result<(), BenchError>,
    ) -> Result<Measured, BenchError> {
        self.check(load)?;
        let mut schedule = Schedule::new(load, self.now_ns());
        self.drive_until(load, &mut schedule, self.now_ns() + nanoseconds(load.warm_up))?;
        let mark = self.mark()?;
        let end_ns = mark.at_ns + nanoseconds(load.duration);
        self.latencies.clear();
        self.measured = mark.at_ns..end_ns;
        at_begin(self)?;
        self.drive_until(load, &mut schedule, end_ns)?;
        let mut measured = self.measured_since(&mark, load)?;
        measured.punctuality = self.catch_up(load, &mut schedule)?;
        self.drain()?;
        self.measured = 0..0;
        measured.latencies = self.latencies.clone();
        measured.faults = self.faults();
        Ok(measured)
    }

    /// Whether a connection stands and does not read.
    fn is_stalled(&self, member: usize) -> bool {
        self.links[member].stage == Stage::Standing && !self.scenario.members[member].reads
    }

    /// Hears and answers without publishing, for a while.
    pub fn rest(&mut self, duration: Duration) -> Result<(), BenchError> {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.turn(Some(POLL_MAX.min(end.saturating_duration_since(Instant::now()))))?;
        }
        Ok(())
    }

    /// The broker's usage, where it can be looked at.
    pub fn usage(&self) -> Result<Option<Usage>, BenchError> {
        self.scenario.process.map(Usage::of).transpose().map_err(BenchError::Ended)
    }

    /// One turn: connections on their way, and what the sockets have, which is waited for no longer than this.
    fn turn(&mut self, wait: Option<Duration>) -> Result<(), BenchError> {
        self.dial()?;
        let wait = wait.unwrap_or(POLL_MAX);
        // A poll counts in milliseconds: what is nearer is looked for.
        let timeout = if wait < Duration::from_millis(1) { Duration::ZERO } else { wait };
        let before_ns = self.now_ns();
        let mut events = self.events.take().expect("put back at the end of each turn");
        let polled = self.poll.poll(&mut events, Some(timeout));
        let after_ns = self.now_ns();
        if events.is_empty() || !timeout.is_zero() {
            self.totals.idle_ns += after_ns - before_ns;
        }
        match polled {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            let Token(member) = event.token();
            if event.is_writable() {
                self.write(member)?;
            }
            if event.is_readable() {
                self.read(member)?;
            }
            if event.is_read_closed() && self.is_stalled(member) {
                self.lose(member, "it closed the connection")?;
            }
        }
        self.events = Some(events);
        Ok(())
    }

    fn write(&mut self, member: usize) -> Result<(), BenchError> {
        let is_opening = self.links[member].stage == Stage::Opening;
        // Who stands and reads learns of trouble from its reads.
        let is_deaf = is_opening || !self.scenario.members[member].reads;
        if is_deaf && let Some(error) = self.links[member].take_error() {
            if is_opening && !self.is_rushing() {
                return Err(BenchError::Connect { number: member, address: self.scenario.address, error });
            }
            return self.lose(member, &error.to_string());
        }
        let flushed = self.links[member].flush();
        flushed.or_else(|error| self.lose(member, &error.to_string()))
    }

    fn read(&mut self, member: usize) -> Result<(), BenchError> {
        // Who is not meant to read still reads what welcomes it.
        while self.scenario.members[member].reads || self.links[member].stage == Stage::Opening {
            let count = match self.links[member].receive(&mut self.buffer) {
                Ok(None) => return Ok(()),
                Ok(Some(0)) => return self.lose(member, "it closed the connection"),
                Ok(Some(count)) => count,
                Err(error) => return self.lose(member, &error.to_string()),
            };
            self.totals.read_bytes += count as u64;
            self.hear(member, count)?;
            // A short read has emptied the socket.
            if count < READ_BYTES {
                return Ok(());
            }
        }
        Ok(())
    }

    fn hear(&mut self, member: usize, count: usize) -> Result<(), BenchError> {
        let (link, hearing) = (&mut self.links[member], &mut self.hearing[member]);
        let mut listener = Listener {
            target: self.scenario.target,
            topics: &self.scenario.topics,
            part: self.scenario.members[member].part,
            checker: hearing.checker.as_mut(),
            latencies: &mut self.latencies,
            measured: self.measured.clone(),
            now_ns: nanoseconds(self.begin.elapsed()),
            heard: 0,
            confirmed: 0,
            replies: &mut self.replies,
            together: (0, 0),
        };
        let target = self.scenario.target;
        let heard = link.hear(target, &self.buffer, count, &mut listener);
        heard.map_err(|fault| BenchError::Fault { target, fault })?;
        listener.settle();
        let (messages, confirmed, listened_ns) = (listener.heard, listener.confirmed, listener.now_ns);
        hearing.heard += messages;
        self.totals.heard += messages;
        self.totals.reads += u64::from(messages > 0);
        if link.stage == Stage::Opening {
            link.awaited = link.awaited.saturating_sub(confirmed);
            if link.awaited == 0 {
                link.stage = Stage::Standing;
                self.on_their_way -= 1;
                self.gathered_ns = listened_ns;
            }
        }
        if self.replies.is_empty() {
            return Ok(());
        }
        link.out().append(&mut self.replies);
        self.write(member)
    }

    /// The broker has closed a connection. From one that does not read that is to be expected.
    fn lose(&mut self, member: usize, reason: &str) -> Result<(), BenchError> {
        self.totals.closed += 1;
        let was_opening = self.links[member].stage == Stage::Opening;
        self.links[member].hang_up(Stage::Lost);
        if was_opening {
            self.on_their_way -= 1;
            if self.is_rushing() {
                // A rush is more than some brokers take at once: who is turned away knocks again.
                self.to_dial.insert(0, member);
                return Ok(());
            }
        }
        if self.scenario.members[member].reads {
            let target = self.scenario.target.name();
            return Err(BenchError::Closed { target, number: member, reason: reason.to_owned() });
        }
        Ok(())
    }

    fn now_ns(&self) -> u64 {
        nanoseconds(self.begin.elapsed())
    }
}

fn checker(member: &Member, publishers: u32) -> Option<Checker> {
    match (&member.part, &member.interest) {
        (Part::Requester, _) | (_, Interest::All) => Some(Checker::new(0..0, publishers)),
        (_, Interest::Nothing) => None,
        (_, Interest::Topics(range)) => Some(Checker::new(range.clone(), publishers)),
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("runs are shorter than centuries")
}

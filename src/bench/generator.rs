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

mod gathering;

use super::adapter::{Interest, Part};
use super::error::BenchError;
use super::histogram::Latencies;
use super::ledger::Ledger;
use super::link::{Link, READ_BYTES, Stage};
use super::listener::Listener;
use super::measured::Measured;
use super::scenario::{Drive, Load, Member, Scenario};
use super::schedule::Schedule;
use super::sender::Sender;
use super::sequence::{Checker, Faults};
use super::usage::Usage;
use super::window::Window;
use mio::{Events, Poll, Token};
use std::io;
use std::time::{Duration, Instant};

/// Connections on their way at one time.
const DIALS_MAX: usize = 128;
/// How long nothing may happen while something has to.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing may arrive before what is missing counts as lost.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);
/// How long what was sent may take to arrive before the rate was too high to measure anything.
const DRAIN_MAX: Duration = Duration::from_secs(20);
/// How long a poll blocks at the most.
const POLL_MAX: Duration = Duration::from_millis(100);
/// Bytes that may wait in the generator before a rate is given up as too high.
const BACKLOG_BYTES_MAX: usize = 64 << 20;
/// Messages sent between two looks at the sockets.
const SENDS_A_TURN: u32 = 256;
const EVENTS_A_TURN: usize = 1_024;

/// The load on one broker.
pub struct Generator {
    scenario: Scenario,
    poll: Poll,
    /// Taken while they are gone through.
    events: Option<Events>,
    links: Vec<Link>,
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
    is_measuring: bool,
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

/// What only ever grows.
#[derive(Debug, Clone, Copy, Default)]
struct Totals {
    heard: u64,
    reads: u64,
    read_bytes: u64,
    idle_ns: u64,
    dialled: u64,
    closed: u64,
}

/// A moment to count from.
struct Mark {
    at_ns: u64,
    sent: u64,
    due: u64,
    totals: Totals,
    broker: Option<Usage>,
    own: Usage,
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
            is_measuring: false,
            totals: Totals::default(),
            ramp: None,
            dials_max: DIALS_MAX,
            called_ns: 0,
            gathered_ns: 0,
            scenario,
        })
    }

    /// Sends and measures: warm-up, measurement, and draining what is under way.
    pub fn run(&mut self, load: &Load) -> Result<Measured, BenchError> {
        self.run_with(load, |_| Ok(()))
    }

    /// The same, with something done at the begin of the measurement.
    pub fn run_with(
        &mut self,
        load: &Load,
        at_begin: impl FnOnce(&mut Generator) -> Result<(), BenchError>,
    ) -> Result<Measured, BenchError> {
        self.check(load)?;
        let mut schedule = Schedule::new(load, self.now_ns());
        self.drive_until(load, &mut schedule, load.warm_up)?;
        self.latencies.clear();
        self.is_measuring = true;
        let mark = self.mark()?;
        at_begin(self)?;
        self.drive_until(load, &mut schedule, load.duration)?;
        let mut measured = self.measured_since(&mark, load)?;
        self.drain()?;
        self.is_measuring = false;
        measured.latencies = self.latencies.clone();
        measured.faults = self.faults();
        Ok(measured)
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

    fn check(&self, load: &Load) -> Result<(), BenchError> {
        let usage = |message: &str| Err(BenchError::Usage(message.to_owned()));
        if self.senders.is_empty() {
            return usage("a run needs at least one publisher");
        }
        if matches!(load.drive, Drive::Saturate(_)) && self.watched.is_empty() {
            return usage("a run at saturation needs at least one subscriber, which sets its pace");
        }
        Ok(())
    }

    fn drive_until(&mut self, load: &Load, schedule: &mut Schedule, duration: Duration) -> Result<(), BenchError> {
        let end_ns = self.now_ns() + nanoseconds(duration);
        loop {
            let now_ns = self.now_ns();
            if now_ns >= end_ns {
                return Ok(());
            }
            let wait = match load.drive {
                Drive::Saturate(window) => {
                    self.publish_within(window, load.batch)?;
                    Some(POLL_MAX.min(Duration::from_nanos(end_ns - now_ns)))
                }
                Drive::Pace { window, .. } => {
                    Some(blocked_for(self.publish_due(load.batch, window, schedule, end_ns)?))
                }
            };
            self.turn(wait)?;
        }
    }

    /// Publishes a batch after the other, from one publisher after the other, as far as the window goes.
    fn publish_within(&mut self, window: Window, batch: u32) -> Result<(), BenchError> {
        let mut ahead = self.ahead();
        let mut refused = 0;
        while refused < self.senders.len() && window.admits(ahead, batch) {
            let sender = self.next_sender;
            self.next_sender = (sender + 1) % self.senders.len();
            let link = &self.links[self.senders[sender].link];
            if link.stage != Stage::Standing || link.unwritten_bytes() > 0 {
                refused += 1;
                continue;
            }
            refused = 0;
            self.send(sender, batch, self.now_ns())?;
            ahead += u64::from(batch);
        }
        Ok(())
    }

    /// Publishes what is due; how long until more is.
    fn publish_due(
        &mut self,
        batch: u32,
        window: Option<Window>,
        schedule: &mut Schedule,
        end_ns: u64,
    ) -> Result<Duration, BenchError> {
        for _ in 0..SENDS_A_TURN {
            let due_ns = schedule.due_ns();
            let now_ns = self.now_ns();
            if window.is_some_and(|window| !window.admits(self.ahead(), batch)) {
                return Ok(Duration::ZERO);
            }
            if due_ns > now_ns {
                return Ok(Duration::from_nanos(due_ns.min(end_ns).saturating_sub(now_ns)));
            }
            let sender = self.next_sender;
            self.next_sender = (sender + 1) % self.senders.len();
            self.send(sender, batch, due_ns)?;
            schedule.advance();
            let backlog = self.links[self.senders[sender].link].unwritten_bytes();
            if backlog > BACKLOG_BYTES_MAX {
                return Err(BenchError::Stuck(format!(
                    "{} does not take this rate: {} MiB wait to be sent; ask for less",
                    self.scenario.target.name(),
                    backlog >> 20
                )));
            }
        }
        Ok(Duration::ZERO)
    }

    fn send(&mut self, sender: usize, batch: u32, intended_ns: u64) -> Result<(), BenchError> {
        let link = self.senders[sender].link;
        let out = self.links[link].out();
        let part = self.scenario.members[link].part;
        self.senders[sender].append(&self.scenario, part, batch, intended_ns, &mut self.ledger, out);
        let flushed = self.links[link].flush();
        flushed.or_else(|error| self.lose(link, &error.to_string()))
    }

    /// How many messages the publishers are ahead of the slowest.
    fn ahead(&mut self) -> u64 {
        let mut worst = std::mem::take(&mut self.worst);
        let lags = self.watched.iter().map(|member| (*member, self.lag(*member)));
        let ahead = self.ledger.ahead(lags, &mut worst);
        self.worst = worst;
        ahead
    }

    /// Messages that a member should have heard and has not.
    fn lag(&self, member: usize) -> u64 {
        if self.links[member].stage != Stage::Standing {
            return 0;
        }
        self.due(member).saturating_sub(self.hearing[member].heard)
    }

    fn due(&self, member: usize) -> u64 {
        let plan = &self.scenario.members[member];
        if plan.part == Part::Requester {
            return self.ledger.sent();
        }
        let own = if plan.no_echo && self.scenario.target.has_no_echo() { self.sent_by(member) } else { 0 };
        self.ledger.due(member) - own
    }

    fn sent_by(&self, member: usize) -> u64 {
        self.sender_of[member].map_or(0, |sender| self.senders[sender].sent)
    }

    fn watch(&mut self) {
        let published = |member: &usize| {
            let plan = &self.scenario.members[*member];
            plan.reads && (plan.interest != Interest::Nothing || plan.part == Part::Requester)
        };
        self.watched = (0..self.links.len()).filter(published).collect();
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
            is_measuring: self.is_measuring,
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

    /// Waits until everything that was sent has arrived, or nothing arrives any more.
    fn drain(&mut self) -> Result<(), BenchError> {
        let begin = Instant::now();
        let mut last_change = (begin, self.totals.heard);
        while self.watched.iter().any(|member| self.lag(*member) > 0) {
            self.turn(Some(Duration::from_millis(10)))?;
            if begin.elapsed() > DRAIN_MAX {
                return Err(BenchError::Stuck(format!(
                    "{} is still delivering {DRAIN_MAX:?} after the last message: ask for less",
                    self.scenario.target.name()
                )));
            }
            if self.totals.heard != last_change.1 {
                last_change = (Instant::now(), self.totals.heard);
            } else if last_change.0.elapsed() > DRAIN_PATIENCE {
                return Ok(());
            }
        }
        Ok(())
    }

    fn faults(&self) -> Faults {
        let mut sum = Faults::default();
        for member in &self.watched {
            let Some(checker) = &self.hearing[*member].checker else { continue };
            let mut faults = checker.faults();
            if self.links[*member].stage == Stage::Standing {
                faults.lost = self.due(*member).saturating_sub(checker.distinct());
            }
            sum.add(faults);
        }
        sum
    }

    fn mark(&self) -> Result<Mark, BenchError> {
        Ok(Mark {
            at_ns: self.now_ns(),
            sent: self.ledger.sent(),
            due: self.watched.iter().map(|member| self.due(*member)).sum(),
            totals: self.totals,
            broker: self.usage()?,
            own: Usage::own()?,
        })
    }

    fn measured_since(&self, mark: &Mark, load: &Load) -> Result<Measured, BenchError> {
        let now = self.mark()?;
        let elapsed_ns = now.at_ns - mark.at_ns;
        let rate_asked = match load.drive {
            Drive::Saturate(_) => None,
            Drive::Pace { rate, .. } => Some(rate),
        };
        let broker = now.broker.zip(mark.broker).map(|(now, before)| now.since(&before));
        let own = now.own.since(&mark.own);
        let polled_share = (now.totals.idle_ns - mark.totals.idle_ns) as f64 / elapsed_ns as f64;
        // A poll that finds something takes its time too: at saturation, where nothing spins, who ran was not idle.
        let running_share = if rate_asked.is_none() { own.cpu_ns as f64 / elapsed_ns as f64 } else { 0.0 };
        Ok(Measured {
            target: self.scenario.target,
            seconds: elapsed_ns as f64 / 1e9,
            published: now.sent - mark.sent,
            due: now.due - mark.due,
            deliveries: now.totals.heard - mark.totals.heard,
            reads: now.totals.reads - mark.totals.reads,
            read_bytes: now.totals.read_bytes - mark.totals.read_bytes,
            broker_cpu_ns: broker.map(|used| used.cpu_ns),
            resident_bytes: now.broker.map(|usage| usage.resident_bytes),
            broker_calls: broker.map(|used| (used.reads, used.writes)),
            generator_cpu_ns: own.cpu_ns,
            idle_share: polled_share.min(1.0 - running_share).max(0.0),
            rate_asked,
            faults: Faults::default(),
            closed: now.totals.closed - mark.totals.closed,
            latencies: Latencies::default(),
        })
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

/// How long a poll may block when something is due then: it rounds up to milliseconds and comes back late.
fn blocked_for(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_sub(1))
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).expect("runs are shorter than centuries")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_never_sleeps_past_what_is_due() {
        let blocked = [0, 900, 1_999, 2_000, 5_300].map(|wait_us| blocked_for(Duration::from_micros(wait_us)));
        assert_eq!(blocked, [0, 0, 0, 1, 4].map(Duration::from_millis));
    }
}

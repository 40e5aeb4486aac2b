//! Appends to a journal: connections that each have so many of them on their way and add as many as come back
//! acknowledged, in one thread and one loop, the same for every target.
//!
//! ```text
//!  turn:  fill each window (one write) -> poll -> read, count acknowledgements      connection i: topics i, i + P ...
//! ```
//!
//! A window is filled by whole batches, so that nobody is measured on writes of one message each where there could be
//! more. One publisher of durable appends waits for a sync with its whole window, and adds nothing meanwhile: there the
//! loop spins, as a paced generator does, so that what is timed is the broker and not how long this thread takes to
//! wake (35 to 50 us of 350 on a virtual machine with two cores, and as much again for what it wakes).

use super::adapter::{Ear, Interest, Level, Opening, Part, Target, Topics};
use super::brokers::Broker;
use super::error::BenchError;
use super::histogram::Latencies;
use super::link::{Dialling, Link, READ_BYTES, Stage};
use super::usage::Usage;
use mio::{Events, Poll, Token};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Messages of one write at the least, where the window has room for two such.
const BATCH: u64 = 50;
/// How long nothing may come back.
const PATIENCE: Duration = Duration::from_secs(10);
const POLL_MAX: Duration = Duration::from_millis(100);
/// What fills a payload.
const FILLING: u8 = b'.';
/// What an append may take on a disk beside its payload, whoever keeps it.
const OVERHEAD_BYTES: u64 = 160;

/// What is appended, and by whom.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// Connections.
    pub(super) publishers: u32,
    /// Appends that each may have on their way.
    pub(super) window: u64,
    /// The numbers of the topics, dealt out to the connections.
    pub(super) topics: std::ops::Range<u32>,
    /// Bytes of a payload.
    pub(super) payload_bytes: usize,
    /// What each has to survive.
    pub(super) level: Level,
    /// What may be written at the most, in bytes.
    pub(super) space_bytes: u64,
}

/// What came of it.
#[derive(Debug)]
pub(super) struct Appended {
    pub(super) seconds: f64,
    pub(super) acknowledged: u64,
    /// The broker's processor time; `None` where its process can't be looked at.
    pub(super) broker_cpu_ns: Option<u64>,
    /// The share of the time in which this end waited.
    pub(super) idle_share: f64,
    /// From the write until the acknowledgement was read.
    pub(super) latencies: Latencies,
    /// Whether it ended before its time, for want of room.
    pub(super) was_cut_short: bool,
}

/// The connections.
pub(super) struct Appender {
    target: Target,
    process: Option<u32>,
    plan: Plan,
    topics: Topics,
    poll: Poll,
    /// Taken while they are gone through.
    events: Option<Events>,
    lanes: Vec<Lane>,
    buffer: Vec<u8>,
    payload: Vec<u8>,
    begin: Instant,
    sent: u64,
    acknowledged: u64,
    idle_ns: u64,
    latencies: Latencies,
}

/// One connection.
struct Lane {
    link: Link,
    sent: u64,
    acknowledged: u64,
    /// When appends were written that are on their way, and how many at once.
    written: VecDeque<(u64, u64)>,
    topic: u32,
}

/// What one read has brought.
#[derive(Default)]
struct Heard {
    confirmed: u32,
    acknowledged: u64,
    refused: Option<String>,
    owed: Vec<u8>,
}

impl Ear for Heard {
    fn delivered(&mut self, _payload: &[u8]) {}
    fn asked(&mut self, _handle: &[u8], _payload: &[u8]) {}
    fn answered(&mut self, payload: &[u8]) {
        self.acknowledged += 1;
        if payload.windows(7).any(|window| window == b"\"error\"") {
            self.refused = Some(payload.escape_ascii().to_string());
        }
    }
    fn confirmed(&mut self) {
        self.confirmed += 1;
    }
    fn acknowledged(&mut self, count: u64) {
        self.acknowledged += count;
    }
    fn owes(&mut self, bytes: &[u8]) {
        self.owed.extend_from_slice(bytes);
    }
}

impl Appender {
    /// Connects all, and waits until they stand.
    pub(super) fn connect(broker: &Broker, plan: Plan) -> Result<Appender, BenchError> {
        let topics = Topics::new(plan.topics.end, broker.target.separator());
        let mut appender = Appender {
            target: broker.target,
            process: broker.process,
            poll: Poll::new()?,
            events: Some(Events::with_capacity(64)),
            lanes: Vec::new(),
            buffer: vec![0; READ_BYTES],
            payload: vec![FILLING; plan.payload_bytes],
            begin: Instant::now(),
            sent: 0,
            acknowledged: 0,
            idle_ns: 0,
            latencies: Latencies::default(),
            topics,
            plan,
        };
        for number in 0..appender.plan.publishers {
            appender.dial(number, broker.address)?;
        }
        while appender.lanes.iter().any(|lane| lane.link.stage != Stage::Standing) {
            appender.turn(POLL_MAX)?;
            if appender.begin.elapsed() > PATIENCE {
                return Err(appender.stuck("has not welcomed all who append"));
            }
        }
        Ok(appender)
    }

    fn dial(&mut self, number: u32, address: SocketAddr) -> Result<(), BenchError> {
        let opening = Opening {
            part: Part::Appender,
            interest: Interest::Nothing,
            publishes: self.plan.topics.clone(),
            no_echo: false,
            droppable: false,
            topics: &self.topics,
        };
        let number = number as usize;
        let dialling = Dialling { number, address, links_a_source: usize::MAX, reads: true };
        let (mut link, target) = (Link::new(), self.target);
        let dialled = link.dial(&dialling, self.poll.registry(), |out| target.open(&opening, out));
        dialled.map_err(|error| BenchError::Connect { number, address, error })?;
        let topic = self.plan.topics.start + u32::try_from(number).expect("made from a u32") % self.topic_count();
        self.lanes.push(Lane { link, sent: 0, acknowledged: 0, written: VecDeque::new(), topic });
        Ok(())
    }

    fn topic_count(&self) -> u32 {
        self.plan.topics.end - self.plan.topics.start
    }

    /// Appends for so long, and leaves what is on its way.
    pub(super) fn append_for(&mut self, duration: Duration) -> Result<Appended, BenchError> {
        self.latencies.clear();
        let usage = || self.process.map(Usage::of).transpose().map_err(BenchError::Ended);
        let (before, begin) = (usage()?, Instant::now());
        let (acknowledged, idle_ns) = (self.acknowledged, self.idle_ns);
        let mut was_cut_short = false;
        while begin.elapsed() < duration {
            if self.room() == 0 {
                was_cut_short = true;
                break;
            }
            self.fill(u64::MAX)?;
            self.turn(POLL_MAX.min(duration.saturating_sub(begin.elapsed())))?;
        }
        let seconds = begin.elapsed().as_secs_f64();
        let after = self.process.map(Usage::of).transpose().map_err(BenchError::Ended)?;
        Ok(Appended {
            seconds,
            acknowledged: self.acknowledged - acknowledged,
            broker_cpu_ns: before.zip(after).map(|(before, after)| after.since(&before).cpu_ns),
            idle_share: (self.idle_ns - idle_ns) as f64 / 1e9 / seconds,
            latencies: self.latencies.clone(),
            was_cut_short,
        })
    }

    /// Appends so many, and waits until all are acknowledged.
    pub(super) fn append(&mut self, count: u64) -> Result<(), BenchError> {
        let end = self.sent + count;
        let mut last_change = (Instant::now(), self.acknowledged);
        while self.sent < end || self.acknowledged < self.sent {
            self.fill(end)?;
            self.turn(POLL_MAX)?;
            if self.acknowledged != last_change.1 {
                last_change = (Instant::now(), self.acknowledged);
            } else if last_change.0.elapsed() > PATIENCE {
                return Err(self.stuck("acknowledges nothing any more"));
            }
        }
        Ok(())
    }

    /// Appends that there is room for.
    fn room(&self) -> u64 {
        (self.plan.space_bytes / (self.plan.payload_bytes as u64 + OVERHEAD_BYTES)).saturating_sub(self.sent)
    }

    /// Fills the windows, until so many have been sent in all.
    fn fill(&mut self, end: u64) -> Result<(), BenchError> {
        let now_ns = self.now_ns();
        for number in 0..self.lanes.len() {
            let left = end.saturating_sub(self.sent).min(self.room());
            let batch = BATCH.min(self.plan.window.div_ceil(2)).min(left).max(1);
            let (publishers, topic_count) = (self.plan.publishers, self.topic_count());
            let lane = &mut self.lanes[number];
            let open = self.plan.window - (lane.sent - lane.acknowledged);
            let count = open.min(left) / batch * batch;
            if count == 0 || lane.link.unwritten_bytes() > 0 {
                continue;
            }
            for _ in 0..count {
                let (topics, level, out) = (&self.topics, self.plan.level, lane.link.out());
                self.target.append(topics, lane.topic, level, &self.payload, out);
                let place = lane.topic - self.plan.topics.start + publishers;
                lane.topic = self.plan.topics.start + place % topic_count;
            }
            lane.sent += count;
            lane.written.push_back((now_ns, count));
            self.sent += count;
            lane.link.flush().map_err(|error| self.closed(number, &error.to_string()))?;
        }
        Ok(())
    }

    fn turn(&mut self, wait: Duration) -> Result<(), BenchError> {
        let spins = self.plan.publishers == 1 && self.plan.level == Level::Durable;
        let wait = if spins { Duration::ZERO } else { wait };
        let before_ns = self.now_ns();
        let mut events = self.events.take().expect("put back at the end of each turn");
        let polled = self.poll.poll(&mut events, Some(wait));
        self.idle_ns += self.now_ns() - before_ns;
        match polled {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            let Token(number) = event.token();
            if event.is_writable() {
                self.flush(number)?;
            }
            if event.is_readable() {
                self.read(number)?;
            }
        }
        self.events = Some(events);
        Ok(())
    }

    fn flush(&mut self, number: usize) -> Result<(), BenchError> {
        let link = &mut self.lanes[number].link;
        let outcome = link.take_error().map_or(Ok(()), Err).and_then(|()| link.flush());
        outcome.map_err(|error| self.closed(number, &error.to_string()))
    }

    fn read(&mut self, number: usize) -> Result<(), BenchError> {
        loop {
            let count = match self.lanes[number].link.receive(&mut self.buffer) {
                Ok(None) => return Ok(()),
                Ok(Some(0)) => return Err(self.closed(number, "it closed the connection")),
                Ok(Some(count)) => count,
                Err(error) => return Err(self.closed(number, &error.to_string())),
            };
            self.hear(number, count)?;
            if count < READ_BYTES {
                return Ok(());
            }
        }
    }

    fn hear(&mut self, number: usize, count: usize) -> Result<(), BenchError> {
        let (target, now_ns) = (self.target, self.now_ns());
        let lane = &mut self.lanes[number];
        let mut heard = Heard::default();
        let outcome = lane.link.hear(target, &self.buffer, count, &mut heard);
        outcome.map_err(|fault| BenchError::Fault { target, fault })?;
        if let Some(refused) = heard.refused {
            return Err(BenchError::Stuck(format!("{} refused to append: {refused}", target.name())));
        }
        if lane.link.stage == Stage::Opening {
            let confirmed = heard.confirmed + u32::try_from(heard.acknowledged).unwrap_or(u32::MAX);
            lane.link.awaited = lane.link.awaited.saturating_sub(confirmed);
            if lane.link.awaited == 0 {
                lane.link.stage = Stage::Standing;
            }
        } else {
            self.acknowledged += heard.acknowledged;
            lane.acknowledge(heard.acknowledged, now_ns, &mut self.latencies, target)?;
        }
        if !heard.owed.is_empty() {
            lane.link.out().extend_from_slice(&heard.owed);
            self.flush(number)?;
        }
        Ok(())
    }

    fn closed(&self, number: usize, reason: &str) -> BenchError {
        BenchError::Closed { target: self.target.name(), number, reason: reason.to_owned() }
    }

    fn stuck(&self, what: &str) -> BenchError {
        BenchError::Stuck(format!("{} {what} for {PATIENCE:?}", self.target.name()))
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_nanos()).expect("runs are shorter than centuries")
    }
}

impl Lane {
    /// So many more of the oldest are acknowledged.
    fn acknowledge(
        &mut self,
        mut count: u64,
        now_ns: u64,
        latencies: &mut Latencies,
        target: Target,
    ) -> Result<(), BenchError> {
        self.acknowledged += count;
        if self.acknowledged > self.sent {
            return Err(BenchError::Stuck(format!("{} acknowledged what nobody has appended", target.name())));
        }
        while count > 0 {
            let (written_ns, left) = self.written.front_mut().expect("what is acknowledged was written");
            let part = count.min(*left);
            latencies.record_many(now_ns - *written_ns, part);
            *left -= part;
            count -= part;
            if *left == 0 {
                self.written.pop_front();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_timed_from_their_write() {
        let mut lane = Lane {
            link: Link::new(),
            sent: 5,
            acknowledged: 0,
            written: VecDeque::from([(1_000, 3), (2_000, 2)]),
            topic: 0,
        };
        let mut latencies = Latencies::default();
        lane.acknowledge(4, 5_000, &mut latencies, Target::Fanwire).unwrap();
        assert_eq!((latencies.count(), lane.written.front()), (4, Some(&(2_000, 1))));
        assert!(latencies.at_ns(10.0) >= 2_990 && latencies.max_ns() >= 3_990);
        let error = lane.acknowledge(2, 6_000, &mut latencies, Target::Fanwire).unwrap_err();
        assert!(error.to_string().contains("nobody has appended"), "{error}");
    }

    #[test]
    fn a_refusal_in_an_answer_is_heard() {
        let mut heard = Heard::default();
        heard.answered(b"{\"stream\":\"bench\", \"seq\":1}");
        assert!(heard.refused.is_none() && heard.acknowledged == 1);
        heard.answered(b"{\"error\":{\"code\":503}}");
        assert!(heard.refused.is_some());
    }
}

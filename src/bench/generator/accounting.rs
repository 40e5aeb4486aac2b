//! What is owed to whom, what has come, and what that makes of a measured time.

use super::{DRAIN_MAX, DRAIN_PATIENCE, Generator};
use crate::bench::adapter::{Interest, Part};
use crate::bench::error::BenchError;
use crate::bench::histogram::Latencies;
use crate::bench::link::Stage;
use crate::bench::measured::{Measured, Punctuality};
use crate::bench::scenario::{Drive, Load};
use crate::bench::sequence::Faults;
use crate::bench::usage::Usage;
use std::time::{Duration, Instant};

/// What only ever grows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Totals {
    pub(super) heard: u64,
    pub(super) reads: u64,
    pub(super) read_bytes: u64,
    pub(super) idle_ns: u64,
    pub(super) dialled: u64,
    pub(super) closed: u64,
}

/// A moment to count from.
pub(super) struct Mark {
    pub(super) at_ns: u64,
    sent: u64,
    due: u64,
    totals: Totals,
    broker: Option<Usage>,
    own: Usage,
}

impl Generator {
    /// Messages that a member should have heard and has not.
    pub(super) fn lag(&self, member: usize) -> u64 {
        if self.links[member].stage != Stage::Standing {
            return 0;
        }
        self.due(member).saturating_sub(self.hearing[member].heard)
    }

    pub(super) fn due(&self, member: usize) -> u64 {
        let plan = &self.scenario.members[member];
        if plan.part == Part::Requester {
            return self.ledger.sent();
        }
        let own = if plan.no_echo && self.scenario.target.has_no_echo() { self.sent_by(member) } else { 0 };
        self.ledger.due(member) - own
    }

    pub(super) fn sent_by(&self, member: usize) -> u64 {
        self.sender_of[member].map_or(0, |sender| self.senders[sender].sent)
    }

    pub(super) fn watch(&mut self) {
        let published = |member: &usize| {
            let plan = &self.scenario.members[*member];
            plan.reads && (plan.interest != Interest::Nothing || plan.part == Part::Requester)
        };
        self.watched = (0..self.links.len()).filter(published).collect();
    }

    /// Waits until everything that was sent has arrived, or nothing arrives any more.
    pub(super) fn drain(&mut self) -> Result<(), BenchError> {
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

    pub(super) fn faults(&self) -> Faults {
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

    pub(super) fn mark(&self) -> Result<Mark, BenchError> {
        Ok(Mark {
            at_ns: self.now_ns(),
            sent: self.ledger.sent(),
            due: self.watched.iter().map(|member| self.due(*member)).sum(),
            totals: self.totals,
            broker: self.usage()?,
            own: Usage::own()?,
        })
    }

    pub(super) fn measured_since(&self, mark: &Mark, load: &Load) -> Result<Measured, BenchError> {
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
            peak_bytes: now.broker.map(|usage| usage.peak_bytes),
            calls: None,
            generator_cpu_ns: own.cpu_ns,
            idle_share: polled_share.min(1.0 - running_share).max(0.0),
            rate_asked,
            punctuality: Punctuality::default(),
            faults: Faults::default(),
            closed: now.totals.closed - mark.totals.closed,
            latencies: Latencies::default(),
        })
    }
}

//! Who publishes when: as far as the window goes, or when the clock says so.
//!
//! What was due while it was measured is sent even when a window held it back past the end, and counts from when it was
//! due. Without that, the messages that waited longest would be missing among the latencies.

use super::{DRAIN_MAX, DRAIN_PATIENCE, Generator, POLL_MAX};
use crate::bench::error::BenchError;
use crate::bench::link::Stage;
use crate::bench::measured::Punctuality;
use crate::bench::scenario::{Drive, Load};
use crate::bench::schedule::Schedule;
use crate::bench::window::Window;
use std::time::{Duration, Instant};

/// Bytes that may wait in the generator before a rate is given up as too high.
const BACKLOG_BYTES_MAX: usize = 64 << 20;
/// Messages sent between two looks at the sockets.
const SENDS_A_TURN: u32 = 256;

impl Generator {
    pub(super) fn check(&self, load: &Load) -> Result<(), BenchError> {
        let usage = |message: &str| Err(BenchError::Usage(message.to_owned()));
        if self.senders.is_empty() {
            return usage("a run needs at least one publisher");
        }
        if matches!(load.drive, Drive::Saturate(_)) && self.watched.is_empty() {
            return usage("a run at saturation needs at least one subscriber, which sets its pace");
        }
        Ok(())
    }

    /// Publishes until then.
    pub(super) fn drive_until(&mut self, load: &Load, schedule: &mut Schedule, end_ns: u64) -> Result<(), BenchError> {
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

    /// Sends what was due while it was measured and is still held back. What can't be sent counts with the time that it
    /// has waited so far.
    pub(super) fn catch_up(&mut self, load: &Load, schedule: &mut Schedule) -> Result<Punctuality, BenchError> {
        let Drive::Pace { window, .. } = load.drive else { return Ok(Punctuality::default()) };
        let (range, begin, sent_before) = (self.measured.clone(), Instant::now(), self.ledger.sent());
        let due = schedule.due_within(&range);
        let mut last_change = (begin, self.totals.heard);
        while schedule.due_ns() < range.end && begin.elapsed() < DRAIN_MAX && last_change.0.elapsed() < DRAIN_PATIENCE {
            self.publish_due(load.batch, window, schedule, range.end)?;
            self.turn(Some(Duration::ZERO))?;
            if self.totals.heard != last_change.1 {
                last_change = (Instant::now(), self.totals.heard);
            }
        }
        let (sent_late, mut unsent) = (self.ledger.sent() - sent_before, 0);
        while schedule.due_ns() < range.end {
            self.latencies.record_many(self.now_ns() - schedule.due_ns(), load.batch.into());
            unsent += u64::from(load.batch);
            schedule.advance();
        }
        Ok(Punctuality { due, sent_late, unsent })
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

    /// Publishes what is due before the end; how long until more is.
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
            if due_ns > now_ns || due_ns >= end_ns {
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
}

/// How long a poll may block when something is due then: it rounds up to milliseconds and comes back late.
fn blocked_for(wait: Duration) -> Duration {
    Duration::from_millis(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).saturating_sub(1))
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

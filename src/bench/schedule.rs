//! When the batches of an open loop are due: evenly from the begin, whatever happens to those before.

use super::scenario::{Drive, Load};
use std::ops::Range;

/// When the batches of an open loop are due: evenly, whatever happens.
pub(super) struct Schedule {
    begin_ns: u64,
    batch: f64,
    rate: f64,
    sent: u64,
}

impl Schedule {
    pub(super) fn new(load: &Load, begin_ns: u64) -> Schedule {
        let rate = match load.drive {
            Drive::Pace { rate, .. } => rate,
            Drive::Saturate(_) => 1.0,
        };
        Schedule { begin_ns, batch: load.batch.into(), rate, sent: 0 }
    }

    pub(super) fn due_ns(&self) -> u64 {
        self.batch_due_ns(self.sent)
    }

    fn batch_due_ns(&self, number: u64) -> u64 {
        self.begin_ns + (number as f64 * self.batch / self.rate * 1e9) as u64
    }

    /// Messages that are due from the begin of this time up to its end.
    pub(super) fn due_within(&self, time: &Range<u64>) -> u64 {
        let before = |at_ns: u64| {
            let guess = at_ns.saturating_sub(self.begin_ns) as f64 * self.rate / 1e9 / self.batch;
            // The guess may be off by what rounding does.
            let mut batches = (guess as u64).saturating_sub(1);
            while self.batch_due_ns(batches) < at_ns {
                batches += 1;
            }
            batches
        };
        (before(time.end) - before(time.start)) * self.batch as u64
    }

    pub(super) fn advance(&mut self) {
        self.sent += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn batches_are_due_evenly_from_the_begin() {
        let pace = Drive::Pace { rate: 20_000.0, window: None };
        let load = Load { batch: 50, drive: pace, warm_up: Duration::ZERO, duration: Duration::ZERO };
        let mut schedule = Schedule::new(&load, 1_000);
        assert_eq!(schedule.due_ns(), 1_000);
        schedule.advance();
        schedule.advance();
        assert_eq!(schedule.due_ns(), 1_000 + 5_000_000);
    }

    #[test]
    fn what_is_due_within_a_time_is_counted_whatever_was_sent() {
        let pace = Drive::Pace { rate: 3_000.0, window: None };
        let load = Load { batch: 2, drive: pace, warm_up: Duration::ZERO, duration: Duration::ZERO };
        let mut schedule = Schedule::new(&load, 500);
        let mut dues = Vec::new();
        for _ in 0..100 {
            dues.push(schedule.due_ns());
            schedule.advance();
        }
        for (first, last) in [(0, 100), (1, 50), (7, 8), (9, 9)] {
            let end_ns = dues.get(last).copied().unwrap_or(schedule.due_ns());
            assert_eq!(schedule.due_within(&(dues[first]..end_ns)), 2 * (last - first) as u64);
            assert_eq!(schedule.due_within(&(dues[first] + 1..end_ns + 1)), 2 * (last - first) as u64);
        }
    }
}

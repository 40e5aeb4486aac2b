//! When the batches of an open loop are due: evenly from the begin, whatever happens to those before.

use super::scenario::{Drive, Load};

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
        self.begin_ns + (self.sent as f64 * self.batch / self.rate * 1e9) as u64
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
}

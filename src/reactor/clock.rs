//! The clocks, read once a turn: nothing else in the broker asks what time it is.
//!
//! All threads count from one moment, so that a time which one has noted means the same to another.

use fanwire_core::Time;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
    since_start: Duration,
    wall_us: u64,
}

impl Clock {
    /// Begins to count; copies go on with the same beginning.
    pub(super) fn start() -> Self {
        let mut clock = Clock { start: Instant::now(), since_start: Duration::ZERO, wall_us: 0 };
        clock.tick();
        clock
    }

    /// Reads both clocks.
    pub(super) fn tick(&mut self) {
        self.since_start = self.start.elapsed();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.wall_us = u64::try_from(wall.as_micros()).unwrap_or(u64::MAX);
    }

    /// Reads the monotonic clock alone.
    pub(super) fn glance(&mut self) {
        self.since_start = self.start.elapsed();
    }

    /// Monotonic time, as the core counts it.
    pub(super) fn now(&self) -> Time {
        Time::default() + self.since_start
    }

    /// Monotonic time, as the log's throttles count it.
    pub(super) const fn since_start(&self) -> Duration {
        self.since_start
    }

    /// The wall clock, in microseconds since 1970-01-01 UTC.
    pub(super) const fn wall_us(&self) -> u64 {
        self.wall_us
    }
}

//! What the journal thread counts of each journal.

use super::figures::figures;
use std::time::Duration;

/// Upper bounds of the classes that syncs are counted in, in microseconds; the last class has none.
pub(super) const SYNC_BOUNDS_US: [u64; 11] =
    [100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 5_000_000];

/// What of a journal does not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalFacts {
    /// Its name.
    pub name: String,
    /// Its topics.
    pub filters: Vec<String>,
    /// Whether it is kept in memory.
    pub is_volatile: bool,
    /// How much it keeps, if that is bounded.
    pub bytes_max: Option<u64>,
    /// Whether it could not be opened: nobody will publish figures of it.
    pub is_refused: bool,
}

impl JournalFacts {
    /// What is told until the journal thread tells more.
    pub(super) fn first_figures(&self) -> JournalFigures {
        let state = if self.is_refused { JournalState::Failed } else { JournalState::Open };
        JournalFigures { state: state as u64, ..JournalFigures::default() }
    }
}

/// Whether a journal takes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub enum JournalState {
    /// It does.
    Open,
    /// Its disk is full.
    Full,
    /// Its next segment can't be made for another reason; it is tried again.
    Unavailable,
    /// It will not before a restart.
    Failed,
}

impl JournalState {
    /// All of them, in the order of their numbers.
    pub(super) const ALL: [JournalState; 4] =
        [JournalState::Open, JournalState::Full, JournalState::Unavailable, JournalState::Failed];

    pub(super) const fn name(self) -> &'static str {
        match self {
            JournalState::Open => "open",
            JournalState::Full => "full",
            JournalState::Unavailable => "unavailable",
            JournalState::Failed => "failed",
        }
    }
}

figures! {
    /// What the journal thread publishes of a journal.
    JournalFigures {
        /// A [`JournalState`].
        state,
        /// The epoch of new records.
        epoch,
        /// Topics that it knows.
        topics,
        /// Positions from the first that is kept to the last.
        records,
        /// Bytes of its segments, as retention counts them.
        bytes,
        /// Segments.
        segments,
        /// The position of the last record.
        last_position,
        /// The position of the last record that is synced.
        durable_position,
        /// Records appended since the start.
        appended,
        /// Syncs that failed.
        sync_failures,
        /// Microseconds of all syncs.
        sync_sum_us,
        /// The same of the newest one.
        sync_last_us,
        /// The same of the longest one.
        sync_max_us,
    }
    rows {
        /// Syncs by how long they took: each class up to a bound, the last one beyond them.
        syncs: SYNC_BOUNDS_US.len() + 1,
    }
}

impl JournalFigures {
    pub(super) fn state(&self) -> JournalState {
        let known = JournalState::ALL.into_iter().find(|state| *state as u64 == self.state);
        known.unwrap_or(JournalState::Failed)
    }
}

/// How long a journal's syncs took.
#[derive(Debug, Clone, Copy, Default)]
pub struct SyncTimes {
    failures: u64,
    sum_us: u64,
    last_us: u64,
    max_us: u64,
    classes: [u64; SYNC_BOUNDS_US.len() + 1],
}

impl SyncTimes {
    /// A sync has ended that took so long.
    pub fn note(&mut self, took: Duration, is_done: bool) {
        let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = SYNC_BOUNDS_US.partition_point(|bound| *bound < took_us);
        if let Some(count) = self.classes.get_mut(class) {
            *count += 1;
        }
        self.failures += u64::from(!is_done);
        self.sum_us = self.sum_us.saturating_add(took_us);
        self.last_us = took_us;
        self.max_us = self.max_us.max(took_us);
    }

    /// Figures with these times.
    #[must_use]
    pub fn onto(&self, figures: JournalFigures) -> JournalFigures {
        JournalFigures {
            sync_failures: self.failures,
            sync_sum_us: self.sum_us,
            sync_last_us: self.last_us,
            sync_max_us: self.max_us,
            syncs: self.classes,
            ..figures
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sync_is_in_the_class_whose_bound_it_does_not_pass() {
        let mut times = SyncTimes::default();
        for took_us in [1, 100, 101, 5_000_000, 5_000_001] {
            times.note(Duration::from_micros(took_us), took_us != 101);
        }
        let figures = times.onto(JournalFigures::default());
        assert_eq!((figures.syncs[0], figures.syncs[1], figures.syncs[10], figures.syncs[11]), (2, 1, 1, 1));
        assert_eq!((figures.sync_failures, figures.sync_max_us, figures.sync_sum_us), (1, 5_000_001, 10_000_203));
    }
}

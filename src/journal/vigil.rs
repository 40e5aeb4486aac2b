//! Whether the journal thread stays awake for a sync that somebody waits for.
//!
//! Being woken costs: 35 to 50 us were seen from the end of a sync until a thread that had slept was told, on a virtual
//! machine with two cores, where a sync took 200. So while syncs are quick the thread looks for the end of one, and
//! gives way to whoever else wants the processor each time that it has looked; a durable append at a time took 245 us
//! for 305, for about as much more of the processor as the syncs last. Where they take longer it sleeps, as it does
//! whenever nobody waits for one.

use std::time::Duration;

/// It watches while syncs take no longer than this, and each of them no longer either.
const WATCHED_MAX: Duration = Duration::from_micros(300);
/// What the newest sync counts for in the average: one part of so many.
const PARTS: u32 = 8;

/// How long syncs have taken lately.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    average: Duration,
}

impl Vigil {
    /// A sync has taken so long. One that took very long counts for no more than several times what is watched: the
    /// next quick ones are noticed soon.
    pub(super) fn note(&mut self, took: Duration) {
        self.average = (self.average * (PARTS - 1) + took.min(WATCHED_MAX * PARTS)) / PARTS;
    }

    /// How long the end of a sync is looked for before the thread lies down; zero: not at all.
    pub(super) fn length(&self) -> Duration {
        if self.average <= WATCHED_MAX { WATCHED_MAX } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_syncs_are_watched_and_slow_ones_slept_through() {
        let mut vigil = Vigil::default();
        vigil.note(Duration::from_micros(200));
        assert_eq!(vigil.length(), WATCHED_MAX);
        for _ in 0..20 {
            vigil.note(Duration::from_millis(8));
        }
        assert_eq!(vigil.length(), Duration::ZERO);
        for _ in 0..40 {
            vigil.note(Duration::from_micros(200));
        }
        assert_eq!(vigil.length(), WATCHED_MAX);
    }

    #[test]
    fn one_slow_sync_among_quick_ones_does_not_end_the_watch_for_long() {
        let mut vigil = Vigil::default();
        (0..20).for_each(|_| vigil.note(Duration::from_micros(200)));
        vigil.note(Duration::from_secs(1));
        (0..20).for_each(|_| vigil.note(Duration::from_micros(200)));
        assert_eq!(vigil.length(), WATCHED_MAX);
    }
}

//! Whether the journal thread stays awake for a sync that somebody waits for.
//!
//! Being woken costs: 35 to 50 us were seen from the end of a sync until a thread that had slept was told, on a virtual
//! machine with two cores, where a sync took 200. So while syncs are quick the thread looks for the end of one, and
//! gives way to whoever else wants the processor each time that it has looked; a durable append at a time took 245 us
//! for 305, for about as much more of the processor as the syncs last. Where they take longer it sleeps, as it does
//! whenever nobody waits for one.

use std::time::{Duration, Instant};

/// It watches while syncs take no longer than this, and each of them no longer either.
const WATCHED_MAX: Duration = Duration::from_micros(300);
/// What the newest sync counts for in the average: one part of so many.
const PARTS: u32 = 8;

/// How long one journal's syncs have taken lately.
#[derive(Debug, Default)]
pub(super) struct Vigil {
    average: Duration,
    /// When the newest sync began, as far as is known here: it was asked for, or the one before it ended.
    begin: Option<Instant>,
}

impl Vigil {
    /// A sync was asked for.
    pub(super) fn note_requested(&mut self, now: Instant) {
        self.begin = Some(now);
    }

    /// A sync has ended that took so long. One that took very long counts for no more than several times what is
    /// watched: the next quick ones are noticed soon.
    pub(super) fn note_ended(&mut self, took: Duration, now: Instant) {
        self.average = (self.average * (PARTS - 1) + took.min(WATCHED_MAX * PARTS)) / PARTS;
        // Those that joined while it ran have begun with its end.
        self.begin = Some(now);
    }

    /// Until when the end of a sync is looked for before the thread lies down; none: not at all. However often the
    /// thread wakes and rests meanwhile, a sync that takes longer is slept through.
    pub(super) fn until(&self) -> Option<Instant> {
        self.begin.filter(|_| self.average <= WATCHED_MAX).map(|begin| begin + WATCHED_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(vigil: &mut Vigil, took: Duration, times: u32) {
        (0..times).for_each(|_| vigil.note_ended(took, Instant::now()));
    }

    #[test]
    fn quick_syncs_are_watched_and_slow_ones_slept_through() {
        let mut vigil = Vigil::default();
        note(&mut vigil, Duration::from_micros(200), 1);
        assert!(vigil.until().is_some());
        note(&mut vigil, Duration::from_millis(8), 20);
        assert_eq!(vigil.until(), None);
        note(&mut vigil, Duration::from_micros(200), 40);
        assert!(vigil.until().is_some());
    }

    #[test]
    fn one_slow_sync_among_quick_ones_does_not_end_the_watch_for_long() {
        let mut vigil = Vigil::default();
        note(&mut vigil, Duration::from_micros(200), 20);
        note(&mut vigil, Duration::from_secs(1), 1);
        note(&mut vigil, Duration::from_micros(200), 20);
        assert!(vigil.until().is_some());
    }

    #[test]
    fn a_sync_is_watched_from_when_it_began_however_often_the_thread_rests() {
        let mut vigil = Vigil::default();
        let begin = Instant::now();
        assert_eq!(vigil.until(), None, "there is none");
        vigil.note_requested(begin);
        assert_eq!((vigil.until(), vigil.until()), (Some(begin + WATCHED_MAX), Some(begin + WATCHED_MAX)));
        let end = begin + Duration::from_micros(250);
        vigil.note_ended(Duration::from_micros(250), end);
        assert_eq!(vigil.until(), Some(end + WATCHED_MAX), "the next one has begun");
    }
}

//! When to try again: delays that double, and jitter that keeps thousands of clients of one broker from coming back
//! in the same moment.
//!
//! The n-th delay is drawn from the upper half of `min * 2^n`, at most `max`: never hasty, never in step. The
//! generator is splitmix64; jitter needs spread, not secrecy.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Backoff {
    delay_min: Duration,
    delay_max: Duration,
    failures: u32,
    state: u64,
}

impl Backoff {
    /// Without a seed every client gets its own: std's hasher keys are random.
    pub(crate) fn new(delay_min: Duration, delay_max: Duration, seed: Option<u64>) -> Self {
        let state = seed.unwrap_or_else(|| RandomState::new().hash_one(0));
        Backoff { delay_min, delay_max: delay_max.max(delay_min), failures: 0, state }
    }

    /// The delay before the next attempt; each call counts as one more failure.
    pub(crate) fn next_delay(&mut self) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        let ceiling = self.delay_min.saturating_mul(factor).min(self.delay_max);
        self.failures = self.failures.saturating_add(1);
        self.between(ceiling / 2, ceiling)
    }

    /// The connection proved good.
    pub(crate) const fn reset(&mut self) {
        self.failures = 0;
    }

    /// A moment of a window.
    pub(crate) fn between(&mut self, from: Duration, to: Duration) -> Duration {
        let span_ns = u64::try_from(to.saturating_sub(from).as_nanos()).unwrap_or(u64::MAX - 1);
        from + Duration::from_nanos(self.next_random() % (span_ns + 1))
    }

    fn next_random(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(10);

    #[test]
    fn delays_double_from_the_least_to_the_most_and_stay_in_their_upper_half() {
        for seed in 0..200 {
            let mut backoff = Backoff::new(MIN, MAX, Some(seed));
            for failure in 0..80u32 {
                let ceiling = MIN.saturating_mul(1 << failure.min(20)).min(MAX);
                let delay = backoff.next_delay();
                assert!(delay >= ceiling / 2 && delay <= ceiling, "failure {failure}: {delay:?} of {ceiling:?}");
            }
            backoff.reset();
            assert!(backoff.next_delay() <= MIN);
        }
    }

    #[test]
    fn the_seed_decides_and_clients_without_one_differ() {
        let delays = |seed| {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            (0..8).map(|_| backoff.next_delay()).collect::<Vec<_>>()
        };
        assert_eq!(delays(Some(7)), delays(Some(7)));
        assert_ne!(delays(Some(7)), delays(Some(8)));
        assert_ne!(delays(None), delays(None));
    }

    #[test]
    fn a_window_without_width_is_its_start() {
        let mut backoff = Backoff::new(MIN, MAX, Some(1));
        assert_eq!(backoff.between(MAX, MAX), MAX);
        assert_eq!(backoff.between(MAX, MIN), MAX);
        assert!(backoff.between(Duration::ZERO, Duration::MAX) <= Duration::from_nanos(u64::MAX));
    }
}

//! A limit on warnings that peers can cause, so that a hostile one can't flood the log.

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Lets so many events a second through and counts the others.
///
/// Time is an argument: what lies between the caller's beginning of time and now.
///
/// ```
/// use fanwire::logging::Throttle;
/// use std::time::Duration;
///
/// let mut throttle = Throttle::new(2);
/// let now = Duration::ZERO;
/// assert_eq!(throttle.admit(now), Some(0));
/// assert_eq!(throttle.admit(now), Some(0));
/// assert_eq!(throttle.admit(now), None);
/// assert_eq!(throttle.admit(now + Duration::from_secs(1)), Some(1));
/// ```
#[derive(Debug, Clone)]
pub struct Throttle {
    per_second: u32,
    window_start: Duration,
    admitted: u32,
    suppressed: u64,
}

impl Throttle {
    /// Lets `per_second` events a second through.
    ///
    /// # Panics
    /// When nothing at all would go through.
    pub fn new(per_second: u32) -> Throttle {
        assert!(per_second > 0, "a throttle that lets nothing through hides everything");
        Throttle { per_second, window_start: Duration::ZERO, admitted: 0, suppressed: 0 }
    }

    /// Whether an event may be told now, and if so, how many were suppressed since the last one that was.
    pub fn admit(&mut self, now: Duration) -> Option<u64> {
        if now.saturating_sub(self.window_start) >= SECOND {
            self.window_start = now;
            self.admitted = 0;
        }
        if self.admitted < self.per_second {
            self.admitted += 1;
            Some(std::mem::take(&mut self.suppressed))
        } else {
            self.suppressed += 1;
            None
        }
    }

    /// How many were suppressed and not told, once the second in which they were is over: for a timer, so that the
    /// end of a flood is told although no event follows it.
    pub fn take_suppressed(&mut self, now: Duration) -> Option<u64> {
        let is_over = self.suppressed > 0 && now.saturating_sub(self.window_start) >= SECOND;
        is_over.then(|| std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_flood_is_told_n_times_a_second_and_every_event_is_accounted_for() {
        let mut throttle = Throttle::new(3);
        let (mut told, mut accounted) = (0, 0);
        for millis in 0..10_000 {
            if let Some(suppressed) = throttle.admit(at(millis)) {
                told += 1;
                accounted += 1 + suppressed;
            }
        }
        accounted += throttle.take_suppressed(at(11_000)).unwrap();
        assert_eq!((told, accounted), (30, 10_000));
    }

    #[test]
    fn the_rest_of_a_flood_is_told_once_when_its_second_is_over() {
        let mut throttle = Throttle::new(1);
        assert_eq!(throttle.admit(at(5_000)), Some(0));
        assert_eq!(throttle.take_suppressed(at(9_000)), None);
        assert_eq!(throttle.admit(at(5_100)), None);
        assert_eq!(throttle.take_suppressed(at(5_900)), None);
        assert_eq!(throttle.take_suppressed(at(6_000)), Some(1));
        assert_eq!(throttle.take_suppressed(at(6_001)), None);
        assert_eq!(throttle.admit(at(6_002)), Some(0));
    }
}

//! The even pace of `fanwire pub --rate`.
//!
//! Time is an argument: what has passed since the work began.

use std::time::Duration;

/// Messages a second, kept on the whole: what was late is caught up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pace {
    per_second: f64,
}

impl Pace {
    /// Reads messages a second; for the argument parser.
    pub(super) fn parse(text: &str) -> Result<Pace, String> {
        let per_second: f64 = text.parse().map_err(|_| "a rate is messages a second, such as 20 or 0.5".to_owned())?;
        if per_second.is_finite() && (1e-6..=1e9).contains(&per_second) {
            Ok(Pace { per_second })
        } else {
            Err("a rate lies between 0.000001 and 1000000000 messages a second".to_owned())
        }
    }

    /// How long to wait before the message with this index (from 0) is due; zero when it is.
    pub(super) fn wait(self, index: u64, passed: Duration) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "2^53 messages are out of reach")]
        let due_seconds = index as f64 / self.per_second;
        let due = Duration::try_from_secs_f64(due_seconds).unwrap_or(Duration::MAX);
        due.saturating_sub(passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_due_evenly_and_lateness_is_caught_up() {
        let pace = Pace::parse("20").unwrap();
        assert_eq!(pace.wait(0, Duration::ZERO), Duration::ZERO);
        assert_eq!(pace.wait(1, Duration::ZERO), Duration::from_millis(50));
        assert_eq!(pace.wait(1, Duration::from_millis(30)), Duration::from_millis(20));
        assert_eq!(pace.wait(20, Duration::from_millis(990)), Duration::from_millis(10));
        assert_eq!(pace.wait(20, Duration::from_secs(5)), Duration::ZERO);
        assert_eq!(Pace::parse("0.5").unwrap().wait(1, Duration::ZERO), Duration::from_secs(2));
    }

    #[test]
    fn rates_that_mean_nothing_are_refused() {
        for wrong in ["", "0", "-1", "inf", "NaN", "fast", "1e300", "10/s"] {
            assert!(Pace::parse(wrong).is_err(), "{wrong}");
        }
    }
}

//! The even pace of `fanwire pub --rate`, and the progress that long work shows.
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

/// When work has to last this long before it shows progress.
const QUIET: Duration = Duration::from_secs(1);
/// How often progress is shown.
const STEP: Duration = Duration::from_millis(200);

/// The progress line of long work.
#[derive(Debug, Default)]
pub(super) struct Progress {
    shown: Option<Duration>,
}

impl Progress {
    /// The line to show now, over the previous one; `None` when it is too early.
    pub(super) fn line(&mut self, done: u64, total: Option<u64>, passed: Duration) -> Option<String> {
        if passed < self.shown.map_or(QUIET, |shown| shown + STEP) {
            return None;
        }
        self.shown = Some(passed);
        let of_total = total.map_or_else(String::new, |total| format!(" of {total}"));
        let per_second = u128::from(done) * 1_000 / passed.as_millis().max(1);
        Some(format!("\r\x1b[K{done}{of_total} messages, {per_second}/s"))
    }

    /// What removes the line again, if one was shown.
    pub(super) fn clear(&self) -> &'static str {
        if self.shown.is_some() { "\r\x1b[K" } else { "" }
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

    #[test]
    fn progress_is_shown_after_a_second_and_five_times_a_second() {
        let mut progress = Progress::default();
        assert_eq!(progress.line(9, None, Duration::from_millis(999)), None);
        assert_eq!(progress.clear(), "");
        let line = progress.line(500, Some(1_000), Duration::from_secs(1)).unwrap();
        assert!(line.ends_with("500 of 1000 messages, 500/s"), "{line}");
        assert_eq!(progress.line(501, None, Duration::from_millis(1_199)), None);
        assert!(progress.line(501, None, Duration::from_millis(1_200)).is_some());
        assert_ne!(progress.clear(), "");
    }
}

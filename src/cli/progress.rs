//! The line that shows how far long work is, on a terminal.
//!
//! ```text
//!  500 of 1000 messages, 500/s
//!  [#######-------------]  36% of 1.20GiB, 310MiB/s, 2 s left: 00000000000000040311.segment
//! ```
//!
//! What it says is pure: time is an argument. Where it goes is the terminal's standard error, over the line before.

use crate::config::quantity::show_size;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// When work has to last this long before it shows progress.
const QUIET: Duration = Duration::from_secs(1);
/// How often progress is shown.
const STEP: Duration = Duration::from_millis(200);
/// Characters of a bar.
const BAR_CHARACTERS: u64 = 20;
/// What takes the line before away.
const OVER: &str = "\r\x1b[K";

/// The progress line of long work.
#[derive(Debug, Default)]
pub(super) struct Progress {
    shown: Option<Duration>,
}

impl Progress {
    /// The line of so many messages to show now, over the previous one; `None` when it is too early.
    pub(super) fn line(&mut self, done: u64, total: Option<u64>, passed: Duration) -> Option<String> {
        self.is_due(passed).then(|| {
            let of_total = total.map_or_else(String::new, |total| format!(" of {total}"));
            format!("{OVER}{done}{of_total} messages, {}/s", per_second(done, passed))
        })
    }

    /// The line of so many bytes of a total, and of what they are.
    fn bar(&mut self, done: u64, total: u64, passed: Duration, what: &str) -> Option<String> {
        self.is_due(passed).then(|| {
            let share =
                |of: u64| u64::try_from(u128::from(done.min(total)) * u128::from(of) / u128::from(total.max(1)));
            let filled = share(BAR_CHARACTERS).expect("a part of a bar") as usize;
            let percent = share(100).expect("a part of a hundred");
            let empty = BAR_CHARACTERS as usize - filled;
            let rate = per_second(done, passed);
            let left = match total.saturating_sub(done) / rate.max(1) {
                _ if rate == 0 => String::new(),
                seconds if seconds < 90 => format!(", {seconds} s left"),
                seconds => format!(", {} min left", seconds / 60),
            };
            let (bar, total, rate) = ("#".repeat(filled) + &"-".repeat(empty), show_size(total), show_size(rate));
            format!("{OVER}[{bar}] {percent:3}% of {total}, {rate}/s{left}: {what}")
        })
    }

    fn is_due(&mut self, passed: Duration) -> bool {
        let is_due = passed >= self.shown.map_or(QUIET, |shown| shown + STEP);
        if is_due {
            self.shown = Some(passed);
        }
        is_due
    }

    /// What removes the line again, if one was shown.
    pub(super) fn clear(&self) -> &'static str {
        if self.shown.is_some() { OVER } else { "" }
    }
}

fn per_second(done: u64, passed: Duration) -> u64 {
    u64::try_from(u128::from(done) * 1_000 / passed.as_millis().max(1)).unwrap_or(u64::MAX)
}

/// Bytes that are read one after the other, as a bar on the terminal, if there is one.
pub(super) struct Bar {
    progress: Option<Progress>,
    begin: Instant,
    done_bytes: u64,
    total_bytes: u64,
}

impl Bar {
    /// Of so many bytes.
    pub(super) fn new(total_bytes: u64) -> Bar {
        let progress = io::stderr().is_terminal().then(Progress::default);
        Bar { progress, begin: Instant::now(), done_bytes: 0, total_bytes }
    }

    /// So many more bytes of this were read.
    pub(super) fn advance(&mut self, bytes: u64, what: &str) {
        self.done_bytes += bytes;
        let Some(progress) = &mut self.progress else { return };
        if let Some(line) = progress.bar(self.done_bytes, self.total_bytes, self.begin.elapsed(), what) {
            // Progress that can't be shown is no reason to stop.
            let _ = io::stderr().write_all(line.as_bytes());
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(progress) = &self.progress {
            let _ = io::stderr().write_all(progress.clear().as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_bar_shows_the_share_the_rate_and_what_is_left() {
        let mut progress = Progress::default();
        assert_eq!(progress.bar(0, 9, Duration::from_millis(999), "x"), None);
        let line = progress.bar(1 << 30, 4 << 30, Duration::from_secs(2), "one.segment").unwrap();
        assert_eq!(line, "\r\x1b[K[#####---------------]  25% of 4.00GiB, 512MiB/s, 6 s left: one.segment");
        assert_eq!(progress.bar(2 << 30, 4 << 30, Duration::from_millis(2_100), "x"), None);
        let over = progress.bar(9, 4, Duration::from_secs(1_000), "x").unwrap();
        assert_eq!(over, "\r\x1b[K[####################] 100% of 4B, 0B/s: x");
        let empty = progress.bar(0, 0, Duration::from_secs(2_000), "x").unwrap();
        assert_eq!(empty, "\r\x1b[K[--------------------]   0% of 0B, 0B/s: x");
    }
}

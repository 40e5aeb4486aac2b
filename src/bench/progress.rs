//! What is done and what is left of long work, for a line on a terminal.

use std::time::{Duration, Instant};

/// Runs before which nothing is said of the time left: one run tells little of the others.
const RUNS_TO_JUDGE_BY: u32 = 3;

/// How far the runs are.
pub struct Progress<'a> {
    show: &'a mut dyn FnMut(&str),
    begin: Instant,
    done: u32,
    expected: u32,
}

impl<'a> Progress<'a> {
    /// Of so many runs; `show` gets each line.
    pub fn new(expected: u32, show: &'a mut dyn FnMut(&str)) -> Progress<'a> {
        Progress { show, begin: Instant::now(), done: 0, expected }
    }

    /// A run begins.
    pub fn tell(&mut self, what: &str) {
        let line = line(self.done, self.expected, self.begin.elapsed(), what);
        (self.show)(&line);
    }

    /// A run is over.
    pub fn pass(&mut self) {
        self.done += 1;
    }

    /// So many runs will never begin.
    pub fn skip(&mut self, runs: u32) {
        self.expected = self.expected.saturating_sub(runs);
    }
}

fn line(done: u32, expected: u32, elapsed: Duration, what: &str) -> String {
    // More may come than was expected; less than this one is never left.
    let expected = expected.max(done + 1);
    let left = if done < RUNS_TO_JUDGE_BY {
        String::new()
    } else {
        let seconds = elapsed.as_secs_f64() / f64::from(done) * f64::from(expected - done);
        format!(", about {} left", rounded(seconds))
    };
    format!("run {} of {expected}{left}: {what}", done + 1)
}

fn rounded(seconds: f64) -> String {
    if seconds < 90.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_judged_by_what_is_done() {
        assert_eq!(line(0, 1, Duration::ZERO, "x"), "run 1 of 1: x");
        assert_eq!(line(10, 40, Duration::from_secs(20), "x"), "run 11 of 40, about 60 s left: x");
        assert_eq!(line(10, 400, Duration::from_secs(20), "x"), "run 11 of 400, about 13 min left: x");
        assert_eq!(line(7, 5, Duration::from_secs(7), "x"), "run 8 of 8, about 1 s left: x");
    }

    #[test]
    fn runs_that_never_begin_are_not_waited_for() {
        let mut lines = Vec::new();
        let mut show = |text: &str| lines.push(text.to_owned());
        let mut progress = Progress::new(3, &mut show);
        progress.tell("a");
        progress.pass();
        progress.skip(1);
        progress.tell("b");
        assert_eq!(lines, ["run 1 of 3: a", "run 2 of 2: b"]);
    }
}

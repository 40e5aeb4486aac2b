//! Whether a subscriber hears every message once and in order.
//!
//! ```text
//!  sequence == next: as it should be      > next: those between are missing      < next: late, or a duplicate
//! ```
//!
//! One number a stream (a publisher's messages to a topic, or all of a publisher's where one subscription hears
//! everything). What is missing is remembered, so that a message that comes late counts as disorder and not as a
//! duplicate beside a loss.

use super::stamp::Stamp;
use std::ops::Range;

/// Missing ranges remembered a subscriber; past this, late messages count as duplicates.
const GAPS_MAX: usize = 1_024;

/// What went wrong, counted in messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Never came.
    pub lost: u64,
    /// Came more than once.
    pub duplicated: u64,
    /// Came, but behind a later one of the same stream.
    pub disordered: u64,
    /// Came to a subscriber that never asked for it, or without a stamp.
    pub strayed: u64,
}

impl Faults {
    /// Adds another subscriber's.
    pub fn add(&mut self, other: Faults) {
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.disordered += other.disordered;
        self.strayed += other.strayed;
    }

    /// Whether nothing went wrong.
    pub fn is_clean(self) -> bool {
        self == Faults::default()
    }
}

/// The streams that one subscriber hears.
#[derive(Debug)]
pub struct Checker {
    /// The topics it asked for; empty: all of them, and a stream is a publisher.
    topics: Range<u32>,
    publishers: u32,
    next: Vec<u64>,
    gaps: Vec<(usize, Range<u64>)>,
    faults: Faults,
}

impl Checker {
    /// For a subscriber of these topics (none: of everything), each with so many publishers.
    pub fn new(topics: Range<u32>, publishers: u32) -> Checker {
        let streams = if topics.is_empty() { publishers } else { (topics.end - topics.start) * publishers };
        Checker { topics, publishers, next: vec![0; streams as usize], gaps: Vec::new(), faults: Faults::default() }
    }

    /// Hears one message.
    #[inline]
    pub fn hear(&mut self, stamp: Stamp) {
        let Some(stream) = self.stream(stamp) else {
            self.faults.strayed += 1;
            return;
        };
        let next = &mut self.next[stream];
        if stamp.sequence == *next {
            *next += 1;
        } else {
            self.hear_out_of_turn(stream, stamp.sequence);
        }
    }

    /// A payload without a stamp.
    pub fn hear_stranger(&mut self) {
        self.faults.strayed += 1;
    }

    /// What has gone wrong so far.
    pub fn faults(&self) -> Faults {
        self.faults
    }

    /// Messages that were heard once, in whatever order.
    pub fn distinct(&self) -> u64 {
        self.next.iter().sum::<u64>() - self.faults.lost
    }

    #[inline]
    fn stream(&self, stamp: Stamp) -> Option<usize> {
        if stamp.publisher >= self.publishers {
            return None;
        }
        if self.topics.is_empty() {
            return Some(stamp.publisher as usize);
        }
        let topic = stamp.topic.checked_sub(self.topics.start).filter(|_| stamp.topic < self.topics.end)?;
        Some((topic * self.publishers + stamp.publisher) as usize)
    }

    #[cold]
    fn hear_out_of_turn(&mut self, stream: usize, sequence: u64) {
        let next = &mut self.next[stream];
        if sequence > *next {
            self.faults.lost += sequence - *next;
            if self.gaps.len() < GAPS_MAX {
                self.gaps.push((stream, *next..sequence));
            }
            *next = sequence + 1;
            return;
        }
        let gap = self.gaps.iter().position(|(known, missing)| *known == stream && missing.contains(&sequence));
        let Some(gap) = gap else {
            self.faults.duplicated += 1;
            return;
        };
        self.faults.lost -= 1;
        self.faults.disordered += 1;
        let (_, missing) = self.gaps.swap_remove(gap);
        for rest in [missing.start..sequence, sequence + 1..missing.end] {
            if !rest.is_empty() {
                self.gaps.push((stream, rest));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(publisher: u32, topic: u32, sequence: u64) -> Stamp {
        Stamp { publisher, topic, sequence, intended_ns: 0 }
    }

    fn faults_after(sequences: &[u64]) -> (Faults, u64) {
        let mut checker = Checker::new(0..1, 1);
        sequences.iter().for_each(|sequence| checker.hear(stamp(0, 0, *sequence)));
        (checker.faults(), checker.distinct())
    }

    #[test]
    fn what_is_in_order_is_clean() {
        assert_eq!(faults_after(&[0, 1, 2, 3]), (Faults::default(), 4));
    }

    #[test]
    fn loss_duplicates_and_disorder_are_told_apart() {
        assert_eq!(faults_after(&[0, 3]), (Faults { lost: 2, ..Faults::default() }, 2));
        assert_eq!(faults_after(&[0, 1, 1]), (Faults { duplicated: 1, ..Faults::default() }, 2));
        assert_eq!(faults_after(&[0, 2, 1]), (Faults { disordered: 1, ..Faults::default() }, 3));
        let late_and_twice = Faults { lost: 2, disordered: 1, duplicated: 1, ..Faults::default() };
        assert_eq!(faults_after(&[0, 4, 2, 2, 5]), (late_and_twice, 4));
    }

    #[test]
    fn streams_are_apart() {
        let mut checker = Checker::new(4..6, 2);
        for (publisher, topic) in [(0, 4), (1, 4), (0, 5), (1, 5)] {
            checker.hear(stamp(publisher, topic, 0));
            checker.hear(stamp(publisher, topic, 1));
        }
        assert_eq!((checker.faults(), checker.distinct()), (Faults::default(), 8));
    }

    #[test]
    fn what_nobody_asked_for_has_strayed() {
        let mut checker = Checker::new(4..6, 1);
        for (publisher, topic) in [(0, 3), (0, 6), (1, 4)] {
            checker.hear(stamp(publisher, topic, 0));
        }
        checker.hear_stranger();
        assert_eq!(checker.faults(), Faults { strayed: 4, ..Faults::default() });
    }

    #[test]
    fn who_hears_everything_counts_by_publisher() {
        let mut checker = Checker::new(0..0, 1);
        for (sequence, topic) in [900, 3, 77].into_iter().enumerate() {
            checker.hear(stamp(0, topic, sequence as u64));
        }
        assert!(checker.faults().is_clean());
    }
}

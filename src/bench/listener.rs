//! The ear of one connection during one read: sequence numbers, latencies, and what has to be answered.

use super::adapter::{Ear, Part, Target, Topics};
use super::histogram::Latencies;
use super::sequence::Checker;
use super::stamp::Stamp;
use std::ops::Range;

pub(super) struct Listener<'a> {
    pub(super) target: Target,
    pub(super) topics: &'a Topics,
    pub(super) part: Part,
    pub(super) checker: Option<&'a mut Checker>,
    pub(super) latencies: &'a mut Latencies,
    /// When messages have to be due for their latency to count: nothing is measured before the warm-up is over.
    pub(super) measured: Range<u64>,
    /// When the bytes were read.
    pub(super) now_ns: u64,
    pub(super) heard: u64,
    pub(super) confirmed: u32,
    /// What goes back at once: answers, and what the protocol wants.
    pub(super) replies: &'a mut Vec<u8>,
    /// Messages in a row that were due at the same time, and that time: a batch is recorded at once.
    pub(super) together: (u64, u64),
}

impl Listener<'_> {
    /// Records the messages that were due together.
    pub(super) fn settle(&mut self) {
        let (intended_ns, count) = std::mem::take(&mut self.together);
        if count > 0 && self.measured.contains(&intended_ns) {
            self.latencies.record_many(self.now_ns.saturating_sub(intended_ns), count);
        }
    }

    #[inline]
    fn take(&mut self, payload: &[u8]) {
        self.heard += 1;
        let Some(checker) = &mut self.checker else { return };
        let Some(stamp) = Stamp::read(payload) else { return checker.hear_stranger() };
        checker.hear(stamp);
        if stamp.intended_ns != self.together.0 {
            self.settle();
            self.together.0 = stamp.intended_ns;
        }
        self.together.1 += 1;
    }
}

impl Ear for Listener<'_> {
    #[inline]
    fn delivered(&mut self, payload: &[u8]) {
        if self.part == Part::Responder { self.asked(&[], payload) } else { self.take(payload) }
    }

    fn asked(&mut self, handle: &[u8], payload: &[u8]) {
        self.target.reply(self.topics, handle, payload, self.replies);
    }

    fn answered(&mut self, payload: &[u8]) {
        self.take(payload);
    }

    fn confirmed(&mut self) {
        self.confirmed += 1;
    }

    fn owes(&mut self, bytes: &[u8]) {
        self.replies.extend_from_slice(bytes);
    }
}

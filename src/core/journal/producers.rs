//! Who publishes idempotently, and what of theirs was accepted lately.
//!
//! ```text
//!  producer 7: [.. 101 102 104 105]  a number in here: a duplicate, with the sequence that it got
//!                                    greater, or 103: new
//!                                    less than all of a full window: too old to tell
//! ```
//!
//! The window of a producer is its last [`WINDOW`] numbers. At least [`PRODUCERS_KEPT`] producers are remembered, those
//! that were accepted last; a forgotten one begins anew. All of it comes from records alone, so that a replay of the
//! records yields the same.

use super::format::Producer;
use hashbrown::HashMap;
use std::collections::VecDeque;

/// Accepted numbers that are remembered of each producer.
pub const WINDOW: usize = 128;
/// Producers that are remembered at least.
pub const PRODUCERS_KEPT: usize = 4096;
/// As many are remembered at most; then the oldest go at once, so that forgetting costs little.
const PRODUCERS_MAX: usize = PRODUCERS_KEPT + PRODUCERS_KEPT / 4;

/// What is known of a producer's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// It was not accepted before.
    New,
    /// It was, and its record has this sequence.
    Accepted(u64),
    /// It is older than what is remembered.
    TooOld,
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// The position of the record that was accepted last.
    pub(super) position: u64,
    /// Numbers and the sequences of their records, by number.
    pub(super) accepted: VecDeque<(u64, u64)>,
}

/// All producers.
#[derive(Debug, Clone, Default)]
pub(super) struct Producers {
    by_id: HashMap<u64, Window, foldhash::quality::FixedState>,
}

/// What an accepted number pushed out, to be put back if the record could not be written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Accepted {
    producer: Producer,
    evicted: Option<(u64, u64)>,
}

impl Producers {
    pub(super) fn ask(&self, producer: Producer) -> Known {
        let Some(window) = self.by_id.get(&producer.id) else {
            return Known::New;
        };
        match window.find(producer.number) {
            Ok(index) => Known::Accepted(window.accepted[index].1),
            Err(0) if window.accepted.len() >= WINDOW => Known::TooOld,
            Err(_) => Known::New,
        }
    }

    /// Remembers a number. One that is too old, or there already, changes nothing: that happens only where records
    /// were written by another rule.
    pub(super) fn accept(&mut self, producer: Producer, sequence: u64, position: u64) -> Accepted {
        let window = self.by_id.entry(producer.id).or_insert_with(Window::new);
        window.position = position;
        let mut accepted = Accepted { producer, evicted: None };
        if let Err(index) = window.find(producer.number)
            && (index > 0 || window.accepted.len() < WINDOW)
        {
            if window.accepted.len() == WINDOW {
                accepted.evicted = window.accepted.pop_front();
                window.accepted.insert(index - 1, (producer.number, sequence));
            } else {
                window.accepted.insert(index, (producer.number, sequence));
            }
        }
        accepted
    }

    /// Takes back what was accepted last.
    pub(super) fn take_back(&mut self, accepted: &Accepted) {
        let Producer { id, number } = accepted.producer;
        let window = self.by_id.get_mut(&id).expect("a producer is forgotten only when its batch is written");
        let index = window.find(number).expect("what was accepted is in the window");
        window.accepted.remove(index);
        if let Some(evicted) = accepted.evicted {
            window.accepted.push_front(evicted);
        }
        if window.accepted.is_empty() {
            self.by_id.remove(&id);
        }
    }

    /// Forgets the oldest, if there are too many. At the end of a batch.
    pub(super) fn trim(&mut self) {
        if self.by_id.len() <= PRODUCERS_MAX {
            return;
        }
        let mut positions: Vec<u64> = self.by_id.values().map(|window| window.position).collect();
        let oldest_kept = positions.len() - PRODUCERS_KEPT;
        let (_, least, _) = positions.select_nth_unstable(oldest_kept);
        let least = *least;
        self.by_id.retain(|_, window| window.position >= least);
    }

    /// All of them, the one accepted longest ago first.
    pub(super) fn sorted(&self) -> Vec<(u64, &Window)> {
        let mut all: Vec<(u64, &Window)> = self.by_id.iter().map(|(id, window)| (*id, window)).collect();
        all.sort_unstable_by_key(|(_, window)| window.position);
        all
    }

    /// Puts a producer in as a snapshot has it.
    pub(super) fn restore(&mut self, id: u64, window: Window) {
        self.by_id.insert(id, window);
    }
}

impl Window {
    fn new() -> Window {
        Window { position: 0, accepted: VecDeque::new() }
    }

    /// Where a number is, or would be. The newest is looked at first: it is nearly always greater than all.
    fn find(&self, number: u64) -> Result<usize, usize> {
        if self.accepted.back().is_none_or(|(newest, _)| *newest < number) {
            return Err(self.accepted.len());
        }
        self.accepted.binary_search_by_key(&number, |(number, _)| *number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn producer(number: u64) -> Producer {
        Producer { id: 7, number }
    }

    #[test]
    fn the_last_numbers_are_known_and_older_ones_refused() {
        let mut producers = Producers::default();
        for number in (2..=2 * WINDOW as u64).step_by(2) {
            assert_eq!(producers.ask(producer(number)), Known::New);
            producers.accept(producer(number), number + 1000, number);
        }
        assert_eq!(producers.ask(producer(2)), Known::Accepted(1002));
        assert_eq!(producers.ask(producer(3)), Known::New, "a number that was left out may still come");
        assert_eq!(producers.ask(producer(1)), Known::TooOld);
        producers.accept(producer(3), 1, 1);
        assert_eq!(producers.ask(producer(2)), Known::TooOld);
        assert_eq!(producers.ask(producer(3)), Known::Accepted(1));
    }

    #[test]
    fn what_was_accepted_is_taken_back_with_what_it_pushed_out() {
        let mut producers = Producers::default();
        for number in 1..=WINDOW as u64 {
            producers.accept(producer(number), number, number);
        }
        let before = producers.by_id[&7].accepted.clone();
        let first = producers.accept(producer(500), 1, 1);
        let second = producers.accept(producer(400), 2, 2);
        let other = producers.accept(Producer { id: 8, number: 1 }, 3, 3);
        for accepted in [other, second, first] {
            producers.take_back(&accepted);
        }
        assert_eq!(producers.by_id[&7].accepted, before);
        assert_eq!(producers.ask(Producer { id: 8, number: 1 }), Known::New);
    }

    #[test]
    fn the_producers_accepted_last_are_kept() {
        let mut producers = Producers::default();
        let count = PRODUCERS_MAX as u64 + 1;
        for id in 1..=count {
            producers.accept(Producer { id, number: 1 }, id, id);
        }
        producers.trim();
        assert_eq!(producers.sorted().len(), PRODUCERS_KEPT);
        assert_eq!(producers.ask(Producer { id: count, number: 1 }), Known::Accepted(count));
        assert_eq!(producers.ask(Producer { id: 1, number: 1 }), Known::New);
    }
}

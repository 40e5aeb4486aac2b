//! A row of numbers that one thread writes and all others may read, without a lock and without waiting.
//!
//! ```text
//!  version 6 --publish--> 7 (odd: being written) --words--> 8
//!  read: version 8, words, still version 8? a row of one moment : again
//! ```
//!
//! Every word is atomic, so nothing torn is ever read; the version only tells whether the words belong together
//! (a sequence lock). The writer does plain stores to memory of its own, and never looks whether somebody reads.

use super::figures::Figures;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// How often a row is read again that changes meanwhile. Beyond that, what was read last has to do.
const ATTEMPTS: usize = 64;
/// Words of a line.
const LINE_WORDS: usize = 16;

/// Words that no other board's share a cache line with, nor a prefetched pair.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Line([AtomicU64; LINE_WORDS]);

/// A row.
#[derive(Debug)]
pub(super) struct Board {
    version: AtomicU64,
    lines: Box<[Line]>,
}

impl Board {
    pub(super) fn new(words: usize) -> Board {
        let lines = (0..words.div_ceil(LINE_WORDS)).map(|_| Line::default()).collect();
        Board { version: AtomicU64::new(0), lines }
    }

    /// Writes the row anew from its beginning. Only one thread may.
    #[inline]
    pub(super) fn write(&self, give: impl FnOnce(&mut Writing<'_>)) {
        let version = self.version.load(Ordering::Relaxed);
        self.version.store(version + 1, Ordering::Relaxed);
        // No word may be seen before the odd version.
        fence(Ordering::Release);
        give(&mut Writing { lines: &self.lines, place: 0 });
        self.version.store(version + 2, Ordering::Release);
    }

    /// Reads the row from its beginning; what lies behind its end is 0. Says whether all is of one moment.
    pub(super) fn read<T>(&self, take: impl Fn(&mut Reading<'_>) -> T) -> (T, bool) {
        let mut attempts = 0;
        loop {
            let before = self.version.load(Ordering::Acquire);
            let taken = take(&mut Reading { lines: &self.lines, place: 0 });
            // No word may be read after the version that proves it.
            fence(Ordering::Acquire);
            let is_whole = before.is_multiple_of(2) && self.version.load(Ordering::Relaxed) == before;
            attempts += 1;
            if is_whole || attempts >= ATTEMPTS {
                return (taken, is_whole);
            }
            std::hint::spin_loop();
        }
    }
}

/// A row that is being written.
pub(super) struct Writing<'a> {
    lines: &'a [Line],
    place: usize,
}

impl Writing<'_> {
    /// Writes the next word; nothing behind the end.
    #[inline]
    pub(super) fn put(&mut self, word: u64) {
        if let Some(cell) = cell(self.lines, self.place) {
            cell.store(word, Ordering::Relaxed);
        }
        self.place += 1;
    }
}

/// A row that is being read.
pub(super) struct Reading<'a> {
    lines: &'a [Line],
    place: usize,
}

impl Reading<'_> {
    /// The next word; 0 behind the end.
    pub(super) fn next(&mut self) -> u64 {
        let word = cell(self.lines, self.place).map_or(0, |cell| cell.load(Ordering::Relaxed));
        self.place += 1;
        word
    }
}

#[inline]
fn cell(lines: &[Line], place: usize) -> Option<&AtomicU64> {
    lines.get(place / LINE_WORDS)?.0.get(place % LINE_WORDS)
}

/// Figures on a board.
#[derive(Debug)]
pub(super) struct Published<F> {
    board: Board,
    kind: PhantomData<fn() -> F>,
}

impl<F: Figures> Published<F> {
    pub(super) fn new(first: &F) -> Self {
        let published = Published { board: Board::new(F::WORDS), kind: PhantomData };
        published.publish(first);
        published
    }

    /// Only one thread may.
    pub(super) fn publish(&self, figures: &F) {
        self.board.write(|row| figures.give(row));
    }

    pub(super) fn read(&self) -> F {
        self.board.read(F::take).0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn a_row_that_is_written_all_the_time_is_read_whole() {
        let (board, is_over) = (Board::new(40), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut number = 0;
                while !is_over.load(Ordering::Relaxed) {
                    number += 1;
                    board.write(|row| (0..40).for_each(|_| row.put(number)));
                }
            });
            let mut last = 0;
            while last < 1_000 {
                let (words, is_whole) = board.read(|row| (0..40).map(|_| row.next()).collect::<Vec<u64>>());
                if is_whole {
                    assert!(words.iter().all(|word| *word == words[0]), "{words:?}");
                    assert!(words[0] >= last, "it never goes back");
                    last = words[0];
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn what_lies_behind_the_end_is_nothing() {
        let board = Board::new(3);
        board.write(|row| (1..=100).for_each(|word| row.put(word)));
        let (words, is_whole) = board.read(|row| (0..20).map(|_| row.next()).collect::<Vec<u64>>());
        assert!(is_whole);
        assert_eq!((words[2], words[15], words[16]), (3, 16, 0), "a board has whole lines, and no more");
    }
}

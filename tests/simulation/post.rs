//! The network of mailboxes between nodes: letters of mail, first in first out on each way, and nothing else is sure.
//!
//! ```text
//!  node 0 --offer--> [ letter 3 | letter 2 ] --first--> node 1      few letters, or many; read at once, or much later
//!            full: it stays with node 0
//! ```
//!
//! What it holds is bounded: what nodes take from their clients ends when too much is under way, and what they tell
//! each other about it was counted then.

use crate::random::Random;
use fanwire_core::Envelope;
use std::collections::VecDeque;

/// What a node had for another at the end of a turn.
pub(crate) struct Letter {
    pub(crate) envelope: Envelope,
    pub(crate) number: u64,
    pub(crate) is_begun: bool,
}

struct Way {
    letters: VecDeque<Letter>,
    letters_max: usize,
    posted: u64,
    /// How eagerly it is read; and until which step not at all.
    eager_per_mille: u64,
    held_until: u64,
}

/// All mailboxes.
pub(crate) struct Post {
    nodes: usize,
    ways: Vec<Way>,
    pub(crate) step: u64,
    /// Emptied envelopes, to be used again.
    spares: Vec<Envelope>,
}

impl Post {
    pub(crate) fn draw(random: &mut Random, nodes: usize) -> Self {
        let is_uneven = random.chance(500);
        let way = |_| Way {
            letters: VecDeque::new(),
            letters_max: *random.pick(&[1, 1, 2, 8, 64]),
            posted: 0,
            eager_per_mille: if is_uneven { *random.pick(&[1_000, 700, 200, 30]) } else { 1_000 },
            held_until: 0,
        };
        let ways = (0..nodes * nodes).map(way).collect();
        Post { nodes, ways, step: 0, spares: Vec::new() }
    }

    fn way(&mut self, from: usize, to: usize) -> &mut Way {
        &mut self.ways[from * self.nodes + to]
    }

    /// Nobody reads one of the ways for so many steps.
    pub(crate) fn hold_one(&mut self, random: &mut Random, steps: u64) {
        let until = self.step + steps;
        let index = random.below(self.ways.len() as u64) as usize;
        self.ways[index].held_until = until;
    }

    /// Takes a letter if there is room, and tells its number.
    pub(crate) fn offer(&mut self, from: usize, to: usize, envelope: &mut Envelope) -> Option<u64> {
        let spare = self.spares.pop().unwrap_or_default();
        let way = self.way(from, to);
        if way.letters.len() >= way.letters_max {
            self.spares.push(spare);
            return None;
        }
        way.posted += 1;
        let number = way.posted;
        let envelope = std::mem::replace(envelope, spare);
        way.letters.push_back(Letter { envelope, number, is_begun: false });
        Some(number)
    }

    /// The letter to read next, unless it is not there yet.
    pub(crate) fn first(
        &mut self,
        from: usize,
        to: usize,
        random: &mut Random,
        is_resting: bool,
    ) -> Option<&mut Letter> {
        let step = self.step;
        let way = self.way(from, to);
        let is_there = is_resting || (step >= way.held_until && random.chance(way.eager_per_mille));
        way.letters.front_mut().filter(|_| is_there)
    }

    /// The first letter is read to its end.
    pub(crate) fn finish_first(&mut self, from: usize, to: usize, random: &mut Random) {
        let letter = self.way(from, to).letters.pop_front();
        if random.chance(700) {
            self.spares.extend(letter.map(|Letter { mut envelope, .. }| {
                envelope.clear();
                envelope
            }));
        }
    }

    /// Bytes that were posted and are not read to their end.
    pub(crate) fn bytes(&self, from: usize, to: usize) -> u64 {
        let letters = &self.ways[from * self.nodes + to].letters;
        letters.iter().map(|letter| letter.envelope.bytes() as u64).sum()
    }

    /// Letters posted so far.
    pub(crate) fn posted(&self) -> u64 {
        self.ways.iter().map(|way| way.posted).sum()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ways.iter().all(|way| way.letters.is_empty())
    }
}

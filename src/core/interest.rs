//! Who wants what, between shards: a table of masks that everybody reads and only owners write.
//!
//! ```text
//!                      shard  3 2 1 0
//!  exact[hash of name]     ...0 1 0 0      some topic with this hash has an exact subscriber on shard 2
//!  wildcard[first level]   ...0 0 1 0      some filter that begins with this level lives on shard 1
//!  leading                 ...0 0 0 0      nobody's filter begins with a wildcard
//!                             -------
//!  a publisher's mask:        0 1 1 0      two mails at the most, whatever the subscribers
//! ```
//!
//! A shard raises its bit before it tells anybody that a subscription stands, and lowers it when the last one of that
//! place is gone; how many there are, it counts for itself. So who publishes after SUBSCRIBED was seen, anywhere, finds
//! the bit. Two names may share a place: that costs a mail which finds nobody.
//!
//! Groups have their bits on the shard where they live, not where their members are. Groups of responders have a table
//! of their own, since requests are no publications.
//!
//! `jams` is the other way round: a shard marks the filters of groups whose messages it cannot pass on, because the way
//! to their members is full; who publishes to what they match waits.

use crate::filters::FirstLevel;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shards that a mask can name.
pub const SHARDS_MAX: usize = 64;
/// Places for exact topics: a false positive costs a mail, a place costs eight bytes.
const TOPIC_PLACES: usize = 1 << 16;
/// The same for responders and jams, which are few.
const RARE_PLACES: usize = 1 << 12;
/// Places for filters, by their first level.
const LEVEL_PLACES: usize = 1 << 8;

/// The table that all shards of a broker share.
pub struct Interest {
    publications: Masks,
    responders: Masks,
    jams: Masks,
}

struct Masks {
    exact: Box<[AtomicU64]>,
    wildcard: Box<[AtomicU64]>,
    leading: AtomicU64,
}

impl Masks {
    fn new(exact_places: usize) -> Self {
        Masks { exact: places(exact_places), wildcard: places(LEVEL_PLACES), leading: AtomicU64::new(0) }
    }

    fn of(&self, spot: Spot) -> u64 {
        let exact = &self.exact[spot.hash as usize % self.exact.len()];
        let wildcard = &self.wildcard[spot.first_level.index()];
        exact.load(Ordering::Acquire) | wildcard.load(Ordering::Acquire) | self.leading.load(Ordering::Acquire)
    }

    fn at(&self, reach: Reach) -> &AtomicU64 {
        match reach {
            Reach::Exact(hash) => &self.exact[hash as usize % self.exact.len()],
            Reach::Wildcard(level) => &self.wildcard[level.index()],
            Reach::Leading => &self.leading,
        }
    }

    /// The same for all filters that stand at one place.
    fn place_of(&self, reach: Reach) -> Reach {
        match reach {
            Reach::Exact(hash) => Reach::Exact(hash % self.exact.len() as u32),
            other => other,
        }
    }
}

fn places(count: usize) -> Box<[AtomicU64]> {
    (0..count).map(|_| AtomicU64::new(0)).collect()
}

/// Where a topic name stands in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Spot {
    pub(crate) hash: u32,
    pub(crate) first_level: FirstLevel,
}

/// Where a filter stands in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reach {
    /// One topic, by the hash of its name.
    Exact(u32),
    /// Topics with this first level.
    Wildcard(FirstLevel),
    /// Any topic.
    Leading,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Publications,
    Requests,
}

/// A shard's place among those of a broker.
#[derive(Clone)]
pub struct Seat {
    /// Which one it is.
    index: u8,
    count: u8,
    interest: Arc<Interest>,
}

impl Seat {
    /// The seats of a broker of `count` shards, in order.
    ///
    /// # Panics
    /// When `count` is not within 1 to [`SHARDS_MAX`].
    pub fn row(count: usize) -> Vec<Seat> {
        Seat::row_with(count, count > 1)
    }

    /// The same, of a broker that keeps journals: they ask even one shard alone.
    ///
    /// # Panics
    /// As [`Seat::row`] does.
    pub fn row_with_journals(count: usize) -> Vec<Seat> {
        Seat::row_with(count, true)
    }

    fn row_with(count: usize, is_asked: bool) -> Vec<Seat> {
        assert!((1..=SHARDS_MAX).contains(&count), "a broker has 1 to {SHARDS_MAX} shards");
        // One shard alone asks nobody.
        let sizes = if is_asked { (TOPIC_PLACES, RARE_PLACES) } else { (1, 1) };
        let interest = Arc::new(Interest {
            publications: Masks::new(sizes.0),
            responders: Masks::new(sizes.1),
            jams: Masks::new(sizes.1),
        });
        let seat = |index| Seat { index: index as u8, count: count as u8, interest: Arc::clone(&interest) };
        (0..count).map(seat).collect()
    }

    /// Which shard of the broker this is.
    pub const fn index(&self) -> usize {
        self.index as usize
    }

    /// How many shards the broker has.
    pub const fn count(&self) -> usize {
        self.count as usize
    }

    pub(crate) const fn number(&self) -> u8 {
        self.index
    }

    pub(crate) const fn bit(&self) -> u64 {
        1 << self.index
    }

    /// All shards that may have somebody who wants a topic.
    pub(crate) fn interested(&self, spot: Spot) -> u64 {
        self.interest.publications.of(spot)
    }

    /// The other shards that may have somebody who wants a topic.
    pub(crate) fn others_interested(&self, spot: Spot) -> u64 {
        if self.count == 1 { 0 } else { self.interest.publications.of(spot) & !self.bit() }
    }

    /// All shards that may have a group of responders for a topic.
    pub(crate) fn responding(&self, spot: Spot) -> u64 {
        if self.count == 1 { self.bit() } else { self.interest.responders.of(spot) }
    }

    /// Whether some shard cannot pass on what is published to a topic.
    pub(crate) fn is_jammed(&self, spot: Spot) -> bool {
        self.count > 1 && self.interest.jams.of(spot) != 0
    }

    /// The place that a filter shares with all others that are jammed when it is.
    pub(crate) fn jam_place(&self, reach: Reach) -> Reach {
        self.interest.jams.place_of(reach)
    }

    pub(crate) fn jam(&self, place: Reach) {
        self.interest.jams.at(place).fetch_or(self.bit(), Ordering::SeqCst);
    }

    pub(crate) fn unjam(&self, place: Reach) {
        self.interest.jams.at(place).fetch_and(!self.bit(), Ordering::SeqCst);
    }
}

/// How many of a shard's own filters stand at each place; the bits follow from it.
pub(crate) struct Counts {
    publications: PlaceCounts,
    responders: PlaceCounts,
}

struct PlaceCounts {
    exact: Vec<u32>,
    wildcard: Vec<u32>,
    leading: u32,
}

impl PlaceCounts {
    fn like(masks: &Masks) -> Self {
        PlaceCounts { exact: vec![0; masks.exact.len()], wildcard: vec![0; LEVEL_PLACES], leading: 0 }
    }

    fn at(&mut self, reach: Reach) -> &mut u32 {
        match reach {
            Reach::Exact(hash) => {
                let index = hash as usize % self.exact.len();
                &mut self.exact[index]
            }
            Reach::Wildcard(level) => &mut self.wildcard[level.index()],
            Reach::Leading => &mut self.leading,
        }
    }

    fn total(&self) -> u64 {
        self.exact.iter().chain(&self.wildcard).chain([&self.leading]).map(|count| u64::from(*count)).sum()
    }
}

impl Counts {
    pub(crate) fn new(seat: &Seat) -> Self {
        let Interest { publications, responders, .. } = &*seat.interest;
        Counts { publications: PlaceCounts::like(publications), responders: PlaceCounts::like(responders) }
    }

    /// One more filter of this shard stands there.
    pub(crate) fn raise(&mut self, seat: &Seat, kind: Kind, reach: Reach) {
        let (counts, masks) = self.of_kind(seat, kind);
        let count = counts.at(reach);
        *count += 1;
        if *count == 1 {
            masks.at(reach).fetch_or(seat.bit(), Ordering::SeqCst);
        }
    }

    /// One filter of this shard is gone from there.
    pub(crate) fn lower(&mut self, seat: &Seat, kind: Kind, reach: Reach) {
        let (counts, masks) = self.of_kind(seat, kind);
        let count = counts.at(reach);
        assert!(*count > 0, "an interest is lowered as often as it was raised");
        *count -= 1;
        if *count == 0 {
            masks.at(reach).fetch_and(!seat.bit(), Ordering::SeqCst);
        }
    }

    fn of_kind<'a>(&mut self, seat: &'a Seat, kind: Kind) -> (&mut PlaceCounts, &'a Masks) {
        match kind {
            Kind::Publications => (&mut self.publications, &seat.interest.publications),
            Kind::Requests => (&mut self.responders, &seat.interest.responders),
        }
    }

    /// Filters that are counted, and whether each place's bit says what its count does.
    pub(crate) fn sweep(&self, seat: &Seat) -> (u64, u64) {
        for (counts, masks) in
            [(&self.publications, &seat.interest.publications), (&self.responders, &seat.interest.responders)]
        {
            let places = counts.exact.iter().zip(&masks.exact).chain(counts.wildcard.iter().zip(&masks.wildcard));
            for (count, mask) in places.chain([(&counts.leading, &masks.leading)]) {
                let is_raised = mask.load(Ordering::Acquire) & seat.bit() != 0;
                assert_eq!(is_raised, *count > 0, "a bit is raised while somebody is counted there");
            }
        }
        (self.publications.total(), self.responders.total())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use foldhash::quality::FixedState;

    fn spot(name: &str) -> Spot {
        let hasher = FixedState::with_seed(1);
        Spot { hash: name.len() as u32, first_level: FirstLevel::of(name.as_bytes(), &hasher) }
    }

    #[test]
    fn a_bit_stands_from_the_first_filter_to_the_last() {
        let seats = Seat::row(3);
        let mut counts = Counts::new(&seats[1]);
        let place = spot("room/7");
        for _ in 0..2 {
            counts.raise(&seats[1], Kind::Publications, Reach::Exact(place.hash));
        }
        assert_eq!((seats[0].others_interested(place), seats[1].others_interested(place)), (0b10, 0));
        assert_eq!(seats[0].responding(place), 0, "responders are another matter");
        counts.lower(&seats[1], Kind::Publications, Reach::Exact(place.hash));
        assert_eq!(seats[2].others_interested(place), 0b10);
        counts.lower(&seats[1], Kind::Publications, Reach::Exact(place.hash));
        assert_eq!(seats[2].others_interested(place), 0);
    }

    #[test]
    fn wildcards_reach_their_first_level_and_leading_ones_everything() {
        let seats = Seat::row(2);
        let mut counts = Counts::new(&seats[1]);
        counts.raise(&seats[1], Kind::Requests, Reach::Wildcard(spot("room").first_level));
        assert_eq!((seats[0].responding(spot("room/7")), seats[0].responding(spot("log/7"))), (0b10, 0));
        counts.raise(&seats[1], Kind::Requests, Reach::Leading);
        assert_eq!(seats[0].responding(spot("log/7")), 0b10);
        assert_eq!(counts.sweep(&seats[1]), (0, 2));
    }

    #[test]
    fn one_shard_alone_has_no_others_and_every_request_is_its_own() {
        let seats = Seat::row(1);
        assert_eq!((seats[0].others_interested(spot("a")), seats[0].responding(spot("a"))), (0, 1));
    }
}

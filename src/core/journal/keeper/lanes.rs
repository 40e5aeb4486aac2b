//! The ways to the shards: what goes into them, and what happens when one is full.
//!
//! A lane is full when what was put in and not read there passes its bound. From the first record that finds it so, the
//! shard reads that journal by itself: it is told where to begin (`relay`), and gets no record of it until it has
//! joined again. Answers go into any lane: there is one for each publish, and those were admitted.

use crate::encoding::Numbers;
use crate::interest::{Seat, Spot};
use crate::journal::plan::JournalId;
use crate::journal::topics::TopicKey;
use crate::mail::Publisher;
use crate::releases::{Note, Release, Releases};
use foldhash::quality::FixedState;
use hashbrown::HashMap;

/// The way to one shard.
#[derive(Default)]
pub(super) struct Lane {
    pub(super) releases: Releases,
    /// Things in it that were left there by earlier turns, which had other numbers for topics.
    pub(super) left: usize,
    /// Bytes of earlier releases that were not read there yet.
    pub(super) transit_bytes: u64,
    /// Journals, a bit each, that the shard reads by itself until it has caught up.
    pub(super) relays: u64,
    /// Journals that became so in the batch that is not written yet, and where.
    untold: Vec<(JournalId, u64)>,
}

/// Numbers of topics in the releases of this turn.
#[derive(Default)]
pub(super) struct Numbering {
    by_topic: HashMap<(JournalId, TopicKey), u32, FixedState>,
    journals: Vec<JournalId>,
    /// By number: the shards that know it.
    told: Vec<u64>,
    latest: Option<((JournalId, TopicKey), u32)>,
}

impl Lane {
    /// Whether a record goes into the lane. If there is no room, the shard is to read it by itself from here on.
    pub(super) fn takes(&mut self, journal: JournalId, position: u64, bytes_max: u64) -> bool {
        if self.relays & bit(journal) != 0 {
            return false;
        }
        let takes = (self.releases.bytes() as u64) + self.transit_bytes < bytes_max;
        if !takes {
            self.relays |= bit(journal);
            self.untold.push((journal, position));
        }
        takes
    }

    /// Tells the shard, behind the last record that it gets, from which position on it has to read by itself: not one
    /// beyond what was written, should the batch have failed.
    pub(super) fn tell_relay(&mut self, journal: JournalId, end: u64) {
        let Lane { untold, releases, .. } = self;
        untold.retain(|(untold, position)| {
            if *untold == journal {
                releases.push_note(Note::Relay { journal, position: (*position).min(end + 1) });
            }
            *untold != journal
        });
    }

    /// Whether the shard reads a journal by itself.
    pub(super) fn is_relayed(&self, journal: JournalId) -> bool {
        self.relays & bit(journal) != 0
    }

    /// It has caught up.
    pub(super) fn end_relay(&mut self, journal: JournalId) {
        self.relays &= !bit(journal);
    }
}

/// Records that are held back, and where their topics stand in the table of interest.
#[derive(Default)]
pub(super) struct Staged {
    releases: Releases,
    spots: Vec<Spot>,
}

impl Staged {
    pub(super) fn push(
        &mut self,
        spot: Spot,
        name: &str,
        publisher: Publisher,
        numbers: Numbers,
        headers: &[u8],
        payload: &[u8],
    ) {
        self.spots.push(spot);
        self.releases.push_topic(HELD_NUMBER, name);
        self.releases.push_record(HELD_NUMBER, publisher, numbers, headers, payload);
    }

    pub(super) fn bytes(&self) -> usize {
        self.releases.bytes() + self.spots.len() * size_of::<Spot>()
    }

    /// Adds them to the lanes of all shards that may have somebody who wants them.
    pub(super) fn release(mut self, journal: JournalId, interest: &Seat, lanes: &mut [Lane], bytes_max: u64) {
        let mut spots = self.spots.iter();
        while let Some(release) = self.releases.next() {
            let Release::Record { name, publisher, numbers, headers, payload, .. } = release else { continue };
            let mut mask = interest.interested(*spots.next().expect("every record has its spot"));
            while mask != 0 {
                let lane = &mut lanes[mask.trailing_zeros() as usize];
                mask &= mask - 1;
                if lane.takes(journal, numbers.position, bytes_max) {
                    // A number that no topic of this turn has got: it is told anew with each record.
                    lane.releases.push_topic(HELD_NUMBER, crate::mail::text(name));
                    lane.releases.push_record(HELD_NUMBER, publisher, numbers, headers, payload);
                }
            }
        }
    }
}

/// What records that were held back call their topic.
const HELD_NUMBER: u32 = 0;

const fn bit(journal: JournalId) -> u64 {
    1 << journal.0
}

impl Numbering {
    /// The number of a topic in this turn's releases.
    pub(super) fn number_of(&mut self, journal: JournalId, topic: TopicKey) -> u32 {
        if let Some((latest, number)) = self.latest
            && latest == (journal, topic)
        {
            return number;
        }
        // The first number is for what was held back.
        let new = self.told.len() as u32 + 1;
        let number = *self.by_topic.entry((journal, topic)).or_insert(new);
        if number == new {
            self.told.push(0);
            self.journals.push(journal);
        }
        self.latest = Some(((journal, topic), number));
        number
    }

    /// Whether a shard has to be told the name of a topic's number; it is from here on.
    pub(super) fn must_tell(&mut self, number: u32, shard: usize) -> bool {
        let told = &mut self.told[number as usize - 1];
        let is_new = *told & (1 << shard) == 0;
        *told |= 1 << shard;
        is_new
    }

    /// The journal of a topic's number.
    pub(super) fn journal_of(&self, number: u32) -> Option<JournalId> {
        self.journals.get((number as usize).checked_sub(1)?).copied()
    }

    /// The turn is over: topics will be told of anew.
    pub(super) fn clear(&mut self) {
        self.by_topic.clear();
        self.told.clear();
        self.journals.clear();
        self.latest = None;
    }
}

//! What is under way between nodes, as the oracle sees it: not what stands in the mail, but what must stand there, and
//! when it comes out.
//!
//! ```text
//!  publish taken in --> under way to every other node --posted--> in letter n --read--> lands: who wants it now?
//!                                                                     `--read in pieces--> landing ... landed
//! ```
//!
//! Who should get a message of another node is decided where and when it lands, since that is where subscriptions
//! stand:
//!
//! - Who stood already when it was published, and still does, gets it: that is the promise of SUBSCRIBED.
//! - Who came since may get it or not: it was published before.
//! - Who is gone has lost it, and nobody else has.
//!
//! A letter that is read in several pieces lands at some time between the first and the last. A client whose
//! subscriptions change meanwhile may get its messages as before or as after.

use crate::grammar;
use crate::interest::{Expected, Landing};
use crate::oracle::{Oracle, SubscriptionIndex};
use crate::said::Uid;
use std::collections::VecDeque;

/// The number of a letter that nobody has posted yet.
const NOT_POSTED: u64 = u64::MAX;

/// Something that goes from one node to another.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moving {
    /// By author and serial.
    Message(Uid, u32),
    /// The answer to a request, or that who was to answer it is gone.
    Answer(usize),
    Gone(usize),
}

/// The way from one node to another.
#[derive(Default)]
struct Way {
    under_way: VecDeque<(Moving, u64)>,
    /// What stands in the letter that is being read in pieces.
    landing: Vec<Moving>,
}

/// All ways.
pub(crate) struct Transit {
    nodes: usize,
    ways: Vec<Way>,
}

impl Transit {
    pub(crate) fn new(nodes: usize) -> Self {
        Transit { nodes, ways: (0..nodes * nodes).map(|_| Way::default()).collect() }
    }

    pub(crate) const fn nodes(&self) -> usize {
        self.nodes
    }

    fn way(&mut self, from: usize, to: usize) -> &mut Way {
        &mut self.ways[from * self.nodes + to]
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, moving: Moving) {
        self.way(from, to).under_way.push_back((moving, NOT_POSTED));
    }

    pub(crate) fn send_to_others(&mut self, from: usize, moving: Moving) {
        for to in (0..self.nodes).filter(|to| *to != from) {
            self.send(from, to, moving);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.ways.iter().all(|way| way.under_way.is_empty() && way.landing.is_empty())
    }

    /// Every message that has not landed everywhere.
    pub(crate) fn messages(&self) -> impl Iterator<Item = (Uid, u32)> {
        let of_way = |way: &'_ Way| -> Vec<Moving> {
            way.under_way.iter().map(|(moving, _)| *moving).chain(way.landing.iter().copied()).collect()
        };
        self.ways.iter().flat_map(of_way).filter_map(|moving| match moving {
            Moving::Message(author, serial) => Some((author, serial)),
            Moving::Answer(_) | Moving::Gone(_) => None,
        })
    }

    fn landing_at(&self, to: usize) -> Vec<(Uid, u32)> {
        let ways = (0..self.nodes).map(|from| &self.ways[from * self.nodes + to]);
        let landing = ways.flat_map(|way| way.landing.iter());
        landing
            .filter_map(
                |moving| if let Moving::Message(author, serial) = moving { Some((*author, *serial)) } else { None },
            )
            .collect()
    }
}

impl Oracle {
    /// A node's turn is over, and what it had for another went out in a letter of this number.
    pub(crate) fn note_posted(&mut self, from: usize, to: usize, letter: u64) {
        for (_, number) in self.transit.way(from, to).under_way.iter_mut().rev() {
            if *number != NOT_POSTED {
                break;
            }
            *number = letter;
        }
    }

    /// A node's turn is over, and it had nothing for another: so nobody there may be owed anything.
    pub(crate) fn note_nothing_to_post(&mut self, from: usize, to: usize) {
        let way = self.transit.way(from, to);
        let first = way.under_way.iter().position(|(_, number)| *number == NOT_POSTED);
        let unposted = way.under_way.split_off(first.unwrap_or(way.under_way.len()));
        for (moving, _) in unposted {
            self.land(to, moving, Landing { is_exact: true, is_posted: false });
        }
    }

    /// A letter was read, as a whole or a piece of it.
    pub(crate) fn note_read(&mut self, from: usize, to: usize, letter: u64, is_done: bool) {
        let way = self.transit.way(from, to);
        let is_first = way.landing.is_empty();
        let mut begun = Vec::new();
        while way.under_way.front().is_some_and(|(_, number)| *number == letter) {
            begun.extend(way.under_way.pop_front().map(|(moving, _)| moving));
        }
        let is_exact = is_done && is_first;
        for moving in &begun {
            self.land(to, *moving, Landing { is_exact, is_posted: true });
        }
        let way = self.transit.way(from, to);
        way.landing.extend(begun);
        if is_done {
            for moving in std::mem::take(&mut way.landing) {
                self.note_landed(to, moving, is_exact);
            }
        }
    }

    fn land(&mut self, to: usize, moving: Moving, landing: Landing) {
        if let Moving::Message(author, serial) = moving {
            self.expect_landed(to, (author, serial), landing);
        }
    }

    fn note_landed(&mut self, to: usize, moving: Moving, is_exact: bool) {
        match moving {
            Moving::Answer(request) => self.note_answer_came(request),
            Moving::Gone(request) => self.note_gone(request),
            // What came meanwhile may have come before it or behind it.
            Moving::Message(author, serial) if !is_exact => {
                let topic = self.messages[&(author, serial)].topic;
                for uid in self
                    .alive
                    .iter()
                    .filter(|uid| self.connections[**uid as usize].home == to)
                    .copied()
                    .collect::<Vec<_>>()
                {
                    if let Some(newest) = self.connection(uid).newest.get_mut(&topic) {
                        newest.is_certain = false;
                    }
                }
            }
            Moving::Message(..) => {}
        }
    }

    /// A subscription outside groups has come or gone while letters are being read in pieces.
    pub(crate) fn reconsider_landing(&mut self, uid: Uid, changed: SubscriptionIndex) {
        let home = self.connections[uid as usize].home;
        for (author, serial) in self.transit.landing_at(home) {
            let topic = self.messages[&(author, serial)].topic;
            let name = self.topics[topic as usize].clone();
            if grammar::matches(&self.subscriptions[changed].filter, &name) {
                let matching = self.matching(uid, &name, |subscription| subscription.group.is_none());
                self.reconsider(uid, (author, serial), &matching);
            }
        }
    }

    /// A connection has ended while letters are being read in pieces.
    pub(crate) fn forgo_landing(&mut self, uid: Uid) {
        let home = self.connections[uid as usize].home;
        for identity in self.transit.landing_at(home) {
            self.reconsider(uid, identity, &[]);
        }
    }

    /// What stands in a letter that is being read is for these, or for those that it was for before.
    fn reconsider(&mut self, uid: Uid, (author, serial): (Uid, u32), matching: &[SubscriptionIndex]) {
        let topic = self.messages[&(author, serial)].topic;
        let lane = self.connection(uid).lanes.entry((author, topic)).or_default();
        if lane.last >= serial {
            return;
        }
        let place = lane.expected.iter().position(|expected| expected.serial >= serial);
        let known = place.filter(|place| lane.expected[*place].serial == serial);
        match (known, matching.is_empty()) {
            (None, true) => {}
            (None, false) => {
                let governing = self.governing(matching);
                let place = place.unwrap_or(self.connections[uid as usize].lanes[&(author, topic)].expected.len());
                let account = self.accounts.get_mut(governing.account);
                account.expected += 1;
                account.optional += 1;
                let expected = Expected { serial, is_optional: true, is_vague: true, is_sure: false, ..governing };
                let lane = self.connection(uid).lanes.entry((author, topic)).or_default();
                lane.expected.insert(place, expected);
            }
            (Some(place), is_over) => {
                let Expected { account, is_optional, .. } = lane.expected[place];
                let published = self.messages[&(author, serial)].published;
                let is_promised = matching.iter().any(|index| self.subscriptions[*index].since < published);
                if !is_promised && !is_optional {
                    self.accounts.get_mut(account).optional += 1;
                }
                if !is_over {
                    let other = self.governing(matching).account;
                    self.accounts.unite(account, other);
                }
                let lane = self.connection(uid).lanes.entry((author, topic)).or_default();
                lane.expected[place].is_optional |= !is_promised;
                lane.expected[place].is_vague = true;
                lane.expected[place].is_sure = false;
            }
        }
        if let Some(newest) = self.connection(uid).newest.get_mut(&topic) {
            newest.is_certain = false;
        }
    }
}

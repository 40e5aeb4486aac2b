//! A shard with its mailboxes: what has come for it, and waits to be read.

use crate::encoding::Lines;
use crate::swarm::Swarm;
use fanwire_core::journal::plan::Plan;
use fanwire_core::{Envelope, HistoryMail, Releases, Seat, Shard, Time};
use std::collections::VecDeque;

pub(crate) struct Node {
    pub(crate) shard: Shard,
    pub(crate) now: Time,
    /// By shard that sent it.
    pub(crate) mail: Vec<VecDeque<Envelope>>,
    pub(crate) releases: VecDeque<Releases>,
    pub(crate) history: VecDeque<HistoryMail>,
}

impl Node {
    pub(crate) fn new(swarm: &Swarm, seat: Seat, plan: Plan) -> Node {
        let now = Time::from_micros(1_000_000);
        let count = seat.count();
        let shard = Shard::seated(swarm.settings, vec![Box::new(Lines)], seat, now).with_journals(plan);
        Node {
            shard,
            now,
            mail: (0..count).map(|_| VecDeque::new()).collect(),
            releases: VecDeque::new(),
            history: VecDeque::new(),
        }
    }

    /// Whether anything has come.
    pub(crate) fn is_stirred(&self) -> bool {
        let has_mail = self.mail.iter().any(|mail| !mail.is_empty());
        has_mail || !self.releases.is_empty() || !self.history.is_empty() || self.shard.has_resumed()
    }

    /// Reads what has come, as far as the turn goes.
    pub(crate) fn read(&mut self) {
        for from in 0..self.mail.len() {
            while let Some(envelope) = self.mail[from].front_mut() {
                if !self.shard.receive_mail(from, envelope) {
                    return;
                }
                self.mail[from].pop_front();
            }
        }
        while let Some(releases) = self.releases.front_mut() {
            if !self.shard.receive_releases(releases) {
                return;
            }
            self.releases.pop_front();
        }
        while !self.shard.wants_flush()
            && let Some(mail) = self.history.pop_front()
        {
            self.shard.receive_history(&mail);
        }
    }
}

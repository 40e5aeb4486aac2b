//! What each subscriber should have heard, and so how far the slowest is behind.
//!
//! Topics belong to audiences: the distinct ranges that subscribers asked for. A message counts for the audience of its
//! topic and for those who hear everything, so the books cost the same for one topic and for a million.

use super::adapter::Interest;
use super::scenario::Member;
use std::collections::HashMap;
use std::ops::Range;

/// The topic of nobody.
const NOBODY: u32 = u32::MAX;

/// What a subscriber hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Audience {
    Nobody,
    Number(u32),
    Everything,
}

/// What was sent, in messages.
#[derive(Debug)]
pub(super) struct Ledger {
    /// The audience of each topic.
    audience_of: Vec<u32>,
    sent_to: Vec<u64>,
    sent: u64,
    members: Vec<Audience>,
}

impl Ledger {
    pub(super) fn new(topics: u32, members: &[Member]) -> Ledger {
        let mut audience_of = vec![NOBODY; topics as usize];
        let mut numbers: HashMap<Range<u32>, u32> = HashMap::new();
        let members = members.iter().map(|member| match &member.interest {
            Interest::Nothing => Audience::Nobody,
            Interest::All => Audience::Everything,
            Interest::Topics(range) => {
                let next = u32::try_from(numbers.len()).expect("fewer audiences than topics");
                let number = *numbers.entry(range.clone()).or_insert_with(|| {
                    let topics = &mut audience_of[range.start as usize..range.end as usize];
                    assert!(topics.iter().all(|audience| *audience == NOBODY), "audiences do not overlap");
                    topics.fill(next);
                    next
                });
                Audience::Number(number)
            }
        });
        let members = members.collect();
        Ledger { audience_of, sent_to: vec![0; numbers.len()], sent: 0, members }
    }

    /// A message was sent to this topic.
    #[inline]
    pub(super) fn send(&mut self, topic: u32) {
        self.sent += 1;
        if let Some(sent) = self.sent_to.get_mut(self.audience_of[topic as usize] as usize) {
            *sent += 1;
        }
    }

    /// All that was sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// What a member should have heard by now, its own messages included.
    #[inline]
    pub(super) fn due(&self, member: usize) -> u64 {
        match self.members[member] {
            Audience::Nobody => 0,
            Audience::Number(number) => self.sent_to[number as usize],
            Audience::Everything => self.sent,
        }
    }

    /// How many messages the publishers are ahead: the sum of what the slowest of each audience lags behind, or what
    /// the slowest of those who hear everything does. `worst` is room to work in.
    pub(super) fn ahead(&self, lags: impl Iterator<Item = (usize, u64)>, worst: &mut Vec<u64>) -> u64 {
        worst.clear();
        worst.resize(self.sent_to.len(), 0);
        let mut slowest = 0;
        for (member, lag) in lags {
            match self.members[member] {
                Audience::Number(number) => {
                    let known = &mut worst[number as usize];
                    *known = lag.max(*known);
                }
                Audience::Everything | Audience::Nobody => slowest = lag.max(slowest),
            }
        }
        slowest.max(worst.iter().sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_audience_is_counted_by_itself() {
        let all = Member { interest: Interest::All, ..Member::idle() };
        let wide = Member { interest: Interest::Topics(2..4), ..Member::idle() };
        let members = [Member::hearing(0), Member::hearing(1), Member::hearing(0), wide, all, Member::idle()];
        let mut ledger = Ledger::new(5, &members);
        for topic in [0, 1, 1, 3, 2, 3, 4] {
            ledger.send(topic);
        }
        let due: Vec<u64> = (0..members.len()).map(|member| ledger.due(member)).collect();
        assert_eq!(due, [1, 2, 1, 3, 7, 0]);
        let mut worst = Vec::new();
        assert_eq!(ledger.ahead([(0, 5), (2, 7), (1, 1), (4, 3)].into_iter(), &mut worst), 8);
        assert_eq!(ledger.ahead([(0, 5), (4, 30)].into_iter(), &mut worst), 30);
        assert_eq!(ledger.sent(), 7);
    }
}

//! Who should get what: for each message that is taken in, every subscription of its node is asked, and those of the
//! others where and when it lands there.

use crate::accounts::AccountId;
use crate::grammar;
use crate::oracle::{Connection, Oracle, SubscriptionIndex, TopicIndex};
use crate::said::{Body, Uid};
use crate::transit::Moving;
use fanwire_wire::frame::Policy;
use std::cmp::Reverse;
use std::collections::VecDeque;

/// A subscription, standing or over.
pub(crate) struct Subscription {
    pub(crate) connection: Uid,
    pub(crate) number: u32,
    pub(crate) filter: String,
    pub(crate) group: Option<String>,
    pub(crate) responder: bool,
    pub(crate) policy: Policy,
    pub(crate) max_rate_hz: u16,
    pub(crate) no_echo: bool,
    pub(crate) account: AccountId,
    /// As SUBSCRIBED told it.
    pub(crate) topic_id: u32,
    /// The moments at which it was taken in, at which its group had it (its own node's, outside groups), and at which
    /// it was over.
    pub(crate) since: u64,
    pub(crate) stands_since: Option<u64>,
    pub(crate) ended: Option<u64>,
}

impl Subscription {
    /// The smallest governs: policies in the order of the protocol, then the highest rate, of which none is highest.
    pub(crate) fn strictness(&self) -> (Policy, Reverse<u32>) {
        let rate = if self.max_rate_hz == 0 { u32::MAX } else { u32::from(self.max_rate_hz) };
        (self.policy, Reverse(rate))
    }
}

/// A message that was routed.
pub(crate) struct Message {
    pub(crate) topic: TopicIndex,
    pub(crate) body: Body,
    /// The moment at which it was taken in.
    pub(crate) published: u64,
}

/// How a message of another node comes in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Landing {
    /// At once, and not at some time between now and later.
    pub(crate) is_exact: bool,
    /// There was mail that it may stand in.
    pub(crate) is_posted: bool,
}

/// A message that a connection should get.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) serial: u32,
    pub(crate) account: AccountId,
    pub(crate) policy: Policy,
    pub(crate) max_rate_hz: u16,
    pub(crate) by_id: bool,
    /// Nothing may keep it away: the queue was empty when the turn began, and the policy drops only what arrives.
    pub(crate) is_sure: bool,
    /// It may come or not: it was published before the subscription stood.
    pub(crate) is_optional: bool,
    /// Which subscription governs it is open, so only its account is known.
    pub(crate) is_vague: bool,
}

/// The messages of one publisher and topic that a connection should get and has not got, in order.
#[derive(Default)]
pub(crate) struct Lane {
    pub(crate) expected: VecDeque<Expected>,
    /// The last one it got.
    pub(crate) last: u32,
}

/// The newest message of a topic that was published for a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newest {
    pub(crate) author: Uid,
    pub(crate) expected: Expected,
    /// It is certain that nothing came behind it.
    pub(crate) is_certain: bool,
}

impl Oracle {
    pub(crate) fn expect_deliveries(&mut self, publisher: Uid, topic: TopicIndex, body: &Body) {
        let message = Message { topic, body: *body, published: self.moment };
        self.messages.insert((body.author, body.serial), message);
        let name = self.topics[topic as usize].clone();
        let home = self.connections[publisher as usize].home;
        for uid in self.alive_at(home) {
            let matching = self.matching(uid, &name, |subscription| subscription.group.is_none());
            let is_own = uid == publisher && matching.iter().all(|index| self.subscriptions[*index].no_echo);
            if !matching.is_empty() && !is_own {
                self.expect_delivery(uid, topic, body, &matching, None);
            }
        }
        self.transit.send_to_others(home, Moving::Message(body.author, body.serial));
        self.expect_shares(publisher, body, &name);
    }

    /// A message has come to another node.
    pub(crate) fn expect_landed(&mut self, to: usize, identity: (Uid, u32), landing: Landing) {
        let Message { topic, body, published } = self.messages[&identity];
        let name = self.topics[topic as usize].clone();
        for uid in self.alive_at(to) {
            let matching = self.matching(uid, &name, |subscription| subscription.group.is_none());
            let is_promised = matching.iter().any(|index| self.subscriptions[*index].since < published);
            if is_promised || (landing.is_posted && !matching.is_empty()) {
                self.totals.optional += u64::from(!is_promised);
                self.expect_delivery(uid, topic, &body, &matching, Some((is_promised, landing)));
            }
        }
    }

    pub(crate) fn alive_at(&self, home: usize) -> Vec<Uid> {
        self.alive.iter().copied().filter(|uid| self.connections[*uid as usize].home == home).collect()
    }

    /// The subscriptions of a connection that is there that match a name.
    pub(crate) fn matching(
        &self,
        uid: Uid,
        name: &str,
        is_meant: impl Fn(&Subscription) -> bool,
    ) -> Vec<SubscriptionIndex> {
        let all = self.connections[uid as usize].subscriptions.values().copied();
        all.filter(|index| {
            let subscription = &self.subscriptions[*index];
            is_meant(subscription) && grammar::matches(&subscription.filter, name)
        })
        .collect()
    }

    /// `landed` tells of a message of another node whether it is promised, and how it came.
    fn expect_delivery(
        &mut self,
        uid: Uid,
        topic: TopicIndex,
        body: &Body,
        matching: &[SubscriptionIndex],
        landed: Option<(bool, Landing)>,
    ) {
        let (is_promised, is_exact) = landed.map_or((true, true), |(promised, landing)| (promised, landing.is_exact));
        let governing = self.governing(matching);
        let account = self.accounts.get_mut(governing.account);
        account.expected += 1;
        account.optional += u64::from(!is_promised);
        let connection: &mut Connection = &mut self.connections[uid as usize];
        let is_patient = matches!(governing.policy, Policy::Disconnect | Policy::DropNewest);
        let is_sure = connection.is_clear && is_patient && is_exact && is_promised;
        let expected = Expected { serial: body.serial, is_sure, is_optional: !is_promised, ..governing };
        connection.lanes.entry((body.author, topic)).or_default().expected.push_back(expected);
        let newest = Newest { author: body.author, expected, is_certain: is_exact && is_promised };
        connection.newest.insert(topic, newest);
    }

    /// What of several subscriptions that match governs. Those that are equally strict have one account.
    pub(crate) fn governing(&mut self, matching: &[SubscriptionIndex]) -> Expected {
        let of = |index: &SubscriptionIndex| &self.subscriptions[*index];
        let by_id = matching.iter().any(|index| grammar::is_exact(&of(index).filter));
        let strictest = matching.iter().map(|index| of(index).strictness()).min().expect("somebody wants it");
        let governing: Vec<_> = matching.iter().filter(|index| of(index).strictness() == strictest).collect();
        let Subscription { account, policy, max_rate_hz, .. } = self.subscriptions[*governing[0]];
        for other in &governing[1..] {
            self.accounts.unite(account, self.subscriptions[**other].account);
        }
        Expected { serial: 0, account, policy, max_rate_hz, by_id, is_sure: false, is_optional: false, is_vague: false }
    }
}

//! Who should get what: for each message that is taken in, every subscription there is, is asked.

use crate::accounts::AccountId;
use crate::grammar;
use crate::oracle::{Connection, Oracle, SubscriptionIndex, TopicIndex};
use crate::said::{Body, Uid};
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
}

impl Subscription {
    /// The smallest governs: policies in the order of the protocol, then the highest rate, of which none is highest.
    fn strictness(&self) -> (Policy, Reverse<u32>) {
        let rate = if self.max_rate_hz == 0 { u32::MAX } else { u32::from(self.max_rate_hz) };
        (self.policy, Reverse(rate))
    }
}

/// A message that was routed.
pub(crate) struct Message {
    pub(crate) topic: TopicIndex,
    pub(crate) body: Body,
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
}

impl Oracle {
    pub(crate) fn expect_deliveries(&mut self, publisher: Uid, topic: TopicIndex, body: &Body) {
        self.messages.insert((body.author, body.serial), Message { topic, body: *body });
        let name = self.topics[topic as usize].clone();
        for uid in self.alive.clone() {
            let matching = self.matching(uid, &name, |subscription| subscription.group.is_none());
            if !matching.is_empty() {
                self.expect_delivery(uid, publisher, topic, body, &matching);
            }
        }
        self.expect_shares(publisher, body, &name);
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

    fn expect_delivery(
        &mut self,
        uid: Uid,
        publisher: Uid,
        topic: TopicIndex,
        body: &Body,
        matching: &[SubscriptionIndex],
    ) {
        let of = |index: &SubscriptionIndex| &self.subscriptions[*index];
        if uid == publisher && matching.iter().all(|index| of(index).no_echo) {
            return;
        }
        let by_id = matching.iter().any(|index| grammar::is_exact(&of(index).filter));
        let strictest = matching.iter().map(|index| of(index).strictness()).min().expect("somebody wants it");
        let governing: Vec<_> = matching.iter().filter(|index| of(index).strictness() == strictest).collect();
        let Subscription { account, policy, max_rate_hz, .. } = self.subscriptions[*governing[0]];
        for other in &governing[1..] {
            self.accounts.unite(account, self.subscriptions[**other].account);
        }
        self.accounts.get_mut(account).expected += 1;
        let connection: &mut Connection = &mut self.connections[uid as usize];
        let is_sure = connection.is_clear && matches!(policy, Policy::Disconnect | Policy::DropNewest);
        let expected = Expected { serial: body.serial, account, policy, max_rate_hz, by_id, is_sure };
        connection.lanes.entry((body.author, topic)).or_default().expected.push_back(expected);
        connection.newest.insert(topic, Newest { author: body.author, expected });
    }
}

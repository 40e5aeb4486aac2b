//! Groups: each message to exactly one member, and nobody says to which.

use crate::oracle::{Oracle, SubscriptionIndex};
use crate::said::{Body, Uid};
use fanwire_wire::frame::{MessageGroup, Policy};
use std::collections::BTreeMap;

/// Filter and name.
type GroupName = (String, String);

/// What a group should get and has not got.
#[derive(Default)]
struct Share {
    expected: BTreeMap<(Uid, u32), ExpectedShare>,
    /// Told by GAPs to members.
    dropped: u64,
    /// Messages that came for the group, and who got which, as far as it is known.
    count: u64,
    picked: BTreeMap<u64, Picked>,
}

/// Who got a message, and under which circumstances.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Picked {
    member: SubscriptionIndex,
    /// The members' turn could not be upset: each of several had an empty queue, and none is left out for its own.
    in_turn: bool,
    /// Changes of any group so far.
    changes: u64,
}

struct ExpectedShare {
    /// Who may get it.
    members: Vec<SubscriptionIndex>,
    /// Nothing may keep it away: some member's queue was empty when the turn began, and no member drops what is
    /// queued already.
    is_sure: bool,
    /// Its number in the group, and what is known of whoever gets it.
    number: u64,
    in_turn: bool,
    changes: u64,
}

#[derive(Default)]
pub(crate) struct Groups {
    shares: BTreeMap<GroupName, Share>,
    /// How often a member came or went.
    pub(crate) changes: u64,
}

impl Oracle {
    pub(crate) fn expect_shares(&mut self, publisher: Uid, body: &Body, name: &str) {
        let mut members: BTreeMap<GroupName, Vec<SubscriptionIndex>> = BTreeMap::new();
        for uid in self.alive.iter().copied() {
            for index in self.matching(uid, name, |found| found.group.is_some() && !found.responder) {
                let subscription = &self.subscriptions[index];
                if subscription.no_echo && uid == publisher {
                    continue;
                }
                let group = subscription.group.clone().unwrap_or_default();
                members.entry((subscription.filter.clone(), group)).or_default().push(index);
            }
        }
        for (group, members) in members {
            let of = |index: &SubscriptionIndex| &self.subscriptions[*index];
            let is_clear = |index: &_| self.connections[of(index).connection as usize].is_clear;
            let is_sure =
                members.iter().any(is_clear) && members.iter().all(|index| of(index).policy != Policy::DropOldest);
            let in_turn = members.len() > 1 && members.iter().all(|index| is_clear(index) && !of(index).no_echo);
            let changes = self.groups.changes;
            let share = self.groups.shares.entry(group).or_default();
            share.count += 1;
            let expected = ExpectedShare { members, is_sure, number: share.count, in_turn, changes };
            share.expected.insert((body.author, body.serial), expected);
        }
    }

    pub(crate) fn observe_share(&mut self, uid: Uid, message: &MessageGroup<'_>) {
        let number = message.subscription;
        let Some(index) = self.connection(uid).standing.get(&number).copied() else {
            panic!("connection {uid}: a message for its group subscription {number}, which does not stand");
        };
        let identity = Body::identity(message.payload);
        let topic = self.check_message(uid, identity, message.headers, message.payload);
        assert_eq!(message.topic, self.topics[topic as usize].as_bytes(), "connection {uid}: the topic's name");
        let group = self.group_of(index);
        let share = self.groups.shares.get_mut(&group).and_then(|share| share.expected.remove(&identity));
        let Some(share) = share else {
            panic!("connection {uid}: {identity:?} came to group {group:?} twice, or never should have");
        };
        assert!(share.members.contains(&index), "connection {uid}: subscription {number} may not get {identity:?}");
        let last = self.connection(uid).shares.entry((index, identity.0, topic)).or_default();
        assert!(*last < identity.1, "connection {uid}: {identity:?} came behind {last} in group {group:?}");
        *last = identity.1;
        self.totals.group_delivered += 1;
        let ExpectedShare { number, in_turn, changes, .. } = share;
        self.check_turn(&group, number, Picked { member: index, in_turn, changes });
    }

    /// Members are picked in turn: of two messages that follow each other, the same one gets both only if something
    /// came between.
    fn check_turn(&mut self, group: &GroupName, number: u64, picked: Picked) {
        let share = self.groups.shares.entry(group.clone()).or_default();
        for neighbour in [number - 1, number + 1] {
            let is_same = picked.in_turn && share.picked.get(&neighbour) == Some(&picked);
            assert!(!is_same, "group {group:?}: a member got messages {number} and {neighbour}, and others were ready");
        }
        share.picked.insert(number, picked);
    }

    pub(crate) fn observe_group_gap(&mut self, index: SubscriptionIndex, dropped: u64) {
        let group = self.group_of(index);
        self.groups.shares.entry(group).or_default().dropped += dropped;
    }

    /// Whether what is missing from every group is what its members were told, but for what members took with them.
    pub(crate) fn settle_groups(&mut self) {
        for (group, share) in std::mem::take(&mut self.groups.shares) {
            let missing = share.expected.len() as u64;
            let is_taken = |share: &&ExpectedShare| {
                let mut members = share.members.iter().map(|index| self.subscriptions[*index].connection);
                members.any(|uid| self.connections[uid as usize].is_lost)
            };
            let taken = share.expected.values().filter(is_taken).count() as u64;
            let told = share.dropped;
            assert!(told <= missing, "group {group:?}: told of {told} dropped, but {missing} are missing");
            assert!(missing - taken <= told, "group {group:?}: {missing} are missing, {taken} excused, {told} told");
            let sure = share.expected.values().find(|share| share.is_sure && !is_taken(share));
            assert!(sure.is_none(), "group {group:?}: a message is missing though a member's queue was empty");
        }
    }

    fn group_of(&self, index: SubscriptionIndex) -> GroupName {
        let subscription = &self.subscriptions[index];
        let name = subscription.group.clone().expect("only group subscriptions get group messages");
        (subscription.filter.clone(), name)
    }
}

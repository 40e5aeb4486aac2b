//! Groups: each message to exactly one member, and nobody says to which.
//!
//! With several nodes a group lives on one of them, and nobody says on which either. What a message meets there is what
//! stands when it comes, so what is asked of it is less, and this:
//!
//! - It is promised once some member was told SUBSCRIBED before it was published, as long as members follow each other
//!   without a break until it comes. Then it goes to somebody, or is told as dropped, or was lost with a member.
//! - Else it may come, but still to one member only.
//! - A member gets its share of a topic in order, but for messages that came back from another member.
//!
//! Whose turn it is, and who has room, is then not known at the moment of publishing: fairness, and that nothing is
//! dropped while some member is idle, are only asked of one node.

use crate::interest::{Message, Subscription};
use crate::oracle::{Oracle, SubscriptionIndex};
use crate::said::{Body, Uid};
use fanwire_wire::frame::{MessageGroup, Policy};
use std::collections::{BTreeMap, BTreeSet};

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
    /// What was published when there was nobody to expect it for, and may come to who joined while it was under way;
    /// and whether it came.
    late: BTreeMap<(Uid, u32), bool>,
    /// Everybody who was a member since the last rest.
    members: Vec<SubscriptionIndex>,
    /// How many stand, and since when that was never none.
    standing: u64,
    unbroken_since: u64,
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
    /// The moment of the publication, and picks that had come back until then.
    published: u64,
    returned: u64,
    publisher: Uid,
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
            let in_turn = !self.is_spread()
                && members.len() > 1
                && members.iter().all(|index| is_clear(index) && !of(index).no_echo);
            let changes = self.groups.changes;
            let (published, returned) = (self.moment, self.returned);
            let share = self.groups.shares.entry(group).or_default();
            share.count += 1;
            let number = share.count;
            let expected = ExpectedShare { members, is_sure, number, in_turn, changes, published, returned, publisher };
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
        let last = self.connections[uid as usize].shares.get(&(index, identity.0, topic)).copied().unwrap_or_default();
        let is_in_order = last < identity.1;
        match share {
            Some(share) => {
                let may_get = self.may_get(index, &share);
                assert!(may_get, "connection {uid}: subscription {number} may not get {identity:?}");
                let is_fine = is_in_order || (self.is_spread() && self.returned > share.returned);
                assert!(is_fine, "connection {uid}: {identity:?} came behind {last} in group {group:?}");
                let ExpectedShare { number, in_turn, changes, .. } = share;
                self.check_turn(&group, number, Picked { member: index, in_turn, changes });
            }
            None => {
                let late = self.groups.shares.get_mut(&group).and_then(|share| share.late.insert(identity, true));
                assert!(
                    late == Some(false),
                    "connection {uid}: {identity:?} came to group {group:?} twice, or never should have"
                );
                self.totals.optional += 1;
            }
        }
        self.connection(uid).shares.insert((index, identity.0, topic), last.max(identity.1));
        self.totals.group_delivered += 1;
    }

    /// On one node, who was a member when it was published; on several, who was one at any time since.
    fn may_get(&self, index: SubscriptionIndex, share: &ExpectedShare) -> bool {
        let member = &self.subscriptions[index];
        let is_own = member.no_echo && member.connection == share.publisher;
        let is_there = member.ended.is_none_or(|ended| ended > share.published);
        share.members.contains(&index) || (self.is_spread() && !is_own && is_there)
    }

    /// A subscription in a group was taken in. What is under way may come to it.
    pub(crate) fn note_member(&mut self, index: SubscriptionIndex) {
        let Subscription { responder, ref filter, .. } = self.subscriptions[index];
        if responder || !self.is_spread() {
            return;
        }
        let filter = filter.clone();
        let group = self.group_of(index);
        let mut share = std::mem::take(self.groups.shares.entry(group.clone()).or_default());
        // What came for members who were gone already may still be on its way back from where they were.
        let may_come_back = !share.members.is_empty();
        let under_way: BTreeSet<_> = self.transit.messages().collect();
        for (identity, Message { topic, published, .. }) in &self.messages {
            let (identity, topic, published) = (*identity, *topic, *published);
            let is_under_way = may_come_back && published > self.rested_at || under_way.contains(&identity);
            if !is_under_way {
                continue;
            }
            let is_expected = share.members.iter().any(|index| {
                let Subscription { connection, no_echo, since, ended, .. } = self.subscriptions[*index];
                let is_own = no_echo && connection == identity.0;
                !is_own && since < published && ended.is_none_or(|ended| ended > published)
            });
            if !is_expected && crate::grammar::matches(&filter, &self.topics[topic as usize]) {
                share.late.entry(identity).or_insert(false);
            }
        }
        share.members.push(index);
        self.groups.shares.insert(group, share);
    }

    /// The group has taken it in: SUBSCRIBED was told.
    pub(crate) fn note_standing(&mut self, uid: Uid) {
        if self.connections[uid as usize].end.is_some() {
            return;
        }
        for index in self.connections[uid as usize].subscriptions.values().copied().collect::<Vec<_>>() {
            if self.subscriptions[index].stands_since.is_none() {
                self.subscriptions[index].stands_since = Some(self.moment);
                if !self.subscriptions[index].responder {
                    let moment = self.moment;
                    let group = self.group_of(index);
                    let share = self.groups.shares.entry(group).or_default();
                    if share.standing == 0 {
                        share.unbroken_since = moment;
                    }
                    share.standing += 1;
                }
            }
        }
    }

    /// A subscription is over for its node.
    pub(crate) fn note_over(&mut self, index: SubscriptionIndex) {
        let moment = self.moment;
        let subscription = &mut self.subscriptions[index];
        subscription.ended = Some(moment);
        let is_member = subscription.group.is_some() && !subscription.responder;
        if is_member && subscription.stands_since.is_some() {
            let group = self.group_of(index);
            self.groups.shares.entry(group).or_default().standing -= 1;
        }
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
        let mut shares = std::mem::take(&mut self.groups.shares);
        for (group, share) in &mut shares {
            if self.is_spread() {
                self.settle_spread(group, share);
            } else {
                self.settle_share(group, share);
            }
            let Share { standing, unbroken_since, ref members, .. } = *share;
            let members = members.iter().copied().filter(|index| self.subscriptions[*index].ended.is_none()).collect();
            *share = Share { standing, unbroken_since, members, ..Share::default() };
        }
        self.groups.shares = shares;
    }

    fn settle_share(&self, group: &GroupName, share: &Share) {
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

    /// What is missing without an excuse was told. What may have come, too, may also have been dropped.
    fn settle_spread(&self, group: &GroupName, share: &Share) {
        let is_owed = |(_, expected): &(&(Uid, u32), &ExpectedShare)| self.is_owed(share, expected);
        let owed: Vec<_> = share.expected.iter().filter(is_owed).map(|(identity, _)| identity).collect();
        let late = share.late.values().filter(|came| !**came).count();
        let (told, missing) = (share.dropped, (share.expected.len() + late) as u64);
        assert!(told <= missing, "group {group:?}: told of {told} dropped, but at most {missing} are missing");
        assert!(owed.len() as u64 <= told, "group {group:?}: {owed:?} are missing, but {told} told");
    }

    /// Whether a message that did not come should have: members followed each other without a break, and nobody who
    /// may have been handed it was lost.
    fn is_owed(&self, share: &Share, expected: &ExpectedShare) -> bool {
        let published = expected.published;
        let of = |index: &SubscriptionIndex| &self.subscriptions[*index];
        let stood = |index: &&SubscriptionIndex| of(index).stands_since.is_some_and(|since| since < published);
        let mut stood_then = expected.members.iter().filter(stood).peekable();
        let is_promised = stood_then.peek().is_some();
        let is_one_still_there = stood_then.any(|index| of(index).ended.is_none());
        let may_have_been = |index: &&SubscriptionIndex| of(index).ended.is_none_or(|ended| ended > published);
        let mut perhaps = share.members.iter().filter(may_have_been);
        let has_barred =
            share.members.iter().any(|index| of(index).no_echo && of(index).connection == expected.publisher);
        let is_unbroken = share.standing > 0 && share.unbroken_since < published && !has_barred;
        let is_lost = perhaps.any(|index| self.connections[of(index).connection as usize].is_lost);
        is_promised && (is_one_still_there || is_unbroken) && !is_lost
    }

    /// Groups that had members since the last rest.
    pub(crate) fn group_count(&self) -> u64 {
        self.groups.shares.values().filter(|share| !share.members.is_empty()).count() as u64
    }

    fn group_of(&self, index: SubscriptionIndex) -> GroupName {
        let subscription = &self.subscriptions[index];
        let name = subscription.group.clone().expect("only group subscriptions get group messages");
        (subscription.filter.clone(), name)
    }
}

//! What a connection gets, frame by frame, held against what it should get.

use crate::accounts::AccountId;
use crate::grammar;
use crate::interest::{Expected, Subscription};
use crate::link::Written;
use crate::oracle::{Oracle, SubscriptionIndex, TopicIndex};
use crate::said::{Body, Uid};
use fanwire_core::Time;
use fanwire_wire::frame::{Frame, Gap, Outcome, Policy, Subscribed, Unsubscribed};
use std::time::Duration;

impl Oracle {
    /// A frame has reached its client; `written` tells when the broker sent its last byte.
    pub(crate) fn observe(&mut self, uid: Uid, frame: &Frame<'_>, written: Written) {
        let connection = self.connection(uid);
        assert!(connection.last_word.is_none(), "connection {uid}: {frame:?} behind the last word");
        match frame {
            Frame::Welcome(welcome) => self.observe_welcome(uid, welcome),
            Frame::Pong(pong) => self.observe_pong(uid, pong.time),
            Frame::Error(refusal) => self.observe_error(uid, refusal),
            Frame::Ack(ack) => self.observe_ack(uid, ack),
            Frame::Subscribed(told) => self.observe_subscribed(uid, told),
            Frame::Unsubscribed(told) => self.observe_unsubscribed(uid, told),
            Frame::Gap(gap) => self.observe_gap(uid, gap),
            Frame::Message(message) => {
                let topic = self.topic_of_id(uid, message.topic_id);
                self.observe_delivery(uid, topic, true, message.headers, message.payload, written);
            }
            Frame::MessageNamed(message) => {
                let name = std::str::from_utf8(message.topic).expect("names are text");
                let topic = self.topic_index(name);
                self.observe_delivery(uid, topic, false, message.headers, message.payload, written);
            }
            Frame::MessageGroup(message) => self.observe_share(uid, message),
            Frame::Call(call) => self.observe_call(uid, call),
            Frame::Response(response) => self.observe_response(uid, response),
            frame => assert!(Oracle::is_unasked(frame), "connection {uid}: {frame:?} is nothing to send in version 1"),
        }
    }

    fn observe_subscribed(&mut self, uid: Uid, told: &Subscribed) {
        let Subscribed { subscription: number, topic_id, outcome, epoch } = *told;
        assert_eq!((outcome, epoch), (Outcome::Live, 0), "connection {uid}: no journal, no history");
        let index = self.take_subscription_promise(uid, number, false);
        let Subscription { filter, group, .. } = &self.subscriptions[index];
        let wants_id = grammar::is_exact(filter) && group.is_none();
        assert_eq!(topic_id != 0, wants_id, "connection {uid}: a topic id goes with an exact filter outside groups");
        let filter = filter.clone();
        for other in self.connections[uid as usize].standing.values() {
            let other = &self.subscriptions[*other];
            if topic_id != 0 && other.topic_id != 0 {
                let is_same_topic = other.filter == filter;
                assert_eq!(other.topic_id == topic_id, is_same_topic, "connection {uid}: one id for one topic");
            }
        }
        self.subscriptions[index].topic_id = topic_id;
        let old = self.connection(uid).standing.insert(number, index);
        assert!(old.is_none(), "connection {uid}: subscription {number} stood already");
    }

    fn observe_unsubscribed(&mut self, uid: Uid, told: &Unsubscribed) {
        assert_eq!(told.code, 0, "connection {uid}: the broker ends no subscription in version 1");
        let index = self.take_subscription_promise(uid, told.subscription, true);
        let standing = self.connection(uid).standing.remove(&told.subscription);
        assert_eq!(standing, Some(index), "connection {uid}: SUBSCRIBED comes first");
        self.close_account(uid, index);
    }

    /// The subscription of this number that waits to be told to stand, or to be over, the longest.
    fn take_subscription_promise(&mut self, uid: Uid, number: u32, is_end: bool) -> SubscriptionIndex {
        use crate::answers::Promise;
        let promises = &self.connections[uid as usize].promises;
        let mut promised = promises.iter().filter_map(|promise| match promise {
            Promise::Subscribed { subscription } if !is_end => Some(*subscription),
            Promise::Unsubscribed { subscription } if is_end => Some(*subscription),
            _ => None,
        });
        let found = promised.find(|index| self.subscriptions[*index].number == number);
        let Some(index) = found else {
            panic!("connection {uid}: told of subscription {number} (over: {is_end}), waits for {promises:?}");
        };
        self.take_promise(uid, "its subscription", |promise| match promise {
            Promise::Subscribed { subscription } => !is_end && *subscription == index,
            Promise::Unsubscribed { subscription } => is_end && *subscription == index,
            _ => false,
        });
        index
    }

    fn observe_gap(&mut self, uid: Uid, gap: &Gap) {
        let Gap { subscription: number, dropped, conflated } = *gap;
        let Some(index) = self.connection(uid).standing.get(&number).copied() else {
            panic!("connection {uid}: GAP of subscription {number}, which does not stand");
        };
        let Subscription { policy, account, max_rate_hz, .. } = self.subscriptions[index];
        let is_member = self.subscriptions[index].group.is_some();
        let connection = &self.connections[uid as usize];
        assert!(dropped + conflated > 0, "connection {uid}: a GAP of nothing");
        assert!(policy != Policy::Disconnect, "connection {uid}: a GAP where the policy is disconnect");
        assert!(conflated == 0 || policy == Policy::Conflate, "connection {uid}: only `conflate` conflates");
        // What is paced waits inside of the broker, however fast the client reads.
        let is_allowed = dropped == 0 || connection.was_loaded || max_rate_hz > 0;
        assert!(is_allowed, "connection {uid}: {dropped} dropped from a queue that was always empty");
        self.totals.dropped += dropped;
        self.totals.conflated += conflated;
        if is_member {
            return self.observe_group_gap(index, dropped);
        }
        let account = self.accounts.get_mut(account);
        account.dropped += dropped;
        account.conflated += conflated;
        let (told, expected) = (account.told(), account.expected);
        assert!(told <= expected, "connection {uid}: subscription {number} accounts for {told} of {expected} messages");
    }

    fn topic_of_id(&mut self, uid: Uid, topic_id: u32) -> TopicIndex {
        let connection = &self.connections[uid as usize];
        let mut standing = connection.standing.values().map(|index| &self.subscriptions[*index]);
        let Some(found) = standing.find(|subscription| subscription.topic_id == topic_id) else {
            panic!("connection {uid}: a message by topic id {topic_id}, which means nothing to it");
        };
        let filter = found.filter.clone();
        self.topic_index(&filter)
    }

    fn observe_delivery(
        &mut self,
        uid: Uid,
        topic: TopicIndex,
        by_id: bool,
        headers: &[u8],
        payload: &[u8],
        written: Written,
    ) {
        let identity = Body::identity(payload);
        let published_to = self.check_message(uid, identity, headers, payload);
        assert_eq!(topic, published_to, "connection {uid}: {identity:?} came under a wrong topic");
        let (author, serial) = identity;
        let key = (author, topic);
        let place = self.connections[uid as usize].lanes.get(&key).and_then(|lane| {
            let place = lane.expected.iter().position(|expected| expected.serial == serial);
            place.or_else(|| panic!("connection {uid}: {identity:?} came behind {} or not for it", lane.last))
        });
        let Some(place) = place else { panic!("connection {uid}: {identity:?} is not for it") };
        for _ in 0..place {
            let lane = self.connection(uid).lanes.get_mut(&key);
            let skipped = lane.and_then(|lane| lane.expected.pop_front()).expect("it stands before the one that came");
            self.note_skipped(uid, author, skipped);
        }
        let lane = self.connection(uid).lanes.get_mut(&key).expect("it was found above");
        let expected = lane.expected.pop_front().expect("it was found above");
        lane.last = serial;
        self.check_standing(uid, &expected);
        let is_addressed = by_id == expected.by_id || expected.is_vague;
        assert!(is_addressed, "connection {uid}: {identity:?} comes by id iff an exact filter matches");
        self.totals.delivered += 1;
        let account = self.accounts.get_mut(expected.account);
        account.delivered += 1;
        account.optional -= u64::from(expected.is_optional);
        let (told, all) = (account.told(), account.expected);
        assert!(told <= all, "connection {uid}: {told} accounted for of {all} messages");
        self.check_rate(uid, topic, &expected, written);
    }

    /// A delivery stands between SUBSCRIBED and UNSUBSCRIBED of a subscription that governs it.
    fn check_standing(&self, uid: Uid, expected: &Expected) {
        let account = self.accounts.root(expected.account);
        let mut standing = self.connections[uid as usize].standing.values();
        let is_standing = standing.any(|index| self.account_of(*index) == account);
        assert!(is_standing, "connection {uid}: {} came outside of its subscription", expected.serial);
    }

    /// An older message will not come any more: its GAP has to have come before.
    fn note_skipped(&mut self, uid: Uid, author: Uid, skipped: Expected) {
        let Expected { serial, account, policy, is_sure, is_optional, is_vague, .. } = skipped;
        if is_optional {
            return;
        }
        let policy = if is_vague { Policy::DropOldest } else { policy };
        assert!(policy != Policy::Disconnect, "connection {uid}: {author}'s {serial} is missing without an end");
        assert!(!is_sure, "connection {uid}: {author}'s {serial} is missing, but nothing waited before it");
        let account = self.accounts.get_mut(account);
        account.skipped += 1;
        let (skipped, told) = (account.skipped, account.dropped + account.conflated);
        assert!(
            skipped <= told,
            "connection {uid}: {skipped} are missing before {author}'s {serial}, GAPs tell {told}"
        );
    }

    /// A bounded rate is never passed. While the client does not keep up, one value may have waited in front of the
    /// next, so only the time between two writes to a ready socket is looked at; and what is held when the client's
    /// subscriptions change is sent at once.
    fn check_rate(&mut self, uid: Uid, topic: TopicIndex, expected: &Expected, written: Written) {
        if expected.max_rate_hz == 0 || expected.is_vague {
            self.connection(uid).paced.remove(&topic);
            return;
        }
        let root = self.accounts.root(expected.account);
        let changed_at = self.connections[uid as usize].changed_at;
        let interval = Duration::from_micros(1_000_000 / u64::from(expected.max_rate_hz));
        let last = self.connection(uid).paced.insert(topic, (root, written));
        if let Some((account, last)) = last
            && account == root
            && changed_at < last.at
            && written.blocked_at.is_none_or(|blocked_at: Time| blocked_at < last.at)
        {
            let passed = written.at.since(last.at);
            assert!(
                passed >= interval,
                "connection {uid}: two values within {passed:?}, allowed is one a {interval:?}"
            );
        }
    }

    fn account_of(&self, index: SubscriptionIndex) -> AccountId {
        self.accounts.root(self.subscriptions[index].account)
    }

    /// Whether the bytes are those that were published; returns the topic they were published to.
    pub(crate) fn check_message(&self, uid: Uid, identity: (Uid, u32), headers: &[u8], payload: &[u8]) -> TopicIndex {
        let Some(message) = self.messages.get(&identity) else {
            panic!("connection {uid}: {identity:?} was never routed");
        };
        assert!(headers == message.body.headers(), "connection {uid}: {identity:?} came with other headers");
        assert!(payload == message.body.payload(), "connection {uid}: {identity:?} came with another payload");
        message.topic
    }
}

//! Rest: when nothing moves any more, nothing may be left to tell, and every account has to come out even.

use crate::interest::Newest;
use crate::oracle::{End, Oracle, SubscriptionIndex};
use crate::said::Uid;
use fanwire_wire::frame::Policy;

impl Oracle {
    /// Everything that was queued has been read: whoever is still there has got all that it is ever going to get.
    pub(crate) fn settle(&mut self) {
        assert!(self.transit.is_empty(), "what was posted has been read");
        for uid in 0..self.connections.len() as Uid {
            if self.connections[uid as usize].end.is_none() {
                self.settle_answers(uid);
                self.settle_requests(uid);
                self.settle_subscriptions(uid);
                self.settle_newest(uid);
            }
        }
        self.settle_groups();
        self.settle_calls();
        self.rested_at = self.moment;
    }

    /// A client has read to the end of its connection.
    pub(crate) fn observe_end(&mut self, uid: Uid) {
        let connection = &self.connections[uid as usize];
        let end = connection.end.expect("the broker ends a connection before its client sees it");
        match end {
            End::Closed(code) if !connection.is_silenced => {
                assert_eq!(connection.last_word, Some(code), "connection {uid}: the last word is why it was closed");
            }
            End::Left => assert_eq!(connection.last_word, None, "connection {uid}: it said goodbye itself"),
            _ => {}
        }
        if !connection.is_lost {
            self.settle_answers(uid);
            self.settle_subscriptions(uid);
        }
    }

    /// UNSUBSCRIBED was told: nothing of the subscription follows, so it has to be even now.
    pub(crate) fn close_account(&mut self, uid: Uid, index: SubscriptionIndex) {
        let account = self.accounts.get_mut(self.subscriptions[index].account);
        account.open -= 1;
        if account.open == 0 {
            self.check_even(uid, index);
        }
    }

    fn settle_answers(&self, uid: Uid) {
        let connection = &self.connections[uid as usize];
        assert!(connection.promises.is_empty(), "connection {uid}: never told {:?}", connection.promises);
        assert!(connection.answers.is_empty(), "connection {uid}: never answered {:?}", connection.answers);
    }

    fn settle_requests(&self, uid: Uid) {
        let asked = self.connections[uid as usize].asked.values().flatten().copied();
        let open: Vec<String> = asked.map(|index| self.describe_request(index)).collect();
        assert!(open.is_empty(), "connection {uid}: requests without a response: {open:?}");
    }

    fn settle_subscriptions(&self, uid: Uid) {
        let connection = &self.connections[uid as usize];
        for index in connection.subscriptions.values() {
            // What is conflated is not queued: who leaves does not get it.
            let account = self.accounts.get(self.subscriptions[*index].account);
            if connection.end.is_none() || !account.conflates {
                self.check_even(uid, *index);
            }
        }
    }

    fn check_even(&self, uid: Uid, index: SubscriptionIndex) {
        let subscription = &self.subscriptions[index];
        let account = self.accounts.get(subscription.account);
        assert!(
            account.is_even(),
            "connection {uid}: subscription {} to {:?} ({:?}) does not come out even: {account:?}, waits for {:?}",
            subscription.number,
            subscription.filter,
            subscription.policy,
            self.first_missing(uid),
        );
    }

    /// A few of the messages that a connection has not got.
    fn first_missing(&self, uid: Uid) -> Vec<(Uid, u32)> {
        let lanes = &self.connections[uid as usize].lanes;
        let missing =
            lanes.iter().flat_map(|((author, _), lane)| lane.expected.iter().map(|each| (*author, each.serial)));
        missing.take(8).collect()
    }

    /// `conflate` delivers the newest message of every topic in the end.
    fn settle_newest(&self, uid: Uid) {
        let connection = &self.connections[uid as usize];
        for (topic, newest) in &connection.newest {
            let Newest { author, expected, is_certain } = newest;
            let account = self.accounts.get(expected.account);
            if expected.policy == Policy::Conflate && account.dropped == 0 && *is_certain {
                let last = connection.lanes[&(*author, *topic)].last;
                let name = &self.topics[*topic as usize];
                assert_eq!(last, expected.serial, "connection {uid}: the newest of {name:?} did not come in the end");
            }
        }
    }
}

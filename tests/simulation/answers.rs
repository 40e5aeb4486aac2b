//! Answers: everything that has to be told exactly once, and is not told of its own accord.

use crate::oracle::{Oracle, SubscriptionIndex};
use crate::said::Uid;
use fanwire_wire::Code;
use fanwire_wire::frame::{Ack, AckLevel, Frame, Policy, Refusal, Scope, Welcome};

/// Something that a connection has yet to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Promise {
    Welcome { keep_alive_ms: u32 },
    Subscribed { subscription: SubscriptionIndex },
    Unsubscribed { subscription: SubscriptionIndex },
    Refused { scope: Scope, codes: Vec<Code>, reference: u64 },
    Pong { time: u64 },
}

impl Oracle {
    pub(crate) fn refuse(&mut self, uid: Uid, scope: Scope, codes: &[Code], reference: u64) {
        self.totals.refused += 1;
        self.connection(uid).promises.push_back(Promise::Refused { scope, codes: codes.to_vec(), reference });
    }

    /// A publish was taken in; `verdict` says which message it is, or why it is refused.
    pub(crate) fn expect_answer(&mut self, uid: Uid, ack: AckLevel, verdict: Result<(Uid, u32), Vec<Code>>) {
        if ack != AckLevel::None {
            let connection = self.connection(uid);
            connection.publish_number += 1;
            let number = connection.publish_number;
            self.totals.refused += u64::from(verdict.is_err());
            self.connection(uid).answers.insert(number, verdict);
        } else if let Err(codes) = verdict {
            self.refuse(uid, Scope::UnackedPublish, &codes, 0);
        }
    }

    pub(crate) fn observe_ack(&mut self, uid: Uid, ack: &Ack) {
        assert_eq!((ack.level, ack.first_sequence), (AckLevel::Routed, 0), "connection {uid}: no journal, no sequence");
        for number in ack.first..ack.first + u64::from(ack.count) {
            let answer = self.connection(uid).answers.remove(&number);
            let Some(Ok(message)) = answer else {
                panic!("connection {uid}: publish {number} is acknowledged, expected was {answer:?}");
            };
            self.check_placed(uid, message);
        }
    }

    /// `routed` says that the message is in the queue of every subscriber: the publisher's own, too, unless its policy
    /// lets something be lost or late.
    fn check_placed(&mut self, uid: Uid, (author, serial): (Uid, u32)) {
        let topic = self.messages[&(author, serial)].topic;
        let waiting = self.connections[uid as usize].lanes.get(&(author, topic));
        let still_expected = waiting.and_then(|lane| lane.expected.iter().find(|expected| expected.serial == serial));
        let is_certain = still_expected.is_some_and(|expected| expected.policy == Policy::Disconnect);
        let is_missing = is_certain && !self.connections[uid as usize].is_lost;
        assert!(!is_missing, "connection {uid}: told that its own {serial} is routed before it got it");
    }

    pub(crate) fn observe_error(&mut self, uid: Uid, refusal: &Refusal<'_>) {
        let code = Code::from_number(refusal.code).expect("the broker tells codes of the registry");
        assert_eq!(refusal.retry(), code.retry(), "connection {uid}: {code} has one retry class");
        let connection = self.connection(uid);
        match refusal.scope {
            Scope::Connection => {
                assert!(code.number() < 100, "connection {uid}: {code} ends no connection");
                connection.last_word = Some(code);
            }
            Scope::Publish => {
                let answer = connection.answers.remove(&refusal.reference);
                let is_right = matches!(&answer, Some(Err(codes)) if codes.contains(&code));
                assert!(is_right, "connection {uid}: publish {} got {code}, not {answer:?}", refusal.reference);
            }
            scope => self.take_promise(uid, &format!("{scope:?} {code} {}", refusal.reference), |promise| {
                matches!(promise, Promise::Refused { scope: known, codes, reference }
                    if *known == scope && codes.contains(&code) && *reference == refusal.reference)
            }),
        }
    }

    pub(crate) fn observe_welcome(&mut self, uid: Uid, welcome: &Welcome<'_>) {
        assert_eq!(welcome.limits, self.limits);
        assert_eq!((welcome.version, welcome.connection_id), (1, u64::from(uid)));
        let keep_alive_ms = welcome.keep_alive_ms;
        self.take_promise(uid, "WELCOME", |promise| *promise == Promise::Welcome { keep_alive_ms });
    }

    pub(crate) fn observe_pong(&mut self, uid: Uid, time: u64) {
        self.take_promise(uid, "PONG", |promise| *promise == Promise::Pong { time });
    }

    /// Takes a promise that has been kept off the list: all are kept in the order in which they were made, which is
    /// that of the commands.
    pub(crate) fn take_promise(&mut self, uid: Uid, told: &str, is_kept: impl Fn(&Promise) -> bool) {
        let is_lost = self.connections[uid as usize].is_lost;
        let promises = &mut self.connection(uid).promises;
        let found = promises.iter().position(is_kept);
        let Some(index) = found else {
            panic!("connection {uid}: was told {told}, but what it waits for is {promises:?}");
        };
        // Of a queue that was thrown away, what had begun to be sent is left.
        assert!(index == 0 || is_lost, "connection {uid}: was told {told} before {:?}", promises.front());
        promises.remove(index);
    }

    /// Everything of which the broker may tell at any time; that it may is checked where it acts.
    pub(crate) fn is_unasked(frame: &Frame<'_>) -> bool {
        matches!(frame, Frame::Ping(_) | Frame::Goaway(_))
    }
}

//! One of a hundred subscribers stops reading, under each overflow policy. The others get everything in order, the
//! broker stays within its bounds, and the slow one, once it reads again, finds every message delivered or counted
//! where it is missing.

use super::broker::Broker;
use super::memory::NARROW;
use super::peer::{HELLO, Peer, Witness, publish, subscribe};
use fanwire_wire::frame::{AckLevel, Frame, Ping, Policy, Subscribe};
use std::ops::Range;

/// Subscribers that go on reading.
const OTHERS: usize = 99;
/// To the whole room: enough to overflow everything.
const FIRST: Flood = Flood { waves: 75, wave: 20, payload_bytes: 1_024 };
/// To the slow one and one other: far more than the broker may keep.
const SECOND: Flood = Flood { waves: 2_000, wave: 2, payload_bytes: 8_000 };
const PUBLISHED: u64 = FIRST.messages() + SECOND.messages();
/// One queue, and what the allocator and the pools keep.
const GROWTH_BYTES_MAX: u64 = 8 << 20;

struct Flood {
    waves: u32,
    /// Messages that are published before the others read them: less than any buffer on the way holds.
    wave: u32,
    payload_bytes: usize,
}

impl Flood {
    const fn messages(&self) -> u64 {
        self.waves as u64 * self.wave as u64
    }
}

struct Room {
    broker: Broker,
    publisher: Peer,
    others: Vec<Peer>,
    slow: Peer,
    published: u32,
}

impl Room {
    fn new(wish: Subscribe<'_>, slow_wish: Subscribe<'_>) -> Room {
        let broker = Broker::start(NARROW);
        let mut slow = Peer::connect_narrow(broker.address()).greet(HELLO);
        slow.subscribe(slow_wish);
        let others = (0..OTHERS)
            .map(|_| {
                let mut peer = Peer::welcomed(broker.address());
                peer.subscribe(wish);
                peer
            })
            .collect();
        let publisher = Peer::welcomed(broker.address());
        Room { broker, publisher, others, slow, published: 0 }
    }

    /// Publishes numbered messages wave after wave; the others have to get every one.
    fn flood(&mut self, flood: &Flood) {
        let mut payload = vec![0; flood.payload_bytes];
        for _ in 0..flood.waves {
            let wave = self.published..self.published + flood.wave;
            for number in wave.clone() {
                payload[..4].copy_from_slice(&number.to_le_bytes());
                let ack = if number + 1 == wave.end { AckLevel::Routed } else { AckLevel::None };
                self.publisher.send(publish("room", ack, &payload));
            }
            assert!(matches!(self.publisher.frame(), Frame::Ack(_)));
            self.others.iter_mut().for_each(|peer| expect_wave(peer, wave.clone()));
            self.published = wave.end;
        }
    }

    /// Both floods, the second one with a single other subscriber left.
    fn overflow(&mut self) {
        let mut witness = Witness::of(&self.broker);
        let before = self.broker.resident_bytes();
        self.flood(&FIRST);
        witness.is_served();
        self.others.truncate(1);
        self.flood(&SECOND);
        witness.is_served();
        let after = self.broker.resident_bytes();
        assert!(after < before + GROWTH_BYTES_MAX, "{before} bytes became {after}");
    }

    /// The slow one reads again: everything is there or told to be missing, exactly where it is. Returns what was
    /// delivered, dropped and conflated.
    fn account(&mut self) -> (u64, u64, u64) {
        let (mut delivered, mut dropped, mut conflated) = (0, 0, 0);
        while delivered + dropped + conflated < PUBLISHED {
            match self.slow.frame() {
                Frame::Message(message) => {
                    assert_eq!(number_of(message.payload), delivered + dropped + conflated);
                    delivered += 1;
                }
                Frame::Gap(gap) => {
                    assert!(gap.subscription == 1 && gap.dropped + gap.conflated > 0, "{gap:?}");
                    dropped += gap.dropped;
                    conflated += gap.conflated;
                }
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(delivered + dropped + conflated, PUBLISHED);
        self.slow.expect_quiet();
        // It is served again like everybody else.
        self.publisher.send(publish("room", AckLevel::Routed, &u32::MAX.to_le_bytes()));
        assert!(matches!(self.slow.frame(), Frame::Message(message) if message.payload == u32::MAX.to_le_bytes()));
        (delivered, dropped, conflated)
    }
}

fn expect_wave(peer: &mut Peer, wave: Range<u32>) {
    for number in wave {
        match peer.frame() {
            Frame::Message(message) => assert_eq!(number_of(message.payload), u64::from(number)),
            other => panic!("{other:?} instead of message {number}"),
        }
    }
}

fn number_of(payload: &[u8]) -> u64 {
    let bytes = payload.first_chunk().expect("payloads begin with a number");
    u64::from(u32::from_le_bytes(*bytes))
}

/// Everybody has this policy.
fn room(policy: Policy) -> Room {
    let wish = Subscribe { policy, ..subscribe(1, "room") };
    Room::new(wish, wish)
}

#[test]
fn under_disconnect_the_slow_one_goes_with_its_reason_as_the_last_word() {
    let mut room = room(Policy::Disconnect);
    room.overflow();
    let address = room.slow.address();
    room.broker.wait_for_log(&[&format!("\"peer\":\"{address}\""), "SLOW_CONSUMER"]);
    assert!(room.slow.hear_until_cut_off(number_of) < PUBLISHED);
}

#[test]
fn under_drop_oldest_the_slow_one_gets_the_newest_and_a_count_of_the_rest() {
    let mut room = room(Policy::DropOldest);
    room.overflow();
    let (delivered, dropped, conflated) = room.account();
    assert!(delivered > 0 && dropped > 0 && conflated == 0, "{delivered} {dropped} {conflated}");
}

#[test]
fn under_drop_newest_the_slow_one_gets_the_oldest_and_a_count_of_the_rest() {
    let mut room = room(Policy::DropNewest);
    room.overflow();
    let (delivered, dropped, conflated) = room.account();
    assert!(delivered > 0 && dropped > 0 && conflated == 0, "{delivered} {dropped} {conflated}");
}

#[test]
fn under_conflate_the_slow_one_gets_the_newest_value() {
    let mut room = room(Policy::Conflate);
    room.overflow();
    let (delivered, dropped, conflated) = room.account();
    assert!(delivered > 0 && dropped == 0 && conflated > 0, "{delivered} {dropped} {conflated}");
}

#[test]
fn under_conflate_with_a_rate_the_slow_one_gets_the_newest_value() {
    let paced = Subscribe { policy: Policy::Conflate, max_rate_hz: 100, ..subscribe(1, "room") };
    let mut room = Room::new(subscribe(1, "room"), paced);
    room.overflow();
    let (delivered, dropped, conflated) = room.account();
    assert!(delivered > 0 && dropped == 0 && conflated > 0, "{delivered} {dropped} {conflated}");
}

#[test]
fn a_group_passes_over_a_member_that_does_not_read() {
    let broker = Broker::start(NARROW);
    let wish = Subscribe { group: b"workers", ..subscribe(1, "jobs") };
    let mut slow = Peer::connect_narrow(broker.address()).greet(HELLO);
    slow.subscribe(wish);
    let mut quick = Peer::welcomed(broker.address());
    quick.subscribe(wish);
    let mut publisher = Peer::welcomed(broker.address());
    let mut payload = vec![0; 4_000];
    let mut done = Vec::new();
    let take = |peer: &mut Peer, done: &mut Vec<u64>| loop {
        match peer.frame() {
            Frame::MessageGroup(message) => done.push(number_of(message.payload)),
            Frame::Pong(_) => return,
            other => panic!("{other:?}"),
        }
    };
    for number in 0..1_000_u32 {
        payload[..4].copy_from_slice(&number.to_le_bytes());
        publisher.send(publish("jobs", AckLevel::Routed, &payload));
        assert!(matches!(publisher.frame(), Frame::Ack(_)));
        quick.send(Ping { time: 0 });
        take(&mut quick, &mut done);
    }
    let of_quick = done.len();
    slow.send(Ping { time: 0 });
    take(&mut slow, &mut done);
    assert!(of_quick > done.len() - of_quick, "{of_quick} of {}", done.len());
    done.sort_unstable();
    assert!(done.into_iter().eq(0..1_000), "every job was given to one of them");
}

//! The drain of several reactors while publishers publish on all of them: whatever was acknowledged has reached every
//! subscriber before its connection ends, and one member of each group.

use super::broker::Broker;
use super::peer::{Peer, publish, subscribe};
use super::process::eventually;
use super::reactors::{Ear, Outgoing, REACTORS, broker_of_several, peers};
use fanwire_wire::frame::{AckLevel, Frame, Subscribe};
use rustix::process::Signal;
use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

/// Time to read everything that is owed, and room for it; little time for clients to leave.
const CONFIG: &str = "\
    [limits]\nlinger_time_max = \"1m\"\nqueue_bytes_max = \"64MiB\"\nqueue_bytes_total_max = \"4GiB\"\n\
    [drain]\ndeadline = \"50ms\"\n";
/// Messages that a publisher is ahead of its acks.
const WINDOW: u64 = 40;

/// Publishes until the broker ends the connection; returns how many were acknowledged.
fn publish_to_the_end(peer: &Peer, publisher: u64, all_acked: &AtomicU64) -> u64 {
    let (mut ear, mut outgoing) = (Ear::of(peer), Outgoing::default());
    let (mut published, mut acked) = (0, 0);
    loop {
        while published < acked + WINDOW {
            let payload = publisher << 32 | published;
            outgoing.add(publish("numbers/all", AckLevel::Routed, &payload.to_le_bytes()));
            published += 1;
        }
        outgoing.write_to(peer.stream());
        let before = acked;
        let is_there = ear.hear(|frame| match frame {
            Frame::Ack(ack) => acked += u64::from(ack.count),
            Frame::Goaway(_) => {}
            other => panic!("{other:?}"),
        });
        all_acked.fetch_add(acked - before, Ordering::Relaxed);
        if !is_there {
            return acked;
        }
    }
}

/// What one subscriber has got at the end.
#[derive(Default)]
struct Heard {
    /// Of each publisher: how many, without a gap.
    own: HashMap<u64, u64>,
    /// Of each group.
    shared: HashMap<u32, Vec<u64>>,
}

fn hear_to_the_end(peer: &Peer) -> Heard {
    let mut ear = Ear::of(peer);
    let mut heard = Heard::default();
    let mut take = |payload: &[u8]| {
        let number = u64::from_le_bytes(payload.try_into().expect("eight bytes"));
        let next = heard.own.entry(number >> 32).or_insert(0);
        assert_eq!(number & 0xffff_ffff, *next, "the messages of {}", number >> 32);
        *next += 1;
    };
    while ear.hear(|frame| match frame {
        Frame::Message(message) => take(message.payload),
        Frame::MessageNamed(message) => take(message.payload),
        Frame::MessageGroup(message) => {
            let number = u64::from_le_bytes(message.payload.try_into().expect("eight bytes"));
            heard.shared.entry(message.subscription).or_default().push(number);
        }
        Frame::Goaway(_) => {}
        other => panic!("{other:?}"),
    }) {}
    heard
}

/// Filters of groups, so that they live on several reactors.
const GROUPS: [&str; 4] = ["numbers/all", "numbers/+", "+/all", "#"];

fn subscribe_all(peer: &mut Peer, number: usize) {
    peer.subscribe(subscribe(0, ["numbers/all", "numbers/+", "#"][number % 3]));
    for (subscription, filter) in (1..).zip(GROUPS) {
        peer.subscribe(Subscribe { group: b"workers", ..subscribe(subscription, filter) });
    }
}

/// The signal comes after so many acks.
fn drain_amid(broker: Broker, acks: u64) {
    let mut subscribers = peers(&broker, 2 * REACTORS);
    subscribers.iter_mut().enumerate().for_each(|(number, peer)| subscribe_all(peer, number));
    let publishers = peers(&broker, REACTORS);
    let all_acked = AtomicU64::new(0);
    let (acked, heard) = std::thread::scope(|scope| {
        let hear = |peer| scope.spawn(move || hear_to_the_end(peer));
        let hearing: Vec<_> = subscribers.iter().map(hear).collect();
        let all_acked = &all_acked;
        let publish = |(number, peer)| scope.spawn(move || publish_to_the_end(peer, number, all_acked));
        let publishing: Vec<_> = (0..).zip(&publishers).map(publish).collect();
        eventually("acks", || (all_acked.load(Ordering::Relaxed) >= acks).then_some(()));
        broker.signal(Signal::TERM);
        let acked: Vec<u64> = publishing.into_iter().map(|thread| thread.join().expect("a clean end")).collect();
        (acked, hearing.into_iter().map(|thread| thread.join().expect("a clean end")).collect::<Vec<Heard>>())
    });
    for (publisher, acked) in (0..).zip(&acked) {
        for (number, heard) in heard.iter().enumerate() {
            let count = heard.own.get(&publisher).copied().unwrap_or(0);
            assert!(count >= *acked, "{acked} messages of {publisher} were acknowledged, {number} has heard {count}");
        }
    }
    for group in 1..=GROUPS.len() as u32 {
        expect_shares(group, &acked, &heard);
    }
    // Whoever holds a descriptor of theirs would keep the broker waiting.
    drop((subscribers, publishers));
    let ended = broker.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
}

/// Every message that was acknowledged came to exactly one member, and none to two.
fn expect_shares(group: u32, acked: &[u64], heard: &[Heard]) {
    let shares = heard.iter().filter_map(|heard| heard.shared.get(&group));
    let mut all = BTreeSet::new();
    for number in shares.flatten() {
        assert!(all.insert(*number), "message {number:x} came to two members of group {group}");
    }
    for (publisher, acked) in (0_u64..).zip(acked) {
        for number in 0..*acked {
            let is_there = all.contains(&(publisher << 32 | number));
            assert!(
                is_there,
                "message {number} of {publisher}, of {acked} acknowledged, is in no share of group {group}"
            );
        }
    }
}

#[test]
fn what_was_acknowledged_before_the_end_is_delivered() {
    for round in 0..5 {
        drain_amid(broker_of_several(CONFIG), 500 * round);
    }
}

//! Many topics in one journal: replaying a small one costs what it holds, not what lies around it.

use super::broker::Broker;
use super::journal_scene::{DataDirectory, configuration, history_of};
use super::peer::{Peer, publish};
use super::process::eventually;
use fanwire_wire::frame::{AckLevel, Frame, Outcome, Start};
use rustix::process::Signal;

const TOPICS: u32 = 20_000;
/// To each of the topics.
const ROUNDS: u32 = 5;
/// Of the small topic: one in each stretch of the others.
const SMALL: u32 = 20;
/// Published before the publisher waits.
const WAVE: u32 = 500;
/// What replaying the small topic may read, of seventeen megabytes: pages of each segment's index, and its records.
/// What the broker reads meanwhile to look after its segments counts, too.
const READ_BYTES_MAX: u64 = 4 << 20;

/// Publishes to all topics, round after round, and to the small one now and then.
fn publish_all(broker: &Broker) {
    let mut peer = Peer::welcomed(broker.address());
    let (mut unacked, every) = (0, TOPICS * ROUNDS / SMALL);
    for number in 0..TOPICS * ROUNDS {
        let topic = format!("match/{}/moves", number % TOPICS);
        unacked += 1;
        let ack = if unacked == WAVE { AckLevel::Routed } else { AckLevel::None };
        peer.send(publish(&topic, ack, &[7; 64]));
        if unacked == WAVE {
            unacked = 0;
            assert!(matches!(peer.frame(), Frame::Ack(_)));
        }
        if number % every == every / 2 {
            peer.send(publish("match/small", AckLevel::None, &(number / every).to_le_bytes()));
        }
    }
    peer.send(publish("match/0/moves", AckLevel::Durable, b"end"));
    assert!(matches!(peer.frame(), Frame::Ack(ack) if ack.first_sequence == u64::from(ROUNDS) + 1));
}

/// Files of the journal of this kind.
fn count(data: &DataDirectory, kind: &str) -> usize {
    let files = std::fs::read_dir(data.events()).expect("lists").flatten();
    files.filter(|entry| entry.path().extension().is_some_and(|is| is == kind)).count()
}

/// Replays the small topic; returns what the broker has read for it.
#[track_caller]
fn replay(broker: &Broker) -> u64 {
    let before = broker.bytes_read();
    let (kept, outcome, _) = history_of(broker.address(), Start::First, "match/small");
    let bytes_read = broker.bytes_read() - before;
    assert_eq!((kept.len() as u32, outcome), (SMALL, Outcome::History));
    for (number, kept) in (0_u32..).zip(&kept) {
        assert_eq!((kept.sequence, kept.payload.as_slice()), (u64::from(number) + 1, number.to_le_bytes().as_slice()));
    }
    bytes_read
}

#[test]
fn replaying_one_small_topic_of_twenty_thousand_reads_little() {
    let data = DataDirectory::new();
    let config = configuration(data.path(), "segment_bytes = \"1MiB\"");
    let broker = Broker::start(&config);
    publish_all(&broker);
    eventually("full segments to be sealed", || (count(&data, "index") + 1 == count(&data, "segment")).then_some(()));
    let (first, second) = (replay(&broker), replay(&broker));
    broker.signal(Signal::TERM);
    assert_eq!(broker.end().status.code(), Some(0));
    let broker = Broker::start(&config);
    let started = broker.bytes_read();
    let anew = replay(&broker);
    println!("one topic of {TOPICS}: {first} bytes read, then {second}, after a restart (which read {started}) {anew}");
    assert!([first, second, anew].iter().all(|bytes| *bytes < READ_BYTES_MAX), "{first}, {second}, {anew} bytes read");
    let (kept, _, _) = history_of(broker.address(), Start::Last { count: 2 }, "match/19999/moves");
    assert_eq!(kept.iter().map(|kept| kept.sequence).collect::<Vec<_>>(), [4, 5]);
}

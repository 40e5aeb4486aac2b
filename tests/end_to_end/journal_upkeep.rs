//! What is done for a journal while it is used: the next segments are made, whoever else is there, and told honestly if
//! they are not; records that have newer ones go.

use super::broker::Broker;
use super::journal_scene::{DataDirectory, Kept, SMALL_SEGMENTS, configuration, history_of};
use super::peer::{Peer, Witness, publish};
use super::process::{Process, eventually, fanwire};
use fanwire_wire::frame::{AckLevel, Frame, Outcome, Scope, Start};
use fanwire_wire::{ClientPreface, Code, Retry};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::path::Path;

/// Most of a frame.
const PAYLOAD: [u8; 7 * 1024] = [7; 7 * 1024];

/// Names of the journal's files of a kind.
fn count_of(events: &Path, kind: &str) -> usize {
    let files = std::fs::read_dir(events).expect("lists").flatten();
    files.filter(|file| file.path().extension().is_some_and(|extension| extension == kind)).count()
}

#[test]
fn a_broker_full_of_connections_still_begins_segment_after_segment() {
    const SEGMENTS: u64 = 64;
    let data = DataDirectory::new();
    let keys = format!("{SMALL_SEGMENTS}\nmax_bytes = \"{}KiB\"\nsync = \"demand\"", SEGMENTS * 80);
    let broker = Broker::start_with_open_files(300, &configuration(data.path(), &keys));
    let mut witness = Witness::of(&broker);
    let mut peer = Peer::welcomed(broker.address());
    let banner = broker.banner();
    let (_, bound) = banner.split_once("up to ").expect("the banner tells how many");
    let bound: usize = bound.split(';').next().and_then(|bound| bound.parse().ok()).expect("a number");
    let _crowd: Vec<Peer> = (2..bound).map(|_| Peer::welcomed(broker.address())).collect();
    let mut refused = Peer::connect(broker.address());
    refused.pour(&ClientPreface::OURS.encode());
    refused.expect_turned_away(Code::TooManyConnections);
    for number in 1..=SEGMENTS * 20 {
        peer.send(publish("match/1", AckLevel::Journaled, &PAYLOAD));
        match peer.frame() {
            Frame::Ack(ack) => assert_eq!(ack.first_sequence, number),
            other => panic!("publish {number} of a broker with {bound} connections: {other:?}"),
        }
    }
    assert!(!broker.log().contains("next segment"), "{}", broker.log());
    println!("{bound} connections, {} segments are left", count_of(&data.events(), "segment"));
    witness.is_served();
}

/// Publishes a record; the sequence, or what it was refused with.
#[track_caller]
fn publish_one(peer: &mut Peer) -> Result<u64, (Code, Retry)> {
    peer.send(publish("match/1", AckLevel::Durable, &[7; 1_000]));
    match peer.frame() {
        Frame::Ack(ack) => Ok(ack.first_sequence),
        Frame::Error(refusal) if refusal.scope == Scope::Publish => {
            Err((Code::from_number(refusal.code).expect("a known code"), refusal.retry()))
        }
        other => panic!("{other:?} to a publish"),
    }
}

#[test]
fn a_segment_that_may_not_be_made_ends_neither_broker_nor_journal_and_is_no_want_of_room() {
    let data = DataDirectory::new();
    let broker = Broker::start(&configuration(data.path(), SMALL_SEGMENTS));
    let mut peer = Peer::welcomed(broker.address());
    let mut acked = publish_one(&mut peer).expect("there is a segment");
    // What is there may still be written.
    broker.limit_file_bytes(Some(80 * 1024 - 1));
    let refused = loop {
        match publish_one(&mut peer) {
            Ok(sequence) => acked = sequence,
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, (Code::JournalUnavailable, Retry::After(1_000)));
    broker.wait_for_log(&["the next segment can't be made", "events", "File too large"]);
    assert!(!broker.log().contains("no room"), "{}", broker.log());
    Witness::of(&broker).is_served();
    broker.limit_file_bytes(None);
    let next = eventually("the journal to take publishes again", || publish_one(&mut peer).ok());
    assert_eq!(next, acked + 1, "no sequence is left out");
    let (log, _, _) = history_of(broker.address(), Start::First, "match/1");
    assert!(log.iter().map(|kept| kept.sequence).eq(1..=next));
}

/// What was published last of each topic: its sequence and payload.
type Newest = BTreeMap<String, (u64, Vec<u8>)>;

const TOPICS: u64 = 40;

/// Publishes rounds of records of all topics, and tombstones instead in the last round of every fourth topic.
fn publish_rounds(peer: &mut Peer, rounds: u64, newest: &mut Newest) {
    for round in 1..=rounds {
        for topic in 0..TOPICS {
            let is_tombstone = round == rounds && topic % 4 == 0;
            let payload = if is_tombstone { Vec::new() } else { [&round.to_le_bytes()[..], &[7; 1_000]].concat() };
            let name = format!("match/{topic}");
            peer.send(publish(&name, AckLevel::Journaled, &payload));
            let Frame::Ack(ack) = peer.frame() else { panic!("a publish of round {round} is refused") };
            newest.insert(name, (ack.first_sequence, payload));
        }
    }
}

/// From the first record on: in order, and the newest of each topic is there. Returns how many there are.
#[track_caller]
fn expect_newest(broker: &Broker, newest: &Newest) -> usize {
    let (log, outcome, _) = history_of(broker.address(), Start::First, "match/#");
    assert_eq!(outcome, Outcome::History);
    assert!(log.is_sorted_by(|earlier, later| earlier.position < later.position));
    let mut last = Newest::new();
    for Kept { topic, sequence, payload, .. } in &log {
        let before = last.insert(topic.clone(), (*sequence, payload.clone()));
        assert!(before.is_none_or(|(before, _)| before < *sequence), "{topic}: {sequence}");
    }
    assert!(last == *newest, "the newest of each topic, tombstones too, which are young");
    let (values, _, _) = history_of(broker.address(), Start::LastValue, "match/#");
    let values: Newest = values.into_iter().map(|kept| (kept.topic, (kept.sequence, kept.payload))).collect();
    assert!(values == *newest, "asked for the newest alone, it gives the same");
    log.len()
}

#[test]
fn a_compacted_journal_keeps_the_newest_of_each_topic_and_its_tombstones_over_restarts() {
    let data = DataDirectory::new();
    let config = configuration(data.path(), &format!("{SMALL_SEGMENTS}\ncompact = true"));
    let (mut newest, mut published) = (Newest::new(), 0);
    for (life, signal) in [(1, Signal::TERM), (2, Signal::KILL), (3, Signal::TERM)] {
        let broker = Broker::start(&config);
        let mut peer = Peer::welcomed(broker.address());
        publish_rounds(&mut peer, 20, &mut newest);
        published += 20 * TOPICS;
        broker.wait_for_log(&["segments are compacted"]);
        let held = eventually("most of the old records to be gone", || {
            let held = expect_newest(&broker, &newest) as u64;
            (held < published / 2 + 2 * TOPICS).then_some(held)
        });
        println!("life {life}: {published} records were published, {held} are there");
        drop(peer);
        broker.signal(signal);
        broker.end();
        let broker = Broker::start(&config);
        assert!(expect_newest(&broker, &newest) as u64 <= held);
        broker.signal(Signal::TERM);
        assert_eq!(broker.end().status.code(), Some(0));
    }
    let verified = Process::start(fanwire(&["journal", "verify", data.events().to_str().expect("text")])).end();
    assert_eq!(verified.status.code(), Some(0), "{}", verified.err);
}

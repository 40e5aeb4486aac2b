//! History, then live, while publishers keep publishing: whoever comes at whatever moment with whatever start gets
//! everything from there on, once, in order.

use super::broker::Broker;
use super::journal_scene::{DataDirectory, Kept, SMALL_SEGMENTS, configuration, from, history_of, subscribed};
use super::peer::{Peer, publish};
use super::reactors::amount;
use fanwire_wire::frame::{AckLevel, Frame, Outcome, Start, Unsubscribe};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

const PUBLISHERS: u64 = 3;
const TOPICS: u64 = 5;
/// Of one publisher between two acknowledgements that it waits for.
const WAVE: u64 = 16;
/// What the last record of each topic says.
const END: &[u8] = b"end";

fn topic(number: u64) -> String {
    format!("match/{}", number % TOPICS)
}

/// Ends who publishes when it is dropped, be it by a panic.
struct Ending<'a>(&'a AtomicU64);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(1, Ordering::Relaxed);
    }
}

/// Publishes to all topics in turn until the subscribers have come.
fn publish_until(address: SocketAddr, publisher: u64, is_over: impl Fn() -> bool, published: &AtomicU64) {
    let mut peer = Peer::welcomed(address);
    let mut number = publisher;
    while !is_over() {
        for index in 0..WAVE {
            let payload = [number.to_le_bytes().as_slice(), &vec![7; (number % 200) as usize]].concat();
            let ack = if index + 1 == WAVE { AckLevel::Routed } else { AckLevel::None };
            peer.send(publish(&topic(number), ack, &payload));
            number += 1;
        }
        assert!(matches!(peer.frame(), Frame::Ack(_)));
        published.fetch_add(WAVE, Ordering::Relaxed);
    }
}

/// What one subscriber was told.
struct Told {
    start: Start,
    filter: String,
    outcome: Outcome,
    /// Of the history, then live; the position is 0 where it is not told.
    records: Vec<Kept>,
    history: usize,
}

fn listen(address: SocketAddr, start: Start, filter: &str) -> Told {
    let mut peer = Peer::welcomed(address);
    let outcome = subscribed(&mut peer, from(start, 1, filter)).outcome;
    let is_exact = !filter.contains('#');
    let mut told = Told { start, filter: filter.to_owned(), outcome, records: Vec::new(), history: 0 };
    let (mut is_live, mut ends) = (start == Start::Live, if is_exact { 1 } else { TOPICS });
    while ends > 0 || !is_live {
        match peer.frame() {
            Frame::History(history) if !is_live => told.records.push(history.into()),
            Frame::CaughtUp(caught_up) if !is_live => {
                assert_eq!(caught_up.position, told.records.last().map_or(0, |kept| kept.position));
                (is_live, told.history) = (true, told.records.len());
                continue;
            }
            Frame::Record(record) if is_live && is_exact => told.records.push(Kept {
                topic: filter.to_owned(),
                sequence: record.sequence,
                position: 0,
                payload: record.payload.to_vec(),
            }),
            Frame::RecordNamed(record) if is_live && !is_exact => told.records.push(Kept {
                topic: String::from_utf8(record.topic.to_vec()).expect("names are text"),
                sequence: record.sequence,
                position: record.position,
                payload: record.payload.to_vec(),
            }),
            other => panic!("{other:?} to {start:?} of {filter}; live: {is_live}"),
        }
        ends -= u64::from(told.records.last().expect("just pushed").payload == END);
    }
    peer.expect_quiet();
    told
}

/// The starts of one round, of an exact filter by turns and of all topics.
fn starts(round: u64, epoch: u64, published: u64) -> Vec<(Start, String)> {
    let somewhere = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) % published.max(1) + 1;
    let time_us = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970").as_micros();
    let time = Start::Time { time_us: time_us as u64 - round % 4 * 100_000 };
    let (exact, all) = (topic(round), "match/#".to_owned());
    let sequence = (somewhere / TOPICS).max(1);
    let mut starts = vec![
        (Start::Sequence { sequence }, exact.clone()),
        (Start::Position { position: somewhere }, all.clone()),
        (Start::Resume { epoch, last: sequence }, exact.clone()),
        (Start::Resume { epoch, last: somewhere }, all.clone()),
    ];
    for start in [Start::Live, Start::LastValue, Start::Last { count: round as u32 * 7 }, Start::First, time] {
        starts.extend([(start, exact.clone()), (start, all.clone())]);
    }
    starts
}

/// What was told is a stretch of the log up to its end, without a hole, and begins where it was asked to.
fn audit(told: &Told, log: &[Kept]) {
    let Told { start, filter, outcome, records, history } = told;
    let context = format!("{start:?} of {filter}, {outcome:?}, {history} of history");
    let is_exact = !filter.contains('#');
    let held: Vec<&Kept> = log.iter().filter(|kept| !is_exact || kept.topic == *filter).collect();
    // The newest record of each topic is no stretch: what follows is.
    let spread = if *start == Start::LastValue && !is_exact { TOPICS as usize } else { 0 };
    let first = &records[spread];
    let begin = held.iter().position(|kept| (&kept.topic, kept.sequence) == (&first.topic, first.sequence));
    let begin = begin.unwrap_or_else(|| panic!("{context}: {first:?} is not in the log"));
    assert_eq!(records.len() - spread, held.len() - begin, "{context}: everything from there on");
    for (index, (record, kept)) in records[spread..].iter().zip(&held[begin..]).enumerate() {
        let is_placed = record.position == kept.position || (is_exact && index >= *history);
        let is_same = (&record.topic, record.sequence, &record.payload) == (&kept.topic, kept.sequence, &kept.payload);
        assert!(is_placed && is_same, "{context}: {record:?} instead of {kept:?}");
    }
    for record in &records[..spread] {
        let newest = held[..begin].iter().rfind(|kept| kept.topic == record.topic).expect("it is older");
        assert_eq!(record, *newest, "{context}");
    }
    assert!(records[..spread].is_sorted_by_key(|kept| kept.position), "{context}");
    match *start {
        Start::First => assert_eq!(begin, 0, "{context}"),
        Start::Sequence { sequence } => assert_eq!(first.sequence, sequence, "{context}"),
        Start::Position { position } => assert_eq!(first.position, position, "{context}"),
        Start::Resume { last, .. } => {
            let number = if is_exact { first.sequence } else { first.position };
            assert_eq!((number, *outcome), (last + 1, Outcome::Resumed), "{context}");
        }
        Start::Last { count } => assert!(*history >= count as usize, "{context}"),
        Start::LastValue if is_exact => assert!(*history >= 1, "{context}"),
        Start::LastValue => assert!(*history >= TOPICS as usize, "{context}"),
        Start::Live => assert_eq!(*outcome, Outcome::Live, "{context}"),
        Start::Time { .. } => {}
    }
}

#[test]
fn whoever_comes_while_others_publish_gets_everything_from_there_on() {
    let data = DataDirectory::new();
    let broker = Broker::start(&configuration(data.path(), SMALL_SEGMENTS));
    let address = broker.address();
    let (rounds, published, is_over) = (amount("JOURNAL_ROUNDS", 6), AtomicU64::new(0), AtomicU64::new(0));
    // Something for everybody to begin with: a resume behind what is not there yet would be a reset.
    publish_until(address, 0, || published.load(Ordering::Relaxed) > 1_000, &published);
    let (_, _, epoch) = history_of(address, Start::Last { count: 1 }, "match/#");
    let told: Vec<Told> = std::thread::scope(|scope| {
        let (is_over, published) = (&is_over, &published);
        let ending = Ending(is_over);
        let publishing =
            |publisher| publish_until(address, publisher, || is_over.load(Ordering::Relaxed) > 0, published);
        let publishing: Vec<_> = (0..PUBLISHERS).map(|publisher| scope.spawn(move || publishing(publisher))).collect();
        let mut listening = Vec::new();
        for round in 1..=rounds {
            let known = published.load(Ordering::Relaxed) / 2;
            for (start, filter) in starts(round, epoch, known) {
                listening.push(scope.spawn(move || listen(address, start, &filter)));
            }
            let next = published.load(Ordering::Relaxed) + 1_500;
            super::process::eventually("progress", || (published.load(Ordering::Relaxed) >= next).then_some(()));
        }
        drop(ending);
        publishing.into_iter().for_each(|thread| thread.join().expect("a publisher"));
        let mut peer = Peer::welcomed(address);
        for number in 0..TOPICS {
            peer.send(publish(&topic(number), AckLevel::Routed, END));
            assert!(matches!(peer.frame(), Frame::Ack(_)));
        }
        listening.into_iter().map(|thread| thread.join().expect("a subscriber")).collect()
    });
    let (log, _, _) = history_of(address, Start::First, "match/#");
    assert!((1..).zip(&log).all(|(position, kept)| kept.position == position));
    told.iter().for_each(|told| audit(told, &log));
    let live: usize = told.iter().map(|told| told.records.len() - told.history).sum();
    let history: usize = told.iter().map(|told| told.history).sum();
    println!("{} subscribers, {} records: {history} times as history, {live} times live", told.len(), log.len());
}

#[test]
fn who_leaves_in_the_middle_of_its_history_is_handed_nothing_live() {
    let data = DataDirectory::new();
    let broker = Broker::start(&configuration(data.path(), SMALL_SEGMENTS));
    let (address, published, is_over) = (broker.address(), AtomicU64::new(0), AtomicU64::new(0));
    let mut left_early = 0;
    std::thread::scope(|scope| {
        let ending = Ending(&is_over);
        scope.spawn(|| publish_until(address, 0, || is_over.load(Ordering::Relaxed) > 0, &published));
        super::process::eventually("some history", || (published.load(Ordering::Relaxed) > 2_000).then_some(()));
        let mut peer = Peer::welcomed(address);
        for round in 0..200_u64 {
            let filter = if round.is_multiple_of(2) { topic(round) } else { "match/#".to_owned() };
            peer.send(from(Start::First, 1, &filter));
            let mut has_caught_up = false;
            let mut heard = 0;
            loop {
                // Before it has begun, or after some of it.
                if heard == round % 5 {
                    peer.send(Unsubscribe { subscription: 1 });
                }
                heard += 1;
                match peer.frame() {
                    Frame::Subscribed(_) => {}
                    Frame::History(_) if !has_caught_up => {}
                    Frame::CaughtUp(_) => has_caught_up = true,
                    Frame::Record(_) | Frame::RecordNamed(_) if has_caught_up => {}
                    Frame::Unsubscribed(over) => break assert_eq!(over.code, 0),
                    other => panic!("{other:?} in round {round}"),
                }
            }
            left_early += u64::from(!has_caught_up);
        }
        drop(ending);
    });
    assert!(left_early > 0, "everybody had caught up: this has tested nothing");
    println!("{left_early} of 200 left before they had caught up");
}

//! One subscriber stops reading under load. With the policy `catch-up` it loses nothing: it falls back to a cursor, is
//! told so, and gets the rest from the journal once it reads again; nobody else notices, and the broker holds no more.

use super::broker::Broker;
use super::journal_scene::{DataDirectory, from};
use super::memory::NARROW;
use super::peer::{HELLO, Peer, Witness, publish};
use fanwire_wire::frame::{AckLevel, Frame, Policy, Start, Subscribe};

/// Published while the slow one does not read: more than forty times what may wait for one connection.
const RECORDS: u64 = 5_000;
const PAYLOAD_BYTES: usize = 4_000;
/// Published before the others read them.
const WAVE: u64 = 20;
/// One queue, what is read ahead for a cursor, and what the allocator and the pools keep.
const GROWTH_BYTES_MAX: u64 = 12 << 20;

fn payload(number: u64) -> Vec<u8> {
    let mut payload = vec![number as u8; PAYLOAD_BYTES];
    payload[..8].copy_from_slice(&number.to_le_bytes());
    payload
}

/// What a subscriber of one topic is told next, and how: its sequence, live or not; its falling back; its catching up.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Record { sequence: u64, is_history: bool },
    FellBack,
    CaughtUp,
}

#[track_caller]
fn told(peer: &mut Peer) -> Told {
    let (sequence, number, is_history) = match peer.frame() {
        Frame::Record(record) => (record.sequence, number_of(record.payload), false),
        Frame::RecordNamed(record) => (record.sequence, number_of(record.payload), false),
        Frame::History(history) => (history.sequence, number_of(history.payload), true),
        Frame::Cursor(_) => return Told::FellBack,
        Frame::CaughtUp(_) => return Told::CaughtUp,
        other => panic!("{other:?}"),
    };
    assert_eq!(number, sequence, "the publisher's order is the topic's");
    Told::Record { sequence, is_history }
}

#[track_caller]
fn number_of(bytes: &[u8]) -> u64 {
    let number = u64::from_le_bytes(*bytes.first_chunk().expect("payloads begin with a number"));
    assert_eq!(bytes, payload(number), "it came back as it was published");
    number
}

fn fall_behind_and_catch_up(filter: &str) {
    let data = DataDirectory::new();
    let keys = "[[journal]]\nname = \"events\"\ntopics = [\"match/#\"]\nsegment_bytes = \"2MiB\"\n";
    let broker = Broker::start(&format!("data = {:?}\nreactors = 2\n{NARROW}{keys}", data.path()));
    let mut witness = Witness::of(&broker);
    let wish = Subscribe { policy: Policy::CatchUp, ..from(Start::Live, 1, filter) };
    let mut slow = Peer::connect_narrow(broker.address()).greet(HELLO);
    slow.subscribe(wish);
    let mut other = Peer::welcomed(broker.address());
    other.subscribe(wish);
    let mut publisher = Peer::welcomed(broker.address());
    let before = broker.resident_bytes();
    for wave in (1..=RECORDS).step_by(WAVE as usize) {
        for number in wave..wave + WAVE {
            let ack = if number + 1 == wave + WAVE { AckLevel::Routed } else { AckLevel::None };
            publisher.send(publish("match/7", ack, &payload(number)));
        }
        assert!(matches!(publisher.frame(), Frame::Ack(_)));
        for number in wave..wave + WAVE {
            assert_eq!(told(&mut other), Told::Record { sequence: number, is_history: false });
        }
    }
    witness.is_served();
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "the broker has grown by {grown} bytes");
    // It reads again, and publishing goes on.
    let (mut last, mut falls, mut caught_up, mut histories) = (0, 0, 0, 0);
    let mut published = RECORDS;
    while last < RECORDS + 200 || caught_up < falls {
        match told(&mut slow) {
            Told::Record { sequence, is_history } => {
                assert_eq!(sequence, last + 1, "once, in order, without a hole");
                assert_eq!(is_history, falls > caught_up, "between CURSOR and CAUGHT_UP, and only there, is history");
                last = sequence;
                histories += u64::from(is_history);
                if last % 20 == 0 && published < RECORDS + 200 {
                    published += 1;
                    publisher.send(publish("match/7", AckLevel::None, &payload(published)));
                    assert_eq!(told(&mut other), Told::Record { sequence: published, is_history: false });
                }
            }
            Told::FellBack => falls += 1,
            Told::CaughtUp => caught_up += 1,
        }
    }
    assert!(falls >= 1 && falls == caught_up, "fell back {falls} times, caught up {caught_up} times");
    // Live again.
    publisher.send(publish("match/7", AckLevel::None, &payload(published + 1)));
    assert_eq!(told(&mut slow), Told::Record { sequence: published + 1, is_history: false });
    slow.expect_quiet();
    witness.is_served();
    println!("{filter}: {last} records, {histories} of them from the journal, {falls} falls, grown by {grown} bytes");
}

#[test]
fn who_stops_reading_one_topic_falls_back_to_the_journal_and_loses_nothing() {
    fall_behind_and_catch_up("match/7");
}

#[test]
fn who_stops_reading_many_topics_falls_back_to_the_journal_and_loses_nothing() {
    fall_behind_and_catch_up("match/#");
}

/// Topics whose histories one connection asks for at once: together far more than may wait for it.
const HISTORIES: u32 = 40;
/// Records of each.
const RECORDS_EACH: u64 = 60;

#[test]
fn many_histories_at_once_share_one_connection() {
    let data = DataDirectory::new();
    let keys = "[[journal]]\nname = \"events\"\ntopics = [\"match/#\"]\nsegment_bytes = \"2MiB\"\n";
    let broker = Broker::start(&format!("data = {:?}\nreactors = 2\n{NARROW}{keys}", data.path()));
    let mut publisher = Peer::welcomed(broker.address());
    for number in 1..=RECORDS_EACH {
        for topic in 0..HISTORIES {
            publisher.send(publish(&format!("match/{topic}"), AckLevel::None, &payload(number)));
        }
    }
    publisher.send(publish("match/0", AckLevel::Routed, &payload(RECORDS_EACH + 1)));
    assert!(matches!(publisher.frame(), Frame::Ack(_)));
    let before = broker.resident_bytes();
    let mut peer = Peer::connect_narrow(broker.address()).greet(HELLO);
    for topic in 0..HISTORIES {
        peer.send(from(Start::First, topic, &format!("match/{topic}")));
    }
    let mut last = vec![0; HISTORIES as usize];
    let mut caught_up = 0;
    while caught_up < HISTORIES {
        match peer.frame() {
            Frame::Subscribed(_) => {}
            Frame::History(history) => {
                let last = &mut last[history.subscription as usize];
                *last += 1;
                assert_eq!((history.sequence, number_of(history.payload)), (*last, *last));
            }
            Frame::CaughtUp(_) => caught_up += 1,
            other => panic!("{other:?} among histories"),
        }
    }
    assert!(last.iter().all(|last| *last >= RECORDS_EACH), "{last:?}");
    peer.expect_quiet();
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < GROWTH_BYTES_MAX, "the broker has grown by {grown} bytes");
}

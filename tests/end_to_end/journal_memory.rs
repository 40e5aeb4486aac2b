//! A journal in memory: last values, short histories and resuming for topics that need no disk, by one mechanism.

use super::broker::Broker;
use super::journal_scene::{from, history_of, subscribed};
use super::peer::{Peer, publish};
use fanwire_wire::Code;
use fanwire_wire::frame::{AckLevel, Frame, Outcome, Scope, Start};

const CONFIG: &str = "reactors = 2\n[limits]\nframe_bytes_max = \"8KiB\"\nheaders_bytes_max = \"1KiB\"\n\
    [[journal]]\nname = \"chat\"\ntopics = [\"chat/#\"]\nstore = \"memory\"\nmax_bytes = \"640KiB\"\n";

/// Publishes and returns the sequence.
#[track_caller]
fn said(peer: &mut Peer, topic: &str, payload: &[u8]) -> u64 {
    peer.send(publish(topic, AckLevel::Routed, payload));
    match peer.frame() {
        Frame::Ack(ack) => ack.first_sequence,
        other => panic!("{other:?} instead of an ACK"),
    }
}

#[test]
fn a_journal_in_memory_has_last_values_and_resumes_as_long_as_its_broker_runs() {
    let broker = Broker::start(CONFIG);
    let mut publisher = Peer::welcomed(broker.address());
    for sequence in 1..=20 {
        assert_eq!(said(&mut publisher, "chat/a", format!("a{sequence}").as_bytes()), sequence);
        assert_eq!(said(&mut publisher, "chat/b", format!("b{sequence}").as_bytes()), sequence);
    }
    let (kept, outcome, epoch) = history_of(broker.address(), Start::LastValue, "chat/a");
    assert_eq!((kept.len(), kept[0].payload.as_slice(), outcome), (1, b"a20".as_slice(), Outcome::History));
    let (kept, _, _) = history_of(broker.address(), Start::LastValue, "chat/#");
    assert_eq!(kept.iter().map(|kept| kept.payload.as_slice()).collect::<Vec<_>>(), [b"a20", b"b20"]);
    // Away and back.
    let resume = Start::Resume { epoch, last: 15 };
    let (kept, outcome, _) = history_of(broker.address(), resume, "chat/a");
    assert_eq!((kept.len(), kept[0].sequence, outcome), (5, 16, Outcome::Resumed));
    for (number, ack) in (41..).zip([AckLevel::Journaled, AckLevel::Durable]) {
        publisher.send(publish("chat/a", ack, b"x"));
        publisher.expect_refused(Scope::Publish, Code::AckLevelUnavailable, number);
    }
    // Another life knows nothing of this one.
    broker.kill();
    let broker = Broker::start(CONFIG);
    let mut publisher = Peer::welcomed(broker.address());
    assert_eq!(said(&mut publisher, "chat/a", b"anew"), 1);
    let (kept, outcome, new_epoch) = history_of(broker.address(), resume, "chat/a");
    assert!(matches!(outcome, Outcome::ResetEpoch | Outcome::ResetBeyond), "{outcome:?}");
    assert!(new_epoch > epoch && kept.len() == 1 && kept[0].payload == b"anew");
    let (_, outcome, _) = history_of(broker.address(), Start::Resume { epoch, last: 1 }, "chat/a");
    assert_eq!(outcome, Outcome::ResetEpoch, "what was record 1 in another epoch is not what it is now");
}

#[test]
fn a_journal_in_memory_is_a_bounded_ring() {
    let broker = Broker::start(CONFIG);
    let mut publisher = Peer::welcomed(broker.address());
    said(&mut publisher, "chat/a", b"first");
    let (_, _, epoch) = history_of(broker.address(), Start::First, "chat/#");
    let before = broker.resident_bytes();
    let payload = [7; 4_000];
    for sequence in 2..=3_000 {
        assert_eq!(said(&mut publisher, "chat/a", &payload), sequence);
    }
    let grown = broker.resident_bytes().saturating_sub(before);
    assert!(grown < 4 << 20, "12 MB went through a ring of 640 KiB, and the broker has grown by {grown} bytes");
    let mut peer = Peer::welcomed(broker.address());
    let told = subscribed(&mut peer, from(Start::Resume { epoch, last: 1 }, 1, "chat/a"));
    assert_eq!(told.outcome, Outcome::ResetRetention, "the ring has gone over it");
    let (kept, _, _) = history_of(broker.address(), Start::First, "chat/a");
    let is_newest =
        kept.is_sorted_by_key(|kept| kept.sequence) && kept.last().is_some_and(|kept| kept.sequence == 3_000);
    assert!(is_newest && (20..=160).contains(&kept.len()), "{} records of 4 kB", kept.len());
    println!(
        "a ring of 640 KiB holds the newest {} of 3000 records; the broker has grown by {grown} bytes",
        kept.len()
    );
}

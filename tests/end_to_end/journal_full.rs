//! A full disk: publishes to the journal are refused and can be retried, nothing that was acknowledged is harmed, live
//! topics go on, and the journal goes on by itself when there is space again.

use super::broker::Broker;
use super::journal_scene::{SMALL_SEGMENTS, configuration, history_of};
use super::peer::{Peer, Witness, publish};
use super::private_disk::PrivateDisk;
use super::process::eventually;
use fanwire_wire::frame::{AckLevel, Frame, Scope, Start};
use fanwire_wire::{Code, Retry};
use rustix::process::Signal;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

const DISK_BYTES: u64 = 24 << 20;

/// What became of one publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Acked(u64),
    Refused(Code),
}

/// Publishes one record that names its number, and waits for what becomes of it.
#[track_caller]
fn publish_one(peer: &mut Peer, number: u64) -> Answer {
    let ack = if number.is_multiple_of(2) { AckLevel::Journaled } else { AckLevel::Durable };
    peer.send(publish("match/full", ack, &[number.to_le_bytes().as_slice(), &[7; 1_000]].concat()));
    match peer.frame() {
        Frame::Ack(ack) => Answer::Acked(ack.first_sequence),
        Frame::Error(refusal) if refusal.scope == Scope::Publish => {
            let code = Code::from_number(refusal.code).expect("a known code");
            assert_eq!((code, refusal.retry()), (Code::JournalFull, Retry::After(1_000)));
            Answer::Refused(code)
        }
        other => panic!("{other:?} to a publish"),
    }
}

fn remove_unfinished(journal: &Path) {
    for entry in std::fs::read_dir(journal).expect("lists") {
        let path = entry.expect("lists").path();
        if path.extension().is_some_and(|end| end == "making") {
            std::fs::remove_file(path).expect("removes");
        }
    }
}

/// Publishes one record again and again, until the journal has room for it. Its sequence.
#[track_caller]
fn publish_until_taken(peer: &mut Peer, number: u64) -> u64 {
    eventually("the journal to take publishes again", || match publish_one(peer, number) {
        Answer::Acked(sequence) => Some(sequence),
        Answer::Refused(_) => {
            std::thread::sleep(Duration::from_millis(50));
            None
        }
    })
}

/// Writes until nothing goes in any more.
fn fill(path: &Path) {
    let mut file = File::create(path).expect("a file");
    for size in [1 << 20, 4_096, 1] {
        let chunk = vec![1; size];
        while file.write_all(&chunk).is_ok() {}
        // What was written may have been promised more room than there is.
        let _ = file.sync_data();
    }
}

/// The acknowledged numbers are all there is, each at its sequence.
#[track_caller]
fn expect_held(broker: &Broker, acked: &[(u64, u64)]) {
    let (log, _, _) = history_of(broker.address(), Start::First, "match/full");
    let numbers = log
        .iter()
        .map(|kept| (u64::from_le_bytes(*kept.payload.first_chunk().expect("it begins with a number")), kept.sequence));
    assert_eq!(numbers.collect::<Vec<_>>(), acked);
}

#[test]
fn a_full_disk_refuses_harms_nothing_and_passes() {
    let disk = match PrivateDisk::new("journal-full", DISK_BYTES) {
        Ok(disk) => disk,
        Err(why) => return println!("skipped: {why}"),
    };
    let config = configuration(&disk.path().join("data"), SMALL_SEGMENTS);
    let broker = Broker::start(&config);
    let mut witness = Witness::of(&broker);
    let mut peer = Peer::welcomed(broker.address());
    let (mut acked, mut number) = (Vec::new(), 0);
    for round in 0..3 {
        let ballast = disk.path().join("ballast");
        while acked.len() < 300 * (round + 1) {
            match publish_one(&mut peer, number) {
                Answer::Acked(sequence) => acked.push((number, sequence)),
                Answer::Refused(code) => panic!("{code} with room on the disk"),
            }
            number += 1;
        }
        fill(&ballast);
        let mut refused = 0;
        while refused < 20 {
            match publish_one(&mut peer, number) {
                Answer::Acked(sequence) => acked.push((number, sequence)),
                Answer::Refused(_) => refused += 1,
            }
            number += 1;
        }
        broker.wait_for_log(&["no room for the next segment"]);
        witness.is_served();
        expect_held(&broker, &acked);
        std::fs::remove_file(&ballast).expect("removes");
        number += 1;
        let sequence = publish_until_taken(&mut peer, number);
        acked.push((number, sequence));
        number += 1;
        expect_held(&broker, &acked);
    }
    broker.wait_for_log(&["the journal can make segments again"]);
    assert!(acked.iter().map(|(_, sequence)| *sequence).eq(1..=acked.len() as u64), "no sequence is left out");
    // A broker that is started on a full disk.
    let ballast = disk.path().join("ballast");
    drop(peer);
    broker.kill();
    // Only now: a broker gives back what it has taken of the disk for a segment that is not finished, when it can't
    // make it, and when it starts.
    remove_unfinished(&disk.path().join("data/events"));
    fill(&ballast);
    let broker = Broker::start(&config);
    broker.wait_for_log(&["the disk is full: publishes are refused until there is room again"]);
    let mut peer = Peer::welcomed(broker.address());
    assert_eq!(publish_one(&mut peer, number), Answer::Refused(Code::JournalFull));
    expect_held(&broker, &acked);
    std::fs::remove_file(&ballast).expect("removes");
    let sequence = publish_until_taken(&mut peer, number);
    acked.push((number, sequence));
    expect_held(&broker, &acked);
    broker.signal(Signal::TERM);
    assert_eq!(broker.end().status.code(), Some(0));
}

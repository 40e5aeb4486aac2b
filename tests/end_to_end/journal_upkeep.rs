//! What is done for a journal while it is used: the next segments are made, whoever else is there.

use super::broker::Broker;
use super::journal_scene::{DataDirectory, SMALL_SEGMENTS, configuration};
use super::peer::{Peer, Witness, publish};
use fanwire_wire::frame::{AckLevel, Frame};
use fanwire_wire::{ClientPreface, Code};
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
    assert!(!broker.log().contains("no next segment"), "{}", broker.log());
    println!("{bound} connections, {} segments are left", count_of(&data.events(), "segment"));
    witness.is_served();
}

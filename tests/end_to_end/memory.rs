//! Attacks on memory: lengths that are claimed and never sent, frames that are begun and never ended, answers that are
//! never read, subscriptions and connections that come and go. The broker's size stays where it was.

use super::broker::Broker;
use super::peer::{Peer, Witness, bytes_of, publish, subscribe};
use super::process::eventually;
use super::scene::Scene;
use fanwire_wire::Code;
use fanwire_wire::frame::{AckLevel, Frame, Ping, Policy, Register, Subscribe, Unsubscribe};

const MIB: u64 = 1 << 20;

/// The smallest bounds that go together: 8 KiB frames, and queues that hold one turn's worth of them.
pub(crate) const NARROW: &str = "\
    [limits]\nframe_bytes_max = \"8KiB\"\nheaders_bytes_max = \"1KiB\"\nqueue_bytes_max = \"392KiB\"\n\
    linger_time_max = \"1m\"\n";

#[track_caller]
fn expect_growth_below(broker: &Broker, before: u64, growth_max: u64) {
    let after = broker.resident_bytes();
    assert!(after < before + growth_max, "{before} bytes became {after}");
}

#[test]
fn a_length_that_is_claimed_takes_no_memory() {
    let mut scene = Scene::new("");
    let before = scene.broker.resident_bytes();
    let mut claiming: Vec<Peer> = (0..50).map(|_| scene.welcomed()).collect();
    // A PUBLISH of the largest size that passes, of which ten bytes come.
    for peer in &mut claiming {
        peer.send_bytes(&[0x80, 0x80, 0x40, 0x08, 0, 1, b'a', 1, 2, 3, 4, 5, 6]);
    }
    scene.witness.is_served();
    expect_growth_below(&scene.broker, before, 4 * MIB);
}

#[test]
fn frames_that_are_begun_are_bounded_in_total_and_the_largest_goes() {
    let config = "[limits]\nframe_bytes_max = \"32KiB\"\npartial_bytes_total_max = \"64KiB\"\n";
    let mut scene = Scene::new(config);
    let frame = bytes_of(publish("a", AckLevel::Routed, &[0; 32_000]));
    let mut innocent = scene.welcomed();
    innocent.send_bytes(&frame[..1_000]);
    let mut begun: Vec<Peer> = (0..4).map(|_| scene.welcomed()).collect();
    for (peer, size) in begun.iter_mut().zip([20_000, 20_001, 20_002, 20_003]) {
        peer.send_bytes(&frame[..size]);
        scene.witness.is_served();
    }
    // The bound was passed once, and the largest of then is gone.
    begun[3].expect_closed(Code::PartialFrameOverflow);
    scene.is_told(&begun[3], Code::PartialFrameOverflow);
    for (peer, size) in [(&mut innocent, 1_000)].into_iter().chain(begun.iter_mut().zip([20_000, 20_001, 20_002])) {
        peer.send_bytes(&frame[size..]);
        assert!(matches!(peer.frame(), Frame::Ack(_)));
    }
    scene.witness.is_served();
}

#[test]
fn answers_that_are_not_read_end_the_connection() {
    let mut scene = Scene::new(NARROW);
    let before = scene.broker.resident_bytes();
    let mut peer = Peer::connect_narrow(scene.broker.address()).greet(super::peer::HELLO);
    let pings = bytes_of(Ping { time: 1 }).repeat(1_000);
    let address = peer.address().to_string();
    eventually("the end of the broker's patience", || {
        peer.pour(&pings);
        scene.witness.is_served();
        scene.broker.log().lines().any(|line| line.contains(&address) && line.contains("QUEUE_OVERFLOW")).then_some(())
    });
    expect_growth_below(&scene.broker, before, 8 * MIB);
    peer.expect_closed(Code::QueueOverflow);
    scene.witness.is_served();
}

#[test]
fn queues_are_bounded_in_total_and_the_largest_goes() {
    let config = format!("{NARROW}queue_bytes_total_max = \"600KiB\"\n");
    let mut scene = Scene::new(&config);
    let mut stalled: Vec<Peer> =
        (0..2).map(|_| Peer::connect_narrow(scene.broker.address()).greet(super::peer::HELLO)).collect();
    for peer in &mut stalled {
        peer.subscribe(Subscribe { policy: Policy::DropNewest, ..subscribe(1, "flood") });
    }
    let mut publisher = scene.welcomed();
    for _ in 0..1_000 {
        publisher.send(publish("flood", AckLevel::Routed, &[7; 4_000]));
        assert!(matches!(publisher.frame(), Frame::Ack(_)));
    }
    scene.witness.is_served();
    let closed = scene.broker.wait_for_log(&["QUEUE_OVERFLOW"]);
    let (mut gone, mut left): (Vec<Peer>, Vec<Peer>) =
        stalled.into_iter().partition(|peer| closed.contains(&format!("\"peer\":\"{}\"", peer.address())));
    assert_eq!((gone.len(), left.len()), (1, 1), "{}", scene.broker.log());
    gone[0].expect_closed(Code::QueueOverflow);
    let (mut delivered, mut dropped) = (0, 0);
    while delivered + dropped < 1_000 {
        match left[0].frame() {
            Frame::Message(_) => delivered += 1,
            Frame::Gap(gap) => dropped += gap.dropped,
            other => panic!("{other:?}"),
        }
    }
    assert!(dropped > 0);
    left[0].expect_quiet();
}

#[test]
fn subscribing_and_unsubscribing_without_end_costs_no_memory() {
    let broker = Broker::start("");
    let mut witness = Witness::of(&broker);
    let mut peer = Peer::welcomed(broker.address());
    let mut churn = |rounds: u32| {
        for round in 0..rounds / 100 {
            let filter = format!("churn/{}/+/#", round % 7);
            let once = [bytes_of(subscribe(1, &filter)), bytes_of(Unsubscribe { subscription: 1 })].concat();
            peer.send_bytes(&once.repeat(100));
            for _ in 0..200 {
                assert!(matches!(peer.frame(), Frame::Subscribed(_) | Frame::Unsubscribed(_)));
            }
            witness.is_served();
        }
    };
    churn(5_000);
    let before = broker.resident_bytes();
    churn(20_000);
    expect_growth_below(&broker, before, MIB);
}

#[test]
fn topics_without_end_cost_no_more_than_the_cache() {
    let broker = Broker::start("[limits]\ntopics_cached_max = 1000\n");
    let mut subscriber = Peer::welcomed(broker.address());
    subscriber.subscribe(subscribe(1, "unique/#"));
    let mut peer = Peer::welcomed(broker.address());
    let mut number = 0_u32;
    let mut flood = |count: u32| {
        for _ in 0..count / 100 {
            for _ in 0..99 {
                number += 1;
                let topic = format!("unique/{number}");
                peer.send_bytes(&bytes_of(publish(&topic, AckLevel::None, b"x")));
                peer.send(Register { short_id: 1, topic: format!("registered/{number}").as_bytes() });
            }
            peer.send(publish("unique/last", AckLevel::Routed, b"x"));
            assert!(matches!(peer.frame(), Frame::Ack(_)));
            for _ in 0..100 {
                assert!(matches!(subscriber.frame(), Frame::MessageNamed(_)));
            }
        }
    };
    flood(5_000);
    let before = broker.resident_bytes();
    flood(20_000);
    expect_growth_below(&broker, before, MIB);
}

#[test]
fn connections_that_come_and_go_leave_no_memory_behind() {
    let broker = Broker::start("");
    let mut witness = Witness::of(&broker);
    let before = broker.descriptor_count();
    let mut crowd = || {
        let crowd: Vec<Peer> = (0..300)
            .map(|number| {
                let mut peer = Peer::welcomed(broker.address());
                peer.subscribe(subscribe(1, &format!("crowd/{number}")));
                peer
            })
            .collect();
        witness.is_served();
        drop(crowd);
        eventually("every descriptor back", || (broker.descriptor_count() == before).then_some(()));
    };
    crowd();
    let resident = broker.resident_bytes();
    (0..4).for_each(|_| crowd());
    expect_growth_below(&broker, resident, MIB);
}

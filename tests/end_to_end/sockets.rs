//! Hostile sockets: resets in the middle of a frame, storms of them, half-closes, ports that are used again, and
//! peers that say nothing when they are asked whether they live.

use super::broker::Broker;
use super::peer::{HELLO, Peer, Witness, bytes_of, publish, subscribe};
use super::process::eventually;
use super::scene::Scene;
use fanwire_wire::Code;
use fanwire_wire::frame::{AckLevel, Frame, Hello, Pong};
use rustix::process::Signal;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[track_caller]
fn wait_for_descriptors(broker: &Broker, count: usize) {
    eventually("every descriptor back", || (broker.descriptor_count() == count).then_some(()));
}

#[test]
fn a_reset_in_the_middle_of_a_frame_frees_everything_and_is_told() {
    let mut scene = Scene::new("");
    let before = scene.broker.descriptor_count();
    let mut peer = scene.welcomed();
    peer.subscribe(subscribe(1, "#"));
    let frame = bytes_of(publish(&"x".repeat(100), AckLevel::Routed, &[0; 1_000]));
    peer.send_bytes(&frame[..500]);
    scene.witness.is_served();
    let address = peer.address();
    peer.reset();
    wait_for_descriptors(&scene.broker, before);
    scene.broker.wait_for_log(&[&format!("\"peer\":\"{address}\""), "in the middle of a frame"]);
    // Half a message is no message.
    scene.witness.is_served();
}

#[test]
fn an_end_in_the_middle_of_a_frame_is_told_too() {
    let mut scene = Scene::new("");
    let mut peer = scene.welcomed();
    let frame = bytes_of(publish("a", AckLevel::Routed, &[0; 1_000]));
    peer.send_bytes(&[&frame[..], &frame[..frame.len() - 1]].concat());
    peer.end_output();
    assert!(matches!(peer.frame(), Frame::Ack(ack) if ack.count == 1), "the whole frame was executed");
    assert!(peer.next_frame().is_none());
    scene.broker.wait_for_log(&[&format!("\"peer\":\"{}\"", peer.address()), "in the middle of a frame"]);
    scene.witness.is_served();
}

#[test]
fn a_half_close_is_answered_with_everything_that_was_owed() {
    let broker = Broker::start("");
    let mut witness = Witness::of(&broker);
    let mut subscriber = Peer::welcomed(broker.address());
    subscriber.subscribe(subscribe(1, "owed"));
    let mut peer = Peer::welcomed(broker.address());
    peer.subscribe(subscribe(1, "owed"));
    // Far more than the sockets' buffers take at once.
    let payload = [7; 1_000];
    for _ in 0..1_000 {
        peer.send(publish("owed", AckLevel::Routed, &payload));
    }
    peer.end_output();
    witness.is_served();
    let (mut messages, mut acked) = (0, 0);
    while let Some(frame) = peer.next_frame() {
        match frame {
            Frame::Message(message) => messages += usize::from(message.payload == payload),
            Frame::Ack(ack) => acked += ack.count,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((messages, acked), (1_000, 1_000));
    for _ in 0..1_000 {
        assert!(matches!(subscriber.frame(), Frame::Message(_)));
    }
    subscriber.expect_quiet();
}

/// The linger time is for standing still: who has closed its side and reads slowly gets all the same what it is owed.
#[test]
fn a_half_closed_peer_that_reads_slowly_gets_everything() {
    const MESSAGES: usize = 400;
    let broker = Broker::start("[limits]\nlinger_time_max = \"400ms\"\nqueue_bytes_max = \"128MiB\"\n");
    let mut slow = Peer::connect_narrow(broker.address()).greet(HELLO);
    slow.subscribe(subscribe(1, "owed"));
    let mut publisher = Peer::welcomed(broker.address());
    let payload = vec![7; 64 * 1024];
    for _ in 0..MESSAGES {
        publisher.send(publish("owed", AckLevel::None, &payload));
    }
    Witness::from(publisher).is_served();
    slow.end_output();
    let mut messages = 0;
    while let Some(frame) = slow.next_frame() {
        assert!(matches!(frame, Frame::Message(_)), "{frame:?}");
        messages += 1;
        // The reader's pace is what is tested: each pause is within the time, all together are far beyond it.
        if messages % 50 == 0 {
            std::thread::sleep(Duration::from_millis(150));
        }
    }
    assert_eq!(messages, MESSAGES);
}

#[test]
fn a_storm_of_resets_leaves_no_descriptor_behind() {
    let broker = Broker::start("");
    let mut witness = Witness::of(&broker);
    let before = broker.descriptor_count();
    for round in 0..600 {
        match round % 4 {
            0 => Peer::connect(broker.address()).reset(),
            1 => {
                let mut peer = Peer::connect(broker.address());
                peer.pour(&bytes_of(HELLO)[..5]);
                peer.reset();
            }
            2 => {
                let mut peer = Peer::welcomed(broker.address());
                peer.pour(&bytes_of(subscribe(1, "storm/#")));
                peer.reset();
            }
            _ => {
                // While its connection is being closed for a violation.
                let mut peer = Peer::connect(broker.address());
                peer.pour(b"\x10\x10\x00\x04MQTT");
                peer.expect_turned_away(Code::BadMagic);
                peer.reset();
            }
        }
        if round % 50 == 0 {
            witness.is_served();
        }
    }
    wait_for_descriptors(&broker, before);
    witness.is_served();
}

fn connect_from(local: SocketAddr, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&local.into())?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}

#[test]
fn a_flood_from_some_starves_nobody() {
    let broker = Broker::start("");
    let mut witness = Witness::of(&broker);
    let over = AtomicBool::new(false);
    let floods = [
        bytes_of(publish("flood", AckLevel::None, &[0; 60])).repeat(1_000),
        bytes_of(publish("flood/large", AckLevel::None, &[0; 200_000])),
        bytes_of(Pong { time: 0, clock_us: 0 }).repeat(5_000),
    ];
    std::thread::scope(|scope| {
        for flood in &floods {
            let mut peer = Peer::welcomed(broker.address());
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    peer.send_bytes(flood);
                }
            });
        }
        (0..200).for_each(|_| witness.is_served());
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_port_that_is_used_again_inherits_nothing() {
    let broker = Broker::start("");
    let mut witness = Witness::of(&broker);
    let mut local: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let mut publisher = Peer::welcomed(broker.address());
    for _ in 0..50 {
        // A reset leaves nothing behind, but a process that another test is just starting may hold the socket still.
        let stream = eventually("the port", || connect_from(local, broker.address()).ok());
        let mut peer = Peer::from(stream).greet(HELLO);
        local = peer.address();
        // Were the last one's subscription still there, its number would be taken.
        peer.expect_quiet();
        peer.subscribe(subscribe(1, "port/+"));
        publisher.send(publish("port/a", AckLevel::Routed, b"x"));
        assert!(matches!(publisher.frame(), Frame::Ack(_)));
        assert!(matches!(peer.frame(), Frame::MessageNamed(_)));
        peer.reset();
    }
    witness.is_served();
}

#[test]
fn who_asked_for_a_keep_alive_and_falls_silent_is_closed_and_who_answers_is_not() {
    let mut scene = Scene::new("");
    let hello = Hello { keep_alive_ms: 1_000, ..HELLO };
    let mut silent = Peer::connect(scene.broker.address()).greet(hello);
    let mut alive = Peer::connect(scene.broker.address()).greet(hello);
    for _ in 0..3 {
        match alive.frame() {
            Frame::Ping(ping) => {
                let time = ping.time;
                alive.send(Pong { time, clock_us: 0 });
            }
            other => panic!("no ping: {other:?}"),
        }
    }
    assert!(matches!(silent.frame(), Frame::Ping(_)));
    silent.expect_closed(Code::KeepAliveTimeout);
    scene.is_told(&silent, Code::KeepAliveTimeout);
    alive.expect_quiet();
    scene.witness.is_served();
}

#[test]
fn nobody_misses_a_deadline_because_the_broker_was_stopped() {
    let broker = Broker::start("[limits]\nframe_time_max = \"200ms\"\n");
    let mut witness = Witness::of(&broker);
    // Together more than the broker reads in one turn.
    let mut peers: Vec<Peer> = (0..30).map(|_| Peer::welcomed(broker.address())).collect();
    let frame = bytes_of(publish("a", AckLevel::Routed, &[0; 50_000]));
    peers.iter_mut().for_each(|peer| peer.send_bytes(&frame[..100]));
    witness.is_served();
    broker.stop();
    peers.iter_mut().for_each(|peer| peer.send_bytes(&frame[100..]));
    // The frames' time has to pass while they stand in the broker's sockets; nothing tells when it has.
    std::thread::sleep(Duration::from_millis(300));
    broker.signal(Signal::CONT);
    for peer in &mut peers {
        match peer.frame() {
            Frame::Ack(_) => {}
            other => panic!("{other:?}"),
        }
    }
    witness.is_served();
}

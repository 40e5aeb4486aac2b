//! How the broker ends: whoever is connected is told, everything that was published is delivered, and the process ends
//! well; a second signal ends it at once.

use super::broker::Broker;
use super::peer::{HELLO, Peer, publish, subscribe};
use super::process::eventually;
use fanwire_wire::Code;
use fanwire_wire::frame::{AckLevel, Frame, Reply, Request, Subscribe};
use rustix::process::Signal;
use std::io::Write;
use std::net::TcpStream;

/// Queues that hold whatever a test leaves unread.
const WIDE: &str = "[limits]\nqueue_bytes_max = \"128MiB\"\n";
const MESSAGES: u32 = 100_000;

#[track_caller]
fn expect_goaway(peer: &mut Peer) {
    match peer.frame() {
        Frame::Goaway(goaway) => {
            assert_eq!(goaway.code, Code::Draining.number());
            assert_eq!((goaway.reconnect_min_ms, goaway.reconnect_max_ms), (100, 5_000));
        }
        other => panic!("no GOAWAY: {other:?}"),
    }
}

/// Publishes so many numbered messages and waits until they stand in every queue.
fn publish_numbers(publisher: &mut Peer, topic: &str) {
    for number in 0..MESSAGES {
        let ack = if number + 1 == MESSAGES { AckLevel::Routed } else { AckLevel::None };
        publisher.send(publish(topic, ack, &number.to_le_bytes()));
    }
    assert!(matches!(publisher.frame(), Frame::Ack(_)));
}

#[track_caller]
fn expect_numbers(subscriber: &mut Peer) {
    for number in 0..MESSAGES {
        match subscriber.frame() {
            Frame::Message(message) => assert_eq!(message.payload, number.to_le_bytes()),
            other => panic!("{other:?} instead of message {number}"),
        }
    }
}

#[test]
fn everything_that_was_queued_is_delivered_before_the_end() {
    let broker = Broker::start(WIDE);
    let mut subscriber = Peer::welcomed(broker.address());
    subscriber.subscribe(subscribe(1, "numbers"));
    let mut publisher = Peer::welcomed(broker.address());
    publish_numbers(&mut publisher, "numbers");
    broker.signal(Signal::TERM);
    expect_goaway(&mut publisher);
    drop(publisher);
    expect_numbers(&mut subscriber);
    expect_goaway(&mut subscriber);
    drop(subscriber);
    let ended = broker.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(ended.err.contains("draining") && ended.err.contains("stopped"), "{}", ended.err);
}

#[test]
fn who_stays_beyond_the_deadline_still_gets_what_it_was_owed() {
    let broker = Broker::start(&format!("{WIDE}linger_time_max = \"1m\"\n[drain]\ndeadline = \"200ms\"\n"));
    let mut subscriber = Peer::welcomed(broker.address());
    subscriber.subscribe(subscribe(1, "numbers"));
    let mut publisher = Peer::welcomed(broker.address());
    publish_numbers(&mut publisher, "numbers");
    broker.signal(Signal::TERM);
    broker.wait_for_log(&["the drain's deadline has come"]);
    expect_numbers(&mut subscriber);
    expect_goaway(&mut subscriber);
    assert!(subscriber.next_frame().is_none());
    expect_goaway(&mut publisher);
    assert!(publisher.next_frame().is_none());
    drop((subscriber, publisher));
    assert_eq!(broker.end().status.code(), Some(0));
}

#[test]
fn routing_goes_on_until_the_clients_have_left() {
    let broker = Broker::start("");
    let mut responder = Peer::welcomed(broker.address());
    responder.subscribe(Subscribe { group: b"g", responder: true, ..subscribe(1, "ask") });
    let mut peer = Peer::welcomed(broker.address());
    let topic_id = peer.subscribe(subscribe(1, "after"));
    broker.signal(Signal::TERM);
    expect_goaway(&mut responder);
    expect_goaway(&mut peer);
    peer.send(publish("after", AckLevel::Routed, b"the signal"));
    assert!(matches!(peer.frame(), Frame::Message(message) if message.topic_id == topic_id));
    assert!(matches!(peer.frame(), Frame::Ack(_)));
    peer.send(Request { correlation: 1, deadline_ms: 30_000, topic: b"ask", headers: b"", payload: b"?" });
    let Frame::Call(call) = responder.frame() else { panic!("no call") };
    let handle = call.handle;
    responder.send(Reply { handle, headers: b"", payload: b"!" });
    assert!(matches!(peer.frame(), Frame::Response(response) if response.payload == b"!"));
    drop(peer);
    drop(responder);
    assert_eq!(broker.end().status.code(), Some(0));
}

#[test]
fn newcomers_are_refused_and_who_was_about_to_come_in_is_told() {
    [1, 4].into_iter().for_each(expect_closed_door);
}

fn expect_closed_door(reactors: u32) {
    let broker = Broker::start(&format!("reactors = {reactors}\n"));
    let mut late = Peer::connect(broker.address());
    let mut peer = Peer::welcomed(broker.address());
    // Everybody who was accepted before this answer is known to its reactor or stands at its door.
    peer.expect_quiet();
    broker.signal(Signal::TERM);
    expect_goaway(&mut peer);
    eventually("a closed door", || TcpStream::connect(broker.address()).err());
    late.stream().write_all(&fanwire_wire::ClientPreface::OURS.encode()).expect("connected");
    late.send(HELLO);
    assert_eq!(late.preface().code, 0);
    assert!(matches!(late.frame(), Frame::Welcome(welcome) if welcome.draining));
    expect_goaway(&mut late);
    drop((late, peer));
    assert_eq!(broker.end().status.code(), Some(0));
}

#[test]
fn every_reactor_tells_its_clients_and_the_broker_ends_when_the_last_has_left() {
    let broker = Broker::start("reactors = 4\n[drain]\ndeadline = \"1h\"\n");
    let mut peers: Vec<Peer> = (0..40).map(|_| Peer::welcomed(broker.address())).collect();
    broker.signal(Signal::TERM);
    for reactor in 0..4 {
        broker.wait_for_log(&["\"draining\"", &format!("\"reactor\":{reactor}"), "\"connections\":10"]);
    }
    peers.iter_mut().for_each(expect_goaway);
    let mut last = peers.pop().expect("forty came");
    drop(peers);
    last.expect_quiet();
    drop(last);
    let ended = broker.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(ended.err.contains("stopped"), "{}", ended.err);
}

#[test]
fn a_deadline_that_has_come_ends_every_reactor() {
    let broker = Broker::start("reactors = 4\n[drain]\ndeadline = \"200ms\"\n");
    let mut peers: Vec<Peer> = (0..40).map(|_| Peer::welcomed(broker.address())).collect();
    broker.signal(Signal::TERM);
    for peer in &mut peers {
        expect_goaway(peer);
        assert!(peer.next_frame().is_none());
    }
    drop(peers);
    assert_eq!(broker.end().status.code(), Some(0));
}

#[test]
fn a_broker_that_nobody_uses_ends_at_either_signal() {
    for (signal, reactors) in [(Signal::TERM, 1), (Signal::INT, 1), (Signal::TERM, 64)] {
        let broker = Broker::start(&format!("reactors = {reactors}\n"));
        broker.signal(signal);
        let ended = broker.end();
        assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM), (Signal::TERM, Signal::INT)] {
        let broker = Broker::start("[drain]\ndeadline = \"1h\"\n");
        let mut peer = Peer::welcomed(broker.address());
        broker.signal(first);
        expect_goaway(&mut peer);
        broker.signal(second);
        assert_eq!(broker.end().status.code(), Some(1));
    }
}

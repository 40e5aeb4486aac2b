//! Polls from sockets of any reactor: the connection goes where the session is, whole, and the session stays there.

use super::super::Reactor;
use super::house::{House, Peer, eventually, slot_of};
use std::net::SocketAddr;

const REQUEST: &str = " HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn poll(query: &str) -> String {
    format!("GET /v1/poll?topic=a&{query}{REQUEST}")
}

/// A session: its cursor, and the reactor that has it.
fn session(house: &House) -> (String, usize) {
    let mut peer = Peer::connect(house);
    peer.send(poll("wait=0s").as_bytes());
    let body = peer.expect_answer();
    let cursor = cursor_of(&body);
    let reactor = cursor.split('-').next().expect("a number").parse().expect("a number");
    assert_eq!(house.ask(reactor, |reactor| reactor.polls.len()), 1);
    (cursor, reactor)
}

fn cursor_of(body: &str) -> String {
    let (_, cursor) = body.split_once(r#""cursor":""#).expect("a cursor");
    cursor.split('"').next().expect("its end").to_owned()
}

/// A peer whose connection is on this reactor.
fn peer_on(house: &House, reactor: usize) -> Peer {
    // Others are kept until there is one, or they would come to the same reactor again.
    let mut others = Vec::new();
    loop {
        let peer = Peer::connect(house);
        let address = peer.address;
        if eventually("the peer inside", || at(house, address)) == reactor {
            return peer;
        }
        others.push(peer);
    }
}

fn at(house: &House, peer: SocketAddr) -> Option<usize> {
    (0..2).find(|reactor| house.ask(*reactor, move |reactor: &mut Reactor| slot_of(reactor, peer)).is_some())
}

#[test]
fn a_poll_waits_on_the_reactor_of_its_session_wherever_it_came_in() {
    let house = House::open(2, 20);
    let (mut cursor, home) = session(&house);
    for from in [1 - home, home] {
        let mut peer = peer_on(&house, from);
        let poll = poll(&format!("wait=25s&after={cursor}"));
        peer.send(format!("GET /healthz{REQUEST}{poll}GET /healthz{REQUEST}").as_bytes());
        assert_eq!(peer.expect_answer(), "ok\n");
        let address = peer.address;
        let waits = move |reactor: &mut Reactor| {
            let gateway = &reactor.connections[slot_of(reactor, address)?].gateway;
            (gateway.inner().is_some() && gateway.held_bytes() > 0).then_some(())
        };
        eventually("the poll to wait there", || house.ask(home, waits));
        let mut publisher = peer_on(&house, 1 - home);
        publisher.send(b"POST /v1/topics/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx");
        publisher.expect_answer();
        let body = peer.expect_answer();
        assert!(body.contains(r#""payload":"x""#), "{body}");
        assert_eq!(peer.expect_answer(), "ok\n", "what stood behind it is answered too");
        assert_eq!(at(&house, address), Some(home));
        cursor = cursor_of(&body);
    }
    house.wait_for_connections(0);
}

#[test]
fn what_comes_while_a_request_moves_is_answered_behind_it() {
    let house = House::open(2, 20);
    let (cursor, home) = session(&house);
    let mut peer = peer_on(&house, 1 - home);
    let stalled = house.stall(home);
    peer.send(poll(&format!("wait=0s&after={cursor}")).as_bytes());
    let address = peer.address;
    let is_gone = move |reactor: &mut Reactor| slot_of(reactor, address).is_none().then_some(());
    eventually("it to be on its way", || house.ask(1 - home, is_gone));
    peer.send(format!("GET /healthz{REQUEST}").as_bytes());
    drop(stalled);
    assert!(peer.expect_answer().starts_with(r#"{"messages":[],"#));
    assert_eq!(peer.expect_answer(), "ok\n");
    drop(peer);
    house.wait_for_connections(0);
}

#[test]
fn a_peer_that_goes_while_it_moves_or_waits_leaves_the_session() {
    let house = House::open(2, 20);
    let (cursor, home) = session(&house);
    for is_reset in [false, true] {
        for is_waiting in [false, true] {
            let mut peer = peer_on(&house, 1 - home);
            let stalled = (!is_waiting).then(|| house.stall(home));
            peer.send(poll(&format!("wait=25s&after={cursor}")).as_bytes());
            let address = peer.address;
            match is_waiting {
                true => drop(eventually("it to wait", || {
                    house.ask(home, move |reactor| {
                        let index = slot_of(reactor, address)?;
                        reactor.connections[index].gateway.inner()
                    })
                })),
                false => eventually("it to be on its way", || {
                    house.ask(1 - home, move |reactor| slot_of(reactor, address).is_none().then_some(()))
                }),
            }
            if is_reset {
                peer.reset();
            } else {
                drop(peer);
            }
            drop(stalled);
            house.wait_for_connections(0);
            assert_eq!(house.ask(home, |reactor| (reactor.polls.len(), reactor.shard.session_count())), (1, 1));
        }
    }
    // It is as good as before.
    let mut peer = Peer::connect(&house);
    peer.send(poll(&format!("wait=0s&after={cursor}")).as_bytes());
    assert!(peer.expect_answer().starts_with(r#"{"messages":[],"#));
    drop(peer);
    house.wait_for_connections(0);
}

#[test]
fn a_session_that_nobody_polls_goes_and_the_reactor_sleeps_until_then() {
    let house = House::configured("[http]\npoll_session_time_max = \"1s\"\n", 2, 20);
    let (_, home) = session(&house);
    house.wait_for_connections(0);
    // Nothing wakes it but its own timer: asking would.
    let is_gone = || house.ask(home, |reactor| reactor.polls.is_empty().then_some(()));
    eventually("the session to go", is_gone);
    assert_eq!(house.ask(home, |reactor| (reactor.shard.session_count(), reactor.polls.next_deadline())), (0, None));
}

//! Connections that are handed from one running reactor to the other: no byte is lost, none is seen twice, and no
//! deadline begins anew.

use super::super::Reactor;
use super::house::{House, Peer, eventually, greeting, slot_of};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Where the connection of a peer is, once its gateway has seen so many bytes of its preface.
#[track_caller]
fn find(house: &House, peer: SocketAddr, bytes: usize) -> usize {
    let has_it = move |reactor: &mut Reactor| {
        let index = slot_of(reactor, peer)?;
        (reactor.connections[index].gateway.first_bytes().len() == bytes).then_some(())
    };
    eventually("the peer's bytes", || (0..2).find(|reactor| house.ask(*reactor, has_it).is_some()))
}

fn hand_over(house: &House, peer: SocketAddr, from: usize, input: &[u8]) {
    let input = input.to_vec();
    house.ask(from, move |reactor| {
        let index = slot_of(reactor, peer).expect("the connection is here");
        reactor.hand_over(index, 1 - from, input).unwrap();
    });
}

#[test]
fn half_a_preface_goes_along_and_the_connection_is_welcomed_where_it_went() {
    let house = House::open(2, 10);
    let (mut peer, greeting) = (Peer::connect(&house), greeting());
    peer.send(&greeting[..4]);
    let from = find(&house, peer.address, 4);
    hand_over(&house, peer.address, from, b"");
    assert_eq!(find(&house, peer.address, 4), 1 - from);
    peer.send(&greeting[4..]);
    assert_eq!(peer.expect_welcome(), 1, "ids are given by the acceptor");
    eventually("it to count there alone", || {
        let loads = house.loads();
        (loads[from] == 0 && loads[1 - from] == 1).then_some(())
    });
    drop(peer);
    house.wait_for_connections(0);
}

#[test]
fn what_was_read_and_not_used_is_used_by_the_other_before_what_comes_next() {
    let house = House::open(2, 10);
    let greeting = greeting();
    for used in 0..8 {
        for read in [used, 8, 9, greeting.len()] {
            let mut peer = Peer::connect(&house);
            peer.send(&greeting[..used]);
            let from = find(&house, peer.address, used);
            // As if these had come with the read that showed where the connection belongs.
            hand_over(&house, peer.address, from, &greeting[used..read]);
            peer.send(&greeting[read..]);
            peer.expect_welcome();
            peer.end_output();
            peer.expect_end();
        }
    }
    house.wait_for_connections(0);
}

#[test]
fn back_and_forth_with_a_byte_on_each_side_is_one_connection() {
    let house = House::open(2, 10);
    let (mut peer, greeting) = (Peer::connect(&house), greeting());
    let mut at = find(&house, peer.address, 0);
    for count in 1..8 {
        peer.send(&greeting[count - 1..count]);
        assert_eq!(find(&house, peer.address, count), at);
        hand_over(&house, peer.address, at, b"");
        at = 1 - at;
    }
    peer.send(&greeting[7..]);
    peer.expect_welcome();
    eventually("it to count where it is", || (house.loads()[at] == 1).then_some(()));
    drop(peer);
    house.wait_for_connections(0);
}

#[test]
fn what_comes_while_it_is_on_its_way_is_found_by_the_other() {
    let house = House::open(2, 10);
    let (mut peer, greeting) = (Peer::connect(&house), greeting());
    let from = find(&house, peer.address, 0);
    let stalled = house.stall(1 - from);
    hand_over(&house, peer.address, from, b"");
    peer.send(&greeting);
    peer.end_output();
    drop(stalled);
    peer.expect_welcome();
    peer.expect_end();
    house.wait_for_connections(0);
}

#[test]
fn a_peer_that_goes_while_it_is_on_its_way_is_gone() {
    let house = House::open(2, 10);
    for is_reset in [false, true] {
        let peer = Peer::connect(&house);
        let from = find(&house, peer.address, 0);
        let stalled = house.stall(1 - from);
        hand_over(&house, peer.address, from, b"");
        if is_reset {
            peer.reset();
        } else {
            drop(peer);
        }
        house.wait_for_connections(1);
        drop(stalled);
        house.wait_for_connections(0);
    }
}

#[test]
fn the_handshake_s_deadline_does_not_begin_anew() {
    let house = House::open(2, 10);
    let mut peer = Peer::connect(&house);
    let address = peer.address;
    let deadline = move |reactor: &mut Reactor| {
        let index = slot_of(reactor, address).expect("the connection is here");
        let connection = &reactor.connections[index];
        let deadline = connection.gateway.next_deadline(&reactor.settings);
        (deadline, connection.alarm.zip(deadline).is_some_and(|(alarm, due)| reactor.alarms.fires_by(alarm, due)))
    };
    let from = find(&house, address, 0);
    let before = house.ask(from, deadline);
    assert!(before.0.is_some() && before.1);
    peer.send(&greeting()[..1]);
    find(&house, address, 1);
    hand_over(&house, address, from, b"");
    find(&house, address, 1);
    assert_eq!(house.ask(1 - from, deadline), before);
    assert!(house.ask(from, |reactor| reactor.alarms.next_deadline()).is_none(), "nothing is left of it");
    drop(peer);
    house.wait_for_connections(0);
}

#[test]
fn more_than_a_door_takes_wait_and_come_in_later() {
    const CROWD: usize = 600;
    let house = House::open(2, CROWD);
    let mut peers: Vec<Peer> = (0..CROWD).map(|_| Peer::connect(&house)).collect();
    house.wait_for_connections(CROWD);
    eventually("everybody inside", || {
        let inside: usize = (0..2).map(|reactor| house.ask(reactor, |reactor| reactor.connections.len())).sum();
        (inside == CROWD).then_some(())
    });
    let stalled = house.stall(1);
    house.ask(0, |reactor| {
        let all: Vec<usize> = reactor.connections.iter().map(|(index, _)| index).collect();
        all.into_iter().for_each(|index| reactor.hand_over(index, 1, Vec::new()).unwrap());
        assert_eq!(reactor.connections.len(), 0);
    });
    peers.iter_mut().for_each(|peer| peer.send(&greeting()));
    let is_full =
        |reactor: &mut Reactor| reactor.doors[1].load().connections > CROWD / 2 && !reactor.leaving.is_empty();
    eventually("a full door", || house.ask(0, is_full).then_some(()));
    // One that is offered in vain counts twice for a moment.
    eventually("everybody to count once", || (house.loads().iter().sum::<usize>() == CROWD).then_some(()));
    drop(stalled);
    for peer in &mut peers {
        peer.expect_welcome();
    }
    eventually("all to count there alone", || (house.loads() == [0, CROWD]).then_some(()));
    drop(peers);
    house.wait_for_connections(0);
}

#[test]
fn who_has_a_session_can_not_go() {
    let house = House::open(2, 10);
    let mut peer = Peer::connect(&house);
    peer.send(&greeting()[..8]);
    let address = peer.address;
    let has_session = move |reactor: &mut Reactor| {
        slot_of(reactor, address).is_some_and(|index| reactor.connections[index].gateway.session().is_some())
    };
    let at = eventually("a session", || (0..2).find(|reactor| house.ask(*reactor, has_session)));
    let refused = house.ask(at, move |reactor| {
        let index = slot_of(reactor, address).expect("the connection is here");
        catch_unwind(AssertUnwindSafe(|| reactor.hand_over(index, 1 - at, Vec::new()))).is_err()
    });
    assert!(refused);
    peer.send(&greeting()[8..]);
    peer.expect_welcome();
    drop(peer);
    house.wait_for_connections(0);
}

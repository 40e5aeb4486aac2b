//! Reactors that the test's own thread turns, so that it knows what happens in which turn.

use super::super::door::Arrival;
use super::super::{Listener, Premises, Reactor, Team};
use crate::config::{Config, Flags};
use fanwire_core::journal::plan::Plan;
use fanwire_gateway::Gateway;
use mio::Events;
use mio::net::TcpStream;
use std::net;

/// So many reactors with this configuration, and nobody who accepts for them.
pub(super) fn reactors(config: &str, count: u32) -> Vec<Reactor> {
    let config = Config::from_text(config, &Flags { reactors: Some(count), ..Flags::default() }).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &config.socket).unwrap();
    Team::assemble(&config, Premises::new(&config, listener, 100), &Plan::default()).unwrap().reactors
}

/// One turn, for which the reactor does not sleep.
pub(super) fn turn(reactor: &mut Reactor) {
    reactor.control.wake().unwrap();
    reactor.turn(&mut Events::with_capacity(64)).unwrap();
}

/// Gives a reactor a client, and returns that.
pub(super) fn admit_client(reactor: &mut Reactor) -> net::TcpStream {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, address) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let (stream, gateway) = (TcpStream::from_std(stream), Gateway::new(reactor.now()));
    let arrival =
        Arrival { stream, address, connection_id: 1, is_operator: false, refusal: None, gateway, input: Vec::new() };
    assert!(reactor.doors[reactor.index].offer(arrival).is_none());
    turn(reactor);
    client
}

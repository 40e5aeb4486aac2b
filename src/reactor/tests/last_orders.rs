//! The drain of several reactors whose clients do not leave together.

use super::super::door::Arrival;
use super::super::{Listener, Reactor, Team};
use crate::config::{Config, Flags};
use fanwire_gateway::Native;
use mio::Events;
use mio::net::TcpStream;
use std::net;
use std::time::Duration;

/// None of these times passes while the test runs.
const CONFIG: &str = "[limits]\nlinger_time_max = \"1m\"\n[drain]\ndeadline = \"1h\"\n";

/// One turn, for which the reactor does not sleep.
fn turn(reactor: &mut Reactor) {
    reactor.control.wake().unwrap();
    reactor.turn(&mut Events::with_capacity(64)).unwrap();
}

/// Gives a reactor a client, and returns that.
fn admit_client(reactor: &mut Reactor) -> net::TcpStream {
    let listener = net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, address) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    let (stream, native) = (TcpStream::from_std(stream), Native::new(reactor.now()));
    let arrival = Arrival { stream, address, connection_id: 1, refusal: None, native, input: Vec::new() };
    assert!(reactor.doors[reactor.index].offer(arrival).is_none());
    turn(reactor);
    client
}

#[test]
fn a_reactor_without_clients_goes_on_until_those_of_the_others_have_left() {
    let config = Config::from_text(CONFIG, &Flags { reactors: Some(2), ..Flags::default() }).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &config.socket).unwrap();
    let Team { mut reactors, .. } = Team::assemble(&config, listener, 10).unwrap();
    let client = admit_client(&mut reactors[1]);
    reactors.iter().for_each(|reactor| reactor.handle().drain().unwrap());
    for _ in 0..10 {
        reactors.iter_mut().for_each(turn);
    }
    assert_eq!(reactors[1].connections.len(), 1);
    let left = reactors[0].time_to_next_deadline().unwrap();
    assert!(left > Duration::from_mins(30), "it gives up in {left:?}");
    drop(client);
    while !reactors.iter().all(Reactor::is_over) {
        reactors.iter_mut().for_each(turn);
    }
}

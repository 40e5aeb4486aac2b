//! What a message costs in system calls: a bound that holds on every machine, however busy.

use super::super::Reactor;
use super::by_hand::{admit_client, reactors, turn};
use super::house::{eventually, greeting};
use fanwire_wire::frame::{AckLevel, Frame, Message, Policy, PublishShort, Register, Start, Subscribe};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const PUBLISHERS: usize = 4;
const SUBSCRIBERS: usize = 10;
const ROUNDS: usize = 100;
const MESSAGES_PER_BURST: usize = 50;
const PAYLOAD: [u8; 64] = [7; 64];

fn bytes_of<'a>(frame: impl Into<Frame<'a>>) -> Vec<u8> {
    let mut bytes = Vec::new();
    frame.into().encode(&mut bytes);
    bytes
}

/// One who is welcomed and has said this, and was answered.
fn client(reactor: &mut Reactor, frames: &[u8]) -> TcpStream {
    let mut stream = admit_client(reactor);
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let before = reactor.connections.len();
    stream.write_all(&[greeting(), frames.to_vec()].concat()).unwrap();
    let mut answer = [0; 4_096];
    stream.set_nonblocking(true).unwrap();
    eventually("an answer", || {
        turn(reactor);
        stream.read(&mut answer).ok()
    });
    stream.set_nonblocking(false).unwrap();
    assert_eq!(reactor.connections.len(), before, "nobody was sent away");
    stream
}

/// Everybody's topics in turn, as several topics leave several chunks in each queue.
fn subscribe(number: usize) -> Vec<u8> {
    let filter = topic(number);
    bytes_of(Subscribe {
        subscription: number as u32,
        policy: Policy::Disconnect,
        no_echo: false,
        responder: false,
        max_rate_hz: 0,
        start: Start::Live,
        filter: filter.as_bytes(),
        group: b"",
    })
}

fn topic(publisher: usize) -> String {
    format!("room/{publisher}")
}

#[test]
fn a_turn_polls_once_reads_each_burst_once_and_writes_once_to_whoever_gets_something() {
    let mut reactor = reactors("", 1).remove(0);
    let wishes: Vec<u8> = (0..PUBLISHERS).flat_map(subscribe).collect();
    let mut subscribers: Vec<TcpStream> = (0..SUBSCRIBERS).map(|_| client(&mut reactor, &wishes)).collect();
    let register = |index| bytes_of(Register { short_id: 0, topic: topic(index).as_bytes() });
    let mut publishers: Vec<TcpStream> = (0..PUBLISHERS).map(|index| client(&mut reactor, &register(index))).collect();
    let publish = bytes_of(PublishShort { ack: AckLevel::None, short_id: 0, headers: b"", payload: &PAYLOAD });
    let burst = publish.repeat(MESSAGES_PER_BURST);
    let message_bytes = bytes_of(Message { topic_id: 1, headers: b"", payload: &PAYLOAD }).len();
    let mut delivered = vec![0; message_bytes * MESSAGES_PER_BURST * PUBLISHERS];

    let before = reactor.calls;
    let (mut turns, mut turns_with_output) = (0, 0);
    for _ in 0..ROUNDS {
        let wanted = reactor.shard.counters().messages_in + (PUBLISHERS * MESSAGES_PER_BURST) as u64;
        publishers.iter_mut().for_each(|publisher| publisher.write_all(&burst).unwrap());
        eventually("the burst", || {
            let deliveries = reactor.shard.counters().deliveries;
            turn(&mut reactor);
            turns += 1;
            turns_with_output += u64::from(reactor.shard.counters().deliveries > deliveries);
            (reactor.shard.counters().messages_in == wanted).then_some(())
        });
        subscribers.iter_mut().for_each(|subscriber| subscriber.read_exact(&mut delivered).unwrap());
        // Nothing has come since, so it only polls, and would sleep.
        turn(&mut reactor);
        turns += 1;
        assert!(!reactor.has_work_left());
    }
    let after = reactor.calls;

    assert_eq!((after.turns - before.turns, after.polls - before.polls), (turns, turns));
    let (reads, writes) = (after.reads - before.reads, after.writes - before.writes);
    assert_eq!(reads, (ROUNDS * PUBLISHERS) as u64, "each burst is read once, and nothing is read in vain");
    let pairs = turns_with_output * SUBSCRIBERS as u64;
    assert!(writes <= pairs, "{writes} writes, with output for {pairs} times a connection in a turn");
    assert!(writes >= (ROUNDS * SUBSCRIBERS) as u64, "everything was counted: {writes} writes");
}

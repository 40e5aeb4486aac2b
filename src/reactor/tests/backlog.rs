//! What postponed connections hold is our debt: when it is at its bound nothing more is read, and nobody is closed for
//! it, neither while it stands nor when it is worked off.

use super::house::{House, eventually, greeting, slot_of};
use fanwire_wire::frame::{AckLevel, Direction, Frame, Policy, Publish, Start, Subscribe, decode, split_frame};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A bound of half a mebibyte for each of two reactors: a few connections reach it.
const CONFIG: &str = "\
    [limits]\nframe_bytes_max = \"256KiB\"\npartial_bytes_total_max = \"1MiB\"\nqueue_bytes_max = \"1GiB\"\n\
    queue_bytes_total_max = \"4GiB\"\n";
const PATIENCE: Duration = Duration::from_secs(30);
const PUBLISHERS: usize = 20;
/// Messages of each, a kilobyte each: all together four mailboxes full, so that many are left however they share the
/// first one.
const MESSAGES: u64 = 800;

/// A connection that is welcomed, and whether it is on the first reactor.
fn connect(house: &House) -> (bool, TcpStream) {
    let mut stream = TcpStream::connect(house.address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(&greeting()).unwrap();
    hear(&mut stream, 8, |frame| matches!(frame, Frame::Welcome(_)));
    let address = stream.local_addr().unwrap();
    (house.ask(0, move |reactor| slot_of(reactor, address).is_some()), stream)
}

/// Takes frames, behind so many other bytes, until one says that it is enough.
#[track_caller]
fn hear(stream: &mut TcpStream, skipped_bytes: usize, mut is_enough: impl FnMut(Frame<'_>) -> bool) {
    stream.read_exact(&mut vec![0; skipped_bytes]).unwrap();
    let (mut buffer, mut read) = (Vec::new(), vec![0; 64 * 1024]);
    let mut is_over = false;
    while !is_over {
        let count = stream.read(&mut read).unwrap();
        assert!(count > 0, "the broker has ended the connection");
        buffer.extend_from_slice(&read[..count]);
        let mut begin = 0;
        while let Some((frame, size)) = split_frame(&buffer[begin..], 1 << 24).unwrap() {
            is_over |= is_enough(decode(frame, Direction::ToClient).unwrap().frame);
            begin += size;
        }
        buffer.drain(..begin);
    }
}

fn publish_all(stream: &mut TcpStream) {
    let mut bytes = Vec::new();
    for _ in 0..MESSAGES {
        Frame::from(Publish { ack: AckLevel::Routed, topic: b"asleep", headers: b"", payload: &[7; 1_000] })
            .encode(&mut bytes);
    }
    stream.write_all(&bytes).unwrap();
    let mut acked = 0;
    hear(stream, 0, |frame| {
        let Frame::Ack(ack) = frame else { panic!("{frame:?}") };
        acked += u64::from(ack.count);
        acked == MESSAGES
    });
}

#[test]
fn a_backlog_at_its_bound_stops_the_reading_and_costs_nobody_the_connection() {
    let house = House::configured(CONFIG, 2, 200);
    let connections = (0..2 * PUBLISHERS).map(|_| connect(&house));
    let (publishers, mut others): (Vec<_>, Vec<_>) = connections.partition(|(is_first, _)| *is_first);
    let (_, mut asleep) = others.pop().expect("every second one");
    let mut bytes = Vec::new();
    let wish = Subscribe {
        subscription: 1,
        policy: Policy::Disconnect,
        no_echo: false,
        responder: false,
        max_rate_hz: 0,
        start: Start::Live,
        filter: b"asleep",
        group: b"",
    };
    Frame::from(wish).encode(&mut bytes);
    asleep.write_all(&bytes).unwrap();
    hear(&mut asleep, 0, |frame| matches!(frame, Frame::Subscribed(_)));
    let stalled = house.stall(1);
    std::thread::scope(|scope| {
        for (_, mut publisher) in publishers {
            scope.spawn(move || publish_all(&mut publisher));
        }
        eventually("the backlog to be full, and others to be unread", || {
            house.ask(0, |reactor| !reactor.may_read() && !reactor.ready.is_empty()).then_some(())
        });
        drop(stalled);
        let mut left = PUBLISHERS as u64 * MESSAGES;
        hear(&mut asleep, 0, |frame| {
            assert!(matches!(frame, Frame::Message(_)), "{frame:?}");
            left -= 1;
            left == 0
        });
    });
    drop((asleep, others));
    house.wait_for_connections(0);
    for reactor in 0..2 {
        assert_eq!(house.ask(reactor, |reactor| (reactor.partial_bytes, reactor.may_read())), (0, true));
    }
}

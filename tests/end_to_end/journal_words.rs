//! What `sub` and `pub` say about journals, against a broker by script: records, ends, and statuses.
//!
//! The broker here is a thread that answers one connection as the test says, so that what no sound broker does every
//! day (a reset, retention that overtakes) is at hand.

use super::process::{Ended, PATIENCE, Process, fanwire};
use fanwire_wire::frame::{
    Ack, Area, CaughtUp, Direction, Frame, History, Outcome, Policy, PublishExtensions, Record, Refusal, Scope, Start,
    Subscribed, Unsubscribed, Welcome, decode, split_frame,
};
use fanwire_wire::preface::PREFACE_BYTES;
use fanwire_wire::{Code, Extensions, Limits, ServerPreface};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread::JoinHandle;

const EPOCH: u64 = 1_767_225_600_000_000;

/// The broker's end of the one connection.
struct Peer {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    fn welcome(listener: &TcpListener) -> Peer {
        let (stream, _) = listener.accept().expect("the verb connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        let mut peer = Peer { stream, read: Vec::new() };
        peer.stream.read_exact(&mut [0; PREFACE_BYTES]).expect("a preface");
        peer.expect(|frame, _| assert!(matches!(frame, Frame::Hello(_))));
        let mut bytes = ServerPreface::ours(None).encode().to_vec();
        let welcome = Welcome {
            version: 1,
            open: true,
            draining: false,
            connection_id: 1,
            server_time_us: 0,
            keep_alive_ms: 0,
            limits: Limits::default(),
            server_name: "script",
        };
        welcome.encode(&mut bytes);
        peer.write(&bytes);
        peer
    }

    fn expect<T>(&mut self, look: impl FnOnce(Frame<'_>, PublishExtensions) -> T) -> T {
        let mut chunk = [0; 4096];
        while split_frame(&self.read, u32::MAX).expect("the client keeps the rules").is_none() {
            let count = self.stream.read(&mut chunk).expect("the verb speaks");
            assert!(count > 0, "the verb left too early");
            self.read.extend_from_slice(&chunk[..count]);
        }
        let (bytes, size) = split_frame(&self.read, u32::MAX).expect("seen").expect("whole");
        let decoded = decode(bytes, Direction::ToBroker).expect("the client keeps the rules");
        let seen = look(decoded.frame, decoded.extensions.publish());
        self.read.drain(..size);
        seen
    }

    fn expect_subscribe(&mut self, start: Start, outcome: Outcome) -> u32 {
        let id = self.expect(|frame, _| match frame {
            Frame::Subscribe(wish) => {
                assert_eq!((wish.start, wish.policy), (start, Policy::CatchUp));
                wish.subscription
            }
            other => panic!("{other:?}"),
        });
        self.send(Subscribed { subscription: id, topic_id: 5, outcome, epoch: EPOCH });
        id
    }

    fn send<'a>(&mut self, frame: impl Into<Frame<'a>>) {
        self.send_with(frame, Extensions::default());
    }

    fn send_with<'a>(&mut self, frame: impl Into<Frame<'a>>, extensions: Extensions<'_>) {
        let mut bytes = Vec::new();
        frame.into().encode_with(extensions, &mut bytes);
        self.write(&bytes);
    }

    /// A verb that is done may not wait for more.
    fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Lets the verb end when it likes.
    fn drain(mut self) {
        let _ = self.stream.read_to_end(&mut Vec::new());
    }
}

fn scripted(script: impl FnOnce(Peer) + Send + 'static) -> (JoinHandle<()>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    (std::thread::spawn(move || script(Peer::welcome(&listener))), format!("fanwire://{address}"))
}

#[track_caller]
fn run(arguments: &[&str], script: impl FnOnce(Peer) + Send + 'static) -> (Ended, String) {
    let (broker, url) = scripted(script);
    let mut command = fanwire(arguments);
    command.env("FANWIRE_SERVER", url);
    let ended = Process::start(command).end();
    broker.join().expect("the script was kept");
    let out = String::from_utf8(ended.out.clone()).expect("text");
    (ended, out)
}

const fn record(subscription: u32, sequence: u64, payload: &[u8]) -> History<'_> {
    let (position, time_us) = (100 + sequence, EPOCH + 1);
    History { subscription, sequence, position, time_us, topic: b"a", headers: b"", payload }
}

#[test]
fn a_history_is_shown_to_its_end_and_no_further() {
    let (ended, out) = run(&["sub", "a", "--from", "seq:7", "--until", "caught-up", "--format", "json"], |mut peer| {
        let id = peer.expect_subscribe(Start::Sequence { sequence: 7 }, Outcome::History);
        peer.send(record(id, 7, b"seven"));
        peer.send(record(id, 8, b"eight"));
        peer.send(CaughtUp { subscription: id, position: 108 });
        peer.send(Record { topic_id: 5, sequence: 9, headers: b"", payload: b"too late" });
        peer.drain();
    });
    assert!(ended.status.success(), "{}", ended.err);
    let place =
        r#""epoch":1767225600000000,"seq":7,"position":107,"time":"2026-01-01T00:00:00.000001Z","history":true"#;
    assert_eq!(out.lines().next(), Some(&*format!(r#"{{"topic":"a","payload":"seven",{place}}}"#)));
    assert_eq!(out.lines().count(), 2, "{out}");
}

#[test]
fn resets_cursors_and_live_records_are_told_apart() {
    let arguments = ["sub", "a", "--from", "resume:3:7", "--count", "2", "--format", "json"];
    let (ended, out) = run(&arguments, |mut peer| {
        let id = peer.expect_subscribe(Start::Resume { epoch: 3, last: 7 }, Outcome::ResetRetention);
        peer.send(record(id, 40, b"oldest"));
        peer.send(CaughtUp { subscription: id, position: 140 });
        peer.send(fanwire_wire::frame::Cursor { subscription: id, position: 141 });
        peer.send(CaughtUp { subscription: id, position: 140 });
        peer.send(Record { topic_id: 5, sequence: 41, headers: b"", payload: b"newest" });
        peer.drain();
    });
    assert!(ended.status.success(), "{}", ended.err);
    for said in ["reset a: retention has removed the place", "a has caught up", "a fell behind", "nothing is missing"] {
        assert!(ended.err.contains(said), "{said}: {}", ended.err);
    }
    assert!(out.ends_with("\"epoch\":1767225600000000,\"seq\":41,\"history\":false}\n"), "{out}");
}

#[test]
fn a_history_that_cannot_be_shown_fails_and_says_what_to_do() {
    let (ended, _) = run(&["sub", "a", "--from", "first", "--until", "caught-up"], |mut peer| {
        let id = peer.expect_subscribe(Start::First, Outcome::History);
        peer.send(Unsubscribed { subscription: id, code: Code::RetentionOvertaken.number() });
        peer.drain();
    });
    assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
    assert!(ended.err.contains("RETENTION_OVERTAKEN") && ended.err.contains("--from first"), "{}", ended.err);
    let (ended, _) = run(&["sub", "a/#", "--from", "last"], |mut peer| {
        let id = peer.expect(|frame, _| match frame {
            Frame::Subscribe(wish) => wish.subscription,
            other => panic!("{other:?}"),
        });
        peer.send(Refusal::new(Scope::Subscription, Code::StartUnavailable, id.into(), ""));
        peer.drain();
    });
    assert_eq!(ended.status.code(), Some(1), "{}", ended.err);
    assert!(ended.err.contains("--journal 'name=filter'"), "{}", ended.err);
}

#[test]
fn publishes_tell_sequences_duplicates_and_conflicts() {
    let asked = ["pub", "a", "x", "--ack", "durable", "--expect", "4", "--producer", "8271:15"];
    let (ended, _) = run(&asked, |mut peer| {
        peer.expect(|_, asked| {
            assert_eq!(asked.expect, Some(4));
            let producer = asked.producer.expect("a producer");
            assert_eq!((producer.id, producer.number), (8271, 15));
        });
        let level = fanwire_wire::frame::AckLevel::Durable;
        let ack = Ack { first: 1, count: 1, level, first_sequence: 5 };
        peer.send_with(ack, Extensions::OF_DUPLICATES);
        peer.drain();
    });
    assert!(ended.status.success(), "{}", ended.err);
    assert_eq!(ended.err, "fanwire: 1 message durable, sequence 5; it had been accepted before\n");
    let (ended, _) = run(&["pub", "a", "x", "--ack", "journaled", "--expect", "0"], |mut peer| {
        peer.expect(|_, asked| assert_eq!(asked.expect, Some(0)));
        let refusal = Refusal::new(Scope::Publish, Code::Conflict, 1, "");
        peer.send_with(refusal, Area::of_actual(9).extensions());
        peer.drain();
    });
    assert_eq!(ended.status.code(), Some(1));
    assert!(ended.err.contains("CONFLICT") && ended.err.contains("at sequence 9"), "{}", ended.err);
}

//! WebSocket with both subprotocols: what native peers and browsers say to each other through one broker, and how a
//! connection ends.

use super::broker::Broker;
use super::journal_scene::{DataDirectory, configuration};
use super::memory::NARROW;
use super::peer::{HELLO, Peer, bytes_of, publish, subscribe};
use super::process::eventually;
use super::web::{BINARY, CLOSE, JSON, NATIVE, PING, PONG, Socket, TEXT, Web, fragment};
use fanwire_wire::frame::{AckLevel, Direction, Frame, Ping, decode, split_frame};
use fanwire_wire::limits::{DELIVERY_BYTES_EXTRA, FRAME_BYTES_CEILING};
use rustix::process::Signal;
use serde_json::json;
use std::collections::VecDeque;

const MEMORY: &str = "[[journal]]\nname = \"events\"\ntopics = [\"match/#\"]\nstore = \"memory\"\n";

/// A WebSocket of native frames.
struct NativeSocket {
    socket: Socket,
    frames: VecDeque<Vec<u8>>,
}

impl NativeSocket {
    #[track_caller]
    fn open(broker: &Broker) -> NativeSocket {
        NativeSocket { socket: Socket::open(broker.address(), NATIVE), frames: VecDeque::new() }
    }

    #[track_caller]
    fn welcomed(broker: &Broker) -> NativeSocket {
        let mut socket = NativeSocket::open(broker);
        socket.send(HELLO);
        assert!(matches!(socket.frame(), Frame::Welcome(_)));
        socket
    }

    fn send<'a>(&mut self, frame: impl Into<Frame<'a>>) {
        self.socket.send(BINARY, &bytes_of(frame));
    }

    /// The next frame; every message holds whole ones.
    #[track_caller]
    fn frame(&mut self) -> Frame<'_> {
        while self.frames.len() < 2 {
            if self.frames.len() == 1 {
                // The front one was handed out before.
                self.frames.pop_front();
            }
            let (opcode, message) = self.socket.frame();
            assert_eq!(opcode, BINARY, "{:?}", String::from_utf8_lossy(&message));
            let mut rest = &message[..];
            self.frames.push_back(Vec::new());
            while !rest.is_empty() {
                let split = split_frame(rest, FRAME_BYTES_CEILING + DELIVERY_BYTES_EXTRA).expect("frames");
                let (frame, size) = split.expect("whole frames");
                self.frames.push_back(frame.to_vec());
                rest = &rest[size..];
            }
        }
        self.frames.pop_front();
        decode(&self.frames[0], Direction::ToClient).expect("the broker keeps the rules").frame
    }
}

#[test]
fn what_one_side_publishes_the_others_hear_on_every_reactor() {
    let broker = Broker::start("reactors = 2\n");
    let mut peers: Vec<Peer> = (0..2).map(|_| Peer::welcomed(broker.address())).collect();
    let mut sockets: Vec<Socket> = (0..2).map(|_| Socket::json(broker.address())).collect();
    let mut natives: Vec<NativeSocket> = (0..2).map(|_| NativeSocket::welcomed(&broker)).collect();
    for peer in &mut peers {
        peer.subscribe(subscribe(1, "chat/+"));
    }
    for socket in &mut sockets {
        let subscribed = socket.subscribe(r#"{"type":"subscribe","subscription":7,"filter":"chat/+"}"#);
        assert_eq!(subscribed, json!({"type": "subscribed", "subscription": 7, "outcome": "live"}));
    }
    for native in &mut natives {
        native.send(subscribe(1, "chat/+"));
        assert!(matches!(native.frame(), Frame::Subscribed(_)));
    }
    let payloads: [&[u8]; 4] = [b"native", b"json", b"frames", b"\x00\xfe"];
    peers[0].send(publish("chat/a", AckLevel::None, payloads[0]));
    let expect = |payload: &[u8], peers: &mut [Peer], sockets: &mut [Socket], natives: &mut [NativeSocket]| {
        for peer in peers {
            assert!(matches!(peer.frame(), Frame::MessageNamed(message) if message.payload == payload));
        }
        for socket in sockets {
            let message = socket.object_of("message");
            match str::from_utf8(payload) {
                Ok(text) => assert_eq!(message, json!({"type": "message", "topic": "chat/a", "payload": text})),
                Err(_) => assert_eq!(message["payload_base64"], "AP4="),
            }
        }
        for native in natives {
            assert!(matches!(native.frame(), Frame::MessageNamed(message) if message.payload == payload));
        }
    };
    expect(payloads[0], &mut peers, &mut sockets, &mut natives);
    sockets[1].tell(r#"{"type":"publish","topic":"chat/a","payload":"json"}"#);
    expect(payloads[1], &mut peers, &mut sockets, &mut natives);
    natives[0].send(publish("chat/a", AckLevel::None, payloads[2]));
    expect(payloads[2], &mut peers, &mut sockets, &mut natives);
    peers[1].send(publish("chat/a", AckLevel::None, payloads[3]));
    expect(payloads[3], &mut peers, &mut sockets, &mut natives);
}

#[test]
fn requests_go_from_and_to_pages() {
    let broker = Broker::start("reactors = 2\n");
    let mut responder = Socket::json(broker.address());
    responder.subscribe(r#"{"type":"subscribe","subscription":4,"filter":"time/+","group":"g","responder":true}"#);
    for number in 0..4 {
        let mut requester = Socket::json(broker.address());
        requester.tell(&format!(
            r#"{{"type":"request","correlation":{number},"topic":"time/now","deadline_ms":20000,"payload":"UTC"}}"#
        ));
        let call = responder.object_of("call");
        assert_eq!(
            (&call["subscription"], &call["topic"], &call["payload"]),
            (&json!(4), &json!("time/now"), &json!("UTC"))
        );
        responder.tell(&format!(r#"{{"type":"reply","handle":{},"payload":"12:00"}}"#, call["handle"]));
        let response = requester.object_of("response");
        assert_eq!(response, json!({"type": "response", "correlation": number, "payload": "12:00"}));
    }
    let mut requester = Socket::json(broker.address());
    requester.tell(r#"{"type":"request","correlation":1,"topic":"nobody","deadline_ms":100}"#);
    assert_eq!(requester.object_of("response")["name"], "NO_RESPONDERS");
}

#[test]
fn every_command_and_event_of_json_is_there() {
    let broker = Broker::start(MEMORY);
    let mut socket = Socket::json(broker.address());
    for (told, answer) in [
        (r#"{"type":"ping","time":5}"#, json!({"type": "pong", "time": 5})),
        (
            r#"{"type":"publish","topic":"match/1","payload":"a","ack":"routed"}"#,
            json!({"type": "ack", "first": 1, "count": 1, "level": "routed", "first_sequence": 1}),
        ),
        (
            r#"{"type":"publish","topic":"match/1","ack":"routed","expect":7}"#,
            json!({"type": "error", "scope": "publish", "code": 107, "name": "CONFLICT", "reference": 2,
                   "retry": "never", "actual": 1}),
        ),
        (
            r#"{"type":"publish","topic":"match/1","payload":"b","ack":"routed","producer":{"id":9,"sequence":1}}"#,
            json!({"type": "ack", "first": 3, "count": 1, "level": "routed", "first_sequence": 2}),
        ),
        (
            r#"{"type":"publish","topic":"match/1","payload":"b","ack":"routed","producer":{"id":9,"sequence":1}}"#,
            json!({"type": "ack", "first": 4, "count": 1, "level": "routed", "first_sequence": 2, "duplicate": true}),
        ),
        (r#"{"type":"unsubscribe","subscription":99}"#, json!({"type": "error", "scope": "subscription", "code": 206})),
        (
            r#"{"type":"subscribe","subscription":1,"filter":"a/#/b"}"#,
            json!({"type": "error", "name": "INVALID_FILTER"}),
        ),
        (
            r#"{"type":"subscribe","subscription":2,"filter":"x","start":"first"}"#,
            json!({"type": "error", "name": "START_UNAVAILABLE", "reference": 2}),
        ),
        (r#"{"type":"subscribe","subscription":3,"filter":"x"}"#, json!({"type": "subscribed", "outcome": "live"})),
        (r#"{"type":"unsubscribe","subscription":3}"#, json!({"type": "unsubscribed", "subscription": 3})),
    ] {
        socket.tell(told);
        let object = socket.object();
        for (field, value) in answer.as_object().expect("an object") {
            assert_eq!(&object[field], value, "{told}: {object}");
        }
    }
    socket.expect_quiet();
}

#[test]
fn several_native_frames_may_share_a_message_and_none_may_be_cut() {
    let broker = Broker::start("");
    let mut native = NativeSocket::open(&broker);
    let together =
        [bytes_of(HELLO), bytes_of(subscribe(1, "a")), bytes_of(publish("a", AckLevel::Routed, b"x"))].concat();
    native.socket.send(BINARY, &together);
    assert!(matches!(native.frame(), Frame::Welcome(_)));
    let topic_id = match native.frame() {
        Frame::Subscribed(subscribed) => subscribed.topic_id,
        other => panic!("{other:?}"),
    };
    assert!(matches!(native.frame(), Frame::Message(message) if message.topic_id == topic_id));
    assert!(matches!(native.frame(), Frame::Ack(_)));
    native.socket.send(BINARY, b"");
    native.send(Ping { time: 1 });
    assert!(matches!(native.frame(), Frame::Pong(_)), "an empty message holds no frame");
    let frame = bytes_of(publish("a", AckLevel::None, b"never delivered"));
    native.socket.send(BINARY, &frame[..5]);
    native.socket.send(BINARY, &frame[5..]);
    assert!(matches!(native.frame(), Frame::Error(refusal) if refusal.code == 3));
    native.socket.expect_closed(1007, "MALFORMED_FRAME");
    // The other side's kind of message is none.
    let mut native = NativeSocket::welcomed(&broker);
    native.socket.send(TEXT, b"{}");
    native.socket.expect_closed(1003, "UNEXPECTED_FRAME");
    let mut socket = Socket::json(broker.address());
    socket.send(BINARY, &bytes_of(Ping { time: 1 }));
    socket.expect_closed(1003, "UNEXPECTED_FRAME");
}

/// Whatever the fragments and wherever they are cut, with a ping between each two of them.
#[test]
fn fragments_are_one_message_and_pings_between_them_are_answered() {
    let broker = Broker::start("");
    let mut socket = Socket::json(broker.address());
    socket.subscribe(r#"{"type":"subscribe","subscription":1,"filter":"a"}"#);
    let text = "{\"type\":\"publish\",\"topic\":\"a\",\"payload\":\"\u{20ac}\u{1f600}\"}".as_bytes();
    for piece_bytes in [1, 2, 3, 10, text.len()] {
        for write_bytes in [1, 3, usize::MAX] {
            let pieces: Vec<&[u8]> = text.chunks(piece_bytes).collect();
            let mut bytes = Vec::new();
            for (number, piece) in pieces.iter().enumerate() {
                let opcode = if number == 0 { TEXT } else { 0 };
                let is_last = number + 1 == pieces.len();
                bytes.extend(fragment(opcode, is_last, piece));
                if !is_last {
                    bytes.extend(fragment(PING, true, &[number as u8]));
                }
            }
            bytes.chunks(write_bytes.min(bytes.len())).for_each(|piece| socket.web().say(piece));
            for number in 0..pieces.len() - 1 {
                assert_eq!(socket.frame(), (PONG, vec![number as u8]));
            }
            assert_eq!(socket.object_of("message")["payload"], "\u{20ac}\u{1f600}");
        }
    }
}

#[test]
fn a_close_frame_is_answered_with_the_same_code_and_is_the_end() {
    let broker = Broker::start("");
    for (payload, answer) in [
        (&[][..], &[][..]),
        (&[0x03, 0xE8], &[0x03, 0xE8]),
        (b"\x03\xe9bye \xc3\xa9", b"\x03\xe9"),
        (&[0x0F, 0xA0], &[0x0F, 0xA0]),
    ] {
        let mut socket = Socket::json(broker.address());
        socket.subscribe(r#"{"type":"subscribe","subscription":1,"filter":"a"}"#);
        socket.send(CLOSE, payload);
        // What stands behind is not looked at.
        socket.web().pour(fragment(TEXT, true, br#"{"type":"publish","topic":"a"}"#));
        assert_eq!(socket.frame(), (CLOSE, answer.to_vec()));
        socket.web().expect_end();
    }
}

#[test]
fn what_breaks_the_rules_is_closed_with_their_code() {
    let broker = Broker::start("");
    let unmasked = [0x81, 2, b'{', b'}'].to_vec();
    let with = |first: u8, payload: &[u8]| {
        let mut frame = fragment(TEXT, true, payload);
        frame[0] = first;
        frame
    };
    for (what, bytes, code, name) in [
        ("no mask", unmasked, 1002, "MALFORMED_FRAME"),
        ("RSV1 without compression", with(0xC1, b"{}"), 1002, "RESERVED_BITS"),
        ("RSV2", with(0xA1, b"{}"), 1002, "RESERVED_BITS"),
        ("an unknown opcode", with(0x83, b"{}"), 1002, "UNKNOWN_FRAME"),
        ("an unknown control opcode", with(0x8B, b""), 1002, "UNKNOWN_FRAME"),
        ("a fragmented ping", fragment(PING, false, b"x"), 1002, "MALFORMED_FRAME"),
        ("a long ping", fragment(PING, true, &[0; 126]), 1002, "MALFORMED_FRAME"),
        ("a continuation of nothing", fragment(0, true, b"x"), 1002, "UNEXPECTED_FRAME"),
        ("two at once", [fragment(TEXT, false, b"{"), fragment(TEXT, true, b"}")].concat(), 1002, "UNEXPECTED_FRAME"),
        ("a long form of a length", [&[0x81, 0xFE, 0, 2, 0, 0, 0, 0][..], b"{}"].concat(), 1002, "MALFORMED_FRAME"),
        ("half a close code", fragment(CLOSE, true, &[3]), 1002, "MALFORMED_FRAME"),
        ("a close code for reports", fragment(CLOSE, true, &[0x03, 0xED]), 1002, "MALFORMED_FRAME"),
        ("a close reason that is no text", fragment(CLOSE, true, &[0x03, 0xE8, 0xFF]), 1007, "MALFORMED_FRAME"),
        ("no text", fragment(TEXT, true, b"{\xff}"), 1007, "MALFORMED_FRAME"),
        ("no text, in the first of many fragments", fragment(TEXT, false, b"\xed\xa0"), 1007, "MALFORMED_FRAME"),
        (
            "a character that does not end",
            [fragment(TEXT, false, b"\xe2\x82"), fragment(0, true, b"")].concat(),
            1007,
            "MALFORMED_FRAME",
        ),
        ("no JSON", fragment(TEXT, true, b"hello"), 1007, "MALFORMED_FRAME"),
        ("no object", fragment(TEXT, true, b"[1]"), 1007, "MALFORMED_FRAME"),
        ("nothing", fragment(TEXT, true, b""), 1007, "MALFORMED_FRAME"),
        ("an unknown type", fragment(TEXT, true, br#"{"type":"dance"}"#), 1007, "MALFORMED_FRAME"),
        ("a missing field", fragment(TEXT, true, br#"{"type":"publish"}"#), 1007, "MALFORMED_FRAME"),
        ("nested too deeply", fragment(TEXT, true, &[b'['; 100_000]), 1007, "MALFORMED_FRAME"),
        ("hello twice", fragment(TEXT, true, br#"{"type":"hello"}"#), 1002, "UNEXPECTED_FRAME"),
    ] {
        let mut socket = Socket::json(broker.address());
        socket.web().say(bytes);
        let (mut opcode, mut payload) = socket.frame();
        if opcode == TEXT {
            let error: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
            assert_eq!((&error["scope"], &error["name"]), (&json!("connection"), &json!(name)), "{what}");
            (opcode, payload) = socket.frame();
        }
        assert_eq!(opcode, CLOSE, "{what}");
        let told = (u16::from_be_bytes([payload[0], payload[1]]), String::from_utf8_lossy(&payload[2..]).into_owned());
        assert_eq!((told.0, told.1.split(' ').next()), (code, Some(name)), "{what}");
        socket.web().end_output();
        socket.web().expect_end();
    }
}

#[test]
fn messages_beyond_the_limit_are_refused_in_one_piece_or_in_many() {
    const LIMIT: usize = 8 * 1024;
    let broker = Broker::start("[limits]\nframe_bytes_max = \"8KiB\"\nheaders_bytes_max = \"1KiB\"\n");
    // A length that is announced and never comes.
    let announced = [&[0x81, 0xFF][..], &(u64::MAX >> 1).to_be_bytes(), &[0; 4]].concat();
    let whole = fragment(TEXT, true, &[b' '; LIMIT + 1]);
    let in_many = [fragment(TEXT, false, &[b' '; LIMIT]), fragment(0, false, b" ")].concat();
    for bytes in [announced, whole, in_many] {
        let mut socket = Socket::json(broker.address());
        socket.web().pour(bytes);
        socket.web().pour([0; 300_000]);
        socket.expect_closed(1009, "FRAME_TOO_LARGE");
    }
    let mut socket = Socket::json(broker.address());
    socket.subscribe(r#"{"type":"subscribe","subscription":1,"filter":"a"}"#);
    let front = r#"{"type":"publish","topic":"a","payload":""#;
    let longest = format!("{front}{}\"}}", "x".repeat(LIMIT - front.len() - 2));
    socket.tell(&longest);
    assert_eq!(socket.object_of("message")["payload"].as_str().map(str::len), Some(LIMIT - front.len() - 2));
}

#[test]
fn a_history_and_then_the_present_reach_a_slow_reader_without_a_hole() {
    const RECORDS: u64 = 3_000;
    let data = DataDirectory::new();
    let broker = Broker::start(&configuration(data.path(), ""));
    let mut publisher = Peer::welcomed(broker.address());
    let filler = "x".repeat(2_000);
    let mut say = |number: u64| {
        publisher.send(publish("match/1", AckLevel::None, format!("{number} {filler}").as_bytes()));
        if number.is_multiple_of(100) {
            publisher.expect_quiet();
        }
    };
    (1..=RECORDS / 2).for_each(&mut say);
    let start = r#"{"type":"subscribe","subscription":5,"filter":"match/1","policy":"catch-up","start":"first"}"#;
    let mut slow = narrow_socket(&broker);
    assert_eq!(slow.subscribe(start)["outcome"], "history");
    // It reads nothing of this.
    (RECORDS / 2 + 1..=RECORDS).for_each(&mut say);
    let mut last = 0;
    while last < RECORDS {
        let object = slow.object();
        match object["type"].as_str().expect("a type") {
            "history" | "message" => {
                last += 1;
                assert_eq!(object["sequence"], last, "in order, once, without a hole");
                let payload = object["payload"].as_str().expect("text");
                assert!(payload.starts_with(&format!("{last} ")));
            }
            "caught_up" | "cursor" => {}
            other => panic!("{other}"),
        }
    }
    slow.expect_quiet_after(&["caught_up", "cursor"]);
    say(RECORDS + 1);
    assert_eq!(slow.object_of("message")["sequence"], RECORDS + 1);
}

/// Welcomed, with small buffers on the way.
#[track_caller]
fn narrow_socket(broker: &Broker) -> Socket {
    let peer = Peer::connect_narrow(broker.address());
    let stream = peer.stream().try_clone().expect("a descriptor");
    Socket::open_on(Web::from(stream), JSON).greet()
}

impl Socket {
    /// Nothing but notices of these types was said.
    #[track_caller]
    fn expect_quiet_after(&mut self, notices: &[&str]) {
        self.send(PING, b"quiet");
        loop {
            let (opcode, payload) = self.frame();
            if opcode == PONG {
                return;
            }
            let object: serde_json::Value = serde_json::from_slice(&payload).expect("JSON");
            assert!(notices.contains(&object["type"].as_str().expect("a type")), "{object}");
        }
    }
}

#[test]
fn a_slow_reader_that_conflates_is_told_how_much_it_missed() {
    const PUBLISHED: u64 = 3_000;
    let broker = Broker::start(NARROW);
    let mut slow = narrow_socket(&broker);
    slow.subscribe(r#"{"type":"subscribe","subscription":2,"filter":"state/+","policy":"conflate"}"#);
    let mut publisher = Peer::welcomed(broker.address());
    let filler = "x".repeat(4_000);
    for number in 1..=PUBLISHED {
        publisher.send(publish("state/a", AckLevel::None, format!("{number} {filler}").as_bytes()));
    }
    publisher.expect_quiet();
    let (mut last, mut got, mut conflated) = (0, 0, 0);
    while last < PUBLISHED {
        let object = slow.object();
        match object["type"].as_str().expect("a type") {
            "gap" => {
                assert_eq!((object["subscription"].as_u64(), object["dropped"].as_u64()), (Some(2), Some(0)));
                conflated += object["conflated"].as_u64().expect("a number");
            }
            "message" => {
                let number = object["payload"].as_str().and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
                assert!(number > Some(last), "{number:?} behind {last}");
                last = number.expect("a number");
                got += 1;
            }
            other => panic!("{other}"),
        }
    }
    assert!(conflated > 0, "the queue never overflowed");
    assert_eq!(got + conflated, PUBLISHED, "every message was delivered or told of");
}

#[test]
fn who_wants_no_echo_hears_only_others() {
    let broker = Broker::start("");
    let mut one = Socket::json(broker.address());
    let mut other = Socket::json(broker.address());
    for socket in [&mut one, &mut other] {
        socket.subscribe(r#"{"type":"subscribe","subscription":1,"filter":"a","no_echo":true}"#);
    }
    one.tell(r#"{"type":"publish","topic":"a","payload":"x","ack":"routed"}"#);
    one.object_of("ack");
    one.expect_quiet();
    assert_eq!(other.object_of("message")["payload"], "x");
}

#[test]
fn who_is_silent_is_pinged_and_then_closed() {
    let broker = Broker::start("");
    let mut socket = Socket::open(broker.address(), JSON);
    socket.tell(r#"{"type":"hello","keep_alive_ms":1}"#);
    let granted = socket.object_of("welcome")["keep_alive_ms"].as_u64().expect("a number");
    assert!((1..=10_000).contains(&granted), "{granted}");
    let (opcode, payload) = socket.frame();
    assert_eq!(opcode, PING);
    socket.send(PONG, &payload);
    assert_eq!(socket.frame().0, PING, "who answers lives");
    assert_eq!(socket.object_of("error")["name"], "KEEP_ALIVE_TIMEOUT");
    socket.expect_closed(1008, "KEEP_ALIVE_TIMEOUT");
}

#[test]
fn a_drain_tells_every_websocket_when_to_come_back_and_closes_it_as_going_away() {
    let broker = Broker::start("reactors = 2\n[drain]\ndeadline = \"300ms\"\n");
    let mut sockets: Vec<Socket> = (0..4).map(|_| Socket::json(broker.address())).collect();
    let mut natives: Vec<NativeSocket> = (0..4).map(|_| NativeSocket::welcomed(&broker)).collect();
    let mut unknown = Socket::open(broker.address(), JSON);
    unknown.expect_quiet();
    broker.signal(Signal::TERM);
    for socket in &mut sockets {
        let goaway = socket.object_of("goaway");
        assert_eq!((&goaway["name"], &goaway["reconnect_max_ms"]), (&json!("DRAINING"), &json!(5_000)));
        socket.expect_closed(1001, "DRAINING");
    }
    for native in &mut natives {
        assert!(matches!(native.frame(), Frame::Goaway(_)));
        native.socket.expect_closed(1001, "DRAINING");
    }
    unknown.expect_closed(1001, "DRAINING");
    drop((sockets, natives, unknown));
    assert_eq!(broker.end().status.code(), Some(0));
}

#[test]
fn a_client_that_vanishes_leaves_nothing_behind() {
    let broker = Broker::start("");
    let mut peer = Peer::welcomed(broker.address());
    let descriptors = broker.descriptor_count();
    for round in 0..50 {
        let mut socket = Socket::json(broker.address());
        socket.subscribe(r#"{"type":"subscribe","subscription":1,"filter":"a"}"#);
        match round % 3 {
            0 => socket.web().say(&fragment(TEXT, true, br#"{"type":"publish"}"#)[..9]),
            1 => socket.web().end_output(),
            _ => {}
        }
    }
    eventually("their descriptors", || (broker.descriptor_count() <= descriptors).then_some(()));
    peer.send(publish("a", AckLevel::Routed, b"x"));
    assert!(matches!(peer.frame(), Frame::Ack(_)));
}

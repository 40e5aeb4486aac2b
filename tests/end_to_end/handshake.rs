//! Hostile openings: what is no Fanwire client, comes with the wrong version or secret, or takes its time.

use super::broker::Broker;
use super::peer::{HELLO, Peer, Witness, bytes_of, publish, subscribe};
use super::process::eventually;
use super::scene::{Scene, greeting};
use fanwire_wire::frame::{
    Ack, AckLevel, Frame, Hello, Ping, Pong, PublishShort, Register, Reply, Request, Unsubscribe,
};
use fanwire_wire::limits::HELLO_BYTES_MAX;
use fanwire_wire::preface::PREFACE_BYTES;
use fanwire_wire::{ClientPreface, Code};
use std::time::Duration;

/// Short enough to wait for, long enough for a peer that hurries.
const HASTY: &str = "[limits]\nhandshake_time_max = \"400ms\"\n";

#[test]
fn what_speaks_another_protocol_is_turned_away_and_named() {
    let mut scene = Scene::new("");
    for (first_bytes, spoken) in [
        (&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], "TLS"),
        (b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd", "MQTT"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n", "PROXY"),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c", "PROXY"),
        (&[0xF5, b'F', b'W', b'X', 1, 1, 0, 0], "native"),
        (&[0; 64], "unknown"),
        (b"\xff\xff\xff\xff", "unknown"),
    ] {
        let mut peer = scene.peer();
        peer.pour(first_bytes);
        peer.pour(&[b'x'; 100_000]);
        peer.expect_turned_away(Code::BadMagic);
        let named = format!("\"peer\":\"{}\"", peer.address());
        scene.broker.wait_for_log(&[&named, "BAD_MAGIC", &format!("\"speaks\":\"{spoken}\"")]);
        scene.witness.is_served();
    }
}

#[test]
fn an_unsupported_version_is_answered_with_what_is_supported() {
    let mut scene = Scene::new("");
    for (version_min, version_max) in [(2, 9), (0, 0), (0, 1), (3, 1), (255, 255)] {
        let preface = ClientPreface { version_min, version_max };
        // The answer names the range, which `turns_away` compares with this build's.
        scene.turns_away(&preface.encode(), Code::UnsupportedVersion);
    }
    let mut reserved = ClientPreface::OURS.encode();
    reserved[7] = 0x80;
    scene.turns_away(&reserved, Code::ReservedBits);
    // A client that speaks later versions too is welcome.
    let mut peer = scene.peer();
    peer.send_bytes(&ClientPreface { version_min: 1, version_max: 200 }.encode());
    peer.send(HELLO);
    assert_eq!(peer.preface().code, 0);
    assert!(matches!(peer.frame(), Frame::Welcome(welcome) if welcome.version == 1 && welcome.open));
}

#[test]
fn a_wrong_token_is_refused_and_the_right_one_is_not() {
    let config = "tokens = [\"open-sesame\", \"second\"]\n";
    let broker = Broker::start(config);
    for credentials in [&b""[..], b"open-sesam", b"open-sesame ", b"OPEN-SESAME", b"open-sesame\0", b"\xff\xfe"] {
        let mut peer = Peer::connect(broker.address());
        peer.send_bytes(&ClientPreface::OURS.encode());
        peer.send(Hello { credentials, ..HELLO });
        peer.pour(&bytes_of(subscribe(1, "#")));
        assert_eq!(peer.preface().code, 0);
        match peer.frame() {
            Frame::Error(refusal) => assert_eq!(refusal.code, Code::BadCredentials.number()),
            other => panic!("let in with {credentials:?}: {other:?}"),
        }
        assert!(peer.next_frame().is_none());
        broker.wait_for_log(&[&peer.address().to_string(), "BAD_CREDENTIALS"]);
    }
    for credentials in [&b"open-sesame"[..], b"second"] {
        let peer = Peer::connect(broker.address()).greet(Hello { credentials, ..HELLO });
        Witness::from(peer).is_served();
    }
}

#[test]
fn nothing_may_come_before_hello_and_hello_comes_once() {
    let mut scene = Scene::new("");
    for bytes in [
        bytes_of(Ping { time: 1 }),
        bytes_of(Pong { time: 1, clock_us: 1 }),
        bytes_of(Register { short_id: 0, topic: b"a" }),
        bytes_of(publish("a", AckLevel::Routed, b"x")),
        bytes_of(PublishShort { ack: AckLevel::None, short_id: 0, headers: b"", payload: b"x" }),
        bytes_of(subscribe(1, "#")),
        bytes_of(Unsubscribe { subscription: 1 }),
        bytes_of(Request { correlation: 1, deadline_ms: 100, topic: b"a", headers: b"", payload: b"x" }),
        bytes_of(Reply { handle: 1, headers: b"", payload: b"x" }),
        bytes_of(Ack { first: 1, count: 1, level: AckLevel::Routed, first_sequence: 0 }),
    ] {
        scene.refuses_greeting(&bytes, Code::UnexpectedFrame);
    }
    scene.closes(&bytes_of(HELLO), Code::UnexpectedFrame);
}

#[test]
fn a_hello_that_breaks_its_bounds_is_refused() {
    let mut scene = Scene::new("");
    let long = "n".repeat(65);
    scene.refuses_greeting(&bytes_of(Hello { client_name: &long, ..HELLO }), Code::MalformedFrame);
    scene.refuses_greeting(&bytes_of(Hello { client_version: &long, ..HELLO }), Code::MalformedFrame);
    scene.refuses_greeting(&bytes_of(Hello { credentials: &[b'c'; 4_097], ..HELLO }), Code::MalformedFrame);
    let mut not_text = bytes_of(HELLO);
    let name = not_text.windows(4).position(|bytes| bytes == b"peer").expect("the name");
    not_text[name] = 0xFF;
    scene.refuses_greeting(&not_text, Code::MalformedFrame);
    // Until the welcome a frame is small, whatever the limits say.
    let length = HELLO_BYTES_MAX + 1;
    let claimed = [(length & 0x7F) as u8 | 0x80, (length >> 7) as u8];
    scene.refuses_greeting(&claimed, Code::FrameTooLarge);
}

#[test]
fn a_hundred_silent_connections_are_closed_in_time_and_leave_nothing_behind() {
    let mut scene = Scene::new(HASTY);
    let before = scene.broker.descriptor_count();
    let mut silent: Vec<Peer> = (0..100).map(|_| scene.peer()).collect();
    scene.witness.is_served();
    for peer in &mut silent {
        peer.expect_turned_away(Code::HandshakeTimeout);
    }
    let told = scene.broker.wait_for_log(&["HANDSHAKE_TIMEOUT", "\"peer\":\"127.0.0.1:"]);
    assert!(told.contains("\"level\":\"warn\""), "{told}");
    drop(silent);
    eventually("every descriptor back", || (scene.broker.descriptor_count() == before).then_some(()));
    scene.witness.is_served();
}

#[test]
fn a_handshake_one_byte_at_a_time_ends_at_the_total_deadline() {
    let mut scene = Scene::new(HASTY);
    let mut peer = scene.peer();
    let hello = Hello { credentials: &[b'c'; 4_000], ..HELLO };
    let bytes = [ClientPreface::OURS.encode().to_vec(), bytes_of(hello)].concat();
    let mut dribble = bytes.chunks(1);
    // The broker's preface comes on the way; the next word is the end.
    eventually("the deadline of the handshake", || {
        peer.pour(dribble.next().expect("the deadline comes before the last byte"));
        std::thread::sleep(Duration::from_millis(5));
        scene.witness.is_served();
        if !peer.is_greeted() && peer.has_word() {
            peer.preface();
        }
        (peer.is_greeted() && peer.has_word()).then_some(())
    });
    peer.expect_closed(Code::HandshakeTimeout);
    scene.is_told(&peer, Code::HandshakeTimeout);
    scene.witness.is_served();
}

#[test]
fn bytes_split_at_every_place_mean_the_same() {
    let broker = Broker::start("");
    let session =
        [greeting(), bytes_of(subscribe(7, "split/+")), bytes_of(publish("split/a", AckLevel::Routed, b"payload"))]
            .concat();
    for cut in 1..session.len() {
        let mut peer = Peer::connect(broker.address());
        let (front, back) = session.split_at(cut);
        peer.send_bytes(front);
        if cut >= PREFACE_BYTES {
            // Who has been answered has been read: the rest comes apart for certain.
            assert_eq!(peer.preface().code, 0);
        }
        peer.send_bytes(back);
        expect_session(&mut peer);
    }
    let mut peer = Peer::connect(broker.address());
    session.chunks(1).for_each(|byte| peer.send_bytes(byte));
    expect_session(&mut peer);
}

/// What the session above is answered with.
fn expect_session(peer: &mut Peer) {
    if !peer.is_greeted() {
        assert_eq!(peer.preface().code, 0);
    }
    assert!(matches!(peer.frame(), Frame::Welcome(_)));
    assert!(matches!(peer.frame(), Frame::Subscribed(subscribed) if subscribed.subscription == 7));
    assert!(matches!(peer.frame(), Frame::MessageNamed(message) if message.payload == b"payload"));
    assert!(matches!(peer.frame(), Frame::Ack(ack) if (ack.first, ack.count) == (1, 1)));
}

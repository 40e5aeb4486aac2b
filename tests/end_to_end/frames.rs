//! Hostile frames: lengths, kinds, bits and bytes that no sound client sends, and sound sessions that are cut or
//! flipped at every place.

use super::broker::Broker;
use super::peer::{Peer, Witness, bytes_of, publish, subscribe};
use super::process::eventually;
use super::scene::{Scene, greeting};
use fanwire_wire::frame::{
    AckLevel, Frame, KINDS, Ping, Producer, PublishExtensions, PublishShort, Register, Reply, Request, Scope,
    Subscribe, Unsubscribe,
};
use fanwire_wire::{Code, Extension, Extensions};
use std::io::Read;
use std::time::Duration;

/// A kind byte's bit that announces an extension area.
const EXTENDED: u8 = 0x40;
/// A kind byte's bit that announces a headers block.
const HEADED: u8 = 0x80;

/// A frame with the length in front that its bytes ask for.
fn framed(bytes: &[u8]) -> Vec<u8> {
    let length = u8::try_from(bytes.len()).expect("a short frame");
    assert!(length < 0x80);
    [&[length], bytes].concat()
}

#[test]
fn a_length_that_no_frame_has_ends_the_connection() {
    let mut scene = Scene::new("[limits]\nframe_bytes_max = \"64KiB\"\n");
    scene.closes(&[0], Code::EmptyFrame);
    for claimed in [64 * 1024 + 1, (1 << 21) - 1, (1 << 28) - 1] {
        let varint: Vec<u8> = (0..4).map(|place| (claimed >> (7 * place)) as u8 & 0x7F | 0x80).collect();
        let size = varint.iter().rposition(|byte| byte & 0x7F != 0).expect("a length") + 1;
        let mut prefix = varint[..size].to_vec();
        prefix[size - 1] &= 0x7F;
        scene.closes(&prefix, Code::FrameTooLarge);
    }
    for wrong in [&[0x80, 0][..], &[0x81, 0x80, 0], &[0x80, 0x80, 0x80, 0x80], &[0xFF; 5]] {
        scene.closes(wrong, Code::NonCanonicalVarint);
    }
    // Lengths inside of a frame have one form too, and end where the frame does.
    scene.closes(&framed(&[0x08, 0, 0x81, 0, b'a', b'x']), Code::NonCanonicalVarint);
    scene.closes(&framed(&[0x08, 0, 0xFF, 0xFF, 0x7F, b'a']), Code::MalformedFrame);
}

#[test]
fn a_frame_of_the_largest_size_passes() {
    let broker = Broker::start("[limits]\nframe_bytes_max = \"64KiB\"\n");
    let mut peer = Peer::welcomed(broker.address());
    let topic_id = peer.subscribe(subscribe(1, "large"));
    // Kind, ack level, topic.
    let payload = vec![7; 64 * 1024 - 1 - 1 - 6];
    peer.send(publish("large", AckLevel::Routed, &payload));
    assert!(matches!(peer.frame(), Frame::Message(m) if m.topic_id == topic_id && m.payload == payload));
    assert!(matches!(peer.frame(), Frame::Ack(_)));
}

#[test]
fn an_unknown_kind_or_one_for_clients_ends_the_connection() {
    let mut scene = Scene::new("");
    let unknown = (0..=0x3F).filter(|code| !KINDS.iter().any(|kind| kind.code == *code));
    for kind in unknown {
        scene.closes(&framed(&[kind, 0, 0]), Code::UnknownFrame);
    }
    for kind in KINDS.iter().filter(|kind| kind.direction == fanwire_wire::Direction::ToClient) {
        scene.closes(&framed(&[kind.code, 0, 0]), Code::UnexpectedFrame);
    }
}

#[test]
fn reserved_bits_values_and_lengths_end_the_connection() {
    let mut scene = Scene::new("");
    let ping = bytes_of(Ping { time: 1 });
    // No headers block stands before a PING.
    scene.closes(&framed(&[&[ping[1] | HEADED], &ping[2..]].concat()), Code::ReservedBits);
    // An ack level, a policy, flags and a start that do not exist.
    scene.closes(&framed(&[0x08, 9, 1, b'a', b'x']), Code::ReservedBits);
    let sound = bytes_of(subscribe(1, "a"));
    for (place, value, code) in
        [(6, 5, Code::MalformedFrame), (7, 0x80, Code::ReservedBits), (10, 8, Code::MalformedFrame)]
    {
        let mut wrong = sound.clone();
        wrong[place] = value;
        scene.closes(&wrong, code);
    }
    // A frame ends where its last field ends.
    scene.closes(&framed(&[&ping[1..], &[0]].concat()), Code::MalformedFrame);
    scene.closes(&framed(&ping[1..8]), Code::MalformedFrame);
    // A headers block that is announced is not empty and fits its frame.
    scene.closes(&framed(&[0x08 | HEADED, 0, 0, 1, b'a', b'x']), Code::MalformedFrame);
    scene.closes(&framed(&[0x08 | HEADED, 9, 0, 1, b'a', b'x']), Code::MalformedFrame);
}

#[test]
fn an_extension_is_skipped_unless_it_is_critical() {
    let mut scene = Scene::new("");
    let extended = |critical| {
        let mut area = Vec::new();
        Extensions::write(&mut area, &[Extension { number: 77, critical, value: b"from the future" }]);
        let mut bytes = Vec::new();
        Frame::from(Ping { time: 8 }).encode_with(Extensions::from_area(&area), &mut bytes);
        bytes
    };
    let mut peer = scene.welcomed();
    peer.send_bytes(&extended(false));
    assert!(matches!(peer.frame(), Frame::Pong(pong) if pong.time == 8));
    scene.closes(&extended(true), Code::UnknownCriticalExtension);
    scene.closes(&framed(&[0x03 | EXTENDED, 0, 0]), Code::MalformedFrame);
    scene.closes(&framed(&[0x03 | EXTENDED, 1, 2, 3, 4, 5, 6, 7, 8, 0xFF, 0xFF]), Code::MalformedFrame);
}

#[test]
fn a_publish_on_a_condition_is_refused_where_no_journal_keeps_it() {
    let broker = Broker::start("");
    let mut peer = Peer::welcomed(broker.address());
    peer.subscribe(subscribe(1, "doc/7"));
    peer.send(Register { short_id: 7, topic: b"doc/7" });
    let producer = Some(Producer { id: 1, number: 1 });
    for asked in [(Some(0), None), (None, producer), (Some(4), producer)] {
        let asked = PublishExtensions { expect: asked.0, producer: asked.1 }.area();
        let mut bytes = Vec::new();
        publish("doc/7", AckLevel::Routed, b"x").encode_with(asked.extensions(), &mut bytes);
        let short = PublishShort { ack: AckLevel::None, short_id: 7, headers: b"", payload: b"x" };
        short.encode_with(asked.extensions(), &mut bytes);
        peer.send_bytes(&bytes);
    }
    for number in 1..=3 {
        peer.expect_refused(Scope::Publish, Code::AckLevelUnavailable, number);
        peer.expect_refused(Scope::UnackedPublish, Code::AckLevelUnavailable, 0);
    }
    peer.expect_quiet();
}

#[test]
fn more_tiny_frames_than_a_turn_takes_are_all_worked_off() {
    let mut scene = Scene::new("");
    let mut peer = scene.welcomed();
    // Ten thousand fit one read; the refusals of all of them fit the queue.
    for _ in 0..4 {
        peer.send_bytes(&bytes_of(Unsubscribe { subscription: 9 }).repeat(10_900));
        for _ in 0..10_900 {
            peer.expect_refused(Scope::Subscription, Code::UnknownSubscription, 9);
        }
        scene.witness.is_served();
    }
    peer.expect_quiet();
}

#[test]
fn a_frame_that_is_begun_has_to_be_ended_in_time() {
    let mut scene = Scene::new("[limits]\nframe_time_max = \"300ms\"\n");
    let frame = bytes_of(publish("a", AckLevel::None, &[0; 10_000]));
    let mut silent = scene.welcomed();
    silent.send_bytes(&frame[..100]);
    scene.witness.is_served();
    silent.expect_closed(Code::FrameTimeout);
    scene.is_told(&silent, Code::FrameTimeout);
    // One byte at a time: the frame's time runs from its first byte.
    let mut dribbling = scene.welcomed();
    let mut bytes = frame.chunks(1);
    eventually("the end of the frame's time", || {
        dribbling.pour(bytes.next().expect("the time is over before the frame is"));
        std::thread::sleep(Duration::from_millis(2));
        scene.witness.is_served();
        dribbling.has_word().then_some(())
    });
    dribbling.expect_closed(Code::FrameTimeout);
    scene.is_told(&dribbling, Code::FrameTimeout);
    // Silence between frames is no offence.
    scene.witness.is_served();
}

/// A session with every command, as one client would send it.
fn session() -> Vec<u8> {
    let group = Subscribe { group: b"cut", ..subscribe(3, "cut/work") };
    let responder = Subscribe { group: b"cut", responder: true, ..subscribe(4, "cut/ask") };
    [
        greeting(),
        bytes_of(Register { short_id: 3, topic: b"cut/a" }),
        bytes_of(subscribe(1, "cut/a")),
        bytes_of(subscribe(2, "cut/+/b/#")),
        bytes_of(group),
        bytes_of(responder),
        bytes_of(PublishShort { ack: AckLevel::Routed, short_id: 3, headers: b"\x01h\x01v", payload: b"one" }),
        bytes_of(publish("cut/x/b", AckLevel::None, b"two")),
        bytes_of(Request { correlation: 5, deadline_ms: 60_000, topic: b"cut/ask", headers: b"", payload: b"q" }),
        bytes_of(Reply { handle: 1, headers: b"", payload: b"r" }),
        bytes_of(Ping { time: 1 }),
        bytes_of(Unsubscribe { subscription: 2 }),
    ]
    .concat()
}

/// Sends everything, ends its side and hears the broker out, whatever it says.
fn play(broker: &Broker, bytes: &[u8]) {
    let mut peer = Peer::connect(broker.address());
    peer.pour(bytes);
    peer.end_output();
    let mut heard = Vec::new();
    peer.stream().read_to_end(&mut heard).expect("the broker ends the connection, and not by a reset");
}

#[test]
fn a_session_cut_at_every_byte_leaves_nothing_behind() {
    let broker = Broker::start("");
    let mut witness = Witness::of(&broker);
    let before = broker.descriptor_count();
    let session = session();
    for cut in 0..=session.len() {
        play(&broker, &session[..cut]);
    }
    witness.is_served();
    eventually("every descriptor back", || (broker.descriptor_count() == before).then_some(()));
}

#[test]
fn a_session_with_any_bit_flipped_harms_nobody() {
    let broker = Broker::start("");
    let mut witness = Witness::of(&broker);
    let before = broker.descriptor_count();
    let session = session();
    for bit in 0..session.len() * 8 {
        let mut flipped = session.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        play(&broker, &flipped);
        if bit % 64 == 0 {
            witness.is_served();
        }
    }
    witness.is_served();
    eventually("every descriptor back", || (broker.descriptor_count() == before).then_some(()));
}

#[test]
fn noise_behind_a_good_greeting_harms_nobody() {
    let broker = Broker::start("");
    let mut witness = Witness::of(&broker);
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..200 {
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .take(600)
        .collect();
        play(&broker, &[greeting(), noise].concat());
    }
    witness.is_served();
}

//! What ends up in the log: no forged line, no control character, no secret, and no flood.

use super::broker::Broker;
use super::peer::{HELLO, Peer, bytes_of, publish, subscribe};
use super::process::eventually;
use super::scene::Scene;
use fanwire_wire::frame::{AckLevel, Hello, Register, Scope, Subscribe};
use fanwire_wire::{ClientPreface, Code};
use serde_json::Value;

const HOSTILE: &str = "x\" peer=1.2.3.4\n{\"level\":\"error\",\"message\":\"forged\"}\r\n\x1b[2J\u{202e}";

/// Names that would forge a line, in every place where a name can stand.
fn provoke(broker: &Broker) {
    let hello = Hello { client_name: &HOSTILE[..58], client_version: "\x1b[31m1", ..HELLO };
    let mut peer = Peer::connect(broker.address()).greet(hello);
    peer.send(publish(HOSTILE, AckLevel::None, b"x"));
    peer.expect_refused(Scope::UnackedPublish, Code::InvalidTopic, 0);
    peer.send(Register { short_id: 1, topic: HOSTILE.as_bytes() });
    peer.expect_refused(Scope::Register, Code::InvalidTopic, 1);
    peer.send(subscribe(1, HOSTILE));
    peer.expect_refused(Scope::Subscription, Code::InvalidFilter, 1);
    peer.send(Subscribe { group: &HOSTILE.as_bytes()[..58], ..subscribe(1, "a") });
    peer.expect_refused(Scope::Subscription, Code::InvalidGroup, 1);
    // These break no rule: direction marks and quotes may stand in a topic.
    peer.subscribe(subscribe(1, "a\" peer=1.2.3.4 \u{202e}/#"));
    peer.send(publish("a\" peer=1.2.3.4 \u{202e}/b", AckLevel::Routed, HOSTILE.as_bytes()));
    peer.frame();
    peer.frame();
    peer.pour(b"\0");
    peer.expect_closed(Code::EmptyFrame);
    let mut stranger = Peer::connect(broker.address());
    stranger.pour(HOSTILE.as_bytes());
    stranger.expect_turned_away(Code::BadMagic);
    broker.wait_for_log(&["BAD_MAGIC"]);
}

#[test]
fn hostile_names_forge_no_line() {
    let json = Broker::start("[log]\nlevel = \"trace\"\nformat = \"json\"\n");
    provoke(&json);
    for line in json.log().lines() {
        let object: Value = serde_json::from_str(line).expect("every line is an object");
        assert_ne!(object["message"], "forged");
        assert!(object["peer"] != "1.2.3.4" && !line.contains('\x1b'), "{line}");
    }
    let text = Broker::start("[log]\nlevel = \"trace\"\nformat = \"text\"\n");
    provoke(&text);
    for line in text.log().lines() {
        assert!(line.starts_with("20") && !line.contains(" peer=1.2.3.4"), "{line}");
        assert!(!line.contains(['\x1b', '\r', '\u{202e}']), "{line}");
    }
}

#[test]
fn no_secret_is_ever_told() {
    let broker = Broker::start("tokens = [\"open-sesame\"]\n[log]\nlevel = \"trace\"\n");
    let peer = Peer::connect(broker.address()).greet(Hello { credentials: b"open-sesame", ..HELLO });
    for credentials in [&b"open-barley"[..], b"open-sesame-"] {
        let mut stranger = Peer::connect(broker.address());
        stranger.send_bytes(&ClientPreface::OURS.encode());
        stranger.send(Hello { credentials, ..HELLO });
        stranger.preface();
        stranger.expect_closed(Code::BadCredentials);
        broker.wait_for_log(&["BAD_CREDENTIALS", &stranger.address().to_string()]);
    }
    drop(peer);
    broker.signal(rustix::process::Signal::TERM);
    let ended = broker.end();
    let told = [String::from_utf8(ended.out).expect("text"), ended.err].concat();
    assert!(told.contains("stopped"), "{told}");
    for secret in ["open-sesame", "open-barley"] {
        assert!(!told.contains(secret), "{told}");
    }
}

#[test]
fn a_flood_of_offences_is_counted_and_not_told_one_by_one() {
    const OFFENCES: u64 = 1_500;
    let mut scene = Scene::new("");
    for _ in 0..OFFENCES {
        let mut peer = scene.peer();
        peer.pour(b"\x10\x10\x00\x04MQTT");
        peer.expect_turned_away(Code::BadMagic);
    }
    let counted = |log: &str| {
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("an object"));
        lines.fold((0, 0), |(told, suppressed), line| {
            let is_offence = u64::from(line["message"] == "connection closed");
            (told + is_offence, suppressed + line["suppressed"].as_u64().unwrap_or(0))
        })
    };
    eventually("every offence counted", || {
        scene.witness.is_served();
        let (told, suppressed) = counted(&scene.broker.log());
        (told + suppressed == OFFENCES).then_some(())
    });
    let (told, suppressed) = counted(&scene.broker.log());
    assert!(told < suppressed, "{told} lines were written and {suppressed} spared");
    // Every message that a refusal answers could be such an offence too.
    let mut peer = scene.welcomed();
    let wrong = bytes_of(publish("a/#", AckLevel::None, b"x"));
    peer.send_bytes(&wrong.repeat(1_000));
    for _ in 0..1_000 {
        peer.expect_refused(Scope::UnackedPublish, Code::InvalidTopic, 0);
    }
    scene.witness.is_served();
    assert!(scene.broker.log().lines().filter(|line| line.contains("INVALID_TOPIC")).count() <= 20);
}

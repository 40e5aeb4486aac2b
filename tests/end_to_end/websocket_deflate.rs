//! Messages made smaller (permessage-deflate): what is agreed on, what comes back, and who would have the broker
//! inflate more than it takes. The cases of the Autobahn test suite's sections 12 and 13 are among them.

use super::broker::Broker;
use super::peer::{HELLO, Peer, bytes_of, publish, subscribe};
use super::web::{BINARY, CLOSE, JSON, NATIVE, PING, PONG, Socket, TEXT, fragment};
use fanwire_gateway::websocket::deflate::{Deflater, inflate};
use fanwire_wire::frame::AckLevel;
use serde_json::{Value, json};

const COMPRESSION: &str = "[http]\ncompression = true\n";
const OFFER: &str = "permessage-deflate; client_max_window_bits";
const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
/// The bit of a frame's first byte that says: made smaller.
const DEFLATED: u8 = 0x40;
const INFLATED_BYTES_MAX: usize = 4 << 20;

fn deflated(message: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    assert!(Deflater::default().deflate(message, &mut out), "it becomes smaller");
    out
}

#[track_caller]
fn open(broker: &Broker, subprotocol: &str) -> Socket {
    let (socket, agreed) = Socket::open_offering(broker.address(), subprotocol, OFFER);
    assert_eq!(agreed.as_deref(), Some(AGREED));
    socket
}

/// Says a message made smaller, in fragments of so many bytes.
fn say(socket: &mut Socket, opcode: u8, message: &[u8], fragment_bytes: usize) {
    let deflated = deflated(message);
    let count = deflated.chunks(fragment_bytes).count();
    for (index, piece) in deflated.chunks(fragment_bytes).enumerate() {
        let opcode = if index == 0 { opcode | DEFLATED } else { 0 };
        socket.web().pour(fragment(opcode, index + 1 == count, piece));
    }
}

/// The next message, and whether it was made smaller.
#[track_caller]
fn hear(socket: &mut Socket) -> (Vec<u8>, bool) {
    let (first, payload) = socket.raw_frame();
    match first & DEFLATED != 0 {
        true => (inflate(&payload, INFLATED_BYTES_MAX).expect("DEFLATE"), true),
        false => (payload, false),
    }
}

#[track_caller]
fn hear_object(socket: &mut Socket) -> (Value, bool) {
    let (message, is_deflated) = hear(socket);
    (serde_json::from_slice(&message).expect("JSON"), is_deflated)
}

#[test]
fn nothing_is_agreed_on_unless_it_is_configured_and_offered_in_a_way_that_can_be_had() {
    let plain = Broker::start("");
    assert_eq!(Socket::open_offering(plain.address(), JSON, OFFER).1, None);
    let broker = Broker::start(COMPRESSION);
    for (offer, expected) in [
        (OFFER, Some(AGREED.to_owned())),
        (
            "permessage-deflate; server_max_window_bits=12; client_max_window_bits=12",
            Some(format!("{AGREED}; server_max_window_bits=12")),
        ),
        ("permessage-deflate; server_max_window_bits=9, permessage-deflate", Some(AGREED.to_owned())),
        ("permessage-deflate; server_max_window_bits=9", None),
        ("permessage-deflate; unknown=1", None),
        ("bbf-usp-protocol", None),
    ] {
        for subprotocol in [JSON, NATIVE] {
            assert_eq!(Socket::open_offering(broker.address(), subprotocol, offer).1, expected, "{offer}");
        }
    }
    // Where nothing was agreed on, the bit that says smaller is a breach.
    let mut socket = Socket::open_offering(plain.address(), JSON, OFFER).0;
    socket.web().pour(fragment(TEXT | DEFLATED, true, &deflated(&[b' '; 100])));
    socket.expect_closed(1002, "RESERVED_BITS");
}

/// Autobahn's 12.1, 12.2 and 13.x: messages of these sizes back and forth, in several fragmentations.
#[test]
fn messages_of_every_size_come_back_in_both_subprotocols() {
    let broker = Broker::start(COMPRESSION);
    let mut json = open(&broker, JSON);
    json.tell(r#"{"type":"hello"}"#);
    assert_eq!(json.object()["type"], "welcome");
    json.subscribe(r#"{"type":"subscribe","subscription":1,"filter":"chat/+"}"#);
    let mut native = open(&broker, NATIVE);
    native.send(BINARY, &[bytes_of(HELLO), bytes_of(subscribe(1, "chat/+"))].concat());
    for _ in 0..2 {
        assert_eq!(native.frame().0, BINARY);
    }
    for size in [16, 64, 256, 1_024, 4_096, 8_192, 16_384, 32_768, 65_536, 131_072] {
        let text = "Räksmörgås and other words. ".repeat(size / 29 + 8);
        let publication = json!({"type": "publish", "topic": "chat/a", "payload": text}).to_string();
        let frame = bytes_of(publish("chat/a", AckLevel::None, text.as_bytes()));
        for fragment_bytes in [usize::MAX, 256, 7] {
            say(&mut json, TEXT, publication.as_bytes(), fragment_bytes);
            say(&mut native, BINARY, &frame, fragment_bytes);
            for _ in 0..2 {
                let (object, is_deflated) = hear_object(&mut json);
                assert_eq!((object["payload"].as_str(), is_deflated), (Some(&*text), text.len() > 200), "{size}");
                let (frame, is_deflated) = hear(&mut native);
                assert!(frame.ends_with(text.as_bytes()) && is_deflated == (text.len() > 200), "{size}");
            }
        }
    }
    // A control frame stands between fragments and is never made smaller.
    let publication = json!({"type": "publish", "topic": "chat/a", "payload": "in pieces, in pieces, in pieces"});
    let deflated = deflated(publication.to_string().as_bytes());
    json.web().pour(fragment(TEXT | DEFLATED, false, &deflated[..9]));
    json.web().pour(fragment(PING, true, b"between"));
    json.web().pour(fragment(0, true, &deflated[9..]));
    assert_eq!(json.frame(), (PONG, b"between".to_vec()));
    assert_eq!(hear_object(&mut json).0["payload"], "in pieces, in pieces, in pieces");
    json.send(CLOSE, &1000_u16.to_be_bytes());
    assert_eq!(json.frame(), (CLOSE, 1000_u16.to_be_bytes().to_vec()));
}

#[test]
fn who_agreed_on_it_and_who_did_not_hear_the_same() {
    let broker = Broker::start(COMPRESSION);
    let mut plain = Socket::json(broker.address());
    let mut smaller: Vec<Socket> = (0..2).map(|_| open(&broker, JSON)).collect();
    let mut peer = Peer::welcomed(broker.address());
    for socket in &mut smaller {
        socket.tell(r#"{"type":"hello"}"#);
        assert_eq!(socket.object()["type"], "welcome");
    }
    for socket in smaller.iter_mut().chain([&mut plain]) {
        socket.subscribe(r#"{"type":"subscribe","subscription":1,"filter":"a"}"#);
    }
    let long = "0123456789".repeat(500);
    for payload in ["short", &long, "short"] {
        peer.send(publish("a", AckLevel::None, payload.as_bytes()));
        let (told, is_deflated) = hear_object(&mut plain);
        assert_eq!((told["payload"].as_str(), is_deflated), (Some(payload), false));
        let frames: Vec<(u8, Vec<u8>)> = smaller.iter_mut().map(Socket::raw_frame).collect();
        assert_eq!(frames[0], frames[1], "rendered once for both");
        assert_eq!(frames[0].0 & DEFLATED != 0, payload == long);
        assert!(payload != long || frames[0].1.len() < 500, "it is smaller");
    }
}

#[test]
fn a_bomb_ends_its_connection_and_nobody_else_s() {
    let broker = Broker::start(&format!("{COMPRESSION}[limits]\nframe_bytes_max = 65536\n"));
    let bomb = deflated(&vec![b' '; 64 << 20]);
    let front = &bomb[..60_000];
    for (subprotocol, opcode) in [(JSON, TEXT), (NATIVE, BINARY)] {
        let mut socket = open(&broker, subprotocol);
        socket.web().pour(fragment(opcode | DEFLATED, true, front));
        socket.expect_closed(1009, "FRAME_TOO_LARGE");
        // What is within the limit as it comes may be beyond it in pieces.
        let mut socket = open(&broker, subprotocol);
        socket.web().pour(fragment(opcode | DEFLATED, false, front));
        socket.web().pour(fragment(0, true, front));
        socket.expect_closed(1009, "FRAME_TOO_LARGE");
        let mut socket = open(&broker, subprotocol);
        socket.web().pour(fragment(opcode | DEFLATED, true, b"\xFF\xFF\xFF\xFF"));
        socket.expect_closed(1007, "MALFORMED_FRAME");
    }
    let mut socket = open(&broker, JSON);
    socket.web().pour(fragment(TEXT | DEFLATED, true, &deflated(&[0xFF; 1_000])));
    socket.expect_closed(1007, "MALFORMED_FRAME");
    Socket::json(broker.address()).expect_quiet();
}

/// Many that are each as large as may be do not hold up the others, and every one is looked at.
#[test]
fn what_is_inflated_in_one_turn_is_bounded_and_nothing_is_lost_by_it() {
    const COUNT: usize = 200;
    let broker = Broker::start(COMPRESSION);
    let mut socket = open(&broker, JSON);
    socket.tell(r#"{"type":"hello"}"#);
    assert_eq!(socket.object()["type"], "welcome");
    // Blanks around an object are part of the message.
    let wide = format!("{}{{\"type\":\"ping\",\"time\":7}}", " ".repeat(500_000));
    let one = fragment(TEXT | DEFLATED, true, &deflated(wide.as_bytes()));
    socket.web().pour(one.repeat(COUNT));
    for _ in 0..COUNT {
        assert_eq!(hear_object(&mut socket).0["time"], 7);
    }
}

//! The cases of the Autobahn test suite, which WebSocket servers are judged by, each under its number there (the suite
//! itself needs a Python that is no longer made). Sections 1 to 7, 9 and 10; 12 and 13 are in `websocket_deflate`.
//!
//! ```text
//!  Autobahn's echo server                  here
//!  a message comes back                    a publish comes back to who subscribes to its topic
//!  a ping comes back as a pong             the same
//!  the connection fails                    the same, with the code that RFC 6455 asks for
//! ```
//!
//! So a case's text is the payload of a publish, and where the length of a frame matters, the publish is padded to it.
//! An empty message says nothing in either subprotocol: as text it is malformed, as bytes it holds no frames.

use super::broker::Broker;
use super::peer::{HELLO, bytes_of, publish, subscribe};
use super::web::{BINARY, CLOSE, JSON, NATIVE, PING, PONG, Socket, TEXT, fragment};
use fanwire_wire::Frame;
use fanwire_wire::frame::{AckLevel, Direction, decode, split_frame};
use serde_json::{Value, json};

const GOES_ON: u8 = 0;
/// What the broker takes as one message here.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// What the broker says.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    /// A message came back, with this payload.
    Echo(Vec<u8>),
    Pong(Vec<u8>),
    /// It closes with this code; 0: with none.
    Close(u16),
}

/// How a case's bytes are cut on their way.
#[derive(Debug, Clone, Copy)]
enum Cut {
    Whole,
    /// Into so many bytes.
    Chops(usize),
}

/// A client of the echo.
struct Client {
    socket: Socket,
    is_binary: bool,
}

impl Client {
    #[track_caller]
    fn of_text(broker: &Broker) -> Client {
        let mut socket = Socket::json(broker.address());
        socket.subscribe(r#"{"type":"subscribe","subscription":1,"filter":"echo"}"#);
        Client { socket, is_binary: false }
    }

    #[track_caller]
    fn of_bytes(broker: &Broker) -> Client {
        let mut socket = Socket::open(broker.address(), NATIVE);
        socket.send(BINARY, &[bytes_of(HELLO), bytes_of(subscribe(1, "echo"))].concat());
        for _ in 0..2 {
            assert_eq!(socket.frame().0, BINARY);
        }
        Client { socket, is_binary: true }
    }

    #[track_caller]
    fn say(&mut self, frames: &[Vec<u8>], cut: Cut) {
        let stream = frames.concat();
        match cut {
            Cut::Whole => self.socket.web().pour(stream),
            Cut::Chops(bytes) => stream.chunks(bytes).for_each(|chop| self.socket.web().pour(chop)),
        }
    }

    /// The next that the broker says.
    #[track_caller]
    fn hear(&mut self) -> Said {
        let (opcode, payload) = self.socket.frame();
        match opcode {
            TEXT if !self.is_binary => {
                let object: Value = serde_json::from_slice(&payload).expect("JSON");
                assert_eq!(object["type"], "message", "{object}");
                Said::Echo(object["payload"].as_str().expect("a text").as_bytes().to_vec())
            }
            BINARY if self.is_binary => {
                let (frame, size) = split_frame(&payload, 2 << 20).expect("a frame").expect("a whole one");
                assert_eq!(size, payload.len());
                match decode(frame, Direction::ToClient).expect("the rules").frame {
                    Frame::Message(message) => Said::Echo(message.payload.to_vec()),
                    other => panic!("{other:?}"),
                }
            }
            PONG => Said::Pong(payload),
            CLOSE => Said::Close(payload.first_chunk().map_or(0, |code| u16::from_be_bytes(*code))),
            other => panic!("opcode {other}"),
        }
    }

    /// Everything that is expected comes, nothing else does, and the connection ends as it should.
    #[track_caller]
    fn expect(mut self, number: &str, expected: &[Said]) {
        for said in expected {
            let heard = self.hear();
            assert!(heard == *said, "{number}: {heard:.100?} instead of {said:.100?}");
        }
        if !matches!(expected.last(), Some(Said::Close(_))) {
            self.socket.expect_quiet();
            self.socket.send(CLOSE, &1000_u16.to_be_bytes());
            assert_eq!(self.hear(), Said::Close(1000), "{number}");
        }
        self.socket.web().end_output();
        self.socket.web().expect_end();
    }
}

type Case<'a> = (&'a str, Vec<Vec<u8>>, Vec<Said>);

/// Runs each case as it is, in chops and, where it is short, byte by byte.
#[track_caller]
fn run<'a>(client: impl Fn() -> Client, cases: impl IntoIterator<Item = Case<'a>>) {
    for (number, frames, expected) in cases {
        let bytes: usize = frames.iter().map(Vec::len).sum();
        let cuts = [Cut::Whole, Cut::Chops(997), Cut::Chops(1)];
        for cut in cuts.into_iter().take(if bytes < 400 { 3 } else { 2 }) {
            let mut client = client();
            client.say(&frames, cut);
            client.expect(number, &expected);
        }
    }
}

/// A publish of this text, to be sent as one message or several fragments.
fn publication(text: &str) -> Vec<u8> {
    json!({"type": "publish", "topic": "echo", "payload": text}).to_string().into_bytes()
}

fn text(payload: &str) -> Vec<u8> {
    fragment(TEXT, true, &publication(payload))
}

fn echo(payload: &str) -> Said {
    Said::Echo(payload.as_bytes().to_vec())
}

/// A publish in a message of just so many bytes, and its payload.
fn text_of_length(bytes: usize) -> (Vec<u8>, String) {
    let payload = "*".repeat(bytes - publication("").len());
    let message = fragment(TEXT, true, &publication(&payload));
    (message, payload)
}

fn bytes_of_length(bytes: usize) -> (Vec<u8>, Vec<u8>) {
    let frame = |payload: &[u8]| bytes_of(publish("echo", AckLevel::None, payload));
    let fits = (0..=bytes).rev().find(|length| frame(&vec![0xFE; *length]).len() <= bytes);
    let payload = vec![0xFE; fits.expect("a frame has room")];
    // A length whose prefix would grow in between is padded by a second frame of nothing.
    (fragment(BINARY, true, &frame(&payload)), payload)
}

#[test]
fn section_1_messages_of_every_length_come_back() {
    let broker = Broker::start("");
    let empty = |opcode, said: Vec<Said>| (vec![fragment(opcode, true, b"")], said);
    // An empty text is no object, an empty binary message holds no frames.
    let (frames, _) = empty(TEXT, vec![]);
    let mut client = Client::of_text(&broker);
    client.say(&frames, Cut::Whole);
    assert_eq!(client.socket.object_of("error")["name"], "MALFORMED_FRAME");
    client.expect("1.1.1", &[Said::Close(1007)]);
    let (frames, said) = empty(BINARY, vec![]);
    run(|| Client::of_bytes(&broker), [("1.2.1", frames, said)]);
    let lengths = [125, 126, 127, 128, 65_535, 65_536];
    let numbers = ["2", "3", "4", "5", "6", "7"];
    for (length, number) in lengths.into_iter().zip(numbers) {
        let (message, payload) = text_of_length(length);
        let case = (&*format!("1.1.{number}"), vec![message], vec![Said::Echo(payload.into_bytes())]);
        run(|| Client::of_text(&broker), [case]);
        let (message, payload) = bytes_of_length(length);
        run(|| Client::of_bytes(&broker), [(&*format!("1.2.{number}"), vec![message], vec![Said::Echo(payload)])]);
    }
}

#[test]
fn section_2_pings_come_back_and_pongs_do_not() {
    let broker = Broker::start("");
    let ping = |payload: &[u8]| fragment(PING, true, payload);
    let pong = |payload: &[u8]| fragment(PONG, true, payload);
    let said = |payload: &[u8]| Said::Pong(payload.to_vec());
    let many: Vec<Vec<u8>> = (0..10).map(|number| format!("payload-{number}").into_bytes()).collect();
    let cases = [
        ("2.1", vec![ping(b"")], vec![said(b"")]),
        ("2.2", vec![ping(b"Hello, world!")], vec![said(b"Hello, world!")]),
        ("2.3", vec![ping(b"\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF")], vec![said(b"\x00\xFF\xFE\xFD\xFC\xFB\x00\xFF")]),
        ("2.4", vec![ping(&[0xFE; 125])], vec![said(&[0xFE; 125])]),
        ("2.5", vec![ping(&[0xFE; 126])], vec![Said::Close(1002)]),
        ("2.7", vec![pong(b"")], vec![]),
        ("2.8", vec![pong(b"unsolicited pong payload")], vec![]),
        ("2.9", vec![pong(b"unsolicited pong payload"), ping(b"ping payload")], vec![said(b"ping payload")]),
        ("2.10", many.iter().map(|payload| ping(payload)).collect(), many.iter().map(|p| said(p)).collect()),
    ];
    run(|| Client::of_text(&broker), cases);
}

/// With reserved bits set.
fn reserved(mut frame: Vec<u8>, bits: u8) -> Vec<u8> {
    frame[0] |= bits << 4;
    frame
}

/// With another opcode.
fn of_opcode(opcode: u8, payload: &[u8]) -> Vec<u8> {
    fragment(opcode, true, payload)
}

#[test]
fn section_3_reserved_bits_fail_the_connection() {
    let broker = Broker::start("");
    let (hello, ping) = (|| text("Hello, world!"), || fragment(PING, true, b""));
    let (echoed, failed) = (|| echo("Hello, world!"), Said::Close(1002));
    let cases = [
        ("3.1", vec![reserved(hello(), 1)], vec![failed.clone()]),
        ("3.2", vec![hello(), reserved(hello(), 2), ping()], vec![echoed(), failed.clone()]),
        ("3.3", vec![hello(), reserved(hello(), 3), ping()], vec![echoed(), failed.clone()]),
        ("3.4", vec![hello(), reserved(hello(), 4), ping()], vec![echoed(), failed.clone()]),
        ("3.5", vec![reserved(fragment(BINARY, true, &[0xFE; 8]), 5)], vec![failed.clone()]),
        ("3.6", vec![reserved(fragment(PING, true, b"Hello"), 6)], vec![failed.clone()]),
        ("3.7", vec![reserved(fragment(CLOSE, true, &1000_u16.to_be_bytes()), 7)], vec![failed]),
    ];
    run(|| Client::of_text(&broker), cases);
}

#[test]
fn section_4_reserved_opcodes_fail_the_connection() {
    let broker = Broker::start("");
    for (section, opcodes) in [("4.1", 3..=7), ("4.2", 11..=15)] {
        for (index, opcode) in opcodes.enumerate() {
            let number = format!("{section}.{}", index + 1);
            let payload: &[u8] = if index == 0 { b"" } else { b"reserved opcode payload" };
            let alone = (&*number, vec![of_opcode(opcode, payload)], vec![Said::Close(1002)]);
            let behind = vec![text("Hello, world!"), of_opcode(opcode, payload), fragment(PING, true, b"")];
            let behind = (&*number, behind, vec![echo("Hello, world!"), Said::Close(1002)]);
            run(|| Client::of_text(&broker), [alone, behind]);
        }
    }
}

#[test]
fn section_5_fragments_are_put_together_and_in_no_other_order() {
    let broker = Broker::start("");
    let whole = publication("fragment1fragment2");
    let (front, back) = whole.split_at(whole.len() / 2);
    let first = || fragment(TEXT, false, front);
    let last = || fragment(GOES_ON, true, back);
    let ping = || fragment(PING, true, b"ping");
    let stray = |is_last| fragment(GOES_ON, is_last, b"non-continuation payload");
    let (echoed, pong, failed) = (echo("fragment1fragment2"), Said::Pong(b"ping".to_vec()), Said::Close(1002));
    let pieces: Vec<Vec<u8>> = whole.chunks(whole.len().div_ceil(5)).map(<[u8]>::to_vec).collect();
    let mut between = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let opcode = if index == 0 { TEXT } else { GOES_ON };
        between.push(fragment(opcode, index + 1 == pieces.len(), piece));
        between.extend((index + 1 < pieces.len()).then(ping));
    }
    let pongs = vec![pong.clone(); pieces.len() - 1];
    let cases = [
        ("5.1", vec![fragment(PING, false, b"fragment1"), fragment(GOES_ON, true, b"fragment2")], vec![failed.clone()]),
        ("5.2", vec![fragment(PONG, false, b"fragment1"), fragment(GOES_ON, true, b"fragment2")], vec![failed.clone()]),
        ("5.3", vec![first(), last()], vec![echoed.clone()]),
        ("5.6", vec![first(), ping(), last()], vec![pong.clone(), echoed.clone()]),
        ("5.9", vec![stray(true), text("Hello, world!")], vec![failed.clone()]),
        ("5.12", vec![stray(false), text("Hello, world!")], vec![failed.clone()]),
        ("5.15", vec![first(), last(), stray(false), text("Hello")], vec![echoed.clone(), failed.clone()]),
        ("5.16", vec![stray(false), first(), last()], vec![failed.clone()]),
        ("5.17", vec![stray(true), first(), last()], vec![failed.clone()]),
        ("5.18", vec![first(), fragment(TEXT, true, back)], vec![failed]),
        ("5.19", between, [pongs, vec![echoed]].concat()),
    ];
    run(|| Client::of_text(&broker), cases);
}

/// What stands in the middle of a text: in one frame, in two cut inside it, and in bytes of a frame each.
fn cut_texts(middle: &[u8]) -> [Vec<Vec<u8>>; 3] {
    let whole = publication("@");
    let place = whole.iter().position(|byte| *byte == b'@').expect("it is there");
    let whole = [&whole[..place], middle, &whole[place + 1..]].concat();
    let (front, back) = whole.split_at(place + middle.len() / 2);
    let mut singles: Vec<Vec<u8>> = vec![fragment(TEXT, false, &whole[..place])];
    singles.extend(whole[place..].iter().map(|byte| fragment(GOES_ON, false, &[*byte])));
    singles.push(fragment(GOES_ON, true, b""));
    [vec![fragment(TEXT, true, &whole)], vec![fragment(TEXT, false, front), fragment(GOES_ON, true, back)], singles]
}

#[test]
fn section_6_text_is_utf_8_whatever_it_is_cut_into() {
    let broker = Broker::start("");
    let valid = [
        ("6.2", "Hello-\u{b5}@\u{df}\u{f6}\u{e4}\u{fc}\u{e0}\u{e1}-UTF-8!!"),
        ("6.5", "\u{3ba}\u{1f79}\u{3c3}\u{3bc}\u{3b5}"),
        ("6.7", "\u{80}\u{800}\u{10000}"),
        ("6.9", "\u{7f}\u{7ff}\u{ffff}\u{10ffff}"),
        ("6.11", "\u{d7ff}\u{e000}\u{fffd}"),
        ("6.22", "\u{fffe}\u{fdd0}\u{1fffe}\u{10fffe}"),
    ];
    for (number, sample) in valid {
        for frames in cut_texts(sample.as_bytes()) {
            run(|| Client::of_text(&broker), [(number, frames, vec![echo(sample)])]);
        }
    }
    let invalid: [(&str, &[u8]); 16] = [
        ("6.3", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited"),
        ("6.6", b"\xce\xba\xe1"),
        ("6.8", b"\xf8\x88\x80\x80\x80"),
        ("6.8", b"\xfc\x84\x80\x80\x80\x80"),
        ("6.10", b"\xf7\xbf\xbf\xbf"),
        ("6.10", b"\xf4\x90\x80\x80"),
        ("6.12", b"\x80"),
        ("6.12", b"\xbf"),
        ("6.13", b"\xc0 \xc1 \xc2 \xc3 "),
        ("6.14", b"\xe0\xa0"),
        ("6.15", b"\xf0\x90\x80"),
        ("6.16", b"\xfe\xff"),
        ("6.17", b"\xc0\xaf"),
        ("6.18", b"\xe0\x9f\xbf"),
        ("6.20", b"\xed\xa0\x80"),
        ("6.21", b"\xed\xa0\x80\xed\xb0\x80"),
    ];
    for (number, sample) in invalid {
        for frames in cut_texts(sample) {
            run(|| Client::of_text(&broker), [(number, frames, vec![Said::Close(1007)])]);
        }
    }
}

/// The broker does not wait for the end of what can't become right any more.
#[test]
fn section_6_4_wrong_text_fails_before_it_is_complete() {
    let broker = Broker::start("");
    for wrong in [&b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80"[..], b"\xed\xa0", b"\xf8"] {
        let mut in_pieces = Client::of_text(&broker);
        in_pieces.say(&[fragment(TEXT, false, b"{\"type\":\""), fragment(GOES_ON, false, wrong)], Cut::Whole);
        in_pieces.expect("6.4.1", &[Said::Close(1007)]);
        let mut in_a_frame = Client::of_text(&broker);
        let mut frame = fragment(TEXT, true, &[wrong, &[b'-'; 100]].concat());
        frame.truncate(frame.len() - 50);
        in_a_frame.say(&[frame], Cut::Whole);
        in_a_frame.expect("6.4.3", &[Said::Close(1007)]);
    }
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    fragment(CLOSE, true, &[&code.to_be_bytes(), reason].concat())
}

#[test]
fn section_7_a_close_is_answered_by_its_code_and_nothing_behind_it_counts() {
    let broker = Broker::start("");
    let (normal, ping) = (|| close(1000, b""), || fragment(PING, true, b""));
    let closed = || vec![Said::Close(1000)];
    let large = "*".repeat(256 * 1024);
    let cases = [
        ("7.1.1", vec![text("Hello World!"), normal()], vec![echo("Hello World!"), Said::Close(1000)]),
        ("7.1.2", vec![normal(), normal()], closed()),
        ("7.1.3", vec![normal(), ping()], closed()),
        ("7.1.4", vec![normal(), text("Hello World!")], closed()),
        ("7.1.5", vec![fragment(TEXT, false, b"frag"), normal(), fragment(GOES_ON, true, b"ment")], closed()),
        ("7.1.6", vec![text(&large), normal(), ping()], vec![echo(&large), Said::Close(1000)]),
        ("7.3.1", vec![fragment(CLOSE, true, b"")], vec![Said::Close(0)]),
        ("7.3.2", vec![fragment(CLOSE, true, b"a")], vec![Said::Close(1002)]),
        ("7.3.3", vec![normal()], closed()),
        ("7.3.4", vec![close(1000, b"Hello World!")], closed()),
        ("7.3.5", vec![close(1000, &[b'*'; 123])], closed()),
        ("7.3.6", vec![close(1000, &[b'*'; 124])], vec![Said::Close(1002)]),
        ("7.5.1", vec![close(1000, b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited")], vec![Said::Close(1007)]),
    ];
    run(|| Client::of_text(&broker), cases);
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        run(|| Client::of_text(&broker), [("7.7", vec![close(code, b"")], vec![Said::Close(code)])]);
    }
    for code in [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999] {
        run(|| Client::of_text(&broker), [("7.9", vec![close(code, b"")], vec![Said::Close(1002)])]);
    }
    for code in [5000, 65_535] {
        run(|| Client::of_text(&broker), [("7.13", vec![close(code, b"")], vec![Said::Close(1002)])]);
    }
}

#[test]
fn sections_9_and_10_large_messages_come_back_in_whatever_pieces_and_too_large_ones_fail() {
    let broker = Broker::start(&format!("[limits]\nframe_bytes_max = {MESSAGE_BYTES_MAX}\n"));
    for (number, length) in [("9.1.1", 64 << 10), ("9.1.2", 256 << 10), ("9.1.3", MESSAGE_BYTES_MAX)] {
        let (message, payload) = text_of_length(length);
        let mut client = Client::of_text(&broker);
        client.say(&[message], Cut::Whole);
        client.expect(number, &[Said::Echo(payload.into_bytes())]);
    }
    let whole = publication(&"*".repeat((256 << 10) - publication("").len()));
    let payload = vec![b'*'; (256 << 10) - publication("").len()];
    for (number, fragment_bytes) in
        [("9.3.1", 64), ("9.3.2", 256), ("9.3.3", 1_024), ("9.3.4", 4_096), ("9.3.5", 16_384), ("10.1.1", 1_300)]
    {
        let chunks: Vec<&[u8]> = whole.chunks(fragment_bytes).collect();
        let fragments = chunks
            .iter()
            .enumerate()
            .map(|(index, chunk)| fragment(if index == 0 { TEXT } else { GOES_ON }, index + 1 == chunks.len(), chunk));
        let mut client = Client::of_text(&broker);
        client.say(&fragments.collect::<Vec<_>>(), Cut::Whole);
        client.expect(number, &[Said::Echo(payload.clone())]);
    }
    for (number, chop_bytes) in [("9.5.1", 64), ("9.5.3", 256), ("9.5.5", 2_048)] {
        let mut client = Client::of_text(&broker);
        client.say(&[fragment(TEXT, true, &whole)], Cut::Chops(chop_bytes));
        client.expect(number, &[Said::Echo(payload.clone())]);
    }
    let too_large = fragment(TEXT, false, &vec![b'*'; MESSAGE_BYTES_MAX]);
    let mut client = Client::of_text(&broker);
    client.say(&[too_large, fragment(GOES_ON, true, b"*")], Cut::Whole);
    client.expect("9.1.6", &[Said::Close(1009)]);
    for (number, length) in [("9.7", 100), ("9.7", 1_024), ("9.7", 16 << 10)] {
        let (message, payload) = text_of_length(length);
        let mut client = Client::of_text(&broker);
        for _ in 0..100 {
            client.say(std::slice::from_ref(&message), Cut::Whole);
            assert_eq!(client.hear(), Said::Echo(payload.clone().into_bytes()), "{number}");
        }
        client.expect(number, &[]);
    }
}

/// Who offers the other subprotocol first is answered by it, and what it does not take ends it as the suite's 5.x do.
#[test]
fn a_kind_of_message_that_a_subprotocol_does_not_take_fails_the_connection() {
    let broker = Broker::start("");
    for (subprotocol, opcode) in [(JSON, BINARY), (NATIVE, TEXT)] {
        let mut socket = Socket::open(broker.address(), subprotocol);
        socket.send(opcode, b"{}");
        socket.expect_closed(1003, "UNEXPECTED_FRAME");
    }
}

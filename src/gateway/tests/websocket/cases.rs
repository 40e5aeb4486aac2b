//! Streams and what they tell, by class: 1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragmentation, 7 close,
//! 9 limits. Class 6, UTF-8, is in `text`.

use crate::client::*;
use fanwire_gateway::websocket::Breach;

const MESSAGE_BYTES_MAX: u32 = 1 << 17;

/// Frames, and what they tell.
type Case = (Vec<Vec<u8>>, Vec<Told>);

fn check(cases: impl IntoIterator<Item = Case>) {
    for (index, (frames, expected)) in cases.into_iter().enumerate() {
        let told = told_by_stream(&frames.concat(), MESSAGE_BYTES_MAX);
        assert!(told == expected, "case {index}: {told:.200?}, should be {expected:.200?}");
    }
}

fn told_text(text: &str) -> Told {
    Told::Text(text.to_owned())
}

/// RFC 6455 section 5.7, what a client sends of it.
#[test]
fn the_rfc_s_examples() {
    let hello = b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec();
    let pong = b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec();
    check([
        (vec![hello], vec![told_text("Hello")]),
        (vec![pong], vec![Told::Pong(b"Hello".to_vec())]),
        (vec![b"\x81\x05Hello".to_vec()], vec![Told::Failed(Breach::Unmasked)]),
        (vec![frame(TEXT_BEGINS, "Hel"), frame(ENDS, "lo")], vec![told_text("Hello")]),
        (vec![frame(BINARY, [7; 256])], vec![Told::Binary(vec![7; 256])]),
        (vec![frame(BINARY, [7; 65_536])], vec![Told::Binary(vec![7; 65_536])]),
    ]);
}

#[test]
fn class_1_messages_of_every_length_form() {
    for length in [0, 1, 3, 4, 7, 8, 9, 124, 125, 126, 127, 128, 65_534, 65_535, 65_536] {
        let (text, bytes) = ("*".repeat(length), vec![0xFE; length]);
        check([
            (vec![frame(TEXT, &text)], vec![told_text(&text)]),
            (vec![frame(BINARY, &bytes), frame(TEXT, &text)], vec![Told::Binary(bytes), told_text(&text)]),
        ]);
    }
}

#[test]
fn class_1_lengths_in_longer_forms_are_refused() {
    let refused = |header: &[u8]| (vec![[header, b"key!"].concat()], vec![Told::Failed(Breach::LengthNotMinimal)]);
    check([
        refused(b"\x82\xFE\x00\x00"),
        refused(b"\x82\xFE\x00\x7D"),
        refused(b"\x82\xFF\0\0\0\0\0\0\0\x7D"),
        refused(b"\x82\xFF\0\0\0\0\0\0\xFF\xFF"),
        refused(b"\x82\xFF\x80\0\0\0\0\x01\0\0"),
        refused(b"\x82\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
    ]);
}

#[test]
fn class_2_pings_and_pongs() {
    let ping = |payload: &[u8]| (vec![frame(PING, payload)], vec![Told::Ping(payload.to_vec())]);
    let many: Case = (0..10).map(|number: u8| (frame(PING, [number]), Told::Ping(vec![number]))).unzip();
    check([
        ping(b""),
        ping(b"Hello, world!"),
        ping(b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),
        ping(&[0xFE; 125]),
        (vec![frame(PING, [0xFE; 126])], vec![Told::Failed(Breach::LongControl)]),
        (vec![frame(PONG, "")], vec![Told::Pong(vec![])]),
        (vec![frame(PONG, "unasked"), frame(PING, "a")], vec![Told::Pong(b"unasked".into()), Told::Ping(b"a".into())]),
        many,
    ]);
}

#[test]
fn class_3_reserved_bits_are_of_extensions_that_nobody_agreed_on() {
    for bits in [0x40, 0x20, 0x10, 0x60, 0x50, 0x30, 0x70] {
        for first in [TEXT, TEXT_BEGINS, BINARY, CLOSE, PING, PONG] {
            let good = frame(TEXT, "good");
            let told = vec![told_text("good"), Told::Failed(Breach::ReservedBits)];
            check([(vec![good.clone(), frame(first | bits, "bad"), good], told)]);
        }
    }
}

#[test]
fn class_4_reserved_opcodes() {
    for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        let told = vec![told_text("good"), Told::Failed(Breach::ReservedOpcode)];
        for payload in ["", "bad"] {
            check([(vec![frame(TEXT, "good"), frame(0x80 | opcode, payload), frame(PING, "")], told.clone())]);
        }
    }
}

#[test]
fn class_5_messages_in_fragments() {
    let ping = Told::Ping(b"ping".to_vec());
    let whole = || told_text("fragment1fragment2");
    let (begin, end) = (|| frame(TEXT_BEGINS, "fragment1"), || frame(ENDS, "fragment2"));
    check([
        (vec![begin(), end()], vec![whole()]),
        (vec![begin(), frame(PING, "ping"), end()], vec![ping.clone(), whole()]),
        (vec![begin(), frame(PONG, ""), frame(GOES_ON, ""), end()], vec![Told::Pong(vec![]), whole()]),
        (vec![begin(), frame(PING, "ping"), frame(PING, "ping"), end()], vec![ping.clone(), ping.clone(), whole()]),
        (
            vec![begin(), frame(PING, "ping"), end(), frame(BINARY_BEGINS, "a"), frame(PING, "ping"), frame(ENDS, "b")],
            vec![ping.clone(), whole(), ping.clone(), Told::Binary(b"ab".to_vec())],
        ),
        (vec![frame(TEXT_BEGINS, ""), frame(GOES_ON, ""), frame(ENDS, "")], vec![told_text("")]),
        (vec![frame(BINARY_BEGINS, ""), frame(ENDS, ""), frame(TEXT, "x")], vec![Told::Binary(vec![]), told_text("x")]),
        (vec![begin(), close(1000, ""), end()], vec![Told::Close(Some(1000), String::new())]),
    ]);
}

#[test]
fn class_5_fragments_out_of_place() {
    let failed = |breach| vec![Told::Failed(breach)];
    let begin = || frame(TEXT_BEGINS, "fragment1");
    let nothing = Breach::NothingToContinue;
    check([
        (vec![frame(PING & 0x0F, "fragment1"), frame(ENDS, "")], failed(Breach::FragmentedControl)),
        (vec![frame(PONG & 0x0F, "fragment1"), frame(ENDS, "")], failed(Breach::FragmentedControl)),
        (vec![frame(CLOSE & 0x0F, ""), frame(ENDS, "")], failed(Breach::FragmentedControl)),
        (vec![frame(ENDS, "alone"), frame(TEXT, "good")], failed(nothing)),
        (vec![frame(GOES_ON, "alone"), frame(TEXT, "good")], failed(nothing)),
        (vec![frame(TEXT, "good"), frame(ENDS, "")], vec![told_text("good"), Told::Failed(nothing)]),
        (vec![begin(), frame(ENDS, ""), frame(ENDS, "")], vec![told_text("fragment1"), Told::Failed(nothing)]),
        (vec![begin(), frame(TEXT, "new")], failed(Breach::MessageInMessage)),
        (vec![begin(), frame(BINARY, "new")], failed(Breach::MessageInMessage)),
        (vec![begin(), begin()], failed(Breach::MessageInMessage)),
    ]);
}

#[test]
fn class_7_close_frames_and_what_follows_them() {
    let told = |code, reason: &str| vec![Told::Close(code, reason.to_owned())];
    let failed = |breach| vec![Told::Failed(breach)];
    check([
        (vec![frame(CLOSE, ""), frame(PING, ""), frame(TEXT, "late")], told(None, "")),
        (vec![close(1000, "Hello World!"), close(1000, "")], told(Some(1000), "Hello World!")),
        (vec![close(1000, "*".repeat(123))], told(Some(1000), &"*".repeat(123))),
        (vec![close(1000, "\u{3ba}\u{1f79}\u{3c3}"), b"junk".to_vec()], told(Some(1000), "\u{3ba}\u{1f79}\u{3c3}")),
        (vec![frame(CLOSE, [3])], failed(Breach::CloseOfOneByte)),
        (vec![close(1000, "*".repeat(124))], failed(Breach::LongControl)),
        (vec![close(1000, b"\xce\xba\xe1\xbd\xb9\xf4\x90\x80\x80"), frame(PING, "")], failed(Breach::InvalidReason)),
        (vec![close(1000, b"\xce")], failed(Breach::InvalidReason)),
    ]);
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
        check([(vec![close(code, "")], told(Some(code), ""))]);
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        check([(vec![close(code, "")], failed(Breach::IllegalCloseCode))]);
    }
}

#[test]
fn class_9_messages_up_to_the_limit_and_not_a_byte_more() {
    let most = MESSAGE_BYTES_MAX as usize;
    let too_large = || vec![Told::Failed(Breach::MessageTooLarge)];
    let bytes = vec![0xFE; most];
    let in_fragments = |fragment_bytes: usize| {
        let mut frames: Vec<Vec<u8>> = bytes.chunks(fragment_bytes).map(|part| frame(GOES_ON, part)).collect();
        frames[0][0] = BINARY_BEGINS;
        frames
    };
    let ended = |mut frames: Vec<Vec<u8>>, last| {
        frames.push(frame(ENDS, last));
        frames
    };
    check([
        (vec![frame(BINARY, &bytes)], vec![Told::Binary(bytes.clone())]),
        (vec![frame(TEXT, "*".repeat(most))], vec![told_text(&"*".repeat(most))]),
        (vec![frame(BINARY, vec![0; most + 1])], too_large()),
        (ended(in_fragments(4_096), ""), vec![Told::Binary(bytes.clone())]),
        (ended(in_fragments(4_096), "x"), too_large()),
        (ended(in_fragments(65_536), ""), vec![Told::Binary(bytes.clone())]),
    ]);
}

#[test]
fn class_9_a_message_that_is_too_large_is_refused_at_its_header() {
    let header = b"\x82\xFF\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFFkey!";
    assert_eq!(told_by_stream(header, u32::MAX), [Told::Failed(Breach::MessageTooLarge)]);
    assert_eq!(told_by_stream(&header[..header.len() - 1], u32::MAX), []);
    let fragments = [frame(TEXT_BEGINS, "four"), frame(GOES_ON, "four"), frame(ENDS, "x")[..6].to_vec()].concat();
    assert_eq!(told_by_stream(&fragments, 8), [Told::Failed(Breach::MessageTooLarge)]);
    let control = [frame(TEXT_BEGINS, "12345678"), frame(PING, "not counted"), frame(ENDS, "")].concat();
    let told = [Told::Ping(b"not counted".to_vec()), told_text("12345678")];
    assert_eq!(told_by_stream(&control, 8), told);
}

/// The bit that says: made smaller (RFC 7692 section 6).
const DEFLATED: u8 = 0x40;

#[test]
fn a_message_made_smaller_is_told_as_that_where_it_was_agreed_on_and_refused_elsewhere() {
    let refused = vec![Told::Failed(Breach::ReservedBits)];
    // What it holds is not looked at here, be it text or not.
    let told = |is_text| Told::Deflated(is_text, b"\xF2\x48\xFF".to_vec());
    let whole = |first: u8| frame(first | DEFLATED, b"\xF2\x48\xFF");
    let in_pieces = [frame(TEXT_BEGINS | DEFLATED, b"\xF2"), frame(PING, "p"), frame(ENDS, b"\x48\xFF")];
    let plain_behind = [whole(BINARY), frame(TEXT, "plain")].concat();
    for (stream, expected) in [
        (whole(TEXT), vec![told(true)]),
        (whole(BINARY), vec![told(false)]),
        (in_pieces.concat(), vec![Told::Ping(b"p".to_vec()), told(true)]),
        (plain_behind, vec![told(false), told_text("plain")]),
        ([&frame(TEXT_BEGINS, "te")[..], &frame(ENDS, "xt")].concat(), vec![told_text("text")]),
        ([&frame(TEXT_BEGINS, "te")[..], &frame(ENDS | DEFLATED, "xt")].concat(), refused.clone()),
        ([&frame(TEXT_BEGINS | DEFLATED, "te")[..], &frame(ENDS | DEFLATED, "xt")].concat(), refused.clone()),
        (frame(PING | DEFLATED, ""), refused.clone()),
        (frame(CLOSE | DEFLATED, ""), refused.clone()),
        (frame(TEXT | DEFLATED | 0x20, ""), refused.clone()),
        (frame(TEXT | 0x10, ""), refused.clone()),
    ] {
        assert_eq!(told_by_stream_with(true, &stream, MESSAGE_BYTES_MAX), expected, "{stream:02x?}");
        if stream[0] & DEFLATED != 0 {
            assert_eq!(told_by_stream(&stream, MESSAGE_BYTES_MAX), refused, "{stream:02x?}");
        }
    }
}

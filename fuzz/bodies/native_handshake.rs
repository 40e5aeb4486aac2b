//! A connection's first bytes, whole and in pieces: the same answer either way, and never a word to a stranger that
//! only a guest should hear.

use super::bytes::Bytes;
use fanwire_core::{Settings as ShardSettings, Shard, Slices, Time};
use fanwire_gateway::{Context, Credentials, Native, Phase, Polls, Progress, Settings};
use fanwire_wire::frame::{Frame, split_frame};
use fanwire_wire::{Code, Direction, ServerPreface, decode};
use std::time::Duration;

/// What a connection came to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    phase: Phase,
    code: Option<Code>,
    /// Everything that the peer was sent.
    output: Vec<u8>,
}

/// The first byte chooses whether a token is asked for, the second how the rest is cut, which is what the peer sends.
pub fn native_handshake(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let is_open = bytes.byte().is_multiple_of(2);
    let piece_bytes = usize::from(bytes.byte()) + 1;
    let input = bytes.rest();
    let whole = converse(is_open, [input].into_iter());
    let pieces = converse(is_open, input.chunks(piece_bytes));
    assert_eq!(whole, pieces, "pieces of {piece_bytes}");
    check_output(&whole);
}

fn converse<'a>(is_open: bool, pieces: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let start = Time::from_micros(1_000_000);
    let token = b"s3cret".to_vec();
    let credentials = if is_open { Credentials::open() } else { Credentials::tokens([token]) };
    let settings = Settings { credentials, ..Settings::default() };
    let mut shard = Shard::new(ShardSettings::default(), fanwire_gateway::encodings(), start);
    let mut polls = Polls::default();
    let mut native = Native::new(start);
    let mut outcome = Outcome { phase: Phase::Preface, code: None, output: Vec::new() };
    for piece in pieces {
        let mut progress = native.receive(piece, &mut context(&mut shard, &mut polls, &settings, start));
        while progress == Progress::More {
            progress = native.resume(&mut context(&mut shard, &mut polls, &settings, start));
        }
        note(&mut outcome, progress);
    }
    outcome.phase = native.phase();
    // Who does not get to the end of the handshake is not waited for.
    let later = start + settings.handshake_time_max + Duration::from_millis(1);
    let is_waiting = matches!(native.phase(), Phase::Preface | Phase::Hello);
    let progress = native.expire(&mut context(&mut shard, &mut polls, &settings, later));
    assert_eq!(matches!(progress, Progress::Close(_)), is_waiting, "only the handshake's time is over");
    note(&mut outcome, progress);
    shard.finish_turn();
    if let Some(session) = native.session() {
        read_all(&mut shard, session, &mut outcome.output);
        shard.remove_session(session);
    }
    shard.finish_turn();
    shard.check_invariants();
    assert!(shard.is_at_rest() && shard.session_count() == 0);
    outcome
}

fn context<'a>(shard: &'a mut Shard, polls: &'a mut Polls, settings: &'a Settings, now: Time) -> Context<'a> {
    Context {
        shard,
        polls,
        settings,
        now,
        wall_us: 1_767_225_600_000_000,
        connection_id: 42,
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        is_draining: false,
    }
}

fn note(outcome: &mut Outcome, progress: Progress) {
    if let Progress::Close(closing) = progress {
        assert!(outcome.code.is_none(), "a connection closes once");
        outcome.code = Some(closing.code);
        outcome.output.extend(closing.parting.into_iter().flatten());
    }
}

fn read_all(shard: &mut Shard, session: fanwire_core::SessionId, output: &mut Vec<u8>) {
    loop {
        let mut slices = Slices::new();
        shard.front(session, &mut slices);
        let bytes = slices.concat();
        drop(slices);
        if bytes.is_empty() {
            return;
        }
        output.extend_from_slice(&bytes);
        shard.advance(session, bytes.len(), false);
    }
}

/// A preface, then WELCOME unless it ended before, then anything; and the code as the last word.
fn check_output(outcome: &Outcome) {
    let preface = ServerPreface::decode(&outcome.output).expect("the broker's preface is one");
    let preface = preface.expect("everybody gets a preface, if only to be told that it took too long");
    let mut rest = &outcome.output[8..];
    if preface.code != 0 {
        assert_eq!(outcome.code.map(Code::number), Some(preface.code));
        return assert!(rest.is_empty(), "nothing follows a refusal in the preface");
    }
    let mut last_word = None;
    let mut count = 0;
    while let Some((frame, size)) = split_frame(rest, u32::MAX).expect("the broker frames rightly") {
        let frame = decode(frame, Direction::ToClient).expect("the broker's frames are right").frame;
        assert!(last_word.is_none(), "{frame:?} behind the last word");
        let is_farewell = matches!(&frame, Frame::Error(refusal) if refusal.code < 100);
        assert!(count > 0 || is_farewell || matches!(frame, Frame::Welcome(_)), "{frame:?} before WELCOME");
        if let (Frame::Error(refusal), true) = (&frame, is_farewell) {
            last_word = Code::from_number(refusal.code);
        }
        count += 1;
        rest = &rest[size..];
    }
    assert!(rest.is_empty(), "half a frame");
    assert_eq!(last_word, outcome.code);
}

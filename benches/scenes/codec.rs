//! Frames to bytes and bytes to frames: what each message pays at both ends, whatever becomes of it.

use super::desk::{bytes_of, subscribe};
use super::{Scene, Work};
use fanwire_wire::frame::{AckLevel, Direction, Frame, Message, Publish, PublishShort, Subscribe, decode, split_frame};
use fanwire_wire::{Inbox, Limits};
use std::hint::black_box;

pub(super) const SCENES: &[Scene] = &[
    Scene::new("codec/encode/publish-64", "frame", || encode(publish(&[7; 64]))),
    Scene::new("codec/encode/publish-1024", "frame", || encode(publish(&[7; 1024]))),
    Scene::new("codec/encode/message-64", "frame", || encode(message(&[7; 64]))),
    Scene::new("codec/encode/message-1024", "frame", || encode(message(&[7; 1024]))),
    Scene::new("codec/encode/subscribe", "frame", || encode(SUBSCRIBE.into())),
    Scene::new("codec/decode/publish-64", "frame", || decode_one(publish(&[7; 64]), Direction::ToBroker)),
    Scene::new("codec/decode/publish-1024", "frame", || decode_one(publish(&[7; 1024]), Direction::ToBroker)),
    Scene::new("codec/decode/message-64", "frame", || decode_one(message(&[7; 64]), Direction::ToClient)),
    Scene::new("codec/decode/message-1024", "frame", || decode_one(message(&[7; 1024]), Direction::ToClient)),
    Scene::new("codec/decode/subscribe", "frame", || decode_one(SUBSCRIBE.into(), Direction::ToBroker)),
    Scene::new("codec/inbox/64KiB-whole", "frame", || read_inbox(false)),
    Scene::new("codec/inbox/64KiB-cut", "frame", || read_inbox(true)),
];

/// Repetitions in a run: one frame alone would be lost beside the call.
const FRAMES_PER_RUN: u64 = 100;
/// Bytes of one read of the reactor.
const READ_BYTES: usize = 64 * 1024;

const SUBSCRIBE: Subscribe<'_> = subscribe(b"rooms/+/chat");

fn publish(payload: &'static [u8]) -> Frame<'static> {
    Publish { ack: AckLevel::None, topic: b"rooms/lobby/chat", headers: b"", payload }.into()
}

fn message(payload: &'static [u8]) -> Frame<'static> {
    Message { topic_id: 7, headers: b"", payload }.into()
}

fn encode(frame: Frame<'static>) -> Work {
    let mut out = Vec::new();
    let run = move || {
        out.clear();
        for _ in 0..FRAMES_PER_RUN {
            black_box(&frame).encode(&mut out);
        }
        black_box(&out);
    };
    Work::new(FRAMES_PER_RUN, run).warmed_up(1)
}

fn decode_one(frame: Frame<'_>, towards: Direction) -> Work {
    let bytes = bytes_of(&[frame]);
    let frame_bytes_max = Limits::default().frame_bytes_max;
    Work::new(FRAMES_PER_RUN, move || {
        for _ in 0..FRAMES_PER_RUN {
            let split = split_frame(black_box(&bytes), frame_bytes_max);
            let (frame, _) = split.expect("a valid prefix").expect("a whole frame");
            black_box(decode(frame, towards)).expect("a valid frame");
        }
    })
}

/// Reads of the reactor's size, full of small frames. Where they are cut, every read ends and begins within a frame,
/// which is the usual case when a publisher sends as fast as it can.
fn read_inbox(is_cut: bool) -> Work {
    let publish = PublishShort { ack: AckLevel::None, short_id: 3, headers: b"", payload: &[7; 64] };
    let frame = bytes_of(&[publish.into()]);
    let count = READ_BYTES / frame.len();
    let mut bytes = frame.repeat(count);
    if is_cut {
        bytes.rotate_left(frame.len() / 2);
    }
    let frame_bytes_max = Limits::default().frame_bytes_max;
    let mut inbox = Inbox::default();
    if is_cut {
        let mut begun = &frame[..frame.len() / 2];
        inbox.keep(&mut begun);
    }
    Work::new(count as u64, move || {
        let mut input = black_box(&bytes[..]);
        let mut found = 0;
        while let Some(frame) = inbox.next_frame(&mut input, frame_bytes_max).expect("valid prefixes") {
            black_box(decode(frame, Direction::ToBroker)).expect("a valid frame");
            found += 1;
        }
        inbox.shrink();
        assert_eq!(found, count);
    })
}

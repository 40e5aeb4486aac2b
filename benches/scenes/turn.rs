//! A reactor's turn but for the kernel: the bytes of one read to the bytes of one write each. Held beside what a whole
//! broker costs per delivery, it says how much of that is ours and how much is the system calls.

use super::desk::{Desk, bytes_of, subscribe};
use super::stage::{MESSAGES_PER_TURN, PAYLOAD};
use super::{Scene, Work};
use fanwire_wire::frame::{AckLevel, Frame, Publish, PublishShort, Register};

pub(super) const SCENES: &[Scene] = &[
    Scene::new("turn/by-id/1-to-1", "delivery", || turn(SHORT, MESSAGES_PER_TURN, 1)),
    Scene::new("turn/by-id/1-to-100", "delivery", || turn(SHORT, MESSAGES_PER_TURN, 100)),
    Scene::new("turn/by-id/1-to-1000", "delivery", || turn(SHORT, MESSAGES_PER_TURN, 1_000)),
    Scene::new("turn/by-name/1-to-1", "delivery", || turn(NAMED, MESSAGES_PER_TURN, 1)),
    Scene::new("turn/by-name/1-to-100", "delivery", || turn(NAMED, MESSAGES_PER_TURN, 100)),
    Scene::new("turn/single/1-to-1", "delivery", || turn(SHORT, 1, 1)),
];

const TOPIC: &[u8] = b"room/1";
const SHORT: Frame<'_> =
    Frame::PublishShort(PublishShort { ack: AckLevel::None, short_id: 0, headers: b"", payload: &PAYLOAD });
const NAMED: Frame<'_> = Frame::Publish(Publish { ack: AckLevel::None, topic: TOPIC, headers: b"", payload: &PAYLOAD });
const WARM_UP_RUNS: u32 = 20;

/// One read of so many publishes, for so many subscribers.
fn turn(publish: Frame<'_>, messages: u64, subscribers: u64) -> Work {
    let mut desk = Desk::new();
    for _ in 0..subscribers {
        desk.connect(&[subscribe(TOPIC).into()]);
    }
    let publisher = desk.connect(&[Register { short_id: 0, topic: TOPIC }.into()]);
    let read = bytes_of(&[publish]).repeat(messages as usize);
    let units = messages * subscribers;
    let run = move || {
        let before = desk.stage.deliveries();
        desk.turn(&[(publisher, &read)]);
        assert_eq!(desk.stage.deliveries() - before, units);
    };
    Work::new(units, run).warmed_up(WARM_UP_RUNS)
}

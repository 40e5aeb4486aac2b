//! JSON to commands and deliveries to JSON: what a message pays where clients have no codec.

use super::{Scene, Work};
use fanwire_core::{Address, Delivery};
use fanwire_gateway::json::{self, Scratch};
use std::hint::black_box;

pub(super) const SCENES: &[Scene] = &[
    Scene::new("json/render/text-64", "delivery", || render(&TEXT.repeat(4))),
    Scene::new("json/render/text-1024", "delivery", || render(&TEXT.repeat(64))),
    Scene::new("json/render/json-64", "delivery", || {
        render(br#"{"id":4711,"name":"player one","x":3.25,"y":-7.5,"state":"away"}"#)
    }),
    Scene::new("json/render/bytes-64", "delivery", || render(&[0xFE; 64])),
    Scene::new("json/parse/publish-64", "command", parse),
];

/// Repetitions in a run: one message alone would be lost beside the call.
const MESSAGES_PER_RUN: u64 = 100;

/// Sixteen bytes without anything to escape.
const TEXT: &[u8; 16] = b"x=3,y=4,z=15.62;";

fn render(payload: &[u8]) -> Work {
    let payload = payload.to_vec();
    let mut out = Vec::new();
    let run = move || {
        out.clear();
        let topic = "rooms/lobby/chat";
        let delivery =
            Delivery { address: Address::Name, topic, numbers: None, epoch: 0, headers: b"", payload: &payload };
        for _ in 0..MESSAGES_PER_RUN {
            json::deliver(black_box(&delivery), &mut out);
        }
        black_box(&out);
    };
    Work::new(MESSAGES_PER_RUN, run).warmed_up(1)
}

fn parse() -> Work {
    let payload = str::from_utf8(TEXT).expect("a text").repeat(4);
    let text = format!(r#"{{"type":"publish","topic":"rooms/lobby/chat","payload":"{payload}"}}"#);
    let mut scratch = Scratch::default();
    Work::new(MESSAGES_PER_RUN, move || {
        for _ in 0..MESSAGES_PER_RUN {
            black_box(json::parse(black_box(&text), &mut scratch)).expect("a valid publish");
        }
    })
}

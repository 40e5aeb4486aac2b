//! However the stream is cut, it says the same: frames that stand whole in a read are taken in runs, single bytes are
//! not, and nobody can tell.

use fanwire_core::{Settings as ShardSettings, Shard, Slices, Time};
use fanwire_gateway::{Context, Native, Polls, Progress, Settings};
use fanwire_wire::ClientPreface;
use fanwire_wire::frame::{AckLevel, Hello, Policy, PublishShort, Register, Start, Subscribe, Unsubscribe};

/// A conversation with runs of publishes in it, some of them refused, and what may not be pulled into one.
fn conversation() -> Vec<u8> {
    let mut out = ClientPreface::OURS.encode().to_vec();
    Hello { keep_alive_ms: 0, client_name: "", client_version: "", credentials: b"" }.encode(&mut out);
    for (short_id, topic) in [(0, &b"room/1"[..]), (1, b"room/2"), (2, b"not/+/a/name")] {
        Register { short_id, topic }.encode(&mut out);
    }
    subscribe(1, b"room/1", &mut out);
    for (number, length) in [70, 3, 1, 130, 2, 66].into_iter().enumerate() {
        // Neighbours differ in one thing each time: the topic, or the acknowledgement; the last one is refused.
        let routed = [2, 1, 0].map(|short_id| (short_id, AckLevel::Routed));
        let unacked = [0, 1, 2].map(|short_id| (short_id, AckLevel::None));
        for (short_id, ack) in unacked.into_iter().chain(routed).chain([(0, AckLevel::Journaled)]) {
            (0..length).for_each(|message| publish(short_id, ack, &[message; 20], &mut out));
        }
        match number {
            1 => subscribe(2, b"room/#", &mut out),
            3 => Unsubscribe { subscription: 1 }.encode(&mut out),
            _ => {}
        }
    }
    out
}

fn subscribe(subscription: u32, filter: &[u8], out: &mut Vec<u8>) {
    let wish = Subscribe {
        subscription,
        filter,
        group: b"",
        policy: Policy::Disconnect,
        no_echo: false,
        responder: false,
        max_rate_hz: 0,
        start: Start::Live,
    };
    wish.encode(out);
}

fn publish(short_id: u16, ack: AckLevel, payload: &[u8], out: &mut Vec<u8>) {
    PublishShort { ack, short_id, headers: b"", payload }.encode(out);
}

/// Everything that the peer is sent when all of this comes in pieces of so many bytes within one turn.
fn heard(input: &[u8], piece_bytes: usize) -> Vec<u8> {
    let now = Time::from_micros(1_000_000);
    let settings = Settings::default();
    let mut shard = Shard::new(ShardSettings::default(), fanwire_gateway::encodings(), now);
    let mut polls = Polls::default();
    let mut native = Native::new(now);
    for piece in input.chunks(piece_bytes) {
        let mut progress = native.receive(piece, &mut context(&mut shard, &mut polls, &settings, now));
        while progress == Progress::More {
            progress = native.resume(&mut context(&mut shard, &mut polls, &settings, now));
        }
        assert_eq!(progress, Progress::Idle);
    }
    shard.finish_turn();
    let session = native.session().expect("it was welcomed");
    let mut output = Vec::new();
    while !shard.is_flushed(session) {
        let mut slices = Slices::new();
        shard.front(session, &mut slices);
        let bytes = slices.concat();
        drop(slices);
        shard.advance(session, bytes.len(), false);
        output.extend(bytes);
    }
    output
}

fn context<'a>(shard: &'a mut Shard, polls: &'a mut Polls, settings: &'a Settings, now: Time) -> Context<'a> {
    Context {
        shard,
        polls,
        settings,
        now,
        wall_us: 0,
        connection_id: 1,
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        is_draining: false,
    }
}

#[test]
fn runs_and_single_frames_are_heard_alike() {
    let input = conversation();
    let whole = heard(&input, input.len());
    assert!(whole.len() > 30_000, "there was much to hear: {} bytes", whole.len());
    for piece_bytes in [1, 2, 7, 25, 26, 1_000, 4_096, 65_536] {
        assert!(heard(&input, piece_bytes) == whole, "pieces of {piece_bytes} bytes");
    }
}

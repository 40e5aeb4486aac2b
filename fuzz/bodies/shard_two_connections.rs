//! A whole shard, fed arbitrary frames by two connections. Bytes become whole frames over few names most of the time,
//! because random bytes alone hardly ever get beyond the preface; but raw bytes come too, at any place.

use super::bytes::Bytes;
use fanwire_core::{SessionId, Settings as ShardSettings, Shard, Slices, Time};
use fanwire_gateway::{Context, Native, Phase, Polls, Progress, Settings};
use fanwire_wire::frame::{
    AckLevel, Frame, Hello, Ping, Policy, Publish, PublishShort, Register, Reply, Request, Start, Subscribe,
    Unsubscribe, split_frame,
};
use fanwire_wire::{ClientPreface, Direction, Limits, decode};
use std::time::Duration;

const TOPICS: [&[u8]; 6] = [b"a", b"a/b", b"b", b"", b"$a", b"a/+"];
const FILTERS: [&[u8]; 8] = [b"a", b"a/b", b"b", b"#", b"a/#", b"+", b"+/b", b"a/#/b"];
const GROUPS: [&[u8]; 3] = [b"", b"g", b"h/"];
const ACKS: [AckLevel; 4] = [AckLevel::None, AckLevel::Routed, AckLevel::Routed, AckLevel::Durable];
const PAYLOAD: [u8; 8_000] = [b'!'; 8_000];
/// Steps beyond this are not looked at.
const STEPS_MAX: usize = 400;

/// Each step is a byte that says who does what, and as many more as that needs.
pub fn shard_two_connections(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let mut run = Run::new();
    for _ in 0..STEPS_MAX {
        if bytes.is_empty() {
            break;
        }
        let step = bytes.byte();
        run.step(usize::from(step & 1), step >> 1, &mut bytes);
    }
    run.end();
}

/// A connection and all that came of it that was not taken apart yet.
struct Peer {
    native: Native,
    has_more: bool,
    output: Vec<u8>,
    has_preface: bool,
}

struct Run {
    shard: Shard,
    polls: Polls,
    settings: Settings,
    now: Time,
    peers: [Peer; 2],
}

impl Run {
    fn new() -> Self {
        let frame_bytes_max = 8_192;
        let limits = Limits {
            frame_bytes_max,
            queue_bytes_max: ShardSettings::queue_bytes_min(frame_bytes_max),
            subscriptions_max: 12,
            requests_max: 3,
            short_ids_max: 3,
            ..Limits::default()
        };
        let settings = ShardSettings {
            limits,
            topics_cached_max: 2,
            queue_bytes_total_max: 700_000,
            seed: 1,
            ..ShardSettings::default()
        };
        let now = Time::from_micros(5_000_000);
        Run {
            shard: Shard::new(settings, fanwire_gateway::encodings(), now),
            polls: Polls::default(),
            settings: Settings { limits, ..Settings::default() },
            now,
            peers: [Peer::new(now), Peer::new(now)],
        }
    }

    fn step(&mut self, who: usize, what: u8, bytes: &mut Bytes<'_>) {
        match what % 16 {
            0 => self.say(who, &greeting()),
            1 => {
                let count = usize::from(bytes.byte());
                let raw = bytes.take(count).to_vec();
                self.say(who, &raw);
            }
            2 | 3 => self.turn(bytes),
            4 => self.leave(who, bytes.byte().is_multiple_of(2)),
            5 => self.read(who, usize::from(bytes.byte()) << bytes.pick(&[0, 4, 12])),
            kind => {
                let repeat = if matches!(kind, 6 | 7) { 1 + bytes.byte() % 64 } else { 1 };
                let mut frame = Vec::new();
                compose(kind, bytes).encode(&mut frame);
                (0..repeat).for_each(|_| self.say(who, &frame));
            }
        }
    }

    fn say(&mut self, who: usize, bytes: &[u8]) {
        let Run { shard, polls, settings, now, peers } = self;
        let peer = &mut peers[who];
        let mut context = context(shard, polls, settings, *now, who);
        let progress = peer.native.receive(bytes, &mut context);
        self.settle(who, progress);
    }

    fn settle(&mut self, who: usize, progress: Progress) {
        self.peers[who].has_more = progress == Progress::More;
        if let Progress::Close(closing) = progress {
            assert_eq!(self.peers[who].native.phase(), Phase::Parted);
            assert_eq!(closing.parting.is_some(), self.peers[who].native.session().is_none());
        }
    }

    /// Ends a turn as a shell does, and begins the next one a while later.
    fn turn(&mut self, bytes: &mut Bytes<'_>) {
        self.shard.finish_turn();
        let mut closures = Vec::new();
        self.shard.take_closures(&mut closures);
        for closure in closures {
            let who = (0..2).find(|who| self.peers[*who].native.session() == Some(closure.session));
            let Some(who) = who.filter(|who| self.peers[*who].native.phase() != Phase::Parted) else { continue };
            let Run { shard, polls, settings, now, peers } = self;
            peers[who].native.close(closure.code, &mut context(shard, polls, settings, *now, who));
        }
        let (mut dirty, mut fresh) = (Vec::new(), Vec::new());
        self.shard.take_dirty(&mut dirty);
        self.shard.take_fresh(&mut fresh);
        self.shard.check_invariants();
        let passed = u64::from(bytes.byte()) << bytes.pick(&[0, 4, 8]);
        self.now = self.now + Duration::from_millis(passed);
        self.shard.begin_turn(self.now);
        for who in 0..2 {
            let Run { shard, polls, settings, now, peers } = self;
            let mut context = context(shard, polls, settings, *now, who);
            let progress = match peers[who].has_more {
                true => peers[who].native.resume(&mut context),
                false => peers[who].native.expire(&mut context),
            };
            self.settle(who, progress);
        }
    }

    /// The peer's socket takes some bytes, or all there are.
    fn read(&mut self, who: usize, bytes_max: usize) {
        let peer = &mut self.peers[who];
        let Some(session) = peer.native.session() else { return };
        self.shard.mark_writable(session);
        write_some(&mut self.shard, session, bytes_max, &mut peer.output);
        peer.take_frames();
    }

    /// Goodbye or a reset; and somebody else comes.
    fn leave(&mut self, who: usize, with_goodbye: bool) {
        let Run { shard, polls, settings, now, peers } = self;
        let peer = &mut peers[who];
        peer.native.depart(&mut context(shard, polls, settings, *now, who));
        if let Some(session) = peer.native.session() {
            if with_goodbye {
                shard.finish_turn();
                write_some(shard, session, usize::MAX, &mut peer.output);
                peer.take_frames();
                assert!(peer.output.is_empty(), "a goodbye is not answered by half a frame");
            }
            shard.remove_session(session);
        }
        *peer = Peer::new(*now);
    }

    /// Everybody reads all there is, timers come to their end, everybody goes, and nothing is left.
    fn end(mut self) {
        self.turn(&mut Bytes::new(&[]));
        for who in 0..2 {
            self.read(who, usize::MAX);
        }
        self.shard.finish_turn();
        self.shard.check_invariants();
        for who in 0..2 {
            self.leave(who, true);
        }
        self.shard.finish_turn();
        self.shard.check_invariants();
        assert!(self.shard.is_at_rest() && self.shard.session_count() == 0 && self.shard.queue_bytes_total() == 0);
        assert!(self.shard.topic_count() <= 2, "what nobody holds is forgotten");
    }
}

impl Peer {
    fn new(now: Time) -> Self {
        Peer { native: Native::new(now), has_more: false, output: Vec::new(), has_preface: false }
    }

    /// What a peer is sent is its preface and whole frames that clients understand.
    fn take_frames(&mut self) {
        if !self.has_preface && self.output.len() >= 8 {
            self.output.drain(..8);
            self.has_preface = true;
        }
        let mut used = 0;
        while self.has_preface
            && let Some((frame, size)) = split_frame(&self.output[used..], u32::MAX).expect("the shard frames rightly")
        {
            decode(frame, Direction::ToClient).expect("the shard's frames are right");
            used += size;
        }
        self.output.drain(..used);
    }
}

fn context<'a>(
    shard: &'a mut Shard,
    polls: &'a mut Polls,
    settings: &'a Settings,
    now: Time,
    who: usize,
) -> Context<'a> {
    Context {
        shard,
        polls,
        settings,
        now,
        wall_us: 1,
        connection_id: who as u64,
        peer: std::net::Ipv4Addr::LOCALHOST.into(),
        is_draining: false,
    }
}

fn write_some(shard: &mut Shard, session: SessionId, mut bytes_max: usize, output: &mut Vec<u8>) {
    loop {
        let mut slices = Slices::new();
        shard.front(session, &mut slices);
        let offered = slices.concat();
        drop(slices);
        let written = offered.len().min(bytes_max);
        if offered.is_empty() {
            return;
        }
        output.extend_from_slice(&offered[..written]);
        bytes_max -= written;
        shard.advance(session, written, written < offered.len());
        if written < offered.len() {
            return;
        }
    }
}

fn greeting() -> Vec<u8> {
    let mut out = ClientPreface::OURS.encode().to_vec();
    let hello = Hello { keep_alive_ms: 2_000, client_name: "", client_version: "", credentials: &[] };
    Frame::from(hello).encode(&mut out);
    out
}

fn compose(kind: u8, bytes: &mut Bytes<'_>) -> Frame<'static> {
    let small = |bytes: &mut Bytes<'_>| u32::from(bytes.byte() % 8);
    let payload = |bytes: &mut Bytes<'_>| &PAYLOAD[..bytes.pick(&[0, 1, 60, 1_000, 8_000])];
    let headers = |bytes: &mut Bytes<'_>| &PAYLOAD[..bytes.pick(&[0, 0, 0, 9])];
    match kind {
        6 => {
            let (ack, topic) = (bytes.pick(&ACKS), bytes.pick(&TOPICS));
            Publish { ack, topic, headers: headers(bytes), payload: payload(bytes) }.into()
        }
        7 => {
            let (ack, short_id) = (bytes.pick(&ACKS), small(bytes) as u16 % 4);
            PublishShort { ack, short_id, headers: headers(bytes), payload: payload(bytes) }.into()
        }
        8 => Register { short_id: small(bytes) as u16 % 4, topic: bytes.pick(&TOPICS) }.into(),
        9..=11 => {
            let flags = bytes.byte();
            Subscribe {
                subscription: small(bytes),
                policy: bytes.pick(&Policy::ALL),
                no_echo: flags & 1 != 0,
                responder: flags & 2 != 0,
                max_rate_hz: if flags & 4 != 0 { bytes.pick(&[1, 50, 65_535]) } else { 0 },
                start: if flags & 0xF0 == 0xF0 { Start::First } else { Start::Live },
                filter: bytes.pick(&FILTERS),
                group: bytes.pick(&GROUPS),
            }
            .into()
        }
        12 => Unsubscribe { subscription: small(bytes) }.into(),
        13 => {
            let (correlation, topic) = (small(bytes), bytes.pick(&TOPICS));
            let deadline_ms = u32::from(bytes.byte()) * 10;
            Request { correlation, deadline_ms, topic, headers: headers(bytes), payload: payload(bytes) }.into()
        }
        14 => Reply { handle: u64::from(small(bytes)), headers: headers(bytes), payload: payload(bytes) }.into(),
        _ => Ping { time: u64::from(bytes.byte()) }.into(),
    }
}

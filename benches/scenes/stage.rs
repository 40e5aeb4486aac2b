//! A shard that turns as in a reactor, but for the sockets: what is flushed is looked at and taken as sent.

use fanwire_core::command::Subscribe;
use fanwire_core::{Command, Handled, SessionId, Settings, Shard, Slices, Target, Time};
use fanwire_gateway::NATIVE;
use fanwire_wire::frame::{AckLevel, Policy, Start};
use std::hint::black_box;
use std::time::Duration;

/// What the documents measure with.
pub(super) const PAYLOAD: [u8; 64] = [7; 64];
/// Messages that a publisher sends at once.
pub(super) const MESSAGES_PER_TURN: u64 = 50;
/// About what a busy reactor's turn takes.
const TURN: Duration = Duration::from_micros(50);

/// The shard and what its shell would keep.
pub(super) struct Stage {
    pub(super) shard: Shard,
    pub(super) now: Time,
    dirty: Vec<SessionId>,
}

impl Stage {
    pub(super) fn new(settings: Settings) -> Stage {
        Stage::around(Shard::new(settings, fanwire_gateway::encodings(), Time::default()))
    }

    pub(super) const fn around(shard: Shard) -> Stage {
        Stage { shard, now: Time::from_micros(0), dirty: Vec::new() }
    }

    pub(super) fn open(&mut self) -> SessionId {
        self.shard.open_session(NATIVE)
    }

    /// Sessions that each wish the same.
    pub(super) fn open_many(&mut self, count: u64, wish: Subscribe<'_>) -> Vec<SessionId> {
        let mut open = || {
            let session = self.open();
            self.command(session, &Command::Subscribe(wish));
            session
        };
        (0..count).map(|_| open()).collect()
    }

    pub(super) fn command(&mut self, session: SessionId, command: &Command<'_>) {
        command_to(&mut self.shard, session, command);
    }

    /// One turn: time passes, commands come, and everybody is sent what is there.
    pub(super) fn turn(&mut self, input: impl FnOnce(&mut Shard)) {
        self.begin();
        input(&mut self.shard);
        self.end();
    }

    pub(super) fn begin(&mut self) {
        self.now = self.now + TURN;
        self.shard.begin_turn(self.now);
    }

    pub(super) fn end(&mut self) {
        self.shard.finish_turn();
        self.shard.take_dirty(&mut self.dirty);
        for session in self.dirty.drain(..) {
            flush(&mut self.shard, session);
        }
    }

    pub(super) fn deliveries(&self) -> u64 {
        self.shard.counters().deliveries
    }
}

pub(super) fn command_to(shard: &mut Shard, session: SessionId, command: &Command<'_>) {
    assert_eq!(shard.handle(session, command), Ok(Handled::Done));
}

pub(super) fn publish(shard: &mut Shard, session: SessionId, target: Target<'_>) {
    publish_payload(shard, session, target, &PAYLOAD);
}

pub(super) fn publish_payload(shard: &mut Shard, session: SessionId, target: Target<'_>, payload: &[u8]) {
    let publish = Command::Publish { target, ack: AckLevel::None, headers: &[], payloads: &[black_box(payload)] };
    command_to(shard, session, &publish);
}

/// As the reactor does it, with a socket that takes everything.
fn flush(shard: &mut Shard, session: SessionId) {
    loop {
        let mut slices = Slices::new();
        shard.front(session, &mut slices);
        let bytes = black_box(&slices).iter().map(|slice| slice.len()).sum();
        if bytes == 0 {
            return;
        }
        drop(slices);
        shard.advance(session, bytes, false);
    }
}

/// A subscription without any special wish.
pub(super) const fn wish(filter: &[u8]) -> Subscribe<'_> {
    Subscribe {
        subscription: 1,
        filter,
        group: b"",
        policy: Policy::Disconnect,
        no_echo: false,
        responder: false,
        max_rate_hz: 0,
        start: Start::Live,
    }
}

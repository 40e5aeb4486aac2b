//! The shell around the shard: sockets that take everything or nothing, and a clock that stands still.

use crate::plain_text::{PlainText, lines};
use fanwire_core::journal::plan::Plan;
use fanwire_core::{
    Closure, Command, EncodingId, Handled, Seat, SessionId, Settings, Shard, Slices, Target, Time, command,
};
use fanwire_wire::frame::{AckLevel, Policy, Start};
use fanwire_wire::{Code, Limits};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

pub(crate) struct Shell {
    pub(crate) shard: Shard,
    now: Time,
    received: BTreeMap<SessionId, Vec<u8>>,
    full: BTreeSet<SessionId>,
}

/// Small limits: what fills a queue in a test should not take seconds.
pub(crate) fn settings() -> Settings {
    let frame_bytes_max = 64 * 1024;
    let queue_bytes_max = Settings::queue_bytes_min(frame_bytes_max);
    Settings {
        limits: Limits { frame_bytes_max, queue_bytes_max, ..Limits::default() },
        topics_cached_max: 64,
        ..Settings::default()
    }
}

/// A wish for everything that a filter matches.
pub(crate) fn wish(subscription: u32, filter: &str, policy: Policy) -> command::Subscribe<'_> {
    command::Subscribe {
        subscription,
        filter: filter.as_bytes(),
        group: b"",
        policy,
        no_echo: false,
        responder: false,
        max_rate_hz: 0,
        start: Start::Live,
    }
}

/// A payload that begins with a word and is as long as wanted.
pub(crate) fn long(word: &str, bytes: usize) -> String {
    format!("{word}{}", ".".repeat(bytes - word.len()))
}

impl Shell {
    pub(crate) fn new(settings: Settings) -> Self {
        Shell::seated(settings, Seat::row(1).remove(0))
    }

    pub(crate) fn seated(settings: Settings, seat: Seat) -> Self {
        Shell::planned(settings, seat, Plan::default())
    }

    pub(crate) fn planned(settings: Settings, seat: Seat, plan: Plan) -> Self {
        let now = Time::from_micros(1_000_000);
        let mut shard = Shard::seated(settings, vec![Box::new(PlainText)], seat, now).with_journals(plan);
        shard.begin_turn(now);
        Shell { shard, now, received: BTreeMap::new(), full: BTreeSet::new() }
    }

    pub(crate) fn open(&mut self) -> SessionId {
        self.shard.open_session(EncodingId(0))
    }

    pub(crate) fn command(&mut self, session: SessionId, command: &Command<'_>) {
        self.shard.handle(session, command).expect("the tests break no protocol");
    }

    pub(crate) fn subscribe(&mut self, session: SessionId, wish: command::Subscribe<'_>) {
        self.command(session, &Command::Subscribe(wish));
    }

    pub(crate) fn unsubscribe(&mut self, session: SessionId, subscription: u32) {
        self.command(session, &Command::Unsubscribe { subscription });
    }

    pub(crate) fn publish(&mut self, session: SessionId, topic: &str, payload: &str) {
        assert_eq!(self.try_publish(session, topic, payload), Handled::Done, "nothing has to wait");
    }

    pub(crate) fn try_publish(&mut self, session: SessionId, topic: &str, payload: &str) -> Handled {
        let target = Target::Name(topic.as_bytes());
        let (ack, payload) = (AckLevel::None, payload.as_bytes());
        let command = Command::Publish { target, ack, headers: b"", payloads: &[payload] };
        self.shard.handle(session, &command).expect("the tests break no protocol")
    }

    /// Sessions whose postponed command can be said again.
    pub(crate) fn resumed(&mut self) -> Vec<SessionId> {
        let mut sessions = Vec::new();
        self.shard.take_resumed(&mut sessions);
        sessions
    }

    /// From here on a session's socket takes nothing.
    pub(crate) fn stop_reading(&mut self, session: SessionId) {
        self.full.insert(session);
    }

    /// A session's socket takes everything again.
    pub(crate) fn read_on(&mut self, session: SessionId) {
        self.full.remove(&session);
        self.shard.mark_writable(session);
    }

    /// Ends the turn, flushes, and begins the next one.
    pub(crate) fn turn(&mut self) {
        self.shard.finish_turn();
        let mut dirty = Vec::new();
        self.shard.take_dirty(&mut dirty);
        for session in dirty {
            self.flush(session);
        }
        self.shard.check_invariants();
        self.shard.begin_turn(self.now);
    }

    fn flush(&mut self, session: SessionId) {
        while self.write_once(session) {}
    }

    /// Offers a session's socket what stands first in its queue. Returns whether it took that.
    pub(crate) fn write_once(&mut self, session: SessionId) -> bool {
        let mut slices = Slices::new();
        self.shard.front(session, &mut slices);
        let bytes = slices.concat();
        drop(slices);
        if bytes.is_empty() {
            return false;
        }
        if self.full.contains(&session) {
            self.shard.advance(session, 0, true);
            return false;
        }
        self.received.entry(session).or_default().extend_from_slice(&bytes);
        self.shard.advance(session, bytes.len(), false);
        true
    }

    /// Moves the clock on; what is due happens in the next turn.
    pub(crate) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    /// What a session was sent since it was last asked.
    pub(crate) fn received(&mut self, session: SessionId) -> Vec<String> {
        lines(&self.received.remove(&session).unwrap_or_default())
    }

    /// Ends the turn like `turn`, and returns who has to go.
    pub(crate) fn closures(&mut self) -> Vec<(SessionId, Code)> {
        self.turn();
        let mut closures = Vec::new();
        self.shard.take_closures(&mut closures);
        closures.into_iter().map(|Closure { session, code }| (session, code)).collect()
    }
}

//! The polls of a reactor: opened, found again by their cursors, waited for by one request at a time, and gone when
//! nobody comes.

use super::cursor::Cursor;
use super::session::{Poll, Wish};
use crate::WEBSOCKET_JSON;
use fanwire_core::wheel::Wheel;
use fanwire_core::{Handled, SessionId, Shard, Time};
use fanwire_wire::Limits;
use sha1::{Digest, Sha1};
use std::collections::HashMap;
use std::time::Duration;

/// Bounds of the polls of one reactor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Sessions at one time, those that nobody waits for included. More are refused.
    pub sessions_max: usize,
    /// How long a session lives without a request.
    pub session_time_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { sessions_max: 4_096, session_time_max: Duration::from_secs(60) }
    }
}

/// Which reactor of how many has these polls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Its number.
    pub index: u8,
    /// How many there are.
    pub count: u8,
}

impl Seat {
    /// The only one.
    pub const ALONE: Seat = Seat { index: 0, count: 1 };
}

/// The polls of one reactor.
pub struct Polls {
    settings: Settings,
    seat: Seat,
    /// What secrets are made of; nobody else knows it.
    key: [u8; 32],
    secrets: u64,
    /// By slot.
    polls: HashMap<u32, Poll>,
    alarms: Wheel<SessionId>,
    /// Another request has taken the place of who waits for these.
    superseded: Vec<SessionId>,
}

impl Default for Polls {
    /// None, and none are taken: for connections that speak no HTTP.
    fn default() -> Self {
        let settings = Settings { sessions_max: 0, ..Settings::default() };
        Polls::new(settings, Seat::ALONE, [0; 32], Time::default())
    }
}

impl Polls {
    /// No polls yet. The key has to be random: who knows it knows all secrets.
    pub fn new(settings: Settings, seat: Seat, key: [u8; 32], now: Time) -> Self {
        Polls {
            settings,
            seat,
            key,
            secrets: 0,
            polls: HashMap::new(),
            alarms: Wheel::new(now),
            superseded: Vec::new(),
        }
    }

    /// The other reactor that a cursor's session lives on, if there is such a reactor.
    pub fn elsewhere(&self, cursor: &Cursor) -> Option<u8> {
        let Seat { index, count } = self.seat;
        (cursor.reactor != index && cursor.reactor < count).then_some(cursor.reactor)
    }

    /// Opens a session for these wishes; nothing when there are too many.
    pub(crate) fn open(&mut self, wishes: Vec<Wish>, shard: &mut Shard) -> Option<SessionId> {
        if self.polls.len() >= self.settings.sessions_max {
            return None;
        }
        let secret = self.next_secret();
        let session = shard.open_session(WEBSOCKET_JSON);
        self.polls.insert(slot_of(session), Poll::new(session, secret, wishes));
        Some(session)
    }

    /// The session that a cursor names, whose client has come as far as the cursor says.
    pub(crate) fn confirm(&mut self, cursor: &Cursor, shard: &mut Shard) -> Option<SessionId> {
        let is_here = cursor.reactor == self.seat.index;
        let poll = self.polls.get_mut(&cursor.slot).filter(|poll| is_here && poll.is_named_by(cursor))?;
        poll.confirm(cursor.answer, shard).then_some(poll.session)
    }

    /// A request waits for a session from here on, and no other one does.
    pub(crate) fn begin_wait(&mut self, session: SessionId, shard: &mut Shard) {
        let Some(poll) = find(&mut self.polls, session) else { return };
        if std::mem::replace(&mut poll.is_waited_for, true) {
            self.superseded.push(session);
        }
        if let Some(alarm) = poll.alarm.take() {
            self.alarms.cancel(alarm);
        }
        // Whatever had to wait for room comes now.
        shard.mark_writable(session);
    }

    /// No request waits for a session any more.
    pub(crate) fn end_wait(&mut self, session: SessionId, now: Time, shard: &mut Shard) {
        let Some(poll) = find(&mut self.polls, session).filter(|poll| poll.is_waited_for) else { return };
        poll.is_waited_for = false;
        poll.alarm = Some(self.alarms.insert(now + self.settings.session_time_max, session));
        // As if its socket were full.
        shard.advance(session, 0, true);
    }

    /// Subscribes what a session wants and did not get to yet. Whether all of it is done.
    pub(crate) fn put_wishes(&mut self, session: SessionId, shard: &mut Shard) -> Handled {
        let Some(poll) = find(&mut self.polls, session) else { return Handled::Done };
        // Wishes are checked and numbered: there is nothing to violate.
        poll.put_wishes(shard).unwrap_or(Handled::Done)
    }

    /// Takes what is queued for a session. Whether there is an answer, and whether the session's topics have begun.
    pub(crate) fn gather(
        &mut self,
        session: SessionId,
        limit: u32,
        limits: &Limits,
        shard: &mut Shard,
    ) -> (bool, bool) {
        let Some(poll) = find(&mut self.polls, session) else { return (false, true) };
        (poll.gather(limit, limits, shard), poll.is_begun())
    }

    /// Appends the objects of a session's answer, commas between them, and returns the cursor that goes with it.
    pub(crate) fn give(&mut self, session: SessionId, out: &mut Vec<u8>) -> Option<Cursor> {
        let poll = find(&mut self.polls, session)?;
        out.extend_from_slice(poll.give());
        let Seat { index, .. } = self.seat;
        Some(poll.cursor(index, slot_of(session)))
    }

    /// Ends a session. Whether it was one of these.
    pub fn end(&mut self, session: SessionId, shard: &mut Shard) -> bool {
        if find(&mut self.polls, session).is_none() {
            return false;
        }
        if let Some(alarm) = self.polls.remove(&slot_of(session)).and_then(|poll| poll.alarm) {
            self.alarms.cancel(alarm);
        }
        shard.remove_session(session);
        true
    }

    /// Ends all sessions.
    pub fn end_all(&mut self, shard: &mut Shard) {
        let all: Vec<SessionId> = self.polls.values().map(|poll| poll.session).collect();
        for session in all {
            self.end(session, shard);
        }
    }

    /// Ends the sessions that nobody has asked for long enough.
    pub fn expire(&mut self, now: Time, shard: &mut Shard) {
        let mut due = Vec::new();
        self.alarms.expire(now, &mut due);
        for session in due {
            if let Some(poll) = find(&mut self.polls, session) {
                poll.alarm = None;
                self.end(session, shard);
            }
        }
    }

    /// When [`Polls::expire`] has something to do next.
    pub fn next_deadline(&self) -> Option<Time> {
        self.alarms.next_deadline()
    }

    /// A session whose older request has to be told that another one took its place.
    pub fn take_superseded(&mut self) -> Option<SessionId> {
        self.superseded.pop()
    }

    /// How many sessions there are.
    pub fn len(&self) -> usize {
        self.polls.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.polls.is_empty()
    }

    fn next_secret(&mut self) -> u128 {
        self.secrets += 1;
        let digest = Sha1::new().chain_update(self.key).chain_update(self.secrets.to_le_bytes()).finalize();
        digest.first_chunk().map_or(0, |bytes| u128::from_le_bytes(*bytes))
    }
}

fn slot_of(session: SessionId) -> u32 {
    u32::try_from(session.slot()).unwrap_or(u32::MAX)
}

fn find(polls: &mut HashMap<u32, Poll>, session: SessionId) -> Option<&mut Poll> {
    polls.get_mut(&slot_of(session)).filter(|poll| poll.session == session)
}

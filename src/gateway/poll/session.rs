//! One poll's session: what it has asked for, the answer that is kept, and how far its topics have come.

use super::cursor::{Cursor, fingerprint};
use super::progress::{self, Progress};
use crate::websocket::frame::split_message;
use fanwire_core::command::{Command, Subscribe};
use fanwire_core::wheel::TimerKey;
use fanwire_core::{Handled, SessionId, Shard, Slices};
use fanwire_wire::frame::{Policy, Start};
use fanwire_wire::{Limits, Violation};
use std::collections::VecDeque;
use subtle::ConstantTimeEq;

/// Bytes of objects that one answer holds, before no further one is added.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// A topic that a poll asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wish {
    pub(crate) filter: Box<[u8]>,
    pub(crate) group: Box<[u8]>,
    pub(crate) policy: Policy,
    pub(crate) max_rate_hz: u16,
    pub(crate) start: Start,
}

impl Wish {
    /// What it is to the shard, as the subscription of this number.
    pub(crate) fn subscribe(&self, subscription: u32) -> Subscribe<'_> {
        Subscribe {
            subscription,
            filter: &self.filter,
            group: &self.group,
            policy: self.policy,
            no_echo: false,
            responder: false,
            max_rate_hz: self.max_rate_hz,
            start: self.start,
        }
    }
}

/// A session that clients poll.
#[derive(Debug)]
pub(super) struct Poll {
    pub(super) session: SessionId,
    secret: u128,
    /// What was not put to the shard yet, with its number.
    wishes: VecDeque<(u32, Wish)>,
    topics: Vec<Progress>,
    /// What tells the topics from others in a cursor.
    fingerprint: u32,
    /// The number of the last answer that was given and had something in it.
    answer: u64,
    /// The objects of that answer, commas between them, until it is known to have arrived; or of the next one.
    kept: Vec<u8>,
    /// How many they are.
    kept_count: u32,
    /// They were given: what comes now is for another answer.
    is_given: bool,
    /// Some request waits for it.
    pub(super) is_waited_for: bool,
    /// When it goes, if nobody comes.
    pub(super) alarm: Option<TimerKey>,
}

impl Poll {
    pub(super) fn new(session: SessionId, secret: u128, wishes: Vec<Wish>) -> Self {
        Poll {
            session,
            secret,
            fingerprint: fingerprint(wishes.iter().map(|wish| &*wish.filter)),
            topics: wishes.iter().map(Progress::new).collect(),
            wishes: (1..).zip(wishes).collect(),
            answer: 0,
            kept: Vec::new(),
            kept_count: 0,
            is_given: false,
            is_waited_for: false,
            alarm: None,
        }
    }

    /// Whether a cursor is one of its own.
    pub(super) fn is_named_by(&self, cursor: &Cursor) -> bool {
        let secrets = (self.secret.to_le_bytes(), cursor.secret.to_le_bytes());
        bool::from(secrets.0.ct_eq(&secrets.1)) && self.fingerprint == cursor.topics
    }

    /// The cursor of its last answer.
    pub(super) fn cursor(&self, reactor: u8, slot: u32) -> Cursor {
        let Poll { secret, answer, fingerprint: topics, .. } = *self;
        let places = self.topics.iter().map(Progress::place).collect();
        Cursor { reactor, slot, secret, answer, topics, places }
    }

    /// A client has got the answer of this number. False: what came behind that is not here any more.
    pub(super) fn confirm(&mut self, answer: u64, shard: &mut Shard) -> bool {
        if answer != self.answer {
            return self.is_given && answer.checked_add(1) == Some(self.answer);
        }
        if self.is_given {
            self.is_given = false;
            self.kept = Vec::new();
            self.kept_count = 0;
            shard.charge_kept(self.session, 0);
        }
        true
    }

    /// Puts its wishes to the shard, as far as that takes them now. A violation is a wish that was not checked.
    pub(super) fn put_wishes(&mut self, shard: &mut Shard) -> Result<Handled, Violation> {
        while let Some((number, wish)) = self.wishes.front() {
            match shard.handle(self.session, &Command::Subscribe(wish.subscribe(*number)))? {
                Handled::Postponed => return Ok(Handled::Postponed),
                Handled::Done => drop(self.wishes.pop_front()),
            }
        }
        Ok(Handled::Done)
    }

    /// Adds what is queued to the next answer, unless the last one has to be given again. Whether there is something to
    /// give.
    pub(super) fn gather(&mut self, limit: u32, limits: &Limits, shard: &mut Shard) -> bool {
        if self.is_given {
            return true;
        }
        loop {
            let used = self.take_front(limit, limits, shard);
            if used == 0 {
                break;
            }
            shard.advance(self.session, used, false);
        }
        shard.charge_kept(self.session, u32::try_from(self.kept.len()).unwrap_or(u32::MAX));
        // A first answer tells of all topics, if they have room in it.
        !self.kept.is_empty() && (self.is_begun() || self.is_full(limit))
    }

    fn is_full(&self, limit: u32) -> bool {
        self.kept_count >= limit || self.kept.len() >= ANSWER_BYTES_MAX
    }

    /// Takes whole objects from the front of the queue. Returns the bytes that they take there.
    fn take_front(&mut self, limit: u32, limits: &Limits, shard: &Shard) -> usize {
        let mut slices = Slices::new();
        shard.front(self.session, &mut slices);
        let mut used = 0;
        for slice in slices {
            let mut rest = slice;
            while !self.is_full(limit)
                && let Some((object, behind)) = split_message(rest)
            {
                self.keep(object, limits);
                used += rest.len() - behind.len();
                rest = behind;
            }
            if !rest.is_empty() {
                break;
            }
        }
        used
    }

    fn keep(&mut self, object: &[u8], limits: &Limits) {
        progress::note(&mut self.topics, object, limits);
        if !self.kept.is_empty() {
            self.kept.push(b',');
        }
        self.kept.extend_from_slice(object);
        self.kept_count += 1;
    }

    /// Whether all of its topics were told what became of them.
    pub(super) fn is_begun(&self) -> bool {
        self.topics.iter().all(|topic| topic.is_told)
    }

    /// The objects of the next answer, or of the last one again. From here on they are that answer's.
    pub(super) fn give(&mut self) -> &[u8] {
        if !self.is_given && !self.kept.is_empty() {
            self.is_given = true;
            self.answer += 1;
        }
        &self.kept
    }
}

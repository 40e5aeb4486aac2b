//! A stream of several topics that resumes: what its inner session is sent goes on to the socket's, with ids that tell
//! of every topic how far it has come.
//!
//! ```text
//!  inner session   id: 3-17        relay      id: 90021-1795400299626614-3.17-_-x
//!  (its policies)  data: {...}    ------->    data: {...}                           --> socket's session
//! ```
//!
//! What is rendered for all subscribers can't tell of other topics than its own. So each event gets its id here, when
//! all that comes before it stands in the socket's queue already: no id ever says more than was told in front of it,
//! and one stands with each message that moved a place. What is dropped, conflated or read from a journal instead was
//! so in the inner queue, before this.
//!
//! Invariant: the socket's queue holds little; what it has no room for stays in the inner one, where its bound and the
//! policies of its subscriptions hold.

use super::checkpoint::Checkpoint;
use crate::Context;
use crate::poll::progress::{self, Progress};
use crate::poll::{Place, Wish};
use fanwire_core::{SessionId, Shard, Slices};
use fanwire_wire::Limits;
use fanwire_wire::frame::{Policy, Start};
use std::io::Write;

/// What the socket's queue holds before it is sent no more.
const AHEAD_BYTES_MAX: usize = 64 * 1024;

/// What passes events on.
#[derive(Debug)]
pub(super) struct Relay {
    topics: Vec<Progress>,
    checkpoint: Checkpoint,
    /// Nobody was told of it yet.
    is_told: bool,
}

impl Relay {
    /// For these topics, each with where it begins.
    pub(super) fn new<'a>(checkpoint: Checkpoint, topics: impl Iterator<Item = (&'a [u8], Start)>) -> Self {
        let topics = topics.map(|(filter, start)| Progress::new(&wish(filter, start))).collect();
        Relay { topics, checkpoint, is_told: false }
    }

    /// Passes on what the inner session was sent, as far as the socket's has room for it.
    pub(super) fn pass_on(&mut self, inner: SessionId, outer: SessionId, context: &mut Context<'_>) {
        let limits = &context.settings.limits;
        let ahead_bytes_max = AHEAD_BYTES_MAX.min(limits.queue_bytes_max as usize / 2);
        loop {
            let queued = context.shard.queue_bytes(outer) as usize;
            let room = ahead_bytes_max.saturating_sub(queued);
            let mut out = Vec::new();
            let used = self.take_front(inner, room, queued == 0, limits, context.shard, &mut out);
            if used == 0 {
                return;
            }
            context.shard.advance(inner, used, false);
            context.shard.send(outer, |bytes| bytes.extend_from_slice(&out));
        }
    }

    /// Takes whole events from the front of the queue that fit in the room, and one that never would if the socket's
    /// queue is empty. Returns the bytes that they take there.
    fn take_front(
        &mut self,
        inner: SessionId,
        room: usize,
        is_first: bool,
        limits: &Limits,
        shard: &Shard,
        out: &mut Vec<u8>,
    ) -> usize {
        let mut slices = Slices::new();
        shard.front(inner, &mut slices);
        let mut used = 0;
        for slice in slices {
            let mut rest = slice;
            while let Some((event, behind)) = split_event(rest)
                && (out.len() + event.len() <= room || is_first && out.is_empty())
            {
                self.take(event, limits, out);
                used += event.len();
                rest = behind;
            }
            if !rest.is_empty() {
                break;
            }
        }
        used
    }

    /// Appends an event, with an id where that is another one than before.
    fn take(&mut self, event: &[u8], limits: &Limits, out: &mut Vec<u8>) {
        let lines = without_id(event);
        if self.note(object_of(lines), limits) || !self.is_told {
            self.is_told = true;
            // Writing to a vector can't fail.
            let _ = writeln!(out, "id: {}", self.checkpoint);
        }
        out.extend_from_slice(lines);
    }

    /// Notes what an object tells of places. Whether one has moved. One that is not known any more stays what it was: a
    /// topic that was reset, or is over, goes on from there.
    fn note(&mut self, object: &[u8], limits: &Limits) -> bool {
        progress::note(&mut self.topics, object, limits);
        let mut has_moved = false;
        for (topic, place) in self.topics.iter().zip(&mut self.checkpoint.places) {
            let now = topic.place();
            if now != Place::Unknown && now != *place {
                *place = now;
                has_moved = true;
            }
        }
        has_moved
    }
}

/// What a place is noted of.
fn wish(filter: &[u8], start: Start) -> Wish {
    Wish { filter: filter.into(), group: Box::default(), policy: Policy::CatchUp, max_rate_hz: 0, start }
}

/// The first event of some bytes, its empty line included, and what is behind it.
fn split_event(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n")?;
    bytes.split_at_checked(end + 2)
}

/// An event's lines but for its id, which is the first one.
fn without_id(event: &[u8]) -> &[u8] {
    if !event.starts_with(b"id: ") {
        return event;
    }
    let end = event.iter().position(|byte| *byte == b'\n').unwrap_or(0);
    event.get(end + 1..).unwrap_or_default()
}

/// The object that an event's one line of data holds.
fn object_of(event: &[u8]) -> &[u8] {
    event.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"data: ")).unwrap_or_default()
}

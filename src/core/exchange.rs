//! A shard's mail: what it has gathered for the others, who waits because that is too much, and what comes in.
//!
//! ```text
//!  publish --mask--> lane 1: envelope --shell--> mailbox --> shard 1    receive_mail --> route here, note --> ...
//!     |              lane 2: envelope (full) ..................^
//!     `- postponed: lane 2 is full              room comes: resumed, and says it again
//! ```
//!
//! Each destination has a lane: the envelope that is being filled, and what of the earlier ones is still under way. A
//! lane is full at `mailbox_bytes_max`, and empty enough again at half of that. The policy, from which it follows that
//! nothing is lost, nothing blocks, and memory is bounded:
//!
//! - What a session wants to put into a full lane is postponed: the shell keeps its frame and reads it no further,
//!   while all others go on. It is said again when the lane has room.
//! - What answers mail (picks, returns, joins, answers) goes into any lane, full or not: it was admitted once, and only
//!   moves on. Handling mail therefore never waits for a lane, and shards never wait for each other in a circle.
//! - A group whose members all live behind full lanes, or are full there, gets its message all the same, but its filter
//!   is marked as jammed for everybody: who publishes to what it matches is postponed until the lane has room.
//! - A request that found nobody does not go on to a shard behind a full lane: whoever could answer there is busy.

use crate::arena::{Key, SessionKey, TopicKey};
use crate::fanout::Incoming;
use crate::interest::{Counts, Kind, Reach, Seat, Spot};
use crate::mail::{Envelope, Item, Note, Parcel, Publisher, text};
use crate::publish::Routed;
use crate::session::{SessionId, Waiting};
use crate::shard::Shard;
use crate::topics::{HashedName, UNPOSTED};
use std::collections::BTreeSet;

/// What a postponed command costs its turn, in bytes: many that wait must not make every turn long.
const POSTPONED_COST: usize = 128;
/// What it costs a turn to read one thing of another shard's mail, in bytes, though nobody may want it.
const READING_COST: usize = 16;
/// Sessions that left while they waited, and stand in the list of those who do.
const BLOCKED_WHO_LEFT_MAX: usize = 64;

/// The way to one other shard.
#[derive(Default)]
struct Lane {
    envelope: Envelope,
    /// Bytes of earlier envelopes that were not read there yet.
    transit_bytes: u64,
}

/// A topic that was mailed in this turn.
struct Posted {
    topic: TopicKey,
    /// Shards that know its number.
    told: u64,
}

/// What a shard has for the others.
pub(crate) struct Exchange {
    pub(crate) seat: Seat,
    pub(crate) counts: Counts,
    lanes: Box<[Lane]>,
    lane_bytes_max: u64,
    /// Lanes that take nothing more from sessions, a bit each.
    full: u64,
    posted: Vec<Posted>,
    /// Sessions whose command waits for room, the first to wait first.
    blocked: Vec<SessionId>,
    resumed: Vec<SessionId>,
    /// Lanes that are full, and the places of the groups that could not pass messages on for it.
    jammed: BTreeSet<(u8, Reach)>,
    /// The reader's topics by number.
    mailed: Vec<TopicKey>,
}

impl Exchange {
    pub(crate) fn new(seat: Seat, lane_bytes_max: u64) -> Self {
        Exchange {
            counts: Counts::new(&seat),
            lanes: (0..seat.count()).map(|_| Lane::default()).collect(),
            seat,
            lane_bytes_max,
            full: 0,
            posted: Vec::new(),
            blocked: Vec::new(),
            resumed: Vec::new(),
            jammed: BTreeSet::new(),
            mailed: Vec::new(),
        }
    }

    pub(crate) fn is_full(&self, shard: u8) -> bool {
        self.full & (1 << shard) != 0
    }

    /// Of these lanes, those that take something.
    pub(crate) fn open_among(&self, lanes: u64) -> u64 {
        lanes & !self.full
    }

    /// The number of a topic in this turn's mail; a new one unless it is known.
    fn number_of(&mut self, topic: TopicKey, known: u32) -> u32 {
        if known != UNPOSTED {
            return known;
        }
        self.posted.push(Posted { topic, told: 0 });
        (self.posted.len() - 1) as u32
    }

    fn note_filled(&mut self, to: usize) {
        let lane = &self.lanes[to];
        if lane.envelope.bytes() as u64 + lane.transit_bytes >= self.lane_bytes_max {
            self.full |= 1 << to;
        }
    }

    /// Whether nothing is under way and nobody waits.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.lanes.iter().all(|lane| lane.envelope.is_empty() && lane.transit_bytes == 0)
            && self.full == 0
            && self.blocked.is_empty()
            && self.resumed.is_empty()
            && self.jammed.is_empty()
    }
}

impl Shard {
    /// Whether something was gathered for another shard.
    pub fn has_mail(&self, to: usize) -> bool {
        !self.exchange.lanes[to].envelope.is_empty()
    }

    /// What was gathered for another shard. The shell puts an empty envelope in its place, or leaves it where it is if
    /// the mailbox is full.
    pub fn mail_to(&mut self, to: usize) -> &mut Envelope {
        &mut self.exchange.lanes[to].envelope
    }

    /// Tells how many bytes of the mail to another shard were taken from here and not read there yet.
    pub fn note_transit(&mut self, to: usize, bytes: u64) {
        let exchange = &mut self.exchange;
        let lane = &mut exchange.lanes[to];
        lane.transit_bytes = bytes;
        let lane_bytes = lane.envelope.bytes() as u64 + bytes;
        if exchange.is_full(to as u8) && lane_bytes <= exchange.lane_bytes_max / 2 {
            exchange.full &= !(1 << to);
            self.clear_jams(to as u8);
            self.resume_blocked();
        }
        self.exchange.note_filled(to);
    }

    /// The lanes whose emptying somebody waits for, a bit each: the shell has to see to it that it is told.
    pub fn awaited_lanes(&self) -> u64 {
        self.exchange.full
    }

    /// Moves the sessions whose postponed command can be said again to `sessions`.
    pub fn take_resumed(&mut self, sessions: &mut Vec<SessionId>) {
        for session in self.exchange.resumed.drain(..) {
            let state = self.sessions.get(session.key);
            if state.is_some_and(|state| state.generation == session.generation && !state.is_ended) {
                sessions.push(session);
            }
        }
    }

    /// Whether the command of some session can be said again.
    pub const fn has_resumed(&self) -> bool {
        !self.exchange.resumed.is_empty()
    }

    /// Acts on mail of another shard, as far as the turn's budget goes, and at least on one thing in it. Returns
    /// whether all of it is done; if not, it is to be given again in a later turn, before any other of that shard.
    pub fn receive_mail(&mut self, from: usize, envelope: &mut Envelope) -> bool {
        let mut topics = std::mem::take(&mut self.exchange.mailed);
        topics.clear();
        let is_done = loop {
            self.spend(READING_COST);
            match envelope.next() {
                None => break true,
                Some(Item::Topic { number }) => {
                    if let Some(known) = topics.get_mut(number as usize) {
                        *known = TopicKey::NONE;
                    }
                }
                Some(Item::Message { topic, name, publisher, headers, payload }) => {
                    if topics.len() <= topic as usize {
                        topics.resize(topic as usize + 1, TopicKey::NONE);
                    }
                    let publisher = Publisher { shard: from as u8, session: publisher };
                    let message = Incoming { publisher, headers, payloads: &[payload], recorded: None };
                    self.receive_message(&mut topics[topic as usize], name, &message);
                }
                Some(Item::Note(note, parcel)) => self.take_note(from as u8, note, parcel),
            }
            if self.wants_flush() {
                break false;
            }
        };
        self.exchange.mailed = topics;
        is_done
    }

    fn receive_message(&mut self, known: &mut TopicKey, name: &[u8], message: &Incoming<'_>) {
        self.counters.mailed_in += 1;
        if known.is_some() {
            return self.route(Routed::Known(*known), 0, message);
        }
        let hash = self.topics.hash_of(name);
        let topic = match self.topics.find(name, hash) {
            Some(topic) => {
                *known = topic;
                Routed::Known(topic)
            }
            None => Routed::Unknown(HashedName { text: text(name), hash }),
        };
        self.route(topic, 0, message);
    }

    /// Adds messages to the envelopes of other shards. `topic` is none where the name is not remembered.
    pub(crate) fn post_messages(&mut self, mask: u64, topic: TopicKey, name: &str, messages: &Incoming<'_>) {
        let known = if topic.is_some() { self.topics.get(topic).posted } else { UNPOSTED };
        let exchange = &mut self.exchange;
        let number = exchange.number_of(topic, known);
        let mut rest = mask;
        while rest != 0 {
            let to = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            let envelope = &mut exchange.lanes[to].envelope;
            let posted = &mut exchange.posted[number as usize];
            if posted.told & (1 << to) == 0 {
                posted.told |= 1 << to;
                envelope.push_topic(number, name);
            }
            for payload in messages.payloads {
                envelope.push_message(number, messages.publisher.session, messages.headers, payload);
            }
            exchange.note_filled(to);
            self.counters.mailed_out += messages.payloads.len() as u64;
        }
        if topic.is_some() {
            self.topics.get_mut(topic).posted = number;
        }
        self.spend(messages.bytes() * mask.count_ones() as usize);
    }

    /// The turn is over: topics will be told of anew.
    pub(crate) fn end_posting(&mut self) {
        for Posted { topic, .. } in self.exchange.posted.drain(..) {
            if topic.is_some() {
                self.topics.get_mut(topic).posted = UNPOSTED;
            }
        }
        if self.exchange.posted.capacity() > 65_536 {
            self.exchange.posted = Vec::new();
        }
    }

    /// Tells another shard something, or this one itself: then it is done at once.
    pub(crate) fn tell(&mut self, to: u8, note: Note, parcel: Parcel<'_>) {
        if to == self.exchange.seat.number() {
            return self.take_note(to, note, parcel);
        }
        self.spend(parcel.bytes());
        self.exchange.lanes[usize::from(to)].envelope.push_note(note, parcel);
        self.exchange.note_filled(usize::from(to));
    }

    fn take_note(&mut self, from: u8, note: Note, parcel: Parcel<'_>) {
        match note {
            Note::Join { membership, session, responder, no_echo } => {
                self.admit_member(from, membership, session, responder, no_echo, parcel);
            }
            Note::Joined { membership, member } => self.stand(membership, member),
            Note::Leave { member } => self.dismiss_member(member),
            Note::Room { member } => self.note_room(member),
            Note::Pick { membership, group, errand, is_forced } => {
                self.take_pick(from, membership, group, errand, is_forced, parcel);
            }
            Note::Missed { membership, count } => self.note_missed(membership, count),
            Note::Returned { group, member, errand } => self.pick_again(group, member, errand, parcel),
            Note::Ask(asking) => self.look_for_responder(asking, parcel),
            Note::Answer { asker, code } => self.take_answer(asker, code, parcel),
            Note::Unjammed => self.resume_blocked(),
        }
    }

    /// Gives back the memory of envelopes that nothing is in.
    pub(crate) fn forget_envelopes(&mut self) {
        let envelopes = self.exchange.lanes.iter_mut().map(|lane| &mut lane.envelope);
        envelopes.filter(|envelope| envelope.is_empty()).for_each(|envelope| *envelope = Envelope::default());
    }

    /// Whether what a session says has to wait for lanes of a mask, or for a topic to be passed on. It is remembered as
    /// waiting then, and told when to try again.
    pub(crate) fn must_wait(&mut self, session: SessionKey, lanes: u64, topic: Option<Spot>) -> bool {
        let exchange = &mut self.exchange;
        let is_open = lanes & exchange.full == 0 && !topic.is_some_and(|spot| exchange.seat.is_jammed(spot));
        if is_open {
            return false;
        }
        self.wait_for_room(session);
        true
    }

    /// Remembers that a session waits until some lane has room.
    pub(crate) fn wait_for_room(&mut self, session: SessionKey) {
        if self.sessions[session].waiting == Waiting::Nothing {
            self.forget_blocked_who_left();
            let state = &mut self.sessions[session];
            state.waiting = Waiting::Room;
            self.exchange.blocked.push(SessionId { key: session, generation: state.generation });
        }
        self.counters.postponed += 1;
        self.spend(POSTPONED_COST);
    }

    /// A lane may be full for long, while sessions come, wait for it and leave. Walking over them only when they may
    /// be as many as those who are here costs each one little.
    fn forget_blocked_who_left(&mut self) {
        let Shard { exchange, sessions, .. } = self;
        if exchange.blocked.len() > BLOCKED_WHO_LEFT_MAX + sessions.len() {
            let is_here = |id: &SessionId| sessions.get(id.key).is_some_and(|state| state.generation == id.generation);
            exchange.blocked.retain(is_here);
        }
    }

    /// Everybody who waits for room may try again; who finds none waits on, behind the others.
    pub(crate) fn resume_blocked(&mut self) {
        for session in self.exchange.blocked.drain(..) {
            if let Some(state) = self.sessions.get_mut(session.key)
                && state.generation == session.generation
                && state.waiting == Waiting::Room
            {
                state.waiting = Waiting::Nothing;
                self.exchange.resumed.push(session);
            }
        }
    }

    /// A session's command waits no more for another shard's answer.
    pub(crate) fn resume(&mut self, session: SessionKey) {
        let state = &mut self.sessions[session];
        if std::mem::replace(&mut state.waiting, Waiting::Nothing) == Waiting::Home {
            self.exchange.resumed.push(SessionId { key: session, generation: state.generation });
        }
    }

    /// The members of a group are behind a full lane: nothing more may come for it until that has room. It is the
    /// group's filter that is jammed, and not the topic: one that has a wildcard matches any number of topics.
    pub(crate) fn jam(&mut self, reach: Reach, lane: u8) {
        let Exchange { seat, jammed, .. } = &mut self.exchange;
        let place = seat.jam_place(reach);
        if jammed.insert((lane, place)) {
            seat.jam(place);
            self.counters.jams += 1;
        }
    }

    /// A lane has room again: what only it has jammed may be published to, and everybody is told.
    fn clear_jams(&mut self, lane: u8) {
        let Exchange { seat, jammed, .. } = &mut self.exchange;
        let is_over = |(behind, _): &(u8, Reach)| *behind == lane;
        let cleared: Vec<Reach> = jammed.extract_if(.., is_over).map(|(_, place)| place).collect();
        if cleared.is_empty() {
            return;
        }
        for place in cleared {
            if !jammed.iter().any(|(_, other)| *other == place) {
                seat.unjam(place);
            }
        }
        let (own, count) = (seat.number(), seat.count() as u8);
        for to in (0..count).filter(|to| *to != own) {
            // What was not posted yet is read after this: once is enough, however long its reader stands still.
            if !self.exchange.lanes[usize::from(to)].envelope.says_unjammed {
                self.tell(to, Note::Unjammed, Parcel::default());
            }
        }
    }

    /// Other shards that may have somebody who wants a topic.
    pub(crate) fn others_interested(&self, spot: Spot) -> u64 {
        self.exchange.seat.others_interested(spot)
    }

    pub(crate) fn raise_interest(&mut self, kind: Kind, reach: Reach) {
        let Exchange { seat, counts, .. } = &mut self.exchange;
        counts.raise(seat, kind, reach);
    }

    pub(crate) fn lower_interest(&mut self, kind: Kind, reach: Reach) {
        let Exchange { seat, counts, .. } = &mut self.exchange;
        counts.lower(seat, kind, reach);
    }
}

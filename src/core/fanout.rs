//! From one message to everybody who wants it: append now, seal later, once for all.
//!
//! ```text
//!  publish --append--> open chunk of (topic or match set, by id | by name, encoding)     rendered once
//!                           | turn's end, a full chunk, or a change of subscribers
//!                           v
//!                         seal --meet--> each session once, however many of its subscriptions match
//!                                 |        strictest policy governs, echo if any wants it, by id if an exact one
//!                                 v
//!                              deliver --> policy --> the session's queue
//! ```
//!
//! What a message costs does not depend on how many want it; what a subscriber costs does not depend on how many
//! messages the turn had. Two passes over the subscribers make overlap right without any table: the first lets each
//! session meet its matches, the second delivers to the sessions met.
//!
//! Invariant: who subscribes or unsubscribes finds nothing open that its change concerns, so every message goes to
//! exactly those who were subscribed when it was admitted. Nothing that a `catch-up` subscription gets is dropped or
//! conflated under another one of its session before the former has fallen back (`catch_up`).

use crate::arena::{ChunkKey, Key, MatchKey, SessionKey, SubscriptionKey, TopicKey};
use crate::chunk::{Origin, Purpose, Range};
use crate::encoding::{Address, Delivery, ENCODINGS_MAX, EncodingId, Numbers};
use crate::mail::Publisher;
use crate::outbox::Content;
use crate::settings::{CHUNK_BYTES_MAX, ENTRY_BYTES, TURN_BYTES_MAX};
use crate::shard::Shard;
use crate::topics::{MatchSet, Topic};
use fanwire_wire::Code;
use fanwire_wire::frame::Policy;
use smallvec::SmallVec;

/// What one audience costs a turn at the most, however large it is: a turn must not end before its messages are many.
const AUDIENCE_COST_MAX: usize = TURN_BYTES_MAX as usize / 4;

/// The index of an open fan-out in the turn's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OpenIndex(u32);

impl OpenIndex {
    pub(crate) const NONE: OpenIndex = OpenIndex(u32::MAX);

    pub(crate) fn is_some(self) -> bool {
        self != OpenIndex::NONE
    }
}

/// Whose messages an open fan-out gathers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// One topic's: its exact subscribers, and what matches it by wildcard.
    Topic(TopicKey, MatchKey),
    /// Those of all topics without exact subscribers that the same wildcards match.
    Set(MatchKey),
}

/// A message of an audience is rendered once for each encoding with the topic's id, and once for each with its name:
/// in a set of renditions the lower half of the bits is by id, the upper one by name.
pub(crate) const RENDITIONS: usize = 2 * ENCODINGS_MAX;

/// Chunks that gather the messages of one audience until they are sealed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Open {
    /// `None` once sealed; the place in the list stays until the turn ends.
    audience: Option<Audience>,
    /// Those that somebody there reads, a bit each.
    renditions: u16,
    /// Whether wildcard groups want its messages, too.
    has_groups: bool,
    /// By rendition, once a message has come.
    chunks: [ChunkKey; RENDITIONS],
}

impl Open {
    /// Nothing is gathered for this audience yet; `set` is what matches it by wildcard.
    fn new(audience: Audience, encodings_by_id: u8, set: &MatchSet) -> Self {
        Open {
            audience: Some(audience),
            renditions: u16::from_le_bytes([encodings_by_id, set.encodings]),
            has_groups: !set.matches.groups.is_empty(),
            chunks: [ChunkKey::NONE; RENDITIONS],
        }
    }

    /// Whether its messages go to nobody by name and to no wildcard group: to be appended is all they need.
    const fn is_by_id_only(&self) -> bool {
        (self.renditions as usize) < (1 << ENCODINGS_MAX) && !self.has_groups
    }
}

/// Which of the renditions a session reads.
const fn rendition(encoding: EncodingId, by_id: bool) -> usize {
    encoding.0 as usize + if by_id { 0 } else { ENCODINGS_MAX }
}

/// Messages on their way in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Incoming<'a> {
    pub(crate) publisher: Publisher,
    pub(crate) headers: &'a [u8],
    pub(crate) payloads: &'a [&'a [u8]],
    /// The first one's numbers and where all of them come from, if a journal has released them.
    pub(crate) recorded: Option<(Numbers, Origin)>,
}

impl Incoming<'_> {
    /// Bytes of headers and payloads.
    pub(crate) fn bytes(&self) -> usize {
        self.payloads.iter().map(|payload| self.headers.len() + payload.len()).sum()
    }
}

impl Shard {
    /// Renders messages into the open chunks of their audience, once for each encoding that somebody there reads.
    /// `name` is only needed where somebody reads it.
    pub(crate) fn append_messages(&mut self, audience: Audience, name: &str, messages: &Incoming<'_>) {
        let index = self.obtain_open(audience);
        if messages.recorded.is_some() {
            self.keep_order(index);
        }
        self.append_to(index, name, messages);
    }

    /// A subscription with wildcards gets a journal's records in the order of their positions, whosever chunks they
    /// stand in: what another audience has gathered that may have one goes first.
    fn keep_order(&mut self, index: OpenIndex) {
        if !self.opens[index.0 as usize].is_by_id_only() {
            let last = std::mem::replace(&mut self.journaling.last_open, index);
            if last.is_some() && last != index {
                self.seal(last);
            }
        }
    }

    /// Does all that messages need here whose topic is open already and read by id only, as most are that are not a
    /// turn's first. Returns false where it takes a closer look.
    pub(crate) fn append_by_id(&mut self, topic: TopicKey, messages: &Incoming<'_>) -> bool {
        let found = self.topics.get(topic);
        let is_enough = found.open.is_some() && found.groups().is_empty() && {
            let open = &self.opens[found.open.0 as usize];
            open.is_by_id_only() && open.renditions & self.named_renditions == 0
        };
        if is_enough {
            self.append_to(found.open, "", messages);
        }
        is_enough
    }

    fn append_to(&mut self, index: OpenIndex, name: &str, messages: &Incoming<'_>) {
        let publisher = self.span_of(messages);
        let payloads = messages.payloads;
        let Shard { opens, chunks, encodings, spent, journaling, .. } = self;
        let open = &mut opens[index.0 as usize];
        let topic_id = match open.audience {
            Some(Audience::Topic(topic, _)) => Topic::id_of(topic),
            Some(Audience::Set(_)) | None => 0,
        };
        let epoch = messages.recorded.map_or(0, |(_, origin)| journaling.plan.get(origin.journal).epoch);
        let mut largest = 0;
        let mut renditions = open.renditions;
        while renditions != 0 {
            let rendition = renditions.trailing_zeros() as usize;
            renditions &= renditions - 1;
            let is_by_id = rendition < ENCODINGS_MAX;
            let address = if is_by_id { Address::Id(topic_id) } else { Address::Name };
            let slot = &mut open.chunks[rendition];
            if !slot.is_some() {
                *slot = chunks.acquire(Purpose::Topic);
            }
            let chunk = chunks.get_mut(*slot);
            let begin = chunk.length();
            let numbers = messages.recorded.map(|(numbers, _)| numbers);
            let like = Delivery { address, topic: name, numbers, epoch, headers: messages.headers, payload: &[] };
            let last = encodings[rendition % ENCODINGS_MAX].render_messages(&like, payloads, &mut chunk.bytes);
            if let Some((_, origin)) = messages.recorded {
                chunk.origin.get_or_insert(origin);
            }
            let begins_span = chunk.note_messages(publisher, begin, last as u32, payloads.len() as u32);
            let end = chunk.length();
            *spent = spent.saturating_add(end - begin + if begins_span { ENTRY_BYTES } else { 0 });
            largest = largest.max(end);
        }
        if largest >= CHUNK_BYTES_MAX {
            self.seal(index);
        }
    }

    /// What chunks know a publisher by. Those of other shards are nobody's own here, and all alike; so are those who
    /// have gone before the journal released what they published, though another one may be in their slot.
    fn span_of(&self, messages: &Incoming<'_>) -> u32 {
        let Publisher { shard, session } = messages.publisher;
        let is_here = shard == self.exchange.seat.number() && (messages.recorded.is_none() || self.is_there(session));
        let key = if is_here { session.key } else { SessionKey::NONE };
        key.index() as u32
    }

    fn obtain_open(&mut self, audience: Audience) -> OpenIndex {
        let found = match audience {
            Audience::Topic(topic, _) => self.topics.get(topic).open,
            Audience::Set(set) => self.topics.set(set).open,
        };
        if found.is_some() {
            // A topic's matches change only after everything open was sealed.
            debug_assert_eq!(self.opens[found.0 as usize].audience, Some(audience));
            return found;
        }
        let index = OpenIndex(self.opens.len() as u32);
        self.set_open(audience, index);
        let (Audience::Topic(_, set) | Audience::Set(set)) = audience;
        self.topics.retain_set(set);
        let set = self.topics.set(set);
        let mut subscribers = set.matches.subscriptions.len();
        let mut encodings_by_id = 0;
        match audience {
            Audience::Topic(topic, _) => {
                let topic = self.topics.get(topic);
                subscribers += topic.exact.len();
                encodings_by_id = topic.encodings;
            }
            Audience::Set(_) => self.open_sets.push(index),
        }
        self.opens.push(Open::new(audience, encodings_by_id, set));
        self.spend(subscribers.min(AUDIENCE_COST_MAX));
        index
    }

    fn set_open(&mut self, audience: Audience, index: OpenIndex) {
        match audience {
            Audience::Topic(topic, _) => self.topics.get_mut(topic).open = index,
            Audience::Set(set) => self.topics.set_mut(set).open = index,
        }
    }

    /// Fans out what one topic has gathered, before its subscribers change.
    pub(crate) fn seal_topic(&mut self, topic: TopicKey) {
        let open = self.topics.get(topic).open;
        if open.is_some() {
            self.seal(open);
        }
    }

    /// Fans out what topics have gathered together, before one of them gets a subscriber of its own.
    pub(crate) fn seal_sets(&mut self) {
        for index in 0..self.open_sets.len() {
            self.seal(self.open_sets[index]);
        }
        self.open_sets.clear();
    }

    /// Fans out everything gathered so far.
    pub(crate) fn seal_all(&mut self) {
        for index in 0..self.opens.len() {
            self.seal(OpenIndex(index as u32));
        }
        self.opens.clear();
        self.open_sets.clear();
        self.journaling.last_open = OpenIndex::NONE;
        if self.opens.capacity() > 65_536 {
            self.opens = Vec::new();
        }
    }

    fn seal(&mut self, index: OpenIndex) {
        let open = &mut self.opens[index.0 as usize];
        let Some(audience) = open.audience.take() else {
            return;
        };
        let chunks = open.chunks;
        self.set_open(audience, OpenIndex::NONE);
        self.meet(audience);
        let met = std::mem::take(&mut self.met);
        for session in &met {
            let Some(state) = self.sessions.get(*session) else { continue };
            let chunk = chunks[rendition(state.encoding, state.meeting.by_id)];
            let topic = match audience {
                Audience::Topic(topic, _) => topic,
                Audience::Set(_) => TopicKey::NONE,
            };
            self.deliver(*session, chunk, topic);
        }
        self.met = met;
        self.drop_newest_copy();
        for chunk in chunks.into_iter().filter(|chunk| chunk.is_some()) {
            self.chunks.release(chunk);
        }
        let (Audience::Topic(_, set) | Audience::Set(set)) = audience;
        self.topics.release_set(set);
    }

    /// First pass: each session meets those of its subscriptions that match.
    fn meet(&mut self, audience: Audience) {
        self.begin_fanout();
        self.met.clear();
        let set = match audience {
            Audience::Topic(topic, set) => {
                let mut encodings = 0;
                for index in 0..self.topics.get(topic).exact.len() {
                    let subscription = self.topics.get(topic).exact[index];
                    encodings |= self.meet_one(subscription, true);
                }
                self.topics.get_mut(topic).encodings = encodings;
                set
            }
            Audience::Set(set) => set,
        };
        for index in 0..self.topics.set(set).matches.subscriptions.len() {
            let subscription = self.topics.set(set).matches.subscriptions[index];
            self.meet_one(subscription, false);
        }
    }

    /// Begins a fan-out that no session has met yet.
    fn begin_fanout(&mut self) {
        self.fanout = self.fanout.wrapping_add(1);
        if self.fanout == 0 {
            // Once in four thousand million fan-outs: an idle session may have met the one of that number then.
            self.sessions.values_mut().for_each(|session| session.meeting.fanout = 0);
            self.fanout = 1;
        }
    }

    /// Returns the bit of the session's encoding.
    fn meet_one(&mut self, key: SubscriptionKey, by_id: bool) -> u8 {
        let subscription = &self.subscriptions[key];
        let session = &mut self.sessions[subscription.session];
        if subscription.is_replaying {
            return 1 << session.encoding.0;
        }
        let meeting = &mut session.meeting;
        if meeting.fanout != self.fanout {
            meeting.fanout = self.fanout;
            meeting.governing = key;
            meeting.by_id = by_id;
            meeting.echo = !subscription.no_echo;
            meeting.catches_up = subscription.policy == Policy::CatchUp;
            self.met.push(subscription.session);
        } else {
            meeting.echo |= !subscription.no_echo;
            meeting.catches_up |= subscription.policy == Policy::CatchUp;
            if subscription.strictness() < self.subscriptions[meeting.governing].strictness() {
                meeting.governing = key;
            }
        }
        1 << session.encoding.0
    }

    /// Second pass: one session gets what it has not written itself, as its governing subscription says.
    fn deliver(&mut self, session: SessionKey, chunk: ChunkKey, topic: TopicKey) {
        let state = &self.sessions[session];
        if state.is_doomed || state.is_ended {
            return;
        }
        let subscription = state.meeting.governing;
        let own = session.index() as u32;
        let except = (!state.meeting.echo && self.chunks.get(chunk).was_written_by(own)).then_some(own);
        if self.subscriptions[subscription].policy == Policy::Conflate && !self.is_for_catch_up(session, topic, chunk) {
            self.offer_newest(session, subscription, topic, chunk, except);
        } else {
            self.yield_held(session, subscription, topic);
            self.enqueue_all(session, subscription, chunk, except);
        }
    }

    /// Queues a whole chunk but for what `except` wrote.
    pub(crate) fn enqueue_all(
        &mut self,
        session: SessionKey,
        subscription: SubscriptionKey,
        chunk: ChunkKey,
        except: Option<u32>,
    ) {
        let Some(own) = except else {
            let whole = self.chunks.get(chunk).whole();
            self.enqueue_bounded(session, subscription, chunk, whole);
            return;
        };
        let mut ranges = SmallVec::new();
        self.chunks.get(chunk).without(own, &mut ranges);
        for range in ranges {
            self.enqueue_bounded(session, subscription, chunk, range);
        }
    }

    /// Queues a range, making room by the subscription's policy. The policy acts for the message that arrives and
    /// evicts only what waits under the same subscription. What a `catch-up` one of the session would miss is not
    /// dropped before that one has fallen back.
    pub(crate) fn enqueue_bounded(
        &mut self,
        session: SessionKey,
        subscription: SubscriptionKey,
        chunk: ChunkKey,
        range: Range,
    ) {
        while !self.has_room(session, range.bytes()) {
            let policy = self.subscriptions[subscription].policy;
            match policy {
                Policy::Disconnect => {
                    self.counters.note_dropped(policy, range.count.into());
                    self.doom(session, Code::SlowConsumer);
                    return;
                }
                Policy::CatchUp if let Some(origin) = self.chunks.get(chunk).origin => {
                    self.fall_back(session, origin);
                    return;
                }
                Policy::DropOldest | Policy::Conflate if self.drop_oldest(subscription) => {}
                _ if let Some(origin) = self.shared_origin(session, chunk) => self.fall_back(session, origin),
                _ => {
                    self.note_loss_at_back(subscription, u64::from(range.count), 0);
                    return;
                }
            }
        }
        let is_shared = self.may_be_dropped(subscription) && self.shared_origin(session, chunk).is_some();
        let content = if is_shared { Content::Shared } else { Content::Messages };
        self.enqueue_shared(session, subscription, chunk, range, content);
    }

    pub(crate) fn has_room(&self, session: SessionKey, bytes: u32) -> bool {
        let charged = self.sessions[session].queue.charged_bytes;
        charged.saturating_add(Shard::charge_of(bytes)) <= self.settings.limits.queue_bytes_max
    }

    /// Counts what the turn costs: bytes rendered, and other work by the bytes that could be rendered meanwhile.
    pub(crate) fn spend(&mut self, bytes: usize) {
        self.spent = self.spent.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
    }

    /// Whether half of a turn's work is done.
    pub fn is_half_spent(&self) -> bool {
        self.spent >= TURN_BYTES_MAX / 2
    }

    /// Whether so much is done that the turn should end its reading and flush.
    pub fn wants_flush(&self) -> bool {
        self.spent >= TURN_BYTES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Subscribe, Target};
    use crate::encoding::EncodingId;
    use crate::settings::Settings;
    use crate::stand_in::Plain;
    use crate::time::Time;
    use fanwire_wire::frame::{AckLevel, Start};

    #[test]
    fn who_slept_while_all_numbers_of_fan_outs_were_used_is_met_again() {
        let mut shard = Shard::new(Settings::default(), vec![Box::new(Plain)], Time::default());
        let session = shard.open_session(EncodingId(0));
        let wish = Subscribe {
            subscription: 1,
            filter: b"room/1",
            group: b"",
            policy: Policy::Disconnect,
            no_echo: false,
            responder: false,
            max_rate_hz: 0,
            start: Start::Live,
        };
        shard.handle(session, &Command::Subscribe(wish)).unwrap();
        for (before, after) in [(0, 1), (u32::MAX, 1), (1, 2)] {
            shard.fanout = before;
            let target = Target::Name(b"room/1");
            let publish = Command::Publish { target, ack: AckLevel::None, headers: &[], payloads: &[b"x"] };
            shard.handle(session, &publish).unwrap();
            shard.finish_turn();
            assert_eq!(shard.fanout, after);
        }
        assert_eq!(shard.counters().deliveries, 3);
    }
}

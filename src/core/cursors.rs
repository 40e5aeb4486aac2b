//! Cursors: subscriptions that are served from a journal, until they have caught up with what is live.
//!
//! ```text
//!  SUBSCRIBE --> Reading --chunk--> history in the queue --room--> Reading ...
//!  fallen back --^   ^  SUBSCRIBED             | the journal's end
//!                    `---------Behind------ Joining --Joined--> live, after CAUGHT_UP
//!  SUBSCRIBE, start live -------------------^             `---> live, after SUBSCRIBED
//! ```
//!
//! A cursor asks for a chunk of history, which a thread of the journal reads, and asks for the next one once the
//! session's queue is short: so a client is served as fast as it reads, and holds no more than it may. Near the end it
//! asks the journal to join. The answer stands among the releases and brings what was released since the last read, so
//! that everything before it is history, and everything behind it is live: no gap, no duplicate, no other order.
//!
//! Until then the subscription meets no message (`fanout`).
//!
//! Who starts live joins at once. Before that the shard may be sent records that others of it want, and not those
//! between them: who heard these, and resumed behind them one day, would never get what it lacks.
//!
//! A shard whose way from the journal was full has a cursor of its own, for all that is in that journal: what it reads
//! is routed like what is released, and when it has joined, releases go on.
//!
//! What is asked for is bounded by session: what its queue holds and what its cursors have asked for is no more than a
//! quarter of what the queue may hold, so that replies always find room.
//!
//! Invariant: a cursor has at most one question under way, and one that has none waits for room in its session's queue.

use crate::arena::{CursorKey, Key, SessionKey, SubscriptionKey};
use crate::encoding::{Address, Event, HistoryOf, Numbers};
use crate::fanout::Incoming;
use crate::journal::history::{History, Reached, ReadEnd};
use crate::journal::plan::JournalId;
use crate::journaling::Known;
use crate::mail::Publisher;
use crate::settings::CHUNK_BYTES_MAX;
use crate::shard::Shard;
use crate::submissions::{Asking, CursorId};
use crate::subscription::{Place, Subscription};
use crate::topics::Topic;
use fanwire_wire::Code;
use fanwire_wire::frame::{Outcome, Start};

/// Bytes of history that are asked for at once, where a session's queue may hold enough.
const READ_BYTES_MAX: u32 = 512 * 1024;
/// The same, where all queues together are long.
const SCARCE_READ_BYTES_MAX: u32 = 16 * 1024;
/// What matches every topic of a journal.
const EVERYTHING: &str = "#";

/// A subscription's place in a journal.
pub(crate) struct Cursor {
    /// None if it stands for the whole shard.
    subscription: SubscriptionKey,
    serial: u64,
    journal: JournalId,
    filter: Box<str>,
    stage: Stage,
    /// Its subscription was live before, and was told that it is not any more.
    has_fallen: bool,
    /// What SUBSCRIBED tells, as long as it is not told, should the subscription end before that is known.
    untold: Option<Outcome>,
    /// The last position that it was given, or that lies before its beginning if it is a shard's own; 0: none.
    last_position: u64,
    /// It is a shard's own, and what follows the last position is missing.
    has_lost: bool,
}

impl Cursor {
    /// The journal and how many of its records are missing, if some are and that was not asked yet, since the next
    /// one has this position.
    pub(crate) fn take_missing(&mut self, next_position: u64) -> Option<(JournalId, u64)> {
        if !std::mem::take(&mut self.has_lost) {
            return None;
        }
        let missing = next_position.saturating_sub(self.last_position + 1);
        self.last_position += missing;
        (missing > 0).then_some((self.journal, missing))
    }

    #[cfg(test)]
    pub(crate) fn serial(&self) -> u64 {
        self.serial
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Waits for so many bytes, or about.
    Reading {
        asked_bytes: u32,
    },
    /// Waits for room.
    Full,
    Joining,
}

/// What a thread of the journal has read for a cursor.
#[derive(Debug)]
pub struct HistoryMail {
    /// For whom.
    pub cursor: CursorId,
    /// How it begins, with the first of its mail.
    pub opened: Option<Outcome>,
    /// The records.
    pub history: History,
    /// What comes next.
    pub end: ReadEnd,
}

impl Default for HistoryMail {
    /// A mail for nobody.
    fn default() -> Self {
        let cursor = CursorId { key: CursorKey::NONE, serial: 0 };
        HistoryMail { cursor, opened: None, history: History::default(), end: ReadEnd::More }
    }
}

impl Shard {
    /// Serves a subscription from its journal from here on.
    pub(crate) fn open_cursor(&mut self, subscription: SubscriptionKey, start: Start, has_fallen: bool) {
        let journal = self.subscriptions[subscription].journal;
        let filter: Box<str> = match self.subscriptions[subscription].place {
            Place::Topic(topic) => match &*self.topics.get(topic).name {
                "" => self.lent_name.as_str().into(),
                name => name.into(),
            },
            Place::Node(node) => self.filters.text_of(node).into(),
            Place::Group(_) => unreachable!("groups have no history"),
        };
        self.subscriptions[subscription].is_replaying = true;
        let key = self.add_cursor(subscription, journal, filter, start, has_fallen);
        let untold = if matches!(start, Start::Resume { .. }) { Outcome::Resumed } else { Outcome::History };
        self.cursors[key].untold = (!has_fallen).then_some(untold);
    }

    /// A subscription hears what the journal releases from some moment on that is still to come: it says when.
    pub(crate) fn begin_live(&mut self, subscription: SubscriptionKey) {
        let journal = self.subscriptions[subscription].journal;
        self.subscriptions[subscription].is_replaying = true;
        let cursor = self.insert_cursor(subscription, journal, Box::default(), Stage::Joining, false);
        self.cursors[cursor.key].untold = Some(Outcome::Live);
        self.journaling.submissions.push_begin(cursor, journal);
    }

    /// Reads a journal for the whole shard, from a position on that was not released to it.
    pub(crate) fn open_relay(&mut self, journal: JournalId, position: u64) {
        self.counters.relays += 1;
        let start = Start::Position { position };
        let key = self.add_cursor(SubscriptionKey::NONE, journal, EVERYTHING.into(), start, true);
        self.cursors[key].last_position = position - 1;
    }

    fn add_cursor(
        &mut self,
        subscription: SubscriptionKey,
        journal: JournalId,
        filter: Box<str>,
        start: Start,
        has_fallen: bool,
    ) -> CursorKey {
        // Without room the place is found, and nothing read.
        let asked_bytes = self.reserve_history(subscription).unwrap_or(0);
        let cursor = self.insert_cursor(subscription, journal, filter, Stage::Reading { asked_bytes }, has_fallen);
        let filter = &self.cursors[cursor.key].filter;
        self.journaling.submissions.push_open(Asking { cursor, journal, filter }, start, asked_bytes);
        cursor.key
    }

    fn insert_cursor(
        &mut self,
        subscription: SubscriptionKey,
        journal: JournalId,
        filter: Box<str>,
        stage: Stage,
        has_fallen: bool,
    ) -> CursorId {
        self.cursor_serials += 1;
        let serial = self.cursor_serials;
        let key = self.cursors.insert(Cursor {
            subscription,
            serial,
            journal,
            filter,
            stage,
            has_fallen,
            untold: None,
            last_position: 0,
            has_lost: false,
        });
        if subscription.is_some() {
            let session = self.subscriptions[subscription].session;
            self.sessions[session].more_mut().cursors.push(key);
        }
        CursorId { key, serial }
    }

    /// Takes what was read for a cursor.
    pub fn receive_history(&mut self, mail: &HistoryMail) {
        let HistoryMail { cursor: id, opened, history, end } = mail;
        let Some(&Cursor { subscription, has_fallen, .. }) = self.find_cursor(*id) else { return };
        match opened {
            // A shard that listens again from the end is told so.
            Some(Outcome::History | Outcome::Live) | None if has_fallen => {}
            Some(_) if has_fallen => return self.end_cursor(id.key, Code::RetentionOvertaken),
            Some(outcome) => {
                self.cursors[id.key].untold = None;
                self.tell_subscribed(subscription, *outcome);
            }
            None => {}
        }
        let session = subscription.is_some().then(|| self.subscriptions[subscription].session);
        if *end != ReadEnd::Going {
            self.free_history(id.key);
        }
        if let Some(first) = history.records.first() {
            self.tell_overtaken(id.key, first.position);
        }
        self.deliver_history(id.key, history);
        if let ReadEnd::Tail(reached) = end {
            self.tell_overtaken(id.key, reached.position + 1);
        }
        match end {
            ReadEnd::Going => {}
            ReadEnd::More => self.give_way(id.key),
            ReadEnd::Tail(reached) => self.ask_to_join(id.key, *reached),
            ReadEnd::Overtaken => self.end_cursor(id.key, Code::RetentionOvertaken),
            ReadEnd::Failed(_) => self.end_cursor(id.key, Code::HistoryFailed),
        }
        if let Some(session) = session {
            self.feed_cursors(session);
        }
    }

    /// It could not join yet: more was released than comes with an answer.
    pub(crate) fn read_on(&mut self, id: CursorId) {
        if self.find_cursor(id).is_some() {
            self.ask_for_history(id.key);
        }
    }

    /// What stands behind this in the releases is live to the cursor's subscription.
    pub(crate) fn join_releases(&mut self, id: CursorId, history: &History) {
        if self.find_cursor(id).is_none() {
            return;
        }
        self.deliver_history(id.key, history);
        // What is open was released before.
        self.begin_listening();
        let Cursor { subscription, journal, last_position, untold, .. } = self.forget_cursor(id.key);
        if subscription.is_some() {
            let state = &mut self.subscriptions[subscription];
            state.is_replaying = false;
            let (session, number) = (state.session, state.number);
            self.note_listening(subscription);
            self.yield_held_in(session, journal);
            match untold {
                Some(outcome) => self.tell_subscribed(subscription, outcome),
                None => {
                    self.enqueue_event(session, &Event::CaughtUp { subscription: number, position: last_position });
                }
            }
        }
    }

    /// The session's queue may have become shorter, or some of its cursors waits for nothing any more: others go on.
    pub(crate) fn feed_cursors(&mut self, session: SessionKey) {
        if !self.sessions[session].awaits_history || !self.may_read_on(session) {
            return;
        }
        self.sessions[session].awaits_history = false;
        for index in 0..self.sessions[session].cursors().len() {
            let key = self.sessions[session].cursors()[index];
            if self.cursors[key].stage == Stage::Full {
                self.ask_for_history(key);
            }
            if self.sessions[session].awaits_history {
                return;
            }
        }
    }

    /// A cursor has got its share: others of its session come first.
    fn give_way(&mut self, key: CursorKey) {
        let subscription = self.cursors[key].subscription;
        if !subscription.is_some() {
            return self.ask_for_history(key);
        }
        let state = &mut self.sessions[self.subscriptions[subscription].session];
        state.awaits_history = true;
        let cursors = &mut state.more_mut().cursors;
        if cursors.last() != Some(&key) {
            cursors.retain(|known| *known != key);
            cursors.push(key);
        }
    }

    /// Whether the queue of a session is short enough for more history.
    fn may_read_on(&self, session: SessionKey) -> bool {
        let state = &self.sessions[session];
        let asked_bytes = state.more().map_or(0, |more| more.asked_bytes);
        state.queue.charged_bytes + asked_bytes <= self.history_bytes_max()
    }

    /// What a subscription is to be told that ends before the journal has found where it begins: SUBSCRIBED is the
    /// first that it hears of, even so. Nothing is delivered, so whatever it begins with is all there.
    pub(crate) fn take_untold(&mut self, subscription: SubscriptionKey) -> Option<Outcome> {
        let cursor = self.cursor_of(subscription)?;
        self.cursors[cursor].untold.take()
    }

    /// Bytes of history that a session may hold before it asks for more, and that it asks for at once.
    pub(crate) fn history_bytes_max(&self) -> u32 {
        READ_BYTES_MAX.min(self.settings.limits.queue_bytes_max / 4)
    }

    /// How much may be asked for a subscription now, which counts as asked for from here on; none if it has to wait
    /// for room.
    fn reserve_history(&mut self, subscription: SubscriptionKey) -> Option<u32> {
        let is_scarce = self.charged_bytes > self.settings.queue_bytes_total_max / 2;
        let bytes = if is_scarce { SCARCE_READ_BYTES_MAX } else { self.history_bytes_max() };
        if !subscription.is_some() {
            return Some(bytes);
        }
        let session = self.subscriptions[subscription].session;
        if !self.may_read_on(session) || (is_scarce && !self.sessions[session].queue.is_empty()) {
            return None;
        }
        self.sessions[session].more_mut().asked_bytes += bytes;
        Some(bytes)
    }

    /// What a cursor has asked for has come, or will not.
    fn free_history(&mut self, key: CursorKey) {
        let Cursor { subscription, stage, .. } = &mut self.cursors[key];
        let Stage::Reading { asked_bytes } = std::mem::replace(stage, Stage::Full) else { return };
        if subscription.is_some() {
            let session = self.subscriptions[*subscription].session;
            self.sessions[session].more_mut().asked_bytes -= asked_bytes;
        }
    }

    /// Ends the cursor of a subscription that ends. To the last it counts as replaying: what is live and gathered
    /// already is fanned out when it leaves its place, and is not for it.
    pub(crate) fn drop_cursor_of(&mut self, subscription: SubscriptionKey) {
        if let Some(cursor) = self.cursor_of(subscription) {
            let session = self.subscriptions[subscription].session;
            self.close_cursor(cursor);
            self.feed_cursors(session);
        }
    }

    fn cursor_of(&self, subscription: SubscriptionKey) -> Option<CursorKey> {
        let state = &self.subscriptions[subscription];
        if !state.is_replaying {
            return None;
        }
        let mut cursors = self.sessions[state.session].cursors().iter().copied();
        let found = cursors.find(|key| self.cursors[*key].subscription == subscription);
        Some(found.expect("who is replaying has a cursor"))
    }

    /// A cursor that can't go on ends, and its subscription with it. One of the whole shard leaves live subscriptions
    /// without what they should have got: all that lie in the journal end, and others are told (`overtaken`).
    fn end_cursor(&mut self, key: CursorKey, code: Code) {
        let Cursor { subscription, journal, last_position, .. } = self.cursors[key];
        if subscription.is_some() {
            return self.end_by_broker(subscription, code);
        }
        self.close_cursor(key);
        let is_concerned = |(key, state): (SubscriptionKey, &Subscription)| {
            (state.journal == journal && !state.is_replaying).then_some(key)
        };
        let concerned: Vec<SubscriptionKey> = self.subscriptions.iter().filter_map(is_concerned).collect();
        for subscription in concerned {
            self.end_by_broker(subscription, code);
        }
        // It listens again from wherever the journal is now.
        let key = self.add_cursor(SubscriptionKey::NONE, journal, EVERYTHING.into(), Start::Live, true);
        let begun = &mut self.cursors[key];
        (begun.last_position, begun.has_lost) = (last_position, true);
    }

    fn close_cursor(&mut self, key: CursorKey) {
        let Cursor { serial, journal, .. } = self.forget_cursor(key);
        self.journaling.submissions.push_close(CursorId { key, serial }, journal);
    }

    fn find_cursor(&self, id: CursorId) -> Option<&Cursor> {
        self.cursors.get(id.key).filter(|cursor| cursor.serial == id.serial)
    }

    fn forget_cursor(&mut self, key: CursorKey) -> Cursor {
        self.free_history(key);
        let cursor = self.cursors.remove(key);
        if cursor.subscription.is_some() {
            let session = self.subscriptions[cursor.subscription].session;
            let state = &mut self.sessions[session];
            state.more_mut().cursors.retain(|known| *known != key);
            state.shed_more();
        }
        cursor
    }

    fn ask_for_history(&mut self, key: CursorKey) {
        let subscription = self.cursors[key].subscription;
        let Some(asked_bytes) = self.reserve_history(subscription) else {
            self.cursors[key].stage = Stage::Full;
            self.sessions[self.subscriptions[subscription].session].awaits_history = true;
            return;
        };
        let Shard { cursors, journaling, .. } = self;
        let Cursor { serial, journal, filter, stage, .. } = &mut cursors[key];
        *stage = Stage::Reading { asked_bytes };
        let cursor = CursorId { key, serial: *serial };
        journaling.submissions.push_read(Asking { cursor, journal: *journal, filter }, asked_bytes);
    }

    fn ask_to_join(&mut self, key: CursorKey, reached: Reached) {
        let Shard { cursors, journaling, .. } = self;
        let Cursor { serial, journal, filter, stage, subscription, .. } = &mut cursors[key];
        *stage = Stage::Joining;
        let cursor = CursorId { key, serial: *serial };
        let is_relay = !subscription.is_some();
        journaling.submissions.push_join(Asking { cursor, journal: *journal, filter }, reached, is_relay);
    }

    /// Puts records into the queue of a cursor's session, or routes them if it is the whole shard's.
    fn deliver_history(&mut self, key: CursorKey, history: &History) {
        let Some(last) = history.records.last() else { return };
        self.cursors[key].last_position = last.position;
        let subscription = self.cursors[key].subscription;
        if !subscription.is_some() {
            return self.route_history(history);
        }
        let Subscription { session, number, place, journal, .. } = self.subscriptions[subscription];
        let address = match place {
            Place::Topic(topic) => Address::Id(Topic::id_of(topic)),
            Place::Node(_) | Place::Group(_) => Address::Name,
        };
        let of = HistoryOf { subscription: number, address, epoch: self.journaling.plan.get(journal).epoch };
        if self.sessions[session].is_doomed {
            return;
        }
        // Who reads its history slowly would not hear what is newest before all of that.
        self.release_waiting(session);
        let mut records = history.iter().peekable();
        while records.peek().is_some() {
            self.enqueue_history(session, |encoding, out| {
                let mut count = 0;
                while out.len() < CHUNK_BYTES_MAX as usize
                    && let Some(record) = records.next()
                {
                    encoding.render_history(&of, &record, out);
                    count += 1;
                }
                count
            });
        }
    }

    fn route_history(&mut self, history: &History) {
        for record in history.iter() {
            let publisher = Publisher::of_identity(record.publisher);
            let numbers = Numbers { sequence: record.sequence, position: record.position };
            let message = Incoming { publisher, headers: record.headers, payloads: &[record.payload], recorded: None };
            let mut known = Known::NOTHING;
            self.receive_record(&mut known, record.topic.as_bytes(), numbers, message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::{Command, Subscribe};
    use crate::encoding::EncodingId;
    use crate::interest::Seat;
    use crate::releases::Releases;
    use crate::settings::Settings;
    use crate::stand_in::{Plain, let_begin, plan_of};
    use crate::time::Time;
    use fanwire_wire::Limits;
    use fanwire_wire::frame::Policy;

    /// A chunk that is full goes out while its topic is being routed, and the topic's name is lent out for that.
    #[test]
    fn who_falls_back_while_its_topics_name_is_lent_out_asks_for_that_topic() {
        let frame_bytes_max = 64 * 1024;
        let queue_bytes_max = Settings::queue_bytes_min(frame_bytes_max);
        let limits = Limits { frame_bytes_max, queue_bytes_max, ..Limits::default() };
        let seat = Seat::row_with_journals(1).remove(0);
        let settings = Settings { limits, ..Settings::default() };
        let shard = Shard::seated(settings, vec![Box::new(Plain)], seat, Time::default());
        let mut shard = shard.with_journals(plan_of("a/#"));
        // Somebody reads the name, so it takes more than the topic's id to route a record.
        for (filter, policy) in [("a/1", Policy::CatchUp), ("a/#", Policy::DropNewest)] {
            let session = shard.open_session(EncodingId(0));
            let wish = Subscribe {
                subscription: 1,
                filter: filter.as_bytes(),
                group: b"",
                policy,
                no_echo: false,
                responder: false,
                max_rate_hz: 0,
                start: Start::Live,
            };
            shard.handle(session, &Command::Subscribe(wish)).unwrap();
        }
        let_begin(&mut shard);
        let mut releases = Releases::default();
        releases.push_topic(0, "a/1");
        let payload = vec![0; 60_000];
        for position in 1..=20 {
            let numbers = Numbers { sequence: position, position };
            releases.push_record(0, Publisher::of_identity(0), numbers, b"", &payload);
        }
        // Nobody takes what the turns queue.
        while !shard.receive_releases(&mut releases) {
            shard.finish_turn();
            shard.begin_turn(Time::default());
        }
        let wanted: Vec<&str> = shard.cursors.iter().map(|(_, cursor)| &*cursor.filter).collect();
        assert_eq!(wanted, ["a/1"]);
    }
}

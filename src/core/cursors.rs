//! Cursors: subscriptions that are served from a journal, until they have caught up with what is live.
//!
//! ```text
//!  SUBSCRIBE --> Reading --chunk--> history in the queue --room--> Reading ...
//!  fallen back --^   ^  SUBSCRIBED             | the journal's end
//!                    `---------Behind------ Joining --Joined--> live, after CAUGHT_UP
//! ```
//!
//! A cursor asks for a chunk of history, which a thread of the journal reads, and asks for the next one once the
//! session's queue is short: so a client is served as fast as it reads, and holds no more than it may. Near the end it
//! asks the journal to join. The answer stands among the releases and brings what was released since the last read, so
//! that everything before it is history, and everything behind it is live: no gap, no duplicate, no other order.
//!
//! Until then the subscription meets no message (`fanout`).
//!
//! A shard whose way from the journal was full has a cursor of its own, for all that is in that journal: what it reads
//! is routed like what is released, and when it has joined, releases go on.
//!
//! Invariant: a cursor has at most one question under way, and one that has none waits for room in its session's queue.

use crate::arena::{CursorKey, Key, SessionKey, SubscriptionKey};
use crate::encoding::{Event, Numbers};
use crate::fanout::Incoming;
use crate::journal::history::{History, Reached, ReadEnd};
use crate::journal::plan::JournalId;
use crate::journaling::Known;
use crate::mail::Publisher;
use crate::session::Session;
use crate::settings::CHUNK_BYTES_MAX;
use crate::shard::Shard;
use crate::submissions::{Asking, CursorId};
use crate::subscription::Place;
use fanwire_wire::Code;
use fanwire_wire::frame::{Outcome, Start};

/// Bytes of history that are asked for at once.
const READ_BYTES_MAX: u32 = 256 * 1024;
/// Bytes in a session's queue up to which its cursors read on.
const AHEAD_BYTES_MAX: u32 = 512 * 1024;
/// The same for one read, where all queues together are long.
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
    /// The last position that it was given; 0: none.
    last_position: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Reading,
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
            Place::Topic(topic) => self.topics.get(topic).name.clone(),
            Place::Node(node) => self.filters.text_of(node).into(),
            Place::Group(_) => unreachable!("groups have no history"),
        };
        self.subscriptions[subscription].is_replaying = true;
        let key = self.add_cursor(subscription, journal, filter, start, has_fallen);
        let session = self.subscriptions[subscription].session;
        self.sessions[session].more_mut().cursors.push(key);
    }

    /// Reads a journal for the whole shard, from a position on that was not released to it.
    pub(crate) fn open_relay(&mut self, journal: JournalId, position: u64) {
        self.counters.relays += 1;
        self.add_cursor(SubscriptionKey::NONE, journal, EVERYTHING.into(), Start::Position { position }, true);
    }

    fn add_cursor(
        &mut self,
        subscription: SubscriptionKey,
        journal: JournalId,
        filter: Box<str>,
        start: Start,
        has_fallen: bool,
    ) -> CursorKey {
        self.cursor_serials += 1;
        let serial = self.cursor_serials;
        let key = self.cursors.next_key();
        let cursor = CursorId { key, serial };
        self.journaling.submissions.push_open(Asking { cursor, journal, filter: &filter }, start, READ_BYTES_MAX);
        let stage = Stage::Reading;
        let cursor = Cursor { subscription, serial, journal, filter, stage, has_fallen, last_position: 0 };
        let inserted = self.cursors.insert(cursor);
        assert!(inserted == key, "nothing else was inserted meanwhile");
        key
    }

    /// Takes what was read for a cursor.
    pub fn receive_history(&mut self, mail: &HistoryMail) {
        let HistoryMail { cursor: id, opened, history, end } = mail;
        let Some(&Cursor { subscription, has_fallen, .. }) = self.find_cursor(*id) else { return };
        match opened {
            Some(Outcome::History) | None if has_fallen => {}
            Some(_) if has_fallen => return self.end_cursor(id.key, Code::RetentionOvertaken),
            Some(outcome) => self.tell_subscribed(subscription, *outcome),
            None => {}
        }
        self.deliver_history(id.key, history);
        match end {
            ReadEnd::More => self.ask_for_history(id.key),
            ReadEnd::Tail(reached) => self.ask_to_join(id.key, *reached),
            ReadEnd::Overtaken => self.end_cursor(id.key, Code::RetentionOvertaken),
            ReadEnd::Failed(_) => self.end_cursor(id.key, Code::HistoryFailed),
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
        let Cursor { subscription, last_position, .. } = self.forget_cursor(id.key);
        if subscription.is_some() {
            let state = &mut self.subscriptions[subscription];
            state.is_replaying = false;
            let (session, number) = (state.session, state.number);
            self.enqueue_event(session, &Event::CaughtUp { subscription: number, position: last_position });
        }
    }

    /// The session's queue has become shorter: its cursors go on.
    pub(crate) fn feed_cursors(&mut self, session: SessionKey) {
        self.sessions[session].awaits_history = false;
        for index in 0..self.sessions[session].cursors().len() {
            let key = self.sessions[session].cursors()[index];
            if self.cursors[key].stage == Stage::Full {
                self.ask_for_history(key);
            }
        }
    }

    /// Whether the queue of a session is short enough for more history.
    pub(crate) const fn may_read_on(state: &Session) -> bool {
        state.queue.charged_bytes <= AHEAD_BYTES_MAX
    }

    /// Ends the cursor of a subscription that ends.
    pub(crate) fn drop_cursor_of(&mut self, subscription: SubscriptionKey) {
        let state = &mut self.subscriptions[subscription];
        if !std::mem::take(&mut state.is_replaying) {
            return;
        }
        let session = state.session;
        let mut cursors = self.sessions[session].cursors().iter().copied();
        let found = cursors.find(|key| self.cursors[*key].subscription == subscription);
        self.close_cursor(found.expect("who is replaying has a cursor"));
    }

    /// A cursor that can't go on ends, and its subscription with it. One of the whole shard leaves live subscriptions
    /// without what they should have got: all that lie in the journal end.
    fn end_cursor(&mut self, key: CursorKey, code: Code) {
        let Cursor { subscription, journal, .. } = self.cursors[key];
        if subscription.is_some() {
            return self.end_by_broker(subscription, code);
        }
        self.close_cursor(key);
        let is_concerned = |(key, state): (SubscriptionKey, &crate::subscription::Subscription)| {
            (state.journal == journal && !state.is_replaying).then_some(key)
        };
        let concerned: Vec<SubscriptionKey> = self.subscriptions.iter().filter_map(is_concerned).collect();
        for subscription in concerned {
            self.end_by_broker(subscription, code);
        }
        // It listens again from wherever the journal is now.
        self.open_relay_at_end(journal);
    }

    fn open_relay_at_end(&mut self, journal: JournalId) {
        self.add_cursor(SubscriptionKey::NONE, journal, EVERYTHING.into(), Start::Live, true);
    }

    fn close_cursor(&mut self, key: CursorKey) {
        let Cursor { serial, journal, .. } = self.forget_cursor(key);
        self.journaling.submissions.push_close(CursorId { key, serial }, journal);
    }

    fn find_cursor(&self, id: CursorId) -> Option<&Cursor> {
        self.cursors.get(id.key).filter(|cursor| cursor.serial == id.serial)
    }

    fn forget_cursor(&mut self, key: CursorKey) -> Cursor {
        let cursor = self.cursors.remove(key);
        if cursor.subscription.is_some() {
            let session = self.subscriptions[cursor.subscription].session;
            self.sessions[session].more_mut().cursors.retain(|known| *known != key);
        }
        cursor
    }

    fn ask_for_history(&mut self, key: CursorKey) {
        let subscription = self.cursors[key].subscription;
        let is_scarce = self.charged_bytes > self.settings.queue_bytes_total_max / 2;
        if subscription.is_some() {
            let state = &mut self.sessions[self.subscriptions[subscription].session];
            let may_read = if is_scarce { state.queue.is_empty() } else { Self::may_read_on(state) };
            if !may_read {
                state.awaits_history = true;
                self.cursors[key].stage = Stage::Full;
                return;
            }
        }
        let bytes_max = if is_scarce { SCARCE_READ_BYTES_MAX } else { READ_BYTES_MAX };
        let Shard { cursors, journaling, .. } = self;
        let Cursor { serial, journal, filter, stage, .. } = &mut cursors[key];
        *stage = Stage::Reading;
        let cursor = CursorId { key, serial: *serial };
        journaling.submissions.push_read(Asking { cursor, journal: *journal, filter }, bytes_max);
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
        let (session, number) = (self.subscriptions[subscription].session, self.subscriptions[subscription].number);
        if self.sessions[session].is_doomed {
            return;
        }
        let mut records = history.iter().peekable();
        while records.peek().is_some() {
            self.enqueue_history(session, |encoding, out| {
                let mut count = 0;
                while out.len() < CHUNK_BYTES_MAX as usize
                    && let Some(record) = records.next()
                {
                    encoding.render_history(number, &record, out);
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

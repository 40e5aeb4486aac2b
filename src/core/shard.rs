//! The shard: one entry for input, one for the end of a turn, one for the flush.
//!
//! ```text
//!  begin_turn(now)        timers fire
//!    receive_mail(from, envelope) ...  what other shards have sent
//!    handle(session, command) ...      until the input or the turn's budget ends
//!  finish_turn()          everything open is fanned out, acks are told, bounds are kept
//!  mail_to(shard)         for each: into its mailbox, or left for a later turn
//!  take_dirty()           for each: front --> write --> advance, until empty or the socket is full
//!  take_closures()        sessions that must go, with the code to tell them
//! ```
//!
//! A session's life: `open_session`, commands, `end_session` (it wants and gets nothing new, but what was queued is
//! still flushed), `remove_session`.

use crate::arena::{Arena, CallKey, ChunkKey, CursorKey, HeldKey, Key, RequestKey, SessionKey, SubscriptionKey};
use crate::chunk::{Chunks, Range};
use crate::command::Command;
use crate::counters::Counters;
use crate::cursors::Cursor;
use crate::encoding::{ENCODINGS_MAX, Encoding, EncodingId, Event};
use crate::exchange::Exchange;
use crate::fanout::{Open, OpenIndex};
use crate::filters::{Filters, Matches};
use crate::groups::Groups;
use crate::held::HeldValues;
use crate::interest::Seat;
use crate::journal::plan::Plan;
use crate::journaling::Journaling;
use crate::memberships::Memberships;
use crate::outbox::{Content, Entries};
use crate::requests::{Asked, Owed, Question};
use crate::session::{Registered, Session, SessionId, Slices, Subscriptions, Waiting};
use crate::settings::{CONTROL_BYTES_RESERVE, QUEUE_BYTES_CEILING, Settings};
use crate::submissions::Conditions;
use crate::time::Time;
use crate::topics::Topics;
use crate::wheel::Wheel;
use fanwire_wire::frame::Scope;
use fanwire_wire::{Code, Violation};

/// A session that the shell has to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closure {
    /// Which one.
    pub session: SessionId,
    /// What to tell it.
    pub code: Code,
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handled {
    /// It was executed, or refused.
    Done,
    /// Nothing was done: it has to be given again once the session is among [`Shard::take_resumed`], and no other
    /// command of the session before it.
    Postponed,
}

/// What a timer is for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Timer {
    /// The deadline of a request that a session waits for.
    Asked(RequestKey),
    /// The same, of a call that a session owes an answer to.
    Owed(CallKey),
    /// The interval of a `max_rate`.
    Pace(HeldKey),
}

/// The broker's state for the sessions of one reactor.
pub struct Shard {
    pub(crate) settings: Settings,
    pub(crate) encodings: Vec<Box<dyn Encoding>>,
    /// Renditions that have a topic's name though they are read by its id, a bit each.
    pub(crate) named_renditions: u16,
    pub(crate) now: Time,
    pub(crate) sessions: Arena<SessionKey, Session>,
    generation: u32,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) topics: Topics,
    pub(crate) filters: Filters,
    pub(crate) groups: Groups,
    pub(crate) memberships: Memberships,
    pub(crate) asked: Arena<RequestKey, Asked>,
    pub(crate) owed: Arena<CallKey, Owed>,
    pub(crate) request_serials: u64,
    pub(crate) exchange: Exchange,
    pub(crate) journaling: Journaling,
    pub(crate) cursors: Arena<CursorKey, Cursor>,
    pub(crate) cursor_serials: u64,
    /// The name of the topic whose record is being routed: it is not with its topic for the while.
    pub(crate) lent_name: String,
    pub(crate) chunks: Chunks,
    pub(crate) entries: Entries,
    pub(crate) held: HeldValues,
    pub(crate) wheel: Wheel<Timer>,
    pub(crate) counters: Counters,
    /// All queues together, as `charge` counts.
    pub(crate) charged_bytes: u64,

    /// The turn's state: what is open, rendered, owed.
    pub(crate) opens: Vec<Open>,
    /// Those of them that several topics share.
    pub(crate) open_sets: Vec<OpenIndex>,
    /// What the turn has cost so far; see `spend`.
    pub(crate) spent: u32,
    pub(crate) acking: Vec<SessionKey>,
    /// Counts fan-outs, so that each session is met once in each.
    pub(crate) fanout: u32,

    /// For the shell.
    dirty: Vec<SessionId>,
    closures: Vec<Closure>,
    pub(crate) refusal: Option<Code>,
    pub(crate) freshness: Vec<SessionId>,

    /// Buffers that keep their memory between uses.
    pub(crate) met: Vec<SessionKey>,
    pub(crate) matches: Matches,
    pub(crate) newest_copy: Option<(ChunkKey, Range, ChunkKey)>,
    due: Vec<Timer>,
}

impl Shard {
    /// A shard without sessions, alone in its broker.
    ///
    /// # Panics
    /// As [`Shard::seated`] does.
    pub fn new(settings: Settings, encodings: Vec<Box<dyn Encoding>>, now: Time) -> Self {
        let seat = Seat::row(1).remove(0);
        Shard::seated(settings, encodings, seat, now)
    }

    /// A shard without sessions, one of several in a broker; all of them have the same seed.
    ///
    /// # Panics
    /// When there are more than 8 encodings, or `queue_bytes_max` is below what a turn may produce
    /// ([`Settings::queue_bytes_min`]) or above what can be counted ([`QUEUE_BYTES_CEILING`]).
    pub fn seated(settings: Settings, encodings: Vec<Box<dyn Encoding>>, seat: Seat, now: Time) -> Self {
        assert!(encodings.len() <= ENCODINGS_MAX, "a shard knows at most {ENCODINGS_MAX} encodings");
        let least = Settings::queue_bytes_min(settings.limits.frame_bytes_max);
        let allowed = least..=QUEUE_BYTES_CEILING;
        assert!(allowed.contains(&settings.limits.queue_bytes_max), "queue_bytes_max must be within {allowed:?}");
        let named = encodings.iter().enumerate().filter(|(_, encoding)| encoding.needs_name());
        let named_renditions = named.fold(0, |all, (index, _)| all | 1 << index);
        Shard {
            settings,
            encodings,
            named_renditions,
            now,
            sessions: Arena::new(),
            generation: 0,
            subscriptions: Arena::new(),
            topics: Topics::new(settings.seed, settings.topics_cached_max),
            filters: Filters::new(settings.seed),
            groups: Groups::new(settings.seed),
            memberships: Memberships::new(),
            asked: Arena::new(),
            owed: Arena::new(),
            request_serials: 0,
            exchange: Exchange::new(seat, settings.mailbox_bytes_max),
            journaling: Journaling::new(Plan::default(), settings.mailbox_bytes_max),
            cursors: Arena::new(),
            cursor_serials: 0,
            lent_name: String::new(),
            chunks: Chunks::default(),
            entries: Arena::new(),
            held: HeldValues::new(settings.seed),
            wheel: Wheel::new(now),
            counters: Counters::default(),
            charged_bytes: 0,
            opens: Vec::new(),
            open_sets: Vec::new(),
            spent: 0,
            acking: Vec::new(),
            fanout: 0,
            dirty: Vec::new(),
            closures: Vec::new(),
            refusal: None,
            freshness: Vec::new(),
            met: Vec::new(),
            matches: Matches::default(),
            newest_copy: None,
            due: Vec::new(),
        }
    }

    /// The same shard of a broker that keeps journals; all of its shards have the same plan.
    ///
    /// # Panics
    /// When the shard knows topics already.
    #[must_use]
    pub fn with_journals(mut self, plan: Plan) -> Self {
        assert!(self.topics.len() == 0, "the plan is settled before the first topic is known");
        self.topics.keep(plan.clone());
        self.journaling = Journaling::new(plan, self.settings.mailbox_bytes_max);
        self
    }

    /// Begins a turn: moves the shard's clock and fires what is due.
    pub fn begin_turn(&mut self, now: Time) {
        debug_assert!(self.opens.is_empty() && self.acking.is_empty(), "the last turn was finished");
        self.now = self.now.max(now);
        // What a flush has released is no part of this turn's budget.
        self.spent = 0;
        self.journaling.begin_turn();
        self.chunks.trim();
        let mut due = std::mem::take(&mut self.due);
        self.wheel.expire(self.now, &mut due);
        for timer in due.drain(..) {
            match timer {
                Timer::Asked(request) => self.expire_asked(request),
                Timer::Owed(call) => self.expire_owed(call),
                Timer::Pace(held) => self.end_pace(held),
            }
        }
        self.due = due;
    }

    /// Adds a session that is to be sent one of the shard's encodings.
    pub fn open_session(&mut self, encoding: EncodingId) -> SessionId {
        assert!((encoding.0 as usize) < self.encodings.len(), "encodings are those the shard was made with");
        self.generation = self.generation.wrapping_add(1);
        let key = self.sessions.insert(Session::new(self.generation, encoding));
        SessionId { key, generation: self.generation }
    }

    /// The encoding that a session is sent.
    pub fn encoding_of(&self, session: SessionId) -> EncodingId {
        self.sessions[self.key_of(session)].encoding
    }

    /// Sends a session in another encoding from here on; what is queued stays as it is.
    ///
    /// # Panics
    /// When it has subscribed or asked for something: what it is owed is counted on in its encoding.
    pub fn switch_encoding(&mut self, session: SessionId, encoding: EncodingId) {
        assert!((encoding.0 as usize) < self.encodings.len(), "encodings are those the shard was made with");
        let key = self.key_of(session);
        let state = &mut self.sessions[key];
        let is_quiet = state.subscription_count() == 0 && state.more().is_none();
        assert!(is_quiet, "a session keeps its encoding once it wants something");
        state.encoding = encoding;
    }

    /// Executes one command, or says that it has to wait. An error means that the peer broke the protocol and has to
    /// go.
    ///
    /// # Panics
    /// When the session is not there or has ended: the caller's mistake, like every wrong [`SessionId`] below.
    #[inline]
    pub fn handle(&mut self, session: SessionId, command: &Command<'_>) -> Result<Handled, Violation> {
        let key = self.key_of(session);
        let state = &self.sessions[key];
        assert!(!state.is_ended, "a session that has ended commands nothing");
        if state.waiting == Waiting::Home {
            return Ok(Handled::Postponed);
        }
        match *command {
            Command::Register { short_id, topic } => {
                self.register(key, short_id, topic);
                Ok(Handled::Done)
            }
            Command::Publish { target, ack, headers, payloads } => {
                self.publish(session, target, ack, Conditions::default(), headers, payloads)
            }
            Command::PublishIf { target, ack, conditions, headers, payload } => {
                self.publish(session, target, ack, conditions, headers, &[payload])
            }
            Command::Subscribe(ref wish) => self.subscribe(key, wish),
            Command::Unsubscribe { subscription } => {
                self.unsubscribe(key, subscription);
                Ok(Handled::Done)
            }
            Command::Request { correlation, deadline_ms, topic, headers, payload } => {
                self.request(key, &Question { correlation, deadline_ms, topic, headers, payload })
            }
            Command::Reply { handle, headers, payload } => self.reply(key, handle, headers, payload),
        }
    }

    /// Whether a session's last command is not answered yet, and nothing else may be before it is.
    pub fn is_waiting(&self, session: SessionId) -> bool {
        self.sessions[self.key_of(session)].waiting == Waiting::Home
    }

    /// Appends bytes of the session's own protocol to its queue: greetings, pongs, answers, farewells. However long it
    /// is, one of them is not too much for who has read what came before.
    pub fn send(&mut self, session: SessionId, render: impl FnOnce(&mut Vec<u8>)) {
        let key = self.key_of(session);
        let has_read = self.sessions[key].queue.charged_bytes <= CONTROL_BYTES_RESERVE;
        self.enqueue_own(key, SubscriptionKey::NONE, Content::Control, |_, out| render(out));
        if !has_read {
            self.check_control_bound(key);
        }
    }

    /// Ends the turn's input: everything open is fanned out, acknowledgements are told, bounds are kept. After it, the
    /// mail of other shards is complete; it has to be on its way before the first acknowledgement is flushed.
    pub fn finish_turn(&mut self) {
        self.seal_all();
        self.end_posting();
        self.end_submitting();
        let mut acking = std::mem::take(&mut self.acking);
        for session in acking.drain(..) {
            if self.sessions.get(session).is_some() {
                self.send_acks(session);
            }
        }
        self.acking = acking;
        self.close_largest();
        self.topics.forget_surplus(self.subscriptions.len());
    }

    /// Moves the sessions that have something to send to `dirty`, each once.
    pub fn take_dirty(&mut self, dirty: &mut Vec<SessionId>) {
        for session in &self.dirty {
            if let Some(state) = self.sessions.get_mut(session.key)
                && state.generation == session.generation
            {
                state.is_dirty = false;
                dirty.push(*session);
            }
        }
        self.dirty.clear();
    }

    /// Whether some session has something to send.
    pub const fn has_dirty(&self) -> bool {
        !self.dirty.is_empty()
    }

    /// Whether some session has to be closed.
    pub const fn has_closures(&self) -> bool {
        !self.closures.is_empty()
    }

    /// Moves the sessions that have to be closed to `closures`, each once.
    pub fn take_closures(&mut self, closures: &mut Vec<Closure>) {
        closures.append(&mut self.closures);
    }

    /// The code of the newest command that was refused since the last call, for the log. The session goes on.
    pub const fn take_refusal(&mut self) -> Option<Code> {
        self.refusal.take()
    }

    /// Moves the sessions whose sockets should hold little unsent data to `sessions`, each once.
    pub fn take_fresh(&mut self, sessions: &mut Vec<SessionId>) {
        sessions.append(&mut self.freshness);
    }

    /// The bytes to write next to a session's socket, in order; nothing when its queue is empty.
    pub fn front<'a>(&'a self, session: SessionId, slices: &mut Slices<'a>) {
        self.collect_front(self.key_of(session), slices);
    }

    /// Tells that bytes of `front` were written, and whether the socket refused more. Once it takes everything,
    /// values that waited for room follow: look at `front` again.
    pub fn advance(&mut self, session: SessionId, sent_bytes: usize, is_blocked: bool) {
        let key = self.key_of(session);
        self.take_sent(key, sent_bytes);
        self.sessions[key].is_blocked = is_blocked;
        if self.sessions[key].owes_room {
            self.tell_room(key);
        }
        self.feed_cursors(key);
        if !is_blocked && self.sessions[key].queue.is_empty() {
            self.release_waiting(key);
        }
    }

    /// Charges a session's queue with bytes that its gateway has taken from it and keeps, in place of what it kept
    /// before. So what waits for a client is bounded wherever it waits.
    pub fn charge_kept(&mut self, session: SessionId, bytes: u32) {
        let key = self.key_of(session);
        if bytes == 0 && self.sessions[key].more().is_none() {
            return;
        }
        let before = std::mem::replace(&mut self.sessions[key].more_mut().kept_bytes, bytes);
        self.uncharge(key, before);
        self.charge(key, bytes);
        self.feed_cursors(key);
    }

    /// Lists a session as dirty again: its socket takes bytes once more, or a turn's budget ended its flush.
    pub fn mark_writable(&mut self, session: SessionId) {
        let key = self.key_of(session);
        self.sessions[key].is_blocked = false;
        if self.sessions[key].queue.is_empty() {
            self.release_waiting(key);
        } else {
            self.mark_dirty(key);
        }
    }

    /// Whether nothing waits to be sent to a session.
    pub fn is_flushed(&self, session: SessionId) -> bool {
        self.sessions[self.key_of(session)].queue.is_empty()
    }

    /// Ends a session's part: its subscriptions and requests are over, what was queued is still to be flushed, what was
    /// held back is not sent any more. A session that is closed for its slowness is not even sent what was queued, but
    /// for the frame that has begun.
    pub fn end_session(&mut self, session: SessionId) {
        let key = self.key_of(session);
        if self.sessions[key].is_ended {
            return;
        }
        let more = self.sessions[key].more();
        if more.is_some_and(|more| !more.publishing.pending_acks.is_empty()) {
            self.seal_all();
            self.send_acks(key);
        }
        for subscription in self.sessions[key].take_subscriptions() {
            self.drop_cursor_of(subscription);
            self.detach(subscription);
            self.end_held_under(key, subscription, false);
            self.detach_chain(subscription);
            self.subscriptions.remove(subscription);
        }
        let publishing = self.sessions[key].existing_more_mut().map(|more| std::mem::take(&mut more.publishing));
        for registered in publishing.into_iter().flat_map(|publishing| publishing.registered) {
            if let Registered::Topic(topic) = registered {
                self.topics.unhold(topic);
            }
        }
        self.end_dialogue(key);
        self.sessions[key].is_ended = true;
        if self.sessions[key].is_doomed {
            self.discard_queue(key);
        }
    }

    /// Forgets a session and what it was not sent.
    pub fn remove_session(&mut self, session: SessionId) {
        self.end_session(session);
        let key = self.key_of(session);
        // What it published this turn names it by its slot, which is free from here on.
        self.seal_all();
        self.charge_kept(session, 0);
        self.abandon_queue(key);
        assert!(self.sessions[key].queue.charged_bytes == 0, "an empty queue is charged nothing");
        self.sessions.remove(key);
        if self.sessions.len() == 0 && self.groups.is_empty() {
            self.end_posting();
            self.end_submitting();
            self.forget_envelopes();
            self.topics.forget_all();
        }
    }

    /// When `begin_turn` has something to do next.
    pub fn next_deadline(&self) -> Option<Time> {
        self.wheel.next_deadline()
    }

    /// Totals since the shard was made.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Bytes that all queues are charged with.
    pub const fn queue_bytes_total(&self) -> u64 {
        self.charged_bytes
    }

    /// Bytes that one session's queue is charged with.
    pub fn queue_bytes(&self, session: SessionId) -> u32 {
        self.sessions[self.key_of(session)].queue.charged_bytes
    }

    /// How many subscriptions all sessions have.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.len()
    }

    /// How many requests of local sessions are not answered yet.
    pub fn request_count(&self) -> usize {
        self.asked.len()
    }

    /// How many sessions are there.
    pub fn session_count(&self) -> usize {
        self.sessions.len()
    }

    /// How many topics are known, held or remembered.
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Whether nobody waits for anything: no queue, no value held, no request in flight, no mail under way.
    pub fn is_at_rest(&self) -> bool {
        let is_answered = self.asked.len() == 0 && self.owed.len() == 0;
        let is_settled = self.memberships.are_settled() && self.exchange.is_at_rest() && self.journaling.is_at_rest();
        self.charged_bytes == 0 && self.entries.len() == 0 && is_answered && is_settled
    }

    pub(crate) fn id_of(&self, key: SessionKey) -> SessionId {
        SessionId { key, generation: self.sessions[key].generation }
    }

    /// Whether a session of this name is there, ended or not.
    pub(crate) fn is_there(&self, session: SessionId) -> bool {
        self.sessions.get(session.key).is_some_and(|state| state.generation == session.generation)
    }

    pub(crate) fn key_of(&self, session: SessionId) -> SessionKey {
        assert!(self.is_there(session), "the session is there");
        session.key
    }

    pub(crate) fn mark_dirty(&mut self, key: SessionKey) {
        let state = &mut self.sessions[key];
        // A socket that is full says when it is not: trying before would be in vain.
        if !state.is_dirty && !state.is_blocked {
            state.is_dirty = true;
            self.dirty.push(SessionId { key, generation: state.generation });
        }
    }

    /// Asks the shell, once, to close a session that does not read what it is sent.
    pub(crate) fn doom(&mut self, key: SessionKey, code: Code) {
        let state = &mut self.sessions[key];
        if !state.is_doomed {
            state.is_doomed = true;
            self.counters.slow_closed += 1;
            self.closures.push(Closure { session: SessionId { key, generation: state.generation }, code });
        }
    }

    pub(crate) fn refuse(&mut self, session: SessionKey, scope: Scope, code: Code, reference: u64) {
        self.counters.refused += 1;
        self.refusal = Some(code);
        self.enqueue_event(session, &Event::Refused { scope, code, reference, actual: None });
    }

    /// While all queues together are beyond their bound, the largest one's session goes. What sessions that go already
    /// still hold does not count: nobody else's going would free it.
    fn close_largest(&mut self) {
        if self.charged_bytes <= self.settings.queue_bytes_total_max {
            return;
        }
        let mut going_bytes = 0;
        let mut candidates = Vec::new();
        for (key, state) in self.sessions.iter() {
            if state.is_doomed {
                going_bytes += u64::from(state.queue.charged_bytes);
            } else {
                candidates.push((state.queue.charged_bytes, key));
            }
        }
        candidates.sort_unstable();
        while self.charged_bytes - going_bytes > self.settings.queue_bytes_total_max
            && let Some((_, key)) = candidates.pop()
        {
            self.doom(key, Code::QueueOverflow);
            self.discard_held(key);
            self.discard_queue(key);
            going_bytes += u64::from(self.sessions[key].queue.charged_bytes);
        }
    }
}

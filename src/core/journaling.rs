//! A shard's side of the journal: what it submits, and what it hears back.
//!
//! ```text
//!  publish --topic is journaled--> submissions --shell--> journal: order, append --> releases --> receive_releases
//!     |                               | full                                                       |      |
//!     `- postponed <------------------'                       ACK, ERROR with the publish number <-'      `-> route
//! ```
//!
//! A publish to a journaled topic goes to nobody here before the journal has it: it comes back, numbered, to every
//! shard that may have somebody who wants it, this one too. So all see one order, and nobody sees what a failing
//! journal has refused. Whatever level an acknowledgement asks for, it comes from the journal.
//!
//! A journal that could not be opened is never asked: what it would have to refuse is refused here, by the plan.
//!
//! The way to the journal is a lane like those to other shards (`exchange`), with the same policy: a session that wants
//! to add to a full one is postponed, what cursors ask for goes in all the same, since there is one question a cursor.

use crate::arena::{Key, SessionKey, TopicKey};
use crate::chunk::Origin;
use crate::encoding::{Event, Numbers};
use crate::fanout::{Incoming, OpenIndex};
use crate::journal::plan::{JournalId, Plan};
use crate::publish::Routed;
use crate::releases::{Acked, Note, Release, Releases};
use crate::session::SessionId;
use crate::shard::{Handled, Shard};
use crate::submissions::{Conditions, Head, Submissions};
use crate::topics::{HashedName, UNPOSTED};
use fanwire_wire::Code;
use fanwire_wire::frame::{AckLevel, Scope};

/// What it costs a turn to read one thing of the journal's mail, in bytes.
const READING_COST: usize = 16;

/// What is known of a released topic.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    topic: TopicKey,
    journal: JournalId,
}

impl Known {
    pub(crate) const NOTHING: Known = Known { topic: TopicKey::NONE, journal: JournalId::NONE };
}

/// What a shard has for the journal, and knows of it.
pub(crate) struct Journaling {
    pub(crate) plan: Plan,
    pub(crate) submissions: Submissions,
    /// Bytes of earlier submissions that were not read there yet.
    transit_bytes: u64,
    lane_bytes_max: u64,
    is_full: bool,
    /// Topics that the submissions know by number.
    posted: Vec<TopicKey>,
    /// Counts stretches of releases: a turn has at least one, and who begins to listen begins another.
    pub(crate) stretch: u64,
    /// The first one of this turn.
    pub(crate) turn_stretch: u64,
    /// By journal: its first position in this stretch; 0 before there is one.
    floors: Vec<u64>,
    /// Of the audiences that records were gathered for in this turn and that may have wildcards, the last one.
    pub(crate) last_open: OpenIndex,
    /// The reader's topics by number.
    released: Vec<Known>,
}

impl Journaling {
    pub(crate) fn new(plan: Plan, lane_bytes_max: u64) -> Self {
        Journaling {
            floors: vec![0; plan.count()],
            plan,
            submissions: Submissions::default(),
            transit_bytes: 0,
            lane_bytes_max,
            is_full: false,
            posted: Vec::new(),
            stretch: 1,
            turn_stretch: 1,
            last_open: OpenIndex::NONE,
            released: Vec::new(),
        }
    }

    /// Whether nothing is under way.
    pub(crate) fn is_at_rest(&self) -> bool {
        self.submissions.is_empty() && self.transit_bytes == 0 && !self.is_full
    }

    pub(crate) fn begin_turn(&mut self) {
        self.begin_stretch();
        self.turn_stretch = self.stretch;
    }

    /// Another stretch begins: what is released from here on, somebody hears who did not hear what came before.
    pub(crate) fn begin_stretch(&mut self) {
        self.stretch += 1;
        self.floors.fill(0);
    }

    fn note_filled(&mut self) {
        self.is_full |= self.submissions.bytes() as u64 + self.transit_bytes >= self.lane_bytes_max;
    }
}

impl Shard {
    /// Whether something was gathered for the journal.
    pub fn has_submissions(&self) -> bool {
        !self.journaling.submissions.is_empty()
    }

    /// What was gathered for the journal. The shell puts an empty envelope in its place, or leaves it where it is if
    /// the mailbox is full.
    pub fn submissions(&mut self) -> &mut Submissions {
        &mut self.journaling.submissions
    }

    /// Tells how many bytes of submissions were taken from here and not read by the journal yet.
    pub fn note_journal_transit(&mut self, bytes: u64) {
        let journaling = &mut self.journaling;
        journaling.transit_bytes = bytes;
        if journaling.is_full && journaling.submissions.bytes() as u64 + bytes <= journaling.lane_bytes_max / 2 {
            journaling.is_full = false;
            self.resume_blocked();
        }
        self.journaling.note_filled();
    }

    /// Whether somebody waits for the way to the journal: the shell has to see to it that its emptying is told.
    pub const fn awaits_journal(&self) -> bool {
        self.journaling.is_full
    }

    /// The journal of an admitted topic.
    pub(crate) fn journal_of(&self, topic: Routed<'_>) -> JournalId {
        match topic {
            Routed::Known(topic) => self.topics.get(topic).journal,
            Routed::Unknown(name) => self.journaling.plan.journal_of(name.text),
        }
    }

    /// Whether a session has to wait because the journal takes no more; it is told when to try again.
    pub(crate) fn must_wait_for_journal(&mut self, session: SessionKey) -> bool {
        if self.journaling.is_full {
            self.wait_for_room(session);
        }
        self.journaling.is_full
    }

    /// Hands publishes to the journal, which answers them.
    pub(crate) fn submit(
        &mut self,
        session: SessionId,
        topic: Routed<'_>,
        ack: AckLevel,
        conditions: Conditions,
        headers: &[u8],
        payloads: &[&[u8]],
    ) -> Handled {
        let journal = self.journal_of(topic);
        let planned = self.journaling.plan.get(journal);
        let refusal = match planned {
            _ if ack >= AckLevel::Journaled && planned.is_volatile => Some(Code::AckLevelUnavailable),
            // As by one that fails later.
            _ if planned.is_refused => Some(Code::JournalFailed),
            _ => None,
        };
        if let Some(code) = refusal {
            self.refuse_publishes(session.key, ack, payloads.len(), code);
            return Handled::Done;
        }
        if self.must_wait_for_journal(session.key) {
            return Handled::Postponed;
        }
        let first = self.number_publishes(session.key, ack, payloads.len()).unwrap_or(0);
        self.counters.messages_in += payloads.len() as u64;
        let payload_bytes: usize = payloads.iter().map(|payload| payload.len()).sum();
        self.counters.payload_bytes_in += payload_bytes as u64;
        if self.topics.tally.is_some() {
            match topic {
                Routed::Known(topic) => self.tally(topic, payloads.len() as u64, 0),
                Routed::Unknown(name) => self.tally_unrouted(name, payloads.len()),
            }
        }
        let number = self.number_for_journal(topic);
        let head = Head { journal, session, ack, first, conditions };
        self.journaling.submissions.push_publishes(number, head, headers, payloads);
        self.journaling.note_filled();
        self.spend(payload_bytes + headers.len());
        Handled::Done
    }

    /// The number of a topic in the submissions; its name is told if it is new there.
    fn number_for_journal(&mut self, topic: Routed<'_>) -> u32 {
        let Shard { topics, journaling, .. } = self;
        let new = journaling.posted.len() as u32;
        match topic {
            Routed::Known(key) => {
                let topic = topics.get_mut(key);
                if topic.posted == UNPOSTED {
                    topic.posted = new;
                    journaling.posted.push(key);
                    journaling.submissions.push_topic(new, &topic.name);
                }
                topic.posted
            }
            Routed::Unknown(name) => {
                journaling.posted.push(TopicKey::NONE);
                journaling.submissions.push_topic(new, name.text);
                new
            }
        }
    }

    /// The turn is over: topics will be told of anew.
    pub(crate) fn end_submitting(&mut self) {
        for topic in self.journaling.posted.drain(..).filter(|topic| topic.is_some()) {
            self.topics.get_mut(topic).posted = UNPOSTED;
        }
        if self.journaling.posted.capacity() > 65_536 {
            self.journaling.posted = Vec::new();
        }
    }

    /// Acts on mail of the journal, as far as the turn's budget goes, and at least on one thing in it. Returns whether
    /// all of it is done; if not, it is to be given again in a later turn, before any other.
    pub fn receive_releases(&mut self, releases: &mut Releases) -> bool {
        let mut topics = std::mem::take(&mut self.journaling.released);
        topics.clear();
        let is_done = loop {
            self.spend(READING_COST);
            match releases.next() {
                None => break true,
                Some(Release::Topic { number }) => {
                    if let Some(known) = topics.get_mut(number as usize) {
                        *known = Known::NOTHING;
                    }
                }
                Some(Release::Record { topic, name, publisher, numbers, headers, payload }) => {
                    if topics.len() <= topic as usize {
                        topics.resize(topic as usize + 1, Known::NOTHING);
                    }
                    let message = Incoming { publisher, headers, payloads: &[payload], recorded: None };
                    self.receive_record(&mut topics[topic as usize], name, numbers, message);
                }
                Some(Release::Note(note)) => self.take_journal_note(note),
            }
            if self.wants_flush() {
                break false;
            }
        };
        self.journaling.released = topics;
        is_done
    }

    /// Routes a record of a topic of which so much is known; more afterwards.
    pub(crate) fn receive_record(
        &mut self,
        Known { topic: known, journal }: &mut Known,
        name: &[u8],
        numbers: Numbers,
        mut message: Incoming<'_>,
    ) {
        let hash = if known.is_some() { 0 } else { self.topics.hash_of(name) };
        if !known.is_some() {
            *known = self.topics.find(name, hash).unwrap_or(TopicKey::NONE);
        }
        let topic = if known.is_some() {
            Routed::Known(*known)
        } else {
            Routed::Unknown(HashedName { text: crate::mail::text(name), hash })
        };
        if !journal.is_some() {
            *journal = self.journal_of(topic);
        }
        let floor = &mut self.journaling.floors[usize::from(journal.0)];
        if *floor == 0 {
            *floor = numbers.position;
        }
        let origin = Origin { journal: *journal, stretch: self.journaling.stretch, floor: *floor };
        message.recorded = Some((numbers, origin));
        self.route(topic, 0, &message);
    }

    fn take_journal_note(&mut self, note: Note) {
        match note {
            Note::Acked(acked) => self.tell_acked(&acked),
            Note::Refused { session, number, code, actual } => {
                if self.is_listening(session) {
                    let scope = if number > 0 { Scope::Publish } else { Scope::UnackedPublish };
                    self.counters.refused += 1;
                    self.refusal = Some(code);
                    self.enqueue_event(session.key, &Event::Refused { scope, code, reference: number, actual });
                }
            }
            Note::Joined { cursor, history } => self.join_releases(cursor, &history),
            Note::Behind { cursor } => self.read_on(cursor),
            Note::Relay { journal, position } => self.open_relay(journal, position),
            Note::Nothing => {}
        }
    }

    fn tell_acked(&mut self, acked: &Acked) {
        let Acked { session, first, count, level, first_sequence, is_duplicate, .. } = *acked;
        if self.is_listening(session) {
            let event = Event::Acked { first, count, level, first_sequence, is_duplicate };
            self.enqueue_event(session.key, &event);
        }
    }

    /// Whether a session of this name is still there and told what becomes of its commands.
    fn is_listening(&self, session: SessionId) -> bool {
        let state = self.sessions.get(session.key);
        state.is_some_and(|state| state.generation == session.generation && !state.is_ended)
    }
}

//! What one shard gathers for another in a turn: publications, and notes between groups, members, askers and answerers.
//!
//! ```text
//!  Topic 0 "room/7" | Message 0 | Message 0 | Topic 1 "log/a" | Message 1 | Message 0 | Note | ...
//!  bytes  [room/7][headers payload][headers payload][log/a][...]                records in their order, bytes beside
//! ```
//!
//! An envelope is made by one shard, moved, and read by another; nothing in it is shared, and nobody counts
//! references. The name of a topic that is remembered is told once an envelope and turn, any other one each time;
//! messages name it by its number, and a number that is told again means the new name from there on. Reading may stop
//! anywhere and go on in a later turn.

use crate::arena::{GroupKey, Key, MemberKey, MembershipKey, RequestKey, SessionKey};
use crate::session::SessionId;
use crate::time::Time;
use fanwire_wire::Code;

/// Mail from one shard to another.
#[derive(Default)]
pub struct Envelope {
    records: Vec<Record>,
    notes: Vec<Note>,
    bytes: Vec<u8>,
    /// How far the reader has come.
    read: Position,
    /// The names of the topics that messages name by number, as far as they were read.
    topics: Vec<Span>,
    /// Somewhere in it stands `Unjammed`.
    pub(crate) says_unjammed: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Position {
    record: usize,
    note: usize,
    byte: usize,
}

/// A stretch of an envelope's bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    begin: usize,
    end: usize,
}

#[derive(Debug, Clone, Copy)]
enum Record {
    Topic { number: u32, name_bytes: u32 },
    Message { topic: u32, publisher: SessionId, headers_bytes: u32, payload_bytes: u32 },
    Note { topic_bytes: u32, headers_bytes: u32, payload_bytes: u32 },
}

/// Who published: a session of some shard. It may be gone, and another one in its slot, before everything it has
/// published is where it goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Publisher {
    pub(crate) shard: u8,
    pub(crate) session: SessionId,
}

impl Publisher {
    /// The same as a number, for records: it means something as long as the broker runs.
    pub(crate) fn identity(self) -> u64 {
        let SessionId { key, generation } = self.session;
        u64::from(self.shard) << 56 | (key.index() as u64 & SLOT_MASK) << 32 | u64::from(generation)
    }

    /// Who has this identity.
    pub(crate) fn of_identity(identity: u64) -> Publisher {
        let key = SessionKey::from_index((identity >> 32 & SLOT_MASK) as usize);
        Publisher { shard: (identity >> 56) as u8, session: SessionId { key, generation: identity as u32 } }
    }
}

/// Slots of sessions that an identity can tell apart; more than there are descriptors.
const SLOT_MASK: u64 = (1 << 24) - 1;

/// Names a group across shards; the serial tells it from its successors under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupId {
    pub(crate) key: GroupKey,
    pub(crate) serial: u64,
}

/// Names a subscription's membership across shards, in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MembershipId {
    pub(crate) key: MembershipKey,
    pub(crate) serial: u64,
}

/// A request on its way to a responder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asking {
    pub(crate) asker: Asker,
    /// Shards that may have responders and were not tried yet.
    pub(crate) homes: u64,
    /// Some responder was there, but full.
    pub(crate) is_busy: bool,
    pub(crate) deadline: Time,
}

/// Names a request across shards, in the same way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asker {
    pub(crate) shard: u8,
    pub(crate) key: RequestKey,
    pub(crate) serial: u64,
}

/// What a picked member has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Errand {
    /// Get a message.
    Message(Publisher),
    /// Answer a request.
    Request(Asking),
}

/// What a group's home and its members, or an asker and who answers, have to tell each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Note {
    /// A subscription wants to be a member; the parcel's topic is the filter, its headers are the group's name.
    Join { membership: MembershipId, session: SessionId, responder: bool, no_echo: bool },
    /// It is one, from here on.
    Joined { membership: MembershipId, member: MemberKey },
    /// It is none any more.
    Leave { member: MemberKey },
    /// It was full and has room again.
    Room { member: MemberKey },
    /// It was picked.
    Pick { membership: MembershipId, group: GroupId, errand: Errand, is_forced: bool },
    /// It was picked, but is gone, or is going or full and should be passed over.
    Returned { group: GroupId, member: MemberKey, errand: Errand },
    /// It may have been picked for some of so many records that are gone.
    Missed { membership: MembershipId, count: u64 },
    /// A request looks for a responder among the groups that live there.
    Ask(Asking),
    /// A request has its end.
    Answer { asker: Asker, code: Option<Code> },
    /// Topics that could not be passed on may be published to again.
    Unjammed,
}

/// What a note carries besides itself.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Parcel<'a> {
    pub(crate) topic: &'a str,
    pub(crate) headers: &'a [u8],
    pub(crate) payload: &'a [u8],
}

impl Parcel<'_> {
    pub(crate) const fn bytes(&self) -> usize {
        self.topic.len() + self.headers.len() + self.payload.len()
    }
}

/// One thing that is read from an envelope.
pub(crate) enum Item<'a> {
    /// Another topic has this number from here on.
    Topic { number: u32 },
    /// A message of the topic with this number.
    Message { topic: u32, name: &'a [u8], publisher: SessionId, headers: &'a [u8], payload: &'a [u8] },
    /// A note.
    Note(Note, Parcel<'a>),
}

/// Memory that an emptied envelope keeps for its next use.
const KEPT_BYTES_MAX: usize = 256 * 1024;

impl Envelope {
    /// What it takes, in bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes.len() + self.records.len() * size_of::<Record>() + self.notes.len() * size_of::<Note>()
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Empties it for its next use. What an unusual turn has made large is given back.
    pub fn clear(&mut self) {
        if self.capacity_bytes() > KEPT_BYTES_MAX {
            *self = Envelope::default();
        }
        self.records.clear();
        self.notes.clear();
        self.bytes.clear();
        self.topics.clear();
        self.read = Position::default();
        self.says_unjammed = false;
    }

    const fn capacity_bytes(&self) -> usize {
        self.bytes.capacity()
            + self.records.capacity() * size_of::<Record>()
            + self.notes.capacity() * size_of::<Note>()
            + self.topics.capacity() * size_of::<Span>()
    }

    pub(crate) fn push_topic(&mut self, number: u32, name: &str) {
        self.records.push(Record::Topic { number, name_bytes: name.len() as u32 });
        self.bytes.extend_from_slice(name.as_bytes());
    }

    pub(crate) fn push_message(&mut self, topic: u32, publisher: SessionId, headers: &[u8], payload: &[u8]) {
        let (headers_bytes, payload_bytes) = (headers.len() as u32, payload.len() as u32);
        self.records.push(Record::Message { topic, publisher, headers_bytes, payload_bytes });
        self.bytes.extend_from_slice(headers);
        self.bytes.extend_from_slice(payload);
    }

    pub(crate) fn push_note(&mut self, note: Note, parcel: Parcel<'_>) {
        self.records.push(Record::Note {
            topic_bytes: parcel.topic.len() as u32,
            headers_bytes: parcel.headers.len() as u32,
            payload_bytes: parcel.payload.len() as u32,
        });
        self.notes.push(note);
        self.says_unjammed |= note == Note::Unjammed;
        self.bytes.extend_from_slice(parcel.topic.as_bytes());
        self.bytes.extend_from_slice(parcel.headers);
        self.bytes.extend_from_slice(parcel.payload);
    }

    /// The next thing in it; `None` at its end.
    pub(crate) fn next(&mut self) -> Option<Item<'_>> {
        let record = *self.records.get(self.read.record)?;
        self.read.record += 1;
        Some(match record {
            Record::Topic { number, name_bytes } => {
                self.learn_topic(number, name_bytes);
                Item::Topic { number }
            }
            Record::Message { topic, publisher, headers_bytes, payload_bytes } => {
                let (headers, payload) = (self.advance(headers_bytes), self.advance(payload_bytes));
                let name = self.slice(self.topics[topic as usize]);
                Item::Message { topic, name, publisher, headers: self.slice(headers), payload: self.slice(payload) }
            }
            Record::Note { topic_bytes, headers_bytes, payload_bytes } => {
                let note = self.notes[self.read.note];
                self.read.note += 1;
                let (topic, headers) = (self.advance(topic_bytes), self.advance(headers_bytes));
                let payload = self.advance(payload_bytes);
                let (headers, payload) = (self.slice(headers), self.slice(payload));
                Item::Note(note, Parcel { topic: text(self.slice(topic)), headers, payload })
            }
        })
    }

    fn learn_topic(&mut self, number: u32, name_bytes: u32) {
        let name = self.advance(name_bytes);
        let index = number as usize;
        if self.topics.len() <= index {
            self.topics.resize(index + 1, Span::default());
        }
        self.topics[index] = name;
    }

    fn advance(&mut self, bytes: u32) -> Span {
        let begin = self.read.byte;
        self.read.byte += bytes as usize;
        Span { begin, end: self.read.byte }
    }

    fn slice(&self, span: Span) -> &[u8] {
        &self.bytes[span.begin..span.end]
    }
}

/// A name that another shard has put into an envelope.
pub(crate) fn text(name: &[u8]) -> &str {
    std::str::from_utf8(name).expect("names are text before they are mailed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arena::{Key, SessionKey};

    #[test]
    fn what_is_put_in_comes_out_in_its_order() {
        let mut envelope = Envelope::default();
        assert!(envelope.is_empty() && envelope.next().is_none());
        let publisher = SessionId { key: SessionKey::from_index(3), generation: 1 };
        envelope.push_topic(0, "room/7");
        envelope.push_message(0, publisher, b"h", b"payload");
        envelope.push_note(Note::Unjammed, Parcel { topic: "t", headers: b"", payload: b"p" });
        envelope.push_message(0, publisher, b"", b"");
        let Some(Item::Topic { number: 0 }) = envelope.next() else { panic!("the topic is first") };
        let Some(Item::Message { name: b"room/7", headers: b"h", payload: b"payload", .. }) = envelope.next() else {
            panic!("then its message")
        };
        let Some(Item::Note(Note::Unjammed, Parcel { topic: "t", payload: b"p", .. })) = envelope.next() else {
            panic!("then the note")
        };
        let Some(Item::Message { headers: b"", payload: b"", .. }) = envelope.next() else { panic!("then the last") };
        assert!(envelope.next().is_none() && !envelope.is_empty());
        assert!(envelope.says_unjammed);
        envelope.clear();
        assert!(envelope.is_empty() && envelope.bytes() == 0 && envelope.next().is_none());
        assert!(!envelope.says_unjammed);
    }

    #[test]
    fn an_envelope_that_was_large_gives_its_memory_back() {
        let mut envelope = Envelope::default();
        let publisher = SessionId { key: SessionKey::from_index(0), generation: 1 };
        envelope.push_message(0, publisher, b"", &[0; 2 * KEPT_BYTES_MAX]);
        envelope.clear();
        assert_eq!(envelope.capacity_bytes(), 0);
    }
}

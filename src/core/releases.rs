//! What the journal has for one shard: records that somebody there may want, acknowledgements, and what its cursors
//! hear.
//!
//! ```text
//!  Topic 0 "match/7" | Record 0 | Record 0 | Note Acked | Topic 1 "orders/eu" | Record 1 | Note Joined | ...
//!  bytes  [match/7][headers payload][headers payload][orders/eu][...]
//! ```
//!
//! All of it stands in the order in which the journal has released it. That is what makes history and live meet without
//! a gap: what stands before `Joined` is history to the cursor that joins, what stands behind it is live.

use crate::encoding::Numbers;
use crate::journal::TopicKey;
use crate::journal::history::History;
use crate::journal::plan::JournalId;
use crate::mail::Publisher;
use crate::session::SessionId;
use crate::submissions::CursorId;
use fanwire_wire::Code;
use fanwire_wire::frame::AckLevel;

/// Mail from the journal to a shard.
#[derive(Default)]
pub struct Releases {
    entries: Vec<Entry>,
    notes: Vec<Note>,
    bytes: Vec<u8>,
    read: Position,
    topics: Vec<Span>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Position {
    entry: usize,
    note: usize,
    byte: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Span {
    begin: usize,
    end: usize,
}

#[derive(Debug, Clone, Copy)]
enum Entry {
    Topic { number: u32, name_bytes: u32 },
    Record { topic: u32, publisher: Publisher, numbers: Numbers, headers_bytes: u32, payload_bytes: u32 },
    Note,
}

/// What the journal tells besides records.
#[derive(Debug, Default)]
pub(crate) enum Note {
    /// Publishes have reached a level.
    Acked(Acked),
    /// A publish was refused.
    Refused { session: SessionId, number: u64, code: Code, actual: Option<u64> },
    /// A cursor is live from here on; what it had not read yet comes with it.
    Joined { cursor: CursorId, history: History },
    /// It has to read on before it can join.
    Behind { cursor: CursorId },
    /// There was no room: from this position on the shard has to read a journal by itself.
    Relay { journal: JournalId, position: u64 },
    /// Read.
    #[default]
    Nothing,
}

/// Publishes that are acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Acked {
    pub(crate) session: SessionId,
    /// Where they went; none if the journal does not know it.
    pub(crate) topic: Option<(JournalId, TopicKey)>,
    pub(crate) first: u64,
    pub(crate) count: u32,
    pub(crate) level: AckLevel,
    pub(crate) first_sequence: u64,
    pub(crate) is_duplicate: bool,
}

/// One thing that is read.
pub(crate) enum Release<'a> {
    /// Another topic has this number from here on.
    Topic { number: u32 },
    /// A record of the topic with this number.
    Record { topic: u32, name: &'a [u8], publisher: Publisher, numbers: Numbers, headers: &'a [u8], payload: &'a [u8] },
    /// A note.
    Note(Note),
}

/// Memory that an emptied envelope keeps for its next use.
const KEPT_BYTES_MAX: usize = 256 * 1024;

impl Releases {
    /// What it takes, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>() + self.notes.len() * size_of::<Note>()
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Empties it for its next use. What an unusual turn has made large is given back.
    pub fn clear(&mut self) {
        let capacity = self.bytes.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.notes.capacity() * size_of::<Note>();
        if capacity > KEPT_BYTES_MAX {
            *self = Releases::default();
        }
        self.entries.clear();
        self.notes.clear();
        self.bytes.clear();
        self.topics.clear();
        self.read = Position::default();
    }

    pub(crate) fn push_topic(&mut self, number: u32, name: &str) {
        self.entries.push(Entry::Topic { number, name_bytes: name.len() as u32 });
        self.bytes.extend_from_slice(name.as_bytes());
    }

    pub(crate) fn push_record(
        &mut self,
        topic: u32,
        publisher: Publisher,
        numbers: Numbers,
        headers: &[u8],
        payload: &[u8],
    ) {
        let (headers_bytes, payload_bytes) = (headers.len() as u32, payload.len() as u32);
        self.entries.push(Entry::Record { topic, publisher, numbers, headers_bytes, payload_bytes });
        self.bytes.extend_from_slice(headers);
        self.bytes.extend_from_slice(payload);
    }

    pub(crate) fn push_note(&mut self, note: Note) {
        self.entries.push(Entry::Note);
        self.notes.push(note);
    }

    /// Tells of one more publish; into the note before it where that is of the same kind and row.
    pub(crate) fn push_ack(&mut self, acked: Acked) {
        if let (Some(Entry::Note), Some(Note::Acked(last))) = (self.entries.last(), self.notes.last_mut())
            && last.is_followed_by(&acked)
        {
            last.count += acked.count;
            return;
        }
        self.push_note(Note::Acked(acked));
    }

    /// The next thing in it; `None` at its end.
    pub(crate) fn next(&mut self) -> Option<Release<'_>> {
        let entry = *self.entries.get(self.read.entry)?;
        self.read.entry += 1;
        Some(match entry {
            Entry::Topic { number, name_bytes } => {
                let name = self.advance(name_bytes);
                let index = number as usize;
                if self.topics.len() <= index {
                    self.topics.resize(index + 1, Span::default());
                }
                self.topics[index] = name;
                Release::Topic { number }
            }
            Entry::Record { topic, publisher, numbers, headers_bytes, payload_bytes } => {
                let (headers, payload) = (self.advance(headers_bytes), self.advance(payload_bytes));
                let name = self.slice(self.topics[topic as usize]);
                let (headers, payload) = (self.slice(headers), self.slice(payload));
                Release::Record { topic, name, publisher, numbers, headers, payload }
            }
            Entry::Note => {
                let note = std::mem::take(&mut self.notes[self.read.note]);
                self.read.note += 1;
                Release::Note(note)
            }
        })
    }

    /// How many things are in it.
    pub(crate) const fn entries(&self) -> usize {
        self.entries.len()
    }

    /// Takes back records for which this holds, of those behind the first so many things; of topics nothing is taken
    /// back.
    pub(crate) fn drop_records(&mut self, kept: usize, is_dropped: impl Fn(u32, Numbers) -> bool) {
        let (mut entries, mut bytes, mut begin) = (Vec::new(), Vec::new(), 0);
        for (index, entry) in self.entries.drain(..).enumerate() {
            let (length, is_kept) = match entry {
                Entry::Topic { name_bytes, .. } => (name_bytes as usize, true),
                Entry::Record { topic, numbers, headers_bytes, payload_bytes, .. } => {
                    ((headers_bytes + payload_bytes) as usize, index < kept || !is_dropped(topic, numbers))
                }
                Entry::Note => (0, true),
            };
            if is_kept {
                entries.push(entry);
                bytes.extend_from_slice(&self.bytes[begin..begin + length]);
            }
            begin += length;
        }
        self.entries = entries;
        self.bytes = bytes;
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

impl Acked {
    /// Whether another one can be told as the end of this range: all of one topic, in its order.
    pub(crate) fn is_followed_by(&self, next: &Acked) -> bool {
        let count = u64::from(self.count);
        self.session == next.session
            && self.topic.is_some()
            && self.topic == next.topic
            && self.level == next.level
            && self.is_duplicate == next.is_duplicate
            && self.first + count == next.first
            && self.first_sequence + count == next.first_sequence
    }
}

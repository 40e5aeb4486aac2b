//! What one shard has for the journal: publishes that are to be ordered, and what its cursors ask for.
//!
//! ```text
//!  Topic 0 "match/7" | Publish 0 x3 | Topic 1 "orders/eu" | Publish 1 | Open cursor | Read | Join | ...
//!  bytes  [match/7][headers][payload][payload][payload][orders/eu][...]
//! ```
//!
//! Like the mail between shards it is filled in a turn, moved, and read by another thread; a topic's name is told once
//! an envelope. Publishes that differ in their payload alone are one entry, as they came.

use crate::arena::{CursorKey, Key};
use crate::journal::format::Producer;
use crate::journal::history::Reached;
use crate::journal::plan::JournalId;
use crate::journal::reader::CursorId as ReaderCursor;
use crate::session::SessionId;
use fanwire_wire::frame::{AckLevel, Start};

/// Mail from a shard to the journal.
#[derive(Default)]
pub struct Submissions {
    entries: Vec<Entry>,
    /// Of the payloads, in their order.
    lengths: Vec<u32>,
    bytes: Vec<u8>,
    read: Position,
    topics: Vec<Span>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Position {
    entry: usize,
    /// Payloads of the entry that were read before, and their bytes.
    payload: u32,
    payload_bytes: usize,
    length: usize,
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
    Publish { topic: u32, head: Head, headers_bytes: u32, count: u32 },
    Open { cursor: CursorId, journal: JournalId, start: Start, bytes_max: u32, filter_bytes: u32 },
    Read { cursor: CursorId, journal: JournalId, bytes_max: u32, filter_bytes: u32 },
    Join { cursor: CursorId, journal: JournalId, reached: Reached, is_relay: bool, filter_bytes: u32 },
    Begin { cursor: CursorId, journal: JournalId },
    Close { cursor: CursorId, journal: JournalId },
}

/// What publishes of one entry have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) journal: JournalId,
    pub(crate) session: SessionId,
    pub(crate) ack: AckLevel,
    /// The publish number of the first; 0 without an acknowledgement.
    pub(crate) first: u64,
    pub(crate) conditions: Conditions,
}

/// What has to hold for a publish to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conditions {
    /// The topic's last sequence; 0: it never had a record.
    pub expect: Option<u64>,
    /// What tells a publish that was sent again from a new one.
    pub producer: Option<Producer>,
}

impl Conditions {
    /// Whether there are none.
    pub const fn are_none(&self) -> bool {
        self.expect.is_none() && self.producer.is_none()
    }
}

/// Names a cursor across threads; the serial tells it from its successors under the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CursorId {
    pub(crate) key: CursorKey,
    pub(crate) serial: u64,
}

impl CursorId {
    /// What a reader calls it.
    pub(crate) fn for_reader(self, shard: u8) -> ReaderCursor {
        ReaderCursor { shard, key: self.key.index() as u32, serial: self.serial }
    }

    /// The cursor that a reader calls so.
    pub fn of_reader(cursor: ReaderCursor) -> Self {
        CursorId { key: CursorKey::from_index(cursor.key as usize), serial: cursor.serial }
    }
}

/// Which cursor asks, and for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    pub(crate) cursor: CursorId,
    pub(crate) journal: JournalId,
    pub(crate) filter: &'a str,
}

/// One thing that is read.
#[derive(Clone, Copy)]
pub(crate) enum Submission<'a> {
    /// Another topic has this number from here on.
    Topic { number: u32, name: &'a str },
    /// A publish; `index` counts within those that came together.
    Publish { topic: u32, name: &'a str, head: Head, index: u32, headers: &'a [u8], payload: &'a [u8] },
    /// A cursor begins, and reads.
    Open { cursor: CursorId, journal: JournalId, start: Start, bytes_max: u32, filter: &'a str },
    /// It wants to go on.
    Read { cursor: CursorId, journal: JournalId, bytes_max: u32, filter: &'a str },
    /// It has come to the end and wants to be live.
    Join { cursor: CursorId, journal: JournalId, reached: Reached, is_relay: bool, filter: &'a str },
    /// It wants to be live from here on, without history.
    Begin { cursor: CursorId, journal: JournalId },
    /// It is over.
    Close { cursor: CursorId, journal: JournalId },
}

/// Memory that an emptied envelope keeps for its next use.
const KEPT_BYTES_MAX: usize = 256 * 1024;

impl Submissions {
    /// What it takes, in bytes.
    pub const fn bytes(&self) -> usize {
        self.bytes.len() + self.entries.len() * size_of::<Entry>() + self.lengths.len() * size_of::<u32>()
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Empties it for its next use. What an unusual turn has made large is given back.
    pub fn clear(&mut self) {
        let capacity = self.bytes.capacity()
            + self.entries.capacity() * size_of::<Entry>()
            + self.lengths.capacity() * size_of::<u32>();
        if capacity > KEPT_BYTES_MAX {
            *self = Submissions::default();
        }
        self.entries.clear();
        self.lengths.clear();
        self.bytes.clear();
        self.topics.clear();
        self.read = Position::default();
    }

    pub(crate) fn push_topic(&mut self, number: u32, name: &str) {
        self.entries.push(Entry::Topic { number, name_bytes: name.len() as u32 });
        self.bytes.extend_from_slice(name.as_bytes());
    }

    pub(crate) fn push_publishes(&mut self, topic: u32, head: Head, headers: &[u8], payloads: &[&[u8]]) {
        let count = payloads.len() as u32;
        self.entries.push(Entry::Publish { topic, head, headers_bytes: headers.len() as u32, count });
        self.bytes.extend_from_slice(headers);
        for payload in payloads {
            self.lengths.push(payload.len() as u32);
            self.bytes.extend_from_slice(payload);
        }
    }

    pub(crate) fn push_open(&mut self, at: Asking<'_>, start: Start, bytes_max: u32) {
        let Asking { cursor, journal, filter } = at;
        self.entries.push(Entry::Open { cursor, journal, start, bytes_max, filter_bytes: filter.len() as u32 });
        self.bytes.extend_from_slice(filter.as_bytes());
    }

    pub(crate) fn push_read(&mut self, at: Asking<'_>, bytes_max: u32) {
        let Asking { cursor, journal, filter } = at;
        self.entries.push(Entry::Read { cursor, journal, bytes_max, filter_bytes: filter.len() as u32 });
        self.bytes.extend_from_slice(filter.as_bytes());
    }

    pub(crate) fn push_join(&mut self, at: Asking<'_>, reached: Reached, is_relay: bool) {
        let Asking { cursor, journal, filter } = at;
        self.entries.push(Entry::Join { cursor, journal, reached, is_relay, filter_bytes: filter.len() as u32 });
        self.bytes.extend_from_slice(filter.as_bytes());
    }

    pub(crate) fn push_begin(&mut self, cursor: CursorId, journal: JournalId) {
        self.entries.push(Entry::Begin { cursor, journal });
    }

    pub(crate) fn push_close(&mut self, cursor: CursorId, journal: JournalId) {
        self.entries.push(Entry::Close { cursor, journal });
    }

    /// The next thing in it; `None` at its end. What is returned counts as read once [`Submissions::advance`] is
    /// called, and comes again otherwise.
    pub(crate) fn peek(&mut self) -> Option<Submission<'_>> {
        let entry = *self.entries.get(self.read.entry)?;
        let begin = self.read.byte;
        Some(match entry {
            Entry::Topic { number, name_bytes } => {
                let name = Span { begin, end: begin + name_bytes as usize };
                let index = number as usize;
                if self.topics.len() <= index {
                    self.topics.resize(index + 1, Span::default());
                }
                self.topics[index] = name;
                Submission::Topic { number, name: self.text(name) }
            }
            Entry::Publish { topic, head, headers_bytes, .. } => {
                let headers = &self.bytes[begin..begin + headers_bytes as usize];
                let payload_begin = begin + headers_bytes as usize + self.read.payload_bytes;
                let payload = &self.bytes[payload_begin..payload_begin + self.lengths[self.read.length] as usize];
                let name = self.text(self.topics[topic as usize]);
                Submission::Publish { topic, name, head, index: self.read.payload, headers, payload }
            }
            Entry::Open { cursor, journal, start, bytes_max, filter_bytes } => {
                Submission::Open { cursor, journal, start, bytes_max, filter: self.filter(filter_bytes) }
            }
            Entry::Read { cursor, journal, bytes_max, filter_bytes } => {
                Submission::Read { cursor, journal, bytes_max, filter: self.filter(filter_bytes) }
            }
            Entry::Join { cursor, journal, reached, is_relay, filter_bytes } => {
                Submission::Join { cursor, journal, reached, is_relay, filter: self.filter(filter_bytes) }
            }
            Entry::Begin { cursor, journal } => Submission::Begin { cursor, journal },
            Entry::Close { cursor, journal } => Submission::Close { cursor, journal },
        })
    }

    /// Goes on behind what was seen last.
    pub(crate) fn advance(&mut self) {
        match self.entries[self.read.entry] {
            Entry::Topic { name_bytes, .. } => self.pass(name_bytes),
            Entry::Publish { headers_bytes, count, .. } => {
                self.read.payload += 1;
                self.read.payload_bytes += self.lengths[self.read.length] as usize;
                self.read.length += 1;
                if self.read.payload == count {
                    self.read.byte += self.read.payload_bytes;
                    self.pass(headers_bytes);
                }
            }
            Entry::Open { filter_bytes, .. } | Entry::Read { filter_bytes, .. } | Entry::Join { filter_bytes, .. } => {
                self.pass(filter_bytes);
            }
            Entry::Begin { .. } | Entry::Close { .. } => self.pass(0),
        }
    }

    fn pass(&mut self, bytes: u32) {
        self.read.byte += bytes as usize;
        self.read.entry += 1;
        (self.read.payload, self.read.payload_bytes) = (0, 0);
    }

    fn filter(&self, bytes: u32) -> &str {
        self.text(Span { begin: self.read.byte, end: self.read.byte + bytes as usize })
    }

    fn text(&self, span: Span) -> &str {
        std::str::from_utf8(&self.bytes[span.begin..span.end]).expect("names are text before they are submitted")
    }
}

//! Records on their way from a journal to one subscription: the bytes as they were read, and what stands where in them.

use super::catalog::Place;
use super::format::Record;

/// How a read of a cursor has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadEnd {
    /// There is more, and it comes without being asked for.
    Going,
    /// There is more: read again.
    More,
    /// The journal's end, as it was when the read was asked for.
    Tail(Reached),
    /// Retention has removed what was next.
    Overtaken,
    /// What is next can't be read: why, in words for the log.
    Failed(String),
}

/// How far a cursor has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reached {
    /// Where the next item stands.
    pub place: Place,
    /// All up to this position was read, or does not match.
    pub position: u64,
    /// The sequence of its last record; 0: none yet, or no exact filter.
    pub sequence: u64,
}

/// A stretch of a history's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Span {
    /// Where it begins.
    pub begin: u32,
    /// Where it ends.
    pub end: u32,
}

/// One record of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// The name's place in [`History::names`].
    pub name: u32,
    /// The record's number in its topic.
    pub sequence: u64,
    /// The record's number in its journal.
    pub position: u64,
    /// When it was ordered, in microseconds since 1970-01-01 UTC.
    pub time_us: u64,
    /// Names the session that published it.
    pub publisher: u64,
    /// Its headers block.
    pub headers: Span,
    /// Its payload.
    pub payload: Span,
}

/// Some records, in the order of their positions.
#[derive(Debug, Default)]
pub struct History {
    /// What was read.
    pub bytes: Vec<u8>,
    /// The names of the topics that occur, one after another.
    pub text: String,
    /// Where in the text each name stands.
    pub names: Vec<Span>,
    /// The records.
    pub records: Vec<RecordPlace>,
}

/// One record, as it is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryRecord<'a> {
    /// The topic's name.
    pub topic: &'a str,
    /// The record's number in its topic.
    pub sequence: u64,
    /// The record's number in its journal.
    pub position: u64,
    /// When it was ordered, in microseconds since 1970-01-01 UTC.
    pub time_us: u64,
    /// Names the session that published it, as long as the broker runs.
    pub publisher: u64,
    /// The headers block, opaque; empty for none.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

impl History {
    /// The records in their order.
    pub fn iter(&self) -> impl Iterator<Item = HistoryRecord<'_>> {
        self.records.iter().map(|place| HistoryRecord {
            topic: self.name(place.name),
            sequence: place.sequence,
            position: place.position,
            time_us: place.time_us,
            publisher: place.publisher,
            headers: self.slice(place.headers),
            payload: self.slice(place.payload),
        })
    }

    /// Empties it for its next use.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.text.clear();
        self.names.clear();
        self.records.clear();
    }

    /// Bytes that it holds.
    pub const fn bytes_held(&self) -> usize {
        self.bytes.len()
            + self.text.len()
            + self.names.len() * size_of::<Span>()
            + self.records.len() * size_of::<RecordPlace>()
    }

    /// Adds a name and returns its number.
    pub fn add_name(&mut self, name: &str) -> u32 {
        let begin = self.text.len() as u32;
        self.text.push_str(name);
        self.names.push(Span { begin, end: self.text.len() as u32 });
        (self.names.len() - 1) as u32
    }

    /// Adds a copy of a record, whose topic's name was added before.
    pub fn push(&mut self, name: u32, record: &Record<'_>) {
        let headers = self.push_bytes(record.headers);
        let payload = self.push_bytes(record.payload);
        let Record { sequence, position, time_us, publisher, .. } = *record;
        self.records.push(RecordPlace { name, sequence, position, time_us, publisher, headers, payload });
    }

    fn push_bytes(&mut self, bytes: &[u8]) -> Span {
        let begin = self.bytes.len() as u32;
        self.bytes.extend_from_slice(bytes);
        Span { begin, end: self.bytes.len() as u32 }
    }

    fn name(&self, number: u32) -> &str {
        let Span { begin, end } = self.names[number as usize];
        &self.text[begin as usize..end as usize]
    }

    fn slice(&self, Span { begin, end }: Span) -> &[u8] {
        &self.bytes[begin as usize..end as usize]
    }
}

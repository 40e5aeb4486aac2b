//! Rendered bytes, shared by all queues that have to send them.
//!
//! ```text
//!  bytes  [ message ][ message ][ message ][ message ] ...        one encoding of one topic, or one session's own
//!  spans  |<- publisher 7 ----->|<- 9 --->|<- 7 --->|             who wrote what, for no-echo and conflation
//! ```
//!
//! References are counted without atomics: a chunk never leaves its shard. A chunk whose last reference goes falls
//! back into a bounded pool with its buffer, and is used again for the same purpose, so that steady traffic allocates
//! nothing. A buffer may still be far larger than what comes into it: what outlives its turn gives the rest back,
//! since queues are charged by what chunks hold.

use crate::arena::{ChunkKey, Key};
use crate::journal::plan::JournalId;
use smallvec::SmallVec;

/// Buffers kept for reuse, in bytes of capacity; what is beyond goes back to the allocator.
const POOL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A buffer larger than this is never kept: one giant message must not cost its memory forever.
const POOLED_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// The same for spans: a turn of a room where everybody talks.
const POOLED_SPANS_MAX: usize = 256;

/// Consecutive messages of one publisher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The publisher's session slot.
    pub(crate) publisher: u32,
    /// Where its first message begins.
    pub(crate) begin: u32,
    /// Where its last message begins.
    pub(crate) last: u32,
    /// Messages in the span.
    pub(crate) count: u32,
}

/// A part of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) begin: u32,
    pub(crate) end: u32,
    /// Messages in it.
    pub(crate) count: u32,
}

impl Range {
    pub(crate) const fn bytes(self) -> u32 {
        self.end - self.begin
    }
}

/// What a chunk is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Gathers the messages of a topic in a turn.
    Topic,
    /// Gathers what one session is to be sent.
    Session,
    /// Holds a piece of known size, up to this power of two of bytes.
    Piece(u32),
}

impl Purpose {
    /// Pieces beyond this power are one kind; no frame is larger.
    const PIECE_POWER_MAX: u32 = 28;
    const COUNT: usize = 2 + Self::PIECE_POWER_MAX as usize + 1;

    /// A piece of this many bytes.
    pub(crate) fn piece(bytes: u32) -> Self {
        Purpose::Piece(bytes.clamp(1, 1 << Self::PIECE_POWER_MAX).next_power_of_two().trailing_zeros())
    }

    fn index(self) -> usize {
        match self {
            Purpose::Topic => 0,
            Purpose::Session => 1,
            Purpose::Piece(power) => 2 + power as usize,
        }
    }
}

pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    spans: SmallVec<[Span; 1]>,
    /// Messages in it.
    count: u32,
    references: u32,
    purpose: Purpose,
    /// Where records of it came from, if it has any.
    pub(crate) origin: Option<Origin>,
}

/// What a chunk of records tells of them. All of them are of one journal if any of its readers can fall back on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) journal: JournalId,
    /// Which stretch of releases they stood in; see `catch_up`.
    pub(crate) stretch: u64,
    /// The journal's first position in that stretch.
    pub(crate) floor: u64,
}

impl Chunk {
    fn new(purpose: Purpose) -> Self {
        Chunk { bytes: Vec::new(), spans: SmallVec::new(), count: 0, references: 0, purpose, origin: None }
    }

    /// Notes that messages of `publisher` were rendered from `begin` to the present end, the last one from `last`.
    /// Returns whether they begin a span: what may become an entry of its own in somebody's queue.
    pub(crate) fn note_messages(&mut self, publisher: u32, begin: u32, last: u32, count: u32) -> bool {
        self.count += count;
        match self.spans.last_mut() {
            Some(span) if span.publisher == publisher => {
                span.last = last;
                span.count += count;
                false
            }
            _ => {
                self.spans.push(Span { publisher, begin, last, count });
                true
            }
        }
    }

    pub(crate) fn length(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// Everything in the chunk.
    pub(crate) fn whole(&self) -> Range {
        Range { begin: 0, end: self.length(), count: self.count }
    }

    /// What the chunk holds besides the messages of `publisher`, in order, as few ranges as can be.
    pub(crate) fn without(&self, publisher: u32, ranges: &mut SmallVec<[Range; 4]>) {
        let mut open: Option<Range> = None;
        for (index, span) in self.spans.iter().enumerate() {
            if span.publisher == publisher {
                ranges.extend(open.take());
                continue;
            }
            let end = self.end_of(index);
            let range = open.get_or_insert(Range { begin: span.begin, end, count: 0 });
            range.end = end;
            range.count += span.count;
        }
        ranges.extend(open);
    }

    /// The newest message that is not by `except`.
    pub(crate) fn newest(&self, except: Option<u32>) -> Option<Range> {
        let (index, span) = self.spans.iter().enumerate().rev().find(|(_, span)| Some(span.publisher) != except)?;
        Some(Range { begin: span.last, end: self.end_of(index), count: 1 })
    }

    /// Messages that are not by `except`.
    pub(crate) fn count_without(&self, except: Option<u32>) -> u32 {
        self.spans.iter().filter(|span| Some(span.publisher) != except).map(|span| span.count).sum()
    }

    /// Into how many parts it falls at the most.
    pub(crate) fn span_count(&self) -> u32 {
        self.spans.len() as u32
    }

    pub(crate) fn was_written_by(&self, publisher: u32) -> bool {
        self.spans.iter().any(|span| span.publisher == publisher)
    }

    /// Bytes that its buffers take, used or not.
    fn capacity_bytes(&self) -> usize {
        let spans = if self.spans.spilled() { self.spans.capacity() } else { 0 };
        self.bytes.capacity() + spans * size_of::<Span>()
    }

    /// Empties it, and frees what is too large to be kept for the next one.
    fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.count = 0;
        self.origin = None;
        if self.bytes.capacity() > POOLED_BUFFER_BYTES_MAX {
            self.bytes = Vec::new();
        }
        if self.spans.capacity() > POOLED_SPANS_MAX {
            self.spans = SmallVec::new();
        }
    }

    fn end_of(&self, index: usize) -> u32 {
        self.spans.get(index + 1).map_or(self.length(), |next| next.begin)
    }
}

/// All chunks of a shard.
#[derive(Default)]
pub(crate) struct Chunks {
    chunks: Vec<Chunk>,
    /// Chunks without references by purpose, the most recently used last.
    free: [Vec<ChunkKey>; Purpose::COUNT],
    free_count: usize,
    /// What the free chunks' buffers take.
    pooled_bytes: usize,
    /// Chunks acquired since they were last trimmed; some may be free again.
    untrimmed: Vec<ChunkKey>,
}

impl Chunks {
    /// An empty chunk with one reference.
    pub(crate) fn acquire(&mut self, purpose: Purpose) -> ChunkKey {
        let key = match self.free[purpose.index()].pop() {
            Some(key) => {
                self.free_count -= 1;
                key
            }
            None => {
                self.chunks.push(Chunk::new(purpose));
                ChunkKey::from_index(self.chunks.len() - 1)
            }
        };
        let chunk = &mut self.chunks[key.index()];
        assert!(chunk.references == 0 && chunk.bytes.is_empty(), "a free chunk is empty and nobody's");
        self.pooled_bytes -= chunk.capacity_bytes();
        if let Purpose::Piece(power) = purpose {
            chunk.bytes.reserve_exact(1 << power);
        }
        chunk.references = 1;
        self.untrimmed.push(key);
        key
    }

    /// A chunk of its own for a part of another: what is kept long must not keep the rest alive.
    pub(crate) fn copy_of(&mut self, source: ChunkKey, range: Range) -> ChunkKey {
        let key = self.acquire(Purpose::piece(range.bytes()));
        let mut copy = std::mem::take(&mut self.chunks[key.index()].bytes);
        copy.extend_from_slice(self.slice(source, range.begin, range.end));
        self.chunks[key.index()].bytes = copy;
        key
    }

    pub(crate) fn retain(&mut self, key: ChunkKey) {
        self.chunks[key.index()].references += 1;
    }

    pub(crate) fn release(&mut self, key: ChunkKey) {
        let chunk = &mut self.chunks[key.index()];
        assert!(chunk.references > 0, "a chunk is released as often as it was retained");
        chunk.references -= 1;
        if chunk.references > 0 {
            return;
        }
        chunk.clear();
        if self.pooled_bytes + chunk.capacity_bytes() > POOL_BYTES_MAX {
            *chunk = Chunk::new(chunk.purpose);
        }
        self.pooled_bytes += chunk.capacity_bytes();
        self.free[chunk.purpose.index()].push(key);
        self.free_count += 1;
        if self.free_count == self.chunks.len() && self.chunks.len() > 1_024 {
            *self = Chunks::default();
        }
    }

    /// Gives back what is unused of the chunks that are kept beyond their turn. Who wrote what matters no more.
    pub(crate) fn trim(&mut self) {
        for key in self.untrimmed.drain(..) {
            let chunk = &mut self.chunks[key.index()];
            if chunk.references > 0 {
                chunk.spans = SmallVec::new();
                if chunk.bytes.capacity() > 2 * chunk.bytes.len() + 64 {
                    chunk.bytes.shrink_to_fit();
                }
            }
        }
    }

    pub(crate) fn slice(&self, key: ChunkKey, begin: u32, end: u32) -> &[u8] {
        &self.chunks[key.index()].bytes[begin as usize..end as usize]
    }

    pub(crate) fn get(&self, key: ChunkKey) -> &Chunk {
        &self.chunks[key.index()]
    }

    pub(crate) fn get_mut(&mut self, key: ChunkKey) -> &mut Chunk {
        &mut self.chunks[key.index()]
    }

    /// Chunks that somebody refers to, with their counts.
    pub(crate) fn referenced(&self) -> impl Iterator<Item = (ChunkKey, u32)> {
        self.chunks
            .iter()
            .enumerate()
            .filter(|(_, chunk)| chunk.references > 0)
            .map(|(index, chunk)| (ChunkKey::from_index(index), chunk.references))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunk_of(messages: &[(u32, usize)]) -> Chunk {
        let mut chunk = Chunk::new(Purpose::Topic);
        for (publisher, size) in messages {
            let begin = chunk.length();
            chunk.bytes.extend(std::iter::repeat_n(0, *size));
            chunk.note_messages(*publisher, begin, begin, 1);
        }
        chunk
    }

    #[test]
    fn ranges_run_around_ones_own_messages() {
        let chunk = chunk_of(&[(1, 10), (1, 5), (2, 7), (3, 1), (1, 4)]);
        let mut ranges = SmallVec::new();
        chunk.without(2, &mut ranges);
        assert_eq!(ranges.to_vec(), [Range { begin: 0, end: 15, count: 2 }, Range { begin: 22, end: 27, count: 2 }]);
        ranges.clear();
        chunk.without(1, &mut ranges);
        assert_eq!(ranges.to_vec(), [Range { begin: 15, end: 23, count: 2 }]);
        ranges.clear();
        chunk.without(9, &mut ranges);
        assert_eq!(ranges.to_vec(), [chunk.whole()]);
    }

    #[test]
    fn the_newest_message_is_one_frame_even_in_a_long_span() {
        let chunk = chunk_of(&[(1, 10), (2, 7), (2, 9)]);
        assert_eq!(chunk.newest(None), Some(Range { begin: 17, end: 26, count: 1 }));
        assert_eq!(chunk.newest(Some(2)), Some(Range { begin: 0, end: 10, count: 1 }));
        assert_eq!(chunk_of(&[(2, 3)]).newest(Some(2)), None);
    }

    #[test]
    fn a_released_chunk_is_used_again() {
        let mut chunks = Chunks::default();
        let first = chunks.acquire(Purpose::Topic);
        chunks.get_mut(first).bytes.extend_from_slice(b"abc");
        chunks.retain(first);
        chunks.release(first);
        assert_eq!(chunks.slice(first, 0, 3), b"abc");
        chunks.release(first);
        assert_eq!(chunks.acquire(Purpose::Topic), first);
        assert_eq!(chunks.referenced().count(), 1);
    }

    #[test]
    fn a_few_bytes_that_stay_do_not_keep_the_large_buffer_they_were_lent() {
        let mut chunks = Chunks::default();
        for bytes in [100_000, 3] {
            let key = chunks.acquire(Purpose::Session);
            chunks.get_mut(key).bytes.resize(bytes, 0);
            assert!(chunks.get(key).bytes.capacity() >= 100_000, "the second is lent the first one's buffer");
            if bytes > 3 {
                chunks.release(key);
            }
        }
        chunks.trim();
        assert!(chunks.chunks[0].bytes.capacity() < 100);
    }

    #[test]
    fn a_piece_takes_what_it_needs_and_not_what_another_left() {
        let mut chunks = Chunks::default();
        let topic = chunks.acquire(Purpose::Topic);
        chunks.get_mut(topic).bytes.resize(50_000, 7);
        let (long, short) = (Range { begin: 0, end: 5_000, count: 1 }, Range { begin: 9, end: 31, count: 1 });
        for _ in 0..3 {
            let copies = [long, short].map(|range| chunks.copy_of(topic, range));
            let capacities = copies.map(|copy| chunks.get(copy).bytes.capacity());
            assert_eq!(capacities, [8_192, 32]);
            chunks.trim();
            assert_eq!(capacities, copies.map(|copy| chunks.get(copy).bytes.capacity()));
            copies.into_iter().for_each(|copy| chunks.release(copy));
        }
        assert_eq!(chunks.chunks.len(), 3, "each copy was made of the one before");
    }
}

//! Rendered bytes, shared by all queues that have to send them.
//!
//! ```text
//!  bytes  [ message ][ message ][ message ][ message ] ...        one encoding of one topic, or one session's own
//!  spans  |<- publisher 7 ----->|<- 9 --->|<- 7 --->|             who wrote what, for no-echo and conflation
//! ```
//!
//! References are counted without atomics: a chunk never leaves its shard. A chunk whose last reference goes falls
//! back into a bounded pool with its buffer, so that steady traffic allocates nothing.

use crate::arena::{ChunkKey, Key};
use smallvec::SmallVec;

/// Buffers kept for reuse, in bytes of capacity; what is beyond goes back to the allocator.
const POOL_BYTES_MAX: usize = 4 * 1024 * 1024;
/// A buffer larger than this is never kept: one giant message must not cost its memory forever.
const POOLED_BUFFER_BYTES_MAX: usize = 256 * 1024;

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

#[derive(Default)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
    spans: SmallVec<[Span; 1]>,
    references: u32,
}

impl Chunk {
    /// Notes that a message of `publisher` was rendered from `begin` to the present end.
    pub(crate) fn note_message(&mut self, publisher: u32, begin: u32) {
        match self.spans.last_mut() {
            Some(span) if span.publisher == publisher => {
                span.last = begin;
                span.count += 1;
            }
            _ => self.spans.push(Span { publisher, begin, last: begin, count: 1 }),
        }
    }

    pub(crate) fn length(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap_or(u32::MAX)
    }

    /// Everything in the chunk.
    pub(crate) fn whole(&self) -> Range {
        Range { begin: 0, end: self.length(), count: self.spans.iter().map(|span| span.count).sum() }
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

    pub(crate) fn was_written_by(&self, publisher: u32) -> bool {
        self.spans.iter().any(|span| span.publisher == publisher)
    }

    fn end_of(&self, index: usize) -> u32 {
        self.spans.get(index + 1).map_or(self.length(), |next| next.begin)
    }
}

/// All chunks of a shard.
#[derive(Default)]
pub(crate) struct Chunks {
    chunks: Vec<Chunk>,
    /// Chunks without references, the most recently used last.
    free: Vec<ChunkKey>,
    /// Capacity that the free chunks' buffers hold.
    pooled_bytes: usize,
}

impl Chunks {
    /// An empty chunk with one reference.
    pub(crate) fn acquire(&mut self) -> ChunkKey {
        let key = self.free.pop().unwrap_or_else(|| {
            self.chunks.push(Chunk::default());
            ChunkKey::from_index(self.chunks.len() - 1)
        });
        let chunk = &mut self.chunks[key.index()];
        assert!(chunk.references == 0 && chunk.bytes.is_empty(), "a free chunk is empty and nobody's");
        self.pooled_bytes -= chunk.bytes.capacity();
        chunk.references = 1;
        key
    }

    /// A chunk of its own for a part of another: what is kept long must not keep the rest alive.
    pub(crate) fn copy_of(&mut self, source: ChunkKey, range: Range) -> ChunkKey {
        let key = self.acquire();
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
        chunk.bytes.clear();
        chunk.spans.clear();
        let capacity = chunk.bytes.capacity();
        if capacity > POOLED_BUFFER_BYTES_MAX || self.pooled_bytes + capacity > POOL_BYTES_MAX {
            chunk.bytes = Vec::new();
        }
        chunk.spans.shrink_to_fit();
        self.pooled_bytes += chunk.bytes.capacity();
        self.free.push(key);
        if self.free.len() == self.chunks.len() && self.chunks.len() > 1_024 {
            *self = Chunks::default();
        }
    }

    /// Gives back the unused part of a buffer that will be kept beyond its turn.
    pub(crate) fn trim(&mut self, key: ChunkKey) {
        let chunk = &mut self.chunks[key.index()];
        if chunk.references > 0 && chunk.bytes.capacity() > 2 * chunk.bytes.len() + 64 {
            chunk.bytes.shrink_to_fit();
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
        let mut chunk = Chunk::default();
        for (publisher, size) in messages {
            let begin = chunk.length();
            chunk.bytes.extend(std::iter::repeat_n(0, *size));
            chunk.note_message(*publisher, begin);
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
        let first = chunks.acquire();
        chunks.get_mut(first).bytes.extend_from_slice(b"abc");
        chunks.retain(first);
        chunks.release(first);
        assert_eq!(chunks.slice(first, 0, 3), b"abc");
        chunks.release(first);
        assert_eq!(chunks.acquire(), first);
        assert_eq!(chunks.referenced().count(), 1);
    }
}

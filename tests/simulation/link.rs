//! A connection as a network makes it: bytes that arrive when they like, in pieces, and a way back that may be full.
//!
//! ```text
//!  client --say--> [ pushed | released | fed ] --take--> gateway        what was said stands beside its bytes
//!  client <--read-- [ pipe of some capacity ] <--write-- out-queue      when it was written, too
//! ```

use crate::random::Random;
use crate::said::Said;
use fanwire_core::Time;
use std::collections::VecDeque;

/// Bytes that are put in at one end and taken out at the other.
#[derive(Default)]
struct Bytes {
    bytes: Vec<u8>,
    taken: usize,
}

impl Bytes {
    fn len(&self) -> usize {
        self.bytes.len() - self.taken
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        let taken = self.bytes[self.taken..self.taken + count].to_vec();
        self.taken += count;
        if self.taken > self.bytes.len() / 2 {
            self.bytes.drain(..self.taken);
            self.taken = 0;
        }
        taken
    }
}

/// The way from a client to its node.
#[derive(Default)]
pub(crate) struct Upstream {
    bytes: Bytes,
    said: VecDeque<(u64, Said)>,
    /// Offsets in everything that was ever said: handed in, let through by the network, taken by the node.
    pushed: u64,
    released: u64,
    fed: u64,
    /// How much the gateway says that it has used up, and where the last thing ended that was said up to there.
    used: u64,
    boundary: u64,
    pub(crate) has_fin: bool,
    pub(crate) has_reset: bool,
}

impl Upstream {
    pub(crate) fn say(&mut self, said: Said, bytes: &[u8]) {
        self.bytes.bytes.extend_from_slice(bytes);
        self.pushed += bytes.len() as u64;
        self.said.push_back((self.pushed, said));
    }

    /// Bytes said that the node has not taken.
    pub(crate) const fn backlog(&self) -> u64 {
        self.pushed - self.fed
    }

    /// The network lets more through.
    pub(crate) fn release(&mut self, bytes: u64) {
        self.released = (self.released + bytes).min(self.pushed);
    }

    /// Nothing more is said; what the network has not let through may be lost in the middle of a frame.
    pub(crate) fn finish(&mut self, drops_rest: bool) {
        self.has_fin = true;
        if drops_rest {
            self.bytes.bytes.truncate(self.bytes.taken + (self.released - self.fed) as usize);
            self.pushed = self.released;
            while self.said.back().is_some_and(|(end, _)| *end > self.pushed) {
                self.said.pop_back();
            }
        }
    }

    /// Bytes that the node could read now.
    pub(crate) const fn readable(&self) -> u64 {
        self.released - self.fed
    }

    pub(crate) fn take(&mut self, bytes: u64) -> Vec<u8> {
        let count = bytes.min(self.readable());
        self.fed += count;
        self.bytes.take(count as usize)
    }

    /// Whether everything that will ever come was taken.
    pub(crate) const fn is_at_end(&self) -> bool {
        self.has_fin && self.fed == self.pushed
    }

    /// What was said up to where the gateway got: it holds `held` bytes of what it was fed.
    pub(crate) fn use_up(&mut self, held: u64) -> Vec<Said> {
        self.used = self.fed - held;
        let mut used = Vec::new();
        while self.said.front().is_some_and(|(end, _)| *end <= self.used) {
            used.extend(self.said.pop_front().map(|(end, said)| {
                self.boundary = end;
                said
            }));
        }
        used
    }

    /// Whether the gateway stopped exactly at the end of something that was said.
    pub(crate) const fn is_between(&self) -> bool {
        self.used == self.boundary
    }

    /// Everything said of which at least one byte was fed, though the gateway may have looked at none of it.
    pub(crate) fn rest_fed(&mut self) -> Vec<Said> {
        let mut rest = Vec::new();
        let mut begin = self.boundary;
        while begin < self.fed
            && let Some((end, said)) = self.said.pop_front()
        {
            rest.push(said);
            begin = end;
        }
        rest
    }
}

/// The way from a node to a client.
pub(crate) struct Pipe {
    bytes: Bytes,
    capacity: usize,
    /// Where in everything ever written each write ended, and when that was.
    log: VecDeque<(u64, Written)>,
    written: u64,
    read: u64,
    pub(crate) is_closed: bool,
}

/// When bytes were written, and when the writer was last made to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Written {
    pub(crate) at: Time,
    pub(crate) blocked_at: Option<Time>,
}

impl Pipe {
    pub(crate) fn new(capacity: usize) -> Self {
        let bytes = Bytes::default();
        Pipe { bytes, capacity, log: VecDeque::new(), written: 0, read: 0, is_closed: false }
    }

    /// From now on the pipe takes everything.
    pub(crate) const fn widen(&mut self) {
        self.capacity = usize::MAX;
    }

    pub(crate) fn has_room(&self) -> bool {
        self.bytes.len() < self.capacity
    }

    /// Takes what fits, at most `limit` bytes, and returns how many.
    pub(crate) fn write(&mut self, slices: &[&[u8]], limit: usize, when: Written) -> usize {
        let mut room = limit.min(self.capacity.saturating_sub(self.bytes.len()));
        let before = self.written;
        for slice in slices {
            let count = slice.len().min(room);
            self.bytes.bytes.extend_from_slice(&slice[..count]);
            self.written += count as u64;
            room -= count;
        }
        if self.written > before {
            self.log.push_back((self.written, when));
        }
        (self.written - before) as usize
    }

    pub(crate) fn read(&mut self, random: &mut Random, bytes_max: u64) -> Vec<u8> {
        let available = self.bytes.len() as u64;
        let wanted = if bytes_max >= available { available } else { random.between(0, bytes_max) };
        self.read += wanted;
        self.bytes.take(wanted as usize)
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.bytes.len() == 0
    }

    /// When the byte before this offset was written; asked for rising offsets only.
    pub(crate) fn written_at(&mut self, offset: u64) -> Written {
        while self.log.front().is_some_and(|(end, _)| *end < offset) {
            self.log.pop_front();
        }
        self.log.front().expect("what was read was written").1
    }
}

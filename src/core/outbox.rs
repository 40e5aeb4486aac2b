//! Out-queues: for each session one first-in first-out list of what it is to be sent.
//!
//! ```text
//!  session's queue   front --> [chunk 3, 0..4096] -> [chunk 9, 0..70] -> [GAP of 5] -> [chunk 9, 140..900] --> back
//!                                   |                                        |               |
//!  subscription 5's chain           |                                    queued_first ---> queued_last
//! ```
//!
//! All entries of all sessions live in one arena and are linked by keys: an idle session owns nothing, and queueing
//! allocates nothing in steady state. Besides the queue's own links an entry is linked to the next one of the same
//! subscription, so that the oldest can be dropped without a search.
//!
//! Invariants: an entry that has begun to be sent is the front and is never dropped; a subscription's chain is in the
//! order of the queue; neighbours in a chain are never two GAPs, unless the first has begun.

use crate::arena::{Arena, ChunkKey, EntryKey, Key, SessionKey, SubscriptionKey};
use crate::chunk::{Purpose, Range};
use crate::encoding::{Encoding, Event};
use crate::session::Slices;
use crate::settings::{CONTROL_BYTES_RESERVE, ENTRY_BYTES};
use crate::shard::Shard;
use crate::subscription::Subscription;
use fanwire_wire::Code;

/// Bytes that one `front` offers at the most, so that one fast reader cannot keep a turn for itself.
const FRONT_BYTES_MAX: usize = 256 * 1024;
/// A session's own chunk is not appended to beyond this: what is dropped together should stay small.
const OWN_CHUNK_BYTES_MAX: u32 = 4 * 1024;
/// About what a GAP takes.
const GAP_BYTES: u32 = 32;

/// A session's queue.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queue {
    front: EntryKey,
    back: EntryKey,
    /// Bytes of the front entry that are sent.
    sent_bytes: u32,
    /// What the queue is charged: bytes and entries, held values included.
    pub(crate) charged_bytes: u32,
}

impl Queue {
    pub(crate) const EMPTY: Queue =
        Queue { front: EntryKey::NONE, back: EntryKey::NONE, sent_bytes: 0, charged_bytes: 0 };

    pub(crate) fn is_empty(&self) -> bool {
        !self.front.is_some()
    }

    pub(crate) const fn front(&self) -> EntryKey {
        self.front
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Messages of a subscription.
    Messages,
    /// The same, for `catch-up` subscriptions of the session too: those fall back before a policy drops it.
    Shared,
    /// The same, for some that have fallen back behind it: never dropped.
    Kept,
    /// A GAP of a subscription, with its counts.
    Gap { dropped: u64, conflated: u64 },
    /// A reply or notice, or the remains of a subscription that ended: never dropped.
    Control,
}

pub(crate) struct Entry {
    pub(crate) chunk: ChunkKey,
    pub(crate) range: Range,
    pub(crate) subscription: SubscriptionKey,
    pub(crate) content: Content,
    previous: EntryKey,
    pub(crate) next: EntryKey,
    next_in_chain: EntryKey,
    /// The chunk is this session's alone and may be appended to.
    is_own: bool,
}

impl Entry {
    pub(crate) const fn next_in_chain(&self) -> EntryKey {
        self.next_in_chain
    }
}

/// Entries of all queues.
pub(crate) type Entries = Arena<EntryKey, Entry>;

impl Shard {
    /// Charge of an entry of this many bytes.
    pub(crate) const fn charge_of(bytes: u32) -> u32 {
        bytes + ENTRY_BYTES
    }

    pub(crate) fn charge(&mut self, session: SessionKey, bytes: u32) {
        self.sessions[session].queue.charged_bytes += bytes;
        self.charged_bytes += u64::from(bytes);
    }

    pub(crate) fn uncharge(&mut self, session: SessionKey, bytes: u32) {
        self.sessions[session].queue.charged_bytes -= bytes;
        self.charged_bytes -= u64::from(bytes);
    }

    /// Appends messages of a shared chunk; the caller has made room.
    pub(crate) fn enqueue_shared(
        &mut self,
        session: SessionKey,
        subscription: SubscriptionKey,
        chunk: ChunkKey,
        range: Range,
        content: Content,
    ) {
        self.chunks.retain(chunk);
        self.append(session, subscription, chunk, range, content, false);
        self.counters.deliveries += u64::from(range.count);
    }

    /// Renders a reply or notice to the back of a session's queue. One that has to go is told nothing more: what it
    /// missed could not be told before it.
    pub(crate) fn enqueue_event(&mut self, session: SessionKey, event: &Event<'_>) {
        if self.sessions[session].is_doomed {
            return;
        }
        self.enqueue_own(session, SubscriptionKey::NONE, Content::Control, |shard, out| {
            shard.encodings[shard.sessions[session].encoding.0 as usize].render_event(event, out);
        });
        self.check_control_bound(session);
    }

    /// Renders one message for one session alone: a group's pick.
    pub(crate) fn enqueue_picked(&mut self, session: SessionKey, subscription: SubscriptionKey, event: &Event<'_>) {
        self.enqueue_own(session, subscription, Content::Messages, |shard, out| {
            shard.encodings[shard.sessions[session].encoding.0 as usize].render_event(event, out);
        });
        self.counters.deliveries += 1;
    }

    /// Renders an event in front of an entry of a session's queue that has not begun to be sent.
    pub(crate) fn insert_event(&mut self, session: SessionKey, before: EntryKey, event: &Event<'_>) {
        assert!(!self.has_begun(session, before), "nothing is put into the middle of a frame");
        let chunk = self.chunks.acquire(Purpose::piece(GAP_BYTES));
        let mut bytes = std::mem::take(&mut self.chunks.get_mut(chunk).bytes);
        self.encodings[self.sessions[session].encoding.0 as usize].render_event(event, &mut bytes);
        let range = Range { begin: 0, end: bytes.len() as u32, count: 0 };
        self.chunks.get_mut(chunk).bytes = bytes;
        let previous = self.entries[before].previous;
        let entry = self.entries.insert(Entry {
            chunk,
            range,
            subscription: SubscriptionKey::NONE,
            content: Content::Control,
            previous,
            next: before,
            next_in_chain: EntryKey::NONE,
            is_own: false,
        });
        self.entries[before].previous = entry;
        if previous.is_some() {
            self.entries[previous].next = entry;
        } else {
            self.sessions[session].queue.front = entry;
        }
        self.charge(session, Self::charge_of(range.bytes()));
        self.mark_dirty(session);
    }

    /// Drops a subscription's entries from `first` on; `before` is the one before it in their chain. Nothing is told.
    pub(crate) fn cut_chain(&mut self, subscription: SubscriptionKey, before: EntryKey, first: EntryKey) {
        if !first.is_some() {
            return;
        }
        let chain = &mut self.subscriptions[subscription];
        let session = chain.session;
        chain.queued_last = before;
        if before.is_some() {
            self.entries[before].next_in_chain = EntryKey::NONE;
        } else {
            chain.queued_first = EntryKey::NONE;
        }
        let mut entry = first;
        while entry.is_some() {
            assert!(!self.has_begun(session, entry), "what has begun is sent to its end");
            let next = self.entries[entry].next_in_chain;
            self.remove_entry(session, entry);
            entry = next;
        }
    }

    /// Appends a chunk of history: `render` fills it and returns how many records it put there.
    pub(crate) fn enqueue_history(
        &mut self,
        session: SessionKey,
        render: impl FnOnce(&dyn Encoding, &mut Vec<u8>) -> u32,
    ) {
        let chunk = self.chunks.acquire(Purpose::Topic);
        let mut bytes = std::mem::take(&mut self.chunks.get_mut(chunk).bytes);
        let count = render(&*self.encodings[self.sessions[session].encoding.0 as usize], &mut bytes);
        let range = Range { begin: 0, end: bytes.len() as u32, count };
        self.chunks.get_mut(chunk).bytes = bytes;
        self.spend(range.bytes() as usize);
        self.append(session, SubscriptionKey::NONE, chunk, range, Content::Control, false);
        self.counters.deliveries += u64::from(count);
    }

    /// Appends bytes that are this session's alone, to its last entry where that is of the same kind.
    pub(crate) fn enqueue_own(
        &mut self,
        session: SessionKey,
        subscription: SubscriptionKey,
        content: Content,
        render: impl FnOnce(&Shard, &mut Vec<u8>),
    ) {
        let back = self.sessions[session].queue.back;
        let appendable = back.is_some() && {
            let entry = &self.entries[back];
            entry.is_own
                && entry.subscription == subscription
                && entry.content == content
                && entry.range.bytes() < OWN_CHUNK_BYTES_MAX
        };
        let chunk = match content {
            _ if appendable => self.entries[back].chunk,
            Content::Gap { .. } => self.chunks.acquire(Purpose::piece(GAP_BYTES)),
            _ => self.chunks.acquire(Purpose::Session),
        };
        let mut bytes = std::mem::take(&mut self.chunks.get_mut(chunk).bytes);
        let begin = bytes.len() as u32;
        render(self, &mut bytes);
        let end = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        self.chunks.get_mut(chunk).bytes = bytes;
        self.spend((end - begin) as usize);
        let count = u32::from(content == Content::Messages);
        if appendable {
            let entry = &mut self.entries[back];
            entry.range.end = end;
            entry.range.count += count;
            self.charge(session, end - begin);
            self.mark_dirty(session);
        } else {
            // Each GAP keeps an entry of its own, since its counts may be raised.
            let is_own = !matches!(content, Content::Gap { .. });
            self.append(session, subscription, chunk, Range { begin, end, count }, content, is_own);
        }
    }

    /// Says that messages of a subscription are missing at the back of the queue.
    pub(crate) fn note_loss_at_back(&mut self, subscription: SubscriptionKey, dropped: u64, conflated: u64) {
        let Subscription { session, policy, .. } = self.subscriptions[subscription];
        self.counters.note_dropped(policy, dropped);
        self.counters.conflated += conflated;
        let last = self.subscriptions[subscription].queued_last;
        if last.is_some() && self.is_gap(last) && !self.has_begun(session, last) {
            return self.raise_gap(last, dropped, conflated);
        }
        self.enqueue_own(session, subscription, Content::Gap { dropped, conflated }, |shard, out| {
            shard.render_gap(subscription, dropped, conflated, out);
        });
        self.check_control_bound(session);
    }

    /// Drops the oldest messages waiting under a subscription: their entry becomes the GAP that tells of it, or is
    /// counted into the GAP beside it. Where `catch-up` subscriptions have to fall back before, they do, which may make
    /// room as well. Returns false when nothing can be dropped.
    pub(crate) fn drop_oldest(&mut self, subscription: SubscriptionKey) -> bool {
        let session = self.subscriptions[subscription].session;
        let mut before = EntryKey::NONE;
        let mut victim = self.subscriptions[subscription].queued_first;
        // What has begun, one GAP and what is kept may stand before it.
        while victim.is_some() && (self.has_begun(session, victim) || self.entries[victim].content != Content::Messages)
        {
            if self.entries[victim].content == Content::Shared && self.fall_back_behind(session, victim) {
                return true;
            }
            before = victim;
            victim = self.entries[victim].next_in_chain;
        }
        if !victim.is_some() {
            return false;
        }
        let dropped = u64::from(self.entries[victim].range.count);
        self.counters.note_dropped(self.subscriptions[subscription].policy, dropped);
        if before.is_some() && self.is_gap(before) && !self.has_begun(session, before) {
            self.unlink_from_chain(victim, before);
            self.remove_entry(session, victim);
            self.raise_gap(before, dropped, 0);
            self.merge_next_gap(session, before);
        } else {
            self.turn_into_gap(session, victim, dropped);
            self.merge_next_gap(session, victim);
        }
        true
    }

    /// Two GAPs with no message between them are one.
    fn merge_next_gap(&mut self, session: SessionKey, gap: EntryKey) {
        let next = self.entries[gap].next_in_chain;
        if next.is_some()
            && let Content::Gap { dropped, conflated } = self.entries[next].content
        {
            self.unlink_from_chain(next, gap);
            self.remove_entry(session, next);
            self.raise_gap(gap, dropped, conflated);
        }
    }

    /// Drops everything that has not begun to be sent, but for a greeting.
    pub(crate) fn discard_queue(&mut self, session: SessionKey) {
        let mut entry = self.sessions[session].queue.front;
        let greeting = if self.sessions[session].is_greeted { EntryKey::NONE } else { entry };
        while entry.is_some() {
            let next = self.entries[entry].next;
            if !self.has_begun(session, entry) && entry != greeting {
                let subscription = self.entries[entry].subscription;
                if subscription.is_some() {
                    self.detach_chain(subscription);
                }
                self.remove_entry(session, entry);
            }
            entry = next;
        }
    }

    /// Makes what waits under a subscription nobody's: it is still sent, but no policy drops it.
    pub(crate) fn detach_chain(&mut self, subscription: SubscriptionKey) {
        let mut entry = std::mem::replace(&mut self.subscriptions[subscription].queued_first, EntryKey::NONE);
        self.subscriptions[subscription].queued_last = EntryKey::NONE;
        while entry.is_some() {
            let item = &mut self.entries[entry];
            item.subscription = SubscriptionKey::NONE;
            item.content = Content::Control;
            item.is_own = false;
            entry = std::mem::replace(&mut item.next_in_chain, EntryKey::NONE);
        }
    }

    /// The bytes at the front of a session's queue, ready to be written in this order.
    pub(crate) fn collect_front<'a>(&'a self, session: SessionKey, slices: &mut Slices<'a>) {
        let queue = &self.sessions[session].queue;
        let mut entry = queue.front;
        let mut skip = queue.sent_bytes;
        let mut total = 0;
        while entry.is_some() && slices.len() < slices.inline_size() && total < FRONT_BYTES_MAX {
            let item = &self.entries[entry];
            let slice = self.chunks.slice(item.chunk, item.range.begin + skip, item.range.end);
            total += slice.len();
            slices.push(slice);
            skip = 0;
            entry = item.next;
        }
    }

    /// Takes sent bytes off the front of a session's queue.
    pub(crate) fn take_sent(&mut self, session: SessionKey, mut sent_bytes: usize) {
        self.sessions[session].is_greeted |= sent_bytes > 0;
        loop {
            let queue = &mut self.sessions[session].queue;
            let front = queue.front;
            if !front.is_some() {
                assert!(sent_bytes == 0, "nothing can be sent that was not queued");
                return;
            }
            let left = (self.entries[front].range.bytes() - queue.sent_bytes) as usize;
            if sent_bytes < left {
                queue.sent_bytes += sent_bytes as u32;
                return;
            }
            sent_bytes -= left;
            self.pop_front(session);
        }
    }

    /// Drops everything: nobody is there to send it to.
    pub(crate) fn abandon_queue(&mut self, session: SessionKey) {
        while !self.sessions[session].queue.is_empty() {
            self.pop_front(session);
        }
    }

    fn pop_front(&mut self, session: SessionKey) {
        let front = self.sessions[session].queue.front;
        let subscription = self.entries[front].subscription;
        if subscription.is_some() {
            assert!(self.subscriptions[subscription].queued_first == front, "a chain is in the queue's order");
            self.unlink_from_chain(front, EntryKey::NONE);
        }
        self.remove_entry(session, front);
    }

    fn append(
        &mut self,
        session: SessionKey,
        subscription: SubscriptionKey,
        chunk: ChunkKey,
        range: Range,
        content: Content,
        is_own: bool,
    ) {
        let previous = self.sessions[session].queue.back;
        let entry = self.entries.insert(Entry {
            chunk,
            range,
            subscription,
            content,
            previous,
            next: EntryKey::NONE,
            next_in_chain: EntryKey::NONE,
            is_own,
        });
        let queue = &mut self.sessions[session].queue;
        queue.back = entry;
        if previous.is_some() {
            self.entries[previous].next = entry;
        } else {
            queue.front = entry;
        }
        if subscription.is_some() {
            let chain = &mut self.subscriptions[subscription];
            let last = std::mem::replace(&mut chain.queued_last, entry);
            if last.is_some() {
                self.entries[last].next_in_chain = entry;
            } else {
                chain.queued_first = entry;
            }
        }
        self.charge(session, Self::charge_of(range.bytes()));
        self.mark_dirty(session);
    }

    /// Takes an entry out of its subscription's chain; `before` is the one before it there.
    #[inline]
    fn unlink_from_chain(&mut self, entry: EntryKey, before: EntryKey) {
        let Entry { subscription, next_in_chain, .. } = self.entries[entry];
        let chain = &mut self.subscriptions[subscription];
        if chain.queued_last == entry {
            chain.queued_last = before;
        }
        if before.is_some() {
            self.entries[before].next_in_chain = next_in_chain;
        } else {
            chain.queued_first = next_in_chain;
        }
    }

    /// Takes an entry out of its queue and frees it; its chain knows it no more.
    fn remove_entry(&mut self, session: SessionKey, key: EntryKey) {
        let entry = self.entries.remove(key);
        let queue = &mut self.sessions[session].queue;
        if queue.front == key {
            queue.front = entry.next;
            queue.sent_bytes = 0;
        }
        if queue.back == key {
            queue.back = entry.previous;
        }
        if entry.previous.is_some() {
            self.entries[entry.previous].next = entry.next;
        }
        if entry.next.is_some() {
            self.entries[entry.next].previous = entry.previous;
        }
        self.uncharge(session, Self::charge_of(entry.range.bytes()));
        self.chunks.release(entry.chunk);
    }

    /// Whether some bytes of an entry are sent, so that the rest has to follow.
    pub(crate) fn has_begun(&self, session: SessionKey, entry: EntryKey) -> bool {
        let queue = &self.sessions[session].queue;
        queue.front == entry && queue.sent_bytes > 0
    }

    pub(crate) fn is_gap(&self, entry: EntryKey) -> bool {
        matches!(self.entries[entry].content, Content::Gap { .. })
    }

    /// Adds to the counts of a GAP that has not begun.
    fn raise_gap(&mut self, gap: EntryKey, more_dropped: u64, more_conflated: u64) {
        let entry = &mut self.entries[gap];
        let Content::Gap { dropped, conflated } = &mut entry.content else {
            unreachable!("only a GAP's counts are raised");
        };
        *dropped += more_dropped;
        *conflated += more_conflated;
        let Entry { chunk, range, subscription, .. } = *entry;
        let (dropped, conflated) = (*dropped, *conflated);
        let mut bytes = std::mem::take(&mut self.chunks.get_mut(chunk).bytes);
        bytes.clear();
        self.render_gap(subscription, dropped, conflated, &mut bytes);
        assert!(bytes.len() == range.bytes() as usize, "all GAPs of a subscription have one length");
        self.chunks.get_mut(chunk).bytes = bytes;
    }

    /// Puts a GAP in the place of messages that are dropped.
    fn turn_into_gap(&mut self, session: SessionKey, victim: EntryKey, dropped: u64) {
        let Entry { chunk: old_chunk, range: old_range, subscription, .. } = self.entries[victim];
        let chunk = self.chunks.acquire(Purpose::piece(GAP_BYTES));
        let mut bytes = std::mem::take(&mut self.chunks.get_mut(chunk).bytes);
        self.render_gap(subscription, dropped, 0, &mut bytes);
        let range = Range { begin: 0, end: bytes.len() as u32, count: 0 };
        self.chunks.get_mut(chunk).bytes = bytes;
        let entry = &mut self.entries[victim];
        entry.chunk = chunk;
        entry.range = range;
        entry.content = Content::Gap { dropped, conflated: 0 };
        entry.is_own = false;
        self.uncharge(session, old_range.bytes());
        self.charge(session, range.bytes());
        self.chunks.release(old_chunk);
        self.check_control_bound(session);
    }

    fn render_gap(&self, subscription: SubscriptionKey, dropped: u64, conflated: u64, out: &mut Vec<u8>) {
        let Subscription { session, number, .. } = self.subscriptions[subscription];
        let event = Event::Gap { subscription: number, dropped, conflated };
        self.encodings[self.sessions[session].encoding.0 as usize].render_event(&event, out);
    }

    /// A client that does not read its replies, and what it is told to have missed, is not waited for.
    pub(crate) fn check_control_bound(&mut self, session: SessionKey) {
        let bound = self.settings.limits.queue_bytes_max.saturating_add(CONTROL_BYTES_RESERVE);
        let state = &self.sessions[session];
        // What its gateway keeps has been taken from the queue, and is one answer at the most.
        let kept_bytes = state.more().map_or(0, |more| more.kept_bytes);
        if state.queue.charged_bytes - kept_bytes > bound {
            self.doom(session, Code::QueueOverflow);
        }
    }
}

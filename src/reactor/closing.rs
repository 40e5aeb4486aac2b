//! How connections end, so that the last frame arrives.
//!
//! ```text
//!  Live --violation, closure, end of input--> Parting --flushed--> Lingering --peer's end, patience over--> gone
//!    |                                           |                    (our side shut down, input discarded)
//!    `------------- socket error ----------------+-----------------> gone
//! ```
//!
//! A socket that is closed with input unread answers with a reset, and a reset makes the peer's kernel throw away what
//! it has not read: our error frame. So we shut our side down, read the peer's last bytes away, and close when it does
//! or when its time is over.

use super::connection::{Held, Phase, Work};
use super::{Lent, NOBODY, Reactor};
use fanwire_gateway::{Closing, sniff};
use fanwire_wire::Code;
use std::io::{self, Write};
use std::net::Shutdown;

/// Bytes of a closing peer that are read away before it is cut off.
const PATIENCE_BYTES: u32 = 1024 * 1024;

impl Reactor {
    /// Closes the connections that the shard wants gone.
    pub(super) fn begin_closures(&mut self) {
        let mut closures = std::mem::take(&mut self.buffers.closures);
        self.shard.take_closures(&mut closures);
        for closure in closures.drain(..) {
            let owner = self.owner_of(closure.session);
            // Whoever comes for it is told that it is gone.
            self.polls.end(closure.session, &mut self.shard);
            let Some(index) = owner else { continue };
            if self.connections[index].is_live() {
                self.close(index, closure.code);
            }
        }
        self.buffers.closures = closures;
    }

    /// Ends a connection with a code.
    pub(super) fn close(&mut self, index: usize, code: Code) {
        let Lent { gateway, mut context, .. } = self.lend(index);
        let closing = gateway.close(code, &mut context);
        self.begin_close(index, closing);
    }

    /// The gateway has said its last word: flush it, then close.
    pub(super) fn begin_close(&mut self, index: usize, closing: Closing) {
        let connection = &mut self.connections[index];
        let spoken = sniff(connection.gateway.first_bytes());
        self.settings.stats.note_closed(self.index, closing.code);
        self.journalist.closed(
            self.clock.since_start(),
            connection.id,
            connection.address(),
            closing.code,
            spoken.filter(|_| closing.parting.is_some()),
        );
        if let Some(parting) = closing.parting {
            // Eight bytes into an empty socket: all of them or a peer that is gone.
            let _ = connection.stream.write(&parting);
        }
        self.part(index);
    }

    /// The peer has closed its side: what it sent was executed, what it is owed is flushed, and what it has asked for
    /// is waited for.
    pub(super) fn end_of_input(&mut self, index: usize) {
        if self.connections[index].gateway.end_input() {
            return;
        }
        if self.depart(index) {
            let connection = &self.connections[index];
            self.journalist.torn(self.clock.since_start(), connection.id, connection.address());
        }
        self.part(index);
    }

    /// Ends a connection's session without a word. Returns whether this was in the middle of a frame.
    pub(super) fn depart(&mut self, index: usize) -> bool {
        let Lent { gateway, mut context, .. } = self.lend(index);
        gateway.depart(&mut context)
    }

    /// From here on the session gets nothing new and the input is discarded.
    pub(super) fn part(&mut self, index: usize) {
        self.count_held(index, Held::default());
        let connection = &mut self.connections[index];
        connection.phase = Phase::Parting;
        connection.work = Work::Done;
        match connection.gateway.session() {
            Some(session) if !self.shard.is_flushed(session) => self.set_closing_alarm(index),
            _ => self.finish_parting(index),
        }
    }

    /// Everything is flushed: shut our side down and wait for the peer's.
    pub(super) fn finish_parting(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if connection.has_ended || connection.stream.shutdown(Shutdown::Write).is_err() {
            return self.remove(index);
        }
        connection.phase = Phase::Lingering { patience_bytes: PATIENCE_BYTES };
        self.set_closing_alarm(index);
        if self.connections[index].is_ready() {
            self.make_ready(index);
        }
    }

    /// A closing peer that still takes what it is owed may take its time: its deadline is for standing still.
    pub(super) fn note_progress(&mut self, index: usize) {
        if self.connections[index].phase == Phase::Parting {
            self.set_closing_alarm(index);
        }
    }

    fn set_closing_alarm(&mut self, index: usize) {
        self.clear_alarm(index);
        self.ring_at(index, self.now() + self.bounds.linger_time_max);
    }

    /// Reads a closing peer's bytes away.
    pub(super) fn discard(&mut self, index: usize) -> usize {
        let connection = &mut self.connections[index];
        match connection.read(&mut self.buffers.read, &mut self.calls) {
            Ok(None) => 0,
            Ok(Some(count)) if count > 0 => {
                if let Phase::Lingering { patience_bytes } = &mut connection.phase {
                    *patience_bytes = patience_bytes.saturating_sub(count as u32);
                    if *patience_bytes == 0 {
                        self.remove(index);
                    }
                }
                count
            }
            // Its end, or an error. One that only shut down its sending side may still be read from, so what is
            // left to flush goes on.
            Ok(_) if connection.phase == Phase::Parting => 0,
            Ok(_) | Err(_) => {
                self.remove(index);
                0
            }
        }
    }

    /// The socket is broken: nothing can be said any more.
    pub(super) fn lose(&mut self, index: usize, error: &io::Error) {
        self.usage.lost += 1;
        let connection = &self.connections[index];
        if connection.gateway.held_bytes() > 0 {
            self.journalist.torn(self.clock.since_start(), connection.id, connection.address());
        }
        self.journalist.lost(self.clock.since_start(), connection.address(), error);
        self.remove(index);
    }

    /// Forgets a connection and everything of it.
    pub(super) fn remove(&mut self, index: usize) {
        self.clear_alarm(index);
        self.count_held(index, Held::default());
        let Lent { gateway, mut context, .. } = self.lend(index);
        gateway.let_go(&mut context);
        let mut connection = self.connections.remove(index);
        self.usage.count_out(connection.kind);
        for session in [connection.gateway.inner(), connection.gateway.session()].into_iter().flatten() {
            self.shard.remove_session(session);
            self.attached[session.slot()] = NOBODY;
        }
        // Closing the descriptor would do; saying so keeps the order plain.
        let _ = self.poll.registry().deregister(&mut connection.stream);
        let (is_turned_away, address) = (connection.is_turned_away, connection.address().ip());
        // Its place is free when its descriptor is.
        drop(connection);
        self.note_gone(is_turned_away, address);
        self.give_memory_back();
    }

    fn give_memory_back(&mut self) {
        if !self.connections.is_empty() {
            return;
        }
        self.post.forget_spares();
        if self.connections.capacity() > 1_024 {
            self.connections = slab::Slab::new();
            self.attached = Vec::new();
            self.ready.shrink_to_fit();
        }
    }

    /// Brings the totals of what gateways hold up to date with one connection.
    pub(super) fn note_partial(&mut self, index: usize) {
        let connection = &self.connections[index];
        let bytes = connection.gateway.held_bytes() as u32;
        // Who runs ahead of its own answers must not stop the reading of all others, as a backlog does.
        let is_backlog = connection.has_work_left() && !connection.gateway.is_ahead();
        self.count_held(index, Held { bytes, is_backlog });
    }

    pub(super) fn count_held(&mut self, index: usize, held: Held) {
        let before = self.connections[index].replace_held(held);
        *self.total_of(before) -= before.bytes as usize;
        *self.total_of(held) += held.bytes as usize;
    }

    fn total_of(&mut self, held: Held) -> &mut usize {
        if held.is_backlog { &mut self.backlog_bytes } else { &mut self.partial_bytes }
    }

    /// While incomplete frames of all together are beyond their bound, the connection with the largest goes.
    pub(super) fn keep_partial_bound(&mut self) {
        if self.partial_bytes <= self.bounds.partial_bytes_max {
            return;
        }
        let partial = self.connections.iter().filter(|(_, connection)| !connection.held().is_backlog);
        let sizes = partial.map(|(index, connection)| (connection.held().bytes, index));
        let mut candidates: Vec<(u32, usize)> = sizes.collect();
        candidates.sort_unstable();
        while self.partial_bytes > self.bounds.partial_bytes_max
            && let Some((_, index)) = candidates.pop()
        {
            self.close(index, Code::PartialFrameOverflow);
        }
    }
}

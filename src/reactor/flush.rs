//! The flush: each dirty session's bytes to its socket, one write where one will do.
//!
//! One chunk is written from where it lies. Several small ones are copied together first: that costs less than the
//! kernel's walk over a vector of them. Large ones go as a vector. A write that the kernel takes only in part leaves
//! its session blocked until the socket is writable again; until then nothing is tried.

use super::calls::Calls;
use super::connection::{Phase, Work};
use super::{Reactor, socket};
use fanwire_core::{SessionId, Slices};
use mio::net::TcpStream;
use smallvec::SmallVec;
use std::io::{self, ErrorKind, IoSlice, Write};

/// Up to here several slices are copied into one write.
pub(super) const COPIED_BYTES_MAX: usize = 64 * 1024;
/// Slices of this size and more are never copied.
const COPIED_SLICE_BYTES_MAX: usize = 8 * 1024;
/// Bytes that one connection is sent in one turn; the rest waits for the next one.
const TURN_WRITE_BYTES_MAX: usize = 1024 * 1024;

impl Reactor {
    /// Writes what the turn has queued.
    pub(super) fn flush_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.buffers.sessions);
        self.shard.take_dirty(&mut dirty);
        dirty.retain(|session| !self.hear_inner(*session));
        // What gateways have made of it.
        self.shard.take_dirty(&mut dirty);
        for session in dirty.drain(..) {
            self.flush(session);
        }
        self.buffers.sessions = dirty;
    }

    /// Lets a gateway read what its own session was sent. False: the session is a socket's.
    fn hear_inner(&mut self, session: SessionId) -> bool {
        let Some(index) = self.owner_of(session) else { return false };
        let is_inner = self.connections[index].gateway.inner() == Some(session);
        if is_inner {
            self.hear(index);
        }
        is_inner
    }

    fn flush(&mut self, session: SessionId) {
        let Some(index) = self.connection_of(session) else { return };
        let mut written_bytes = 0;
        loop {
            if written_bytes >= TURN_WRITE_BYTES_MAX {
                return self.shard.mark_writable(session);
            }
            let connection = &mut self.connections[index];
            let mut slices = Slices::new();
            self.shard.front(session, &mut slices);
            if slices.is_empty() {
                drop(slices);
                return self.note_flushed(index);
            }
            let offered: usize = slices.iter().map(|slice| slice.len()).sum();
            match write(&mut connection.stream, &slices, offered, &mut self.buffers.write, &mut self.calls) {
                Ok(written) => {
                    drop(slices);
                    self.shard.advance(session, written, written < offered);
                    written_bytes += written;
                    self.usage.sent_bytes += written as u64;
                    if written > 0 {
                        self.note_progress(index);
                    }
                    if written < offered {
                        return;
                    }
                }
                Err(error) => {
                    drop(slices);
                    return self.lose(index, &error);
                }
            }
        }
    }

    /// The socket takes bytes again.
    pub(super) fn note_writable(&mut self, index: usize) {
        if let Some(session) = self.connections[index].gateway.session() {
            self.shard.mark_writable(session);
        }
    }

    fn note_flushed(&mut self, index: usize) {
        if self.connections[index].phase == Phase::Parting {
            return self.finish_parting(index);
        }
        if self.connections[index].gateway.destination().is_some() {
            return self.move_if_flushed(index);
        }
        let connection = &mut self.connections[index];
        if connection.gateway.is_paused() && connection.is_postponed() {
            connection.work = Work::Left;
            self.make_ready(index);
        }
        // It may have waited until the socket has taken what came before.
        if let Some(inner) = self.connections[index].gateway.inner() {
            self.shard.mark_writable(inner);
        }
    }

    /// Sets up the sockets of sessions that want fresh data rather than all data.
    pub(super) fn freshen_sockets(&mut self) {
        let mut sessions = std::mem::take(&mut self.buffers.sessions);
        self.shard.take_fresh(&mut sessions);
        for session in sessions.drain(..) {
            let Some(index) = self.connection_of(session) else { continue };
            let connection = &self.connections[index];
            if let Err(error) = socket::limit_unsent(&connection.stream, self.bounds.socket.unsent_low_water) {
                self.journalist.option_failed(self.clock.since_start(), connection.address(), &error);
            }
        }
        self.buffers.sessions = sessions;
    }
}

/// Writes once; 0 when the socket takes nothing. The kernel remembers that it refused, whether it took a part or
/// nothing, and sends an edge when it has room (epoll(7)).
fn write(
    stream: &mut TcpStream,
    slices: &Slices<'_>,
    offered: usize,
    scratch: &mut Vec<u8>,
    calls: &mut Calls,
) -> io::Result<usize> {
    loop {
        calls.writes += 1;
        let outcome = match &slices[..] {
            [single] => stream.write(single),
            several if offered <= COPIED_BYTES_MAX && offered / several.len() < COPIED_SLICE_BYTES_MAX => {
                scratch.clear();
                several.iter().for_each(|slice| scratch.extend_from_slice(slice));
                stream.write(scratch)
            }
            several => {
                let vector: SmallVec<[IoSlice<'_>; 64]> = several.iter().map(|slice| IoSlice::new(slice)).collect();
                stream.write_vectored(&vector)
            }
        };
        match outcome {
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

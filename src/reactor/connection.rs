//! A connection: its socket, what an edge has told of it, and how far its closing has come.

use super::calls::Calls;
use fanwire_core::Time;
use fanwire_core::wheel::TimerKey;
use fanwire_gateway::Native;
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};

/// How far a connection's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Read from and written to.
    Live,
    /// Its session has ended; what was queued is flushed, input is discarded.
    Parting {
        /// When to give up.
        deadline: Time,
    },
    /// Our side is shut down; what the peer still sends is discarded until it closes too, so that the kernel does
    /// not answer it with a reset that would take our last frame with it.
    Lingering {
        /// When to give up.
        deadline: Time,
        /// Bytes that are still discarded.
        patience_bytes: u32,
    },
}

/// Bytes of frames that a connection's gateway holds, as one of the reactor's totals counts them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Held {
    pub(super) bytes: u32,
    /// They wait for us or other reactors; else for the rest of a frame.
    pub(super) is_backlog: bool,
}

pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// The peer's address in two parts, which take less than a whole one.
    ip: IpAddr,
    port: u16,
    pub(super) id: u64,
    pub(super) native: Native,
    pub(super) phase: Phase,
    pub(super) alarm: Option<(TimerKey, Time)>,
    /// Refused as it came: it is told why, and counts as nobody's.
    pub(super) is_turned_away: bool,
    /// What the reactor's totals count for this connection.
    pub(super) held: Held,
    /// In the reactor's ready list.
    pub(super) is_listed: bool,
    /// The gateway has frames left that a budget did not let through.
    pub(super) has_work_left: bool,
    /// Those frames have to wait for other reactors.
    pub(super) is_postponed: bool,
    /// The socket may have bytes, or its end, to read.
    is_readable: bool,
    /// The peer has closed its side: read until the end comes.
    is_read_closed: bool,
    /// The end of input was seen.
    pub(super) has_ended: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, address: SocketAddr, id: u64, native: Native, is_turned_away: bool) -> Self {
        Connection {
            stream,
            ip: address.ip(),
            port: address.port(),
            id,
            native,
            phase: Phase::Live,
            alarm: None,
            is_turned_away,
            held: Held::default(),
            is_listed: false,
            has_work_left: false,
            is_postponed: false,
            is_readable: false,
            is_read_closed: false,
            has_ended: false,
        }
    }

    /// The peer's address.
    pub(super) const fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip, self.port)
    }

    pub(super) fn note_event(&mut self, event: &mio::event::Event) {
        // A reset shows as an error, and reading tells which.
        self.is_readable |= event.is_readable() || event.is_error() || event.is_read_closed();
        self.is_read_closed |= event.is_read_closed();
    }

    /// Whether it can make progress without a further event.
    pub(super) fn is_ready(&self) -> bool {
        !self.has_ended && !self.is_postponed && (self.has_work_left || self.is_readable)
    }

    /// Reads once: `Some(0)` at the end, `None` when there is nothing.
    pub(super) fn read(&mut self, buffer: &mut [u8], calls: &mut Calls) -> io::Result<Option<usize>> {
        loop {
            calls.reads += 1;
            match self.stream.read(buffer) {
                Ok(count) => {
                    self.has_ended = count == 0;
                    // A short read has drained the socket; the next byte brings a new edge. An end that is already
                    // announced brings none.
                    self.is_readable = count == buffer.len() || (self.is_read_closed && count > 0);
                    return Ok(Some(count));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_readable = false;
                    return Ok(None);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}

//! A connection: its socket, what an edge has told of it, and how far its closing has come.

use super::calls::Calls;
use fanwire_core::wheel::TimerKey;
use fanwire_gateway::Gateway;
use fanwire_gateway::stats::Kind;
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read};
use std::mem;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// How far a connection's life has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Read from and written to.
    Live {
        /// What the reactor's totals count for it.
        held: Held,
    },
    /// Its session has ended; what was queued is flushed, input is discarded. Its alarm says when to give up.
    Parting,
    /// Our side is shut down; what the peer still sends is discarded until it closes too, so that the kernel does
    /// not answer it with a reset that would take our last frame with it. Its alarm says when to give up.
    Lingering {
        /// Bytes that are still discarded.
        patience_bytes: u32,
    },
}

/// Bytes of frames that a connection's gateway holds, as one of the reactor's totals counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Held {
    pub(super) bytes: u32,
    /// They wait for us or other reactors; else for the rest of a frame.
    pub(super) is_backlog: bool,
}

/// What a connection's gateway could not do yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    /// Nothing is left.
    Done,
    /// Frames that a budget did not let through.
    Left,
    /// Frames that have to wait for other reactors.
    Postponed,
}

/// One of many: what it takes, every idle client takes.
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// The peer's address in two parts, which take less than a whole one: IPv4 is a part of IPv6.
    ip: Ipv6Addr,
    port: u16,
    pub(super) id: u64,
    pub(super) gateway: Gateway,
    pub(super) phase: Phase,
    pub(super) alarm: Option<TimerKey>,
    pub(super) work: Work,
    /// Refused as it came: it is told why, and counts as nobody's.
    pub(super) is_turned_away: bool,
    /// It came to the address for operators.
    pub(super) is_operator: bool,
    /// What it counts as.
    pub(super) kind: Kind,
    /// In the reactor's ready list.
    pub(super) is_listed: bool,
    /// The socket may have bytes, or its end, to read.
    is_readable: bool,
    /// The peer has closed its side: read until the end comes.
    is_read_closed: bool,
    /// The end of input was seen.
    pub(super) has_ended: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, address: SocketAddr, id: u64, gateway: Gateway, is_turned_away: bool) -> Self {
        Connection {
            stream,
            ip: match address.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            },
            port: address.port(),
            id,
            kind: gateway.kind(),
            gateway,
            phase: Phase::Live { held: Held::default() },
            alarm: None,
            work: Work::Done,
            is_turned_away,
            is_operator: false,
            is_listed: false,
            is_readable: false,
            is_read_closed: false,
            has_ended: false,
        }
    }

    /// The peer's address, in the form that [`Listener::accept`](super::Listener) gives it.
    pub(super) const fn address(&self) -> SocketAddr {
        SocketAddr::new(self.ip.to_canonical(), self.port)
    }

    pub(super) const fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    pub(super) fn has_work_left(&self) -> bool {
        self.work != Work::Done
    }

    pub(super) fn is_postponed(&self) -> bool {
        self.work == Work::Postponed
    }

    /// What the reactor's totals count for it.
    pub(super) const fn held(&self) -> Held {
        match self.phase {
            Phase::Live { held } => held,
            _ => Held { bytes: 0, is_backlog: false },
        }
    }

    /// Begins to count something else for it, and returns what was counted before. One that is closing holds nothing.
    pub(super) fn replace_held(&mut self, held: Held) -> Held {
        match &mut self.phase {
            Phase::Live { held: counted } => mem::replace(counted, held),
            _ => Held::default(),
        }
    }

    pub(super) fn note_event(&mut self, event: &mio::event::Event) {
        // A reset shows as an error, and reading tells which.
        self.is_readable |= event.is_readable() || event.is_error() || event.is_read_closed();
        self.is_read_closed |= event.is_read_closed();
    }

    /// Whether it can make progress without a further event.
    pub(super) fn is_ready(&self) -> bool {
        !self.is_postponed() && (self.has_work_left() || (self.is_readable && !self.has_ended))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_idle_client_pays_for_its_connection_does_not_grow_unseen() {
        // The socket takes 4 bytes, and in a debug build whatever mio watches it with.
        assert!(size_of::<Connection>() - size_of::<TcpStream>() <= 80);
    }
}

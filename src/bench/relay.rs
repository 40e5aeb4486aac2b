//! The floor: the least a broker could do. One thread, one epoll, 64 KiB reads, and what was read goes to every
//! subscriber with one write a turn.
//!
//! ```text
//!  whole: one publisher, one topic     read -> the same bytes, straight out of the read buffer, to each subscriber
//!  split: several of either            read -> messages, gathered by topic -> at the turn's end one write each
//! ```
//!
//! Split reads the head of each message, because the bytes of several publishers must not mix inside one. There is no
//! routing, no limit, no policy: a subscriber that does not read makes the relay's memory grow. It is a measure, not a
//! broker.

use super::targets::floor::{ANSWER, OPENING_BYTES, message_at};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustix::process::{Signal, set_parent_process_death_signal};
use slab::Slab;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

/// Bytes of one read.
pub const READ_BYTES: usize = 64 * 1024;
const LISTENER: Token = Token(usize::MAX);
const BACKLOG: i32 = 4_096;
const EVENTS_A_TURN: usize = 1_024;

/// Runs the relay on a free port, which it tells `announce`. Ends with the process that started it.
pub fn run(split: bool, announce: impl FnOnce(SocketAddr)) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    let mut relay = Relay::listen(split)?;
    announce(relay.listener.local_addr()?);
    let mut events = Events::with_capacity(EVENTS_A_TURN);
    loop {
        match relay.poll.poll(&mut events, None) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        }
        for event in &events {
            match event.token() {
                LISTENER => relay.accept()?,
                Token(slot) => relay.serve(slot, event.is_readable(), event.is_writable()),
            }
        }
        relay.flush();
    }
}

/// A listener on a free port, with a backlog that a storm of connections needs.
fn listen() -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

struct Relay {
    poll: Poll,
    listener: TcpListener,
    split: bool,
    peers: Slab<Peer>,
    /// Who hears which topic.
    hearers: Vec<Vec<usize>>,
    /// Who hears everything.
    omnivores: Vec<usize>,
    /// Split: what the turn has brought, by topic, and for those who hear everything.
    gathered: Vec<Vec<u8>>,
    touched: Vec<u16>,
    gathered_whole: Vec<u8>,
    buffer: Vec<u8>,
}

struct Peer {
    socket: TcpStream,
    stands: bool,
    /// What it hears, by topic.
    topics: Range<u16>,
    /// The begin of an opening or a message.
    held: Vec<u8>,
    /// What the kernel did not take.
    pending: Vec<u8>,
}

impl Relay {
    fn listen(split: bool) -> io::Result<Relay> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::from_std(listen()?);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Relay {
            poll,
            listener,
            split,
            peers: Slab::new(),
            hearers: Vec::new(),
            omnivores: Vec::new(),
            gathered: Vec::new(),
            touched: Vec::new(),
            gathered_whole: Vec::new(),
            buffer: vec![0; READ_BYTES],
        })
    }

    fn accept(&mut self) -> io::Result<()> {
        loop {
            let mut socket = match self.listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            socket.set_nodelay(true)?;
            let entry = self.peers.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut socket, Token(entry.key()), interest)?;
            entry.insert(Peer { socket, stands: false, topics: 0..0, held: Vec::new(), pending: Vec::new() });
        }
    }

    fn serve(&mut self, slot: usize, readable: bool, writable: bool) {
        if writable && let Some(peer) = self.peers.get_mut(slot) {
            peer.write_pending();
        }
        while readable && let Some(peer) = self.peers.get_mut(slot) {
            match peer.socket.read(&mut self.buffer) {
                Ok(0) => self.leave(slot),
                Ok(count) => {
                    self.take(slot, count);
                    // A short read has emptied the socket.
                    if count < READ_BYTES {
                        return;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.leave(slot),
            }
        }
    }

    /// What a read has brought.
    fn take(&mut self, slot: usize, count: usize) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut bytes = &buffer[..count];
        if !self.peers[slot].stands {
            bytes = self.open(slot, bytes);
        }
        if !bytes.is_empty() {
            if self.split { self.gather(slot, bytes) } else { self.spread(bytes) }
        }
        self.buffer = buffer;
    }

    /// Completes an opening; what follows it.
    fn open<'bytes>(&mut self, slot: usize, bytes: &'bytes [u8]) -> &'bytes [u8] {
        let peer = &mut self.peers[slot];
        let (front, rest) = bytes.split_at(bytes.len().min(OPENING_BYTES - peer.held.len()));
        peer.held.extend_from_slice(front);
        let Ok([role, begin_low, begin_high, end_low, end_high]) = <[u8; OPENING_BYTES]>::try_from(&*peer.held) else {
            return &[];
        };
        peer.held.clear();
        peer.stands = true;
        peer.write(&[ANSWER]);
        let (begin, end) = (u16::from_le_bytes([begin_low, begin_high]), u16::from_le_bytes([end_low, end_high]));
        match role {
            b'A' => self.omnivores.push(slot),
            b'S' | b'B' => {
                let known = self.hearers.len().max(end.into());
                self.hearers.resize(known, Vec::new());
                self.gathered.resize(known, Vec::new());
                self.peers[slot].topics = begin..end;
                (begin..end).for_each(|topic| self.hearers[usize::from(topic)].push(slot));
            }
            _ => {}
        }
        rest
    }

    /// Whole: the bytes as they are, to everybody.
    fn spread(&mut self, bytes: &[u8]) {
        for slot in self.hearers.first().into_iter().flatten().chain(&self.omnivores) {
            self.peers[*slot].write(bytes);
        }
    }

    /// Split: each message to what its topic has brought this turn.
    fn gather(&mut self, slot: usize, bytes: &[u8]) {
        let mut held = std::mem::take(&mut self.peers[slot].held);
        let mut rest = bytes;
        if !held.is_empty() {
            held.extend_from_slice(bytes);
            rest = &held;
        }
        while let Some((topic, size)) = message_at(rest) {
            let index = usize::from(topic);
            if self.hearers.get(index).is_some_and(|hearers| !hearers.is_empty()) {
                if self.gathered[index].is_empty() {
                    self.touched.push(topic);
                }
                self.gathered[index].extend_from_slice(&rest[..size]);
            }
            if !self.omnivores.is_empty() {
                self.gathered_whole.extend_from_slice(&rest[..size]);
            }
            rest = &rest[size..];
        }
        self.peers[slot].held = rest.to_vec();
    }

    /// The turn's end: one write a subscriber and topic.
    fn flush(&mut self) {
        for topic in self.touched.drain(..) {
            let index = usize::from(topic);
            self.hearers[index].iter().for_each(|slot| self.peers[*slot].write(&self.gathered[index]));
            self.gathered[index].clear();
        }
        if !self.gathered_whole.is_empty() {
            self.omnivores.iter().for_each(|slot| self.peers[*slot].write(&self.gathered_whole));
            self.gathered_whole.clear();
        }
    }

    fn leave(&mut self, slot: usize) {
        let topics = self.peers.remove(slot).topics;
        self.omnivores.retain(|other| *other != slot);
        for topic in topics {
            self.hearers[usize::from(topic)].retain(|other| *other != slot);
        }
    }
}

impl Peer {
    /// Writes, or keeps what the kernel does not take. A peer that is gone is found by the read that follows.
    fn write(&mut self, bytes: &[u8]) {
        let written = if self.pending.is_empty() { self.socket.write(bytes).unwrap_or(0) } else { 0 };
        if written < bytes.len() {
            self.pending.extend_from_slice(&bytes[written..]);
        }
    }

    fn write_pending(&mut self) {
        if !self.pending.is_empty() {
            let written = self.socket.write(&self.pending).unwrap_or(0);
            self.pending.drain(..written);
        }
    }
}

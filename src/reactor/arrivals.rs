//! Arrivals: connections that were accepted, and stay or are turned away.
//!
//! Who is turned away is told why, like everybody who is closed; but only so many at a time, and they take nobody's
//! place.

use super::connection::Connection;
use super::{Alarm, Reactor, socket};
use fanwire_wire::Code;
use mio::{Interest, Token};
use std::net::SocketAddr;

/// Connections that are being told why they can't stay; beyond that they are closed without a word, so that a flood
/// does not take the descriptors that others need.
const TURNED_AWAY_MAX: usize = 32;

impl Reactor {
    /// Takes in what waits, up to a turn's share.
    pub(super) fn accept(&mut self) {
        let Some(mut acceptor) = self.acceptor.take() else {
            return;
        };
        acceptor.accept_batch(|stream, address| self.welcome(stream, address));
        if let Some(pause) = acceptor.take_pause() {
            self.journalist.out_of_descriptors(self.clock.since_start());
            self.alarms.insert(self.clock.now() + pause, Alarm::Accept);
        }
        self.acceptor = Some(acceptor);
    }

    /// Takes a new connection in, or turns it away with the code that says why.
    fn welcome(&mut self, stream: std::net::TcpStream, address: SocketAddr) {
        let refusal = self.refusal_of(address);
        if refusal.is_some() && self.turned_away >= TURNED_AWAY_MAX {
            return;
        }
        let prepared = socket::prepare(stream, &self.bounds.socket);
        let Ok(stream) = prepared.inspect_err(|error| self.journalist.lost(self.clock.since_start(), address, error))
        else {
            return;
        };
        let id = self.next_connection_id;
        self.next_connection_id += 1;
        let connection = Connection::new(stream, address, id, self.clock.now());
        let index = self.connections.insert(connection);
        let stream = &mut self.connections[index].stream;
        if let Err(error) = self.poll.registry().register(stream, Token(index), Interest::READABLE | Interest::WRITABLE)
        {
            self.journalist.lost(self.clock.since_start(), address, &error);
            self.connections.remove(index);
            return;
        }
        if let Some(code) = refusal {
            self.connections[index].is_turned_away = true;
            self.turned_away += 1;
            self.close(index, code);
        } else {
            self.census.add(address.ip());
            self.set_alarm(index);
        }
    }

    /// Why a new connection can't stay, if it can't.
    fn refusal_of(&self, address: SocketAddr) -> Option<Code> {
        if self.connections.len() - self.turned_away >= self.bounds.connections_max {
            return Some(Code::TooManyConnections);
        }
        self.census.is_full(address.ip()).then_some(Code::TooManyFromAddress)
    }
}

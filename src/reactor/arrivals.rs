//! Arrivals: connections that the acceptor admitted or turned away, and those that another reactor hands over.

use super::Reactor;
use super::connection::Connection;
use super::door::Arrival;
use mio::{Interest, Token};
use std::net::IpAddr;

/// Connections taken in in one turn; the others wait at the door.
const ARRIVALS_PER_TURN_MAX: usize = 64;

impl Reactor {
    /// Takes in who waits at the door, up to a turn's share. This comes behind the deadlines: nobody is judged before
    /// the poll has told once what its socket holds.
    pub(super) fn take_arrivals(&mut self) {
        if !self.entrance.has_waiting() {
            return;
        }
        for _ in 0..ARRIVALS_PER_TURN_MAX {
            let Some(arrival) = self.entrance.next() else {
                return;
            };
            self.take_in(arrival);
        }
    }

    fn take_in(&mut self, arrival: Arrival) {
        let Arrival { stream, address, connection_id, is_operator, refusal, gateway, input } = arrival;
        let mut connection = Connection::new(stream, address, connection_id, gateway, refusal.is_some());
        connection.is_operator = is_operator;
        self.usage.count_in(connection.kind);
        let index = self.connections.insert(connection);
        // Whatever its socket holds already is told by the poll as the first edge.
        let stream = &mut self.connections[index].stream;
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(stream, Token(index), interest) {
            self.journalist.lost(self.clock.since_start(), address, &error);
            return self.remove(index);
        }
        if let Some(code) = refusal {
            return self.close(index, code);
        }
        self.set_alarm(index);
        if !input.is_empty() || self.connections[index].gateway.is_moving() {
            self.buffers.read[..input.len()].copy_from_slice(&input);
            self.execute(index, input.len());
        }
        self.part_late_arrival(index);
    }

    /// One that was taken in is gone: its descriptor is closed.
    pub(super) fn note_gone(&self, is_turned_away: bool, address: IpAddr) {
        self.entrance.note_gone(is_turned_away);
        if let Some(departures) = self.departures.as_ref().filter(|_| !is_turned_away) {
            // An acceptor that has ended counts nobody any more.
            let _ = departures.send(address);
        }
    }
}

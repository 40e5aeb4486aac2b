//! Handing a connection over: its session lives, or is to live, on another reactor, so the socket goes there.
//!
//! ```text
//!  reactor a                                             reactor b
//!   read -> "this is b's" -> hand_over                    take_in: register, go on with the input
//!                              |  deregister              ^   the poll tells anew what the socket holds
//!                              `-> leaving -- door of b --'
//! ```
//!
//! What goes along: the socket, the gateway as far as it has come (half a preface, and when the connection began), and
//! the bytes that were read but not used. So no byte is lost or seen twice, and no deadline starts again. What stays
//! behind: nothing. The socket's readiness is not told: registering brings an edge for whatever it holds by then, its
//! end included.
//!
//! Only who has no session can go: a session has subscriptions and a queue, which are its reactor's. A native
//! connection has one as soon as its preface is complete. One that speaks HTTP gives its session up when all of it is
//! written (`moves`), and gets another one where it goes.
//!
//! When the other door is full the connection waits here, counted and unread, and is offered again soon.

use super::Reactor;
use super::door::Arrival;
use std::io;
use std::time::Duration;

/// How soon a connection that found a full door is offered again.
pub(super) const RETRY: Duration = Duration::from_millis(1);

/// A connection on its way out.
pub(super) struct Leaving {
    to: usize,
    arrival: Arrival,
}

impl Reactor {
    /// Sends the connection in this slot to the reactor `to`, with the `input` that was read from it and not used.
    ///
    /// # Panics
    /// When there is no such connection or reactor, when the connection is being closed, or when it has a session.
    pub fn hand_over(&mut self, index: usize, to: usize, input: Vec<u8>) -> io::Result<()> {
        assert!(to < self.doors.len() && to != self.index, "there is another reactor of that number");
        assert!(input.len() <= self.buffers.read.len(), "input is what one read has brought");
        let connection = &self.connections[index];
        assert!(connection.is_live(), "who is about to go stays here");
        assert!(connection.gateway.session().is_none(), "a session stays where it was opened");
        assert!(connection.held().bytes == 0 && !connection.has_work_left(), "without a session there are no frames");
        self.poll.registry().deregister(&mut self.connections[index].stream)?;
        let connection = self.connections.remove(index);
        self.usage.count_out(connection.kind);
        if let Some(alarm) = connection.alarm {
            self.alarms.cancel(alarm);
        }
        let arrival = Arrival {
            address: connection.address(),
            stream: connection.stream,
            connection_id: connection.id,
            is_operator: connection.is_operator,
            refusal: None,
            gateway: connection.gateway,
            input,
        };
        self.leaving.push_back(Leaving { to, arrival });
        Ok(())
    }

    /// Offers those who leave at their doors, and wakes each reactor that got one, once.
    pub(super) fn see_off(&mut self) -> io::Result<()> {
        let mut owed_wakes = 0_u64;
        for _ in 0..self.leaving.len() {
            let Some(Leaving { to, arrival }) = self.leaving.pop_front() else { break };
            match self.doors[to].offer(arrival) {
                None => {
                    // From here on it counts there.
                    self.entrance.note_gone(false);
                    owed_wakes |= 1 << to;
                }
                Some(arrival) => self.leaving.push_back(Leaving { to, arrival }),
            }
        }
        let doors = self.doors.iter().enumerate();
        doors.filter(|(to, _)| owed_wakes & (1 << to) != 0).try_for_each(|(_, door)| door.wake())
    }
}

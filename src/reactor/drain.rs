//! The drain: how a reactor ends without anybody losing what it was owed.
//!
//! ```text
//!  Telling --deadline, or nobody left--> Parting --flushed and closed, or its time is over--> over
//!   no new connections; GOAWAY to all;     sessions end, queues are flushed,
//!   routing goes on                        sockets are shut down and closed
//! ```

use super::connection::Phase;
use super::{Lent, Reactor};
use fanwire_core::Time;

/// How far the drain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Telling,
    Parting,
}

/// A drain in progress.
#[derive(Debug, Clone, Copy)]
pub(super) struct Draining {
    stage: Stage,
    deadline: Time,
}

impl Draining {
    pub(super) const fn next_deadline(&self) -> Time {
        self.deadline
    }
}

impl Reactor {
    /// Does what other threads have asked for, and moves a drain on.
    pub(super) fn check_control(&mut self) {
        match self.draining {
            None if self.control.is_drain_wanted() => self.begin_drain(),
            Some(Draining { stage: Stage::Telling, deadline }) if deadline <= self.now() => self.part_all(),
            _ => {}
        }
    }

    /// Whether the drain is done, or has taken all its time.
    pub(super) fn is_over(&self) -> bool {
        self.draining.is_some_and(|draining| {
            self.connections.is_empty() || (draining.stage == Stage::Parting && draining.deadline <= self.now())
        })
    }

    fn begin_drain(&mut self) {
        tracing::info!(connections = self.connections.len(), "draining");
        if let Some(mut acceptor) = self.acceptor.take() {
            let _ = acceptor.deregister(self.poll.registry());
        }
        self.draining = Some(Draining { stage: Stage::Telling, deadline: self.now() + self.bounds.drain.deadline });
        let indexes: Vec<usize> = self.connections.iter().map(|(index, _)| index).collect();
        for index in indexes {
            self.say_go_away(index);
        }
    }

    /// Tells one client that the broker goes, if it is welcomed.
    pub(super) fn say_go_away(&mut self, index: usize) {
        let drain = self.bounds.drain;
        let window = (drain.reconnect_min.as_millis() as u32, drain.reconnect_max.as_millis() as u32);
        if self.connections.contains(index) {
            let Lent { native, mut context, .. } = self.lend(index);
            native.go_away(window, &mut context);
        }
    }

    /// The deadline has come: everybody who is left is flushed and closed.
    fn part_all(&mut self) {
        tracing::info!(connections = self.connections.len(), "the drain's deadline has come");
        let deadline = self.now() + self.bounds.linger_time_max * 2;
        self.draining = Some(Draining { stage: Stage::Parting, deadline });
        let live = self.connections.iter().filter(|(_, connection)| connection.phase == Phase::Live);
        let indexes: Vec<usize> = live.map(|(index, _)| index).collect();
        for index in indexes {
            // That a frame was cut here is our doing, and nothing to tell of the peer.
            self.depart(index);
            self.part(index);
        }
    }
}

//! The drain: how a reactor ends without anybody losing what it was owed.
//!
//! ```text
//!  Telling --deadline, or nobody left--> Hushed --marks of all others--> Parting --flushed and closed--> over
//!   no new connections; GOAWAY to all;    sockets are not read,           sessions end, queues are flushed,
//!   routing goes on                       mail goes on                    sockets are shut down and closed
//! ```
//!
//! Others may still mail to a reactor that reads its sockets no more, and it to them: publications, picks for members
//! elsewhere, picks that come back. So each marks its mail when its sockets are hushed, raises its mark when it has
//! handled the marks of all others, and ends its sessions when that has happened so often that nothing can be on its
//! way any more. One whose clients have left early goes on for the others' sake: groups live there. Stages that wait
//! for others have a deadline, too, behind that of all clients: one that stands still holds nobody up for ever.

use super::connection::Connection;
use super::{Lent, Reactor};
use fanwire_core::Time;
use fanwire_gateway::Progress;

/// Hops that what was read from a socket may still make: to a group's home, to a member, back, to another member, and
/// an answer on its way.
const HOPS: u8 = 5;

/// How far the drain has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Telling,
    Hushed,
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
    /// Does what other threads have asked for.
    pub(super) fn check_control(&mut self) {
        if self.draining.is_none() && self.control.is_drain_wanted() {
            self.begin_drain();
        }
    }

    /// Moves a drain on, at the end of each turn.
    pub(super) fn advance_drain(&mut self) {
        let Some(Draining { stage, deadline }) = self.draining else {
            return;
        };
        let is_late = deadline <= self.now();
        match stage {
            Stage::Telling if self.entrance.is_deserted() => self.hush(deadline),
            Stage::Telling if is_late => {
                tracing::info!(connections = self.connections.len(), "the drain's deadline has come");
                self.hush(self.now());
            }
            Stage::Hushed if is_late || self.has_heard_all() => self.part_all(),
            _ => {}
        }
    }

    /// Whether the drain is done, or has taken all its time. The acceptor has ended before, so who is not counted now
    /// never comes; only another reactor may still hand a connection over, and that finds a closed door.
    pub(super) fn is_over(&self) -> bool {
        self.draining.is_some_and(|draining| {
            draining.stage == Stage::Parting && (self.entrance.is_deserted() || draining.deadline <= self.now())
        })
    }

    /// Whether sockets are read no more.
    pub(super) fn is_hushed(&self) -> bool {
        self.draining.is_some_and(|draining| draining.stage == Stage::Hushed)
    }

    fn begin_drain(&mut self) {
        tracing::info!(reactor = self.index, connections = self.connections.len(), "draining");
        self.draining = Some(Draining { stage: Stage::Telling, deadline: self.now() + self.bounds.drain.deadline });
        let indexes: Vec<usize> = self.connections.iter().map(|(index, _)| index).collect();
        for index in indexes {
            self.say_go_away(index);
        }
        // Nobody comes back here for them: who waited for one has got what there was.
        self.polls.end_all(&mut self.shard);
    }

    /// Nothing is read any more; what was read goes its way. Others may read on until the clients' deadline.
    fn hush(&mut self, clients_deadline: Time) {
        let deadline = clients_deadline + self.bounds.linger_time_max;
        self.draining = Some(Draining { stage: Stage::Hushed, deadline });
        self.post.set_mark(1);
    }

    /// Whether the drain can go on at once.
    pub(super) fn have_all_hushed(&self) -> bool {
        self.is_hushed() && self.post.have_all_marked(HOPS)
    }

    /// Raises the own mark with the others' marks. Whether they are as high as they get.
    fn has_heard_all(&mut self) -> bool {
        self.post.set_mark(self.post.least_mark().saturating_add(1).min(HOPS));
        self.post.have_all_marked(HOPS)
    }

    /// Tells one client that the broker goes, if it is welcomed.
    pub(super) fn say_go_away(&mut self, index: usize) {
        let drain = self.bounds.drain;
        let window = (drain.reconnect_min.as_millis() as u32, drain.reconnect_max.as_millis() as u32);
        if self.connections.contains(index) {
            let Lent { gateway, mut context, .. } = self.lend(index);
            let progress = gateway.go_away(window, &mut context);
            if progress != Progress::Idle {
                self.note_progressed(index, progress);
            }
        }
    }

    /// The deadline has come: everybody who is left is flushed and closed.
    fn part_all(&mut self) {
        let deadline = self.now() + self.bounds.linger_time_max * 2;
        self.draining = Some(Draining { stage: Stage::Parting, deadline });
        let live = self.connections.iter().filter(|(_, connection)| connection.is_live());
        let indexes: Vec<usize> = live.map(|(index, _)| index).collect();
        for index in indexes {
            self.part_for_drain(index);
        }
    }

    /// A connection that comes when all the others were parted goes with them.
    pub(super) fn part_late_arrival(&mut self, index: usize) {
        let is_parting = self.draining.is_some_and(|draining| draining.stage == Stage::Parting);
        let is_live = self.connections.get(index).is_some_and(Connection::is_live);
        if is_parting && is_live {
            self.part_for_drain(index);
        }
    }

    fn part_for_drain(&mut self, index: usize) {
        // That a frame was cut here is our doing, and nothing to tell of the peer.
        let Lent { gateway, mut context, .. } = self.lend(index);
        gateway.say_farewell(&mut context);
        self.part(index);
    }
}

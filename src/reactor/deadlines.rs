//! Deadlines: of handshakes, frames, keep-alives and closings; one alarm a connection.

use super::connection::Phase;
use super::{Lent, Reactor};
use fanwire_gateway::{Context, Progress};
use std::time::Duration;

/// When to look again at a deadline that has come while bytes were still to be read.
const POSTPONEMENT: Duration = Duration::from_millis(1);
/// The same, while they may not be read for the sake of other reactors.
const LONG_POSTPONEMENT: Duration = Duration::from_millis(100);

impl Reactor {
    /// Peers are judged by the time of the last look at their sockets: how long we slept behind it is not their doing.
    pub(super) fn sound_alarms(&mut self) {
        let mut due = std::mem::take(&mut self.buffers.alarms);
        self.alarms.expire(self.looked, &mut due);
        for index in due.drain(..) {
            self.connections[index].alarm = None;
            self.expire(index);
        }
        self.buffers.alarms = due;
    }

    fn expire(&mut self, index: usize) {
        let connection = &mut self.connections[index];
        if connection.phase != Phase::Live {
            return self.expire_closing(index);
        }
        if connection.is_postponed || !self.may_read() {
            return self.postpone(index, LONG_POSTPONEMENT);
        }
        if self.connections[index].is_ready() {
            return self.postpone(index, POSTPONEMENT);
        }
        let now = self.looked;
        let Lent { native, context, .. } = self.lend(index);
        match native.expire(&mut Context { now, ..context }) {
            Progress::Close(closing) => self.begin_close(index, closing),
            Progress::Idle | Progress::More | Progress::Postponed => self.set_alarm(index),
        }
    }

    /// A peer whose bytes still wait after this turn's reading is not judged yet: after a stall of ours, what it owed
    /// us may stand in its socket. Nobody gains time by it: a slow peer's socket is empty after one read.
    fn postpone(&mut self, index: usize, time: Duration) {
        let later = self.now() + time;
        let key = self.alarms.insert(later, index);
        self.connections[index].alarm = Some((key, later));
    }

    /// Makes sure that an alarm rings no later than the connection's next deadline. One that rings too early is set
    /// again then, which costs less than moving it with every frame.
    pub(super) fn set_alarm(&mut self, index: usize) {
        let connection = &self.connections[index];
        let deadline = match connection.phase {
            Phase::Live => connection.native.next_deadline(&self.settings),
            Phase::Parting { deadline, .. } | Phase::Lingering { deadline, .. } => Some(deadline),
        };
        let Some(deadline) = deadline else {
            return;
        };
        if let Some((key, set_for)) = connection.alarm {
            if set_for <= deadline {
                return;
            }
            self.alarms.cancel(key);
        }
        let key = self.alarms.insert(deadline, index);
        self.connections[index].alarm = Some((key, deadline));
    }
}

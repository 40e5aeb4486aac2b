//! Deadlines: of handshakes, frames, keep-alives and closings; one alarm a connection.

use super::{Lent, Reactor};
use fanwire_core::Time;
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
        if !connection.is_live() {
            return self.remove(index);
        }
        // Who runs ahead of an answer is not read until it is given, which may be now.
        let is_stuck = connection.is_postponed() && !connection.gateway.is_ahead();
        if is_stuck || !self.may_read() {
            return self.postpone(index, LONG_POSTPONEMENT);
        }
        if self.connections[index].is_ready() {
            return self.postpone(index, POSTPONEMENT);
        }
        let now = self.looked;
        let Lent { gateway, context, .. } = self.lend(index);
        match gateway.expire(&mut Context { now, ..context }) {
            // What it still has to do is whatever it was.
            Progress::Idle => self.set_alarm(index),
            progress => self.note_progressed(index, progress),
        }
    }

    /// A peer whose bytes still wait after this turn's reading is not judged yet: after a stall of ours, what it owed
    /// us may stand in its socket. Nobody gains time by it: a slow peer's socket is empty after one read.
    fn postpone(&mut self, index: usize, time: Duration) {
        self.ring_at(index, self.now() + time);
    }

    /// Makes sure that an alarm rings no later than a live connection's next deadline. One that rings too early is set
    /// again then, which costs less than moving it with every frame.
    pub(super) fn set_alarm(&mut self, index: usize) {
        let connection = &self.connections[index];
        let Some(deadline) = connection.gateway.next_deadline(&self.settings) else {
            return;
        };
        if connection.alarm.is_some_and(|alarm| self.alarms.fires_by(alarm, deadline)) {
            return;
        }
        self.clear_alarm(index);
        self.ring_at(index, deadline);
    }

    /// Sets an alarm where there is none.
    pub(super) fn ring_at(&mut self, index: usize, deadline: Time) {
        let alarm = self.alarms.insert(deadline, index);
        let before = self.connections[index].alarm.replace(alarm);
        assert!(before.is_none(), "a connection has one alarm");
    }

    /// Takes a connection's alarm back, if one is set: idle ones take no room in the wheel and wake nobody.
    pub(super) fn clear_alarm(&mut self, index: usize) {
        if let Some(alarm) = self.connections[index].alarm.take() {
            self.alarms.cancel(alarm);
        }
    }
}

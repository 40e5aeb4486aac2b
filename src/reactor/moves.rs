//! Polls between sockets: their sessions live on one reactor, to which the connection of their next request moves, and
//! one request waits for a session at a time.
//!
//! ```text
//!  a request for b's session -> Move(b) --all answers before it are written--> packed --handover--> b: reads it anew
//! ```

use super::connection::Held;
use super::{Lent, NOBODY, Reactor};
use crate::config::Config;
use fanwire_core::Time;
use fanwire_gateway::Polls;
use fanwire_gateway::poll::{Seat, Settings};
use rustix::rand::{GetRandomFlags, getrandom};

/// The polls of a reactor, with its share of what the configuration allows.
pub(super) fn polls(index: usize, config: &Config, now: Time) -> Polls {
    let count = config.reactor_count();
    let settings = Settings {
        sessions_max: config.http.poll_sessions_max.div_ceil(count) as usize,
        session_time_max: config.http.poll_session_time_max,
    };
    let number = |count: usize| u8::try_from(count).expect("there are at most 64 reactors");
    Polls::new(settings, Seat { index: number(index), count: number(count as usize) }, random_key(), now)
}

/// A key that nobody can guess.
fn random_key() -> [u8; 32] {
    let mut key = [0; 32];
    // As few bytes as this come whole or not at all.
    let filled = getrandom(&mut key, GetRandomFlags::empty()).expect("the kernel has random bytes");
    assert_eq!(filled, key.len(), "random bytes come whole");
    key
}

impl Reactor {
    /// Sessions that nobody has asked for long enough end; not while a request for one may stand in a socket unread.
    pub(super) fn expire_polls(&mut self) {
        if self.may_read() {
            self.polls.expire(self.looked, &mut self.shard);
        }
    }

    /// A request on this connection may have taken the place of others that waited: they are told so.
    pub(super) fn supersede_waits(&mut self, index: usize) {
        while let Some(session) = self.polls.take_superseded() {
            // This one's claim is noted behind this.
            let older = self.owner_of(session).filter(|older| *older != index);
            let Some(older) = older.filter(|older| self.connections[*older].is_live()) else { continue };
            let Lent { gateway, mut context, .. } = self.lend(older);
            let progress = gateway.give_way(&mut context);
            self.note_progressed(older, progress);
        }
    }

    /// Hands a connection over to the reactor that it has to move to, if it has written all that it was to write; else
    /// the flush does.
    pub(super) fn move_if_flushed(&mut self, index: usize) {
        let gateway = &self.connections[index].gateway;
        let (Some(to), Some(session)) = (gateway.destination(), gateway.session()) else { return };
        if !self.connections[index].is_live() || !self.shard.is_flushed(session) {
            return;
        }
        self.count_held(index, Held::default());
        let Lent { gateway, mut context, .. } = self.lend(index);
        gateway.pack(&mut context);
        self.attached[session.slot()] = NOBODY;
        self.connections[index].work = super::Work::Done;
        if let Err(error) = self.hand_over(index, usize::from(to), Vec::new()) {
            self.lose(index, &error);
        }
    }
}

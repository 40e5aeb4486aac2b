//! All threads of a broker before they run: reactors that know each other's doors, and the acceptor that knows all.

use super::admission::Admission;
use super::clock::Clock;
use super::control::Control;
use super::door::{self, Door, Entrance};
use super::post::Post;
use super::{Acceptor, CONTROL, Listener, Reactor};
use crate::config::Config;
use mio::Poll;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// An acceptor and its reactors, ready to run, each in a thread.
pub struct Team {
    /// Who accepts.
    pub acceptor: Acceptor,
    /// Who serves, by their numbers.
    pub reactors: Vec<Reactor>,
}

/// What a reactor owns or shares from its beginning.
pub(super) struct Seat {
    /// The reactor's number.
    pub(super) index: usize,
    pub(super) poll: Poll,
    pub(super) control: Arc<Control>,
    pub(super) entrance: Entrance,
    /// Everybody's, by number, its own included.
    pub(super) doors: Arc<[Door]>,
    /// Its ends of the mailboxes.
    pub(super) post: Post,
    /// Its shard's place among all.
    pub(super) shard: fanwire_core::Seat,
    /// Where to tell whose connections went, if that counts.
    pub(super) departures: Option<Sender<IpAddr>>,
    /// The same beginning for all.
    pub(super) clock: Clock,
    /// The same for all: shards agree on hashes.
    pub(super) seed: u64,
}

impl Team {
    /// The threads that the configuration asks for, around a socket that listens.
    pub fn assemble(config: &Config, listener: Listener, connections_max: usize) -> io::Result<Team> {
        let (admission, departures) = Admission::new(config, connections_max);
        let (clock, seed) = (Clock::start(), random_seed());
        let (mut doors, mut insides) = (Vec::new(), Vec::new());
        for _ in 0..config.reactor_count() {
            let poll = Poll::new()?;
            let control = Control::new(poll.registry(), CONTROL)?;
            let (door, entrance) = door::open(&control);
            doors.push(door);
            insides.push((poll, control, entrance));
        }
        let doors: Arc<[Door]> = doors.into();
        let places = Post::row(&doors).into_iter().zip(fanwire_core::Seat::row(doors.len()));
        let seats = insides.into_iter().zip(places).enumerate().map(|(index, (inside, (post, shard)))| {
            let (poll, control, entrance) = inside;
            let (doors, departures) = (Arc::clone(&doors), departures.clone());
            Seat { index, poll, control, entrance, doors, departures, post, shard, clock, seed }
        });
        let reactors = seats.map(|seat| Reactor::new(seat, config)).collect();
        Ok(Team { acceptor: Acceptor::new(listener, admission, doors, clock)?, reactors })
    }
}

/// A seed that peers can't guess.
fn random_seed() -> u64 {
    RandomState::new().hash_one("shard")
}

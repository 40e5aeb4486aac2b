//! All threads of a broker before they run: reactors that know each other's doors, and the acceptor that knows all.

use super::admission::Admission;
use super::clock::Clock;
use super::control::Control;
use super::door::{self, Door, Entrance};
use super::journal_mail::{self, Counter, Desk};
use super::porches::Porches;
use super::post::Post;
use super::{Acceptor, CONTROL, Listener, Reactor};
use crate::config::Config;
use fanwire_core::journal::plan::Plan;
use fanwire_gateway::stats::{Facts, Stats};
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
    /// What the journal's threads need to know of them, if there is a journal.
    pub journal: Option<JournalSeat>,
}

/// What the journal's threads own or share from their beginning.
pub struct JournalSeat {
    /// The journal thread's ends of the mailboxes.
    pub desk: Desk,
    /// The reader thread's.
    pub counter: Counter,
    /// A place in the row of shards, to see what they are interested in.
    pub shard: fanwire_core::Seat,
    /// What the shards are made with.
    pub settings: fanwire_core::Settings,
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
    /// What is journaled.
    pub(super) plan: Plan,
    /// Where everybody publishes what it counts.
    pub(super) stats: Arc<Stats>,
}

/// What a team works with.
pub struct Premises {
    /// Where everybody comes in.
    pub listener: Listener,
    /// Where operators come in, if they have an address of their own.
    pub operators: Option<Listener>,
    /// Connections at one time.
    pub connections_max: usize,
    /// Where everybody publishes what it counts.
    pub stats: Arc<Stats>,
}

impl Premises {
    /// For a broker of one address and without journals.
    pub fn new(config: &Config, listener: Listener, connections_max: usize) -> Premises {
        let reactors = config.reactor_count() as usize;
        let stats = Arc::new(Stats::new(Facts { reactors, ..Facts::default() }));
        Premises { listener, operators: None, connections_max, stats }
    }
}

impl Team {
    /// The threads that the configuration asks for, around sockets that listen.
    pub fn assemble(config: &Config, premises: Premises, plan: &Plan) -> io::Result<Team> {
        let Premises { listener, operators, connections_max, stats } = premises;
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
        let bells = Post::bells(doors.len());
        let mut posts = Post::row(&doors, &bells);
        let shards = if plan.is_empty() {
            fanwire_core::Seat::row(doors.len())
        } else {
            fanwire_core::Seat::row_with_journals(doors.len())
        };
        let settings = super::shard_settings(&config.limits_of_one_reactor(), config.reactor_count(), seed);
        let journal = (!plan.is_empty()).then(|| {
            let (ends, desk, counter) = journal_mail::open(&doors, &bells);
            posts.iter_mut().zip(ends).for_each(|(post, end)| post.connect(end));
            JournalSeat { desk, counter, shard: shards[0].clone(), settings }
        });
        let places = posts.into_iter().zip(shards);
        let seats = insides.into_iter().zip(places).enumerate().map(|(index, (inside, (post, shard)))| {
            let (poll, control, entrance) = inside;
            let (doors, departures) = (Arc::clone(&doors), departures.clone());
            let (plan, stats) = (plan.clone(), Arc::clone(&stats));
            Seat { index, poll, control, entrance, doors, departures, post, shard, clock, seed, plan, stats }
        });
        let reactors = seats.map(|seat| Reactor::new(seat, config)).collect();
        let porches = Porches::new(listener, operators);
        Ok(Team { acceptor: Acceptor::new(porches, admission, doors, clock, stats)?, reactors, journal })
    }
}

/// A seed that peers can't guess.
fn random_seed() -> u64 {
    RandomState::new().hash_one("shard")
}

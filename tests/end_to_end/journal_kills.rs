//! A broker that is killed again and again under load, and what its journal has promised.

use super::broker::Broker;
use super::journal_load::{Listener, Publisher, SHARED, audit};
use super::journal_scene::{DataDirectory, SMALL_SEGMENTS, configuration, history_of};
use super::process::eventually;
use super::reactors::amount;
use fanwire_wire::frame::{AckLevel, Outcome, Start};
use rustix::process::Signal;
use std::sync::atomic::{AtomicU64, Ordering};

/// Acknowledgements after which a broker is killed, at the most.
const ACKS_MAX: u64 = 1_200;

/// A number for this life that has nothing to do with the one before.
const fn mixed(life: u32) -> u64 {
    (life as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20
}

struct Company {
    publishers: Vec<Publisher>,
    listeners: Vec<Listener>,
}

impl Company {
    fn new() -> Company {
        let publishers = vec![
            Publisher::new(0, AckLevel::None),
            Publisher::new(1, AckLevel::Journaled),
            Publisher::new(2, AckLevel::Durable),
            Publisher::producer(3, AckLevel::Journaled),
            Publisher::producer(4, AckLevel::Durable),
        ];
        Company { publishers, listeners: vec![Listener::new("match/#"), Listener::new(SHARED)] }
    }

    /// Loads the broker until it is killed.
    fn live(&mut self, broker: Broker, life: u32) -> u64 {
        let (address, acks) = (broker.address(), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for publisher in &mut self.publishers {
                scope.spawn(|| publisher.run(address, life, &acks));
            }
            for listener in &mut self.listeners {
                scope.spawn(|| listener.follow(address, false));
            }
            let target = mixed(life) % ACKS_MAX;
            eventually("acknowledgements", || (acks.load(Ordering::Relaxed) >= target).then_some(()));
            broker.kill();
        });
        for publisher in &self.publishers {
            assert_eq!(publisher.refused, None, "nothing is refused");
        }
        acks.load(Ordering::Relaxed)
    }
}

/// Kills so many brokers of a journal with these keys, and looks at what is left.
fn kill_again_and_again(lives: u32, keys: &str) {
    let data = DataDirectory::new();
    let config = configuration(data.path(), keys);
    let (mut company, mut acks) = (Company::new(), 0);
    for life in 1..=lives {
        acks += company.live(Broker::start(&config), life);
    }
    let broker = Broker::start(&config);
    let (log, outcome, epoch) = history_of(broker.address(), Start::First, "match/#");
    assert_eq!(outcome, Outcome::History);
    audit(&log, &company.publishers, AckLevel::Routed);
    for listener in &mut company.listeners {
        listener.agrees_with(&log);
        let heard = listener.records().len();
        listener.follow(broker.address(), true);
        listener.agrees_with(&log);
        assert_eq!(listener.epoch(), epoch, "the machine went on: so does the epoch");
        let resumed = listener.outcomes.iter().all(|outcome| matches!(outcome, Outcome::History | Outcome::Resumed));
        assert!(resumed, "{:?}", listener.outcomes);
        println!("a listener heard {heard} of its {} records live or resumed", listener.records().len());
    }
    assert_eq!(company.listeners[0].records().len(), log.len(), "it was told everything");
    broker.signal(Signal::TERM);
    assert_eq!(broker.end().status.code(), Some(0));
    println!("{lives} kills, {acks} acknowledgements, {} records", log.len());
}

#[test]
fn nothing_that_was_acknowledged_is_lost_or_doubled_by_kills() {
    kill_again_and_again(amount("JOURNAL_CYCLES", 6) as u32, SMALL_SEGMENTS);
}

#[test]
fn nothing_is_lost_or_doubled_by_kills_where_only_what_is_durable_is_released() {
    kill_again_and_again(amount("JOURNAL_CYCLES", 4) as u32, &format!("{SMALL_SEGMENTS}\nsync = \"release\""));
}

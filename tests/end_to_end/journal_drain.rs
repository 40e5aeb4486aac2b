//! A broker that is told to end under load: everything that was published is answered, the journal is left clean, and
//! the next start has nothing to mend and little to read.

use super::broker::Broker;
use super::journal_load::{Listener, Publisher, audit};
use super::journal_scene::{DataDirectory, SMALL_SEGMENTS, configuration, history_of};
use super::process::eventually;
use fanwire_wire::frame::{AckLevel, Outcome, Start};
use rustix::process::Signal;
use std::sync::atomic::{AtomicU64, Ordering};

/// Acknowledgements before the signal: some segments' worth of records.
const ACKS: u64 = 4_000;

#[test]
fn a_drain_under_load_answers_everything_and_leaves_the_journal_clean() {
    let data = DataDirectory::new();
    let config = configuration(data.path(), &format!("{SMALL_SEGMENTS}\n[drain]\ndeadline = \"1s\""));
    let broker = Broker::start(&config);
    let mut publishers: Vec<Publisher> = [AckLevel::Routed, AckLevel::Journaled, AckLevel::Durable]
        .into_iter()
        .zip(0..)
        .map(|(ack, id)| Publisher::new(id, ack))
        .collect();
    let mut listener = Listener::new("match/#");
    let (address, acks) = (broker.address(), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for publisher in &mut publishers {
            scope.spawn(|| publisher.run(address, 1, &acks));
        }
        // It stays until the drain's deadline has come.
        scope.spawn(|| listener.follow(address, false));
        eventually("acknowledgements", || (acks.load(Ordering::Relaxed) >= ACKS).then_some(()));
        broker.signal(Signal::TERM);
    });
    assert!(publishers.iter().all(Publisher::knows_all), "each publish was answered before the end");
    let ended = broker.end();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.err);
    assert!(ended.err.contains("journal closed"), "{}", ended.err);
    let broker = Broker::start(&config);
    let opened = broker.wait_for_log(&["journal open", "\"journal\":\"events\""]);
    let (log, _, epoch) = history_of(broker.address(), Start::First, "match/#");
    audit(&log, &publishers, AckLevel::None);
    assert_eq!(epoch, listener.epoch());
    listener.agrees_with(&log);
    listener.follow(broker.address(), true);
    assert_eq!((listener.outcomes.last(), listener.records().len()), (Some(&Outcome::Resumed), log.len()));
    for word in ["cut", "a new epoch"] {
        assert!(!broker.log().contains(word), "{}", broker.log());
    }
    let told = |key: &str| -> u64 {
        let (_, rest) = opened.split_once(&format!("\"{key}\":")).expect("it is told");
        rest.split([',', '}']).next().and_then(|number| number.parse().ok()).expect("a number")
    };
    // What was not sealed yet when the signal came, and the segment that is open.
    let segments = std::fs::read_dir(data.events()).expect("lists").flatten();
    let segments = segments.filter(|entry| entry.path().extension().is_some_and(|kind| kind == "segment")).count();
    println!("{} records in {segments} segments; the next start: {opened}", log.len());
    assert!(segments > 8 && told("segments") <= 4, "it read {} of {segments} segments: {opened}", told("segments"));
}

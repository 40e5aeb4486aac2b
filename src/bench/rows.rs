//! The rows of the comparison: which work, how much of it, and what it is drawn as.

use super::report::Workload;
use super::trial::Trial;
use super::workloads::conns::Conns;
use super::workloads::fanout::Fanout;
use super::workloads::game::Game;
use super::workloads::isolation::Isolation;
use super::workloads::journal::Place;
use super::workloads::journal::append::Append;
use super::workloads::journal::beside::Beside;
use super::workloads::journal::cold::ColdReplay;
use super::workloads::journal::durable::Durable;
use super::workloads::journal::latency::JournaledLatency;
use super::workloads::journal::memory::TopicMemory;
use super::workloads::journal::one::DurableOne;
use super::workloads::journal::replay::Replay;
use super::workloads::latency::Latency;
use super::workloads::request::Request;
use super::workloads::topics::ManyTopics;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Connections of the rows about very many of them, and open files beside them.
const CONNECTIONS: u32 = 19_000;
const OTHER_FILES: u64 = 500;
/// How the names of rows about the journal begin, which are taken only when they are asked for.
const JOURNAL: &str = "journal";
/// How the names of rows at half of the floor's rate end.
pub(super) const HALF: &str = ", half rate";
const PAYLOAD_BYTES: usize = 64;
const BATCH: u32 = 50;
const LATENCY_RATE: f64 = 20_000.0;
const REQUEST_RATE: f64 = 5_000.0;
const TOPICS: u32 = 1_000_000;
/// Connections that share a million exact subscriptions.
const SHARING: u32 = 1_000;
/// Bytes of a history that is replayed, and of the log that is replayed cold.
const HISTORY_BYTES: u64 = 256 << 20;
const COLD_LOG_BYTES: u64 = (1 << 30) + (64 << 20);
/// Messages a second of live traffic beside a cold replay.
const COLD_RATE: f64 = 10_000.0;
/// Live messages a second beside as many journaled ones.
const BESIDE_RATE: f64 = 10_000.0;
const JOURNALED_TOPICS: u32 = 100_000;
/// Subscribers of the rows in which reactors are held against each other: deliveries that a message makes.
pub(super) const REACTOR_SUBSCRIBERS: u32 = 100;

/// A row: a name and its trial.
#[derive(Debug)]
pub struct Row {
    /// A few words.
    pub name: String,
    /// What it shows, which says how it is drawn.
    pub kind: Kind,
    /// The outcome.
    pub trial: Trial,
}

/// What a row shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Processor time a delivery at saturation; the rate beside it.
    Saturated,
    /// The same for each way into Fanwire: multiples are of the native one's.
    Web,
    /// The same at half of the floor's rate.
    Half,
    /// Latency percentiles.
    Latency,
    /// Memory against connections.
    Memory,
    /// The score alone, which means this.
    Score(&'static str),
    /// The same, where the score is a ratio already.
    Ratio(&'static str),
    /// Fanwire against itself.
    Variants,
}

impl Kind {
    /// Whether the score as a multiple of the base's tells anything. A ratio is a multiple already, and the floor keeps
    /// so little of a connection that no broker's bytes compare with it.
    pub(super) fn has_multiples(self) -> bool {
        !matches!(self, Kind::Ratio(_) | Kind::Memory)
    }
}

/// A row of Fanwire against itself: the first variant is what the others are multiples of.
pub(super) struct Variants {
    pub(super) name: &'static str,
    pub(super) title: String,
    pub(super) variants: Vec<(&'static str, Fanout)>,
}

/// The rows that are taken at saturation and at half of the floor's rate.
pub(super) fn fanouts(duration: Duration) -> Vec<(&'static str, Fanout)> {
    vec![
        ("1 -> 100", fanout(1, 100, 1, duration)),
        ("1 -> 1000", fanout(1, 1_000, 1, duration)),
        ("1 -> 1", fanout(1, 1, 1, duration)),
        ("10 -> 10 over 10 topics", fanout(10, 10, 10, duration)),
    ]
}

fn fanout(publishers: u32, subscribers: u32, topics: u32, duration: Duration) -> Fanout {
    Fanout {
        publishers,
        subscribers,
        topics,
        idle: 0,
        payload_bytes: PAYLOAD_BYTES,
        batch: BATCH,
        rate: None,
        duration,
        reactors: 1,
    }
}

/// What a row at saturation is called at half of the floor's rate.
pub(super) fn half_name(name: &str) -> String {
    format!("{name}{HALF}")
}

/// The rows that are taken once.
pub(super) fn others(duration: Duration, open_files_max: u64) -> Vec<(&'static str, Kind, Box<dyn Workload>)> {
    let (payload_bytes, reactors, connections) = (PAYLOAD_BYTES, 1, connections(open_files_max));
    let conns = |one_topic| Conns { connections, ramp: None, one_topic, rate_per_connection: None, duration, reactors };
    let latency = Latency { rate: LATENCY_RATE, subscribers: 1, payload_bytes, duration, reactors };
    let request = Request { rate: Some(REQUEST_RATE), in_flight: 100, payload_bytes, duration, reactors };
    let game = Game { rooms: 1, players: 100, hz: 20.0, payload_bytes, duration, reactors };
    let isolation = Isolation { subscribers: 100, stalled: 1, payload_bytes, batch: BATCH, duration, reactors };
    let topics = ManyTopics { topics: TOPICS, connections: SHARING, payload_bytes, batch: BATCH, duration, reactors };
    let stalled = Kind::Ratio("broker CPU for one delivery, as a multiple of that with nobody stalled: less is better");
    let many = Kind::Score("broker CPU for one delivery under a wildcard, nanoseconds: less is better");
    vec![
        ("latency at 20 000/s", Kind::Latency, Box::new(latency)),
        ("request latency at 5 000/s", Kind::Latency, Box::new(request)),
        ("game: 100 players at 20 Hz", Kind::Latency, Box::new(game)),
        ("1 of 100 stalled", stalled, Box::new(isolation)),
        ("1 million topics", many, Box::new(topics)),
        ("idle connections, own topic each", Kind::Memory, Box::new(conns(false))),
        ("idle connections, one topic", Kind::Memory, Box::new(conns(true))),
    ]
}

/// The rows about the journal.
pub(super) fn journals(duration: Duration, data: &Path) -> Vec<(&'static str, Kind, Box<dyn Workload>)> {
    let place = Place { data: data.to_owned(), reactors: 1 };
    let cpu = Kind::Score("broker CPU for one acknowledged append, nanoseconds: less is better");
    let each = Kind::Score("microseconds an acknowledged append: less is better");
    let wire = Kind::Score("microseconds a MiB on the wire: less is better");
    let more = Kind::Ratio("median latency of a journaled topic, microseconds more than a live one's: less is better");
    let beside = Kind::Ratio("reactor CPU for one live delivery, as a multiple of that without: less is better");
    let tail = Kind::Ratio("99.9th percentile of live latency, as a multiple of that without: less is better");
    let memory = Kind::Ratio("bytes of memory an idle journaled topic: less is better");
    let payload_bytes = PAYLOAD_BYTES;
    let durable = |publishers| {
        let place = place.clone();
        Box::new(Durable { publishers, window: 100, payload_bytes, duration, place })
    };
    let replay = |payload_bytes| {
        let place = place.clone();
        Box::new(Replay { payload_bytes, history_bytes: HISTORY_BYTES, duration, place })
    };
    let append = Append { publishers: 1, window: 1_000, payload_bytes, duration, place: place.clone() };
    let one = DurableOne { payload_bytes, duration, place: place.clone() };
    let latency = JournaledLatency { rate: LATENCY_RATE, payload_bytes, duration, place: place.clone() };
    let live = Beside { subscribers: 100, rate: BESIDE_RATE, payload_bytes, duration, place: place.clone() };
    let cold = ColdReplay { log_bytes: COLD_LOG_BYTES, rate: COLD_RATE, duration, place: place.clone() };
    let topics = TopicMemory { topics: JOURNALED_TOPICS, place: place.clone() };
    vec![
        ("journal append", cpu, Box::new(append)),
        ("journal durable, 1 publisher", each, durable(1)),
        ("journal durable, 4 publishers", each, durable(4)),
        ("journal durable, one at a time", Kind::Latency, Box::new(one)),
        ("journal replay, 64 bytes", wire, replay(PAYLOAD_BYTES)),
        ("journal replay, 1 KiB", wire, replay(1_024)),
        ("journal latency", more, Box::new(latency)),
        ("journal beside", beside, Box::new(live)),
        ("journal cold replay", tail, Box::new(cold)),
        ("journal memory", memory, Box::new(topics)),
    ]
}

/// The rows about the web side: each way in, held against the native one.
pub(super) fn webs(duration: Duration, open_files_max: u64) -> Vec<(&'static str, Kind, Box<dyn Workload>)> {
    let (reactors, connections) = (1, connections(open_files_max));
    let conns = |one_topic| Conns { connections, ramp: None, one_topic, rate_per_connection: None, duration, reactors };
    vec![
        ("web 1 -> 100", Kind::Web, Box::new(fanout(1, 100, 1, duration))),
        ("web 1 -> 1000", Kind::Web, Box::new(fanout(1, 1_000, 1, duration))),
        ("web idle, own topic each", Kind::Memory, Box::new(conns(false))),
        ("web idle, one topic", Kind::Memory, Box::new(conns(true))),
    ]
}

/// Whether a row is taken only when it is asked for.
pub(super) fn is_optional(name: &str) -> bool {
    name.starts_with(JOURNAL)
}

/// The rows of Fanwire against itself.
pub(super) fn variants(duration: Duration, open_files_max: u64) -> Vec<Variants> {
    let plain = fanout(1, REACTOR_SUBSCRIBERS, 1, duration);
    let idle = connections(open_files_max);
    let of = |reactors| Fanout { reactors, ..plain.clone() };
    vec![
        Variants {
            name: "idle connections beside",
            title: format!("fanwire, {}, beside {idle} idle connections and without", plain.title()),
            variants: vec![("alone", plain.clone()), ("beside idle", Fanout { idle, ..plain.clone() })],
        },
        Variants {
            name: "several reactors",
            title: format!("fanwire on one reactor and on several, {}", plain.title()),
            variants: vec![("1 reactor", of(1)), ("2 reactors", of(2)), ("4 reactors", of(4))],
        },
    ]
}

/// How many connections this process may have.
fn connections(open_files_max: u64) -> u32 {
    let most = u32::try_from(open_files_max.saturating_sub(OTHER_FILES)).unwrap_or(u32::MAX);
    CONNECTIONS.min(most).max(5)
}

/// What all rows are called.
pub(super) fn names() -> Vec<&'static str> {
    let (others, variants) = (others(Duration::ZERO, u64::MAX), variants(Duration::ZERO, u64::MAX));
    let fanouts = fanouts(Duration::ZERO);
    let journals = journals(Duration::ZERO, &PathBuf::new());
    let webs = webs(Duration::ZERO, u64::MAX);
    let others = others.iter().chain(&journals).chain(&webs);
    let names = fanouts.iter().map(|(name, _)| *name).chain(others.map(|(name, ..)| *name));
    names.chain(variants.iter().map(|row| row.name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_name_of_its_own() {
        let mut names = names();
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{names:?}");
    }

    #[test]
    fn a_machine_with_few_files_has_fewer_connections() {
        assert_eq!([20_000, 1_024, 100, u64::MAX].map(connections), [19_000, 524, 5, 19_000]);
    }
}

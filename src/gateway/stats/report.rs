//! What is counted as one JSON object: what the console asks each second (protocol.md appendix E.6).

use super::journal::{JournalFacts, JournalFigures};
use super::reactor::{Kind, ReactorFigures};
use super::{Moment, Stats, top_topics};
use serde::{Serialize, Serializer};

#[derive(Serialize)]
struct Report<'a> {
    server_name: &'a str,
    open: bool,
    draining: bool,
    time_us: u64,
    uptime_us: u64,
    connections: Connections,
    connections_max: u64,
    accepted: u64,
    refused: u64,
    subscriptions: u64,
    requests_in_flight: u64,
    messages_in: u64,
    bytes_in: u64,
    deliveries: u64,
    bytes_out: u64,
    dropped: u64,
    conflated: u64,
    closed_slow: u64,
    queue_bytes: u64,
    queue_bytes_total_max: u64,
    reactors: Vec<ReactorRow>,
    top_topics: Vec<TopicRow>,
    journals: Vec<JournalRow<'a>>,
}

#[derive(Serialize)]
struct ReactorRow {
    index: usize,
    connections: u64,
    subscriptions: u64,
    queue_bytes: u64,
    messages_in: u64,
    deliveries: u64,
    bytes_in: u64,
    bytes_out: u64,
    turns: u64,
    wakes: u64,
    busy_us: u64,
}

#[derive(Serialize)]
struct TopicRow {
    topic: String,
    subscribers: u32,
    messages: u64,
    deliveries: u64,
}

#[derive(Serialize)]
struct JournalRow<'a> {
    name: &'a str,
    filters: &'a [String],
    store: &'static str,
    state: &'static str,
    epoch: u64,
    topics: u64,
    records: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes_max: Option<u64>,
    segments: u64,
    appended: u64,
    last_position: u64,
    durable_position: u64,
    sync_last_us: u64,
    sync_max_us: u64,
}

impl Stats {
    /// The object, as text.
    pub(crate) fn report(&self, moment: &Moment<'_>) -> Vec<u8> {
        let reactors: Vec<ReactorFigures> = self.reactors.iter().map(|board| board.figures.read()).collect();
        let sum = |figure: fn(&ReactorFigures) -> u64| reactors.iter().map(figure).sum();
        let report = Report {
            server_name: moment.server_name,
            open: moment.is_open,
            draining: moment.is_draining,
            time_us: moment.wall_us,
            uptime_us: moment.now.as_micros(),
            connections: Connections::of(&reactors),
            connections_max: self.facts.connections_max,
            accepted: self.entries.accepted(),
            refused: self.entries.refused(),
            subscriptions: sum(|reactor| reactor.subscriptions),
            requests_in_flight: sum(|reactor| reactor.requests_in_flight),
            messages_in: sum(|reactor| reactor.messages_in),
            bytes_in: sum(|reactor| reactor.payload_bytes_in),
            deliveries: sum(|reactor| reactor.deliveries),
            bytes_out: sum(|reactor| reactor.sent_bytes),
            dropped: sum(|reactor| reactor.dropped.iter().sum()),
            conflated: sum(|reactor| reactor.conflated),
            closed_slow: sum(|reactor| reactor.slow_closed),
            queue_bytes: sum(|reactor| reactor.queue_bytes),
            queue_bytes_total_max: self.facts.queue_bytes_total_max,
            reactors: reactors.iter().enumerate().map(|(index, figures)| reactor_row(index, figures)).collect(),
            top_topics: self.topic_rows(moment),
            journals: self.journal_rows(),
        };
        // Names and numbers can always be written.
        let mut body = serde_json::to_vec(&report).unwrap_or_default();
        body.push(b'\n');
        body
    }

    fn topic_rows(&self, moment: &Moment<'_>) -> Vec<TopicRow> {
        let boards = self.reactors.iter().map(|board| &board.topics);
        let row = |topic: fanwire_core::tally::TopTopic| TopicRow {
            topic: topic.name,
            subscribers: topic.subscribers,
            messages: topic.messages,
            deliveries: topic.deliveries,
        };
        top_topics::busiest(boards, moment.now).into_iter().map(row).collect()
    }

    fn journal_rows(&self) -> Vec<JournalRow<'_>> {
        let journals = self.facts.journals.iter().zip(&self.journals);
        journals.map(|(facts, board)| journal_row(facts, &board.read())).collect()
    }
}

/// How many connections there are of each kind.
struct Connections([u64; Kind::ALL.len()]);

impl Connections {
    fn of(reactors: &[ReactorFigures]) -> Connections {
        let count = |place: usize| reactors.iter().filter_map(|reactor| reactor.connections.get(place)).sum();
        Connections(std::array::from_fn(count))
    }
}

impl Serialize for Connections {
    /// By their names; those that say nothing yet only if there are any.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let counts = Kind::ALL.iter().zip(self.0).filter(|(kind, count)| **kind != Kind::Opening || *count > 0);
        serializer.collect_map(counts.map(|(kind, count)| (kind.name(), count)))
    }
}

fn reactor_row(index: usize, figures: &ReactorFigures) -> ReactorRow {
    ReactorRow {
        index,
        connections: figures.connections.iter().sum(),
        subscriptions: figures.subscriptions,
        queue_bytes: figures.queue_bytes,
        messages_in: figures.messages_in,
        deliveries: figures.deliveries,
        bytes_in: figures.payload_bytes_in,
        bytes_out: figures.sent_bytes,
        turns: figures.turns,
        wakes: figures.wakes,
        busy_us: figures.busy_us,
    }
}

fn journal_row<'a>(facts: &'a JournalFacts, figures: &JournalFigures) -> JournalRow<'a> {
    JournalRow {
        name: &facts.name,
        filters: &facts.filters,
        store: if facts.is_volatile { "memory" } else { "disk" },
        state: figures.state().name(),
        epoch: figures.epoch,
        topics: figures.topics,
        records: figures.records,
        bytes: figures.bytes,
        bytes_max: facts.bytes_max,
        segments: figures.segments,
        appended: figures.appended,
        last_position: figures.last_position,
        durable_position: figures.durable_position,
        sync_last_us: figures.sync_last_us,
        sync_max_us: figures.sync_max_us,
    }
}

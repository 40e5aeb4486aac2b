//! What is counted in Prometheus' text format 0.0.4.
//!
//! The format is three kinds of lines, and all figures are read from boards at once: a crate for it would bring
//! registries and locks of its own for counters that nobody here would ever touch. A parser that others wrote reads
//! this in the tests.
//!
//! Values of labels are bounded: reactors, journals, and words that the broker itself has chosen. Nothing that a peer
//! sent stands here. Names of journals need no escaping: they are letters and digits.

use super::board::Published;
use super::journal::{JournalFigures, JournalState, SYNC_BOUNDS_US};
use super::reactor::{Kind, ReactorFigures};
use super::{Moment, Stats};
use fanwire_wire::frame::Policy;
use std::fmt::{Arguments, Display, Write};

/// A figure of each reactor: name, whether it only grows, what it is, where it stands.
type ReactorFamily = (&'static str, Type, &'static str, fn(&ReactorFigures) -> u64);
/// The same of each journal.
type JournalFamily = (&'static str, Type, &'static str, fn(&JournalFigures) -> u64);

const REACTOR_FAMILIES: &[ReactorFamily] = &[
    ("subscriptions", Type::Gauge, "Subscriptions.", |reactor| reactor.subscriptions),
    ("requests_in_flight", Type::Gauge, "Requests without an answer yet.", |reactor| reactor.requests_in_flight),
    ("topics", Type::Gauge, "Topics that are known.", |reactor| reactor.topics),
    ("queue_bytes", Type::Gauge, "Bytes that wait for connections.", |reactor| reactor.queue_bytes),
    ("received_bytes_total", Type::Counter, "Bytes read from sockets.", |reactor| reactor.received_bytes),
    ("sent_bytes_total", Type::Counter, "Bytes written to sockets.", |reactor| reactor.sent_bytes),
    ("messages_in_total", Type::Counter, "Messages published.", |reactor| reactor.messages_in),
    ("payload_bytes_in_total", Type::Counter, "Payload bytes published.", |reactor| reactor.payload_bytes_in),
    ("deliveries_total", Type::Counter, "Messages put into out-queues.", |reactor| reactor.deliveries),
    ("conflated_total", Type::Counter, "Messages replaced by newer ones of their topic.", |reactor| reactor.conflated),
    (
        "fallen_back_total",
        Type::Counter,
        "Subscriptions that went on from their journal for not keeping up.",
        |reactor| reactor.fallen_back,
    ),
    ("commands_refused_total", Type::Counter, "Commands refused, the connection living on.", |reactor| reactor.refused),
    ("requests_total", Type::Counter, "Requests.", |reactor| reactor.requests),
    ("requests_failed_total", Type::Counter, "Requests that ended without a reply.", |reactor| reactor.requests_failed),
    ("slow_closed_total", Type::Counter, "Connections closed for not reading.", |reactor| reactor.slow_closed),
    ("sockets_lost_total", Type::Counter, "Sockets that broke.", |reactor| reactor.lost),
    ("mailed_out_total", Type::Counter, "Messages mailed to other reactors.", |reactor| reactor.mailed_out),
    ("mailed_in_total", Type::Counter, "Messages that came from other reactors.", |reactor| reactor.mailed_in),
    ("postponed_total", Type::Counter, "Commands that had to wait for room on their way.", |reactor| reactor.postponed),
    ("turns_total", Type::Counter, "Turns.", |reactor| reactor.turns),
    ("wakes_total", Type::Counter, "Times that another thread woke the reactor.", |reactor| reactor.wakes),
    ("socket_reads_total", Type::Counter, "Calls that read from sockets.", |reactor| reactor.reads),
    ("socket_writes_total", Type::Counter, "Calls that wrote to sockets.", |reactor| reactor.writes),
];

const JOURNAL_FAMILIES: &[JournalFamily] = &[
    ("journal_epoch", Type::Gauge, "The epoch of new records.", |journal| journal.epoch),
    ("journal_topics", Type::Gauge, "Topics of the journal.", |journal| journal.topics),
    ("journal_records", Type::Gauge, "Positions from the first that is kept to the last.", |journal| journal.records),
    ("journal_bytes", Type::Gauge, "Bytes of the journal's segments.", |journal| journal.bytes),
    ("journal_segments", Type::Gauge, "Segments.", |journal| journal.segments),
    ("journal_last_position", Type::Gauge, "The last record's position.", |journal| journal.last_position),
    ("journal_durable_position", Type::Gauge, "The last synced record's position.", |journal| journal.durable_position),
    ("journal_appended_total", Type::Counter, "Records appended.", |journal| journal.appended),
    ("journal_sync_failures_total", Type::Counter, "Syncs that failed.", |journal| journal.sync_failures),
];

/// What a figure is.
#[derive(Debug, Clone, Copy)]
enum Type {
    Gauge,
    Counter,
    Histogram,
}

/// The text in the making.
struct Exposition {
    text: String,
    /// The figure whose lines follow.
    name: &'static str,
}

impl Exposition {
    fn begin(&mut self, name: &'static str, kind: Type, help: &str) {
        let kind = match kind {
            Type::Gauge => "gauge",
            Type::Counter => "counter",
            Type::Histogram => "histogram",
        };
        self.name = name;
        self.write(format_args!("# HELP fanwire_{name} {help}\n# TYPE fanwire_{name} {kind}\n"));
    }

    fn value(&mut self, value: impl Display) {
        let name = self.name;
        self.write(format_args!("fanwire_{name} {value}\n"));
    }

    fn labelled(&mut self, labels: Arguments<'_>, value: impl Display) {
        let name = self.name;
        self.write(format_args!("fanwire_{name}{{{labels}}} {value}\n"));
    }

    /// The same, of a part of the figure.
    fn part(&mut self, part: &str, labels: Arguments<'_>, value: impl Display) {
        let name = self.name;
        self.write(format_args!("fanwire_{name}_{part}{{{labels}}} {value}\n"));
    }

    fn write(&mut self, arguments: Arguments<'_>) {
        // Writing to a string can't fail.
        let _ = self.text.write_fmt(arguments);
    }
}

/// Microseconds as seconds.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

impl Stats {
    /// The text.
    pub(crate) fn exposition(&self, moment: &Moment<'_>) -> String {
        let mut out = Exposition { text: String::with_capacity(16 * 1024), name: "" };
        self.expose_broker(moment, &mut out);
        self.expose_reactors(&mut out);
        self.expose_journals(&mut out);
        out.text
    }

    fn expose_broker(&self, moment: &Moment<'_>, out: &mut Exposition) {
        out.begin("build_info", Type::Gauge, "Always 1; the label tells the version.");
        out.labelled(format_args!("version=\"{}\"", env!("CARGO_PKG_VERSION")), 1);
        out.begin("uptime_seconds", Type::Gauge, "Time since the start.");
        out.value(Seconds(moment.now.as_micros()));
        out.begin("draining", Type::Gauge, "Whether the broker goes down.");
        out.value(u8::from(moment.is_draining));
        out.begin("connections_max", Type::Gauge, "Connections at one time at the most.");
        out.value(self.facts.connections_max);
        out.begin("queue_bytes_max", Type::Gauge, "Bytes that may wait for all connections.");
        out.value(self.facts.queue_bytes_total_max);
        out.begin("connections_accepted_total", Type::Counter, "Connections taken in.");
        out.value(self.entries.accepted());
        out.begin("connections_refused_total", Type::Counter, "Connections turned away at the door.");
        out.value(self.entries.refused());
    }

    fn expose_reactors(&self, out: &mut Exposition) {
        let reactors: Vec<ReactorFigures> = self.reactors.iter().map(|board| board.figures.read()).collect();
        let reactors = || reactors.iter().enumerate();
        out.begin("connections", Type::Gauge, "Connections by what they speak.");
        for (index, reactor) in reactors() {
            for (kind, count) in Kind::ALL.iter().zip(reactor.connections) {
                out.labelled(format_args!("reactor=\"{index}\",protocol=\"{}\"", kind.name()), count);
            }
        }
        out.begin("dropped_total", Type::Counter, "Messages lost to full queues, by the policy that lost them.");
        for (index, reactor) in reactors() {
            for (policy, count) in Policy::ALL.iter().zip(reactor.dropped) {
                out.labelled(format_args!("reactor=\"{index}\",policy=\"{}\"", name_of(*policy)), count);
            }
        }
        out.begin("connections_closed_total", Type::Counter, "Connections closed with a code, by that.");
        for (index, board) in self.reactors.iter().enumerate() {
            for (code, count) in board.closed() {
                out.labelled(format_args!("reactor=\"{index}\",code=\"{}\"", code.name()), count);
            }
        }
        out.begin("busy_seconds_total", Type::Counter, "Time that the reactor did not wait for events.");
        for (index, reactor) in reactors() {
            out.labelled(format_args!("reactor=\"{index}\""), Seconds(reactor.busy_us));
        }
        for (name, kind, help, figure) in REACTOR_FAMILIES {
            out.begin(name, *kind, help);
            for (index, reactor) in reactors() {
                out.labelled(format_args!("reactor=\"{index}\""), figure(reactor));
            }
        }
    }

    fn expose_journals(&self, out: &mut Exposition) {
        let names = self.facts.journals.iter().map(|facts| facts.name.as_str());
        let journals: Vec<(&str, JournalFigures)> = names.zip(self.journals.iter().map(Published::read)).collect();
        if journals.is_empty() {
            return;
        }
        out.begin("journal_state", Type::Gauge, "1 for the state that the journal is in.");
        for (name, figures) in &journals {
            for state in JournalState::ALL {
                let is_in = u8::from(figures.state() == state);
                out.labelled(format_args!("journal=\"{name}\",state=\"{}\"", state.name()), is_in);
            }
        }
        for (name, kind, help, figure) in JOURNAL_FAMILIES {
            out.begin(name, *kind, help);
            for (journal, figures) in &journals {
                out.labelled(format_args!("journal=\"{journal}\""), figure(figures));
            }
        }
        out.begin("journal_sync_seconds", Type::Histogram, "How long syncs took.");
        journals.iter().for_each(|(name, figures)| expose_syncs(name, figures, out));
    }
}

fn expose_syncs(journal: &str, figures: &JournalFigures, out: &mut Exposition) {
    let mut count = 0;
    for (bound_us, class) in SYNC_BOUNDS_US.iter().zip(figures.syncs) {
        count += class;
        out.part("bucket", format_args!("journal=\"{journal}\",le=\"{}\"", *bound_us as f64 / 1e6), count);
    }
    let all: u64 = figures.syncs.iter().sum();
    out.part("bucket", format_args!("journal=\"{journal}\",le=\"+Inf\""), all);
    out.part("sum", format_args!("journal=\"{journal}\""), Seconds(figures.sync_sum_us));
    out.part("count", format_args!("journal=\"{journal}\""), all);
}

const fn name_of(policy: Policy) -> &'static str {
    match policy {
        Policy::Disconnect => "disconnect",
        Policy::DropOldest => "drop-oldest",
        Policy::DropNewest => "drop-newest",
        Policy::Conflate => "conflate",
        Policy::CatchUp => "catch-up",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Facts, JournalFacts, SyncTimes};
    use super::*;
    use fanwire_core::Time;
    use fanwire_wire::Code;
    use std::collections::HashSet;
    use std::time::Duration;

    fn stats() -> Stats {
        let journal = |name: &str, is_refused| JournalFacts {
            name: name.to_owned(),
            filters: vec![format!("{name}/#")],
            is_volatile: false,
            bytes_max: None,
            is_refused,
        };
        Stats::new(Facts {
            reactors: 2,
            connections_max: 100,
            queue_bytes_total_max: 1 << 20,
            journals: vec![journal("events", false), journal("lost", true)],
        })
    }

    fn moment() -> Moment<'static> {
        Moment {
            server_name: "fanwire/1",
            is_open: true,
            is_draining: false,
            wall_us: 7,
            now: Time::from_micros(1_500_000),
        }
    }

    #[test]
    fn every_figure_is_told_once_with_its_type_before_its_lines() {
        let stats = stats();
        let mut figures = ReactorFigures { deliveries: 5, busy_us: 1_250_000, ..ReactorFigures::default() };
        figures.connections[Kind::Sse as usize] = 3;
        figures.dropped[Policy::DropOldest as usize] = 9;
        stats.publish_reactor(1, &figures);
        stats.note_closed(1, Code::SlowConsumer);
        let mut times = SyncTimes::default();
        times.note(Duration::from_micros(300), true);
        times.note(Duration::from_secs(60), true);
        stats.publish_journal(0, &times.onto(JournalFigures { appended: 4, ..JournalFigures::default() }));
        let text = stats.exposition(&moment());
        for line in [
            "fanwire_uptime_seconds 1.500000",
            "fanwire_deliveries_total{reactor=\"0\"} 0",
            "fanwire_deliveries_total{reactor=\"1\"} 5",
            "fanwire_busy_seconds_total{reactor=\"1\"} 1.250000",
            "fanwire_connections{reactor=\"1\",protocol=\"sse\"} 3",
            "fanwire_dropped_total{reactor=\"1\",policy=\"drop-oldest\"} 9",
            "fanwire_connections_closed_total{reactor=\"1\",code=\"SLOW_CONSUMER\"} 1",
            "fanwire_journal_appended_total{journal=\"events\"} 4",
            "fanwire_journal_state{journal=\"events\",state=\"open\"} 1",
            "fanwire_journal_state{journal=\"lost\",state=\"failed\"} 1",
            "fanwire_journal_sync_seconds_bucket{journal=\"events\",le=\"0.00025\"} 0",
            "fanwire_journal_sync_seconds_bucket{journal=\"events\",le=\"0.0005\"} 1",
            "fanwire_journal_sync_seconds_bucket{journal=\"events\",le=\"5\"} 1",
            "fanwire_journal_sync_seconds_bucket{journal=\"events\",le=\"+Inf\"} 2",
            "fanwire_journal_sync_seconds_sum{journal=\"events\"} 60.000300",
            "fanwire_journal_sync_seconds_count{journal=\"events\"} 2",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        let mut told = HashSet::new();
        let mut last = "";
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                last = rest.split(' ').next().unwrap();
                assert!(told.insert(last), "{last} stands twice");
            }
            assert!(line.starts_with('#') || line.starts_with(last), "{line} stands under {last}");
        }
        assert!(text.ends_with('\n'));
    }

    #[test]
    fn a_journal_that_could_not_be_opened_has_failed_and_is_named() {
        let stats = stats();
        assert_eq!(stats.failed_journals(), ["lost"]);
        stats.publish_journal(0, &JournalFigures { state: JournalState::Failed as u64, ..JournalFigures::default() });
        assert_eq!(stats.failed_journals(), ["events", "lost"]);
    }

    #[test]
    fn the_report_adds_up_what_reactors_count() {
        let stats = stats();
        for reactor in 0..2 {
            let mut figures = ReactorFigures { subscriptions: 2, sent_bytes: 10, ..ReactorFigures::default() };
            figures.connections[Kind::Native as usize] = 4;
            figures.dropped = [1; Policy::ALL.len()];
            stats.publish_reactor(reactor, &figures);
        }
        let report: serde_json::Value = serde_json::from_slice(&stats.report(&moment())).unwrap();
        assert_eq!(report["subscriptions"], 4);
        assert_eq!(report["bytes_out"], 20);
        assert_eq!(report["dropped"], 10);
        assert_eq!(report["connections"]["native"], 8);
        assert!(report["connections"]["opening"].is_null());
        assert_eq!((&report["uptime_us"], &report["time_us"]), (&1_500_000.into(), &7.into()));
        assert_eq!(report["reactors"][1]["index"], 1);
        assert_eq!(report["journals"][1]["state"], "failed");
        assert!(report["journals"][0]["bytes_max"].is_null());
    }
}

//! What a run has shown.

use super::adapter::Target;
use super::calls::Calls;
use super::histogram::{Latencies, PERCENTILES, microseconds};
use super::sequence::Faults;
use serde_json::{Value, json};
use std::fmt;

/// A generator that waits less than this share of the time was busy all the time.
const IDLE_SHARE_MIN: f64 = 0.03;
/// A broker that uses more of a core than this was busy all the time.
const BUSY_CORES: f64 = 0.9;
/// An open-loop run that reaches less of its rate did not reach it.
const RATE_REACHED: f64 = 0.98;

/// The numbers of one run.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Whose.
    pub target: Target,
    /// How long was measured.
    pub seconds: f64,
    /// Messages sent while measured.
    pub published: u64,
    /// Messages that those should have brought, to all subscribers together.
    pub due: u64,
    /// Messages that arrived while measured.
    pub deliveries: u64,
    /// Reads of the generator that brought something.
    pub reads: u64,
    /// Bytes that it read.
    pub read_bytes: u64,
    /// The broker's processor time; `None` where its process can't be looked at.
    pub broker_cpu_ns: Option<u64>,
    /// Memory of the broker at the end.
    pub resident_bytes: Option<u64>,
    /// System calls of the broker under the same load, in a run of its own; `None` where nobody may count them.
    pub calls: Option<Calls>,
    /// The most memory that the broker has occupied so far.
    pub peak_bytes: Option<u64>,
    /// The generator's processor time.
    pub generator_cpu_ns: u64,
    /// The share of the time in which the generator waited for something to do.
    pub idle_share: f64,
    /// Messages a second that were asked for; `None` at saturation.
    pub rate_asked: Option<f64>,
    /// How punctual an open-loop run was.
    pub punctuality: Punctuality,
    /// What went wrong, up to the end and with everything drained.
    pub faults: Faults,
    /// Connections that the broker closed.
    pub closed: u64,
    /// From when a message was due until it was heard.
    pub latencies: Latencies,
}

/// How punctual the messages of an open loop left; all zero at saturation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Punctuality {
    /// Messages that were due while it was measured.
    pub due: u64,
    /// Those of them that were sent only after it: a window or the machine held them back.
    pub sent_late: u64,
    /// Those that could not be sent at all, and count with the time that they had waited in vain.
    pub unsent: u64,
}

/// What a reader should know before believing a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// How much it spoils.
    pub weight: Weight,
    /// Whose run it is about; `None` where it is about all of them.
    pub target: Option<Target>,
    /// What.
    pub what: String,
}

/// How much a warning spoils.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Nothing; it explains something.
    Noted,
    /// The number may be that of the generator or of the machine.
    Doubtful,
    /// The broker has not done the work.
    Failed,
}

impl Warning {
    /// One that explains something.
    pub fn noted(what: impl Into<String>) -> Warning {
        Warning { weight: Weight::Noted, target: None, what: what.into() }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target {
            Some(target) => write!(formatter, "{}: {}", target.name(), self.what),
            None => formatter.write_str(&self.what),
        }
    }
}

impl Measured {
    /// The primary score: the broker's processor time for one delivery; `None` without any.
    pub fn ns_per_delivery(&self) -> Option<f64> {
        Some(self.broker_cpu_ns? as f64 / self.deliveries as f64).filter(|_| self.deliveries > 0)
    }

    /// Deliveries a second.
    pub fn deliveries_per_second(&self) -> f64 {
        self.deliveries as f64 / self.seconds
    }

    /// Messages a second that were sent.
    pub fn published_per_second(&self) -> f64 {
        self.published as f64 / self.seconds
    }

    /// Messages that one write of the broker carried, where its calls could be counted.
    pub fn messages_per_write(&self) -> Option<f64> {
        self.calls.map(Calls::messages_per_write)
    }

    /// Messages that one read of the generator brought, which is what one write of the broker carried or more.
    pub fn messages_per_read(&self) -> f64 {
        self.deliveries as f64 / (self.reads as f64).max(1.0)
    }

    /// Cores that the broker kept busy.
    pub fn broker_cores(&self) -> Option<f64> {
        Some(self.broker_cpu_ns? as f64 / 1e9 / self.seconds)
    }

    /// Cores that the generator kept busy.
    pub fn generator_cores(&self) -> f64 {
        self.generator_cpu_ns as f64 / 1e9 / self.seconds
    }

    /// Whether the generator never waited while the broker did: then the rate is the generator's, not the broker's.
    pub fn is_generator_bound(&self) -> bool {
        let broker_had_time = self.broker_cores().is_none_or(|cores| cores < BUSY_CORES);
        self.idle_share < IDLE_SHARE_MIN && broker_had_time
    }

    /// Whether an open-loop run reached the rate that it was asked for.
    pub fn has_reached_rate(&self) -> bool {
        self.rate_asked.is_none_or(|asked| self.published_per_second() >= asked * RATE_REACHED)
    }

    /// Whether the broker delivered at the rate of an open-loop run, and did not fall further and further behind.
    pub fn has_kept_up(&self) -> bool {
        self.rate_asked.is_none() || self.deliveries as f64 >= self.due as f64 * RATE_REACHED
    }

    /// What a reader should know before believing the numbers; empty when there is nothing.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let mut warn = |weight, what: String| warnings.push(Warning { weight, target: Some(self.target), what });
        if self.is_generator_bound() {
            let cores = self.generator_cores();
            warn(Weight::Doubtful, format!("the generator was the bottleneck ({cores:.2} cores, never idle)"));
        }
        if self.deliveries == 0 {
            warn(Weight::Failed, "nothing arrived while it was measured".to_owned());
        }
        if !self.has_reached_rate() {
            let (reached, asked) = (self.published_per_second(), self.rate_asked.unwrap_or(0.0));
            let text = format!(
                "{reached:.0} of {asked:.0} messages a second were sent: too high a rate, or other work on this machine"
            );
            warn(Weight::Doubtful, text);
        }
        let Punctuality { due, sent_late, unsent } = self.punctuality;
        if unsent > 0 {
            let late = sent_late + unsent;
            let text = format!(
                "{late} of {due} messages left later than what was measured, {unsent} of them never: their latencies \
                 are longer than told"
            );
            warn(Weight::Doubtful, text);
        }
        if !self.has_kept_up() {
            // A generator that is never idle reads too late what the broker may have written in time.
            let weight = if self.is_generator_bound() { Weight::Doubtful } else { Weight::Failed };
            let (arrived, due) = (self.deliveries, self.due);
            warn(weight, format!("fell behind the rate: {arrived} of {due} deliveries came while measured"));
        }
        if !self.faults.is_clean() {
            let Faults { lost, duplicated, disordered, strayed } = self.faults;
            let text =
                format!("{lost} messages lost, {duplicated} duplicated, {disordered} out of order, {strayed} strayed");
            warn(Weight::Failed, text);
        }
        if self.closed > 0 {
            // Only of those that do not read: any other connection that is closed ends the run.
            warn(Weight::Noted, format!("{} connections were closed by the broker", self.closed));
        }
        warnings
    }

    /// Everything, for machines.
    pub fn json(&self) -> Value {
        // At saturation the window decides when a message leaves, and so how long it takes.
        let latency = if self.rate_asked.is_some() { "latency_us" } else { "closed_loop_latency_us" };
        json!({
            "target": self.target.name(),
            "seconds": self.seconds,
            "published": self.published,
            "due": self.due,
            "deliveries": self.deliveries,
            "deliveries_per_second": self.deliveries_per_second(),
            "ns_per_delivery": self.ns_per_delivery(),
            "messages_per_read": self.messages_per_read(),
            "read_bytes": self.read_bytes,
            "broker_cores": self.broker_cores(),
            "broker_resident_bytes": self.resident_bytes,
            "broker_peak_bytes": self.peak_bytes,
            "messages_per_write": self.messages_per_write(),
            "broker_calls": self.calls.map(|Calls { writes, reads, polls, deliveries, .. }| {
                json!({"write": writes, "read": reads, "poll": polls, "deliveries": deliveries})
            }),
            "generator_cores": self.generator_cores(),
            "generator_idle_share": self.idle_share,
            "generator_bound": self.is_generator_bound(),
            "rate_asked": self.rate_asked,
            "rate_reached": self.has_reached_rate(),
            "kept_up": self.has_kept_up(),
            "due_while_measured": self.punctuality.due,
            "sent_late": self.punctuality.sent_late,
            "unsent": self.punctuality.unsent,
            "lost": self.faults.lost,
            "duplicated": self.faults.duplicated,
            "disordered": self.faults.disordered,
            "strayed": self.faults.strayed,
            "closed": self.closed,
            latency: latencies_json(&self.latencies),
        })
    }
}

/// The percentiles, for machines; in microseconds.
pub fn latencies_json(latencies: &Latencies) -> Value {
    let mut object = serde_json::Map::new();
    object.insert("count".to_owned(), latencies.count().into());
    for (name, percentile) in PERCENTILES {
        object.insert(name.to_owned(), microseconds(latencies.at_ns(percentile)).into());
    }
    object.insert("max".to_owned(), microseconds(latencies.max_ns()).into());
    Value::Object(object)
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;

    /// One second of a broker that was busy half the time.
    pub(crate) fn second() -> Measured {
        Measured {
            target: Target::Fanwire,
            seconds: 1.0,
            published: 1_000,
            due: 100_000,
            deliveries: 100_000,
            reads: 5_000,
            read_bytes: 7_000_000,
            broker_cpu_ns: Some(500_000_000),
            resident_bytes: Some(8 << 20),
            peak_bytes: Some(9 << 20),
            calls: None,
            generator_cpu_ns: 400_000_000,
            idle_share: 0.6,
            rate_asked: Some(1_000.0),
            punctuality: Punctuality::default(),
            faults: Faults::default(),
            closed: 0,
            latencies: Latencies::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::second;
    use super::*;

    #[test]
    fn the_score_is_processor_time_a_delivery() {
        let measured = second();
        assert_eq!(measured.ns_per_delivery(), Some(5_000.0));
        assert_eq!(measured.messages_per_read(), 20.0);
        assert_eq!(measured.broker_cores(), Some(0.5));
        assert!(measured.warnings().is_empty(), "{:?}", measured.warnings());
        let closed = Measured { rate_asked: None, ..second() }.json();
        assert!(closed["latency_us"].is_null() && closed["closed_loop_latency_us"].is_object());
        assert_eq!(
            (&measured.json()["ns_per_delivery"], measured.json()["latency_us"].is_object()),
            (&5_000.0.into(), true)
        );
    }

    #[test]
    fn what_spoils_a_number_is_told() {
        let first = |measured: Measured| {
            let warning = measured.warnings().into_iter().next().expect("something to tell");
            (warning.weight, warning.to_string())
        };
        let (weight, text) = first(Measured { idle_share: 0.0, ..second() });
        assert!(weight == Weight::Doubtful && text.starts_with("fanwire: the generator was the bottleneck"), "{text}");
        let both_busy = Measured { idle_share: 0.0, broker_cpu_ns: Some(990_000_000), ..second() };
        assert!(both_busy.warnings().is_empty());
        let (weight, text) = first(Measured { published: 900, ..second() });
        assert!(weight == Weight::Doubtful && text.contains("too high a rate"), "{text}");
        let behind = Measured { deliveries: 90_000, ..second() };
        let (weight, text) = first(behind.clone());
        assert!(weight == Weight::Failed && text.contains("fell behind"), "{text}");
        let unread = Measured { idle_share: 0.0, ..behind };
        assert!(unread.warnings().iter().all(|warning| warning.weight == Weight::Doubtful));
        let silent = Measured { deliveries: 0, ..second() };
        assert_eq!(silent.ns_per_delivery(), None);
        let (weight, text) = first(silent);
        assert!(weight == Weight::Failed && text.contains("nothing arrived"), "{text}");
        let (weight, text) =
            first(Measured { punctuality: Punctuality { due: 9, sent_late: 2, unsent: 1 }, ..second() });
        assert!(weight == Weight::Doubtful && text.contains("3 of 9 messages left later"), "{text}");
        let (weight, text) = first(Measured { faults: Faults { lost: 3, ..Faults::default() }, ..second() });
        assert!(weight == Weight::Failed && text.contains("3 messages lost"), "{text}");
        let (weight, text) = first(Measured { closed: 1, ..second() });
        assert!(weight == Weight::Noted && text.contains("closed by the broker"), "{text}");
    }
}

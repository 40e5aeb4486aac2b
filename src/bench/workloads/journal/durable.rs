//! Appends that survive the machine: how close a broker comes to a loop that does nothing but write and sync.
//!
//! Timed first; then the broker's syncs are counted in a run of its own, where perf may look. Whoever acknowledges more
//! between two syncs than could be on its way has not waited for them.

use super::{ALL, APPENDED_BYTES_MAX, Place, append, grounded, without_mqtt};
use crate::bench::adapter::{Level, Target};
use crate::bench::appender::{Appender, Plan};
use crate::bench::brokers::{Broker, Setup};
use crate::bench::calls::Counter;
use crate::bench::error::BenchError;
use crate::bench::floors::{Looped, RECORD_HEAD_BYTES, Way, syncs};
use crate::bench::measured::{Warning, Weight};
use crate::bench::report::{Report, Workload, latency_us, or_nan};
use crate::bench::storage::Syncing;
use crate::bench::table::counted;
use crate::bench::workloads::WARM_UP;
use serde_json::json;
use std::time::{Duration, Instant};

/// Syncs that the counting may miss at its ends.
const SYNCS_MISSED_MAX: f64 = 3.0;
/// Said where syncs were to be counted and could not be.
const UNCOUNTED: &str = "syncs are unknown: they are counted by perf, as root";

/// The workload.
#[derive(Debug, Clone)]
pub struct Durable {
    /// Connections, a topic each.
    pub publishers: u32,
    /// Appends that each may have on their way.
    pub window: u32,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// How long each part is measured.
    pub duration: Duration,
    /// Where.
    pub place: Place,
}

/// Syncs of a broker, and what was acknowledged meanwhile.
struct Counted {
    per_second: f64,
    acknowledged_each: f64,
    /// More than was on its way.
    too_many: bool,
}

impl Durable {
    /// Appends that can be on their way at one time.
    fn on_their_way(&self) -> u32 {
        self.publishers * self.window
    }

    fn floor(&self, broker: &Broker) -> Result<Report, BenchError> {
        let on_their_way = self.on_their_way();
        let batch_bytes = on_their_way as usize * (self.payload_bytes + RECORD_HEAD_BYTES);
        let looped: Looped = syncs(broker.ground(), Way::Pwrite, batch_bytes, self.duration)?;
        let acknowledged = looped.per_second() * f64::from(on_their_way);
        let figures = vec![
            ("us/ack", 1e6 / acknowledged),
            ("acks/s", acknowledged),
            ("syncs/s", looped.per_second()),
            ("acks/sync", on_their_way.into()),
            ("closed-loop p50 us", latency_us(&looped.latencies, 50.0)),
            ("ns/ack", looped.cpu_ns_each() / f64::from(on_their_way)),
        ];
        let json = json!({"target": "floor", "syncs": looped.count, "seconds": looped.seconds});
        Ok(Report { target: Target::Floor, figures, warnings: Vec::new(), latencies: None, memory: Vec::new(), json })
    }

    fn counted(&self, broker: &Broker, appender: &mut Appender) -> Result<Option<Counted>, BenchError> {
        let Some(counter) = broker.process.and_then(Counter::attach_to_syncs) else { return Ok(None) };
        let begin = Instant::now();
        let appended = appender.append_for(self.duration)?;
        let (seconds, Some(calls)) = (begin.elapsed().as_secs_f64(), counter.finish()) else { return Ok(None) };
        let (syncs, acknowledged) = (calls.syncs as f64, appended.acknowledged as f64);
        Ok(Some(Counted {
            per_second: syncs / seconds,
            acknowledged_each: acknowledged / syncs,
            too_many: acknowledged > (syncs + SYNCS_MISSED_MAX) * f64::from(self.on_their_way()),
        }))
    }
}

impl Workload for Durable {
    fn title(&self) -> String {
        let Durable { publishers, window, payload_bytes, .. } = self;
        format!(
            "{}, {payload_bytes} bytes, at most {window} each not acknowledged: \"durable\", which \
             survives the machine; the floor writes as many and syncs, on and on",
            counted(*publishers, "publisher"),
        )
    }

    fn setup(&self) -> Setup {
        self.place.setup(ALL, Syncing::Always, APPENDED_BYTES_MAX)
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        without_mqtt(target)
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        if broker.target == Target::Floor {
            return Ok(grounded(broker, self.floor(broker)?));
        }
        let plan = Plan {
            publishers: self.publishers,
            window: self.window.into(),
            topics: 0..self.publishers,
            payload_bytes: self.payload_bytes,
            level: Level::Durable,
            space_bytes: APPENDED_BYTES_MAX,
        };
        let mut appender = Appender::connect(broker, plan)?;
        appender.append_for(WARM_UP.min(self.duration))?;
        let appended = appender.append_for(self.duration)?;
        let counted = self.counted(broker, &mut appender)?;
        let acknowledged = appended.acknowledged as f64;
        let figures = vec![
            ("us/ack", appended.seconds * 1e6 / acknowledged),
            ("acks/s", acknowledged / appended.seconds),
            ("syncs/s", or_nan(counted.as_ref().map(|counted| counted.per_second))),
            ("acks/sync", or_nan(counted.as_ref().map(|counted| counted.acknowledged_each))),
            ("closed-loop p50 us", latency_us(&appended.latencies, 50.0)),
            ("ns/ack", or_nan(appended.broker_cpu_ns.map(|cpu_ns| cpu_ns as f64 / acknowledged))),
        ];
        let json = json!({
            "target": broker.target.name(),
            "acknowledged": appended.acknowledged,
            "seconds": appended.seconds,
            "syncs_per_second": counted.as_ref().map(|counted| counted.per_second),
        });
        let target = broker.target;
        let mut warnings = append::warnings(target, &appended);
        match counted {
            None => warnings.push(Warning::noted(UNCOUNTED)),
            Some(Counted { too_many: true, acknowledged_each, .. }) => {
                let what = format!("{acknowledged_each:.0} were acknowledged between two syncs: some before theirs");
                warnings.push(Warning { weight: Weight::Failed, target: Some(target), what });
            }
            Some(_) => {}
        }
        let report = Report { target, figures, warnings, latencies: None, memory: Vec::new(), json };
        Ok(grounded(broker, report))
    }
}

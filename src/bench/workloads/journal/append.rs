//! Appends that survive the broker's process: what each costs it.

use super::{ALL, APPENDED_BYTES_MAX, Place, grounded, without_mqtt};
use crate::bench::adapter::{Level, Target};
use crate::bench::appender::{Appended, Appender, Plan};
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::floors::{Looped, RECORD_HEAD_BYTES, copies};
use crate::bench::measured::{Warning, Weight};
use crate::bench::report::{Report, Workload, latency_us, or_nan};
use crate::bench::storage::Syncing;
use crate::bench::table::counted;
use crate::bench::workloads::WARM_UP;
use serde_json::json;
use std::time::Duration;

/// The workload.
#[derive(Debug, Clone)]
pub struct Append {
    /// Connections, a topic each.
    pub publishers: u32,
    /// Appends that each may have on their way.
    pub window: u32,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// How long it is measured.
    pub duration: Duration,
    /// Where.
    pub place: Place,
}

impl Workload for Append {
    fn title(&self) -> String {
        let Append { publishers, window, payload_bytes, .. } = self;
        format!(
            "{}, {payload_bytes} bytes, at most {window} each not acknowledged: \"journaled\", \
             which survives the broker and not the machine; the floor copies records into a mapped file",
            counted(*publishers, "publisher"),
        )
    }

    fn setup(&self) -> Setup {
        self.place.setup(ALL, Syncing::Lazy, APPENDED_BYTES_MAX)
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        without_mqtt(target)
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        if broker.target == Target::Floor {
            let looped = copies(broker.ground(), self.payload_bytes + RECORD_HEAD_BYTES, self.duration)?;
            return Ok(grounded(broker, floor(&looped)));
        }
        let plan = Plan {
            publishers: self.publishers,
            window: self.window.into(),
            topics: 0..self.publishers,
            payload_bytes: self.payload_bytes,
            level: Level::Journaled,
            space_bytes: APPENDED_BYTES_MAX,
        };
        let mut appender = Appender::connect(broker, plan)?;
        appender.append_for(WARM_UP.min(self.duration))?;
        let appended = appender.append_for(self.duration)?;
        Ok(grounded(broker, report(broker.target, &appended)))
    }
}

fn floor(looped: &Looped) -> Report {
    let figures = vec![
        ("ns/ack", looped.cpu_ns_each()),
        ("acks/s", looped.per_second()),
        ("closed-loop p50 us", f64::NAN),
        ("broker cores", looped.cpu_ns as f64 / 1e9 / looped.seconds),
        ("bench idle %", f64::NAN),
    ];
    let json = json!({"target": "floor", "records": looped.count, "seconds": looped.seconds, "cpu_ns": looped.cpu_ns});
    Report { target: Target::Floor, figures, warnings: Vec::new(), latencies: None, memory: Vec::new(), json }
}

fn report(target: Target, appended: &Appended) -> Report {
    let Appended { seconds, acknowledged, broker_cpu_ns, idle_share, latencies, .. } = appended;
    let figures = vec![
        ("ns/ack", or_nan(broker_cpu_ns.map(|cpu_ns| cpu_ns as f64 / *acknowledged as f64))),
        ("acks/s", *acknowledged as f64 / seconds),
        ("closed-loop p50 us", latency_us(latencies, 50.0)),
        ("broker cores", or_nan(broker_cpu_ns.map(|cpu_ns| cpu_ns as f64 / 1e9 / seconds))),
        ("bench idle %", idle_share * 100.0),
    ];
    let json = json!({
        "target": target.name(),
        "acknowledged": acknowledged,
        "seconds": seconds,
        "broker_cpu_ns": broker_cpu_ns,
        "was_cut_short": appended.was_cut_short,
    });
    let warnings = warnings(target, appended);
    Report { target, figures, warnings, latencies: None, memory: Vec::new(), json }
}

/// What a reader of a run of appends should know.
pub(super) fn warnings(target: Target, appended: &Appended) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if appended.acknowledged == 0 {
        let what = "nothing was acknowledged while it was measured".to_owned();
        warnings.push(Warning { weight: Weight::Failed, target: Some(target), what });
    }
    if appended.was_cut_short {
        let what = format!("ended after {:.1} s: no more than {} GiB are written", appended.seconds, {
            APPENDED_BYTES_MAX >> 30
        });
        warnings.push(Warning { weight: Weight::Noted, target: Some(target), what });
    }
    warnings
}

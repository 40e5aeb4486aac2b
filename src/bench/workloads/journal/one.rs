//! One durable append at a time: its latency, which is mostly the disk's.

use super::{ALL, APPENDED_BYTES_MAX, Place, append, grounded, without_mqtt};
use crate::bench::adapter::{Level, Target};
use crate::bench::appender::{Appender, Plan};
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::floors::{RECORD_HEAD_BYTES, Way, syncs};
use crate::bench::histogram::Latencies;
use crate::bench::report::{Report, Workload, latency_us};
use crate::bench::storage::Syncing;
use crate::bench::workloads::WARM_UP;
use serde_json::json;
use std::time::Duration;

/// The workload.
#[derive(Debug, Clone)]
pub struct DurableOne {
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// How long it is measured.
    pub duration: Duration,
    /// Where.
    pub place: Place,
}

impl DurableOne {
    /// Both ways, half of the time each: the better one is the floor, and the other stands beside it.
    fn floor(&self, broker: &Broker) -> Result<(Latencies, f64, f64), BenchError> {
        let bytes = self.payload_bytes + RECORD_HEAD_BYTES;
        let of = |way| syncs(broker.ground(), way, bytes, self.duration / 2).map(|looped| looped.latencies);
        let (written, stored) = (of(Way::Pwrite)?, of(Way::Store)?);
        let (written_us, stored_us) = (latency_us(&written, 50.0), latency_us(&stored, 50.0));
        Ok((if stored_us < written_us { stored } else { written }, written_us, stored_us))
    }
}

impl Workload for DurableOne {
    fn title(&self) -> String {
        format!(
            "1 publisher, {} bytes, one at a time, durable; the floor writes or stores one and syncs, whichever is \
             better",
            self.payload_bytes
        )
    }

    fn setup(&self) -> Setup {
        self.place.setup(ALL, Syncing::Always, APPENDED_BYTES_MAX)
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        without_mqtt(target)
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        let (target, mut warnings) = (broker.target, Vec::new());
        let (latencies, written_us, stored_us) = if target == Target::Floor {
            self.floor(broker)?
        } else {
            let plan = Plan {
                publishers: 1,
                window: 1,
                topics: 0..1,
                payload_bytes: self.payload_bytes,
                level: Level::Durable,
                space_bytes: APPENDED_BYTES_MAX,
            };
            let mut appender = Appender::connect(broker, plan)?;
            appender.append_for(WARM_UP.min(self.duration))?;
            let appended = appender.append_for(self.duration)?;
            warnings = append::warnings(target, &appended);
            (appended.latencies, f64::NAN, f64::NAN)
        };
        let figures = vec![
            ("p50 us", latency_us(&latencies, 50.0)),
            ("p99 us", latency_us(&latencies, 99.0)),
            ("p99.9 us", latency_us(&latencies, 99.9)),
            ("pwrite p50 us", written_us),
            ("store p50 us", stored_us),
        ];
        let json = json!({
            "target": target.name(),
            "acknowledged": latencies.count(),
            "p50_us": latency_us(&latencies, 50.0),
            "p99_us": latency_us(&latencies, 99.0),
        });
        let report = Report { target, figures, warnings, latencies: Some(latencies), memory: Vec::new(), json };
        Ok(grounded(broker, report))
    }
}

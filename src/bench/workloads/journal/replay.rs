//! The history of a topic, all of it in the page cache, to one reader: bytes a second beside sendfile's.

use super::{ALL, Place, grounded};
use crate::bench::adapter::{Level, Target, Topics};
use crate::bench::appender::{Appender, Plan};
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::floors::{RECORD_HEAD_BYTES, sends};
use crate::bench::replayer::Replayer;
use crate::bench::report::{Report, Workload, or_nan};
use crate::bench::storage::Syncing;
use crate::bench::usage::Usage;
use serde_json::json;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Appends on their way while the history is made.
const WINDOW: u64 = 1_000;
const MIB: f64 = (1 << 20) as f64;

/// The workload.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Bytes of the history, about.
    pub history_bytes: u64,
    /// How long replays go on.
    pub duration: Duration,
    /// Where.
    pub place: Place,
}

impl Replay {
    fn space_bytes(&self) -> u64 {
        self.history_bytes * 6 + (256 << 20)
    }

    /// Bytes, seconds, processor time and records of all replays together.
    fn replay(&self, broker: &Broker) -> Result<(u64, f64, Option<u64>, u64), BenchError> {
        let plan = Plan {
            publishers: 1,
            window: WINDOW,
            topics: 0..1,
            payload_bytes: self.payload_bytes,
            level: Level::Journaled,
            space_bytes: self.space_bytes(),
        };
        let count = (self.history_bytes / (self.payload_bytes + RECORD_HEAD_BYTES) as u64).max(1);
        Appender::connect(broker, plan)?.append(count)?;
        let replayer = Replayer::verified(broker, &Topics::new(1, '/'), 0)?;
        if replayer.records != count {
            let text = format!("{} of {count} acknowledged records came back", replayer.records);
            return Err(BenchError::Stuck(text));
        }
        let usage = || broker.process.map(Usage::of).transpose().map_err(BenchError::Ended);
        let (before, mut spent, mut times, never) = (usage()?, Duration::ZERO, 0, AtomicBool::new(false));
        while spent < self.duration {
            spent += replayer.timed(&never)?.0;
            times += 1;
        }
        let cpu_ns = before.zip(usage()?).map(|(before, after)| after.since(&before).cpu_ns);
        Ok((replayer.bytes * times, spent.as_secs_f64(), cpu_ns, replayer.records * times))
    }
}

impl Workload for Replay {
    fn title(&self) -> String {
        let Replay { payload_bytes, history_bytes, .. } = self;
        format!(
            "{} MiB of history of one topic, {payload_bytes} bytes a payload, in the page cache, to one reader; the \
             floor sends a file of that size with sendfile",
            history_bytes >> 20
        )
    }

    fn setup(&self) -> Setup {
        self.place.setup(ALL, Syncing::Lazy, self.space_bytes())
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        (!matches!(target, Target::Floor | Target::Fanwire)).then_some("its ways to replay are not compared here")
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        let target = broker.target;
        let (bytes, seconds, cpu_ns, records) = if target == Target::Floor {
            let looped = sends(broker.ground(), self.history_bytes, self.duration)?;
            (looped.count, looped.seconds, Some(looped.cpu_ns), 0)
        } else {
            self.replay(broker)?
        };
        let mebibytes = bytes as f64 / MIB;
        let figures = vec![
            ("us/MiB", seconds * 1e6 / mebibytes),
            ("MiB/s", mebibytes / seconds),
            ("CPU us/MiB", or_nan(cpu_ns.map(|cpu_ns| cpu_ns as f64 / 1e3 / mebibytes))),
            ("records/s", if records > 0 { records as f64 / seconds } else { f64::NAN }),
        ];
        let json = json!({
            "target": target.name(),
            "bytes": bytes,
            "seconds": seconds,
            "records": records,
            "broker_cpu_ns": cpu_ns,
        });
        let report = Report { target, figures, warnings: Vec::new(), latencies: None, memory: Vec::new(), json };
        Ok(grounded(broker, report))
    }
}

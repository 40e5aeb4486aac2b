//! What readers that stopped reading cost those who go on: the same run without them and with them.
//!
//! Every broker but the floor, which has no bound, may keep as much for one connection. How far its memory grew is told
//! beside that bound, from the most that it ever occupied: who disconnects the stalled frees what it kept for them.

use super::{WARM_UP, scenario, topics};
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::generator::Generator;
use crate::bench::measured::Measured;
use crate::bench::report::{Report, Workload, latency_us, or_nan};
use crate::bench::scenario::{Drive, Load, Member, Order};
use crate::bench::window::Window;
use fanwire_wire::Limits;
use std::time::Duration;

/// The workload.
#[derive(Debug, Clone)]
pub struct Isolation {
    /// Subscribers in all.
    pub subscribers: u32,
    /// How many of them stop reading.
    pub stalled: u32,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Messages of one write of the publisher.
    pub batch: u32,
    /// How long each half is measured.
    pub duration: Duration,
    /// Fanwire's reactors.
    pub reactors: u32,
}

impl Isolation {
    /// What was measured, and how many connections the broker closed.
    fn measure(&self, broker: &Broker, stalled: u32) -> Result<(Measured, u64), BenchError> {
        let readers = self.subscribers - self.stalled;
        let mut members = vec![Member::hearing(0); readers as usize];
        members.extend(vec![Member { reads: false, ..Member::hearing(0) }; stalled as usize]);
        members.push(Member::publishing(0, Order::Fixed(0)));
        let count = members.len();
        let mut generator = Generator::new(scenario(broker, topics(broker.target, 1), self.payload_bytes, members))?;
        generator.gather(0..count)?;
        let drive = Drive::Saturate(Window::new(readers as usize, self.payload_bytes, self.batch));
        let load = Load { batch: self.batch, drive, warm_up: WARM_UP, duration: self.duration };
        Ok((generator.run(&load)?, generator.wake()?))
    }
}

/// What may wait for one connection: Fanwire's default, which everybody gets here.
fn queue_bytes_max() -> u64 {
    Limits::default().queue_bytes_max.into()
}

impl Workload for Isolation {
    fn title(&self) -> String {
        let Isolation { subscribers, stalled, payload_bytes, .. } = self;
        format!(
            "1 -> {subscribers}, {payload_bytes} bytes, at saturation, {stalled} of them not reading (where a protocol \
             leaves the choice, their old messages may be dropped), {} KiB may wait for each",
            queue_bytes_max() >> 10,
        )
    }

    fn setup(&self) -> Setup {
        Setup { split: false, reactors: self.reactors, queue_bytes_max: Some(queue_bytes_max()), store: None }
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        if self.stalled >= self.subscribers {
            return Err(BenchError::Usage("at least one subscriber has to read".to_owned()));
        }
        let (alone, _) = self.measure(broker, 0)?;
        let (beside, closed) = self.measure(broker, self.stalled)?;
        let (before, after) = (or_nan(alone.ns_per_delivery()), or_nan(beside.ns_per_delivery()));
        let peaks = alone.peak_bytes.zip(beside.peak_bytes);
        let grown = peaks.map(|(before, after)| after.saturating_sub(before));
        let bound = queue_bytes_max() * u64::from(self.stalled);
        let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        let figures = vec![
            ("CPU ratio", after / before),
            ("ns alone", before),
            ("ns beside", after),
            ("closed-loop p99 alone us", latency_us(&alone.latencies, 99.0)),
            ("closed-loop p99 beside us", latency_us(&beside.latencies, 99.0)),
            ("MiB grown", or_nan(grown.map(mebibytes))),
            ("MiB bound", mebibytes(bound)),
            ("closed", closed as f64),
        ];
        let mut report = Report::new(&beside, figures);
        report.warnings.extend(alone.warnings());
        report.json["alone"] = alone.json();
        report.json["memory_grown_bytes"] = grown.into();
        report.json["memory_bound_bytes"] = bound.into();
        report.json["closed_in_all"] = closed.into();
        Ok(report)
    }
}

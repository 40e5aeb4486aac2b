//! From when a message was due until a subscriber has read it, at a steady rate: open loop.

use super::{WARM_UP, scenario, topics};
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::generator::Generator;
use crate::bench::histogram::{PERCENTILES, microseconds};
use crate::bench::report::{Report, Workload, latency_us, or_nan};
use crate::bench::scenario::{Drive, Load, Member, Order};
use std::time::Duration;

/// The workload.
#[derive(Debug, Clone)]
pub struct Latency {
    /// Messages a second.
    pub rate: f64,
    /// Subscribers of the one topic.
    pub subscribers: u32,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// How long it is measured.
    pub duration: Duration,
    /// Fanwire's reactors.
    pub reactors: u32,
}

impl Workload for Latency {
    fn title(&self) -> String {
        let Latency { rate, subscribers, payload_bytes, .. } = self;
        format!(
            "publish to deliver, 1 -> {subscribers}, {payload_bytes} bytes, {rate:.0} messages a second, a write each, \
             open loop: timed from when each was due"
        )
    }

    fn setup(&self) -> Setup {
        Setup { split: false, reactors: self.reactors, queue_bytes_max: None, store: None }
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        let mut members = vec![Member::hearing(0); self.subscribers as usize];
        members.push(Member::publishing(0, Order::Fixed(0)));
        let count = members.len();
        let mut generator = Generator::new(scenario(broker, topics(broker.target, 1), self.payload_bytes, members))?;
        generator.gather(0..count)?;
        let drive = Drive::Pace { rate: self.rate, window: None };
        let measured = generator.run(&Load { batch: 1, drive, warm_up: WARM_UP, duration: self.duration })?;
        let names = ["p50 us", "p90 us", "p99 us", "p99.9 us", "p99.99 us"];
        let percentiles = PERCENTILES.iter().map(|(_, percentile)| latency_us(&measured.latencies, *percentile));
        let mut figures: Vec<_> = names.into_iter().zip(percentiles).collect();
        figures.push(("max us", microseconds(measured.latencies.max_ns())));
        figures.push(("ns/delivery", or_nan(measured.ns_per_delivery())));
        let mut report = Report::new(&measured, figures);
        report.latencies = Some(measured.latencies);
        Ok(report)
    }
}

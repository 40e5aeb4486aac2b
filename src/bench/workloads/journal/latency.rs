//! What the way through the journal adds to a delivery: a live topic and a kept one in the same broker, in turns.

use super::{KEPT_TOPIC, ONE, Place, grounded, only_fanwire};
use crate::bench::adapter::Target;
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::generator::Generator;
use crate::bench::measured::Measured;
use crate::bench::report::{Report, Workload, latency_us};
use crate::bench::scenario::{Drive, Load, Member, Order};
use crate::bench::storage::Syncing;
use crate::bench::workloads::{WARM_UP, scenario, topics};
use std::time::Duration;

const LIVE_TOPIC: u32 = 0;
const SPACE_BYTES: u64 = 2 << 30;

/// The workload.
#[derive(Debug, Clone)]
pub struct JournaledLatency {
    /// Messages a second.
    pub rate: f64,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// How long each of the two is measured.
    pub duration: Duration,
    /// Where.
    pub place: Place,
}

impl JournaledLatency {
    fn measure(&self, broker: &Broker, topic: u32) -> Result<Measured, BenchError> {
        let members = vec![Member::hearing(topic), Member::publishing(0, Order::Fixed(topic))];
        let mut generator = Generator::new(scenario(broker, topics(broker.target, 2), self.payload_bytes, members))?;
        generator.gather(0..2)?;
        let drive = Drive::Pace { rate: self.rate, window: None };
        generator.run(&Load { batch: 1, drive, warm_up: WARM_UP, duration: self.duration / 2 })
    }
}

/// The mean of what two halves have shown.
fn mean_us(halves: [&Measured; 2], percentile: f64) -> f64 {
    let [one, other] = halves.map(|half| latency_us(&half.latencies, percentile));
    f64::midpoint(one, other)
}

impl Workload for JournaledLatency {
    fn title(&self) -> String {
        let JournaledLatency { rate, payload_bytes, .. } = self;
        format!(
            "publish to deliver, 1 -> 1, {payload_bytes} bytes, {rate:.0} messages a second, a write each, open loop: \
             of a journaled topic beside a live one of the same broker (live, journaled, journaled, live); no acks \
             asked for"
        )
    }

    fn setup(&self) -> Setup {
        self.place.setup(ONE, Syncing::Lazy, SPACE_BYTES)
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        only_fanwire(target)
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        let first = self.measure(broker, LIVE_TOPIC)?;
        let second = self.measure(broker, KEPT_TOPIC)?;
        let third = self.measure(broker, KEPT_TOPIC)?;
        let fourth = self.measure(broker, LIVE_TOPIC)?;
        let (live, kept) = ([&first, &fourth], [&second, &third]);
        let figures = vec![
            ("p50 more us", mean_us(kept, 50.0) - mean_us(live, 50.0)),
            ("live p50 us", mean_us(live, 50.0)),
            ("journaled p50 us", mean_us(kept, 50.0)),
            ("live p99 us", mean_us(live, 99.0)),
            ("journaled p99 us", mean_us(kept, 99.0)),
            ("live p99.9 us", mean_us(live, 99.9)),
            ("journaled p99.9 us", mean_us(kept, 99.9)),
        ];
        let mut report = Report::new(&second, figures);
        report.warnings.extend([&first, &third, &fourth].iter().flat_map(|half| half.warnings()));
        report.json["live"] = first.json();
        report.latencies = Some(third.latencies.clone());
        Ok(grounded(broker, report))
    }
}

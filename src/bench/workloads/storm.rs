//! Everyone reconnects at once, while a publisher and a subscriber that stayed go on.

use super::{WARM_UP, scenario, topics};
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::generator::Generator;
use crate::bench::histogram::microseconds;
use crate::bench::measured::Warning;
use crate::bench::report::{Report, Workload, latency_us, or_nan};
use crate::bench::scenario::{Drive, Load, Member, Order};
use std::time::Duration;

/// Messages a second of the publisher that stays.
const RATE: f64 = 1_000.0;
const PAYLOAD_BYTES: usize = 64;

/// The workload.
#[derive(Debug, Clone)]
pub struct Storm {
    /// Connections that come back.
    pub connections: u32,
    /// How long the calm and the storm are measured, each.
    pub duration: Duration,
    /// Fanwire's reactors.
    pub reactors: u32,
}

impl Workload for Storm {
    fn title(&self) -> String {
        format!(
            "{} connections close and reconnect at once, one topic; meanwhile 1 -> 1 at {RATE} messages a second",
            self.connections
        )
    }

    fn setup(&self) -> Setup {
        Setup { split: true, reactors: self.reactors, queue_bytes_max: None, store: None }
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        // The crowd hears a topic that nobody publishes to; the witnesses have one of their own.
        let crowd = self.connections as usize;
        let mut members = vec![Member::hearing(1); crowd];
        members.extend([Member::hearing(0), Member::publishing(0, Order::Fixed(0))]);
        let mut generator = Generator::new(scenario(broker, topics(broker.target, 2), PAYLOAD_BYTES, members))?;
        generator.gather(0..crowd + 2)?;
        let drive = Drive::Pace { rate: RATE, window: None };
        let load = Load { batch: 1, drive, warm_up: WARM_UP, duration: self.duration };
        let calm = generator.run(&load)?;
        generator.rush();
        let mut remaining = None;
        let storm = generator.run_with(&Load { warm_up: Duration::ZERO, ..load }, |generator| {
            generator.part(0..crowd);
            generator.call(0..crowd);
            Ok(())
        })?;
        if generator.standing_left() > 0 {
            remaining = Some(generator.standing_left());
            generator.gather(0..0)?;
        }
        let back = generator.back_after();
        let figures = vec![
            ("all back s", back.as_secs_f64()),
            ("p50 calm us", latency_us(&calm.latencies, 50.0)),
            ("p50 storm us", latency_us(&storm.latencies, 50.0)),
            ("p99 calm us", latency_us(&calm.latencies, 99.0)),
            ("p99 storm us", latency_us(&storm.latencies, 99.0)),
            ("max storm us", microseconds(storm.latencies.max_ns())),
            (
                "CPU us/conn",
                (or_nan(storm.broker_cores()) - or_nan(calm.broker_cores())) * storm.seconds * 1e6 / crowd as f64,
            ),
        ];
        let mut report = Report::new(&storm, figures);
        if let Some(remaining) = remaining {
            let message = format!("{}: {remaining} were not back within {:?}", broker.target.name(), self.duration);
            report.warnings.push(Warning::noted(message));
        }
        report.warnings.extend(calm.warnings());
        report.json["calm"] = calm.json();
        report.json["all_back_seconds"] = back.as_secs_f64().into();
        report.latencies = Some(storm.latencies);
        Ok(report)
    }
}

//! Questions and answers through the broker: one connection asks, another answers at once with the same bytes.
//!
//! Fanwire and NATS have requests of their own; the others play them over two topics, as their users do.

use super::{ONE_WAY, WARM_UP, scenario, topics};
use crate::bench::adapter::{Part, Target};
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::generator::Generator;
use crate::bench::report::{Report, Workload, latency_us, or_nan};
use crate::bench::scenario::{Drive, Load, Member, Order};
use crate::bench::window::Window;
use std::time::Duration;

/// The workload.
#[derive(Debug, Clone)]
pub struct Request {
    /// Requests a second; `None`: as fast as answers come.
    pub rate: Option<f64>,
    /// Requests under way at one time.
    pub in_flight: u32,
    /// Bytes of a request and of its answer.
    pub payload_bytes: usize,
    /// How long it is measured.
    pub duration: Duration,
    /// Fanwire's reactors.
    pub reactors: u32,
}

impl Workload for Request {
    fn title(&self) -> String {
        let Request { in_flight, payload_bytes, .. } = self;
        let drive = match self.rate {
            Some(rate) => format!("{rate:.0} a second, open loop"),
            None => "as fast as answers come".to_owned(),
        };
        format!(
            "requests of {payload_bytes} bytes, {drive}, at most {in_flight} in flight, a write each; floor, redis and \
             mqtt play them over two topics"
        )
    }

    fn setup(&self) -> Setup {
        Setup { split: true, reactors: self.reactors, queue_bytes_max: None, store: None }
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        (target == Target::Sse).then_some(ONE_WAY)
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        let responder = Member { part: Part::Responder, ..Member::idle() };
        let requester = Member { part: Part::Requester, ..Member::publishing(0, Order::Fixed(0)) };
        let members = vec![responder, requester];
        let mut generator = Generator::new(scenario(broker, topics(broker.target, 1), self.payload_bytes, members))?;
        generator.gather(0..1)?;
        generator.gather(1..2)?;
        let window = Window { messages: self.in_flight.into() };
        let drive = match self.rate {
            Some(rate) => Drive::Pace { rate, window: Some(window) },
            None => Drive::Saturate(window),
        };
        let measured = generator.run(&Load { batch: 1, drive, warm_up: WARM_UP, duration: self.duration })?;
        let [p50, p99, p999] = match self.rate {
            Some(_) => ["p50 us", "p99 us", "p99.9 us"],
            None => ["closed-loop p50 us", "closed-loop p99 us", "closed-loop p99.9 us"],
        };
        let figures = vec![
            (p50, latency_us(&measured.latencies, 50.0)),
            (p99, latency_us(&measured.latencies, 99.0)),
            (p999, latency_us(&measured.latencies, 99.9)),
            ("requests/s", measured.deliveries_per_second()),
            ("CPU us/request", or_nan(measured.ns_per_delivery()) / 1e3),
            ("broker cores", or_nan(measured.broker_cores())),
        ];
        let mut report = Report::new(&measured, figures);
        report.latencies = Some(measured.latencies);
        Ok(report)
    }
}

//! What journaling does to live traffic beside it, on the same reactor: the processor time of reactors alone, because
//! the journal's own threads may run on other cores.
//!
//! Both halves have the same connections and the same messages: a live topic with its subscribers, and another topic
//! that nobody hears, which is kept in one half and live in the other. What differs is the keeping. Messages come in
//! batches, so that a live delivery is cheap: where each was a write of its own, nothing beside it would show.

use super::{KEPT_TOPIC, ONE, Place, grounded, only_fanwire};
use crate::bench::adapter::Target;
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::generator::Generator;
use crate::bench::measured::{Measured, Warning};
use crate::bench::report::{Report, Workload, latency_us};
use crate::bench::scenario::{Drive, Load, Member, Order, Scenario};
use crate::bench::storage::Syncing;
use crate::bench::usage::threads_cpu_ns;
use crate::bench::workloads::{WARM_UP, scenario, topics};
use std::time::Duration;

/// How the names of the threads begin that serve connections.
const REACTORS: &str = "reactor-";
const HEARD_TOPIC: u32 = 0;
/// A live topic that nobody hears.
const UNHEARD_TOPIC: u32 = 2;
const SPACE_BYTES: u64 = 2 << 30;
/// Messages of one write of a publisher.
const BATCH: u32 = 50;

/// The workload.
#[derive(Debug, Clone)]
pub struct Beside {
    /// Subscribers of the live topic.
    pub subscribers: u32,
    /// Messages a second, to the live topic and to the other one each.
    pub rate: f64,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// How long each of the two is measured.
    pub duration: Duration,
    /// Where.
    pub place: Place,
}

impl Beside {
    /// What was measured, and nanoseconds of the reactors for one live delivery.
    fn measure(&self, broker: &Broker, process: u32, other: u32) -> Result<(Measured, f64), BenchError> {
        let mut members = vec![Member::hearing(HEARD_TOPIC); self.subscribers as usize];
        members.push(Member::publishing(0, Order::Fixed(HEARD_TOPIC)));
        members.push(Member::publishing(1, Order::Fixed(other)));
        let count = members.len();
        let scenario = scenario(broker, topics(broker.target, 3), self.payload_bytes, members);
        let mut generator = Generator::new(Scenario { publishers_a_topic: 2, ..scenario })?;
        generator.gather(0..count)?;
        let drive = Drive::Pace { rate: 2.0 * self.rate, window: None };
        let load = Load { batch: BATCH, drive, warm_up: WARM_UP, duration: self.duration / 2 };
        let look = || threads_cpu_ns(process, REACTORS).map_err(BenchError::Ended);
        let mut before = None;
        let measured = generator.run_with(&load, |_| {
            before = look()?;
            Ok(())
        })?;
        let untold = || BenchError::Stuck(format!("no thread is called {REACTORS}*, or its time is not told"));
        let cpu_ns = look()?.zip(before).map(|(after, before)| after - before).ok_or_else(untold)?;
        let each_ns = cpu_ns as f64 / measured.deliveries as f64;
        Ok((measured, each_ns))
    }
}

impl Workload for Beside {
    fn title(&self) -> String {
        let Beside { subscribers, rate, payload_bytes, .. } = self;
        format!(
            "1 -> {subscribers} live, {payload_bytes} bytes, {BATCH} a write, {rate:.0} messages a second, beside as \
             many of another topic that nobody hears: journaled, and live (live, journaled, journaled, live); CPU of \
             the reactors alone"
        )
    }

    fn setup(&self) -> Setup {
        self.place.setup(ONE, Syncing::Lazy, SPACE_BYTES)
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        only_fanwire(target)
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        let process = broker.process.expect("it was started by the bench");
        let (first, first_ns) = self.measure(broker, process, UNHEARD_TOPIC)?;
        let (second, second_ns) = self.measure(broker, process, KEPT_TOPIC)?;
        let (third, third_ns) = self.measure(broker, process, KEPT_TOPIC)?;
        let (fourth, fourth_ns) = self.measure(broker, process, UNHEARD_TOPIC)?;
        let (alone_ns, beside_ns) = (f64::midpoint(first_ns, fourth_ns), f64::midpoint(second_ns, third_ns));
        let figures = vec![
            ("CPU ratio", beside_ns / alone_ns),
            ("ns/delivery alone", alone_ns),
            ("ns/delivery beside", beside_ns),
            ("p50 alone us", latency_us(&first.latencies, 50.0)),
            ("p50 beside us", latency_us(&second.latencies, 50.0)),
            ("p99 alone us", latency_us(&first.latencies, 99.0)),
            ("p99 beside us", latency_us(&second.latencies, 99.0)),
        ];
        let mut report = Report::new(&second, figures);
        let others: Vec<Warning> = [&first, &third, &fourth].iter().flat_map(|half| half.warnings()).collect();
        report.warnings.extend(others);
        report.json["alone"] = first.json();
        Ok(grounded(broker, report))
    }
}

//! Publishers to subscribers: the primary score, at saturation or at a rate.

use super::{WARM_UP, scenario, topics};
use crate::bench::adapter::Target;
use crate::bench::brokers::{Broker, Setup};
use crate::bench::calls::UNCOUNTED;
use crate::bench::error::BenchError;
use crate::bench::generator::Generator;
use crate::bench::measured::Warning;
use crate::bench::report::{Report, Workload, latency_us, or_nan};
use crate::bench::scenario::{Drive, Load, Member, Order, Scenario};
use crate::bench::table::counted;
use crate::bench::window::Window;
use std::time::Duration;

/// The workload.
#[derive(Debug, Clone)]
pub struct Fanout {
    /// Publishers, each cycling all topics.
    pub publishers: u32,
    /// Subscribers, each of one topic, spread evenly.
    pub subscribers: u32,
    /// Topics.
    pub topics: u32,
    /// Connections beside them that do nothing.
    pub idle: u32,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Messages of one write of a publisher.
    pub batch: u32,
    /// Messages a second in all; `None`: at saturation.
    pub rate: Option<f64>,
    /// How long it is measured.
    pub duration: Duration,
    /// Fanwire's reactors.
    pub reactors: u32,
}

impl Fanout {
    /// The load that this comes to.
    pub fn load(&self) -> Load {
        let window = Window::new(self.subscribers as usize, self.payload_bytes, self.batch);
        let drive = match self.rate {
            None => Drive::Saturate(window),
            Some(rate) => Drive::Pace { rate, window: None },
        };
        Load { batch: self.batch, drive, warm_up: WARM_UP, duration: self.duration }
    }

    fn scenario(&self, broker: &Broker) -> Scenario {
        let subscribers = (0..self.subscribers).map(|number| Member::hearing(number % self.topics));
        let order = if self.topics == 1 { Order::Fixed(0) } else { Order::Cycle };
        let publishers = (0..self.publishers).map(|number| Member::publishing(number, order.clone()));
        let idle = (0..self.idle).map(|_| Member::idle());
        let members = subscribers.chain(publishers).chain(idle).collect();
        let scenario = scenario(broker, topics(broker.target, self.topics), self.payload_bytes, members);
        Scenario { publishers_a_topic: self.publishers, ..scenario }
    }
}

impl Workload for Fanout {
    fn title(&self) -> String {
        let Fanout { publishers, subscribers, topics, payload_bytes, batch, .. } = self;
        let window = Window::new(*subscribers as usize, *payload_bytes, *batch).messages;
        let drive = match self.rate {
            None => format!("at saturation, at most {window} messages ahead of the slowest subscriber"),
            Some(rate) => format!("at {rate:.0} messages a second, open loop"),
        };
        let idle = if self.idle > 0 { format!(", beside {} idle connections", self.idle) } else { String::new() };
        format!(
            "{publishers} -> {subscribers} over {}, {payload_bytes} bytes, {} a write, {drive}{idle}",
            counted(*topics, "topic"),
            counted(*batch, "message"),
        )
    }

    fn setup(&self) -> Setup {
        Setup {
            split: self.publishers > 1 || self.topics > 1,
            reactors: self.reactors,
            queue_bytes_max: None,
            store: None,
        }
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        let too_many = target == Target::Floor && self.topics >= u32::from(u16::MAX);
        too_many.then_some("the relay knows 65 534 topics")
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        if self.topics > self.subscribers {
            return Err(BenchError::Usage("there are more topics than subscribers: some would have nobody".to_owned()));
        }
        let mut generator = Generator::new(self.scenario(broker))?;
        generator.gather(0..(self.subscribers + self.publishers + self.idle) as usize)?;
        let measured = generator.run_counted(&self.load())?;
        let (p50, p99) = match self.rate {
            // At saturation the window decides when a message leaves: its latency is the queue's length in time.
            None => ("closed-loop p50 us", "closed-loop p99 us"),
            Some(_) => ("p50 us", "p99 us"),
        };
        let figures = vec![
            ("ns/delivery", or_nan(measured.ns_per_delivery())),
            ("deliveries/s", measured.deliveries_per_second()),
            ("msgs/write", or_nan(measured.messages_per_write())),
            ("msgs/read", measured.messages_per_read()),
            ("broker cores", or_nan(measured.broker_cores())),
            ("bench idle %", measured.idle_share * 100.0),
            (p50, latency_us(&measured.latencies, 50.0)),
            (p99, latency_us(&measured.latencies, 99.0)),
        ];
        let mut report = Report::new(&measured, figures);
        report.warnings.extend(measured.calls.is_none().then(|| Warning::noted(UNCOUNTED)));
        Ok(report)
    }
}

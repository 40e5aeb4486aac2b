//! Very many topics: published by name in random order, under one wildcard and under an exact subscription each.
//!
//! Exact subscriptions come first, since their memory is a slope that begins at a broker that has done nothing. One
//! topic and many follow in the same process. What is kept is a quotient of processor time: the rate itself would be
//! that of the generator, which has to keep account of each topic.

use super::{WARM_UP, scenario, topics};
use crate::bench::adapter::{Interest, Target};
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::generator::Generator;
use crate::bench::measured::Measured;
use crate::bench::report::{Report, Workload, or_nan};
use crate::bench::scenario::{Drive, Load, Member, Order, shuffled};
use crate::bench::window::Window;
use std::time::Duration;

/// The workload.
#[derive(Debug, Clone)]
pub struct ManyTopics {
    /// Topics.
    pub topics: u32,
    /// Connections that share the exact subscriptions.
    pub connections: u32,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Messages of one write of the publisher.
    pub batch: u32,
    /// How long each part is measured.
    pub duration: Duration,
    /// Fanwire's reactors.
    pub reactors: u32,
}

impl ManyTopics {
    /// One subscriber of everything, and so many topics in random order.
    fn under_wildcard(&self, broker: &Broker, count: u32) -> Result<Measured, BenchError> {
        let hearing = Member { interest: Interest::All, ..Member::idle() };
        let members = vec![hearing, Member::publishing(0, Order::Shuffled(shuffled(count)))];
        let topics = topics(broker.target, count).by_name();
        let mut generator = Generator::new(scenario(broker, topics, self.payload_bytes, members))?;
        generator.gather(0..2)?;
        generator.run(&self.load(1))
    }

    /// Each topic has one subscription; each connection has many.
    fn under_exact(&self, broker: &Broker) -> Result<(Measured, f64, f64), BenchError> {
        let part = |number: u32| {
            let begin = u64::from(self.topics) * u64::from(number) / u64::from(self.connections);
            u32::try_from(begin).expect("no more than the topics")
        };
        let hearing = |number| Member { interest: Interest::Topics(part(number)..part(number + 1)), ..Member::idle() };
        let mut members: Vec<Member> = (0..self.connections).map(hearing).collect();
        members.push(Member::publishing(0, Order::Shuffled(shuffled(self.topics))));
        let topics = topics(broker.target, self.topics).by_name();
        let mut generator = Generator::new(scenario(broker, topics, self.payload_bytes, members))?;
        let before = generator.usage()?;
        let subscribers = self.connections as usize;
        generator.gather(0..subscribers)?;
        let after = generator.usage()?;
        generator.gather(subscribers..subscribers + 1)?;
        let usages = before.zip(after);
        let cpu_us = usages.map(|(before, after)| after.since(&before).cpu_ns as f64 / 1e3);
        let bytes = usages.map(|(before, after)| after.resident_bytes as f64 - before.resident_bytes as f64);
        let (cpu_us, bytes) = (or_nan(cpu_us) / f64::from(self.topics), or_nan(bytes) / f64::from(self.topics));
        Ok((generator.run(&self.load(subscribers))?, cpu_us, bytes))
    }

    fn load(&self, subscribers: usize) -> Load {
        let drive = Drive::Saturate(Window::new(subscribers, self.payload_bytes, self.batch));
        Load { batch: self.batch, drive, warm_up: WARM_UP, duration: self.duration }
    }
}

impl Workload for ManyTopics {
    fn title(&self) -> String {
        let ManyTopics { topics, connections, payload_bytes, .. } = self;
        format!(
            "{topics} topics by name in random order, {payload_bytes} bytes, at saturation: under one wildcard, beside \
             one topic under it; then one exact subscription each, over {connections} connections"
        )
    }

    fn setup(&self) -> Setup {
        Setup { split: true, reactors: self.reactors, queue_bytes_max: None, store: None }
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        match target {
            Target::Floor => Some("the relay has no topics by name"),
            Target::Sse => Some("a stream's URL does not hold so many topics"),
            _ => None,
        }
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        if self.connections == 0 || self.connections > self.topics {
            return Err(BenchError::Usage("each connection has to have at least one topic".to_owned()));
        }
        let (exact, subscribe_us, bytes) = self.under_exact(broker)?;
        let one = self.under_wildcard(broker, 1)?;
        let many = self.under_wildcard(broker, self.topics)?;
        let (one_ns, many_ns) = (or_nan(one.ns_per_delivery()), or_nan(many.ns_per_delivery()));
        let figures = vec![
            ("ns/delivery", many_ns),
            ("ns one topic", one_ns),
            ("rate kept", one_ns / many_ns),
            ("deliveries/s", many.deliveries_per_second()),
            ("exact ns", or_nan(exact.ns_per_delivery())),
            ("subscribe us", subscribe_us),
            ("bytes/subscription", bytes),
        ];
        let mut report = Report::new(&many, figures);
        report.warnings.extend(one.warnings().into_iter().chain(exact.warnings()));
        report.json["one_topic"] = one.json();
        report.json["exact"] = exact.json();
        report.json["subscribe_us"] = subscribe_us.into();
        report.json["bytes_per_subscription"] = bytes.into();
        Ok(report)
    }
}

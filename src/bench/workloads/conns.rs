//! Many connections: what one costs to accept, to keep, and to serve now and then.
//!
//! ```text
//!  memory at 0 --connect in five steps--> N --rest--> memory at N, idle CPU --publish to each--> active
//! ```

use super::{WARM_UP, scenario, topics};
use crate::bench::adapter::Target;
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::generator::Generator;
use crate::bench::report::{Report, Workload, latency_us, or_nan};
use crate::bench::scenario::{Drive, Load, Member, Order};
use crate::bench::usage::Usage;
use serde_json::json;
use std::time::Duration;

/// Looks at the memory on the way.
const STEPS: u32 = 5;
/// How long the broker is left alone before its memory is looked at.
const SETTLE: Duration = Duration::from_millis(300);
/// Bytes of a payload of the active part.
const PAYLOAD_BYTES: usize = 64;

/// The workload.
#[derive(Debug, Clone)]
pub struct Conns {
    /// Connections, each with one subscription.
    pub connections: u32,
    /// Connections made a second; `None`: as fast as the broker takes them, 128 at a time.
    pub ramp: Option<f64>,
    /// Whether all subscribe to one topic instead of one each.
    pub one_topic: bool,
    /// Messages a second to each connection in the active part; `None`: no such part.
    pub rate_per_connection: Option<f64>,
    /// How long idleness and activity are measured.
    pub duration: Duration,
    /// Fanwire's reactors.
    pub reactors: u32,
}

/// What the idle part has shown.
struct Idle {
    memory: Vec<(u64, u64)>,
    bytes_per_connection: f64,
    accept_us: f64,
    idle_us_per_second: f64,
}

impl Conns {
    fn gather(&self, generator: &mut Generator) -> Result<Idle, BenchError> {
        generator.ramp(self.ramp);
        generator.rest(SETTLE)?;
        let empty = looked_at(generator)?;
        let (mut memory, mut done, mut accept_ns) = (vec![(0, empty.resident_bytes)], 0, 0);
        for step in 1..=STEPS {
            let before = looked_at(generator)?;
            // The rest belongs to it: some brokers work greetings off later.
            let next = u32::try_from(u64::from(self.connections) * u64::from(step) / u64::from(STEPS)).expect("a part");
            generator.gather(done as usize..next as usize)?;
            done = next;
            generator.rest(SETTLE)?;
            let after = looked_at(generator)?;
            accept_ns += after.since(&before).cpu_ns;
            memory.push((done.into(), after.resident_bytes));
        }
        let connections = f64::from(self.connections);
        let full = looked_at(generator)?;
        generator.rest(self.duration)?;
        let rested = looked_at(generator)?;
        // Memory is looked at after the rest: some brokers give back what greeting took.
        memory.push((self.connections.into(), rested.resident_bytes));
        let idle_us = rested.since(&full).cpu_ns as f64 / 1e3;
        Ok(Idle {
            bytes_per_connection: (rested.resident_bytes as f64 - empty.resident_bytes as f64) / connections,
            accept_us: accept_ns as f64 / 1e3 / connections,
            idle_us_per_second: idle_us / self.duration.as_secs_f64() / connections,
            memory,
        })
    }
}

impl Workload for Conns {
    fn title(&self) -> String {
        let topics = if self.one_topic { "all on one topic" } else { "own topic each" };
        let active = match self.rate_per_connection {
            Some(rate) => format!("; then {rate} messages a second to each, open loop"),
            None => String::new(),
        };
        format!("{} connections, {topics}, greeted and subscribed in one write{active}", self.connections)
    }

    fn setup(&self) -> Setup {
        Setup { split: !self.one_topic, reactors: self.reactors, queue_bytes_max: None, store: None }
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        let too_many = target == Target::Floor && !self.one_topic && self.connections >= u32::from(u16::MAX);
        too_many.then_some("the relay knows 65 534 topics; fewer connections, or --one-topic")
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        let count = self.connections;
        let topic_of = |number: u32| if self.one_topic { 0 } else { number };
        let mut members: Vec<Member> = (0..count).map(|number| Member::hearing(topic_of(number))).collect();
        let order = if self.one_topic { Order::Fixed(0) } else { Order::Cycle };
        members.push(Member::publishing(0, order));
        let topic_count = if self.one_topic { 1 } else { count };
        let mut generator =
            Generator::new(scenario(broker, topics(broker.target, topic_count), PAYLOAD_BYTES, members))?;
        let idle = self.gather(&mut generator)?;
        let mut report = Report {
            target: broker.target,
            figures: vec![
                ("bytes/conn", idle.bytes_per_connection),
                ("accept us/conn", idle.accept_us),
                ("idle us/conn/s", idle.idle_us_per_second),
                ("MiB at 0", idle.memory[0].1 as f64 / f64::from(1 << 20)),
            ],
            warnings: Vec::new(),
            latencies: None,
            json: json!({
                "target": broker.target.name(),
                "connections": count,
                "bytes_per_connection": idle.bytes_per_connection,
                "accept_us_per_connection": idle.accept_us,
                "idle_us_per_connection_second": idle.idle_us_per_second,
                "memory": idle.memory,
            }),
            memory: idle.memory,
        };
        if let Some(rate) = self.rate_per_connection {
            generator.gather(count as usize..count as usize + 1)?;
            self.serve(rate, &mut generator, &mut report)?;
        }
        Ok(report)
    }
}

impl Conns {
    /// The active part: so many messages a second to each connection.
    fn serve(&self, rate: f64, generator: &mut Generator, report: &mut Report) -> Result<(), BenchError> {
        let connections = f64::from(self.connections);
        let published = if self.one_topic { rate } else { rate * connections };
        let drive = Drive::Pace { rate: published, window: None };
        let measured = generator.run(&Load { batch: 1, drive, warm_up: WARM_UP, duration: self.duration })?;
        let cpu_us = or_nan(measured.broker_cores()) * 1e6 / connections;
        report.figures.extend([
            ("active us/conn/s", cpu_us),
            ("p50 us", latency_us(&measured.latencies, 50.0)),
            ("p99 us", latency_us(&measured.latencies, 99.0)),
            ("conns/core", 1e6 / cpu_us),
        ]);
        report.warnings.extend(measured.warnings());
        report.json["active"] = measured.json();
        report.json["connections_per_core"] = (1e6 / cpu_us).into();
        report.latencies = Some(measured.latencies);
        Ok(())
    }
}

fn looked_at(generator: &Generator) -> Result<Usage, BenchError> {
    let unseen = || BenchError::Usage("this needs the broker's process: give --pid beside --addr".to_owned());
    generator.usage()?.ok_or_else(unseen)
}

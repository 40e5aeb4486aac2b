//! What a journaled topic costs in memory that nobody publishes to any more and nobody hears.
//!
//! The score is the broker's own memory: pages of mapped segments belong to the page cache and go when somebody needs
//! them. What the kernel counts as resident stands beside it.

use super::{ALL, Place, grounded, only_fanwire};
use crate::bench::adapter::{Level, Target};
use crate::bench::appender::{Appender, Plan};
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::report::{Report, Workload};
use crate::bench::storage::Syncing;
use crate::bench::usage::Usage;
use serde_json::json;
use std::time::Duration;

const WINDOW: u64 = 1_000;
const PAYLOAD_BYTES: usize = 64;
/// Appends to one topic before memory is looked at first: what every journal costs is there by then.
const WARMING: u64 = 10_000;
/// How long the broker is left alone before its memory is looked at: twice what it lets pass between two syncs.
const SETTLE: Duration = Duration::from_millis(500);
const SPACE_BYTES: u64 = 1 << 30;

/// The workload.
#[derive(Debug, Clone)]
pub struct TopicMemory {
    /// Topics, a record each.
    pub topics: u32,
    /// Where.
    pub place: Place,
}

impl TopicMemory {
    fn plan(&self) -> Plan {
        Plan {
            publishers: 1,
            window: WINDOW,
            topics: 0..1,
            payload_bytes: PAYLOAD_BYTES,
            level: Level::Journaled,
            space_bytes: SPACE_BYTES,
        }
    }
}

impl Workload for TopicMemory {
    fn title(&self) -> String {
        format!("{} journaled topics, a record of {PAYLOAD_BYTES} bytes each, idle", self.topics)
    }

    fn setup(&self) -> Setup {
        self.place.setup(ALL, Syncing::Lazy, SPACE_BYTES)
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        only_fanwire(target)
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        let process = broker.process.expect("it was started by the bench");
        let look = || {
            std::thread::sleep(SETTLE);
            Usage::of(process).map_err(BenchError::Ended)
        };
        Appender::connect(broker, self.plan())?.append(WARMING)?;
        let before = look()?;
        // The connection and what was buffered for it are gone again when memory is looked at.
        Appender::connect(broker, Plan { topics: 1..self.topics + 1, ..self.plan() })?.append(self.topics.into())?;
        let after = look()?;
        let each = |before: u64, after: u64| (after as f64 - before as f64) / f64::from(self.topics);
        let own = each(before.anonymous_bytes, after.anonymous_bytes);
        let resident = each(before.resident_bytes, after.resident_bytes);
        let figures = vec![
            ("bytes/topic", own),
            ("resident bytes/topic", resident),
            ("MiB before", before.anonymous_bytes as f64 / f64::from(1 << 20)),
            ("MiB after", after.anonymous_bytes as f64 / f64::from(1 << 20)),
        ];
        let target = broker.target;
        let json = json!({
            "target": target.name(),
            "topics": self.topics,
            "own_bytes_per_topic": own,
            "resident_bytes_per_topic": resident,
        });
        let report = Report { target, figures, warnings: Vec::new(), latencies: None, memory: Vec::new(), json };
        Ok(grounded(broker, report))
    }
}

//! What a journal costs, a file each: appends, syncs, replays, and what all of that does to live traffic beside it.
//!
//! Each topic `bench/topic/N` is live or kept, as the workload wants it; where live and kept topics stand beside each
//! other, number 1 is the kept one.

pub mod append;
pub mod beside;
pub mod cold;
pub mod durable;
pub mod latency;
pub mod memory;
pub mod one;
pub mod replay;

use crate::bench::adapter::Target;
use crate::bench::brokers::{Broker, Setup};
use crate::bench::report::Report;
use crate::bench::storage::{Store, Syncing};
use std::path::PathBuf;

/// Everything is kept.
const ALL: &str = "bench/topic/#";
/// One topic is kept, the others are live.
const ONE: &str = "bench/topic/1";
const KEPT_TOPIC: u32 = 1;
/// What a run of appends may write: it ends early at that.
const APPENDED_BYTES_MAX: u64 = 2 << 30;
/// What only Fanwire is asked for.
const FANWIRE_ONLY: &str = "this is Fanwire against itself";

/// Where data go, and what Fanwire is started with.
#[derive(Debug, Clone)]
pub struct Place {
    /// The directory in which each run has one of its own.
    pub data: PathBuf,
    /// Fanwire's reactors.
    pub reactors: u32,
}

impl Place {
    fn setup(&self, filter: &'static str, syncing: Syncing, space_bytes: u64) -> Setup {
        let store = Store { data: self.data.clone(), filter, syncing, space_bytes };
        Setup { split: false, reactors: self.reactors, queue_bytes_max: None, store: Some(store) }
    }
}

/// The outcome with what there is to say of the disk.
fn grounded(broker: &Broker, mut report: Report) -> Report {
    report.warnings.extend(broker.ground().warning());
    report.json["data"] = broker.ground().json();
    report
}

fn only_fanwire(target: Target) -> Option<&'static str> {
    (target != Target::Fanwire).then_some(FANWIRE_ONLY)
}

fn without_mqtt(target: Target) -> Option<&'static str> {
    match target {
        Target::Mqtt => Some("it keeps no log that could be appended to"),
        Target::WebSocket | Target::Sse => Some("what keeping costs is measured natively"),
        _ => None,
    }
}

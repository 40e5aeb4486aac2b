//! What a replay from the disk does to live traffic: the tail of its latency alone, beside a replay of a log larger
//! than a gigabyte whose pages were dropped, and beside the same replay out of the page cache, which tells the disk's
//! part from that of the processors both have to share.
//!
//! ```text
//!  fill, look at the whole history once -> the broker ends and another one opens the log -> alone
//!    -> sync the files, posix_fadvise(DONTNEED) -> beside a cold replay      and again before each replay that follows
//!    -> replay once -> beside a warm one
//! ```
//!
//! The second broker has no page of the log mapped, which the kernel would not drop. How much the broker has really
//! read from the disk is told.

use super::{KEPT_TOPIC, ONE, Place, grounded, only_fanwire};
use crate::bench::adapter::{Level, Target, Topics};
use crate::bench::appender::{Appender, Plan};
use crate::bench::brokers::{Broker, Setup};
use crate::bench::error::BenchError;
use crate::bench::generator::Generator;
use crate::bench::measured::{Measured, Warning, Weight};
use crate::bench::replayer::Replayer;
use crate::bench::report::{Report, Workload, latency_us};
use crate::bench::scenario::{Drive, Load, Member, Order};
use crate::bench::storage::Syncing;
use crate::bench::usage::read_bytes;
use crate::bench::workloads::{WARM_UP, scenario, topics};
use rustix::fs::{Advice, fadvise};
use serde_json::json;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const WINDOW: u64 = 1_000;
/// Bytes of the payloads that the log is filled with: few records, many pages.
const LOG_PAYLOAD_BYTES: usize = 1_024;
const LIVE_PAYLOAD_BYTES: usize = 64;
const LIVE_TOPIC: u32 = 0;
const MIB: f64 = (1 << 20) as f64;
/// A cold replay that reads less of what it sends from the disk was none.
const COLD_SHARE_MIN: f64 = 0.9;

/// The workload.
#[derive(Debug, Clone)]
pub struct ColdReplay {
    /// Bytes of the log, about.
    pub log_bytes: u64,
    /// Live messages a second.
    pub rate: f64,
    /// How long each part is measured.
    pub duration: Duration,
    /// Where.
    pub place: Place,
}

/// What a replay beside live traffic came to.
struct Beside {
    live: Measured,
    /// What the reader of the history got.
    replayed_bytes: u64,
    /// What the broker read from the disk.
    read_bytes: u64,
}

impl ColdReplay {
    fn space_bytes(&self) -> u64 {
        self.log_bytes * 2 + (512 << 20)
    }

    fn fill(&self, broker: &Broker) -> Result<Replayer, BenchError> {
        let plan = Plan {
            publishers: 1,
            window: WINDOW,
            topics: KEPT_TOPIC..KEPT_TOPIC + 1,
            payload_bytes: LOG_PAYLOAD_BYTES,
            level: Level::Journaled,
            space_bytes: self.space_bytes(),
        };
        Appender::connect(broker, plan)?.append((self.log_bytes / LOG_PAYLOAD_BYTES as u64).max(1))?;
        Replayer::verified(broker, &Topics::new(KEPT_TOPIC + 1, '/'), KEPT_TOPIC)
    }

    fn live(&self, broker: &Broker) -> Result<Measured, BenchError> {
        let members = vec![Member::hearing(LIVE_TOPIC), Member::publishing(0, Order::Fixed(LIVE_TOPIC))];
        let mut generator = Generator::new(scenario(broker, topics(broker.target, 2), LIVE_PAYLOAD_BYTES, members))?;
        generator.gather(0..2)?;
        let drive = Drive::Pace { rate: self.rate, window: None };
        generator.run(&Load { batch: 1, drive, warm_up: WARM_UP, duration: self.duration })
    }

    /// Live traffic while one replay follows the other, each after something was done to the log.
    fn beside(
        &self,
        broker: &Broker,
        replayer: &Replayer,
        before_each: impl Fn() -> io::Result<()> + Sync,
    ) -> Result<Beside, BenchError> {
        let process = broker.process.expect("it was started by the bench");
        let is_over = AtomicBool::new(false);
        let before = read_bytes(process).map_err(BenchError::Ended)?;
        let (live, replayed) = std::thread::scope(|scope| {
            let replaying = scope.spawn(|| {
                let mut bytes = 0;
                while !is_over.load(Ordering::Relaxed) {
                    before_each()?;
                    bytes += replayer.timed(&is_over)?.1;
                }
                Ok(bytes)
            });
            let live = self.live(broker);
            is_over.store(true, Ordering::Relaxed);
            (live, replaying.join().expect("the reader does not panic"))
        });
        let replayed: Result<u64, BenchError> = replayed;
        let after = read_bytes(process).map_err(BenchError::Ended)?;
        Ok(Beside { live: live?, replayed_bytes: replayed?, read_bytes: after.saturating_sub(before) })
    }
}

/// Drops the pages of all files below a directory from the page cache. What is dirty is written first: it could not be
/// dropped.
fn drop_pages(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        // A prepared file may become a segment in the meantime.
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => drop_pages(&path)?,
            Ok(_) => {
                let Ok(file) = File::open(&path) else { continue };
                file.sync_all()?;
                fadvise(&file, 0, None, Advice::DontNeed)?;
            }
            Err(_) => {}
        }
    }
    Ok(())
}

impl Workload for ColdReplay {
    fn title(&self) -> String {
        format!(
            "1 -> 1 live, {LIVE_PAYLOAD_BYTES} bytes, {:.0} messages a second, open loop: alone, beside replays of \
             {} MiB whose pages were dropped before each (fdatasync, posix_fadvise DONTNEED), beside the same out of \
             the page cache",
            self.rate,
            self.log_bytes >> 20
        )
    }

    fn setup(&self) -> Setup {
        self.place.setup(ONE, Syncing::Lazy, self.space_bytes())
    }

    fn objection(&self, target: Target) -> Option<&'static str> {
        only_fanwire(target)
    }

    fn run(&self, broker: &Broker) -> Result<Report, BenchError> {
        let filled = self.fill(broker)?;
        let broker = &broker.again(&self.setup())?;
        let replayer = filled.at(broker.address);
        let directory = broker.ground().path();
        let alone = self.live(broker)?;
        let cold = self.beside(broker, &replayer, || drop_pages(directory))?;
        replayer.timed(&AtomicBool::new(false))?;
        let warm = self.beside(broker, &replayer, || Ok(()))?;
        let p999 = |measured: &Measured| latency_us(&measured.latencies, 99.9);
        let figures = vec![
            ("p99.9 ratio", p999(&cold.live) / p999(&alone)),
            ("p99.9 alone us", p999(&alone)),
            ("p99.9 cold us", p999(&cold.live)),
            ("p99.9 warm us", p999(&warm.live)),
            ("p50 alone us", latency_us(&alone.latencies, 50.0)),
            ("p50 cold us", latency_us(&cold.live.latencies, 50.0)),
            ("cold MiB replayed", cold.replayed_bytes as f64 / MIB),
            ("cold MiB from disk", cold.read_bytes as f64 / MIB),
            ("warm MiB replayed", warm.replayed_bytes as f64 / MIB),
        ];
        let mut report = Report::new(&cold.live, figures);
        report.warnings.extend(alone.warnings());
        // A record on the wire has about as many bytes as in the log.
        if (cold.read_bytes as f64) < cold.replayed_bytes as f64 * COLD_SHARE_MIN {
            let what = "less was read from the disk than was replayed: pages stayed in the cache".to_owned();
            report.warnings.push(Warning { weight: Weight::Doubtful, target: Some(broker.target), what });
        }
        report.json["alone"] = alone.json();
        report.json["warm"] = warm.live.json();
        report.json["cold_read_bytes"] = json!(cold.read_bytes);
        report.latencies = Some(cold.live.latencies.clone());
        Ok(grounded(broker, report))
    }
}

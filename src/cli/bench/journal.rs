//! `fanwire bench journal`: what keeping costs, against bare loops on the same disk and against others that keep.

use super::{Targets, held, parse_duration, parse_rate, parse_size, parse_targets};
use crate::bench::adapter::Target;
use crate::bench::report::Workload;
use crate::bench::trial::Field;
use crate::bench::workloads::journal::Place;
use crate::bench::workloads::journal::append::Append;
use crate::bench::workloads::journal::beside::Beside;
use crate::bench::workloads::journal::cold::ColdReplay;
use crate::bench::workloads::journal::durable::Durable;
use crate::bench::workloads::journal::latency::JournaledLatency;
use crate::bench::workloads::journal::memory::TopicMemory;
use crate::bench::workloads::journal::one::DurableOne;
use crate::bench::workloads::journal::replay::Replay;
use crate::cli::Failure;
use clap::Subcommand;
use std::path::PathBuf;
use std::time::Duration;

/// Where a verdict needs the disk.
pub(super) const DATA_HELP: &str = "Directory whose disk is measured; each run gets one of its own in it [default: the \
    system's temporary directory]";

const EXAMPLES: &str = "\
Examples:
  fanwire bench journal append --target all --data /var/tmp
  fanwire bench journal durable --pubs 4 --rounds 5
  fanwire bench journal replay --size 1024
  fanwire bench compare --only journal --data /var/tmp

The floors are loops in this process, on the same disk: a copy into a mapped file, a write and fdatasync, sendfile of a
cached file. The kind of the file system is printed; tmpfs has no disk, and numbers taken there are doubtful. Data are
removed afterwards, however the bench ends.";

/// What keeping costs: appends, syncs, replays, and what they do to live traffic
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Journal {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Appends acknowledged once they survive the broker: CPU of each
    Append {
        /// Publishers, a topic each
        #[arg(long, value_name = "P", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        pubs: u32,
        /// Appends that each may have on their way
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
        window: u32,
        /// Bytes of a payload
        #[arg(long, value_name = "B", default_value_t = 64, value_parser = parse_size)]
        size: usize,
        #[command(flatten)]
        beside: Others,
        #[command(flatten)]
        run: Run,
    },
    /// Appends acknowledged once they survive the machine: how close to a loop that only syncs
    Durable {
        /// Publishers, a topic each
        #[arg(long, value_name = "P", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        pubs: u32,
        /// Appends that each may have on their way
        #[arg(long, value_name = "N", default_value_t = 100)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000))]
        window: u32,
        /// Bytes of a payload
        #[arg(long, value_name = "B", default_value_t = 64, value_parser = parse_size)]
        size: usize,
        #[command(flatten)]
        beside: Others,
        #[command(flatten)]
        run: Run,
    },
    /// One durable append at a time: its latency
    DurableOne {
        /// Bytes of a payload
        #[arg(long, value_name = "B", default_value_t = 64, value_parser = parse_size)]
        size: usize,
        #[command(flatten)]
        beside: Others,
        #[command(flatten)]
        run: Run,
    },
    /// Cached history to one reader: bytes a second
    Replay {
        /// Bytes of a payload
        #[arg(long, value_name = "B", default_value_t = 64, value_parser = parse_size)]
        size: usize,
        /// MiB of history
        #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u64).range(1..=65_536))]
        mib: u64,
        #[command(flatten)]
        beside: Others,
        #[command(flatten)]
        run: Run,
    },
    /// Publish to deliver of a journaled topic, beside a live one of the same broker
    Latency {
        /// Messages a second
        #[arg(long, value_name = "R", default_value = "20000", value_parser = parse_rate)]
        rate: f64,
        /// Bytes of a payload
        #[arg(long, value_name = "B", default_value_t = 64, value_parser = parse_size)]
        size: usize,
        #[command(flatten)]
        run: Run,
    },
    /// Reactors' CPU for a live delivery, beside the journaling of another topic
    Beside {
        /// Subscribers of the live topic
        #[arg(long, value_name = "S", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        subs: u32,
        /// Messages a second to each of the two topics
        #[arg(long, value_name = "R", default_value = "10000", value_parser = parse_rate)]
        rate: f64,
        /// Bytes of a payload
        #[arg(long, value_name = "B", default_value_t = 64, value_parser = parse_size)]
        size: usize,
        #[command(flatten)]
        run: Run,
    },
    /// The tail of live latency while a log is replayed from the disk
    ColdReplay {
        /// MiB of the log
        #[arg(long, value_name = "N", default_value_t = 1_088)]
        #[arg(value_parser = clap::value_parser!(u64).range(1..=65_536))]
        mib: u64,
        /// Live messages a second
        #[arg(long, value_name = "R", default_value = "10000", value_parser = parse_rate)]
        rate: f64,
        #[command(flatten)]
        run: Run,
    },
    /// Memory of a journaled topic that nobody uses any more
    TopicMemory {
        /// Topics
        #[arg(long, value_name = "N", default_value_t = 100_000)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        topics: u32,
        #[command(flatten)]
        run: Run,
    },
}

/// Against whom.
#[derive(Debug, clap::Args)]
struct Others {
    /// Brokers, split by commas, or all: floor, fanwire, redis, nats
    #[arg(long, value_name = "TARGETS", default_value = "floor,fanwire", value_parser = parse_targets)]
    target: Targets,
}

/// How long, where, and where the outcome goes.
#[derive(Debug, clap::Args)]
struct Run {
    #[arg(long, value_name = "DIR", help = DATA_HELP)]
    data: Option<PathBuf>,
    /// Reactor threads of Fanwire
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    reactors: u32,
    /// How long each run is measured
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_duration)]
    duration: Duration,
    /// Rounds, in turns whose order changes: A B C, C B A
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Write everything for machines; - is standard output, in place of the table
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a verb is about, whom it asks, and how.
type Asked = (Box<dyn Workload>, Vec<Target>, Run);

impl Journal {
    pub(super) fn run(self) -> Result<(), Failure> {
        let (workload, targets, run) = self.verb.asked();
        held(&*workload, &Field::Own(targets), run.rounds, run.json.as_deref()).map(|_| ())
    }
}

impl Verb {
    fn asked(self) -> Asked {
        match self {
            Verb::Append { pubs: publishers, window, size: payload_bytes, beside, run } => {
                let (duration, place) = (run.duration, run.place());
                (Box::new(Append { publishers, window, payload_bytes, duration, place }), beside.target.0, run)
            }
            Verb::Durable { pubs: publishers, window, size: payload_bytes, beside, run } => {
                let (duration, place) = (run.duration, run.place());
                (Box::new(Durable { publishers, window, payload_bytes, duration, place }), beside.target.0, run)
            }
            Verb::DurableOne { size: payload_bytes, beside, run } => {
                let (duration, place) = (run.duration, run.place());
                (Box::new(DurableOne { payload_bytes, duration, place }), beside.target.0, run)
            }
            Verb::Replay { size: payload_bytes, mib, beside, run } => {
                let (duration, place) = (run.duration, run.place());
                let replay = Replay { payload_bytes, history_bytes: mib << 20, duration, place };
                (Box::new(replay), beside.target.0, run)
            }
            alone => {
                let (workload, run) = alone.alone();
                (workload, vec![Target::Fanwire], run)
            }
        }
    }

    /// Those that hold Fanwire against itself.
    fn alone(self) -> (Box<dyn Workload>, Run) {
        match self {
            Verb::Latency { rate, size: payload_bytes, run } => {
                let (duration, place) = (run.duration, run.place());
                (Box::new(JournaledLatency { rate, payload_bytes, duration, place }), run)
            }
            Verb::Beside { subs: subscribers, rate, size: payload_bytes, run } => {
                let (duration, place) = (run.duration, run.place());
                (Box::new(Beside { subscribers, rate, payload_bytes, duration, place }), run)
            }
            Verb::ColdReplay { mib, rate, run } => {
                let (duration, place) = (run.duration, run.place());
                (Box::new(ColdReplay { log_bytes: mib << 20, rate, duration, place }), run)
            }
            Verb::TopicMemory { topics, run } => {
                let place = run.place();
                (Box::new(TopicMemory { topics, place }), run)
            }
            Verb::Append { .. } | Verb::Durable { .. } | Verb::DurableOne { .. } | Verb::Replay { .. } => {
                unreachable!("these ask others too")
            }
        }
    }
}

impl Run {
    fn place(&self) -> Place {
        Place { data: data(self.data.clone()), reactors: self.reactors }
    }
}

/// Where data go.
pub(super) fn data(chosen: Option<PathBuf>) -> PathBuf {
    chosen.unwrap_or_else(std::env::temp_dir)
}

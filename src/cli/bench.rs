//! `fanwire bench`: arguments to a workload, its trial to a table.
//!
//! Everything that is measured lives in [`crate::bench`]. Here: what people type, and where the outcome goes.

mod journal;

use super::{Failure, tell};
use crate::bench::adapter::Target;
use crate::bench::compare::{self, Comparison};
use crate::bench::error::BenchError;
use crate::bench::machine::{Machine, raise_open_files};
use crate::bench::page::page;
use crate::bench::progress::Progress;
use crate::bench::report::Workload;
use crate::bench::stamp::STAMP_BYTES;
use crate::bench::trial::{Field, Trial, hold};
use crate::bench::workloads::conns::Conns;
use crate::bench::workloads::fanout::Fanout;
use crate::bench::workloads::game::Game;
use crate::bench::workloads::isolation::Isolation;
use crate::bench::workloads::latency::Latency;
use crate::bench::workloads::request::Request;
use crate::bench::workloads::storm::Storm;
use crate::bench::workloads::topics::ManyTopics;
use crate::bench::{brokers, calculator, doctor, ground, relay, scaling};
use clap::Subcommand;
use serde_json::Value;
use std::ffi::OsString;
use std::fs;
use std::io::{self, IsTerminal, Write, stdin, stdout};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

const EXAMPLES: &str = "\
Examples:
  fanwire bench doctor
  fanwire bench fanout --subs 100
  fanwire bench fanout --pubs 10 --subs 10 --topics 10 --target all
  fanwire bench fanout --subs 100 --target nats --addr 127.0.0.1:4222 --pid $(pidof nats-server)
  fanwire bench latency --rate 20000 --hgrm latency.hgrm
  fanwire bench journal append --target all --data /var/tmp
  fanwire bench compare --json numbers.json --html numbers.html
  fanwire bench scaling --html scaling.html

Without --addr the bench starts the brokers itself, on free ports of loopback with settings that it prints, and ends
them afterwards. The first column is the score; of most verbs it is the broker's CPU time (user and system) for one
delivery, beside the floor's: a bare epoll relay that only reads and writes. Every message carries a number; loss,
duplicates and disorder are told.";

/// Measure brokers against the floor and each other
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Bench {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Publishers to subscribers: CPU per delivery, at saturation or at a rate
    Fanout {
        /// Publishers, each cycling all topics
        #[arg(long, value_name = "P", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        pubs: u32,
        /// Subscribers, each of one topic
        #[arg(long, value_name = "S", default_value_t = 100)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        subs: u32,
        /// Topics
        #[arg(long, value_name = "K", default_value_t = 1)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        topics: u32,
        /// Connections beside them that do nothing
        #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=5_000_000))]
        idle: u32,
        /// Messages a second in all, open loop [default: at saturation]
        #[arg(long, value_name = "R", value_parser = parse_rate)]
        rate: Option<f64>,
        #[command(flatten)]
        messages: Messages,
        #[command(flatten)]
        run: Run,
    },
    /// Publish-to-deliver latency at a steady rate, timed from when each message was due
    Latency {
        /// Messages a second
        #[arg(long, value_name = "R", default_value = "20000", value_parser = parse_rate)]
        rate: f64,
        /// Subscribers of the one topic
        #[arg(long, value_name = "S", default_value_t = 1)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        subs: u32,
        /// Bytes of a payload
        #[arg(long, value_name = "B", default_value_t = 64, value_parser = parse_size)]
        size: usize,
        /// Write the percentiles of the last target's last round for HdrHistogram's plotters
        #[arg(long, value_name = "FILE")]
        hgrm: Option<PathBuf>,
        #[command(flatten)]
        run: Run,
    },
    /// Questions and answers through the broker
    Request {
        /// Requests a second, open loop [default: as fast as answers come]
        #[arg(long, value_name = "R", value_parser = parse_rate)]
        rate: Option<f64>,
        /// Requests under way at one time
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        in_flight: u32,
        /// Bytes of a request and of its answer
        #[arg(long, value_name = "B", default_value_t = 64, value_parser = parse_size)]
        size: usize,
        #[command(flatten)]
        run: Run,
    },
    /// Many connections: memory, CPU to accept and to keep them, and (--rate-per-conn) how many a core serves
    Conns {
        /// Connections, each with one subscription
        #[arg(long, value_name = "N", default_value_t = 10_000)]
        #[arg(value_parser = clap::value_parser!(u32).range(5..=5_000_000))]
        conns: u32,
        /// Connections made a second [default: as fast as they are taken]
        #[arg(long, value_name = "R", value_parser = parse_rate)]
        ramp: Option<f64>,
        /// Subscribe all to one topic instead of one each
        #[arg(long)]
        one_topic: bool,
        /// Then send so many messages a second to each connection
        #[arg(long, value_name = "M", value_parser = parse_rate)]
        rate_per_conn: Option<f64>,
        #[command(flatten)]
        run: Run,
    },
    /// Everyone reconnects at once; the latency of the others meanwhile
    Storm {
        /// Connections that come back
        #[arg(long, value_name = "N", default_value_t = 5_000)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=5_000_000))]
        conns: u32,
        #[command(flatten)]
        run: Run,
    },
    /// What a dead reader costs the rest
    Isolation {
        /// Subscribers in all
        #[arg(long, value_name = "S", default_value_t = 100)]
        #[arg(value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
        subs: u32,
        /// How many of them do not read
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        stalled: u32,
        #[command(flatten)]
        messages: Messages,
        #[command(flatten)]
        run: Run,
    },
    /// Very many topics by name in random order: under one wildcard, and with an exact subscription each
    Topics {
        /// Topics
        #[arg(long, value_name = "N", default_value_t = 1_000_000)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
        topics: u32,
        /// Connections that share the exact subscriptions
        #[arg(long, value_name = "N", default_value_t = 1_000)]
        #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        conns: u32,
        #[command(flatten)]
        messages: Messages,
        #[command(flatten)]
        run: Run,
    },
    /// Rooms in which every player publishes each tick and hears the others
    Game {
        /// Rooms
        #[arg(long, value_name = "R", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
        rooms: u32,
        /// Players of a room
        #[arg(long, value_name = "P", default_value_t = 100, value_parser = clap::value_parser!(u32).range(2..))]
        players: u32,
        /// Ticks a second
        #[arg(long, value_name = "HZ", default_value = "20", value_parser = parse_rate)]
        hz: f64,
        /// Bytes of a player's state
        #[arg(long, value_name = "B", default_value_t = 64, value_parser = parse_size)]
        size: usize,
        #[command(flatten)]
        run: Run,
    },
    Journal(journal::Journal),
    /// The whole table: every broker that is installed, beside the floor, in turns
    Compare {
        /// Rounds, in turns whose order changes: A B C, C B A
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        rounds: u32,
        /// How long each run is measured
        #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
        duration: Duration,
        /// Only the row of this name, or those whose names hold this [default: all but those about the journal]
        #[arg(long, value_name = "TEXT")]
        only: Option<String>,
        /// Brokers, split by commas, or all
        #[arg(long, value_name = "TARGETS", default_value = "all", value_parser = parse_targets)]
        target: Targets,
        #[arg(long, value_name = "DIR", help = journal::DATA_HELP)]
        data: Option<PathBuf>,
        /// Write everything for machines; - is standard output, in place of the tables
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Write one page for people
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Scaling on paper: what a message, a delivery, a write and a hop cost here, and what more cores would carry
    Scaling {
        /// Rounds, in turns whose order changes
        #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        rounds: u32,
        /// How long each run is measured
        #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
        duration: Duration,
        /// Write everything for machines; - is standard output, in place of the tables
        #[arg(long, value_name = "FILE")]
        json: Option<PathBuf>,
        /// Write one page with fields to change
        #[arg(long, value_name = "FILE")]
        html: Option<PathBuf>,
    },
    /// Say what to mend on this machine before believing a number
    Doctor,
    /// Become a program that ends with the process that started this one
    #[command(hide = true)]
    Leash {
        /// The program and its arguments
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        words: Vec<OsString>,
    },
    /// Remove a directory of data once the input ends
    #[command(hide = true)]
    Sweep {
        /// The directory
        directory: PathBuf,
    },
    /// The floor: a bare relay, started by the bench itself
    #[command(hide = true)]
    FloorRelay {
        /// Tell messages apart: several publishers or topics
        #[arg(long)]
        split: bool,
    },
}

/// What is sent.
#[derive(Debug, clap::Args)]
struct Messages {
    /// Bytes of a payload
    #[arg(long, value_name = "B", default_value_t = 64, value_parser = parse_size)]
    size: usize,
    /// Messages of one write of a publisher
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
}

/// Against whom, how long, and where the outcome goes.
#[derive(Debug, clap::Args)]
struct Run {
    /// Brokers, split by commas, or all: floor, fanwire, ws and sse (fanwire's, too), redis, nats, mqtt
    #[arg(long, value_name = "TARGETS", default_value = "floor,fanwire", value_parser = parse_targets)]
    target: Targets,
    /// A broker that runs already; with one --target
    #[arg(long, value_name = "ADDRESS")]
    addr: Option<SocketAddr>,
    /// Its process: for CPU time and memory
    #[arg(long, value_name = "PID", requires = "addr")]
    pid: Option<u32>,
    /// Reactor threads of the Fanwire that is started [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    reactors: Option<u32>,
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

/// What `--target` names.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Targets(Vec<Target>);

impl Bench {
    pub(super) fn run(self) -> Result<(), Failure> {
        raise_open_files();
        match self.verb {
            Verb::Doctor => Ok(print(&doctor::examine())?),
            Verb::Leash { words } => {
                let error = brokers::leash(&words);
                Err(Failure::Run(format!("{} can't be started: {error}", words[0].display())))
            }
            Verb::FloorRelay { split } => relay::run(split, |address| {
                let _ = print(&format!("listening {address}\n"));
            })
            .map_err(|error| Failure::Run(format!("the floor relay failed: {error}"))),
            Verb::Sweep { directory } => ground::sweep(&directory, stdin().lock())
                .map_err(|error| Failure::Run(format!("{} is not removed: {error}", directory.display()))),
            Verb::Journal(journal) => journal.run(),
            Verb::Compare { rounds, duration, only, target, data, json, html } => {
                let plan = compare::Plan { rounds, duration, only, targets: target.0, data: journal::data(data) };
                compare(&plan, json.as_deref(), html.as_deref())
            }
            Verb::Scaling { rounds, duration, json, html } => {
                let scaling = shown(|show| scaling::measure(rounds, duration, show))?;
                let page = || calculator::page(&scaling);
                put_out(|| scaling.print(), || scaling.json(), page, json.as_deref(), html.as_deref())
            }
            Verb::Latency { rate, subs, size, hgrm, run } => {
                let (duration, reactors) = (run.duration, run.reactors());
                let trial = run.hold(&Latency { rate, subscribers: subs, payload_bytes: size, duration, reactors })?;
                write_hgrm(&trial, hgrm.as_deref())
            }
            verb => {
                let (workload, run) = verb.workload();
                run.hold(&*workload).map(|_| ())
            }
        }
    }
}

impl Verb {
    /// The verbs that are one workload and nothing else.
    fn workload(self) -> (Box<dyn Workload>, Run) {
        match self {
            Verb::Fanout { pubs, subs, topics, idle, rate, messages, run } => {
                let Messages { size: payload_bytes, batch } = messages;
                let (publishers, subscribers, duration, reactors) = (pubs, subs, run.duration, run.reactors());
                let workload =
                    Fanout { publishers, subscribers, topics, idle, payload_bytes, batch, rate, duration, reactors };
                (Box::new(workload), run)
            }
            Verb::Request { rate, in_flight, size, run } => {
                let (duration, reactors) = (run.duration, run.reactors());
                (Box::new(Request { rate, in_flight, payload_bytes: size, duration, reactors }), run)
            }
            Verb::Conns { conns, ramp, one_topic, rate_per_conn, run } => {
                let (connections, rate_per_connection) = (conns, rate_per_conn);
                let (duration, reactors) = (run.duration, run.reactors());
                let workload = Conns { connections, ramp, one_topic, rate_per_connection, duration, reactors };
                (Box::new(workload), run)
            }
            Verb::Storm { conns, run } => {
                let (duration, reactors) = (run.duration, run.reactors());
                (Box::new(Storm { connections: conns, duration, reactors }), run)
            }
            Verb::Isolation { subs, stalled, messages, run } => {
                let Messages { size: payload_bytes, batch } = messages;
                let (subscribers, duration, reactors) = (subs, run.duration, run.reactors());
                (Box::new(Isolation { subscribers, stalled, payload_bytes, batch, duration, reactors }), run)
            }
            Verb::Topics { topics, conns, messages, run } => {
                let Messages { size: payload_bytes, batch } = messages;
                let (connections, duration, reactors) = (conns, run.duration, run.reactors());
                (Box::new(ManyTopics { topics, connections, payload_bytes, batch, duration, reactors }), run)
            }
            Verb::Game { rooms, players, hz, size, run } => {
                let (duration, reactors) = (run.duration, run.reactors());
                (Box::new(Game { rooms, players, hz, payload_bytes: size, duration, reactors }), run)
            }
            Verb::Latency { .. }
            | Verb::Compare { .. }
            | Verb::Scaling { .. }
            | Verb::Doctor
            | Verb::Journal(_)
            | Verb::Sweep { .. }
            | Verb::Leash { .. }
            | Verb::FloorRelay { .. } => {
                unreachable!("these are more than a workload")
            }
        }
    }
}

impl Run {
    fn hold(&self, workload: &dyn Workload) -> Result<Trial, Failure> {
        held(workload, &self.field()?, self.rounds, self.json.as_deref())
    }

    fn reactors(&self) -> u32 {
        self.reactors.unwrap_or(1)
    }

    fn field(&self) -> Result<Field, BenchError> {
        if self.addr.is_some() && self.reactors.is_some() {
            let message = "--reactors is for a Fanwire that the bench starts: start the one at --addr with it instead";
            return Err(BenchError::Usage(message.to_owned()));
        }
        match (&*self.target.0, self.addr) {
            (targets, None) => Ok(Field::Own(targets.to_vec())),
            ([target], Some(address)) => Ok(Field::Attached { target: *target, address, process: self.pid }),
            _ => Err(BenchError::Usage("--addr is one broker's: name it with --target".to_owned())),
        }
    }
}

/// Holds the trial of one workload, and puts out what came of it.
fn held(workload: &dyn Workload, field: &Field, rounds: u32, json: Option<&Path>) -> Result<Trial, Failure> {
    let contestants = match field {
        Field::Own(targets) => u32::try_from(targets.len()).expect("a few"),
        Field::Attached { .. } => 1,
    };
    let trial = shown(|show| hold(workload, field, rounds, &mut Progress::new(rounds * contestants, show)))?;
    if trial.entries.is_empty() {
        return Err(Failure::Run(format!("nobody could be measured: {}", trial.skipped.join("; "))));
    }
    let machine = Machine::here();
    // The table comes first: a file that can't be written must not cost what was measured.
    if json != Some(Path::new("-")) {
        let settings: String = trial.settings.iter().map(|line| format!("  {line}\n")).collect();
        let rounds = match rounds {
            1 => "1 round".to_owned(),
            rounds => format!("{rounds} rounds, in turns"),
        };
        print(&format!("{}\n{settings}  {rounds}\n\n{}", machine.line(), trial.print()))?;
    }
    if let Some(file) = json {
        write_json(file, &trial.json(&machine))?;
    }
    Ok(trial)
}

fn compare(plan: &compare::Plan, json: Option<&Path>, html: Option<&Path>) -> Result<(), Failure> {
    let comparison: Comparison = shown(|show| compare::compare(plan, show))?;
    put_out(|| comparison.print(), || comparison.json(), || page(&comparison), json, html)
}

/// Text for people, unless standard output is for machines, and the files that were asked for.
fn put_out(
    text: impl Fn() -> String,
    value: impl Fn() -> Value,
    page: impl Fn() -> String,
    json: Option<&Path>,
    html: Option<&Path>,
) -> Result<(), Failure> {
    if json != Some(Path::new("-")) {
        print(&text())?;
    }
    if let Some(file) = json {
        write_json(file, &value())?;
    }
    if let Some(file) = html {
        write(file, &page())?;
    }
    Ok(())
}

/// Characters of a progress line: one that wraps could not be redrawn.
const PROGRESS_CHARACTERS: usize = 79;

/// Does long work with a progress line on a terminal.
fn shown<T>(work: impl FnOnce(&mut dyn FnMut(&str)) -> Result<T, BenchError>) -> Result<T, Failure> {
    let is_terminal = io::stderr().is_terminal();
    let mut line = |text: &str| {
        if is_terminal {
            let text: String = text.chars().take(PROGRESS_CHARACTERS).collect();
            // Progress that can't be shown is no reason to stop.
            let _ = write!(io::stderr(), "\r\x1b[K{text}");
        }
    };
    let outcome = work(&mut line);
    line("");
    Ok(outcome?)
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        match error {
            BenchError::Usage(message) => Failure::Usage(message),
            other => Failure::Run(other.to_string()),
        }
    }
}

fn write_hgrm(trial: &Trial, file: Option<&Path>) -> Result<(), Failure> {
    let Some(file) = file else { return Ok(()) };
    let round = trial.entries.last().and_then(|entry| entry.rounds.last());
    let latencies = round.and_then(|round| round.report.latencies.as_ref()).expect("a latency run has latencies");
    write(file, &latencies.hgrm())
}

fn write_json(file: &Path, value: &Value) -> Result<(), Failure> {
    let text = format!("{value:#}\n");
    if file == Path::new("-") { Ok(print(&text)?) } else { write(file, &text) }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    fs::write(file, text).map_err(|error| Failure::Run(format!("{} can't be written: {error}", file.display())))?;
    tell(&format!("wrote {}", file.display()));
    Ok(())
}

fn print(text: &str) -> io::Result<()> {
    let mut output = stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}

fn parse_targets(text: &str) -> Result<Targets, String> {
    if text == "all" {
        return Ok(Targets(Target::ALL.to_vec()));
    }
    let known = || Target::ALL.map(Target::name).join(", ");
    let find = |name: &str| Target::named(name).ok_or_else(|| format!("{name:?} is none of {}, all", known()));
    let mut targets: Vec<Target> = text.split(',').map(find).collect::<Result<_, _>>()?;
    targets.sort_unstable();
    targets.dedup();
    Ok(Targets(targets))
}

fn parse_rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.parse().map_err(|_| "a rate is a number a second, such as 20000 or 0.5".to_owned())?;
    if (1e-3..=1e9).contains(&rate) { Ok(rate) } else { Err("a rate lies between 0.001 and 1000000000".to_owned()) }
}

fn parse_size(text: &str) -> Result<usize, String> {
    let size: usize = text.parse().map_err(|_| "a size is a number of bytes".to_owned())?;
    let range = STAMP_BYTES..=1_000_000;
    if range.contains(&size) {
        Ok(size)
    } else {
        Err(format!("a payload has {STAMP_BYTES} bytes (publisher, number, time) to 1000000"))
    }
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).map_err(|error| format!("{error}; such as 5s or 500ms"))?;
    let range = Duration::from_millis(10)..=Duration::from_secs(3_600);
    if range.contains(&duration) { Ok(duration) } else { Err("a run takes 10ms to 1h".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_named_once_each_in_the_order_of_tables() {
        assert_eq!(parse_targets("nats,floor,nats"), Ok(Targets(vec![Target::Floor, Target::Nats])));
        assert_eq!(parse_targets("all").unwrap().0.len(), Target::ALL.len());
        assert!(parse_targets("kafka").unwrap_err().contains("none of floor, fanwire"), "kafka is not known");
    }

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        assert!(parse_size("23").is_err() && parse_size("24").is_ok());
        assert!(parse_rate("0").is_err() && parse_rate("NaN").is_err() && parse_rate("20000").is_ok());
        assert!(parse_duration("1ms").is_err() && parse_duration("5s").is_ok());
    }
}

//! What things cost here, measured, and what that would come to on more cores than there are.

use super::adapter::Target;
use super::error::BenchError;
use super::machine::Machine;
use super::model::{Observations, Prices, Seen, Shape};
use super::progress::Progress;
use super::table::{Table, figure};
use super::trial::{Contestant, Place, Trial, contest};
use super::workloads::fanout::Fanout;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// The cores of the table.
pub const CORES: [u32; 4] = [1, 4, 16, 64];
const SUBSCRIBERS: u32 = 100;
const PAYLOAD_BYTES: usize = 64;
const BATCH: u32 = 50;
/// Messages a second at which each has its turn, and its writes, for itself.
const SLOW_RATE: f64 = 500.0;

/// The runs that the prices come from; the first is what the multiples in their table are of.
const MANY: &str = "1 -> 100";
const SLOW: &str = "1 -> 100, slow";
const ONE: &str = "1 -> 1";
const ONE_ACROSS: &str = "1 -> 1, 2 reactors";
const MANY_ACROSS: &str = "1 -> 100, 2 reactors";
const MANY_WIDER: &str = "1 -> 100, 4 reactors";
/// The ways to measure a hop.
const HOPS: [&str; 3] = ["1 -> 1, to the other of 2 reactors", "1 -> 100 on 2 reactors", "1 -> 100 on 4 reactors"];

/// What was measured, and what it comes to.
#[derive(Debug)]
pub struct Scaling {
    /// On what.
    pub machine: Machine,
    /// When, as text.
    pub date: String,
    /// The runs.
    pub trial: Trial,
    /// What they come to.
    pub prices: Prices,
    /// What a hop costs, measured in three ways: name and nanoseconds.
    pub hops: Vec<(&'static str, f64)>,
}

/// The kinds of traffic of the table.
pub fn shapes() -> [(&'static str, Shape); 5] {
    let shape = |subscribers, messages_per_write, remote| Shape { subscribers, messages_per_write, remote };
    [
        ("1 -> 1, 50 a write", shape(1.0, 50.0, None)),
        ("1 -> 1, 50 a write, half on the same core", shape(1.0, 50.0, Some(0.5))),
        ("1 -> 100, 50 a write", shape(100.0, 50.0, None)),
        ("rooms of 100, a write each, spread by chance", shape(99.0, 1.0, None)),
        ("rooms of 100, a write each, a room to a core", shape(99.0, 1.0, Some(0.0))),
    ]
}

/// Measures the prices. Every run is repeated so many rounds, in turns.
pub fn measure(rounds: u32, duration: Duration, show: &mut dyn FnMut(&str)) -> Result<Scaling, BenchError> {
    let runs = runs(duration);
    let place = Place::Own(Target::Fanwire);
    let contestants: Vec<Contestant<'_>> =
        runs.iter().map(|(name, workload)| Contestant { name: (*name).to_owned(), place, workload }).collect();
    let mut progress = Progress::new(rounds * u32::try_from(runs.len()).expect("a few"), show);
    let title = format!("fanwire, {PAYLOAD_BYTES} bytes, {BATCH} messages a write, slow: one at {SLOW_RATE} a second");
    let trial = contest(title, MANY, &contestants, rounds, &mut progress)?;
    let observed = observed(&trial)
        .ok_or_else(|| BenchError::Stuck(format!("not everything could be measured: {}", trial.skipped.join("; "))))?;
    Ok(Scaling {
        machine: Machine::here(),
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        prices: Prices::of(&observed),
        hops: HOPS.into_iter().zip(observed.hops_ns).collect(),
        trial,
    })
}

fn runs(duration: Duration) -> [(&'static str, Fanout); 6] {
    let run = |subscribers, reactors| Fanout {
        publishers: 1,
        subscribers,
        topics: 1,
        idle: 0,
        payload_bytes: PAYLOAD_BYTES,
        batch: BATCH,
        rate: None,
        duration,
        reactors,
    };
    [
        (MANY, run(SUBSCRIBERS, 1)),
        (SLOW, Fanout { rate: Some(SLOW_RATE), batch: 1, ..run(SUBSCRIBERS, 1) }),
        (ONE, run(1, 1)),
        (ONE_ACROSS, run(1, 2)),
        (MANY_ACROSS, run(SUBSCRIBERS, 2)),
        (MANY_WIDER, run(SUBSCRIBERS, 4)),
    ]
}

/// The medians of the runs; `None` when one of them is missing.
fn observed(trial: &Trial) -> Option<Observations> {
    let seen = |name: &str| {
        let entry = trial.entry(name)?;
        let batch = entry.spread("msgs/write").or_else(|| entry.spread("msgs/read"))?;
        Some(Seen { delivery_ns: entry.spread("ns/delivery")?.median, messages_per_write: batch.median })
    };
    // What a message costs more, all its deliveries together.
    let more = |name| Some((seen(name)?.delivery_ns - seen(MANY)?.delivery_ns) * f64::from(SUBSCRIBERS));
    Some(Observations {
        one: seen(ONE)?,
        many: seen(MANY)?,
        slow: seen(SLOW)?,
        subscribers: f64::from(SUBSCRIBERS),
        hops_ns: [
            seen(ONE_ACROSS)?.delivery_ns - seen(ONE)?.delivery_ns,
            more(MANY_ACROSS)?,
            // To three others.
            more(MANY_WIDER)? / 3.0,
        ],
    })
}

impl Scaling {
    /// Everything for people.
    pub fn print(&self) -> String {
        let mut text = format!("{}\n{}\n\n{}\n", self.date, self.machine.line(), self.trial.print());
        text.push_str(&self.price_table().print());
        text.push_str(&format!(
            "\ndeliveries a second on so many cores, a reactor on each; of one topic, messages a second\n{}",
            self.table().print()
        ));
        text.push_str(&format!("\n{FORMULA}\n"));
        text
    }

    /// What things cost.
    pub fn price_table(&self) -> Table {
        let Prices { message_ns, delivery_ns, write_ns, hop_ns } = self.prices;
        let mut table = Table::new(&["what", "ns of CPU"]);
        let mut push = |name: &str, price: f64| table.push(vec![name.to_owned(), figure(price)]);
        push("a message: read, decode, route, render", message_ns);
        push("a delivery, without its write", delivery_ns);
        push(if self.are_writes_counted() { "a write to a subscriber" } else { GUESSED_WRITE }, write_ns);
        push("a message's hop to one more reactor: the middle of three", hop_ns);
        self.hops.iter().for_each(|(name, price)| push(&format!("hop, {name}"), *price));
        if hop_ns == 0.0 {
            table.push(vec!["(a hop was less than the noise here: the model counts none)".to_owned(), String::new()]);
        }
        table
    }

    /// Whether perf has counted what a write carried. If not, a read of the generator stands for a write.
    fn are_writes_counted(&self) -> bool {
        [MANY, SLOW, ONE]
            .iter()
            .all(|name| self.trial.entry(name).is_some_and(|entry| entry.spread("msgs/write").is_some()))
    }

    /// A kind of traffic a line.
    pub fn table(&self) -> Table {
        let heads = CORES.map(|cores| if cores == 1 { "1 core".to_owned() } else { format!("{cores} cores") });
        let mut head = vec!["traffic"];
        head.extend(heads.iter().map(String::as_str));
        head.extend(["of 64 x 1", "most of it", "one topic on 64"]);
        let mut table = Table::new(&head);
        for (name, shape) in shapes() {
            let loads = CORES.map(|cores| self.prices.carried(&shape, cores));
            let [one, .., most] = loads;
            let mut row = vec![name.to_owned()];
            row.extend(loads.iter().map(|load| figure(load.deliveries)));
            let (what, share) = most.dominant();
            row.push(format!("{:.0} %", most.messages / one.messages / f64::from(CORES[3]) * 100.0));
            row.push(format!("{what}, {:.0} %", share * 100.0));
            row.push(figure(most.one_topic));
            table.push(row);
        }
        table
    }

    /// Everything, for machines.
    pub fn json(&self) -> Value {
        let Prices { message_ns, delivery_ns, write_ns, hop_ns } = self.prices;
        let shapes = shapes().map(|(name, shape)| {
            let loads = CORES.map(|cores| {
                let load = self.prices.carried(&shape, cores);
                let shares: serde_json::Map<String, Value> =
                    load.shares.iter().map(|(what, share)| ((*what).to_owned(), (*share).into())).collect();
                json!({
                    "cores": cores,
                    "messages_per_second": load.messages,
                    "deliveries_per_second": load.deliveries,
                    "one_topic_messages_per_second": load.one_topic,
                    "shares": shares,
                })
            });
            json!({"traffic": name, "subscribers": shape.subscribers, "loads": loads})
        });
        let hops: serde_json::Map<String, Value> =
            self.hops.iter().map(|(name, price)| ((*name).to_owned(), (*price).into())).collect();
        json!({
            "date": self.date,
            "prices_ns": {"message": message_ns, "delivery": delivery_ns, "write": write_ns, "hop": hop_ns},
            "hops_ns": hops,
            "writes_counted": self.are_writes_counted(),
            "traffic": shapes,
            "trial": self.trial.json(&self.machine),
        })
    }
}

/// The price of a write where a read of the generator stood for one.
const GUESSED_WRITE: &str = "a write to a subscriber (a guess: without perf writes are not counted)";

/// The model in words, for tables and pages.
pub const FORMULA: &str = "\
N cores, S subscribers of a message, r the share of them on other cores ((N - 1) / N by chance), b messages a write:
  hops      = (N - 1) x (1 - (1 - 1 / (N - 1)) ^ (S x r))
  a message = message + hops x hop + S x (delivery + write / b)
  all cores = N x 1e9 / a message, where traffic is spread evenly
  one topic = 1e9 / what a message costs on the busiest core: its publisher's, which pays all hops, or another
Left out, so that this is too much: polls, reads and wakes of messages that come alone (what a message and a hop
cost was measured in batches: this is of busy brokers), memory bandwidth, shared caches, the kernel's locks, the
network card and its interrupts (leave them the other half of the machine), the look at N x (N - 1) mailboxes,
wildcards that make interest coarse, uneven load. And so that it is too little: batches grow with load, so a write
carries more.";

#[cfg(test)]
pub(super) mod samples {
    use super::*;
    use crate::bench::trial::samples::variants;

    pub(crate) fn scaling() -> Scaling {
        let trial = variants(&[
            (MANY, &[20.0]),
            (SLOW, &[1_000.0]),
            (ONE, &[150.0]),
            (ONE_ACROSS, &[250.0]),
            (MANY_ACROSS, &[22.0]),
            (MANY_WIDER, &[26.0]),
        ]);
        let prices = Prices { message_ns: 100.0, delivery_ns: 10.0, write_ns: 1_000.0, hop_ns: 50.0 };
        let hops = vec![("one", 50.0), ("two", 40.0), ("three", f64::NAN)];
        Scaling { machine: Machine::here(), date: "2026-01-01T00:00:00Z".to_owned(), trial, prices, hops }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_says_what_cores_carry_and_where_it_stops() {
        let text = samples::scaling().print();
        assert!(text.contains("a write to a subscriber") && text.contains("1 000"), "{text}");
        // 1e9 / (100 + 10 + 1000 / 50) on one core; rooms that stay on a core lose nothing.
        assert!(text.contains("7 692 308"), "{text}");
        assert!(text.contains("100 %"), "{text}");
        assert_eq!(samples::scaling().json()["traffic"][0]["loads"][0]["cores"], 1);
    }

    #[test]
    fn what_is_missing_makes_no_price() {
        assert!(observed(&crate::bench::trial::samples::variants(&[(MANY, &[20.0])])).is_none());
    }
}

//! What Fanwire has set itself to reach, held against what a comparison has seen: must, should, seen.
//!
//! Multiples are paired round by round. A demand on a row that was not taken, or on somebody who was not measured, is
//! left out and not counted as held.

use super::adapter::Target;
use super::compare::Row;
use super::spread::Spread;
use super::table::{Table, figure};
use super::trial::Trial;
use serde_json::{Value, json};

/// Subscribers of the rows in which reactors are held against each other: deliveries that a message makes.
pub const REACTOR_SUBSCRIBERS: u32 = 100;

/// A demand and what was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The row.
    pub work: String,
    /// What of it.
    pub what: &'static str,
    /// What was seen.
    pub seen: Spread,
    bound: Bound,
}

/// What is demanded of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bound {
    /// It must not be more than the first, and should not be more than the second.
    AtMost(f64, f64),
    AtLeast(f64),
    Within(f64, f64),
    /// It is only told.
    Told,
}

/// The number.
#[derive(Debug, Clone, Copy)]
enum Measure {
    Figure(&'static str),
    /// A figure as a multiple of another contestant's; without a name, the score.
    Multiple(Option<&'static str>, &'static str),
    /// How far a figure lies behind the best of all others in the same round.
    BehindBest(&'static str),
    /// A variant of Fanwire's score as a multiple of the plain one's.
    Variant(&'static str),
    /// What one more reactor with subscribers costs a message, in nanoseconds: of this variant, which has so many.
    Hop(&'static str, u32),
}

const FLOOR: &str = Target::Floor.name();
const NATS: &str = Target::Nats.name();
const FANWIRE: &str = Target::Fanwire.name();
const CPU: &str = "CPU a delivery, x floor";

/// A row by its name, what of it, how it is measured, what is demanded.
const DEMANDS: [(&str, &str, Measure, Bound); 22] = [
    ("1 -> 100", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.5, 1.2)),
    ("1 -> 1000", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.6, 1.25)),
    ("1 -> 1", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.5, 1.2)),
    ("10 -> 10 over 10 topics", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.6, 1.6)),
    ("10 -> 10 over 10 topics", "CPU a delivery, x nats", Measure::Multiple(None, NATS), Bound::AtMost(0.25, 0.25)),
    ("1 -> 100, half rate", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.5, 1.2)),
    ("1 -> 1000, half rate", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.6, 1.25)),
    ("1 -> 1, half rate", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.5, 1.2)),
    ("10 -> 10 over 10 topics, half rate", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.6, 1.6)),
    ("half rate", "messages a write, x floor", Measure::Multiple(Some("msgs/write"), FLOOR), Bound::Within(0.8, 1.2)),
    ("half rate", "p50, x floor", Measure::Multiple(Some("p50 us"), FLOOR), Bound::AtMost(1.25, 1.25)),
    ("latency at 20 000/s", "p50 behind the best, us", Measure::BehindBest("p50 us"), Bound::AtMost(5.0, 2.0)),
    (
        "idle connections, own topic each",
        "bytes a connection",
        Measure::Figure("bytes/conn"),
        Bound::AtMost(500.0, 250.0),
    ),
    (
        "idle connections, own topic each",
        ACCEPT,
        Measure::Multiple(Some("accept us/conn"), FLOOR),
        Bound::AtMost(1.6, 1.3),
    ),
    (
        "idle connections, own topic each",
        "MiB without connections",
        Measure::Figure("MiB at 0"),
        Bound::AtMost(16.0, 16.0),
    ),
    ("idle connections, one topic", "bytes a connection", Measure::Figure("bytes/conn"), Bound::AtMost(250.0, 150.0)),
    ("1 of 100 stalled", "CPU a delivery, x none stalled", Measure::Figure("CPU ratio"), Bound::AtMost(1.05, 1.05)),
    ("1 million topics", "rate, x one topic", Measure::Figure("rate kept"), Bound::AtLeast(0.5)),
    (
        "idle connections beside",
        "CPU a delivery, x without",
        Measure::Variant("beside idle"),
        Bound::AtMost(1.05, 1.05),
    ),
    ("several reactors", "CPU a delivery, 2 x 1", Measure::Variant("2 reactors"), Bound::AtMost(1.5, 1.5)),
    ("several reactors", "CPU a delivery, 4 x 1", Measure::Variant("4 reactors"), Bound::AtMost(1.5, 1.5)),
    ("several reactors", "ns a message and hop", Measure::Hop("2 reactors", 2), Bound::Told),
];
const ACCEPT: &str = "CPU to accept, greet and subscribe, x floor";

/// What the rows say to each demand.
pub fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let judged = DEMANDS.iter().flat_map(|(name, what, measure, bound)| {
        let meant = rows.iter().filter(move |row| row.name == *name || is_half(&row.name, name));
        meant.filter_map(|row| {
            let seen = measure.of(&row.trial)?;
            Some(Verdict { work: row.name.clone(), what, seen, bound: *bound })
        })
    });
    judged.collect()
}

fn is_half(row: &str, name: &str) -> bool {
    name == "half rate" && row.ends_with(", half rate")
}

impl Measure {
    fn of(self, trial: &Trial) -> Option<Spread> {
        match self {
            Measure::Figure(name) => trial.entry(FANWIRE)?.spread(name),
            Measure::Multiple(name, other) => {
                trial.multiple(FANWIRE, other, name.unwrap_or_else(|| trial.score_name()))
            }
            Measure::Variant(variant) => trial.ratio(variant),
            Measure::BehindBest(name) => behind_best(trial, name),
            Measure::Hop(variant, reactors) => hop_ns(trial, variant, reactors),
        }
    }
}

fn behind_best(trial: &Trial, name: &str) -> Option<Spread> {
    let behind = trial.entry(FANWIRE)?.rounds.iter().filter_map(|round| {
        let others = trial.entries.iter().filter(|entry| entry.name != FANWIRE);
        let best = Spread::of(others.filter_map(|entry| entry.round(round.number)?.figure(name)))?.min;
        Some(round.report.figure(name)? - best)
    });
    Spread::of(behind)
}

/// Each message goes to every reactor but the publisher's own.
fn hop_ns(trial: &Trial, variant: &str, reactors: u32) -> Option<Spread> {
    let base = trial.entry(&trial.base)?;
    let hops = f64::from(reactors - 1);
    let more = trial.entry(variant)?.rounds.iter().filter_map(|round| {
        let (many, one) = (round.report.score(), base.round(round.number)?.score());
        Some((many - one) * f64::from(REACTOR_SUBSCRIBERS) / hops)
    });
    Spread::of(more)
}

impl Verdict {
    fn must(&self) -> String {
        match self.bound {
            Bound::AtMost(must, _) => format!("<= {}", short(must)),
            Bound::AtLeast(must) => format!(">= {}", short(must)),
            Bound::Within(low, high) => format!("{}..{}", short(low), short(high)),
            Bound::Told => "-".to_owned(),
        }
    }

    fn should(&self) -> String {
        match self.bound {
            Bound::AtMost(must, should) if should < must => format!("<= {}", short(should)),
            _ => "-".to_owned(),
        }
    }

    /// What it comes to: of the median.
    pub fn judgement(&self) -> String {
        let seen = self.seen.median;
        let (holds, is_as_it_should) = match self.bound {
            Bound::AtMost(must, should) => (seen <= must, seen <= should),
            Bound::AtLeast(must) => (seen >= must, true),
            Bound::Within(low, high) => ((low..=high).contains(&seen), true),
            Bound::Told => return "told".to_owned(),
        };
        match (holds, is_as_it_should) {
            (true, true) => "holds".to_owned(),
            (true, false) => "holds, should be less".to_owned(),
            (false, _) => format!("missed: {}", figure(seen)),
        }
    }
}

/// All of them for people; empty when no demand was looked at.
pub fn table(verdicts: &[Verdict]) -> Table {
    let mut table = Table::new(&["Fanwire", "must", "should", "seen", "verdict"]);
    for verdict in verdicts {
        table.push(vec![
            format!("{}: {}", verdict.work, verdict.what),
            verdict.must(),
            verdict.should(),
            verdict.seen.print(),
            verdict.judgement(),
        ]);
    }
    table
}

/// All of them, for the page: those that are missed stand out.
pub fn html(verdicts: &[Verdict]) -> String {
    if verdicts.is_empty() {
        return String::new();
    }
    let table = table(verdicts).html().replace("<td>missed", "<td class=\"warning\">missed");
    format!("<h2>What Fanwire must be</h2>\n<div class=\"scroll\">{table}</div>\n")
}

/// All of them, for machines.
pub fn json(verdicts: &[Verdict]) -> Value {
    let verdicts = verdicts.iter().map(|verdict| {
        json!({
            "work": verdict.work,
            "what": verdict.what,
            "must": verdict.must(),
            "should": verdict.should(),
            "seen": verdict.seen.json(),
            "verdict": verdict.judgement(),
        })
    });
    verdicts.collect()
}

fn short(value: f64) -> String {
    let text = figure(value);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::super::compare::Kind;
    use super::super::trial::samples::{trial, variants};
    use super::*;

    fn judged(name: &str, trial: Trial) -> Vec<String> {
        let rows = [Row { name: name.to_owned(), kind: Kind::Saturated, trial }];
        let line = |verdict: &Verdict| format!("{} {}: {}", verdict.what, verdict.must(), verdict.judgement());
        verdicts(&rows).iter().map(line).collect()
    }

    #[test]
    fn multiples_are_judged_by_their_median() {
        let with = |fanwire: &[f64]| {
            trial(&[(Target::Floor, &[20.0, 20.0, 20.0]), (Target::Fanwire, fanwire), (Target::Nats, &[400.0; 3])])
        };
        assert_eq!(judged("1 -> 100", with(&[22.0, 24.0, 90.0])), ["CPU a delivery, x floor <= 1.5: holds"]);
        let line = "CPU a delivery, x floor <= 1.5: holds, should be less";
        assert_eq!(judged("1 -> 100", with(&[22.0, 26.0, 90.0])), [line]);
        assert_eq!(judged("1 -> 100", with(&[22.0, 40.0, 90.0])), ["CPU a delivery, x floor <= 1.5: missed: 2.00"]);
        let lines = ["CPU a delivery, x floor <= 1.6: missed: 2.00", "CPU a delivery, x nats <= 0.25: holds"];
        assert_eq!(judged("10 -> 10 over 10 topics", with(&[40.0; 3])), lines);
    }

    #[test]
    fn latency_is_judged_by_the_best_of_the_same_round() {
        let latencies =
            trial(&[(Target::Floor, &[30.0, 90.0]), (Target::Fanwire, &[33.0, 85.0]), (Target::Nats, &[60.0, 80.0])]);
        assert_eq!(behind_best(&latencies, "ns/delivery"), Spread::of([3.0, 5.0]));
    }

    #[test]
    fn more_reactors_are_judged_by_one_and_tell_the_price_of_a_hop() {
        let trial =
            variants(&[("1 reactor", &[20.0, 40.0]), ("2 reactors", &[24.0, 44.0]), ("4 reactors", &[40.0, 80.0])]);
        let lines = [
            "CPU a delivery, 2 x 1 <= 1.5: holds",
            "CPU a delivery, 4 x 1 <= 1.5: missed: 2.00",
            "ns a message and hop -: told",
        ];
        assert_eq!(judged("several reactors", trial), lines);
    }

    #[test]
    fn what_was_not_measured_is_not_judged() {
        assert!(judged("1 -> 100", trial(&[(Target::Fanwire, &[1.0])])).is_empty());
        assert!(judged("no demand", trial(&[(Target::Fanwire, &[1.0])])).is_empty());
        assert_eq!(html(&[]), "");
    }

    #[test]
    fn what_is_missed_stands_out_on_the_page() {
        let seen = Spread { median: 2.0, min: 2.0, max: 2.0 };
        let verdict = Verdict { work: "w".to_owned(), what: "x", seen, bound: Bound::AtMost(1.5, 1.2) };
        assert!(html(&[verdict]).contains("<td class=\"warning\">missed: 2.00</td>"));
    }
}

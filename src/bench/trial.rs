//! One workload against several brokers in turns: A B C, A B C. What a noisy machine does to one round it does to all
//! targets of that round, and medians with their spread say how much that was.

use super::adapter::Target;
use super::brokers::Broker;
use super::error::BenchError;
use super::machine::Machine;
use super::report::{Report, Workload};
use super::table::{Table, figure};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Whom to measure.
#[derive(Debug, Clone)]
pub enum Field {
    /// Brokers that this bench starts.
    Own(Vec<Target>),
    /// One that somebody else has started.
    Attached {
        /// Whose protocol it speaks.
        target: Target,
        /// Where it listens.
        address: SocketAddr,
        /// Its process, for processor time and memory.
        process: Option<u32>,
    },
}

/// All rounds of one workload.
#[derive(Debug)]
pub struct Trial {
    /// What was done.
    pub title: String,
    /// The outcomes of each target, round by round.
    pub entries: Vec<Entry>,
    /// How each broker was started.
    pub settings: Vec<String>,
    /// Who was not measured, and why.
    pub skipped: Vec<String>,
}

/// The rounds of one target.
#[derive(Debug)]
pub struct Entry {
    /// Whose.
    pub target: Target,
    /// Its outcomes.
    pub reports: Vec<Report>,
    /// Whether the last round came to nothing, which may have ended the broker.
    has_failed: bool,
}

/// The middle of several values, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The middle one; the mean of the middle two of an even number.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Spread {
    /// Of these values; those that are no numbers do not count.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (min, max) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median =
            if values.len() % 2 == 1 { values[middle] } else { f64::midpoint(values[middle - 1], values[middle]) };
        Some(Spread { median, min, max })
    }

    /// The median, and the range where there is one.
    pub fn print(self) -> String {
        if self.min == self.max {
            return figure(self.median);
        }
        format!("{} ({}..{})", figure(self.median), figure(self.min), figure(self.max))
    }
}

/// Runs the workload so many rounds against everybody. `tell` hears what happens next, for a progress line.
pub fn hold(
    workload: &dyn Workload,
    field: &Field,
    rounds: u32,
    tell: &mut dyn FnMut(&str),
) -> Result<Trial, BenchError> {
    let mut trial = Trial { title: workload.title(), entries: Vec::new(), settings: Vec::new(), skipped: Vec::new() };
    let mut brokers = trial.enter(workload, field)?;
    for broker in &brokers {
        trial.settings.push(broker.line());
        trial.entries.push(Entry { target: broker.target, reports: Vec::new(), has_failed: false });
    }
    for round in 1..=rounds {
        for (broker, entry) in brokers.iter_mut().zip(&mut trial.entries) {
            tell(&format!("round {round} of {rounds}, {}: {}", broker.target.name(), trial.title));
            let is_used = round > 1 && workload.wants_fresh_broker() || std::mem::take(&mut entry.has_failed);
            if is_used && matches!(field, Field::Own(_)) {
                *broker = Broker::start(broker.target, workload.setup())?;
            }
            match workload.run(broker) {
                Ok(report) => entry.reports.push(report),
                // A peer that fails is a result too, and begins anew; only usage and the machine end the trial.
                Err(
                    error @ (BenchError::Connect { .. }
                    | BenchError::Closed { .. }
                    | BenchError::Fault { .. }
                    | BenchError::Stuck(_)),
                ) => {
                    trial.skipped.push(format!("{}, round {round}: {error}", broker.target.name()));
                    entry.has_failed = true;
                }
                Err(error) => return Err(error),
            }
        }
    }
    if trial.entries.iter().all(|entry| entry.reports.is_empty()) {
        return Err(BenchError::Stuck(format!("nobody could be measured: {}", trial.skipped.join("; "))));
    }
    trial.entries.retain(|entry| !entry.reports.is_empty());
    Ok(trial)
}

impl Trial {
    fn enter(&mut self, workload: &dyn Workload, field: &Field) -> Result<Vec<Broker>, BenchError> {
        let targets = match field {
            Field::Attached { target, address, process } => {
                return Ok(vec![Broker::attached(*target, *address, *process)]);
            }
            Field::Own(targets) => targets,
        };
        let mut brokers = Vec::new();
        for target in targets {
            if let Some(objection) = workload.objection(*target) {
                self.skipped.push(format!("{}: {objection}", target.name()));
                continue;
            }
            match Broker::start(*target, workload.setup()) {
                Ok(broker) => brokers.push(broker),
                Err(error @ (BenchError::Missing { .. } | BenchError::Start { .. })) => {
                    self.skipped.push(format!("{}: {error}", target.name()));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(brokers)
    }

    /// The outcomes of one target.
    pub fn entry(&self, target: Target) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.target == target)
    }

    /// The name of the score.
    pub fn score_name(&self) -> &'static str {
        let figures = self.entries.first().and_then(|entry| entry.reports.first()).map(|report| &report.figures);
        figures.and_then(|figures| figures.first()).map_or("", |(name, _)| name)
    }

    /// What a target's score is as a multiple of the floor's.
    pub fn ratio(&self, target: Target) -> Option<f64> {
        Some(self.entry(target)?.score()?.median / self.entry(Target::Floor)?.score()?.median)
    }

    /// A line a target, and what spoils the numbers below.
    pub fn print(&self) -> String {
        let names: Vec<&str> = self
            .entries
            .iter()
            .flat_map(|entry| &entry.reports)
            .next()
            .map_or(Vec::new(), |report| report.figures.iter().map(|(name, _)| *name).collect());
        let mut head = vec!["target", "x floor"];
        head.extend(&names);
        let mut table = Table::new(&head);
        for entry in &self.entries {
            let ratio = self.ratio(entry.target).map_or_else(|| "-".to_owned(), figure);
            let mut row = vec![entry.target.name().to_owned(), ratio];
            for (index, name) in names.iter().enumerate() {
                let spread = entry.spread(name);
                let cell =
                    if index == 0 { spread.map(Spread::print) } else { spread.map(|spread| figure(spread.median)) };
                row.push(cell.unwrap_or_else(|| "-".to_owned()));
            }
            table.push(row);
        }
        let mut text = format!("{}\n{}", self.title, table.print());
        for warning in self.warnings() {
            text.push_str(&format!("  ! {warning}\n"));
        }
        text
    }

    /// What a reader should know before believing the numbers, each once.
    pub fn warnings(&self) -> Vec<String> {
        let reports = self.entries.iter().flat_map(|entry| &entry.reports);
        let mut warnings: Vec<String> = reports.flat_map(|report| report.warnings.clone()).collect();
        warnings.extend(self.skipped.iter().map(|skipped| format!("skipped {skipped}")));
        let mut seen = std::collections::HashSet::new();
        warnings.retain(|warning| seen.insert(warning.clone()));
        warnings
    }

    /// Everything, for machines.
    pub fn json(&self, machine: &Machine) -> Value {
        let targets = self.entries.iter().map(|entry| {
            let runs: Vec<&Value> = entry.reports.iter().map(|report| &report.json).collect();
            let figures = entry.reports.first().map_or(Vec::new(), |report| report.figures.clone());
            let medians = figures.iter().map(|(name, _)| {
                let spread = entry.spread(name);
                let value = spread.map(|spread| json!({"median": spread.median, "min": spread.min, "max": spread.max}));
                ((*name).to_owned(), value.unwrap_or(Value::Null))
            });
            json!({
                "target": entry.target.name(),
                "ratio_to_floor": self.ratio(entry.target),
                "figures": Value::Object(medians.collect()),
                "runs": runs,
            })
        });
        json!({
            "title": self.title,
            "machine": machine.json(),
            "settings": self.settings,
            "skipped": self.skipped,
            "targets": targets.collect::<Vec<Value>>(),
        })
    }
}

impl Entry {
    /// The score over all rounds.
    pub fn score(&self) -> Option<Spread> {
        Spread::of(self.reports.iter().map(Report::score))
    }

    /// A figure over all rounds.
    pub fn spread(&self, name: &str) -> Option<Spread> {
        Spread::of(self.reports.iter().filter_map(|report| report.figure(name)))
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;
    use crate::bench::histogram::Latencies;

    /// A trial with these scores a target.
    pub(crate) fn trial(scores: &[(Target, &[f64])]) -> Trial {
        let mut latencies = Latencies::default();
        (1..1_000).for_each(|value| latencies.record(value * 100));
        let report = |target: Target, score: f64| Report {
            target,
            figures: vec![("ns/delivery", score), ("deliveries/s", 1e9 / score)],
            warnings: Vec::new(),
            latencies: Some(latencies.clone()),
            memory: vec![(0, 1_000_000), (1_000, 2_000_000)],
            json: json!({"score": score}),
        };
        let entry = |(target, scores): &(Target, &[f64])| Entry {
            target: *target,
            reports: scores.iter().map(|score| report(*target, *score)).collect(),
            has_failed: false,
        };
        Trial {
            title: "a title with <angles>".to_owned(),
            entries: scores.iter().map(entry).collect(),
            settings: vec!["floor: as it comes".to_owned()],
            skipped: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_is_the_middle() {
        let spread = Spread::of([3.0, f64::NAN, 1.0, 2.0]).unwrap();
        assert_eq!((spread.median, spread.min, spread.max), (2.0, 1.0, 3.0));
        assert_eq!(Spread::of([1.0, 2.0]).unwrap().median, 1.5);
        assert_eq!(Spread::of([f64::NAN]), None);
        assert_eq!(spread.print(), "2.00 (1.00..3.00)");
    }

    #[test]
    fn scores_are_told_as_multiples_of_the_floor() {
        let trial = samples::trial(&[(Target::Floor, &[20.0, 22.0, 21.0]), (Target::Fanwire, &[30.0, 33.0, 31.5])]);
        assert_eq!(trial.ratio(Target::Fanwire), Some(1.5));
        let text = trial.print();
        assert!(text.contains("fanwire     1.50  31.5 (30.0..33.0)"), "{text}");
        assert_eq!(trial.json(&Machine::here())["targets"][1]["figures"]["ns/delivery"]["median"], 31.5);
    }
}

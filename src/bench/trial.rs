//! One workload, several contestants in turns: A B C, C B A, B C A, A C B, C A B, B A C. What a noisy machine does to
//! one round it does to everybody in it, so multiples are taken round by round before their middle is. Each two rounds
//! begin with the next one, and the second is the first in reverse: nobody always runs early, or after the same one.
//!
//! A broker is started for its run and ended behind it: nobody else's timers run beside it, and nothing that an earlier
//! run has left in its memory is measured.

use super::adapter::Target;
use super::brokers::Broker;
use super::error::BenchError;
use super::machine::Machine;
use super::measured::{Warning, Weight};
use super::progress::Progress;
use super::report::{Report, Workload};
use super::spread::Spread;
use super::table::{Table, figure};
use serde_json::{Value, json};
use std::collections::HashSet;
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

/// Who takes part.
pub struct Contestant<'a> {
    /// What it is called in tables; the first one's numbers are those that multiples are of, unless it is the floor
    /// that takes part.
    pub name: String,
    /// Where it is.
    pub place: Place,
    /// What is done with it.
    pub workload: &'a dyn Workload,
}

/// Where a contestant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Started for each run.
    Own(Target),
    /// Somebody else has started it.
    Attached(Target, SocketAddr, Option<u32>),
}

/// All rounds of one workload.
#[derive(Debug)]
pub struct Trial {
    /// What was done.
    pub title: String,
    /// Whose numbers multiples are of.
    pub base: String,
    /// How many rounds were to be.
    pub rounds: u32,
    /// The outcomes of each contestant, round by round.
    pub entries: Vec<Entry>,
    /// Those who were to take part and have no outcome at all.
    pub absent: Vec<Entry>,
    /// How each broker was started.
    pub settings: Vec<String>,
    /// Who was not measured, and why.
    pub skipped: Vec<String>,
}

/// The rounds of one contestant.
#[derive(Debug)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Whose broker.
    pub target: Target,
    /// Its outcomes; a round that failed is not among them.
    pub rounds: Vec<Round>,
    /// Why the others failed.
    pub failures: Vec<String>,
}

/// The outcome of one round.
#[derive(Debug)]
pub struct Round {
    /// Counted from 1.
    pub number: u32,
    /// What came of it.
    pub report: Report,
}

/// Runs the workload so many rounds against everybody.
pub fn hold(
    workload: &dyn Workload,
    field: &Field,
    rounds: u32,
    progress: &mut Progress<'_>,
) -> Result<Trial, BenchError> {
    let places = match field {
        Field::Own(targets) => targets.iter().map(|target| Place::Own(*target)).collect(),
        Field::Attached { target, address, process } => vec![Place::Attached(*target, *address, *process)],
    };
    let contestant = |place: Place| Contestant { name: place.target().name().to_owned(), place, workload };
    let contestants: Vec<Contestant<'_>> = places.into_iter().map(contestant).collect();
    contest(workload.title(), Target::Floor.name(), &contestants, rounds, progress)
}

/// Runs so many rounds of these against each other. `base` is the name of whose numbers multiples are of. A trial
/// without entries says in [`Trial::skipped`] why everybody failed.
pub fn contest(
    title: String,
    base: &str,
    contestants: &[Contestant<'_>],
    rounds: u32,
    progress: &mut Progress<'_>,
) -> Result<Trial, BenchError> {
    let mut trial = Trial::announced(title, base, rounds);
    let mut able = Vec::new();
    for contestant in contestants {
        match contestant.workload.objection(contestant.place.target()) {
            None => able.push(contestant),
            Some(objection) => {
                trial.excuse(&contestant.name, contestant.place.target(), objection.to_owned());
                progress.skip(rounds);
            }
        }
    }
    trial.entries = able.iter().map(|contestant| Entry::of(&contestant.name, contestant.place.target())).collect();
    for round in 1..=rounds {
        for number in turns(round, able.len()) {
            trial.run(round, rounds, able[number], number, progress)?;
        }
    }
    let failed = trial.entries.extract_if(.., |entry| entry.rounds.is_empty());
    trial.absent.extend(failed);
    Ok(trial)
}

/// Who comes when in a round: each two rounds begin with the next one, and the second of them is the first in reverse.
fn turns(round: u32, count: usize) -> impl Iterator<Item = usize> {
    let (first, is_reversed) = ((round as usize - 1) / 2, round.is_multiple_of(2));
    (0..count).map(move |place| (first + if is_reversed { count - 1 - place } else { place }) % count)
}

impl Place {
    /// Whose broker.
    pub fn target(self) -> Target {
        match self {
            Place::Own(target) | Place::Attached(target, ..) => target,
        }
    }
}

impl Contestant<'_> {
    fn broker(&self) -> Result<Broker, BenchError> {
        match self.place {
            Place::Own(target) => Broker::start(target, &self.workload.setup()),
            Place::Attached(target, address, process) => Ok(Broker::attached(target, address, process)),
        }
    }
}

impl Trial {
    /// One in which nothing has been run yet.
    pub(super) fn announced(title: String, base: &str, rounds: u32) -> Trial {
        Trial {
            title,
            base: base.to_owned(),
            rounds,
            entries: Vec::new(),
            absent: Vec::new(),
            settings: Vec::new(),
            skipped: Vec::new(),
        }
    }

    /// One who was to take part does not, and why.
    pub(super) fn excuse(&mut self, name: &str, target: Target, reason: String) {
        self.skipped.push(format!("{name}: {reason}"));
        self.absent.push(Entry { failures: vec![reason], ..Entry::of(name, target) });
    }

    fn run(
        &mut self,
        round: u32,
        rounds: u32,
        contestant: &Contestant<'_>,
        entry: usize,
        progress: &mut Progress<'_>,
    ) -> Result<(), BenchError> {
        let name = &contestant.name;
        progress.tell(&format!("round {round} of {rounds}, {name}: {}", self.title));
        let outcome = contestant.broker().and_then(|broker| {
            let line = broker.line();
            if !self.settings.contains(&line) {
                self.settings.push(line);
            }
            contestant.workload.run(&broker)
        });
        progress.pass();
        match outcome {
            Ok(report) => self.entries[entry].rounds.push(Round { number: round, report }),
            // A peer that fails is a result too, and begins anew; only usage and the machine end the trial.
            Err(error @ (BenchError::Missing { .. } | BenchError::Unfit { .. })) => {
                let (skipped, failures) = (format!("{name}: {error}"), &mut self.entries[entry].failures);
                if !self.skipped.contains(&skipped) {
                    self.skipped.push(skipped);
                    failures.push(error.to_string());
                }
            }
            Err(error) if error.is_of_one_broker() => {
                self.skipped.push(format!("{name}, round {round}: {error}"));
                self.entries[entry].failures.push(format!("round {round}: {error}"));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The outcomes of one contestant.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// One who was to take part and has no outcome at all.
    pub fn absent(&self, name: &str) -> Option<&Entry> {
        self.absent.iter().find(|entry| entry.name == name)
    }

    /// The name of the score.
    pub fn score_name(&self) -> &'static str {
        self.figure_names().first().copied().unwrap_or("")
    }

    fn figure_names(&self) -> Vec<&'static str> {
        let mut reports = self.entries.iter().flat_map(|entry| &entry.rounds);
        reports.next().map_or(Vec::new(), |round| round.report.figures.iter().map(|(name, _)| *name).collect())
    }

    /// What a contestant's score is as a multiple of the base's.
    pub fn ratio(&self, name: &str) -> Option<Spread> {
        self.ratio_of(name, self.score_name())
    }

    /// What a figure is as a multiple of the base's: taken in each round that both have been through.
    pub fn ratio_of(&self, name: &str, figure: &str) -> Option<Spread> {
        self.multiple(name, &self.base, figure)
    }

    /// The same, as a multiple of somebody else's.
    pub fn multiple(&self, name: &str, other: &str, figure: &str) -> Option<Spread> {
        Spread::of(self.multiples(name, other, figure))
    }

    /// The same, round by round, of those that both have been through.
    pub fn multiples(&self, name: &str, other: &str, figure: &str) -> Vec<f64> {
        let Some((entry, other)) = self.entry(name).zip(self.entry(other)) else { return Vec::new() };
        let multiple = |round: &Round| {
            let (own, others) = (round.report.figure(figure)?, other.round(round.number)?.figure(figure)?);
            Some(own / others).filter(|multiple| multiple.is_finite())
        };
        entry.rounds.iter().filter_map(multiple).collect()
    }

    /// A line a contestant, and what spoils the numbers below.
    pub fn print(&self) -> String {
        let names = self.figure_names();
        let multiple = format!("x {}", self.base);
        let mut head = vec!["target", &multiple];
        head.extend(&names);
        let mut table = Table::new(&head);
        for entry in &self.entries {
            let ratio = self.ratio(&entry.name).map_or_else(|| "-".to_owned(), Spread::print);
            let mut row = vec![entry.name.clone(), ratio];
            for (index, name) in names.iter().enumerate() {
                let spread = entry.spread(name);
                let cell =
                    if index == 0 { spread.map(Spread::print) } else { spread.map(|spread| figure(spread.median)) };
                row.push(cell.unwrap_or_else(|| "-".to_owned()));
            }
            table.push(row);
        }
        let table = if self.entries.is_empty() { "nobody could be measured\n".to_owned() } else { table.print() };
        let mut text = format!("{}\n{table}", self.title);
        for warning in self.warnings() {
            text.push_str(&format!("  ! {warning}\n"));
        }
        text
    }

    /// What a reader should know before believing the numbers, each once.
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.entries.iter().flat_map(Entry::warnings);
        each_once(warnings.chain(self.skipped.iter().map(|skipped| format!("skipped {skipped}"))))
    }

    /// Everything, for machines.
    pub fn json(&self, machine: &Machine) -> Value {
        let names = self.figure_names();
        let targets = self.entries.iter().map(|entry| {
            let runs: Vec<&Value> = entry.rounds.iter().map(|round| &round.report.json).collect();
            let rounds: Vec<u32> = entry.rounds.iter().map(|round| round.number).collect();
            let medians = names.iter().map(|name| {
                let value = entry.spread(name).map_or(Value::Null, Spread::json);
                ((*name).to_owned(), value)
            });
            json!({
                "name": entry.name,
                "target": entry.target.name(),
                "ratio_to_base": self.ratio(&entry.name).map(Spread::json),
                "figures": Value::Object(medians.collect()),
                "rounds": rounds,
                "failures": entry.failures,
                "warnings": entry.warnings(),
                "runs": runs,
            })
        });
        json!({
            "title": self.title,
            "base": self.base,
            "machine": machine.json(),
            "settings": self.settings,
            "skipped": self.skipped,
            "targets": targets.collect::<Vec<Value>>(),
        })
    }
}

fn each_once(lines: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = HashSet::new();
    lines.filter(|line| seen.insert(line.clone())).collect()
}

impl Entry {
    /// Of one who has not been through any round yet.
    pub(super) fn of(name: &str, target: Target) -> Entry {
        Entry { name: name.to_owned(), target, rounds: Vec::new(), failures: Vec::new() }
    }

    /// Its warnings of this weight: the first of them, and how many rounds have one.
    pub fn warned(&self, weight: Weight) -> Option<(&Warning, u32)> {
        let of_rounds = self.rounds.iter().map(|round| &round.report.warnings);
        let mut warned = of_rounds.filter_map(|warnings| warnings.iter().find(|warning| warning.weight == weight));
        let first = warned.next()?;
        Some((first, 1 + u32::try_from(warned.count()).expect("a few rounds")))
    }

    /// All of its warnings, each once.
    fn warnings(&self) -> Vec<String> {
        each_once(self.rounds.iter().flat_map(|round| &round.report.warnings).map(Warning::to_string))
    }

    /// The outcome of a round, if it came to one.
    pub fn round(&self, number: u32) -> Option<&Report> {
        self.rounds.iter().find(|round| round.number == number).map(|round| &round.report)
    }

    /// The score over all rounds.
    pub fn score(&self) -> Option<Spread> {
        Spread::of(self.rounds.iter().map(|round| round.report.score()))
    }

    /// A figure over all rounds.
    pub fn spread(&self, name: &str) -> Option<Spread> {
        Spread::of(self.rounds.iter().filter_map(|round| round.report.figure(name)))
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;
    use crate::bench::histogram::Latencies;

    /// A trial of Fanwire against itself, with these scores a variant; the first is the base.
    pub(crate) fn variants(scores: &[(&str, &[f64])]) -> Trial {
        let scores_only: Vec<_> = scores.iter().map(|(_, scores)| (Target::Fanwire, *scores)).collect();
        let mut trial = trial(&scores_only);
        trial.base = scores[0].0.to_owned();
        trial.entries.iter_mut().zip(scores).for_each(|(entry, (name, _))| entry.name = (*name).to_owned());
        trial
    }

    /// A trial with these scores a target; no number is a round that failed.
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
        let entry = |(target, scores): &(Target, &[f64])| {
            let rounds = scores.iter().zip(1..).filter(|(score, _)| score.is_finite());
            let rounds = rounds.map(|(score, number)| Round { number, report: report(*target, *score) });
            Entry { rounds: rounds.collect(), ..Entry::of(target.name(), *target) }
        };
        Trial {
            title: "a title with <angles>".to_owned(),
            base: Target::Floor.name().to_owned(),
            rounds: scores.iter().map(|(_, scores)| u32::try_from(scores.len()).expect("a few")).max().unwrap_or(0),
            entries: scores.iter().map(entry).collect(),
            absent: Vec::new(),
            settings: vec!["floor: as it comes".to_owned()],
            skipped: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::brokers::Setup;

    #[test]
    fn scores_are_told_as_multiples_of_the_floor_in_the_same_round() {
        // A slow second round slows both: its multiple is as good as any.
        let trial = samples::trial(&[(Target::Floor, &[20.0, 40.0, 21.0]), (Target::Fanwire, &[30.0, 56.0, 33.6])]);
        assert_eq!(trial.ratio("fanwire"), Some(Spread { median: 1.5, min: 1.4, max: 1.6 }));
        let text = trial.print();
        assert!(text.contains("fanwire  1.50 (1.40..1.60)  33.6 (30.0..56.0)"), "{text}");
        let json = trial.json(&Machine::here());
        assert_eq!(json["targets"][1]["figures"]["ns/delivery"]["median"], 33.6);
        assert_eq!(json["targets"][1]["ratio_to_base"]["max"], 1.6);
    }

    #[test]
    fn a_round_that_one_of_both_has_missed_makes_no_multiple() {
        let (floor, fanwire) = ([20.0, f64::NAN, 20.0, 10.0], [40.0, 40.0, f64::NAN, 30.0]);
        let trial = samples::trial(&[(Target::Floor, &floor), (Target::Fanwire, &fanwire)]);
        assert_eq!(trial.ratio("fanwire"), Some(Spread { median: 2.5, min: 2.0, max: 3.0 }));
        assert_eq!(trial.json(&Machine::here())["targets"][1]["rounds"], json!([1, 2, 4]));
        let alone = samples::trial(&[(Target::Fanwire, &[1.0])]);
        assert_eq!(alone.ratio("fanwire"), None);
    }

    #[test]
    fn who_comes_when_is_rotated_and_reversed() {
        let order = |count| (1..=6).map(|round| turns(round, count).collect()).collect::<Vec<Vec<usize>>>();
        assert_eq!(order(3), [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1], [2, 0, 1], [1, 0, 2]]);
        assert_eq!(order(2), [[0, 1], [1, 0], [1, 0], [0, 1], [0, 1], [1, 0]]);
        assert_eq!(turns(1, 0).count(), 0);
    }

    /// Fails against everybody.
    struct Hopeless;

    impl Workload for Hopeless {
        fn title(&self) -> String {
            "hopeless".to_owned()
        }
        fn setup(&self) -> Setup {
            Setup { split: false, reactors: 1, queue_bytes_max: None, store: None }
        }
        fn objection(&self, target: Target) -> Option<&'static str> {
            (target == Target::Floor).then_some("it has no topics")
        }
        fn run(&self, _broker: &Broker) -> Result<Report, BenchError> {
            Err(BenchError::Stuck("it says nothing".to_owned()))
        }
    }

    #[test]
    fn when_everybody_fails_the_trial_says_who_and_why() {
        let address = ([127, 0, 0, 1], 1).into();
        let contestant = |target| Contestant {
            name: Target::name(target).to_owned(),
            place: Place::Attached(target, address, None),
            workload: &Hopeless,
        };
        let (mut lines, contestants) = (Vec::new(), [Target::Floor, Target::Nats].map(contestant));
        let mut show = |text: &str| lines.push(text.to_owned());
        let trial = contest("t".to_owned(), "floor", &contestants, 2, &mut Progress::new(4, &mut show)).unwrap();
        assert!(trial.entries.is_empty());
        let reasons = ["floor: it has no topics", "nats, round 1: it says nothing", "nats, round 2: it says nothing"];
        assert_eq!(trial.skipped, reasons);
        assert_eq!(trial.absent("floor").expect("it was to take part").failures, ["it has no topics"]);
        assert_eq!(trial.absent("nats").expect("it was to take part").failures.len(), 2);
        assert!(trial.print().contains("nobody could be measured\n  ! skipped floor: it has no topics"));
        assert_eq!(lines, ["run 1 of 2: round 1 of 2, nats: t", "run 2 of 2: round 2 of 2, nats: t"]);
    }
}

//! The comparison: the rows of work that brokers are held against each other by, each a trial of its own.
//!
//! Work at saturation is followed by the same work at half of the rate that the floor reached, because a broker may
//! look good at saturation by dawdling: there its batches and its latency stand beside the floor's at equal load. The
//! last rows hold Fanwire against itself, and verdicts say what all of it comes to.

use super::adapter::Target;
use super::error::BenchError;
use super::machine::Machine;
use super::progress::Progress;
use super::report::Workload;
use super::rows::{Variants, fanouts, names, others, variants};
use super::spread::Spread;
use super::table::{Table, figure};
use super::trial::{Contestant, Entry, Field, Place, Trial, contest, hold};
use super::verdicts::{self, Verdict, verdicts};
use super::workloads::fanout::Fanout;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};

/// Who reaches less than this multiple of a rate at saturation is not asked for that rate.
const HEADROOM: f64 = 1.1;

/// What is compared.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rounds of each row.
    pub rounds: u32,
    /// How long each run is measured.
    pub duration: Duration,
    /// Only rows whose name holds this.
    pub only: Option<String>,
    /// Whom.
    pub targets: Vec<Target>,
}

/// All rows.
#[derive(Debug)]
pub struct Comparison {
    /// On what.
    pub machine: Machine,
    /// When, as text.
    pub date: String,
    /// How often.
    pub rounds: u32,
    /// The rows, in order.
    pub rows: Vec<Row>,
}

/// A row: a name and its trial.
#[derive(Debug)]
pub struct Row {
    /// A few words.
    pub name: String,
    /// What it shows, which says how it is drawn.
    pub kind: Kind,
    /// The outcome.
    pub trial: Trial,
}

/// What a row shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Processor time a delivery at saturation; the rate beside it.
    Saturated,
    /// The same at half of the floor's rate.
    Half,
    /// Latency percentiles.
    Latency,
    /// Memory against connections.
    Memory,
    /// The score alone, which means this.
    Score(&'static str),
    /// Fanwire against itself.
    Variants,
}

/// Runs all rows. One that nobody could be measured in says why and is no reason to end.
pub fn compare(plan: &Plan, show: &mut dyn FnMut(&str)) -> Result<Comparison, BenchError> {
    let mut comparison = Comparison {
        machine: Machine::here(),
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        rounds: plan.rounds,
        rows: Vec::new(),
    };
    let mut fanouts = fanouts(plan.duration);
    fanouts.retain(|(name, _)| plan.wants(name));
    let mut others = others(plan.duration, comparison.machine.open_files_max);
    others.retain(|(name, ..)| plan.wants(name));
    let mut variants = variants(plan.duration, comparison.machine.open_files_max);
    variants.retain(|row| plan.wants(row.name) && plan.targets.contains(&Target::Fanwire));
    let rows = u32::try_from(2 * fanouts.len() + others.len()).expect("a few");
    let of_variants: usize = variants.iter().map(|row| row.variants.len()).sum();
    let expected = rows * plan.runs() + plan.rounds * u32::try_from(of_variants).expect("a few");
    let mut progress = Progress::new(expected, show);
    for (name, fanout) in fanouts {
        comparison.row(name.to_owned(), Kind::Saturated, &fanout, &plan.targets, plan, &mut progress)?;
        comparison.half_row(name, &fanout, plan, &mut progress)?;
    }
    for (name, kind, workload) in others {
        comparison.row(name.to_owned(), kind, &*workload, &plan.targets, plan, &mut progress)?;
    }
    for row in variants {
        comparison.variants_row(&row, plan, &mut progress)?;
    }
    if comparison.rows.is_empty() {
        return Err(BenchError::Usage(format!("no row is called so; the rows are: {}", names().join(", "))));
    }
    if comparison.rows.iter().all(|row| row.trial.entries.is_empty()) {
        let reasons: Vec<String> = comparison.rows.iter().flat_map(|row| row.trial.skipped.clone()).collect();
        return Err(BenchError::Stuck(format!("nobody could be measured: {}", reasons.join("; "))));
    }
    Ok(comparison)
}

impl Plan {
    /// Runs of a row.
    fn runs(&self) -> u32 {
        self.rounds * u32::try_from(self.targets.len()).expect("a few")
    }

    fn wants(&self, name: &str) -> bool {
        let Some(only) = &self.only else { return true };
        if names().contains(&only.as_str()) { name == only } else { name.contains(only.as_str()) }
    }
}

impl Comparison {
    fn row(
        &mut self,
        name: String,
        kind: Kind,
        workload: &dyn Workload,
        targets: &[Target],
        plan: &Plan,
        progress: &mut Progress<'_>,
    ) -> Result<(), BenchError> {
        let trial = hold(workload, &Field::Own(targets.to_vec()), plan.rounds, progress)?;
        self.rows.push(Row { name, kind, trial });
        Ok(())
    }

    /// The row just taken, at half of the floor's rate, with those who reach that.
    fn half_row(
        &mut self,
        name: &str,
        fanout: &Fanout,
        plan: &Plan,
        progress: &mut Progress<'_>,
    ) -> Result<(), BenchError> {
        let trial = &self.rows.last().expect("the saturated row comes first").trial;
        let hearers = f64::from(fanout.subscribers / fanout.topics);
        let reached =
            |target: Target| trial.entry(target.name())?.spread("deliveries/s").map(|spread| spread.median / hearers);
        let Some(floor) = reached(Target::Floor) else {
            progress.skip(plan.runs());
            return Ok(());
        };
        let rate = (floor / 2.0).round();
        let (able, unable): (Vec<Target>, Vec<Target>) =
            plan.targets.iter().partition(|target| reached(**target).is_some_and(|most| most >= rate * HEADROOM));
        progress.skip(plan.rounds * u32::try_from(unable.len()).expect("a few"));
        let workload = Fanout { rate: Some(rate), ..fanout.clone() };
        self.row(format!("{name}, half rate"), Kind::Half, &workload, &able, plan, progress)?;
        let skipped = &mut self.rows.last_mut().expect("just added").trial.skipped;
        skipped.extend(
            unable.iter().map(|target| format!("{}: it does not reach {rate:.0} messages a second", target.name())),
        );
        Ok(())
    }

    /// Fanwire against itself.
    fn variants_row(&mut self, row: &Variants, plan: &Plan, progress: &mut Progress<'_>) -> Result<(), BenchError> {
        let place = Place::Own(Target::Fanwire);
        let contestants = row.variants.iter();
        let contestants: Vec<Contestant<'_>> =
            contestants.map(|(name, workload)| Contestant { name: (*name).to_owned(), place, workload }).collect();
        let base = row.variants[0].0;
        let trial = contest(row.title.clone(), base, &contestants, plan.rounds, progress)?;
        self.rows.push(Row { name: row.name.to_owned(), kind: Kind::Variants, trial });
        Ok(())
    }

    /// What the rows say to what Fanwire must be.
    pub fn verdicts(&self) -> Vec<Verdict> {
        verdicts(&self.rows)
    }

    /// Who was measured, in the order of tables.
    pub fn targets(&self) -> Vec<Target> {
        let measured = |target: &Target| self.rows.iter().any(|row| row.trial.entry(target.name()).is_some());
        Target::ALL.into_iter().filter(measured).collect()
    }

    /// How each broker was started, each line once.
    pub fn settings(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.rows.iter().flat_map(|row| row.trial.settings.clone()).collect();
        lines.sort();
        lines.dedup();
        lines
    }

    /// Everything for people: the machine, the settings, the table, and each row in detail.
    pub fn print(&self) -> String {
        let mut text = format!("{}, rounds: {}, in turns, rotated\n{}\n", self.date, self.rounds, self.machine.line());
        self.settings().iter().for_each(|line| text.push_str(&format!("  {line}\n")));
        text.push_str(&format!("\n{}", self.summary().print()));
        let verdicts = self.verdicts();
        if !verdicts.is_empty() {
            text.push_str(&format!("\n{}", verdicts::table(&verdicts).print()));
        }
        for row in &self.rows {
            text.push_str(&format!("\n== {}\n{}", row.name, row.trial.print()));
        }
        text
    }

    /// A row a line: the score of each target, and what it is as a multiple of the floor's.
    pub fn summary(&self) -> Table {
        let targets = self.targets();
        let mut head = vec!["work", "score"];
        head.extend(targets.iter().map(|target| target.name()));
        let mut table = Table::new(&head);
        for row in self.rows.iter().filter(|row| row.kind != Kind::Variants) {
            let mut cells = vec![row.name.clone(), row.trial.score_name().to_owned()];
            cells.extend(targets.iter().map(|target| cell(&row.trial, *target)));
            table.push(cells);
        }
        table
    }

    /// Everything, for machines.
    pub fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| json!({"name": row.name, "trial": row.trial.json(&self.machine)}));
        json!({
            "date": self.date,
            "rounds": self.rounds,
            "machine": self.machine.json(),
            "settings": self.settings(),
            "verdicts": verdicts::json(&self.verdicts()),
            "rows": rows.collect::<Vec<Value>>(),
        })
    }
}

/// `31.5 ±4% 1.50x`: the median, half the range, the median of the multiples of the floor's.
fn cell(trial: &Trial, target: Target) -> String {
    let Some(Spread { median, min, max }) = trial.entry(target.name()).and_then(Entry::score) else {
        return "-".to_owned();
    };
    let is_spread = median != 0.0 && max > min;
    let spread = if is_spread { format!(" ±{:.0}%", (max - min) / 2.0 / median * 100.0) } else { String::new() };
    let ratio = trial.ratio(target.name()).filter(|_| target != Target::Floor && median > 0.0);
    let ratio = ratio.map(|ratio| format!(" {}x", figure(ratio.median))).unwrap_or_default();
    format!("{}{spread}{ratio}", figure(median))
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;
    use crate::bench::trial::samples::{trial, variants};

    pub(crate) fn comparison() -> Comparison {
        let row = |name: &str, kind| {
            let trial = trial(&[(Target::Floor, &[20.0, 22.0, 21.0]), (Target::Fanwire, &[30.0, 33.0, 31.5])]);
            Row { name: name.to_owned(), kind, trial }
        };
        let rows = vec![
            row("1 -> 100", Kind::Saturated),
            row("1 -> 100, half rate", Kind::Half),
            row("latency", Kind::Latency),
            row("idle", Kind::Memory),
            Row {
                name: "several reactors".to_owned(),
                kind: Kind::Variants,
                trial: variants(&[("1 reactor", &[20.0, 22.0]), ("2 reactors", &[21.0, 25.0])]),
            },
        ];
        Comparison { machine: Machine::here(), date: "2026-01-01T00:00:00Z".to_owned(), rounds: 3, rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_medians_spread_and_multiples() {
        let text = samples::comparison().print();
        assert!(text.contains("21.0 ±5%"), "{text}");
        assert!(text.contains("31.5 ±5% 1.50x"), "{text}");
        assert!(text.contains("== 1 -> 100, half rate"), "{text}");
        assert!(text.contains("holds, should be less"), "{text}");
        assert_eq!(samples::comparison().json()["verdicts"][0]["seen"]["median"], 1.5);
        assert!(!samples::comparison().summary().print().contains("several reactors"));
    }

    #[test]
    fn a_row_that_nobody_knows_is_answered_with_those_there_are() {
        let nothing = Plan { rounds: 1, duration: Duration::ZERO, only: Some("no such".to_owned()), targets: vec![] };
        let message = compare(&nothing, &mut |_| {}).unwrap_err().to_string();
        assert!(message.contains("1 -> 100, 1 -> 1000"), "{message}");
    }
}

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
use super::rows::{Kind, Row, Variants, fanouts, half_name, is_optional, journals, names, others, variants, webs};
use super::spread::Spread;
use super::table::{Table, figure};
use super::trial::{Contestant, Entry, Field, Place, Trial, contest, hold};
use super::verdicts::{self, Verdict, verdicts};
use super::workloads::fanout::Fanout;
use serde_json::{Value, json};
use std::path::PathBuf;
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
    /// Only rows whose name holds this; without it, all but those about the journal.
    pub only: Option<String>,
    /// Whom.
    pub targets: Vec<Target>,
    /// Where what is kept on a disk lies.
    pub data: PathBuf,
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

/// Runs all rows. One that nobody could be measured in says why and is no reason to end.
pub fn compare(plan: &Plan, show: &mut dyn FnMut(&str)) -> Result<Comparison, BenchError> {
    let (plan, ways) = (&plan.of_brokers(), plan.ways());
    let mut comparison = Comparison {
        machine: Machine::here(),
        date: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        rounds: plan.rounds,
        rows: Vec::new(),
    };
    let mut fanouts = fanouts(plan.duration);
    fanouts.retain(|(name, _)| plan.asks(name));
    let mut others = others(plan.duration, comparison.machine.open_files_max);
    others.extend(journals(plan.duration, &plan.data));
    others.retain(|(name, ..)| plan.asks(name));
    let mut variants = variants(plan.duration, comparison.machine.open_files_max);
    variants.retain(|row| plan.wants(row.name) && plan.targets.contains(&Target::Fanwire));
    let mut webs = webs(plan.duration, comparison.machine.open_files_max);
    webs.retain(|(name, ..)| plan.wants(name) && ways.len() > 1);
    let rows = u32::try_from(2 * fanouts.len() + others.len()).expect("a few");
    let of_variants: usize = variants.iter().map(|row| row.variants.len()).sum();
    let of_others = of_variants + webs.len() * ways.len();
    let expected = rows * plan.runs() + plan.rounds * u32::try_from(of_others).expect("a few");
    let mut progress = Progress::new(expected, show);
    for (name, fanout) in fanouts {
        comparison.row(name.to_owned(), Kind::Saturated, &fanout, &plan.targets, plan, &mut progress)?;
        comparison.half_row(name, &fanout, plan, &mut progress)?;
    }
    for (name, kind, workload) in others {
        let able = plan.able(&*workload);
        progress.skip(plan.runs() - plan.rounds * u32::try_from(able.len()).expect("a few"));
        comparison.row(name.to_owned(), kind, &*workload, &able, plan, &mut progress)?;
    }
    for (name, kind, workload) in webs {
        comparison.web_row(name, kind, &*workload, &ways, plan, &mut progress)?;
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

    /// Who may be asked: those that a row about the journal is not about are not worth a word.
    fn able(&self, workload: &dyn Workload) -> Vec<Target> {
        let is_able = |target: &Target| workload.setup().store.is_none() || workload.objection(*target).is_none();
        self.targets.iter().copied().filter(is_able).collect()
    }

    /// The same without further ways into a broker that takes part already.
    fn of_brokers(&self) -> Plan {
        Plan { targets: self.targets.iter().copied().filter(|target| !target.is_web()).collect(), ..self.clone() }
    }

    /// The ways into Fanwire that are compared with each other.
    fn ways(&self) -> Vec<Target> {
        let is_way = |target: &Target| *target == Target::Fanwire || target.is_web();
        self.targets.iter().copied().filter(is_way).collect()
    }

    /// Whether anybody is there for a row that is wanted.
    fn asks(&self, name: &str) -> bool {
        self.wants(name) && !self.targets.is_empty()
    }

    fn wants(&self, name: &str) -> bool {
        let Some(only) = &self.only else { return !is_optional(name) };
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

    /// The row just taken, at half of the floor's rate, with those who reach that. Who does not is named with the
    /// reason, and so is everybody where the floor itself failed: no demand goes missing with its row.
    fn half_row(
        &mut self,
        name: &str,
        fanout: &Fanout,
        plan: &Plan,
        progress: &mut Progress<'_>,
    ) -> Result<(), BenchError> {
        let saturated = &mut self.rows.last_mut().expect("the saturated row comes first").trial;
        if !plan.targets.contains(&Target::Floor) {
            progress.skip(plan.runs());
            saturated.skipped.push("half rate: needs the floor".to_owned());
            return Ok(());
        }
        let hearers = f64::from(fanout.subscribers / fanout.topics);
        let reached = |target: Target| {
            let spread = saturated.entry(target.name())?.spread("deliveries/s")?;
            Some(spread.median / hearers)
        };
        let Some(floor) = reached(Target::Floor) else {
            progress.skip(plan.runs());
            let trial = without_floor(&plan.targets, plan.rounds);
            self.rows.push(Row { name: half_name(name), kind: Kind::Half, trial });
            return Ok(());
        };
        let rate = (floor / 2.0).round();
        let reason = |target: Target| match reached(target) {
            None => Some("it was not measured at saturation".to_owned()),
            Some(most) if most < rate * HEADROOM => Some(format!("it does not reach {rate:.0} messages a second")),
            Some(_) => None,
        };
        let (able, unable): (Vec<_>, Vec<_>) =
            plan.targets.iter().map(|target| (*target, reason(*target))).partition(|(_, reason)| reason.is_none());
        let able: Vec<Target> = able.into_iter().map(|(target, _)| target).collect();
        progress.skip(plan.rounds * u32::try_from(unable.len()).expect("a few"));
        let workload = Fanout { rate: Some(rate), ..fanout.clone() };
        self.row(half_name(name), Kind::Half, &workload, &able, plan, progress)?;
        let trial = &mut self.rows.last_mut().expect("just added").trial;
        for (target, reason) in unable {
            trial.excuse(target.name(), target, reason.expect("those without one are able"));
        }
        Ok(())
    }

    /// The ways into Fanwire, against the native one.
    fn web_row(
        &mut self,
        name: &str,
        kind: Kind,
        workload: &dyn Workload,
        ways: &[Target],
        plan: &Plan,
        progress: &mut Progress<'_>,
    ) -> Result<(), BenchError> {
        let contestant = |way: &Target| Contestant { name: way.name().to_owned(), place: Place::Own(*way), workload };
        let contestants: Vec<Contestant<'_>> = ways.iter().map(contestant).collect();
        let trial = contest(workload.title(), Target::Fanwire.name(), &contestants, plan.rounds, progress)?;
        self.rows.push(Row { name: name.to_owned(), kind, trial });
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
        let Comparison { date, rounds, machine, .. } = self;
        let mut text = format!("{date}, rounds: {rounds}, in turns, rotated, every second one in reverse\n");
        text.push_str(&format!("{}\n", machine.line()));
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

    /// A row a line: the score of each target, and what it is as a multiple of the base's where that tells anything.
    pub fn summary(&self) -> Table {
        let targets = self.targets();
        let mut head = vec!["work", "score"];
        head.extend(targets.iter().map(|target| target.name()));
        let mut table = Table::new(&head);
        for row in self.rows.iter().filter(|row| row.kind != Kind::Variants) {
            let mut cells = vec![row.name.clone(), row.trial.score_name().to_owned()];
            cells.extend(targets.iter().map(|target| cell(row, *target)));
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

/// The row at half of the floor's rate where the floor was not measured: nobody else is to blame.
fn without_floor(targets: &[Target], rounds: u32) -> Trial {
    let title = "half of the floor's rate, which is not known".to_owned();
    let mut trial = Trial::announced(title, Target::Floor.name(), rounds);
    for target in targets {
        match target {
            Target::Floor => trial.excuse(target.name(), *target, "it was not measured at saturation".to_owned()),
            _ => trial.absent.push(Entry::of(target.name(), *target)),
        }
    }
    trial
}

/// `31.5 ±4% 1.50x`: the median, half the range, the median of the multiples of the base's where they tell anything:
/// of the floor's, or in rows about the web of the native way's.
fn cell(row: &Row, target: Target) -> String {
    let trial = &row.trial;
    let Some(Spread { median, min, max }) = trial.entry(target.name()).and_then(Entry::score) else {
        return "-".to_owned();
    };
    let is_spread = median != 0.0 && max > min;
    let spread = if is_spread { format!(" ±{:.0}%", (max - min) / 2.0 / median * 100.0) } else { String::new() };
    let is_multiple = row.kind.has_multiples() && target.name() != trial.base && median > 0.0;
    let ratio = trial.ratio(target.name()).filter(|_| is_multiple);
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
    fn a_score_that_is_a_ratio_already_has_no_multiple() {
        let mut comparison = samples::comparison();
        comparison.rows.truncate(1);
        for (kind, is_there) in [(Kind::Score(""), true), (Kind::Ratio(""), false), (Kind::Memory, false)] {
            comparison.rows[0].kind = kind;
            assert_eq!(comparison.summary().print().contains("1.50x"), is_there, "{kind:?}");
        }
    }

    /// The row at saturation and what follows it at half rate; nothing is run.
    fn halved(targets: &[Target], scores: &[(Target, &[f64])]) -> Comparison {
        let mut comparison = samples::comparison();
        let trial = crate::bench::trial::samples::trial(scores);
        comparison.rows = vec![Row { name: "1 -> 100".to_owned(), kind: Kind::Saturated, trial }];
        let plan =
            Plan { rounds: 3, duration: Duration::ZERO, only: None, targets: targets.to_vec(), data: PathBuf::new() };
        let (name, fanout) = fanouts(Duration::ZERO).swap_remove(0);
        comparison.half_row(name, &fanout, &plan, &mut Progress::new(9, &mut |_| {})).expect("nothing is run");
        comparison
    }

    #[test]
    fn without_the_floor_half_of_its_rate_is_told_to_be_unknown() {
        let unasked = halved(&[Target::Fanwire], &[(Target::Fanwire, &[30.0])]);
        assert_eq!(unasked.rows.len(), 1);
        assert_eq!(unasked.rows[0].trial.skipped, ["half rate: needs the floor"]);
        let failed = halved(&[Target::Floor, Target::Fanwire], &[(Target::Fanwire, &[30.0])]);
        assert_eq!(failed.rows[1].name, "1 -> 100, half rate");
        assert_eq!(failed.rows[1].trial.skipped, ["floor: it was not measured at saturation"]);
        let judgements: Vec<String> = failed.verdicts().iter().map(Verdict::judgement).collect();
        assert_eq!(judgements, ["not judged: floor is missing"; 4]);
    }

    #[test]
    fn a_row_that_nobody_knows_is_answered_with_those_there_are() {
        let (only, data) = (Some("no such".to_owned()), PathBuf::new());
        let nothing = Plan { rounds: 1, duration: Duration::ZERO, only, targets: vec![], data };
        let message = compare(&nothing, &mut |_| {}).unwrap_err().to_string();
        assert!(message.contains("1 -> 100, 1 -> 1000"), "{message}");
    }
}

//! What Fanwire has set itself to reach, held against what a comparison has seen: must, should, seen.
//!
//! ```text
//!  Fanwire did not do the work (no run, loss, behind the rate)  -> missed, whatever the numbers say
//!  somebody else, or perf, has no number to compare with        -> not judged
//!  the bound is broken                                          -> missed
//!  the generator's number, or too few rounds of both            -> holds, doubtful
//! ```
//!
//! Multiples are paired round by round. Only demands on rows that nobody asked for are left out: whoever fails a row
//! would else be rid of what it demands.

use super::demands::{Bound, CARRIED, DEMANDS, FANWIRE, HALF_RATE, Measure};
use super::measured::{Warning, Weight};
use super::rows::{HALF, REACTOR_SUBSCRIBERS, Row};
use super::spread::Spread;
use super::table::{Table, figure};
use super::trial::{Entry, Trial};
use serde_json::{Value, json};

/// A demand and what was seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The row.
    pub work: String,
    /// What of it.
    pub what: &'static str,
    /// What was seen; `None` where there is no number.
    pub seen: Option<Spread>,
    /// What Fanwire has not done: then the number does not count.
    failure: Option<String>,
    /// Who or what is missing where there is no number.
    missing: String,
    /// What makes the number doubtful.
    doubts: Vec<String>,
    /// What else is worth knowing.
    notes: Vec<String>,
    bound: Bound,
}

/// What the rows say to each demand.
pub fn verdicts(rows: &[Row]) -> Vec<Verdict> {
    let judged = DEMANDS.iter().flat_map(|(name, what, measure, bound)| {
        let meant = rows.iter().filter(move |row| row.name == *name || is_half(&row.name, name));
        meant.filter_map(move |row| Verdict::of(row, what, *measure, *bound))
    });
    judged.collect()
}

fn is_half(row: &str, name: &str) -> bool {
    name == HALF_RATE && row.ends_with(HALF)
}

impl Measure {
    /// The entries that are Fanwire's.
    fn own(self, trial: &Trial) -> Vec<&str> {
        match self {
            Measure::Variant(variant) | Measure::Hop(variant, _) => vec![&*trial.base, variant],
            Measure::Beside(own, _) => vec![own],
            Measure::Figure(_) | Measure::Multiple(..) | Measure::Behind(..) | Measure::BehindBest(_) => vec![FANWIRE],
        }
    }

    /// Those whom Fanwire is held against.
    fn others(self, trial: &Trial) -> Vec<&str> {
        match self {
            Measure::Multiple(_, other) | Measure::Behind(_, other) => vec![other],
            Measure::Beside(..) => vec![FANWIRE],
            Measure::BehindBest(_) => {
                trial.entries.iter().map(|entry| &*entry.name).filter(|name| *name != FANWIRE).collect()
            }
            Measure::Figure(_) | Measure::Variant(_) | Measure::Hop(..) => Vec::new(),
        }
    }

    fn figure(self, trial: &Trial) -> &'static str {
        match self {
            Measure::Figure(name)
            | Measure::Multiple(Some(name), _)
            | Measure::Beside(_, Some(name))
            | Measure::Behind(name, _)
            | Measure::BehindBest(name) => name,
            Measure::Multiple(None, _) | Measure::Beside(_, None) | Measure::Variant(_) | Measure::Hop(..) => {
                trial.score_name()
            }
        }
    }

    /// A number for each round that all who take part have been through.
    fn values(self, trial: &Trial) -> Vec<f64> {
        let figure = self.figure(trial);
        match self {
            Measure::Figure(_) => {
                let rounds = trial.entry(FANWIRE).map_or(&[][..], |entry| &entry.rounds[..]);
                let values = rounds.iter().filter_map(|round| round.report.figure(figure));
                values.filter(|value| value.is_finite()).collect()
            }
            Measure::Multiple(_, other) => trial.multiples(FANWIRE, other, figure),
            Measure::Beside(own, _) => trial.multiples(own, FANWIRE, figure),
            Measure::Behind(_, other) => behind(trial, other, figure),
            Measure::Variant(variant) => trial.multiples(variant, &trial.base, figure),
            Measure::BehindBest(_) => behind_best(trial, figure).into_iter().map(|(_, behind)| behind).collect(),
            Measure::Hop(variant, reactors) => hops_ns(trial, variant, reactors),
        }
    }

    /// Who or what is missing when there is no number.
    fn missing(self, trial: &Trial) -> String {
        let (figure, others) = (self.figure(trial), self.others(trial));
        if let Some(absent) = others.iter().find(|name| trial.entry(name).is_none()) {
            return (*absent).to_owned();
        }
        if others.is_empty() && matches!(self, Measure::BehindBest(_)) {
            return "everybody else".to_owned();
        }
        let unmeasured = |name: &&str| trial.entry(name).is_none_or(|entry| entry.spread(figure).is_none());
        match self.own(trial).iter().chain(&others).any(unmeasured) {
            true if figure == CARRIED => "perf".to_owned(),
            true => format!("the figure \"{figure}\""),
            false => "a round of both".to_owned(),
        }
    }
}

/// The best of all others in each round that Fanwire has been through, and how far Fanwire lies behind it.
fn behind_best<'a>(trial: &'a Trial, figure: &str) -> Vec<(&'a str, f64)> {
    let rounds = trial.entry(FANWIRE).map_or(&[][..], |entry| &entry.rounds[..]);
    let behind = rounds.iter().filter_map(|round| {
        let others = trial.entries.iter().filter(|entry| entry.name != FANWIRE);
        let of_round = |entry: &'a Entry| Some((&*entry.name, entry.round(round.number)?.figure(figure)?));
        let known = others.filter_map(of_round).filter(|(_, value)| value.is_finite());
        let (name, best) = known.min_by(|(_, one), (_, other)| one.total_cmp(other))?;
        Some((name, round.report.figure(figure)? - best)).filter(|(_, behind)| behind.is_finite())
    });
    behind.collect()
}

/// How far Fanwire lies behind another one, round by round.
fn behind(trial: &Trial, other: &str, figure: &str) -> Vec<f64> {
    let Some((own, other)) = trial.entry(FANWIRE).zip(trial.entry(other)) else { return Vec::new() };
    let behind = own.rounds.iter().filter_map(|round| {
        let other = other.round(round.number)?.figure(figure)?;
        Some(round.report.figure(figure)? - other).filter(|behind| behind.is_finite())
    });
    behind.collect()
}

/// Each message goes to every reactor but the publisher's own.
fn hops_ns(trial: &Trial, variant: &str, reactors: u32) -> Vec<f64> {
    let Some((many, one)) = trial.entry(variant).zip(trial.entry(&trial.base)) else { return Vec::new() };
    let hops = f64::from(reactors - 1);
    let more = many.rounds.iter().filter_map(|round| {
        let (many, one) = (round.report.score(), one.round(round.number)?.score());
        Some((many - one) * f64::from(REACTOR_SUBSCRIBERS) / hops).filter(|hop| hop.is_finite())
    });
    more.collect()
}

/// What Fanwire has not done.
fn failure(trial: &Trial, own: &[&str]) -> Option<String> {
    own.iter().find_map(|name| {
        if let Some(absent) = trial.absent(name) {
            return absent
                .failures
                .first()
                .map(|reason| format!("{} was not measured ({reason})", absent.target.name()));
        }
        trial.entry(name)?.warned(Weight::Failed).map(|warned| told(warned, trial.rounds))
    })
}

/// What makes a number doubtful that so many rounds have made.
fn doubts(trial: &Trial, own: &[&str], others: &[&str], paired: usize) -> Vec<String> {
    let mut doubts = Vec::new();
    for entry in own.iter().filter_map(|name| trial.entry(name)) {
        doubts.extend(entry.warned(Weight::Doubtful).map(|warned| told(warned, trial.rounds)));
        doubts.extend(entry.failures.first().cloned());
    }
    // The best of several stands however another one has failed.
    if let [other] = others {
        let failed = trial.entry(other).and_then(|entry| entry.warned(Weight::Failed));
        doubts.extend(failed.map(|warned| format!("{other}: {}", told(warned, trial.rounds))));
    }
    if paired * 2 < trial.rounds as usize {
        doubts.push(format!("{paired} of {} rounds count", trial.rounds));
    }
    doubts
}

/// What else is worth knowing: who was the best, and that another one's score was taken with a generator that could not
/// do more, which is no fault of a score that is processor time a delivery.
fn notes(trial: &Trial, measure: Measure, others: &[&str]) -> Vec<String> {
    if let Measure::BehindBest(figure) = measure {
        let behind = behind_best(trial, figure);
        let is_best = |name: &&str| behind.iter().any(|(best, _)| best == name);
        let best: Vec<&str> = others.iter().copied().filter(is_best).collect();
        return match others.len() {
            1 => vec![format!("the only other: {}", best.join(", "))],
            many => vec![format!("the best of {many} others: {}", best.join(", "))],
        };
    }
    let doubtful = |name: &&str| {
        let warned = trial.entry(name)?.warned(Weight::Doubtful)?;
        Some(format!("{name}: {}", told(warned, trial.rounds)))
    };
    others.iter().filter_map(doubtful).collect()
}

/// A warning, and in how many of so many rounds.
fn told((warning, count): (&Warning, u32), rounds: u32) -> String {
    match rounds {
        0 | 1 => warning.what.clone(),
        _ => format!("{}, in {count} of {rounds} rounds", warning.what),
    }
}

impl Verdict {
    /// `None` where Fanwire was not to take part.
    fn of(row: &Row, what: &'static str, measure: Measure, bound: Bound) -> Option<Verdict> {
        let trial = &row.trial;
        let (own, others) = (measure.own(trial), measure.others(trial));
        if own.iter().any(|name| trial.entry(name).or_else(|| trial.absent(name)).is_none()) {
            return None;
        }
        let values = measure.values(trial);
        Some(Verdict {
            work: row.name.clone(),
            what,
            failure: failure(trial, &own),
            missing: measure.missing(trial),
            doubts: doubts(trial, &own, &others, values.len()),
            notes: notes(trial, measure, &others),
            seen: Spread::of(values),
            bound,
        })
    }

    fn must(&self) -> String {
        match self.bound {
            Bound::AtMost(must, _) => format!("<= {}", short(must)),
            Bound::AtLeast(must, _) => format!(">= {}", short(must)),
            Bound::Within(low, high) => format!("{}..{}", short(low), short(high)),
            Bound::Told => "-".to_owned(),
        }
    }

    fn should(&self) -> String {
        match self.bound {
            Bound::AtMost(must, should) if should < must => format!("<= {}", short(should)),
            Bound::AtLeast(must, should) if should > must => format!(">= {}", short(should)),
            _ => "-".to_owned(),
        }
    }

    /// What it comes to: of the median.
    pub fn judgement(&self) -> String {
        if let Some(failure) = &self.failure {
            return format!("missed: {failure}");
        }
        let Some(Spread { median: seen, .. }) = self.seen else {
            return format!("not judged: {} is missing", self.missing);
        };
        let (holds, is_as_it_should) = match self.bound {
            Bound::AtMost(must, should) => (seen <= must, seen <= should),
            Bound::AtLeast(must, should) => (seen >= must, seen >= should),
            Bound::Within(low, high) => ((low..=high).contains(&seen), true),
            Bound::Told => (true, true),
        };
        let word = match (holds, is_as_it_should) {
            (true, _) if self.bound == Bound::Told => "told".to_owned(),
            (true, true) => "holds".to_owned(),
            (true, false) => match self.bound {
                Bound::AtLeast(..) => "holds, should be more".to_owned(),
                _ => "holds, should be less".to_owned(),
            },
            (false, _) => format!("missed: {}", figure(seen)),
        };
        // What is missed stays so, whatever there is to say for it.
        let (doubts, notes) = if holds { (&self.doubts[..], vec![]) } else { (&[][..], self.doubts.clone()) };
        let doubts = if doubts.is_empty() { String::new() } else { format!(", doubtful: {}", doubts.join("; ")) };
        let notes = [notes, self.notes.clone()].concat();
        let notes = if notes.is_empty() { String::new() } else { format!(" ({})", notes.join("; ")) };
        format!("{word}{doubts}{notes}")
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
            verdict.seen.map_or_else(|| "-".to_owned(), Spread::print),
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
            "seen": verdict.seen.map(Spread::json),
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
    use super::super::adapter::Target;
    use super::super::rows::{self, Kind, half_name};
    use super::super::trial::samples::{trial, variants};
    use super::*;
    use std::time::Duration;

    fn judged(name: &str, trial: Trial) -> Vec<String> {
        let rows = [Row { name: name.to_owned(), kind: Kind::Saturated, trial }];
        let line = |verdict: &Verdict| format!("{} {}: {}", verdict.what, verdict.must(), verdict.judgement());
        verdicts(&rows).iter().map(line).collect()
    }

    /// The only judgement on "1 -> 100".
    fn judgement(trial: Trial) -> String {
        let lines = judged("1 -> 100", trial);
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines[0].strip_prefix("CPU a delivery, x floor <= 1.5: ").expect("the only demand").to_owned()
    }

    /// Fanwire as good as the floor, with this warning in the second of three rounds of one of both.
    fn warned(target: Target, weight: Weight, what: &str) -> Trial {
        let mut trial = trial(&[(Target::Floor, &[20.0; 3]), (Target::Fanwire, &[20.0; 3])]);
        let entry = trial.entries.iter_mut().find(|entry| entry.target == target).expect("it is one of both");
        entry.rounds[1].report.warnings = vec![Warning { weight, target: Some(target), what: what.to_owned() }];
        trial
    }

    #[test]
    fn multiples_are_judged_by_their_median() {
        let with = |fanwire: &[f64]| {
            trial(&[(Target::Floor, &[20.0, 20.0, 20.0]), (Target::Fanwire, fanwire), (Target::Nats, &[400.0; 3])])
        };
        assert_eq!(judgement(with(&[22.0, 24.0, 90.0])), "holds");
        assert_eq!(judgement(with(&[22.0, 26.0, 90.0])), "holds, should be less");
        assert_eq!(judgement(with(&[22.0, 40.0, 90.0])), "missed: 2.00");
        let lines = ["CPU a delivery, x floor <= 1.6: missed: 2.00", "CPU a delivery, x nats <= 0.25: holds"];
        assert_eq!(judged("10 -> 10 over 10 topics", with(&[40.0; 3])), lines);
    }

    #[test]
    fn other_ways_in_are_judged_by_the_native_one() {
        let with = |native: &[f64]| {
            let scores: [(Target, &[f64]); 3] =
                [(Target::Fanwire, native), (Target::WebSocket, &[22.0, 22.0]), (Target::Sse, &[30.0, 36.0])];
            judged("web 1 -> 100", trial(&scores))
        };
        let lines = ["CPU a delivery, ws x native <= 1.15: holds", "CPU a delivery, sse x native <= 1.5: holds"];
        assert_eq!(with(&[20.0, 24.0]), lines);
        assert_eq!(with(&[10.0, 11.0])[0], "CPU a delivery, ws x native <= 1.15: missed: 2.10");
        let alone = judged("web 1 -> 100", trial(&[(Target::WebSocket, &[22.0])]));
        assert_eq!(alone, ["CPU a delivery, ws x native <= 1.15: not judged: fanwire is missing"]);
    }

    #[test]
    fn latency_is_judged_by_the_best_of_the_same_round_who_is_named() {
        let with = |nats: &[f64]| {
            trial(&[(Target::Floor, &[30.0, 90.0]), (Target::Fanwire, &[33.0, 85.0]), (Target::Nats, nats)])
        };
        let judged = |trial: Trial| {
            let measure = Measure::BehindBest("ns/delivery");
            let row = Row { name: String::new(), kind: Kind::Latency, trial };
            let verdict = Verdict::of(&row, "behind", measure, Bound::AtMost(5.0, 4.0)).expect("it was measured");
            (verdict.seen, verdict.judgement())
        };
        let (seen, judgement) = judged(with(&[60.0, 80.0]));
        assert_eq!(seen, Spread::of([3.0, 5.0]));
        assert_eq!(judgement, "holds (the best of 2 others: floor, nats)");
        assert_eq!(judged(with(&[60.0, 95.0])).1, "holds (the best of 2 others: floor)");
        let beside_one = trial(&[(Target::Floor, &[30.0, 90.0]), (Target::Fanwire, &[33.0, 85.0])]);
        assert_eq!(judged(beside_one).1, "holds (the only other: floor)");
        let alone = trial(&[(Target::Fanwire, &[33.0])]);
        assert_eq!(judged(alone), (None, "not judged: everybody else is missing".to_owned()));
    }

    #[test]
    fn what_has_to_be_more_and_what_may_be_a_bit_behind() {
        let judged = |measure, bound| {
            let trial = trial(&[(Target::Floor, &[100.0, 200.0]), (Target::Fanwire, &[125.0, 250.0])]);
            let row = Row { name: String::new(), kind: Kind::Latency, trial };
            let verdict = Verdict::of(&row, "what", measure, bound).expect("it was measured");
            (verdict.must(), verdict.should(), verdict.judgement())
        };
        // Deliveries a second are 0.8 of the floor's.
        let rate =
            |must, should| judged(Measure::Multiple(Some("deliveries/s"), "floor"), Bound::AtLeast(must, should));
        assert_eq!(rate(0.75, 0.8).2, "holds");
        assert_eq!(rate(0.75, 0.85), (">= 0.75".to_owned(), ">= 0.85".to_owned(), "holds, should be more".to_owned()));
        assert_eq!(rate(0.9, 0.95).2, "missed: 0.80");
        let behind = |must, should| judged(Measure::Behind("ns/delivery", "floor"), Bound::AtMost(must, should)).2;
        assert_eq!([behind(40.0, 38.0), behind(40.0, 20.0)], ["holds", "holds, should be less"]);
        assert_eq!(behind(30.0, 20.0), "missed: 37.5");
    }

    #[test]
    fn more_reactors_are_judged_by_one_and_tell_the_price_of_a_hop() {
        let mut trial =
            variants(&[("1 reactor", &[20.0, 40.0]), ("2 reactors", &[24.0, 44.0]), ("4 reactors", &[40.0, 80.0])]);
        let mut lines = [
            "CPU a delivery, 2 x 1 <= 1.5: holds",
            "CPU a delivery, 4 x 1 <= 1.5: missed: 2.00",
            "ns a message and hop -: told",
        ];
        let again =
            variants(&[("1 reactor", &[20.0, 40.0]), ("2 reactors", &[24.0, 44.0]), ("4 reactors", &[40.0, 80.0])]);
        assert_eq!(judged("several reactors", again), lines);
        trial.entries.truncate(2);
        trial.excuse("4 reactors", Target::Fanwire, "it says nothing".to_owned());
        lines[1] = "CPU a delivery, 4 x 1 <= 1.5: missed: fanwire was not measured (it says nothing)";
        assert_eq!(judged("several reactors", trial), lines);
    }

    #[test]
    fn where_fanwire_fails_its_demands_are_missed() {
        let mut slow = trial(&[(Target::Floor, &[20.0; 3])]);
        slow.excuse(FANWIRE, Target::Fanwire, "it does not reach 5 messages a second".to_owned());
        let lines = judged("1 -> 100, half rate", slow);
        assert_eq!(lines.len(), 3);
        let reason = "missed: fanwire was not measured (it does not reach 5 messages a second)";
        assert!(lines.iter().all(|line| line.ends_with(reason)), "{lines:?}");
    }

    #[test]
    fn where_others_fail_demands_are_not_judged() {
        assert_eq!(judgement(trial(&[(Target::Fanwire, &[1.0])])), "not judged: floor is missing");
        let apart = trial(&[(Target::Floor, &[1.0, f64::NAN]), (Target::Fanwire, &[f64::NAN, 1.0])]);
        assert_eq!(judgement(apart), "not judged: a round of both is missing");
        let uncounted = trial(&[(Target::Floor, &[20.0; 3]), (Target::Fanwire, &[20.0; 3])]);
        let line = "messages a write, x floor 0.8..1.2: not judged: perf is missing".to_owned();
        assert!(judged("1 -> 1, half rate", uncounted).contains(&line));
    }

    #[test]
    fn what_nobody_asked_for_is_not_judged() {
        assert!(judged("1 -> 100", trial(&[(Target::Floor, &[1.0])])).is_empty());
        assert!(judged("no demand", trial(&[(Target::Fanwire, &[1.0])])).is_empty());
        assert_eq!(html(&[]), "");
    }

    #[test]
    fn who_fails_the_work_has_missed_however_fast() {
        let lossy = warned(Target::Fanwire, Weight::Failed, "3 messages lost");
        assert_eq!(judgement(lossy), "missed: 3 messages lost, in 1 of 3 rounds");
        let lossy = warned(Target::Floor, Weight::Failed, "3 messages lost");
        assert_eq!(judgement(lossy), "holds, doubtful: floor: 3 messages lost, in 1 of 3 rounds");
    }

    #[test]
    fn a_number_that_may_be_the_generators_is_doubtful_unless_it_is_anothers() {
        let bound = |target| judgement(warned(target, Weight::Doubtful, "the generator was the bottleneck"));
        let doubt = "the generator was the bottleneck, in 1 of 3 rounds";
        assert_eq!(bound(Target::Fanwire), format!("holds, doubtful: {doubt}"));
        assert_eq!(bound(Target::Floor), format!("holds (floor: {doubt})"));
        assert_eq!(judgement(warned(Target::Fanwire, Weight::Noted, "fine")), "holds");
    }

    #[test]
    fn a_number_of_few_rounds_is_doubtful() {
        let gone = f64::NAN;
        let few = trial(&[(Target::Floor, &[20.0; 3]), (Target::Fanwire, &[gone, 20.0, gone])]);
        assert_eq!(judgement(few), "holds, doubtful: 1 of 3 rounds count");
        let most = trial(&[(Target::Floor, &[20.0; 3]), (Target::Fanwire, &[gone, 20.0, 20.0])]);
        assert_eq!(judgement(most), "holds");
        let mut bad = trial(&[(Target::Floor, &[20.0; 3]), (Target::Fanwire, &[gone, 20.0, 60.0])]);
        bad.entries[1].failures.push("round 1: it says nothing".to_owned());
        assert_eq!(judgement(bad), "missed: 2.00 (round 1: it says nothing)");
    }

    #[test]
    fn what_is_missed_stands_out_on_the_page() {
        let trial = trial(&[(Target::Floor, &[20.0]), (Target::Fanwire, &[40.0])]);
        let row = Row { name: "1 -> 100".to_owned(), kind: Kind::Saturated, trial };
        assert!(html(&verdicts(&[row])).contains("<td class=\"warning\">missed: 2.00</td>"));
    }

    #[test]
    fn every_demand_is_on_a_row_and_a_figure_that_there_are() {
        let fanouts = rows::fanouts(Duration::ZERO).into_iter().map(|(name, _)| half_name(name));
        let mut names: Vec<String> = rows::names().into_iter().map(str::to_owned).chain(fanouts).collect();
        names.push(HALF_RATE.to_owned());
        let variants = rows::variants(Duration::ZERO, u64::MAX);
        let workloads = [
            include_str!("workloads/fanout.rs"),
            include_str!("workloads/latency.rs"),
            include_str!("workloads/conns.rs"),
            include_str!("workloads/isolation.rs"),
            include_str!("workloads/topics.rs"),
            include_str!("workloads/journal/append.rs"),
            include_str!("workloads/journal/durable.rs"),
            include_str!("workloads/journal/one.rs"),
            include_str!("workloads/journal/replay.rs"),
            include_str!("workloads/journal/latency.rs"),
            include_str!("workloads/journal/beside.rs"),
            include_str!("workloads/journal/cold.rs"),
            include_str!("workloads/journal/memory.rs"),
        ];
        for (name, _, measure, _) in DEMANDS {
            assert!(names.contains(&name.to_owned()), "no row is called {name}");
            match measure {
                Measure::Variant(variant) | Measure::Hop(variant, _) => {
                    let row = variants.iter().find(|row| row.name == name).expect("it is of Fanwire against itself");
                    assert!(row.variants.iter().any(|(known, _)| *known == variant), "{name} has no {variant}");
                }
                Measure::Figure(figure)
                | Measure::Multiple(Some(figure), _)
                | Measure::Beside(_, Some(figure))
                | Measure::Behind(figure, _)
                | Measure::BehindBest(figure) => {
                    let quoted = format!("\"{figure}\"");
                    assert!(workloads.iter().any(|workload| workload.contains(&quoted)), "nothing tells {figure}");
                }
                Measure::Multiple(None, _) | Measure::Beside(_, None) => {}
            }
        }
    }
}

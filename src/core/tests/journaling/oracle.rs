//! What must be true at the end, from what the logs hold and what every client has seen.

use crate::client::{Answer, Client, Publish, Seen, State, Sub};
use crate::office::Truth;
use crate::swarm::matches;
use crate::totals::Totals;
use crate::world::{World, do_overlap};
use fanwire_wire::Code;
use fanwire_wire::frame::{AckLevel, Outcome, Policy, Start};
use std::collections::{BTreeMap, BTreeSet};

struct Oracle<'a> {
    truths: &'a [Vec<Truth>],
    /// Of them, what was released: the rest is where no sync succeeded any more.
    released: Vec<&'a [Truth]>,
    /// By publish: journal and place there.
    places: BTreeMap<u64, (usize, usize)>,
    publishes: &'a [Publish],
    epochs: Vec<u64>,
    retired_ends: Vec<u64>,
    has_failed: &'a [bool],
}

pub(crate) fn check(world: &mut World) {
    let journals = world.swarm.syncs.len();
    let truths: Vec<Vec<Truth>> = (0..journals).map(|index| world.office.truth(index)).collect();
    let mut places = BTreeMap::new();
    let mut sequences: BTreeMap<&str, u64> = BTreeMap::new();
    let mut producers = BTreeSet::new();
    for (journal, truth) in truths.iter().enumerate() {
        world.totals.recorded += truth.len() as u64;
        for (place, record) in truth.iter().enumerate() {
            let publish = &world.publishes[record.publish as usize];
            assert_eq!(publish.topic, record.topic, "a record is of its topic");
            assert!(places.insert(record.publish, (journal, place)).is_none(), "a publish is recorded once");
            let sequence = sequences.entry(&record.topic).or_default();
            *sequence += 1;
            assert_eq!(*sequence, record.sequence, "sequences are contiguous");
            assert!(record.producer.is_none_or(|producer| producers.insert((journal, producer.id, producer.number))));
        }
    }
    let end = world.office.mark(world.step, &world.swarm);
    let oracle = Oracle {
        truths: &truths,
        released: truths.iter().zip(&end.released).map(|(truth, end)| &truth[..*end as usize]).collect(),
        places,
        publishes: &world.publishes,
        epochs: (0..journals).map(|index| world.office.plan.get(id(index)).epoch).collect(),
        retired_ends: (0..journals).map(|index| world.office.retired_end(index)).collect(),
        has_failed: &world.office.has_failed,
    };
    world.totals.failed += world.office.has_failed.iter().filter(|failed| **failed).count() as u64;
    for (index, client) in world.clients.iter().enumerate() {
        oracle.check_answers(index, client, &mut world.totals);
        for sub in &client.subs {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                oracle.check_sub(index, client, sub, &mut Totals::default());
            }));
            if outcome.is_err() {
                for line in &client.trace {
                    println!("{line}");
                }
                panic!("client {index} on shard {}, {sub:?}", client.node);
            }
            oracle.check_sub(index, client, sub, &mut world.totals);
        }
    }
}

fn id(index: usize) -> fanwire_core::journal::plan::JournalId {
    fanwire_core::journal::plan::JournalId(index as u8)
}

impl Oracle<'_> {
    fn check_answers(&self, index: usize, client: &Client, totals: &mut Totals) {
        let is_open = client.session.is_some();
        for (place, number) in client.numbered.iter().enumerate() {
            let publish = &self.publishes[*number];
            assert!(publish.answers.len() <= 1, "publish {number} is answered once: {publish:?}");
            let Some(answer) = publish.answers.first() else {
                assert!(!is_open, "client {index}: publish {number}, its {place}th, was never answered: {publish:?}");
                continue;
            };
            self.check_answer(*number as u64, publish, answer, totals);
        }
        let mut missing = 0;
        for (number, publish) in self.publishes.iter().enumerate() {
            let is_concerned = publish.client == index && publish.ack == AckLevel::None && publish.taken.is_some();
            let is_journaled = crate::swarm::journal_of(publish.topic, self.truths.len()).is_some();
            if is_concerned && is_journaled && !self.places.contains_key(&(number as u64)) {
                // A duplicate that nobody wants to hear of is told to nobody.
                missing += usize::from(publish.producer.is_none());
            }
        }
        assert!(!is_open || missing <= client.refused_unasked, "who is refused hears of it");
    }

    fn check_answer(&self, number: u64, publish: &Publish, answer: &Answer, totals: &mut Totals) {
        let place = self.places.get(&number);
        let record = place.map(|(journal, place)| (*journal, &self.truths[*journal][*place]));
        match answer {
            Answer::Acked(0, false, _) => {
                assert!(crate::swarm::journal_of(publish.topic, self.truths.len()).is_none(), "records have sequences");
            }
            Answer::Acked(sequence, false, mark) => {
                let (journal, record) = record.expect("what is acknowledged is in the log");
                assert_eq!(record.sequence, *sequence);
                assert!(record.position <= mark.written[journal], "acknowledged before it was written");
                let is_durable = record.position <= mark.durable[journal];
                assert!(publish.ack != AckLevel::Durable || is_durable, "durable is what was synced");
                let is_released = record.position <= mark.released[journal];
                assert!(publish.ack != AckLevel::Routed || is_released, "routed is what was released");
                assert!(publish.expect.is_none_or(|expect| expect + 1 == *sequence));
            }
            Answer::Acked(sequence, true, mark) => {
                totals.duplicates += 1;
                assert!(record.is_none(), "a duplicate is not recorded again");
                let producer = publish.producer.expect("only producers have duplicates");
                let mut all = self
                    .truths
                    .iter()
                    .enumerate()
                    .flat_map(|(journal, truth)| truth.iter().map(move |record| (journal, record)));
                let own = crate::swarm::journal_of(publish.topic, self.truths.len());
                let original = all.find(|(journal, record)| {
                    Some(*journal) == own && record.producer == Some(producer) && record.sequence == *sequence
                });
                let (journal, original) = original.expect("a duplicate has an original");
                let is_durable = original.position <= mark.durable[journal];
                assert!(publish.ack != AckLevel::Durable || is_durable, "durable is what was synced");
            }
            Answer::Refused(code, actual) => {
                totals.conflicts += u64::from(*code == Code::Conflict as u64);
                totals.full += u64::from(*code == Code::JournalFull as u64);
                if *code == Code::JournalFailed as u64 {
                    // It may be there, and it may be durable: nobody knows.
                    assert!(self.has_failed.contains(&true));
                    return;
                }
                assert!(record.is_none(), "what is refused is not in the log: {publish:?} {code}");
                if let Some(actual) = actual {
                    assert_ne!(Some(*actual), publish.expect, "a conflict is one");
                }
            }
        }
    }

    fn check_sub(&self, index: usize, client: &Client, sub: &Sub, totals: &mut Totals) {
        let is_open = client.session.is_some();
        let Some((told, outcome)) = &sub.told else {
            assert!(!is_open || sub.asked.is_none() || sub.state == State::Over, "SUBSCRIBE was never answered");
            return;
        };
        let is_standing = is_open && sub.state != State::Over;
        assert!(!is_standing || sub.state == State::Live, "history has an end");
        assert!(!is_standing || !sub.is_ending, "UNSUBSCRIBE was never answered");
        totals.checked += 1;
        totals.gaps += sub.seen.iter().filter(|seen| matches!(seen, Seen::Gap { .. })).count() as u64;
        self.check_once_and_in_order(sub);
        // Others of its connection let through what it would hold back, or keep a rate that it does not know.
        let is_rated = |sub: &Sub| sub.max_rate_hz > 0;
        if sub.policy != Policy::Conflate || (may_conflate(client, sub) && !overlapping(client, sub).any(is_rated)) {
            self.check_positions(sub);
        }
        let is_lossy = |sub: &Sub| matches!(sub.policy, Policy::DropOldest | Policy::DropNewest | Policy::Conflate);
        let Some(journal) = sub.journal else {
            if !is_lossy(sub) && is_standing {
                self.check_mixed(index, sub, told.step);
            }
            return;
        };
        if sub.code == Some(Code::RetentionOvertaken as u64) {
            totals.overtaken += 1;
            assert!(self.retired_ends[journal] > 0, "nothing was retired");
        } else {
            assert!(matches!(sub.code, None | Some(0)), "ended by {:?}", sub.code);
        }
        self.check_marks(sub);
        if sub.is_ending && sub.seen.is_empty() {
            return;
        }
        if is_lossy(sub) {
            if is_standing && self.retired_ends[journal] == 0 {
                self.check_lossy(index, client, sub, journal, totals);
            }
            return;
        }
        let asked = sub.asked.as_ref().expect("it was told");
        let seen: Vec<u64> = sub.seen.iter().filter_map(position_of).collect();
        if self.retired_ends[journal] > 0 {
            return self.check_contiguous(index, sub, journal, &seen, is_standing, told.step);
        }
        let begin = asked.released[journal];
        let end = told.released[journal];
        let fits = |tail: u64| {
            let (expected, right) = self.expected(sub, journal, tail);
            right as u8 == *outcome && self.is_seen(index, sub, journal, &expected, &seen, is_standing)
        };
        if sub.start == Start::Live {
            let promised = self.first_promised(sub, journal, told.step);
            let first = seen.first().copied().unwrap_or(promised).min(promised);
            assert!(first > begin, "{first} was released before it was asked for");
            // What is no_echo may not see its own.
            let is_one = (begin..first).rev().any(&fits) || (first..=promised).any(fits);
            return assert!(is_one, "live: {seen:?} from {first}, promised from {promised}");
        }
        let is_one = (begin..=end).any(&fits);
        let expected = [begin, end].map(|tail| self.expected(sub, journal, tail));
        assert!(is_one, "{:?} outcome {outcome} tails {begin}..={end}: {seen:?} seen of {expected:?}", sub.start);
    }

    /// One that stands and may lose messages: they are counted, and it keeps what its policy promises.
    fn check_lossy(&self, index: usize, client: &Client, sub: &Sub, journal: usize, totals: &mut Totals) {
        let step = sub.told.as_ref().expect("it was told").0.step;
        let others = || overlapping(client, sub).filter(|other| !std::ptr::eq(*other, sub));
        // It governs what it shares with those that catch up.
        if others().all(|other| other.policy == Policy::CatchUp) {
            self.check_counts(index, sub, journal, step);
        }
        let has_dropped = client.subs.iter().any(|sub| dropped_of(sub) > 0);
        if sub.policy == Policy::Conflate && may_conflate(client, sub) && !has_dropped && !sub.no_echo {
            self.check_newest(sub, journal, step);
            let is_doubled = others().any(|other| other.policy == Policy::CatchUp);
            totals.conflated += u64::from(missing_of(sub) > 0 && is_doubled);
        }
    }

    /// The position of the first record that a live subscription must get.
    fn first_promised(&self, sub: &Sub, journal: usize, step: u64) -> u64 {
        let is_after = |record: &&Truth| {
            matches(sub.filter, &record.topic)
                && self.publishes[record.publish as usize].taken.is_some_and(|taken| taken > step)
        };
        let found = self.released[journal].iter().find(is_after);
        found.map_or(self.released[journal].len() as u64 + 1, |record| record.position)
    }

    /// What a subscription gets whose start was judged when the journal ended there.
    fn expected(&self, sub: &Sub, journal: usize, tail: u64) -> (Vec<u64>, Outcome) {
        let all = || self.released[journal].iter().filter(|record| matches(sub.filter, &record.topic));
        let before = || all().filter(|record| record.position <= tail);
        let is_exact = !sub.filter.contains(['+', '#']);
        let from = |is_it: &dyn Fn(&Truth) -> bool| -> Vec<u64> {
            all().filter(|record| is_it(record)).map(|record| record.position).collect()
        };
        let everything = || from(&|_| true);
        let last_sequence = || before().next_back().map_or(0, |record| record.sequence);
        match sub.start {
            Start::Live => (from(&|record| record.position > tail), Outcome::Live),
            Start::First => (everything(), Outcome::History),
            Start::Last { count } => {
                let skipped = before().count().saturating_sub(count as usize);
                (everything().split_off(skipped), Outcome::History)
            }
            Start::LastValue => {
                let newest: BTreeMap<&str, u64> = before().map(|record| (&*record.topic, record.position)).collect();
                let newest: BTreeSet<u64> = newest.into_values().collect();
                (from(&|record| record.position > tail || newest.contains(&record.position)), Outcome::History)
            }
            Start::Sequence { sequence } if sequence > last_sequence() + 1 => (everything(), Outcome::ResetBeyond),
            Start::Sequence { sequence } => (from(&|record| record.sequence >= sequence), Outcome::History),
            Start::Position { position } if position > tail + 1 => (everything(), Outcome::ResetBeyond),
            Start::Position { position } => (from(&|record| record.position >= position), Outcome::History),
            Start::Time { time_us } => (from(&|record| record.time_us >= time_us), Outcome::History),
            Start::Resume { epoch, .. } if epoch > self.epochs[journal] => (everything(), Outcome::ResetEpoch),
            Start::Resume { last, .. } => {
                let end = if is_exact { last_sequence() } else { tail };
                if last > end {
                    return (everything(), Outcome::ResetBeyond);
                }
                let is_behind = |record: &Truth| if is_exact { record.sequence > last } else { record.position > last };
                (from(&is_behind), Outcome::Resumed)
            }
        }
    }

    /// Whether that is what was seen; a no_echo subscription may or may not see what its own connection published.
    fn is_seen(
        &self,
        index: usize,
        sub: &Sub,
        journal: usize,
        expected: &[u64],
        seen: &[u64],
        is_standing: bool,
    ) -> bool {
        let mut seen = seen.iter().peekable();
        for position in expected {
            if seen.peek() == Some(&position) {
                seen.next();
                continue;
            }
            let publish = self.released[journal][*position as usize - 1].publish;
            if sub.no_echo && self.publishes[publish as usize].client == index {
                continue;
            }
            // It ended before it got more.
            return !is_standing && seen.peek().is_none();
        }
        seen.next().is_none()
    }

    /// With retention: a stretch of records without a hole.
    fn check_contiguous(&self, index: usize, sub: &Sub, journal: usize, seen: &[u64], is_standing: bool, step: u64) {
        if sub.start == Start::LastValue {
            return;
        }
        let promised = self.first_promised(sub, journal, step);
        let first = seen.first().copied().unwrap_or(promised);
        let all = self.released[journal].iter().filter(|record| matches(sub.filter, &record.topic));
        let expected: Vec<u64> = all.map(|record| record.position).filter(|position| *position >= first).collect();
        assert!(self.is_seen(index, sub, journal, &expected, seen, is_standing), "a hole, or the end is missing");
    }

    /// Whatever the policy: nothing twice, no topic's record before an earlier one.
    fn check_once_and_in_order(&self, sub: &Sub) {
        let mut sequences: BTreeMap<&str, u64> = BTreeMap::new();
        let mut lives = BTreeSet::new();
        for seen in &sub.seen {
            match seen {
                Seen::Record { position, sequence, publish, .. } => {
                    let (journal, place) = self.places.get(publish).expect("what is delivered is in the log");
                    let record = &self.truths[*journal][*place];
                    assert_eq!((record.position, record.sequence), (*position, *sequence));
                    let before = sequences.insert(&record.topic, *sequence).unwrap_or(0);
                    assert!(before < *sequence, "{} {sequence} comes after {before}", record.topic);
                }
                Seen::Live(publish) => assert!(lives.insert(publish), "a message comes once"),
                _ => {}
            }
        }
    }

    /// The records of one journal come in the order of their positions.
    fn check_positions(&self, sub: &Sub) {
        let mut last = vec![0; self.truths.len()];
        for (publish, position) in sub.seen.iter().filter_map(|seen| Some((publish_of(seen)?, position_of(seen)?))) {
            let last = &mut last[self.places[&publish].0];
            assert!(*last < position, "{position} comes after {last}");
            *last = position;
        }
    }

    /// Whatever was conflated, the last record of every topic comes.
    fn check_newest(&self, sub: &Sub, journal: usize, step: u64) {
        let promised = self.first_promised(sub, journal, step);
        let all = self.released[journal].iter().filter(|record| matches(sub.filter, &record.topic));
        let newest: BTreeMap<&str, u64> = all.map(|record| (&*record.topic, record.position)).collect();
        let seen: BTreeSet<u64> = sub.seen.iter().filter_map(position_of).collect();
        for (topic, position) in newest.into_iter().filter(|(_, position)| *position >= promised) {
            assert!(seen.contains(&position), "{position}, the last record of {topic}, never came");
        }
    }

    /// CURSOR and CAUGHT_UP tell where they stand.
    fn check_marks(&self, sub: &Sub) {
        let (mut bound, mut last) = (0, 0);
        for seen in &sub.seen {
            match seen {
                Seen::Record { position, .. } => {
                    assert!(*position >= bound, "CURSOR told {bound}, and {position} came");
                    last = *position;
                }
                Seen::Cursor(position) => (bound, last) = (*position, 0),
                Seen::CaughtUp(position) => assert_eq!(*position, last, "CAUGHT_UP tells the last record"),
                _ => {}
            }
        }
    }

    /// A filter that lies in no journal: what was published after SUBSCRIBED was seen comes.
    fn check_mixed(&self, index: usize, sub: &Sub, step: u64) {
        let seen: BTreeSet<u64> = sub.seen.iter().filter_map(publish_of).collect();
        // Where retention was faster than the shard, the loss is told; nobody knows which of the records it matched.
        let mut told_missing = missing_of(sub);
        for (number, publish) in self.publishes.iter().enumerate() {
            let is_journaled = crate::swarm::journal_of(publish.topic, self.truths.len()).is_some();
            let place = self.places.get(&(number as u64));
            let is_there =
                !is_journaled || place.is_some_and(|(journal, place)| *place < self.released[*journal].len());
            let is_after = publish.taken.is_some_and(|taken| taken > step) && matches(sub.filter, publish.topic);
            let is_own = sub.no_echo && publish.client == index;
            if is_there && is_after && !is_own && !seen.contains(&(number as u64)) {
                assert!(told_missing > 0, "{number} {publish:?} never came");
                told_missing -= 1;
            }
        }
    }

    /// A subscription that governs all of its deliveries: what is missing is counted.
    fn check_counts(&self, index: usize, sub: &Sub, journal: usize, step: u64) {
        let all = self.released[journal].iter().filter(|record| matches(sub.filter, &record.topic));
        let is_own = |record: &&Truth| self.publishes[record.publish as usize].client == index;
        let delivered = sub.seen.iter().filter_map(position_of).count() as u64;
        let missing = missing_of(sub);
        let promised = self.first_promised(sub, journal, step);
        let owed = all.clone().filter(|record| record.position >= promised && !(sub.no_echo && is_own(record))).count();
        assert!(delivered + missing >= owed as u64, "{delivered} came, {missing} are told missing, {owed} are owed");
        assert!(delivered + missing <= all.clone().count() as u64, "{delivered} came, {missing} are told missing");
        let first = sub.seen.iter().find_map(position_of);
        if let Some(first) = first.filter(|_| sub.start != Start::Live && !sub.no_echo && sub.start != Start::LastValue)
            && matches!(sub.seen[0], Seen::Record { is_history: true, .. })
        {
            let owed = all.filter(|record| record.position >= first).count() as u64;
            assert_eq!(delivered + missing, owed, "{delivered} came, {missing} are told missing");
        }
    }
}

/// A client's subscriptions, of all times, that share deliveries with this one; itself too.
fn overlapping<'a>(client: &'a Client, sub: &'a Sub) -> impl Iterator<Item = &'a Sub> {
    client.subs.iter().filter(|other| do_overlap(other.filter, sub.filter))
}

/// Whether nothing of its connection that is stricter shares deliveries with one that conflates.
fn may_conflate(client: &Client, sub: &Sub) -> bool {
    overlapping(client, sub).all(|other| matches!(other.policy, Policy::CatchUp | Policy::Conflate))
}

fn position_of(seen: &Seen) -> Option<u64> {
    if let Seen::Record { position, .. } = seen { Some(*position) } else { None }
}

/// How many messages are told to be missing.
fn missing_of(sub: &Sub) -> u64 {
    let of = |seen: &Seen| if let Seen::Gap { dropped, conflated } = seen { dropped + conflated } else { 0 };
    sub.seen.iter().map(of).sum()
}

/// How many of them are told to be dropped.
fn dropped_of(sub: &Sub) -> u64 {
    let of = |seen: &Seen| if let Seen::Gap { dropped, .. } = seen { *dropped } else { 0 };
    sub.seen.iter().map(of).sum()
}

fn publish_of(seen: &Seen) -> Option<u64> {
    match seen {
        Seen::Record { publish, .. } | Seen::Live(publish) => Some(*publish),
        _ => None,
    }
}

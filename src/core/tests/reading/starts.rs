//! Every start, with exact filters and wildcards, over logs that grow while they are read: against a naive model.

use crate::library::{ID, Library, Written, matches};
use fanwire_core::journal::reader::{Opened, ReadOutcome};
use fanwire_wire::frame::{Outcome, Start};
use proptest::prelude::*;

const TOPICS: [&str; 6] = ["a", "a/b", "a/c", "b/c/d", "b", "rare/one"];
const FILTERS: [&str; 10] = ["a", "a/b", "b/c/d", "rare/one", "none", "#", "a/#", "+/c", "rare/+", "none/#"];

/// A step in the life of a log.
#[derive(Debug, Clone)]
enum Step {
    Append { topics: Vec<usize>, payload_bytes: usize },
    Pass { us: u64 },
    Roll { is_sealed: bool },
    Epoch,
    Retire,
    Compact { places: usize, age_us: u64 },
}

fn step(compacts: bool) -> impl Strategy<Value = Step> {
    let topic = prop_oneof![8 => 0..5_usize, 1 => Just(5_usize)];
    let append = (prop::collection::vec(topic, 1..12), prop_oneof![3 => 0..100_usize, 1 => 100..9_000_usize])
        .prop_map(|(topics, payload_bytes)| Step::Append { topics, payload_bytes });
    let compact = (1..4_usize, 0..3_000_u64).prop_map(|(places, age_us)| Step::Compact { places, age_us });
    let kinds = if compacts { compact.boxed() } else { Just(Step::Retire).boxed() };
    prop_oneof![
        12 => append,
        3 => (0..2_000_u64).prop_map(|us| Step::Pass { us }),
        2 => any::<bool>().prop_map(|is_sealed| Step::Roll { is_sealed }),
        1 => Just(Step::Epoch),
        1 => kinds,
    ]
}

fn take(library: &mut Library, step: &Step) {
    match step {
        Step::Append { topics, payload_bytes } => {
            let payload = vec![b'x'; (*payload_bytes).min(15_000 / topics.len())];
            let records: Vec<(&str, &[u8])> = topics.iter().map(|topic| (TOPICS[*topic], &*payload)).collect();
            library.append(&records);
        }
        Step::Pass { us } => library.time_us += us,
        Step::Roll { is_sealed } => library.roll(*is_sealed),
        Step::Epoch => library.begin_epoch(),
        Step::Retire if library.segments.len() > 1 => library.retire(1),
        Step::Retire => {}
        Step::Compact { places, age_us } => {
            let full = library.segments.len() - 1;
            let count = (*places).min(full);
            if count == 0 {
                return;
            }
            let begin = library.position as usize % (full - count + 1);
            let range = begin..begin + count;
            for place in range.clone().filter(|place| !library.segments[*place].is_sealed).collect::<Vec<_>>() {
                library.seal(place);
            }
            if library.segments[range.clone()].windows(2).all(|two| two[0].epoch == two[1].epoch) {
                library.compact(range, *age_us);
            }
        }
    }
}

/// What a start has to deliver of what is there when it is opened, and how it begins.
fn expected(library: &Library, filter: &str, start: Start) -> (Outcome, Vec<Written>) {
    let all = library.matching(filter);
    let is_exact = !filter.contains(['+', '#']);
    let first = library.segments[0].base;
    let last = if is_exact { library.ends.get(filter).map_or(0, |end| end.sequence) } else { library.position };
    let number = |record: &Written| if is_exact { record.sequence } else { record.position };
    let from = |begin: u64| all.iter().filter(|record| number(record) >= begin).cloned().collect::<Vec<_>>();
    match start {
        Start::Live => (Outcome::Live, Vec::new()),
        Start::First => (Outcome::History, all),
        Start::Last { count } => (Outcome::History, all[all.len().saturating_sub(count as usize)..].to_vec()),
        Start::LastValue => {
            let is_newest = |record: &&Written| library.ends[&record.topic].sequence == record.sequence;
            let newest: Vec<_> = all.iter().filter(is_newest).cloned().collect();
            let last = all.last().cloned().into_iter().collect();
            (Outcome::History, if is_exact { last } else { newest })
        }
        Start::Sequence { sequence } if sequence > last + 1 => (Outcome::ResetBeyond, all),
        Start::Sequence { sequence } if retired(library, filter) >= sequence.max(1) => (Outcome::ResetRetention, all),
        Start::Sequence { sequence } => (Outcome::History, from(sequence)),
        Start::Position { position } if position > library.position + 1 => (Outcome::ResetBeyond, all),
        Start::Position { position } if position.max(1) < first => (Outcome::ResetRetention, all),
        Start::Position { position } => {
            (Outcome::History, all.into_iter().filter(|record| record.position >= position).collect())
        }
        Start::Time { time_us } => {
            (Outcome::History, all.into_iter().filter(|record| record.time_us >= time_us).collect())
        }
        Start::Resume { epoch, .. } if epoch > library.epoch => (Outcome::ResetEpoch, all),
        Start::Resume { last: number, .. } if number > last => (Outcome::ResetBeyond, all),
        Start::Resume { epoch, last } => {
            let gone = if is_exact { retired(library, filter) } else { first - 1 };
            if last < gone {
                return (Outcome::ResetRetention, all);
            }
            let written = if is_exact { epoch_of_sequence(library, filter, last) } else { epoch_at(library, last) };
            if last > 0 && written > epoch {
                return (Outcome::ResetEpoch, all);
            }
            (Outcome::Resumed, from(last + 1))
        }
    }
}

/// The last sequence of a topic that retention has removed. (Logs here are either retired or compacted.)
fn retired(library: &Library, filter: &str) -> u64 {
    if library.segments[0].base == 1 {
        return 0;
    }
    let first = library.written.iter().find(|record| record.topic == filter).map(|record| record.sequence - 1);
    first.unwrap_or_else(|| library.ends.get(filter).map_or(0, |end| end.sequence))
}

/// The epoch of a position, or that of the first one there is, if it has just been removed.
fn epoch_at(library: &Library, position: u64) -> u64 {
    let position = position.max(library.segments[0].base);
    library.epochs.get(&position).copied().unwrap_or(library.epoch)
}

fn epoch_of_sequence(library: &Library, filter: &str, sequence: u64) -> u64 {
    let is_it = |record: &&Written| record.topic == filter && record.sequence >= sequence;
    let position = library.written.iter().find(is_it).map(|record| record.position);
    position.map_or_else(|| library.segments[0].epoch, |position| epoch_at(library, position))
}

fn start() -> impl Strategy<Value = Start> {
    prop_oneof![
        Just(Start::Live),
        Just(Start::First),
        Just(Start::LastValue),
        prop_oneof![0..5_u32, 0..200_u32, Just(u32::MAX)].prop_map(|count| Start::Last { count }),
        prop_oneof![0..150_u64, Just(u64::MAX)].prop_map(|sequence| Start::Sequence { sequence }),
        prop_oneof![0..300_u64, Just(u64::MAX)].prop_map(|position| Start::Position { position }),
        (0..30_000_u64).prop_map(|time_us| Start::Time { time_us }),
        (5..40_u64, 0..200_u64).prop_map(|(epoch, last)| Start::Resume { epoch, last }),
    ]
}

/// Reads with one cursor while the log grows, and compares with what should come.
fn compare(library: &mut Library, filter: &str, start: Start, growth: &[Step], bytes_max: usize) {
    let is_exact = !filter.contains(['+', '#']);
    if matches!(start, Start::Sequence { .. }) && !is_exact {
        return;
    }
    let (outcome, mut expected) = expected(library, filter, start);
    let opened_at = library.position;
    let mut reader = library.reader();
    let opened: Opened = library.open(&mut reader, filter, start);
    assert_eq!(opened.outcome, outcome, "{filter} {start:?}");
    let mut found = Vec::new();
    let mut growth = growth.iter();
    for _ in 0..100_000 {
        let told = library.read(&mut reader, filter, bytes_max, &mut found);
        match told {
            ReadOutcome::More => {}
            ReadOutcome::AtTail { position, place, sequence } => {
                assert_eq!((position, place.base), (library.position, library.tail().base));
                let last = library.ends.get(filter).map_or(0, |end| end.sequence);
                assert_eq!(sequence, if is_exact { last } else { 0 });
                if growth.len() == 0 {
                    break;
                }
            }
            other => panic!("{filter} {start:?}: {other:?}"),
        }
        if let Some(step) = growth.next() {
            take(library, step);
        }
    }
    let later = |record: &&Written| record.position > opened_at && matches(filter, &record.topic);
    expected.extend(library.written.iter().filter(later).cloned());
    let passes = |record: &Written| !matches!(start, Start::Time { time_us } if record.time_us < time_us);
    expected.retain(passes);
    assert!(opened.position <= expected.first().map_or(u64::MAX, |record| record.position), "{filter} {start:?}");
    assert_eq!(numbers(&found), numbers(&expected), "{filter} {start:?}");
    assert_eq!(found, expected);
    reader.close(ID);
}

fn numbers(records: &[Written]) -> Vec<(u64, u64, &str)> {
    records.iter().map(|record| (record.position, record.sequence, &*record.topic)).collect()
}

fn grows(step: &Step) -> bool {
    !matches!(step, Step::Retire | Step::Compact { .. })
}

fn check(steps: &[Step], growth: Vec<Step>, starts: &[(usize, Start, usize)]) {
    let mut library = Library::new(20_000);
    for step in steps {
        take(&mut library, step);
    }
    let growth: Vec<Step> = growth.into_iter().filter(grows).collect();
    for (filter, start, bytes_max) in starts {
        compare(&mut library, FILTERS[*filter], *start, &growth, *bytes_max);
    }
}

fn starts() -> impl Strategy<Value = Vec<(usize, Start, usize)>> {
    let bytes_max = prop_oneof![Just(1_usize), 100..1_000_usize, 1_000..40_000_usize];
    prop::collection::vec((0..FILTERS.len(), start(), bytes_max), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_start_delivers_what_a_list_says_while_segments_are_retired(
        steps in prop::collection::vec(step(false), 0..60),
        growth in prop::collection::vec(step(false), 0..6),
        starts in starts(),
    ) {
        check(&steps, growth, &starts);
    }

    #[test]
    fn every_start_delivers_what_a_list_says_of_a_compacted_journal(
        steps in prop::collection::vec(step(true), 0..60),
        growth in prop::collection::vec(step(true), 0..6),
        starts in starts(),
    ) {
        // What compaction leaves of an epoch that is asked for is left to a test of its own.
        let is_other = |(_, start, _): &(usize, Start, usize)| !matches!(start, Start::Resume { .. });
        let starts: Vec<_> = starts.into_iter().filter(is_other).collect();
        check(&steps, growth, &starts);
    }
}

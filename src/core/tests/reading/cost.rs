//! What a history costs, in reads and bytes: what the topic holds, not what the journal does.

use crate::library::{ID, Library};
use fanwire_core::journal::reader::{ReadOutcome, WORK_BYTES_MAX};
use fanwire_wire::frame::Start;

/// Topics beside the small one.
const TOPICS: usize = 100_000;
/// Records of the small topic, in segments of their own.
const SMALL: u64 = 6;

/// A journal of 100 000 topics with one record each in each of three segments, and a small one: twice in each.
fn crowded() -> Library {
    let mut library = Library::new(24 * 1024 * 1024);
    let names: Vec<String> = (0..TOPICS).map(|number| format!("crowd/{number}/state")).collect();
    for round in 0..3 {
        let half = names.len() / 2;
        for part in [&names[..half], &names[half..]] {
            for chunk in part.chunks(1_000) {
                let records: Vec<(&str, &[u8])> = chunk.iter().map(|name| (&**name, &b"payload"[..])).collect();
                library.append(&records);
            }
            library.append(&[("small/topic", b"payload")]);
        }
        library.time_us += 1_000;
        if round < 2 {
            library.roll(true);
        }
    }
    assert_eq!(library.segments.len(), 3);
    library
}

#[test]
fn a_small_topic_among_a_hundred_thousand_costs_what_it_holds() {
    let library = crowded();
    for start in [Start::First, Start::LastValue, Start::Sequence { sequence: 3 }, Start::Time { time_us: 0 }] {
        let mut reader = library.reader();
        library.medium.take_reads();
        library.open(&mut reader, "small/topic", start);
        let (found, outcome) = library.read_all(&mut reader, "small/topic");
        assert!(matches!(outcome, ReadOutcome::AtTail { .. }), "{outcome:?}");
        let all = library.matching("small/topic");
        assert_eq!(all.len() as u64, SMALL);
        let wanted = match start {
            Start::LastValue => &all[5..],
            Start::Sequence { .. } => &all[2..],
            _ => &all[..],
        };
        assert_eq!(found, wanted);
        let (reads, bytes) = library.medium.take_reads();
        // Two look-ups in each of two indexes, of some pages each, and a page for each record and topic item.
        assert!(reads <= 90, "{start:?}: {reads} reads");
        assert!(bytes <= 90 * 4_096, "{start:?}: {bytes} bytes");
    }
}

#[test]
fn a_filter_that_matches_little_reads_names_and_not_segments() {
    let library = crowded();
    let mut reader = library.reader();
    library.open(&mut reader, "small/+", Start::First);
    library.medium.take_reads();
    let (found, _) = library.read_all(&mut reader, "small/+");
    assert_eq!(found, library.matching("small/+"));
    let (_, bytes) = library.medium.take_reads();
    let segment = u64::from(library.segments[0].end.unwrap().offset);
    // The open segment has no index and is read; of the others only the names are.
    assert!(bytes < segment + segment, "{bytes} bytes of {segment} a segment");
}

#[test]
fn one_reading_looks_at_a_bounded_stretch_and_says_that_there_may_be_more() {
    let mut library = Library::new(16 * 1024 * 1024);
    let payload = vec![b'x'; 60_000];
    for _ in 0..200 {
        library.append(&[("dull/one", &payload)]);
    }
    library.append(&[("rare/one", b"at last")]);
    let mut reader = library.reader();
    library.open(&mut reader, "rare/+", Start::First);
    let mut found = Vec::new();
    let mut readings = 0;
    library.medium.take_reads();
    while library.read(&mut reader, "rare/+", 1_000, &mut found) == ReadOutcome::More {
        readings += 1;
        let (_, bytes) = library.medium.take_reads();
        assert!(bytes <= WORK_BYTES_MAX as u64 + 200_000, "{bytes} bytes in one reading");
    }
    assert!(readings >= 12_000_000 / WORK_BYTES_MAX, "{readings} readings");
    assert_eq!(found, library.matching("rare/+"));
    reader.close(ID);
    assert_eq!(reader.cursors(), 0);
}

#[test]
fn a_record_larger_than_asked_for_comes_alone() {
    let mut library = Library::new(4 * 1024 * 1024);
    let large = vec![b'x'; 1024 * 1024];
    library.append(&[("a/b", b"small")]);
    library.append(&[("a/b", &large)]);
    library.append(&[("a/b", b"small")]);
    for filter in ["a/b", "a/+"] {
        let mut reader = library.reader();
        library.open(&mut reader, filter, Start::First);
        let mut found = Vec::new();
        let mut steps = Vec::new();
        while steps.len() < 100 {
            let before = found.len();
            let outcome = library.read(&mut reader, filter, 2_000, &mut found);
            steps.push(found.len() - before);
            if outcome != ReadOutcome::More {
                break;
            }
        }
        assert_eq!(found, library.matching(filter));
        assert!(steps.iter().all(|step| *step <= 2), "{filter}: {steps:?}");
    }
}

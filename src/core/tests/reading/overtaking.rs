//! Retention: what goes, and what becomes of cursors that still had to read it.

use crate::library::Library;
use fanwire_core::journal::catalog::Catalog;
use fanwire_core::journal::reader::ReadOutcome;
use fanwire_core::journal::retention::Retention;
use fanwire_wire::frame::{Outcome, Start};

/// Five full segments of 4 000 bytes and an open one; the last time of each is 1 000 later.
fn library() -> Library {
    let mut library = Library::new(4_000);
    for _ in 0..5 {
        for _ in 0..10 {
            library.append(&[("a/b", &[b'x'; 100]), ("a/c", b"y")]);
        }
        library.roll(true);
        library.time_us += 1_000;
    }
    library.append(&[("a/b", b"last")]);
    assert_eq!(library.segments.len(), 6);
    library
}

#[test]
fn a_cursor_finishes_the_segment_that_it_is_in_and_is_then_overtaken() {
    for filter in ["a/b", "a/#"] {
        let mut library = library();
        let mut reader = library.reader();
        library.open(&mut reader, filter, Start::First);
        let before = library.matching(filter);
        let mut found = Vec::new();
        assert_eq!(library.read(&mut reader, filter, 500, &mut found), ReadOutcome::More);
        library.retire(3);
        let (rest, outcome) = library.read_all(&mut reader, filter);
        found.extend(rest);
        let count = if filter == "a/b" { 10 } else { 20 };
        assert_eq!((found, outcome), (before[..count].to_vec(), ReadOutcome::Overtaken), "{filter}");
    }
}

#[test]
fn a_cursor_that_had_nothing_to_read_there_is_not_overtaken() {
    let mut library = Library::new(4_000);
    library.append(&[("early", b"1")]);
    library.roll(true);
    library.append(&[("other", b"2")]);
    library.roll(true);
    library.append(&[("other", b"3")]);
    let mut reader = library.reader();
    library.open(&mut reader, "early", Start::First);
    let mut found = Vec::new();
    while library.read(&mut reader, "early", 500, &mut found) == ReadOutcome::More {}
    assert_eq!(found.len(), 1);
    library.retire(2);
    library.append(&[("early", b"4")]);
    let (rest, outcome) = library.read_all(&mut reader, "early");
    assert!(matches!(outcome, ReadOutcome::AtTail { sequence: 2, .. }), "{outcome:?}");
    assert_eq!(rest, library.matching("early"));
}

#[test]
fn a_caught_up_cursor_is_overtaken_when_records_came_and_went_in_between() {
    for filter in ["a/b", "a/#"] {
        let mut library = library();
        let mut reader = library.reader();
        library.open(&mut reader, filter, Start::Live);
        assert!(matches!(library.read_all(&mut reader, filter).1, ReadOutcome::AtTail { .. }));
        library.append(&[("a/b", b"missed")]);
        library.roll(true);
        library.append(&[("a/b", b"there")]);
        library.retire(6);
        assert_eq!(library.read_all(&mut reader, filter).1, ReadOutcome::Overtaken, "{filter}");
    }
}

#[test]
fn a_place_that_retention_has_removed_is_told_and_the_oldest_comes_first() {
    let mut library = library();
    library.retire(2);
    for (filter, start) in [
        ("a/b", Start::Sequence { sequence: 20 }),
        ("a/b", Start::Position { position: 3 }),
        ("a/#", Start::Position { position: 40 }),
        ("a/b", Start::Resume { epoch: library.epoch, last: 19 }),
        ("a/#", Start::Resume { epoch: library.epoch, last: 0 }),
    ] {
        let mut reader = library.reader();
        let opened = library.open(&mut reader, filter, start);
        assert_eq!(opened.outcome, Outcome::ResetRetention, "{filter} {start:?}");
        assert_eq!(library.read_all(&mut reader, filter).0, library.matching(filter));
    }
    // Received up to what was retired: nothing is missing.
    let mut reader = library.reader();
    let start = Start::Resume { epoch: library.epoch, last: 20 };
    assert_eq!(library.open(&mut reader, "a/b", start).outcome, Outcome::Resumed);
}

#[test]
fn segments_go_by_bytes_and_by_age_but_never_the_open_one() {
    let library = library();
    let catalog = Catalog { segments: library.segments.clone() };
    let bases: Vec<u64> = library.segments.iter().map(|segment| segment.base).collect();
    let retired = |bytes_max, age_us_max, now_us| Retention { bytes_max, age_us_max }.retired(&catalog, now_us);
    assert_eq!(retired(0, 0, u64::MAX), []);
    assert_eq!(retired(24_000, 0, 0), []);
    assert_eq!(retired(23_999, 0, 0), bases[..1]);
    assert_eq!(retired(1, 0, 0), bases[..5]);
    assert_eq!(retired(0, 2_000, 4_001), bases[..2]);
    assert_eq!(retired(0, 1, u64::MAX), bases[..5]);
    let mut sealing = catalog.clone();
    sealing.segments[1].is_sealed = false;
    assert_eq!(Retention { bytes_max: 1, age_us_max: 0 }.retired(&sealing, 0), bases[..1]);
}

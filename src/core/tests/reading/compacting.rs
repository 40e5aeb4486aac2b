//! Compaction: what stays, what it saves, and that nothing is lost wherever it is killed.

use crate::library::{Library, Written};
use crate::medium::{Medium, MediumFile};
use fanwire_core::journal::catalog::{Catalog, Segment};
use fanwire_core::journal::compaction::{Share, assess, choose};
use fanwire_core::journal::disk::{Disk, DiskFile};
use fanwire_core::journal::dump::dump;
use fanwire_core::journal::format::{HEADER_BYTES, Item, SegmentHeader};
use fanwire_core::journal::index::Index;
use fanwire_core::journal::scan::{Scan, read_header};
use fanwire_core::journal::verify::verify;
use fanwire_wire::frame::{Outcome, Start};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;

/// Three full segments in which twenty topics are written again and again; two of them end with a tombstone.
fn library() -> Library {
    let mut library = Library::new(16_000);
    let names: Vec<String> = (0..20).map(|number| format!("state/{number}")).collect();
    for round in 0..3 {
        for _ in 0..4 {
            for chunk in names.chunks(5) {
                let records: Vec<(&str, &[u8])> = chunk.iter().map(|name| (&**name, &[b'x'; 50][..])).collect();
                library.append(&records);
            }
        }
        if round == 1 {
            library.append(&[("state/1", b""), ("gone", b"was there")]);
        }
        if round == 2 {
            library.append(&[("state/2", b""), ("gone", b"")]);
        }
        library.time_us += 1_000;
        library.roll(true);
    }
    library.append(&[("state/0", b"newest")]);
    assert_eq!(library.segments.len(), 4);
    library.segments[3].file.sync().unwrap();
    library
}

#[test]
fn only_the_newest_record_of_each_topic_stays_and_old_tombstones_go() {
    let mut library = library();
    let compacted = library.compact(0..3, 500);
    assert_eq!((compacted.records_after, compacted.replaced.len()), (18, 3));
    assert!(compacted.bytes_after * 8 < compacted.bytes_before, "{compacted:?}");
    let left: BTreeMap<&str, &[u8]> = library.written.iter().map(|record| (&*record.topic, &*record.payload)).collect();
    assert!(!left.contains_key("gone") && !left.contains_key("state/2") && left["state/0"] == b"newest");
    for filter in ["#", "state/+", "state/3", "state/1", "gone"] {
        for start in [Start::First, Start::LastValue, Start::Last { count: 4 }] {
            let mut reader = library.reader();
            assert_eq!(library.open(&mut reader, filter, start).outcome, Outcome::History);
            let (found, _) = library.read_all(&mut reader, filter);
            let all = library.matching(filter);
            let count = if filter.contains('+') || filter == "#" { usize::MAX } else { 1 };
            let count = if let Start::Last { count } = start { count as usize } else { count };
            assert_eq!(found, all[all.len().saturating_sub(count)..], "{filter} {start:?}");
        }
    }
    let report = verify(&mut library.medium.clone(), &mut |_| {}).unwrap();
    assert!(report.is_sound(), "{report:?}");
}

#[test]
fn a_tombstone_stays_while_it_is_young_or_an_earlier_segment_has_its_topic() {
    let mut library = library();
    library.compact(2..3, 0);
    let holds = |library: &Library| library.written.iter().any(|record| record.topic == "gone" && record.sequence == 2);
    assert!(holds(&library), "an earlier segment has what it deletes");
    library.compact(0..3, 1_000_000);
    assert!(holds(&library), "it is young");
    library.compact(0..1, 0);
    assert!(!holds(&library));
}

#[test]
fn a_record_that_compaction_took_counts_as_received() {
    let mut library = library();
    let (epoch, position) = (library.epoch, library.position);
    library.compact(0..3, 500);
    for (filter, last) in [("#", 7), ("#", 0), ("state/3", 2), ("state/3", 0), ("#", position), ("gone", 1)] {
        let mut reader = library.reader();
        let opened = library.open(&mut reader, filter, Start::Resume { epoch, last });
        assert_eq!(opened.outcome, Outcome::Resumed, "{filter} {last}");
        let (found, _) = library.read_all(&mut reader, filter);
        let is_later = |record: &&Written| {
            let number = if filter == "#" { record.position } else { record.sequence };
            number > last
        };
        assert_eq!(found, library.matching(filter).iter().filter(is_later).cloned().collect::<Vec<_>>());
    }
    let mut reader = library.reader();
    let opened = library.open(&mut reader, "#", Start::Resume { epoch, last: position + 1 });
    assert_eq!(opened.outcome, Outcome::ResetBeyond);
}

/// What a start makes of a directory: leftovers removed, as the module says.
fn restart(medium: &Medium) -> Vec<(u64, String)> {
    let mut disk = medium.clone();
    let names = disk.list().unwrap();
    for name in names.iter().filter(|name| name.ends_with(".making")) {
        disk.remove(name).unwrap();
    }
    let mut covered = 0;
    for name in names.iter().filter(|name| name.ends_with(".segment")) {
        let base: u64 = name[..20].parse().unwrap();
        if base <= covered {
            disk.remove(name).unwrap();
            continue;
        }
        let header = read_header(&disk.open(name).unwrap()).unwrap();
        let index = disk.open(&format!("{base:020}.index")).ok().and_then(|file| Index::open(file).ok());
        covered = match index.filter(|index| index.fits(&header)) {
            Some(index) => index.summary().end.position,
            None => last_record(&disk.open(name).unwrap(), &header),
        };
    }
    let mut found = Vec::new();
    let told = dump(&mut disk, 0, |dumped| {
        found.push((dumped.record.position, String::from_utf8(dumped.topic.to_vec()).unwrap()));
        ControlFlow::Continue(())
    });
    assert_eq!(told, Ok(()));
    found
}

fn last_record(file: &MediumFile, header: &SegmentHeader) -> u64 {
    let mut scan = Scan::new(file, header.salt(), HEADER_BYTES, header.bytes as u32);
    let mut last = 0;
    while !scan.at_zeros().unwrap() {
        if let Item::Record(record) = scan.next_item().unwrap().unwrap().item {
            last = record.position;
        }
    }
    last
}

#[test]
fn killed_at_any_operation_it_loses_nothing_that_stays() {
    let whole = library();
    let needed: Vec<(u64, String)> = {
        let mut after = library();
        after.compact(0..3, 500);
        after.written.iter().map(|record| (record.position, record.topic.clone())).collect()
    };
    let before = whole.medium.counts().changes.load(Ordering::Relaxed);
    whole.try_compact(0..3, 500).unwrap();
    let operations = whole.medium.counts().changes.load(Ordering::Relaxed) - before;
    assert!(operations >= 12, "{operations} operations");
    for killed in 0..operations {
        for (forgets, loses_index) in [(false, false), (true, false), (false, true)] {
            let library = library();
            let counts = library.medium.counts();
            counts.changes_max.store(counts.changes.load(Ordering::Relaxed) + killed, Ordering::Relaxed);
            if killed > 0 {
                assert!(library.try_compact(0..3, 500).is_err());
            }
            let mut left = library.medium.copy(forgets);
            if loses_index {
                left.remove("00000000000000000001.index").unwrap();
            }
            let found = restart(&left);
            let is_there = |record: &&(u64, String)| found.contains(record);
            assert_eq!(needed.iter().filter(is_there).count(), needed.len(), "killed at {killed}");
            assert!(found.windows(2).all(|two| two[0].0 < two[1].0), "killed at {killed}: {found:?}");
        }
    }
}

#[test]
fn a_disk_that_is_full_or_a_damaged_source_leaves_everything_as_it_was() {
    let library = library();
    let damaged = &library.segments[1].file;
    let mut byte = [0];
    damaged.read(3_000, &mut byte).unwrap();
    damaged.write(3_000, &[byte[0] ^ 1]).unwrap();
    let names = library.medium.clone().list().unwrap();
    let told = library.try_compact(0..3, 500).unwrap_err().to_string();
    assert!(told.contains(".segment: damaged at offset"), "{told}");
    assert_eq!(library.medium.clone().list().unwrap(), names);
}

#[test]
fn segments_are_chosen_when_half_of_them_is_dead() {
    let library = library();
    let mut disk = library.medium.clone();
    let share = |segment: &Segment<_>| {
        let index = Index::open(disk.open(&format!("{:020}.index", segment.base)).unwrap()).unwrap();
        Some(assess(&index, |topic, sequence| library.ends[topic].sequence == sequence).unwrap())
    };
    let catalog = Catalog { segments: library.segments.clone() };
    assert_eq!(choose(&catalog, 16_000, share), Some(0..3));
    assert_eq!(choose(&catalog, 16_000, |_| None), None);
    let live = |_: &Segment<_>| Some(Share { records: 80, newest: 80 });
    assert_eq!(choose(&catalog, 16_000, live), None);
}

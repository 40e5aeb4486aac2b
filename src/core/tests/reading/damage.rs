//! Bits that flip, indexes that are missing: what is delivered is right, or it is said that it can't be.

use crate::library::{Library, Written};
use crate::medium::Medium;
use fanwire_core::journal::catalog::{Catalog, Segment};
use fanwire_core::journal::disk::Disk;
use fanwire_core::journal::history::History;
use fanwire_core::journal::index::Index;
use fanwire_core::journal::reader::{CursorId, OpenRequest, ReadOutcome, Reader};
use fanwire_core::journal::verify::{Severity, verify};
use fanwire_wire::frame::Start;
use std::sync::Arc;

const ID: CursorId = CursorId { shard: 0, key: 0, serial: 0 };
const STARTS: [(&str, Start); 7] = [
    ("a/1", Start::First),
    ("a/1", Start::LastValue),
    ("dense", Start::First),
    ("#", Start::First),
    ("a/+", Start::First),
    ("+/1", Start::Last { count: 3 }),
    ("a/#", Start::Time { time_us: 1_500 }),
];

fn library() -> Library {
    let mut library = Library::new(16_000);
    for round in 0..30 {
        let names: Vec<String> = (0..3).map(|number| format!("a/{}", (round + number * 5) % 12)).collect();
        let mut records: Vec<(&str, &[u8])> = names.iter().map(|name| (&**name, &b"payload"[..])).collect();
        records.push(("dense", b"x"));
        records.push(("dense", b"y"));
        library.append(&records);
        library.time_us += 50;
    }
    library.roll(true);
    library.append(&[("a/1", b"in the open one"), ("dense", b"too")]);
    assert_eq!(library.segments.len(), 2, "one segment is sealed");
    library
}

/// What a start delivers from a copy of the library's directory; or up to where, and what was said then.
fn read_copy(
    library: &Library,
    medium: &Medium,
    filter: &str,
    start: Start,
) -> Result<Vec<Written>, (Vec<Written>, String)> {
    let mut disk = medium.clone();
    let reopen = |segment: &Segment<_>| {
        let file = disk.open(&format!("{:020}.segment", segment.base)).unwrap();
        Segment { file, ..segment.clone() }
    };
    let catalog = Arc::new(Catalog { segments: library.segments.iter().map(reopen).collect() });
    let request = OpenRequest { catalog: catalog.clone(), ..library.request(filter, start) };
    let mut reader = Reader::new(medium.clone());
    reader.open(ID, &request);
    let mut found = Vec::new();
    let mut history = History::default();
    for _ in 0..10_000 {
        let told = reader.read(ID, &catalog, library.tail(), request.topic, 1_000, &mut history);
        found.extend(history.iter().map(|record| Written {
            topic: record.topic.to_owned(),
            sequence: record.sequence,
            position: record.position,
            time_us: record.time_us,
            headers: record.headers.to_vec(),
            payload: record.payload.to_vec(),
        }));
        match told {
            ReadOutcome::More => {}
            ReadOutcome::AtTail { .. } => return Ok(found),
            ReadOutcome::Failed(what) => return Err((found, what)),
            ReadOutcome::Overtaken => panic!("nothing was retired"),
        }
    }
    panic!("a cursor does not come to the tail");
}

#[test]
fn an_index_with_a_flipped_bit_or_none_at_all_changes_nothing() {
    let library = library();
    let name = "00000000000000000001.index";
    let sound = library.medium.get(name).unwrap();
    let wanted: Vec<_> =
        STARTS.iter().map(|(filter, start)| read_copy(&library, &library.medium, filter, *start).unwrap()).collect();
    assert!(wanted.iter().all(|records| !records.is_empty()));
    let missing = library.medium.copy(false);
    missing.clone().remove(name).unwrap();
    for ((filter, start), wanted) in STARTS.iter().zip(&wanted) {
        assert_eq!(read_copy(&library, &missing, filter, *start).as_ref(), Ok(wanted));
    }
    for byte in 0..sound.len() {
        let damaged = library.medium.copy(false);
        let mut bytes = sound.clone();
        bytes[byte] ^= 1 << (byte % 8);
        damaged.put(name, &bytes);
        for ((filter, start), wanted) in STARTS.iter().zip(&wanted) {
            assert_eq!(read_copy(&library, &damaged, filter, *start).as_ref(), Ok(wanted), "byte {byte}");
        }
        let is_opened = Index::open(damaged.clone().open(name).unwrap());
        assert!(is_opened.and_then(|index| index.verify_pages()).is_err(), "byte {byte} is of no account");
    }
}

#[test]
fn a_segment_with_a_flipped_bit_never_gives_a_wrong_record() {
    let library = library();
    let wanted: Vec<_> =
        STARTS.iter().map(|(filter, start)| read_copy(&library, &library.medium, filter, *start).unwrap()).collect();
    for segment in &library.segments {
        let name = format!("{:020}.segment", segment.base);
        let sound = library.medium.get(&name).unwrap();
        let end = segment.end.map_or(library.tail().offset, |end| end.offset) as usize;
        for byte in 0..end {
            let damaged = library.medium.copy(false);
            let mut bytes = sound.clone();
            bytes[byte] ^= 1 << (byte % 8);
            damaged.put(&name, &bytes);
            let some = STARTS.iter().zip(&wanted).cycle().skip(byte % STARTS.len()).take(2);
            for ((filter, start), wanted) in some {
                match read_copy(&library, &damaged, filter, *start) {
                    Ok(found) => assert_eq!(found, *wanted, "byte {byte} {filter} {start:?}"),
                    Err((found, what)) => {
                        assert!(wanted.starts_with(&found), "byte {byte} {filter} {start:?}");
                        assert!(what.starts_with(&name) && what.contains("; "), "{what}");
                    }
                }
            }
        }
    }
}

#[test]
fn verify_finds_nothing_wrong_with_a_sound_directory_and_every_flipped_bit_of_another() {
    let library = library();
    let mut told = 0;
    let report = verify(&mut library.medium.clone(), &mut |progress| told = progress.bytes).unwrap();
    assert!(report.is_sound(), "{report:?}");
    assert_eq!((report.records, report.topics, report.segments), (library.written.len() as u64, 13, 2));
    assert_eq!((report.position_first, report.position_last), (1, library.position));
    assert_eq!(told, 32_000);
    let notes = report.findings.len();
    for segment in &library.segments {
        let name = format!("{:020}.segment", segment.base);
        let sound = library.medium.get(&name).unwrap();
        for byte in (0..sound.len()).step_by(11) {
            let damaged = library.medium.copy(false);
            let mut bytes = sound.clone();
            bytes[byte] ^= 1 << (byte % 8);
            damaged.put(&name, &bytes);
            let report = verify(&mut damaged.clone(), &mut |_| {}).unwrap();
            let worst = report.findings.iter().find(|finding| finding.severity == Severity::Damage);
            assert!(worst.is_some_and(|finding| finding.file == name), "byte {byte}: {report:?}");
        }
    }
    for byte in 0..library.medium.get("00000000000000000001.index").unwrap().len() {
        let damaged = library.medium.copy(false);
        let mut bytes = library.medium.get("00000000000000000001.index").unwrap();
        bytes[byte] ^= 1;
        damaged.put("00000000000000000001.index", &bytes);
        let report = verify(&mut damaged.clone(), &mut |_| {}).unwrap();
        assert!(report.is_sound() && report.findings.len() > notes, "byte {byte}: {report:?}");
    }
}

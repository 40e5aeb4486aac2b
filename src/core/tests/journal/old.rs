//! Files that earlier releases wrote stay readable. Each format has a directory of its own under `old`; it is never
//! written again.

use crate::basics::{SETTINGS, opening, publication, publish};
use crate::disk::SimulatedDisk;
use fanwire_core::journal::dump::dump;
use fanwire_core::journal::format::Producer;
use fanwire_core::journal::verify::verify;
use fanwire_core::journal::{Admission, Log, Publication, Start, indexing};
use std::ops::ControlFlow;

/// Twenty records each of two topics, in a sealed segment and an open one, of a journal that was closed.
const VERSION_1: [(&str, &[u8]); 5] = [
    ("00000000000000000001.index", include_bytes!("../old/1/00000000000000000001.index")),
    ("00000000000000000001.segment", include_bytes!("../old/1/00000000000000000001.segment")),
    ("00000000000000000025.segment", include_bytes!("../old/1/00000000000000000025.segment")),
    ("00000000000000000025.snapshot", include_bytes!("../old/1/00000000000000000025.snapshot")),
    ("journal", include_bytes!("../old/1/journal")),
];

#[test]
fn a_journal_of_format_1_is_read_and_goes_on() {
    let mut disk = SimulatedDisk::new(1);
    for (name, content) in VERSION_1 {
        disk.put(name, content.to_vec());
    }
    assert!(verify(&mut disk, &mut |_| {}).expect("it can be read").is_sound());
    let mut records = 0;
    let dumped = dump(&mut disk, 1, |dumped| {
        let (round, record) = (records / 2, dumped.record);
        assert_eq!(dumped.topic, [b"match/1", b"match/2"][records as usize % 2]);
        assert_eq!((record.position, record.sequence), (records + 1, round + 1));
        assert_eq!((record.headers, record.payload), (&b"h"[..], &[round as u8; 60][..]));
        assert_eq!(record.producer, Some(Producer { id: 5, number: records + 1 }));
        records += 1;
        ControlFlow::Continue(())
    });
    dumped.expect("it can be read");
    assert_eq!(records, 40);
    let (mut log, recovery) = Log::open(disk.clone(), SETTINGS, indexing(), &opening(2)).expect("it can be opened");
    assert_eq!((recovery.start, recovery.snapshot, recovery.epoch_change), (Start::Clean, Some(25), None));
    let again = Publication { producer: Some(Producer { id: 5, number: 7 }), ..publication("match/1", b"") };
    assert_eq!(log.admit(&again, 3000), Admission::Duplicate { sequence: 4 });
    let ordered = publish(&mut log, &publication("match/2", b"new"));
    assert_eq!((ordered.position, ordered.sequence), (41, 21));
    log.commit().expect("the disk is sound");
    let begun = log.shared_catalog().segments.last().expect("there is one").base;
    assert_eq!(begun, 41, "what is written now is of the format of now, and has a segment of its own");
}

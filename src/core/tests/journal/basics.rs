//! What a log does when nothing goes wrong, and after it was closed or killed.

use crate::disk::SimulatedDisk;
use crate::index::PLAIN;
use fanwire_core::journal::{Admission, Log, LogSettings, Opening, Ordered, Publication, Recovery, Start, TopicRef};

pub(crate) const SETTINGS: LogSettings =
    LogSettings { segment_bytes: 4096, topics_max: 1000, is_volatile: false, seed: 7 };

pub(crate) fn opening(boot: u8) -> Opening {
    Opening { now_us: 1000, boot: [boot; 16], fresh_id: [9; 16], repair: false }
}

pub(crate) fn open(disk: &SimulatedDisk, boot: u8) -> (Log<SimulatedDisk>, Recovery) {
    Log::open(disk.clone(), SETTINGS, PLAIN, &opening(boot)).unwrap_or_else(|error| panic!("{error}"))
}

pub(crate) fn publication<'a>(topic: &'a str, payload: &'a [u8]) -> Publication<'a> {
    Publication { topic: TopicRef::Name(topic), publisher: 1, expect: None, producer: None, headers: b"", payload }
}

/// Admits, with whatever that takes.
pub(crate) fn publish(log: &mut Log<SimulatedDisk>, publication: &Publication<'_>) -> Ordered {
    loop {
        match log.admit(publication, 2000) {
            Admission::Ordered(ordered) => return ordered,
            Admission::NeedsCommit => {
                log.commit().expect("the disk is sound");
            }
            Admission::NeedsRoll => log.roll(2000).expect("the disk is sound"),
            Admission::NeedsSegment => {
                let task = log.prepare_task().expect("a segment is wanted");
                log.supply(task.run().expect("the disk is sound"));
            }
            admission => panic!("{admission:?}"),
        }
    }
}

/// Syncs what is full, and seals it.
pub(crate) fn seal_all(log: &mut Log<SimulatedDisk>) {
    if let Some(mut task) = log.sync_task() {
        task.run().expect("the disk is sound");
        log.note_synced(&task);
    }
    while let Some(mut task) = log.seal_task() {
        task.run().expect("the disk is sound");
        log.note_sealed(&task);
    }
}

#[test]
fn a_closed_log_goes_on_where_it_ended() {
    let disk = SimulatedDisk::new(1);
    let (mut log, recovery) = open(&disk, 1);
    assert_eq!(recovery.start, Start::Fresh);
    for number in 1..=100_u64 {
        let ordered = publish(&mut log, &publication("a/b", &[7; 100]));
        assert_eq!((ordered.sequence, ordered.position), (number, number));
        log.commit().expect("the disk is sound");
    }
    log.close().expect("the disk is sound");
    let (mut log, recovery) = open(&disk, 2);
    assert_eq!((recovery.start, recovery.records, recovery.epoch_change), (Start::Clean, 100, None));
    let ordered = publish(&mut log, &publication("a/b", b"x"));
    assert_eq!((ordered.sequence, ordered.position), (101, 101));
}

#[test]
fn a_killed_log_has_all_that_was_committed_and_its_epoch() {
    let disk = SimulatedDisk::new(1);
    let (mut log, first) = open(&disk, 1);
    for _ in 0..100 {
        publish(&mut log, &publication("a/b", &[7; 100]));
        publish(&mut log, &publication("a/c", &[8; 10]));
        log.commit().expect("the disk is sound");
    }
    publish(&mut log, &publication("a/b", &[7; 100]));
    drop(log);
    let (mut log, recovery) = open(&disk, 1);
    assert_eq!((recovery.start, recovery.records, recovery.epoch), (Start::Killed, 200, first.epoch));
    let ordered = publish(&mut log, &publication("a/c", b"x"));
    assert_eq!((ordered.sequence, ordered.position), (101, 201));
}

#[test]
fn a_sealed_segment_is_not_read_again() {
    let disk = SimulatedDisk::new(1);
    let (mut log, _) = open(&disk, 1);
    for _ in 0..100 {
        publish(&mut log, &publication("a/b", &[7; 100]));
        log.commit().expect("the disk is sound");
        seal_all(&mut log);
    }
    let segments = log.shared_catalog().segments.len();
    assert!(segments > 3);
    drop(log);
    let (mut log, recovery) = open(&disk, 1);
    assert_eq!(recovery.segments, 1, "{recovery:?}");
    assert_eq!(publish(&mut log, &publication("a/b", b"x")).sequence, 101);
}

//! Files that are not as they were written: every byte of a segment, and files gone, swapped, foreign, or newer.

use crate::basics::{SETTINGS, open, opening, publication, publish, seal_all};
use crate::disk::SimulatedDisk;
use crate::index::PLAIN;
use crate::run::{Kept, read};
use fanwire_core::journal::disk::DiskError;
use fanwire_core::journal::{
    CommitError, EpochChange, Fault, Log, OpenError, Opening, Publication, Recovery, Start, SyncTask, names,
};
use std::collections::BTreeMap;

/// How the journal's life ended before its files were damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Closed,
    Killed,
    PowerLost,
}

/// A journal of two segments and a bit, all of it synced, and a mark of that in all batches but the last ones.
fn journal(end: End) -> (SimulatedDisk, Vec<Kept>) {
    let disk = SimulatedDisk::new(3);
    let (mut log, _) = open(&disk, 1);
    for number in 0..40_u8 {
        let topic = ["a/b", "a/c", "d"][usize::from(number) % 3];
        let payload = vec![number; usize::from(number) * 7];
        publish(&mut log, &Publication { headers: b"headers", ..publication(topic, &payload) });
        if number % 2 == 0 {
            log.commit().expect("the disk is sound");
        }
        if let Some(mut task) = log.sync_task() {
            task.run().expect("the disk is sound");
            log.note_synced(&task);
        }
    }
    log.commit().expect("the disk is sound");
    let mut task = log.sync_task().expect("there is something to sync");
    task.run().expect("the disk is sound");
    log.note_synced(&task);
    let records = records_of(&log);
    assert_eq!((records.len(), log.shared_catalog().segments.len()), (40, 3));
    if end == End::Closed {
        log.close().expect("the disk is sound");
    }
    (disk, records)
}

fn records_of(log: &Log<SimulatedDisk>) -> Vec<Kept> {
    let catalog = log.shared_catalog();
    let end = |end: Option<fanwire_core::journal::catalog::SegmentEnd>| end.map_or(log.tail().offset, |end| end.offset);
    catalog.segments.iter().flat_map(|segment| read(segment, end(segment.end))).collect()
}

fn try_open(disk: &SimulatedDisk, end: End, repair: bool) -> Result<(Log<SimulatedDisk>, Recovery), OpenError> {
    let boot = if end == End::Killed { 1 } else { 2 };
    Log::open(disk.clone(), SETTINGS, PLAIN, &Opening { repair, ..opening(boot) })
}

/// All files with their content, but the state, which every opening writes anew.
fn files(disk: &SimulatedDisk) -> BTreeMap<String, Vec<u8>> {
    disk.names().into_iter().map(|name| (name.clone(), disk.content(&name))).collect()
}

/// What became of a journal with some damage.
#[derive(Debug, Default)]
struct Tally {
    refused: u32,
    harmless: u32,
    cut: u32,
    lost_at_most: usize,
}

impl Tally {
    /// Opens what was damaged. It is refused, with nothing changed; or it has all records; or the last ones are gone,
    /// which is told.
    fn open(&mut self, disk: &SimulatedDisk, end: End, records: &[Kept], what: &str) {
        let before = files(disk);
        match try_open(disk, end, false) {
            Err(error) => {
                assert_eq!(files(disk), before, "{what}: refused, and changed: {error}");
                self.refused += 1;
            }
            Ok((log, recovery)) => {
                let found = records_of(&log);
                for (kept, found) in records.iter().zip(&found) {
                    assert_eq!(
                        (&kept.topic, kept.sequence, &kept.payload),
                        (&found.topic, found.sequence, &found.payload),
                        "{what}"
                    );
                }
                if found.len() == records.len() {
                    self.harmless += 1;
                    return;
                }
                let lost = records.len() - found.len();
                assert!(end != End::Closed, "{what}: {lost} lost of a closed journal");
                assert!(!recovery.cuts.is_empty(), "{what}: {lost} lost in silence");
                let change = if end == End::Killed { EpochChange::Cut } else { EpochChange::PowerLost };
                assert_eq!(recovery.epoch_change, Some(change), "{what}");
                for cut in &recovery.cuts {
                    let kept = cut.kept_as.as_ref().expect("what is cut is kept");
                    assert!(disk.content(kept).len() as u64 >= cut.bytes, "{what}");
                }
                self.cut += 1;
                self.lost_at_most = self.lost_at_most.max(lost);
            }
        }
    }
}

#[test]
fn a_bit_flipped_at_every_byte_is_detected_or_harmless() {
    for end in [End::Closed, End::Killed, End::PowerLost] {
        let (sound, records) = journal(end);
        let mut tally = Tally::default();
        let mut flips = 0;
        for name in sound.names() {
            let content = sound.content(&name);
            for at in 0..content.len() {
                let disk = sound.copy();
                let mut flipped = content.clone();
                flipped[at] ^= 1 << (at % 8);
                disk.put(&name, flipped);
                tally.open(&disk, end, &records, &format!("{end:?}, {name}, byte {at}"));
                flips += 1;
            }
        }
        // The last batch has no later one that says that it was durable.
        assert!(tally.lost_at_most <= 2, "{tally:?}");
        println!("{end:?}: {flips} flips, {tally:?}");
    }
}

#[test]
fn a_bit_behind_the_end_of_a_closed_journal_is_kept_aside_and_zeroed_in_the_same_epoch() {
    let (sound, records) = journal(End::Closed);
    let name = segments(&sound).pop().expect("there are segments");
    let content = sound.content(&name);
    let end = content.iter().rposition(|byte| *byte != 0).expect("there are records") + 1;
    for at in end..content.len() {
        let disk = sound.copy();
        let mut flipped = content.clone();
        flipped[at] ^= 1 << (at % 8);
        disk.put(&name, flipped);
        let (mut log, recovery) = try_open(&disk, End::Closed, false).unwrap_or_else(|error| panic!("{at}: {error}"));
        assert_eq!((recovery.start, recovery.epoch_change, recovery.cuts.len()), (Start::Clean, None, 1), "byte {at}");
        assert!(recovery.cuts[0].kept_as.is_some());
        assert_eq!(disk.content(&name), content, "byte {at}");
        publish(&mut log, &Publication { headers: b"headers", ..publication("d", b"goes on") });
        log.commit().expect("the disk is sound");
        drop(log);
        let (log, again) = Log::open(disk.clone(), SETTINGS, PLAIN, &opening(2)).expect("it is sound");
        assert_eq!((again.start, again.epoch_change), (Start::Killed, None), "byte {at}");
        assert_eq!(records_of(&log).len(), records.len() + 1);
    }
}

#[test]
fn zeros_from_every_byte_on_lose_nothing_in_silence() {
    for end in [End::Closed, End::Killed, End::PowerLost] {
        let (sound, records) = journal(end);
        let name = sound.names().into_iter().rfind(|name| name.ends_with(".segment")).expect("there are segments");
        let content = sound.content(&name);
        let last = content.iter().rposition(|byte| *byte != 0).expect("there are records");
        let before: usize = name[..20].parse::<usize>().expect("a base") - 1;
        let mut tally = Tally::default();
        for at in 0..=last + 1 {
            let disk = sound.copy();
            let mut cut = content.clone();
            cut[at..].fill(0);
            disk.put(&name, cut);
            if end == End::Closed {
                tally.open(&disk, end, &records, &format!("zeros from {at} on"));
                assert_eq!(tally.refused as usize, at.min(last) + 1, "zeros from {at} on");
                continue;
            }
            // The end of a batch may be the end of all: then there is nothing that tells of more.
            match try_open(&disk, end, false) {
                Ok((log, _)) => assert!(records_of(&log).len() >= before, "zeros from {at} on"),
                Err(OpenError { fault: Fault::HeaderDamaged | Fault::NoSegment | Fault::Corrupt { .. }, .. }) => {}
                Err(error) => panic!("zeros from {at} on: {error}"),
            }
        }
    }
}

#[test]
fn a_file_cut_short_at_every_byte_is_refused() {
    let (sound, _) = journal(End::Killed);
    for name in sound.names() {
        let content = sound.content(&name);
        for length in (0..content.len()).step_by(7) {
            let disk = sound.copy();
            disk.put(&name, content[..length].to_vec());
            let before = files(&disk);
            assert!(try_open(&disk, End::Killed, false).is_err(), "{name} of {length} bytes");
            assert_eq!(files(&disk), before);
        }
    }
}

/// Opens what must be refused, and returns the file and what is wrong with it.
fn refused(disk: &SimulatedDisk, repair: bool) -> OpenError {
    let before = files(disk);
    let Err(error) = try_open(disk, End::Killed, repair) else { panic!("it was opened") };
    assert_eq!(files(disk), before, "refused, and changed: {error}");
    let told = error.to_string();
    assert!(told.starts_with(&error.file) && told.contains("; "), "{told}");
    error
}

fn segments(disk: &SimulatedDisk) -> Vec<String> {
    disk.names().into_iter().filter(|name| name.ends_with(".segment")).collect()
}

#[test]
fn files_that_are_gone_swapped_foreign_or_newer_are_named() {
    let (sound, _) = journal(End::Killed);
    let segments = segments(&sound);

    let disk = sound.copy();
    disk.take(&segments[1]);
    assert!(matches!(refused(&disk, false).fault, Fault::Corrupt { .. }), "one is missing in the middle");

    let disk = sound.copy();
    disk.put(&segments[1], Vec::new());
    assert_eq!(refused(&disk, false).fault, Fault::Size { bytes: 0, expected: 64 });

    let disk = sound.copy();
    disk.put(&segments[1], vec![0; 4096]);
    assert!(matches!(refused(&disk, false).fault, Fault::Corrupt { offset: 0, .. }));

    let disk = sound.copy();
    let first = disk.content(&segments[0]);
    disk.put(&segments[1], first);
    assert_eq!(refused(&disk, false).fault, Fault::Misnamed { base: 1 });

    let other = SimulatedDisk::new(3);
    let opening = Opening { fresh_id: [8; 16], ..opening(1) };
    drop(Log::open(other.clone(), SETTINGS, PLAIN, &opening));
    let disk = sound.copy();
    disk.put(&segments[0], other.content(&names::segment(1)));
    for repair in [false, true] {
        let error = refused(&disk, repair);
        assert_eq!((error.file, error.fault), (segments[0].clone(), Fault::Foreign));
    }

    let disk = sound.copy();
    disk.put(names::STATE, other.content(names::STATE));
    for repair in [false, true] {
        let error = refused(&disk, repair);
        assert_eq!((error.file.as_str(), error.fault), (names::STATE, Fault::StateForeign));
    }
    disk.take(names::STATE);
    try_open(&disk, End::Killed, true).expect("what is advised works");

    for name in [&segments[2], &names::STATE.to_owned()] {
        let disk = sound.copy();
        let mut newer = disk.content(name);
        newer[8] = 9;
        disk.put(name, newer);
        for repair in [false, true] {
            let error = refused(&disk, repair);
            assert_eq!((&error.file, error.fault), (name, Fault::Newer { version: 9 }));
        }
    }

    let disk = sound.copy();
    disk.take(names::STATE);
    assert_eq!(refused(&disk, false).fault, Fault::StateMissing);

    let disk = sound.copy();
    for name in &segments {
        disk.take(name);
    }
    assert_eq!(refused(&disk, true).fault, Fault::NoSegments);
}

#[test]
fn a_repair_keeps_aside_what_it_goes_on_without() {
    let (sound, records) = journal(End::Killed);
    let segments = segments(&sound);
    let mut damaged = sound.content(&segments[1]);
    damaged[1000] ^= 1;
    sound.put(&segments[1], damaged.clone());
    assert!(matches!(refused(&sound, false).fault, Fault::Corrupt { .. }));
    let behind = sound.content(&segments[2]);
    let (log, recovery) = try_open(&sound, End::Killed, true).expect("it is repaired");
    let found = records_of(&log);
    assert_eq!(found, records[..found.len()]);
    assert_eq!(recovery.epoch_change, Some(EpochChange::Repaired));
    let aside: Vec<Vec<u8>> =
        recovery.cuts.iter().map(|cut| sound.content(cut.kept_as.as_ref().expect("it is kept"))).collect();
    assert_eq!(aside[0], behind);
    let offset = recovery.cuts[1].offset as usize;
    assert_eq!(aside[1], damaged[offset..offset + aside[1].len()]);
    drop(log);
    let (mut log, again) = try_open(&sound, End::Killed, false).expect("it is sound now");
    assert_eq!((again.start, again.epoch, again.cuts.len()), (Start::Killed, recovery.epoch, 0));
    let ordered = publish(&mut log, &publication("a/b", b"x"));
    assert_eq!(ordered.position, found.len() as u64 + 1);
    assert_eq!(log.shared_catalog().segments.last().expect("there is one").epoch, recovery.epoch);
}

#[test]
fn after_a_failed_sync_memory_is_not_trusted() {
    let disk = SimulatedDisk::new(3);
    let (mut log, first) = open(&disk, 1);
    publish(&mut log, &publication("a", b"x"));
    log.commit().expect("the disk is sound");
    disk.plan(disk.operations() + 1, crate::disk::Plan::Failure);
    let error = log.sync_task().expect("there is something to sync").run().expect_err("as planned");
    let operations = disk.operations();
    log.note_sync_failed(&error);
    assert_eq!(disk.operations(), operations, "the log's own thread touches no dying disk");
    drop(log);
    // What memory held of the disk was written down anew first; then, as long as it can't be dropped, nothing is read.
    let unforgetting = disk.copy();
    let operations = unforgetting.operations();
    let writes = 5;
    unforgetting.plan(operations + writes + 1, crate::disk::Plan::Failure);
    let error = refused(&unforgetting, false);
    assert!(matches!(error.fault, Fault::SyncFailed { .. }), "{error}");
    assert_eq!(unforgetting.operations(), operations + writes + 1, "nothing else was tried");
    let (_, recovery) = open(&disk, 1);
    assert_eq!(recovery.start, Start::PowerLost);
    assert!(recovery.epoch > first.epoch);
}

/// A killed log with a record that was never synced, and its epoch.
fn killed() -> (SimulatedDisk, u64) {
    let disk = SimulatedDisk::new(3);
    let (mut log, first) = open(&disk, 1);
    publish(&mut log, &publication("a", b"x"));
    log.commit().expect("the disk is sound");
    (disk, first.epoch)
}

#[test]
fn a_failed_sync_is_known_as_long_as_the_machine_runs_though_its_note_failed_too() {
    let disk = SimulatedDisk::new(3);
    let (mut log, first) = open(&disk, 1);
    publish(&mut log, &publication("a", b"x"));
    log.commit().expect("the disk is sound");
    for operation in 1..=2 {
        disk.plan(disk.operations() + operation, crate::disk::Plan::Failure);
    }
    let error = log.sync_task().expect("there is something to sync").run().expect_err("as planned");
    log.note_sync_failed(&error);
    drop(log);
    let (_, recovery) = open(&disk, 1);
    assert_eq!(recovery.start, Start::PowerLost);
    assert!(recovery.epoch > first.epoch);
}

#[test]
fn a_sync_that_fails_while_a_journal_is_opened_is_known_to_the_next_start() {
    let (disk, epoch) = killed();
    disk.plan(disk.operations() + 1, crate::disk::Plan::Failure);
    let Err(error) = try_open(&disk, End::Killed, false) else { panic!("it was opened") };
    assert!(matches!(error.fault, Fault::Disk(_)), "{error}");
    let (_, recovery) = open(&disk, 1);
    assert_eq!(recovery.start, Start::PowerLost);
    assert!(recovery.epoch > epoch);
}

#[test]
fn a_sync_of_names_that_failed_elsewhere_is_written_down_by_the_next_sync_task_or_at_the_end() {
    for is_closed in [false, true] {
        let disk = SimulatedDisk::new(3);
        let (mut log, _) = open(&disk, 1);
        let task = loop {
            publish(&mut log, &publication("a", &[7; 300]));
            log.commit().expect("the disk is sound");
            if let Some(task) = log.prepare_task() {
                break task;
            }
        };
        // It makes the file, and syncs it, and the names.
        disk.plan(disk.operations() + 3, crate::disk::Plan::Failure);
        let Err(error @ DiskError::NamesUnsynced(_)) = task.run() else { panic!("its last step is a sync of names") };
        let operations = disk.operations();
        log.note_not_prepared(&error);
        assert_eq!(disk.operations(), operations, "the log's own thread touches no dying disk");
        assert!(log.failure().is_some() && log.sync_task().is_none());
        if is_closed {
            assert!(matches!(log.close(), Err(CommitError::Failed(_))));
        } else {
            let mut task = log.failure_task().expect("nobody has written it down");
            assert_eq!(task.run(), Err(error));
            assert!(log.failure_task().is_none(), "once is enough");
        }
        disk.restart_process();
        assert_eq!(open(&disk, 1).1.start, Start::PowerLost);
    }
}

#[test]
fn a_full_segment_is_sealed_only_when_a_sync_since_has_covered_it() {
    let disk = SimulatedDisk::new(3);
    let (mut log, _) = open(&disk, 1);
    let fill = |log: &mut Log<SimulatedDisk>, segments: usize| {
        while log.shared_catalog().segments.len() < segments {
            publish(log, &publication("a", &[7; 700]));
            log.commit().expect("the disk is sound");
        }
    };
    let sync = |log: &mut Log<SimulatedDisk>, task: Option<SyncTask<SimulatedDisk>>| {
        let mut task = task.expect("there is something to sync");
        task.run().expect("the disk is sound");
        log.note_synced(&task);
    };
    publish(&mut log, &publication("a", b"x"));
    log.commit().expect("the disk is sound");
    let early = log.sync_task();
    fill(&mut log, 2);
    assert!(log.seal_task().is_none(), "nothing of it is synced");
    sync(&mut log, early);
    assert!(log.seal_task().is_none(), "it has got records since");
    let task = log.sync_task();
    sync(&mut log, task);
    let sealing = log.seal_task().expect("it is synced as it will always be");
    log.note_sealed(&sealing);
    // Even if no record waits: the state of the disk may, and nobody else syncs it.
    let task = log.sync_task();
    assert!(task.is_none() && log.seal_task().is_none());
    fill(&mut log, 3);
    let (mut task, base) = (log.sync_task().expect("a segment is full"), log.tail().base);
    disk.plan(disk.operations() + 1, crate::disk::Plan::Failure);
    let error = task.run().expect_err("as planned");
    assert!(log.durable() < base - 1, "it is told before anything is said to be durable");
    log.note_sync_failed(&error);
    assert!(log.seal_task().is_none() && log.failure().is_some());
}

#[test]
fn a_journal_that_loses_its_snapshots_reads_all_it_has() {
    let disk = SimulatedDisk::new(1);
    let (mut log, _) = open(&disk, 1);
    for _ in 0..100 {
        publish(&mut log, &publication("a/b", &[7; 100]));
        log.commit().expect("the disk is sound");
        seal_all(&mut log);
    }
    let bases: Vec<u64> = log.shared_catalog().segments.iter().map(|segment| segment.base).collect();
    drop(log);
    let snapshots: Vec<String> = disk.names().into_iter().filter(|name| name.ends_with(".snapshot")).collect();
    assert_eq!(snapshots.len(), 2);
    let mut damaged = disk.content(&snapshots[1]);
    damaged[70] ^= 1;
    disk.put(&snapshots[1], damaged);
    let (log, recovery) = open(&disk, 1);
    assert_eq!((recovery.segments, recovery.notes.len()), (2, 1), "the older snapshot is used");
    drop(log);
    disk.take(&snapshots[0]);
    let (mut log, recovery) = open(&disk, 1);
    assert_eq!((recovery.segments as usize, recovery.records), (bases.len(), 100));
    assert_eq!(publish(&mut log, &publication("a/b", b"x")).sequence, 101);
    drop(log);
    // With the oldest segment gone too, nobody knows where topics of it ended.
    disk.take(&names::segment(1));
    assert_eq!(refused(&disk, false).fault, Fault::SequencesUnknown);
    let (mut log, recovery) = try_open(&disk, End::Killed, true).expect("it is repaired");
    assert!(recovery.snapshot.is_none());
    assert_eq!(publish(&mut log, &publication("a/b", b"x")).sequence, 101);
}

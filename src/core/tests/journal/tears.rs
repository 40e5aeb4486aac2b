//! The last batch of a journal whose process ended: torn, or damaged since, or gone with its segment.

use crate::basics::{SETTINGS, open, opening, publication, publish, seal_all};
use crate::disk::{Plan, SimulatedDisk};
use crate::index::PLAIN;
use fanwire_core::journal::disk::Disk;
use fanwire_core::journal::format::HEADER_BYTES;
use fanwire_core::journal::state::State;
use fanwire_core::journal::{Admission, EpochChange, Fault, Log, OpenError, Opening, Recovery, Refusal, Start, names};
use std::ops::Range;

type TestLog = Log<SimulatedDisk>;

fn try_open(disk: &SimulatedDisk, boot: u8, repair: bool) -> Result<(TestLog, Recovery), OpenError> {
    Log::open(disk.clone(), SETTINGS, PLAIN, &Opening { repair, ..opening(boot) })
}

fn sync(log: &mut TestLog) {
    let mut task = log.sync_task().expect("there is something to sync");
    task.run().expect("the disk is sound");
    log.note_synced(&task);
}

fn note(log: &mut TestLog) {
    let mut task = log.note_task().expect("there is something to write down");
    task.run().expect("the disk is sound");
    log.note_synced(&task);
}

/// Three records in two batches, acknowledged as durable, the last one with this payload. Where the last batch stands.
fn journal(payload: &[u8], is_idle: bool) -> (SimulatedDisk, Range<usize>, u64) {
    let disk = SimulatedDisk::new(3);
    let (mut log, recovery) = open(&disk, 1);
    publish(&mut log, &publication("a", b"one"));
    log.commit().expect("the disk is sound");
    let begin = log.tail().offset as usize;
    publish(&mut log, &publication("a", b"two"));
    publish(&mut log, &publication("a", payload));
    log.commit().expect("the disk is sound");
    let end = log.tail().offset as usize;
    sync(&mut log);
    assert_eq!(log.durable(), 3);
    if is_idle {
        note(&mut log);
    }
    (disk, begin..end, recovery.epoch)
}

fn newest(disk: &SimulatedDisk) -> String {
    disk.names().into_iter().rfind(|name| name.ends_with(".segment")).expect("there are segments")
}

fn change(disk: &SimulatedDisk, change: impl FnOnce(&mut Vec<u8>)) {
    let name = newest(disk);
    let mut content = disk.content(&name);
    change(&mut content);
    disk.put(&name, content);
}

#[test]
fn after_a_kill_a_flipped_bit_in_the_last_batch_never_gives_its_sequences_again_in_its_epoch() {
    for payload in [&b"three"[..], b"zeros behind \x40\0\0\0\x01\0\0", b""] {
        let (sound, batch, epoch) = journal(payload, false);
        let mut refused = 0;
        for at in batch.clone() {
            for bit in 0..8 {
                let disk = sound.copy();
                change(&disk, |content| content[at] ^= 1 << bit);
                match try_open(&disk, 1, false) {
                    Err(error) => {
                        assert!(matches!(error.fault, Fault::Corrupt { position: 2, .. }), "{error}");
                        refused += 1;
                    }
                    Ok((mut log, recovery)) => {
                        assert_eq!(recovery.epoch_change, Some(EpochChange::Cut), "byte {at}, bit {bit}: {recovery:?}");
                        assert!(log.epoch() > epoch && recovery.cuts[0].kept_as.is_some());
                        assert_eq!(publish(&mut log, &publication("a", b"new")).sequence, 2);
                        log.commit().expect("the disk is sound");
                        assert!(log.shared_catalog().segments.last().expect("there is one").epoch > epoch);
                    }
                }
            }
        }
        // Where it ends in zeros, it can't be told from one that was torn there.
        let is_known = payload.last().is_some_and(|byte| *byte > 0);
        assert_eq!(refused == 8 * batch.len(), is_known, "{refused} are known as damage, of {}", 8 * batch.len());
    }
}

#[test]
fn a_batch_that_a_kill_tore_is_cut_and_the_epoch_goes_on_as_nothing_of_it_was_released() {
    let payload = b"zeros behind \x40\0\0\0\x01\0\0";
    let (sound, batch, epoch) = journal(payload, false);
    // The last byte that no flipped bit turns into zero is the "d" before the space.
    let rest = payload.len() - b"zeros behind".len();
    for torn in batch.start..batch.end - b"\0\0".len() {
        let disk = sound.copy();
        change(&disk, |content| content[torn..].fill(0));
        let (log, recovery) = try_open(&disk, 1, false).unwrap_or_else(|error| panic!("torn at {torn}: {error}"));
        assert_eq!((recovery.start, log.tail().position), (Start::Killed, 1), "torn at {torn}");
        let is_proven = torn < batch.end - rest;
        assert_eq!(log.epoch() == epoch, is_proven, "torn at {torn} of {batch:?}: {recovery:?}");
        assert_eq!(recovery.cuts.len(), usize::from(torn > batch.start));
    }
}

#[test]
fn what_is_durable_is_known_once_a_journal_is_idle_and_damage_of_it_is_corruption_after_any_end() {
    let (sound, batch, _) = journal(b"three", true);
    for boot in [1, 2] {
        for at in batch.clone() {
            let disk = sound.copy();
            change(&disk, |content| content[at] ^= 4);
            let Err(error) = try_open(&disk, boot, false) else { panic!("it was opened with byte {at} flipped") };
            assert!(matches!(error.fault, Fault::Corrupt { position: 2, durable: 3, .. }), "{error}");
        }
        for zeros in batch.clone() {
            let disk = sound.copy();
            change(&disk, |content| content[zeros..].fill(0));
            assert!(try_open(&disk, boot, false).is_err(), "zeros from {zeros} on");
        }
    }
}

#[test]
fn a_note_is_due_once_all_is_synced_and_only_if_it_tells_something_new() {
    let disk = SimulatedDisk::new(3);
    let (mut log, _) = open(&disk, 1);
    assert!(log.note_task().is_none());
    publish(&mut log, &publication("a", b"x"));
    assert!(!log.is_note_due(), "something is on its way");
    log.commit().expect("the disk is sound");
    assert!(!log.is_note_due(), "it is not synced");
    sync(&mut log);
    let operations = disk.operations();
    disk.plan(operations + 1, Plan::Full);
    let mut task = log.note_task().expect("it is due");
    task.run().expect("that there is no room for it harms nothing");
    log.note_synced(&task);
    assert!(log.is_note_due() && log.failure().is_none());
    note(&mut log);
    assert!(!log.is_note_due());
    let state = State::load(&mut disk.clone()).expect("it is sound");
    assert_eq!((state.durable, state.end_base, state.is_clean), (1, 1, false));
}

#[test]
fn a_lost_header_does_not_hide_what_the_batches_behind_it_say_was_durable() {
    let disk = SimulatedDisk::new(3);
    let (mut log, _) = open(&disk, 1);
    for _ in 0..10 {
        publish(&mut log, &publication("a", b"its batch tells its rest"));
        log.commit().expect("the disk is sound");
        sync(&mut log);
    }
    drop(log);
    change(&disk, |content| content[..HEADER_BYTES as usize].fill(0));
    for boot in [1, 2] {
        let before = disk.content(&newest(&disk));
        let Err(error) = try_open(&disk, boot, false) else { panic!("it was opened, on boot {boot}") };
        assert_eq!(error.fault, Fault::Corrupt { offset: 0, position: 1, durable: 9 });
        assert_eq!(disk.content(&newest(&disk)), before);
    }
}

/// Killed with a newest segment of which its state, or only a snapshot, tells.
fn with_newest_segment(is_idle: bool) -> (SimulatedDisk, String, u64) {
    let disk = SimulatedDisk::new(1);
    let (mut log, recovery) = open(&disk, 1);
    while log.shared_catalog().segments.len() < 3 {
        publish(&mut log, &publication("a", &[7; 700]));
        log.commit().expect("the disk is sound");
    }
    if is_idle {
        sync(&mut log);
        note(&mut log);
    } else {
        seal_all(&mut log);
    }
    (disk.clone(), newest(&disk), recovery.epoch)
}

#[test]
fn a_journal_without_its_newest_segment_is_refused_and_repair_goes_on_in_a_new_epoch() {
    for is_idle in [false, true] {
        for boot in [1, 2] {
            let (disk, name, epoch) = with_newest_segment(is_idle);
            disk.take(&name);
            let Err(error) = try_open(&disk, boot, false) else { panic!("it was opened, idle: {is_idle}") };
            assert_eq!((error.file, error.fault), (name, Fault::NewestMissing));
            let (log, recovery) = try_open(&disk, boot, true).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(recovery.epoch_change, Some(EpochChange::Repaired));
            assert!(log.epoch() > epoch);
            drop(log);
            let (mut log, again) = try_open(&disk, boot, false).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!((again.start, again.epoch), (Start::Killed, recovery.epoch));
            publish(&mut log, &publication("a", b"x"));
            log.commit().expect("the disk is sound");
        }
    }
}

#[test]
fn started_on_a_full_disk_a_journal_can_be_read_and_takes_publishes_once_there_is_room() {
    let (disk, ..) = journal(b"three", false);
    // It syncs the segment and the names, and makes the state file.
    let store = disk.operations() + 3;
    disk.plan(store, Plan::Full);
    let (mut log, recovery) = open(&disk, 1);
    assert_eq!((recovery.is_unsettled, log.tail().position, disk.operations()), (true, 3, store));
    let before = State::load(&mut disk.clone()).expect("it is sound");
    let record = publication("a", b"x");
    assert_eq!(log.admit(&record, 0), Admission::Refused(Refusal::Full));
    disk.plan(disk.operations() + 1, Plan::Full);
    let mut task = log.note_task().expect("it is still to be written");
    task.run().expect("that there is no room is no failure");
    log.note_synced(&task);
    assert_eq!(log.admit(&record, 0), Admission::Refused(Refusal::Full));
    assert_eq!(State::load(&mut disk.clone()), Ok(before));
    note(&mut log);
    assert_eq!(log.shortage(), None);
    assert_eq!(publish(&mut log, &record).sequence, 4);
    log.commit().expect("there is room");
    drop(log);
    assert_eq!(open(&disk, 1).0.tail().position, 4);
}

#[test]
fn unfinished_files_are_removed_before_a_start_needs_room() {
    let (mut disk, ..) = journal(b"three", false);
    disk.create(names::PREPARED, 4096).expect("the disk is sound");
    // The removal, two syncs, and then the state.
    disk.plan(disk.operations() + 4, Plan::Full);
    let (_, recovery) = open(&disk, 1);
    assert!(recovery.is_unsettled && !disk.names().contains(&names::PREPARED.to_owned()));
}

#[test]
fn a_state_that_says_new_beside_records_is_refused_and_repaired() {
    let (mut disk, ..) = journal(b"three", false);
    let state = State::load(&mut disk).expect("it is sound");
    let new = State { is_new: true, ..state };
    disk.put(names::STATE, new.encode().to_vec());
    let Err(error) = try_open(&disk, 1, false) else { panic!("it was opened") };
    assert!(error.fault == Fault::StateStale && error.fault.is_repairable());
    let (log, recovery) = try_open(&disk, 1, true).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(log.tail().position, 3);
    assert!(recovery.epoch > state.epoch);
}

//! The disk is full, or fails, at every operation of a life.

use crate::basics::{open, publication};
use crate::crashes::{STEPS, STEPS_AFTER, operations_of, start_again, tell};
use crate::disk::{Plan, SimulatedDisk};
use crate::run::{Run, Stopped};
use fanwire_core::journal::disk::DiskError;
use fanwire_core::journal::{Admission, CommitError, Refusal};

/// A disk that has no room for some operations in a row.
fn live_on_full_disk(seed: u64, operation: u64, width: u64) -> u64 {
    let disk = SimulatedDisk::new(seed);
    for full in operation..operation + width {
        disk.plan(full, Plan::Full);
    }
    let mut run = Run::new(seed, disk);
    run.steps(STEPS + STEPS_AFTER);
    let log = run.log.as_ref().expect("a full disk ends no log");
    assert_eq!(log.failure(), None);
    let committed = run.model.committed;
    while run.model.committed == committed {
        run.steps(1);
        run.commit();
    }
    run.compare();
    start_again(&mut run, Stopped::Process);
    run.compare();
    run.refused
}

#[test]
fn a_full_disk_harms_nothing_and_the_log_goes_on_by_itself() {
    let (mut lives, mut refused) = (0, 0);
    for seed in 0..3 {
        for operation in 1..=operations_of(seed) {
            for width in [1, 8] {
                tell(&format!("seed {seed}, disk full at {operation} and for {width}"), || {
                    refused += live_on_full_disk(seed, operation, width);
                });
                lives += 1;
            }
        }
    }
    assert!(refused > lives / 4, "the disk was hardly ever full: {refused} of {lives}");
    println!("{lives} lives on disks that were full, {refused} refusals");
}

/// A disk that fails once. Says whether that ended the log.
fn live_on_failing_disk(seed: u64, operation: u64) -> bool {
    let disk = SimulatedDisk::new(operation);
    disk.plan(operation, Plan::Failure);
    let mut run = Run::new(seed, disk);
    run.steps(STEPS);
    let mut has_failed = false;
    let mut stopped = Stopped::Process;
    if let Some(log) = run.log.as_mut().filter(|log| log.failure().is_some()) {
        has_failed = true;
        if log.failure().is_some_and(|failure| failure.contains("sync")) {
            stopped = Stopped::Cache;
        }
        let admission = log.admit(&publication("topic/1", b"x"), 0);
        assert_eq!(admission, Admission::Refused(Refusal::Failed), "a failed log takes nothing");
        assert!(matches!(log.commit(), Err(CommitError::Failed(_))));
        assert!(log.sync_task().is_none(), "a failed log syncs nothing");
        assert!(log.seal_task().is_none() && log.prepare_task().is_none());
    }
    start_again(&mut run, stopped);
    run.steps(STEPS_AFTER);
    run.compare();
    has_failed
}

#[test]
fn a_failed_write_or_sync_is_final_until_the_next_start() {
    let (mut lives, mut failed) = (0, 0);
    for seed in 0..5 {
        for operation in 1..=operations_of(seed) {
            tell(&format!("seed {seed}, failing at {operation}"), || {
                failed += u64::from(live_on_failing_disk(seed, operation));
            });
            lives += 1;
        }
    }
    assert!(failed > lives / 4, "hardly a failure mattered: {failed} of {lives}");
    println!("{lives} lives on failing disks, {failed} of them ended the log");
}

#[test]
fn a_segment_that_there_is_no_room_for_and_one_that_cant_be_made_are_told_apart_and_end_no_log() {
    let other = DiskError::Failed("can't make next.segment.making: Too many open files (os error 24)".to_owned());
    let disk = SimulatedDisk::new(1);
    let (mut log, _) = open(&disk, 1);
    let large = publication("a", &[7; 700]);
    for (why, refusal) in [(DiskError::Full, Refusal::Full), (other, Refusal::Unavailable)] {
        while let Admission::Ordered(_) | Admission::NeedsCommit = log.admit(&large, 0) {
            log.commit().expect("the disk is sound");
        }
        assert_eq!(log.admit(&large, 0), Admission::NeedsSegment);
        let task = log.prepare_task().expect("it is wanted");
        log.note_not_prepared(&why);
        assert_eq!(log.shortage(), Some(&why));
        assert_eq!(log.admit(&large, 0), Admission::Refused(refusal));
        assert!(log.prepare_task().is_some(), "it is tried again");
        log.supply(task.run().expect("the disk is sound"));
        assert_eq!((log.shortage(), log.failure()), (None, None));
        assert_eq!(log.admit(&large, 0), Admission::NeedsRoll);
        log.roll(0).expect("the disk is sound");
    }
}

//! The process or the machine stops at every operation of a life, and again while it recovers.

use crate::disk::{Plan, SimulatedDisk};
use crate::run::{Run, Stopped};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Steps of a script up to where it may stop, and from there on.
pub(crate) const STEPS: u32 = 240;
pub(crate) const STEPS_AFTER: u32 = 60;

/// Runs a life, says of which one if it goes wrong.
pub(crate) fn tell(what: &str, run: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
        eprintln!("this happened with {what}");
        resume_unwind(panic);
    }
}

/// A life that stops at an operation, and as it recovers at those that `again` says, counted from there on.
fn live(seed: u64, operation: u64, luck: u64, stopped: Stopped, again: Option<u64>) {
    let disk = SimulatedDisk::new(luck);
    disk.plan(operation, Plan::Crash);
    let mut run = Run::new(seed, disk);
    run.steps(STEPS);
    if let Some(again) = again {
        run.disk.plan(run.disk.operations() + again, Plan::Crash);
    }
    start_again(&mut run, stopped);
    run.steps(STEPS_AFTER);
    if run.disk.is_stopped() {
        start_again(&mut run, stopped);
    }
    run.compare();
    // What an opening found counts as durable from then on.
    start_again(&mut run, Stopped::Machine);
    run.compare();
}

/// Opens until nothing stops it any more.
pub(crate) fn start_again(run: &mut Run, stopped: Stopped) {
    let mut starts = 0;
    while run.reopen(if starts % 2 == 0 { stopped } else { Stopped::Process }).is_none() {
        starts += 1;
        assert!(starts < 10, "recovery goes round in circles");
    }
    if let Some(log) = &mut run.log {
        run.model.compare_producers(log);
    }
}

pub(crate) fn operations_of(seed: u64) -> u64 {
    let mut run = Run::new(seed, SimulatedDisk::new(0));
    run.steps(STEPS);
    run.compare();
    run.disk.operations()
}

#[test]
fn a_life_without_faults_keeps_its_promises() {
    let mut operations = 0;
    for seed in 0..50 {
        operations += operations_of(seed);
    }
    println!("50 lives of {STEPS} steps, {operations} disk operations");
}

#[test]
fn killed_at_every_operation_nothing_committed_is_lost() {
    let mut lives = 0;
    for seed in 0..6 {
        for operation in 1..=operations_of(seed) {
            tell(&format!("seed {seed}, killed at {operation}"), || {
                live(seed, operation, operation, Stopped::Process, None);
            });
            lives += 1;
        }
    }
    println!("{lives} kills");
}

#[test]
fn without_power_at_every_operation_nothing_durable_is_lost() {
    let mut lives = 0;
    for seed in 0..4 {
        for operation in 1..=operations_of(seed) {
            for luck in 0..5 {
                tell(&format!("seed {seed}, power lost at {operation}, luck {luck}"), || {
                    live(seed, operation, luck * 1_000_003 + operation, Stopped::Machine, None);
                });
                lives += 1;
            }
        }
    }
    println!("{lives} power losses");
}

#[test]
fn a_recovery_that_is_stopped_at_every_operation_succeeds_the_next_time() {
    let mut lives = 0;
    for seed in 0..2 {
        for operation in (1..=operations_of(seed)).step_by(5) {
            for again in 1..=14 {
                for stopped in [Stopped::Process, Stopped::Machine] {
                    tell(&format!("seed {seed}, {stopped:?} stopped at {operation} and {again} later"), || {
                        live(seed, operation, operation + again, stopped, Some(again));
                    });
                    lives += 1;
                }
            }
        }
    }
    println!("{lives} lives stopped twice");
}

//! A log that was compacted, and what an interrupted compaction leaves.

use crate::basics::{SETTINGS, opening, publication, publish, seal_all};
use crate::disk::SimulatedDisk;
use fanwire_core::journal::compaction::{Tombstones, compact};
use fanwire_core::journal::dump::dump;
use fanwire_core::journal::{Log, indexing, names};
use std::collections::BTreeSet;
use std::ops::ControlFlow;

const TOPICS: [&str; 3] = ["state/a", "state/b", "state/c"];

/// A log of some sealed segments, closed.
fn filled(disk: &SimulatedDisk) -> Log<SimulatedDisk> {
    let (mut log, _) = Log::open(disk.clone(), SETTINGS, indexing(), &opening(1)).expect("the disk is sound");
    for _ in 0..50 {
        for topic in TOPICS {
            publish(&mut log, &publication(topic, &[7; 100]));
        }
        log.commit().expect("the disk is sound");
        seal_all(&mut log);
    }
    log
}

#[test]
fn segments_that_a_killed_compaction_was_about_to_remove_do_not_come_back() {
    let mut disk = SimulatedDisk::new(1);
    let log = filled(&disk);
    let before = disk.copy();
    let catalog = log.shared_catalog();
    let is_newest = |name: &str, sequence| log.topic_end(name).is_some_and(|end| end.sequence == sequence);
    let places = 0..catalog.segments.len() - 1;
    let tombstones = Tombstones { now_us: 0, age_us_min: 0 };
    let compacted = compact(&mut disk, &catalog, places, tombstones, is_newest).expect("the disk is sound");
    assert!(compacted.replaced.len() > 3);
    drop(log);
    for base in &compacted.replaced[1..] {
        for name in [names::segment(*base), names::index(*base)] {
            disk.put(&name, before.content(&name));
        }
    }
    let (mut log, recovery) = Log::open(disk.clone(), SETTINGS, indexing(), &opening(1)).expect("it recovers");
    assert_eq!(recovery.notes.len(), compacted.replaced.len() - 1, "{recovery:?}");
    let left: Vec<String> = disk.names().into_iter().filter(|name| name.ends_with(".segment")).collect();
    assert_eq!(left.len(), 2, "the compacted one and the open one: {left:?}");
    let mut positions = BTreeSet::new();
    let dumped = dump(&mut disk, 1, |record| {
        assert!(positions.insert(record.record.position), "{record:?} is there twice");
        ControlFlow::Continue(())
    });
    dumped.expect("it is sound");
    assert_eq!(publish(&mut log, &publication("state/b", b"x")).sequence, 51);
}

//! A log that was compacted, and what an interrupted compaction leaves.
#![expect(clippy::disallowed_types, reason = "what happens beside a look is shared by the clones of its disk")]

use crate::basics::{SETTINGS, opening, publication, publish, seal_all};
use crate::disk::{SimulatedDisk, SimulatedFile};
use fanwire_core::journal::compaction::{Tombstones, compact};
use fanwire_core::journal::disk::{Disk, DiskError};
use fanwire_core::journal::dump::dump;
use fanwire_core::journal::survey::{Begin, Survey};
use fanwire_core::journal::verify::verify;
use fanwire_core::journal::{Log, indexing, names};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

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

/// Compacts all but the newest segment, and tells which were replaced.
fn compacted(disk: &mut SimulatedDisk, log: &Log<SimulatedDisk>) -> Vec<u64> {
    let catalog = log.shared_catalog();
    let is_newest = |name: &str, sequence| log.topic_end(name).is_some_and(|end| end.sequence == sequence);
    let places = 0..catalog.segments.len() - 1;
    let tombstones = Tombstones { now_us: 0, age_us_min: 0 };
    let compacted = compact(disk, &catalog, places, tombstones, is_newest).expect("the disk is sound");
    assert!(compacted.replaced.len() > 3);
    compacted.replaced
}

/// A disk as a process leaves it that dies before it removes what its compaction replaced, and the bases of that.
fn interrupted() -> (SimulatedDisk, Vec<u64>) {
    let mut disk = SimulatedDisk::new(1);
    let log = filled(&disk);
    let before = disk.copy();
    let covered = compacted(&mut disk, &log).split_off(1);
    drop(log);
    for base in &covered {
        for name in [names::segment(*base), names::index(*base)] {
            disk.put(&name, before.content(&name));
        }
    }
    (disk, covered)
}

#[test]
fn segments_that_a_killed_compaction_was_about_to_remove_do_not_come_back() {
    let (mut disk, covered) = interrupted();
    let (mut log, recovery) = Log::open(disk.clone(), SETTINGS, indexing(), &opening(1)).expect("it recovers");
    assert_eq!(recovery.notes.len(), covered.len(), "{recovery:?}");
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

#[test]
fn what_a_killed_compaction_was_about_to_remove_is_no_damage_and_is_shown_by_nobody() {
    let (mut disk, covered) = interrupted();
    let report = verify(&mut disk, &mut |_| {}).expect("the disk is sound");
    assert!(report.is_sound(), "{:?}", report.findings);
    let covered: Vec<String> = covered.into_iter().map(names::segment).collect();
    let told = report.findings.iter().filter(|finding| covered.contains(&finding.file));
    assert_eq!(told.count(), covered.len(), "{:?}", report.findings);
    let survey = Survey::of(&mut disk, &mut |_, _| {}).expect("the disk is sound");
    assert_eq!(shown(&survey, &mut disk).len() as u64, report.records);
    let (log, _) = Log::open(disk.clone(), SETTINGS, indexing(), &opening(1)).expect("it recovers");
    drop(log);
    let after = verify(&mut disk, &mut |_| {}).expect("the disk is sound");
    assert_eq!((after.segments, after.records), (report.segments, report.records));
}

/// The positions of all records that a survey shows, each once and in their order.
fn shown(survey: &Survey<SimulatedFile>, disk: &mut SimulatedDisk) -> Vec<u64> {
    let mut positions = Vec::new();
    for segment in &survey.segments {
        let read = segment.each_record(disk, Begin::Front, &mut |_, record| {
            positions.push(record.position);
            ControlFlow::Continue(())
        });
        read.expect("it is sound");
        segment.each_name(disk, |_| {}).expect("it is sound");
    }
    assert!(positions.is_sorted_by(|before, after| before < after), "{positions:?}");
    positions
}

#[test]
fn a_survey_shows_what_it_has_seen_though_that_is_compacted_meanwhile() {
    let mut disk = SimulatedDisk::new(1);
    let log = filled(&disk);
    let survey = Survey::of(&mut disk, &mut |_, _| {}).expect("the disk is sound");
    compacted(&mut disk, &log);
    assert_eq!(shown(&survey, &mut disk), (1..=150).collect::<Vec<u64>>());
}

/// A disk on which something happens before its segments are opened for the second time.
#[derive(Clone)]
struct Busy {
    disk: SimulatedDisk,
    happening: Arc<Mutex<Option<Happening>>>,
}

type Happening = Box<dyn FnOnce(&mut SimulatedDisk) + Send>;

impl Disk for Busy {
    type File = SimulatedFile;

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        self.disk.list()
    }

    fn create(&mut self, name: &str, bytes: u64) -> Result<SimulatedFile, DiskError> {
        self.disk.create(name, bytes)
    }

    fn open(&mut self, name: &str) -> Result<SimulatedFile, DiskError> {
        let file = self.disk.open(name);
        if name.ends_with(".segment")
            && let Some(happening) = self.happening.lock().expect("nobody panicked").take()
        {
            happening(&mut self.disk);
        }
        file
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.disk.rename(from, to)
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.disk.remove(name)
    }

    fn sync_names(&mut self) -> Result<(), DiskError> {
        self.disk.sync_names()
    }
}

/// A disk on which all but the newest segment are compacted once the first one is opened.
fn busy() -> Busy {
    let disk = SimulatedDisk::new(1);
    let log = filled(&disk);
    let happening: Happening = Box::new(move |disk| drop(compacted(disk, &log)));
    Busy { disk, happening: Arc::new(Mutex::new(Some(happening))) }
}

#[test]
fn a_compaction_in_the_midst_of_a_look_is_seen_whole_or_not_at_all() {
    let mut disk = busy();
    let survey = Survey::of(&mut disk, &mut |_, _| {}).expect("the disk is sound");
    let newest = shown(&survey, &mut disk.disk);
    assert!(newest.ends_with(&[148, 149, 150]) && survey.segments[0].header.is_compacted, "{newest:?}");
    let report = verify(&mut busy(), &mut |_| {}).expect("the disk is sound");
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(report.records, newest.len() as u64);
}

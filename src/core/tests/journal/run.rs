//! A scripted life of a journal, and what must be true of it whatever happens to the disk.
//!
//! ```text
//!  script (a seed) --> publish, commit, sync, roll, seal, retire, close --> log --> disk: stops at operation n
//!       |                                                                              | kill or power loss
//!       '--> model: admitted >= committed >= durable    <--compared with-- opened again '
//! ```

use crate::basics::{SETTINGS, opening};
use crate::chance::Chance;
use crate::disk::SimulatedDisk;
use crate::index::PLAIN;
use fanwire_core::journal::catalog::Segment;
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use fanwire_core::journal::format::{Found, HEADER_BYTES, Item, NO_BASE, Producer, read_item};
use fanwire_core::journal::state::State;
use fanwire_core::journal::{
    Admission, CommitError, EpochChange, Fault, Log, OpenError, Opening, Publication, Recovery, Refusal, Start,
    SyncTask, TopicRef, names,
};
use std::collections::{BTreeMap, VecDeque};

/// Openings that planned faults may spoil, one after another.
const PLANNED_FAULTS_MAX: u32 = 40;

pub(crate) type TestLog = Log<SimulatedDisk>;

/// What the model remembers of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) topic: String,
    pub(crate) sequence: u64,
    pub(crate) payload: Vec<u8>,
    pub(crate) epoch: u64,
    pub(crate) producer: Option<Producer>,
}

/// What was promised.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    /// By position, from 1 on.
    pub(crate) records: Vec<Kept>,
    pub(crate) committed: u64,
    pub(crate) durable: u64,
    pub(crate) epoch: u64,
}

/// How the disk was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// The process ended.
    Process,
    /// The machine ended.
    Machine,
    /// The process ended after a failed sync: what was not synced is read as the disk has it, once it is opened.
    Cache,
}

pub(crate) struct Run {
    pub(crate) disk: SimulatedDisk,
    pub(crate) log: Option<TestLog>,
    pub(crate) model: Model,
    boot: u8,
    chance: Chance,
    syncing: Option<SyncTask<SimulatedDisk>>,
    numbers: [u64; 3],
    now_us: u64,
    /// Files of retired segments that are still to be removed.
    doomed: VecDeque<String>,
    /// Whether the machine stopped since the log was opened.
    has_lost_power: bool,
    /// Publications that the log refused for want of room.
    pub(crate) refused: u64,
}

impl Run {
    pub(crate) fn new(seed: u64, disk: SimulatedDisk) -> Run {
        let mut run = Run {
            disk,
            log: None,
            model: Model::default(),
            boot: 1,
            chance: Chance(seed),
            syncing: None,
            numbers: [0; 3],
            now_us: 1_000_000,
            doomed: VecDeque::new(),
            has_lost_power: false,
            refused: 0,
        };
        run.open_first();
        run
    }

    fn open_first(&mut self) {
        let opening = Opening { now_us: self.now_us, ..opening(self.boot) };
        for _ in 0..PLANNED_FAULTS_MAX {
            if let Ok((log, _)) = Log::open(self.disk.clone(), SETTINGS, PLAIN, &opening) {
                self.model.epoch = log.epoch();
                self.log = Some(log);
                return;
            }
        }
    }

    /// Runs steps until that many are done, or something ends the log.
    pub(crate) fn steps(&mut self, count: u32) {
        for _ in 0..count {
            if self.log.is_none() || self.disk.is_stopped() {
                return;
            }
            self.step();
        }
    }

    fn step(&mut self) {
        match self.chance.below(32) {
            0..=13 => self.publish(),
            14..=21 => self.commit(),
            22..=24 => self.sync_begin(),
            25..=26 => self.sync_end(),
            27..=28 => self.seal(),
            29 => self.retire(),
            30 => self.prepare(),
            _ if self.chance.below(4) == 0 => self.close(),
            _ => self.now_us = self.now_us.wrapping_add(self.chance.below(2000)).wrapping_sub(500),
        }
    }

    fn publish(&mut self) {
        let topic = format!("topic/{}", self.chance.below(6));
        let bytes = self.chance.pick(&[0, 1, 10, 100, 700, 1500]);
        let payload: Vec<u8> = (0..bytes).map(|_| self.chance.next() as u8).collect();
        let producer = (self.chance.below(3) == 0).then(|| {
            let index = self.chance.below(3) as usize;
            self.numbers[index] += 1;
            Producer { id: index as u64 + 1, number: self.numbers[index] }
        });
        let is_expecting = self.chance.below(4) == 0;
        for _ in 0..8 {
            let expect = is_expecting.then(|| self.model.last_sequence(&topic));
            let Some(log) = &mut self.log else { return };
            let publication = Publication {
                topic: TopicRef::Name(&topic),
                publisher: 5,
                expect,
                producer,
                headers: b"headers",
                payload: &payload,
            };
            match log.admit(&publication, self.now_us) {
                Admission::Ordered(ordered) => {
                    let kept = Kept { topic, sequence: ordered.sequence, payload, epoch: log.epoch(), producer };
                    assert_eq!(ordered.position, self.model.records.len() as u64 + 1);
                    assert_eq!(ordered.sequence, self.model.last_sequence(&kept.topic) + 1);
                    self.model.records.push(kept);
                    return;
                }
                Admission::NeedsCommit => self.commit(),
                Admission::NeedsRoll => self.roll(),
                Admission::NeedsSegment => self.prepare(),
                Admission::Refused(Refusal::Full | Refusal::Unavailable) => {
                    self.refused += 1;
                    self.note();
                    self.prepare();
                }
                Admission::Refused(Refusal::Failed) => return,
                admission => panic!("{admission:?}"),
            }
        }
    }

    pub(crate) fn commit(&mut self) {
        let Some(log) = &mut self.log else { return };
        match log.commit() {
            Ok(committed) => {
                let pending = self.model.records.len() as u64 - self.model.committed;
                assert_eq!(u64::from(committed.count), pending);
                self.model.committed = self.model.records.len() as u64;
                assert_eq!(committed.tail.position, self.model.committed);
            }
            Err(CommitError::Full) => {
                self.refused += 1;
                self.model.records.truncate(self.model.committed as usize);
            }
            // What of it stands on the disk is not known.
            Err(CommitError::Failed(_)) => {}
        }
    }

    fn roll(&mut self) {
        let Some(log) = &mut self.log else { return };
        if let Err(CommitError::Full) = log.roll(self.now_us) {
            self.refused += 1;
        }
    }

    fn prepare(&mut self) {
        let Some(log) = &mut self.log else { return };
        let Some(task) = log.prepare_task() else { return };
        match task.run() {
            Ok(prepared) => log.supply(prepared),
            Err(error) => {
                log.note_not_prepared(&error);
                self.write_down_failure();
            }
        }
    }

    /// What failed elsewhere is written down by the thread that syncs.
    fn write_down_failure(&mut self) {
        let Some(mut task) = self.log.as_mut().and_then(Log::failure_task) else { return };
        assert!(matches!(task.run(), Err(DiskError::NamesUnsynced(_))), "and nothing is synced");
    }

    fn sync_begin(&mut self) {
        let Some(log) = &mut self.log else { return };
        if self.syncing.is_none() {
            self.syncing = log.sync_task();
        }
    }

    pub(crate) fn sync_end(&mut self) {
        let Some(log) = &mut self.log else { return };
        let Some(mut task) = self.syncing.take() else { return };
        match task.run() {
            Ok(()) => {
                log.note_synced(&task);
                if log.failure().is_none() {
                    self.model.durable = self.model.durable.max(task.position());
                    assert_eq!(log.durable(), self.model.durable);
                }
            }
            Err(error) => log.note_sync_failed(&error),
        }
        if self.chance.one_in(2) {
            self.note();
        }
    }

    /// Writes down what the state file lacks, as is done for a log that is idle.
    fn note(&mut self) {
        let Some(log) = &mut self.log else { return };
        let Some(mut task) = log.note_task() else { return };
        match task.run() {
            Ok(()) => log.note_synced(&task),
            Err(error) => log.note_sync_failed(&error),
        }
    }

    fn seal(&mut self) {
        let Some(log) = &mut self.log else { return };
        let Some(mut task) = log.seal_task() else { return };
        match task.run() {
            Ok(()) => log.note_sealed(&task),
            Err(error) => {
                log.note_not_sealed(&error);
                self.write_down_failure();
            }
        }
    }

    fn retire(&mut self) {
        let Some(log) = &mut self.log else { return };
        let catalog = log.shared_catalog();
        let sealed: Vec<u64> =
            catalog.segments.iter().take_while(|segment| segment.is_sealed).map(|segment| segment.base).collect();
        if sealed.len() > 2 && log.failure().is_none() {
            log.retire(&sealed[..1]);
            self.doomed.extend([names::segment(sealed[0]), names::index(sealed[0])]);
        }
        // The oldest go first, for good: a start would miss what is gone between others.
        while let Some(name) = self.doomed.front() {
            match self.disk.remove(name).and_then(|()| self.disk.sync_names()) {
                Ok(()) | Err(DiskError::Missing) => self.doomed.pop_front(),
                Err(_) => return,
            };
        }
    }

    fn close(&mut self) {
        self.commit();
        let is_failed = self.log.as_ref().is_none_or(|log| log.failure().is_some());
        if self.model.committed != self.model.records.len() as u64 || is_failed {
            return;
        }
        self.syncing = None;
        let Some(log) = self.log.take() else { return };
        if log.close().is_ok() {
            self.model.durable = self.model.committed;
        }
        if !self.disk.is_stopped() {
            self.reopen(Stopped::Process);
        }
    }

    /// Starts the disk again, opens, and checks what came back. None if something stopped the disk anew.
    pub(crate) fn reopen(&mut self, stopped: Stopped) -> Option<Recovery> {
        self.log = None;
        self.syncing = None;
        self.doomed.clear();
        match stopped {
            Stopped::Process => self.disk.restart_process(),
            Stopped::Machine => {
                self.disk.restart_machine();
                self.boot += 1;
                self.has_lost_power = true;
            }
            Stopped::Cache => {
                self.disk.restart_process();
                self.has_lost_power = true;
            }
        }
        self.note_failed_sync();
        self.now_us += 1;
        let opening = Opening { now_us: self.now_us, ..opening(self.boot) };
        let mut opened = Log::open(self.disk.clone(), SETTINGS, PLAIN, &opening);
        for _ in 0..PLANNED_FAULTS_MAX {
            if !matches!(&opened, Err(OpenError { fault: Fault::Disk(_), .. })) || self.disk.is_stopped() {
                break;
            }
            self.note_failed_sync();
            self.disk.restart_process();
            opened = Log::open(self.disk.clone(), SETTINGS, PLAIN, &opening);
        }
        match opened {
            Ok((log, recovery)) => {
                self.check(&log, &recovery);
                self.log = Some(log);
                Some(recovery)
            }
            Err(error) => {
                assert!(self.disk.is_stopped(), "recovery did not succeed: {error}");
                None
            }
        }
    }

    /// After a failed sync, what was not synced is read as the disk has it: some of it may be gone.
    fn note_failed_sync(&mut self) {
        self.has_lost_power |= State::load(&mut self.disk).is_ok_and(|state| state.sync_failed);
    }

    /// Compares an opened log with what was promised, and takes over what it has.
    fn check(&mut self, log: &TestLog, recovery: &Recovery) {
        let found = log.tail().position;
        let promised = if self.has_lost_power { self.model.durable } else { self.model.committed };
        assert!(found >= promised, "records {} to {promised} are lost: {recovery:?}", found + 1);
        assert!(found <= self.model.records.len() as u64, "more is there than was admitted: {recovery:?}");
        let is_new_epoch = recovery.start == Start::PowerLost || found < self.model.committed;
        match self.model.epoch {
            // Stopped in its first opening, it was told no epoch.
            0 => {}
            before if is_new_epoch => assert!(log.epoch() > before, "{recovery:?}"),
            // An opening that was stopped may have begun one.
            before if self.has_lost_power => assert!(log.epoch() >= before, "{recovery:?}"),
            // What was cut may have been released, for all that recovery can see.
            before if recovery.epoch_change == Some(EpochChange::Cut) => assert!(log.epoch() > before, "{recovery:?}"),
            before => assert_eq!(log.epoch(), before, "{recovery:?}"),
        }
        assert!(recovery.start != Start::Fresh || self.model.records.is_empty(), "a journal is forgotten");
        self.has_lost_power = false;
        self.model.records.truncate(found as usize);
        self.model.committed = found;
        self.model.durable = found;
        self.model.epoch = log.epoch();
        self.model.compare(log);
    }

    /// Compares the running log with the model.
    pub(crate) fn compare(&self) {
        if let Some(log) = &self.log {
            assert_eq!(log.tail().position, self.model.committed);
            self.model.compare(log);
        }
    }
}

impl Model {
    pub(crate) fn last_sequence(&self, topic: &str) -> u64 {
        self.records.iter().rev().find(|kept| kept.topic == topic).map_or(0, |kept| kept.sequence)
    }

    fn compare(&self, log: &TestLog) {
        let catalog = log.shared_catalog();
        let mut position = catalog.segments[0].base - 1;
        for segment in &catalog.segments {
            assert_eq!(segment.base, position + 1);
            let end = segment.end.map_or(log.tail().offset, |end| end.offset);
            for (found, kept) in read(segment, end).iter().zip(&self.records[position as usize..]) {
                assert_eq!(found, kept, "position {}", position + 1);
                position += 1;
            }
            if let Some(end) = segment.end {
                assert_eq!(end.position, position);
            }
        }
        assert_eq!(position, log.tail().position);
        let mut ends = BTreeMap::new();
        for kept in &self.records {
            ends.insert(kept.topic.clone(), kept.sequence);
        }
        for (topic, sequence) in &ends {
            let end = log.topic_end(topic).unwrap_or_else(|| panic!("{topic} is forgotten"));
            assert_eq!(end.sequence, *sequence, "{topic}");
        }
        assert_eq!(log.topics().count(), ends.len());
    }

    /// Whether every number that a producer had accepted lately is known as a duplicate.
    pub(crate) fn compare_producers(&self, log: &mut TestLog) {
        for kept in self.records.iter().rev().take(100) {
            if let Some(producer) = kept.producer {
                let publication = Publication {
                    topic: TopicRef::Name(&kept.topic),
                    publisher: 5,
                    expect: None,
                    producer: Some(producer),
                    headers: b"",
                    payload: b"",
                };
                let admission = log.admit(&publication, 0);
                assert_eq!(admission, Admission::Duplicate { sequence: kept.sequence });
            }
        }
    }
}

/// The records of a segment, read by the format alone.
pub(crate) fn read<F: DiskFile>(segment: &Segment<F>, end: u32) -> Vec<Kept> {
    let mut bytes = vec![0; end as usize];
    segment.file.read(0, &mut bytes).expect("the disk is sound");
    let mut at = HEADER_BYTES as usize;
    let mut topics = Vec::new();
    let mut last = BTreeMap::new();
    let mut found = Vec::new();
    while at < bytes.len() {
        let Found::Item { item, bytes: length, .. } = read_item(&bytes[at..], segment.salt) else {
            panic!("no item at {at} of segment {}", segment.base)
        };
        match item {
            Item::Batch(_) => {}
            Item::Topic(topic) => {
                assert_eq!(topic.number as usize, topics.len());
                assert_eq!(topic.base_before == NO_BASE, topic.sequence_before == 0);
                topics.push(String::from_utf8(topic.name.to_vec()).expect("names are text"));
            }
            Item::Record(record) => {
                assert_eq!(record.headers, b"headers");
                assert_eq!(record.previous, last.insert(record.topic, at as u32).unwrap_or(0));
                found.push(Kept {
                    topic: topics[record.topic as usize].clone(),
                    sequence: record.sequence,
                    payload: record.payload.to_vec(),
                    epoch: segment.epoch,
                    producer: record.producer,
                });
            }
        }
        at += length as usize;
    }
    found
}

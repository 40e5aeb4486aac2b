//! The journal thread and its helpers: the keeper, who syncs, prepares and seals for it, and the readers.

use crate::chance::Chance;
use crate::medium::Medium;
use crate::swarm::{Swarm, Trouble};
use fanwire_core::journal::disk::{DiskError, DiskFile};
use fanwire_core::journal::format::{Found, HEADER_BYTES, Item, Producer, read_item};
use fanwire_core::journal::history::{Reached, ReadEnd};
use fanwire_core::journal::keeper::{Keeper, Notice, ReadRequest, SyncMode};
use fanwire_core::journal::plan::{JournalId, Plan, Planned};
use fanwire_core::journal::reader::{CursorId, ReadOutcome, Reader};
use fanwire_core::journal::{Log, LogSettings, Opening, PrepareTask, Prepared, SealTask, SyncTask, indexing};
use fanwire_core::{HistoryMail, Releases, Seat, Submissions};
use std::collections::VecDeque;

type File = crate::medium::MediumFile;

/// What the journals were like at a moment.
#[derive(Debug, Clone)]
pub(crate) struct Mark {
    pub(crate) step: u64,
    /// By journal: as far as it was released, written and durable, and where it began.
    pub(crate) released: Vec<u64>,
    pub(crate) written: Vec<u64>,
    pub(crate) durable: Vec<u64>,
}

impl Mark {
    pub(crate) fn check_released(&self, journal: usize, position: u64) {
        assert!(
            position <= self.released[journal],
            "record {position} was delivered, and {} is released",
            self.released[journal]
        );
    }
}

/// A record as the log holds it.
#[derive(Debug, Clone)]
pub(crate) struct Truth {
    pub(crate) position: u64,
    pub(crate) sequence: u64,
    pub(crate) topic: String,
    pub(crate) publish: u64,
    pub(crate) time_us: u64,
    pub(crate) producer: Option<Producer>,
}

enum Event {
    Synced(usize, SyncTask<Medium>, Result<(), DiskError>),
    Prepared(usize, Result<Prepared<File>, DiskError>),
    Sealed(usize, SealTask<Medium>, Result<(), DiskError>),
}

/// One journal's helpers.
#[derive(Default)]
struct Desk {
    syncs: VecDeque<SyncTask<Medium>>,
    preparing: Option<PrepareTask<Medium>>,
    sealing: Option<SealTask<Medium>>,
    /// A disk that was full is left alone for a while.
    is_resting: bool,
    /// What was retired, and where the rest begins.
    retired: Vec<Truth>,
    retired_end: u64,
}

pub(crate) struct Office {
    pub(crate) keeper: Keeper<Medium>,
    pub(crate) media: Vec<Medium>,
    pub(crate) plan: Plan,
    desks: Vec<Desk>,
    events: VecDeque<Event>,
    readers: Vec<Reader<Medium>>,
    /// By shard.
    requests: Vec<VecDeque<ReadRequest<Medium>>>,
    pub(crate) inbox: Vec<VecDeque<Submissions>>,
    /// By shard: mail of it waits for a segment.
    pub(crate) now_us: u64,
    pub(crate) has_failed: Vec<bool>,
    pub(crate) was_full: bool,
}

impl Office {
    pub(crate) fn new(swarm: &Swarm, seat: &Seat) -> Office {
        let media: Vec<Medium> = swarm.syncs.iter().map(|_| Medium::default()).collect();
        let opening = Opening { now_us: 1_000, boot: [1; 16], fresh_id: [2; 16], repair: false };
        let log_settings = LogSettings {
            segment_bytes: swarm.segment_bytes,
            topics_max: 1_000,
            is_volatile: false,
            seed: swarm.settings.seed,
        };
        let open =
            |medium: &Medium| Log::open(medium.clone(), log_settings, indexing(), &opening).expect("it is new").0;
        let logs: Vec<_> = media.iter().map(open).collect();
        let planned = logs.iter().zip(["a/#", "b/#"]).map(|(log, filter)| Planned {
            filters: vec![filter.to_owned()],
            is_volatile: false,
            epoch: log.epoch(),
            is_refused: false,
        });
        let plan = Plan::new(planned.collect());
        let shards = seat.count();
        Office {
            keeper: Keeper::new(logs.into_iter().zip(swarm.syncs.iter().copied()).collect(), seat, &swarm.settings),
            readers: media.iter().cloned().map(Reader::new).collect(),
            plan,
            desks: media.iter().map(|_| Desk::default()).collect(),
            has_failed: vec![false; media.len()],
            media,
            events: VecDeque::new(),
            requests: (0..shards).map(|_| VecDeque::new()).collect(),
            inbox: (0..shards).map(|_| VecDeque::new()).collect(),
            now_us: 1_000_000,
            was_full: false,
        }
    }

    pub(crate) fn mark(&self, step: u64, swarm: &Swarm) -> Mark {
        let logs = || (0..swarm.syncs.len()).map(|index| self.keeper.log(JournalId(index as u8)));
        let written: Vec<u64> = logs().map(|log| log.tail().position).collect();
        let durable: Vec<u64> = logs().map(Log::durable).collect();
        let released = swarm.syncs.iter().zip(written.iter().zip(&durable));
        let released =
            released.map(|(sync, (written, durable))| *if *sync == SyncMode::Release { durable } else { written });
        Mark { step, released: released.collect(), written, durable }
    }

    /// Whether a turn has anything to do.
    pub(crate) fn is_stirred(&self) -> bool {
        let is_due = self.keeper.next_sync_us().is_some_and(|due| due <= self.now_us);
        !self.events.is_empty() || self.inbox.iter().any(|inbox| !inbox.is_empty()) || is_due
    }

    pub(crate) fn turn(&mut self, chance: &mut Chance, is_eager: bool) {
        self.keeper.begin_turn(self.now_us);
        while let Some(event) = self.events.pop_front() {
            match event {
                Event::Synced(index, task, outcome) => {
                    self.keeper.note_synced(JournalId(index as u8), &task, &outcome);
                }
                Event::Prepared(index, outcome) => {
                    self.desks[index].is_resting |= outcome.is_err();
                    self.keeper.note_prepared(JournalId(index as u8), outcome);
                }
                Event::Sealed(index, task, outcome) => {
                    self.desks[index].is_resting |= outcome.is_err();
                    self.keeper.note_sealed(JournalId(index as u8), &task, &outcome);
                }
            }
        }
        let first = chance.below(self.inbox.len() as u64) as usize;
        for offset in 0..self.inbox.len() {
            let from = (first + offset) % self.inbox.len();
            while let Some(submissions) = self.inbox[from].front_mut() {
                if (!is_eager && chance.one_in(4)) || !self.keeper.receive(from, submissions) {
                    break;
                }
                self.inbox[from].pop_front();
            }
        }
        self.keeper.finish_turn();
        self.hand_out();
        let mut notices = Vec::new();
        self.keeper.take_notices(&mut notices);
        for notice in notices {
            match notice {
                Notice::Failed(journal, _) => self.has_failed[usize::from(journal.0)] = true,
                Notice::Full(_) | Notice::Stuck(..) => self.was_full = true,
                Notice::Resumed(_) => {}
            }
        }
    }

    fn hand_out(&mut self) {
        for (index, desk) in self.desks.iter_mut().enumerate() {
            let journal = JournalId(index as u8);
            if let Some(task) = self.keeper.take_sync(journal) {
                // One that was not begun is joined with the newer one.
                if desk.syncs.len() > 1 {
                    desk.syncs.pop_back();
                }
                desk.syncs.push_back(task);
            }
            if !desk.is_resting {
                desk.preparing = desk.preparing.take().or_else(|| self.keeper.take_preparation(journal));
                desk.sealing = desk.sealing.take().or_else(|| self.keeper.take_sealing(journal));
            }
        }
        let mut reads = Vec::new();
        self.keeper.take_reads(&mut reads);
        for request in reads {
            let cursor = cursor_of(&request);
            let waiting = &mut self.requests[usize::from(cursor.shard)];
            if let ReadRequest::Close { journal, .. } = request {
                waiting.retain(|other| cursor_of(other) != cursor);
                self.readers[usize::from(journal.0)].close(cursor);
            } else {
                waiting.push_back(request);
            }
        }
    }

    /// Does one thing of those that were ordered. Returns whether there was any.
    pub(crate) fn help(&mut self, chance: &mut Chance) -> bool {
        let first = chance.below(3 * self.desks.len() as u64) as usize;
        for offset in 0..3 * self.desks.len() {
            let place = (first + offset) % (3 * self.desks.len());
            let (index, kind) = (place / 3, place % 3);
            let desk = &mut self.desks[index];
            let event = match kind {
                0 => desk.syncs.pop_front().map(|mut task| {
                    let outcome = task.run();
                    Event::Synced(index, task, outcome)
                }),
                1 => desk.preparing.take().map(|task| Event::Prepared(index, task.run())),
                _ => desk.sealing.take().map(|mut task| {
                    let outcome = task.run();
                    Event::Sealed(index, task, outcome)
                }),
            };
            if let Some(event) = event {
                self.events.push_back(event);
                return true;
            }
        }
        false
    }

    /// A disk that was left alone is tried again. Returns whether there was any.
    pub(crate) fn wake(&mut self) -> bool {
        let mut was_resting = false;
        for desk in &mut self.desks {
            was_resting |= std::mem::take(&mut desk.is_resting);
        }
        was_resting
    }

    /// Answers a shard's oldest request.
    pub(crate) fn read_for(&mut self, shard: usize) -> Option<HistoryMail> {
        let request = self.requests[shard].pop_front()?;
        let mut mail =
            HistoryMail { cursor: fanwire_core::CursorId::of_reader(cursor_of(&request)), ..Default::default() };
        let outcome = match request {
            ReadRequest::Open { journal, cursor, request, bytes_max } => {
                let reader = &mut self.readers[usize::from(journal.0)];
                mail.opened = Some(reader.open(cursor, &request).outcome);
                let (catalog, tail, topic) = (&request.catalog, request.tail, request.topic);
                reader.read(cursor, catalog, tail, topic, bytes_max, &mut mail.history)
            }
            ReadRequest::Read { journal, cursor, catalog, tail, topic, bytes_max } => {
                let reader = &mut self.readers[usize::from(journal.0)];
                reader.read(cursor, &catalog, tail, topic, bytes_max, &mut mail.history)
            }
            ReadRequest::Close { .. } => unreachable!("ends are never asked to wait"),
        };
        mail.end = match outcome {
            ReadOutcome::More => ReadEnd::More,
            ReadOutcome::AtTail { place, position, sequence } => ReadEnd::Tail(Reached { place, position, sequence }),
            ReadOutcome::Overtaken => ReadEnd::Overtaken,
            ReadOutcome::Failed(what) => panic!("history can't be read: {what}"),
        };
        Some(mail)
    }

    /// Cursors that readers keep.
    pub(crate) fn cursors(&self) -> usize {
        self.readers.iter().map(Reader::cursors).sum()
    }

    pub(crate) fn releases_to(&mut self, shard: usize) -> &mut Releases {
        self.keeper.releases_to(shard)
    }

    /// Something goes wrong, or right again.
    pub(crate) fn meddle(&mut self, chance: &mut Chance, swarm: &Swarm) {
        let index = chance.below(self.media.len() as u64) as usize;
        let mut faults = self.media[index].faults();
        match swarm.trouble {
            Trouble::Nothing => {}
            Trouble::Full if chance.one_in(3) => faults.full_writes = 1 + chance.below(2) as u32,
            Trouble::Full => faults.is_full = !faults.is_full,
            Trouble::Failure if chance.one_in(12) => match chance.below(2) {
                0 => faults.fails_write = true,
                _ => faults.fails_sync = true,
            },
            Trouble::Failure => {}
        }
    }

    pub(crate) fn end_trouble(&mut self) {
        for medium in &self.media {
            *medium.faults() = Default::default();
        }
    }

    /// Retires the oldest segment of a journal, if it is sealed.
    pub(crate) fn retire(&mut self, index: usize) {
        let log = self.keeper.log_mut(JournalId(index as u8));
        let catalog = log.shared_catalog();
        let oldest = &catalog.segments[0];
        if oldest.is_sealed && log.durable() >= catalog.segments[1].base {
            let end = oldest.end.expect("what is sealed has an end").offset;
            read_segment(&oldest.file, oldest.salt, end, &mut self.desks[index].retired);
            self.desks[index].retired_end = catalog.segments[1].base;
            log.retire(&[oldest.base]);
        }
    }

    /// The position before which retention has removed everything.
    pub(crate) fn retired_end(&self, index: usize) -> u64 {
        self.desks[index].retired_end
    }

    /// All records of a journal.
    pub(crate) fn truth(&self, index: usize) -> Vec<Truth> {
        let log = self.keeper.log(JournalId(index as u8));
        let mut truth = self.desks[index].retired.clone();
        for segment in &log.shared_catalog().segments {
            let end = segment.end.map_or(log.tail().offset, |end| end.offset);
            read_segment(&segment.file, segment.salt, end, &mut truth);
        }
        for (index, record) in truth.iter().enumerate() {
            assert_eq!(record.position, index as u64 + 1, "positions are contiguous");
        }
        truth
    }
}

fn read_segment(file: &File, salt: u32, end: u32, truth: &mut Vec<Truth>) {
    let mut bytes = vec![0; end as usize];
    file.read(0, &mut bytes).expect("the disk is sound");
    let mut at = HEADER_BYTES as usize;
    let mut topics = Vec::new();
    while at < bytes.len() {
        let Found::Item { item, bytes: length, .. } = read_item(&bytes[at..], salt) else { panic!("no item at {at}") };
        match item {
            Item::Batch(_) => {}
            Item::Topic(topic) => topics.push(String::from_utf8(topic.name.to_vec()).expect("names are text")),
            Item::Record(record) => {
                let payload = std::str::from_utf8(record.payload).expect("payloads are text here");
                truth.push(Truth {
                    position: record.position,
                    sequence: record.sequence,
                    topic: topics[record.topic as usize].clone(),
                    publish: payload.trim_end_matches('.').parse().expect("payloads begin with a number"),
                    time_us: record.time_us,
                    producer: record.producer,
                });
            }
        }
        at += length as usize;
    }
}

fn cursor_of(request: &ReadRequest<Medium>) -> CursorId {
    match request {
        ReadRequest::Open { cursor, .. } | ReadRequest::Read { cursor, .. } | ReadRequest::Close { cursor, .. } => {
            *cursor
        }
    }
}

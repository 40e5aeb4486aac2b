//! The journal thread: a turn takes the reactors' mail, writes once a journal, and releases.
//!
//! ```text
//!  sleep --> events --> mail: keeper.receive --> keeper.finish_turn --> tasks, reads --> post releases
//!    ^  a letter, an event, room, or a time that has come                                   |
//!    `--------------------------------------------------------------------------------------'
//! ```
//!
//! A drain ends it when all reactors have hushed, everything that they sent is written, synced and told, and they know.
//! Then the logs are closed, one after the other: what was not asked to be durable is synced, too.

use super::ledger::Ledger;
use super::opening::{Journals, Opened, sync_mode};
use super::reading::Requests;
use super::upkeep::{self, Removals};
use super::vigil::Vigil;
use crate::config::Journal;
use crate::reactor::{Desk, Sleeper};
use crate::store::{self, Maker, Medium, Steward, Syncer, now_us};
use fanwire_core::journal::compaction::{Compacted, CompactionError};
use fanwire_core::journal::disk::DiskError;
use fanwire_core::journal::keeper::{Keeper, Notice, ReadRequest};
use fanwire_core::journal::plan::JournalId;
use fanwire_core::journal::retention::Retention;
use fanwire_core::journal::{CommitError, Prepared, SealTask, SyncTask};
use fanwire_core::{Seat, Settings};
use fanwire_gateway::stats::Stats;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Letters of one reactor that are read in one turn.
const LETTERS_PER_TURN_MAX: usize = 16;
/// How long a disk that was full is left alone before a segment is ordered again.
const RETRY: Duration = Duration::from_secs(1);

/// How often it is looked whether a question that had to wait can be put.
const DELAY: Duration = Duration::from_millis(5);
/// How often it is looked for what is too old.
const UPKEEP_PERIOD: Duration = Duration::from_secs(1);

/// What other threads tell the clerk.
enum Event {
    Synced(JournalId, SyncTask<Medium>, Result<(), DiskError>, Duration),
    Prepared(JournalId, Result<Prepared<store::File>, DiskError>),
    Sealed(JournalId, SealTask<Medium>, Result<(), DiskError>),
    Removed(JournalId, Vec<u64>, Result<(), DiskError>),
    Compacted(JournalId, Result<Option<Compacted<store::File>>, CompactionError>),
}

/// The journal thread, ready to run.
pub struct Clerk {
    keeper: Keeper<Medium>,
    desk: Desk,
    journals: Vec<Shelf>,
    events: Receiver<Event>,
    sender: EventSender,
    requests: Requests,
    is_ending: Arc<AtomicBool>,
    /// When it is time to look for what is too old.
    upkeep: Instant,
    reads: Vec<ReadRequest<Medium>>,
    notices: Vec<Notice>,
    ledger: Ledger,
}

/// What goes with one journal.
struct Shelf {
    journal: Journal,
    medium: Medium,
    syncer: Syncer<Sync>,
    /// Makes the next segments.
    maker: Maker,
    /// Seals, removes, compacts.
    steward: Steward,
    retention: Retention,
    is_compacting: bool,
    /// Segments were sealed or compacted since the last compaction began: there may be some that are worth it.
    is_compaction_due: bool,
    /// When something may be tried again that the disk did not do.
    retry: Option<Instant>,
    removals: Removals,
    vigil: Vigil,
}

/// Sends events, and wakes the clerk.
#[derive(Clone)]
struct EventSender {
    sender: Sender<Event>,
    sleeper: Arc<Sleeper>,
}

impl EventSender {
    fn send(&self, event: Event) {
        // A clerk that has ended wants to know nothing more.
        let _ = self.sender.send(event);
        self.sleeper.ring();
    }
}

/// Ends the clerk from another thread, once the reactors have.
pub struct Handle {
    is_ending: Arc<AtomicBool>,
    sleeper: Arc<Sleeper>,
}

impl Handle {
    /// Asks the clerk to end when nothing is left to do.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
        self.sleeper.ring();
    }
}

/// A sync on its way.
struct Sync {
    journal: JournalId,
    task: SyncTask<Medium>,
}

impl store::SyncTask for Sync {
    /// The newer one covers all that this one does: it was made before this was told.
    fn join(&mut self, newer: Sync) {
        self.task = newer.task;
    }

    fn run(&mut self) -> Result<(), DiskError> {
        self.task.run()
    }
}

impl Clerk {
    /// The threads of these journals, but for the clerk's own and the reader's, are started here.
    pub fn new(
        journals: Journals,
        desk: Desk,
        shard: &Seat,
        settings: &Settings,
        requests: Requests,
        stats: Arc<Stats>,
    ) -> io::Result<Clerk> {
        let (sender, events) = channel();
        let sender = EventSender { sender, sleeper: desk.sleeper() };
        let (mut logs, mut shelves) = (Vec::new(), Vec::new());
        for Opened { journal, medium, log } in journals.opened {
            let events = sender.clone();
            let report = move |Sync { journal, task }, outcome, took| {
                events.send(Event::Synced(journal, task, outcome, took));
            };
            let syncer = Syncer::start(&format!("sync-{}", journal.name), report)?;
            logs.push((log, sync_mode(&journal)));
            let retention = upkeep::retention(&journal);
            let maker = Maker::start(&format!("make-{}", journal.name))?;
            let steward = Steward::start(&format!("keep-{}", journal.name))?;
            shelves.push(Shelf {
                journal,
                medium,
                syncer,
                maker,
                steward,
                retention,
                is_compacting: false,
                is_compaction_due: false,
                retry: None,
                removals: Removals::default(),
                vigil: Vigil::default(),
            });
        }
        let ledger = Ledger::new(stats, logs.iter().map(|(log, _)| log.tail().position));
        Ok(Clerk {
            keeper: Keeper::new(logs, shard, settings),
            desk,
            journals: shelves,
            events,
            sender,
            requests,
            is_ending: Arc::new(AtomicBool::new(false)),
            upkeep: Instant::now(),
            reads: Vec::new(),
            notices: Vec::new(),
            ledger,
        })
    }

    /// How others end it.
    pub fn handle(&self) -> Handle {
        Handle { is_ending: Arc::clone(&self.is_ending), sleeper: self.desk.sleeper() }
    }

    /// Turns until it is ended, and closes the journals.
    pub fn run(mut self) -> io::Result<()> {
        self.desk.settle_in();
        while !self.is_over() {
            self.turn()?;
        }
        self.close();
        Ok(())
    }

    fn turn(&mut self) -> io::Result<()> {
        self.keeper.begin_turn(now_us());
        self.take_events();
        let keeper = &mut self.keeper;
        self.desk.read(LETTERS_PER_TURN_MAX, |from, submissions| keeper.receive(from, submissions))?;
        self.keeper.finish_turn();
        self.hand_out_tasks();
        self.retire();
        self.order_compactions();
        self.keeper.take_reads(&mut self.reads);
        self.requests.send_all(&mut self.reads);
        self.tell_notices();
        // Who is refused finds the reason told.
        self.publish();
        self.post_all()?;
        // Asked behind the post: nobody rings for what is posted.
        if self.desk.have_all_hushed() && self.keeper.is_settled() {
            self.desk.set_last_mark();
            self.post_all()?;
        }
        self.rest();
        Ok(())
    }

    fn publish(&mut self) {
        for journal in 0..self.keeper.count() {
            self.ledger.publish(journal, self.keeper.log(JournalId(journal as u8)));
        }
    }

    fn post_all(&mut self) -> io::Result<()> {
        for reactor in 0..self.desk.count() {
            let in_transit = self.desk.post(reactor, self.keeper.releases_to(reactor))?;
            self.keeper.note_transit(reactor, in_transit);
        }
        Ok(())
    }

    /// Sleeps if there is nothing to do.
    fn rest(&mut self) {
        let timeout = self.time_to_next();
        if timeout == Some(Duration::ZERO) || self.watch() {
            return;
        }
        let mut event = None;
        let Clerk { desk, events, is_ending, .. } = self;
        let look = || {
            event = events.try_recv().ok();
            event.is_none() && !is_ending.load(Ordering::Acquire)
        };
        desk.sleep(look, timeout);
        if let Some(event) = event {
            self.take_event(event);
        }
    }

    /// Looks for the end of a sync that somebody waits for, and is about to end. Returns whether there is something to
    /// do.
    fn watch(&mut self) -> bool {
        let Some(until) = self.watched_until() else { return false };
        while Instant::now() < until {
            if let Ok(event) = self.events.try_recv() {
                self.take_event(event);
                return true;
            }
            if self.desk.has_mail() {
                return true;
            }
            thread::yield_now();
        }
        false
    }

    /// As long as the syncs last that somebody waits for.
    fn watched_until(&self) -> Option<Instant> {
        let shelves = self.journals.iter().enumerate();
        let awaited = shelves.filter(|(index, _)| self.keeper.is_sync_awaited(JournalId(*index as u8)));
        awaited.filter_map(|(_, shelf)| shelf.vigil.until()).max()
    }

    /// How long it may sleep though nobody rings.
    fn time_to_next(&self) -> Option<Duration> {
        let now_us = now_us();
        let sync = self.keeper.next_sync_us().map(|due| Duration::from_micros(due.saturating_sub(now_us)));
        let retry = self.journals.iter().filter_map(|shelf| shelf.retry).min();
        let retry = retry.map(|retry| retry.saturating_duration_since(Instant::now()));
        let keeps_all = self.journals.iter().all(|shelf| shelf.retention == Retention::default());
        let upkeep = (!keeps_all).then(|| self.upkeep.saturating_duration_since(Instant::now()));
        let delayed = self.keeper.has_delayed().then_some(DELAY);
        [sync, retry, upkeep, delayed].into_iter().flatten().min()
    }

    fn take_events(&mut self) {
        while let Ok(event) = self.events.try_recv() {
            self.take_event(event);
        }
        let now = Instant::now();
        for shelf in &mut self.journals {
            shelf.retry = shelf.retry.filter(|retry| *retry > now);
        }
    }

    fn take_event(&mut self, event: Event) {
        match event {
            Event::Synced(journal, task, outcome, took) => {
                // How long a sync takes says nothing but a sync.
                if !task.is_note() {
                    self.journals[usize::from(journal.0)].vigil.note_ended(took, Instant::now());
                    self.ledger.note_synced(journal.0.into(), took, outcome.is_ok());
                }
                self.keeper.note_synced(journal, &task, &outcome);
            }
            Event::Prepared(journal, outcome) => {
                if let Err(error) = &outcome {
                    let shelf = &mut self.journals[usize::from(journal.0)];
                    shelf.retry = Some(Instant::now() + RETRY);
                    let name = &shelf.journal.name;
                    // The notice tells it, once.
                    tracing::debug!(journal = name, %error, "no next segment could be made; trying again");
                }
                self.keeper.note_prepared(journal, outcome);
            }
            Event::Sealed(journal, task, outcome) => {
                if let Err(error) = &outcome {
                    let shelf = &mut self.journals[usize::from(journal.0)];
                    shelf.retry = Some(Instant::now() + RETRY);
                    let name = &shelf.journal.name;
                    tracing::warn!(journal = name, %error, "a segment could not be sealed; trying again");
                }
                self.keeper.note_sealed(journal, &task, &outcome);
                self.note_compactable(journal);
            }
            Event::Removed(journal, bases, outcome) => {
                let shelf = &mut self.journals[usize::from(journal.0)];
                if let Err(error) = &outcome {
                    let name = &shelf.journal.name;
                    tracing::error!(journal = name, %error, "segments that retention ended could not be removed");
                }
                shelf.removals.end(bases, outcome.is_ok());
            }
            Event::Compacted(journal, outcome) => self.note_compacted(journal, outcome),
        }
    }

    fn hand_out_tasks(&mut self) {
        for index in 0..self.journals.len() {
            let journal = JournalId(index as u8);
            if let Some(task) = self.keeper.take_sync(journal) {
                let shelf = &mut self.journals[index];
                shelf.syncer.request(Sync { journal, task });
                shelf.vigil.note_requested(Instant::now());
            }
            if self.journals[index].retry.is_none() {
                self.order_segment(journal);
                self.order_sealing(journal);
            }
            // Behind the order: it may be this one.
            if self.keeper.is_waiting(journal) {
                self.journals[index].maker.hasten();
            }
        }
    }

    /// What is too old or too much leaves the catalog; its files are removed by the steward.
    fn retire(&mut self) {
        if Instant::now() < self.upkeep {
            return;
        }
        self.upkeep = Instant::now() + UPKEEP_PERIOD;
        for (index, shelf) in self.journals.iter_mut().enumerate() {
            let journal = JournalId(index as u8);
            // A compaction has the catalog that it began with.
            if shelf.is_compacting {
                continue;
            }
            let log = self.keeper.log_mut(journal);
            let retired = shelf.retention.retired(&log.shared_catalog(), now_us());
            log.retire(&retired);
            shelf.removals.add(retired);
            let Some(bases) = shelf.removals.begin() else { continue };
            tracing::debug!(journal = shelf.journal.name, segments = bases.len(), "segments are retired");
            let (mut medium, events) = (shelf.medium.clone(), self.sender.clone());
            shelf.steward.run(Box::new(move || {
                let outcome = upkeep::remove(&mut medium, &bases);
                events.send(Event::Removed(journal, bases, outcome));
            }));
        }
    }

    /// Something has changed that a compaction may be worth for. What retention ends goes before: it need not be
    /// compacted, and can't be retired while others are.
    fn note_compactable(&mut self, journal: JournalId) {
        let shelf = &mut self.journals[usize::from(journal.0)];
        shelf.is_compaction_due = shelf.journal.compact;
        self.upkeep = Instant::now();
    }

    fn order_compactions(&mut self) {
        for index in 0..self.journals.len() {
            let shelf = &mut self.journals[index];
            if shelf.is_compaction_due && !shelf.is_compacting {
                (shelf.is_compaction_due, shelf.is_compacting) = (false, true);
                self.order_compaction(JournalId(index as u8));
            }
        }
    }

    fn order_compaction(&mut self, journal: JournalId) {
        let shelf = &self.journals[usize::from(journal.0)];
        let catalog = self.keeper.log(journal).shared_catalog();
        let (mut medium, events, segment_bytes) =
            (shelf.medium.clone(), self.sender.clone(), shelf.journal.segment_bytes);
        shelf.steward.run(Box::new(move || {
            let outcome = upkeep::compact(&mut medium, &catalog, segment_bytes, now_us());
            events.send(Event::Compacted(journal, outcome));
        }));
    }

    fn note_compacted(&mut self, journal: JournalId, outcome: Result<Option<Compacted<store::File>>, CompactionError>) {
        let shelf = &mut self.journals[usize::from(journal.0)];
        shelf.is_compacting = false;
        match outcome {
            Ok(None) => {}
            Ok(Some(Compacted { segment, replaced, bytes_before, bytes_after, .. })) => {
                tracing::info!(journal = shelf.journal.name, bytes_before, bytes_after, "segments are compacted");
                let others: Vec<u64> = replaced.into_iter().filter(|base| *base != segment.base).collect();
                let log = self.keeper.log_mut(journal);
                log.replace(segment);
                log.retire(&others);
                // There may be more that is worth it.
                self.note_compactable(journal);
            }
            Err(error) => {
                tracing::error!(journal = shelf.journal.name, %error, "compaction failed; nothing is lost");
            }
        }
    }

    fn order_segment(&mut self, journal: JournalId) {
        let Some(task) = self.keeper.take_preparation(journal) else { return };
        let Shelf { medium, maker, .. } = &self.journals[usize::from(journal.0)];
        let (name, bytes, events) = (task.name(), task.bytes(), self.sender.clone());
        let made = move |made: Result<store::File, DiskError>| {
            events.send(Event::Prepared(journal, made.and_then(|file| task.finish(file))));
        };
        maker.make(medium.clone(), name, bytes, Box::new(made));
    }

    fn order_sealing(&mut self, journal: JournalId) {
        let Some(mut task) = self.keeper.take_sealing(journal) else { return };
        let events = self.sender.clone();
        self.journals[usize::from(journal.0)].steward.run(Box::new(move || {
            let outcome = task.run();
            events.send(Event::Sealed(journal, task, outcome));
        }));
    }

    fn tell_notices(&mut self) {
        self.keeper.take_notices(&mut self.notices);
        for notice in self.notices.drain(..) {
            let (Notice::Full(journal)
            | Notice::Stuck(journal, _)
            | Notice::Resumed(journal)
            | Notice::Failed(journal, _)) = notice;
            let name = &self.journals[usize::from(journal.0)].journal.name;
            match notice {
                Notice::Full(_) => tracing::error!(
                    journal = name,
                    "no room for the next segment: publishes are refused once this one is full"
                ),
                Notice::Stuck(_, why) => tracing::error!(
                    journal = name,
                    why,
                    "the next segment can't be made: publishes are refused once this one is full"
                ),
                Notice::Resumed(_) => tracing::info!(journal = name, "the journal can make segments again"),
                Notice::Failed(_, what) => {
                    tracing::error!(
                        journal = name,
                        what,
                        "the journal has failed and takes nothing more; mend its disk, and start the broker anew"
                    );
                }
            }
        }
    }

    /// What failed while its thread ended. Closing syncs once more, and that may succeed: it would hide the failure.
    fn note_last_failures(&mut self) {
        for event in self.events.try_iter() {
            match event {
                Event::Synced(journal, task, outcome, _) => self.keeper.note_synced(journal, &task, &outcome),
                Event::Sealed(journal, task, outcome) => self.keeper.note_sealed(journal, &task, &outcome),
                Event::Prepared(journal, outcome) => self.keeper.note_prepared(journal, outcome),
                _ => {}
            }
        }
    }

    fn is_over(&self) -> bool {
        self.is_ending.load(Ordering::Acquire)
    }

    /// The reactors have ended. Every steward hears so before the first one is waited for. Everything is synced, and
    /// it is written down that nothing is missing.
    fn close(mut self) {
        self.journals.iter().for_each(|shelf| shelf.steward.end_soon());
        let end = |shelf: Shelf| {
            let Shelf { journal, syncer, maker, steward, .. } = shelf;
            drop((maker, steward, syncer));
            journal
        };
        let journals: Vec<Journal> = std::mem::take(&mut self.journals).into_iter().map(end).collect();
        self.note_last_failures();
        for (log, journal) in self.keeper.into_logs().into_iter().zip(journals) {
            match log.close() {
                Ok(()) => tracing::info!(journal = journal.name, "journal closed"),
                Err(CommitError::Full) => {
                    tracing::error!(journal = journal.name, "no room to write that the journal was closed");
                }
                Err(CommitError::Failed(what)) => {
                    tracing::error!(journal = journal.name, what, "the journal was not closed");
                }
            }
        }
    }
}

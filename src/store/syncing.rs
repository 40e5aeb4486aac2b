//! A thread that does nothing but sync, so that nobody else ever waits for a disk to do so.
//!
//! ```text
//!  journal thread --request--> slot: the next sync --> running: this sync --report--> journal thread
//!                  join newer ones -^                     |
//!                                   `--- taken as soon as it ends, without anybody's help
//! ```
//!
//! Group commit clocks itself: what is asked for while a sync runs joins the one that follows, however much it is, and
//! that one begins the moment the disk is free. The slot is locked for as long as it takes to move a task; the thread
//! is woken by a system call only if it really sleeps, and nothing is allocated for a sync.
//!
//! Invariant: after a sync has failed nothing is synced by this thread any more. Whatever was written before it may be
//! lost, and a later sync that succeeds would hide that.

use fanwire_core::journal::disk::DiskError;
use std::io;
use std::panic;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Something to sync.
pub trait SyncTask: Send + 'static {
    /// Takes up what a newer task asks for, besides its own.
    fn join(&mut self, newer: Self);

    /// Does it.
    fn run(&mut self) -> Result<(), DiskError>;
}

/// The sync thread of one journal. Dropping it waits for what was asked for.
pub struct Syncer<T: SyncTask> {
    slot: Arc<Slot<T>>,
    thread: Option<JoinHandle<()>>,
}

struct Slot<T> {
    next: Mutex<Next<T>>,
}

struct Next<T> {
    task: Option<T>,
    is_last: bool,
}

impl<T: SyncTask> Syncer<T> {
    /// Starts the thread. `report` is called in it, with every task, how it went, and how long it took.
    pub fn start(
        name: &str,
        report: impl FnMut(T, Result<(), DiskError>, Duration) + Send + 'static,
    ) -> io::Result<Syncer<T>> {
        let slot = Arc::new(Slot { next: Mutex::new(Next { task: None, is_last: false }) });
        let own = Arc::clone(&slot);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || sync_all(&own, report))?;
        Ok(Syncer { slot, thread: Some(thread) })
    }

    /// Asks for a sync. Never waits for one.
    pub fn request(&self, task: T) {
        let mut next = self.slot.next();
        match &mut next.task {
            Some(waiting) => waiting.join(task),
            None => next.task = Some(task),
        }
        drop(next);
        self.wake();
    }

    fn wake(&self) {
        self.thread.as_ref().expect("joined only when dropped").thread().unpark();
    }
}

impl<T: SyncTask> Drop for Syncer<T> {
    fn drop(&mut self) {
        self.slot.next().is_last = true;
        self.wake();
        let ended = self.thread.take().expect("joined once").join();
        if let Err(panicked) = ended
            && !thread::panicking()
        {
            panic::resume_unwind(panicked);
        }
    }
}

impl<T> Slot<T> {
    fn next(&self) -> MutexGuard<'_, Next<T>> {
        self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sync_all<T: SyncTask>(slot: &Slot<T>, mut report: impl FnMut(T, Result<(), DiskError>, Duration)) {
    let mut failure = None;
    loop {
        let mut next = slot.next();
        let (task, is_last) = (next.task.take(), next.is_last);
        drop(next);
        let Some(mut task) = task else {
            if is_last {
                return;
            }
            // Whoever asks after the look above leaves a token, and this returns at once.
            thread::park();
            continue;
        };
        let begin = Instant::now();
        let outcome = match &failure {
            None => task.run(),
            Some(error) => Err(DiskError::clone(error)),
        };
        failure = outcome.as_ref().err().cloned();
        report(task, outcome, begin.elapsed());
    }
}

//! The thread that does what takes long for one journal: seals its full segments, compacts them, removes the old.
//!
//! ```text
//!  journal thread --jobs--> queue --one after the other, each to its end--> it reports by itself
//! ```
//!
//! Each journal has its own. A job is one long step: it reads and writes a whole segment, or several. Were the steward
//! shared, one journal's compaction would delay another's retention, and a disk that hangs would hang them all. Cut
//! into steps, the jobs would have to keep their place in the middle of a segment, and a disk that hangs would hang
//! them all the same. A thread that sleeps costs next to nothing.
//!
//! Dropping it waits for the end of the job that is being done. What was not begun is dropped, unreported.

use std::io;
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

/// What is to be done; it reports by itself.
pub type Job = Box<dyn FnOnce() + Send>;

/// The steward's thread.
pub struct Steward {
    /// None once it is dropped.
    jobs: Option<Sender<Job>>,
    pub(super) is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Steward {
    /// Starts the thread, under this name.
    pub fn start(name: &str) -> io::Result<Steward> {
        let (jobs, queue) = channel::<Job>();
        let is_over = Arc::new(AtomicBool::new(false));
        let own = Arc::clone(&is_over);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
            for job in queue {
                if own.load(Ordering::Acquire) {
                    return;
                }
                job();
            }
        })?;
        Ok(Steward { jobs: Some(jobs), is_over, thread: Some(thread) })
    }

    /// Nothing more is begun. Dropping it says so, too; but who has several need not wait for each to hear it.
    pub fn end_soon(&self) {
        self.is_over.store(true, Ordering::Release);
    }

    /// Orders a job. The journal bounds them: it has one of each kind in the queue at any time.
    pub fn run(&self, job: Job) {
        // The thread has ended before only if a job panicked, which the drop passes on.
        let _ = self.jobs.as_ref().expect("it is there until the drop").send(job);
    }
}

impl Drop for Steward {
    fn drop(&mut self) {
        self.end_soon();
        self.jobs = None;
        let ended = self.thread.take().expect("joined once").join();
        if let Err(panicked) = ended
            && !thread::panicking()
        {
            panic::resume_unwind(panicked);
        }
    }
}

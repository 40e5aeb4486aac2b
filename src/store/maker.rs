//! The thread that makes a journal's next segments, a step at a time.
//!
//! ```text
//!  journal thread --make this file--> orders --a step, a pause, a step ...--> report
//! ```
//!
//! Pauses leave the disk to the journals' own syncs: after each step at least as much time as the step took. Somebody
//! who waits already asks for haste, and gets no pauses. Seen with 64 MiB files made one after the other beside a
//! journal that syncs all the time, on a busy machine: its syncs' p99 is 10 to 16 ms (8 to 12 ms without any, 30 to
//! 35 ms with files made in one go), and a file takes half a second (a tenth).
//!
//! Each journal has its own, which does nothing else: whoever publishes may wait for it.
//!
//! Dropping it ends what is being done at its next step; what was not done is dropped, unreported, and a file that was
//! half made is removed.

use super::file::File;
use super::medium::Medium;
use super::preparing::Preparation;
use fanwire_core::journal::disk::{Disk, DiskError};
use std::collections::VecDeque;
use std::io;
use std::panic;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A pause is no longer than this: a disk that took so long for a step is in trouble that waiting does not mend.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Told what became of a file that was asked for; called in the maker's thread.
pub type Made = Box<dyn FnOnce(Result<File, DiskError>) + Send>;

/// The maker's thread.
pub struct Maker {
    desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
}

struct Desk {
    orders: Mutex<Orders>,
    arrived: Condvar,
}

/// What is to be done. The journal bounds it: it has one file in it at any time.
#[derive(Default)]
struct Orders {
    files: VecDeque<Order>,
    is_hasty: bool,
    is_over: bool,
}

struct Order {
    medium: Medium,
    name: String,
    bytes: u64,
    made: Made,
}

impl Maker {
    /// Starts the thread, under this name.
    pub fn start(name: &str) -> io::Result<Maker> {
        let desk = Arc::new(Desk { orders: Mutex::default(), arrived: Condvar::new() });
        let own = Arc::clone(&desk);
        let thread = thread::Builder::new().name(name.to_owned()).spawn(move || work(&own))?;
        Ok(Maker { desk, thread: Some(thread) })
    }

    /// Orders a file, as [`Disk::create`] makes it, and synced. Its name is not. On a full disk the answer is
    /// [`DiskError::Full`], and it is for the journal to order again, some time later.
    pub fn make(&self, medium: Medium, name: &str, bytes: u64, made: Made) {
        let order = Order { medium, name: name.to_owned(), bytes, made };
        self.desk.orders().files.push_back(order);
        self.desk.arrived.notify_one();
    }

    /// Somebody waits for the files that were ordered.
    pub fn hasten(&self) {
        self.desk.orders().is_hasty = true;
        self.desk.arrived.notify_one();
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.desk.orders().is_over = true;
        self.desk.arrived.notify_one();
        let ended = self.thread.take().expect("joined once").join();
        if let Err(panicked) = ended
            && !thread::panicking()
        {
            panic::resume_unwind(panicked);
        }
    }
}

impl Desk {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to do now; waits for it. None: it is over.
    fn next(&self, making: Option<&Making>) -> Option<Turn> {
        let mut orders = self.orders();
        while !orders.is_over {
            if making.is_none() {
                let order = orders.files.pop_front();
                orders.is_hasty &= order.is_some();
                if let Some(order) = order {
                    return Some(Turn::Begin(order));
                }
            }
            let pause = making.map(|making| making.resume.saturating_duration_since(Instant::now()));
            if pause.is_some_and(|pause| pause.is_zero() || orders.is_hasty) {
                return Some(Turn::Fill);
            }
            orders = match pause {
                Some(pause) => self.arrived.wait_timeout(orders, pause).unwrap_or_else(PoisonError::into_inner).0,
                None => self.arrived.wait(orders).unwrap_or_else(PoisonError::into_inner),
            };
        }
        None
    }
}

/// What the maker does until it looks at its orders again.
enum Turn {
    Begin(Order),
    Fill,
}

/// A file in the making, and who is to be told.
struct Making {
    preparation: Preparation,
    made: Made,
    /// When its next step may begin.
    resume: Instant,
}

fn work(desk: &Desk) {
    let mut making = None;
    while let Some(turn) = desk.next(making.as_ref()) {
        match turn {
            Turn::Begin(order) => making = begin(order),
            Turn::Fill => making = making.and_then(fill),
        }
    }
}

fn begin(order: Order) -> Option<Making> {
    let begun = match order.medium {
        Medium::Directory(mut directory) => directory.prepare(&order.name, order.bytes),
        Medium::Memory(mut memory) => {
            (order.made)(memory.create(&order.name, order.bytes));
            return None;
        }
    };
    match begun {
        Ok(preparation) => Some(Making { preparation, made: order.made, resume: Instant::now() }),
        Err(error) => {
            (order.made)(Err(error));
            None
        }
    }
}

/// One step, and then a pause.
fn fill(mut making: Making) -> Option<Making> {
    let begin = Instant::now();
    let filled = making.preparation.step().and_then(|is_full| making.preparation.settle().map(|()| is_full));
    match filled {
        Ok(false) => {
            let end = Instant::now();
            making.resume = end + (end - begin).min(PAUSE_MAX);
            return Some(making);
        }
        Ok(true) => (making.made)(making.preparation.finish()),
        Err(error) => {
            // What was made goes before anybody is told: whoever is told may order it again.
            drop(making.preparation);
            (making.made)(Err(error));
        }
    }
    None
}

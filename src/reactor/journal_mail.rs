//! The mailboxes between reactors and the journal's threads.
//!
//! ```text
//!  reactor: JournalPost                                    journal thread: Desk
//!    submissions --------------------------------------->   reads them, orders, appends
//!    releases   <----------------------------------------   acks, records, joins
//!    history    <----------- reader thread: Counter          chunks that cursors asked for
//! ```
//!
//! They are made of the same pairs and bells as those between reactors (`mailbox`). The journal's threads have no poll:
//! they are parked, and a ring unparks them.

use super::door::Door;
use super::mailbox::{Bell, Receiver, Sender, mailbox};
use fanwire_core::{HistoryMail, Releases, Shard, Submissions};
use std::io;
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

/// Letters on their way between a reactor and the journal, each way.
const LETTERS_MAX: usize = 64;
/// Chunks of history on their way to a reactor: with those that its cursors ask for at once, what they may hold.
const CHUNKS_MAX: usize = 32;
/// Emptied letters on their way back.
const SPARES_MAX: usize = 2;

/// What a reactor submits at the end of a turn.
#[derive(Default)]
pub(super) struct Submitted {
    pub(super) submissions: Submissions,
    /// How far the sender's drain has come.
    pub(super) mark: u8,
}

/// What the journal releases at the end of a turn.
#[derive(Default)]
pub(super) struct Released {
    pub(super) releases: Releases,
    /// How far its drain has come.
    pub(super) mark: u8,
}

/// A thread that sleeps until it is rung for.
pub struct Sleeper {
    bell: Bell,
    thread: OnceLock<Thread>,
}

impl Sleeper {
    fn new() -> Arc<Sleeper> {
        Arc::new(Sleeper { bell: Bell::new(), thread: OnceLock::new() })
    }

    /// Wakes the thread if it sleeps, or is about to.
    pub fn ring(&self) {
        if self.bell.must_ring()
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// The calling thread is the one that sleeps.
    fn settle_in(&self) {
        let is_first = self.thread.set(thread::current()).is_ok();
        assert!(is_first, "one thread sleeps here");
    }

    /// Sleeps, unless the last look says that there is something to do. A token that is left over ends it early.
    fn sleep(&self, is_idle: impl FnOnce() -> bool, timeout: Option<Duration>) {
        self.bell.lie_down();
        if is_idle() {
            match timeout {
                Some(timeout) => thread::park_timeout(timeout),
                None => thread::park(),
            }
        }
        self.bell.get_up();
    }
}

/// A reactor's ends.
pub(super) struct JournalPost {
    pub(super) submissions: Sender<Submitted>,
    pub(super) releases: Receiver<Released>,
    /// Releases that a turn's budget left half read.
    pub(super) reading: Option<Released>,
    pub(super) history: Receiver<HistoryMail>,
    pub(super) journal: Arc<Sleeper>,
    pub(super) reader: Arc<Sleeper>,
    /// The mailbox has not taken the last letter.
    pub(super) is_refused: bool,
    /// Something submitted was not read yet, as far as is known.
    pub(super) is_in_transit: bool,
    /// The last mark that was posted, and the last that came.
    pub(super) marked: u8,
    pub(super) mark: u8,
}

impl JournalPost {
    /// Gives the shard what the journal has released, and what was read for its cursors, until `is_enough` says so.
    pub(super) fn read(&mut self, shard: &mut Shard, is_enough: impl Fn(&Shard) -> bool) {
        while !is_enough(shard)
            && let Some(mut letter) = self.reading.take().or_else(|| self.releases.take())
        {
            if !shard.receive_releases(&mut letter.releases) {
                self.reading = Some(letter);
                break;
            }
            self.mark = self.mark.max(letter.mark);
            letter.releases.clear();
            if self.releases.give_back(letter) {
                self.journal.ring();
            }
        }
        while !is_enough(shard)
            && let Some(mail) = self.history.take()
        {
            shard.receive_history(&mail);
            // It goes back as it is: the next read replaces what is in it.
            if self.history.give_back(mail) {
                self.reader.ring();
            }
        }
    }
}

/// The journal thread's ends.
pub struct Desk {
    sleeper: Arc<Sleeper>,
    inlets: Vec<Inlet>,
    lanes: Vec<Lane>,
    bells: Arc<[Bell]>,
    doors: Arc<[Door]>,
    mark: u8,
}

struct Inlet {
    receiver: Receiver<Submitted>,
    /// A letter that waits for a segment.
    reading: Option<Submitted>,
    mark: u8,
}

impl Inlet {
    fn has_mail(&mut self) -> bool {
        self.reading.is_none() && !self.receiver.is_empty()
    }
}

struct Lane {
    sender: Sender<Released>,
    is_refused: bool,
    marked: u8,
}

/// The reader thread's ends.
pub struct Counter {
    sleeper: Arc<Sleeper>,
    lanes: Vec<Sender<HistoryMail>>,
    bells: Arc<[Bell]>,
    doors: Arc<[Door]>,
}

/// The ends of all who have to do with a journal: each reactor's, the journal's, the reader's.
pub(super) fn open(doors: &Arc<[Door]>, bells: &Arc<[Bell]>) -> (Vec<JournalPost>, Desk, Counter) {
    let (journal, reader) = (Sleeper::new(), Sleeper::new());
    let (mut posts, mut inlets, mut lanes, mut chunks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..doors.len() {
        let (submissions, inlet) = mailbox(LETTERS_MAX, SPARES_MAX);
        let (lane, releases) = mailbox(LETTERS_MAX, SPARES_MAX);
        let (chunk, history) = mailbox(CHUNKS_MAX, SPARES_MAX);
        inlets.push(Inlet { receiver: inlet, reading: None, mark: 0 });
        lanes.push(Lane { sender: lane, is_refused: false, marked: 0 });
        chunks.push(chunk);
        posts.push(JournalPost {
            submissions,
            releases,
            reading: None,
            history,
            journal: Arc::clone(&journal),
            reader: Arc::clone(&reader),
            is_refused: false,
            is_in_transit: false,
            marked: 0,
            mark: 0,
        });
    }
    let (bells, doors) = (Arc::clone(bells), Arc::clone(doors));
    let counter = Counter { sleeper: reader, lanes: chunks, bells: Arc::clone(&bells), doors: Arc::clone(&doors) };
    (posts, Desk { sleeper: journal, inlets, lanes, bells, doors, mark: 0 }, counter)
}

fn ring(bells: &[Bell], doors: &[Door], reactor: usize) -> io::Result<()> {
    if bells[reactor].must_ring() { doors[reactor].wake() } else { Ok(()) }
}

impl Desk {
    /// What wakes the journal thread.
    pub fn sleeper(&self) -> Arc<Sleeper> {
        Arc::clone(&self.sleeper)
    }

    /// The calling thread is the journal's.
    pub fn settle_in(&self) {
        self.sleeper.settle_in();
    }

    /// How many reactors there are.
    pub fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Hands over the letters that came, one of each reactor at a time, up to `letters_max` of each. `handle` returns
    /// false if it can't go on with one for now: that comes again, and nothing else of that reactor before it.
    pub fn read(
        &mut self,
        letters_max: usize,
        mut handle: impl FnMut(usize, &mut Submissions) -> bool,
    ) -> io::Result<()> {
        for _ in 0..letters_max {
            let mut is_idle = true;
            for from in 0..self.inlets.len() {
                let inlet = &mut self.inlets[from];
                let Some(mut letter) = inlet.reading.take().or_else(|| inlet.receiver.take()) else { continue };
                if !handle(from, &mut letter.submissions) {
                    inlet.reading = Some(letter);
                    continue;
                }
                is_idle = false;
                inlet.mark = inlet.mark.max(letter.mark);
                letter.submissions.clear();
                if inlet.receiver.give_back(letter) {
                    ring(&self.bells, &self.doors, from)?;
                }
            }
            if is_idle {
                break;
            }
        }
        Ok(())
    }

    /// Posts what there is for a reactor, if its mailbox takes it; an emptied envelope is in its place then. Returns
    /// the bytes that are on their way there.
    pub fn post(&mut self, to: usize, releases: &mut Releases) -> io::Result<u64> {
        let lane = &mut self.lanes[to];
        if !releases.is_empty() || lane.marked != self.mark {
            let mut letter = Released { releases: std::mem::take(releases), mark: self.mark };
            let bytes = letter.releases.bytes() as u64;
            lane.is_refused = !lane.sender.post(&mut letter, bytes);
            *releases = letter.releases;
            if !lane.is_refused {
                lane.marked = self.mark;
                ring(&self.bells, &self.doors, to)?;
            }
        }
        Ok(self.lanes[to].sender.bytes_in_transit())
    }

    /// Whether there is mail that can be read now.
    pub fn has_mail(&mut self) -> bool {
        self.inlets.iter_mut().any(Inlet::has_mail)
    }

    /// Sleeps until somebody rings, unless there is mail, or room for mail that was refused; `is_idle` is the caller's
    /// own last look.
    pub fn sleep(&mut self, is_idle: impl FnOnce() -> bool, timeout: Option<Duration>) {
        let Desk { sleeper, inlets, lanes, .. } = self;
        let look = || {
            let is_quiet = !inlets.iter_mut().any(Inlet::has_mail);
            let is_stuck = |lane: &mut Lane| !lane.is_refused || lane.sender.want_room();
            // Every lane is asked: each has to know that it is waited for.
            let are_stuck = lanes.iter_mut().fold(true, |all, lane| is_stuck(lane) & all);
            is_quiet && are_stuck && is_idle()
        };
        sleeper.sleep(look, timeout);
    }

    /// Whether all reactors have hushed, and nothing of theirs is left unread.
    pub fn have_all_hushed(&mut self) -> bool {
        self.inlets.iter_mut().all(|inlet| inlet.mark > 0 && inlet.reading.is_none() && inlet.receiver.is_empty())
    }

    /// Says to all reactors that nothing comes any more.
    pub fn set_last_mark(&mut self) {
        self.mark = u8::MAX;
    }
}

impl Counter {
    /// What wakes the reader thread.
    pub fn sleeper(&self) -> Arc<Sleeper> {
        Arc::clone(&self.sleeper)
    }

    /// The calling thread is the reader's.
    pub fn settle_in(&self) {
        self.sleeper.settle_in();
    }

    /// How many reactors there are.
    pub fn count(&self) -> usize {
        self.lanes.len()
    }

    /// Posts a chunk of history, and leaves an emptied one in its place; false if there is no room.
    pub fn post(&mut self, to: usize, mail: &mut HistoryMail) -> io::Result<bool> {
        let bytes = mail.history.bytes_held() as u64;
        let is_posted = self.lanes[to].post(mail, bytes);
        if is_posted {
            ring(&self.bells, &self.doors, to)?;
        }
        Ok(is_posted)
    }

    /// Sleeps until somebody rings, unless `is_idle` says otherwise, or there is room at one of the reactors that are
    /// `awaited`.
    pub fn sleep(&mut self, awaited: impl Fn(usize) -> bool, is_idle: impl FnOnce() -> bool) {
        let Counter { sleeper, lanes, .. } = self;
        let look = || {
            let are_stuck = lanes
                .iter_mut()
                .enumerate()
                .fold(true, |all, (reactor, lane)| (!awaited(reactor) || lane.want_room()) & all);
            are_stuck && is_idle()
        };
        sleeper.sleep(look, None);
    }
}

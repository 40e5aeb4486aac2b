//! The post: mail that the shard has for other reactors and the journal goes into their mailboxes, and what came in
//! goes to the shard.
//!
//! ```text
//!  this shard --mail_to--> envelope --Sender--> | mailbox | --Receiver--> receive_mail --> another shard
//!                 ^  full: it stays, and grows  `---------'      |
//!                 `---- emptied envelopes come back -------------'    the sleeper is woken once, who is awake never
//! ```
//!
//! A turn's mail for one reactor is one letter, and at most one wake. What a mailbox does not take stays with the shard
//! and goes along with the next turn's, so order holds and nothing is lost. Connections whose next command would add to
//! a full mailbox are postponed: they are not read until the shard says that there is room.
//!
//! Letters carry marks when the broker drains (`drain`); a mark counts once everything in front of it is handled.
//!
//! Invariant: a reactor sleeps only after it has lain down and then seen every mailbox empty, and nothing of its own
//! waiting for room that has come meanwhile.

use super::Reactor;
use super::connection::Work;
use super::door::Door;
use super::journal_mail::{JournalPost, Submitted};
use super::mailbox::{Bell, Receiver, Sender, mailbox};
use fanwire_core::{Envelope, SHARDS_MAX, Shard};
use std::io;
use std::sync::Arc;

/// Letters on their way from one reactor to another. What they weigh is bounded by the shard.
const LETTERS_MAX: usize = 64;
/// Emptied letters on their way back.
const SPARES_MAX: usize = 1;
/// The least share of one mailbox, in bytes: with less than a turn's work, reactors would wait for each other.
const MAILBOX_BYTES_MIN: u64 = 256 * 1024;
/// The largest: what waits there is late, and publishers should wait instead.
const MAILBOX_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Letters that are read in one turn; their contents are bounded by the turn's budget besides.
const LETTERS_PER_TURN_MAX: usize = 256;

/// What goes from one reactor to another at the end of a turn.
#[derive(Default)]
struct Letter {
    envelope: Envelope,
    /// How far the sender's drain has come.
    mark: u8,
}

/// One reactor's ends of all mailboxes that it has to do with.
pub(super) struct Post {
    own: usize,
    bells: Arc<[Bell]>,
    doors: Arc<[Door]>,
    /// By destination; none for itself.
    lanes: Vec<Option<Lane>>,
    /// By source; none for itself.
    inlets: Vec<Option<Inlet>>,
    /// Where reading goes on: everybody comes first in turn.
    next: usize,
    /// How far the own drain has come.
    mark: u8,
    is_lying: bool,
    /// Its ends towards the journal, if the broker keeps any.
    journal: Option<JournalPost>,
}

struct Lane {
    sender: Sender<Letter>,
    /// The last mark that was posted.
    marked: u8,
    /// The mailbox has not taken the last letter.
    is_refused: bool,
    /// Something posted was not read yet, as far as is known.
    is_in_transit: bool,
}

struct Inlet {
    receiver: Receiver<Letter>,
    /// A letter that a turn's budget left half read.
    reading: Option<Letter>,
    /// The last mark that came.
    mark: u8,
}

impl Post {
    /// The bells of all reactors, by number.
    pub(super) fn bells(count: usize) -> Arc<[Bell]> {
        (0..count).map(|_| Bell::new()).collect()
    }

    /// The posts of all reactors, by number.
    pub(super) fn row(doors: &Arc<[Door]>, bells: &Arc<[Bell]>) -> Vec<Post> {
        let count = doors.len();
        assert!(count <= SHARDS_MAX, "the configuration allows no more reactors than shards can name");
        let mut posts: Vec<Post> = (0..count)
            .map(|own| Post {
                own,
                bells: Arc::clone(bells),
                doors: Arc::clone(doors),
                lanes: (0..count).map(|_| None).collect(),
                inlets: (0..count).map(|_| None).collect(),
                next: 0,
                mark: 0,
                is_lying: false,
                journal: None,
            })
            .collect();
        for from in 0..count {
            for to in (0..count).filter(|to| *to != from) {
                let (sender, receiver) = mailbox(LETTERS_MAX, SPARES_MAX);
                posts[from].lanes[to] = Some(Lane { sender, marked: 0, is_refused: false, is_in_transit: false });
                posts[to].inlets[from] = Some(Inlet { receiver, reading: None, mark: 0 });
            }
        }
        posts
    }

    /// Gives the post its ends towards the journal.
    pub(super) fn connect(&mut self, journal: JournalPost) {
        self.journal = Some(journal);
    }

    /// Tells the shard what of its mail has been read, so that who waits for room goes on.
    pub(super) fn note_transit(&mut self, shard: &mut Shard) {
        for (to, lane) in self.lanes.iter_mut().enumerate() {
            let Some(lane) = lane.as_mut().filter(|lane| lane.is_in_transit) else { continue };
            let bytes = lane.sender.bytes_in_transit();
            lane.is_in_transit = bytes > 0;
            shard.note_transit(to, bytes);
        }
        if let Some(journal) = self.journal.as_mut().filter(|journal| journal.is_in_transit) {
            let bytes = journal.submissions.bytes_in_transit();
            journal.is_in_transit = bytes > 0;
            shard.note_journal_transit(bytes);
        }
    }

    /// Gives the shard the letters that came in, a share of each sender's, until `is_enough` says so.
    fn read(&mut self, shard: &mut Shard, is_enough: impl Fn(&Shard) -> bool) -> io::Result<()> {
        if let Some(journal) = &mut self.journal {
            journal.read(shard, &is_enough);
        }
        let mut idle_count = 0;
        for _ in 0..LETTERS_PER_TURN_MAX {
            if idle_count == self.inlets.len() || is_enough(shard) {
                return Ok(());
            }
            let from = self.next;
            self.next = (self.next + 1) % self.inlets.len();
            if self.read_one(from, shard)? {
                idle_count = 0;
            } else {
                idle_count += 1;
            }
        }
        Ok(())
    }

    /// Returns whether there was anything.
    fn read_one(&mut self, from: usize, shard: &mut Shard) -> io::Result<bool> {
        let Some(inlet) = &mut self.inlets[from] else {
            return Ok(false);
        };
        let Some(mut letter) = inlet.reading.take().or_else(|| inlet.receiver.take()) else {
            return Ok(false);
        };
        if !shard.receive_mail(from, &mut letter.envelope) {
            inlet.reading = Some(letter);
            return Ok(true);
        }
        inlet.mark = inlet.mark.max(letter.mark);
        letter.envelope.clear();
        if inlet.receiver.give_back(letter) {
            self.ring(from)?;
        }
        Ok(true)
    }

    /// Puts what the shard has gathered into the mailboxes, as far as they take it.
    fn send(&mut self, shard: &mut Shard) -> io::Result<()> {
        for to in 0..self.lanes.len() {
            let Some(lane) = &mut self.lanes[to] else { continue };
            if !shard.has_mail(to) && lane.marked == self.mark {
                continue;
            }
            let mut letter = Letter { envelope: std::mem::take(shard.mail_to(to)), mark: self.mark };
            let bytes = letter.envelope.bytes() as u64;
            lane.is_refused = !lane.sender.post(&mut letter, bytes);
            // Either what was refused, or an emptied one.
            *shard.mail_to(to) = letter.envelope;
            shard.note_transit(to, lane.sender.bytes_in_transit());
            lane.is_in_transit = true;
            if !lane.is_refused {
                lane.marked = self.mark;
                self.ring(to)?;
            }
        }
        Ok(())
    }

    /// The same for the journal.
    fn submit(&mut self, shard: &mut Shard) {
        let Post { journal: Some(journal), mark, .. } = self else { return };
        if !shard.has_submissions() && journal.marked == *mark {
            return;
        }
        let mut letter = Submitted { submissions: std::mem::take(shard.submissions()), mark: *mark };
        let bytes = letter.submissions.bytes() as u64;
        journal.is_refused = !journal.submissions.post(&mut letter, bytes);
        *shard.submissions() = letter.submissions;
        shard.note_journal_transit(journal.submissions.bytes_in_transit());
        journal.is_in_transit = true;
        if !journal.is_refused {
            journal.marked = *mark;
            journal.journal.ring();
        }
    }

    fn ring(&self, reactor: usize) -> io::Result<()> {
        if self.bells[reactor].must_ring() { self.doors[reactor].wake() } else { Ok(()) }
    }

    /// Whether there is mail that could be posted, or was left half read.
    pub(super) fn has_work_left(&self, shard: &Shard) -> bool {
        let is_reading = self.inlets.iter().flatten().any(|inlet| inlet.reading.is_some());
        let is_postable = |(to, lane): (usize, &Option<Lane>)| {
            lane.as_ref().is_some_and(|lane| !lane.is_refused && (shard.has_mail(to) || lane.marked != self.mark))
        };
        let has_journal_work = self.journal.as_ref().is_some_and(|journal| {
            journal.reading.is_some()
                || (!journal.is_refused && (shard.has_submissions() || journal.marked != self.mark))
        });
        is_reading || has_journal_work || self.lanes.iter().enumerate().any(is_postable)
    }

    /// Before the poll: says that others have to ring from here on. Returns whether there is no work to sleep over.
    pub(super) fn lie_down(&mut self, shard: &Shard) -> bool {
        if self.lanes.len() == 1 && self.journal.is_none() {
            return true;
        }
        self.bells[self.own].lie_down();
        self.is_lying = true;
        let awaited = shard.awaited_lanes();
        let mut is_idle = self.inlets.iter_mut().flatten().all(|inlet| inlet.receiver.is_empty());
        for (to, lane) in self.lanes.iter_mut().enumerate() {
            let Some(lane) = lane else { continue };
            if lane.is_refused || awaited & (1 << to) != 0 {
                is_idle &= lane.sender.want_room();
            }
        }
        if let Some(journal) = &mut self.journal {
            is_idle &= journal.releases.is_empty() && journal.history.is_empty();
            if journal.is_refused || shard.awaits_journal() {
                is_idle &= journal.submissions.want_room();
            }
        }
        if !is_idle {
            // Nobody has to ring for one who only glances at its poll.
            self.get_up();
        }
        is_idle
    }

    /// After the poll, or instead of sleeping.
    pub(super) fn get_up(&mut self) {
        if std::mem::take(&mut self.is_lying) {
            self.bells[self.own].get_up();
        }
    }

    /// Says in every letter from here on how far the own drain has come.
    pub(super) fn set_mark(&mut self, mark: u8) {
        self.mark = mark;
    }

    /// How far all others' drains have come at least.
    pub(super) fn least_mark(&self) -> u8 {
        let marks = self.inlets.iter().flatten().map(|inlet| inlet.mark);
        marks.chain(self.journal.as_ref().map(|journal| journal.mark)).min().unwrap_or(u8::MAX)
    }

    /// Whether everybody's mail has this mark: the others' came here, and the own was posted.
    pub(super) fn have_all_marked(&self, mark: u8) -> bool {
        let is_told = self.journal.as_ref().is_none_or(|journal| journal.marked >= mark);
        self.least_mark() >= mark && is_told && self.lanes.iter().flatten().all(|lane| lane.marked >= mark)
    }

    /// Gives back the memory of letters that wait to be used again.
    pub(super) fn forget_spares(&mut self) {
        self.lanes.iter_mut().flatten().for_each(|lane| lane.sender.forget_spares());
    }
}

/// Each mailbox's share of the bytes that may be on their way between all reactors together.
pub(super) fn mailbox_bytes_max(total_bytes: u64, reactors: usize) -> u64 {
    let pairs = (reactors * (reactors - 1)).max(1) as u64;
    (total_bytes / pairs).clamp(MAILBOX_BYTES_MIN, MAILBOX_BYTES_MAX)
}

impl Reactor {
    /// Mail and sockets share a turn: who comes first changes, and stops at half of the budget, so that neither waits
    /// for more than a turn, though one thing alone may cost all of it.
    pub(super) fn take_input(&mut self) -> io::Result<()> {
        self.is_mails_turn = !self.is_mails_turn;
        if self.is_mails_turn {
            self.post.read(&mut self.shard, Shard::is_half_spent)?;
            self.serve_ready(Shard::wants_flush);
        } else {
            self.serve_ready(Shard::is_half_spent);
            self.post.read(&mut self.shard, Shard::wants_flush)?;
        }
        Ok(())
    }

    /// What was gathered for others is on its way before the first acknowledgement is flushed.
    pub(super) fn send_mail(&mut self) -> io::Result<()> {
        self.post.submit(&mut self.shard);
        self.post.send(&mut self.shard)
    }

    /// Connections whose postponed command can be said again are read again.
    pub(super) fn resume_postponed(&mut self) {
        self.post.note_transit(&mut self.shard);
        if !self.shard.has_resumed() {
            return;
        }
        let mut sessions = std::mem::take(&mut self.buffers.sessions);
        self.shard.take_resumed(&mut sessions);
        for session in sessions.drain(..) {
            let Some(index) = self.owner_of(session) else { continue };
            if self.connections[index].is_postponed() {
                self.connections[index].work = Work::Left;
                self.make_ready(index);
            }
        }
        self.buffers.sessions = sessions;
    }
}

//! The reader thread: cold pages stall it, and nobody else.
//!
//! ```text
//!  clerk --requests--> queue --> Reader::open, read --> mailbox of the cursor's reactor
//!                        ^  no room there: the reactor's requests wait, others' go on
//! ```
//!
//! A request is answered in pieces. While a reactor's mailbox is full, its requests wait unread, so that what was
//! read and not taken is bounded; each cursor has one request at most, so those are bounded, too. The end of a cursor
//! waits for nobody: what it has asked for, or what is left of it, goes at once.

use crate::reactor::{Counter, Sleeper};
use crate::store::{File, Medium};
use fanwire_core::HistoryMail;
use fanwire_core::journal::catalog::{SharedCatalog, Tail, TopicEnd};
use fanwire_core::journal::history::{History, Reached, ReadEnd};
use fanwire_core::journal::keeper::ReadRequest;
use fanwire_core::journal::plan::JournalId;
use fanwire_core::journal::reader::{CursorId, OpenRequest, ReadOutcome, Reader};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};

/// An answer is posted in pieces of about so many bytes, so that one is read while another is sent.
const PIECE_BYTES_MAX: usize = 128 * 1024;

/// How the clerk asks.
pub struct Requests {
    /// None once it is dropped.
    sender: Option<Sender<ReadRequest<Medium>>>,
    sleeper: Arc<Sleeper>,
}

impl Drop for Requests {
    /// The reader has to see that nobody asks any more, and may be asleep.
    fn drop(&mut self) {
        self.sender = None;
        self.sleeper.ring();
    }
}

impl Requests {
    pub(super) fn send_all(&self, requests: &mut Vec<ReadRequest<Medium>>) {
        if requests.is_empty() {
            return;
        }
        let sender = self.sender.as_ref().expect("it is there until the drop");
        for request in requests.drain(..) {
            // The reader ends after the clerk, unless the process is about to end anyway.
            let _ = sender.send(request);
        }
        self.sleeper.ring();
    }
}

/// A request that is answered with history.
struct Asked {
    journal: JournalId,
    cursor: CursorId,
    /// Where the cursor begins, until it has.
    opening: Option<OpenRequest<File>>,
    catalog: SharedCatalog<File>,
    tail: Tail,
    topic: Option<TopicEnd>,
    bytes_max: usize,
}

/// The reader thread, ready to run.
pub struct Reading {
    /// By journal.
    readers: Vec<Reader<Medium>>,
    requests: Receiver<ReadRequest<Medium>>,
    counter: Counter,
    /// By reactor: what waits until there is room.
    waiting: Vec<VecDeque<Asked>>,
    /// Cursors that are over, and whose requests may still wait.
    closed: HashSet<CursorId>,
    /// What was read and not taken, by reactor.
    unsent: Vec<Option<HistoryMail>>,
    spare: HistoryMail,
}

impl Reading {
    /// A reader of journals on these media, by their numbers, and how it is asked.
    pub fn new(media: Vec<Medium>, counter: Counter) -> (Reading, Requests) {
        let (sender, requests) = channel();
        let sleeper = counter.sleeper();
        let reactors = counter.count();
        let reading = Reading {
            readers: media.into_iter().map(Reader::new).collect(),
            requests,
            counter,
            waiting: (0..reactors).map(|_| VecDeque::new()).collect(),
            closed: HashSet::new(),
            unsent: (0..reactors).map(|_| None).collect(),
            spare: HistoryMail::default(),
        };
        (reading, Requests { sender: Some(sender), sleeper })
    }

    /// Reads until nobody is left to ask.
    pub fn run(mut self) -> io::Result<()> {
        self.counter.settle_in();
        loop {
            let is_over = self.take_requests();
            let was_busy = self.serve()?;
            if is_over {
                return Ok(());
            }
            if !was_busy {
                self.rest();
            }
        }
    }

    /// Sorts what came by reactor. Returns whether nothing comes any more.
    fn take_requests(&mut self) -> bool {
        let end = loop {
            match self.requests.try_recv() {
                Ok(request) => self.sort(request),
                Err(end) => break end,
            }
        };
        self.forget_closed();
        end == TryRecvError::Disconnected
    }

    fn sort(&mut self, request: ReadRequest<Medium>) {
        let asked = match request {
            ReadRequest::Open { journal, cursor, request, bytes_max } => {
                let (catalog, tail, topic) = (request.catalog.clone(), request.tail, request.topic);
                Asked { journal, cursor, opening: Some(request), catalog, tail, topic, bytes_max }
            }
            ReadRequest::Read { journal, cursor, catalog, tail, topic, bytes_max } => {
                Asked { journal, cursor, opening: None, catalog, tail, topic, bytes_max }
            }
            ReadRequest::Close { journal, cursor } => return self.close(journal, cursor),
        };
        self.waiting[usize::from(asked.cursor.shard)].push_back(asked);
    }

    fn close(&mut self, journal: JournalId, cursor: CursorId) {
        self.closed.insert(cursor);
        self.readers[usize::from(journal.0)].close(cursor);
    }

    /// What cursors that are over have asked for is not read any more: it would be in everybody's way. All are looked
    /// for at once: a reactor that ends may close many, and many may wait.
    fn forget_closed(&mut self) {
        if self.closed.is_empty() {
            return;
        }
        for waiting in &mut self.waiting {
            waiting.retain(|asked| !self.closed.contains(&asked.cursor));
        }
        self.closed.clear();
    }

    /// One piece of an answer for each reactor that takes it. Returns whether there was any.
    fn serve(&mut self) -> io::Result<bool> {
        let mut was_busy = false;
        for reactor in 0..self.waiting.len() {
            if let Some(mut mail) = self.unsent[reactor].take()
                && !self.counter.post(reactor, &mut mail)?
            {
                self.unsent[reactor] = Some(mail);
                continue;
            }
            let Some(asked) = self.waiting[reactor].pop_front() else { continue };
            was_busy = true;
            let mut mail = std::mem::take(&mut self.spare);
            self.answer(asked, &mut mail);
            if !self.counter.post(reactor, &mut mail)? {
                self.unsent[reactor] = Some(mail);
            } else {
                self.spare = mail;
            }
        }
        Ok(was_busy)
    }

    /// Reads the next piece of what is asked for; what is left of it goes back to the front.
    fn answer(&mut self, mut asked: Asked, mail: &mut HistoryMail) {
        let reader = &mut self.readers[usize::from(asked.journal.0)];
        mail.cursor = fanwire_core::CursorId::of_reader(asked.cursor);
        mail.opened = asked.opening.take().map(|request| reader.open(asked.cursor, &request).outcome);
        if asked.bytes_max == 0 {
            mail.history.clear();
            mail.end = ReadEnd::More;
            return;
        }
        let piece_bytes = asked.bytes_max.min(PIECE_BYTES_MAX);
        let Asked { cursor, ref catalog, tail, topic, .. } = asked;
        let outcome = reader.read(cursor, catalog, tail, topic, piece_bytes, &mut mail.history);
        asked.bytes_max -= piece_bytes;
        if outcome == ReadOutcome::More && asked.bytes_max > 0 {
            mail.end = ReadEnd::Going;
            self.waiting[usize::from(cursor.shard)].push_front(asked);
        } else {
            mail.end = end_of(outcome, &mut mail.history);
        }
    }

    fn rest(&mut self) {
        let Reading { counter, requests, unsent, .. } = self;
        let mut arrived = Err(TryRecvError::Empty);
        let awaited = |reactor: usize| unsent[reactor].is_some();
        counter.sleep(awaited, || {
            arrived = requests.try_recv();
            arrived.as_ref().err() == Some(&TryRecvError::Empty)
        });
        if let Ok(request) = arrived {
            self.sort(request);
        }
    }
}

fn end_of(outcome: ReadOutcome, history: &mut History) -> ReadEnd {
    match outcome {
        ReadOutcome::More => ReadEnd::More,
        ReadOutcome::AtTail { place, position, sequence } => ReadEnd::Tail(Reached { place, position, sequence }),
        ReadOutcome::Overtaken => ReadEnd::Overtaken,
        ReadOutcome::Failed(what) => {
            history.clear();
            tracing::error!(what, "a journal's history can't be read");
            ReadEnd::Failed(what)
        }
    }
}

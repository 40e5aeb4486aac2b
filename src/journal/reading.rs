//! The reader thread: cold pages stall it, and nobody else.
//!
//! ```text
//!  clerk --requests--> queue --> Reader::open, read --> mailbox of the cursor's reactor
//!                        ^  no room there: the reactor's requests wait, others' go on
//! ```
//!
//! A request is answered in pieces. While a reactor's mailbox is full, its requests wait unread, so that what was
//! read and not taken is bounded; each cursor has one request at most, so those are bounded, too.

use crate::reactor::{Counter, Sleeper};
use crate::store::Medium;
use fanwire_core::HistoryMail;
use fanwire_core::journal::history::{History, Reached, ReadEnd};
use fanwire_core::journal::keeper::ReadRequest;
use fanwire_core::journal::reader::{CursorId, ReadOutcome, Reader};
use std::collections::VecDeque;
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

/// The reader thread, ready to run.
pub struct Reading {
    /// By journal.
    readers: Vec<Reader<Medium>>,
    requests: Receiver<ReadRequest<Medium>>,
    counter: Counter,
    /// By reactor: what waits until there is room.
    waiting: Vec<VecDeque<ReadRequest<Medium>>>,
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
        loop {
            match self.requests.try_recv() {
                Ok(request) => self.sort(request),
                Err(TryRecvError::Empty) => return false,
                Err(TryRecvError::Disconnected) => return true,
            }
        }
    }

    /// What a cursor that is over has asked for is not read any more: it would be in everybody's way.
    fn sort(&mut self, request: ReadRequest<Medium>) {
        let cursor = cursor_of(&request);
        let waiting = &mut self.waiting[usize::from(cursor.shard)];
        if matches!(request, ReadRequest::Close { .. }) {
            waiting.retain(|other| cursor_of(other) != cursor);
        }
        waiting.push_back(request);
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
            let Some(request) = self.waiting[reactor].pop_front() else { continue };
            was_busy = true;
            let mut mail = std::mem::take(&mut self.spare);
            let is_mail = self.answer(request, &mut mail);
            if is_mail && !self.counter.post(reactor, &mut mail)? {
                self.unsent[reactor] = Some(mail);
            } else {
                self.spare = mail;
            }
        }
        Ok(was_busy)
    }

    /// Reads the next piece of what is asked for; what is left of it goes back to the front. Returns whether there is
    /// something to be posted.
    fn answer(&mut self, request: ReadRequest<Medium>, mail: &mut HistoryMail) -> bool {
        let id = cursor_of(&request);
        mail.opened = None;
        mail.cursor = fanwire_core::CursorId::of_reader(id);
        let (journal, catalog, tail, topic, bytes_max) = match request {
            ReadRequest::Open { journal, cursor, request, bytes_max } => {
                let reader = &mut self.readers[usize::from(journal.0)];
                mail.opened = Some(reader.open(cursor, &request).outcome);
                (journal, request.catalog, request.tail, request.topic, bytes_max)
            }
            ReadRequest::Read { journal, catalog, tail, topic, bytes_max, .. } => {
                (journal, catalog, tail, topic, bytes_max)
            }
            ReadRequest::Close { journal, cursor } => {
                self.readers[usize::from(journal.0)].close(cursor);
                return false;
            }
        };
        if bytes_max == 0 {
            mail.history.clear();
            mail.end = ReadEnd::More;
            return true;
        }
        let piece_bytes = bytes_max.min(PIECE_BYTES_MAX);
        let reader = &mut self.readers[usize::from(journal.0)];
        let outcome = reader.read(id, &catalog, tail, topic, piece_bytes, &mut mail.history);
        let bytes_left = bytes_max - piece_bytes;
        if outcome == ReadOutcome::More && bytes_left > 0 {
            mail.end = ReadEnd::Going;
            let rest = ReadRequest::Read { journal, cursor: id, catalog, tail, topic, bytes_max: bytes_left };
            self.waiting[usize::from(id.shard)].push_front(rest);
        } else {
            mail.end = end_of(outcome, &mut mail.history);
        }
        true
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

fn cursor_of(request: &ReadRequest<Medium>) -> CursorId {
    match request {
        ReadRequest::Open { cursor, .. } | ReadRequest::Read { cursor, .. } | ReadRequest::Close { cursor, .. } => {
            *cursor
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

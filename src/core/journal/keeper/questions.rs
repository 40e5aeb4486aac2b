//! What cursors ask the reader: it is put to it when the turn's batches are written, so that a journal's tail and what
//! is said of its topics are those of one moment.

use super::{Keeper, ReadRequest};
use crate::journal::disk::Disk;
use crate::journal::plan::{self, JournalId};
use crate::journal::reader::{CursorId, OpenRequest};
use fanwire_wire::frame::Start;
use foldhash::quality::FixedState;
use hashbrown::HashSet;
use std::sync::Arc;

/// A question of a shard.
pub(super) enum Question {
    Open { cursor: CursorId, journal: JournalId, start: Start, bytes_max: u32, filter: Box<str> },
    Read { cursor: CursorId, journal: JournalId, bytes_max: u32, filter: Box<str> },
    Close { cursor: CursorId, journal: JournalId },
}

/// Lists of topics that are in use at one time.
const LISTS_MAX: usize = 16;

impl Question {
    const fn cursor(&self) -> CursorId {
        match self {
            Question::Open { cursor, .. } | Question::Read { cursor, .. } | Question::Close { cursor, .. } => *cursor,
        }
    }

    /// Whether its answer begins with a look at all topics: the newest record of each that a wildcard matches.
    fn lists_topics(&self) -> bool {
        matches!(self, Question::Open { start: Start::LastValue, filter, .. } if !crate::filters::is_exact(filter))
    }
}

impl<D: Disk> Keeper<D> {
    /// Puts the turn's questions to the reader. Everything that was admitted is written or refused.
    pub(super) fn put_questions(&mut self) {
        let questions = std::mem::take(&mut self.questions);
        let closed = self.forget_closed(&questions);
        let mut has_listed = self.put_delayed();
        for question in questions {
            if question.lists_topics() {
                if closed.contains(&question.cursor()) {
                    continue;
                }
                // Those that waited before come first.
                if has_listed || self.has_delayed() || !self.may_list() {
                    self.delayed.push_back(question);
                    continue;
                }
                has_listed = true;
            }
            self.put(question);
        }
    }

    /// Cursors that end this turn, whose lists are not made any more. All are looked for at once: many may wait, and
    /// many may end.
    fn forget_closed(&mut self, questions: &[Question]) -> HashSet<CursorId, FixedState> {
        let closes = questions.iter().filter(|question| matches!(question, Question::Close { .. }));
        let closed: HashSet<CursorId, FixedState> = closes.map(Question::cursor).collect();
        if !closed.is_empty() {
            self.delayed.retain(|delayed| !closed.contains(&delayed.cursor()));
        }
        closed
    }

    /// Puts the question that has waited longest, if its list may be made. Returns whether it was.
    fn put_delayed(&mut self) -> bool {
        if self.delayed.is_empty() || !self.may_list() {
            return false;
        }
        let longest = self.delayed.pop_front().expect("there is one");
        self.put(longest);
        true
    }

    fn put(&mut self, question: Question) {
        let request = match question {
            Question::Open { cursor, journal, start, bytes_max, filter } => {
                let request = self.open_request(journal, start, &filter);
                ReadRequest::Open { journal, cursor, request, bytes_max: bytes_max as usize }
            }
            Question::Read { cursor, journal, bytes_max, filter } => {
                let kept = &self.logs[usize::from(journal.0)];
                let topic = if crate::filters::is_exact(&filter) { kept.topic_end(&filter) } else { None };
                let (catalog, tail) = (kept.visible_catalog(), kept.released);
                ReadRequest::Read { journal, cursor, catalog, tail, topic, bytes_max: bytes_max as usize }
            }
            Question::Close { cursor, journal } => ReadRequest::Close { journal, cursor },
        };
        self.reads.push(request);
    }

    /// Whether some question waits until others of its kind are answered.
    pub fn has_delayed(&self) -> bool {
        !self.delayed.is_empty()
    }

    /// Whether another list of topics may be made. Each costs this thread a walk over all of them, and memory as long
    /// as its cursor needs it: whoever asks for many has them one after the other.
    fn may_list(&mut self) -> bool {
        self.lists.retain(|list| list.strong_count() > 0);
        self.lists.len() < LISTS_MAX
    }

    fn open_request(&mut self, journal: JournalId, start: Start, filter: &str) -> OpenRequest<D::File> {
        let kept = &self.logs[usize::from(journal.0)];
        let is_exact = crate::filters::is_exact(filter);
        let topics = if start == Start::LastValue && !is_exact {
            let matching = kept.log.topics().filter(|(name, _)| plan::matches(filter, name));
            matching.filter_map(|(name, _)| Some((name.to_owned(), kept.topic_end(name)?))).collect()
        } else {
            Vec::new()
        };
        let topics = Arc::new(topics);
        if !topics.is_empty() {
            self.lists.push(Arc::downgrade(&topics));
        }
        OpenRequest {
            catalog: kept.visible_catalog(),
            tail: kept.released,
            epoch: kept.log.epoch(),
            filter: filter.to_owned(),
            start,
            topic: if is_exact { kept.topic_end(filter) } else { None },
            topics,
        }
    }
}

//! What cursors ask the reader: it is put to it when the turn's batches are written, so that a journal's tail and what
//! is said of its topics are those of one moment.

use super::{Keeper, ReadRequest};
use crate::journal::disk::Disk;
use crate::journal::plan::{self, JournalId};
use crate::journal::reader::{CursorId, OpenRequest};
use fanwire_wire::frame::Start;

/// A question of a shard.
pub(super) enum Question {
    Open { cursor: CursorId, journal: JournalId, start: Start, bytes_max: u32, filter: Box<str> },
    Read { cursor: CursorId, journal: JournalId, bytes_max: u32, filter: Box<str> },
    Close { cursor: CursorId, journal: JournalId },
}

impl<D: Disk> Keeper<D> {
    /// Puts the turn's questions to the reader. Everything that was admitted is written or refused.
    pub(super) fn put_questions(&mut self) {
        for question in std::mem::take(&mut self.questions) {
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
    }

    fn open_request(&self, journal: JournalId, start: Start, filter: &str) -> OpenRequest<D::File> {
        let kept = &self.logs[usize::from(journal.0)];
        let is_exact = crate::filters::is_exact(filter);
        let topics = if start == Start::LastValue && !is_exact {
            let matching = kept.log.topics().filter(|(name, _)| plan::matches(filter, name));
            matching.filter_map(|(name, _)| Some((name.to_owned(), kept.topic_end(name)?))).collect()
        } else {
            Vec::new()
        };
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

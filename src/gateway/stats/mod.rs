//! What the broker counts, as whoever asks over HTTP is told it.
//!
//! ```text
//!  reactor ---- its own counts, once a turn -----> Board \
//!  reactor ---- its busiest topics, if asked ----> Board  \
//!  acceptor --- each connection -------------------------> Stats --> exposition   /metrics
//!  journal thread --- each journal, once a turn -> Board  /     `--> report       /v1/stats
//! ```
//!
//! Whoever counts owns its numbers and publishes them into a board that it alone writes; whoever is asked reads all
//! boards, its own as well. Nobody waits and nothing is locked: a row that changes under the reader's eyes is read
//! again (`board`). So what is told is at most a turn old, and the figures of one row are of the same moment.
//!
//! Topics are the exception: there may be millions, so they are counted only while somebody asks
//! ([`Stats::want_topics`]), in a table of fixed size (`fanwire_core::tally`), and the busiest of each reactor are
//! published, some times a second.

mod acceptor;
mod board;
mod exposition;
mod figures;
mod journal;
mod reactor;
mod report;
mod top_topics;

pub use acceptor::Entries;
pub use journal::{JournalFacts, JournalFigures, JournalState, SyncTimes};
pub use reactor::{Kind, ReactorFigures};
pub use top_topics::TOP_TOPICS;

use board::Published;
use fanwire_core::Time;
use fanwire_core::tally::TopTopic;
use fanwire_wire::Code;
use reactor::ReactorBoard;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long topics are counted after somebody asked.
const TOPICS_WANTED: Duration = Duration::from_secs(10);

/// What does not change while the broker runs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    /// Reactors.
    pub reactors: usize,
    /// Connections at one time.
    pub connections_max: u64,
    /// Bytes in all queues.
    pub queue_bytes_total_max: u64,
    /// Journals, by their numbers.
    pub journals: Vec<JournalFacts>,
}

/// What all threads of a broker publish.
#[derive(Debug, Default)]
pub struct Stats {
    facts: Facts,
    /// The acceptor's counts.
    pub entries: Entries,
    reactors: Box<[ReactorBoard]>,
    journals: Box<[Published<JournalFigures>]>,
    /// Until when topics are counted, in microseconds of the reactors' clock.
    topics_until_us: AtomicU64,
}

/// What only the moment of asking knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment<'a> {
    /// The broker's name and version.
    pub(crate) server_name: &'a str,
    /// Whether nobody needs a token.
    pub(crate) is_open: bool,
    /// Whether it goes down.
    pub(crate) is_draining: bool,
    /// The wall clock, in microseconds since 1970-01-01 UTC.
    pub(crate) wall_us: u64,
    /// The time since the start.
    pub(crate) now: Time,
}

impl Stats {
    /// Boards for all of these, with nothing on them.
    pub fn new(facts: Facts) -> Stats {
        Stats {
            reactors: (0..facts.reactors).map(|_| ReactorBoard::default()).collect(),
            journals: facts.journals.iter().map(|journal| Published::new(&journal.first_figures())).collect(),
            facts,
            entries: Entries::default(),
            topics_until_us: AtomicU64::new(0),
        }
    }

    /// Publishes a reactor's figures. Only that reactor's thread may.
    pub fn publish_reactor(&self, reactor: usize, figures: &ReactorFigures) {
        if let Some(board) = self.reactors.get(reactor) {
            board.figures.publish(figures);
        }
    }

    /// Counts a connection that a reactor closes with a code. Only that reactor's thread may.
    pub fn note_closed(&self, reactor: usize, code: Code) {
        if let Some(board) = self.reactors.get(reactor) {
            board.note_closed(code);
        }
    }

    /// Publishes a reactor's busiest topics, the busiest first. Only that reactor's thread may.
    pub fn publish_topics(&self, reactor: usize, now: Time, topics: &[TopTopic]) {
        if let Some(board) = self.reactors.get(reactor) {
            board.topics.publish(now, topics);
        }
    }

    /// Publishes a journal's figures. Only the journal thread may.
    pub fn publish_journal(&self, journal: usize, figures: &JournalFigures) {
        if let Some(board) = self.journals.get(journal) {
            board.publish(figures);
        }
    }

    /// Somebody wants to know the busiest topics: they are counted from here on, for a while.
    pub fn want_topics(&self, now: Time) {
        self.topics_until_us.store((now + TOPICS_WANTED).as_micros(), Ordering::Relaxed);
    }

    /// Whether topics are to be counted.
    pub fn wants_topics(&self, now: Time) -> bool {
        self.topics_until_us.load(Ordering::Relaxed) > now.as_micros()
    }

    /// Names of the journals that take nothing and will not before a restart.
    pub(crate) fn failed_journals(&self) -> Vec<&str> {
        let journals = self.facts.journals.iter().zip(&self.journals);
        let failed = journals.filter(|(_, board)| board.read().state() == JournalState::Failed);
        failed.map(|(facts, _)| facts.name.as_str()).collect()
    }
}

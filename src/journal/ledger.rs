//! What the journal thread counts of each journal, and how it is published: once a turn, behind everything else.
//!
//! How much the segments are is added up anew only when they have changed; all else is at hand.

use crate::store;
use fanwire_core::journal::Log;
use fanwire_core::journal::catalog::Catalog;
use fanwire_core::journal::disk::{Disk, DiskError, DiskFile};
use fanwire_gateway::stats::{JournalFigures, JournalState, Stats, SyncTimes};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Where the journal thread notes what it publishes.
pub(super) struct Ledger {
    stats: Arc<Stats>,
    pages: Vec<Page>,
}

/// What is noted of one journal.
#[derive(Default)]
struct Page {
    /// The last position at the start.
    begin: u64,
    syncs: SyncTimes,
    /// The catalog that the next three are of. It keeps no segment alive that was retired.
    catalog: Weak<Catalog<store::File>>,
    segments: u64,
    bytes: u64,
    base: u64,
}

impl Ledger {
    /// A ledger of journals whose last positions are these.
    pub(super) fn new(stats: Arc<Stats>, positions: impl Iterator<Item = u64>) -> Ledger {
        Ledger { stats, pages: positions.map(|begin| Page { begin, ..Page::default() }).collect() }
    }

    /// A sync has ended.
    pub(super) fn note_synced(&mut self, journal: usize, took: Duration, is_done: bool) {
        self.pages[journal].syncs.note(took, is_done);
    }

    /// Publishes how a journal stands.
    pub(super) fn publish<D: Disk<File = store::File>>(&mut self, journal: usize, log: &Log<D>) {
        let page = &mut self.pages[journal];
        page.look_at(&log.shared_catalog());
        let position = log.tail().position;
        let figures = JournalFigures {
            state: state_of(log) as u64,
            epoch: log.epoch(),
            topics: log.topics_count() as u64,
            records: (position + 1).saturating_sub(page.base),
            bytes: page.bytes,
            segments: page.segments,
            last_position: position,
            durable_position: log.durable(),
            appended: position - page.begin,
            ..JournalFigures::default()
        };
        self.stats.publish_journal(journal, &page.syncs.onto(figures));
    }
}

impl Page {
    fn look_at(&mut self, catalog: &Arc<Catalog<store::File>>) {
        if std::ptr::eq(self.catalog.as_ptr(), Arc::as_ptr(catalog)) {
            return;
        }
        self.catalog = Arc::downgrade(catalog);
        self.segments = catalog.segments.len() as u64;
        self.bytes = catalog.segments.iter().map(|segment| segment.file.bytes()).sum();
        self.base = catalog.segments.first().map_or(1, |segment| segment.base);
    }
}

fn state_of<D: Disk>(log: &Log<D>) -> JournalState {
    match (log.failure(), log.shortage()) {
        (Some(_), _) => JournalState::Failed,
        (None, Some(DiskError::Full)) => JournalState::Full,
        (None, Some(_)) => JournalState::Unavailable,
        (None, None) => JournalState::Open,
    }
}

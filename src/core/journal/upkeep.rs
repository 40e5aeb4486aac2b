//! What is done for a log beside its appending, and what it does when it is told of it.
//!
//! ```text
//!  in use ----> prepare_task --> supply             committed --> sync_task --> note_synced --idle--> note_task
//!  full, and synced since ----> seal_task ----> note_sealed --> retire, replace          end --> close
//! ```

use super::catalog::{Catalog, Segment};
use super::disk::{Disk, DiskError};
use super::log::Log;
use super::publication::CommitError;
use super::state::State;
use super::tasks::{PrepareTask, Prepared, SealTask, SyncTask};
use std::sync::Arc;

/// The next segment is made once this part of the open one is full: late enough that a journal which is hardly used has
/// none, and early enough for one that is used as fast as a disk takes it.
const PREPARED_AT: u32 = 8;

impl<D: Disk> Log<D> {
    /// The next segment's making, once it is time for that.
    pub fn prepare_task(&mut self) -> Option<PrepareTask<D>> {
        let is_due = self.is_segment_wanted || self.open.is_closed || self.open.offset >= self.open.bytes / PREPARED_AT;
        if !is_due || self.is_preparing || self.prepared.is_some() || self.failure.is_some() {
            return None;
        }
        self.is_preparing = true;
        Some(PrepareTask { disk: self.disk.clone(), bytes: self.settings.segment_bytes })
    }

    /// Hands in what was prepared.
    pub fn supply(&mut self, prepared: Prepared<D::File>) {
        self.is_segment_wanted = false;
        self.is_preparing = false;
        self.shortage = self.is_unsettled.then_some(DiskError::Full);
        self.prepared = Some(prepared);
    }

    /// The next segment could not be prepared. From now on [`Log::prepare_task`] offers it again; publications that
    /// find no room are refused meanwhile, and told what it is for: want of room, or something else. That does not end
    /// the log, unless names are lost with it: what is there is not harmed by a file that was never used.
    pub fn note_not_prepared(&mut self, why: &DiskError) {
        self.is_preparing = false;
        self.shortage = Some(why.clone());
        self.note_names_unsynced(why);
    }

    /// What has to be synced so that everything that is committed is durable, and what is full can be sealed; none if
    /// that is so.
    pub fn sync_task(&self) -> Option<SyncTask<D>> {
        let is_unsynced = self.committed() > self.durable || !self.unsynced.is_empty();
        let is_due = !self.settings.is_volatile && self.failure.is_none() && is_unsynced;
        is_due.then(|| self.whole_sync_task())
    }

    /// The base of the newest full segment that waits to be synced.
    pub(super) fn newest_unsynced(&self) -> Option<u64> {
        self.unsynced.last().map(|(base, _)| *base)
    }

    fn whole_sync_task(&self) -> SyncTask<D> {
        let mut files = self.unsynced.clone();
        files.push((self.open.base, self.open.file.clone()));
        SyncTask {
            disk: self.disk.clone(),
            files,
            are_names_due: self.names.synced < self.names.renames,
            renames: self.names.renames,
            position: self.committed(),
            state: self.state,
            failure: None,
            note: None,
        }
    }

    /// A sync has succeeded.
    pub fn note_synced(&mut self, task: &SyncTask<D>) {
        if self.failure.is_some() || task.note == Some(false) {
            return;
        }
        if task.note == Some(true) {
            return self.note_settled(task.state);
        }
        self.durable = self.durable.max(task.position);
        self.names.synced = self.names.synced.max(task.renames);
        // A file in the task that is full by now may have got records since.
        self.unsynced.retain(|(base, _)| *base >= task.open_base());
    }

    /// Whether the state file lacks what it can tell: that the journal runs; or, where all is synced, up to where, and
    /// in which segment. Then damage there is known as such, and so is the segment's absence.
    pub fn is_note_due(&self) -> bool {
        let is_idle = self.pending.count == 0 && self.committed() == self.durable && self.unsynced.is_empty();
        let is_synced = is_idle && self.names.synced == self.names.renames;
        let is_told = (self.state.durable, self.state.end_base) == (self.durable, self.open.base);
        let is_possible = !self.settings.is_volatile && self.failure.is_none();
        is_possible && (self.is_unsettled || (is_synced && !is_told))
    }

    /// A task that syncs nothing of the log and writes down its state, if [`Log::is_note_due`]. It takes as long as
    /// several syncs, so it is for a log that is idle. The thread that runs [`Log::sync_task`] runs this, too: both
    /// replace the state file.
    pub fn note_task(&self) -> Option<SyncTask<D>> {
        if !self.is_note_due() {
            return None;
        }
        let state = State { durable: self.durable, end_base: self.open.base, ..self.state };
        Some(SyncTask { files: Vec::new(), note: Some(false), state, ..self.whole_sync_task() })
    }

    fn note_settled(&mut self, state: State) {
        self.state = state;
        if std::mem::take(&mut self.is_unsettled) {
            self.shortage = None;
        }
    }

    /// A sync task has failed: the log is at its end, and its state file says so already.
    pub fn note_sync_failed(&mut self, what: &DiskError) {
        self.fail(format!("a sync failed: {what}"));
    }

    /// If what failed is a sync of names, the log is at its end, whoever was told of it. That is still to be written
    /// down, by [`Log::failure_task`].
    fn note_names_unsynced(&mut self, what: &DiskError) {
        if matches!(what, DiskError::NamesUnsynced(_)) && self.failure.is_none() {
            self.note_sync_failed(what);
            self.unwritten_failure = Some(what.clone());
        }
    }

    /// A task that syncs nothing, writes down that a sync has failed, and fails as that did. None if there is nothing
    /// to be written down. The thread that runs [`Log::sync_task`] runs this, too: both replace the state file.
    pub fn failure_task(&mut self) -> Option<SyncTask<D>> {
        let failure = self.unwritten_failure.take()?;
        Some(SyncTask { files: Vec::new(), are_names_due: false, failure: Some(failure), ..self.whole_sync_task() })
    }

    /// The oldest full segment's sealing, if there is one that was synced since it is full, and none is under way.
    pub fn seal_task(&mut self) -> Option<SealTask<D>> {
        if self.is_sealing || self.failure.is_some() {
            return None;
        }
        let base = *self.unsealed.front()?;
        if self.unsynced.iter().any(|(unsynced, _)| *unsynced == base) {
            return None;
        }
        let index = self.catalog.index_of(base).expect("segments are retired when they are sealed");
        self.is_sealing = true;
        Some(SealTask {
            disk: self.disk.clone(),
            indexing: self.indexing,
            journal: self.state.journal,
            seed: self.settings.seed,
            catalog: self.catalog.clone(),
            base,
            next_base: self.catalog.segments[index + 1].base,
            is_volatile: self.settings.is_volatile,
        })
    }

    /// A segment is sealed.
    pub fn note_sealed(&mut self, task: &SealTask<D>) {
        self.is_sealing = false;
        self.unsealed.retain(|base| *base != task.base);
        let mut segments = self.catalog.segments.clone();
        if let Some(segment) = segments.iter_mut().find(|segment| segment.base == task.base) {
            segment.is_sealed = true;
        }
        self.catalog = Arc::new(Catalog { segments });
    }

    /// A segment could not be sealed, for want of room or the like; [`Log::seal_task`] offers it again, unless names
    /// are lost.
    pub fn note_not_sealed(&mut self, why: &DiskError) {
        self.is_sealing = false;
        self.note_names_unsynced(why);
    }

    /// Leaves sealed segments out of the catalog, the oldest first; their files are removed by whoever decided so: the
    /// oldest first, each name's removal synced before the next, or a start may find a gap between those that are left.
    ///
    /// # Panics
    /// When one of them is not sealed.
    pub fn retire(&mut self, bases: &[u64]) {
        let mut segments = self.catalog.segments.clone();
        segments.retain(|segment| {
            let is_retired = bases.contains(&segment.base);
            assert!(!is_retired || segment.is_sealed, "segment {} is retired before it is sealed", segment.base);
            !is_retired
        });
        self.catalog = Arc::new(Catalog { segments });
    }

    /// Puts another file in a sealed segment's place, as compaction does.
    ///
    /// # Panics
    /// When there is no sealed segment with its base.
    pub fn replace(&mut self, segment: Segment<D::File>) {
        let mut segments = self.catalog.segments.clone();
        let index = self.catalog.index_of(segment.base).expect("a segment that is replaced is in the catalog");
        assert!(segments[index].is_sealed, "segment {} is replaced before it is sealed", segment.base);
        segments[index] = segment;
        self.catalog = Arc::new(Catalog { segments });
    }

    /// Syncs what is not synced, and writes down that nothing is missing.
    ///
    /// # Errors
    /// Why the next start will find a log that was not closed.
    ///
    /// # Panics
    /// When something is not committed.
    pub fn close(mut self) -> Result<(), CommitError> {
        assert!(self.pending.count == 0, "a log is closed after a commit");
        if let Some(failure) = self.failure.clone() {
            if let Some(mut task) = self.failure_task() {
                // It says again why the log has failed.
                let _ = task.run();
            }
            return Err(CommitError::Failed(failure));
        }
        if self.settings.is_volatile {
            return Ok(());
        }
        if !self.clean_tail() {
            return Err(CommitError::Full);
        }
        // Even if no record waits for it: the open segment's header may.
        if let Err(error) = self.whole_sync_task().run() {
            self.note_sync_failed(&error);
            return Err(CommitError::Failed(error.to_string()));
        }
        self.state.is_clean = true;
        self.state.durable = self.standing.position;
        self.state.end_base = self.open.base;
        self.state.end_offset = self.open.offset;
        self.state.store(&mut self.disk).map_err(|error| match error {
            DiskError::Full => CommitError::Full,
            error => CommitError::Failed(error.to_string()),
        })
    }
}

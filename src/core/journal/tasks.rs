//! What other threads do for a log, so that it never waits: prepare the next segment, sync, seal.
//!
//! ```text
//!  log --task--> thread: run() --outcome--> log: supply, note_synced, note_sealed
//! ```
//!
//! A task holds all that it needs and touches nothing of the log. What it has done counts when the log is told.

use super::catalog::{Segment, SegmentEnd, SharedCatalog};
use super::disk::{Disk, DiskError, DiskFile};
use super::format::{HEADER_BYTES, SegmentHeader};
use super::names::{self, Kind};
use super::replay::replay;
use super::snapshot;
use super::standing::Standing;
use super::state::State;

/// How sealed segments get their index, and are known by it.
#[derive(Debug)]
pub struct Indexing<D: Disk> {
    /// Writes the index of a full segment, which is synced already; it is durable afterwards, its name not yet.
    pub build: fn(&mut D, &Segment<D::File>) -> Result<(), DiskError>,
    /// Where the segment with this header ends, if it has a sound index.
    pub end: fn(&mut D, &SegmentHeader) -> Result<Option<SegmentEnd>, DiskError>,
}

impl<D: Disk> Clone for Indexing<D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D: Disk> Copy for Indexing<D> {}

/// Makes the file of the next segment.
#[derive(Debug)]
pub struct PrepareTask<D> {
    pub(super) disk: D,
    pub(super) bytes: u32,
}

/// A file for the next segment: all zero, synced.
#[derive(Debug)]
pub struct Prepared<F> {
    pub(super) file: F,
    /// What it is called so far.
    pub(super) name: String,
}

impl<D: Disk> PrepareTask<D> {
    /// What the file is called until it is used.
    pub fn name(&self) -> &'static str {
        names::PREPARED
    }

    /// How large it has to be.
    pub fn bytes(&self) -> u64 {
        self.bytes.into()
    }

    /// Makes the file in one go.
    ///
    /// # Errors
    /// What the disk says; nothing is harmed, and it may be tried again.
    pub fn run(mut self) -> Result<Prepared<D::File>, DiskError> {
        let file = self.disk.create(names::PREPARED, self.bytes.into())?;
        self.finish(file)
    }

    /// Takes over a file of this name and size that was made in steps, all zero and really there. Syncs it and the
    /// names: with them that of the segment before, which has to be durable before the next one gets its own.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(mut self, file: D::File) -> Result<Prepared<D::File>, DiskError> {
        file.sync()?;
        self.disk.sync_names()?;
        Ok(Prepared { file, name: names::PREPARED.to_owned() })
    }
}

/// What has to be synced, so that everything that is committed now is durable. If that fails, the state file says so
/// before anybody is told: the log itself touches no file that a dying disk may never give back.
#[derive(Debug)]
pub struct SyncTask<D: Disk> {
    pub(super) disk: D,
    pub(super) files: Vec<(u64, D::File)>,
    pub(super) are_names_due: bool,
    pub(super) renames: u64,
    pub(super) position: u64,
    /// The state as it is now.
    pub(super) state: State,
    /// A sync of names that failed elsewhere, and is only to be written down.
    pub(super) failure: Option<DiskError>,
    /// Nothing is to be synced: the state is only to be written down. Whether it is.
    pub(super) note: Option<bool>,
}

impl<D: Disk> SyncTask<D> {
    /// The last position that is durable afterwards.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether nothing is synced but what is written down of it.
    pub fn is_note(&self) -> bool {
        self.note.is_some()
    }

    /// The base of the segment that was the open one; those before it are synced as they will always be.
    pub(super) fn open_base(&self) -> u64 {
        self.files.last().map_or(0, |(base, _)| *base)
    }

    /// Syncs.
    ///
    /// # Errors
    /// What the disk says; it is final for the log, is written down, and must not be tried again.
    pub fn run(&mut self) -> Result<(), DiskError> {
        let outcome = match (&self.failure, self.note) {
            (Some(failure), _) => Err(failure.clone()),
            (None, None) => self.sync(),
            (None, Some(_)) => self.write_note(),
        };
        if outcome.is_err() {
            self.state.note_sync_failed(&mut self.disk);
        }
        outcome
    }

    /// Nobody waits for it: what keeps it from being written harms nothing, and it is tried again.
    fn write_note(&mut self) -> Result<(), DiskError> {
        let stored = self.state.store(&mut self.disk);
        self.note = Some(stored.is_ok());
        stored.or_else(|error| if matches!(error, DiskError::NamesUnsynced(_)) { Err(error) } else { Ok(()) })
    }

    fn sync(&mut self) -> Result<(), DiskError> {
        for (_, file) in &self.files {
            file.sync()?;
        }
        if self.are_names_due { self.disk.sync_names() } else { Ok(()) }
    }
}

/// Makes a full segment, which is synced already, what a start need not read: with an index, and a snapshot behind it.
///
/// It syncs nothing of the segment. The machine tells a failure to write back once to everybody who has the file: were
/// this told, the thread that syncs would hear that all is well, and publishers that lost records are durable.
#[derive(Debug)]
pub struct SealTask<D: Disk> {
    pub(super) disk: D,
    pub(super) indexing: Indexing<D>,
    pub(super) journal: [u8; 16],
    pub(super) seed: u64,
    pub(super) catalog: SharedCatalog<D::File>,
    pub(super) base: u64,
    pub(super) next_base: u64,
    pub(super) is_volatile: bool,
}

impl<D: Disk> SealTask<D> {
    /// The base of the segment.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Seals.
    ///
    /// # Errors
    /// What the disk says. The records are durable, and it may be tried again, unless the log has failed by that.
    pub fn run(&mut self) -> Result<(), DiskError> {
        let index = self.catalog.index_of(self.base).expect("a segment that is being sealed is in the catalog");
        let catalog = self.catalog.clone();
        let segment = &catalog.segments[index];
        self.index(segment)?;
        if !self.is_volatile {
            self.disk.sync_names()?;
            self.snapshot(index)?;
        }
        Ok(())
    }

    /// Writes the segment's index, unless an earlier life of the log has.
    fn index(&mut self, segment: &Segment<D::File>) -> Result<(), DiskError> {
        let header = header_of(segment)?;
        if !self.is_volatile && (self.indexing.end)(&mut self.disk, &header)?.is_some() {
            return Ok(());
        }
        (self.indexing.build)(&mut self.disk, segment)
    }

    /// Writes the snapshot behind the segment, if there is none so new, and removes all but the newest two.
    fn snapshot(&mut self, index: usize) -> Result<(), DiskError> {
        let mut bases = snapshot_bases(&self.disk.list()?);
        if bases.last().is_some_and(|newest| *newest >= self.next_base) {
            return Ok(());
        }
        let Some(standing) = self.standing_behind(index, &bases)? else {
            return Ok(());
        };
        snapshot::store(&mut self.disk, &standing, self.journal, self.next_base)?;
        bases.push(self.next_base);
        for old in &bases[..bases.len().saturating_sub(2)] {
            self.disk.remove(&names::snapshot(*old))?;
        }
        Ok(())
    }

    /// What is known behind a segment: from the newest snapshot before it, and the segments from there on. None if
    /// the way there can't be read: then the next start reads more.
    fn standing_behind(&mut self, index: usize, bases: &[u64]) -> Result<Option<Standing>, DiskError> {
        let catalog = self.catalog.clone();
        let segments = &catalog.segments[..=index];
        let begins = bases.iter().rev().filter_map(|base| catalog.index_of(*base)).filter(|begin| *begin <= index);
        let mut found = None;
        for begin in begins {
            if let Ok(standing) = snapshot::load(&mut self.disk, self.journal, segments[begin].base, self.seed) {
                found = Some((begin, standing));
                break;
            }
        }
        let (begin, mut standing) = found.unwrap_or_else(|| (0, Standing::new(self.seed)));
        if standing.position == 0 && segments[begin].base > 1 {
            return Ok(None);
        }
        for segment in &segments[begin..] {
            let header = header_of(segment)?;
            let replayed = replay(&segment.file, &header, &mut standing)?;
            if segment.end.is_some_and(|end| replayed.end.position != end.position) {
                return Err(DiskError::Failed(damaged(segment.base)));
            }
        }
        // The last records of a compacted segment may be gone; their positions are not given again.
        standing.position = self.next_base - 1;
        Ok(Some(standing))
    }
}

fn header_of<F: DiskFile>(segment: &Segment<F>) -> Result<SegmentHeader, DiskError> {
    let mut bytes = [0; HEADER_BYTES as usize];
    segment.file.read(0, &mut bytes)?;
    SegmentHeader::decode(&bytes).map_err(|_| DiskError::Failed(damaged(segment.base)))
}

fn damaged(base: u64) -> String {
    format!("{} is damaged: verify the journal", names::segment(base))
}

/// The bases of the snapshots among some names, in order.
pub(super) fn snapshot_bases(names: &[String]) -> Vec<u64> {
    let base = |name: &String| match names::kind(name) {
        Kind::Snapshot(base) => Some(base),
        _ => None,
    };
    let mut bases: Vec<u64> = names.iter().filter_map(base).collect();
    bases.sort_unstable();
    bases
}

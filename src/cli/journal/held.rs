//! A journal that is locked, to be changed: what compaction and repair begin with.

use super::place::{Place, shown};
use crate::cli::Failure;
use crate::store::{Append, Directory, opening};
use fanwire_core::journal::{Log, LogSettings, Recovery, indexing};

/// What a segment has if there is none to tell.
const SEGMENT_BYTES: u32 = 64 << 20;

/// A journal that nobody else has.
pub(super) struct Held {
    pub(super) directory: Directory,
    pub(super) log: Log<Directory>,
    pub(super) recovery: Recovery,
    pub(super) segment_bytes: u32,
}

impl Held {
    /// Locks and opens a journal, as a broker does when it starts. With `repair` it goes on where damage would stop a
    /// broker.
    pub(super) fn open(place: &Place, repair: bool) -> Result<Held, Failure> {
        let directory = shown(&place.path);
        if place.holder.is_some() {
            let message = format!("{directory}: {}; stop the broker first", place.explanation());
            return Err(Failure::Run(message));
        }
        let failed = |what: String| Failure::Run(format!("{directory} can't be opened: {what}"));
        let opened = Directory::open(&place.path, Append::Write).map_err(|error| failed(error.to_string()))?;
        let full = place.survey.segments.iter().filter(|segment| !segment.header.is_compacted);
        let segment_bytes = full.map(|segment| segment.header.bytes).max();
        let segment_bytes = segment_bytes.and_then(|bytes| u32::try_from(bytes).ok()).unwrap_or(SEGMENT_BYTES);
        let settings = LogSettings { segment_bytes, topics_max: u32::MAX, is_volatile: false, seed: 0 };
        let opening = opening(repair).map_err(|error| failed(error.to_string()))?;
        let (log, recovery) =
            Log::open(opened.clone(), settings, indexing(), &opening).map_err(|error| failed(error.to_string()))?;
        Ok(Held { directory: opened, log, recovery, segment_bytes })
    }

    /// Seals what is full and was not sealed.
    pub(super) fn seal(&mut self) -> Result<(), Failure> {
        while let Some(mut task) = self.log.seal_task() {
            task.run().map_err(|error| Failure::Run(error.to_string()))?;
            self.log.note_sealed(&task);
        }
        Ok(())
    }

    /// Leaves it as a broker does that was told to end.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.log.close().map_err(|error| Failure::Run(format!("the journal can't be closed: {error:?}")))
    }
}

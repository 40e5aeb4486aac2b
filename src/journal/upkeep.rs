//! What a journal needs done now and then: what is too old or too much goes, and compacted journals are compacted.
//!
//! What goes is decided by the clerk, and gone from the catalog before its files are removed: a cursor that is inside
//! one of them reads it to its end. Compaction is a job of the steward; whether a record is the newest of its topic it
//! asks the indexes of the sealed segments, so it needs nothing of the clerk, and may leave a record that has a newer
//! one in the open segment for the next time.

use crate::config::Journal;
use crate::store::{File, Medium};
use fanwire_core::journal::catalog::SharedCatalog;
use fanwire_core::journal::compaction::{
    self, Compacted, CompactionError, SealedEnds, TOMBSTONE_AGE_US_MIN, Tombstones,
};
use fanwire_core::journal::disk::{Disk, DiskError};
use fanwire_core::journal::names;
use fanwire_core::journal::reader::VIEWS_MAX;
use fanwire_core::journal::retention::Retention;

/// Segments past `max_bytes`: the prepared one, those that are being sealed, and those that are retired and still read.
const SEGMENTS_BEYOND_BOUND: u64 = 8;
/// Segments that a journal without a bound may grow by.
const SEGMENTS_TO_GROW: u64 = 64;
/// The directory, its lock, files in the making, and the indexes and segments that the reader holds.
const DESCRIPTORS_BESIDE: u64 = 2 + 6 + 2 * VIEWS_MAX as u64;

/// How much a journal keeps.
pub(super) fn retention(journal: &Journal) -> Retention {
    let age_us = journal.max_age.map_or(0, |age| u64::try_from(age.as_micros()).unwrap_or(u64::MAX));
    Retention { bytes_max: journal.max_bytes.unwrap_or(0), age_us_max: age_us }
}

/// Descriptors that a journal may need at one time: one for each segment that it keeps, or has now, and what is open
/// beside them for a while. One that has no bound, and grows by more than this while the broker runs, shares what is
/// left with the connections, until the next start counts anew.
pub(super) fn descriptors_max(journal: &Journal, present: u64) -> u64 {
    let segments = match journal.max_bytes {
        Some(bytes) => present.max(bytes.div_ceil(journal.segment_bytes.into())) + SEGMENTS_BEYOND_BOUND,
        None => present + SEGMENTS_TO_GROW,
    };
    // Compaction asks the indexes of all segments, and for tombstones those before it once more.
    let files_per_segment = if journal.compact { 3 } else { 1 };
    segments.saturating_mul(files_per_segment).saturating_add(DESCRIPTORS_BESIDE)
}

/// Removes the files of segments that are not in the catalog any more, the oldest first. Each is gone for good before
/// the next one: were a later one gone and an earlier one back, a start would find a gap.
pub(super) fn remove(medium: &mut Medium, bases: &[u64]) -> Result<(), DiskError> {
    for base in bases {
        for name in [names::index(*base), names::segment(*base)] {
            match medium.remove(&name) {
                Ok(()) | Err(DiskError::Missing) => {}
                Err(error) => return Err(error),
            }
        }
        medium.sync_names()?;
    }
    Ok(())
}

/// Compacts the first segments that are worth it; none if no segments are.
pub(super) fn compact(
    medium: &mut Medium,
    catalog: &SharedCatalog<File>,
    segment_bytes: u32,
    now_us: u64,
) -> Result<Option<Compacted<File>>, CompactionError> {
    let Some(mut ends) = SealedEnds::open(medium, catalog) else { return Ok(None) };
    let chosen = compaction::choose(catalog, segment_bytes.into(), |segment| {
        compaction::assess_segment(medium, segment, |name, sequence| ends.is_newest(name, sequence))
    });
    let Some(places) = chosen else { return Ok(None) };
    let tombstones = Tombstones { now_us, age_us_min: TOMBSTONE_AGE_US_MIN };
    compaction::compact(medium, catalog, places, tombstones, |name, sequence| ends.is_newest(name, sequence)).map(Some)
}

/// Segments that have left the catalog, and whose files have not left the disk yet.
#[derive(Debug, Default)]
pub(super) struct Removals {
    /// The oldest first.
    due: Vec<u64>,
    is_under_way: bool,
}

impl Removals {
    /// More of them, newer than those before.
    pub(super) fn add(&mut self, bases: Vec<u64>) {
        self.due.extend(bases);
    }

    /// What may be removed now. Nothing while others are: if those can't be, the newer ones have to stay, too, as what
    /// is left must be one stretch up to the end.
    pub(super) fn begin(&mut self) -> Option<Vec<u64>> {
        if self.is_under_way || self.due.is_empty() {
            return None;
        }
        self.is_under_way = true;
        Some(std::mem::take(&mut self.due))
    }

    /// These are removed, or have to be tried again, before any other.
    pub(super) fn end(&mut self, mut bases: Vec<u64>, is_removed: bool) {
        self.is_under_way = false;
        if !is_removed {
            bases.append(&mut self.due);
            self.due = bases;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newer_segments_are_removed_only_after_the_older_ones_are() {
        let mut removals = Removals::default();
        assert_eq!(removals.begin(), None);
        removals.add(vec![1, 5]);
        assert_eq!(removals.begin(), Some(vec![1, 5]));
        removals.add(vec![9]);
        assert_eq!(removals.begin(), None, "the older ones may come to nothing");
        removals.end(vec![1, 5], false);
        assert_eq!(removals.begin(), Some(vec![1, 5, 9]), "the oldest first");
        removals.end(vec![1, 5, 9], true);
        assert_eq!(removals.begin(), None);
    }
}

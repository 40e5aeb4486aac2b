//! What a journal has kept for long enough.
//!
//! A decision and nothing else: whole segments go, oldest first, so that what is left is always one stretch up to the
//! end. The open segment stays, and so does one that is still being sealed, and everything behind it.

use super::catalog::Catalog;
use super::disk::DiskFile;

/// How much a journal keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// Bytes of all segments; 0: no bound.
    pub bytes_max: u64,
    /// Microseconds since the last record of a segment; 0: no bound.
    pub age_us_max: u64,
}

impl Retention {
    /// The bases of the segments that are to go, oldest first.
    pub fn retired<F: DiskFile>(&self, catalog: &Catalog<F>, now_us: u64) -> Vec<u64> {
        let Some((_open, full)) = catalog.segments.split_last() else { return Vec::new() };
        let mut bytes: u64 = catalog.segments.iter().map(|segment| segment.file.bytes()).sum();
        let mut bases = Vec::new();
        for segment in full {
            let Some(end) = segment.end.filter(|_| segment.is_sealed) else { break };
            let is_too_much = self.bytes_max != 0 && bytes > self.bytes_max;
            let is_too_old = self.age_us_max != 0 && end.time_us.saturating_add(self.age_us_max) < now_us;
            if !is_too_much && !is_too_old {
                break;
            }
            bytes -= segment.file.bytes();
            bases.push(segment.base);
        }
        bases
    }
}

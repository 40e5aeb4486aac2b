//! What the end of a process leaves of the batch that it was writing, told from what it can't have left.
//!
//! ```text
//!  a batch is written with one call:  | batch item | items . . . . . . . | rest |
//!  ended in the midst of it:          | batch item | items . . 0 0 0 0 0 0 0 0 0    zeros from some byte on: torn
//!  zeros from within its rest on:     | batch item | items . . . . . . . | . 0 0    torn, or a flipped bit: who knows
//!  whole, and yet not sound:          | batch item | items . . # . . . . | rest |   damaged since
//! ```
//!
//! A batch is released when all of it is written. So nobody has heard of a torn one, and somebody may have heard of
//! any other. The machine went on: what was written is there, and what was not is zero, as the space ahead is. Nothing
//! is written behind the end while something stands there that was never released.

use super::disk::{DiskError, DiskFile};
use super::format::{BATCH_BYTES, Found, Item, SegmentHeader, read_item};
use super::replay::written_end;

/// Whether a batch that is not sound may be one that was never whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tear {
    /// It was never whole: nothing of it was released.
    Proven,
    /// It may have been whole.
    Possible,
    /// It was whole, or was never a batch of this segment: it was damaged since.
    Excluded,
}

impl Tear {
    /// Judges what stands at an offset, behind an item with this checksum.
    pub(super) fn at<F: DiskFile>(
        file: &F,
        header: &SegmentHeader,
        offset: u32,
        checksum_before: u32,
    ) -> Result<Tear, DiskError> {
        let end = written_end(file, offset)?;
        if end <= offset.saturating_add(BATCH_BYTES) {
            return Ok(Tear::Proven);
        }
        let mut bytes = [0; BATCH_BYTES as usize];
        file.read(offset.into(), &mut bytes)?;
        let batch = match read_item(&bytes, header.salt()) {
            Found::Item { item: Item::Batch(batch), .. } if batch.checksum_before == checksum_before => batch,
            // Zeros stand before something else: zeroing may have been ended.
            Found::End => return Ok(Tear::Possible),
            _ => return Ok(Tear::Excluded),
        };
        let whole = u64::from(offset) + u64::from(batch.bytes);
        Ok(match u64::from(end) {
            end if end >= whole => Tear::Excluded,
            end if batch.rest > 0 && end + u64::from(batch.rest) <= whole => Tear::Proven,
            _ => Tear::Possible,
        })
    }
}

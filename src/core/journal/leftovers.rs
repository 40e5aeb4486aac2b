//! What a compaction was about to remove when it was interrupted.
//!
//! A compacted segment stands for all it was made of: it has the first one's name, and covers the positions of the
//! others, whose files go after it is in place. A process that dies in between leaves them, and their records would be
//! there twice.

use super::disk::{Disk, DiskError};
use super::found::FoundSegment;
use super::names;
use super::replay::replay;
use super::standing::Standing;

/// Removes the segments that the compacted one before them covers. Returns their bases, or the file that the disk
/// failed at.
pub(super) fn remove<D: Disk>(
    disk: &mut D,
    segments: &mut Vec<FoundSegment<D::File>>,
    seed: u64,
) -> Result<Vec<u64>, (String, DiskError)> {
    let mut removed = Vec::new();
    let mut index = 0;
    while index + 1 < segments.len() {
        let next = segments[index + 1].base;
        if covered(&segments[index], seed)? >= next {
            for name in [names::segment(next), names::index(next)] {
                match disk.remove(&name) {
                    Ok(()) | Err(DiskError::Missing) => {}
                    Err(error) => return Err((name, error)),
                }
            }
            segments.remove(index + 1);
            removed.push(next);
        } else {
            index += 1;
        }
    }
    if !removed.is_empty() {
        disk.sync_names().map_err(|error| ("the directory".to_owned(), error))?;
    }
    Ok(removed)
}

/// The last position that a compacted segment stands for; 0 for any other one.
fn covered<F: super::disk::DiskFile>(segment: &FoundSegment<F>, seed: u64) -> Result<u64, (String, DiskError)> {
    let Some(header) = segment.header.filter(|header| header.is_compacted) else { return Ok(0) };
    if let Some(end) = segment.end {
        return Ok(end.position);
    }
    // Without its index it covers its records at least.
    let mut aside = Standing::new(seed);
    aside.is_partial = true;
    let replayed = replay(&segment.file, &header, &mut aside);
    replayed.map(|replayed| replayed.end.position).map_err(|error| (names::segment(segment.base), error))
}

//! How the log's sealed segments get an [`index`](super::index), and are known by it.

use super::catalog::{Segment, SegmentEnd};
use super::disk::{Disk, DiskError};
use super::format::SegmentHeader;
use super::index::{self, Index};
use super::names;
use super::scan::{Fault, FaultKind, read_header};
use super::state::store_whole;
use super::tasks::Indexing;

/// With the index files that readers look things up in.
pub fn indexing<D: Disk>() -> Indexing<D> {
    Indexing { build, end }
}

fn build<D: Disk>(disk: &mut D, segment: &Segment<D::File>) -> Result<(), DiskError> {
    let failed = |fault: Fault| match fault.kind {
        FaultKind::Disk(error) => error,
        _ => DiskError::Failed(format!("{}: {fault}", names::segment(segment.base))),
    };
    let header = read_header(&segment.file).map_err(failed)?;
    let end = segment.end.expect("a segment is indexed when it takes no more");
    let bytes = index::build(&segment.file, &header, end.offset).map_err(failed)?;
    store_whole(disk, &names::index(segment.base), &bytes)
}

/// An index that is damaged is none: the segment is read instead.
fn end<D: Disk>(disk: &mut D, header: &SegmentHeader) -> Result<Option<SegmentEnd>, DiskError> {
    let file = match disk.open(&names::index(header.base)) {
        Ok(file) => file,
        Err(DiskError::Missing) => return Ok(None),
        Err(error) => return Err(error),
    };
    match Index::open(file) {
        Ok(index) => Ok(index.fits(header).then(|| index.summary().end)),
        Err(Fault { kind: FaultKind::Disk(error), .. }) => Err(error),
        Err(_) => Ok(None),
    }
}

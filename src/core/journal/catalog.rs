//! The segments of one journal, oldest first, and where its end is.
//!
//! ```text
//!  [1 sealed][40 311 sealed][80 702 full, being sealed][121 000 open .....|        ]
//!                                                                       tail: as far as records are released
//! ```
//!
//! A catalog is replaced, never changed, when a segment is added, sealed or retired: whoever reads holds the one it
//! began with, and with it the files, removed or not.

use std::sync::Arc;

/// One segment.
#[derive(Debug, Clone)]
pub struct Segment<F> {
    /// Its records have this position or a later one.
    pub base: u64,
    /// The epoch of all its records.
    pub epoch: u64,
    /// Its file.
    pub file: F,
    /// What its checksums begin with.
    pub salt: u32,
    /// How it ends; none while it is the open one.
    pub end: Option<SegmentEnd>,
    /// Whether it is synced and has its index.
    pub is_sealed: bool,
}

/// Where a segment's items end that takes no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentEnd {
    /// The offset behind its last item.
    pub offset: u32,
    /// The position of its last record; `base - 1` if it has none.
    pub position: u64,
    /// The time of its last record, in microseconds since 1970-01-01 UTC; 0 if it has none.
    pub time_us: u64,
}

/// All segments, by base.
#[derive(Debug, Clone)]
pub struct Catalog<F> {
    /// Oldest first; the last one is open.
    pub segments: Vec<Segment<F>>,
}

/// A catalog that several threads look at.
pub type SharedCatalog<F> = Arc<Catalog<F>>;

/// How far the open segment's items are written and released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tail {
    /// The open segment's base.
    pub base: u64,
    /// The offset behind its last released item.
    pub offset: u32,
    /// The position of the journal's last released record; 0: none yet.
    pub position: u64,
    /// Where the open segment's newest topic item stands; 0: none.
    pub newest_topic: u32,
}

/// Where a place in the journal is: between two items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The segment's base.
    pub base: u64,
    /// The offset of the next item.
    pub offset: u32,
}

/// What the journal knows of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicEnd {
    /// The sequence of its last record; 0: it never had one.
    pub sequence: u64,
    /// The base of the segment with that record.
    pub base: u64,
    /// Where in that segment it stands.
    pub offset: u32,
}

impl<F> Catalog<F> {
    /// The index of the segment that holds a position: the last one whose base is not behind it.
    pub fn find(&self, position: u64) -> Option<usize> {
        self.segments.partition_point(|segment| segment.base <= position).checked_sub(1)
    }

    /// The index of the segment with this base.
    pub fn index_of(&self, base: u64) -> Option<usize> {
        self.segments.binary_search_by_key(&base, |segment| segment.base).ok()
    }
}

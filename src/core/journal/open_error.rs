//! Why a journal can't be opened: which file, what is wrong with it, and what to do.

use super::disk::DiskError;
use std::fmt;

/// Why a journal can't be opened. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenError {
    /// The file in the journal's directory.
    pub file: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The disk did not do what it was asked to.
    Disk(DiskError),
    /// There are segments, and no state file.
    StateMissing,
    /// The state file's checksum does not fit.
    StateDamaged,
    /// The state file does not fit the segments: it is older or newer than they are.
    StateStale,
    /// A sync failed in the last life, and the page cache may hold what the disk does not.
    SyncFailed {
        /// Why it can't be read around.
        why: DiskError,
    },
    /// A newer release wrote it, in this version of the format.
    Newer {
        /// The version.
        version: u16,
    },
    /// It is another journal's.
    Foreign,
    /// It is another journal's, for all segments agree on one that it does not name.
    StateForeign,
    /// It has another one's name.
    Misnamed {
        /// The base that it says it has.
        base: u64,
    },
    /// It has not the size that it should have.
    Size {
        /// Its size.
        bytes: u64,
        /// What it should be.
        expected: u64,
    },
    /// It does not begin as a segment does.
    NoSegment,
    /// Its header's checksum does not fit.
    HeaderDamaged,
    /// Records between this segment and the next one are missing.
    Missing {
        /// The first missing position.
        from: u64,
        /// The last one.
        to: u64,
    },
    /// It was there when the journal was synced last, as its newest segment.
    NewestMissing,
    /// It ends too early.
    Short {
        /// Where.
        offset: u32,
    },
    /// Damage in records that were durable.
    Corrupt {
        /// Where the damaged batch begins; 0: the whole file.
        offset: u32,
        /// The position of the first record that is lost by going on without it.
        position: u64,
        /// The last position that is known to have been durable.
        durable: u64,
    },
    /// Damage in a segment long sealed, which no repair cuts, as everything since would go with it.
    OldDamage(Box<Fault>),
    /// Old segments are gone, as retention or compaction does, and there is no snapshot of what was in them.
    SequencesUnknown,
    /// There is a state file, and not one segment.
    NoSegments,
}

impl OpenError {
    pub(super) fn new(file: &str, fault: Fault) -> OpenError {
        OpenError { file: file.to_owned(), fault }
    }

    pub(super) fn disk(file: &str, error: DiskError) -> OpenError {
        OpenError::new(file, Fault::Disk(error))
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}; {}", self.file, self.fault, self.fault.remedy())
    }
}

impl std::error::Error for OpenError {}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Disk(error) => error.fmt(formatter),
            Fault::StateMissing => formatter.write_str("the state file is missing, though there are segments"),
            Fault::StateDamaged => formatter.write_str("the state file is damaged"),
            Fault::StateStale => formatter.write_str("the state file does not fit the segments beside it"),
            Fault::SyncFailed { why } => write!(
                formatter,
                "a sync failed before the last end, and what memory holds may differ from the disk: {why}"
            ),
            Fault::Newer { version } => {
                write!(formatter, "a newer release wrote it, in version {version} of the format")
            }
            Fault::Foreign => formatter.write_str("it belongs to another journal"),
            Fault::StateForeign => formatter
                .write_str("it belongs to another journal: all segments beside it are of one that it does not name"),
            Fault::Misnamed { base } => {
                write!(formatter, "its records begin with position {base}, which its name denies")
            }
            Fault::Size { bytes, expected } => write!(formatter, "it has {bytes} bytes and should have {expected}"),
            Fault::NoSegment => formatter.write_str("it does not begin as a segment"),
            Fault::HeaderDamaged => formatter.write_str("its header is damaged"),
            Fault::Missing { from, to } => {
                write!(formatter, "the segment behind it with positions {from} to {to} is missing")
            }
            Fault::NewestMissing => formatter.write_str("it is missing, and was the newest segment"),
            Fault::Short { offset } => {
                write!(formatter, "its records end at offset {offset}, before the next segment's begin")
            }
            Fault::Corrupt { offset, position, durable } => write!(
                formatter,
                "damaged at offset {offset}, from position {position} on, though records up to {durable} were durable"
            ),
            Fault::OldDamage(fault) => fault.fmt(formatter),
            Fault::SequencesUnknown => formatter
                .write_str("no sound snapshot is there, and older records are gone: where topics go on is unknown"),
            Fault::NoSegments => formatter.write_str("not one segment is there"),
        }
    }
}

impl Fault {
    /// Whether an opening with `repair` would go on.
    pub const fn is_repairable(&self) -> bool {
        matches!(
            self,
            Fault::StateMissing
                | Fault::StateDamaged
                | Fault::StateStale
                | Fault::Size { .. }
                | Fault::NoSegment
                | Fault::HeaderDamaged
                | Fault::Short { .. }
                | Fault::Corrupt { .. }
                | Fault::SequencesUnknown
                | Fault::NewestMissing
        )
    }

    /// What to do.
    pub const fn remedy(&self) -> &'static str {
        match self {
            Fault::Disk(DiskError::Full) => "make room on the disk",
            Fault::Disk(_) => "see to the disk and its permissions",
            Fault::SyncFailed { .. } => {
                "see to the disk, then unmount its file system and mount it again, or restart the machine"
            }
            Fault::Newer { .. } => "start the release that wrote it, or a newer one",
            Fault::Foreign | Fault::Misnamed { .. } => {
                "move it out of the directory; put back the file of that name if it is missing then"
            }
            Fault::StateForeign => {
                "put back the journal's own, or move it out of the directory and repair, to go on with what the \
                 segments hold, in a new epoch"
            }
            Fault::NoSegments => "restore the directory from a copy, or begin with an empty one",
            Fault::Missing { .. } | Fault::OldDamage(_) => {
                "restore the file from a copy, or move it and all older segments out of the directory to go on \
                 without them"
            }
            Fault::SequencesUnknown => {
                "restore a snapshot from a copy, or repair: topics without a record left begin again with sequence 1"
            }
            Fault::NewestMissing => "restore the file from a copy, or repair to go on without it, in a new epoch",
            Fault::StateMissing | Fault::StateDamaged | Fault::StateStale => {
                "restore it from a copy, or repair to go on with what the segments hold, in a new epoch"
            }
            _ => {
                "restore the file from a copy, or repair to go on without what is damaged and what lies behind, \
                 which is kept aside"
            }
        }
    }
}

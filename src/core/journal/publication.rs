//! What is asked of a log for one message, and what it answers.

use super::catalog::Tail;
use super::format::Producer;
use super::topics::TopicKey;

/// The topic of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicRef<'a> {
    /// One that the log has named before.
    Key(TopicKey),
    /// Any, by its name.
    Name(&'a str),
}

/// What is to be ordered.
#[derive(Debug, Clone, Copy)]
pub struct Publication<'a> {
    /// Where to.
    pub topic: TopicRef<'a>,
    /// Names the session that publishes, as long as the broker runs.
    pub publisher: u64,
    /// The last sequence that the topic must have.
    pub expect: Option<u64>,
    /// What makes it idempotent.
    pub producer: Option<Producer>,
    /// The headers block.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

/// What a publication has become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ordered {
    /// Its number in its topic.
    pub sequence: u64,
    /// Its number in the journal.
    pub position: u64,
    /// When it was ordered, in microseconds since 1970-01-01 UTC.
    pub time_us: u64,
    /// Its topic.
    pub topic: TopicKey,
}

/// What the log says of a publication.
///
/// An answer counts once everything that was admitted before it is committed: a duplicate's original, or the sequence
/// of a conflict, may still be in the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It is in the batch.
    Ordered(Ordered),
    /// It was accepted before; the record that it became then has this sequence.
    Duplicate {
        /// The sequence in the record's topic.
        sequence: u64,
    },
    /// It is not accepted.
    Refused(Refusal),
    /// The batch has no room for it: commit, then admit it again.
    NeedsCommit,
    /// The segment has no room for it, and all is committed: roll, then admit it again.
    NeedsRoll,
    /// The segment has no room for it, and the next one is still being prepared: admit it again once that is supplied.
    NeedsSegment,
}

/// Why a publication is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// There is no room on the disk; later there may be.
    Full,
    /// The next segment can't be made, for another reason than room; later it may be.
    Unavailable,
    /// The log has failed for good.
    Failed,
    /// The topic's last sequence is another one than expected.
    Conflict {
        /// The topic's last sequence.
        actual: u64,
    },
    /// The producer's number is older than what is remembered of it.
    ProducerTooOld,
    /// The journal has as many topics as it may have.
    TooManyTopics,
    /// It would not fit an empty segment.
    TooLarge,
}

/// What a commit has released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// Records in the batch; 0: there was nothing to commit.
    pub count: u32,
    /// The position of the first one.
    pub first: u64,
    /// Where the log ends now.
    pub tail: Tail,
}

/// Why a commit or roll was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitError {
    /// There is no room. Nothing of the batch has happened; later there may be room.
    Full,
    /// The log has failed for good, in words for people. Nothing of the batch is released.
    Failed(String),
}

//! What a shard is told when it is made.

use fanwire_wire::Limits;

/// Rendered bytes after which a turn should flush: small enough to stay in the cache, large enough that the writes
/// do not count.
pub const TURN_BYTES_MAX: u32 = 256 * 1024;
/// Bytes after which a topic's open chunk is sealed: more than a full read of short publishes is rendered to, so that
/// it is one slice of one write.
pub const CHUNK_BYTES_MAX: u32 = 96 * 1024;
/// Publishes that one command may carry, and about how many bytes of payloads, or of names where those are read: what
/// is admitted or postponed as a whole may pass a bound by so much.
pub const RUN_MESSAGES_MAX: usize = 64;
/// The same, in bytes.
pub const RUN_BYTES_MAX: usize = 8 * 1024;
/// What `queue_bytes_max` may be at the most: what passes it a little still has to be counted in 32 bits.
pub const QUEUE_BYTES_CEILING: u32 = 1 << 31;
/// Replies and notices may pass `queue_bytes_max` by this much before the connection is closed for not reading them.
pub const CONTROL_BYTES_RESERVE: u32 = 256 * 1024;
/// What a place in a queue costs besides its bytes, charged so that a queue of tiny messages is bounded too.
pub const ENTRY_BYTES: u32 = 40;

/// What it costs to hold a value back, or to keep a topic's rate, besides the value: the topic stays known, and there
/// may be a timer.
pub const HELD_BYTES: u32 = 128;

/// Calls that one responder may leave unanswered; with more it counts as full.
pub const CALLS_MAX: usize = 65_536;

/// Bounds and seed of one shard.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What a connection may do, as WELCOME tells it.
    pub limits: Limits,
    /// Bytes in all queues of the shard together; the largest queue's connection is closed first.
    pub queue_bytes_total_max: u64,
    /// Subscriptions of all sessions together.
    pub subscriptions_total_max: u32,
    /// Topics remembered though nobody subscribes to them or has registered them.
    pub topics_cached_max: u32,
    /// Bytes on the way to each other shard before sessions that would add to them have to wait.
    pub mailbox_bytes_max: u64,
    /// Keys the hash tables, so that nobody can choose names that collide. Equal seeds give equal runs; all shards of
    /// a broker have one, since they have to agree on where a topic or a group belongs.
    pub seed: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            limits: Limits::default(),
            queue_bytes_total_max: 256 * 1024 * 1024,
            subscriptions_total_max: 2_000_000,
            topics_cached_max: 65_536,
            mailbox_bytes_max: 4 * 1024 * 1024,
            seed: 0,
        }
    }
}

impl Settings {
    /// The least `queue_bytes_max` that lets a subscriber whose socket takes everything get all that one turn can
    /// give it: a turn's bytes, one message of the largest size beyond them, and what their entries cost.
    pub const fn queue_bytes_min(frame_bytes_max: u32) -> u32 {
        TURN_BYTES_MAX + frame_bytes_max + TURN_BYTES_MAX / 2
    }
}

//! Sessions: who is there, what they hold, and the queue of what they are to be sent.

use crate::arena::{CallKey, Key, RequestKey, SessionKey, SubscriptionKey, TopicKey};
use crate::encoding::EncodingId;
use crate::held::HeldList;
use crate::outbox::Queue;
use fanwire_wire::Code;
use foldhash::quality::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;

/// Slices of a queue's front, for one write. As many as one turn leaves there in all but rare cases: each topic leaves
/// one.
pub type Slices<'a> = SmallVec<[&'a [u8]; 64]>;

/// Names a session of a shard. The generation makes a name of a session that is gone different from its successor's
/// in the same slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    pub(crate) key: SessionKey,
    pub(crate) generation: u32,
}

impl SessionId {
    /// The slot, for tables that stand beside the shard's own.
    pub fn slot(self) -> usize {
        self.key.index()
    }
}

/// What a short id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registered {
    /// Nothing: a publish by it is a violation.
    Nothing,
    /// A topic.
    Topic(TopicKey),
    /// Its REGISTER was refused: publishes that were sent behind it share its fate.
    Refused(Code),
}

/// What a session's next command waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    Nothing,
    /// Room on the way to another shard.
    Room,
    /// The answer of a group's home.
    Home,
}

/// Requests of a session that asks or answers.
pub(crate) struct Dialogue {
    /// By correlation: what this session asked.
    pub(crate) asked: HashMap<u32, RequestKey, FixedState>,
    /// By handle: what this session has to answer.
    pub(crate) called: HashMap<u64, CallKey, FixedState>,
    /// Handles given out so far; the next one is one more.
    pub(crate) handles: u64,
}

impl Dialogue {
    pub(crate) fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Dialogue { asked: HashMap::with_hasher(hasher.clone()), called: HashMap::with_hasher(hasher), handles: 0 }
    }
}

/// What a session has that registers topics or wants acknowledgements. Those who only listen are many, and go without.
#[derive(Default)]
pub(crate) struct Publishing {
    /// By short id.
    pub(crate) registered: Vec<Registered>,
    /// Publishes that asked for an ack, so far.
    pub(crate) number: u64,
    pub(crate) pending_acks: SmallVec<[PendingAck; 1]>,
}

/// A range of publishes that is to be acknowledged at the end of the turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingAck {
    pub(crate) first: u64,
    pub(crate) count: u32,
}

pub(crate) struct Session {
    pub(crate) generation: u32,
    pub(crate) encoding: EncodingId,
    /// Listed in the shard's dirty list.
    pub(crate) is_dirty: bool,
    /// The kernel refused bytes; nothing is sent until the shell says otherwise.
    pub(crate) is_blocked: bool,
    /// Ended: it gets no more deliveries, only what was queued.
    pub(crate) is_ended: bool,
    /// The shell was told to close it.
    pub(crate) is_doomed: bool,
    /// Something was sent to it. What is first is its protocol's greeting, without which nothing can be understood.
    pub(crate) is_greeted: bool,
    /// Some subscription of it wants little unsent data in the kernel.
    pub(crate) wants_freshness: bool,
    /// Some group's home was told that it is full.
    pub(crate) owes_room: bool,
    /// What its next command waits for.
    pub(crate) waiting: Waiting,
    /// By their numbers, sorted.
    pub(crate) subscriptions: SmallVec<[(u32, SubscriptionKey); 2]>,
    pub(crate) publishing: Option<Box<Publishing>>,
    pub(crate) dialogue: Option<Box<Dialogue>>,
    pub(crate) queue: Queue,
    pub(crate) held: HeldList,
    /// The fan-out that met this session last, and what it found; see `fanout`.
    pub(crate) meeting: Meeting,
}

/// What one fan-out knows of one session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meeting {
    pub(crate) fanout: u64,
    pub(crate) governing: SubscriptionKey,
    pub(crate) by_id: bool,
    pub(crate) echo: bool,
}

impl Session {
    pub(crate) fn new(generation: u32, encoding: EncodingId) -> Self {
        Session {
            generation,
            encoding,
            is_dirty: false,
            is_blocked: false,
            is_ended: false,
            is_doomed: false,
            is_greeted: false,
            wants_freshness: false,
            owes_room: false,
            waiting: Waiting::Nothing,
            subscriptions: SmallVec::new(),
            publishing: None,
            dialogue: None,
            queue: Queue::EMPTY,
            held: HeldList::EMPTY,
            meeting: Meeting { fanout: 0, governing: SubscriptionKey::NONE, by_id: false, echo: false },
        }
    }

    pub(crate) fn publishing_mut(&mut self) -> &mut Publishing {
        self.publishing.get_or_insert_default()
    }

    pub(crate) fn find_subscription(&self, number: u32) -> Result<usize, usize> {
        self.subscriptions.binary_search_by_key(&number, |(known, _)| *known)
    }
}

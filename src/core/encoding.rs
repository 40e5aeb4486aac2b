//! The seam that keeps protocols out of the core: what a gateway must be able to render.
//!
//! A turn's messages of a topic are rendered once for each encoding that has a subscriber, into one chunk that all
//! of them are written from. Events concern one session and are rendered for it alone, into the same queue.

use crate::journal::history::HistoryRecord;
use fanwire_wire::Code;
use fanwire_wire::frame::{AckLevel, Outcome, Scope};

/// Encodings that one shard can know.
pub const ENCODINGS_MAX: usize = 8;

/// Names one of the encodings a shard was made with: its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EncodingId(pub u8);

/// How the receiver of a delivery knows its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// By the id it was told when it subscribed to exactly this topic.
    Id(u32),
    /// By name: it matched through a wildcard.
    Name,
}

/// A record's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numbers {
    /// In its topic, contiguous from 1.
    pub sequence: u64,
    /// In its journal, increasing from 1.
    pub position: u64,
}

/// One message on its way to subscribers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// How the receivers know the topic.
    pub address: Address,
    /// The topic's name.
    pub topic: &'a str,
    /// Its numbers, if its topic is journaled.
    pub numbers: Option<Numbers>,
    /// The epoch of its journal; 0 without one.
    pub epoch: u64,
    /// The headers block, opaque; empty for none.
    pub headers: &'a [u8],
    /// The payload.
    pub payload: &'a [u8],
}

/// Whose history a record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryOf {
    /// The session's own number of the subscription.
    pub subscription: u32,
    /// How its receiver knows the topic of what is live: by id, where its filter is exact.
    pub address: Address,
    /// The epoch of the journal.
    pub epoch: u64,
}

/// Something one session is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event<'a> {
    /// A subscription stands.
    Subscribed {
        /// The session's own number of it.
        subscription: u32,
        /// The topic's id for an exact filter, else 0.
        topic_id: u32,
        /// How it begins.
        outcome: Outcome,
        /// The epoch of the journal that its filter lies in; 0 without one.
        epoch: u64,
    },
    /// A subscription is over.
    Unsubscribed {
        /// The session's own number of it.
        subscription: u32,
        /// Why; `None` when the session asked for it.
        code: Option<Code>,
    },
    /// The history of a subscription is told; what follows is live.
    CaughtUp {
        /// The session's own number of it.
        subscription: u32,
        /// The position of the last record of the history; 0 when it was empty.
        position: u64,
    },
    /// A subscription has fallen behind and gets history again.
    Cursor {
        /// The session's own number of it.
        subscription: u32,
        /// The position of the next record it gets, or of one before it.
        position: u64,
    },
    /// A range of publishes is acknowledged.
    Acked {
        /// The first publish number.
        first: u64,
        /// How many.
        count: u32,
        /// What they have reached.
        level: AckLevel,
        /// The first one's sequence in its journaled topic, and so on for the others; 0 without a journal.
        first_sequence: u64,
        /// They are publishes that were accepted before; the sequences are those they got then.
        is_duplicate: bool,
    },
    /// A command was refused.
    Refused {
        /// What kind of command.
        scope: Scope,
        /// Why.
        code: Code,
        /// Which one.
        reference: u64,
        /// The topic's last sequence, where another one was expected.
        actual: Option<u64>,
    },
    /// Messages are missing here.
    Gap {
        /// The session's own number of the subscription.
        subscription: u32,
        /// Lost to a full queue.
        dropped: u64,
        /// Replaced by newer ones.
        conflated: u64,
    },
    /// A message to the picked member of a group.
    GroupMessage {
        /// The session's own number of the subscription.
        subscription: u32,
        /// The topic's name.
        topic: &'a str,
        /// The headers block, opaque; empty for none.
        headers: &'a [u8],
        /// The payload.
        payload: &'a [u8],
    },
    /// A request to the picked responder.
    Call {
        /// The session's own number of the subscription.
        subscription: u32,
        /// What the reply has to name.
        handle: u64,
        /// Milliseconds left.
        deadline_ms: u32,
        /// The topic's name.
        topic: &'a str,
        /// The headers block, opaque; empty for none.
        headers: &'a [u8],
        /// The payload.
        payload: &'a [u8],
    },
    /// The end of a request.
    Response {
        /// The session's own number of the request.
        correlation: u32,
        /// Why there is no reply; `None` with one.
        code: Option<Code>,
        /// The headers block, opaque; empty for none.
        headers: &'a [u8],
        /// The payload.
        payload: &'a [u8],
    },
}

/// Turns deliveries and events into the bytes of one protocol. Rendering appends and can't fail; a message's bytes
/// depend on nothing but the message, since they go to everybody.
pub trait Encoding: Send {
    /// Whether a message's bytes have its topic's name even where the receiver knows it by id.
    fn needs_name(&self) -> bool {
        false
    }

    /// Appends one message, the same bytes for all its receivers.
    fn render_message(&self, message: &Delivery<'_>, out: &mut Vec<u8>);

    /// Appends messages that are like the first one but for their payloads, and for their numbers, which count up.
    /// Returns where in `out` the last begins.
    fn render_messages(&self, like: &Delivery<'_>, payloads: &[&[u8]], out: &mut Vec<u8>) -> usize {
        render_one_by_one(self, like, payloads, out)
    }

    /// Appends one record of a subscription's history, which goes to it alone.
    fn render_history(&self, of: &HistoryOf, record: &HistoryRecord<'_>, out: &mut Vec<u8>);

    /// Appends one event of one session. Two gaps of one subscription have the same length, so that a count can be
    /// raised in place.
    fn render_event(&self, event: &Event<'_>, out: &mut Vec<u8>);
}

/// What [`Encoding::render_messages`] does where an encoding has no shorter way.
pub fn render_one_by_one<E: Encoding + ?Sized>(
    encoding: &E,
    like: &Delivery<'_>,
    payloads: &[&[u8]],
    out: &mut Vec<u8>,
) -> usize {
    let mut last = out.len();
    let mut numbers = like.numbers;
    for payload in payloads {
        last = out.len();
        encoding.render_message(&Delivery { payload, numbers, ..*like }, out);
        if let Some(Numbers { sequence, position }) = &mut numbers {
            (*sequence, *position) = (*sequence + 1, *position + 1);
        }
    }
    last
}

//! SUBSCRIBE and what the broker tells about a subscription (protocol.md section 5.5).

use super::Body;
use crate::code::{Code, Violation};
use crate::codec::{Reader, Sink};

/// What the broker does when a subscriber's queue is full. In the order of their strictness: where several
/// subscriptions share one delivery, the first of theirs in this order governs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Policy {
    /// Close the connection with `SLOW_CONSUMER`: no silent loss.
    Disconnect = 0,
    /// Drop what has waited longest under this subscription.
    DropOldest = 1,
    /// Drop what arrives.
    DropNewest = 2,
    /// Keep only the newest message of each topic.
    Conflate = 3,
    /// Drop the queue and continue from the journal at the same place.
    CatchUp = 4,
}

impl Policy {
    /// Every policy, in the order of their numbers.
    pub const ALL: [Policy; 5] =
        [Policy::Disconnect, Policy::DropOldest, Policy::DropNewest, Policy::Conflate, Policy::CatchUp];
}

/// Where a subscription starts. Everything but `Live` needs a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// With what is published from now on.
    Live,
    /// With the newest record of each topic.
    LastValue,
    /// With the newest `count` records.
    Last {
        /// Records.
        count: u32,
    },
    /// With the oldest record there is.
    First,
    /// With this sequence of the filter's one topic.
    Sequence {
        /// The first sequence wanted.
        sequence: u64,
    },
    /// With this position of the journal that the filter lies in.
    Position {
        /// The first position wanted.
        position: u64,
    },
    /// With the first record that is not older.
    Time {
        /// Microseconds since 1970-01-01 UTC.
        time_us: u64,
    },
    /// Behind the last record received: a sequence for an exact filter, else a position.
    Resume {
        /// The epoch that SUBSCRIBED told.
        epoch: u64,
        /// The last sequence or position received.
        last: u64,
    },
}

impl Start {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Violation> {
        Ok(match reader.u8()? {
            0 => Start::Live,
            1 => Start::LastValue,
            2 => Start::Last { count: reader.u32()? },
            3 => Start::First,
            4 => Start::Sequence { sequence: reader.u64()? },
            5 => Start::Position { position: reader.u64()? },
            6 => Start::Time { time_us: reader.u64()? },
            7 => Start::Resume { epoch: reader.u64()?, last: reader.u64()? },
            _ => return Err(Violation(Code::MalformedFrame)),
        })
    }

    fn write(self, sink: &mut impl Sink) {
        match self {
            Start::Live => sink.u8(0),
            Start::LastValue => sink.u8(1),
            Start::Last { count } => {
                sink.u8(2);
                sink.u32(count);
            }
            Start::First => sink.u8(3),
            Start::Sequence { sequence } => {
                sink.u8(4);
                sink.u64(sequence);
            }
            Start::Position { position } => {
                sink.u8(5);
                sink.u64(position);
            }
            Start::Time { time_us } => {
                sink.u8(6);
                sink.u64(time_us);
            }
            Start::Resume { epoch, last } => {
                sink.u8(7);
                sink.u64(epoch);
                sink.u64(last);
            }
        }
    }
}

/// Asks for the messages of a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Chosen by the client, unique among its live subscriptions.
    pub subscription: u32,
    /// What happens when this client does not keep up.
    pub policy: Policy,
    /// Whether messages that this connection published stay away from it.
    pub no_echo: bool,
    /// Whether this is a responder: it gets requests instead of publications. Needs a group.
    pub responder: bool,
    /// Messages a second and topic at the most, the newest ones; 0: no bound. Needs `Conflate`.
    pub max_rate_hz: u16,
    /// Where to start.
    pub start: Start,
    /// A topic filter.
    pub filter: &'a [u8],
    /// A group that shares the messages of this filter; empty: none.
    pub group: &'a [u8],
}

const SUBSCRIBE_NO_ECHO: u8 = 0x01;
const SUBSCRIBE_RESPONDER: u8 = 0x02;

impl<'a> Body<'a> for Subscribe<'a> {
    fn read(reader: &mut Reader<'a>, _headers: &'a [u8]) -> Result<Self, Violation> {
        let subscription = reader.u32()?;
        let policy = reader.u8()?;
        let flags = reader.u8()?;
        if flags & !(SUBSCRIBE_NO_ECHO | SUBSCRIBE_RESPONDER) != 0 {
            return Err(Violation(Code::ReservedBits));
        }
        Ok(Subscribe {
            subscription,
            policy: Policy::ALL.get(usize::from(policy)).copied().ok_or(Violation(Code::MalformedFrame))?,
            no_echo: flags & SUBSCRIBE_NO_ECHO != 0,
            responder: flags & SUBSCRIBE_RESPONDER != 0,
            max_rate_hz: reader.u16()?,
            start: Start::read(reader)?,
            filter: reader.blob()?,
            group: reader.blob()?,
        })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.subscription);
        sink.u8(self.policy as u8);
        sink.u8((u8::from(self.no_echo) * SUBSCRIBE_NO_ECHO) | (u8::from(self.responder) * SUBSCRIBE_RESPONDER));
        sink.u16(self.max_rate_hz);
        self.start.write(sink);
        sink.blob(self.filter);
        sink.blob(self.group);
    }
}

/// How a subscription begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// Live from here on.
    Live = 0,
    /// History first; CAUGHT_UP ends it.
    History = 1,
    /// Resumed: nothing between the last record received and the next delivery is missing.
    Resumed = 2,
    /// The asked place belongs to an epoch that is not this log's past.
    ResetEpoch = 3,
    /// Retention has removed the asked place.
    ResetRetention = 4,
    /// The asked place lies beyond the end.
    ResetBeyond = 5,
}

impl Outcome {
    const ALL: [Outcome; 6] = [
        Outcome::Live,
        Outcome::History,
        Outcome::Resumed,
        Outcome::ResetEpoch,
        Outcome::ResetRetention,
        Outcome::ResetBeyond,
    ];

    /// Whether the asked place is gone and the subscription begins with the oldest record instead.
    pub const fn is_reset(self) -> bool {
        matches!(self, Outcome::ResetEpoch | Outcome::ResetRetention | Outcome::ResetBeyond)
    }
}

/// The subscription stands: whoever publishes after seeing this reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribed {
    /// The subscription.
    pub subscription: u32,
    /// The id that MESSAGE frames of this topic carry; 0 when deliveries come by name or through a group.
    pub topic_id: u32,
    /// How it begins.
    pub outcome: Outcome,
    /// The journal's epoch; 0 for live topics.
    pub epoch: u64,
}

impl Body<'_> for Subscribed {
    fn read(reader: &mut Reader<'_>, _headers: &[u8]) -> Result<Self, Violation> {
        let subscription = reader.u32()?;
        let topic_id = reader.u32()?;
        let outcome = reader.u8()?;
        Ok(Subscribed {
            subscription,
            topic_id,
            outcome: Outcome::ALL.get(usize::from(outcome)).copied().ok_or(Violation(Code::MalformedFrame))?,
            epoch: reader.u64()?,
        })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.subscription);
        sink.u32(self.topic_id);
        sink.u8(self.outcome as u8);
        sink.u64(self.epoch);
    }
}

/// Ends a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribe {
    /// The subscription.
    pub subscription: u32,
}

impl Body<'_> for Unsubscribe {
    fn read(reader: &mut Reader<'_>, _headers: &[u8]) -> Result<Self, Violation> {
        Ok(Unsubscribe { subscription: reader.u32()? })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.subscription);
    }
}

/// The subscription is over; nothing of it follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unsubscribed {
    /// The subscription.
    pub subscription: u32,
    /// 0 when the client asked, else the number of the code for which the broker ended it.
    pub code: u16,
}

impl Body<'_> for Unsubscribed {
    fn read(reader: &mut Reader<'_>, _headers: &[u8]) -> Result<Self, Violation> {
        Ok(Unsubscribed { subscription: reader.u32()?, code: reader.u16()? })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.subscription);
        sink.u16(self.code);
    }
}

/// The history of a subscription ends here; live deliveries follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CaughtUp {
    /// The subscription.
    pub subscription: u32,
    /// The position of the last record of the history; 0 when it was empty.
    pub position: u64,
}

impl Body<'_> for CaughtUp {
    fn read(reader: &mut Reader<'_>, _headers: &[u8]) -> Result<Self, Violation> {
        Ok(CaughtUp { subscription: reader.u32()?, position: reader.u64()? })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.subscription);
        sink.u64(self.position);
    }
}

/// A `CatchUp` subscription fell behind and is served from the journal again; CAUGHT_UP ends that. Nothing is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// The subscription.
    pub subscription: u32,
    /// The position of the next record it will get.
    pub position: u64,
}

impl Body<'_> for Cursor {
    fn read(reader: &mut Reader<'_>, _headers: &[u8]) -> Result<Self, Violation> {
        Ok(Cursor { subscription: reader.u32()?, position: reader.u64()? })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.subscription);
        sink.u64(self.position);
    }
}

/// Messages are missing exactly here, before the next delivery of this subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// The subscription whose policy acted.
    pub subscription: u32,
    /// Messages dropped because the queue was full.
    pub dropped: u64,
    /// Messages that a newer one of the same topic replaced.
    pub conflated: u64,
}

impl Body<'_> for Gap {
    fn read(reader: &mut Reader<'_>, _headers: &[u8]) -> Result<Self, Violation> {
        Ok(Gap { subscription: reader.u32()?, dropped: reader.u64()?, conflated: reader.u64()? })
    }

    fn write(&self, sink: &mut impl Sink) {
        sink.u32(self.subscription);
        sink.u64(self.dropped);
        sink.u64(self.conflated);
    }
}

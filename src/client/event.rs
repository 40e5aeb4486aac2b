//! What a client hears: events, and the names of things in them.
//!
//! ```text
//!  frame -> session -> Event<'frame>: borrows from the read buffer, so hearing costs no allocation
//!                        | into_owned
//!                        v
//!                      Event<'static>: for whoever keeps it (the backlog of blocking calls does)
//! ```
//!
//! One message that matches several subscriptions is one frame on the wire and one event for each of them.

use crate::error::{Error, Refusal};
use fanwire_wire::Headers;
use fanwire_wire::frame::{AckLevel, Outcome};
use std::borrow::Cow;
use std::time::Duration;

/// Names a subscription of this client, for as long as the client lives: reconnects do not change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub(crate) u32);

/// Names a publish that asked for an ack. Counts up over the whole life of the client, reconnects included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublishId(pub(crate) u64);

impl PublishId {
    /// The number itself. Ids of consecutive acked publishes are consecutive numbers.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// Names a request in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub(crate) u32);

/// A topic registered for publishing by short id. Reconnects register it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Publisher(pub(crate) u16);

/// Names a call to be answered with `Client::respond`; valid on the connection that brought the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CallHandle {
    pub(crate) connection: u64,
    pub(crate) handle: u64,
}

/// A message as one subscription gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery<'a> {
    /// The subscription it belongs to.
    pub subscription: SubscriptionId,
    /// The topic it was published to.
    pub topic: Cow<'a, str>,
    /// The headers block as the publisher sent it; empty for none. See [`Delivery::headers`].
    pub headers_block: Cow<'a, [u8]>,
    /// What was published.
    pub payload: Cow<'a, [u8]>,
    /// The record's number in its topic, when the topic is journaled.
    pub sequence: Option<u64>,
    /// The record's number in its journal, when the topic is journaled and the subscription a wildcard.
    pub position: Option<u64>,
    /// When it was journaled, in microseconds since 1970-01-01 UTC; told with history only.
    pub time_us: Option<u64>,
    /// The journal's epoch, when the subscription's filter lies inside one journal.
    pub epoch: Option<u64>,
    /// Whether it comes from the journal, before [`Event::CaughtUp`], and not live.
    pub is_history: bool,
}

impl Delivery<'_> {
    /// The headers as pairs.
    pub fn headers(&self) -> Headers<'_> {
        Headers(&self.headers_block)
    }

    /// The same message without a borrow.
    pub fn into_owned(self) -> OwnedMessage {
        Delivery {
            subscription: self.subscription,
            topic: Cow::Owned(self.topic.into_owned()),
            headers_block: Cow::Owned(self.headers_block.into_owned()),
            payload: Cow::Owned(self.payload.into_owned()),
            sequence: self.sequence,
            position: self.position,
            time_us: self.time_us,
            epoch: self.epoch,
            is_history: self.is_history,
        }
    }
}

/// A message that borrows nothing.
pub type OwnedMessage = Delivery<'static>;

/// A request that this client, as a responder, is to answer with `Client::respond`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Call<'a> {
    /// The responder's subscription.
    pub subscription: SubscriptionId,
    /// Names the call in the answer.
    pub handle: CallHandle,
    /// How long the requester will still wait, as the broker saw it when it sent the call.
    pub time_left: Duration,
    /// The topic of the request.
    pub topic: Cow<'a, str>,
    /// The requester's headers block; empty for none. See [`Call::headers`].
    pub headers_block: Cow<'a, [u8]>,
    /// What is asked.
    pub payload: Cow<'a, [u8]>,
}

impl Call<'_> {
    /// The headers as pairs.
    pub fn headers(&self) -> Headers<'_> {
        Headers(&self.headers_block)
    }

    /// The same call without a borrow, to be answered after the poll.
    pub fn into_owned(self) -> Call<'static> {
        Call {
            subscription: self.subscription,
            handle: self.handle,
            time_left: self.time_left,
            topic: Cow::Owned(self.topic.into_owned()),
            headers_block: Cow::Owned(self.headers_block.into_owned()),
            payload: Cow::Owned(self.payload.into_owned()),
        }
    }
}

/// What a responder answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Answer<'a> {
    /// The responder's headers block; empty for none. See [`Answer::headers`].
    pub headers_block: Cow<'a, [u8]>,
    /// The answer.
    pub payload: Cow<'a, [u8]>,
}

impl Answer<'_> {
    /// The headers as pairs.
    pub fn headers(&self) -> Headers<'_> {
        Headers(&self.headers_block)
    }

    /// The same answer without a borrow.
    pub fn into_owned(self) -> Answer<'static> {
        Answer {
            headers_block: Cow::Owned(self.headers_block.into_owned()),
            payload: Cow::Owned(self.payload.into_owned()),
        }
    }
}

/// What an [`Event::Refused`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Subject {
    /// A publish that asked for an ack.
    Publish(PublishId),
    /// A publish that asked for none; which one is not told.
    UnackedPublish,
    /// A registration; publishing with it goes by name from now on.
    Registration(Publisher),
    /// A subscription; it is over and will not come back after a reconnect.
    Subscription(SubscriptionId),
    /// An answer to a call; the requester does not get it.
    Answer(CallHandle),
}

/// Something that happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A message, once for each subscription of this client that it belongs to.
    Message(Delivery<'a>),
    /// Messages of a subscription are missing exactly here, because this client did not keep up.
    Gap {
        /// The subscription.
        subscription: SubscriptionId,
        /// Messages that were dropped.
        dropped: u64,
        /// Messages that a newer one of the same topic replaced.
        conflated: u64,
    },
    /// A request to answer with `Client::respond`.
    Call(Call<'a>),
    /// A request of `Client::send_request` ended: the answer, or why there is none.
    Response {
        /// The request.
        request: RequestId,
        /// The answer; [`Error::Unknown`] or [`Error::Disconnected`] when the connection ended first.
        outcome: Result<Answer<'a>, Error>,
    },
    /// Publishes `first .. first + count` are acknowledged.
    Acked {
        /// The first of them.
        first: PublishId,
        /// How many.
        count: u32,
        /// What they have survived.
        level: AckLevel,
        /// The sequence that the first got in its topic's journal; the others follow.
        first_sequence: Option<u64>,
        /// Whether the journal had accepted all of them before; the sequences are those of then.
        is_duplicate: bool,
    },
    /// The broker refused one thing; the connection goes on.
    Refused {
        /// What it refused.
        subject: Subject,
        /// Why.
        refusal: Refusal,
    },
    /// A subscription stands: what is published from now on reaches it. Told for `Client::send_subscribe`, for
    /// `Client::subscribe` where history follows, and for every subscription again after a reconnect.
    ///
    /// [`Outcome::Resumed`]: nothing is missing. A reset ([`Outcome::is_reset`]): the place is gone, for the reason
    /// that the outcome names, and the oldest record comes first; what was kept of the past is to be thrown away.
    Subscribed {
        /// The subscription.
        subscription: SubscriptionId,
        /// How it begins.
        outcome: Outcome,
        /// The epoch of the journal that the filter lies in; 0 where it lies in none.
        epoch: u64,
    },
    /// A subscription is over; nothing of it follows.
    Unsubscribed {
        /// The subscription.
        subscription: SubscriptionId,
        /// Why the broker ended it; `None` when this client asked.
        refusal: Option<Refusal>,
    },
    /// The history of a subscription ends here; live messages follow.
    CaughtUp {
        /// The subscription.
        subscription: SubscriptionId,
        /// The journal position of its last record; 0 when there was none.
        position: u64,
    },
    /// A subscription fell behind and is served from the journal until [`Event::CaughtUp`]; nothing is missing.
    FellBehind {
        /// The subscription.
        subscription: SubscriptionId,
        /// The journal position that comes next.
        position: u64,
    },
    /// The broker's answer to a ping.
    Pong {
        /// The token that the ping carried.
        token: u64,
        /// The broker's clock, in microseconds since 1970-01-01 UTC.
        clock_us: u64,
    },
    /// The broker will close soon. The client keeps using the connection and moves at a random moment of the window.
    Goaway {
        /// Why, and what people may read.
        refusal: Refusal,
        /// The start of the reconnect window, from now.
        reconnect_min: Duration,
        /// The end of the reconnect window, from now.
        reconnect_max: Duration,
    },
    /// The connection ended. What was in flight is told next: [`Event::PublishesUnknown`],
    /// [`Event::PublishesUnsent`], [`Event::Response`].
    Disconnected {
        /// Why.
        error: Error,
        /// Buffered publishes of any kind that certainly did not reach the broker; they are dropped.
        publishes_unsent: u64,
        /// When the next connection is tried; `None`: never, the client is over.
        reconnect_in: Option<Duration>,
    },
    /// An attempt to reconnect failed.
    ReconnectFailed {
        /// Why.
        error: Error,
        /// When the next one is made; `None`: never, the client is over.
        reconnect_in: Option<Duration>,
    },
    /// There is a connection again. Registrations are renewed and subscriptions asked for again; each reports
    /// itself with [`Event::Subscribed`] when it stands.
    Reconnected {
        /// Whether messages may have been missed: some subscription was live and does not resume. Whether those that
        /// do resume miss something is told by their [`Event::Subscribed`].
        may_have_missed: bool,
        /// Names the new connection in the broker's logs.
        connection_id: u64,
    },
    /// The connection ended before these acked publishes were settled: each may have happened, or not. They are
    /// never sent again silently.
    PublishesUnknown {
        /// The first of them.
        first: PublishId,
        /// How many.
        count: u64,
    },
    /// The connection ended before these acked publishes left the buffer: they did not happen.
    PublishesUnsent {
        /// The first of them.
        first: PublishId,
        /// How many.
        count: u64,
    },
}

impl Event<'_> {
    /// The same event without a borrow.
    #[rustfmt::skip]
    pub fn into_owned(self) -> Event<'static> {
        match self {
            Event::Message(delivery) => Event::Message(delivery.into_owned()),
            Event::Call(call) => Event::Call(call.into_owned()),
            Event::Response { request, outcome } =>
                Event::Response { request, outcome: outcome.map(Answer::into_owned) },
            Event::Gap { subscription, dropped, conflated } => Event::Gap { subscription, dropped, conflated },
            Event::Acked { first, count, level, first_sequence, is_duplicate } =>
                Event::Acked { first, count, level, first_sequence, is_duplicate },
            Event::Refused { subject, refusal } => Event::Refused { subject, refusal },
            Event::Subscribed { subscription, outcome, epoch } => Event::Subscribed { subscription, outcome, epoch },
            Event::Unsubscribed { subscription, refusal } => Event::Unsubscribed { subscription, refusal },
            Event::CaughtUp { subscription, position } => Event::CaughtUp { subscription, position },
            Event::FellBehind { subscription, position } => Event::FellBehind { subscription, position },
            Event::Pong { token, clock_us } => Event::Pong { token, clock_us },
            Event::Goaway { refusal, reconnect_min, reconnect_max } =>
                Event::Goaway { refusal, reconnect_min, reconnect_max },
            Event::Disconnected { error, publishes_unsent, reconnect_in } =>
                Event::Disconnected { error, publishes_unsent, reconnect_in },
            Event::ReconnectFailed { error, reconnect_in } => Event::ReconnectFailed { error, reconnect_in },
            Event::Reconnected { may_have_missed, connection_id } =>
                Event::Reconnected { may_have_missed, connection_id },
            Event::PublishesUnknown { first, count } => Event::PublishesUnknown { first, count },
            Event::PublishesUnsent { first, count } => Event::PublishesUnsent { first, count },
        }
    }

    /// Bytes that keeping the event takes, for bounds.
    pub(crate) fn kept_bytes(&self) -> usize {
        size_of::<Event<'_>>()
            + match self {
                Event::Message(delivery) => {
                    delivery.topic.len() + delivery.headers_block.len() + delivery.payload.len()
                }
                Event::Call(call) => call.topic.len() + call.headers_block.len() + call.payload.len(),
                Event::Response { outcome: Ok(answer), .. } => answer.headers_block.len() + answer.payload.len(),
                _ => 0,
            }
    }
}

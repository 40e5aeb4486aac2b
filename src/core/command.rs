//! What a session can ask of the shard, whatever protocol it speaks.

use crate::submissions::Conditions;
use fanwire_wire::frame::{AckLevel, Policy, Start};

/// Where a publication goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target<'a> {
    /// A topic name, not yet checked.
    Name(&'a [u8]),
    /// A short id that the session registered.
    Short(u16),
}

/// One command of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Give a topic a short id.
    Register {
        /// The id.
        short_id: u16,
        /// A topic name, not yet checked.
        topic: &'a [u8],
    },
    /// Publish messages, one after the other, that differ in their payload alone. They are admitted, refused or
    /// postponed together, so no more than [`crate::Shard::run_messages_max`] may come at once.
    Publish {
        /// Where to.
        target: Target<'a>,
        /// The acknowledgement asked for.
        ack: AckLevel,
        /// The headers block, opaque.
        headers: &'a [u8],
        /// The payloads; at least one.
        payloads: &'a [&'a [u8]],
    },
    /// Publish a message, if the conditions hold that only a journal can check.
    PublishIf {
        /// Where to.
        target: Target<'a>,
        /// The acknowledgement asked for.
        ack: AckLevel,
        /// The conditions.
        conditions: Conditions,
        /// The headers block, opaque.
        headers: &'a [u8],
        /// The payload.
        payload: &'a [u8],
    },
    /// Subscribe to a filter.
    Subscribe(Subscribe<'a>),
    /// End a subscription.
    Unsubscribe {
        /// The session's own number of it.
        subscription: u32,
    },
    /// Ask whoever responds on a topic.
    Request {
        /// The session's own number of the request.
        correlation: u32,
        /// Milliseconds until the answer is worthless.
        deadline_ms: u32,
        /// A topic name, not yet checked.
        topic: &'a [u8],
        /// The headers block, opaque.
        headers: &'a [u8],
        /// The payload.
        payload: &'a [u8],
    },
    /// Answer a call.
    Reply {
        /// The call's handle.
        handle: u64,
        /// The headers block, opaque.
        headers: &'a [u8],
        /// The payload.
        payload: &'a [u8],
    },
}

/// What a subscription asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// The session's own number of the subscription.
    pub subscription: u32,
    /// A topic filter, not yet checked.
    pub filter: &'a [u8],
    /// A group name, not yet checked; empty for none.
    pub group: &'a [u8],
    /// What happens when the session does not keep up.
    pub policy: Policy,
    /// Keep the session's own messages away from it.
    pub no_echo: bool,
    /// Take requests instead of publications.
    pub responder: bool,
    /// Newest messages a second and topic; 0: no bound.
    pub max_rate_hz: u16,
    /// Where to start.
    pub start: Start,
}

//! A subscription of a local session: what it asked for, where it stands, and what waits under it.

use crate::arena::{EntryKey, HeldKey, MembershipKey, NodeKey, SessionKey, TopicKey};
use crate::journal::plan::JournalId;
use fanwire_wire::frame::Policy;

/// Where a subscription is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a topic's list of exact subscriptions.
    Topic(TopicKey),
    /// At a node of the filter tree.
    Node(NodeKey),
    /// Among a group's members, wherever that group lives.
    Group(MembershipKey),
}

pub(crate) struct Subscription {
    pub(crate) session: SessionKey,
    /// The number the session knows it by.
    pub(crate) number: u32,
    pub(crate) place: Place,
    /// Its index in the list of its place.
    pub(crate) position: u32,
    /// Its entries in the session's queue, oldest first.
    pub(crate) queued_first: EntryKey,
    pub(crate) queued_last: EntryKey,
    /// The first of the values that are held back under it.
    pub(crate) held: HeldKey,
    pub(crate) max_rate_hz: u16,
    pub(crate) policy: Policy,
    pub(crate) no_echo: bool,
    /// The journal that all topics of its filter are in.
    pub(crate) journal: JournalId,
    /// It is served from the journal: what is released now is not for it, but will be.
    pub(crate) is_replaying: bool,
}

impl Subscription {
    /// Orders subscriptions that share a delivery: the smallest governs. Among conflating ones that is the one that
    /// lets most through, and no bound lets through more than any; among equals it is always the same one, so that
    /// their rate is kept in one place.
    pub(crate) fn strictness(&self) -> (Policy, u16, u32) {
        let rate = if self.max_rate_hz == 0 { u16::MAX } else { self.max_rate_hz - 1 };
        (self.policy, u16::MAX - rate, self.number)
    }
}

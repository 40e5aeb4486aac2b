//! What a shard has done, as plain numbers that only its owner touches.

use fanwire_wire::frame::Policy;

/// Totals since the shard was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Publications admitted.
    pub messages_in: u64,
    /// Payload bytes of admitted publications.
    pub payload_bytes_in: u64,
    /// Messages placed in out-queues.
    pub deliveries: u64,
    /// Messages lost to full queues.
    pub dropped: u64,
    /// The same by the policy that lost them, in the order of [`Policy::ALL`].
    pub dropped_by_policy: [u64; Policy::ALL.len()],
    /// Messages replaced by newer ones of their topic.
    pub conflated: u64,
    /// Commands refused with a code, the connection living on.
    pub refused: u64,
    /// Requests admitted.
    pub requests: u64,
    /// Requests that ended without a reply.
    pub requests_failed: u64,
    /// Replies that came after their request had ended.
    pub late_replies: u64,
    /// Connections closed for not reading.
    pub slow_closed: u64,
    /// Messages added to the mail of other shards, each as often as there are such.
    pub mailed_out: u64,
    /// Messages that came by mail.
    pub mailed_in: u64,
    /// Times that a command had to wait for room on the way to another shard.
    pub postponed: u64,
    /// Filters of groups whose publishers had to wait because the members could not be reached.
    pub jams: u64,
    /// Picks that came back from a member that was gone or full.
    pub returned: u64,
    /// Subscriptions that did not keep up and went on from their journal.
    pub fallen_back: u64,
    /// Times that this shard did not keep up with a journal, and read it by itself.
    pub relays: u64,
}

impl Counters {
    /// Messages were lost to a full queue, as this policy says.
    pub(crate) fn note_dropped(&mut self, policy: Policy, count: u64) {
        self.dropped += count;
        if let Some(of_policy) = self.dropped_by_policy.get_mut(policy as usize) {
            *of_policy += count;
        }
    }
}

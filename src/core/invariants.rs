//! The full sweep: everything that is counted or linked, looked at again from scratch. Costs as much as the state is
//! large, so tests, fuzzing and the simulation call it, and the broker does not.

use crate::arena::{ChunkKey, EntryKey, Key, SessionKey};
use crate::outbox::Content;
use crate::settings::HELD_BYTES;
use crate::shard::Shard;
use crate::subscription::Place;
use std::collections::BTreeMap;

impl Shard {
    /// Checks every invariant between turns.
    ///
    /// # Panics
    /// When one is broken: a bug here.
    pub fn check_invariants(&self) {
        assert!(self.opens.is_empty() && self.acking.is_empty(), "between turns nothing is open");
        let mut references: BTreeMap<ChunkKey, u32> = BTreeMap::new();
        let mut charged_bytes = 0;
        let mut entry_count = 0;
        for (key, _) in self.sessions.iter() {
            let (entries, bytes) = self.check_queue(key, &mut references);
            entry_count += entries;
            charged_bytes += u64::from(bytes);
        }
        assert_eq!(entry_count, self.entries.len(), "every entry stands in a queue");
        assert_eq!(charged_bytes, self.charged_bytes, "the total is the sum");
        for (_, held) in self.held.iter().filter(|(_, held)| held.chunk.is_some()) {
            *references.entry(held.chunk).or_default() += 1;
        }
        let counted: BTreeMap<ChunkKey, u32> = self.chunks.referenced().collect();
        assert_eq!(references, counted, "a chunk's references are its users");
        self.check_subscriptions();
        self.check_requests();
    }

    fn check_queue(&self, session: SessionKey, references: &mut BTreeMap<ChunkKey, u32>) -> (usize, u32) {
        let state = &self.sessions[session];
        let mut bytes = state.more().map_or(0, |more| more.kept_bytes);
        let mut count = 0;
        let mut entry = state.queue.front();
        while entry.is_some() {
            let item = &self.entries[entry];
            *references.entry(item.chunk).or_default() += 1;
            bytes += Shard::charge_of(item.range.bytes());
            count += 1;
            assert_eq!(
                item.subscription.is_some(),
                !matches!(item.content, Content::Control),
                "what a policy may drop belongs to a subscription"
            );
            if item.subscription.is_some() {
                assert!(self.subscriptions[item.subscription].session == session, "its own session's");
            }
            entry = item.next;
        }
        let held = self.held.iter().filter(|(_, held)| held.session == session);
        let mut held_count = 0;
        for (_, held) in held {
            assert!(self.subscriptions[held.subscription].session == session, "its own session's");
            let value = if held.chunk.is_some() { Shard::charge_of(self.chunks.get(held.chunk).length()) } else { 0 };
            bytes += HELD_BYTES + value;
            held_count += 1;
        }
        assert_eq!(
            (held_count, held_count > 0),
            (state.held().count, state.has_held),
            "a session knows how many values are held for it"
        );
        assert_eq!(bytes, state.queue.charged_bytes, "a queue is charged what it holds");
        (count, bytes)
    }

    fn check_subscriptions(&self) {
        let mut listed = 0;
        for (key, state) in self.sessions.iter() {
            for index in 0..state.subscription_count() {
                let subscription = state.subscription_at(index);
                let found = &self.subscriptions[subscription];
                assert!(found.session == key, "a session lists its own");
                let place = state.find_subscription(found.number, &self.subscriptions);
                assert_eq!(place, Ok(index), "found by binary search");
                let at_place = match found.place {
                    Place::Topic(topic) => self.topics.get(topic).exact.get(found.position as usize).copied(),
                    Place::Group(membership) => self.is_membership_of(membership, subscription).then_some(subscription),
                    Place::Node(node) => self.filters.subscription_at(node, found.position),
                };
                assert_eq!(at_place, Some(subscription), "a subscription stands where it says");
                self.check_chain(key, found.queued_first, found.queued_last);
            }
            listed += state.subscription_count();
        }
        assert_eq!(listed, self.subscriptions.len(), "every subscription is some session's");
        self.check_groups();
        let exact: usize = self.topics.iter().map(|(_, topic)| topic.exact.len()).sum();
        assert!(exact <= listed, "no place lists a subscription twice");
        self.check_interest();
    }

    fn check_chain(&self, session: SessionKey, first: EntryKey, last: EntryKey) {
        let mut entry = first;
        let mut reached = EntryKey::NONE;
        while entry.is_some() {
            let is_second_gap = reached.is_some() && self.is_gap(reached) && self.is_gap(entry);
            assert!(!is_second_gap || self.has_begun(session, reached), "GAPs without a message between them are one");
            reached = entry;
            entry = self.entries[entry].next_in_chain();
        }
        assert!(reached == last, "a chain ends at its last entry");
    }

    /// What other shards are told of is what stands here.
    fn check_interest(&self) {
        let own = self.subscriptions.iter().filter(|(_, found)| !matches!(found.place, Place::Group(_))).count();
        let responders = self.groups.iter().filter(|(_, group)| group.responder).count();
        let groups = self.groups.iter().count() - responders;
        let counted = self.exchange.counts.sweep(&self.exchange.seat);
        assert_eq!(counted, ((own + groups) as u64, responders as u64), "every filter is counted once");
    }

    fn check_requests(&self) {
        let asked: usize = self.sessions.iter().filter_map(|(_, state)| Some(state.dialogue()?.asked.len())).sum();
        let called: usize = self.sessions.iter().filter_map(|(_, state)| Some(state.dialogue()?.called.len())).sum();
        assert_eq!(asked, self.asked.len(), "every request is waited for by its requester");
        assert_eq!(called, self.owed.len(), "every call is owed by its responder");
    }
}

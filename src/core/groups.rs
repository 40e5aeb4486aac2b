//! Groups: subscriptions that share the messages of a filter, each message to exactly one of them.
//!
//! A group of responders takes requests, any other takes publications; the two never mix, though filter and name be
//! the same. Members are picked in turn, and one whose queue is full is passed over. What a picked member has not
//! read when it dies is lost: exactly one queue gets a message, and nobody takes it back.

use crate::arena::{Arena, GroupKey, NodeKey, SessionKey, SubscriptionKey, TopicKey};
use crate::encoding::Event;
use crate::fanout::Incoming;
use crate::shard::Shard;
use fanwire_wire::frame::Policy;
use fanwire_wire::{Code, TopicFilter};
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// What it costs a turn to ask a member, in bytes: a crowd of full ones must not hold up those who have nothing to do
/// with the group.
const MEMBER_COST: usize = 8;

/// Where a group hangs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Perch {
    Topic(TopicKey),
    Node(NodeKey),
}

pub(crate) struct Group {
    filter: Box<str>,
    name: Box<str>,
    pub(crate) responder: bool,
    pub(crate) members: Vec<SubscriptionKey>,
    /// Whose turn it is.
    next: usize,
    perch: Perch,
    /// Its index in the list of its perch.
    position: u32,
}

pub(crate) struct Groups {
    groups: Arena<GroupKey, Group>,
    by_name: HashTable<GroupKey>,
    hasher: FixedState,
}

impl Groups {
    pub(crate) fn new(seed: u64) -> Self {
        Groups { groups: Arena::new(), by_name: HashTable::new(), hasher: FixedState::with_seed(seed) }
    }

    fn find(&self, filter: &str, name: &str, responder: bool) -> Option<GroupKey> {
        let same = |key: &GroupKey| {
            let group = &self.groups[*key];
            &*group.filter == filter && &*group.name == name && group.responder == responder
        };
        self.by_name.find(self.hasher.hash_one((filter, name, responder)), same).copied()
    }

    fn insert(&mut self, group: Group) -> GroupKey {
        let hash = hash_of(&self.hasher, &group);
        let key = self.groups.insert(group);
        let Groups { groups, by_name, hasher } = self;
        by_name.insert_unique(hash, key, |key| hash_of(hasher, &groups[*key]));
        key
    }

    fn remove(&mut self, key: GroupKey) -> Group {
        let hash = hash_of(&self.hasher, &self.groups[key]);
        let found = self.by_name.find_entry(hash, |known| *known == key);
        found.expect("every group is found by its name").remove();
        if self.by_name.is_empty() {
            self.by_name = HashTable::new();
        }
        self.groups.remove(key)
    }

    pub(crate) fn get(&self, key: GroupKey) -> &Group {
        &self.groups[key]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (GroupKey, &Group)> {
        self.groups.iter()
    }
}

fn hash_of(hasher: &FixedState, group: &Group) -> u64 {
    hasher.hash_one((&*group.filter, &*group.name, group.responder))
}

/// Whom a group picked.
pub(crate) enum Pick {
    /// This member has room.
    Member(SubscriptionKey),
    /// All who may get it are full; this one's policy decides.
    Full(SubscriptionKey),
    /// Nobody may get it.
    Nobody,
}

impl Shard {
    /// Adds a member and returns its group and its place there.
    pub(crate) fn join_group(
        &mut self,
        key: SubscriptionKey,
        filter: TopicFilter<'_>,
        name: &str,
        responder: bool,
    ) -> (GroupKey, u32) {
        let group = match self.groups.find(filter.as_str(), name, responder) {
            Some(group) => group,
            None => self.found_group(filter, name, responder),
        };
        let members = &mut self.groups.groups[group].members;
        members.push(key);
        (group, (members.len() - 1) as u32)
    }

    fn found_group(&mut self, filter: TopicFilter<'_>, name: &str, responder: bool) -> GroupKey {
        let perch = if filter.is_exact() {
            let topic = self.topics.obtain(filter.as_str());
            self.topics.hold(topic);
            Perch::Topic(topic)
        } else {
            self.prepare_wildcard_change();
            Perch::Node(self.filters.obtain(filter.as_str()))
        };
        let group = self.groups.insert(Group {
            filter: filter.as_str().into(),
            name: name.into(),
            responder,
            members: Vec::new(),
            next: 0,
            perch,
            position: 0,
        });
        let list = self.list_of_perch(perch);
        list.push(group);
        self.groups.groups[group].position = (list.len() - 1) as u32;
        group
    }

    pub(crate) fn leave_group(&mut self, key: GroupKey, position: u32) {
        let group = &mut self.groups.groups[key];
        group.members.swap_remove(position as usize);
        if let Some(moved) = group.members.get(position as usize) {
            self.subscriptions[*moved].position = position;
        }
        if group.members.is_empty() {
            self.dissolve_group(key);
        }
    }

    fn dissolve_group(&mut self, key: GroupKey) {
        let Group { perch, position, .. } = self.groups.remove(key);
        if let Perch::Node(_) = perch {
            self.prepare_wildcard_change();
        }
        let list = self.list_of_perch(perch);
        list.swap_remove(position as usize);
        if let Some(moved) = list.get(position as usize).copied() {
            self.groups.groups[moved].position = position;
        }
        match perch {
            Perch::Topic(topic) => self.topics.unhold(topic),
            Perch::Node(node) => self.filters.note_group_left(node),
        }
    }

    fn list_of_perch(&mut self, perch: Perch) -> &mut Vec<GroupKey> {
        match perch {
            Perch::Topic(topic) => &mut self.topics.get_mut(topic).groups,
            Perch::Node(node) => self.filters.groups_at_mut(node),
        }
    }

    /// The group that stands where this one says it does.
    pub(crate) fn group_at_place_of(&self, group: &Group) -> Option<GroupKey> {
        let list = match group.perch {
            Perch::Topic(topic) => &self.topics.get(topic).groups[..],
            Perch::Node(node) => self.filters.groups_at(node),
        };
        list.get(group.position as usize).copied()
    }

    /// Gives a message to one member of each group that takes publications.
    pub(crate) fn deliver_to_groups(&mut self, groups: &[GroupKey], topic: &str, message: Incoming<'_>) {
        for group in groups {
            if self.groups.get(*group).responder {
                continue;
            }
            let bytes = (topic.len() + message.headers.len() + message.payload.len()) as u32;
            match self.pick(*group, Some(message.publisher), bytes) {
                Pick::Member(member) => self.hand_over(member, topic, message),
                Pick::Full(member) => self.overflow_member(member, topic, message, bytes),
                Pick::Nobody => {}
            }
        }
    }

    /// The next member in turn that may get a message of `publisher` and has room for it.
    pub(crate) fn pick(&mut self, key: GroupKey, publisher: Option<SessionKey>, bytes: u32) -> Pick {
        let count = self.groups.get(key).members.len();
        let mut full = Pick::Nobody;
        for offset in 0..count {
            self.spend(MEMBER_COST);
            let group = self.groups.get(key);
            let index = (group.next + offset) % count;
            let member = group.members[index];
            let subscription = &self.subscriptions[member];
            let session = &self.sessions[subscription.session];
            if session.is_doomed || (subscription.no_echo && publisher == Some(subscription.session)) {
                continue;
            }
            if self.has_room(subscription.session, bytes) {
                self.groups.groups[key].next = (index + 1) % count;
                return Pick::Member(member);
            }
            if matches!(full, Pick::Nobody) {
                full = Pick::Full(member);
            }
        }
        if let Pick::Full(_) = full {
            let group = &mut self.groups.groups[key];
            group.next = (group.next + 1) % count;
        }
        full
    }

    fn hand_over(&mut self, member: SubscriptionKey, topic: &str, message: Incoming<'_>) {
        let session = self.subscriptions[member].session;
        let event = Event::GroupMessage {
            subscription: self.subscriptions[member].number,
            topic,
            headers: message.headers,
            payload: message.payload,
        };
        self.enqueue_picked(session, member, &event);
    }

    /// Every member is full: the policy of the one whose turn it was decides.
    fn overflow_member(&mut self, member: SubscriptionKey, topic: &str, message: Incoming<'_>, bytes: u32) {
        let session = self.subscriptions[member].session;
        match self.subscriptions[member].policy {
            Policy::Disconnect => {
                self.counters.dropped += 1;
                self.doom(session, Code::SlowConsumer);
            }
            Policy::DropOldest => {
                while !self.has_room(session, bytes) {
                    if !self.drop_oldest(member) {
                        return self.note_loss_at_back(member, 1, 0);
                    }
                }
                self.hand_over(member, topic, message);
            }
            _ => self.note_loss_at_back(member, 1, 0),
        }
    }
}

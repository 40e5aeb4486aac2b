//! Groups: subscriptions that share the messages of a filter, each message to exactly one of them.
//!
//! ```text
//!   publisher's shard          home: hash(filter, group)            a member's shard
//!    message --interest-->   group "jobs": pick in turn  --Pick-->  membership --> its session's queue
//!                              |   ^   members 0 .. n               |   gone, going, full
//!                              |   `-----------Returned-------------'
//!                              `-- the next one's turn
//! ```
//!
//! A group lives on one shard, its home, which a hash of filter and name gives; its members may be anywhere. The home
//! holds the interest, and knows of each member where it is and whether it was said to be full. Whatever has to be said
//! between a home and a member goes as a note, and is done at once where both are the same shard, so there is one way.
//!
//! A group of responders takes requests, any other takes publications; the two never mix, though filter and name be
//! the same. Members are picked in turn, and one whose queue is full is passed over. A message whose member turns out
//! to be gone or full comes back and goes to another. Exactly one queue gets a message, and nobody takes it back: what
//! a member has not read when it dies is lost.

use crate::arena::{Arena, GroupKey, Key, MemberKey, NodeKey, TopicKey};
use crate::fanout::Incoming;
use crate::filters::is_exact;
use crate::interest::{Kind, Reach};
use crate::mail::{Errand, GroupId, MembershipId, Note, Parcel, Publisher};
use crate::session::SessionId;
use crate::shard::Shard;
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

/// A group that lives here.
pub(crate) struct Group {
    filter: Box<str>,
    name: Box<str>,
    pub(crate) responder: bool,
    /// Tells it from others under the same key.
    serial: u64,
    pub(crate) members: Vec<MemberKey>,
    /// Whose turn it is.
    next: usize,
    perch: Perch,
    /// Its index in the list of its perch.
    position: u32,
}

impl Group {
    pub(crate) fn filter(&self) -> &str {
        &self.filter
    }
}

/// What a home knows of a member.
pub(crate) struct Member {
    group: GroupKey,
    /// Its index among the group's members.
    position: u32,
    /// Where it is.
    pub(crate) shard: u8,
    pub(crate) membership: MembershipId,
    /// Its session there.
    session: SessionId,
    no_echo: bool,
    /// It has returned something and not said since that it has room. Only of members elsewhere.
    is_full: bool,
}

pub(crate) struct Groups {
    groups: Arena<GroupKey, Group>,
    members: Arena<MemberKey, Member>,
    by_name: HashTable<GroupKey>,
    hasher: FixedState,
    serials: u64,
}

impl Groups {
    pub(crate) fn new(seed: u64) -> Self {
        Groups {
            groups: Arena::new(),
            members: Arena::new(),
            by_name: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            serials: 0,
        }
    }

    /// The shard where a group lives, of so many.
    pub(crate) fn home_of(&self, filter: &str, name: &str, responder: bool, shards: usize) -> u8 {
        (self.hasher.hash_one((filter, name, responder)) % shards as u64) as u8
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
        let Groups { groups, by_name, hasher, .. } = self;
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

    pub(crate) fn member(&self, key: MemberKey) -> &Member {
        &self.members[key]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (GroupKey, &Group)> {
        self.groups.iter()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.groups.len() == 0
    }

    /// How many members all groups have.
    pub(crate) fn member_count(&self) -> usize {
        self.members.len()
    }
}

fn hash_of(hasher: &FixedState, group: &Group) -> u64 {
    hasher.hash_one((&*group.filter, &*group.name, group.responder))
}

/// Whom a group picked.
pub(crate) enum Pick {
    /// This member has room, as far as is known.
    Member(MemberKey),
    /// Nobody has room; this one may have, but the way to it is full.
    Behind(MemberKey),
    /// All who may get it are full; this one's policy decides.
    Full(MemberKey),
    /// Nobody may get it.
    Nobody,
}

impl Shard {
    /// Takes a member in, and tells it.
    pub(crate) fn admit_member(
        &mut self,
        shard: u8,
        membership: MembershipId,
        session: SessionId,
        responder: bool,
        no_echo: bool,
        parcel: Parcel<'_>,
    ) {
        let (filter, name) = (parcel.topic, crate::mail::text(parcel.headers));
        let group = match self.groups.find(filter, name, responder) {
            Some(group) => group,
            None => self.found_group(filter, name, responder),
        };
        let position = self.groups.groups[group].members.len() as u32;
        let member =
            self.groups.members.insert(Member { group, position, shard, membership, session, no_echo, is_full: false });
        self.groups.groups[group].members.push(member);
        self.tell(shard, Note::Joined { membership, member }, Parcel::default());
    }

    fn found_group(&mut self, filter: &str, name: &str, responder: bool) -> GroupKey {
        let perch = if is_exact(filter) {
            let topic = self.topics.obtain(filter);
            self.topics.hold(topic);
            Perch::Topic(topic)
        } else {
            self.prepare_wildcard_change();
            Perch::Node(self.filters.obtain(filter))
        };
        self.groups.serials += 1;
        let group = self.groups.insert(Group {
            filter: filter.into(),
            name: name.into(),
            responder,
            serial: self.groups.serials,
            members: Vec::new(),
            next: 0,
            perch,
            position: 0,
        });
        let list = self.list_of_perch(perch);
        list.push(group);
        self.groups.groups[group].position = (list.len() - 1) as u32;
        self.raise_interest(kind_of(responder), self.reach_of_perch(perch));
        group
    }

    /// A member is none any more.
    pub(crate) fn dismiss_member(&mut self, key: MemberKey) {
        let Member { group, position, .. } = self.groups.members.remove(key);
        let members = &mut self.groups.groups[group].members;
        members.swap_remove(position as usize);
        if let Some(moved) = members.get(position as usize).copied() {
            self.groups.members[moved].position = position;
        }
        if self.groups.groups[group].members.is_empty() {
            self.dissolve_group(group);
        }
    }

    fn dissolve_group(&mut self, key: GroupKey) {
        let Group { perch, position, responder, .. } = self.groups.remove(key);
        self.lower_interest(kind_of(responder), self.reach_of_perch(perch));
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
            Perch::Topic(topic) => self.topics.get_mut(topic).groups_mut(),
            Perch::Node(node) => self.filters.groups_at_mut(node),
        }
    }

    fn reach_of_perch(&self, perch: Perch) -> Reach {
        match perch {
            Perch::Topic(topic) => Reach::Exact(self.topics.get(topic).spot.hash),
            Perch::Node(node) => self.filters.reach_of(node),
        }
    }

    /// The group that stands where this one says it does.
    pub(crate) fn group_at_place_of(&self, group: &Group) -> Option<GroupKey> {
        let list = match group.perch {
            Perch::Topic(topic) => self.topics.get(topic).groups(),
            Perch::Node(node) => self.filters.groups_at(node),
        };
        list.get(group.position as usize).copied()
    }

    /// A member that was full has room again.
    pub(crate) fn note_room(&mut self, member: MemberKey) {
        self.groups.members[member].is_full = false;
    }

    /// Gives each message to one member of each group that takes publications.
    pub(crate) fn deliver_to_groups(&mut self, groups: &[GroupKey], topic: &str, messages: &Incoming<'_>) {
        let Incoming { publisher, headers, payloads, .. } = *messages;
        for payload in payloads {
            for group in groups {
                if !self.groups.get(*group).responder {
                    self.deliver_to_group(*group, publisher, Parcel { topic, headers, payload });
                }
            }
        }
    }

    fn deliver_to_group(&mut self, group: GroupKey, publisher: Publisher, parcel: Parcel<'_>) {
        let errand = Errand::Message(publisher);
        let (member, has_room) = match self.pick(group, &errand, parcel.bytes() as u32) {
            Pick::Member(member) | Pick::Behind(member) => (member, true),
            Pick::Full(member) => (member, false),
            Pick::Nobody => return,
        };
        if self.is_behind_full_lane(member) {
            self.jam(self.reach_of_perch(self.groups.get(group).perch), self.groups.member(member).shard);
        }
        // What an only member returned would come back to it, behind what was sent to it since.
        let is_only = self.groups.get(group).members.len() == 1;
        self.send_pick(group, member, errand, is_only || !has_room, parcel);
    }

    /// Tells a member that it is picked.
    pub(crate) fn send_pick(
        &mut self,
        key: GroupKey,
        member: MemberKey,
        errand: Errand,
        is_forced: bool,
        parcel: Parcel<'_>,
    ) {
        let Member { shard, membership, .. } = *self.groups.member(member);
        let group = GroupId { key, serial: self.groups.get(key).serial };
        self.tell(shard, Note::Pick { membership, group, errand, is_forced }, parcel);
    }

    /// The next member in turn that may be sent on an errand and has room for it.
    pub(crate) fn pick(&mut self, key: GroupKey, errand: &Errand, bytes: u32) -> Pick {
        let count = self.groups.get(key).members.len();
        let mut second = Pick::Nobody;
        for offset in 0..count {
            self.spend(MEMBER_COST);
            let group = self.groups.get(key);
            let index = (group.next + offset) % count;
            let member = group.members[index];
            if self.is_barred(member, errand) {
                continue;
            }
            if !self.is_known_full(member, errand, bytes) {
                if !self.is_behind_full_lane(member) {
                    self.groups.groups[key].next = (index + 1) % count;
                    return Pick::Member(member);
                }
                if !matches!(second, Pick::Behind(_)) {
                    second = Pick::Behind(member);
                }
            } else if matches!(second, Pick::Nobody) {
                second = Pick::Full(member);
            }
        }
        if !matches!(second, Pick::Nobody) {
            let group = &mut self.groups.groups[key];
            group.next = (group.next + 1) % count;
        }
        second
    }

    /// Whether a member may not get this, whatever room it has.
    fn is_barred(&self, key: MemberKey, errand: &Errand) -> bool {
        let member = self.groups.member(key);
        let own = Publisher { shard: member.shard, session: member.session };
        (member.no_echo && *errand == Errand::Message(own))
            || (self.is_here(member) && self.sessions[member.session.key].is_doomed)
    }

    fn is_known_full(&self, key: MemberKey, errand: &Errand, bytes: u32) -> bool {
        let member = self.groups.member(key);
        if self.is_here(member) { !self.can_take(member.session.key, errand, bytes) } else { member.is_full }
    }

    fn is_behind_full_lane(&self, key: MemberKey) -> bool {
        self.exchange.is_full(self.groups.member(key).shard)
    }

    fn is_here(&self, member: &Member) -> bool {
        member.shard == self.exchange.seat.number()
    }

    /// Something came back from a member: it goes to another, unless the group is gone, and with it everybody who
    /// could want it.
    pub(crate) fn pick_again(&mut self, group: GroupId, member: MemberKey, errand: Errand, parcel: Parcel<'_>) {
        self.counters.returned += 1;
        if member.is_some() && !self.is_here(self.groups.member(member)) {
            self.groups.members[member].is_full = true;
        }
        match errand {
            Errand::Request(asking) => self.look_for_responder(asking, parcel),
            Errand::Message(publisher) => {
                if self.groups.groups.get(group.key).is_some_and(|found| found.serial == group.serial) {
                    self.deliver_to_group(group.key, publisher, parcel);
                }
            }
        }
    }

    /// What of groups and members does not fit together.
    pub(crate) fn check_groups(&self) {
        for (key, group) in self.groups.iter() {
            assert_eq!(self.group_at_place_of(group), Some(key), "a group stands where it says");
            assert!(!group.members.is_empty(), "a group without members dissolves");
            for (position, member) in group.members.iter().enumerate() {
                let found = self.groups.member(*member);
                assert!(found.group == key && found.position as usize == position, "a member knows its place");
            }
        }
        let members: usize = self.groups.iter().map(|(_, group)| group.members.len()).sum();
        assert_eq!(members, self.groups.member_count(), "every member is some group's");
    }
}

const fn kind_of(responder: bool) -> Kind {
    if responder { Kind::Requests } else { Kind::Publications }
}

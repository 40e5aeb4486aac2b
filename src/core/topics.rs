//! The topics known here, and who wants each.
//!
//! ```text
//!  by name --> Topic "room/7"  exact: [sub, sub, ...]        edited in place by SUBSCRIBE and UNSUBSCRIBE
//!                              matched --> MatchSet [sub]    wildcards; one set for all topics that have the same
//!  by name --> Topic "log/a"   exact: []
//!                              matched --> MatchSet [sub]    (the same one)
//! ```
//!
//! A topic is held while somebody subscribes to it by name, has registered it, or keeps a value of it; otherwise it
//! is only remembered, so that the next publish need not walk the filters. What is remembered is bounded, and a topic
//! must be seen twice before it is: a flood of unique names passes by, and the table stays as small as what is used.
//! Sets are bounded too: filters that come and go leave many that no topic will ask for again, and when those that are
//! kept grow too long in total, all are forgotten.
//!
//! Topics without exact subscribers that match the same wildcards share one open chunk: a million topics under one
//! `#` subscriber cost it one write a turn, like a single topic.

use crate::arena::{Arena, GroupKey, Key, MatchKey, SubscriptionKey, TopicKey};
use crate::fanout::OpenIndex;
use crate::filters::{FirstLevel, Matches};
use crate::interest::Spot;
use crate::journal::plan::{JournalId, Plan};
use crate::tally::Tally;
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::hash::BuildHasher;

/// Keys that all sets together may hold, however few subscriptions there are.
const SET_KEYS_MAX: usize = 1 << 20;
/// Sets with everybody in them that may be held, however many subscriptions there are.
const WHOLE_SETS_MAX: usize = 8;

/// The number of a topic that was not mailed in this turn.
pub(crate) const UNPOSTED: u32 = u32::MAX;

pub(crate) struct Topic {
    pub(crate) name: Box<str>,
    /// Exact subscriptions outside groups.
    pub(crate) exact: SmallVec<[SubscriptionKey; 4]>,
    /// Groups with exactly this filter; few topics have one, and all would pay for an empty list.
    #[expect(clippy::box_collection, reason = "a list that is mostly absent should take one word")]
    groups: Option<Box<Vec<GroupKey>>>,
    /// Encodings of the exact subscribers, a bit each; may keep a bit too many until the next fan-out.
    pub(crate) encodings: u8,
    /// What matches by wildcard, valid for `generation`.
    matched: MatchKey,
    generation: u32,
    /// Where other shards look for who wants it.
    pub(crate) spot: Spot,
    /// Its number in the mail of this turn, whether to other shards or to the journal.
    pub(crate) posted: u32,
    /// The journal that keeps it.
    pub(crate) journal: JournalId,
    pub(crate) open: OpenIndex,
    holds: u32,
    is_remembered: bool,
    is_recent: bool,
}

impl Topic {
    /// Groups with exactly this filter.
    pub(crate) fn groups(&self) -> &[GroupKey] {
        self.groups.as_deref().map_or(&[], Vec::as_slice)
    }

    /// The same, to be changed.
    pub(crate) fn groups_mut(&mut self) -> &mut Vec<GroupKey> {
        self.groups.get_or_insert_default()
    }

    /// What MESSAGE frames call the topic: never 0.
    pub(crate) fn id_of(key: TopicKey) -> u32 {
        key.index() as u32 + 1
    }
}

/// Wildcard matches that some topics share.
pub(crate) struct MatchSet {
    pub(crate) matches: Matches,
    /// Encodings of the subscribers, a bit each.
    pub(crate) encodings: u8,
    /// A subscriber keeps values per topic, so topics can't share a chunk.
    pub(crate) conflates: bool,
    pub(crate) open: OpenIndex,
    references: u32,
}

impl MatchSet {
    /// A set that nobody refers to yet.
    const fn new(matches: Matches, encodings: u8, conflates: bool) -> Self {
        MatchSet { matches, encodings, conflates, open: OpenIndex::NONE, references: 0 }
    }
}

pub(crate) struct Topics {
    topics: Arena<TopicKey, Topic>,
    by_name: HashTable<Named>,
    sets: Arena<MatchKey, MatchSet>,
    /// Keys in all sets.
    set_keys: usize,
    /// Sets that further topics may join: those made since the last change of a wildcard.
    joinable: HashTable<MatchKey>,
    /// The one among them that was asked for last: the next name mostly has it, too.
    latest: MatchKey,
    /// The set of topics that no wildcard matches.
    empty: MatchKey,
    hasher: FixedState,
    /// Topics that nobody holds, the next to go first.
    remembered: VecDeque<TopicKey>,
    remembered_max: usize,
    /// By hash: a mark of the unknown name that was seen last among those with this place.
    seen: Box<[u16]>,
    plan: Plan,
    /// How busy they are, while somebody wants to know.
    pub(crate) tally: Option<Box<Tally>>,
}

/// A topic in the table of names. With its hash beside it, a search for an unknown name hardly ever leaves the table,
/// and the table grows without a look at any name.
#[derive(Debug, Clone, Copy)]
struct Named {
    hash: u32,
    topic: TopicKey,
}

impl Named {
    fn table_hash(&self) -> u64 {
        spread(self.hash)
    }
}

/// A name and its hash, which several tables are asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashedName<'a> {
    pub(crate) text: &'a str,
    pub(crate) hash: u32,
}

impl Topics {
    pub(crate) fn new(seed: u64, remembered_max: u32) -> Self {
        let mut sets = Arena::new();
        let empty = sets.insert(MatchSet { references: 1, ..MatchSet::new(Matches::default(), 0, false) });
        Topics {
            topics: Arena::new(),
            by_name: HashTable::new(),
            sets,
            set_keys: 0,
            joinable: HashTable::new(),
            latest: MatchKey::NONE,
            empty,
            hasher: FixedState::with_seed(seed),
            remembered: VecDeque::new(),
            remembered_max: remembered_max as usize,
            seen: vec![0; (remembered_max as usize).next_power_of_two()].into(),
            plan: Plan::default(),
            tally: None,
        }
    }

    /// Topics are journaled as this plan says, from the first one on.
    pub(crate) fn keep(&mut self, plan: Plan) {
        self.plan = plan;
    }

    /// The hash that names are found by.
    pub(crate) fn hash_of(&self, name: &[u8]) -> u32 {
        self.hasher.hash_one(name) as u32
    }

    /// The topic of a name with this hash.
    pub(crate) fn find(&self, name: &[u8], hash: u32) -> Option<TopicKey> {
        let is_same = |named: &Named| named.hash == hash && self.topics[named.topic].name.as_bytes() == name;
        self.by_name.find(spread(hash), is_same).map(|named| named.topic)
    }

    /// Where shards look for who wants a topic of this name; the same for all that have one seed.
    pub(crate) fn spot_of(&self, name: &[u8], hash: u32) -> Spot {
        Spot { hash, first_level: FirstLevel::of(name, &self.hasher) }
    }

    /// The topic of this name, made if it is not known. The caller holds it or leaves it remembered.
    pub(crate) fn obtain(&mut self, name: &str) -> TopicKey {
        let hash = self.hash_of(name.as_bytes());
        self.find(name.as_bytes(), hash).unwrap_or_else(|| self.add(HashedName { text: name, hash }))
    }

    /// Makes the topic of a name that is not known. The caller holds it or leaves it remembered.
    pub(crate) fn add(&mut self, name: HashedName<'_>) -> TopicKey {
        let spot = self.spot_of(name.text.as_bytes(), name.hash);
        let topic = self.topics.insert(Topic {
            name: name.text.into(),
            exact: SmallVec::new(),
            groups: None,
            encodings: 0,
            matched: MatchKey::NONE,
            generation: 0,
            spot,
            posted: UNPOSTED,
            journal: self.plan.journal_of(name.text),
            open: OpenIndex::NONE,
            holds: 0,
            is_remembered: true,
            is_recent: false,
        });
        self.remembered.push_back(topic);
        let named = Named { hash: name.hash, topic };
        self.by_name.insert_unique(named.table_hash(), named, Named::table_hash);
        topic
    }

    /// Whether an unknown name of this hash should be remembered: it was seen a short while ago. That there is room is
    /// no reason: a table full of names that do not come again is searched at the cost of its size.
    pub(crate) fn should_remember(&mut self, hash: u32) -> bool {
        let place = hash as usize % self.seen.len();
        // Never 0, which is nobody's.
        let mark = (hash >> 16) as u16 | 1;
        std::mem::replace(&mut self.seen[place], mark) == mark
    }

    pub(crate) fn hold(&mut self, key: TopicKey) {
        self.topics[key].holds += 1;
    }

    pub(crate) fn unhold(&mut self, key: TopicKey) {
        let topic = &mut self.topics[key];
        assert!(topic.holds > 0, "a topic is let go as often as it is held");
        topic.holds -= 1;
        if topic.holds == 0 && !topic.is_remembered {
            topic.is_remembered = true;
            self.remembered.push_back(key);
        }
    }

    /// Forgets what is beyond the bounds; only when nothing is open.
    pub(crate) fn forget_surplus(&mut self, subscription_count: usize) {
        while self.remembered.len() > self.remembered_max
            && let Some(key) = self.remembered.pop_front()
        {
            let topic = &mut self.topics[key];
            if topic.holds > 0 {
                topic.is_remembered = false;
            } else if std::mem::take(&mut topic.is_recent) {
                self.remembered.push_back(key);
            } else {
                self.forget(key);
            }
        }
        if self.set_keys > SET_KEYS_MAX.max(subscription_count * WHOLE_SETS_MAX) {
            self.forget_matches();
        }
    }

    /// Forgets what matches each topic by wildcard. That so many keys were gathered costs more than this walk.
    fn forget_matches(&mut self) {
        let matched = |(key, topic): (TopicKey, &Topic)| topic.matched.is_some().then_some(key);
        let keys: Vec<TopicKey> = self.topics.iter().filter_map(matched).collect();
        for key in keys {
            let set = std::mem::replace(&mut self.topics[key].matched, MatchKey::NONE);
            self.release_set(set);
        }
    }

    /// Forgets every topic, and gives the memory back: nobody is left who could hold one.
    pub(crate) fn forget_all(&mut self) {
        for key in std::mem::take(&mut self.remembered) {
            self.forget(key);
        }
        self.by_name = HashTable::new();
        self.joinable = HashTable::new();
        let empty = self.sets.remove(self.empty);
        assert!(self.topics.len() == 0 && self.sets.len() == 0, "whoever held a topic has let it go");
        self.empty = self.sets.insert(empty);
    }

    fn forget(&mut self, key: TopicKey) {
        if let Some(tally) = &mut self.tally {
            tally.forget(key);
        }
        let topic = self.topics.remove(key);
        assert!(!topic.open.is_some() && topic.exact.is_empty() && topic.groups().is_empty(), "nobody holds it");
        if topic.matched.is_some() {
            self.release_set(topic.matched);
        }
        let found = self.by_name.find_entry(spread(topic.spot.hash), |named| named.topic == key);
        found.expect("every topic is found by its name").remove();
    }

    /// What matches a topic by wildcard, if that is known for this generation of the filters.
    pub(crate) fn matched(&mut self, key: TopicKey, generation: u32) -> Option<MatchKey> {
        let topic = &mut self.topics[key];
        topic.is_recent = true;
        (topic.matched.is_some() && topic.generation == generation).then_some(topic.matched)
    }

    /// Remembers what matches a topic by wildcard.
    pub(crate) fn set_matched(&mut self, key: TopicKey, set: MatchKey, generation: u32) {
        self.sets[set].references += 1;
        let topic = &mut self.topics[key];
        topic.generation = generation;
        let old = std::mem::replace(&mut topic.matched, set);
        if old.is_some() {
            self.release_set(old);
        }
    }

    /// The set with exactly these matches; `describe` tells `(encodings, conflates)` when it has to be made.
    pub(crate) fn set_of(&mut self, matches: &Matches, describe: impl FnOnce() -> (u8, bool)) -> MatchKey {
        if matches.is_empty() {
            return self.empty;
        }
        if self.latest.is_some() && self.sets[self.latest].matches == *matches {
            return self.latest;
        }
        self.latest = self.joinable_set(matches, describe);
        self.latest
    }

    fn joinable_set(&mut self, matches: &Matches, describe: impl FnOnce() -> (u8, bool)) -> MatchKey {
        let hash = hash_of(&self.hasher, matches);
        let Topics { sets, joinable, hasher, .. } = self;
        if let Some(key) = joinable.find(hash, |key| sets[*key].matches == *matches) {
            return *key;
        }
        let (encodings, conflates) = describe();
        self.set_keys += matches.len();
        let key = sets.insert(MatchSet::new(matches.clone(), encodings, conflates));
        joinable.insert_unique(hash, key, |key| hash_of(hasher, &sets[*key].matches));
        key
    }

    /// After a change of a wildcard no new topic may join an old set: its keys may come to mean others.
    pub(crate) fn close_sets(&mut self) {
        debug_assert!(self.joinable.iter().all(|key| self.sets[*key].references > 0), "a set has a user or is gone");
        self.joinable.clear();
        self.latest = MatchKey::NONE;
    }

    pub(crate) fn retain_set(&mut self, key: MatchKey) {
        self.sets[key].references += 1;
    }

    pub(crate) fn release_set(&mut self, key: MatchKey) {
        let set = &mut self.sets[key];
        set.references -= 1;
        if set.references == 0 {
            let set = self.sets.remove(key);
            if self.latest == key {
                self.latest = MatchKey::NONE;
            }
            self.set_keys -= set.matches.len();
            let hash = hash_of(&self.hasher, &set.matches);
            if let Ok(found) = self.joinable.find_entry(hash, |known| *known == key) {
                found.remove();
            }
        }
    }

    pub(crate) fn set(&self, key: MatchKey) -> &MatchSet {
        &self.sets[key]
    }

    pub(crate) fn set_mut(&mut self, key: MatchKey) -> &mut MatchSet {
        &mut self.sets[key]
    }

    pub(crate) fn get(&self, key: TopicKey) -> &Topic {
        &self.topics[key]
    }

    pub(crate) fn get_mut(&mut self, key: TopicKey) -> &mut Topic {
        &mut self.topics[key]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (TopicKey, &Topic)> {
        self.topics.iter()
    }

    /// How many topics are known, held or remembered.
    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }
}

/// The table of names wants 64 bits, of which it looks at the highest and the lowest: 2^64 over the golden ratio brings
/// each bit of the hash to the highest.
const fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn hash_of(hasher: &FixedState, matches: &Matches) -> u64 {
    hasher.hash_one((&matches.subscriptions, &matches.groups))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(topics: &Topics, name: &str) -> Option<TopicKey> {
        topics.find(name.as_bytes(), topics.hash_of(name.as_bytes()))
    }

    #[test]
    fn a_flood_of_unique_names_does_not_displace_what_is_used() {
        let mut topics = Topics::new(3, 64);
        for index in 0..64 {
            let key = topics.obtain(&format!("used/{index}"));
            topics.matched(key, 0);
        }
        for index in 0..10_000 {
            let name = format!("flood/{index}");
            if topics.should_remember(topics.hash_of(name.as_bytes())) {
                topics.obtain(&name);
            }
            topics.forget_surplus(0);
            if index % 16 == 0 {
                for used in 0..64 {
                    if let Some(key) = find(&topics, &format!("used/{used}")) {
                        topics.matched(key, 0);
                    }
                }
            }
        }
        let kept = (0..64).filter(|index| find(&topics, &format!("used/{index}")).is_some()).count();
        assert!(kept >= 48, "{kept} of 64 kept");
        assert!(topics.len() <= 64);
    }

    #[test]
    fn sets_that_no_filter_keeps_alive_do_not_pile_up() {
        let mut topics = Topics::new(3, 1_000);
        let everybody = |start: usize| Matches {
            subscriptions: (start..start + 10_000).map(SubscriptionKey::from_index).collect(),
            groups: Vec::new(),
        };
        for turn in 0..1_000 {
            // Somebody has left, somebody else has come, and another topic is asked for.
            topics.close_sets();
            let set = topics.set_of(&everybody(turn), || (1, false));
            let key = topics.obtain(&format!("topic/{turn}"));
            topics.set_matched(key, set, turn as u32);
            topics.forget_surplus(10_000);
            assert!(topics.set_keys <= SET_KEYS_MAX);
        }
        assert!(topics.sets.len() > 50, "what fits is kept");
        topics.forget_all();
        assert_eq!((topics.set_keys, topics.len(), topics.sets.len()), (0, 0, 1));
    }

    #[test]
    fn a_held_topic_outlives_any_flood() {
        let mut topics = Topics::new(3, 64);
        let held = topics.obtain("held");
        topics.hold(held);
        for index in 0..1_000 {
            topics.obtain(&format!("flood/{index}"));
            topics.forget_surplus(0);
        }
        assert_eq!(find(&topics, "held"), Some(held));
        topics.unhold(held);
        for index in 0..1_000 {
            topics.obtain(&format!("flood/{index}"));
            topics.forget_surplus(0);
        }
        assert_eq!(find(&topics, "held"), None);
    }
}

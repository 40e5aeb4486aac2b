//! The tree of wildcard filters: who, besides exact subscribers, wants a topic.
//!
//! ```text
//!   root -- "match" -- "+" -- "score"   [subscriptions]        match/+/score
//!    |         `------ "#"              [subscriptions]        match/#
//!    `---- "+" -- "log"                 [subscriptions]        +/log
//! ```
//!
//! Only filters with a wildcard stand here; exact ones stand with their topics. A walk follows at each level the
//! literal child, the `+` child and the `#` child, so with at most four `+` in a filter and sixteen levels its cost
//! is bounded whatever is subscribed.
//!
//! A change raises the generation of the filter's first level, or the common one for a leading wildcard; a topic
//! remembers the generation it was matched under and is matched again when it differs. Churn under `a/#` costs
//! nothing under `b/`.

use crate::arena::{Arena, GroupKey, Key, NodeKey, SubscriptionKey};
use crate::interest::Reach;
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// First levels share this many generations by their hash: as many as a [`FirstLevel`] can name.
const GENERATIONS: usize = 256;

/// Which generation a name's first level belongs to; a topic computes it once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FirstLevel(u8);

impl FirstLevel {
    pub(crate) fn of(name: &[u8], hasher: &FixedState) -> Self {
        let level = name.split(|byte| *byte == b'/').next().unwrap_or_default();
        FirstLevel(hasher.hash_one(level) as u8)
    }

    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }
}

struct Node {
    parent: Option<NodeKey>,
    level: Box<str>,
    /// Children that are no wildcards: they are found by a hash, and most walks need not look.
    literals: u32,
    /// The child `+`.
    plus: NodeKey,
    /// The child `#`.
    hash: NodeKey,
    subscriptions: Vec<SubscriptionKey>,
    groups: Vec<GroupKey>,
}

impl Node {
    fn new(parent: Option<NodeKey>, level: &str) -> Self {
        Node {
            parent,
            level: level.into(),
            literals: 0,
            plus: NodeKey::NONE,
            hash: NodeKey::NONE,
            subscriptions: Vec::new(),
            groups: Vec::new(),
        }
    }

    fn is_leaf(&self) -> bool {
        self.literals == 0 && !self.plus.is_some() && !self.hash.is_some()
    }

    /// Where a child of this level is noted, if it is a wildcard.
    fn wildcard_mut(&mut self, level: &str) -> Option<&mut NodeKey> {
        match level {
            "+" => Some(&mut self.plus),
            "#" => Some(&mut self.hash),
            _ => None,
        }
    }
}

/// What matches a topic by wildcard.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Matches {
    pub(crate) subscriptions: Vec<SubscriptionKey>,
    pub(crate) groups: Vec<GroupKey>,
}

impl Matches {
    pub(crate) fn clear(&mut self) {
        self.subscriptions.clear();
        self.groups.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(crate) const fn len(&self) -> usize {
        self.subscriptions.len() + self.groups.len()
    }
}

pub(crate) struct Filters {
    nodes: Arena<NodeKey, Node>,
    /// Those that are no wildcards, by parent and level.
    literals: HashTable<NodeKey>,
    root: NodeKey,
    hasher: FixedState,
    /// Raised when filters with a literal first level change, by the level's hash.
    generations: Box<[u32; GENERATIONS]>,
    /// Raised when filters with a leading wildcard change.
    leading_generation: u32,
}

impl Filters {
    pub(crate) fn new(seed: u64) -> Self {
        let mut nodes = Arena::new();
        let root = nodes.insert(Node::new(None, ""));
        Filters {
            nodes,
            literals: HashTable::new(),
            root,
            hasher: FixedState::with_seed(seed),
            generations: Box::new([0; GENERATIONS]),
            leading_generation: 0,
        }
    }

    /// The node of a filter, made if it is not there yet. A new node must get a subscription or a group.
    pub(crate) fn obtain(&mut self, filter: &str) -> NodeKey {
        self.raise_generation(self.reach_of_level(first_level(filter)));
        let mut node = self.root;
        for level in filter.split('/') {
            node = match self.child(node, level) {
                Some(child) => child,
                None => self.add_child(node, level),
            };
        }
        node
    }

    /// Adds a subscription and returns its position at the node.
    pub(crate) fn add_subscription(&mut self, node: NodeKey, subscription: SubscriptionKey) -> u32 {
        let list = &mut self.nodes[node].subscriptions;
        list.push(subscription);
        (list.len() - 1) as u32
    }

    /// Removes the subscription at a position; the one that takes its place is returned.
    pub(crate) fn remove_subscription(&mut self, node: NodeKey, position: u32) -> Option<SubscriptionKey> {
        self.raise_generation(self.reach_of(node));
        let list = &mut self.nodes[node].subscriptions;
        list.swap_remove(position as usize);
        let moved = list.get(position as usize).copied();
        self.prune(node);
        moved
    }

    pub(crate) fn subscription_at(&self, node: NodeKey, position: u32) -> Option<SubscriptionKey> {
        self.nodes[node].subscriptions.get(position as usize).copied()
    }

    pub(crate) fn groups_at(&self, node: NodeKey) -> &[GroupKey] {
        &self.nodes[node].groups
    }

    /// The groups at a node, to be changed. Who takes one out tells so by [`Filters::note_group_left`].
    pub(crate) fn groups_at_mut(&mut self, node: NodeKey) -> &mut Vec<GroupKey> {
        &mut self.nodes[node].groups
    }

    pub(crate) fn note_group_left(&mut self, node: NodeKey) {
        self.raise_generation(self.reach_of(node));
        self.prune(node);
    }

    /// Appends everything that matches a topic name.
    pub(crate) fn collect(&self, name: &str, matches: &mut Matches) {
        if self.is_empty() {
            return;
        }
        self.walk(self.root, Some(name), name.starts_with('$'), matches);
        // The walk meets nodes in an order of its own; a set has one form only.
        if matches.subscriptions.len() > 1 {
            matches.subscriptions.sort_unstable();
        }
        if matches.groups.len() > 1 {
            matches.groups.sort_unstable();
        }
    }

    /// Changes whenever what matches a name with this first level may have changed.
    pub(crate) fn generation(&self, level: FirstLevel) -> u32 {
        self.generations[level.index()].wrapping_add(self.leading_generation)
    }

    /// Whether there is no wildcard filter at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.nodes[self.root].is_leaf()
    }

    /// `rest` is what of the name lies below `node`; `None` when the name ends here. Recursion is as deep as a name
    /// has levels, sixteen at the most.
    fn walk(&self, node: NodeKey, rest: Option<&str>, hide_wildcards: bool, matches: &mut Matches) {
        let Node { hash, plus, literals, .. } = self.nodes[node];
        if hash.is_some() && !hide_wildcards {
            self.take(hash, matches);
        }
        let Some(rest) = rest else {
            self.take(node, matches);
            return;
        };
        if literals == 0 && !plus.is_some() {
            return;
        }
        let (level, below) = match rest.split_once('/') {
            Some((level, below)) => (level, Some(below)),
            None => (rest, None),
        };
        if literals > 0
            && let Some(child) = self.literal(node, level)
        {
            self.walk(child, below, false, matches);
        }
        if plus.is_some() && !hide_wildcards {
            self.walk(plus, below, false, matches);
        }
    }

    fn take(&self, node: NodeKey, matches: &mut Matches) {
        matches.subscriptions.extend_from_slice(&self.nodes[node].subscriptions);
        matches.groups.extend_from_slice(&self.nodes[node].groups);
    }

    fn child(&self, parent: NodeKey, level: &str) -> Option<NodeKey> {
        let node = &self.nodes[parent];
        match level {
            "+" => node.plus.is_some().then_some(node.plus),
            "#" => node.hash.is_some().then_some(node.hash),
            _ => self.literal(parent, level),
        }
    }

    fn literal(&self, parent: NodeKey, level: &str) -> Option<NodeKey> {
        let is_child = |key: &NodeKey| self.nodes[*key].parent == Some(parent) && &*self.nodes[*key].level == level;
        self.literals.find(self.hash(parent, level), is_child).copied()
    }

    fn add_child(&mut self, parent: NodeKey, level: &str) -> NodeKey {
        let key = self.nodes.insert(Node::new(Some(parent), level));
        if let Some(wildcard) = self.nodes[parent].wildcard_mut(level) {
            *wildcard = key;
            return key;
        }
        self.nodes[parent].literals += 1;
        let hash = self.hash(parent, level);
        let Filters { nodes, literals, hasher, .. } = self;
        literals.insert_unique(hash, key, |key| hash_of(hasher, &nodes[*key]));
        key
    }

    /// Takes a node away that is nobody's parent.
    fn remove_child(&mut self, parent: NodeKey, key: NodeKey) {
        let node = self.nodes.remove(key);
        if let Some(wildcard) = self.nodes[parent].wildcard_mut(&node.level) {
            *wildcard = NodeKey::NONE;
            return;
        }
        self.nodes[parent].literals -= 1;
        let found = self.literals.find_entry(self.hash(parent, &node.level), |known| *known == key);
        found.expect("every node but the root is its parent's child").remove();
    }

    /// Removes a node that holds nothing, and its ancestors that held only it.
    fn prune(&mut self, mut key: NodeKey) {
        while let Some(parent) = self.nodes[key].parent {
            let node = &self.nodes[key];
            if !node.is_leaf() || !node.subscriptions.is_empty() || !node.groups.is_empty() {
                return;
            }
            self.remove_child(parent, key);
            key = parent;
        }
        if self.is_empty() {
            // Only the root is left; a slab gives memory back by being made anew.
            self.literals = HashTable::new();
            self.nodes = Arena::new();
            self.root = self.nodes.insert(Node::new(None, ""));
        }
    }

    /// The filter that ends at a node.
    pub(crate) fn text_of(&self, node: NodeKey) -> String {
        let mut levels = Vec::new();
        let mut key = node;
        while let Some(parent) = self.nodes[key].parent {
            levels.push(&*self.nodes[key].level);
            key = parent;
        }
        levels.reverse();
        levels.join("/")
    }

    /// Which topics the filter of a node can match, as far as its first level tells.
    pub(crate) fn reach_of(&self, node: NodeKey) -> Reach {
        let mut top = node;
        while let Some(parent) = self.nodes[top].parent {
            if parent == self.root {
                break;
            }
            top = parent;
        }
        self.reach_of_level(&self.nodes[top].level)
    }

    fn reach_of_level(&self, level: &str) -> Reach {
        match level {
            "+" | "#" => Reach::Leading,
            level => Reach::Wildcard(FirstLevel::of(level.as_bytes(), &self.hasher)),
        }
    }

    fn raise_generation(&mut self, reach: Reach) {
        let generation = match reach {
            Reach::Wildcard(level) => &mut self.generations[level.index()],
            _ => &mut self.leading_generation,
        };
        *generation = generation.wrapping_add(1);
    }

    fn hash(&self, parent: NodeKey, level: &str) -> u64 {
        self.hasher.hash_one((parent, level))
    }
}

fn hash_of(hasher: &FixedState, node: &Node) -> u64 {
    hasher.hash_one((node.parent.unwrap_or(NodeKey::NONE), &*node.level))
}

/// Whether a filter has no wildcard.
pub(crate) fn is_exact(filter: &str) -> bool {
    !filter.contains(['+', '#'])
}

fn first_level(name: &str) -> &str {
    name.split_once('/').map_or(name, |(first, _)| first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanwire_wire::{Limits, TopicFilter, TopicName};
    use proptest::prelude::*;

    fn level() -> impl Strategy<Value = &'static str> {
        prop_oneof![Just("a"), Just("b"), Just("$s"), Just("")]
    }

    fn filter() -> impl Strategy<Value = String> {
        let inner = prop_oneof![level(), Just("+")];
        (proptest::collection::vec(inner, 1..5), any::<bool>()).prop_map(|(levels, hash)| {
            let mut text = levels.join("/");
            if hash {
                text.push_str("/#");
            }
            text
        })
    }

    proptest! {
        #[test]
        fn agrees_with_asking_every_filter(
            filters in proptest::collection::vec(filter(), 1..30),
            removed in proptest::collection::vec(any::<proptest::sample::Index>(), 0..20),
            names in proptest::collection::vec(proptest::collection::vec(level(), 1..6), 1..20),
        ) {
            let limits = Limits::default();
            let mut tree = Filters::new(7);
            let mut model: Vec<(SubscriptionKey, String, NodeKey)> = Vec::new();
            let mut positions = std::collections::HashMap::new();
            for (index, text) in filters.iter().filter(|text| text.contains(['+', '#'])).enumerate() {
                let key = SubscriptionKey::from_index(index);
                if TopicFilter::new(text.as_bytes(), &limits).is_err() { continue; }
                let node = tree.obtain(text);
                positions.insert(key, tree.add_subscription(node, key));
                model.push((key, text.clone(), node));
            }
            for index in removed {
                if model.is_empty() { break; }
                let (key, _, node) = model.swap_remove(index.index(model.len()));
                let position = positions[&key];
                if let Some(moved) = tree.remove_subscription(node, position) {
                    positions.insert(moved, position);
                }
            }
            for levels in names {
                let text = levels.join("/");
                let Ok(name) = TopicName::new(text.as_bytes(), &limits) else { continue };
                let mut matches = Matches::default();
                tree.collect(&text, &mut matches);
                let mut expected: Vec<SubscriptionKey> = model
                    .iter()
                    .filter(|(_, filter, _)| TopicFilter::new(filter.as_bytes(), &limits).unwrap().matches(name))
                    .map(|(key, _, _)| *key)
                    .collect();
                expected.sort_unstable();
                prop_assert_eq!(matches.subscriptions, expected, "{}", text);
            }
            for (key, _, node) in std::mem::take(&mut model) {
                if let Some(moved) = tree.remove_subscription(node, positions[&key]) {
                    let position = positions[&key];
                    positions.insert(moved, position);
                }
            }
            prop_assert_eq!(tree.nodes.len(), 1, "only the root is left");
        }
    }

    #[test]
    fn churn_under_one_first_level_leaves_the_others_alone() {
        let mut tree = Filters::new(1);
        let level = |name: &str| FirstLevel::of(name.as_bytes(), &FixedState::with_seed(1));
        let before = tree.generation(level("b/1"));
        let node = tree.obtain("a/#");
        let position = tree.add_subscription(node, SubscriptionKey::from_index(0));
        assert_ne!(tree.generation(level("a/1")), before);
        assert_eq!(tree.generation(level("b/1")), before);
        tree.remove_subscription(node, position);
        assert_eq!(tree.generation(level("b/1")), before);
        tree.obtain("+/1");
        assert_ne!(tree.generation(level("b/1")), before);
    }
}

//! The topics of one journal: their names, and where each ends.
//!
//! ```text
//!  by name --hash--> u32 --> Topic { name at.., sequence, base, offset, number }      32 bytes
//!                                     '---> "a/bchat/1chat/2..."                      all names, one after another
//! ```
//!
//! A topic stays as long as the log is open, even if the batch that brought it could not be written: keys never come to
//! mean another topic.
//!
//! A topic has a number in the open segment exactly if its last record stands there; so a roll has nothing to reset.

use super::catalog::TopicEnd;
use super::format::NO_BASE;
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// A topic of one log, as long as that is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicKey(pub u32);

/// One topic.
#[derive(Debug, Clone, Copy)]
pub(super) struct Topic {
    /// The last record's sequence; 0: none yet.
    pub(super) sequence: u64,
    /// The segment of the last record; [`NO_BASE`]: none.
    pub(super) base: u64,
    /// Where in it the record stands.
    pub(super) offset: u32,
    /// What the records of that segment call the topic.
    pub(super) number: u32,
    name_begin: u32,
    name_bytes: u16,
}

/// All topics of a journal.
#[derive(Debug, Clone)]
pub(super) struct Topics {
    entries: Vec<Topic>,
    text: String,
    by_name: HashTable<u32>,
    hasher: FixedState,
}

impl Topics {
    pub(super) fn new(seed: u64) -> Topics {
        let hasher = FixedState::with_seed(seed);
        Topics { entries: Vec::new(), text: String::new(), by_name: HashTable::new(), hasher }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.entries.len()
    }

    /// Whether a further name finds room.
    pub(super) fn has_room_for(&self, name: &str) -> bool {
        self.text.len() + name.len() <= u32::MAX as usize
    }

    pub(super) fn find(&self, name: &str) -> Option<TopicKey> {
        let is_it = |index: &u32| self.name(TopicKey(*index)) == name;
        self.by_name.find(self.hasher.hash_one(name), is_it).map(|index| TopicKey(*index))
    }

    /// Adds a topic that is not there yet, without a record.
    pub(super) fn insert(&mut self, name: &str) -> TopicKey {
        debug_assert!(self.find(name).is_none(), "topic {name:?} is there already");
        let index = u32::try_from(self.entries.len()).expect("topics are bounded far below");
        let name_begin = u32::try_from(self.text.len()).expect("room for the name was asked for");
        let name_bytes = u16::try_from(name.len()).expect("a topic's name has at most 65535 bytes");
        self.text.push_str(name);
        self.entries.push(Topic { sequence: 0, base: NO_BASE, offset: 0, number: 0, name_begin, name_bytes });
        let Topics { entries, text, by_name, hasher } = self;
        by_name.insert_unique(hasher.hash_one(name), index, |index| {
            let topic = &entries[*index as usize];
            hasher.hash_one(name_in(text, topic))
        });
        TopicKey(index)
    }

    pub(super) fn name(&self, key: TopicKey) -> &str {
        name_in(&self.text, self.get(key))
    }

    pub(super) fn get(&self, key: TopicKey) -> &Topic {
        &self.entries[key.0 as usize]
    }

    pub(super) fn get_mut(&mut self, key: TopicKey) -> &mut Topic {
        &mut self.entries[key.0 as usize]
    }

    /// All that ever had a record, in the order they came.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, TopicEnd)> {
        let used = self.entries.iter().filter(|topic| topic.sequence > 0);
        used.map(|topic| (name_in(&self.text, topic), topic.end()))
    }

    /// Bytes of memory that they take.
    pub(super) fn bytes_held(&self) -> usize {
        self.entries.capacity() * size_of::<Topic>() + self.text.capacity() + self.by_name.allocation_size()
    }
}

impl Topic {
    pub(super) fn end(&self) -> TopicEnd {
        TopicEnd { sequence: self.sequence, base: self.base, offset: self.offset }
    }
}

fn name_in<'a>(text: &'a str, topic: &Topic) -> &'a str {
    let begin = topic.name_begin as usize;
    &text[begin..begin + usize::from(topic.name_bytes)]
}

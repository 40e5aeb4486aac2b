//! What a journal knows at one of its positions: where every topic ends, and what every producer had accepted.
//!
//! ```text
//!  snapshot at base --> Standing --replay segment--> Standing --replay segment--> Standing: the log goes on from here
//! ```
//!
//! It comes from records alone. So a snapshot and the records behind it yield what the log held that wrote them.

use super::format::{NO_BASE, Record, TopicItem};
use super::producers::Producers;
use super::topics::{TopicKey, Topics};

/// What is known just behind a position.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    pub(super) topics: Topics,
    pub(super) producers: Producers,
    /// The last record's position; 0: none yet.
    pub(super) position: u64,
    /// The last record's time, in microseconds since 1970-01-01 UTC.
    pub(super) time_us: u64,
    /// Whether some records before this were left out or removed unseen, so that sequences may skip.
    pub(super) is_partial: bool,
}

impl Standing {
    /// What is known before the first record.
    pub(super) fn new(seed: u64) -> Standing {
        Standing {
            topics: Topics::new(seed),
            producers: Producers::default(),
            position: 0,
            time_us: 0,
            is_partial: false,
        }
    }

    /// A segment gives a topic its number there.
    pub(super) fn apply_topic(&mut self, item: &TopicItem<'_>, name: &str) -> TopicKey {
        let key = self.topics.find(name).unwrap_or_else(|| self.topics.insert(name));
        let topic = self.topics.get_mut(key);
        topic.number = item.number;
        if item.sequence_before > topic.sequence {
            topic.sequence = item.sequence_before;
            topic.base = item.base_before;
            topic.offset = item.offset_before;
        }
        key
    }

    /// A record of a topic, at this place.
    pub(super) fn apply_record(&mut self, key: TopicKey, record: &Record<'_>, base: u64, offset: u32) {
        let topic = self.topics.get_mut(key);
        topic.sequence = record.sequence;
        topic.base = base;
        topic.offset = offset;
        self.position = record.position;
        self.time_us = record.time_us;
        if let Some(producer) = record.producer {
            self.producers.accept(producer, record.sequence, record.position);
        }
    }

    /// A record is taken back, after those behind it. What it does not know stays: where its topic ended before it
    /// came into the segment, which the topic's item tells.
    pub(super) fn take_back_record(&mut self, key: TopicKey, record: &Record<'_>) {
        let topic = self.topics.get_mut(key);
        topic.sequence = record.sequence - 1;
        topic.offset = record.previous;
    }

    /// A topic's item is taken back, after its records.
    pub(super) fn take_back_topic(&mut self, key: TopicKey, item: &TopicItem<'_>) {
        let topic = self.topics.get_mut(key);
        topic.sequence = item.sequence_before;
        topic.base = item.base_before;
        topic.offset = item.offset_before;
        debug_assert!(topic.sequence > 0 || topic.base == NO_BASE, "a topic without a record ends nowhere");
    }
}

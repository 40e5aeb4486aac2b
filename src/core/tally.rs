//! Which topics are the busiest lately: counted only while somebody wants to know.
//!
//! ```text
//!  nobody asks:    route --> one branch that is never taken
//!  somebody asks:  route --> the topic's place, by its number in the table of topics --> top_topics, decayed
//! ```
//!
//! The tally has a fixed number of places. Where two topics want one, the busier one has it: each message of the other
//! one takes from what it was busy lately, until the place changes hands. So a flood of topics can neither grow the
//! tally nor hide what is really busy. Names that are not in the table of topics are not counted: who publishes once
//! is not busy.
//!
//! What is counted: messages where they are published, deliveries where they are routed, as often as there are
//! subscriptions that match. What overlaps merge, and what policies drop, is not taken off: a total of the shard says
//! that ([`Counters`](crate::Counters)).

use crate::arena::{Key, TopicKey};
use crate::fanout::Incoming;
use crate::shard::Shard;
use crate::topics::HashedName;

/// Topics that are counted at one time at the most.
const PLACES: usize = 1_024;
/// What was lately is less by one part of so many each time that somebody looks.
const DECAY_PARTS: u64 = 8;

/// One of the busiest topics of a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopTopic {
    /// Its name.
    pub name: String,
    /// Subscriptions of this shard that match, a group as one.
    pub subscribers: u32,
    /// Messages published here, since it has its place.
    pub messages: u64,
    /// Messages for those subscriptions, since then.
    pub deliveries: u64,
    /// Both together, what is long ago counting little.
    pub lately: u64,
}

/// What is counted of one topic.
#[derive(Debug, Clone, Copy)]
struct Place {
    topic: TopicKey,
    messages: u64,
    deliveries: u64,
    lately: u64,
}

/// The counts of the busiest topics.
pub(crate) struct Tally {
    places: Box<[Place]>,
}

impl Tally {
    fn new() -> Box<Tally> {
        let nobody = Place { topic: TopicKey::NONE, messages: 0, deliveries: 0, lately: 0 };
        Box::new(Tally { places: vec![nobody; PLACES].into() })
    }

    fn note(&mut self, topic: TopicKey, messages: u64, deliveries: u64) {
        let place = &mut self.places[topic.index() % PLACES];
        let weight = messages + deliveries;
        if place.topic != topic {
            if place.topic.is_some() && place.lately > weight {
                place.lately -= weight;
                return;
            }
            *place = Place { topic, messages: 0, deliveries: 0, lately: 0 };
        }
        place.messages += messages;
        place.deliveries += deliveries;
        place.lately += weight;
    }

    /// The topic is not in the table any more: another one may get its number.
    pub(crate) fn forget(&mut self, topic: TopicKey) {
        let place = &mut self.places[topic.index() % PLACES];
        if place.topic == topic {
            place.topic = TopicKey::NONE;
        }
    }

    /// The busiest first. What is longer ago counts less from here on.
    fn take_top(&mut self, most: usize) -> Vec<Place> {
        let busy = self.places.iter().filter(|place| place.topic.is_some() && place.lately > 0);
        let mut top: Vec<Place> = busy.copied().collect();
        let order = |place: &Place| (std::cmp::Reverse(place.lately), place.topic.index());
        if top.len() > most {
            top.select_nth_unstable_by_key(most, order);
            top.truncate(most);
        }
        top.sort_unstable_by_key(order);
        self.places.iter_mut().for_each(|place| place.lately -= place.lately.div_ceil(DECAY_PARTS));
        top
    }
}

impl Shard {
    /// Begins to count topics, or ends it and forgets the counts.
    pub fn count_topics(&mut self, is_wanted: bool) {
        if self.topics.tally.is_some() != is_wanted {
            self.topics.tally = is_wanted.then(Tally::new);
        }
    }

    /// The busiest topics, the busiest lately first; none unless they are counted. To be asked at a steady pace,
    /// which says what lately is: what was counted until now counts a little less the next time.
    pub fn top_topics(&mut self, most: usize) -> Vec<TopTopic> {
        let Some(tally) = &mut self.topics.tally else { return Vec::new() };
        let top = tally.take_top(most);
        let told = |Place { topic, messages, deliveries, lately }: Place| TopTopic {
            subscribers: u32::try_from(self.audience_of(topic)).unwrap_or(u32::MAX),
            name: self.topics.get(topic).name.to_string(),
            messages,
            deliveries,
            lately,
        };
        top.into_iter().map(told).collect()
    }

    /// Subscriptions that a topic has here, a group as one.
    fn audience_of(&mut self, topic: TopicKey) -> usize {
        let set = self.matched(topic);
        let (topic, matches) = (self.topics.get(topic), &self.topics.set(set).matches);
        topic.exact.len() + topic.groups().len() + matches.len()
    }

    /// Counts messages that are routed here; if they were published here, as such, too.
    #[cold]
    pub(crate) fn tally_routed(&mut self, topic: TopicKey, messages: &Incoming<'_>) {
        let count = messages.payloads.len() as u64;
        let is_own = messages.publisher.shard == self.exchange.seat.number() && messages.recorded.is_none();
        let audience = self.audience_of(topic) as u64;
        self.tally(topic, if is_own { count } else { 0 }, count * audience);
    }

    /// Counts messages of a topic that was not known, and that nobody here wants: it becomes known if it comes again.
    #[cold]
    pub(crate) fn tally_unrouted(&mut self, name: HashedName<'_>, count: usize) {
        if self.topics.should_remember(name.hash) {
            let topic = self.topics.add(name);
            self.tally(topic, count as u64, 0);
        }
    }

    pub(crate) fn tally(&mut self, topic: TopicKey, messages: u64, deliveries: u64) {
        if let Some(tally) = &mut self.topics.tally {
            tally.note(topic, messages, deliveries);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_topic_keeps_its_place_while_a_flood_of_others_passes_by() {
        let mut tally = Tally::new();
        for number in 0..100_000 {
            tally.note(TopicKey::from_index(7), 1, 100);
            tally.note(TopicKey::from_index(number * 8 + 1_031), 1, 0);
        }
        let top = tally.take_top(3);
        assert_eq!((top[0].topic.index(), top[0].messages, top[0].deliveries), (7, 100_000, 10_000_000));
        assert_eq!(top.len(), 3);
    }

    #[test]
    fn who_is_busy_now_is_before_who_was() {
        let mut tally = Tally::new();
        tally.note(TopicKey::from_index(1), 1_000, 0);
        for _ in 0..60 {
            tally.take_top(2);
            tally.note(TopicKey::from_index(2), 10, 0);
        }
        let top: Vec<usize> = tally.take_top(2).iter().map(|place| place.topic.index()).collect();
        assert_eq!(top, [2]);
        tally.forget(TopicKey::from_index(2));
        assert!(tally.take_top(2).is_empty(), "its number may come to mean another one");
    }
}

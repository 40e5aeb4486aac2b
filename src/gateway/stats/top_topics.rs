//! The busiest topics of all reactors: each publishes its own, and whoever is asked puts them together.

use super::board::{Board, Reading};
use fanwire_core::Time;
use fanwire_core::tally::TopTopic;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::time::Duration;

/// Topics that are told.
pub const TOP_TOPICS: usize = 20;

/// Bytes of a name; a longer one is cut.
const NAME_BYTES_MAX: usize = 256;
const NAME_WORDS: usize = NAME_BYTES_MAX / 8;
/// Four numbers, the name's length and the name.
const TOPIC_WORDS: usize = 5 + NAME_WORDS;
/// A reactor that has published nothing for so long has had no turn: its topics are not busy.
const AGE_MAX: Duration = Duration::from_secs(10);

/// Where a reactor publishes its busiest topics.
#[derive(Debug)]
pub(super) struct TopicBoard {
    board: Board,
}

impl TopicBoard {
    pub(super) fn new() -> TopicBoard {
        TopicBoard { board: Board::new(2 + TOP_TOPICS * TOPIC_WORDS) }
    }

    pub(super) fn publish(&self, now: Time, topics: &[TopTopic]) {
        let topics = topics.get(..TOP_TOPICS).unwrap_or(topics);
        self.board.write(|row| {
            row.put(now.as_micros());
            row.put(topics.len() as u64);
            for TopTopic { name, subscribers, messages, deliveries, lately } in topics {
                [u64::from(*subscribers), *messages, *deliveries, *lately].into_iter().for_each(|word| row.put(word));
                let name = cut(name);
                row.put(name.len() as u64);
                let mut bytes = name.bytes();
                (0..NAME_WORDS).for_each(|_| {
                    row.put(u64::from_le_bytes(std::array::from_fn(|_| bytes.next().unwrap_or_default())));
                });
            }
        });
    }

    /// What was published lately.
    fn read(&self, now: Time) -> Vec<TopTopic> {
        let (topics, is_whole) = self.board.read(|row| {
            let published = Time::from_micros(row.next());
            let count = if now.since(published) < AGE_MAX { row.next() } else { 0 };
            (0..count.min(TOP_TOPICS as u64)).map(|_| read_topic(row)).collect::<Vec<TopTopic>>()
        });
        if is_whole { topics } else { Vec::new() }
    }
}

/// A name without what is too long.
fn cut(name: &str) -> &str {
    let end = name.floor_char_boundary(NAME_BYTES_MAX);
    name.get(..end).unwrap_or(name)
}

fn read_topic(row: &mut Reading<'_>) -> TopTopic {
    let (subscribers, messages, deliveries, lately) = (row.next(), row.next(), row.next(), row.next());
    let length = usize::try_from(row.next()).unwrap_or(usize::MAX);
    let mut bytes: Vec<u8> = (0..NAME_WORDS).flat_map(|_| row.next().to_le_bytes()).collect();
    bytes.truncate(length);
    // Not text only if it is not whole.
    let name = String::from_utf8(bytes).unwrap_or_default();
    TopTopic { name, subscribers: u32::try_from(subscribers).unwrap_or(u32::MAX), messages, deliveries, lately }
}

/// The busiest of all, the busiest lately first.
pub(super) fn busiest<'a>(boards: impl Iterator<Item = &'a TopicBoard>, now: Time) -> Vec<TopTopic> {
    let mut all: HashMap<String, TopTopic> = HashMap::new();
    for topic in boards.flat_map(|board| board.read(now)) {
        match all.get_mut(&topic.name) {
            None => drop(all.insert(topic.name.clone(), topic)),
            Some(known) => {
                known.subscribers += topic.subscribers;
                known.messages += topic.messages;
                known.deliveries += topic.deliveries;
                known.lately += topic.lately;
            }
        }
    }
    let mut all: Vec<TopTopic> = all.into_values().collect();
    all.sort_unstable_by(|one, two| (Reverse(one.lately), &one.name).cmp(&(Reverse(two.lately), &two.name)));
    all.truncate(TOP_TOPICS);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str, lately: u64) -> TopTopic {
        TopTopic { name: name.to_owned(), subscribers: 2, messages: lately, deliveries: 3, lately }
    }

    #[test]
    fn topics_of_several_reactors_are_added_up_and_old_ones_left_out() {
        let now = Time::from_micros(60_000_000);
        let boards = [TopicBoard::new(), TopicBoard::new(), TopicBoard::new()];
        boards[0].publish(now, &[topic("room/1", 50), topic("chat", 40)]);
        boards[1].publish(now, &[topic("chat", 30), topic(&"é".repeat(200), 1)]);
        boards[2].publish(Time::from_micros(1), &[topic("long/ago", 1_000)]);
        let found = busiest(boards.iter(), now);
        let named: Vec<(&str, u64, u32)> =
            found.iter().map(|topic| (&*topic.name, topic.messages, topic.subscribers)).collect();
        assert_eq!(named, [("chat", 70, 4), ("room/1", 50, 2), (&*"é".repeat(128), 1, 2)]);
    }

    #[test]
    fn no_more_are_told_than_there_are_places_for() {
        let (board, now) = (TopicBoard::new(), Time::from_micros(1));
        let many: Vec<TopTopic> = (0..100).map(|number| topic(&format!("t/{number}"), 1_000 - number)).collect();
        board.publish(now, &many);
        assert_eq!(busiest([&board].into_iter(), now), many[..TOP_TOPICS]);
    }
}

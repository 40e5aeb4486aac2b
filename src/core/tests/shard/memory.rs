//! What is counted is what is kept, and what nobody needs is given back.

use crate::shell::{Shell, settings, wish};
use fanwire_wire::frame::Policy;

#[test]
fn topics_are_forgotten_when_everybody_has_left() {
    let mut shell = Shell::new(settings());
    let (publisher, subscriber) = (shell.open(), shell.open());
    shell.subscribe(subscriber, wish(1, "room/+", Policy::Disconnect));
    shell.subscribe(subscriber, wish(2, "room/7", Policy::Disconnect));
    for number in 0..20 {
        shell.publish(publisher, &format!("room/{number}"), "x");
    }
    shell.turn();
    shell.shard.remove_session(subscriber);
    shell.turn();
    assert_eq!(shell.shard.topic_count(), 20, "who publishes may go on");
    shell.shard.remove_session(publisher);
    assert_eq!(shell.shard.topic_count(), 0);
    shell.turn();
}

#[test]
fn more_topics_in_one_turn_than_chunks_are_ever_kept() {
    let mut shell = Shell::new(settings());
    let session = shell.open();
    let topics: Vec<String> = (0..1_500).map(|number| format!("topic/{number}")).collect();
    for (number, topic) in topics.iter().enumerate() {
        shell.subscribe(session, wish(number as u32, topic, Policy::Disconnect));
    }
    shell.turn();
    shell.received(session);
    for _ in 0..3 {
        for topic in &topics {
            shell.publish(session, topic, "x");
        }
        shell.turn();
        assert_eq!(shell.received(session).len(), topics.len());
    }
}

//! What is counted is what is kept, and what nobody needs is given back.

use crate::shell::{Shell, settings, wish};
use fanwire_core::Settings;
use fanwire_wire::frame::Policy;

#[test]
fn topics_are_forgotten_when_everybody_has_left() {
    let mut shell = Shell::new(settings());
    let (publisher, subscriber) = (shell.open(), shell.open());
    shell.subscribe(subscriber, wish(1, "room/+", Policy::Disconnect));
    shell.subscribe(subscriber, wish(2, "room/7", Policy::Disconnect));
    // A name is remembered when it comes again.
    for number in (0..20).flat_map(|number| [number; 2]) {
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

#[test]
fn subscriptions_are_bounded_over_all_sessions_together() {
    let mut shell = Shell::new(Settings { subscriptions_total_max: 3, ..settings() });
    let (first, second) = (shell.open(), shell.open());
    for (session, number) in [(first, 1), (first, 2), (second, 1), (second, 2)] {
        shell.subscribe(session, wish(number, &format!("room/{number}"), Policy::Disconnect));
    }
    shell.turn();
    assert_eq!(shell.shard.counters().refused, 1, "the fourth");
    shell.unsubscribe(first, 1);
    shell.subscribe(second, wish(2, "room/2", Policy::Disconnect));
    shell.turn();
    assert_eq!(shell.shard.counters().refused, 1, "there is room again");
}

#[test]
fn what_a_gateway_keeps_of_a_queue_is_charged_to_it_until_it_keeps_it_no_more() {
    let mut shell = Shell::new(settings());
    let (publisher, subscriber) = (shell.open(), shell.open());
    shell.subscribe(subscriber, wish(1, "a", Policy::DropNewest));
    shell.turn();
    shell.received(subscriber);
    shell.shard.charge_kept(publisher, 0);
    let room = settings().limits.queue_bytes_max;
    shell.shard.charge_kept(subscriber, room);
    shell.shard.check_invariants();
    assert_eq!((shell.shard.queue_bytes(subscriber), shell.shard.queue_bytes_total()), (room, u64::from(room)));
    shell.publish(publisher, "a", "no room for this");
    shell.turn();
    assert_eq!(shell.shard.counters().dropped, 1);
    shell.received(subscriber);
    shell.shard.charge_kept(subscriber, 10);
    shell.publish(publisher, "a", "but for this");
    shell.turn();
    assert_eq!(shell.received(subscriber).len(), 1);
    assert_eq!(shell.shard.queue_bytes(subscriber), 10);
    shell.shard.remove_session(subscriber);
    assert_eq!(shell.shard.queue_bytes_total(), 0);
}

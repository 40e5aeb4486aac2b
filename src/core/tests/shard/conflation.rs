//! Newest values: what is held back, what it costs, and when it comes.

use crate::shell::{Shell, settings, wish};
use fanwire_core::command;
use fanwire_wire::frame::Policy;
use std::time::Duration;

/// To remember that a topic was sent just now takes memory, so it takes room in the queue: a flood of topics under one
/// rate is dropped and told, and does not grow without end.
#[test]
fn the_rates_of_endlessly_many_topics_stay_within_the_queue() {
    let mut shell = Shell::new(settings());
    let (publisher, player) = (shell.open(), shell.open());
    shell.subscribe(player, command::Subscribe { max_rate_hz: 1, ..wish(1, "#", Policy::Conflate) });
    shell.turn();
    for number in 0..20_000 {
        shell.publish(publisher, &format!("entity/{number}"), "here");
        if number % 500 == 0 {
            shell.turn();
        }
    }
    shell.turn();
    let bound = settings().limits.queue_bytes_max;
    assert!(shell.shard.queue_bytes(player) <= bound + 1_000, "{}", shell.shard.queue_bytes(player));
    assert!(shell.shard.topic_count() < 5_000);
    let counters = *shell.shard.counters();
    assert_eq!(counters.deliveries + counters.dropped, 20_000);
    assert!(counters.deliveries > 2_000 && counters.dropped > 10_000, "{counters:?}");
    shell.pass(Duration::from_secs(2));
    shell.turn();
    shell.turn();
    assert_eq!(shell.shard.queue_bytes(player), 0, "an interval that is over costs nothing");
}

/// A wildcard holds values of many topics; when it ends, its own are sent and those of others stay.
#[test]
fn a_subscription_that_ends_sends_what_was_held_under_it_alone() {
    let mut shell = Shell::new(settings());
    let (publisher, player) = (shell.open(), shell.open());
    shell.subscribe(player, command::Subscribe { max_rate_hz: 1, ..wish(1, "a/+", Policy::Conflate) });
    shell.subscribe(player, command::Subscribe { max_rate_hz: 1, ..wish(2, "b/+", Policy::Conflate) });
    for round in ["first", "second", "third"] {
        for topic in ["a/1", "b/1", "a/2"] {
            shell.publish(publisher, topic, round);
        }
        shell.turn();
    }
    shell.received(player);
    shell.unsubscribe(player, 1);
    shell.turn();
    let mut received = shell.received(player);
    assert_eq!(received.pop().as_deref(), Some("unsubscribed 1"));
    let gap = "gap 1 dropped 0 conflated 1";
    assert_eq!(received, [gap, "a/1: third", gap, "a/2: third"]);
    shell.pass(Duration::from_secs(1));
    shell.turn();
    shell.turn();
    assert_eq!(shell.received(player), ["gap 2 dropped 0 conflated 1", "b/1: third"]);
}

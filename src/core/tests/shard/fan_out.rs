//! What is gathered together, what is told when, and what a change of subscribers cuts apart.

use crate::shell::{Shell, settings, wish};
use fanwire_core::{Command, Slices, Target};
use fanwire_wire::frame::{AckLevel, Policy};

/// A player who joins one room is no reason to fan out what all the others have gathered.
#[test]
fn an_exact_subscription_cuts_nothing_but_its_own_topic() {
    let mut shell = Shell::new(settings());
    let (publisher, player, joining) = (shell.open(), shell.open(), shell.open());
    shell.subscribe(player, wish(1, "room/1", Policy::Disconnect));
    shell.turn();
    for number in 2..10 {
        shell.publish(publisher, "room/1", "x");
        shell.subscribe(joining, wish(number, &format!("room/{number}"), Policy::Disconnect));
    }
    shell.shard.finish_turn();
    let mut slices = Slices::new();
    shell.shard.front(player, &mut slices);
    assert_eq!(slices.len(), 1, "one chunk for one turn");
    drop(slices);
    shell.turn();
    assert_eq!(shell.received(player)[1..], ["id: x"; 8]);
}

/// A subscriber of many topics is written to once a turn.
#[test]
fn what_many_topics_leave_in_a_turn_is_one_write() {
    let mut shell = Shell::new(settings());
    let (publisher, player) = (shell.open(), shell.open());
    for number in 0..60 {
        shell.subscribe(player, wish(number, &format!("room/{number}"), Policy::Disconnect));
    }
    shell.turn();
    shell.received(player);
    for number in 0..60 {
        shell.publish(publisher, &format!("room/{number}"), "x");
    }
    shell.shard.finish_turn();
    assert!(shell.write_once(player));
    assert!(!shell.write_once(player));
    assert_eq!(shell.received(player), ["id: x"; 60]);
}

/// Topics that only wildcards match gather together; one that gets a subscriber of its own leaves them.
#[test]
fn an_exact_subscriber_gets_what_is_published_from_then_on_and_order_is_kept() {
    for policy in [Policy::Disconnect, Policy::Conflate] {
        let mut shell = Shell::new(settings());
        let (publisher, watcher, player) = (shell.open(), shell.open(), shell.open());
        shell.subscribe(watcher, wish(1, "room/+", policy));
        for (topic, payload) in [("room/1", "1"), ("room/2", "2"), ("room/1", "3")] {
            shell.publish(publisher, topic, payload);
        }
        shell.subscribe(player, wish(1, "room/1", Policy::Disconnect));
        for (topic, payload) in [("room/1", "4"), ("room/2", "5"), ("room/1", "6")] {
            shell.publish(publisher, topic, payload);
        }
        shell.unsubscribe(player, 1);
        shell.publish(publisher, "room/1", "7");
        shell.turn();
        assert_eq!(shell.received(player), ["subscribed 1", "id: 4", "id: 6", "unsubscribed 1"]);
        let watched = shell.received(watcher);
        let of = |topic: &str| watched.iter().filter(|line| line.starts_with(topic)).cloned().collect::<Vec<_>>();
        assert_eq!(of("room/1"), ["room/1: 1", "room/1: 3", "room/1: 4", "room/1: 6", "room/1: 7"]);
        assert_eq!(of("room/2"), ["room/2: 2", "room/2: 5"]);
    }
}

/// What is refused is told at once; what is placed is told at the end of the turn, in ranges around it. Refusals do
/// not cut what is gathered.
#[test]
fn refusals_part_the_range_of_an_ack_and_nothing_else() {
    let mut shell = Shell::new(settings());
    let (publisher, subscriber) = (shell.open(), shell.open());
    shell.subscribe(subscriber, wish(1, "a", Policy::Disconnect));
    shell.turn();
    shell.received(subscriber);
    for topic in ["a", "a", "a/#", "a", "+", "+", "a", "a", "a"] {
        let target = Target::Name(topic.as_bytes());
        shell.command(publisher, &Command::Publish { target, ack: AckLevel::Routed, headers: b"", payloads: &[b"x"] });
    }
    shell.shard.finish_turn();
    let mut slices = Slices::new();
    shell.shard.front(subscriber, &mut slices);
    assert_eq!(slices.len(), 1);
    drop(slices);
    shell.turn();
    let told = shell.received(publisher);
    let refused = [3, 5, 6].map(|number| format!("refused {number} INVALID_TOPIC"));
    assert_eq!(told[..3], refused);
    assert_eq!(told[3..], ["acked 1 count 2", "acked 4 count 1", "acked 7 count 3"]);
}

/// A subscriber of everything ten thousand times over costs its publishers no more than a share of a turn, however
/// often what they have gathered is cut apart.
#[test]
fn a_change_of_many_wildcards_ends_the_turn() {
    let mut shell = Shell::new(settings());
    let (publisher, subscriber) = (shell.open(), shell.open());
    for number in 0..9_000 {
        shell.subscribe(subscriber, wish(number, "#", Policy::DropNewest));
    }
    shell.turn();
    let mut count = 0;
    while !shell.shard.wants_flush() {
        shell.subscribe(publisher, wish(count, "other/+", Policy::DropNewest));
        shell.publish(publisher, "topic", "x");
        count += 1;
        assert!(count <= 100, "every message meets 9 000 subscriptions");
    }
    shell.turn();
    assert_eq!(shell.received(subscriber).len(), 9_000 + count as usize);
}

//! Subscriptions of one session that share a delivery: which one governs may change at any time, and what was held
//! back under the one before must neither come too late nor be lost.

use crate::shell::{Shell, settings, wish};
use fanwire_core::{SessionId, command};
use fanwire_wire::frame::Policy;
use std::time::Duration;

/// A session with a value of `a/b` held back under subscription 1, whose rate is one a second.
fn hold_value(shell: &mut Shell) -> (SessionId, SessionId) {
    let (publisher, player) = (shell.open(), shell.open());
    shell.subscribe(player, command::Subscribe { max_rate_hz: 1, ..wish(1, "a/+", Policy::Conflate) });
    for payload in ["first", "held"] {
        shell.publish(publisher, "a/b", payload);
        shell.turn();
    }
    assert_eq!(shell.received(player), ["subscribed 1", "a/b: first"]);
    (publisher, player)
}

#[test]
fn a_held_value_is_not_overtaken_by_what_a_stricter_subscription_lets_through() {
    for policy in [Policy::Disconnect, Policy::DropOldest, Policy::DropNewest, Policy::Conflate] {
        let mut shell = Shell::new(settings());
        let (publisher, player) = hold_value(&mut shell);
        shell.subscribe(player, wish(2, "a/#", policy));
        shell.publish(publisher, "a/b", "newer");
        shell.turn();
        assert_eq!(shell.received(player), ["subscribed 2", "a/b: held", "a/b: newer"], "{policy:?}");
    }
}

#[test]
fn a_higher_rate_takes_the_held_value_over_and_keeps_its_interval() {
    let mut shell = Shell::new(settings());
    let (publisher, player) = hold_value(&mut shell);
    shell.subscribe(player, command::Subscribe { max_rate_hz: 100, ..wish(2, "a/#", Policy::Conflate) });
    shell.publish(publisher, "a/b", "newer");
    shell.turn();
    assert_eq!(shell.received(player), ["subscribed 2", "gap 1 dropped 0 conflated 1"]);
    shell.pass(Duration::from_secs(1));
    shell.turn();
    shell.turn();
    assert_eq!(shell.received(player), ["a/b: newer"]);
}

/// A value that waits was rendered with the topic's id, because the session had subscribed to exactly this topic; the
/// other subscription, which governs, goes on without it.
#[test]
fn a_value_with_a_topics_id_comes_before_the_end_of_the_subscription_that_was_told_of_it() {
    let mut shell = Shell::new(settings());
    let (publisher, player) = (shell.open(), shell.open());
    shell.subscribe(player, command::Subscribe { max_rate_hz: 2, ..wish(1, "a/+", Policy::Conflate) });
    shell.subscribe(player, command::Subscribe { max_rate_hz: 1, ..wish(2, "a/b", Policy::Conflate) });
    for payload in ["first", "held"] {
        shell.publish(publisher, "a/b", payload);
        shell.turn();
    }
    shell.received(player);
    shell.unsubscribe(player, 2);
    shell.publish(publisher, "a/b", "newer");
    shell.turn();
    assert_eq!(shell.received(player), ["id: held", "unsubscribed 2", "a/b: newer"]);
}

/// Of two that are equally strict it is always the same one that governs, whoever else comes and goes: else each
/// would keep an interval of its own, and together they would let twice as much through.
#[test]
fn equally_strict_subscriptions_keep_one_rate_together() {
    let mut shell = Shell::new(settings());
    let (publisher, other, player) = (shell.open(), shell.open(), shell.open());
    shell.subscribe(other, wish(1, "a", Policy::Disconnect));
    for number in [1, 2] {
        shell.subscribe(player, command::Subscribe { max_rate_hz: 1, ..wish(number, "a", Policy::Conflate) });
    }
    shell.turn();
    shell.received(player);
    shell.publish(publisher, "a", "first");
    shell.turn();
    // Its place in the topic's list goes to the last one there.
    shell.unsubscribe(other, 1);
    shell.publish(publisher, "a", "second");
    shell.turn();
    assert_eq!(shell.received(player).len(), 1);
}

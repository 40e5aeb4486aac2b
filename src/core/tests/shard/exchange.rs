//! Publications between shards: who gets them, what they cost, and who waits when the way is full.

use crate::row::Row;
use crate::shell::{long, settings, wish};
use fanwire_core::{Handled, Settings};
use fanwire_wire::frame::Policy;

#[test]
fn who_has_seen_subscribed_is_reached_from_any_shard() {
    for filter in ["room/7", "room/+", "+/7", "#"] {
        let mut row = Row::new(3);
        let (publisher, subscriber) = (row[2].open(), row[0].open());
        row[0].subscribe(subscriber, wish(1, filter, Policy::Disconnect));
        // Nothing but SUBSCRIBED has happened: no mail, not even the end of a turn.
        row[2].publish(publisher, "room/7", "hello");
        row.settle();
        let received = row[0].received(subscriber);
        assert_eq!(received.len(), 2, "{filter}: {received:?}");
        assert!(received[1].ends_with(": hello"), "{filter}: {received:?}");
        row[0].unsubscribe(subscriber, 1);
        row[2].publish(publisher, "room/7", "nobody is left");
        assert!(!row[2].shard.has_mail(0), "{filter}: the bit went with the subscription");
    }
}

#[test]
fn a_message_is_mailed_once_to_each_shard_that_wants_it_and_its_topic_is_not_told_each_time() {
    let mut row = Row::new(4);
    let publisher = row[0].open();
    let subscribers: Vec<_> =
        [1, 2].into_iter().flat_map(|shard| [shard; 5]).map(|shard| (shard, row[shard].open())).collect();
    for (shard, session) in &subscribers {
        row[*shard].subscribe(*session, wish(1, "room/7", Policy::Disconnect));
    }
    for number in 0..100 {
        row[0].publish(publisher, "room/7", &number.to_string());
    }
    assert_eq!(row[0].shard.counters().mailed_out, 200);
    assert!(!row[0].shard.has_mail(3));
    let payloads: usize = (0..100).map(|number: u32| number.to_string().len()).sum();
    let names = row[0].shard.mail_to(1).bytes() - payloads;
    // The name is told when it comes for the first time, which is not remembered, and then once more.
    assert!(names < 100 * 24 + 2 * 50, "{names} bytes besides the payloads");
    row.settle();
    let expected: Vec<String> = (0..100).map(|number| format!("id: {number}")).collect();
    for (shard, session) in subscribers {
        assert_eq!(row[shard].received(session)[1..], expected);
    }
}

#[test]
fn order_holds_per_publisher_and_topic_however_the_topic_is_named_and_mail_is_cut() {
    let mut row = Row::new(2);
    let (publisher, subscriber) = (row[0].open(), row[1].open());
    row[1].subscribe(subscriber, wish(1, "a/#", Policy::Disconnect));
    let mut number = 0;
    for turn in 0..50 {
        for topic in ["a/1", "a/2", "a/1"] {
            row[0].publish(publisher, topic, &format!("n{number:05}"));
            // Topics that are seen once are not remembered, those seen often are.
            row[0].publish(publisher, &format!("a/unique/{number}"), &format!("n{number:05}"));
            number += 1;
        }
        row.turn();
        if turn % 3 == 0 {
            row.carry(0, 1);
        }
    }
    row.settle();
    let received = row[1].received(subscriber);
    for (topic, count) in [("a/1:", 100), ("a/2:", 50)] {
        let mine: Vec<&String> = received.iter().filter(|line| line.starts_with(topic)).collect();
        assert!(mine.len() == count && mine.is_sorted(), "{mine:?}");
    }
    assert_eq!(received.len(), 1 + 300, "SUBSCRIBED, and everything");
}

#[test]
fn a_full_lane_postpones_who_wants_it_and_nobody_else() {
    let mut row = Row::with(3, Settings { mailbox_bytes_max: 4_000, ..settings() });
    let (first, second) = (row[0].open(), row[0].open());
    let (slow, quick) = (row[1].open(), row[2].open());
    row[1].subscribe(slow, wish(1, "slow", Policy::Disconnect));
    row[2].subscribe(quick, wish(1, "quick", Policy::Disconnect));
    row.settle();
    let mut sent = 0;
    while row[0].try_publish(first, "slow", &format!("{sent:04}")) == Handled::Done {
        sent += 1;
        assert!(sent < 1_000, "4 000 bytes are full at some time");
    }
    // It waits however often it tries; the other one, and it itself with another topic, go on.
    assert_eq!(row[0].try_publish(first, "slow", "waits"), Handled::Postponed);
    assert_eq!(row[0].try_publish(second, "quick", "goes on"), Handled::Done);
    assert!(row[0].resumed().is_empty());
    row[0].turn();
    let mut under_way = row.take(0, 1);
    assert!(under_way.bytes() < 4_200, "{} bytes", under_way.bytes());
    assert!(row[0].resumed().is_empty(), "what is under way counts until it is read");
    row.read(0, 1, &mut under_way);
    row[0].shard.note_transit(1, 0);
    assert_eq!(row[0].resumed(), [first]);
    row[0].publish(first, "slow", &format!("{sent:04}"));
    row.settle();
    let received = row[1].received(slow);
    let expected: Vec<String> = (0..=sent).map(|number| format!("id: {number}")).collect();
    assert_eq!(received[1..], expected);
    assert_eq!(row[2].received(quick)[1..], ["id: goes on"]);
}

#[test]
fn whoever_left_while_it_waited_is_not_resumed() {
    let mut row = Row::with(2, Settings { mailbox_bytes_max: 100, ..settings() });
    let (publisher, subscriber) = (row[0].open(), row[1].open());
    row[1].subscribe(subscriber, wish(1, "a", Policy::Disconnect));
    row.settle();
    while row[0].try_publish(publisher, "a", "x") == Handled::Done {}
    row[0].shard.remove_session(publisher);
    row.settle();
    assert!(row[0].resumed().is_empty());
}

#[test]
fn mail_that_costs_more_than_a_turn_goes_on_in_the_next() {
    let mut row = Row::new(2);
    let publisher = row[0].open();
    let sessions: Vec<_> = (0..50).map(|_| row[1].open()).collect();
    for (number, session) in sessions.iter().enumerate() {
        row[1].subscribe(*session, wish(1, &format!("topic/{number}/#"), Policy::Disconnect));
    }
    row.settle();
    for _ in 0..2 {
        for number in 0..50 {
            row[0].publish(publisher, &format!("topic/{number}"), &long("much", 10_000));
        }
    }
    row[0].turn();
    let mut envelope = row.take(0, 1);
    let mut turns = 0;
    while !row[1].shard.receive_mail(0, &mut envelope) {
        turns += 1;
        row[1].turn();
        row[0].turn();
    }
    assert!(turns >= 3, "a million bytes took {turns} turns besides the last");
    row.settle();
    for (number, session) in sessions.iter().enumerate() {
        assert_eq!(row[1].received(*session)[1..], [format!("topic/{number}: much"), format!("topic/{number}: much")]);
    }
}

#[test]
fn mail_that_nobody_wants_does_not_make_a_turn_long() {
    let mut row = Row::new(2);
    let (publisher, subscriber) = (row[0].open(), row[1].open());
    // Others see no more of this filter than its first level.
    row[1].subscribe(subscriber, wish(1, "room/+/door", Policy::Disconnect));
    for _ in 0..50_000 {
        row[0].publish(publisher, "room/7/window", "open");
    }
    let mut envelope = row.take(0, 1);
    let mut turns = 1;
    while !row[1].shard.receive_mail(0, &mut envelope) {
        turns += 1;
        row[1].turn();
    }
    assert!(turns > 2, "50 000 messages in {turns} turns");
}

#[test]
fn a_publisher_elsewhere_is_nobodys_own() {
    let mut row = Row::new(2);
    let (publisher, subscriber) = (row[0].open(), row[1].open());
    assert_eq!(publisher, subscriber, "both have the first slot of their shard");
    let quiet = fanwire_core::command::Subscribe { no_echo: true, ..wish(1, "a", Policy::Disconnect) };
    row[1].subscribe(subscriber, quiet);
    row[0].publish(publisher, "a", "from elsewhere");
    row[1].publish(subscriber, "a", "its own");
    row.settle();
    assert_eq!(row[1].received(subscriber)[1..], ["id: from elsewhere"]);
}

//! Commands that ask for what cannot be had: each is refused with its code, the connection goes on, and the log names
//! the peer. Commands that betray a broken client end its connection.

use super::broker::Broker;
use super::peer::{Peer, Witness, bytes_of, publish, subscribe};
use super::scene::Scene;
use fanwire_wire::Code;
use fanwire_wire::frame::{
    AckLevel, Frame, Policy, Publish, PublishShort, Register, Request, Scope, Start, Subscribe, Unsubscribe,
};

/// What no topic may be called, and the code for it.
fn wrong_topics() -> Vec<(Vec<u8>, Code)> {
    let long = vec![b'a'; 256];
    let deep = "a/".repeat(16) + "a";
    let deeper = "/".repeat(200);
    let mut wrong: Vec<(Vec<u8>, Code)> = [
        &b""[..],
        b"a/#",
        b"#",
        b"+/a",
        b"a+",
        b"\xff",
        b"a\xc3",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"a\0b",
        b"line\nbreak",
        b"\x1b[2J",
        "\u{feff}bom".as_bytes(),
        "\u{fffe}".as_bytes(),
        &long,
        deep.as_bytes(),
        deeper.as_bytes(),
    ]
    .iter()
    .map(|topic| (topic.to_vec(), Code::InvalidTopic))
    .collect();
    wrong.push((b"$sys/clients".to_vec(), Code::ReservedTopic));
    wrong.push((b"$".to_vec(), Code::ReservedTopic));
    wrong
}

const fn publish_short(short_id: u16, ack: AckLevel) -> PublishShort<'static> {
    PublishShort { ack, short_id, headers: b"", payload: b"x" }
}

#[test]
fn a_topic_that_breaks_the_grammar_refuses_the_publish_and_nothing_else() {
    let mut scene = Scene::new("");
    let mut peer = scene.welcomed();
    let all = peer.subscribe(subscribe(1, "#"));
    assert_eq!(all, 0, "a wildcard has no topic id");
    let mut number = 0;
    for (topic, code) in wrong_topics() {
        let message = Publish { ack: AckLevel::None, topic: &topic, headers: b"", payload: b"x" };
        peer.send(message);
        peer.expect_refused(Scope::UnackedPublish, code, 0);
        number += 1;
        peer.send(Publish { ack: AckLevel::Routed, ..message });
        peer.expect_refused(Scope::Publish, code, number);
    }
    scene.is_told(&peer, Code::InvalidTopic);
    peer.expect_quiet();
    scene.witness.is_served();
    assert!(matches!(peer.frame(), Frame::MessageNamed(message) if message.topic.starts_with(b"witness/")));
}

#[test]
fn a_registration_that_is_refused_refuses_what_is_published_by_it() {
    let mut scene = Scene::new("");
    let mut peer = scene.welcomed();
    for (short_id, (topic, code)) in (0..).zip(wrong_topics()) {
        peer.send(Register { short_id, topic: &topic });
        peer.expect_refused(Scope::Register, code, short_id.into());
        peer.send(publish_short(short_id, AckLevel::None));
        peer.expect_refused(Scope::UnackedPublish, code, 0);
    }
    scene.is_told(&peer, Code::InvalidTopic);
    // The id is free for a better name.
    peer.send(Register { short_id: 0, topic: b"sound" });
    peer.send(publish_short(0, AckLevel::Routed));
    assert!(matches!(peer.frame(), Frame::Ack(ack) if (ack.first, ack.count) == (1, 1)));
    peer.send(Register { short_id: 4_096, topic: b"a" });
    peer.expect_refused(Scope::Register, Code::ShortIdOutOfRange, 4_096);
    peer.send(publish_short(u16::MAX, AckLevel::None));
    peer.expect_refused(Scope::UnackedPublish, Code::ShortIdOutOfRange, 0);
    peer.expect_quiet();
    scene.witness.is_served();
}

#[test]
fn a_short_id_that_was_never_registered_ends_the_connection() {
    let mut scene = Scene::new("");
    scene.closes(&bytes_of(publish_short(0, AckLevel::Routed)), Code::UnknownShortId);
    let mut peer = scene.welcomed();
    peer.send(Register { short_id: 5, topic: b"a" });
    scene.breaks(peer, &bytes_of(publish_short(4, AckLevel::None)), Code::UnknownShortId);
}

#[test]
fn headers_and_ack_levels_that_cannot_be_had_are_refused() {
    let mut scene = Scene::new("[limits]\nheaders_bytes_max = 64\n");
    let mut peer = scene.welcomed();
    peer.send(Publish { headers: &[1; 65], ..publish("a", AckLevel::None, b"x") });
    peer.expect_refused(Scope::UnackedPublish, Code::HeadersTooLarge, 0);
    scene.is_told(&peer, Code::HeadersTooLarge);
    for (number, ack) in (1..).zip([AckLevel::Journaled, AckLevel::Durable]) {
        peer.send(publish("a", ack, b"x"));
        peer.expect_refused(Scope::Publish, Code::AckLevelUnavailable, number);
    }
    scene.is_told(&peer, Code::AckLevelUnavailable);
    peer.send(Publish { headers: &[1; 64], ..publish("a", AckLevel::Routed, b"x") });
    assert!(matches!(peer.frame(), Frame::Ack(ack) if ack.first == 3));
}

#[test]
fn a_filter_that_breaks_the_grammar_is_refused() {
    let mut scene = Scene::new("");
    let mut peer = scene.welcomed();
    let long = "a".repeat(256);
    let deep = "a/".repeat(16) + "#";
    for filter in [
        &b""[..],
        b"a/#/b",
        b"#/a",
        b"a+",
        b"a/b#",
        b"+a/b",
        b"+/+/+/+/+",
        b"\xff/#",
        b"\xed\xbf\xbf",
        b"a\0",
        "\u{feff}".as_bytes(),
        long.as_bytes(),
        deep.as_bytes(),
    ] {
        peer.send(Subscribe { filter, ..subscribe(9, "") });
        peer.expect_refused(Scope::Subscription, Code::InvalidFilter, 9);
    }
    scene.is_told(&peer, Code::InvalidFilter);
    // The number is still free.
    peer.subscribe(subscribe(9, "+/+/+/+/#"));
    scene.witness.is_served();
}

#[test]
fn a_subscription_that_cannot_be_had_is_refused() {
    let mut scene = Scene::new("");
    let mut peer = scene.welcomed();
    let sound = subscribe(9, "a/+");
    let long = [b'g'; 65];
    for (wish, code) in [
        (Subscribe { group: b"a/b", ..sound }, Code::InvalidGroup),
        (Subscribe { group: b"+", ..sound }, Code::InvalidGroup),
        (Subscribe { group: b"\xff", ..sound }, Code::InvalidGroup),
        (Subscribe { group: &long, ..sound }, Code::InvalidGroup),
        (Subscribe { responder: true, ..sound }, Code::InvalidGroup),
        (Subscribe { policy: Policy::CatchUp, ..sound }, Code::PolicyUnavailable),
        (Subscribe { policy: Policy::Conflate, group: b"g", ..sound }, Code::PolicyUnavailable),
        (Subscribe { max_rate_hz: 10, ..sound }, Code::RateUnavailable),
        (Subscribe { start: Start::First, ..sound }, Code::StartUnavailable),
        (Subscribe { start: Start::Resume { epoch: u64::MAX, last: 1 }, ..sound }, Code::StartUnavailable),
    ] {
        peer.send(wish);
        peer.expect_refused(Scope::Subscription, code, 9);
        scene.is_told(&peer, code);
    }
    peer.subscribe(sound);
    peer.send(Unsubscribe { subscription: 10 });
    peer.expect_refused(Scope::Subscription, Code::UnknownSubscription, 10);
    peer.expect_quiet();
    scene.witness.is_served();
}

#[test]
fn too_many_subscriptions_are_refused_until_one_goes() {
    let mut scene = Scene::new("[limits]\nsubscriptions_max = 100\n");
    let mut peer = scene.welcomed();
    for subscription in 0..100 {
        peer.subscribe(subscribe(subscription, &format!("t/{subscription}/#")));
    }
    for subscription in 100..110 {
        peer.send(subscribe(subscription, "one/more"));
        peer.expect_refused(Scope::Subscription, Code::TooManySubscriptions, subscription.into());
    }
    scene.is_told(&peer, Code::TooManySubscriptions);
    peer.send(Unsubscribe { subscription: 50 });
    assert!(matches!(peer.frame(), Frame::Unsubscribed(over) if (over.subscription, over.code) == (50, 0)));
    peer.subscribe(subscribe(u32::MAX, "one/more"));
    scene.witness.is_served();
}

#[test]
fn a_subscription_id_in_use_ends_the_connection() {
    let mut scene = Scene::new("");
    let mut peer = scene.welcomed();
    peer.subscribe(subscribe(7, "a"));
    scene.breaks(peer, &bytes_of(subscribe(7, "b")), Code::DuplicateSubscription);
}

#[test]
fn names_under_the_dollar_are_the_brokers_and_no_leading_wildcard_matches_them() {
    let broker = Broker::start("");
    let mut peer = Peer::welcomed(broker.address());
    peer.subscribe(subscribe(1, "#"));
    peer.subscribe(subscribe(2, "$sys/#"));
    peer.send(publish("$sys/x", AckLevel::None, b"forged"));
    peer.expect_refused(Scope::UnackedPublish, Code::ReservedTopic, 0);
    peer.send(Request { correlation: 1, deadline_ms: 100, topic: b"$sys/x", headers: b"", payload: b"" });
    assert!(matches!(peer.frame(), Frame::Response(response) if response.code == Code::ReservedTopic.number()));
    peer.expect_quiet();
}

/// Filters with up to four `+` over `levels` levels, all of which match `a/a/../a`.
fn overlapping_filters(levels: usize) -> impl Iterator<Item = String> {
    let bits = 1_u32 << levels;
    let filter = move |mask: u32| {
        let level = |index| if mask >> index & 1 == 1 { "+" } else { "a" };
        (0..levels).map(level).collect::<Vec<_>>().join("/")
    };
    (0..bits).filter(|mask| mask.count_ones() <= 4).map(filter)
}

#[test]
fn thousands_of_overlapping_filters_bring_a_message_once_and_delay_nobody() {
    let broker = Broker::start("");
    let mut witness = Witness::of(&broker);
    let open_ended = [15, 14, 13].into_iter().flat_map(overlapping_filters).map(|filter| filter + "/#");
    let filters: Vec<String> = overlapping_filters(16).chain(open_ended).take(4_096).collect();
    assert_eq!(filters.len(), 4_096);
    let mut peer = Peer::welcomed(broker.address());
    for (subscription, filter) in (0..).zip(&filters) {
        peer.send(subscribe(subscription, filter));
    }
    for _ in &filters {
        assert!(matches!(peer.frame(), Frame::Subscribed(_)));
    }
    let topic = ["a"; 16].join("/");
    let mut publisher = Peer::welcomed(broker.address());
    for number in 0..200_u32 {
        publisher.send(publish(&topic, AckLevel::None, &number.to_le_bytes()));
    }
    witness.is_served();
    for number in 0..200_u32 {
        match peer.frame() {
            // One exact filter among them: deliveries come by its id.
            Frame::Message(message) => assert_eq!(message.payload, number.to_le_bytes()),
            other => panic!("{other:?}"),
        }
    }
    peer.expect_quiet();
    drop(peer);
    witness.is_served();
}

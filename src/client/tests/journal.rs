//! Journaled topics through the blocking client: history, conditions, and messages that are sent again.

mod peer;

use fanwire_client::{AckLevel, Client, Error, Event, Message, Options, Outcome, Producer, Start, SubscribeOptions};
use fanwire_wire::frame::{self, Ack, Area, CaughtUp, History, PublishExtensions, Record, Scope, Subscribed, decode};
use fanwire_wire::{Code, Direction, Extensions, Frame};
use peer::{GENEROUS, Peer, Script};
use std::net::{Shutdown, TcpListener};
use std::time::Duration;

fn hasty(url: &str) -> Options {
    Options {
        reconnect_delay_min: Duration::from_millis(1),
        reconnect_delay_max: Duration::from_millis(20),
        ..Options::to(url).unwrap()
    }
}

fn history(subscription: u32, sequence: u64) -> History<'static> {
    let time_us = 1_000_000 * sequence;
    History { subscription, sequence, position: 10 * sequence, time_us, topic: b"a", headers: b"", payload: b"past" }
}

fn acked(peer: &mut Peer, first: u64, first_sequence: u64) {
    peer.send(Ack { first, count: 1, level: AckLevel::Durable, first_sequence });
}

/// Reads a publish by name: what it asks of a journal.
fn expect_publish(peer: &mut Peer) -> PublishExtensions {
    let frame = peer.next().expect("a publish");
    let decoded = decode(&frame, Direction::ToBroker).unwrap();
    assert!(matches!(decoded.frame, Frame::Publish(_)), "{decoded:?}");
    decoded.extensions.publish()
}

fn send_extended<'a>(peer: &mut Peer, frame: impl Into<Frame<'a>>, extensions: Extensions<'_>) {
    let mut bytes = Vec::new();
    frame.into().encode_with(extensions, &mut bytes);
    peer.send_bytes(&bytes);
}

/// Waits for as many events.
fn hear(client: &mut Client, count: usize) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    while events.len() < count {
        let told = client.wait(GENEROUS, |event| events.push(event.into_owned())).unwrap();
        assert!(told > 0, "nothing happened after {events:?}");
    }
    events
}

#[test]
fn a_replay_begins_where_it_was_asked_and_goes_on_after_a_loss() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        let (subscription, start) = peer.expect_start();
        assert_eq!(start, Start::First);
        peer.send(Subscribed { subscription, topic_id: 5, outcome: Outcome::History, epoch: 9 });
        peer.send(history(subscription, 1));
        peer.send(CaughtUp { subscription, position: 10 });
        peer.send(Record { topic_id: 5, sequence: 2, headers: b"", payload: b"live" });
        // A close would reset the connection if something was left unread, and eat what was sent.
        peer.stream.shutdown(Shutdown::Write).unwrap();
        while peer.next().is_some() {}
        let mut peer = Peer::welcome(listener);
        let (subscription, start) = peer.expect_start();
        assert_eq!(start, Start::Resume { epoch: 9, last: 2 });
        peer.send(Subscribed { subscription, topic_id: 6, outcome: Outcome::ResetEpoch, epoch: 11 });
        peer.send(history(subscription, 1));
        peer.drain_and_close();
    });
    let mut client = Client::open(hasty(&script.url())).unwrap();
    let subscription = client.subscribe("a", SubscribeOptions::first()).unwrap();
    let events = hear(&mut client, 8);
    assert!(matches!(events[0], Event::Subscribed { outcome: Outcome::History, epoch: 9, .. }), "{events:?}");
    let message = |event: &Event<'_>| match event {
        Event::Message(told) => (told.sequence, told.epoch, told.is_history),
        other => panic!("{other:?}"),
    };
    assert_eq!(message(&events[1]), (Some(1), Some(9), true));
    assert!(matches!(events[2], Event::CaughtUp { position: 10, .. }), "{events:?}");
    assert_eq!(message(&events[3]), (Some(2), Some(9), false));
    assert!(matches!(events[4], Event::Disconnected { .. }), "{events:?}");
    assert!(matches!(events[5], Event::Reconnected { may_have_missed: false, .. }), "{events:?}");
    let Event::Subscribed { outcome, epoch: 11, .. } = events[6] else { panic!("{events:?}") };
    assert!(outcome.is_reset());
    assert_eq!(message(&events[7]), (Some(1), Some(11), true));
    assert_eq!(client.place(subscription), Some(Start::Resume { epoch: 11, last: 1 }));
    client.close().unwrap();
    script.finish();
}

#[test]
fn a_publish_behind_a_sequence_is_acknowledged_or_told_the_actual_one() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        peer.expect_subscribe(5);
        assert_eq!(expect_publish(&mut peer).expect, Some(4));
        acked(&mut peer, 1, 5);
        assert_eq!(expect_publish(&mut peer).expect, Some(0));
        let refusal = frame::Refusal::new(Scope::Publish, Code::Conflict, 2, "");
        send_extended(&mut peer, refusal, Area::of_actual(5).extensions());
        let asked = expect_publish(&mut peer);
        assert!(asked.is_empty());
        peer.send(Ack { first: 3, count: 1, level: AckLevel::Routed, first_sequence: 6 });
        peer.drain_and_close();
    });
    let mut client = Client::connect(&script.url()).unwrap();
    client.subscribe("a", SubscribeOptions::default()).unwrap();
    let message = Message::new("a", b"x");
    let accepted = client.publish_message_acked(&message.expect(4), AckLevel::Durable, GENEROUS).unwrap();
    assert_eq!((accepted.sequence, accepted.is_duplicate), (Some(5), false));
    let error = client.publish_message_acked(&message.expect(0), AckLevel::Durable, GENEROUS).unwrap_err();
    assert!(matches!(error, Error::Conflict { actual: 5 }), "{error}");
    assert_eq!(error.code(), Some(Code::Conflict));
    let routed = client.publish_message_acked(&message, AckLevel::Routed, GENEROUS).unwrap();
    assert_eq!(routed.sequence, Some(6), "a journaled topic tells it at every level");
    client.close().unwrap();
    script.finish();
}

#[test]
fn what_is_taken_once_is_sent_again_until_it_is_settled() {
    let lose = |listener: &TcpListener| {
        let mut peer = Peer::welcome(listener);
        let asked = expect_publish(&mut peer);
        asked.producer.unwrap()
    };
    let script = Script::start(move |listener| {
        let first = lose(listener);
        assert_eq!((first.id, first.number), (7, 1));
        assert_eq!(lose(listener), first);
        let mut peer = Peer::welcome(listener);
        assert_eq!(expect_publish(&mut peer).producer, Some(first));
        let ack = Ack { first: 1, count: 1, level: AckLevel::Durable, first_sequence: 3 };
        send_extended(&mut peer, ack, Extensions::OF_DUPLICATES);
        assert_eq!(expect_publish(&mut peer).producer.unwrap().number, 2);
        peer.send(frame::Refusal::new(Scope::Publish, Code::ProducerTooOld, 2, ""));
        peer.drain_and_close();
    });
    let mut client = Client::open(hasty(&script.url())).unwrap();
    let mut producer = Producer::new(7).unwrap();
    let message = Message::new("a", b"paid").once(producer.stamp());
    let acked = client.publish_once(&message, AckLevel::Durable, GENEROUS).unwrap();
    assert_eq!((acked.sequence, acked.is_duplicate), (Some(3), true));
    let message = Message::new("a", b"shipped").once(producer.stamp());
    let error = client.publish_once(&message, AckLevel::Durable, GENEROUS).unwrap_err();
    assert_eq!(error.code(), Some(Code::ProducerTooOld));
    client.close().unwrap();
    script.finish();
}

#[test]
fn a_publish_beyond_what_a_journal_remembers_of_its_producer_is_sent_once_the_oldest_is_answered() {
    let script = Script::start(move |listener| {
        let mut peer = Peer::welcome(listener);
        (1..=128).for_each(|number| assert_eq!(expect_publish(&mut peer).producer.unwrap().number, number));
        for (first, count) in [(2, 127), (1, 1)] {
            peer.send(Ack { first, count, level: AckLevel::Durable, first_sequence: first });
        }
        assert_eq!(expect_publish(&mut peer).producer.unwrap().number, 129);
        acked(&mut peer, 129, 129);
        peer.drain_and_close();
    });
    let mut client = Client::connect(&script.url()).unwrap();
    let mut producer = Producer::new(7).unwrap();
    for _ in 1..=128 {
        client.send_acked(&Message::new("a", b"x").once(producer.stamp()), AckLevel::Durable).unwrap();
    }
    let message = Message::new("a", b"x").once(producer.stamp());
    assert_eq!(client.publish_message_acked(&message, AckLevel::Durable, GENEROUS).unwrap().sequence, Some(129));
    client.close().unwrap();
    script.finish();
}

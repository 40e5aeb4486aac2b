//! What the blocking client promises while the connection stands.

mod peer;

use fanwire_client::{AckLevel, Client, Error, Event, Headers, Message, Options, Subject, SubscribeOptions};
use fanwire_wire::frame::{self, Ack, MessageNamed, Pong, Response, Scope};
use fanwire_wire::{Code, Frame};
use peer::{GENEROUS, Peer, Script};
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn subscribing_waits_and_keeps_what_it_hears_meanwhile() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        peer.expect_subscribe(0);
        peer.expect(|frame| assert!(matches!(frame, Frame::Subscribe(_))));
        peer.send(MessageNamed { topic: b"a/1", headers: b"", payload: b"early" });
        peer.send(frame::Subscribed { subscription: 2, topic_id: 5, outcome: frame::Outcome::Live, epoch: 0 });
        peer.send(frame::Message { topic_id: 5, headers: b"", payload: b"late" });
        peer.drain_and_close();
    });
    let mut client = Client::connect(&script.url()).unwrap();
    let wildcard = client.subscribe("a/+", SubscribeOptions::default()).unwrap();
    let exact = client.subscribe("a/2", SubscribeOptions::default()).unwrap();
    let mut heard = Vec::new();
    while heard.len() < 3 {
        client
            .wait(GENEROUS, |event| match event {
                Event::Message(message) => heard.push((message.subscription, message.topic.to_string())),
                other => panic!("{other:?}"),
            })
            .unwrap();
    }
    assert_eq!(heard, [(wildcard, "a/1".into()), (wildcard, "a/2".into()), (exact, "a/2".into())]);
    client.close().unwrap();
    script.finish();
}

#[test]
fn a_refused_subscription_is_an_error_and_the_connection_goes_on() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        peer.expect(|frame| assert!(matches!(frame, Frame::Subscribe(_))));
        peer.send(frame::Refusal::new(Scope::Subscription, Code::PolicyUnavailable, 1, "no"));
        peer.expect_subscribe(1);
        peer.drain_and_close();
    });
    let mut client = Client::connect(&script.url()).unwrap();
    let error = client.subscribe("a", SubscribeOptions::default()).unwrap_err();
    assert_eq!(error.code(), Some(Code::PolicyUnavailable), "{error}");
    client.subscribe("b", SubscribeOptions::default()).unwrap();
    client.close().unwrap();
    script.finish();
}

#[test]
fn the_iterator_gives_one_subscription_and_sets_the_rest_aside() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        let first = peer.expect_subscribe(1);
        peer.expect_subscribe(2);
        for number in 0..10u8 {
            let topic_id = 1 + u32::from(number % 2);
            peer.send(frame::Message { topic_id, headers: b"", payload: &[number] });
        }
        peer.send(frame::Unsubscribed { subscription: first, code: Code::TooManySubscriptions.number() });
        peer.drain_and_close();
    });
    let mut client = Client::connect(&script.url()).unwrap();
    let even = client.subscribe("even", SubscribeOptions::default()).unwrap();
    let odd = client.subscribe("odd", SubscribeOptions::default()).unwrap();
    let mut messages = client.messages(even);
    for number in [0, 2, 4, 6, 8] {
        assert_eq!(messages.next().unwrap().unwrap().payload[..], [number]);
    }
    let end = messages.next().unwrap().unwrap_err();
    assert_eq!(end.code(), Some(Code::TooManySubscriptions));
    assert!(messages.next().is_none());
    for (number, message) in [1, 3, 5, 7, 9].into_iter().zip(client.messages(odd)) {
        assert_eq!(message.unwrap().payload[..], [number]);
    }
    client.close().unwrap();
    script.finish();
}

#[test]
fn acks_settle_publishes_alone_and_in_ranges() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        let expect_publish = |peer: &mut Peer, level| {
            peer.expect(|frame| assert!(matches!(frame, Frame::Publish(publish) if publish.ack == level)));
        };
        expect_publish(&mut peer, AckLevel::Routed);
        peer.send(Ack { first: 1, count: 1, level: AckLevel::Routed, first_sequence: 0 });
        expect_publish(&mut peer, AckLevel::Journaled);
        expect_publish(&mut peer, AckLevel::Journaled);
        peer.send(Ack { first: 2, count: 2, level: AckLevel::Journaled, first_sequence: 40 });
        expect_publish(&mut peer, AckLevel::Durable);
        peer.send(frame::Refusal::new(Scope::Publish, Code::AckLevelUnavailable, 4, ""));
        peer.drain_and_close();
    });
    let mut client = Client::connect(&script.url()).unwrap();
    let acked = client.publish_acked("a", b"1", AckLevel::Routed, GENEROUS).unwrap();
    assert_eq!((acked.level, acked.sequence), (AckLevel::Routed, None));
    let earlier = client.send_acked(&Message::new("a", b"2"), AckLevel::Journaled).unwrap();
    let acked = client.publish_acked("a", b"3", AckLevel::Journaled, GENEROUS).unwrap();
    assert_eq!((acked.level, acked.sequence), (AckLevel::Journaled, Some(41)));
    let told = client.poll(|event| match event {
        Event::Acked { first, count: 2, first_sequence: Some(40), .. } => assert_eq!(first, earlier),
        other => panic!("{other:?}"),
    });
    assert_eq!(told.unwrap(), 1, "the range holds a publish that nobody waited for");
    let error = client.publish_acked("a", b"4", AckLevel::Durable, GENEROUS).unwrap_err();
    assert_eq!(error.code(), Some(Code::AckLevelUnavailable));
    client.close().unwrap();
    script.finish();
}

#[test]
fn requests_are_answered_refused_or_late() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        let mut block = Vec::new();
        Headers::push(&mut block, "content-type", b"text/plain");
        for code in [0, Code::NoResponders.number(), Code::DeadlineExceeded.number(), Code::ResponderGone.number()] {
            let (correlation, deadline_ms) = peer.expect(|frame| match frame {
                Frame::Request(request) => (request.correlation, request.deadline_ms),
                other => panic!("{other:?}"),
            });
            assert_eq!(deadline_ms, 2_000);
            let (headers, payload) = if code == 0 { (&block[..], &b"noon"[..]) } else { (&b""[..], &b""[..]) };
            peer.send(Response { correlation, code, headers, payload });
        }
        peer.drain_and_close();
    });
    let mut client = Client::connect(&script.url()).unwrap();
    let mut ask = || client.request("time/now", b"", Duration::from_secs(2));
    let answer = ask().unwrap();
    assert_eq!(answer.payload[..], b"noon"[..]);
    assert_eq!(answer.headers().get("content-type"), Some(&b"text/plain"[..]));
    assert!(matches!(ask(), Err(Error::NoResponders)));
    assert!(matches!(ask(), Err(Error::DeadlineExceeded)));
    assert!(matches!(ask(), Err(Error::ResponderGone)));
    client.close().unwrap();
    script.finish();
}

#[test]
fn calls_are_answered_after_the_poll() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        let subscription = peer.expect_subscribe(0);
        for handle in 1..=3 {
            let call = frame::Call { subscription, handle, deadline_ms: 50, topic: b"t", headers: b"", payload: b"?" };
            peer.send(call);
        }
        for handle in 1..=3 {
            peer.expect(|frame| match frame {
                Frame::Reply(reply) => assert_eq!((reply.handle, reply.payload), (handle, &b"t!"[..])),
                other => panic!("{other:?}"),
            });
        }
        peer.drain_and_close();
    });
    let mut client = Client::connect(&script.url()).unwrap();
    client.subscribe("t", SubscribeOptions::responder("g")).unwrap();
    let mut answered = 0;
    while answered < 3 {
        let mut calls = Vec::new();
        client
            .wait(GENEROUS, |event| match event {
                Event::Call(call) => calls.push(call.into_owned()),
                other => panic!("{other:?}"),
            })
            .unwrap();
        for call in calls {
            client.respond(&call.handle, format!("{}!", call.topic).as_bytes()).unwrap();
            answered += 1;
        }
    }
    client.close().unwrap();
    script.finish();
}

#[test]
fn publish_and_close_lose_nothing() {
    const COUNT: usize = 20_000;
    let script = Script::start(|listener| {
        let peer = Peer::welcome(listener);
        assert_eq!(peer.drain_and_close(), COUNT + 1);
    });
    let mut client = Client::connect(&script.url()).unwrap();
    let publisher = client.register("room/1/pos").unwrap();
    let mut block = Vec::new();
    Headers::push(&mut block, "n", b"1");
    for index in 0..COUNT {
        match index % 3 {
            0 => client.publish("room/1/pos", b"by name").unwrap(),
            1 => client.publish_to(&publisher, b"by short id").unwrap(),
            _ => client.publish_message(&Message::to(&publisher, b"with headers").headers(&block)).unwrap(),
        }
    }
    client.close().unwrap();
    script.finish();
}

#[test]
fn close_tells_a_refusal_and_a_loss() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        peer.expect(|frame| assert!(matches!(frame, Frame::Publish(_))));
        peer.send(frame::Refusal::new(Scope::UnackedPublish, Code::ReservedTopic, 0, ""));
        peer.drain_and_close();
        let mut peer = Peer::welcome(listener);
        peer.expect(|frame| assert!(matches!(frame, Frame::Publish(_))));
    });
    let mut client = Client::connect(&script.url()).unwrap();
    client.publish("a", b"").unwrap();
    let error = client.close().unwrap_err();
    assert_eq!(error.code(), Some(Code::ReservedTopic), "{error}");
    let mut client = Client::connect(&script.url()).unwrap();
    client.send_acked(&Message::new("a", b""), AckLevel::Routed).unwrap();
    assert!(matches!(client.close(), Err(Error::Unknown)));
    script.finish();
}

#[test]
fn a_ping_measures_and_the_keep_alive_is_silent() {
    let (asked, was_asked) = mpsc::channel();
    let script = Script::start(move |listener| {
        let mut peer = Peer::welcome_with(listener, |welcome| welcome.keep_alive_ms = 1_000);
        for by_the_caller in [false, true] {
            let time = peer.expect(|frame| match frame {
                Frame::Ping(ping) => ping.time,
                other => panic!("{other:?}"),
            });
            assert_eq!(time != 0, by_the_caller);
            peer.send(Pong { time, clock_us: 9 });
            asked.send(()).unwrap();
        }
        peer.drain_and_close();
    });
    let mut client = Client::connect(&script.url()).unwrap();
    while was_asked.try_recv().is_err() {
        assert_eq!(client.wait(Duration::from_millis(50), |event| panic!("{event:?}")).unwrap(), 0);
    }
    client.ping(GENEROUS).unwrap();
    client.close().unwrap();
    script.finish();
}

#[test]
fn an_unread_flood_ends_blocking_waits_and_not_the_memory() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        peer.expect_subscribe(1);
        let mut flood = Vec::new();
        for _ in 0..2_000 {
            Frame::from(frame::Message { topic_id: 1, headers: b"", payload: &[7; 100] }).encode(&mut flood);
        }
        peer.expect(|frame| assert!(matches!(frame, Frame::Request(_))));
        peer.send_bytes(&flood);
        peer.send(Response { correlation: 0, code: 0, headers: b"", payload: b"" });
        peer.drain_and_close();
    });
    let options = Options { backlog_bytes_max: 1_000, ..Options::to(&script.url()).unwrap() };
    let mut client = Client::open(options).unwrap();
    client.subscribe("a", SubscribeOptions::default()).unwrap();
    let error = client.request("b", b"", GENEROUS).unwrap_err();
    assert!(matches!(error, Error::BacklogFull { bytes_max: 1_000 }), "{error}");
    let mut heard = 0;
    while heard < 2_000 {
        heard += client.wait(GENEROUS, |event| assert!(matches!(event, Event::Message(_)), "{event:?}")).unwrap();
    }
    client.close().unwrap();
    script.finish();
}

#[test]
fn refusals_of_unacked_publishes_are_events() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        peer.expect(|frame| assert!(matches!(frame, Frame::Publish(_))));
        peer.send(frame::Refusal::new(Scope::UnackedPublish, Code::ReservedTopic, 0, "not yours"));
        peer.drain_and_close();
    });
    let mut client = Client::connect(&script.url()).unwrap();
    client.try_publish("a", b"").unwrap();
    client
        .wait(GENEROUS, |event| match event {
            Event::Refused { subject: Subject::UnackedPublish, refusal } => assert_eq!(refusal.text, "not yours"),
            other => panic!("{other:?}"),
        })
        .unwrap();
    client.close().unwrap();
    script.finish();
}

//! The client crate against the real broker: what it promises in health, and what it says when the broker is killed,
//! restarted, or goes in an orderly way.

use super::broker::Broker;
use super::peer::{Peer, subscribe};
use super::process::eventually;
use fanwire_client::{
    AckLevel, Client, Error, Event, Headers, Message, Options, Policy, PublishId, SubscribeOptions, SubscriptionId,
};
use fanwire_wire::frame::Frame;
use rustix::process::Signal;
use std::time::Duration;

const PATIENCE: Duration = super::process::PATIENCE;

fn options(broker: &Broker) -> Options {
    Options {
        handshake_timeout: PATIENCE,
        answer_timeout: PATIENCE,
        close_timeout: PATIENCE,
        reconnect_delay_min: Duration::from_millis(5),
        reconnect_delay_max: Duration::from_millis(50),
        ..Options::to(&broker.url()).expect("an address")
    }
}

fn client(broker: &Broker) -> Client {
    Client::open(options(broker)).expect("the broker is there")
}

/// Polls until an event is the one that is waited for; what came before it is handed out too.
#[track_caller]
fn wait_until<T>(client: &mut Client, what: &str, mut pick: impl FnMut(&Event<'_>) -> Option<T>) -> (T, Vec<String>) {
    let mut before = Vec::new();
    let found = eventually(what, || {
        let mut found = None;
        let waited = client.wait(Duration::from_millis(50), |event| {
            if found.is_none() {
                found = pick(&event);
                if found.is_none() {
                    before.push(format!("{event:?}"));
                }
            }
        });
        assert!(waited.is_ok(), "{waited:?} after {before:?}");
        found
    });
    (found, before)
}

/// The next messages: their subscriptions, payloads and header counts.
fn messages(client: &mut Client, count: usize) -> Vec<(SubscriptionId, Vec<u8>, usize)> {
    let mut heard = Vec::new();
    eventually("messages", || {
        client
            .wait(Duration::from_millis(50), |event| match event {
                Event::Message(message) => {
                    let headers = message.headers().iter();
                    let count =
                        headers.inspect(|header| assert_eq!(*header, ("content-type", &b"text/plain"[..]))).count();
                    heard.push((message.subscription, message.payload.into_owned(), count));
                }
                other => panic!("no message: {other:?}"),
            })
            .expect("the broker is there");
        (heard.len() >= count).then_some(())
    });
    heard
}

#[test]
fn everything_a_client_can_do_works() {
    let broker = Broker::start("");
    let mut client = client(&broker);
    let exact = client.subscribe("orders/7", SubscribeOptions::default()).expect("subscribed");
    let wildcard = client.subscribe("orders/+", SubscribeOptions::default()).expect("subscribed");
    let mut block = Vec::new();
    Headers::push(&mut block, "content-type", b"text/plain");
    client.publish_message(&Message::new("orders/7", b"by name").headers(&block)).expect("published");
    let publisher = client.register("orders/7").expect("registered");
    client.publish_to(&publisher, b"by id").expect("published");
    let acked = client.publish_acked("orders/8", b"acked", AckLevel::Routed, PATIENCE).expect("acked");
    assert_eq!((acked.level, acked.sequence), (AckLevel::Routed, None));
    // A message that both match comes to both handlers.
    let mut heard = messages(&mut client, 5);
    let both = |payload: &str, headers| {
        [(exact, payload.as_bytes().to_vec(), headers), (wildcard, payload.as_bytes().to_vec(), headers)]
    };
    let mut expected = [both("by name", 1), both("by id", 0)].concat();
    expected.push((wildcard, b"acked".to_vec(), 0));
    expected.sort();
    heard.sort();
    assert_eq!(heard, expected);

    client.unsubscribe(exact);
    client.publish("orders/7", b"after").expect("published");
    let message = client.messages(wildcard).next().expect("not over").expect("a message");
    assert_eq!((&*message.topic, &*message.payload), ("orders/7", &b"after"[..]));
    assert!(client.ping(PATIENCE).is_ok());
    let refused = client.publish_acked("orders/7", b"x", AckLevel::Durable, PATIENCE);
    assert!(matches!(&refused, Err(Error::Refused(_) | Error::Limit { .. } | Error::Invalid { .. })), "{refused:?}");
    client.close().expect("everything was taken");
}

#[test]
fn requests_are_answered_by_another_client() {
    let broker = Broker::start("");
    let mut asking = client(&broker);
    assert!(matches!(asking.request("time/now", b"", PATIENCE), Err(Error::NoResponders)));
    let mut answering = client(&broker);
    answering.subscribe("time/+", SubscribeOptions::responder("clock")).expect("subscribed");
    let thread = std::thread::spawn(move || {
        for _ in 0..100 {
            let mut calls = Vec::new();
            while calls.is_empty() {
                let heard = answering.wait(PATIENCE, |event| {
                    if let Event::Call(call) = event {
                        calls.push(call.into_owned());
                    }
                });
                assert!(heard.expect("the broker is there") > 0, "no call came");
            }
            for call in calls {
                answering.respond(&call.handle, &[&call.payload[..], b" o'clock"].concat()).expect("answered");
            }
        }
        answering.close().expect("every answer was taken");
    });
    for hour in 0..100 {
        let answer = asking.request("time/now", hour.to_string().as_bytes(), PATIENCE).expect("answered");
        assert_eq!(&*answer.payload, format!("{hour} o'clock").as_bytes());
    }
    thread.join().expect("the responder did well");
    asking.close().expect("everything was taken");
}

#[test]
fn closing_loses_nothing() {
    let broker = Broker::start("[limits]\nqueue_bytes_max = \"64MiB\"\n");
    let mut subscriber = Peer::welcomed(broker.address());
    subscriber.subscribe(subscribe(1, "numbers"));
    let mut client = client(&broker);
    for number in 0..50_000_u32 {
        client.publish("numbers", &number.to_le_bytes()).expect("published");
    }
    client.close().expect("everything was taken");
    for number in 0..50_000_u32 {
        match subscriber.frame() {
            Frame::Message(message) => assert_eq!(message.payload, number.to_le_bytes()),
            other => panic!("{other:?} instead of message {number}"),
        }
    }
    subscriber.expect_quiet();
}

#[test]
fn a_broker_that_is_killed_and_comes_back_is_found_again_and_the_loss_is_told() {
    let broker = Broker::start("");
    let address = broker.address().to_string();
    let mut client = client(&broker);
    let news = client.subscribe("news", SubscribeOptions::default()).expect("subscribed");
    let publisher = client.register("news").expect("registered");
    let sure = client.send_acked(&Message::to(&publisher, b"sure"), AckLevel::Routed).expect("sent");
    let (acked, _) = wait_until(&mut client, "the ack", |event| match event {
        Event::Acked { first, count, .. } => Some((*first, *count)),
        _ => None,
    });
    assert_eq!(acked, (sure, 1));
    // A broker that is stopped takes bytes and says nothing: these three end as unknown.
    broker.stop();
    let unsure: Vec<PublishId> =
        (0..3).map(|_| client.send_acked(&Message::new("news", b"unsure"), AckLevel::Routed).expect("sent")).collect();
    client.flush().expect("the kernel takes them");
    broker.kill();
    let (may_have_missed, before) = {
        let mut revived = None;
        let (missed, before) = wait_until(&mut client, "the reconnect", |event| match event {
            Event::ReconnectFailed { reconnect_in: Some(_), .. } => {
                revived.get_or_insert_with(|| Broker::start_at(&address, ""));
                None
            }
            Event::Reconnected { may_have_missed, .. } => Some(*may_have_missed),
            _ => None,
        });
        let broker = revived.expect("it was gone for a while");
        wait_until(&mut client, "the subscription", |event| match event {
            Event::Subscribed { subscription, .. } if *subscription == news => Some(()),
            _ => None,
        });
        client.publish_to(&publisher, b"back").expect("published");
        let message = client.messages(news).next().expect("not over").expect("a message");
        assert_eq!(&*message.payload, b"back");
        drop(broker);
        (missed, before)
    };
    assert!(may_have_missed);
    let told = before.join("\n");
    assert!(told.contains("Disconnected {"), "{told}");
    let unknown = format!("PublishesUnknown {{ first: {:?}, count: 3 }}", unsure[0]);
    assert!(told.contains(&unknown), "{unknown} is not in {told}");
}

#[test]
fn a_client_that_is_told_to_go_comes_back_to_the_next_broker() {
    let broker = Broker::start("[drain]\nreconnect_min = \"0ms\"\nreconnect_max = \"20ms\"\ndeadline = \"1m\"\n");
    let address = broker.address().to_string();
    let mut client = client(&broker);
    let news = client.subscribe("news", SubscribeOptions::default()).expect("subscribed");
    broker.signal(Signal::TERM);
    wait_until(&mut client, "GOAWAY", |event| matches!(event, Event::Goaway { .. }).then_some(()));
    wait_until(&mut client, "the move", |event| matches!(event, Event::Disconnected { .. }).then_some(()));
    assert_eq!(broker.end().status.code(), Some(0), "nobody was left, so the drain was over");
    let broker = Broker::start_at(&address, "");
    wait_until(&mut client, "the subscription", |event| match event {
        Event::Subscribed { subscription, .. } if *subscription == news => Some(()),
        _ => None,
    });
    client.publish("news", b"moved").expect("published");
    assert_eq!(&*client.messages(news).next().expect("not over").expect("a message").payload, b"moved");
    client.close().expect("everything was taken");
    drop(broker);
}

#[test]
fn a_slow_client_is_told_what_it_missed() {
    let broker = Broker::start(super::memory::NARROW);
    let mut slow = client(&broker);
    let wish = SubscribeOptions { policy: Policy::DropOldest, ..SubscribeOptions::default() };
    slow.subscribe("flood", wish).expect("subscribed");
    let mut publisher = client(&broker);
    let payload = vec![7; 4_000];
    // More than the kernel's buffers and the queue hold together, whatever the kernel is set to.
    let count = 4_000_u64;
    for _ in 0..count {
        publisher.publish_acked("flood", &payload, AckLevel::Routed, PATIENCE).expect("acked");
    }
    let (mut delivered, mut dropped) = (0, 0);
    eventually("all of them, told or delivered", || {
        slow.wait(Duration::from_millis(50), |event| match event {
            Event::Message(_) => delivered += 1,
            Event::Gap { dropped: more, conflated: 0, .. } => dropped += more,
            other => panic!("{other:?}"),
        })
        .expect("the broker is there");
        (delivered + dropped == count).then_some(())
    });
    assert!(delivered > 0 && dropped > 0, "{delivered} delivered, {dropped} dropped");
}

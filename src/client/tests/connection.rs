//! Connections that do not come about, or end: every one has its class, and what was in flight is told.

mod peer;

use fanwire_client::{AckLevel, Client, Error, Event, Message, Options, Policy, Retry, SubscribeOptions};
use fanwire_wire::frame::{self, Goaway, Scope};
use fanwire_wire::{Code, Frame, ServerPreface};
use peer::{GENEROUS, Peer, Script};
use std::net::{Shutdown, TcpListener};
use std::time::Duration;

/// Reconnects at once, so that tests are quick.
fn hasty(url: &str) -> Options {
    Options {
        reconnect_delay_min: Duration::from_millis(1),
        reconnect_delay_max: Duration::from_millis(20),
        ..Options::to(url).unwrap()
    }
}

/// Waits until an event makes `done` true; gathers a line for each.
fn hear_until(client: &mut Client, mut done: impl FnMut(&Event<'_>) -> bool) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    let mut finished = false;
    while !finished {
        let told = client.wait(GENEROUS, |event| {
            finished |= done(&event);
            events.push(event.into_owned());
        });
        assert!(told.unwrap() > 0, "nothing happened after {events:?}");
    }
    events
}

const fn is_reconnected(event: &Event<'_>) -> bool {
    matches!(event, Event::Reconnected { .. })
}

#[test]
fn nobody_listening_is_a_connect_error_that_names_the_place_and_not_the_token() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Client::connect(&format!("fanwire://hunter2@{address}")).unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn a_refused_handshake_says_why() {
    let script = Script::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.expect_hello();
        peer.send_bytes(&ServerPreface::ours(None).encode());
        peer.send(frame::Refusal::new(Scope::Connection, Code::BadCredentials, 0, "who are you"));
        let mut peer = Peer::accept(listener);
        let refusal = ServerPreface { version_min: 3, version_max: 4, code: Code::UnsupportedVersion.number() };
        peer.send_bytes(&refusal.encode());
        peer.drain_and_close();
    });
    let error = Client::connect(&script.url()).unwrap_err();
    assert!(matches!(&error, Error::Handshake(refusal) if refusal.text == "who are you"), "{error}");
    assert_eq!((error.code(), error.retry()), (Some(Code::BadCredentials), Retry::Never));
    let error = Client::connect(&script.url()).unwrap_err();
    assert!(matches!(error, Error::Version { server_min: 3, server_max: 4 }), "{error}");
    script.finish();
}

#[test]
fn a_silent_or_foreign_server_is_told_from_a_broker() {
    let script = Script::start(|listener| {
        let mut peer = Peer::accept(listener);
        peer.send_bytes(b"SSH-2.0-OpenSSH_9.2\r\n");
        let silent = Peer::accept(listener);
        let closing = Peer::accept(listener);
        closing.stream.shutdown(Shutdown::Both).unwrap();
        silent.drain_and_close();
    });
    let error = Client::connect(&script.url()).unwrap_err();
    assert!(matches!(error, Error::Violation(_)), "{error}");
    let options = Options { handshake_timeout: Duration::from_millis(50), ..hasty(&script.url()) };
    let error = Client::open(options).unwrap_err();
    assert!(matches!(error, Error::Timeout { what: "the broker's welcome", .. }), "{error}");
    let error = Client::connect(&script.url()).unwrap_err();
    assert!(matches!(error, Error::Lost(_)), "{error}");
    script.finish();
}

#[test]
fn after_a_loss_subscriptions_come_back_and_the_events_say_what_may_be_missing() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        peer.expect(|frame| assert!(matches!(frame, Frame::Register(_))));
        peer.expect_subscribe(5);
        drop(peer);
        // Nobody home for an attempt: accepted and dropped before the welcome.
        drop(Peer::accept(listener));
        let mut peer = Peer::welcome_with(listener, |welcome| welcome.connection_id = 8);
        peer.expect(|frame| assert!(matches!(frame, Frame::Register(register) if register.topic == b"a")));
        peer.expect_subscribe(6);
        peer.send(frame::Message { topic_id: 6, headers: b"", payload: b"again" });
        peer.drain_and_close();
    });
    let mut client = Client::open(hasty(&script.url())).unwrap();
    let publisher = client.register("a").unwrap();
    let subscription = client.subscribe("a", SubscribeOptions::default()).unwrap();
    let events = hear_until(&mut client, |event| matches!(event, Event::Message(_)));
    assert!(
        matches!(events[0], Event::Disconnected { error: Error::Lost(_), reconnect_in: Some(_), .. }),
        "{events:?}"
    );
    assert!(matches!(events[1], Event::ReconnectFailed { .. }), "{events:?}");
    let [.., Event::Reconnected { may_have_missed: true, connection_id: 8 }, subscribed, message] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(matches!(subscribed, Event::Subscribed { subscription: stands, .. } if *stands == subscription));
    assert!(matches!(message, Event::Message(message) if message.subscription == subscription));
    client.publish_to(&publisher, b"").unwrap();
    client.close().unwrap();
    script.finish();
}

#[test]
fn what_was_in_flight_at_a_loss_is_unknown_and_never_sent_again() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        for _ in 0..3 {
            peer.next().unwrap();
        }
        drop(peer);
        assert_eq!(Peer::welcome(listener).drain_and_close(), 0, "nothing is sent again");
    });
    let mut client = Client::open(hasty(&script.url())).unwrap();
    let first = client.send_acked(&Message::new("a", b"1"), AckLevel::Routed).unwrap();
    let request = client.send_request(&Message::new("b", b""), Duration::from_secs(9)).unwrap();
    let error = client.publish_acked("a", b"2", AckLevel::Routed, GENEROUS).unwrap_err();
    assert!(matches!(error, Error::Unknown), "{error}");
    let events = hear_until(&mut client, is_reconnected);
    assert!(
        events.iter().any(|event| {
            matches!(event, Event::PublishesUnknown { first: publish, count: 2 } if *publish == first)
        })
    );
    assert!(events.iter().any(|event| {
        matches!(event, Event::Response { request: ended, outcome: Err(Error::Unknown) } if *ended == request)
    }));
    assert!(matches!(events.last(), Some(Event::Reconnected { may_have_missed: false, .. })));
    client.close().unwrap();
    script.finish();
}

#[test]
fn without_a_connection_nothing_is_buffered_behind_the_callers_back() {
    let script = Script::start(|listener| {
        let peer = Peer::welcome(listener);
        drop(peer);
        assert_eq!(Peer::welcome(listener).drain_and_close(), 0);
    });
    let mut client = Client::open(hasty(&script.url())).unwrap();
    let mut down = false;
    while !down {
        client.wait(GENEROUS, |event| down |= matches!(event, Event::Disconnected { .. })).unwrap();
    }
    assert!(matches!(client.publish("a", b""), Err(Error::Disconnected)));
    assert!(matches!(client.request("a", b"", GENEROUS), Err(Error::Disconnected)));
    hear_until(&mut client, is_reconnected);
    client.close().unwrap();
    script.finish();
}

#[test]
fn subscribing_goes_on_over_a_loss() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        peer.expect(|frame| assert!(matches!(frame, Frame::Subscribe(_))));
        drop(peer);
        let mut peer = Peer::welcome(listener);
        peer.expect_subscribe(1);
        peer.drain_and_close();
    });
    let mut client = Client::open(hasty(&script.url())).unwrap();
    client.subscribe("a", SubscribeOptions::default()).unwrap();
    client.close().unwrap();
    script.finish();
}

#[test]
fn a_close_that_trying_again_cannot_mend_ends_the_client() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        peer.send(frame::Refusal::new(Scope::Connection, Code::UnknownShortId, 0, ""));
        peer.drain_and_close();
    });
    let mut client = Client::open(hasty(&script.url())).unwrap();
    let mut events = Vec::new();
    let error = client.wait(GENEROUS, |event| events.push(event.into_owned())).unwrap_err();
    assert!(
        matches!(events[..], [Event::Disconnected { error: Error::Closed(_), reconnect_in: None, .. }]),
        "{events:?}"
    );
    assert_eq!(error.code(), Some(Code::UnknownShortId));
    assert_eq!(client.poll(|_| {}).unwrap_err().code(), Some(Code::UnknownShortId));
    assert_eq!(client.publish("a", b"").unwrap_err().code(), Some(Code::UnknownShortId));
    script.finish();
}

#[test]
fn a_slow_consumer_is_told_so_and_comes_back() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        peer.send(frame::Refusal::new(Scope::Connection, Code::SlowConsumer, 0, ""));
        peer.drain_and_close();
        Peer::welcome(listener).drain_and_close();
    });
    let mut client = Client::open(hasty(&script.url())).unwrap();
    let events = hear_until(&mut client, is_reconnected);
    let Event::Disconnected { error, .. } = &events[0] else { panic!("{events:?}") };
    assert_eq!(error.code(), Some(Code::SlowConsumer));
    client.close().unwrap();
    script.finish();
}

#[test]
fn garbage_in_the_stream_ends_the_client_with_a_violation() {
    let script = Script::start(|listener| {
        let mut peer = Peer::welcome(listener);
        peer.expect_subscribe(1);
        peer.send(frame::Message { topic_id: 1, headers: b"", payload: b"sound" });
        peer.send_bytes(&[0xFF; 64]);
        peer.drain_and_close();
    });
    let mut client = Client::open(hasty(&script.url())).unwrap();
    let options = SubscribeOptions { policy: Policy::DropOldest, ..SubscribeOptions::default() };
    let subscription = client.subscribe("a", options).unwrap();
    let mut messages = client.messages(subscription);
    assert_eq!(messages.next().unwrap().unwrap().payload[..], b"sound"[..]);
    assert!(matches!(messages.next(), Some(Err(Error::Violation(_)))));
    assert!(messages.next().is_none());
    script.finish();
}

#[test]
fn goaway_moves_the_client_without_losing_anything() {
    let script = Script::start(|listener| {
        let mut old = Peer::welcome(listener);
        old.expect_subscribe(1);
        old.send(Goaway { code: Code::Draining.number(), reconnect_min_ms: 5, reconnect_max_ms: 10, text: "bye" });
        // The client half-closes by itself; what the old broker still has is heard before the move.
        assert!(old.next().is_none());
        old.send(frame::Message { topic_id: 1, headers: b"", payload: b"last" });
        drop(old);
        let mut new = Peer::welcome(listener);
        new.expect_subscribe(1);
        new.drain_and_close();
    });
    let mut client = Client::open(hasty(&script.url())).unwrap();
    client.subscribe("a", SubscribeOptions::default()).unwrap();
    let events = hear_until(&mut client, |event| matches!(event, Event::Subscribed { .. }));
    let [Event::Goaway { .. }, Event::Message(last), Event::Disconnected { error, .. }, rest @ ..] = &events[..] else {
        panic!("{events:?}");
    };
    assert_eq!(last.payload[..], b"last"[..]);
    assert_eq!(error.code(), Some(Code::Draining));
    assert!(matches!(rest, [Event::Reconnected { .. }, Event::Subscribed { .. }]), "{rest:?}");
    client.close().unwrap();
    script.finish();
}

#[test]
fn a_broker_without_a_sign_of_life_is_lost() {
    let script = Script::start(|listener| {
        let silent = Peer::welcome_with(listener, |welcome| welcome.keep_alive_ms = 1_000);
        Peer::welcome(listener).drain_and_close();
        drop(silent);
    });
    let mut client = Client::open(hasty(&script.url())).unwrap();
    let events = hear_until(&mut client, is_reconnected);
    assert!(matches!(events[0], Event::Disconnected { error: Error::Timeout { .. }, .. }), "{events:?}");
    client.close().unwrap();
    script.finish();
}

#[test]
fn a_client_that_shall_not_reconnect_is_over_with_its_connection() {
    let script = Script::start(|listener| drop(Peer::welcome(listener)));
    let mut client = Client::open(Options { reconnect: false, ..hasty(&script.url()) }).unwrap();
    let mut told = 0;
    let error = client.wait(GENEROUS, |_| told += 1).unwrap_err();
    assert!(matches!(error, Error::Lost(_)), "{error}");
    assert_eq!(told, 1);
    script.finish();
}

//! The session against a broker that is nothing but encoded frames, cut wherever it hurts.

mod journal;

use super::*;
use crate::event::{Delivery, PublishId, Publisher, RequestId, Subject, SubscriptionId};
use crate::options::{Message, SubscribeOptions};
use fanwire_wire::frame::{
    self, Ack, Gap, Goaway, MessageGroup, MessageNamed, Outcome, Ping, Response, Scope, Subscribed, Unsubscribed,
};
use fanwire_wire::{Retry, TopicName};

fn identity() -> Identity {
    Identity {
        client_name: "test".into(),
        client_version: "1".into(),
        credentials: b"s3cret".to_vec(),
        keep_alive: Some(Duration::from_secs(30)),
    }
}

fn session() -> Session {
    Session::new(identity(), 1024).unwrap()
}

fn welcome(limits: Limits) -> Vec<u8> {
    let mut bytes = ServerPreface::ours(None).encode().to_vec();
    let welcome = frame::Welcome {
        version: 1,
        open: false,
        draining: false,
        connection_id: 77,
        server_time_us: 5,
        keep_alive_ms: 30_000,
        limits,
        server_name: "broker 1",
    };
    Frame::from(welcome).encode(&mut bytes);
    bytes
}

/// Feeds bytes in chunks and gathers what is told.
fn feed(session: &mut Session, bytes: &[u8], chunk: usize) -> Result<Vec<Event<'static>>, Error> {
    let mut events = Vec::new();
    for mut input in bytes.chunks(chunk) {
        while !input.is_empty() {
            session.receive(&mut input, &mut |event| events.push(event.into_owned()))?;
        }
    }
    Ok(events)
}

fn hear<'a>(session: &mut Session, frame: impl Into<Frame<'a>>) -> Result<Vec<Event<'static>>, Error> {
    let mut bytes = Vec::new();
    frame.into().encode(&mut bytes);
    feed(session, &bytes, usize::MAX)
}

fn ready() -> Session {
    let mut session = session();
    connect(&mut session, Limits::default());
    session
}

fn connect(session: &mut Session, limits: Limits) -> Vec<Event<'static>> {
    session.begin();
    let events = feed(session, &welcome(limits), usize::MAX).unwrap();
    assert!(session.is_ready());
    events
}

/// Takes everything out of the session as the socket would, and names the frames.
fn sent(session: &mut Session) -> Vec<String> {
    let mut bytes = session.outgoing().to_vec();
    session.advance(bytes.len());
    if bytes.starts_with(&fanwire_wire::MAGIC) {
        bytes.drain(..PREFACE_BYTES);
    }
    let mut rest = &bytes[..];
    let mut names = Vec::new();
    while let Some((raw, size)) = frame::split_frame(rest, u32::MAX).unwrap() {
        let decoded = decode(raw, Direction::ToBroker).unwrap();
        names.push(match decoded.frame {
            Frame::Subscribe(subscribe) => format!("SUBSCRIBE {}", subscribe.subscription),
            Frame::Register(register) => format!("REGISTER {}", register.short_id),
            Frame::Publish(publish) => format!("PUBLISH {:?}", publish.ack),
            other => other.kind().name.to_owned(),
        });
        rest = &rest[size..];
    }
    assert!(rest.is_empty());
    names
}

fn standing(session: &mut Session, filter: &str, topic_id: u32) -> SubscriptionId {
    let id = session.subscribe(filter, SubscribeOptions::default()).unwrap();
    stand(session, id, topic_id);
    id
}

fn stand(session: &mut Session, id: SubscriptionId, topic_id: u32) {
    let told = Subscribed { subscription: id.0, topic_id, outcome: Outcome::Live, epoch: 0 };
    let events = hear(session, told).unwrap();
    assert!(matches!(events[..], [Event::Subscribed { subscription, .. }] if subscription == id));
}

fn receivers(events: &[Event<'_>]) -> Vec<u32> {
    let ids = events.iter().map(|event| match event {
        Event::Message(Delivery { subscription, .. }) => subscription.0,
        other => panic!("{other:?}"),
    });
    ids.collect()
}

fn end(session: &mut Session) -> Vec<Event<'static>> {
    let mut events = Vec::new();
    session.end(Error::Unknown, Some(Duration::ZERO), &mut |event| events.push(event.into_owned()));
    events
}

fn refusal(scope: Scope, code: Code, reference: u64) -> frame::Refusal<'static> {
    frame::Refusal::new(scope, code, reference, "")
}

#[test]
fn the_handshake_succeeds_under_any_chunking() {
    for chunk in 1..80 {
        let mut session = session();
        session.begin();
        assert_eq!(sent(&mut session), ["HELLO"]);
        assert!(feed(&mut session, &welcome(Limits::default()), chunk).unwrap().is_empty());
        assert!(session.is_ready());
        assert_eq!(session.welcome().connection_id, 77);
        assert_eq!(session.welcome().server_name, "broker 1");
    }
}

#[test]
fn every_refusal_of_a_connection_has_its_class() {
    let begun = || {
        let mut session = session();
        session.begin();
        session
    };
    let version = ServerPreface { version_min: 4, version_max: 9, code: Code::UnsupportedVersion.number() };
    assert!(matches!(feed(&mut begun(), &version.encode(), 3), Err(Error::Version { server_min: 4, server_max: 9 })));
    let silent = ServerPreface { version_min: 4, version_max: 9, code: 0 };
    assert!(matches!(feed(&mut begun(), &silent.encode(), 8), Err(Error::Version { .. })));
    let full = ServerPreface::ours(Some(Code::TooManyConnections));
    let error = feed(&mut begun(), &full.encode(), 8).unwrap_err();
    assert!(matches!(error.retry(), Retry::After(5_000)), "{error}");
    assert!(matches!(
        feed(&mut begun(), b"HTTP/1.1 400 Bad Request\r\n", 100),
        Err(Error::Violation(Violation(Code::BadMagic)))
    ));
    let mut stranger = ServerPreface::ours(None).encode().to_vec();
    Frame::from(refusal(Scope::Connection, Code::BadCredentials, 0)).encode(&mut stranger);
    let error = feed(&mut begun(), &stranger, 8).unwrap_err();
    assert!(matches!(error, Error::Handshake(_)) && error.code() == Some(Code::BadCredentials));
    let mut early = ServerPreface::ours(None).encode().to_vec();
    Frame::from(Ping { time: 1 }).encode(&mut early);
    assert!(matches!(feed(&mut begun(), &early, 8), Err(Error::Violation(_))));
}

#[test]
fn credentials_do_not_show() {
    let mut session = session();
    session.begin();
    assert!(!format!("{session:?}").contains("s3cret"));
    assert!(!format!("{session:?}").contains("115, 51, 99"));
    let error = Session::new(Identity { credentials: vec![b'x'; 5_000], ..identity() }, 0).unwrap_err();
    assert!(matches!(error, Error::Limit { what: "credentials length", .. }));
}

#[test]
fn what_breaks_a_rule_is_refused_here_and_changes_nothing() {
    let mut session = session();
    let limits = Limits { frame_bytes_max: 64, headers_bytes_max: 8, subscriptions_max: 1, ..Limits::default() };
    connect(&mut session, limits);
    sent(&mut session);
    for topic in ["", "a/+", "#", "a\0b", "$sys/x", &"x".repeat(256), &"/".repeat(16)] {
        let error = session.publish(&Message::new(topic, b"")).unwrap_err();
        assert!(matches!(error, Error::Invalid { what: "topic", .. }), "{topic}: {error}");
        assert!(session.register(topic).is_err());
        assert!(session.request(&Message::new(topic, b""), Duration::from_secs(1)).is_err());
    }
    for filter in ["", "a/#/b", "a+", "+/+/+/+/+"] {
        let error = session.subscribe(filter, SubscribeOptions::default()).unwrap_err();
        assert!(matches!(error, Error::Invalid { what: "filter", .. }), "{filter}: {error}");
    }
    assert!(session.subscribe("a", SubscribeOptions::member("x/y")).is_err());
    assert!(session.subscribe("a", SubscribeOptions { responder: true, ..SubscribeOptions::default() }).is_err());
    let too_long = session.publish(&Message::new("a", &[0; 62])).unwrap_err();
    assert!(matches!(too_long, Error::Limit { what: "frame_bytes_max", given: 66, max: 64 }), "{too_long}");
    let too_many = session.publish(&Message::new("a", b"").headers(&[0; 9])).unwrap_err();
    assert!(matches!(too_many, Error::Limit { what: "headers_bytes_max", .. }));
    assert!(matches!(session.publish(&Message::to(&Publisher(0), b"")), Err(Error::Invalid { .. })));
    assert!(session.publish_acked(&Message::new("a", b""), AckLevel::None).is_err());
    assert!(session.request(&Message::new("a", b""), Duration::ZERO).is_err());
    assert!(session.request(&Message::new("a", b""), Duration::from_secs(601)).is_err());
    assert!(session.outgoing().is_empty() && session.is_settled());
    session.subscribe("a", SubscribeOptions::default()).unwrap();
    let one_more = session.subscribe("b", SubscribeOptions::default()).unwrap_err();
    assert!(matches!(one_more, Error::Limit { what: "subscriptions_max", given: 2, max: 1 }));
    assert_eq!(sent(&mut session), ["SUBSCRIBE 1"]);
}

#[test]
fn one_message_is_told_to_every_matching_subscription_and_no_other() {
    let mut session = ready();
    let wildcard = standing(&mut session, "a/+", 0);
    let exact = standing(&mut session, "a/b", 9);
    let other = standing(&mut session, "c", 10);
    let member = session.subscribe("a/b", SubscribeOptions::member("g")).unwrap();
    stand(&mut session, member, 0);
    session.subscribe("a/b", SubscribeOptions::default()).unwrap();

    let by_id = frame::Message { topic_id: 9, headers: b"h", payload: b"p" };
    let events = hear(&mut session, by_id).unwrap();
    assert_eq!(receivers(&events), [wildcard.0, exact.0]);
    let Event::Message(delivery) = &events[0] else { panic!() };
    assert_eq!((&*delivery.topic, &delivery.headers_block[..], &delivery.payload[..]), ("a/b", &b"h"[..], &b"p"[..]));

    let by_name = MessageNamed { topic: b"a/x", headers: b"", payload: b"" };
    assert_eq!(receivers(&hear(&mut session, by_name).unwrap()), [wildcard.0]);
    let grouped = MessageGroup { subscription: member.0, topic: b"a/b", headers: b"", payload: b"" };
    assert_eq!(receivers(&hear(&mut session, grouped).unwrap()), [member.0]);
    let record = frame::Record { topic_id: 10, sequence: 4, headers: b"", payload: b"" };
    let events = hear(&mut session, record).unwrap();
    let [Event::Message(Delivery { subscription, sequence: Some(4), .. })] = events[..] else { panic!("{events:?}") };
    assert_eq!(subscription, other);
}

#[test]
fn nothing_is_told_of_what_was_unsubscribed_though_frames_are_on_their_way() {
    let mut session = ready();
    let id = standing(&mut session, "a", 9);
    session.unsubscribe(id);
    session.unsubscribe(id);
    assert_eq!(sent(&mut session), ["HELLO", "SUBSCRIBE 1", "UNSUBSCRIBE"]);
    let late = frame::Message { topic_id: 9, headers: b"", payload: b"" };
    assert!(hear(&mut session, late).unwrap().is_empty());
    assert!(hear(&mut session, Gap { subscription: id.0, dropped: 1, conflated: 0 }).unwrap().is_empty());
    let over = hear(&mut session, Unsubscribed { subscription: id.0, code: 0 }).unwrap();
    assert!(matches!(over[..], [Event::Unsubscribed { refusal: None, .. }]));
    assert!(hear(&mut session, late).is_err());
}

#[test]
fn both_sides_may_end_a_subscription_at_once() {
    let mut session = ready();
    let id = standing(&mut session, "a", 9);
    session.unsubscribe(id);
    let broker_ended = Unsubscribed { subscription: id.0, code: Code::Draining.number() };
    assert_eq!(hear(&mut session, broker_ended).unwrap().len(), 1);
    let crossed = refusal(Scope::Subscription, Code::UnknownSubscription, id.0.into());
    assert!(hear(&mut session, crossed).unwrap().is_empty());
}

#[test]
fn a_refused_subscription_is_told_and_not_asked_for_again() {
    let mut session = ready();
    let id = session.subscribe("a", SubscribeOptions::default()).unwrap();
    let events = hear(&mut session, refusal(Scope::Subscription, Code::PolicyUnavailable, id.0.into())).unwrap();
    assert!(matches!(events[..], [Event::Refused { subject: Subject::Subscription(refused), .. }] if refused == id));
    end(&mut session);
    connect(&mut session, Limits::default());
    assert_eq!(sent(&mut session), ["HELLO"]);
}

#[test]
fn after_a_reconnect_everything_is_renewed_and_the_loss_is_told() {
    let mut session = ready();
    let publisher = session.register("a").unwrap();
    assert_eq!(session.register("a").unwrap(), publisher);
    session.register("b").unwrap();
    standing(&mut session, "a", 9);
    standing(&mut session, "b/#", 0);
    let events = end(&mut session);
    assert!(matches!(events[..], [Event::Disconnected { publishes_unsent: 0, .. }]));
    assert!(matches!(session.publish(&Message::new("a", b"")), Err(Error::Disconnected)));

    let events = connect(&mut session, Limits { short_ids_max: 1, ..Limits::default() });
    assert!(matches!(events[..], [Event::Reconnected { may_have_missed: true, connection_id: 77 }]));
    assert_eq!(sent(&mut session), ["HELLO", "REGISTER 0", "SUBSCRIBE 1", "SUBSCRIBE 2"]);
    session.publish(&Message::to(&publisher, b"")).unwrap();
    session.publish(&Message::to(&Publisher(1), b"")).unwrap();
    assert_eq!(sent(&mut session), ["PUBLISH_SHORT", "PUBLISH None"], "what has no short id here goes by name");
    let message = frame::Message { topic_id: 9, headers: b"", payload: b"" };
    assert!(hear(&mut session, message).is_err(), "ids of the last connection mean nothing");
}

#[test]
fn a_client_that_only_responds_misses_nothing() {
    let mut session = ready();
    let responder = session.subscribe("time/now", SubscribeOptions::responder("clocks")).unwrap();
    stand(&mut session, responder, 0);
    end(&mut session);
    let events = connect(&mut session, Limits::default());
    assert!(matches!(events[..], [Event::Reconnected { may_have_missed: false, .. }]));
}

#[test]
fn at_a_loss_what_left_is_unknown_and_what_did_not_is_unsent() {
    let mut session = ready();
    sent(&mut session);
    let message = Message::new("a", b"payload");
    for _ in 0..3 {
        session.publish_acked(&message, AckLevel::Routed).unwrap();
        session.publish(&message).unwrap();
    }
    let asked = session.request(&message, Duration::from_secs(1)).unwrap();
    let size = session.outgoing().len();
    let late = session.request(&message, Duration::from_secs(1)).unwrap();
    let request_size = session.outgoing().len() - size;
    // The first three publishes leave, and half of the fourth.
    session.advance((size - request_size) / 2 + 3);
    hear(&mut session, Ack { first: 1, count: 1, level: AckLevel::Routed, first_sequence: 0 }).unwrap();
    let events = end(&mut session);
    assert!(matches!(events[0], Event::Disconnected { publishes_unsent: 3, .. }), "{:?}", events[0]);
    assert!(matches!(events[1], Event::PublishesUnknown { first: PublishId(2), count: 1 }));
    assert!(matches!(events[2], Event::PublishesUnsent { first: PublishId(3), count: 1 }));
    for (event, expected) in events[3..].iter().zip([asked, late]) {
        let Event::Response { request, outcome: Err(Error::Disconnected) } = event else { panic!("{event:?}") };
        assert_eq!(*request, expected);
    }
    assert!(session.outgoing().is_empty());
    connect(&mut session, Limits::default());
    assert_eq!(session.publish_acked(&message, AckLevel::Routed).unwrap(), PublishId(4));
}

#[test]
fn a_request_that_left_ends_as_unknown() {
    let mut session = ready();
    let request = session.request(&Message::new("a", b""), Duration::from_millis(1)).unwrap();
    sent(&mut session);
    let events = end(&mut session);
    assert!(
        matches!(&events[1], Event::Response { request: ended, outcome: Err(Error::Unknown) } if *ended == request)
    );
}

#[test]
fn responses_come_in_any_order_and_once() {
    let mut session = ready();
    let ask = |session: &mut Session| session.request(&Message::new("a", b""), Duration::from_secs(1)).unwrap();
    let (first, second, third) = (ask(&mut session), ask(&mut session), ask(&mut session));
    session.abandon(third);
    let answer = |request: RequestId, code: u16| Response { correlation: request.0, code, headers: b"", payload: b"" };
    let events = hear(&mut session, answer(second, Code::NoResponders.number())).unwrap();
    assert!(matches!(&events[..], [Event::Response { outcome: Err(Error::NoResponders), .. }]));
    let events = hear(&mut session, Response { payload: b"42", ..answer(first, 0) }).unwrap();
    let [Event::Response { request, outcome: Ok(answered) }] = &events[..] else { panic!("{events:?}") };
    assert_eq!((*request, &answered.payload[..]), (first, &b"42"[..]));
    assert!(hear(&mut session, answer(third, 0)).unwrap().is_empty());
    assert!(hear(&mut session, answer(first, 0)).is_err());
}

#[test]
fn a_call_is_answered_on_its_own_connection_only() {
    let mut session = ready();
    let responder = session.subscribe("t", SubscribeOptions::responder("g")).unwrap();
    stand(&mut session, responder, 0);
    let call =
        frame::Call { subscription: responder.0, handle: 1, deadline_ms: 9, topic: b"t", headers: b"", payload: b"?" };
    let events = hear(&mut session, call).unwrap();
    let [Event::Call(call)] = &events[..] else { panic!("{events:?}") };
    sent(&mut session);
    assert!(!session.is_settled(), "somebody waits for an answer");
    session.respond(&call.handle, b"", b"!").unwrap();
    assert_eq!(sent(&mut session), ["REPLY"]);
    assert!(session.is_settled());
    end(&mut session);
    connect(&mut session, Limits::default());
    assert!(matches!(session.respond(&call.handle, b"", b"!"), Err(Error::Disconnected)));
}

#[test]
fn the_buffer_is_bounded_and_one_message_fits_always() {
    let mut session = ready();
    sent(&mut session);
    session.publish(&Message::new("a", &[0; 4_000])).unwrap();
    assert!(matches!(session.publish(&Message::new("a", b"")), Err(Error::WouldBlock)));
    assert!(matches!(session.request(&Message::new("a", b""), Duration::from_secs(1)), Err(Error::WouldBlock)));
    for time in 0..10_000 {
        hear(&mut session, Ping { time }).unwrap();
    }
    assert!(session.outgoing().len() < 5_000, "a broker that pings and does not read gets no memory");
    sent(&mut session);
    assert!(session.is_settled());
    hear(&mut session, Ping { time: 1 }).unwrap();
    assert_eq!(sent(&mut session), ["PONG"]);
}

#[test]
fn goaway_is_told_and_leaving_takes_no_more_commands() {
    let mut session = ready();
    let id = standing(&mut session, "a", 9);
    let goaway = Goaway { code: 20, reconnect_min_ms: 5, reconnect_max_ms: 9, text: "upgrade" };
    let events = hear(&mut session, goaway).unwrap();
    assert!(matches!(events[..], [Event::Goaway { .. }]));
    let moving = session.take_moving().unwrap();
    assert_eq!((moving.reconnect_min, moving.reconnect_max), (Duration::from_millis(5), Duration::from_millis(9)));
    assert!(session.take_moving().is_none());
    sent(&mut session);
    session.leave();
    assert!(matches!(session.publish(&Message::new("a", b"")), Err(Error::Disconnected)));
    session.unsubscribe(id);
    let late = frame::Message { topic_id: 9, headers: b"", payload: b"" };
    assert!(hear(&mut session, late).unwrap().is_empty());
    assert!(matches!(end(&mut session)[..], [Event::Disconnected { .. }, Event::Unsubscribed { .. }]));
}

#[test]
fn refusals_name_what_they_refuse() {
    let mut session = ready();
    let publisher = session.register("a").unwrap();
    let publish = session.publish_acked(&Message::to(&publisher, b""), AckLevel::Durable).unwrap();
    let mut subject = |scope, reference| match hear(&mut session, refusal(scope, Code::AckLevelUnavailable, reference))
    {
        Ok(events) => match events[..] {
            [Event::Refused { subject, .. }] => Ok(subject),
            _ => panic!("{events:?}"),
        },
        Err(error) => Err(error),
    };
    assert_eq!(subject(Scope::Publish, 1).unwrap(), Subject::Publish(publish));
    assert!(subject(Scope::Publish, 1).is_err());
    assert_eq!(subject(Scope::UnackedPublish, 0).unwrap(), Subject::UnackedPublish);
    assert_eq!(subject(Scope::Register, 0).unwrap(), Subject::Registration(publisher));
    assert!(subject(Scope::Register, u64::MAX).is_err());
    assert!(matches!(subject(Scope::Reply, 3).unwrap(), Subject::Answer(_)));
    assert!(matches!(subject(Scope::Connection, 0), Err(Error::Closed(_))));
    sent(&mut session);
    session.publish(&Message::to(&publisher, b"")).unwrap();
    assert_eq!(sent(&mut session), ["PUBLISH None"], "a refused registration goes by name");
}

/// Damaged bytes end in an error or in events, never in a panic, and any chunking gives the same.
#[test]
fn hostile_bytes_never_panic() {
    let mut stream = welcome(Limits::default());
    let sound = TopicName::new(b"a/b", &Limits::default()).unwrap();
    let topic = sound.as_str().as_bytes();
    let frames: [Frame<'_>; 8] = [
        Subscribed { subscription: 1, topic_id: 9, outcome: Outcome::Live, epoch: 0 }.into(),
        frame::Message { topic_id: 9, headers: b"hh", payload: b"payload" }.into(),
        MessageNamed { topic, headers: b"", payload: b"x" }.into(),
        Gap { subscription: 1, dropped: 3, conflated: 4 }.into(),
        Ack { first: 1, count: 2, level: AckLevel::Routed, first_sequence: 0 }.into(),
        Response { correlation: 0, code: 0, headers: b"", payload: b"42" }.into(),
        Goaway { code: 20, reconnect_min_ms: 1, reconnect_max_ms: 2, text: "bye" }.into(),
        refusal(Scope::Connection, Code::SlowConsumer, 0).into(),
    ];
    frames.iter().for_each(|frame| frame.encode(&mut stream));
    let mut state = 7u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..20_000 {
        let mut bytes = stream.clone();
        for _ in 0..random(4) {
            let place = random(bytes.len());
            bytes[place] = random(256) as u8;
        }
        bytes.truncate(1 + random(bytes.len()));
        let run = |chunk| {
            let mut session = session();
            session.subscribe("a/b", SubscribeOptions::default()).unwrap();
            session.begin();
            let mut events = 0;
            let mut outcome = Ok(());
            'stream: for mut input in bytes.chunks(chunk) {
                while !input.is_empty() {
                    if let Err(error) = session.receive(&mut input, &mut |_| events += 1) {
                        outcome = Err(error.to_string());
                        break 'stream;
                    }
                }
            }
            end(&mut session);
            (events, outcome)
        };
        assert_eq!(run(usize::MAX), run(1 + random(40)));
    }
}

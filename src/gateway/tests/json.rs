//! Whatever is said in JSON says the same to whoever reads it with another reader, and the other way round.

use fanwire_core::journal::history::HistoryRecord;
use fanwire_core::{Address, Command, Conditions, Delivery, Event, Numbers, command};
use fanwire_gateway::json::{self, Input, Publish, Scratch};
use fanwire_wire::frame::{AckLevel, Outcome, Policy, Producer, Scope, Start};
use fanwire_wire::{Code, Headers};
use proptest::prelude::*;
use proptest::{collection, option};
use serde_json::{Map, Value, json};

const NUMBER_MAX: u64 = (1 << 53) - 1;

fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..100u64, 0..=NUMBER_MAX, Just(NUMBER_MAX)]
}

/// Any text, with what has to be escaped more often than chance has it.
fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![prop::char::range('\0', '\u{ff}'), Just('"'), Just('\\'), any::<char>()];
    collection::vec(character, 0..40).prop_map(String::from_iter)
}

/// Text as often as not.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![text().prop_map(String::into_bytes), collection::vec(any::<u8>(), 0..40)]
}

/// A block in the agreed form, or any bytes.
fn headers() -> impl Strategy<Value = Vec<u8>> {
    let pairs = collection::vec((text(), bytes()), 0..4).prop_map(|pairs| {
        let mut block = Vec::new();
        pairs.iter().for_each(|(name, value)| Headers::push(&mut block, name, value));
        block
    });
    prop_oneof![pairs, collection::vec(any::<u8>(), 0..20)]
}

/// What a field of a client's says that is any bytes, in either of its forms.
fn set_payload(object: &mut Map<String, Value>, payload: &[u8], prefers_text: bool) {
    match str::from_utf8(payload) {
        Ok(text) if prefers_text => object.insert("payload".into(), text.into()),
        _ => object.insert("payload_base64".into(), base64_of(payload).into()),
    };
}

/// By hand, so that the codec is not held against itself.
fn base64_of(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let groups = bytes.chunks(3).flat_map(|group| {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        (0..4).map(move |digit| match digit <= group.len() {
            true => char::from(ALPHABET[bits >> (18 - 6 * digit) & 0x3F]),
            false => '=',
        })
    });
    groups.collect()
}

/// The bytes of a field that a broker wrote.
fn payload_of(object: &Value) -> Vec<u8> {
    match (object.get("payload"), object.get("payload_base64")) {
        (Some(text), None) => text.as_str().expect("a text").as_bytes().to_vec(),
        (None, Some(base64)) => bytes_of_base64(base64),
        other => panic!("one of the two: {other:?}"),
    }
}

fn headers_of(object: &Value) -> Vec<u8> {
    let mut block = Vec::new();
    match (object.get("headers"), object.get("headers_base64")) {
        (Some(Value::Object(pairs)), None) => {
            for (name, value) in pairs {
                Headers::push(&mut block, name, value.as_str().expect("a text").as_bytes());
            }
        }
        (None, Some(base64)) => block = bytes_of_base64(base64),
        (None, None) => {}
        other => panic!("one of the two: {other:?}"),
    }
    block
}

fn bytes_of_base64(value: &Value) -> Vec<u8> {
    let text = json!({ "type": "publish", "topic": "a", "payload_base64": value }).to_string();
    let mut scratch = Scratch::default();
    let Ok(Input::Publish(publish)) = json::parse(&text, &mut scratch) else { panic!("{text}") };
    assert_eq!(base64_of(publish.payload), value.as_str().expect("a text"));
    publish.payload.to_vec()
}

/// The object in one line that was rendered.
fn rendered(render: impl Fn(&mut Vec<u8>)) -> Value {
    let mut out = Vec::new();
    render(&mut out);
    assert!(out.iter().all(|byte| *byte >= 0x20), "one line, and nothing but text: {out:?}");
    serde_json::from_slice(&out).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&out)))
}

/// Whether an object has these headers. Pairs in any order, since an object has none.
fn has_headers(object: &Value, expected: &[u8]) -> bool {
    let found = headers_of(object);
    sorted(&found) == sorted(expected)
}

fn sorted(block: &[u8]) -> (Vec<(&str, &[u8])>, &[u8]) {
    let mut pairs: Vec<_> = Headers(block).iter().collect();
    pairs.sort_unstable();
    if Headers(block).is_whole() { (pairs, b"") } else { (Vec::new(), block) }
}

fn starts() -> impl Strategy<Value = (Start, Value)> {
    prop_oneof![
        Just((Start::Live, json!("live"))),
        Just((Start::LastValue, json!("last-value"))),
        Just((Start::First, json!("first"))),
        any::<u32>().prop_map(|count| (Start::Last { count }, json!({ "last": count }))),
        number().prop_map(|sequence| (Start::Sequence { sequence }, json!({ "sequence": sequence }))),
        number().prop_map(|position| (Start::Position { position }, json!({ "position": position }))),
        number().prop_map(|time_us| (Start::Time { time_us }, json!({ "time_us": time_us }))),
        (number(), number(), prop_oneof![Just("sequence"), Just("position")]).prop_map(|(epoch, last, name)| {
            (Start::Resume { epoch, last }, json!({ "resume": { "epoch": epoch, name: last } }))
        }),
    ]
}

proptest! {
    #[test]
    fn any_publish_is_read_as_it_was_meant(
        topic in text(), payload in bytes(), headers in headers(), prefers_text: bool, level in 0..4usize,
        expect in option::of(number()), producer in option::of((1..=NUMBER_MAX, 1..=NUMBER_MAX)),
    ) {
        let mut object = Map::new();
        object.insert("type".into(), "publish".into());
        object.insert("topic".into(), topic.as_str().into());
        object.insert("ack".into(), ["none", "routed", "journaled", "durable"][level].into());
        object.insert("expect".into(), expect.into());
        let named = producer.map(|(id, sequence)| json!({ "id": id, "sequence": sequence }));
        object.insert("producer".into(), named.into());
        object.insert("headers_base64".into(), base64_of(&headers).into());
        set_payload(&mut object, &payload, prefers_text);
        let (text, mut scratch) = (Value::from(object).to_string(), Scratch::default());
        let expected = Publish {
            topic: topic.as_bytes(),
            ack: [AckLevel::None, AckLevel::Routed, AckLevel::Journaled, AckLevel::Durable][level],
            conditions: Conditions { expect, producer: producer.map(|(id, number)| Producer { id, number }) },
            headers: &headers,
            payload: &payload,
        };
        prop_assert_eq!(json::parse(&text, &mut scratch), Ok(Input::Publish(expected)));
        let has_conditions = expect.is_some() || producer.is_some();
        prop_assert_eq!(matches!(expected.command(), Command::PublishIf { .. }), has_conditions);
    }

    #[test]
    fn any_subscribe_is_read_as_it_was_meant(
        subscription: u32, filter in text(), group in text(), policy in 0..5usize, no_echo: bool, responder: bool,
        max_rate_hz: u16, (start, form) in starts(),
    ) {
        let policies = ["disconnect", "drop-oldest", "drop-newest", "conflate", "catch-up"];
        let object = json!({
            "type": "subscribe", "subscription": subscription, "filter": filter, "group": group,
            "policy": policies[policy], "no_echo": no_echo, "responder": responder, "max_rate_hz": max_rate_hz,
            "start": form,
        });
        let (text, mut scratch) = (object.to_string(), Scratch::default());
        let expected = Command::Subscribe(command::Subscribe {
            subscription,
            filter: filter.as_bytes(),
            group: group.as_bytes(),
            policy: Policy::ALL[policy],
            no_echo,
            responder,
            max_rate_hz,
            start,
        });
        prop_assert_eq!(json::parse(&text, &mut scratch), Ok(Input::Command(expected)));
    }

    #[test]
    fn any_request_and_reply_is_read_as_it_was_meant(
        correlation: u32, deadline_ms: u32, handle in number(), topic in text(), payload in bytes(),
        pairs in collection::btree_map(text(), text(), 0..4), prefers_text: bool,
    ) {
        // In the order in which the writer of this test puts them.
        let mut headers = Vec::new();
        pairs.iter().for_each(|(name, value)| Headers::push(&mut headers, name, value.as_bytes()));
        let mut object = Map::new();
        object.insert("correlation".into(), correlation.into());
        object.insert("deadline_ms".into(), deadline_ms.into());
        object.insert("topic".into(), topic.as_str().into());
        object.insert("handle".into(), handle.into());
        object.insert("headers".into(), json!(pairs));
        set_payload(&mut object, &payload, prefers_text);
        let (headers, payload) = (&headers[..], &payload[..]);
        let request = Command::Request { correlation, deadline_ms, topic: topic.as_bytes(), headers, payload };
        for (kind, expected) in [("request", request), ("reply", Command::Reply { handle, headers, payload })] {
            object.insert("type".into(), kind.into());
            let (text, mut scratch) = (Value::from(object.clone()).to_string(), Scratch::default());
            prop_assert_eq!(json::parse(&text, &mut scratch), Ok(Input::Command(expected)));
        }
    }

    #[test]
    fn any_delivery_is_told_as_it_is(
        topic in text(), payload in bytes(), headers in headers(), numbers in option::of((number(), number())),
        subscription: u32, time_us in number(),
    ) {
        let (sequence, position) = numbers.unwrap_or_default();
        let record = HistoryRecord {
            topic: &topic, sequence, position, time_us, publisher: 7, headers: &headers, payload: &payload,
        };
        let history = rendered(|out| json::history(subscription, &record, out));
        prop_assert_eq!(history["time_us"].as_u64(), Some(time_us));
        prop_assert_eq!(history["subscription"].as_u64(), Some(subscription.into()));
        let numbers = numbers.map(|(sequence, position)| Numbers { sequence, position });
        let (address, topic) = (Address::Id(3), &*topic);
        let delivery = Delivery { address, topic, numbers, epoch: 0, headers: &headers, payload: &payload };
        let message = rendered(|out| json::deliver(&delivery, out));
        prop_assert_eq!(message.get("sequence").is_some(), numbers.is_some());
        for (kind, object) in [("history", history), ("message", message)] {
            prop_assert_eq!(object["type"].as_str(), Some(kind));
            prop_assert_eq!(object["topic"].as_str(), Some(topic));
            prop_assert_eq!(object.get("sequence").and_then(Value::as_u64).unwrap_or(0), sequence);
            prop_assert_eq!(object.get("position").and_then(Value::as_u64).unwrap_or(0), position);
            prop_assert_eq!(payload_of(&object), &payload[..]);
            prop_assert_eq!(object.get("payload").is_some(), str::from_utf8(&payload).is_ok());
            prop_assert!(has_headers(&object, &headers));
        }
    }

    #[test]
    fn any_message_to_one_session_is_told_as_it_is(
        subscription: u32, handle in number(), deadline_ms: u32, topic in text(), payload in bytes(),
        headers in headers(),
    ) {
        let (topic, headers, payload) = (&*topic, &headers[..], &payload[..]);
        let call = Event::Call { subscription, handle, deadline_ms, topic, headers, payload };
        let call = rendered(|out| json::event(&call, out));
        prop_assert_eq!(call["handle"].as_u64(), Some(handle));
        prop_assert_eq!(call["deadline_ms"].as_u64(), Some(deadline_ms.into()));
        let group = Event::GroupMessage { subscription, topic, headers, payload };
        let group = rendered(|out| json::event(&group, out));
        let response = Event::Response { correlation: subscription, code: None, headers, payload };
        let response = rendered(|out| json::event(&response, out));
        prop_assert_eq!(response["correlation"].as_u64(), Some(subscription.into()));
        prop_assert_eq!(payload_of(&response), payload);
        prop_assert!(has_headers(&response, headers));
        for object in [call, group] {
            prop_assert_eq!(object["subscription"].as_u64(), Some(subscription.into()));
            prop_assert_eq!(object["topic"].as_str(), Some(topic));
            prop_assert_eq!(payload_of(&object), payload);
            prop_assert!(has_headers(&object, headers));
        }
    }

    #[test]
    fn any_number_of_an_event_is_told_as_it_is(
        subscription: u32, count: u32, first in 1..=NUMBER_MAX, second in 1..=NUMBER_MAX, is_duplicate: bool,
    ) {
        let told = |event: Event<'_>, expected: Value| {
            prop_assert_eq!(rendered(|out| json::event(&event, out)), expected);
            Ok(())
        };
        let subscribed = Event::Subscribed { subscription, topic_id: 9, outcome: Outcome::Resumed, epoch: first };
        told(subscribed, json!({
            "type": "subscribed", "subscription": subscription, "outcome": "resumed", "epoch": first,
        }))?;
        let caught_up = Event::CaughtUp { subscription, position: first };
        told(caught_up, json!({ "type": "caught_up", "subscription": subscription, "position": first }))?;
        let cursor = Event::Cursor { subscription, position: first };
        told(cursor, json!({ "type": "cursor", "subscription": subscription, "position": first }))?;
        let gap = Event::Gap { subscription, dropped: first, conflated: second };
        told(gap, json!({ "type": "gap", "subscription": subscription, "dropped": first, "conflated": second }))?;
        let level = AckLevel::Journaled;
        let ack = rendered(|out| {
            json::event(&Event::Acked { first, count, level, first_sequence: second, is_duplicate }, out);
        });
        prop_assert_eq!(ack.get("duplicate").is_some(), is_duplicate);
        prop_assert_eq!(&ack["first"], &json!(first));
        prop_assert_eq!(&ack["count"], &json!(count));
        prop_assert_eq!(&ack["first_sequence"], &json!(second));
    }

    #[test]
    fn no_text_is_too_wrong_to_be_refused(text in text(), place in any::<prop::sample::Index>()) {
        let good = r#"{"type":"subscribe","subscription":1,"filter":"a","start":{"resume":{"epoch":1,"position":2}}}"#;
        let place = place.index(good.len());
        for text in [&text, &format!("{}{text}{}", &good[..place], &good[place..])] {
            if let Err(malformed) = json::parse(text, &mut Scratch::default()) {
                prop_assert!(malformed.to_string().len() < 200, "{}", malformed);
            }
        }
    }
}

#[test]
fn a_refusal_tells_what_happened_in_words() {
    for code in Code::ALL.iter().copied() {
        let refused = Event::Refused { scope: Scope::Publish, code, reference: 3, actual: None };
        let error = rendered(|out| json::event(&refused, out));
        assert_eq!((&error["text"], &error["name"]), (&json!(code.meaning()), &json!(code.name())));
    }
}

#[test]
fn two_gaps_of_one_subscription_have_the_same_length() {
    let length = |dropped, conflated| {
        let mut out = Vec::new();
        json::event(&Event::Gap { subscription: 7, dropped, conflated }, &mut out);
        out.len()
    };
    for (dropped, conflated) in [(0, 0), (9, 10), (u64::MAX, 0), (1 << 53, u64::MAX)] {
        assert_eq!(length(dropped, conflated), length(1, 1));
    }
}

#[test]
fn a_message_put_together_from_its_parts_is_the_message() {
    let numbers = Some(Numbers { sequence: 3, position: 5 });
    let headers = b"\x01a\x01b";
    let delivery = Delivery { address: Address::Name, topic: "a/\"b\"", numbers, epoch: 0, headers, payload: b"\n" };
    let (mut whole, mut parts) = (Vec::new(), Vec::new());
    json::deliver(&delivery, &mut whole);
    json::begin_message(delivery.topic, delivery.headers, &mut parts);
    json::end_message(numbers, delivery.payload, &mut parts);
    assert_eq!(whole, parts);
}

#[test]
fn what_is_wrong_never_repeats_the_text() {
    let secret = "hunter2";
    let wrong = [
        json!({ "type": "hello", "token": { "a": secret } }),
        json!({ "type": "hello", "keep_alive_ms": secret }),
        json!({ "type": "hello", "token": secret, "client_name": secret.repeat(10) }),
        json!({ "type": secret, "token": secret }),
        json!({ "type": "hello", secret: secret, "keep_alive_ms": -1 }),
    ];
    for object in wrong {
        let malformed = json::parse(&object.to_string(), &mut Scratch::default()).map(|input| format!("{input:?}"));
        let malformed = malformed.expect_err("none of them is right").to_string();
        assert!(!malformed.contains(secret), "{malformed}");
    }
    let right = json!({ "type": "hello", "token": secret }).to_string();
    let mut scratch = Scratch::default();
    assert!(!format!("{:?}", json::parse(&right, &mut scratch)).contains(secret), "no log may have the token");
}

#[test]
fn nesting_without_end_is_refused_without_a_deep_stack() {
    let depth = 100_000;
    let mut scratch = Scratch::default();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = format!("{}1{}", open.repeat(depth), close.repeat(depth));
        // What is passed over may be as deep as it likes.
        let unknown = format!("{{\"type\":\"pong\",\"x\":{nested}}}");
        assert_eq!(json::parse(&unknown, &mut scratch), Ok(Input::Pong));
        for field in ["type", "payload", "headers", "producer", "topic"] {
            let text = format!("{{\"type\":\"publish\",\"topic\":\"a\",\"{field}\":{nested}}}");
            let malformed = json::parse(&text, &mut scratch).expect_err("the field has another form");
            assert_eq!(malformed.field, Some(field));
        }
    }
}

#[test]
fn the_type_may_stand_anywhere_and_be_escaped() {
    let mut scratch = Scratch::default();
    let texts = [
        r#"{"time":7,"type":"ping"}"#,
        " {\n\t\"type\" : \"ping\" , \"time\" : 7 } \r\n",
        r#"{"\u0074ype":"ping","time":7}"#,
        r#"{"type":"p\u0069ng","time":7}"#,
        r#"{"x":{"type":"pong"},"type":"ping","time":7}"#,
    ];
    for text in texts {
        let parsed = json::parse(text, &mut scratch);
        assert_eq!(parsed, Ok(Input::Ping(fanwire_wire::frame::Ping { time: 7 })), "{text}");
    }
}

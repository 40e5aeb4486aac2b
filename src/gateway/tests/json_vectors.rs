//! Holds appendix D of protocol.md and the JSON codec together: every vector, every field of every table.
//!
//! ```text
//!  native vector, or hex --decode--> frame --> what it asks     == what the text is read as       to the broker
//!                                          `-> what it tells    == the text, rendered             to the client
//! ```
//!
//! What a frame asks or tells is written down here a second time, so that the native gateway and this codec can't be
//! wrong in the same way.

#[path = "json_vectors/document.rs"]
mod document;

use fanwire_core::journal::history::HistoryRecord;
use fanwire_core::{Address, Command, Conditions, Delivery, Event, Numbers, command};
use fanwire_gateway::json::{self, Hello, Input, Publish, Scratch};
use fanwire_wire::frame::{Decoded, split_frame};
use fanwire_wire::{Code, Direction, Extensions, Frame, Violation, decode};
use std::collections::{BTreeMap, BTreeSet};

/// One vector of appendix D.
#[derive(Debug, Default)]
struct Vector {
    name: &'static str,
    to: &'static str,
    native: &'static str,
    hex: &'static str,
    error: &'static str,
    field: &'static str,
    json: &'static str,
}

fn vectors() -> Vec<Vector> {
    document::paragraphs("json-vector").iter().map(|lines| read(lines)).collect()
}

fn read(lines: &[&'static str]) -> Vector {
    let mut vector = Vector::default();
    for line in lines {
        match line.split_once(": ") {
            Some(("name", value)) => vector.name = value,
            Some(("to", value)) => vector.to = value,
            Some(("native", value)) => vector.native = value,
            Some(("hex", value)) => vector.hex = value,
            Some(("error", value)) => vector.error = value,
            Some(("field", value)) => vector.field = value,
            Some(("json", value)) => vector.json = value,
            _ => panic!("{line:?} is no `key: value` of a JSON vector"),
        }
    }
    assert!(!vector.name.is_empty() && !vector.json.is_empty(), "{vector:?}: a vector has a name and a text");
    vector
}

impl Vector {
    /// The frame that says the same.
    fn native(&self) -> Vec<u8> {
        if self.native.is_empty() { document::bytes_of_hex(self.hex) } else { document::native(self.native) }
    }

    fn is_to(&self, towards: &str) -> bool {
        assert!(["broker", "client"].contains(&self.to), "{}: to {:?}", self.name, self.to);
        self.to == towards && self.error.is_empty()
    }
}

fn decoded<'a>(native: &'a [u8], towards: Direction, name: &str) -> Decoded<'a> {
    let (body, size) = split_frame(native, u32::MAX).unwrap().unwrap_or_else(|| panic!("{name}: the hex is cut"));
    assert_eq!(size, native.len(), "{name}");
    decode(body, towards).unwrap_or_else(|violation| panic!("{name}: {violation}"))
}

#[test]
fn every_text_to_the_broker_is_read_as_what_its_native_frame_asks() {
    let mut scratch = Scratch::default();
    for vector in vectors().iter().filter(|vector| vector.is_to("broker")) {
        let native = vector.native();
        let asked = asked(decoded(&native, Direction::ToBroker, vector.name));
        assert_eq!(json::parse(vector.json, &mut scratch), Ok(asked), "{}", vector.name);
    }
}

fn asked(decoded: Decoded<'_>) -> Input<'_> {
    let told = decoded.extensions.publish();
    let conditions = Conditions { expect: told.expect, producer: told.producer };
    match decoded.frame {
        Frame::Hello(hello) => Input::Hello(Hello {
            token: str::from_utf8(hello.credentials).unwrap().into(),
            client_name: hello.client_name.into(),
            client_version: hello.client_version.into(),
            keep_alive_ms: hello.keep_alive_ms,
        }),
        Frame::Ping(ping) => Input::Ping(ping),
        Frame::Pong(_) => Input::Pong,
        Frame::Publish(publish) => Input::Publish(Publish {
            topic: publish.topic,
            ack: publish.ack,
            conditions,
            headers: publish.headers,
            payload: publish.payload,
        }),
        Frame::Subscribe(wish) => Input::Command(Command::Subscribe(command::Subscribe {
            subscription: wish.subscription,
            filter: wish.filter,
            group: wish.group,
            policy: wish.policy,
            no_echo: wish.no_echo,
            responder: wish.responder,
            max_rate_hz: wish.max_rate_hz,
            start: wish.start,
        })),
        Frame::Unsubscribe(wish) => Input::Command(Command::Unsubscribe { subscription: wish.subscription }),
        Frame::Request(request) => Input::Command(Command::Request {
            correlation: request.correlation,
            deadline_ms: request.deadline_ms,
            topic: request.topic,
            headers: request.headers,
            payload: request.payload,
        }),
        Frame::Reply(reply) => {
            Input::Command(Command::Reply { handle: reply.handle, headers: reply.headers, payload: reply.payload })
        }
        other => panic!("{other:?} is nothing that JSON asks"),
    }
}

#[test]
fn every_text_to_the_client_is_what_its_native_frame_tells() {
    for vector in vectors().iter().filter(|vector| vector.is_to("client")) {
        let native = vector.native();
        let Decoded { frame, extensions } = decoded(&native, Direction::ToClient, vector.name);
        let mut out = Vec::new();
        tell(frame, extensions, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), vector.json, "{}", vector.name);
    }
}

fn tell(frame: Frame<'_>, extensions: Extensions<'_>, out: &mut Vec<u8>) {
    match frame {
        Frame::Welcome(welcome) => json::welcome(&welcome, out),
        Frame::Error(refusal) => json::error(&refusal, extensions.actual(), out),
        Frame::Goaway(goaway) => json::goaway(&goaway, out),
        Frame::Ping(ping) => json::ping(ping, out),
        Frame::Pong(pong) => json::pong(pong, out),
        Frame::MessageNamed(message) => deliver(message.topic, None, message.headers, message.payload, out),
        Frame::RecordNamed(record) => {
            let numbers = Numbers { sequence: record.sequence, position: record.position };
            deliver(record.topic, Some(numbers), record.headers, record.payload, out);
        }
        Frame::History(history) => {
            let record = HistoryRecord {
                topic: text(history.topic),
                sequence: history.sequence,
                position: history.position,
                time_us: history.time_us,
                publisher: 0,
                headers: history.headers,
                payload: history.payload,
            };
            json::history(history.subscription, &record, out);
        }
        frame => json::event(&event(frame, extensions), out),
    }
}

fn deliver(topic: &[u8], numbers: Option<Numbers>, headers: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    json::deliver(&Delivery { address: Address::Name, topic: text(topic), numbers, epoch: 0, headers, payload }, out);
}

fn event<'a>(frame: Frame<'a>, extensions: Extensions<'_>) -> Event<'a> {
    match frame {
        Frame::Ack(ack) => Event::Acked {
            first: ack.first,
            count: ack.count,
            level: ack.level,
            first_sequence: ack.first_sequence,
            is_duplicate: extensions.is_duplicate(),
        },
        Frame::Subscribed(told) => Event::Subscribed {
            subscription: told.subscription,
            topic_id: told.topic_id,
            outcome: told.outcome,
            epoch: told.epoch,
        },
        Frame::Unsubscribed(told) => {
            Event::Unsubscribed { subscription: told.subscription, code: Code::from_number(told.code) }
        }
        Frame::CaughtUp(told) => Event::CaughtUp { subscription: told.subscription, position: told.position },
        Frame::Cursor(told) => Event::Cursor { subscription: told.subscription, position: told.position },
        Frame::Gap(gap) => {
            Event::Gap { subscription: gap.subscription, dropped: gap.dropped, conflated: gap.conflated }
        }
        Frame::MessageGroup(message) => Event::GroupMessage {
            subscription: message.subscription,
            topic: text(message.topic),
            headers: message.headers,
            payload: message.payload,
        },
        Frame::Call(call) => Event::Call {
            subscription: call.subscription,
            handle: call.handle,
            deadline_ms: call.deadline_ms,
            topic: text(call.topic),
            headers: call.headers,
            payload: call.payload,
        },
        Frame::Response(response) => Event::Response {
            correlation: response.correlation,
            code: Code::from_number(response.code),
            headers: response.headers,
            payload: response.payload,
        },
        other => panic!("{other:?} is nothing that JSON tells"),
    }
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("a name is text")
}

#[test]
fn every_wrong_text_is_refused_and_its_field_blamed() {
    let mut scratch = Scratch::default();
    let all = vectors();
    let wrong: Vec<_> = all.iter().filter(|vector| !vector.error.is_empty()).collect();
    assert!(!wrong.is_empty());
    for vector in wrong {
        let Err(malformed) = json::parse(vector.json, &mut scratch) else {
            panic!("{}: is not refused", vector.name);
        };
        assert_eq!(malformed.field.unwrap_or_default(), vector.field, "{}: {malformed}", vector.name);
        assert_eq!(Violation::from(malformed).0.name(), vector.error, "{}", vector.name);
    }
}

#[test]
fn a_text_cut_anywhere_is_refused() {
    let mut scratch = Scratch::default();
    for vector in vectors().iter().filter(|vector| vector.is_to("broker")) {
        for cut in (0..vector.json.len()).filter(|cut| vector.json.is_char_boundary(*cut)) {
            assert!(json::parse(&vector.json[..cut], &mut scratch).is_err(), "{} cut at {cut}", vector.name);
        }
    }
}

#[test]
fn json_vectors_have_names_of_their_own() {
    let mut names = BTreeSet::new();
    vectors().iter().for_each(|vector| assert!(names.insert(vector.name), "two are called {:?}", vector.name));
}

/// The headings of D.2 and D.3 that have a table, and the type that it is about.
const TABLES: [(&str, &str, &str); 23] = [
    ("broker", "hello", "hello"),
    ("broker", "publish", "publish"),
    ("broker", "subscribe", "subscribe"),
    ("broker", "unsubscribe", "unsubscribe"),
    ("broker", "request", "request"),
    ("broker", "reply", "reply"),
    ("broker", "ping", "ping"),
    ("client", "welcome", "welcome"),
    ("client", "error", "error"),
    ("client", "goaway", "goaway"),
    ("client", "ping of the broker", "ping"),
    ("client", "pong of the broker", "pong"),
    ("client", "ack", "ack"),
    ("client", "subscribed", "subscribed"),
    ("client", "unsubscribed", "unsubscribed"),
    ("client", "caught_up", "caught_up"),
    ("client", "cursor", "cursor"),
    ("client", "gap", "gap"),
    ("client", "message", "message"),
    ("client", "history", "history"),
    ("client", "group", "group"),
    ("client", "call", "call"),
    ("client", "response", "response"),
];

#[test]
fn the_tables_have_the_fields_that_the_vectors_show() {
    let mut shown: BTreeMap<(&str, String), BTreeSet<String>> = BTreeMap::new();
    for vector in vectors().iter().filter(|vector| vector.error.is_empty()) {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_str(vector.json).unwrap();
        let kind = object["type"].as_str().unwrap().to_owned();
        shown.entry((vector.to, kind)).or_default().extend(object.keys().cloned());
    }
    // What one vector has to show that the broker passes over, and a pong, which has no table.
    shown.get_mut(&("broker", "publish".to_owned())).unwrap().remove("colour");
    shown.remove(&("broker", "pong".to_owned()));
    for (to, heading, kind) in TABLES {
        let fields = shown.remove(&(to, kind.to_owned())).unwrap_or_else(|| panic!("no vector of {kind} to the {to}"));
        let rows = document::first_column(&format!("#### {heading}"));
        let listed = rows.iter().flat_map(|row| row.split(", ")).chain(["type"]).map(str::to_owned);
        // Headers and payloads have their second form shown with `message`.
        let mut listed: BTreeSet<_> = listed.collect();
        listed.retain(|field| !field.ends_with("_base64") || fields.contains(field));
        assert_eq!(listed, fields, "{kind} to the {to}");
    }
    assert!(shown.is_empty(), "without a table: {shown:?}");
}

#[test]
fn every_field_that_is_listed_is_blamed_when_it_is_wrong() {
    let mut scratch = Scratch::default();
    for (_, heading, kind) in TABLES.iter().filter(|(to, ..)| *to == "broker") {
        for field in document::first_column(&format!("#### {heading}")).iter().flat_map(|cell| cell.split(", ")) {
            let text = format!(r#"{{"unknown":0,"type":"{kind}","{field}":[[]],"unknown":1}}"#);
            let malformed = json::parse(&text, &mut scratch).expect_err("no field is an array");
            assert_eq!(malformed.field, Some(field), "{text}: {malformed}");
        }
    }
}

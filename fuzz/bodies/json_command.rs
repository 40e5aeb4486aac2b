//! Any text as a client's JSON: what is read can be written again and is read as the same, and what it publishes is
//! delivered as it is.

use fanwire_core::{Address, Command, Conditions, Delivery, Target, command};
use fanwire_gateway::json::{self, Hello, Input, Scratch};
use fanwire_wire::Headers;
use fanwire_wire::frame::{AckLevel, Policy, Producer, Start};
use serde_json::{Value, json};

/// Bytes of what is said about a wrong text, at the most.
const FAULT_BYTES_MAX: usize = 200;

/// Bytes that are no UTF-8 are for the WebSocket reader to refuse.
pub fn json_command(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (mut scratch, mut scratch_again) = (Scratch::default(), Scratch::default());
    let input = match json::parse(text, &mut scratch) {
        Ok(input) => input,
        Err(malformed) => return assert!(malformed.to_string().len() < FAULT_BYTES_MAX, "{malformed}"),
    };
    let again = text_of(&input);
    assert_eq!(json::parse(&again, &mut scratch_again), Ok(input.clone()), "{again}");
    if let Input::Publish(publish) = &input {
        check_delivery(publish.topic, publish.headers, publish.payload);
    }
}

/// What a client would write to say the same.
fn text_of(input: &Input<'_>) -> String {
    let object = match input {
        Input::Hello(Hello { token, client_name, client_version, keep_alive_ms }) => json!({
            "type": "hello", "token": token, "client_name": client_name, "client_version": client_version,
            "keep_alive_ms": keep_alive_ms,
        }),
        Input::Ping(ping) => json!({ "type": "ping", "time": ping.time }),
        Input::Pong => json!({ "type": "pong" }),
        Input::Publish(_) | Input::Command(_) => return text_of_command(&input.command().expect("it is one")),
    };
    object.to_string()
}

fn text_of_command(command: &Command<'_>) -> String {
    match *command {
        Command::Publish { target, ack, headers, payloads: &[payload] } => {
            publish(target, ack, Conditions::default(), headers, payload)
        }
        Command::PublishIf { target, ack, conditions, headers, payload } => {
            publish(target, ack, conditions, headers, payload)
        }
        Command::Subscribe(ref wish) => subscribe(wish).to_string(),
        Command::Unsubscribe { subscription } => {
            json!({ "type": "unsubscribe", "subscription": subscription }).to_string()
        }
        Command::Request { correlation, deadline_ms, topic, headers, payload } => {
            let request = json!({
                "type": "request", "correlation": correlation, "deadline_ms": deadline_ms, "topic": text(topic),
            });
            with_content(&request, headers, payload)
        }
        Command::Reply { handle, headers, payload } => {
            with_content(&json!({ "type": "reply", "handle": handle }), headers, payload)
        }
        Command::Register { .. } | Command::Publish { .. } => panic!("nothing in JSON asks for {command:?}"),
    }
}

fn publish(target: Target<'_>, ack: AckLevel, conditions: Conditions, headers: &[u8], payload: &[u8]) -> String {
    let Target::Name(topic) = target else { panic!("nothing in JSON has a short id") };
    let level = ["none", "routed", "journaled", "durable"][ack as usize];
    let mut object = json!({ "type": "publish", "topic": text(topic), "ack": level });
    object["expect"] = conditions.expect.into();
    if let Some(Producer { id, number }) = conditions.producer {
        object["producer"] = json!({ "id": id, "sequence": number });
    }
    with_content(&object, headers, payload)
}

fn subscribe(wish: &command::Subscribe<'_>) -> Value {
    let policy = match wish.policy {
        Policy::Disconnect => "disconnect",
        Policy::DropOldest => "drop-oldest",
        Policy::DropNewest => "drop-newest",
        Policy::Conflate => "conflate",
        Policy::CatchUp => "catch-up",
    };
    let start = match wish.start {
        Start::Live => json!("live"),
        Start::LastValue => json!("last-value"),
        Start::First => json!("first"),
        Start::Last { count } => json!({ "last": count }),
        Start::Sequence { sequence } => json!({ "sequence": sequence }),
        Start::Position { position } => json!({ "position": position }),
        Start::Time { time_us } => json!({ "time_us": time_us }),
        Start::Resume { epoch, last } => json!({ "resume": { "epoch": epoch, "position": last } }),
    };
    json!({
        "type": "subscribe", "subscription": wish.subscription, "filter": text(wish.filter),
        "group": text(wish.group), "policy": policy, "no_echo": wish.no_echo, "responder": wish.responder,
        "max_rate_hz": wish.max_rate_hz, "start": start,
    })
}

/// Adds headers and payload as a broker writes them: the form is the same in both directions, and the order of
/// headers is the block's.
fn with_content(object: &Value, headers: &[u8], payload: &[u8]) -> String {
    let message = delivered("", headers, payload);
    let content = message.strip_prefix(r#"{"type":"message","topic":"""#).expect("how a delivery begins");
    let object = object.to_string();
    let open = object.strip_suffix('}').expect("how an object ends");
    format!("{open}{content}")
}

fn check_delivery(topic: &[u8], headers: &[u8], payload: &[u8]) {
    let object: Value = serde_json::from_str(&delivered(text(topic), headers, payload)).expect("it is JSON");
    assert_eq!(object["topic"].as_str(), Some(text(topic)));
    assert_eq!(object.get("payload").and_then(Value::as_str), str::from_utf8(payload).ok());
    if let Some(pairs) = object.get("headers").and_then(Value::as_object) {
        assert_eq!(pairs.len(), Headers(headers).iter().count(), "no header is lost");
        let is_told = |(name, value): (&str, &[u8])| pairs[name].as_str().map(str::as_bytes) == Some(value);
        assert!(Headers(headers).iter().all(is_told), "{pairs:?}");
    }
}

fn delivered(topic: &str, headers: &[u8], payload: &[u8]) -> String {
    let mut out = Vec::new();
    json::deliver(&Delivery { address: Address::Name, topic, numbers: None, epoch: 0, headers, payload }, &mut out);
    assert!(out.iter().all(|byte| *byte >= 0x20), "one line");
    String::from_utf8(out).expect("what is rendered is UTF-8")
}

fn text(name: &[u8]) -> &str {
    str::from_utf8(name).expect("a text's texts are UTF-8")
}

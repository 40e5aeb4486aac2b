//! What a session is told besides deliveries: events of the shard, and what concerns the connection itself.
//!
//! The latter take the structs of the native frames, which name the same fields: whoever welcomes a client over one
//! protocol welcomes it over the other.

use super::content::{push_headers, push_payload};
use super::object::Object;
use fanwire_core::Event;
use fanwire_wire::frame::{Goaway, Outcome, Ping, Pong, Refusal, Scope, Welcome};
use fanwire_wire::{Code, Retry};

/// Appends an event of one session. Two gaps of one subscription have the same length.
pub fn event(event: &Event<'_>, out: &mut Vec<u8>) {
    match *event {
        Event::Subscribed { subscription, outcome, epoch, .. } => of_subscription("subscribed", subscription, out)
            .word("outcome", outcome_name(outcome))
            .unless_zero("epoch", epoch)
            .end(),
        Event::Unsubscribed { subscription, code } => {
            coded(of_subscription("unsubscribed", subscription, out), code.map(Code::number)).end();
        }
        Event::CaughtUp { subscription, position } => {
            of_subscription("caught_up", subscription, out).number("position", position).end();
        }
        Event::Cursor { subscription, position } => {
            of_subscription("cursor", subscription, out).number("position", position).end();
        }
        Event::Gap { subscription, dropped, conflated } => of_subscription("gap", subscription, out)
            .padded_number("dropped", dropped)
            .padded_number("conflated", conflated)
            .end(),
        Event::Acked { first, count, level, first_sequence, is_duplicate } => {
            let ack = Object::begin("ack", out).number("first", first).number("count", count);
            let ack = ack.word("level", level.name()).unless_zero("first_sequence", first_sequence);
            if is_duplicate { ack.flag("duplicate", true).end() } else { ack.end() }
        }
        Event::Refused { scope, code, reference, actual } => {
            // A client with no codec has no table of codes either: it is told what happened.
            error(&Refusal::new(scope, code, reference, code.meaning()), actual, out);
        }
        Event::GroupMessage { subscription, topic, headers, payload } => {
            content(of_subscription("group", subscription, out).text("topic", topic), headers, payload).end();
        }
        Event::Call { subscription, handle, deadline_ms, topic, headers, payload } => {
            let call = of_subscription("call", subscription, out).number("handle", handle);
            content(call.number("deadline_ms", deadline_ms).text("topic", topic), headers, payload).end();
        }
        Event::Response { correlation, code, headers, payload } => {
            let response = Object::begin("response", out).number("correlation", correlation);
            match code {
                Some(code) => coded(response, Some(code.number())).end(),
                None => content(response, headers, payload).end(),
            }
        }
    }
}

fn of_subscription<'out>(kind: &str, subscription: u32, out: &'out mut Vec<u8>) -> Object<'out> {
    Object::begin(kind, out).number("subscription", subscription)
}

fn content<'out>(object: Object<'out>, headers: &[u8], payload: &[u8]) -> Object<'out> {
    object.with(|out| push_headers(headers, out)).with(|out| push_payload(payload, out))
}

/// A code, if there is one: its number and, where this build knows it, its name.
fn coded(object: Object<'_>, code: Option<u16>) -> Object<'_> {
    let Some(number) = code else { return object };
    let object = object.number("code", number);
    match Code::from_number(number) {
        Some(code) => object.word("name", code.name()),
        None => object,
    }
}

/// Appends what a client is told when it is welcomed.
pub fn welcome(welcome: &Welcome<'_>, out: &mut Vec<u8>) {
    let limits = &welcome.limits;
    Object::begin("welcome", out)
        .number("version", welcome.version)
        .flag("open", welcome.open)
        .flag("draining", welcome.draining)
        .number("connection_id", welcome.connection_id)
        .number("server_time_us", welcome.server_time_us)
        .number("keep_alive_ms", welcome.keep_alive_ms)
        .number("frame_bytes_max", limits.frame_bytes_max)
        .number("headers_bytes_max", limits.headers_bytes_max)
        .number("queue_bytes_max", limits.queue_bytes_max)
        .number("subscriptions_max", limits.subscriptions_max)
        .number("requests_max", limits.requests_max)
        .number("deadline_ms_max", limits.deadline_ms_max)
        .number("topic_bytes_max", limits.topic_bytes_max)
        .number("topic_levels_max", limits.topic_levels_max)
        .number("filter_plus_max", limits.filter_plus_max)
        .text("server_name", welcome.server_name)
        .end();
}

/// Appends a refusal; `actual` is the topic's last sequence, where another one was expected.
pub fn error(refusal: &Refusal<'_>, actual: Option<u64>, out: &mut Vec<u8>) {
    let error = Object::begin("error", out).word("scope", scope_name(refusal.scope));
    let error = coded(error, Some(refusal.code)).number("reference", refusal.reference);
    let error = match refusal.retry() {
        Retry::Never => error.word("retry", "never"),
        Retry::Now => error.word("retry", "now"),
        Retry::After(delay_ms) => error.word("retry", "after").number("retry_after_ms", delay_ms),
    };
    error.optional("actual", actual).text("text", refusal.text).end();
}

/// Appends that the broker goes down, and when to come back.
pub fn goaway(goaway: &Goaway<'_>, out: &mut Vec<u8>) {
    coded(Object::begin("goaway", out), Some(goaway.code))
        .number("reconnect_min_ms", goaway.reconnect_min_ms)
        .number("reconnect_max_ms", goaway.reconnect_max_ms)
        .text("text", goaway.text)
        .end();
}

/// Appends a question whether the client lives.
pub fn ping(ping: Ping, out: &mut Vec<u8>) {
    Object::begin("ping", out).number("time", ping.time).end();
}

/// Appends the answer to a client's ping.
pub fn pong(pong: Pong, out: &mut Vec<u8>) {
    Object::begin("pong", out).number("time", pong.time).number("clock_us", pong.clock_us).end();
}

const fn outcome_name(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Live => "live",
        Outcome::History => "history",
        Outcome::Resumed => "resumed",
        Outcome::ResetEpoch => "reset-epoch",
        Outcome::ResetRetention => "reset-retention",
        Outcome::ResetBeyond => "reset-beyond",
    }
}

const fn scope_name(scope: Scope) -> &'static str {
    match scope {
        Scope::Connection => "connection",
        Scope::Publish => "publish",
        Scope::UnackedPublish => "unacked-publish",
        Scope::Register => "register",
        Scope::Subscription => "subscription",
        Scope::Reply => "reply",
    }
}

//! The layouts of protocol.md section 5, written a second time: a frame as the list of its fields.
//!
//! Independent of the crate's codec on purpose. A vector's annotation must be exactly what stands here, so the text,
//! this list and the codec can only agree or fail.

use crate::notation::quote;
use fanwire_wire::frame::{self, AckLevel, Frame, Outcome, Policy, Scope, Start, Welcome};
use fanwire_wire::{ClientPreface, Code, Decoded, Extensions, Headers, Limits, ServerPreface};

/// One field as it lies on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) bytes: Vec<u8>,
    pub(crate) name: &'static str,
    pub(crate) value: String,
}

/// Fields under construction.
#[derive(Default)]
pub(crate) struct Dump(pub(crate) Vec<Field>);

/// The fields of a frame: length, kind, headers block, body, extensions.
pub(crate) fn frame(decoded: &Decoded<'_>) -> Vec<Field> {
    let mut dump = Dump::default();
    let headers = headers_of(&decoded.frame);
    dump.kind(decoded, !headers.is_empty());
    dump.headers(headers);
    dump.body(&decoded.frame);
    dump.extensions(&decoded.frame, decoded.extensions);
    let length = dump.0.iter().map(|field| field.bytes.len()).sum();
    let mut whole = Dump::default();
    whole.length("length", length);
    whole.0.append(&mut dump.0);
    whole.0
}

/// The fields of a frame's body alone: what a layout table lists.
pub(crate) fn body(frame: &Frame<'_>) -> Vec<Field> {
    let mut dump = Dump::default();
    dump.body(frame);
    dump.0
}

/// The fields of a client's preface.
pub(crate) fn client_preface(preface: ClientPreface) -> Vec<Field> {
    let mut dump = Dump::default();
    dump.rest("magic", b"\xf5FWR");
    dump.number("version_min", 1, preface.version_min);
    dump.number("version_max", 1, preface.version_max);
    dump.number("reserved", 2, 0u8);
    dump.0
}

/// The fields of a server's preface.
pub(crate) fn server_preface(preface: ServerPreface) -> Vec<Field> {
    let mut dump = Dump::default();
    dump.rest("magic", b"\xf5FWR");
    dump.number("version_min", 1, preface.version_min);
    dump.number("version_max", 1, preface.version_max);
    dump.code(preface.code);
    dump.0
}

fn headers_of<'a>(frame: &Frame<'a>) -> &'a [u8] {
    match frame {
        Frame::Publish(body) => body.headers,
        Frame::PublishShort(body) => body.headers,
        Frame::Message(body) => body.headers,
        Frame::MessageNamed(body) => body.headers,
        Frame::MessageGroup(body) => body.headers,
        Frame::Record(body) => body.headers,
        Frame::RecordNamed(body) => body.headers,
        Frame::History(body) => body.headers,
        Frame::Request(body) => body.headers,
        Frame::Call(body) => body.headers,
        Frame::Reply(body) => body.headers,
        Frame::Response(body) => body.headers,
        _ => &[],
    }
}

/// Field by field.
impl Dump {
    fn push(&mut self, name: &'static str, bytes: &[u8], value: String) {
        self.0.push(Field { bytes: bytes.to_vec(), name, value });
    }

    fn number(&mut self, name: &'static str, width: usize, value: impl Into<u64>) {
        let value = value.into();
        self.push(name, &value.to_le_bytes()[..width], value.to_string());
    }

    /// A number of one byte that has a name.
    fn choice(&mut self, name: &'static str, value: u8, word: &str) {
        self.push(name, &[value], format!("{value} {word}"));
    }

    fn code(&mut self, code: u16) {
        let word = Code::from_number(code).map_or(String::new(), |code| format!(" {}", code.name()));
        self.push("code", &code.to_le_bytes(), format!("{code}{word}"));
    }

    fn flags(&mut self, words: &[(bool, u8, &str)]) {
        let set: Vec<_> = words.iter().filter(|(on, _, _)| *on).collect();
        let bits = set.iter().fold(0, |bits, (_, bit, _)| bits | bit);
        let words: String = set.iter().map(|(_, _, word)| format!(" {word}")).collect();
        self.push("flags", &[bits], format!("0x{bits:02x}{words}"));
    }

    fn length(&mut self, name: &'static str, length: usize) {
        let mut bytes = Vec::new();
        let mut rest = length;
        while rest > 0x7F {
            bytes.push((rest % 0x80) as u8 + 0x80);
            rest /= 0x80;
        }
        bytes.push(rest as u8);
        self.push(name, &bytes, length.to_string());
    }

    fn blob(&mut self, length_name: &'static str, name: &'static str, bytes: &[u8]) {
        self.length(length_name, bytes.len());
        self.rest(name, bytes);
    }

    fn rest(&mut self, name: &'static str, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.push(name, bytes, quote(bytes));
        }
    }
}

/// What surrounds a body.
impl Dump {
    fn kind(&mut self, decoded: &Decoded<'_>, has_headers: bool) {
        let kind = decoded.frame.kind();
        let has_extensions = !decoded.extensions.is_empty();
        let byte = kind.code + if has_headers { 0x80 } else { 0 } + if has_extensions { 0x40 } else { 0 };
        let headers = if has_headers { " + headers" } else { "" };
        let extensions = if has_extensions { " + extensions" } else { "" };
        self.push("kind", &[byte], format!("0x{byte:02x} {}{headers}{extensions}", kind.name));
    }

    fn headers(&mut self, headers: &[u8]) {
        if headers.is_empty() {
            return;
        }
        self.length("headers bytes", headers.len());
        for (name, value) in Headers(headers).iter() {
            self.blob("header name bytes", "header name", name.as_bytes());
            self.blob("header value bytes", "header value", value);
        }
    }

    fn extensions(&mut self, frame: &Frame<'_>, extensions: Extensions<'_>) {
        if extensions.is_empty() {
            return;
        }
        let begin = self.0.len();
        for extension in extensions.iter() {
            match (frame.kind().name, extension.number) {
                ("PUBLISH" | "PUBLISH_SHORT", 1) => {
                    self.known_extension(0x81, "EXPECT + critical", "expect bytes", 8);
                    self.wide("expect", &extension.value[..8]);
                }
                ("PUBLISH" | "PUBLISH_SHORT", 2) => {
                    self.known_extension(0x82, "PRODUCER + critical", "producer bytes", 16);
                    self.wide("producer_id", &extension.value[..8]);
                    self.wide("producer_number", &extension.value[8..]);
                }
                ("ERROR", 3) => {
                    self.known_extension(0x03, "ACTUAL", "actual bytes", 8);
                    self.wide("actual", extension.value);
                }
                ("ACK", 4) => self.known_extension(0x04, "DUPLICATE", "duplicate bytes", 0),
                (name, number) => {
                    assert!(!extension.critical, "{name}: version 1 does not know the critical extension {number}");
                    self.number("extension type", 1, number);
                    self.blob("extension value bytes", "extension value", extension.value);
                }
            }
        }
        let area_bytes: usize = self.0[begin..].iter().map(|field| field.bytes.len()).sum();
        self.number("extensions bytes", 2, area_bytes as u64);
    }

    fn known_extension(&mut self, kind: u8, words: &str, length_name: &'static str, value_bytes: usize) {
        self.push("extension type", &[kind], format!("0x{kind:02x} {words}"));
        self.length(length_name, value_bytes);
    }

    fn wide(&mut self, name: &'static str, bytes: &[u8]) {
        let value = u64::from_le_bytes(bytes.try_into().expect("eight bytes"));
        self.number(name, 8, value);
    }
}

/// Bodies, a family at a time.
impl Dump {
    fn body(&mut self, frame: &Frame<'_>) {
        let families = [Dump::session, Dump::liveness, Dump::publish, Dump::subscribe, Dump::deliver, Dump::request];
        let known = families.iter().filter(|family| family(self, frame)).count();
        assert_eq!(known, 1, "{frame:?} belongs to one family");
    }

    fn session(&mut self, frame: &Frame<'_>) -> bool {
        match frame {
            Frame::Hello(hello) => {
                self.number("keep_alive_ms", 4, hello.keep_alive_ms);
                self.blob("client_name bytes", "client_name", hello.client_name.as_bytes());
                self.blob("client_version bytes", "client_version", hello.client_version.as_bytes());
                self.blob("credentials bytes", "credentials", hello.credentials);
            }
            Frame::Welcome(welcome) => self.welcome(welcome),
            Frame::Error(refusal) => {
                self.choice("scope", refusal.scope as u8, scope_word(refusal.scope));
                self.code(refusal.code);
                let classes = ["never", "now", "after"];
                self.choice("retry_class", refusal.retry_class, classes[usize::from(refusal.retry_class)]);
                self.number("retry_after_ms", 4, refusal.retry_after_ms);
                self.number("reference", 8, refusal.reference);
                self.blob("text bytes", "text", refusal.text.as_bytes());
            }
            _ => return false,
        }
        true
    }

    fn welcome(&mut self, welcome: &Welcome<'_>) {
        self.number("version", 1, welcome.version);
        self.flags(&[(welcome.open, 0x01, "open"), (welcome.draining, 0x02, "draining")]);
        self.number("connection_id", 8, welcome.connection_id);
        self.number("server_time_us", 8, welcome.server_time_us);
        self.number("keep_alive_ms", 4, welcome.keep_alive_ms);
        for (name, width, value, _) in limits(&welcome.limits) {
            self.number(name, width, value);
        }
        self.blob("server_name bytes", "server_name", welcome.server_name.as_bytes());
    }

    fn liveness(&mut self, frame: &Frame<'_>) -> bool {
        match frame {
            Frame::Ping(ping) => self.number("time", 8, ping.time),
            Frame::Pong(pong) => {
                self.number("time", 8, pong.time);
                self.number("clock_us", 8, pong.clock_us);
            }
            Frame::Goaway(goaway) => {
                self.code(goaway.code);
                self.number("reconnect_min_ms", 4, goaway.reconnect_min_ms);
                self.number("reconnect_max_ms", 4, goaway.reconnect_max_ms);
                self.blob("text bytes", "text", goaway.text.as_bytes());
            }
            _ => return false,
        }
        true
    }

    fn publish(&mut self, frame: &Frame<'_>) -> bool {
        match frame {
            Frame::Register(register) => {
                self.number("short_id", 2, register.short_id);
                self.blob("topic bytes", "topic", register.topic);
            }
            Frame::Publish(publish) => {
                self.choice("ack", publish.ack as u8, ack_word(publish.ack));
                self.blob("topic bytes", "topic", publish.topic);
                self.rest("payload", publish.payload);
            }
            Frame::PublishShort(publish) => {
                self.choice("ack", publish.ack as u8, ack_word(publish.ack));
                self.number("short_id", 2, publish.short_id);
                self.rest("payload", publish.payload);
            }
            Frame::Ack(ack) => {
                self.number("first", 8, ack.first);
                self.number("count", 4, ack.count);
                self.choice("level", ack.level as u8, ack_word(ack.level));
                self.number("first_sequence", 8, ack.first_sequence);
            }
            _ => return false,
        }
        true
    }

    fn subscribe(&mut self, frame: &Frame<'_>) -> bool {
        match frame {
            Frame::Subscribe(subscribe) => self.subscription_wish(subscribe),
            Frame::Subscribed(subscribed) => {
                self.number("subscription", 4, subscribed.subscription);
                self.number("topic_id", 4, subscribed.topic_id);
                self.choice("outcome", subscribed.outcome as u8, outcome_word(subscribed.outcome));
                self.number("epoch", 8, subscribed.epoch);
            }
            Frame::Unsubscribe(unsubscribe) => self.number("subscription", 4, unsubscribe.subscription),
            Frame::Unsubscribed(unsubscribed) => {
                self.number("subscription", 4, unsubscribed.subscription);
                self.code(unsubscribed.code);
            }
            Frame::CaughtUp(frame::CaughtUp { subscription, position })
            | Frame::Cursor(frame::Cursor { subscription, position }) => {
                self.number("subscription", 4, *subscription);
                self.number("position", 8, *position);
            }
            Frame::Gap(gap) => {
                self.number("subscription", 4, gap.subscription);
                self.number("dropped", 8, gap.dropped);
                self.number("conflated", 8, gap.conflated);
            }
            _ => return false,
        }
        true
    }

    fn subscription_wish(&mut self, subscribe: &frame::Subscribe<'_>) {
        self.number("subscription", 4, subscribe.subscription);
        self.choice("policy", subscribe.policy as u8, policy_word(subscribe.policy));
        self.flags(&[(subscribe.no_echo, 0x01, "no_echo"), (subscribe.responder, 0x02, "responder")]);
        self.number("max_rate_hz", 2, subscribe.max_rate_hz);
        self.start(subscribe.start);
        self.blob("filter bytes", "filter", subscribe.filter);
        self.blob("group bytes", "group", subscribe.group);
    }

    fn start(&mut self, start: Start) {
        match start {
            Start::Live => self.choice("start", 0, "live"),
            Start::LastValue => self.choice("start", 1, "last-value"),
            Start::Last { count } => {
                self.choice("start", 2, "last");
                self.number("count", 4, count);
            }
            Start::First => self.choice("start", 3, "first"),
            Start::Sequence { sequence } => {
                self.choice("start", 4, "sequence");
                self.number("sequence", 8, sequence);
            }
            Start::Position { position } => {
                self.choice("start", 5, "position");
                self.number("position", 8, position);
            }
            Start::Time { time_us } => {
                self.choice("start", 6, "time");
                self.number("time_us", 8, time_us);
            }
            Start::Resume { epoch, last } => {
                self.choice("start", 7, "resume");
                self.number("epoch", 8, epoch);
                self.number("last", 8, last);
            }
        }
    }

    fn deliver(&mut self, frame: &Frame<'_>) -> bool {
        match frame {
            Frame::Message(message) => {
                self.number("topic_id", 4, message.topic_id);
                self.rest("payload", message.payload);
            }
            Frame::MessageNamed(message) => {
                self.blob("topic bytes", "topic", message.topic);
                self.rest("payload", message.payload);
            }
            Frame::MessageGroup(message) => {
                self.number("subscription", 4, message.subscription);
                self.blob("topic bytes", "topic", message.topic);
                self.rest("payload", message.payload);
            }
            Frame::Record(record) => {
                self.number("topic_id", 4, record.topic_id);
                self.number("sequence", 8, record.sequence);
                self.rest("payload", record.payload);
            }
            Frame::RecordNamed(record) => {
                self.number("sequence", 8, record.sequence);
                self.number("position", 8, record.position);
                self.blob("topic bytes", "topic", record.topic);
                self.rest("payload", record.payload);
            }
            Frame::History(record) => {
                self.number("subscription", 4, record.subscription);
                self.number("sequence", 8, record.sequence);
                self.number("position", 8, record.position);
                self.number("time_us", 8, record.time_us);
                self.blob("topic bytes", "topic", record.topic);
                self.rest("payload", record.payload);
            }
            _ => return false,
        }
        true
    }

    fn request(&mut self, frame: &Frame<'_>) -> bool {
        match frame {
            Frame::Request(request) => {
                self.number("correlation", 4, request.correlation);
                self.number("deadline_ms", 4, request.deadline_ms);
                self.blob("topic bytes", "topic", request.topic);
                self.rest("payload", request.payload);
            }
            Frame::Call(call) => {
                self.number("subscription", 4, call.subscription);
                self.number("handle", 8, call.handle);
                self.number("deadline_ms", 4, call.deadline_ms);
                self.blob("topic bytes", "topic", call.topic);
                self.rest("payload", call.payload);
            }
            Frame::Reply(reply) => {
                self.number("handle", 8, reply.handle);
                self.rest("payload", reply.payload);
            }
            Frame::Response(response) => {
                self.number("correlation", 4, response.correlation);
                self.code(response.code);
                self.rest("payload", response.payload);
            }
            _ => return false,
        }
        true
    }
}

/// The limits in the order of WELCOME: name, bytes on the wire, value, type.
pub(crate) fn limits(limits: &Limits) -> [(&'static str, usize, u64, &'static str); 10] {
    // Taken apart whole, so that a limit more does not compile until it is listed.
    let Limits {
        frame_bytes_max,
        headers_bytes_max,
        queue_bytes_max,
        subscriptions_max,
        requests_max,
        deadline_ms_max,
        short_ids_max,
        topic_bytes_max,
        topic_levels_max,
        filter_plus_max,
    } = *limits;
    [
        ("frame_bytes_max", 4, frame_bytes_max.into(), "u32"),
        ("headers_bytes_max", 4, headers_bytes_max.into(), "u32"),
        ("queue_bytes_max", 4, queue_bytes_max.into(), "u32"),
        ("subscriptions_max", 4, subscriptions_max.into(), "u32"),
        ("requests_max", 4, requests_max.into(), "u32"),
        ("deadline_ms_max", 4, deadline_ms_max.into(), "u32"),
        ("short_ids_max", 2, short_ids_max.into(), "u16"),
        ("topic_bytes_max", 2, topic_bytes_max.into(), "u16"),
        ("topic_levels_max", 1, topic_levels_max.into(), "u8"),
        ("filter_plus_max", 1, filter_plus_max.into(), "u8"),
    ]
}

const fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::Connection => "connection",
        Scope::Publish => "publish",
        Scope::UnackedPublish => "unacked-publish",
        Scope::Register => "register",
        Scope::Subscription => "subscription",
        Scope::Reply => "reply",
    }
}

const fn ack_word(level: AckLevel) -> &'static str {
    match level {
        AckLevel::None => "none",
        AckLevel::Routed => "routed",
        AckLevel::Journaled => "journaled",
        AckLevel::Durable => "durable",
    }
}

const fn policy_word(policy: Policy) -> &'static str {
    match policy {
        Policy::Disconnect => "disconnect",
        Policy::DropOldest => "drop-oldest",
        Policy::DropNewest => "drop-newest",
        Policy::Conflate => "conflate",
        Policy::CatchUp => "catch-up",
    }
}

const fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Live => "live",
        Outcome::History => "history",
        Outcome::Resumed => "resumed",
        Outcome::ResetEpoch => "reset-epoch",
        Outcome::ResetRetention => "reset-retention",
        Outcome::ResetBeyond => "reset-beyond",
    }
}

//! What is demanded of Fanwire: a row, what of it, how it is measured, and the bounds.

use super::adapter::Target;

/// What is demanded of a number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bound {
    /// It must not be more than the first, and should not be more than the second.
    AtMost(f64, f64),
    /// It must not be less than the first, and should not be less than the second.
    AtLeast(f64, f64),
    Within(f64, f64),
    /// It is only told.
    Told,
}

/// The number.
#[derive(Debug, Clone, Copy)]
pub(super) enum Measure {
    Figure(&'static str),
    /// A figure as a multiple of another contestant's; without a name, the score.
    Multiple(Option<&'static str>, &'static str),
    /// How far a figure lies behind another contestant's in the same round.
    Behind(&'static str, &'static str),
    /// How far a figure lies behind the best of all others in the same round.
    BehindBest(&'static str),
    /// A variant of Fanwire's score as a multiple of the plain one's.
    Variant(&'static str),
    /// What another way in shows as a multiple of Fanwire's own; without a name, the score.
    Beside(&'static str, Option<&'static str>),
    /// What one more reactor with subscribers costs a message, in nanoseconds: of this variant, which has so many.
    Hop(&'static str, u32),
}

const FLOOR: &str = Target::Floor.name();
const NATS: &str = Target::Nats.name();
const REDIS: &str = Target::Redis.name();
pub(super) const FANWIRE: &str = Target::Fanwire.name();
const WS: &str = Target::WebSocket.name();
const SSE: &str = Target::Sse.name();
const CPU: &str = "CPU a delivery, x floor";
pub(super) const HALF_RATE: &str = "half rate";
/// Messages a write of the broker: the one figure that is there only where perf may count system calls.
pub(super) const CARRIED: &str = "msgs/write";

/// A row by its name (all rows at half rate by [`HALF_RATE`]), what of it, how it is measured, what is demanded.
pub(super) const DEMANDS: [(&str, &str, Measure, Bound); 44] = [
    ("1 -> 100", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.5, 1.2)),
    ("1 -> 1000", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.6, 1.25)),
    ("1 -> 1", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.5, 1.2)),
    ("10 -> 10 over 10 topics", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.6, 1.6)),
    ("10 -> 10 over 10 topics", "CPU a delivery, x nats", Measure::Multiple(None, NATS), Bound::AtMost(0.25, 0.25)),
    ("1 -> 100, half rate", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.5, 1.2)),
    ("1 -> 1000, half rate", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.6, 1.25)),
    ("1 -> 1, half rate", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.5, 1.2)),
    ("10 -> 10 over 10 topics, half rate", CPU, Measure::Multiple(None, FLOOR), Bound::AtMost(1.6, 1.6)),
    (HALF_RATE, "messages a write, x floor", Measure::Multiple(Some(CARRIED), FLOOR), Bound::Within(0.8, 1.2)),
    (HALF_RATE, "p50, x floor", Measure::Multiple(Some("p50 us"), FLOOR), Bound::AtMost(1.25, 1.25)),
    ("latency at 20 000/s", "p50 behind the best, us", Measure::BehindBest("p50 us"), Bound::AtMost(5.0, 2.0)),
    (
        "idle connections, own topic each",
        "bytes a connection",
        Measure::Figure("bytes/conn"),
        Bound::AtMost(500.0, 250.0),
    ),
    (
        "idle connections, own topic each",
        ACCEPT,
        Measure::Multiple(Some("accept us/conn"), FLOOR),
        Bound::AtMost(1.6, 1.3),
    ),
    (
        "idle connections, own topic each",
        "MiB without connections",
        Measure::Figure("MiB at 0"),
        Bound::AtMost(16.0, 16.0),
    ),
    ("idle connections, one topic", "bytes a connection", Measure::Figure("bytes/conn"), Bound::AtMost(250.0, 150.0)),
    ("1 of 100 stalled", "CPU a delivery, x none stalled", Measure::Figure("CPU ratio"), Bound::AtMost(1.05, 1.05)),
    (
        "1 million topics",
        "rate that a core carries, x one topic",
        Measure::Figure("rate kept"),
        Bound::AtLeast(0.5, 0.5),
    ),
    (
        "idle connections beside",
        "CPU a delivery, x without",
        Measure::Variant("beside idle"),
        Bound::AtMost(1.05, 1.05),
    ),
    ("several reactors", "CPU a delivery, 2 x 1", Measure::Variant("2 reactors"), Bound::AtMost(1.5, 1.5)),
    ("several reactors", "CPU a delivery, 4 x 1", Measure::Variant("4 reactors"), Bound::AtMost(1.5, 1.5)),
    ("several reactors", "ns a message and hop", Measure::Hop("2 reactors", 2), Bound::Told),
    ("web 1 -> 100", WS_CPU, Measure::Beside(WS, None), Bound::AtMost(1.15, 1.15)),
    ("web 1 -> 100", SSE_CPU, Measure::Beside(SSE, None), Bound::AtMost(1.5, 1.5)),
    ("web 1 -> 1000", WS_CPU, Measure::Beside(WS, None), Bound::AtMost(1.15, 1.15)),
    ("web 1 -> 1000", SSE_CPU, Measure::Beside(SSE, None), Bound::AtMost(1.5, 1.5)),
    ("web idle, own topic each", WS_BYTES, Measure::Beside(WS, None), Bound::AtMost(1.2, 1.2)),
    ("web idle, own topic each", SSE_BYTES, Measure::Beside(SSE, None), Bound::Told),
    ("web idle, one topic", WS_BYTES, Measure::Beside(WS, None), Bound::AtMost(1.2, 1.2)),
    ("web idle, one topic", SSE_BYTES, Measure::Beside(SSE, None), Bound::Told),
    ("journal append", "CPU an ack, x nats", Measure::Multiple(None, NATS), Bound::AtMost(1.0 / 6.0, 0.1)),
    ("journal append", "CPU an ack, x redis", Measure::Multiple(None, REDIS), Bound::AtMost(1.0 / 3.0, 0.25)),
    ("journal append", "CPU an ack, x floor", Measure::Multiple(None, FLOOR), Bound::Told),
    ("journal durable, 1 publisher", ACKS, Measure::Multiple(Some("acks/s"), FLOOR), Bound::AtLeast(0.75, 0.85)),
    ("journal durable, 4 publishers", SYNCS, Measure::Multiple(Some("syncs/s"), FLOOR), Bound::AtLeast(0.95, 0.98)),
    ("journal durable, 4 publishers", ACKS, Measure::Multiple(Some("acks/s"), FLOOR), Bound::Told),
    ("journal durable, one at a time", "p50 behind floor, us", Measure::Behind(P50, FLOOR), Bound::AtMost(60.0, 40.0)),
    ("journal replay, 64 bytes", WIRE, Measure::Multiple(Some("MiB/s"), FLOOR), Bound::AtLeast(0.4, 0.6)),
    ("journal replay, 1 KiB", WIRE, Measure::Multiple(Some("MiB/s"), FLOOR), Bound::AtLeast(0.7, 0.9)),
    ("journal latency", "p50 behind live, us", Measure::Figure("p50 more us"), Bound::AtMost(30.0, 15.0)),
    ("journal beside", "reactor CPU a delivery, x without", Measure::Figure("CPU ratio"), Bound::AtMost(1.1, 1.05)),
    ("journal cold replay", "live p99.9, x without", Measure::Figure("p99.9 ratio"), Bound::AtMost(1.5, 1.5)),
    ("journal memory", "bytes an idle topic", Measure::Figure("bytes/topic"), Bound::AtMost(200.0, 100.0)),
    ("journal memory", "resident bytes a topic", Measure::Figure("resident bytes/topic"), Bound::Told),
];
const WS_CPU: &str = "CPU a delivery, ws x native";
const SSE_CPU: &str = "CPU a delivery, sse x native";
const WS_BYTES: &str = "bytes a connection, ws x native";
const SSE_BYTES: &str = "bytes a connection, sse x native";
const ACKS: &str = "acks a second, x floor";
const SYNCS: &str = "syncs a second, x floor";
const WIRE: &str = "bytes a second, x floor";
const P50: &str = "p50 us";
const ACCEPT: &str = "CPU to accept, greet and subscribe, x floor";

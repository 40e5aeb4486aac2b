//! Fanwire's own protocol: topics registered once and published to by a short id, deliveries by topic id.

use crate::bench::adapter::{Adapter, Ear, Fault, Interest, Level, Opening, Part, Progress, Topics};
use crate::escape::visible;
use fanwire_wire::frame::{
    AckLevel, Hello, Outcome, Policy, Publish, PublishShort, Register, Reply, Request, Start, Subscribe, split_frame,
};
use fanwire_wire::limits::FRAME_BYTES_CEILING;
use fanwire_wire::{ClientPreface, Code, Direction, Frame, Limits, ServerPreface, Violation, decode};

/// The adapter.
pub(in crate::bench) struct Fanwire;

/// The kind byte of MESSAGE without headers, a frame that comes in millions: kind, topic id, payload.
const MESSAGE: u8 = 0x12;
const MESSAGE_HEAD_BYTES: usize = 5;
/// The same of RECORD: kind, topic id, sequence, payload.
const RECORD: u8 = 0x15;
const RECORD_HEAD_BYTES: usize = 13;
/// A request's deadline: longer than any run waits.
const DEADLINE_MS: u32 = 30_000;
const PREFACE_BYTES: usize = 8;

impl Adapter for Fanwire {
    fn open(opening: &Opening<'_>, out: &mut Vec<u8>) -> u32 {
        out.extend_from_slice(&ClientPreface::OURS.encode());
        open_frames(opening, out)
    }

    fn publish(topics: &Topics, topic: u32, payload: &[u8], out: &mut Vec<u8>) {
        publish(topics, topic, AckLevel::None, payload, out);
    }

    fn append(topics: &Topics, topic: u32, level: Level, payload: &[u8], out: &mut Vec<u8>) {
        let ack = match level {
            Level::Journaled => AckLevel::Journaled,
            Level::Durable => AckLevel::Durable,
        };
        publish(topics, topic, ack, payload, out);
    }

    fn request(topics: &Topics, sequence: u64, payload: &[u8], out: &mut Vec<u8>) {
        let topic = topics.side_name("ask");
        #[expect(clippy::cast_possible_truncation, reason = "unique among those in flight is enough")]
        let correlation = sequence as u32;
        let topic = topic.as_bytes();
        Frame::from(Request { correlation, deadline_ms: DEADLINE_MS, topic, headers: &[], payload }).encode(out);
    }

    fn reply(_topics: &Topics, handle: &[u8], payload: &[u8], out: &mut Vec<u8>) {
        let handle = u64::from_le_bytes(*handle.first_chunk().expect("a handle as it was heard"));
        Frame::from(Reply { handle, headers: &[], payload }).encode(out);
    }

    fn hear<E: Ear>(progress: &mut Progress, bytes: &[u8], ear: &mut E) -> Result<usize, Fault> {
        let mut used = 0;
        if !progress.greeted {
            match ServerPreface::decode(bytes).map_err(fault)? {
                Some(preface) if preface.code == 0 => used = PREFACE_BYTES,
                Some(preface) => return Err(Fault::Refused(format!("code {} in the preface", preface.code))),
                None => return Ok(0),
            }
            progress.greeted = true;
        }
        Ok(used + hear_frames(&bytes[used..], ear)?)
    }
}

/// Appends the frames that open a conversation whose version is settled; how many confirmations will come.
pub(super) fn open_frames(opening: &Opening<'_>, out: &mut Vec<u8>) -> u32 {
    let hello = Hello {
        keep_alive_ms: 0,
        client_name: "fanwire-bench",
        client_version: env!("CARGO_PKG_VERSION"),
        credentials: b"",
    };
    Frame::from(hello).encode(out);
    if opening.topics.fit(short_ids_max()) {
        for topic in opening.publishes.clone() {
            let topic_name = opening.topics.name(topic).as_bytes();
            Frame::from(Register { short_id: short_id(topic), topic: topic_name }).encode(out);
        }
    }
    1 + subscribe(opening, out)
}

/// Hears the whole frames at the front of the bytes; how many bytes they were.
#[inline]
pub(super) fn hear_frames<E: Ear>(bytes: &[u8], ear: &mut E) -> Result<usize, Fault> {
    let mut used = 0;
    while let Some((frame, size)) = split_frame(&bytes[used..], FRAME_BYTES_CEILING).map_err(fault)? {
        used += size;
        if frame[0] == MESSAGE && frame.len() >= MESSAGE_HEAD_BYTES {
            ear.delivered(&frame[MESSAGE_HEAD_BYTES..]);
        } else if frame[0] == RECORD && frame.len() >= RECORD_HEAD_BYTES {
            ear.delivered(&frame[RECORD_HEAD_BYTES..]);
        } else {
            hear_frame(frame, ear)?;
        }
    }
    Ok(used)
}

fn hear_frame(frame: &[u8], ear: &mut impl Ear) -> Result<(), Fault> {
    match decode(frame, Direction::ToClient).map_err(fault)?.frame {
        Frame::Message(message) => ear.delivered(message.payload),
        Frame::MessageNamed(message) => ear.delivered(message.payload),
        Frame::MessageGroup(message) => ear.delivered(message.payload),
        Frame::Record(record) => ear.delivered(record.payload),
        Frame::RecordNamed(record) => ear.delivered(record.payload),
        Frame::Ack(ack) => ear.acknowledged(ack.count.into()),
        Frame::Call(call) => ear.asked(&call.handle.to_le_bytes(), call.payload),
        Frame::Response(response) if response.code == 0 => ear.answered(response.payload),
        Frame::Welcome(_) | Frame::Subscribed(_) => ear.confirmed(),
        Frame::Response(response) => {
            return Err(Fault::Refused(format!("a request ended with code {}", response.code)));
        }
        Frame::Error(refusal) => {
            return Err(refused(refusal.code, refusal.text));
        }
        Frame::Goaway(goaway) => return Err(Fault::Refused(format!("it is going away: {}", visible(goaway.text)))),
        // What it tells beside: gaps show in the sequence numbers.
        _ => {}
    }
    Ok(())
}

fn publish(topics: &Topics, topic: u32, ack: AckLevel, payload: &[u8], out: &mut Vec<u8>) {
    let headers = &[][..];
    if topics.fit(short_ids_max()) {
        Frame::from(PublishShort { ack, short_id: short_id(topic), headers, payload }).encode(out);
    } else {
        let topic = topics.name(topic).as_bytes();
        Frame::from(Publish { ack, topic, headers, payload }).encode(out);
    }
}

/// What a replay has brought so far.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::bench) struct Replayed {
    /// Records, in order.
    pub(in crate::bench) records: u64,
    /// Whether the history has ended.
    pub(in crate::bench) is_over: bool,
}

/// Appends what begins a connection that only replays.
pub(in crate::bench) fn greet(out: &mut Vec<u8>) {
    let topics = Topics::new(0, '/');
    let interest = Interest::Nothing;
    let opening =
        Opening { part: Part::Member, interest, publishes: 0..0, no_echo: false, droppable: false, topics: &topics };
    Fanwire::open(&opening, out);
}

/// Appends the question for the whole history of a topic.
pub(in crate::bench) fn ask_history(topics: &Topics, topic: u32, out: &mut Vec<u8>) {
    let filter = topics.name(topic).as_bytes();
    let (policy, start, group) = (Policy::CatchUp, Start::First, &b""[..]);
    let (subscription, no_echo, responder, max_rate_hz) = (1, false, false, 0);
    let subscribe = Subscribe { subscription, policy, no_echo, responder, max_rate_hz, start, filter, group };
    Frame::from(subscribe).encode(out);
}

/// Hears the whole frames of a replay at the front of the bytes; how many bytes they were.
pub(in crate::bench) fn hear_replay(bytes: &[u8], replayed: &mut Replayed) -> Result<usize, Fault> {
    let mut used = 0;
    while !replayed.is_over
        && let Some((frame, size)) = split_frame(&bytes[used..], FRAME_BYTES_CEILING).map_err(fault)?
    {
        used += size;
        match decode(frame, Direction::ToClient).map_err(fault)?.frame {
            Frame::History(history) if history.sequence == replayed.records + 1 => replayed.records += 1,
            Frame::History(history) => {
                let (sequence, records) = (history.sequence, replayed.records);
                return Err(Fault::Refused(format!("sequence {sequence} came after {records} records")));
            }
            Frame::CaughtUp(_) => replayed.is_over = true,
            Frame::Subscribed(subscribed) if subscribed.outcome != Outcome::History => {
                return Err(Fault::Refused(format!("it begins with {:?} instead of history", subscribed.outcome)));
            }
            Frame::Error(refusal) => {
                return Err(refused(refusal.code, refusal.text));
            }
            _ => {}
        }
    }
    Ok(used)
}

/// Appends the subscriptions; how many.
fn subscribe(opening: &Opening<'_>, out: &mut Vec<u8>) -> u32 {
    let blank = Subscribe {
        subscription: 1,
        policy: if opening.droppable { Policy::DropOldest } else { Policy::Disconnect },
        no_echo: opening.no_echo,
        responder: false,
        max_rate_hz: 0,
        start: Start::Live,
        filter: b"#",
        group: b"",
    };
    match (&opening.part, &opening.interest) {
        (Part::Responder, _) => {
            let filter = opening.topics.side_name("ask");
            let (filter, group, no_echo) = (filter.as_bytes(), &b"bench"[..], false);
            Frame::from(Subscribe { responder: true, filter, group, no_echo, ..blank }).encode(out);
            1
        }
        (_, Interest::Nothing) => 0,
        (_, Interest::All) => {
            Frame::from(blank).encode(out);
            1
        }
        (_, Interest::Topics(range)) => {
            for (topic, subscription) in range.clone().zip(1..) {
                let filter = opening.topics.name(topic).as_bytes();
                Frame::from(Subscribe { subscription, filter, ..blank }).encode(out);
            }
            range.end - range.start
        }
    }
}

/// Short ids that any broker with the default limits grants.
fn short_ids_max() -> u32 {
    Limits::default().short_ids_max.into()
}

fn short_id(topic: u32) -> u16 {
    u16::try_from(topic).expect("topics past the short ids go by name")
}

/// In the broker's words, or in the protocol's where it has said nothing.
fn refused(code: u16, text: &str) -> Fault {
    let meaning = Code::from_number(code).map_or("", Code::meaning);
    Fault::Refused(format!("{} (code {code})", if text.is_empty() { meaning.into() } else { visible(text) }))
}

fn fault(_violation: Violation) -> Fault {
    Fault::Unknown("Fanwire's protocol")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::adapter::listening::{hear_in_pieces, opened};
    use fanwire_wire::Inbox;
    use fanwire_wire::frame::{
        Ack, Call, CaughtUp, History, Message, MessageNamed, Record, Refusal, Response, Scope, Subscribed, Welcome,
    };

    fn frames(mut bytes: &[u8]) -> Vec<String> {
        let (mut inbox, mut names) = (Inbox::default(), Vec::new());
        while let Some(frame) = inbox.next_frame(&mut bytes, 1 << 20).unwrap() {
            names.push(decode(frame, Direction::ToBroker).unwrap().frame.kind().name.to_owned());
        }
        names
    }

    fn server(frames: &[Frame<'_>]) -> Vec<u8> {
        let mut bytes = ServerPreface::welcoming().to_vec();
        frames.iter().for_each(|frame| frame.encode(&mut bytes));
        bytes
    }

    trait Welcoming {
        fn welcoming() -> [u8; PREFACE_BYTES];
    }

    impl Welcoming for ServerPreface {
        fn welcoming() -> [u8; PREFACE_BYTES] {
            ServerPreface { version_min: 1, version_max: 1, code: 0 }.encode()
        }
    }

    #[test]
    fn it_opens_pipelined() {
        let topics = Topics::new(2, '/');
        let (bytes, confirmations) = opened::<Fanwire>(Part::Member, Interest::Topics(0..2), &topics);
        assert_eq!(frames(&bytes[PREFACE_BYTES..]), ["HELLO", "SUBSCRIBE", "SUBSCRIBE"]);
        assert_eq!(confirmations, 3);
        let (bytes, confirmations) = opened::<Fanwire>(Part::Member, Interest::Nothing, &topics);
        assert_eq!(frames(&bytes[PREFACE_BYTES..]), ["HELLO", "REGISTER", "REGISTER"]);
        assert_eq!(confirmations, 1);
    }

    #[test]
    fn it_publishes_by_short_id_and_by_name_when_there_are_too_many() {
        for (count, kind) in [(2, "PUBLISH_SHORT"), (5_000, "PUBLISH")] {
            let mut out = Vec::new();
            Fanwire::publish(&Topics::new(count, '/'), 1, b"payload", &mut out);
            assert_eq!(frames(&out), [kind]);
            assert!(out.ends_with(b"payload"));
        }
    }

    #[test]
    fn it_hears_however_the_stream_is_cut() {
        let welcome = Welcome {
            version: 1,
            open: true,
            draining: false,
            connection_id: 1,
            server_time_us: 0,
            keep_alive_ms: 0,
            limits: Limits::default(),
            server_name: "x",
        };
        let bytes = server(&[
            welcome.into(),
            Subscribed { subscription: 1, topic_id: 9, outcome: Outcome::Live, epoch: 0 }.into(),
            Message { topic_id: 9, headers: &[], payload: b"one" }.into(),
            MessageNamed { topic: b"a", headers: &[], payload: b"two" }.into(),
            Record { topic_id: 9, sequence: 3, headers: &[], payload: b"three" }.into(),
            Ack { first: 1, count: 50, level: AckLevel::Journaled, first_sequence: 1 }.into(),
            Call { subscription: 1, handle: 5, deadline_ms: 1, topic: b"a", headers: &[], payload: b"q" }.into(),
            Response { correlation: 1, code: 0, headers: &[], payload: b"a" }.into(),
        ]);
        let heard = hear_in_pieces::<Fanwire>(&bytes).unwrap();
        let asked = "asked \\x05\\x00\\x00\\x00\\x00\\x00\\x00\\x00 q";
        let delivered = ["delivered one", "delivered two", "delivered three", "acknowledged 50"];
        assert_eq!(heard[..2], ["confirmed"; 2]);
        assert_eq!(heard[2..6], delivered);
        assert_eq!(heard[6..], [asked, "answered a"]);
    }

    #[test]
    fn a_replay_is_heard_in_order_up_to_its_end() {
        let record = |sequence| {
            let (position, time_us, topic) = (sequence, 0, &b"a"[..]);
            History { subscription: 1, sequence, position, time_us, topic, headers: &[], payload: b"x" }
        };
        let mut bytes = Vec::new();
        let sent: [Frame<'_>; 4] = [
            Subscribed { subscription: 1, topic_id: 9, outcome: Outcome::History, epoch: 5 }.into(),
            record(1).into(),
            record(2).into(),
            CaughtUp { subscription: 1, position: 2 }.into(),
        ];
        sent.iter().for_each(|frame| frame.encode(&mut bytes));
        let (mut replayed, whole) = (Replayed::default(), bytes.len());
        bytes.extend_from_slice(b"what is live comes behind it");
        assert_eq!(hear_replay(&bytes, &mut replayed), Ok(whole));
        assert_eq!(replayed, Replayed { records: 2, is_over: true });
        let mut gap = Vec::new();
        Frame::from(record(2)).encode(&mut gap);
        let refused = hear_replay(&gap, &mut Replayed::default()).unwrap_err().to_string();
        assert!(refused.contains("sequence 2 came after 0 records"), "{refused}");
        let mut asked = Vec::new();
        greet(&mut asked);
        ask_history(&Topics::new(1, '/'), 0, &mut asked);
        assert_eq!(frames(&asked[PREFACE_BYTES..]), ["HELLO", "SUBSCRIBE"]);
    }

    #[test]
    fn a_refusal_ends_it_and_so_does_another_protocol() {
        let refusal = Refusal::new(Scope::Connection, Code::SlowConsumer, 0, "too slow");
        let refused = hear_in_pieces::<Fanwire>(&server(&[refusal.into()])).unwrap_err();
        assert!(refused.to_string().contains("too slow"), "{refused}");
        assert!(matches!(hear_in_pieces::<Fanwire>(b"INFO {}\r\n"), Err(Fault::Unknown(_))));
    }
}

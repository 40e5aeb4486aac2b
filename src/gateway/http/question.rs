//! What requests ask of the shard, and what its answers are in HTTP.
//!
//! ```text
//!  Asked --command--> inner session --frames of its queue--> an answer's bytes
//! ```
//!
//! | request | command | frames | answer |
//! |---|---|---|---|
//! | publish | PUBLISH | ACK, ERROR | an object with what was reached, or a refusal |
//! | request | REQUEST | RESPONSE | the reply's bytes, or a refusal |
//! | history | SUBSCRIBE with a start | SUBSCRIBED, HISTORY ..., CAUGHT_UP | a line a record |
//!
//! The inner session speaks native frames, since those are at hand; its queue is bounded as everybody's, and it is read
//! no faster than the socket takes what is made of it.

use super::answer::{Answer, Cache, Exchange, Framing, MediaType, Stream};
use super::origin::OwnCors;
use super::{Query, Reason, Refusal, Status};
use crate::json;
use crate::{Context, Progress};
use fanwire_core::command::{Command, Subscribe, Target};
use fanwire_core::journal::history::HistoryRecord;
use fanwire_core::{Conditions, Handled, SessionId, Slices};
use fanwire_wire::frame::{AckLevel, Frame, History, Policy, Scope, Start};
use fanwire_wire::{Code, Decoded, Direction, Inbox, Violation, decode};

/// The only subscription of an inner session.
const SUBSCRIPTION: u32 = 1;
/// How long a reply is waited for, where the request does not say.
const DEADLINE_MS: u32 = 5_000;
/// What the socket's queue may hold before no more history is made.
const AHEAD_BYTES_MAX: u32 = 256 * 1024;
/// Records of one answer, where the request does not say.
const LIMIT: u32 = 1_000;

/// A request's question.
#[derive(Debug)]
pub(super) enum Asked {
    Publish { topic: Vec<u8>, ack: AckLevel, conditions: Conditions },
    Request { topic: Vec<u8>, deadline_ms: u32 },
    History { topic: Vec<u8>, start: Start, limit: u32 },
}

impl Asked {
    pub(super) fn publish(topic: &[u8], query: &Query<'_>) -> Result<Asked, Refusal> {
        let conditions = Conditions { expect: query.expect()?, producer: query.producer()? };
        Ok(Asked::Publish { topic: topic.to_vec(), ack: query.ack()?.unwrap_or(AckLevel::Routed), conditions })
    }

    pub(super) fn request(topic: &[u8], query: &Query<'_>) -> Result<Asked, Refusal> {
        let deadline = query.deadline()?;
        let deadline_ms = deadline.map_or(DEADLINE_MS, |deadline| deadline.as_millis().try_into().unwrap_or(u32::MAX));
        Ok(Asked::Request { topic: topic.to_vec(), deadline_ms })
    }

    pub(super) fn history(topic: &[u8], query: &Query<'_>) -> Result<Asked, Refusal> {
        let start = query.start()?.unwrap_or(Start::First);
        if start == Start::Live {
            return Err(Refusal::from(Reason::BadParameter).because("from=live has no history"));
        }
        Ok(Asked::History { topic: topic.to_vec(), start, limit: query.limit()?.unwrap_or(LIMIT) })
    }

    fn command<'a>(&'a self, body: &'a &'a [u8]) -> Command<'a> {
        match self {
            Asked::Publish { topic, ack, conditions, .. } => {
                let target = Target::Name(topic);
                if conditions.are_none() {
                    let payloads = std::slice::from_ref(body);
                    return Command::Publish { target, ack: *ack, headers: &[], payloads };
                }
                Command::PublishIf { target, ack: *ack, conditions: *conditions, headers: &[], payload: body }
            }
            Asked::Request { topic, deadline_ms } => {
                Command::Request { correlation: 1, deadline_ms: *deadline_ms, topic, headers: &[], payload: body }
            }
            Asked::History { topic, start, .. } => Command::Subscribe(Subscribe {
                subscription: SUBSCRIPTION,
                filter: topic,
                group: &[],
                // Nothing but history is taken of it.
                policy: Policy::Disconnect,
                no_echo: false,
                responder: false,
                max_rate_hz: 0,
                start: *start,
            }),
        }
    }
}

/// A question on its way.
#[derive(Debug)]
pub(super) struct Asking {
    asked: Asked,
    body: Vec<u8>,
    exchange: Exchange,
    cors: OwnCors,
    /// Whether the shard has taken it.
    is_put: bool,
    /// The answer's body, once it has begun to be told.
    stream: Option<Stream>,
    /// Records that were told.
    told: u32,
}

/// What came of putting a question, or of listening.
pub(super) struct Heard {
    /// Bytes of the answer.
    pub(super) out: Vec<u8>,
    pub(super) progress: Progress,
    /// Whether the connection goes on, once the exchange is over.
    pub(super) ended: Option<bool>,
}

impl Heard {
    fn waiting(progress: Progress) -> Self {
        Heard { out: Vec::new(), progress, ended: None }
    }
}

impl Asking {
    pub(super) fn new(asked: Asked, body: Vec<u8>, exchange: Exchange, cors: OwnCors) -> Self {
        Asking { asked, body, exchange, cors, is_put: false, stream: None, told: 0 }
    }

    /// Whether part of the answer is told.
    pub(super) const fn is_telling(&self) -> bool {
        self.stream.is_some()
    }

    /// Whether somebody else has to answer, who may take long.
    pub(super) const fn waits_for_others(&self) -> bool {
        matches!(self.asked, Asked::Request { .. })
    }

    /// Puts the question, if it is not put yet.
    pub(super) fn resume(&mut self, inner: SessionId, context: &mut Context<'_>) -> Heard {
        if self.is_put {
            return Heard::waiting(Progress::Idle);
        }
        if context.shard.is_waiting(inner) {
            return Heard::waiting(Progress::Postponed);
        }
        // What earlier exchanges were still owed is not this one's.
        drain(inner, context);
        match context.shard.handle(inner, &self.asked.command(&self.body.as_slice())) {
            Err(Violation(code)) => self.refuse(&code.into()),
            Ok(Handled::Postponed) => Heard::waiting(Progress::Postponed),
            Ok(Handled::Done) => {
                self.is_put = true;
                self.body = Vec::new();
                match self.asked {
                    Asked::Publish { ack: AckLevel::None, .. } => self.tell_accepted(),
                    _ => Heard::waiting(Progress::Idle),
                }
            }
        }
    }

    /// Acts on what the inner session was sent, as far as the socket's session has room for what comes of it.
    pub(super) fn hear(&mut self, inner: SessionId, outer: SessionId, context: &mut Context<'_>) -> Heard {
        let mut heard = Heard::waiting(Progress::Idle);
        let room_bytes = (AHEAD_BYTES_MAX as usize).saturating_sub(context.shard.queue_bytes(outer) as usize);
        while heard.ended.is_none() && heard.out.len() < room_bytes {
            let bytes = front(inner, context);
            if bytes.is_empty() {
                break;
            }
            let used = self.take_frames(&bytes, room_bytes, &mut heard, context);
            context.shard.advance(inner, used, false);
        }
        heard
    }

    /// Frame by frame: some grow to several times their size. Returns the bytes of those that were taken.
    fn take_frames(&mut self, bytes: &[u8], room_bytes: usize, heard: &mut Heard, context: &Context<'_>) -> usize {
        let mut inbox = Inbox::default();
        let frame_bytes_max = context.settings.limits.frame_bytes_max.saturating_mul(2);
        let mut rest = bytes;
        while heard.ended.is_none()
            && heard.out.len() < room_bytes
            && let Ok(Some(frame)) = inbox.next_frame(&mut rest, frame_bytes_max)
        {
            if let Ok(decoded) = decode(frame, Direction::ToClient) {
                self.take_frame(&decoded, heard);
            }
        }
        bytes.len() - rest.len()
    }

    fn take_frame(&mut self, decoded: &Decoded<'_>, heard: &mut Heard) {
        match &decoded.frame {
            Frame::Ack(ack) => {
                let is_duplicate = decoded.extensions.is_duplicate();
                *heard = self.tell_ack(ack.level, ack.first_sequence, is_duplicate);
            }
            // Of a publish that asked for no answer, in an earlier exchange.
            Frame::Error(refusal) if refusal.scope == Scope::UnackedPublish => {}
            Frame::Error(refusal) => {
                let code = Code::from_number(refusal.code).map_or_else(|| Reason::Internal.into(), Refusal::from);
                *heard = self.refuse(&code.with_retry(refusal.retry()).with_actual(decoded.extensions.actual()));
            }
            Frame::Response(response) => {
                *heard = match Code::from_number(response.code) {
                    Some(code) => self.refuse(&code.into()),
                    None => self.tell_reply(response.payload),
                };
            }
            Frame::Subscribed(_) => self.begin_lines(heard),
            Frame::History(record) => self.tell_record(record, heard),
            Frame::CaughtUp(_) => self.end_lines(heard),
            Frame::Unsubscribed(over) if self.stream.is_some() => {
                // A body that breaks off is the only way left to say so.
                let is_whole = over.code == 0;
                heard.ended = Some(false);
                if is_whole {
                    self.end_lines(heard);
                }
            }
            _ => {}
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Heard {
        let mut out = Vec::new();
        refusal.write(self.exchange, self.cors.borrowed(), &mut out);
        Heard { out, progress: Progress::Idle, ended: Some(self.exchange.keeps_alive()) }
    }

    fn tell(&self, status: Status, media: MediaType<'_>, body: &[u8]) -> Heard {
        let mut out = Vec::new();
        let mut answer = Answer::begin(self.exchange, status, &mut out);
        answer.cors(self.cors.borrowed()).cache(Cache::Never);
        answer.sized(media, body);
        Heard { out, progress: Progress::Idle, ended: Some(self.exchange.keeps_alive()) }
    }

    fn tell_accepted(&self) -> Heard {
        self.tell(Status::ACCEPTED, MediaType::Json, b"{\"ack\":\"none\"}\n")
    }

    fn tell_ack(&self, level: AckLevel, sequence: u64, is_duplicate: bool) -> Heard {
        let mut body = format!(r#"{{"ack":"{}""#, level.name());
        if sequence > 0 {
            body.push_str(&format!(r#","sequence":{sequence}"#));
        }
        if is_duplicate {
            body.push_str(r#","duplicate":true"#);
        }
        body.push_str("}\n");
        self.tell(Status::OK, MediaType::Json, body.as_bytes())
    }

    fn tell_reply(&self, payload: &[u8]) -> Heard {
        self.tell(Status::OK, MediaType::Bytes, payload)
    }

    fn begin_lines(&mut self, heard: &mut Heard) {
        let mut answer = Answer::begin(self.exchange, Status::OK, &mut heard.out);
        answer.cors(self.cors.borrowed()).cache(Cache::Never);
        self.stream = Some(answer.streamed(MediaType::JsonLines, Framing::Chunked));
        self.end_at_limit(heard);
    }

    fn tell_record(&mut self, record: &History<'_>, heard: &mut Heard) {
        let Some(stream) = self.stream else { return };
        let mut line = Vec::with_capacity(record.payload.len() + 128);
        let History { subscription, sequence, position, time_us, topic, headers, payload } = *record;
        let topic = str::from_utf8(topic).unwrap_or_default();
        let record = HistoryRecord { topic, sequence, position, time_us, publisher: 0, headers, payload };
        json::history(subscription, &record, &mut line);
        line.push(b'\n');
        stream.chunk(&line, &mut heard.out);
        self.told += 1;
        self.end_at_limit(heard);
    }

    fn end_at_limit(&mut self, heard: &mut Heard) {
        if matches!(self.asked, Asked::History { limit, .. } if self.told >= limit) {
            self.end_lines(heard);
        }
    }

    fn end_lines(&mut self, heard: &mut Heard) {
        let Some(stream) = self.stream.take() else { return };
        stream.end(&mut heard.out);
        heard.ended = Some(stream.keeps_alive());
    }

    /// Whether the inner session may still be subscribed when the answer is complete.
    pub(super) const fn leaves_a_subscription(&self) -> bool {
        matches!(self.asked, Asked::History { .. })
    }

    /// Bytes that it holds.
    pub(super) fn held_bytes(&self) -> usize {
        self.body.len()
    }
}

/// What stands at the front of a session's queue, whole frames all of it.
fn front(session: SessionId, context: &Context<'_>) -> Vec<u8> {
    let mut slices = Slices::new();
    context.shard.front(session, &mut slices);
    slices.concat()
}

/// Drops what a session was sent.
pub(super) fn drain(session: SessionId, context: &mut Context<'_>) {
    loop {
        let bytes = front(session, context).len();
        if bytes == 0 {
            return;
        }
        context.shard.advance(session, bytes, false);
    }
}

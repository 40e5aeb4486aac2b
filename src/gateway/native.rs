//! The native protocol's side of a connection: from preface to farewell (protocol.md section 4.4).
//!
//! ```text
//!  Preface --preface valid--> Hello --HELLO admitted--> Open --violation, timeout, closure--> Parted
//!     | wrong magic or version   | wrong credentials       |
//!     `-> Parted (8 bytes)       `-> Parted (ERROR)        `-- end of input --> Parted (flush, no frame)
//! ```
//!
//! The session begins with a valid preface, so that everything the peer is told goes one way: through its queue.
//! Until HELLO it commands nothing. After the connection parted, input is not looked at any more.
//!
//! Publishes that stand whole in what was read are taken in runs (`run`), everything else frame by frame.
//!
//! In a WebSocket (`websocket::connection`) the frames stand in messages, whole each. What such a connection holds
//! beside them stands here too, because most hold nothing: idle, it costs no byte more than any other.
//!
//! Timeouts are one deadline: of the handshake, then of the frame that is begun, then of the keep-alive, whichever
//! comes first; the shell asks for it after each call and calls [`Native::expire`] when it has come.

use crate::run::{self, Payloads};
use crate::websocket::Pending;
use crate::websocket::frame::{Opcode, encode_message};
use crate::{Closing, Context, NATIVE, Progress, WEBSOCKET, WEBSOCKET_DEFLATED};
use fanwire_core::{Command, Conditions, Handled, SessionId, Target, Time, command};
use fanwire_wire::frame::{
    Frame, Goaway, Hello, Ping, Pong, Publish, PublishExtensions, PublishShort, Refusal, Scope, Welcome,
};
use fanwire_wire::limits::HELLO_BYTES_MAX;
use fanwire_wire::{ClientPreface, Code, Decoded, Direction, Extensions, Inbox, ServerPreface, Violation, decode};
use std::time::Duration;

/// Frames of one connection in one turn, and what the last run has beyond them; the others wait for the next one.
const FRAMES_PER_TURN_MAX: usize = 8_192;
/// The shortest and the longest keep-alive that is granted, in milliseconds.
const KEEP_ALIVE_MS: (u32, u32) = (1_000, 3_600_000);

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Nothing valid has come yet.
    Preface,
    /// The version is settled.
    Hello,
    /// Welcomed.
    Open,
    /// Over; only the flush is left.
    Parted,
}

/// One native connection. Most are many and idle: what only some have, or only for a while, is in a box or shares its
/// place with what others have.
#[derive(Debug)]
pub struct Native {
    /// What came and is not executed; nothing for most, most of the time.
    rest: Option<Box<Rest>>,
    /// When bytes came last, or when the peer was pinged since; until HELLO, when the connection began.
    heard: Time,
    keep_alive_ms: u32,
    stage: Stage,
}

/// What came of looking at the input.
enum Step {
    /// So many frames are executed.
    Executed(usize),
    /// What comes next has to wait.
    Postponed,
    /// No frame is complete.
    Dry,
}

/// Bytes of frames that are not executed yet.
#[derive(Debug, Default)]
struct Rest {
    inbox: Inbox,
    /// When the frame that is incomplete began.
    begun: Option<Time>,
    /// What is incomplete of the messages that frames stand in.
    pending: Pending,
}

/// What frames stand in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// One behind the other in a stream.
    Stream,
    /// Messages of a WebSocket.
    Messages,
}

/// How far it has come, with what it has by then.
#[derive(Debug)]
enum Stage {
    Preface(FirstBytes),
    Hello {
        session: SessionId,
        version: u8,
        /// It has shown what lets it in.
        is_admitted: bool,
        carrier: Carrier,
    },
    Open {
        session: SessionId,
        /// Whether a PING of ours is unanswered.
        has_pinged: bool,
        carrier: Carrier,
    },
    Parted {
        session: SessionId,
        carrier: Carrier,
    },
    /// Parted before it had a session.
    Rejected(FirstBytes),
}

/// The preface as far as it has come.
#[derive(Debug, Clone, Copy, Default)]
struct FirstBytes {
    bytes: [u8; 8],
    count: u8,
}

impl FirstBytes {
    fn received(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.count)).unwrap_or_default()
    }
}

impl Native {
    /// A connection that was accepted now.
    pub fn new(now: Time) -> Self {
        Native { rest: None, heard: now, keep_alive_ms: 0, stage: Stage::Preface(FirstBytes::default()) }
    }

    /// A connection that became a WebSocket now, with the session that it has there: the subprotocol settles the
    /// version. `is_admitted`: it has shown already what lets it in.
    pub fn in_messages(session: SessionId, is_admitted: bool, now: Time) -> Self {
        let stage = Stage::Hello { session, version: 1, is_admitted, carrier: Carrier::Messages };
        Native { rest: None, heard: now, keep_alive_ms: 0, stage }
    }

    /// Whether nothing has come yet.
    pub(crate) const fn is_untouched(&self) -> bool {
        matches!(self.stage, Stage::Preface(FirstBytes { count: 0, .. }))
    }

    /// When the connection began, as long as nothing has come.
    pub(crate) const fn begun(&self) -> Time {
        self.heard
    }

    /// Takes bytes that were read. All of `input` is used or kept.
    pub fn receive(&mut self, mut input: &[u8], context: &mut Context<'_>) -> Progress {
        if self.phase() == Phase::Parted {
            return Progress::Idle;
        }
        if !input.is_empty() {
            self.note_heard(context.now);
        }
        // Out of its box while there is work, so that whole frames, which leave nothing, need none.
        let mut rest = self.rest.take().map_or_else(Rest::default, |rest| *rest);
        match self.advance(&mut rest, &mut input, context) {
            Ok(progress) => {
                self.rest = (rest.inbox.held_bytes() > 0).then(|| Box::new(rest));
                progress
            }
            Err(Violation(code)) => Progress::Close(self.close(code, context)),
        }
    }

    /// Something came: a welcomed peer lives.
    pub(crate) fn note_heard(&mut self, now: Time) {
        if let Stage::Open { has_pinged, .. } = &mut self.stage {
            *has_pinged = false;
            self.heard = now;
        }
    }

    /// Goes on with what was kept when a budget ended the last call, or a command was postponed.
    pub fn resume(&mut self, context: &mut Context<'_>) -> Progress {
        self.receive(&[], context)
    }

    fn advance(
        &mut self,
        rest: &mut Rest,
        input: &mut &[u8],
        context: &mut Context<'_>,
    ) -> Result<Progress, Violation> {
        if matches!(self.stage, Stage::Preface(_)) && !self.read_preface(input, context)? {
            return Ok(Progress::Idle);
        }
        let mut frames = 0;
        let mut payloads = Payloads::new();
        loop {
            let step = match self.publish_run(rest, input, &mut payloads, context)? {
                Some(step) => step,
                None => self.take_frame(rest, input, context)?,
            };
            match step {
                Step::Executed(count) => frames += count,
                Step::Postponed => return Ok(rest.postpone(input)),
                Step::Dry => {
                    rest.note_quiet(context.now);
                    return Ok(Progress::Idle);
                }
            }
            if frames >= FRAMES_PER_TURN_MAX || context.shard.wants_flush() {
                rest.inbox.keep(input);
                return Ok(Progress::More);
            }
        }
    }

    /// Publishes that stand whole at the front of the input; `None` where something else does.
    fn publish_run<'input>(
        &self,
        rest: &mut Rest,
        input: &mut &'input [u8],
        payloads: &mut Payloads<'input>,
        context: &mut Context<'_>,
    ) -> Result<Option<Step>, Violation> {
        let Stage::Open { session, .. } = self.stage else {
            return Ok(None);
        };
        if rest.inbox.held_bytes() > 0 {
            return Ok(None);
        }
        let messages_max = |short_id| context.shard.run_messages_max(session, short_id);
        let frame_bytes_max = context.settings.limits.frame_bytes_max;
        let Some((first, behind)) = run::gather(input, frame_bytes_max, payloads, messages_max) else {
            return Ok(None);
        };
        let target = Target::Short(first.short_id);
        let command = Command::Publish { target, ack: first.ack, headers: first.headers, payloads };
        if context.shard.handle(session, &command)? == Handled::Postponed {
            return Ok(Some(Step::Postponed));
        }
        rest.begun = None;
        *input = behind;
        Ok(Some(Step::Executed(payloads.len())))
    }

    /// The next frame, whatever it is and however it is cut.
    fn take_frame(&mut self, rest: &mut Rest, input: &mut &[u8], context: &mut Context<'_>) -> Result<Step, Violation> {
        let frame_bytes_max = match self.stage {
            Stage::Open { .. } => context.settings.limits.frame_bytes_max,
            _ => HELLO_BYTES_MAX.min(context.settings.limits.frame_bytes_max),
        };
        if self.session().is_some_and(|session| context.shard.is_waiting(session)) {
            return Ok(Step::Postponed);
        }
        let before = *input;
        let Some(frame) = rest.inbox.next_frame(input, frame_bytes_max)? else {
            return Ok(Step::Dry);
        };
        let frame_bytes = frame.len();
        match self.execute(frame, context)? {
            Handled::Done => {
                rest.begun = None;
                Ok(Step::Executed(1))
            }
            Handled::Postponed => {
                rest.inbox.take_back(frame_bytes, input, before);
                Ok(Step::Postponed)
            }
        }
    }

    /// Whether the preface is complete and settled.
    fn read_preface(&mut self, input: &mut &[u8], context: &mut Context<'_>) -> Result<bool, Violation> {
        let Stage::Preface(first) = &mut self.stage else {
            return Ok(true);
        };
        while let Some((byte, rest)) = input.split_first() {
            let Some(slot) = first.bytes.get_mut(usize::from(first.count)) else { break };
            *slot = *byte;
            first.count += 1;
            *input = rest;
        }
        let Some(preface) = ClientPreface::decode(first.received())? else {
            return Ok(false);
        };
        let version = preface.choose()?;
        let session = context.shard.open_session(NATIVE);
        context.shard.send(session, |out| out.extend_from_slice(&ServerPreface::ours(None).encode()));
        self.stage = Stage::Hello { session, version, is_admitted: false, carrier: Carrier::Stream };
        Ok(true)
    }

    fn execute(&mut self, bytes: &[u8], context: &mut Context<'_>) -> Result<Handled, Violation> {
        let Decoded { frame, extensions } = decode(bytes, Direction::ToBroker)?;
        match (&self.stage, frame) {
            (Stage::Open { session, .. }, frame) => self.command(*session, &frame, extensions, context),
            (&Stage::Hello { session, version, is_admitted, .. }, Frame::Hello(hello)) => {
                if !is_admitted && !context.settings.credentials.admit(hello.credentials) {
                    return Err(Violation(Code::BadCredentials));
                }
                self.welcome(session, version, &hello, context);
                Ok(Handled::Done)
            }
            _ => Err(Violation(Code::UnexpectedFrame)),
        }
    }

    fn welcome(&mut self, session: SessionId, version: u8, hello: &Hello<'_>, context: &mut Context<'_>) {
        self.keep_alive_ms = granted_keep_alive_ms(hello.keep_alive_ms);
        self.heard = context.now;
        self.stage = Stage::Open { session, has_pinged: false, carrier: self.carrier() };
        let welcome = Welcome {
            version,
            open: context.settings.credentials.is_open(),
            draining: context.is_draining,
            connection_id: context.connection_id,
            server_time_us: context.wall_us,
            keep_alive_ms: self.keep_alive_ms,
            limits: context.settings.limits,
            server_name: &context.settings.server_name,
        };
        send(session, Frame::from(welcome), context);
    }

    fn command(
        &mut self,
        session: SessionId,
        frame: &Frame<'_>,
        extensions: Extensions<'_>,
        context: &mut Context<'_>,
    ) -> Result<Handled, Violation> {
        let command = match *frame {
            Frame::PublishShort(PublishShort { ack, short_id, headers, payload }) if !extensions.is_empty() => {
                let conditions = conditions_of(extensions);
                Command::PublishIf { target: Target::Short(short_id), ack, conditions, headers, payload }
            }
            Frame::Publish(Publish { ack, topic, headers, payload }) if !extensions.is_empty() => {
                let conditions = conditions_of(extensions);
                Command::PublishIf { target: Target::Name(topic), ack, conditions, headers, payload }
            }
            Frame::PublishShort(ref publish) => Command::Publish {
                target: Target::Short(publish.short_id),
                ack: publish.ack,
                headers: publish.headers,
                payloads: &[publish.payload],
            },
            Frame::Publish(ref publish) => Command::Publish {
                target: Target::Name(publish.topic),
                ack: publish.ack,
                headers: publish.headers,
                payloads: &[publish.payload],
            },
            Frame::Register(ref register) => Command::Register { short_id: register.short_id, topic: register.topic },
            Frame::Subscribe(ref wish) => Command::Subscribe(command::Subscribe {
                subscription: wish.subscription,
                filter: wish.filter,
                group: wish.group,
                policy: wish.policy,
                no_echo: wish.no_echo,
                responder: wish.responder,
                max_rate_hz: wish.max_rate_hz,
                start: wish.start,
            }),
            Frame::Unsubscribe(ref wish) => Command::Unsubscribe { subscription: wish.subscription },
            Frame::Request(ref request) => Command::Request {
                correlation: request.correlation,
                deadline_ms: request.deadline_ms,
                topic: request.topic,
                headers: request.headers,
                payload: request.payload,
            },
            Frame::Reply(ref reply) => {
                Command::Reply { handle: reply.handle, headers: reply.headers, payload: reply.payload }
            }
            Frame::Ping(Ping { time }) => {
                let clock_us = context.wall_us;
                send(session, Frame::from(Pong { time, clock_us }), context);
                return Ok(Handled::Done);
            }
            // That it came is all there is to know.
            Frame::Pong(_) => return Ok(Handled::Done),
            _ => return Err(Violation(Code::UnexpectedFrame)),
        };
        context.shard.handle(session, &command)
    }

    /// When [`Native::expire`] has something to do, if nothing comes before.
    pub fn next_deadline(&self, settings: &crate::Settings) -> Option<Time> {
        match self.phase() {
            Phase::Preface | Phase::Hello => Some(self.heard + settings.handshake_time_max),
            Phase::Open => {
                let frame = self.frame_begun().map(|begun| begun + settings.frame_time_max);
                let keep_alive = (self.keep_alive_ms > 0).then_some(self.heard + self.keep_alive());
                frame.into_iter().chain(keep_alive).min()
            }
            Phase::Parted => None,
        }
    }

    /// Acts on a deadline that has come; harmless when none has.
    pub fn expire(&mut self, context: &mut Context<'_>) -> Progress {
        self.overdue(context).map_or(Progress::Idle, |code| Progress::Close(self.close(code, context)))
    }

    /// Pings, if that is what is due; else the code to close with, if a deadline has come.
    pub(crate) fn overdue(&mut self, context: &mut Context<'_>) -> Option<Code> {
        if self.next_deadline(context.settings).is_none_or(|deadline| deadline > context.now) {
            return None;
        }
        match self.stage {
            Stage::Preface(_) | Stage::Hello { .. } => Some(Code::HandshakeTimeout),
            _ if self.frame_begun().is_some_and(|begun| begun + context.settings.frame_time_max <= context.now) => {
                Some(Code::FrameTimeout)
            }
            Stage::Open { has_pinged: true, .. } => Some(Code::KeepAliveTimeout),
            _ => {
                self.ping(context);
                None
            }
        }
    }

    fn ping(&mut self, context: &mut Context<'_>) {
        // However late we are ourselves, the peer gets a whole interval to answer.
        self.heard = context.now;
        if let Stage::Open { session, has_pinged, .. } = &mut self.stage {
            *has_pinged = true;
            let time = context.now.as_micros();
            send(*session, Frame::from(Ping { time }), context);
        }
    }

    fn frame_begun(&self) -> Option<Time> {
        let rest = self.rest.as_ref()?;
        rest.begun.into_iter().chain(rest.pending.begun).min()
    }

    const fn keep_alive(&self) -> Duration {
        Duration::from_millis(self.keep_alive_ms as u64)
    }

    /// Ends the connection with a code: the session ends, and the code is the last thing the peer is told.
    pub fn close(&mut self, code: Code, context: &mut Context<'_>) -> Closing {
        self.rest = None;
        let Some(session) = self.end_session(context) else {
            return Closing { code, parting: Some(ServerPreface::ours(Some(code)).encode()) };
        };
        let refusal = Refusal::new(Scope::Connection, code, 0, code.meaning());
        send(session, Frame::from(refusal), context);
        Closing { code, parting: None }
    }

    /// The peer has ended its side: its session ends, and what was queued is still flushed. Returns whether it left
    /// in the middle of a frame.
    pub fn depart(&mut self, context: &mut Context<'_>) -> bool {
        self.end_session(context);
        self.rest.take().is_some_and(|rest| rest.inbox.held_bytes() > 0)
    }

    /// Ends the session, if there is one.
    fn end_session(&mut self, context: &mut Context<'_>) -> Option<SessionId> {
        let session = self.session();
        match (session, &self.stage) {
            (Some(session), _) => {
                context.shard.end_session(session);
                self.stage = Stage::Parted { session, carrier: self.carrier() };
            }
            (None, Stage::Preface(first)) => self.stage = Stage::Rejected(*first),
            (None, _) => {}
        }
        session
    }

    /// Tells a welcomed peer that the broker goes down, and when to come back.
    pub fn go_away(&mut self, reconnect_ms: (u32, u32), context: &mut Context<'_>) {
        let Stage::Open { session, .. } = self.stage else {
            return;
        };
        send(session, Frame::from(goaway(reconnect_ms)), context);
    }

    /// The session, once the preface is settled.
    pub const fn session(&self) -> Option<SessionId> {
        match self.stage {
            Stage::Hello { session, .. } | Stage::Open { session, .. } | Stage::Parted { session, .. } => Some(session),
            Stage::Preface(_) | Stage::Rejected(_) => None,
        }
    }

    /// How far the connection has come.
    pub const fn phase(&self) -> Phase {
        match self.stage {
            Stage::Preface(_) => Phase::Preface,
            Stage::Hello { .. } => Phase::Hello,
            Stage::Open { .. } => Phase::Open,
            Stage::Parted { .. } | Stage::Rejected(_) => Phase::Parted,
        }
    }

    /// Bytes of frames that are not complete, or wait for the next turn.
    pub fn held_bytes(&self) -> usize {
        self.rest.as_ref().map_or(0, |rest| rest.inbox.held_bytes() + rest.pending.held_bytes())
    }

    /// Whether frames stand in messages of a WebSocket.
    pub(crate) const fn is_in_messages(&self) -> bool {
        matches!(self.carrier(), Carrier::Messages)
    }

    const fn carrier(&self) -> Carrier {
        match self.stage {
            Stage::Hello { carrier, .. } | Stage::Open { carrier, .. } | Stage::Parted { carrier, .. } => carrier,
            Stage::Preface(_) | Stage::Rejected(_) => Carrier::Stream,
        }
    }

    /// Takes out what is incomplete of a message, to work with it.
    pub(crate) fn take_pending(&mut self) -> Pending {
        self.rest.as_mut().map(|rest| std::mem::take(&mut rest.pending)).unwrap_or_default()
    }

    /// Keeps what is incomplete of a message.
    pub(crate) fn keep_pending(&mut self, pending: Pending) {
        if !pending.is_empty() {
            self.rest.get_or_insert_default().pending = pending;
        } else if self.rest.as_ref().is_some_and(|rest| rest.inbox.held_bytes() == 0) {
            self.rest = None;
        }
    }

    /// The first bytes of a peer that did not get beyond the preface, to guess what it speaks.
    pub fn first_bytes(&self) -> &[u8] {
        match &self.stage {
            Stage::Preface(first) | Stage::Rejected(first) => first.received(),
            _ => &[],
        }
    }
}

/// Queues a frame as the session is sent its deliveries: as it is, or as a message of a WebSocket.
fn send(session: SessionId, frame: Frame<'_>, context: &mut Context<'_>) {
    let is_wrapped = matches!(context.shard.encoding_of(session), WEBSOCKET | WEBSOCKET_DEFLATED);
    context.shard.send(session, |out| {
        if is_wrapped { encode_message(Opcode::Binary, 0, out, |out| frame.encode(out)) } else { frame.encode(out) }
    });
}

/// What clients are told of a broker that goes down.
pub(crate) const fn goaway(reconnect_ms: (u32, u32)) -> Goaway<'static> {
    Goaway {
        code: Code::Draining.number(),
        reconnect_min_ms: reconnect_ms.0,
        reconnect_max_ms: reconnect_ms.1,
        text: Code::Draining.meaning(),
    }
}

/// The keep-alive that a client gets which asks for one; 0: none.
pub(crate) fn granted_keep_alive_ms(asked_ms: u32) -> u32 {
    let (least, most) = KEEP_ALIVE_MS;
    if asked_ms == 0 { 0 } else { asked_ms.clamp(least, most) }
}

fn conditions_of(extensions: Extensions<'_>) -> Conditions {
    let PublishExtensions { expect, producer } = extensions.publish();
    Conditions { expect, producer }
}

impl Rest {
    /// The rest of the input waits, and its sender is not to blame for it.
    fn postpone(&mut self, input: &mut &[u8]) -> Progress {
        self.begun = None;
        self.inbox.keep(input);
        Progress::Postponed
    }

    /// Nothing complete is left: what is held is the beginning of a frame, and its time runs.
    fn note_quiet(&mut self, now: Time) {
        self.inbox.shrink();
        if self.inbox.held_bytes() > 0 {
            self.begun.get_or_insert(now);
        }
    }
}

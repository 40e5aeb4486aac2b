//! The JSON subprotocol's side of a WebSocket: from hello to farewell (protocol.md appendix D).
//!
//! ```text
//!  Hello --hello admitted--> Open --violation, timeout, closure--> the WebSocket closes
//! ```
//!
//! It does for objects what `native` does for frames; messages come whole, so there is nothing to put together. The
//! keep-alive is WebSocket's own ping, which browsers answer by themselves.

use super::command::{Hello, Input, Scratch, parse};
use super::event;
use crate::websocket::Pending;
use crate::websocket::frame::{Opcode, encode_control, encode_message};
use crate::{Closing, Context, Progress};
use fanwire_core::{Handled, SessionId, Time};
use fanwire_wire::frame::{Goaway, Ping, Pong, Refusal, Scope, Welcome};
use fanwire_wire::{Code, Violation};
use std::time::Duration;

/// One connection that speaks JSON.
#[derive(Debug)]
pub struct Json {
    session: SessionId,
    stage: Stage,
    /// When something came last, or when the peer was pinged since; until hello, when the connection began.
    heard: Time,
    keep_alive_ms: u32,
    /// What came and is not executed; nothing for most, most of the time.
    rest: Option<Box<Rest>>,
}

#[derive(Debug, Default)]
struct Rest {
    /// A command that has to wait.
    postponed: Option<Box<str>>,
    /// What is incomplete of the message behind it.
    pending: Pending,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Hello {
        /// The upgrade has brought what lets it in.
        is_admitted: bool,
    },
    Open {
        /// Whether a ping of ours is unanswered.
        has_pinged: bool,
    },
}

impl Json {
    /// A connection that became a WebSocket now.
    pub fn new(session: SessionId, is_admitted: bool, now: Time) -> Self {
        Json { session, stage: Stage::Hello { is_admitted }, heard: now, keep_alive_ms: 0, rest: None }
    }

    /// Takes one message.
    pub fn receive(&mut self, text: &str, context: &mut Context<'_>) -> Progress {
        self.note_heard(context.now);
        match self.execute(text, context) {
            Ok(Handled::Done) => Progress::Idle,
            Ok(Handled::Postponed) => {
                self.rest.get_or_insert_default().postponed = Some(text.into());
                Progress::Postponed
            }
            Err(Violation(code)) => Progress::Close(Closing { code, parting: None }),
        }
    }

    /// Goes on with a command that had to wait.
    pub fn resume(&mut self, context: &mut Context<'_>) -> Progress {
        match self.rest.as_mut().and_then(|rest| rest.postponed.take()) {
            Some(text) => self.receive(&text, context),
            None => Progress::Idle,
        }
    }

    fn execute(&mut self, text: &str, context: &mut Context<'_>) -> Result<Handled, Violation> {
        if context.shard.is_waiting(self.session) {
            return Ok(Handled::Postponed);
        }
        let mut scratch = Scratch::default();
        let input = parse(text, &mut scratch).map_err(|_| Violation(Code::MalformedFrame))?;
        match (self.stage, &input) {
            (Stage::Hello { is_admitted }, Input::Hello(hello)) => self.welcome(hello, is_admitted, context)?,
            (Stage::Hello { .. }, _) | (Stage::Open { .. }, Input::Hello(_)) => {
                return Err(Violation(Code::UnexpectedFrame));
            }
            (Stage::Open { .. }, Input::Ping(Ping { time })) => {
                let pong = Pong { time: *time, clock_us: context.wall_us };
                self.send(context, |out| event::pong(pong, out));
            }
            // That it came is all there is to know.
            (Stage::Open { .. }, Input::Pong) => {}
            (Stage::Open { .. }, Input::Publish(_) | Input::Command(_)) => {
                if let Some(command) = input.command() {
                    return context.shard.handle(self.session, &command);
                }
            }
        }
        Ok(Handled::Done)
    }

    fn welcome(&mut self, hello: &Hello<'_>, is_admitted: bool, context: &mut Context<'_>) -> Result<(), Violation> {
        let credentials = &context.settings.credentials;
        if !is_admitted && !credentials.admit(hello.token.as_bytes()) {
            return Err(Violation(Code::BadCredentials));
        }
        self.keep_alive_ms = crate::native::granted_keep_alive_ms(hello.keep_alive_ms);
        self.stage = Stage::Open { has_pinged: false };
        let welcome = Welcome {
            version: 1,
            open: credentials.is_open(),
            draining: context.is_draining,
            connection_id: context.connection_id,
            server_time_us: context.wall_us,
            keep_alive_ms: self.keep_alive_ms,
            limits: context.settings.limits,
            server_name: &context.settings.server_name,
        };
        self.send(context, |out| event::welcome(&welcome, out));
        Ok(())
    }

    /// Something came: the peer lives.
    pub fn note_heard(&mut self, now: Time) {
        if let Stage::Open { has_pinged } = &mut self.stage {
            *has_pinged = false;
            self.heard = now;
        }
    }

    /// When [`Json::expire`] or the WebSocket around it has something to do, if nothing comes before.
    pub fn next_deadline(&self, settings: &crate::Settings) -> Option<Time> {
        let begun = self.rest.as_ref().and_then(|rest| rest.pending.begun);
        let message = begun.map(|begun| begun + settings.frame_time_max);
        message.into_iter().chain(self.own_deadline(settings)).min()
    }

    fn own_deadline(&self, settings: &crate::Settings) -> Option<Time> {
        match self.stage {
            Stage::Hello { .. } => Some(self.heard + settings.handshake_time_max),
            Stage::Open { .. } if self.keep_alive_ms == 0 => None,
            Stage::Open { .. } => Some(self.heard + Duration::from_millis(self.keep_alive_ms.into())),
        }
    }

    /// Acts on a deadline that has come: the code to close with, if it has to go.
    pub fn expire(&mut self, context: &mut Context<'_>) -> Option<Code> {
        if self.own_deadline(context.settings).is_none_or(|deadline| deadline > context.now) {
            return None;
        }
        match self.stage {
            Stage::Hello { .. } => Some(Code::HandshakeTimeout),
            Stage::Open { has_pinged: true } => Some(Code::KeepAliveTimeout),
            Stage::Open { .. } => {
                // However late we are ourselves, the peer gets a whole interval to answer.
                self.heard = context.now;
                self.stage = Stage::Open { has_pinged: true };
                context.shard.send(self.session, |out| encode_control(Opcode::Ping, &[], out));
                None
            }
        }
    }

    /// Ends the session: the code is the last thing it is told of.
    pub fn close(&mut self, code: Code, context: &mut Context<'_>) {
        self.leave(context);
        let refusal = Refusal::new(Scope::Connection, code, 0, code.meaning());
        self.send(context, |out| event::error(&refusal, None, out));
    }

    /// Ends the session without a word.
    pub fn leave(&mut self, context: &mut Context<'_>) {
        self.rest = None;
        context.shard.end_session(self.session);
    }

    /// Tells a welcomed peer that the broker goes down, and when to come back.
    pub fn go_away(&self, goaway: &Goaway<'_>, context: &mut Context<'_>) {
        if self.is_open() {
            self.send(context, |out| event::goaway(goaway, out));
        }
    }

    fn send(&self, context: &mut Context<'_>, render: impl FnOnce(&mut Vec<u8>)) {
        context.shard.send(self.session, |out| encode_message(Opcode::Text, 0, out, render));
    }

    /// Whether the peer was let in.
    pub const fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open { .. })
    }

    /// Bytes of what is not complete, or waits for the next turn.
    pub fn held_bytes(&self) -> usize {
        let Some(rest) = &self.rest else { return 0 };
        rest.postponed.as_ref().map_or(0, |text| text.len()) + rest.pending.held_bytes()
    }

    /// The session that the socket is written from.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Takes out what is incomplete of a message, to work with it.
    pub(crate) fn take_pending(&mut self) -> Pending {
        self.rest.as_mut().map(|rest| std::mem::take(&mut rest.pending)).unwrap_or_default()
    }

    /// Keeps what is incomplete of a message.
    pub(crate) fn keep_pending(&mut self, pending: Pending) {
        if !pending.is_empty() {
            self.rest.get_or_insert_default().pending = pending;
        } else if self.rest.as_ref().is_some_and(|rest| rest.postponed.is_none()) {
            self.rest = None;
        }
    }
}

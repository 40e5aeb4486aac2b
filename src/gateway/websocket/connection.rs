//! A connection that became a WebSocket: messages in, to the machine of the subprotocol that was agreed on.
//!
//! ```text
//!  bytes --Reader--> binary message --> Native   the frames of `fanwire.v1`, each whole within its message
//!                    text message   --> Json     one object of `fanwire.json.v1`
//!                    ping           --> pong
//!                    close          --> close, and the end
//! ```
//!
//! What goes out is rendered as messages from the start (`encoding`); what this file adds are control frames.
//!
//! Invariant: once a close frame is queued nothing else is, since the session has ended by then.

use super::closing::{CloseCode, Farewell, encode_close_answer};
use super::frame::{Opcode, encode_control};
use super::handshake::Subprotocol;
use super::reader::{Item, Reader};
use crate::json::Json;
use crate::native::goaway;
use crate::stats::Kind;
use crate::{Closing, Context, Native, Phase, Progress, Settings};
use fanwire_core::{SessionId, Time};
use fanwire_wire::Code;

/// A WebSocket and what is spoken over it.
#[derive(Debug)]
pub struct WebSocket {
    session: SessionId,
    reader: Reader,
    /// When the message or frame that is incomplete began.
    begun: Option<Time>,
    /// What was read behind a message that has to wait.
    rest: Vec<u8>,
    speaker: Speaker,
}

/// The machine of the subprotocol.
#[derive(Debug)]
enum Speaker {
    Native(Native),
    Json(Json),
}

/// What ends a connection.
enum End {
    /// What broke the subprotocol is told in its own words first.
    Code(Code),
    /// What broke RFC 6455 is told in a close frame alone.
    Breach(Farewell),
    /// It has said goodbye.
    Peer(Option<CloseCode>),
}

impl WebSocket {
    /// A connection whose upgrade was answered; its session is sent the subprotocol's encoding.
    pub fn new(subprotocol: Subprotocol, session: SessionId, is_admitted: bool, now: Time) -> Self {
        let speaker = match subprotocol {
            Subprotocol::Native => Speaker::Native(Native::upgraded(session, is_admitted, now)),
            Subprotocol::Json => Speaker::Json(Json::new(session, is_admitted, now)),
        };
        WebSocket { session, reader: Reader::default(), begun: None, rest: Vec::new(), speaker }
    }

    /// What it is, for those who count connections.
    pub const fn kind(&self) -> Kind {
        match self.speaker {
            Speaker::Native(_) => Kind::WebSocket,
            Speaker::Json(_) => Kind::WebSocketJson,
        }
    }

    /// Takes bytes that were read. All of `input` is used or kept.
    pub fn receive(&mut self, input: &mut [u8], context: &mut Context<'_>) -> Progress {
        if self.rest.is_empty() {
            return self.work(input, context);
        }
        let mut rest = std::mem::take(&mut self.rest);
        rest.extend_from_slice(input);
        self.work(&mut rest, context)
    }

    fn work(&mut self, mut input: &mut [u8], context: &mut Context<'_>) -> Progress {
        let progress = match self.advance(&mut input, context) {
            Ok(progress) => progress,
            Err(end) => return self.end(&end, context),
        };
        self.rest.extend_from_slice(input);
        if progress == Progress::Idle && self.reader.has_begun() {
            self.begun.get_or_insert(context.now);
        } else {
            self.begun = None;
        }
        progress
    }

    /// Item by item, until nothing whole is left or one has to wait.
    fn advance(&mut self, input: &mut &mut [u8], context: &mut Context<'_>) -> Result<Progress, End> {
        let WebSocket { session, reader, speaker, .. } = self;
        match speaker.resume(context) {
            Progress::Idle => {}
            Progress::Close(Closing { code, .. }) => return Err(End::Code(code)),
            waiting => return Ok(waiting),
        }
        let message_bytes_max = context.settings.limits.frame_bytes_max;
        while let Some(item) =
            reader.next_item(input, message_bytes_max).map_err(|breach| End::Breach(breach.into()))?
        {
            let progress = match (item, &mut *speaker) {
                (Item::Binary(message), Speaker::Native(native)) => whole_frames(native, message, context)?,
                (Item::Text(message), Speaker::Json(json)) => json.receive(message, context),
                (Item::Binary(_), Speaker::Json(_)) | (Item::Text(_), Speaker::Native(_)) => {
                    let close_code = CloseCode::UNACCEPTABLE_KIND;
                    return Err(End::Breach(Farewell { close_code, code: Code::UnexpectedFrame }));
                }
                (Item::Ping(payload), speaker) => {
                    speaker.note_heard(context.now);
                    context.shard.send(*session, |out| encode_control(Opcode::Pong, payload, out));
                    Progress::Idle
                }
                (Item::Pong(_), speaker) => {
                    speaker.note_heard(context.now);
                    Progress::Idle
                }
                (Item::Close { code, .. }, _) => return Err(End::Peer(code)),
            };
            match progress {
                Progress::Idle if context.shard.wants_flush() => return Ok(Progress::More),
                Progress::Idle => {}
                Progress::Close(Closing { code, .. }) => return Err(End::Code(code)),
                waiting => return Ok(waiting),
            }
        }
        Ok(Progress::Idle)
    }

    fn end(&mut self, end: &End, context: &mut Context<'_>) -> Progress {
        match *end {
            End::Code(code) => Progress::Close(self.close(code, context)),
            End::Breach(farewell) => {
                self.depart(context);
                context.shard.send(self.session(), |out| farewell.encode(out));
                Progress::Close(Closing { code: farewell.code, parting: None })
            }
            End::Peer(code) => {
                self.depart(context);
                context.shard.send(self.session(), |out| encode_close_answer(code, out));
                Progress::Leave
            }
        }
    }

    fn forget(&mut self) {
        self.rest = Vec::new();
        self.reader = Reader::default();
        self.begun = None;
    }
}

/// Hands frames to their machine; each has to be whole within its message.
fn whole_frames(native: &mut Native, message: &[u8], context: &mut Context<'_>) -> Result<Progress, End> {
    let progress = native.receive(message, context);
    if progress == Progress::Idle && native.held_bytes() > 0 {
        return Err(End::Code(Code::MalformedFrame));
    }
    Ok(progress)
}

impl WebSocket {
    /// When [`WebSocket::expire`] has something to do, if nothing comes before.
    pub fn next_deadline(&self, settings: &Settings) -> Option<Time> {
        let message = self.begun.map(|begun| begun + settings.frame_time_max);
        message.into_iter().chain(self.speaker.next_deadline(settings)).min()
    }

    /// Acts on a deadline that has come; harmless when none has.
    pub fn expire(&mut self, context: &mut Context<'_>) -> Progress {
        let is_late = self.begun.is_some_and(|begun| begun + context.settings.frame_time_max <= context.now);
        let code = if is_late { Some(Code::FrameTimeout) } else { self.speaker.expire(context) };
        code.map_or(Progress::Idle, |code| Progress::Close(self.close(code, context)))
    }

    /// Ends the connection with a code, told in the subprotocol's words and then in the close frame's.
    pub fn close(&mut self, code: Code, context: &mut Context<'_>) -> Closing {
        self.forget();
        self.speaker.close(code, context);
        context.shard.send(self.session(), |out| Farewell::from(code).encode(out));
        Closing { code, parting: None }
    }

    /// The peer has ended its side: its session ends, and what was queued is still flushed. Returns whether it left
    /// in the middle of a message.
    pub fn depart(&mut self, context: &mut Context<'_>) -> bool {
        let is_torn = self.reader.has_begun();
        self.forget();
        self.speaker.leave(context);
        is_torn
    }

    /// Tells a welcomed peer that the broker goes down, and when to come back.
    pub fn go_away(&mut self, reconnect_ms: (u32, u32), context: &mut Context<'_>) {
        match &mut self.speaker {
            Speaker::Native(native) => native.go_away(reconnect_ms, context),
            Speaker::Json(json) => json.go_away(&goaway(reconnect_ms), context),
        }
    }

    /// The session that the socket is written from.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// Whether the peer was let in.
    pub fn is_open(&self) -> bool {
        match &self.speaker {
            Speaker::Native(native) => native.phase() == Phase::Open,
            Speaker::Json(json) => json.is_open(),
        }
    }

    /// Bytes of what is not complete, or waits for the next turn.
    pub fn held_bytes(&self) -> usize {
        let speaker_bytes = match &self.speaker {
            Speaker::Native(native) => native.held_bytes(),
            Speaker::Json(json) => json.held_bytes(),
        };
        self.reader.held_bytes() + self.rest.len() + speaker_bytes
    }
}

impl Speaker {
    /// Goes on with what had to wait.
    fn resume(&mut self, context: &mut Context<'_>) -> Progress {
        match self {
            Speaker::Native(native) if native.held_bytes() > 0 => native.resume(context),
            Speaker::Native(_) => Progress::Idle,
            Speaker::Json(json) => json.resume(context),
        }
    }

    fn note_heard(&mut self, now: Time) {
        match self {
            Speaker::Native(native) => native.note_heard(now),
            Speaker::Json(json) => json.note_heard(now),
        }
    }

    fn next_deadline(&self, settings: &Settings) -> Option<Time> {
        match self {
            Speaker::Native(native) => native.next_deadline(settings),
            Speaker::Json(json) => json.next_deadline(settings),
        }
    }

    /// The code to close with, if it has to go.
    fn expire(&mut self, context: &mut Context<'_>) -> Option<Code> {
        match self {
            Speaker::Native(native) => native.overdue(context),
            Speaker::Json(json) => json.expire(context),
        }
    }

    fn close(&mut self, code: Code, context: &mut Context<'_>) {
        match self {
            // It has told by itself why it ends.
            Speaker::Native(native) if native.phase() == Phase::Parted => {}
            Speaker::Native(native) => drop(native.close(code, context)),
            Speaker::Json(json) => json.close(code, context),
        }
    }

    fn leave(&mut self, context: &mut Context<'_>) {
        match self {
            Speaker::Native(native) => drop(native.depart(context)),
            Speaker::Json(json) => json.leave(context),
        }
    }
}

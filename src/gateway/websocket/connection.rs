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
//! A WebSocket is made for each call, around the machine that its connection keeps: between calls there is only
//! [`Pending`], what came and is not complete, which the machine keeps while there is any. Most are idle and have none.
//!
//! Invariant: once a close frame is queued nothing else is, since the session has ended by then.

use super::closing::{Breach, CloseCode, Farewell, encode_close_answer};
use super::deflate::inflate;
use super::frame::{Opcode, encode_control};
use super::handshake::{Handshake, Subprotocol};
use super::reader::{Item, Reader};
use crate::json::Json;
use crate::{
    Closing, Context, Native, Phase, Progress, WEBSOCKET, WEBSOCKET_DEFLATED, WEBSOCKET_JSON, WEBSOCKET_JSON_DEFLATED,
};
use fanwire_core::{EncodingId, SessionId, Time};
use fanwire_wire::Code;

/// Bytes that messages of one connection are inflated to in one turn: a few bytes read may become very many.
const INFLATED_PER_TURN_MAX: usize = 256 * 1024;
/// What a message counts for at the least.
const INFLATED_BYTES_MIN: usize = 4 * 1024;

/// A WebSocket at work: its machine, and what is incomplete.
#[derive(Debug)]
pub struct WebSocket<'a> {
    speaker: Speaker<'a>,
    pending: Pending,
}

/// What came and is not complete, or waits for the next turn.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    reader: Reader,
    /// When the message or frame that is incomplete began.
    pub(crate) begun: Option<Time>,
    /// What was read behind a message that has to wait.
    rest: Vec<u8>,
}

/// What a connection goes on as that became a WebSocket.
#[derive(Debug)]
pub enum Machine {
    /// Of native frames.
    Native(Native),
    /// Of objects of JSON.
    Json(Json),
}

/// The machine of the subprotocol.
#[derive(Debug)]
enum Speaker<'a> {
    Native(&'a mut Native),
    Json(&'a mut Json),
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

impl Machine {
    /// What was agreed on, and the encoding that its session is sent from then on.
    pub fn of(handshake: &Handshake, session: SessionId, is_admitted: bool, now: Time) -> (EncodingId, Machine) {
        let (machine, plain, deflated) = match handshake.subprotocol {
            Subprotocol::Native => {
                let native = Native::in_messages(session, is_admitted, now);
                (Machine::Native(native), WEBSOCKET, WEBSOCKET_DEFLATED)
            }
            Subprotocol::Json => {
                let json = Json::new(session, is_admitted, now);
                (Machine::Json(json), WEBSOCKET_JSON, WEBSOCKET_JSON_DEFLATED)
            }
        };
        (if handshake.deflate.is_some() { deflated } else { plain }, machine)
    }
}

impl Pending {
    /// Whether there is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.reader.is_empty() && self.begun.is_none() && self.rest.is_empty()
    }

    /// Bytes of it.
    pub(crate) fn held_bytes(&self) -> usize {
        self.reader.held_bytes() + self.rest.len()
    }
}

impl<'a> WebSocket<'a> {
    /// Around native frames.
    pub fn of_native(native: &'a mut Native) -> Self {
        let pending = native.take_pending();
        WebSocket { speaker: Speaker::Native(native), pending }
    }

    /// Around objects of JSON.
    pub fn of_json(json: &'a mut Json) -> Self {
        let pending = json.take_pending();
        WebSocket { speaker: Speaker::Json(json), pending }
    }

    /// Takes bytes that were read. All of `input` is used or kept.
    pub fn receive(mut self, input: &mut [u8], context: &mut Context<'_>) -> Progress {
        if self.pending.rest.is_empty() {
            return self.work(input, context);
        }
        let mut rest = std::mem::take(&mut self.pending.rest);
        rest.extend_from_slice(input);
        self.work(&mut rest, context)
    }

    fn work(mut self, mut input: &mut [u8], context: &mut Context<'_>) -> Progress {
        let progress = match self.advance(&mut input, context) {
            Ok(progress) => progress,
            Err(end) => return self.end(&end, context),
        };
        let WebSocket { speaker, mut pending } = self;
        pending.rest.extend_from_slice(input);
        if progress == Progress::Idle && pending.reader.has_begun() {
            pending.begun.get_or_insert(context.now);
        } else {
            pending.begun = None;
        }
        speaker.keep_pending(pending);
        progress
    }

    /// Item by item, until nothing whole is left or one has to wait.
    fn advance(&mut self, input: &mut &mut [u8], context: &mut Context<'_>) -> Result<Progress, End> {
        let WebSocket { speaker, pending: Pending { reader, .. } } = self;
        let session = speaker.session();
        match speaker.resume(context) {
            Progress::Idle => {}
            Progress::Close(Closing { code, .. }) => return Err(End::Code(code)),
            waiting => return Ok(waiting),
        }
        let message_bytes_max = context.settings.limits.frame_bytes_max;
        let takes_deflated = is_deflating(session, context);
        let mut inflated;
        let mut inflated_bytes = 0;
        while let Some(item) = reader.next_item_with(takes_deflated, input, message_bytes_max)? {
            let item = match item {
                Item::Deflated { is_text, deflated } => {
                    inflated = inflate(deflated, message_bytes_max as usize)?;
                    // Beginning costs, too, however little comes of it.
                    inflated_bytes += inflated.len().max(INFLATED_BYTES_MIN);
                    inflated_item(is_text, &inflated)?
                }
                item => item,
            };
            let progress = match (item, &mut *speaker) {
                (Item::Binary(message), Speaker::Native(native)) => whole_frames(native, message, context)?,
                (Item::Text(message), Speaker::Json(json)) => json.receive(message, context),
                (Item::Binary(_) | Item::Text(_) | Item::Deflated { .. }, _) => {
                    let close_code = CloseCode::UNACCEPTABLE_KIND;
                    return Err(End::Breach(Farewell { close_code, code: Code::UnexpectedFrame }));
                }
                (Item::Ping(payload), speaker) => {
                    speaker.note_heard(context.now);
                    context.shard.send(session, |out| encode_control(Opcode::Pong, payload, out));
                    Progress::Idle
                }
                (Item::Pong(_), speaker) => {
                    speaker.note_heard(context.now);
                    Progress::Idle
                }
                (Item::Close { code, .. }, _) => return Err(End::Peer(code)),
            };
            match progress {
                Progress::Idle if context.shard.wants_flush() || inflated_bytes > INFLATED_PER_TURN_MAX => {
                    return Ok(Progress::More);
                }
                Progress::Idle => {}
                Progress::Close(Closing { code, .. }) => return Err(End::Code(code)),
                waiting => return Ok(waiting),
            }
        }
        Ok(Progress::Idle)
    }

    fn end(self, end: &End, context: &mut Context<'_>) -> Progress {
        let session = self.speaker.session();
        match *end {
            End::Code(code) => Progress::Close(self.close(code, context)),
            End::Breach(farewell) => {
                self.depart(context);
                context.shard.send(session, |out| farewell.encode(out));
                Progress::Close(Closing { code: farewell.code, parting: None })
            }
            End::Peer(code) => {
                self.depart(context);
                context.shard.send(session, |out| encode_close_answer(code, out));
                Progress::Leave
            }
        }
    }
}

/// Whether it is agreed that messages may be made smaller.
fn is_deflating(session: SessionId, context: &Context<'_>) -> bool {
    matches!(context.shard.encoding_of(session), WEBSOCKET_DEFLATED | WEBSOCKET_JSON_DEFLATED)
}

fn inflated_item(is_text: bool, message: &[u8]) -> Result<Item<'_>, Breach> {
    match is_text {
        true => str::from_utf8(message).map(Item::Text).map_err(|_| Breach::InvalidText),
        false => Ok(Item::Binary(message)),
    }
}

impl From<Breach> for End {
    fn from(breach: Breach) -> Self {
        End::Breach(breach.into())
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

impl WebSocket<'_> {
    /// Acts on a deadline that has come; harmless when none has.
    pub fn expire(mut self, context: &mut Context<'_>) -> Progress {
        let is_late = self.pending.begun.is_some_and(|begun| begun + context.settings.frame_time_max <= context.now);
        let code = if is_late { Some(Code::FrameTimeout) } else { self.speaker.expire(context) };
        match code {
            Some(code) => Progress::Close(self.close(code, context)),
            None => {
                self.speaker.keep_pending(self.pending);
                Progress::Idle
            }
        }
    }

    /// Ends the connection with a code, told in the subprotocol's words and then in the close frame's.
    pub fn close(mut self, code: Code, context: &mut Context<'_>) -> Closing {
        self.speaker.close(code, context);
        context.shard.send(self.speaker.session(), |out| Farewell::from(code).encode(out));
        Closing { code, parting: None }
    }

    /// The peer has ended its side: its session ends, and what was queued is still flushed. Returns whether it left
    /// in the middle of a message.
    pub fn depart(mut self, context: &mut Context<'_>) -> bool {
        self.speaker.leave(context);
        self.pending.reader.has_begun()
    }
}

impl Speaker<'_> {
    fn keep_pending(self, pending: Pending) {
        match self {
            Speaker::Native(native) => native.keep_pending(pending),
            Speaker::Json(json) => json.keep_pending(pending),
        }
    }

    /// The session that the socket is written from.
    fn session(&self) -> SessionId {
        match self {
            Speaker::Native(native) => native.session().unwrap_or_else(|| unreachable!("it came with its session")),
            Speaker::Json(json) => json.session(),
        }
    }

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

//! How an HTTP connection ends: by its deadlines, by either side, or with the broker. Whoever has asked for something
//! is told, as long as an answer can still be begun.

use super::answer::Exchange;
use super::connection::{Http, Stage};
use super::{Cors, Reason, Refusal};
use crate::sse::{self, HEARTBEAT};
use crate::{Closing, Context, Progress};
use fanwire_core::Time;
use fanwire_wire::Code;

impl Http {
    /// When [`Http::expire`] has something to do, if nothing comes before.
    pub fn next_deadline(&self, settings: &crate::Settings) -> Option<Time> {
        match self.stage {
            Stage::Head if self.is_paused => None,
            Stage::Head if self.reader.is_begun() || !self.has_served => Some(self.since + settings.handshake_time_max),
            Stage::Head => Some(self.since + settings.http.idle_time_max),
            Stage::Body(_) => Some(self.since + settings.frame_time_max),
            Stage::Streaming(_) => Some(self.since + settings.http.heartbeat_period),
            Stage::Polling(ref polling) => Some(polling.next_deadline()),
            Stage::Asking(_) | Stage::Moving(_) | Stage::Parted => None,
        }
    }

    /// Acts on a deadline that has come; harmless when none has.
    pub fn expire(&mut self, context: &mut Context<'_>) -> Progress {
        if self.next_deadline(context.settings).is_none_or(|deadline| deadline > context.now) {
            return Progress::Idle;
        }
        match self.stage {
            Stage::Polling(_) => {
                let progress = self.go_on_polling(context);
                return self.go_on_behind(progress);
            }
            Stage::Streaming(_) => {
                self.since = context.now;
                if context.shard.is_flushed(self.session) {
                    self.answer(context, |out| out.extend_from_slice(HEARTBEAT));
                }
                return Progress::Idle;
            }
            Stage::Head if !self.reader.is_begun() => {}
            _ => {
                let exchange = Exchange::closing().at(context.wall_us);
                let refusal = Refusal::from(Reason::RequestTimeout);
                self.answer(context, |out| refusal.write(exchange, Cors::None, out));
            }
        }
        self.depart(context);
        Progress::Leave
    }

    /// The broker goes down: a stream is told so, and who waits for messages; between requests there is nothing to say,
    /// and the next one's answer is the last.
    pub fn go_away(&mut self, reconnect_ms: (u32, u32), context: &mut Context<'_>) -> Progress {
        if matches!(self.stage, Stage::Streaming(_)) {
            let (goaway, connection_id) = (crate::native::goaway(reconnect_ms), context.connection_id);
            self.answer(context, |out| sse::write_goaway(&goaway, connection_id, out));
        }
        self.dismiss_poll(reconnect_ms, context)
    }

    /// Another request waits for the inner session in place of the one that did.
    pub fn give_way(&mut self, context: &mut Context<'_>) -> Progress {
        self.refuse_poll(&Reason::Superseded.into(), context)
    }

    /// Ends the connection with a code: its session ends, and the code is the last thing the peer is told, where it can
    /// be told anything.
    pub fn close(&mut self, code: Code, context: &mut Context<'_>) -> Closing {
        let can_be_told = match &self.stage {
            Stage::Head | Stage::Body(_) | Stage::Polling(_) | Stage::Moving(_) => true,
            Stage::Asking(asking) => !asking.is_telling(),
            Stage::Streaming(_) | Stage::Parted => false,
        };
        let is_stream = matches!(self.stage, Stage::Streaming(_));
        self.depart(context);
        if can_be_told {
            let exchange = Exchange::closing().at(context.wall_us);
            self.answer(context, |out| Refusal::from(code).write(exchange, Cors::None, out));
        }
        if is_stream {
            self.answer(context, |out| sse::write_closing(code, out));
        }
        Closing { code, parting: None }
    }

    /// The peer has ended its side. Returns whether it is still owed an answer, after which the gateway leaves by
    /// itself: many a program says all that it has to say, ends its side, and listens.
    pub fn end_input(&mut self) -> bool {
        let is_answering = matches!(self.stage, Stage::Asking(_) | Stage::Moving(_));
        self.has_peer_ended = is_answering && !self.waits_in_vain();
        self.has_peer_ended
    }

    /// Whether it waits for what will not come from a peer that has ended its side, or for others: a reply, a message.
    /// Who has gone altogether looks the same as who still listens, and may have asked to wait for long.
    pub(super) fn waits_in_vain(&self) -> bool {
        match &self.stage {
            Stage::Asking(asking) => asking.waits_for_others(),
            Stage::Body(_) | Stage::Polling(_) | Stage::Streaming(_) => true,
            Stage::Head | Stage::Moving(_) | Stage::Parted => false,
        }
    }

    /// The peer has ended its side: its session ends, and what was queued is still flushed. Returns whether it left
    /// in the middle of a request.
    pub fn depart(&mut self, context: &mut Context<'_>) -> bool {
        let is_torn = matches!(self.stage, Stage::Body(_)) || self.reader.is_begun();
        self.pass_on(context);
        self.let_go(context);
        self.stage = Stage::Parted;
        self.held = Vec::new();
        self.close_inner(context);
        context.shard.end_session(self.session);
        is_torn
    }
}

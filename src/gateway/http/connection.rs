//! An HTTP connection: one exchange after the other, until one of them turns it into something else.
//!
//! ```text
//!  Head --a body follows--> Body --complete--> Asking --the shard's answer--> Head ...
//!    |  \--ready in memory--> Head                                       `--> Parted, if it was the last
//!    |--/v1/poll--> Polling --something came, or it took too long--> Head ...
//!    |         `--its session is another reactor's--> Moving --all is written--> that reactor, with what is unread
//!    |--/v1/sse--> Streaming   the session is sent events as lines, until one side goes
//!    `--upgrade--> a WebSocket, with the same session
//! ```
//!
//! The connection has a session that its socket is written from, and which asks nothing before it streams. What a
//! request asks of the shard is asked by another one, its `inner` session (`question`): a client of the shard like any
//! other, whose queue is read here and not by a socket.
//!
//! A stream of several topics has an inner session, too, where it resumes (`relay`).
//!
//! A request that comes while another one is being answered waits in `held`, and more than that is not read.

use super::admission::admit;
use super::answer::{Answer, CONTINUE, Exchange};
use super::head::{BodyKind, Head, HeadReader};
use super::origin::OwnCors;
use super::polling::Polling;
use super::prepared::Prepared;
use super::question::{Asked, Asking, Heard};
use super::relay::Relay;
use super::{BodyReader, Cors, Reason, Refusal, Route, Status};
use crate::stats::Kind;
use crate::websocket::handshake::Handshake;
use crate::websocket::{self, Machine};
use crate::{Context, NATIVE, Progress};
use fanwire_core::{SessionId, Time};
use fanwire_wire::Code;

/// Requests of one connection that are begun in one turn; the others wait for the next one.
const REQUESTS_PER_TURN_MAX: usize = 64;
/// Bytes of answers that the peer has not read, before no other request is begun.
const UNREAD_BYTES_MAX: u32 = 256 * 1024;
/// Bytes behind a request that is being answered, before nothing more is read.
const HELD_BYTES_MAX: usize = 64 * 1024;

/// One HTTP connection.
#[derive(Debug)]
pub struct Http {
    pub(super) session: SessionId,
    pub(super) inner: Option<SessionId>,
    pub(super) reader: HeadReader,
    /// What came and is not used.
    pub(super) held: Vec<u8>,
    pub(super) stage: Stage,
    /// When it began to wait for what it waits for.
    pub(super) since: Time,
    pub(super) has_served: bool,
    /// The peer has ended its side: what it has asked for is answered, and nothing more will come.
    pub(super) has_peer_ended: bool,
    /// The next request waits until the peer has read its answers.
    pub(super) is_paused: bool,
}

/// How far the exchange has come.
#[derive(Debug)]
pub(super) enum Stage {
    Head,
    Body(Box<Receiving>),
    Asking(Box<Asking>),
    Polling(Box<Polling>),
    /// Nothing more is read: as soon as all answers are written, the connection moves to the reactor of this number.
    Moving(u8),
    Streaming(Option<Box<Relay>>),
    Parted,
}

/// A request whose body is on its way.
#[derive(Debug)]
pub(super) struct Receiving {
    asked: Asked,
    reader: BodyReader,
    body: Vec<u8>,
    exchange: Exchange,
    cors: OwnCors,
}

/// What came of a call.
#[derive(Debug)]
pub enum Outcome {
    /// The connection is what it was.
    Progress(Progress),
    /// It is a WebSocket from here on, and these bytes came behind the upgrade.
    Upgraded(Machine, Vec<u8>),
}

/// What came of one step.
pub(super) enum Step {
    /// Another one can be made.
    Done,
    /// Bytes are missing.
    Dry,
    Stop(Progress),
    Upgraded(Machine),
}

impl Http {
    /// A connection whose first byte is a method's. Its session is opened here.
    pub fn new(begun: Time, context: &mut Context<'_>) -> Self {
        Http {
            session: context.shard.open_session(NATIVE),
            inner: None,
            reader: HeadReader::new(context.settings.http.head),
            held: Vec::new(),
            stage: Stage::Head,
            since: begun,
            has_served: false,
            has_peer_ended: false,
            is_paused: false,
        }
    }

    /// Takes bytes that were read. All of `input` is used or kept.
    pub fn receive(&mut self, input: &[u8], context: &mut Context<'_>) -> Outcome {
        match self.take(input, context) {
            Outcome::Progress(Progress::Idle) if self.has_peer_ended && self.waits_in_vain() => {
                self.depart(context);
                Outcome::Progress(Progress::Leave)
            }
            Outcome::Progress(Progress::Idle) if self.is_ahead() => Outcome::Progress(Progress::Postponed),
            outcome => outcome,
        }
    }

    fn take(&mut self, input: &[u8], context: &mut Context<'_>) -> Outcome {
        match &mut self.stage {
            Stage::Parted => return Outcome::Progress(Progress::Idle),
            // What a client says while it is told events has no meaning.
            Stage::Streaming(_) => return Outcome::Progress(Progress::Idle),
            // It is for who has the connection next.
            Stage::Moving(reactor) => {
                let reactor = *reactor;
                self.held.extend_from_slice(input);
                return Outcome::Progress(Progress::Move(reactor));
            }
            Stage::Head | Stage::Body(_) | Stage::Asking(_) | Stage::Polling(_) => {}
        }
        if self.held.is_empty() && matches!(self.stage, Stage::Head) && self.has_served {
            self.since = context.now;
        }
        self.held.extend_from_slice(input);
        if let Stage::Asking(asking) = &mut self.stage
            && let Some(inner) = self.inner
        {
            let heard = asking.resume(inner, context);
            match self.note_heard(heard, context) {
                Progress::Idle => {}
                stop => return Outcome::Progress(stop),
            }
        }
        match self.go_on_polling(context) {
            Progress::Idle => self.advance(context),
            stop => Outcome::Progress(stop),
        }
    }

    fn advance(&mut self, context: &mut Context<'_>) -> Outcome {
        for _ in 0..REQUESTS_PER_TURN_MAX {
            if self.must_pause(context) {
                return Outcome::Progress(Progress::Postponed);
            }
            if context.shard.wants_flush() {
                break;
            }
            let step = match &mut self.stage {
                Stage::Head => self.take_head(context),
                Stage::Body(_) => self.take_body(context),
                Stage::Asking(_) | Stage::Polling(_) | Stage::Moving(_) | Stage::Streaming(_) | Stage::Parted => {
                    Step::Dry
                }
            };
            match step {
                Step::Done => {}
                Step::Dry => return Outcome::Progress(Progress::Idle),
                Step::Stop(progress) => return Outcome::Progress(progress),
                Step::Upgraded(machine) => return Outcome::Upgraded(machine, std::mem::take(&mut self.held)),
            }
        }
        Outcome::Progress(Progress::More)
    }

    /// No request is begun while the peer has so much to read: it goes on when all of that is written.
    fn must_pause(&mut self, context: &Context<'_>) -> bool {
        let is_between = matches!(self.stage, Stage::Head) && !self.held.is_empty();
        self.is_paused = is_between && context.shard.queue_bytes(self.session) > UNREAD_BYTES_MAX;
        self.is_paused
    }

    fn take_head(&mut self, context: &mut Context<'_>) -> Step {
        let mut held = std::mem::take(&mut self.held);
        match self.reader.read(&held) {
            Ok(None) => {
                self.held = held;
                if self.has_peer_ended { self.leave(context) } else { Step::Dry }
            }
            Ok(Some((head, used))) => {
                let step = self.begin(&head, context);
                // Who has the connection next reads this request anew.
                if !matches!(self.stage, Stage::Moving(_)) {
                    held.drain(..used);
                }
                self.held = held;
                step
            }
            Err(refusal) => self.refuse(&refusal, Exchange::closing().at(context.wall_us), Cors::None, context),
        }
    }

    /// Acts on a head.
    fn begin(&mut self, head: &Head<'_>, context: &mut Context<'_>) -> Step {
        self.since = context.now;
        let mut exchange = Exchange::of(head).at(context.wall_us);
        if context.is_draining {
            exchange = exchange.and_close();
        }
        // Nobody reads over the body of what is refused.
        let refused = if head.body == BodyKind::None { exchange } else { exchange.and_close() };
        let route = match Route::find(head) {
            Ok(route) => route,
            Err(refusal) => {
                let cors = context.settings.http.origins.readers(head);
                return self.refuse(&refusal, refused, cors, context);
            }
        };
        let cors = match admit(head, &route, context) {
            Ok(cors) => cors,
            Err(refusal) => {
                let cors = context.settings.http.origins.readers(head);
                return self.refuse(&refusal, refused, cors, context);
            }
        };
        if !route.takes_body() && head.body != BodyKind::None {
            let refusal = Refusal::from(Reason::BadBody).because("this request has no use for a body");
            return self.refuse(&refusal, refused, cors, context);
        }
        match self.act(route, head, exchange, cors, context) {
            Ok(step) => step,
            Err(refusal) => self.refuse(&refusal, refused, cors, context),
        }
    }

    fn act(
        &mut self,
        route: Route<'_>,
        head: &Head<'_>,
        exchange: Exchange,
        cors: Cors<'_>,
        context: &mut Context<'_>,
    ) -> Result<Step, Refusal> {
        Ok(match route {
            Route::WebSocket => self.upgrade(head, context)?,
            Route::Sse(query) => self.stream(&query, head, exchange, cors, context)?,
            Route::Poll(query) => self.poll(&query, exchange, cors, context)?,
            Route::Publish { topic, query } => {
                self.expect_body(Asked::publish(&topic, &query)?, head, exchange, cors, context)?
            }
            Route::Request { topic, query } => {
                self.expect_body(Asked::request(&topic, &query)?, head, exchange, cors, context)?
            }
            Route::History { topic, query } => {
                let asked = Asked::history(&topic, &query)?;
                self.ask(asked, Vec::new(), exchange, OwnCors::from(cors), context)
            }
            Route::Options(methods) => {
                self.answer(context, |out| Answer::begin(exchange, Status::NO_CONTENT, out).options(methods, cors));
                self.end_exchange(exchange.keeps_alive(), context)
            }
            route => {
                let prepared = Prepared::find(&route, head, context).ok_or(Reason::NotFound)?;
                self.answer(context, |out| prepared.write(exchange, cors, out));
                self.end_exchange(exchange.keeps_alive(), context)
            }
        })
    }

    /// Becomes a WebSocket, if all is right with the request.
    fn upgrade(&mut self, head: &Head<'_>, context: &mut Context<'_>) -> Result<Step, Refusal> {
        if self.has_peer_ended {
            let ended = "who has ended its side has nothing to say over a WebSocket";
            return Err(Refusal::from(Reason::BadRequest).because(ended));
        }
        let mut handshake = Handshake::read(b"GET", 1, head.fields()).map_err(refusal_of_handshake)?;
        if context.settings.http.deflates {
            handshake = handshake.with_deflate(head.fields());
        }
        let bearer = head.bearer_token()?.map(str::as_bytes);
        let is_admitted = match bearer.or(handshake.token.as_deref()) {
            Some(token) if context.settings.credentials.admit(token) => true,
            Some(_) => return Err(Code::BadCredentials.into()),
            // It may still introduce itself in the subprotocol's own way.
            None => context.settings.credentials.is_open(),
        };
        let (encoding, machine) = Machine::of(&handshake, self.session, is_admitted, context.now);
        self.answer(context, |out| handshake.encode_answer(out));
        self.close_inner(context);
        context.shard.switch_encoding(self.session, encoding);
        Ok(Step::Upgraded(machine))
    }

    fn expect_body(
        &mut self,
        asked: Asked,
        head: &Head<'_>,
        exchange: Exchange,
        cors: Cors<'_>,
        context: &mut Context<'_>,
    ) -> Result<Step, Refusal> {
        let reader = BodyReader::new(head.body, u64::from(context.settings.limits.frame_bytes_max))?;
        if head.expects_continue && !reader.is_complete() {
            self.answer(context, |out| out.extend_from_slice(CONTINUE));
        }
        let cors = OwnCors::from(cors);
        self.stage = Stage::Body(Box::new(Receiving { asked, reader, body: Vec::new(), exchange, cors }));
        Ok(Step::Done)
    }

    fn take_body(&mut self, context: &mut Context<'_>) -> Step {
        let Stage::Body(receiving) = &mut self.stage else { return Step::Dry };
        let Receiving { reader, body, exchange, .. } = &mut **receiving;
        let received = match reader.read(&self.held, body) {
            Ok(received) => received,
            Err(refusal) => {
                let exchange = exchange.and_close();
                let cors = receiving.cors.clone();
                return self.refuse(&refusal, exchange, cors.borrowed(), context);
            }
        };
        self.held.drain(..received.used);
        if !received.is_complete {
            return Step::Dry;
        }
        match std::mem::replace(&mut self.stage, Stage::Head) {
            Stage::Body(receiving) => {
                let Receiving { asked, body, exchange, cors, .. } = *receiving;
                self.ask(asked, body, exchange, cors, context)
            }
            _ => Step::Dry,
        }
    }

    /// Asks the shard, and stands by until it has answered.
    fn ask(
        &mut self,
        asked: Asked,
        body: Vec<u8>,
        exchange: Exchange,
        cors: OwnCors,
        context: &mut Context<'_>,
    ) -> Step {
        let inner = *self.inner.get_or_insert_with(|| context.shard.open_session(NATIVE));
        let mut asking = Box::new(Asking::new(asked, body, exchange, cors));
        let heard = asking.resume(inner, context);
        self.stage = Stage::Asking(asking);
        match self.note_heard(heard, context) {
            Progress::Idle if matches!(self.stage, Stage::Head) => Step::Done,
            progress => Step::Stop(progress),
        }
    }

    /// The inner session has been sent something.
    pub fn hear(&mut self, context: &mut Context<'_>) -> Progress {
        if matches!(self.stage, Stage::Polling(_)) {
            let progress = self.go_on_polling(context);
            return self.go_on_behind(progress);
        }
        if matches!(self.stage, Stage::Streaming(_)) {
            self.pass_on(context);
            return Progress::Idle;
        }
        let (Stage::Asking(asking), Some(inner)) = (&mut self.stage, self.inner) else {
            self.drop_unheard(context);
            return Progress::Idle;
        };
        let heard = asking.hear(inner, self.session, context);
        let progress = self.note_heard(heard, context);
        self.go_on_behind(progress)
    }

    /// Passes on what a stream of several topics was sent.
    pub(super) fn pass_on(&mut self, context: &mut Context<'_>) {
        if let (Stage::Streaming(Some(relay)), Some(inner)) = (&mut self.stage, self.inner) {
            relay.pass_on(inner, self.session, context);
        }
    }

    /// When a request is answered another one may stand in `held`, or none will ever come.
    pub(super) fn go_on_behind(&self, progress: Progress) -> Progress {
        match progress {
            Progress::Idle if matches!(self.stage, Stage::Head) && (!self.held.is_empty() || self.has_peer_ended) => {
                Progress::More
            }
            progress => progress,
        }
    }

    fn note_heard(&mut self, heard: Heard, context: &mut Context<'_>) -> Progress {
        let Heard { out, progress, ended } = heard;
        if !out.is_empty() {
            self.answer(context, |bytes| bytes.extend_from_slice(&out));
        }
        let Some(keeps_alive) = ended else { return progress };
        if matches!(&self.stage, Stage::Asking(asking) if asking.leaves_a_subscription()) {
            self.close_inner(context);
        }
        match self.end_exchange(keeps_alive, context) {
            Step::Stop(progress) => progress,
            Step::Done | Step::Dry | Step::Upgraded(_) => Progress::Idle,
        }
    }

    /// What nobody waits for any more: answers to publishes that asked for none.
    fn drop_unheard(&mut self, context: &mut Context<'_>) {
        let Some(inner) = self.inner else { return };
        super::question::drain(inner, context);
    }

    pub(super) fn answer(&mut self, context: &mut Context<'_>, render: impl FnOnce(&mut Vec<u8>)) {
        context.shard.send(self.session, render);
    }

    fn refuse(&mut self, refusal: &Refusal, exchange: Exchange, cors: Cors<'_>, context: &mut Context<'_>) -> Step {
        self.answer(context, |out| refusal.write(exchange, cors, out));
        self.end_exchange(exchange.keeps_alive(), context)
    }

    pub(super) fn end_exchange(&mut self, keeps_alive: bool, context: &mut Context<'_>) -> Step {
        self.has_served = true;
        self.since = context.now;
        if !keeps_alive {
            return self.leave(context);
        }
        self.stage = Stage::Head;
        Step::Done
    }

    pub(super) fn leave(&mut self, context: &mut Context<'_>) -> Step {
        self.depart(context);
        Step::Stop(Progress::Leave)
    }

    pub(super) fn close_inner(&mut self, context: &mut Context<'_>) {
        if let Some(inner) = self.inner.take() {
            context.shard.remove_session(inner);
        }
    }

    /// The session that the socket is written from.
    pub const fn session(&self) -> SessionId {
        self.session
    }

    /// What it is at the moment.
    pub const fn kind(&self) -> Kind {
        match self.stage {
            Stage::Streaming(_) => Kind::Sse,
            Stage::Polling(_) => Kind::Poll,
            Stage::Head | Stage::Body(_) | Stage::Asking(_) | Stage::Moving(_) | Stage::Parted => Kind::Http,
        }
    }

    /// Gives back what was lent to the connection and outlives it: the session of a poll.
    pub fn let_go(&mut self, context: &mut Context<'_>) {
        if let Stage::Polling(polling) = &self.stage {
            context.polls.end_wait(polling.session, context.now, context.shard);
            self.stage = Stage::Parted;
        }
    }

    /// The session whose queue is read here.
    pub const fn inner(&self) -> Option<SessionId> {
        match &self.stage {
            Stage::Polling(polling) => Some(polling.session),
            _ => self.inner,
        }
    }

    /// Whether an exchange has come to its end, or streams.
    pub const fn is_open(&self) -> bool {
        self.has_served || matches!(self.stage, Stage::Streaming(_))
    }

    /// Whether the peer has sent so much behind a request that nothing more is read before that is answered, or all
    /// answers before it are written.
    pub const fn is_ahead(&self) -> bool {
        match self.stage {
            Stage::Asking(_) | Stage::Polling(_) => self.held.len() > HELD_BYTES_MAX,
            Stage::Moving(_) => true,
            _ => self.is_paused,
        }
    }

    /// Whether a request waits until all answers before it are written.
    pub const fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Bytes of what is not complete, or waits for the next turn.
    pub fn held_bytes(&self) -> usize {
        let body_bytes = match &self.stage {
            Stage::Body(receiving) => receiving.body.len(),
            Stage::Asking(asking) => asking.held_bytes(),
            Stage::Head | Stage::Polling(_) | Stage::Moving(_) | Stage::Streaming(_) | Stage::Parted => 0,
        };
        self.held.len() + body_bytes
    }
}

fn refusal_of_handshake(refusal: websocket::handshake::Refusal) -> Refusal {
    let reason = match refusal {
        websocket::handshake::Refusal::Version => Reason::UpgradeRequired,
        _ => Reason::BadRequest,
    };
    Refusal::from(reason).because(refusal.meaning())
}

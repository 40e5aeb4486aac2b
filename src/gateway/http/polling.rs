//! Long polls: a request that waits for messages, and the session that it is lent meanwhile.
//!
//! ```text
//!  begin --no cursor, or its session is gone and its topics go on without--> Polls::open --.
//!    |---a session of this reactor-----------------------------------> Polls::confirm -----+--> wait --> answer
//!    |---one of another reactor--> the connection moves there, with this request unread    |
//!    `---none---> CURSOR_GONE                                  something came, or it took long enough
//! ```

use super::answer::{Answer, Cache, Exchange, MediaType};
use super::connection::{Http, Stage, Step};
use super::origin::OwnCors;
use super::{Cors, Query, Reason, Refusal, Status};
use crate::poll::{Cursor, Place, Wish, fingerprint};
use crate::{Context, Progress, json};
use fanwire_core::{Handled, SessionId, Time};
use fanwire_wire::Code;
use fanwire_wire::frame::{Goaway, Policy, Start};
use std::time::Duration;

/// How long a request waits, where it does not say.
const WAIT: Duration = Duration::from_secs(25);
/// How long it waits at the most.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// How long a first answer waits for its topics to begin, however short it is to be: it should tell of them.
const BEGIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Topics of one poll: with a place for each a cursor still fits into a request's target.
const TOPICS_MAX: usize = 64;

/// A request that waits.
#[derive(Debug)]
pub(super) struct Polling {
    pub(super) session: SessionId,
    exchange: Exchange,
    cors: OwnCors,
    limit: u32,
    /// When it has waited long enough for something to come.
    deadline: Time,
    /// The same, for its topics to begin.
    begin_deadline: Time,
    /// They have begun.
    is_begun: bool,
}

impl Polling {
    pub(super) fn next_deadline(&self) -> Time {
        if self.is_begun { self.deadline } else { self.deadline.max(self.begin_deadline) }
    }
}

impl Http {
    /// Begins to wait for messages.
    pub(super) fn poll(
        &mut self,
        query: &Query<'_>,
        exchange: Exchange,
        cors: Cors<'_>,
        context: &mut Context<'_>,
    ) -> Result<Step, Refusal> {
        let wait = query.wait()?.unwrap_or(WAIT).min(WAIT_MAX);
        let limit = query.limit()?.unwrap_or(u32::MAX);
        if limit == 0 {
            return Err(Refusal::from(Reason::BadParameter).because("limit=0 would never tell anything"));
        }
        if context.is_draining {
            return Err(Code::Draining.into());
        }
        let bad = || Refusal::from(Reason::BadParameter).because("after is none of this broker's");
        let cursor = query.after()?.map(|text| Cursor::parse(text).ok_or_else(bad)).transpose()?;
        if cursor.as_ref().is_some_and(|cursor| cursor.topics != fingerprint(query.topics())) {
            return Err(Refusal::from(Reason::BadParameter).because("after is the cursor of a poll of other topics"));
        }
        if let Some(reactor) = cursor.as_ref().and_then(|cursor| context.polls.elsewhere(cursor)) {
            return Ok(self.begin_move(reactor, context));
        }
        let session = match &cursor {
            None => self.open_poll(query, None, context)?,
            Some(cursor) => match context.polls.confirm(cursor, context.shard) {
                Some(session) => session,
                None => self.open_poll(query, Some(cursor), context)?,
            },
        };
        context.polls.begin_wait(session, context.shard);
        self.close_inner(context);
        self.stage = Stage::Polling(Box::new(Polling {
            session,
            exchange,
            cors: OwnCors::from(cors),
            limit,
            deadline: context.now + wait,
            begin_deadline: context.now + BEGIN_TIME_MAX,
            is_begun: false,
        }));
        Ok(match self.go_on_polling(context) {
            Progress::Idle if matches!(self.stage, Stage::Head) => Step::Done,
            progress => Step::Stop(progress),
        })
    }

    /// Opens a session for the topics of a request: as it asks, or from where the session that is gone had come to.
    fn open_poll(
        &self,
        query: &Query<'_>,
        gone: Option<&Cursor>,
        context: &mut Context<'_>,
    ) -> Result<SessionId, Refusal> {
        let mut wishes = self.wishes(query, context)?;
        if let Some(cursor) = gone {
            self.resume_wishes(&mut wishes, cursor, context).ok_or(Reason::CursorGone)?;
        }
        let full = || Refusal::from(Reason::Unavailable).because("there are as many long polls as there may be");
        context.polls.open(wishes, context.shard).ok_or_else(full)
    }

    fn wishes(&self, query: &Query<'_>, context: &Context<'_>) -> Result<Vec<Wish>, Refusal> {
        let start = query.start()?.unwrap_or(Start::Live);
        let policy = query.policy()?;
        let max_rate_hz = query.max_rate_hz()?.unwrap_or(0);
        let group: Box<[u8]> = query.group().unwrap_or_default().into();
        if query.topics().count() > TOPICS_MAX {
            return Err(Refusal::from(Reason::BadParameter).because("a poll has 64 topics at the most"));
        }
        let mut wishes = Vec::new();
        for (number, filter) in (1..).zip(query.topics()) {
            // What a journal keeps is not lost to a full queue unless somebody says so.
            let of_itself = Policy::CatchUp;
            let policy_asked = policy.unwrap_or(of_itself);
            let mut wish =
                Wish { filter: filter.into(), group: group.clone(), policy: policy_asked, max_rate_hz, start };
            let mut checked = context.shard.check_subscription(self.session, &wish.subscribe(number));
            if checked == Err(Code::PolicyUnavailable) && policy.is_none() {
                wish.policy = Policy::DropOldest;
                checked = context.shard.check_subscription(self.session, &wish.subscribe(number));
            }
            checked?;
            wishes.push(wish);
        }
        Ok(wishes)
    }

    /// Makes wishes begin at a cursor's places. Nothing if what a journal has could be missed, or all of it is live:
    /// then nobody knows what is missing. One that is live among others begins so, and is told that it does.
    fn resume_wishes(&self, wishes: &mut [Wish], cursor: &Cursor, context: &Context<'_>) -> Option<()> {
        let is_resumable = cursor.places.iter().any(|place| matches!(place, Place::Behind { .. }));
        if wishes.len() != cursor.places.len() || !is_resumable {
            return None;
        }
        for ((number, wish), place) in (1..).zip(wishes).zip(&cursor.places) {
            wish.start = match *place {
                Place::Behind { epoch, last } => Start::Resume { epoch, last },
                Place::Live => Start::Live,
                Place::Unknown => return None,
            };
            context.shard.check_subscription(self.session, &wish.subscribe(number)).ok()?;
        }
        Some(())
    }

    /// Answers, if there is something to answer; asks for what is not asked for yet.
    pub(super) fn go_on_polling(&mut self, context: &mut Context<'_>) -> Progress {
        let Stage::Polling(polling) = &mut self.stage else { return Progress::Idle };
        let session = polling.session;
        if context.polls.put_wishes(session, context.shard) == Handled::Postponed {
            return Progress::Postponed;
        }
        let limits = &context.settings.limits;
        let (has_answer, is_begun) = context.polls.gather(session, polling.limit, limits, context.shard);
        polling.is_begun = is_begun;
        if !has_answer && polling.next_deadline() > context.now {
            return Progress::Idle;
        }
        self.answer_poll(None, context)
    }

    /// Answers with what is there, be it nothing, and with `last` behind it.
    fn answer_poll(&mut self, last: Option<&Goaway<'_>>, context: &mut Context<'_>) -> Progress {
        let Stage::Polling(polling) = std::mem::replace(&mut self.stage, Stage::Head) else { return Progress::Idle };
        let Polling { session, exchange, cors, .. } = *polling;
        let mut body = b"{\"messages\":[".to_vec();
        let begin = body.len();
        let cursor = context.polls.give(session, &mut body);
        let exchange = if let Some(goaway) = last {
            if body.len() > begin {
                body.push(b',');
            }
            json::goaway(goaway, &mut body);
            exchange.and_close()
        } else {
            exchange
        };
        body.push(b']');
        if let Some(cursor) = cursor {
            body.extend_from_slice(format!(",\"cursor\":\"{cursor}\"").as_bytes());
        }
        body.extend_from_slice(b"}\n");
        context.polls.end_wait(session, context.now, context.shard);
        self.answer(context, |out| {
            let mut answer = Answer::begin(exchange, Status::OK, out);
            answer.cors(cors.borrowed()).cache(Cache::Never);
            answer.sized(MediaType::Json, &body);
        });
        self.end_poll(exchange, context)
    }

    fn end_poll(&mut self, exchange: Exchange, context: &mut Context<'_>) -> Progress {
        match self.end_exchange(exchange.keeps_alive(), context) {
            Step::Stop(progress) => progress,
            _ => Progress::Idle,
        }
    }

    /// Ends the wait with a refusal.
    pub(super) fn refuse_poll(&mut self, refusal: &Refusal, context: &mut Context<'_>) -> Progress {
        let Stage::Polling(polling) = std::mem::replace(&mut self.stage, Stage::Head) else { return Progress::Idle };
        let Polling { exchange, cors, .. } = *polling;
        self.answer(context, |out| refusal.write(exchange, cors.borrowed(), out));
        let progress = self.end_poll(exchange, context);
        self.go_on_behind(progress)
    }

    /// The broker goes down: whoever waits is told so, with what has come.
    pub(super) fn dismiss_poll(&mut self, reconnect_ms: (u32, u32), context: &mut Context<'_>) -> Progress {
        let Stage::Polling(polling) = &self.stage else { return Progress::Idle };
        context.polls.gather(polling.session, polling.limit, &context.settings.limits, context.shard);
        self.answer_poll(Some(&crate::native::goaway(reconnect_ms)), context)
    }
}

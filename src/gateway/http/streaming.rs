//! Server-sent events: a request that turns its connection into a stream of them.

use super::answer::{Answer, Cache, Exchange, Framing, MediaType};
use super::checkpoint::Checkpoint;
use super::connection::{Http, Stage, Step};
use super::relay::Relay;
use super::{Cors, Head, HeaderValue, Query, Reason, Refusal, Status};
use crate::poll::Place;
use crate::{Context, EVENT_STREAM, sse};
use fanwire_core::Handled;
use fanwire_core::command::{Command, Subscribe};
use fanwire_wire::Code;
use fanwire_wire::frame::{Policy, Start};

/// Topics of one stream that its id tells of: it has to come back in a request's head.
const RESUMED_TOPICS_MAX: usize = 64;

impl Http {
    /// Becomes a stream of events.
    pub(super) fn stream(
        &mut self,
        query: &Query<'_>,
        head: &Head<'_>,
        exchange: Exchange,
        cors: Cors<'_>,
        context: &mut Context<'_>,
    ) -> Result<Step, Refusal> {
        let asked = query.start()?.unwrap_or(Start::Live);
        let policy = query.policy()?;
        let max_rate_hz = query.max_rate_hz()?.unwrap_or(0);
        let group = query.group().unwrap_or_default();
        let wish = |(number, (filter, start))| Subscribe {
            subscription: number,
            filter,
            group,
            policy: policy.unwrap_or(if start == Start::Live { Policy::DropOldest } else { Policy::CatchUp }),
            no_echo: false,
            responder: false,
            max_rate_hz,
            start,
        };
        let filters: Vec<&[u8]> = query.topics().collect();
        let live = |filter| wish((1, (filter, Start::Live)));
        let is_several = filters.len() > 1;
        let checkpoint = if is_several { self.checkpoint(&filters, &live, head, context)? } else { None };
        let starts: Vec<Start> = match &checkpoint {
            Some(checkpoint) => checkpoint.starts(asked),
            None if !is_several => vec![start_of_one(asked, head)?],
            None if filters.len() > RESUMED_TOPICS_MAX && asked != Start::Live => return Err(too_many_topics()),
            None => vec![asked; filters.len()],
        };
        let topics = filters.into_iter().zip(starts);
        let relay = checkpoint.map(|checkpoint| Box::new(Relay::new(checkpoint, topics.clone())));
        let wishes: Vec<Subscribe<'_>> = (1..).zip(topics).map(wish).collect();
        for wish in &wishes {
            context.shard.check_subscription(self.session, wish).map_err(|code| match code {
                // Nobody asked for the policy that a start has of itself.
                Code::PolicyUnavailable if policy.is_none() => Refusal::from(Code::StartUnavailable),
                _ => Refusal::from(code),
            })?;
        }
        self.answer(context, |out| {
            let mut answer = Answer::begin(exchange.and_close(), Status::OK, out);
            answer.cors(cors).cache(Cache::Never);
            answer.header("X-Accel-Buffering", const { HeaderValue::own("no") });
            let _ = answer.streamed(MediaType::EventStream, Framing::UntilClose);
            out.extend_from_slice(b"retry: 1000\n\n");
        });
        context.shard.switch_encoding(self.session, EVENT_STREAM);
        self.close_inner(context);
        let listener = match relay {
            None => self.session,
            Some(_) => *self.inner.insert(context.shard.open_session(EVENT_STREAM)),
        };
        self.stage = Stage::Streaming(relay);
        self.held = Vec::new();
        for wish in wishes {
            // What is refused or has to wait from here on was possible a moment ago.
            let handled = context.shard.handle(listener, &Command::Subscribe(wish));
            if !matches!(handled, Ok(Handled::Done)) {
                return Ok(self.leave(context));
            }
        }
        Ok(Step::Dry)
    }

    /// How far a stream of several topics has come, if it can resume. An id that is not its own must not be refused:
    /// `EventSource` brings it back by itself, and an answer that is no stream ends it for good.
    fn checkpoint<'a>(
        &self,
        filters: &[&'a [u8]],
        live: &impl Fn(&'a [u8]) -> Subscribe<'a>,
        head: &Head<'_>,
        context: &Context<'_>,
    ) -> Result<Option<Checkpoint>, Refusal> {
        let id = head.single("last-event-id")?;
        let resumes: Vec<bool> = filters.iter().map(|filter| self.resumes(&live(filter), context)).collect();
        if filters.len() > RESUMED_TOPICS_MAX || !resumes.contains(&true) {
            return Ok(None);
        }
        let brought = id.and_then(|id| Checkpoint::parse(id, filters));
        let mut checkpoint = brought.unwrap_or_else(|| Checkpoint::new(filters, context.wall_us));
        for (place, _) in checkpoint.places.iter_mut().zip(resumes).filter(|(_, resumes)| !resumes) {
            *place = Place::Live;
        }
        Ok(Some(checkpoint))
    }

    /// Whether a topic of several can go on where it was: it lies in a journal, and the order of positions is seen.
    fn resumes(&self, wish: &Subscribe<'_>, context: &Context<'_>) -> bool {
        let is_wildcard = wish.filter.contains(&b'+') || wish.filter.contains(&b'#');
        let kept = Subscribe { policy: Policy::CatchUp, max_rate_hz: 0, ..*wish };
        let is_kept = context.shard.check_subscription(self.session, &kept).is_ok();
        is_kept && !(wish.policy == Policy::Conflate && is_wildcard)
    }
}

/// Where a stream of one topic begins: behind what the client has got before it broke, or where the query says.
fn start_of_one(asked: Start, head: &Head<'_>) -> Result<Start, Refusal> {
    let Some(id) = head.single("last-event-id")?.filter(|id| !id.is_empty()) else { return Ok(asked) };
    let bad = || Refusal::from(Reason::BadParameter).because("Last-Event-ID is none of this broker's");
    let (epoch, last) = sse::parse_id(id).ok_or_else(bad)?;
    Ok(Start::Resume { epoch, last })
}

/// It would begin anew each time that it breaks.
fn too_many_topics() -> Refusal {
    Refusal::from(Reason::BadParameter).because(format!(
        "a stream of more than {RESUMED_TOPICS_MAX} topics begins live: an id can't tell of so many how far they came"
    ))
}

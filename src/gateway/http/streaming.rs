//! Server-sent events: a request that turns its connection into a stream of them.

use super::answer::{Answer, Cache, Exchange, Framing, MediaType};
use super::connection::{Http, Stage, Step};
use super::{Cors, Head, HeaderValue, Query, Reason, Refusal, Status};
use crate::{Context, EVENT_STREAM, sse};
use fanwire_core::Handled;
use fanwire_core::command::{Command, Subscribe};
use fanwire_wire::Code;
use fanwire_wire::frame::{Policy, Start};

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
        let start = start_of_stream(query, head)?;
        let policy = query.policy()?;
        let max_rate_hz = query.max_rate_hz()?.unwrap_or(0);
        let group = query.group().unwrap_or_default();
        let wish = |(number, filter)| Subscribe {
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
        let wishes: Vec<Subscribe<'_>> = (1..).zip(filters).map(wish).collect();
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
        self.stage = Stage::Streaming;
        self.held = Vec::new();
        for wish in wishes {
            // What is refused or has to wait from here on was possible a moment ago.
            let handled = context.shard.handle(self.session, &Command::Subscribe(wish));
            if !matches!(handled, Ok(Handled::Done)) {
                return Ok(self.leave(context));
            }
        }
        Ok(Step::Dry)
    }
}

/// Where a stream begins: behind what the client has got before it broke, or where the query says.
fn start_of_stream(query: &Query<'_>, head: &Head<'_>) -> Result<Start, Refusal> {
    let asked = query.start()?.unwrap_or(Start::Live);
    if query.topics().count() > 1 {
        return start_of_several(asked);
    }
    let Some(id) = head.single("last-event-id")?.filter(|id| !id.is_empty()) else { return Ok(asked) };
    let bad = || Refusal::from(Reason::BadParameter).because("Last-Event-ID is none of this broker's");
    let (epoch, last) = sse::parse_id(id).ok_or_else(bad)?;
    Ok(Start::Resume { epoch, last })
}

/// An id can't tell of several topics how far they came. One that a client brings back by itself must not be refused
/// for it, or no such stream would outlive its first connection: it begins live, and is told that it does.
fn start_of_several(asked: Start) -> Result<Start, Refusal> {
    if asked == Start::Live {
        return Ok(asked);
    }
    Err(Refusal::from(Reason::BadParameter)
        .because("a stream that does not begin live has one topic: an id can't tell of several how far they came"))
}

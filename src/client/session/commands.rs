//! What the caller wants, checked against the grammar and the broker's limits before a byte of it is buffered.
//!
//! A command either enters the outgoing stream whole or changes nothing. Publishes, requests and answers wait in a
//! bounded buffer ([`Error::WouldBlock`]), and those of a producer for its older ones; the few small frames that keep
//! the connection in order are not counted.

use super::{Registration, Session, Stage};
use crate::error::Error;
use crate::event::{CallHandle, PublishId, Publisher, RequestId, SubscriptionId};
use crate::options::{Message, SubscribeOptions, Target};
use crate::outgoing::Outgoing;
use fanwire_wire::frame::{
    AckLevel, Ping, Policy, Publish, PublishShort, Register, Reply, Request, Start, Unsubscribe,
};
use fanwire_wire::limits::{FRAME_BYTES_CEILING, GROUP_BYTES_MAX};
use fanwire_wire::topic::check_group;
use fanwire_wire::{Code, Extensions, Frame, Limits, TopicFilter, TopicName};
use std::time::Duration;

/// The ping of the keep-alive: its answer is nobody's event.
pub(super) const KEEP_ALIVE_TOKEN: u64 = 0;

/// Commands.
impl Session {
    /// Publishes without an ack.
    pub fn publish(&mut self, message: &Message<'_>) -> Result<(), Error> {
        self.put_publish(message, AckLevel::None)
    }

    /// Publishes with an ack.
    pub fn publish_acked(&mut self, message: &Message<'_>, level: AckLevel) -> Result<PublishId, Error> {
        if level == AckLevel::None {
            return Err(invalid("ack level", "none", "to publish without an ack, use publish".to_owned()));
        }
        self.put_publish(message, level)?;
        Ok(self.publishes.sent(message.asked.producer))
    }

    fn put_publish(&mut self, message: &Message<'_>, ack: AckLevel) -> Result<(), Error> {
        self.check_ready()?;
        let limits = &self.welcome.limits;
        let Message { headers, payload, target, asked } = *message;
        check_sizes(limits, headers, payload)?;
        let frame = match target {
            Target::Topic(topic) => {
                check_topic(limits, topic)?;
                Frame::from(Publish { ack, topic: topic.as_bytes(), headers, payload })
            }
            Target::Publisher(publisher) => match registration(&self.registrations, publisher)? {
                Registration { in_force: true, .. } => {
                    Frame::from(PublishShort { ack, short_id: publisher.0, headers, payload })
                }
                Registration { topic, .. } => Frame::from(Publish { ack, topic: topic.as_bytes(), headers, payload }),
            },
        };
        if asked.producer.is_some_and(|stamp| self.publishes.must_wait(stamp)) {
            return Err(Error::WouldBlock);
        }
        let area = asked.area();
        put(&mut self.outgoing, limits, self.buffer_bytes_max, &frame, area.extensions())
    }

    /// Gives a topic a short id; the same topic gives the same publisher again.
    pub fn register(&mut self, topic: &str) -> Result<Publisher, Error> {
        let limits = &self.welcome.limits;
        check_topic(limits, topic)?;
        let index = self.registrations.iter().position(|registration| *registration.topic == *topic);
        if let Some(short_id) = index.and_then(|index| u16::try_from(index).ok()) {
            return Ok(Publisher(short_id));
        }
        let given = self.registrations.len() as u64 + 1;
        let Ok(short_id) = u16::try_from(self.registrations.len()) else {
            return Err(Error::Limit { what: "short_ids_max", given, max: limits.short_ids_max.into() });
        };
        if short_id >= limits.short_ids_max {
            return Err(Error::Limit { what: "short_ids_max", given, max: limits.short_ids_max.into() });
        }
        let in_force = self.is_ready();
        if in_force {
            self.outgoing.push(&Frame::from(Register { short_id, topic: topic.as_bytes() }));
        }
        self.registrations.push(Registration { topic: topic.into(), in_force });
        Ok(Publisher(short_id))
    }

    /// Asks for a filter's messages: now, or as soon as there is a connection.
    pub fn subscribe(&mut self, filter: &str, options: SubscribeOptions) -> Result<SubscriptionId, Error> {
        let limits = &self.welcome.limits;
        TopicFilter::new(filter.as_bytes(), limits).map_err(|_| invalid("filter", filter, filter_rule(limits)))?;
        check_options(filter, &options)?;
        let subscription = self.subscriptions.enter(filter, options, limits.subscriptions_max)?;
        if self.is_ready()
            && let Some(frame) = self.subscriptions.subscribe_frame(subscription)
        {
            self.outgoing.push(&Frame::from(frame));
        }
        Ok(subscription)
    }

    /// Ends a subscription: nothing of it is told from here on. [`Event::Unsubscribed`](crate::Event::Unsubscribed)
    /// confirms it, unless there is no connection.
    pub fn unsubscribe(&mut self, subscription: SubscriptionId) {
        match self.stage {
            Stage::Ready => {
                if self.subscriptions.end(subscription) {
                    self.outgoing.push(&Frame::from(Unsubscribe { subscription: subscription.0 }));
                }
            }
            // Frames that name it may still be on their way, so it stays known until the connection ends.
            Stage::Leaving => {
                self.subscriptions.end(subscription);
            }
            Stage::Idle | Stage::Preface | Stage::Greeting => {
                self.subscriptions.remove(subscription);
            }
        }
    }

    /// Asks whoever responds on a topic; a registered topic is asked by its name.
    pub fn request(&mut self, message: &Message<'_>, deadline: Duration) -> Result<RequestId, Error> {
        self.check_ready()?;
        let limits = self.welcome.limits;
        let Message { headers, payload, target, .. } = *message;
        check_sizes(&limits, headers, payload)?;
        let deadline_ms = deadline_ms(&limits, deadline)?;
        let topic = match target {
            Target::Topic(topic) => topic,
            Target::Publisher(publisher) => &registration(&self.registrations, publisher)?.topic,
        };
        check_topic(&limits, topic)?;
        let request = self.requests.begin(limits.requests_max)?;
        let frame = Request { correlation: request.0, deadline_ms, topic: topic.as_bytes(), headers, payload };
        let buffered = put(&mut self.outgoing, &limits, self.buffer_bytes_max, &frame.into(), Extensions::default());
        if buffered.is_err() {
            self.requests.end(request.0)?;
        }
        buffered.map(|()| request)
    }

    /// Nobody waits for this request any more; its outcome is not told.
    pub fn abandon(&mut self, request: RequestId) {
        self.requests.abandon(request);
    }

    /// Answers a call.
    pub fn respond(&mut self, call: &CallHandle, headers: &[u8], payload: &[u8]) -> Result<(), Error> {
        self.check_ready()?;
        if call.connection != self.connection {
            return Err(Error::Disconnected);
        }
        check_sizes(&self.welcome.limits, headers, payload)?;
        let frame = Frame::from(Reply { handle: call.handle, headers, payload });
        put(&mut self.outgoing, &self.welcome.limits, self.buffer_bytes_max, &frame, Extensions::default())?;
        // A caller who answers twice is told nothing: the broker ignores what comes late.
        self.calls_open = self.calls_open.saturating_sub(1);
        Ok(())
    }

    /// Asks for a PONG; returns the token that it will carry.
    pub fn ping(&mut self) -> Result<u64, Error> {
        self.check_ready()?;
        self.pings += 1;
        self.outgoing.push(&Frame::from(Ping { time: self.pings }));
        Ok(self.pings)
    }

    /// Asks for a PONG that nobody is told of: any byte from the broker is the answer.
    pub fn ping_keep_alive(&mut self) {
        if self.is_ready() {
            self.outgoing.push(&Frame::from(Ping { time: KEEP_ALIVE_TOKEN }));
        }
    }

    const fn check_ready(&self) -> Result<(), Error> {
        if self.is_ready() { Ok(()) } else { Err(Error::Disconnected) }
    }
}

/// A publisher of another client may not exist here.
fn registration(registrations: &[Registration], publisher: Publisher) -> Result<&Registration, Error> {
    let unknown = || invalid("publisher", &publisher.0.to_string(), "this client has not registered it".to_owned());
    registrations.get(usize::from(publisher.0)).ok_or_else(unknown)
}

/// Puts a frame into the stream if its size is allowed and there is room.
fn put(
    outgoing: &mut Outgoing,
    limits: &Limits,
    buffer_bytes_max: usize,
    frame: &Frame<'_>,
    extensions: Extensions<'_>,
) -> Result<(), Error> {
    let length = frame.length_with(extensions);
    let max = limits.frame_bytes_max.min(FRAME_BYTES_CEILING);
    if length as u64 > u64::from(max) {
        return Err(Error::Limit { what: "frame_bytes_max", given: length as u64, max: u64::from(max) });
    }
    let pending = outgoing.pending().len();
    // One frame fits always, or a small buffer could never send a large message.
    if pending > 0 && pending + length > buffer_bytes_max {
        return Err(Error::WouldBlock);
    }
    outgoing.push_with(frame, extensions);
    Ok(())
}

/// Bounds what a frame's encoder is given: beyond 2^28 - 1 bytes it would panic.
const fn check_sizes(limits: &Limits, headers: &[u8], payload: &[u8]) -> Result<(), Error> {
    if headers.len() > limits.headers_bytes_max as usize || headers.len() > FRAME_BYTES_CEILING as usize {
        let max = limits.headers_bytes_max as u64;
        return Err(Error::Limit { what: "headers_bytes_max", given: headers.len() as u64, max });
    }
    if payload.len() > limits.frame_bytes_max as usize {
        let max = limits.frame_bytes_max as u64;
        return Err(Error::Limit { what: "frame_bytes_max", given: payload.len() as u64, max });
    }
    Ok(())
}

fn check_topic(limits: &Limits, topic: &str) -> Result<(), Error> {
    match TopicName::publishable(topic.as_bytes(), limits) {
        Ok(_) => Ok(()),
        Err(Code::ReservedTopic) => Err(invalid(
            "topic",
            topic,
            "names under $ are the broker's; clients may only subscribe to them".to_owned(),
        )),
        Err(_) => Err(invalid("topic", topic, topic_rule(limits))),
    }
}

fn check_options(filter: &str, options: &SubscribeOptions) -> Result<(), Error> {
    if let Some(group) = &options.group {
        let rule = || format!("a group is 1 to {GROUP_BYTES_MAX} bytes without / + # and control characters");
        check_group(group.as_bytes()).map_err(|_| invalid("group", group, rule()))?;
    } else if options.responder {
        return Err(invalid("group", "", "a responder needs a group".to_owned()));
    }
    if let Some(group) = &options.group
        && (options.start != Start::Live || options.policy == Policy::CatchUp)
    {
        let rule = "its members share what is live; without a group each subscriber reads the journal for itself";
        return Err(invalid("group for history", group, rule.to_owned()));
    }
    if matches!(options.start, Start::Sequence { .. }) && filter.contains(['+', '#']) {
        let rule = "sequences count within one topic; with a wildcard, start from a position";
        return Err(invalid("filter for a sequence", filter, rule.to_owned()));
    }
    Ok(())
}

fn deadline_ms(limits: &Limits, deadline: Duration) -> Result<u32, Error> {
    if deadline.is_zero() {
        return Err(invalid("deadline", "0 s", "it must be at least 1 ms away".to_owned()));
    }
    let max = limits.deadline_ms_max;
    let given = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX).max(1);
    match u32::try_from(given) {
        Ok(deadline_ms) if deadline_ms <= max => Ok(deadline_ms),
        _ => Err(Error::Limit { what: "deadline_ms_max", given, max: u64::from(max) }),
    }
}

fn topic_rule(limits: &Limits) -> String {
    let Limits { topic_bytes_max, topic_levels_max, .. } = limits;
    format!(
        "a topic is 1 to {topic_bytes_max} bytes in at most {topic_levels_max} levels, without + # and control \
         characters"
    )
}

fn filter_rule(limits: &Limits) -> String {
    let Limits { topic_bytes_max, topic_levels_max, filter_plus_max, .. } = limits;
    format!(
        "a filter is 1 to {topic_bytes_max} bytes in at most {topic_levels_max} levels; + stands for one whole level \
         (at most {filter_plus_max} times), # for the rest, as the last level; no control characters"
    )
}

fn invalid(what: &'static str, given: &str, rule: String) -> Error {
    // Long arguments are cut: the text is for people.
    Error::Invalid { what, given: given.chars().take(300).collect(), rule }
}

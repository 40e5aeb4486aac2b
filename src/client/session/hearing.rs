//! What the broker sends, frame by frame: each either changes the session's tables, or is told, or both.
//!
//! The broker is checked as strictly as it checks us: an answer to something that was never asked is a violation.
//! The one exception is what crosses on the way, when both sides end the same subscription at once.

use super::commands::KEEP_ALIVE_TOKEN;
use super::{Moving, Session, Stage, UNEXPECTED, Welcome};
use crate::error::{Error, Refusal};
use crate::event::{Answer, Call, CallHandle, Delivery, Event, Publisher, Subject, SubscriptionId};
use crate::progress::Place;
use crate::subscriptions::GRAMMAR;
use fanwire_wire::frame::{self, Ping, Pong, Register, Scope, Subscribed, Unsubscribed};
use fanwire_wire::{Code, Extensions, Frame, Retry, TopicName, VERSION_MAX, VERSION_MIN, Violation};
use std::borrow::Cow;
use std::time::Duration;

type OnEvent<'a> = &'a mut dyn FnMut(Event<'_>);

impl Session {
    pub(super) fn hear(
        &mut self,
        frame: Frame<'_>,
        extensions: Extensions<'_>,
        on_event: OnEvent<'_>,
    ) -> Result<(), Error> {
        if let Frame::Error(refusal) = &frame
            && refusal.scope == Scope::Connection
        {
            let greeting = self.stage == Stage::Greeting;
            return Err(if greeting { Error::Handshake(owned(refusal)) } else { Error::Closed(owned(refusal)) });
        }
        if self.stage == Stage::Greeting {
            return match frame {
                Frame::Welcome(welcome) => self.hear_welcome(&welcome, on_event),
                _ => Err(UNEXPECTED),
            };
        }
        match frame {
            Frame::Message(_)
            | Frame::MessageNamed(_)
            | Frame::MessageGroup(_)
            | Frame::Record(_)
            | Frame::RecordNamed(_)
            | Frame::History(_) => self.hear_delivery(frame, on_event),
            Frame::Subscribed(_) | Frame::Unsubscribed(_) | Frame::Gap(_) | Frame::CaughtUp(_) | Frame::Cursor(_) => {
                self.hear_of_subscription(frame, on_event)
            }
            Frame::Ack(ack) => {
                on_event(self.publishes.acknowledge(ack, extensions.is_duplicate())?);
                Ok(())
            }
            Frame::Call(call) => self.hear_call(&call, on_event),
            Frame::Response(response) => self.hear_response(&response, on_event),
            Frame::Error(refusal) => self.hear_refusal(&refusal, extensions.actual(), on_event),
            Frame::Ping(Ping { time }) => {
                self.answer_ping(time);
                Ok(())
            }
            Frame::Pong(Pong { time, clock_us }) => {
                // The keep-alive's own token is below, and nobody asked for what is above.
                if (KEEP_ALIVE_TOKEN + 1..=self.pings).contains(&time) {
                    on_event(Event::Pong { token: time, clock_us });
                }
                Ok(())
            }
            Frame::Goaway(goaway) => {
                self.hear_goaway(&goaway, on_event);
                Ok(())
            }
            _ => Err(UNEXPECTED),
        }
    }

    /// Renews everything that outlived the last connection.
    fn hear_welcome(&mut self, welcome: &frame::Welcome<'_>, on_event: OnEvent<'_>) -> Result<(), Error> {
        if !(VERSION_MIN..=VERSION_MAX).contains(&welcome.version) {
            return Err(Error::Version { server_min: welcome.version, server_max: welcome.version });
        }
        self.welcome = Welcome {
            version: welcome.version,
            open: welcome.open,
            draining: welcome.draining,
            connection_id: welcome.connection_id,
            server_time_us: welcome.server_time_us,
            keep_alive: (welcome.keep_alive_ms > 0).then(|| Duration::from_millis(welcome.keep_alive_ms.into())),
            limits: welcome.limits,
            server_name: welcome.server_name.to_owned(),
        };
        self.stage = Stage::Ready;
        for (short_id, registration) in (0..).zip(&mut self.registrations) {
            registration.in_force = short_id < welcome.limits.short_ids_max;
            if registration.in_force {
                self.outgoing.push(&Frame::from(Register { short_id, topic: registration.topic.as_bytes() }));
            }
        }
        for subscribe in self.subscriptions.subscribe_frames() {
            self.outgoing.push(&Frame::from(subscribe));
        }
        if self.welcomed_before {
            let may_have_missed = self.subscriptions.can_miss();
            on_event(Event::Reconnected { may_have_missed, connection_id: welcome.connection_id });
        }
        self.welcomed_before = true;
        Ok(())
    }

    fn hear_delivery(&mut self, frame: Frame<'_>, on_event: OnEvent<'_>) -> Result<(), Error> {
        match frame {
            Frame::Message(frame::Message { topic_id, headers, payload }) => {
                let (topic, matching) = self.subscriptions.by_topic_id(topic_id)?;
                for subscription in matching {
                    on_event(Event::Message(delivery(*subscription, topic, headers, payload)));
                }
            }
            Frame::Record(frame::Record { topic_id, sequence, headers, payload }) => {
                self.subscriptions.record_by_id(topic_id, sequence, |subscription, topic, epoch| {
                    let mut delivery = delivery(subscription, topic, headers, payload);
                    (delivery.sequence, delivery.epoch) = (Some(sequence), epoch);
                    on_event(Event::Message(delivery));
                })?;
            }
            Frame::MessageNamed(frame::MessageNamed { topic, headers, payload }) => {
                let (name, matching) = self.subscriptions.by_topic_name(topic)?;
                for subscription in matching {
                    on_event(Event::Message(delivery(*subscription, name, headers, payload)));
                }
            }
            Frame::RecordNamed(frame::RecordNamed { sequence, position, topic, headers, payload }) => {
                self.subscriptions.record_by_name(topic, sequence, position, |subscription, topic, epoch| {
                    let mut delivery = delivery(subscription, topic, headers, payload);
                    (delivery.sequence, delivery.position, delivery.epoch) = (Some(sequence), Some(position), epoch);
                    on_event(Event::Message(delivery));
                })?;
            }
            Frame::MessageGroup(frame::MessageGroup { subscription, topic, headers, payload }) => {
                let name = topic_name(topic)?;
                if self.subscriptions.is_told(subscription)? {
                    on_event(Event::Message(delivery(SubscriptionId(subscription), name.as_str(), headers, payload)));
                }
            }
            Frame::History(record) => self.hear_history(&record, on_event)?,
            _ => return Err(UNEXPECTED),
        }
        Ok(())
    }

    fn hear_history(&mut self, record: &frame::History<'_>, on_event: OnEvent<'_>) -> Result<(), Error> {
        let name = topic_name(record.topic)?;
        let place = Place { topic: name.as_str(), sequence: record.sequence, position: Some(record.position) };
        if let Some(epoch) = self.subscriptions.record_of_history(record.subscription, place)? {
            on_event(Event::Message(Delivery {
                sequence: Some(record.sequence),
                position: Some(record.position),
                time_us: Some(record.time_us),
                epoch: (epoch > 0).then_some(epoch),
                is_history: true,
                ..delivery(SubscriptionId(record.subscription), name.as_str(), record.headers, record.payload)
            }));
        }
        Ok(())
    }

    fn hear_of_subscription(&mut self, frame: Frame<'_>, on_event: OnEvent<'_>) -> Result<(), Error> {
        match frame {
            Frame::Subscribed(told) => {
                if self.subscriptions.stand(told)? {
                    let Subscribed { subscription, outcome, epoch, .. } = told;
                    on_event(Event::Subscribed { subscription: SubscriptionId(subscription), outcome, epoch });
                }
            }
            Frame::Unsubscribed(Unsubscribed { subscription, code }) => {
                let subscription = SubscriptionId(subscription);
                if !self.subscriptions.remove(subscription) {
                    return Err(UNEXPECTED);
                }
                let refusal = (code != 0).then(|| Refusal::from_number(code));
                on_event(Event::Unsubscribed { subscription, refusal });
            }
            Frame::Gap(frame::Gap { subscription, dropped, conflated }) => {
                if self.subscriptions.is_told(subscription)? {
                    on_event(Event::Gap { subscription: SubscriptionId(subscription), dropped, conflated });
                }
            }
            Frame::CaughtUp(frame::CaughtUp { subscription, position }) => {
                if self.subscriptions.is_told(subscription)? {
                    let subscription = SubscriptionId(subscription);
                    self.subscriptions.join(subscription);
                    on_event(Event::CaughtUp { subscription, position });
                }
            }
            Frame::Cursor(frame::Cursor { subscription, position }) => {
                if self.subscriptions.is_told(subscription)? {
                    let subscription = SubscriptionId(subscription);
                    self.subscriptions.leave(subscription);
                    on_event(Event::FellBehind { subscription, position });
                }
            }
            _ => return Err(UNEXPECTED),
        }
        Ok(())
    }

    fn hear_call(&mut self, call: &frame::Call<'_>, on_event: OnEvent<'_>) -> Result<(), Error> {
        let name = topic_name(call.topic)?;
        if self.subscriptions.is_told(call.subscription)? {
            self.calls_open += 1;
            on_event(Event::Call(Call {
                subscription: SubscriptionId(call.subscription),
                handle: CallHandle { connection: self.connection, handle: call.handle },
                time_left: Duration::from_millis(call.deadline_ms.into()),
                topic: Cow::Borrowed(name.as_str()),
                headers_block: Cow::Borrowed(call.headers),
                payload: Cow::Borrowed(call.payload),
            }));
        }
        Ok(())
    }

    fn hear_response(&mut self, response: &frame::Response<'_>, on_event: OnEvent<'_>) -> Result<(), Error> {
        let Some(request) = self.requests.end(response.correlation)? else {
            return Ok(());
        };
        let outcome = match response.code {
            0 => {
                Ok(Answer { headers_block: Cow::Borrowed(response.headers), payload: Cow::Borrowed(response.payload) })
            }
            code => Err(Error::from_response(code)),
        };
        on_event(Event::Response { request, outcome });
        Ok(())
    }

    fn hear_refusal(
        &mut self,
        refusal: &frame::Refusal<'_>,
        actual: Option<u64>,
        on_event: OnEvent<'_>,
    ) -> Result<(), Error> {
        let subject = match refusal.scope {
            Scope::Publish => Subject::Publish(self.publishes.refuse(refusal.reference)?),
            Scope::UnackedPublish => Subject::UnackedPublish,
            Scope::Register => {
                let short_id = u16::try_from(refusal.reference).map_err(|_| UNEXPECTED)?;
                let registration = self.registrations.get_mut(usize::from(short_id)).ok_or(UNEXPECTED)?;
                registration.in_force = false;
                Subject::Registration(Publisher(short_id))
            }
            Scope::Subscription => {
                let id = SubscriptionId(u32::try_from(refusal.reference).map_err(|_| UNEXPECTED)?);
                let was_there = self.subscriptions.remove(id);
                // The broker ended it, too, and its word passed ours on the way: it is over, as everybody wanted.
                if refusal.code == Code::UnknownSubscription.number() {
                    if was_there {
                        on_event(Event::Unsubscribed { subscription: id, refusal: None });
                    }
                    return Ok(());
                }
                if !was_there {
                    return Err(UNEXPECTED);
                }
                Subject::Subscription(id)
            }
            Scope::Reply => Subject::Answer(CallHandle { connection: self.connection, handle: refusal.reference }),
            Scope::Connection => return Err(Error::Closed(owned(refusal))),
        };
        on_event(Event::Refused { subject, refusal: Refusal { actual, ..owned(refusal) } });
        Ok(())
    }

    /// Answers unless the buffer is full: a broker that pings and does not read must not make it grow.
    fn answer_ping(&mut self, time: u64) {
        if self.is_ready() && self.outgoing().len() <= self.buffer_bytes_max {
            self.outgoing.push(&Frame::from(Pong { time, clock_us: 0 }));
        }
    }

    fn hear_goaway(&mut self, goaway: &frame::Goaway<'_>, on_event: OnEvent<'_>) {
        // Whatever the code's own class says, the broker has just asked to be tried again.
        let retry = Retry::After(goaway.reconnect_min_ms);
        let refusal = Refusal { code: goaway.code, retry, text: goaway.text.to_owned(), actual: None };
        let reconnect_min = Duration::from_millis(goaway.reconnect_min_ms.into());
        let reconnect_max = Duration::from_millis(goaway.reconnect_max_ms.into());
        self.moving = Some(Moving { refusal: refusal.clone(), reconnect_min, reconnect_max });
        on_event(Event::Goaway { refusal, reconnect_min, reconnect_max });
    }
}

fn delivery<'f>(subscription: SubscriptionId, topic: &'f str, headers: &'f [u8], payload: &'f [u8]) -> Delivery<'f> {
    Delivery {
        subscription,
        topic: Cow::Borrowed(topic),
        headers_block: Cow::Borrowed(headers),
        payload: Cow::Borrowed(payload),
        sequence: None,
        position: None,
        time_us: None,
        epoch: None,
        is_history: false,
    }
}

fn topic_name(bytes: &[u8]) -> Result<TopicName<'_>, Error> {
    TopicName::new(bytes, &GRAMMAR).map_err(|code| Error::Violation(Violation(code)))
}

fn owned(refusal: &frame::Refusal<'_>) -> Refusal {
    Refusal { code: refusal.code, retry: refusal.retry(), text: refusal.text.to_owned(), actual: None }
}

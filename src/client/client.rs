//! The blocking client: one thread, one connection, no lock, no thread of its own.
//!
//! ```text
//!  publish, request ... -> session -> outgoing buffer --turn--> socket
//!  poll, wait          <- events  <- session <---------turn---- socket
//!       ^------------------ backlog: what blocking calls heard while they waited for something else
//! ```
//!
//! Every call that touches the socket does so through the driver's turn, which always reads when it cannot write: a
//! client that only publishes and a broker that only delivers cannot hold each other up. What a blocking call hears
//! and was not waiting for goes to the backlog, in order, and the next `poll`, `wait` or `messages` tells it first.
//! When the backlog is full, blocking writes stop reading (the broker's overflow policies then act, as they do
//! for any reader that does not keep up) and blocking waits end with [`Error::BacklogFull`].

use crate::backlog::Backlog;
use crate::driver::{Driver, Patience};
use crate::error::Error;
use crate::event::{Answer, CallHandle, Event, OwnedMessage, PublishId, Publisher, RequestId, Subject, SubscriptionId};
use crate::options::{Message, Options, SubscribeOptions};
use crate::session::Welcome;
use fanwire_wire::frame::{AckLevel, Outcome, Start};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

/// Reads that one `poll` makes at the most, so that a flood of messages cannot keep a game loop from its frame.
const READS_PER_POLL: usize = 16;
/// How much longer than its deadline a request waits locally: the broker tells the deadline, this is for a dead one.
const REQUEST_GRACE: Duration = Duration::from_secs(5);

/// A connection to a broker that mends itself. Dropping it closes at once and loses what is still buffered; call
/// [`Client::close`] to lose nothing.
#[derive(Debug)]
pub struct Client {
    driver: Driver,
    backlog: Backlog,
}

/// What became of an acked publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Acked {
    /// What the message has survived.
    pub level: AckLevel,
    /// The sequence it got, when its topic is journaled.
    pub sequence: Option<u64>,
    /// Whether the journal had accepted it before: nothing was written now, and the sequence is that of then.
    pub is_duplicate: bool,
}

/// Opening, hearing, closing.
impl Client {
    /// Connects with the default [`Options`] and waits for the broker's welcome. Only this first attempt fails at
    /// once; later losses mend themselves.
    pub fn connect(url: &str) -> Result<Client, Error> {
        Client::open(Options::to(url)?)
    }

    /// Connects and waits for the broker's welcome.
    pub fn open(options: Options) -> Result<Client, Error> {
        let backlog = Backlog::new(options.backlog_bytes_max);
        Ok(Client { driver: Driver::open(options)?, backlog })
    }

    /// Writes what is buffered, reads what is there, and tells every event; never waits (a reconnect excepted, see
    /// `Options::connect_timeout`). Returns how many events it told. Allocates nothing per message.
    ///
    /// Fails only when the client is over: it will not reconnect, and every later call says the same.
    pub fn poll(&mut self, mut on_event: impl FnMut(Event<'_>)) -> Result<usize, Error> {
        let mut told = self.tell_backlog(&mut on_event);
        for _ in 0..READS_PER_POLL {
            let turn = self.driver.turn(Patience::None, true, &mut |event| {
                told += 1;
                on_event(event);
                ControlFlow::Continue(())
            })?;
            if !turn.more {
                break;
            }
        }
        Ok(told)
    }

    /// Like [`Client::poll`], but waits until there is at least one event or `timeout` has passed. Returns how many
    /// events it told; 0 after the timeout.
    pub fn wait(&mut self, timeout: Duration, mut on_event: impl FnMut(Event<'_>)) -> Result<usize, Error> {
        let deadline = Instant::now() + timeout;
        let mut told = self.tell_backlog(&mut on_event);
        loop {
            let left = if told == 0 { deadline.saturating_duration_since(Instant::now()) } else { Duration::ZERO };
            self.driver.turn(Patience::of(left), true, &mut |event| {
                told += 1;
                on_event(event);
                ControlFlow::Continue(())
            })?;
            if told > 0 || left.is_zero() {
                return Ok(told);
            }
        }
    }

    /// The messages of one subscription, one after another; each `next` blocks until there is one. Events of other
    /// kinds are set aside for `poll`. Ends when the subscription does; an error is the last item.
    pub const fn messages(&mut self, subscription: SubscriptionId) -> Messages<'_> {
        Messages { client: self, subscription, scanned: 0, over: false }
    }

    /// Whether commands can be sent right now: connected and welcomed.
    pub const fn is_connected(&self) -> bool {
        self.driver.is_up()
    }

    /// What the broker said in its latest welcome: limits, connection id, whether it is open.
    pub fn welcome(&self) -> &Welcome {
        self.driver.session.welcome()
    }

    /// Bytes that wait in the outgoing buffer.
    pub fn buffered_bytes(&self) -> usize {
        self.driver.session.outgoing().len()
    }

    /// Writes everything that is buffered, reading meanwhile. [`Error::Unknown`] when the connection ends before
    /// everything is written; the events that follow say what is known.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.write_until(0)
    }

    /// Sends a ping and waits for its answer: a round trip, and the certainty that the broker has handled
    /// everything sent before.
    pub fn ping(&mut self, timeout: Duration) -> Result<Duration, Error> {
        let begin = Instant::now();
        let sent = self.driver.session.ping()?;
        self.wait_for("the answer to a ping", Some(timeout), |event| match event {
            Event::Pong { token, .. } if token == sent => Heard::Mine(Ok(begin.elapsed())),
            Event::Disconnected { .. } => Heard::Shared(Err(Error::Disconnected), event),
            other => Heard::Other(other),
        })?
    }

    /// Writes everything, tells the broker that no more will come, and waits until it has taken everything and
    /// closed. Fails when something that was sent may not have arrived or the broker refused a publish meanwhile.
    pub fn close(mut self) -> Result<(), Error> {
        self.flush()?;
        let mut refused = self.backlog.first_refusal();
        self.driver.close(&mut |event| {
            if let (Event::Refused { refusal, .. }, None) = (event, &refused) {
                refused = Some(refusal);
            }
        })?;
        refused.map_or(Ok(()), |refusal| Err(Error::Refused(refusal)))
    }
}

/// Subscribing.
impl Client {
    /// Subscribes and waits until the subscription stands: what is published from then on reaches it. Survives
    /// reconnects, also while it waits. Where history follows, [`Event::Subscribed`] tells how it begins, before its
    /// first record.
    pub fn subscribe(&mut self, filter: &str, options: SubscribeOptions) -> Result<SubscriptionId, Error> {
        let timeout = self.driver.options().answer_timeout;
        let wanted = self.driver.session.subscribe(filter, options)?;
        let answer = self.wait_for("SUBSCRIBED", Some(timeout), |event| match event {
            Event::Subscribed { subscription, outcome: Outcome::Live, .. } if subscription == wanted => {
                Heard::Mine(Ok(wanted))
            }
            // Whether it is resumed or reset is the caller's to know, before the first record.
            Event::Subscribed { subscription, .. } if subscription == wanted => Heard::Shared(Ok(wanted), event),
            Event::Refused { subject: Subject::Subscription(subscription), refusal } if subscription == wanted => {
                Heard::Mine(Err(Error::Refused(refusal)))
            }
            other => Heard::Other(other),
        });
        if answer.is_err() {
            // Nobody holds its id, so it must not come to life later.
            self.driver.session.unsubscribe(wanted);
        }
        answer?
    }

    /// Subscribes without waiting: [`Event::Subscribed`] or [`Event::Refused`] follows.
    pub fn send_subscribe(&mut self, filter: &str, options: SubscribeOptions) -> Result<SubscriptionId, Error> {
        self.driver.session.subscribe(filter, options)
    }

    /// The place behind which a subscription would go on: the last record it was told, as [`Start::Resume`]. Worth
    /// keeping over restarts. `None` outside of journals, and before the first record.
    ///
    /// For a wildcard, records that reached it by the topic id of an exact subscription of this client are not
    /// counted: to resume in another client brings them again.
    pub fn place(&self, subscription: SubscriptionId) -> Option<Start> {
        self.driver.session.place(subscription)
    }

    /// Ends a subscription: none of its messages is told any more. [`Event::Unsubscribed`] confirms it,
    /// unless there is no connection.
    pub fn unsubscribe(&mut self, subscription: SubscriptionId) {
        self.driver.session.unsubscribe(subscription);
    }
}

/// Publishing.
impl Client {
    /// Publishes without an ack. Buffered until `flush`, `poll` or `wait`, or until much has gathered; blocks, reading
    /// meanwhile, only when the buffer is full, or when a message of the same producer is unanswered that the journal
    /// would forget over this one; for the options' `write_timeout` at the most, then it ends with [`Error::Timeout`].
    /// A refusal comes as [`Event::Refused`].
    pub fn publish(&mut self, topic: &str, payload: &[u8]) -> Result<(), Error> {
        self.publish_message(&Message::new(topic, payload))
    }

    /// Publishes by a registered short id, as [`Client::publish`] does by name.
    pub fn publish_to(&mut self, publisher: &Publisher, payload: &[u8]) -> Result<(), Error> {
        self.publish_message(&Message::to(publisher, payload))
    }

    /// Publishes any [`Message`], as [`Client::publish`] does.
    pub fn publish_message(&mut self, message: &Message<'_>) -> Result<(), Error> {
        while let Err(error) = self.driver.session.publish(message) {
            self.make_room(error)?;
        }
        self.driver.write_gathered();
        Ok(())
    }

    /// Like [`Client::publish`], but never blocks: [`Error::WouldBlock`] where that one would.
    pub fn try_publish(&mut self, topic: &str, payload: &[u8]) -> Result<(), Error> {
        self.try_publish_message(&Message::new(topic, payload))
    }

    /// Like [`Client::publish_message`], but never blocks: [`Error::WouldBlock`] where that one would.
    pub fn try_publish_message(&mut self, message: &Message<'_>) -> Result<(), Error> {
        let buffered = self.driver.session.publish(message);
        self.driver.write_gathered();
        buffered.map_err(|error| self.driver.explain(error))
    }

    /// Publishes and waits for the ack. [`Error::Unknown`] when the connection ends first: it may have happened.
    /// [`Error::Timeout`] leaves the publish in flight; its ack comes as an event.
    pub fn publish_acked(
        &mut self,
        topic: &str,
        payload: &[u8],
        level: AckLevel,
        timeout: Duration,
    ) -> Result<Acked, Error> {
        self.publish_message_acked(&Message::new(topic, payload), level, timeout)
    }

    /// Publishes any [`Message`] and waits for the ack, as [`Client::publish_acked`] does.
    pub fn publish_message_acked(
        &mut self,
        message: &Message<'_>,
        level: AckLevel,
        timeout: Duration,
    ) -> Result<Acked, Error> {
        let sent = self.send_acked(message, level)?;
        self.wait_for("the ack of a publish", Some(timeout), |event| match event {
            Event::Acked { first, count, level, first_sequence, is_duplicate }
                if is_within(sent, first, count.into()) =>
            {
                let sequence = first_sequence.map(|sequence| sequence.saturating_add(sent.0 - first.0));
                share(Ok(Acked { level, sequence, is_duplicate }), count.into(), event)
            }
            Event::Refused { subject: Subject::Publish(publish), refusal } if publish == sent => {
                Heard::Mine(Err(Error::from_refused_publish(refusal)))
            }
            Event::PublishesUnknown { first, count } if is_within(sent, first, count) => {
                share(Err(Error::Unknown), count, event)
            }
            Event::PublishesUnsent { first, count } if is_within(sent, first, count) => {
                share(Err(Error::Disconnected), count, event)
            }
            other => Heard::Other(other),
        })?
    }

    /// Publishes a message that the journal takes once ([`Message::once`]) and waits for the ack, over as many
    /// connections as it takes: what ended as unknown is sent again. [`Acked::is_duplicate`] says whether an earlier
    /// attempt was the one that counted. [`Error::Timeout`] leaves the outcome unknown; calling it again with the same
    /// message does no harm.
    ///
    /// # Panics
    /// When the message has no stamp: to send it again could journal it twice.
    pub fn publish_once(&mut self, message: &Message<'_>, level: AckLevel, timeout: Duration) -> Result<Acked, Error> {
        assert!(message.asked.producer.is_some(), "what is sent again has a stamp of its producer");
        let begin = Instant::now();
        loop {
            let left = timeout.saturating_sub(begin.elapsed());
            let outcome = self.publish_message_acked(message, level, left);
            match outcome {
                Err(Error::Unknown | Error::Disconnected) if !left.is_zero() => {
                    self.wait_for_connection(timeout.saturating_sub(begin.elapsed()))?;
                }
                settled => return settled,
            }
        }
    }

    /// Publishes and does not wait for the answer: [`Event::Acked`], [`Event::Refused`] or, when the connection ends
    /// first, [`Event::PublishesUnknown`] or [`Event::PublishesUnsent`] follows. Many may be in flight.
    pub fn send_acked(&mut self, message: &Message<'_>, level: AckLevel) -> Result<PublishId, Error> {
        loop {
            match self.driver.session.publish_acked(message, level) {
                Ok(publish) => {
                    self.driver.write_gathered();
                    return Ok(publish);
                }
                Err(error) => self.make_room(error)?,
            }
        }
    }

    /// Registers a topic, so that publishing to it carries two bytes instead of the name. The same topic gives the
    /// same publisher again. Nothing is waited for: the broker handles things in order.
    pub fn register(&mut self, topic: &str) -> Result<Publisher, Error> {
        self.driver.session.register(topic)
    }
}

/// Asking and answering.
impl Client {
    /// Asks and waits for the answer, at most `timeout`: the deadline that travels with the request.
    pub fn request(&mut self, topic: &str, payload: &[u8], timeout: Duration) -> Result<Answer<'static>, Error> {
        self.request_message(&Message::new(topic, payload), timeout)
    }

    /// Asks with any [`Message`], as [`Client::request`] does.
    pub fn request_message(&mut self, message: &Message<'_>, timeout: Duration) -> Result<Answer<'static>, Error> {
        let asked = self.send_request(message, timeout)?;
        let patience = timeout.saturating_add(REQUEST_GRACE);
        let answer = self.wait_for("the answer to a request", Some(patience), |event| match event {
            Event::Response { request, outcome } if request == asked => Heard::Mine(outcome.map(Answer::into_owned)),
            other => Heard::Other(other),
        });
        if answer.is_err() {
            self.driver.session.abandon(asked);
        }
        answer?
    }

    /// Asks and does not wait: [`Event::Response`] follows, whatever happens. Several may be in flight.
    pub fn send_request(&mut self, message: &Message<'_>, deadline: Duration) -> Result<RequestId, Error> {
        loop {
            match self.driver.session.request(message, deadline) {
                Ok(request) => return Ok(request),
                Err(error) => self.make_room(error)?,
            }
        }
    }

    /// Answers a call, once. Buffered like a publish. [`Error::Disconnected`] when the call came over a connection
    /// that has ended: its requester has been told already.
    pub fn respond(&mut self, call: &CallHandle, payload: &[u8]) -> Result<(), Error> {
        self.respond_with_headers(call, &[], payload)
    }

    /// Answers a call with a headers block, built with `Headers::push`.
    pub fn respond_with_headers(&mut self, call: &CallHandle, headers: &[u8], payload: &[u8]) -> Result<(), Error> {
        while let Err(error) = self.driver.session.respond(call, headers, payload) {
            self.make_room(error)?;
        }
        self.driver.write_gathered();
        Ok(())
    }
}

/// How blocking calls wait.
impl Client {
    fn tell_backlog(&mut self, on_event: &mut impl FnMut(Event<'_>)) -> usize {
        let mut told = 0;
        while let Some(event) = self.backlog.pop() {
            told += 1;
            on_event(event);
        }
        told
    }

    /// Turns until `pick` hears what is waited for; everything else goes to the backlog. Without a timeout it waits
    /// for ever.
    fn wait_for<T>(
        &mut self,
        what: &'static str,
        timeout: Option<Duration>,
        mut pick: impl for<'e> FnMut(Event<'e>) -> Heard<'e, T>,
    ) -> Result<T, Error> {
        let begin = Instant::now();
        let mut picked = None;
        loop {
            if self.backlog.is_full() {
                return Err(Error::BacklogFull { bytes_max: self.backlog.bytes_max() });
            }
            let left = timeout.map_or(Duration::MAX, |timeout| timeout.saturating_sub(begin.elapsed()));
            let backlog = &mut self.backlog;
            let turn = self.driver.turn(Patience::of(left), true, &mut |event| {
                let heard = if picked.is_some() { Heard::Other(event) } else { pick(event) };
                match heard {
                    Heard::Mine(value) => picked = Some(value),
                    Heard::Shared(value, event) => {
                        picked = Some(value);
                        backlog.push(event.into_owned());
                    }
                    Heard::Other(event) => backlog.push(event.into_owned()),
                }
                if picked.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            });
            // What was waited for counts even when the client ended in the same turn.
            if let Some(value) = picked {
                return Ok(value);
            }
            turn?;
            if left.is_zero() {
                return Err(Error::Timeout { what, after: begin.elapsed() });
            }
        }
    }

    fn wait_for_connection(&mut self, timeout: Duration) -> Result<(), Error> {
        if self.is_connected() {
            return Ok(());
        }
        self.wait_for("a new connection", Some(timeout), |event| match event {
            Event::Reconnected { .. } => Heard::Shared((), event),
            other => Heard::Other(other),
        })
    }

    /// Writes until half of the buffer is free, or reads once where none of it is in use and an answer is the trouble.
    fn make_room(&mut self, error: Error) -> Result<(), Error> {
        if !matches!(error, Error::WouldBlock) {
            return Err(self.driver.explain(error));
        }
        if self.buffered_bytes() == 0 {
            return self.wait_for_answer();
        }
        let goal = self.buffered_bytes() / 2;
        // The message at hand was not buffered, so a loss on the way leaves it certainly unsent.
        self.write_until(goal)
            .map_err(|error| if matches!(error, Error::Unknown) { Error::Disconnected } else { error })
    }

    /// Reads until something has come, for as long as a broker may take to read.
    fn wait_for_answer(&mut self) -> Result<(), Error> {
        let timeout = self.driver.options().write_timeout;
        let begin = Instant::now();
        let mut has_heard = false;
        while !has_heard {
            let backlog = &mut self.backlog;
            if backlog.is_full() {
                return Err(Error::BacklogFull { bytes_max: backlog.bytes_max() });
            }
            let left = timeout.saturating_sub(begin.elapsed());
            self.driver.turn(Patience::of(left), true, &mut |event| {
                has_heard = true;
                backlog.push(event.into_owned());
                ControlFlow::Continue(())
            })?;
            if left.is_zero() && !has_heard {
                return Err(Error::Timeout { what: "an answer to an earlier message of the producer", after: timeout });
            }
        }
        Ok(())
    }

    fn write_until(&mut self, goal_bytes: usize) -> Result<(), Error> {
        let timeout = self.driver.options().write_timeout;
        let mut least = self.buffered_bytes();
        let mut progress_at = Instant::now();
        let connection = self.driver.session.connection();
        while self.buffered_bytes() > goal_bytes {
            let backlog = &mut self.backlog;
            let reading = !backlog.is_full();
            self.driver.turn(Patience::Brief, reading, &mut |event| {
                backlog.push(event.into_owned());
                ControlFlow::Continue(())
            })?;
            if !self.driver.is_up() || self.driver.session.connection() != connection {
                return Err(Error::Unknown);
            }
            if self.buffered_bytes() < least {
                least = self.buffered_bytes();
                progress_at = Instant::now();
            } else if progress_at.elapsed() >= timeout {
                return Err(Error::Timeout { what: "the broker to read", after: timeout });
            }
        }
        Ok(())
    }
}

/// What an event means to a blocking call.
enum Heard<'e, T> {
    /// What it waited for.
    Mine(T),
    /// What it waited for, and something that the caller must hear of as well.
    Shared(T, Event<'e>),
    /// Nothing.
    Other(Event<'e>),
}

/// The end of a range of publishes: others in the range were sent by `send_acked` and must hear of it, too.
fn share<T>(value: T, count: u64, range: Event<'_>) -> Heard<'_, T> {
    if count == 1 { Heard::Mine(value) } else { Heard::Shared(value, range) }
}

fn is_within(publish: PublishId, first: PublishId, count: u64) -> bool {
    publish.0.checked_sub(first.0).is_some_and(|offset| offset < count)
}

/// The messages of one subscription; see [`Client::messages`].
#[derive(Debug)]
pub struct Messages<'c> {
    client: &'c mut Client,
    subscription: SubscriptionId,
    /// Events at the front of the backlog that are known to be no messages of this subscription.
    scanned: usize,
    over: bool,
}

impl Iterator for Messages<'_> {
    type Item = Result<OwnedMessage, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let subscription = self.subscription;
        let set_aside = self.client.backlog.take(&mut self.scanned, |event| is_of(event, subscription));
        let event = match set_aside {
            Some(event) => Ok(event),
            None => {
                let heard = self.client.wait_for("a message", None, |event| {
                    if is_of(&event, subscription) { Heard::Mine(event.into_owned()) } else { Heard::Other(event) }
                });
                // What was set aside meanwhile was looked at on its way there.
                self.scanned = self.client.backlog.len();
                heard
            }
        };
        let item = match event {
            Ok(Event::Message(message)) => return Some(Ok(message)),
            Ok(Event::Unsubscribed { refusal: Some(refusal), .. } | Event::Refused { refusal, .. }) => {
                Some(Err(Error::Refused(refusal)))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        };
        self.over = true;
        item
    }
}

/// Whether the event is a message of the subscription, or its end.
fn is_of(event: &Event<'_>, wanted: SubscriptionId) -> bool {
    match event {
        Event::Message(delivery) => delivery.subscription == wanted,
        Event::Unsubscribed { subscription, .. }
        | Event::Refused { subject: Subject::Subscription(subscription), .. } => *subscription == wanted,
        _ => false,
    }
}

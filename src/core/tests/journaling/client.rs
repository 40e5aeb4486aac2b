//! A client as protocol.md describes it: it hands each delivery to those of its subscriptions that it is for, and
//! remembers what it has seen, and what was true at that moment.

use crate::encoding::{Frame, LIVE, Named, read};
use crate::office::Mark;
use crate::swarm::{Swarm, journal_of, matches};
use fanwire_core::SessionId;
use fanwire_core::journal::format::Producer;
use fanwire_wire::Code;
use fanwire_wire::frame::{AckLevel, Policy, Scope, Start};
use std::collections::BTreeMap;

/// What a client asks of its shard.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Publish { publishes: Vec<usize>, bytes: usize },
    Subscribe { index: usize },
    Unsubscribe { index: usize },
}

/// A publish of the run.
#[derive(Debug, Clone)]
pub(crate) struct Publish {
    pub(crate) topic: &'static str,
    pub(crate) client: usize,
    pub(crate) ack: AckLevel,
    pub(crate) expect: Option<u64>,
    pub(crate) producer: Option<Producer>,
    /// The step in which the shard took it.
    pub(crate) taken: Option<u64>,
    pub(crate) answers: Vec<Answer>,
}

#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// The sequence, whether it is a duplicate, and what the journals were like.
    Acked(u64, bool, Mark),
    Refused(u64, Option<u64>),
}

/// What a subscription saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Seen {
    Record { position: u64, sequence: u64, publish: u64, is_history: bool },
    Live(u64),
    Gap { dropped: u64, conflated: u64 },
    Cursor(u64),
    CaughtUp(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Asked,
    History,
    Live,
    Over,
}

#[derive(Debug, Clone)]
pub(crate) struct Sub {
    pub(crate) number: u32,
    pub(crate) filter: &'static str,
    pub(crate) policy: Policy,
    pub(crate) no_echo: bool,
    pub(crate) max_rate_hz: u16,
    pub(crate) start: Start,
    /// The journal that it lies in.
    pub(crate) journal: Option<usize>,
    pub(crate) state: State,
    pub(crate) is_ending: bool,
    /// When the shard took it, and when SUBSCRIBED came.
    pub(crate) asked: Option<Mark>,
    pub(crate) told: Option<(Mark, u8)>,
    pub(crate) seen: Vec<Seen>,
    /// Why it ended; 0: because it was asked to.
    pub(crate) code: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) node: usize,
    pub(crate) session: Option<SessionId>,
    pub(crate) is_slow: bool,
    pub(crate) is_stopped: bool,
    pub(crate) is_blocked: bool,
    pub(crate) pending: Option<Ask>,
    bytes: Vec<u8>,
    pub(crate) subs: Vec<Sub>,
    ids: BTreeMap<u32, &'static str>,
    /// Publishes by their number.
    pub(crate) numbered: Vec<usize>,
    /// Publishes without an acknowledgement that were refused.
    pub(crate) refused_unasked: usize,
    pub(crate) producer_numbers: u64,
    pub(crate) trace: Vec<String>,
    pub(crate) is_traced: bool,
}

impl Client {
    pub(crate) fn new(node: usize, session: SessionId, is_slow: bool, is_traced: bool) -> Client {
        Client {
            node,
            session: Some(session),
            is_slow,
            is_stopped: false,
            is_blocked: false,
            pending: None,
            bytes: Vec::new(),
            subs: Vec::new(),
            ids: BTreeMap::new(),
            numbered: Vec::new(),
            refused_unasked: 0,
            producer_numbers: 0,
            trace: Vec::new(),
            is_traced,
        }
    }

    /// A subscription's number that is free: small, so that numbers are used again.
    pub(crate) fn free_number(&self) -> u32 {
        let is_used = |number: &u32| self.subs.iter().any(|sub| sub.number == *number && sub.state != State::Over);
        (1..).find(|number| !is_used(number)).expect("numbers do not end")
    }

    /// Subscriptions that stand or are to stand.
    pub(crate) fn standing(&self) -> Vec<usize> {
        let is_one = |index: &usize| self.subs[*index].state != State::Over && !self.subs[*index].is_ending;
        (0..self.subs.len()).filter(is_one).collect()
    }

    /// Takes bytes of its socket, and acts on every whole frame.
    pub(crate) fn take(&mut self, bytes: &[u8], mark: &Mark, swarm: &Swarm, publishes: &mut [Publish]) -> u64 {
        self.bytes.extend_from_slice(bytes);
        let mut at = 0;
        let mut count = 0;
        while let Some((frame, length)) = read(&self.bytes[at..]) {
            at += length;
            count += 1;
            if self.is_traced {
                self.trace.push(format!("  {}: {frame:?}", mark.step));
            }
            self.act(frame, mark, swarm, publishes);
        }
        self.bytes.drain(..at);
        count
    }

    fn sub(&mut self, number: u32) -> &mut Sub {
        let found = self.subs.iter_mut().rev().find(|sub| sub.number == number && sub.state != State::Over);
        found.unwrap_or_else(|| panic!("a frame names subscription {number}, which is not there"))
    }

    fn act(&mut self, frame: Frame, mark: &Mark, swarm: &Swarm, publishes: &mut [Publish]) {
        match frame {
            Frame::Message { address, sequence, position, publish } => {
                self.hear_message(&address, sequence, position, publish, mark, swarm, publishes);
            }
            Frame::History { subscription, topic, sequence, position, publish } => {
                let sub = self.sub(subscription);
                assert_eq!(sub.state, State::History, "HISTORY comes between SUBSCRIBED or CURSOR and CAUGHT_UP");
                assert!(matches(sub.filter, &topic) && publishes[publish as usize].topic == topic);
                mark.check_released(sub.journal.expect("history comes from a journal"), position);
                sub.seen.push(Seen::Record { position, sequence, publish, is_history: true });
            }
            Frame::Subscribed { subscription, topic_id, outcome } => {
                let sub = self.sub(subscription);
                assert_eq!(sub.state, State::Asked, "SUBSCRIBED comes once");
                assert_eq!(sub.start == Start::Live, outcome == LIVE, "start live has outcome live, and no other has");
                sub.state = if outcome == LIVE { State::Live } else { State::History };
                sub.told = Some((mark.clone(), outcome));
                let filter = sub.filter;
                assert_eq!(topic_id > 0, !filter.contains(['+', '#']));
                if topic_id > 0 {
                    self.ids.insert(topic_id, filter);
                }
            }
            Frame::Unsubscribed { subscription, code } => {
                let sub = self.sub(subscription);
                assert!(sub.told.is_some(), "SUBSCRIBED is the first frame of a subscription");
                assert!(code != 0 || sub.is_ending, "nobody has asked for that");
                sub.state = State::Over;
                sub.code = Some(code);
            }
            Frame::CaughtUp { subscription, position } => {
                let sub = self.sub(subscription);
                assert_eq!(sub.state, State::History, "CAUGHT_UP ends history");
                sub.state = State::Live;
                sub.seen.push(Seen::CaughtUp(position));
            }
            Frame::Cursor { subscription, position } => {
                let sub = self.sub(subscription);
                assert_eq!(sub.state, State::Live, "CURSOR begins history");
                assert_eq!(sub.policy, Policy::CatchUp);
                sub.state = State::History;
                sub.seen.push(Seen::Cursor(position));
            }
            Frame::Gap { subscription, dropped, conflated } => {
                self.sub(subscription).seen.push(Seen::Gap { dropped, conflated });
            }
            Frame::Acked { first, count, level, first_sequence, is_duplicate } => {
                self.note_acked(first, count, level, first_sequence, is_duplicate, mark, publishes);
            }
            // UNSUBSCRIBE may cross with an end by the broker.
            Frame::Refused { scope, code, .. } if scope == Scope::Subscription as u8 => {
                assert_eq!(code, Code::UnknownSubscription as u64);
            }
            Frame::Refused { reference: 0, .. } => self.refused_unasked += 1,
            Frame::Refused { reference, code, actual, .. } => {
                let publish = *self.numbered.get(reference as usize - 1).expect("the number of a publish");
                publishes[publish].answers.push(Answer::Refused(code, actual));
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the parts of one frame")]
    fn hear_message(
        &mut self,
        address: &Named,
        sequence: u64,
        position: u64,
        publish: u64,
        mark: &Mark,
        swarm: &Swarm,
        publishes: &[Publish],
    ) {
        let topic = match address {
            Named::Id(id) => *self.ids.get(id).unwrap_or_else(|| panic!("nobody was told of id {id}")),
            Named::Name(name) => publishes[publish as usize]
                .topic
                .get(..)
                .filter(|topic| topic == name)
                .expect("a message comes with the topic that it was published to"),
        };
        assert_eq!(topic, publishes[publish as usize].topic, "a message comes with its own topic");
        let journal = journal_of(topic, swarm.syncs.len());
        assert_eq!(journal.is_some(), position > 0, "{topic}: records have positions, messages have none");
        if let Some(journal) = journal {
            mark.check_released(journal, position);
        }
        for sub in self.subs.iter_mut().filter(|sub| sub.state == State::Live && matches(sub.filter, topic)) {
            sub.seen.push(match journal {
                Some(_) => Seen::Record { position, sequence, publish, is_history: false },
                None => Seen::Live(publish),
            });
        }
    }

    #[expect(clippy::too_many_arguments, reason = "they are the parts of one frame")]
    fn note_acked(
        &mut self,
        first: u64,
        count: u64,
        level: u8,
        first_sequence: u64,
        is_duplicate: bool,
        mark: &Mark,
        publishes: &mut [Publish],
    ) {
        let mut topic = None;
        for offset in 0..count {
            let publish = *self.numbered.get((first + offset) as usize - 1).expect("the number of a publish");
            let publish = &mut publishes[publish];
            assert_eq!(level, publish.ack as u8, "an ACK tells the level that was asked for");
            let sequence = if first_sequence == 0 { 0 } else { first_sequence + offset };
            if sequence > 0 {
                assert_eq!(
                    *topic.get_or_insert(publish.topic),
                    publish.topic,
                    "a range with sequences is of one topic"
                );
            }
            publish.answers.push(Answer::Acked(sequence, is_duplicate, mark.clone()));
        }
    }
}

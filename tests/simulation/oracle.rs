//! The oracle: a naive model of what protocol.md promises, told of everything that the broker takes in and of
//! everything that clients get, and failing the run when the two do not fit.
//!
//! ```text
//!  taken in  --judge--> a breach? --execute--> interest: who should get it     requests: who may answer it
//!                                              answers: what has to be told
//!  got       --observe----------------------->  taken off again, or the run has failed
//!  at rest   --settle-------------------------> nothing may be left
//! ```
//!
//! It knows nothing of queues, so it does not say what is lost to a full one; but it knows what was published under
//! each subscription, and whatever does not arrive has to be told. It shares no code with the broker but the frames'
//! layout.

use crate::accounts::{AccountId, Accounts};
use crate::answers::Promise;
use crate::grammar;
use crate::groups::Groups;
use crate::interest::{Lane, Message, Newest, Subscription};
use crate::link::Written;
use crate::requests::Requests;
use crate::said::{Said, Target, Uid, Wish};
use crate::transit::Transit;
use fanwire_core::Time;
use fanwire_wire::frame::{AckLevel, Policy, Scope, Start};
use fanwire_wire::{Code, Limits};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A topic's number in the oracle's own list.
pub(crate) type TopicIndex = u32;
/// A subscription's index in the list of all that there ever were.
pub(crate) type SubscriptionIndex = usize;

/// How far a connection has come, as the broker should see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Preface,
    Hello,
    Open,
}

/// How a connection ended for the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Reset.
    Cut,
    /// The client's goodbye.
    Left,
    /// The broker's last word.
    Closed(Code),
}

/// What should become of something that was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Fine,
    Breach(Code),
    /// Depends on what is under way inside of the broker.
    Perhaps(Code),
}

/// One connection: what the broker has taken in of it, and what it has got.
pub(crate) struct Connection {
    /// The index of its node.
    pub(crate) home: usize,
    pub(crate) stage: Stage,
    pub(crate) end: Option<End>,
    /// What was queued may be gone: cut, or closed for its slowness. Nothing has to arrive any more.
    pub(crate) is_lost: bool,
    /// Its queue was thrown away after its last word was put there.
    pub(crate) is_silenced: bool,
    pub(crate) ended_turn: u64,
    /// Nothing waits for it as this turn begins; and whether something ever did.
    pub(crate) is_clear: bool,
    pub(crate) was_loaded: bool,
    keep_alive_ms: u32,

    /// Subscriptions by their numbers, as the broker has them.
    pub(crate) subscriptions: BTreeMap<u32, SubscriptionIndex>,
    /// The same as the client was told of them.
    pub(crate) standing: BTreeMap<u32, SubscriptionIndex>,
    /// Some subscription of it wants no stale data to wait in the kernel.
    pub(crate) wants_freshness: bool,
    /// When a subscription of its own last came or went: what governs may have changed.
    pub(crate) changed_at: Time,
    pub(crate) registered: BTreeMap<u16, Result<TopicIndex, Code>>,
    pub(crate) publish_number: u64,

    pub(crate) has_preface: bool,
    pub(crate) last_word: Option<Code>,
    pub(crate) promises: VecDeque<Promise>,
    /// By publish number: acknowledged, or refused with one of these.
    pub(crate) answers: BTreeMap<u64, Result<(Uid, u32), Vec<Code>>>,
    pub(crate) lanes: BTreeMap<(Uid, TopicIndex), Lane>,
    pub(crate) newest: BTreeMap<TopicIndex, Newest>,
    /// The last delivery of each topic whose rate is bounded, and the account it went to.
    pub(crate) paced: BTreeMap<TopicIndex, (AccountId, Written)>,
    /// The last message of each publisher and topic that each of its group subscriptions got.
    pub(crate) shares: BTreeMap<(SubscriptionIndex, Uid, TopicIndex), u32>,
    /// Requests without a response, by correlation, the oldest first.
    pub(crate) asked: BTreeMap<u32, VecDeque<usize>>,
    /// Requests by handle, from 1 on.
    pub(crate) calls: Vec<usize>,
}

impl Connection {
    const fn new(home: usize) -> Self {
        Connection {
            home,
            stage: Stage::Preface,
            end: None,
            is_lost: false,
            is_silenced: false,
            ended_turn: 0,
            is_clear: true,
            was_loaded: false,
            keep_alive_ms: 0,
            subscriptions: BTreeMap::new(),
            standing: BTreeMap::new(),
            wants_freshness: false,
            changed_at: Time::from_micros(0),
            registered: BTreeMap::new(),
            publish_number: 0,
            has_preface: false,
            last_word: None,
            promises: VecDeque::new(),
            answers: BTreeMap::new(),
            lanes: BTreeMap::new(),
            newest: BTreeMap::new(),
            paced: BTreeMap::new(),
            shares: BTreeMap::new(),
            asked: BTreeMap::new(),
            calls: Vec::new(),
        }
    }
}

impl Connection {
    /// The silence after which the broker asks.
    pub(crate) fn keep_alive(&self) -> Option<Duration> {
        (self.keep_alive_ms > 0).then(|| Duration::from_millis(self.keep_alive_ms.into()))
    }
}

/// What a run did, to see that it did something.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub(crate) connections: u64,
    pub(crate) published: u64,
    pub(crate) refused: u64,
    pub(crate) delivered: u64,
    pub(crate) group_delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) conflated: u64,
    pub(crate) requests: u64,
    pub(crate) replies: u64,
    pub(crate) answered: u64,
    pub(crate) slow_closed: u64,
    pub(crate) overflowed: u64,
    pub(crate) breaches: u64,
    /// Deliveries of which the protocol leaves open whether they come.
    pub(crate) optional: u64,
    /// Of the mail between nodes.
    pub(crate) mailed: u64,
    pub(crate) pieces: u64,
    pub(crate) postponed: u64,
    pub(crate) jams: u64,
    pub(crate) returned: u64,
    /// Who saw SUBSCRIBED told somebody, who published, and it came.
    pub(crate) witnessed: u64,
    /// The same while a node stood still.
    pub(crate) witnessed_beside: u64,
    /// Standstills beside which everything of others went on, and such beside which something had to wait.
    pub(crate) stood_still: u64,
    pub(crate) held_up: u64,
}

pub(crate) struct Oracle {
    pub(crate) limits: Limits,
    is_open: bool,
    pub(crate) is_total_tight: bool,
    pub(crate) now: Time,
    pub(crate) turn: u64,
    /// Counts what is taken in: orders it across nodes.
    pub(crate) moment: u64,
    /// The one at which nothing was under way the last time.
    pub(crate) rested_at: u64,
    /// The last one at which the mail from one node to another took nothing more.
    pub(crate) full_at: Option<u64>,
    /// Picks of groups that came back so far, on all nodes.
    pub(crate) returned: u64,
    pub(crate) transit: Transit,
    pub(crate) connections: Vec<Connection>,
    /// Those that have not ended.
    pub(crate) alive: BTreeSet<Uid>,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) accounts: Accounts,
    pub(crate) groups: Groups,
    pub(crate) messages: BTreeMap<(Uid, u32), Message>,
    pub(crate) requests: Requests,
    pub(crate) topics: Vec<String>,
    topics_by_name: BTreeMap<String, TopicIndex>,
    pub(crate) totals: Totals,
}

impl Oracle {
    pub(crate) fn new(limits: Limits, is_open: bool, is_total_tight: bool, nodes: usize) -> Self {
        Oracle {
            limits,
            is_open,
            is_total_tight,
            now: Time::default(),
            turn: 0,
            moment: 0,
            rested_at: 0,
            full_at: None,
            returned: 0,
            transit: Transit::new(nodes),
            connections: Vec::new(),
            alive: BTreeSet::new(),
            subscriptions: Vec::new(),
            accounts: Accounts::default(),
            groups: Groups::default(),
            messages: BTreeMap::new(),
            requests: Requests::default(),
            topics: Vec::new(),
            topics_by_name: BTreeMap::new(),
            totals: Totals::default(),
        }
    }

    /// Whether there are several nodes, which loosens what depends on one doing everything at once.
    pub(crate) const fn is_spread(&self) -> bool {
        self.transit.nodes() > 1
    }

    /// A client has connected.
    pub(crate) fn open(&mut self, home: usize) -> Uid {
        self.totals.connections += 1;
        let uid = self.connections.len() as Uid;
        self.connections.push(Connection::new(home));
        self.alive.insert(uid);
        uid
    }

    pub(crate) fn connection(&mut self, uid: Uid) -> &mut Connection {
        &mut self.connections[uid as usize]
    }

    pub(crate) fn topic_index(&mut self, name: &str) -> TopicIndex {
        if let Some(index) = self.topics_by_name.get(name) {
            return *index;
        }
        let index = self.topics.len() as TopicIndex;
        self.topics.push(name.to_owned());
        self.topics_by_name.insert(name.to_owned(), index);
        index
    }

    /// What the broker should make of something that is said now.
    pub(crate) fn judge(&self, uid: Uid, said: &Said) -> Verdict {
        let connection = &self.connections[uid as usize];
        let breach = match (connection.stage, said) {
            (_, Said::Breach { code, .. }) => Some(*code),
            (Stage::Preface, Said::Preface) => None,
            (Stage::Hello, Said::Hello { knows_token, .. }) => {
                (!self.is_open && !knows_token).then_some(Code::BadCredentials)
            }
            (Stage::Preface | Stage::Hello, _) | (Stage::Open, Said::Hello { .. } | Said::Preface) => {
                Some(Code::UnexpectedFrame)
            }
            (Stage::Open, Said::Publish { to: Target::Short(short_id), .. }) => {
                let is_known = connection.registered.contains_key(short_id) || *short_id >= self.limits.short_ids_max;
                (!is_known).then_some(Code::UnknownShortId)
            }
            (Stage::Open, Said::Subscribe(wish)) => {
                connection.subscriptions.contains_key(&wish.subscription).then_some(Code::DuplicateSubscription)
            }
            (Stage::Open, Said::Reply { handle, .. }) => {
                let is_known = *handle > 0 && *handle <= connection.calls.len() as u64;
                (!is_known).then_some(Code::UnknownReplyHandle)
            }
            (Stage::Open, Said::Request { correlation, .. }) if connection.asked.contains_key(correlation) => {
                // The one before may have been answered without the client knowing.
                return Verdict::Perhaps(Code::DuplicateCorrelation);
            }
            (Stage::Open, _) => None,
        };
        breach.map_or(Verdict::Fine, Verdict::Breach)
    }

    /// The broker has taken this in, and it was no breach.
    pub(crate) fn execute(&mut self, uid: Uid, said: &Said) {
        self.moment += 1;
        match said {
            Said::Preface => self.connection(uid).stage = Stage::Hello,
            Said::Hello { keep_alive_ms, .. } => {
                let granted = if *keep_alive_ms == 0 { 0 } else { (*keep_alive_ms).clamp(1_000, 3_600_000) };
                let connection = self.connection(uid);
                connection.stage = Stage::Open;
                connection.keep_alive_ms = granted;
                connection.promises.push_back(Promise::Welcome { keep_alive_ms: granted });
            }
            Said::Register { short_id, topic } => self.register(uid, *short_id, topic),
            Said::Publish { to, ack, body } => {
                let verdict = self.admit(uid, to, *ack, body.headers_bytes);
                let answer = verdict.clone().map(|_| (body.author, body.serial));
                self.expect_answer(uid, *ack, answer);
                if let Ok(topic) = verdict {
                    self.totals.published += 1;
                    self.expect_deliveries(uid, topic, body);
                }
            }
            Said::Subscribe(wish) => self.subscribe(uid, wish),
            Said::Unsubscribe { subscription } => self.unsubscribe(uid, *subscription),
            Said::Request { correlation, deadline_ms, topic, body } => {
                self.ask(uid, *correlation, *deadline_ms, topic, body);
            }
            Said::Reply { handle, body } => self.reply(uid, *handle, body),
            Said::Ping { time } => self.connection(uid).promises.push_back(Promise::Pong { time: *time }),
            Said::Pong { .. } => {}
            Said::Breach { bytes, code } => panic!("connection {uid}: {bytes:02x?} was taken in, but is {code}"),
        }
    }

    fn register(&mut self, uid: Uid, short_id: u16, topic: &[u8]) {
        if short_id >= self.limits.short_ids_max {
            return self.refuse(uid, Scope::Register, &[Code::ShortIdOutOfRange], u64::from(short_id));
        }
        let faults = grammar::topic_faults(topic, &self.limits);
        let meaning = match faults.first() {
            None => Ok(self.topic_index(std::str::from_utf8(topic).expect("a name without faults is text"))),
            Some(code) => {
                self.refuse(uid, Scope::Register, &faults, u64::from(short_id));
                Err(*code)
            }
        };
        self.connection(uid).registered.insert(short_id, meaning);
    }

    /// The topic of a publish that is to be routed, or the codes that it may be refused with.
    fn admit(&mut self, uid: Uid, to: &Target, ack: AckLevel, headers_bytes: u32) -> Result<TopicIndex, Vec<Code>> {
        let mut faults = Vec::new();
        if headers_bytes > self.limits.headers_bytes_max {
            faults.push(Code::HeadersTooLarge);
        }
        if matches!(ack, AckLevel::Journaled | AckLevel::Durable) {
            faults.push(Code::AckLevelUnavailable);
        }
        match to {
            Target::Short(short_id) if *short_id >= self.limits.short_ids_max => faults.push(Code::ShortIdOutOfRange),
            Target::Short(short_id) => match self.connection(uid).registered[short_id] {
                Ok(topic) if faults.is_empty() => return Ok(topic),
                Ok(_) => {}
                Err(code) => faults.push(code),
            },
            Target::Name(name) => {
                faults.extend(grammar::topic_faults(name, &self.limits));
                if faults.is_empty() {
                    return Ok(self.topic_index(std::str::from_utf8(name).expect("a name without faults is text")));
                }
            }
        }
        Err(faults)
    }

    fn subscribe(&mut self, uid: Uid, wish: &Wish) {
        let faults = self.subscribe_faults(uid, wish);
        if !faults.is_empty() {
            return self.refuse(uid, Scope::Subscription, &faults, u64::from(wish.subscription));
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("what has no faults is text");
        let index = self.subscriptions.len();
        let since = self.moment;
        self.subscriptions.push(Subscription {
            connection: uid,
            number: wish.subscription,
            filter: text(&wish.filter),
            group: (!wish.group.is_empty()).then(|| text(&wish.group)),
            responder: wish.responder,
            policy: wish.policy,
            max_rate_hz: wish.max_rate_hz,
            no_echo: wish.no_echo,
            account: self.accounts.open(wish.policy == Policy::Conflate),
            topic_id: 0,
            since,
            stands_since: wish.group.is_empty().then_some(since),
            ended: None,
        });
        self.groups.changes += 1;
        let now = self.now;
        let connection = self.connection(uid);
        connection.changed_at = now;
        connection.wants_freshness |= matches!(wish.policy, Policy::Conflate | Policy::DropOldest);
        connection.subscriptions.insert(wish.subscription, index);
        connection.promises.push_back(Promise::Subscribed { subscription: index });
        if wish.group.is_empty() {
            self.reconsider_landing(uid, index);
        } else {
            self.note_member(index);
        }
    }

    fn subscribe_faults(&self, uid: Uid, wish: &Wish) -> Vec<Code> {
        let mut faults = grammar::filter_faults(&wish.filter, &self.limits);
        if !wish.group.is_empty() {
            faults.extend(grammar::group_faults(&wish.group));
        } else if wish.responder {
            faults.push(Code::InvalidGroup);
        }
        if self.connections[uid as usize].subscriptions.len() >= self.limits.subscriptions_max as usize {
            faults.push(Code::TooManySubscriptions);
        }
        if wish.policy == Policy::CatchUp || (wish.policy == Policy::Conflate && !wish.group.is_empty()) {
            faults.push(Code::PolicyUnavailable);
        }
        if wish.max_rate_hz > 0 && wish.policy != Policy::Conflate {
            faults.push(Code::RateUnavailable);
        }
        if wish.start != Start::Live {
            faults.push(Code::StartUnavailable);
        }
        faults
    }

    fn unsubscribe(&mut self, uid: Uid, number: u32) {
        self.groups.changes += 1;
        self.connection(uid).changed_at = self.now;
        match self.connection(uid).subscriptions.remove(&number) {
            Some(index) => {
                self.connection(uid).promises.push_back(Promise::Unsubscribed { subscription: index });
                self.note_over(index);
                if self.subscriptions[index].group.is_none() {
                    self.reconsider_landing(uid, index);
                }
            }
            None => self.refuse(uid, Scope::Subscription, &[Code::UnknownSubscription], u64::from(number)),
        }
    }

    /// The broker is done with a connection: nothing is expected for it from here on.
    pub(crate) fn end(&mut self, uid: Uid, end: End) {
        let turn = self.turn;
        let connection = self.connection(uid);
        connection.is_lost |= end == End::Cut;
        if connection.end.is_some() {
            return;
        }
        connection.end = Some(end);
        connection.ended_turn = turn;
        self.alive.remove(&uid);
        self.groups.changes += 1;
        self.moment += 1;
        self.forgo_landing(uid);
        self.end_calls(uid);
        for index in self.connections[uid as usize].subscriptions.values().copied().collect::<Vec<_>>() {
            self.note_over(index);
        }
        match end {
            End::Closed(Code::SlowConsumer) => self.totals.slow_closed += 1,
            End::Closed(Code::QueueOverflow) => self.totals.overflowed += 1,
            End::Closed(_) => self.totals.breaches += 1,
            _ => {}
        }
    }

    /// The broker closes a connection because its queue is full, and throws away what was queued.
    pub(crate) fn doom(&mut self, uid: Uid, code: Code) {
        let is_total_tight = self.is_total_tight;
        let connection = self.connection(uid);
        connection.is_lost = true;
        connection.is_silenced = connection.end.is_some();
        let is_allowed = match code {
            Code::SlowConsumer => !connection.is_clear,
            Code::QueueOverflow => !connection.is_clear || is_total_tight,
            _ => false,
        };
        assert!(is_allowed, "connection {uid}: {code}, but nothing waited for it when the turn began");
    }
}

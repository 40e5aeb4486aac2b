//! Subscribing and unsubscribing: what is asked is checked, attached where it belongs, and told.
//!
//! A subscription stands in one of three places: with its topic (exact), at a node of the filter tree (wildcard), or
//! among a group's members, wherever that group lives. Other shards see the interest before SUBSCRIBED is told, and
//! where the filter lies inside a journal, that has said where it begins (`cursors`), whatever its start. Before
//! the change, what its change concerns is fanned out, so that SUBSCRIBED and UNSUBSCRIBED stand in the queue exactly
//! between what the session gets and what it does not.

use crate::arena::{EntryKey, HeldKey, Key, SessionKey, SubscriptionKey};
use crate::command::Subscribe;
use crate::encoding::Event;
use crate::interest::{Kind, Reach};
use crate::journal::plan::JournalId;
use crate::session::SessionId;
use crate::shard::{Handled, Shard};
use crate::subscription::{Place, Subscription};
use crate::topics::Topic;
use fanwire_wire::frame::{Outcome, Policy, Scope, Start};
use fanwire_wire::topic::check_group;
use fanwire_wire::{Code, TopicFilter, Violation};

/// A SUBSCRIBE that can be done.
struct Checked<'a> {
    filter: TopicFilter<'a>,
    group: Option<&'a str>,
    /// The journal that all its topics are in; none for a group.
    journal: JournalId,
}

impl Shard {
    pub(crate) fn subscribe(&mut self, session: SessionKey, wish: &Subscribe<'_>) -> Result<Handled, Violation> {
        let Err(index) = self.sessions[session].find_subscription(wish.subscription, &self.subscriptions) else {
            return Err(Violation(Code::DuplicateSubscription));
        };
        let Checked { filter, group, journal } = match self.check_subscribe(session, wish) {
            Ok(checked) => checked,
            Err(code) => {
                self.refuse(session, Scope::Subscription, code, u64::from(wish.subscription));
                return Ok(Handled::Done);
            }
        };
        // One that could not be opened is never asked: nothing comes from there.
        let is_asked = journal.is_some() && !self.journaling.plan.get(journal).is_refused;
        if is_asked && self.must_wait_for_journal(session) {
            return Ok(Handled::Postponed);
        }
        let home = group.map(|group| self.home_of(filter, group, wish.responder));
        if let Some(home) = home
            && self.must_wait(session, 1 << home & !self.exchange.seat.bit(), None)
        {
            return Ok(Handled::Postponed);
        }
        let key = self.subscriptions.next_key();
        let (place, position) = match home {
            Some(home) => (Place::Group(self.open_membership(key, home)), 0),
            None => self.attach(key, filter),
        };
        let inserted = self.subscriptions.insert(Subscription {
            session,
            number: wish.subscription,
            place,
            position,
            queued_first: EntryKey::NONE,
            queued_last: EntryKey::NONE,
            held: HeldKey::NONE,
            max_rate_hz: wish.max_rate_hz,
            policy: wish.policy,
            no_echo: wish.no_echo,
            journal,
            is_replaying: false,
        });
        assert!(inserted == key, "nothing else was inserted meanwhile");
        self.sessions[session].insert_subscription(index, key, &self.subscriptions);
        if matches!(wish.policy, Policy::Conflate | Policy::DropOldest) {
            self.want_freshness(session);
        }
        match place {
            Place::Topic(topic) => {
                self.topics.get_mut(topic).encodings |= 1 << self.sessions[session].encoding.0;
            }
            Place::Node(_) => {}
            Place::Group(membership) => {
                // It is told once the group's home has it.
                self.join_group(membership, filter.as_str(), group.unwrap_or_default(), wish.responder);
                return Ok(Handled::Done);
            }
        }
        // Where a journal is asked, it is told once that has found the place.
        match wish.start {
            Start::Live if is_asked => self.begin_live(key),
            Start::Live => {
                self.yield_held_in(session, journal);
                self.tell_subscribed(key, Outcome::Live);
            }
            start => self.open_cursor(key, start, false),
        }
        Ok(Handled::Done)
    }

    /// Tells that a subscription stands, and how it begins.
    pub(crate) fn tell_subscribed(&mut self, key: SubscriptionKey, outcome: Outcome) {
        let Subscription { session, number, journal, .. } = self.subscriptions[key];
        let epoch = if journal.is_some() { self.journaling.plan.get(journal).epoch } else { 0 };
        let topic_id = self.topic_id_of(key);
        self.enqueue_event(session, &Event::Subscribed { subscription: number, topic_id, outcome, epoch });
    }

    /// What frames call a subscription's topic; 0 where they give its name.
    fn topic_id_of(&self, key: SubscriptionKey) -> u32 {
        match self.subscriptions[key].place {
            Place::Topic(topic) => Topic::id_of(topic),
            Place::Node(_) | Place::Group(_) => 0,
        }
    }

    /// Who begins to hear a journal's releases in the middle of a turn must not fall back on what came before.
    pub(crate) fn begin_listening(&mut self) {
        self.seal_all();
        self.journaling.begin_stretch();
    }

    fn home_of(&self, filter: TopicFilter<'_>, group: &str, responder: bool) -> u8 {
        self.groups.home_of(filter.as_str(), group, responder, self.exchange.seat.count())
    }

    /// Whether a session could subscribe so now, or why not.
    ///
    /// # Errors
    /// The code that the subscription would be refused with.
    pub fn check_subscription(&self, session: SessionId, wish: &Subscribe<'_>) -> Result<(), Code> {
        self.check_subscribe(self.key_of(session), wish).map(drop)
    }

    fn check_subscribe<'a>(&self, session: SessionKey, wish: &Subscribe<'a>) -> Result<Checked<'a>, Code> {
        let limits = &self.settings.limits;
        let is_full = self.sessions[session].subscription_count() >= limits.subscriptions_max as usize
            || self.subscriptions.len() >= self.settings.subscriptions_total_max as usize;
        if is_full {
            return Err(Code::TooManySubscriptions);
        }
        let filter = TopicFilter::new(wish.filter, limits)?;
        let group = if wish.group.is_empty() { None } else { Some(check_group(wish.group)?) };
        if wish.responder && group.is_none() {
            return Err(Code::InvalidGroup);
        }
        let journal = if group.is_some() || self.journaling.plan.is_empty() {
            JournalId::NONE
        } else {
            self.journaling.plan.covering(filter.as_str())
        };
        let is_possible = match wish.policy {
            Policy::CatchUp => journal.is_some(),
            Policy::Conflate => group.is_none(),
            Policy::Disconnect | Policy::DropOldest | Policy::DropNewest => true,
        };
        if !is_possible {
            return Err(Code::PolicyUnavailable);
        }
        if wish.max_rate_hz > 0 && wish.policy != Policy::Conflate {
            return Err(Code::RateUnavailable);
        }
        let is_startable = match wish.start {
            Start::Live => true,
            Start::Sequence { .. } => journal.is_some() && filter.is_exact(),
            _ => journal.is_some(),
        };
        if !is_startable {
            return Err(Code::StartUnavailable);
        }
        if wish.start != Start::Live && self.journaling.plan.get(journal).is_refused {
            // Nothing will be there until the broker starts anew: trying again is of no use.
            return Err(Code::JournalFailed);
        }
        Ok(Checked { filter, group, journal })
    }

    /// Puts a subscription where it will be found, by the other shards too, and returns where.
    fn attach(&mut self, key: SubscriptionKey, filter: TopicFilter<'_>) -> (Place, u32) {
        if !filter.is_exact() {
            self.prepare_wildcard_change();
            let node = self.filters.obtain(filter.as_str());
            self.raise_interest(Kind::Publications, self.filters.reach_of(node));
            return (Place::Node(node), self.filters.add_subscription(node, key));
        }
        let topic = self.topics.obtain(filter.as_str());
        // Without exact subscribers its messages may stand in a chunk that other topics share.
        if self.topics.get(topic).exact.is_empty() {
            self.seal_sets();
        }
        self.seal_topic(topic);
        self.topics.hold(topic);
        self.raise_interest(Kind::Publications, Reach::Exact(self.topics.get(topic).spot.hash));
        let exact = &mut self.topics.get_mut(topic).exact;
        exact.push(key);
        (Place::Topic(topic), (exact.len() - 1) as u32)
    }

    pub(crate) fn unsubscribe(&mut self, session: SessionKey, number: u32) {
        let Ok(index) = self.sessions[session].find_subscription(number, &self.subscriptions) else {
            return self.refuse(session, Scope::Subscription, Code::UnknownSubscription, u64::from(number));
        };
        self.end_subscription(session, index, None);
    }

    /// Ends a subscription that cannot go on.
    pub(crate) fn end_by_broker(&mut self, key: SubscriptionKey, code: Code) {
        let Subscription { session, number, .. } = self.subscriptions[key];
        let index = self.sessions[session].find_subscription(number, &self.subscriptions);
        self.end_subscription(session, index.expect("a subscription is its session's"), Some(code));
    }

    fn end_subscription(&mut self, session: SessionKey, index: usize, code: Option<Code>) {
        let key = self.sessions[session].subscription_at(index);
        // It may have to fall back for what is gathered already, so it is still one of its session's.
        self.end_listening(key);
        self.sessions[session].remove_subscription(index);
        let Subscription { place, number, .. } = self.subscriptions[key];
        let untold = self.take_untold(key);
        self.drop_cursor_of(key);
        self.detach(key);
        self.end_held_under(session, key, true);
        if let Place::Topic(topic) = place {
            self.end_held_of(session, topic);
        }
        self.detach_chain(key);
        if let Some(outcome) = untold {
            // Nothing stands behind it that it could be taken to be for.
            self.tell_subscribed(key, outcome);
        }
        self.subscriptions.remove(key);
        self.enqueue_event(session, &Event::Unsubscribed { subscription: number, code });
    }

    /// Takes a subscription out of its place; what was published before is fanned out first.
    pub(crate) fn detach(&mut self, key: SubscriptionKey) {
        let Subscription { place, position, .. } = self.subscriptions[key];
        match place {
            Place::Topic(topic) => {
                self.seal_topic(topic);
                self.remove_exact(topic, position);
                self.lower_interest(Kind::Publications, Reach::Exact(self.topics.get(topic).spot.hash));
                self.topics.unhold(topic);
            }
            Place::Node(node) => {
                self.prepare_wildcard_change();
                self.lower_interest(Kind::Publications, self.filters.reach_of(node));
                if let Some(moved) = self.filters.remove_subscription(node, position) {
                    self.subscriptions[moved].position = position;
                }
            }
            Place::Group(membership) => self.leave(membership),
        }
    }

    /// Anything open may concern a wildcard, and no topic may join a set made before its change.
    pub(crate) fn prepare_wildcard_change(&mut self) {
        self.seal_all();
        self.topics.close_sets();
    }

    /// Tells the shell, once, that a socket should not hide much unsent data in the kernel.
    fn want_freshness(&mut self, session: SessionKey) {
        let state = &mut self.sessions[session];
        if !state.wants_freshness {
            state.wants_freshness = true;
            self.freshness.push(SessionId { key: session, generation: state.generation });
        }
    }
}

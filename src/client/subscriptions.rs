//! What this client is subscribed to, and which subscriptions a message belongs to.
//!
//! ```text
//!  table     id -> filter, options, state             survives reconnects; asked for again on each
//!  topics    topic id -> name, matching subscriptions MESSAGE, RECORD: one look-up, nothing to match
//!  by_name   subscriptions to try a name against      MESSAGE_NAMED, RECORD_NAMED
//!  recent    what came of trying, for names of late
//! ```
//!
//! One message is one frame, however many subscriptions of this client it belongs to (protocol.md, overlap): by
//! topic id when an exact filter is among them, else by name. So a topic's entry lists the exact subscriptions and
//! every wildcard that matches the name, and `by_name` holds the wildcards, and exact ones that got no id.
//!
//! A subscription with a history to read is in neither until it has caught up. What it was told of a journal, it
//! remembers (`progress`), and asks for what is behind that on the next connection.
//!
//! Groups and responders are in neither: their frames name the subscription. Only what *stands* (SUBSCRIBED came,
//! no UNSUBSCRIBE was sent) is told anything. `topics` and `by_name` belong to the connection and end with it.

use crate::error::Error;
use crate::event::SubscriptionId;
use crate::options::SubscribeOptions;
use crate::progress::{Place, Progress};
use crate::recent::RecentNames;
use fanwire_wire::frame::{Outcome, Start, Subscribe, Subscribed};
use fanwire_wire::{Code, Limits, TopicFilter, TopicName, Violation};
use std::collections::{BTreeMap, HashMap};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not answered yet, or not even sent because there is no connection.
    Asked,
    /// SUBSCRIBED came.
    Standing,
    /// UNSUBSCRIBE was sent; nothing is told any more.
    Ending,
}

#[derive(Debug)]
struct Subscription {
    filter: Box<str>,
    options: SubscribeOptions,
    state: State,
    /// 0 when deliveries come by name or name the subscription.
    topic_id: u32,
    progress: Progress,
}

impl Subscription {
    fn filter(&self) -> TopicFilter<'_> {
        checked(&self.filter)
    }

    /// Whether its messages name it, so that nothing is to be matched.
    const fn is_named(&self) -> bool {
        self.options.responder || self.options.group.is_some()
    }
}

#[derive(Debug)]
struct Topic {
    name: Box<str>,
    matching: Vec<SubscriptionId>,
    /// Exact subscriptions that were told this id, standing or ending.
    told: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Subscriptions {
    table: BTreeMap<u32, Subscription>,
    next: u32,
    topics: HashMap<u32, Topic>,
    by_name: Vec<SubscriptionId>,
    recent: RecentNames,
}

const UNEXPECTED: Violation = Violation(Code::UnexpectedFrame);
const MATCHES: &str = "what matches is in the table: leaving it takes a subscription out of every list";
const LEARNED: &str = "a topic id is learned before it is used and forgotten with its last subscription";

impl Subscriptions {
    /// Enters a subscription whose filter and group were checked.
    pub(crate) fn enter(
        &mut self,
        filter: &str,
        options: SubscribeOptions,
        subscriptions_max: u32,
    ) -> Result<SubscriptionId, Error> {
        let given = self.table.len() as u64 + 1;
        if given > u64::from(subscriptions_max) {
            return Err(Error::Limit { what: "subscriptions_max", given, max: u64::from(subscriptions_max) });
        }
        // Never used again while the client lives: an id in the caller's hand names one subscription for ever.
        self.next = self.next.checked_add(1).expect("four billion subscriptions of one client");
        let progress = Progress::new(checked(filter).is_exact());
        let subscription = Subscription { filter: filter.into(), options, state: State::Asked, topic_id: 0, progress };
        self.table.insert(self.next, subscription);
        Ok(SubscriptionId(self.next))
    }

    /// The frames that ask for one subscription, or for all after a reconnect.
    pub(crate) fn subscribe_frame(&self, id: SubscriptionId) -> Option<Subscribe<'_>> {
        self.table.get(&id.0).map(|subscription| frame(id.0, subscription))
    }

    pub(crate) fn subscribe_frames(&self) -> impl Iterator<Item = Subscribe<'_>> {
        self.table.iter().map(|(id, subscription)| frame(*id, subscription))
    }

    /// Whether messages can pass this client by while it is away. Responders miss none: requests are not kept. Nor
    /// does whoever goes on from a place in a journal.
    pub(crate) fn can_miss(&self) -> bool {
        let mut missing = self.table.values().filter(|subscription| !subscription.options.responder);
        missing.any(|subscription| subscription.progress.start(&subscription.options) == Start::Live)
    }

    /// The place behind which a subscription would go on.
    pub(crate) fn place(&self, id: SubscriptionId) -> Option<Start> {
        self.table.get(&id.0)?.progress.place()
    }

    /// SUBSCRIBED came. Whether the caller should hear of it.
    pub(crate) fn stand(&mut self, told: Subscribed) -> Result<bool, Violation> {
        let subscription = self.table.get_mut(&told.subscription).ok_or(UNEXPECTED)?;
        let can_have_id = subscription.filter().is_exact() && !subscription.is_named();
        if subscription.state == State::Standing || (told.topic_id != 0 && !can_have_id) {
            return Err(UNEXPECTED);
        }
        subscription.topic_id = told.topic_id;
        if told.topic_id != 0 {
            let name = subscription.filter.clone();
            self.learn_topic(told.topic_id, &name)?;
        }
        let subscription = self.table.get_mut(&told.subscription).ok_or(UNEXPECTED)?;
        if subscription.state == State::Ending {
            return Ok(false);
        }
        subscription.state = State::Standing;
        subscription.progress.begin(told.outcome, told.epoch);
        // Every other outcome begins with history.
        if told.outcome == Outcome::Live {
            self.join(SubscriptionId(told.subscription));
        }
        Ok(true)
    }

    /// A topic id names one topic as long as an exact subscription to it is there.
    fn learn_topic(&mut self, topic_id: u32, name: &str) -> Result<(), Violation> {
        if let Some(topic) = self.topics.get_mut(&topic_id) {
            topic.told += 1;
            return if *topic.name == *name { Ok(()) } else { Err(UNEXPECTED) };
        }
        let matching = matching(&self.table, &self.by_name, checked_name(name)).collect();
        self.topics.insert(topic_id, Topic { name: name.into(), matching, told: 1 });
        Ok(())
    }

    /// Live messages reach it from here on.
    pub(crate) fn join(&mut self, id: SubscriptionId) {
        let Some(subscription) = self.table.get(&id.0) else { return };
        if subscription.is_named() || subscription.state != State::Standing {
            return;
        }
        if subscription.topic_id != 0 {
            let topic = self.topics.get_mut(&subscription.topic_id).expect(LEARNED);
            insert(&mut topic.matching, id);
            return;
        }
        let filter = subscription.filter();
        insert(&mut self.by_name, id);
        self.recent.forget();
        for topic in self.topics.values_mut() {
            if filter.matches(checked_name(&topic.name)) {
                insert(&mut topic.matching, id);
            }
        }
    }

    /// Live messages pass it by from here on: it ends, or is served from the journal for a while.
    pub(crate) fn leave(&mut self, id: SubscriptionId) {
        let Some(subscription) = self.table.get(&id.0) else { return };
        if subscription.topic_id != 0 {
            let topic = self.topics.get_mut(&subscription.topic_id).expect(LEARNED);
            remove(&mut topic.matching, id);
            return;
        }
        if remove(&mut self.by_name, id) {
            self.recent.forget();
            for topic in self.topics.values_mut() {
                remove(&mut topic.matching, id);
            }
        }
    }

    /// The caller wants no more of it. Whether UNSUBSCRIBE must be sent.
    pub(crate) fn end(&mut self, id: SubscriptionId) -> bool {
        self.leave(id);
        match self.table.get_mut(&id.0) {
            Some(subscription) if subscription.state != State::Ending => {
                subscription.state = State::Ending;
                true
            }
            _ => false,
        }
    }

    /// It is over: refused, ended by the broker, or UNSUBSCRIBED came. Whether it was there at all.
    pub(crate) fn remove(&mut self, id: SubscriptionId) -> bool {
        self.leave(id);
        let Some(subscription) = self.table.remove(&id.0) else { return false };
        if subscription.topic_id != 0 {
            let topic = self.topics.get_mut(&subscription.topic_id).expect(LEARNED);
            topic.told -= 1;
            // The broker frees a topic's id with its last exact subscription and may use it for another topic.
            if topic.told == 0 {
                self.topics.remove(&subscription.topic_id);
            }
        }
        true
    }

    /// The connection ended. The subscriptions that were just being ended are over with it.
    pub(crate) fn disconnect(&mut self) -> Vec<SubscriptionId> {
        self.topics.clear();
        self.by_name.clear();
        self.recent.forget();
        let ended: Vec<u32> = self
            .table
            .iter()
            .filter(|(_, subscription)| subscription.state == State::Ending)
            .map(|(id, _)| *id)
            .collect();
        self.table.retain(|_, subscription| subscription.state != State::Ending);
        for subscription in self.table.values_mut() {
            subscription.state = State::Asked;
            subscription.topic_id = 0;
        }
        ended.into_iter().map(SubscriptionId).collect()
    }

    /// The topic behind an id, and whose its messages are.
    pub(crate) fn by_topic_id(&self, topic_id: u32) -> Result<(&str, &[SubscriptionId]), Violation> {
        let topic = self.topics.get(&topic_id).ok_or(UNEXPECTED)?;
        Ok((&topic.name, &topic.matching))
    }

    /// The topic as a checked name, and whose a message by that name is.
    pub(crate) fn by_topic_name(&mut self, topic: &[u8]) -> Result<(&str, &[SubscriptionId]), Violation> {
        known_name(&mut self.recent, &self.table, &self.by_name, topic)
    }

    /// A live record by topic id: tells the topic, whose it is, and in which epoch.
    pub(crate) fn record_by_id(
        &mut self,
        topic_id: u32,
        sequence: u64,
        mut tell: impl FnMut(SubscriptionId, &str, Option<u64>),
    ) -> Result<(), Violation> {
        let topic = self.topics.get(&topic_id).ok_or(UNEXPECTED)?;
        for id in &topic.matching {
            let progress = &mut self.table.get_mut(&id.0).expect(MATCHES).progress;
            progress.advance(Place { topic: &topic.name, sequence, position: None });
            tell(*id, &topic.name, progress.epoch());
        }
        Ok(())
    }

    /// A live record by name: tells the topic, whose it is, and in which epoch.
    pub(crate) fn record_by_name(
        &mut self,
        topic: &[u8],
        sequence: u64,
        position: u64,
        mut tell: impl FnMut(SubscriptionId, &str, Option<u64>),
    ) -> Result<(), Violation> {
        let Subscriptions { recent, table, by_name, .. } = self;
        let (topic, ids) = known_name(recent, table, by_name, topic)?;
        for id in ids {
            let progress = &mut table.get_mut(&id.0).expect(MATCHES).progress;
            progress.advance(Place { topic, sequence, position: Some(position) });
            tell(*id, topic, progress.epoch());
        }
        Ok(())
    }

    /// A record of a subscription's history: whether it is to be told, and in which epoch. A violation when there is
    /// no such subscription.
    pub(crate) fn record_of_history(&mut self, id: u32, place: Place<'_>) -> Result<Option<u64>, Violation> {
        let subscription = self.table.get_mut(&id).ok_or(UNEXPECTED)?;
        if subscription.state != State::Standing || subscription.progress.has_told(place) {
            return Ok(None);
        }
        subscription.progress.advance(place);
        // History without an epoch is nothing that can be resumed, but it is history.
        Ok(Some(subscription.progress.epoch().unwrap_or(0)))
    }

    /// A frame names a subscription: whether it is to be told. A violation when there is no such one.
    pub(crate) fn is_told(&self, subscription: u32) -> Result<bool, Violation> {
        match self.table.get(&subscription) {
            Some(subscription) => Ok(subscription.state == State::Standing),
            None => Err(UNEXPECTED),
        }
    }
}

/// The topic as a checked name, and whose a message by that name is: remembered, or tried.
fn known_name<'r>(
    recent: &'r mut RecentNames,
    table: &BTreeMap<u32, Subscription>,
    by_name: &[SubscriptionId],
    topic: &[u8],
) -> Result<(&'r str, &'r [SubscriptionId]), Violation> {
    let (slot, generation) = recent.slot(topic);
    if !slot.holds(topic, generation) {
        let name = TopicName::new(topic, &GRAMMAR).map_err(Violation)?;
        slot.fill(name.as_str(), generation, matching(table, by_name, name));
    }
    Ok(slot.get())
}

/// Tries every filter.
fn matching<'t>(
    table: &'t BTreeMap<u32, Subscription>,
    by_name: &'t [SubscriptionId],
    name: TopicName<'t>,
) -> impl Iterator<Item = SubscriptionId> + 't {
    let matches = move |id: &SubscriptionId| table.get(&id.0).is_some_and(|found| found.filter().matches(name));
    by_name.iter().copied().filter(matches)
}

fn frame(id: u32, subscription: &Subscription) -> Subscribe<'_> {
    Subscribe {
        subscription: id,
        policy: subscription.options.policy,
        no_echo: subscription.options.no_echo,
        responder: subscription.options.responder,
        max_rate_hz: subscription.options.max_rate_hz,
        start: subscription.progress.start(&subscription.options),
        filter: subscription.filter.as_bytes(),
        group: subscription.options.group.as_deref().unwrap_or_default().as_bytes(),
    }
}

/// Keeps the list in the order of the ids, so that handlers are told in the order they subscribed.
fn insert(list: &mut Vec<SubscriptionId>, id: SubscriptionId) {
    if let Err(place) = list.binary_search(&id) {
        list.insert(place, id);
    }
}

fn remove(list: &mut Vec<SubscriptionId>, id: SubscriptionId) -> bool {
    let place = list.binary_search(&id);
    place.map(|place| list.remove(place)).is_ok()
}

/// The grammar alone: a filter was checked against the broker's limits when it was entered, and another broker's
/// smaller limits after a reconnect are that broker's to enforce.
pub(crate) const GRAMMAR: Limits = Limits {
    frame_bytes_max: u32::MAX,
    headers_bytes_max: u32::MAX,
    queue_bytes_max: u32::MAX,
    subscriptions_max: u32::MAX,
    requests_max: u32::MAX,
    deadline_ms_max: u32::MAX,
    short_ids_max: u16::MAX,
    topic_bytes_max: u16::MAX,
    topic_levels_max: u8::MAX,
    filter_plus_max: u8::MAX,
};

fn checked(filter: &str) -> TopicFilter<'_> {
    TopicFilter::new(filter.as_bytes(), &GRAMMAR).expect("filters are checked before they are entered")
}

/// The name that an exact filter is.
fn checked_name(filter: &str) -> TopicName<'_> {
    TopicName::new(filter.as_bytes(), &GRAMMAR).expect("an exact filter is a topic name")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enter(subscriptions: &mut Subscriptions, filter: &str, options: SubscribeOptions) -> SubscriptionId {
        subscriptions.enter(filter, options, 100).unwrap()
    }

    fn stand(subscriptions: &mut Subscriptions, id: SubscriptionId, topic_id: u32) -> Result<bool, Violation> {
        subscriptions.stand(Subscribed { subscription: id.0, topic_id, outcome: Outcome::Live, epoch: 0 })
    }

    fn standing(subscriptions: &mut Subscriptions, filter: &str, topic_id: u32) -> SubscriptionId {
        let id = enter(subscriptions, filter, SubscribeOptions::default());
        assert_eq!(stand(subscriptions, id, topic_id), Ok(true));
        id
    }

    fn by_name(subscriptions: &mut Subscriptions, name: &str) -> Vec<SubscriptionId> {
        let (told, matching) = subscriptions.by_topic_name(name.as_bytes()).unwrap();
        assert_eq!(told, name);
        matching.to_vec()
    }

    #[test]
    fn a_message_by_id_belongs_to_exact_and_wildcard_subscriptions_whatever_came_first() {
        let mut subscriptions = Subscriptions::default();
        let early = standing(&mut subscriptions, "a/+", 0);
        let other = standing(&mut subscriptions, "b/#", 0);
        let exact = standing(&mut subscriptions, "a/b", 7);
        let twin = standing(&mut subscriptions, "a/b", 7);
        let late = standing(&mut subscriptions, "#", 0);
        let member = enter(&mut subscriptions, "a/b", SubscribeOptions::member("workers"));
        assert_eq!(stand(&mut subscriptions, member, 0), Ok(true));
        assert_eq!(subscriptions.by_topic_id(7), Ok(("a/b", &[early, exact, twin, late][..])));
        assert_eq!(by_name(&mut subscriptions, "b/x"), [other, late]);
        subscriptions.end(late);
        assert_eq!(subscriptions.by_topic_id(7), Ok(("a/b", &[early, exact, twin][..])));
        assert_eq!(by_name(&mut subscriptions, "b/x"), [other]);
    }

    #[test]
    fn what_is_remembered_of_names_is_what_matching_gives() {
        let mut subscriptions = Subscriptions::default();
        let even = standing(&mut subscriptions, "+/even", 0);
        let all = standing(&mut subscriptions, "#", 0);
        // More names than are remembered, so that many share a place, and twice, so that some are remembered.
        for round in 0..4 {
            for number in 0..1_000 {
                let parity = if number % 2 == 0 { "even" } else { "odd" };
                let mut expected = if number % 2 == 0 { vec![even, all] } else { vec![all] };
                expected.retain(|id| round < 2 || *id != all);
                assert_eq!(by_name(&mut subscriptions, &format!("{number}/{parity}")), expected);
            }
            if round == 1 {
                subscriptions.end(all);
            }
        }
        assert_eq!(subscriptions.by_topic_name(b"a/+"), Err(Violation(Code::InvalidTopic)));
    }

    #[test]
    fn a_topic_id_lives_until_its_last_exact_subscription_is_over() {
        let mut subscriptions = Subscriptions::default();
        let first = standing(&mut subscriptions, "a", 7);
        let second = standing(&mut subscriptions, "a", 7);
        subscriptions.end(first);
        assert!(subscriptions.remove(first));
        subscriptions.end(second);
        assert_eq!(subscriptions.by_topic_id(7), Ok(("a", &[][..])), "messages may still be on their way");
        assert!(subscriptions.remove(second));
        assert_eq!(subscriptions.by_topic_id(7), Err(UNEXPECTED));
        standing(&mut subscriptions, "b", 7);
        assert_eq!(subscriptions.by_topic_id(7).unwrap().0, "b");
    }

    #[test]
    fn a_broker_that_mixes_up_ids_breaks_the_protocol() {
        let mut subscriptions = Subscriptions::default();
        let exact = standing(&mut subscriptions, "a", 7);
        assert_eq!(stand(&mut subscriptions, exact, 7), Err(UNEXPECTED), "SUBSCRIBED twice");
        let other = enter(&mut subscriptions, "b", SubscribeOptions::default());
        assert_eq!(stand(&mut subscriptions, other, 7), Err(UNEXPECTED), "one id for two topics");
        let wildcard = enter(&mut subscriptions, "+", SubscribeOptions::default());
        let member = enter(&mut subscriptions, "m", SubscribeOptions::member("g"));
        assert_eq!(stand(&mut subscriptions, member, 9), Err(UNEXPECTED), "an id for a group");
        assert_eq!(stand(&mut subscriptions, wildcard, 9), Err(UNEXPECTED), "an id for a wildcard");
        assert_eq!(stand(&mut subscriptions, SubscriptionId(99), 0), Err(UNEXPECTED), "never asked for");
    }

    #[test]
    fn what_stood_is_asked_for_again_and_what_was_ending_is_over() {
        let mut subscriptions = Subscriptions::default();
        let stays = standing(&mut subscriptions, "a", 7);
        let leaves = standing(&mut subscriptions, "+", 0);
        subscriptions.end(leaves);
        assert_eq!(subscriptions.disconnect(), [leaves]);
        let frames: Vec<u32> = subscriptions.subscribe_frames().map(|frame| frame.subscription).collect();
        assert_eq!(frames, [stays.0]);
        assert_eq!(stand(&mut subscriptions, stays, 3), Ok(true));
        assert_eq!(subscriptions.by_topic_id(3), Ok(("a", &[stays][..])));
    }

    #[test]
    fn history_keeps_live_messages_away_until_it_has_caught_up() {
        let mut subscriptions = Subscriptions::default();
        let live = standing(&mut subscriptions, "a", 7);
        let replaying = enter(&mut subscriptions, "a", SubscribeOptions::default());
        let told = Subscribed { subscription: replaying.0, topic_id: 7, outcome: Outcome::History, epoch: 1 };
        assert_eq!(subscriptions.stand(told), Ok(true));
        assert_eq!(subscriptions.by_topic_id(7).unwrap().1, [live]);
        subscriptions.join(replaying);
        assert_eq!(subscriptions.by_topic_id(7).unwrap().1, [live, replaying]);
    }
}

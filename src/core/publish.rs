//! Publications: admitted, numbered, routed.
//!
//! ```text
//!  Publish --admit--> short id or name to topic, ack level, headers --route--> open chunk of its audience
//!             | no                                                       `---> one member of each matching group
//!             v
//!          Refused (an asynchronous one for ack level none)
//! ```
//!
//! Messages come in runs that differ in their payload alone: all that finds their topic and its audience is done once
//! for a run.
//!
//! What other shards want is added to their mail as well, by the masks of `interest`; what would not fit there is
//! postponed before anything of it is done (`exchange`).
//!
//! Acknowledgements of a turn leave together at its end, after everything was fanned out: `routed` means placed in
//! every out-queue here and in the mail of every shard that may have somebody who wants it. They are one range, unless
//! a refusal, which is told at once, parts it.

use crate::arena::{GroupKey, Key, MatchKey, SessionKey, SubscriptionKey, TopicKey};
use crate::command::Target;
use crate::encoding::Event;
use crate::fanout::{Audience, Incoming};
use crate::filters::Matches;
use crate::interest::Spot;
use crate::mail::Publisher;
use crate::session::{PendingAck, Registered, SessionId};
use crate::settings::{RUN_BYTES_MAX, RUN_MESSAGES_MAX};
use crate::shard::{Handled, Shard};
use crate::submissions::Conditions;
use crate::subscription::Place;
use crate::topics::HashedName;
use fanwire_wire::frame::{AckLevel, Policy, Scope};
use fanwire_wire::{Code, TopicName, Violation};
use smallvec::SmallVec;

/// Groups that one message goes to.
pub(crate) type GroupKeys = SmallVec<[GroupKey; 4]>;

impl Shard {
    pub(crate) fn register(&mut self, session: SessionKey, short_id: u16, topic: &[u8]) {
        if short_id >= self.settings.limits.short_ids_max {
            return self.refuse(session, Scope::Register, Code::ShortIdOutOfRange, u64::from(short_id));
        }
        let new = match TopicName::publishable(topic, &self.settings.limits) {
            Ok(name) => {
                let key = self.topics.obtain(name.as_str());
                self.topics.hold(key);
                Registered::Topic(key)
            }
            Err(code) => {
                self.refuse(session, Scope::Register, code, u64::from(short_id));
                Registered::Refused(code)
            }
        };
        let registered = &mut self.sessions[session].more_mut().publishing.registered;
        let index = usize::from(short_id);
        if registered.len() <= index {
            registered.resize(index + 1, Registered::Nothing);
        }
        if let Registered::Topic(old) = std::mem::replace(&mut registered[index], new) {
            self.topics.unhold(old);
        }
    }

    pub(crate) fn publish(
        &mut self,
        id: SessionId,
        target: Target<'_>,
        ack: AckLevel,
        conditions: Conditions,
        headers: &[u8],
        payloads: &[&[u8]],
    ) -> Result<Handled, Violation> {
        assert!(!payloads.is_empty(), "a command publishes something");
        let session = id.key;
        let topic = match self.admit(session, target, headers)? {
            Ok(topic) => topic,
            Err(code) => {
                self.refuse_publishes(session, ack, payloads.len(), code);
                return Ok(Handled::Done);
            }
        };
        if self.journal_of(topic).is_some() {
            return Ok(self.submit(id, topic, ack, conditions, headers, payloads));
        }
        if ack >= AckLevel::Journaled || !conditions.are_none() {
            self.refuse_publishes(session, ack, payloads.len(), Code::AckLevelUnavailable);
            return Ok(Handled::Done);
        }
        let others = self.others_of(topic);
        if let Others::Some { spot, mask } = others
            && self.must_wait(session, mask, Some(spot))
        {
            return Ok(Handled::Postponed);
        }
        let first = self.number_publishes(session, ack, payloads.len());
        let publisher = Publisher { shard: self.exchange.seat.number(), session: id };
        let messages = Incoming { publisher, headers, payloads, recorded: None };
        self.counters.messages_in += payloads.len() as u64;
        self.counters.payload_bytes_in += payloads.iter().map(|payload| payload.len() as u64).sum::<u64>();
        self.route(topic, others.mask(), &messages);
        if let Some(first) = first {
            self.note_acked(session, first, payloads.len() as u32);
        }
        Ok(Handled::Done)
    }

    /// How many publishes by a short id may come in one command. A message to groups costs as much as they have
    /// members, and a name may be long: there a run would pass bounds by more than a few kilobytes.
    pub fn run_messages_max(&mut self, session: SessionId, short_id: u16) -> usize {
        let Some(Registered::Topic(topic)) = self.registered(session.key, short_id).copied() else {
            return 1;
        };
        let set = self.matched(topic);
        let found = self.topics.get(topic);
        if !found.groups().is_empty() || !self.topics.set(set).matches.groups.is_empty() {
            return 1;
        }
        (RUN_BYTES_MAX / found.name.len().max(1)).clamp(1, RUN_MESSAGES_MAX)
    }

    /// Who besides this shard is to be asked for a topic.
    fn others_of(&self, topic: Routed<'_>) -> Others {
        if self.exchange.seat.count() == 1 {
            return Others::None;
        }
        let spot = match topic {
            Routed::Known(topic) => self.topics.get(topic).spot,
            Routed::Unknown(name) => self.topics.spot_of(name.text.as_bytes(), name.hash),
        };
        Others::Some { spot, mask: self.others_interested(spot) }
    }

    fn registered(&self, session: SessionKey, short_id: u16) -> Option<&Registered> {
        self.sessions[session].more()?.publishing.registered.get(usize::from(short_id))
    }

    /// The number of the first of so many publishes, where they ask for an acknowledgement.
    #[inline]
    pub(crate) fn number_publishes(&mut self, session: SessionKey, ack: AckLevel, count: usize) -> Option<u64> {
        (ack != AckLevel::None).then(|| {
            let publishing = &mut self.sessions[session].more_mut().publishing;
            publishing.number += count as u64;
            publishing.number + 1 - count as u64
        })
    }

    /// Whether a publication may enter, and to which topic: the outer error ends the connection, the inner one
    /// refuses the message.
    fn admit<'a>(
        &mut self,
        session: SessionKey,
        target: Target<'a>,
        headers: &[u8],
    ) -> Result<Result<Routed<'a>, Code>, Violation> {
        let topic = match target {
            Target::Short(short_id) if short_id >= self.settings.limits.short_ids_max => Err(Code::ShortIdOutOfRange),
            Target::Short(short_id) => match self.registered(session, short_id) {
                Some(Registered::Topic(topic)) => Ok(Routed::Known(*topic)),
                Some(Registered::Refused(code)) => Err(*code),
                Some(Registered::Nothing) | None => return Err(Violation(Code::UnknownShortId)),
            },
            Target::Name(name) => self.admit_name(name),
        };
        Ok(topic.and_then(|topic| {
            if headers.len() > self.settings.limits.headers_bytes_max as usize {
                Err(Code::HeadersTooLarge)
            } else {
                Ok(topic)
            }
        }))
    }

    /// A name that is known was checked when it became known.
    pub(crate) fn admit_name<'a>(&self, name: &'a [u8]) -> Result<Routed<'a>, Code> {
        let hash = self.topics.hash_of(name);
        if name.first() != Some(&b'$')
            && let Some(topic) = self.topics.find(name, hash)
        {
            return Ok(Routed::Known(topic));
        }
        let name = TopicName::publishable(name, &self.settings.limits)?;
        Ok(Routed::Unknown(HashedName { text: name.as_str(), hash }))
    }

    /// Gives messages to everybody here who wants them, and to the mail of the shards in `others`.
    #[inline]
    pub(crate) fn route(&mut self, topic: Routed<'_>, others: u64, messages: &Incoming<'_>) {
        match topic {
            Routed::Known(topic) => self.route_known(topic, others, messages),
            Routed::Unknown(name) => self.route_unknown(name, others, messages),
        }
    }

    fn route_known(&mut self, topic: TopicKey, others: u64, messages: &Incoming<'_>) {
        if self.topics.tally.is_some() {
            self.tally_routed(topic, messages);
        }
        if others == 0 && self.append_by_id(topic, messages) {
            return;
        }
        let set = self.matched(topic);
        let found = self.topics.get(topic);
        let matches = &self.topics.set(set).matches;
        let has_groups = !found.groups().is_empty() || !matches.groups.is_empty();
        let audience = if !found.exact.is_empty() || self.topics.set(set).conflates {
            Some(Audience::Topic(topic, set))
        } else {
            (!matches.subscriptions.is_empty()).then_some(Audience::Set(set))
        };
        if audience.is_none() && !has_groups && others == 0 {
            return;
        }
        // The name lives in the table that routing changes, so it is lent out for the while.
        let name = std::mem::take(&mut self.topics.get_mut(topic).name);
        if messages.recorded.is_some() {
            // Who falls back meanwhile has to say what it wants to read.
            self.lent_name.clear();
            self.lent_name.push_str(&name);
        }
        if let Some(audience) = audience {
            self.append_messages(audience, &name, messages);
        }
        if has_groups {
            let groups = self.groups_of(topic, set);
            self.deliver_to_groups(&groups, &name, messages);
        }
        if others != 0 {
            self.post_messages(others, topic, &name, messages);
        }
        self.topics.get_mut(topic).name = name;
    }

    /// A topic that nobody here subscribes to by name: only wildcards can match.
    fn route_unknown(&mut self, name: HashedName<'_>, others: u64, messages: &Incoming<'_>) {
        if self.filters.is_empty() && others == 0 {
            return self.leave_unrouted(name, messages);
        }
        let set = self.match_name(name.text);
        if self.topics.set(set).matches.is_empty() && others == 0 {
            return self.leave_unrouted(name, messages);
        }
        if self.topics.set(set).conflates || self.topics.should_remember(name.hash) {
            let topic = self.topics.add(name);
            let generation = self.filters.generation(self.topics.get(topic).spot.first_level);
            self.topics.set_matched(topic, set, generation);
            return self.route_known(topic, others, messages);
        }
        self.topics.retain_set(set);
        if !self.topics.set(set).matches.subscriptions.is_empty() {
            self.append_messages(Audience::Set(set), name.text, messages);
        }
        if !self.topics.set(set).matches.groups.is_empty() {
            let groups = GroupKeys::from_slice(&self.topics.set(set).matches.groups);
            self.deliver_to_groups(&groups, name.text, messages);
        }
        self.topics.release_set(set);
        if others != 0 {
            self.post_messages(others, TopicKey::NONE, name.text, messages);
        }
    }

    /// Nobody wants them.
    fn leave_unrouted(&mut self, name: HashedName<'_>, messages: &Incoming<'_>) {
        if self.topics.tally.is_some() && messages.recorded.is_none() {
            self.tally_unrouted(name, messages.payloads.len());
        }
    }

    /// What matches a known topic by wildcard, walked again only when filters of its first level have changed.
    pub(crate) fn matched(&mut self, topic: TopicKey) -> MatchKey {
        let generation = self.filters.generation(self.topics.get(topic).spot.first_level);
        if let Some(set) = self.topics.matched(topic, generation) {
            return set;
        }
        let name = std::mem::take(&mut self.topics.get_mut(topic).name);
        let set = self.match_name(&name);
        self.topics.get_mut(topic).name = name;
        self.topics.set_matched(topic, set, generation);
        set
    }

    fn match_name(&mut self, name: &str) -> MatchKey {
        let mut matches = std::mem::take(&mut self.matches);
        matches.clear();
        self.filters.collect(name, &mut matches);
        self.spend(matches.len());
        let Shard { topics, subscriptions, sessions, .. } = self;
        let set = topics.set_of(&matches, || {
            let members = matches.subscriptions.iter().map(|key: &SubscriptionKey| &subscriptions[*key]);
            members.fold((0, false), |(encodings, conflates), member| {
                (encodings | 1 << sessions[member.session].encoding.0, conflates || member.policy == Policy::Conflate)
            })
        });
        self.matches = matches;
        set
    }

    /// Every group, exact ones first, that a topic belongs to.
    pub(crate) fn groups_of(&self, topic: TopicKey, set: MatchKey) -> GroupKeys {
        let exact = self.topics.get(topic).groups().iter();
        exact.chain(&self.topics.set(set).matches.groups).copied().collect()
    }

    /// The groups of any name, for requests, which are not routed otherwise.
    pub(crate) fn groups_of_name(&mut self, topic: Routed<'_>) -> GroupKeys {
        match topic {
            Routed::Known(topic) => {
                let set = self.matched(topic);
                self.groups_of(topic, set)
            }
            Routed::Unknown(name) => {
                let mut matches = Matches::default();
                self.filters.collect(name.text, &mut matches);
                self.spend(matches.len());
                GroupKeys::from_vec(matches.groups)
            }
        }
    }

    fn note_acked(&mut self, session: SessionKey, first: u64, count: u32) {
        let pending = &mut self.sessions[session].more_mut().publishing.pending_acks;
        match pending.last_mut() {
            Some(range) if range.first + u64::from(range.count) == first => range.count += count,
            last => {
                if last.is_none() {
                    self.acking.push(session);
                }
                pending.push(PendingAck { first, count });
            }
        }
    }

    /// Refuses publishes that came together.
    pub(crate) fn refuse_publishes(&mut self, session: SessionKey, ack: AckLevel, count: usize, code: Code) {
        let first = self.number_publishes(session, ack, count);
        for index in 0..count as u64 {
            self.refuse_publish(session, first.map(|first| first + index), code);
        }
    }

    fn refuse_publish(&mut self, session: SessionKey, number: Option<u64>, code: Code) {
        let scope = if number.is_some() { Scope::Publish } else { Scope::UnackedPublish };
        self.refuse(session, scope, code, number.unwrap_or(0));
    }

    /// Tells the publishes that this turn has placed; everything is fanned out.
    pub(crate) fn send_acks(&mut self, session: SessionKey) {
        let Some(more) = self.sessions[session].existing_more_mut() else {
            return;
        };
        for PendingAck { first, count } in std::mem::take(&mut more.publishing.pending_acks) {
            let level = AckLevel::Routed;
            let event = Event::Acked { first, count, level, first_sequence: 0, is_duplicate: false };
            self.enqueue_event(session, &event);
        }
    }

    /// Takes a subscription out of the list of exact subscribers.
    pub(crate) fn remove_exact(&mut self, topic: TopicKey, position: u32) {
        let exact = &mut self.topics.get_mut(topic).exact;
        exact.swap_remove(position as usize);
        if let Some(moved) = exact.get(position as usize) {
            debug_assert_eq!(self.subscriptions[*moved].place, Place::Topic(topic));
            self.subscriptions[*moved].position = position;
        }
        if exact.is_empty() {
            exact.shrink_to_fit();
        }
    }
}

/// Who besides this shard may want a topic.
#[derive(Debug, Clone, Copy)]
enum Others {
    /// There are no others.
    None,
    /// These; perhaps nobody.
    Some { spot: Spot, mask: u64 },
}

impl Others {
    const fn mask(self) -> u64 {
        match self {
            Others::None => 0,
            Others::Some { mask, .. } => mask,
        }
    }
}

/// Where an admitted name leads.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Routed<'a> {
    /// A topic of the table.
    Known(TopicKey),
    /// A valid name that is not in the table.
    Unknown(HashedName<'a>),
}

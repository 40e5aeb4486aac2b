//! Memberships: a group's member, as the shard of its session knows it.
//!
//! ```text
//!  SUBSCRIBE --> joining --Joined--> standing --UNSUBSCRIBE, end of session--> Leave, forgotten
//!                   |  the session waits     ^ Pick: into its queue, or back to the group's home
//!                   `--end of session--> orphan --Joined--> Leave, forgotten
//! ```
//!
//! A subscription in a group stands once the group's home has it: only then SUBSCRIBED is told, and until then the
//! session's next command waits, so that answers keep the order of commands. What is picked for a membership that is
//! gone, or that has no room, is returned; of one that had none the home is told when it has room again.

use crate::arena::{Arena, Key, MemberKey, MembershipKey, SessionKey, SubscriptionKey};
use crate::encoding::Event;
use crate::mail::{Errand, GroupId, MembershipId, Note, Parcel};
use crate::session::Waiting;
use crate::settings::CALLS_MAX;
use crate::shard::Shard;
use crate::subscription::{Place, Subscription};
use fanwire_wire::Code;
use fanwire_wire::frame::Outcome;
use fanwire_wire::frame::Policy;

/// One subscription's part in a group.
pub(crate) struct Membership {
    /// None of one that ended before it stood.
    subscription: SubscriptionKey,
    /// Tells it from others under the same key.
    serial: u64,
    /// The shard where the group lives, and what it is called there, once it stands.
    home: u8,
    member: MemberKey,
    /// The home was told that it is full.
    is_told_full: bool,
}

/// The memberships of a shard's sessions.
pub(crate) struct Memberships {
    memberships: Arena<MembershipKey, Membership>,
    serials: u64,
}

impl Memberships {
    pub(crate) const fn new() -> Self {
        Memberships { memberships: Arena::new(), serials: 0 }
    }

    /// Whether all of them stand.
    pub(crate) fn are_settled(&self) -> bool {
        self.memberships.iter().all(|(_, membership)| membership.member.is_some())
    }
}

impl Shard {
    /// A membership for a subscription that is about to be made.
    pub(crate) fn open_membership(&mut self, subscription: SubscriptionKey, home: u8) -> MembershipKey {
        let list = &mut self.memberships;
        list.serials += 1;
        list.memberships.insert(Membership {
            subscription,
            serial: list.serials,
            home,
            member: MemberKey::NONE,
            is_told_full: false,
        })
    }

    /// Asks the group's home to take a subscription in.
    pub(crate) fn join_group(&mut self, key: MembershipKey, filter: &str, group: &str, responder: bool) {
        let Membership { subscription, serial, home, .. } = self.memberships.memberships[key];
        let Subscription { session, no_echo, .. } = self.subscriptions[subscription];
        if home != self.exchange.seat.number() {
            self.sessions[session].waiting = Waiting::Home;
        }
        let membership = MembershipId { key, serial };
        let parcel = Parcel { topic: filter, headers: group.as_bytes(), payload: &[] };
        let session = self.id_of(session);
        self.tell(home, Note::Join { membership, session, responder, no_echo }, parcel);
    }

    /// The group's home has taken a subscription in: now it stands.
    pub(crate) fn stand(&mut self, id: MembershipId, member: MemberKey) {
        let membership = &mut self.memberships.memberships[id.key];
        assert!(membership.serial == id.serial, "a membership stays until it is joined");
        membership.member = member;
        let Membership { subscription, home, .. } = *membership;
        if !subscription.is_some() {
            self.memberships.memberships.remove(id.key);
            return self.tell(home, Note::Leave { member }, Parcel::default());
        }
        self.tell_subscribed(subscription, Outcome::Live);
        self.resume(self.subscriptions[subscription].session);
    }

    /// A subscription ends.
    pub(crate) fn leave(&mut self, key: MembershipKey) {
        let membership = &mut self.memberships.memberships[key];
        let Membership { home, member, .. } = *membership;
        if member.is_some() {
            self.memberships.memberships.remove(key);
            self.tell(home, Note::Leave { member }, Parcel::default());
        } else {
            membership.subscription = SubscriptionKey::NONE;
        }
    }

    /// A member of this shard was picked.
    pub(crate) fn take_pick(
        &mut self,
        home: u8,
        id: MembershipId,
        group: GroupId,
        errand: Errand,
        is_forced: bool,
        parcel: Parcel<'_>,
    ) {
        let found = self.memberships.memberships.get(id.key).filter(|found| found.serial == id.serial);
        let Some(&Membership { subscription, member, .. }) = found.filter(|found| found.subscription.is_some()) else {
            return self.tell(home, Note::Returned { group, member: MemberKey::NONE, errand }, parcel);
        };
        let session = self.subscriptions[subscription].session;
        let bytes = parcel.bytes() as u32;
        let can_take = self.can_take(session, &errand, bytes);
        if self.sessions[session].is_doomed || !(can_take || is_forced) {
            self.memberships.memberships[id.key].is_told_full = true;
            self.sessions[session].owes_room = true;
            return self.tell(home, Note::Returned { group, member, errand }, parcel);
        }
        match errand {
            Errand::Message(_) if can_take => self.hand_over(subscription, parcel),
            Errand::Message(_) => self.overflow_member(subscription, parcel, bytes),
            Errand::Request(asking) => self.call(subscription, asking, parcel),
        }
    }

    /// Whether a session has room for what it would be picked for.
    pub(crate) fn can_take(&self, session: SessionKey, errand: &Errand, bytes: u32) -> bool {
        self.has_room(session, bytes) && (matches!(errand, Errand::Message(_)) || self.can_be_called(session))
    }

    fn can_be_called(&self, session: SessionKey) -> bool {
        self.sessions[session].dialogue().is_none_or(|dialogue| dialogue.called.len() < CALLS_MAX)
    }

    fn hand_over(&mut self, subscription: SubscriptionKey, parcel: Parcel<'_>) {
        let Subscription { session, number, .. } = self.subscriptions[subscription];
        let Parcel { topic, headers, payload } = parcel;
        let event = Event::GroupMessage { subscription: number, topic, headers, payload };
        self.enqueue_picked(session, subscription, &event);
    }

    /// Every member is full: the policy of the one whose turn it was decides.
    fn overflow_member(&mut self, subscription: SubscriptionKey, parcel: Parcel<'_>, bytes: u32) {
        let Subscription { session, policy, .. } = self.subscriptions[subscription];
        match policy {
            Policy::Disconnect => {
                self.counters.note_dropped(policy, 1);
                self.doom(session, Code::SlowConsumer);
            }
            Policy::DropOldest => {
                while !self.has_room(session, bytes) {
                    if !self.drop_oldest(subscription) {
                        return self.note_loss_at_back(subscription, 1, 0);
                    }
                }
                self.hand_over(subscription, parcel);
            }
            _ => self.note_loss_at_back(subscription, 1, 0),
        }
    }

    /// A session that was full has sent or answered something: when half of its room is free, the homes are told.
    pub(crate) fn tell_room(&mut self, session: SessionKey) {
        let state = &self.sessions[session];
        let is_half_empty = state.queue.charged_bytes <= self.settings.limits.queue_bytes_max / 2;
        if !is_half_empty || !self.can_be_called(session) {
            return;
        }
        self.sessions[session].owes_room = false;
        for index in 0..self.sessions[session].subscription_count() {
            let subscription = self.sessions[session].subscription_at(index);
            let Place::Group(key) = self.subscriptions[subscription].place else { continue };
            let membership = &mut self.memberships.memberships[key];
            if std::mem::take(&mut membership.is_told_full) {
                let Membership { home, member, .. } = *membership;
                self.tell(home, Note::Room { member }, Parcel::default());
            }
        }
    }

    /// The subscription of a membership that stands.
    pub(crate) fn subscription_of(&self, id: MembershipId) -> Option<SubscriptionKey> {
        let found = self.memberships.memberships.get(id.key).filter(|found| found.serial == id.serial)?;
        Some(found.subscription).filter(|subscription| subscription.is_some())
    }

    /// Whether a membership is this subscription's.
    pub(crate) fn is_membership_of(&self, key: MembershipKey, subscription: SubscriptionKey) -> bool {
        self.memberships.memberships.get(key).is_some_and(|found| found.subscription == subscription)
    }
}

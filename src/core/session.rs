//! Sessions: who is there, what they hold, and the queue of what they are to be sent.

use crate::arena::{Arena, CallKey, CursorKey, Key, RequestKey, SessionKey, SubscriptionKey, TopicKey};
use crate::encoding::EncodingId;
use crate::held::HeldList;
use crate::outbox::Queue;
use crate::subscription::Subscription;
use fanwire_wire::Code;
use foldhash::quality::FixedState;
use hashbrown::HashMap;
use smallvec::SmallVec;
use std::cmp::Ordering;
use std::mem;

/// Slices of a queue's front, for one write. As many as one turn leaves there in all but rare cases: each topic leaves
/// one.
pub type Slices<'a> = SmallVec<[&'a [u8]; 64]>;

/// Names a session of a shard. The generation makes a name of a session that is gone different from its successor's
/// in the same slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    pub(crate) key: SessionKey,
    pub(crate) generation: u32,
}

impl SessionId {
    /// The slot, for tables that stand beside the shard's own.
    pub fn slot(self) -> usize {
        self.key.index()
    }
}

/// What a short id stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registered {
    /// Nothing: a publish by it is a violation.
    Nothing,
    /// A topic.
    Topic(TopicKey),
    /// Its REGISTER was refused: publishes that were sent behind it share its fate.
    Refused(Code),
}

/// What a session's next command waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Waiting {
    Nothing,
    /// Room on the way to another shard.
    Room,
    /// The answer of a group's home.
    Home,
}

/// Requests of a session that asks or answers.
pub(crate) struct Dialogue {
    /// By correlation: what this session asked.
    pub(crate) asked: HashMap<u32, RequestKey, FixedState>,
    /// By handle: what this session has to answer.
    pub(crate) called: HashMap<u64, CallKey, FixedState>,
    /// Handles given out so far; the next one is one more.
    pub(crate) handles: u64,
}

impl Dialogue {
    pub(crate) fn new(seed: u64) -> Self {
        let hasher = FixedState::with_seed(seed);
        Dialogue { asked: HashMap::with_hasher(hasher.clone()), called: HashMap::with_hasher(hasher), handles: 0 }
    }
}

/// What a session has that does more than listen to one subscription. Those who do no more are many, and go without.
#[derive(Default)]
pub(crate) struct More {
    /// All subscriptions by their numbers, sorted, unless `Session::only` has the only one.
    subscriptions: Vec<(u32, SubscriptionKey)>,
    pub(crate) publishing: Publishing,
    pub(crate) dialogue: Option<Box<Dialogue>>,
    pub(crate) held: HeldList,
    /// Those of its subscriptions that are served from a journal.
    pub(crate) cursors: Vec<CursorKey>,
    /// Bytes of history that were asked for them, and have not come yet.
    pub(crate) asked_bytes: u32,
    /// Bytes that its gateway has taken from its queue and keeps; its queue is charged with them.
    pub(crate) kept_bytes: u32,
    /// Those with policy `catch-up` that are not, and the stretch from which on they hear what is released.
    pub(crate) listening: Vec<(SubscriptionKey, u64)>,
}

impl More {
    fn is_empty(&self) -> bool {
        // All by name: whoever adds something is asked here.
        let More { subscriptions, publishing, dialogue, held, cursors, asked_bytes, kept_bytes, listening } = self;
        let Publishing { registered, number, pending_acks } = publishing;
        let is_publishing = *number > 0 || !registered.is_empty() || !pending_acks.is_empty();
        let is_served = *asked_bytes > 0 || *kept_bytes > 0 || !cursors.is_empty() || !listening.is_empty();
        subscriptions.is_empty() && dialogue.is_none() && held.count == 0 && !is_publishing && !is_served
    }
}

/// What a session has that registers topics or wants acknowledgements.
#[derive(Default)]
pub(crate) struct Publishing {
    /// By short id.
    pub(crate) registered: Vec<Registered>,
    /// Publishes that asked for an ack, so far.
    pub(crate) number: u64,
    pub(crate) pending_acks: SmallVec<[PendingAck; 1]>,
}

/// A range of publishes that is to be acknowledged at the end of the turn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingAck {
    pub(crate) first: u64,
    pub(crate) count: u32,
}

/// One of many: what it takes, every idle client takes.
pub(crate) struct Session {
    pub(crate) generation: u32,
    pub(crate) encoding: EncodingId,
    /// Listed in the shard's dirty list.
    pub(crate) is_dirty: bool,
    /// The kernel refused bytes; nothing is sent until the shell says otherwise.
    pub(crate) is_blocked: bool,
    /// Ended: it gets no more deliveries, only what was queued.
    pub(crate) is_ended: bool,
    /// The shell was told to close it.
    pub(crate) is_doomed: bool,
    /// Something was sent to it. What is first is its protocol's greeting, without which nothing can be understood.
    pub(crate) is_greeted: bool,
    /// Some subscription of it wants little unsent data in the kernel.
    pub(crate) wants_freshness: bool,
    /// Some group's home was told that it is full.
    pub(crate) owes_room: bool,
    /// What its next command waits for.
    pub(crate) waiting: Waiting,
    /// Some value is held for it, so that most deliveries need not look further.
    pub(crate) has_held: bool,
    /// Some cursor of it goes on once the queue is shorter.
    pub(crate) awaits_history: bool,
    /// Its only subscription; when there are several, `more` has them.
    only: SubscriptionKey,
    more: Option<Box<More>>,
    pub(crate) queue: Queue,
    /// The fan-out that met this session last, and what it found; see `fanout`.
    pub(crate) meeting: Meeting,
}

/// What one fan-out knows of one session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Meeting {
    pub(crate) fanout: u32,
    pub(crate) governing: SubscriptionKey,
    pub(crate) by_id: bool,
    pub(crate) echo: bool,
    /// Some `catch-up` subscription is among the matches.
    pub(crate) catches_up: bool,
}

impl Session {
    pub(crate) fn new(generation: u32, encoding: EncodingId) -> Self {
        Session {
            generation,
            encoding,
            is_dirty: false,
            is_blocked: false,
            is_ended: false,
            is_doomed: false,
            is_greeted: false,
            wants_freshness: false,
            owes_room: false,
            waiting: Waiting::Nothing,
            has_held: false,
            awaits_history: false,
            only: SubscriptionKey::NONE,
            more: None,
            queue: Queue::EMPTY,
            meeting: Meeting {
                fanout: 0,
                governing: SubscriptionKey::NONE,
                by_id: false,
                echo: false,
                catches_up: false,
            },
        }
    }

    /// What it has besides one subscription, if it ever had.
    pub(crate) fn more(&self) -> Option<&More> {
        self.more.as_deref()
    }

    /// The same, to be added to.
    pub(crate) fn more_mut(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    /// The same, where there is nothing to change without it.
    pub(crate) fn existing_more_mut(&mut self) -> Option<&mut More> {
        self.more.as_deref_mut()
    }

    /// Who began in a journal, and does no more than listen, goes without again.
    pub(crate) fn shed_more(&mut self) {
        self.more.take_if(|more| more.is_empty());
    }

    pub(crate) fn dialogue(&self) -> Option<&Dialogue> {
        self.more.as_ref()?.dialogue.as_deref()
    }

    pub(crate) fn dialogue_mut(&mut self) -> Option<&mut Dialogue> {
        self.more.as_mut()?.dialogue.as_deref_mut()
    }

    /// Its cursors; none for most.
    pub(crate) fn cursors(&self) -> &[CursorKey] {
        self.more.as_ref().map_or(&[], |more| &more.cursors)
    }

    pub(crate) fn held(&self) -> HeldList {
        self.more.as_ref().map_or(HeldList::EMPTY, |more| more.held)
    }

    pub(crate) fn subscription_count(&self) -> usize {
        if self.only.is_some() { 1 } else { self.listed().len() }
    }

    /// The subscription with the `index`th number.
    pub(crate) fn subscription_at(&self, index: usize) -> SubscriptionKey {
        if self.only.is_some() { self.only } else { self.listed()[index].1 }
    }

    /// Where the subscription of a number is, or belongs.
    pub(crate) fn find_subscription(&self, number: u32, all: &Subscriptions) -> Result<usize, usize> {
        if self.only.is_some() {
            return match all[self.only].number.cmp(&number) {
                Ordering::Less => Err(1),
                Ordering::Equal => Ok(0),
                Ordering::Greater => Err(0),
            };
        }
        self.listed().binary_search_by_key(&number, |(known, _)| *known)
    }

    /// Adds a subscription where [`Session::find_subscription`] says that it belongs.
    pub(crate) fn insert_subscription(&mut self, index: usize, key: SubscriptionKey, all: &Subscriptions) {
        if self.subscription_count() == 0 {
            self.only = key;
            return;
        }
        let first = mem::replace(&mut self.only, SubscriptionKey::NONE);
        let list = &mut self.more_mut().subscriptions;
        if first.is_some() {
            list.push((all[first].number, first));
        }
        list.insert(index, (all[key].number, key));
    }

    pub(crate) fn remove_subscription(&mut self, index: usize) -> SubscriptionKey {
        if self.only.is_some() {
            return mem::replace(&mut self.only, SubscriptionKey::NONE);
        }
        self.more_mut().subscriptions.remove(index).1
    }

    /// Takes all subscriptions out.
    pub(crate) fn take_subscriptions(&mut self) -> impl Iterator<Item = SubscriptionKey> + use<> {
        let only = mem::replace(&mut self.only, SubscriptionKey::NONE);
        let listed = self.more.as_mut().map_or_else(Vec::new, |more| mem::take(&mut more.subscriptions));
        only.is_some().then_some(only).into_iter().chain(listed.into_iter().map(|(_, key)| key))
    }

    fn listed(&self) -> &[(u32, SubscriptionKey)] {
        self.more.as_ref().map_or(&[], |more| &more.subscriptions)
    }
}

/// The subscriptions of all sessions.
pub(crate) type Subscriptions = Arena<SubscriptionKey, Subscription>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_idle_client_pays_for_its_session_and_subscription_does_not_grow_unseen() {
        assert_eq!((size_of::<Session>(), size_of::<Subscription>()), (56, 40));
    }
}

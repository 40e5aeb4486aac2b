//! The shard's promise: in steady state a message allocates nothing, whoever gets it and however.
//!
//! Each case warms up until every pool and buffer has its size, and then counts the allocations of many further turns.

use fanwire_core::command::Subscribe;
use fanwire_core::journal::history::HistoryRecord;
use fanwire_core::{
    Address, Command, Delivery, Encoding, EncodingId, Envelope, Event, Handled, HistoryOf, Seat, SessionId, Settings,
    Shard, Slices, Target, Time,
};
use fanwire_wire::frame::{AckLevel, Policy, Start};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

const WARM_UP_TURNS: u32 = 200;
const COUNTED_TURNS: u32 = 200;
const MESSAGES_PER_TURN: u32 = 50;
const SUBSCRIBERS: u32 = 20;

/// Counts the allocations of each thread, so that tests beside each other do not count each other's.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator as it came; counting touches a thread-local cell that needs no
// allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` through this allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Payloads behind a byte each: the least an encoding can do.
struct Plain;

impl Encoding for Plain {
    fn render_message(&self, message: &Delivery<'_>, out: &mut Vec<u8>) {
        out.push(matches!(message.address, Address::Id(_)).into());
        out.extend_from_slice(message.payload);
    }

    fn render_history(&self, _of: &HistoryOf, record: &HistoryRecord<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(record.payload);
    }

    fn render_event(&self, event: &Event<'_>, out: &mut Vec<u8>) {
        out.push(2);
        if let Event::GroupMessage { payload, .. } | Event::Call { payload, .. } | Event::Response { payload, .. } =
            event
        {
            out.extend_from_slice(payload);
        }
    }
}

struct Scene {
    shard: Shard,
    now: Time,
    publisher: SessionId,
    subscribers: Vec<SessionId>,
    dirty: Vec<SessionId>,
}

impl Scene {
    /// A publisher, and subscribers that each wish the same.
    fn new(wish: Subscribe<'_>) -> Scene {
        let mut shard = Shard::new(Settings::default(), vec![Box::new(Plain)], Time::default());
        let publisher = shard.open_session(EncodingId(0));
        shard.handle(publisher, &Command::Register { short_id: 0, topic: b"room/1" }).unwrap();
        let mut open = || {
            let session = shard.open_session(EncodingId(0));
            shard.handle(session, &Command::Subscribe(wish)).unwrap();
            session
        };
        let subscribers = (0..SUBSCRIBERS).map(|_| open()).collect();
        Scene { shard, now: Time::default(), publisher, subscribers, dirty: Vec::new() }
    }

    fn turn(&mut self, mut work: impl FnMut(&mut Shard, SessionId)) {
        self.now = self.now + Duration::from_millis(5);
        self.shard.begin_turn(self.now);
        for _ in 0..MESSAGES_PER_TURN {
            work(&mut self.shard, self.publisher);
        }
        self.shard.finish_turn();
        self.shard.take_dirty(&mut self.dirty);
        for session in self.dirty.drain(..) {
            flush(&mut self.shard, session);
        }
    }

    fn assert_steady(&mut self, mut work: impl FnMut(&mut Shard, SessionId)) {
        for _ in 0..WARM_UP_TURNS {
            self.turn(&mut work);
        }
        let before = ALLOCATIONS.get();
        for _ in 0..COUNTED_TURNS {
            self.turn(&mut work);
        }
        let count = ALLOCATIONS.get() - before;
        assert_eq!(count, 0, "{count} allocations in {} messages", COUNTED_TURNS * MESSAGES_PER_TURN);
        assert!(self.shard.counters().deliveries > 0, "somebody got something");
    }
}

fn flush(shard: &mut Shard, session: SessionId) {
    loop {
        let mut slices = Slices::new();
        shard.front(session, &mut slices);
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        if bytes == 0 {
            return;
        }
        drop(slices);
        shard.advance(session, bytes, false);
    }
}

fn publish(shard: &mut Shard, publisher: SessionId, target: Target<'_>, ack: AckLevel) {
    shard.handle(publisher, &Command::Publish { target, ack, headers: &[], payloads: &[&[7; 64]] }).unwrap();
}

fn wish(filter: &[u8]) -> Subscribe<'_> {
    Subscribe {
        subscription: 1,
        filter,
        group: b"",
        policy: Policy::Disconnect,
        no_echo: false,
        responder: false,
        max_rate_hz: 0,
        start: Start::Live,
    }
}

#[test]
fn a_publish_by_short_id_to_exact_subscribers() {
    Scene::new(wish(b"room/1")).assert_steady(|shard, publisher| {
        publish(shard, publisher, Target::Short(0), AckLevel::None);
    });
}

#[test]
fn an_acknowledged_publish_by_name_to_wildcard_subscribers() {
    Scene::new(wish(b"room/+")).assert_steady(|shard, publisher| {
        publish(shard, publisher, Target::Name(b"room/1"), AckLevel::Routed);
    });
}

#[test]
fn a_message_to_a_group() {
    Scene::new(Subscribe { group: b"workers", ..wish(b"room/#") }).assert_steady(|shard, publisher| {
        publish(shard, publisher, Target::Short(0), AckLevel::None);
    });
}

#[test]
fn players_who_publish_and_do_not_hear_themselves() {
    let mut scene = Scene::new(Subscribe { no_echo: true, ..wish(b"room/1") });
    let players = scene.subscribers.clone();
    for player in &players {
        scene.shard.handle(*player, &Command::Register { short_id: 0, topic: b"room/1" }).unwrap();
    }
    let mut turn = 0;
    scene.assert_steady(|shard, _| {
        turn += 1;
        publish(shard, players[turn % players.len()], Target::Short(0), AckLevel::None);
    });
}

#[test]
fn newest_values_at_a_rate() {
    let wish = Subscribe { policy: Policy::Conflate, max_rate_hz: 20, ..wish(b"room/1") };
    Scene::new(wish).assert_steady(|shard, publisher| {
        publish(shard, publisher, Target::Short(0), AckLevel::None);
    });
}

#[test]
fn a_subscriber_that_stopped_reading_and_loses_the_oldest() {
    let mut scene = Scene::new(Subscribe { policy: Policy::DropOldest, ..wish(b"room/1") });
    let stopped = scene.subscribers[0];
    let mut fill = |shard: &mut Shard, publisher: SessionId| {
        publish(shard, publisher, Target::Short(0), AckLevel::None);
        shard.advance(stopped, 0, true);
    };
    while scene.shard.counters().dropped == 0 {
        scene.turn(&mut fill);
    }
    scene.assert_steady(fill);
}

#[test]
fn a_request_and_its_reply() {
    let mut scene = Scene::new(Subscribe { group: b"clock", responder: true, ..wish(b"time/now") });
    let responders = scene.subscribers.clone();
    let mut turn = 0;
    let mut ask = |shard: &mut Shard, requester: SessionId| {
        let request =
            Command::Request { correlation: 1, deadline_ms: 1_000, topic: b"time/now", headers: &[], payload: b"?" };
        shard.handle(requester, &request).unwrap();
        let handle = turn / responders.len() as u64 + 1;
        let reply = Command::Reply { handle, headers: &[], payload: b"!" };
        shard.handle(responders[turn as usize % responders.len()], &reply).unwrap();
        turn += 1;
    };
    for _ in 0..WARM_UP_TURNS {
        scene.turn(&mut ask);
    }
    let before = ALLOCATIONS.get();
    for _ in 0..COUNTED_TURNS {
        scene.turn(&mut ask);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
    assert_eq!(scene.shard.counters().requests_failed, 0);
}

/// Two shards: everybody but the publisher, or the group's home, is on the other one.
#[test]
fn a_message_to_another_shard() {
    let grouped = Subscribe { group: b"workers", ..wish(b"room/1") };
    for wish in [wish(b"room/1"), wish(b"room/#"), grouped] {
        let settings = Settings::default();
        let mut shards = Seat::row(2)
            .into_iter()
            .map(|seat| Shard::seated(settings, vec![Box::new(Plain)], seat, Time::default()))
            .collect::<Vec<_>>();
        let publisher = shards[0].open_session(EncodingId(0));
        for _ in 0..SUBSCRIBERS {
            let session = shards[1].open_session(EncodingId(0));
            shards[1].handle(session, &Command::Subscribe(wish)).unwrap();
        }
        let (mut mail, mut dirty) = (Envelope::default(), Vec::new());
        let mut turn = |shards: &mut Vec<Shard>| {
            for shard in shards.iter_mut() {
                shard.begin_turn(Time::default());
            }
            for _ in 0..MESSAGES_PER_TURN {
                publish(&mut shards[0], publisher, Target::Name(b"room/1"), AckLevel::Routed);
            }
            for (from, to) in [(0, 1), (1, 0), (0, 1), (1, 0)] {
                std::mem::swap(&mut mail, shards[from].mail_to(to));
                assert!(shards[to].receive_mail(from, &mut mail), "a small turn");
                mail.clear();
            }
            for shard in shards.iter_mut() {
                shard.finish_turn();
                shard.take_dirty(&mut dirty);
                dirty.drain(..).for_each(|session| flush(shard, session));
            }
        };
        for _ in 0..WARM_UP_TURNS {
            turn(&mut shards);
        }
        let before = ALLOCATIONS.get();
        for _ in 0..COUNTED_TURNS {
            turn(&mut shards);
        }
        let count = ALLOCATIONS.get() - before;
        assert_eq!(count, 0, "{count} allocations in {} messages", COUNTED_TURNS * MESSAGES_PER_TURN);
        assert!(shards[0].counters().mailed_out > 0, "it goes by mail");
    }
}

/// The way to the other shard stays full, and whoever waits for it gives up.
#[test]
fn somebody_who_waits_for_room_and_leaves() {
    let settings = Settings { mailbox_bytes_max: 4_096, ..Settings::default() };
    let seat = |seat| Shard::seated(settings, vec![Box::new(Plain)], seat, Time::default());
    let [mut near, mut far]: [Shard; 2] =
        Seat::row(2).into_iter().map(seat).collect::<Vec<_>>().try_into().ok().unwrap();
    let subscriber = far.open_session(EncodingId(0));
    far.handle(subscriber, &Command::Subscribe(wish(b"room/1"))).unwrap();
    let stays = near.open_session(EncodingId(0));
    let command =
        Command::Publish { target: Target::Name(b"room/1"), ack: AckLevel::None, headers: &[], payloads: &[&[7; 64]] };
    while near.handle(stays, &command) == Ok(Handled::Done) {}
    let mut come_and_go = || {
        let leaves = near.open_session(EncodingId(0));
        assert_eq!(near.handle(leaves, &command), Ok(Handled::Postponed));
        near.remove_session(leaves);
    };
    (0..WARM_UP_TURNS).for_each(|_| come_and_go());
    let before = ALLOCATIONS.get();
    (0..100 * COUNTED_TURNS).for_each(|_| come_and_go());
    assert_eq!(ALLOCATIONS.get() - before, 0, "the list of those who wait does not grow");
}

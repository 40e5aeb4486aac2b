//! The broker's promise as a whole: in steady state nobody allocates for a message, from the socket it is read from to
//! the sockets it is written to. Real reactors run in threads of this process, and only what they allocate counts.
//!
//! `src/core/tests/allocation.rs` holds the shard to the same, kind by kind of subscription, and can be exact about it.
//! Here a handful is let pass: bytes that arrive in two pieces are kept until the rest is there, and when a letter to
//! another reactor is not back yet, the next one is a new one. Both happen by chance, and neither grows with messages.

use fanwire::config::{Config, Flags};
use fanwire::reactor::{Listener, Premises, Team};
use fanwire_client::{Client, SubscribeOptions, SubscriptionId};
use fanwire_core::journal::plan::Plan;
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

const SUBSCRIBERS: usize = 10;
const WARM_UP_ROUNDS: u64 = 200;
const COUNTED_ROUNDS: u64 = 400;
const MESSAGES_PER_ROUND: u64 = 50;
/// What may happen by chance.
const ALLOCATIONS_MAX: u64 = COUNTED_ROUNDS / 10;
const PAYLOAD: [u8; 64] = [7; 64];

/// Counts what the reactors' threads allocate, all together.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_REACTOR: Cell<bool> = const { Cell::new(false) };
}

// SAFETY: every call goes to the system's allocator as it came; counting touches a static and a thread-local cell that
// needs no allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_REACTOR.try_with(Cell::get) == Ok(true) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
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

/// A broker in threads of this process, until the test ends. Returns its address.
fn broker(reactor_count: u32) -> String {
    let config = Config::from_text("", &Flags { reactors: Some(reactor_count), ..Flags::default() }).unwrap();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), &config.socket).unwrap();
    let address = listener.local_address().unwrap();
    let premises = Premises::new(&config, listener, 100);
    let Team { acceptor, reactors, .. } = Team::assemble(&config, premises, &Plan::default()).unwrap();
    std::thread::spawn(move || acceptor.run().unwrap());
    for reactor in reactors {
        std::thread::spawn(move || {
            IS_REACTOR.set(true);
            reactor.run().unwrap();
        });
    }
    format!("fanwire://{address}")
}

/// One round: a burst of messages, and everybody has them all.
fn play(publisher: &mut Client, subscribers: &mut [(Client, SubscriptionId)]) {
    for _ in 0..MESSAGES_PER_ROUND {
        publisher.publish("room/1", &PAYLOAD).unwrap();
    }
    publisher.flush().unwrap();
    for (subscriber, subscription) in subscribers {
        let messages = subscriber.messages(*subscription).take(MESSAGES_PER_ROUND as usize);
        assert_eq!(messages.map(Result::unwrap).count() as u64, MESSAGES_PER_ROUND);
    }
}

fn expect_no_allocation_for_messages(reactor_count: u32) {
    let url = broker(reactor_count);
    let subscribe = |filter: &str| {
        let mut client = Client::connect(&url).unwrap();
        let subscription = client.subscribe(filter, SubscribeOptions::default()).unwrap();
        (client, subscription)
    };
    let filters = ["room/1", "room/+"].into_iter().cycle().take(SUBSCRIBERS);
    let mut subscribers: Vec<(Client, SubscriptionId)> = filters.map(subscribe).collect();
    let mut publisher = Client::connect(&url).unwrap();
    for _ in 0..WARM_UP_ROUNDS {
        play(&mut publisher, &mut subscribers);
    }
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    for _ in 0..COUNTED_ROUNDS {
        play(&mut publisher, &mut subscribers);
    }
    let count = ALLOCATIONS.load(Ordering::Relaxed) - before;
    let messages = COUNTED_ROUNDS * MESSAGES_PER_ROUND;
    println!("{count} allocations in {messages} messages, with {reactor_count} reactors");
    assert!(before > 0, "allocations are counted");
    assert!(count <= ALLOCATIONS_MAX, "{count} allocations in {messages} messages, with {reactor_count} reactors");
}

/// One after the other: both would count all reactors of the process.
#[test]
fn messages_cost_no_allocation_with_one_reactor_and_between_two() {
    expect_no_allocation_for_messages(1);
    expect_no_allocation_for_messages(2);
}

//! A game loop's promise: in steady state, hearing a message allocates nothing, and neither does publishing one.

mod peer;

use fanwire_client::{Client, Event, Options, SubscribeOptions};
use fanwire_wire::{Frame, frame};
use peer::{Peer, Script};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::mpsc;

/// Counts the allocations of each thread, so that the peer's do not count.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    // A thread that is being taken down has no counter any more, and nobody who asks.
    let _ = ALLOCATIONS.try_with(|allocations| allocations.set(allocations.get() + 1));
}

// SAFETY: every call goes to the system's allocator as it came; counting touches a thread-local cell that needs no
// allocation and no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System` through this allocator.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: the pointer came from `System` through this allocator.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MESSAGES_PER_ROUND: usize = 2_000;

/// One frame, by id, of two matching subscriptions, then by name for one of them.
fn round() -> Vec<u8> {
    let mut bytes = Vec::new();
    for index in 0..MESSAGES_PER_ROUND {
        let payload = &[7; 300][..index % 300];
        if index % 2 == 0 {
            Frame::from(frame::Message { topic_id: 1, headers: b"", payload }).encode(&mut bytes);
        } else {
            Frame::from(frame::MessageNamed { topic: b"room/2/pos", headers: b"hh", payload }).encode(&mut bytes);
        }
    }
    bytes
}

#[test]
fn hearing_and_publishing_allocate_nothing_in_steady_state() {
    const ROUNDS: usize = 12;
    const WARM_UP_ROUNDS: usize = 2;
    let (next, rounds) = mpsc::channel::<()>();
    let script = Script::start(move |listener| {
        let mut peer = Peer::welcome(listener);
        peer.expect(|frame| assert!(matches!(frame, Frame::Register(_))));
        peer.expect_subscribe(1);
        peer.expect_subscribe(0);
        let bytes = round();
        for () in rounds {
            peer.send_bytes(&bytes);
            for _ in 0..MESSAGES_PER_ROUND {
                peer.next().unwrap();
            }
        }
        peer.drain_and_close();
    });
    let options = Options { keep_alive: None, ..Options::to(&script.url()).unwrap() };
    let mut client = Client::open(options).unwrap();
    let publisher = client.register("room/1/pos").unwrap();
    client.subscribe("room/1/pos", SubscribeOptions::default()).unwrap();
    client.subscribe("room/+/pos", SubscribeOptions::default()).unwrap();
    let mut allocations = Vec::new();
    for _ in 0..ROUNDS {
        next.send(()).unwrap();
        let before = ALLOCATIONS.get();
        let mut heard = 0;
        let mut payload_bytes = 0;
        while heard < MESSAGES_PER_ROUND + MESSAGES_PER_ROUND / 2 {
            client
                .poll(|event| match event {
                    Event::Message(message) => {
                        heard += 1;
                        payload_bytes += message.payload.len();
                    }
                    other => panic!("{other:?}"),
                })
                .unwrap();
        }
        for _ in 0..MESSAGES_PER_ROUND / 2 {
            client.publish_to(&publisher, b"by short id").unwrap();
            client.publish("room/1/pos", b"by name").unwrap();
        }
        client.flush().unwrap();
        allocations.push(ALLOCATIONS.get() - before);
        assert!(payload_bytes > 0);
    }
    drop(next);
    assert_eq!(allocations[WARM_UP_ROUNDS..], [0; ROUNDS - WARM_UP_ROUNDS], "all rounds: {allocations:?}");
    client.close().unwrap();
    script.finish();
}

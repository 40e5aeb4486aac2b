//! A million mails through a narrow mailbox between two threads that really sleep, with parking as their poll.

use super::threaded::bell::Bell;
use super::threaded::pair::{Receiver, Sender, mailbox};
use std::sync::Arc;
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

const MAIL_COUNT: u64 = 1_000_000;
const MAILS_MAX: usize = 64;
const SPARES_MAX: usize = 4;
/// Who sleeps so long has not been woken.
const SLEEP_MAX: Duration = Duration::from_secs(60);

/// One of the two reactors.
struct Reactor<'a> {
    own: &'a Bell,
    other: &'a Bell,
    peer: Thread,
    /// How often it lay down, and how often it slept then.
    rests: u64,
    sleeps: u64,
    /// How often it woke the other.
    rings: u64,
}

impl<'a> Reactor<'a> {
    const fn new(own: &'a Bell, other: &'a Bell, peer: Thread) -> Self {
        Reactor { own, other, peer, rests: 0, sleeps: 0, rings: 0 }
    }

    fn ring_if_due(&mut self) {
        if self.other.must_ring() {
            self.rings += 1;
            self.peer.unpark();
        }
    }

    /// Sleeps, unless there is something to do.
    fn sleep_unless(&mut self, mut has_work: impl FnMut() -> bool) {
        self.own.lie_down();
        self.rests += 1;
        if !has_work() {
            self.sleeps += 1;
            let begin = Instant::now();
            thread::park_timeout(SLEEP_MAX);
            assert!(begin.elapsed() < SLEEP_MAX, "slept over its work: nobody rang");
        }
        self.own.get_up();
    }

    fn post_all(&mut self, sender: &mut Sender<Vec<u64>>) {
        let mut mail = Vec::new();
        for number in 0..MAIL_COUNT {
            mail.push(number);
            while !sender.post(&mut mail, number) {
                if sender.want_room() {
                    self.sleep_unless(|| !sender.want_room());
                }
            }
            assert!(mail.is_empty(), "an emptied one came back");
            self.ring_if_due();
        }
    }

    fn handle_all(&mut self, receiver: &mut Receiver<Vec<u64>>) {
        let mut expected = 0;
        while expected < MAIL_COUNT {
            let Some(mut mail) = receiver.take() else {
                self.sleep_unless(|| !receiver.is_empty());
                continue;
            };
            assert_eq!(mail, [expected]);
            expected += 1;
            mail.clear();
            if receiver.give_back(mail) {
                self.ring_if_due();
            }
        }
    }
}

#[test]
fn a_million_mails_arrive_in_order_with_one_ring_a_rest_at_most() {
    let bells = Arc::new([Bell::new(), Bell::new()]);
    let (mut sender, mut receiver) = mailbox(MAILS_MAX, SPARES_MAX);
    let poster = thread::current();
    let shared = Arc::clone(&bells);
    let handler = thread::spawn(move || {
        let mut reactor = Reactor::new(&shared[1], &shared[0], poster);
        reactor.handle_all(&mut receiver);
        (reactor.rests, reactor.sleeps, reactor.rings)
    });
    let peer = handler.thread().clone();
    let mut reactor = Reactor::new(&bells[0], &bells[1], peer);
    reactor.post_all(&mut sender);
    let (handler_rests, handler_sleeps, handler_rings) = handler.join().unwrap();
    assert_eq!(sender.bytes_in_transit(), 0);
    println!("the poster lay down {} times, slept {}, was rung {handler_rings}", reactor.rests, reactor.sleeps);
    println!("the handler lay down {handler_rests} times, slept {handler_sleeps}, was rung {}", reactor.rings);
    assert!(handler_rings <= reactor.rests && reactor.rings <= handler_rests);
}

//! The bell under every interleaving: no mail waits while its reactor sleeps and nobody rings, and one ring is enough.

use super::modelled::bell::Bell;
use super::modelled::pair::{Receiver, Sender, mailbox};
use super::modelled::ring::{Producer, ring};
use super::modelled::{explore, explore_bounded};
use loom::thread;
use std::sync::Arc;

/// Posts one item, and says whether the sleeper must be woken for it.
fn post(mut producer: Producer<u8>, bell: Arc<Bell>) -> thread::JoinHandle<bool> {
    thread::spawn(move || {
        assert_eq!(producer.push(7), Ok(()));
        bell.must_ring()
    })
}

#[test]
fn a_sleeper_that_saw_no_mail_is_rung_for_it() {
    explore(|| {
        let bell = Arc::new(Bell::new());
        let (producer, mut consumer) = ring(1);
        let poster = post(producer, Arc::clone(&bell));
        bell.lie_down();
        let sleeps = consumer.is_empty();
        assert!(poster.join().unwrap() || !sleeps, "mail waits, its reactor sleeps, and nobody rang");
    });
}

#[test]
fn of_two_who_post_to_a_sleeper_exactly_one_rings() {
    explore(|| {
        let bell = Arc::new(Bell::new());
        let (one, mut from_one) = ring(1);
        let (other, mut from_other) = ring(1);
        let posters = [post(one, Arc::clone(&bell)), post(other, Arc::clone(&bell))];
        bell.lie_down();
        let sleeps = from_one.is_empty() && from_other.is_empty();
        let rings = posters.into_iter().filter_map(|poster| poster.join().unwrap().then_some(())).count();
        assert!(rings <= 1, "{rings} rings for one sleep");
        assert!(rings == 1 || !sleeps, "two mails wait, their reactor sleeps, and nobody rang");
    });
}

#[test]
fn who_is_up_is_not_rung() {
    explore(|| {
        let bell = Arc::new(Bell::new());
        bell.lie_down();
        bell.get_up();
        let (producer, mut consumer) = ring(1);
        assert!(!post(producer, Arc::clone(&bell)).join().unwrap());
        assert_eq!(consumer.pop(), Some(7));
    });
}

/// Takes so many mails, sleeping in between as a reactor does. A ring that is missing leaves it parked for ever, which
/// the model reports.
fn take_all(mut receivers: Vec<Receiver<u8>>, bell: &Bell, mail_count: usize) {
    let mut taken = 0;
    while taken < mail_count {
        for receiver in &mut receivers {
            while let Some(mail) = receiver.take() {
                taken += 1;
                assert!(!receiver.give_back(mail), "nobody waits for room here");
            }
        }
        if taken < mail_count {
            bell.lie_down();
            if receivers.iter_mut().all(Receiver::is_empty) {
                thread::park();
            }
            bell.get_up();
        }
    }
}

/// Posts so many mails, each followed by a ring if one is due.
fn post_all(mut sender: Sender<u8>, bell: Arc<Bell>, sleeper: thread::Thread, mail_count: usize) {
    thread::spawn(move || {
        for _ in 0..mail_count {
            assert!(sender.post(&mut 7, 1));
            if bell.must_ring() {
                sleeper.unpark();
            }
        }
        sender.forget_spares();
    });
}

#[test]
fn a_reactor_that_sleeps_between_mails_gets_them_all() {
    explore_bounded(3, || {
        let bell = Arc::new(Bell::new());
        let (sender, receiver) = mailbox(2, 1);
        post_all(sender, Arc::clone(&bell), thread::current(), 2);
        take_all(vec![receiver], &bell, 2);
    });
}

#[test]
fn a_reactor_gets_what_two_others_post() {
    explore_bounded(2, || {
        let bell = Arc::new(Bell::new());
        let (one, from_one) = mailbox(1, 1);
        let (other, from_other) = mailbox(1, 1);
        post_all(one, Arc::clone(&bell), thread::current(), 1);
        post_all(other, Arc::clone(&bell), thread::current(), 1);
        take_all(vec![from_one, from_other], &bell, 2);
    });
}

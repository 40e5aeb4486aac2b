//! The mailbox of one pair in one thread: what moves, what stays, and its accounts.

use super::threaded::bell::Bell;
use super::threaded::pair::mailbox;

/// A mail with a buffer of its own.
fn mail(byte: u8) -> Vec<u8> {
    let mut mail = Vec::with_capacity(64);
    mail.push(byte);
    mail
}

#[test]
fn what_does_not_fit_stays_as_it_is() {
    let (mut sender, mut receiver) = mailbox(2, 2);
    assert!(sender.post(&mut mail(0), 10) && sender.post(&mut mail(1), 20));
    let mut third = mail(2);
    assert!(!sender.post(&mut third, 40));
    assert_eq!((third, sender.bytes_in_transit()), (vec![2], 30));
    assert_eq!(receiver.take(), Some(vec![0]));
    assert_eq!(sender.bytes_in_transit(), 30, "a mail in hand is not handled");
    receiver.give_back(Vec::new());
    assert_eq!(sender.bytes_in_transit(), 20);
    assert_eq!(receiver.take(), Some(vec![1]));
    receiver.give_back(Vec::new());
    assert!(receiver.is_empty() && receiver.take().is_none());
    assert_eq!(sender.bytes_in_transit(), 0);
}

#[test]
fn emptied_buffers_come_back_and_no_more_than_may() {
    let (mut sender, mut receiver) = mailbox(4, 2);
    for byte in 0..4 {
        let mut posted = mail(byte);
        assert!(sender.post(&mut posted, 1));
        assert_eq!(posted.capacity(), 0, "none has come back yet");
    }
    while let Some(mut taken) = receiver.take() {
        taken.clear();
        receiver.give_back(taken);
    }
    let capacities = [64, 64, 0].map(|_| {
        let mut posted = mail(9);
        assert!(sender.post(&mut posted, 1));
        posted.capacity()
    });
    assert_eq!(capacities, [64, 64, 0], "two were kept, the others dropped");
}

#[test]
fn spares_are_forgotten_on_demand() {
    let (mut sender, mut receiver) = mailbox(2, 2);
    assert!(sender.post(&mut mail(0), 1));
    let taken = receiver.take().unwrap();
    receiver.give_back(taken);
    sender.forget_spares();
    let mut posted = mail(1);
    assert!(sender.post(&mut posted, 1));
    assert_eq!(posted.capacity(), 0);
}

#[test]
fn a_sender_is_told_once_for_each_time_it_wants_room() {
    let (mut sender, mut receiver) = mailbox(4, 2);
    for byte in 0..4 {
        assert!(sender.post(&mut mail(byte), 0), "a mail without weight");
    }
    assert_eq!(sender.bytes_in_transit(), 4, "every mail counts, so that handling it shows");
    let mut handle = || {
        let taken = receiver.take().unwrap();
        receiver.give_back(taken)
    };
    assert!(!handle(), "nobody waits");
    assert!(!sender.want_room(), "it moved before this was asked");
    assert!(sender.want_room());
    assert!(handle(), "the sender waits");
    assert!(!handle(), "it has been told");
    assert!(!sender.want_room());
    assert!(handle(), "a wish stands until it has been told");
}

#[test]
fn one_ring_a_sleep() {
    let bell = Bell::new();
    assert!(!bell.must_ring());
    bell.lie_down();
    assert!(bell.must_ring() && !bell.must_ring());
    bell.get_up();
    bell.lie_down();
    bell.get_up();
    assert!(!bell.must_ring());
}

#[test]
#[should_panic(expected = "has not been given back")]
fn two_mails_in_hand_are_a_fault() {
    let (mut sender, mut receiver) = mailbox(2, 2);
    assert!(sender.post(&mut mail(0), 1) && sender.post(&mut mail(1), 1));
    drop((receiver.take(), receiver.take()));
}

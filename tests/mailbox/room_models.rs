//! Waiting for room under every interleaving: who waits is told, and who was told before it slept sees why.

use super::modelled::bell::Bell;
use super::modelled::pair::{Receiver, Sender, mailbox};
use super::modelled::{explore, explore_bounded};
use loom::thread;
use std::sync::Arc;

/// Handles so many mails that are there already, and counts how often the sender was to be told.
fn handle(mut receiver: Receiver<u8>, mail_count: usize) -> thread::JoinHandle<usize> {
    thread::spawn(move || {
        let take = |_: &usize| receiver.take().is_some_and(|mail| receiver.give_back(mail));
        (0..mail_count).filter(take).count()
    })
}

/// Tries until it has what it wants, or waits for the mailbox to move.
fn waits(sender: &mut Sender<u8>, mut wanted: impl FnMut(&mut Sender<u8>) -> bool) -> bool {
    loop {
        if wanted(sender) {
            return false;
        }
        if sender.want_room() {
            return true;
        }
    }
}

#[test]
fn a_sender_that_waits_for_a_slot_is_told() {
    explore(|| {
        let (mut sender, receiver) = mailbox(1, 1);
        assert!(sender.post(&mut 1, 1));
        let handler = handle(receiver, 1);
        let waits = waits(&mut sender, |sender| sender.post(&mut 2, 1));
        assert!(handler.join().unwrap() == 1 || !waits, "there is room, its sender waits, and nobody tells it");
    });
}

#[test]
fn a_sender_that_waits_for_bytes_is_told() {
    explore(|| {
        let (mut sender, receiver) = mailbox(2, 1);
        assert!(sender.post(&mut 1, 10) && sender.post(&mut 2, 5));
        let handler = handle(receiver, 2);
        let waits = waits(&mut sender, |sender| sender.bytes_in_transit() < 5);
        assert!(handler.join().unwrap() > 0 || !waits, "all is handled, the sender waits, and nobody tells it");
        assert_eq!(sender.bytes_in_transit(), 0);
    });
}

#[test]
fn a_sender_that_waits_again_and_again_is_told_after_its_last_wish() {
    explore_bounded(3, || {
        let (mut sender, receiver) = mailbox(2, 1);
        assert!(sender.post(&mut 1, 1) && sender.post(&mut 2, 1));
        let teller = thread::current();
        let mut receiver = receiver;
        thread::spawn(move || {
            for _ in 0..2 {
                let mail = receiver.take().expect("two mails are there");
                if receiver.give_back(mail) {
                    teller.unpark();
                }
            }
        });
        while sender.bytes_in_transit() > 0 {
            if sender.want_room() {
                thread::park();
            }
        }
    });
}

/// A reactor that posts so many mails into a mailbox which has room for one, and sleeps while there is none.
fn post_all(sender: &mut Sender<u8>, own: &Bell, other: &Bell, peer: &thread::Thread, mail_count: u8) {
    for mail in 0..mail_count {
        let mut mail = mail;
        while waits(sender, |sender| sender.post(&mut mail, 1)) {
            own.lie_down();
            if sender.want_room() {
                thread::park();
            }
            own.get_up();
        }
        if other.must_ring() {
            peer.unpark();
        }
    }
}

/// A reactor that handles so many mails, and sleeps while there is none.
fn handle_all(receiver: &mut Receiver<u8>, own: &Bell, other: &Bell, peer: &thread::Thread, mail_count: u8) {
    let mut handled = 0;
    while handled < mail_count {
        if let Some(mail) = receiver.take() {
            assert_eq!(mail, handled);
            handled += 1;
            if receiver.give_back(mail) && other.must_ring() {
                peer.unpark();
            }
            continue;
        }
        own.lie_down();
        if receiver.is_empty() {
            thread::park();
        }
        own.get_up();
    }
}

/// The whole protocol. A ring that is missing leaves one of the two parked for ever, which the model reports.
#[test]
fn two_reactors_that_sleep_over_a_narrow_mailbox_get_everything_through() {
    explore_bounded(3, || {
        let bells = Arc::new([Bell::new(), Bell::new()]);
        let (mut sender, mut receiver) = mailbox(1, 1);
        let shared = Arc::clone(&bells);
        let poster = thread::current();
        let handler = thread::spawn(move || handle_all(&mut receiver, &shared[1], &shared[0], &poster, 2));
        post_all(&mut sender, &bells[0], &bells[1], handler.thread(), 2);
        handler.join().unwrap();
        assert_eq!(sender.bytes_in_transit(), 0);
    });
}

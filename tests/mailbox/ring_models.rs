//! The ring under every interleaving: order, wrap-around, and who touches a slot when.

use super::modelled::explore;
use super::modelled::ring::ring;
use loom::thread;
use std::sync::Arc;

/// The producer tries each item once, the consumer takes what it can, and what was admitted comes out in its order.
fn in_order_through(capacity: usize, item_count: usize) {
    explore(move || {
        let (mut producer, mut consumer) = ring(capacity);
        let filler = thread::spawn(move || {
            // Boxed, so that an item which is read twice or too early is a fault.
            let admitted: Vec<usize> = (0..item_count).filter(|item| producer.push(Box::new(*item)).is_ok()).collect();
            assert!(admitted.len() >= capacity, "so many fit whatever the consumer does");
            admitted
        });
        let mut popped: Vec<usize> = (0..item_count).filter_map(|_| consumer.pop()).map(|item| *item).collect();
        let admitted = filler.join().unwrap();
        popped.extend(std::iter::from_fn(|| consumer.pop()).map(|item| *item));
        assert_eq!(popped, admitted);
    });
}

#[test]
fn one_slot_used_again_and_again_keeps_order_and_loses_nothing() {
    in_order_through(1, 3);
}

#[test]
fn two_slots_wrap_around() {
    in_order_through(2, 4);
}

#[test]
fn room_and_items_that_a_side_has_seen_stay() {
    explore(|| {
        let (mut producer, mut consumer) = ring(1);
        let filler = thread::spawn(move || {
            for item in 0..2 {
                if !producer.is_full() {
                    assert_eq!(producer.push(item), Ok(()));
                }
            }
        });
        for _ in 0..2 {
            if !consumer.is_empty() {
                assert!(consumer.pop().is_some());
            }
        }
        filler.join().unwrap();
    });
}

#[test]
fn what_nobody_took_is_dropped_once_whoever_leaves_last() {
    explore(|| {
        let witness = Arc::new(());
        let (mut producer, mut consumer) = ring(2);
        let item = Arc::clone(&witness);
        let filler = thread::spawn(move || {
            for _ in 0..3 {
                drop(producer.push(Arc::clone(&item)));
            }
        });
        drop(consumer.pop());
        drop(consumer);
        filler.join().unwrap();
        assert_eq!(Arc::strong_count(&witness), 1);
    });
}

//! The ring in one thread: bounds, order over many rounds, drops.

use super::threaded::ring::ring;
use std::rc::Rc;

#[test]
fn it_holds_its_capacity_and_returns_what_does_not_fit() {
    let (mut producer, mut consumer) = ring(4);
    assert!(consumer.is_empty() && consumer.pop().is_none());
    for item in 0..4 {
        assert!(!producer.is_full());
        assert_eq!(producer.push(item), Ok(()));
    }
    assert!(producer.is_full());
    assert_eq!(producer.push(4), Err(4));
    assert_eq!(consumer.pop(), Some(0));
    assert!(!producer.is_full(), "the consumer's pop is seen at once");
    assert_eq!(producer.push(4), Ok(()));
    assert!(std::iter::from_fn(|| consumer.pop()).eq(1..=4));
    assert!(consumer.is_empty());
}

#[test]
fn order_holds_at_every_place_of_the_ring() {
    for capacity in [1, 2, 8] {
        let (mut producer, mut consumer) = ring(capacity);
        let (mut pushed, mut popped) = (0, 0);
        for round in 0..100 {
            for _ in 0..=round % capacity {
                pushed += usize::from(producer.push(pushed).is_ok());
            }
            for _ in 0..=(round / 3) % capacity {
                if let Some(item) = consumer.pop() {
                    assert_eq!(item, popped);
                    popped += 1;
                }
            }
        }
        assert!(popped > capacity && std::iter::from_fn(|| consumer.pop()).eq(popped..pushed));
    }
}

#[test]
fn what_is_left_inside_is_dropped_with_the_last_end() {
    let witness = Rc::new(());
    let (mut producer, mut consumer) = ring(4);
    for _ in 0..7 {
        drop(producer.push(Rc::clone(&witness)));
        drop(producer.push(Rc::clone(&witness)));
        drop(consumer.pop());
    }
    assert_eq!(Rc::strong_count(&witness), 1 + 3);
    drop(producer);
    assert_eq!(Rc::strong_count(&witness), 1 + 3);
    assert!(consumer.pop().is_some(), "what was pushed outlives the producer");
    drop(consumer);
    assert_eq!(Rc::strong_count(&witness), 1);
}

#[test]
#[should_panic(expected = "must be a power of two")]
fn a_capacity_that_no_mask_can_hold_is_a_fault() {
    drop(ring::<u8>(3));
}

//! The mailbox between reactors: the very files of `src/reactor/mailbox`, which know nothing of the broker around them.
//!
//! One thread alone shows what the code costs. Two show what it costs that a line is written by one core and read by
//! another, which no count of instructions tells: those scenes are for the clock only.

#[path = "../../src/reactor/mailbox/bell.rs"]
mod bell;
#[path = "../../src/reactor/mailbox/pair.rs"]
mod pair;
#[path = "../../src/reactor/mailbox/ring.rs"]
mod ring;
#[path = "../../src/reactor/mailbox/sync.rs"]
mod sync;

use super::{Scene, Work};
use bell::Bell;
use pair::mailbox;
use ring::ring;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

pub(super) const SCENES: &[Scene] = &[
    Scene::new("mailbox/ring/one-thread", "item", ring_alone),
    Scene { threads: 2, ..Scene::new("mailbox/ring/two-threads", "item", ring_across) },
    Scene::new("mailbox/mail/one-thread", "mail", mail_alone),
    Scene { threads: 2, ..Scene::new("mailbox/mail/two-threads", "mail", mail_across) },
];

/// As many as reactors have between each other.
const LETTERS_MAX: usize = 64;
const SPARES_MAX: usize = 1;
/// Items between two threads in one run: what it takes to begin and to end a run is to be little beside them.
const ITEMS_ACROSS: u64 = 4_096;

fn ring_alone() -> Work {
    let (mut producer, mut consumer) = ring::<u64>(LETTERS_MAX);
    Work::new(LETTERS_MAX as u64, move || {
        for item in 0..LETTERS_MAX as u64 {
            assert_eq!(producer.push(black_box(item)), Ok(()));
        }
        for item in 0..LETTERS_MAX as u64 {
            assert_eq!(consumer.pop(), Some(item));
        }
    })
}

/// Everything that two reactors do about one mail while the receiver sleeps: it lies down, the sender posts and rings,
/// the receiver gets up, takes the mail, and gives it back emptied.
fn mail_alone() -> Work {
    let bell = Bell::new();
    let (mut sender, mut receiver) = mailbox::<Vec<u64>>(LETTERS_MAX, SPARES_MAX);
    let mut mail = Vec::new();
    let run = move || {
        bell.lie_down();
        assert!(receiver.is_empty());
        mail.push(black_box(1));
        assert!(sender.post(&mut mail, 8) && bell.must_ring());
        bell.get_up();
        let mut taken = receiver.take().expect("a mail was posted");
        taken.clear();
        assert!(!receiver.give_back(taken), "the sender does not wait");
        assert_eq!(sender.bytes_in_transit(), 0);
    };
    Work::new(1, run).warmed_up(LETTERS_MAX as u32)
}

/// A thread that does its part until it is told to stop.
struct Partner {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Partner {
    /// `step` says whether there was anything to do.
    fn start(mut step: impl FnMut() -> bool + Send + 'static) -> Partner {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                if !step() {
                    yield_core();
                }
            }
        });
        Partner { is_over, thread: Some(thread) }
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.take().expect("it is dropped once").join().expect("it does not panic");
    }
}

/// The other side may be waiting for this very core.
fn yield_core() {
    std::hint::spin_loop();
    std::thread::yield_now();
}

/// Items go there through one ring and come back through another.
fn ring_across() -> Work {
    let (mut producer, mut arrivals) = ring::<u64>(LETTERS_MAX);
    let (mut back, mut consumer) = ring::<u64>(LETTERS_MAX);
    let mut in_hand = None;
    let partner = Partner::start(move || {
        let Some(item) = in_hand.take().or_else(|| arrivals.pop()) else { return false };
        in_hand = back.push(item).err();
        in_hand.is_none()
    });
    Work::new(ITEMS_ACROSS, move || {
        let _partner = &partner;
        let (mut sent, mut received) = (0, 0);
        while received < ITEMS_ACROSS {
            let is_sent = sent < ITEMS_ACROSS && producer.push(sent).is_ok();
            sent += u64::from(is_sent);
            match consumer.pop() {
                Some(item) => {
                    assert_eq!(item, received);
                    received += 1;
                }
                None if !is_sent => yield_core(),
                None => {}
            }
        }
    })
}

fn mail_across() -> Work {
    let (mut sender, mut receiver) = mailbox::<Vec<u64>>(LETTERS_MAX, SPARES_MAX);
    let partner = Partner::start(move || {
        let Some(mut mail) = receiver.take() else { return false };
        black_box(&mail);
        mail.clear();
        // Whether it is to be told: it looks by itself.
        let _ = receiver.give_back(mail);
        true
    });
    let mut mail = Vec::new();
    Work::new(ITEMS_ACROSS, move || {
        let _partner = &partner;
        for number in 0..ITEMS_ACROSS {
            mail.push(number);
            while !sender.post(&mut mail, 8) {
                // What was handled meanwhile may have made room.
                if sender.want_room() {
                    yield_core();
                }
            }
        }
        while sender.bytes_in_transit() > 0 {
            yield_core();
        }
        sender.forget_spares();
    })
}

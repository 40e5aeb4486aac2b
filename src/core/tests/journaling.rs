//! Shards, a keeper and readers in one thread and from one seed, with delays on every way between them, watched by an
//! oracle that knows what protocol.md promises of journaled topics.
//!
//! ```text
//!  clients --commands--> shards --submissions--> keeper --tasks--> prepare, sync, seal: at once or late
//!     ^                   |  ^  ^                 |   |
//!     |                   |  |  '---releases------'   '--reads--> readers
//!     '-----frames--------'  '--------history (late)----------------'
//!     |
//!     `--> what each subscription was handed ------> oracle <------ what the logs hold
//! ```
//!
//! One seed is one run, whatever the machine:
//!
//! ```text
//!  SEED=7 cargo test -p fanwire-core --test journaling            one seed, with its trace when it fails
//!  SEEDS=5000 cargo test --release -p fanwire-core --test journaling     many; SEED=n begins there
//! ```

#[path = "journal/chance.rs"]
mod chance;
#[path = "journaling/client.rs"]
mod client;
#[path = "journaling/doubled.rs"]
mod doubled;
#[path = "journaling/encoding.rs"]
mod encoding;
#[path = "journaling/lists.rs"]
mod lists;
#[path = "journaling/medium.rs"]
mod medium;
#[path = "journaling/node.rs"]
mod node;
#[path = "journaling/office.rs"]
mod office;
#[path = "journaling/oracle.rs"]
mod oracle;
#[path = "journaling/sealing.rs"]
mod sealing;
#[path = "journaling/swarm.rs"]
mod swarm;
#[path = "journaling/totals.rs"]
mod totals;
#[path = "journaling/world.rs"]
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;
use totals::Totals;

const SEEDS: u64 = 64;

/// Seeds that have found something, and what.
const REGRESSIONS: [(u64, &str); 3] = [
    (40_004, "drop-oldest took from the queue what a catch-up one of its session had fallen back behind"),
    (160, "what was gathered for a catch-up one that ended was dropped before it had fallen back"),
    (40_012, "the same, after another catch-up one had ended, which moved the bound of the first"),
];

#[test]
fn what_was_mended_stays_so() {
    for (seed, bug) in REGRESSIONS {
        attempt(seed, false).unwrap_or_else(|failure| panic!("again, perhaps: {bug}: {failure}"));
    }
}

#[test]
fn every_seed_keeps_what_the_protocol_promises_of_journals() {
    let (first, count) = match (number("SEED"), number("SEEDS")) {
        (Some(first), count) => (first, count.unwrap_or(1)),
        (None, count) => (0, count.unwrap_or(SEEDS)),
    };
    let next = AtomicU64::new(first);
    let (sender, outcomes) = channel();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + count {
                        return;
                    }
                    let outcome = attempt(seed, count == 1);
                    if outcome.is_err() {
                        next.fetch_add(count, Ordering::Relaxed);
                    }
                    sender.send(outcome).expect("the test waits for it");
                }
            });
        }
    });
    drop(sender);
    let mut sums = Totals::default();
    for outcome in outcomes {
        match outcome {
            Ok(totals) => sums.add(&totals),
            Err(failure) => panic!("{failure}"),
        }
    }
    println!("{sums:?}");
    if count >= SEEDS {
        sums.check_that_much_happened();
    }
}

/// Runs one seed; a failure says how to see it again.
fn attempt(seed: u64, is_traced: bool) -> Result<Totals, String> {
    catch_unwind(AssertUnwindSafe(|| world::run(seed, is_traced))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = text.unwrap_or_else(|| "with a panic that is no text".to_owned());
        format!("seed {seed} fails: {text}\nto see it again: SEED={seed} cargo test -p fanwire-core --test journaling")
    })
}

#[expect(clippy::disallowed_methods, reason = "which seeds a test runs is no setting of the core")]
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

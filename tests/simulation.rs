//! Shards with native gateways and scripted clients, in one thread and from one seed, watched by an oracle that knows
//! what protocol.md promises.
//!
//! ```text
//!  seed --> swarm: limits, nodes, clients, what they do and how often
//!             |
//!           world --step--> clients --link--> nodes (gateways, shard) --link--> clients
//!             |               |              |  ^                               |
//!             |               |              post (mailboxes: full, slow)       |
//!             |               `--- said --------- taken in ------> oracle <---- got'
//!             `--> witnesses: who has seen SUBSCRIBED tells another node's, who publishes at once
//! ```
//!
//! A run has one node or up to eight. One alone is held to everything exactly; what several loosen stands where the
//! oracle loosens it (`transit`, `groups`, `requests`).
//!
//! One seed is one run, whatever the machine. The ordinary tests run 96 of them:
//!
//! ```text
//!  SEED=7 cargo test --test simulation            one seed, with its trace when it fails
//!  SEEDS=5000 cargo test --release --test simulation     many; STEPS=3000 makes each longer, SEED=n begins there
//! ```

#[path = "simulation/accounts.rs"]
mod accounts;
#[path = "simulation/answers.rs"]
mod answers;
#[path = "simulation/breach.rs"]
mod breach;
#[path = "simulation/client.rs"]
mod client;
#[path = "simulation/grammar.rs"]
mod grammar;
#[path = "simulation/groups.rs"]
mod groups;
#[path = "simulation/interest.rs"]
mod interest;
#[path = "simulation/link.rs"]
mod link;
#[path = "simulation/mailroom.rs"]
mod mailroom;
#[path = "simulation/names.rs"]
mod names;
#[path = "simulation/node.rs"]
mod node;
#[path = "simulation/oracle.rs"]
mod oracle;
#[path = "simulation/post.rs"]
mod post;
#[path = "simulation/random.rs"]
mod random;
#[path = "simulation/requests.rs"]
mod requests;
#[path = "simulation/rest.rs"]
mod rest;
#[path = "simulation/said.rs"]
mod said;
#[path = "simulation/stream.rs"]
mod stream;
#[path = "simulation/swarm.rs"]
mod swarm;
#[path = "simulation/trace.rs"]
mod trace;
#[path = "simulation/transit.rs"]
mod transit;
#[path = "simulation/witness.rs"]
mod witness;
#[path = "simulation/world.rs"]
mod world;

use oracle::Totals;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use trace::Trace;

const SEEDS: u64 = 96;
const STEPS: u64 = 300;

#[test]
fn every_seed_keeps_what_the_protocol_promises() {
    let steps = number("STEPS").unwrap_or(STEPS);
    let (first, count) = match (number("SEED"), number("SEEDS")) {
        (Some(first), count) => (first, count.unwrap_or(1)),
        (None, count) => (0, count.unwrap_or(SEEDS)),
    };
    let (seeds, is_single) = (first..first + count, count == 1);
    let next = AtomicU64::new(seeds.start);
    let failures = Mutex::new(Vec::new());
    let totals = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || failures.lock().is_ok_and(|failures| failures.len() >= 5) {
                        return;
                    }
                    match attempt(seed, steps, is_single) {
                        Ok(done) => totals.lock().expect("nobody panics with it").push(done),
                        Err(failure) => failures.lock().expect("nobody panics with it").push(failure),
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("all threads are done");
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    check_that_much_happened(&totals.into_inner().expect("all threads are done"), is_single);
}

/// Runs one seed; a failure says how to see it again.
fn attempt(seed: u64, steps: u64, keeps_trace: bool) -> Result<Totals, String> {
    let mut trace = Trace::new(keeps_trace);
    let outcome = catch_unwind(AssertUnwindSafe(|| world::run(seed, steps, &mut trace)));
    outcome.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let length = if steps == STEPS { String::new() } else { format!("STEPS={steps} ") };
        format!(
            "{}seed {seed} fails: {}\nto see it again: SEED={seed} {length}cargo test --test simulation",
            trace.text(),
            text.unwrap_or_else(|| "with a panic that is no text".to_owned()),
        )
    })
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is not a number")))
}

/// A simulation in which nothing happens keeps every promise.
fn check_that_much_happened(totals: &[Totals], is_single: bool) {
    let sum = |of: fn(&Totals) -> u64| totals.iter().map(of).sum::<u64>();
    let sums = Totals {
        connections: sum(|totals| totals.connections),
        published: sum(|totals| totals.published),
        refused: sum(|totals| totals.refused),
        delivered: sum(|totals| totals.delivered),
        group_delivered: sum(|totals| totals.group_delivered),
        dropped: sum(|totals| totals.dropped),
        conflated: sum(|totals| totals.conflated),
        requests: sum(|totals| totals.requests),
        replies: sum(|totals| totals.replies),
        answered: sum(|totals| totals.answered),
        slow_closed: sum(|totals| totals.slow_closed),
        overflowed: sum(|totals| totals.overflowed),
        breaches: sum(|totals| totals.breaches),
        optional: sum(|totals| totals.optional),
        mailed: sum(|totals| totals.mailed),
        pieces: sum(|totals| totals.pieces),
        postponed: sum(|totals| totals.postponed),
        jams: sum(|totals| totals.jams),
        returned: sum(|totals| totals.returned),
        witnessed: sum(|totals| totals.witnessed),
        witnessed_beside: sum(|totals| totals.witnessed_beside),
        stood_still: sum(|totals| totals.stood_still),
        held_up: sum(|totals| totals.held_up),
    };
    println!("{} seeds: {sums:#?}", totals.len());
    if !is_single && totals.len() as u64 >= SEEDS {
        // Some have to wait for a node that stands still though they have nothing to do with it: names share places.
        assert!(sums.held_up * 10 <= sums.stood_still, "too many wait for a node that stands still");
        let text = format!("{:?}", Totals { held_up: 1, ..sums });
        assert!(!text.contains(": 0,") && !text.contains(": 0 "), "something never happened: {text}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in 0..4 {
        let hashes = [(), ()].map(|()| {
            let mut trace = Trace::new(false);
            world::run(seed, STEPS, &mut trace);
            trace.hash()
        });
        assert_eq!(hashes[0], hashes[1], "seed {seed}");
    }
}

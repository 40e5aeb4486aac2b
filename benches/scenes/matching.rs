//! Who wants a topic, when one filter stands, ten thousand, or a million.
//!
//! ```text
//!  exact      site/000417                   found by name, whatever else there is
//!  wildcard   site/000104/#   site/000104/+/load   +/000104/state/+   site/+/000104/load     a quarter each
//!  churn      the wildcards, one of which is given up and asked for again before every message
//! ```
//!
//! Exact topics are published to in random order. With wildcards every name is new, as far as the shard remembers, so
//! each one is walked through the tree: a remembered topic's walk would be none. A unit is a message with all it takes
//! to bring it to the one, two or three who want it. From 100 on every message of a turn has others who want it, so
//! compare those with each other; with one filter all messages share one way.

use super::order::{Names, Order};
use super::stage::{MESSAGES_PER_TURN, Stage, command_to, publish, wish};
use super::{Scene, Work};
use fanwire_core::command::Subscribe;
use fanwire_core::{Command, SessionId, Settings, Target};

pub(super) const SCENES: &[Scene] = &[
    Scene::new("match/exact/1", "message", || exact(1)),
    Scene::new("match/exact/100", "message", || exact(100)),
    Scene::new("match/exact/10000", "message", || exact(10_000)),
    Scene::new("match/exact/1000000", "message", || exact(1_000_000)),
    Scene::new("match/wildcard/1", "message", || wildcard(1)),
    Scene::new("match/wildcard/100", "message", || wildcard(100)),
    Scene::new("match/wildcard/10000", "message", || wildcard(10_000)),
    Scene::new("match/wildcard/1000000", "message", || wildcard(1_000_000)),
    Scene::new("match/churn/1", "change and message", || churn(1)),
    Scene::new("match/churn/100", "change and message", || churn(100)),
    Scene::new("match/churn/10000", "change and message", || churn(10_000)),
    Scene::new("match/churn/1000000", "change and message", || churn(1_000_000)),
];

/// Sessions that share the subscriptions, each with no more than the default allows.
const SESSIONS: usize = 100;
/// Topics remembered: fewer than the names that come, so that nothing is known.
const TOPICS_CACHED: u32 = 1_024;
/// Names published in turn where every one is to be new.
const NEW_NAMES: usize = 20_000;
const WARM_UP_RUNS: u32 = 100;

/// Subscriptions with these filters, spread over the sessions.
fn subscribed(settings: Settings, count: usize, filter: impl Fn(usize) -> String) -> (Stage, Vec<SessionId>) {
    let mut stage = Stage::new(settings);
    let sessions: Vec<SessionId> = (0..SESSIONS).map(|_| stage.open()).collect();
    for index in 0..count {
        let text = filter(index);
        let wish = Subscribe { subscription: number_of(index), ..wish(text.as_bytes()) };
        stage.command(sessions[index % SESSIONS], &Command::Subscribe(wish));
        if index % 1_000 == 0 {
            stage.turn(|_| {});
        }
    }
    stage.turn(|_| {});
    (stage, sessions)
}

/// A session's own number of the subscription with this index.
const fn number_of(index: usize) -> u32 {
    (index / SESSIONS) as u32
}

fn exact(count: usize) -> Work {
    let filter = |index| format!("site/{index:06}");
    let (mut stage, _) = subscribed(Settings::default(), count, filter);
    let publisher = stage.open();
    let mut order = Order::new();
    let mut names = Names::new(count, |_| filter(order.below(count)));
    let run = move || {
        let before = stage.deliveries();
        stage.turn(|shard| {
            for _ in 0..MESSAGES_PER_TURN {
                publish(shard, publisher, Target::Name(names.next()));
            }
        });
        assert_eq!(stage.deliveries() - before, MESSAGES_PER_TURN);
    };
    Work::new(MESSAGES_PER_TURN, run).warmed_up(WARM_UP_RUNS)
}

fn settings() -> Settings {
    Settings { topics_cached_max: TOPICS_CACHED, ..Settings::default() }
}

/// The filter with this index; four with each key.
fn mixed_filter(index: usize) -> String {
    let key = index / 4;
    match index % 4 {
        0 => format!("site/{key:06}/#"),
        1 => format!("site/{key:06}/+/load"),
        2 => format!("+/{key:06}/state/+"),
        _ => format!("site/+/{key:06}/load"),
    }
}

/// Names that the first filter of some key matches, the second one if there is such, and perhaps a third.
fn new_names(filters: usize) -> Names {
    let mut order = Order::new();
    let keys = filters.div_ceil(4);
    Names::new(NEW_NAMES, |_| format!("site/{:06}/{:06}/load", order.below(keys), order.below(1_000_000)))
}

fn wildcard(count: usize) -> Work {
    let (mut stage, _) = subscribed(settings(), count, mixed_filter);
    let publisher = stage.open();
    let mut names = new_names(count);
    let run = move || {
        let before = stage.deliveries();
        stage.turn(|shard| {
            for _ in 0..MESSAGES_PER_TURN {
                publish(shard, publisher, Target::Name(names.next()));
            }
        });
        assert!(stage.deliveries() - before >= MESSAGES_PER_TURN);
    };
    Work::new(MESSAGES_PER_TURN, run).warmed_up(WARM_UP_RUNS)
}

fn churn(count: usize) -> Work {
    let (mut stage, sessions) = subscribed(settings(), count, mixed_filter);
    let publisher = stage.open();
    let mut names = new_names(count);
    let mut order = Order::new();
    let run = move || {
        stage.turn(|shard| {
            for _ in 0..MESSAGES_PER_TURN {
                let index = order.below(count);
                let (session, subscription, filter) =
                    (sessions[index % SESSIONS], number_of(index), mixed_filter(index));
                command_to(shard, session, &Command::Unsubscribe { subscription });
                let wish = Subscribe { subscription, ..wish(filter.as_bytes()) };
                command_to(shard, session, &Command::Subscribe(wish));
                publish(shard, publisher, Target::Name(names.next()));
            }
        });
    };
    Work::new(MESSAGES_PER_TURN, run).warmed_up(WARM_UP_RUNS)
}

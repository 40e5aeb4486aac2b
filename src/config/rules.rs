//! The rules between keys: what each key allows alone, but not together.
//!
//! They are looked at after flags have had their say, so a message names the line or the flag that set the value.

use super::draft::Draft;
use super::journal_rules;
use super::keys::{JOURNAL_KEYS, KEYS, Key, Kind};
use super::{Config, Origin, Problem};
use fanwire_core::Settings;
use std::time::Duration;

/// What one turn may add to a queue beside one frame of the largest size. Stands in texts that people read, so the
/// core may not change it alone.
const TURN_BYTES: u32 = 384 * 1024;
const _: () = assert!(Settings::queue_bytes_min(0) == TURN_BYTES);
/// Reactors at the most: who is interested in a topic is noted in 64 bits, one a reactor.
const REACTORS_MAX: u32 = 64;

/// The configuration, if the draft obeys every rule.
pub(super) fn settle(mut draft: Draft) -> Result<Config, Vec<Problem>> {
    // Rules on top of values that were refused would only repeat the refusal in other words.
    if draft.problems.is_empty() {
        let rules =
            [exposure, tokens_or_open, reactors, frame_parts, queues, shares, reconnect_window, hosts_and_origins];
        for rule in rules.into_iter().chain([journal_rules::settle as fn(&mut Draft)]) {
            rule(&mut draft);
        }
    }
    if draft.problems.is_empty() {
        check_ranges(&draft.config);
        Ok(draft.config)
    } else {
        draft.problems.sort_by_key(|problem| problem.origin);
        Err(draft.problems)
    }
}

impl Draft {
    fn refuse(&mut self, path: &str, message: String) {
        self.refuse_at(self.origin(path), path, message);
    }

    fn refuse_at(&mut self, origin: Origin, path: &str, message: String) {
        // The key stands in the message, except after a flag, which says the same.
        let message = if matches!(origin, Origin::Flag(_)) { message } else { format!("{path}: {message}") };
        self.problems.push(Problem { origin, message });
    }

    /// Refuses `path` unless its value reaches `least`, which follows from the key `cause`.
    fn demand(&mut self, path: &str, value: u64, least: u64, cause: &str, reason: &str) {
        if value < least {
            let (value, least) = (print(path, value), print(path, least));
            // Where the one is a default, the line to look at is the other's.
            let origin = match self.origin(path) {
                Origin::File => self.origin(cause),
                set => set,
            };
            self.refuse_at(origin, path, format!("{value} is too little; at least {least} is needed: {reason}"));
        }
    }
}

/// A broker that others can reach is protected, or says openly that it is not.
fn exposure(draft: &mut Draft) {
    let Config { listen, open, tokens, http, .. } = &draft.config;
    if !tokens.is_open() || *open {
        return;
    }
    let addresses = [("listen", Some(*listen)), ("http.admin_listen", http.admin_listen)];
    for (path, address) in addresses {
        let Some(address) = address.filter(|address| !address.ip().to_canonical().is_loopback()) else { continue };
        let message = format!(
            "{address} can be reached from other machines, and nobody would have to say who they are. There are two \
             ways: put a secret in the configuration file (tokens = [\"...\"]), or say that anyone may connect \
             (--open, or open = true)"
        );
        draft.refuse(path, message);
    }
}

fn tokens_or_open(draft: &mut Draft) {
    if draft.config.open && !draft.config.tokens.is_open() {
        draft.refuse("open", "tokens are set, so not everyone may connect; remove one of the two".to_owned());
    }
}

fn hosts_and_origins(draft: &mut Draft) {
    let Config { listen, http, .. } = &draft.config;
    if let Err(message) = http.origin_rules(*listen) {
        let path = if message.contains("is no host") { "http.hosts" } else { "http.origins" };
        draft.refuse(path, message);
    }
}

fn reactors(draft: &mut Draft) {
    let wanted = draft.config.reactors;
    if wanted > REACTORS_MAX {
        let message = format!(
            "{wanted} is too many; allowed is 0 to {REACTORS_MAX}: which reactors want a topic is noted in \
             {REACTORS_MAX} bits"
        );
        draft.refuse("reactors", message);
    }
}

fn frame_parts(draft: &mut Draft) {
    let wire = draft.config.limits.wire;
    if wire.headers_bytes_max > wire.frame_bytes_max {
        let message = format!(
            "{} is more than a whole frame has; allowed is up to limits.frame_bytes_max = {}",
            print("limits.headers_bytes_max", u64::from(wire.headers_bytes_max)),
            print("limits.frame_bytes_max", u64::from(wire.frame_bytes_max)),
        );
        draft.refuse("limits.headers_bytes_max", message);
    }
}

fn queues(draft: &mut Draft) {
    const FRAME: &str = "limits.frame_bytes_max";
    const QUEUE: &str = "limits.queue_bytes_max";
    let wire = draft.config.limits.wire;
    let least = u64::from(Settings::queue_bytes_min(wire.frame_bytes_max));
    let turn = "limits.frame_bytes_max and 384KiB, what one turn can add to a queue";
    draft.demand(QUEUE, wire.queue_bytes_max.into(), least, FRAME, turn);
}

/// What all connections have together is shared out to the reactors, and a share has to hold the largest thing that
/// may come. Of cached topics, the least number is enough for all.
fn shares(draft: &mut Draft) {
    let (reactors, limits) = (draft.config.reactor_count(), draft.config.limits);
    let (queue, frame) = (limits.wire.queue_bytes_max.into(), limits.wire.frame_bytes_max.into());
    let (queues, partials) = (limits.queue_bytes_total_max, limits.partial_bytes_total_max);
    let subscriptions = limits.subscriptions_total_max.into();
    let one_queue = "one connection may have limits.queue_bytes_max";
    let one_frame = "one frame may have limits.frame_bytes_max";
    for (path, total, least, cause, reason) in [
        ("limits.queue_bytes_total_max", queues, queue, "limits.queue_bytes_max", one_queue),
        ("limits.partial_bytes_total_max", partials, frame, "limits.frame_bytes_max", one_frame),
        ("limits.subscriptions_total_max", subscriptions, 1, "reactors", "none would be left"),
    ] {
        let sharing = format!("each of {reactors} reactors gets an equal share, and {reason}");
        let reason = if reactors > 1 { &sharing } else { reason };
        // Where neither the one nor the other was written, the number of reactors was.
        let cause = if draft.origin(cause) == Origin::File { "reactors" } else { cause };
        draft.demand(path, total, least * u64::from(reactors.min(REACTORS_MAX)), cause, reason);
    }
}

fn reconnect_window(draft: &mut Draft) {
    let millis = |time: Duration| u64::try_from(time.as_millis()).expect("the range fits milliseconds");
    let (earliest, latest) = (millis(draft.config.drain.reconnect_min), millis(draft.config.drain.reconnect_max));
    let reason = "it ends the time that drain.reconnect_min begins";
    draft.demand("drain.reconnect_max", latest, earliest, "drain.reconnect_min", reason);
}

/// A value as its key would write it.
fn print(path: &str, number: u64) -> String {
    let key = KEYS.iter().find(|key| key.path() == path).expect("rules speak of keys that exist");
    match &key.kind {
        Kind::Number { unit, .. } => unit.print(number),
        _ => unreachable!("rules print numbers"),
    }
}

/// Flags bypass the reading of values; nothing may bypass the ranges.
fn check_ranges(config: &Config) {
    KEYS.iter().for_each(|key| check_range(key, config));
    for journal in &config.journals {
        JOURNAL_KEYS.iter().for_each(|key| check_range(key, journal));
    }
}

fn check_range<T>(key: &Key<T>, target: &T) {
    if let Kind::Number { range, get, .. } = &key.kind {
        assert!(range.contains(&get(target)), "{} is out of its range", key.path());
    }
}

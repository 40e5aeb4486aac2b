//! The registry: every key of the file, its unit, its range, its place in [`Config`] and what it means.
//!
//! One row a key. A key that is not here does not exist, and a field of `Config` that no row reaches can't be set:
//! a test changes every key and looks for the change.

use super::quantity::{print_size, print_time_ms};
use super::{Config, LogFormat, LogLevel, Tokens};
use fanwire_core::settings::QUEUE_BYTES_CEILING;
use fanwire_wire::limits;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// One key.
pub(super) struct Key {
    /// The table it stands in; empty: above all tables.
    pub(super) section: &'static str,
    /// Its name in that table.
    pub(super) name: &'static str,
    /// What it can hold and where that goes.
    pub(super) kind: Kind,
    /// What it means, for the default file.
    pub(super) meaning: &'static str,
}

/// What a key can hold, and its place in `Config`.
pub(super) enum Kind {
    /// `true` or `false`.
    Switch { get: fn(&Config) -> bool, set: fn(&mut Config, bool) },
    /// An IP address and a port.
    Address { get: fn(&Config) -> SocketAddr, set: fn(&mut Config, SocketAddr) },
    /// A list of secrets.
    Tokens { get: fn(&Config) -> &Tokens, set: fn(&mut Config, Tokens) },
    /// One word of a few.
    Choice { words: &'static [&'static str], get: fn(&Config) -> usize, set: fn(&mut Config, usize) },
    /// A number in a unit and a range.
    Number { unit: Unit, range: RangeInclusive<u64>, get: fn(&Config) -> u64, set: fn(&mut Config, u64) },
}

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    /// Things.
    Count,
    /// Bytes: `"64KiB"`, or a bare number where the key's name says bytes.
    Size,
    /// Milliseconds, written as `"25s"`.
    Time,
}

impl Key {
    /// The whole name, such as `limits.frame_bytes_max`.
    pub(super) fn path(&self) -> String {
        if self.section.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.section, self.name) }
    }
}

impl Kind {
    /// The value in this configuration as TOML. Tokens are counted, not shown.
    pub(super) fn print(&self, config: &Config) -> String {
        match self {
            Kind::Switch { get, .. } => get(config).to_string(),
            Kind::Address { get, .. } => format!("\"{}\"", get(config)),
            Kind::Tokens { get, .. } => match get(config).count() {
                0 => "[]".to_owned(),
                count => format!("[{count} hidden]"),
            },
            Kind::Choice { words, get, .. } => format!("\"{}\"", words[get(config)]),
            Kind::Number { unit, get, .. } => unit.print(get(config)),
        }
    }
}

impl Unit {
    /// The value as TOML.
    pub(super) fn print(self, value: u64) -> String {
        match self {
            Unit::Count => value.to_string(),
            Unit::Size => format!("\"{}\"", print_size(value)),
            Unit::Time => format!("\"{}\"", print_time_ms(value)),
        }
    }
}

macro_rules! number {
    ($unit:ident, $range:expr, $($place:ident).+) => {
        Kind::Number {
            unit: Unit::$unit,
            range: $range,
            get: |config| u64::from(config.$($place).+),
            set: |config, value| config.$($place).+ = value.try_into().expect("the range fits the field"),
        }
    };
}

macro_rules! time {
    ($range:expr, $($place:ident).+) => {
        Kind::Number {
            unit: Unit::Time,
            range: $range,
            get: |config| u64::try_from(config.$($place).+.as_millis()).expect("the range fits milliseconds"),
            set: |config, value_ms| config.$($place).+ = Duration::from_millis(value_ms),
        }
    };
}

const SECOND_MS: u64 = 1_000;
const MINUTE_MS: u64 = 60 * SECOND_MS;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const LEVELS: [(&str, LogLevel); 6] = [
    ("off", LogLevel::Off),
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];
const FORMATS: [(&str, LogFormat); 3] =
    [("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];

const fn words<const N: usize, T: Copy>(choices: &[(&'static str, T); N]) -> [&'static str; N] {
    let mut words = [""; N];
    let mut index = 0;
    while index < N {
        words[index] = choices[index].0;
        index += 1;
    }
    words
}

fn index_of<T: PartialEq>(choices: &[(&str, T)], wanted: &T) -> usize {
    choices.iter().position(|(_, value)| value == wanted).expect("every variant has a word")
}

macro_rules! choice {
    ($choices:ident, $($place:ident).+) => {
        Kind::Choice {
            words: const { &words(&$choices) },
            get: |config| index_of(&$choices, &config.$($place).+),
            set: |config, index| config.$($place).+ = $choices[index].1,
        }
    };
}

macro_rules! keys {
    ($($section:literal $name:literal $kind:expr, $meaning:literal;)+) => {
        /// Every key, in the order of the default file: sections stay together.
        pub(super) const KEYS: &[Key] =
            &[$(Key { section: $section, name: $name, kind: $kind, meaning: $meaning }),+];
    };
}

keys! {
    "" "listen" Kind::Address { get: |config| config.listen, set: |config, address| config.listen = address },
        "Address and port to listen on; port 0 takes a free one. An address that other machines can reach needs\n\
         a token below, or open = true.";
    "" "reactors" number!(Count, 0..=64, reactors),
        "Reactor threads: each serves its share of the connections; one more thread accepts them. Not more than 64:\n\
         which reactors want a topic is noted in 64 bits. 0: half of the cores, at most 16.";
    "" "open" Kind::Switch { get: |config| config.open, set: |config, open| config.open = open },
        "Let anyone who reaches the address connect, without a token.";
    "" "tokens" Kind::Tokens { get: |config| &config.tokens, set: |config, tokens| config.tokens = tokens },
        "Secrets that let clients in, each 1 to 4096 visible ASCII characters. With none, the broker is OPEN: \
         everyone\n\
         who reaches the address may connect. Keep this file readable by the broker alone when it holds one.\n\
         A good one: head -c 24 /dev/urandom | base64";

    "log" "level" choice!(LEVELS, log.level),
        "The least important level that is logged. FANWIRE_LOG overrides it, for single modules too:\n\
         FANWIRE_LOG=warn,fanwire::reactor=debug";
    "log" "format" choice!(FORMATS, log.format),
        "text is for people, json is one object a line, auto is text on a terminal and json elsewhere.";

    "limits" "frame_bytes_max"
        number!(Size, limits::HELLO_BYTES_MAX as u64..=limits::FRAME_BYTES_CEILING as u64, limits.wire.frame_bytes_max),
        "Bytes of one frame, so of one message with its topic and headers.";
    "limits" "headers_bytes_max"
        number!(Size, 0..=limits::FRAME_BYTES_CEILING as u64, limits.wire.headers_bytes_max),
        "Bytes of one message's headers. At most frame_bytes_max.";
    "limits" "queue_bytes_max" number!(Size, 64 * KIB..=QUEUE_BYTES_CEILING as u64, limits.wire.queue_bytes_max),
        "Bytes waiting for one connection before overflow policies act. At least frame_bytes_max and 384KiB: \
         one turn's\n\
         worth must fit.";
    "limits" "queue_bytes_total_max" number!(Size, 64 * KIB..=1024 * GIB, limits.queue_bytes_total_max),
        "Bytes waiting for all connections together. Each reactor has an equal share, past which its largest queue is\n\
         closed; a share is at least queue_bytes_max.";
    "limits" "partial_bytes_total_max" number!(Size, 64 * KIB..=1024 * GIB, limits.partial_bytes_total_max),
        "Bytes of unfinished frames of all connections together. Each reactor has an equal share, past which its\n\
         largest is closed; a share is at least frame_bytes_max. As many bytes may wait in finished frames that the\n\
         broker itself holds back; past that it reads no more until they are done.";
    "limits" "mailbox_bytes_total_max" number!(Size, 64 * KIB..=1024 * GIB, limits.mailbox_bytes_total_max),
        "Bytes on their way between reactors, an equal share for each ordered pair, but at least 256KiB and at most\n\
         4MiB. Where a share is used up, connections whose next message would add to it are not read until there is\n\
         room; all others are.";
    "limits" "subscriptions_max" number!(Count, 1..=1_000_000, limits.wire.subscriptions_max),
        "Subscriptions of one connection at one time.";
    "limits" "requests_max" number!(Count, 1..=1_000_000, limits.wire.requests_max),
        "Requests of one connection in flight at one time.";
    "limits" "deadline_max" number!(Time, 1..=24 * HOUR_MS, limits.wire.deadline_ms_max),
        "How far away a request's deadline may be.";
    "limits" "short_ids_max" number!(Count, 0..=u16::MAX as u64, limits.wire.short_ids_max),
        "Topics that one connection may register for publishing by a short id.";
    "limits" "topic_bytes_max" number!(Size, 1..=limits::TOPIC_BYTES_CEILING as u64, limits.wire.topic_bytes_max),
        "Bytes of a topic name or filter.";
    "limits" "topic_levels_max" number!(Count, 1..=limits::TOPIC_LEVELS_CEILING as u64, limits.wire.topic_levels_max),
        "Levels of a topic name or filter.";
    "limits" "filter_plus_max" number!(Count, 0..=limits::FILTER_PLUS_CEILING as u64, limits.wire.filter_plus_max),
        "Levels of one filter that may be +.";
    "limits" "subscriptions_total_max" number!(Count, 1..=1 << 24, limits.subscriptions_total_max),
        "Subscriptions of all connections together, an equal share of them on each reactor. One takes about\n\
         40 bytes, a topic of its own about 120 more, and a wildcard's levels the like.";
    "limits" "topics_cached_max" number!(Count, 64..=1 << 24, limits.topics_cached_max),
        "Topics whose routes are kept ready, an equal share of them on each reactor: those that are published to\n\
         again and again. Any other one costs a walk through the filters.";
    "limits" "connections_max" number!(Count, 0..=10_000_000, limits.connections_max),
        "Connections at one time, on all reactors together. 0: as many as the open-file limit allows.";
    "limits" "connections_per_address_max" number!(Count, 0..=10_000_000, limits.connections_per_address_max),
        "Connections of one source address at one time. 0: no bound. Loopback is never bounded.";
    "limits" "handshake_time_max" time!(100..=5 * MINUTE_MS, limits.handshake_time_max),
        "How long a new connection may take to introduce itself.";
    "limits" "frame_time_max" time!(100..=10 * MINUTE_MS, limits.frame_time_max),
        "How long a frame may take from its first byte to its last.";
    "limits" "linger_time_max" time!(0..=MINUTE_MS, limits.linger_time_max),
        "How long a connection that is being closed may stand still: reading nothing of what it is still owed, or not\n\
         closing its own side.";

    "socket" "keepalive_idle" time!(SECOND_MS..=2 * HOUR_MS, socket.keepalive_idle),
        "Silence after which the kernel asks whether the peer is still there (SO_KEEPALIVE). Counts in whole seconds.";
    "socket" "user_timeout" time!(SECOND_MS..=HOUR_MS, socket.user_timeout),
        "A peer that acknowledges nothing for this long is gone, and so is one that is owed bytes and reads none of\n\
         them, whatever its overflow policies are (TCP_USER_TIMEOUT).";
    "socket" "unsent_low_water" number!(Size, 4 * KIB..=16 * MIB, socket.unsent_low_water),
        "Unsent bytes the kernel may hold for a connection that wants fresh state: overflow policies conflate and\n\
         drop-oldest (TCP_NOTSENT_LOWAT).";

    "drain" "deadline" time!(0..=HOUR_MS, drain.deadline),
        "How long clients have to leave by themselves when the broker is told to stop.";
    "drain" "reconnect_min" time!(0..=HOUR_MS, drain.reconnect_min),
        "Clients are told to come back at a moment of their own between reconnect_min ...";
    "drain" "reconnect_max" time!(0..=HOUR_MS, drain.reconnect_max),
        "... and reconnect_max, so that they do not all come at once.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_stay_together_and_no_key_stands_twice() {
        let mut sections: Vec<&str> = KEYS.iter().map(|key| key.section).collect();
        sections.dedup();
        let mut paths: Vec<String> = KEYS.iter().map(Key::path).collect();
        paths.sort();
        assert_eq!(sections, ["", "log", "limits", "socket", "drain"]);
        assert!(paths.windows(2).all(|pair| pair[0] != pair[1]), "{paths:?}");
    }

    #[test]
    fn every_number_takes_both_ends_of_its_range_and_its_default_lies_within() {
        for key in KEYS {
            if let Kind::Number { range, get, set, .. } = &key.kind {
                assert!(range.contains(&get(&Config::default())), "{}", key.path());
                for end in [*range.start(), *range.end()] {
                    let mut config = Config::default();
                    set(&mut config, end);
                    assert_eq!(get(&config), end, "{}", key.path());
                }
            }
        }
    }

    #[test]
    fn each_choice_has_its_own_word() {
        let mut config = Config::default();
        for key in KEYS {
            if let Kind::Choice { words, get, set } = &key.kind {
                for index in 0..words.len() {
                    set(&mut config, index);
                    assert_eq!(get(&config), index, "{}", key.path());
                }
            }
        }
    }
}

//! The registry: every key of the file, its unit, its range, its place in [`Config`] and what it means.
//!
//! One row a key: `KEYS` are those that stand once, `JOURNAL_KEYS` those of each `[[journal]]`. A key that is not here
//! does not exist, and a field of `Config` or `Journal` that no row reaches can't be set: a test changes every key and
//! looks for the change.

use super::journal::is_name;
use super::quantity::{print_size, print_time_ms};
use super::{Config, Journal, LogFormat, LogLevel, Store, Sync, Tokens};
use fanwire_core::settings::QUEUE_BYTES_CEILING;
use fanwire_wire::limits;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

/// The section that stands once a journal.
pub(super) const JOURNAL: &str = "journal";

/// One key of a `T`.
pub(super) struct Key<T: 'static> {
    /// The table it stands in; empty: above all tables.
    pub(super) section: &'static str,
    /// Its name in that table.
    pub(super) name: &'static str,
    /// What it can hold and where that goes.
    pub(super) kind: Kind<T>,
    /// What it means, for the default file.
    pub(super) meaning: &'static str,
}

/// What a key can hold, and its place in a `T`.
pub(super) enum Kind<T> {
    /// `true` or `false`.
    Switch { get: fn(&T) -> bool, set: fn(&mut T, bool) },
    /// A text of a form of its own; setting says whether it has that form.
    Text { form: &'static str, get: fn(&T) -> String, set: fn(&mut T, &str) -> bool },
    /// A list of texts. What each may be is a matter of rules.
    Texts { form: &'static str, get: fn(&T) -> &[String], set: fn(&mut T, Vec<String>) },
    /// A list of secrets.
    Tokens { get: fn(&T) -> &Tokens, set: fn(&mut T, Tokens) },
    /// One word of a few.
    Choice { words: &'static [&'static str], get: fn(&T) -> usize, set: fn(&mut T, usize) },
    /// A number in a unit and a range.
    Number { unit: Unit, range: RangeInclusive<u64>, get: fn(&T) -> u64, set: fn(&mut T, u64) },
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

impl<T> Key<T> {
    /// The whole name, such as `limits.frame_bytes_max`.
    pub(super) fn path(&self) -> String {
        if self.section.is_empty() { self.name.to_owned() } else { format!("{}.{}", self.section, self.name) }
    }
}

impl<T> Kind<T> {
    /// The value as TOML. Tokens are counted, not shown.
    pub(super) fn print(&self, target: &T) -> String {
        match self {
            Kind::Switch { get, .. } => get(target).to_string(),
            Kind::Text { get, .. } => print_text(&get(target)),
            Kind::Texts { get, .. } => {
                let texts: Vec<String> = get(target).iter().map(|text| print_text(text)).collect();
                format!("[{}]", texts.join(", "))
            }
            Kind::Tokens { get, .. } => match get(target).count() {
                0 => "[]".to_owned(),
                count => format!("[{count} hidden]"),
            },
            Kind::Choice { words, get, .. } => format!("\"{}\"", words[get(target)]),
            Kind::Number { unit, get, .. } => unit.print(get(target)),
        }
    }
}

/// A text as TOML.
fn print_text(text: &str) -> String {
    // What JSON escapes, TOML escapes the same way.
    serde_json::to_string(text).expect("a text is JSON")
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

/// Days of a year, with one to spare, for ages.
const YEAR_MS: u64 = 366 * 24 * HOUR_MS;

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
const STORES: [(&str, Store); 2] = [("disk", Store::Disk), ("memory", Store::Memory)];

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
    ($(#[$doc:meta])* $keys:ident of $target:ty:
        $($section:literal $name:literal $kind:expr, $meaning:literal;)+) => {
        $(#[$doc])*
        pub(super) const $keys: &[Key<$target>] =
            &[$(Key { section: $section, name: $name, kind: $kind, meaning: $meaning }),+];
    };
}

keys! {
    /// Every key that stands once, in the order of the default file: sections stay together.
    KEYS of Config:

    "" "listen"
        Kind::Text {
            form: "an IP address and a port such as \"127.0.0.1:7311\" or \"[::1]:7311\"",
            get: |config| config.listen.to_string(),
            set: |config, text| text.parse().map(|address| config.listen = address).is_ok(),
        },
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
    "" "data"
        Kind::Text {
            form: "the path of a directory",
            get: |config| config.data.as_ref().map_or_else(String::new, |data| data.display().to_string()),
            set: |config, text| {
                config.data = (!text.is_empty()).then(|| PathBuf::from(text));
                !text.contains('\0')
            },
        },
        "Directory of the journals on disk, each in one of its own below it. It is made if it is not there, for the\n\
         broker's user alone. With \"\", no journal can be on disk.";

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
        "Connections at one time, on all reactors together. 0: as many as the open-file limit and the journals\n\
         allow.";
    "limits" "connections_per_address_max" number!(Count, 0..=10_000_000, limits.connections_per_address_max),
        "Connections of one source address at one time. 0: no bound. Loopback is never bounded.";
    "limits" "handshake_time_max" time!(100..=5 * MINUTE_MS, limits.handshake_time_max),
        "How long a new connection may take to introduce itself.";
    "limits" "frame_time_max" time!(100..=10 * MINUTE_MS, limits.frame_time_max),
        "How long a frame may take from its first byte to its last.";
    "limits" "linger_time_max" time!(0..=MINUTE_MS, limits.linger_time_max),
        "How long a connection that is being closed may stand still: reading nothing of what it is still owed, or not\n\
         closing its own side.";

    "http" "hosts"
        Kind::Texts {
            form: "a list of host names such as [\"broker.example\"]",
            get: |config| &config.http.hosts,
            set: |config, hosts| config.http.hosts = hosts,
        },
        "Names under which HTTP is answered, besides those of loopback and the address above. A page whose name was\n\
         made to lead here is refused by this.";
    "http" "origins"
        Kind::Texts {
            form: "a list of origins such as [\"https://app.example\"], or [\"*\"]",
            get: |config| &config.http.origins,
            set: |config, origins| config.http.origins = origins,
        },
        "Origins of pages that may use this broker, besides its own. \"*\": all; then only tokens keep other people's\n\
         pages away.";
    "http" "admin_listen"
        Kind::Text {
            form: "an IP address and a port such as \"10.0.0.5:7312\", or \"\" for none",
            get: |config| config.http.admin_listen.map_or_else(String::new, |address| address.to_string()),
            set: |config, text| {
                let address = (!text.is_empty()).then(|| text.parse()).transpose();
                address.map(|address| config.http.admin_listen = address).is_ok()
            },
        },
        "A second address to listen on, which serves everything, and console, /metrics and /v1/stats to every caller.\n\
         At the first address these answer callers on this machine alone, or whoever has a token. \"\": none. An\n\
         address that other machines can reach needs a token, or open = true.";
    "http" "idle_time_max" time!(SECOND_MS..=HOUR_MS, http.idle_time_max),
        "How long a connection may be idle between two requests.";
    "http" "heartbeat_period" time!(SECOND_MS..=10 * MINUTE_MS, http.heartbeat_period),
        "How long a stream of events may be silent before a comment says that it is alive: shorter than what proxies\n\
         on the way take for dead.";
    "http" "compression"
        Kind::Switch {
            get: |config| config.http.compression,
            set: |config, compression| config.http.compression = compression,
        },
        "Make messages of a WebSocket smaller for clients that offer it (permessage-deflate), once for all of them.\n\
         It saves bytes of text and costs the broker more time than everything else that it does with a message.";
    "http" "poll_sessions_max" number!(Count, 1..=10_000_000, http.poll_sessions_max),
        "Long polls at one time, an equal share of them on each reactor. Each has a session that outlives its\n\
         sockets; more are refused.";
    "http" "poll_session_time_max" time!(SECOND_MS..=HOUR_MS, http.poll_session_time_max),
        "How long the session of a long poll lives without a request. Whoever comes later goes on from the journal,\n\
         or begins anew.";

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

keys! {
    /// The keys of each journal.
    JOURNAL_KEYS of Journal:

    "journal" "name"
        Kind::Text {
            form: "1 to 32 of a-z, 0-9, _ and -",
            get: |journal| journal.name.clone(),
            set: |journal, text| {
                journal.name = text.to_owned();
                is_name(text)
            },
        },
        "What it is called, and the directory below data that it has: 1 to 32 of a-z, 0-9, _ and -. Needed.";
    "journal" "topics"
        Kind::Texts {
            form: "a list of topic filters such as [\"match/#\", \"orders/+/log\"]",
            get: |journal| &journal.filters,
            set: |journal, filters| journal.filters = filters,
        },
        "Filters of the topics that it keeps. No topic may belong to two journals. Needed.";
    "journal" "store" choice!(STORES, store),
        "disk keeps records over a restart. memory keeps the last max_bytes of them while the broker runs.";
    "journal" "max_bytes"
        Kind::Number {
            unit: Unit::Size,
            range: 0..=MIB * GIB,
            get: |journal| journal.max_bytes.unwrap_or(0),
            set: |journal, bytes| journal.max_bytes = (bytes > 0).then_some(bytes),
        },
        "Bytes of all its segments; past that the oldest one goes. 0: no bound. At least two segments, in memory\n\
         four; there it must have a bound, and that is 64MiB if nothing is said.";
    "journal" "max_age"
        Kind::Number {
            unit: Unit::Time,
            range: 0..=100 * YEAR_MS,
            get: |journal| u64::try_from(journal.max_age.unwrap_or_default().as_millis()).expect("a range of years"),
            set: |journal, age_ms| journal.max_age = (age_ms > 0).then(|| Duration::from_millis(age_ms)),
        },
        "Age of a record past which it may go: a segment goes when its last record has that age. 0s: no bound.";
    "journal" "segment_bytes" number!(Size, 64 * KIB..=GIB, segment_bytes),
        "Bytes of one file; space is reserved for one ahead. At least 64KiB and twice limits.frame_bytes_max. In\n\
         memory, if nothing is said, an eighth of max_bytes.";
    "journal" "compact" Kind::Switch {
            get: |journal| journal.compact,
            set: |journal, compact| journal.compact = compact,
        },
        "Keep only the newest record of each topic. One with an empty payload removes its topic. On disk only.";
    "journal" "sync"
        Kind::Text {
            form: "\"demand\", \"release\", or a time from 1ms to 1h such as \"100ms\"",
            get: |journal| journal.sync.print(),
            set: |journal, text| Sync::parse(text).map(|sync| journal.sync = sync).is_some(),
        },
        "When records are synced to the disk: demand is when a publish asks for ack level durable, a time from 1ms to\n\
         1h is that and after this time at the latest, release is before anybody sees them.";
    "journal" "topics_max" number!(Count, 1..=100_000_000, topics_max),
        "Topics it knows at one time; publishes to more are refused.";
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
        assert_eq!(sections, ["", "log", "limits", "http", "socket", "drain"]);
        assert!(JOURNAL_KEYS.iter().all(|key| key.section == JOURNAL && !sections.contains(&JOURNAL)));
        assert!(paths.windows(2).all(|pair| pair[0] != pair[1]), "{paths:?}");
    }

    fn assert_takes_the_ends_of_its_range<T: Clone>(key: &Key<T>, usual: &T) {
        if let Kind::Number { range, get, set, .. } = &key.kind {
            assert!(range.contains(&get(usual)), "{}", key.path());
            for end in [*range.start(), *range.end()] {
                let mut target = usual.clone();
                set(&mut target, end);
                assert_eq!(get(&target), end, "{}", key.path());
            }
        }
    }

    #[test]
    fn every_number_takes_both_ends_of_its_range_and_its_default_lies_within() {
        KEYS.iter().for_each(|key| assert_takes_the_ends_of_its_range(key, &Config::default()));
        JOURNAL_KEYS.iter().for_each(|key| assert_takes_the_ends_of_its_range(key, &Journal::unnamed()));
    }

    fn assert_each_choice_has_its_own_word<T>(key: &Key<T>, mut target: T) {
        if let Kind::Choice { words, get, set } = &key.kind {
            for index in 0..words.len() {
                set(&mut target, index);
                assert_eq!(get(&target), index, "{}", key.path());
            }
        }
    }

    #[test]
    fn each_choice_has_its_own_word() {
        KEYS.iter().for_each(|key| assert_each_choice_has_its_own_word(key, Config::default()));
        JOURNAL_KEYS.iter().for_each(|key| assert_each_choice_has_its_own_word(key, Journal::unnamed()));
    }
}

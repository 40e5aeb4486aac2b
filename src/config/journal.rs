//! What the configuration says of one journal, and how it is told to people.

use super::quantity::{parse_time_ms, print_size, print_time_ms};
use crate::escape::visible;
use std::path::Path;
use std::time::Duration;

/// Bytes of a name at the most.
const NAME_BYTES_MAX: usize = 32;
/// Filters that are told one by one.
const FILTERS_SHOWN: usize = 4;

/// Topics whose messages are kept, in one order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// What it is called, and its directory with it: 1 to 32 of `a-z`, `0-9`, `_` and `-`. No other one has it.
    pub name: String,
    /// Which topics it keeps; at least one filter, none of them twice, and none that shares a topic with another
    /// journal's or begins with `$`.
    pub filters: Vec<String>,
    /// Where records are kept.
    pub store: Store,
    /// Bytes of its segments, past which the oldest records go; none: no bound. A journal in memory has one, of at
    /// least four segments; one on disk that has one, of at least two.
    pub max_bytes: Option<u64>,
    /// Age past which records go; none: no bound.
    pub max_age: Option<Duration>,
    /// Bytes of one segment: two frames of the largest size fit, and it is at most 1 GiB.
    pub segment_bytes: u32,
    /// Topics that it knows at one time.
    pub topics_max: u32,
    /// Whether only the newest record of each topic is kept. Never of a journal in memory.
    pub compact: bool,
    /// When written records are synced. Means nothing for a journal in memory.
    pub sync: Sync,
}

/// Where records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// In a directory of its own below [`Config::data`](super::Config::data).
    Disk,
    /// In memory: gone when the broker ends.
    Memory,
}

/// When written records are synced to the medium.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// When a publish asks to be acknowledged as durable.
    Demand,
    /// On demand, and besides after this time at the latest: 1 ms to 1 h.
    Every(Duration),
    /// Before anybody sees them.
    Release,
}

impl Journal {
    /// A journal that lacks what has no default.
    pub(super) const fn unnamed() -> Journal {
        Journal {
            name: String::new(),
            filters: Vec::new(),
            store: Store::Disk,
            max_bytes: None,
            max_age: None,
            segment_bytes: 64 << 20,
            topics_max: 1_000_000,
            compact: false,
            sync: Sync::Every(Duration::from_millis(100)),
        }
    }

    /// One line for people: `events: match/#; on disk in /data/events, synced every 100ms; keeps everything`.
    /// `data` is the directory of all journals.
    pub fn summary(&self, data: Option<&Path>) -> String {
        let shown: Vec<&str> = self.filters.iter().take(FILTERS_SHOWN).map(String::as_str).collect();
        let more = match self.filters.len() - shown.len() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let text =
            format!("{}: {}{more}; {}; keeps {}", self.name, shown.join(", "), self.place(data), self.retention());
        visible(&text).into_owned()
    }

    fn place(&self, data: Option<&Path>) -> String {
        if self.store == Store::Memory {
            return "in memory".to_owned();
        }
        let directory = data.map_or_else(|| self.name.clone(), |data| data.join(&self.name).display().to_string());
        let synced = match self.sync {
            Sync::Demand => "on demand".to_owned(),
            Sync::Every(time) => format!("every {}", print_duration(time)),
            Sync::Release => "before release".to_owned(),
        };
        format!("on disk in {directory}, synced {synced}")
    }

    fn retention(&self) -> String {
        let what = if self.compact { "the newest of each topic" } else { "everything" };
        let bounds: Vec<String> =
            [self.max_bytes.map(print_size), self.max_age.map(print_duration)].into_iter().flatten().collect();
        match (bounds.is_empty(), self.compact) {
            (true, _) => what.to_owned(),
            (false, true) => format!("{what}, {} at most", bounds.join(" and ")),
            (false, false) => format!("{} at most", bounds.join(" and ")),
        }
    }
}

impl Sync {
    /// The sync of a word, or of a time from 1 ms to 1 h.
    pub(super) fn parse(text: &str) -> Option<Sync> {
        match text {
            "demand" => Some(Sync::Demand),
            "release" => Some(Sync::Release),
            time => {
                let time_ms = parse_time_ms(time).ok()?;
                (1..=3_600_000).contains(&time_ms).then(|| Sync::Every(Duration::from_millis(time_ms)))
            }
        }
    }

    /// What [`Sync::parse`] reads.
    pub(super) fn print(self) -> String {
        match self {
            Sync::Demand => "demand".to_owned(),
            Sync::Every(time) => print_duration(time),
            Sync::Release => "release".to_owned(),
        }
    }
}

/// Whether a text can be a journal's name: it names a directory, a metric and a flag's value, on every system.
pub(super) fn is_name(text: &str) -> bool {
    let fits = (1..=NAME_BYTES_MAX).contains(&text.len());
    fits && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
}

fn print_duration(time: Duration) -> String {
    print_time_ms(u64::try_from(time.as_millis()).expect("the range fits milliseconds"))
}

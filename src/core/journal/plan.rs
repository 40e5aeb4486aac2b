//! Which topics are journaled, and where: settled at start, the same for all shards and the journal.

use fanwire_wire::{Limits, TopicFilter, TopicName};
use std::sync::Arc;

/// Journals that a broker may have.
pub const JOURNALS_MAX: usize = 64;

/// Names a journal: its index in the plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JournalId(pub u8);

impl JournalId {
    /// No journal.
    pub(crate) const NONE: JournalId = JournalId(u8::MAX);

    pub(crate) const fn is_some(self) -> bool {
        self.0 != JournalId::NONE.0
    }
}

/// What a shard knows of a journal.
#[derive(Debug, Clone)]
pub struct Planned {
    /// Topics that match one of these belong to it. No two journals' filters overlap.
    pub filters: Vec<String>,
    /// It ends with the process, so nothing in it is `journaled` or `durable`.
    pub is_volatile: bool,
    /// The epoch that its records are written in while the broker runs; 0 if it is refused.
    pub epoch: u64,
    /// It could not be opened: nothing is kept of its topics, and nothing in it can be read.
    pub is_refused: bool,
}

/// All journals of a broker. Clones are the same plan.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    journals: Arc<[Planned]>,
}

impl Plan {
    /// A plan of these journals.
    ///
    /// # Panics
    /// When there are more than [`JOURNALS_MAX`].
    pub fn new(journals: Vec<Planned>) -> Self {
        assert!(journals.len() <= JOURNALS_MAX, "a broker has at most {JOURNALS_MAX} journals");
        Plan { journals: journals.into() }
    }

    /// Whether nothing is journaled.
    pub fn is_empty(&self) -> bool {
        self.journals.is_empty()
    }

    /// How many journals there are.
    pub fn count(&self) -> usize {
        self.journals.len()
    }

    /// What is known of one.
    pub fn get(&self, journal: JournalId) -> &Planned {
        &self.journals[usize::from(journal.0)]
    }

    /// The journal that keeps a topic; [`JournalId::NONE`] if none does. Requests and the broker's own topics are in
    /// none.
    pub(crate) fn journal_of(&self, name: &str) -> JournalId {
        if self.is_empty() {
            return JournalId::NONE;
        }
        self.find(|filter| matches(filter, name))
    }

    /// The journal that keeps every topic which a filter matches, as far as one of its filters alone says so.
    pub(crate) fn covering(&self, wanted: &str) -> JournalId {
        self.find(|filter| covers(filter, wanted))
    }

    /// Whether a filter matches some topics that a journal keeps.
    pub(crate) fn reaches(&self, wanted: &str, journal: JournalId) -> bool {
        self.get(journal).filters.iter().any(|filter| overlaps(filter, wanted))
    }

    fn find(&self, is_it: impl Fn(&str) -> bool) -> JournalId {
        let found = self.journals.iter().position(|planned| planned.filters.iter().any(|filter| is_it(filter)));
        found.map_or(JournalId::NONE, |index| JournalId(index as u8))
    }
}

/// Whether a topic's name belongs to a filter; both were checked before.
pub(crate) fn matches(filter: &str, name: &str) -> bool {
    let limits = unbounded();
    let (Ok(filter), Ok(name)) =
        (TopicFilter::new(filter.as_bytes(), &limits), TopicName::new(name.as_bytes(), &limits))
    else {
        return false;
    };
    filter.matches(name)
}

/// Grammar alone: whoever comes here was checked against the real limits.
fn unbounded() -> Limits {
    Limits { topic_bytes_max: u16::MAX, topic_levels_max: u8::MAX, filter_plus_max: u8::MAX, ..Limits::default() }
}

/// Whether every name that `inner` matches is matched by `outer`.
pub(crate) fn covers(outer: &str, inner: &str) -> bool {
    // A leading wildcard does not see the broker's own topics.
    if outer.starts_with(['+', '#']) && inner.starts_with('$') {
        return false;
    }
    // Every name has a first level.
    let mut inner_levels = if inner == "#" { "+/#" } else { inner }.split('/');
    for level in outer.split('/') {
        if level == "#" {
            return true;
        }
        match inner_levels.next() {
            Some("#") | None => return false,
            Some(other) if level != "+" && level != other => return false,
            Some(_) => {}
        }
    }
    inner_levels.next().is_none()
}

/// Whether some name is matched by both.
fn overlaps(one: &str, other: &str) -> bool {
    let is_hidden = |one: &str, other: &str| one.starts_with(['+', '#']) && other.starts_with('$');
    if is_hidden(one, other) || is_hidden(other, one) {
        return false;
    }
    let (mut one_levels, mut other_levels) = (one.split('/'), other.split('/'));
    loop {
        match (one_levels.next(), other_levels.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some(one), Some(other)) if one != "+" && other != "+" && one != other => return false,
            (Some(_), Some(_)) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_filter_covers_another_or_overlaps_it_as_names_tell() {
        let levels = ["a", "b", "+"];
        let mut filters: Vec<String> = vec!["#".into()];
        for one in levels {
            filters.extend([one.into(), format!("{one}/#")]);
            for two in levels {
                filters.extend([format!("{one}/{two}"), format!("{one}/{two}/#")]);
            }
        }
        let mut names: Vec<String> = Vec::new();
        for one in ["a", "b", "c", "$"] {
            names.push(one.into());
            for two in ["a", "b", "c"] {
                names.push(format!("{one}/{two}"));
                names.extend(["a", "x"].map(|three| format!("{one}/{two}/{three}")));
                names.push(format!("{one}/{two}/x/y"));
            }
        }
        for outer in &filters {
            for inner in &filters {
                let expected = names.iter().all(|name| !matches(inner, name) || matches(outer, name));
                assert_eq!(covers(outer, inner), expected, "{outer} over {inner}");
                let expected = names.iter().any(|name| matches(inner, name) && matches(outer, name));
                assert_eq!(overlaps(outer, inner), expected, "{outer} and {inner}");
            }
        }
    }

    #[test]
    fn a_topic_belongs_to_the_journal_that_names_it() {
        let planned =
            |filter: &str| Planned { filters: vec![filter.into()], is_volatile: false, epoch: 1, is_refused: false };
        let plan = Plan::new(vec![planned("match/#"), planned("orders/+/log")]);
        assert_eq!(plan.journal_of("match/7"), JournalId(0));
        assert_eq!(plan.journal_of("orders/eu/log"), JournalId(1));
        assert_eq!(plan.journal_of("orders/eu"), JournalId::NONE);
        assert_eq!(plan.covering("match/+/x"), JournalId(0));
        assert_eq!(plan.covering("#"), JournalId::NONE);
    }
}

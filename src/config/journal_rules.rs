//! The rules of journals: what is needed, what fits together, and whose a topic is.

use super::draft::{Draft, JournalDraft};
use super::keys::Unit;
use super::{Config, Origin, Problem, Store};
use crate::escape::quoted;
use fanwire_wire::TopicFilter;

/// Journals at the most.
const JOURNALS_MAX: usize = 64;
/// Filters of one journal at the most.
const FILTERS_MAX: usize = 64;
/// What a segment needs besides two frames of the largest size.
const SEGMENT_BYTES_EXTRA: u64 = 64 * 1024;
/// What a segment may have.
const SEGMENT_BYTES_CEILING: u64 = 1 << 30;
/// What a journal in memory holds if nothing is said.
const MEMORY_BYTES: u64 = 64 << 20;
/// Segments that a bounded journal has at least. One in memory has no space but this, and one segment of it is always
/// about to go.
const SEGMENTS_MIN_ON_DISK: u64 = 2;
const SEGMENTS_MIN_IN_MEMORY: u64 = 4;

/// Looks at all journals, and fills in what follows from other values.
pub(super) fn settle(draft: &mut Draft) {
    let mut journals = std::mem::take(&mut draft.journals);
    let mut refusals = Refusals(Vec::new());
    if let Some(first_too_many) = journals.get(JOURNALS_MAX) {
        refusals.0.push(Problem {
            origin: first_too_many.origin,
            message: format!("{} journals are too many; allowed is up to {JOURNALS_MAX}", journals.len()),
        });
    }
    for index in 0..journals.len() {
        let (before, rest) = journals.split_at_mut(index);
        let journal = &mut rest[0];
        name(journal, before, &mut refusals);
        filters(journal, &draft.config, &mut refusals);
        place(journal, &draft.config, &mut refusals);
        sizes(journal, &draft.config, &mut refusals);
    }
    if refusals.0.is_empty() {
        overlaps(&journals, &draft.config, &mut refusals);
    }
    draft.config.journals = journals.into_iter().map(|journal| journal.journal).collect();
    draft.problems.append(&mut refusals.0);
}

/// What was found.
struct Refusals(Vec<Problem>);

impl Refusals {
    fn add(&mut self, journal: &JournalDraft, key: &str, message: &str) {
        self.0.push(Problem { origin: journal.origin(key), message: format!("{}: {key}: {message}", journal.label()) });
    }
}

fn name(journal: &JournalDraft, before: &[JournalDraft], refusals: &mut Refusals) {
    if !journal.has("name") {
        refusals.add(journal, "name", "is missing; write one such as name = \"events\"");
    } else if let Some(earlier) = before.iter().find(|earlier| earlier.journal.name == journal.journal.name) {
        refusals.add(journal, "name", &format!("another journal{} has it", place_of(earlier.origin)));
    }
}

fn filters(journal: &JournalDraft, config: &Config, refusals: &mut Refusals) {
    let filters = &journal.journal.filters;
    if filters.is_empty() {
        refusals.add(journal, "topics", "a filter is needed, such as topics = [\"match/#\"]");
    }
    if filters.len() > FILTERS_MAX {
        refusals.add(journal, "topics", &format!("{} are too many; allowed is up to {FILTERS_MAX}", filters.len()));
    }
    let wire = config.limits.wire;
    for (index, filter) in filters.iter().enumerate() {
        let problem = if TopicFilter::new(filter.as_bytes(), &wire).is_err() {
            format!(
                "is no filter: levels parted by /, + alone in its level, # alone at the end; at most {} bytes, \
                 {} levels, {} of them +",
                wire.topic_bytes_max, wire.topic_levels_max, wire.filter_plus_max
            )
        } else if filter.starts_with('$') {
            "begins with $: such topics are the broker's own, or shared, and are not kept".to_owned()
        } else if filters[..index].contains(filter) {
            "stands twice; remove one".to_owned()
        } else {
            continue;
        };
        refusals.add(journal, "topics", &format!("{} {problem}", quoted(filter)));
    }
}

/// Whether what is asked for can be had where the records are kept.
fn place(journal: &JournalDraft, config: &Config, refusals: &mut Refusals) {
    match journal.journal.store {
        Store::Disk if config.data.is_none() => {
            let message = "needs a directory: write data = \"DIR\" above all sections, or serve with --data DIR, or \
                           keep it in memory (store = \"memory\")";
            refusals.add(journal, "store", message);
        }
        Store::Disk => {}
        Store::Memory => {
            if journal.journal.compact {
                refusals.add(journal, "compact", "a journal in memory can't be compacted; remove it, or use the disk");
            }
            if journal.has("sync") {
                refusals.add(journal, "sync", "a journal in memory is never synced; remove it, or use the disk");
            }
        }
    }
}

fn sizes(draft: &mut JournalDraft, config: &Config, refusals: &mut Refusals) {
    let least = 2 * u64::from(config.limits.wire.frame_bytes_max) + SEGMENT_BYTES_EXTRA;
    let is_in_memory = draft.journal.store == Store::Memory;
    if is_in_memory && !draft.has("max_bytes") {
        draft.journal.max_bytes = Some(MEMORY_BYTES);
    }
    let max_bytes = draft.journal.max_bytes;
    if is_in_memory && !draft.has("segment_bytes") {
        let share = max_bytes.unwrap_or(MEMORY_BYTES) / 8;
        draft.journal.segment_bytes = share.clamp(least, SEGMENT_BYTES_CEILING) as u32;
    }
    let segment_bytes = u64::from(draft.journal.segment_bytes);
    if segment_bytes < least {
        let reason = "64KiB and twice limits.frame_bytes_max, so that the largest record fits";
        refusals.add(draft, "segment_bytes", &too_little(segment_bytes, least, reason));
        return;
    }
    let segments = if is_in_memory { SEGMENTS_MIN_IN_MEMORY } else { SEGMENTS_MIN_ON_DISK };
    match max_bytes {
        None if is_in_memory => {
            refusals.add(draft, "max_bytes", "a journal in memory needs a bound, such as \"64MiB\"");
        }
        Some(bytes) if bytes < segments * segment_bytes => {
            let reason = format!("{segments} segments of {}", Unit::Size.print(segment_bytes));
            refusals.add(draft, "max_bytes", &too_little(bytes, segments * segment_bytes, &reason));
        }
        _ => {}
    }
}

fn too_little(bytes: u64, least: u64, reason: &str) -> String {
    let (bytes, least) = (Unit::Size.print(bytes), Unit::Size.print(least));
    format!("{bytes} is too little; at least {least} is needed: {reason}")
}

/// A topic is ordered by one journal. Each pair of journals is told of once.
fn overlaps(journals: &[JournalDraft], config: &Config, refusals: &mut Refusals) {
    let wire = config.limits.wire;
    let parse = |filter| TopicFilter::new(str::as_bytes(filter), &wire).expect("filters were checked");
    for (index, journal) in journals.iter().enumerate() {
        for earlier in &journals[..index] {
            let pairs = journal.journal.filters.iter().flat_map(|mine| {
                let theirs = earlier.journal.filters.iter();
                theirs.map(move |theirs| (mine, theirs))
            });
            if let Some((mine, theirs)) = { pairs }.find(|(mine, theirs)| parse(mine).overlaps(parse(theirs))) {
                let message = format!(
                    "{} and {} of journal {}{} have topics in common; a topic belongs to one journal",
                    quoted(mine),
                    quoted(theirs),
                    earlier.journal.name,
                    place_of(earlier.origin("topics")),
                );
                refusals.add(journal, "topics", &message);
            }
        }
    }
}

fn place_of(origin: Origin) -> String {
    match origin {
        Origin::Line(line) => format!(" (line {line})"),
        Origin::File | Origin::Flag(_) => String::new(),
    }
}

//! Names and filters as protocol.md section 6 tells them, a second time: the oracle must not ask the broker's own
//! code who matches whom. Written to be obviously right, not to be fast.

use fanwire_wire::{Code, Limits};

/// Every code that a topic name to publish or request on may be refused with; none when it is fine.
pub(crate) fn topic_faults(bytes: &[u8], limits: &Limits) -> Vec<Code> {
    match text(bytes, limits) {
        Some(name) if name.contains('+') || name.contains('#') => vec![Code::InvalidTopic],
        Some(name) if name.starts_with('$') => vec![Code::ReservedTopic],
        Some(_) => vec![],
        None => vec![Code::InvalidTopic],
    }
}

/// The same for a filter.
pub(crate) fn filter_faults(bytes: &[u8], limits: &Limits) -> Vec<Code> {
    let Some(filter) = text(bytes, limits) else {
        return vec![Code::InvalidFilter];
    };
    let levels: Vec<&str> = filter.split('/').collect();
    let plus_count = levels.iter().filter(|level| **level == "+").count();
    let hash_inside = levels[..levels.len() - 1].contains(&"#");
    let is_mixed = |level: &&str| level.len() > 1 && (level.contains('+') || level.contains('#'));
    let is_wrong = hash_inside || levels.iter().any(is_mixed) || plus_count > usize::from(limits.filter_plus_max);
    if is_wrong { vec![Code::InvalidFilter] } else { vec![] }
}

/// The same for a group name.
pub(crate) fn group_faults(bytes: &[u8]) -> Vec<Code> {
    let is_fine = std::str::from_utf8(bytes).is_ok_and(|name| {
        (1..=64).contains(&name.len()) && !name.contains(['/', '+', '#']) && name.chars().all(is_permitted)
    });
    if is_fine { vec![] } else { vec![Code::InvalidGroup] }
}

pub(crate) fn is_exact(filter: &str) -> bool {
    filter.split('/').all(|level| level != "+" && level != "#")
}

pub(crate) fn matches(filter: &str, name: &str) -> bool {
    if name.starts_with('$') && (filter.starts_with('+') || filter.starts_with('#')) {
        return false;
    }
    levels_match(Some(filter), Some(name))
}

/// `None` where no level is left, which is another thing than a level without characters.
fn levels_match(filter: Option<&str>, name: Option<&str>) -> bool {
    let split = |text: &'_ str| text.find('/').unwrap_or(text.len());
    let Some(filter) = filter else { return name.is_none() };
    let (pattern, filter_rest) = filter.split_at(split(filter));
    if pattern == "#" {
        return true;
    }
    let Some(name) = name else { return false };
    let (level, name_rest) = name.split_at(split(name));
    (pattern == "+" || pattern == level) && levels_match(filter_rest.strip_prefix('/'), name_rest.strip_prefix('/'))
}

fn text<'a>(bytes: &'a [u8], limits: &Limits) -> Option<&'a str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let fits = !text.is_empty()
        && text.len() <= usize::from(limits.topic_bytes_max)
        && text.split('/').count() <= usize::from(limits.topic_levels_max);
    (fits && text.chars().all(is_permitted)).then_some(text)
}

fn is_permitted(character: char) -> bool {
    let code = u32::from(character);
    let is_noncharacter = (0xFDD0..=0xFDEF).contains(&code) || (code & 0xFFFF) >= 0xFFFE;
    !character.is_control() && !is_noncharacter && code != 0xFEFF
}

#[test]
fn the_naive_grammar_agrees_with_the_text() {
    for (filter, name, expected) in
        [("a/#", "a", true), ("+/+", "/a", true), ("#", "$sys", false), ("a/+", "a", false), ("a/+/c", "a//c", true)]
    {
        assert_eq!(matches(filter, name), expected, "{filter} {name}");
    }
    let limits = Limits::default();
    assert_eq!(filter_faults(b"a/#/b", &limits), [Code::InvalidFilter]);
    assert_eq!(topic_faults(b"$sys/+", &limits), [Code::InvalidTopic]);
    assert_eq!(topic_faults(b"$sys/load", &limits), [Code::ReservedTopic]);
}

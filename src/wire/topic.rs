//! Topic names, filters and groups: the grammar and who matches whom (protocol.md section 6).
//!
//! Topics are MQTT's (MQTT 5.0 section 4.7): levels split by `/`, `+` for one level, `#` for the rest. On top of
//! that, names are bounded, and characters that nobody means to put in a name (controls, non-characters, the byte
//! order mark) are refused, so that a topic can stand in a log line, a URL or a file without surprises.

use crate::code::Code;
use crate::limits::{GROUP_BYTES_MAX, Limits};

/// A topic name that obeys the grammar: something messages can be published to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicName<'a>(&'a str);

impl<'a> TopicName<'a> {
    /// Checks the grammar. [`Code::InvalidTopic`] when it is broken.
    pub fn new(bytes: &'a [u8], limits: &Limits) -> Result<Self, Code> {
        match check_text(bytes, limits) {
            Some(Checked { text, has_wildcards: false }) => Ok(TopicName(text)),
            _ => Err(Code::InvalidTopic),
        }
    }

    /// Checks the grammar and that clients may publish there: names under `$` are the broker's.
    pub fn publishable(bytes: &'a [u8], limits: &Limits) -> Result<Self, Code> {
        let name = TopicName::new(bytes, limits)?;
        if name.is_reserved() { Err(Code::ReservedTopic) } else { Ok(name) }
    }

    /// The name as text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether the name is the broker's own: it begins with `$`.
    pub fn is_reserved(self) -> bool {
        self.0.starts_with('$')
    }
}

/// A topic filter that obeys the grammar: a name, or a pattern over names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TopicFilter<'a>(&'a str);

impl<'a> TopicFilter<'a> {
    /// Checks the grammar. [`Code::InvalidFilter`] when it is broken.
    pub fn new(bytes: &'a [u8], limits: &Limits) -> Result<Self, Code> {
        let text = check_text(bytes, limits).ok_or(Code::InvalidFilter)?.text;
        let levels = text.split('/').count();
        let mut plus_count = 0;
        for (index, level) in text.split('/').enumerate() {
            match level {
                "+" => plus_count += 1,
                "#" if index + 1 == levels => {}
                _ if level.contains(['+', '#']) => return Err(Code::InvalidFilter),
                _ => {}
            }
        }
        if plus_count > usize::from(limits.filter_plus_max) {
            return Err(Code::InvalidFilter);
        }
        Ok(TopicFilter(text))
    }

    /// The filter as text.
    pub const fn as_str(self) -> &'a str {
        self.0
    }

    /// Whether the filter names exactly one topic.
    pub fn is_exact(self) -> bool {
        !self.0.contains(['+', '#'])
    }

    /// Whether a message published to `name` belongs to this filter. A leading wildcard never matches a name of
    /// the broker's own (MQTT 5.0 section 4.7.2), and `a/#` matches `a` itself (section 4.7.1.2).
    pub fn matches(self, name: TopicName<'_>) -> bool {
        if name.is_reserved() && self.0.starts_with(['+', '#']) {
            return false;
        }
        let mut levels = name.0.split('/');
        for pattern in self.0.split('/') {
            if pattern == "#" {
                return true;
            }
            match levels.next() {
                Some(level) if pattern == "+" || pattern == level => {}
                _ => return false,
            }
        }
        levels.next().is_none() || self.0.ends_with("/#")
    }

    /// Whether there is a name that belongs to both filters, however long it would be.
    pub fn overlaps(self, other: TopicFilter<'_>) -> bool {
        // Where both begin with a wildcard, there are names besides the broker's own.
        let begins_with_wildcard = |filter: &str| filter.starts_with(['+', '#']);
        if (self.0.starts_with('$') && begins_with_wildcard(other.0))
            || (other.0.starts_with('$') && begins_with_wildcard(self.0))
        {
            return false;
        }
        let (mut mine, mut theirs) = (self.0.split('/'), other.0.split('/'));
        loop {
            match (mine.next(), theirs.next()) {
                // So far one name fits both; a hash takes whatever the other one wants to follow, and nothing too.
                (None, None) | (Some("#"), _) | (_, Some("#")) => return true,
                (Some(one), Some(two)) if one == two || one == "+" || two == "+" => {}
                _ => return false,
            }
        }
    }
}

/// A group name that obeys the grammar: 1 to 64 bytes, no level separator and no wildcard.
pub fn check_group(bytes: &[u8]) -> Result<&str, Code> {
    let text = core::str::from_utf8(bytes).map_err(|_| Code::InvalidGroup)?;
    let fits = (1..=GROUP_BYTES_MAX).contains(&text.len());
    if fits && !text.contains(['/', '+', '#']) && text.chars().all(is_permitted) {
        Ok(text)
    } else {
        Err(Code::InvalidGroup)
    }
}

/// A text that may be a name or a filter.
struct Checked<'a> {
    text: &'a str,
    /// Whether there are wildcard characters, wherever they stand.
    has_wildcards: bool,
}

/// What names and filters have in common. One pass, whatever is found: names that nobody subscribes to
/// by name are checked each time they are published to.
fn check_text<'a>(bytes: &'a [u8], limits: &Limits) -> Option<Checked<'a>> {
    if bytes.is_empty() || bytes.len() > usize::from(limits.topic_bytes_max) {
        return None;
    }
    let (mut levels, mut traits) = (1, 0);
    for byte in bytes {
        let found = BYTE_TRAITS.get(usize::from(*byte)).copied().unwrap_or(UNUSUAL);
        levels += usize::from(found & SEPARATOR);
        traits |= found;
    }
    if levels > usize::from(limits.topic_levels_max) {
        return None;
    }
    let text = core::str::from_utf8(bytes).ok()?;
    // Printable ASCII needs no look at characters, and is nearly every name.
    let is_permitted = traits & UNUSUAL == 0 || text.chars().all(is_permitted);
    is_permitted.then_some(Checked { text, has_wildcards: traits & WILDCARD != 0 })
}

/// A byte that parts levels: the lowest bit, so that it counts.
const SEPARATOR: u8 = 1;
/// A byte that is a wildcard.
const WILDCARD: u8 = 2;
/// A byte that is no printable ASCII character.
const UNUSUAL: u8 = 4;

/// What each byte is; a look-up costs less than to tell them apart.
#[expect(clippy::indexing_slicing, reason = "what panics in a constant does not compile")]
const BYTE_TRAITS: [u8; 256] = {
    let mut traits = [UNUSUAL; 256];
    let mut byte = 0;
    while byte < traits.len() {
        traits[byte] = traits_of(byte as u8);
        byte += 1;
    }
    traits
};

const fn traits_of(byte: u8) -> u8 {
    match byte {
        b'/' => SEPARATOR,
        b'+' | b'#' => WILDCARD,
        0x20..0x7F => 0,
        _ => UNUSUAL,
    }
}

/// MQTT 5.0 section 1.5.4 lets a receiver refuse controls and non-characters; the byte order mark goes with them.
fn is_permitted(character: char) -> bool {
    let code = u32::from(character);
    let noncharacter = (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE;
    !character.is_control() && !noncharacter && character != '\u{FEFF}'
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::String;
    use std::vec::Vec;
    use std::{format, vec};

    fn matches(filter: &str, name: &str) -> bool {
        let limits = Limits::default();
        TopicFilter::new(filter.as_bytes(), &limits).unwrap().matches(TopicName::new(name.as_bytes(), &limits).unwrap())
    }

    #[test]
    fn names_beyond_the_limits_are_refused() {
        let limits = Limits::default();
        assert!(TopicName::new(&[b'a'; 255], &limits).is_ok());
        assert_eq!(TopicName::new(&[b'a'; 256], &limits), Err(Code::InvalidTopic));
        assert!(TopicName::new("/".repeat(15).as_bytes(), &limits).is_ok());
        assert_eq!(TopicName::new("/".repeat(16).as_bytes(), &limits), Err(Code::InvalidTopic));
    }

    #[test]
    fn characters_nobody_means_are_refused_in_names_filters_and_groups() {
        let limits = Limits::default();
        for wrong in [&b"a\0"[..], b"a\x1b[0m", b"\x7f", b"\xff", b"\xc0\x80", b"\xed\xa0\x80"] {
            assert_eq!(TopicName::new(wrong, &limits), Err(Code::InvalidTopic), "{wrong:?}");
            assert_eq!(TopicFilter::new(wrong, &limits), Err(Code::InvalidFilter), "{wrong:?}");
            assert_eq!(check_group(wrong), Err(Code::InvalidGroup), "{wrong:?}");
        }
        for wrong in ['\u{FEFF}', '\u{FFFE}', '\u{FDD0}', '\u{85}'] {
            let text = String::from(wrong);
            assert_eq!(TopicName::new(text.as_bytes(), &limits), Err(Code::InvalidTopic), "{wrong:?}");
        }
        assert!(TopicName::new("räume/日本/🎲".as_bytes(), &limits).is_ok());
    }

    #[test]
    fn a_filter_ends_at_its_hash_and_matches_the_parent_too() {
        assert!(matches("a/#", "a"));
        assert!(matches("a/#", "a/b/c"));
        assert!(matches("a/#", "a/"));
        assert!(!matches("a/#", "ab"));
        assert!(matches("#", "a//b"));
        assert!(matches("+/+", "/"));
        assert!(!matches("+", "/a"));
        assert!(matches("a/+/c", "a//c"));
        assert!(!matches("a/+", "a"));
    }

    #[test]
    fn leading_wildcards_do_not_see_the_brokers_own_topics() {
        assert!(!matches("#", "$sys/load"));
        assert!(!matches("+/load", "$sys/load"));
        assert!(matches("$sys/#", "$sys/load"));
        assert_eq!(TopicName::publishable(b"$sys/load", &Limits::default()), Err(Code::ReservedTopic));
    }

    /// All texts of one to so many levels out of these, each perhaps with another one behind.
    fn texts(levels: &[&str], count_max: usize) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let mut longest = vec![String::new()];
        for count in 1..=count_max {
            let slash = if count == 1 { "" } else { "/" };
            longest = longest
                .iter()
                .flat_map(|front| levels.iter().map(move |level| format!("{front}{slash}{level}")))
                .collect();
            all.extend(longest.iter().cloned());
        }
        all
    }

    #[test]
    fn filters_overlap_exactly_where_some_name_belongs_to_both() {
        let limits = Limits::default();
        let mut filters = texts(&["a", "b", "$c", "+"], 4);
        filters.extend(texts(&["a", "b", "$c", "+"], 3).iter().map(|front| format!("{front}/#")));
        filters.push("#".into());
        // One level more than any filter has, and one letter that none of them names.
        let names = texts(&["a", "b", "$c", "z"], 5);
        let names: Vec<TopicName<'_>> =
            names.iter().map(|name| TopicName::new(name.as_bytes(), &limits).unwrap()).collect();
        let matching: Vec<(TopicFilter<'_>, Vec<usize>)> = filters
            .iter()
            .map(|filter| TopicFilter::new(filter.as_bytes(), &limits).unwrap())
            .map(|filter| (filter, (0..names.len()).filter(|at| filter.matches(names[*at])).collect()))
            .collect();
        for (one, of_one) in &matching {
            let mut belongs = vec![false; names.len()];
            of_one.iter().for_each(|at| belongs[*at] = true);
            for (two, of_two) in &matching {
                let shared = of_two.iter().find(|at| belongs[**at]).map(|at| names[*at]);
                assert_eq!(one.overlaps(*two), shared.is_some(), "{one:?} {two:?} {shared:?}");
            }
        }
    }
}

//! A journal on the command line: `events=match/#,orders/+/log;store=memory;max_bytes=64MiB`.
//!
//! The keys are those of the file and take the same values, without quotes. A filter with a comma or a semicolon in it
//! has to stand in a file.

use super::draft::{JournalDraft, is_near};
use super::keys::{JOURNAL_KEYS, Key};
use super::{Journal, Origin};
use std::borrow::Cow;
use toml::de::DeValue;

/// Where such journals come from.
pub(super) const ORIGIN: Origin = Origin::Flag("--journal");

/// Reads one, or says what is wrong with it.
pub(super) fn read(text: &str) -> Result<JournalDraft, String> {
    let mut parts = text.split(';');
    let front = parts.next().unwrap_or_default();
    let Some((name, filters)) = front.split_once('=') else {
        return Err(format!("expected NAME=FILTER,FILTER such as 'events=match/#,orders/+/log', found {front:?}"));
    };
    let mut draft = JournalDraft::new(ORIGIN);
    draft.set(key("name").expect("journals have a name"), &string(name.trim()), ORIGIN)?;
    draft.journal.filters = filters.split(',').map(|filter| filter.trim().to_owned()).collect();
    let label = draft.label();
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        set(&mut draft, part).map_err(|message| format!("{label}: {message}"))?;
    }
    Ok(draft)
}

fn set(draft: &mut JournalDraft, part: &str) -> Result<(), String> {
    let Some((name, value)) = part.split_once('=') else {
        return Err(format!("{part:?}: expected KEY=VALUE such as store=memory"));
    };
    let (name, value) = (name.trim(), value.trim());
    let key = key(name).filter(|key| key.name != "name" && key.name != "topics").ok_or_else(|| unknown(name))?;
    if draft.has(key.name) {
        return Err(format!("{name}: stands twice; remove one"));
    }
    draft.set(key, &plain(value), ORIGIN)
}

fn key(name: &str) -> Option<&'static Key<Journal>> {
    JOURNAL_KEYS.iter().find(|key| key.name == name)
}

fn unknown(name: &str) -> String {
    let distance = |key: &&Key<Journal>| strsim::damerau_levenshtein(name, key.name);
    let options = || JOURNAL_KEYS.iter().filter(|key| key.name != "name" && key.name != "topics");
    let nearest = options().min_by_key(distance).filter(|key| is_near(distance(key), key.name));
    let advice = match nearest {
        Some(key) => format!("did you mean `{}`?", key.name),
        None => format!("there are {}", options().map(|key| key.name).collect::<Vec<_>>().join(", ")),
    };
    format!("unknown key {name:?}; {advice}")
}

fn string(text: &str) -> DeValue<'_> {
    DeValue::String(Cow::Borrowed(text))
}

/// A value without quotes: a number or a truth value if it looks like one, else a text.
fn plain(text: &str) -> DeValue<'_> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = (is_number || text == "true" || text == "false").then(|| DeValue::parse(text));
    parsed.and_then(Result::ok).map_or_else(|| string(text), toml::Spanned::into_inner)
}

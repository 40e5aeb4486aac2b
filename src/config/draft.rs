//! A configuration in the making: values, where each one came from, and what was wrong on the way.

use super::document::{Document, Entry, Occurs, Table, are_tables};
use super::journal_flag;
use super::keys::{JOURNAL, JOURNAL_KEYS, KEYS, Key, Kind, Unit};
use super::quantity::{parse_size, parse_time_ms};
use super::{Config, Journal, Origin, Problem, Token, Tokens};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::DeValue;

/// What the command line of `fanwire serve` overrides.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--admin-listen`
    pub admin_listen: Option<SocketAddr>,
    /// `--reactors`
    pub reactors: Option<u32>,
    /// `--open`
    pub open: bool,
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--journal`, as they came: `NAME=FILTER,FILTER;KEY=VALUE;...`. One of a name that the file has takes the place
    /// of the file's.
    pub journals: Vec<String>,
}

/// Values on their way to a [`Config`].
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) journals: Vec<JournalDraft>,
    pub(super) problems: Vec<Problem>,
    /// Keys that were set, by path.
    origins: BTreeMap<String, Origin>,
}

/// A journal on its way.
pub(super) struct JournalDraft {
    pub(super) journal: Journal,
    /// Where it begins.
    pub(super) origin: Origin,
    /// Keys that were set, by name.
    origins: BTreeMap<&'static str, Origin>,
}

impl Draft {
    /// Takes over what a file says.
    pub(super) fn read(&mut self, text: &str) {
        match Document::parse(text, occurs) {
            Ok(document) => {
                document.entries.iter().for_each(|entry| self.take(entry));
                document.tables.iter().for_each(|table| self.take_journal(table));
            }
            Err(problem) => self.problems.push(problem),
        }
    }

    /// Takes over what the command line says.
    pub(super) fn override_with(&mut self, flags: &Flags) {
        if let Some(listen) = flags.listen {
            self.config.listen = listen;
            self.origins.insert("listen".to_owned(), Origin::Flag("--listen"));
        }
        if let Some(address) = flags.admin_listen {
            self.config.http.admin_listen = Some(address);
            self.origins.insert("http.admin_listen".to_owned(), Origin::Flag("--admin-listen"));
        }
        if let Some(reactors) = flags.reactors {
            self.config.reactors = reactors;
            self.origins.insert("reactors".to_owned(), Origin::Flag("--reactors"));
        }
        if flags.open {
            self.config.open = true;
            self.origins.insert("open".to_owned(), Origin::Flag("--open"));
        }
        if let Some(data) = &flags.data {
            self.config.data = Some(data.clone());
            self.origins.insert("data".to_owned(), Origin::Flag("--data"));
        }
        self.override_journals(&flags.journals);
    }

    fn override_journals(&mut self, flags: &[String]) {
        let read: Vec<Result<JournalDraft, String>> = flags.iter().map(|flag| journal_flag::read(flag)).collect();
        for journal in read.iter().flatten() {
            self.journals.retain(|of_file| of_file.journal.name != journal.journal.name);
        }
        for journal in read {
            match journal {
                Ok(journal) => self.journals.push(journal),
                Err(message) => self.problems.push(Problem { origin: journal_flag::ORIGIN, message }),
            }
        }
    }

    /// Where the value of a key came from.
    pub(super) fn origin(&self, path: &str) -> Origin {
        self.origins.get(path).copied().unwrap_or(Origin::File)
    }

    fn take(&mut self, entry: &Entry<'_>) {
        let origin = Origin::Line(entry.line);
        let known = KEYS.iter().find(|key| key.section == entry.section && key.name == entry.name);
        let outcome = match known {
            None => Err(unknown(entry)),
            Some(key) => {
                set(&mut self.config, key, &entry.value).map_err(|message| format!("{}: {message}", key.path()))
            }
        };
        if let Some(key) = known.filter(|_| outcome.is_ok()) {
            self.origins.insert(key.path(), origin);
        }
        if let Err(message) = outcome {
            self.problems.push(Problem { origin, message });
        }
    }

    fn take_journal(&mut self, table: &Table<'_>) {
        let mut journal = JournalDraft::new(Origin::Line(table.line));
        // What it is called may stand behind what is wrong.
        let (names, others): (Vec<_>, Vec<_>) = table.entries.iter().partition(|entry| entry.name == "name");
        for entry in names.into_iter().chain(others) {
            let origin = Origin::Line(entry.line);
            let outcome = match JOURNAL_KEYS.iter().find(|key| key.name == entry.name) {
                None => Err(unknown(entry)),
                Some(key) => {
                    let outcome = journal.set(key, &entry.value, origin);
                    outcome.map_err(|message| format!("{}: {message}", journal.label()))
                }
            };
            self.problems.extend(outcome.err().map(|message| Problem { origin, message }));
        }
        self.journals.push(journal);
    }
}

impl JournalDraft {
    pub(super) const fn new(origin: Origin) -> JournalDraft {
        JournalDraft { journal: Journal::unnamed(), origin, origins: BTreeMap::new() }
    }

    /// Where the value of a key came from.
    pub(super) fn origin(&self, name: &str) -> Origin {
        self.origins.get(name).copied().unwrap_or(self.origin)
    }

    /// Whether a key was set.
    pub(super) fn has(&self, name: &str) -> bool {
        self.origins.contains_key(name)
    }

    /// What messages call it.
    pub(super) fn label(&self) -> String {
        if self.has("name") { format!("journal {}", self.journal.name) } else { JOURNAL.to_owned() }
    }

    /// Sets a key, or says what is wrong, the key's name in front.
    pub(super) fn set(&mut self, key: &Key<Journal>, value: &DeValue<'_>, origin: Origin) -> Result<(), String> {
        set(&mut self.journal, key, value).map_err(|message| format!("{}: {message}", key.name))?;
        self.origins.insert(key.name, origin);
        Ok(())
    }
}

fn occurs(section: &str) -> Option<Occurs> {
    let is_single = KEYS.iter().any(|key| !key.section.is_empty() && key.section == section);
    match section {
        JOURNAL => Some(Occurs::Repeatedly),
        _ => is_single.then_some(Occurs::Once),
    }
}

fn set<T>(target: &mut T, key: &Key<T>, value: &DeValue<'_>) -> Result<(), String> {
    let expected = |form: &str| format!("expected {form}, found {}", found(value));
    match &key.kind {
        Kind::Switch { set, .. } => set(target, value.as_bool().ok_or_else(|| expected("true or false"))?),
        Kind::Text { form, set, .. } => {
            let is_one = value.as_str().is_some_and(|text| set(target, text));
            is_one.then_some(()).ok_or_else(|| expected(form))?;
        }
        Kind::Texts { form, set, .. } => set(target, texts(value).ok_or_else(|| expected(form))?),
        Kind::Tokens { set, .. } => set(target, tokens(value)?),
        Kind::Choice { words, set, .. } => {
            let index = value.as_str().and_then(|text| words.iter().position(|word| *word == text));
            set(target, index.ok_or_else(|| expected(&format!("one of \"{}\"", words.join("\", \""))))?);
        }
        Kind::Number { unit, range, set, .. } => {
            let number = number(*unit, key.name, value).map_err(|form| expected(&form))?;
            set(target, within(range, *unit, number)?);
        }
    }
    Ok(())
}

fn texts(value: &DeValue<'_>) -> Option<Vec<String>> {
    let text = |item: &Spanned<DeValue<'_>>| item.get_ref().as_str().map(str::to_owned);
    value.as_array()?.iter().map(text).collect()
}

/// The number, or the form it should have had.
fn number(unit: Unit, name: &str, value: &DeValue<'_>) -> Result<u64, String> {
    match (unit, value) {
        (Unit::Count, DeValue::Integer(integer)) => parse_integer(integer.as_str(), integer.radix()),
        // A bare number is only unmistakable where the key's own name carries the unit.
        (Unit::Size, DeValue::Integer(integer)) if name.contains("bytes") => {
            parse_integer(integer.as_str(), integer.radix())
        }
        (Unit::Size, DeValue::String(text)) => parse_size(text).map_err(|error| error.to_string()),
        (Unit::Time, DeValue::String(text)) => parse_time_ms(text).map_err(|error| error.to_string()),
        (Unit::Count, _) => Err("a whole number".to_owned()),
        (Unit::Size, _) => Err("a size such as \"64KiB\"".to_owned()),
        (Unit::Time, _) => Err("a time such as \"25s\"".to_owned()),
    }
}

fn parse_integer(digits: &str, radix: u32) -> Result<u64, String> {
    u64::from_str_radix(digits, radix).map_err(|_| "a whole number from 0".to_owned())
}

fn within(range: &RangeInclusive<u64>, unit: Unit, number: u64) -> Result<u64, String> {
    if range.contains(&number) {
        return Ok(number);
    }
    let (least, most) = (unit.print(*range.start()), unit.print(*range.end()));
    Err(format!("{} is out of range; allowed is {least} to {most}", unit.print(number)))
}

/// The tokens of a list. No message repeats what was found: it may be a real secret with a typing error.
fn tokens(value: &DeValue<'_>) -> Result<Tokens, String> {
    let list = value.as_array().ok_or_else(|| "expected a list such as [\"a-long-secret\"]".to_owned())?;
    let mut tokens: Vec<Token> = Vec::new();
    for (index, item) in list.iter().enumerate() {
        let place = index + 1;
        let text = item.get_ref().as_str().ok_or_else(|| format!("token {place} of the list is not a string"))?;
        let token = Token::new(text).map_err(|error| format!("token {place} of the list: {error}"))?;
        if let Some(same) = tokens.iter().position(|known| *known == token) {
            return Err(format!("token {place} of the list repeats token {}", same + 1));
        }
        tokens.push(token);
    }
    Ok(Tokens::new(tokens))
}

/// A value as an error shows it.
fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) if text.chars().count() <= 40 => format!("{text:?}"),
        DeValue::Integer(integer) => format!("the number {integer}"),
        DeValue::Boolean(value) => value.to_string(),
        other => format!("a {}", other.type_str()),
    }
}

fn unknown(entry: &Entry<'_>) -> String {
    if entry.section.is_empty() && occurs(&entry.name).is_some() {
        return format!("`{}` is a section: write {} and its keys below it", entry.name, bracketed(&entry.name));
    }
    let place = if entry.section.is_empty() { String::new() } else { format!(" in {}", bracketed(&entry.section)) };
    let what = if is_section_like(&entry.value) { "section" } else { "key" };
    let advice = match nearest(entry) {
        Some(advice) => advice,
        None => "every key there is: fanwire config default".to_owned(),
    };
    format!("unknown {what} `{}`{place}; {advice}", entry.name)
}

fn is_section_like(value: &DeValue<'_>) -> bool {
    value.is_table() || value.as_array().is_some_and(|list| are_tables(list))
}

/// A section as it stands in a file.
fn bracketed(section: &str) -> String {
    match occurs(section) {
        Some(Occurs::Repeatedly) => format!("[[{section}]]"),
        _ => format!("[{section}]"),
    }
}

/// What the writer may have meant: a name a few letters away, first in the same section, then in another.
fn nearest(entry: &Entry<'_>) -> Option<String> {
    let distance = |name: &str| strsim::damerau_levenshtein(&entry.name.to_lowercase(), name);
    let once = KEYS.iter().map(|key| (key.section, key.name));
    let known = once.chain(JOURNAL_KEYS.iter().map(|key| (key.section, key.name)));
    if is_section_like(&entry.value) {
        let sections = known.map(|(section, _)| section).filter(|section| !section.is_empty());
        let section = sections.min_by_key(|section| distance(section))?;
        return is_near(distance(section), section).then(|| format!("did you mean {}?", bracketed(section)));
    }
    let (section, name) = known.min_by_key(|(section, name)| (distance(name), *section != entry.section))?;
    if !is_near(distance(name), name) {
        return None;
    }
    Some(match section {
        _ if section == entry.section => format!("did you mean `{name}`?"),
        "" => format!("did you mean `{name}`, above all sections?"),
        _ => format!("did you mean `{name}` in {}?", bracketed(section)),
    })
}

/// Whether so many letters may be a slip.
pub(super) fn is_near(distance: usize, name: &str) -> bool {
    distance <= (name.len() / 3).max(2)
}
